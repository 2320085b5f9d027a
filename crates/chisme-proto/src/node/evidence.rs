//! Evidence before accusation: a probe that draws no answer is sent again within its time, and a
//! member that failed our probe is asked directly until the suspicion is over.
//!
//! Both are layered on foca, which sends one Ping a period and waits for rumours to do the rest. It
//! knows probes and suspicions, nothing of how a member is reached.

use std::collections::BTreeMap;
use std::time::Duration;

use foca::{Member, State};

use super::{Node, Timer};
use crate::rtt::{Lateness, PerMember, RoundTrips};
use crate::swim::{Id, Incarnation, Index, encode_updates};
use crate::table::{Entry, Held};
use crate::wire::Body;
use crate::{Config, Instant};

/// The longest wait between two copies of a Ping.
const MAX_WAIT: Duration = Duration::from_millis(125);

/// The most members that are asked about a suspicion at the same time; foca's own probes add one a
/// period.
pub(super) const MAX_REPROBED: usize = 64;

/// Whoever has heard nobody for so many probe periods may be the one who does not read. In a cluster
/// of three of whom one is dead, the other is heard every second period.
const SILENCE_PERIODS: u32 = 5;
const SILENCE_DIVISOR: u32 = 2;

/// However deaf a node is and however late a suspect answers, a suspicion lasts at most so many times its
/// shortest time: whom it cannot hear for so long is lost to it.
const LONGEST_FACTOR: u32 = 4;

/// Relays that have not said no are asked again at every so many-th question to the suspect.
const RELAYS_EVERY: u8 = 2;

/// What is known for and against those whom we accuse.
#[derive(Debug)]
pub(super) struct Evidence {
    /// The Ping of the present probe, until it is answered.
    unanswered: Option<Unanswered>,
    round_trips: RoundTrips,
    lateness: Lateness,
    /// The same, member by member, for whoever asks.
    pub(super) per_member: PerMember,
    /// Suspects by our own failed probe, and the incarnation that they have to raise.
    reprobed: BTreeMap<Index, Reprobed>,
    /// When a datagram of anybody was last accepted.
    heard: Instant,
    /// Since when such datagrams have come without a long silence.
    hearing_since: Instant,
    started: Instant,
}

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

#[derive(Debug)]
struct Unanswered {
    to: Id,
    packet: Vec<u8>,
    sent: Instant,
    /// When the probe is over.
    until: Instant,
    wait: Duration,
    copies: u8,
}

impl Evidence {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self {
            unanswered: None,
            round_trips: RoundTrips::new(config.detector.probe_timeout),
            lateness: Lateness::default(),
            per_member: PerMember::default(),
            reprobed: BTreeMap::new(),
            heard: now,
            hearing_since: now,
            started: now,
        }
    }

    /// How long an answer usually takes, with room.
    pub(super) fn answers_take(&self) -> Duration {
        self.round_trips.timeout()
    }

    /// Nobody is asked.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.reprobed.is_empty()
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
        let until = now + self.witnesses.health.stretched(detector.probe_period);
        self.evidence.unanswered =
            Some(Unanswered { to, packet, sent: now, until, wait, copies: 0 });
        if now + wait < until {
            self.schedule.replace(now + wait, Timer::Retransmit);
        }
    }

    /// The present probe is answered, by the member itself or by way of another.
    pub(super) fn probe_answered(&mut self, by: &Id, directly: bool, now: Instant) {
        self.witnesses.probe_answered(by);
        if let Some(suspect) = self.evidence.reprobed.get_mut(&by.index).filter(|one| one.id == *by)
            && suspect.answered.replace(now).is_none()
        {
            self.evidence.lateness.measured(now.saturating_since(suspect.probed));
        }
        let Some(asked) = self.evidence.unanswered.take_if(|asked| asked.to == *by) else { return };
        self.schedule.forget_retransmission();
        if directly {
            let round_trip = now.saturating_since(asked.sent);
            self.evidence.lateness.measured(round_trip);
            if asked.copies > 0 {
                // Nobody knows which one was answered (Karn's rule).
                return;
            }
            self.evidence.round_trips.measured(round_trip);
            self.evidence.per_member.measured(by, round_trip);
        }
    }

    pub(super) fn retransmit_due(&mut self, now: Instant) {
        let Some(mut asked) = self.evidence.unanswered.take() else { return };
        asked.copies += 1;
        asked.wait = (asked.wait * 2).min(MAX_WAIT);
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
        let known = self.evidence.reprobed.get(&id.index);
        if known.is_some_and(|known| (known.id, known.incarnation) == (*id, incarnation)) {
            return;
        }
        let known = known.is_some();
        if !known && self.evidence.reprobed.len() >= MAX_REPROBED {
            self.counters.reprobes_limited += 1;
            return;
        }
        let failed = self.evidence.unanswered.as_ref().filter(|asked| asked.to == *id);
        let probed = failed.map_or(now, |asked| asked.sent);
        let reprobed = Reprobed { id: *id, incarnation, questions: 0, probed, answered: None };
        self.evidence.reprobed.insert(id.index, reprobed);
        if !known {
            self.schedule.add(now, Timer::Reprobe(id.index));
        }
    }

    /// "You are suspected in this incarnation": whoever reads it answers with the next one.
    pub(super) fn reprobe_due(&mut self, index: Index, now: Instant) {
        let Some(reprobed) = self.evidence.reprobed.get_mut(&index) else { return };
        let (id, incarnation) = (reprobed.id, reprobed.incarnation);
        reprobed.questions = reprobed.questions.wrapping_add(1);
        let relays_too = reprobed.questions % RELAYS_EVERY == 0;
        if self.suspected_in(&id) != Some(incarnation) {
            self.evidence.reprobed.remove(&index);
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
        let end = self.suspicion_ends(&id, since, now);
        if now < end {
            // Who could confirm it changes meanwhile.
            let again = end.min(now + self.config.detector.suspicion_timeout / 4);
            self.schedule.add(again, Timer::Conclude { id, incarnation, since });
            return;
        }
        self.apply(id, Held { incarnation, state: State::Down }, None, true, now);
    }

    /// A datagram was accepted. After a silence what was said meanwhile is still to come, and whom we
    /// concluded to be Down may be up for all others.
    pub(super) fn heard(&mut self, now: Instant) {
        if now.saturating_since(self.evidence.heard) >= self.silence() {
            self.evidence.hearing_since = now;
            self.unsay_downs();
        }
        self.evidence.heard = now;
    }

    /// Whether what others say against members may have waited for us to read it.
    pub(super) fn is_catching_up(&self, now: Instant) -> bool {
        let since = self.evidence.hearing_since;
        since > self.evidence.started
            && now.saturating_since(since) < self.config.detector.probe_period
    }

    /// When a suspicion ends, by what is known now. Only time in which we could have heard of a
    /// refutation counts; and whoever answers late reads late, so that its refutation is on its way.
    fn suspicion_ends(&mut self, id: &Id, since: Instant, now: Instant) -> Instant {
        let lasts = self.suspicion_lasts(id) + self.evidence.lateness.usual();
        let end = since + lasts;
        let suspect = self.evidence.reprobed.get(&id.index).filter(|one| one.id == *id);
        let mut counts_from = since.max(suspect.and_then(|one| one.answered).unwrap_or(since));
        // With one peer its silence is all that there can be.
        if self.table.up() > 1 {
            let deaf = now.saturating_since(self.evidence.heard) >= self.silence();
            counts_from = counts_from.max(if deaf { now } else { self.evidence.hearing_since });
        }
        let longest = since + self.config.detector.suspicion_timeout * LONGEST_FACTOR;
        let heard_out = (counts_from + lasts).min(longest);
        if end <= now && heard_out > now {
            self.counters.conclusions_postponed += 1;
        }
        end.max(heard_out)
    }

    /// How long nobody is heard before that says something of ourselves.
    pub(super) fn silence(&self) -> Duration {
        self.config.detector.probe_period * SILENCE_PERIODS / SILENCE_DIVISOR
    }

    /// Whether we ask a suspect ourselves, about what it is suspected of now.
    pub(super) fn is_reprobed(&self, id: &Id) -> bool {
        let known = self.evidence.reprobed.get(&id.index).filter(|known| known.id == *id);
        known.is_some_and(|known| self.suspected_in(id) == Some(known.incarnation))
    }
}
