//! Members that hear nobody and go on accusing others: nobody else pays for it.

use std::collections::BTreeMap;
use std::time::Duration;

use chisme_proto::Instant;
use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Cluster, Keep, run, secs, seeds};

fn formed(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(5));
    cluster
}

/// Nobody but `bad` was called Down by others than them, or began a new life.
fn assert_unharmed(cluster: &Cluster, bad: &[&str]) {
    let start = Instant::default();
    for label in cluster.running().iter().filter(|label| !bad.contains(&label.as_str())) {
        let counters = cluster.counters(label);
        assert_eq!((counters.lives_raised, counters.yields), (0, 0), "{label}");
        let harmed = |change: &&String| {
            let subject = change.strip_prefix("down ");
            subject.is_some_and(|subject| !bad.contains(&subject))
        };
        let changes = cluster.changes(label, start);
        assert_eq!(changes.iter().find(harmed), None, "seen by {label}");
    }
}

/// Stops reading, for each of these times, and works for ten seconds after each.
fn stall(cluster: &mut Cluster, bad: &[&str], times: &[Duration]) {
    for &time in times {
        bad.iter().for_each(|label| cluster.stall(label));
        cluster.run_for(time);
        bad.iter().for_each(|label| cluster.unstall(label));
        cluster.run_for(secs(10));
    }
    cluster.expect_complete_within(secs(30));
    cluster.run_for(secs(30));
    cluster.assert_complete();
}

#[test]
fn a_reader_that_stalls_harms_nobody_else() {
    for seed in seeds(10) {
        for time in [2, 8, 20, 33] {
            let mut cluster = formed(32, seed);
            stall(&mut cluster, &["n3"], &[secs(time)]);
            assert_unharmed(&cluster, &["n3"]);
        }
    }
}

#[test]
fn a_quarter_of_the_readers_that_stall_again_and_again_harm_nobody_else() {
    let bad = ["n0", "n3", "n6", "n9", "n12", "n15", "n18", "n21"];
    for seed in seeds(6) {
        let mut cluster = formed(32, seed);
        stall(&mut cluster, &bad, &[secs(8), secs(8), secs(20)]);
        assert_unharmed(&cluster, &bad);
    }
}

#[test]
fn two_whose_ears_fail_again_and_again_but_hear_each_other_harm_nobody_else() {
    for seed in seeds(6) {
        let mut cluster = formed(32, seed);
        let others: Vec<String> = (2..32).map(|n| format!("n{n}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        for _ in 0..2 {
            cluster.partition_oneway(&others, &["n0", "n1"]);
            cluster.run_for(secs(20));
            cluster.heal();
            cluster.run_for(secs(20));
        }
        cluster.assert_complete();
        assert_unharmed(&cluster, &["n0", "n1"]);
    }
}

#[test]
fn a_death_that_was_missed_is_learnt_from_whoever_compares() {
    for seed in seeds(20) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.crash("n5");
        cluster.expect_within(secs(20), "all suspect it", |c| {
            let mut running = c.running().into_iter();
            running.all(|label| c.when(&label, "suspect n5", since).is_some())
        });
        // While n0 is away the others conclude, and what they tell of it then is soon told enough.
        cluster.isolate("n0");
        cluster.run_for(secs(5));
        cluster.heal();
        cluster
            .expect_within(secs(5), "n0 knows too", |c| c.when("n0", "down n5", since).is_some());
    }
}

// A reader that stalled finds a refutation that the dead one sent to nobody else, and is behind all others by
// it: what they say of an older incarnation is no news. By chance it would ask 127 others first.
#[test]
fn a_death_is_learnt_also_by_who_alone_has_read_its_last_refutation() {
    let text = r#"
        why = "Whether what only one has read hides a death from it."
        expected = "All know of it."
        source = "found by lifeguard-detection"
        liveness = "20s"

        [nodes]
        count = 128
        seeds = "node[127]"

        [[fault]]
        at = "15s"
        for = "8192ms"
        stall = "node[0]"

        [[fault]]
        at = "18s"
        crash = "node[100]"

        [[fault]]
        at = "24s"
        for = "8192ms"
        stall = "node[0..8]"

        [expect]
        false_downs = 0
        "#;
    let scenario = Scenario::parse("missed", text).unwrap_or_else(|error| panic!("{error}"));
    for seed in 1..=4 {
        let outcome = run(&scenario, &BTreeMap::new(), seed, &Keep::default());
        assert_eq!(outcome.verdict, Verdict::Passed, "seed {seed}: {:?}", outcome.expectations);
    }
}
