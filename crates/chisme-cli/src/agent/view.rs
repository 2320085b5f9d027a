//! The agent's view as its readers see it: which members are up, and what each event changes.
//!
//! A reader that lost events compares the view with a snapshot and gets the changes all the same;
//! an event that the snapshot had already told is then no change.

use std::collections::BTreeMap;

use chisme::proto::{Endpoints, MemberState};
use chisme::{Event, Member, NodeName, Session, Snapshot};

/// The members that are up besides this node, as far as the reader was told.
#[derive(Debug, Default)]
pub(crate) struct View {
    up: BTreeMap<NodeName, Known>,
}

#[derive(Debug, PartialEq, Eq)]
struct Known {
    session: Session,
    suspect: bool,
    endpoints: Endpoints,
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
        let changed = match event {
            Event::Snapshot(snapshot) => return self.sync(snapshot),
            Event::Up(member) | Event::Updated(member) => {
                return self.meet(member, member.state == MemberState::Suspect);
            }
            Event::Suspect(member) => return self.meet(member, true),
            Event::Recovered(member) => return self.meet(member, false),
            Event::Down(member) => self.part(member, "down"),
            Event::Left(member) => self.part(member, "left"),
            _ => None,
        };
        changed.into_iter().collect()
    }

    /// Makes the view equal to `snapshot` and tells the difference.
    pub(crate) fn sync(&mut self, snapshot: &Snapshot) -> Vec<Change> {
        let mut changes = Vec::new();
        let gone: Vec<NodeName> = self
            .up
            .keys()
            .filter(|name| !snapshot.members.iter().any(|member| member.name == **name))
            .cloned()
            .collect();
        for name in gone {
            let left = snapshot
                .departed
                .iter()
                .any(|member| member.name == name && member.state == MemberState::Left);
            changes.extend(self.remove(&name, if left { "left" } else { "down" }));
        }
        for member in &snapshot.members {
            changes.extend(self.meet(member, member.state == MemberState::Suspect));
        }
        changes
    }

    /// `member` is up; what is new about it?
    fn meet(&mut self, member: &Member, suspect: bool) -> Vec<Change> {
        let now = Known { session: member.session, suspect, endpoints: member.endpoints };
        let before = self.up.insert(member.name.clone(), now);
        let mut changes = Vec::new();
        let mut tell = |event| {
            changes.push(Change {
                event,
                peer: member.name.clone(),
                endpoints: member.endpoints,
                n: self.up.len() + 1,
            });
        };
        let was_suspect = match &before {
            None => {
                tell("up");
                false
            }
            Some(known) => {
                if known.session != member.session || known.endpoints != member.endpoints {
                    tell("updated");
                }
                known.suspect
            }
        };
        match (was_suspect, suspect) {
            (false, true) => tell("suspect"),
            (true, false) => tell("recovered"),
            _ => {}
        }
        changes
    }

    /// A `member` of a session that is not the one in the view has been told already.
    fn part(&mut self, member: &Member, event: &'static str) -> Option<Change> {
        let known = self.up.get(&member.name)?;
        if known.session > member.session {
            return None;
        }
        self.remove(&member.name, event)
    }

    fn remove(&mut self, name: &NodeName, event: &'static str) -> Option<Change> {
        let known = self.up.remove(name)?;
        Some(Change { event, peer: name.clone(), endpoints: known.endpoints, n: self.n() })
    }
}
