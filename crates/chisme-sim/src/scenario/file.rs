//! From the tables of a file to a scenario, and to variants of it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::faults::timed;
use super::limits::{self, Wrong};
use super::model::{DetectorMode, Expect, Nodes, Quantiles, Ranges, Scenario, Target, Tuning};
use super::schema::{
    DetectorName, ExpectTable, File, LivesTable, NodesTable, QuantilesTable, SeedRange, Span,
    SwarmTable, TargetTable, default_liveness,
};
use super::{Group, place};

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

pub(super) fn meaning(place: impl fmt::Display, problem: impl fmt::Display) -> ScenarioError {
    ScenarioError::Meaning { place: place.to_string(), problem: problem.to_string() }
}

fn wrong((place, problem): Wrong) -> ScenarioError {
    meaning(place, problem)
}

impl ScenarioError {
    /// With the line of a file in which its key stands, if it stands there.
    pub(super) fn in_file(self, text: &str) -> Self {
        let Self::Meaning { place, problem } = self else { return self };
        match place::line(text, &place) {
            Some(line) => meaning(format!("line {line}, {place}"), problem),
            None => Self::Meaning { place, problem },
        }
    }

    /// Of a point of `grid`: a key of it is wrong where it stands.
    fn in_grid(self, grid: &BTreeMap<String, Vec<toml::Value>>) -> Self {
        match self {
            Self::Meaning { place, problem } if grid.contains_key(&place) => {
                meaning(format!("grid.{place}"), problem)
            }
            other => other,
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
                return Err(meaning(format!("target.{n}"), "expects nothing"));
            }
            for (key, value) in &target.at {
                if !scenario.grid.get(key).is_some_and(|values| values.contains(value)) {
                    let problem = format!("{key} = {value} stands nowhere in [grid]");
                    return Err(meaning(format!("target.{n}"), problem));
                }
            }
        }
        scenario.checked()
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

    /// Itself, if each number of its network and faults is possible, which no file has vouched for if they
    /// were changed since.
    pub(crate) fn possible(self) -> Result<Self, ScenarioError> {
        let place = |place: &str, key: &str| format!("{place}.{key}");
        limits::link(&self.network)
            .map_err(|(key, problem)| meaning(place("network", &key), problem))?;
        for (n, timed) in self.faults.iter().enumerate() {
            let nodes = &self.nodes;
            limits::fault(timed, nodes.count, &nodes.zones, self.all_faults_happen)
                .map_err(|(key, problem)| meaning(place(&format!("fault.{n}"), &key), problem))?;
        }
        Ok(self)
    }

    /// This scenario with other settings, over the rest of its grid.
    ///
    /// # Errors
    /// Those of [`at`](Self::at).
    pub fn with(&self, settings: &BTreeMap<String, toml::Value>) -> Result<Self, ScenarioError> {
        self.changed(settings)?.checked()
    }

    /// Itself, if it is possible at each point of its grid: that is known before anything runs.
    fn checked(self) -> Result<Self, ScenarioError> {
        for point in self.points() {
            self.at(&point).map_err(|error| self.blame(&point, error).in_grid(&self.grid))?;
        }
        Ok(self)
    }

    /// The key of a point that cannot have its value, if it is one alone.
    fn blame(&self, point: &BTreeMap<String, toml::Value>, error: ScenarioError) -> ScenarioError {
        let ScenarioError::Syntax(problem) = &error else { return error };
        let is_wrong = |(key, value): (&String, &toml::Value)| {
            let alone = self.changed(&[(key.clone(), value.clone())].into());
            matches!(alone, Err(ScenarioError::Syntax(_))).then(|| meaning(key, problem))
        };
        point.iter().find_map(is_wrong).unwrap_or(error)
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

/// Puts a value where a path leads to; tables on the way are made, places in lists must exist.
fn set(table: &mut toml::Table, path: &str, value: &toml::Value) -> Result<(), ScenarioError> {
    let wrong = || meaning(path, "leads to no setting of this scenario");
    if let Some((_, rest)) = path.split_once("fault.").filter(|(before, _)| before.is_empty()) {
        let faults = table.get("fault").and_then(toml::Value::as_array).map_or(0, Vec::len);
        let number = rest.split('.').next().unwrap_or_default();
        if number.parse::<usize>().is_ok_and(|number| number >= faults) {
            let problem = format!("there is no fault {number}: this scenario has {faults}, from 0");
            return Err(meaning(path, problem));
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
        let mut formed = self.target.iter().enumerate().filter_map(|(n, target)| {
            target.expect.formed_within.map(|_| format!("target.{n}.expect.formed_within"))
        });
        let of_each = self.expect.formed_within.map(|_| "expect.formed_within".to_owned());
        let formed = of_each.or_else(|| formed.next());
        let nodes = nodes.into_nodes(formed)?;
        limits::grid(self.grid.iter()).map_err(wrong)?;
        // What there is at each point of a grid need not be possible without it.
        let is_point = self.grid.is_empty();
        if is_point {
            let seeds = nodes.seeds.check(nodes.count, &nodes.zones);
            seeds.map_err(|problem| meaning("nodes.seeds", problem))?;
        }
        let faults = timed(self.fault, &nodes, is_point, self.all_faults_happen)?;
        let targets = self.target.into_iter().enumerate();
        let targets: Result<_, _> = targets.map(|(n, target)| target.into_target(n)).collect();
        let span = |span: Option<Span>| span.map(|span| span.0);
        let config = self.config;
        let preset = config.preset.as_deref().map(str::parse).transpose();
        let preset = preset.map_err(|unknown| meaning("config.preset", unknown))?;
        let network = self.network.into_link();
        limits::link(&network)
            .map_err(|(key, problem)| meaning(format!("network.{key}"), problem))?;
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
                record_bytes: config.record_bytes,
                seeds_alone_min: span(config.seeds_alone_min),
                seeds_alone_max: span(config.seeds_alone_max),
                seeds_in_company: span(config.seeds_in_company),
                preset,
                refusals: config.refusals,
            },
            network,
            faults,
            liveness: self.liveness.0,
            quiet: self.quiet.0,
            expect: self.expect.into_expect()?,
            targets: targets?,
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
            limits::config(&scenario.config, &scenario.nodes).map_err(wrong)?;
            limits::groups(&scenario.expect, &scenario.nodes).map_err(wrong)?;
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

impl NodesTable {
    /// `formed` is a key by which it is expected that the nodes find each other.
    fn into_nodes(self, formed: Option<String>) -> Result<Nodes, ScenarioError> {
        if !(2..=20_000).contains(&self.count) {
            return Err(meaning("nodes.count", "must be from 2 to 20,000"));
        }
        if self.acquainted {
            let none = "nodes that are acquainted know each other from the start";
            let spread = (!self.spread.0.is_zero()).then(|| "nodes.spread".to_owned());
            let within = self.formed_within.map(|_| "nodes.formed_within".to_owned());
            if let Some(key) = spread.or(within).or(formed) {
                let problem = format!("has no meaning: {none}; take out this or nodes.acquainted");
                return Err(meaning(key, problem));
            }
        }
        let formed_within = match self.formed_within {
            Some(span) => span.0,
            None if self.acquainted => Duration::ZERO,
            None => default_liveness().0,
        };
        Ok(Nodes {
            count: self.count,
            zones: self.zones,
            spread: self.spread.0,
            acquainted: self.acquainted,
            seeds: self.seeds.unwrap_or_else(|| Group::node(0)),
            formed_within,
        })
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
    fn into_target(self, n: usize) -> Result<Target, ScenarioError> {
        let expect = self.expect.into_expect()?;
        if !expect.life_changes_of.is_empty() {
            let problem =
                "is of all seeds together: groups stand in [expect], which is of each run";
            return Err(meaning(format!("target.{n}.expect.life_changes"), problem));
        }
        Ok(Target { at: self.at, expect })
    }
}

/// Groups and their limits.
fn lives_of(groups: BTreeMap<String, u64>) -> Result<Vec<(Group, u64)>, ScenarioError> {
    let group = |(text, most): (String, u64)| match text.parse::<Group>() {
        Ok(group) if !group.is_drawn() => Ok((group, most)),
        Ok(group) => Err(format!("\"{group}\" is drawn anew each time: name who is meant")),
        Err(error) => Err(error.to_string()),
    };
    let groups: Result<_, String> = groups.into_iter().map(group).collect();
    groups.map_err(|problem| meaning("expect.life_changes", problem))
}

impl ExpectTable {
    fn into_expect(self) -> Result<Expect, ScenarioError> {
        let (life_changes, life_changes_of) = match self.life_changes {
            None => (None, Vec::new()),
            Some(LivesTable::Undisturbed(most)) => (Some(most), Vec::new()),
            Some(LivesTable::OfGroups(groups)) => (None, lives_of(groups)?),
        };
        let span = |span: Option<Span>| span.map(|span| span.0);
        let quantiles = |table: QuantilesTable| Quantiles {
            p50: span(table.p50),
            p99: span(table.p99),
            max: span(table.max),
        };
        Ok(Expect {
            formed_within: span(self.formed_within),
            converged_within: span(self.converged_within),
            detection: quantiles(self.detection),
            first_suspicion: quantiles(self.first_suspicion),
            first_detection: quantiles(self.first_detection),
            last_detection: quantiles(self.last_detection),
            false_downs: self.false_downs,
            downs: self.downs,
            false_suspicions: self.false_suspicions,
            life_changes,
            life_changes_of,
            datagrams_per_second: self.datagrams_per_second,
            bytes_per_second: self.bytes_per_second,
            datagrams_in_faults: self.datagrams_in_faults,
            datagrams_at_rest: self.datagrams_at_rest,
            bytes_at_rest: self.bytes_at_rest,
        })
    }
}
