//! The agent's view as its readers see it: which members are up, and what each event changes.
//!
//! A reader that lost events gets a snapshot next; the difference is told as the changes that were
//! lost, and an event that it had already told is then no change.

use std::collections::BTreeMap;
use std::sync::Arc;

use chisme::{Endpoints, Event, Member, MemberState, NodeName, Record, Session, Snapshot};

/// The members that are up besides this node, as far as the reader was told.
#[derive(Debug, Default)]
pub(crate) struct View {
    up: BTreeMap<NodeName, Known>,
}

/// What is known of a member that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    session: Session,
    suspect: bool,
    endpoints: Endpoints,
    record: Arc<Record>,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// `up`, `suspect`, `recovered`, `down`, `left` or `updated`.
    pub(crate) event: &'static str,
    /// Who.
    pub(crate) peer: NodeName,
    /// Where it is or was.
    pub(crate) endpoints: Endpoints,
    /// Members that are up afterwards, this node included.
    pub(crate) n: usize,
}

impl View {
    /// Members that are up, this node included.
    pub(crate) fn n(&self) -> usize {
        self.up.len() + 1
    }

    /// Takes `event` in. A [`Event::Snapshot`] may change many things, most others one or none.
    pub(crate) fn apply(&mut self, event: &Event) -> Vec<Change> {
        match event {
            Event::Snapshot(snapshot) => self.sync(snapshot),
            // What this node itself says is news, but it is not one of the others.
            Event::Updated(member) if member.is_local => vec![Change {
                event: "updated",
                peer: member.name.clone(),
                endpoints: member.endpoints,
                n: self.n(),
            }],
            Event::Up(member) | Event::Updated(member) => {
                self.meet(&member.name, Known::of(member))
            }
            Event::Suspect(member) => {
                self.meet(&member.name, Known { suspect: true, ..Known::of(member) })
            }
            Event::Recovered(member) => {
                self.meet(&member.name, Known { suspect: false, ..Known::of(member) })
            }
            Event::Down(member) => self.part(&member.name, member.session, "down"),
            Event::Left(member) => self.part(&member.name, member.session, "left"),
            _ => Vec::new(),
        }
    }

    /// Makes the view equal to `snapshot` and tells the difference.
    fn sync(&mut self, snapshot: &Snapshot) -> Vec<Change> {
        let up = snapshot.members.iter().map(|m| (m.name.clone(), Known::of(m))).collect();
        let left = snapshot.departed.iter().filter(|m| m.state == MemberState::Left);
        self.replace(&up, &left.map(|member| &member.name).collect::<Vec<_>>())
    }

    /// Makes `up` the members that are up. Who is missing has left if in `left`, else failed.
    fn replace(&mut self, up: &BTreeMap<NodeName, Known>, left: &[&NodeName]) -> Vec<Change> {
        let gone: Vec<NodeName> =
            self.up.keys().filter(|name| !up.contains_key(*name)).cloned().collect();
        let mut changes = Vec::new();
        for name in gone {
            let event = if left.contains(&&name) { "left" } else { "down" };
            changes.extend(self.remove(&name, event));
        }
        for (name, known) in up {
            changes.extend(self.meet(name, known.clone()));
        }
        changes
    }

    /// `peer` is up; what is new about it?
    fn meet(&mut self, peer: &NodeName, now: Known) -> Vec<Change> {
        let before = self.up.insert(peer.clone(), now.clone());
        let mut events = Vec::new();
        match &before {
            None => events.push("up"),
            Some(before) => {
                if *before != (Known { suspect: before.suspect, ..now.clone() }) {
                    events.push("updated");
                }
            }
        }
        match (before.is_some_and(|known| known.suspect), now.suspect) {
            (false, true) => events.push("suspect"),
            (true, false) => events.push("recovered"),
            _ => {}
        }
        let change =
            |event| Change { event, peer: peer.clone(), endpoints: now.endpoints, n: self.n() };
        events.into_iter().map(change).collect()
    }

    /// `peer` has gone, unless a later run of it is up: then that has been told already.
    fn part(&mut self, peer: &NodeName, session: Session, event: &'static str) -> Vec<Change> {
        match self.up.get(peer) {
            Some(known) if known.session <= session => self.remove(peer, event),
            _ => Vec::new(),
        }
    }

    fn remove(&mut self, peer: &NodeName, event: &'static str) -> Vec<Change> {
        let Some(known) = self.up.remove(peer) else { return Vec::new() };
        vec![Change { event, peer: peer.clone(), endpoints: known.endpoints, n: self.n() }]
    }
}

impl Known {
    fn of(member: &Member) -> Self {
        Self {
            session: member.session,
            suspect: member.state == MemberState::Suspect,
            endpoints: member.endpoints,
            record: Arc::clone(&member.record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).expect("valid")
    }

    fn known(session: u64) -> Known {
        Known {
            session: Session::from_u64(session),
            suspect: false,
            endpoints: Endpoints::one(([10, 0, 0, 7], 4747).into()),
            record: Record::nothing(),
        }
    }

    fn said(changes: &[Change]) -> Vec<String> {
        changes.iter().map(|c| format!("{} {} {}", c.event, c.peer.local(), c.n)).collect()
    }

    #[test]
    fn up_alternates_with_down_or_left_and_counts_this_node() {
        let mut view = View::default();
        let (a, b) = (name("a@x"), name("b@x"));
        assert_eq!(said(&view.meet(&a, known(1))), ["up a 2"]);
        assert_eq!(said(&view.meet(&a, known(1))), [""; 0], "told already");
        assert_eq!(said(&view.meet(&b, known(1))), ["up b 3"]);
        assert_eq!(said(&view.meet(&a, Known { suspect: true, ..known(1) })), ["suspect a 3"]);
        assert_eq!(said(&view.meet(&a, known(1))), ["recovered a 3"]);
        assert_eq!(said(&view.part(&a, Session::from_u64(1), "down")), ["down a 2"]);
        assert_eq!(said(&view.part(&a, Session::from_u64(1), "down")), [""; 0], "told already");
        assert_eq!(said(&view.part(&b, Session::from_u64(1), "left")), ["left b 1"]);
    }

    #[test]
    fn the_end_of_an_earlier_run_is_no_news_when_a_later_one_is_up() {
        let mut view = View::default();
        let a = name("a@x");
        view.meet(&a, known(2));
        assert_eq!(said(&view.part(&a, Session::from_u64(1), "down")), [""; 0]);
        assert_eq!(said(&view.meet(&a, known(3))), ["updated a 2"]);
    }

    #[test]
    fn a_reader_that_lost_events_gets_the_difference() {
        let mut view = View::default();
        for peer in ["a@x", "b@x", "c@x"] {
            view.meet(&name(peer), known(1));
        }
        let up = [("c@x", known(2)), ("d@x", Known { suspect: true, ..known(1) })];
        let up = up.into_iter().map(|(peer, known)| (name(peer), known)).collect();
        let changes = view.replace(&up, &[&name("b@x")]);
        assert_eq!(
            said(&changes),
            ["down a 3", "left b 2", "updated c 2", "up d 3", "suspect d 3"]
        );
        assert_eq!(said(&view.replace(&up, &[])), [""; 0]);
    }
}
