//! From the tables of faults and links to the model, each number within its limits.
//!
//! What a fault means for so many nodes is asked of `limits`.

use std::time::Duration;

use super::file::{ScenarioError, meaning};
use super::limits::{self, MAX_RATE, MAX_STEP};
use super::model::{
    Answer, Attack, AttackKind, Burst, Cut, Fault, Latency, Link, Nodes, TimedFault,
};
use super::schema::{
    AnswerName, AttackName, AttackTable, BufferTable, BurstTable, ClockTable, CutTable, DnsTable,
    FaultTable, FlipFlopTable, LatencyTable, LinkFaultTable, LinkTable, PacedTable, RestartTable,
    SlowTable, SwizzleTable,
};
use crate::clock::DRIFT;

/// All faults in the order of their times, each as often as it begins.
pub(super) fn timed(
    tables: Vec<FaultTable>,
    nodes: &Nodes,
    is_point: bool,
    all_happen: bool,
) -> Result<Vec<TimedFault>, ScenarioError> {
    let mut faults = Vec::new();
    for (n, table) in tables.into_iter().enumerate() {
        let of = table.into_faults().map_err(|problem| meaning(format!("fault.{n}"), problem))?;
        for timed in of.iter().filter(|_| is_point) {
            limits::fault(timed, nodes.count, &nodes.zones, all_happen)
                .map_err(|problem| meaning(format!("fault.{n}.{}", timed.fault.key()), problem))?;
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
            return Err(meaning("again", problem));
        }
        table.into_fault().map_err(|problem| meaning("fault", problem))
    }
}

/// No time of a burst is shorter: each costs a step of the simulation.
const SHORTEST_BURST: Duration = Duration::from_millis(1);

impl LinkTable {
    pub(super) fn into_link(self) -> Result<Link, String> {
        let burst_loss = self.burst.as_ref().map(|burst| burst.loss);
        let replayed = self.late_replay.as_ref().map(|replay| replay.part);
        let parts = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("truncate", self.truncate),
            ("burst.loss", burst_loss),
            ("late_replay.part", replayed),
        ];
        for (key, part) in parts {
            if part.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
                return Err(format!("{key} is a part of all datagrams, from 0.0 to 1.0"));
            }
        }
        if self.bandwidth == Some(0) {
            return Err("bandwidth is above zero; `clog = true` lets nothing through".to_owned());
        }
        let is_short = |burst: &BurstTable| burst.good.0.min(burst.bad.0) < SHORTEST_BURST;
        if self.burst.as_ref().is_some_and(is_short) {
            return Err(format!(
                "burst.good and burst.bad are {SHORTEST_BURST:?} or longer; `loss` alone has no bursts"
            ));
        }
        if self.queue.is_some() && self.bandwidth.is_none() {
            return Err("queue does nothing without bandwidth: give it one".to_owned());
        }
        let latency = self.latency.map(LatencyTable::into_latency).transpose()?;
        Ok(Link {
            latency,
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
        })
    }
}

impl LatencyTable {
    fn into_latency(self) -> Result<Latency, String> {
        Ok(match self {
            Self::Constant(span) => Latency::Constant(span.0),
            Self::Uniform { min, max } if min.0 > max.0 => {
                let (min, max) = (min.0, max.0);
                return Err(format!("latency.min is {min:?}; it is at most latency.max, {max:?}"));
            }
            Self::Uniform { min, max } => Latency::Uniform(min.0, max.0),
            Self::Exponential { least, mean } => Latency::Exponential(least.0, mean.0),
            Self::Bimodal { percent, .. } if percent > 100 => {
                return Err(format!("latency.percent is {percent}; it goes from 0 to 100"));
            }
            Self::Bimodal { usual, rare, percent } => Latency::Bimodal(usual.0, rare.0, percent),
        })
    }
}

/// The most times that one entry of a file may begin again.
const MAX_AGAIN: u32 = 1_000;

impl FaultTable {
    /// The fault, and the same again as often as the file says.
    fn into_faults(mut self) -> Result<Vec<TimedFault>, String> {
        let again = self.again.take();
        let first = self.into_fault()?;
        let (times, pause) =
            again.map_or((0, Duration::ZERO), |again| (again.times, again.pause.0));
        let Some(lasts) = first.lasts.or((times == 0).then_some(Duration::ZERO)) else {
            return Err("begins again but never ends: give it a `for`".to_owned());
        };
        if let Fault::Attack(_) = first.fault
            && first.lasts.is_none()
        {
            return Err("an attack must end: give it a `for`".to_owned());
        }
        if times > MAX_AGAIN {
            return Err(format!("begins again {times} times; at most {MAX_AGAIN} are possible"));
        }
        let nth = |n| TimedFault { at: first.at + (lasts + pause) * n, ..first.clone() };
        Ok((0..=times).map(nth).collect())
    }

    fn into_fault(self) -> Result<TimedFault, String> {
        let mut kinds: Vec<Result<Fault, String>> = Vec::new();
        let mut add = |kind: Option<Result<Fault, String>>| kinds.extend(kind);
        add(self.link.map(LinkFaultTable::into_fault));
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
            1 => possible(kinds.remove(0)?)?,
            0 => return Err("says when, but not what: give it one of link, cut, flip_flop, swizzle, crash, restart, leave, rolling_restart, freeze, stall, slow, small_buffer, reuse_address, duplicate_name, clock, dns, attack".to_owned()),
            n => return Err(format!("names {n} faults: give each its own [[fault]]")),
        };
        if self.lasts.is_some_and(|span| span.0.is_zero()) {
            return Err(
                "for is 0s, so that nothing happens: make it longer, or leave it out".to_owned()
            );
        }
        Ok(TimedFault {
            at: self.at.map_or(Duration::ZERO, |at| at.0),
            lasts: self.lasts.map(|span| span.0),
            fault,
        })
    }
}

/// A fault whose numbers are all within their limits.
fn possible(fault: Fault) -> Result<Fault, String> {
    let step_of = |key, seconds: i64| {
        if (-MAX_STEP..=MAX_STEP).contains(&seconds) {
            return Ok(());
        }
        Err(format!("{key} is {seconds}; it goes from -{MAX_STEP} to {MAX_STEP} seconds"))
    };
    match &fault {
        Fault::Clock { drift_ppm, .. } if !DRIFT.contains(drift_ppm) => {
            let (least, most) = (DRIFT.start(), DRIFT.end());
            return Err(format!("clock.drift_ppm is {drift_ppm}; it goes from {least} to {most}"));
        }
        Fault::Clock { step_seconds, .. } => step_of("clock.step_seconds", *step_seconds)?,
        Fault::Restart { clock: Some(seconds), .. } => step_of("restart.clock", *seconds)?,
        Fault::Slow { per_datagram, .. } if per_datagram.is_zero() => {
            return Err("slow.per_datagram is 0s and slows nobody: make it longer".to_owned());
        }
        Fault::Swizzle { step, .. } if step.is_zero() => {
            return Err("swizzle.step is 0s and clogs nobody: make it longer".to_owned());
        }
        Fault::FlipFlop { period, .. } if period.is_zero() => {
            return Err("flip_flop.period is 0s: make it longer".to_owned());
        }
        Fault::Cut(Cut::Islands(islands)) if islands.is_empty() => {
            return Err(
                "cut.islands is empty: name the groups that reach only themselves".to_owned()
            );
        }
        Fault::Attack(Attack { rate, .. }) if !(1..=MAX_RATE).contains(rate) => {
            return Err(format!("attack.rate is {rate}; it goes from 1 to {MAX_RATE} a second"));
        }
        _ => {}
    }
    Ok(fault)
}

impl LinkFaultTable {
    fn into_fault(self) -> Result<Fault, String> {
        let Self { from, to, both_ways, is } = self;
        let link = is.into_link()?;
        if link.port_unreachable {
            return Err("link.is.port_unreachable is of the whole network: put it into [network]"
                .to_owned());
        }
        if link == Link::default() {
            return Err(
                "link.is is empty and changes nothing: say what the links are like".to_owned()
            );
        }
        Ok(Fault::Link { from, to, both_ways, link })
    }
}

impl CutTable {
    fn into_cut(self) -> Result<Cut, String> {
        let ways = (self.off, self.from, self.to, self.islands, self.bridge, self.majorities);
        match ways {
            (Some(group), None, None, None, None, false) => Ok(Cut::Off(group)),
            (None, Some(from), Some(to), None, None, false) => Ok(Cut::OneWay { from, to }),
            (None, None, None, Some(islands), None, false) => Ok(Cut::Islands(islands)),
            (None, None, None, None, Some(group), false) => Ok(Cut::Bridge(group)),
            (None, None, None, None, None, true) => Ok(Cut::Majorities),
            _ => Err("a cut is one of { off }, { from, to }, { islands }, { bridge }, { majorities = true }".to_owned()),
        }
    }
}

impl DnsTable {
    fn into_fault(self) -> Result<Fault, String> {
        let answer = match (self.answer, self.addresses) {
            (AnswerName::Partial, addresses) => Answer::Partial(addresses.unwrap_or(1)),
            (_, Some(_)) => return Err("dns.addresses goes with answer = \"partial\"".to_owned()),
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
