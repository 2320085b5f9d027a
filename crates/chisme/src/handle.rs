//! The handle that an embedder holds: cheap to clone; the last one dropped ends the node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chisme_proto::{
    ClusterName, ContactReport, ContactResult, Cookie, NameError, NodeName, NodeStatus, StopReason,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::builder::{dns_sources, key_ring};
use crate::driver::{DriverStatus, Request};
use crate::events::Versioned;
use crate::seed::{ParseSeedError, Resolver, Seed, SeedError, SeedStatus, Seeds};
use crate::{Builder, Events, Member, Snapshot};

/// The longest that a leaving node takes, by the protocol's own limit and a little more.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// A running node of a cluster.
///
/// Clones are handles to the same node. When the last one is dropped without
/// [`leave`](Self::leave), the node's task ends and its sockets close; to its peers that looks like
/// a crash.
#[derive(Clone, Debug)]
pub struct Cluster {
    wires: Arc<Wires>,
    facts: Arc<Facts>,
}

/// The channels to and from the task.
#[derive(Debug)]
pub(crate) struct Wires {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) events: broadcast::Receiver<Versioned>,
    pub(crate) stopped: watch::Receiver<Option<StopReason>>,
}

/// What does not change while the node runs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) name: NodeName,
    pub(crate) cluster: ClusterName,
    pub(crate) bound: Vec<SocketAddr>,
    pub(crate) resolver: Resolver,
}

/// The node has stopped: it left, or another live node holds its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// Why a `connect` could not even be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is not a seed.
    #[error(transparent)]
    Seed(#[from] ParseSeedError),
    /// The name cannot be resolved.
    #[error("cannot look {seed} up: {error}")]
    Lookup {
        /// What was looked up.
        seed: String,
        /// What came of it.
        #[source]
        error: SeedError,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What became of every address that a `connect` stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectReport {
    /// One line per address.
    pub contacts: Vec<ContactReport>,
}

impl ConnectReport {
    /// Whether at least one address led to a member, old or new.
    pub fn joined(&self) -> bool {
        self.contacts.iter().any(|contact| {
            matches!(contact.result, ContactResult::Joined(_) | ContactResult::AlreadyKnown(_))
        })
    }
}

/// Why a ping has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// The text is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not a member that is up, or three tries in one second went unanswered.
    #[error("{0} did not answer: it is no member that is up, or it cannot be reached")]
    NoAnswer(NodeName),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a wait ended without the members that were waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time is over.
    #[error("{live} of {wanted} members are up after {waited:?}")]
    Timeout {
        /// How many were wanted.
        wanted: usize,
        /// How many are up, this node included.
        live: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Counters, sizes, and what the seed sources last said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The state machine's.
    pub node: NodeStatus,
    /// One line per seed source.
    pub seeds: Vec<SeedStatus>,
    /// Datagrams that the kernel would not take.
    pub not_sent: u64,
    /// Errors of the kernel while reading; reading rests for 10 ms after each.
    pub not_received: u64,
    /// Datagrams that [`Cluster::block`] dropped.
    pub blocked: u64,
}

impl Cluster {
    /// Starts to set up a node called `name`, which must look like `name@host`.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn new(wires: Wires, facts: Facts) -> Self {
        Self { wires: Arc::new(wires), facts: Arc::new(facts) }
    }

    /// The name of this node.
    pub fn name(&self) -> &NodeName {
        &self.facts.name
    }

    /// The addresses that are bound.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.facts.bound
    }

    /// The view at this moment. It never waits.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.wires.snapshots.borrow())
    }

    /// All members that are up, this node included, by name. It never waits.
    pub fn members(&self) -> Vec<Member> {
        let snapshot = self.snapshot();
        let at = snapshot.members.partition_point(|member| member.name < snapshot.local.name);
        let mut all = snapshot.members.clone();
        all.insert(at, snapshot.local.clone());
        all
    }

    /// The changes from now on, after a first [`Event::Snapshot`](crate::Event::Snapshot).
    pub fn events(&self) -> Events {
        Events::new(self.wires.events.resubscribe(), self.wires.snapshots.clone())
    }

    /// Contacts what `seed` stands for and waits for the answers. An address that is silent is given
    /// up three seconds after the look-up, one that answers and then falls silent after eight; where
    /// a sibling on the same host is asked next, that comes on top. The grammar is that of [`Seed`].
    ///
    /// # Errors
    /// [`ConnectError`] if there was nothing to contact. That nobody answered is in the report.
    pub async fn connect(&self, seed: &str) -> Result<ConnectReport, ConnectError> {
        let parsed: Seed = seed.parse()?;
        let contacts = self
            .facts
            .resolver
            .contacts(&parsed)
            .await
            .map_err(|error| ConnectError::Lookup { seed: seed.to_owned(), error })?;
        let (answer, report) = oneshot::channel();
        self.request(Request::Connect { contacts, answer }).await?;
        let contacts = report.await.map_err(|_| Stopped)?;
        Ok(ConnectReport { contacts })
    }

    /// Says goodbye and stops, in at most about a second. Others see `Left`, not `Down`.
    pub async fn leave(&self) {
        if self.request(Request::Leave).await.is_ok() {
            // The protocol bounds its own farewell; this bounds a runtime that is stuck.
            let _ = tokio::time::timeout(LEAVE_LIMIT, self.stopped()).await;
        }
    }

    /// Waits until the node has stopped, and says why; none if its runtime was shut down.
    pub async fn stopped(&self) -> Option<StopReason> {
        let mut stopped = self.wires.stopped.clone();
        stopped.wait_for(Option::is_some).await.ok().and_then(|reason| *reason)
    }

    /// Waits until `n` members are up, this node included.
    ///
    /// # Errors
    /// [`WaitError`] after `timeout`, or when the node has stopped.
    pub async fn wait_for_members(
        &self,
        n: usize,
        timeout: Duration,
    ) -> Result<Arc<Snapshot>, WaitError> {
        let mut snapshots = self.wires.snapshots.clone();
        let enough = snapshots.wait_for(|snapshot| snapshot.live() >= n);
        match tokio::time::timeout(timeout, enough).await {
            Ok(Ok(snapshot)) => Ok(Arc::clone(&snapshot)),
            Ok(Err(_)) => Err(Stopped.into()),
            Err(_) => {
                let live = self.snapshot().live();
                Err(WaitError::Timeout { wanted: n, live, waited: timeout })
            }
        }
    }

    /// Measures a round trip to a member through the protocol.
    ///
    /// # Errors
    /// [`PingError`] within about a second.
    pub async fn ping(&self, name: &str) -> Result<Duration, PingError> {
        let name = NodeName::parse(name)?;
        let (answer, rtt) = oneshot::channel();
        self.request(Request::Ping { name: name.clone(), answer }).await?;
        rtt.await.map_err(|_| Stopped)?.ok_or(PingError::NoAnswer(name))
    }

    /// Counters, sizes, and what the seed sources last said.
    ///
    /// # Errors
    /// [`Stopped`] if the node has.
    pub async fn status(&self) -> Result<Status, Stopped> {
        let (answer, status) = oneshot::channel();
        self.request(Request::Status { answer }).await?;
        let DriverStatus { node, seeds, not_sent, not_received, blocked } =
            status.await.map_err(|_| Stopped)?;
        Ok(Status { node, seeds: seeds.status(), not_sent, not_received, blocked })
    }

    /// Looks all seeds up now, instead of at the next moment of the cadence.
    pub async fn refresh_seeds(&self) -> Result<(), Stopped> {
        self.request(Request::RefreshSeeds).await
    }

    /// Replaces all seeds and seed sources, and looks them up.
    ///
    /// # Errors
    /// [`ConnectError`] if a text is not a seed; then nothing has changed.
    pub async fn set_seeds(&self, seeds: &[String]) -> Result<(), ConnectError> {
        let sources = dns_sources(seeds, &self.facts.resolver)?;
        Ok(self.request(Request::SetSeeds(Arc::new(Seeds::new(sources)))).await?)
    }

    /// Seals with `cookie` from now on. What the cookies of `accepted`, and the one before, sealed
    /// is still taken.
    pub async fn set_cookie(&self, cookie: Cookie, accepted: Vec<Cookie>) -> Result<(), Stopped> {
        let keys = key_ring(cookie, accepted, self.facts.cluster.clone()).await;
        self.request(Request::SetKeys(keys)).await
    }

    /// Drops all datagrams from and to these addresses, for experiments with partitions. Replaces
    /// the list before it; at most 1,024 addresses.
    pub async fn block(&self, addrs: Vec<SocketAddr>) -> Result<(), Stopped> {
        self.request(Request::Block(addrs)).await
    }

    pub(crate) const fn wires(&self) -> &Arc<Wires> {
        &self.wires
    }

    pub(crate) async fn request(&self, request: Request) -> Result<(), Stopped> {
        self.wires.requests.send(request).await.map_err(|_| Stopped)
    }
}
