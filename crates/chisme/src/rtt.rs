//! The round trips that the node's task measures and every [`Member`](crate::Member) can be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chisme_proto::Session;

/// Of members that are up, the last known round trip. All clones are one.
#[derive(Clone, Default)]
pub(crate) struct RoundTrips(Arc<Mutex<BTreeMap<Session, Duration>>>);

impl RoundTrips {
    pub(crate) fn set(&self, member: Session, rtt: Duration) {
        self.known().insert(member, rtt);
    }

    pub(crate) fn of(&self, member: Session) -> Option<Duration> {
        self.known().get(&member).copied()
    }

    /// Forgets all but these.
    pub(crate) fn keep_only(&self, members: &BTreeSet<Session>) {
        self.known().retain(|member, _| members.contains(member));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Session, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two members are the same whatever was measured meanwhile.
impl PartialEq for RoundTrips {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RoundTrips {}

impl fmt::Debug for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} known", self.known().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_is_forgotten() {
        let rtts = RoundTrips::default();
        let [a, b] = [1, 2].map(Session::from_u64);
        rtts.set(a, Duration::from_millis(3));
        rtts.set(b, Duration::from_millis(5));
        rtts.keep_only(&BTreeSet::from([b]));
        assert_eq!((rtts.of(a), rtts.of(b)), (None, Some(Duration::from_millis(5))));
    }
}
