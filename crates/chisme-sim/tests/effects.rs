//! What each fault does to a cluster, seen from outside: it does what its name says, and to nobody else.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chisme_proto::{ClusterName, Cookie, Counters, Rejection};
use chisme_sim::{Cluster, dissect, millis, secs};

/// Enough for all that is on its way without any fault.
const ON_ITS_WAY: Duration = millis(5);

/// Longer than a node tries to reach a member that it is to ping.
const PING: Duration = millis(1_500);

/// Two nodes, so that each hears only of the other.
fn two(seed: u64) -> Cluster {
    Cluster::builder().nodes(2).seed(seed).formed()
}

fn some(nodes: usize, seed: u64) -> Cluster {
    Cluster::builder().nodes(nodes).seed(seed).formed()
}

/// How much a counter of a node grows in this time.
fn growth(
    cluster: &mut Cluster,
    label: &str,
    time: Duration,
    counter: impl Fn(&Counters) -> u64,
) -> u64 {
    let before = counter(&cluster.counters(label));
    cluster.run_for(time);
    counter(&cluster.counters(label)) - before
}

fn received(counters: &Counters) -> u64 {
    counters.datagrams_received
}

fn accepted(counters: &Counters) -> u64 {
    counters.datagrams_accepted
}

fn rejected(counters: &Counters) -> u64 {
    counters.rejections().map(|(_, n)| n).sum()
}

fn replayed(counters: &Counters) -> u64 {
    counters.rejected(Rejection::Replayed)
}

/// How many milliseconds a wall clock is ahead of one that started with the simulation: it shows in the
/// session of a new process, which this starts.
fn ahead(cluster: &mut Cluster, label: &str) -> i64 {
    cluster.restart(label);
    ahead_at_its_start(cluster, label)
}

/// The same of a process that started at this moment.
fn ahead_at_its_start(cluster: &Cluster, label: &str) -> i64 {
    let shown = i64::try_from(cluster.session(label).unix_millis()).expect("42 bits");
    shown - i64::try_from(cluster.elapsed().as_millis()).expect("not that long")
}

/// Whom each of these nodes gets an answer from when it pings all others.
fn reached(cluster: &mut Cluster, nodes: usize) -> Vec<Vec<usize>> {
    let label = |node: usize| format!("n{node}");
    let mut asked = Vec::new();
    for from in 0..nodes {
        for to in (0..nodes).filter(|&to| to != from) {
            asked.push((from, to, cluster.ping(&label(from), &label(to))));
        }
    }
    cluster.run_for(PING);
    let mut reached = vec![Vec::new(); nodes];
    for (from, to, request) in asked {
        let ponged = &cluster.record(&label(from)).ponged;
        if ponged.iter().any(|(asked, rtt)| *asked == request && rtt.is_some()) {
            reached[from].push(to);
        }
    }
    reached
}

#[test]
fn a_drifting_clock_gains_and_gains_no_more_when_it_ends() {
    for ppm in [-200_000, 100_000] {
        let mut cluster = some(3, 1);
        let right = ahead(&mut cluster, "n1");
        let fault = format!("clock = {{ nodes = 'node[1]', drift_ppm = {ppm} }}");
        let drift = cluster.begin_fault(fault.as_str());
        cluster.run_for(secs(100));
        assert_eq!(ahead(&mut cluster, "n1") - right, ppm / 10, "after 100 s of {ppm} ppm");
        assert_eq!(ahead(&mut cluster, "n2"), right, "the clock of another");
        cluster.end_fault(drift);
        cluster.run_for(secs(100));
        assert_eq!(ahead(&mut cluster, "n1") - right, ppm / 10, "100 s after its end");
    }
}

#[test]
fn timers_run_by_a_drifting_clock_until_it_ends() {
    let mut cluster = some(3, 2);
    let probes = |cluster: &mut Cluster| growth(cluster, "n1", secs(60), |c| c.probes_sent);
    let drift = cluster.begin_fault("clock = { nodes = 'node[1]', drift_ppm = 1_000_000 }");
    let fast = probes(&mut cluster);
    assert!((118..=122).contains(&fast), "{fast} probes in a minute, twice as fast");
    cluster.end_fault(drift);
    let usual = probes(&mut cluster);
    assert!((58..=62).contains(&usual), "{usual} probes in a minute");
}

#[test]
fn a_step_moves_the_wall_clock_and_stays() {
    for seconds in [-3_600, 86_400] {
        let mut cluster = some(3, 3);
        let right = ahead(&mut cluster, "n1");
        let fault = format!("clock = {{ nodes = 'node[1]', step_seconds = {seconds} }}");
        let step = cluster.begin_fault(fault.as_str());
        assert_eq!(ahead(&mut cluster, "n1") - right, seconds * 1_000);
        cluster.end_fault(step);
        assert_eq!(ahead(&mut cluster, "n1") - right, seconds * 1_000, "after its end");
        assert_eq!(ahead(&mut cluster, "n2"), right, "the clock of another");
    }
}

#[test]
fn a_restart_with_a_clock_makes_a_session_by_that_clock() {
    for seconds in [-3_600, 60] {
        let mut cluster = some(3, 4);
        let right = ahead(&mut cluster, "n1");
        let fault = format!("restart = {{ nodes = 'node[1]', clock = {seconds} }}");
        cluster.begin_fault(fault.as_str());
        assert_eq!(ahead_at_its_start(&cluster, "n1") - right, seconds * 1_000);
    }
}

#[test]
fn a_restart_with_a_new_address_is_where_nobody_was() {
    let mut cluster = some(4, 5);
    let before: Vec<SocketAddr> = (0..4).map(|n| cluster.address(&format!("n{n}"))).collect();
    let session = cluster.session("n1");
    cluster.begin_fault("restart = { nodes = 'node[1]' }");
    assert!(cluster.session("n1") != session && cluster.address("n1") == before[1]);
    cluster.begin_fault("restart = { nodes = 'node[1..3]', new_address = true }");
    let after: BTreeSet<SocketAddr> = (1..3).map(|n| cluster.address(&format!("n{n}"))).collect();
    assert_eq!(after.len(), 2, "each has its own");
    assert!(before.iter().all(|addr| !after.contains(addr)), "{after:?} is new");
    cluster.expect_complete_within(secs(30));
    let seen = cluster.member("n3", "n1").expect("a member");
    assert!(seen.endpoints.contains(cluster.address("n1")), "{seen:?}");
}

#[test]
fn a_reused_address_is_that_of_the_one_who_is_gone() {
    let mut cluster = some(4, 6);
    let address = cluster.address("n3");
    cluster.begin_fault("reuse_address = 'node[3]'");
    assert!(!cluster.is_running("n3"));
    assert_eq!(cluster.address("x0"), address);
    cluster.expect_view_within(secs(30), "n0", &["n0", "n1", "n2", "x0"]);
}

#[test]
fn a_duplicate_name_is_the_name_of_one_that_runs() {
    let mut cluster = some(4, 7);
    let (address, name) = (cluster.address("n3"), cluster.setup("n3").name.clone());
    let twin = cluster.begin_fault("duplicate_name = 'node[3]'");
    assert_eq!(cluster.setup("x0").name, name);
    assert!(cluster.is_running("x0") && cluster.is_running("n3"));
    assert_ne!(cluster.address("x0"), address, "a machine of its own");
    cluster.run_for(secs(30));
    cluster.assert_view("n0", &["n0", "n1", "n2", "n3"]);
    cluster.end_fault(twin);
    assert!(!cluster.is_running("x0") && cluster.is_running("n3"));
}

#[test]
fn a_slow_process_takes_so_long_for_each_datagram() {
    let mut cluster = some(4, 8);
    let flood = "attack = { nodes = 'node[1]', kind = 'flood', rate = 50 }";
    let slow = cluster.begin_fault("slow = { nodes = 'node[1]', per_datagram = '200ms' }");
    let attack = cluster.begin_fault(flood);
    let read = growth(&mut cluster, "n1", secs(10), received);
    assert!((48..=51).contains(&read), "{read} datagrams in 10 s, each takes 200 ms");
    cluster.end_fault(attack);
    cluster.end_fault(slow);
    let read = growth(&mut cluster, "n1", ON_ITS_WAY, received);
    assert!(read > 400, "the rest at once: {read}");
}

#[test]
fn a_stalled_process_reads_nothing_while_its_timers_run() {
    let mut cluster = some(4, 9);
    let before = cluster.counters("n1");
    let stall = cluster.begin_fault("stall = 'node[1]'");
    cluster.run_for(millis(3_500));
    let after = cluster.counters("n1");
    assert_eq!(after.datagrams_received, before.datagrams_received);
    assert!(after.probes_sent >= before.probes_sent + 3, "it probes: {after:?}");
    cluster.end_fault(stall);
    assert!(received(&cluster.counters("n1")) > before.datagrams_received + 3, "what has waited");
    let stalls = cluster.counters("n1").stalls;
    assert_eq!(stalls, before.stalls, "it was not stopped");
}

#[test]
fn a_frozen_process_neither_reads_nor_sends_and_then_reads_what_has_waited() {
    let mut cluster = some(4, 24);
    let before = cluster.counters("n1");
    let freeze = cluster.begin_fault("freeze = 'node[1]'");
    cluster.run_for(millis(3_500));
    assert_eq!(cluster.counters("n1"), before);
    cluster.end_fault(freeze);
    let after = cluster.counters("n1");
    assert!(received(&after) > received(&before) + 3, "what has waited: {after:?}");
    assert_eq!(after.stalls, before.stalls + 1, "it was stopped");
}

#[test]
fn a_small_buffer_holds_so_many_and_is_of_the_usual_size_when_it_ends() {
    let mut cluster = some(4, 25);
    let read_after_a_stall = |cluster: &mut Cluster| {
        let before = received(&cluster.counters("n1"));
        let stall = cluster.begin_fault("stall = 'node[1]'");
        cluster
            .begin_fault("for = '1s'\nattack = { nodes = 'node[1]', kind = 'flood', rate = 50 }");
        cluster.run_for(secs(2));
        cluster.end_fault(stall);
        received(&cluster.counters("n1")) - before
    };
    let small = cluster.begin_fault("small_buffer = { nodes = 'node[1]', datagrams = 3 }");
    assert_eq!(read_after_a_stall(&mut cluster), 3);
    assert!(cluster.end_fault(small) >= 47, "the others are lost");
    let read = read_after_a_stall(&mut cluster);
    assert!(read >= 50, "{read} of 50 and more");
}

#[test]
fn what_is_damaged_on_a_link_is_rejected_where_it_arrives() {
    let kinds = [("corrupt", Rejection::BadTag), ("truncate", Rejection::Malformed)];
    for (seed, (damage, reason)) in (0..6).zip(kinds.into_iter().cycle()) {
        let mut cluster = two(seed);
        let fault =
            format!("link = {{ from = 'node[0]', to = 'node[1]', is = {{ {damage} = 1.0 }} }}");
        cluster.begin_fault(fault.as_str());
        cluster.run_for(ON_ITS_WAY);
        let before = cluster.counters("n1");
        cluster.run_for(secs(10));
        let after = cluster.counters("n1");
        assert!(received(&after) > received(&before) + 20, "{damage}: they arrive");
        assert_eq!(accepted(&after), accepted(&before), "{damage}: nothing is right");
        assert!(after.rejected(reason) > 5, "{damage}: {after:?}");
        assert_eq!(rejected(&cluster.counters("n0")), 0, "{damage}: the way back is good");
    }
}

#[test]
fn a_duplicate_arrives_and_is_taken_once() {
    let mut cluster = two(12);
    assert_eq!(growth(&mut cluster, "n1", secs(20), replayed), 0);
    cluster.begin_fault("link = { from = 'node[0]', to = 'node[1]', is = { duplicate = 1.0 } }");
    cluster.run_for(ON_ITS_WAY);
    let before = cluster.counters("n1");
    cluster.run_for(secs(20));
    let after = cluster.counters("n1");
    let (taken, twice) =
        (accepted(&after) - accepted(&before), replayed(&after) - replayed(&before));
    assert!(taken > 20 && taken.abs_diff(twice) <= 2, "{taken} taken, {twice} once more");
    assert_eq!(replayed(&cluster.counters("n0")), 0, "the way back is as usual");
}

#[test]
fn a_late_replay_comes_so_long_after() {
    let mut cluster = two(13);
    cluster.begin_fault(
        "link = { from = 'node[0]', to = 'node[1]', is = { late_replay = { part = 1.0, after = '3s' } } }",
    );
    assert_eq!(growth(&mut cluster, "n1", secs(3), replayed), 0, "none before its time");
    let late = growth(&mut cluster, "n1", secs(10), replayed);
    assert!(late > 10, "{late} came again");
}

#[test]
fn what_a_clogged_link_has_held_comes_in_the_order_in_which_it_was_sent() {
    for seed in 0..5 {
        let same = millis(1);
        let mut cluster = Cluster::builder().nodes(2).latency(same, same).seed(seed).formed();
        let link = "link = { from = 'node[0]', to = 'node[1]', is = { clog = true } }";
        let clog = cluster.begin_fault(link);
        let asked: Vec<_> = (0..5)
            .map(|_| {
                cluster.run_for(millis(40));
                cluster.ping("n0", "n1")
            })
            .collect();
        cluster.run_for(millis(20));
        assert!(cluster.record("n0").ponged.is_empty(), "all is held");
        cluster.end_fault(clog);
        cluster.run_for(ON_ITS_WAY);
        let answers = &cluster.record("n0").ponged;
        assert!(answers.iter().all(|(_, rtt)| rtt.is_some()), "{answers:?}");
        let order: Vec<_> = answers.iter().map(|(request, _)| *request).collect();
        assert_eq!(order, asked, "seed {seed}");
    }
}

#[test]
fn the_rest_is_whoever_is_not_drawn() {
    for seed in 0..5 {
        for cut in ["from = 'rest', to = 'random(2)'", "from = 'random(3)', to = 'rest'"] {
            let mut cluster = some(5, seed);
            cluster.begin_fault(format!("cut = {{ {cut} }}").as_str());
            // No answer comes back to whoever asks across.
            let reached = reached(&mut cluster, 5);
            let mut cliques: Vec<Vec<usize>> = Vec::new();
            for (node, others) in reached.into_iter().enumerate() {
                let mut clique = [others, vec![node]].concat();
                clique.sort_unstable();
                cliques.push(clique);
            }
            cliques.sort_unstable();
            cliques.dedup();
            let sizes: usize = cliques.iter().map(Vec::len).sum();
            assert_eq!((cliques.len(), sizes), (2, 5), "seed {seed}, {cut}: {cliques:?}");
        }
    }
}

#[test]
fn what_does_not_stand_still_is_not_let_go() {
    type Verb = fn(&mut Cluster, &str);
    let verbs: [(Verb, Verb, &str); 2] = [
        (Cluster::freeze, Cluster::thaw, "n1 is not frozen"),
        (Cluster::stall, Cluster::unstall, "n1 is not stalled"),
    ];
    for (stop, go_on, told) in verbs {
        let mut cluster = two(27);
        stop(&mut cluster, "n1");
        go_on(&mut cluster, "n1");
        let again = AssertUnwindSafe(|| go_on(&mut cluster, "n1"));
        let payload = catch_unwind(again).expect_err("it goes already");
        assert_eq!(payload.downcast_ref::<String>().expect("a text"), told);
    }
}

#[test]
fn what_is_released_is_on_its_way_as_long_as_its_link_says() {
    let slow = "latency = '300ms', duplicate = 1.0";
    let link = |is: &str| format!("link = {{ from = 'node[0]', to = 'node[1]', is = {{ {is} }} }}");
    // The link that is clogged is slow itself, or another fault makes it slow.
    for faults in
        [vec![link(&format!("clog = true, {slow}"))], vec![link(slow), link("clog = true")]]
    {
        let mut cluster = two(26);
        cluster.run_for(ON_ITS_WAY);
        let ids: Vec<_> = faults.iter().map(|fault| cluster.begin_fault(fault.as_str())).collect();
        cluster.run_for(millis(1_500));
        ids.into_iter().rev().for_each(|id| _ = cluster.end_fault(id));
        assert_eq!(growth(&mut cluster, "n1", millis(299), replayed), 0, "{faults:?}: too early");
        let twice = growth(&mut cluster, "n1", millis(10), replayed);
        assert!(twice > 0, "{faults:?}: none came, nor twice");
    }
}

#[test]
fn any_number_may_be_released_at_once_while_timers_are_due() {
    for seed in 0..10 {
        let same = millis(4);
        let mut cluster = Cluster::builder().nodes(19).latency(same, same).seed(seed).formed();
        let clog = "link = { from = 'third', to = 'half', is = { clog = true } }";
        let clog = cluster.begin_fault(clog);
        cluster.run_for(secs(120));
        assert!(cluster.end_fault(clog) > 2_000, "they arrive in one moment");
        cluster.expect_complete_within(secs(60));
    }
}

#[test]
fn a_swizzle_clogs_one_after_another_and_releases_them_in_another_order() {
    const STEP: Duration = secs(5);
    let mut as_clogged = 0;
    for seed in 0..5 {
        let mut cluster = some(8, seed);
        let labels: Vec<String> = (0..8).map(|n| format!("n{n}")).collect();
        cluster.begin_fault("swizzle = { nodes = 'first(4)', step = '5s' }");
        let (mut clogged, mut released) = (Vec::new(), Vec::new());
        for turn in 0..8 {
            cluster.run_for(ON_ITS_WAY);
            let all = |cluster: &Cluster| -> Vec<u64> {
                labels.iter().map(|label| received(&cluster.counters(label))).collect()
            };
            let before = all(&cluster);
            cluster.run_for(STEP - ON_ITS_WAY);
            let after = all(&cluster);
            let silent: Vec<usize> = (0..8).filter(|&n| before[n] == after[n]).collect();
            assert_eq!(silent.len(), if turn < 4 { turn + 1 } else { 7 - turn }, "seed {seed}");
            let order = if turn < 4 { &mut clogged } else { &mut released };
            let is_next = |n: &usize| silent.contains(n) == (turn < 4) && !order.contains(n);
            order.extend((0..4).find(is_next));
        }
        assert_eq!((clogged.len(), released.len()), (4, 4), "seed {seed}");
        as_clogged += usize::from(clogged == released);
    }
    assert!(as_clogged <= 2, "released in the same order {as_clogged} times of 5");
}

#[test]
fn a_one_way_cut_leaves_the_way_back_open() {
    for seed in 0..3 {
        let mut cluster = two(seed);
        cluster.begin_fault("cut = { from = 'node[0]', to = 'rest' }");
        cluster.run_for(ON_ITS_WAY);
        let before = ["n0", "n1"].map(|label| received(&cluster.counters(label)));
        cluster.run_for(secs(10));
        let after = ["n0", "n1"].map(|label| received(&cluster.counters(label)));
        assert_eq!(after[1], before[1], "seed {seed}: n1 hears nothing");
        assert!(after[0] > before[0] + 5, "seed {seed}: n0 hears n1");
    }
}

#[test]
fn a_bridge_reaches_both_halves_which_do_not_reach_each_other() {
    for seed in 0..3 {
        let mut cluster = some(7, seed);
        cluster.begin_fault("cut = { bridge = 'node[3]' }");
        let reached = reached(&mut cluster, 7);
        for node in [0, 1, 2] {
            let others: Vec<usize> = (0..4).filter(|&other| other != node).collect();
            assert_eq!(reached[node], others, "seed {seed}, n{node}");
        }
        assert_eq!(reached[3], [0, 1, 2, 4, 5, 6], "seed {seed}, the bridge");
        for node in [4, 5, 6] {
            let others: Vec<usize> = (3..7).filter(|&other| other != node).collect();
            assert_eq!(reached[node], others, "seed {seed}, n{node}");
        }
    }
}

#[test]
fn each_of_the_majorities_is_the_one_nearest_on_a_ring() {
    for (nodes, reach) in [(5, 1), (8, 2), (9, 2)] {
        let mut cluster = some(nodes, 14);
        cluster.begin_fault("cut = { majorities = true }");
        let reached = reached(&mut cluster, nodes);
        for (node, others) in reached.iter().enumerate() {
            assert!(others.len() + 1 > nodes / 2, "n{node} of {nodes} reaches {others:?}");
            let near = |other: usize| {
                let apart = node.abs_diff(other);
                (1..=reach).contains(&apart.min(nodes - apart))
            };
            let nearest: Vec<usize> = (0..nodes).filter(|&other| near(other)).collect();
            assert_eq!(*others, nearest, "n{node} of {nodes}");
        }
    }
}

#[test]
fn a_flip_flop_cuts_what_comes_in_or_both_ways_in_each_other_period() {
    for ingress in [true, false] {
        let mut cluster = two(15);
        let fault =
            format!("flip_flop = {{ nodes = 'node[1]', period = '4s', ingress = {ingress} }}");
        cluster.begin_fault(fault.as_str());
        for turn in 0..4 {
            cluster.run_for(ON_ITS_WAY);
            let before = ["n0", "n1"].map(|label| received(&cluster.counters(label)));
            cluster.run_for(secs(4) - ON_ITS_WAY);
            let after = ["n0", "n1"].map(|label| received(&cluster.counters(label)));
            let hears = [0, 1].map(|n| after[n] > before[n]);
            let cut = [ingress, false];
            let expected = if turn % 2 == 0 { cut } else { [true, true] };
            assert_eq!(hears, expected, "turn {turn}, ingress = {ingress}");
        }
    }
}

/// A node that has just started and looks up its seeds, n0 to n3, every second or so. Nobody is there: whom it
/// greets is all that DNS does.
fn alone(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed);
    let seeds = ["n0", "n1", "n2", "n3"];
    cluster.seed_with(&seeds);
    for label in seeds {
        cluster.setup(label);
    }
    cluster.record_datagrams();
    cluster.setup("n4").cadence.alone_max = secs(1);
    cluster.start("n4");
    cluster
}

/// Where it says Hello in this time.
fn greeted(cluster: &mut Cluster, time: Duration) -> BTreeSet<SocketAddr> {
    let before = cluster.recorded().len();
    cluster.run_for(time);
    let sent = cluster.recorded()[before..].iter();
    sent.filter(|datagram| dissect::kind(&datagram.bytes) == "hello")
        .map(|hello| hello.to)
        .collect()
}

fn addresses(cluster: &Cluster, nodes: &[usize]) -> BTreeSet<SocketAddr> {
    nodes.iter().map(|node| cluster.address(&format!("n{node}"))).collect()
}

/// Longer than an address is tried after one look-up, and than the pause between two.
const LOOK_UPS: Duration = secs(4);

#[test]
fn a_dns_without_an_answer_leaves_the_last_good_one_and_gives_none_to_a_new_process() {
    for answer in ["empty", "no_such_name", "timeout"] {
        let mut cluster = alone(16);
        let all = addresses(&cluster, &[0, 1, 2, 3]);
        assert_eq!(greeted(&mut cluster, LOOK_UPS), all);
        let fault = format!("dns = {{ nodes = 'node[4]', answer = '{answer}' }}");
        let dns = cluster.begin_fault(fault.as_str());
        cluster.run_for(LOOK_UPS);
        assert_eq!(greeted(&mut cluster, LOOK_UPS), all, "{answer}: the last good answer");
        cluster.restart("n4");
        assert!(greeted(&mut cluster, LOOK_UPS).is_empty(), "{answer}: it never had one");
        cluster.end_fault(dns);
        assert_eq!(greeted(&mut cluster, LOOK_UPS), all, "{answer}: DNS is right again");
    }
}

#[test]
fn a_stale_dns_has_the_addresses_of_the_moment_when_it_began() {
    let mut cluster = alone(17);
    let before = addresses(&cluster, &[0, 1, 2, 3]);
    let stale = cluster.begin_fault("dns = { nodes = 'node[4]', answer = 'stale' }");
    cluster.move_to("n1", "10.9.9.9:4747");
    assert_eq!(greeted(&mut cluster, LOOK_UPS), before);
    cluster.end_fault(stale);
    cluster.run_for(LOOK_UPS);
    let after = addresses(&cluster, &[0, 1, 2, 3]);
    assert_ne!(before, after);
    assert_eq!(greeted(&mut cluster, LOOK_UPS), after);
}

#[test]
fn a_partial_dns_gives_a_few_and_others_each_time() {
    for few in [1, 2] {
        let mut cluster = alone(18);
        let fault = format!("dns = {{ nodes = 'node[4]', answer = 'partial', addresses = {few} }}");
        cluster.begin_fault(fault.as_str());
        assert_eq!(greeted(&mut cluster, millis(100)).len(), few, "the first look-up");
        let all = addresses(&cluster, &[0, 1, 2, 3]);
        assert_eq!(greeted(&mut cluster, secs(20)), all, "{few} each time");
    }
}

#[test]
fn a_disjoint_dns_gives_a_node_the_addresses_of_its_zone() {
    let halves: (&[&str], &[usize]) = (&["a", "b"], &[0, 2]);
    for (zones, its) in [halves, (&["a", "b", "c"], &[1])] {
        let mut cluster = alone(19);
        cluster.zones(zones);
        cluster.begin_fault("dns = { nodes = 'node[4]', answer = 'disjoint' }");
        let its = addresses(&cluster, its);
        assert_eq!(greeted(&mut cluster, secs(10)), its, "n4 in one of {zones:?}");
    }
}

#[test]
fn a_flapping_dns_is_empty_and_right_in_turn() {
    let mut cluster = alone(20);
    cluster.begin_fault("dns = { nodes = 'node[4]', answer = 'flapping' }");
    let all = addresses(&cluster, &[0, 1, 2, 3]);
    for turn in 0..4 {
        let expected = if turn % 2 == 0 { BTreeSet::new() } else { all.clone() };
        assert_eq!(greeted(&mut cluster, secs(5)), expected, "turn {turn}");
        // A new process has no good answer to remember.
        cluster.restart("n4");
    }
}

/// The counters of a target before and after ten seconds of an attack. All of it is rejected, nothing is answered
/// and nobody's view changes.
fn attacked(kind: &str, rate: u32, seed: u64) -> (Counters, Counters) {
    let mut cluster = Cluster::new(seed);
    cluster.record_datagrams();
    (0..5).for_each(|n| cluster.start(&format!("n{n}")));
    cluster.expect_complete_within(secs(30));
    cluster.run_for(secs(10));
    let (before, since) = (cluster.counters("n1"), cluster.now());
    let fault =
        format!("for = '10s'\nattack = {{ nodes = 'node[1]', kind = '{kind}', rate = {rate} }}");
    let attack = cluster.begin_fault(fault.as_str());
    cluster.run_for(secs(10));
    let shots = cluster.end_fault(attack);
    assert_eq!(shots, u64::from(rate) * 10, "{kind}");
    cluster.run_for(ON_ITS_WAY);
    let after = cluster.counters("n1");
    assert_eq!(rejected(&after) - rejected(&before), shots, "{kind}: {after:?}");
    for label in ["n0", "n2", "n3", "n4"] {
        assert_eq!(rejected(&cluster.counters(label)), 0, "{kind}: {label} is not attacked");
    }
    cluster.assert_quiet(since, &[]);
    assert!(cluster.astray().is_empty(), "{kind} is answered: {:?}", cluster.astray());
    (before, after)
}

#[test]
fn what_is_tampered_with_has_no_right_tag_and_what_is_replayed_was_seen() {
    for seed in 0..3 {
        let (_, tampered) = attacked("tamper", 40, seed);
        assert!(tampered.rejected(Rejection::BadTag) > 200, "{tampered:?}");
        assert_eq!(replayed(&tampered), 0, "a bit of each is flipped: {tampered:?}");
        let (_, recorded) = attacked("replay", 40, seed);
        assert!(replayed(&recorded) > 200, "{recorded:?}");
        assert_eq!(recorded.rejected(Rejection::BadTag), 0, "as they were: {recorded:?}");
    }
}

#[test]
fn a_flood_is_of_random_bytes_of_every_length() {
    for seed in 0..3 {
        let (before, flooded) = attacked("flood", 100, seed);
        let bytes = flooded.bytes_received - before.bytes_received;
        assert!(bytes > 1_000 * 500, "{bytes} bytes in 1,000 datagrams");
        for reason in [Rejection::TooLarge, Rejection::UnknownKey, Rejection::Malformed] {
            assert!(flooded.rejected(reason) > 0, "{reason}: {flooded:?}");
        }
    }
}

#[test]
fn forged_refusals_quote_what_the_target_has_sent_and_change_nothing() {
    let mut cluster = some(5, 26);
    let since = cluster.now();
    let attack = "for = '10s'\nattack = { nodes = 'node[1]', kind = 'unreachable', rate = 20 }";
    let attack = cluster.begin_fault(attack);
    cluster.run_for(secs(11));
    let counters = cluster.counters("n1");
    let heard = counters.unreachable_taken + counters.unreachable_rejected;
    assert_eq!(heard, cluster.end_fault(attack), "{counters:?}");
    assert!(counters.unreachable_rejected > 80, "half are damaged, most are late: {counters:?}");
    cluster.assert_quiet(since, &[]);
}

/// Whether the shots of an attack are sealed with the key of a node that has this cookie and cluster name.
fn is_at_home(kind: &str, cookie: &str, cluster_name: &str) -> bool {
    let mut cluster = Cluster::new(22);
    let setup = cluster.setup("n0");
    setup.cookie = Cookie::new(&cookie.repeat(32)).expect("64 hexadecimal digits");
    setup.cluster_name = ClusterName::parse(cluster_name).expect("a name");
    cluster.start("n0");
    let attack = format!("attack = {{ nodes = 'node[0]', kind = '{kind}', rate = 10 }}");
    cluster.begin_fault(attack.as_str());
    cluster.run_for(secs(2));
    let counters = cluster.counters("n0");
    assert!(received(&counters) >= 20, "{kind}: {counters:?}");
    counters.rejected(Rejection::UnknownKey) == 0
}

#[test]
fn who_has_a_wrong_key_has_another_cookie_and_a_foreign_cluster_another_name() {
    for kind in ["wrong_key", "foreign_cluster"] {
        let (_, met) = attacked(kind, 20, 22);
        assert_eq!(met.rejected(Rejection::UnknownKey), 200, "{kind}: {met:?}");
    }
    let homes = [("c0", "default"), ("ee", "default"), ("c0", "other")];
    let at_home = |kind| homes.map(|(cookie, name)| is_at_home(kind, cookie, name));
    assert_eq!(at_home("wrong_key"), [false, true, false]);
    assert_eq!(at_home("foreign_cluster"), [false, false, true]);
}

#[test]
fn a_reflected_hello_is_answered_once_to_the_victim_and_with_less() {
    let victim: IpAddr = [203, 0, 113, 9].into();
    let mut cluster = Cluster::new(23);
    cluster.record_datagrams();
    cluster.start("n0");
    cluster.start("n1");
    // What it says to n0 is recorded and never arrives: n0 has not seen it.
    cluster.partition(&["n1"]);
    cluster.run_for(secs(5));
    let attack = "for = '5s'\nattack = { nodes = 'node[0]', kind = 'reflect', rate = 20 }";
    let attack = cluster.begin_fault(attack);
    cluster.run_for(secs(6));
    assert_eq!(cluster.end_fault(attack), 100);
    let (answers, counters) = (cluster.astray(), cluster.counters("n0"));
    assert!(answers.iter().all(|answer| answer.to.ip() == victim), "{answers:?}");
    assert!(!answers.is_empty());
    assert_eq!(replayed(&counters), 100 - answers.len() as u64, "once each: {counters:?}");
    let answered: usize = answers.iter().map(|answer| answer.bytes.len()).sum();
    let hello = counters.bytes_received / counters.datagrams_received;
    assert!(answered * 2 < answers.len() * hello as usize, "{answered} bytes for {hello} each");
}
