//! Axes with round numbers, and the frame of a chart. It knows numbers and SVG, not what they mean.

use std::fmt::Write;

use super::text::{coordinate, escape, number, short};

/// The width of all charts, in the units of their drawings.
pub(crate) const WIDTH: f64 = 960.0;
/// Where the plot begins and ends; the same in all charts over time, so that they are aligned.
pub(crate) const LEFT: f64 = 64.0;
pub(crate) const RIGHT: f64 = 944.0;
const TOP: f64 = 14.0;

/// Round steps up to at least `max`: 0, 20, 40 ...; about `count` of them.
pub(crate) fn ticks(max: f64, count: usize) -> Vec<f64> {
    let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
    let rough = max / count.max(1) as f64;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * magnitude);
    // As multiples, not as sums: 3 * 0.1 is nearer to 0.3 than 0.1 + 0.1 + 0.1.
    let steps = (max / step - 1e-9).ceil() as usize;
    (0..=steps).map(|n| n as f64 * step).collect()
}

/// Round times from zero to `seconds`, and not beyond.
pub(crate) fn time_ticks(seconds: f64) -> Vec<f64> {
    const STEPS: [f64; 9] = [60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0];
    const SHORT: [f64; 3] = [15.0, 20.0, 30.0];
    let rough = seconds / 10.0;
    let step = if rough <= 10.0 {
        ticks(seconds, 10).get(1).copied().unwrap_or(1.0)
    } else {
        let steps = SHORT.into_iter().chain(STEPS);
        steps.into_iter().find(|step| *step >= rough).unwrap_or_else(|| {
            let days = (rough / 86_400.0).ceil().max(1.0);
            days * 86_400.0
        })
    };
    let steps = (seconds / step + 1e-9).floor() as usize;
    (0..=steps).map(|n| n as f64 * step).collect()
}

/// `90 s`, `2 min`, `3 h`: whole numbers of the largest unit that fits all ticks.
pub(crate) fn time_labels(ticks: &[f64]) -> Vec<String> {
    let whole = |unit: f64| ticks.iter().all(|tick| (tick / unit).fract() == 0.0);
    let many = ticks.len() > 1;
    let (unit, name) = match () {
        () if many && whole(3600.0) => (3600.0, "h"),
        () if many && whole(60.0) => (60.0, "min"),
        () if ticks.last().is_some_and(|last| *last < 0.5) => (1e-3, "ms"),
        () => (1.0, "s"),
    };
    ticks.iter().map(|tick| format!("{} {name}", number(tick / unit))).collect()
}

/// A plot with axes on which curves are drawn.
pub(crate) struct Frame {
    /// The largest values at the right and the top edge.
    x_max: f64,
    y_max: f64,
    height: f64,
    /// What is drawn so far.
    body: String,
    /// How much lies under the plot.
    below: f64,
    class: &'static str,
    attributes: String,
}

impl Frame {
    /// The y axis goes from zero to a round number of at least `y_max`.
    pub(crate) fn new(x_max: f64, y_max: f64, height: f64) -> Self {
        Self::in_unit(x_max, y_max, height, "")
    }

    /// With a unit behind the numbers of the y axis.
    pub(crate) fn in_unit(x_max: f64, y_max: f64, height: f64, unit: &str) -> Self {
        let y_ticks = ticks(y_max, 4);
        let y_max = y_ticks.last().copied().unwrap_or(1.0);
        let x_max = if x_max > 0.0 { x_max } else { 1.0 };
        let (body, attributes) = (String::new(), String::new());
        let mut frame =
            Self { x_max, y_max, height, body, below: 24.0, class: "chart", attributes };
        for tick in y_ticks {
            let label = short(tick) + unit;
            frame.y_tick(tick, &label);
        }
        frame
    }

    /// An axis of time from the start of a run: the page's slider moves a line along it.
    pub(crate) fn over_time(seconds: f64, y_max: f64, height: f64) -> Self {
        let mut frame = Self::new(seconds, y_max, height);
        frame.class = "chart over-time";
        frame.attributes = format!(" data-seconds=\"{seconds}\"");
        let ticks = time_ticks(seconds);
        let labels = time_labels(&ticks);
        for (tick, label) in ticks.iter().zip(labels) {
            frame.x_tick(*tick, &label);
        }
        frame
    }

    pub(crate) fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (value / self.x_max).clamp(0.0, 1.0)
    }

    pub(crate) fn y(&self, value: f64) -> f64 {
        TOP + self.height * (1.0 - (value / self.y_max).clamp(0.0, 1.0))
    }

    /// `x,y` of a point.
    pub(crate) fn point(&self, x: f64, y: f64) -> String {
        format!("{},{}", coordinate(self.x(x)), coordinate(self.y(y)))
    }

    pub(crate) fn bottom(&self) -> f64 {
        TOP + self.height
    }

    fn y_tick(&mut self, value: f64, label: &str) {
        let y = coordinate(self.y(value));
        self.draw(&format!(
            "<path class=\"rule\" d=\"M{LEFT} {y}H{RIGHT}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{y}\" dy=\".32em\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
        ));
    }

    /// A mark on the x axis.
    pub(crate) fn x_tick(&mut self, value: f64, label: &str) {
        let (x, y) = (coordinate(self.x(value)), self.bottom());
        self.draw(&format!(
            "<path class=\"mark\" d=\"M{x} {}v5\"/>\
             <text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            coordinate(y),
            coordinate(y + 19.0),
            escape(label),
        ));
    }

    pub(crate) fn draw(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// Makes room under the axis; returns where it begins.
    pub(crate) fn extend(&mut self, height: f64) -> f64 {
        let begin = self.bottom() + self.below;
        self.below += height;
        begin
    }

    /// The whole drawing. The label says in words what is to be seen.
    pub(crate) fn into_svg(self, label: &str) -> String {
        let height = self.bottom() + self.below + 2.0;
        let mut svg = String::with_capacity(self.body.len() + 512);
        let (label, class, attributes) = (escape(label), self.class, &self.attributes);
        write!(
            svg,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\
             <svg class=\"{class}\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
             aria-label=\"{label}\"{attributes}>{}",
            coordinate(height),
            self.body,
        )
        .expect("a string grows");
        if !attributes.is_empty() {
            write!(svg, "<path class=\"now\" d=\"M{LEFT} {TOP}V{}\"/>", coordinate(height - 2.0))
                .expect("a string grows");
        }
        svg.push_str("</svg></div>");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_everything() {
        assert_eq!(ticks(97.0, 4), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(7.0, 4), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(0.0, 4).first(), Some(&0.0));
        for max in [0.003, 0.9, 1.0, 31.0, 12_345.0] {
            let ticks = ticks(max, 4);
            assert!(ticks.last().is_some_and(|last| *last >= max), "{max}: {ticks:?}");
            assert!((2..=7).contains(&ticks.len()), "{max}: {ticks:?}");
        }
    }

    #[test]
    fn times_are_whole_seconds_minutes_or_hours() {
        let labels = |seconds| time_labels(&time_ticks(seconds));
        assert_eq!(labels(20.0).last().map(String::as_str), Some("20 s"));
        assert_eq!(labels(130.0)[1], "15 s");
        assert_eq!(labels(600.0)[1], "1 min");
        assert_eq!(labels(36_000.0)[1], "1 h");
        assert_eq!(labels(0.2).last().map(String::as_str), Some("200 ms"));
    }
}
