//! The world: machines, the network between them, and one queue of what happens next.
//!
//! Everything that a test does to a cluster is here; what it can ask of one is in `look`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chisme_proto::{Command, Contact, DEFAULT_PORT, Input, Instant, NodeName, Output, RequestId};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::host::{Host, Setup, Waiting};
use crate::network::{Datagram, Fate, Network};
use crate::{millis, replay};

/// How long a look-up of the seeds takes.
const LOOKUP_TIME: Duration = millis(5);

/// A node whose timer is due this often without time passing is spinning.
const SPIN_LIMIT: u32 = 1_000;

/// A cluster of nodes under virtual time. The same seed and the same calls give the same run.
///
/// Every method that names a machine panics if there is none with that label, and every failed
/// assertion says by which command the run repeats.
pub struct Cluster {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    pub(crate) labels: BTreeMap<String, usize>,
    owners: BTreeMap<SocketAddr, usize>,
    network: Network,
    queue: BTreeMap<(Instant, u64), Happening>,
    serial: u64,
    spins: u32,
    sessions: ChaCha8Rng,
    seeds: Vec<String>,
    held: Vec<Datagram>,
    requests: u64,
    pub(crate) tape: Tape,
}

/// What was sent, as far as somebody asked for it.
#[derive(Default)]
pub(crate) struct Tape {
    pub(crate) recording: bool,
    pub(crate) datagrams: Vec<Datagram>,
    /// Sent to addresses where there is no machine.
    pub(crate) astray: Vec<Datagram>,
    pub(crate) sent: u64,
    pub(crate) digest: Fnv,
}

/// FNV-1a: the same on every machine, which is all that is asked of it.
pub(crate) struct Fnv(pub(crate) u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

enum Happening {
    Arrive(Datagram),
    Wake(usize),
    SeedsResolved { host: usize, run: u64 },
}

impl Cluster {
    /// A world without machines.
    pub fn new(seed: u64) -> Self {
        let mut sessions = ChaCha8Rng::seed_from_u64(seed);
        let network = ChaCha8Rng::seed_from_u64(sessions.random());
        Self {
            seed,
            now: Instant::default(),
            hosts: Vec::new(),
            labels: BTreeMap::new(),
            owners: BTreeMap::new(),
            network: Network::new(network),
            queue: BTreeMap::new(),
            serial: 0,
            spins: 0,
            sessions,
            seeds: vec!["n0".to_owned()],
            held: Vec::new(),
            requests: 0,
            tape: Tape::default(),
        }
    }

    /// A world in which `n0`, `n1` and so on start at once, all with `n0` for their seed.
    pub fn of(nodes: usize, seed: u64) -> Self {
        let mut cluster = Self::new(seed);
        for i in 0..nodes {
            cluster.start(&format!("n{i}"));
        }
        cluster
    }

    /// How the node of a machine is configured from its next start on. Makes the machine if needed,
    /// with the next free address in 10.0.0.0/16 and the default port.
    pub fn setup(&mut self, label: &str) -> &mut Setup {
        let index = self.labels.get(label).copied().unwrap_or_else(|| self.add(label));
        &mut self.hosts[index].setup
    }

    fn add(&mut self, label: &str) -> usize {
        let index = self.hosts.len();
        let number = u16::try_from(index + 1).expect("a simulation has fewer than 65,535 machines");
        let [high, low] = number.to_be_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(10, 0, high, low), DEFAULT_PORT));
        self.hosts.push(Host::new(label, address));
        self.labels.insert(label.to_owned(), index);
        index
    }

    /// The machines that the seeds stand for from now on, running or not.
    pub fn seed_with(&mut self, labels: &[&str]) {
        self.seeds = labels.iter().map(|&label| label.to_owned()).collect();
    }

    /// Starts the node of a machine; a machine that is new is made first.
    pub fn start(&mut self, label: &str) {
        self.setup(label);
        let index = self.index(label);
        assert!(self.hosts[index].process.is_none(), "{label} runs already");
        let (random, node_seed) = (self.sessions.random(), self.sessions.random());
        let now = self.now;
        let host = &mut self.hosts[index];
        for addr in std::mem::take(&mut host.bound) {
            // Somebody else may have taken it over in the meantime.
            if self.owners.get(&addr) == Some(&index) {
                self.owners.remove(&addr);
            }
        }
        host.start(random, node_seed, now);
        for &addr in &host.bound {
            self.owners.insert(addr, index);
        }
        self.drain(index);
    }

    /// Ends a process without a word, as SIGKILL does.
    pub fn crash(&mut self, label: &str) {
        let index = self.index(label);
        assert!(self.hosts[index].process.is_some(), "{label} does not run");
        self.hosts[index].end();
    }

    /// Crashes the process and starts another, with a new session, in the same moment.
    pub fn restart(&mut self, label: &str) {
        self.crash(label);
        self.start(label);
    }

    /// Gives a machine another address, at which its next process will be.
    pub fn move_to(&mut self, label: &str, address: &str) {
        let address = address.parse().expect("an address and a port");
        self.setup(label).addresses = vec![address];
    }

    /// Stops a process as SIGSTOP does: datagrams wait in its socket, its timers do not run.
    pub fn freeze(&mut self, label: &str) {
        let index = self.index(label);
        let process = self.hosts[index].process.as_mut();
        process.unwrap_or_else(|| panic!("{label} does not run")).frozen = Some(Waiting::default());
    }

    /// Lets a frozen process go on: first it takes what has arrived, then its timers fire.
    pub fn thaw(&mut self, label: &str) {
        let index = self.index(label);
        let waiting = self.hosts[index].process.as_mut().and_then(|process| process.frozen.take());
        let waiting = waiting.unwrap_or_else(|| panic!("{label} is not frozen"));
        for datagram in waiting.datagrams {
            self.feed(index, Input::Datagram { from: datagram.from, bytes: &datagram.bytes });
        }
        if waiting.seeds {
            let contacts = self.resolve_seeds(index);
            self.feed(index, Input::SeedsResolved(contacts));
        }
        self.feed(index, Input::Timeout);
    }

    /// Asks a node to leave; its process ends when the node says that it has stopped.
    pub fn leave(&mut self, label: &str) {
        self.command(label, Command::Leave);
    }

    /// Hands a node a command.
    pub fn command(&mut self, label: &str, command: Command) {
        let index = self.index(label);
        assert!(self.hosts[index].process.is_some(), "{label} does not run");
        assert!(!self.hosts[index].is_frozen(), "{label} is frozen");
        self.feed(index, Input::Command(command));
    }

    /// Asks a node to contact machines; the answer will stand in its record.
    pub fn connect(&mut self, label: &str, to: &[&str]) -> RequestId {
        let contacts = to.iter().map(|to| Contact { addr: self.address(to), expect: None });
        let contacts = contacts.collect();
        self.connect_to(label, contacts)
    }

    /// Asks a node to try contacts; the answer will stand in its record.
    pub fn connect_to(&mut self, label: &str, contacts: Vec<Contact>) -> RequestId {
        let request = self.request();
        self.command(label, Command::Connect { request, contacts });
        request
    }

    /// Asks a node for a round trip to a member; the answer will stand in its record.
    pub fn ping(&mut self, label: &str, member: &str) -> RequestId {
        let request = self.request();
        let name: NodeName = self.hosts[self.index(member)].setup.name.clone();
        self.command(label, Command::Ping { request, name });
        request
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Cuts these machines off from all others, both ways, besides what is cut already.
    pub fn partition(&mut self, inside: &[&str]) {
        self.network.partition(inside);
    }

    /// Loses what goes from these machines to those; the way back stays open.
    pub fn partition_oneway(&mut self, from: &[&str], to: &[&str]) {
        self.network.partition_oneway(from, to);
    }

    /// Cuts one machine off from all others.
    pub fn isolate(&mut self, label: &str) {
        self.network.partition(&[label]);
    }

    /// Keeps back what goes between these machines and all others, until the network is healed.
    pub fn hold(&mut self, inside: &[&str]) {
        self.network.hold(inside);
    }

    /// Ends all cuts and delivers what was held.
    pub fn heal(&mut self) {
        self.network.remove_cuts();
        for datagram in std::mem::take(&mut self.held) {
            let delay = self.network.latency();
            self.schedule(self.now + delay, Happening::Arrive(datagram));
        }
    }

    /// Loses this part of the datagrams from now on, 0.0 to 1.0.
    pub fn loss(&mut self, part: f64) {
        self.network.loss = part;
    }

    /// How the network treats datagrams.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Delivers a payload to a machine as if it had come from `from`, whoever has that address.
    pub fn inject(&mut self, from: SocketAddr, to: &str, bytes: &[u8]) {
        let to = self.hosts[self.index(to)].source_for(from).expect("an address of that family");
        let datagram = Datagram { from, to, bytes: bytes.to_vec() };
        let delay = self.network.latency();
        self.schedule(self.now + delay, Happening::Arrive(datagram));
    }

    /// Keeps every datagram that is sent from now on, for [`recorded`](Self::recorded).
    pub const fn record_datagrams(&mut self) {
        self.tape.recording = true;
    }

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
            self.spins = if at == self.now { self.spins + 1 } else { 0 };
            self.now = at;
            self.happen(happening);
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
        assert!(self.spins < SPIN_LIMIT, "{}: a timer is always due at once", host.label);
        self.feed(index, Input::Timeout);
    }

    fn resolve_seeds(&self, host: usize) -> Vec<Contact> {
        let labels = self.hosts[host].setup.seeds.as_ref().unwrap_or(&self.seeds);
        let hosts = labels.iter().filter_map(|label| self.labels.get(label));
        let addresses = hosts.flat_map(|&index| self.hosts[index].setup.addresses.clone());
        addresses.map(|addr| Contact { addr, expect: None }).collect()
    }

    /// One input, then all outputs, then the next timer.
    fn feed(&mut self, index: usize, input: Input<'_>) {
        if let Some(process) = &mut self.hosts[index].process {
            process.node.handle_input(input, self.now);
            self.drain(index);
        }
    }

    fn drain(&mut self, index: usize) {
        let mut changed = false;
        while let Some(process) = &mut self.hosts[index].process {
            let Some(output) = process.node.poll_output() else { break };
            changed |= matches!(output, Output::Event(_));
            self.carry_out(index, output);
        }
        let Some(process) = &mut self.hosts[index].process else { return };
        let wake = process.node.poll_timeout().map(|at| at.max(self.now));
        if process.wake != wake {
            process.wake = wake;
            if let Some(at) = wake {
                self.schedule(at, Happening::Wake(index));
            }
        }
        if changed {
            self.check_snapshot(index);
        }
    }

    fn carry_out(&mut self, index: usize, output: Output) {
        let now = self.now;
        let record = &mut self.hosts[index].record;
        match output {
            Output::Transmit { to, bytes } => self.transmit(index, to, bytes),
            Output::Event(event) => {
                let verdict = record.view.apply(&event);
                record.events.push((now, event));
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
                self.hosts[index].end();
            }
            other => self.fail(&format!("an output that the simulation does not know: {other:?}")),
        }
    }

    fn transmit(&mut self, index: usize, to: SocketAddr, bytes: Vec<u8>) {
        let Some(from) = self.hosts[index].source_for(to) else { return };
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

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.insert((at, self.serial), happening);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "this was seed {} at {:?}; again: {}",
                self.seed,
                self.elapsed(),
                replay::command(self.seed)
            );
        }
    }
}
