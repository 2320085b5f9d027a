//! A sweep: tables over the points of its grid, and the figures along each of its parameters.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::axis::Frame;
use super::compare::compare;
use super::groups::{self, Group, plain, verdict_name};
use super::tables::table;
use super::text::{escape, number, time, time_or_dash};
use crate::outcome::{Expectation, Outcome};
use crate::scenario::DetectorMode;
use crate::sweep::Summary;

/// A list of failures that is longer is not read.
const MOST_FAILURES: usize = 100;
const COLOURS: usize = 10;

/// A figure over the points.
struct Figure {
    /// As `axes` and `[expect]` call it.
    key: &'static str,
    name: &'static str,
    unit: &'static str,
    of: fn(&Summary) -> Option<f64>,
}

const fn figure(
    key: &'static str,
    name: &'static str,
    unit: &'static str,
    of: fn(&Summary) -> Option<f64>,
) -> Figure {
    Figure { key, name, unit, of }
}

const FIGURES: [Figure; 15] = [
    figure("formed", "formed after, slowest", "s", |all| all.formed),
    figure("converged", "right after the faults, slowest", "s", |all| all.converged),
    figure("first_suspicion.p50", "first suspicion, p50", "s", |all| all.first_suspicion.p50),
    figure("first_detection.p50", "first Down, p50", "s", |all| all.first_detection.p50),
    figure("detection.p50", "Down at each observer, p50", "s", |all| all.detection.p50),
    figure("detection.p99", "Down at each observer, p99", "s", |all| all.detection.p99),
    figure("last_detection.p50", "Down at the last observer, p50", "s", |all| {
        all.last_detection.p50
    }),
    figure("false_downs", "false Downs, all runs", "", |all| Some(all.false_downs as f64)),
    figure("false_suspicions", "false suspicions, all runs", "", |all| {
        Some(all.false_suspicions as f64)
    }),
    figure("life_changes", "life changes, all runs", "", |all| Some(all.life_changes as f64)),
    figure("datagrams_per_second", "datagrams per node and second", "", |all| {
        Some(all.datagrams_per_second)
    }),
    figure("bytes_per_second", "bytes per node and second", "", |all| Some(all.bytes_per_second)),
    figure("datagrams_in_faults", "datagrams per node and second in the faults", "", |all| {
        all.datagrams_in_faults
    }),
    figure("datagrams_at_rest", "datagrams per node and second at rest", "", |all| {
        all.datagrams_at_rest
    }),
    figure("bytes_at_rest", "bytes per node and second at rest", "", |all| all.bytes_at_rest),
];

/// What a scenario may name in `axes` besides the parameters of its grid.
pub(crate) fn figure_keys() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().map(|figure| figure.key)
}

/// All points with their figures; the baseline's beside those of the product.
pub(crate) fn points(outcomes: &[Outcome]) -> String {
    let parameters = parameters(&groups::of(outcomes));
    let rows = compare(outcomes);
    let both = rows.iter().any(|row| row.second().is_some());
    let several = groups::scenarios(outcomes).len() > 1;
    let mut headings: Vec<&str> = if several { vec!["scenario"] } else { Vec::new() };
    // A phone shows only the first columns: what matters most stands there.
    headings.push("#failed");
    headings.extend(&parameters);
    headings.push("#runs");
    for (heading, _) in CELLS {
        headings.push(heading);
        if both {
            headings.push("#baseline");
        }
    }
    let rows = rows.iter().fold(String::new(), |mut text, row| {
        text.push_str("<tr>");
        if several {
            write!(text, "<th scope=\"row\">{}</th>", escape(row.scenario)).expect("it grows");
        }
        let first = row.first();
        let failed = match first.failed {
            0 => "0".to_owned(),
            failed => format!("<span class=\"badge fail\">✗ {failed}</span>"),
        };
        write!(text, "<td class=\"num\">{failed}</td>").expect("it grows");
        for parameter in &parameters {
            let value = row.point.get(parameter).map_or_else(|| "–".to_owned(), |v| plain(v));
            write!(text, "<th scope=\"row\">{}</th>", escape(&value)).expect("it grows");
        }
        let mut cell = |class: &str, cell: &str| {
            write!(text, "<td class=\"num{class}\">{cell}</td>").expect("it grows");
        };
        cell("", &first.runs.to_string());
        for (_, show) in CELLS {
            cell("", &show(first));
            if both {
                cell(" dim", &row.second().map_or_else(|| "–".to_owned(), show));
            }
        }
        text + "</tr>"
    });
    table(&headings, &rows)
}

/// A figure of a row: what is above it, and how it is written.
type Cell = (&'static str, fn(&Summary) -> String);

const CELLS: [Cell; 8] = [
    ("#formed", |all| time_or_dash(all.formed)),
    ("#converged", |all| time_or_dash(all.converged)),
    ("#detection p50", |all| time_or_dash(all.detection.p50)),
    ("#p99", |all| time_or_dash(all.detection.p99)),
    ("#false Downs", |all| number(all.false_downs as f64)),
    ("#life changes", |all| number(all.life_changes as f64)),
    ("#datagrams / node / s", |all| number(all.datagrams_per_second)),
    ("#bytes / node / s", |all| number(all.bytes_per_second)),
];

/// What the scenarios expect: in how many runs it came so, and the worst that came.
pub(crate) fn expectations(outcomes: &[Outcome]) -> String {
    let scenarios = groups::scenarios(outcomes);
    let several = scenarios.len() > 1;
    let rows = scenarios.iter().map(|scenario| {
        let ours = outcomes.iter().filter(|run| run.scenario == **scenario);
        let ours = ours.filter(|run| run.detector == DetectorMode::Chisme);
        let lines: Vec<&Expectation> = ours.flat_map(|run| &run.expectations).collect();
        expectations_of(&lines, if several { scenario } else { "" })
    });
    let rows = rows.collect::<String>();
    if rows.is_empty() {
        return "<p class=\"dim\">The scenario expects no figures.</p>".to_owned();
    }
    let headings = ["expectation", "result", "#worst", "#wanted", "#runs that met it"];
    let scenario: &[&str] = if several { &["scenario"] } else { &[] };
    table(&[scenario, &headings].concat(), &rows)
}

fn expectations_of(lines: &[&Expectation], scenario: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for line in lines {
        place(&mut names, &line.what);
    }
    let row = |name: &&str| {
        let all: Vec<&Expectation> =
            lines.iter().copied().filter(|line| line.what == *name).collect();
        let met = all.iter().filter(|line| line.met).count();
        let unit = all.first().map_or("", |line| line.unit);
        let show = |value: f64| if unit == "s" { time(value) } else { number(value) };
        let dash = || "–".to_owned();
        // A grid may change what is wanted; then the most that is allowed anywhere.
        let wanted = all.iter().map(|line| line.wanted).reduce(f64::max).map_or_else(dash, show);
        let worst = all.iter().filter_map(|line| line.got).reduce(f64::max).map_or_else(dash, show);
        let known = all.iter().all(|line| line.met || line.known_miss);
        let result = match (met == all.len(), known) {
            (true, _) => "<span class=\"badge pass\">✓ met</span>",
            (false, true) => "<span class=\"badge known\">◐ known miss</span>",
            (false, false) => "<span class=\"badge fail\">✗ missed</span>",
        };
        let whose = match scenario {
            "" => String::new(),
            scenario => format!("<th scope=\"row\">{}</th>", escape(scenario)),
        };
        format!(
            "<tr>{whose}<th scope=\"row\"><code>{}</code></th><td>{result}</td>\
             <td class=\"num\">{worst}</td><td class=\"num\">≤ {wanted}</td>\
             <td class=\"num\">{met} of {}</td></tr>",
            escape(name),
            all.len(),
        )
    };
    names.iter().map(row).collect()
}

/// The runs that failed, with their causes.
pub(crate) fn failures(outcomes: &[Outcome]) -> String {
    let failed: Vec<&Outcome> = outcomes.iter().filter(|run| run.is_failure()).collect();
    if failed.is_empty() {
        return String::new();
    }
    let rows = failed.iter().take(MOST_FAILURES).map(|run| {
        let point: Vec<String> =
            run.point.iter().map(|(name, value)| format!("{name} = {}", plain(value))).collect();
        format!(
            "<tr><td>{}</td><td class=\"num\">{}</td><td>{}</td><td>{}</td>\
             <td><span class=\"badge fail\">{}</span></td><td class=\"wide\">{}</td></tr>",
            escape(&run.scenario),
            run.seed,
            escape(&point.join(", ")),
            detector(run.detector),
            verdict_name(&run.verdict).replace('_', " "),
            escape(run.verdict.cause().unwrap_or("")),
        )
    });
    let rows = rows.collect::<String>();
    let more = failed.len().saturating_sub(MOST_FAILURES);
    let more =
        if more > 0 { format!("<p class=\"dim\">And {more} more.</p>") } else { String::new() };
    let table = table(&["scenario", "#seed", "point", "detector", "verdict", "cause"], &rows);
    format!("<h2>Runs that failed</h2>{table}{more}")
}

/// The figures along each parameter of the grid.
pub(crate) fn charts(outcomes: &[Outcome]) -> String {
    let scenarios = groups::scenarios(outcomes);
    let of_scenario = |name: &&str| {
        let mut groups = groups::of(outcomes);
        groups.retain(|group| group.scenario == *name);
        charts_of(&groups, if scenarios.len() > 1 { name } else { "" })
    };
    scenarios.iter().map(of_scenario).collect()
}

fn charts_of(groups: &[Group<'_>], scenario: &str) -> String {
    let summaries: Vec<Summary> = groups.iter().map(|group| Summary::of(&group.runs)).collect();
    let parameters = parameters(groups);
    // A scenario may name what is to be compared; without it everything is.
    let axes: Vec<&str> = groups
        .first()
        .and_then(|group| group.runs.first())
        .map_or_else(Vec::new, |run| run.axes.iter().map(String::as_str).collect());
    let named = |axis: &str, all: &[&str]| {
        axes.contains(&axis) || !all.iter().any(|one| axes.contains(one))
    };
    let keys: Vec<&str> = figure_keys().collect();
    let along = parameters.iter().filter(|p| named(p, &parameters));
    let sections = along.map(|parameter| {
        let lines = Lines::along(parameter, &parameters, groups, &summaries);
        let figures = FIGURES.iter().filter(|figure| named(figure.key, &keys));
        let charts: String = figures.filter_map(|figure| lines.chart(figure)).collect();
        if charts.is_empty() {
            return String::new();
        }
        format!(
            "<h2>{}Along <code>{}</code></h2>{}<div class=\"grid\">{charts}</div>",
            if scenario.is_empty() { String::new() } else { format!("{}: ", escape(scenario)) },
            escape(parameter),
            lines.legend(),
        )
    });
    sections.collect()
}

/// Parameters that differ between runs. The detector has a column and lines of its own.
fn parameters<'a>(groups: &[Group<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&'a str> = Vec::new();
    for group in groups {
        names.extend(group.point.keys().map(String::as_str).filter(|name| *name != "detector"));
    }
    names.sort_unstable();
    names.dedup();
    names.retain(|name| {
        let values: BTreeSet<Option<String>> =
            groups.iter().map(|group| group.point.get(*name).map(plain)).collect();
        values.len() > 1
    });
    names
}

fn has_both(groups: &[Group<'_>]) -> bool {
    let has = |detector| groups.iter().any(|group| group.detector == detector);
    has(DetectorMode::Chisme) && has(DetectorMode::Baseline)
}

const fn detector(detector: DetectorMode) -> &'static str {
    match detector {
        DetectorMode::Chisme => "chisme",
        DetectorMode::Baseline => "baseline",
    }
}

/// Lines along one parameter: one for each combination of the others.
struct Lines<'a> {
    parameter: &'a str,
    /// Its values, in the order of the grid.
    values: Vec<String>,
    series: Vec<Series<'a>>,
}

struct Series<'a> {
    name: String,
    baseline: bool,
    colour: usize,
    /// Places among the values, with what came there.
    points: Vec<(usize, &'a Summary)>,
}

impl<'a> Lines<'a> {
    fn along(
        parameter: &'a str,
        parameters: &[&str],
        groups: &[Group<'_>],
        summaries: &'a [Summary],
    ) -> Self {
        let both = has_both(groups);
        let mut values: Vec<String> = Vec::new();
        let mut series: Vec<Series<'a>> = Vec::new();
        let mut others_seen: Vec<String> = Vec::new();
        for (group, summary) in groups.iter().zip(summaries) {
            let Some(value) = group.point.get(parameter).map(plain) else { continue };
            let place = place(&mut values, value);
            let others =
                parameters.iter().filter(|other| **other != parameter).filter_map(|other| {
                    group.point.get(*other).map(|value| format!("{other} = {}", plain(value)))
                });
            let others = others.collect::<Vec<_>>().join(", ");
            // The same colour for both detectors: they are told apart by their strokes.
            let colour = self::place(&mut others_seen, others.clone()) % COLOURS;
            let who = if both { detector(group.detector) } else { "" };
            let parts = [who, &others].into_iter().filter(|part| !part.is_empty());
            let name = parts.collect::<Vec<_>>().join(": ");
            let baseline = group.detector == DetectorMode::Baseline;
            match series.iter_mut().find(|one| one.name == name && one.baseline == baseline) {
                Some(one) => one.points.push((place, summary)),
                None => {
                    let points = vec![(place, summary)];
                    series.push(Series { name, baseline, colour, points });
                }
            }
        }
        Self { parameter, values, series }
    }

    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let entries = self.series.iter().map(|series| {
            format!(
                "<li><svg class=\"key wide\" viewBox=\"0 0 28 12\" aria-hidden=\"true\">\
                 <path class=\"{}\" d=\"M1 6H27\"/></svg>{}</li>",
                series.class(),
                escape(&series.name)
            )
        });
        format!("<ul class=\"legend\">{}</ul>", entries.collect::<String>())
    }

    /// One figure; none if it is zero or unknown everywhere.
    fn chart(&self, figure: &Figure) -> Option<String> {
        let values = || self.series.iter().flat_map(|one| &one.points);
        let most = values().filter_map(|(_, summary)| (figure.of)(summary)).reduce(f64::max)?;
        if most <= 0.0 || self.values.len() < 2 {
            return None;
        }
        // Half a step of room on both sides, so that the first label does not lie on the axis.
        let mut frame = Frame::new(self.values.len() as f64, most, 300.0);
        for (n, value) in self.values.iter().enumerate() {
            frame.x_tick(n as f64 + 0.5, value);
        }
        for (n, series) in self.series.iter().enumerate() {
            // What lies under others looks out behind them.
            let radius = 5 + 3 * (self.series.len() - 1 - n).min(3);
            frame.draw(&series.line(&frame, figure, radius));
        }
        let unit = if figure.unit.is_empty() { "" } else { ", seconds" };
        let label = format!("{}{unit}, along {}", figure.name, self.parameter);
        Some(format!(
            "<figure><figcaption>{}{unit}</figcaption>{}</figure>",
            figure.name,
            frame.into_svg(&label)
        ))
    }
}

/// The place of a name among those seen so far, or behind them.
fn place<T: PartialEq>(seen: &mut Vec<T>, name: T) -> usize {
    seen.iter().position(|one| *one == name).unwrap_or_else(|| {
        seen.push(name);
        seen.len() - 1
    })
}

impl Series<'_> {
    fn class(&self) -> String {
        let stroke = if self.baseline { " baseline" } else { "" };
        format!("line s{}{stroke}", self.colour)
    }

    fn line(&self, frame: &Frame, figure: &Figure, radius: usize) -> String {
        let mut path = String::new();
        let mut dots = String::new();
        for (place, summary) in &self.points {
            let Some(value) = (figure.of)(summary) else { continue };
            let x = *place as f64 + 0.5;
            let go = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{go}{}", frame.point(x, value)).expect("a string grows");
            let shown = if figure.unit == "s" { time(value) } else { number(value) };
            write!(
                dots,
                "<circle class=\"dot s{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"><title>{} {shown}\
                 </title></circle>",
                self.colour,
                frame.x(x),
                frame.y(value),
                escape(&self.name),
            )
            .expect("a string grows");
        }
        format!("<path class=\"{}\" d=\"{path}\"/>{dots}", self.class())
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn points_are_told_with_parameter_and_detector() {
        let table = points(&sample::sweep());
        assert!(table.contains(">nodes.count</th>"), "{table}");
        assert_eq!(table.matches("<tr>").count(), 1 + 2, "one for each number of nodes");
        assert_eq!(table.matches(">baseline</th>").count(), CELLS.len(), "{table}");
        let mut outcomes = sample::sweep();
        outcomes.retain(|run| run.detector == DetectorMode::Chisme);
        assert!(!points(&outcomes).contains(">baseline</th>"));
    }

    #[test]
    fn a_figure_is_drawn_for_each_detector() {
        let charts = charts(&sample::sweep());
        assert!(charts.contains("Along <code>nodes.count</code>"));
        assert!(charts.contains("Down at each observer, p50, seconds"));
        assert!(charts.contains(">baseline</li>") && charts.contains(">chisme</li>"), "{charts}");
        assert!(!charts.contains("false Downs"), "zero everywhere");
    }

    #[test]
    fn only_what_the_axes_name_is_compared() {
        let mut outcomes = sample::sweep();
        let mut told = |axes: &[&str]| {
            for outcome in &mut outcomes {
                outcome.axes = axes.iter().map(|&axis| axis.to_owned()).collect();
            }
            let charts = charts(&outcomes);
            (charts.matches("Along <code>").count(), charts.matches("<figcaption>").count())
        };
        let (along, all) = told(&[]);
        assert!(along == 1 && all > 3, "{along}, {all}");
        assert_eq!(told(&["nodes.count"]), (1, all));
        assert_eq!(told(&["nodes.count", "detection.p50", "bytes_per_second"]), (1, 2));
    }

    #[test]
    fn several_scenarios_are_kept_apart() {
        let mut outcomes = sample::sweep();
        for outcome in outcomes.iter_mut().skip(4) {
            outcome.scenario = "other".to_owned();
            outcome.expectations[0].met = false;
        }
        let table = expectations(&outcomes);
        // Two runs of each are of the product.
        assert_eq!(table.matches(">2 of 2<").count(), 1, "{table}");
        assert_eq!(table.matches(">0 of 2<").count(), 3, "{table}");
        assert!(table.contains(">other</th>"), "{table}");
        assert_eq!(points(&outcomes).matches(">sample</th>").count(), 1);
        assert!(charts(&outcomes).is_empty(), "in neither anything differs");
    }

    #[test]
    fn failures_come_with_seed_and_cause_and_without_markup_of_theirs() {
        let mut outcomes = sample::sweep();
        outcomes[0].verdict = crate::outcome::Verdict::Unsafe("<script>".to_owned());
        let failures = failures(&outcomes);
        assert!(failures.contains("&lt;script&gt;") && failures.contains("unsafe"), "{failures}");
        assert!(super::failures(&sample::sweep()).is_empty());
    }
}
