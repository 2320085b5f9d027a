//! The same seed and the same faults give the same bytes at the same times.

use chisme_sim::{Cluster, secs, seeds};

fn eventful(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed);
    cluster.loss(0.05);
    cluster.network().duplicate = 0.05;
    (0..10).for_each(|i| cluster.start(&format!("n{i}")));
    cluster.run_for(secs(15));
    cluster.partition(&["n0", "n1", "n2", "n3"]);
    cluster.freeze("n9");
    cluster.run_for(secs(30));
    cluster.heal();
    cluster.thaw("n9");
    cluster.crash("n5");
    cluster.leave("n6");
    cluster.run_for(secs(5));
    cluster.start("n5");
    cluster.run_for(secs(30));
    cluster
}

#[test]
fn one_seed_is_one_run() {
    for seed in seeds(10) {
        let (first, second) = (eventful(seed), eventful(seed));
        assert!(first.datagrams_sent() > 100, "something happened");
        assert_eq!(first.datagrams_sent(), second.datagrams_sent());
        assert_eq!(first.digest(), second.digest());
        for label in first.running() {
            assert_eq!(first.record(&label).events, second.record(&label).events);
            assert_eq!(first.counters(&label), second.counters(&label));
        }
    }
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(eventful(1).digest(), eventful(2).digest());
}
