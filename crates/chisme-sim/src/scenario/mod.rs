//! Scenarios: what happens to a cluster, when, and what must come of it.
//!
//! `model` is a scenario as the rest of the crate works with it, `schema` the tables of its file and `file` what they mean,
//! `faults` the same for faults and links, `group` which nodes a fault is about, `limits` how much a file may ask for,
//! `place` where a key stands, `label` what a fault is called. Nothing here runs anything.

mod faults;
mod file;
mod group;
mod label;
pub(crate) mod limits;
mod model;
mod place;
mod schema;

pub use file::ScenarioError;
pub use group::{Group, GroupError};
pub(crate) use model::Way;
pub use model::{
    Answer, Attack, AttackKind, Burst, Cut, DetectorMode, Expect, Fault, Latency, Link, Nodes,
    Quantiles, Ranges, Scenario, Target, TimedFault, Tuning,
};
