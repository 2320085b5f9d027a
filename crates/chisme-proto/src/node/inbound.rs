//! The way in of every datagram: authenticate, parse, check the window, judge, apply.

use std::net::SocketAddr;

use foca::{Header as SwimHeader, Member};

use super::membership::LAST_INCARNATION;
use super::outbound::ASKING_LEN;
use super::{Node, Phase};
use crate::envelope::{self, Header};
use crate::identity::{NameHash, canonical, is_usable};
use crate::keyring::TAG_LEN;
use crate::replay::Verdict;
use crate::swim;
use crate::swim::{Id, Message, Packet, PeerRef};
use crate::table::Entry;
use crate::wire::{self, Body, EchoBody, Kind, Sender};
use crate::{Endpoints, Event, Instant, Life, Rejection, Session};

/// Who sent an authentic datagram, and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) from: SocketAddr,
    pub(super) hash: NameHash,
    pub(super) session: Session,
    pub(super) sender: Sender,
    pub(super) written: Written,
}

/// What a datagram says of when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In answer to something that we had just sent.
    InAnswer,
    /// While its sender knew this life of ours.
    To(Life),
    /// At any time since we have this session.
    Sometime,
}

impl Peer {
    /// Where it says it can be reached, or else where it was seen.
    pub(super) fn endpoints(&self) -> Endpoints {
        if self.sender.endpoints.is_empty() {
            Endpoints::one(self.from)
        } else {
            self.sender.endpoints
        }
    }
}

impl Node {
    pub(super) fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += bytes.len() as u64;
        if let Err(rejection) = self.take_datagram(canonical(from), bytes, now) {
            self.counters.reject(rejection);
            if let Some(count) = self.rejections.note(canonical(from), rejection, now) {
                self.event(Event::Rejected { from: canonical(from), reason: rejection, count });
            }
        }
    }

    fn take_datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejection> {
        let (header, body) = envelope::open(&self.keys, bytes)?;
        let Some(kind) = Kind::from_u8(header.kind) else {
            self.counters.unknown_kinds += 1;
            return Ok(());
        };
        self.check_addressee(&header, kind)?;
        let speaks = self.config.versions.min..=self.config.versions.max;
        if !kind.is_frozen() && !speaks.contains(&header.version) {
            return Err(Rejection::WrongVersion);
        }
        let parsed = wire::parse(kind, body, &self.names).map_err(|_| Rejection::Malformed)?;
        if !parsed.sender.endpoints.iter().all(is_usable) || !is_usable(from) {
            return Err(Rejection::Malformed);
        }
        let hash = NameHash::of(&parsed.sender.name);
        let (session, sender) = (header.sender, parsed.sender);
        let written = match parsed.body {
            Body::Proof(_) | Body::Welcome(_) => Written::InAnswer,
            _ => Written::Sometime,
        };
        let peer = Peer { from, hash, session, sender, written };
        self.check_replay(&header, &peer, &parsed.body, bytes, now)?;
        self.counters.unknown_sections += u64::from(parsed.unknown_sections);
        let told = (parsed.view_digest.is_some() || parsed.record_digest.is_some())
            .then(|| (peer.clone(), parsed.view_digest, parsed.record_digest));
        self.heard(now);
        self.refusals.heard_of(peer.session);
        self.dispatch(peer, parsed.body, bytes.len(), now)?;
        if let Some((peer, view, records)) = told.filter(|_| matches!(self.phase, Phase::Running)) {
            if let Some(digest) = view {
                self.take_view_digest(&peer, digest, now);
            }
            if let Some(digest) = records {
                self.take_record_digest(&peer, digest, now);
            }
        }
        self.counters.datagrams_accepted += 1;
        Ok(())
    }

    fn check_addressee(&self, header: &Header, kind: Kind) -> Result<(), Rejection> {
        let for_us = match kind {
            Kind::Hello => header.receiver == Session::NONE,
            _ => header.receiver == self.session,
        };
        // Our own Hello comes back when an address leads to us, and so does its answer.
        let may_be_ours = matches!(kind, Kind::Hello | Kind::HelloAck);
        if for_us && (may_be_ours || header.sender != self.session) {
            Ok(())
        } else {
            Err(Rejection::NotForUs)
        }
    }

    /// A Hello is checked against recent ones; everything else against its sender's window.
    fn check_replay(
        &mut self,
        header: &Header,
        peer: &Peer,
        body: &Body<'_>,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejection> {
        let proven = match body {
            Body::Hello(_) => {
                let tag = bytes.last_chunk::<TAG_LEN>().expect("the envelope checked the length");
                let fresh = self.recent_hellos.insert(*tag);
                return if fresh { Ok(()) } else { Err(Rejection::Replayed) };
            }
            Body::HelloAck(ack) => self.attempts.contains_key(&ack.nonce),
            Body::Proof(proof) => self.challenge_holds(&proof.challenge, peer, now),
            Body::Refused(refusal) => self.challenge_holds(&refusal.challenge, peer, now),
            _ => false,
        };
        if peer.hash == self.hash && peer.session == self.session {
            return Ok(());
        }
        self.windows.set_live(self.live());
        let mut verdict = self.windows.accept(peer.hash, peer.session, header.sequence, proven);
        if verdict == Verdict::OverLimit {
            self.forget_strangers();
            verdict = self.windows.accept(peer.hash, peer.session, header.sequence, proven);
        }
        match verdict {
            Verdict::Fresh => Ok(()),
            Verdict::Replayed => Err(Rejection::Replayed),
            Verdict::OlderSession => {
                self.nudge_older(peer, now);
                self.have_proved(peer, now);
                Err(Rejection::Replayed)
            }
            Verdict::OverLimit => Err(Rejection::OverLimit),
        }
    }

    /// Gives up the windows of those who are not members and are not being let in either: nodes
    /// that were refused must not keep newcomers out.
    fn forget_strangers(&mut self) {
        let mut wanted = self.meeting();
        wanted.extend(self.admissions.keys().chain(self.disputes.keys()));
        let table = &self.table;
        self.windows.keep_only(|name| wanted.contains(&name) || table.find(name).is_some());
    }

    /// A member that we had forgotten, and learnt of again from others, is believed when it has
    /// answered us: what it sends might be a recording. See `Windows`.
    fn have_proved(&mut self, peer: &Peer, now: Instant) {
        let member = self.table.find(peer.hash).filter(|entry| entry.is_up());
        if let Some(id) = member.map(Entry::id).filter(|id| id.session == peer.session) {
            self.greet(peer, &id, now);
        }
    }

    fn dispatch(
        &mut self,
        peer: Peer,
        body: Body<'_>,
        len: usize,
        now: Instant,
    ) -> Result<(), Rejection> {
        if let Phase::Leaving(farewell) = &mut self.phase {
            match body {
                Body::LeavingAck => {
                    farewell.acknowledged(peer.hash);
                    self.farewell_progress();
                }
                Body::Leaving => {
                    self.take_farewell(&peer, now);
                    self.farewell_progress();
                }
                _ => {}
            }
            return Ok(());
        }
        if matches!(body, Body::Hello(_) | Body::Proof(_)) && len < ASKING_LEN {
            return Err(Rejection::Malformed);
        }
        match body {
            Body::Hello(hello) => self.take_hello(&peer, &hello, now),
            Body::HelloAck(ack) => self.take_hello_ack(&peer, &ack, now),
            Body::Proof(proof) => self.take_proof(peer, &proof, now),
            Body::Welcome(welcome) => self.take_welcome(&peer, &welcome, now),
            Body::Refused(refusal) => self.take_refusal(&peer, &refusal, now),
            Body::Swim(bytes) => return self.take_swim(peer, bytes, now),
            Body::Echo(EchoBody { token }) => {
                self.send(peer.from, peer.session, &Body::EchoReply(EchoBody { token }));
            }
            Body::EchoReply(EchoBody { token }) => self.take_echo_reply(&peer, token, now),
            Body::Leaving => self.take_leaving(&peer, now),
            Body::LeavingAck => {}
            Body::Introduce(introduction) => self.take_introduction(&peer, &introduction, now),
            Body::Notice(notice) => self.take_notice(&peer, notice, now),
            Body::Record(body) => self.take_record(&peer, body, now),
            Body::Sync(body) => self.take_sync(peer, body, now),
        }
        Ok(())
    }

    /// A SWIM packet: first its sender, then its updates through the filter, then its message.
    fn take_swim(&mut self, peer: Peer, bytes: &[u8], now: Instant) -> Result<(), Rejection> {
        let packet = Packet::parse(bytes, &self.names).map_err(|_| Rejection::Malformed)?;
        let peer = &Peer { written: Written::To(packet.dst_life), ..peer };
        let src_incarnation = packet.src_incarnation.min(LAST_INCARNATION);
        let Some(src) = self.admit_sender(peer, src_incarnation, now) else {
            self.counters.updates_withheld += packet.updates.len() as u64;
            return Ok(());
        };
        for update in &packet.updates {
            self.filter_update(update, peer, true, now);
        }
        if packet.dst_life != self.life && packet.message != Message::Announce {
            // Meant for a life that is over: what we send carries the present one.
            self.tell(&src, &[], now);
            return Ok(());
        }
        if let Message::Nack(about, number) = packet.message {
            if let Some(about) = self.known(&about) {
                self.take_nack(about, number, src, now);
            }
            return Ok(());
        }
        if let Message::ForwardedAck(reached, _) = packet.message {
            self.refusals.heard_of(reached.session);
        }
        let Some(message) = self.swim_message(packet.message) else { return Ok(()) };
        let mut answers_probe = false;
        match &message {
            foca::Message::Ping(number) if !self.engine.has_rumours() => {
                self.answer_ping(src, *number);
                return Ok(());
            }
            foca::Message::PingReq { target, probe_number } => {
                self.run_errand(src, *target, *probe_number, now);
            }
            foca::Message::IndirectAck { target: origin, .. } => self.errand_done(origin, &src),
            foca::Message::Ack(number) => {
                answers_probe = self.confirmations.is_answer(&src, *number);
                self.probe_answered(&src, true, now);
            }
            foca::Message::ForwardedAck { origin, probe_number } => {
                self.confirmations.reached(origin, *probe_number, &src);
                self.probe_answered(origin, false, now);
            }
            _ => {}
        }
        let header = SwimHeader { src, src_incarnation, dst: self.own_id(), message };
        let directory = self.table.entries_mut();
        let result = self.engine.handle_packet(header, directory, &mut self.effects);
        self.count_swim(result);
        if answers_probe {
            self.end_direct_stage(&src);
        }
        Ok(())
    }

    /// Answers a Ping as foca would while it has no rumours. It would first look for the sender among all
    /// members; but whatever there was to learn from the header, it has been told by `admit_sender`.
    fn answer_ping(&mut self, src: Id, number: foca::ProbeNumber) {
        let packet = swim::encode_ack(self.incarnation, src.life, number);
        self.effects.sends.push((src, packet));
    }

    /// The message as foca knows it; none if it has nothing for foca, or speaks of a stranger.
    fn swim_message(&self, message: Message) -> Option<foca::Message<Id>> {
        use foca::Message as Foca;
        Some(match message {
            Message::Ping(probe_number) => Foca::Ping(probe_number),
            Message::Ack(probe_number) => Foca::Ack(probe_number),
            Message::PingReq(peer, probe_number) => {
                Foca::PingReq { target: self.known(&peer)?, probe_number }
            }
            Message::IndirectPing(peer, probe_number) => {
                Foca::IndirectPing { origin: self.known(&peer)?, probe_number }
            }
            Message::IndirectAck(peer, probe_number) => {
                Foca::IndirectAck { target: self.known(&peer)?, probe_number }
            }
            Message::ForwardedAck(peer, probe_number) => {
                // foca looks only at who forwards. A process may answer where another name is
                // said to live; that does not make the other one alive.
                let origin = self.known(&peer).filter(|origin| self.probing == Some(*origin))?;
                Foca::ForwardedAck { origin, probe_number }
            }
            Message::Announce => Foca::Announce,
            Message::Feed => Foca::Feed,
            Message::Gossip => Foca::Gossip,
            Message::Tell | Message::Nack(..) => return None,
        })
    }

    /// The member that a message speaks of, unless it is a stranger or ourselves.
    fn known(&self, peer: &PeerRef) -> Option<Id> {
        let id = self.table.find(peer.hash)?.id();
        (id.age() == (peer.session, peer.life)).then_some(id)
    }

    /// Sends updates to a member that asked for nothing, at a bounded rate per member.
    pub(super) fn tell(&mut self, to: &Id, updates: &[Member<Id>], now: Instant) {
        if !self.may_nudge(to, now) {
            return;
        }
        let directory = self.table.entries();
        let packet = swim::encode_updates(self.incarnation, to.life, updates, directory);
        self.send_to_member(to, &Body::Swim(&packet));
    }

    /// What we know of a member, as an update.
    pub(super) fn as_update(&self, id: &Id) -> Option<Member<Id>> {
        let held = self.table.exactly(id)?.held()?;
        Some(Member::new(*id, held.incarnation, held.state))
    }
}
