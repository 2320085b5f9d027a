//! Clusters of chisme nodes under virtual time, reproducible from one seed.
//!
//! This crate owns a simulated network, the machines on it and what happened to them. The nodes are
//! the [`Node`](chisme_proto::Node)s of production, fed with the very bytes that they would send;
//! only time, chance and the network are made up. It knows no socket and no clock, and no thread but
//! those of a sweep.
//!
//! # To test your own cluster logic
//!
//! A service decides by what its node tells it: who is up, and what has changed. Here is a cluster
//! in which you let go wrong what will go wrong one day, and ask what each node tells its service:
//!
//! ```
//! use chisme_sim::{Cluster, secs};
//!
//! /// Our rule: the lowest name in the view leads, if the view is a majority of the five.
//! fn leads(cluster: &Cluster, node: &str) -> bool {
//!     let view = cluster.view_of(node);
//!     view.len() >= 3 && view.first().is_some_and(|first| first == node)
//! }
//!
//! Cluster::builder().nodes(5).check(0..20, |cluster| {
//!     cluster.partition(&["n0", "n1"]);
//!     cluster.run_for(secs(30));
//!     assert!(!leads(cluster, "n0"), "n0 is in the minority");
//!     assert!(leads(cluster, "n2"));
//!
//!     cluster.heal();
//!     cluster.expect_complete_within(secs(60));
//!     assert!(leads(cluster, "n0") && !leads(cluster, "n2"));
//! });
//! ```
//!
//! Each of the twenty runs has another seed, and with it other latencies and other choices of the
//! protocol. A test that fails prints its seed and the command that runs it again with that seed
//! alone. A virtual minute of a small cluster takes a few milliseconds.
//!
//! What can go wrong: [`crash`](Cluster::crash), [`restart`](Cluster::restart),
//! [`leave`](Cluster::leave), [`freeze`](Cluster::freeze) and [`thaw`](Cluster::thaw);
//! [`partition`](Cluster::partition), [`partition_oneway`](Cluster::partition_oneway),
//! [`isolate`](Cluster::isolate), [`hold`](Cluster::hold), [`loss`](Cluster::loss) and
//! [`heal`](Cluster::heal); [`move_to`](Cluster::move_to) gives a machine another address. All that a
//! scenario file can ask for, [`begin_fault`](Cluster::begin_fault) begins and
//! [`end_fault`](Cluster::end_fault) ends: slow and small sockets, bad links, bridges, rolling restarts,
//! wrong clocks, lying DNS, attackers. What can be asked: [`view_of`](Cluster::view_of),
//! [`events_of`](Cluster::events_of), [`member`](Cluster::member),
//! [`counters`](Cluster::counters). What can be demanded:
//! [`assert_view`](Cluster::assert_view), [`expect_view_within`](Cluster::expect_view_within),
//! [`expect_complete_within`](Cluster::expect_complete_within),
//! [`assert_never_down`](Cluster::assert_never_down), [`assert_quiet`](Cluster::assert_quiet).
//!
//! Logic that follows events reads them as they come:
//!
//! ```
//! use chisme_proto::Event;
//! use chisme_sim::{Cluster, secs};
//!
//! let mut cluster = Cluster::builder().nodes(4).seed(7).formed();
//! let read = cluster.events_of("n1").len();
//! cluster.leave("n3");
//! cluster.run_for(secs(5));
//! let news = &cluster.events_of("n1")[read..];
//! assert!(matches!(news, [(_, Event::Left(member))] if member.name.as_str() == "n3@sim"));
//! ```
//!
//! # Scenarios
//!
//! A [`Scenario`](scenario::Scenario) says in a file what happens to a cluster and what must come of
//! it. [`run`] runs it with one seed and judges it; a [`Sweep`] runs every point of its grid with
//! many seeds in parallel; [`shrink`] makes a failing one smaller, [`swarm`] makes them up.
//!
//! ```
//! use chisme_sim::{Keep, Sweep, scenario::Scenario, worst};
//!
//! let text = r#"
//!     why = "A process that dies is noticed."
//!     expected = "Everybody calls it Down, once."
//!     source = "none"
//!     nodes = { count = 8 }
//!     expect = { downs = 7, detection = { p99 = "12s" } }
//!
//!     [[fault]]
//!     at = "2s"
//!     crash = "node[3]"
//! "#;
//! let scenario = Scenario::parse("crash", text)?;
//! let results = Sweep::new(1..=4).run(&scenario, |_, _| Keep::default(), |_| ());
//! assert_eq!(worst(&results).exit_status(), 0);
//! assert_eq!(results[0].summary().detection.count, 4 * 7);
//! # Ok::<(), chisme_sim::scenario::ScenarioError>(())
//! ```
//!
//! # Map
//!
//! `cluster` is the world and its verbs, `drive` lets time pass in it, `look` and `views` are what
//! can be asked of it; `builder` makes one. `host` is one machine with the process on it, which is a
//! `member`: the node of production or the `baseline`; `network`
//! decides the fate of a datagram; `record` keeps what a process did; `view` checks each stream of
//! events against the rules that users rely on; `replay` makes a failure repeatable.
//!
//! `fault` is what goes wrong and when, with `verbs`, `dns` and `attack`. `scenario` is what a file says,
//! `run` what comes of it: `check` and `bounds` watch it, `disturbance` knows what was done to whom, `log`
//! and `panics` what went wrong inside of a node; `liveness` and `expect` judge it, `targets` all seeds
//! together; `outcome` is what is told. `story` is what reports draw, by `dissect`. `sweep` runs many,
//! `trace` one twice, `shrink` ever smaller ones, `swarm` any.

mod acquaint;
mod attack;
mod baseline;
mod bounds;
mod builder;
mod check;
mod clock;
mod cluster;
mod digest;
pub mod dissect;
mod disturbance;
mod dns;
mod drive;
mod expect;
mod fault;
mod host;
mod liveness;
mod log;
mod look;
mod member;
mod mixer;
mod network;
pub mod outcome;
mod owners;
mod panics;
mod queue;
mod record;
mod replay;
pub mod report;
mod run;
#[cfg(test)]
mod sabotage;
pub mod scenario;
mod shrink;
mod story;
mod swarm;
mod sweep;
mod targets;
mod trace;
mod verbs;
mod view;
mod views;

pub use builder::{Builder, check};
pub use cluster::Cluster;
pub use fault::FaultId;
pub use host::Setup;
pub use network::{Datagram, Deeds, Network, RuleId};
pub use record::{Record, describe};
pub use replay::seeds;
pub use run::{Keep, longest, run};
pub use shrink::{Patience, Shrunk, shrink};
pub use swarm::swarm;
pub use sweep::{Point, Progress, Results, Spread, Summary, Sweep, no_longer_missed, worst};
pub use targets::{Judged, judge_targets};
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
