//! Leaving: a goodbye that a few members have acknowledged is known to all soon.

use std::collections::BTreeSet;
use std::time::Duration;

use foca::State;
use rand::seq::IteratorRandom;

use super::inbound::Peer;
use super::{Node, Phase, Timer};
use crate::identity::NameHash;
use crate::swim::{Id, LEFT};
use crate::table::{Entry, Held};
use crate::wire::Body;
use crate::{Instant, StopReason};

/// How many members are told, and how many acknowledgements are enough.
const TOLD: usize = 8;
const ENOUGH: usize = 3;

/// When the goodbye is repeated to those that have not acknowledged it, and when it is given up.
const REPEAT: Duration = Duration::from_millis(150);
const GIVE_UP: Duration = Duration::from_secs(1);

/// A goodbye under way.
#[derive(Debug)]
pub(super) struct Farewell {
    acknowledged: BTreeSet<NameHash>,
    since: Instant,
}

impl Farewell {
    pub(super) fn acknowledged(&mut self, by: NameHash) {
        self.acknowledged.insert(by);
    }
}

impl Node {
    pub(super) fn leave(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        // foca sends its own Down to a few at once; the codec writes it as Left.
        let result = self.engine.leave(self.table.entries_mut(), &mut self.effects);
        self.count_swim(result);
        self.flush_effects(now);
        self.phase = Phase::Leaving(Farewell { acknowledged: BTreeSet::new(), since: now });
        self.farewell_due(now);
    }

    pub(super) fn farewell_due(&mut self, now: Instant) {
        let Phase::Leaving(farewell) = &self.phase else { return };
        let since = farewell.since;
        if now - since >= GIVE_UP {
            return self.stop(StopReason::Left);
        }
        let waiting: Vec<Id> = self
            .table
            .iter()
            .filter(|entry| entry.is_up())
            .filter(|entry| !farewell.acknowledged.contains(&entry.hash()))
            .map(Entry::id)
            .sample(&mut self.rng, TOLD);
        for id in waiting {
            self.send_to_member(&id, &Body::Leaving);
        }
        let next = (now + REPEAT).min(since + GIVE_UP);
        self.schedule.add(next, Timer::Farewell);
        self.farewell_progress();
    }

    /// Enough members know, or nobody is left to be told: those who leave too do not count.
    pub(super) fn farewell_progress(&mut self) {
        let Phase::Leaving(farewell) = &self.phase else { return };
        let told = farewell.acknowledged.len();
        if told >= ENOUGH || told >= self.table.up() {
            self.stop(StopReason::Left);
        }
    }

    /// A member says goodbye. It is answered in any case, so that it need not say so again.
    pub(super) fn take_leaving(&mut self, peer: &Peer, now: Instant) {
        self.send(peer.from, peer.session, &Body::LeavingAck);
        self.take_farewell(peer, now);
    }

    /// Marks a member as Left.
    pub(super) fn take_farewell(&mut self, peer: &Peer, now: Instant) {
        let Some(entry) = self.table.find(peer.hash) else { return };
        if entry.id().age() == (peer.session, peer.sender.life) {
            let id = entry.id();
            let farewell = Held { incarnation: LEFT, state: State::Down };
            self.apply(id, farewell, None, true, now);
        }
    }
}
