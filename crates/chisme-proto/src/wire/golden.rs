//! Golden vectors: one datagram of every kind, byte for byte. Whatever changes `golden.txt` changes
//! what peers of other versions read: see PROTOCOL.md, "What versions may change".
//!
//! Offsets are written as numbers here, and not taken from the code that they hold still.

use std::net::SocketAddr;

use super::{
    Ack, Body, Challenge, EchoBody, Hello, Holds, Introduction, Kind, Nonce, Notice, Outcome,
    Proof, RefusalBody, Sender, Standing, Token, Welcome, pad_to, parse,
};
use crate::envelope::{self, Header, Sequence};
use crate::names::Names;
use crate::{
    ClusterName, Cookie, Endpoints, KeyRing, Life, NodeName, Session, StretchedCookie, VersionRange,
};

const FIXTURE: &str = include_str!("golden.txt");

/// The paragraph of a fixture that starts with `[name]`.
fn paragraph<'a>(fixture: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = fixture.split_once(&format!("[{name}]\n"))?;
    Some(rest.split_once("\n\n").map_or(rest, |(paragraph, _)| paragraph).trim_end())
}

/// Fails if the paragraph `name` is not `found`, and prints what it would have to be.
pub(crate) fn check(fixture: &str, name: &str, found: &str) {
    let expected = paragraph(fixture, name);
    assert!(expected == Some(found), "expected {expected:?}, found\n[{name}]\n{found}\n");
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A datagram, one line for the header, one for each section, and one for the tag.
fn lines(datagram: &[u8]) -> String {
    let (front, tag) = datagram.split_at(datagram.len() - 16);
    let header = [(0, 1), (1, 2), (2, 6), (6, 14), (14, 22), (22, 30)];
    let mut lines = vec![header.map(|(from, to)| hex(&front[from..to])).join(" ")];
    let mut rest = &front[30..];
    while let [kind, high, low, behind @ ..] = rest {
        let (payload, next) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        let zeros = payload.len() > 32 && payload.iter().all(|&byte| byte == 0);
        let payload = if zeros { format!("00 x {}", payload.len()) } else { hex(payload) };
        lines.push(format!("{kind:02x} {high:02x}{low:02x} {payload}").trim_end().to_owned());
        rest = next;
    }
    lines.push(hex(tag));
    lines.join("\n")
}

pub(crate) fn ring() -> KeyRing {
    let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
    KeyRing::new(&StretchedCookie::stretch(&cookie), &ClusterName::default())
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::parse(text).expect("valid")
}

pub(super) fn sender() -> Sender {
    let endpoints = Endpoints::one(addr("10.0.0.7:4747"));
    Sender { name: name("n1@host"), endpoints, life: Life(0) }
}

/// A sender with everything that is optional, and varints of more than one byte.
fn large_sender() -> Sender {
    let mut endpoints = Endpoints::one(addr("10.0.0.7:250"));
    endpoints.set(addr("[2001:db8::7]:4747"));
    Sender { name: name("n1@host.example.com"), endpoints, life: Life(251) }
}

fn seal(sender: &Sender, receiver: Session, body: &Body<'_>) -> Vec<u8> {
    let header = Header {
        version: 1,
        kind: body.kind() as u8,
        sender: Session::from_u64(0x0102_0304_0506_0708),
        receiver,
        sequence: Sequence(0x0a0b),
    };
    let mut datagram = envelope::start();
    body.append_to(sender, &mut datagram);
    if matches!(body.kind(), Kind::Hello | Kind::Proof) {
        pad_to(448, &mut datagram);
    }
    envelope::seal(ring().primary(), &header, &mut datagram);
    datagram
}

/// The datagram of `body` is the one in the fixture, and reads back to `body`.
fn hold(name: &str, sender: &Sender, body: &Body<'_>) {
    hold_in(FIXTURE, name, sender, body);
}

pub(super) fn hold_in(fixture: &str, name: &str, sender: &Sender, body: &Body<'_>) {
    let receiver = match body {
        Body::Hello(_) => Session::from_u64(0),
        _ => Session::from_u64(0x1112_1314_1516_1718),
    };
    let datagram = seal(sender, receiver, body);
    check(fixture, name, &lines(&datagram));

    let (header, bytes) = envelope::open(&ring(), &datagram).expect("authentic");
    let kind = Kind::from_u8(header.kind).expect("a kind");
    assert_eq!((kind, header.receiver), (body.kind(), receiver));
    let parsed = parse(kind, bytes, &Names::default()).expect("well formed");
    assert_eq!((&parsed.sender, &parsed.body), (sender, body));
    assert_eq!(parsed.unknown_sections, 0);
}

const VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };
const NONCE: Nonce = Nonce(0x2122_2324_2526_2728);
const CHALLENGE: Challenge = Challenge([0x33; 16]);
const STANDING: Standing =
    Standing { holds: Holds::Gone(Life(2)), live: 300, side: 0x4142_4344_4546_4748 };

#[test]
fn hello() {
    let to = addr("10.0.0.9:4747");
    let plain = Hello { versions: VERSIONS, capabilities: 0, nonce: NONCE, to, expect: None };
    hold("hello", &sender(), &Body::Hello(plain.clone()));
    let to = addr("[2001:db8::9]:4747");
    let expect = Some(name("n2@host"));
    hold("hello, full", &large_sender(), &Body::Hello(Hello { to, expect, ..plain }));
}

#[test]
fn hello_ack() {
    let plain = Ack {
        nonce: NONCE,
        versions: VERSIONS,
        capabilities: 0,
        observed: addr("10.0.0.7:4747"),
        challenge: CHALLENGE,
        known_session: None,
        sibling_port: None,
    };
    hold("hello ack", &sender(), &Body::HelloAck(plain.clone()));
    let (known_session, sibling_port) =
        (Some(Session::from_u64(0x5152_5354_5556_5758)), Some(4748));
    hold(
        "hello ack, full",
        &sender(),
        &Body::HelloAck(Ack { known_session, sibling_port, ..plain }),
    );
}

#[test]
fn proof_and_welcome() {
    let proof = Proof {
        nonce: NONCE,
        challenge: CHALLENGE,
        versions: VERSIONS,
        to: addr("10.0.0.9:4747"),
        standing: Standing { holds: Holds::Unknown, live: 1, side: 7 },
    };
    hold("proof", &sender(), &Body::Proof(proof));
    let welcome = Welcome { nonce: NONCE, outcome: Outcome::Yield, standing: STANDING };
    hold("welcome", &sender(), &Body::Welcome(welcome));
}

#[test]
fn refused() {
    let body = RefusalBody {
        nonce: NONCE,
        challenge: Challenge([0; 16]),
        code: 3,
        versions: VersionRange { min: 1, max: 2 },
        addr: Some(addr("10.0.0.8:4747")),
    };
    hold("refused", &sender(), &Body::Refused(body));
}

#[test]
fn swim() {
    // Incarnation 5, to life 0, Ping 9; nothing piggybacked.
    hold("swim", &sender(), &Body::Swim(&[5, 0, 0, 9]));
}

#[test]
fn echo_and_its_reply() {
    let echo = EchoBody { token: Token(250) };
    hold("echo", &sender(), &Body::Echo(echo));
    hold("echo reply", &sender(), &Body::EchoReply(echo));
}

#[test]
fn leaving_and_its_acknowledgement() {
    hold("leaving", &sender(), &Body::Leaving);
    hold("leaving ack", &sender(), &Body::LeavingAck);
}

#[test]
fn introduce() {
    let endpoints = Endpoints::one(addr("10.0.0.9:4747"));
    let introduction = Introduction { name: name("n2@host"), endpoints };
    hold("introduce", &sender(), &Body::Introduce(introduction));
}

#[test]
fn notices() {
    let session = Session::from_u64(0x5152_5354_5556_5758);
    let (holder, claimant) = (addr("10.0.0.8:4747"), addr("[2001:db8::8]:4747"));
    hold("notice: superseded", &sender(), &Body::Notice(Notice::Superseded { session }));
    hold("notice: conflict", &sender(), &Body::Notice(Notice::Conflict { session, holder }));
    hold("notice: claimed", &sender(), &Body::Notice(Notice::Claimed { claimant }));
}

#[test]
fn keys_are_derived_alike_for_ever() {
    let ids = ["malla_secret", &"5a".repeat(32)].map(|cookie| {
        let stretched = StretchedCookie::stretch(&Cookie::new(cookie).expect("valid"));
        let ring = KeyRing::new(&stretched, &ClusterName::default());
        format!("{:08x} {}", ring.primary().id.0, hex(&ring.primary().tag(b"")))
    });
    check(FIXTURE, "key id and tag of nothing", &ids.join("\n"));
}

#[test]
fn a_datagram_of_a_later_version_with_a_section_that_we_do_not_know_is_read() {
    let mut datagram = envelope::start();
    Body::Leaving.append_to(&sender(), &mut datagram);
    datagram.extend_from_slice(&[200, 0, 2, 0xff, 0xff]);
    let parsed = parse(Kind::Leaving, &datagram[30..], &Names::default()).expect("well formed");
    assert_eq!((parsed.body, parsed.unknown_sections), (Body::Leaving, 1));
}

#[test]
fn no_answer_to_a_hello_is_longer_than_the_hello() {
    let longest = name(&format!("n@{}", "h".repeat(253)));
    let mut endpoints = Endpoints::one(addr("10.0.0.7:4747"));
    endpoints.set(addr("[2001:db8::7]:4747"));
    let sender = Sender { name: longest.clone(), endpoints, life: Life(u16::MAX) };
    let ack = Ack {
        nonce: Nonce(u64::MAX),
        versions: VersionRange { min: 255, max: 255 },
        capabilities: u32::MAX,
        observed: addr("[2001:db8::9]:4747"),
        challenge: CHALLENGE,
        known_session: Some(Session::from_u64(u64::MAX)),
        sibling_port: Some(u16::MAX),
    };
    let receiver = Session::from_u64(1);
    let largest = seal(&sender, receiver, &Body::HelloAck(ack));
    assert_eq!(largest.len(), 406);

    let to = addr("10.0.0.9:4747");
    let small = Hello { versions: VERSIONS, capabilities: 0, nonce: NONCE, to, expect: None };
    assert_eq!(seal(&self::sender(), receiver, &Body::Hello(small.clone())).len(), 448);
    let long = Hello { expect: Some(longest), ..small };
    assert!(seal(&sender, receiver, &Body::Hello(long)).len() <= envelope::MAX_DATAGRAM);
}
