//! Knocking at addresses: Hello, Proof, and what comes of them. On whose behalf is in `request`,
//! `seeding`, `healing` and `admit`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::admit::MAX_ADMISSIONS;
use super::inbound::Peer;
use super::request::MAX_REQUESTS;
use super::{Node, Phase, Timer};
use crate::identity::{NameHash, canonical, is_usable};
use crate::swim::Id;
use crate::table::Entry;
use crate::wire::{Ack, Body, Challenge, Hello, Nonce, Proof, RefusalBody, Welcome};
use crate::{
    ContactResult, Endpoints, Event, Fill, Instant, Life, MAX_CONTACTS, NodeName, Refusal,
    RequestId, Session,
};

/// When a Hello or a Proof is sent, counted from the first; then it is given up.
const TRIES_MS: [u64; 5] = [0, 200, 500, 1000, 2000];
const FEW_TRIES: usize = 2;
const HELLO_GIVE_UP: Duration = Duration::from_secs(3);
/// Longer: the other side may first have to look for an old holder of our name.
const PROOF_GIVE_UP: Duration = Duration::from_secs(5);

/// The most addresses that are knocked at side by side for seeds and healing.
const MAX_BACKGROUND_ATTEMPTS: usize = 128;

/// The most that are knocked at at all: those, what the embedder asks for, and what newcomers advertise.
pub(super) const MAX_ATTEMPTS: usize =
    MAX_BACKGROUND_ATTEMPTS + MAX_REQUESTS * MAX_CONTACTS + MAX_ADMISSIONS;

/// One address being knocked at.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) addr: SocketAddr,
    pub(super) expect: Option<NodeName>,
    why: Why,
    stage: Stage,
    since: Instant,
    tries: usize,
    /// The number of the timer that counts; earlier ones are void.
    turn: u32,
}

/// On whose behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Connect(RequestId),
    Seed,
    Heal,
    /// A newcomer says that it can be reached there.
    Verify(NameHash, Session),
}

#[derive(Debug)]
enum Stage {
    Hello,
    /// `life` is the one that we had when it was first sent.
    Proof {
        peer: Peer,
        challenge: Challenge,
        was_up: bool,
        life: Life,
    },
}

impl Node {
    pub(super) fn attempts_fill(&self) -> Fill {
        Fill::new("attempts", self.attempts.len(), MAX_ATTEMPTS)
    }

    /// Starts an attempt and sends its first Hello.
    pub(super) fn knock(
        &mut self,
        addr: SocketAddr,
        expect: Option<NodeName>,
        why: Why,
        now: Instant,
    ) -> Nonce {
        let nonce = Nonce(self.rng.random());
        let attempt =
            Attempt { addr, expect, why, stage: Stage::Hello, since: now, tries: 0, turn: 0 };
        self.attempts.insert(nonce, attempt);
        self.attempt_due(nonce, 0, now);
        nonce
    }

    /// Knocks at an address for seeding or healing, unless that is under way, there are too many, or
    /// this node leaves.
    pub(super) fn knock_quietly(
        &mut self,
        addr: SocketAddr,
        expect: Option<NodeName>,
        why: Why,
        now: Instant,
    ) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        let under_way = self.attempts.values().any(|attempt| attempt.addr == addr);
        if !under_way && self.attempts.len() < MAX_BACKGROUND_ATTEMPTS && is_usable(addr) {
            self.knock(addr, expect, why, now);
        }
    }

    /// Starts the present stage of an attempt from its first try.
    fn restart_attempt(&mut self, nonce: Nonce, now: Instant) {
        let Some(attempt) = self.attempts.get_mut(&nonce) else { return };
        (attempt.since, attempt.tries) = (now, 0);
        let turn = attempt.turn;
        self.attempt_due(nonce, turn, now);
    }

    pub(super) fn attempt_due(&mut self, nonce: Nonce, turn: u32, now: Instant) {
        let Some(attempt) = self.attempts.get_mut(&nonce) else { return };
        if attempt.turn != turn {
            return;
        }
        if matches!(attempt.stage, Stage::Proof { life, .. } if life != self.life) {
            // Its answer would be about a life that is over.
            attempt.stage = Stage::Hello;
            return self.restart_attempt(nonce, now);
        }
        // A member that is held Down is tried again soon enough.
        // So is a newcomer whose advertised address has not answered; that address may be a victim.
        let few = matches!(attempt.why, Why::Heal | Why::Verify(..));
        let last = if few { FEW_TRIES } else { TRIES_MS.len() };
        if attempt.tries >= last && matches!(attempt.stage, Stage::Hello)
            || attempt.tries == TRIES_MS.len()
        {
            return self.end_attempt(nonce, ContactResult::NoAnswer, now);
        }
        attempt.tries += 1;
        let give_up = match attempt.stage {
            Stage::Hello => HELLO_GIVE_UP,
            Stage::Proof { .. } => PROOF_GIVE_UP,
        };
        let next = TRIES_MS.get(attempt.tries).map_or(give_up, |&ms| Duration::from_millis(ms));
        attempt.turn += 1;
        let turn = attempt.turn;
        self.schedule.add(attempt.since + next, Timer::Attempt { nonce, turn });
        self.send_attempt(nonce);
    }

    fn send_attempt(&mut self, nonce: Nonce) {
        let Some(attempt) = self.attempts.get(&nonce) else { return };
        let to = attempt.addr;
        match &attempt.stage {
            Stage::Hello => {
                let hello = Hello {
                    versions: self.config.versions,
                    capabilities: 0,
                    nonce,
                    to,
                    expect: attempt.expect.clone(),
                };
                self.counters.hellos_sent += 1;
                self.send(to, Session::NONE, &Body::Hello(hello));
            }
            Stage::Proof { peer, challenge, .. } => {
                let (session, hash) = (peer.session, peer.hash);
                let proof = Proof {
                    nonce,
                    challenge: *challenge,
                    versions: self.config.versions,
                    to,
                    standing: self.standing_towards(hash, session),
                };
                self.send(to, session, &Body::Proof(proof));
            }
        }
    }

    /// Somebody answered our Hello.
    pub(super) fn take_hello_ack(&mut self, peer: &Peer, ack: &Ack, now: Instant) {
        let Some(attempt) = self.attempts.get(&ack.nonce) else { return };
        if !matches!(attempt.stage, Stage::Hello) {
            return;
        }
        let (addr, why, expect) = (attempt.addr, attempt.why, attempt.expect.clone());
        if peer.session == self.session && peer.hash == self.hash {
            self.rest_own_address(addr, now);
            return self.end_attempt(ack.nonce, ContactResult::Ourselves, now);
        }
        if let Why::Verify(hash, session) = why {
            let it_is = peer.hash == hash && peer.session == session;
            self.attempts.remove(&ack.nonce);
            return self.advertised_answered(hash, it_is, now);
        }
        if let Some(expect) = expect.filter(|name| *name != peer.sender.name) {
            self.ask_sibling(peer, ack, why, &expect, now);
            let result = ContactResult::SomebodyElse(peer.sender.name.clone());
            return self.end_attempt(ack.nonce, result, now);
        }
        if let Some(known) = ack.known_session.filter(|&known| known > self.session) {
            return self.go_above(known, now);
        }
        self.correct_endpoint(ack.observed);
        if let Some(reason) = self.objection(peer, ack) {
            let refusal = RefusalBody::new(&reason, ack.nonce, ack.challenge, self.config.versions);
            self.send(peer.from, peer.session, &Body::Refused(refusal));
            self.refused(peer.from, false, reason.clone());
            return self.end_attempt(ack.nonce, ContactResult::Refused(reason), now);
        }
        let was_up = self
            .table
            .find(peer.hash)
            .is_some_and(|entry| entry.is_up() && entry.id().session == peer.session);
        if let Some(attempt) = self.attempts.get_mut(&ack.nonce) {
            attempt.addr = peer.from;
            let (peer, challenge) = (peer.clone(), ack.challenge);
            let life = self.life;
            attempt.stage = Stage::Proof { peer, challenge, was_up, life };
        }
        self.restart_attempt(ack.nonce, now);
    }

    /// Those who have answered a Hello of ours and not yet our Proof.
    pub(super) fn meeting(&self) -> BTreeSet<NameHash> {
        let peer = |attempt: &Attempt| match &attempt.stage {
            Stage::Proof { peer, .. } => Some(peer.hash),
            Stage::Hello => None,
        };
        self.attempts.values().filter_map(peer).collect()
    }

    /// Why we would not join this peer, whatever it thinks of us.
    fn objection(&self, peer: &Peer, ack: &Ack) -> Option<Refusal> {
        let (by, ours) = (peer.sender.name.clone(), self.config.versions);
        if ours.common(ack.versions).is_none() {
            return Some(Refusal::Version { by, theirs: ack.versions, ours });
        }
        let (theirs, ours) = (by.kind(), self.name.kind());
        (theirs != ours).then_some(Refusal::NameKind { by, theirs, ours })
    }

    /// An address that we only guessed is replaced by the one at which a contact sees us.
    pub(super) fn correct_endpoint(&mut self, observed: SocketAddr) {
        let observed = canonical(observed);
        let current = self.endpoints.of_family(observed);
        let wrong =
            current.is_none_or(|addr| addr.ip().is_loopback() != observed.ip().is_loopback());
        // A loopback observer tells nothing to a node that has a real address, of either family.
        let better = !observed.ip().is_loopback()
            || self.endpoints.iter().all(|addr| addr.ip().is_loopback());
        if self.config.endpoint_is_guess && is_usable(observed) && wrong && better {
            self.set_endpoints(Some(observed));
        }
    }

    /// Changes where we can be reached, and everything that says so.
    fn set_endpoints(&mut self, addr: Option<SocketAddr>) {
        if let Some(addr) = addr {
            self.endpoints.set(addr);
        }
        self.engine.set_own(self.own_run());
    }

    /// We are in. What the healing rule asks of us comes first, then the peer is a member.
    pub(super) fn take_welcome(&mut self, peer: &Peer, welcome: &Welcome, now: Instant) {
        let Some(attempt) = self.attempts.get(&welcome.nonce) else { return };
        let (was_up, life) = match &attempt.stage {
            Stage::Proof { peer: asked, was_up, life, .. } if asked.session == peer.session => {
                (*was_up, *life)
            }
            _ => return,
        };
        // What was decided about an earlier life of ours is settled: somebody else was quicker.
        if life == self.life {
            self.give_way(welcome.outcome, welcome.standing, peer, now);
            self.renew_after_silence(now);
        }
        self.welcome_member(peer, now);
        let name = peer.sender.name.clone();
        let result =
            if was_up { ContactResult::AlreadyKnown(name) } else { ContactResult::Joined(name) };
        self.end_attempt(welcome.nonce, result, now);
    }

    /// Takes a proven peer into the table and asks for its view.
    pub(super) fn welcome_member(&mut self, peer: &Peer, now: Instant) {
        if let Some(id) = self.admit_sender(peer, 0, now) {
            self.send_sums(&id);
        }
    }

    /// The peer that we asked, or a newcomer that asked us, says no.
    pub(super) fn take_refusal(&mut self, peer: &Peer, refusal: &RefusalBody, now: Instant) {
        let advertised = self.endpoints.of_family(peer.from);
        let reason = refusal.reason(
            &peer.sender.name,
            &self.name,
            self.config.versions,
            advertised,
            peer.from,
        );
        if self.challenge_holds(&refusal.challenge, peer, now) {
            return self.refused(peer.from, true, reason);
        }
        let Some(attempt) = self.attempts.get(&refusal.nonce) else { return };
        if matches!(&attempt.stage, Stage::Proof { peer: p, .. } if p.session == peer.session) {
            if let Refusal::NameConflict { holder, .. } = &reason {
                let (name, holder) = (self.name.clone(), *holder);
                let claimant = self.endpoints.of_family(holder).unwrap_or(peer.from);
                self.event(Event::NameConflict { name, holder, claimant, ours: true });
            }
            self.refused(peer.from, true, reason.clone());
            self.end_attempt(refusal.nonce, ContactResult::Refused(reason), now);
        }
    }

    pub(super) fn refused(&mut self, peer: SocketAddr, by_peer: bool, reason: Refusal) {
        self.counters.refusals += 1;
        self.event(Event::Refused { peer, by_peer, reason });
    }

    pub(super) fn end_attempt(&mut self, nonce: Nonce, result: ContactResult, now: Instant) {
        let Some(attempt) = self.attempts.remove(&nonce) else { return };
        match attempt.why {
            Why::Seed | Why::Heal => {}
            Why::Verify(hash, _) => self.advertised_answered(hash, false, now),
            Why::Connect(id) => self.request_attempt_ended(id, nonce, &attempt, result),
        }
    }

    /// Somebody knows a newer session of our name: we go above it and knock again.
    pub(super) fn go_above(&mut self, known: Session, now: Instant) {
        if known <= self.session || self.is_too_far(known) {
            return;
        }
        self.session = known.above(self.rng.random());
        tracing::info!(session = %self.session, "a newer session of this name is known; going above");
        self.renew(now);
        let waiting: Vec<Nonce> = self.attempts.keys().copied().collect();
        for nonce in waiting {
            if let Some(attempt) = self.attempts.get_mut(&nonce) {
                attempt.stage = Stage::Hello;
            }
            self.restart_attempt(nonce, now);
        }
    }

    /// Knocks at a member where it says it lives, to find out how it and we hold each other. Not
    /// where its datagram came from: whoever redirects one must not have us write to a stranger.
    pub(super) fn greet(&mut self, peer: &Peer, id: &Id, now: Instant) {
        let held = self.table.at(id.index).map(Entry::endpoints);
        let says = Some(peer.sender.endpoints).filter(|endpoints| !endpoints.is_empty());
        if let Some(endpoints) = says.or(held)
            && self.may_nudge(id, now)
        {
            self.greet_endpoints(&endpoints, now);
        }
    }

    /// Knocks at whatever endpoint of a member can be reached.
    pub(super) fn greet_endpoints(&mut self, endpoints: &Endpoints, now: Instant) {
        if let Some(addr) = self.route(endpoints) {
            self.knock_quietly(addr, None, Why::Heal, now);
        }
    }
}
