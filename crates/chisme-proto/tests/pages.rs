//! Whatever is lost of the pages, and in whatever order the rest comes: nodes that go on comparing
//! end with one table.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::{
    Assumed, ClusterName, Command, Config, Contact, Cookie, Endpoints, Identity, Input, Instant,
    KeyRing, MemberState, Node, NodeName, Output, RequestId, Session, StretchedCookie,
};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};

const NODES: usize = 4;
/// The last of them goes away in some tests.
const LEAVER: usize = NODES - 1;
const KIND_SYNC: u8 = 0x40;
/// More than the longest exchange here has.
const MOST_DATAGRAMS: usize = 20_000;

fn member(n: usize) -> Assumed {
    let host = u8::try_from(n % 250).expect("below 250") + 1;
    let net = u8::try_from(n / 250).expect("few");
    Assumed {
        name: NodeName::parse(&format!("n{n}@host")).expect("valid"),
        session: Session::from_u64(n as u64 + 1),
        endpoints: Endpoints::one(SocketAddr::from(([10, 0, net, host], 4747))),
    }
}

fn address(n: usize) -> SocketAddr {
    member(n).endpoints.iter().next().expect("it has one")
}

fn node(n: usize) -> Node {
    let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
    let cluster = ClusterName::default();
    let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
    let Assumed { name, session, endpoints } = member(n);
    let identity = Identity { name, session, endpoints };
    let seed = [u8::try_from(n).expect("few"); 32];
    Node::new(Config::new(cluster, keys), identity, seed, Instant::default()).expect("valid")
}

/// Who is up, with their sessions, the node itself among them.
fn view(node: &Node) -> BTreeSet<(String, u64)> {
    let members = node.members().into_iter().filter(|member| member.state.is_up());
    let all = members.chain([node.local()]);
    all.map(|member| (member.name.to_string(), member.session.to_u64())).collect()
}

fn sees_left(node: &Node, n: usize) -> bool {
    node.member(&member(n).name).is_some_and(|member| member.state == MemberState::Left)
}

/// What becomes of a datagram about views. It is drawn once: what comes late or again does come.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    /// After all others that are under way.
    Late,
    Twice,
}

/// A datagram under way.
struct InFlight {
    from: usize,
    to: SocketAddr,
    bytes: Vec<u8>,
    fated: bool,
}

/// The nodes, and what is under way between them.
struct Net {
    nodes: Vec<Node>,
    wire: VecDeque<InFlight>,
    now: Instant,
}

impl Net {
    fn new() -> Self {
        let nodes = (0..NODES).map(node).collect();
        Self { nodes, wire: VecDeque::new(), now: Instant::default() }
    }

    fn assume(&mut self, node: usize, members: impl IntoIterator<Item = Assumed>) {
        let assume = Command::Assume(members.into_iter().collect());
        self.nodes[node].handle_input(Input::Command(assume), self.now);
    }

    fn connect(&mut self, asker: usize, asked: usize) {
        let contacts = vec![Contact { addr: address(asked), expect: None }];
        let connect = Command::Connect { request: RequestId(self.now.as_nanos()), contacts };
        self.nodes[asker].handle_input(Input::Command(connect), self.now);
    }

    /// The next datagram under way arrives, or does not. Says whether there was one.
    fn step(&mut self, mut fate: impl FnMut() -> Fate) -> bool {
        for (n, node) in self.nodes.iter_mut().enumerate() {
            while let Some(output) = node.poll_output() {
                if let Output::Transmit { to, bytes } = output {
                    let fated = bytes[1] != KIND_SYNC;
                    self.wire.push_back(InFlight { from: n, to, bytes, fated });
                }
            }
        }
        let Some(datagram) = self.wire.pop_front() else { return false };
        let fate = if datagram.fated { Fate::Arrives } else { fate() };
        match fate {
            Fate::Lost => {}
            Fate::Late => self.wire.push_back(InFlight { fated: true, ..datagram }),
            Fate::Arrives => self.deliver(&datagram),
            Fate::Twice => {
                self.deliver(&datagram);
                self.wire.push_back(InFlight { fated: true, ..datagram });
            }
        }
        true
    }

    fn deliver(&mut self, datagram: &InFlight) {
        if let Some(to) = (0..NODES).find(|&n| address(n) == datagram.to) {
            let from = address(datagram.from);
            let datagram = Input::Datagram { from, bytes: &datagram.bytes };
            self.nodes[to].handle_input(datagram, self.now);
        }
    }

    /// Lets `asker` connect to `asked`, and carries all that follows without a timer.
    fn exchange(&mut self, asker: usize, asked: usize, mut fate: impl FnMut() -> Fate) {
        self.connect(asker, asked);
        let mut steps = 0;
        while self.step(&mut fate) {
            steps += 1;
            assert!(steps < MOST_DATAGRAMS, "an exchange goes on without a timer");
        }
    }

    /// Lets time pass, with all timers of these nodes.
    fn run_for(&mut self, time: Duration, of: &[usize]) {
        let end = self.now + time;
        loop {
            let due = |n: &usize| self.nodes[*n].poll_timeout().map(|at| (at, *n));
            let Some((at, n)) = of.iter().filter_map(due).min().filter(|(at, _)| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.nodes[n].handle_input(Input::Timeout, self.now);
            while self.step(|| Fate::Arrives) {}
        }
    }
}

#[test]
fn who_knows_nobody_has_everything_after_one_exchange_in_more_than_one_window() {
    let mut net = Net::new();
    net.assume(1, (NODES..1_500).map(member));
    net.exchange(0, 1, || Fate::Arrives);
    assert_eq!(view(&net.nodes[0]).len(), 1_500 - 2, "but for n2 and n3, whom nobody met");
    let sent = net.nodes[1].status().counters.sync_pages_sent;
    assert!(sent > 32, "{sent} pages are more than two windows");
}

#[test]
fn who_has_reached_its_limit_is_served_on_later_and_nobody_else_waits_for_it() {
    let mut net = Net::new();
    net.assume(1, (NODES..8_000).map(member));
    net.exchange(0, 1, || Fate::Arrives);
    let first = view(&net.nodes[0]).len();
    assert!(
        (3_000..7_000).contains(&first),
        "{first} members is what the limit of one address holds"
    );
    assert!(net.nodes[1].status().counters.sync_limited > 0);
    // Another one that comes in this very moment gets as much.
    net.exchange(2, 1, || Fate::Arrives);
    assert!(view(&net.nodes[2]).len() >= first, "{} of {first}", view(&net.nodes[2]).len());
    net.run_for(Duration::from_secs(1), &[1]);
    for late in [0, 2] {
        assert_eq!(view(&net.nodes[late]), view(&net.nodes[1]), "n{late} was served on");
    }
}

#[test]
fn a_peer_that_dies_in_the_middle_of_an_exchange_costs_another_exchange() {
    let mut net = Net::new();
    for knower in [1, 2] {
        net.assume(knower, (NODES..1_500).map(member));
    }
    let mut pages = 0;
    net.exchange(0, 1, || {
        pages += 1;
        if pages > 12 { Fate::Lost } else { Fate::Arrives }
    });
    let some = view(&net.nodes[0]).len();
    assert!((50..1_400).contains(&some), "{some} before it died");
    net.exchange(0, 2, || Fate::Arrives);
    assert!(view(&net.nodes[0]).is_superset(&view(&net.nodes[2])));
}

#[test]
fn a_table_that_changes_in_the_middle_of_an_exchange_is_had_whole_in_the_next() {
    let mut net = Net::new();
    net.exchange(LEAVER, 1, || Fate::Arrives);
    net.assume(1, (NODES..1_500).map(member));
    net.connect(0, 1);
    let mut steps = 0;
    while net.step(|| Fate::Arrives) {
        steps += 1;
        if steps == 20 {
            // Some below what was sent so far, some above, and one is gone that was sent perhaps.
            net.assume(1, (1_500..1_600).map(member));
            net.nodes[LEAVER].handle_input(Input::Command(Command::Leave), net.now);
        }
    }
    assert!(steps > 20 && sees_left(&net.nodes[1], LEAVER), "{steps} datagrams");
    assert_ne!(view(&net.nodes[0]), view(&net.nodes[1]), "what was sent before has changed since");
    net.now = net.now + Duration::from_millis(300);
    net.exchange(0, 1, || Fate::Arrives);
    assert_eq!(view(&net.nodes[0]), view(&net.nodes[1]));
}

fn a_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Arrives),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Late),
        1 => Just(Fate::Twice),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each member is known to some; one leaves, and not all hear of it.
    #[test]
    fn any_order_and_loss_of_pages_ends_in_the_same_table(
        known in prop::collection::vec(prop::collection::vec(0..LEAVER, 0..3), 0..900),
        met_by_leaver in prop::collection::vec(0..LEAVER, 0..4),
        asks in prop::collection::vec((0..LEAVER, 1..LEAVER), 1..12),
        leaves_after in 0_usize..12,
        fates in prop::collection::vec(a_fate(), 1..200),
    ) {
        let mut net = Net::new();
        let mut all: BTreeSet<usize> = (0..LEAVER).collect();
        for at in 0..LEAVER {
            let told = (NODES..).zip(&known).filter(|(_, knowers)| knowers.contains(&at));
            let told: Vec<usize> = told.map(|(n, _)| n).collect();
            all.extend(&told);
            net.assume(at, told.into_iter().map(member));
        }
        let mut fates = fates.iter().cycle();
        let mut ask = |net: &mut Net, asker: usize, asked: usize, lossy: bool| {
            net.now = net.now + Duration::from_millis(300);
            net.exchange(asker, asked, || {
                if lossy { *fates.next().expect("they go round") } else { Fate::Arrives }
            });
        };
        for by in met_by_leaver {
            all.insert(LEAVER);
            ask(&mut net, LEAVER, by, true);
        }
        for (number, (asker, by)) in asks.into_iter().enumerate() {
            if number == leaves_after {
                net.nodes[LEAVER].handle_input(Input::Command(Command::Leave), net.now);
            }
            ask(&mut net, asker, (asker + by) % LEAVER, true);
        }
        // Then the network is well: a node has everything after one exchange with who has it.
        for (asker, asked) in [(0, 1), (1, 2), (0, 1), (0, 2), (1, 2)] {
            ask(&mut net, asker, asked, false);
        }
        if net.nodes[..LEAVER].iter().any(|node| sees_left(node, LEAVER)) {
            all.remove(&LEAVER);
        }
        let all: BTreeSet<(String, u64)> = all.into_iter().map(|n| {
            let member = member(n);
            (member.name.to_string(), member.session.to_u64())
        }).collect();
        for node in &net.nodes[..LEAVER] {
            let missing: Vec<_> = all.difference(&view(node)).cloned().collect();
            assert!(missing.is_empty(), "{} misses {missing:?}", node.name());
            assert_eq!(view(node), all);
        }
    }
}
