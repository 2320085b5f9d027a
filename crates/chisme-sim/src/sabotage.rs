//! Every rule of a run is broken once, on purpose: each must be noticed, and for what it is.

use std::cell::Cell;
use std::collections::BTreeMap;

use chisme_proto::Event;

use crate::cluster::Cluster;
use crate::outcome::{Outcome, Verdict};
use crate::panics;
use crate::run::{Company, Keep, run_with};
use crate::scenario::Scenario;
use crate::{secs, trace};

const CALM: &str = r#"
why = "Nothing happens."
expected = "Nothing is seen."
source = "none"
liveness = "20s"

[nodes]
count = 6
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

fn run(text: &str, sabotage: &dyn Fn(&mut Cluster)) -> Outcome {
    let company = Company { sabotage: Some((secs(5), sabotage)), ..Company::default() };
    let keep = Keep::default();
    run_with(&scenario(text), &BTreeMap::new(), 1, &keep, company).expect("nobody stops it")
}

#[track_caller]
fn demand(outcome: &Outcome, is: fn(String) -> Verdict, says: &str) {
    let cause = outcome.verdict.cause().unwrap_or_default().to_owned();
    assert!(outcome.verdict == is(cause.clone()) && cause.contains(says), "{:?}", outcome.verdict);
}

/// A fault that nobody has announced.
fn secret_cut(cluster: &mut Cluster) {
    cluster.partition(&["n4"]);
    cluster.run_for(secs(25));
}

#[test]
fn a_run_that_nobody_sabotages_passes() {
    assert_eq!(run(CALM, &|_| ()).verdict, Verdict::Passed);
}

#[test]
fn a_panic_of_a_node_is_a_crash_and_one_of_ours_is_not() {
    let crashed = run(CALM, &|_| panics::node(|| panic!("the table is upside down")));
    demand(&crashed, Verdict::Crashed, "the table is upside down");
    demand(&run(CALM, &|_| panic!("no such machine")), Verdict::Harness, "no such machine");
}

#[test]
fn an_error_in_the_log_is_unsafe() {
    let sabotage = |_: &mut Cluster| tracing::error!("it cannot be");
    demand(&run(CALM, &sabotage), Verdict::Unsafe, "it cannot be");
}

#[test]
fn an_event_out_of_order_is_unsafe() {
    let sabotage = |cluster: &mut Cluster| {
        let mut view = cluster.member("n1", "n2").expect("it is up");
        view.state = chisme_proto::MemberState::Suspect;
        let record = &mut cluster.hosts[1].record;
        record.view.apply(&Event::Suspect(view)).expect("it was up");
    };
    demand(&run(CALM, &sabotage), Verdict::Unsafe, "snapshot and events differ");
}

#[test]
fn a_storm_is_unsafe() {
    let sabotage = |cluster: &mut Cluster| (0..5_000).for_each(|_| cluster.check_rate(2));
    demand(&run(CALM, &sabotage), Verdict::Unsafe, "n2 sends more than 4048 datagrams");
}

#[test]
fn a_rejection_that_changes_the_view_is_unsafe() {
    let sabotage = |cluster: &mut Cluster| {
        let garbage = b"not one of ours".as_slice();
        let from = cluster.address("n2");
        let input = chisme_proto::Input::Datagram { from, bytes: garbage };
        let before = cluster.before_input(1, &input);
        cluster.crash("n5");
        cluster.run_for(secs(20));
        cluster.inject(from, "n1", garbage);
        cluster.run_for(secs(1));
        cluster.after_input(1, before);
    };
    demand(&run(CALM, &sabotage), Verdict::Unsafe, "a datagram that was rejected");
}

#[test]
fn whoever_is_undisturbed_is_neither_called_down_nor_begins_a_new_life() {
    let sabotage = |cluster: &mut Cluster| {
        secret_cut(cluster);
        cluster.heal();
    };
    let outcome = run(CALM, &sabotage);
    demand(&outcome, Verdict::NotLive, "Down at");
    assert_eq!(outcome.figures.false_downs, 10, "each side calls the other Down");
    assert!(outcome.figures.life_changes > 0 && outcome.figures.false_suspicions > 0);
    // A scenario that says how many there may be judges for itself.
    let few = format!("{CALM}\n[expect]\nfalse_downs = 9\nlife_changes = 9");
    demand(&run(&few, &sabotage), Verdict::Unexpected, "false_downs is 10, not at most 9");
    let enough = format!("{CALM}\n[expect]\nfalse_downs = 10\n");
    demand(&run(&enough, &sabotage), Verdict::NotLive, "new lives");
    let enough = format!("{enough}life_changes = 9");
    assert_eq!(run(&enough, &sabotage).verdict, Verdict::Passed);
}

#[test]
fn a_view_that_does_not_become_right_is_not_live() {
    let outcome = run(CALM, &secret_cut);
    demand(&outcome, Verdict::NotLive, "20s after the faults");
    let known = format!(
        "known_misses = ['converged']\n{CALM}\n[expect]\nfalse_downs = 99\nlife_changes = 9"
    );
    assert_eq!(run(&known, &secret_cut).verdict, Verdict::Passed, "the product is known to fail");
}

#[test]
fn suspicions_while_nothing_goes_wrong_any_more_are_not_live() {
    let lossy = format!("quiet = '60s'\n{CALM}\n[expect]\nfalse_downs = 99");
    let lose = |cluster: &mut Cluster| cluster.loss(0.6);
    demand(&run(&lossy, &lose), Verdict::NotLive, "not quiet");
    let known = format!("known_misses = ['quiet']\n{lossy}\nlife_changes = 9");
    assert_eq!(run(&known, &lose).verdict, Verdict::Passed);
}

#[test]
fn views_that_are_not_complete_in_time_are_unexpected() {
    let outcome = run(&CALM.replace("count = 6", "count = 6\nformed_within = '2ms'"), &|_| ());
    demand(&outcome, Verdict::Unexpected, "formed: there was nothing to measure");
}

#[test]
fn a_run_in_which_nothing_happened_is_an_error_of_the_harness() {
    let idle = "why = ''\nexpected = ''\nsource = ''\nliveness = '0s'\nquiet = '0s'\n\
                known_misses = ['converged']\n[nodes]\ncount = 2\nformed_within = '0s'";
    let company = Company::default();
    let outcome = run_with(&scenario(idle), &BTreeMap::new(), 1, &Keep::default(), company);
    demand(&outcome.expect("nobody stops it"), Verdict::Harness, "message: welcome");
}

#[test]
fn two_runs_that_differ_are_told_by_their_first_difference() {
    let scenario = scenario(CALM);
    let runs = Cell::new(0);
    let sabotage = |cluster: &mut Cluster| {
        runs.set(runs.get() + 1);
        if runs.get() == 2 {
            cluster.crash("n3");
        }
    };
    let difference = trace::compare(|trace| {
        let company = Company {
            trace: Some(trace),
            sabotage: Some((secs(5), &sabotage)),
            ..Company::default()
        };
        run_with(&scenario, &BTreeMap::new(), 7, &Keep::default(), company)
    });
    let difference = *difference.expect_err("the second run had a crash");
    assert_eq!(runs.get(), 3);
    assert!(difference.index > 10, "{difference}");
    assert!(difference.first.contains(" s, upon which") && difference.first != difference.second);
    let same = crate::check_determinism(&scenario, &BTreeMap::new(), 7);
    assert!(same.is_ok_and(|outcome| outcome.events > 100));
}
