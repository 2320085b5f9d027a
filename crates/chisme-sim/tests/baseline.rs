//! foca as it comes, on the same network with the same faults: what every claim is compared with.

use std::collections::BTreeMap;

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
    // A failed probe is all that foca tells of a suspicion; it comes within a round or two of probes.
    let suspected = theirs.figures.first_suspicions[0];
    assert!((1.0..5.0).contains(&suspected) && suspected + 4.0 < first, "{suspected}");
}

#[test]
fn a_run_of_the_baseline_repeats_exactly() {
    let hashes = || both(SIDE_BY_SIDE).map(|outcome| outcome.hash);
    let [ours, theirs] = hashes();
    assert_eq!([ours, theirs], hashes());
    assert_ne!(ours, theirs);
}

#[test]
fn both_meet_the_same_network() {
    // With a window over the whole run every datagram is told.
    let lossy = SIDE_BY_SIDE
        .replace("count = 32", "count = 6")
        .replace("[[fault]]", "[network]\nloss = 0.2\n\n[[fault]]");
    let scenario = Scenario::parse("lossy", &lossy.replace("node[9]", "node[5]"))
        .unwrap_or_else(|error| panic!("{error}"));
    let keep = |_: &_, _| Keep { story: true, window: Some((0.0, 30.0)), ..Keep::default() };
    let results = Sweep::new([1]).run(&scenario, keep, |_| ());
    // By link and place on it: how long it took, in nanoseconds, or that it was lost.
    let [ours, theirs] = [0, 1].map(|point: usize| {
        let story = results[point].runs[0].story.as_ref().expect("it was asked for");
        let mut links: BTreeMap<(u32, u32), Vec<Option<i64>>> = BTreeMap::new();
        for flight in &story.flights {
            let took = flight.arrived.map(|at| ((at - flight.sent) * 1e9).round() as i64);
            links.entry((flight.from, flight.to)).or_default().push(took);
        }
        links
    });
    let (mut arrived, mut lost) = (0, 0);
    for (link, ours) in &ours {
        let theirs = theirs.get(link).map_or(&[][..], Vec::as_slice);
        for (one, other) in ours.iter().zip(theirs) {
            match (one, other) {
                // Seconds are kept as floats.
                (Some(one), Some(other)) => {
                    assert!(one.abs_diff(*other) <= 10, "{link:?}: {one} and {other}");
                    arrived += 1;
                }
                (None, None) => lost += 1,
                _ => panic!("{link:?}: {one:?} and {other:?}"),
            }
        }
    }
    assert!(arrived > 200 && lost > 50, "{arrived}, {lost}");
}

#[test]
fn what_the_baseline_does_not_reach_is_shown_and_is_no_failure() {
    // One node is cut off and comes back: whoever it has called Down obeys it and renews.
    let cut = SIDE_BY_SIDE
        .replace("crash = \"node[9]\"", "for = \"30s\"\ncut = { off = \"node[9]\" }")
        .replace("life_changes = 99", "life_changes = 0");
    let scenario = Scenario::parse("cut", &cut).unwrap_or_else(|error| panic!("{error}"));
    let results = Sweep::new([1]).run(&scenario, |_, _| Keep::default(), |_| ());
    let [ours, theirs] = [0, 1].map(|point: usize| &results[point].runs[0]);
    assert_eq!(ours.figures.life_changes, 0);
    assert!(theirs.figures.life_changes > 10, "{}", theirs.figures.life_changes);
    assert!(matches!(theirs.verdict, Verdict::Unexpected(_)), "{:?}", theirs.verdict);
    assert!(!theirs.is_failure());
    assert_eq!(worst(&results), ours.verdict);
}
