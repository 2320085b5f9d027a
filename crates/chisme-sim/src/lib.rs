//! Clusters of chisme nodes under virtual time, reproducible from one seed.
//!
//! This crate owns a simulated network, the machines on it and what happened to them. The nodes are
//! the [`Node`](chisme_proto::Node)s of production, fed with the very bytes that they would send;
//! only time, chance and the network are made up. It knows no socket, no thread and no clock.
//!
//! ```
//! use chisme_sim::{Cluster, secs};
//!
//! let mut cluster = Cluster::of(5, 42); // n0 to n4, seeded with n0
//! cluster.expect_complete_within(secs(5));
//! cluster.isolate("n3");
//! cluster.run_for(secs(30));
//! cluster.heal();
//! cluster.expect_complete_within(secs(60));
//! ```
//!
//! # Map
//!
//! `cluster` is the world and its verbs, `drive` lets time pass in it, `look` is what can be asked of
//! it; `host` is one machine with
//! the process on it; `network` decides the fate of a datagram; `record` keeps what a process did;
//! `view` checks each stream of events against the rules that users rely on; `replay` makes a
//! failure repeatable.

mod bounds;
mod check;
mod cluster;
pub mod dissect;
mod disturbance;
mod drive;
mod expect;
mod host;
mod liveness;
mod log;
mod look;
mod network;
pub mod outcome;
mod panics;
mod record;
mod replay;
pub mod report;
mod run;
#[cfg(test)]
mod sabotage;
pub mod scenario;
mod story;
mod sweep;
mod trace;
mod view;

pub use cluster::Cluster;
pub use host::Setup;
pub use network::{Datagram, Network};
pub use record::{Record, describe};
pub use replay::seeds;
pub use run::{Keep, run};
pub use sweep::{Point, Progress, Results, Spread, Summary, Sweep, no_longer_missed, worst};
pub use trace::{Difference, check_determinism};

use std::time::Duration;

/// So many seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many milliseconds.
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// So many microseconds.
pub const fn micros(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}
