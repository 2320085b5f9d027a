//! Replay windows: which datagrams of a sender have been seen (after RFC 4303, §3.4.3).
//!
//! One window per name and session, opened at first contact. Nothing here knows keys or sockets.

use std::collections::{BTreeMap, BTreeSet};

use crate::Session;
use crate::envelope::Sequence;
use crate::identity::NameHash;
use crate::keyring::TAG_LEN;

/// A datagram may be overtaken by this many others of its sender and still be taken.
const WINDOW_BITS: u64 = 1_024;

/// Sessions of one name that are followed at one time: the present one, and one that it replaces.
const SESSIONS_PER_NAME: usize = 2;

/// The fewest names that have room, however small the cluster.
const MIN_NAMES: usize = 1_024;

/// What a window says of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fresh,
    /// Seen before, or too old to tell.
    Replayed,
    /// Of a session that is over, or that first has to prove itself by a handshake.
    OlderSession,
    /// Of a name that there is no room for.
    OverLimit,
}

/// The windows of all senders.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    names: BTreeMap<NameHash, BTreeMap<Session, Window>>,
    /// Names that were forgotten: sessions up to this one have to prove themselves.
    marks: BTreeMap<NameHash, Session>,
    /// Stands for marks that there was no room for.
    floor: Option<Session>,
    live: usize,
}

impl Windows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Room is for four times the members that are up, at least 1,024 names.
    pub(crate) const fn set_live(&mut self, live: usize) {
        self.live = live;
    }

    fn max_names(&self) -> usize {
        MIN_NAMES.max(4 * self.live)
    }

    /// Notes a datagram. `proven` says that it echoes a nonce or challenge of ours, and so cannot
    /// be a recording: then any session may open a window.
    pub(crate) fn accept(
        &mut self,
        name: NameHash,
        session: Session,
        sequence: Sequence,
        proven: bool,
    ) -> Verdict {
        if let Some(window) = self.names.get_mut(&name).and_then(|all| all.get_mut(&session)) {
            return window.accept(sequence);
        }
        let mark = self.marks.get(&name).copied().max(self.floor_for(name));
        let newest = self.newest(name).max(mark);
        if !proven && newest.is_some_and(|newest| session <= newest) {
            return Verdict::OlderSession;
        }
        if !self.names.contains_key(&name) && self.names.len() >= self.max_names() {
            return Verdict::OverLimit;
        }
        let sessions = self.names.entry(name).or_default();
        if sessions.len() >= SESSIONS_PER_NAME {
            // Its recordings stay refused: a newer session of the name is known.
            sessions.pop_first();
        }
        let mut window = Window::default();
        let verdict = window.accept(sequence);
        sessions.insert(session, window);
        verdict
    }

    /// The floor holds for names without a window; they may be among those forgotten.
    fn floor_for(&self, name: NameHash) -> Option<Session> {
        self.floor.filter(|_| !self.names.contains_key(&name))
    }

    /// The newest session of a name that a window was opened for, or that was forgotten.
    pub(crate) fn newest(&self, name: NameHash) -> Option<Session> {
        let open = self.names.get(&name).and_then(|all| all.last_key_value());
        open.map(|(&session, _)| session).max(self.marks.get(&name).copied())
    }

    /// Gives up the windows of a name; what was recorded of its sessions stays refused.
    pub(crate) fn forget(&mut self, name: NameHash) {
        let Some((newest, _)) = self.names.remove(&name).and_then(|mut all| all.pop_last()) else {
            return;
        };
        self.marks.insert(name, newest);
        if self.marks.len() > self.max_names() {
            // The lowest mark goes: the floor that takes its place then turns away the fewest.
            let lowest = self.marks.iter().min_by_key(|&(_, &session)| session);
            if let Some((&name, &session)) = lowest {
                self.marks.remove(&name);
                self.floor = self.floor.max(Some(session));
            }
        }
    }

    /// Gives up the windows of all names but these.
    pub(crate) fn keep_only(&mut self, wanted: impl Fn(NameHash) -> bool) {
        let unwanted: Vec<NameHash> =
            self.names.keys().copied().filter(|&name| !wanted(name)).collect();
        for name in unwanted {
            self.forget(name);
        }
    }

    /// Names with a window.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

/// The sequence numbers seen of one session: the highest, and a bit for each below it.
#[derive(Debug, Default)]
struct Window {
    highest: u64,
    /// The bit of a number is at its remainder.
    seen: Box<[u64; (WINDOW_BITS / 64) as usize]>,
}

impl Window {
    fn accept(&mut self, Sequence(number): Sequence) -> Verdict {
        if number == 0 || self.highest.saturating_sub(number) >= WINDOW_BITS {
            return Verdict::Replayed;
        }
        if number > self.highest {
            self.advance(number);
        }
        let (word, bit) = Self::place(number);
        if self.seen[word] & bit != 0 {
            return Verdict::Replayed;
        }
        self.seen[word] |= bit;
        Verdict::Fresh
    }

    /// Clears the places of the numbers that come into the window.
    fn advance(&mut self, number: u64) {
        if number - self.highest >= WINDOW_BITS {
            self.seen.fill(0);
        } else {
            for passed in self.highest + 1..=number {
                let (word, bit) = Self::place(passed);
                self.seen[word] &= !bit;
            }
        }
        self.highest = number;
    }

    const fn place(number: u64) -> (usize, u64) {
        let at = number % WINDOW_BITS;
        ((at / 64) as usize, 1 << (at % 64))
    }
}

/// The tags of the Hellos of late: a repeated one is a recording. Two generations of at most
/// [`Self::GENERATION`] are kept, so the last 1,024 at least are recognised.
#[derive(Debug, Default)]
pub(crate) struct RecentTags {
    young: BTreeSet<[u8; TAG_LEN]>,
    old: BTreeSet<[u8; TAG_LEN]>,
}

impl RecentTags {
    const GENERATION: usize = 1_024;

    /// Notes a tag; false if it is known already.
    pub(crate) fn insert(&mut self, tag: [u8; TAG_LEN]) -> bool {
        if self.old.contains(&tag) || !self.young.insert(tag) {
            return false;
        }
        if self.young.len() >= Self::GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, prop, proptest};

    use super::*;
    use crate::NodeName;

    fn name(n: usize) -> NameHash {
        NameHash::of(&NodeName::parse(&format!("n{n}@host")).expect("valid"))
    }

    const fn session(n: u64) -> Session {
        Session::from_u64(n)
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice_and_nothing_within_the_window_is_lost(
            steps in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..400)
        ) {
            let mut windows = Windows::new();
            let mut model = BTreeSet::new();
            let mut highest = 0;
            for (number, proven) in steps {
                let verdict = windows.accept(name(1), session(1), Sequence(number), proven);
                let known = number == 0 || number + WINDOW_BITS <= highest;
                let expected = !known && model.insert(number);
                highest = highest.max(number);
                assert_eq!(verdict == Verdict::Fresh, expected, "{number}");
            }
        }
    }

    #[test]
    fn a_first_datagram_must_be_of_the_newest_session_or_prove_itself() {
        let mut windows = Windows::new();
        let mut accept = |s, n, proven| windows.accept(name(1), session(s), Sequence(n), proven);
        assert_eq!(accept(5, 1, false), Verdict::Fresh);
        assert_eq!(accept(4, 1, false), Verdict::OlderSession);
        assert_eq!(accept(4, 1, true), Verdict::Fresh);
        assert_eq!(accept(4, 1, true), Verdict::Replayed, "proven or not");
        assert_eq!(accept(6, 1, false), Verdict::Fresh, "pushes out session 4");
        assert_eq!(accept(4, 2, false), Verdict::OlderSession);
        assert_eq!(accept(5, 2, false), Verdict::Fresh);
    }

    #[test]
    fn a_forgotten_session_stays_refused_even_without_its_mark() {
        let mut windows = Windows::new();
        let many = 3 * MIN_NAMES;
        for n in 0..many {
            windows.accept(name(n), session(10 + n as u64), Sequence(1), false);
            windows.forget(name(n));
        }
        assert_eq!((windows.len(), windows.marks.len()), (0, MIN_NAMES));
        for n in 0..many {
            let replay = windows.accept(name(n), session(10 + n as u64), Sequence(1), false);
            assert_eq!(replay, Verdict::OlderSession, "{n}");
        }
        let newcomer = name(many);
        assert_eq!(windows.accept(newcomer, session(9), Sequence(1), true), Verdict::Fresh);
    }

    #[test]
    fn the_last_numbers_there_are_do_no_harm() {
        let mut windows = Windows::new();
        let mut accept = |n| windows.accept(name(1), session(1), Sequence(n), false);
        assert_eq!(accept(u64::MAX), Verdict::Fresh);
        assert_eq!(accept(u64::MAX), Verdict::Replayed);
        assert_eq!(accept(u64::MAX - 1), Verdict::Fresh);
        assert_eq!(accept(1), Verdict::Replayed);
    }

    #[test]
    fn newcomers_are_refused_when_there_is_no_room() {
        let mut windows = Windows::new();
        for n in 0..MIN_NAMES {
            windows.accept(name(n), session(1), Sequence(1), false);
        }
        let late =
            |windows: &mut Windows| windows.accept(name(MIN_NAMES), session(1), Sequence(1), true);
        assert_eq!(late(&mut windows), Verdict::OverLimit);
        windows.set_live(MIN_NAMES);
        assert_eq!(late(&mut windows), Verdict::Fresh);
    }

    #[test]
    fn a_repeated_hello_is_recognised_among_a_thousand() {
        let mut tags = RecentTags::default();
        let tag = |n: u64| (u128::from(n) << 7).to_be_bytes();
        for n in 0..100_000 {
            assert!(tags.insert(tag(n)));
            assert!(!tags.insert(tag(n.saturating_sub(1_000))));
        }
        assert!(tags.young.len() + tags.old.len() <= 2 * RecentTags::GENERATION);
    }
}
