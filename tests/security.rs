//! Strangers: what is not authentic changes nothing, is counted by reason, and is never answered.

use std::net::UdpSocket;
use std::time::Duration;

use crate::harness::{Agent, Loopback, Relay, Spec, secs, until, whenever_until};

/// A UDP payload can be this long.
const LARGEST: usize = 65_507;

/// Two members, and a socket of somebody else.
struct Besieged {
    loopback: Loopback,
    one: Agent,
    two: Agent,
    stranger: UdpSocket,
}

impl Besieged {
    #[track_caller]
    fn start() -> Self {
        let loopback = Loopback::new();
        let one = Spec::named("n1").no_seeds().bind(&loopback.at(1)).start_ready();
        let two = Spec::named("n2").seeds(&[&loopback.at(1)]).bind(&loopback.at(2)).start_ready();
        one.expect_view(&[&two.name], secs(10));
        two.expect_view(&[&one.name], secs(10));
        let stranger = UdpSocket::bind((loopback.ip(66), 0)).expect("loopback");
        stranger.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        Self { loopback, one, two, stranger }
    }

    /// Sends one datagram to the first member and waits until it is counted as one of `reasons`.
    #[track_caller]
    fn expect_rejected(&self, bytes: &[u8], reasons: &[&str]) {
        let count = || reasons.iter().map(|reason| self.one.counter(reason)).sum::<u64>();
        let before = count();
        self.stranger.send_to(bytes, self.loopback.at(1)).expect("loopback takes it");
        let start: Vec<_> = bytes.iter().take(24).collect();
        let what = format!("{} bytes {start:02x?} are counted as {reasons:?}", bytes.len());
        until(&what, secs(3), || count() > before);
    }

    /// Nothing came back.
    #[track_caller]
    fn expect_silence(&self) {
        let answer = self.stranger.recv(&mut [0; 2048]);
        assert!(answer.is_err(), "an answer of {answer:?} bytes to a stranger");
    }

    /// Nothing came back, and both see each other as if nothing had been.
    #[track_caller]
    fn expect_unmoved(&self) {
        self.expect_silence();
        for agent in [&self.one, &self.two] {
            let changes = agent.changes();
            assert_eq!(changes.len(), 2, "ready and one up: {changes:?}");
            assert_eq!(agent.view().len(), 1);
        }
    }
}

const ANY: [&str; 4] =
    ["rejected_malformed", "rejected_unknown_key", "rejected_bad_tag", "rejected_wrong_version"];

#[test]
fn garbage_is_counted_and_never_answered() {
    let siege = Besieged::start();
    siege.expect_rejected(&[], &["rejected_malformed"]);
    siege.expect_rejected(&[0], &ANY);
    siege.expect_rejected(&[1], &ANY);
    siege.expect_rejected(&[0xff; 1232], &ANY);
    siege.expect_rejected(&[1; 1233], &["rejected_too_large"]);
    siege.expect_rejected(&[7; LARGEST], &["rejected_too_large"]);
    for seed in 1..50_u64 {
        let len = usize::try_from(seed * 25).expect("small");
        siege.expect_rejected(&noise(seed, len), &ANY);
    }
    siege.expect_unmoved();
    let status = siege.one.run(&["status"]).expect_success();
    assert!(status.contains("too_large"), "the operator sees the reasons: {status}");
}

#[test]
fn a_flood_moves_nobody_and_leaves_nothing_behind() {
    let siege = Besieged::start();
    let before = resident_kib(&siege.one);
    let payloads: Vec<_> = (1..200).map(|seed| noise(seed, 20 + seed as usize * 6)).collect();
    let (mut sent, end) = (0_u32, std::time::Instant::now() + secs(10));
    while std::time::Instant::now() < end {
        for payload in &payloads {
            // A full socket buffer is part of a flood.
            let _ = siege.stranger.send_to(payload, siege.loopback.at(1));
            sent += 1;
        }
    }
    let after = resident_kib(&siege.one);
    until("the agent answers its clients again", secs(10), || {
        siege.one.run(&["nodes"]).succeeded()
    });
    let counted: u64 = ANY.iter().map(|reason| siege.one.counter(reason)).sum();
    assert!(counted > 1000, "{counted} of {sent} were counted");
    assert!(after < before + 4096, "{before} KiB before, {after} KiB after {sent} datagrams");
    // A flood that fills the socket's buffer drowns answers too, so a suspicion may come and go.
    let up = |agent: &Agent| {
        agent.view().len() == 1 && agent.changes().iter().all(|c| c.event != "down")
    };
    whenever_until("nobody is down", secs(6), || up(&siege.one) && up(&siege.two));
    siege.expect_silence();
    let lines = siege.one.log().lines().filter(|line| line.contains("WARN")).count();
    assert!(lines < 10, "{lines} warnings of one flood");
}

/// Two members, and all that the first said to the second on its way through a relay.
struct Recorded {
    loopback: Loopback,
    relay: Relay,
    one: Agent,
    two: Agent,
    datagrams: Vec<Vec<u8>>,
}

impl Recorded {
    #[track_caller]
    fn start() -> Self {
        let loopback = Loopback::new();
        let relay = Relay::start(&loopback.at(9), &loopback.at(2), &loopback.at(1));
        let one = Spec::named("n1").no_seeds().bind(&loopback.at(1)).start_ready();
        let two = Spec::named("n2").seeds(&[&loopback.at(1)]).bind(&loopback.at(2));
        let two = two.args(&["--advertise", &loopback.at(9)]).start_ready();
        one.expect_view(&[&two.name], secs(10));
        until("n1 has spoken to n2 through the relay", secs(20), || relay.seen().len() > 5);
        let datagrams = relay.seen();
        Self { loopback, relay, one, two, datagrams }
    }

    /// Sends these from the address of the relay and waits until each is rejected.
    #[track_caller]
    fn expect_rejected(&self, what: &str, to: &Agent, at: &str, datagrams: &[Vec<u8>]) {
        let before = rejected(to);
        for (sent, datagram) in (1..).zip(datagrams) {
            self.relay.send(datagram, at);
            // No more at a time than a socket's buffer holds.
            if sent % 64 == 0 || usize::try_from(sent) == Ok(datagrams.len()) {
                until(what, secs(5), || rejected(to) >= before + sent);
            }
        }
    }
}

/// What a member said, recorded on its way: said again, cut short, with a bit flipped.
#[test]
fn recorded_datagrams_are_worth_nothing() {
    let tape = Recorded::start();
    let (two, at) = (&tape.two, tape.loopback.at(2));
    let replayed = two.counter("rejected_replayed");
    tape.expect_rejected("each repetition is rejected", two, &at, &tape.datagrams);
    assert!(two.counter("rejected_replayed") > replayed, "{}", two.status());

    let sample = tape.datagrams.iter().max_by_key(|bytes| bytes.len()).expect("more than five");
    let cut: Vec<_> = (0..sample.len()).map(|len| sample[..len].to_vec()).collect();
    tape.expect_rejected("each truncation is rejected", two, &at, &cut);
    let flip = |bit: usize| {
        let mut flipped = sample.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    };
    let flipped: Vec<_> = (0..sample.len() * 8).map(flip).collect();
    tape.expect_rejected("each flipped bit is rejected", two, &at, &flipped);
    for agent in [&tape.one, two] {
        assert_eq!(agent.mark(), 2, "ready and up: {agent:?}");
    }
}

/// Every datagram but a Hello names the process that it is for.
#[test]
fn recorded_datagrams_are_worth_nothing_to_anybody_else() {
    let mut tape = Recorded::start();
    let (first, second) = (tape.loopback.at(1), tape.loopback.at(2));
    let names_a_receiver = |bytes: &&Vec<u8>| bytes[14..22].iter().any(|&byte| byte != 0);
    let addressed: Vec<_> = tape.datagrams.iter().filter(names_a_receiver).cloned().collect();
    assert!(addressed.len() > 3);
    tape.expect_rejected("what was said to n2 is nothing to n1", &tape.one, &first, &addressed);

    tape.two.crash();
    let spec = tape.two.spec().clone();
    tape.two = spec.start_ready();
    tape.two.expect_view(&[&tape.one.name], secs(10));
    until("n1 has taken the new one in", secs(10), || tape.one.count("up", &tape.two.name) == 2);
    let (mark, other_mark) = (tape.one.mark(), tape.two.mark());
    tape.expect_rejected("nor to the next process of that name", &tape.two, &second, &addressed);
    for datagram in &tape.datagrams {
        tape.relay.send(datagram, &second);
        tape.relay.send(datagram, &first);
    }
    whenever_until("nothing moves", secs(3), || {
        tape.one.mark() == mark && tape.two.mark() == other_mark
    });
}

#[test]
fn another_cluster_with_the_same_cookie_meets_silence() {
    let loopback = Loopback::new();
    let red = Spec::named("red").no_seeds().args(&["--cluster", "red"]).bind(&loopback.at(1));
    let red = red.start_ready();
    let blue = Spec::named("blue").args(&["--cluster", "blue"]).seeds(&[&loopback.at(1)]);
    let blue = blue.bind(&loopback.at(2)).start_ready();
    until("red has heard blue", secs(10), || red.counter("rejected_unknown_key") > 1);
    assert!(red.view().is_empty() && blue.view().is_empty());
    assert_eq!(blue.counter("datagrams_received"), 0, "nothing was answered");
    red.expect_log(&["cookie", "cluster"], secs(5));
}

fn rejected(agent: &Agent) -> u64 {
    let status = agent.status();
    let counters = status["counters"].as_object().expect("an object");
    let rejections = counters.iter().filter(|(name, _)| name.starts_with("rejected_"));
    rejections.filter_map(|(_, count)| count.as_u64()).sum()
}

fn resident_kib(agent: &Agent) -> u64 {
    let path = format!("/proc/{}/status", agent.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// The same bytes for the same seed: xorshift.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}
