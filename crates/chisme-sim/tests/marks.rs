//! What a scenario asks for must have happened, each thing by itself, or the scenario shows nothing.

use std::collections::BTreeMap;

use chisme_sim::outcome::{Outcome, Verdict};
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, run};

/// Six nodes that know each other, and what a file says besides.
fn outcome(more: &str) -> Outcome {
    let text = format!(
        "why = ''\nexpected = ''\nsource = ''\nquiet = '0s'\n\
         [expect]\nfalse_downs = 1000\nlife_changes = 1000\n\
         [nodes]\ncount = 6\nacquainted = true\n{more}"
    );
    let scenario = Scenario::parse("marks", &text).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario, &BTreeMap::new(), 1, &Keep::default())
}

/// What never happened; nothing if the run has passed.
fn missing(more: &str) -> Vec<String> {
    let outcome = outcome(more);
    let never: Vec<String> =
        outcome.marks.iter().filter(|(_, n)| **n == 0).map(|(mark, _)| mark.clone()).collect();
    match &outcome.verdict {
        Verdict::Passed => assert!(never.is_empty(), "{never:?}"),
        Verdict::Harness(cause) => {
            let never = format!("it never happened: {} (ask for more of it", never.join(", "));
            assert!(cause.starts_with(&never), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    never
}

fn link(is: &str) -> String {
    format!("[[fault]]\nat = '1s'\nfor = '20s'\nlink = {{ from = 'all', to = 'all', {is} }}\n")
}

#[test]
fn each_setting_of_a_link_has_a_mark() {
    let all = "loss = 0.05, burst = { good = '500ms', bad = '200ms', loss = 0.5 }, \
        latency = '5ms', bandwidth = 500, queue = 100, mtu = 170, duplicate = 0.1, reorder = 0.1, \
        corrupt = 0.1, truncate = 0.1, late_replay = { part = 0.1, after = '2s' }";
    assert_eq!(missing(&link(&format!("is = {{ {all} }}"))), [""; 0]);
    let done = outcome(&link(&format!("is = {{ {all} }}"))).marks;
    let of_link: Vec<&str> =
        done.keys().filter_map(|mark| mark.strip_prefix("fault 0: ")).collect();
    assert_eq!(of_link.len(), 11, "{of_link:?}");
    assert!(of_link.contains(&"links from all to all: late_replay 10 %"), "{of_link:?}");

    let few = "both_ways = true, is = { loss = 0.05, mtu = 1400, corrupt = 0.1 }";
    assert_eq!(missing(&link(few)), ["fault 0: links between all and all: mtu 1400 B"]);
    let one = missing(&link("is = { mtu = 1400 }"));
    assert_eq!(one, ["fault 0: links from all to all: mtu 1400 B"]);
    // Nothing is asked of no part of them, nor of a queue that is longer than usual.
    let more = "is = { duplicate = 0.1, corrupt = 0.0, bandwidth = 2000, queue = 100000 }";
    assert_eq!(missing(&link(more)), [""; 0]);
    assert_eq!(missing(&link("is = { loss = 0.0 }")).len(), 1, "and all of it is nothing");
}

#[test]
fn each_setting_of_the_network_has_a_mark_if_it_was_to_be_expected() {
    // Something that takes its time.
    let cut = "[[fault]]\nfor = '20s'\ncut = { off = 'node[0]' }\n";
    let marks = |with: &str| {
        let outcome = outcome(&format!("[network]\n{with}\n{cut}"));
        assert_eq!(outcome.verdict, Verdict::Passed, "{with}");
        let marks = outcome.marks.into_iter().filter(|(mark, _)| mark.starts_with("network: "));
        marks.map(|(mark, count)| (mark, count > 0)).collect::<Vec<_>>()
    };
    let seen = |words: &str| (format!("network: {words}"), true);
    let usual = marks("loss = 0.05\ncorrupt = 0.02\nlatency = '3ms'");
    assert_eq!(usual, [seen("corrupt 2 %"), seen("latency 3 ms"), seen("loss 5 %")]);
    // What is rare, and limits that nothing reaches, are not demanded.
    assert_eq!(marks("loss = 0.05\nmtu = 1400\nport_unreachable = true"), [seen("loss 5 %")]);
    assert_eq!(marks("loss = 0.0\nduplicate = 0.00001"), []);
    let gone = "[network]\nport_unreachable = true\n[[fault]]\ncrash = 'node[3]'\n";
    assert!(outcome(gone).marks["network: port_unreachable"] > 0);
}

#[test]
fn what_is_drawn_may_be_asked_in_vain() {
    let text = "why = ''\nexpected = ''\nsource = ''\nquiet = '0s'\nall_faults_happen = false\n\
        [nodes]\ncount = 4\nacquainted = true\n[network]\nmtu = 1400\n\
        [[fault]]\nfor = '2s'\nlink = { from = 'all', to = 'all', is = { mtu = 1400 } }\n";
    let scenario = Scenario::parse("marks", text).expect("it is right");
    let outcome = run(&scenario, &BTreeMap::new(), 1, &Keep::default());
    assert_eq!(outcome.verdict, Verdict::Passed);
    assert!(outcome.marks.iter().any(|(mark, count)| mark.starts_with("fault 0") && *count == 0));
}

/// Two of six are gone, the second until 11 s.
const GONE: &str = "[[fault]]\nat = '1s'\ncrash = 'node[2]'\n\
    [[fault]]\nat = '1s'\nfor = '10s'\ncrash = 'node[3]'\n";

/// A third fault, at two seconds, about these.
fn then(fault: &str) -> Vec<String> {
    missing(&format!("{GONE}[[fault]]\nat = '2s'\n{fault}\n"))
}

#[test]
fn a_clock_is_wrong_only_where_somebody_goes_by_it() {
    let clock = |node: u8, what: &str| format!("clock = {{ nodes = 'node[{node}]', {what} }}");
    for what in ["step_seconds = 5", "drift_ppm = 100"] {
        assert_eq!(then(&clock(1, what)), [""; 0]);
        assert_eq!(then(&clock(2, what)), ["fault 2: wrong clocks: node[2]"]);
        assert_eq!(then(&clock(3, what)), [""; 0], "it starts by this clock");
    }
    // The drift is over when somebody starts there, the step is not.
    let both = format!("for = '3s'\n{}", clock(3, "step_seconds = 5, drift_ppm = 100"));
    assert_eq!(then(&both), ["fault 2: wrong clocks: node[3]: drift 100 ppm"]);
}

#[test]
fn a_name_is_twice_only_if_two_bear_it_at_once() {
    assert_eq!(then("for = '5s'\nduplicate_name = 'node[1]'"), [""; 0]);
    for node in [2, 3] {
        let gone = format!("for = '5s'\nduplicate_name = 'node[{node}]'");
        assert_eq!(then(&gone), [format!("fault 2: names twice: node[{node}]")]);
    }
    assert_eq!(then("for = '20s'\nduplicate_name = 'node[3]'"), [""; 0], "it comes back");
}

#[test]
fn what_takes_two_is_not_demanded_of_one_who_was_alone_until_the_end() {
    // One of two is gone from the first moment, and comes back when the run is all but over.
    let text = "why = ''\nexpected = ''\nsource = ''\nquiet = '0s'\n\
        [nodes]\ncount = 2\n[config]\nrecord_bytes = 100\n\
        [[fault]]\nfor = '40s'\ncrash = 'node[1]'\n";
    let scenario = Scenario::parse("marks", text).unwrap_or_else(|error| panic!("{error}"));
    for seed in 1..=5 {
        let outcome = run(&scenario, &BTreeMap::new(), seed, &Keep::default());
        assert_eq!(outcome.verdict, Verdict::Passed, "seed {seed}");
        assert!(!outcome.marks.contains_key("message: ack"), "seed {seed}: {:?}", outcome.marks);
    }
}
