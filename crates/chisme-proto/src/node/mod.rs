//! The node: where a datagram, a command or a timeout meets the parts of the protocol.
//!
//! One room per concern, all of them methods of [`Node`]: `inbound` judges datagrams, `outbound`
//! seals them, `contact` knocks at addresses, for `request` (connect, ping), `seeding` and
//! others, `admit` lets newcomers in, `assume` takes whom its owner vouches for, `dispute` settles
//! two holders of one name, `membership` keeps table and foca in step, `gossip` paces rumours, `shown` tells
//! the user, `healing` mends partitions, `farewell` leaves. Of the failure detector, `retransmit` sends a probe again,
//! `relay` probes for others, `confirm` counts who could not reach a suspect either, `reprobe` asks it,
//! `overhear` has timers for what others suspect, `buddy` tells suspects, `unreachable` hears of processes
//! that are gone, and `conclude` ends it all. `records` publishes and tells on what members say of themselves, `record_exchange`
//! answers for it. `fills` tells how full all of them are.

mod admit;
mod assume;
mod buddy;
mod conclude;
mod confirm;
mod contact;
mod dispute;
mod farewell;
mod fills;
mod gossip;
mod healing;
mod inbound;
#[cfg(test)]
mod interleavings;
mod membership;
mod outbound;
mod overhear;
mod record_exchange;
mod records;
mod rejections;
mod relay;
mod reprobe;
mod request;
mod retransmit;
mod schedule;
mod seeding;
mod shown;
mod sync;
mod sync_pages;
mod unreachable;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::detect::LocalHealth;
use crate::envelope::{self, Sequence};
use crate::identity::NameHash;
use crate::limit::{SourceLimits, TokenBucket};
use crate::names::Names;
use crate::replay::{RecentTags, Windows};
use crate::roster::{Roster, Run};
use crate::swim::{Effects, Engine, Id, Incarnation, OWN_INDEX, Parameters};
#[cfg(debug_assertions)]
use crate::table::Held;
use crate::table::{Entries, Table};
use crate::wire::{Introduction, Nonce, SECTION_HEADER_LEN, Standing};
use crate::{
    Command, Config, ConfigError, Contact, Counters, Endpoints, Event, Input, Instant, KeyRing,
    Life, MAX_REJECTION_SOURCES, MAX_SEEDS, MemberState, MemberView, NodeName, NodeStatus, Output,
    RequestId, Session, Sibling, StopReason,
};

use admit::{Admissions, HandshakeSecret};
use conclude::Hearing;
use confirm::Confirmations;
use contact::Attempt;
use dispute::Dispute;
use farewell::Farewell;
use gossip::Gossip;
use healing::{CONTESTED_BURST, CONTESTED_PER_SECOND};
use overhear::Overheard;
use records::Records;
use rejections::Rejections;
use relay::Errands;
use reprobe::Reprobes;
use request::{Ping, Request};
use retransmit::Probe;
use schedule::{Only, Schedule, Timer};
use sync::Sync;
use unreachable::Refusals;

/// The most outputs that wait for the driver; datagrams beyond it are dropped and counted.
pub const MAX_OUTPUTS: usize = 16_384;

/// The most siblings on one host that a node knows of.
const MAX_SIBLINGS: usize = 256;

/// Answers to Hello and to unexpected peers, per second and at once, to all and to one address.
const ANSWERS_PER_SECOND: u32 = 1_000;
const ANSWERS_BURST: u32 = 2_000;
const SOURCE_ANSWERS_PER_SECOND: u32 = 10;
const SOURCE_ANSWERS_BURST: u32 = 20;
const MAX_ANSWER_SOURCES: usize = 1_024;

/// Who a node is at its start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name, unique in its cluster.
    pub name: NodeName,
    /// New for every start of the process, and growing: see [`Session::new`].
    pub session: Session,
    /// Where the others reach it; may be empty if [`Config::endpoint_is_guess`] is set.
    pub endpoints: Endpoints,
}

/// Whether the node takes part.
#[derive(Debug)]
enum Phase {
    Running,
    Leaving(Farewell),
    Stopped,
}

/// One member of a cluster, as a state machine. The crate's first page has its contract.
pub struct Node {
    config: Config,
    keys: KeyRing,
    phase: Phase,
    started: Instant,
    rng: ChaCha8Rng,

    /// What others are called, by those who speak of them.
    names: Names,
    name: NodeName,
    hash: NameHash,
    session: Session,
    life: Life,
    incarnation: Incarnation,
    endpoints: Endpoints,
    sequence: Sequence,

    table: Table,
    engine: Engine<Entries>,
    /// Counts the runs of foca: a timer of an earlier one is void.
    generation: u32,
    effects: Effects,
    gossip: Gossip,
    /// Whom foca probes, or probed last.
    probing: Option<Id>,
    probe: Probe,
    health: LocalHealth,
    reprobed: Reprobes,
    hearing: Hearing,
    confirmations: Confirmations,
    overheard: Overheard,
    errands: Errands,
    refusals: Refusals,
    /// Until then, what the side that we yielded to tells us is not news to anybody.
    loading_until: Instant,
    /// Whom we yielded to last: where mates that have not come along are sent.
    winner: Option<(Introduction, Standing)>,

    windows: Windows,
    recent_hellos: RecentTags,
    answers: TokenBucket,
    source_answers: SourceLimits,
    secret: HandshakeSecret,

    attempts: BTreeMap<Nonce, Attempt>,
    requests: BTreeMap<RequestId, Request>,
    pings: BTreeMap<RequestId, Ping>,
    admissions: Admissions,
    disputes: BTreeMap<NameHash, Dispute>,
    siblings: Vec<Sibling>,
    seeds: Vec<Contact>,
    /// Addresses that turned out to lead back to us, each until it is tried again.
    own_addresses: BTreeMap<SocketAddr, Instant>,
    /// The last wait between two look-ups of a node that sees nobody.
    seed_wait: std::time::Duration,
    sync: Sync,
    contested: TokenBucket,

    records: Records,
    rejections: Rejections,
    counters: Counters,
    outputs: VecDeque<Output>,
    schedule: Schedule,
}

impl Node {
    /// A node that knows nobody. It asks for its seeds at once.
    ///
    /// `seed` feeds its generator of random numbers: the same seed and the same inputs give the
    /// same bytes out. In production it must come from the operating system, because the secret
    /// behind the challenges of the handshake is drawn from it.
    ///
    /// # Errors
    /// [`ConfigError`] if the settings cannot work together.
    pub fn new(
        config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        if !config.endpoint_is_guess && !identity.endpoints.are_usable() {
            return Err(ConfigError::Endpoints(identity.endpoints));
        }
        let mut rng = ChaCha8Rng::from_seed(seed);
        let hash = NameHash::of(&identity.name);
        let age = (identity.session, Life::default());
        let own = Run::new(identity.name.clone(), age, identity.endpoints);
        let id = Id::new(age, OWN_INDEX);
        let parameters = parameters(&config, &identity.name, id, rng.random());
        let mut node = Self {
            keys: config.keys.clone(),
            phase: Phase::Running,
            started: now,
            names: config.roster.as_ref().map_or_else(Names::default, Roster::names),
            hash,
            session: identity.session,
            life: Life::default(),
            incarnation: 0,
            endpoints: identity.endpoints,
            sequence: Sequence::default(),
            table: Table::new(config.roster.clone()),
            engine: Engine::new(&parameters, own),
            generation: 0,
            effects: Effects::default(),
            gossip: Gossip::new(now),
            probing: None,
            probe: Probe::new(&config.detector),
            health: LocalHealth::new(config.detector.local_health),
            reprobed: Reprobes::default(),
            hearing: Hearing::new(now),
            confirmations: Confirmations::default(),
            overheard: Overheard::default(),
            errands: Errands::default(),
            refusals: Refusals::default(),
            loading_until: now,
            winner: None,
            windows: Windows::new(),
            recent_hellos: RecentTags::default(),
            answers: TokenBucket::new(ANSWERS_PER_SECOND, ANSWERS_BURST, now),
            source_answers: SourceLimits::new(
                SOURCE_ANSWERS_PER_SECOND,
                SOURCE_ANSWERS_BURST,
                MAX_ANSWER_SOURCES,
            ),
            secret: HandshakeSecret::new(rng.random()),
            attempts: BTreeMap::new(),
            requests: BTreeMap::new(),
            pings: BTreeMap::new(),
            admissions: Admissions::default(),
            disputes: BTreeMap::new(),
            siblings: Vec::new(),
            seeds: Vec::new(),
            own_addresses: BTreeMap::new(),
            seed_wait: config.seeds.alone_min,
            sync: Sync::new(now),
            contested: TokenBucket::new(CONTESTED_PER_SECOND, CONTESTED_BURST, now),
            records: Records::new(config.record.clone(), now),
            rejections: Rejections::new(MAX_REJECTION_SOURCES),
            counters: Counters::default(),
            outputs: VecDeque::new(),
            schedule: Schedule::default(),
            name: identity.name,
            rng,
            config,
        };
        node.output(Output::ResolveSeeds);
        node.schedule_seeds(now);
        node.publish_first_record(now);
        Ok(node)
    }

    /// Takes one input. Drain [`poll_output`](Self::poll_output) afterwards.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        let stalled = self.shift_if_stalled(now);
        match input {
            // The driver comes again at once, when it has looked for datagrams.
            Input::Timeout if stalled => {}
            Input::Datagram { from, bytes } => self.handle_datagram(from, bytes, now),
            Input::Unreachable { to, quoted } => self.take_unreachable(to, quoted, now),
            Input::Command(command) => self.handle_command(command, now),
            Input::SeedsResolved(contacts) => self.handle_seeds(contacts, now),
            Input::Timeout => self.handle_timeout(now),
        }
        self.flush_effects(now);
        self.wake_gossip(now);
        #[cfg(debug_assertions)]
        self.check_mirror();
    }

    /// In debug builds every input ends here: what foca holds and what our table holds of it are
    /// the same, or one of the two has a rule that the other lacks.
    #[cfg(debug_assertions)]
    fn check_mirror(&self) {
        let mut held = 0;
        for member in self.engine.members() {
            let entry = self.table.exactly(member.id());
            let ours = entry.and_then(|entry| entry.held());
            let theirs = Held { incarnation: member.incarnation(), state: member.state() };
            assert_eq!(ours, Some(theirs), "{}: {:?}", self.name, member.id());
            held += 1;
        }
        assert_eq!(held, self.table.up() + self.table.gone(), "{}: members held", self.name);
    }

    /// The next thing that the node wants done.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // What a burst took is given back; and of many nodes in one process the next one finds this
            // memory in the caches.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When to hand in [`Input::Timeout`]; none once the node has stopped.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Stopped => None,
            _ => self.schedule.next(),
        }
    }

    /// The name of this node.
    pub const fn name(&self) -> &NodeName {
        &self.name
    }

    /// This node as its peers see it.
    pub fn local(&self) -> MemberView {
        MemberView {
            name: self.name.clone(),
            state: MemberState::Alive,
            session: self.session,
            endpoints: self.endpoints,
            since: self.started,
            record: self.records.own(),
        }
    }

    /// The session of this node: it may have had to go above another one of its name.
    pub const fn session(&self) -> Session {
        self.session
    }

    /// All other members that have been up, by name hash: up, Down and Left.
    pub fn members(&self) -> Vec<MemberView> {
        let mut members = Vec::with_capacity(self.table.len());
        members.extend(self.table.iter().filter_map(|entry| self.table.view(entry)));
        members
    }

    /// One other member, if it has been up.
    pub fn member(&self, name: &NodeName) -> Option<MemberView> {
        self.table.find(NameHash::of(name)).and_then(|entry| self.table.view(entry))
    }

    /// The round trip to a member that is up: from its answers to this node's own probes and pings,
    /// smoothed (RFC 6298, alpha 1/8), in microseconds. None for whoever was not measured yet, and
    /// while probes are not retransmitted.
    pub fn rtt(&self, name: &NodeName) -> Option<std::time::Duration> {
        let entry = self.table.find(NameHash::of(name)).filter(|entry| entry.is_up())?;
        self.probe.per_member.of(&entry.id())
    }

    /// Whose round trip was measured by the last input, and what [`rtt`](Self::rtt) gives for it now.
    /// Asked a second time it gives none.
    pub fn take_measured(&mut self) -> Option<(Session, std::time::Duration)> {
        self.probe.per_member.take_last()
    }

    /// Counters and sizes.
    pub fn status(&self) -> NodeStatus {
        NodeStatus {
            counters: self.counters.clone(),
            live: self.live(),
            tombstones: self.table.departed(),
            windows: self.windows.len(),
        }
    }

    fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Connect { request, contacts } => self.connect(request, contacts, now),
            Command::Ping { request, name } => self.ping(request, &name, now),
            Command::Leave => self.leave(now),
            Command::SetSiblings(mut siblings) => {
                siblings.truncate(MAX_SIBLINGS);
                self.siblings = siblings;
            }
            Command::SetKeys(keys) => self.keys = keys.succeeding(&self.keys),
            Command::EditRecord { request, edit } => self.edit_record(request, edit, now),
            Command::ResolveSeeds => self.output(Output::ResolveSeeds),
            Command::Assume(members) => self.assume(&members, now),
        }
    }

    /// If what is due should have been fired long ago, this process was stopped: all deadlines move
    /// by as much, so that what arrived meanwhile is read before anybody is accused. That comes
    /// before the first input after the stop, because what that input sets is not late.
    fn shift_if_stalled(&mut self, now: Instant) -> bool {
        let late = self.schedule.shift_if_late(now);
        if let Some(late) = late {
            self.gossip.shift(late);
            self.counters.stalls += 1;
            tracing::warn!(late_ms = late.as_millis(), "the process was stopped; deadlines moved");
        }
        late.is_some()
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.schedule.pop_due(now) {
            self.fire(timer, now);
            self.flush_effects(now);
            if matches!(self.phase, Phase::Stopped) {
                return;
            }
        }
    }

    fn fire(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Swim { generation, timer } if generation == self.generation => {
                self.swim_due(timer);
            }
            Timer::Swim { .. } => {}
            Timer::Only(only) => self.fire_only(only, now),
            Timer::Conclude { id, incarnation, since } => {
                self.conclude_suspicion(id, incarnation, since, now);
            }
            Timer::Overhear { id, incarnation } => self.overhear_due(id, incarnation, now),
            Timer::Nack { origin, target, number } => self.nack_due(origin, target, number, now),
            Timer::Reprobe(index) => self.reprobe_due(index, now),
            Timer::Inquiry(session) => self.inquiry_due(session, now),
            Timer::Attempt { nonce, turn } => self.attempt_due(nonce, turn, now),
            Timer::Dispute(hash) => self.dispute_due(hash, now),
            Timer::Serve(asked) => self.serve_due(&asked, now),
            Timer::EndCarry => self.end_carry(now),
            Timer::Farewell => self.farewell_due(now),
            Timer::Ping(request) => self.ping_due(request, now),
        }
    }

    fn fire_only(&mut self, only: Only, now: Instant) {
        match only {
            Only::Gossip => self.gossip_due(),
            Only::Retransmit => self.retransmit_due(now),
            Only::Seeds => {
                self.output(Output::ResolveSeeds);
                self.schedule_seeds(now);
            }
            Only::Heal => self.heal_due(now),
            Only::Sync => self.sync_due(now),
            Only::Records => self.records_due(now),
        }
    }

    fn swim_due(&mut self, timer: foca::Timer<Id>) {
        let directory = self.table.entries_mut();
        let result = self.engine.handle_timer(timer, directory, &mut self.effects);
        self.count_swim(result);
    }

    /// Members up, this node included.
    fn live(&self) -> usize {
        self.table.up() + 1
    }

    fn own_id(&self) -> Id {
        Id::new((self.session, self.life), OWN_INDEX)
    }

    /// This node as foca's codec writes it.
    fn own_run(&self) -> Run {
        Run::new(self.name.clone(), (self.session, self.life), self.endpoints)
    }

    fn output(&mut self, output: Output) {
        if self.outputs.len() >= MAX_OUTPUTS && matches!(output, Output::Transmit { .. }) {
            self.counters.outputs_dropped += 1;
        } else {
            self.outputs.push_back(output);
        }
    }

    fn event(&mut self, event: Event) {
        self.output(Output::Event(event));
    }

    fn stop(&mut self, reason: StopReason) {
        self.phase = Phase::Stopped;
        self.output(Output::Stopped(reason));
    }

    /// Starts a foca under the present session and life that knows nobody.
    fn rebuild_engine(&mut self) {
        self.generation += 1;
        self.incarnation = 0;
        self.effects = Effects::default();
        self.gossip.forget_timer();
        self.probe.forget();
        self.reprobed.forget();
        self.schedule.forget_reprobes();
        self.confirmations.forget();
        self.errands.forget();
        self.refusals.forget();
        let id = self.own_id();
        let parameters = parameters(&self.config, &self.name, id, self.rng.random());
        self.engine = Engine::new(&parameters, self.own_run());
        let live = self.live();
        let result = self.engine.set_live(live);
        self.count_swim(result);
    }

    fn count_swim(&mut self, result: Result<(), foca::Error>) {
        if let Err(error) = result {
            self.counters.swim_errors += 1;
            tracing::debug!(%error, "foca");
        }
    }

    /// A duration spread evenly by a quarter either way.
    fn jittered(&mut self, around: std::time::Duration) -> std::time::Duration {
        around.saturating_mul(self.rng.random_range(75..=125)) / 100
    }
}

/// The packet of foca shares a datagram with envelope and sender: what is left is foca's, counted
/// with both endpoints, because they may become known later.
fn parameters(config: &Config, name: &NodeName, id: Id, seed: [u8; 32]) -> Parameters {
    let max_packet = room_beside_sender(name);
    Parameters { id, detector: config.detector.clone(), max_packet, seed }
}

/// What a datagram has left for the payload of one section, beside the Sender of a node of this name,
/// counted with both endpoints.
fn room_beside_sender(name: &NodeName) -> usize {
    const ENDPOINTS_AND_LIFE: usize = 40;
    let sender = SECTION_HEADER_LEN + 3 + name.as_str().len() + ENDPOINTS_AND_LIFE;
    envelope::MAX_BODY - sender - SECTION_HEADER_LEN
}

/// Keeps the first [`MAX_SEEDS`] seeds.
fn bounded_seeds(mut contacts: Vec<Contact>) -> Vec<Contact> {
    contacts.truncate(MAX_SEEDS);
    contacts
}
