//! Doors into the wire format for this crate's own benchmarks. Nothing here is stable.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use foca::{Member, State};

use crate::envelope::{self, HEADER_LEN, Header, Sequence};
use crate::names::Names;
use crate::roster::Run;
use crate::swim::{Effects, Engine, Id, Index, OWN_INDEX, Packet, Parameters, encode_updates};
use crate::table::{Entries, Held, Table};
use crate::wire::Kind;
use crate::{Detector, Endpoints, KeyRing, Life, NodeName, Session};

/// Room for the header of a datagram, then `body`; [`seal`] takes it from there.
pub fn unsealed(body: &[u8]) -> Vec<u8> {
    let mut datagram = envelope::start();
    datagram.reserve_exact(body.len() + envelope::OVERHEAD - HEADER_LEN);
    datagram.extend_from_slice(body);
    datagram
}

/// Writes header and tag around the body that [`unsealed`] was given.
pub fn seal(keys: &KeyRing, datagram: &mut Vec<u8>) {
    let header = Header {
        version: 1,
        kind: Kind::Swim as u8,
        sender: Session::from_u64(1),
        receiver: Session::from_u64(2),
        sequence: Sequence(3),
    };
    envelope::seal(keys.primary(), &header, datagram);
}

/// The body of a datagram, if it is authentic.
pub fn open<'a>(keys: &KeyRing, datagram: &'a [u8]) -> Option<&'a [u8]> {
    envelope::open(keys, datagram).ok().map(|(_, body)| body)
}

/// Members whose updates can be written.
pub struct Rumours {
    directory: BTreeMap<Index, Run>,
    members: Vec<Member<Id>>,
    names: Names,
}

impl Rumours {
    /// `count` members called `node<n>@host`, each at an IPv4 address.
    pub fn new(count: u16) -> Self {
        let mut directory = BTreeMap::new();
        let members = (1..=count).map(|n| {
            let name = NodeName::parse(&format!("node{n}@host")).expect("valid");
            let endpoints = Endpoints::one(SocketAddr::from(([10, 0, 0, 1], n)));
            let session = Session::new(1_735_689_600_000 + u64::from(n), 77);
            let (age, index) = ((session, Life::default()), Index::first(n.into()));
            directory.insert(index, Run::new(name, age, endpoints));
            Member::new(Id::new(age, index), 3, State::Alive)
        });
        Self { members: members.collect(), directory, names: Names::default() }
    }

    /// A packet with all of them.
    pub fn encode(&self) -> Vec<u8> {
        encode_updates(3, Life::default(), &self.members, &self.directory)
    }

    /// How many updates a packet has, once all of them are read, as by somebody who has heard of their
    /// members before; none if it is malformed.
    pub fn decode(&self, packet: &[u8]) -> Option<usize> {
        Packet::parse(packet, &self.names).ok().map(|packet| packet.updates.len())
    }
}

/// What is new about a member that is up.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// It has refuted a suspicion.
    Incarnation,
    /// It is back under the same session: the digest changes.
    Life,
}

/// What a node holds of its members: foca's part, and ours beside it.
pub struct Views {
    table: Table,
    engine: Engine<Entries>,
    effects: Effects,
    /// Whom it knows, and in which incarnation.
    members: Vec<(Id, u16)>,
    next: usize,
}

impl Views {
    /// `count` members, all up.
    pub fn of(count: u32) -> Self {
        let run = |n: u32| {
            let name = NodeName::parse(&format!("node{n}@host")).expect("valid");
            let age = (Session::new(1_735_689_600_000, n), Life::default());
            let [_, net, high, low] = n.to_be_bytes();
            (name, age, Endpoints::one(SocketAddr::from(([10, net, high, low], 4747))))
        };
        let (name, age, endpoints) = run(0);
        let id = Id::new(age, OWN_INDEX);
        let parameters =
            Parameters { id, detector: Detector::default(), max_packet: 1_000, seed: [1; 32] };
        let mut views = Self {
            table: Table::new(None),
            engine: Engine::new(&parameters, Run::new(name, age, endpoints)),
            effects: Effects::default(),
            members: Vec::new(),
            next: 0,
        };
        for n in 1..=count {
            let (name, age, endpoints) = run(n);
            let id = views.table.insert(name, age, endpoints);
            views.members.push((id, 0));
            views.table.apply(&id, Held { incarnation: 0, state: State::Alive });
            views.tell_foca(id, 0);
        }
        views
    }

    fn tell_foca(&mut self, id: Id, incarnation: u16) {
        let update = Member::new(id, incarnation, State::Alive);
        let entries = self.table.entries_mut();
        self.engine.apply(update, false, entries, &mut self.effects).expect("a valid update");
        self.effects = Effects::default();
    }

    /// What is told of the next member.
    fn next(&mut self, news: News) -> (Id, u16) {
        // In steps that do not follow the order of their making.
        self.next = (self.next + 7_919) % self.members.len();
        let (id, incarnation) = &mut self.members[self.next];
        match news {
            News::Incarnation => *incarnation += 1,
            News::Life => (id.life, *incarnation) = (Life(id.life.0 + 1), 0),
        }
        (*id, *incarnation)
    }

    /// foca takes in that a member is up.
    pub fn update_foca(&mut self, news: News) {
        let (id, incarnation) = self.next(news);
        self.tell_foca(id, incarnation);
    }

    /// Our table takes in the same, and sums it up for the next that is asked.
    pub fn update_ours(&mut self, news: News) -> u64 {
        let (id, incarnation) = self.next(news);
        assert!(self.table.apply(&id, Held { incarnation, state: State::Alive }));
        self.digest()
    }

    /// What a Ping carries of it.
    pub fn digest(&self) -> u64 {
        self.table.sums().total()
    }
}
