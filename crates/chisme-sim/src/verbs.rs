//! What can be done to machines and links besides starting, ending and cutting off.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chisme_proto::{Command, DEFAULT_PORT, Input};

use crate::cluster::Cluster;
use crate::drive::Happening;
use crate::host::{EPOCH_MILLIS, SOCKET_BUFFER, Setup};
use crate::network::{Deeds, Effect, Pulse, RuleId, Scope};
use crate::outcome::ProcessState;

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

    /// Lets a frozen process go on: first it takes what has arrived, then its timers fire. It panics if
    /// nothing has frozen the process.
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

    /// Reading from the socket stops; timers run on.
    pub fn stall(&mut self, label: &str) {
        let index = self.index(label);
        assert!(self.stall_at(index), "{label} does not run");
    }

    /// Reading goes on, with what waits in the socket first. It panics if nothing has stalled the process.
    pub fn unstall(&mut self, label: &str) {
        let index = self.index(label);
        let process = self.hosts[index].process.as_ref();
        let is_stalled = process.is_some_and(|process| process.stalled > 0);
        assert!(is_stalled, "{label} is not stalled");
        self.unstall_at(index);
    }

    pub(crate) fn stall_at(&mut self, index: usize) -> bool {
        let Some(process) = &mut self.hosts[index].process else { return false };
        process.stalled += 1;
        true
    }

    pub(crate) fn unstall_at(&mut self, index: usize) {
        if let Some(process) = &mut self.hosts[index].process {
            process.stalled = process.stalled.saturating_sub(1);
            self.read_now(index);
            self.read_later(index);
        }
    }

    /// Each datagram takes the process of a machine so long; nothing, for zero.
    pub fn slow(&mut self, label: &str, per_datagram: Duration) {
        let index = self.index(label);
        self.slow_at(index, per_datagram);
    }

    pub(crate) fn slow_at(&mut self, index: usize, per_datagram: Duration) -> bool {
        let host = &mut self.hosts[index];
        host.per_datagram = per_datagram;
        let run = host.run;
        let Some(process) = &mut host.process else { return false };
        // What it has at hand takes no longer than any other from now on.
        let done = self.now + per_datagram;
        if process.busy_until > done {
            process.busy_until = done;
            self.set_alarm(index);
            self.schedule(done, Happening::Read { host: index, run });
        }
        true
    }

    /// The socket of a machine holds so many datagrams; those that come when it is full are lost.
    pub fn socket_buffer(&mut self, label: &str, datagrams: usize) {
        let index = self.index(label);
        self.set_buffer_at(index, Some(datagrams));
    }

    pub(crate) fn set_buffer_at(&mut self, index: usize, datagrams: Option<usize>) {
        self.hosts[index].socket_buffer = datagrams.unwrap_or(SOCKET_BUFFER);
    }

    /// How many datagrams the socket of a machine had no room for.
    pub(crate) fn overflowed_at(&self, index: usize) -> u64 {
        self.hosts[index].overflowed
    }

    /// Both clocks of a machine gain so many parts per million from now on.
    pub fn drift(&mut self, label: &str, ppm: i64) {
        let index = self.index(label);
        self.drift_at(index, ppm);
    }

    pub(crate) fn drift_at(&mut self, index: usize, ppm: i64) {
        let now = self.now;
        self.hosts[index].clock.drift(now, ppm);
        self.set_alarm(index);
    }

    /// The wall clock of a machine jumps by so many seconds; its next process has a session by it.
    pub fn step_clock(&mut self, label: &str, seconds: i64) {
        let index = self.index(label);
        self.step_clock_at(index, seconds);
    }

    pub(crate) fn step_clock_at(&mut self, index: usize, seconds: i64) {
        self.hosts[index].clock.step(seconds);
    }

    /// The next process of a machine will be at an address that nobody has had.
    pub(crate) fn readdress(&mut self, index: usize) {
        self.moves += 1;
        let [high, low] = self.moves.to_be_bytes();
        let addr = SocketAddr::from((Ipv4Addr::new(10, 1, high, low), DEFAULT_PORT));
        self.hosts[index].setup.addresses = vec![addr];
    }

    /// A machine that did not exist before starts at the address of one that is gone.
    pub(crate) fn inherit_address(&mut self, from: usize) {
        let heir = self.another_like(from);
        let Setup { addresses, advertised, .. } = self.hosts[from].setup.clone();
        let setup = &mut self.hosts[heir].setup;
        (setup.addresses, setup.advertised) = (addresses, advertised);
        self.start_at(heir);
    }

    /// A machine that did not exist before starts under the name of one that runs.
    pub(crate) fn start_twin(&mut self, of: usize) -> usize {
        let twin = self.another_like(of);
        self.hosts[twin].setup.name = self.hosts[of].setup.name.clone();
        self.start_at(twin);
        twin
    }

    /// Makes a machine, the next of `x0`, `x1` and so on, that is configured like another one.
    fn another_like(&mut self, other: usize) -> usize {
        let label = (0..).map(|n| format!("x{n}")).find(|label| !self.labels.contains_key(label));
        let label = label.expect("there are fewer machines than numbers");
        let Setup { name, addresses, advertised, .. } = self.setup(&label).clone();
        let setup = Setup { name, addresses, advertised, ..self.hosts[other].setup.clone() };
        *self.setup(&label) = setup;
        self.index(&label)
    }

    /// Asks a process to leave, if it runs and can hear.
    pub(crate) fn leave_at(&mut self, index: usize) -> bool {
        let label = self.hosts[index].label.clone();
        let can = self.hosts[index].process.is_some() && !self.hosts[index].is_frozen();
        if can {
            self.command(&label, Command::Leave);
        }
        can
    }

    pub(crate) fn crash_at(&mut self, index: usize) -> bool {
        let runs = self.hosts.get(index).is_some_and(|host| host.process.is_some());
        if runs {
            self.end_process(index, ProcessState::Crashed);
        }
        runs
    }

    pub(crate) fn start_if_gone(&mut self, index: usize) {
        if self.hosts[index].process.is_none() {
            self.start_at(index);
        }
    }

    pub(crate) fn rule(&mut self, scope: Scope, effect: Effect, pulse: Option<Pulse>) -> RuleId {
        self.network.push(scope, effect, pulse, self.now)
    }

    /// Ends a rule, delivers what only it kept back, and says what it did.
    pub(crate) fn end_rule(&mut self, id: RuleId) -> Deeds {
        let deeds = self.network.remove(id).unwrap_or_default();
        self.release();
        deeds
    }

    /// The true unix time, in milliseconds.
    pub(crate) fn unix_millis(&self) -> u64 {
        EPOCH_MILLIS.unsigned_abs() + self.now.as_nanos() / 1_000_000
    }
}
