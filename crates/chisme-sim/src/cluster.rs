//! The world: machines, the network between them, and one queue of what happens next.
//!
//! Everything that a test does to a cluster is here; what it can ask of one is in `look`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chisme_proto::{
    Command, Contact, DEFAULT_PORT, Input, Instant, NodeName, RecordEdit, RequestId,
};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::check::Watch;
use crate::digest::Digest;
use crate::drive::{Happening, Held};
use crate::fault::Faults;
use crate::host::{Common, Host, Setup};
use crate::network::{Datagram, Effect, Network, NodeSet, RuleId, Scope, part_of_all};
use crate::outcome::ProcessState;
use crate::owners::Owners;
use crate::queue::Queue;
use crate::replay;
use crate::run::Keep;
use crate::story::Recorder;
use crate::trace::Trace;
use crate::views::downs;

/// A cluster of nodes under virtual time. The same seed and the same calls give the same run.
///
/// [`setup`](Self::setup), [`start`](Self::start) and [`move_to`](Self::move_to) make a machine that
/// is new. Every other method that names a machine panics if there is none with that label, but for
/// seeds: those may name anybody. Every failed assertion says by which command the run repeats.
pub struct Cluster {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    pub(crate) labels: BTreeMap<String, usize>,
    pub(crate) owners: Owners,
    common: Common,
    pub(crate) network: Network,
    pub(crate) queue: Queue<Happening>,
    pub(crate) spins: usize,
    pub(crate) seeds: Vec<String>,
    /// Node `i` is in zone `zones[i % zones.len()]`.
    pub(crate) zones: Vec<String>,
    /// None if there was never one, and for the moment in which one acts.
    pub(crate) faults: Option<Box<Faults>>,
    /// How many machines have moved to addresses of their own.
    pub(crate) moves: u16,
    /// What clogged links keep back.
    pub(crate) held: Vec<Held>,
    /// The rules that `partition` and `hold` made, until `heal`.
    cuts: Vec<RuleId>,
    requests: u64,
    /// What processes that others have replaced had called Down: who, when, and whom.
    pub(crate) earlier_downs: Vec<(usize, Instant, NodeName)>,
    pub(crate) tape: Tape,
    /// How many happenings the queue has given.
    pub(crate) events: u64,
    pub(crate) recorder: Option<Box<Recorder>>,
    /// Set in the runs of scenarios: the rules that hold in each of them.
    pub(crate) watch: Option<Box<Watch>>,
    /// Set while two runs are compared, one happening after another.
    pub(crate) trace: Option<Box<Trace>>,
}

/// What was sent, as far as somebody asked for it.
#[derive(Default)]
pub(crate) struct Tape {
    pub(crate) recording: bool,
    pub(crate) datagrams: Vec<Datagram>,
    /// Sent to addresses where there is no machine.
    pub(crate) astray: Vec<Datagram>,
    pub(crate) sent: u64,
    pub(crate) digest: Digest,
}

impl Cluster {
    /// A world without machines.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Instant::default(),
            hosts: Vec::new(),
            labels: BTreeMap::new(),
            owners: Owners::default(),
            common: Common::default(),
            network: Network::new(seed),
            queue: Queue::default(),
            spins: 0,
            seeds: vec!["n0".to_owned()],
            zones: Vec::new(),
            faults: None,
            moves: 0,
            held: Vec::new(),
            cuts: Vec::new(),
            requests: 0,
            earlier_downs: Vec::new(),
            tape: Tape::default(),
            events: 0,
            recorder: None,
            watch: None,
            trace: None,
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
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(number));
        self.hosts.push(Host::new(label, address, rng));
        self.labels.insert(label.to_owned(), index);
        index
    }

    /// The machines that the seeds stand for from now on, running or not, or yet to come.
    pub fn seed_with(&mut self, labels: &[&str]) {
        self.seeds = labels.iter().map(|&label| label.to_owned()).collect();
    }

    /// Starts the node of a machine; a machine that is new is made first. It panics if a process
    /// runs there already, or at an address of it.
    pub fn start(&mut self, label: &str) {
        self.setup(label);
        let index = self.index(label);
        assert!(self.hosts[index].process.is_none(), "{label} runs already");
        for &addr in &self.hosts[index].setup.addresses {
            let holder = self.owners.of(addr).map(|owner| &self.hosts[owner]);
            if let Some(holder) = holder.filter(|host| host.process.is_some()) {
                panic!("{label} cannot start at {addr}: {} runs there", holder.label);
            }
        }
        self.start_at(index);
    }

    pub(crate) fn start_at(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        for addr in std::mem::take(&mut host.bound) {
            // Somebody else may have taken it over in the meantime.
            if self.owners.of(addr) == Some(index) {
                self.owners.remove(addr);
            }
        }
        let downs = downs(&host.record).map(|(at, name)| (index, at, name.clone()));
        self.earlier_downs.extend(downs);
        host.start(&mut self.common, now);
        for &addr in &host.bound {
            self.owners.insert(addr, index);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.name(index, &self.hosts[index].setup.name);
        }
        self.watch_start(index);
        self.process_is(index, ProcessState::Running);
        self.drain(index);
    }

    /// Ends a process without a word, as SIGKILL does.
    pub fn crash(&mut self, label: &str) {
        let index = self.index(label);
        assert!(self.hosts[index].process.is_some(), "{label} does not run");
        self.end_process(index, ProcessState::Crashed);
    }

    /// Crashes the process and starts another, with a new session, in the same moment.
    pub fn restart(&mut self, label: &str) {
        self.crash(label);
        self.start(label);
    }

    /// Gives a machine another address, at which its next process will be; one that is new is made.
    pub fn move_to(&mut self, label: &str, address: &str) {
        let Ok(addr) = address.parse() else {
            panic!("{address:?} is not an address and a port, such as \"10.0.0.9:4747\"")
        };
        self.setup(label).addresses = vec![addr];
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
        if let (Some(watch), Command::Leave) = (&mut self.watch, &command) {
            watch.leaves(index);
        }
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

    /// Changes what a node says of itself; the answer will stand in its record.
    pub fn edit_record(&mut self, label: &str, edit: RecordEdit) -> RequestId {
        let request = self.request();
        self.command(label, Command::EditRecord { request, edit });
        request
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Cuts these machines off from all others, both ways, besides what is cut already. One that
    /// is yet to start needs a [`setup`](Self::setup) first, as with all cuts.
    pub fn partition(&mut self, inside: &[&str]) {
        let inside = self.set_of(inside);
        self.cut(Scope::Across(inside), Effect::Lose);
    }

    /// Loses what goes from these machines to those; the way back stays open.
    pub fn partition_oneway(&mut self, from: &[&str], to: &[&str]) {
        let (from, to) = (self.set_of(from), self.set_of(to));
        self.cut(Scope::Between(from, to), Effect::Lose);
    }

    /// Cuts one machine off from all others.
    pub fn isolate(&mut self, label: &str) {
        self.partition(&[label]);
    }

    /// Keeps back what goes between these machines and all others, until the network is healed.
    pub fn hold(&mut self, inside: &[&str]) {
        let inside = self.set_of(inside);
        self.cut(Scope::Across(inside), Effect::Clog);
    }

    pub(crate) fn cut(&mut self, scope: Scope, effect: Effect) {
        let id = self.network.push(scope, effect, None, self.now);
        self.cuts.push(id);
    }

    fn set_of(&self, labels: &[&str]) -> NodeSet {
        let numbers: Vec<usize> = labels.iter().map(|label| self.index(label)).collect();
        NodeSet::of(&numbers)
    }

    /// Ends all cuts and delivers what was held. Links that are bad for another reason stay bad.
    pub fn heal(&mut self) {
        for id in std::mem::take(&mut self.cuts) {
            self.network.remove(id);
        }
        self.release();
    }

    /// Loses this part of the datagrams from now on, 0.0 to 1.0; panics if it is anything else.
    pub fn loss(&mut self, part: f64) {
        self.network.loss = part_of_all("loss", part);
    }

    /// How the network treats datagrams.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Delivers a payload to a machine as if it had come from `from`, whoever has that address.
    pub fn inject(&mut self, from: SocketAddr, to: &str, bytes: &[u8]) {
        let index = self.index(to);
        let to = self.hosts[index].source_for(from).expect("an address of that family");
        self.inject_at(index, Datagram { from, to, bytes: bytes.to_vec() });
    }

    pub(crate) fn inject_at(&mut self, index: usize, datagram: Datagram) {
        let delay = self.network.latency(index);
        self.schedule(self.now + delay, Happening::Arrive(datagram));
    }

    /// Writes down from now on who sees whom how, which processes run, and what is sent.
    pub(crate) fn write_down(&mut self, keep: &Keep) {
        self.recorder = Some(Box::new(Recorder::new(keep)));
    }

    pub(crate) fn into_recorder(mut self) -> Recorder {
        self.recorder.take().map_or_else(Recorder::default, |recorder| *recorder)
    }

    pub(crate) fn end_process(&mut self, index: usize, how: ProcessState) {
        self.watch_end(index, how);
        self.hosts[index].end(self.now);
        self.process_is(index, how);
    }

    /// For how long at least two of the processes that run have run side by side.
    pub(crate) fn together(&self) -> Duration {
        let mut ages: Vec<Duration> =
            self.hosts.iter().filter_map(|host| host.age(self.now)).collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        ages.get(1).copied().unwrap_or_default()
    }

    /// How long all processes have run, added up.
    pub(crate) fn running_time(&self) -> Duration {
        self.hosts.iter().map(|host| host.running_time(self.now)).sum()
    }

    pub(crate) fn process_is(&mut self, index: usize, state: ProcessState) {
        if let Some(recorder) = &mut self.recorder {
            recorder.process(index, state, self.now);
        }
    }

    /// Keeps every datagram that is sent from now on, for [`recorded`](Self::recorded).
    pub const fn record_datagrams(&mut self) {
        self.tape.recording = true;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The runs of scenarios tell their failures themselves.
        if std::thread::panicking() && self.watch.is_none() {
            eprintln!(
                "this was seed {} at {:?}; again: {}",
                self.seed,
                self.elapsed(),
                replay::command(self.seed)
            );
        }
    }
}
