//! What the network says of a member whose process is gone, and what forgers make of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::{
    ClusterName, Command, Config, Contact, Cookie, Detector, Endpoints, Identity, Input, Instant,
    KeyRing, MemberState, Node, NodeName, Output, RequestId, Session, StretchedCookie,
};

const LATENCY: Duration = Duration::from_millis(1);

fn addr(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4700 + n as u16))
}

fn name(n: usize) -> NodeName {
    NodeName::parse(&format!("n{n}@host")).expect("valid")
}

/// Makes a quotation of a datagram.
type Forger = fn(&[u8]) -> Vec<u8>;

/// Nodes on a network that loses nothing; a process that was killed has a host that says so, or not.
struct World {
    now: Instant,
    nodes: Vec<Node>,
    killed: Vec<bool>,
    /// Whether hosts say that nobody listens.
    honest: bool,
    /// From here to there the network turns away what is sent, and says so.
    rejected: Option<(usize, usize)>,
    flying: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    /// What node 0 has sent to node 1.
    sent: Vec<Vec<u8>>,
    /// What comes back to node 0 when it sends to node 1.
    forger: Option<Forger>,
}

impl World {
    fn of(count: usize, detector: Detector) -> Self {
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        let cluster = ClusterName::default();
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
        let node = |n: usize| {
            let identity = Identity {
                name: name(n),
                session: Session::from_u64(10 + n as u64),
                endpoints: Endpoints::one(addr(n)),
            };
            let mut config = Config::new(cluster.clone(), keys.clone());
            config.detector = detector.clone();
            Node::new(config, identity, [n as u8; 32], Instant::default()).expect("valid")
        };
        let mut world = Self {
            now: Instant::default(),
            nodes: (0..count).map(node).collect(),
            killed: vec![false; count],
            honest: true,
            rejected: None,
            flying: VecDeque::new(),
            sent: Vec::new(),
            forger: None,
        };
        for n in 1..count {
            let contacts = vec![Contact { addr: addr(0), expect: None }];
            let connect = Command::Connect { request: RequestId(1), contacts };
            world.input(n, Input::Command(connect));
        }
        world.run_for(Duration::from_secs(3));
        assert!(world.nodes.iter().all(|node| node.members().len() == count - 1));
        world
    }

    fn input(&mut self, n: usize, input: Input<'_>) {
        self.nodes[n].handle_input(input, self.now);
        while let Some(output) = self.nodes[n].poll_output() {
            let Output::Transmit { to, bytes } = output else { continue };
            if n == 0 && to == addr(1) {
                self.sent.push(bytes.clone());
            }
            self.flying.push_back((self.now + LATENCY, addr(n), to, bytes));
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = (0..self.nodes.len()).filter(|&n| !self.killed[n]);
            let due = timers.filter_map(|n| Some((self.nodes[n].poll_timeout()?, n))).min();
            let arrives = self.flying.front().map(|flight| flight.0);
            match (due, arrives) {
                (Some((at, n)), arrives) if arrives.is_none_or(|other| at < other) => {
                    if at > end {
                        break;
                    }
                    self.now = at.max(self.now);
                    self.input(n, Input::Timeout);
                }
                (_, Some(at)) if at <= end => {
                    self.now = at.max(self.now);
                    self.arrive();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn arrive(&mut self) {
        let (_, from, to, bytes) = self.flying.pop_front().expect("somebody looked");
        let (sender, n) = (usize::from(from.port() - 4700), usize::from(to.port() - 4700));
        if let Some(forge) = self.forger.filter(|_| (sender, n) == (0, 1)) {
            let quoted = forge(&bytes);
            self.input(0, Input::Unreachable { to, quoted: &quoted });
        }
        let turned_away = self.killed[n] || self.rejected == Some((sender, n));
        if !turned_away {
            self.input(n, Input::Datagram { from, bytes: &bytes });
        } else if self.honest && !self.killed[sender] {
            self.input(sender, Input::Unreachable { to, quoted: &bytes });
        }
    }

    fn state(&self, of: usize) -> MemberState {
        self.nodes[0].member(&name(of)).expect("it was up").state
    }

    /// How long until node 0 calls node 1 Down, in steps of 10 ms.
    fn until_down(&mut self) -> Duration {
        let begun = self.now;
        while self.state(1) != MemberState::Down {
            assert!(self.now < begun + Duration::from_secs(60), "never");
            self.run_for(Duration::from_millis(10));
        }
        self.now - begun
    }

    fn counter(&self, wanted: &str) -> u64 {
        let all = self.nodes[0].status().counters;
        all.iter().find(|(name, _)| name == wanted).expect("a counter").1
    }
}

#[test]
fn a_process_that_is_gone_is_down_soon_after_the_first_probe() {
    for count in [2, 5] {
        let detector = Detector::default();
        let probes = detector.probe_period * 2 * (count as u32 - 1);
        let mut world = World::of(count, detector);
        world.killed[1] = true;
        let took = world.until_down();
        assert!(took < probes + Duration::from_millis(500), "{count}: {took:?}");
        let concluded: u64 = world.counter("refusals_concluded");
        assert!(count > 2 || concluded == 1, "{concluded}");
    }
}

#[test]
fn without_the_word_of_its_host_or_switched_off_it_takes_a_suspicion() {
    let silent = |honest, refusals| {
        let mut detector = Detector::default();
        detector.refusals = refusals;
        let mut world = World::of(2, detector);
        world.killed[1] = true;
        world.honest = honest;
        (world.until_down(), world.counter("refusals_concluded"))
    };
    let suspicion = Detector::default().suspicion_timeout;
    for (honest, refusals) in [(false, 3), (true, 0)] {
        let (took, concluded) = silent(honest, refusals);
        assert!(took > suspicion && concluded == 0, "{honest} {refusals}: {took:?}");
    }
}

#[test]
fn a_forger_who_sees_everything_cannot_talk_a_live_member_down() {
    let mut world = World::of(5, Detector::default());
    world.forger = Some(<[u8]>::to_vec);
    world.run_for(Duration::from_secs(120));
    assert!(world.counter("unreachable_taken") > 10, "it was tried");
    assert_eq!(world.counter("refusals_concluded"), 0);
    assert_eq!(world.state(1), MemberState::Alive);
    assert_eq!(world.counter("suspicions"), 0, "nobody was even suspected");
}

#[test]
fn who_does_not_see_what_was_just_sent_has_no_effect() {
    let cut: fn(&[u8]) -> Vec<u8> = |sent| sent[..sent.len() - 1].to_vec();
    let flipped: fn(&[u8]) -> Vec<u8> = |sent| {
        let mut forged = sent.to_vec();
        *forged.last_mut().expect("no datagram is empty") ^= 1;
        forged
    };
    let none: fn(&[u8]) -> Vec<u8> = |_| Vec::new();
    for forger in [cut, flipped, none] {
        let mut world = World::of(3, Detector::default());
        world.forger = Some(forger);
        world.killed[1] = true;
        world.honest = false;
        world.run_for(Duration::from_secs(2));
        assert_eq!(world.counter("unreachable_taken"), 0);
        assert!(world.counter("unreachable_rejected") > 0);
        assert_eq!(world.counter("refusals_concluded"), 0);
    }
}

#[test]
fn old_quotations_replayed_ones_and_those_for_another_address_count_for_nothing() {
    let mut world = World::of(3, Detector::default());
    world.run_for(Duration::from_secs(10));
    let old = std::mem::take(&mut world.sent);
    world.honest = false;
    world.run_for(Duration::from_millis(3_100));
    for quoted in &old {
        world.input(0, Input::Unreachable { to: addr(1), quoted });
    }
    assert_eq!(world.counter("unreachable_taken"), 0, "too old");

    world.killed[1] = true;
    world.sent.clear();
    while world.sent.is_empty() {
        world.run_for(Duration::from_millis(10));
    }
    let fresh = world.sent[0].clone();
    world.input(0, Input::Unreachable { to: addr(2), quoted: &fresh });
    assert_eq!(world.counter("unreachable_taken"), 0, "it went elsewhere");
    world.sent.clear();
    while world.sent.is_empty() {
        world.run_for(Duration::from_millis(10));
    }
    let fresh = world.sent[0].clone();
    for _ in 0..10 {
        world.input(0, Input::Unreachable { to: addr(1), quoted: &fresh });
    }
    assert_eq!(world.counter("unreachable_taken"), 1, "each counts once");
    world.run_for(Duration::from_millis(1_500));
    assert_ne!(world.state(1), MemberState::Down, "one is not three");
}

#[test]
fn a_firewall_that_rejects_between_two_is_not_taken_for_a_death() {
    let mut world = World::of(5, Detector::default());
    world.rejected = Some((0, 1));
    world.run_for(Duration::from_secs(60));
    assert!(world.counter("unreachable_taken") > 5);
    assert_eq!(world.counter("refusals_concluded"), 0, "others reach it");
    assert_eq!(world.state(1), MemberState::Alive);
}
