//! Healing: finding the members that are held Down, and giving way to the larger side.

use std::time::Duration;

use foca::Member;
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::inbound::Peer;
use super::{Node, Only, Timer};
use crate::swim::Id;
use crate::table::Entry;
use crate::wire::{Body, Holds, Introduction, Outcome, Standing};
use crate::{Instant, Life};

/// How often a node may try one of the members that it holds Down.
pub(super) const RETRY_PERIOD: Duration = Duration::from_secs(1);

/// A member that is held Down for so long, while others hold it up, is asked.
const CONTESTED_AFTER: Duration = Duration::from_secs(1);

/// How many such members are asked, per second and at once.
pub(super) const CONTESTED_PER_SECOND: u32 = 1;
pub(super) const CONTESTED_BURST: u32 = 1;

/// For so long what the winning side tells us is taken over without spreading it.
const LOADING: Duration = Duration::from_secs(10);

/// For so long the mates of a node that yields stay up in its user's view, until they yield too.
const CARRY: Duration = Duration::from_secs(5);

/// How many members that a node suspects, and does not ask, are told so when it raises its life.
const RETOLD: usize = 16;

/// How many mates are told to whom we went over.
const INTRODUCTIONS: usize = 8;

impl Node {
    /// Tries one random Down member with probability 2/n: about two attempts a second in the
    /// whole cluster, whatever its size.
    pub(super) fn heal_due(&mut self, now: Instant) {
        if !self.table.iter().any(Entry::is_lost) {
            // The next one that is lost starts the timer again.
            return;
        }
        self.schedule_healing(now);
        let live = u32::try_from(self.live()).unwrap_or(u32::MAX);
        if self.rng.random_range(0..live) >= 2 {
            return;
        }
        let lost = self.random_member(Entry::is_lost);
        let endpoints = lost.and_then(|id| self.table.at(id.index)).map(Entry::endpoints);
        if let Some(endpoints) = endpoints {
            self.counters.heal_attempts += 1;
            self.greet_endpoints(&endpoints, now);
        }
    }

    /// A page has members up that we hold Down. After a crash one of us has not heard yet; if that goes on,
    /// one of them is asked, who may not have heard of its Down at all.
    pub(super) fn heal_contested(&mut self, members: &[Id], now: Instant) {
        let settled = |id: &&Id| {
            let entry = self.table.exactly(id).filter(|entry| entry.is_lost());
            entry.is_some_and(|entry| now.saturating_since(entry.since()) >= CONTESTED_AFTER)
        };
        let Some(id) = members.iter().filter(settled).choose(&mut self.rng) else { return };
        let endpoints = self.table.at(id.index).map(Entry::endpoints);
        if let Some(endpoints) = endpoints.filter(|_| self.contested.take(now)) {
            self.counters.heal_attempts += 1;
            self.greet_endpoints(&endpoints, now);
        }
    }

    pub(super) fn schedule_healing(&mut self, now: Instant) {
        let wait = self.jittered(RETRY_PERIOD);
        self.schedule.set(Only::Heal, now + wait);
    }

    /// Refutes our own Down: a new life, the same table, but for the Downs in it: we may have been the
    /// one who was cut off.
    pub(super) fn raise_life(&mut self, now: Instant) {
        self.counters.lives_raised += 1;
        self.unsay_downs();
        self.next_life();
        self.renew(now);
        self.restart_suspicions(now);
    }

    /// Those that we hold Down stay so for the user, and are nobody's conclusion any more: whoever tells
    /// us afresh that they are up is believed.
    pub(super) fn unsay_downs(&mut self) {
        let downs: Vec<Id> =
            self.table.iter().filter(|entry| entry.is_down()).map(Entry::id).collect();
        for id in downs {
            self.forget_in_foca(&id);
            self.table.unsay(id.index);
        }
    }

    /// Whoever was held Down may have been cut off, and then whom it suspects could not refute that:
    /// they get the time anew, and are asked by this run of foca as they were by the last one.
    fn restart_suspicions(&mut self, now: Instant) {
        let lasts = self.config.detector.suspicion_timeout;
        let mut told = 0;
        for id in self.schedule.restart_conclusions(now, lasts) {
            self.reprobe(&id, now);
            if !self.is_reprobed(&id)
                && told < RETOLD
                && let Some(suspicion) = self.as_update(&id)
            {
                told += 1;
                self.tell(&id, &[suspicion], now);
            }
        }
    }

    /// Does what the healing rule asks of us. `theirs` says how the peer holds us: a life that is held
    /// Down is over, even if it never was ours, so the next one is above it.
    pub(super) fn give_way(
        &mut self,
        outcome: Outcome,
        theirs: Standing,
        peer: &Peer,
        now: Instant,
    ) {
        if let (Outcome::RaiseLife | Outcome::Yield, Holds::Gone(life)) = (outcome, theirs.holds) {
            self.life = self.life.max(life);
        }
        match outcome {
            Outcome::Nothing => {}
            Outcome::RaiseLife => self.raise_life(now),
            Outcome::Yield => self.yield_to_other_side(peer, theirs, now),
        }
    }

    fn next_life(&mut self) {
        if self.life == Life(u16::MAX) {
            self.session = self.session.above(self.rng.random());
            self.life = Life::default();
        } else {
            self.life = self.life.next();
        }
    }

    /// Starts foca anew under the present session and life, with the table that we have, and lets
    /// a few members know.
    pub(super) fn renew(&mut self, now: Instant) {
        self.rebuild_engine();
        self.republish_record(now);
        let members: Vec<Member<Id>> = self
            .table
            .iter()
            .filter_map(|entry| {
                entry.held().map(|held| Member::new(entry.id(), held.incarnation, held.state))
            })
            .collect();
        for member in members {
            let directory = self.table.entries_mut();
            let result = self.engine.apply(member, false, directory, &mut self.effects);
            self.count_swim(result);
        }
        let result = self.engine.gossip(self.table.entries_mut(), &mut self.effects);
        self.count_swim(result);
        self.schedule.forget_swim_before(self.generation);
        self.view_changed(now);
    }

    /// Goes over to the side of `winner`: foca is rebuilt under a new life and learns that side's
    /// view, because its queue of rumours about that side cannot be emptied. Mates are told to come
    /// along; until they do, or for a grace, the user sees no change.
    fn yield_to_other_side(&mut self, winner: &Peer, standing: Standing, now: Instant) {
        self.counters.yields += 1;
        self.next_life();
        let introduction =
            Introduction { name: winner.sender.name.clone(), endpoints: winner.endpoints() };
        let run = (winner.hash, winner.session);
        let mates: Vec<Id> = self
            .table
            .iter()
            .filter(|entry| entry.is_up() && (entry.hash(), entry.id().session) != run)
            .map(Entry::id)
            .sample(&mut self.rng, INTRODUCTIONS);
        for mate in mates {
            self.send_to_member(&mate, &Body::Introduce(introduction.clone()));
        }
        self.winner = Some((introduction, standing));
        self.table.go_over(run, now + CARRY);
        self.rebuild_engine();
        self.republish_record(now);
        self.schedule.forget_swim_before(self.generation);
        self.schedule.forget_conclusions();
        self.loading_until = now + LOADING;
        self.schedule.add(now + CARRY, Timer::EndCarry);
    }

    /// The grace is over: mates that have not come along are shown for what they are to this side.
    pub(super) fn end_carry(&mut self, now: Instant) {
        for id in self.table.carried_too_long(now) {
            self.table.end_carry(id.index);
            self.show(&id, now);
        }
        self.schedule_healing(now);
    }

    /// A mate that has not come along yet sends to us: it is told whom to greet.
    pub(super) fn introduce_winner(&mut self, mate: &Id, now: Instant) {
        if self.may_nudge(mate, now)
            && let Some((introduction, _)) = self.winner.clone()
        {
            self.send_to_member(mate, &Body::Introduce(introduction));
        }
    }

    /// A mate went over to another side and says to whom.
    pub(super) fn take_introduction(
        &mut self,
        peer: &Peer,
        introduction: &Introduction,
        now: Instant,
    ) {
        let Some(mate) = self.table.find(peer.hash).map(Entry::id) else { return };
        if introduction.name != self.name && self.may_nudge(&mate, now) {
            self.greet_endpoints(&introduction.endpoints, now);
        }
    }
}
