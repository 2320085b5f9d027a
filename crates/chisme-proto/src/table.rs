//! Our own member table: what foca holds, by the same rules, and what the user has been shown.
//!
//! It knows the rules of precedence (SWIM paper, §4.2) and nothing of datagrams or time limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use foca::State;

use crate::identity::NameHash;
use crate::record::Published;
use crate::swim::{Id, Incarnation, Index, is_farewell};
use crate::{Endpoints, Instant, Life, MemberState, MemberView, NodeName, Session};

/// What foca holds of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) incarnation: Incarnation,
    pub(crate) state: State,
}

impl Held {
    /// The state as users know it.
    pub(crate) fn member_state(self) -> MemberState {
        match self.state {
            State::Alive => MemberState::Alive,
            State::Suspect => MemberState::Suspect,
            State::Down if is_farewell(self.state, self.incarnation) => MemberState::Left,
            State::Down => MemberState::Down,
        }
    }

    /// Whether `other`, about the same life, takes the place of this.
    const fn gives_way_to(self, other: Self) -> bool {
        match (self.state, other.state) {
            (State::Down, _) => false,
            (State::Alive | State::Suspect, State::Down) => true,
            (State::Alive, State::Suspect) => other.incarnation >= self.incarnation,
            (State::Alive, State::Alive) | (State::Suspect, State::Alive | State::Suspect) => {
                other.incarnation > self.incarnation
            }
        }
    }
}

/// A member, under the newest session and life that we have accepted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: NodeName,
    pub(crate) id: Id,
    pub(crate) endpoints: Endpoints,
    /// None while foca does not know it: since we yielded, or before anything was applied.
    pub(crate) held: Option<Held>,
    /// What the user was shown last; none if never up.
    pub(crate) shown: Option<MemberView>,
    /// We yielded while it was up: it stays shown, and is not believed, until this moment.
    pub(crate) carried_until: Option<Instant>,
    /// Its incarnation when our probe of it started: a failed probe accuses that one.
    pub(crate) probed_incarnation: Incarnation,
    /// When we last sent it something that it had not asked for.
    pub(crate) nudged: Option<Instant>,
    /// What it says of itself, in its present session.
    pub(crate) record: Option<Arc<Published>>,
    /// Grows with every burial: which tombstone is older.
    buried: u64,
}

impl Entry {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.held, Some(Held { state: State::Alive | State::Suspect, .. }))
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.held, Some(Held { state: State::Down, .. }))
    }

    /// Left, by what foca holds, or by what it held before we went over to another side.
    pub(crate) fn has_left(&self) -> bool {
        let held = self.held.map(Held::member_state);
        held.or_else(|| self.shown.as_ref().map(|view| view.state)) == Some(MemberState::Left)
    }

    /// Remembered only: neither up nor about to come over to the side that we went over to.
    pub(crate) fn is_departed(&self) -> bool {
        !self.is_up() && self.carried_until.is_none()
    }

    /// Down, or unknown to the side that we went over to: worth a try.
    pub(crate) fn is_lost(&self) -> bool {
        match self.held {
            Some(held) => held.member_state() == MemberState::Down,
            None => self.carried_until.is_none() && !self.has_left(),
        }
    }

    /// The version of its record; 0 while none is known.
    pub(crate) fn record_version(&self) -> u64 {
        self.record.as_ref().map_or(0, |record| record.stamp.version)
    }

    pub(crate) fn is_shown_up(&self) -> bool {
        self.shown.as_ref().is_some_and(|view| view.state.is_up())
    }
}

/// All members but ourselves.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_hash: BTreeMap<NameHash, Index>,
    /// By index; place 0 stays empty, it is this node's own.
    entries: Vec<Option<Entry>>,
    free: Vec<Index>,
    up: usize,
    gone: usize,
    burials: u64,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { entries: vec![None], ..Self::default() }
    }

    /// Members that foca holds up, this node not among them.
    pub(crate) const fn up(&self) -> usize {
        self.up
    }

    /// Members that foca holds Down, Left ones among them.
    pub(crate) const fn gone(&self) -> usize {
        self.gone
    }

    /// All that are not up; cheap, where [`departed`](Self::departed) counts.
    pub(crate) fn not_up(&self) -> usize {
        self.by_hash.len() - self.up
    }

    /// Members that are remembered only: those that foca holds Down, and those that it no longer
    /// holds since we went over to another side.
    pub(crate) fn departed(&self) -> usize {
        self.iter().filter(|entry| entry.is_departed()).count()
    }

    pub(crate) fn find(&self, hash: NameHash) -> Option<&Entry> {
        self.entries[self.by_hash.get(&hash)?.0 as usize].as_ref()
    }

    pub(crate) fn at(&self, index: Index) -> Option<&Entry> {
        self.entries.get(index.0 as usize)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, index: Index) -> Option<&mut Entry> {
        self.entries.get_mut(index.0 as usize)?.as_mut()
    }

    /// The entry whose identity is `id`, session and life included.
    pub(crate) fn exactly(&self, id: &Id) -> Option<&Entry> {
        self.at(id.index).filter(|entry| entry.id == *id)
    }

    /// By name hash.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_hash.values().filter_map(|&index| self.at(index))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().flatten()
    }

    /// Makes a place for a name that has none.
    pub(crate) fn insert(
        &mut self,
        name: NodeName,
        (session, life): (Session, Life),
        endpoints: Endpoints,
    ) -> Id {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            Index(u32::try_from(self.entries.len() - 1).expect("members are bounded"))
        });
        let hash = NameHash::of(&name);
        let id = Id::new(hash, session, life, index);
        self.by_hash.insert(hash, index);
        self.entries[index.0 as usize] = Some(Entry {
            name,
            id,
            endpoints,
            held: None,
            shown: None,
            carried_until: None,
            probed_incarnation: 0,
            nudged: None,
            record: None,
            buried: 0,
        });
        id
    }

    /// Takes over an update about `id`, exactly as foca does. Says whether anything changed.
    pub(crate) fn apply(&mut self, id: &Id, update: Held) -> bool {
        let Some(entry) = self.entries.get_mut(id.index.0 as usize).and_then(Option::as_mut) else {
            return false;
        };
        let accepted = match entry.held {
            // A newer life replaces whatever was held of the one before.
            Some(_) if id.age() > entry.id.age() => true,
            Some(held) => id.age() == entry.id.age() && held.gives_way_to(update),
            None => id.age() >= entry.id.age(),
        };
        if !accepted {
            return false;
        }
        let was = (entry.is_up(), entry.is_gone());
        if entry.id.session != id.session {
            entry.record = None;
        }
        entry.id = *id;
        entry.held = Some(update);
        if entry.is_gone() && !was.1 {
            self.burials += 1;
            entry.buried = self.burials;
        }
        let is = (entry.is_up(), entry.is_gone());
        self.up = self.up + usize::from(is.0) - usize::from(was.0);
        self.gone = self.gone + usize::from(is.1) - usize::from(was.1);
        true
    }

    /// Forgets what foca held, for a foca that starts afresh.
    pub(crate) fn unhold_all(&mut self) {
        for entry in self.iter_mut() {
            entry.held = None;
        }
        (self.up, self.gone) = (0, 0);
    }

    /// Removes an entry, wherever it stands.
    pub(crate) fn remove(&mut self, index: Index) -> Option<Entry> {
        let entry = self.entries.get_mut(index.0 as usize)?.take()?;
        self.up -= usize::from(entry.is_up());
        self.gone -= usize::from(entry.is_gone());
        self.by_hash.remove(&NameHash::of(&entry.name));
        self.free.push(index);
        Some(entry)
    }

    /// The tombstone to forget first: the oldest Left, else the oldest Down.
    pub(crate) fn oldest_tombstone(&self) -> Option<Id> {
        self.iter()
            .filter(|entry| entry.is_departed())
            .min_by_key(|entry| (!entry.has_left(), entry.buried))
            .map(|entry| entry.id)
    }

    /// The lowest name hash among those up and `own`: the same for all nodes of one side.
    pub(crate) fn lowest_up(&self, own: NameHash) -> NameHash {
        // `iter` is ordered by name hash.
        let lowest = self.iter().find(|entry| entry.is_up());
        lowest.map_or(own, |entry| own.min(NameHash::of(&entry.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(state: State, incarnation: Incarnation) -> Held {
        Held { incarnation, state }
    }

    fn table() -> (Table, Id) {
        let mut table = Table::new();
        let name = NodeName::parse("a@host").expect("valid");
        let id = table.insert(name, (Session::from_u64(5), Life(0)), Endpoints::default());
        (table, id)
    }

    #[test]
    fn precedence_is_that_of_the_swim_paper() {
        let rows = [
            // held, update, taken
            (held(State::Alive, 1), held(State::Alive, 1), false),
            (held(State::Alive, 1), held(State::Alive, 2), true),
            (held(State::Alive, 1), held(State::Suspect, 1), true),
            (held(State::Alive, 2), held(State::Suspect, 1), false),
            (held(State::Suspect, 1), held(State::Alive, 1), false),
            (held(State::Suspect, 1), held(State::Alive, 2), true),
            (held(State::Suspect, 1), held(State::Suspect, 2), true),
            (held(State::Suspect, 9), held(State::Down, 0), true),
            (held(State::Down, 0), held(State::Alive, 9), false),
        ];
        for (before, update, taken) in rows {
            let (mut table, id) = table();
            assert!(table.apply(&id, before));
            assert_eq!(table.apply(&id, update), taken, "{before:?} then {update:?}");
        }
    }

    #[test]
    fn a_newer_life_replaces_a_down_and_an_older_one_changes_nothing() {
        let (mut table, id) = table();
        assert!(table.apply(&id, held(State::Down, 0)));
        let newer = Id { life: Life(1), ..id };
        assert!(table.apply(&newer, held(State::Alive, 0)));
        assert!(!table.apply(&id, held(State::Down, 0)));
        assert_eq!((table.up(), table.gone()), (1, 0));
    }

    #[test]
    fn tombstones_go_oldest_left_first() {
        let mut table = Table::new();
        let mut bury = |name: &str, incarnation| {
            let name = NodeName::parse(name).expect("valid");
            let id = table.insert(name, (Session::from_u64(1), Life(0)), Endpoints::default());
            table.apply(&id, held(State::Down, incarnation));
            id
        };
        let (down, left, later) = (bury("a@h", 0), bury("b@h", u16::MAX), bury("c@h", u16::MAX));
        for expected in [left, later, down] {
            assert_eq!(table.oldest_tombstone(), Some(expected));
            table.remove(expected.index);
        }
        assert_eq!((table.departed(), table.gone()), (0, 0));
    }
}
