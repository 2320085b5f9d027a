//! How time passes: one queue of what happens next, and what each output of a node sets off.
//!
//! It knows nothing of tests; what they do to a cluster is in `cluster`.

use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::{Contact, Input, Instant, Output, StopReason};

use crate::cluster::Cluster;
use crate::dissect;
use crate::millis;
use crate::network::{Datagram, Fate};
use crate::outcome::ProcessState;
use crate::panics;

/// How long a look-up of the seeds takes.
const LOOKUP_TIME: Duration = millis(5);

/// A node whose timer is due this often without time passing is spinning.
const SPIN_LIMIT: u32 = 1_000;

/// How many happenings pass between two looks at the flag that stops a run.
const LOOK_AT_STOP: u64 = 256;

/// What the queue holds.
pub(crate) enum Happening {
    Arrive(Datagram),
    Wake(usize),
    SeedsResolved { host: usize, run: u64 },
}

impl Cluster {
    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_to(self.now + time);
        self.check_snapshots();
    }

    pub(crate) fn run_to(&mut self, end: Instant) {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let happening = entry.remove();
            self.events += 1;
            if self.events.is_multiple_of(LOOK_AT_STOP) {
                self.stop_if_asked();
            }
            self.spins = if at == self.now { self.spins + 1 } else { 0 };
            self.now = at;
            let told = self.before_happening(&happening);
            self.happen(happening);
            self.after_happening(told);
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive(datagram) => self.arrive(datagram),
            Happening::Wake(index) => self.wake(index),
            Happening::SeedsResolved { host, run } => self.seeds_resolved(host, run),
        }
    }

    fn seeds_resolved(&mut self, index: usize, run: u64) {
        let contacts = self.resolve_seeds(index);
        let host = &mut self.hosts[index];
        let Some(process) = host.process.as_mut().filter(|_| host.run == run) else { return };
        match &mut process.frozen {
            Some(waiting) => waiting.seeds = true,
            None => self.feed(index, Input::SeedsResolved(contacts)),
        }
    }

    fn arrive(&mut self, datagram: Datagram) {
        let Some(&index) = self.owners.get(&datagram.to) else {
            self.tape.astray.push(datagram);
            return;
        };
        let Some(process) = &mut self.hosts[index].process else { return };
        if let Some(Datagram { from, bytes, .. }) = process.set_aside(datagram) {
            self.feed(index, Input::Datagram { from, bytes: &bytes });
        }
    }

    fn wake(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else { return };
        // An entry that was replaced by another, or a process that was replaced, is not due.
        if process.frozen.is_some() || process.wake != Some(now) {
            return;
        }
        process.wake = None;
        if self.spins >= SPIN_LIMIT {
            self.fail(&format!("{}: a timer is always due at once", self.hosts[index].label));
        }
        self.feed(index, Input::Timeout);
    }

    pub(crate) fn resolve_seeds(&self, host: usize) -> Vec<Contact> {
        let labels = self.hosts[host].setup.seeds.as_ref().unwrap_or(&self.seeds);
        let hosts = labels.iter().filter_map(|label| self.labels.get(label));
        let addresses = hosts.flat_map(|&index| self.hosts[index].setup.addresses.clone());
        addresses.map(|addr| Contact { addr, expect: None }).collect()
    }

    /// One input, then all outputs, then the next timer.
    pub(crate) fn feed(&mut self, index: usize, input: Input<'_>) {
        let before = self.before_input(index, &input);
        if let Some(process) = &mut self.hosts[index].process {
            panics::node(|| process.node.handle_input(input, self.now));
            self.after_input(index, before);
            self.drain(index);
        }
    }

    pub(crate) fn drain(&mut self, index: usize) {
        let mut changed = false;
        while let Some(process) = &mut self.hosts[index].process {
            let Some(output) = panics::node(|| process.node.poll_output()) else { break };
            changed |= matches!(output, Output::Event(_));
            self.carry_out(index, output);
        }
        let Some(process) = &mut self.hosts[index].process else { return };
        let wake = panics::node(|| process.node.poll_timeout()).map(|at| at.max(self.now));
        if process.wake != wake {
            process.wake = wake;
            if let Some(at) = wake {
                self.schedule(at, Happening::Wake(index));
            }
        }
        if changed {
            self.check_snapshot(index);
        }
        self.check_bounds(index);
    }

    fn carry_out(&mut self, index: usize, output: Output) {
        let now = self.now;
        let record = &mut self.hosts[index].record;
        match output {
            Output::Transmit { to, bytes } => self.transmit(index, to, bytes),
            Output::Event(event) => {
                let verdict = record.view.apply(&event);
                record.events.push((now, event));
                if let Some(recorder) = &mut self.recorder
                    && let Some((_, event)) = record.events.last()
                {
                    recorder.event(index, event, now);
                }
                let verdict = verdict.and_then(|()| self.watch_event(index));
                if let Err(broken) = verdict {
                    self.fail(&format!("{}: {broken}", self.hosts[index].label));
                }
            }
            Output::ResolveSeeds => {
                let run = self.hosts[index].run;
                let at = now + LOOKUP_TIME;
                self.schedule(at, Happening::SeedsResolved { host: index, run });
            }
            Output::Connected { request, report } => record.connected.push((request, report)),
            Output::Ponged { request, rtt } => record.ponged.push((request, rtt)),
            Output::Stopped(reason) => {
                record.stopped = Some((now, reason));
                let how = match reason {
                    StopReason::Left => ProcessState::Left,
                    _ => ProcessState::Stopped,
                };
                self.end_process(index, how);
            }
            other => panic!("an output that the simulation does not know: {other:?}"),
        }
    }

    fn transmit(&mut self, index: usize, to: SocketAddr, bytes: Vec<u8>) {
        let Some(from) = self.hosts[index].source_for(to) else { return };
        if let Some(recorder) = &mut self.recorder {
            recorder.sent(dissect::kind(&bytes), bytes.len());
        }
        self.check_rate(index);
        self.tape.sent += 1;
        self.tape.digest.write(&self.now.as_nanos().to_be_bytes());
        self.tape.digest.write(to.to_string().as_bytes());
        self.tape.digest.write(&bytes);
        let datagram = Datagram { from, to, bytes };
        if self.tape.recording {
            self.tape.datagrams.push(datagram.clone());
        }
        let receiver = self.owners.get(&to).map_or("", |&owner| &self.hosts[owner].label);
        match self.network.fate(&self.hosts[index].label, receiver) {
            Fate::Lost => {}
            Fate::Held => self.held.push(datagram),
            Fate::Arrives(first, second) => {
                if let Some(second) = second {
                    self.schedule(self.now + second, Happening::Arrive(datagram.clone()));
                }
                self.schedule(self.now + first, Happening::Arrive(datagram));
            }
        }
    }

    pub(crate) fn schedule(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.insert((at, self.serial), happening);
    }
}
