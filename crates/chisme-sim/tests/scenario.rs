//! Scenarios run, repeat exactly, and say what is wrong with their file.

use std::collections::BTreeMap;

use chisme_sim::outcome::{ProcessState, Verdict};
use chisme_sim::scenario::{Fault, Group, Link, Scenario};
use chisme_sim::{Keep, report, run};

const SPLIT: &str = r#"
why = "A cut heals."
expected = "One view again."
source = "none"

[nodes]
count = 8

[[fault]]
at = "5s"
for = "20s"
cut = { off = "half" }
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_run_repeats_exactly() {
    let scenario = scenario(SPLIT);
    let runs = [7, 7, 8].map(|seed| run(&scenario, &BTreeMap::new(), seed, &Keep::default()));
    assert_eq!(runs[0].verdict, Verdict::Passed);
    assert_eq!(runs[0].hash, runs[1].hash);
    assert_ne!(runs[0].hash, runs[2].hash);
}

#[test]
fn a_fault_of_turns_is_over_when_the_last_has_left_or_is_back() {
    let keep = Keep { story: true, ..Keep::default() };
    for (fault, state) in [
        ("leave = { nodes = 'first(3)', every = '500ms' }", ProcessState::Left),
        ("rolling_restart = { nodes = 'first(3)', every = '4s' }", ProcessState::Running),
    ] {
        let text = SPLIT.replace("for = \"20s\"\ncut = { off = \"half\" }", fault);
        let outcome = run(&scenario(&text), &BTreeMap::new(), 7, &keep);
        assert_eq!(outcome.verdict, Verdict::Passed);
        let trace = report::trace_jsonl(&outcome);
        let story = outcome.story.expect("it was asked for");
        let last = story.processes.iter().rfind(|one| one.to == state).expect("it happened").at;
        assert_eq!(story.faults[0].to, last, "{fault}: {:?}", story.faults);
        assert!(last < story.seconds - 10.0, "{fault}: it ran on for {}", story.seconds);
        let end = trace.lines().find(|line| line.contains("fault_ends")).expect("it is told");
        assert!(end.contains(&format!("\"at\":{last},")), "{end}");
    }
}

#[test]
fn acquainted_nodes_know_each_other_from_the_start() {
    let text = SPLIT.replace("count = 8", "count = 8\nacquainted = true");
    let keep = Keep { story: true, ..Keep::default() };
    for detector in ["chisme", "baseline"] {
        let scenario = scenario(&format!("detector = '{detector}'\n{text}"));
        let outcome = run(&scenario, &BTreeMap::new(), 3, &keep);
        if detector == "chisme" {
            assert_eq!(outcome.verdict, Verdict::Passed);
        }
        assert_eq!(outcome.figures.formed, None, "nothing was to be formed");
        let missing = outcome.story.expect("it was asked for").missing;
        let wrong_at = |second| missing.iter().rev().find(|(at, _)| *at <= second).expect("a time");
        assert_eq!(wrong_at(0.0).1, 0, "{detector}: all see all at once: {missing:?}");
        assert_eq!(wrong_at(24.0).1, 2 * 4 * 4, "{detector}: each half sees itself: {missing:?}");
    }
    let said = "acquainted = true\nspread = '1s'";
    refused(&text.replace("acquainted = true", said), ["line 9, nodes.spread", "acquainted"]);
    let said = "acquainted = true\nformed_within = '1s'";
    refused(&text.replace("acquainted = true", said), ["nodes.formed_within", "acquainted"]);
    for (place, names) in [
        ("[expect]\n", "line 16, expect.formed_within"),
        ("[[target]]\nexpect.", "line 16, target.0.expect.formed_within"),
    ] {
        let text = format!("{text}\n{place}formed_within = '1s'");
        refused(&text, [names, "acquainted"]);
    }
}

#[test]
fn a_run_that_leaves_nobody_shows_nothing() {
    let crash = |nodes: &str| format!("crash = '{nodes}'\n");
    let text = SPLIT.replace("for = \"20s\"\ncut = { off = \"half\" }\n", &crash("node[0..4]"));
    let outcome = |text: &str| run(&scenario(text), &BTreeMap::new(), 1, &Keep::default());
    let verdict = outcome(&format!("{text}[[fault]]\nat = '9s'\n{}", crash("node[4..7]"))).verdict;
    assert_eq!(verdict, Verdict::Passed, "one is left");
    let verdict = outcome(&format!("{text}[[fault]]\nat = '9s'\n{}", crash("node[4..8]"))).verdict;
    let cause = verdict.cause().unwrap_or_default();
    assert!(matches!(verdict, Verdict::Harness(_)) && cause.contains("nobody runs"), "{verdict:?}");
}

#[test]
fn new_lives_are_limited_group_by_group() {
    let text = SPLIT.replace("half", "third").replace("count = 8", "count = 9");
    let with = |lives: &str| format!("{text}\n[expect]\nlife_changes = {lives}\n");
    let verdict =
        |lives| run(&scenario(&with(lives)), &BTreeMap::new(), 1, &Keep::default()).verdict;
    // The smaller side yields, and nobody else begins anything.
    assert_eq!(verdict("{ third = 3, rest = 0 }"), Verdict::Passed);
    let few = verdict("{ 'node[0]+node[2]' = 1, rest = 0 }");
    let cause = few.cause().unwrap_or_default();
    assert!(matches!(few, Verdict::Unexpected(_)), "{few:?}");
    assert!(cause.contains("life_changes.node[0]+node[2] is 2, not at most 1"), "{cause}");
    assert!(cause.contains("life_changes.rest is 1, not at most 0"), "{cause}");
    for (lives, names) in [
        ("{ 'random(2)' = 1 }", ["line 15, expect.life_changes", "drawn anew"]),
        ("{ 'node[9]' = 1 }", ["expect.life_changes", "nodes 0 to 8"]),
        ("{ all = 9, rest = 1 }", ["expect.life_changes", "\"rest\" is nobody"]),
        ("{ haf = 1 }", ["expect.life_changes", "\"haf\""]),
        ("{ half = -1 }", ["line 15", "such as { third = 10"]),
    ] {
        refused(&with(lives), names);
    }
    let target = "\n[[target]]\nexpect.life_changes = { all = 1 }";
    refused(&format!("{text}{target}"), ["target", "[expect]"]);
}

#[test]
fn a_fault_begins_again_as_often_as_the_file_says() {
    let with = |more: &str| Scenario::parse("test", &format!("{SPLIT}{more}\n"));
    let scenario = with("again = { times = 2, pause = '3s' }").expect("it is right");
    let begins: Vec<u64> = scenario.faults.iter().map(|fault| fault.at.as_secs()).collect();
    assert_eq!(begins, [5, 28, 51]);
    let endless = SPLIT.replace("for = \"20s\"", "again = { times = 1, pause = '1s' }");
    let error = Scenario::parse("test", &endless).expect_err("it never ends").to_string();
    assert!(error.contains("`for`"), "{error}");
    assert!(with("again = { times = 1001, pause = '1s' }").is_err());
    let attack = "attack = { nodes = 'all', kind = 'flood', rate = 1 }";
    let endless = SPLIT.replace("for = \"20s\"", "").replace("cut = { off = \"half\" }", attack);
    let error = Scenario::parse("test", &endless).expect_err("it never ends").to_string();
    assert!(error.contains("an attack must end"), "{error}");
}

#[test]
fn axes_name_parameters_and_figures_that_there_are() {
    let with = |axes: &str| {
        let text = format!("axes = {axes}\n{SPLIT}\n[grid]\n'nodes.count' = [6, 8]\n");
        Scenario::parse("test", &text)
    };
    assert!(with("['nodes.count', 'detection.p50']").is_ok());
    let error = with("['nodes.cuont']").expect_err("no such parameter").to_string();
    assert!(error.contains("nodes.cuont") && error.contains("false_downs"), "{error}");
}

#[test]
fn what_is_wrong_with_a_file_is_named_with_its_line() {
    for (wrong, names) in [("latency = 3", "latency"), ("loss = 1.5", "loss"), ("los = 0.5", "los")]
    {
        let text = format!("{SPLIT}\n[network]\n{wrong}\n");
        let error = Scenario::parse("test", &text).expect_err(wrong).to_string();
        assert!(error.contains(names), "{error}");
    }
    let error =
        Scenario::parse("test", &SPLIT.replace("half", "haf")).expect_err("haf").to_string();
    assert!(error.contains("line 12") && error.contains("\"haf\""), "{error}");
}

/// The file with other words in it, and a key and a word that its error names.
fn refused(text: &str, names: [&str; 2]) {
    let error = Scenario::parse("test", text).expect_err(text).to_string();
    assert!(names.iter().all(|name| error.contains(name)), "{names:?}: {error}");
}

#[test]
fn a_grid_has_points_that_do_something() {
    let ten = "['1s', '2s', '3s', '4s', '5s', '6s', '7s', '8s', '9s', '10s']";
    let large: String = ["at", "for", "x", "y", "z"]
        .iter()
        .map(|key| format!("'fault.0.{key}' = {ten}\n"))
        .collect();
    for (grid, names) in [
        ("'network.loss' = []", ["grid.network.loss", "empty"]),
        ("seeds = ['1..2']", ["grid.seeds", "--seeds"]),
        ("'grid.x' = [1]", ["grid.grid.x", "--seeds"]),
        ("'fault.1.at' = ['1s']", ["grid.fault.1.at", "no fault 1"]),
        (&large, ["grid: ", "10000"]),
    ] {
        refused(&format!("{SPLIT}\n[grid]\n{grid}\n"), names);
    }
}

#[test]
fn what_would_do_nothing_is_refused() {
    let cut = "cut = { off = \"half\" }";
    let fault = |with: &str| SPLIT.replace(cut, with);
    for (with, names) in [
        ("cut = { off = 'all' }", ["line 12, fault.0.cut", "everybody"]),
        ("swizzle = { nodes = 'half', step = '0s' }", ["line 12, fault.0.swizzle.step", "is 0s"]),
        ("link = { from = 'all', to = 'all', is = {} }", ["line 12, fault.0.link.is", "is empty"]),
        (
            "link = { from = 'all', to = 'all', is = { port_unreachable = true } }",
            ["line 12, fault.0.link.is.port_unreachable", "[network]"],
        ),
        (
            "flip_flop = { nodes = 'all', period = '1s' }",
            ["line 12, fault.0.flip_flop", "everybody"],
        ),
        ("cut = { islands = ['half', 'all'] }", ["line 12, fault.0.cut", "everybody"]),
        (
            "cut = { from = 'node[3]', to = 'node[3]' }",
            ["line 12, fault.0.cut", "\"node[3]\" and \"node[3]\" are one and the same node"],
        ),
        (
            "link = { from = 'first(1)', to = 'node[0]', is = { loss = 0.5 } }",
            ["line 12, fault.0.link", "one and the same node"],
        ),
        ("dns = { nodes = 'all', answer = 'disjoint' }", ["line 12, fault.0.dns", "nodes.zones"]),
    ] {
        refused(&fault(with), names);
    }
    let within = "cut = { from = 'node[2..4]', to = 'node[2..4]' }";
    assert!(Scenario::parse("test", &fault(within)).is_ok(), "each of the two loses the other");
    refused(&SPLIT.replace("20s", "0s"), ["line 11, fault.0.for", "is 0s"]);
    let few = fault("cut = { majorities = true }").replace("count = 8", "count = 3");
    refused(&few, ["fault.0.cut", "reaches a majority"]);
    let network = |with: &str| format!("{SPLIT}\n[network]\n{with}\n");
    refused(&network("queue = 100"), ["network", "bandwidth"]);
    let three = "latency = { min = '1ms', max = '2ms', percent = 5 }";
    refused(&network(three), ["line 15", "{ usual, rare, percent }"]);
    let burst = "burst = { good = '1ns', bad = '1s', loss = 1.0 }";
    refused(&network(burst), ["network", "burst.good"]);
    let grid = |with: &str| format!("{SPLIT}\n[grid]\n{with}\n");
    refused(&grid("why = ['a', 'b']"), ["line 15, grid.why", "does nothing"]);
    refused(&grid("'network.lossy' = [0.1]"), ["line 15, grid.network.lossy", "unknown field"]);
    let acquainted = SPLIT.replace("count = 8", "count = 8\nacquainted = true");
    let most = |n| format!("{acquainted}\n[config]\nmax_members = {n}\n");
    refused(&most(6), ["line 16, config.max_members", "8 acquainted"]);
    assert!(Scenario::parse("test", &most(7)).is_ok());
    let config = |with: &str| format!("{SPLIT}\n[config]\n{with}\n");
    refused(&config("max_members = 0"), ["config", "at least 1"]);
    refused(&config("record_bytes = 1_000_000_000_000"), ["line 15, config.record_bytes", "16000"]);
    refused(&config("record_bytes = 16001"), ["config.record_bytes", "16000"]);
    assert!(Scenario::parse("test", &config("record_bytes = 16000")).is_ok());
    let target = |with: &str| format!("{SPLIT}\n[[target]]\n{with}\n");
    refused(&target("expect = {}"), ["line 14, target.0", "expects nothing"]);
    let at = "at = { x = 1 }\nexpect = { downs = 1 }";
    refused(&target(at), ["line 14, target.0", "stands nowhere"]);
}

#[test]
fn what_takes_turns_is_not_cut_short() {
    let with = |lasts: &str, fault: &str| {
        SPLIT.replace("20s", lasts).replace("cut = { off = \"half\" }", fault)
    };
    for (fault, least, less) in [
        ("swizzle = { nodes = 'half', step = '2s' }", "14s", "13s 999ms"),
        ("rolling_restart = { nodes = 'first(3)', every = '4s' }", "9s 500ms", "9s"),
        ("leave = { nodes = 'first(3)', every = '4s' }", "8s", "7s"),
    ] {
        let told = format!("takes {least} until");
        refused(&with(less, fault), ["line 11, fault.0.for", &told]);
        let outcome = run(&scenario(&with(least, fault)), &BTreeMap::new(), 1, &Keep::default());
        assert_eq!(outcome.verdict, Verdict::Passed, "{fault}");
    }
    // At each point of a grid it is known how many take their turn.
    let swizzle = with("14s", "swizzle = { nodes = 'half', step = '2s' }");
    let grid = |counts: &str| format!("{swizzle}\n[grid]\n'nodes.count' = {counts}");
    refused(&grid("[8, 10]"), ["line 11, fault.0.for", "takes 18s until"]);
    assert!(Scenario::parse("test", &grid("[8, 6]")).is_ok());
}

#[test]
fn what_is_changed_in_code_is_held_to_the_limits_of_files() {
    let link = |part: f64| Link { loss: Some(part), ..Link::default() };
    let cause = |change: fn(&mut Scenario, Link), part| {
        let mut scenario = scenario(SPLIT);
        change(&mut scenario, link(part));
        let verdict = run(&scenario, &BTreeMap::new(), 1, &Keep::default()).verdict;
        assert_eq!(matches!(verdict, Verdict::Harness(_)), verdict != Verdict::Passed);
        verdict.cause().unwrap_or_default().to_owned()
    };
    let network: fn(&mut Scenario, Link) = |scenario, link| scenario.network = link;
    let fault: fn(&mut Scenario, Link) = |scenario, link| {
        let (from, to) = (Group::node(0), Group::node(1));
        scenario.faults[0].fault = Fault::Link { from, to, both_ways: false, link };
    };
    for (change, place, possible) in
        [(network, "network.loss", 0.02), (fault, "fault.0.link.is.loss", 0.5)]
    {
        let told = cause(change, f64::NAN);
        assert!(told.contains(place) && told.contains("is NaN; it is a part"), "{told}");
        assert_eq!(cause(change, possible), "");
    }
}

#[test]
fn groups_are_of_nodes_that_there_are() {
    for (fault, names) in [
        ("freeze = 'node[1]+node[77]'", ["line 12, fault.0.freeze", "node 77"]),
        ("freeze = 'node[1]+zone:nope'", ["line 12, fault.0.freeze", "\"nope\""]),
        ("crash = 'random(10)'", ["line 12, fault.0.crash", "10 of 8"]),
        ("cut = { from = 'all', to = 'rest' }", ["line 12, fault.0.cut", "\"rest\" is nobody"]),
        ("stall = 'node[3..3]'", ["line 12, fault.0.stall", "not included"]),
    ] {
        refused(&SPLIT.replace("cut = { off = \"half\" }", fault), names);
    }
    let all = SPLIT.replace("cut = { off = \"half\" }", "crash = 'all'");
    assert!(Scenario::parse("test", &all).is_ok(), "they start again");
    refused(&all.replace("for = \"20s\"", ""), ["fault: ", "nobody is left"]);
    let grid = format!("{}\n[grid]\n'nodes.count' = [12, 8]", SPLIT.replace("half", "node[9]"));
    refused(&grid, ["fault.0.cut", "nodes 0 to 7"]);
    let grid = grid.replace("[12, 8]", "[12, 10]");
    assert!(Scenario::parse("test", &grid).is_ok(), "it is possible wherever it runs");
}

#[test]
fn numbers_have_limits() {
    let cut = "cut = { off = \"half\" }";
    for (place, with, names) in [
        (
            cut,
            "again = { times = 1, pause = '500000000000y' }\ncrash = 'half'",
            ["line 12", "30days"],
        ),
        (
            cut,
            "again = { times = 99, pause = '29days' }\ncrash = 'half'",
            ["fault.0.crash", "30days"],
        ),
        (
            cut,
            "attack = { nodes = 'all', kind = 'flood', rate = 4000000000 }",
            ["fault.0", "10000"],
        ),
        (cut, "clock = { nodes = 'all', drift_ppm = -2000000 }", ["clock.drift_ppm", "-500000"]),
        (
            cut,
            "clock = { nodes = 'all', step_seconds = 9223372036854775807 }",
            ["clock.step", "from"],
        ),
        (cut, "clock = { nodes = 'all' }", ["fault.0.clock", "changes nothing"]),
        (cut, "cut = { islands = [] }", ["line 12, fault.0.cut.islands", "is empty"]),
        (
            cut,
            "slow = { nodes = 'all', per_datagram = '0s' }",
            ["line 12, fault.0.slow.per_datagram", "is 0s"],
        ),
        (
            cut,
            "[fault.link]\nfrom = 'all'\nto = 'rest'\n[fault.link.is]\nmtu = 9\nloss = 1.5",
            ["line 17, fault.0.link.is.loss", "is 1.5; it is a part"],
        ),
        (
            cut,
            "crash = 'half'\n[fault.again]\npause = '1s'\ntimes = 1001",
            ["line 15, fault.0.again.times", "at most 1000"],
        ),
        ("\"5s\"", "5", ["line 10", "such as \"5s\""]),
        ("source", "seeds = [1, 2]\nsource", ["line 4", "\"1..50\""]),
        ("source", "seeds = '0..18446744073709551615'\nsource", ["line 4", "1000000"]),
        ("[nodes]", "[config]\nprobe_period = '0s'\n[nodes]", ["line 6, config", "probe_period"]),
        ("[nodes]", "[config]\ngossip_period = '100000000000y'\n[nodes]", ["line 7", "30days"]),
        (
            "[nodes]",
            "[expect]\nbytes_at_rest = nan\n[nodes]",
            ["line 7, expect.bytes_at_rest", "NaN"],
        ),
        ("[nodes]", "[expect]\nbytes_at_rest = -1.0\n[nodes]", ["expect.bytes_at_rest", "-1"]),
        ("[nodes]", "network.latency = { min = '2s', max = '1s' }\n[nodes]", ["latency.min", "1s"]),
        (
            "[nodes]",
            "network.latency = { usual = '1s', rare = '2s', percent = 200 }\n[nodes]",
            ["latency.percent", "200"],
        ),
        (
            "[nodes]",
            "network.burst = { good = '0s', bad = '0s', loss = 0.5 }\n[nodes]",
            ["burst.good", "1ms or longer"],
        ),
    ] {
        refused(&SPLIT.replacen(place, with, 1), names);
    }
}

#[test]
fn every_file_that_is_shipped_is_possible() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("it is shipped") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).expect("it is text");
            Scenario::parse("test", &text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            read += 1;
        }
    }
    assert!(read > 50, "{read} files");
}
