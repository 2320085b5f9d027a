//! The runs of a sweep by what they have in common: one group for each point and detector.

use std::collections::BTreeMap;

use crate::outcome::{Outcome, Verdict};
use crate::scenario::DetectorMode;

/// Runs that differ in their seeds only.
pub(crate) struct Group<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) point: &'a BTreeMap<String, toml::Value>,
    pub(crate) detector: DetectorMode,
    pub(crate) runs: Vec<&'a Outcome>,
}

/// All groups, in the order in which their first runs come.
pub(crate) fn of(outcomes: &[Outcome]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for outcome in outcomes {
        let same = |group: &&mut Group<'_>| {
            group.scenario == outcome.scenario
                && group.detector == outcome.detector
                && group.point == &outcome.point
        };
        // Mostly the last one: runs come by point.
        match groups.iter_mut().rev().find(same) {
            Some(group) => group.runs.push(outcome),
            None => groups.push(Group {
                scenario: &outcome.scenario,
                point: &outcome.point,
                detector: outcome.detector,
                runs: vec![outcome],
            }),
        }
    }
    groups
}

/// The scenarios, in the order in which their first runs come.
pub(crate) fn scenarios(outcomes: &[Outcome]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if names.last() != Some(&outcome.scenario.as_str())
            && !names.contains(&outcome.scenario.as_str())
        {
            names.push(&outcome.scenario);
        }
    }
    names
}

/// The run whose story is told: of those that have one the worst, the first of equals.
pub(crate) fn told(outcomes: &[Outcome]) -> Option<&Outcome> {
    let badness = |outcome: &Outcome| (outcome.is_failure(), outcome.verdict.exit_status());
    let stories = outcomes.iter().filter(|outcome| outcome.story.is_some());
    stories.reduce(|worst, one| if badness(one) > badness(worst) { one } else { worst })
}

/// The verdict's name in JSON.
pub(crate) const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Unexpected(_) => "unexpected",
        Verdict::NotLive(_) => "not_live",
        Verdict::Unsafe(_) => "unsafe",
        Verdict::Crashed(_) => "crashed",
        Verdict::Harness(_) => "harness",
    }
}

/// A value of a parameter, as it stands in a file but without the quotes.
pub(crate) fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
