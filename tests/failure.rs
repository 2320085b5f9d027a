//! A node that fails is Down for all, one that leaves is Left, and one that only pauses is neither.

use std::time::Instant;

use rustix::process::Signal;

use crate::harness::cluster::{DETECTION, Marks};
use crate::harness::{Cluster, Dns, Net, secs, until, whenever_until};

#[test]
fn a_crash_is_known_to_all_and_a_restart_too() {
    let Some(net) = Net::build(5) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 5);
    let victim = cluster[3].name.clone();
    let spec = cluster[3].spec().clone();

    let marks = cluster.marks();
    cluster[3].crash();
    cluster.expect_all("down", &victim, &marks, Instant::now(), DETECTION);
    cluster.replace(3, &spec);
    cluster.expect_complete(secs(15));
    for (name, changes) in cluster.changes_since(&marks) {
        if name != victim {
            assert_eq!(changes, [format!("down {victim}"), format!("up {victim}")], "{name}");
        }
    }
}

/// A crash that is followed by a restart before anybody noticed.
#[test]
fn a_restart_takes_over_without_waiting_for_the_detector() {
    let Some(net) = Net::build(4) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 4);
    let spec = cluster[2].spec().clone();
    cluster[2].crash();
    cluster.replace(2, &spec);
    let names = cluster.names();
    cluster[2].expect_ready();
    cluster.expect_views(&names, secs(5));
    let members = cluster[1].run(&["members"]).expect_success();
    assert!(members.contains(&cluster[2].name), "{members}");
}

#[test]
fn a_frozen_node_is_down_and_comes_back_when_it_thaws() {
    let Some(net) = Net::build(5) else { return };
    let dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 5);
    let sleeper = cluster[4].name.clone();

    let marks = cluster.marks();
    cluster[4].freeze();
    cluster.expect_all("down", &sleeper, &marks, Instant::now(), DETECTION);
    cluster[4].thaw();
    let names = cluster.names();
    cluster.expect_views(&names, secs(20));
    for (name, changes) in cluster.changes_since(&marks) {
        if name == sleeper {
            assert_eq!(changes, [""; 0], "the sleeper's view did not change");
        } else {
            assert_eq!(changes, [format!("down {sleeper}"), format!("up {sleeper}")], "{name}");
        }
    }
}

#[test]
fn a_short_freeze_changes_nothing() {
    let Some(net) = Net::build(4) else { return };
    let dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 4);
    let marks = cluster.marks();
    for _ in 0..3 {
        cluster[2].freeze();
        whenever_until("nobody is down", secs(1), || nothing_happened(&cluster, &marks));
        cluster[2].thaw();
        whenever_until("nobody is down", secs(2), || nothing_happened(&cluster, &marks));
    }
}

#[test]
fn who_leaves_is_left_and_never_down() {
    let Some(net) = Net::build(6) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 6);
    let marks = cluster.marks();

    let first = cluster[6].name.clone();
    cluster[6].leave();
    cluster.expect_all("left", &first, &marks, Instant::now(), secs(3));
    let second = cluster[5].name.clone();
    let out = cluster[5].run(&["leave"]).expect_success();
    assert_eq!(cluster[5].expect_end(secs(5)), Some(0), "{out}");
    cluster.agents_mut().truncate(5);
    cluster.expect_all("left", &second, &marks, Instant::now(), secs(3));
    cluster.agents_mut().truncate(4);

    // A scale-down: one after another, and the last sees all of them leave.
    while cluster.agents().len() > 1 {
        let mut last = cluster.agents_mut().pop().expect("more than one");
        last.leave();
        cluster[1].expect("left", &last.name, secs(3));
    }
    whenever_until("no leave turns into a failure", secs(8), || {
        !cluster[1].changes().iter().any(|change| change.event == "down")
    });
}

#[test]
fn ctrl_c_twice_ends_an_agent_at_once() {
    let Some(net) = Net::build(2) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 2);
    cluster[1].signal(Signal::INT);
    let _ = rustix::process::kill_process(cluster[1].pid(), Signal::INT);
    cluster[1].expect_end(secs(2));
}

#[test]
fn a_rolling_restart_is_no_failure() {
    let Some(net) = Net::build(5) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 5);
    for number in 1..=5 {
        let spec = cluster[number].spec().clone();
        cluster[number].leave();
        cluster.replace(number, &spec);
        cluster.expect_complete(secs(15));
    }
    for agent in cluster.agents() {
        let downs: Vec<_> =
            agent.changes().into_iter().filter(|change| change.event == "down").collect();
        assert!(downs.is_empty(), "{}: {downs:?}", agent.name);
    }
}

#[test]
fn a_cluster_outlives_all_its_founders() {
    let Some(net) = Net::build(6) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 3);
    Cluster::publish(&net, &dns, &[1, 2, 3, 4, 5, 6]);
    let later = (4..=6).map(|number| Cluster::spec(&net, &dns, number).start());
    cluster.agents_mut().extend(later);
    cluster.expect_complete(secs(15));
    cluster.agents_mut().drain(..3).for_each(drop);
    let names = cluster.names();
    cluster.expect_views(&names, secs(25));
    until("the first survivor says so on its command line too", secs(2), || {
        let nodes = cluster[1].run(&["nodes"]).expect_success();
        nodes.lines().count() == 2
    });
}

fn nothing_happened(cluster: &Cluster, marks: &Marks) -> bool {
    cluster.changes_since(marks).iter().all(|(_, changes)| changes.is_empty())
}
