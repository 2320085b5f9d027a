//! One member in the table, in 24 bytes.

use std::sync::Arc;

use foca::State;

use super::Held;
use crate::identity::NameHash;
use crate::roster::Run;
use crate::swim::{Id, Incarnation, Index};
use crate::{Endpoints, Instant, Life, MemberState, NodeName, Session};

/// A member, under the newest session and life that we have accepted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    run: Arc<Run>,
    /// Of what the user is shown.
    since: Instant,
    index: Index,
    incarnation: Incarnation,
    marks: Marks,
}

const _: () = assert!(size_of::<Option<Entry>>() <= 24, "nodes times members are many");

/// What foca holds (two bits: nothing, alive, suspect, down), what the user was shown last (three
/// bits: nothing, alive, suspect, down, left), and whether the member is carried (one bit): we
/// went over to another side while it was up, so it stays shown, and is not believed, for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks(u8);

impl Marks {
    const HELD: u8 = 0b11;
    const SHOWN: u8 = 0b111 << 2;
    const CARRIED: u8 = 1 << 5;

    const fn held(self) -> Option<State> {
        match self.0 & Self::HELD {
            0 => None,
            1 => Some(State::Alive),
            2 => Some(State::Suspect),
            _ => Some(State::Down),
        }
    }

    fn set_held(&mut self, state: Option<State>) {
        let bits = match state {
            None => 0,
            Some(State::Alive) => 1,
            Some(State::Suspect) => 2,
            Some(State::Down) => 3,
        };
        self.0 = self.0 & !Self::HELD | bits;
    }

    const fn shown(self) -> Option<MemberState> {
        match (self.0 & Self::SHOWN) >> 2 {
            1 => Some(MemberState::Alive),
            2 => Some(MemberState::Suspect),
            3 => Some(MemberState::Down),
            4 => Some(MemberState::Left),
            _ => None,
        }
    }

    fn set_shown(&mut self, state: MemberState) {
        let bits = match state {
            MemberState::Alive => 1,
            MemberState::Suspect => 2,
            MemberState::Down => 3,
            MemberState::Left => 4,
        };
        self.0 = self.0 & !Self::SHOWN | bits << 2;
    }
}

impl Entry {
    pub(super) fn new(run: Arc<Run>, index: Index) -> Self {
        Self { run, since: Instant::default(), index, incarnation: 0, marks: Marks::default() }
    }

    pub(crate) fn id(&self) -> Id {
        Id::new((self.run.session, self.run.life), self.index)
    }

    pub(crate) const fn index(&self) -> Index {
        self.index
    }

    pub(crate) fn name(&self) -> &NodeName {
        &self.run.name
    }

    pub(crate) fn hash(&self) -> NameHash {
        self.run.hash
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        self.run.endpoints
    }

    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// Gives back the run that was there.
    pub(super) fn replace_run(&mut self, run: Arc<Run>) -> Arc<Run> {
        std::mem::replace(&mut self.run, run)
    }

    /// None while foca does not know it: since we yielded, or before anything was applied.
    pub(crate) fn held(&self) -> Option<Held> {
        let state = self.marks.held()?;
        Some(Held { incarnation: self.incarnation, state })
    }

    /// The first life of which something said is news. Where nothing is held, a life that was held Down
    /// once may have been made up.
    pub(crate) fn believable(&self) -> (Session, Life) {
        let (session, life) = self.id().age();
        let known = self.held().is_some() || self.is_carried();
        (session, if known { life } else { Life::default() })
    }

    pub(super) fn hold(&mut self, held: Option<Held>) {
        self.marks.set_held(held.map(|held| held.state));
        self.incarnation = held.map_or(0, |held| held.incarnation);
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.marks.held(), Some(State::Alive | State::Suspect))
    }

    /// Up, and not suspected.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.marks.held(), Some(State::Alive))
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.marks.held(), Some(State::Down))
    }

    /// Held Down, and not because it left.
    pub(crate) fn is_down(&self) -> bool {
        self.held().is_some_and(|held| held.member_state() == MemberState::Down)
    }

    /// Left, by what foca holds, or by what it held before we went over to another side.
    pub(crate) fn has_left(&self) -> bool {
        let held = self.held().map(Held::member_state);
        held.or(self.marks.shown()) == Some(MemberState::Left)
    }

    /// Whether it is shown, and not believed, because we went over to another side while it was up.
    pub(crate) const fn is_carried(&self) -> bool {
        self.marks.0 & Marks::CARRIED != 0
    }

    pub(super) const fn carry(&mut self, carried: bool) {
        self.marks.0 &= !Marks::CARRIED;
        if carried {
            self.marks.0 |= Marks::CARRIED;
        }
    }

    /// We let go of what we held of it: when we went over to another side, or took back our Downs.
    pub(crate) fn is_unheld(&self) -> bool {
        self.marks.held().is_none() && !self.is_carried()
    }

    /// Remembered only: neither up nor about to come over to the side that we went over to.
    pub(crate) fn is_departed(&self) -> bool {
        !self.is_up() && !self.is_carried()
    }

    /// Down, or unknown to the side that we went over to: worth a try.
    pub(crate) fn is_lost(&self) -> bool {
        match self.held() {
            Some(_) => self.is_down(),
            // What was never shown may have been Left: pages tell of such ones.
            None => !self.is_carried() && self.shown_state().is_some() && !self.has_left(),
        }
    }

    /// How the user was shown it last; none if never up.
    pub(crate) const fn shown_state(&self) -> Option<MemberState> {
        self.marks.shown()
    }

    pub(crate) fn is_shown_up(&self) -> bool {
        self.marks.shown().is_some_and(MemberState::is_up)
    }

    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn show(&mut self, state: MemberState, since: Instant) {
        self.marks.set_shown(state);
        self.since = since;
    }
}
