//! Replay windows: which datagrams of a sender have been seen (after RFC 4303, §3.4.3).
//!
//! One window per name and session, opened at first contact, for the present session of a name and
//! the one that it replaces. Nothing here knows keys or sockets.

mod window;

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::Sequence;
use crate::identity::NameHash;
use crate::keyring::TAG_LEN;
use crate::order::{Order, make_room};
use crate::{Fill, Session};

use window::Window;

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
    order: Order,
    senders: Vec<Option<Sender>>,
    free: Vec<u32>,
    /// Names that were forgotten: sessions up to this one have to prove themselves.
    marks: BTreeMap<NameHash, Session>,
    /// Stands for marks that there was no room for.
    floor: Option<Session>,
    live: u32,
    most_live: u32,
}

/// The windows of one name. What is looked up for every datagram lies in one line of a cache.
#[derive(Debug)]
#[repr(align(64))]
struct Sender {
    name: NameHash,
    newest: (Session, Window),
    /// The one that it replaces.
    older: Option<Box<(Session, Window)>>,
}

const _: () =
    assert!(size_of::<Option<Sender>>() == 64, "one for each pair of nodes that ever met");

impl Sender {
    fn window(&mut self, session: Session) -> Option<&mut Window> {
        if self.newest.0 == session {
            return Some(&mut self.newest.1);
        }
        self.older.as_deref_mut().filter(|older| older.0 == session).map(|older| &mut older.1)
    }

    /// Of three the oldest goes. Its recordings stay refused: a newer session is known.
    fn open(&mut self, session: Session, window: Window) {
        let window = (session, window);
        if session > self.newest.0 {
            let older = std::mem::replace(&mut self.newest, window);
            self.older = Some(Box::new(older));
        } else {
            self.older = Some(Box::new(window));
        }
    }
}

impl Windows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Room is for four times the members that are up, at least 1,024 names.
    pub(crate) fn set_live(&mut self, live: usize) {
        self.live = u32::try_from(live).unwrap_or(u32::MAX);
        self.most_live = self.most_live.max(self.live);
    }

    fn max_names(&self) -> usize {
        names_for(self.live)
    }

    /// Windows of more members than there are now may be left, and marks likewise: what is there is not given
    /// up because others have gone.
    pub(crate) fn fills(&self) -> [Fill; 2] {
        let most = names_for(self.most_live);
        [
            Fill::new("replay_windows", self.len(), most),
            Fill::new("replay_marks", self.marks.len(), most),
        ]
    }

    fn find(&self, name: NameHash) -> Option<u32> {
        self.order.find(name, |place| name_at(&self.senders, place))
    }

    fn sender(&self, name: NameHash) -> Option<&Sender> {
        self.senders[self.find(name)? as usize].as_ref()
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
        let place = self.find(name);
        let sender = place.and_then(|place| self.senders[place as usize].as_mut());
        if let Some(window) = sender.and_then(|sender| sender.window(session)) {
            return window.accept(sequence);
        }
        let mark = self.marks.get(&name).copied();
        // The floor holds for names without a window; they may be among those forgotten.
        let floor = self.floor.filter(|_| place.is_none());
        let newest = self.newest(name).max(mark).max(floor);
        if !proven && newest.is_some_and(|newest| session <= newest) {
            return Verdict::OlderSession;
        }
        if place.is_none() && self.order.len() >= self.max_names() {
            return Verdict::OverLimit;
        }
        let mut window = Window::default();
        let verdict = window.accept(sequence);
        match place.and_then(|place| self.senders[place as usize].as_mut()) {
            Some(sender) => sender.open(session, window),
            None => self.insert(Sender { name, newest: (session, window), older: None }),
        }
        verdict
    }

    fn insert(&mut self, sender: Sender) {
        let name = sender.name;
        let place = self.free.pop().unwrap_or_else(|| {
            make_room(&mut self.senders);
            self.senders.push(None);
            u32::try_from(self.senders.len() - 1).expect("names are bounded")
        });
        self.senders[place as usize] = Some(sender);
        self.order.insert(name, place, |place| name_at(&self.senders, place));
    }

    /// The newest session of a name that a window was opened for, or that was forgotten.
    pub(crate) fn newest(&self, name: NameHash) -> Option<Session> {
        let open = self.sender(name).map(|sender| sender.newest.0);
        open.max(self.marks.get(&name).copied())
    }

    /// Gives up the windows of a name; what was recorded of its sessions stays refused.
    pub(crate) fn forget(&mut self, name: NameHash) {
        let place = self.order.remove(name, |place| name_at(&self.senders, place));
        let Some(place) = place else { return };
        self.free.push(place);
        let Some(sender) = self.senders[place as usize].take() else { return };
        self.marks.insert(name, sender.newest.0);
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
        let names = self.order.iter().map(|place| name_at(&self.senders, place));
        let unwanted: Vec<NameHash> = names.filter(|&name| !wanted(name)).collect();
        for name in unwanted {
            self.forget(name);
        }
    }

    /// Names with a window.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

/// For how many names there is room while so many members are up.
fn names_for(live: u32) -> usize {
    MIN_NAMES.max(4 * live as usize)
}

/// The name of a place that the order knows.
fn name_at(senders: &[Option<Sender>], place: u32) -> NameHash {
    let sender = senders.get(place as usize).and_then(Option::as_ref);
    sender.expect("what is in the order has a window").name
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

    pub(crate) fn fill(&self) -> Fill {
        Fill::new("hello_tags", self.young.len() + self.old.len(), 2 * Self::GENERATION)
    }

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

    use super::window::WINDOW_BITS;
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
