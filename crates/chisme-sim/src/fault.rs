//! The faults of a scenario: what each does to the cluster when it begins, on its way and when it
//! ends, and how often it really did something.
//!
//! It knows the verbs of the cluster, and judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chisme_proto::{Command, Instant};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::attack::Attacker;
use crate::cluster::Cluster;
use crate::disturbance::{Disturbance, DisturbanceId};
use crate::millis;
use crate::network::{Effect, NodeSet, Pulse, RuleId, Scope};
use crate::outcome::{ProcessState, Ribbon};
use crate::scenario::{Cut, Fault, Group, Link, Scenario};
use crate::story::seconds;

/// A node that leaves is gone by then.
const GOODBYE: Duration = millis(1_500);

/// How often an attacker fires.
const VOLLEY: Duration = millis(100);

/// All faults of a run.
pub(crate) struct Faults<'a> {
    scenario: &'a Scenario,
    rng: ChaCha8Rng,
    agenda: BTreeMap<(Instant, u64), Act>,
    serial: u64,
    ongoing: Vec<Ongoing>,
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

/// One fault, from the resolution of its groups to its end.
struct Ongoing {
    /// The machines that it is about, and those at the other end of links.
    nodes: Vec<usize>,
    others: Vec<usize>,
    islands: Vec<Vec<usize>>,
    /// Machines that exist only for it.
    extra: Vec<usize>,
    rules: Vec<RuleId>,
    turns: BTreeMap<usize, RuleId>,
    excuses: Vec<Option<DisturbanceId>>,
    deeds: u64,
    began: Option<Instant>,
    ended: Option<Instant>,
}

impl<'a> Faults<'a> {
    /// Resolves all groups, each once, among the machines of the scenario.
    pub(crate) fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // A stream of its own, so that a group is the same whatever else is drawn.
        rng.set_stream(1);
        let count = scenario.nodes.count;
        let mut next_extra = count;
        let mut ongoing = Vec::new();
        for timed in &scenario.faults {
            let mut one = Ongoing::resolve(&timed.fault, scenario, &mut rng);
            if matches!(timed.fault, Fault::ReuseAddress { .. } | Fault::DuplicateName { .. }) {
                one.extra = (next_extra..next_extra + one.nodes.len()).collect();
                next_extra += one.nodes.len();
            }
            ongoing.push(one);
        }
        let attacker = Attacker::new(ChaCha8Rng::from_rng(&mut rng));
        Self { scenario, rng, agenda: BTreeMap::new(), serial: 0, ongoing, attacker }
    }

    /// How many machines there will be, those included that exist only for a fault.
    pub(crate) fn machines(&self) -> usize {
        self.scenario.nodes.count + self.ongoing.iter().map(|one| one.extra.len()).sum::<usize>()
    }

    /// Whether datagrams must be recorded for an attacker.
    pub(crate) fn need_recordings(&self) -> bool {
        self.scenario.faults.iter().any(|timed| match &timed.fault {
            Fault::Attack(attack) => Attacker::records(attack.kind),
            _ => false,
        })
    }

    /// Plays all faults to their ends.
    pub(crate) fn play(&mut self, cluster: &mut Cluster) {
        let begin = cluster.now();
        for (number, timed) in self.scenario.faults.iter().enumerate() {
            self.add(begin + timed.at, Act::Begin(number));
            if let Some(lasts) = timed.lasts {
                self.add(begin + timed.at + lasts, Act::End(number));
            }
        }
        while let Some(((at, _), act)) = self.agenda.pop_first() {
            cluster.run_for(at.saturating_since(cluster.now()));
            self.act(act, cluster);
        }
    }

    fn add(&mut self, at: Instant, act: Act) {
        self.serial += 1;
        self.agenda.insert((at, self.serial), act);
    }

    fn act(&mut self, act: Act, cluster: &mut Cluster) {
        match act {
            Act::Begin(number) => {
                self.ongoing[number].began = Some(cluster.now());
                self.begin(number, cluster);
            }
            Act::End(number) => {
                self.end(number, cluster);
                self.ongoing[number].ended = Some(cluster.now());
            }
            Act::Turn(number, node) => self.turn(number, node, cluster),
            Act::Back(number, node) => self.back(number, node, cluster),
            Act::Volley(number) => self.volley(number, cluster),
        }
    }

    fn begin(&mut self, number: usize, cluster: &mut Cluster) {
        let scenario = self.scenario;
        let timed = &scenario.faults[number];
        let now = cluster.now();
        let one = &mut self.ongoing[number];
        match &timed.fault {
            Fault::Link { both_ways, link, .. } => one.links(*both_ways, link, cluster),
            Fault::Cut(cut) => one.cut(cut, scenario.nodes.count, cluster),
            Fault::FlipFlop { period, ingress, .. } => {
                let pulse = Pulse { since: now, period: *period };
                one.flip_flop(pulse, *ingress, cluster);
            }
            Fault::Swizzle { step, .. } => self.swizzle(number, *step, now),
            Fault::Crash { .. } => {
                for node in one.nodes.clone() {
                    one.deeds += u64::from(cluster.crash_at(node));
                }
            }
            Fault::Restart { new_address, clock, .. } => {
                for node in one.nodes.clone() {
                    one.deeds += u64::from(cluster.crash_at(node));
                    if let Some(seconds) = clock {
                        cluster.step_clock_at(node, *seconds);
                    }
                    if *new_address {
                        cluster.readdress(node);
                    }
                    cluster.start_if_gone(node);
                }
            }
            Fault::Leave { every, .. } | Fault::RollingRestart { every, .. } => {
                let turns: Vec<usize> = one.nodes.clone();
                for (n, node) in turns.into_iter().enumerate() {
                    let wait = *every * u32::try_from(n).unwrap_or(u32::MAX);
                    self.add(now + wait, Act::Turn(number, node));
                }
            }
            Fault::Freeze { .. } => one.impair(cluster, Cluster::freeze_at),
            Fault::Stall { .. } => one.impair(cluster, Cluster::stall_at),
            Fault::Slow { per_datagram, .. } => {
                one.impair(cluster, |cluster, node| cluster.slow_at(node, *per_datagram));
            }
            Fault::SmallBuffer { datagrams, .. } => {
                for &node in &one.nodes {
                    cluster.set_buffer_at(node, Some(*datagrams));
                }
                let (from, to) = (one.everybody(), one.nodes.clone());
                one.excuses.push(cluster.disturb(Disturbance::Links { from, to }));
            }
            Fault::ReuseAddress { .. } => {
                for (node, heir) in one.nodes.clone().into_iter().zip(one.extra.clone()) {
                    one.deeds += u64::from(cluster.crash_at(node));
                    cluster.inherit_address(node, heir);
                }
            }
            Fault::DuplicateName { .. } => {
                for (node, twin) in one.nodes.clone().into_iter().zip(one.extra.clone()) {
                    cluster.start_twin(node, twin);
                    one.deeds += 1;
                }
                one.excuses.push(cluster.disturb(Disturbance::Impaired(one.extra.clone())));
            }
            Fault::Clock { drift_ppm, step_seconds, .. } => {
                for &node in &one.nodes {
                    cluster.drift_at(node, *drift_ppm);
                    cluster.step_clock_at(node, *step_seconds);
                    one.deeds += 1;
                }
            }
            Fault::Dns { answer, .. } => {
                let zones = &scenario.nodes.zones;
                for &node in &one.nodes {
                    let zone = node.checked_rem(zones.len());
                    let peers = (0..scenario.nodes.count)
                        .filter(|peer| zone.is_none() || peer.checked_rem(zones.len()) == zone);
                    cluster.dns_says(node, answer, peers.collect());
                }
            }
            Fault::Attack(_) => self.add(now, Act::Volley(number)),
        }
    }

    fn end(&mut self, number: usize, cluster: &mut Cluster) {
        let one = &mut self.ongoing[number];
        one.lift(cluster);
        match &self.scenario.faults[number].fault {
            Fault::Crash { .. } => {
                for &node in &one.nodes {
                    cluster.start_if_gone(node);
                }
            }
            Fault::Freeze { .. } => one.nodes.iter().for_each(|&node| cluster.thaw_at(node)),
            Fault::Stall { .. } => one.nodes.iter().for_each(|&node| cluster.unstall_at(node)),
            Fault::Slow { .. } => {
                for &node in &one.nodes {
                    cluster.slow_at(node, Duration::ZERO);
                }
            }
            Fault::SmallBuffer { .. } => {
                for &node in &one.nodes {
                    one.deeds += cluster.overflowed_at(node);
                    cluster.set_buffer_at(node, None);
                }
            }
            Fault::DuplicateName { .. } => {
                for &twin in &one.extra {
                    cluster.crash_at(twin);
                }
            }
            Fault::Clock { .. } => {
                for &node in &one.nodes {
                    cluster.drift_at(node, 0);
                }
            }
            Fault::Dns { .. } => {
                for &node in &one.nodes {
                    one.deeds += cluster.dns_is_right(node);
                }
            }
            _ => {}
        }
        for id in std::mem::take(&mut one.excuses) {
            cluster.calm(id);
        }
    }

    /// Links are clogged one by one, and released in another order.
    fn swizzle(&mut self, number: usize, step: Duration, now: Instant) {
        let mut order = self.ongoing[number].nodes.clone();
        let mut at = now;
        for release in [false, true] {
            order.shuffle(&mut self.rng);
            for &node in &order {
                let act = if release { Act::Back(number, node) } else { Act::Turn(number, node) };
                self.add(at, act);
                at = at + step;
            }
        }
    }

    fn turn(&mut self, number: usize, node: usize, cluster: &mut Cluster) {
        let one = &mut self.ongoing[number];
        match &self.scenario.faults[number].fault {
            Fault::Leave { .. } => one.deeds += u64::from(cluster.leave_at(node)),
            Fault::RollingRestart { .. } => {
                one.deeds += u64::from(cluster.leave_at(node));
                let at = cluster.now() + GOODBYE;
                self.add(at, Act::Back(number, node));
            }
            Fault::Swizzle { .. } if one.ended.is_none() => {
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
        match &self.scenario.faults[number].fault {
            Fault::RollingRestart { .. } => {
                cluster.crash_at(node);
                cluster.start_if_gone(node);
            }
            Fault::Swizzle { .. } => {
                let one = &mut self.ongoing[number];
                if let Some(id) = one.turns.remove(&node) {
                    one.deeds += cluster.end_rule(id);
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
        let Fault::Attack(attack) = &self.scenario.faults[number].fault else { return };
        let one = &mut self.ongoing[number];
        let lasts = self.scenario.faults[number].lasts.unwrap_or(VOLLEY);
        let over = one.began.is_some_and(|began| cluster.now() >= began + lasts);
        if over || one.ended.is_some() {
            return;
        }
        let each = (f64::from(attack.rate) * VOLLEY.as_secs_f64()).ceil() as u32;
        for &node in &one.nodes {
            for _ in 0..each {
                one.deeds += u64::from(self.attacker.shoot(attack.kind, node, cluster));
            }
        }
        let at = cluster.now() + VOLLEY;
        self.add(at, Act::Volley(number));
    }

    /// How often each fault really did something, and what reports draw of it.
    pub(crate) fn told(&mut self, cluster: &mut Cluster) -> (BTreeMap<String, u64>, Vec<Ribbon>) {
        let (mut marks, mut ribbons) = (BTreeMap::new(), Vec::new());
        let now = cluster.now();
        for (number, timed) in self.scenario.faults.iter().enumerate() {
            let one = &mut self.ongoing[number];
            let Some(began) = one.began else { continue };
            one.lift(cluster);
            if let Fault::SmallBuffer { .. } = timed.fault
                && one.ended.is_none()
            {
                one.deeds += one.nodes.iter().map(|&n| cluster.overflowed_at(n)).sum::<u64>();
            }
            let label = timed.fault.to_string();
            marks.insert(format!("fault {number}: {label}"), one.deeds);
            let moment = matches!(timed.fault, Fault::Restart { .. } | Fault::ReuseAddress { .. });
            let until = one.ended.unwrap_or(if moment { began } else { now });
            let nodes = one.nodes.iter().filter_map(|&n| u32::try_from(n).ok()).collect();
            ribbons.push(Ribbon { from: seconds(began), to: seconds(until), label, nodes });
        }
        (marks, ribbons)
    }
}

impl Ongoing {
    fn resolve(fault: &Fault, scenario: &Scenario, rng: &mut ChaCha8Rng) -> Self {
        let count = scenario.nodes.count;
        let mut resolve = |group: &Group, others: &[usize]| {
            group.resolve(count, &scenario.nodes.zones, others, rng)
        };
        let (nodes, others, islands) = match fault {
            Fault::Link { from, to, .. } | Fault::Cut(Cut::OneWay { from, to }) => {
                let (first, second) = (resolve(from, &[]), resolve(to, &[]));
                // `rest` on either side is whoever is not on the other.
                let nodes = resolve(from, &second);
                let others = resolve(to, &first);
                (if from.is_rest() { nodes } else { first }, others, Vec::new())
            }
            Fault::Cut(Cut::Islands(groups)) => {
                let mut islands: Vec<Vec<usize>> = Vec::new();
                for group in groups {
                    let so_far: Vec<usize> = islands.concat();
                    islands.push(resolve(group, &so_far));
                }
                (islands.concat(), Vec::new(), islands)
            }
            Fault::Cut(Cut::Majorities) => ((0..count).collect(), Vec::new(), Vec::new()),
            fault => {
                let nodes = fault.nodes().map_or_else(Vec::new, |group| resolve(group, &[]));
                let others = (0..count).filter(|node| !nodes.contains(node)).collect();
                (nodes, others, Vec::new())
            }
        };
        Self {
            nodes,
            others,
            islands,
            extra: Vec::new(),
            rules: Vec::new(),
            turns: BTreeMap::new(),
            excuses: Vec::new(),
            deeds: 0,
            began: None,
            ended: None,
        }
    }

    fn everybody(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.nodes.iter().chain(&self.others).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn rule(&mut self, cluster: &mut Cluster, scope: Scope, effect: Effect, pulse: Option<Pulse>) {
        self.rules.push(cluster.rule(scope, effect, pulse));
    }

    fn apart(&mut self, from: Vec<usize>, to: Vec<usize>, cluster: &mut Cluster) {
        self.excuses.push(cluster.disturb(Disturbance::Apart { from, to }));
    }

    fn impair(&mut self, cluster: &mut Cluster, how: impl Fn(&mut Cluster, usize) -> bool) {
        for node in self.nodes.clone() {
            self.deeds += u64::from(how(cluster, node));
        }
        self.excuses.push(cluster.disturb(Disturbance::Impaired(self.nodes.clone())));
    }

    fn links(&mut self, both_ways: bool, link: &Link, cluster: &mut Cluster) {
        let (from, to) = (NodeSet::of(&self.nodes), NodeSet::of(&self.others));
        let effect = Effect::Impair(Box::new(link.clone()));
        self.rule(cluster, Scope::Between(from.clone(), to.clone()), effect.clone(), None);
        if both_ways {
            self.rule(cluster, Scope::Between(to, from), effect, None);
        }
        let (from, to) = (self.nodes.clone(), self.others.clone());
        let disturbance = if link.clog {
            Disturbance::Apart { from, to }
        } else {
            Disturbance::Links { from, to }
        };
        self.excuses.push(cluster.disturb(disturbance));
    }

    fn flip_flop(&mut self, pulse: Pulse, ingress: bool, cluster: &mut Cluster) {
        let inside = NodeSet::of(&self.nodes);
        let scope = if ingress {
            Scope::Between(NodeSet::but(&self.nodes), inside)
        } else {
            Scope::Across(inside)
        };
        self.rule(cluster, scope, Effect::Lose, Some(pulse));
        self.apart(self.others.clone(), self.nodes.clone(), cluster);
        if !ingress {
            self.apart(self.nodes.clone(), self.others.clone(), cluster);
        }
    }

    fn cut(&mut self, cut: &Cut, count: usize, cluster: &mut Cluster) {
        let (nodes, others) = (self.nodes.clone(), self.others.clone());
        match cut {
            Cut::Off(_) => {
                self.rule(cluster, Scope::Across(NodeSet::of(&nodes)), Effect::Lose, None);
                self.apart(nodes.clone(), others.clone(), cluster);
                self.apart(others, nodes, cluster);
            }
            Cut::OneWay { .. } => {
                let scope = Scope::Between(NodeSet::of(&nodes), NodeSet::of(&others));
                self.rule(cluster, scope, Effect::Lose, None);
                self.apart(nodes, others, cluster);
            }
            Cut::Islands(_) => self.parts(&self.islands.clone(), &[], count, cluster),
            Cut::Bridge(_) => {
                // `others` without the bridge, in two halves.
                let (one, other) = others.split_at(others.len() / 2);
                self.parts(&[one.to_vec(), other.to_vec()], &nodes, count, cluster);
            }
            Cut::Majorities => {
                // With itself each node reaches a majority, the nearest ones.
                let reach = (count / 2).div_ceil(2);
                self.rule(cluster, Scope::Ring { count, reach }, Effect::Lose, None);
                for node in 0..count {
                    let far = |other: &usize| {
                        let apart = node.abs_diff(*other);
                        apart.min(count - apart) > reach
                    };
                    self.apart(vec![node], (0..count).filter(far).collect(), cluster);
                }
            }
        }
    }

    /// Parts that reach only themselves, and those who reach everybody.
    fn parts(&mut self, parts: &[Vec<usize>], both: &[usize], count: usize, cluster: &mut Cluster) {
        let mut of = vec![u32::MAX; count];
        // Whoever is in no part is on its own.
        for (node, part) in of.iter_mut().enumerate() {
            *part -= u32::try_from(node).unwrap_or(0);
        }
        for (n, part) in parts.iter().enumerate() {
            for &node in part {
                of[node] = u32::try_from(n + 1).unwrap_or(1);
            }
        }
        for &node in both {
            of[node] = 0;
        }
        for node in 0..count {
            let cut = |other: &usize| of[node] != 0 && of[*other] != 0 && of[node] != of[*other];
            let unreached: Vec<usize> = (0..count).filter(cut).collect();
            if !unreached.is_empty() {
                self.apart(vec![node], unreached, cluster);
            }
        }
        self.rule(cluster, Scope::Parts(of), Effect::Lose, None);
    }

    /// Ends the rules of this fault.
    fn lift(&mut self, cluster: &mut Cluster) {
        let rules = std::mem::take(&mut self.rules);
        let turns = std::mem::take(&mut self.turns).into_values();
        for id in rules.into_iter().chain(turns) {
            self.deeds += cluster.end_rule(id);
        }
    }
}

impl Cluster {
    /// Asks a process to leave, if it runs and can hear.
    fn leave_at(&mut self, index: usize) -> bool {
        let label = self.hosts[index].label.clone();
        let can = self.hosts[index].process.is_some() && !self.hosts[index].is_frozen();
        if can {
            self.command(&label, Command::Leave);
        }
        can
    }

    fn crash_at(&mut self, index: usize) -> bool {
        let runs = self.hosts.get(index).is_some_and(|host| host.process.is_some());
        if runs {
            self.end_process(index, ProcessState::Crashed);
        }
        runs
    }

    fn start_if_gone(&mut self, index: usize) {
        if self.hosts[index].process.is_none() {
            self.start_at(index);
        }
    }
}
