//! A probe that draws no answer is sent again within its time, after as long as answers usually take.
//!
//! Layered on foca, which sends one Ping a period. It knows the present probe and how long answers take,
//! nothing of suspicions.

use std::time::Duration;

use foca::TimerToken;

use super::{Node, Only};
use crate::rtt::{PerMember, RoundTrips};
use crate::swim::Id;
use crate::wire::Body;
use crate::{Detector, Instant};

/// The longest wait between two copies of a Ping.
const MAX_WAIT: Duration = Duration::from_millis(125);

/// The present probe, and what the ones before it have measured.
#[derive(Debug)]
pub(super) struct Probe {
    /// Its Ping, until it is answered.
    unanswered: Option<Unanswered>,
    round_trips: RoundTrips,
    /// The same, member by member, for whoever asks.
    pub(super) per_member: PerMember,
    /// By what foca knows its present cycle of probes.
    cycle: Option<TimerToken>,
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

impl Probe {
    pub(super) fn new(detector: &Detector) -> Self {
        Self {
            unanswered: None,
            round_trips: RoundTrips::new(detector.probe_timeout),
            per_member: PerMember::default(),
            cycle: None,
        }
    }

    /// How long an answer usually takes, with room.
    pub(super) fn answers_take(&self) -> Duration {
        self.round_trips.timeout()
    }

    /// When the probe of `id` was sent, while it is the present one and unanswered.
    pub(super) fn sent_to(&self, id: &Id) -> Option<Instant> {
        self.unanswered.as_ref().filter(|asked| asked.to == *id).map(|asked| asked.sent)
    }

    /// The probe of an earlier run of foca is not this one's.
    pub(super) fn forget(&mut self) {
        self.unanswered = None;
        self.cycle = None;
    }

    /// Whether the probe that foca plans is the first of a cycle.
    pub(super) fn begins(&mut self, cycle: TimerToken) -> bool {
        self.cycle.replace(cycle) != Some(cycle)
    }
}

impl Node {
    /// A Ping of foca is on its way: it is kept until it is answered.
    pub(super) fn ping_sent(&mut self, to: Id, packet: Vec<u8>, now: Instant) {
        let detector = &self.config.detector;
        let wait = self.probe.round_trips.timeout();
        let until = now + self.health.stretched(detector.probe_period);
        self.probe.unanswered = Some(Unanswered { to, packet, sent: now, until, wait, copies: 0 });
        if detector.probe_retransmissions > 0 && now + wait < until {
            self.schedule.set(Only::Retransmit, now + wait);
        }
    }

    /// The present probe is answered, by the member itself or by way of another.
    pub(super) fn probe_answered(&mut self, by: &Id, directly: bool, now: Instant) {
        if self.confirmations.probe_answered(by) {
            self.health.better();
        }
        self.suspect_answered(by, now);
        let Some(asked) = self.probe.unanswered.take_if(|asked| asked.to == *by) else { return };
        // An agent at rest does not wake up for it again.
        self.schedule.clear(Only::Retransmit);
        if directly {
            let round_trip = now.saturating_since(asked.sent);
            self.hearing.lateness.measured(round_trip);
            // Of several copies nobody knows which one was answered (Karn's rule).
            if asked.copies == 0 {
                self.probe.round_trips.measured(round_trip);
                self.probe.per_member.measured(by, round_trip);
            }
        }
    }

    /// foca has taken the answer to its probe. It wants to be reminded of the indirect stage all the same, and
    /// then finds nothing to do: it is reminded now, and this node does not wake up for it.
    pub(super) fn end_direct_stage(&mut self, answered_by: &Id) {
        if let Some(timer) = self.schedule.take_indirect_stage(answered_by) {
            self.swim_due(timer);
        }
    }

    pub(super) fn retransmit_due(&mut self, now: Instant) {
        let Some(mut asked) = self.probe.unanswered.take() else { return };
        asked.copies += 1;
        asked.wait = (asked.wait * 2).min(MAX_WAIT);
        self.counters.probes_retransmitted += 1;
        self.send_watched(&asked.to, &Body::Swim(&asked.packet), now);
        let again = now + asked.wait;
        if asked.copies < self.config.detector.probe_retransmissions && again < asked.until {
            self.schedule.set(Only::Retransmit, again);
        }
        self.probe.unanswered = Some(asked);
    }
}
