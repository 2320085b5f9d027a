//! Who sees whom how: the changes, packed for the page's script, and a drawing of one moment for
//! readers without one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::json;

use super::text::{base64, escape, script_json, time};
use crate::outcome::{ProcessState, Seen, Story};

/// Of larger clusters only so many nodes are drawn: a screen has no more room.
const MOST_NODES: usize = 512;
/// How many states a view can have.
const STATES: usize = 5;

/// A story as the heat map needs it.
pub(crate) struct Heat<'a> {
    story: &'a Story,
    /// The nodes that are drawn.
    nodes: Vec<u32>,
    /// In the order of time; of events at one moment starts and ends of processes come first.
    events: Vec<(f64, Event)>,
    /// The moment that is shown at first.
    pub(crate) moment: f64,
}

#[derive(Clone, Copy)]
enum Event {
    View { observer: usize, subject: usize, to: Seen },
    Process { node: usize, to: ProcessState },
}

impl<'a> Heat<'a> {
    pub(crate) fn of(story: &'a Story) -> Self {
        let nodes = drawn(story);
        let place: BTreeMap<u32, usize> =
            nodes.iter().enumerate().map(|(place, node)| (*node, place)).collect();
        let processes = story.processes.iter().filter_map(|change| {
            let node = *place.get(&change.node)?;
            Some((change.at, Event::Process { node, to: change.to }))
        });
        let views = story.changes.iter().filter_map(|change| {
            let observer = *place.get(&change.observer)?;
            let subject = *place.get(&change.subject)?;
            Some((change.at, Event::View { observer, subject, to: change.to }))
        });
        let mut events: Vec<(f64, Event)> = processes.chain(views).collect();
        events.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self { story, nodes, events, moment: moment(story) }
    }

    /// What is to be said when not all nodes are drawn.
    pub(crate) fn note(&self) -> Option<String> {
        let (drawn, all) = (self.nodes.len(), self.story.nodes.len());
        (drawn < all)
            .then(|| format!("{drawn} of {all} nodes are drawn, those with faults among them."))
    }

    /// For the page's script: names, faults, and the changes as base64 of pairs of numbers in bytes of seven
    /// bits, lowest first. The first is the time since the one before in milliseconds. The second
    /// is (observer * nodes + subject) * 5 + state for a view, and nodes * nodes * 5 + node * 5 +
    /// state for a process.
    pub(crate) fn data(&self) -> String {
        let count = self.nodes.len();
        let mut bytes = Vec::with_capacity(self.events.len() * 5);
        let mut before = 0;
        for (at, event) in &self.events {
            let at = (at * 1e3).round().max(0.0) as u64;
            number(&mut bytes, at.saturating_sub(before));
            before = before.max(at);
            number(&mut bytes, code(*event, count) as u64);
        }
        let faults = self.story.faults.iter();
        let faults: Vec<_> = faults.map(|one| json!([one.from, one.to, one.label])).collect();
        script_json(&json!({
            "nodes": self.names(),
            "seconds": self.story.seconds,
            "moment": self.moment,
            "faults": faults,
            "changes": base64(&bytes),
        }))
    }

    fn names(&self) -> Vec<&str> {
        let name = |node: &u32| self.story.nodes.get(*node as usize).map_or("?", String::as_str);
        self.nodes.iter().map(name).collect()
    }

    /// The heat map of one moment as a drawing.
    pub(crate) fn drawing(&self) -> String {
        let count = self.nodes.len();
        let cell = (640.0 / count.max(1) as f64).clamp(2.0, 26.0);
        let rows = self.state_at(self.moment);
        let mut paths: BTreeMap<&str, String> = BTreeMap::new();
        for (y, row) in rows.iter().enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|one, other| one == other) {
                let path = paths.entry(run[0]).or_default();
                write!(path, "M{x} {y}h{}v1h-{}z", run.len(), run.len()).expect("it grows");
                x += run.len();
            }
        }
        let paths = paths.iter().fold(String::new(), |all, (class, path)| {
            all + &format!("<path class=\"view {class}\" d=\"{path}\"/>")
        });
        let size = cell * count as f64;
        let label = format!(
            "Views of {count} nodes at {}: a row for each observer, a column for each subject",
            time(self.moment)
        );
        format!(
            "<svg class=\"heat-still\" width=\"{size:.0}\" height=\"{size:.0}\" \
             viewBox=\"0 0 {count} {count}\" role=\"img\" shape-rendering=\"crispEdges\" \
             aria-label=\"{}\">{paths}</svg>",
            escape(&label)
        )
    }

    /// The class of every cell at a moment.
    fn state_at(&self, moment: f64) -> Vec<Vec<&'static str>> {
        let count = self.nodes.len();
        let mut cells = vec![vec!["unknown"; count]; count];
        let mut processes = vec![ProcessState::Stopped; count];
        for (_, event) in self.events.iter().take_while(|(at, _)| *at <= moment) {
            match *event {
                Event::View { observer, subject, to } => {
                    cells[observer][subject] = CLASSES[seen(to)];
                }
                Event::Process { node, to } => {
                    let was = std::mem::replace(&mut processes[node], to);
                    if to == ProcessState::Running && was != ProcessState::Frozen {
                        cells[node].fill("unknown");
                    }
                }
            }
        }
        for (node, process) in processes.into_iter().enumerate() {
            if !matches!(process, ProcessState::Running | ProcessState::Frozen) {
                cells[node].fill("off");
            }
            cells[node][node] = if process == ProcessState::Running { "self" } else { "off" };
        }
        cells
    }
}

const CLASSES: [&str; STATES] = ["unknown", "alive", "suspect", "down", "left"];

const fn seen(to: Seen) -> usize {
    match to {
        Seen::Unknown => 0,
        Seen::Alive => 1,
        Seen::Suspect => 2,
        Seen::Down => 3,
        Seen::Left => 4,
    }
}

fn code(event: Event, count: usize) -> usize {
    match event {
        Event::View { observer, subject, to } => (observer * count + subject) * STATES + seen(to),
        Event::Process { node, to } => {
            let state = match to {
                ProcessState::Running => 0,
                ProcessState::Frozen => 1,
                ProcessState::Crashed => 2,
                ProcessState::Left => 3,
                ProcessState::Stopped => 4,
            };
            (count * count + node) * STATES + state
        }
    }
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        bytes.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// All nodes if there is room, else first those that faults concern.
fn drawn(story: &Story) -> Vec<u32> {
    let count = u32::try_from(story.nodes.len()).unwrap_or(u32::MAX);
    let ended = story.processes.iter().filter(|change| change.to != ProcessState::Running);
    let ended = ended.map(|change| change.node);
    let faulty = story.faults.iter().filter(|fault| fault.nodes.len() < MOST_NODES / 2);
    let concerned = ended.chain(faulty.flat_map(|fault| fault.nodes.iter().copied()));
    let mut nodes: BTreeSet<u32> = BTreeSet::new();
    for node in concerned.chain(0..count).filter(|node| *node < count) {
        if nodes.len() >= MOST_NODES {
            break;
        }
        nodes.insert(node);
    }
    nodes.into_iter().collect()
}

/// When there is most to see: the middle of the longest time in which at least half as many pairs
/// were missing as at most after all views were complete; else the middle of the first fault; else
/// the end.
fn moment(story: &Story) -> f64 {
    let formed = story.formed_at.unwrap_or(0.0);
    let ends = story.missing.iter().skip(1).map(|(at, _)| *at).chain([story.seconds]);
    let spans: Vec<(f64, f64, u64)> = story
        .missing
        .iter()
        .zip(ends)
        .map(|((from, pairs), to)| (*from, to, *pairs))
        .filter(|(from, ..)| *from >= formed)
        .collect();
    let most = spans.iter().map(|(.., pairs)| *pairs).max().unwrap_or(0);
    let is_bad = |span: &(f64, f64, u64)| span.2 > 0 && span.2 * 2 >= most;
    let bad = spans.chunk_by(|one, other| is_bad(one) == is_bad(other));
    let bad = bad.filter(|chunk| chunk.first().is_some_and(is_bad));
    let bad = bad.filter_map(|chunk| Some((chunk.first()?.0, chunk.last()?.1)));
    let longest =
        bad.reduce(|one, other| if other.1 - other.0 > one.1 - one.0 { other } else { one });
    let fault = || story.faults.first().map(|fault| (fault.from, fault.to));
    let (from, to) = longest.or_else(fault).unwrap_or((story.seconds, story.seconds));
    f64::midpoint(from, to).min(story.seconds)
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    fn story() -> Story {
        sample::run().story.expect("it has one")
    }

    #[test]
    fn the_state_at_a_moment_is_what_came_before() {
        let story = story();
        let heat = Heat::of(&story);
        assert_eq!(heat.state_at(0.1)[0], ["self", "unknown", "unknown", "unknown"]);
        let crashed = heat.state_at(16.5);
        assert_eq!(crashed[0], ["self", "alive", "alive", "down"]);
        assert_eq!(crashed[1], ["alive", "self", "alive", "suspect"]);
        assert_eq!(crashed[3], ["off"; 4]);
    }

    #[test]
    fn the_first_moment_is_in_the_longest_of_the_bad_times() {
        let mut story = story();
        // From 10 to 17 s at least two of three pairs.
        assert!((moment(&story) - 13.5).abs() < 1e-9);
        story.missing.clear();
        assert!((moment(&story) - 10.0).abs() < 1e-9, "the fault");
        story.faults.clear();
        assert!((moment(&story) - 20.0).abs() < 1e-9, "the end");
    }

    #[test]
    fn changes_are_packed_as_the_script_reads_them() {
        let mut bytes = Vec::new();
        number(&mut bytes, 5);
        number(&mut bytes, 300);
        assert_eq!(bytes, [5, 0b1010_1100, 2]);
        let down = Event::View { observer: 1, subject: 2, to: Seen::Down };
        assert_eq!(code(down, 4), (4 + 2) * 5 + 3);
        let left = Event::Process { node: 3, to: ProcessState::Left };
        assert_eq!(code(left, 4), (16 + 3) * 5 + 3);
    }

    #[test]
    fn five_noisy_minutes_of_128_nodes_are_small() {
        let mut story = story();
        story.nodes = (0..128).map(|n| format!("n{n}")).collect();
        story.seconds = 300.0;
        let change = |n: u32| crate::outcome::Change {
            at: f64::from(n) * 3e-4,
            observer: n * 7 % 128,
            subject: n * 31 % 127,
            to: [Seen::Alive, Seen::Suspect, Seen::Down][n as usize % 3],
        };
        story.changes = (0..500_000).map(change).collect();
        assert!(Heat::of(&story).data().len() < 3_500_000);
    }

    #[test]
    fn of_a_large_cluster_the_faulty_nodes_are_drawn() {
        let mut story = story();
        story.nodes = (0..2_000).map(|n| format!("n{n}")).collect();
        story.faults[0].nodes = vec![1_999];
        let nodes = drawn(&story);
        assert_eq!(nodes.len(), MOST_NODES);
        assert!(nodes.contains(&1_999) && nodes.contains(&0));
        assert!(Heat::of(&story).note().is_some_and(|note| note.contains("of 2000 nodes")));
    }
}
