//! Datagrams that were recorded and come again.

use chisme_proto::Rejection;
use chisme_sim::{Cluster, Datagram, millis, secs, seeds};

/// Where the envelope keeps the session of the receiver; all zero only in a Hello.
const RECEIVER: std::ops::Range<usize> = 14..22;

fn is_hello(datagram: &Datagram) -> bool {
    datagram.bytes[RECEIVER].iter().all(|&byte| byte == 0)
}

/// A cluster with an eventful past, all of which was recorded.
fn recorded(seed: u64) -> (Cluster, Vec<Datagram>) {
    let mut cluster = Cluster::new(seed);
    cluster.record_datagrams();
    (0..6).for_each(|i| cluster.start(&format!("n{i}")));
    cluster.run_for(secs(20));
    cluster.freeze("n4");
    cluster.crash("n5");
    cluster.run_for(secs(4));
    cluster.thaw("n4");
    cluster.run_for(secs(20));
    cluster.assert_complete();
    let tape = cluster.recorded().to_vec();
    (cluster, tape)
}

/// Plays everything that was sent to `to` once more, some of it at a time.
fn play(cluster: &mut Cluster, tape: &[Datagram], to: &str) {
    for (i, datagram) in tape.iter().enumerate() {
        cluster.inject(datagram.from, to, &datagram.bytes);
        if i % 50 == 0 {
            cluster.run_for(millis(10));
        }
    }
    cluster.run_for(secs(1));
}

#[test]
fn to_the_same_process_all_is_counted_as_replayed_and_changes_nothing() {
    for seed in seeds(10) {
        let (mut cluster, mut tape) = recorded(seed);
        let n1 = cluster.address("n1");
        tape.retain(|datagram| datagram.to == n1 && !is_hello(datagram));
        assert!(tape.len() > 50, "{}", tape.len());
        let before = cluster.counters("n1").rejected(Rejection::Replayed);
        let since = cluster.now();
        play(&mut cluster, &tape, "n1");
        let counted = cluster.counters("n1").rejected(Rejection::Replayed) - before;
        assert_eq!(counted, tape.len() as u64, "{:?}", cluster.counters("n1"));
        cluster.run_for(secs(60));
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn to_a_restarted_process_all_is_for_somebody_else() {
    for seed in seeds(10) {
        let (mut cluster, mut tape) = recorded(seed);
        let n1 = cluster.address("n1");
        tape.retain(|datagram| datagram.to == n1 && !is_hello(datagram));
        cluster.restart("n1");
        cluster.run_for(secs(10));
        cluster.assert_complete();
        let before = cluster.counters("n1").rejected(Rejection::NotForUs);
        let since = cluster.now();
        play(&mut cluster, &tape, "n1");
        let counted = cluster.counters("n1").rejected(Rejection::NotForUs) - before;
        assert_eq!(counted, tape.len() as u64, "{:?}", cluster.counters("n1"));
        cluster.run_for(secs(60));
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn to_another_node_all_is_for_somebody_else() {
    for seed in seeds(5) {
        let (mut cluster, mut tape) = recorded(seed);
        let n1 = cluster.address("n1");
        tape.retain(|datagram| datagram.to == n1 && !is_hello(datagram));
        let since = cluster.now();
        play(&mut cluster, &tape, "n2");
        let counted = cluster.counters("n2").rejected(Rejection::NotForUs);
        assert_eq!(counted, tape.len() as u64, "{:?}", cluster.counters("n2"));
        cluster.run_for(secs(30));
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn a_recorded_hello_draws_at_most_one_answer_of_its_size_and_changes_nothing() {
    for seed in seeds(10) {
        let (mut cluster, mut tape) = recorded(seed);
        tape.retain(is_hello);
        assert!(!tape.is_empty());
        let (since, already) = (cluster.now(), cluster.recorded().len());
        for hello in &tape {
            for label in ["n0", "n1"] {
                cluster.inject(hello.from, label, &hello.bytes);
                let outsider = "10.200.0.1:999".parse().expect("an address");
                cluster.inject(outsider, label, &hello.bytes);
                cluster.run_for(secs(2));
            }
        }
        cluster.run_for(secs(60));
        cluster.assert_quiet(since, &[]);
        let longest = tape.iter().map(|hello| hello.bytes.len()).max().expect("there is one");
        let answers = cluster.astray();
        assert!(answers.len() <= 2 * tape.len(), "{} for {}", answers.len(), tape.len());
        assert!(answers.iter().all(|answer| answer.bytes.len() <= longest));
        assert!(cluster.recorded().len() > already, "the cluster went on");
    }
}

#[test]
fn what_a_dead_process_once_said_does_not_bring_it_back() {
    for seed in seeds(10) {
        let (mut cluster, tape) = recorded(seed);
        let n5 = cluster.address("n5");
        let since = cluster.now();
        for datagram in tape.iter().filter(|datagram| datagram.from == n5) {
            for label in ["n0", "n1", "n2", "n3", "n4"] {
                cluster.inject(n5, label, &datagram.bytes);
            }
            cluster.run_for(millis(20));
        }
        cluster.run_for(secs(60));
        assert_eq!(cluster.count("up n5", since), 0);
        cluster.assert_complete();
    }
}
