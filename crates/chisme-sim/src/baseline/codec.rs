//! How foca's packets stand in a datagram: every field whole, big-endian, as short as it is simple.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::{Buf, BufMut};
use chisme_proto::NodeName;
use foca::{Header, Member, Message, State};

use super::Id;

/// What every datagram begins with, so that nobody takes it for one of production.
pub(crate) const FIRST_BYTE: u8 = 0xF0;

/// It knows nothing but the format.
pub(super) struct Codec;

/// Why a packet was not read, or not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("no room is left")]
    NoRoom,
    #[error("the packet ends too early or says what there is not")]
    Malformed,
}

impl foca::Codec<Id> for Codec {
    type Error = Broken;

    fn encode_header(&mut self, header: &Header<Id>, buf: impl BufMut) -> Result<(), Broken> {
        let mut bytes = vec![number(&header.message)];
        put_id(&header.src, &mut bytes);
        bytes.put_u16(header.src_incarnation);
        put_id(&header.dst, &mut bytes);
        match &header.message {
            Message::Ping(probe) | Message::Ack(probe) => bytes.put_u8(*probe),
            Message::PingReq { target: peer, probe_number }
            | Message::IndirectAck { target: peer, probe_number }
            | Message::IndirectPing { origin: peer, probe_number }
            | Message::ForwardedAck { origin: peer, probe_number } => {
                put_id(peer, &mut bytes);
                bytes.put_u8(*probe_number);
            }
            _ => {}
        }
        put_whole(&bytes, buf)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Id>, Broken> {
        let message = take_u8(&mut buf)?;
        let src = take_id(&mut buf)?;
        let src_incarnation = take_u16(&mut buf)?;
        let dst = take_id(&mut buf)?;
        let message = take_message(message, &mut buf)?;
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(&mut self, member: &Member<Id>, buf: impl BufMut) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        put_id(member.id(), &mut bytes);
        bytes.put_u16(member.incarnation());
        bytes.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put_whole(&bytes, buf)
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Id>, Broken> {
        let id = take_id(&mut buf)?;
        let incarnation = take_u16(&mut buf)?;
        let state = match take_u8(&mut buf)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(Broken::Malformed),
        };
        Ok(Member::new(id, incarnation, state))
    }
}

/// The place of a message in the names that `dissect` has for them.
const fn number(message: &Message<Id>) -> u8 {
    match message {
        Message::Ping(_) => 0,
        Message::Ack(_) => 1,
        Message::PingReq { .. } => 2,
        Message::IndirectPing { .. } => 3,
        Message::IndirectAck { .. } => 4,
        Message::ForwardedAck { .. } => 5,
        Message::Announce => 6,
        Message::Feed => 7,
        Message::Gossip => 8,
        Message::TurnUndead => 10,
        Message::Broadcast => 11,
    }
}

fn take_message(number: u8, buf: &mut impl Buf) -> Result<Message<Id>, Broken> {
    Ok(match number {
        0 => Message::Ping(take_u8(buf)?),
        1 => Message::Ack(take_u8(buf)?),
        2 => Message::PingReq { target: take_id(buf)?, probe_number: take_u8(buf)? },
        3 => Message::IndirectPing { origin: take_id(buf)?, probe_number: take_u8(buf)? },
        4 => Message::IndirectAck { target: take_id(buf)?, probe_number: take_u8(buf)? },
        5 => Message::ForwardedAck { origin: take_id(buf)?, probe_number: take_u8(buf)? },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        10 => Message::TurnUndead,
        11 => Message::Broadcast,
        _ => return Err(Broken::Malformed),
    })
}

fn put_id(id: &Id, bytes: &mut Vec<u8>) {
    bytes.put_u32(id.addr.ip().to_bits());
    bytes.put_u16(id.addr.port());
    bytes.put_u64(id.session);
    bytes.put_u16(id.bump);
    let name = id.name.as_str().as_bytes();
    bytes.put_u8(u8::try_from(name.len()).expect("a name has at most 255 bytes"));
    bytes.put_slice(name);
}

fn take_id(buf: &mut impl Buf) -> Result<Id, Broken> {
    const FIXED: usize = 4 + 2 + 8 + 2;
    if buf.remaining() < FIXED {
        return Err(Broken::Malformed);
    }
    let ip = Ipv4Addr::from_bits(buf.get_u32());
    let addr = SocketAddrV4::new(ip, buf.get_u16());
    let (session, bump) = (buf.get_u64(), buf.get_u16());
    let len = usize::from(take_u8(buf)?);
    if buf.remaining() < len {
        return Err(Broken::Malformed);
    }
    let mut name = vec![0; len];
    buf.copy_to_slice(&mut name);
    let name = String::from_utf8(name).map_err(|_| Broken::Malformed)?;
    let name = NodeName::parse(&name).map_err(|_| Broken::Malformed)?;
    Ok(Id { addr, session, bump, name })
}

fn take_u8(buf: &mut impl Buf) -> Result<u8, Broken> {
    buf.try_get_u8().map_err(|_| Broken::Malformed)
}

fn take_u16(buf: &mut impl Buf) -> Result<u16, Broken> {
    buf.try_get_u16().map_err(|_| Broken::Malformed)
}

/// All of it or nothing: foca wants a buffer that is too small left clean.
fn put_whole(bytes: &[u8], mut buf: impl BufMut) -> Result<(), Broken> {
    if buf.remaining_mut() < bytes.len() {
        return Err(Broken::NoRoom);
    }
    buf.put_slice(bytes);
    Ok(())
}
