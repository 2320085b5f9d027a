//! The arithmetic of the failure detector: how well this node is, and how long a suspicion lasts.
//!
//! Integers and tables only, so that every machine decides alike. It knows no member, no datagram
//! and no timer; `node` asks it.

mod health;
mod suspicion;

pub(crate) use health::LocalHealth;
pub(crate) use suspicion::lasts;
