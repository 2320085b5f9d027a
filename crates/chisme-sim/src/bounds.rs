//! What a node may do and hold at most, and that a datagram that it rejects changes nothing.
//!
//! It looks at one node at a time, before and after an input.

use chisme_proto::{Input, Instant, MemberView, NodeStatus};

use crate::check::Watch;
use crate::cluster::Cluster;
use crate::disturbance::{Disturbance, DisturbanceId};
use crate::member::Member;
use crate::outcome::ProcessState;
use crate::panics::Abandoned;

/// The fewest tombstones that a node may keep, and the fewest replay windows (DESIGN, Bounds).
const TOMBSTONES: usize = 256;
const WINDOWS: usize = 1_024;

/// Windows per live member beyond that.
const WINDOWS_PER_MEMBER: usize = 4;

/// What a node may send in one second: twice what it may answer in one, which bounds a storm of
/// joins, and so much for each machine of the simulation, which bounds rumours and farewells.
const SENDS_PER_SECOND: u64 = 4_000;
const SENDS_PER_MACHINE: u64 = 8;

/// In clusters up to this size every datagram is watched for what its rejection changes, and sizes
/// are looked at after every input. In larger ones, where either takes longer than the input, one
/// datagram of as many as there are machines is watched, and sizes are looked at once in a second: a
/// counter does not forget, and what has grown too large seldom shrinks.
const SMALL: usize = 48;

/// All maps and queues of a node are looked at after one input of so many, and when its process or the run
/// ends. What has grown too large stays so for a while: few of them are emptied at once.
const FILLS_OF: u64 = 64;

/// What is held against the bounds of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// Inputs so far.
    inputs: u64,
    most_live: usize,
    second: u64,
    sent: u64,
    /// The second in which its sizes were looked at last.
    looked: Option<u64>,
    /// The most datagrams that it sent within one second.
    pub(crate) peak: u64,
}

impl Sizes {
    /// One more input. Says whether all maps and queues are to be looked at after it.
    fn takes(&mut self) -> bool {
        self.inputs += 1;
        self.inputs.is_multiple_of(FILLS_OF)
    }

    /// One more datagram; gives how many it is in this second.
    fn sends(&mut self, now: Instant) -> u64 {
        let second = now.as_nanos() / 1_000_000_000;
        if second != self.second {
            (self.second, self.sent) = (second, 0);
        }
        self.sent += 1;
        self.peak = self.peak.max(self.sent);
        self.sent
    }

    /// Whether the sizes of a node are within their bounds.
    fn holds(&mut self, status: &NodeStatus, max_members: usize) -> Result<(), String> {
        self.most_live = self.most_live.max(status.live);
        let bound = |what: &str, is: usize, most: usize| {
            if is <= most { Ok(()) } else { Err(format!("{is} {what}, where {most} are the most")) }
        };
        bound("members", status.live, max_members.saturating_add(1))?;
        bound("tombstones", status.tombstones, TOMBSTONES.max(status.live))?;
        let windows = WINDOWS.max(WINDOWS_PER_MEMBER * self.most_live);
        bound("replay windows", status.windows, windows)?;
        bound("outputs dropped", count(status.counters.outputs_dropped), 0)?;
        bound("errors of foca", count(status.counters.swim_errors), 0)
    }
}

fn count(counter: u64) -> usize {
    usize::try_from(counter).unwrap_or(usize::MAX)
}

/// A node before a datagram.
pub(crate) struct Before {
    rejected: u64,
    live: usize,
    tombstones: usize,
    members: Vec<MemberView>,
}

impl Before {
    fn of(node: &Member) -> Self {
        let status = node.status();
        Self {
            rejected: rejected(&status),
            live: status.live,
            tombstones: status.tombstones,
            members: node.members(),
        }
    }

    /// What a rejection has changed, if the datagram was rejected and anything is different.
    fn disturbed(&self, node: &Member) -> Option<String> {
        let status = node.status();
        if rejected(&status) == self.rejected {
            return None;
        }
        if (status.live, status.tombstones) != (self.live, self.tombstones) {
            return Some(format!(
                "{} members and {} tombstones before, {} and {} after",
                self.live, self.tombstones, status.live, status.tombstones
            ));
        }
        let (members, after) = (&self.members, node.members());
        let differs = members.iter().zip(&after).find(|(before, after)| before != after);
        differs.map(|(before, after)| format!("{before:?} before, {after:?} after")).or_else(|| {
            (members.len() != after.len())
                .then(|| format!("{} members before, {} after", members.len(), after.len()))
        })
    }
}

fn rejected(status: &NodeStatus) -> u64 {
    status.counters.rejections().map(|(_, count)| count).sum()
}

impl Cluster {
    /// Says that something is done to machines from now on. Without a watch it is of no account.
    pub(crate) fn disturb(&mut self, disturbance: Disturbance) -> Option<DisturbanceId> {
        let now = self.now;
        let watch = self.watch.as_mut()?;
        let id = watch.disturbances.begin(disturbance, now);
        watch.fewer_work(now);
        Some(id)
    }

    /// Says that it is over.
    pub(crate) fn calm(&mut self, id: Option<DisturbanceId>) {
        let now = self.now;
        if let (Some(watch), Some(id)) = (&mut self.watch, id) {
            watch.disturbances.end(id, now);
        }
    }

    /// What a datagram must not change if it is rejected; none if nobody watches.
    pub(crate) fn before_input(&mut self, index: usize, input: &Input<'_>) -> Option<Before> {
        let small = self.hosts.len() <= SMALL;
        let watch = self.watch.as_mut()?;
        let process = self.hosts[index].process.as_ref()?;
        if !matches!(input, Input::Datagram { .. }) {
            return None;
        }
        watch.looked += 1;
        let watched = small || watch.looked.is_multiple_of(self.hosts.len() as u64);
        watched.then(|| Before::of(&process.node))
    }

    /// Holds the node against that, and at times against all its limits. What it wants done still waits in it.
    pub(crate) fn after_input(&mut self, index: usize, before: Option<Before>) {
        if self.watch.as_mut().is_some_and(|watch| watch.sizes[index].takes()) {
            self.check_fills(index);
        }
        let host = &self.hosts[index];
        if let (Some(before), Some(process)) = (before, &host.process)
            && let Some(difference) = before.disturbed(&process.node)
        {
            self.fail(&format!(
                "{}: a datagram that was rejected has changed the view: {difference}",
                host.label
            ));
        }
    }

    /// Notes by which session a process goes now.
    pub(crate) fn watch_session(&mut self, index: usize) {
        if let (Some(watch), Some(process)) = (&mut self.watch, &self.hosts[index].process) {
            watch.goes_by(index, process.node.session());
        }
    }

    /// Holds the sizes of a node against its bounds.
    pub(crate) fn check_bounds(&mut self, index: usize) {
        let Some(watch) = &mut self.watch else { return };
        let host = &self.hosts[index];
        let Some(process) = &host.process else { return };
        let (sizes, second) = (&mut watch.sizes[index], self.now.as_nanos() / 1_000_000_000);
        if self.hosts.len() > SMALL && sizes.looked.replace(second) == Some(second) {
            return;
        }
        let max_members = host.setup.max_members.unwrap_or(usize::MAX - 1);
        let held = sizes.holds(&process.node.status(), max_members);
        if let Err(broken) = held {
            self.fail(&format!("{}: {broken}", host.label));
        }
    }

    /// Holds every map and queue of a node against its limit.
    fn check_fills(&self, index: usize) {
        let host = &self.hosts[index];
        if let Some(process) = &host.process
            && let Some(fill) = process.node.overfull()
        {
            self.fail(&format!("{}: {fill}", host.label));
        }
    }

    /// The same for all nodes that run.
    pub(crate) fn check_all_fills(&self) {
        (0..self.hosts.len()).for_each(|index| self.check_fills(index));
    }

    /// Notes a datagram that a machine sends, and holds its rate against the bound.
    pub(crate) fn check_rate(&mut self, index: usize) {
        let most = SENDS_PER_SECOND + SENDS_PER_MACHINE * self.hosts.len() as u64;
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        if watch.sizes[index].sends(now) > most {
            let label = &self.hosts[index].label;
            self.fail(&format!("{label} sends more than {most} datagrams in one second"));
        }
    }

    /// Holds the last event of a machine against the rules of all views together.
    pub(crate) fn watch_event(&mut self, index: usize) -> Result<(), String> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let host = &self.hosts[index];
        let Some((_, event)) = host.record.events.last() else { return Ok(()) };
        let held = watch.event(index, event, self.now);
        // The baseline is measured. What it believes of the dead is its own affair.
        if host.setup.baseline.is_some() { Ok(()) } else { held }
    }

    /// A process starts, as far as a watch is concerned.
    pub(crate) fn watch_start(&mut self, index: usize) {
        let now = self.now;
        let host = &self.hosts[index];
        if let (Some(watch), Some(process)) = (&mut self.watch, &host.process) {
            watch.started(index, &host.setup.name, process.node.session(), now);
        }
    }

    /// A process ends, as far as a watch is concerned: it still runs.
    pub(crate) fn watch_end(&mut self, index: usize, how: ProcessState) {
        if self.watch.is_some() {
            self.check_fills(index);
        }
        let now = self.now;
        let host = &self.hosts[index];
        if let (Some(watch), Some(process)) = (&mut self.watch, &host.process) {
            watch.lives(index, lives(&process.node));
            watch.ended(index, how, host.record.view.showing(), now);
        }
    }

    /// Unwinds the run if somebody wants it to stop.
    pub(crate) fn stop_if_asked(&self) {
        if self.watch.as_ref().is_some_and(|watch| watch.is_stopped()) {
            std::panic::panic_any(Abandoned);
        }
    }

    /// Ends the watch: the processes that still run have begun no more lives than they have.
    pub(crate) fn end_watch(&mut self) -> Option<Box<Watch>> {
        let mut watch = self.watch.take()?;
        for (index, host) in self.hosts.iter().enumerate() {
            if let Some(process) = &host.process {
                watch.lives(index, lives(&process.node));
            }
        }
        Some(watch)
    }
}

fn lives(node: &Member) -> u64 {
    let counters = node.status().counters;
    counters.lives_raised + counters.yields
}

#[cfg(test)]
mod tests {
    use super::*;
    use chisme_proto::Counters;

    fn status(live: usize, tombstones: usize, windows: usize) -> NodeStatus {
        NodeStatus { counters: Counters::default(), live, tombstones, windows }
    }

    #[test]
    fn sizes_have_bounds() {
        let mut sizes = Sizes::default();
        let mut holds = |status: &NodeStatus| sizes.holds(status, 1_000);
        holds(&status(1_001, 1_001, 1_024)).expect("at the limit");
        assert!(holds(&status(1_002, 0, 0)).is_err(), "too many members");
        assert!(holds(&status(10, 257, 0)).is_err(), "too many tombstones");
        holds(&status(10, 0, 4_008)).expect("windows of those that were live once");
        assert!(holds(&status(10, 0, 4_009)).is_err(), "too many windows");
        let mut dropped = status(10, 0, 0);
        dropped.counters.outputs_dropped = 1;
        assert!(holds(&dropped).is_err());
        let mut failed = status(10, 0, 0);
        failed.counters.swim_errors = 1;
        assert!(holds(&failed).is_err());
    }

    #[test]
    fn rates_count_by_the_second() {
        let mut sizes = Sizes::default();
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        assert_eq!([0, 400, 999, 1_000, 1_001].map(|ms| sizes.sends(at(ms))), [1, 2, 3, 1, 2]);
        assert_eq!(sizes.peak, 3);
    }
}
