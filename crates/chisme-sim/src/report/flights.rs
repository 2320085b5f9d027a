//! A space-time diagram: the datagrams of a window, from the node and moment that they left to
//! those that they reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::axis::{LEFT, RIGHT, WIDTH, ticks};
use super::ribbons::{BAR, Bar, LANE, places};
use super::text::{coordinate, escape, number, time};
use crate::outcome::{Flight, Ribbon, Story};

/// More would be a grey area, and slow.
const MOST_FLIGHTS: usize = 2_000;
const TOP: f64 = 12.0;
/// A datagram takes about a millisecond; so wide is that drawn, so that one sees its slope.
const MILLISECOND: f64 = 6.0;
/// A window that would be wider is drawn more closely.
const WIDEST: f64 = 8_000.0;
/// The names of the nodes stand again and again, so that one is in sight wherever one scrolls.
const NAMES_EVERY: f64 = 640.0;

struct Window {
    from: f64,
    to: f64,
    /// The lane of each node that takes part.
    lanes: BTreeMap<u32, usize>,
    /// The height of a lane.
    lane: f64,
    /// Where the plot ends.
    right: f64,
}

/// The diagram, or none if no window was asked for.
pub(crate) fn chart(story: &Story) -> Option<String> {
    let mut flights: Vec<&Flight> = story.flights.iter().collect();
    flights.sort_by(|one, other| one.sent.total_cmp(&other.sent));
    let all = flights.len();
    flights.truncate(MOST_FLIGHTS);
    let window = Window::around(&flights)?;
    let kinds = by_number(&flights);
    let mut body = window.lanes(story);
    body += &window.ticks();
    for flight in &flights {
        let colour = kinds.iter().position(|kind| *kind == flight.kind).unwrap_or(0).min(9);
        window.draw(&mut body, flight, colour, story);
    }
    let lost = flights.iter().filter(|flight| flight.arrived.is_none()).count();
    let label = format!(
        "{} datagrams between {} and {}, {lost} of them lost",
        flights.len(),
        time(window.from),
        time(window.to)
    );
    let note = if all > flights.len() {
        format!("<p class=\"dim\">The first {} of {} datagrams.</p>", flights.len(), all)
    } else {
        String::new()
    };
    let (faults, under) = window.faults(story);
    body += &faults;
    let width = coordinate(window.right + WIDTH - RIGHT);
    let height = coordinate(window.bottom() + 26.0 + under);
    Some(format!(
        "{}{note}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\
         <svg class=\"flights\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{label}\">{body}</svg></div>",
        legend(&kinds, lost),
    ))
}

/// The kinds, those with most datagrams first.
fn by_number<'a>(flights: &[&'a Flight]) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for flight in flights {
        *counts.entry(&flight.kind).or_default() += 1;
    }
    let mut kinds: Vec<&str> = counts.keys().copied().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(counts[kind]));
    kinds
}

fn legend(kinds: &[&str], lost: usize) -> String {
    let mut list = String::from("<ul class=\"legend\">");
    let mut entry = |class: &str, name: &str| {
        write!(
            list,
            "<li><svg class=\"key wide\" viewBox=\"0 0 28 12\" aria-hidden=\"true\">\
             <path class=\"{class}\" d=\"M1 6H27\"/></svg>{}</li>",
            escape(name)
        )
        .expect("a string grows");
    };
    for (colour, kind) in kinds.iter().enumerate().take(9) {
        entry(&format!("flight s{colour}"), kind);
    }
    if kinds.len() > 9 {
        entry("flight s9", "others");
    }
    if lost > 0 {
        entry("flight lost", "lost on the way");
    }
    list + "</ul>"
}

impl Window {
    fn around(flights: &[&Flight]) -> Option<Self> {
        let from = flights.first()?.sent;
        let to = flights.iter().map(|flight| flight.arrived.unwrap_or(flight.sent));
        let to = to.fold(from, f64::max);
        let nodes: BTreeSet<u32> =
            flights.iter().flat_map(|flight| [flight.from, flight.to]).collect();
        let lane = (560.0 / nodes.len() as f64).clamp(5.0, 30.0);
        let lanes = nodes.into_iter().enumerate().map(|(lane, node)| (node, lane)).collect();
        let to = to.max(from + 1e-3);
        let right = LEFT + ((to - from) * 1e3 * MILLISECOND).clamp(RIGHT - LEFT, WIDEST);
        Some(Self { from, to, lanes, lane, right })
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + (self.right - LEFT) * ((at - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn y(&self, node: u32) -> f64 {
        TOP + (self.lanes.get(&node).copied().unwrap_or(0) as f64 + 0.5) * self.lane
    }

    fn bottom(&self) -> f64 {
        TOP + self.lanes.len() as f64 * self.lane
    }

    fn lanes(&self, story: &Story) -> String {
        let every = (13.0 / self.lane).ceil() as usize;
        let places = ((self.right - LEFT) / NAMES_EVERY).floor().max(1.0) as usize;
        let mut svg = String::new();
        for (node, lane) in &self.lanes {
            let y = coordinate(self.y(*node));
            let right = coordinate(self.right);
            write!(svg, "<path class=\"rule\" d=\"M{LEFT} {y}H{right}\"/>").expect("it grows");
            let name = story.nodes.get(*node as usize).map_or("?", String::as_str);
            for place in (0..places).filter(|_| lane.is_multiple_of(every)) {
                let x = coordinate(LEFT - 8.0 + place as f64 * NAMES_EVERY);
                write!(
                    svg,
                    "<text class=\"tick{}\" x=\"{x}\" y=\"{y}\" dy=\".32em\" \
                     text-anchor=\"end\">{}</text>",
                    if place == 0 { "" } else { " again" },
                    escape(name)
                )
                .expect("it grows");
            }
        }
        svg
    }

    fn ticks(&self) -> String {
        let count = (8.0 * (self.right - LEFT) / (RIGHT - LEFT)) as usize;
        let steps = ticks(self.to - self.from, count);
        let step = steps.get(1).copied().unwrap_or(1.0);
        let first = (self.from / step - 1e-6).ceil();
        let count = ((self.to - first * step) / step + 1e-6).floor().max(0.0) as usize;
        // As many digits as the step needs, so that no two labels are the same.
        let decimals = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
        (0..=count).fold(String::new(), |svg, n| {
            let at = (first + n as f64) * step;
            let (x, bottom) = (coordinate(self.x(at)), self.bottom());
            svg + &format!(
                "<path class=\"rule\" d=\"M{x} {TOP}V{}\"/><text class=\"tick\" x=\"{x}\" \
                 y=\"{}\" text-anchor=\"middle\">{at:.decimals$} s</text>",
                coordinate(bottom + 4.0),
                coordinate(bottom + 19.0),
            )
        })
    }

    /// The faults of the window, under its axis, and the height that they take.
    fn faults<'a>(&self, story: &'a Story) -> (String, f64) {
        let inside = |fault: &&Ribbon| fault.from <= self.to && fault.to >= self.from;
        let faults: Vec<&Ribbon> = story.faults.iter().filter(inside).collect();
        let bar = |fault: &&'a Ribbon| {
            let (from, to) = (self.x(fault.from), self.x(fault.to));
            Bar { from, to: to.max(from + 3.0), label: &fault.label }
        };
        let bars: Vec<Bar<'a>> = faults.iter().map(bar).collect();
        let places = places(&bars, (LEFT, self.right));
        let count = places.iter().map(|place| place.lane + 1).max().unwrap_or(0);
        let all = faults.iter().zip(&bars).zip(&places);
        let svg = all.fold(String::new(), |svg, ((fault, bar), place)| {
            let y = self.bottom() + 28.0 + place.lane as f64 * LANE;
            svg + &format!(
                "<rect class=\"fault\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{BAR}\" rx=\"1\">\
                 <title>{} from {} to {}</title></rect>{}",
                coordinate(bar.from),
                coordinate(y),
                coordinate(bar.to - bar.from),
                escape(&fault.label),
                time(fault.from),
                time(fault.to),
                place.label(y),
            )
        });
        (svg, count as f64 * LANE)
    }

    fn draw(&self, svg: &mut String, flight: &Flight, colour: usize, story: &Story) {
        let name = |node: u32| escape(story.nodes.get(node as usize).map_or("?", String::as_str));
        let (x, y, target) = (self.x(flight.sent), self.y(flight.from), self.y(flight.to));
        let (line, fate) = match flight.arrived {
            Some(arrived) => {
                let end = (self.x(arrived), target);
                let line = format!("L{} {}", coordinate(end.0), coordinate(end.1));
                (line, time((arrived - flight.sent).max(0.0)))
            }
            None => {
                // It ends on the way, with a cross.
                let (end, stop) = (coordinate(x), y + (target - y) * 0.4);
                let cross = "m-3 -3l6 6m0 -6l-6 6";
                (format!("L{end} {}{cross}", coordinate(stop)), "lost".to_owned())
            }
        };
        let class = if flight.arrived.is_none() { "lost".to_owned() } else { format!("s{colour}") };
        write!(
            svg,
            "<path class=\"flight {class}\" d=\"M{} {}{line}\"><title>{} → {}: {}, {} bytes, {}\
             </title></path>",
            coordinate(x),
            coordinate(y),
            name(flight.from),
            name(flight.to),
            escape(&flight.kind),
            number(f64::from(flight.bytes)),
            fate,
        )
        .expect("a string grows");
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn what_arrived_and_what_was_lost_is_drawn() {
        let story = sample::run().story.expect("it has one");
        let chart = chart(&story).expect("there are datagrams");
        assert!(chart.contains("n0 → n1: ping, 120 bytes, 1 ms"), "{chart}");
        assert!(chart.contains("n1 → n3: ping, 120 bytes, lost"), "{chart}");
        assert!(chart.contains("2 datagrams between 11 s and 11.5 s, 1 of them lost"), "{chart}");
    }

    #[test]
    fn the_faults_of_the_window_are_under_it() {
        let mut story = sample::run().story.expect("it has one");
        let without = chart(&story).expect("there are datagrams");
        assert!(!without.contains("class=\"fault\""), "the crash was before it");
        story.faults[0].to = 11.2;
        let with = chart(&story).expect("there are datagrams");
        assert!(with.contains("<title>crash from 10 s to 11.2 s</title>"), "{with}");
    }

    #[test]
    fn a_window_with_very_many_says_how_many_are_left_out() {
        let mut story = sample::run().story.expect("it has one");
        story.flights = vec![story.flights[0].clone(); 5_000];
        let chart = chart(&story).expect("there are datagrams");
        assert!(chart.contains("The first 2000 of 5000 datagrams"));
        assert_eq!(chart.matches("class=\"flight s0\"").count(), MOST_FLIGHTS + 1);
    }

    #[test]
    fn the_slope_of_a_datagram_can_be_seen_in_a_long_window_too() {
        let mut story = sample::run().story.expect("it has one");
        let last = Flight { sent: 12.0, arrived: Some(12.001), ..story.flights[0].clone() };
        story.flights.push(last);
        let flights: Vec<&Flight> = story.flights.iter().collect();
        let window = Window::around(&flights).expect("there are datagrams");
        let slope = window.x(12.001) - window.x(12.0);
        assert!((slope - MILLISECOND).abs() < 0.1, "{slope}");
    }

    #[test]
    fn without_a_window_there_is_no_diagram() {
        assert!(chart(&Story::default()).is_none());
    }
}
