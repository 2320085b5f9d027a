//! Runs of members: name, session, life and endpoints, held once for all who know them.
//!
//! It knows nothing of what anybody thinks of a member.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::identity::NameHash;
use crate::names::Names;
use crate::wire::encode;
use crate::{Endpoints, Life, NodeName, Session};

/// The fewest runs after which a roster looks for those that nobody knows any more.
const FIRST_SWEEP: usize = 1_024;

/// A member under one session and life, where it said that it can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: NodeName,
    pub(crate) hash: NameHash,
    pub(crate) session: Session,
    pub(crate) life: Life,
    pub(crate) endpoints: Endpoints,
    /// Name and endpoints as they stand in an update.
    pub(crate) encoded: Box<[u8]>,
}

impl Run {
    pub(crate) fn new(
        name: NodeName,
        (session, life): (Session, Life),
        endpoints: Endpoints,
    ) -> Self {
        let mut encoded = Vec::new();
        encode(&name, &mut encoded);
        encode(&endpoints, &mut encoded);
        let hash = NameHash::of(&name);
        Self { name, hash, session, life, endpoints, encoded: encoded.into() }
    }
}

/// Where the nodes of one process keep what each of them would otherwise have a copy of: the names
/// and endpoints of the members that they know.
///
/// A node behaves the same with one of its own, with a shared one and with none. Sharing pays where
/// thousands of nodes of one cluster run in one process, as in a simulation: see
/// [`Config::roster`](crate::Config::roster). Clones are the same roster. It holds at most twice as
/// many runs as the nodes know, and 1,024, and 4,096 names that they heard of late.
#[derive(Clone, Default)]
pub struct Roster {
    known: Arc<Mutex<Known>>,
    names: Names,
}

#[derive(Default)]
struct Known {
    runs: BTreeMap<(NameHash, Session, Life), Weak<Run>>,
    /// How many were left by the last sweep.
    swept: usize,
}

impl Roster {
    /// The names that any of these nodes has heard of late.
    pub(crate) fn names(&self) -> Names {
        self.names.clone()
    }

    /// The run of a member, made if nobody knows it yet.
    pub(crate) fn run(
        &self,
        name: NodeName,
        age: (Session, Life),
        endpoints: Endpoints,
    ) -> Arc<Run> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = known.runs.entry((NameHash::of(&name), age.0, age.1)).or_default();
        let like = |held: &Arc<Run>| held.endpoints == endpoints && held.name == name;
        if let Some(held) = slot.upgrade().filter(like) {
            return held;
        }
        let run = Arc::new(Run::new(name, age, endpoints));
        *slot = Arc::downgrade(&run);
        known.sweep();
        run
    }
}

impl Known {
    /// Drops what nobody knows any more, whenever as many again have come.
    fn sweep(&mut self) {
        if self.runs.len() >= (2 * self.swept).max(FIRST_SWEEP) {
            self.runs.retain(|_, run| run.strong_count() > 0);
            self.swept = self.runs.len();
        }
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roster(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(roster: &Roster, n: usize, session: u64, addr: &str) -> Arc<Run> {
        let name = NodeName::parse(&format!("n{n}@host")).expect("valid");
        let endpoints = Endpoints::one(addr.parse().expect("valid"));
        let run = roster.run(name.clone(), (Session::from_u64(session), Life(0)), endpoints);
        assert_eq!((&run.name, run.session.to_u64(), run.endpoints), (&name, session, endpoints));
        run
    }

    #[test]
    fn what_is_alike_is_held_once_and_what_differs_is_not() {
        let roster = Roster::default();
        let first = run(&roster, 1, 5, "10.0.0.1:1");
        assert!(Arc::ptr_eq(&first, &run(&roster, 1, 5, "10.0.0.1:1")));
        for (n, session, addr) in [(1, 6, "10.0.0.1:1"), (2, 5, "10.0.0.1:1"), (1, 5, "10.0.0.1:2")]
        {
            assert!(!Arc::ptr_eq(&first, &run(&roster, n, session, addr)));
        }
    }

    #[test]
    fn what_nobody_knows_any_more_is_dropped() {
        let roster = Roster::default();
        let kept: Vec<_> = (0..10).map(|n| run(&roster, n, 1, "10.0.0.1:1")).collect();
        for session in 2..10_000 {
            run(&roster, 1, session, "10.0.0.1:1");
        }
        assert!(roster.known.lock().expect("whole").runs.len() <= FIRST_SWEEP);
        assert!(Arc::ptr_eq(&kept[3], &run(&roster, 3, 1, "10.0.0.1:1")));
    }
}
