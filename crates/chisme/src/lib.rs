//! Gossip-based cluster membership for tokio services.

pub use chisme_proto as proto;
