//! Members that read everything late, as processes do that get too little of their processor.

use std::collections::BTreeMap;

use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, run, seeds};

const LATE: &str = r#"
why = "Some read late."
expected = "Nobody is called Down."
source = "kinship's README"
quiet = "10s"

[nodes]
count = 64

[network]
loss = 0.05

[[fault]]
at = "2s"
for = "120s"
link = { from = "all", to = "random(12)", is = { latency = { min = "500ms", max = "2500ms" }, loss = 0.05 } }

[expect]
downs = 0
life_changes = 0
"#;

#[test]
fn whoever_answers_late_is_not_called_down_nor_calls_others_down() {
    let scenario = Scenario::parse("late", LATE).unwrap_or_else(|error| panic!("{error}"));
    for seed in seeds(4) {
        let outcome = run(&scenario, &BTreeMap::new(), seed, &Keep::default());
        let figures = &outcome.figures;
        assert_eq!(outcome.verdict, Verdict::Passed);
        assert_eq!((figures.downs, figures.life_changes), (0, 0), "seed {seed}");
    }
}
