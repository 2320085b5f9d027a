//! One view: what two nodes know differently is found and repaired, whatever was lost.

use chisme_sim::{Cluster, millis, secs, seeds};

#[test]
fn hundreds_that_start_together_are_complete_in_seconds_although_datagrams_are_lost() {
    for (nodes, loss) in [(300, 0.0), (300, 0.05), (512, 0.05)] {
        for seed in seeds(3) {
            let mut cluster = Cluster::new(seed);
            cluster.loss(loss);
            (0..nodes).for_each(|i| cluster.start(&format!("n{i}")));
            cluster.expect_complete_within(secs(5));
        }
    }
}

#[test]
fn who_joins_a_thousand_knows_them_in_half_a_second_and_is_known_in_three() {
    for seed in seeds(2) {
        let mut cluster = Cluster::builder().nodes(1_000).seed(seed).acquainted();
        cluster.run_for(secs(5));
        let begun = cluster.now();
        cluster.start("late");
        cluster.expect_within(millis(500), "the newcomer knows all", |cluster| {
            cluster.up_view("late").len() == 1_000
        });
        cluster.expect_within(millis(2_500), "all know the newcomer", |cluster| {
            cluster.count("up late", begun) == 1_000
        });
    }
}

#[test]
fn while_many_join_few_views_are_compared() {
    for seed in seeds(3) {
        let mut cluster = Cluster::new(seed);
        cluster.seed_with(&["n0"]);
        for n in 0..100 {
            cluster.start(&format!("n{n}"));
            cluster.run_for(millis(100));
        }
        // At 200 ms, as while a view changes for a moment, it would be fifty.
        let rounds = cluster.counters("n0").sync_rounds;
        assert!(rounds <= 20, "seed {seed}: {rounds} rounds in 10 s");
        cluster.expect_complete_within(secs(1));
    }
}
