//! All maps and queues of a node, each with its limit. The limits stand where they are kept.

use super::{MAX_OUTPUTS, MAX_SIBLINGS, Node};
use crate::{Fill, MAX_SEEDS, Output};

impl Node {
    /// How full each map and queue of this node is. For metrics, and for whoever holds a node against its
    /// bounds: none [is over](Fill::is_over), whoever sent what came in, as long as a request that is under way is
    /// not asked for again under its number, and members do not lie.
    ///
    /// It takes as long as some thirty lengths take to be looked up, and as the outputs that wait take to be
    /// counted; nothing is allocated. It is not meant to be called for each datagram.
    pub fn fills(&self) -> impl Iterator<Item = Fill> {
        let [members, tombstones] = self.member_fills();
        let [nudges, records] = self.table.fills();
        let [windows, marks] = self.windows.fills();
        let [watched, inquiries] = self.refusals.fills();
        let [connects, pings] = self.request_fills();
        let [fetches, large_fetches] = self.records.fetches.fills();
        let [postponed, page_sources] = self.sync.fills();
        [
            members,
            tombstones,
            nudges,
            records,
            windows,
            marks,
            self.recent_hellos.fill(),
            self.source_answers.fill("addresses_answered"),
            self.attempts_fill(),
            connects,
            pings,
            self.admissions_fill(),
            self.disputes_fill(),
            Fill::new("siblings", self.siblings.len(), MAX_SIBLINGS),
            Fill::new("seeds", self.seeds.len(), MAX_SEEDS),
            self.own_addresses_fill(),
            self.reprobed.fill(),
            self.confirmations.fill(),
            self.overheard.fill(self.table.len()),
            self.errands.fill(),
            watched,
            inquiries,
            self.rumours_fill(),
            postponed,
            page_sources,
            self.records.rumours.fill(),
            fetches,
            large_fetches,
            self.records.sources_fill(),
            self.rejections.fill(),
            self.schedule.fill(self.table.places()),
            self.transmits_fill(),
        ]
        .into_iter()
    }

    /// Events and answers are not counted: they wait without a limit, and few of them come of one input.
    fn transmits_fill(&self) -> Fill {
        let is_transmit = |output: &&Output| matches!(output, Output::Transmit { .. });
        let waiting = self.outputs.iter().filter(is_transmit).count();
        Fill::new("datagrams_to_send", waiting, MAX_OUTPUTS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{
        ClusterName, Command, Config, Contact, Cookie, Endpoints, Fill, Identity, Input, Instant,
        KeyRing, NodeName, RequestId, Session, StretchedCookie,
    };

    use super::*;

    fn alone() -> Node {
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        let cluster = ClusterName::default();
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
        let identity = Identity {
            name: NodeName::parse("n1@host").expect("valid"),
            session: Session::from_u64(7),
            endpoints: Endpoints::one("10.0.0.1:4747".parse().expect("valid")),
        };
        let config = Config::new(cluster, keys);
        Node::new(config, identity, [3; 32], Instant::default()).expect("valid")
    }

    fn fill(node: &Node, what: &str) -> (usize, usize) {
        let fill = node.fills().find(|fill| fill.what == what).expect("it is told of");
        (fill.held, fill.most)
    }

    #[test]
    fn each_has_a_name_of_its_own_and_none_is_over_at_the_start() {
        let node = alone();
        let names: BTreeSet<&str> = node.fills().map(|fill| fill.what).collect();
        assert_eq!(names.len(), node.fills().count());
        assert!(!node.fills().any(|fill| fill.is_over()));
        let over = Fill::new("disputes", 65, 64);
        assert!(over.is_over() && !Fill { held: 64, ..over }.is_over());
        assert_eq!(over.to_string(), "65 disputes, where 64 are the most");
    }

    #[test]
    fn what_is_asked_of_a_node_fills_it_up_to_its_limits() {
        let mut node = alone();
        let contact = |n: u16| {
            let addr = ([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]], 4747).into();
            Contact { addr, expect: None }
        };
        for request in 0..100 {
            let contacts = (0..100).map(|n| contact(request * 100 + n)).collect();
            let request = RequestId(request.into());
            let connect = Input::Command(Command::Connect { request, contacts });
            node.handle_input(connect, Instant::default());
        }
        assert_eq!(fill(&node, "connects"), (64, 64));
        assert_eq!(fill(&node, "attempts"), (64 * 64, 128 + 64 * 64 + 64));
        assert_eq!(fill(&node, "timers").0, 64 * 64);
        // Each is greeted once, and the requests beyond are answered at once.
        assert_eq!(fill(&node, "datagrams_to_send"), (64 * 64, MAX_OUTPUTS));
        while node.poll_output().is_some() {}
        assert_eq!(fill(&node, "datagrams_to_send").0, 0);
        node.handle_input(
            Input::SeedsResolved((0..1_000).map(contact).collect()),
            Instant::default(),
        );
        assert_eq!(fill(&node, "seeds"), (MAX_SEEDS, MAX_SEEDS));
    }
}
