//! Golden vectors of SWIM packets: every message, an update, and a whole packet as foca makes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use foca::{Header, Member, Message as Foca, State};

use super::engine::{Effects, Engine, Parameters};
use super::id::{Directory, Id, Index, OWN_INDEX};
use super::packet::{
    LEFT, Message, Packet, PeerRef, encode_ack, encode_header, encode_nack, encode_updates,
};
use crate::identity::NameHash;
use crate::names::Names;
use crate::roster::Run;
use crate::wire::golden::{addr, check, hex, name};
use crate::{Detector, Endpoints, Life, Session};

const FIXTURE: &str = include_str!("golden.txt");
const SESSION: u64 = 0x0102_0304_0506_0708;

type Runs = BTreeMap<Index, Run>;

fn id(session: u64, life: u16, index: Index) -> Id {
    Id::new((Session::from_u64(session), Life(life)), index)
}

fn run(id: Id, text: &str, endpoints: Endpoints) -> (Index, Run) {
    (id.index, Run::new(name(text), id.age(), endpoints))
}

/// This node is `n1@host`; `n2` is known at an IPv4 address, `n3` at both families.
fn directory() -> Runs {
    let mut both = Endpoints::one(addr("10.0.0.3:4747"));
    both.set("[2001:db8::3]:4747".parse::<SocketAddr>().expect("an address"));
    Runs::from([
        run(n2(), "n2@host", Endpoints::one(addr("10.0.0.2:4747"))),
        run(n3(), "n3@host", both),
    ])
}

fn own_run() -> Run {
    run(own(), "n1@host", Endpoints::one(addr("10.0.0.1:4747"))).1
}

fn engine() -> Engine<Runs> {
    let detector = Detector::default();
    let parameters = Parameters { id: own(), detector, max_packet: 1_000, seed: [7; 32] };
    Engine::new(&parameters, own_run())
}

fn hash(id: Id) -> NameHash {
    directory().run(id.index).expect("known").hash
}

fn own() -> Id {
    id(SESSION, 0, OWN_INDEX)
}

fn n2() -> Id {
    id(SESSION + 1, 1, Index::first(1))
}

fn n3() -> Id {
    id(SESSION + 2, 300, Index::first(2))
}

#[test]
fn every_message() {
    let about = PeerRef { hash: hash(n3()), session: n3().session, life: n3().life };
    let rows = [
        ("ping", Foca::Ping(9), Message::Ping(9)),
        ("ack", Foca::Ack(250), Message::Ack(250)),
        ("ping req", Foca::PingReq { target: n3(), probe_number: 9 }, Message::PingReq(about, 9)),
        (
            "indirect ping",
            Foca::IndirectPing { origin: n3(), probe_number: 9 },
            Message::IndirectPing(about, 9),
        ),
        (
            "indirect ack",
            Foca::IndirectAck { target: n3(), probe_number: 9 },
            Message::IndirectAck(about, 9),
        ),
        (
            "forwarded ack",
            Foca::ForwardedAck { origin: n3(), probe_number: 9 },
            Message::ForwardedAck(about, 9),
        ),
        ("announce", Foca::Announce, Message::Announce),
        ("feed", Foca::Feed, Message::Feed),
        ("gossip", Foca::Gossip, Message::Gossip),
    ];
    for (name, message, expected) in rows {
        let header = Header { src: own(), src_incarnation: 300, dst: n2(), message };
        let mut bytes = Vec::new();
        encode_header(&header, &directory(), &mut bytes).expect("all are known");
        check(FIXTURE, name, &hex(&bytes));
        let packet = Packet::parse(&bytes, &Names::default()).expect("well formed");
        assert_eq!((packet.src_incarnation, packet.dst_life), (300, n2().life));
        assert_eq!((packet.message, packet.updates.len()), (expected, 0));
    }
}

#[test]
fn a_nack_names_whom_the_relay_could_not_reach() {
    let bytes = encode_nack(300, n2().life, &n3(), 9, &directory()).expect("known");
    check(FIXTURE, "nack", &hex(&bytes));
    let packet = Packet::parse(&bytes, &Names::default()).expect("well formed");
    let about = PeerRef { hash: hash(n3()), session: n3().session, life: n3().life };
    assert_eq!((packet.message, packet.updates.len()), (Message::Nack(about, 9), 0));
    assert_eq!((packet.src_incarnation, packet.dst_life), (300, n2().life));
}

#[test]
fn updates() {
    let members = [
        Member::new(n2(), 3, State::Alive),
        Member::new(n3(), 251, State::Suspect),
        Member::new(n2(), LEFT, State::Down),
    ];
    let bytes = encode_updates(300, n2().life, &members, &directory());
    check(FIXTURE, "tell, with three updates", &hex(&bytes));

    let packet = Packet::parse(&bytes, &Names::default()).expect("well formed");
    assert_eq!(packet.message, Message::Tell);
    let read = packet.updates.iter().map(|update| {
        let id = (update.hash(), update.session, update.life);
        (id, update.incarnation, update.swim_state())
    });
    let sent = members.iter().map(|member| {
        let id = member.id();
        let id = (hash(*id), id.session, id.life);
        (id, member.incarnation(), member.state())
    });
    assert_eq!(read.collect::<Vec<_>>(), sent.collect::<Vec<_>>());
    assert_eq!(
        packet.updates[1].endpoints.v6.map(SocketAddr::V6),
        Some(addr("[2001:db8::3]:4747"))
    );

    // The updates of a packet are the encodings of `Update`, one behind the other.
    let mut again = bytes[..7].to_vec();
    for update in &packet.updates {
        crate::wire::encode(update, &mut again);
    }
    assert_eq!(again, bytes);
}

#[test]
fn what_foca_writes_is_framed_as_written_down() {
    let mut engine = engine();
    let mut directory = directory();
    let mut effects = Effects::default();
    let mut apply = |id| {
        engine
            .apply(Member::new(id, 0, State::Alive), true, &mut directory, &mut effects)
            .expect("taken over");
    };
    apply(n2());
    apply(n3());
    let mut effects = Effects::default();
    let ping = Header { src: n2(), src_incarnation: 4, dst: own(), message: Foca::Ping(9) };
    engine.handle_packet(ping, &mut directory, &mut effects).expect("handled");
    let [(to, bytes)] = &effects.sends[..] else { panic!("one Ack: {effects:?}") };
    assert_eq!(*to, n2());
    check(FIXTURE, "ack, with what foca piggybacks", &hex(bytes));
    let packet = Packet::parse(bytes, &Names::default()).expect("well formed");
    assert_eq!(packet.message, Message::Ack(9));
    assert!(packet.updates.iter().any(|update| update.name == name("n3@host")));
}

#[test]
fn an_ack_of_ours_is_that_of_foca_without_rumours() {
    let mut engine = engine();
    let mut directory = directory();
    let mut effects = Effects::default();
    engine
        .apply(Member::new(n2(), 4, State::Alive), false, &mut directory, &mut effects)
        .expect("taken over");
    assert!(!engine.has_rumours());
    let mut effects = Effects::default();
    let ping = Header { src: n2(), src_incarnation: 4, dst: own(), message: Foca::Ping(9) };
    engine.handle_packet(ping, &mut directory, &mut effects).expect("handled");
    assert_eq!(effects.sends, [(n2(), encode_ack(0, n2().life, 9))]);
    assert!(effects.timers.is_empty());
}

#[test]
fn a_node_that_leaves_says_so_by_the_last_incarnation() {
    let mut engine = engine();
    let mut directory = directory();
    let mut effects = Effects::default();
    engine
        .apply(Member::new(n2(), 0, State::Alive), false, &mut directory, &mut effects)
        .expect("taken over");
    engine.leave(&mut directory, &mut effects).expect("left");
    let (_, bytes) = effects.sends.last().expect("somebody is told");
    check(FIXTURE, "goodbye", &hex(bytes));
    let packet = Packet::parse(bytes, &Names::default()).expect("well formed");
    let own = packet.updates.iter().find(|update| update.name == name("n1@host"));
    let own = own.expect("its own Down");
    assert_eq!((own.incarnation, own.swim_state()), (LEFT, State::Down));
}
