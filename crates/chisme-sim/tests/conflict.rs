//! Two live nodes with one name: an error that both are told.

use chisme_proto::{ContactResult, Event, Refusal, StopReason};
use chisme_sim::{Cluster, secs, seeds};

fn names(event: &Event) -> Option<&str> {
    match event {
        Event::NameConflict { name, .. }
        | Event::Refused { reason: Refusal::NameConflict { name, .. }, .. } => Some(name.as_str()),
        _ => None,
    }
}

fn is_told(cluster: &Cluster, label: &str) -> bool {
    cluster.record(label).events.iter().any(|(_, event)| names(event) == Some("n1@sim"))
}

/// Five who see each other, and a process that was just started under the name of one of them.
fn with_a_second(seed: u64) -> Cluster {
    let mut cluster = Cluster::of(5, seed);
    cluster.expect_complete_within(secs(5));
    let name = cluster.setup("n1").name.clone();
    cluster.setup("second").name = name;
    cluster.start("second");
    cluster
}

#[test]
fn a_newcomer_with_a_taken_name_is_refused_and_both_are_told() {
    for seed in seeds(30) {
        let mut cluster = with_a_second(seed);
        let since = cluster.now();
        let request = cluster.connect("second", &["n0"]);
        cluster.run_for(secs(60));
        let report = cluster.report("second", request).expect("an answer");
        assert!(
            matches!(&report[0].result, ContactResult::Refused(Refusal::NameConflict { .. })),
            "{report:?}"
        );
        assert!(is_told(&cluster, "second"), "seed {seed}: the newcomer is told");
        assert!(is_told(&cluster, "n1"), "seed {seed}: the holder is told");
        cluster.assert_quiet(since, &["second"]);
        for label in ["n0", "n2", "n3", "n4"] {
            let holder = cluster.member(label, "n1").expect("n1 is a member");
            assert_eq!(holder.session, cluster.session("n1"), "seed {seed}");
        }
    }
}

// Whoever refused the newcomer knows its session, which is newer, and tells of it only those who come with an
// older one and are not members.
#[test]
fn the_holder_of_a_name_keeps_its_session_when_the_refused_newcomer_is_gone() {
    for seed in seeds(10) {
        let mut cluster = with_a_second(seed);
        cluster.connect("second", &["n0"]);
        cluster.run_for(secs(10));
        cluster.crash("second");
        let (since, session) = (cluster.now(), cluster.session("n1"));
        cluster.connect("n1", &["n0"]);
        cluster.run_for(secs(10));
        assert_eq!(cluster.session("n1"), session, "seed {seed}");
        cluster.assert_quiet(since, &["second"]);
    }
}

#[test]
fn a_newcomer_gets_the_name_when_the_holder_is_gone() {
    for seed in seeds(10) {
        let mut cluster = with_a_second(seed);
        cluster.run_for(secs(20));
        cluster.crash("n1");
        cluster.expect_complete_within(secs(40));
        assert_eq!(cluster.up_view("second").len(), 4);
    }
}

#[test]
fn when_islands_merge_the_lower_session_stops() {
    for seed in seeds(20) {
        let mut cluster = Cluster::new(seed);
        for island in ["a", "b"] {
            for i in 0..4 {
                let label = format!("{island}{i}");
                cluster.setup(&label).seeds = Some(vec![format!("{island}0")]);
                if i == 2 {
                    cluster.setup(&label).name = "twin@sim".parse().expect("a name");
                }
                cluster.start(&label);
            }
            cluster.run_for(secs(2));
        }
        cluster.run_for(secs(20));
        assert!(cluster.session("a2") < cluster.session("b2"));
        for label in cluster.running() {
            cluster.setup(&label).seeds = Some(vec!["a0".to_owned(), "b0".to_owned()]);
        }
        cluster.expect_within(secs(100), "the lower one stops", |c| !c.is_running("a2"));
        assert_eq!(cluster.stopped("a2"), Some(StopReason::NameConflict));
        cluster.expect_complete_within(secs(60));
        cluster.run_for(secs(60));
        cluster.assert_complete();
        let session = cluster.session("b2");
        for label in ["a0", "a1", "a3", "b0", "b1", "b3"] {
            let twin = cluster.member(label, "twin").expect("a member");
            assert_eq!(twin.session, session, "{label}");
        }
    }
}

#[test]
fn one_name_on_both_sides_of_a_partition_leaves_one_holder_after_it() {
    for seed in seeds(20) {
        let mut cluster = Cluster::of(8, seed);
        cluster.seed_with(&["n0", "n7"]);
        cluster.expect_complete_within(secs(5));
        let name = cluster.setup("n1").name.clone();
        cluster.setup("second");
        cluster.partition(&["n4", "n5", "n6", "n7", "second"]);
        cluster.run_for(secs(30));
        cluster.setup("second").name = name;
        cluster.start("second");
        cluster.run_for(secs(30));
        assert!(cluster.up_view("n5").contains("n1"), "the second holder is in on its side");
        cluster.heal();
        cluster.expect_within(secs(90), "the older one stops", |c| !c.is_running("n1"));
        assert_eq!(cluster.stopped("n1"), Some(StopReason::NameConflict));
        cluster.expect_complete_within(secs(60));
        cluster.run_for(secs(60));
        cluster.assert_complete();
    }
}
