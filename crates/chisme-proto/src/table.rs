//! Our own member table: what foca holds, by the same rules, and what the user has been shown.
//!
//! It knows the rules of precedence (SWIM paper, §4.2) and nothing of datagrams or time limits.
//! Each member costs 24 bytes here and 8 in the order of name hashes; who it is stands in its run,
//! and what is rare stands aside.

mod entry;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use foca::State;

use crate::identity::NameHash;
use crate::order::{Order, make_room};
use crate::record::Published;
use crate::record::digest::Summary;
use crate::roster::{Roster, Run};
use crate::swim::{Directory, Id, Incarnation, Index, is_farewell};
use crate::sync::digest::Sums;
use crate::{Endpoints, Fill, Instant, Life, MemberState, MemberView, NodeName, Session};

pub(crate) use entry::Entry;

/// How many notes of what members were told lately are kept before old ones are dropped.
const NUDGES: usize = 64;

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

/// All members but ourselves.
#[derive(Debug, Default)]
pub(crate) struct Table {
    order: Order,
    entries: Entries,
    /// Places that are empty, each with its next index.
    free: Vec<Index>,
    up: usize,
    gone: usize,
    departed: usize,
    burials: u64,
    /// Of those that were ever held Down: a number that grows with every burial.
    buried: BTreeMap<Index, u64>,
    /// The runs that users were shown of members that are known in another by now.
    shown: BTreeMap<Index, Arc<Run>>,
    /// When members were last sent something that they had not asked for, as far as it matters.
    nudged: BTreeMap<Index, Instant>,
    /// Whose probe started last, and its incarnation then: a failed probe accuses that one.
    probed: Option<(Index, Incarnation)>,
    /// Until when those that are carried are.
    carried_until: Option<Instant>,
    roster: Option<Roster>,
    /// What members say of themselves, each in its present session.
    records: BTreeMap<Index, Arc<Published>>,
    /// Over those that are up: changes with every one of them.
    sums: Sums,
    /// Over what is known of those that are up.
    summary: Summary,
}

/// The members by place; place 0 stays empty, it is this node's own.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<Option<Entry>>);

impl Entries {
    fn at(&self, index: Index) -> Option<&Entry> {
        self.0.get(index.place())?.as_ref().filter(|entry| entry.index() == index)
    }

    fn at_mut(&mut self, index: Index) -> Option<&mut Entry> {
        self.0.get_mut(index.place())?.as_mut().filter(|entry| entry.index() == index)
    }

    /// The name hash of a place that the order knows.
    fn hash(&self, place: u32) -> NameHash {
        let entry = self.0.get(place as usize).and_then(Option::as_ref);
        entry.expect("what is in the order is in the table").hash()
    }
}

impl Directory for Entries {
    fn run(&self, index: Index) -> Option<&Run> {
        self.at(index).map(Entry::run)
    }
}

impl Table {
    /// A table that shares what it can by `roster`.
    pub(crate) fn new(roster: Option<Roster>) -> Self {
        Self { entries: Entries(vec![None]), roster, ..Self::default() }
    }

    /// Members that foca holds up, this node not among them.
    pub(crate) const fn up(&self) -> usize {
        self.up
    }

    /// Members that foca holds Down, Left ones among them.
    pub(crate) const fn gone(&self) -> usize {
        self.gone
    }

    /// Members that are remembered only: those that foca holds Down, and those that it no longer
    /// holds since we went over to another side.
    pub(crate) const fn departed(&self) -> usize {
        self.departed
    }

    /// What is held up, for a comparison; this node is not in it.
    pub(crate) const fn sums(&self) -> &Sums {
        &self.sums
    }

    pub(crate) fn find(&self, hash: NameHash) -> Option<&Entry> {
        let place = self.order.find(hash, |place| self.entries.hash(place))?;
        self.entries.0[place as usize].as_ref()
    }

    pub(crate) fn at(&self, index: Index) -> Option<&Entry> {
        self.entries.at(index)
    }

    /// The entry whose identity is `id`, session and life included.
    pub(crate) fn exactly(&self, id: &Id) -> Option<&Entry> {
        self.at(id.index).filter(|entry| entry.id() == *id)
    }

    /// How many there are, of whatever state.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// What is kept beside some of the members.
    pub(crate) fn fills(&self) -> [Fill; 2] {
        let most = self.len();
        [
            Fill::new("nudges", self.nudged.len(), most),
            Fill::new("records", self.records.len(), most),
        ]
    }

    /// How many places there are: those of members, and some that are empty.
    pub(crate) const fn places(&self) -> usize {
        self.entries.0.len()
    }

    /// Who stands at one of them.
    pub(crate) fn at_place(&self, place: usize) -> Option<&Entry> {
        self.entries.0.get(place)?.as_ref()
    }

    /// By name hash.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().filter_map(|place| self.entries.0[place as usize].as_ref())
    }

    /// Those above a name hash, or all, by name hash.
    pub(crate) fn above(&self, hash: Option<NameHash>) -> impl Iterator<Item = &Entry> {
        let all = hash.is_none().then(|| self.order.iter());
        let some = hash.map(|hash| self.order.above(hash, |place| self.entries.hash(place)));
        let places = all.into_iter().flatten().chain(some.into_iter().flatten());
        places.filter_map(|place| self.entries.0[place as usize].as_ref())
    }

    /// The directory that the engine borrows.
    pub(crate) const fn entries(&self) -> &Entries {
        &self.entries
    }

    pub(crate) const fn entries_mut(&mut self) -> &mut Entries {
        &mut self.entries
    }

    /// Makes a place for a name that has none.
    pub(crate) fn insert(
        &mut self,
        name: NodeName,
        age: (Session, Life),
        endpoints: Endpoints,
    ) -> Id {
        let index = self.free.pop().unwrap_or_else(|| {
            make_room(&mut self.entries.0);
            self.entries.0.push(None);
            let place = u32::try_from(self.entries.0.len() - 1).expect("members are bounded");
            Index::first(place)
        });
        let hash = NameHash::of(&name);
        let run = self.run(name, age, endpoints);
        self.entries.0[index.place()] = Some(Entry::new(run, index));
        self.departed += 1;
        let (order, entries) = (&mut self.order, &self.entries);
        let place = u32::try_from(index.place()).expect("an index has 32 bits");
        order.insert(hash, place, |place| entries.hash(place));
        Id::new(age, index)
    }

    /// Takes over an update about `id`, exactly as foca does. Says whether anything changed.
    pub(crate) fn apply(&mut self, id: &Id, update: Held) -> bool {
        let Some(entry) = self.entries.at(id.index) else { return false };
        let accepted = match entry.held() {
            // A newer life replaces whatever was held of the one before.
            Some(_) if id.age() > entry.id().age() => true,
            Some(held) => id.age() == entry.id().age() && held.gives_way_to(update),
            None => id.age() >= entry.believable(),
        };
        if !accepted {
            return false;
        }
        let (was_gone, endpoints) = (entry.is_gone(), entry.endpoints());
        if entry.id().session != id.session {
            self.forget_record(id.index);
        }
        self.set_run(id.index, id.age(), endpoints);
        self.change(id.index, |entry| entry.hold(Some(update)));
        if update.state == State::Down && !was_gone {
            self.burials += 1;
            self.buried.insert(id.index, self.burials);
        }
        true
    }

    /// Changes an entry, and counts it as what it is then.
    fn change(&mut self, index: Index, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.at_mut(index) else { return };
        let counts =
            |entry: &Entry| [entry.is_up(), entry.is_gone(), entry.is_departed()].map(usize::from);
        let was = counts(entry);
        change(entry);
        let is = counts(entry);
        match (was[0], is[0]) {
            (0, 1) => {
                self.sums.add(entry.hash(), entry.id().age());
                if let Some(known) = self.records.get(&index) {
                    self.summary.add(entry.hash(), known.stamp);
                }
            }
            (1, 0) => {
                self.sums.subtract(entry.hash(), entry.id().age());
                if let Some(known) = self.records.get(&index) {
                    self.summary.subtract(entry.hash(), known.stamp);
                }
            }
            _ => {}
        }
        self.up = self.up + is[0] - was[0];
        self.gone = self.gone + is[1] - was[1];
        self.departed = self.departed + is[2] - was[2];
    }

    /// Sets where a member can be reached.
    pub(crate) fn set_endpoints(&mut self, index: Index, endpoints: Endpoints) {
        if let Some(age) = self.at(index).map(|entry| entry.id().age()) {
            self.set_run(index, age, endpoints);
        }
    }

    fn set_run(&mut self, index: Index, age: (Session, Life), endpoints: Endpoints) {
        let Some(entry) = self.entries.at(index) else { return };
        if entry.id().age() == age && entry.endpoints() == endpoints {
            return;
        }
        let run = self.run(entry.name().clone(), age, endpoints);
        let Some(entry) = self.entries.at_mut(index) else { return };
        let was_shown = entry.shown_state().is_some();
        let before = entry.replace_run(run);
        if entry.is_up() {
            self.sums.subtract(before.hash, (before.session, before.life));
            self.sums.add(entry.hash(), entry.id().age());
        }
        if was_shown {
            self.shown.entry(index).or_insert(before);
        }
    }

    fn run(&self, name: NodeName, age: (Session, Life), endpoints: Endpoints) -> Arc<Run> {
        match &self.roster {
            Some(roster) => roster.run(name, age, endpoints),
            None => Arc::new(Run::new(name, age, endpoints)),
        }
    }

    /// What the user was shown of a member last; none if it was never up.
    pub(crate) fn view(&self, entry: &Entry) -> Option<MemberView> {
        let state = entry.shown_state()?;
        let run = self.shown.get(&entry.index()).map_or_else(|| entry.run(), Arc::as_ref);
        Some(MemberView {
            name: run.name.clone(),
            state,
            session: run.session,
            endpoints: run.endpoints,
            since: entry.since(),
            record: self.record_shown(entry.index(), state),
        })
    }

    /// Notes that the user is shown a member as it is now.
    pub(crate) fn set_shown(&mut self, index: Index, state: MemberState, since: Instant) {
        self.shown.remove(&index);
        self.change(index, |entry| entry.show(state, since));
    }

    /// Whether a member may be sent something unasked, that is not for `period` after the last
    /// time; if so, that is noted.
    pub(crate) fn may_nudge(
        &mut self,
        index: Index,
        period: std::time::Duration,
        now: Instant,
    ) -> bool {
        if self.at(index).is_none() {
            return false;
        }
        if self.nudged.get(&index).is_some_and(|&last| now - last < period) {
            return false;
        }
        if self.nudged.len() >= NUDGES {
            self.nudged.retain(|_, last| now - *last < period);
        }
        self.nudged.insert(index, now);
        true
    }

    /// Notes that a probe of `id` starts. There is only one at a time.
    pub(crate) fn probe_started(&mut self, id: &Id) {
        let held = self.at(id.index).and_then(Entry::held);
        self.probed = Some((id.index, held.map_or(0, |held| held.incarnation)));
    }

    /// The incarnation that a member had when its probe started.
    pub(crate) fn probed_incarnation(&self, index: Index) -> Incarnation {
        self.probed.filter(|(probed, _)| *probed == index).map_or(0, |(_, incarnation)| incarnation)
    }

    /// We go over to another side: forgets what foca held, for a foca that starts afresh. Those
    /// that are shown up, but for the winner's own run, are carried: they stay shown, and are not
    /// believed, until that moment.
    pub(crate) fn go_over(&mut self, winner: (NameHash, Session), until: Instant) {
        self.carried_until = Some(until);
        for entry in self.entries.0.iter_mut().flatten() {
            let mate = entry.is_shown_up() && (entry.hash(), entry.id().session) != winner;
            entry.carry(mate);
            entry.hold(None);
        }
        (self.up, self.gone) = (0, 0);
        (self.sums, self.summary) = (Sums::default(), Summary::default());
        self.departed = self.iter().filter(|entry| entry.is_departed()).count();
    }

    /// Those that are carried, and need not be any more.
    pub(crate) fn carried_too_long(&self, now: Instant) -> Vec<Id> {
        let over = self.carried_until.is_some_and(|until| until <= now);
        self.iter().filter(|entry| over && entry.is_carried()).map(Entry::id).collect()
    }

    /// What is held of a member that is Down is held no more; for the user it stays so.
    pub(crate) fn unsay(&mut self, index: Index) {
        self.change(index, |entry| entry.hold(None));
    }

    /// A member is not carried any more.
    pub(crate) fn end_carry(&mut self, index: Index) {
        self.change(index, |entry| entry.carry(false));
    }

    /// Removes an entry, wherever it stands.
    pub(crate) fn remove(&mut self, index: Index) {
        self.forget_record(index);
        let Some(entry) = self.entries.at(index) else { return };
        if entry.is_up() {
            self.sums.subtract(entry.hash(), entry.id().age());
        }
        self.up -= usize::from(entry.is_up());
        self.gone -= usize::from(entry.is_gone());
        self.departed -= usize::from(entry.is_departed());
        let (order, entries) = (&mut self.order, &self.entries);
        order.remove(entry.hash(), |place| entries.hash(place));
        self.entries.0[index.place()] = None;
        self.buried.remove(&index);
        self.shown.remove(&index);
        self.nudged.remove(&index);
        self.free.push(index.next());
    }

    /// The tombstone to forget first: the oldest Left, else the oldest Down.
    pub(crate) fn oldest_tombstone(&self) -> Option<Id> {
        let buried = |entry: &Entry| self.buried.get(&entry.index()).copied().unwrap_or(0);
        self.iter()
            .filter(|entry| entry.is_departed())
            .min_by_key(|entry| (!entry.has_left(), buried(entry)))
            .map(Entry::id)
    }

    /// The lowest name hash among those up and `own`: the same for all nodes of one side.
    pub(crate) fn lowest_up(&self, own: NameHash) -> NameHash {
        // `iter` is ordered by name hash.
        let lowest = self.iter().find(|entry| entry.is_up());
        lowest.map_or(own, |entry| own.min(entry.hash()))
    }
}
