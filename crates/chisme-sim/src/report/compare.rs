//! The product beside the baseline: for each scenario and point what came of both.
//!
//! It knows outcomes and their figures, not how they are shown.

use std::collections::BTreeMap;

use crate::outcome::{Outcome, Verdict};
use crate::scenario::DetectorMode;
use crate::sweep::Summary;

/// What came of all seeds at one point of a scenario's grid.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// The name of the scenario.
    pub scenario: &'a str,
    /// The other parameters of the grid; the detector is none.
    pub point: BTreeMap<&'a str, &'a toml::Value>,
    /// With the node of production; none if no run was of it.
    pub chisme: Option<Summary>,
    /// With foca as it comes, on the same network; none if no run was of it.
    pub baseline: Option<Summary>,
    /// What the product missed in any of these runs, known or not.
    pub missed: Vec<&'a str>,
}

/// Each point of each scenario once, in the order in which their first runs come.
pub fn compare(outcomes: &[Outcome]) -> Vec<Comparison<'_>> {
    type Key<'a> = (&'a str, BTreeMap<&'a str, &'a toml::Value>);
    let mut rows: Vec<(Key<'_>, Vec<&Outcome>)> = Vec::new();
    for outcome in outcomes {
        let point = outcome.point.iter().map(|(name, value)| (name.as_str(), value));
        let key: Key<'_> =
            (&outcome.scenario, point.filter(|(name, _)| *name != "detector").collect());
        // Mostly the last one: runs come by point.
        match rows.iter_mut().rev().find(|(other, _)| *other == key) {
            Some((_, runs)) => runs.push(outcome),
            None => rows.push((key, vec![outcome])),
        }
    }
    rows.into_iter().map(|(key, runs)| Comparison::of(key, &runs)).collect()
}

impl<'a> Comparison<'a> {
    fn of(key: (&'a str, BTreeMap<&'a str, &'a toml::Value>), runs: &[&'a Outcome]) -> Self {
        let of = |detector| -> Vec<&'a Outcome> {
            runs.iter().copied().filter(|run| run.detector == detector).collect()
        };
        let summary = |runs: &[&Outcome]| (!runs.is_empty()).then(|| Summary::of(runs));
        let (chisme, baseline) = (of(DetectorMode::Chisme), of(DetectorMode::Baseline));
        let mut missed = Vec::new();
        for run in &chisme {
            let lines = run.expectations.iter().filter(|line| !line.met);
            let live = matches!(run.verdict, Verdict::NotLive(_)).then_some("liveness");
            for name in lines.map(|line| line.what.as_str()).chain(live) {
                if !missed.contains(&name) {
                    missed.push(name);
                }
            }
        }
        Self {
            scenario: key.0,
            point: key.1,
            chisme: summary(&chisme),
            baseline: summary(&baseline),
            missed,
        }
    }

    /// The product's figures; of a baseline that ran alone those.
    pub fn first(&self) -> &Summary {
        let one = self.chisme.as_ref().or(self.baseline.as_ref());
        one.expect("a point has at least one run")
    }

    /// The baseline's, if there is something to compare them with.
    pub fn second(&self) -> Option<&Summary> {
        self.baseline.as_ref().filter(|_| self.chisme.is_some())
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn both_detectors_stand_in_one_row_wherever_their_runs_are() {
        let mut outcomes = sample::sweep();
        // As a grid writes it, and with all runs of the baseline behind the others.
        outcomes.sort_by_key(|run| run.detector == DetectorMode::Baseline);
        for run in &mut outcomes {
            let name = if run.detector == DetectorMode::Chisme { "chisme" } else { "baseline" };
            run.point.insert("detector".to_owned(), toml::Value::String(name.to_owned()));
        }
        let baseline = &mut outcomes[4].figures;
        baseline.false_downs = 7;
        let rows = compare(&outcomes);
        assert_eq!(rows.len(), 2);
        for row in &rows {
            assert_eq!(row.point.keys().collect::<Vec<_>>(), [&"nodes.count"]);
            assert_eq!((row.first().runs, row.second().map(|other| other.runs)), (2, Some(2)));
            assert_eq!(row.missed, ["false_downs"]);
        }
        let second: Vec<Option<u64>> =
            rows.iter().map(|row| row.second().map(|other| other.false_downs)).collect();
        assert_eq!((rows[0].first().false_downs, second), (0, vec![Some(7), Some(0)]));
        let alone = &outcomes[4..];
        assert!(compare(alone)[0].second().is_none() && compare(alone)[0].first().runs == 2);
    }
}
