//! Two nodes meet, byte by byte as PROTOCOL.md draws it. Offsets are numbers here on purpose.

use std::net::{Ipv6Addr, SocketAddr};

use chisme_proto::{
    ClusterName, Command, Config, Contact, ContactResult, Cookie, Endpoints, Identity, Input,
    Instant, KeyRing, Node, NodeName, Output, RequestId, Session, StretchedCookie,
};

const NOW: Instant = Instant::from_nanos(1);

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 4747))
}

fn session(n: u8) -> Session {
    Session::new(1_735_689_600_000, n.into())
}

fn node(n: u8) -> Node {
    start(n, Endpoints::one(addr(n)), false)
}

/// A node that was not told where others reach it.
fn guessing(n: u8, endpoints: Endpoints) -> Node {
    start(n, endpoints, true)
}

fn start(n: u8, endpoints: Endpoints, endpoint_is_guess: bool) -> Node {
    let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
    let cluster = ClusterName::default();
    let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
    let identity = Identity {
        name: NodeName::parse(&format!("n{n}@host")).expect("valid"),
        session: session(n),
        endpoints,
    };
    let mut config = Config::new(cluster, keys);
    config.endpoint_is_guess = endpoint_is_guess;
    Node::new(config, identity, [n; 32], NOW).expect("valid")
}

/// A node that has just been told to connect to `addr(2)`.
fn asker() -> Node {
    let mut node = node(1);
    let contacts = vec![Contact { addr: addr(2), expect: None }];
    let connect = Command::Connect { request: RequestId(1), contacts };
    node.handle_input(Input::Command(connect), NOW);
    node
}

/// What a node wants sent, and what it reports of its `connect`.
fn drain(node: &mut Node) -> (Vec<Vec<u8>>, Option<ContactResult>) {
    let (mut datagrams, mut result) = (Vec::new(), None);
    while let Some(output) = node.poll_output() {
        match output {
            Output::Transmit { bytes, .. } => datagrams.push(bytes),
            Output::Connected { report, .. } => {
                result = report.into_iter().next().map(|r| r.result)
            }
            _ => {}
        }
    }
    (datagrams, result)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[test]
fn the_first_datagram_of_a_node_is_a_hello_of_448_bytes() {
    let mut node = asker();
    let (first, _) = drain(&mut node);
    let [hello] = &first[..] else { panic!("one datagram: {first:?}") };
    assert_eq!(hello.len(), 448);
    assert_eq!(hello[..2], [1, 1], "version and kind");
    assert_eq!(number(&hello[2..6]), 0xf51e_d143, "key id");
    assert_eq!(number(&hello[6..14]), session(1).to_u64(), "sender");
    assert_eq!(number(&hello[14..22]), 0, "receiver");
    assert_eq!(number(&hello[22..30]), 1, "sequence");

    // What is sent again is sealed anew.
    node.handle_input(Input::Timeout, node.poll_timeout().expect("a next try"));
    let (second, _) = drain(&mut node);
    let [again] = &second[..] else { panic!("one datagram: {second:?}") };
    assert_eq!(number(&again[22..30]), 2, "sequence");
    assert_eq!(again[30..432], hello[30..432], "the body");
    assert_ne!(again[432..], hello[432..], "the tag");
}

#[test]
fn an_address_that_led_back_to_us_is_tried_again_later() {
    let mut node = node(1);
    drain(&mut node);
    let balancer = Contact { addr: addr(9), expect: None };
    let mut hellos = |secs: u64| {
        let now = Instant::from_nanos(secs * 1_000_000_000);
        while node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_input(Input::Timeout, now);
        }
        drain(&mut node);
        node.handle_input(Input::SeedsResolved(vec![balancer.clone()]), now);
        let (hello, _) = drain(&mut node);
        // It leads to the node itself, and so does the answer.
        let mut back = hello.clone();
        while let Some(bytes) = back.pop() {
            node.handle_input(Input::Datagram { from: addr(9), bytes: &bytes }, now);
            back.extend(drain(&mut node).0);
        }
        hello.len()
    };
    assert_eq!([1, 2, 20, 32, 33].map(&mut hellos), [1, 0, 0, 1, 0]);
}

#[test]
fn loopback_is_not_advertised_beside_a_real_address() {
    let here = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    for (real, expected) in [(Some(addr(1)), None), (None, Some(here(1)))] {
        let guessed = real.map_or_else(Endpoints::default, Endpoints::one);
        let mut nodes = [guessing(1, guessed), guessing(2, Endpoints::one(here(2)))];
        let contacts = vec![Contact { addr: here(2), expect: None }];
        let connect = Command::Connect { request: RequestId(1), contacts };
        nodes[0].handle_input(Input::Command(connect), NOW);
        for turn in 0..8 {
            for bytes in drain(&mut nodes[turn % 2]).0 {
                let from = here(if turn % 2 == 0 { 1 } else { 2 });
                nodes[1 - turn % 2].handle_input(Input::Datagram { from, bytes: &bytes }, NOW);
            }
        }
        let endpoints = nodes[0].local().endpoints;
        assert_eq!(endpoints.v6.map(SocketAddr::V6), expected, "beside {real:?}");
    }
}

#[test]
fn a_handshake_goes_as_it_is_drawn() {
    let mut nodes = [asker(), node(2)];
    let mut seen = Vec::new();
    let mut result = None;
    for turn in 0..5 {
        let from = turn % 2;
        let (datagrams, connected) = drain(&mut nodes[from]);
        result = result.or(connected);
        for bytes in datagrams {
            seen.push((from, bytes[1], bytes.len()));
            let receiver = session(u8::try_from(2 - from).expect("1 or 2")).to_u64();
            let named = if bytes[1] == 1 { 0 } else { receiver };
            assert_eq!(number(&bytes[14..22]), named, "receiver of {seen:?}");
            let from = addr(u8::try_from(from + 1).expect("1 or 2"));
            let datagram = Input::Datagram { from, bytes: &bytes };
            nodes[1 - turn % 2].handle_input(datagram, NOW);
        }
    }
    let kinds: Vec<(usize, u8)> = seen.iter().map(|&(from, kind, _)| (from, kind)).collect();
    assert_eq!(kinds[..4], [(0, 1), (1, 2), (0, 3), (1, 4)], "Hello, HelloAck, Proof, Welcome");
    // Two that know each other lack nothing, so that no page follows.
    assert_eq!(kinds[4..], [(0, 0x40)], "then the sums of who was welcomed");
    let len = |n: usize| seen[n].2;
    assert!(len(1) <= len(0) && len(2) == 448 && len(3) <= len(2), "{seen:?}");
    assert!(matches!(result, Some(ContactResult::Joined(name)) if name.as_str() == "n2@host"));
    assert_eq!(nodes.map(|node| node.status().live), [2, 2]);
}
