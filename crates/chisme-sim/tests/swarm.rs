//! Scenarios made up by chance: whatever comes, no rule is broken, and the views become whole.

use std::collections::BTreeMap;

use chisme_sim::outcome::Verdict;
use chisme_sim::{Keep, run, seeds, swarm};

#[test]
fn whatever_is_drawn_is_survived() {
    for seed in seeds(60) {
        let outcome = run(&swarm(seed), &BTreeMap::new(), seed, &Keep::default());
        assert_eq!(outcome.verdict, Verdict::Passed, "seed {seed}");
    }
}
