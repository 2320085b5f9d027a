//! A cluster whose nodes know each other from the start.

use std::collections::BTreeMap;

use chisme_proto::{Assumed, Command, Event, Input, NameHash, Output};

use crate::cluster::Cluster;
use crate::view::Acquaintance;

/// So many members are told of at once, so that what a node says of it does not pile up.
const AT_ONCE: usize = 256;

impl Cluster {
    /// Tells every node of every other. Each must say that it sees them, and nothing else; what it
    /// wants done besides is done.
    ///
    /// For clusters whose nodes have all just been started: what they believed before is dropped.
    pub(crate) fn acquaint(&mut self) {
        let everybody = self.hosts.iter().filter_map(|host| {
            let local = host.process.as_ref()?.node.local();
            let (session, endpoints) = (local.session, local.endpoints);
            let hash = NameHash::of(&local.name);
            Some((hash, Assumed { name: local.name, session, endpoints }))
        });
        // In this order a table grows at its end.
        let everybody: BTreeMap<NameHash, Assumed> = everybody.collect();
        let everybody: Vec<Assumed> = everybody.into_values().collect();
        let rows = everybody.iter().map(|member| (member.name.clone(), member.session));
        let acquaintance = Acquaintance::of(rows);
        for index in 0..self.hosts.len() {
            self.acquaint_one(index, &everybody);
            let host = &mut self.hosts[index];
            host.record.view = acquaintance.view_of(&host.setup.name);
        }
        if let Some(watch) = &mut self.watch {
            watch.acquainted();
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.acquainted(self.hosts.len(), self.now);
        }
        self.check_snapshots();
    }

    fn acquaint_one(&mut self, index: usize, everybody: &[Assumed]) {
        let own = self.hosts[index].setup.name.clone();
        for some in everybody.chunks(AT_ONCE) {
            let local = self.hosts[index].clock.local(self.now);
            let Some(process) = &mut self.hosts[index].process else { return };
            let assume = Input::Command(Command::Assume(some.to_vec()));
            process.node.handle_input(assume, local);
            let mut expected = some.iter().filter(|member| member.name != own);
            while let Some(process) = &mut self.hosts[index].process {
                let Some(output) = process.node.poll_output() else { break };
                let Output::Event(Event::Up(seen)) = &output else {
                    self.carry_out(index, output);
                    continue;
                };
                let told = expected.next().map(|member| (&member.name, member.session));
                if told != Some((&seen.name, seen.session)) {
                    self.fail(&format!("{own} was told of {told:?} and sees {seen:?}"));
                }
            }
            if let Some(missing) = expected.next() {
                self.fail(&format!("{own} was told of {missing:?} and does not see it"));
            }
        }
        self.set_alarm(index);
    }
}
