//! Scenarios made up by chance, within ranges in which a correct product must pass.
//!
//! It writes the text of a scenario and runs nothing. The same seed gives the same scenario.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use toml::{Table, Value};

use crate::scenario::{Ranges, Scenario, ScenarioError};

/// No fault begins earlier, or lasts shorter, in milliseconds.
const EARLIEST: u64 = 500;
const SHORTEST: u64 = 200;

/// What a scenario that is drawn has from the file that says within what.
const KEPT: [&str; 7] =
    ["why", "expected", "source", "liveness", "known_misses", "config", "detector"];

/// After the faults: twice the longest cadence of look-ups, by which islands meet again.
const LIVENESS: &str = "180s";

/// What loses datagrams on every link, all the time.
const LOSSY: [&str; 3] = ["loss", "corrupt", "truncate"];

/// Draws a scenario that a correct product passes, whatever the seed.
///
/// Every kind of fault is drawn, several at once; each process fault gets nodes of its own, so that
/// none of them meets a process that another has ended. At least half of the seeds of the cluster
/// stay.
pub fn swarm(seed: u64) -> Scenario {
    drawn(&format!("swarm-{seed}"), &Table::new(), &Ranges::default(), seed)
        .unwrap_or_else(|error| panic!("seed {seed} draws no scenario: {error}"))
}

/// Draws within other ranges. `file` says what there is besides nodes, network and faults.
pub(crate) fn drawn(
    name: &str,
    file: &Table,
    ranges: &Ranges,
    seed: u64,
) -> Result<Scenario, ScenarioError> {
    let mut table = Draw::new(ranges, seed).scenario(seed);
    for key in KEPT {
        if let Some(value) = file.get(key) {
            table.insert(key.to_owned(), value.clone());
        }
    }
    Scenario::parse(name, &table.to_string())
}

struct Draw<'a> {
    rng: ChaCha8Rng,
    ranges: &'a Ranges,
    nodes: usize,
    /// Nodes that no process fault is about yet.
    free: Vec<usize>,
    /// Whether what was drawn may make nodes wrong about others that nothing was done to.
    confusing: bool,
}

impl<'a> Draw<'a> {
    fn new(ranges: &'a Ranges, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes = rng.random_range(ranges.nodes.clone());
        // n0 stays, as the seed that there always is.
        let mut free: Vec<usize> = (1..nodes).collect();
        free.shuffle(&mut rng);
        Self { rng, ranges, nodes, free, confusing: false }
    }

    fn scenario(&mut self, seed: u64) -> Table {
        let mut table = Table::new();
        let text = |text: &str| Value::String(text.to_owned());
        table.insert("why".to_owned(), text("Whatever comes, in any combination."));
        table.insert("expected".to_owned(), text("No rule is broken, and one view after it."));
        table.insert("source".to_owned(), text("chance"));
        table.insert("seeds".to_owned(), text(&seed.to_string()));
        table.insert("liveness".to_owned(), text(LIVENESS));
        table.insert("nodes".to_owned(), self.nodes_table().into());
        let network = self.network();
        if LOSSY.iter().any(|key| network.contains_key(*key)) {
            // Somebody is suspected now and then, and nobody is to blame.
            table.insert("quiet".to_owned(), text("0s"));
        }
        table.insert("network".to_owned(), network.into());
        // Chance may give a fault nothing to do: a short one of DNS, a buffer that never overflows.
        table.insert("all_faults_happen".to_owned(), Value::Boolean(false));
        let faults = self.rng.random_range(self.ranges.faults.clone());
        let faults: Vec<Value> = (0..faults).map(|_| Value::Table(self.fault())).collect();
        table.insert("fault".to_owned(), Value::Array(faults));
        if self.confusing {
            let pairs = i64::try_from(self.nodes * self.nodes).unwrap_or(i64::MAX);
            let mut expect = Table::new();
            // So many that it does not matter: what must hold is that it ends.
            expect.insert("false_downs".to_owned(), Value::Integer(1_000 * pairs));
            expect.insert("life_changes".to_owned(), Value::Integer(1_000 * pairs));
            table.insert("expect".to_owned(), expect.into());
        }
        table
    }

    fn nodes_table(&mut self) -> Table {
        let zones = self.rng.random_range(2..=3);
        let zones = ["a", "b", "c"].into_iter().take(zones).map(|zone| zone.to_owned().into());
        let mut table = Table::new();
        table.insert("count".to_owned(), Value::Integer(self.nodes as i64));
        table.insert("zones".to_owned(), Value::Array(zones.collect()));
        table.insert("seeds".to_owned(), self.pick(&["all", "half", "first(2)"]));
        let spread = self.millis(0..=2_000);
        table.insert("spread".to_owned(), spread);
        table
    }

    /// What a good network does, and a bad one on which nobody is wronged.
    fn network(&mut self) -> Table {
        let mut table = Table::new();
        if self.coin(2) {
            let (key, value) = self.latency();
            table.insert(key, value);
        }
        if self.coin(3) {
            self.confusing = true;
            table.insert("loss".to_owned(), self.part(5));
        }
        for (key, percent) in [("duplicate", 20), ("reorder", 20), ("corrupt", 2), ("truncate", 2)]
        {
            if self.coin(5) {
                self.confusing |= percent == 2;
                table.insert(key.to_owned(), self.part(percent));
            }
        }
        table
    }

    fn latency(&mut self) -> (String, Value) {
        let mut table = Table::new();
        let keys = match self.rng.random_range(0..4) {
            0 => return ("latency".to_owned(), self.millis(1..=40)),
            1 => [("min", 1..=10), ("max", 20..=60)],
            2 => [("least", 1..=10), ("mean", 5..=20)],
            _ => {
                table.insert("percent".to_owned(), Value::Integer(self.rng.random_range(1..=10)));
                [("usual", 1..=10), ("rare", 40..=80)]
            }
        };
        for (key, range) in keys {
            let span = self.millis(range);
            table.insert(key.to_owned(), span);
        }
        ("latency".to_owned(), table.into())
    }

    fn fault(&mut self) -> Table {
        let mut fault = match self.rng.random_range(0..10) {
            0..=2 => self.cut(),
            3 => self.link(),
            4 => self.outside(),
            _ => self.process().unwrap_or_else(|| self.cut()),
        };
        let latest = millis(self.ranges.begin_within).max(EARLIEST);
        let at = self.millis(EARLIEST..=latest);
        fault.insert("at".to_owned(), at);
        fault
    }

    /// A part of the network that does not reach another.
    fn cut(&mut self) -> Table {
        self.confusing = true;
        let group = ["half", "third", "random(1)", "random(2)", "zone:a", "zone:b"];
        let nodes = self.pick(&group);
        let (kind, inner) = match self.rng.random_range(0..8) {
            0..=1 => ("cut", one("off", nodes)),
            2 => {
                let islands: [Value; 2] = ["zone:a", "zone:b"].map(Value::from);
                ("cut", one("islands", Value::Array(islands.to_vec())))
            }
            3 => {
                let mut cut = one("from", self.pick(&["half", "zone:a", "node[0]"]));
                cut.insert("to".to_owned(), "rest".into());
                ("cut", cut)
            }
            4 => ("cut", one("majorities", Value::Boolean(true))),
            5 => {
                let mut flip = one("nodes", nodes);
                let period = self.millis(1_000..=10_000);
                flip.insert("period".to_owned(), period);
                flip.insert("ingress".to_owned(), Value::Boolean(self.coin(2)));
                ("flip_flop", flip)
            }
            6 => {
                // Long enough for each to be clogged and released.
                let mut swizzle = one("nodes", self.pick(&["random(2)", "random(3)"]));
                swizzle.insert("step".to_owned(), self.millis(500..=2_000));
                let mut fault = one("swizzle", swizzle.into());
                self.lasts(&mut fault, 15_000..=30_000);
                return fault;
            }
            _ => {
                let middle = self.rng.random_range(0..self.nodes);
                ("cut", one("bridge", format!("node[{middle}]").into()))
            }
        };
        let mut fault = one(kind, inner.into());
        self.lasts(&mut fault, self.usual());
        fault
    }

    /// Links that are worse than others for a while.
    fn link(&mut self) -> Table {
        self.confusing = true;
        let is = match self.rng.random_range(0..7) {
            0 => one("loss", self.part(80)),
            1 => {
                let mut burst = one("good", self.millis(200..=2_000));
                burst.insert("bad".to_owned(), self.millis(50..=500));
                burst.insert("loss".to_owned(), self.part(100));
                one("burst", burst.into())
            }
            2 => one("mtu", Value::Integer(self.rng.random_range(500..=1_300))),
            3 => one("bandwidth", Value::Integer(self.rng.random_range(4_000..=100_000))),
            4 => one("clog", Value::Boolean(true)),
            5 => {
                let mut replay = one("part", self.part(50));
                replay.insert("after".to_owned(), self.millis(500..=10_000));
                one("late_replay", replay.into())
            }
            _ => self.latency_only(),
        };
        let mut link = one("from", self.pick(&["all", "zone:a", "random(2)"]));
        link.insert("to".to_owned(), self.pick(&["all", "zone:b", "half"]));
        link.insert("both_ways".to_owned(), Value::Boolean(self.coin(2)));
        link.insert("is".to_owned(), is.into());
        let mut fault = one("link", link.into());
        self.lasts(&mut fault, self.usual());
        fault
    }

    fn latency_only(&mut self) -> Table {
        let (key, value) = self.latency();
        one(&key, value)
    }

    /// What comes from outside of the cluster: wrong names in DNS, and whoever is no member.
    fn outside(&mut self) -> Table {
        let mut fault = if self.coin(2) {
            let answers =
                ["empty", "no_such_name", "timeout", "stale", "partial", "disjoint", "flapping"];
            let mut dns = one("nodes", self.pick(&["all", "half", "random(2)"]));
            dns.insert("answer".to_owned(), self.pick(&answers));
            one("dns", dns.into())
        } else {
            let kinds = ["wrong_key", "foreign_cluster", "tamper", "replay", "reflect", "flood"];
            let mut attack = one("nodes", self.pick(&["all", "half", "random(2)"]));
            attack.insert("kind".to_owned(), self.pick(&kinds));
            attack.insert("rate".to_owned(), Value::Integer(self.rng.random_range(1..=50)));
            one("attack", attack.into())
        };
        // Nodes in company ask for their seeds once a minute.
        self.lasts(&mut fault, 3_000..=100_000);
        fault
    }

    /// Something that happens to processes, on nodes of its own; none if there are none left.
    fn process(&mut self) -> Option<Table> {
        let most = (self.nodes / 4).max(1);
        let count = self.rng.random_range(1..=most).min(self.free.len());
        // A few are left alone, so that there is somebody to be right.
        if count == 0 || self.free.len() <= self.nodes / 4 {
            return None;
        }
        let taken: Vec<usize> = self.free.drain(..count).collect();
        let nodes: Vec<String> = taken.iter().map(|node| format!("node[{node}]")).collect();
        let nodes = Value::String(nodes.join("+"));
        Some(match self.rng.random_range(0..13) {
            0 | 1 => self.maybe_for_ever("crash", nodes),
            2 => {
                let mut restart = one("nodes", nodes);
                restart.insert("new_address".to_owned(), Value::Boolean(self.coin(2)));
                if self.coin(3) {
                    let clock = self.rng.random_range(-100_000..=100_000);
                    restart.insert("clock".to_owned(), Value::Integer(clock));
                }
                one("restart", restart.into())
            }
            3 => self.paced("leave", nodes),
            4 => self.paced("rolling_restart", nodes),
            5 | 6 => self.impaired("freeze", nodes),
            7 => self.impaired("stall", nodes),
            8 => {
                let mut slow = one("nodes", nodes);
                slow.insert("per_datagram".to_owned(), self.millis(1..=50));
                self.impaired("slow", slow.into())
            }
            9 => one("reuse_address", nodes),
            10 => {
                let mut fault = one("duplicate_name", nodes);
                self.lasts(&mut fault, 5_000..=30_000);
                fault
            }
            11 => {
                let mut buffer = one("nodes", nodes);
                buffer.insert("datagrams".to_owned(), self.rng.random_range(1..=20).into());
                self.impaired("small_buffer", buffer.into())
            }
            _ => {
                let mut clock = one("nodes", nodes);
                clock.insert("drift_ppm".to_owned(), self.rng.random_range(-500..=500).into());
                clock.insert("step_seconds".to_owned(), self.rng.random_range(-5..=5).into());
                self.impaired("clock", clock.into())
            }
        })
    }

    fn paced(&mut self, kind: &str, nodes: Value) -> Table {
        let mut paced = one("nodes", nodes);
        paced.insert("every".to_owned(), self.millis(500..=8_000));
        one(kind, paced.into())
    }

    fn impaired(&mut self, kind: &str, what: Value) -> Table {
        self.confusing = true;
        let mut fault = one(kind, what);
        self.lasts(&mut fault, self.usual());
        fault
    }

    fn maybe_for_ever(&mut self, kind: &str, nodes: Value) -> Table {
        let mut fault = one(kind, nodes);
        if self.coin(2) {
            self.lasts(&mut fault, self.usual());
        }
        fault
    }

    fn usual(&self) -> std::ops::RangeInclusive<u64> {
        SHORTEST..=millis(self.ranges.last_at_most).max(SHORTEST)
    }

    fn lasts(&mut self, fault: &mut Table, range: std::ops::RangeInclusive<u64>) {
        let span = self.millis(range);
        fault.insert("for".to_owned(), span);
    }

    fn millis(&mut self, range: std::ops::RangeInclusive<u64>) -> Value {
        let span = Duration::from_millis(self.rng.random_range(range));
        humantime::format_duration(span).to_string().into()
    }

    /// So many per cent at most.
    fn part(&mut self, percent: u32) -> Value {
        Value::Float(f64::from(self.rng.random_range(1..=percent)) / 100.0)
    }

    fn pick(&mut self, from: &[&str]) -> Value {
        from[self.rng.random_range(0..from.len())].into()
    }

    /// True once in so many times.
    fn coin(&mut self, sides: u32) -> bool {
        self.rng.random_range(0..sides) == 0
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn one(key: &str, value: Value) -> Table {
    let mut table = Table::new();
    table.insert(key.to_owned(), value);
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::mem::{Discriminant, discriminant};

    use super::*;
    use crate::scenario::Fault;

    #[test]
    fn every_kind_of_fault_is_drawn_and_every_scenario_is_one() {
        let mut kinds: Vec<Discriminant<Fault>> = Vec::new();
        let mut sizes = BTreeSet::new();
        for seed in 0..400 {
            let scenario = swarm(seed);
            assert_eq!(scenario.seeds, seed..=seed);
            sizes.insert(scenario.nodes.count);
            for timed in &scenario.faults {
                let kind = discriminant(&timed.fault);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        assert_eq!(sizes.len(), Ranges::default().nodes.count(), "every size");
        assert_eq!(kinds.len(), 17, "every kind of fault");
    }

    #[test]
    fn the_scenario_that_is_shipped_draws_what_the_command_draws() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations/swarm.toml");
        let text = std::fs::read_to_string(file).expect("it is shipped");
        let shipped = Scenario::parse("swarm", &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(shipped.swarm, Some(Ranges::default()));
        let (drawn, usual) = (shipped.drawn(7).expect("a scenario"), swarm(7));
        for key in ["nodes", "network", "fault", "liveness"] {
            assert_eq!(drawn.table.get(key), usual.table.get(key), "{key}");
        }
        assert_eq!((drawn.name.as_str(), drawn.why), ("swarm", shipped.why));
    }

    #[test]
    fn other_ranges_are_kept_to() {
        let ranges = Ranges {
            nodes: 30..=31,
            faults: 2..=3,
            begin_within: Duration::from_secs(2),
            last_at_most: Duration::from_secs(1),
        };
        for seed in 0..50 {
            let drawn = drawn("far", &Table::new(), &ranges, seed).expect("a scenario");
            assert!(ranges.nodes.contains(&drawn.nodes.count));
            assert!(ranges.faults.contains(&drawn.faults.len()));
            for timed in &drawn.faults {
                assert!(timed.at <= ranges.begin_within, "{timed:?}");
                if matches!(timed.fault, Fault::Freeze { .. } | Fault::Crash { .. }) {
                    assert!(timed.lasts.is_none_or(|lasts| lasts <= ranges.last_at_most));
                }
            }
        }
    }

    #[test]
    fn a_seed_draws_the_same_scenario_each_time() {
        let text = |seed| swarm(seed).table.to_string();
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
    }
}
