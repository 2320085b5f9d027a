//! What must come of all seeds of a point together, held against what came.

use serde::Serialize;

use crate::expect;
use crate::outcome::{Expectation, Verdict};
use crate::scenario::{DetectorMode, Scenario, Target};
use crate::sweep::{Point, Results};

/// The targets of a scenario at one point of its grid.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The scenario.
    pub scenario: String,
    /// Values of its parameters.
    pub point: Point,
    /// How many runs there were.
    pub runs: usize,
    /// What is wanted of all of them together, with what came.
    pub expectations: Vec<Expectation>,
}

/// Holds the results of a sweep against the targets of its scenario. Those of a point of which fewer seeds have run
/// than the scenario names are not judged, nor is the baseline.
pub fn judge_targets(scenario: &Scenario, results: &[Results]) -> Vec<Judged> {
    let enough = scenario.seeds.clone().count();
    let judge = |results: &Results| {
        let ours = results.runs.iter().all(|run| run.detector == DetectorMode::Chisme);
        let here = scenario.targets.iter().filter(|target| applies(target, scenario, results));
        let summary = results.summary();
        let expectations: Vec<Expectation> =
            here.flat_map(|target| expect::lines(&target.expect, &summary)).collect();
        let judged = ours && results.runs.len() >= enough && !expectations.is_empty();
        judged.then(|| Judged {
            scenario: scenario.name.clone(),
            point: results.point.clone(),
            runs: results.runs.len(),
            expectations,
        })
    };
    results.iter().filter_map(judge).collect()
}

/// A parameter that is not varied has its value in the file.
fn applies(target: &Target, scenario: &Scenario, results: &Results) -> bool {
    let value = |key| results.point.get(key).or_else(|| scenario.setting(key));
    target.at.iter().all(|(key, wanted)| value(key) == Some(wanted))
}

impl Judged {
    /// What is missed, or passed.
    pub fn verdict(&self) -> Verdict {
        let missed: Vec<String> =
            self.expectations.iter().filter(|line| !line.met).map(expect::tell).collect();
        if missed.is_empty() {
            return Verdict::Passed;
        }
        Verdict::Unexpected(format!("{}: {}", self.place(), missed.join("; ")))
    }

    /// `crash nodes.count=6, 50 runs`
    pub fn place(&self) -> String {
        let parameters = self.point.iter().map(|(key, value)| format!(" {key}={value}"));
        let place: String = std::iter::once(self.scenario.clone()).chain(parameters).collect();
        format!("{place}, {} runs", self.runs)
    }
}
