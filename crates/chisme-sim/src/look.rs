//! What a test can ask of a cluster, and what it can demand of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chisme_proto::{
    ContactReport, Counters, Instant, MemberView, NameHash, NodeName, NodeStatus, RequestId,
    Session, StopReason,
};

use crate::cluster::Cluster;
use crate::host::Process;
use crate::millis;
use crate::network::Datagram;
use crate::outcome::Verdict;
use crate::panics::Ended;
use crate::record::{Record, describe, label};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = millis(10);

/// In clusters up to this size all snapshots are looked at, in larger ones a sample of so many.
const SNAPSHOTS: usize = 2_048;
const SAMPLE: usize = 64;

/// How many differences a failure lists before it stops.
const LISTED: usize = 12;

impl Cluster {
    /// The seed of this run.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// How many things have happened: datagrams that arrived, timers, look-ups.
    pub const fn happenings(&self) -> u64 {
        self.events
    }

    /// The virtual time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.now - Instant::default()
    }

    /// The present moment.
    pub const fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn index(&self, label: &str) -> usize {
        *self.labels.get(label).unwrap_or_else(|| {
            let all = self.hosts.iter().map(|host| host.label.as_str());
            panic!("there is no machine {label:?}; there are {}", some_of(all))
        })
    }

    fn process(&self, label: &str) -> &Process {
        let process = self.hosts[self.index(label)].process.as_ref();
        process.unwrap_or_else(|| panic!("{label} does not run"))
    }

    /// The first address of a machine.
    pub fn address(&self, label: &str) -> SocketAddr {
        self.hosts[self.index(label)].setup.addresses[0]
    }

    /// The labels of all machines with a process, frozen ones included, in order of their making.
    pub fn running(&self) -> Vec<String> {
        let running = self.hosts.iter().filter(|host| host.process.is_some());
        running.map(|host| host.label.clone()).collect()
    }

    /// Whether the machine has a process.
    pub fn is_running(&self, label: &str) -> bool {
        self.hosts[self.index(label)].process.is_some()
    }

    /// The session of the running process.
    pub fn session(&self, label: &str) -> Session {
        self.process(label).node.session()
    }

    /// All members that a node remembers, by name.
    pub fn members(&self, label: &str) -> Vec<MemberView> {
        self.process(label).node.members()
    }

    /// One member as another node sees it.
    pub fn member(&self, label: &str, of: &str) -> Option<MemberView> {
        self.members(label).into_iter().find(|member| crate::record::label(&member.name) == of)
    }

    /// What a node knows of the tags and services of a machine, itself included; nothing of one that
    /// is not up.
    pub fn known_of(&self, label: &str, of: &str) -> Arc<chisme_proto::Record> {
        let node = &self.process(label).node;
        let name = &self.hosts[self.index(of)].setup.name;
        let view = if label == of { Some(node.local()) } else { node.member(name) };
        view.map_or_else(chisme_proto::Record::nothing, |view| view.record)
    }

    /// Who is up in the view of a node, itself left out.
    pub fn up_view(&self, of: &str) -> BTreeSet<String> {
        let members = self.members(of).into_iter().filter(|member| member.state.is_up());
        members.map(|member| label(&member.name)).collect()
    }

    /// What the present process of a machine, or its last one, told its user.
    pub fn record(&self, label: &str) -> &Record {
        &self.hosts[self.index(label)].record
    }

    /// The membership changes that a node has reported after `since`, such as `down n3`.
    pub fn changes(&self, label: &str, since: Instant) -> Vec<String> {
        let events = self.record(label).events.iter().filter(|(at, _)| *at > since);
        events.filter_map(|(_, event)| describe(event)).collect()
    }

    /// Like [`changes`](Self::changes), without suspicions and what became of them.
    pub fn comings_and_goings(&self, label: &str, since: Instant) -> Vec<String> {
        let mut changes = self.changes(label, since);
        changes
            .retain(|change| !change.starts_with("suspect ") && !change.starts_with("recovered "));
        changes
    }

    /// When a node has first reported `change` after `since`.
    pub fn when(&self, label: &str, change: &str, since: Instant) -> Option<Instant> {
        let events = self.record(label).events.iter().filter(|(at, _)| *at > since);
        events.filter(|(_, event)| describe(event).as_deref() == Some(change)).map(|e| e.0).next()
    }

    /// The answer to a `connect`, if it has come.
    pub fn report(&self, label: &str, request: RequestId) -> Option<&[ContactReport]> {
        let mut answers = self.record(label).connected.iter();
        answers.find(|(asked, _)| *asked == request).map(|(_, report)| report.as_slice())
    }

    /// Why the process of a machine stopped by itself, if it did.
    pub fn stopped(&self, label: &str) -> Option<StopReason> {
        self.record(label).stopped.map(|(_, reason)| reason)
    }

    /// Counters and sizes of a running process, or of the last one.
    pub fn status(&self, label: &str) -> NodeStatus {
        let host = &self.hosts[self.index(label)];
        let running = host.process.as_ref().map(|process| process.node.status());
        let status = running.or_else(|| host.record.last_status.clone());
        status.unwrap_or_else(|| panic!("{label} has never run: start it first"))
    }

    /// The counters of a running process, or of the last one.
    pub fn counters(&self, label: &str) -> Counters {
        self.status(label).counters
    }

    /// All datagrams sent since [`record_datagrams`](Self::record_datagrams).
    pub fn recorded(&self) -> &[Datagram] {
        &self.tape.datagrams
    }

    /// What was sent to addresses where there is no machine.
    pub fn astray(&self) -> &[Datagram] {
        &self.tape.astray
    }

    /// How many datagrams all nodes have sent.
    pub const fn datagrams_sent(&self) -> u64 {
        self.tape.sent
    }

    /// A hash of everything that was sent, with its times and destinations.
    pub const fn digest(&self) -> u64 {
        self.tape.digest.value()
    }

    /// Whether every running node sees every other running one, in its present session, and nobody
    /// else.
    pub fn is_complete(&self) -> bool {
        // Whoever counts wrong is wrong, and counting is cheap.
        let running = || self.hosts.iter().filter(|host| host.process.is_some());
        let all = running().count();
        let mut awake = running().filter(|host| !host.is_frozen());
        awake.all(|host| host.record.view.up() + 1 == all) && self.incomplete().is_none()
    }

    /// Whose view is not complete, and what is missing or too much in it.
    pub(crate) fn why_incomplete(&self) -> String {
        self.incomplete().unwrap_or_else(|| "every view is complete".to_owned())
    }

    /// The first node whose view is not complete.
    fn incomplete(&self) -> Option<String> {
        let running = || self.hosts.iter().filter_map(|h| Some((h, &h.process.as_ref()?.node)));
        // As views are ordered. Of two processes with one name the later one counts.
        let all: BTreeMap<NameHash, (NodeName, Session)> = running()
            .map(|(_, node)| node.local())
            .map(|local| (NameHash::of(&local.name), (local.name, local.session)))
            .collect();
        // Whoever counts wrong is wrong, and counting is cheap.
        let awake = || running().filter(|(host, _)| !host.is_frozen());
        let miscounts = awake().find(|(host, _)| host.record.view.up() + 1 != all.len());
        let suspects = miscounts.is_none().then(awake).into_iter().flatten();
        miscounts.into_iter().chain(suspects).find_map(|(host, node)| {
            let mut seen = node.members();
            seen.retain(|member| member.state.is_up());
            let local = node.local();
            let own = NameHash::of(&local.name);
            let others = all.iter().filter(|(hash, _)| **hash != own).map(|(_, other)| other);
            let as_shown = seen.iter().map(|member| (&member.name, member.session));
            let is_complete = all.get(&own).is_some_and(|(_, session)| *session == local.session)
                && others.map(|(name, session)| (name, *session)).eq(as_shown);
            (!is_complete).then(|| differences(&host.label, local, seen, &all))
        })
    }

    /// Demands that every running node sees every other running one, and nobody else.
    pub fn assert_complete(&self) {
        if let Some(incomplete) = self.incomplete() {
            self.fail(&(incomplete + &self.about_strange_seeds()));
        }
    }

    /// Which seeds of those who run lead nowhere, since there is no such machine.
    fn about_strange_seeds(&self) -> String {
        let running = self.hosts.iter().filter(|host| host.process.is_some());
        let seeds = running.flat_map(|host| host.setup.seeds.as_ref().unwrap_or(&self.seeds));
        let strange = seeds.filter(|seed| !self.labels.contains_key(*seed));
        let strange: BTreeSet<&str> = strange.map(String::as_str).collect();
        if strange.is_empty() {
            return String::new();
        }
        format!("; these seeds are no machines: {}", some_of(strange.into_iter()))
    }

    /// Lets time pass until all views are complete; gives how long it took.
    pub fn expect_complete_within(&mut self, limit: Duration) -> Duration {
        let since = self.now;
        if !self.run_until(limit, Self::is_complete) {
            self.assert_complete();
        }
        self.now - since
    }

    /// Lets time pass until the condition holds, looked at every 10 ms; gives how long it took.
    pub fn expect_within(
        &mut self,
        limit: Duration,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> Duration {
        let since = self.now;
        if !self.run_until(limit, condition) {
            self.fail(&format!("not within {limit:?}: {what}"));
        }
        self.now - since
    }

    /// Lets time pass until the condition holds or the limit is reached; gives whether it holds.
    pub fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !condition(self) {
            if self.now >= end {
                self.check_snapshots();
                return false;
            }
            self.run_to((self.now + LOOK_EVERY).min(end));
        }
        self.check_snapshots();
        true
    }

    /// Demands that nobody but `except` has reported a change after `since`.
    pub fn assert_quiet(&self, since: Instant, except: &[&str]) {
        for label in except {
            self.index(label);
        }
        if let Some(noise) = self.noise(since, except) {
            self.fail(&noise);
        }
    }

    /// From now on what nodes report is kept, also in a run that is watched.
    pub(crate) fn listen(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.listens = true;
        }
    }

    /// Who has reported changes after `since`, and which.
    pub(crate) fn noise_since(&self, since: Instant) -> Option<String> {
        self.noise(since, &[])
    }

    fn noise(&self, since: Instant, except: &[&str]) -> Option<String> {
        let labels = self.running().into_iter().filter(|label| !except.contains(&label.as_str()));
        labels.map(|label| (self.changes(&label, since), label)).find_map(|(changes, label)| {
            let shown = &changes[..changes.len().min(LISTED)];
            (!changes.is_empty())
                .then(|| format!("{label} reports {} changes: {shown:?}", changes.len()))
        })
    }

    /// How often anybody who runs has reported this change after `since`.
    pub fn count(&self, change: &str, since: Instant) -> usize {
        let all = self.hosts.iter().flat_map(|host| &host.record.events);
        all.filter(|(at, event)| *at > since && describe(event).as_deref() == Some(change)).count()
    }

    /// How many changes of this kind (`down`, `suspect`) were reported after `since`.
    pub fn count_kind(&self, verb: &str, since: Instant) -> usize {
        let all = self.hosts.iter().flat_map(|host| &host.record.events).filter(|e| e.0 > since);
        let described = all.filter_map(|(_, event)| describe(event));
        described.filter(|change| change.split(' ').next() == Some(verb)).count()
    }

    /// Every change was held against the node itself when it came; this is for what changed without
    /// a word. In large clusters so many nodes are looked at, others each time.
    pub(crate) fn check_snapshots(&self) {
        let all = self.hosts.len();
        if all <= SNAPSHOTS {
            return (0..all).for_each(|index| self.check_snapshot(index));
        }
        let first = usize::try_from(self.events % all as u64).unwrap_or(0);
        (0..SAMPLE).for_each(|n| self.check_snapshot((first + n * all / SAMPLE) % all));
    }

    pub(crate) fn check_snapshot(&self, index: usize) {
        let host = &self.hosts[index];
        if let Some(process) = &host.process
            && let Err(difference) = host.record.view.compare(&process.node.members())
        {
            self.fail(&format!("{}: {difference}", host.label));
        }
    }

    pub(crate) fn check_member(&self, index: usize, name: &NodeName) {
        let host = &self.hosts[index];
        let Some(process) = &host.process else { return };
        let held = process.node.member(name);
        if let Err(difference) = host.record.view.compare_one(name, held.as_ref()) {
            self.fail(&format!("{}: {difference}", host.label));
        }
    }

    /// Fails the test; the seed and the command that repeats it are printed with it.
    pub fn fail(&self, what: &str) -> ! {
        if self.watch.is_some() {
            let broken = format!("after {:?}: {what}", self.elapsed());
            std::panic::panic_any(Ended(Verdict::Unsafe(broken)));
        }
        panic!("after {:?}: {what}", self.elapsed())
    }
}

/// The first few of these, and how many there are besides.
fn some_of<'a>(labels: impl ExactSizeIterator<Item = &'a str>) -> String {
    let all = labels.len();
    let listed = labels.take(LISTED).collect::<Vec<_>>().join(", ");
    match all {
        0 => "none".to_owned(),
        1..=LISTED => listed,
        _ => format!("{listed} and {} more", all - LISTED),
    }
}

/// What is missing or too much in a view, this node itself included.
fn differences(
    label: &str,
    local: MemberView,
    seen: Vec<MemberView>,
    all: &BTreeMap<NameHash, (NodeName, Session)>,
) -> String {
    let seen = seen.into_iter().chain([local]).map(|member| (member.name, member.session));
    let seen: BTreeMap<NodeName, Session> = seen.collect();
    let all: BTreeMap<NodeName, Session> = all.values().cloned().collect();
    let differs = |name: &&NodeName| seen.get(*name) != all.get(*name);
    let names: BTreeSet<&NodeName> = seen.keys().chain(all.keys()).collect();
    let rows: Vec<String> = names
        .into_iter()
        .filter(differs)
        .take(LISTED)
        .map(|name| format!("{name}: {:?}, not {:?}", seen.get(name), all.get(name)))
        .collect();
    format!("{label} sees {} of {}; {}", seen.len(), all.len(), rows.join("; "))
}
