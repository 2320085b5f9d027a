//! The network: what becomes of a datagram between two machines.
//!
//! It knows machines by label and never looks into a datagram.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::{micros, millis};

/// One UDP payload on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The source address.
    pub from: SocketAddr,
    /// The destination address.
    pub to: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// How the network treats datagrams. Latencies differ from one to the next, which reorders them.
#[derive(Debug)]
pub struct Network {
    /// The shortest time on the way. Default 0.2 ms.
    pub latency_min: Duration,
    /// The longest time on the way. Default 2 ms.
    pub latency_max: Duration,
    /// The part of the datagrams that is lost, 0.0 to 1.0. Default 0.
    pub loss: f64,
    /// The part of the datagrams that arrives twice, 0.0 to 1.0. Default 0.
    pub duplicate: f64,
    cuts: Vec<Cut>,
    rng: ChaCha8Rng,
}

/// Datagrams of these machines to those are lost, or kept back.
#[derive(Clone, Debug)]
struct Cut {
    from: Side,
    to: Side,
    hold: bool,
}

#[derive(Clone, Debug)]
enum Side {
    Among(BTreeSet<String>),
    NotAmong(BTreeSet<String>),
}

impl Side {
    fn has(&self, label: &str) -> bool {
        match self {
            Self::Among(labels) => labels.contains(label),
            Self::NotAmong(labels) => !labels.contains(label),
        }
    }
}

/// What becomes of one datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// Kept until the network is healed.
    Held,
    /// It arrives after so long, possibly twice.
    Arrives(Duration, Option<Duration>),
}

impl Network {
    pub(crate) const fn new(rng: ChaCha8Rng) -> Self {
        Self {
            latency_min: micros(200),
            latency_max: millis(2),
            loss: 0.0,
            duplicate: 0.0,
            cuts: Vec::new(),
            rng,
        }
    }

    /// Cuts `inside` off from all others, both ways, besides what is cut already.
    pub fn partition(&mut self, inside: &[&str]) {
        self.cut_off(inside, false);
    }

    /// Loses what goes from `from` to `to`; the way back stays open.
    pub fn partition_oneway(&mut self, from: &[&str], to: &[&str]) {
        let (from, to) = (Side::Among(set(from)), Side::Among(set(to)));
        self.cuts.push(Cut { from, to, hold: false });
    }

    /// Keeps back all datagrams between `inside` and the others until the network is healed.
    pub fn hold(&mut self, inside: &[&str]) {
        self.cut_off(inside, true);
    }

    pub(crate) fn remove_cuts(&mut self) {
        self.cuts.clear();
    }

    fn cut_off(&mut self, inside: &[&str], hold: bool) {
        let (inside, outside) = (Side::Among(set(inside)), Side::NotAmong(set(inside)));
        self.cuts.push(Cut { from: inside.clone(), to: outside.clone(), hold });
        self.cuts.push(Cut { from: outside, to: inside, hold });
    }

    pub(crate) fn fate(&mut self, from: &str, to: &str) -> Fate {
        let cut = |hold: bool, cuts: &[Cut]| {
            cuts.iter().any(|cut| cut.hold == hold && cut.from.has(from) && cut.to.has(to))
        };
        if cut(false, &self.cuts) {
            return Fate::Lost;
        }
        if cut(true, &self.cuts) {
            return Fate::Held;
        }
        if self.chance(self.loss) {
            return Fate::Lost;
        }
        let first = self.latency();
        let second = self.chance(self.duplicate).then(|| self.latency());
        Fate::Arrives(first, second)
    }

    pub(crate) fn latency(&mut self) -> Duration {
        self.rng.random_range(self.latency_min..=self.latency_max)
    }

    fn chance(&mut self, part: f64) -> bool {
        part > 0.0 && self.rng.random_bool(part.min(1.0))
    }
}

fn set(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(|&label| label.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn network() -> Network {
        Network::new(ChaCha8Rng::seed_from_u64(1))
    }

    fn arrives(network: &mut Network, from: &str, to: &str) -> bool {
        matches!(network.fate(from, to), Fate::Arrives(..))
    }

    #[test]
    fn a_partition_cuts_both_ways_and_leaves_each_side_whole() {
        let mut network = network();
        network.partition(&["a", "b"]);
        assert!(arrives(&mut network, "a", "b") && arrives(&mut network, "c", "d"));
        assert!(!arrives(&mut network, "a", "c") && !arrives(&mut network, "c", "a"));
        network.remove_cuts();
        assert!(arrives(&mut network, "a", "c"));
    }

    #[test]
    fn a_one_way_cut_leaves_the_way_back_open() {
        let mut network = network();
        network.partition_oneway(&["a"], &["b"]);
        assert!(!arrives(&mut network, "a", "b") && arrives(&mut network, "b", "a"));
    }

    #[test]
    fn loss_and_duplication_come_about_as_often_as_asked() {
        let mut network = network();
        (network.loss, network.duplicate) = (0.2, 0.5);
        let fates: Vec<Fate> = (0..10_000).map(|_| network.fate("a", "b")).collect();
        let lost = fates.iter().filter(|&fate| *fate == Fate::Lost).count();
        let twice = fates.iter().filter(|fate| matches!(fate, Fate::Arrives(_, Some(_)))).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!((3_700..4_300).contains(&twice), "{twice}");
    }
}
