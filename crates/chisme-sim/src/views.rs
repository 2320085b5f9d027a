//! What an embedder's own logic sees of a cluster, and what a test demands of it.

use std::collections::BTreeSet;
use std::time::Duration;

use chisme_proto::{Event, Instant, NodeName};

use crate::cluster::Cluster;
use crate::record::{Record, describe, label};

/// How many of a node's last events a failure shows.
const SHOWN: usize = 8;

impl Cluster {
    /// Who is up in the view of a node, itself among them, sorted: what a service reads from
    /// `members()`.
    pub fn view_of(&self, of: &str) -> BTreeSet<String> {
        let mut view = self.up_view(of);
        view.insert(of.to_owned());
        view
    }

    /// Everything that the present process of a machine, or its last one, has told its user, in
    /// order: what a service reads from `events()`.
    pub fn events_of(&self, of: &str) -> &[(Instant, Event)] {
        &self.record(of).events
    }

    /// Demands that a node sees exactly these up, itself among them.
    pub fn assert_view(&self, of: &str, is: &[&str]) {
        if let Some(wrong) = self.wrong_view(of, is) {
            self.fail(&wrong);
        }
    }

    /// Lets time pass until a node sees exactly these up, itself among them; gives how long it took.
    pub fn expect_view_within(&mut self, limit: Duration, of: &str, is: &[&str]) -> Duration {
        let since = self.now();
        if !self.run_until(limit, |cluster| cluster.wrong_view(of, is).is_none())
            && let Some(wrong) = self.wrong_view(of, is)
        {
            self.fail(&format!("not within {limit:?}: {wrong}"));
        }
        self.now() - since
    }

    /// Demands that nobody has ever called one of these machines Down, not even a process that has
    /// ended since.
    pub fn assert_never_down(&self, these: &[&str]) {
        let name = |label: &&str| &self.hosts[self.index(label)].setup.name;
        let names: Vec<&NodeName> = these.iter().map(name).collect();
        let earlier = self.earlier_downs.iter().map(|(observer, at, name)| (*observer, *at, name));
        let records = self.hosts.iter().map(|host| &host.record).enumerate();
        let present = records.flat_map(|(observer, record)| {
            downs(record).map(move |(at, name)| (observer, at, name))
        });
        for (observer, at, name) in earlier.chain(present) {
            if names.contains(&name) {
                let (observer, when) = (&self.hosts[observer].label, at - Instant::default());
                self.fail(&format!("{observer} called {} Down at {when:?}", label(name)));
            }
        }
    }

    /// In what a view is not as demanded, with what led to it.
    fn wrong_view(&self, of: &str, is: &[&str]) -> Option<String> {
        let wanted: BTreeSet<String> = is.iter().map(|&label| label.to_owned()).collect();
        let seen = self.view_of(of);
        if seen == wanted {
            return None;
        }
        let list = |labels: Vec<&String>| {
            labels.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        let missing: Vec<&String> = wanted.difference(&seen).collect();
        if !missing.is_empty() {
            parts.push(format!("{of} does not see {}", list(missing)));
        }
        let more: Vec<&String> = seen.difference(&wanted).collect();
        if !more.is_empty() {
            parts.push(format!("{of} sees {} besides", list(more)));
        }
        parts.push(format!("it sees {}", list(seen.iter().collect())));
        let events = self.events_of(of).iter().filter_map(|(at, event)| {
            Some(format!("{} at {:?}", describe(event)?, *at - Instant::default()))
        });
        let events: Vec<String> = events.collect();
        let last = &events[events.len().saturating_sub(SHOWN)..];
        parts.push(format!("its last events: {}", last.join(", ")));
        Some(parts.join("; "))
    }
}

/// Whom a process has called Down, and when.
pub(crate) fn downs(record: &Record) -> impl Iterator<Item = (Instant, &NodeName)> {
    record.events.iter().filter_map(|(at, event)| match event {
        Event::Down(member) => Some((*at, &member.name)),
        _ => None,
    })
}
