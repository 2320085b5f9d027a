//! The inbound filter, and keeping foca, our table and what the user sees in step.

use std::time::Duration;

use foca::{Member, State};
use rand::RngExt;

use super::inbound::Peer;
use super::{Node, Only};
use crate::identity::NameHash;
use crate::swim::{Id, Incarnation, LEFT};
use crate::table::{Entry, Held};
use crate::wire::Update;
use crate::{Endpoints, Fill, Instant, Life, NodeName, Session};

/// How often one member is told something that it did not ask for.
const NUDGE_PERIOD: Duration = Duration::from_millis(100);

/// Close to the end of its incarnations a node raises its life instead.
pub(super) const LAST_INCARNATION: Incarnation = LEFT - 256;

/// How many places of the table are tried by chance before all members are looked at.
const RANDOM_PLACES: usize = 16;

/// The fewest tombstones that are kept.
const MIN_TOMBSTONES: usize = 256;

/// A session this far ahead of all others is a broken clock.
const TEN_YEARS_MILLIS: u64 = 10 * 365 * 24 * 3600 * 1000;

/// The first of January 2025: no honest clock is before it.
const YEAR_2025_MILLIS: u64 = 1_735_689_600_000;

impl Node {
    /// What is not held while we learn the view of another side is no tombstone yet.
    pub(super) fn member_fills(&self) -> [Fill; 2] {
        [
            Fill::new("members", self.table.up(), self.config.max_members),
            Fill::new("tombstones", self.table.gone(), self.most_tombstones()),
        ]
    }

    /// Whether nobody else can be up, be it somebody who is remembered.
    pub(super) fn is_full(&self) -> bool {
        self.table.up() >= self.config.max_members
    }

    /// The same the other way round, for one who is not up; whoever is turned away is counted.
    pub(super) fn has_room(&mut self) -> bool {
        let is_full = self.is_full();
        self.counters.members_turned_away += u64::from(is_full);
        !is_full
    }

    fn most_tombstones(&self) -> usize {
        self.live().max(MIN_TOMBSTONES)
    }

    /// Takes the sender of a SWIM packet for alive, unless something has to be cleared first.
    pub(super) fn admit_sender(
        &mut self,
        peer: &Peer,
        incarnation: Incarnation,
        now: Instant,
    ) -> Option<Id> {
        let age = (peer.session, peer.sender.life);
        if peer.hash == self.hash {
            self.meet_namesake(peer.session, peer.from, now);
            return None;
        }
        if let Some(entry) = self.table.find(peer.hash) {
            let (id, carried) = (entry.id(), entry.is_carried());
            if age.0 < id.session {
                self.nudge_older(peer, now);
                return None;
            }
            if age == id.age() && carried {
                self.introduce_winner(&id, now);
                return None;
            }
            // Held Down: first it is decided who gives way. A life that it never had may have been
            // made up.
            if age <= id.age() && entry.is_gone() {
                if !entry.has_left() {
                    self.greet(peer, &id, now);
                }
                return None;
            }
            if self.is_unproved(entry, peer) {
                self.greet(peer, &id, now);
                return None;
            }
            if age < entry.believable() {
                return None;
            }
            // Nothing new, as nearly always.
            let known = entry.held().is_some_and(|held| held.incarnation >= incarnation);
            if age == id.age() && entry.is_up() && known {
                self.follow_move(&id, peer, now);
                return Some(id);
            }
        }
        let claim = Claim {
            name: &peer.sender.name,
            hash: peer.hash,
            age,
            endpoints: peer.endpoints(),
            held: Held { incarnation, state: State::Alive },
        };
        let id = self.take_claim(&claim, true, now)?;
        self.follow_move(&id, peer, now);
        self.table.exactly(&id).filter(|entry| entry.is_up()).map(Entry::id)
    }

    /// A member may change its endpoints while it is up; it says so itself, from the new one.
    fn follow_move(&mut self, id: &Id, peer: &Peer, now: Instant) {
        let endpoints = peer.sender.endpoints;
        if !endpoints.contains(peer.from) {
            return;
        }
        if self.table.at(id.index).is_some_and(|entry| entry.endpoints() != endpoints) {
            self.table.set_endpoints(id.index, endpoints);
            self.show(id, now);
        }
    }

    /// Judges one update of a packet or a page, and applies what remains of it.
    pub(super) fn filter_update(
        &mut self,
        update: &Update,
        by: &Peer,
        tell_on: bool,
        now: Instant,
    ) {
        let hash = update.hash();
        let held = Held { incarnation: update.incarnation, state: update.swim_state() };
        let age = (update.session, update.life);
        if hash == self.hash {
            return self.hear_of_ourselves(age, held, by, now);
        }
        // Only the member itself may say so, and it says so by Down.
        if held.state != State::Down && held.incarnation > LAST_INCARNATION {
            self.counters.updates_withheld += 1;
            return;
        }
        if let Some(entry) = self.table.find(hash) {
            if is_no_news(entry, age, held) {
                return;
            }
            let id = entry.id();
            // What this side holds of a mate is old news while the mate is coming over.
            let carried = entry.is_carried() && held.state == State::Down;
            let waited = self.is_unproved(entry, by);
            let old_news = (waited && held.state != State::Down)
                || age < entry.believable()
                || (age == id.age() && carried);
            if age == id.age() && entry.has_left() && held.state == State::Suspect {
                let accuser = self.table.find(by.hash).map(Entry::id);
                if let (Some(accuser), Some(farewell)) = (accuser, self.as_update(&id)) {
                    self.tell(&accuser, &[farewell], now);
                }
            }
            if old_news {
                self.counters.updates_withheld += 1;
                return;
            }
        }
        if self.is_idle_accusation(held, by, now) {
            self.counters.updates_withheld += 1;
            return;
        }
        let broadcast = tell_on && now >= self.loading_until;
        let unheralded = self.unheralded(hash, age, held);
        let held = unheralded.map_or(held, |(_, suspicion)| suspicion);
        let claim = Claim { name: &update.name, hash, age, endpoints: update.endpoints, held };
        if self.take_claim(&claim, broadcast, now).is_none() {
            self.counters.updates_withheld += 1;
        }
        if let Some((id, _)) = unheralded {
            self.take_accusation(&id, now);
        }
    }

    /// Whether what `by` says for a member is too old, for all that we know, to raise it: we let go of it.
    pub(super) fn is_unproved(&self, entry: &Entry, by: &Peer) -> bool {
        entry.is_unheld() && !self.is_fresh(by.written)
    }

    /// A Down of a member that we do not even suspect, or suspect in a later incarnation only: its
    /// suspicion did not reach us, or was refuted. We take it for a suspicion, and look into it ourselves.
    fn unheralded(&self, hash: NameHash, age: (Session, Life), held: Held) -> Option<(Id, Held)> {
        let entry = self.table.find(hash).filter(|entry| entry.id().age() == age)?;
        let known = entry.held().filter(|known| known.state != State::Down)?;
        let is_refuted = known.state == State::Alive || held.incarnation < known.incarnation;
        let is_accusation = held.state == State::Down && held.incarnation != LEFT;
        let suspicion = Held { incarnation: known.incarnation, state: State::Suspect };
        (is_accusation && is_refuted).then(|| (entry.id(), suspicion))
    }

    /// Whom somebody holds Down, and who has refuted before us what that came of, may be Down all the same:
    /// it is suspected in the incarnation that we hold.
    pub(super) fn suspect_contested(&mut self, id: &Id, by: &Peer, now: Instant) {
        let Some(held) = self.table.exactly(id).and_then(Entry::held) else { return };
        let suspicion = Held { incarnation: held.incarnation, state: State::Suspect };
        if held.state == State::Alive && !self.is_idle_accusation(suspicion, by, now) {
            self.apply(*id, suspicion, None, false, now);
        }
    }

    /// Whom we suspect may be the one who hears nobody, and what waited while we heard nobody is old:
    /// neither counts against others.
    fn is_idle_accusation(&self, held: Held, by: &Peer, now: Instant) -> bool {
        let accuser = || self.table.find(by.hash).map(Entry::id);
        let is_suspect = || accuser().is_some_and(|id| self.suspected_in(&id).is_some());
        let is_accusation = held.state != State::Alive && held.incarnation != LEFT;
        is_accusation && (self.is_catching_up(now) || is_suspect())
    }

    /// Applies what is said of a member of its present run or of a newer one. A newer session of a
    /// name that is held up is withheld until the holders were asked.
    pub(super) fn take_claim(
        &mut self,
        claim: &Claim<'_>,
        broadcast: bool,
        now: Instant,
    ) -> Option<Id> {
        let mut index = None;
        let mut takes_room = true;
        if let Some(entry) = self.table.find(claim.hash) {
            index = Some(entry.index());
            takes_room = !entry.is_up() && claim.held.state != State::Down;
            let newer_session = claim.age.0 > entry.id().session;
            if newer_session && (entry.is_up() || entry.is_carried()) {
                if claim.held.state != State::Down {
                    self.dispute_rumour(claim.name, claim.age, claim.endpoints, now);
                }
                return None;
            }
        }
        if self.is_too_far(claim.age.0) {
            return None;
        }
        if takes_room && !self.has_room() {
            return None;
        }
        let id = match index {
            Some(index) => Id::new(claim.age, index),
            None if claim.name.kind() != self.name.kind() => return None,
            None => self.table.insert(claim.name.clone(), claim.age, claim.endpoints),
        };
        self.apply(id, claim.held, Some(claim.endpoints), broadcast, now);
        Some(id)
    }

    /// What others say of us. It reaches foca only if it is a suspicion of our present incarnation.
    fn hear_of_ourselves(&mut self, age: (Session, Life), held: Held, by: &Peer, now: Instant) {
        let accuser = self.table.find(by.hash).map(Entry::id);
        if age.0 > self.session {
            self.meet_namesake(age.0, by.from, now);
            return;
        }
        if age.0 == self.session && age.1 > self.life {
            // Nobody but a mad member can have made that up; yet we must be heard again.
            self.life = age.1;
            self.raise_life(now);
            return;
        }
        if age != (self.session, self.life) {
            self.counters.updates_withheld += 1;
            return;
        }
        match held.state {
            State::Alive => {}
            State::Down => {
                self.counters.updates_withheld += 1;
                if let Some(accuser) = accuser {
                    self.greet(by, &accuser, now);
                }
            }
            State::Suspect if held.incarnation < self.incarnation => {
                self.counters.updates_withheld += 1;
                // Silence here kills live members: the suspicion was refuted, but not to everybody.
                if let Some(accuser) = accuser {
                    self.tell(&accuser, &[], now);
                }
            }
            State::Suspect if held.incarnation >= LAST_INCARNATION => self.raise_life(now),
            State::Suspect => {
                self.counters.refutations += 1;
                self.health.worse();
                self.incarnation = held.incarnation + 1;
                let update = Member::new(self.own_id(), held.incarnation, State::Suspect);
                let directory = self.table.entries_mut();
                let result = self.engine.apply(update, true, directory, &mut self.effects);
                self.count_swim(result);
                // The accuser may be asking us directly, because rumours do not reach it.
                if let Some(accuser) = accuser {
                    self.tell(&accuser, &[], now);
                }
            }
        }
    }

    /// Gives an update to table and foca alike, and shows the user what it changes.
    pub(super) fn apply(
        &mut self,
        id: Id,
        held: Held,
        endpoints: Option<Endpoints>,
        broadcast: bool,
        now: Instant,
    ) {
        let before = self.table.at(id.index).map(|entry| (entry.id(), entry.is_up()));
        if !self.table.apply(&id, held) {
            return;
        }
        self.table.end_carry(id.index);
        if let Some(entry) = self.table.at(id.index) {
            let first_word = before.is_none_or(|(old, _)| old.age() < id.age());
            if let Some(endpoints) = endpoints
                && (first_word || entry.endpoints().is_empty())
            {
                self.table.set_endpoints(id.index, endpoints);
            }
        }
        let update = Member::new(id, held.incarnation, held.state);
        let broadcast = broadcast && self.may_tell_on();
        let directory = self.table.entries_mut();
        let result = self.engine.apply(update, broadcast, directory, &mut self.effects);
        self.count_swim(result);
        let live = self.live();
        let result = self.engine.set_live(live);
        self.count_swim(result);
        self.show(&id, now);
        if held.state == State::Suspect {
            self.heard_suspicion(id, held.incarnation, now);
        } else {
            self.confirmations.settled(id.index);
        }
        let is_up = self.table.at(id.index).is_some_and(Entry::is_up);
        if before.map(|(old, up)| (old.age(), up)) != Some((id.age(), is_up)) {
            self.view_changed(now);
        }
        let was_up = before.is_some_and(|(_, was_up)| was_up);
        if is_up && !was_up {
            self.member_came_up(now);
        }
        if self.table.at(id.index).is_some_and(Entry::is_lost) && !self.schedule.is_set(Only::Heal)
        {
            self.schedule_healing(now);
        }
        match (was_up, is_up, self.table.up()) {
            (false, true, 1) | (true, false, 0) => {
                self.schedule_seeds(now);
            }
            _ => {}
        }
        self.bury_within_bounds(now);
    }

    /// Our probe of `id` went unanswered: foca has marked it Suspect, and so do we.
    pub(super) fn probe_failed(&mut self, id: &Id, now: Instant) {
        self.counters.probes_failed += 1;
        if self.table.exactly(id).and_then(Entry::held).is_none() {
            // Forgotten while it was being probed.
            return;
        }
        let incarnation = self.table.probed_incarnation(id.index);
        let held = Held { incarnation, state: State::Suspect };
        let accused = self.suspected_in(id).is_some() && !self.is_reprobed(id);
        let table = &self.table;
        let could_speak = |relay: &Id| table.exactly(relay).is_some_and(Entry::is_alive);
        if self.confirmations.probe_failed(accused, could_speak) {
            self.health.worse();
        }
        if self.table.apply(id, held) {
            self.show(id, now);
        }
        if self.suspected_in(id).is_none() {
            // It has refuted what we are about to say, or is Down already.
            self.confirmations.settled(id.index);
        }
        self.reprobe(id, now);
    }

    /// Keeps at most max(256, live) tombstones.
    fn bury_within_bounds(&mut self, now: Instant) {
        let allowed = self.most_tombstones();
        // What is not held while we learn the view of another side may come up at any moment.
        let loading = now < self.loading_until;
        let departed = if loading { self.table.gone() } else { self.table.departed() };
        for _ in allowed..departed {
            let Some(id) = self.table.oldest_tombstone() else { return };
            self.forget(&id);
            self.counters.tombstones_forgotten += 1;
        }
    }

    /// Forgets a member that is Down or Left, everywhere.
    fn forget(&mut self, id: &Id) {
        self.forget_in_foca(id);
        if let Some(hash) = self.table.at(id.index).map(Entry::hash) {
            self.table.remove(id.index);
            self.overheard.forget(id.index);
            self.windows.forget(hash);
        }
    }

    pub(super) fn forget_in_foca(&mut self, id: &Id) {
        let (forget, directory) = (foca::Timer::RemoveDown(*id), self.table.entries_mut());
        let result = self.engine.handle_timer(forget, directory, &mut self.effects);
        self.count_swim(result);
    }

    /// Any of the members that are wanted, each with the same chance.
    pub(super) fn random_member(&mut self, wanted: impl Fn(&Entry) -> bool) -> Option<Id> {
        use rand::seq::IteratorRandom;
        // Where many are wanted, one of the first places that come to mind has one.
        for _ in 0..RANDOM_PLACES {
            let place = self.rng.random_range(0..self.table.places());
            if let Some(entry) = self.table.at_place(place).filter(|entry| wanted(entry)) {
                return Some(entry.id());
            }
        }
        self.table.iter().filter(|entry| wanted(entry)).map(Entry::id).choose(&mut self.rng)
    }

    /// Whether `session` is more than ten years ahead of everything that can be right.
    pub(super) fn is_too_far(&self, session: Session) -> bool {
        let limit = self.session.unix_millis().max(YEAR_2025_MILLIS) + TEN_YEARS_MILLIS;
        session.unix_millis() > limit
            && self.table.iter().filter(|entry| entry.is_up()).all(|entry| {
                session.unix_millis() > entry.id().session.unix_millis() + TEN_YEARS_MILLIS
            })
    }

    /// Whether a member may be sent something unasked now; if so, that is remembered.
    pub(super) fn may_nudge(&mut self, id: &Id, now: Instant) -> bool {
        self.table.may_nudge(id.index, NUDGE_PERIOD, now)
    }
}

/// Whether a rumour only says that a member is up, which we hold already, as nearly all do.
fn is_no_news(entry: &Entry, age: (Session, Life), held: Held) -> bool {
    let is_known = |ours: Held| ours.state != State::Down && ours.incarnation >= held.incarnation;
    held.state == State::Alive && entry.id().age() == age && entry.held().is_some_and(is_known)
}

/// What is said of a member: by itself or by others.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) name: &'a NodeName,
    pub(super) hash: NameHash,
    pub(super) age: (Session, Life),
    pub(super) endpoints: Endpoints,
    pub(super) held: Held,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use super::*;
    use crate::{
        Assumed, ClusterName, Command, Config, Cookie, Identity, Input, KeyRing, StretchedCookie,
    };

    fn member(n: u8) -> Assumed {
        Assumed {
            name: NodeName::parse(&format!("n{n}@host")).expect("valid"),
            session: Session::from_u64(7),
            endpoints: Endpoints::one(SocketAddr::from(([10, 0, 0, n], 4747))),
        }
    }

    /// `n1`, which sees `n2` to `n201`.
    fn one_of_many() -> Node {
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        let cluster = ClusterName::default();
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
        let Assumed { name, session, endpoints } = member(1);
        let identity = Identity { name, session, endpoints };
        let mut node = Node::new(Config::new(cluster, keys), identity, [3; 32], Instant::default())
            .expect("valid");
        let others = Command::Assume((2..=201).map(member).collect());
        node.handle_input(Input::Command(others), Instant::default());
        node
    }

    /// `node` is told that somebody is in this state, and to tell it on.
    fn hear(node: &mut Node, who: &Assumed, state: State) {
        let claim = Claim {
            name: &who.name,
            hash: NameHash::of(&who.name),
            age: (who.session, Life(0)),
            endpoints: who.endpoints,
            held: Held { incarnation: 0, state },
        };
        node.take_claim(&claim, true, Instant::default()).expect("there is room");
    }

    #[test]
    fn what_is_kept_of_members_is_bounded_however_many_come_and_go() {
        let mut node = one_of_many();
        for n in 0..3_000_u16 {
            let name = NodeName::parse(&format!("pod{n}@host")).expect("valid");
            let pod = Assumed { name, ..member(0) };
            hear(&mut node, &pod, State::Suspect);
            hear(&mut node, &pod, State::Down);
            let over: Vec<_> = node.fills().filter(Fill::is_over).collect();
            assert!(over.is_empty(), "after {n}: {over:?}");
        }
        let held = |what| node.fills().find(|fill| fill.what == what).expect("it is told of").held;
        assert_eq!((held("members"), held("tombstones")), (200, 256));
        assert!(held("suspicions_overheard") > 0 && held("rumours") > 1_024);
        assert!(node.status().counters.rumours_dropped > 0);
    }

    #[test]
    fn every_member_that_is_wanted_has_the_same_chance_however_few_there_are() {
        const DRAWS: usize = 400;
        let mut node = one_of_many();
        // Of all 200 the first tries find one; of two or of one, mostly the walk over all does.
        for wanted in [1..=200, 70..=71, 5..=5] {
            let places = wanted.clone();
            let is_wanted = move |entry: &Entry| places.contains(&entry.index().place());
            let count = wanted.count();
            let mut drawn = BTreeMap::new();
            for _ in 0..DRAWS * count {
                let id = node.random_member(&is_wanted).expect("there is one");
                *drawn.entry(id.index.place()).or_insert(0_usize) += 1;
            }
            assert_eq!(drawn.len(), count, "{drawn:?}");
            // Six standard deviations of a binomial distribution.
            let off = |times: &usize| times.abs_diff(DRAWS) > 120;
            assert!(!drawn.values().any(off), "{drawn:?}");
        }
        assert_eq!(node.random_member(|_| false), None);
    }
}
