//! Evidence before accusation: a probe that draws no answer is sent again within its time, and a
//! member that failed our probe is asked directly until the suspicion is over.
//!
//! Both are layered on foca, which sends one Ping a period and waits for rumours to do the rest. It
//! knows probes and suspicions, nothing of how a member is reached.

use std::time::Duration;

use foca::{Member, State};

use super::{Node, Timer};
use crate::rtt::{PerMember, RoundTrips};
use crate::swim::{Id, Incarnation, Index, encode_updates};
use crate::table::{Entry, Held};
use crate::wire::Body;
use crate::{Config, Instant};

/// The most members that are asked about a suspicion at the same time; foca's own probes add one a
/// period.
pub(super) const MAX_REPROBED: usize = 64;

/// While nothing at all arrives, a suspicion is not concluded before it has lasted so many times
/// its usual time: whoever hears nobody may be the one who does not read.
const DEAF_FACTOR: u32 = 4;

/// What is known for and against those whom we accuse.
#[derive(Debug)]
pub(super) struct Evidence {
    /// The Ping of the present probe, until it is answered.
    unanswered: Option<Unanswered>,
    round_trips: RoundTrips,
    /// The same, member by member, for whoever asks.
    pub(super) per_member: PerMember,
    /// Suspects by our own failed probe, and the incarnation that they have to raise.
    reprobed: std::collections::BTreeMap<Index, (Id, Incarnation)>,
    /// When a datagram of anybody was last accepted.
    heard: Instant,
}

#[derive(Debug)]
struct Unanswered {
    to: Id,
    packet: Vec<u8>,
    sent: Instant,
    /// Until when an answer still counts as direct.
    until: Instant,
    wait: Duration,
    copies: u8,
}

impl Evidence {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self {
            unanswered: None,
            round_trips: RoundTrips::new(config.detector.probe_timeout),
            per_member: PerMember::default(),
            reprobed: std::collections::BTreeMap::new(),
            heard: now,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// How long an answer usually takes, with room.
    pub(super) fn answers_take(&self) -> Duration {
        self.round_trips.timeout()
    }

    /// The suspicions of an earlier run of foca are not this one's.
    pub(super) fn forget(&mut self) {
        self.unanswered = None;
        self.reprobed.clear();
    }
}

impl Node {
    /// A Ping of foca is on its way: it is kept until it is answered.
    pub(super) fn ping_sent(&mut self, to: Id, packet: Vec<u8>, now: Instant) {
        let detector = &self.config.detector;
        if detector.probe_retransmissions == 0 {
            return;
        }
        let wait = self.evidence.round_trips.timeout();
        let until = now + self.witnesses.health.stretched(detector.probe_timeout);
        self.evidence.unanswered =
            Some(Unanswered { to, packet, sent: now, until, wait, copies: 0 });
        if now + wait < until {
            self.schedule.replace(now + wait, Timer::Retransmit);
        }
    }

    /// The present probe is answered, by the member itself or by way of another.
    pub(super) fn probe_answered(&mut self, by: &Id, directly: bool, now: Instant) {
        self.witnesses.probe_answered(by);
        if let Some(asked) = self.evidence.unanswered.take_if(|asked| asked.to == *by)
            // After a second copy nobody knows which one was answered (Karn's rule).
            && directly
            && asked.copies == 0
        {
            let round_trip = now.saturating_since(asked.sent);
            self.evidence.round_trips.measured(round_trip);
            self.evidence.per_member.measured(by.session, round_trip);
        }
    }

    pub(super) fn retransmit_due(&mut self, now: Instant) {
        let Some(mut asked) = self.evidence.unanswered.take() else { return };
        asked.copies += 1;
        asked.wait *= 2;
        self.counters.probes_retransmitted += 1;
        self.send_watched(&asked.to, &Body::Swim(&asked.packet), now);
        let again = now + asked.wait;
        if asked.copies < self.config.detector.probe_retransmissions && again < asked.until {
            self.schedule.replace(again, Timer::Retransmit);
        }
        self.evidence.unanswered = Some(asked);
    }

    /// We suspect `id` because it failed our own probe: from now on it is asked itself.
    pub(super) fn reprobe(&mut self, id: &Id, now: Instant) {
        let period = self.config.detector.reprobe_period;
        let Some(incarnation) = self.suspected_in(id).filter(|_| period > Duration::ZERO) else {
            return;
        };
        let suspicion = (*id, incarnation);
        if self.evidence.reprobed.get(&id.index) == Some(&suspicion) {
            return;
        }
        let known = self.evidence.reprobed.contains_key(&id.index);
        if !known && self.evidence.reprobed.len() >= MAX_REPROBED {
            self.counters.reprobes_limited += 1;
            return;
        }
        self.evidence.reprobed.insert(id.index, suspicion);
        if !known {
            self.schedule.add(now, Timer::Reprobe(id.index));
        }
    }

    /// "You are suspected in this incarnation": whoever reads it answers with the next one.
    pub(super) fn reprobe_due(&mut self, index: Index, now: Instant) {
        let Some(&(id, incarnation)) = self.evidence.reprobed.get(&index) else { return };
        if self.suspected_in(&id) != Some(incarnation) {
            self.evidence.reprobed.remove(&index);
            return;
        }
        self.counters.reprobes_sent += 1;
        let accusation = Member::new(id, incarnation, State::Suspect);
        let directory = self.table.entries();
        let packet = encode_updates(self.incarnation, id.life, &[accusation], directory);
        self.send_watched(&id, &Body::Swim(&packet), now);
        self.schedule.add(now + self.config.detector.reprobe_period, Timer::Reprobe(index));
    }

    /// The incarnation in which we hold a member suspect, if we do.
    pub(super) fn suspected_in(&self, id: &Id) -> Option<Incarnation> {
        match self.table.exactly(id).and_then(Entry::held)? {
            Held { state: State::Suspect, incarnation } => Some(incarnation),
            _ => None,
        }
    }

    /// A suspicion that our own probe began has lasted its time. Whoever is still Suspect in the
    /// same incarnation has failed, unless it is us who hear nothing.
    pub(super) fn conclude_suspicion(
        &mut self,
        id: Id,
        incarnation: Incarnation,
        since: Instant,
        now: Instant,
    ) {
        if self.suspected_in(&id) != Some(incarnation) {
            return;
        }
        let usual = self.config.detector.suspicion_timeout;
        // With one peer its silence is all that there can be.
        let deaf = self.evidence.heard <= since && self.table.up() > 1;
        if deaf && now.saturating_since(since) < usual * DEAF_FACTOR {
            self.counters.conclusions_postponed += 1;
            self.schedule.add(now + usual, Timer::Conclude { id, incarnation, since });
            return;
        }
        let end = since + self.suspicion_lasts(&id);
        if now < end {
            // Who could confirm it changes meanwhile.
            let again = end.min(now + usual / 4);
            self.schedule.add(again, Timer::Conclude { id, incarnation, since });
            return;
        }
        self.apply(id, Held { incarnation, state: State::Down }, None, true, now);
    }

    /// Whether we ask a suspect ourselves.
    pub(super) fn is_reprobed(&self, id: &Id) -> bool {
        self.evidence.reprobed.get(&id.index).is_some_and(|(known, _)| known == id)
    }
}
