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
    let period = common_period(outcomes);
    let longest = longest.max(period.map_or(0.0, |period| 3.0 * period));
    let steps = ticks(longest, 10);
    let x_max = steps.last().copied().unwrap_or(longest);
    let mut frame = Frame::in_unit(x_max, 100.0, 220.0, " %");
    for tick in steps {
        frame.x_tick(tick, &format!("{} s", number(tick)));
    }
    let mut legend = String::from("<ul class=\"legend\">");
    if let Some(period) = period {
        let path = swim(&frame, x_max, period);
        frame.draw(&format!("<path class=\"line swim\" d=\"{path}\"/>"));
        let promise = format!("SWIM (2002), first failed probe: 1 − e^(−t / {})", time(period));
        entry(&mut legend, "swim", &promise);
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

/// None if the runs had different ones: SWIM's curve would be right for some of them only.
fn common_period(outcomes: &[&Outcome]) -> Option<f64> {
    let period = outcomes.first()?.probe_period;
    let same = outcomes.iter().all(|outcome| outcome.probe_period == period);
    (same && period > 0.0).then_some(period)
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

/// Das, Gupta, Motivala 2002, section 3.1: in each period a member is probed by nobody with
/// probability 1/e.
fn swim(frame: &Frame, x_max: f64, period: f64) -> String {
    let points = (0..=120).map(|n| {
        let t = x_max * f64::from(n) / 120.0;
        frame.point(t, 100.0 * (1.0 - (-t / period).exp()))
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
    fn the_curve_of_swim_is_drawn_where_all_runs_have_its_period() {
        let mut outcomes = sample::sweep();
        outcomes[3].probe_period = 2.0;
        let chart = chart(&outcomes.iter().collect::<Vec<_>>()).expect("something was detected");
        assert!(!chart.contains("SWIM"), "{chart}");
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
