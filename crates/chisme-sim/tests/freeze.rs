//! A process that is stopped for a while, as by SIGSTOP or a swapping machine.

use chisme_proto::MemberState;
use chisme_sim::{Cluster, secs, seeds};

fn formed(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(10));
    cluster
}

#[test]
fn a_freeze_of_three_seconds_is_ridden_out() {
    for seed in seeds(40) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.freeze("n3");
        cluster.run_for(secs(3));
        cluster.thaw("n3");
        cluster.run_for(secs(30));
        assert_eq!(cluster.count_kind("down", since), 0);
        cluster.assert_complete();
        for label in cluster.running() {
            let states = cluster.members(&label);
            let alive = states.iter().all(|member| member.state == MemberState::Alive);
            assert!(alive, "{label}: {states:?}");
        }
    }
}

#[test]
fn one_frozen_for_longer_is_down_and_comes_back_and_nobody_else_is_touched() {
    for seed in seeds(40) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.freeze("n3");
        cluster.expect_within(secs(12), "all others report it", |c| {
            c.running().iter().all(|label| label == "n3" || !c.up_view(label).contains("n3"))
        });
        cluster.run_for(secs(20));
        cluster.thaw("n3");
        cluster.expect_complete_within(secs(20));
        cluster.run_for(secs(60));
        cluster.assert_complete();
        for label in cluster.running().iter().filter(|label| *label != "n3") {
            let seen = cluster.comings_and_goings(label, since);
            assert_eq!(seen, ["down n3", "up n3"], "{label}");
        }
    }
}

#[test]
fn one_that_wakes_does_not_declare_its_peers_down() {
    for seed in seeds(20) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.freeze("n3");
        cluster.run_for(secs(60));
        cluster.thaw("n3");
        cluster.run_for(secs(60));
        cluster.assert_complete();
        assert_eq!(cluster.comings_and_goings("n3", since), Vec::<String>::new());
    }
}

#[test]
fn half_of_a_cluster_frozen_and_thawed_together_heals() {
    for seed in seeds(10) {
        let mut cluster = formed(16, seed);
        (0..8).for_each(|i| cluster.freeze(&format!("n{i}")));
        cluster.run_for(secs(45));
        (0..8).for_each(|i| cluster.thaw(&format!("n{i}")));
        cluster.expect_complete_within(secs(60));
        cluster.run_for(secs(60));
        cluster.assert_complete();
    }
}
