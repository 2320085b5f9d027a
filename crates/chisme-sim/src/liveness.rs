//! Whether the views are right: what must hold once the faults are over.
//!
//! It compares what nodes show with what machines do, at one moment.

use std::collections::{BTreeMap, BTreeSet};

use chisme_proto::{NodeName, Session};

use crate::cluster::Cluster;
use crate::member::Member;
use crate::record::label;

impl Cluster {
    /// Whether every node shows who runs, and nobody else, as far as nothing keeps it from knowing.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong().is_none()
    }

    /// Whose view is wrong, and how. With a fault that never ends there are pairs that cannot know
    /// of each other; of those nothing is demanded.
    pub(crate) fn wrong(&self) -> Option<String> {
        let lasting = self.watch.as_ref().is_some_and(|watch| watch.disturbances.go_on(self.now));
        if !lasting {
            if !self.is_complete() {
                return Some(self.why_incomplete());
            }
            return self.unknown_record();
        }
        let running = self.hosts.iter().filter(|host| host.process.is_some());
        let running: BTreeSet<&NodeName> = running.map(|host| &host.setup.name).collect();
        (0..self.hosts.len()).find_map(|observer| self.wrong_at(observer, &running))
    }

    /// Who does not know what another says of itself, if anybody says anything from its start on.
    fn unknown_record(&self) -> Option<String> {
        if self.hosts.iter().all(|host| host.setup.record.is_empty()) {
            return None;
        }
        let running = || {
            let awake = self.hosts.iter().filter(|host| !host.is_frozen());
            awake.filter_map(|host| Some((host, &host.process.as_ref()?.node)))
        };
        running().find_map(|(subject, node)| {
            let local = node.local();
            let is_known = |observer: &Member| {
                let view = observer.member(&local.name);
                view.is_none_or(|view| view.record == local.record)
            };
            let mut observers = running().filter(|(_, observer)| !is_known(observer));
            let (observer, _) = observers.next()?;
            let (observer, subject) = (&observer.label, &subject.label);
            Some(format!("{observer} does not know what {subject} says of itself"))
        })
    }

    fn wrong_at(&self, observer: usize, running: &BTreeSet<&NodeName>) -> Option<String> {
        let host = &self.hosts[observer];
        let process = host.process.as_ref().filter(|_| !host.is_frozen())?;
        let shown: BTreeMap<NodeName, Session> = process
            .node
            .members()
            .into_iter()
            .filter(|member| member.state.is_up())
            .map(|member| (member.name, member.session))
            .collect();
        // Of two machines with one name the one that runs counts.
        let counts = |subject: usize| {
            let host = &self.hosts[subject];
            host.process.is_some() || !running.contains(&host.setup.name)
        };
        (0..self.hosts.len())
            .filter(|&subject| self.can_know(observer, subject) && counts(subject))
            .find_map(|subject| {
                let subject = &self.hosts[subject];
                let local = subject.process.as_ref().map(|process| process.node.local());
                let name = local.as_ref().map_or(&subject.setup.name, |local| &local.name);
                let (seen, is) = (shown.get(name), local.as_ref().map(|local| &local.session));
                (seen != is)
                    .then(|| format!("{} sees {}: {seen:?}, not {is:?}", host.label, label(name)))
            })
    }

    fn can_know(&self, observer: usize, subject: usize) -> bool {
        let Some(watch) = &self.watch else { return true };
        let (all, now) = (&watch.disturbances, self.now);
        observer != subject
            && !all.impaired(observer, now, now)
            && !all.impaired(subject, now, now)
            && !all.silenced(observer, subject, now, now)
            && !all.silenced(subject, observer, now, now)
    }
}
