//! A SWIM packet inside its section: what foca writes, and what the filter reads.

use bincode::BorrowDecode;
use bytes::{Buf, BufMut};
use foca::{Header, Member, ProbeNumber, State};

use super::id::{Directory, Id};
use crate::identity::NameHash;
use crate::names::Names;
use crate::wire::{Malformed, Update, decode_prefix, encode, numbered};
use crate::{Life, Session};

/// foca's counter by which a member refutes suspicions.
pub(crate) type Incarnation = u16;

/// The incarnation of a Down that its subject announced itself: it left.
pub(crate) const LEFT: Incarnation = u16::MAX;

/// A member named inside a message; whoever handles the message knows it, or drops the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerRef {
    pub(crate) hash: NameHash,
    pub(crate) session: Session,
    pub(crate) life: Life,
}

numbered! {
    /// Which message of SWIM a datagram of [`Kind::Swim`](crate::Kind::Swim) is: those of foca, and two of ours.
    pub enum SwimMessage {
        /// Asks a member whether it is there.
        Ping = 0 "ping",
        /// Yes.
        Ack = 1 "ack",
        /// Asks a relay to ask a member that does not answer.
        PingReq = 2 "ping_req",
        /// A relay asks it.
        IndirectPing = 3 "indirect_ping",
        /// It answers the relay.
        IndirectAck = 4 "indirect_ack",
        /// The relay tells whoever asked.
        ForwardedAck = 5 "forwarded_ack",
        /// foca's way to join: never sent, the handshake is ours.
        Announce = 6 "announce",
        /// foca's answer to that: never sent.
        Feed = 7 "feed",
        /// Updates that waited for no probe.
        Gossip = 8 "gossip",
        /// Updates for one member; nothing is asked.
        Tell = 9 "tell",
        /// A relay could not reach the member either.
        Nack = 10 "nack",
    }
}

impl SwimMessage {
    /// Whether a node of this version sends it. It reads all of them.
    pub const fn is_sent(self) -> bool {
        !matches!(self, Self::Announce | Self::Feed)
    }
}

/// foca's messages as they travel; `Tell`, which carries nothing but updates; and `Nack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Ping(ProbeNumber),
    Ack(ProbeNumber),
    PingReq(PeerRef, ProbeNumber),
    IndirectPing(PeerRef, ProbeNumber),
    IndirectAck(PeerRef, ProbeNumber),
    ForwardedAck(PeerRef, ProbeNumber),
    Announce,
    Feed,
    Gossip,
    Tell,
    /// A relay could not reach the target.
    Nack(PeerRef, ProbeNumber),
}

/// The bytes of the shortest update: `a@b` at an IPv4 address, with varints of one byte.
pub(crate) const SHORTEST_UPDATE: usize = 22;

/// A packet that came in.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) src_incarnation: Incarnation,
    /// The life of ours that it was sent to.
    pub(crate) dst_life: Life,
    pub(crate) message: Message,
    pub(crate) updates: Vec<Update>,
}

impl Packet {
    /// Reads a whole packet; anything left over makes it malformed.
    pub(crate) fn parse(mut bytes: &[u8], names: &Names) -> Result<Self, Malformed> {
        let src_incarnation = take(&mut bytes)?;
        let dst_life = take(&mut bytes)?;
        let message = parse_message(&mut bytes)?;
        let mut updates = Vec::new();
        if !bytes.is_empty() {
            let count = bytes.try_get_u16().map_err(|_| Malformed)?;
            updates.reserve(usize::from(count).min(bytes.len() / SHORTEST_UPDATE));
            for _ in 0..count {
                let update: Update = take_naming(&mut bytes, names.clone())?;
                if !update.is_sound() {
                    return Err(Malformed);
                }
                updates.push(update);
            }
        }
        if bytes.is_empty() {
            Ok(Self { src_incarnation, dst_life, message, updates })
        } else {
            Err(Malformed)
        }
    }
}

fn take<'a, T: BorrowDecode<'a, ()>>(bytes: &mut &'a [u8]) -> Result<T, Malformed> {
    take_naming(bytes, ())
}

fn take_naming<'a, N, T: BorrowDecode<'a, N>>(
    bytes: &mut &'a [u8],
    names: N,
) -> Result<T, Malformed> {
    let (value, used) = decode_prefix(bytes, names)?;
    *bytes = &bytes[used..];
    Ok(value)
}

fn parse_message(bytes: &mut &[u8]) -> Result<Message, Malformed> {
    use SwimMessage as Tag;
    let with_peer: fn(PeerRef, ProbeNumber) -> Message =
        match Tag::from_u8(take(bytes)?).ok_or(Malformed)? {
            Tag::Ping => return Ok(Message::Ping(take(bytes)?)),
            Tag::Ack => return Ok(Message::Ack(take(bytes)?)),
            Tag::Announce => return Ok(Message::Announce),
            Tag::Feed => return Ok(Message::Feed),
            Tag::Gossip => return Ok(Message::Gossip),
            Tag::Tell => return Ok(Message::Tell),
            Tag::PingReq => Message::PingReq,
            Tag::IndirectPing => Message::IndirectPing,
            Tag::IndirectAck => Message::IndirectAck,
            Tag::ForwardedAck => Message::ForwardedAck,
            Tag::Nack => Message::Nack,
        };
    let peer = PeerRef {
        hash: NameHash::from_words([
            u64::from_be_bytes(take(bytes)?),
            u64::from_be_bytes(take(bytes)?),
        ]),
        session: take(bytes)?,
        life: take(bytes)?,
    };
    Ok(with_peer(peer, take(bytes)?))
}

/// Writes the header of a packet that foca sends. A member that it names must be in the directory.
pub(crate) fn encode_header(
    header: &Header<Id>,
    directory: &impl Directory,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    use SwimMessage as Tag;
    use foca::Message as Foca;
    encode(&header.src_incarnation, out);
    encode(&header.dst.life, out);
    let mut with_peer = |tag: SwimMessage, id: &Id, probe: ProbeNumber| {
        encode_peer(tag, id, probe, directory, out).ok_or(Malformed)
    };
    match &header.message {
        Foca::PingReq { target, probe_number } => with_peer(Tag::PingReq, target, *probe_number)?,
        Foca::IndirectPing { origin, probe_number } => {
            with_peer(Tag::IndirectPing, origin, *probe_number)?;
        }
        Foca::IndirectAck { target, probe_number } => {
            with_peer(Tag::IndirectAck, target, *probe_number)?;
        }
        Foca::ForwardedAck { origin, probe_number } => {
            with_peer(Tag::ForwardedAck, origin, *probe_number)?;
        }
        Foca::Ping(probe) => out.extend_from_slice(&[Tag::Ping as u8, *probe]),
        Foca::Ack(probe) => out.extend_from_slice(&[Tag::Ack as u8, *probe]),
        Foca::Announce => out.push(Tag::Announce as u8),
        Foca::Feed => out.push(Tag::Feed as u8),
        // We have no custom broadcasts, and TurnUndead is switched off.
        Foca::Gossip | Foca::Broadcast | Foca::TurnUndead => out.push(Tag::Gossip as u8),
    }
    Ok(())
}

/// Writes one update about a member, whose name and endpoints are `encoded`.
pub(crate) fn encode_member(member: &Member<Id>, encoded: &[u8], is_self: bool, out: &mut Vec<u8>) {
    let id = member.id();
    out.extend_from_slice(encoded);
    encode(&id.session, out);
    encode(&id.life, out);
    let down = member.state() == State::Down;
    // What a node says of its own end is a farewell.
    encode(&if is_self && down { LEFT } else { member.incarnation() }, out);
    out.push(state_to_wire(member.state()));
}

/// A packet that carries updates and asks for nothing; those about members that the directory does
/// not know any more are left out.
pub(crate) fn encode_updates(
    src_incarnation: Incarnation,
    dst_life: Life,
    updates: &[Member<Id>],
    directory: &impl Directory,
) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&src_incarnation, &mut out);
    encode(&dst_life, &mut out);
    out.push(SwimMessage::Tell as u8);
    let count_at = out.len();
    out.put_u16(0);
    let mut count: u16 = 0;
    for member in updates {
        if let Some(run) = directory.run(member.id().index) {
            encode_member(member, &run.encoded, false, &mut out);
            count += 1;
        }
    }
    out[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
    out
}

/// The answer to a Ping that foca gives while it has no rumours.
pub(crate) fn encode_ack(
    src_incarnation: Incarnation,
    dst_life: Life,
    probe: ProbeNumber,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    encode(&src_incarnation, &mut out);
    encode(&dst_life, &mut out);
    out.extend_from_slice(&[SwimMessage::Ack as u8, probe]);
    out.put_u16(0);
    out
}

/// A packet in which a relay says that it could not reach `target`; none if nobody knows that one.
pub(crate) fn encode_nack(
    src_incarnation: Incarnation,
    dst_life: Life,
    target: &Id,
    probe: ProbeNumber,
    directory: &impl Directory,
) -> Option<Vec<u8>> {
    encode_about(SwimMessage::Nack, src_incarnation, dst_life, target, probe, directory)
}

/// A packet that asks a relay once more to reach `target`, as foca asked it before.
pub(crate) fn encode_ping_req(
    src_incarnation: Incarnation,
    dst_life: Life,
    target: &Id,
    probe: ProbeNumber,
    directory: &impl Directory,
) -> Option<Vec<u8>> {
    encode_about(SwimMessage::PingReq, src_incarnation, dst_life, target, probe, directory)
}

fn encode_about(
    tag: SwimMessage,
    src_incarnation: Incarnation,
    dst_life: Life,
    target: &Id,
    probe: ProbeNumber,
    directory: &impl Directory,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    encode(&src_incarnation, &mut out);
    encode(&dst_life, &mut out);
    encode_peer(tag, target, probe, directory, &mut out)?;
    Some(out)
}

/// A message that names a member, which must be in the directory.
fn encode_peer(
    tag: SwimMessage,
    id: &Id,
    probe: ProbeNumber,
    directory: &impl Directory,
    out: &mut Vec<u8>,
) -> Option<()> {
    let [high, low] = directory.run(id.index)?.hash.words();
    out.push(tag as u8);
    out.put_u64(high);
    out.put_u64(low);
    encode(&id.session, out);
    encode(&id.life, out);
    encode(&probe, out);
    Some(())
}

pub(crate) const fn state_to_wire(state: State) -> u8 {
    match state {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    }
}

impl Update {
    /// The state that `Packet::parse` has checked.
    pub(crate) const fn swim_state(&self) -> State {
        match self.state {
            0 => State::Alive,
            1 => State::Suspect,
            _ => State::Down,
        }
    }
}
