//! What waits on a link or in a buffer outlives its sender: it raises nobody who was given up meanwhile.

use chisme_sim::{Cluster, millis, secs, seeds};

fn formed(seed: u64) -> Cluster {
    let mut cluster = Cluster::of(8, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(10));
    cluster
}

/// n0 has called n3 Down, and never up again.
fn assert_dead(cluster: &mut Cluster, since: chisme_proto::Instant) {
    cluster.expect_complete_within(secs(10));
    cluster.run_for(secs(10));
    let about_n3 = |change: &String| change.ends_with(" n3") && !change.starts_with("suspect");
    let mut seen = cluster.changes("n0", since);
    seen.retain(about_n3);
    assert_eq!(seen, ["down n3"]);
}

#[test]
fn what_waited_during_a_silence_does_not_raise_the_dead() {
    for seed in seeds(20) {
        let mut cluster = formed(seed);
        let since = cluster.now();
        let clog =
            cluster.begin_fault("link = { from = 'rest', to = 'node[0]', is = { clog = true } }");
        // It is suspected and refutes that, so that all tell each other that it lives.
        cluster.freeze("n3");
        cluster.run_for(secs(3));
        cluster.thaw("n3");
        cluster.run_for(secs(2));
        cluster.crash("n3");
        cluster.run_for(secs(40));
        cluster.end_fault(clog);
        assert_dead(&mut cluster, since);
    }
}

#[test]
fn what_waited_while_a_node_went_over_to_another_side_does_not_raise_the_dead() {
    for seed in seeds(20) {
        let mut cluster = formed(seed);
        let since = cluster.now();
        let clog = cluster
            .begin_fault("link = { from = 'node[3]', to = 'node[0]', is = { clog = true } }");
        // Its probes go round all of them in that time.
        cluster.run_for(secs(9));
        cluster.isolate("n0");
        cluster.run_for(millis(500));
        cluster.crash("n3");
        cluster.run_for(secs(40));
        cluster.heal();
        cluster.expect_within(secs(20), "n0 has gone over", |c| c.counters("n0").yields == 1);
        cluster.end_fault(clog);
        assert_dead(&mut cluster, since);
    }
}
