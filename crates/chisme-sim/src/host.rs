//! One machine: its addresses, how its node is configured, and the process that may run on it.
//!
//! It knows its own node and nothing of other machines or of the network.

use std::collections::VecDeque;
use std::net::SocketAddr;

use chisme_proto::{
    ClusterName, Config, Cookie, Detector, Endpoints, Identity, Instant, KeyRing, Node, NodeName,
    SeedCadence, Session, StretchedCookie, VersionRange,
};

use crate::network::Datagram;
use crate::panics;
use crate::record::Record;

/// The unix time, in milliseconds, at which every simulation starts: 20 November 2026.
const EPOCH_MILLIS: i64 = 1_795_132_800_000;

/// Datagrams that wait for a frozen process, as in a socket's buffer; what is beyond is lost.
const SOCKET_BUFFER: usize = 2_000;

/// How the node of a machine is configured, from its next start on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's name; by default the machine's label, followed by `@sim` if it has no host.
    pub name: NodeName,
    /// What it shares with its cluster; 64 hexadecimal digits by default, which need no stretching.
    pub cookie: Cookie,
    /// The cluster that it belongs to.
    pub cluster_name: ClusterName,
    /// Where its socket listens: at most one address of each family.
    pub addresses: Vec<SocketAddr>,
    /// What it tells others about where it is; its addresses if not set.
    pub advertised: Option<Vec<SocketAddr>>,
    /// Whether what it advertises was guessed.
    pub endpoint_is_guess: bool,
    /// How many seconds its wall clock is ahead; negative if behind.
    pub clock_offset: i64,
    /// The labels of the machines that its seeds stand for; those of the cluster if not set.
    pub seeds: Option<Vec<String>>,
    /// The protocol versions that it speaks.
    pub versions: VersionRange,
    /// How it looks for failures.
    pub detector: Detector,
    /// How often it asks for its seeds.
    pub cadence: SeedCadence,
    /// The most members that it remembers.
    pub max_members: Option<usize>,
}

impl Setup {
    pub(crate) fn new(label: &str, address: SocketAddr) -> Self {
        let name = if label.contains('@') { label.to_owned() } else { format!("{label}@sim") };
        Self {
            name: NodeName::parse(&name).unwrap_or_else(|error| panic!("{error}")),
            cookie: Cookie::new(&"c0".repeat(32)).expect("64 hexadecimal digits are a cookie"),
            cluster_name: ClusterName::default(),
            addresses: vec![address],
            advertised: None,
            endpoint_is_guess: false,
            clock_offset: 0,
            seeds: None,
            versions: VersionRange::default(),
            detector: Detector::default(),
            cadence: SeedCadence::default(),
            max_members: None,
        }
    }

    /// The key ring that the node will have.
    pub fn keys(&self) -> KeyRing {
        KeyRing::new(&StretchedCookie::stretch(&self.cookie), &self.cluster_name)
    }

    fn config(&self) -> Config {
        let mut config = Config::new(self.cluster_name.clone(), self.keys());
        config.versions = self.versions;
        config.detector = self.detector.clone();
        config.seeds = self.cadence.clone();
        config.endpoint_is_guess = self.endpoint_is_guess;
        config.max_members = self.max_members.unwrap_or(config.max_members);
        config
    }

    /// The identity of a process that starts at `now`.
    fn identity(&self, now: Instant, random: u32) -> Identity {
        let millis = i64::try_from(now.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
        let wall = EPOCH_MILLIS.saturating_add(millis).saturating_add(self.clock_offset * 1_000);
        let mut endpoints = Endpoints::default();
        for &addr in self.advertised.as_ref().unwrap_or(&self.addresses) {
            endpoints.set(addr);
        }
        let session = Session::new(u64::try_from(wall).unwrap_or(0), random);
        Identity { name: self.name.clone(), session, endpoints }
    }
}

/// One machine.
pub(crate) struct Host {
    pub(crate) label: String,
    pub(crate) setup: Setup,
    /// Where the running process is bound; follows `setup.addresses` at every start.
    pub(crate) bound: Vec<SocketAddr>,
    pub(crate) process: Option<Process>,
    /// Counts the starts, so that what was meant for an earlier process does not reach a later one.
    pub(crate) run: u64,
    /// Of the present process, or of the last one.
    pub(crate) record: Record,
}

/// A running node.
pub(crate) struct Process {
    pub(crate) node: Node,
    /// When its next timer is due in the cluster's queue.
    pub(crate) wake: Option<Instant>,
    /// Set while it is stopped by SIGSTOP.
    pub(crate) frozen: Option<Waiting>,
}

/// What waits for a frozen process.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) datagrams: VecDeque<Datagram>,
    /// Whether the answer to a look-up of its seeds has come.
    pub(crate) seeds: bool,
}

impl Host {
    pub(crate) fn new(label: &str, address: SocketAddr) -> Self {
        Self {
            label: label.to_owned(),
            setup: Setup::new(label, address),
            bound: Vec::new(),
            process: None,
            run: 0,
            record: Record::default(),
        }
    }

    /// Starts a new process in place of the one that may run.
    pub(crate) fn start(&mut self, random: u32, node_seed: [u8; 32], now: Instant) {
        let identity = self.setup.identity(now, random);
        let config = self.setup.config();
        let node = panics::node(|| Node::new(config, identity, node_seed, now))
            .unwrap_or_else(|error| panic!("{}: {error}", self.label));
        self.bound = self.setup.addresses.clone();
        self.process = Some(Process { node, wake: None, frozen: None });
        self.run += 1;
        self.record = Record::default();
    }

    /// Ends the process without a word.
    pub(crate) fn end(&mut self) {
        if let Some(process) = self.process.take() {
            self.record.last_status = Some(process.node.status());
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.frozen.is_some())
    }

    /// The address from which it sends to `to`, if its socket reaches that family.
    pub(crate) fn source_for(&self, to: SocketAddr) -> Option<SocketAddr> {
        self.bound.iter().copied().find(|addr| addr.is_ipv4() == to.is_ipv4())
    }
}

impl Process {
    /// Puts a datagram aside if the process is frozen; gives it back if it runs.
    pub(crate) fn set_aside(&mut self, datagram: Datagram) -> Option<Datagram> {
        let Some(waiting) = &mut self.frozen else { return Some(datagram) };
        if waiting.datagrams.len() < SOCKET_BUFFER {
            waiting.datagrams.push_back(datagram);
        }
        None
    }
}
