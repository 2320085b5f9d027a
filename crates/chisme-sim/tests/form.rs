//! Nodes find each other through a seed, and every view becomes complete.

use chisme_sim::{Cluster, millis, secs, seeds};

/// Nobody was reported up twice, or as anything else than up.
fn assert_only_ups(cluster: &Cluster, nodes: usize) {
    let start = chisme_proto::Instant::default();
    let ups = cluster.count_kind("up", start);
    assert_eq!(ups, nodes * (nodes - 1), "each of {nodes} nodes reports each other one up, once");
    assert_eq!(cluster.count_kind("down", start) + cluster.count_kind("suspect", start), 0);
}

#[test]
fn a_few_nodes_meet_through_one_seed() {
    for seed in seeds(40) {
        for nodes in [2, 3, 7] {
            let mut cluster = Cluster::of(nodes, seed);
            cluster.expect_complete_within(secs(5));
            cluster.run_for(secs(10));
            cluster.assert_complete();
            assert_only_ups(&cluster, nodes);
        }
    }
}

#[test]
fn thirty_two_nodes_are_complete_within_five_seconds() {
    for seed in seeds(20) {
        let mut cluster = Cluster::of(32, seed);
        cluster.expect_complete_within(secs(5));
        cluster.run_for(secs(20));
        cluster.assert_complete();
        assert_only_ups(&cluster, 32);
    }
}

#[test]
fn a_hundred_nodes_become_complete() {
    for seed in seeds(3) {
        let mut cluster = Cluster::of(100, seed);
        cluster.expect_complete_within(secs(120));
        assert_only_ups(&cluster, 100);
    }
}

#[test]
fn nodes_that_start_before_their_seed_join_when_it_comes() {
    for seed in seeds(20) {
        let mut cluster = Cluster::new(seed);
        cluster.setup("n0");
        for label in ["n1", "n2", "n3", "n4"] {
            cluster.start(label);
        }
        cluster.run_for(secs(60));
        assert!(cluster.up_view("n1").is_empty());
        cluster.start("n0");
        cluster.expect_complete_within(secs(25));
    }
}

#[test]
fn a_node_whose_seeds_do_not_exist_joins_when_they_do() {
    for seed in seeds(20) {
        let mut cluster = Cluster::of(4, seed);
        cluster.expect_complete_within(secs(5));
        cluster.setup("late").seeds = Some(vec!["not-there".to_owned()]);
        cluster.start("late");
        cluster.run_for(secs(45));
        assert!(cluster.up_view("late").is_empty());
        cluster.setup("late").seeds = Some(vec!["n2".to_owned()]);
        cluster.expect_complete_within(secs(25));
    }
}

#[test]
fn nodes_started_one_after_another_each_know_all_the_others_at_once() {
    for seed in seeds(10) {
        let mut cluster = Cluster::new(seed);
        cluster.seed_with(&["n0", "n1", "n2"]);
        for i in 0..24 {
            cluster.start(&format!("n{i}"));
            cluster.run_for(millis(500));
        }
        cluster.expect_complete_within(secs(3));
        assert_only_ups(&cluster, 24);
    }
}

#[test]
fn seeds_that_include_oneself_and_the_dead_do_no_harm() {
    for seed in seeds(20) {
        let mut cluster = Cluster::new(seed);
        cluster.setup("dead");
        cluster.seed_with(&["dead", "n0", "n1", "n2", "n3"]);
        (0..4).for_each(|i| cluster.start(&format!("n{i}")));
        cluster.expect_complete_within(secs(5));
        assert_only_ups(&cluster, 4);
    }
}

#[test]
fn a_cluster_of_ipv6_addresses_forms() {
    for seed in seeds(10) {
        let mut cluster = Cluster::new(seed);
        for i in 0..5 {
            let label = format!("n{i}");
            cluster.move_to(&label, &format!("[fd00::{}]:4747", i + 1));
            cluster.start(&label);
        }
        cluster.expect_complete_within(secs(5));
    }
}

#[test]
fn dual_stack_nodes_tie_both_families_together() {
    for seed in seeds(10) {
        let mut cluster = Cluster::new(seed);
        for i in 0..6 {
            let label = format!("n{i}");
            let v6 = format!("[fd00::{}]:4747", i + 1).parse().expect("an address");
            cluster.setup(&label).addresses.push(v6);
            cluster.start(&label);
        }
        cluster.expect_complete_within(secs(5));
        let member = cluster.member("n1", "n2").expect("a member");
        assert_eq!(member.endpoints.iter().count(), 2, "{member:?}");
    }
}

#[test]
fn a_fifth_of_all_datagrams_lost_delays_and_does_not_prevent() {
    for seed in seeds(20) {
        let mut cluster = Cluster::new(seed);
        cluster.loss(0.2);
        cluster.network().duplicate = 0.05;
        (0..10).for_each(|i| cluster.start(&format!("n{i}")));
        cluster.expect_complete_within(secs(60));
    }
}

#[test]
fn nodes_that_are_told_of_each_other_are_at_rest_from_the_start() {
    let mut cluster = Cluster::builder().nodes(12).seed(3).acquainted();
    assert_eq!(cluster.elapsed(), secs(0));
    cluster.assert_complete();
    assert!(cluster.record("n5").events.is_empty());
    let begun = cluster.now();
    cluster.run_for(secs(60));
    cluster.assert_complete();
    cluster.assert_quiet(begun, &[]);
    // It is a cluster like any other: who crashes is missed, and who comes back is seen again.
    let crash = cluster.now();
    cluster.crash("n4");
    cluster.expect_within(secs(30), "all miss it", |cluster| cluster.count("down n4", crash) == 11);
    cluster.start("n4");
    cluster.expect_complete_within(secs(30));
    cluster.start("n12");
    cluster.expect_complete_within(secs(30));
}

#[test]
fn nodes_that_start_together_do_not_probe_together() {
    let mut cluster = Cluster::builder().nodes(40).seed(5).acquainted();
    let probes = |cluster: &Cluster| -> u64 {
        (0..40).map(|n| cluster.counters(&format!("n{n}")).probes_sent).sum()
    };
    let mut tenths = Vec::new();
    for _ in 0..10 {
        let before = probes(&cluster);
        cluster.run_for(millis(100));
        tenths.push(probes(&cluster) - before);
    }
    assert!(tenths.iter().sum::<u64>() >= 40, "each probes once a second: {tenths:?}");
    assert!(tenths.iter().all(|&pings| pings <= 12), "a few at a time: {tenths:?}");
}
