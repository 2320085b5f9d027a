//! What `connect` and `ping` report.

use std::time::Duration;

use chisme_proto::{Contact, ContactResult, MAX_CONTACTS};
use chisme_sim::{Cluster, millis, secs, seeds};

/// Nodes that do not seek each other by themselves.
fn unseeded(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed);
    cluster.seed_with(&[]);
    (0..nodes).for_each(|i| cluster.start(&format!("n{i}")));
    cluster
}

fn connect(cluster: &mut Cluster, from: &str, to: &[&str]) -> Vec<ContactResult> {
    let request = cluster.connect(from, to);
    cluster.expect_within(secs(10), "an answer", |c| c.report(from, request).is_some());
    let report = cluster.report(from, request).expect("it has come");
    report.iter().map(|contact| contact.result.clone()).collect()
}

#[test]
fn nobody_meets_anybody_without_a_seed() {
    let mut cluster = unseeded(3, 1);
    cluster.run_for(secs(120));
    assert_eq!(cluster.datagrams_sent(), 0);
}

#[test]
fn a_first_connect_joins_and_a_second_one_says_that_it_knows() {
    for seed in seeds(20) {
        let mut cluster = unseeded(3, seed);
        let n0 = cluster.setup("n0").name.clone();
        let first = connect(&mut cluster, "n1", &["n0"]);
        assert_eq!(first, [ContactResult::Joined(n0.clone())]);
        assert!(cluster.up_view("n1").contains("n0"), "it is a member when connect says so");
        assert_eq!(connect(&mut cluster, "n1", &["n0"]), [ContactResult::AlreadyKnown(n0)]);
        connect(&mut cluster, "n0", &["n2"]);
        cluster.expect_complete_within(secs(3));
    }
}

#[test]
fn each_contact_has_its_own_answer_in_the_order_given() {
    for seed in seeds(20) {
        let mut cluster = unseeded(3, seed);
        cluster.setup("nobody");
        let (n0, n2) = (cluster.setup("n0").name.clone(), cluster.setup("n2").name.clone());
        let answers = connect(&mut cluster, "n1", &["nobody", "n1", "n0", "n2"]);
        assert_eq!(answers[0], ContactResult::NoAnswer);
        assert_eq!(answers[1], ContactResult::Ourselves);
        for (answer, name) in [(&answers[2], n0), (&answers[3], n2)] {
            let known = *answer == ContactResult::AlreadyKnown(name.clone());
            assert!(known || *answer == ContactResult::Joined(name), "{answers:?}");
        }
    }
}

#[test]
fn an_answer_comes_even_if_half_of_the_datagrams_are_lost() {
    for seed in seeds(20) {
        let mut cluster = unseeded(2, seed);
        cluster.loss(0.5);
        let joined = |answers: &[ContactResult]| !matches!(answers[0], ContactResult::NoAnswer);
        let tries = (0..20).find(|_| joined(&connect(&mut cluster, "n1", &["n0"])));
        assert!(tries.is_some(), "seed {seed}");
    }
}

#[test]
fn somebody_else_than_expected_is_named_and_not_joined() {
    for seed in seeds(10) {
        let mut cluster = unseeded(2, seed);
        let addr = cluster.address("n0");
        let expect = Some("other@sim".parse().expect("a name"));
        let request = cluster.connect_to("n1", vec![Contact { addr, expect }]);
        cluster.run_for(secs(10));
        let report = cluster.report("n1", request).expect("an answer");
        let n0 = cluster.member("n1", "n0");
        assert!(
            matches!(&report[0].result, ContactResult::SomebodyElse(name) if name.local() == "n0"),
            "{report:?}"
        );
        assert!(n0.is_none(), "{n0:?}");
    }
}

#[test]
fn more_contacts_than_allowed_are_answered_at_once() {
    let mut cluster = unseeded(1, 1);
    let contact = |i: u16| Contact { addr: ([10, 8, 8, 8], i + 1).into(), expect: None };
    let request = cluster.connect_to("n0", (0..200).map(contact).collect());
    cluster.run_for(secs(10));
    let report = cluster.report("n0", request).expect("an answer");
    assert_eq!(report.len(), 200);
    let tried: std::collections::BTreeSet<_> = cluster.astray().iter().map(|d| d.to).collect();
    assert!(tried.len() <= MAX_CONTACTS, "{}", tried.len());
}

#[test]
fn a_ping_measures_the_way_to_a_member_and_back() {
    for seed in seeds(10) {
        let mut cluster = Cluster::of(3, seed);
        cluster.expect_complete_within(secs(5));
        cluster.network().latency_min = millis(10);
        cluster.network().latency_max = millis(10);
        let request = cluster.ping("n1", "n2");
        cluster.run_for(secs(1));
        let answer = cluster.record("n1").ponged.iter().find(|(asked, _)| *asked == request);
        assert_eq!(answer.expect("an answer").1, Some(Duration::from_millis(20)));
    }
}

#[test]
fn a_ping_to_the_dead_or_unknown_is_answered_with_none() {
    let mut cluster = Cluster::of(3, 1);
    cluster.expect_complete_within(secs(5));
    cluster.crash("n2");
    cluster.setup("never");
    let dead = cluster.ping("n1", "n2");
    let unknown = cluster.ping("n1", "never");
    cluster.run_for(secs(2));
    let mut answers = cluster.record("n1").ponged.clone();
    answers.sort();
    assert_eq!(answers, [(dead, None), (unknown, None)]);
}
