//! The tables of a scenario file, as serde reads them: every one refuses keys that it does not know.
//!
//! What they mean is in `file`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};

use super::Group;
use super::limits::{self, LONGEST, MAX_SEEDS};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) why: String,
    pub(super) expected: String,
    pub(super) source: String,
    pub(super) nodes: Option<NodesTable>,
    #[serde(default)]
    pub(super) config: TuningTable,
    #[serde(default)]
    pub(super) network: LinkTable,
    #[serde(default)]
    pub(super) fault: Vec<FaultTable>,
    #[serde(default = "default_liveness")]
    pub(super) liveness: Span,
    #[serde(default = "default_quiet")]
    pub(super) quiet: Span,
    #[serde(default)]
    pub(super) expect: ExpectTable,
    #[serde(default)]
    pub(super) target: Vec<TargetTable>,
    #[serde(default)]
    pub(super) known_misses: Vec<String>,
    #[serde(default = "yes")]
    pub(super) all_faults_happen: bool,
    #[serde(default = "default_seeds")]
    pub(super) seeds: SeedRange,
    #[serde(default)]
    pub(super) grid: BTreeMap<String, Vec<toml::Value>>,
    #[serde(default)]
    pub(super) axes: Vec<String>,
    #[serde(default)]
    pub(super) detector: DetectorName,
    pub(super) swarm: Option<SwarmTable>,
}

const fn yes() -> bool {
    true
}

/// How long views may take to become right, after the start and after the faults.
pub(super) fn default_liveness() -> Span {
    Span(Duration::from_secs(60))
}

fn default_quiet() -> Span {
    Span(Duration::from_secs(20))
}

fn default_seeds() -> SeedRange {
    SeedRange(1..=20)
}

/// A string, and what to say of anything else.
struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// A duration as text: `1s`, `250ms`, `1m 30s`.
#[derive(Clone, Copy, Default)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_str(Text("a duration as a string, such as \"5s\""))?;
        let span = humantime::parse_duration(&text).map_err(|error| {
            D::Error::custom(format!(
                "{text:?} is no duration like \"1m 30s\" or \"250ms\": {error}"
            ))
        })?;
        if span > LONGEST {
            let longest = limits::told(LONGEST);
            let problem = format!("{text:?} is too long: at most {longest} are possible");
            return Err(D::Error::custom(problem));
        }
        Ok(Self(span))
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Seeds as text: `1..50`, both included, or a single one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedRange(pub(crate) RangeInclusive<u64>);

impl FromStr for SeedRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no range of seeds like \"1..50\"");
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let to = to.strip_prefix('=').unwrap_or(to);
        let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
        if from > to {
            return Err(wrong());
        }
        if to - from >= MAX_SEEDS {
            return Err(format!(
                "{text:?} are more than {MAX_SEEDS} seeds: take fewer here, others come with --seeds"
            ));
        }
        Ok(Self(from..=to))
    }
}

impl<'de> Deserialize<'de> for SeedRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = Text("a range as a string, such as \"1..50\"");
        deserializer.deserialize_str(wanted)?.parse().map_err(D::Error::custom)
    }
}

/// Ranges as text, both ends included.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwarmTable {
    pub(super) nodes: Option<SeedRange>,
    pub(super) faults: Option<SeedRange>,
    pub(super) begin_within: Option<Span>,
    pub(super) last_at_most: Option<Span>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DetectorName {
    #[default]
    Chisme,
    Baseline,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesTable {
    pub(super) count: usize,
    #[serde(default)]
    pub(super) zones: Vec<String>,
    #[serde(default)]
    pub(super) spread: Span,
    #[serde(default)]
    pub(super) acquainted: bool,
    pub(super) seeds: Option<Group>,
    pub(super) formed_within: Option<Span>,
}

impl NodesTable {
    /// So many, and all else as it is if nothing is said.
    pub(super) fn of(count: usize) -> Self {
        let (zones, spread, acquainted, seeds) = (Vec::new(), Span::default(), false, None);
        Self { count, zones, spread, acquainted, seeds, formed_within: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TuningTable {
    pub(super) probe_period: Option<Span>,
    pub(super) probe_timeout: Option<Span>,
    pub(super) indirect_probes: Option<u8>,
    pub(super) suspicion_timeout: Option<Span>,
    pub(super) suspicion_stretch: Option<u32>,
    pub(super) local_health: Option<u8>,
    pub(super) reprobe_period: Option<Span>,
    pub(super) probe_retransmissions: Option<u8>,
    pub(super) nacks: Option<bool>,
    pub(super) overhear: Option<bool>,
    pub(super) buddy: Option<bool>,
    pub(super) gossip_period: Option<Span>,
    pub(super) max_members: Option<usize>,
    pub(super) seeds_alone_min: Option<Span>,
    pub(super) seeds_alone_max: Option<Span>,
    pub(super) seeds_in_company: Option<Span>,
    pub(super) preset: Option<String>,
    pub(super) refusals: Option<u8>,
    pub(super) record_bytes: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkTable {
    pub(super) latency: Option<LatencyTable>,
    pub(super) loss: Option<f64>,
    pub(super) burst: Option<BurstTable>,
    pub(super) duplicate: Option<f64>,
    pub(super) reorder: Option<f64>,
    pub(super) corrupt: Option<f64>,
    pub(super) truncate: Option<f64>,
    pub(super) mtu: Option<usize>,
    pub(super) bandwidth: Option<u64>,
    pub(super) queue: Option<usize>,
    #[serde(default)]
    pub(super) clog: bool,
    #[serde(default)]
    pub(super) port_unreachable: bool,
    pub(super) late_replay: Option<ReplayTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayTable {
    pub(super) part: f64,
    pub(super) after: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BurstTable {
    pub(super) good: Span,
    pub(super) bad: Span,
    pub(super) loss: f64,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a duration of at most 30 days such as \"1ms\", or one of { min, max }, { least, mean }, { usual, rare, percent }"
)]
pub(super) enum LatencyTable {
    Constant(Span),
    Uniform { min: Span, max: Span },
    Exponential { least: Span, mean: Span },
    Bimodal { usual: Span, rare: Span, percent: u8 },
}

/// One fault: when, and exactly one of the keys that say what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultTable {
    pub(super) at: Option<Span>,
    #[serde(rename = "for")]
    pub(super) lasts: Option<Span>,
    pub(super) again: Option<AgainTable>,
    pub(super) link: Option<LinkFaultTable>,
    pub(super) cut: Option<CutTable>,
    pub(super) flip_flop: Option<FlipFlopTable>,
    pub(super) swizzle: Option<SwizzleTable>,
    pub(super) crash: Option<Group>,
    pub(super) restart: Option<RestartTable>,
    pub(super) leave: Option<PacedTable>,
    pub(super) rolling_restart: Option<PacedTable>,
    pub(super) freeze: Option<Group>,
    pub(super) stall: Option<Group>,
    pub(super) slow: Option<SlowTable>,
    pub(super) small_buffer: Option<BufferTable>,
    pub(super) reuse_address: Option<Group>,
    pub(super) duplicate_name: Option<Group>,
    pub(super) clock: Option<ClockTable>,
    pub(super) dns: Option<DnsTable>,
    pub(super) attack: Option<AttackTable>,
}

/// How often a fault that has ended begins once more, and so long after each end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgainTable {
    pub(super) times: u32,
    pub(super) pause: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkFaultTable {
    pub(super) from: Group,
    pub(super) to: Group,
    #[serde(default)]
    pub(super) both_ways: bool,
    pub(super) is: LinkTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CutTable {
    pub(super) off: Option<Group>,
    pub(super) from: Option<Group>,
    pub(super) to: Option<Group>,
    pub(super) islands: Option<Vec<Group>>,
    pub(super) bridge: Option<Group>,
    #[serde(default)]
    pub(super) majorities: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlipFlopTable {
    pub(super) nodes: Group,
    pub(super) period: Span,
    #[serde(default)]
    pub(super) ingress: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwizzleTable {
    pub(super) nodes: Group,
    pub(super) step: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestartTable {
    pub(super) nodes: Group,
    #[serde(default)]
    pub(super) new_address: bool,
    pub(super) clock: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PacedTable {
    pub(super) nodes: Group,
    #[serde(default)]
    pub(super) every: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlowTable {
    pub(super) nodes: Group,
    pub(super) per_datagram: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BufferTable {
    pub(super) nodes: Group,
    pub(super) datagrams: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockTable {
    pub(super) nodes: Group,
    #[serde(default)]
    pub(super) drift_ppm: i64,
    #[serde(default)]
    pub(super) step_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DnsTable {
    pub(super) nodes: Group,
    pub(super) answer: AnswerName,
    pub(super) addresses: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AnswerName {
    Empty,
    NoSuchName,
    Timeout,
    Stale,
    Partial,
    Disjoint,
    Flapping,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttackTable {
    pub(super) nodes: Group,
    pub(super) kind: AttackName,
    pub(super) rate: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AttackName {
    WrongKey,
    ForeignCluster,
    Tamper,
    Replay,
    Reflect,
    Flood,
    Unreachable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectTable {
    pub(super) formed_within: Option<Span>,
    pub(super) converged_within: Option<Span>,
    #[serde(default)]
    pub(super) detection: QuantilesTable,
    #[serde(default)]
    pub(super) first_suspicion: QuantilesTable,
    #[serde(default)]
    pub(super) first_detection: QuantilesTable,
    #[serde(default)]
    pub(super) last_detection: QuantilesTable,
    pub(super) false_downs: Option<u64>,
    pub(super) downs: Option<u64>,
    pub(super) false_suspicions: Option<u64>,
    pub(super) life_changes: Option<LivesTable>,
    pub(super) datagrams_per_second: Option<f64>,
    pub(super) bytes_per_second: Option<f64>,
    pub(super) datagrams_in_faults: Option<f64>,
    pub(super) datagrams_at_rest: Option<f64>,
    pub(super) bytes_at_rest: Option<f64>,
}

/// How many new lives: of those that no fault is about, or of the members of groups.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a number of new lives, or groups with a number each, such as { third = 10, rest = 0 }"
)]
pub(super) enum LivesTable {
    Undisturbed(u64),
    OfGroups(BTreeMap<String, u64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetTable {
    #[serde(default)]
    pub(super) at: BTreeMap<String, toml::Value>,
    pub(super) expect: ExpectTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuantilesTable {
    pub(super) p50: Option<Span>,
    pub(super) p99: Option<Span>,
    pub(super) max: Option<Span>,
}
