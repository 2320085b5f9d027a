//! From the tables of a file to a scenario, and to variants of it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Group;
use super::limits::{self, DRIFT, MAX_RATE, MAX_STEP, Wrong};
use super::model::{
    Answer, Attack, AttackKind, Burst, Cut, DetectorMode, Expect, Fault, Latency, Link, Nodes,
    Quantiles, Ranges, Scenario, Target, TimedFault, Tuning,
};
use super::schema::{
    AnswerName, AttackName, AttackTable, BufferTable, ClockTable, CutTable, DetectorName, DnsTable,
    ExpectTable, FaultTable, File, FlipFlopTable, LatencyTable, LinkFaultTable, LinkTable,
    NodesTable, PacedTable, QuantilesTable, RestartTable, SeedRange, SlowTable, Span, SwarmTable,
    SwizzleTable, TargetTable,
};

/// What is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It is not TOML, or not what a scenario looks like. The text names line, column and key.
    #[error("{0}")]
    Syntax(String),
    /// Each value is possible, but not all of them together.
    #[error("{place}: {problem}")]
    Meaning {
        /// Which part.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

fn meaning(place: impl fmt::Display, problem: impl fmt::Display) -> ScenarioError {
    ScenarioError::Meaning { place: place.to_string(), problem: problem.to_string() }
}

fn wrong((place, problem): Wrong) -> ScenarioError {
    meaning(place, problem)
}

impl ScenarioError {
    /// With the line of a file in which its key stands, if it stands there.
    fn in_file(self, text: &str) -> Self {
        match self {
            Self::Meaning { place, problem } => match limits::line(text, &place) {
                Some(line) => Self::Meaning { place: format!("line {line}, {place}"), problem },
                None => Self::Meaning { place, problem },
            },
            other @ Self::Syntax(_) => other,
        }
    }
}

impl Scenario {
    /// Reads a scenario. `name` is that of its file, without `.toml`.
    ///
    /// # Errors
    /// [`ScenarioError`] names line and key, or what does not go together.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        Self::read(name, text).map_err(|error| error.in_file(text))
    }

    fn read(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let syntax = |error: toml::de::Error| ScenarioError::Syntax(error.to_string());
        let file: File = toml::from_str(text).map_err(syntax)?;
        let table: toml::Table = toml::from_str(text).map_err(syntax)?;
        let scenario = file.into_scenario(name, table)?;
        let figures: Vec<&str> = crate::report::figure_keys().collect();
        let known =
            |axis: &String| scenario.grid.contains_key(axis) || figures.contains(&axis.as_str());
        if let Some(unknown) = scenario.axes.iter().find(|axis| !known(axis)) {
            let figures = figures.join(", ");
            let problem = format!("{unknown:?} is no parameter of [grid], nor one of {figures}");
            return Err(meaning("axes", problem));
        }
        for (n, target) in scenario.targets.iter().enumerate() {
            if crate::expect::lines(&target.expect, &crate::Summary::default()).is_empty() {
                return Err(meaning(format!("target {n}"), "expects nothing"));
            }
            for (key, value) in &target.at {
                if !scenario.grid.get(key).is_some_and(|values| values.contains(value)) {
                    let problem = format!("{key} = {value} stands nowhere in [grid]");
                    return Err(meaning(format!("target {n}"), problem));
                }
            }
        }
        // A value of the grid that cannot work is known before anything runs.
        for point in scenario.points() {
            scenario.at(&point)?;
        }
        Ok(scenario)
    }

    /// The scenario as a file that [`parse`](Self::parse) reads.
    pub fn to_toml(&self) -> String {
        self.table.to_string()
    }

    /// All combinations of the parameters, or the one empty combination.
    pub fn points(&self) -> Vec<BTreeMap<String, toml::Value>> {
        let mut points = vec![BTreeMap::new()];
        for (key, values) in &self.grid {
            points = points
                .iter()
                .flat_map(|point| {
                    values.iter().map(move |value| {
                        let mut point = point.clone();
                        point.insert(key.clone(), value.clone());
                        point
                    })
                })
                .collect();
        }
        points
    }

    /// This scenario at one point of its grid, or anywhere else: with other settings, and without a
    /// grid. A key is a path: `network.loss`, `fault.0.for`, `nodes.count`.
    ///
    /// # Errors
    /// If there is no such setting, or it cannot have that value.
    pub fn at(&self, point: &BTreeMap<String, toml::Value>) -> Result<Self, ScenarioError> {
        let mut scenario = self.changed(point)?;
        if !point.is_empty() {
            scenario.grid.clear();
        }
        Ok(scenario)
    }

    /// The value of a setting, if the file has it; a path as in [`at`](Self::at).
    pub(crate) fn setting(&self, path: &str) -> Option<&toml::Value> {
        let mut steps = path.split('.');
        let first = self.table.get(steps.next()?)?;
        steps.try_fold(first, |here, step| match here {
            toml::Value::Table(inner) => inner.get(step),
            toml::Value::Array(list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// What runs with a seed: this scenario, or the one that it draws.
    ///
    /// # Errors
    /// If what the file adds does not go together with what is drawn.
    pub fn drawn(&self, seed: u64) -> Result<Self, ScenarioError> {
        match &self.swarm {
            None => Ok(self.clone()),
            Some(ranges) => crate::swarm::drawn(&self.name, &self.table, ranges, seed),
        }
    }

    /// This scenario with other settings, over the rest of its grid.
    ///
    /// # Errors
    /// Those of [`at`](Self::at).
    pub fn with(&self, settings: &BTreeMap<String, toml::Value>) -> Result<Self, ScenarioError> {
        let scenario = self.changed(settings)?;
        for point in scenario.points() {
            scenario.at(&point)?;
        }
        Ok(scenario)
    }

    fn changed(&self, settings: &BTreeMap<String, toml::Value>) -> Result<Self, ScenarioError> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        let mut table = self.table.clone();
        for (path, value) in settings {
            set(&mut table, path, value)?;
            if let Some(toml::Value::Table(grid)) = table.get_mut("grid") {
                grid.remove(path);
            }
        }
        let file: File = table.clone().try_into().map_err(|error: toml::de::Error| {
            let set: Vec<String> =
                settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            ScenarioError::Syntax(format!("with {}: {error}", set.join(", ")))
        })?;
        file.into_scenario(&self.name, table)
    }
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

/// Puts a value where a path leads to; tables on the way are made, places in lists must exist.
fn set(table: &mut toml::Table, path: &str, value: &toml::Value) -> Result<(), ScenarioError> {
    let wrong = || meaning(path, "leads to no setting of this scenario");
    if let Some((_, rest)) = path.split_once("fault.").filter(|(before, _)| before.is_empty()) {
        let faults = table.get("fault").and_then(toml::Value::as_array).map_or(0, Vec::len);
        let number = rest.split('.').next().unwrap_or_default();
        if number.parse::<usize>().is_ok_and(|number| number >= faults) {
            let problem = format!("there is no fault {number}: this scenario has {faults}, from 0");
            return Err(meaning(format!("grid.{path}"), problem));
        }
    }
    let mut steps: Vec<&str> = path.split('.').collect();
    let last = steps.pop().ok_or_else(wrong)?;
    let mut here = None::<&mut toml::Value>;
    for step in steps {
        let next = match here {
            None => table.entry(step).or_insert_with(|| toml::Value::Table(toml::Table::new())),
            Some(toml::Value::Table(inner)) => {
                inner.entry(step).or_insert_with(|| toml::Value::Table(toml::Table::new()))
            }
            Some(toml::Value::Array(list)) => {
                let place: usize = step.parse().map_err(|_| wrong())?;
                list.get_mut(place).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        here = Some(next);
    }
    let inner = match here {
        None => table,
        Some(toml::Value::Table(inner)) => inner,
        Some(_) => return Err(wrong()),
    };
    inner.insert(last.to_owned(), value.clone());
    Ok(())
}

impl File {
    fn into_scenario(self, name: &str, table: toml::Table) -> Result<Scenario, ScenarioError> {
        let swarm = match &self.swarm {
            Some(swarm) => Some(swarm.ranges()?),
            None => None,
        };
        if swarm.is_some() {
            self.leaves_room_for_chance(&table)?;
        }
        let nodes = match (self.nodes, &swarm) {
            (Some(nodes), _) => nodes,
            (None, Some(ranges)) => NodesTable::of(*ranges.nodes.end()),
            (None, None) => return Err(meaning("nodes", "is missing: [nodes] says how many")),
        };
        if !(2..=20_000).contains(&nodes.count) {
            return Err(meaning("nodes.count", "must be from 2 to 20,000"));
        }
        let nodes = Nodes {
            count: nodes.count,
            zones: nodes.zones,
            spread: nodes.spread.0,
            seeds: nodes.seeds.unwrap_or_else(|| Group::node(0)),
            formed_within: nodes.formed_within.0,
        };
        limits::grid(self.grid.iter()).map_err(wrong)?;
        // What there is at each point of a grid need not be possible without it.
        let is_point = self.grid.is_empty();
        if is_point {
            let seeds = nodes.seeds.check(nodes.count, &nodes.zones);
            seeds.map_err(|problem| meaning("nodes.seeds", problem))?;
        }
        let faults = timed(self.fault, &nodes, is_point, self.all_faults_happen)?;
        let span = |span: Option<Span>| span.map(|span| span.0);
        let config = self.config;
        let preset = config.preset.as_deref().map(str::parse).transpose();
        let preset = preset.map_err(|unknown| meaning("config.preset", unknown))?;
        let scenario = Scenario {
            name: name.to_owned(),
            why: self.why,
            expected: self.expected,
            source: self.source,
            nodes,
            config: Tuning {
                probe_period: span(config.probe_period),
                probe_timeout: span(config.probe_timeout),
                indirect_probes: config.indirect_probes,
                suspicion_timeout: span(config.suspicion_timeout),
                suspicion_stretch: config.suspicion_stretch,
                local_health: config.local_health,
                reprobe_period: span(config.reprobe_period),
                probe_retransmissions: config.probe_retransmissions,
                nacks: config.nacks,
                overhear: config.overhear,
                buddy: config.buddy,
                gossip_period: span(config.gossip_period),
                max_members: config.max_members,
                seeds_alone_min: span(config.seeds_alone_min),
                seeds_alone_max: span(config.seeds_alone_max),
                seeds_in_company: span(config.seeds_in_company),
                preset,
                refusals: config.refusals,
            },
            network: self.network.into_link().map_err(|problem| meaning("network", problem))?,
            faults,
            liveness: self.liveness.0,
            quiet: self.quiet.0,
            expect: self.expect.into_expect(),
            targets: self.target.into_iter().map(TargetTable::into_target).collect(),
            known_misses: self.known_misses,
            all_faults_happen: self.all_faults_happen,
            seeds: self.seeds.0,
            grid: self.grid,
            axes: self.axes,
            detector: match self.detector {
                DetectorName::Chisme => DetectorMode::Chisme,
                DetectorName::Baseline => DetectorMode::Baseline,
            },
            swarm,
            table,
        };
        if is_point {
            limits::config(&scenario.config).map_err(wrong)?;
        }
        limits::expect("expect", &scenario.expect).map_err(wrong)?;
        for (n, target) in scenario.targets.iter().enumerate() {
            limits::expect(&format!("target.{n}.expect"), &target.expect).map_err(wrong)?;
        }
        let possible = crate::expect::names(&scenario);
        match scenario.known_misses.iter().find(|name| !possible.contains(*name)) {
            None => Ok(scenario),
            Some(unknown) => Err(meaning(
                "known_misses",
                format!("{unknown:?} is not expected here; what is: {}", possible.join(", ")),
            )),
        }
    }
}

/// All faults in the order of their times, each as often as it begins.
fn timed(
    tables: Vec<FaultTable>,
    nodes: &Nodes,
    is_point: bool,
    all_happen: bool,
) -> Result<Vec<TimedFault>, ScenarioError> {
    let mut faults = Vec::new();
    for (n, table) in tables.into_iter().enumerate() {
        let of = table.into_faults().map_err(|problem| meaning(format!("fault.{n}"), problem))?;
        for timed in of.iter().filter(|_| is_point) {
            limits::fault(timed, nodes, all_happen)
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

/// What a swarm draws itself.
const DRAWN: [&str; 6] = ["nodes", "network", "fault", "expect", "quiet", "all_faults_happen"];

impl File {
    fn leaves_room_for_chance(&self, table: &toml::Table) -> Result<(), ScenarioError> {
        match DRAWN.iter().find(|key| table.contains_key(**key)) {
            None => Ok(()),
            Some(key) => {
                Err(meaning(key, "is drawn by chance where there is [swarm]: take out one of them"))
            }
        }
    }
}

impl SwarmTable {
    fn ranges(&self) -> Result<Ranges, ScenarioError> {
        let usual = Ranges::default();
        let range = |given: &Option<SeedRange>, usual: RangeInclusive<usize>| match given {
            None => usual,
            Some(SeedRange(range)) => {
                let end = |end: &u64| usize::try_from(*end).unwrap_or(usize::MAX);
                end(range.start())..=end(range.end())
            }
        };
        let ranges = Ranges {
            nodes: range(&self.nodes, usual.nodes),
            faults: range(&self.faults, usual.faults),
            begin_within: self.begin_within.map_or(usual.begin_within, |span| span.0),
            last_at_most: self.last_at_most.map_or(usual.last_at_most, |span| span.0),
        };
        let within = |range: &RangeInclusive<usize>, least, most| {
            least <= *range.start() && *range.end() <= most
        };
        if !within(&ranges.nodes, 4, 1_000) {
            return Err(meaning("swarm.nodes", "goes from 4 at least to 1,000 at most"));
        }
        if !within(&ranges.faults, 1, 100) {
            return Err(meaning("swarm.faults", "goes from 1 at least to 100 at most"));
        }
        Ok(ranges)
    }
}

impl TargetTable {
    fn into_target(self) -> Target {
        Target { at: self.at, expect: self.expect.into_expect() }
    }
}

impl ExpectTable {
    fn into_expect(self) -> Expect {
        let span = |span: Option<Span>| span.map(|span| span.0);
        let quantiles = |table: QuantilesTable| Quantiles {
            p50: span(table.p50),
            p99: span(table.p99),
            max: span(table.max),
        };
        Expect {
            formed_within: span(self.formed_within),
            converged_within: span(self.converged_within),
            detection: quantiles(self.detection),
            first_suspicion: quantiles(self.first_suspicion),
            first_detection: quantiles(self.first_detection),
            last_detection: quantiles(self.last_detection),
            false_downs: self.false_downs,
            downs: self.downs,
            false_suspicions: self.false_suspicions,
            life_changes: self.life_changes,
            datagrams_per_second: self.datagrams_per_second,
            bytes_per_second: self.bytes_per_second,
            datagrams_in_faults: self.datagrams_in_faults,
            datagrams_at_rest: self.datagrams_at_rest,
            bytes_at_rest: self.bytes_at_rest,
        }
    }
}

impl LinkTable {
    fn into_link(self) -> Result<Link, String> {
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
        if self.burst.as_ref().is_some_and(|burst| burst.good.0.is_zero() || burst.bad.0.is_zero())
        {
            return Err(
                "burst.good and burst.bad are above zero; `loss` alone has no bursts".to_owned()
            );
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
        Ok(Fault::Link { from, to, both_ways, link: is.into_link()? })
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
