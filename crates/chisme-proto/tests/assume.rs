//! Members that whoever runs a node vouches for.

use std::net::SocketAddr;

use chisme_proto::{
    Assumed, ClusterName, Command, Config, Cookie, Endpoints, Event, Identity, Input, Instant,
    KeyRing, Node, NodeName, Output, Roster, Session, StretchedCookie,
};

const NOW: Instant = Instant::from_nanos(1);

fn member(n: u8, session: u64) -> Assumed {
    Assumed {
        name: NodeName::parse(&format!("n{n}@host")).expect("valid"),
        session: Session::from_u64(session),
        endpoints: Endpoints::one(SocketAddr::from(([10, 0, 0, n], 4747))),
    }
}

fn node(roster: Option<Roster>) -> Node {
    let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
    let cluster = ClusterName::default();
    let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
    let Assumed { name, session, endpoints } = member(1, 10);
    let mut config = Config::new(cluster, keys);
    config.roster = roster;
    let identity = Identity { name, session, endpoints };
    let mut node = Node::new(config, identity, [1; 32], NOW).expect("valid");
    while node.poll_output().is_some() {}
    node
}

/// Hands in members and gives what the node says of it.
fn assume(node: &mut Node, members: &[Assumed]) -> Vec<Output> {
    node.handle_input(Input::Command(Command::Assume(members.to_vec())), NOW);
    std::iter::from_fn(|| node.poll_output()).collect()
}

#[test]
fn they_are_up_and_nobody_is_told() {
    let mut node = node(None);
    let outputs = assume(&mut node, &[member(2, 20), member(3, 30)]);
    let up = |output: &Output| matches!(output, Output::Event(Event::Up(_)));
    assert!(outputs.len() == 2 && outputs.iter().all(up), "{outputs:?}");
    // Rumours would be on their way by then.
    node.handle_input(Input::Timeout, NOW + std::time::Duration::from_millis(250));
    let sent = std::iter::from_fn(|| node.poll_output())
        .any(|output| matches!(output, Output::Transmit { .. }));
    assert!(!sent, "nothing is spread");
    assert_eq!(node.members().len(), 2);
}

#[test]
fn what_is_known_better_is_passed_over() {
    let mut node = node(None);
    assume(&mut node, &[member(2, 20)]);
    let nowhere = Assumed { endpoints: Endpoints::default(), ..member(4, 40) };
    assert!(assume(&mut node, &[member(1, 99), member(2, 19), member(2, 20), nowhere]).is_empty());
    let sessions: Vec<Session> = node.members().iter().map(|member| member.session).collect();
    assert_eq!(sessions, [Session::from_u64(20)]);
}

#[test]
fn nodes_that_share_a_roster_behave_as_those_that_do_not() {
    let roster = Roster::default();
    let mut nodes = [node(None), node(Some(roster.clone())), node(Some(roster))];
    let members: Vec<Assumed> = (2..40).map(|n| member(n, u64::from(n))).collect();
    let said = nodes.each_mut().map(|node| {
        let mut said = assume(node, &members);
        for quarter in 1..80 {
            let now = NOW + std::time::Duration::from_millis(250 * quarter);
            node.handle_input(Input::Timeout, now);
            said.extend(std::iter::from_fn(|| node.poll_output()));
        }
        format!("{said:?} {:?}", node.members())
    });
    assert!(said[0].contains("Transmit"), "they probe each other");
    assert!(said[0] == said[1] && said[0] == said[2]);
}
