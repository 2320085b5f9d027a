//! A scenario that fails, made smaller as long as it fails in the same way.
//!
//! It works on the text of a scenario, never on a run: what comes out is a file that fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use toml::{Table, Value};

use crate::outcome::{Outcome, Verdict};
use crate::run::{Company, Keep, run_with};
use crate::scenario::Scenario;
use crate::sweep::Point;

/// Sizes of clusters that are tried, besides half of what it is and one less.
const SIZES: [i64; 9] = [2, 3, 4, 5, 6, 8, 12, 16, 32];

/// Times are not made shorter than this.
const SHORTEST: Duration = Duration::from_millis(500);

/// How far to go.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Runs at most.
    pub runs: usize,
    /// Once it is set, the smallest scenario so far is what comes back.
    pub stop: Arc<AtomicBool>,
}

impl Default for Patience {
    /// 300 runs.
    fn default() -> Self {
        Self { runs: 300, stop: Arc::default() }
    }
}

/// A smaller scenario that fails in the same way.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// The same as a file, with its seed.
    pub toml: String,
    /// How it fails.
    pub outcome: Outcome,
    /// What was made smaller, one after another.
    pub steps: Vec<String>,
    /// How many runs it took.
    pub runs: usize,
}

/// Shrinks a scenario that fails at a point of its grid with a seed; none if it does not fail, or
/// was stopped before that was known. `told` hears of each step.
pub fn shrink(
    scenario: &Scenario,
    point: &Point,
    seed: u64,
    patience: &Patience,
    told: impl FnMut(&str),
) -> Option<Shrunk> {
    shrink_by(scenario, point, seed, patience, told, |scenario| {
        let company = Company { stop: Some(patience.stop.clone()), ..Company::default() };
        run_with(scenario, &Point::new(), seed, &Keep::default(), company)
    })
}

fn shrink_by(
    scenario: &Scenario,
    point: &Point,
    seed: u64,
    patience: &Patience,
    told: impl FnMut(&str),
    run: impl FnMut(&Scenario) -> Option<Outcome>,
) -> Option<Shrunk> {
    let mut table = scenario.at(point).and_then(|here| here.drawn(seed)).ok()?.table;
    table.remove("grid");
    table.remove("axes");
    // Of all seeds together; here is one.
    table.remove("target");
    table.insert("seeds".to_owned(), Value::String(seed.to_string()));
    let name = format!("{}-shrunk", scenario.name);
    let mut search =
        Search { name, table, patience, told, run, steps: Vec::new(), runs: 0, best: None };
    let table = search.table.clone();
    search.best = Some(search.attempt(&table).filter(|(_, outcome)| outcome.is_failure())?);
    loop {
        let before = search.steps.len();
        search.fewer_faults();
        search.fewer_nodes();
        search.shorter();
        search.simpler();
        if search.steps.len() == before || search.runs >= patience.runs {
            return search.end();
        }
    }
}

struct Search<'a, T, R> {
    name: String,
    /// The smallest so far that fails in the same way.
    table: Table,
    patience: &'a Patience,
    told: T,
    run: R,
    steps: Vec<String>,
    runs: usize,
    best: Option<(Scenario, Outcome)>,
}

impl<T: FnMut(&str), R: FnMut(&Scenario) -> Option<Outcome>> Search<'_, T, R> {
    fn attempt(&mut self, table: &Table) -> Option<(Scenario, Outcome)> {
        if self.runs >= self.patience.runs {
            return None;
        }
        // What makes no sense, such as a known miss of what is not expected, is no candidate.
        let scenario = Scenario::parse(&self.name, &table.to_string()).ok()?;
        self.runs += 1;
        let outcome = (self.run)(&scenario)?;
        Some((scenario, outcome))
    }

    /// Keeps the scenario that `change` makes of the present one, if it still fails as before.
    fn improve(&mut self, what: &str, change: impl FnOnce(&mut Table)) -> bool {
        let mut table = self.table.clone();
        change(&mut table);
        if table == self.table {
            return false;
        }
        let Some(smaller) = self.attempt(&table) else { return false };
        let alike = |(_, before): &(Scenario, Outcome)| fails_alike(&smaller.1, before);
        if !self.best.as_ref().is_some_and(alike) {
            return false;
        }
        self.best = Some(smaller);
        self.table = table;
        self.steps.push(what.to_owned());
        (self.told)(what);
        true
    }

    fn faults(&self) -> usize {
        self.table.get("fault").and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// First all of them, then halves, and so on to single ones.
    fn fewer_faults(&mut self) {
        let mut size = self.faults();
        while size > 0 {
            let mut first = 0;
            while first < self.faults() {
                let end = (first + size).min(self.faults());
                let what = match end - first {
                    1 => format!("without fault {first}"),
                    _ => format!("without faults {first} to {}", end - 1),
                };
                let left_out = self.improve(&what, |table| {
                    if let Some(Value::Array(faults)) = table.get_mut("fault") {
                        faults.drain(first..end);
                    }
                });
                first = if left_out { first } else { end };
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn fewer_nodes(&mut self) {
        let path = ["nodes".to_owned(), "count".to_owned()];
        let count = lookup(&self.table, &path).and_then(Value::as_integer).unwrap_or(0);
        let sizes: BTreeSet<i64> = SIZES.into_iter().chain([count / 2, count - 1]).collect();
        for size in sizes.into_iter().filter(|size| (2..count).contains(size)) {
            let what = format!("{size} nodes instead of {count}");
            if self.improve(&what, |table| replace(table, &path, Some(Value::Integer(size)))) {
                return;
            }
        }
    }

    /// Faults come earlier and do not last as long. How much time the nodes have afterwards stays:
    /// with less of it everything fails.
    fn shorter(&mut self) {
        for path in paths(&self.table) {
            let last = path.last().map_or("", String::as_str);
            let of_fault = path.first().is_some_and(|first| first == "fault");
            if !(of_fault && ["at", "for", "every", "step"].contains(&last)) {
                continue;
            }
            while let Some(span) = lookup(&self.table, &path).and_then(span) {
                let half = Duration::from_millis(u64::try_from(span.as_millis() / 2).unwrap_or(0));
                let text = humantime::format_duration(half).to_string();
                let what = format!("{} = {text:?}", path.join("."));
                let shorter = Value::String(text);
                if half < SHORTEST
                    || !self.improve(&what, |table| replace(table, &path, Some(shorter)))
                {
                    break;
                }
            }
        }
    }

    /// Settings go that it does not need. Not those that excuse something: without them it would
    /// fail for another reason.
    fn simpler(&mut self) {
        for path in paths(&self.table).into_iter().rev() {
            let [table, key, ..] = path.as_slice() else { continue };
            let droppable = match table.as_str() {
                "network" | "config" => true,
                "nodes" => ["spread", "zones", "seeds"].contains(&key.as_str()),
                "expect" => !["false_downs", "life_changes"].contains(&key.as_str()),
                _ => false,
            };
            if droppable {
                let path = &path[..2];
                let what = format!("without {}", path.join("."));
                self.improve(&what, |table| replace(table, path, None));
            }
        }
        self.improve("without the quiet phase", |table| {
            table.insert("quiet".to_owned(), Value::String("0s".to_owned()));
        });
    }

    fn end(self) -> Option<Shrunk> {
        let (scenario, outcome) = self.best?;
        let cause = outcome.verdict.cause().unwrap_or_default().replace('\n', " ");
        let seed = outcome.seed;
        let toml =
            format!("# {}\n# With seed {seed}: {cause}\n\n{}", kind(&outcome.verdict), self.table);
        Some(Shrunk { scenario, toml, outcome, steps: self.steps, runs: self.runs })
    }
}

/// Whether both are of one kind; of missed expectations, whether both miss one of the same, and either both
/// measured it or neither did.
fn fails_alike(one: &Outcome, other: &Outcome) -> bool {
    let missed = |outcome: &Outcome| -> BTreeSet<(String, bool)> {
        let lines = outcome.expectations.iter().filter(|line| !line.met && !line.known_miss);
        lines.map(|line| (line.what.clone(), line.got.is_some())).collect()
    };
    match (&one.verdict, &other.verdict) {
        (Verdict::Unexpected(_), Verdict::Unexpected(_)) => {
            !missed(one).is_disjoint(&missed(other))
        }
        (one, other) => one.exit_status() == other.exit_status(),
    }
}

const fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "Passes.",
        Verdict::Unexpected(_) => "An expectation is missed.",
        Verdict::NotLive(_) => "After the faults the views do not become right, or were wronged.",
        Verdict::Unsafe(_) => "A rule is broken that holds at every moment.",
        Verdict::Crashed(_) => "A node panics.",
        Verdict::Harness(_) => "The scenario or the simulator is wrong.",
    }
}

/// The paths of all values that are neither tables nor lists.
fn paths(table: &Table) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in table {
        collect(vec![key.clone()], value, &mut found);
    }
    found
}

fn collect(path: Vec<String>, value: &Value, found: &mut Vec<Vec<String>>) {
    let below = |step: String| path.iter().cloned().chain([step]).collect::<Vec<_>>();
    match value {
        Value::Table(table) => {
            table.iter().for_each(|(key, value)| collect(below(key.clone()), value, found));
        }
        Value::Array(list) => {
            let list = list.iter().enumerate();
            list.for_each(|(place, value)| collect(below(place.to_string()), value, found));
        }
        _ => found.push(path),
    }
}

fn lookup<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(first)?, |value, step| match value {
        Value::Table(table) => table.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Sets what a path leads to, or takes it out.
fn replace(table: &mut Table, path: &[String], new: Option<Value>) {
    let Some((last, way)) = path.split_last() else { return };
    let Some((first, rest)) = way.split_first() else { return };
    let inner = rest.iter().try_fold(table.get_mut(first), |value, step| {
        Some(match value? {
            Value::Table(table) => table.get_mut(step),
            Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        })
    });
    if let Some(Some(Value::Table(inner))) = inner {
        match new {
            Some(value) => inner.insert(last.clone(), value),
            None => inner.remove(last),
        };
    }
}

fn span(value: &Value) -> Option<Duration> {
    humantime::parse_duration(value.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Fault;

    const LARGE: &str = r#"
why = "Many things go wrong, and one of them matters."
expected = "It is found."
source = "none"
liveness = "40s"
seeds = "1..50"
axes = ["nodes.count"]

[nodes]
count = 12
spread = "1s"
zones = ["a", "b"]

[config]
gossip_period = "300ms"

[[fault]]
at = "2s"
for = "16s"
cut = { off = "node[1]" }

[[fault]]
at = "20s"
crash = "node[2]"

[[fault]]
at = "30s"
for = "15s"
cut = { off = "node[3..5]" }

[expect]
downs = 11
converged_within = "39s"

[grid]
"nodes.count" = [12, 14]
"#;

    #[test]
    fn what_does_not_matter_goes() {
        let scenario = Scenario::parse("large", LARGE).unwrap_or_else(|error| panic!("{error}"));
        let point = scenario.points().remove(1);
        let mut heard = 0;
        let shrunk = shrink(&scenario, &point, 3, &Patience::default(), |_| heard += 1);
        let shrunk = shrunk.expect("it fails");
        assert!(matches!(shrunk.outcome.verdict, Verdict::Unexpected(_)), "{:?}", shrunk.outcome);
        assert_eq!(heard, shrunk.steps.len());
        assert_eq!(shrunk.scenario.faults.len(), 1, "{}", shrunk.toml);
        assert!(shrunk.scenario.nodes.count < 14, "{}", shrunk.toml);
        assert!(shrunk.scenario.config.gossip_period.is_none());
        assert_eq!(shrunk.scenario.seeds, 3..=3);
        assert_eq!(shrunk.scenario.liveness, scenario.liveness, "that would be cheating");
        // What is printed runs, and fails.
        let again =
            Scenario::parse("again", &shrunk.toml).unwrap_or_else(|error| panic!("{error}"));
        let outcome = crate::run(&again, &Point::new(), 3, &Keep::default());
        assert_eq!(outcome.verdict, shrunk.outcome.verdict);
    }

    #[test]
    fn a_failure_of_another_kind_is_not_taken_for_it() {
        let scenario = Scenario::parse("large", LARGE).unwrap_or_else(|error| panic!("{error}"));
        // A product that crashes when n2 does, and is wrong in another way without that.
        let run = |scenario: &Scenario| {
            let crash = |fault: &Fault| matches!(fault, Fault::Crash { .. });
            let company = Company::default();
            let outcome = run_with(scenario, &Point::new(), 1, &Keep::default(), company);
            let mut outcome = outcome.expect("nobody stops it");
            outcome.verdict = match scenario.faults.iter().any(|timed| crash(&timed.fault)) {
                true => Verdict::Crashed("n2 is gone".to_owned()),
                false => Verdict::Unsafe("something else".to_owned()),
            };
            Some(outcome)
        };
        let patience = Patience::default();
        let shrunk = shrink_by(&scenario, &Point::new(), 1, &patience, |_| (), run);
        let shrunk = shrunk.expect("it fails");
        let [timed] = &shrunk.scenario.faults[..] else { panic!("{}", shrunk.toml) };
        assert!(matches!(timed.fault, Fault::Crash { .. }) && timed.at < Duration::from_secs(1));
        assert_eq!(shrunk.scenario.nodes.count, 3);
        assert!(shrunk.toml.contains("# A node panics.\n# With seed 1: n2 is gone\n"));
    }

    #[test]
    fn what_there_is_nothing_to_measure_of_is_another_failure() {
        let text = "why = ''\nexpected = ''\nsource = ''\n[nodes]\ncount = 6\n[[fault]]\nat = '5s'\n\
                    crash = 'node[2]'\n[expect]\ndowns = 0\ndetection.max = '60s'";
        let scenario = Scenario::parse("crash", text).unwrap_or_else(|error| panic!("{error}"));
        let shrunk = shrink(&scenario, &Point::new(), 3, &Patience::default(), |_| ());
        let shrunk = shrunk.expect("it fails");
        // Without a fault nobody is called Down, and nobody's death can be detected.
        assert_eq!(shrunk.scenario.faults.len(), 1, "{}", shrunk.toml);
        let cause = shrunk.outcome.verdict.cause().unwrap_or_default();
        assert!(cause.contains("downs is "), "{cause}");
    }

    #[test]
    fn what_does_not_fail_is_not_shrunk() {
        let text = LARGE.replace("downs = 11", "downs = 999");
        let scenario = Scenario::parse("large", &text).unwrap_or_else(|error| panic!("{error}"));
        let shrunk = shrink(&scenario, &Point::new(), 3, &Patience::default(), |_| ());
        assert!(shrunk.is_none(), "{shrunk:?}");
    }

    #[test]
    fn patience_has_an_end() {
        let scenario = Scenario::parse("large", LARGE).unwrap_or_else(|error| panic!("{error}"));
        let patience = Patience { runs: 4, ..Patience::default() };
        let shrunk = shrink(&scenario, &Point::new(), 3, &patience, |_| ()).expect("it fails");
        assert_eq!(shrunk.runs, 4);
    }
}
