//! Doors into the wire format for this crate's own benchmarks. Nothing here is stable.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use foca::{Member, State};

use crate::envelope::{self, HEADER_LEN, Header, Sequence};
use crate::identity::NameHash;
use crate::roster::Run;
use crate::swim::{Id, Index, Packet, encode_updates};
use crate::wire::Kind;
use crate::{Endpoints, KeyRing, Life, NodeName, Session};

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
            let hash = NameHash::of(&name);
            directory.insert(index, Run::new(name, hash, age, endpoints));
            Member::new(Id::new(age, index), 3, State::Alive)
        });
        Self { members: members.collect(), directory }
    }

    /// A packet with all of them.
    pub fn encode(&self) -> Vec<u8> {
        encode_updates(3, Life::default(), &self.members, &self.directory)
    }

    /// How many updates a packet has, once all of them are read; none if it is malformed.
    pub fn decode(packet: &[u8]) -> Option<usize> {
        Packet::parse(packet).ok().map(|packet| packet.updates.len())
    }
}
