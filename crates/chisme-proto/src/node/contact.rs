//! Knocking at addresses: Hello, Proof, and what comes of them; seeds, `connect` and `ping`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::inbound::Peer;
use super::{Node, Phase, Timer, bounded_seeds};
use crate::identity::{NameHash, canonical, is_usable};
use crate::swim::Id;
use crate::wire::{
    Ack, Body, Challenge, EchoBody, Hello, Nonce, Proof, RefusalBody, Token, Welcome,
};
use crate::{
    Contact, ContactReport, ContactResult, Endpoints, Event, Instant, MAX_CONTACTS, NodeName,
    Output, Refusal, RequestId, Session,
};

/// When a Hello or a Proof is sent, counted from the first; then it is given up.
const TRIES_MS: [u64; 5] = [0, 200, 500, 1000, 2000];
const FEW_TRIES: usize = 2;
const HELLO_GIVE_UP: Duration = Duration::from_secs(3);
/// Longer: the other side may first have to look for an old holder of our name.
const PROOF_GIVE_UP: Duration = Duration::from_secs(5);

/// The most addresses that are knocked at side by side for seeds and healing.
const MAX_BACKGROUND_ATTEMPTS: usize = 128;

/// The most requests of the embedder that wait for an answer.
const MAX_REQUESTS: usize = 64;

/// The most addresses that are remembered as our own.
const MAX_OWN_ADDRESSES: usize = 64;

/// For so long an address that led back to us is no seed. Behind a balancer it leads to another
/// node next time.
const OWN_ADDRESS_REST: Duration = Duration::from_secs(30);

/// How many seeds a node that is alone, or has company, greets after one look-up.
const SEEDS_ALONE: usize = 8;
const SEEDS_IN_COMPANY: usize = 3;

/// Three tries, then a ping is given up.
const PING_TRIES: u8 = 3;
const PING_PERIOD: Duration = Duration::from_millis(333);

/// One address being knocked at.
#[derive(Debug)]
pub(super) struct Attempt {
    addr: SocketAddr,
    expect: Option<NodeName>,
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
    Proof { peer: Peer, challenge: Challenge, was_up: bool },
}

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
    pub(super) fn knock_quietly(&mut self, addr: SocketAddr, why: Why, now: Instant) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        let under_way = self.attempts.values().any(|attempt| attempt.addr == addr);
        if !under_way && self.attempts.len() < MAX_BACKGROUND_ATTEMPTS && is_usable(addr) {
            self.knock(addr, None, why, now);
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
            self.own_addresses.retain(|_, until| *until > now);
            if self.own_addresses.len() < MAX_OWN_ADDRESSES {
                self.own_addresses.insert(addr, now + OWN_ADDRESS_REST);
            }
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
            .is_some_and(|entry| entry.is_up() && entry.id.session == peer.session);
        if let Some(attempt) = self.attempts.get_mut(&ack.nonce) {
            attempt.addr = peer.from;
            let (peer, challenge) = (peer.clone(), ack.challenge);
            attempt.stage = Stage::Proof { peer, challenge, was_up };
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

    /// The node that we look for lives on the same host, behind another port.
    fn ask_sibling(&mut self, peer: &Peer, ack: &Ack, why: Why, expect: &NodeName, now: Instant) {
        let Some(port) = ack.sibling_port else { return };
        let addr = SocketAddr::new(peer.from.ip(), port);
        let Why::Connect(request) = why else { return };
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
        let (id, name, endpoints) = (self.own_id(), self.name.clone(), self.endpoints);
        self.engine.directory(|directory| directory.set(id, &name, &endpoints));
    }

    /// We are in. What the healing rule asks of us comes first, then the peer is a member.
    pub(super) fn take_welcome(&mut self, peer: &Peer, welcome: &Welcome, now: Instant) {
        let Some(attempt) = self.attempts.get(&welcome.nonce) else { return };
        let was_up = match &attempt.stage {
            Stage::Proof { peer: asked, was_up, .. } if asked.session == peer.session => *was_up,
            _ => return,
        };
        self.give_way(welcome.outcome, welcome.standing.holds, peer, now);
        self.welcome_member(peer, now);
        let name = peer.sender.name.clone();
        let result =
            if was_up { ContactResult::AlreadyKnown(name) } else { ContactResult::Joined(name) };
        self.end_attempt(welcome.nonce, result, now);
    }

    /// Takes a proven peer into the table and asks for its view.
    pub(super) fn welcome_member(&mut self, peer: &Peer, now: Instant) {
        let Some(id) = self.admit_sender(peer, 0, now) else { return };
        let result = self.engine.announce(id, &mut self.effects);
        self.count_swim(result);
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
            Why::Connect(id) => {
                let found =
                    matches!(result, ContactResult::Joined(_) | ContactResult::AlreadyKnown(_));
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
        }
    }

    fn finish_request(&mut self, id: RequestId) {
        if self.requests.get(&id).is_some_and(|request| request.waiting.is_empty()) {
            let request = self.requests.remove(&id).expect("it was there a line above");
            self.output(Output::Connected { request: id, report: request.into_report() });
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

    pub(super) fn handle_seeds(&mut self, contacts: Vec<Contact>, now: Instant) {
        self.seeds = bounded_seeds(contacts);
        let mut unseen: Vec<SocketAddr> = self
            .seeds
            .iter()
            .map(|contact| canonical(contact.addr))
            .filter(|&addr| !self.endpoints.contains(addr))
            .filter(|addr| self.own_addresses.get(addr).is_none_or(|&until| until <= now))
            .filter(|&addr| !self.table.iter().any(|e| e.is_up() && e.endpoints.contains(addr)))
            .collect();
        unseen.shuffle(&mut self.rng);
        unseen.truncate(if self.table.up() == 0 { SEEDS_ALONE } else { SEEDS_IN_COMPANY });
        for addr in unseen {
            self.knock_quietly(addr, Why::Seed, now);
        }
    }

    /// Sets the moment of the next look-up: soon for a node that sees nobody.
    pub(super) fn schedule_seeds(&mut self, now: Instant) {
        let cadence = self.config.seeds.clone();
        let wait = if self.table.up() > 0 {
            self.seed_wait = cadence.alone_min;
            cadence.in_company
        } else {
            let wait = self.seed_wait;
            self.seed_wait = wait.saturating_mul(2).min(cadence.alone_max);
            wait
        };
        let at = now + self.jittered(wait);
        self.schedule.replace(at, Timer::Seeds);
    }

    pub(super) fn ping(&mut self, request: RequestId, name: &NodeName, now: Instant) {
        let id = self.table.find(NameHash::of(name)).filter(|entry| entry.is_up()).map(|e| e.id);
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
            self.pings.remove(&request);
            return self.output(Output::Ponged { request, rtt });
        }
        self.holder_answered(token, peer.session, now);
    }

    /// Knocks at a member where it says it lives, to find out how it and we hold each other. Not
    /// where its datagram came from: whoever redirects one must not have us write to a stranger.
    pub(super) fn greet(&mut self, peer: &Peer, id: &Id, now: Instant) {
        let held = self.table.at(id.index).map(|entry| entry.endpoints);
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
            self.knock_quietly(addr, Why::Heal, now);
        }
    }
}
