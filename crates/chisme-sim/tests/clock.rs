//! Wall clocks that are wrong: they reach the protocol only as the session of a process.

use chisme_proto::{Event, Refusal};
use chisme_sim::{Cluster, secs, seeds};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

#[test]
fn a_clock_set_back_before_a_restart_does_not_lock_a_name() {
    for seed in seeds(20) {
        for back in [1, 60, HOUR, YEAR] {
            let mut cluster = Cluster::of(6, seed);
            cluster.expect_complete_within(secs(5));
            cluster.run_for(secs(5));
            let old = cluster.session("n5");
            let since = cluster.now();
            cluster.setup("n5").clock_offset = -back;
            cluster.restart("n5");
            cluster.expect_within(secs(6), "the new process is known", |c| {
                let new = c.session("n5");
                (0..5).all(|i| c.member(&format!("n{i}"), "n5").is_some_and(|m| m.session == new))
                    && c.is_complete()
            });
            assert!(cluster.session("n5") > old, "it went above its old session");
            cluster.run_for(secs(30));
            for i in 0..5 {
                let label = format!("n{i}");
                let seen = cluster.comings_and_goings(&label, since);
                assert_eq!(seen, ["down n5", "up n5"], "{label}, {back} s back, seed {seed}");
            }
        }
    }
}

#[test]
fn a_clock_set_back_after_a_leave_does_not_lock_a_name() {
    for seed in seeds(20) {
        let mut cluster = Cluster::of(6, seed);
        cluster.expect_complete_within(secs(5));
        cluster.leave("n5");
        cluster.run_for(secs(5));
        cluster.setup("n5").clock_offset = -HOUR;
        cluster.start("n5");
        cluster.expect_complete_within(secs(6));
        cluster.run_for(secs(30));
        cluster.assert_complete();
    }
}

#[test]
fn clocks_wrong_by_a_year_change_nothing() {
    for seed in seeds(20) {
        let mut cluster = Cluster::new(seed);
        for (label, offset) in [("n0", 0), ("ahead", YEAR), ("behind", -YEAR), ("n1", 0)] {
            cluster.setup(label).clock_offset = offset;
            cluster.start(label);
        }
        cluster.expect_complete_within(secs(5));
        let since = cluster.now();
        cluster.run_for(secs(120));
        cluster.assert_quiet(since, &[]);
        cluster.crash("ahead");
        cluster.expect_complete_within(secs(12));
        cluster.setup("ahead").clock_offset = 0;
        cluster.start("ahead");
        cluster.expect_complete_within(secs(6));
    }
}

#[test]
fn a_clock_more_than_ten_years_ahead_is_refused_and_both_are_told() {
    for seed in seeds(20) {
        let mut cluster = Cluster::of(3, seed);
        cluster.expect_complete_within(secs(5));
        let since = cluster.now();
        cluster.setup("future").clock_offset = 11 * YEAR;
        cluster.start("future");
        cluster.run_for(secs(30));
        cluster.assert_quiet(since, &["future"]);
        assert!(cluster.up_view("future").is_empty());
        let told = |label: &str, peer_refused: bool| {
            cluster.record(label).events.iter().any(|(_, event)| {
                matches!(event, Event::Refused { by_peer, reason: Refusal::SessionTooFar { .. }, .. }
                    if *by_peer == peer_refused)
            })
        };
        assert!(told("future", true) && told("n0", false), "seed {seed}");
    }
}

#[test]
fn a_clock_more_than_ten_years_behind_is_harmless() {
    for seed in seeds(10) {
        let mut cluster = Cluster::of(3, seed);
        cluster.setup("past").clock_offset = -30 * YEAR;
        cluster.start("past");
        cluster.expect_complete_within(secs(6));
    }
}
