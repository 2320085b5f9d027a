//! Two sessions that claim one name: who of them answers decides.

use std::net::SocketAddr;
use std::time::Duration;

use foca::State;
use rand::RngExt;

use super::inbound::Peer;
use super::{Node, Timer};
use crate::identity::NameHash;
use crate::swim::Id;
use crate::table::Held;
use crate::wire::{Body, EchoBody, Notice, Proof, Token};
use crate::{Endpoints, Event, Fill, Instant, Life, NodeName, Refusal, Session, StopReason};

/// Three direct checks, the last one answered within half a second of the first.
const CHECKS: u8 = 3;
const CHECK_PERIOD: Duration = Duration::from_millis(166);

/// The most names that are disputed at one time.
const MAX_DISPUTES: usize = 64;

/// One process that claims the name.
#[derive(Debug)]
struct Holder {
    session: Session,
    addr: SocketAddr,
    token: Token,
    answered: bool,
}

/// One disputed name.
#[derive(Debug)]
pub(super) struct Dispute {
    name: NodeName,
    checks: u8,
    older: Option<Holder>,
    newer: Option<Holder>,
    about: About,
}

/// How the newer session came to our notice.
#[derive(Debug)]
enum About {
    /// It asks us to let it in.
    Newcomer { peer: Box<Peer>, proof: Box<Proof> },
    /// Others hold it up.
    Rumour { life: Life, endpoints: Endpoints },
    /// It has our own name.
    Ourselves,
}

impl Node {
    pub(super) fn disputes_fill(&self) -> Fill {
        Fill::new("disputes", self.disputes.len(), MAX_DISPUTES)
    }

    /// A newcomer wants a name that is held up: it gets it if the holder does not answer.
    pub(super) fn dispute_newcomer(&mut self, peer: Peer, proof: Proof, now: Instant) {
        let Some(older) = self.present_holder(peer.hash) else { return };
        let (hash, name) = (peer.hash, peer.sender.name.clone());
        let about = About::Newcomer { peer: Box::new(peer), proof: Box::new(proof) };
        self.open_dispute(
            hash,
            Dispute { name, checks: 0, older: Some(older), newer: None, about },
            now,
        );
    }

    /// Others hold a newer session up of a name that we hold up: both are asked.
    pub(super) fn dispute_rumour(
        &mut self,
        name: &NodeName,
        (session, life): (Session, Life),
        endpoints: Endpoints,
        now: Instant,
    ) {
        let hash = NameHash::of(name);
        let (Some(older), Some(addr)) = (self.present_holder(hash), self.route(&endpoints)) else {
            return;
        };
        let newer = Some(self.holder(session, addr));
        let about = About::Rumour { life, endpoints };
        let name = name.clone();
        self.open_dispute(hash, Dispute { name, checks: 0, older: Some(older), newer, about }, now);
    }

    /// Somebody else has our name. A newer session that answers stops us; one that sends to us is
    /// told that it is the older.
    pub(super) fn meet_namesake(&mut self, session: Session, from: SocketAddr, now: Instant) {
        if session > self.session {
            return;
        }
        let holder = self.endpoints.of_family(from).unwrap_or(from);
        if self.may_answer(from, now) {
            let notice = Notice::Conflict { session: self.session, holder };
            self.send(from, session, &Body::Notice(notice));
        }
    }

    /// We are told something about our own name.
    pub(super) fn take_notice(&mut self, peer: &Peer, notice: Notice, now: Instant) {
        match notice {
            Notice::Superseded { session } => self.go_above(session, now),
            Notice::Conflict { session, holder } if session > self.session => {
                let newer = Some(self.holder(session, holder));
                let (name, about) = (self.name.clone(), About::Ourselves);
                let dispute = Dispute { name, checks: 0, older: None, newer, about };
                self.open_dispute(self.hash, dispute, now);
            }
            Notice::Conflict { .. } => {}
            Notice::Claimed { claimant } => {
                let holder = self.endpoints.of_family(claimant).unwrap_or(peer.from);
                let name = self.name.clone();
                self.event(Event::NameConflict { name, holder, claimant, ours: true });
            }
        }
    }

    fn present_holder(&mut self, hash: NameHash) -> Option<Holder> {
        let entry = self.table.find(hash)?;
        let (session, endpoints) = (entry.id().session, entry.endpoints());
        let addr = self.route(&endpoints)?;
        Some(self.holder(session, addr))
    }

    fn holder(&mut self, session: Session, addr: SocketAddr) -> Holder {
        Holder { session, addr, token: Token(self.rng.random()), answered: false }
    }

    fn open_dispute(&mut self, hash: NameHash, dispute: Dispute, now: Instant) {
        if self.disputes.contains_key(&hash) || self.disputes.len() >= MAX_DISPUTES {
            return;
        }
        self.disputes.insert(hash, dispute);
        self.dispute_due(hash, now);
    }

    pub(super) fn dispute_due(&mut self, hash: NameHash, now: Instant) {
        let Some(dispute) = self.disputes.get_mut(&hash) else { return };
        if dispute.checks == CHECKS {
            let dispute = self.disputes.remove(&hash).expect("it was there a line above");
            return self.conclude_dispute(hash, dispute, now);
        }
        dispute.checks += 1;
        let holders = [&dispute.older, &dispute.newer];
        let asked: Vec<(SocketAddr, Session, Token)> = holders
            .into_iter()
            .flatten()
            .filter(|holder| !holder.answered)
            .map(|holder| (holder.addr, holder.session, holder.token))
            .collect();
        for (addr, session, token) in asked {
            self.send(addr, session, &Body::Echo(EchoBody { token }));
        }
        self.schedule.add(now + CHECK_PERIOD, Timer::Dispute(hash));
    }

    /// A holder answered. The older one of a newcomer's name settles the matter at once.
    pub(super) fn holder_answered(&mut self, token: Token, session: Session, now: Instant) {
        let mut settled = None;
        for (&hash, dispute) in &mut self.disputes {
            let holders = [&mut dispute.older, &mut dispute.newer];
            for holder in holders.into_iter().flatten() {
                holder.answered |= holder.token == token && holder.session == session;
            }
            let asked = [&dispute.older, &dispute.newer];
            if asked.into_iter().flatten().all(|holder| holder.answered) {
                settled = Some(hash);
            }
        }
        if let Some((hash, dispute)) = settled.and_then(|hash| self.disputes.remove_entry(&hash)) {
            self.conclude_dispute(hash, dispute, now);
        }
    }

    fn conclude_dispute(&mut self, hash: NameHash, dispute: Dispute, now: Instant) {
        let Dispute { name, older, newer, about, .. } = dispute;
        let answered = |holder: Option<Holder>| holder.filter(|holder| holder.answered);
        let newer_session = newer.as_ref().map(|holder| holder.session);
        let older_session = older.as_ref().map(|holder| holder.session);
        let present = self.table.find(hash).map(|entry| entry.id().session);
        if older_session.is_some() && older_session != present {
            // The matter was settled meanwhile, by somebody else.
            return;
        }
        let (older, newer) = (answered(older), answered(newer));
        match about {
            About::Newcomer { peer, proof } => {
                let Some(older) = older else {
                    self.bury_holder(hash, now);
                    // Its place may have gone to another meanwhile.
                    if let Some(peer) = self.unopposed(*peer, &proof, now) {
                        self.check_address(peer, &proof, now);
                    }
                    return;
                };
                let claimant = peer.from;
                self.send(older.addr, older.session, &Body::Notice(Notice::Claimed { claimant }));
                let reason = Refusal::NameConflict { name, holder: older.addr };
                self.refuse(&peer, &proof, reason);
            }
            About::Rumour { life, endpoints } => match (older, newer, newer_session) {
                (Some(older), Some(newer), _) => self.report_conflict(name, &older, &newer),
                (Some(older), None, Some(session)) => {
                    let notice = Notice::Superseded { session };
                    self.send(older.addr, older.session, &Body::Notice(notice));
                }
                // Whoever still holds the newer one up says so again.
                (None, None, _) => self.bury_holder(hash, now),
                (None, Some(Holder { session, .. }), _) => {
                    self.bury_holder(hash, now);
                    let Some(entry) = self.table.find(hash) else { return };
                    let id = Id::new((session, life), entry.index());
                    let is_newer = id.age() > entry.id().age();
                    if is_newer && !self.is_too_far(session) && self.has_room() {
                        let alive = Held { incarnation: 0, state: State::Alive };
                        self.apply(id, alive, Some(endpoints), true, now);
                    }
                }
                (Some(_), None, None) => {}
            },
            About::Ourselves => match (newer, newer_session) {
                (Some(newer), _) => {
                    let claimant = self.endpoints.of_family(newer.addr).unwrap_or(newer.addr);
                    let holder = newer.addr;
                    self.event(Event::NameConflict { name, holder, claimant, ours: true });
                    self.stop(StopReason::NameConflict);
                }
                (None, Some(session)) => self.go_above(session, now),
                (None, None) => {}
            },
        }
    }

    /// Both live: each is told, and the one with the lower session will stop.
    fn report_conflict(&mut self, name: NodeName, older: &Holder, newer: &Holder) {
        let (holder, claimant) = (newer.addr, older.addr);
        let conflict = Notice::Conflict { session: newer.session, holder };
        self.send(older.addr, older.session, &Body::Notice(conflict));
        self.send(newer.addr, newer.session, &Body::Notice(Notice::Claimed { claimant }));
        self.event(Event::NameConflict { name, holder, claimant, ours: false });
    }

    /// The holder of a name that another takes over did not answer: its session is over.
    fn bury_holder(&mut self, hash: NameHash, now: Instant) {
        let Some(entry) = self.table.find(hash) else { return };
        let (id, Some(held)) = (entry.id(), entry.held()) else { return };
        if entry.is_up() {
            self.apply(id, Held { state: State::Down, ..held }, None, true, now);
        }
    }
}
