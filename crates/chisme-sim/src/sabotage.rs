//! Every rule of a run is broken once, on purpose: each must be noticed, and for what it is.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chisme_proto::{
    Event, Fill, Input, Instant, MemberState, MemberView, NodeName, NodeStatus, Output, Record,
    Session,
};

use crate::cluster::Cluster;
use crate::drive::Happening;
use crate::member::Member;
use crate::network::Datagram;
use crate::outcome::{Outcome, Verdict};
use crate::panics;
use crate::run::{Company, Keep, run_with};
use crate::scenario::Scenario;
use crate::{secs, trace};

/// A member that does what no node may do, and a node's own doings else.
#[derive(Default)]
pub(crate) struct Saboteur {
    node: Option<Member>,
    /// What it says before anything that the node says.
    says: VecDeque<Output>,
    /// How many outputs more it says that it has dropped.
    dropped: u64,
    /// What of its own it says holds one more than it may.
    overfills: Option<&'static str>,
    /// What it has never told anybody of itself.
    conceals: Option<Record>,
    /// Whether its timer is due whatever it has done.
    hurries: bool,
    /// The method in which it panics when it is read.
    breaks_in: &'static str,
    /// What happens when it rejects a datagram.
    on_rejection: Harm,
    rejected: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Harm {
    #[default]
    None,
    /// It forgets a member.
    Members,
    /// It counts one more.
    Count,
}

impl Saboteur {
    fn node(&self) -> &Member {
        self.node.as_ref().expect("it was put in")
    }

    fn read(&self, method: &str) -> &Member {
        assert!(method != self.breaks_in, "{method} is upside down");
        self.node()
    }

    fn harmed_by(&self, harm: Harm) -> bool {
        self.rejected && self.on_rejection == harm
    }

    pub(crate) fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        let rejections = |node: &Member| -> u64 {
            node.status().counters.rejections().map(|(_, count)| count).sum()
        };
        let before = rejections(self.node());
        self.node.as_mut().expect("it was put in").handle_input(input, now);
        self.rejected |= rejections(self.node()) > before;
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.says.pop_front().or_else(|| self.node.as_mut()?.poll_output())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.hurries { Some(Instant::default()) } else { self.node().poll_timeout() }
    }

    pub(crate) fn local(&self) -> MemberView {
        let mut local = self.read("local").local();
        if let Some(record) = &self.conceals {
            local.record = Arc::new(record.clone());
        }
        local
    }

    pub(crate) fn session(&self) -> Session {
        self.read("session").session()
    }

    pub(crate) fn members(&self) -> Vec<MemberView> {
        self.read("members").members().split_off(usize::from(self.harmed_by(Harm::Members)))
    }

    pub(crate) fn member(&self, name: &NodeName) -> Option<MemberView> {
        self.read("member").member(name)
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let mut status = self.read("status").status();
        status.counters.outputs_dropped += self.dropped;
        status.live += usize::from(self.harmed_by(Harm::Count));
        status
    }

    pub(crate) fn overfull(&self) -> Option<Fill> {
        let Member::Chisme(node) = self.node() else { return None };
        let mut fill = node.fills().find(|fill| Some(fill.what) == self.overfills)?;
        fill.held = fill.most + 1;
        Some(fill)
    }
}

/// Makes a saboteur of the node of a machine.
fn saboteur(cluster: &mut Cluster, index: usize) -> &mut Saboteur {
    let node = &mut cluster.hosts[index].process.as_mut().expect("it runs").node;
    let whole = std::mem::replace(node, Member::Sabotaged(Box::default()));
    let Member::Sabotaged(saboteur) = node else { unreachable!("it was just put there") };
    saboteur.node = Some(whole);
    saboteur
}

/// It must be noticed with this input, not later.
fn noticed(cluster: &mut Cluster, index: usize, input: Input<'_>) {
    cluster.feed(index, input);
    panic!("nobody has noticed");
}

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
fn a_panic_of_a_node_that_is_only_read_is_a_crash_too() {
    let crash = format!("{CALM}\n[[fault]]\nat = '1s'\ncrash = 'node[4]'\n");
    for method in ["local", "session", "members", "member", "status"] {
        let sabotage = |cluster: &mut Cluster| saboteur(cluster, 1).breaks_in = method;
        let outcome = run(&crash, &sabotage);
        demand(&outcome, Verdict::Crashed, &format!("{method} is upside down"));
        assert_eq!(outcome.verdict.exit_status(), 5);
    }
}

#[test]
fn an_error_in_the_log_is_unsafe() {
    let sabotage = |_: &mut Cluster| tracing::error!("it cannot be");
    demand(&run(CALM, &sabotage), Verdict::Unsafe, "it cannot be");
}

/// `n1` says these events, although nothing of it is so.
fn n1_says(cluster: &mut Cluster, events: impl IntoIterator<Item = Event>) {
    saboteur(cluster, 1).says.extend(events.into_iter().map(Output::Event));
    noticed(cluster, 1, Input::Timeout);
}

/// What `n1` holds of `n2`, in another state.
fn n2_as(cluster: &Cluster, state: MemberState) -> MemberView {
    let mut view = cluster.member("n1", "n2").expect("it is up");
    view.state = state;
    view
}

#[test]
fn an_event_that_may_not_follow_is_unsafe() {
    let twice = |cluster: &mut Cluster| {
        let view = n2_as(cluster, MemberState::Alive);
        n1_says(cluster, [Event::Up(view)]);
    };
    demand(&run(CALM, &twice), Verdict::Unsafe, "for a member that was Some");
}

#[test]
fn an_event_that_the_node_does_not_stand_for_is_unsafe() {
    let suspect = |cluster: &mut Cluster| {
        let view = n2_as(cluster, MemberState::Suspect);
        n1_says(cluster, [Event::Suspect(view)]);
    };
    demand(&run(CALM, &suspect), Verdict::Unsafe, "snapshot and events differ");
}

#[test]
fn who_is_gone_for_all_does_not_rise_and_who_stays_does_not_leave() {
    let rise = |cluster: &mut Cluster| {
        let dead = cluster.member("n1", "n5").expect("it is up");
        cluster.crash("n5");
        cluster.run_for(secs(60));
        n1_says(cluster, [Event::Up(dead)]);
    };
    demand(&run(CALM, &rise), Verdict::Unsafe, "n5 is up again");
    let leave = |cluster: &mut Cluster| {
        let view = n2_as(cluster, MemberState::Left);
        n1_says(cluster, [Event::Left(view)]);
    };
    demand(&run(CALM, &leave), Verdict::Unsafe, "n2 is said to have left");
}

#[test]
fn whoever_was_told_of_all_others_still_believes_in_the_dead_while_it_sleeps() {
    let rise = |cluster: &mut Cluster| {
        let dead = cluster.member("n1", "n5").expect("it is up");
        cluster.freeze("n4");
        cluster.crash("n5");
        cluster.run_for(secs(60));
        n1_says(cluster, [Event::Up(dead)]);
    };
    for text in [CALM, &CALM.replace("count = 6", "count = 6\nacquainted = true")] {
        // Not everybody knows that n5 is gone: only n1's own snapshot speaks against it.
        demand(&run(text, &rise), Verdict::Unsafe, "snapshot and events differ");
    }
}

#[test]
fn a_timer_that_is_always_due_is_unsafe() {
    let hurry = |cluster: &mut Cluster| {
        saboteur(cluster, 1).hurries = true;
        cluster.run_for(secs(2));
    };
    demand(&run(CALM, &hurry), Verdict::Unsafe, "n1: a timer is always due at once");
}

#[test]
fn a_storm_is_unsafe() {
    let storm = |cluster: &mut Cluster| {
        let to = cluster.address("n3");
        let datagram = || Output::Transmit { to, bytes: vec![0] };
        saboteur(cluster, 2).says.extend(std::iter::repeat_with(datagram).take(5_000));
        noticed(cluster, 2, Input::Timeout);
    };
    demand(&run(CALM, &storm), Verdict::Unsafe, "n2 sends more than 4048 datagrams");
}

#[test]
fn an_output_that_is_dropped_is_unsafe() {
    let drop = |cluster: &mut Cluster| {
        saboteur(cluster, 3).dropped = 1;
        noticed(cluster, 3, Input::Timeout);
    };
    demand(&run(CALM, &drop), Verdict::Unsafe, "n3: 1 outputs dropped");
}

#[test]
fn a_queue_above_its_limit_is_unsafe_whenever_it_is_looked_at() {
    let over = |cluster: &mut Cluster| saboteur(cluster, 3).overfills = Some("disputes");
    let says = "n3: 65 disputes, where 64 are the most";
    let soon = |cluster: &mut Cluster| {
        over(cluster);
        cluster.run_for(secs(60));
        panic!("nobody has noticed");
    };
    demand(&run(CALM, &soon), Verdict::Unsafe, says);
    let at_its_end = |cluster: &mut Cluster| {
        over(cluster);
        cluster.crash("n3");
        panic!("nobody has noticed");
    };
    demand(&run(CALM, &at_its_end), Verdict::Unsafe, says);
    // Nothing comes to a node that is frozen.
    let at_the_end_of_the_run = |cluster: &mut Cluster| {
        over(cluster);
        cluster.freeze("n3");
    };
    let calm = format!("known_misses = ['converged']\n{CALM}");
    demand(&run(&calm, &at_the_end_of_the_run), Verdict::Unsafe, says);
}

#[test]
fn a_rejection_that_changes_the_view_is_unsafe() {
    for harm in [Harm::Members, Harm::Count] {
        let reject = |cluster: &mut Cluster| {
            let from = cluster.address("n2");
            saboteur(cluster, 1).on_rejection = harm;
            noticed(cluster, 1, Input::Datagram { from, bytes: b"not one of ours" });
        };
        demand(&run(CALM, &reject), Verdict::Unsafe, "a datagram that was rejected");
    }
}

#[test]
fn a_fault_and_a_farewell_that_never_happened_are_errors_of_the_harness() {
    // Who is dead is neither frozen nor able to leave.
    let dead = "[[fault]]\nat = '1s'\ncrash = 'node[1]'\n[[fault]]\nat = '2s'\n";
    let outcome = run(&format!("{CALM}{dead}for = '5s'\nfreeze = 'node[1]'"), &|_| ());
    demand(&outcome, Verdict::Harness, "it never happened: fault 1: ");
    let outcome = run(&format!("{CALM}{dead}leave = {{ nodes = 'node[1]' }}"), &|_| ());
    demand(&outcome, Verdict::Harness, "it never happened: fault 1: leave");
}

#[test]
fn a_fault_without_an_end_excuses_only_those_whom_it_concerns() {
    let lasting = "[expect]\nfalse_downs = 99\nlife_changes = 99\n\
                   [[fault]]\nat = '1s'\ncut = { off = 'node[5]' }";
    let text = format!("all_faults_happen = false\nquiet = '0s'\n{CALM}{lasting}");
    assert_eq!(run(&text, &|_| ()).verdict, Verdict::Passed);
    demand(&run(&text, &secret_cut), Verdict::NotLive, "20s after the faults");
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
fn what_a_node_says_of_itself_and_others_do_not_know_is_not_live() {
    let conceal = |cluster: &mut Cluster| {
        let mut record = Record::default();
        record.tags.insert("zone".to_owned(), "b".to_owned());
        saboteur(cluster, 3).conceals = Some(record);
    };
    let text = format!("{CALM}\n[config]\nrecord_bytes = 900");
    assert_eq!(run(&text, &|_| ()).verdict, Verdict::Passed);
    demand(&run(&text, &conceal), Verdict::NotLive, "n0 does not know what n3 says of itself");
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
    let outcome = outcome.expect("nobody stops it");
    for kind in ["hello", "proof", "welcome"] {
        let missing = outcome.verdict.cause().is_some_and(|cause| cause.contains(kind));
        assert!(missing, "{kind}: {:?}", outcome.verdict);
    }
    demand(&outcome, Verdict::Harness, "it never happened: message: ");
}

/// The difference between a run and another, in which something else is done.
fn difference(does: &dyn Fn(&mut Cluster), does_else: &dyn Fn(&mut Cluster)) -> trace::Difference {
    let scenario = scenario(CALM);
    let runs = Cell::new(0);
    let sabotage = |cluster: &mut Cluster| {
        runs.set(runs.get() + 1);
        if runs.get() == 2 { does_else(cluster) } else { does(cluster) }
    };
    let difference = trace::compare(|trace| {
        let company = Company {
            trace: Some(trace),
            sabotage: Some((secs(5), &sabotage)),
            ..Company::default()
        };
        run_with(&scenario, &BTreeMap::new(), 7, &Keep::default(), company)
    });
    assert_eq!(runs.get(), 3);
    *difference.expect_err("they differ")
}

#[test]
fn two_runs_that_differ_are_told_by_their_first_difference() {
    let difference = difference(&|_| (), &|cluster| cluster.crash("n3"));
    assert!(difference.index > 10, "{difference}");
    for told in [&difference.first, &difference.second] {
        let words: Vec<&str> = told.split_whitespace().collect();
        let is_named = |word: &&str| word.starts_with('n') && word[1..].parse::<u8>().is_ok();
        assert!(words.iter().any(is_named) && told.contains(" s, upon which"), "{told}");
    }
    assert_ne!(difference.first, difference.second);
    let same = crate::check_determinism(&scenario(CALM), &BTreeMap::new(), 7);
    assert!(same.is_ok_and(|outcome| outcome.events > 100));
}

#[test]
fn what_comes_of_nothing_differs_too_if_it_is_of_somebody_else() {
    let soon = |cluster: &Cluster| cluster.now() + crate::micros(1);
    let wake =
        |host| move |cluster: &mut Cluster| cluster.schedule(soon(cluster), Happening::Wake(host));
    let timers = difference(&wake(1), &wake(2));
    assert!(timers.first.starts_with("timer of n1 at 5."), "{timers}");
    assert!(timers.second.starts_with("timer of n2 at 5."), "{timers}");
    // One of these is noise, and none is answered.
    let noise = |to: &'static str, bytes: [u8; 3]| {
        move |cluster: &mut Cluster| {
            let (from, to) = (cluster.address("n5"), cluster.address(to));
            let datagram = Datagram { from, to, bytes: bytes.to_vec() };
            cluster.schedule(soon(cluster), Happening::Arrive(datagram));
        }
    };
    let others = difference(&noise("n1", [0; 3]), &noise("n2", [0; 3]));
    let told = "of 3 bytes from n5 (10.0.0.6:";
    assert!(others.first.contains(told) && others.first.contains(" to n1 (10.0.0.2:"), "{others}");
    assert!(
        others.second.contains(told) && others.second.contains(" to n2 (10.0.0.3:"),
        "{others}"
    );
    let bytes = difference(&noise("n1", [0; 3]), &noise("n1", [0, 0, 1]));
    assert!(bytes.first.contains(" to n1 ("), "{bytes}");
}
