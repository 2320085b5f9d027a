//! Sweeps: every point with every seed, the same results on any number of threads.

use std::num::NonZero;
use std::sync::atomic::Ordering;

use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, Results, Sweep, judge_targets, no_longer_missed, worst};

const CRASH: &str = r#"
why = "A crash is noticed."
expected = "By everybody."
source = "none"
liveness = "30s"
quiet = "0s"

[nodes]
count = 4

[[fault]]
at = "1s"
crash = "node[1]"

[expect]
downs = 0

[grid]
"nodes.count" = [4, 6]
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::parse("crash", text).unwrap_or_else(|error| panic!("{error}"))
}

fn sweep(text: &str, jobs: usize) -> Vec<Results> {
    let mut sweep = Sweep::new(3..6);
    sweep.jobs = NonZero::new(jobs).expect("not zero");
    sweep.run(&scenario(text), |_, _| Keep::default(), |_| ())
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let hashes = |results: Vec<Results>| {
        let runs = results.into_iter().flat_map(|results| results.runs);
        runs.map(|run| (run.point["nodes.count"].as_integer(), run.seed, run.hash))
            .collect::<Vec<_>>()
    };
    let (alone, together) = (hashes(sweep(CRASH, 1)), hashes(sweep(CRASH, 3)));
    assert_eq!(alone, together);
    let order: Vec<(Option<i64>, u64)> = alone.iter().map(|run| (run.0, run.1)).collect();
    let wanted: Vec<(Option<i64>, u64)> =
        [4, 6].into_iter().flat_map(|nodes| (3..6).map(move |seed| (Some(nodes), seed))).collect();
    assert_eq!(order, wanted);
}

#[test]
fn a_summary_pools_the_runs_of_a_point() {
    let results = sweep(CRASH, 2);
    let summary = results[1].summary();
    assert_eq!((summary.runs, summary.failed), (3, 3), "a Down was expected of nobody");
    assert_eq!((summary.downs, summary.false_downs), (15, 0));
    assert_eq!((summary.detection.count, summary.first_detection.count), (15, 3));
    assert_eq!(summary.first_suspicion.count, 3);
    let (first, all) = (summary.first_detection, summary.detection);
    assert!(summary.first_suspicion.max < first.max && first.p50 <= all.p50 && all.p50 <= all.p99);
    assert!(summary.converged.is_some_and(|converged| converged > 1.0));
    let Verdict::Unexpected(cause) = worst(&results) else { panic!("{:?}", worst(&results)) };
    assert!(cause.contains("downs is 3, not at most 0"), "{cause}");
}

#[test]
fn a_known_miss_is_no_failure_and_is_told_once_it_is_met() {
    let known = format!("known_misses = ['downs']\n{CRASH}");
    let results = sweep(&known, 2);
    assert_eq!(worst(&results), Verdict::Passed);
    assert!(no_longer_missed(&scenario(&known), &results).is_empty());
    let met = known.replace("downs = 0", "downs = 5");
    assert_eq!(no_longer_missed(&scenario(&met), &sweep(&met, 2)), ["downs"]);
}

#[test]
fn a_sweep_that_is_stopped_gives_what_is_done() {
    let mut sweep = Sweep::new(0..100);
    sweep.jobs = NonZero::<usize>::MIN;
    let (stop, mut told) = (sweep.stop.clone(), Vec::new());
    let progress = |progress: chisme_sim::Progress<'_>| {
        told.push((progress.done, progress.total, progress.failed));
        if progress.done == 3 {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let results = sweep.run(&scenario(CRASH), |_, _| Keep::default(), progress);
    assert_eq!(told, [(1, 200, 1), (2, 200, 2), (3, 200, 3)]);
    assert_eq!(results[0].runs.len() + results[1].runs.len(), 3);
}

#[test]
fn targets_are_held_against_all_seeds_of_their_points() {
    let target = "[[target]]\nat = { 'nodes.count' = 6 }\nexpect = { downs = 15, detection = { p50 = '1ms' } }\n";
    let text = format!("seeds = '3..5'\n{CRASH}\n{target}");
    let judged = judge_targets(&scenario(&text), &sweep(&text, 2));
    let [judged] = judged.as_slice() else { panic!("of one point: {judged:?}") };
    assert_eq!((judged.runs, judged.point["nodes.count"].as_integer()), (3, Some(6)));
    let met: Vec<(&str, bool)> =
        judged.expectations.iter().map(|line| (line.what.as_str(), line.met)).collect();
    assert_eq!(met, [("detection.p50", false), ("downs", true)]);
    let Verdict::Unexpected(cause) = judged.verdict() else { panic!("one is missed") };
    assert!(cause.contains("nodes.count=6, 3 runs: detection.p50 is "), "{cause}");

    let fewer = text.replace("3..5", "3..6");
    assert!(judge_targets(&scenario(&fewer), &sweep(&fewer, 2)).is_empty(), "3 of 4 seeds");
    let fixed = [("nodes.count".to_owned(), toml::Value::Integer(4))].into();
    let four = scenario(&text).with(&fixed).expect("a possible value");
    let results = Sweep::new(3..6).run(&four, |_, _| Keep::default(), |_| ());
    assert!(judge_targets(&four, &results).is_empty(), "the target is about six");
    let nothing = format!("{CRASH}\n[[target]]\nexpect = {{}}\n");
    let error = Scenario::parse("crash", &nothing).expect_err("it cannot fail").to_string();
    assert!(error.contains("target.0: expects nothing"), "{error}");
    let error = Scenario::parse("crash", &text.replace("= 6 }", "= 7 }")).expect_err("no point");
    assert!(error.to_string().contains("nodes.count = 7"), "{error}");
}

#[test]
fn rates_are_those_of_the_nodes_that_run() {
    let halved = CRASH.replace("count = 4", "count = 8").replace("[4, 6]", "[8]");
    let halved = halved.replace("quiet = \"0s\"", "quiet = \"20s\"");
    let halved =
        halved.replace("crash = \"node[1]\"", "leave = { nodes = \"half\", every = \"500ms\" }");
    for results in sweep(&halved, 2) {
        for run in results.runs {
            let rate = run.figures.datagrams_at_rest.expect("it came to rest");
            assert!((1.8..2.4).contains(&rate), "a Ping and an Ack a second, not {rate}");
        }
    }
}
