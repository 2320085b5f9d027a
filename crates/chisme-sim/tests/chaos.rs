//! Everything at random, then peace: whatever happened, the views of those who live become whole.

use chisme_sim::{Cluster, millis, secs, seeds};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const NODES: usize = 9;

struct Chaos {
    cluster: Cluster,
    rng: ChaCha8Rng,
    frozen: Vec<String>,
    moves: u16,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::of(NODES, seed);
        cluster.seed_with(&["n0", "n1", "n2"]);
        let rng = ChaCha8Rng::seed_from_u64(seed ^ 0xc4a05);
        Self { cluster, rng, frozen: Vec::new(), moves: 0 }
    }

    fn some_node(&mut self) -> String {
        format!("n{}", self.rng.random_range(0..NODES))
    }

    fn some_nodes(&mut self) -> Vec<String> {
        (0..NODES).filter(|_| self.rng.random_bool(0.4)).map(|i| format!("n{i}")).collect()
    }

    fn do_something(&mut self) {
        let node = self.some_node();
        let frozen = self.frozen.contains(&node);
        let running = self.cluster.is_running(&node);
        match self.rng.random_range(0..10) {
            0 if running => {
                self.frozen.retain(|label| *label != node);
                self.cluster.crash(&node);
            }
            1 | 2 if !running => self.cluster.start(&node),
            3 if !running => {
                self.moves += 1;
                let [high, low] = self.moves.to_be_bytes();
                self.cluster.move_to(&node, &format!("10.50.{high}.{low}:4747"));
                self.cluster.start(&node);
            }
            4 if running && !frozen => self.cluster.restart(&node),
            5 if running && !frozen => self.cluster.leave(&node),
            6 if frozen => {
                self.frozen.retain(|label| *label != node);
                self.cluster.thaw(&node);
            }
            6 if running => {
                self.cluster.freeze(&node);
                self.frozen.push(node);
            }
            7 => {
                let side = self.some_nodes();
                let side: Vec<&str> = side.iter().map(String::as_str).collect();
                self.cluster.partition(&side);
            }
            8 => self.cluster.heal(),
            9 => {
                let loss = self.rng.random_range(0..4);
                self.cluster.loss(f64::from(loss) * 0.08);
            }
            _ => {}
        }
    }

    fn peace(&mut self) {
        self.cluster.heal();
        self.cluster.loss(0.0);
        for label in std::mem::take(&mut self.frozen) {
            self.cluster.thaw(&label);
        }
        // Those who are leaving go; then all are started again.
        self.cluster.run_for(secs(2));
        for i in 0..NODES {
            let label = format!("n{i}");
            if !self.cluster.is_running(&label) {
                self.cluster.start(&label);
            }
        }
    }
}

#[test]
fn after_any_storm_comes_one_view() {
    for seed in seeds(60) {
        let mut chaos = Chaos::new(seed);
        for _ in 0..60 {
            let pause = chaos.rng.random_range(100..8_000);
            chaos.cluster.run_for(millis(pause));
            chaos.do_something();
        }
        chaos.peace();
        chaos.cluster.expect_complete_within(secs(120));
        let since = chaos.cluster.now();
        chaos.cluster.run_for(secs(120));
        chaos.cluster.assert_complete();
        chaos.cluster.assert_quiet(since, &[]);
        for label in chaos.cluster.running() {
            let counters = chaos.cluster.counters(&label);
            assert_eq!(counters.outputs_dropped, 0, "{label}: {counters:?}");
            assert_eq!(counters.swim_errors, 0, "{label}: {counters:?}");
        }
    }
}
