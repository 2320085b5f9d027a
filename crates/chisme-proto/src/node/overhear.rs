//! What others say against a member: whoever hears of a suspicion has a timer of its own, so that the death
//! of the accuser does not begin the detection anew.

use std::collections::BTreeSet;

use super::{Node, Timer};
use crate::swim::{Id, Incarnation, Index};
use crate::{Fill, Instant};

/// So many times the shortest suspicion its accuser has, to conclude it and to tell us: usually that is
/// enough, and nobody else need ask.
const PATIENCE: u32 = 3;
const PATIENCE_DIVISOR: u32 = 2;

/// Members whose suspicion we heard of, and look into ourselves if nothing comes of it: at most as many as
/// there are members.
#[derive(Debug, Default)]
pub(super) struct Overheard(BTreeSet<Index>);

impl Overheard {
    /// Where so many members are known.
    pub(super) fn fill(&self, members: usize) -> Fill {
        Fill::new("suspicions_overheard", self.0.len(), members)
    }

    /// The member is not known any more.
    pub(super) fn forget(&mut self, index: Index) {
        self.0.remove(&index);
    }

    /// Nothing is waited for.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    /// Somebody else suspects `id`: should its accuser die, we look into it ourselves.
    pub(super) fn heard_suspicion(&mut self, id: Id, incarnation: Incarnation, now: Instant) {
        if self.config.detector.overhear && self.overheard.0.insert(id.index) {
            let patience = self.config.detector.suspicion_timeout * PATIENCE / PATIENCE_DIVISOR;
            self.schedule.add(now + patience, Timer::Overhear { id, incarnation });
        }
    }

    /// Nothing came of what we heard: nobody is concluded about whom we have not asked ourselves.
    pub(super) fn overhear_due(&mut self, id: Id, incarnation: Incarnation, now: Instant) {
        self.overheard.0.remove(&id.index);
        let Some(suspected) = self.suspected_in(&id).filter(|_| !self.is_reprobed(&id)) else {
            return;
        };
        if suspected != incarnation {
            return self.heard_suspicion(id, suspected, now);
        }
        self.take_accusation(&id, now);
    }

    /// Somebody holds a member Down that is up in our view, and says so as a suspicion: we look into it
    /// at once.
    pub(super) fn take_accusation(&mut self, id: &Id, now: Instant) {
        let Some(incarnation) = self.suspected_in(id) else { return };
        self.confirmations.accused(id, incarnation, now);
        if !self.is_reprobed(id) {
            self.reprobe(id, now);
            let after = self.config.detector.suspicion_timeout;
            let conclude = Timer::Conclude { id: *id, incarnation, since: now };
            self.schedule.add(now + after, conclude);
        }
    }
}
