//! Conditions with a deadline. Nothing here waits for a fixed time to pass in the hope that it was enough.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A duration in seconds: `secs(12)`.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until `condition` holds and says how long that took.
///
/// # Panics
/// With `what` when it does not hold within `deadline`.
#[track_caller]
pub(crate) fn until(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> bool,
) -> Duration {
    let started = Instant::now();
    until_some(what, deadline, || condition().then_some(()));
    started.elapsed()
}

/// Waits until `look` finds something.
///
/// # Panics
/// With `what` when nothing is found within `deadline`.
#[track_caller]
pub(crate) fn until_some<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "after {deadline:?} still waiting until {what}");
        thread::park_timeout(LOOK_EVERY);
    }
}

/// Checks that `invariant` holds whenever it is looked at, for `span`: for what must *not* happen.
///
/// # Panics
/// With `what` as soon as it does not hold.
#[track_caller]
pub(crate) fn whenever_until(what: &str, span: Duration, mut invariant: impl FnMut() -> bool) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert!(invariant(), "it should hold that {what}");
        thread::park_timeout(LOOK_EVERY);
    }
}
