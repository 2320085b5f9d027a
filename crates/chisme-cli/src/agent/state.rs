//! What the parts of a running agent share: its cluster, and what `status` tells besides.

use std::sync::Mutex;
use std::time::Instant;

use chisme::{Cluster, MemberState, Stopped};

use super::notices::Notices;
use crate::control::wire::{SeedRow, StatusReport};

/// A running agent.
pub(crate) struct AgentState {
    /// Its node.
    pub(crate) cluster: Cluster,
    /// The name of its cluster.
    pub(crate) cluster_name: String,
    /// When it started.
    pub(crate) started: Instant,
    /// What an operator should look at.
    pub(crate) notices: Mutex<Notices>,
    /// What a reload may change.
    pub(crate) origins: Mutex<Origins>,
}

/// Where settings come from, for people.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    /// Of the cookie; never the cookie.
    pub(crate) cookie: String,
    /// Of the seeds.
    pub(crate) seeds: String,
}

impl AgentState {
    /// What the agent is doing.
    ///
    /// # Errors
    /// [`Stopped`] if its node has stopped.
    pub(crate) async fn report(&self) -> Result<StatusReport, Stopped> {
        let status = self.cluster.status().await?;
        let snapshot = self.cluster.snapshot();
        let origins = self.origins.lock().expect("no holder of the lock panics").clone();
        let notices = self.notices.lock().expect("no holder of the lock panics").list();
        let departed = |state| snapshot.departed.iter().filter(|m| m.state == state).count();
        let counters = &status.node.counters;
        Ok(StatusReport {
            name: self.cluster.name().to_string(),
            cluster: self.cluster_name.clone(),
            pid: std::process::id(),
            session: snapshot.local.session.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            bound: self.cluster.local_addrs().to_vec(),
            advertised: snapshot.local.endpoints.iter().collect(),
            cookie: origins.cookie,
            up: snapshot.members.len() + 1,
            down: departed(MemberState::Down),
            left: departed(MemberState::Left),
            seeds_from: origins.seeds,
            seeds: status.seeds.iter().map(SeedRow::of).collect(),
            rejections: counters
                .rejections()
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (reason.to_string(), count))
                .collect(),
            notices,
            counters: counters
                .iter()
                .chain([
                    ("not_sent".to_owned(), status.not_sent),
                    ("not_received".to_owned(), status.not_received),
                    ("blocked".to_owned(), status.blocked),
                ])
                .collect(),
        })
    }
}
