//! The timers of a node, in one ordered queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sync_pages::Postponed;
use crate::identity::NameHash;
use crate::swim::{Id, Incarnation, Index};
use crate::wire::Nonce;
use crate::{Instant, RequestId, Session};

/// A timeout that comes later than this means that the process was stopped, not busy.
const STALL: Duration = Duration::from_millis(500);

/// What a node wanted to be reminded of.
#[derive(Debug)]
pub(super) enum Timer {
    /// foca's own; void if another foca runs by now.
    Swim {
        generation: u32,
        timer: foca::Timer<Id>,
    },
    /// foca's gossip.
    Gossip,
    /// A suspicion that our failed probe began has lasted long enough.
    Conclude {
        id: Id,
        incarnation: Incarnation,
        since: Instant,
    },
    /// Somebody else suspects a member, and nothing came of it.
    Overhear {
        id: Id,
        incarnation: Incarnation,
    },
    /// A relay did not reach whom it was to probe.
    Nack {
        origin: Id,
        target: Id,
        number: foca::ProbeNumber,
    },
    /// The Ping of the present probe is still unanswered.
    Retransmit,
    /// A member that failed our probe is asked again.
    Reprobe(Index),
    /// A member whose host turned a datagram away is asked again.
    Inquiry(Session),
    Attempt {
        nonce: Nonce,
        turn: u32,
    },
    Dispute(NameHash),
    Seeds,
    Heal,
    Sync,
    /// A member in the middle of an exchange had to wait.
    Serve(Box<Postponed>),
    EndCarry,
    Farewell,
    Ping(RequestId),
    Records,
}

/// Timers by moment, and by order of setting where moments are equal.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: BTreeMap<(Instant, u64), Timer>,
    set: u64,
}

impl Schedule {
    pub(super) fn add(&mut self, at: Instant, timer: Timer) {
        self.set += 1;
        self.queue.insert((at, self.set), timer);
    }

    /// Sets a timer of which there is only one: the one set before it is void.
    pub(super) fn replace(&mut self, at: Instant, timer: Timer) {
        let kind = std::mem::discriminant(&timer);
        self.queue.retain(|_, old| std::mem::discriminant(old) != kind);
        self.add(at, timer);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let first = self.queue.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        Some(first.remove())
    }

    /// If the first timer is later than a busy process explains, moves all of them by as much.
    pub(super) fn shift_if_late(&mut self, now: Instant) -> Option<Duration> {
        let late = now.saturating_since(self.next()?);
        if late <= STALL {
            return None;
        }
        let queue = std::mem::take(&mut self.queue);
        self.queue = queue.into_iter().map(|((at, n), timer)| ((at + late, n), timer)).collect();
        Some(late)
    }

    #[cfg(test)]
    pub(super) fn timers(&self) -> impl Iterator<Item = &Timer> {
        self.queue.values()
    }

    pub(super) fn has_healing(&self) -> bool {
        self.queue.values().any(|timer| matches!(timer, Timer::Heal))
    }

    /// Lets all suspicions begin anew, to last so long, and says whose they are.
    pub(super) fn restart_conclusions(&mut self, now: Instant, lasts: Duration) -> Vec<Id> {
        let is_end = |timer: &Timer| matches!(timer, Timer::Conclude { .. });
        let at: Vec<(Instant, u64)> =
            self.queue.iter().filter(|(_, timer)| is_end(timer)).map(|(&at, _)| at).collect();
        let mut suspects = Vec::new();
        for at in at {
            if let Some(Timer::Conclude { id, incarnation, .. }) = self.queue.remove(&at) {
                suspects.push(id);
                self.add(now + lasts, Timer::Conclude { id, incarnation, since: now });
            }
        }
        suspects
    }

    /// Drops the ends of suspicions: what they were about is not held any more.
    pub(super) fn forget_conclusions(&mut self) {
        self.queue.retain(|_, timer| !matches!(timer, Timer::Conclude { .. }));
    }

    /// The present probe is answered: an agent at rest does not wake up for it again.
    pub(super) fn forget_retransmission(&mut self) {
        self.queue.retain(|_, timer| !matches!(timer, Timer::Retransmit));
    }

    /// Takes out the timer of foca's by which relays would be asked to probe `member`.
    pub(super) fn take_indirect_stage(&mut self, member: &Id) -> Option<foca::Timer<Id>> {
        let is_it = |timer: &foca::Timer<Id>| matches!(timer, foca::Timer::SendIndirectProbe { probed_id, .. } if probed_id == member);
        let at = self.queue.iter().find_map(|(&at, timer)| match timer {
            Timer::Swim { timer, .. } if is_it(timer) => Some(at),
            _ => None,
        })?;
        match self.queue.remove(&at) {
            Some(Timer::Swim { timer, .. }) => Some(timer),
            _ => None,
        }
    }

    /// Drops the questions to suspects: nobody is asked any more.
    pub(super) fn forget_reprobes(&mut self) {
        self.queue.retain(|_, timer| !matches!(timer, Timer::Reprobe(_)));
    }

    /// Drops foca's timers of runs before `generation`.
    pub(super) fn forget_swim_before(&mut self, generation: u32) {
        self.queue.retain(
            |_, timer| !matches!(timer, Timer::Swim { generation: of, .. } if *of < generation),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_late_timeout_moves_everything_and_fires_nothing_early() {
        let mut schedule = Schedule::default();
        schedule.add(at(1_000), Timer::Heal);
        schedule.add(at(1_500), Timer::Seeds);
        assert_eq!(schedule.shift_if_late(at(1_500)), None);
        assert_eq!(schedule.shift_if_late(at(5_000)), Some(Duration::from_secs(4)));
        assert!(matches!(schedule.pop_due(at(5_000)), Some(Timer::Heal)));
        assert!(schedule.pop_due(at(5_499)).is_none());
        assert!(matches!(schedule.pop_due(at(5_500)), Some(Timer::Seeds)));
    }
}
