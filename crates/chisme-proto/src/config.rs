//! What an embedder may set, with its defaults and ranges.

use std::time::Duration;

use crate::{ClusterName, Endpoints, KeyRing, Record, RecordError, Roster};

/// What is done more often than this leaves no time for anything else.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The settings of a node. [`Config::new`] gives the defaults for a local network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The cluster that the node belongs to; part of the key, so other clusters meet silence.
    pub cluster: ClusterName,
    /// The keys made of the cookie and the cluster's name.
    pub keys: KeyRing,
    /// The protocol versions that this node speaks.
    pub versions: VersionRange,
    /// How failures are looked for.
    pub detector: Detector,
    /// How often seeds are asked for.
    pub seeds: SeedCadence,
    /// Whether the advertised endpoint was guessed: it is then corrected by what the first contact
    /// says it sees, as long as the guess is a loopback address or missing.
    pub endpoint_is_guess: bool,
    /// The most members that the node holds up, itself aside; tombstones have a bound of their own.
    /// Default 65,536, at least 1.
    pub max_members: usize,
    /// What the node says of itself from its start on. Default nothing.
    pub record: Record,
    /// Where the node keeps the names and endpoints of its members together with other nodes of this
    /// process. Default none: they are its own.
    pub roster: Option<Roster>,
}

impl Config {
    /// The defaults for a local network.
    pub fn new(cluster: ClusterName, keys: KeyRing) -> Self {
        Self {
            cluster,
            keys,
            versions: VersionRange::default(),
            detector: Detector::default(),
            seeds: SeedCadence::default(),
            endpoint_is_guess: false,
            max_members: 65_536,
            record: Record::default(),
            roster: None,
        }
    }

    /// Checks that the settings can work together.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting and its allowed range; nothing else has happened.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let d = &self.detector;
        if d.probe_period < SHORTEST_PERIOD {
            return Err(ConfigError::ProbePeriod(d.probe_period));
        }
        if d.probe_timeout.is_zero() || d.probe_timeout > d.probe_period / 2 {
            return Err(ConfigError::ProbeTimeout {
                timeout: d.probe_timeout,
                period: d.probe_period,
            });
        }
        if d.suspicion_timeout < d.probe_timeout {
            return Err(ConfigError::SuspicionTimeout {
                suspicion: d.suspicion_timeout,
                timeout: d.probe_timeout,
            });
        }
        if d.reprobe_period > Duration::ZERO && d.reprobe_period < SHORTEST_PERIOD {
            return Err(ConfigError::ReprobePeriod(d.reprobe_period));
        }
        if d.gossip_period < SHORTEST_PERIOD {
            return Err(ConfigError::GossipPeriod(d.gossip_period));
        }
        if self.max_members == 0 {
            return Err(ConfigError::MaxMembers);
        }
        let s = &self.seeds;
        if s.alone_min.min(s.alone_max).min(s.in_company) < SHORTEST_PERIOD {
            return Err(ConfigError::SeedCadence(s.clone()));
        }
        self.record.check()?;
        if self.versions.min > self.versions.max {
            return Err(ConfigError::Versions(self.versions));
        }
        Ok(())
    }
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Shorter than a network answers.
    #[error("probe_period is {0:?}; it must be at least 10 ms")]
    ProbePeriod(Duration),
    /// The indirect probes need the other half of the period.
    #[error(
        "probe_timeout is {timeout:?}; it must be above zero and at most half of probe_period, which is {period:?}"
    )]
    ProbeTimeout {
        /// What was set.
        timeout: Duration,
        /// The period that it must fit in.
        period: Duration,
    },
    /// A suspicion needs time to be refuted.
    #[error(
        "suspicion_timeout is {suspicion:?}; it must be at least probe_timeout, which is {timeout:?}"
    )]
    SuspicionTimeout {
        /// What was set.
        suspicion: Duration,
        /// The least that it can be.
        timeout: Duration,
    },
    /// More often is no better.
    #[error("reprobe_period is {0:?}; it must be zero (never) or at least 10 ms")]
    ReprobePeriod(Duration),
    /// A period of nothing would never end.
    #[error("gossip_period is {0:?}; it must be at least 10 ms")]
    GossipPeriod(Duration),
    /// Whoever sees nobody is no member of anything.
    #[error("max_members is 0; it must be at least 1, which is room for one other")]
    MaxMembers,
    /// A wait of nothing would never end.
    #[error(
        "the waits between two look-ups of the seeds are {:?} and {:?} alone and {:?} in company; each must be at least 10 ms",
        .0.alone_min, .0.alone_max, .0.in_company
    )]
    SeedCadence(SeedCadence),
    /// Peers could not reach the node.
    #[error(
        "the endpoints {0} cannot be sent to: an address and a port other than zero are needed"
    )]
    Endpoints(Endpoints),
    /// Tags or services that others would not take.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An empty range.
    #[error("versions: {} is above {}", .0.min, .0.max)]
    Versions(VersionRange),
}

/// How failures are looked for: SWIM's parameters (Das, Gupta, Motivala 2002, §3 and §4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detector {
    /// One member is probed in each period. Default 1 s, at least 10 ms.
    pub probe_period: Duration,
    /// How long a direct probe waits before others are asked to probe. Default 500 ms.
    pub probe_timeout: Duration,
    /// How many others are asked (SWIM's k). Default 3.
    pub indirect_probes: u8,
    /// How long a suspicion lasts that a failed probe began. Default 2.25 s: with the period before
    /// it, a process that is frozen for 3 s can still refute it. At least `probe_timeout`.
    pub suspicion_timeout: Duration,
    /// How many times as long it lasts while nobody confirms it: `suspicion_timeout` is reached when
    /// all relays of the failed probe say that they could not reach the member either (Lifeguard,
    /// §IV-B). Default 5; 1 is no longer.
    pub suspicion_stretch: u32,
    /// The worst score of local health: so many times longer, and once more, are period and timeout of a
    /// node that misses what others get (Lifeguard, §IV-A, where it is 8). Default 0, which is never:
    /// where readers stall it halves the suspicions, but it delays detection by a fifth when a quarter of
    /// the members stall and on either side of a partition, and whoever felt ill in a short cut still
    /// spreads suspicions after it (simulations/README.md has the figures).
    pub local_health: u8,
    /// How often a member that failed our own probe is asked directly, until the suspicion is over.
    /// Default 125 ms, at least 10 ms; zero is never.
    pub reprobe_period: Duration,
    /// How often an unanswered Ping is sent again before its period ends: after as long as answers
    /// usually take (RFC 6298), then after twice as long each time, but at most 125 ms. Default 8;
    /// zero is never.
    pub probe_retransmissions: u8,
    /// How many questions in a row the host of a member must turn away, because no process listens
    /// there, until the member is Down; any answer, also by way of another member, begins anew. Only a
    /// driver that hears of that can use it. Default 3; zero is never.
    pub refusals: u8,
    /// Whether a relay that cannot reach whom it was asked about says so, at 80 % of the time that is left
    /// of the probe (Lifeguard, §IV-A). Default yes.
    pub nacks: bool,
    /// Whether whoever hears of a suspicion has a timer of its own for it, and asks the suspect when nothing
    /// has come of it: should the accuser die, detection does not begin anew. Default yes.
    pub overhear: bool,
    /// Whether whoever sends to a member that it suspects tells it so first (Lifeguard, §IV-C).
    /// Default yes.
    pub buddy: bool,
    /// How often rumours of who is up are sent on their own; those of suspicions wait eight times as long for a
    /// datagram that goes anyway. Default 100 ms, at least 10 ms.
    pub gossip_period: Duration,
}

impl Detector {
    /// The pause between two questions to the same member, also where re-probing is switched off.
    pub(crate) fn reprobe_pause(&self) -> Duration {
        let usual = if self.reprobe_period.is_zero() {
            self.probe_timeout / 4
        } else {
            self.reprobe_period
        };
        usual.max(SHORTEST_PERIOD)
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            probe_period: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            indirect_probes: 3,
            suspicion_timeout: Duration::from_millis(2_250),
            suspicion_stretch: 5,
            local_health: 0,
            reprobe_period: Duration::from_millis(125),
            probe_retransmissions: 8,
            refusals: 3,
            nacks: true,
            overhear: true,
            buddy: true,
            gossip_period: Duration::from_millis(100),
        }
    }
}

/// How often a node asks for its seeds; each wait is at least 10 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeedCadence {
    /// The first wait of a node that sees nobody. Default 1 s.
    pub alone_min: Duration,
    /// Where the doubling of that wait ends. Default 15 s.
    pub alone_max: Duration,
    /// The wait of a node that has company, spread by a quarter either way. Default 60 s.
    pub in_company: Duration,
}

impl Default for SeedCadence {
    fn default() -> Self {
        Self {
            alone_min: Duration::from_secs(1),
            alone_max: Duration::from_secs(15),
            in_company: Duration::from_secs(60),
        }
    }
}

/// The protocol versions that a node speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest.
    pub min: u8,
    /// The newest.
    pub max: u8,
}

impl VersionRange {
    /// The newest version that both speak, if there is one.
    pub fn common(self, other: Self) -> Option<u8> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

impl Default for VersionRange {
    fn default() -> Self {
        Self { min: 1, max: 1 }
    }
}

impl std::fmt::Display for VersionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cookie, StretchedCookie};

    fn checked(change: impl Fn(&mut Config)) -> Result<(), ConfigError> {
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        let cluster = ClusterName::default();
        let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
        let mut config = Config::new(cluster, keys);
        change(&mut config);
        config.validate()
    }

    #[test]
    fn periods_that_would_never_end_or_never_begin_are_refused() {
        assert_eq!(checked(|_| {}), Ok(()));
        let none = Duration::ZERO;
        assert!(checked(|c| c.detector.probe_period = none).is_err());
        assert!(checked(|c| c.detector.probe_timeout = none).is_err());
        assert!(checked(|c| c.detector.probe_timeout = Duration::MAX).is_err());
        assert!(checked(|c| c.detector.gossip_period = none).is_err());
        assert!(checked(|c| c.seeds.alone_min = none).is_err());
        assert!(checked(|c| c.seeds.alone_max = none).is_err());
        assert!(checked(|c| c.seeds.in_company = none).is_err());
    }
}
