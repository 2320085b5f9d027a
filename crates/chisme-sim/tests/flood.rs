//! A flood of Hellos, recorded or real: answers are limited, and never longer than the question.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chisme_sim::{Cluster, Datagram, millis, secs, seeds};

/// A cluster, and Hellos, no two alike, that somebody has sent to `n0`.
fn with_hellos(seed: u64) -> (Cluster, Vec<Datagram>) {
    let mut cluster = Cluster::of(4, seed);
    cluster.expect_complete_within(secs(5));
    cluster.setup("asker");
    cluster.isolate("asker");
    cluster.record_datagrams();
    cluster.start("asker");
    for _ in 0..10 {
        cluster.connect("asker", &["n0"; 64]);
        cluster.run_for(secs(4));
    }
    let asker = cluster.address("asker");
    let hellos: Vec<_> =
        cluster.recorded().iter().filter(|datagram| datagram.from == asker).cloned().collect();
    assert!(hellos.len() > 2_000, "{}", hellos.len());
    cluster.crash("asker");
    cluster.heal();
    (cluster, hellos)
}

/// Sends a Hello once a millisecond.
fn flood(cluster: &mut Cluster, hellos: &[Datagram], source: impl Fn(u16) -> SocketAddr) {
    for (hello, i) in hellos.iter().zip(0..) {
        cluster.inject(source(i), "n0", &hello.bytes);
        cluster.run_for(millis(1));
    }
    cluster.run_for(secs(30));
}

/// An address where nobody lives.
fn spoofed(i: u16) -> SocketAddr {
    let [high, low] = i.to_be_bytes();
    SocketAddr::from(([10, 99, high, low], 4747))
}

#[test]
fn one_source_is_answered_a_few_times_only() {
    for seed in seeds(5) {
        let (mut cluster, hellos) = with_hellos(seed);
        let since = cluster.now();
        flood(&mut cluster, &hellos, |_| spoofed(0));
        let answers = cluster.astray().len();
        assert!((1..=100).contains(&answers), "{answers} answers to {} Hellos", hellos.len());
        assert!(cluster.counters("n0").answers_limited > 0);
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn nobody_gets_more_than_was_sent_in_its_name() {
    for seed in seeds(5) {
        let (mut cluster, hellos) = with_hellos(seed);
        let since = cluster.now();
        flood(&mut cluster, &hellos, spoofed);
        let longest = hellos.iter().map(|hello| hello.bytes.len()).max().expect("some");
        let mut received: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for answer in cluster.astray() {
            *received.entry(answer.to).or_default() += answer.bytes.len();
        }
        assert!(!received.is_empty());
        let greatest = received.values().max().copied().unwrap_or_default();
        assert!(greatest <= longest, "{greatest} bytes for {longest}");
        cluster.assert_quiet(since, &[]);
        cluster.start("late");
        cluster.expect_complete_within(secs(20));
    }
}

#[test]
fn all_sources_together_are_limited_when_everything_comes_at_once() {
    for seed in seeds(3) {
        let (mut cluster, hellos) = with_hellos(seed);
        let since = cluster.now();
        for (hello, i) in hellos.iter().zip(0..) {
            cluster.inject(spoofed(i), "n0", &hello.bytes);
        }
        cluster.run_for(secs(5));
        assert!(cluster.counters("n0").answers_limited > 0);
        assert!(cluster.astray().len() < hellos.len());
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn the_same_hello_from_everywhere_is_answered_once() {
    for seed in seeds(3) {
        let (mut cluster, hellos) = with_hellos(seed);
        for i in 0..1_000 {
            cluster.inject(spoofed(i), "n0", &hellos[0].bytes);
        }
        cluster.run_for(secs(5));
        assert!(cluster.astray().len() <= 1, "{}", cluster.astray().len());
    }
}

#[test]
fn members_go_on_during_a_flood_and_newcomers_get_in_after_it() {
    for seed in seeds(3) {
        let (mut cluster, hellos) = with_hellos(seed);
        let since = cluster.now();
        for (hello, i) in hellos.iter().cycle().zip(0..10_000) {
            cluster.inject(spoofed(i), "n0", &hello.bytes);
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
        cluster.setup("deaf");
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
