//! Which seeds a node greets: some in the order given, some at random, and by name only whom they name.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use chisme_proto::{
    ClusterName, Command, Config, Contact, Cookie, Endpoints, Identity, Input, Instant, KeyRing,
    Node, NodeName, Output, Session, Sibling, StretchedCookie,
};

const NOW: Instant = Instant::from_nanos(1);

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 4747))
}

fn name(n: u8) -> NodeName {
    NodeName::parse(&format!("n{n}@host")).expect("valid")
}

fn node(n: u8, at: SocketAddr, seed: u8) -> Node {
    let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
    let cluster = ClusterName::default();
    let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
    let identity = Identity {
        name: name(n),
        session: Session::new(1_735_689_600_000, n.into()),
        endpoints: Endpoints::one(at),
    };
    Node::new(Config::new(cluster, keys), identity, [seed; 32], NOW).expect("valid")
}

fn drain(node: &mut Node) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some(output) = node.poll_output() {
        if let Output::Transmit { to, bytes } = output {
            sent.push((to, bytes));
        }
    }
    sent
}

/// Whom a node that is alone greets first.
fn greeted(contacts: Vec<Contact>, seed: u8) -> BTreeSet<SocketAddr> {
    let mut node = node(1, addr(1), seed);
    node.handle_input(Input::SeedsResolved(contacts), NOW);
    drain(&mut node).into_iter().map(|(to, _)| to).collect()
}

#[test]
fn the_first_seeds_are_always_greeted_and_the_rest_by_chance() {
    let contacts = |range: std::ops::Range<u8>| {
        range.map(|n| Contact { addr: addr(n), expect: None }).collect::<Vec<_>>()
    };
    let runs: Vec<BTreeSet<SocketAddr>> =
        (0..20).map(|seed| greeted(contacts(10..50), seed)).collect();
    for greeted in &runs {
        assert_eq!(greeted.len(), 8);
        assert!((10..14).all(|n| greeted.contains(&addr(n))), "{greeted:?}");
    }
    let ever: BTreeSet<_> = runs.into_iter().flatten().collect();
    assert!(ever.len() > 20, "chance reaches the others: {ever:?}");
}

/// Carries datagrams between nodes at their addresses until nobody says anything more.
fn talk(nodes: &mut [(SocketAddr, Node)]) {
    for _ in 0..20 {
        for from in 0..nodes.len() {
            let source = nodes[from].0;
            for (to, bytes) in drain(&mut nodes[from].1) {
                if let Some((_, node)) = nodes.iter_mut().find(|(addr, _)| *addr == to) {
                    node.handle_input(Input::Datagram { from: source, bytes: &bytes }, NOW);
                }
            }
        }
    }
}

fn sees(node: &Node, n: u8) -> bool {
    node.members().iter().any(|member| member.name == name(n) && member.state.is_up())
}

#[test]
fn a_seed_that_names_a_node_leads_to_that_one_only_by_way_of_its_sibling() {
    let elsewhere = SocketAddr::from(([10, 0, 0, 2], 4761));
    let seed = |n: u8| vec![Contact { addr: addr(2), expect: Some(name(n)) }];
    let mut nodes = [
        (addr(1), node(1, addr(1), 1)),
        (addr(2), node(2, addr(2), 2)),
        (elsewhere, node(3, elsewhere, 3)),
    ];
    nodes[0].1.handle_input(Input::SeedsResolved(seed(3)), NOW);
    talk(&mut nodes);
    assert!(!sees(&nodes[0].1, 2), "somebody else is not joined");
    assert!(!sees(&nodes[0].1, 3));

    let siblings = Command::SetSiblings(vec![Sibling { name: name(3), port: 4761 }]);
    nodes[1].1.handle_input(Input::Command(siblings), NOW);
    nodes[0].1.handle_input(Input::SeedsResolved(seed(3)), NOW);
    talk(&mut nodes);
    assert!(sees(&nodes[0].1, 3), "its neighbour knows where it is");
}
