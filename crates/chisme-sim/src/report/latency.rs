//! How long detection took: what part of the latencies is at most so long, beside SWIM's promise.

use std::fmt::Write;

use super::axis::{Frame, ticks};
use super::text::{escape, number, time};
use crate::outcome::{Detection, Outcome};
use crate::scenario::DetectorMode;

const MOST_POINTS: usize = 400;

struct Curve {
    name: String,
    class: String,
    /// Ascending.
    seconds: Vec<f64>,
}

/// The curves of all runs together, or none if nothing was detected.
pub(crate) fn chart(outcomes: &[&Outcome]) -> Option<String> {
    let curves: Vec<Curve> = [DetectorMode::Chisme, DetectorMode::Baseline]
        .into_iter()
        .flat_map(|detector| curves(outcomes, detector))
        .collect();
    let longest = curves.iter().filter_map(|curve| curve.seconds.last()).copied();
    let longest = longest.reduce(f64::max)?;
    let mut periods: Vec<f64> =
        outcomes.iter().map(|run| run.probe_period).filter(|period| *period > 0.0).collect();
    periods.sort_unstable_by(f64::total_cmp);
    let longest = longest.max(periods.last().map_or(0.0, |period| 3.0 * period));
    let steps = ticks(longest, 10);
    let x_max = steps.last().copied().unwrap_or(longest);
    let mut frame = Frame::in_unit(x_max, 100.0, 220.0, " %");
    for tick in steps {
        frame.x_tick(tick, &format!("{} s", number(tick)));
    }
    let mut legend = String::from("<ul class=\"legend\">");
    if let Some(promise) = promise(&periods) {
        let path = swim(&frame, x_max, &periods);
        frame.draw(&format!("<path class=\"line swim\" d=\"{path}\"/>"));
        entry(&mut legend, "swim", &format!("SWIM (2002), first failed probe: {promise}"));
    }
    for curve in &curves {
        let path = steps_of(&frame, &curve.seconds, x_max);
        frame.draw(&format!("<path class=\"line {}\" d=\"{path}\"/>", curve.class));
        let count = number(curve.seconds.len() as f64);
        entry(&mut legend, &curve.class, &format!("{} ({count})", curve.name));
    }
    legend.push_str("</ul>");
    let label = "Per cent of the latencies that are at most so long, from the end of a process";
    Some(legend + &frame.into_svg(label))
}

fn entry(legend: &mut String, class: &str, name: &str) {
    write!(
        legend,
        "<li><svg class=\"key wide\" viewBox=\"0 0 28 12\" aria-hidden=\"true\">\
         <path class=\"line {class}\" d=\"M1 6H27\"/></svg>{}</li>",
        escape(name)
    )
    .expect("a string grows");
}

fn curves(outcomes: &[&Outcome], detector: DetectorMode) -> Vec<Curve> {
    let runs = || outcomes.iter().copied().filter(|outcome| outcome.detector == detector);
    let (who, class) = match detector {
        DetectorMode::Chisme => ("", ""),
        DetectorMode::Baseline => ("baseline: ", " baseline"),
    };
    let curve = |name: &str, own: &str, mut seconds: Vec<f64>| {
        seconds.sort_unstable_by(f64::total_cmp);
        Curve { name: format!("{who}{name}"), class: format!("{own}{class}"), seconds }
    };
    let latency = |detection: &Detection| detection.seconds;
    let all = [
        curve(
            "first suspicion by anybody",
            "suspicion",
            runs().flat_map(|run| run.figures.first_suspicions.iter().copied()).collect(),
        ),
        curve(
            "first Down by anybody",
            "first-down",
            runs().flat_map(|run| run.figures.first_detections.iter().copied()).collect(),
        ),
        curve(
            "Down, each observer",
            "each-down",
            runs().flat_map(|run| run.figures.detections.iter().map(latency)).collect(),
        ),
    ];
    all.into_iter().filter(|curve| !curve.seconds.is_empty()).collect()
}

/// A step up at each latency; of very many only some are drawn, the last one always.
fn steps_of(frame: &Frame, seconds: &[f64], x_max: f64) -> String {
    let mut path = format!("M{}", frame.point(0.0, 0.0));
    let mut at_most = 0.0;
    let every = seconds.len().div_ceil(MOST_POINTS).max(1);
    let drawn = (0..seconds.len()).filter(|n| (n + 1) % every == 0 || n + 1 == seconds.len());
    for n in drawn {
        let part = (n + 1) as f64 * 100.0 / seconds.len() as f64;
        let (low, high) = (frame.point(seconds[n], at_most), frame.point(seconds[n], part));
        write!(path, "L{low}L{high}").expect("a string grows");
        at_most = part;
    }
    path + &format!("L{}", frame.point(x_max, at_most))
}

/// What the paper's curve is called; of no periods there is none.
fn promise(periods: &[f64]) -> Option<String> {
    let (shortest, longest) = (*periods.first()?, *periods.last()?);
    Some(if shortest < longest {
        let (shortest, longest) = (time(shortest), time(longest));
        format!("mean of 1 − e^(−t / period) over all runs, periods {shortest} to {longest}")
    } else {
        format!("1 − e^(−t / {})", time(longest))
    })
}

/// How many per cent after `t` seconds, of the runs together: their latencies are drawn
/// together too. Das, Gupta, Motivala 2002, section 3.1: in each period a member is probed by nobody
/// with probability 1/e.
fn promised(periods: &[f64], t: f64) -> f64 {
    let sum: f64 = periods.iter().map(|period| 1.0 - (-t / period).exp()).sum();
    100.0 * sum / periods.len() as f64
}

/// The paper's curve.
fn swim(frame: &Frame, x_max: f64, periods: &[f64]) -> String {
    let points = (0..=120).map(|n| {
        let t = x_max * f64::from(n) / 120.0;
        frame.point(t, promised(periods, t))
    });
    points.fold(String::new(), |path, point| {
        let go = if path.is_empty() { 'M' } else { 'L' };
        format!("{path}{go}{point}")
    })
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn each_kind_of_latency_has_a_curve_with_a_name() {
        let chart =
            chart(&sample::sweep().iter().collect::<Vec<_>>()).expect("something was detected");
        for name in
            ["first suspicion by anybody (4)", "first Down", "baseline: Down", "SWIM (2002)"]
        {
            assert!(chart.contains(name), "{name}");
        }
    }

    #[test]
    fn runs_of_several_periods_are_compared_with_the_promise_of_all() {
        assert!((promised(&[2.0], 2.0) - 63.212).abs() < 1e-3);
        // 1 - 1/e of the one, 1 - 1/e^2 of the other.
        assert!((promised(&[1.0, 2.0], 2.0) - (86.466 + 63.212) / 2.0).abs() < 1e-3);
        let mut outcomes = sample::sweep();
        let drawn = |outcomes: &[Outcome]| {
            chart(&outcomes.iter().collect::<Vec<_>>()).expect("something was detected")
        };
        assert!(drawn(&outcomes).contains("1 − e^(−t / 1 s)"));
        outcomes[3].probe_period = 2.0;
        assert!(drawn(&outcomes).contains("periods 1 s to 2 s"));
    }

    #[test]
    fn a_curve_ends_at_the_top() {
        let frame = Frame::new(10.0, 100.0, 100.0);
        let path = steps_of(&frame, &vec![2.0; 5_000], 10.0);
        assert!(path.ends_with(&frame.point(10.0, 100.0)), "{path}");
        assert!(path.len() < 20_000);
    }

    #[test]
    fn where_nothing_was_detected_there_is_no_chart() {
        let mut outcome = sample::run();
        outcome.figures = crate::outcome::Figures::default();
        assert!(chart(&[&outcome]).is_none());
    }
}
