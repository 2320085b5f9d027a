//! Whatever is suspected, confirmed, refuted, asked again and restarted, in whatever order: no refutation
//! that arrived is lost, no timer is left behind, no rate is exceeded. And rules of the detector that only
//! the datagrams show.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use foca::{Member, State};
use proptest::prelude::*;

use super::*;
use crate::swim::{Message, Packet, encode_nack, encode_updates};
use crate::table::Entry;
use crate::wire::{Body, Kind, parse};
use crate::{ClusterName, Cookie, StretchedCookie};

const NODES: usize = 5;
const LATENCY: Duration = Duration::from_millis(1);

/// What a node may send at most in a second with four peers, all suspected: 4 × 8 questions and those
/// to the relays of each, a probe with its copies, gossip, syncs, handshakes, healing.
const MOST_A_SECOND: usize = 160;

/// What the product does by itself goes on between any two of these.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Run(Duration),
    /// What one sends to the other is lost, or is again not.
    Cut(usize, usize),
    Mend(usize, usize),
    MendAll,
    /// One is stopped for so long, and finds everything that was sent meanwhile.
    Freeze(usize, Duration),
    /// One tells another that a third is suspected, in the incarnation that it holds.
    Accuse {
        by: usize,
        to: usize,
        whom: usize,
    },
    /// One tells another that it could not reach a third, whoever asked.
    Confirm {
        by: usize,
        to: usize,
        whom: usize,
    },
    /// One has lost its view of itself: a new life.
    Raise(usize),
    /// One is stopped, and started anew with the same name and address.
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = || 0..NODES;
    let time = |most: u64| (1..most).prop_map(Duration::from_millis);
    let step = prop_oneof![
        6 => time(1_500).prop_map(Step::Run),
        3 => (one(), one()).prop_map(|(from, to)| Step::Cut(from, to)),
        2 => (one(), one()).prop_map(|(from, to)| Step::Mend(from, to)),
        1 => Just(Step::MendAll),
        2 => (one(), time(6_000)).prop_map(|(n, time)| Step::Freeze(n, time)),
        4 => (one(), one(), one()).prop_map(|(by, to, whom)| Step::Accuse { by, to, whom }),
        4 => (one(), one(), one()).prop_map(|(by, to, whom)| Step::Confirm { by, to, whom }),
        1 => one().prop_map(Step::Raise),
        1 => one().prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// A datagram on its way.
struct Flight {
    arrives: Instant,
    from: usize,
    to: usize,
    bytes: Vec<u8>,
    /// Whose it is, and in which incarnation it says that it lives: only if it is one of SWIM.
    alive: Option<((Session, Life), Incarnation)>,
}

struct World {
    now: Instant,
    keys: KeyRing,
    nodes: Vec<Node>,
    /// Until when each stands still.
    frozen: Vec<Instant>,
    cut: Vec<Vec<bool>>,
    starts: u64,
    flying: VecDeque<Flight>,
    /// The highest incarnation of a peer's life of which each has read from it.
    read: Vec<BTreeMap<(Session, Life), Incarnation>>,
    /// All that was sent: from, to, and what SWIM says in it.
    log: Option<Vec<(usize, usize, Packet)>>,
    /// When each sent anything, within the last second; and how many questions it had sent to suspects.
    sent: Vec<VecDeque<(Instant, u64)>>,
    /// When each node read, in the last second, what had waited for it to wake.
    late: Vec<VecDeque<Instant>>,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4700 + u16::try_from(n).expect("few")))
}

/// What a datagram says of SWIM's, and who says it.
fn of_swim(keys: &KeyRing, datagram: &[u8]) -> Option<((Session, Life), Packet)> {
    let (header, body) = envelope::open(keys, datagram).expect("it was sealed with this key");
    if header.kind != Kind::Swim as u8 {
        return None;
    }
    let parsed = parse(Kind::Swim, body, &Names::default()).expect("well formed");
    let Body::Swim(packet) = parsed.body else { return None };
    let packet = Packet::parse(packet, &Names::default()).expect("well formed");
    Some(((header.sender, parsed.sender.life), packet))
}

impl World {
    fn new() -> Self {
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &ClusterName::default());
        let mut world = Self {
            now: Instant::default(),
            keys,
            nodes: Vec::new(),
            frozen: vec![Instant::default(); NODES],
            cut: vec![vec![false; NODES]; NODES],
            starts: 0,
            flying: VecDeque::new(),
            read: vec![BTreeMap::new(); NODES],
            log: None,
            sent: vec![VecDeque::new(); NODES],
            late: vec![VecDeque::new(); NODES],
        };
        for n in 0..NODES {
            let node = world.node(n);
            world.nodes.push(node);
        }
        (0..NODES).for_each(|n| world.drain(n));
        world.run_for(Duration::from_secs(5));
        assert!(world.nodes.iter().all(|node| node.table.up() == NODES - 1));
        world
    }

    fn node(&mut self, n: usize) -> Node {
        self.starts += 1;
        let identity = Identity {
            name: NodeName::parse(&format!("n{n}@host")).expect("valid"),
            session: Session::from_u64(self.starts),
            endpoints: Endpoints::one(address(n)),
        };
        let config = Config::new(ClusterName::default(), self.keys.clone());
        let seed = [u8::try_from(self.starts % 256).expect("below"); 32];
        Node::new(config, identity, seed, self.now).expect("valid")
    }

    /// What DNS says: where all of them are.
    fn answer(&mut self, n: usize) {
        let others = (0..NODES).filter(|&other| other != n);
        let seeds = others.map(|n| Contact { addr: address(n), expect: None }).collect();
        self.nodes[n].handle_input(Input::SeedsResolved(seeds), self.now);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Run(time) => self.run_for(time),
            Step::Cut(from, to) => self.cut[from][to] = true,
            Step::Mend(from, to) => self.cut[from][to] = false,
            Step::MendAll => self.mend_all(),
            Step::Freeze(n, time) => self.frozen[n] = self.now + time,
            Step::Accuse { by, to, whom } => self.speak(by, to, whom, |node, to, whom| {
                let held = node.table.exactly(&whom).and_then(Entry::held)?;
                let suspected = Member::new(whom, held.incarnation, State::Suspect);
                let entries = node.table.entries();
                Some(encode_updates(node.incarnation, to.life, &[suspected], entries))
            }),
            Step::Confirm { by, to, whom } => {
                let number = self.nodes[to].confirmations.number();
                self.speak(by, to, whom, |node, to, whom| {
                    let entries = node.table.entries();
                    encode_nack(node.incarnation, to.life, &whom, number, entries)
                });
            }
            Step::Raise(n) if self.is_running(n) => {
                self.nodes[n].raise_life(self.now);
                self.nodes[n].flush_effects(self.now);
                self.drain(n);
            }
            Step::Raise(_) => {}
            Step::Restart(n) => {
                self.nodes[n] = self.node(n);
                self.frozen[n] = self.now;
                self.read[n].clear();
                self.sent[n].clear();
                self.drain(n);
            }
        }
    }

    /// Lets one say something of a third to another, if it knows both.
    fn speak(
        &mut self,
        by: usize,
        to: usize,
        whom: usize,
        say: impl Fn(&Node, Id, Id) -> Option<Vec<u8>>,
    ) {
        if by == to || by == whom || !self.is_running(by) {
            return;
        }
        let known = |n: usize| self.nodes[by].table.find(self.nodes[n].hash).map(Entry::id);
        let (Some(to), Some(whom)) = (known(to), known(whom)) else { return };
        if let Some(packet) = say(&self.nodes[by], to, whom) {
            self.nodes[by].send_to_member(&to, &Body::Swim(&packet));
            self.drain(by);
        }
    }

    fn mend_all(&mut self) {
        self.cut.iter_mut().flatten().for_each(|cut| *cut = false);
    }

    fn is_running(&self, n: usize) -> bool {
        self.frozen[n] <= self.now
    }

    /// Sends what a node has to say, and counts it.
    fn drain(&mut self, n: usize) {
        self.check_that_nothing_is_lost(n);
        while let Some(output) = self.nodes[n].poll_output() {
            if matches!(output, Output::ResolveSeeds) {
                self.answer(n);
            }
            let Output::Transmit { to, bytes } = output else { continue };
            let node = &self.nodes[n];
            let swim = of_swim(&node.keys, &bytes);
            let alive = swim.as_ref().map(|(age, packet)| (*age, packet.src_incarnation));
            let asked = node.status().counters.reprobes_sent;
            let last = &mut self.sent[n];
            last.push_back((self.now, asked));
            while last.front().is_some_and(|first| self.now >= first.0 + Duration::from_secs(1)) {
                last.pop_front();
            }
            // Whoever wakes gives each question that waited its one answer.
            let late = &mut self.late[n];
            late.retain(|&read| self.now < read + Duration::from_secs(1));
            let most = MOST_A_SECOND + late.len();
            assert!(last.len() <= most, "n{n} sent {} in a second, not {most}", last.len());
            let period = node.config.detector.reprobe_period;
            let questions = asked - last.front().map_or(asked, |first| first.1);
            let most = (NODES as u128 - 1) * (1_000 / period.as_millis() + 1);
            assert!(
                u128::from(questions) <= most,
                "n{n} asked suspects {questions} times in a second"
            );
            let to = usize::from(to.port() - 4700);
            if let (Some(log), Some((_, packet))) = (&mut self.log, swim) {
                log.push((n, to, packet));
            }
            if !self.cut[n][to] {
                let arrives = self.now + LATENCY;
                self.flying.push_back(Flight { arrives, from: n, to, bytes, alive });
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let awake = |n: usize| self.frozen[n];
            let timer = |n: usize| Some((self.nodes[n].poll_timeout()?.max(awake(n)), n));
            let timer = (0..self.nodes.len()).filter_map(timer).min();
            let arrival =
                |(place, flight): (usize, &Flight)| (flight.arrives.max(awake(flight.to)), place);
            let arrival = self.flying.iter().enumerate().map(arrival).min();
            match (timer, arrival) {
                // Who wakes looks for datagrams when it has seen that it was stopped.
                (Some((at, n)), arrival)
                    if at <= end && arrival.is_none_or(|(other, _)| at <= other) =>
                {
                    self.now = self.now.max(at);
                    self.nodes[n].handle_input(Input::Timeout, self.now);
                    self.drain(n);
                }
                (_, Some((at, place))) if at <= end => {
                    self.now = self.now.max(at);
                    self.arrive(place);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn arrive(&mut self, place: usize) {
        let flight = self.flying.remove(place).expect("it was found there");
        let Flight { arrives, from, to: n, bytes, alive } = flight;
        if arrives < self.now {
            self.late[n].push_back(self.now);
        }
        let addressed = bytes[14..22] == self.nodes[n].session.to_u64().to_be_bytes();
        let before = alive.and_then(|(age, _)| self.held(n, from, age));
        self.nodes[n]
            .handle_input(Input::Datagram { from: address(from), bytes: &bytes }, self.now);
        if let Some((age, incarnation)) = alive
            && let Some(before) = before.filter(|held| addressed && held.state != State::Down)
        {
            let held = self.held(n, from, age).expect("the same life is held");
            let refutes = incarnation > before.incarnation;
            assert!(
                held.incarnation >= incarnation && (!refutes || held.state == State::Alive),
                "n{n} read that n{from} lives in {incarnation}, held {before:?} and now {held:?}"
            );
            let read = self.read[n].entry(age).or_default();
            *read = incarnation.max(*read);
        }
        self.drain(n);
    }

    /// What a node holds of a peer, if it is that life.
    fn held(&self, n: usize, peer: usize, age: (Session, Life)) -> Option<Held> {
        let entry = self.nodes[n].table.find(self.nodes[peer].hash)?;
        entry.held().filter(|_| entry.id().age() == age)
    }

    /// What a node holds of a life is never older than what it has read from it, unless it forgot that life
    /// on purpose: one that it held Down, and may have been wrong about.
    fn check_that_nothing_is_lost(&mut self, n: usize) {
        for entry in self.nodes[n].table.iter() {
            let age = entry.id().age();
            let Some(held) = entry.held() else {
                self.read[n].remove(&age);
                continue;
            };
            let read = self.read[n].get(&age).copied().unwrap_or_default();
            assert!(held.incarnation >= read, "n{n} has read {read} and holds {held:?}");
        }
    }

    /// When all is well again nothing speaks of what was.
    fn check_that_nothing_is_left(&self) {
        for node in &self.nodes {
            let left = node.schedule.queued().filter(|timer| {
                let of_a_suspicion = matches!(
                    timer,
                    Timer::Conclude { .. } | Timer::Overhear { .. } | Timer::Nack { .. }
                );
                of_a_suspicion || matches!(timer, Timer::Reprobe(_) | Timer::Inquiry(_))
            });
            let left = left.count() + usize::from(node.schedule.is_set(Only::Heal));
            assert_eq!(left, 0, "{}: {:?}", node.name, node.schedule);
            assert!(node.reprobed.is_empty(), "{}: {:?}", node.name, node.reprobed);
            assert!(node.confirmations.is_settled(), "{}: {:?}", node.name, node.confirmations);
            assert!(node.overheard.is_empty(), "{}: {:?}", node.name, node.overheard);
            assert!(node.errands.is_empty(), "{}: {:?}", node.name, node.errands);
        }
    }
}

#[test]
fn whoever_sends_to_a_suspect_tells_it_so_first() {
    let mut world = World::new();
    world.frozen[3] = world.now + Duration::from_secs(10);
    world.take(&Step::Accuse { by: 1, to: 0, whom: 3 });
    world.log = Some(Vec::new());
    world.run_for(Duration::from_secs(2));
    let log = world.log.take().expect("it was set");
    let first = log.iter().find(|(from, to, _)| (*from, *to) == (0, 3)).expect("it said something");
    let told: Vec<_> = first.2.updates.iter().map(|update| (update.hash(), update.state)).collect();
    assert_eq!(told, [(world.nodes[3].hash, 1)], "{:?}", first.2);
}

#[test]
fn relays_that_have_not_said_no_are_asked_again_and_others_are_not() {
    let mut world = World::new();
    world.cut[1][0] = true;
    world.log = Some(Vec::new());
    let suspect = world.nodes[0].table.find(world.nodes[4].hash).map(Entry::id).expect("it is up");
    // Nobody else probes it before, and so nobody suspects it earlier.
    while world.nodes[0].probe.sent_to(&suspect).is_none() {
        world.run_for(Duration::from_micros(100));
    }
    world.frozen[4] = world.now + Duration::from_secs(60);
    while !world.nodes[0].is_reprobed(&suspect) {
        world.run_for(Duration::from_millis(10));
    }
    world.run_for(Duration::from_millis(900));
    let log = world.log.take().expect("it was set");
    let asked = |relay: usize| {
        let is_question = |message: &Message| matches!(message, Message::PingReq(about, _) if about.session == suspect.session);
        log.iter()
            .filter(|(from, to, packet)| (*from, *to) == (0, relay) && is_question(&packet.message))
            .count()
    };
    assert!(asked(1) >= 4, "{}", asked(1));
    assert_eq!((asked(2), asked(3)), (1, 1));
}

#[test]
fn who_hears_nobody_calls_nobody_down() {
    let mut world = World::new();
    (1..NODES).for_each(|n| world.cut[n][0] = true);
    world.run_for(Duration::from_secs(7));
    assert_eq!(world.nodes[0].table.up(), NODES - 1);
    assert!(world.nodes[0].counters.conclusions_postponed > 0);
    // What it cannot hear for so long is lost to it.
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.nodes[0].table.up(), 0);
}

proptest! {
    #[test]
    fn no_interleaving_loses_a_refutation_leaves_a_timer_or_exceeds_a_rate(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.mend_all();
        // Islands are found by seeds only, who are asked for once a minute.
        world.run_for(Duration::from_secs(160));
        for node in &world.nodes {
            prop_assert!(matches!(node.phase, Phase::Running), "{} has stopped", node.name);
            let alive = |peer: &&Node| node.table.find(peer.hash).is_some_and(Entry::is_alive);
            let alive: Vec<_> = world.nodes.iter().filter(alive).map(Node::name).collect();
            prop_assert_eq!(alive.len(), NODES - 1, "{} sees {:?}", &node.name, alive);
        }
        world.check_that_nothing_is_left();
    }
}
