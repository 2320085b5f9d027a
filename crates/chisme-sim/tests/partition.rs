//! A network that breaks in parts and heals: every view is whole again, and only what was really
//! cut off is ever reported.

use std::collections::BTreeSet;

use chisme_proto::Instant;
use chisme_sim::{Cluster, millis, secs, seeds};

fn formed(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(10) + millis(seed * 271 % 1_000));
    cluster
}

fn labels(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("n{i}")).collect()
}

fn borrowed(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

/// Each of `side` has reported each of `other` down and then up, once, and nothing about its mates.
fn assert_lost_and_regained(cluster: &Cluster, side: &[String], other: &[String], since: Instant) {
    for label in side {
        let seen = cluster.comings_and_goings(label, since);
        let expected: BTreeSet<String> = other
            .iter()
            .flat_map(|label| [format!("down {label}"), format!("up {label}")])
            .collect();
        let seen_once: BTreeSet<String> = seen.iter().cloned().collect();
        if seen_once != expected || seen.len() != expected.len() {
            let surplus: Vec<_> = seen_once.difference(&expected).collect();
            let missing: Vec<_> = expected.difference(&seen_once).collect();
            cluster.fail(&format!(
                "{label} reports {} changes, expected {}; surplus {surplus:?}, missing {missing:?}",
                seen.len(),
                expected.len()
            ));
        }
    }
}

fn cut_and_heal(nodes: usize, inside: usize, seed: u64) {
    let mut cluster = formed(nodes, seed);
    let (a, b) = (labels(0..inside), labels(inside..nodes));
    let since = cluster.now();
    cluster.partition(&borrowed(&a));
    cluster.expect_within(secs(60), "each side sees only itself", |c| {
        c.running().iter().all(|label| {
            let side = if a.contains(label) { &a } else { &b };
            c.up_view(label).len() + 1 == side.len()
        })
    });
    cluster.run_for(secs(20));
    cluster.heal();
    cluster.expect_complete_within(secs(60));
    cluster.run_for(secs(60));
    cluster.assert_complete();
    assert_lost_and_regained(&cluster, &a, &b, since);
    assert_lost_and_regained(&cluster, &b, &a, since);
}

#[test]
fn two_nodes_lose_and_find_each_other() {
    seeds(40).for_each(|seed| cut_and_heal(2, 1, seed));
}

#[test]
fn two_halves_become_one() {
    seeds(20).for_each(|seed| cut_and_heal(16, 8, seed));
}

#[test]
fn two_halves_of_thirty_two_become_one() {
    seeds(5).for_each(|seed| cut_and_heal(32, 16, seed));
}

#[test]
fn twenty_and_twelve_become_one() {
    seeds(10).for_each(|seed| cut_and_heal(32, 20, seed));
}

#[test]
fn twelve_and_twenty_become_one() {
    seeds(10).for_each(|seed| cut_and_heal(32, 12, seed));
}

#[test]
fn one_isolated_of_thirty_two_comes_back_and_the_others_see_only_that() {
    for seed in seeds(20) {
        let mut cluster = formed(32, seed);
        let since = cluster.now();
        cluster.isolate("n9");
        cluster.run_for(secs(60));
        cluster.heal();
        cluster.expect_complete_within(secs(30));
        cluster.run_for(secs(60));
        cluster.assert_complete();
        for label in cluster.running().iter().filter(|label| *label != "n9") {
            let mut seen = cluster.changes(label, since);
            seen.retain(|change| change != "suspect n9");
            assert_eq!(seen, ["down n9", "up n9"], "{label}");
        }
        // However many it meets at once.
        assert_eq!(cluster.counters("n9").yields, 1, "seed {seed}");
    }
}

#[test]
fn three_islands_become_one() {
    for seed in seeds(10) {
        let mut cluster = formed(24, seed);
        let islands = [labels(0..10), labels(10..18), labels(18..24)];
        let since = cluster.now();
        islands.iter().for_each(|island| cluster.partition(&borrowed(island)));
        cluster.run_for(secs(60));
        cluster.heal();
        cluster.expect_complete_within(secs(60));
        cluster.run_for(secs(60));
        cluster.assert_complete();
        for island in &islands {
            for label in island {
                let seen = cluster.comings_and_goings(label, since);
                let mate = |change: &&String| {
                    change.split(' ').nth(1).is_some_and(|name| island.iter().any(|m| m == name))
                };
                let about_mates: Vec<&String> = seen.iter().filter(mate).collect();
                assert!(about_mates.is_empty(), "{label} about its mates: {about_mates:?}");
            }
        }
    }
}

#[test]
fn islands_that_never_met_merge_through_seeds() {
    for seed in seeds(20) {
        let mut cluster = Cluster::new(seed);
        for island in ["a", "b"] {
            for i in 0..5 {
                let label = format!("{island}{i}");
                cluster.setup(&label).seeds = Some(vec![format!("{island}0")]);
                cluster.start(&label);
            }
        }
        cluster.run_for(secs(30));
        assert_eq!(cluster.up_view("a1").len(), 4);
        assert_eq!(cluster.up_view("b1").len(), 4);
        let since = cluster.now();
        for label in cluster.running() {
            cluster.setup(&label).seeds = Some(vec!["a0".to_owned(), "b0".to_owned()]);
        }
        cluster.expect_complete_within(secs(90));
        assert_eq!(cluster.count_kind("down", since), 0);
        assert_eq!(cluster.count_kind("up", since), 50);
    }
}

#[test]
fn a_cut_shorter_than_detection_is_not_reported() {
    for seed in seeds(20) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.partition(&["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"]);
        // A longer one outlives the rumours of suspicion, and nobody tells the suspects any more.
        cluster.run_for(millis(1_500));
        cluster.heal();
        cluster.run_for(secs(60));
        assert_eq!(cluster.count_kind("down", since), 0);
        cluster.assert_complete();
    }
}

#[test]
fn a_network_that_holds_everything_back_for_two_seconds_kills_nobody() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        let since = cluster.now();
        cluster.hold(&["n0", "n1", "n2", "n3"]);
        cluster.run_for(secs(2));
        cluster.heal();
        cluster.run_for(secs(60));
        assert_eq!(cluster.count_kind("down", since), 0);
        cluster.assert_complete();
    }
}

#[test]
fn a_one_way_cut_between_two_is_bridged_by_the_others() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        let since = cluster.now();
        cluster.partition_oneway(&["n1"], &["n2"]);
        cluster.run_for(secs(300));
        assert_eq!(cluster.count_kind("down", since), 0);
    }
}

#[test]
fn one_whose_words_are_lost_is_down_until_they_are_heard() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        let since = cluster.now();
        cluster.partition_oneway(&["n1"], &["n0", "n2", "n3", "n4", "n5", "n6", "n7"]);
        cluster.expect_within(secs(15), "all others report it", |c| {
            c.running().iter().all(|label| label == "n1" || !c.up_view(label).contains("n1"))
        });
        cluster.run_for(secs(60));
        cluster.heal();
        cluster.expect_complete_within(secs(30));
        cluster.run_for(secs(60));
        for label in cluster.running().iter().filter(|label| *label != "n1") {
            assert_eq!(cluster.comings_and_goings(label, since), ["down n1", "up n1"], "{label}");
        }
    }
}

#[test]
fn what_dies_and_what_is_born_during_a_partition_is_known_after_it() {
    for seed in seeds(20) {
        let mut cluster = formed(12, seed);
        cluster.seed_with(&["n0", "n11"]);
        let south = labels(6..12);
        cluster.partition(&borrowed(&south));
        cluster.run_for(secs(25));
        cluster.crash("n1");
        cluster.crash("n7");
        cluster.restart("n2");
        cluster.start("north");
        cluster.run_for(secs(25));
        cluster.heal();
        cluster.expect_complete_within(secs(90));
        cluster.run_for(secs(60));
        cluster.assert_complete();
    }
}

#[test]
fn repeated_cuts_leave_nothing_behind() {
    for seed in seeds(5) {
        let mut cluster = formed(12, seed);
        let side = labels(0..5);
        for _ in 0..5 {
            cluster.partition(&borrowed(&side));
            cluster.run_for(secs(20));
            cluster.heal();
            cluster.run_for(secs(20));
        }
        cluster.expect_complete_within(secs(60));
        let since = cluster.now();
        cluster.run_for(secs(120));
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn two_that_were_cut_off_briefly_harm_nobody_when_they_come_back() {
    for seed in seeds(300) {
        let mut cluster = formed(14, seed);
        let away = labels(3..5);
        // They have not concluded on everybody by then, but on most.
        cluster.partition(&borrowed(&away));
        cluster.run_for(millis(15_000 + seed * 137 % 3_000));
        let healed = cluster.now();
        cluster.heal();
        cluster.expect_complete_within(secs(30));
        cluster.run_for(secs(20));
        cluster.assert_complete();
        // However many they meet at once, they yield once.
        assert!(away.iter().all(|label| cluster.counters(label).yields == 1), "seed {seed}");
        for label in cluster.running().iter().filter(|label| !away.contains(label)) {
            let counters = cluster.counters(label);
            assert_eq!((counters.lives_raised, counters.yields), (0, 0), "{label} was not away");
            let down = |change: &String| change.starts_with("down");
            assert!(!cluster.changes(label, healed).iter().any(down), "{label}");
        }
    }
}

#[test]
fn a_partition_that_comes_back_while_it_heals_leaves_nothing_behind() {
    for seed in seeds(20) {
        let mut cluster = formed(16, seed);
        let a = labels(0..8);
        cluster.partition(&borrowed(&a));
        cluster.run_for(secs(40));
        for moment in [200, 500, 1_100] {
            cluster.heal();
            cluster.run_for(millis(moment));
            cluster.partition(&borrowed(&a));
            cluster.run_for(secs(15));
        }
        cluster.heal();
        cluster.expect_complete_within(secs(10));
        cluster.run_for(secs(60));
        cluster.assert_complete();
    }
}

#[test]
fn a_half_that_is_not_heard_comes_back() {
    for seed in seeds(20) {
        let mut cluster = formed(16, seed);
        let (a, b) = (labels(0..8), labels(8..16));
        cluster.partition_oneway(&borrowed(&a), &borrowed(&b));
        cluster.run_for(secs(60));
        cluster.heal();
        cluster.expect_complete_within(secs(10));
        cluster.run_for(secs(60));
        cluster.assert_complete();
    }
}

#[test]
fn who_restarts_and_who_leaves_on_either_side_is_known_when_it_heals() {
    for seed in seeds(20) {
        let mut cluster = formed(16, seed);
        cluster.partition(&borrowed(&labels(0..8)));
        cluster.run_for(secs(30));
        let before = (cluster.session("n2"), cluster.session("n9"));
        cluster.restart("n2");
        cluster.restart("n9");
        cluster.leave("n3");
        cluster.leave("n10");
        cluster.run_for(secs(20));
        let since = cluster.now();
        cluster.heal();
        cluster.expect_complete_within(secs(10));
        cluster.run_for(secs(60));
        cluster.assert_complete();
        assert!(cluster.session("n2") > before.0 && cluster.session("n9") > before.1);
        for label in cluster.running() {
            for left in ["n3", "n10"] {
                assert!(
                    cluster.when(&label, &format!("up {left}"), since).is_none(),
                    "{label}: {left}"
                );
            }
        }
    }
}

// The sides are apart for longer than anybody remembers: on each more have died since than there are tombstones.
#[test]
fn sides_that_have_forgotten_each_other_are_found_by_their_seeds() {
    for seed in seeds(3) {
        let mut cluster = formed(12, seed);
        let passing = |side: &str| (0..400).map(|n| format!("{side}{n}")).collect::<Vec<_>>();
        let (here, there) = (passing("here"), passing("there"));
        for label in &here {
            cluster.setup(label);
        }
        cluster.partition(&borrowed(&[labels(0..6), here.clone()].concat()));
        for label in &there {
            cluster.setup(label).seeds = Some(vec!["n6".to_owned()]);
        }
        for (here, there) in here.chunks(50).zip(there.chunks(50)) {
            here.iter().chain(there).for_each(|label| cluster.start(label));
            cluster.run_for(secs(5));
            here.iter().chain(there).for_each(|label| cluster.crash(label));
            cluster.run_for(secs(20));
        }
        for (one, other) in labels(0..6).iter().zip(labels(6..12)) {
            assert_eq!((cluster.member(one, &other), cluster.member(&other, one)), (None, None));
        }
        cluster.heal();
        cluster.expect_complete_within(secs(90));
    }
}
