//! What one process did: its events with their times, its answers, and how it ended.

use std::time::Duration;

use chisme_proto::{
    ContactReport, Event, Instant, MemberView, NodeName, NodeStatus, RecordError, RequestId,
    StopReason,
};

use crate::view::View;

/// Everything that one process has told its user, from its start to its end.
#[derive(Debug, Default)]
pub struct Record {
    /// Its events, in order.
    pub events: Vec<(Instant, Event)>,
    /// Answers to `connect`.
    pub connected: Vec<(RequestId, Vec<ContactReport>)>,
    /// Answers to `ping`.
    pub ponged: Vec<(RequestId, Option<Duration>)>,
    /// Answers to changes of its own record of tags and services.
    pub edited: Vec<(RequestId, Result<(), RecordError>)>,
    /// Why it stopped by itself, if it did, and when.
    pub stopped: Option<(Instant, StopReason)>,
    /// Its counters and sizes at its end.
    pub last_status: Option<NodeStatus>,
    pub(crate) view: View,
}

/// A change of membership in two words: `up n1`, `down n2`; none for events of another kind.
pub fn describe(event: &Event) -> Option<String> {
    change(event).map(|(verb, member)| format!("{verb} {}", label(&member.name)))
}

/// The member whose state an event is about.
pub(crate) fn concerns(event: &Event) -> Option<&NodeName> {
    change(event).map(|(_, member)| &member.name)
}

fn change(event: &Event) -> Option<(&'static str, &MemberView)> {
    match event {
        Event::Up(member) => Some(("up", member)),
        Event::Suspect(member) => Some(("suspect", member)),
        Event::Recovered(member) => Some(("recovered", member)),
        Event::Down(member) => Some(("down", member)),
        Event::Left(member) => Some(("left", member)),
        Event::Updated(member) => Some(("updated", member)),
        _ => None,
    }
}

/// The label of a node: its name without the host that all machines of the simulation share.
pub(crate) fn label(name: &NodeName) -> String {
    let text = name.as_str();
    text.strip_suffix("@sim").unwrap_or(text).to_owned()
}
