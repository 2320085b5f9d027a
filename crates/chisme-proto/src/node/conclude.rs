//! When a suspicion ends with a Down: not before its time, and never while it is us who hear nothing.
//!
//! It knows how well this node hears. Who confirms a suspicion is `confirm`, who is asked is `reprobe`.

use std::time::Duration;

use foca::State;

use super::inbound::Written;
use super::{Node, Timer};
use crate::rtt::Lateness;
use crate::swim::{Id, Incarnation};
use crate::table::{Entry, Held};
use crate::{Instant, Life, Session};

/// Whoever has heard nobody for so many probe periods may be the one who does not read. In a cluster
/// of three of whom one is dead, the other is heard every second period.
const SILENCE_PERIODS: u32 = 5;
const SILENCE_DIVISOR: u32 = 2;

/// However deaf a node is and however late a suspect answers, a suspicion lasts at most so many times its
/// shortest time: whom it cannot hear for so long is lost to it.
const LONGEST_FACTOR: u32 = 4;

/// How well this node hears the others.
#[derive(Debug)]
pub(super) struct Hearing {
    /// When a datagram of anybody was last accepted.
    heard: Instant,
    /// Since when such datagrams have come without a long silence.
    since: Instant,
    /// The run and life in which a silence ended last after which there was somebody of whom we had let go.
    unsaid_in: Option<(Session, Life)>,
    started: Instant,
    pub(super) lateness: Lateness,
}

impl Hearing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            since: now,
            unsaid_in: None,
            started: now,
            lateness: Lateness::default(),
        }
    }
}

impl Node {
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

    /// When a suspicion ends, by what is known now. Only time in which we could have heard of a
    /// refutation counts; and whoever answers late reads late, so that its refutation is on its way.
    fn suspicion_ends(&mut self, id: &Id, since: Instant, now: Instant) -> Instant {
        let lasts = self.suspicion_lasts(id) + self.hearing.lateness.usual();
        let end = since + lasts;
        let mut counts_from = since.max(self.reprobed.answered(id).unwrap_or(since));
        // With one peer its silence is all that there can be.
        if self.table.up() > 1 {
            let deaf = now.saturating_since(self.hearing.heard) >= self.silence();
            counts_from = counts_from.max(if deaf { now } else { self.hearing.since });
        }
        let longest = since + self.config.detector.suspicion_timeout * LONGEST_FACTOR;
        let heard_out = (counts_from + lasts).min(longest);
        if end <= now && heard_out > now {
            self.counters.conclusions_postponed += 1;
        }
        end.max(heard_out)
    }

    /// A datagram was accepted. After a silence what was said meanwhile is still to come, and whom we
    /// concluded to be Down may be up for all others.
    pub(super) fn heard(&mut self, now: Instant) {
        if now.saturating_since(self.hearing.heard) >= self.silence() {
            self.hearing.since = now;
            self.unsay_downs();
            let let_go = self.table.iter().any(Entry::is_unheld);
            self.hearing.unsaid_in = let_go.then_some((self.session, self.life));
        }
        self.hearing.heard = now;
    }

    /// Whether what others say against members may have waited for us to read it.
    pub(super) fn is_catching_up(&self, now: Instant) -> bool {
        let since = self.hearing.since;
        since > self.hearing.started
            && now.saturating_since(since) < self.config.detector.probe_period
    }

    /// Whether a datagram was written after we let go of what we held Down. Only such a one makes any of
    /// them rise: what waits on a link or in a buffer outlives its sender.
    pub(super) fn is_fresh(&self, written: Written) -> bool {
        match written {
            Written::InAnswer => true,
            Written::To(life) => life == self.life && !self.has_unsaid(),
            Written::Sometime => false,
        }
    }

    /// Whether we took Downs back in the present life, so that it does not tell what was written before.
    fn has_unsaid(&self) -> bool {
        self.hearing.unsaid_in == Some((self.session, self.life))
    }

    /// We have met somebody after a silence, and are of one side with it: in a new life we can tell what is
    /// written from now on.
    pub(super) fn renew_after_silence(&mut self, now: Instant) {
        if self.has_unsaid() {
            self.raise_life(now);
        }
    }

    /// A page has somebody up whom we let go of after a silence. Whoever heard as little as we did would
    /// have given it up by now.
    pub(super) fn take_contradiction(&mut self, now: Instant) {
        let longest = self.config.detector.suspicion_timeout * (LONGEST_FACTOR + 1);
        if now.saturating_since(self.hearing.since) >= longest {
            self.renew_after_silence(now);
        }
    }

    /// How long nobody is heard before that says something of ourselves.
    pub(super) fn silence(&self) -> Duration {
        self.config.detector.probe_period * SILENCE_PERIODS / SILENCE_DIVISOR
    }
}
