//! What a datagram is, by its plain bytes: nothing in it is encrypted.
//!
//! A second reading of PROTOCOL.md, so that reports and captures need no key.

use chisme_proto::{Kind, SwimMessage};

use crate::baseline::FIRST_BYTE;

const HEADER_LEN: usize = 30;
const TAG_LEN: usize = 16;
const SECTION_SWIM: u8 = 7;

/// Every name that [`kind`] has for what nodes send to each other.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let kinds = Kind::ALL.iter().filter(|&&kind| kind != Kind::Swim).map(|kind| kind.as_str());
    let messages = SwimMessage::ALL.iter().filter(|message| message.is_sent());
    kinds.chain(messages.map(|message| message.as_str()))
}

/// The name of the kind, or of the SWIM message inside.
pub fn kind(datagram: &[u8]) -> &'static str {
    let [first, kind, ..] = *datagram else { return "garbage" };
    if first == FIRST_BYTE {
        return of_baseline(kind);
    }
    match Kind::from_u8(kind) {
        None => "unknown",
        Some(Kind::Swim) => swim_message(datagram).map_or(Kind::Swim.as_str(), SwimMessage::as_str),
        Some(kind) => kind.as_str(),
    }
}

/// The baseline numbers foca's messages as we do, and has two that are never sent here.
fn of_baseline(message: u8) -> &'static str {
    const TURN_UNDEAD: u8 = 10;
    const BROADCAST: u8 = 11;
    match message {
        TURN_UNDEAD => "turn_undead",
        BROADCAST => "broadcast",
        message => SwimMessage::from_u8(message).map_or("unknown", SwimMessage::as_str),
    }
}

fn swim_message(datagram: &[u8]) -> Option<SwimMessage> {
    let [message, ..] = *after_varint(after_varint(swim_section(datagram)?)?)? else { return None };
    SwimMessage::from_u8(message)
}

/// What follows a number of up to 16 bits, as bincode writes it.
fn after_varint(bytes: &[u8]) -> Option<&[u8]> {
    const TWO_BYTES_FOLLOW: u8 = 251;
    match bytes {
        [TWO_BYTES_FOLLOW, _, _, rest @ ..] => Some(rest),
        [_, rest @ ..] => Some(rest),
        [] => None,
    }
}

fn swim_section(datagram: &[u8]) -> Option<&[u8]> {
    let mut body = datagram.get(HEADER_LEN..datagram.len().checked_sub(TAG_LEN)?)?;
    while let [tag, high, low, rest @ ..] = body {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let payload = rest.get(..len)?;
        if *tag == SECTION_SWIM {
            return Some(payload);
        }
        body = &rest[len..];
    }
    None
}
