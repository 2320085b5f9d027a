//! One fault, from the resolution of its groups to its end.
//!
//! It knows the rules of the network and whom they disturb; when it is its turn is not its matter.

use std::collections::BTreeMap;
use std::time::Duration;

use chisme_proto::Instant;
use rand::rngs::ChaCha8Rng;

use super::GOODBYE;
use crate::cluster::Cluster;
use crate::disturbance::{Disturbance, DisturbanceId};
use crate::network::{Deeds, Effect, NodeSet, Pulse, RuleId, Scope};
use crate::outcome::{ProcessChange, ProcessState};
use crate::scenario::{Answer, Cut, Fault, Group, Link, TimedFault};
use crate::story::seconds;

pub(super) struct Ongoing {
    pub(super) timed: TimedFault,
    /// How many machines there were when its groups were resolved.
    count: usize,
    /// The machines that it is about, and those at the other end of links.
    pub(super) nodes: Vec<usize>,
    others: Vec<usize>,
    islands: Vec<Vec<usize>>,
    /// Machines that bear the names of others for the time of it.
    twins: Vec<usize>,
    /// Those that it has really stopped, each with the run of its process, and how much their sockets had
    /// lost before.
    hit: Vec<(usize, u64)>,
    lost_before: u64,
    /// Those where no process ran when it began, each with the number of its last run: whoever starts
    /// while it lasts is met by it then.
    idle: Vec<(usize, u64)>,
    /// Of clocks: on how many machines that ran they went wrong, or jumped.
    drifted: u64,
    stepped: u64,
    /// What its rules did.
    done: Deeds,
    rules: Vec<RuleId>,
    pub(super) turns: BTreeMap<usize, RuleId>,
    /// How often an attacker has fired at each.
    pub(super) volleys: u32,
    excuses: Vec<Option<DisturbanceId>>,
    /// How often it really did something, as far as it is known yet.
    pub(super) deeds: u64,
    pub(super) began: Option<Instant>,
    pub(super) ended: Option<Instant>,
}

impl Ongoing {
    /// Names all machines that a fault is about, among those that there are.
    pub(super) fn resolve(timed: TimedFault, cluster: &Cluster, rng: &mut ChaCha8Rng) -> Self {
        let count = cluster.hosts.len();
        let mut resolve =
            |group: &Group, others: &[usize]| group.resolve(count, &cluster.zones, others, rng);
        let (nodes, others, islands) = match &timed.fault {
            Fault::Link { from, to, .. } | Fault::Cut(Cut::OneWay { from, to }) => {
                // `rest` on either side is whoever is not on the other, who is drawn once.
                let (nodes, others) = if from.is_rest() {
                    let others = resolve(to, &[]);
                    (resolve(from, &others), others)
                } else {
                    let nodes = resolve(from, &[]);
                    let others = resolve(to, &nodes);
                    (nodes, others)
                };
                (nodes, others, Vec::new())
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
            timed,
            count,
            nodes,
            others,
            islands,
            twins: Vec::new(),
            hit: Vec::new(),
            lost_before: 0,
            idle: Vec::new(),
            drifted: 0,
            stepped: 0,
            done: Deeds::default(),
            rules: Vec::new(),
            turns: BTreeMap::new(),
            volleys: 0,
            excuses: Vec::new(),
            deeds: 0,
            began: None,
            ended: None,
        }
    }

    /// What it does when it begins; whatever goes one after another is up to the agenda.
    pub(super) fn begin(&mut self, cluster: &mut Cluster) {
        match self.timed.fault.clone() {
            Fault::Link { both_ways, link, .. } => self.links(both_ways, &link, cluster),
            Fault::Cut(cut) => self.cut(&cut, cluster),
            Fault::FlipFlop { period, ingress, .. } => {
                let pulse = Pulse { since: cluster.now(), period };
                self.flip_flop(pulse, ingress, cluster);
            }
            Fault::Crash { .. } => {
                self.stop(cluster, Cluster::crash_at);
            }
            Fault::Restart { new_address, clock, .. } => {
                for node in self.nodes.clone() {
                    cluster.crash_at(node);
                    if let Some(seconds) = clock {
                        cluster.step_clock_at(node, seconds);
                    }
                    if new_address {
                        cluster.readdress(node);
                    }
                    cluster.start_if_gone(node);
                    self.deeds += 1;
                }
            }
            Fault::Freeze { .. } => self.impair(cluster, Cluster::freeze_at),
            Fault::Stall { .. } => self.impair(cluster, Cluster::stall_at),
            Fault::Slow { per_datagram, .. } => {
                self.impair(cluster, |cluster, node| cluster.slow_at(node, per_datagram));
            }
            Fault::SmallBuffer { datagrams, .. } => {
                self.lost_before = self.overflowed(cluster);
                for &node in &self.nodes {
                    cluster.set_buffer_at(node, Some(datagrams));
                }
                let (from, to) = (self.everybody(), self.nodes.clone());
                self.excuses.push(cluster.disturb(Disturbance::Links { from, to }));
            }
            Fault::ReuseAddress { .. } => {
                for &node in &self.nodes {
                    self.deeds += u64::from(cluster.crash_at(node));
                    cluster.inherit_address(node);
                }
            }
            Fault::DuplicateName { .. } => {
                self.twins = self.nodes.iter().map(|&node| cluster.start_twin(node)).collect();
                self.deeds += self.running(cluster);
                self.excuses.push(cluster.disturb(Disturbance::Impaired(self.twins.clone())));
            }
            Fault::Clock { drift_ppm, step_seconds, .. } => {
                for &node in &self.nodes {
                    cluster.drift_at(node, drift_ppm);
                    cluster.step_clock_at(node, step_seconds);
                }
                let running = self.running(cluster);
                self.clocks(running, running);
            }
            Fault::Dns { answer, .. } => {
                for &node in &self.nodes {
                    self.lie(node, &answer, cluster);
                }
            }
            Fault::Swizzle { .. }
            | Fault::Leave { .. }
            | Fault::RollingRestart { .. }
            | Fault::Attack(_) => {}
        }
    }

    /// Undoes what it did, once.
    pub(super) fn end(&mut self, cluster: &mut Cluster) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(cluster.now());
        if self.began.is_none() {
            return;
        }
        self.lift(cluster);
        match &self.timed.fault {
            Fault::Crash { .. } => self.hit.iter().for_each(|hit| cluster.start_if_gone(hit.0)),
            Fault::Freeze { .. } => self.let_go(cluster, Cluster::thaw_at),
            Fault::Stall { .. } => self.let_go(cluster, Cluster::unstall_at),
            Fault::Slow { .. } => {
                for &node in &self.nodes {
                    cluster.slow_at(node, Duration::ZERO);
                }
            }
            Fault::SmallBuffer { .. } => {
                self.deeds += self.overflowed(cluster) - self.lost_before;
                self.nodes.iter().for_each(|&node| cluster.set_buffer_at(node, None));
            }
            Fault::DuplicateName { .. } => {
                self.deeds += self.late_doubles(cluster);
                for &twin in &self.twins {
                    cluster.crash_at(twin);
                }
            }
            Fault::Clock { .. } => {
                for &node in &self.nodes {
                    cluster.drift_at(node, 0);
                }
                let late = self.late_starts(cluster);
                self.clocks(late, late);
            }
            Fault::Dns { .. } => {
                for &node in &self.nodes {
                    self.deeds += cluster.dns_is_right(node);
                }
            }
            _ => {}
        }
        for id in std::mem::take(&mut self.excuses) {
            cluster.calm(id);
        }
    }

    /// Counts what is counted only at the end, of a fault that has none; and whoever has started by a
    /// clock that has jumped, which stays so.
    pub(super) fn take_stock(&mut self, cluster: &mut Cluster) {
        self.lift(cluster);
        if let Fault::Clock { .. } = self.timed.fault {
            let late = self.late_starts(cluster);
            self.clocks(if self.ended.is_some() { 0 } else { late }, late);
        }
        if self.ended.is_some() {
            return;
        }
        match self.timed.fault {
            Fault::DuplicateName { .. } => self.deeds += self.late_doubles(cluster),
            Fault::SmallBuffer { .. } => self.deeds += self.overflowed(cluster) - self.lost_before,
            Fault::Dns { .. } => {
                self.deeds +=
                    self.nodes.iter().map(|&node| cluster.dns_is_right(node)).sum::<u64>();
            }
            _ => {}
        }
    }

    /// How often it did each of the things that were asked for, in words.
    pub(super) fn marks(&self) -> Vec<(String, u64)> {
        let fault = &self.timed.fault;
        let parts: Vec<(String, u64)> = match fault {
            Fault::Link { link, .. } => {
                let ways = link.asked().into_iter();
                ways.map(|(way, words)| (words, self.done.by(way))).collect()
            }
            Fault::Clock { drift_ppm, step_seconds, .. }
                if *drift_ppm != 0 && *step_seconds != 0 =>
            {
                vec![
                    (format!("drift {drift_ppm} ppm"), self.drifted),
                    (format!("step {step_seconds} s"), self.stepped),
                ]
            }
            _ => Vec::new(),
        };
        if parts.is_empty() {
            return vec![(fault.to_string(), self.deeds)];
        }
        parts.into_iter().map(|(words, count)| (fault.doing(&words), count)).collect()
    }

    /// How many of its machines run; the others are noted as idle.
    fn running(&mut self, cluster: &Cluster) -> u64 {
        let idle = self.nodes.iter().filter(|&&node| cluster.hosts[node].process.is_none());
        self.idle = idle.map(|&node| (node, cluster.hosts[node].run)).collect();
        (self.nodes.len() - self.idle.len()) as u64
    }

    /// How many of the idle have started since; they are idle no more.
    fn late_starts(&mut self, cluster: &Cluster) -> u64 {
        let before = self.idle.len();
        self.idle.retain(|&(node, run)| cluster.hosts[node].run == run);
        (before - self.idle.len()) as u64
    }

    /// How many of the idle have started while a second machine ran under their name.
    fn late_doubles(&self, cluster: &Cluster) -> u64 {
        let pairs = self.nodes.iter().zip(&self.twins);
        let met = |&(&node, &twin): &(&usize, &usize)| {
            let started =
                |&(idle, run): &(usize, u64)| idle == node && cluster.hosts[node].run > run;
            self.idle.iter().any(started) && cluster.hosts[twin].ran_beside(&cluster.hosts[node])
        };
        pairs.filter(met).count() as u64
    }

    /// So many more clocks went wrong, or jumped, on machines that run.
    fn clocks(&mut self, drifted: u64, stepped: u64) {
        let Fault::Clock { drift_ppm, step_seconds, .. } = self.timed.fault else { return };
        let drifted = if drift_ppm == 0 { 0 } else { drifted };
        let stepped = if step_seconds == 0 { 0 } else { stepped };
        self.drifted += drifted;
        self.stepped += stepped;
        self.deeds += drifted + stepped;
    }

    fn overflowed(&self, cluster: &Cluster) -> u64 {
        self.nodes.iter().map(|&node| cluster.overflowed_at(node)).sum()
    }

    pub(super) const fn is_of_a_moment(&self) -> bool {
        matches!(self.timed.fault, Fault::Restart { .. } | Fault::ReuseAddress { .. })
    }

    /// Whether nobody's turn comes after this one's.
    pub(super) fn is_last(&self, node: usize) -> bool {
        self.nodes.last() == Some(&node)
    }

    /// When the last of those that it asked to leave had left, in seconds: a while after it was asked.
    pub(super) fn last_left(&self, cluster: &Cluster) -> Option<f64> {
        let Fault::Leave { .. } = self.timed.fault else { return None };
        let span = seconds(self.began?)..=seconds(self.ended? + GOODBYE);
        let has_left = |change: &&ProcessChange| {
            let is_about = self.nodes.contains(&(change.node as usize));
            change.to == ProcessState::Left && is_about && span.contains(&change.at)
        };
        let processes = &cluster.recorder.as_ref()?.processes;
        processes.iter().filter(has_left).map(|change| change.at).reduce(f64::max)
    }

    pub(super) fn everybody(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.nodes.iter().chain(&self.others).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn rule(&mut self, cluster: &mut Cluster, scope: Scope, effect: Effect, pulse: Option<Pulse>) {
        self.rules.push(cluster.rule(scope, effect, pulse));
    }

    pub(super) fn apart(&mut self, from: Vec<usize>, to: Vec<usize>, cluster: &mut Cluster) {
        self.excuses.push(cluster.disturb(Disturbance::Apart { from, to }));
    }

    fn impair(&mut self, cluster: &mut Cluster, how: impl Fn(&mut Cluster, usize) -> bool) {
        self.stop(cluster, how);
        self.excuses.push(cluster.disturb(Disturbance::Impaired(self.nodes.clone())));
    }

    /// Does something to each process; counted is to which it could be done.
    fn stop(&mut self, cluster: &mut Cluster, how: impl Fn(&mut Cluster, usize) -> bool) {
        for &node in &self.nodes {
            let run = cluster.hosts[node].run;
            if how(cluster, node) {
                self.hit.push((node, run));
            }
        }
        self.deeds += self.hit.len() as u64;
    }

    /// Undoes it, where it is still the process to which it was done.
    fn let_go(&self, cluster: &mut Cluster, how: impl Fn(&mut Cluster, usize)) {
        for &(node, run) in &self.hit {
            if cluster.hosts[node].run == run {
                how(cluster, node);
            }
        }
    }

    /// Another fault has ended, and with it what this one, of the same kind, does to the same machines:
    /// does it again, if it has not ended itself.
    pub(super) fn hold_on(&self, ended: &Fault, cluster: &mut Cluster) {
        let same = std::mem::discriminant(&self.timed.fault) == std::mem::discriminant(ended);
        if !same || self.began.is_none() || self.ended.is_some() {
            return;
        }
        for &node in &self.nodes {
            match &self.timed.fault {
                Fault::Slow { per_datagram, .. } => _ = cluster.slow_at(node, *per_datagram),
                Fault::SmallBuffer { datagrams, .. } => {
                    cluster.set_buffer_at(node, Some(*datagrams));
                }
                Fault::Clock { drift_ppm, .. } => cluster.drift_at(node, *drift_ppm),
                Fault::Dns { answer, .. } => self.lie(node, answer, cluster),
                _ => {}
            }
        }
    }

    fn lie(&self, node: usize, answer: &Answer, cluster: &mut Cluster) {
        let zones = cluster.zones.len();
        let zone = node.checked_rem(zones);
        let is_near = |peer: &usize| zone.is_none() || peer.checked_rem(zones) == zone;
        cluster.dns_says(node, answer, (0..self.count).filter(is_near).collect());
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

    fn cut(&mut self, cut: &Cut, cluster: &mut Cluster) {
        let count = self.count;
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
            Cut::Islands(_) => self.parts(&self.islands.clone(), &[], cluster),
            Cut::Bridge(_) => {
                // `others` without the bridge, in two halves.
                let (one, other) = others.split_at(others.len() / 2);
                self.parts(&[one.to_vec(), other.to_vec()], &nodes, cluster);
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
    fn parts(&mut self, parts: &[Vec<usize>], both: &[usize], cluster: &mut Cluster) {
        let count = self.count;
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
            self.did(cluster.end_rule(id));
        }
    }

    /// A rule of it has ended, which did this.
    pub(super) fn did(&mut self, deeds: Deeds) {
        self.done += deeds;
        self.deeds += deeds.total();
    }
}
