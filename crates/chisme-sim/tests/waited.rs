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
        cluster.expect_within(secs(20), "n0 has gone over", |c| c.counters("n0").yields > 0);
        cluster.end_fault(clog);
        assert_dead(&mut cluster, since);
    }
}

/// The last ones are cut off for forty seconds, in which n0 hears nobody for four.
fn partition_with_a_silence(nodes: usize, away: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    let away: Vec<String> = (nodes - away..nodes).map(|n| format!("n{n}")).collect();
    cluster.partition(&away.iter().map(String::as_str).collect::<Vec<_>>());
    cluster.run_for(secs(31));
    let clog =
        cluster.begin_fault("link = { from = 'rest', to = 'node[0]', is = { clog = true } }");
    cluster.run_for(secs(4));
    cluster.end_fault(clog);
    cluster.run_for(secs(5));
    cluster
}

#[test]
fn a_silence_does_not_keep_a_node_from_what_others_say_afterwards() {
    // Some of those away are met; or there is only one, and that one is out of reach.
    for (away, time) in [(7, secs(5)), (1, secs(12))] {
        for seed in seeds(8) {
            let mut cluster = partition_with_a_silence(21, away, seed);
            cluster.heal();
            cluster.begin_fault("cut = { from = 'node[0]', to = 'node[20]' }");
            cluster.begin_fault("cut = { from = 'node[20]', to = 'node[0]' }");
            cluster.expect_within(time, "n0 hears of n20 by others", |c| {
                c.up_view("n0").contains("n20")
            });
        }
    }
}

#[test]
fn a_silence_does_not_delay_the_healing_of_a_partition() {
    for seed in seeds(3) {
        let mut cluster = partition_with_a_silence(96, 32, seed);
        cluster.heal();
        cluster.expect_complete_within(secs(5));
    }
}

#[test]
fn when_nobody_heard_anybody_for_a_minute_all_are_one_again_at_once() {
    for seed in seeds(5) {
        let mut cluster = Cluster::of(48, seed);
        cluster.expect_complete_within(secs(5));
        let outage =
            cluster.begin_fault("link = { from = 'all', to = 'all', is = { loss = 1.0 } }");
        cluster.run_for(secs(60));
        cluster.end_fault(outage);
        cluster.expect_complete_within(secs(5));
    }
}
