//! What came of runs as one JSON document, for other programs: figures without the story.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::{self, Comparison};
use super::groups::{self, Group};
use crate::outcome::{Expectation, Outcome, Traffic, Verdict};
use crate::scenario::DetectorMode;
use crate::sweep::{Spread, Summary};
use crate::targets::Judged;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    verdict: &'static str,
    failed: usize,
    groups: Vec<OfGroup<'a>>,
    comparisons: Vec<OfPoint<'a>>,
    targets: &'a [Judged],
    runs: Vec<OfRun<'a>>,
}

#[derive(Serialize)]
struct OfGroup<'a> {
    scenario: &'a str,
    point: &'a BTreeMap<String, toml::Value>,
    detector: DetectorMode,
    summary: Summary,
}

#[derive(Serialize)]
struct OfPoint<'a> {
    scenario: &'a str,
    point: BTreeMap<&'a str, &'a toml::Value>,
    chisme: Summary,
    baseline: Summary,
}

#[derive(Serialize)]
struct OfRun<'a> {
    scenario: &'a str,
    seed: u64,
    point: &'a BTreeMap<String, toml::Value>,
    detector: DetectorMode,
    #[serde(flatten)]
    verdict: &'a Verdict,
    failed: bool,
    expectations: &'a [Expectation],
    formed: Option<f64>,
    converged: Option<f64>,
    detection: Spread,
    first_suspicion: Spread,
    first_detection: Spread,
    last_detection: Spread,
    false_downs: u64,
    downs: u64,
    false_suspicions: u64,
    life_changes: u64,
    datagrams_per_second: f64,
    bytes_per_second: f64,
    datagrams_in_faults: Option<f64>,
    datagrams_at_rest: Option<f64>,
    bytes_at_rest: Option<f64>,
    peak_per_second: u64,
    sent: &'a BTreeMap<String, Traffic>,
    marks: &'a BTreeMap<String, u64>,
    hash: String,
    events: u64,
    virtual_seconds: f64,
}

/// What came of these runs, as one JSON document. Times are in seconds.
///
/// - `version`: 1. A reader of version 1 can rely on all fields below; more may come.
/// - `verdict`: the worst of all runs that failed and of all targets that were missed: `passed`, `unexpected`, `not_live`, `unsafe`,
///   `crashed`, `harness`. `failed`: how many runs failed.
/// - `groups`: for each point of the grid and each detector (`chisme`, `baseline`): `scenario`,
///   `point` (parameter → value), `detector`, and a `summary` over all its seeds with the fields of
///   [`Summary`].
/// - `comparisons`: for each point of which both detectors have run on the same network: `scenario`,
///   `point` without the detector, and the summaries of both, `chisme` and `baseline`.
/// - `targets`: for each point that has targets for all its seeds together: `scenario`, `point`, `runs`,
///   `expectations` as below.
/// - `runs`: for each run `scenario`, `seed`, `point`, `detector`, `verdict` with its `cause` (none
///   if it passed), `failed`; `expectations` (`what`, `wanted`, `got`, `unit`, `met`,
///   `known_miss`); the fields of [`Figures`](crate::outcome::Figures), the lists of latencies
///   as `count`, `p50`, `p99`, `max`; `marks` (what should happen → how often it did), `hash`
///   (hexadecimal), `events`, `virtual_seconds`.
pub fn json(outcomes: &[Outcome], targets: &[Judged]) -> String {
    let failed = || outcomes.iter().filter(|outcome| outcome.is_failure());
    let verdicts = failed().map(|outcome| outcome.verdict.clone());
    let worst = verdicts.chain(targets.iter().map(Judged::verdict));
    let worst = worst.fold(Verdict::Passed, Verdict::worse);
    let groups = groups::of(outcomes);
    let document = Document {
        version: super::VERSION,
        verdict: groups::verdict_name(&worst),
        failed: failed().count(),
        groups: groups.iter().map(of_group).collect(),
        comparisons: compare::compare(outcomes).into_iter().filter_map(of_point).collect(),
        targets,
        runs: outcomes.iter().map(of_run).collect(),
    };
    serde_json::to_string_pretty(&document).expect("names and numbers are JSON")
}

fn of_group<'a>(group: &Group<'a>) -> OfGroup<'a> {
    let summary = Summary::of(&group.runs);
    OfGroup { scenario: group.scenario, point: group.point, detector: group.detector, summary }
}

fn of_point(row: Comparison<'_>) -> Option<OfPoint<'_>> {
    let Comparison { scenario, point, chisme, baseline, .. } = row;
    Some(OfPoint { scenario, point, chisme: chisme?, baseline: baseline? })
}

fn of_run(outcome: &Outcome) -> OfRun<'_> {
    let figures = &outcome.figures;
    OfRun {
        scenario: &outcome.scenario,
        seed: outcome.seed,
        point: &outcome.point,
        detector: outcome.detector,
        verdict: &outcome.verdict,
        failed: outcome.is_failure(),
        expectations: &outcome.expectations,
        formed: figures.formed,
        converged: figures.converged,
        detection: Spread::of(figures.detections.iter().map(|detection| &detection.seconds)),
        first_suspicion: Spread::of(figures.first_suspicions.iter()),
        first_detection: Spread::of(figures.first_detections.iter()),
        last_detection: Spread::of(figures.last_detections.iter()),
        false_downs: figures.false_downs,
        downs: figures.downs,
        false_suspicions: figures.false_suspicions,
        life_changes: figures.life_changes,
        datagrams_per_second: figures.datagrams_per_second,
        bytes_per_second: figures.bytes_per_second,
        datagrams_in_faults: figures.datagrams_in_faults,
        datagrams_at_rest: figures.datagrams_at_rest,
        bytes_at_rest: figures.bytes_at_rest,
        peak_per_second: figures.peak_per_second,
        sent: &figures.sent,
        marks: &outcome.marks,
        hash: format!("{:016x}", outcome.hash),
        events: outcome.events,
        virtual_seconds: outcome.virtual_seconds,
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn a_program_finds_verdict_groups_and_runs() {
        let mut outcomes = sample::sweep();
        outcomes[1].verdict = Verdict::NotLive("n3 is not up".to_owned());
        let document: serde_json::Value =
            serde_json::from_str(&json(&outcomes, &sample::judged())).expect("it is JSON");
        assert_eq!(document["version"], 1);
        assert_eq!(document["verdict"], "not_live");
        assert_eq!(document["failed"], 1);
        assert_eq!(document["targets"][0]["expectations"][1]["what"], "last_detection.p50");
        let runs = document["runs"].as_array().expect("a list");
        assert_eq!(runs.len(), outcomes.len());
        assert_eq!(runs[1]["cause"], "n3 is not up");
        assert_eq!(runs[0]["detection"]["count"], outcomes[0].figures.detections.len());
        let groups = document["groups"].as_array().expect("a list");
        let of_groups: u64 =
            groups.iter().filter_map(|group| group["summary"]["runs"].as_u64()).sum();
        assert_eq!(of_groups, outcomes.len() as u64);
        assert!(groups.len() > 1);
        let beside = &document["comparisons"][1];
        assert_eq!(beside["point"]["nodes.count"], 64);
        for detector in ["chisme", "baseline"] {
            assert_eq!(beside[detector]["runs"], 2, "{beside}");
        }
    }
}
