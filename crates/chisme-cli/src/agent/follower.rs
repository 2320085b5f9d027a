//! The events of a node as lines: for a client of the control socket, the agent's stdout and its log.

use std::sync::Arc;
use std::time::SystemTime;

use chisme::{Cluster, Event, Events, Snapshot};

use super::notices;
use super::view::{Change, View};
use crate::control::wire::{EventLine, unix_nanos};

/// Turns events into changes of a view, and says what was lost.
pub(crate) struct Follower {
    cluster: Cluster,
    events: Events,
    view: View,
    ready: Vec<EventLine>,
}

/// One event and what it changed.
pub(crate) struct Step {
    /// When it was seen.
    pub(crate) at: SystemTime,
    /// The event.
    pub(crate) event: Event,
    /// What is different now.
    pub(crate) changes: Vec<Change>,
}

impl Follower {
    /// Follows `cluster` from now on.
    pub(crate) fn new(cluster: Cluster) -> Self {
        let events = cluster.events();
        Self { cluster, events, view: View::default(), ready: Vec::new() }
    }

    /// The next event; none when the node has stopped.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        let event = self.events.next().await?;
        let at = SystemTime::now();
        let changes = self.view.apply(&event);
        Some(Step { at, event, changes })
    }

    /// Members that are up, this node included.
    pub(crate) fn n(&self) -> usize {
        self.view.n()
    }

    /// The next line for a client, as JSON with its line ending.
    pub(crate) async fn next_json(&mut self) -> Option<Vec<u8>> {
        while self.ready.is_empty() {
            let step = self.next().await?;
            self.ready = self.lines(&step);
            self.ready.reverse();
        }
        let mut json = serde_json::to_vec(&self.ready.pop()?).ok()?;
        json.push(b'\n');
        Some(json)
    }

    fn lines(&self, step: &Step) -> Vec<EventLine> {
        let about_node = |event: &str, detail: String| {
            vec![EventLine {
                t: unix_nanos(step.at),
                node: self.cluster.name().to_string(),
                event: event.to_owned(),
                peer: None,
                n: self.n(),
                detail: Some(detail),
            }]
        };
        let mut lines = match &step.event {
            Event::Snapshot(snapshot) => return about_node("snapshot", names(snapshot)),
            Event::Lagged(lost) => about_node("lagged", format!("{lost} events were lost")),
            Event::Stopped(reason) => about_node("stopped", format!("{reason:?}")),
            event => match notices::describe(event) {
                Some(described) => about_node(described.kind, described.text),
                None => Vec::new(),
            },
        };
        lines.extend(step.changes.iter().map(|change| self.line(step.at, change)));
        lines
    }

    /// A change as a line.
    pub(crate) fn line(&self, at: SystemTime, change: &Change) -> EventLine {
        let addrs: Vec<String> = change.endpoints.iter().map(|addr| addr.to_string()).collect();
        EventLine {
            t: unix_nanos(at),
            node: self.cluster.name().to_string(),
            event: change.event.to_owned(),
            peer: Some(change.peer.to_string()),
            n: change.n,
            detail: (!addrs.is_empty()).then(|| addrs.join(" ")),
        }
    }
}

fn names(snapshot: &Arc<Snapshot>) -> String {
    let others = snapshot.members.iter().map(|member| member.name.as_str());
    std::iter::once(snapshot.local.name.as_str()).chain(others).collect::<Vec<_>>().join(" ")
}
