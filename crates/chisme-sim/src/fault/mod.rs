//! Faults: what goes wrong in a cluster while its time passes, whether a scenario asks for it or a test.
//!
//! Here is the agenda: which fault begins, goes on and ends when. What each does is in `ongoing`; nothing
//! here judges anything.

mod ongoing;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chisme_proto::Instant;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use self::ongoing::Ongoing;
use crate::attack::Attacker;
use crate::cluster::Cluster;
use crate::network::{Effect, NodeSet, Scope};
use crate::outcome::Ribbon;
use crate::scenario::{Fault, TimedFault, limits};
use crate::story::seconds;
use crate::{millis, secs};

/// A node that leaves is gone by then.
pub(crate) const GOODBYE: Duration = millis(1_500);

/// How often an attacker fires.
const VOLLEYS_PER_SECOND: u32 = 10;

/// Streams of chance of their own, which no machine has: groups are the same whatever else is drawn.
const GROUPS: u64 = u64::MAX;
const ATTACKS: u64 = u64::MAX - 1;
const ORDERS: u64 = u64::MAX - 2;

/// Counts the clusters with faults. It tells whose a fault is, and nothing else depends on it.
static CLUSTERS: AtomicU64 = AtomicU64::new(0);

/// Names a fault of a cluster. [`Cluster::begin_fault`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId {
    cluster: u64,
    number: usize,
}

impl Cluster {
    /// Lets something go wrong that a scenario file can ask for as well: a [`Fault`] from now on, a
    /// [`TimedFault`] when it is its time, or the lines of a file's `[[fault]]`, in which `at` counts
    /// from now. It comes, goes on and ends while time passes, together with all others.
    ///
    /// Groups are resolved now: numbers are those of the machines there are, in order of their making,
    /// and `zone:NAME` goes by [`zones`](Self::zones).
    ///
    /// A second bearer of a name, and whoever takes over an address, are machines of their own, `x0`, `x1` and so on,
    /// among which later groups are resolved too.
    ///
    /// # Panics
    /// If a text is no fault; the message names line and key. If a group of it cannot be resolved or is
    /// nobody, a number of it is out of its range, or it would do nothing, as for a file; the message names
    /// the fault and the group or number.
    ///
    /// ```
    /// use chisme_sim::{Cluster, scenario::Fault, secs};
    ///
    /// let mut cluster = Cluster::builder().nodes(8).seed(3).formed();
    /// cluster.begin_fault("for = '20s'\nlink = { from = 'node[1]', to = 'rest', is = { loss = 0.3 } }");
    /// let frozen = cluster.begin_fault(Fault::Freeze { nodes: "node[5..7]".parse()? });
    /// cluster.run_for(secs(15));
    /// assert_eq!(cluster.end_fault(frozen), 2, "it has frozen two processes");
    /// cluster.expect_complete_within(secs(30));
    /// # Ok::<(), chisme_sim::scenario::GroupError>(())
    /// ```
    pub fn begin_fault<F: TryInto<TimedFault, Error: Display>>(&mut self, fault: F) -> FaultId {
        let timed = fault.try_into().unwrap_or_else(|error| panic!("not a fault: {error}"));
        let possible = limits::fault(&timed, self.hosts.len(), &self.zones, true);
        if let Err((_, problem)) = possible {
            panic!("{}: {problem}", timed.fault);
        }
        let id = self.plan_fault(timed);
        self.act_until(self.now);
        id
    }

    /// Ends a fault if it has not ended, or keeps it from beginning: links, sockets, the pace of clocks and DNS are
    /// as they are without any fault, what it has frozen or stalled goes on, and what has crashed and does not run
    /// starts. What is of one moment stays done. Gives how often it really did something: datagrams, processes,
    /// answers.
    ///
    /// # Panics
    /// If the fault is another cluster's.
    pub fn end_fault(&mut self, id: FaultId) -> u64 {
        let of_this = self.faults.take_if(|faults| faults.cluster == id.cluster);
        let Some(mut faults) = of_this else { panic!("a fault of another cluster: end it there") };
        faults.act(Act::End(id.number), self);
        let deeds = faults.all[id.number].deeds;
        self.faults = Some(faults);
        deeds
    }

    /// The zones of all machines: the one with number `i` is in zone `zones[i % zones.len()]`.
    pub fn zones(&mut self, zones: &[&str]) {
        self.zones = zones.iter().map(|&zone| zone.to_owned()).collect();
    }

    /// Like [`begin_fault`](Self::begin_fault), but nothing happens before time passes.
    pub(crate) fn plan_fault(&mut self, timed: TimedFault) -> FaultId {
        let mut faults = self.faults.take().unwrap_or_else(|| Box::new(Faults::new(self.seed)));
        let number = faults.plan(timed, self);
        let cluster = faults.cluster;
        self.faults = Some(faults);
        FaultId { cluster, number }
    }

    /// When it is the turn of a fault again.
    pub(crate) fn next_act(&self) -> Option<Instant> {
        let faults = self.faults.as_ref()?;
        faults.agenda.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Lets faults do what they do until then, without letting time pass.
    pub(crate) fn act_until(&mut self, end: Instant) {
        let Some(mut faults) = self.faults.take() else { return };
        while let Some(entry) = faults.agenda.first_entry()
            && entry.key().0 <= end
        {
            let act = entry.remove();
            faults.act(act, self);
        }
        self.faults = Some(faults);
    }

    /// Lets time pass until all faults have ended. Of a scenario each does: an attack has a `for`.
    pub(crate) fn run_faults(&mut self) {
        while let Some(at) = self.next_act() {
            self.run_for(at.saturating_since(self.now()));
        }
    }

    /// How often each fault really did each thing that was asked of it, and what reports draw of it. Their rules end.
    pub(crate) fn faults_told(&mut self) -> (BTreeMap<String, u64>, Vec<Ribbon>) {
        let mut faults = self.faults.take();
        faults.as_mut().map(|faults| faults.told(self)).unwrap_or_default()
    }
}

/// All faults of a cluster.
pub(crate) struct Faults {
    /// What tells this cluster from others.
    cluster: u64,
    groups: ChaCha8Rng,
    orders: ChaCha8Rng,
    agenda: BTreeMap<(Instant, u64), Act>,
    serial: u64,
    all: Vec<Ongoing>,
    attacker: Attacker,
}

/// What happens at one moment. Numbers are those of a fault, and of a machine.
#[derive(Clone, Copy, Debug)]
enum Act {
    Begin(usize),
    End(usize),
    /// It is this machine's turn, and then its turn to come back.
    Turn(usize, usize),
    Back(usize, usize),
    Volley(usize),
}

impl Faults {
    fn new(seed: u64) -> Self {
        let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let stream = |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        let attacker = Attacker::new(stream(ATTACKS));
        let (agenda, all) = (BTreeMap::new(), Vec::new());
        let (groups, orders) = (stream(GROUPS), stream(ORDERS));
        Self { cluster, groups, orders, agenda, serial: 0, all, attacker }
    }

    fn plan(&mut self, timed: TimedFault, cluster: &mut Cluster) -> usize {
        if timed.fault.needs_recordings() {
            cluster.record_datagrams();
        }
        let number = self.all.len();
        let begin = cluster.now() + timed.at;
        self.add(begin, Act::Begin(number));
        if let Some(lasts) = timed.lasts {
            self.add(begin + lasts, Act::End(number));
        }
        self.all.push(Ongoing::resolve(timed, cluster, &mut self.groups));
        number
    }

    fn add(&mut self, at: Instant, act: Act) {
        self.serial += 1;
        self.agenda.insert((at, self.serial), act);
    }

    fn act(&mut self, act: Act, cluster: &mut Cluster) {
        match act {
            Act::Begin(number) => self.begin(number, cluster),
            Act::End(number) => self.end(number, cluster),
            Act::Turn(number, node) => self.turn(number, node, cluster),
            Act::Back(number, node) => self.back(number, node, cluster),
            Act::Volley(number) => self.volley(number, cluster),
        }
    }

    fn begin(&mut self, number: usize, cluster: &mut Cluster) {
        let now = cluster.now();
        let one = &mut self.all[number];
        if one.ended.is_some() {
            return;
        }
        one.began = Some(now);
        match one.timed.fault {
            Fault::Swizzle { step, .. } => self.swizzle(number, step, now),
            Fault::Leave { every, .. } | Fault::RollingRestart { every, .. } => {
                let turns: Vec<usize> = one.nodes.clone();
                for (n, node) in turns.into_iter().enumerate() {
                    let wait = every * u32::try_from(n).unwrap_or(u32::MAX);
                    self.add(now + wait, Act::Turn(number, node));
                }
            }
            Fault::Attack(_) => self.add(now, Act::Volley(number)),
            _ => one.begin(cluster),
        }
    }

    fn end(&mut self, number: usize, cluster: &mut Cluster) {
        self.all[number].end(cluster);
        let ended = &self.all[number].timed.fault;
        for other in &self.all {
            other.hold_on(ended, cluster);
        }
    }

    /// Links are clogged one by one, and released in another order.
    fn swizzle(&mut self, number: usize, step: Duration, now: Instant) {
        let mut order = self.all[number].nodes.clone();
        let mut at = now;
        for release in [false, true] {
            order.shuffle(&mut self.orders);
            for &node in &order {
                let act = if release { Act::Back(number, node) } else { Act::Turn(number, node) };
                self.add(at, act);
                at = at + step;
            }
        }
    }

    fn turn(&mut self, number: usize, node: usize, cluster: &mut Cluster) {
        let one = &mut self.all[number];
        if one.ended.is_some() {
            return;
        }
        match one.timed.fault {
            Fault::Leave { .. } => {
                one.deeds += u64::from(cluster.leave_at(node));
                if one.is_last(node) {
                    one.end(cluster);
                }
            }
            Fault::RollingRestart { .. } => {
                one.deeds += u64::from(cluster.leave_at(node));
                let at = cluster.now() + GOODBYE;
                self.add(at, Act::Back(number, node));
            }
            Fault::Swizzle { .. } => {
                let id = cluster.rule(Scope::Touching(NodeSet::of(&[node])), Effect::Clog, None);
                one.turns.insert(node, id);
                let others: Vec<usize> =
                    one.everybody().into_iter().filter(|n| *n != node).collect();
                one.apart(vec![node], others.clone(), cluster);
                one.apart(others, vec![node], cluster);
            }
            _ => {}
        }
    }

    fn back(&mut self, number: usize, node: usize, cluster: &mut Cluster) {
        let one = &mut self.all[number];
        match one.timed.fault {
            Fault::RollingRestart { .. } => {
                cluster.crash_at(node);
                cluster.start_if_gone(node);
                if one.is_last(node) {
                    one.end(cluster);
                }
            }
            Fault::Swizzle { .. } => {
                if let Some(id) = one.turns.remove(&node) {
                    one.did(cluster.end_rule(id));
                }
                if one.turns.is_empty() {
                    self.end(number, cluster);
                }
            }
            _ => {}
        }
    }

    /// An attacker fires, and will again while its fault goes on.
    fn volley(&mut self, number: usize, cluster: &mut Cluster) {
        let one = &mut self.all[number];
        let Fault::Attack(attack) = &one.timed.fault else { return };
        if one.ended.is_some() {
            return;
        }
        // So many by the end of a volley are due, less those of the volleys before.
        let rate = u64::from(attack.rate);
        let due = |volleys: u32| rate * u64::from(volleys) / u64::from(VOLLEYS_PER_SECOND);
        let each = due(one.volleys + 1) - due(one.volleys);
        one.volleys += 1;
        for &node in &one.nodes {
            for _ in 0..each {
                one.deeds += u64::from(self.attacker.shoot(attack.kind, node, cluster));
            }
        }
        let at = cluster.now() + secs(1) / VOLLEYS_PER_SECOND;
        self.add(at, Act::Volley(number));
    }

    fn told(&mut self, cluster: &mut Cluster) -> (BTreeMap<String, u64>, Vec<Ribbon>) {
        let (mut marks, mut ribbons) = (BTreeMap::new(), Vec::new());
        let now = cluster.now();
        for (number, one) in self.all.iter_mut().enumerate() {
            let Some(began) = one.began else { continue };
            one.take_stock(cluster);
            let label = one.timed.fault.to_string();
            let done = one.marks().into_iter();
            marks.extend(done.map(|(what, count)| (format!("fault {number}: {what}"), count)));
            let until = one.ended.unwrap_or(if one.is_of_a_moment() { began } else { now });
            let until = one.last_left(cluster).map_or(seconds(until), |at| at.max(seconds(until)));
            let nodes = one.nodes.iter().filter_map(|&n| u32::try_from(n).ok()).collect();
            ribbons.push(Ribbon { from: seconds(began), to: until, label, nodes });
        }
        (marks, ribbons)
    }
}
