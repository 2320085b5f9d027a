//! Networks that break and heal.

use std::time::Instant;

use crate::harness::cluster::{DETECTION, Marks};
use crate::harness::{Cluster, Dns, Net, secs, whenever_until};

#[test]
fn a_cut_in_half_heals_and_the_larger_side_is_undisturbed() {
    let Some(net) = Net::build(8) else { return };
    let dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 8);
    let (left, right) = (names(&cluster, 1..=5), names(&cluster, 6..=8));

    let marks = cluster.marks();
    net.partition(&[1, 2, 3, 4, 5], &[6, 7, 8]);
    cluster.expect_views(&left.iter().cloned().collect(), secs(30));
    cluster.expect_views(&right.iter().cloned().collect(), secs(30));
    net.heal();
    cluster.expect_views(&cluster.names(), secs(40));
    for (name, mut changes) in cluster.changes_since(&marks) {
        if !left.contains(&name) {
            continue;
        }
        let mut expected: Vec<_> =
            right.iter().flat_map(|peer| [format!("down {peer}"), format!("up {peer}")]).collect();
        expected.sort();
        changes.sort();
        assert_eq!(changes, expected, "{name}, on the larger side");
    }
    stays_complete(&cluster);
}

#[test]
fn an_isolated_node_comes_back_and_nobody_else_is_disturbed() {
    let Some(net) = Net::build(6) else { return };
    let dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 6);
    let lost = cluster[2].name.clone();

    let marks = cluster.marks();
    net.unplug(2);
    cluster.expect_all("down", &lost, &marks, Instant::now(), DETECTION);
    cluster[2].expect_view(&[], secs(40));
    net.plug(2);
    cluster.expect_views(&cluster.names(), secs(40));
    only_concerns(&cluster, &marks, &lost);
    stays_complete(&cluster);
}

#[test]
fn one_link_cut_one_way_is_bridged_by_the_others() {
    let Some(net) = Net::build(5) else { return };
    let dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 5);
    let marks = cluster.marks();
    net.cut_one_way(&[1], &[2]);
    whenever_until("indirect probes keep everybody up", secs(20), || {
        cluster.changes_since(&marks).iter().all(|(_, changes)| changes.is_empty())
    });
    net.heal();
    stays_complete(&cluster);
}

/// It hears everybody and nobody hears it.
#[test]
fn a_node_that_cannot_send_does_no_harm() {
    let Some(net) = Net::build(5) else { return };
    let dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 5);
    let mute = cluster[1].name.clone();

    let marks = cluster.marks();
    net.cut_one_way(&[1], &[2, 3, 4, 5]);
    cluster.expect_all("down", &mute, &marks, Instant::now(), DETECTION);
    let others = cluster.names_without(&mute);
    cluster.expect_views(&others, secs(1));
    net.heal();
    cluster.expect_views(&cluster.names(), secs(40));
    only_concerns(&cluster, &marks, &mute);
    stays_complete(&cluster);
}

#[test]
fn a_fifth_of_all_packets_lost_does_no_lasting_damage() {
    let Some(net) = Net::build(7) else { return };
    let dns = Dns::start(&net);
    net.lose(20);
    let mut cluster = Cluster::from_dns(&net, &dns, 7);
    cluster.expect_complete(secs(60));
    whenever_until("all processes run on", secs(20), || {
        cluster.agents_mut().iter_mut().all(|agent| agent.is_running())
    });
    assert!(net.lost() > 100, "the network really loses packets");
    net.heal();
    cluster.expect_views(&cluster.names(), secs(40));
    stays_complete(&cluster);
}

fn names(cluster: &Cluster, numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|number| cluster[number].name.clone()).collect()
}

/// Everybody but the node itself saw nothing but one Down and one Up of it.
#[track_caller]
fn only_concerns(cluster: &Cluster, marks: &Marks, peer: &str) {
    for (name, changes) in cluster.changes_since(marks) {
        if name != peer {
            assert_eq!(changes, [format!("down {peer}"), format!("up {peer}")], "{name}");
        }
    }
}

/// What healed does not break again.
#[track_caller]
fn stays_complete(cluster: &Cluster) {
    let marks = cluster.marks();
    whenever_until("nothing happens any more", secs(5), || {
        cluster.changes_since(&marks).iter().all(|(_, changes)| changes.is_empty())
    });
}
