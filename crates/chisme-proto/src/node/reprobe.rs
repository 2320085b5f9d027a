//! Evidence before a conclusion: a member that failed our probe is asked directly until the suspicion is over.
//!
//! It knows whom we ask and whether they answered, nothing of how a suspicion ends: that is `conclude`.

use std::collections::BTreeMap;
use std::time::Duration;

use foca::{Member, State};

use super::{Node, Timer};
use crate::swim::{Id, Incarnation, Index, encode_updates};
use crate::wire::Body;
use crate::{Fill, Instant};

/// The most members that are asked about a suspicion at the same time; foca's own probes add one a
/// period.
pub(super) const MAX_REPROBED: usize = 64;

/// Relays that have not said no are asked again at every so many-th question to the suspect.
const RELAYS_EVERY: u8 = 2;

/// Suspects by our own failed probe, and the incarnation that they have to raise.
#[derive(Debug, Default)]
pub(super) struct Reprobes(BTreeMap<Index, Reprobed>);

#[derive(Debug)]
struct Reprobed {
    id: Id,
    incarnation: Incarnation,
    questions: u8,
    /// When the probe that failed was sent, or else when it was first asked.
    probed: Instant,
    /// When a Ping of ours was answered last, too late to pass for an answer.
    answered: Option<Instant>,
}

impl Reprobes {
    /// When a suspect last answered a Ping of ours, if it did.
    pub(super) fn answered(&self, id: &Id) -> Option<Instant> {
        self.0.get(&id.index).filter(|one| one.id == *id)?.answered
    }

    pub(super) fn fill(&self) -> Fill {
        Fill::new("suspects_asked", self.0.len(), MAX_REPROBED)
    }

    /// Nobody is asked.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The suspicions of an earlier run of foca are not this one's.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Node {
    /// We suspect `id` because it failed our own probe: from now on it is asked itself.
    pub(super) fn reprobe(&mut self, id: &Id, now: Instant) {
        let period = self.config.detector.reprobe_period;
        let Some(incarnation) = self.suspected_in(id).filter(|_| period > Duration::ZERO) else {
            return;
        };
        let known = self.reprobed.0.get(&id.index);
        if known.is_some_and(|known| (known.id, known.incarnation) == (*id, incarnation)) {
            return;
        }
        let known = known.is_some();
        if !known && self.reprobed.0.len() >= MAX_REPROBED {
            self.counters.reprobes_limited += 1;
            return;
        }
        let probed = self.probe.sent_to(id).unwrap_or(now);
        let reprobed = Reprobed { id: *id, incarnation, questions: 0, probed, answered: None };
        self.reprobed.0.insert(id.index, reprobed);
        if !known {
            self.schedule.add(now, Timer::Reprobe(id.index));
        }
    }

    /// "You are suspected in this incarnation": whoever reads it answers with the next one.
    pub(super) fn reprobe_due(&mut self, index: Index, now: Instant) {
        let Some(reprobed) = self.reprobed.0.get_mut(&index) else { return };
        let (id, incarnation) = (reprobed.id, reprobed.incarnation);
        reprobed.questions = reprobed.questions.wrapping_add(1);
        let relays_too = reprobed.questions % RELAYS_EVERY == 0;
        if self.suspected_in(&id) != Some(incarnation) {
            self.reprobed.0.remove(&index);
            return;
        }
        if relays_too {
            self.ask_relays_again(&id);
        }
        self.counters.reprobes_sent += 1;
        let accusation = Member::new(id, incarnation, State::Suspect);
        let directory = self.table.entries();
        let packet = encode_updates(self.incarnation, id.life, &[accusation], directory);
        self.send_watched(&id, &Body::Swim(&packet), now);
        self.schedule.add(now + self.config.detector.reprobe_period, Timer::Reprobe(index));
    }

    /// Whether we ask a suspect ourselves, about what it is suspected of now.
    pub(super) fn is_reprobed(&self, id: &Id) -> bool {
        let known = self.reprobed.0.get(&id.index).filter(|known| known.id == *id);
        known.is_some_and(|known| self.suspected_in(id) == Some(known.incarnation))
    }

    /// A suspect has answered a Ping, though not yet the suspicion.
    pub(super) fn suspect_answered(&mut self, by: &Id, now: Instant) {
        if let Some(suspect) = self.reprobed.0.get_mut(&by.index).filter(|one| one.id == *by)
            && suspect.answered.replace(now).is_none()
        {
            self.hearing.lateness.measured(now.saturating_since(suspect.probed));
        }
    }
}
