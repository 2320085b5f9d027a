//! foca, the SWIM engine, behind the seams that it offers: identity, codec and runtime.
//!
//! This module knows foca and the inner format of SWIM packets. It knows nothing of envelopes,
//! handshakes or policy: what reaches foca has passed `filter` before.

mod engine;
#[cfg(test)]
mod golden;
mod id;
mod packet;

pub(crate) use engine::{Effects, Engine, Note, Parameters, is_farewell, transmissions};
pub(crate) use id::{Directory, Id, Index, OWN_INDEX};
pub use packet::SwimMessage;
pub(crate) use packet::{
    Incarnation, LEFT, Message, Packet, PeerRef, SHORTEST_UPDATE, encode_ack, encode_nack,
    encode_ping_req, encode_updates, state_to_wire,
};
