//! Leaving: a goodbye that a few members have acknowledged is known to all soon.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::seq::IteratorRandom;

use super::{Node, Phase, Timer};
use crate::identity::NameHash;
use crate::swim::Id;
use crate::wire::Body;
use crate::{Instant, StopReason};

/// How many members are told, and how many acknowledgements are enough.
const TOLD: usize = 8;
const ENOUGH: usize = 3;

/// When the goodbye is repeated to those that have not acknowledged it, and when it is given up.
const REPEAT: Duration = Duration::from_millis(150);
const GIVE_UP: Duration = Duration::from_secs(1);

/// A goodbye under way.
#[derive(Debug)]
pub(super) struct Farewell {
    waiting: BTreeMap<NameHash, Id>,
    acknowledged: usize,
    since: Instant,
}

impl Farewell {
    pub(super) fn acknowledged(&mut self, by: NameHash) {
        self.acknowledged += usize::from(self.waiting.remove(&by).is_some());
    }

    fn is_done(&self) -> bool {
        self.acknowledged >= ENOUGH || self.waiting.is_empty()
    }
}

impl Node {
    pub(super) fn leave(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        let waiting: BTreeMap<NameHash, Id> = self
            .table
            .iter()
            .filter(|entry| entry.is_up())
            .map(|entry| (NameHash::of(&entry.name), entry.id))
            .sample(&mut self.rng, TOLD)
            .into_iter()
            .collect();
        // foca sends its own Down to a few at once; the codec writes it as Left.
        let result = self.engine.leave(&mut self.effects);
        self.count_swim(result);
        self.flush_effects(now);
        self.phase = Phase::Leaving(Farewell { waiting, acknowledged: 0, since: now });
        self.farewell_due(now);
    }

    pub(super) fn farewell_due(&mut self, now: Instant) {
        let Phase::Leaving(farewell) = &self.phase else { return };
        let since = farewell.since;
        if now - since >= GIVE_UP {
            return self.stop(StopReason::Left);
        }
        let waiting: Vec<Id> = farewell.waiting.values().copied().collect();
        for id in waiting {
            self.send_to_member(&id, &Body::Leaving);
        }
        let next = (now + REPEAT).min(since + GIVE_UP);
        self.schedule.add(next, Timer::Farewell);
        self.farewell_progress();
    }

    pub(super) fn farewell_progress(&mut self) {
        if matches!(&self.phase, Phase::Leaving(farewell) if farewell.is_done()) {
            self.stop(StopReason::Left);
        }
    }
}
