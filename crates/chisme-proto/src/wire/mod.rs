//! What stands in the body of a datagram: typed, length-prefixed sections.
//!
//! This module knows the shape of every section, nothing of when it is sent. See PROTOCOL.md.

mod codec;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod fuzz_sync;
#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod golden_records;
#[cfg(test)]
mod golden_sync;
mod numbered;
mod records;
mod sections;
mod sync;

pub(crate) use codec::{List, Malformed, decode_all, decode_prefix, encode, encoded_len};
pub(crate) use numbered::numbered;
pub(crate) use records::{
    RecordAsk, RecordBody, RecordKey, RecordNews, RecordPage, RecordPart, RecordRow,
    record_from_bytes, record_len, record_to_bytes,
};
pub(crate) use sections::{
    Ack, Challenge, EchoBody, Hello, Holds, Introduction, Nonce, Notice, Outcome, Proof,
    RefusalBody, Sender, Standing, Token, Update, Welcome,
};
pub(crate) use sync::{SyncBody, SyncNext, SyncPage};

use crate::envelope;
use crate::names::Names;
use crate::record::digest::Summary;

numbered! {
    /// What a datagram is for: the second byte of it. Hello to Refused are frozen: every version reads them
    /// alike. [PROTOCOL.md](crate::protocol) says when each is sent.
    pub enum Kind {
        /// To an address of which nothing is known.
        Hello = 1 "hello",
        /// In answer to a Hello.
        HelloAck = 2 "hello_ack",
        /// In answer to a HelloAck.
        Proof = 3 "proof",
        /// In answer to a Proof: you are in.
        Welcome = 4 "welcome",
        /// In answer to a Proof or a HelloAck: no.
        Refused = 5 "refused",
        /// One of the messages of SWIM: [`SwimMessage`](crate::SwimMessage).
        Swim = 6 "swim",
        /// Asks a process whether it is there.
        Echo = 7 "echo",
        /// In answer to an Echo.
        EchoReply = 8 "echo_reply",
        /// By a node that leaves.
        Leaving = 9 "leaving",
        /// In answer to a Leaving.
        LeavingAck = 10 "leaving_ack",
        /// By a node that yielded, to its mates.
        Introduce = 11 "introduce",
        /// To somebody whose name has a newer session.
        Notice = 12 "notice",
        /// Compares views.
        Sync = 0x40 "sync",
        /// About what members say of themselves.
        Record = 0x60 "record",
    }
}

impl Kind {
    /// Whether its format is the same in every version of the protocol.
    pub(crate) const fn is_frozen(self) -> bool {
        matches!(self, Self::Hello | Self::HelloAck | Self::Proof | Self::Welcome | Self::Refused)
    }
}

/// The type of a section.
mod tag {
    pub(super) const SENDER: u8 = 1;
    pub(super) const HELLO: u8 = 2;
    pub(super) const ACK: u8 = 3;
    pub(super) const PROOF: u8 = 4;
    pub(super) const WELCOME: u8 = 5;
    pub(super) const REFUSAL: u8 = 6;
    pub(super) const SWIM: u8 = 7;
    pub(super) const ECHO: u8 = 8;
    pub(super) const INTRODUCTION: u8 = 9;
    pub(super) const NOTICE: u8 = 10;
    pub(super) const PADDING: u8 = 11;
    pub(super) const SYNC_DIGEST: u8 = 0x40;
    pub(super) const SYNC_SUMS: u8 = 0x41;
    pub(super) const SYNC_PAGE: u8 = 0x42;
    pub(super) const SYNC_NEXT: u8 = 0x43;
    pub(super) const RECORD_DIGEST: u8 = 0x60;
    pub(super) const RECORD_BUCKETS: u8 = 0x61;
    pub(super) const RECORD_PAGE: u8 = 0x62;
    pub(super) const RECORD_NEWS: u8 = 0x63;
    pub(super) const RECORD_PARTS: u8 = 0x64;
    pub(super) const RECORD_ASKS: u8 = 0x65;
}

/// Bytes before the payload of a section.
pub(crate) const SECTION_HEADER_LEN: usize = 3;

/// Room beside a SWIM packet: for its header, two digests in sections of their own, and the tag.
const BESIDE_PACKET: usize =
    3 * SECTION_HEADER_LEN + 2 * size_of::<u64>() + crate::keyring::TAG_LEN;

/// What a datagram says, besides who sends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Hello(Hello),
    HelloAck(Ack),
    Proof(Proof),
    Welcome(Welcome),
    Refused(RefusalBody),
    /// Header and updates, as `swim` reads them.
    Swim(&'a [u8]),
    Echo(EchoBody),
    EchoReply(EchoBody),
    Leaving,
    LeavingAck,
    Introduce(Introduction),
    Notice(Notice),
    Record(RecordBody),
    Sync(SyncBody),
}

impl Body<'_> {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::HelloAck(_) => Kind::HelloAck,
            Self::Proof(_) => Kind::Proof,
            Self::Welcome(_) => Kind::Welcome,
            Self::Refused(_) => Kind::Refused,
            Self::Swim(_) => Kind::Swim,
            Self::Echo(_) => Kind::Echo,
            Self::EchoReply(_) => Kind::EchoReply,
            Self::Leaving => Kind::Leaving,
            Self::LeavingAck => Kind::LeavingAck,
            Self::Introduce(_) => Kind::Introduce,
            Self::Notice(_) => Kind::Notice,
            Self::Record(_) => Kind::Record,
            Self::Sync(_) => Kind::Sync,
        }
    }

    /// Appends sender and body to a datagram that `envelope::start` began.
    pub(crate) fn append_to(&self, sender: &Sender, datagram: &mut Vec<u8>) {
        section(tag::SENDER, sender, datagram);
        match self {
            // What is long gets its room at once.
            Self::Swim(packet) => datagram.reserve(packet.len() + BESIDE_PACKET),
            Self::Sync(SyncBody { page: Some(_), .. }) => datagram.reserve(envelope::MAX_BODY),
            _ => {}
        }
        match self {
            Self::Hello(hello) => section(tag::HELLO, hello, datagram),
            Self::HelloAck(ack) => section(tag::ACK, ack, datagram),
            Self::Proof(proof) => section(tag::PROOF, proof, datagram),
            Self::Welcome(welcome) => section(tag::WELCOME, welcome, datagram),
            Self::Refused(refusal) => section(tag::REFUSAL, refusal, datagram),
            Self::Swim(packet) => raw_section(tag::SWIM, packet, datagram),
            Self::Echo(echo) | Self::EchoReply(echo) => section(tag::ECHO, echo, datagram),
            Self::Leaving | Self::LeavingAck => {}
            Self::Introduce(introduction) => section(tag::INTRODUCTION, introduction, datagram),
            Self::Notice(notice) => section(tag::NOTICE, notice, datagram),
            Self::Record(body) => append_record(body, datagram),
            Self::Sync(body) => append_sync(body, datagram),
        }
    }
}

fn append_record(body: &RecordBody, datagram: &mut Vec<u8>) {
    if let Some(buckets) = &body.buckets {
        let bytes: Vec<u8> = buckets.0.iter().flat_map(|sum| sum.to_be_bytes()).collect();
        raw_section(tag::RECORD_BUCKETS, &bytes, datagram);
    }
    if let Some(page) = &body.page {
        section(tag::RECORD_PAGE, page, datagram);
    }
    if let Some(news) = &body.news {
        section(tag::RECORD_NEWS, news, datagram);
    }
    if !body.parts.0.is_empty() {
        section(tag::RECORD_PARTS, &body.parts, datagram);
    }
    if !body.asks.0.is_empty() {
        section(tag::RECORD_ASKS, &body.asks, datagram);
    }
}

fn append_sync(body: &SyncBody, datagram: &mut Vec<u8>) {
    if let Some(digest) = body.digest {
        raw_section(tag::SYNC_DIGEST, &digest.to_be_bytes(), datagram);
    }
    if let Some(sums) = &body.sums {
        raw_section(tag::SYNC_SUMS, &sync::sums_to_bytes(sums), datagram);
    }
    if let Some(page) = &body.page {
        section(tag::SYNC_PAGE, page, datagram);
    }
    if let Some(next) = &body.next {
        section(tag::SYNC_NEXT, next, datagram);
    }
}

/// Appends what this node knows of records, in one number, if there is room for it.
pub(crate) fn attach_record_digest(digest: u64, datagram: &mut Vec<u8>) -> bool {
    attach_digest(tag::RECORD_DIGEST, digest, datagram)
}

/// Appends who is up in this node's view, in one number, if there is room for it.
pub(crate) fn attach_view_digest(digest: u64, datagram: &mut Vec<u8>) -> bool {
    attach_digest(tag::SYNC_DIGEST, digest, datagram)
}

fn attach_digest(tag: u8, digest: u64, datagram: &mut Vec<u8>) -> bool {
    let room = datagram.len() + SECTION_HEADER_LEN + size_of::<u64>() + crate::keyring::TAG_LEN;
    if room > envelope::MAX_DATAGRAM {
        return false;
    }
    raw_section(tag, &digest.to_be_bytes(), datagram);
    true
}

/// Appends a section that nobody reads, so that the datagram, tag included, has `total` bytes.
pub(crate) fn pad_to(total: usize, datagram: &mut Vec<u8>) {
    let end = total - crate::keyring::TAG_LEN;
    if let Some(len) = end.checked_sub(datagram.len() + SECTION_HEADER_LEN) {
        raw_section(tag::PADDING, &vec![0; len], datagram);
    }
}

fn section<T: bincode::Encode>(tag: u8, payload: &T, datagram: &mut Vec<u8>) {
    let start = datagram.len();
    datagram.extend_from_slice(&[tag, 0, 0]);
    encode(payload, datagram);
    let len = datagram.len() - start - SECTION_HEADER_LEN;
    let len = u16::try_from(len).expect("sections are far below 64 KiB");
    datagram[start + 1..start + SECTION_HEADER_LEN].copy_from_slice(&len.to_be_bytes());
}

fn raw_section(tag: u8, payload: &[u8], datagram: &mut Vec<u8>) {
    let len = u16::try_from(payload.len()).expect("a datagram is far below 64 KiB");
    datagram.push(tag);
    datagram.extend_from_slice(&len.to_be_bytes());
    datagram.extend_from_slice(payload);
}

/// A body that was understood.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) sender: Sender,
    pub(crate) body: Body<'a>,
    /// Who is up in the sender's view, if a SWIM packet says so.
    pub(crate) view_digest: Option<u64>,
    /// What the sender knows of records, if it says so.
    pub(crate) record_digest: Option<u64>,
    /// Sections that this version does not know; they were skipped.
    pub(crate) unknown_sections: u32,
}

/// Reads the sections of a datagram of kind `kind`; each known one may stand there once.
pub(crate) fn parse<'a>(
    kind: Kind,
    body: &'a [u8],
    names: &Names,
) -> Result<Parsed<'a>, Malformed> {
    debug_assert!(body.len() <= envelope::MAX_BODY, "the envelope checks the length");
    let mut unknown_sections = 0;
    let mut sender = None;
    let mut main = None;
    let mut record = RecordBody::default();
    let mut sync = SyncBody::default();
    let (mut view_digest, mut record_digest) = (None, None);
    let mut rest = body;
    while !rest.is_empty() {
        let (tag, payload);
        (tag, payload, rest) = split_section(rest)?;
        match (tag, kind) {
            (tag::SENDER, _) => put(&mut sender, decode_all(payload, names.clone())?)?,
            (tag::HELLO, Kind::Hello) => {
                put(&mut main, Body::Hello(decode_all(payload, names.clone())?))?
            }
            (tag::ACK, Kind::HelloAck) => put(&mut main, Body::HelloAck(decode_all(payload, ())?))?,
            (tag::PROOF, Kind::Proof) => put(&mut main, Body::Proof(decode_all(payload, ())?))?,
            (tag::WELCOME, Kind::Welcome) => {
                put(&mut main, Body::Welcome(decode_all(payload, ())?))?
            }
            (tag::REFUSAL, Kind::Refused) => {
                put(&mut main, Body::Refused(decode_all(payload, ())?))?
            }
            (tag::SWIM, Kind::Swim) => put(&mut main, Body::Swim(payload))?,
            (tag::ECHO, Kind::Echo) => put(&mut main, Body::Echo(decode_all(payload, ())?))?,
            (tag::ECHO, Kind::EchoReply) => {
                put(&mut main, Body::EchoReply(decode_all(payload, ())?))?
            }
            (tag::INTRODUCTION, Kind::Introduce) => {
                put(&mut main, Body::Introduce(decode_all(payload, names.clone())?))?;
            }
            (tag::NOTICE, Kind::Notice) => put(&mut main, Body::Notice(decode_all(payload, ())?))?,
            (tag::SYNC_DIGEST..=tag::SYNC_NEXT, Kind::Sync) => {
                parse_sync(tag, payload, &mut sync, names)?;
            }
            (tag::SYNC_DIGEST, Kind::Swim) => put(&mut view_digest, digest(payload)?)?,
            (tag::RECORD_DIGEST, Kind::Swim) => put(&mut record_digest, digest(payload)?)?,
            (tag::RECORD_BUCKETS..=tag::RECORD_ASKS, Kind::Record) => {
                parse_record(tag, payload, &mut record)?;
            }
            (tag::PADDING, _) => {}
            _ => unknown_sections += 1,
        }
    }
    let body = match (main, kind) {
        (Some(body), _) => body,
        (None, Kind::Leaving) => Body::Leaving,
        (None, Kind::LeavingAck) => Body::LeavingAck,
        (None, Kind::Sync) if !sync.is_empty() && sync.is_sound() => Body::Sync(sync),
        (None, Kind::Record) if !record.is_empty() && record.is_sound() => Body::Record(record),
        (None, _) => return Err(Malformed),
    };
    let sender = sender.ok_or(Malformed)?;
    Ok(Parsed { sender, body, view_digest, record_digest, unknown_sections })
}

fn digest(payload: &[u8]) -> Result<u64, Malformed> {
    Ok(u64::from_be_bytes(payload.try_into().map_err(|_| Malformed)?))
}

fn parse_sync(
    tag: u8,
    payload: &[u8],
    body: &mut SyncBody,
    names: &Names,
) -> Result<(), Malformed> {
    match tag {
        tag::SYNC_DIGEST => {
            let digest = payload.try_into().map_err(|_| Malformed)?;
            put(&mut body.digest, u64::from_be_bytes(digest))
        }
        tag::SYNC_SUMS => put(&mut body.sums, Box::new(sync::sums_from_bytes(payload)?)),
        tag::SYNC_PAGE => put(&mut body.page, codec::decode_lists(payload, names.clone())?),
        _ => put(&mut body.next, decode_all(payload, ())?),
    }
}

fn parse_record(tag: u8, payload: &[u8], body: &mut RecordBody) -> Result<(), Malformed> {
    match tag {
        tag::RECORD_BUCKETS => {
            let mut sums = Summary::default();
            if payload.len() != size_of_val(&sums.0) {
                return Err(Malformed);
            }
            for (sum, bytes) in sums.0.iter_mut().zip(payload.chunks_exact(size_of::<u64>())) {
                *sum = u64::from_be_bytes(bytes.try_into().expect("chunks of eight"));
            }
            put(&mut body.buckets, sums)
        }
        tag::RECORD_PAGE => put(&mut body.page, codec::decode_lists(payload, ())?),
        tag::RECORD_NEWS => put(&mut body.news, codec::decode_lists(payload, ())?),
        tag::RECORD_PARTS => put_list(&mut body.parts, codec::decode_lists(payload, ())?),
        _ => put_list(&mut body.asks, codec::decode_lists(payload, ())?),
    }
}

fn put_list<T>(list: &mut List<T>, values: List<T>) -> Result<(), Malformed> {
    if !list.0.is_empty() || values.0.is_empty() {
        return Err(Malformed);
    }
    *list = values;
    Ok(())
}

fn put<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    slot.replace(value).map_or(Ok(()), |_| Err(Malformed))
}

fn split_section(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Malformed> {
    let (&[tag, high, low], rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (payload, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
    Ok((tag, payload, rest))
}
