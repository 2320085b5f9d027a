//! From the tables of faults and links to the model.
//!
//! Which numbers are possible, and what a fault means for so many nodes, is asked of `limits`.

use std::time::Duration;

use super::file::{ScenarioError, meaning};
use super::limits::{self, Wrong};
use super::model::{
    Answer, Attack, AttackKind, Burst, Cut, Fault, Latency, Link, Nodes, TimedFault,
};
use super::schema::{
    AnswerName, AttackName, AttackTable, BufferTable, ClockTable, CutTable, DnsTable, FaultTable,
    FlipFlopTable, LatencyTable, LinkFaultTable, LinkTable, PacedTable, RestartTable, SlowTable,
    SwizzleTable,
};

/// All faults in the order of their times, each as often as it begins.
pub(super) fn timed(
    tables: Vec<FaultTable>,
    nodes: &Nodes,
    is_point: bool,
    all_happen: bool,
) -> Result<Vec<TimedFault>, ScenarioError> {
    let mut faults = Vec::new();
    for (n, table) in tables.into_iter().enumerate() {
        let here = |(key, problem): Wrong| match key.as_str() {
            "" => meaning(format!("fault.{n}"), problem),
            key => meaning(format!("fault.{n}.{key}"), problem),
        };
        let of = table.into_faults().map_err(here)?;
        for timed in of.iter().filter(|_| is_point) {
            limits::fault(timed, nodes.count, &nodes.zones, all_happen).map_err(here)?;
        }
        faults.extend(of);
    }
    faults.sort_by_key(|fault| fault.at);
    if is_point {
        limits::survivors(&faults, nodes).map_err(|problem| meaning("fault", problem))?;
    }
    Ok(faults)
}

/// The lines of one `[[fault]]`, without these words; `at` is zero if it is not said.
impl TryFrom<&str> for TimedFault {
    type Error = ScenarioError;

    fn try_from(text: &str) -> Result<Self, ScenarioError> {
        let syntax = |error: toml::de::Error| ScenarioError::Syntax(error.to_string());
        let table: FaultTable = toml::from_str(text).map_err(syntax)?;
        if table.again.is_some() {
            let problem = "is for files: begin the fault again, or end it and begin another";
            return Err(meaning("again", problem).in_file(text));
        }
        let of_all = |key: String| if key.is_empty() { "fault".to_owned() } else { key };
        let fault = table.into_fault();
        fault.map_err(|(key, problem)| meaning(of_all(key), problem).in_file(text))
    }
}

impl LinkTable {
    pub(super) fn into_link(self) -> Link {
        Link {
            latency: self.latency.map(LatencyTable::into_latency),
            loss: self.loss,
            burst: self.burst.map(|burst| Burst {
                good: burst.good.0,
                bad: burst.bad.0,
                loss: burst.loss,
            }),
            duplicate: self.duplicate,
            reorder: self.reorder,
            corrupt: self.corrupt,
            truncate: self.truncate,
            mtu: self.mtu,
            bandwidth: self.bandwidth,
            queue: self.queue,
            clog: self.clog,
            port_unreachable: self.port_unreachable,
            late_replay: self.late_replay.map(|replay| (replay.part, replay.after.0)),
        }
    }
}

impl LatencyTable {
    const fn into_latency(self) -> Latency {
        match self {
            Self::Constant(span) => Latency::Constant(span.0),
            Self::Uniform { min, max } => Latency::Uniform(min.0, max.0),
            Self::Exponential { least, mean } => Latency::Exponential(least.0, mean.0),
            Self::Bimodal { usual, rare, percent } => Latency::Bimodal(usual.0, rare.0, percent),
        }
    }
}

/// The most times that one entry of a file may begin again.
const MAX_AGAIN: u32 = 1_000;

impl FaultTable {
    /// The fault, and the same again as often as the file says.
    fn into_faults(mut self) -> Result<Vec<TimedFault>, Wrong> {
        let again = self.again.take();
        let first = self.into_fault()?;
        let (times, pause) =
            again.map_or((0, Duration::ZERO), |again| (again.times, again.pause.0));
        let Some(lasts) = first.lasts.or((times == 0).then_some(Duration::ZERO)) else {
            return Err(of_key("again", "begins again but never ends: give it a `for`"));
        };
        if let Fault::Attack(_) = first.fault
            && first.lasts.is_none()
        {
            return Err(of_key("attack", "an attack must end: give it a `for`"));
        }
        if times > MAX_AGAIN {
            let problem = format!("is {times}; at most {MAX_AGAIN} are possible");
            return Err(of_key("again.times", problem));
        }
        let nth = |n| TimedFault { at: first.at + (lasts + pause) * n, ..first.clone() };
        Ok((0..=times).map(nth).collect())
    }

    fn into_fault(self) -> Result<TimedFault, Wrong> {
        let mut kinds: Vec<Result<Fault, Wrong>> = Vec::new();
        let mut add = |kind: Option<Result<Fault, Wrong>>| kinds.extend(kind);
        add(self.link.map(|link| Ok(link.into_fault())));
        add(self.cut.map(|cut| cut.into_cut().map(Fault::Cut)));
        add(self.flip_flop.map(|FlipFlopTable { nodes, period, ingress }| {
            Ok(Fault::FlipFlop { nodes, period: period.0, ingress })
        }));
        add(self
            .swizzle
            .map(|SwizzleTable { nodes, step }| Ok(Fault::Swizzle { nodes, step: step.0 })));
        add(self.crash.map(|nodes| Ok(Fault::Crash { nodes })));
        add(self.restart.map(|RestartTable { nodes, new_address, clock }| {
            Ok(Fault::Restart { nodes, new_address, clock })
        }));
        add(self
            .leave
            .map(|PacedTable { nodes, every }| Ok(Fault::Leave { nodes, every: every.0 })));
        add(self.rolling_restart.map(|PacedTable { nodes, every }| {
            Ok(Fault::RollingRestart { nodes, every: every.0 })
        }));
        add(self.freeze.map(|nodes| Ok(Fault::Freeze { nodes })));
        add(self.stall.map(|nodes| Ok(Fault::Stall { nodes })));
        add(self.slow.map(|SlowTable { nodes, per_datagram }| {
            Ok(Fault::Slow { nodes, per_datagram: per_datagram.0 })
        }));
        add(self
            .small_buffer
            .map(|BufferTable { nodes, datagrams }| Ok(Fault::SmallBuffer { nodes, datagrams })));
        add(self.reuse_address.map(|nodes| Ok(Fault::ReuseAddress { nodes })));
        add(self.duplicate_name.map(|nodes| Ok(Fault::DuplicateName { nodes })));
        add(self.clock.map(|ClockTable { nodes, drift_ppm, step_seconds }| {
            Ok(Fault::Clock { nodes, drift_ppm, step_seconds })
        }));
        add(self.dns.map(DnsTable::into_fault));
        add(self.attack.map(|attack| Ok(Fault::Attack(attack.into_attack()))));
        let fault = match kinds.len() {
            1 => kinds.remove(0)?,
            0 => {
                return Err(of_all(
                    "says when, but not what: give it one of link, cut, flip_flop, swizzle, crash, restart, leave, rolling_restart, freeze, stall, slow, small_buffer, reuse_address, duplicate_name, clock, dns, attack",
                ));
            }
            n => return Err(of_all(format!("names {n} faults: give each its own [[fault]]"))),
        };
        limits::numbers(&fault)?;
        if self.lasts.is_some_and(|span| span.0.is_zero()) {
            let problem = "is 0s, so that nothing happens: make it longer, or leave it out";
            return Err(of_key("for", problem));
        }
        Ok(TimedFault {
            at: self.at.map_or(Duration::ZERO, |at| at.0),
            lasts: self.lasts.map(|span| span.0),
            fault,
        })
    }
}

/// What is wrong with all of a fault.
fn of_all(problem: impl Into<String>) -> Wrong {
    (String::new(), problem.into())
}

/// What is wrong with a key of a fault.
fn of_key(key: &str, problem: impl Into<String>) -> Wrong {
    (key.to_owned(), problem.into())
}

impl LinkFaultTable {
    fn into_fault(self) -> Fault {
        let Self { from, to, both_ways, is } = self;
        Fault::Link { from, to, both_ways, link: is.into_link() }
    }
}

impl CutTable {
    fn into_cut(self) -> Result<Cut, Wrong> {
        let ways = (self.off, self.from, self.to, self.islands, self.bridge, self.majorities);
        match ways {
            (Some(group), None, None, None, None, false) => Ok(Cut::Off(group)),
            (None, Some(from), Some(to), None, None, false) => Ok(Cut::OneWay { from, to }),
            (None, None, None, Some(islands), None, false) => Ok(Cut::Islands(islands)),
            (None, None, None, None, Some(group), false) => Ok(Cut::Bridge(group)),
            (None, None, None, None, None, true) => Ok(Cut::Majorities),
            _ => Err(of_key(
                "cut",
                "a cut is one of { off }, { from, to }, { islands }, { bridge }, { majorities = true }",
            )),
        }
    }
}

impl DnsTable {
    fn into_fault(self) -> Result<Fault, Wrong> {
        let answer = match (self.answer, self.addresses) {
            (AnswerName::Partial, addresses) => Answer::Partial(addresses.unwrap_or(1)),
            (_, Some(_)) => {
                return Err(of_key("dns.addresses", "goes with answer = \"partial\""));
            }
            (AnswerName::Empty, None) => Answer::Empty,
            (AnswerName::NoSuchName, None) => Answer::NoSuchName,
            (AnswerName::Timeout, None) => Answer::Timeout,
            (AnswerName::Stale, None) => Answer::Stale,
            (AnswerName::Disjoint, None) => Answer::Disjoint,
            (AnswerName::Flapping, None) => Answer::Flapping,
        };
        Ok(Fault::Dns { nodes: self.nodes, answer })
    }
}

impl AttackTable {
    fn into_attack(self) -> Attack {
        let kind = match self.kind {
            AttackName::WrongKey => AttackKind::WrongKey,
            AttackName::ForeignCluster => AttackKind::ForeignCluster,
            AttackName::Tamper => AttackKind::Tamper,
            AttackName::Replay => AttackKind::Replay,
            AttackName::Reflect => AttackKind::Reflect,
            AttackName::Flood => AttackKind::Flood,
            AttackName::Unreachable => AttackKind::Unreachable,
        };
        Attack { nodes: self.nodes, kind, rate: self.rate }
    }
}
