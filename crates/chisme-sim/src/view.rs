//! The rules of an event stream, checked as the events come.
//!
//! What a user who reads only events believes must at every moment be what the node itself says,
//! and for one member `Up` alternates with `Down` or `Left`. This module knows nothing of networks.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use chisme_proto::{Event, MemberState, MemberView, NameHash, NodeName, Session};

use crate::mixer::Mixer;

/// Members by the hash of their name: it is asked for at every event of every node. Nothing depends on its order.
type Members = HashMap<NameHash, Known, BuildHasherDefault<Mixer>>;

/// What somebody who has read all events of a node believes.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// What it began with, if that was not nothing: one for all nodes that began alike.
    base: Option<Base>,
    /// What the events have said since.
    members: Members,
    up: usize,
}

/// What a node believed in the beginning: that all of these are up, save itself.
#[derive(Clone, Debug)]
struct Base {
    all: Arc<Members>,
    own: NodeName,
}

#[derive(Clone, Debug)]
struct Known {
    name: NodeName,
    believed: Believed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Believed {
    state: MemberState,
    session: Session,
}

/// Members that nodes were told of before anything happened.
#[derive(Clone, Debug)]
pub(crate) struct Acquaintance(Arc<Members>);

impl Acquaintance {
    pub(crate) fn of(members: impl Iterator<Item = (NodeName, Session)>) -> Self {
        let known = |(name, session)| {
            let believed = Believed { state: MemberState::Alive, session };
            (NameHash::of(&name), Known { name, believed })
        };
        Self(Arc::new(members.map(known).collect()))
    }

    /// The view of one of them, after the events that told it of the others.
    pub(crate) fn view_of(&self, own: &NodeName) -> View {
        let base = Base { all: Arc::clone(&self.0), own: own.clone() };
        View { up: self.0.len() - 1, base: Some(base), members: Members::default() }
    }
}

impl View {
    /// What is believed of a member.
    fn of(&self, name: &NodeName) -> Option<Believed> {
        let hash = NameHash::of(name);
        let said = self.members.get(&hash);
        let base = || self.base.as_ref().filter(|base| base.own != *name)?.all.get(&hash);
        said.or_else(base).map(|known| known.believed)
    }

    /// Everybody of whom anything is believed.
    fn all(&self) -> impl Iterator<Item = (&NodeName, Believed)> {
        let untouched = self.base.iter().flat_map(|base| {
            let others = base.all.iter().filter(|(_, known)| known.name != base.own);
            others.filter(|(hash, _)| !self.members.contains_key(*hash))
        });
        self.members.iter().chain(untouched).map(|(_, known)| (&known.name, known.believed))
    }

    /// Who is up, each in which session.
    pub(crate) fn showing(&self) -> impl Iterator<Item = (&NodeName, Session)> {
        let up = self.all().filter(|(_, known)| known.state.is_up());
        up.map(|(name, known)| (name, known.session))
    }

    /// Takes the next event, or says which rule it breaks.
    pub(crate) fn apply(&mut self, event: &Event) -> Result<(), String> {
        let (member, next) = match event {
            Event::Up(member) => (member, MemberState::Alive),
            Event::Suspect(member) => (member, MemberState::Suspect),
            Event::Recovered(member) => (member, MemberState::Alive),
            Event::Down(member) => (member, MemberState::Down),
            Event::Left(member) => (member, MemberState::Left),
            Event::Updated(member) => (member, member.state),
            _ => return Ok(()),
        };
        let before = self.of(&member.name);
        let state = before.map(|known| known.state);
        let allowed = match event {
            Event::Up(_) => !state.is_some_and(MemberState::is_up),
            Event::Suspect(_) => state == Some(MemberState::Alive),
            Event::Recovered(_) => state == Some(MemberState::Suspect),
            Event::Updated(_) => state == Some(next) && next.is_up(),
            _ => state.is_some_and(MemberState::is_up),
        };
        if !allowed {
            return Err(format!("{event:?} for a member that was {before:?}"));
        }
        if member.state != next {
            return Err(format!("the state inside {event:?} is not {next:?}"));
        }
        let same_process = before.is_none_or(|known| known.session == member.session);
        if !same_process && !matches!(event, Event::Up(_)) {
            return Err(format!("{event:?} is about another session than its Up: {before:?}"));
        }
        self.up = self.up + usize::from(next.is_up())
            - usize::from(before.is_some_and(|known| known.state.is_up()));
        let believed = Believed { state: next, session: member.session };
        let known = Known { name: member.name.clone(), believed };
        self.members.insert(NameHash::of(&member.name), known);
        Ok(())
    }

    /// How many are up by events.
    pub(crate) const fn up(&self) -> usize {
        self.up
    }

    /// Holds what the node itself says of one member against what the events said. For after each
    /// change, where [`compare`](Self::compare) takes too long.
    pub(crate) fn compare_one(
        &self,
        name: &NodeName,
        held: Option<&MemberView>,
    ) -> Result<(), String> {
        let said = self.of(name).filter(|known| known.state.is_up());
        let said = said.map(|known| (known.state, known.session));
        let held = held.filter(|member| member.state.is_up());
        let held = held.map(|member| (member.state, member.session));
        if said == held {
            return Ok(());
        }
        Err(format!("snapshot and events differ: {name}: {said:?} by events, {held:?} held"))
    }

    /// Holds the node's own snapshot against what the events said.
    pub(crate) fn compare(&self, snapshot: &[MemberView]) -> Result<(), String> {
        // A name that is there twice is there side by side: they are sorted by its hash.
        if snapshot.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err("the snapshot has a name twice".to_owned());
        }
        let mut up = snapshot.iter().filter(|member| member.state.is_up());
        let agrees = |member: &MemberView| {
            let held = Believed { state: member.state, session: member.session };
            self.of(&member.name) == Some(held)
        };
        if up.clone().count() == self.up && up.all(agrees) {
            return Ok(());
        }
        Err(self.difference(snapshot))
    }

    /// What a snapshot says otherwise.
    fn difference(&self, snapshot: &[MemberView]) -> String {
        let said: BTreeMap<&NodeName, (MemberState, Session)> = self
            .all()
            .filter(|(_, known)| known.state.is_up())
            .map(|(name, known)| (name, (known.state, known.session)))
            .collect();
        let held: BTreeMap<&NodeName, (MemberState, Session)> = snapshot
            .iter()
            .filter(|member| member.state.is_up())
            .map(|member| (&member.name, (member.state, member.session)))
            .collect();
        let difference: Vec<String> = said
            .keys()
            .chain(held.keys())
            .filter(|name| said.get(*name) != held.get(*name))
            .map(|name| {
                format!("{name}: {:?} by events, {:?} held", said.get(name), held.get(name))
            })
            .collect();
        format!("snapshot and events differ: {}", difference.join("; "))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chisme_proto::{
        ClusterName, Config, Cookie, Endpoints, Identity, Instant, KeyRing, Node, StretchedCookie,
    };

    fn member(state: MemberState, session: u64) -> MemberView {
        named("a@sim", state, session)
    }

    pub(crate) fn named(name: &str, state: MemberState, session: u64) -> MemberView {
        let cookie = Cookie::new(&"ab".repeat(32)).expect("valid");
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &ClusterName::default());
        let identity = Identity {
            name: NodeName::parse(name).expect("valid"),
            session: Session::from_u64(session),
            endpoints: Endpoints::one("10.0.0.1:4747".parse().expect("valid")),
        };
        let config = Config::new(ClusterName::default(), keys);
        let node = Node::new(config, identity, [1; 32], Instant::default()).expect("valid");
        let mut view = node.local();
        view.state = state;
        view
    }

    fn judge(events: &[Event]) -> Result<(), String> {
        let mut view = View::default();
        events.iter().try_for_each(|event| view.apply(event))
    }

    #[test]
    fn a_life_in_order_is_accepted() {
        let (alive, suspect) = (member(MemberState::Alive, 1), member(MemberState::Suspect, 1));
        let down = member(MemberState::Down, 1);
        let again = member(MemberState::Alive, 2);
        judge(&[
            Event::Up(alive.clone()),
            Event::Suspect(suspect),
            Event::Recovered(alive),
            Event::Down(down),
            Event::Up(again),
            Event::Left(member(MemberState::Left, 2)),
        ])
        .expect("nothing is wrong with it");
    }

    #[test]
    fn each_event_has_its_states_before_it() {
        use MemberState::{Alive, Down, Left, Suspect};
        let up = || Event::Up(member(Alive, 1));
        let known = [
            vec![],
            vec![up()],
            vec![up(), Event::Suspect(member(Suspect, 1))],
            vec![up(), Event::Down(member(Down, 1))],
            vec![up(), Event::Left(member(Left, 1))],
        ];
        // Of somebody unknown, alive, suspected, Down, Left.
        for (event, allowed) in [
            (Event::Up(member(Alive, 1)), [true, false, false, true, true]),
            (Event::Suspect(member(Suspect, 1)), [false, true, false, false, false]),
            (Event::Recovered(member(Alive, 1)), [false, false, true, false, false]),
            (Event::Down(member(Down, 1)), [false, true, true, false, false]),
            (Event::Left(member(Left, 1)), [false, true, true, false, false]),
            (Event::Updated(member(Alive, 1)), [false, true, false, false, false]),
            (Event::Updated(member(Suspect, 1)), [false, false, true, false, false]),
            (Event::Updated(member(Down, 1)), [false; 5]),
        ] {
            for (before, allowed) in known.iter().zip(allowed) {
                let all = [&before[..], std::slice::from_ref(&event)].concat();
                assert_eq!(judge(&all).is_ok(), allowed, "{event:?} after {before:?}");
            }
        }
    }

    #[test]
    fn what_breaks_the_rules_is_named() {
        let alive = || member(MemberState::Alive, 1);
        let down = || member(MemberState::Down, 1);
        assert!(judge(&[Event::Up(alive()), Event::Up(alive())]).is_err());
        assert!(judge(&[Event::Down(down())]).is_err());
        assert!(judge(&[Event::Up(alive()), Event::Recovered(alive())]).is_err());
        assert!(judge(&[Event::Up(alive()), Event::Down(alive())]).is_err());
        let stranger = member(MemberState::Down, 2);
        assert!(judge(&[Event::Up(alive()), Event::Down(stranger)]).is_err());
    }

    #[test]
    fn a_snapshot_must_agree_with_the_events() {
        let mut view = View::default();
        assert!(view.compare(&[member(MemberState::Alive, 1)]).is_err());
        view.apply(&Event::Up(member(MemberState::Alive, 1))).expect("fine");
        assert!(view.compare(&[member(MemberState::Alive, 1)]).is_ok());
        assert!(view.compare(&[member(MemberState::Suspect, 1)]).is_err());
        assert!(view.compare(&[]).is_err());
        let (alive, down) = (member(MemberState::Alive, 1), member(MemberState::Down, 1));
        let name = alive.name.clone();
        assert_eq!(view.up(), 1);
        assert!(view.compare_one(&name, Some(&alive)).is_ok());
        assert!(view.compare_one(&name, Some(&down)).is_err());
        assert!(view.compare_one(&name, None).is_err());
    }
}
