//! What is written down while a cluster runs: who saw whom how, which processes ran, what was sent.
//!
//! The world calls it; it never changes anything.

use std::collections::BTreeMap;
use std::time::Duration;

use chisme_proto::{Event, Instant, MemberState, NodeName};

use crate::dissect;
use crate::network::Datagram;
use crate::outcome::{Captured, Change, Flight, ProcessChange, ProcessState, Seen, Story, Traffic};
use crate::run::Keep;

/// The width of a bar of traffic, in seconds.
const BUCKET: f64 = 1.0;

/// The most datagrams that are kept one by one, as lines or as bytes.
const MAX_KEPT: usize = 200_000;

/// Everything that is written down.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// By name, the first machine that bore it.
    names: BTreeMap<NodeName, u32>,
    /// Machines that bear the name of another: what is seen of it is told of the other.
    twins: BTreeMap<u32, u32>,
    pub(crate) changes: Vec<Change>,
    acquainted: Option<(f64, u32)>,
    pub(crate) processes: Vec<ProcessChange>,
    /// What was sent, by kind.
    pub(crate) sent: BTreeMap<&'static str, Traffic>,
    /// The same by kind and second, if a story is wanted.
    traffic: BTreeMap<&'static str, Vec<Traffic>>,
    flights: Vec<Flight>,
    captured: Vec<Captured>,
    keep: Keep,
}

/// Virtual time in seconds.
pub(crate) fn seconds(at: Instant) -> f64 {
    at.as_nanos() as f64 / 1e9
}

impl Recorder {
    pub(crate) fn new(keep: &Keep) -> Self {
        Self { keep: keep.clone(), ..Self::default() }
    }

    /// A machine has this name from now on.
    pub(crate) fn name(&mut self, node: usize, name: &NodeName) {
        let first = *self.names.entry(name.clone()).or_insert(number(node));
        if first != number(node) {
            self.twins.insert(number(node), first);
        }
    }

    pub(crate) fn process(&mut self, node: usize, to: ProcessState, at: Instant) {
        self.processes.push(ProcessChange { at: seconds(at), node: number(node), to });
    }

    /// All of so many machines see each other.
    pub(crate) fn acquainted(&mut self, machines: usize, at: Instant) {
        if !self.keep.story {
            return;
        }
        let (at, machines) = (seconds(at), number(machines));
        self.acquainted = Some((at, machines));
        for observer in 0..machines {
            let others = (0..machines).filter(|subject| *subject != observer);
            let sees = |subject| Change { at, observer, subject, to: Seen::Alive };
            self.changes.extend(others.map(sees));
        }
    }

    pub(crate) fn event(&mut self, observer: usize, event: &Event, at: Instant) {
        if !self.keep.story {
            return;
        }
        let (member, to) = match event {
            Event::Up(member) | Event::Recovered(member) => (member, Seen::Alive),
            Event::Suspect(member) => (member, Seen::Suspect),
            Event::Down(member) => (member, Seen::Down),
            Event::Left(member) => (member, Seen::Left),
            Event::Updated(member) => (
                member,
                match member.state {
                    MemberState::Suspect => Seen::Suspect,
                    _ => Seen::Alive,
                },
            ),
            _ => return,
        };
        // Names that the scenario did not give out exist only in an attacker's mind.
        let Some(&subject) = self.names.get(&member.name) else { return };
        self.changes.push(Change { at: seconds(at), observer: number(observer), subject, to });
    }

    pub(crate) fn sent(&mut self, kind: &'static str, bytes: usize, at: Instant) {
        let count = |traffic: &mut Traffic| {
            traffic.datagrams += 1;
            traffic.bytes += bytes as u64;
        };
        count(self.sent.entry(kind).or_default());
        if self.keep.story {
            let bucket = (seconds(at) / BUCKET) as usize;
            let buckets = self.traffic.entry(kind).or_default();
            if buckets.len() <= bucket {
                buckets.resize(bucket + 1, Traffic::default());
            }
            count(&mut buckets[bucket]);
        }
    }

    /// Whether datagrams of this moment are kept one by one.
    pub(crate) fn wants_datagrams(&self, at: Instant) -> bool {
        let at = seconds(at);
        let inside = self.keep.window.is_none_or(|(from, to)| (from..to).contains(&at));
        inside && (self.keep.capture || self.keep.window.is_some())
    }

    /// A datagram on its way; `arrives` is none if it is lost or kept back.
    pub(crate) fn flight(
        &mut self,
        (from, to): (usize, usize),
        datagram: &Datagram,
        at: Instant,
        arrives: Option<Duration>,
    ) {
        if self.keep.window.is_some() && self.flights.len() < MAX_KEPT {
            // Whoever is no machine is not drawn.
            if let (Ok(from), Ok(to)) = (u32::try_from(from), u32::try_from(to))
                && to != u32::MAX
            {
                self.flights.push(Flight {
                    sent: seconds(at),
                    arrived: arrives.map(|after| seconds(at + after)),
                    from,
                    to,
                    kind: dissect::kind(&datagram.bytes).to_owned(),
                    bytes: u32::try_from(datagram.bytes.len()).unwrap_or(u32::MAX),
                });
            }
        }
        if self.keep.capture && self.captured.len() < MAX_KEPT {
            let Datagram { from, to, bytes } = datagram.clone();
            self.captured.push(Captured { at: at.as_nanos(), from, to, bytes });
        }
    }

    /// Everything, as reports draw it. The machines have these labels.
    pub(crate) fn into_story(self, nodes: Vec<String>, seconds: f64) -> Story {
        let missing = missing(nodes.len(), &self.twins, &self.changes, &self.processes);
        let named = self.traffic.into_iter();
        Story {
            nodes,
            seconds,
            changes: self.changes,
            acquainted: self.acquainted,
            processes: self.processes,
            bucket: BUCKET,
            traffic: named.map(|(kind, buckets)| (kind.to_owned(), buckets)).collect(),
            missing,
            flights: self.flights,
            captured: self.captured,
            ..Story::default()
        }
    }
}

/// How many pairs of nodes were wrong about each other, whenever that changed: of two that run one
/// does not see the other, or somebody sees one that does not run.
fn missing(
    nodes: usize,
    twins: &BTreeMap<u32, u32>,
    changes: &[Change],
    processes: &[ProcessChange],
) -> Vec<(f64, u64)> {
    // Nobody can see two that share a name, and neither of them the other.
    let counts = |observer: usize, subject: usize| {
        let (observer, subject) = (number(observer), number(subject));
        !twins.contains_key(&subject) && twins.get(&observer) != Some(&subject)
    };
    let mut runs = vec![false; nodes];
    let mut sees = vec![vec![false; nodes]; nodes];
    let mut happened: Vec<(f64, Result<&ProcessChange, &Change>)> = Vec::new();
    happened.extend(processes.iter().map(|process| (process.at, Ok(process))));
    happened.extend(changes.iter().map(|change| (change.at, Err(change))));
    // A process starts before it sees anything; the sort is stable.
    happened.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wrong, mut points) = (0_i64, vec![(0.0, 0)]);
    for (at, what) in happened {
        match what {
            Ok(process) if (process.node as usize) < nodes => {
                let node = process.node as usize;
                let now = matches!(process.to, ProcessState::Running | ProcessState::Frozen);
                let count = |runs: &[bool], sees: &[Vec<bool>]| {
                    let is_wrong = |o: usize, s: usize| {
                        o != s && runs[o] && sees[o][s] != runs[s] && counts(o, s)
                    };
                    let pairs = (0..nodes).map(|other| {
                        i64::from(is_wrong(node, other)) + i64::from(is_wrong(other, node))
                    });
                    pairs.sum::<i64>()
                };
                wrong -= count(&runs, &sees);
                if now && !runs[node] {
                    sees[node].fill(false);
                }
                runs[node] = now;
                wrong += count(&runs, &sees);
            }
            Err(change) => {
                let (o, s) = (change.observer as usize, change.subject as usize);
                if o >= nodes || s >= nodes || o == s || !counts(o, s) {
                    continue;
                }
                let now = matches!(change.to, Seen::Alive | Seen::Suspect);
                if runs[o] && sees[o][s] != now {
                    wrong += if now == runs[s] { -1 } else { 1 };
                }
                sees[o][s] = now;
            }
            Ok(_) => continue,
        }
        let count = u64::try_from(wrong).unwrap_or(0);
        match points.last_mut() {
            Some(last) if last.0 == at => last.1 = count,
            Some(last) if last.1 == count => {}
            _ => points.push((at, count)),
        }
    }
    points
}

fn number(node: usize) -> u32 {
    u32::try_from(node).expect("a simulation has fewer machines than that")
}
