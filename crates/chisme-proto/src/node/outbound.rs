//! Sealing and sending: the way out of every datagram.

use std::net::SocketAddr;
use std::time::Duration;

use foca::Timer as SwimTimer;
use rand::RngExt;

use super::{Node, Timer};
use crate::envelope::{self, Header};
use crate::swim::{Effects, Id, Note};
use crate::table::Entry;
use crate::wire::{self, Body, Kind, Sender};
use crate::{Endpoints, Instant, Output, Session};

/// What Hello and Proof are padded to. No HelloAck is longer, so no asker draws more than it sent;
/// and the two Hellos with which an advertised address is tried are no more than asker's own two.
pub(super) const ASKING_LEN: usize = 448;

impl Node {
    /// Seals `body` for the process `receiver` at `to`, and queues it.
    pub(super) fn send(&mut self, to: SocketAddr, receiver: Session, body: &Body<'_>) {
        let kind = body.kind();
        self.sequence.0 += 1;
        let header = Header {
            version: self.config.versions.min,
            kind: kind as u8,
            sender: self.session,
            receiver,
            sequence: self.sequence,
        };
        let mut datagram = envelope::start();
        body.append_to(&self.as_sender(), &mut datagram);
        if kind == Kind::Swim
            && let Some(digest) = self.sync.to_attach.take()
        {
            wire::attach_view_digest(digest, &mut datagram);
        }
        if kind == Kind::Swim
            && let Some(digest) = self.records.to_attach.take()
            && !wire::attach_record_digest(digest, &mut datagram)
        {
            self.records.to_attach = Some(digest);
        }
        if matches!(kind, Kind::Hello | Kind::Proof) {
            wire::pad_to(ASKING_LEN, &mut datagram);
        }
        envelope::seal(self.keys.primary(), &header, &mut datagram);
        debug_assert!(kind != Kind::HelloAck || datagram.len() <= ASKING_LEN);
        self.counters.datagrams_sent += 1;
        self.counters.bytes_sent += datagram.len() as u64;
        self.output(Output::Transmit { to, bytes: datagram });
    }

    /// Sends to a member, wherever it can be reached.
    pub(super) fn send_to_member(&mut self, id: &Id, body: &Body<'_>) {
        let Some(endpoints) = self.table.at(id.index).map(Entry::endpoints) else { return };
        if let Some(to) = self.route(&endpoints) {
            self.send(to, id.session, body);
        }
    }

    /// The endpoint of a peer that this node can reach: one of a family that it has itself.
    pub(super) fn route(&self, endpoints: &Endpoints) -> Option<SocketAddr> {
        let shared = self.endpoints.iter().find_map(|own| endpoints.of_family(own));
        shared.or_else(|| endpoints.iter().next())
    }

    pub(super) fn as_sender(&self) -> Sender {
        Sender { name: self.name.clone(), endpoints: self.endpoints, life: self.life }
    }

    /// Carries out what foca asked for. foca is not called from here, so one pass is enough.
    pub(super) fn flush_effects(&mut self, now: Instant) {
        if self.effects.is_empty() {
            return;
        }
        let Effects { sends, timers, notes } = std::mem::take(&mut self.effects);
        let mut probed = None;
        for note in notes {
            if let Note::ProbeStarted(id, _) = note {
                probed = Some(id);
            }
            self.take_note(note, now);
        }
        let digest = self.record_digest_due(now).filter(|_| !sends.is_empty());
        self.records.to_attach = digest;
        for (id, packet) in sends {
            self.tell_suspect(&id, now);
            if probed == Some(id) {
                // One datagram a second carries what we see, whatever the size of the cluster.
                self.sync.to_attach = Some(self.view_digest());
                self.send_watched(&id, &Body::Swim(&packet), now);
                self.sync.to_attach = None;
                self.ping_sent(id, packet, now);
            } else {
                self.send_to_member(&id, &Body::Swim(&packet));
            }
        }
        if digest.is_some() && self.records.to_attach.take().is_none() {
            self.record_digest_said(now);
        }
        for (timer, after) in timers {
            self.schedule_swim(timer, after, now);
        }
    }

    fn schedule_swim(&mut self, timer: SwimTimer<Id>, after: Duration, now: Instant) {
        match timer {
            SwimTimer::ChangeSuspectToDown { member_id: id, incarnation, .. } => {
                let after = self.config.detector.suspicion_timeout;
                self.confirmations.suspicion_began(&id, incarnation, now);
                self.schedule.add(now + after, Timer::Conclude { id, incarnation, since: now });
            }
            timer @ SwimTimer::PeriodicGossip(_) => self.gossip_again(timer, now),
            timer => {
                let after = match timer {
                    // Nodes that start together do not probe together.
                    SwimTimer::ProbeRandomMember(cycle) if self.probe.begins(cycle) => {
                        after * self.rng.random_range(1..=1_000) / 1_000
                    }
                    // Both alike, so that they keep their order.
                    SwimTimer::ProbeRandomMember(_) | SwimTimer::SendIndirectProbe { .. } => {
                        self.health.stretched(after)
                    }
                    _ => after,
                };
                let generation = self.generation;
                self.schedule.add(now + after, Timer::Swim { generation, timer });
            }
        }
    }

    fn take_note(&mut self, note: Note, now: Instant) {
        match note {
            Note::ProbeStarted(id, number) => {
                self.confirmations.probe_started(id, number);
                self.counters.probes_sent += 1;
                self.probing = Some(id);
                self.table.probe_started(&id);
            }
            Note::RelayAsked(relay) => self.confirmations.relay_asked(relay),
            Note::ProbeFailed(id) => self.probe_failed(&id, now),
        }
    }
}
