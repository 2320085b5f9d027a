//! A scenario, checked and complete: everything that a run needs except the seed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use chisme_proto::MAX_VALUE_BYTES;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::Group;
use crate::attack::Attacker;
use crate::host::Setup;

/// What happens to a cluster, and what must come of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, which is also that of its file.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// What one should see.
    pub expected: String,
    /// What it is compared with: a paper with its figure or table, or another program.
    pub source: String,
    /// Who takes part.
    pub nodes: Nodes,
    /// What the nodes are configured with instead of the defaults of production.
    pub config: Tuning,
    /// What every link is like while no fault says otherwise.
    pub network: Link,
    /// What goes wrong, in the order of their times.
    pub faults: Vec<TimedFault>,
    /// After the last fault has ended: how long it may take until all live views are right.
    pub liveness: Duration,
    /// For so long after that nothing may change any more.
    pub quiet: Duration,
    /// What must come of each run besides.
    pub expect: Expect,
    /// What must come of all seeds together.
    pub targets: Vec<Target>,
    /// What the product misses today; it stays, is reported as such, and does not fail the run: keys of
    /// `[expect]` (`detection.p99`), `formed`, `converged`, `quiet`.
    pub known_misses: Vec<String>,
    /// Whether a fault, or a setting of a link or the network, that never did anything is an error of the
    /// scenario. It is, unless the scenario was made up.
    pub all_faults_happen: bool,
    /// The seeds that a run without `--seeds` takes.
    pub seeds: RangeInclusive<u64>,
    /// Parameters and their values: a run for each combination. A key is the path of a setting.
    pub grid: BTreeMap<String, Vec<toml::Value>>,
    /// What is compared over the grid: the parameter along the x axis, and the figures.
    pub axes: Vec<String>,
    /// Which detector runs.
    pub detector: DetectorMode,
    /// If nodes, network and faults are drawn from the seed of each run: within what.
    pub swarm: Option<Ranges>,
    /// The file, from which `at` makes variants.
    pub(crate) table: toml::Table,
}

/// Within what a scenario is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// How many nodes.
    pub nodes: RangeInclusive<usize>,
    /// How many faults.
    pub faults: RangeInclusive<usize>,
    /// They begin within so long after the views are complete.
    pub begin_within: Duration,
    /// And last so long at most, but for those that need longer to show anything.
    pub last_at_most: Duration,
}

impl Default for Ranges {
    /// What a correct product stands. Small clusters find the most: every node meets every fault.
    fn default() -> Self {
        Self {
            nodes: 4..=20,
            faults: 1..=6,
            begin_within: Duration::from_secs(40),
            last_at_most: Duration::from_secs(45),
        }
    }
}

/// Who detects failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectorMode {
    /// The node of production.
    #[default]
    Chisme,
    /// foca as it comes, with its own LAN preset, on the same network.
    Baseline,
}

/// Who takes part, and how they start.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// How many: n0, n1, ...
    pub count: usize,
    /// Node `i` is in zone `zones[i % zones.len()]`.
    pub zones: Vec<String>,
    /// They start one after another, evenly spread over this time.
    pub spread: Duration,
    /// They start at once, and each has been told of all others: nothing has to be formed.
    pub acquainted: bool,
    /// The nodes that seeds lead to.
    pub seeds: Group,
    /// The times of faults count from the moment when every view is complete; it must come within
    /// this time. With zero they count from the first start.
    pub formed_within: Duration,
}

/// Settings of production that a scenario changes; what is not set keeps its default.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// See [`Detector::probe_period`](chisme_proto::Detector::probe_period).
    pub probe_period: Option<Duration>,
    /// See [`Detector::probe_timeout`](chisme_proto::Detector::probe_timeout).
    pub probe_timeout: Option<Duration>,
    /// See [`Detector::indirect_probes`](chisme_proto::Detector::indirect_probes).
    pub indirect_probes: Option<u8>,
    /// See [`Detector::suspicion_timeout`](chisme_proto::Detector::suspicion_timeout).
    pub suspicion_timeout: Option<Duration>,
    /// See [`Detector::suspicion_stretch`](chisme_proto::Detector::suspicion_stretch).
    pub suspicion_stretch: Option<u32>,
    /// See [`Detector::local_health`](chisme_proto::Detector::local_health).
    pub local_health: Option<u8>,
    /// See [`Detector::reprobe_period`](chisme_proto::Detector::reprobe_period).
    pub reprobe_period: Option<Duration>,
    /// See [`Detector::probe_retransmissions`](chisme_proto::Detector::probe_retransmissions).
    pub probe_retransmissions: Option<u8>,
    /// See [`Detector::nacks`](chisme_proto::Detector::nacks).
    pub nacks: Option<bool>,
    /// See [`Detector::overhear`](chisme_proto::Detector::overhear).
    pub overhear: Option<bool>,
    /// See [`Detector::buddy`](chisme_proto::Detector::buddy).
    pub buddy: Option<bool>,
    /// See [`Detector::gossip_period`](chisme_proto::Detector::gossip_period).
    pub gossip_period: Option<Duration>,
    /// See [`Config::max_members`](chisme_proto::Config::max_members).
    pub max_members: Option<usize>,
    /// What each node says of itself from its start on: tags with so many bytes of text, 0 to 16,000.
    pub record_bytes: Option<usize>,
    /// How often a node that is alone asks for its seeds at first, at most, and one in company.
    pub seeds_alone_min: Option<Duration>,
    /// How often it asks for them at most while it is alone.
    pub seeds_alone_max: Option<Duration>,
    /// How often a node in company asks for its seeds.
    pub seeds_in_company: Option<Duration>,
    /// What all settings of the detector are that are not set here.
    pub preset: Option<chisme_proto::Preset>,
    /// See [`Detector::refusals`](chisme_proto::Detector::refusals).
    pub refusals: Option<u8>,
}

impl Tuning {
    /// Changes how a node is configured.
    pub(crate) fn apply(&self, setup: &mut Setup) {
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        put(&mut setup.detector, self.preset.map(chisme_proto::Preset::detector));
        put(&mut setup.detector.refusals, self.refusals);
        put(&mut setup.detector.probe_period, self.probe_period);
        put(&mut setup.detector.probe_timeout, self.probe_timeout);
        put(&mut setup.detector.indirect_probes, self.indirect_probes);
        put(&mut setup.detector.suspicion_timeout, self.suspicion_timeout);
        put(&mut setup.detector.suspicion_stretch, self.suspicion_stretch);
        put(&mut setup.detector.local_health, self.local_health);
        put(&mut setup.detector.reprobe_period, self.reprobe_period);
        put(&mut setup.detector.probe_retransmissions, self.probe_retransmissions);
        put(&mut setup.detector.nacks, self.nacks);
        put(&mut setup.detector.overhear, self.overhear);
        put(&mut setup.detector.buddy, self.buddy);
        put(&mut setup.detector.gossip_period, self.gossip_period);
        put(&mut setup.cadence.alone_min, self.seeds_alone_min);
        put(&mut setup.cadence.alone_max, self.seeds_alone_max);
        put(&mut setup.cadence.in_company, self.seeds_in_company);
        setup.max_members = self.max_members.or(setup.max_members);
        if let Some(bytes) = self.record_bytes {
            setup.record = saying(bytes);
        }
    }
}

/// The most text that a node can be made to say of itself, in bytes: with keys and lengths it fits a record.
pub(super) const MOST_SAID: usize = 16_000;

/// A record whose tags have so many bytes of text.
fn saying(bytes: usize) -> chisme_proto::Record {
    let mut record = chisme_proto::Record::default();
    for (n, start) in (0..bytes).step_by(MAX_VALUE_BYTES).enumerate() {
        let text = "x".repeat(MAX_VALUE_BYTES.min(bytes - start));
        record.tags.insert(format!("text-{n}"), text);
    }
    record
}

/// What a link does to datagrams, in one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// How long they take; 0.2 to 2 ms if not set.
    pub latency: Option<Latency>,
    /// The part that is lost, each by itself, 0.0 to 1.0.
    pub loss: Option<f64>,
    /// Loss that comes in bursts, besides.
    pub burst: Option<Burst>,
    /// The part that arrives twice.
    pub duplicate: Option<f64>,
    /// The part that is held up by another latency, or several.
    pub reorder: Option<f64>,
    /// The part of which one bit is flipped.
    pub corrupt: Option<f64>,
    /// The part that is cut short.
    pub truncate: Option<f64>,
    /// Longer ones are dropped; in bytes of UDP payload.
    pub mtu: Option<usize>,
    /// Bytes a second; what waits for its turn waits in `queue`.
    pub bandwidth: Option<u64>,
    /// Bytes that may wait; what is beyond is lost. 65,536 if not set.
    pub queue: Option<usize>,
    /// Nothing passes; it is released when the fault ends, and then all else that is said here is done to it.
    pub clog: bool,
    /// Of the whole network: machines say so when nobody listens where a datagram arrives.
    pub port_unreachable: bool,
    /// The part that is recorded and sent once more after so long.
    pub late_replay: Option<(f64, Duration)>,
}

/// One way in which a link is different from others: a setting of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Loss,
    Burst,
    Latency,
    Bandwidth,
    Queue,
    Mtu,
    Duplicate,
    Reorder,
    Corrupt,
    Truncate,
    LateReplay,
    Clog,
    PortUnreachable,
}

/// How long a datagram takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always as long.
    Constant(Duration),
    /// At least, and at most.
    Uniform(Duration, Duration),
    /// The least, and the mean of what comes on top.
    Exponential(Duration, Duration),
    /// The one, or for the given per cent of the datagrams the other.
    Bimodal(Duration, Duration, u8),
}

/// Loss in bursts (Gilbert and Elliott): a link is good or bad, and in bad times loses `loss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The mean length of good times.
    pub good: Duration,
    /// The mean length of bad times.
    pub bad: Duration,
    /// The part that is lost in bad times.
    pub loss: f64,
}

/// A fault, and when.
#[derive(Clone, Debug)]
pub struct TimedFault {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; for ever if not set, or it is of one moment.
    pub lasts: Option<Duration>,
    /// What it is.
    pub fault: Fault,
}

/// What can go wrong.
#[expect(missing_docs, reason = "what a variant says is what its fields are")]
#[expect(clippy::large_enum_variant, reason = "a scenario has a handful of them")]
#[derive(Clone, Debug)]
pub enum Fault {
    /// Links from a group to another are different.
    Link { from: Group, to: Group, both_ways: bool, link: Link },
    /// Parts of the network do not reach each other.
    Cut(Cut),
    /// Two states in turn, each for `period`: cut off (what comes in, if `ingress`), and not.
    FlipFlop { nodes: Group, period: Duration, ingress: bool },
    /// Links of nodes are clogged one by one, and released in another order.
    Swizzle { nodes: Group, step: Duration },
    /// SIGKILL. With a duration: restarted after it.
    Crash { nodes: Group },
    /// SIGKILL and a new start in the same moment.
    Restart { nodes: Group, new_address: bool, clock: Option<i64> },
    /// Graceful. With a step: one after another.
    Leave { nodes: Group, every: Duration },
    /// Each leaves and starts again, one after another.
    RollingRestart { nodes: Group, every: Duration },
    /// The whole process stops, and goes on after the duration.
    Freeze { nodes: Group },
    /// Reading from the socket stops while timers run.
    Stall { nodes: Group },
    /// Each datagram takes so long to be handled.
    Slow { nodes: Group, per_datagram: Duration },
    /// Sockets hold only so many datagrams.
    SmallBuffer { nodes: Group, datagrams: usize },
    /// A node crashes, and another, new one gets its address.
    ReuseAddress { nodes: Group },
    /// A second machine with the name of each of them starts.
    DuplicateName { nodes: Group },
    /// Wall and monotonic clocks run so many parts per million fast, or jump by so many seconds.
    Clock { nodes: Group, drift_ppm: i64, step_seconds: i64 },
    /// Seeds resolve to something else.
    Dns { nodes: Group, answer: Answer },
    /// Somebody without the key, or with recordings.
    Attack(Attack),
}

/// Who does not reach whom.
#[expect(missing_docs, reason = "what a variant says is what its fields are")]
#[derive(Clone, Debug)]
pub enum Cut {
    /// A group from everybody else, both ways.
    Off(Group),
    /// What goes from one group to another is lost; the way back stays open.
    OneWay { from: Group, to: Group },
    /// Groups that reach only themselves. Who is in none reaches nobody else.
    Islands(Vec<Group>),
    /// Two halves that do not reach each other, and one node that reaches both.
    Bridge(Group),
    /// Each node reaches only the majority nearest to it on a ring, so that every node sees another one.
    Majorities,
}

/// What DNS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A name without addresses.
    Empty,
    /// No such name.
    NoSuchName,
    /// Nothing, until the resolver gives up.
    Timeout,
    /// The addresses of the first moment, whoever lives there now.
    Stale,
    /// A few of them, others each time.
    Partial(usize),
    /// Each node of a zone gets only addresses of its zone.
    Disjoint,
    /// Right and empty in turn.
    Flapping,
}

/// Somebody who is not one of us sends to a group.
#[derive(Clone, Debug)]
pub struct Attack {
    /// Who receives it.
    pub nodes: Group,
    /// What is sent.
    pub kind: AttackKind,
    /// Datagrams a second, to each of them.
    pub rate: u32,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttackKind {
    /// A node with another cookie.
    WrongKey,
    /// A node with the same cookie and the name of another cluster.
    ForeignCluster,
    /// Recorded datagrams with bits flipped.
    Tamper,
    /// Recorded datagrams as they were.
    Replay,
    /// Recorded Hellos with the address of a victim as their source.
    Reflect,
    /// Random bytes.
    Flood,
    /// "Nobody listens there", with quotations of what the target has sent, half of them damaged.
    Unreachable,
}

/// What must come of it.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Every view complete after the last start.
    pub formed_within: Option<Duration>,
    /// Every view right after the last fault has ended.
    pub converged_within: Option<Duration>,
    /// From the end of a process to an observer's Down, over all observers.
    pub detection: Quantiles,
    /// From the end of a process to the first suspicion of it, over all that ended.
    pub first_suspicion: Quantiles,
    /// From the end of a process to the first Down of it, over all that ended.
    pub first_detection: Quantiles,
    /// From the end of a process to the last observer's Down of it, over all that ended.
    pub last_detection: Quantiles,
    /// Downs of members that live and can be reached, over all observers, at most. If it is not set,
    /// one such Down by and of nodes that no fault is about fails the run.
    pub false_downs: Option<u64>,
    /// Downs of anybody, over all observers, at most.
    pub downs: Option<u64>,
    /// Suspicions of members that live, over all observers, at most.
    pub false_suspicions: Option<u64>,
    /// How often nodes outside of all faults may start a new life. If it is not set, never.
    pub life_changes: Option<u64>,
    /// How often all of a group together may start a new life, whatever was done to them; `rest` is
    /// whoever is in no other group of these.
    pub life_changes_of: Vec<(Group, u64)>,
    /// Means over all nodes and the whole time after the start, at most.
    pub datagrams_per_second: Option<f64>,
    /// Bytes of UDP payload, likewise.
    pub bytes_per_second: Option<f64>,
    /// Mean of datagrams over all nodes while the faults last, at most.
    pub datagrams_in_faults: Option<f64>,
    /// Mean of datagrams over all nodes in the second half of the quiet phase, at most.
    pub datagrams_at_rest: Option<f64>,
    /// Bytes of UDP payload, likewise.
    pub bytes_at_rest: Option<f64>,
}

/// What must come of all seeds of a point of the grid together. Of distributions all values of all runs count, of
/// times the slowest run, of numbers their sum, of rates their mean.
#[derive(Clone, Debug)]
pub struct Target {
    /// The points: those where these parameters have these values.
    pub at: BTreeMap<String, toml::Value>,
    /// At most.
    pub expect: Expect,
}

/// Limits of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of all are not above it.
    pub p50: Option<Duration>,
    /// 99 of 100 are not above it.
    pub p99: Option<Duration>,
    /// None is above it.
    pub max: Option<Duration>,
}

impl Expect {
    /// The groups of [`life_changes_of`](Self::life_changes_of): who is in each, and its limit.
    pub(crate) fn groups_with_limits<'a>(
        &'a self,
        nodes: &'a Nodes,
    ) -> impl Iterator<Item = (&'a Group, Vec<usize>, u64)> {
        // None of them is random.
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut members = move |group: &Group, others: &[usize]| {
            group.resolve(nodes.count, &nodes.zones, others, &mut rng)
        };
        let named = self.life_changes_of.iter().filter(|(group, _)| !group.is_rest());
        let named: Vec<usize> = named.flat_map(|(group, _)| members(group, &[])).collect();
        self.life_changes_of.iter().map(move |(group, most)| (group, members(group, &named), *most))
    }
}

impl TimedFault {
    /// The same, but it begins so much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { at: self.at + wait, ..self }
    }

    /// The same, but it ends after so long.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts: Some(lasts), ..self }
    }
}

impl From<Fault> for TimedFault {
    /// At once, and without an end.
    fn from(fault: Fault) -> Self {
        Self { at: Duration::ZERO, lasts: None, fault }
    }
}

impl Fault {
    /// Whether it uses what was sent before.
    pub(crate) const fn needs_recordings(&self) -> bool {
        match self {
            Self::Attack(attack) => Attacker::records(attack.kind),
            _ => false,
        }
    }

    /// Its key in a file.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Link { .. } => "link",
            Self::Cut(_) => "cut",
            Self::FlipFlop { .. } => "flip_flop",
            Self::Swizzle { .. } => "swizzle",
            Self::Crash { .. } => "crash",
            Self::Restart { .. } => "restart",
            Self::Leave { .. } => "leave",
            Self::RollingRestart { .. } => "rolling_restart",
            Self::Freeze { .. } => "freeze",
            Self::Stall { .. } => "stall",
            Self::Slow { .. } => "slow",
            Self::SmallBuffer { .. } => "small_buffer",
            Self::ReuseAddress { .. } => "reuse_address",
            Self::DuplicateName { .. } => "duplicate_name",
            Self::Clock { .. } => "clock",
            Self::Dns { .. } => "dns",
            Self::Attack(_) => "attack",
        }
    }

    /// The nodes that it is about; none if several groups are.
    pub(crate) const fn nodes(&self) -> Option<&Group> {
        Some(match self {
            Self::Link { .. }
            | Self::Cut(Cut::OneWay { .. } | Cut::Islands(_) | Cut::Majorities) => return None,
            Self::Cut(Cut::Off(nodes) | Cut::Bridge(nodes))
            | Self::FlipFlop { nodes, .. }
            | Self::Swizzle { nodes, .. }
            | Self::Crash { nodes }
            | Self::Restart { nodes, .. }
            | Self::Leave { nodes, .. }
            | Self::RollingRestart { nodes, .. }
            | Self::Freeze { nodes }
            | Self::Stall { nodes }
            | Self::Slow { nodes, .. }
            | Self::SmallBuffer { nodes, .. }
            | Self::ReuseAddress { nodes }
            | Self::DuplicateName { nodes }
            | Self::Clock { nodes, .. }
            | Self::Dns { nodes, .. }
            | Self::Attack(Attack { nodes, .. }) => nodes,
        })
    }
}
