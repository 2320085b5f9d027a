//! The story of a run as lines of JSON, for jq and scripts.

use std::fmt::Write;

use serde::Serialize;

use crate::outcome::{Outcome, ProcessState, Seen, Story};

/// One happening. `at` is in seconds since the start of the run, nodes are names.
#[derive(Serialize)]
struct Line<'a> {
    at: f64,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum What<'a> {
    Run { version: u32, scenario: &'a str, seed: u64, hash: String, nodes: &'a [String] },
    View { observer: &'a str, subject: &'a str, to: Seen },
    Process { node: &'a str, to: ProcessState },
    FaultBegins { fault: &'a str, nodes: Vec<&'a str> },
    FaultEnds { fault: &'a str },
    Formed,
    Sent { from: &'a str, to: &'a str, kind: &'a str, bytes: u32, arrives: Option<f64> },
}

/// What happened in a run, one JSON object a line, in the order of time.
///
/// Each has `at`, in seconds since the start, and `what`:
///
/// | `what` | further fields |
/// |---|---|
/// | `run` (the first line) | `version` (1), `scenario`, `seed`, `hash` (hexadecimal), `nodes` (all names) |
/// | `view` | `observer` sees `subject` as `to`: unknown, alive, suspect, down, left |
/// | `process` | `node` is `to`: running, frozen, crashed, left, stopped |
/// | `fault_begins` | `fault`, `nodes` |
/// | `fault_ends` | `fault` |
/// | `formed` | all views were complete |
/// | `sent` | `from`, `to`, `kind`, `bytes`, `arrives` (null if it was lost); only of the window that was asked for |
///
/// Empty if the outcome has no story.
pub fn trace_jsonl(outcome: &Outcome) -> String {
    let Some(story) = &outcome.story else { return String::new() };
    let mut lines = happenings(story);
    // Stable: what stands first in the story stays first at the same moment.
    lines.sort_by(|one, other| one.at.total_cmp(&other.at));
    let run = What::Run {
        version: super::VERSION,
        scenario: &outcome.scenario,
        seed: outcome.seed,
        hash: format!("{:016x}", outcome.hash),
        nodes: &story.nodes,
    };
    lines.insert(0, Line { at: 0.0, what: run });
    lines.iter().fold(String::new(), |mut text, line| {
        let line = serde_json::to_string(line).expect("names and numbers are JSON");
        writeln!(text, "{line}").expect("a string grows");
        text
    })
}

fn happenings(story: &Story) -> Vec<Line<'_>> {
    let name = |node: u32| story.nodes.get(node as usize).map_or("?", String::as_str);
    let mut lines = Vec::new();
    lines.extend(story.formed_at.map(|at| Line { at, what: What::Formed }));
    for fault in &story.faults {
        let nodes = fault.nodes.iter().map(|node| name(*node)).collect();
        let label = fault.label.as_str();
        lines.push(Line { at: fault.from, what: What::FaultBegins { fault: label, nodes } });
        lines.push(Line { at: fault.to, what: What::FaultEnds { fault: label } });
    }
    lines.extend(story.processes.iter().map(|change| Line {
        at: change.at,
        what: What::Process { node: name(change.node), to: change.to },
    }));
    lines.extend(story.changes.iter().map(|change| Line {
        at: change.at,
        what: What::View {
            observer: name(change.observer),
            subject: name(change.subject),
            to: change.to,
        },
    }));
    lines.extend(story.flights.iter().map(|flight| Line {
        at: flight.sent,
        what: What::Sent {
            from: name(flight.from),
            to: name(flight.to),
            kind: &flight.kind,
            bytes: flight.bytes,
            arrives: flight.arrived,
        },
    }));
    lines
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn happenings_come_in_the_order_of_time_with_names() {
        let text = trace_jsonl(&sample::run());
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["what"], "run");
        assert_eq!(lines[0]["version"], 1);
        let times: Vec<f64> =
            lines.iter().map(|line| line["at"].as_f64().expect("a time")).collect();
        assert!(times.is_sorted(), "{times:?}");
        let of = |what: &str| lines.iter().filter(|line| line["what"] == what).count();
        let story = sample::run().story.expect("it has one");
        assert_eq!(of("view"), story.changes.len());
        assert_eq!(of("sent"), story.flights.len());
        assert_eq!(of("fault_begins"), story.faults.len());
        let down = lines.iter().find(|line| line["to"] == "down").expect("somebody is down");
        assert_eq!(down["subject"], "n3");
    }

    #[test]
    fn without_a_story_there_is_nothing_to_tell() {
        let mut outcome = sample::run();
        outcome.story = None;
        assert_eq!(trace_jsonl(&outcome), "");
    }
}
