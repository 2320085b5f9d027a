//! Somebody without the key, or with recordings, sends to the nodes.
//!
//! What it sends are real datagrams: of nodes with another key, of the run itself as it was or
//! damaged, or noise.

use std::net::{Ipv4Addr, SocketAddr};

use chisme_proto::{
    ClusterName, Command, Config, Contact, Cookie, Endpoints, Identity, Input, KeyRing, Node,
    NodeName, Output, RequestId, Session, StretchedCookie,
};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;

use crate::cluster::Cluster;
use crate::drive::Happening;
use crate::network::Datagram;
use crate::scenario::AttackKind;

/// Where attackers, and the victims of reflection, are: machines of nobody.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
const VICTIM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const PORT: u16 = 4747;

/// The longest noise, in bytes: what one UDP datagram over Ethernet holds.
const LONGEST: usize = 1_472;

const KIND_HELLO: u8 = 1;

/// How many recordings are looked at for one that fits.
const TRIES: usize = 2_000;

/// Sends what it can think of.
pub(crate) struct Attacker {
    rng: ChaCha8Rng,
}

impl Attacker {
    pub(crate) const fn new(rng: ChaCha8Rng) -> Self {
        Self { rng }
    }

    /// Whether this kind of attack needs recordings.
    pub(crate) const fn records(kind: AttackKind) -> bool {
        matches!(
            kind,
            AttackKind::Tamper | AttackKind::Replay | AttackKind::Reflect | AttackKind::Unreachable
        )
    }

    /// Sends one datagram to a machine; false if there is nothing to send yet.
    pub(crate) fn shoot(&mut self, kind: AttackKind, target: usize, cluster: &mut Cluster) -> bool {
        let Some(&to) = cluster.hosts[target].bound.first() else { return false };
        let stranger = SocketAddr::from((ATTACKER, PORT));
        if kind == AttackKind::Unreachable {
            return self.refuse(target, to, cluster);
        }
        let shot = match kind {
            AttackKind::WrongKey => self.hello(&"ee".repeat(32), "default", to, cluster),
            AttackKind::ForeignCluster => self.hello(&"c0".repeat(32), "other", to, cluster),
            AttackKind::Flood => {
                let len = self.rng.random_range(0..=LONGEST);
                Some((stranger, (0..len).map(|_| self.rng.random()).collect()))
            }
            AttackKind::Replay => self.recording(to, cluster, |_| true),
            AttackKind::Tamper => self.recording(to, cluster, |_| true).map(|(from, mut bytes)| {
                let bit = self.rng.random_range(0..bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                (from, bytes)
            }),
            AttackKind::Reflect => {
                let hello = |datagram: &Datagram| datagram.bytes.get(1) == Some(&KIND_HELLO);
                let recording = self.recording(to, cluster, hello);
                recording.map(|(_, bytes)| (SocketAddr::from((VICTIM, PORT)), bytes))
            }
            AttackKind::Unreachable => None,
        };
        let Some((from, bytes)) = shot else { return false };
        cluster.inject_at(target, Datagram { from, to, bytes });
        true
    }

    /// Tells a node that nobody listens where it has sent something, and quotes it, or nearly.
    fn refuse(&mut self, target: usize, own: SocketAddr, cluster: &mut Cluster) -> bool {
        let recorded = cluster.recorded();
        let mut tries = (0..TRIES).filter_map(|_| recorded.choose(&mut self.rng));
        let Some(sent) = tries.find(|one| one.from == own && !one.bytes.is_empty()) else {
            return false;
        };
        let (to, mut quoted) = (sent.to, sent.bytes.clone());
        if self.rng.random() {
            let bit = self.rng.random_range(0..quoted.len() * 8);
            quoted[bit / 8] ^= 1 << (bit % 8);
        }
        cluster.schedule(cluster.now(), Happening::Unreachable { host: target, to, quoted });
        true
    }

    /// The Hello of a real node with another key.
    fn hello(
        &mut self,
        cookie: &str,
        cluster_name: &str,
        to: SocketAddr,
        cluster: &Cluster,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let from = SocketAddr::from((ATTACKER, PORT));
        let cookie = Cookie::new(cookie).expect("64 hexadecimal digits are a cookie");
        let name = ClusterName::parse(cluster_name).expect("a constant that is a name");
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &name);
        let identity = Identity {
            name: NodeName::parse("n0@sim").expect("a constant that is a name"),
            session: Session::new(cluster.unix_millis(), self.rng.random()),
            endpoints: Endpoints::one(from),
        };
        let seed = self.rng.random();
        let now = cluster.now();
        let mut node = Node::new(Config::new(name, keys), identity, seed, now).ok()?;
        let contacts = vec![Contact { addr: to, expect: None }];
        let connect = Command::Connect { request: RequestId(1), contacts };
        node.handle_input(Input::Command(connect), now);
        std::iter::from_fn(|| node.poll_output()).find_map(|output| match output {
            Output::Transmit { bytes, .. } => Some((from, bytes)),
            _ => None,
        })
    }

    /// A datagram that was sent to this address, as it was.
    fn recording(
        &mut self,
        to: SocketAddr,
        cluster: &Cluster,
        wanted: impl Fn(&Datagram) -> bool,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        // Most tries hit: whoever is attacked is spoken to.
        let recorded = cluster.recorded();
        let mut tries = (0..TRIES).filter_map(|_| recorded.choose(&mut self.rng));
        let fit = tries.find(|one| one.to == to && !one.bytes.is_empty() && wanted(one))?;
        Some((fit.from, fit.bytes.clone()))
    }
}
