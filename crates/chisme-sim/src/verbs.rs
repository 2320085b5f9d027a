//! What can be done to machines and links besides starting, ending and cutting off.

use crate::cluster::Cluster;
use crate::outcome::ProcessState;
use chisme_proto::Input;

impl Cluster {
    /// Stops a process as SIGSTOP does: datagrams wait in its socket, its timers do not run.
    pub fn freeze(&mut self, label: &str) {
        let index = self.index(label);
        assert!(self.freeze_at(index), "{label} does not run");
    }

    pub(crate) fn freeze_at(&mut self, index: usize) -> bool {
        let Some(process) = &mut self.hosts[index].process else { return false };
        process.frozen += 1;
        if process.frozen == 1 {
            self.process_is(index, ProcessState::Frozen);
        }
        true
    }

    /// Lets a frozen process go on: first it takes what has arrived, then its timers fire.
    pub fn thaw(&mut self, label: &str) {
        let index = self.index(label);
        assert!(self.hosts[index].is_frozen(), "{label} is not frozen");
        self.thaw_at(index);
    }

    pub(crate) fn thaw_at(&mut self, index: usize) {
        let Some(process) = &mut self.hosts[index].process else { return };
        process.frozen = process.frozen.saturating_sub(1);
        if process.frozen > 0 {
            return;
        }
        let seeds_came = std::mem::take(&mut process.seeds_came);
        self.process_is(index, ProcessState::Running);
        self.read_now(index);
        if seeds_came {
            let contacts = self.resolve_seeds(index);
            self.feed(index, Input::SeedsResolved(contacts));
        }
        self.feed(index, Input::Timeout);
        self.read_later(index);
    }
}
