//! A flood of Hellos, recorded or real: answers are limited, and never longer than the question.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chisme_sim::{Cluster, Datagram, millis, secs, seeds};

/// A cluster, and a Hello that somebody has sent to `n0`.
fn with_hello(seed: u64) -> (Cluster, Datagram) {
    let mut cluster = Cluster::of(4, seed);
    cluster.expect_complete_within(secs(5));
    cluster.isolate("asker");
    cluster.record_datagrams();
    cluster.start("asker");
    cluster.run_for(secs(1));
    let asker = cluster.address("asker");
    let hello = cluster.recorded().iter().find(|datagram| datagram.from == asker).cloned();
    cluster.crash("asker");
    cluster.heal();
    (cluster, hello.expect("it knocks at its seed"))
}

/// Sends the Hello once a millisecond for two seconds.
fn flood(cluster: &mut Cluster, hello: &Datagram, source: impl Fn(u16) -> SocketAddr) {
    for i in 0..2_000 {
        cluster.inject(source(i), "n0", &hello.bytes);
        cluster.run_for(millis(1));
    }
    cluster.run_for(secs(30));
}

#[test]
fn one_source_is_answered_a_few_times_only() {
    for seed in seeds(5) {
        let (mut cluster, hello) = with_hello(seed);
        let since = cluster.now();
        flood(&mut cluster, &hello, |_| SocketAddr::from(([10, 99, 0, 1], 4747)));
        let answers = cluster.astray().len();
        assert!((1..=100).contains(&answers), "{answers} answers to 2,000 Hellos in 2 s");
        assert!(cluster.counters("n0").answers_limited > 0);
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn many_sources_are_limited_in_total_and_nobody_gets_more_than_was_sent_in_its_name() {
    for seed in seeds(5) {
        let (mut cluster, hello) = with_hello(seed);
        let since = cluster.now();
        let source = |i: u16| {
            let [high, low] = i.to_be_bytes();
            SocketAddr::from(([10, 99, high, low], 4747))
        };
        flood(&mut cluster, &hello, source);
        let mut received: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for answer in cluster.astray() {
            *received.entry(answer.to).or_default() += answer.bytes.len();
        }
        let greatest = received.values().max().copied().unwrap_or_default();
        assert!(greatest <= hello.bytes.len(), "{greatest} bytes for {}", hello.bytes.len());
        assert!(cluster.counters("n0").answers_limited > 0);
        cluster.assert_quiet(since, &[]);
        cluster.start("late");
        cluster.expect_complete_within(secs(20));
    }
}

#[test]
fn members_go_on_during_a_flood_and_newcomers_get_in_after_it() {
    for seed in seeds(3) {
        let (mut cluster, hello) = with_hello(seed);
        let since = cluster.now();
        for i in 0..10_000u16 {
            let [high, low] = i.to_be_bytes();
            cluster.inject(SocketAddr::from(([10, 99, high, low], 1)), "n0", &hello.bytes);
            cluster.run_for(millis(2));
        }
        cluster.assert_quiet(since, &[]);
        cluster.start("late");
        cluster.expect_complete_within(secs(20));
    }
}

#[test]
fn a_newcomer_spends_more_than_it_gets_until_it_is_taken_in() {
    for seed in seeds(10) {
        let mut cluster = Cluster::of(16, seed);
        cluster.expect_complete_within(secs(5));
        cluster.record_datagrams();
        // What is said to it never arrives, so it can prove nothing.
        let others: Vec<String> = (0..16).map(|i| format!("n{i}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        cluster.partition_oneway(&others, &["deaf"]);
        cluster.start("deaf");
        cluster.run_for(secs(120));
        let deaf = cluster.address("deaf");
        let bytes = |wanted: &dyn Fn(&Datagram) -> bool| -> usize {
            cluster.recorded().iter().filter(|d| wanted(d)).map(|d| d.bytes.len()).sum()
        };
        let (asked, answered) = (bytes(&|d| d.from == deaf), bytes(&|d| d.to == deaf));
        assert!(asked > 0 && answered <= asked, "{answered} bytes for {asked}");
        assert!((0..16).all(|i| !cluster.up_view(&format!("n{i}")).contains("deaf")));
    }
}
