//! Whatever is lost of the pages, and in whatever order the rest comes: nodes that go on comparing
//! end with one table.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::{
    Assumed, ClusterName, Command, Config, Contact, Cookie, Endpoints, Identity, Input, Instant,
    KeyRing, Node, NodeName, Output, RequestId, Session, StretchedCookie,
};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

const NODES: usize = 3;
const KIND_SYNC: u8 = 0x40;

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

fn view(node: &Node) -> BTreeSet<(String, u64)> {
    let mut view: BTreeSet<_> = node
        .members()
        .iter()
        .map(|member| (member.name.to_string(), member.session.to_u64()))
        .collect();
    let own = node.local();
    view.insert((own.name.to_string(), own.session.to_u64()));
    view
}

/// Lets `asker` connect to `asked`, and carries what the nodes send, as `fate` decides: what it
/// answers with none is lost, what it answers with true goes to the end of the queue.
fn exchange(
    nodes: &mut [Node],
    (asker, asked): (usize, usize),
    now: Instant,
    mut fate: impl FnMut() -> Option<bool>,
) {
    let contacts = vec![Contact { addr: address(asked), expect: None }];
    let connect = Command::Connect { request: RequestId(now.as_nanos()), contacts };
    nodes[asker].handle_input(Input::Command(connect), now);
    let mut wire: VecDeque<(usize, SocketAddr, Vec<u8>)> = VecDeque::new();
    loop {
        for (n, node) in nodes.iter_mut().enumerate() {
            while let Some(output) = node.poll_output() {
                if let Output::Transmit { to, bytes } = output {
                    wire.push_back((n, to, bytes));
                }
            }
        }
        let Some((from, to, bytes)) = wire.pop_front() else { return };
        if bytes[1] == KIND_SYNC {
            match fate() {
                None => continue,
                Some(true) if !wire.is_empty() => {
                    wire.push_back((from, to, bytes));
                    continue;
                }
                Some(_) => {}
            }
        }
        if let Some(to) = (0..NODES).find(|&n| address(n) == to) {
            nodes[to].handle_input(Input::Datagram { from: address(from), bytes: &bytes }, now);
        }
    }
}

#[test]
fn who_knows_nobody_has_everything_after_one_exchange_in_more_than_one_window() {
    let mut nodes: Vec<Node> = (0..NODES).map(node).collect();
    let members: Vec<Assumed> = (NODES..1_500).map(member).collect();
    nodes[1].handle_input(Input::Command(Command::Assume(members)), Instant::default());
    exchange(&mut nodes, (0, 1), Instant::default(), || Some(false));
    assert_eq!(view(&nodes[0]).len(), 1_499, "but for n2, whom nobody met");
    let sent = nodes[1].status().counters.sync_pages_sent;
    assert!(sent > 32, "{sent} pages are more than two windows");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_and_loss_of_pages_ends_in_the_same_table(
        known in prop::collection::vec(prop::collection::vec(0..NODES, 0..3), 0..900),
        asks in prop::collection::vec((0..NODES, 1..NODES), 1..12),
        fates in prop::collection::vec(any::<Option<bool>>(), 1..200),
    ) {
        let mut nodes: Vec<Node> = (0..NODES).map(node).collect();
        let mut now = Instant::default();
        let mut all: BTreeSet<usize> = (0..NODES).collect();
        for (at, node) in nodes.iter_mut().enumerate() {
            let told = (NODES..).zip(&known).filter(|(_, knowers)| knowers.contains(&at));
            let told: Vec<usize> = told.map(|(n, _)| n).collect();
            all.extend(&told);
            let told: Vec<Assumed> = told.into_iter().map(member).collect();
            node.handle_input(Input::Command(Command::Assume(told)), now);
        }
        let mut fates = fates.iter().cycle();
        let mut ask = |pair, lossy: bool| {
            now = now + Duration::from_millis(300);
            exchange(&mut nodes, pair, now, || {
                if lossy { *fates.next().expect("they go round") } else { Some(false) }
            });
        };
        for (asker, by) in asks {
            ask((asker, (asker + by) % NODES), true);
        }
        // Then the network is well: a node has everything after one exchange with who has it.
        for pair in [(0, 1), (1, 2), (0, 1), (0, 2)] {
            ask(pair, false);
        }
        let all: BTreeSet<(String, u64)> = all.into_iter().map(|n| {
            let member = member(n);
            (member.name.to_string(), member.session.to_u64())
        }).collect();
        for node in &nodes {
            let missing: Vec<_> = all.difference(&view(node)).cloned().collect();
            assert!(missing.is_empty(), "{} misses {missing:?}", node.name());
            assert_eq!(view(node), all);
        }
    }
}
