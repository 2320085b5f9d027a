//! A cluster that nobody disturbs reports nothing, and costs little.

use std::time::Duration;

use chisme_proto::Counters;
use chisme_sim::{Cluster, millis, secs, seeds};

/// Bytes of IP and UDP header of an IPv4 datagram.
const HEADERS: u64 = 28;

fn sent(counters: &Counters) -> u64 {
    counters.bytes_sent + HEADERS * counters.datagrams_sent
}

/// Lets a cluster rest and gives the mean of what a node sends, in bytes of IP per second.
fn rest(nodes: usize, seed: u64, time: Duration) -> u64 {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(180));
    cluster.run_for(secs(60));
    let labels = cluster.running();
    let total = |cluster: &Cluster| -> u64 {
        labels.iter().map(|label| sent(&cluster.counters(label))).sum()
    };
    let (since, before) = (cluster.now(), total(&cluster));
    cluster.run_for(time);
    cluster.assert_complete();
    cluster.assert_quiet(since, &[]);
    for label in &labels {
        let counters = cluster.counters(label);
        assert_eq!(counters.rejections().map(|(_, n)| n).sum::<u64>(), 0, "{label}: {counters:?}");
        assert_eq!((counters.swim_errors, counters.outputs_dropped, counters.stalls), (0, 0, 0));
    }
    (total(&cluster) - before) / nodes as u64 / time.as_secs()
}

#[test]
fn thirty_two_nodes_at_rest_report_nothing_for_ten_minutes() {
    for seed in seeds(3) {
        rest(32, seed, secs(600));
    }
}

#[test]
fn what_comes_to_nothing_costs_little() {
    for seed in seeds(3) {
        let mut cluster = Cluster::of(64, seed);
        cluster.expect_complete_within(secs(20));
        cluster.run_for(secs(60));
        let sent = |cluster: &Cluster| -> u64 {
            let all = cluster.running();
            all.iter().map(|label| cluster.counters(label).datagrams_sent).sum()
        };
        let (since, before) = (cluster.now(), sent(&cluster));
        for lot in [0..6, 6..12, 12..18, 18..24] {
            lot.clone().for_each(|n| cluster.freeze(&format!("n{n}")));
            cluster.run_for(millis(2_500));
            lot.for_each(|n| cluster.thaw(&format!("n{n}")));
        }
        let rate = (sent(&cluster) - before) as f64 / 64.0 / 10.0;
        // Four times what they send at rest; 14 if every rumour were in a hurry.
        assert!(rate <= 8.8, "{rate} datagrams a second and node");
        assert_eq!(cluster.count_kind("down", since), 0);
    }
}

#[test]
fn a_hundred_and_twenty_eight_nodes_at_rest_send_under_300_bytes_a_second() {
    for seed in seeds(1) {
        let rate = rest(128, seed, secs(600));
        assert!(rate <= 300, "{rate} bytes of IP a second and node");
    }
}
