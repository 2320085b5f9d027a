//! How an embedder makes a cluster, and runs a test with many of them.
//!
//! It knows only the public face of [`Cluster`].

use std::time::Duration;

use crate::cluster::Cluster;
use crate::host::Setup;
use crate::network::{in_order, part_of_all};
use crate::replay;
use crate::secs;

/// How long a cluster may take to form on a network that loses nothing.
const FORMS_WITHIN: Duration = secs(30);

/// A change of how a node is configured, by its number.
type Configure<'a> = Box<dyn Fn(usize, &mut Setup) + 'a>;

/// A cluster to be. [`Cluster::builder`] makes one.
///
/// ```
/// use chisme_sim::{Cluster, millis};
///
/// let cluster = Cluster::builder()
///     .nodes(5)
///     .seed(7)
///     .latency(millis(10), millis(40))
///     .configure(|_, setup| setup.detector.suspicion_timeout = millis(3_000))
///     .formed();
/// assert_eq!(cluster.view_of("n3").len(), 5);
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<'a> {
    nodes: usize,
    seed: u64,
    seeds: Vec<String>,
    latency: Option<(Duration, Duration)>,
    loss: f64,
    duplicate: f64,
    configure: Option<Configure<'a>>,
}

impl Cluster {
    /// Starts to describe a cluster: three nodes, seed 0, `n0` for their seed, and a network that
    /// loses nothing and takes 0.2 to 2 ms, unless the builder is told otherwise.
    pub fn builder() -> Builder<'static> {
        Builder {
            nodes: 3,
            seed: 0,
            seeds: vec!["n0".to_owned()],
            latency: None,
            loss: 0.0,
            duplicate: 0.0,
            configure: None,
        }
    }
}

impl<'a> Builder<'a> {
    /// How many nodes there are: `n0`, `n1` and so on.
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// What all chance comes from: the same seed and the same calls give the same run.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The nodes that a look-up of the seeds gives, there already or yet to come.
    pub fn seeds(mut self, labels: &[&str]) -> Self {
        self.seeds = labels.iter().map(|&label| label.to_owned()).collect();
        self
    }

    /// How long datagrams take, at least and at most; panics if the most is less than the least.
    pub fn latency(mut self, least: Duration, most: Duration) -> Self {
        in_order(least, most);
        self.latency = Some((least, most));
        self
    }

    /// The part of all datagrams that is lost, 0.0 to 1.0; panics if it is anything else.
    pub fn loss(mut self, part: f64) -> Self {
        self.loss = part_of_all("loss", part);
        self
    }

    /// The part of all datagrams that arrives twice, 0.0 to 1.0; panics if it is anything else.
    pub fn duplicate(mut self, part: f64) -> Self {
        self.duplicate = part_of_all("duplicate", part);
        self
    }

    /// Changes how nodes are configured: called with the number of each before it starts.
    pub fn configure<'b>(self, change: impl Fn(usize, &mut Setup) + 'b) -> Builder<'b>
    where
        'a: 'b,
    {
        Builder { configure: Some(Box::new(change)), ..self }
    }

    /// Starts all nodes at once. They do not know each other yet.
    pub fn build(&self) -> Cluster {
        self.build_with(self.seed)
    }

    /// Starts all nodes and lets time pass until each sees all others, which must be within 30 s.
    pub fn formed(&self) -> Cluster {
        let mut cluster = self.build();
        cluster.expect_complete_within(FORMS_WITHIN);
        cluster
    }

    /// Starts all nodes and tells each of all others, as if a member had: a cluster at rest without
    /// the work of forming it, for clusters that are too large to be formed in reasonable time.
    ///
    /// It takes no virtual time. The members are taken in by the path of any news
    /// ([`Command::Assume`](chisme_proto::Command::Assume)), only no datagram brings it and nobody
    /// passes it on, so no replay window is open yet. Each node probes for the first time after a
    /// random part of its period. The records do not have the events that told of it.
    pub fn acquainted(&self) -> Cluster {
        let mut cluster = self.build();
        cluster.acquaint();
        cluster
    }

    /// Runs a test with a formed cluster of this kind for each seed.
    ///
    /// A panic in the test fails it; the seed is printed with it, and the command that runs the
    /// present test again with that seed alone. That command sets `CHISME_SIM_SEED`, which goes
    /// before `seeds`.
    ///
    /// ```
    /// use chisme_sim::{Cluster, secs};
    ///
    /// Cluster::builder().nodes(5).check(0..10, |cluster| {
    ///     cluster.crash("n4");
    ///     cluster.expect_view_within(secs(15), "n0", &["n0", "n1", "n2", "n3"]);
    /// });
    /// ```
    pub fn check(&self, seeds: impl IntoIterator<Item = u64>, test: impl Fn(&mut Cluster)) {
        for seed in replay::chosen(seeds) {
            let mut cluster = self.build_with(seed);
            cluster.expect_complete_within(FORMS_WITHIN);
            test(&mut cluster);
        }
    }

    fn build_with(&self, seed: u64) -> Cluster {
        let mut cluster = Cluster::new(seed);
        cluster.seed_with(&self.seeds.iter().map(String::as_str).collect::<Vec<_>>());
        cluster.loss(self.loss);
        cluster.network().duplicate = self.duplicate;
        if let Some((least, most)) = self.latency {
            cluster.network().latency_min = least;
            cluster.network().latency_max = most;
        }
        for number in 0..self.nodes {
            let label = format!("n{number}");
            let setup = cluster.setup(&label);
            if let Some(configure) = &self.configure {
                configure(number, setup);
            }
            cluster.start(&label);
        }
        cluster
    }
}

/// Runs a test in an empty world for each seed: the test starts what it needs.
///
/// As with [`Builder::check`], a failure prints its seed and the command that runs it again.
///
/// ```
/// use chisme_sim::{check, secs};
///
/// check(0..10, |cluster| {
///     cluster.start("n0");
///     cluster.run_for(secs(3)); // it is alone for a while
///     cluster.start("n1");
///     cluster.expect_view_within(secs(10), "n0", &["n0", "n1"]);
/// });
/// ```
pub fn check(seeds: impl IntoIterator<Item = u64>, test: impl Fn(&mut Cluster)) {
    for seed in replay::chosen(seeds) {
        test(&mut Cluster::new(seed));
    }
}
