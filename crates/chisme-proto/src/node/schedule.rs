//! The timers of a node, in one ordered queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::contact::MAX_ATTEMPTS;
use super::sync_pages::Postponed;
use crate::identity::NameHash;
use crate::swim::{Id, Incarnation, Index};
use crate::wire::Nonce;
use crate::{Fill, Instant, RequestId, Session};

/// A timeout that comes later than this means that the process was stopped, not busy.
const STALL: Duration = Duration::from_millis(500);

/// Who sets timers has limits of its own, from which it follows how many there can be: for each attempt one
/// and one that is void, so many of the rest, and so many for each place of the member table, which
/// are for ends of suspicions, mostly.
const MAX_OTHERS: usize = 1_024;
const MAX_PER_PLACE: usize = 8;

/// What a node wanted to be reminded of.
#[derive(Debug)]
pub(super) enum Timer {
    Only(Only),
    /// foca's own; void if another foca runs by now.
    Swim {
        generation: u32,
        timer: foca::Timer<Id>,
    },
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
    /// A member that failed our probe is asked again.
    Reprobe(Index),
    /// A member whose host turned a datagram away is asked again.
    Inquiry(Session),
    Attempt {
        nonce: Nonce,
        turn: u32,
    },
    Dispute(NameHash),
    /// A member in the middle of an exchange had to wait.
    Serve(Box<Postponed>),
    EndCarry,
    Farewell,
    Ping(RequestId),
}

/// Timers of which there is only one: if it is set again, what was set before is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// foca's gossip.
    Gossip,
    /// The Ping of the present probe is still unanswered.
    Retransmit,
    Seeds,
    Heal,
    Sync,
    Records,
}

impl Only {
    const ALL: [Self; 6] =
        [Self::Gossip, Self::Retransmit, Self::Seeds, Self::Heal, Self::Sync, Self::Records];
}

/// When a timer is due; by order of setting where moments are equal.
type Due = (Instant, u64);

/// The timers by the moment when they are due. A node at rest has hardly any in the queue.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// The first of `only`.
    first: Option<(Due, Only)>,
    only: [Option<Due>; Only::ALL.len()],
    queue: BTreeMap<Due, Timer>,
    set: u64,
}

impl Schedule {
    /// Where the member table has so many places. Those of which there is only one are not counted.
    pub(super) fn fill(&self, places: usize) -> Fill {
        let most = 2 * MAX_ATTEMPTS + MAX_OTHERS + MAX_PER_PLACE * places;
        Fill::new("timers", self.queue.len(), most)
    }

    pub(super) fn add(&mut self, at: Instant, timer: Timer) {
        self.set += 1;
        self.queue.insert((at, self.set), timer);
    }

    pub(super) fn set(&mut self, only: Only, at: Instant) {
        self.set += 1;
        self.put(only, Some((at, self.set)));
    }

    pub(super) fn clear(&mut self, only: Only) {
        self.put(only, None);
    }

    fn put(&mut self, only: Only, due: Option<Due>) {
        self.only[only as usize] = due;
        let stays = |(first, of): (Due, Only)| of != only && due.is_none_or(|due| first < due);
        if !self.first.is_some_and(stays) {
            let all = self.only.iter().zip(Only::ALL);
            let set = all.filter_map(|(due, only)| Some(((*due)?, only)));
            self.first = set.min_by_key(|(due, _)| *due);
        }
    }

    pub(super) fn is_set(&self, only: Only) -> bool {
        self.only[only as usize].is_some()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let only = self.first.map(|(due, _)| due);
        let queued = self.queue.first_key_value().map(|(&due, _)| due);
        only.into_iter().chain(queued).min().map(|(at, _)| at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let only = self.first.filter(|((at, _), _)| *at <= now);
        let queued = self.queue.first_entry().filter(|first| first.key().0 <= now);
        match (only, queued) {
            (Some((due, only)), queued)
                if queued.as_ref().is_none_or(|first| due < *first.key()) =>
            {
                self.clear(only);
                Some(Timer::Only(only))
            }
            (_, queued) => queued.map(|first| first.remove()),
        }
    }

    /// If the first timer is later than a busy process explains, moves all of them by as much.
    pub(super) fn shift_if_late(&mut self, now: Instant) -> Option<Duration> {
        let late = now.saturating_since(self.next()?);
        if late <= STALL {
            return None;
        }
        let first = self.first.iter_mut().map(|(due, _)| due);
        for (at, _) in self.only.iter_mut().flatten().chain(first) {
            *at = *at + late;
        }
        let queue = std::mem::take(&mut self.queue);
        self.queue = queue.into_iter().map(|((at, n), timer)| ((at + late, n), timer)).collect();
        Some(late)
    }

    /// The timers of which there may be many.
    #[cfg(test)]
    pub(super) fn queued(&self) -> impl Iterator<Item = &Timer> {
        self.queue.values()
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
        schedule.set(Only::Heal, at(1_000));
        schedule.add(at(1_500), Timer::EndCarry);
        assert_eq!(schedule.shift_if_late(at(1_500)), None);
        assert_eq!(schedule.shift_if_late(at(5_000)), Some(Duration::from_secs(4)));
        assert!(matches!(schedule.pop_due(at(5_000)), Some(Timer::Only(Only::Heal))));
        assert!(schedule.pop_due(at(5_499)).is_none());
        assert!(matches!(schedule.pop_due(at(5_500)), Some(Timer::EndCarry)));
    }
    #[test]
    fn equal_moments_come_in_the_order_of_setting_and_one_that_is_set_again_is_void() {
        let mut schedule = Schedule::default();
        schedule.set(Only::Sync, at(10));
        schedule.add(at(10), Timer::EndCarry);
        schedule.set(Only::Gossip, at(10));
        schedule.add(at(10), Timer::Farewell);
        schedule.set(Only::Sync, at(10));
        schedule.set(Only::Heal, at(5));
        assert_eq!(schedule.next(), Some(at(5)));
        schedule.clear(Only::Heal);
        assert_eq!(schedule.next(), Some(at(10)));
        assert!(schedule.pop_due(at(9)).is_none());
        assert!(matches!(schedule.pop_due(at(10)), Some(Timer::EndCarry)));
        assert!(matches!(schedule.pop_due(at(10)), Some(Timer::Only(Only::Gossip))));
        assert!(matches!(schedule.pop_due(at(10)), Some(Timer::Farewell)));
        assert!(matches!(schedule.pop_due(at(10)), Some(Timer::Only(Only::Sync))));
        assert!(schedule.pop_due(at(10)).is_none() && schedule.next().is_none());
    }

    #[test]
    fn each_timer_has_its_own_place() {
        for (place, only) in Only::ALL.into_iter().enumerate() {
            assert_eq!(place, only as usize);
        }
    }
}
