//! foca as it comes, with its own preset for a LAN: what the node of production is compared with.
//!
//! It takes the same inputs and gives the same outputs as a [`Node`], so that the same network and
//! the same faults act on it. There is no handshake, no authentication, and nothing of ours.

mod codec;

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::Duration;

use chisme_proto::{
    Assumed, Command, Contact, Counters, Endpoints, Event, Identity, Input, Instant, MemberState,
    MemberView, NameHash, NodeName, NodeStatus, Output, Session, StopReason,
};
use foca::{Foca, Member, NoCustomBroadcast, Notification, State, Timer};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use codec::Codec;
pub(crate) use codec::FIRST_BYTE;

/// How often whoever is alone asks for its seeds, as the node of production does at first.
const ALONE: Duration = crate::secs(1);

/// A member: at an address, under a name; `bump` grows when it comes back from being held down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    addr: SocketAddrV4,
    session: u64,
    bump: u16,
    name: NodeName,
}

impl foca::Identity for Id {
    type Addr = SocketAddrV4;

    fn renew(&self) -> Option<Self> {
        Some(Self { bump: self.bump.wrapping_add(1), ..self.clone() })
    }

    fn addr(&self) -> SocketAddrV4 {
        self.addr
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.session, self.bump) > (adversary.session, adversary.bump)
    }
}

/// One foca, with its timers and what it has shown to its user.
pub(crate) struct Baseline {
    foca: Foca<Id, Codec, ChaCha8Rng, NoCustomBroadcast>,
    /// This member as its peers see it, and the pattern of all others.
    local: MemberView,
    own: Id,
    timers: BTreeMap<(Instant, u64), Due>,
    serial: u64,
    /// By name hash, as the product orders its views.
    shown: BTreeMap<NameHash, (Id, MemberView)>,
    up: usize,
    suspects: usize,
    /// How often it took another identity because somebody held it down.
    renewals: u64,
    outputs: VecDeque<Output>,
    stopped: bool,
    /// By chance: which part of a period passes before the first, if it starts among acquaintances.
    phase: u16,
}

enum Due {
    Foca(Timer<Id>),
    Seeds,
}

/// What foca wants done.
#[derive(Default)]
struct Effects {
    sends: Vec<(SocketAddrV4, Vec<u8>)>,
    timers: Vec<(Timer<Id>, Duration)>,
    notes: Vec<Note>,
}

enum Note {
    Up(Id),
    Down(Id),
    Renamed(Id, Id),
    ProbeFailed(Id),
    Rejoined,
}

impl foca::Runtime<Id> for &mut Effects {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        self.notes.extend(match notification {
            Notification::MemberUp(id) => Some(Note::Up(id.clone())),
            Notification::MemberDown(id) => Some(Note::Down(id.clone())),
            Notification::Rename(old, new) => Some(Note::Renamed(old.clone(), new.clone())),
            Notification::ProbeFailed(_, id) => Some(Note::ProbeFailed(id.clone())),
            Notification::Rejoin(_) => Some(Note::Rejoined),
            _ => None,
        });
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        let mut datagram = Vec::with_capacity(data.len() + 1);
        datagram.push(FIRST_BYTE);
        datagram.extend_from_slice(data);
        self.sends.push((to.addr, datagram));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push((event, after));
    }
}

impl Baseline {
    /// One of about so many. `local` is how the node of production would show this process.
    pub(crate) fn new(
        cluster: NonZeroU32,
        identity: &Identity,
        local: MemberView,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let addr = identity.endpoints.v4.unwrap_or(SocketAddrV4::new([0, 0, 0, 0].into(), 0));
        let own =
            Id { addr, session: identity.session.to_u64(), bump: 0, name: identity.name.clone() };
        let config = foca::Config::new_lan(cluster);
        let foca = Foca::new(own.clone(), config, ChaCha8Rng::from_seed(seed), Codec);
        let mut baseline = Self {
            foca,
            local,
            own,
            timers: BTreeMap::new(),
            serial: 0,
            shown: BTreeMap::new(),
            up: 0,
            suspects: 0,
            renewals: 0,
            outputs: [Output::ResolveSeeds].into(),
            stopped: false,
            phase: u16::from_le_bytes([seed[0], seed[1]]),
        };
        baseline.schedule(now + ALONE, Due::Seeds);
        baseline
    }

    pub(crate) fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        if self.stopped {
            return;
        }
        let mut effects = Effects::default();
        match input {
            // What foca cannot read it reports and drops, as its own agents do.
            Input::Datagram { bytes, .. } => {
                if let Some((&FIRST_BYTE, packet)) = bytes.split_first() {
                    _ = self.foca.handle_data(packet, &mut effects);
                }
            }
            Input::Timeout => return self.fire(now),
            Input::SeedsResolved(contacts) => self.announce(contacts, &mut effects),
            Input::Command(Command::Assume(members)) => self.assume(members, &mut effects),
            Input::Command(Command::Leave) => {
                _ = self.foca.leave_cluster(&mut effects);
                self.carry_out(effects, now);
                self.stopped = true;
                self.outputs.push_back(Output::Stopped(StopReason::Left));
                return;
            }
            _ => {}
        }
        self.carry_out(effects, now);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at).filter(|_| !self.stopped)
    }

    pub(crate) fn local(&self) -> MemberView {
        self.local.clone()
    }

    pub(crate) const fn session(&self) -> Session {
        self.local.session
    }

    pub(crate) fn members(&self) -> Vec<MemberView> {
        self.shown.values().map(|(_, view)| view.clone()).collect()
    }

    pub(crate) fn member(&self, name: &NodeName) -> Option<MemberView> {
        self.shown.get(&NameHash::of(name)).map(|(_, view)| view.clone())
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let mut counters = Counters::default();
        counters.yields = self.renewals;
        NodeStatus { counters, live: self.up + 1, tombstones: 0, windows: 0 }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let mut effects = Effects::default();
            match entry.remove() {
                Due::Foca(timer) => {
                    let probe = matches!(timer, Timer::ProbeRandomMember(_));
                    _ = self.foca.handle_timer(timer, &mut effects);
                    if probe {
                        self.look_at_suspects(now);
                    }
                }
                Due::Seeds => {
                    if self.up == 0 {
                        self.outputs.push_back(Output::ResolveSeeds);
                    }
                    self.schedule(now + ALONE, Due::Seeds);
                }
            }
            self.carry_out(effects, now);
        }
    }

    fn announce(&mut self, contacts: Vec<Contact>, effects: &mut Effects) {
        for contact in contacts {
            if let SocketAddr::V4(addr) = contact.addr
                && addr != self.own.addr
            {
                // Only the address counts: who is there will say so.
                let whoever = Id { addr, session: 0, bump: 0, name: self.own.name.clone() };
                _ = self.foca.announce(whoever, &mut *effects);
            }
        }
    }

    /// Takes each for up, and tells nobody. Its first timers come after a random part of their time:
    /// clusters do not start in one moment.
    fn assume(&mut self, members: Vec<Assumed>, effects: &mut Effects) {
        let others = members.into_iter().filter(|member| member.name != self.own.name);
        let others = others.filter_map(|member| {
            let (addr, session) = (member.endpoints.v4?, member.session.to_u64());
            Some(Member::alive(Id { addr, session, bump: 0, name: member.name }))
        });
        _ = self.foca.apply_many(others, false, &mut *effects);
        for (_, after) in &mut effects.timers {
            *after = *after * u32::from(self.phase) / u32::from(u16::MAX);
        }
    }

    fn schedule(&mut self, at: Instant, due: Due) {
        self.serial += 1;
        self.timers.insert((at, self.serial), due);
    }

    fn carry_out(&mut self, effects: Effects, now: Instant) {
        for (to, bytes) in effects.sends {
            self.outputs.push_back(Output::Transmit { to: to.into(), bytes });
        }
        for (timer, after) in effects.timers {
            self.schedule(now + after, Due::Foca(timer));
        }
        for note in effects.notes {
            match note {
                Note::Up(id) => self.show_up(id, now),
                Note::Down(id) => self.show_down(&id, now),
                Note::Renamed(old, new) => self.rename(&old, new, now),
                Note::ProbeFailed(id) => self.show_suspect(&id, now),
                Note::Rejoined => self.renewals += 1,
            }
        }
    }

    fn show_up(&mut self, id: Id, now: Instant) {
        if let Some((known, view)) = self.shown.get_mut(&NameHash::of(&id.name))
            && view.state.is_up()
        {
            if known.session == id.session {
                *known = id;
                return;
            }
            let gone = known.clone();
            self.show_down(&gone, now);
        }
        let mut view = self.local.clone();
        view.name = id.name.clone();
        view.state = MemberState::Alive;
        view.session = Session::from_u64(id.session);
        view.endpoints = Endpoints::one(id.addr.into());
        view.since = now;
        self.up += 1;
        self.outputs.push_back(Output::Event(Event::Up(view.clone())));
        self.shown.insert(NameHash::of(&id.name), (id, view));
    }

    /// An identity that was replaced may be called down later: that is no news.
    fn show_down(&mut self, id: &Id, now: Instant) {
        let Some((known, view)) = self.shown.get_mut(&NameHash::of(&id.name)) else { return };
        if known == id && view.state.is_up() {
            self.suspects -= usize::from(view.state == MemberState::Suspect);
            view.state = MemberState::Down;
            view.since = now;
            self.up -= 1;
            self.outputs.push_back(Output::Event(Event::Down(view.clone())));
        }
    }

    /// foca tells of no suspicion, but of the failed probe that begins one.
    fn show_suspect(&mut self, id: &Id, now: Instant) {
        let Some((known, view)) = self.shown.get_mut(&NameHash::of(&id.name)) else { return };
        if known == id && view.state == MemberState::Alive {
            view.state = MemberState::Suspect;
            view.since = now;
            self.suspects += 1;
            self.outputs.push_back(Output::Event(Event::Suspect(view.clone())));
        }
    }

    /// Nor does it tell of the end of one: that is seen at the next own probe.
    fn look_at_suspects(&mut self, now: Instant) {
        if self.suspects == 0 {
            return;
        }
        for member in self.foca.iter_membership_state() {
            let Some((known, view)) = self.shown.get_mut(&NameHash::of(&member.id().name)) else {
                continue;
            };
            let refuted = member.state() == State::Alive && known == member.id();
            if refuted && view.state == MemberState::Suspect {
                view.state = MemberState::Alive;
                view.since = now;
                self.suspects -= 1;
                self.outputs.push_back(Output::Event(Event::Recovered(view.clone())));
            }
        }
    }

    /// Whoever holds an address holds it under another identity: of its own, or of an heir.
    fn rename(&mut self, old: &Id, new: Id, now: Instant) {
        if (&old.name, old.session) == (&new.name, new.session) {
            if let Some((known, _)) = self.shown.get_mut(&NameHash::of(&new.name)) {
                *known = new;
            }
            return;
        }
        let is_up =
            self.shown.get(&NameHash::of(&old.name)).is_some_and(|(_, view)| view.state.is_up());
        self.show_down(old, now);
        if is_up {
            self.show_up(new, now);
        }
    }
}
