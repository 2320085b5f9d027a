//! Faults under an axis of time: in which lane the bar of each lies and where its label stands, so that
//! nothing covers anything else.

use super::text::{coordinate, escape};

pub(super) const LANE: f64 = 20.0;
pub(super) const BAR: f64 = 15.0;
const MOST_LANES: usize = 8;
/// The mean width of a character of a label, of the large ones that phones show.
const CHARACTER: f64 = 7.6;
/// Between a label and whatever is beside it.
const GAP: f64 = 5.0;
/// A label that is shorter than this many characters says nothing.
const LEAST: usize = 4;

/// A bar as it is drawn, from its left end to its right one.
pub(super) struct Bar<'a> {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) label: &'a str,
}

/// Where a bar lies, and its label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) lane: usize,
    at: f64,
    side: Side,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Inside,
    Behind,
    Before,
}

impl Place {
    /// The label within the bar or beside it, whole if there is room for it in the drawing.
    fn of(bar: &Bar<'_>, (left, right): (f64, f64)) -> Self {
        let width = width(bar.label);
        let rooms = [
            (Side::Inside, bar.from + GAP, bar.to - bar.from - 2.0 * GAP),
            (Side::Behind, bar.to + GAP, right - bar.to - GAP),
            (Side::Before, bar.from - GAP, bar.from - GAP - left),
        ];
        let fitting = rooms.iter().find(|(_, _, room)| *room >= width);
        let largest = rooms.iter().max_by(|one, other| one.2.total_cmp(&other.2));
        let (side, at, room) = *fitting.or(largest).expect("there are three");
        Self { lane: 0, at, side, text: shortened(bar.label, room) }
    }

    /// From where to where bar and label reach.
    fn reach(&self, bar: &Bar<'_>) -> (f64, f64) {
        let width = width(&self.text);
        match self.side {
            _ if self.text.is_empty() => (bar.from, bar.to),
            Side::Inside => (bar.from, bar.to),
            Side::Behind => (bar.from, self.at + width + GAP),
            Side::Before => (self.at - width - GAP, bar.to),
        }
    }

    /// The label at this height; the whole of it is for a title.
    pub(super) fn label(&self, y: f64) -> String {
        if self.text.is_empty() {
            return String::new();
        }
        let (class, anchor) = match self.side {
            Side::Inside => ("fault-in", "start"),
            Side::Behind => ("fault-by", "start"),
            Side::Before => ("fault-by", "end"),
        };
        format!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            coordinate(self.at),
            coordinate(y + 11.3),
            escape(&self.text),
        )
    }
}

fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// As much of a text as there is room for.
fn shortened(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    match (room / CHARACTER) as usize {
        fits if fits < LEAST => String::new(),
        fits => text.chars().take(fits - 1).chain(['…']).collect(),
    }
}

/// The place of each bar, in the order of their beginnings, between the ends of a plot: the first lane that is
/// free for bar and label. If there are too many, labels are shortened, and at last bars share a lane.
pub(super) fn places(bars: &[Bar<'_>], ends: (f64, f64)) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    // How far bars, and bars with labels, reach in each lane.
    let mut lanes: Vec<(f64, f64)> = Vec::new();
    for bar in bars {
        let mut place = Place::of(bar, ends);
        let (west, east) = place.reach(bar);
        let free = lanes.iter().position(|(_, reach)| *reach <= west);
        let or_new = free.or((lanes.len() < MOST_LANES).then_some(lanes.len()));
        let or_short = or_new.or_else(|| {
            let alone = lanes.iter().enumerate().filter(|(_, (end, _))| *end <= bar.from);
            alone.min_by(|(_, one), (_, other)| one.1.total_cmp(&other.1)).map(|(lane, _)| lane)
        });
        place.lane = or_short.unwrap_or(MOST_LANES - 1);
        if place.lane == lanes.len() {
            lanes.push((0.0, 0.0));
        }
        let lane = &mut lanes[place.lane];
        *lane = (lane.0.max(bar.to), lane.1.max(east));
        places.push(place);
    }
    shorten(bars, &mut places);
    places
}

/// Shortens each label to the room before its neighbour in the lane.
fn shorten(bars: &[Bar<'_>], places: &mut [Place]) {
    let mut last = [None; MOST_LANES];
    for this in 0..places.len() {
        let Some(before) = last[places[this].lane].replace(this) else { continue };
        if places[this].side == Side::Before {
            let (_, east) = places[before].reach(&bars[before]);
            let room = places[this].at - east;
            places[this].text = shortened(&places[this].text, room);
        }
        if places[before].side == Side::Behind {
            let (west, _) = places[this].reach(&bars[this]);
            let room = west - GAP - places[before].at;
            places[before].text = shortened(&places[before].text, room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: (f64, f64) = (0.0, 900.0);

    fn bar(from: f64, to: f64, label: &str) -> Bar<'_> {
        Bar { from, to, label }
    }

    fn lanes(bars: &[Bar<'_>]) -> Vec<usize> {
        places(bars, ENDS).into_iter().map(|place| place.lane).collect()
    }

    #[test]
    fn faults_at_the_same_time_have_lanes_of_their_own() {
        let cut = |from, to| bar(from, to, "cut");
        let bars = [cut(0.0, 500.0), cut(100.0, 200.0), cut(300.0, 400.0), cut(500.0, 600.0)];
        assert_eq!(lanes(&bars), [0, 1, 1, 0]);
        let many: Vec<Bar<'_>> = (0..20).map(|_| cut(0.0, 900.0)).collect();
        assert_eq!(lanes(&many).into_iter().max(), Some(MOST_LANES - 1));
    }

    #[test]
    fn a_bar_lies_in_another_lane_if_it_would_cut_a_label() {
        let bars = [
            bar(10.0, 30.0, "frozen: node[1]"),
            bar(60.0, 80.0, "frozen: node[2]"),
            bar(300.0, 310.0, "frozen: node[3]"),
            bar(880.0, 890.0, "frozen: node[4]"),
        ];
        assert_eq!(lanes(&bars), [0, 1, 0, 0]);
        let last = places(&bars, ENDS).pop().expect("there are four");
        assert_eq!((last.side, last.text.as_str()), (Side::Before, "frozen: node[4]"));
    }

    #[test]
    fn nothing_covers_a_label_however_many_there_are() {
        let bars: Vec<Bar<'_>> = (0..80)
            .map(|n| f64::from(n) * 10.0)
            .map(|x| bar(x, x + 3.0, "frozen: node[1]"))
            .collect();
        let places = places(&bars, ENDS);
        assert!(places.iter().any(|place| place.text.ends_with('…')), "{places:?}");
        for lane in 0..MOST_LANES {
            let of_lane = bars.iter().zip(&places).filter(|(_, place)| place.lane == lane);
            let mut end = 0.0;
            for (bar, place) in of_lane {
                let (west, east) = place.reach(bar);
                assert!(end <= west + 1e-9, "{lane}: {end} {west} {place:?}");
                end = east;
            }
        }
    }

    #[test]
    fn a_label_that_fits_nowhere_ends_with_an_ellipsis() {
        let long = "islands ".repeat(20);
        let place = &places(&[bar(100.0, 600.0, &long)], ENDS)[0];
        assert!(place.side == Side::Inside && place.text.ends_with('…'), "{place:?}");
        assert!(width(&place.text) <= 490.0, "{place:?}");
    }
}
