//! The other end of the handshake: answering Hello, checking proofs, letting newcomers in.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Node;
use super::contact::Why;
use super::inbound::Peer;
use crate::heal::{self, Meeting};
use crate::identity::NameHash;
use crate::table::Entry;
use crate::wire::{
    Ack, Body, Challenge, Hello, Holds, Outcome, Proof, RefusalBody, Standing, Welcome,
};
use crate::{Event, Fill, Instant, Refusal, Session};

/// A challenge holds in its own ten seconds and in the ten that follow.
const CHALLENGE_BUCKET: Duration = Duration::from_secs(10);

/// The most newcomers whose advertised address is being proved at one time.
pub(super) const MAX_ADMISSIONS: usize = 64;

/// Newcomers that wait until we have reached them at the address that they advertise.
pub(super) type Admissions = BTreeMap<NameHash, Admission>;

/// A newcomer that proved its source address, and wants another one spread.
#[derive(Debug)]
pub(super) struct Admission {
    peer: Peer,
    proof: Proof,
    advertised: SocketAddr,
}

/// What challenges are made with: new for every process, never sent. No state is kept per asker.
pub(super) struct HandshakeSecret(Hmac<Sha256>);

impl HandshakeSecret {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self(Hmac::new_from_slice(&secret).expect("HMAC takes keys of any length"))
    }

    fn challenge(&self, peer: &Peer, bucket: u64) -> Challenge {
        let ip = match peer.from.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let full = self
            .0
            .clone()
            .chain_update(peer.session.to_u64().to_be_bytes())
            .chain_update(peer.hash.to_bytes())
            .chain_update(ip.octets())
            .chain_update(peer.from.port().to_be_bytes())
            .chain_update(bucket.to_be_bytes())
            .finalize()
            .into_bytes();
        Challenge(full[..16].try_into().expect("SHA-256 has 32 bytes"))
    }
}

fn bucket(now: Instant) -> u64 {
    now.as_nanos() / u64::try_from(CHALLENGE_BUCKET.as_nanos()).expect("ten seconds fit")
}

impl Node {
    pub(super) fn admissions_fill(&self) -> Fill {
        Fill::new("admissions", self.admissions.len(), MAX_ADMISSIONS)
    }

    /// Whether one more answer may go out to `to`: all are limited, and each address is.
    pub(super) fn may_answer(&mut self, to: SocketAddr, now: Instant) -> bool {
        let may = self.source_answers.take(to, now) && self.answers.take(now);
        if !may {
            self.counters.answers_limited += 1;
        }
        may
    }

    pub(super) fn challenge_holds(&self, given: &Challenge, peer: &Peer, now: Instant) -> bool {
        let bucket = bucket(now);
        let matches = |bucket| self.secret.challenge(peer, bucket).0.ct_eq(&given.0).into();
        matches(bucket) || (bucket > 0 && matches(bucket - 1))
    }

    /// Answers who we are. Nothing changes here: the asker has not proved where it is.
    pub(super) fn take_hello(&mut self, peer: &Peer, hello: &Hello, now: Instant) {
        if !self.may_answer(peer.from, now) {
            return;
        }
        let looked_for = hello.expect.as_ref().filter(|&name| *name != self.name);
        let sibling = looked_for.and_then(|name| self.siblings.iter().find(|s| s.name == *name));
        let ack = Ack {
            nonce: hello.nonce,
            versions: self.config.versions,
            capabilities: 0,
            observed: peer.from,
            challenge: self.secret.challenge(peer, bucket(now)),
            known_session: self.session_to_exceed(peer),
            sibling_port: sibling.map(|sibling| sibling.port),
        };
        self.send(peer.from, peer.session, &Body::HelloAck(ack));
    }

    /// A newer session of the asker's name that is gone. One that is held up is asked first, when
    /// the proof comes: see `nudge_older`. And whoever is held up itself is the holder of its name: the newer
    /// one was refused.
    fn session_to_exceed(&self, peer: &Peer) -> Option<Session> {
        let newest = self.newest_session(peer.hash).filter(|&newest| newest > peer.session)?;
        let holder = self.table.find(peer.hash).filter(|entry| entry.is_up());
        let held_up = holder.map(|entry| entry.id().session);
        (held_up != Some(newest) && held_up != Some(peer.session)).then_some(newest)
    }

    /// The newest session of a name that we know of, our own name included.
    fn newest_session(&self, hash: NameHash) -> Option<Session> {
        let own = (hash == self.hash).then_some(self.session);
        let held = self.table.find(hash).map(|entry| entry.id().session);
        own.max(held).max(self.windows.newest(hash))
    }

    /// How we hold a peer, and how large our side is.
    pub(super) fn standing_towards(&self, hash: NameHash, session: Session) -> Standing {
        let holds = match self.table.find(hash).filter(|entry| entry.id().session == session) {
            Some(entry) if entry.is_up() => Holds::Up,
            Some(entry) if entry.is_gone() => Holds::Gone(entry.id().life),
            _ => Holds::Unknown,
        };
        // Whom it suspects a side may be about to lose.
        let unsuspected = self.table.iter().filter(|entry| entry.is_alive()).count();
        Standing {
            holds,
            live: u32::try_from(unsuspected + 1).unwrap_or(u32::MAX),
            side: self.table.lowest_up(self.hash).high(),
        }
    }

    /// A newcomer has proved its source. May it come in?
    pub(super) fn take_proof(&mut self, peer: Peer, proof: &Proof, now: Instant) {
        if self.challenge_holds(&proof.challenge, &peer, now)
            && let Some(peer) = self.unopposed(peer, proof, now)
        {
            self.check_address(peer, proof, now);
        }
    }

    /// Gives a newcomer back if nothing speaks against it. Else it is refused, or told of a newer
    /// session of its name, or the holder of its name is asked.
    pub(super) fn unopposed(&mut self, peer: Peer, proof: &Proof, now: Instant) -> Option<Peer> {
        if let Some(reason) = self.refusal_for(&peer, proof) {
            self.counters.members_turned_away += u64::from(matches!(reason, Refusal::Full { .. }));
            self.refuse(&peer, proof, reason);
            return None;
        }
        let Some(entry) = self.table.find(peer.hash) else { return Some(peer) };
        if entry.id().session > peer.session {
            self.nudge_older(&peer, now);
            return None;
        }
        if entry.id().session < peer.session && entry.is_up() {
            self.dispute_newcomer(peer, proof.clone(), now);
            return None;
        }
        Some(peer)
    }

    fn refusal_for(&self, peer: &Peer, proof: &Proof) -> Option<Refusal> {
        let name = &peer.sender.name;
        let ours = self.config.versions;
        if ours.common(proof.versions).is_none() {
            return Some(Refusal::Version { by: name.clone(), theirs: proof.versions, ours });
        }
        if name.kind() != self.name.kind() {
            let (by, theirs, ours) = (name.clone(), name.kind(), self.name.kind());
            return Some(Refusal::NameKind { by, theirs, ours });
        }
        if peer.hash == self.hash {
            let holder = self.endpoints.of_family(peer.from).unwrap_or(proof.to);
            return Some(Refusal::NameConflict { name: name.clone(), holder });
        }
        if self.is_too_far(peer.session) {
            return Some(Refusal::SessionTooFar { name: name.clone() });
        }
        let takes_room = !self.table.find(peer.hash).is_some_and(Entry::is_up);
        (takes_room && self.is_full()).then(|| Refusal::Full { by: self.name.clone() })
    }

    pub(super) fn refuse(&mut self, peer: &Peer, proof: &Proof, reason: Refusal) {
        let none = Challenge([0; 16]);
        let body = RefusalBody::new(&reason, proof.nonce, none, self.config.versions);
        self.send(peer.from, peer.session, &Body::Refused(body));
        if let Refusal::NameConflict { name, holder } = &reason {
            let (name, holder) = (name.clone(), *holder);
            let ours = peer.hash == self.hash;
            self.event(Event::NameConflict { name, holder, claimant: peer.from, ours });
        }
        self.refused(peer.from, false, reason);
    }

    /// An address that is spread to everybody must answer: either it is the one that we see, or we
    /// knock at it before the newcomer is let in.
    pub(super) fn check_address(&mut self, peer: Peer, proof: &Proof, now: Instant) {
        let endpoints = peer.sender.endpoints;
        let known = self.table.find(peer.hash).is_some_and(|entry| {
            entry.id().session == peer.session && entry.endpoints() == endpoints
        });
        if endpoints.is_empty() || endpoints.contains(peer.from) || known {
            return self.admit(&peer, proof, now);
        }
        if self.admissions.contains_key(&peer.hash) || self.admissions.len() >= MAX_ADMISSIONS {
            return;
        }
        let Some(advertised) = self.route(&endpoints) else { return };
        let (name, observed) = (peer.sender.name.clone(), peer.from);
        self.event(Event::AddressMismatch { name, advertised, observed });
        let (hash, why) = (peer.hash, Why::Verify(peer.hash, peer.session));
        self.admissions.insert(hash, Admission { peer, proof: proof.clone(), advertised });
        self.knock(advertised, None, why, now);
    }

    /// The advertised address of a newcomer answered, or did not.
    pub(super) fn advertised_answered(&mut self, hash: NameHash, it_is: bool, now: Instant) {
        let Some(Admission { peer, proof, advertised }) = self.admissions.remove(&hash) else {
            return;
        };
        if it_is {
            // Others may have come while it was being looked for.
            if let Some(peer) = self.unopposed(peer, &proof, now) {
                self.admit(&peer, &proof, now);
            }
            return;
        }
        let reason = Refusal::AdvertisedUnreachable { advertised, observed: peer.from };
        self.refuse(&peer, &proof, reason);
    }

    /// Lets a newcomer in, after the healing rule has said who gives way.
    fn admit(&mut self, peer: &Peer, proof: &Proof, now: Instant) {
        let ours = self.standing_towards(peer.hash, peer.session);
        let carried = self.table.find(peer.hash).is_some_and(|entry| {
            entry.is_carried() && entry.id().age() == (peer.session, peer.sender.life)
        });
        let (mine, theirs) = heal::decide(Meeting {
            ours,
            theirs: proof.standing,
            we_accuse: ours.holds.accuses(peer.sender.life),
            they_accuse: proof.standing.holds.accuses(self.life),
        });

        // A mate of the side that we have left comes over as we did. Who held us Down is none.
        let held_us_down = matches!(proof.standing.holds, Holds::Gone(_));
        let winner = self.winner.as_ref().filter(|_| carried && !held_us_down);
        let comes = winner.is_some_and(|(_, winner)| heal::comes_along(proof.standing, *winner));
        let theirs = if comes { Outcome::Yield } else { theirs };
        self.give_way(mine, proof.standing, peer, now);
        self.renew_after_silence(now);
        let welcome = Welcome { nonce: proof.nonce, outcome: theirs, standing: ours };
        self.correct_endpoint(proof.to);
        self.send(peer.from, peer.session, &Body::Welcome(welcome));
        if mine == Outcome::Yield {
            // Who goes over learns the other side's view from the one whom it met.
            self.welcome_member(peer, now);
        } else if theirs == Outcome::Nothing {
            // The newcomer asks for what it lacks, and tells what we lack.
            self.admit_sender(peer, 0, now);
        }
    }

    /// An authentic datagram of a session that is not the newest of its name: its sender is told,
    /// at a bounded rate, so that it goes above the newest, or stops if that one lives.
    pub(super) fn nudge_older(&mut self, peer: &Peer, now: Instant) {
        use crate::wire::Notice;
        let Some(newest) = self.newest_session(peer.hash).filter(|&newest| newest > peer.session)
        else {
            return;
        };
        let holder = self
            .table
            .find(peer.hash)
            .filter(|entry| entry.is_up() && entry.id().session == newest)
            .and_then(|entry| self.route(&entry.endpoints()));
        if self.may_answer(peer.from, now) {
            let notice = match holder {
                Some(holder) => Notice::Conflict { session: newest, holder },
                None => Notice::Superseded { session: newest },
            };
            self.send(peer.from, peer.session, &Body::Notice(notice));
        }
    }
}
