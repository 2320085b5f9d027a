//! Gossip-based cluster membership as a state machine.
//!
//! This crate owns the protocol: identities, the authenticated datagram, the join handshake, the
//! member table, SWIM (by [`foca`]) and the healing of partitions. It knows no socket, no clock, no
//! thread and no randomness of the operating system; a driver hands it all of these:
//!
//! ```text
//! node.handle_input(input, now)      one input: a datagram, a command, resolved seeds, a timeout
//! while let Some(output) = node.poll_output() { ... }     drain: datagrams to send, events, answers
//! node.poll_timeout()                when to call again with Input::Timeout
//! ```
//!
//! One input, then drain the outputs, then wait. The same seed and the same inputs give the same
//! bytes out, on every machine. `chisme` drives it on tokio, `chisme-sim` under virtual time.
//!
//! # Map
//!
//! A datagram comes in through `envelope`, is parsed by `wire`, checked against the windows of
//! `replay`, judged by the filter in `node::membership`, and only then reaches foca (`swim`) and our
//! own `table`. `node` is the one place where they meet: `contact` and `admit` are the two ends of
//! the handshake, `healing` mends partitions by the rule in `heal`, `dispute` settles two holders of
//! one name, `farewell` leaves. What members say of themselves is in `record`, and `node::records`
//! spreads it.
//!
//! The wire format, with byte offsets, is [PROTOCOL.md](protocol).

mod config;
mod counters;
mod detect;
mod envelope;
mod fill;
mod heal;
mod identity;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod io;
mod keyring;
mod limit;
mod name;
mod names;
mod node;
mod order;
mod preset;
mod record;
mod replay;
mod roster;
mod rtt;
mod swim;
mod sync;
mod table;
mod time;
mod wire;

/// The wire format and the rules, with the test that holds each.
#[doc = include_str!("../PROTOCOL.md")]
pub mod protocol {}

pub use config::{Config, ConfigError, Detector, SeedCadence, VersionRange};
pub use counters::{Counters, Rejection};
pub use envelope::MAX_DATAGRAM;
pub use fill::Fill;
pub use identity::{Endpoints, Life, NameHash, Session};
pub use io::{
    Assumed, Command, Contact, ContactReport, ContactResult, Event, Input, MemberState, MemberView,
    NodeStatus, Output, Refusal, RequestId, Sibling, StopReason,
};
pub use keyring::{
    Cookie, CookieError, KeyRing, MAX_ACCEPTED_KEYS, STRONG_COOKIE_LEN, StretchedCookie,
};
pub use name::{ClusterName, MAX_CLUSTER_NAME_LEN, MAX_NAME_LEN, NameError, NameKind, NodeName};
pub use node::{Identity, MAX_OUTPUTS, Node};
pub use preset::{Preset, UnknownPreset};
pub use record::{
    MAX_KEY_BYTES, MAX_RECORD_BYTES, MAX_SERVICE_NAME_BYTES, MAX_SERVICE_VERSION_BYTES,
    MAX_VALUE_BYTES, Record, RecordEdit, RecordError, Service, ServiceStatus,
};
pub use roster::Roster;
pub use swim::SwimMessage;
pub use time::Instant;
pub use wire::Kind;

/// The UDP port that a node takes when it is given none; the next 15 are tried after it.
pub const DEFAULT_PORT: u16 = 4747;

/// The most seed addresses that a node keeps; what is beyond is dropped.
pub const MAX_SEEDS: usize = 256;

/// The most contacts of one [`Command::Connect`].
pub const MAX_CONTACTS: usize = 64;

/// The most source addresses whose rejected datagrams are reported one by one.
pub const MAX_REJECTION_SOURCES: usize = 256;

/// How many ports, counted from [`DEFAULT_PORT`], nodes of one host share out among themselves.
pub const PORT_SPAN: u16 = 16;
