//! Members that read everything late, as processes do that get too little of their processor.

use std::collections::BTreeMap;

use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, run, seeds};

/// So many members, of whom `late` read everything so late: nobody is called Down.
fn assert_ridden_out(late: &str, latency: &str, loss: f64, tries: u64) {
    let text = format!(
        r#"
        why = "Some read late."
        expected = "Nobody is called Down."
        source = "kinship's README"
        quiet = "10s"

        [nodes]
        count = 32

        [network]
        loss = {loss}

        [[fault]]
        at = "2s"
        for = "120s"
        link = {{ from = "all", to = "{late}", is = {{ latency = {latency}, loss = {loss} }} }}

        [expect]
        downs = 0
        life_changes = 0
        "#
    );
    let scenario = Scenario::parse("late", &text).unwrap_or_else(|error| panic!("{error}"));
    for seed in seeds(tries) {
        let outcome = run(&scenario, &BTreeMap::new(), seed, &Keep::default());
        let figures = &outcome.figures;
        assert_eq!((figures.downs, figures.life_changes), (0, 0), "seed {seed}");
        assert_eq!(outcome.verdict, Verdict::Passed, "seed {seed}");
    }
}

#[test]
fn whoever_answers_late_is_not_called_down_nor_calls_others_down() {
    assert_ridden_out("first(6)", r#"{ min = "500ms", max = "2500ms" }"#, 0.05, 4);
}

// The probe fails after one second and the suspicion ends 2.25 s later. The accusation is read 0.15 s
// after that, the last copy of the probe 0.85 s before.
#[test]
fn an_answer_to_the_failed_probe_makes_time_for_the_refutation() {
    assert_ridden_out("first(1)", r#""2400ms""#, 0.0, 4);
}

// Between two of them even that answer comes too late: 3.8 s after the probe. That all others answer
// late tells the accuser that it is late itself.
#[test]
fn whoever_reads_late_waits_longer() {
    assert_ridden_out("first(4)", r#""1900ms""#, 0.0, 4);
}
