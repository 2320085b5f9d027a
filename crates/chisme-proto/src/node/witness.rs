//! Who else could not reach whom we accuse: the relays of a probe say so (Lifeguard's nacks), and
//! each that does is an independent confirmation of the suspicion.
//!
//! It knows relays and what they say, nothing of how a suspicion ends: that is `evidence`.

use std::collections::{BTreeMap, BTreeSet};

use foca::ProbeNumber;

use super::{Node, Timer};
use crate::detect::{LocalHealth, lasts};
use crate::swim::{Id, Incarnation, Index, encode_nack, encode_ping_req};
use crate::table::Entry;
use crate::wire::Body;
use crate::{Detector, Instant};

/// The most errands that a relay runs at a time and can say no to.
const MAX_ERRANDS: usize = 64;

/// The most suspicions whose confirmations are counted at a time; others last their longest.
const MAX_DOUBTS: usize = 64;

/// What relays were asked, and what they said.
#[derive(Debug)]
pub(super) struct Witnesses {
    pub(super) health: LocalHealth,
    /// The present probe, once relays were asked.
    probe: Doubt,
    /// Members that failed our own probe.
    doubts: BTreeMap<Index, Doubt>,
    /// Members whose suspicion we heard of, and look into ourselves if nothing comes of it.
    overheard: BTreeSet<Index>,
    /// As a relay: whom we asked for whom.
    errands: BTreeMap<(Index, Index), Errand>,
}

#[derive(Debug)]
struct Errand {
    number: ProbeNumber,
    /// We have said that it failed.
    failed: bool,
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

impl Witnesses {
    pub(super) fn new(detector: &Detector) -> Self {
        Self {
            health: LocalHealth::new(detector.local_health),
            probe: Doubt::default(),
            doubts: BTreeMap::new(),
            overheard: BTreeSet::new(),
            errands: BTreeMap::new(),
        }
    }

    /// The probes of an earlier run of foca are not this one's.
    pub(super) fn forget(&mut self) {
        self.probe = Doubt::default();
        self.doubts.clear();
        self.errands.clear();
    }

    pub(super) fn probe_started(&mut self, about: Id, number: ProbeNumber) {
        self.probe = Doubt { about: Some(about), number, ..Doubt::default() };
    }

    pub(super) fn relay_asked(&mut self, relay: Id) {
        self.probe.asked.push(relay);
    }

    /// The present probe was answered, however.
    pub(super) fn probe_answered(&mut self, by: &Id) {
        if self.probe.about == Some(*by) && !self.probe.answered {
            self.probe.answered = true;
            self.health.better();
        }
    }

    /// Nothing is remembered of any suspicion.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.doubts.is_empty() && self.overheard.is_empty() && self.errands.is_empty()
    }

    /// The number of the present probe.
    #[cfg(test)]
    pub(super) const fn number(&self) -> ProbeNumber {
        self.probe.number
    }

    /// The present probe failed. If a relay did not even say no, the fault may be ours. `accused` is
    /// whether somebody else had accused the member before.
    pub(super) fn probe_failed(&mut self, accused: bool) {
        let mut doubt = std::mem::take(&mut self.probe);
        if doubt.asked.is_empty() || doubt.confirmed.len() < doubt.asked.len() {
            self.health.worse();
        }
        let Some(id) = doubt.about else { return };
        doubt.accused = accused;
        // A suspicion that began with an earlier probe, or with what somebody said, goes on by what is
        // known of it: another failed probe does not make it longer.
        let goes_on = |known: &&mut Doubt| known.about == Some(id) && known.suspicion.is_some();
        if let Some(known) = self.doubts.get_mut(&id.index).filter(goes_on) {
            known.accused |= accused;
            return;
        }
        if self.doubts.len() < MAX_DOUBTS || self.doubts.contains_key(&id.index) {
            self.doubts.insert(id.index, doubt);
        }
    }

    /// A suspicion began with the failed probe of `id`.
    pub(super) fn suspicion_began(&mut self, id: &Id, incarnation: Incarnation, now: Instant) {
        if let Some(doubt) = self.doubts.get_mut(&id.index) {
            doubt.suspicion = Some((incarnation, now));
        }
    }

    /// Somebody holds `id` Down, and we suspect it: nobody else needs to confirm that.
    fn accused(&mut self, id: &Id, incarnation: Incarnation, now: Instant) {
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
        let alive = |relay: &Id| self.table.exactly(relay).is_some_and(Entry::is_up);
        let could_speak = |relay: &Id| alive(relay) && self.suspected_in(relay).is_none();
        self.witnesses.suspicion_lasts(id, &self.config.detector, could_speak)
    }

    /// We are asked to reach `target` for `origin`: if that fails, we say so while it still helps, at
    /// 80 % of the time that is left of the probe.
    pub(super) fn run_errand(&mut self, origin: Id, target: Id, number: ProbeNumber, now: Instant) {
        let key = (origin.index, target.index);
        let known = self.witnesses.errands.get(&key).map(|errand| (errand.number, errand.failed));
        if known == Some((number, true)) {
            // Our No was lost.
            return self.send_nack(&origin, &target, number);
        }
        if known == Some((number, false)) {
            return;
        }
        if known.is_none() && self.witnesses.errands.len() >= MAX_ERRANDS {
            self.counters.nacks_limited += 1;
            return;
        }
        self.witnesses.errands.insert(key, Errand { number, failed: false });
        let detector = &self.config.detector;
        let left = detector.probe_period.saturating_sub(detector.probe_timeout);
        self.schedule.add(now + left * 4 / 5, Timer::Nack { origin, target, number });
    }

    /// `target` answered us, for `origin`.
    pub(super) fn errand_done(&mut self, origin: &Id, target: &Id) {
        self.witnesses.errands.remove(&(origin.index, target.index));
    }

    /// The time for an answer is over: we say no, and remember for a while that we did.
    pub(super) fn nack_due(&mut self, origin: Id, target: Id, number: ProbeNumber, now: Instant) {
        let key = (origin.index, target.index);
        let errand = self.witnesses.errands.get_mut(&key).filter(|errand| errand.number == number);
        let Some(errand) = errand else { return };
        if std::mem::replace(&mut errand.failed, true) {
            self.witnesses.errands.remove(&key);
            return;
        }
        let remembered = now + self.config.detector.suspicion_timeout;
        self.schedule.add(remembered, Timer::Nack { origin, target, number });
        self.send_nack(&origin, &target, number);
    }

    /// A relay whose answer has not come is asked again.
    pub(super) fn ask_relays_again(&mut self, id: &Id) {
        let Some((number, relays)) = self.witnesses.silent_relays(id) else { return };
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

    fn send_nack(&mut self, origin: &Id, target: &Id, number: ProbeNumber) {
        let directory = self.table.entries();
        let nack = encode_nack(self.incarnation, origin.life, target, number, directory);
        if let Some(packet) = nack {
            self.counters.nacks_sent += 1;
            self.send_to_member(origin, &Body::Swim(&packet));
        }
    }

    /// A relay could not reach whom we probe: the suspicion may end sooner.
    pub(super) fn take_nack(&mut self, about: Id, number: ProbeNumber, by: Id, now: Instant) {
        if !self.witnesses.nacked(about, number, by) {
            return;
        }
        let suspicion = self.witnesses.doubts.get(&about.index).and_then(|doubt| doubt.suspicion);
        if let Some((incarnation, since)) = suspicion {
            let end = since + self.suspicion_lasts(&about);
            let conclude = Timer::Conclude { id: about, incarnation, since };
            self.schedule.add(end.max(now), conclude);
        }
    }

    /// Somebody else suspects `id`: should its accuser die, we look into it ourselves.
    pub(super) fn heard_suspicion(&mut self, id: Id, incarnation: Incarnation, now: Instant) {
        if self.witnesses.overheard.insert(id.index) {
            let patience = self.config.detector.suspicion_timeout * 2;
            self.schedule.add(now + patience, Timer::Overhear { id, incarnation });
        }
    }

    /// Somebody holds a member Down that is up in our view, and says so as a suspicion: we look into it
    /// at once.
    pub(super) fn take_accusation(&mut self, id: &Id, now: Instant) {
        let Some(incarnation) = self.suspected_in(id) else { return };
        self.witnesses.accused(id, incarnation, now);
        if !self.is_reprobed(id) {
            self.reprobe(id, now);
            let after = self.config.detector.suspicion_timeout;
            let conclude = Timer::Conclude { id: *id, incarnation, since: now };
            self.schedule.add(now + after, conclude);
        }
    }

    /// Nothing came of what we heard: nobody is concluded about whom we have not asked ourselves.
    pub(super) fn overhear_due(&mut self, id: Id, incarnation: Incarnation, now: Instant) {
        self.witnesses.overheard.remove(&id.index);
        let Some(suspected) = self.suspected_in(&id).filter(|_| !self.is_reprobed(&id)) else {
            return;
        };
        if suspected != incarnation {
            return self.heard_suspicion(id, suspected, now);
        }
        self.reprobe(&id, now);
        if self.is_reprobed(&id) {
            let after = self.config.detector.suspicion_timeout;
            self.schedule.add(now + after, Timer::Conclude { id, incarnation, since: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Life, Session};

    fn member(n: u32) -> Id {
        Id::new((Session::from_u64(u64::from(n)), Life(0)), Index::first(n))
    }

    /// A probe of member 1 with relays 2, 3 and 4.
    fn probing(detector: &Detector) -> Witnesses {
        let mut witnesses = Witnesses::new(detector);
        witnesses.probe_started(member(1), 9);
        for relay in 2..=4 {
            witnesses.relay_asked(member(relay));
        }
        witnesses
    }

    #[test]
    fn only_relays_that_were_asked_confirm_and_each_once() {
        let detector = Detector::default();
        let (min, max) =
            (detector.suspicion_timeout, detector.suspicion_timeout * detector.suspicion_stretch);
        let mut witnesses = probing(&detector);
        witnesses.nacked(member(1), 9, member(2));
        witnesses.probe_failed(false);
        let one = witnesses.suspicion_lasts(&member(1), &detector, |_| true);
        assert!(min < one && one < max, "{one:?}");
        for (about, number, by) in [(1, 9, 2), (1, 9, 5), (1, 8, 3), (2, 9, 3)] {
            assert!(!witnesses.nacked(member(about), number, member(by)), "{about} {number} {by}");
        }
        assert_eq!(witnesses.suspicion_lasts(&member(1), &detector, |_| true), one);
        assert!(witnesses.nacked(member(1), 9, member(3)));
        assert!(witnesses.nacked(member(1), 9, member(4)));
        assert_eq!(witnesses.suspicion_lasts(&member(1), &detector, |_| true), min);
    }

    #[test]
    fn a_node_that_is_told_no_does_not_feel_ill_and_one_that_hears_nothing_does() {
        let detector = Detector { local_health: 8, ..Detector::default() };
        let second = Duration::from_secs(1);
        let mut told = probing(&detector);
        for relay in 2..=4 {
            told.nacked(member(1), 9, member(relay));
        }
        told.probe_failed(false);
        assert_eq!(told.health.stretched(second), second);
        let mut deaf = probing(&detector);
        deaf.nacked(member(1), 9, member(2));
        deaf.probe_failed(false);
        assert_eq!(deaf.health.stretched(second), 2 * second);
        deaf.probe_started(member(3), 10);
        deaf.probe_answered(&member(3));
        deaf.probe_answered(&member(3));
        assert_eq!(deaf.health.stretched(second), second);
    }

    #[test]
    fn the_silence_of_relays_that_are_suspected_themselves_says_nothing() {
        let detector = Detector::default();
        let mut witnesses = probing(&detector);
        witnesses.probe_failed(false);
        let lasts = |alone| {
            witnesses.suspicion_lasts(&member(1), &detector, |relay| alone && *relay == member(2))
        };
        assert_eq!(lasts(true), detector.suspicion_timeout * detector.suspicion_stretch);
        assert_eq!(lasts(false), detector.suspicion_timeout);
    }

    #[test]
    fn a_second_failed_probe_does_not_take_back_what_others_said() {
        let detector = Detector::default();
        let mut witnesses = Witnesses::new(&detector);
        witnesses.accused(&member(1), 3, Instant::from_nanos(7));
        witnesses.probe_started(member(1), 9);
        for relay in 2..=4 {
            witnesses.relay_asked(member(relay));
        }
        witnesses.probe_failed(false);
        let lasts = witnesses.suspicion_lasts(&member(1), &detector, |_| true);
        assert_eq!(lasts, detector.suspicion_timeout);
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let detector = Detector::default();
        let mut witnesses = Witnesses::new(&detector);
        for n in 0..1_000 {
            witnesses.probe_started(member(n), 9);
            witnesses.probe_failed(false);
        }
        assert_eq!(witnesses.doubts.len(), MAX_DOUBTS);
        let beyond = witnesses.suspicion_lasts(&member(999), &detector, |_| true);
        assert_eq!(beyond, detector.suspicion_timeout * detector.suspicion_stretch);
    }
}
