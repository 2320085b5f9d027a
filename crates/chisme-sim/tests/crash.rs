//! A process that dies is reported Down by everybody, once, and nobody else is.

use chisme_proto::MemberState;
use chisme_sim::{Cluster, millis, secs, seeds};

fn formed(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(15) + millis(seed * 137 % 1_000));
    cluster
}

#[test]
fn a_crash_is_known_to_all_within_twelve_seconds() {
    for seed in seeds(30) {
        let mut cluster = formed(32, seed);
        let victim = format!("n{}", seed % 32);
        let since = cluster.now();
        cluster.crash(&victim);
        cluster.expect_within(secs(12), "everybody reports the crash", Cluster::is_complete);
        cluster.run_for(secs(60));
        assert_eq!(cluster.count(&format!("down {victim}"), since), 31);
        assert_eq!(cluster.count_kind("down", since), 31, "nobody else is reported down");
        assert_eq!(cluster.count_kind("up", since), 0);
        let observer = format!("n{}", (seed + 1) % 32);
        let remembered = cluster.member(&observer, &victim).expect("it is remembered");
        assert_eq!(remembered.state, MemberState::Down);
    }
}

#[test]
fn the_survivor_of_two_sees_the_other_go() {
    for seed in seeds(30) {
        let mut cluster = formed(2, seed);
        cluster.crash("n1");
        cluster.expect_within(secs(12), "n0 is alone", |c| c.up_view("n0").is_empty());
    }
}

#[test]
fn a_quarter_of_the_cluster_dies_at_once() {
    for seed in seeds(10) {
        let mut cluster = formed(32, seed);
        let since = cluster.now();
        (0..8).for_each(|i| cluster.crash(&format!("n{}", i * 4)));
        cluster.expect_complete_within(secs(40));
        cluster.run_for(secs(30));
        assert_eq!(cluster.count_kind("down", since), 8 * 24, "each survivor reports each death");
    }
}

#[test]
fn a_process_that_dies_right_after_joining_is_not_forgotten() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        cluster.start("brief");
        cluster.expect_within(secs(5), "somebody knows it", |c| c.up_view("n3").contains("brief"));
        cluster.crash("brief");
        cluster.expect_complete_within(secs(30));
    }
}

#[test]
fn losing_a_tenth_of_all_datagrams_kills_nobody() {
    for seed in seeds(5) {
        let mut cluster = formed(16, seed);
        cluster.loss(0.1);
        let since = cluster.now();
        cluster.run_for(secs(120));
        assert_eq!(cluster.count_kind("down", since), 0);
        cluster.crash("n5");
        cluster.expect_complete_within(secs(30));
    }
}
