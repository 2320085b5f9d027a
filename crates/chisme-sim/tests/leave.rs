//! A node that says goodbye is reported Left, never Down.

use chisme_proto::{Command, MemberState, StopReason};
use chisme_sim::{Cluster, millis, secs, seeds};

fn formed(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(5));
    cluster
}

#[test]
fn one_that_leaves_is_left_in_all_views() {
    for seed in seeds(40) {
        let mut cluster = formed(16, seed);
        let leaver = format!("n{}", seed % 16);
        let since = cluster.now();
        cluster.leave(&leaver);
        cluster.expect_within(secs(1), "it stops", |c| !c.is_running(&leaver));
        assert_eq!(cluster.stopped(&leaver), Some(StopReason::Left));
        cluster.expect_complete_within(secs(3));
        cluster.run_for(secs(60));
        assert_eq!(cluster.count(&format!("left {leaver}"), since), 15);
        assert_eq!(cluster.count_kind("down", since), 0);
        let observer = format!("n{}", (seed + 1) % 16);
        let remembered = cluster.member(&observer, &leaver).expect("it is remembered");
        assert_eq!(remembered.state, MemberState::Left);
    }
}

#[test]
fn a_leaver_reports_nobody_gone() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        let since = cluster.now();
        cluster.leave("n3");
        cluster.run_for(secs(2));
        assert_eq!(cluster.changes("n3", since), Vec::<String>::new());
    }
}

#[test]
fn many_that_leave_one_after_another_are_all_left() {
    for seed in seeds(10) {
        let mut cluster = formed(32, seed);
        let since = cluster.now();
        for i in 8..32 {
            cluster.leave(&format!("n{i}"));
            cluster.run_for(millis(300));
        }
        cluster.expect_complete_within(secs(5));
        cluster.run_for(secs(60));
        assert_eq!(cluster.count_kind("down", since), 0);
        for i in 0..8 {
            let lefts = cluster.comings_and_goings(&format!("n{i}"), since);
            assert_eq!(lefts.len(), 24, "n{i}: {lefts:?}");
        }
    }
}

#[test]
fn three_quarters_may_leave_at_once() {
    for seed in seeds(20) {
        let mut cluster = formed(32, seed);
        let since = cluster.now();
        (8..32).for_each(|i| cluster.leave(&format!("n{i}")));
        cluster.expect_complete_within(secs(5));
        cluster.run_for(secs(60));
        assert_eq!(cluster.count_kind("down", since), 0);
        for i in 0..8 {
            let lefts = cluster.comings_and_goings(&format!("n{i}"), since);
            assert_eq!(lefts.len(), 24, "n{i}: {lefts:?}");
        }
    }
}

#[test]
fn all_may_leave_at_once() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        let since = cluster.now();
        (0..8).for_each(|i| cluster.leave(&format!("n{i}")));
        cluster.expect_within(secs(1), "all have stopped", |c| c.running().is_empty());
        assert_eq!(cluster.count_kind("down", since), 0);
    }
}

#[test]
fn one_alone_leaves_too() {
    let mut cluster = Cluster::of(1, 1);
    cluster.run_for(secs(10));
    cluster.leave("n0");
    cluster.expect_within(secs(1), "it stops", |c| c.running().is_empty());
    assert_eq!(cluster.stopped("n0"), Some(StopReason::Left));
}

#[test]
fn a_rolling_restart_reports_no_down() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        cluster.seed_with(&["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"]);
        let since = cluster.now();
        for i in 0..8 {
            let label = format!("n{i}");
            cluster.leave(&label);
            cluster.expect_within(secs(1), "it stops", |c| !c.is_running(&label));
            cluster.run_for(millis(500));
            cluster.start(&label);
            cluster.expect_complete_within(secs(5));
        }
        cluster.run_for(secs(30));
        assert_eq!(cluster.count_kind("down", since), 0);
        cluster.assert_complete();
    }
}

#[test]
fn what_left_stays_left_when_a_partition_heals() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        cluster.partition(&["n5", "n6", "n7"]);
        cluster.run_for(secs(1));
        cluster.leave("n1");
        cluster.run_for(secs(30));
        let since = cluster.now();
        cluster.heal();
        cluster.expect_complete_within(secs(60));
        cluster.run_for(secs(60));
        assert_eq!(cluster.count("up n1", since), 0);
        cluster.assert_complete();
    }
}

#[test]
fn one_that_leaves_greets_nobody_any_more() {
    for seed in seeds(5) {
        let mut cluster = Cluster::of(3, seed);
        cluster.expect_complete_within(secs(5));
        // Nobody takes note of its goodbye, so that it takes its time.
        cluster.freeze("n1");
        cluster.freeze("n2");
        cluster.setup("new");
        cluster.seed_with(&["new"]);
        cluster.record_datagrams();
        cluster.leave("n0");
        cluster.command("n0", Command::ResolveSeeds);
        cluster.run_for(secs(2));
        assert!(!cluster.is_running("n0"));
        let hellos = cluster.recorded().iter().filter(|datagram| datagram.bytes[1] == 1);
        assert_eq!(hellos.count(), 0);
    }
}
