//! The parts that tests are built of: real processes, networks and name servers.
//!
//! It knows the command line and the event lines of `chisme`, as a user does, and nothing of its crates.
//!
//! | file | owns |
//! |---|---|
//! | `spec` | how an agent is to be started |
//! | `agent` | one `chisme agent` process: its event lines, signals, its end |
//! | `cluster` | several agents that should agree |
//! | `net` | hosts in network namespaces on one bridge; cuts and loss by nftables |
//! | `loopback` | addresses of 127.0.0.0/8 that no other test uses |
//! | `dns` | a dnsmasq whose records change while it runs |
//! | `relay` | a UDP relay that remembers what went through it |
//! | `cli` | client commands: what they printed and how they ended |
//! | `wait` | conditions with a deadline |
//! | `needs` | what a machine must have for a test, and saying so when it has not |

pub(crate) mod agent;
pub(crate) mod cli;
pub(crate) mod cluster;
pub(crate) mod dns;
pub(crate) mod loopback;
pub(crate) mod needs;
pub(crate) mod net;
pub(crate) mod relay;
pub(crate) mod spec;
pub(crate) mod wait;

pub(crate) use agent::Agent;
pub(crate) use cli::{Run, chisme};
pub(crate) use cluster::Cluster;
pub(crate) use dns::Dns;
pub(crate) use loopback::Loopback;
pub(crate) use net::{Host, Net};
pub(crate) use relay::Relay;
pub(crate) use spec::Spec;
pub(crate) use wait::{secs, until, whenever_until};
