//! What is told of runs on a terminal: a table at the end, failures with the command that repeats
//! them, and one line per change.

use std::fmt::Write as _;

use chisme_sim::outcome::{Change, Expectation, Outcome, ProcessState, Seen, Story, Verdict};
use chisme_sim::report::{Comparison, compare};
use chisme_sim::scenario::{DetectorMode, Scenario};
use chisme_sim::{Judged, Results, Shrunk, Summary};
use comfy_table::{Cell, Color};

use super::again::Again;
use crate::style;

/// Failures that are told one by one; the others are counted.
const MAX_TOLD: usize = 10;

/// All results of one scenario and one detector.
pub(super) struct Batch {
    pub(super) scenario: Scenario,
    /// How it is found again.
    pub(super) again: Again,
    pub(super) results: Vec<Results>,
}

impl Batch {
    /// What all seeds of each point together had to come to.
    pub(super) fn judged(&self) -> Vec<Judged> {
        chisme_sim::judge_targets(&self.scenario, &self.results)
    }
}

/// What stands above the columns of [`rows`].
const HEADER: [&str; 14] = [
    "SCENARIO",
    "AT",
    "RUNS",
    "FAILED",
    "FORMED",
    "CONVERGED",
    "DETECTED p50",
    "p99",
    "BY ALL p50",
    "FALSE DOWNS",
    "NEW LIVES",
    "SENT/s IN FAULTS",
    "AT REST",
    "B/s",
];
/// Where failures are counted.
const FAILED: usize = 3;

/// Said below a table that compares.
const BRACKETS: &str = "In brackets: foca alone, as it comes, on the same network.";

/// One row for each scenario and point of its grid, and whether the baseline stands in it.
fn rows(points: &[Comparison<'_>]) -> (Vec<Vec<String>>, bool) {
    let row = |point: &Comparison<'_>| {
        let (first, second) = (point.first(), point.second());
        let alone = if point.chisme.is_none() { " (foca alone)" } else { "" };
        let both = |show: &dyn Fn(&Summary) -> String| match second {
            Some(second) => format!("{} ({})", show(first), show(second)),
            None => show(first),
        };
        let at = point.point.iter().map(|(key, value)| format!("{key}={value}"));
        vec![
            format!("{}{alone}", point.scenario),
            at.collect::<Vec<_>>().join(" "),
            first.runs.to_string(),
            first.failed.to_string(),
            both(&|sum| time(sum.formed)),
            both(&|sum| time(sum.converged)),
            both(&|sum| time(sum.detection.p50)),
            both(&|sum| time(sum.detection.p99)),
            both(&|sum| time(sum.last_detection.p50)),
            both(&|sum| sum.false_downs.to_string()),
            both(&|sum| sum.life_changes.to_string()),
            both(&|sum| rate(sum.datagrams_in_faults)),
            both(&|sum| rate(sum.datagrams_at_rest)),
            both(&|sum| format!("{:.0}", sum.bytes_per_second)),
        ]
    };
    (points.iter().map(row).collect(), points.iter().any(|point| point.second().is_some()))
}

/// The figures, for a terminal.
pub(super) fn table(outcomes: &[Outcome], colours: bool) -> String {
    let (rows, compares) = rows(&compare(outcomes));
    let mut table = style::table(colours, &HEADER);
    for row in rows {
        let cell = |(n, text): (usize, String)| {
            let red = n == FAILED && text != "0";
            if red { Cell::new(text).fg(Color::Red) } else { Cell::new(text) }
        };
        table.add_row(row.into_iter().enumerate().map(cell).collect::<Vec<_>>());
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let note = if compares { format!("{BRACKETS}\n") } else { String::new() };
    lines.join("\n") + "\n" + &note
}

/// The figures, for a page in Markdown, with what was missed.
pub(super) fn markdown(outcomes: &[Outcome]) -> String {
    let points = compare(outcomes);
    let (rows, compares) = rows(&points);
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut header = HEADER.map(str::to_lowercase).to_vec();
    header.push("missed".to_owned());
    let mut text = line(&header.iter().map(String::as_str).collect::<Vec<_>>());
    text.push_str(&line(&vec!["---"; header.len()]));
    for (row, point) in rows.iter().zip(&points) {
        let (name, at) = (format!("`{}`", row[0]), row[1].replace('|', "\\|"));
        let missed = point.missed.join(", ");
        let mut cells = vec![name.as_str(), at.as_str()];
        cells.extend(row[2..].iter().map(String::as_str));
        cells.push(&missed);
        text.push_str(&line(&cells));
    }
    if compares {
        _ = writeln!(text, "\n{BRACKETS}");
    }
    text
}

/// The name, and who detects if it is not the product.
pub(super) fn title(scenario: &Scenario) -> String {
    match scenario.detector {
        DetectorMode::Chisme => scenario.name.clone(),
        DetectorMode::Baseline => format!("{} (foca alone)", scenario.name),
    }
}

/// Failures and misses, each with its cause.
pub(super) fn failures(batches: &[Batch]) -> String {
    let mut text = String::new();
    let mut told = 0;
    let mut untold = 0;
    for batch in batches {
        for run in batch.results.iter().flat_map(|results| &results.runs) {
            if !run.is_failure() {
                continue;
            }
            if told == MAX_TOLD {
                untold += 1;
                continue;
            }
            told += 1;
            let cause = run.verdict.cause().unwrap_or_default();
            let name = title(&batch.scenario);
            _ = writeln!(text, "{name}, seed {}: {}: {cause}", run.seed, verdict(&run.verdict));
            _ = writeln!(text, "    again: {}", batch.again.command(&run.point, run));
        }
    }
    if untold > 0 {
        _ = writeln!(text, "and {untold} more");
    }
    text
}

/// Targets of all seeds together, each with what came.
pub(super) fn targets(judged: &[Judged]) -> String {
    let mut text = String::new();
    for judged in judged {
        let place = judged.place();
        for line in &judged.expectations {
            let mark = if line.met { "met   " } else { "MISSED" };
            _ = writeln!(text, "{mark}  {place}: {}", expectation(line));
        }
    }
    text
}

/// Expectations that a scenario knows to be missed, with the worst figure.
pub(super) fn known_misses(batches: &[Batch]) -> String {
    let mut text = String::new();
    for batch in batches.iter().filter(|b| b.scenario.detector == DetectorMode::Chisme) {
        for name in &batch.scenario.known_misses {
            let runs = batch.results.iter().flat_map(|results| &results.runs);
            let lines = runs.filter_map(|run| run.expectations.iter().find(|e| e.what == *name));
            let worst = lines.filter(|line| !line.met).max_by(|a, b| {
                a.got.unwrap_or(f64::INFINITY).total_cmp(&b.got.unwrap_or(f64::INFINITY))
            });
            if let Some(line) = worst {
                let name = &batch.scenario.name;
                _ = writeln!(text, "{name}: known miss: {}", expectation(line));
            }
        }
        let all = batch.scenario.seeds.clone().count() * batch.scenario.points().len();
        let ran: usize = batch.results.iter().map(|results| results.runs.len()).sum();
        if ran < all {
            // A miss may be rare.
            continue;
        }
        for name in chisme_sim::no_longer_missed(&batch.scenario, &batch.results) {
            let scenario = &batch.scenario.name;
            _ = writeln!(
                text,
                "{scenario}: {name} is no longer missed: take it out of known_misses"
            );
        }
    }
    text
}

/// `detection.p99 11.2 s, wanted at most 12 s`.
fn expectation(line: &Expectation) -> String {
    let unit = if line.unit.is_empty() { String::new() } else { format!(" {}", line.unit) };
    let number = |value: f64| {
        if value.fract() == 0.0 { format!("{value}{unit}") } else { format!("{value:.2}{unit}") }
    };
    let got = line.got.map_or_else(|| "nothing to measure".to_owned(), number);
    format!("{} {got}, wanted at most {}", line.what, number(line.wanted))
}

/// One run, all told.
pub(super) fn run(outcome: &Outcome, again: &Again, verbose: bool) -> String {
    let mut text = String::new();
    if let (true, Some(story)) = (verbose, &outcome.story) {
        text.push_str(&changes(story));
    }
    for line in &outcome.expectations {
        let mark = match (line.met, line.known_miss) {
            (true, _) => "met   ",
            (false, true) => "known ",
            (false, false) => "MISSED",
        };
        _ = writeln!(text, "{mark}  {}", expectation(line));
    }
    for (mark, count) in &outcome.marks {
        _ = writeln!(text, "{count:>8}  {mark}");
    }
    let cause = outcome.verdict.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
    _ = writeln!(
        text,
        "seed {}: {}{cause}\n{} events in {:.1} s, hash {:016x}",
        outcome.seed,
        verdict(&outcome.verdict),
        outcome.events,
        outcome.virtual_seconds,
        outcome.hash
    );
    if outcome.verdict != Verdict::Passed {
        _ = writeln!(text, "again: {}", again.command(&outcome.point, outcome));
    }
    text
}

/// Everything that happened and that anybody saw, in the order of time: at the same moment first what the
/// simulator did, then what became of processes, then who saw it.
pub(super) fn changes(story: &Story) -> String {
    let name = |node: u32| story.nodes.get(node as usize).map_or("?", String::as_str);
    // Those are as many as pairs of nodes.
    let is_told = |change: &&Change| {
        let acquainted = story.acquainted.is_some_and(|(at, _)| at.total_cmp(&change.at).is_eq());
        acquainted && change.to == Seen::Alive
    };
    let acquainted =
        story.acquainted.map(|(at, nodes)| (at, format!("{nodes} nodes begin acquainted")));
    let seen = story.changes.iter().filter(|change| !is_told(change)).map(|change| {
        let word = match change.to {
            Seen::Unknown => "forgets",
            Seen::Alive => "alive",
            Seen::Suspect => "suspect",
            Seen::Down => "down",
            Seen::Left => "left",
        };
        (change.at, format!("{}: {word} {}", name(change.observer), name(change.subject)))
    });
    let processes = story.processes.iter().map(|change| {
        let word = match change.to {
            ProcessState::Running => "runs",
            ProcessState::Frozen => "stands still",
            ProcessState::Crashed => "has crashed",
            ProcessState::Left => "has left",
            ProcessState::Stopped => "has stopped by itself",
        };
        (change.at, format!("{} {word}", name(change.node)))
    });
    let begins = story.faults.iter().map(|fault| (fault.from, format!("fault: {}", fault.label)));
    // What is of one moment has no end worth a line.
    let lasting = story.faults.iter().filter(|fault| fault.from < fault.to);
    let ends = lasting.map(|fault| (fault.to, format!("fault ends: {}", fault.label)));
    // The sort is stable.
    let doings = ends.chain(begins).chain(processes);
    let mut lines: Vec<(f64, String)> = doings.chain(acquainted).chain(seen).collect();
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    lines.iter().map(|(at, line)| format!("{at:12.6} s  {line}\n")).collect()
}

/// The JSON of a sweep with what only a command knows: whether Ctrl-C has ended it, and the smaller
/// scenario, as a file, if one was wanted.
pub(super) fn with_ending(
    document: &str,
    interrupted: bool,
    shrunk: Option<&Shrunk>,
) -> anyhow::Result<String> {
    let mut document: serde_json::Value = serde_json::from_str(document)?;
    document["interrupted"] = interrupted.into();
    if let Some(shrunk) = shrunk {
        document["shrunk"] = serde_json::json!({
            "scenario": shrunk.scenario.name, "seed": shrunk.outcome.seed, "toml": shrunk.toml,
        });
    }
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// A verdict in words.
pub(super) const fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Unexpected(_) => "missed",
        Verdict::NotLive(_) => "not live",
        Verdict::Unsafe(_) => "unsafe",
        Verdict::Crashed(_) => "a node panicked",
        Verdict::Harness(_) => "the simulation is wrong",
    }
}

fn rate(per_second: Option<f64>) -> String {
    per_second.map_or_else(|| "-".to_owned(), |per_second| format!("{per_second:.1}"))
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"))
}

#[cfg(test)]
mod tests {
    use chisme_sim::outcome::{ProcessChange, Ribbon};

    use super::*;

    #[test]
    fn that_all_begin_acquainted_is_one_line() {
        let alive = |observer, subject| Change { at: 0.0, observer, subject, to: Seen::Alive };
        let mut story = Story {
            nodes: vec!["n0".to_owned(), "n1".to_owned(), "x0".to_owned()],
            changes: vec![alive(0, 1), alive(1, 0)],
            acquainted: Some((0.0, 2)),
            ..Story::default()
        };
        story.changes.push(Change { at: 2.0, ..alive(0, 2) });
        let lines = changes(&story);
        let lines: Vec<&str> =
            lines.lines().filter_map(|line| Some(line.split_once(" s  ")?.1)).collect();
        assert_eq!(lines, ["2 nodes begin acquainted", "n0: alive x0"]);
    }

    #[test]
    fn at_the_same_moment_faults_come_before_processes_and_those_before_views() {
        let fault =
            |from, to, label: &str| Ribbon { from, to, label: label.to_owned(), nodes: vec![1] };
        let process = |at, node, to| ProcessChange { at, node, to };
        let story = Story {
            nodes: vec!["n0".to_owned(), "n1".to_owned()],
            changes: vec![
                Change { at: 0.0, observer: 0, subject: 1, to: Seen::Alive },
                Change { at: 5.0, observer: 0, subject: 1, to: Seen::Suspect },
            ],
            processes: vec![
                process(0.0, 0, ProcessState::Running),
                process(5.0, 1, ProcessState::Frozen),
                process(7.0, 1, ProcessState::Running),
            ],
            faults: vec![fault(5.0, 7.0, "frozen: node[1]"), fault(7.0, 7.0, "restart node[0]")],
            ..Story::default()
        };
        let lines = changes(&story);
        let lines: Vec<(&str, &str)> =
            lines.lines().filter_map(|line| line.trim().split_once(" s  ")).collect();
        assert_eq!(
            lines,
            [
                ("0.000000", "n0 runs"),
                ("0.000000", "n0: alive n1"),
                ("5.000000", "fault: frozen: node[1]"),
                ("5.000000", "n1 stands still"),
                ("5.000000", "n0: suspect n1"),
                ("7.000000", "fault ends: frozen: node[1]"),
                ("7.000000", "fault: restart node[0]"),
                ("7.000000", "n1 runs"),
            ]
        );
    }
}
