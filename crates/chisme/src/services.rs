//! The services of all members, as this node sees them: it never asks anybody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chisme_proto::{Endpoints, NodeName, Service, ServiceStatus};
use rand::seq::SliceRandom;
use tokio::sync::watch;

use crate::{Cluster, Member, Snapshot, Stopped};

/// A service on one member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// The member that offers it.
    pub node: NodeName,
    /// Where that member can be reached; its port is that of the cluster protocol.
    pub endpoints: Endpoints,
    /// What the member says of the service.
    pub service: Service,
    /// Whether it is on this node.
    pub is_local: bool,
}

impl Instance {
    fn of(member: &Member, service: &Service) -> Self {
        Self {
            node: member.name.clone(),
            endpoints: member.endpoints,
            service: service.clone(),
            is_local: member.is_local,
        }
    }

    /// Where the service listens: the member's addresses, IPv4 first, with the service's own port.
    /// None if the service has no port.
    pub fn addrs(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let port = self.service.port;
        let addrs = self.endpoints.iter().filter(move |_| port != 0);
        addrs.map(move |addr| SocketAddr::new(addr.ip(), port))
    }

    /// The first of [`addrs`](Self::addrs).
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addrs().next()
    }
}

/// Why a wait ended without the services that were waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitForServicesError {
    /// The time is over.
    #[error("no running instance of {} after {waited:?}", missing.join(", "))]
    Timeout {
        /// The services of which there is no running instance.
        missing: Vec<String>,
        /// How long was waited.
        waited: Duration,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Snapshot {
    /// The running instances of a service on members that are up: that of this node first, the
    /// others by name.
    pub fn instances(&self, service: &str) -> Vec<Instance> {
        let all = std::iter::once(&self.local).chain(&self.members);
        let of = |member: &Member| {
            let found = member.record.services.get(service)?;
            (found.status == ServiceStatus::Running).then(|| Instance::of(member, found))
        };
        all.filter_map(of).collect()
    }

    /// All services of members that are up, whatever their status: their instances by name, that of
    /// this node first.
    pub fn services(&self) -> BTreeMap<String, Vec<Instance>> {
        let mut services: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
        for member in std::iter::once(&self.local).chain(&self.members) {
            for (name, service) in &member.record.services {
                services.entry(name.clone()).or_default().push(Instance::of(member, service));
            }
        }
        services
    }

    fn missing(&self, services: &[&str]) -> Vec<String> {
        let missing = services.iter().filter(|name| self.instances(name).is_empty());
        missing.map(|&name| name.to_owned()).collect()
    }
}

/// Services of all members. What a member offers is gone from here as soon as the member is.
impl Cluster {
    /// The running instances of a service: that of this node first, the others in an order that is
    /// new each time. It never waits.
    ///
    /// ```no_run
    /// # fn run(cluster: &chisme::Cluster) {
    /// if let Some(billing) = cluster.instances("billing").first() {
    ///     println!("{} at {:?}", billing.node, billing.addr());
    /// }
    /// # }
    /// ```
    pub fn instances(&self, service: &str) -> Vec<Instance> {
        let mut found = self.snapshot().instances(service);
        let remote = found.iter().take_while(|instance| instance.is_local).count();
        found[remote..].shuffle(&mut rand::rng());
        found
    }

    /// All services that members offer, in any status. It never waits.
    pub fn services(&self) -> BTreeMap<String, Vec<Instance>> {
        self.snapshot().services()
    }

    /// Follows the running instances of a service.
    pub fn watch(&self, service: &str) -> ServiceWatch {
        let snapshots = self.wires().snapshots.clone();
        ServiceWatch { snapshots, service: service.to_owned(), shown: None }
    }

    /// Waits until each of these services has a running instance somewhere.
    ///
    /// # Errors
    /// [`WaitForServicesError`] after `timeout`, with those that have none; or when the node has
    /// stopped.
    pub async fn wait_for_services(
        &self,
        services: &[&str],
        timeout: Duration,
    ) -> Result<(), WaitForServicesError> {
        let mut snapshots = self.wires().snapshots.clone();
        let all = snapshots.wait_for(|snapshot| snapshot.missing(services).is_empty());
        match tokio::time::timeout(timeout, all).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Stopped.into()),
            Err(_) => {
                let missing = self.snapshot().missing(services);
                Err(WaitForServicesError::Timeout { missing, waited: timeout })
            }
        }
    }
}

/// The running instances of a service, whenever they change. It does not keep the node running.
#[derive(Debug)]
pub struct ServiceWatch {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    service: String,
    shown: Option<Vec<Instance>>,
}

impl ServiceWatch {
    /// The instances: at once for the first time, then as soon as they differ from those before. Changes
    /// that come faster than they are read are told as one. None when the node has stopped.
    ///
    /// That of this node comes first, the others by name. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Vec<Instance>> {
        loop {
            let now = self.snapshots.borrow_and_update().instances(&self.service);
            if self.shown.as_ref() != Some(&now) {
                self.shown = Some(now.clone());
                return Some(now);
            }
            self.snapshots.changed().await.ok()?;
        }
    }
}
