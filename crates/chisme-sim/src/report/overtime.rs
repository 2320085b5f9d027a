//! Charts over the time of one run, each with the faults aligned under it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::axis::{Frame, LEFT, RIGHT};
use super::ribbons::{BAR, Bar, LANE, places};
use super::text::{coordinate, escape, number, time};
use crate::outcome::{Ribbon, Story, Traffic};

const HEIGHT: f64 = 150.0;
/// Half of a diamond, which stands for a fault of a moment.
const DIAMOND: f64 = 6.0;
/// More kinds than these share the last colour.
const COLOURS: usize = 10;
const MOST_STEPS: usize = 440;

/// How many pairs of nodes saw each other wrongly.
pub(crate) fn missing(story: &Story) -> Option<String> {
    let most = story.missing.iter().map(|(_, pairs)| *pairs).max()?;
    let mut frame = Frame::over_time(story.seconds, most.max(1) as f64, HEIGHT);
    let mut line = String::new();
    let mut before = 0;
    for (n, (at, pairs)) in thinned(&story.missing).into_iter().enumerate() {
        let x = coordinate(frame.x(at));
        let y = coordinate(frame.y(pairs as f64));
        if n == 0 {
            write!(line, "M{x} {y}").expect("a string grows");
        } else if pairs != before {
            write!(line, "H{x}V{y}").expect("a string grows");
        }
        before = pairs;
    }
    write!(line, "H{}", coordinate(frame.x(story.seconds))).expect("a string grows");
    let first = story.missing.first().map_or(0.0, |(at, _)| *at);
    let (bottom, start) = (coordinate(frame.bottom()), coordinate(frame.x(first)));
    frame.draw(&format!(
        "<path class=\"area missing\" d=\"{line}V{bottom}H{start}Z\"/>\
         <path class=\"line missing\" d=\"{line}\"/>"
    ));
    ribbons(&mut frame, story);
    let label = format!(
        "Missing pairs over time; at most {}, {} at the end",
        number(most as f64),
        number(before as f64)
    );
    Some(frame.into_svg(&label))
}

/// Of many changes within a step of the drawing the largest is drawn, and the last one always.
fn thinned(changes: &[(f64, u64)]) -> Vec<(f64, u64)> {
    if changes.len() <= 2 * MOST_STEPS {
        return changes.to_vec();
    }
    let seconds = changes.last().map_or(1.0, |(at, _)| *at).max(f64::MIN_POSITIVE);
    let step = |at: f64| (at / seconds * MOST_STEPS as f64) as usize;
    let mut kept = Vec::new();
    for group in changes.chunk_by(|one, other| step(one.0) == step(other.0)) {
        kept.extend(group.iter().copied().max_by_key(|(_, pairs)| *pairs));
        kept.extend(group.last());
    }
    kept
}

/// What is stacked in a chart of traffic.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    Datagrams,
    Bytes,
}

impl Measure {
    const fn of(self, traffic: &Traffic) -> u64 {
        match self {
            Self::Datagrams => traffic.datagrams,
            Self::Bytes => traffic.bytes,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Datagrams => "datagrams",
            Self::Bytes => "bytes",
        }
    }
}

/// What was sent in each moment, the kinds on top of each other.
pub(crate) fn traffic(story: &Story, measure: Measure) -> Option<String> {
    let order = kinds_by_size(story);
    let layers = layers(story, measure, &order);
    let steps = layers.first()?.1.len();
    let sum = |step: usize| layers.iter().map(|(_, rates)| rates[step]).sum::<f64>();
    let most = (0..steps).map(sum).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let width = seconds_of_a_step(story, steps);
    let mut frame = Frame::over_time(story.seconds, most, HEIGHT);
    let mut floor = vec![0.0; steps];
    for (colour, (kind, rates)) in layers.iter().enumerate() {
        let roof: Vec<f64> = floor.iter().zip(rates).map(|(low, rate)| low + rate).collect();
        let path = band(&frame, width, &floor, &roof);
        let kind = escape(kind);
        frame.draw(&format!("<path class=\"k{colour}\" d=\"{path}\"><title>{kind}</title></path>"));
        floor = roof;
    }
    ribbons(&mut frame, story);
    let name = measure.name();
    let label = format!("{name} a second by kind; at most {} a second", number(most));
    Some(legend(&layers, width, name) + &frame.into_svg(&label))
}

/// The last step may reach beyond the end; axes cut it off.
fn seconds_of_a_step(story: &Story, steps: usize) -> f64 {
    let buckets = story.traffic.values().map(Vec::len).max().unwrap_or(0);
    story.bucket * buckets.div_ceil(steps.max(1)) as f64
}

/// The area between two lines of steps.
fn band(frame: &Frame, width: f64, floor: &[f64], roof: &[f64]) -> String {
    let mut path = String::new();
    let x = |step: usize| coordinate(frame.x(step as f64 * width));
    for (step, value) in roof.iter().enumerate() {
        let go = if step == 0 { "M" } else { "H" };
        let y = coordinate(frame.y(*value));
        if step == 0 {
            write!(path, "{go}{} {y}", x(0)).expect("a string grows");
        } else if *value != roof[step - 1] {
            write!(path, "{go}{}V{y}", x(step)).expect("a string grows");
        }
    }
    write!(path, "H{}", x(roof.len())).expect("a string grows");
    for (step, value) in floor.iter().enumerate().rev() {
        if floor.get(step + 1) != Some(value) {
            write!(path, "H{}V{}", x(step + 1), coordinate(frame.y(*value))).expect("it grows");
        }
    }
    path + &format!("H{}Z", x(0))
}

/// Kinds of which most bytes were sent come first: the same order, and colours, in both charts.
fn kinds_by_size(story: &Story) -> Vec<&str> {
    let total = |kind: &&str| -> u64 {
        story.traffic.get(*kind).into_iter().flatten().map(|traffic| traffic.bytes).sum()
    };
    let mut kinds: Vec<&str> = story.traffic.keys().map(String::as_str).collect();
    kinds.retain(|kind| total(kind) > 0);
    kinds.sort_by_key(|kind| std::cmp::Reverse(total(kind)));
    kinds
}

/// Rates a second by kind, in as many steps as can be seen.
fn layers(story: &Story, measure: Measure, order: &[&str]) -> Vec<(String, Vec<f64>)> {
    let buckets = story.traffic.values().map(Vec::len).max().unwrap_or(0);
    let together = buckets.div_ceil(MOST_STEPS).max(1);
    let steps = buckets.div_ceil(together);
    let seconds = story.bucket.max(f64::MIN_POSITIVE) * together as f64;
    let mut layers: BTreeMap<usize, (String, Vec<f64>)> = BTreeMap::new();
    for (n, kind) in order.iter().enumerate() {
        let rest = n >= COLOURS - 1 && order.len() > COLOURS;
        let name = if rest { "others" } else { kind };
        let layer =
            layers.entry(n.min(COLOURS - 1)).or_insert_with(|| (name.to_owned(), vec![0.0; steps]));
        for (bucket, traffic) in story.traffic[*kind].iter().enumerate() {
            layer.1[bucket / together] += measure.of(traffic) as f64 / seconds;
        }
    }
    layers.into_values().collect()
}

fn legend(layers: &[(String, Vec<f64>)], width: f64, name: &str) -> String {
    let entries = layers.iter().enumerate().map(|(colour, (kind, rates))| {
        let total = number(rates.iter().sum::<f64>() * width);
        format!(
            "<li><svg class=\"key\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
             <rect class=\"k{colour}\" width=\"12\" height=\"12\"/></svg>{} \
             <span class=\"dim\">{total}</span></li>",
            escape(kind)
        )
    });
    format!(
        "<ul class=\"legend\" aria-label=\"{name} in all\">{}</ul>",
        entries.collect::<String>()
    )
}

/// The faults under the axis.
fn ribbons(frame: &mut Frame, story: &Story) {
    let bars: Vec<Bar<'_>> = story.faults.iter().map(|fault| bar(frame, fault)).collect();
    let places = places(&bars, (LEFT, RIGHT));
    let count = places.iter().map(|place| place.lane + 1).max().unwrap_or(0);
    if count == 0 {
        return;
    }
    let begin = frame.extend(count as f64 * LANE + 8.0) + 6.0;
    for ((fault, bar), place) in story.faults.iter().zip(&bars).zip(&places) {
        let y = begin + place.lane as f64 * LANE;
        let drawn = ribbon(frame, fault, bar, y, story);
        frame.draw(&format!("<g>{drawn}{}</g>", place.label(y)));
    }
}

/// What is too short to be seen is as wide as a diamond.
fn bar<'a>(frame: &Frame, fault: &'a Ribbon) -> Bar<'a> {
    let (from, to) = (frame.x(fault.from), frame.x(fault.to));
    let wing = if to - from < 2.0 { DIAMOND } else { 0.0 };
    Bar { from: from - wing, to: to + wing, label: &fault.label }
}

fn ribbon(frame: &Frame, fault: &Ribbon, bar: &Bar<'_>, y: f64, story: &Story) -> String {
    let (from, x, top) = (frame.x(fault.from), coordinate(bar.from), coordinate(y));
    let shape = if bar.from < from {
        let x = coordinate(from);
        format!("<path class=\"fault\" d=\"M{x} {top}l6 7.5l-6 7.5l-6 -7.5Z\"/>")
    } else {
        format!(
            "<rect class=\"fault\" x=\"{x}\" y=\"{top}\" width=\"{}\" height=\"{BAR}\" rx=\"3\"/>",
            coordinate(bar.to - bar.from),
        )
    };
    let nodes: Vec<&str> = fault
        .nodes
        .iter()
        .take(12)
        .filter_map(|node| story.nodes.get(*node as usize).map(String::as_str))
        .collect();
    let more = if fault.nodes.len() > 12 { " ..." } else { "" };
    format!(
        "<title>{} from {} to {}: {}{more}</title>{shape}",
        escape(&fault.label),
        time(fault.from),
        time(fault.to),
        escape(&nodes.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_peaks_and_the_end() {
        let mut changes: Vec<(f64, u64)> = (0..10_000).map(|n| (f64::from(n), 1)).collect();
        changes[5_003].1 = 77;
        changes.push((10_000.0, 0));
        let kept = thinned(&changes);
        assert!(kept.len() < 1_000);
        assert!(kept.contains(&(5_003.0, 77)));
        assert_eq!(kept.last(), Some(&(10_000.0, 0)));
    }

    #[test]
    fn many_kinds_share_the_last_colour_and_nothing_is_lost() {
        let one = vec![Traffic { datagrams: 2, bytes: 9 }; 3];
        let traffic = (0..14).map(|n| (format!("kind{n}"), one.clone())).collect();
        let story = Story { seconds: 3.0, bucket: 1.0, traffic, ..Story::default() };
        let order = kinds_by_size(&story);
        let layers = layers(&story, Measure::Datagrams, &order);
        assert_eq!(layers.len(), COLOURS);
        assert_eq!(layers[COLOURS - 1].0, "others");
        let total: f64 = layers.iter().flat_map(|layer| &layer.1).sum();
        assert!((total - 84.0).abs() < 1e-9);
    }
}
