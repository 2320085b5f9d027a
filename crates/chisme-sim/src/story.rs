//! What is written down while a cluster runs: who saw whom how, which processes ran, what was sent.
//!
//! The world calls it; it never changes anything.

use std::collections::BTreeMap;

use chisme_proto::{Event, Instant, MemberState, NodeName};

use crate::outcome::{Change, ProcessChange, ProcessState, Seen, Traffic};

/// Everything that is written down.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    names: BTreeMap<NodeName, u32>,
    pub(crate) changes: Vec<Change>,
    pub(crate) processes: Vec<ProcessChange>,
    /// What was sent, by kind.
    pub(crate) sent: BTreeMap<&'static str, Traffic>,
}

/// Virtual time in seconds.
pub(crate) fn seconds(at: Instant) -> f64 {
    at.as_nanos() as f64 / 1e9
}

impl Recorder {
    /// A machine has this name from now on.
    pub(crate) fn name(&mut self, node: usize, name: &NodeName) {
        self.names.insert(name.clone(), number(node));
    }

    pub(crate) fn process(&mut self, node: usize, to: ProcessState, at: Instant) {
        self.processes.push(ProcessChange { at: seconds(at), node: number(node), to });
    }

    pub(crate) fn event(&mut self, observer: usize, event: &Event, at: Instant) {
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

    pub(crate) fn sent(&mut self, kind: &'static str, bytes: usize) {
        let traffic = self.sent.entry(kind).or_default();
        traffic.datagrams += 1;
        traffic.bytes += bytes as u64;
    }
}

fn number(node: usize) -> u32 {
    u32::try_from(node).expect("a simulation has fewer machines than that")
}
