//! What a scenario expects, held against what was measured.
//!
//! It knows figures and nothing of how they came about.

use std::time::Duration;

use crate::outcome::{Expectation, Figures, Verdict};
use crate::scenario::{Expect, Quantiles, Scenario};
use crate::sweep::Summary;

/// What the product may be known to miss besides the lines of `[expect]`.
pub(crate) const FORMED: &str = "formed";
pub(crate) const CONVERGED: &str = "converged";
pub(crate) const QUIET: &str = "quiet";

/// Each expectation of a scenario with what came.
pub(crate) fn judge(scenario: &Scenario, figures: &Figures) -> Vec<Expectation> {
    let lines = demands(scenario, &Summary::of_figures(&[figures]), &figures.lives).into_iter();
    lines
        .map(|line| Expectation { known_miss: scenario.known_misses.contains(&line.what), ..line })
        .collect()
}

/// What every run demands and this scenario knows to be missed: with it, one can see whether it is.
pub(crate) fn known(
    scenario: &Scenario,
    converged: Option<f64>,
    quiet: Option<bool>,
) -> Vec<Expectation> {
    let liveness = scenario.liveness.as_secs_f64();
    let changes = quiet.map(|quiet| f64::from(u8::from(!quiet)));
    [(CONVERGED, liveness, converged, "s"), (QUIET, 0.0, changes, "")]
        .into_iter()
        .filter(|(what, ..)| scenario.known_misses.iter().any(|known| known == what))
        .map(|(what, wanted, got, unit)| Expectation {
            what: what.to_owned(),
            wanted,
            got,
            unit,
            met: got.is_some_and(|got| got <= wanted),
            known_miss: true,
        })
        .collect()
}

/// The first expectations that are missed although nobody knew.
pub(crate) fn verdict(expectations: &[Expectation]) -> Verdict {
    let missed: Vec<String> =
        expectations.iter().filter(|line| !line.met && !line.known_miss).map(tell).collect();
    if missed.is_empty() { Verdict::Passed } else { Verdict::Unexpected(missed.join("; ")) }
}

pub(crate) fn tell(line: &Expectation) -> String {
    let Expectation { what, wanted, unit, .. } = line;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    match line.got {
        Some(got) => format!("{what} is {}{unit}, not at most {wanted}{unit}", short(got)),
        None => format!("{what}: there was nothing to measure"),
    }
}

/// With three decimals at most.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// All that may stand in `known_misses` of a scenario.
pub(crate) fn names(scenario: &Scenario) -> Vec<String> {
    let lines = demands(scenario, &Summary::default(), &[]).into_iter().map(|line| line.what);
    lines.chain([CONVERGED, QUIET].map(str::to_owned)).collect()
}

/// What one run of a scenario must come to. `lives` are the new ones of each node.
fn demands(scenario: &Scenario, measured: &Summary, lives: &[u64]) -> Vec<Expectation> {
    let formed_within = scenario.nodes.formed_within;
    let formed = (!formed_within.is_zero())
        .then(|| line(FORMED, formed_within.as_secs_f64(), measured.formed, "s"));
    let groups = scenario.expect.groups_with_limits(&scenario.nodes);
    let groups = groups.map(|(group, members, most)| {
        let got: u64 = members.iter().filter_map(|&node| lives.get(node)).sum();
        line(&format!("life_changes.{group}"), most as f64, Some(got as f64), "")
    });
    formed.into_iter().chain(lines(&scenario.expect, measured)).chain(groups).collect()
}

fn line(what: &str, wanted: f64, got: Option<f64>, unit: &'static str) -> Expectation {
    let met = got.is_some_and(|got| got <= wanted);
    Expectation { what: what.to_owned(), wanted, got, unit, met, known_miss: false }
}

/// Each limit, with what came.
pub(crate) fn lines(expect: &Expect, measured: &Summary) -> Vec<Expectation> {
    let mut lines = Vec::new();
    let mut add = |what: &str, wanted: Option<f64>, got: Option<f64>, unit: &'static str| {
        lines.extend(wanted.map(|wanted| line(what, wanted, got, unit)));
    };
    let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
    add("formed_within", seconds(expect.formed_within), measured.formed, "s");
    add("converged_within", seconds(expect.converged_within), measured.converged, "s");
    let times = [
        ("detection", &expect.detection, measured.detection),
        ("first_suspicion", &expect.first_suspicion, measured.first_suspicion),
        ("first_detection", &expect.first_detection, measured.first_detection),
        ("last_detection", &expect.last_detection, measured.last_detection),
    ];
    for (what, Quantiles { p50, p99, max }, got) in times {
        add(&format!("{what}.p50"), seconds(*p50), got.p50, "s");
        add(&format!("{what}.p99"), seconds(*p99), got.p99, "s");
        add(&format!("{what}.max"), seconds(*max), got.max, "s");
    }
    let counts = [
        ("false_downs", expect.false_downs, measured.false_downs),
        ("downs", expect.downs, measured.downs),
        ("false_suspicions", expect.false_suspicions, measured.false_suspicions),
        ("life_changes", expect.life_changes, measured.life_changes),
    ];
    for (what, limit, got) in counts {
        add(what, limit.map(|limit| limit as f64), Some(got as f64), "");
    }
    let (datagrams, bytes) = (measured.datagrams_per_second, measured.bytes_per_second);
    let rates = [
        ("datagrams_per_second", expect.datagrams_per_second, Some(datagrams)),
        ("bytes_per_second", expect.bytes_per_second, Some(bytes)),
        ("datagrams_in_faults", expect.datagrams_in_faults, measured.datagrams_in_faults),
        ("datagrams_at_rest", expect.datagrams_at_rest, measured.datagrams_at_rest),
        ("bytes_at_rest", expect.bytes_at_rest, measured.bytes_at_rest),
    ];
    for (what, limit, got) in rates {
        add(what, limit, got, "");
    }
    lines
}

/// The least of the values that so many of all do not exceed; none if there are none. `part` is
/// from 0.0 to 1.0.
pub(crate) fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(100.0));
        assert_eq!(quantile(&values, 0.99), Some(198.0));
        assert_eq!(quantile(&values, 1.0), Some(200.0));
        assert_eq!(quantile(&[3.0], 0.5), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    fn scenario(more: &str) -> Scenario {
        let text = format!(
            "why = ''\nexpected = ''\nsource = ''\n{more}\n[nodes]\ncount = 2\nformed_within = '0s'\n\
             [expect]\nfalse_downs = 2\ndetection = {{ p99 = '9s' }}\n"
        );
        Scenario::parse("test", &text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_missed_is_told_unless_it_is_known() {
        let mut figures = Figures { false_downs: 3, ..Figures::default() };
        let told = |scenario: &Scenario, figures: &Figures| verdict(&judge(scenario, figures));
        let Verdict::Unexpected(cause) = told(&scenario(""), &figures) else { panic!("missed") };
        assert!(cause.contains("false_downs is 3, not at most 2"), "{cause}");
        assert!(cause.contains("detection.p99: there was nothing to measure"), "{cause}");
        let known = scenario("known_misses = ['false_downs', 'detection.p99']");
        assert_eq!(told(&known, &figures), Verdict::Passed);
        figures.false_downs = 2;
        let lines = judge(&known, &figures);
        assert!(lines.iter().any(|line| line.what == "false_downs" && line.met && line.known_miss));
    }

    #[test]
    fn a_demand_that_is_known_to_be_missed_is_told_as_met_once_it_is() {
        let scenario = scenario("known_misses = ['converged', 'quiet']");
        let met = |converged, quiet| {
            let lines = known(&scenario, converged, quiet).into_iter();
            lines.map(|line| (line.what, line.met)).collect::<Vec<_>>()
        };
        let told =
            |converged, quiet| vec![(CONVERGED.to_owned(), converged), (QUIET.to_owned(), quiet)];
        assert_eq!(met(Some(3.0), Some(true)), told(true, true));
        assert_eq!(met(Some(3.0), Some(false)), told(true, false));
        assert_eq!(met(None, None), told(false, false));
    }

    #[test]
    fn only_what_is_expected_can_be_known_to_be_missed() {
        let text =
            "why = ''\nexpected = ''\nsource = ''\nknown_misses = ['downs']\n[nodes]\ncount = 2";
        let error = Scenario::parse("test", text).expect_err("not expected").to_string();
        assert!(error.contains("\"downs\"") && error.contains("quiet"), "{error}");
    }
}
