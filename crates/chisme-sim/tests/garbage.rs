//! Bytes that no node has sent: dropped, counted by reason, never answered.

use std::net::SocketAddr;

use chisme_proto::{Counters, MAX_DATAGRAM, Rejection};
use chisme_sim::{Cluster, millis, secs, seeds};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

fn outsider() -> SocketAddr {
    "10.200.0.1:999".parse().expect("an address")
}

fn formed(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed);
    cluster.record_datagrams();
    (0..4).for_each(|i| cluster.start(&format!("n{i}")));
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(10));
    cluster
}

fn rejected(counters: &Counters) -> u64 {
    counters.rejections().map(|(_, n)| n).sum()
}

/// Sends these payloads to `n1`; each must be counted, and nothing else may come of them.
fn assert_dropped(cluster: &mut Cluster, payloads: &[Vec<u8>]) -> Counters {
    let (before, since) = (rejected(&cluster.counters("n1")), cluster.now());
    for payload in payloads {
        cluster.inject(outsider(), "n1", payload);
    }
    cluster.run_for(millis(100));
    let counters = cluster.counters("n1");
    assert_eq!(rejected(&counters) - before, payloads.len() as u64, "{counters:?}");
    cluster.run_for(secs(20));
    cluster.assert_quiet(since, &[]);
    assert!(cluster.astray().is_empty(), "nothing is answered: {:?}", cluster.astray());
    counters
}

#[test]
fn lengths_that_no_datagram_has() {
    for seed in seeds(5) {
        let mut cluster = formed(seed);
        let counters = assert_dropped(
            &mut cluster,
            &[vec![], vec![0], vec![1; 45], vec![7; MAX_DATAGRAM + 1], vec![0xff; 65_507]],
        );
        assert_eq!(counters.rejected(Rejection::Malformed), 3);
        assert_eq!(counters.rejected(Rejection::TooLarge), 2);
    }
}

#[test]
fn random_bytes() {
    for seed in seeds(10) {
        let mut cluster = formed(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let payloads: Vec<Vec<u8>> = (0..2_000)
            .map(|_| (0..rng.random_range(0..1_400)).map(|_| rng.random()).collect())
            .collect();
        assert_dropped(&mut cluster, &payloads);
    }
}

#[test]
fn what_was_sent_cut_short_or_with_a_bit_flipped() {
    for seed in seeds(5) {
        let mut cluster = formed(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let n1 = cluster.address("n1");
        let tape: Vec<_> = cluster.recorded().iter().filter(|d| d.to == n1).cloned().collect();
        let damaged: Vec<Vec<u8>> = tape
            .iter()
            .flat_map(|datagram| {
                let cut = datagram.bytes[..rng.random_range(0..datagram.bytes.len())].to_vec();
                let mut flipped = datagram.bytes.clone();
                let bit = rng.random_range(0..flipped.len() * 8);
                flipped[bit / 8] ^= 1 << (bit % 8);
                [cut, flipped]
            })
            .collect();
        let counters = assert_dropped(&mut cluster, &damaged);
        assert!(counters.rejected(Rejection::BadTag) > 0, "{counters:?}");
    }
}

#[test]
fn a_datagram_that_grew() {
    for seed in seeds(5) {
        let mut cluster = formed(seed);
        let mut grown = cluster.recorded()[0].bytes.clone();
        grown.extend_from_slice(&[0; 8]);
        assert_dropped(&mut cluster, &[grown]);
    }
}

#[test]
fn a_flood_of_garbage_disturbs_nothing() {
    for seed in seeds(3) {
        let mut cluster = formed(seed);
        let since = cluster.now();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..1_000 {
            for _ in 0..20 {
                let payload: Vec<u8> =
                    (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
                let from = SocketAddr::from(([10, 201, rng.random(), rng.random()], 53));
                cluster.inject(from, "n1", &payload);
            }
            cluster.run_for(millis(20));
        }
        cluster.assert_quiet(since, &[]);
        assert!(cluster.astray().is_empty());
        let told = cluster.record("n1").events.iter().filter(|(at, _)| *at > since).count();
        assert!(told <= 512, "an operator reads {told} events about it");
    }
}
