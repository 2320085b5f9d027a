//! When rumours that wait are sent on their own: at once and often while they tell who is up, at leisure
//! when they only tell of suspicions and of what became of them.
//!
//! foca says what is sent and to whom, and asks for a timer. Here it is decided when that timer
//! fires; an idle node is not woken by it.

use std::time::Duration;

use foca::Timer as SwimTimer;

use super::{Node, Only};
use crate::swim::Id;
use crate::{Fill, Instant};

/// A change of who is up is told on its own for so many gossip periods: a rumour is sent ten to
/// sixteen times, to three members in each.
const NEWS_PERIODS: u32 = 8;

/// Suspicions and refutations travel between those whom they concern without gossip: all others may
/// hear of them with the next probe, or so many gossip periods later.
const LEISURE: u32 = 8;

/// There may be one rumour of each member, and so many of members that were forgotten meanwhile; what is
/// beyond is left to the comparison of digests.
const FORGOTTEN_RUMOURS: usize = 1_024;

/// foca's gossip timer, and what waits for it.
#[derive(Debug)]
pub(super) struct Gossip {
    /// foca's timer, while it is not with foca.
    timer: Option<SwimTimer<Id>>,
    /// When it fires; none while there is no rumour to send.
    at: Option<Instant>,
    /// Until then rumours may tell who is up.
    news_until: Instant,
}

impl Gossip {
    pub(super) const fn new(now: Instant) -> Self {
        Self { timer: None, at: None, news_until: now }
    }

    /// The timer of an earlier run of foca is not this one's.
    pub(super) fn forget_timer(&mut self) {
        (self.timer, self.at) = (None, None);
    }

    /// All timers are later by so much.
    pub(super) fn shift(&mut self, late: Duration) {
        self.at = self.at.map(|at| at + late);
    }
}

impl Node {
    /// foca itself adds rumours of members that it knows, beyond those that we let in.
    pub(super) fn rumours_fill(&self) -> Fill {
        Fill::new("rumours", self.engine.rumours(), self.most_rumours() + self.table.places())
    }

    /// Whether one more change may be told on.
    pub(super) fn may_tell_on(&mut self) -> bool {
        let may = self.engine.rumours() < self.most_rumours();
        self.counters.rumours_dropped += u64::from(!may);
        may
    }

    /// The table does not shrink, so what was let in is never too much later.
    fn most_rumours(&self) -> usize {
        self.table.places() + FORGOTTEN_RUMOURS
    }

    /// foca has gossiped, or begins to, and wants to be reminded.
    pub(super) fn gossip_again(&mut self, timer: SwimTimer<Id>, now: Instant) {
        self.gossip.timer = Some(timer);
        if self.engine.has_rumours() {
            let wait = self.gossip_pace(now);
            self.schedule_gossip(now + wait);
        }
    }

    /// Who is up has changed in our view, or is about to: that is told soon.
    pub(super) fn gossip_news(&mut self, now: Instant) {
        self.gossip.news_until = now + self.config.detector.gossip_period * NEWS_PERIODS;
    }

    /// A rumour may have come while foca's timer was resting, or waited for less: it goes out soon, and with
    /// the rumours that come right after this one.
    pub(super) fn wake_gossip(&mut self, now: Instant) {
        if self.gossip.timer.is_none() || !self.engine.has_rumours() {
            return;
        }
        let pace = self.gossip_pace(now);
        if self.gossip.at.is_none_or(|at| at > now + pace) {
            self.schedule_gossip(now + pace / 2);
        }
    }

    pub(super) fn gossip_due(&mut self) {
        self.gossip.at = None;
        if let Some(timer) = self.gossip.timer.take() {
            self.swim_due(timer);
        }
    }

    fn gossip_pace(&self, now: Instant) -> Duration {
        let period = self.config.detector.gossip_period;
        if now < self.gossip.news_until { period } else { period * LEISURE }
    }

    fn schedule_gossip(&mut self, at: Instant) {
        self.gossip.at = Some(at);
        self.schedule.set(Only::Gossip, at);
    }
}
