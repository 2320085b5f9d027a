//! What a datagram is, by its plain bytes: nothing in it is encrypted.
//!
//! A second reading of PROTOCOL.md, so that reports and captures need no key.

use crate::baseline::FIRST_BYTE;

const HEADER_LEN: usize = 30;
const TAG_LEN: usize = 16;
const KIND_SWIM: u8 = 6;
const KIND_SYNC: u8 = 0x40;
const SECTION_SWIM: u8 = 7;

/// The name of the kind, or of the SWIM message inside.
pub fn kind(datagram: &[u8]) -> &'static str {
    const KINDS: [&str; 12] = [
        "hello",
        "hello_ack",
        "proof",
        "welcome",
        "refused",
        "swim",
        "echo",
        "echo_reply",
        "leaving",
        "leaving_ack",
        "introduce",
        "notice",
    ];
    const MESSAGES: [&str; 12] = [
        "ping",
        "ack",
        "ping_req",
        "indirect_ping",
        "indirect_ack",
        "forwarded_ack",
        "announce",
        "feed",
        "gossip",
        "tell",
        "turn_undead",
        "broadcast",
    ];
    let Some(&kind) = datagram.get(1) else { return "garbage" };
    if datagram[0] == FIRST_BYTE {
        return MESSAGES.get(usize::from(kind)).copied().unwrap_or("unknown");
    }
    if kind == KIND_SYNC {
        return "sync";
    }
    if kind != KIND_SWIM {
        return KINDS.get(usize::from(kind).wrapping_sub(1)).copied().unwrap_or("unknown");
    }
    let message = swim_section(datagram).and_then(|packet| {
        let [message, ..] = after_varint(after_varint(packet)?)? else { return None };
        Some(*message)
    });
    message.and_then(|message| MESSAGES.get(usize::from(message)).copied()).unwrap_or("swim")
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
