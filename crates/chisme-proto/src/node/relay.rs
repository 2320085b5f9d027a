//! This node as a relay: it reaches a member for another, and says no when it cannot (Lifeguard's nacks).

use std::collections::BTreeMap;

use foca::ProbeNumber;

use super::{Node, Timer};
use crate::swim::{Id, Index, encode_nack};
use crate::wire::Body;
use crate::{Fill, Instant};

/// The most errands that a relay runs at a time and can say no to.
const MAX_ERRANDS: usize = 64;

/// Whom we were asked by, and about whom.
#[derive(Debug, Default)]
pub(super) struct Errands(BTreeMap<(Index, Index), Errand>);

#[derive(Debug)]
struct Errand {
    number: ProbeNumber,
    /// We have said that it failed.
    failed: bool,
}

impl Errands {
    pub(super) fn fill(&self) -> Fill {
        Fill::new("errands", self.0.len(), MAX_ERRANDS)
    }

    /// None is under way.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of an earlier run of foca are not this one's.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Node {
    /// We are asked to reach `target` for `origin`: if that fails, we say so while it still helps, at
    /// 80 % of the time that is left of the probe.
    pub(super) fn run_errand(&mut self, origin: Id, target: Id, number: ProbeNumber, now: Instant) {
        if !self.config.detector.nacks {
            return;
        }
        let key = (origin.index, target.index);
        let known = self.errands.0.get(&key).map(|errand| (errand.number, errand.failed));
        if known == Some((number, true)) {
            // Our No was lost.
            return self.send_nack(&origin, &target, number);
        }
        if known == Some((number, false)) {
            return;
        }
        if known.is_none() && self.errands.0.len() >= MAX_ERRANDS {
            self.counters.nacks_limited += 1;
            return;
        }
        self.errands.0.insert(key, Errand { number, failed: false });
        let detector = &self.config.detector;
        let left = detector.probe_period.saturating_sub(detector.probe_timeout);
        self.schedule.add(now + left * 4 / 5, Timer::Nack { origin, target, number });
    }

    /// `target` answered us, for `origin`.
    pub(super) fn errand_done(&mut self, origin: &Id, target: &Id) {
        self.errands.0.remove(&(origin.index, target.index));
    }

    /// The time for an answer is over: we say no, and remember for a while that we did.
    pub(super) fn nack_due(&mut self, origin: Id, target: Id, number: ProbeNumber, now: Instant) {
        let key = (origin.index, target.index);
        let errand = self.errands.0.get_mut(&key).filter(|errand| errand.number == number);
        let Some(errand) = errand else { return };
        if std::mem::replace(&mut errand.failed, true) {
            self.errands.0.remove(&key);
            return;
        }
        let remembered = now + self.config.detector.suspicion_timeout;
        self.schedule.add(remembered, Timer::Nack { origin, target, number });
        self.send_nack(&origin, &target, number);
    }

    fn send_nack(&mut self, origin: &Id, target: &Id, number: ProbeNumber) {
        let directory = self.table.entries();
        let nack = encode_nack(self.incarnation, origin.life, target, number, directory);
        if let Some(packet) = nack {
            self.counters.nacks_sent += 1;
            self.send_to_member(origin, &Body::Swim(&packet));
        }
    }
}
