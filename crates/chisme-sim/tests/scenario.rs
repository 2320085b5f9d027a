//! Scenarios run, repeat exactly, and say what is wrong with their file.

use std::collections::BTreeMap;

use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, run};

const SPLIT: &str = r#"
why = "A cut heals."
expected = "One view again."
source = "none"

[nodes]
count = 8

[[fault]]
at = "5s"
for = "20s"
cut = { off = "half" }
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_run_repeats_exactly() {
    let scenario = scenario(SPLIT);
    let runs = [7, 7, 8].map(|seed| run(&scenario, &BTreeMap::new(), seed, &Keep::default()));
    assert_eq!(runs[0].verdict, Verdict::Passed);
    assert_eq!(runs[0].hash, runs[1].hash);
    assert_ne!(runs[0].hash, runs[2].hash);
}

#[test]
fn a_fault_begins_again_as_often_as_the_file_says() {
    let with = |more: &str| Scenario::parse("test", &format!("{SPLIT}{more}\n"));
    let scenario = with("again = { times = 2, pause = '3s' }").expect("it is right");
    let begins: Vec<u64> = scenario.faults.iter().map(|fault| fault.at.as_secs()).collect();
    assert_eq!(begins, [5, 28, 51]);
    let endless = SPLIT.replace("for = \"20s\"", "again = { times = 1, pause = '1s' }");
    let error = Scenario::parse("test", &endless).expect_err("it never ends").to_string();
    assert!(error.contains("`for`"), "{error}");
    assert!(with("again = { times = 1001, pause = '1s' }").is_err());
    let attack = "attack = { nodes = 'all', kind = 'flood', rate = 1 }";
    let endless = SPLIT.replace("for = \"20s\"", "").replace("cut = { off = \"half\" }", attack);
    let error = Scenario::parse("test", &endless).expect_err("it never ends").to_string();
    assert!(error.contains("an attack must end"), "{error}");
}

#[test]
fn axes_name_parameters_and_figures_that_there_are() {
    let with = |axes: &str| {
        let text = format!("axes = {axes}\n{SPLIT}\n[grid]\n'nodes.count' = [6, 8]\n");
        Scenario::parse("test", &text)
    };
    assert!(with("['nodes.count', 'detection.p50']").is_ok());
    let error = with("['nodes.cuont']").expect_err("no such parameter").to_string();
    assert!(error.contains("nodes.cuont") && error.contains("false_downs"), "{error}");
}

#[test]
fn what_is_wrong_with_a_file_is_named_with_its_line() {
    for (wrong, names) in [("latency = 3", "latency"), ("loss = 1.5", "loss"), ("los = 0.5", "los")]
    {
        let text = format!("{SPLIT}\n[network]\n{wrong}\n");
        let error = Scenario::parse("test", &text).expect_err(wrong).to_string();
        assert!(error.contains(names), "{error}");
    }
    let error =
        Scenario::parse("test", &SPLIT.replace("half", "haf")).expect_err("haf").to_string();
    assert!(error.contains("line 12") && error.contains("\"haf\""), "{error}");
}
