//! Settings of a node, checked all at once when it starts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chisme_proto::{
    ClusterName, Config, ConfigError, Cookie, DEFAULT_PORT, Detector, Endpoints, Identity, KeyRing,
    NameError, Node, NodeName, PORT_SPAN, Record, SeedCadence, Service, Session, Sibling,
    VersionRange,
};
use tokio::sync::{broadcast, mpsc, watch};
use tracing::Instrument;

use crate::driver::{Driver, Publisher, State};
use crate::events::EVENT_CAPACITY;
use crate::handle::Cluster;
use crate::seed::{Resolver, ResolverSettings, Seed, SeedSource, Seeds};
use crate::socket::Sockets;
use crate::view::Clock;
use crate::{endpoint, seed, stretch};

/// The most requests that wait for the task.
const REQUEST_CAPACITY: usize = 64;

/// Why a node cannot start. Nothing is left behind: no socket, no task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name of the node or of the cluster.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No cookie was given.
    #[error("a node needs a cookie: the secret that its cluster shares")]
    NoCookie,
    /// A seed that cannot be read.
    #[error(transparent)]
    Seed(#[from] seed::ParseSeedError),
    /// An address that was asked for cannot be bound.
    #[error("cannot bind {addr}, the address asked for: {error}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Neither the default port nor one of those after it can be bound.
    #[error("cannot bind any port from {DEFAULT_PORT} to {last}, the default range: {error}")]
    NoFreePort {
        /// The last port that was tried.
        last: u16,
        /// What the system says of it.
        #[source]
        error: io::Error,
    },
    /// More than one address of a family.
    #[error("bind takes one IPv4 and one IPv6 address at most; a second one is {0}")]
    TooManyAddresses(SocketAddr),
    /// Settings that do not fit together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(String),
}

/// Collects the settings of a node; [`start`](Self::start) checks them.
pub struct Builder {
    name: String,
    cluster: Option<String>,
    cookie: Option<Cookie>,
    accepted: Vec<Cookie>,
    bind: Vec<SocketAddr>,
    advertise: Vec<SocketAddr>,
    seeds: Vec<String>,
    sources: Vec<Box<dyn SeedSource>>,
    resolver: ResolverSettings,
    detector: Detector,
    cadence: SeedCadence,
    versions: VersionRange,
    session: Option<Session>,
    siblings: Option<watch::Receiver<Vec<Sibling>>>,
    record: Record,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cluster: None,
            cookie: None,
            accepted: Vec::new(),
            bind: Vec::new(),
            advertise: Vec::new(),
            seeds: Vec::new(),
            sources: Vec::new(),
            resolver: ResolverSettings::default(),
            detector: Detector::default(),
            cadence: SeedCadence::default(),
            versions: VersionRange::default(),
            session: None,
            siblings: None,
            record: Record::default(),
        }
    }

    /// The secret that the nodes of the cluster share. Required.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// A further cookie whose datagrams are accepted, so that cookies can be changed node by node.
    /// At most [`MAX_ACCEPTED_KEYS`](chisme_proto::MAX_ACCEPTED_KEYS) count, the last ones given.
    pub fn accept_cookie(mut self, cookie: Cookie) -> Self {
        self.accepted.push(cookie);
        self
    }

    /// The name of the cluster; nodes of other clusters are deaf to this one. Default `default`.
    pub fn cluster_name(mut self, name: &str) -> Self {
        self.cluster = Some(name.to_owned());
        self
    }

    /// The local address to bind: one, or one of each family. Port 0 leaves the choice to the
    /// system. Default: all addresses of both families, on [`DEFAULT_PORT`] or the next free one of
    /// the [`PORT_SPAN`] ports from there.
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind.push(addr);
        self
    }

    /// Where others reach this node; may be given once for each family. Port 0 stands for the bound
    /// port. Default: the bound address, or what the system would send from.
    pub fn advertise(mut self, addr: SocketAddr) -> Self {
        self.advertise.push(addr);
        self
    }

    /// A seed, in the grammar of [`Seed`]: where to look for first contacts.
    pub fn seed(mut self, seed: &str) -> Self {
        self.seeds.push(seed.to_owned());
        self
    }

    /// Any other way to find first contacts.
    pub fn seed_source(mut self, source: impl SeedSource) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// A tag that the node has from its start on; see [`Cluster::merge_tags`]. A key that is given
    /// twice has the last value.
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.record.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A service that the node offers from its start on, until it is deregistered; see
    /// [`Cluster::register`]. A name that is given twice stands for the last one.
    pub fn service(mut self, service: Service) -> Self {
        self.record = self.record.with_service(service);
        self
    }

    /// How names are looked up.
    pub fn resolver(mut self, settings: ResolverSettings) -> Self {
        self.resolver = settings;
        self
    }

    /// How failures are looked for.
    pub fn detector(mut self, detector: Detector) -> Self {
        self.detector = detector;
        self
    }

    /// How often seeds are asked for.
    pub fn seed_cadence(mut self, cadence: SeedCadence) -> Self {
        self.cadence = cadence;
        self
    }

    /// The protocol versions to speak, for tests of upgrades.
    pub fn versions(mut self, versions: VersionRange) -> Self {
        self.versions = versions;
        self
    }

    /// The session of this start, for tests. Default: made of the clock and random bits.
    pub fn session(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    /// The other nodes of this host, kept current by whoever knows them: the node tells callers
    /// where they are.
    pub fn siblings(mut self, siblings: watch::Receiver<Vec<Sibling>>) -> Self {
        self.siblings = Some(siblings);
        self
    }

    /// Starts the node. It returns when gossip can begin, before any seed was looked up.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// [`StartError`] says which setting was wrong; nothing was started.
    pub async fn start(self) -> Result<Cluster, StartError> {
        let name = NodeName::parse(&self.name)?;
        let cluster = match &self.cluster {
            Some(text) => ClusterName::parse(text)?,
            None => ClusterName::default(),
        };
        let cookie = self.cookie.ok_or(StartError::NoCookie)?;
        let resolver = Resolver::new(self.resolver);
        let mut sources = self.sources;
        sources.extend(dns_sources(&self.seeds, &resolver)?);
        let seeds = Arc::new(Seeds::new(sources));
        let sockets = bind(&self.bind)?;
        let keys = key_ring(cookie, self.accepted, cluster.clone()).await;

        let bound = sockets.local_addrs();
        let (endpoints, guessed) = endpoints(&bound, &self.advertise);
        let mut config = Config::new(cluster.clone(), keys);
        config.detector = self.detector;
        config.seeds = self.cadence;
        config.versions = self.versions;
        config.endpoint_is_guess = guessed;
        config.record = self.record;
        let session = self.session.map_or_else(new_session, Ok)?;
        let identity = Identity { name: name.clone(), session, endpoints };
        let clock = Clock::start();
        let node = Node::new(config, identity, random_bytes()?, clock.now())?;

        let (request_sender, requests) = mpsc::channel(REQUEST_CAPACITY);
        let (snapshots, snapshot_receiver) = watch::channel(Arc::new(clock.snapshot(&node, 0)));
        let (events, event_receiver) = broadcast::channel(EVENT_CAPACITY);
        let (stopped, stopped_receiver) = watch::channel(None);
        let publisher = Publisher { snapshots, events, stopped };
        let handle = Cluster::new(
            crate::handle::Wires {
                requests: request_sender,
                snapshots: snapshot_receiver,
                events: event_receiver,
                stopped: stopped_receiver,
            },
            crate::handle::Facts { name, cluster, bound, resolver },
        );
        let siblings = self.siblings;
        let state = State::default();
        let driver = Driver { node, clock, sockets, requests, siblings, seeds, publisher, state };
        let span = crate::log::span(driver.node.name());
        tokio::spawn(driver.run().instrument(span));
        Ok(handle)
    }
}

/// A source for each seed text.
pub(crate) fn dns_sources(
    seeds: &[String],
    resolver: &Resolver,
) -> Result<Vec<Box<dyn SeedSource>>, seed::ParseSeedError> {
    seeds
        .iter()
        .map(|text| {
            let seed: Seed = text.parse()?;
            Ok(Box::new(seed::DnsSeeds::new(seed, resolver.clone())) as Box<dyn SeedSource>)
        })
        .collect()
}

/// Derives the keys, away from the tasks of the runtime: stretching a cookie takes some 30 ms.
pub(crate) async fn key_ring(
    cookie: Cookie,
    accepted: Vec<Cookie>,
    cluster: ClusterName,
) -> KeyRing {
    let derive = move || {
        let ring = KeyRing::new(&stretch::stretch(&cookie), &cluster);
        accepted
            .iter()
            .fold(ring, |ring, cookie| ring.accepting(&stretch::stretch(cookie), &cluster))
    };
    tokio::task::spawn_blocking(derive).await.expect("deriving keys does not panic")
}

fn bind(asked: &[SocketAddr]) -> Result<Sockets, StartError> {
    for family in [SocketAddr::is_ipv4, SocketAddr::is_ipv6] {
        if let Some(&second) = asked.iter().filter(|addr| family(addr)).nth(1) {
            return Err(StartError::TooManyAddresses(second));
        }
    }
    if !asked.is_empty() {
        return Sockets::bind(asked).map_err(|(addr, error)| StartError::Bind { addr, error });
    }
    let last = DEFAULT_PORT + PORT_SPAN - 1;
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for port in DEFAULT_PORT..=last {
        for any in [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
            match Sockets::bind(&[SocketAddr::new(any, port)]) {
                Ok(sockets) => return Ok(sockets),
                Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse => {
                    refused = error;
                    break;
                }
                // No IPv6 on this host: IPv4 alone will do.
                Err((_, error)) => refused = error,
            }
        }
    }
    Err(StartError::NoFreePort { last, error: refused })
}

/// What to advertise, and whether it is a guess.
fn endpoints(bound: &[SocketAddr], advertise: &[SocketAddr]) -> (Endpoints, bool) {
    if advertise.is_empty() {
        return endpoint::guess(bound);
    }
    let mut endpoints = Endpoints::default();
    for addr in advertise {
        let same_family = bound.iter().find(|bound| bound.is_ipv4() == addr.is_ipv4());
        let port = match addr.port() {
            0 => same_family.or(bound.first()).map_or(0, SocketAddr::port),
            port => port,
        };
        endpoints.set(SocketAddr::new(addr.ip(), port));
    }
    (endpoints, false)
}

fn new_session() -> Result<Session, StartError> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    let [a, b, c, d, ..] = random_bytes()?;
    Ok(Session::new(millis, u32::from_be_bytes([a, b, c, d])))
}

fn random_bytes() -> Result<[u8; 32], StartError> {
    use rand::TryRng;
    let mut bytes = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| StartError::Random(error.to_string()))?;
    Ok(bytes)
}
