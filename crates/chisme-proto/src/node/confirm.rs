//! Who else could not reach whom we accuse: each relay of a failed probe that says so is an independent
//! confirmation of the suspicion, and makes it shorter (Lifeguard's dynamic suspicion).
//!
//! It knows relays and what they say, nothing of how a suspicion ends: that is `conclude`.

use std::collections::BTreeMap;

use foca::ProbeNumber;

use super::{Node, Timer};
use crate::detect::lasts;
use crate::swim::{Id, Incarnation, Index, encode_ping_req};
use crate::table::Entry;
use crate::wire::Body;
use crate::{Detector, Fill, Instant};

/// The most suspicions whose confirmations are counted at a time; others last their longest.
const MAX_DOUBTS: usize = 64;

/// What relays were asked, and what they said.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    /// The present probe, once relays were asked.
    probe: Doubt,
    /// Members that failed our own probe.
    doubts: BTreeMap<Index, Doubt>,
}

/// A probe that relays help with.
#[derive(Clone, Debug, Default)]
struct Doubt {
    about: Option<Id>,
    number: ProbeNumber,
    asked: Vec<Id>,
    /// Of those: who could not reach the member either.
    confirmed: Vec<Id>,
    answered: bool,
    /// Somebody else accused it before.
    accused: bool,
    /// The suspicion that came of it: its incarnation, and when it began.
    suspicion: Option<(Incarnation, Instant)>,
}

impl Confirmations {
    pub(super) fn fill(&self) -> Fill {
        Fill::new("suspicions_confirmed", self.doubts.len(), MAX_DOUBTS)
    }

    /// The probes of an earlier run of foca are not this one's.
    pub(super) fn forget(&mut self) {
        self.probe = Doubt::default();
        self.doubts.clear();
    }

    pub(super) fn probe_started(&mut self, about: Id, number: ProbeNumber) {
        self.probe = Doubt { about: Some(about), number, ..Doubt::default() };
    }

    pub(super) fn relay_asked(&mut self, relay: Id) {
        self.probe.asked.push(relay);
    }

    /// Whether an Ack of this number answers the present probe.
    pub(super) fn is_answer(&self, by: &Id, number: ProbeNumber) -> bool {
        self.probe.about == Some(*by) && self.probe.number == number
    }

    /// The present probe may be answered, however. Says whether it is, for the first time.
    pub(super) fn probe_answered(&mut self, by: &Id) -> bool {
        let news = self.probe.about == Some(*by) && !self.probe.answered;
        self.probe.answered |= news;
        news
    }

    /// Nothing is remembered of any suspicion.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.doubts.is_empty()
    }

    /// The number of the present probe.
    #[cfg(test)]
    pub(super) const fn number(&self) -> ProbeNumber {
        self.probe.number
    }

    /// The present probe failed. Says whether the fault may be ours, because a relay did not even say no.
    /// `accused` is whether somebody else had accused the member before.
    /// The silence of a relay that is suspected itself says nothing: `could_speak` leaves it out.
    pub(super) fn probe_failed(
        &mut self,
        accused: bool,
        could_speak: impl Fn(&Id) -> bool,
    ) -> bool {
        let mut doubt = std::mem::take(&mut self.probe);
        let silent = |relay: &Id| !doubt.confirmed.contains(relay) && could_speak(relay);
        let ours = doubt.asked.is_empty() || doubt.asked.iter().any(silent);
        let Some(id) = doubt.about else { return ours };
        doubt.accused = accused;
        // A suspicion that began with an earlier probe, or with what somebody said, goes on by what is
        // known of it: another failed probe does not make it longer.
        let goes_on = |known: &&mut Doubt| known.about == Some(id) && known.suspicion.is_some();
        if let Some(known) = self.doubts.get_mut(&id.index).filter(goes_on) {
            known.accused |= accused;
            return ours;
        }
        if self.doubts.len() < MAX_DOUBTS || self.doubts.contains_key(&id.index) {
            self.doubts.insert(id.index, doubt);
        }
        ours
    }

    /// A suspicion began with the failed probe of `id`.
    pub(super) fn suspicion_began(&mut self, id: &Id, incarnation: Incarnation, now: Instant) {
        if let Some(doubt) = self.doubts.get_mut(&id.index) {
            doubt.suspicion = Some((incarnation, now));
        }
    }

    /// Somebody holds `id` Down, and we suspect it: nobody else needs to confirm that.
    pub(super) fn accused(&mut self, id: &Id, incarnation: Incarnation, now: Instant) {
        let known = self.doubts.get_mut(&id.index).filter(|doubt| doubt.about == Some(*id));
        if let Some(doubt) = known {
            doubt.accused = true;
        } else if self.doubts.len() < MAX_DOUBTS {
            let suspicion = Some((incarnation, now));
            let doubt = Doubt { about: Some(*id), accused: true, suspicion, ..Doubt::default() };
            self.doubts.insert(id.index, doubt);
        }
    }

    /// A suspicion is over.
    pub(super) fn settled(&mut self, index: Index) {
        self.doubts.remove(&index);
    }

    /// A relay could not reach `about`. Says whether that is about a suspicion of ours.
    fn nacked(&mut self, about: Id, number: ProbeNumber, by: Id) -> bool {
        let confirms = |doubt: &mut Doubt| {
            let asked = doubt.about == Some(about) && doubt.number == number;
            let news = asked && doubt.asked.contains(&by) && !doubt.confirmed.contains(&by);
            if news {
                doubt.confirmed.push(by);
            }
            news
        };
        let suspected = self.doubts.get_mut(&about.index).is_some_and(confirms);
        confirms(&mut self.probe);
        suspected
    }

    /// A relay has reached `about` after all.
    pub(super) fn reached(&mut self, about: &Id, number: ProbeNumber, by: &Id) {
        if let Some(doubt) = self.doubts.get_mut(&about.index)
            && (doubt.about, doubt.number) == (Some(*about), number)
        {
            doubt.confirmed.retain(|relay| relay != by);
        }
    }

    /// The probe that a suspicion came of, and its relays that have not said no.
    fn silent_relays(&self, id: &Id) -> Option<(ProbeNumber, Vec<Id>)> {
        let doubt = self.doubts.get(&id.index).filter(|doubt| doubt.about == Some(*id))?;
        let silent = doubt.asked.iter().filter(|relay| !doubt.confirmed.contains(relay));
        Some((doubt.number, silent.copied().collect()))
    }

    /// How long a suspicion lasts, by who confirms it.
    /// The silence of a relay that is suspected itself says nothing: `could_speak` leaves it out.
    pub(super) fn suspicion_lasts(
        &self,
        id: &Id,
        detector: &Detector,
        could_speak: impl Fn(&Id) -> bool,
    ) -> std::time::Duration {
        let doubt = self.doubts.get(&id.index).filter(|doubt| doubt.about == Some(*id));
        let (c, k) = doubt.map_or((0, usize::from(detector.indirect_probes)), |doubt| {
            let silent = |relay: &&Id| !doubt.confirmed.contains(relay) && could_speak(relay);
            let c = doubt.confirmed.len() + usize::from(doubt.accused);
            (c, doubt.confirmed.len() + doubt.asked.iter().filter(silent).count())
        });
        lasts(detector.suspicion_timeout, detector.suspicion_stretch, c, k)
    }
}

impl Node {
    /// How long the suspicion of `id` lasts, by what is known now.
    pub(super) fn suspicion_lasts(&self, id: &Id) -> std::time::Duration {
        let could_speak = |relay: &Id| self.table.exactly(relay).is_some_and(Entry::is_alive);
        self.confirmations.suspicion_lasts(id, &self.config.detector, could_speak)
    }

    /// A relay could not reach whom we probe: the suspicion may end sooner.
    pub(super) fn take_nack(&mut self, about: Id, number: ProbeNumber, by: Id, now: Instant) {
        if !self.confirmations.nacked(about, number, by) {
            return;
        }
        let suspicion =
            self.confirmations.doubts.get(&about.index).and_then(|doubt| doubt.suspicion);
        if let Some((incarnation, since)) = suspicion {
            let end = since + self.suspicion_lasts(&about);
            let conclude = Timer::Conclude { id: about, incarnation, since };
            self.schedule.add(end.max(now), conclude);
        }
    }

    /// A relay whose answer has not come is asked again.
    pub(super) fn ask_relays_again(&mut self, id: &Id) {
        let Some((number, relays)) = self.confirmations.silent_relays(id) else { return };
        for relay in relays {
            if self.table.exactly(&relay).is_some_and(Entry::is_alive) {
                let (of, to) = (self.incarnation, relay.life);
                let packet = encode_ping_req(of, to, id, number, self.table.entries());
                if let Some(packet) = packet {
                    self.send_to_member(&relay, &Body::Swim(&packet));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Life, Session};

    fn member(n: u32) -> Id {
        Id::new((Session::from_u64(u64::from(n)), Life(0)), Index::first(n))
    }

    /// A probe of member 1 with relays 2, 3 and 4.
    fn probing() -> Confirmations {
        let mut confirmations = Confirmations::default();
        confirmations.probe_started(member(1), 9);
        for relay in 2..=4 {
            confirmations.relay_asked(member(relay));
        }
        confirmations
    }

    #[test]
    fn only_relays_that_were_asked_confirm_and_each_once() {
        let detector = Detector::default();
        let (min, max) =
            (detector.suspicion_timeout, detector.suspicion_timeout * detector.suspicion_stretch);
        let mut confirmations = probing();
        confirmations.nacked(member(1), 9, member(2));
        confirmations.probe_failed(false, |_| true);
        let one = confirmations.suspicion_lasts(&member(1), &detector, |_| true);
        assert!(min < one && one < max, "{one:?}");
        for (about, number, by) in [(1, 9, 2), (1, 9, 5), (1, 8, 3), (2, 9, 3)] {
            assert!(
                !confirmations.nacked(member(about), number, member(by)),
                "{about} {number} {by}"
            );
        }
        assert_eq!(confirmations.suspicion_lasts(&member(1), &detector, |_| true), one);
        assert!(confirmations.nacked(member(1), 9, member(3)));
        assert!(confirmations.nacked(member(1), 9, member(4)));
        assert_eq!(confirmations.suspicion_lasts(&member(1), &detector, |_| true), min);
    }

    #[test]
    fn a_node_that_is_told_no_does_not_feel_ill_and_one_that_hears_nothing_does() {
        let mut told = probing();
        for relay in 2..=4 {
            told.nacked(member(1), 9, member(relay));
        }
        assert!(!told.probe_failed(false, |_| true));
        let mut deaf = probing();
        deaf.nacked(member(1), 9, member(2));
        assert!(deaf.probe_failed(false, |_| true));
        let mut among_suspects = probing();
        among_suspects.nacked(member(1), 9, member(2));
        assert!(!among_suspects.probe_failed(false, |relay| *relay == member(2)));
        deaf.probe_started(member(3), 10);
        assert_eq!([1, 3, 3].map(|n| deaf.probe_answered(&member(n))), [false, true, false]);
    }

    #[test]
    fn the_silence_of_relays_that_are_suspected_themselves_says_nothing() {
        let detector = Detector::default();
        let mut confirmations = probing();
        confirmations.probe_failed(false, |_| true);
        let lasts = |alone| {
            confirmations
                .suspicion_lasts(&member(1), &detector, |relay| alone && *relay == member(2))
        };
        assert_eq!(lasts(true), detector.suspicion_timeout * detector.suspicion_stretch);
        assert_eq!(lasts(false), detector.suspicion_timeout);
    }

    #[test]
    fn a_second_failed_probe_does_not_take_back_what_others_said() {
        let detector = Detector::default();
        let mut confirmations = Confirmations::default();
        confirmations.accused(&member(1), 3, Instant::from_nanos(7));
        confirmations.probe_started(member(1), 9);
        for relay in 2..=4 {
            confirmations.relay_asked(member(relay));
        }
        confirmations.probe_failed(false, |_| true);
        let lasts = confirmations.suspicion_lasts(&member(1), &detector, |_| true);
        assert_eq!(lasts, detector.suspicion_timeout);
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let detector = Detector::default();
        let mut confirmations = Confirmations::default();
        for n in 0..1_000 {
            confirmations.probe_started(member(n), 9);
            confirmations.probe_failed(false, |_| true);
        }
        assert_eq!(confirmations.doubts.len(), MAX_DOUBTS);
        let beyond = confirmations.suspicion_lasts(&member(999), &detector, |_| true);
        assert_eq!(beyond, detector.suspicion_timeout * detector.suspicion_stretch);
    }
}
