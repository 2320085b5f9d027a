//! What the embedder asks for: `connect` and `ping`, from the question to the answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::contact::{Attempt, Why};
use super::inbound::Peer;
use super::{Node, Timer};
use crate::identity::{NameHash, canonical, is_usable};
use crate::swim::Id;
use crate::table::Entry;
use crate::wire::{Ack, Body, EchoBody, Nonce, Token};
use crate::{
    Contact, ContactReport, ContactResult, Fill, Instant, MAX_CONTACTS, NodeName, Output, RequestId,
};

/// The most requests of the embedder that wait for an answer.
pub(super) const MAX_REQUESTS: usize = 64;

/// Three tries, then a ping is given up.
const PING_TRIES: u8 = 3;
const PING_PERIOD: Duration = Duration::from_millis(333);

/// A `connect` of the embedder: done when all its attempts are.
#[derive(Debug)]
pub(super) struct Request {
    /// One line per contact, in the order given.
    lines: Vec<(SocketAddr, Option<ContactResult>)>,
    /// The attempts under way, and the lines that they will fill.
    waiting: BTreeMap<Nonce, usize>,
}

impl Request {
    fn into_report(self) -> Vec<ContactReport> {
        let line = |(addr, result)| Some(ContactReport { addr, result: result? });
        self.lines.into_iter().filter_map(line).collect()
    }
}

/// A `ping` of the embedder.
#[derive(Debug)]
pub(super) struct Ping {
    id: Id,
    token: Token,
    started: Instant,
    tries: u8,
}

impl Node {
    pub(super) fn request_fills(&self) -> [Fill; 2] {
        [
            Fill::new("connects", self.requests.len(), MAX_REQUESTS),
            Fill::new("pings", self.pings.len(), MAX_REQUESTS),
        ]
    }

    pub(super) fn connect(&mut self, request: RequestId, contacts: Vec<Contact>, now: Instant) {
        let mut waiting = BTreeMap::new();
        let mut lines = Vec::new();
        let room = self.requests.len() < MAX_REQUESTS;
        for (n, contact) in contacts.into_iter().enumerate() {
            let addr = canonical(contact.addr);
            if room && n < MAX_CONTACTS && is_usable(addr) {
                let why = Why::Connect(request);
                waiting.insert(self.knock(addr, contact.expect, why, now), n);
                lines.push((addr, None));
            } else {
                lines.push((addr, Some(ContactResult::NoAnswer)));
            }
        }
        let asked = Request { lines, waiting };
        if asked.waiting.is_empty() {
            self.output(Output::Connected { request, report: asked.into_report() });
        } else {
            self.requests.insert(request, asked);
        }
    }

    /// The node that we look for lives on the same host, behind another port.
    pub(super) fn ask_sibling(
        &mut self,
        peer: &Peer,
        ack: &Ack,
        why: Why,
        expect: &NodeName,
        now: Instant,
    ) {
        let Some(port) = ack.sibling_port else { return };
        let addr = SocketAddr::new(peer.from.ip(), port);
        let Why::Connect(request) = why else {
            return self.knock_quietly(addr, Some(expect.clone()), why, now);
        };
        let known = self.attempts.values().any(|attempt| attempt.addr == addr);
        let tried = self.requests.get(&request).is_none_or(|request| {
            request.lines.iter().any(|line| line.0 == addr) || request.lines.len() >= MAX_CONTACTS
        });
        if known || tried {
            return;
        }
        let nonce = self.knock(addr, Some(expect.clone()), why, now);
        if let Some(request) = self.requests.get_mut(&request) {
            request.waiting.insert(nonce, request.lines.len());
            request.lines.push((addr, None));
        }
    }

    /// An attempt on behalf of a request has come to its end.
    pub(super) fn request_attempt_ended(
        &mut self,
        id: RequestId,
        nonce: Nonce,
        attempt: &Attempt,
        result: ContactResult,
    ) {
        let found = matches!(result, ContactResult::Joined(_) | ContactResult::AlreadyKnown(_));
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Some(line) = request.waiting.remove(&nonce) {
            request.lines[line].1 = Some(result);
        }
        // Who was looked for is found: the other doors need not open.
        if found && attempt.expect.is_some() {
            for other in std::mem::take(&mut request.waiting).into_keys() {
                self.attempts.remove(&other);
            }
        }
        self.finish_request(id);
    }

    fn finish_request(&mut self, id: RequestId) {
        if self.requests.get(&id).is_some_and(|request| request.waiting.is_empty()) {
            let request = self.requests.remove(&id).expect("it was there a line above");
            self.output(Output::Connected { request: id, report: request.into_report() });
        }
    }

    pub(super) fn ping(&mut self, request: RequestId, name: &NodeName, now: Instant) {
        let id = self.table.find(NameHash::of(name)).filter(|entry| entry.is_up()).map(Entry::id);
        match id {
            Some(id) if self.pings.len() < MAX_REQUESTS => {
                let token = Token(self.rng.random());
                self.pings.insert(request, Ping { id, token, started: now, tries: 0 });
                self.ping_due(request, now);
            }
            _ => self.output(Output::Ponged { request, rtt: None }),
        }
    }

    pub(super) fn ping_due(&mut self, request: RequestId, now: Instant) {
        let Some(ping) = self.pings.get_mut(&request) else { return };
        if ping.tries == PING_TRIES {
            self.pings.remove(&request);
            return self.output(Output::Ponged { request, rtt: None });
        }
        ping.tries += 1;
        ping.started = now;
        let (id, token) = (ping.id, ping.token);
        self.schedule.add(now + PING_PERIOD, Timer::Ping(request));
        self.send_to_member(&id, &Body::Echo(EchoBody { token }));
    }

    pub(super) fn take_echo_reply(&mut self, peer: &Peer, token: Token, now: Instant) {
        let answered = self.pings.iter().find(|(_, ping)| ping.token == token);
        if let Some((&request, ping)) = answered.filter(|(_, ping)| ping.id.session == peer.session)
        {
            let rtt = Some(now - ping.started);
            // A late answer to an earlier try looks short, never long: of one try only it is sure.
            if let Some(measured) = rtt.filter(|_| ping.tries == 1) {
                self.probe.per_member.measured(&ping.id, measured);
            }
            self.pings.remove(&request);
            return self.output(Output::Ponged { request, rtt });
        }
        self.holder_answered(token, peer.session, now);
    }
}
