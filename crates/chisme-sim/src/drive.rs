//! How time passes: one queue of what happens next, and what each output of a node sets off.
//!
//! It knows nothing of tests; what they do to a cluster is in `cluster`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chisme_proto::{Input, Instant, Output, StopReason};

use crate::cluster::Cluster;
use crate::dissect;
use crate::host::Host;
use crate::millis;
use crate::network::{Datagram, Fate, Journey, NOBODY};
use crate::outcome::ProcessState;
use crate::record::concerns;

/// A node whose timer fires this often without time passing is spinning. Besides, each node may be
/// due in one moment, and any number of datagrams may arrive in it.
const SPIN_LIMIT: usize = 1_000;

/// Between what has arrived and a timer that is due, a busy process reads for at most so long.
const READING_FIRST: Duration = millis(5);

/// The most datagrams that clogged links keep back; what is beyond is lost.
const MAX_HELD: usize = 1 << 20;

/// How many happenings pass between two looks at the flag that stops a run.
const LOOK_AT_STOP: u64 = 256;

/// What the queue holds.
pub(crate) enum Happening {
    Arrive(Datagram),
    /// A machine was told that nobody listens where it had sent a datagram.
    Unreachable {
        host: usize,
        to: SocketAddr,
        quoted: Vec<u8>,
    },
    Wake(usize),
    /// A process that was busy reads on.
    Read {
        host: usize,
        run: u64,
    },
    SeedsResolved {
        host: usize,
        run: u64,
    },
}

/// A datagram that a clogged link keeps back, the machines at its ends, and how it gets there then.
pub(crate) struct Held {
    from: usize,
    to: usize,
    datagram: Datagram,
    journey: Journey,
}

impl Cluster {
    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_to(self.now + time);
        self.check_snapshots();
    }

    pub(crate) fn run_to(&mut self, end: Instant) {
        self.network.check();
        while let Some(at) = self.next_act().filter(|at| *at <= end) {
            self.pass_to(at);
            self.act_until(at);
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, end: Instant) {
        while let Some((at, happening)) = self.queue.pop_until(end) {
            self.events += 1;
            if self.events.is_multiple_of(LOOK_AT_STOP) {
                self.stop_if_asked();
            }
            if at != self.now {
                self.spins = 0;
            }
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
            Happening::Unreachable { host, to, quoted } => self.turned_away(host, to, &quoted),
            Happening::Wake(index) => self.wake(index),
            Happening::Read { host, run } => self.read(host, run),
            Happening::SeedsResolved { host, run } => self.seeds_resolved(host, run),
        }
    }

    fn seeds_resolved(&mut self, index: usize, run: u64) {
        let contacts = self.resolve_seeds(index);
        let host = &mut self.hosts[index];
        let Some(process) = host.process.as_mut().filter(|_| host.run == run) else { return };
        if process.frozen > 0 {
            process.seeds_came = true;
        } else {
            self.feed(index, Input::SeedsResolved(contacts));
        }
    }

    fn arrive(&mut self, datagram: Datagram) {
        let Some(index) = self.owners.of(datagram.to) else {
            self.tape.astray.push(datagram);
            return;
        };
        if self.hosts[index].process.is_none() {
            return self.turn_away(index, datagram);
        }
        match self.hosts[index].set_aside(datagram, self.now) {
            Some(datagram) => self.handle(index, &datagram),
            None => self.read_later(index),
        }
    }

    /// Nobody listens: the machine says so, if machines do.
    fn turn_away(&mut self, index: usize, datagram: Datagram) {
        if !self.network.port_unreachable {
            return;
        }
        let Some(sender) = self.owners.of(datagram.from) else { return };
        let Datagram { to, bytes: quoted, .. } = datagram;
        if let Fate::Arrives(journey) = self.network.fate(index, sender, quoted.len(), self.now) {
            self.network.turned_away += 1;
            let at = self.now + journey.after;
            self.schedule(at, Happening::Unreachable { host: sender, to, quoted });
        }
    }

    fn turned_away(&mut self, index: usize, to: SocketAddr, quoted: &[u8]) {
        if self.hosts[index].process.as_ref().is_some_and(|process| process.reads()) {
            self.feed(index, Input::Unreachable { to, quoted });
        }
    }

    fn handle(&mut self, index: usize, datagram: &Datagram) {
        let host = &mut self.hosts[index];
        let busy = host.per_datagram;
        if let Some(process) = host.process.as_mut().filter(|_| !busy.is_zero()) {
            process.busy_until = self.now + busy;
        }
        self.feed(index, Input::Datagram { from: datagram.from, bytes: &datagram.bytes });
    }

    /// Lets a process that can read go on when it is done with what it has at hand.
    pub(crate) fn read_later(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let run = host.run;
        let Some(process) = &mut host.process else { return };
        if process.reads() && !process.will_read && !process.inbox.is_empty() {
            process.will_read = true;
            let at = process.busy_until.max(self.now);
            self.schedule(at, Happening::Read { host: index, run });
        }
    }

    fn read(&mut self, index: usize, run: u64) {
        let host = &mut self.hosts[index];
        let Some(process) = host.process.as_mut().filter(|_| host.run == run) else { return };
        process.will_read = false;
        if process.busy_until <= self.now {
            self.read_now(index);
        }
        self.read_later(index);
    }

    /// Reads what waits until the process is busy with it.
    pub(crate) fn read_now(&mut self, index: usize) {
        let now = self.now;
        let next = |host: &mut Host| {
            let process = host.process.as_mut()?;
            if process.reads() && process.busy_until <= now {
                process.inbox.pop_front()
            } else {
                None
            }
        };
        while let Some(datagram) = next(&mut self.hosts[index]) {
            self.handle(index, &datagram);
        }
    }

    fn wake(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else { return };
        // An entry that was replaced by another, or a process that was replaced, is not due.
        if process.wake != Some(now) {
            return;
        }
        process.wake = None;
        if process.frozen > 0 {
            return;
        }
        let due = process.node.poll_timeout().map(|at| host.clock.when(at));
        if due.is_none_or(|due| due > now) {
            // What it was to be reminded of is not wanted any more.
            return self.set_alarm(index);
        }
        if process.busy_until > now && due.is_some_and(|due| now < due + READING_FIRST) {
            let at = process.busy_until;
            process.wake = Some(at);
            self.schedule(at, Happening::Wake(index));
            return;
        }
        self.spins += 1;
        if self.spins > SPIN_LIMIT + self.hosts.len() {
            self.fail(&format!("{}: a timer is always due at once", self.hosts[index].label));
        }
        self.feed(index, Input::Timeout);
    }

    /// One input, then all outputs, then the next timer.
    pub(crate) fn feed(&mut self, index: usize, input: Input<'_>) {
        let before = self.before_input(index, &input);
        let host = &mut self.hosts[index];
        if let Some(process) = &mut host.process {
            let local = host.clock.local(self.now);
            process.node.handle_input(input, local);
            self.watch_session(index);
            self.after_input(index, before);
            self.drain(index);
        }
    }

    pub(crate) fn drain(&mut self, index: usize) {
        let mut changed = Vec::new();
        while let Some(process) = &mut self.hosts[index].process {
            let Some(output) = process.node.poll_output() else { break };
            if let Output::Event(event) = &output
                && let Some(name) = concerns(event)
            {
                changed.push(name.clone());
            }
            self.carry_out(index, output);
        }
        self.set_alarm(index);
        for name in changed {
            self.check_member(index, &name);
        }
        self.check_bounds(index);
    }

    /// Sees to it that the queue comes back to a process no later than its next timer. An entry that has
    /// become too early stays: it is cheaper to look once too often.
    pub(crate) fn set_alarm(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(process) = &mut host.process else { return };
        let due = process.node.poll_timeout();
        let Some(at) = due.map(|at| host.clock.when(at).max(self.now)) else { return };
        if process.wake.is_none_or(|wake| at < wake) {
            process.wake = Some(at);
            self.schedule(at, Happening::Wake(index));
        }
    }

    pub(crate) fn carry_out(&mut self, index: usize, output: Output) {
        let now = self.now;
        let record = &mut self.hosts[index].record;
        match output {
            Output::Transmit { to, bytes } => self.transmit(index, to, bytes),
            Output::Event(event) => {
                let verdict = record.view.apply(&event);
                if self.watch.as_ref().is_some_and(|watch| !watch.listens) {
                    record.events.clear();
                }
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
                let at = now + self.lookup_time(index);
                self.schedule(at, Happening::SeedsResolved { host: index, run });
            }
            Output::Connected { request, report } => record.connected.push((request, report)),
            Output::Ponged { request, rtt } => record.ponged.push((request, rtt)),
            Output::RecordEdited { request, result } => record.edited.push((request, result)),
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
            recorder.sent(dissect::kind(&bytes), bytes.len(), self.now);
        }
        self.check_rate(index);
        self.tape.sent += 1;
        let digest = &mut self.tape.digest;
        digest.number(self.now.as_nanos());
        match to.ip() {
            IpAddr::V4(ip) => digest.number(u64::from(ip.to_bits()) << 16 | u64::from(to.port())),
            IpAddr::V6(ip) => {
                digest.bytes(&ip.octets());
                digest.number(u64::from(to.port()));
            }
        }
        digest.bytes(&bytes);
        let datagram = Datagram { from, to, bytes };
        if self.tape.recording {
            self.tape.datagrams.push(datagram.clone());
        }
        let receiver = self.owners.of(to).unwrap_or(NOBODY);
        let fate = self.network.fate(index, receiver, datagram.bytes.len(), self.now);
        if let Some(recorder) = &mut self.recorder
            && recorder.wants_datagrams(self.now)
        {
            let arrives = match &fate {
                Fate::Arrives(journey) => Some(journey.after),
                Fate::Lost | Fate::Held(_) => None,
            };
            recorder.flight((index, receiver), &datagram, self.now, arrives);
        }
        match fate {
            Fate::Lost => {}
            Fate::Held(_) if self.held.len() >= MAX_HELD => {}
            Fate::Held(journey) => {
                self.held.push(Held { from: index, to: receiver, datagram, journey });
            }
            Fate::Arrives(journey) => self.deliver(datagram, &journey),
        }
    }

    fn deliver(&mut self, mut datagram: Datagram, journey: &Journey) {
        journey.damage.inflict(&mut datagram.bytes);
        for late in [journey.again, journey.replayed].into_iter().flatten() {
            self.schedule(self.now + late, Happening::Arrive(datagram.clone()));
        }
        self.schedule(self.now + journey.after, Happening::Arrive(datagram));
    }

    /// Lets go of what nothing keeps back any more, in the order in which it was sent.
    pub(crate) fn release(&mut self) {
        for held in std::mem::take(&mut self.held) {
            if self.network.is_clogged(held.from, held.to, self.now) {
                self.held.push(held);
                continue;
            }
            self.deliver(held.datagram, &held.journey);
        }
    }

    pub(crate) fn schedule(&mut self, at: Instant, happening: Happening) {
        self.queue.push(at, happening);
    }
}
