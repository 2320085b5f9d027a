//! One machine: its addresses, how its node is configured, and the process that may run on it.
//!
//! It knows its own node and nothing of other machines or of the network.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use chisme_proto::{
    ClusterName, Config, Cookie, Detector, Endpoints, Identity, Instant, KeyRing, Node, NodeName,
    Roster, SeedCadence, Session, StretchedCookie, VersionRange,
};

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::baseline::Baseline;
use crate::clock::Clock;
use crate::dns::Lie;
use crate::member::Member;
use crate::network::Datagram;
use crate::panics;
use crate::record::Record;

/// The unix time, in milliseconds, at which every simulation starts: 20 November 2026.
pub(crate) const EPOCH_MILLIS: i64 = 1_795_132_800_000;

/// Datagrams that wait in a socket until they are read; what is beyond is lost.
pub(crate) const SOCKET_BUFFER: usize = 2_000;

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
    /// Whether foca runs as it comes instead, in a cluster of so many.
    pub(crate) baseline: Option<NonZeroU32>,
    /// What it says of itself from its start on.
    pub record: chisme_proto::Record,
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
            baseline: None,
            record: chisme_proto::Record::default(),
        }
    }

    /// The key ring that the node will have.
    pub fn keys(&self) -> KeyRing {
        KeyRing::new(&StretchedCookie::stretch(&self.cookie), &self.cluster_name)
    }

    pub(crate) fn config(&self, common: &mut Common) -> Config {
        let mut config = Config::new(self.cluster_name.clone(), common.keys(self));
        config.versions = self.versions;
        config.detector = self.detector.clone();
        config.seeds = self.cadence.clone();
        config.record = self.record.clone();
        config.endpoint_is_guess = self.endpoint_is_guess;
        config.max_members = self.max_members.unwrap_or(config.max_members);
        config.roster = Some(common.roster.clone());
        config
    }

    /// The identity of a process that starts at this unix time.
    fn identity(&self, unix_millis: i64, random: u32) -> Identity {
        let wall = unix_millis.saturating_add(self.clock_offset.saturating_mul(1_000));
        let mut endpoints = Endpoints::default();
        for &addr in self.advertised.as_ref().unwrap_or(&self.addresses) {
            endpoints.set(addr);
        }
        let session = Session::new(u64::try_from(wall).unwrap_or(0), random);
        Identity { name: self.name.clone(), session, endpoints }
    }
}

/// What the nodes of a simulation would each have a copy of.
#[derive(Default)]
pub(crate) struct Common {
    roster: Roster,
    rings: Vec<(Cookie, ClusterName, KeyRing)>,
}

impl Common {
    fn keys(&mut self, setup: &Setup) -> KeyRing {
        let is_its = |ring: &&(Cookie, ClusterName, KeyRing)| {
            (&ring.0, &ring.1) == (&setup.cookie, &setup.cluster_name)
        };
        if let Some((_, _, keys)) = self.rings.iter().find(is_its) {
            return keys.clone();
        }
        let keys = setup.keys();
        self.rings.push((setup.cookie.clone(), setup.cluster_name.clone(), keys.clone()));
        keys
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
    /// How long processes have run on it that are gone.
    ran: Duration,
    /// Of the present process, or of the last one.
    pub(crate) record: Record,
    pub(crate) clock: Clock,
    /// How many datagrams its socket holds.
    pub(crate) socket_buffer: usize,
    /// How long it takes to handle one.
    pub(crate) per_datagram: Duration,
    /// How many its socket had no room for.
    pub(crate) overflowed: u64,
    /// What DNS says to it, if that is not the truth.
    pub(crate) lie: Option<Lie>,
    /// The last good answer of DNS to its process.
    pub(crate) good_seeds: Vec<SocketAddr>,
    /// Its own chance: what others draw does not change it.
    rng: ChaCha8Rng,
}

/// A running node.
pub(crate) struct Process {
    pub(crate) node: Member,
    since: Instant,
    /// When its next timer is due in the cluster's queue.
    pub(crate) wake: Option<Instant>,
    /// How often it is stopped as by SIGSTOP, and how often its reading; it goes on at zero.
    pub(crate) frozen: u32,
    pub(crate) stalled: u32,
    /// What waits in its socket.
    pub(crate) inbox: VecDeque<Datagram>,
    /// It handles a datagram until then.
    pub(crate) busy_until: Instant,
    /// Whether the queue holds the moment when it reads again.
    pub(crate) will_read: bool,
    /// Whether the answer to a look-up of its seeds came while it was frozen.
    pub(crate) seeds_came: bool,
}

impl Host {
    pub(crate) fn new(label: &str, address: SocketAddr, rng: ChaCha8Rng) -> Self {
        Self {
            label: label.to_owned(),
            setup: Setup::new(label, address),
            bound: Vec::new(),
            process: None,
            run: 0,
            ran: Duration::ZERO,
            record: Record::default(),
            clock: Clock::default(),
            socket_buffer: SOCKET_BUFFER,
            per_datagram: Duration::ZERO,
            overflowed: 0,
            lie: None,
            good_seeds: Vec::new(),
            rng,
        }
    }

    /// Starts a new process in place of the one that may run.
    pub(crate) fn start(&mut self, common: &mut Common, now: Instant) {
        let unix_millis = self.clock.unix_millis(now, EPOCH_MILLIS);
        let identity = self.setup.identity(unix_millis, self.rng.random());
        let local = self.clock.local(now);
        let (config, seed) = (self.setup.config(common), self.rng.random());
        let node = panics::node(|| Node::new(config, identity.clone(), seed, local))
            .unwrap_or_else(|error| panic!("{}: {error}", self.label));
        let node = match self.setup.baseline {
            None => Member::Chisme(Box::new(node)),
            Some(cluster) => {
                let baseline = Baseline::new(cluster, &identity, node.local(), seed, local);
                Member::Baseline(Box::new(baseline))
            }
        };
        self.bound = self.setup.addresses.clone();
        self.ran = self.running_time(now);
        self.process = Some(Process {
            node,
            since: now,
            wake: None,
            frozen: 0,
            stalled: 0,
            inbox: VecDeque::new(),
            busy_until: now,
            will_read: false,
            seeds_came: false,
        });
        self.run += 1;
        self.good_seeds.clear();
        self.record = Record::default();
    }

    /// Ends the process without a word.
    pub(crate) fn end(&mut self, now: Instant) {
        self.ran = self.running_time(now);
        if let Some(process) = self.process.take() {
            self.record.last_status = Some(process.node.status());
        }
    }

    /// How long processes have run on it, all together.
    pub(crate) fn running_time(&self, now: Instant) -> Duration {
        self.ran + self.process.as_ref().map_or(Duration::ZERO, |process| now - process.since)
    }

    /// How long its process has run; none if none runs.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.process.as_ref().map(|process| now - process.since)
    }

    /// Whether its process, the only one that it had, ran at the same time as the last one of another
    /// machine, which started later.
    pub(crate) fn ran_beside(&self, later: &Self) -> bool {
        let started = later.process.as_ref().map(|process| process.since);
        let stopped = self.record.stopped.as_ref().map(|(at, _)| *at);
        self.process.is_some() || started.zip(stopped).is_some_and(|(at, end)| at <= end)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.frozen > 0)
    }

    /// The address from which it sends to `to`, if its socket reaches that family.
    pub(crate) fn source_for(&self, to: SocketAddr) -> Option<SocketAddr> {
        self.bound.iter().copied().find(|addr| addr.is_ipv4() == to.is_ipv4())
    }

    /// Puts a datagram aside if the process cannot read it now; gives it back if it can.
    pub(crate) fn set_aside(&mut self, datagram: Datagram, now: Instant) -> Option<Datagram> {
        let process = self.process.as_mut()?;
        if process.reads_at_once(now) {
            return Some(datagram);
        }
        if process.inbox.len() < self.socket_buffer {
            process.inbox.push_back(datagram);
        } else {
            self.overflowed += 1;
        }
        None
    }
}

impl Process {
    /// Whether nothing keeps it from reading at all.
    pub(crate) const fn reads(&self) -> bool {
        self.frozen == 0 && self.stalled == 0
    }

    fn reads_at_once(&self, now: Instant) -> bool {
        self.reads() && self.inbox.is_empty() && self.busy_until <= now
    }
}
