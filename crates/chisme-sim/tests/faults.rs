//! Every fault of a scenario file can be had from a test, alone and together with others.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chisme_sim::scenario::{Burst, Fault, Group, Latency, Link, TimedFault};
use chisme_sim::{Cluster, millis, secs};

/// As files have them; one line after another begins.
const EACH: [&[&str]; 34] = [
    &["link = { from = 'node[0]', to = 'rest', both_ways = true, is = { loss = 0.5 } }"],
    &[
        "link = { from = 'all', to = 'all', is = { duplicate = 0.3, reorder = 0.3, corrupt = 0.1 } }",
    ],
    &["link = { from = 'half', to = 'rest', is = { bandwidth = 2000, queue = 4000, mtu = 200 } }"],
    &[
        "link = { from = 'half', to = 'rest', is = { truncate = 0.2, late_replay = { part = 0.2, after = '3s' } } }",
    ],
    &[
        "link = { from = 'all', to = 'all', is = { latency = { usual = '1ms', rare = '80ms', percent = 20 } } }",
    ],
    &["link = { from = 'node[2]', to = 'rest', is = { clog = true } }"],
    &["cut = { off = 'third' }"],
    &["cut = { from = 'half', to = 'rest' }"],
    &["cut = { islands = ['zone:a', 'zone:b'] }"],
    &["cut = { bridge = 'node[4]' }"],
    &["cut = { majorities = true }"],
    &["flip_flop = { nodes = 'node[3]', period = '2s', ingress = true }"],
    &["swizzle = { nodes = 'random(3)', step = '1s' }"],
    &["crash = 'random(2)'"],
    &["restart = { nodes = 'node[1]', new_address = true, clock = -5 }"],
    &["leave = { nodes = 'node[5]' }"],
    &["rolling_restart = { nodes = 'first(3)', every = '4s' }"],
    &["freeze = 'node[6]'"],
    &["stall = 'node[6]'", "small_buffer = { nodes = 'node[6]', datagrams = 2 }"],
    &["slow = { nodes = 'node[6]', per_datagram = '200ms' }"],
    &["reuse_address = 'node[7]'"],
    &["duplicate_name = 'node[7]'"],
    &["clock = { nodes = 'half', drift_ppm = 300, step_seconds = 2 }"],
    &["dns = { nodes = 'all', answer = 'empty' }"],
    &["dns = { nodes = 'half', answer = 'no_such_name' }"],
    &["dns = { nodes = 'half', answer = 'timeout' }"],
    &["dns = { nodes = 'all', answer = 'flapping' }"],
    &["attack = { nodes = 'all', kind = 'flood', rate = 50 }"],
    &["attack = { nodes = 'all', kind = 'replay', rate = 50 }"],
    &["attack = { nodes = 'node[0]', kind = 'wrong_key', rate = 20 }"],
    &["attack = { nodes = 'half', kind = 'unreachable', rate = 20 }"],
    &["attack = { nodes = 'all', kind = 'tamper', rate = 20 }"],
    &["attack = { nodes = 'all', kind = 'foreign_cluster', rate = 20 }"],
    // Who comes back says Hello, which is what is reflected.
    &["attack = { nodes = 'all', kind = 'reflect', rate = 20 }", "restart = { nodes = 'node[1]' }"],
];

/// One name for each kind of fault. A kind that is new has none until it stands here.
const fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Link { .. } => "link",
        Fault::Cut(_) => "cut",
        Fault::FlipFlop { .. } => "flip_flop",
        Fault::Swizzle { .. } => "swizzle",
        Fault::Crash { .. } => "crash",
        Fault::Restart { .. } => "restart",
        Fault::Leave { .. } => "leave",
        Fault::RollingRestart { .. } => "rolling_restart",
        Fault::Freeze { .. } => "freeze",
        Fault::Stall { .. } => "stall",
        Fault::Slow { .. } => "slow",
        Fault::SmallBuffer { .. } => "small_buffer",
        Fault::ReuseAddress { .. } => "reuse_address",
        Fault::DuplicateName { .. } => "duplicate_name",
        Fault::Clock { .. } => "clock",
        Fault::Dns { .. } => "dns",
        Fault::Attack(_) => "attack",
    }
}
/// All of them, so that none is left out above.
const KINDS: [&str; 17] = [
    "attack",
    "clock",
    "crash",
    "cut",
    "dns",
    "duplicate_name",
    "flip_flop",
    "freeze",
    "leave",
    "link",
    "restart",
    "reuse_address",
    "rolling_restart",
    "slow",
    "small_buffer",
    "stall",
    "swizzle",
];

fn eight(seed: u64) -> Cluster {
    let mut cluster = Cluster::builder().nodes(8).seed(seed).formed();
    cluster.zones(&["a", "b"]);
    cluster
}

fn frozen(node: usize) -> Fault {
    Fault::Freeze { nodes: Group::node(node) }
}

#[test]
fn each_fault_does_something_and_ends() {
    let mut kinds = BTreeSet::new();
    for (number, texts) in EACH.iter().enumerate() {
        let mut cluster = eight(number as u64);
        let begin = |text: &&str| {
            let timed =
                TimedFault::try_from(*text).unwrap_or_else(|error| panic!("{text}: {error}"));
            kinds.insert(kind(&timed.fault));
            cluster.begin_fault(timed)
        };
        let ids: Vec<_> = texts.iter().map(begin).collect();
        // Long enough that everybody asks DNS.
        cluster.run_for(secs(100));
        for id in ids {
            assert!(cluster.end_fault(id) > 0, "{texts:?} did nothing");
        }
        cluster.expect_complete_within(secs(60));
    }
    assert!(kinds.iter().eq(KINDS.iter()), "{kinds:?}");
}

#[test]
fn faults_come_and_go_by_themselves_while_time_passes() {
    let mut cluster = eight(1);
    cluster.begin_fault(TimedFault::from(frozen(3)).after(secs(2)).lasting(secs(20)));
    cluster.begin_fault("at = '1s'\nfor = '20s'\ncut = { off = 'node[0..2]' }");
    let views = |cluster: &Cluster| [4, 0].map(|n| cluster.view_of(&format!("n{n}")).len());
    cluster.run_for(millis(900));
    assert_eq!(views(&cluster), [8, 8]);
    cluster.run_for(secs(18));
    assert_eq!(views(&cluster), [5, 2], "n3 is frozen, n0 and n1 are cut off");
    cluster.expect_complete_within(secs(30));
}

#[test]
fn an_end_keeps_a_fault_from_beginning_and_comes_once() {
    let mut cluster = eight(2);
    let later = cluster.begin_fault(TimedFault::from(frozen(3)).after(secs(2)));
    let now = cluster.begin_fault(frozen(4));
    cluster.run_for(secs(1));
    assert_eq!([cluster.end_fault(later), cluster.end_fault(now)], [0, 1]);
    cluster.freeze("n4");
    assert_eq!(cluster.end_fault(now), 1, "it thaws nothing that another has frozen");
    cluster.run_for(secs(10));
    let view = cluster.view_of("n0");
    assert!(view.contains("n3") && !view.contains("n4"), "{view:?}");
}

#[test]
fn what_a_fault_did_not_do_it_does_not_undo() {
    let mut cluster = eight(3);
    cluster.crash("n4");
    cluster.freeze("n5");
    let crash = cluster.begin_fault("crash = 'node[4]'");
    let freeze = cluster.begin_fault("freeze = 'node[4..6]'");
    assert_eq!([cluster.end_fault(crash), cluster.end_fault(freeze)], [0, 1]);
    assert!(!cluster.is_running("n4"));
    cluster.run_for(secs(10));
    assert!(!cluster.view_of("n0").contains("n5"), "it is frozen by the test");
    cluster.thaw("n5");
}

#[test]
fn of_two_faults_of_one_kind_each_lasts_until_its_own_end() {
    let fault = "slow = { nodes = 'node[1]', per_datagram = '2s' }";
    for other in [fault, "slow = { nodes = 'node[0..3]', per_datagram = '3s' }"] {
        let mut cluster = eight(4);
        let faults = [other, fault].map(|fault| cluster.begin_fault(fault));
        cluster.run_for(secs(30));
        assert!(!cluster.view_of("n7").contains("n1"), "{other}");
        cluster.end_fault(faults[0]);
        cluster.run_for(secs(30));
        assert!(!cluster.view_of("n7").contains("n1"), "the second lasts");
        cluster.end_fault(faults[1]);
        cluster.expect_complete_within(secs(60));
    }
}

#[test]
fn an_end_is_for_the_process_to_which_the_fault_was_done() {
    let mut cluster = eight(5);
    let freeze = cluster.begin_fault("freeze = 'node[1]'");
    cluster.restart("n1");
    cluster.expect_complete_within(secs(20));
    cluster.freeze("n1");
    cluster.end_fault(freeze);
    cluster.run_for(secs(15));
    assert!(!cluster.view_of("n0").contains("n1"), "this one is frozen by the test");
}

#[test]
fn a_slow_process_is_quick_again_when_the_fault_ends() {
    let mut cluster = eight(6);
    let slow = cluster.begin_fault("slow = { nodes = 'node[2]', per_datagram = '60s' }");
    cluster.run_for(secs(5));
    cluster.end_fault(slow);
    let begun = cluster.now();
    cluster.run_for(secs(20));
    cluster.assert_complete();
    assert_eq!(cluster.count("down n2", begun), 0);
}

#[test]
fn an_attacker_sends_as_often_as_it_is_told() {
    for rate in [1, 15, 40] {
        let mut cluster = eight(7);
        let attack = format!("attack = {{ nodes = 'node[1]', kind = 'flood', rate = {rate} }}");
        let attack = cluster.begin_fault(attack.as_str());
        cluster.run_for(millis(19_950));
        assert_eq!(cluster.end_fault(attack), 20 * rate);
    }
}

#[test]
fn a_resolver_that_nobody_answers_gives_up_after_a_while() {
    // The resolver of one is silent for a while, that of the other says that there is nobody.
    let joined = |answer: &str| {
        let mut cluster = Cluster::new(8);
        cluster.start("n0");
        cluster.setup("n1");
        let lie = format!("dns = {{ nodes = 'node[1]', answer = '{answer}' }}");
        let lie = cluster.begin_fault(lie.as_str());
        cluster.run_for(millis(1));
        cluster.start("n1");
        cluster.run_for(millis(4_500));
        cluster.end_fault(lie);
        cluster.expect_complete_within(secs(10))
    };
    let (silent, nobody) = (joined("timeout"), joined("no_such_name"));
    assert!(silent < nobody, "{silent:?}: the first look-up is still under way, and {nobody:?}");
}

#[test]
fn a_seed_gives_the_same_run_with_faults() {
    let digest = |seed| {
        let mut cluster = eight(seed);
        cluster.begin_fault("for = '10s'\nswizzle = { nodes = 'random(4)', step = '500ms' }");
        cluster.begin_fault("for = '10s'\nattack = { nodes = 'all', kind = 'tamper', rate = 50 }");
        cluster.run_for(secs(20));
        cluster.digest()
    };
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}

#[test]
fn what_is_no_fault_is_told_with_its_key() {
    for (text, names) in [
        ("freze = 'node[1]'", "freze"),
        ("freeze = 'n1'", "\"n1\""),
        ("at = '1s'", "what"),
        ("freeze = 'node[9]'", "frozen: node[9]: \"node[9]\" names node 9; there are nodes 0 to 7"),
        ("crash = 'random(99)'", "asks for 99 of 8 nodes; from 1 to 8 are possible"),
        ("crash = 'node[1]+node[77]'", "names node 77"),
        ("crash = 'node[1]+zone:typo'", "names zone \"typo\"; nodes.zones has a, b"),
        (
            "link = { from = 'node[1]', to = 'node[8]', is = { loss = 0.5 } }",
            "links from node[1] to node[8]: loss 50 %: \"node[8]\" names node 8",
        ),
        (
            "cut = { from = 'all', to = 'rest' }",
            "cut from all to rest: \"rest\" is nobody among 8 nodes",
        ),
        ("cut = { from = 'rest', to = 'first(8)' }", "\"rest\" is nobody among 8 nodes"),
        ("cut = { islands = ['half', 'node[4..8]', 'rest'] }", "\"rest\" is nobody among 8"),
        (
            "at = '1s'\nclock = { nodes = 'all', drift_ppm = 9_000_000 }",
            "line 2, clock.drift_ppm: is 9000000; it goes from",
        ),
        (
            "for = '6s'\nswizzle = { nodes = 'half', step = '1s' }",
            "swizzled: half: takes 7s until the last has had its turn, and would be cut short after 6s",
        ),
        (
            "cut = { from = 'node[1]', to = 'node[1]' }",
            "cut from node[1] to node[1]: does nothing: \"node[1]\" and \"node[1]\" are one",
        ),
        ("for = '1s'\nagain = { times = 2, pause = '1s' }\nfreeze = 'all'", "again"),
    ] {
        let test = AssertUnwindSafe(|| eight(1).begin_fault(text));
        let payload = catch_unwind(test).expect_err("it must fail");
        let told = payload.downcast_ref::<String>().expect("a text");
        assert!(told.contains(names), "{told}");
    }
}

#[test]
fn numbers_of_a_fault_that_is_made_in_code_have_the_limits_of_files() {
    let link =
        |link: Link| Fault::Link { from: Group::all(), to: Group::all(), both_ways: false, link };
    let nodes = Group::all;
    let burst = Burst { good: millis(0), bad: millis(5), loss: 0.5 };
    let latency = Latency::Uniform(millis(2), millis(1));
    for (fault, told) in [
        (
            link(Link { loss: Some(f64::NAN), ..Link::default() }),
            "link.is.loss is NaN; it is a part",
        ),
        (link(Link { reorder: Some(-0.1), ..Link::default() }), "link.is.reorder is -0.1; it is"),
        (
            link(Link { late_replay: Some((2.0, secs(1))), ..Link::default() }),
            "link.is.late_replay.part is 2;",
        ),
        (
            link(Link { burst: Some(burst), ..Link::default() }),
            "link.is.burst.good is 0ns; it is 1ms",
        ),
        (link(Link { latency: Some(latency), ..Link::default() }), "link.is.latency.min is 2ms"),
        (link(Link::default()), "link.is is empty"),
        (Fault::Slow { nodes: nodes(), per_datagram: secs(0) }, "slow.per_datagram is 0s"),
        (
            Fault::Clock { nodes: nodes(), drift_ppm: 2_000_000, step_seconds: 0 },
            "clock.drift_ppm is 2000000;",
        ),
    ] {
        let test = AssertUnwindSafe(|| eight(1).begin_fault(fault));
        let payload = catch_unwind(test).expect_err("it must fail");
        let text = payload.downcast_ref::<String>().expect("a text");
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn a_fault_that_is_refused_leaves_the_cluster_as_it_was() {
    let mut cluster = eight(4);
    let refused = catch_unwind(AssertUnwindSafe(|| cluster.begin_fault("crash = 'random(99)'")));
    assert!(refused.is_err());
    let drawn = cluster.begin_fault("crash = 'random(2)'");
    let mut other = eight(4);
    other.begin_fault("crash = 'random(2)'");
    assert_eq!(cluster.running(), other.running());
    assert_eq!(cluster.end_fault(drawn), 2);
}

#[test]
fn a_fault_is_ended_where_it_has_begun() {
    let (mut one, mut other) = (eight(1), eight(1));
    let id = one.begin_fault(frozen(3));
    for _ in 0..2 {
        let payload = catch_unwind(AssertUnwindSafe(|| other.end_fault(id))).expect_err("not its");
        let told = payload.downcast_ref::<&str>().expect("a text");
        assert_eq!(*told, "a fault of another cluster: end it there");
        other.begin_fault(frozen(4));
    }
    assert_eq!(one.end_fault(id), 1);
}
