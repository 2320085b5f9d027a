//! foca as it comes, on the same network with the same faults: what every claim is compared with.

use chisme_sim::outcome::{Outcome, Verdict};
use chisme_sim::scenario::{DetectorMode, Scenario};
use chisme_sim::{Keep, Sweep, worst};

const SIDE_BY_SIDE: &str = r#"
why = "One crash, seen by both detectors."
expected = "Both see it."
source = "none"
liveness = "120s"
quiet = "0s"
detector = "baseline"

[nodes]
count = 32
formed_within = "240s"

[[fault]]
at = "1s"
crash = "node[9]"

[expect]
false_downs = 0
life_changes = 99

[grid]
detector = ["chisme", "baseline"]
"#;

/// The outcome of production, and that of the baseline.
fn both(text: &str) -> [Outcome; 2] {
    let scenario = Scenario::parse("both", text).unwrap_or_else(|error| panic!("{error}"));
    let results = Sweep::new([1]).run(&scenario, |_, _| Keep::default(), |_| ());
    let outcomes: Vec<Outcome> = results.into_iter().flat_map(|results| results.runs).collect();
    outcomes.try_into().expect("one seed for each detector")
}

#[test]
fn both_see_a_crash_and_only_one_authenticates() {
    let [ours, theirs] = both(SIDE_BY_SIDE);
    assert_eq!((ours.detector, theirs.detector), (DetectorMode::Chisme, DetectorMode::Baseline));
    for outcome in [&ours, &theirs] {
        assert_eq!(outcome.verdict, Verdict::Passed, "{:?}", outcome.detector);
        assert!(outcome.figures.formed.is_some());
        assert_eq!(outcome.figures.detections.len(), 31, "{:?}", outcome.detector);
    }
    assert!(theirs.figures.sent.contains_key("ack") && !theirs.figures.sent.contains_key("hello"));
    // foca's own LAN preset waits for 4 periods times the logarithm of the members.
    let first = theirs.figures.first_detections[0];
    assert!((5.0..20.0).contains(&first), "{first}");
}

#[test]
fn a_run_of_the_baseline_repeats_exactly() {
    let hashes = || both(SIDE_BY_SIDE).map(|outcome| outcome.hash);
    let [ours, theirs] = hashes();
    assert_eq!([ours, theirs], hashes());
    assert_ne!(ours, theirs);
}

#[test]
fn what_the_baseline_does_not_reach_is_shown_and_is_no_failure() {
    // One node is cut off and comes back: it obeys whoever calls it Down, and spreads that all others are.
    let cut =
        SIDE_BY_SIDE.replace("crash = \"node[9]\"", "for = \"30s\"\ncut = { off = \"node[9]\" }");
    let scenario = Scenario::parse("cut", &cut).unwrap_or_else(|error| panic!("{error}"));
    let results = Sweep::new([1]).run(&scenario, |_, _| Keep::default(), |_| ());
    let [ours, theirs] = [0, 1].map(|point: usize| &results[point].runs[0]);
    assert_eq!(ours.figures.false_downs, 0);
    assert!(theirs.figures.false_downs > 100, "{}", theirs.figures.false_downs);
    assert!(matches!(theirs.verdict, Verdict::Unexpected(_) | Verdict::NotLive(_)));
    assert!(!theirs.is_failure());
    assert_eq!(worst(&results), ours.verdict);
}
