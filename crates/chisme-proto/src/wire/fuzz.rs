//! Whatever bytes come in: nothing panics, what is read is no larger than what was sent, and what
//! was written reads back.

use std::net::SocketAddr;

use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;

use super::{
    Ack, Body, Challenge, EchoBody, Hello, Holds, Introduction, Kind, List, Nonce, Notice, Outcome,
    Proof, RecordAsk, RecordBody, RecordKey, RecordNews, RecordPage, RecordPart, RecordRow,
    RefusalBody, Sender, Standing, Token, Update, Welcome, decode_all, encode, pad_to, parse,
};
use crate::envelope::{HEADER_LEN, MAX_BODY};
use crate::names::Names;
use crate::record::digest::Summary;
use crate::swim::{Message, Packet, SHORTEST_UPDATE};
use crate::{Endpoints, Life, NodeName, Session, VersionRange};

fn a_name() -> impl Strategy<Value = NodeName> {
    "[a-zA-Z0-9_.-]{1,127}@[a-zA-Z0-9_.-]{1,127}"
        .prop_map(|text| NodeName::parse(&text).expect("valid"))
}

fn a_session() -> impl Strategy<Value = Session> {
    any::<u64>().prop_map(Session::from_u64)
}

/// As addresses are on the wire: without flow and scope, which do not travel.
fn an_addr() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

fn endpoints() -> impl Strategy<Value = Endpoints> {
    let v4 = option::of(any::<([u8; 4], u16)>());
    let v6 = option::of(any::<([u8; 16], u16)>());
    (v4, v6).prop_map(|(v4, v6)| {
        let (v4, v6) = (v4.map(SocketAddr::from), v6.map(SocketAddr::from));
        let v4 = v4.and_then(|addr| if let SocketAddr::V4(v4) = addr { Some(v4) } else { None });
        let v6 = v6.and_then(|addr| if let SocketAddr::V6(v6) = addr { Some(v6) } else { None });
        Endpoints { v4, v6 }
    })
}

fn a_standing() -> impl Strategy<Value = Standing> {
    let holds = prop_oneof![
        Just(Holds::Unknown),
        Just(Holds::Up),
        any::<u16>().prop_map(|life| Holds::Gone(Life(life))),
    ];
    (holds, any::<u32>(), any::<u64>()).prop_map(|(holds, live, side)| Standing {
        holds,
        live,
        side,
    })
}

fn an_update() -> impl Strategy<Value = Update> {
    (a_name(), endpoints(), a_session(), any::<(u16, u16)>(), 0_u8..3).prop_map(
        |(name, endpoints, session, (life, incarnation), state)| Update {
            name,
            endpoints,
            session,
            life: Life(life),
            incarnation,
            state,
        },
    )
}

fn a_row() -> impl Strategy<Value = RecordRow> {
    (uniform16(any::<u8>()), a_session(), any::<u64>(), 0..=16_384_u16).prop_map(
        |(hash, session, version, len)| RecordRow {
            key: RecordKey { hash, session, version },
            len,
        },
    )
}

fn a_record_body() -> impl Strategy<Value = RecordBody> {
    let rows = || vec(a_row(), 0..4).prop_map(List);
    let page = (any::<u16>(), option::of(uniform16(any::<u8>())), uniform16(any::<u8>()), rows())
        .prop_map(|(buckets, above, up_to, rows)| RecordPage { buckets, above, up_to, rows });
    let news = (any::<bool>(), rows()).prop_map(|(spread, rows)| RecordNews { spread, rows });
    let part = (a_row(), vec(any::<u8>(), 0..60)).prop_map(|(row, bytes)| RecordPart {
        row,
        index: 0,
        bytes,
    });
    let ask =
        (a_row(), any::<u32>()).prop_map(|(row, missing)| RecordAsk { key: row.key, missing });
    let buckets = option::of(uniform16(any::<u64>()).prop_map(Summary));
    (buckets, option::of(page), option::of(news), vec(part, 0..3), vec(ask, 1..4)).prop_map(
        |(buckets, page, news, parts, asks)| RecordBody {
            buckets,
            page,
            news,
            parts: List(parts),
            asks: List(asks),
        },
    )
}

/// What bodies are made of.
#[derive(Clone, Debug)]
struct Parts {
    sender: Sender,
    nonce: Nonce,
    challenge: Challenge,
    versions: VersionRange,
    number: u32,
    addr: SocketAddr,
    maybe_addr: Option<SocketAddr>,
    name: Option<NodeName>,
    session: Option<Session>,
    port: Option<u16>,
    standing: Standing,
    packet: Vec<u8>,
    record: RecordBody,
}

fn parts() -> impl Strategy<Value = Parts> {
    let sender = (a_name(), endpoints(), any::<u16>()).prop_map(|(name, endpoints, life)| Sender {
        name,
        endpoints,
        life: Life(life),
    });
    let numbers = (any::<u64>(), uniform16(any::<u8>()), any::<(u8, u8)>(), any::<u32>());
    let addrs = (an_addr(), option::of(an_addr()));
    let last = (vec(any::<u8>(), 0..600), a_record_body());
    let maybe = (option::of(a_name()), option::of(a_session()), option::of(any::<u16>()));
    (sender, numbers, addrs, maybe, a_standing(), last).prop_map(
        |(
            sender,
            (nonce, challenge, (min, max), number),
            addrs,
            maybe,
            standing,
            (packet, record),
        )| Parts {
            sender,
            nonce: Nonce(nonce),
            challenge: Challenge(challenge),
            versions: VersionRange { min, max },
            number,
            addr: addrs.0,
            maybe_addr: addrs.1,
            name: maybe.0,
            session: maybe.1,
            port: maybe.2,
            standing,
            packet,
            record,
        },
    )
}

impl Parts {
    /// One body of every kind, and every Notice.
    fn bodies(&self) -> Vec<Body<'_>> {
        let Self { nonce, challenge, versions, number, addr, standing, .. } = self.clone();
        let session = self.session.unwrap_or(Session::from_u64(1));
        let token = Token(nonce.0);
        let outcome = match number % 3 {
            0 => Outcome::Nothing,
            1 => Outcome::RaiseLife,
            _ => Outcome::Yield,
        };
        let (code, maybe_addr) = (number.to_be_bytes()[0], self.maybe_addr);
        let (name, endpoints) = (self.sender.name.clone(), self.sender.endpoints);
        let expect = self.name.clone();
        vec![
            Body::Hello(Hello { versions, capabilities: number, nonce, to: addr, expect }),
            Body::HelloAck(Ack {
                nonce,
                versions,
                capabilities: number,
                observed: addr,
                challenge,
                known_session: self.session,
                sibling_port: self.port,
            }),
            Body::Proof(Proof { nonce, challenge, versions, to: addr, standing }),
            Body::Welcome(Welcome { nonce, outcome, standing }),
            Body::Refused(RefusalBody { nonce, challenge, code, versions, addr: maybe_addr }),
            Body::Swim(&self.packet),
            Body::Echo(EchoBody { token }),
            Body::EchoReply(EchoBody { token }),
            Body::Leaving,
            Body::LeavingAck,
            Body::Introduce(Introduction { name, endpoints }),
            Body::Notice(Notice::Superseded { session }),
            Body::Notice(Notice::Conflict { session, holder: addr }),
            Body::Notice(Notice::Claimed { claimant: addr }),
            Body::Record(self.record.clone()),
        ]
    }
}

fn written(sender: &Sender, body: &Body<'_>) -> Vec<u8> {
    let mut bytes = crate::envelope::start();
    body.append_to(sender, &mut bytes);
    bytes.split_off(HEADER_LEN)
}

/// Reads `bytes` as every kind. What is understood takes no more room than it came in.
fn read_as_anything(bytes: &[u8]) {
    for kind in (0..=u8::MAX).filter_map(Kind::from_u8) {
        let Ok(parsed) = parse(kind, bytes, &Names::default()) else { continue };
        let again = written(&parsed.sender, &parsed.body);
        assert!(again.len() <= bytes.len(), "{kind:?}");
        let twice = parse(kind, &again, &Names::default()).expect("we wrote it");
        assert_eq!((twice.sender, twice.body), (parsed.sender, parsed.body));
    }
    if let Ok(packet) = Packet::parse(bytes, &Names::default()) {
        assert!(packet.updates.len() * SHORTEST_UPDATE <= bytes.len());
    }
}

#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, mask)| Mutation::Flip(at, mask)),
        at().prop_map(Mutation::Cut),
        (at(), vec(any::<u8>(), 0..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

impl Mutation {
    fn apply(self, bytes: &mut Vec<u8>) {
        let place = |at: Index| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, mask) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            Self::Flip(..) => {}
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new);
            }
            Self::Repeat(from, to) => {
                let (from, to) = (place(from), place(to));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part);
            }
        }
        bytes.truncate(MAX_BODY);
    }
}

fn a_packet() -> impl Strategy<Value = Vec<u8>> {
    (any::<(u16, u16)>(), 6_u8..10, vec(an_update(), 0..5)).prop_map(
        |((incarnation, life), message, updates)| {
            let mut bytes = Vec::new();
            encode(&(incarnation, life, message), &mut bytes);
            bytes.extend(u16::try_from(updates.len()).expect("few").to_be_bytes());
            for update in &updates {
                encode(update, &mut bytes);
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_reads_back(parts in parts()) {
        for body in parts.bodies() {
            let bytes = written(&parts.sender, &body);
            let parsed = parse(body.kind(), &bytes, &Names::default()).expect("we wrote it");
            assert_eq!((&parsed.sender, &parsed.body), (&parts.sender, &body));
        }
    }

    #[test]
    fn updates_read_back(update in an_update()) {
        let mut bytes = Vec::new();
        encode(&update, &mut bytes);
        assert_eq!(decode_all(&bytes, Names::default()), Ok(update));
    }

    /// bincode has seen its last release; what takes its place must not change the wire.
    #[test]
    fn wincode_reads_and_writes_the_same_bytes(update in an_update(), parts in parts()) {
        let varint = wincode::config::Configuration::default().with_varint_encoding();
        let Endpoints { v4, v6 } = update.endpoints;
        let session = update.session.to_u64().to_be_bytes();
        let (name, life) = (update.name.as_str().to_owned(), update.life.0);
        same_in_wincode(varint, &update, &(name, v4, v6, session, life, update.incarnation, update.state));

        let Parts { nonce, challenge, versions: VersionRange { min, max }, .. } = parts;
        let (number, code) = (parts.number, parts.number.to_be_bytes()[0]);
        let (to, addr) = (parts.addr, parts.maybe_addr);
        let (versions, expect) = (parts.versions, parts.name.clone());
        let text = parts.name.map(|name| name.as_str().to_owned());
        let hello = Hello { versions, capabilities: number, nonce, to, expect };
        same_in_wincode(varint, &hello, &(min, max, number, nonce.0, to, text));
        let refusal = RefusalBody { nonce, challenge, code, versions, addr };
        same_in_wincode(varint, &refusal, &(nonce.0, challenge.0, code, min, max, addr));
    }

    #[test]
    fn random_bytes_are_read_as_anything(bytes in vec(any::<u8>(), 0..MAX_BODY)) {
        read_as_anything(&bytes);
    }

    #[test]
    fn what_was_damaged_is_read_as_anything(
        parts in parts(),
        mutations in vec(mutation(), 1..6),
    ) {
        for body in parts.bodies() {
            let mut bytes = written(&parts.sender, &body);
            mutations.iter().cloned().for_each(|mutation| mutation.apply(&mut bytes));
            read_as_anything(&bytes);
        }
    }

    #[test]
    fn damaged_packets_are_read_as_anything(
        mut packet in a_packet(),
        mutations in vec(mutation(), 0..6),
    ) {
        mutations.into_iter().for_each(|mutation| mutation.apply(&mut packet));
        read_as_anything(&packet);
    }

    #[test]
    fn padding_gives_the_length_asked_for_and_is_skipped(parts in parts(), total in 448_usize..1_232) {
        let mut datagram = crate::envelope::start();
        Body::Leaving.append_to(&parts.sender, &mut datagram);
        pad_to(total, &mut datagram);
        assert_eq!(datagram.len(), total - 16);
        let parsed = parse(Kind::Leaving, &datagram[HEADER_LEN..], &Names::default()).expect("we wrote it");
        assert_eq!((parsed.sender, parsed.unknown_sections), (parts.sender, 0));
    }
}

/// `fields` are those of `value`, in order.
fn same_in_wincode<C, F>(config: C, value: &impl bincode::Encode, fields: &F)
where
    C: wincode::config::Config + Copy,
    F: PartialEq + std::fmt::Debug,
    F: wincode::SchemaWrite<C, Src = F>,
    F: for<'de> wincode::SchemaRead<'de, C, Dst = F>,
{
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    let read: F = wincode::config::deserialize_exact(&bytes, config).expect("our bytes");
    assert_eq!(read, *fields);
    assert_eq!(wincode::config::serialize(fields, config).expect("fields"), bytes);
}

#[test]
fn a_packet_is_read_to_its_last_update() {
    let update = Update {
        name: NodeName::parse("a@b").expect("valid"),
        endpoints: Endpoints::one(SocketAddr::from(([10, 0, 0, 1], 1))),
        session: Session::from_u64(1),
        life: Life(0),
        incarnation: 0,
        state: 0,
    };
    let mut bytes = vec![0, 0, 9, 0, 2];
    encode(&update, &mut bytes);
    assert_eq!(bytes.len(), 5 + SHORTEST_UPDATE);
    assert!(Packet::parse(&bytes, &Names::default()).is_err(), "one is missing");
    encode(&update, &mut bytes);
    let packet = Packet::parse(&bytes, &Names::default()).expect("two updates");
    assert_eq!((packet.message, packet.updates), (Message::Tell, vec![update.clone(), update]));
    bytes.push(0);
    assert!(Packet::parse(&bytes, &Names::default()).is_err(), "one byte too many");
}

/// Memory is asked for by what is there, not by what a length says: were it otherwise, the larger
/// ones would end this process.
#[test]
fn a_length_that_is_not_there_is_malformed() {
    for len in [1_233, 1 << 32, 1 << 40, 1 << 62, u64::MAX] {
        let mut name = vec![253];
        name.extend(len.to_le_bytes());
        name.extend([b'a'; 64]);
        assert!(decode_all::<_, NodeName>(&name, Names::default()).is_err(), "{len}");
        let mut body = vec![1, 0, u8::try_from(name.len()).expect("short")];
        body.extend(&name);
        assert!(parse(Kind::Leaving, &body, &Names::default()).is_err(), "{len}");
        let packet = [&[0, 0, 9, 0xff, 0xff][..], &name].concat();
        assert!(Packet::parse(&packet, &Names::default()).is_err(), "{len}");
    }
}
