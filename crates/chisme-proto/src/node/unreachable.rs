//! What the kernel says of a datagram that found no socket: evidence that a process is gone, which
//! silence is not.
//!
//! An ICMP "port unreachable" is not authenticated. It counts only if it quotes the tag of a datagram
//! that we sent to that member a moment ago, and then it makes us ask, not believe: only when as many
//! questions in a row as `Detector::refusals` were turned away too, and neither the member nor any
//! relay says otherwise, is it suspected, and Down as soon as the others have heard of that. It knows
//! tags and questions, nothing of sockets.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use foca::State;

use super::{Node, Timer};
use crate::identity::canonical;
use crate::keyring::TAG_LEN;
use crate::swim::{Id, encode_ping_req};
use crate::table::{Entry, Held};
use crate::wire::{Body, EchoBody, Token};
use crate::{Fill, Instant, Output, Session};

/// The most datagrams whose tags are remembered; an older one makes room.
const MAX_WATCHED: usize = 64;

/// How long a tag is remembered: an answer of the network takes no longer.
const RECENT: Duration = Duration::from_secs(3);

/// The most members that are asked at a time whether they are gone.
const MAX_INQUIRIES: usize = 64;

/// The most questions of one inquiry. A host sends six ICMP errors at once and then one a second
/// (Linux, `icmp_ratelimit`), so more would draw nothing.
const MAX_QUESTIONS: u8 = 8;

/// A member that is not gone is not asked again so soon.
const REST: Duration = Duration::from_secs(2);

/// A relay's answer takes two round trips; one more is room.
const RELAYED_ROUND_TRIPS: u32 = 3;

/// What was sent a moment ago, and who is being asked.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    watched: VecDeque<Watched>,
    inquiries: BTreeMap<Session, Inquiry>,
}

/// A datagram that may come back quoted.
#[derive(Debug)]
struct Watched {
    tag: [u8; TAG_LEN],
    /// Of the datagram: its tag stands at its end.
    len: u16,
    to: Id,
    sent: Instant,
    /// Which question of an inquiry it is; 0 for what is none.
    question: u8,
}

/// A member to which something was turned away.
#[derive(Debug)]
struct Inquiry {
    id: Id,
    begun: Instant,
    asked: u8,
    /// The last question that was turned away, and how many before it in a row, itself included.
    refused: u8,
    in_a_row: u8,
    /// Since when all are told that we suspect it: who was not would not believe its Down.
    told: Option<Instant>,
    /// It is not gone, whatever the network says.
    cleared: bool,
}

impl Inquiry {
    const fn new(id: Id, begun: Instant) -> Self {
        Self { id, begun, asked: 0, refused: 0, in_a_row: 0, told: None, cleared: false }
    }

    fn turned_away(&mut self, question: u8) {
        self.in_a_row = if question == self.refused + 1 { self.in_a_row + 1 } else { 1 };
        self.refused = question;
    }
}

impl Refusals {
    pub(super) fn fills(&self) -> [Fill; 2] {
        [
            Fill::new("datagrams_watched", self.watched.len(), MAX_WATCHED),
            Fill::new("inquiries", self.inquiries.len(), MAX_INQUIRIES),
        ]
    }

    /// An authentic datagram of this process came, or a relay has reached it: it is not gone.
    pub(super) fn heard_of(&mut self, session: Session) {
        if let Some(inquiry) = self.inquiries.get_mut(&session) {
            inquiry.cleared = true;
        }
    }

    /// The members of an earlier run of foca are not this one's.
    pub(super) fn forget(&mut self) {
        self.watched.clear();
        self.inquiries.clear();
    }

    fn watch(&mut self, watched: Watched) {
        let now = watched.sent;
        self.watched.retain(|old| now.saturating_since(old.sent) < RECENT);
        if self.watched.len() >= MAX_WATCHED {
            self.watched.pop_front();
        }
        self.watched.push_back(watched);
    }

    /// The datagram that is quoted, if it was sent a moment ago. No datagram comes back twice.
    fn take_quoted(&mut self, quoted: &[u8], now: Instant) -> Option<Watched> {
        // A quotation may be padded (RFC 4884), so its end says nothing.
        let is_quoted = |sent: &Watched| {
            let len = usize::from(sent.len);
            let recent = now.saturating_since(sent.sent) < RECENT;
            recent && quoted.get(len - TAG_LEN..len) == Some(&sent.tag)
        };
        let place = self.watched.iter().position(is_quoted)?;
        self.watched.remove(place)
    }
}

impl Node {
    /// Sends to a member what may come back quoted.
    pub(super) fn send_watched(&mut self, to: &Id, body: &Body<'_>, now: Instant) {
        self.send_question(to, body, 0, now);
    }

    fn send_question(&mut self, to: &Id, body: &Body<'_>, question: u8, now: Instant) {
        let waiting = self.outputs.len();
        self.send_to_member(to, body);
        if self.config.detector.refusals > 0
            && self.outputs.len() > waiting
            && let Some(Output::Transmit { bytes, .. }) = self.outputs.back()
            && let (Some(&tag), Ok(len)) = (bytes.last_chunk(), u16::try_from(bytes.len()))
        {
            self.refusals.watch(Watched { tag, len, to: *to, sent: now, question });
        }
    }

    /// The kernel was told that nobody listens at `to`; `quoted` is what came back of our datagram.
    pub(super) fn take_unreachable(&mut self, to: SocketAddr, quoted: &[u8], now: Instant) {
        let Some(sent) = self.refused_datagram(canonical(to), quoted, now) else {
            self.counters.unreachable_rejected += 1;
            return;
        };
        self.counters.unreachable_taken += 1;
        let session = sent.to.session;
        if let Some(inquiry) = self.refusals.inquiries.get_mut(&session) {
            if sent.question > 0 {
                inquiry.turned_away(sent.question);
                self.conclude_inquiry(session, now);
            }
            return;
        }
        // A late answer to an inquiry that is over begins no other.
        if sent.question > 0 {
            return;
        }
        if self.refusals.inquiries.len() >= MAX_INQUIRIES {
            self.counters.inquiries_limited += 1;
            return;
        }
        self.refusals.inquiries.insert(session, Inquiry::new(sent.to, now));
        self.ask_relays(&sent.to);
        self.inquiry_due(session, now);
    }

    /// The datagram that is quoted, if it went to `to`, where a member that is up still lives.
    fn refused_datagram(&mut self, to: SocketAddr, quoted: &[u8], now: Instant) -> Option<Watched> {
        let sent = self.refusals.take_quoted(quoted, now)?;
        let entry = self.table.exactly(&sent.to).filter(|entry| entry.is_up())?;
        entry.endpoints().contains(to).then_some(sent)
    }

    /// The next question of an inquiry, or its end.
    pub(super) fn inquiry_due(&mut self, session: Session, now: Instant) {
        if self.conclude_inquiry(session, now) {
            return;
        }
        // A host that turns something away says so within a round trip.
        let pause = self.probe.answers_take().min(self.config.detector.reprobe_pause());
        let relays_by = self.relay_patience();
        let (wanted, gossip_period) =
            (self.config.detector.refusals, self.config.detector.gossip_period);
        let Some(inquiry) = self.refusals.inquiries.get_mut(&session) else { return };
        let (id, end) = (inquiry.id, inquiry.begun + REST);
        let is_up = self.table.exactly(&id).is_some_and(Entry::is_up);
        let asks_on = !inquiry.cleared && inquiry.asked < MAX_QUESTIONS;
        let next = match asks_on {
            _ if !is_up || (!asks_on && now >= end) => {
                self.refusals.inquiries.remove(&session);
                return;
            }
            false => end,
            // Only a relay can still say otherwise.
            true if inquiry.in_a_row >= wanted => {
                let told = inquiry.told.map_or(now, |told| told + gossip_period);
                (inquiry.begun + relays_by).max(told).max(now + pause)
            }
            true => {
                inquiry.asked += 1;
                let question = inquiry.asked;
                let token = Token(rand::RngExt::random(&mut self.rng));
                self.counters.reprobes_sent += 1;
                self.send_question(&id, &Body::Echo(EchoBody { token }), question, now);
                now + pause
            }
        };
        self.schedule.add(next, Timer::Inquiry(session));
    }

    /// Nobody listens where we send; somebody else may be let through (a firewall that rejects
    /// what we send says the same as a host without that process).
    fn ask_relays(&mut self, about: &Id) {
        use rand::seq::IteratorRandom;
        let wanted = usize::from(self.config.detector.indirect_probes);
        let others = self.table.iter().filter(|entry| entry.is_alive() && entry.id() != *about);
        let relays: Vec<Id> = others.map(Entry::id).sample(&mut self.rng, wanted);
        for relay in relays {
            let directory = self.table.entries();
            let request = encode_ping_req(self.incarnation, relay.life, about, 0, directory);
            if let Some(packet) = request {
                self.send_to_member(&relay, &Body::Swim(&packet));
            }
        }
    }

    /// How long a relay may take to say that it reaches whom we do not.
    fn relay_patience(&self) -> Duration {
        let usual = self.probe.answers_take() * RELAYED_ROUND_TRIPS;
        usual.min(self.config.detector.probe_timeout)
    }

    /// Whoever turned away all that was asked of it, and is vouched for by nobody, is suspected, and a
    /// moment later Down.
    fn conclude_inquiry(&mut self, session: Session, now: Instant) -> bool {
        let detector = &self.config.detector;
        let (wanted, gossip_period) = (detector.refusals, detector.gossip_period);
        let patience = self.relay_patience();
        let Some(inquiry) = self.refusals.inquiries.get_mut(&session) else { return false };
        let heard_out = !inquiry.cleared && now >= inquiry.begun + patience;
        if inquiry.in_a_row < wanted || !heard_out {
            return false;
        }
        let id = inquiry.id;
        let held = self.table.exactly(&id).and_then(Entry::held);
        if let Some(Held { incarnation, state: State::Alive }) = held
            && inquiry.told.is_none()
        {
            inquiry.told = Some(now);
            // The Down is on its heels, and is not believed before it.
            self.gossip_news(now);
            self.apply(id, Held { incarnation, state: State::Suspect }, None, true, now);
            return false;
        }
        // Whoever was suspected before is known to be by others.
        if inquiry.told.is_some_and(|told| now < told + gossip_period) {
            return false;
        }
        self.refusals.inquiries.remove(&session);
        if let Some(incarnation) = self.suspected_in(&id) {
            self.counters.refusals_concluded += 1;
            self.apply(id, Held { incarnation, state: State::Down }, None, true, now);
        }
        true
    }
}
