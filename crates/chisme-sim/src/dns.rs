//! What DNS says to a machine: the truth, unless a fault has it say something else.

use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::Contact;

use crate::cluster::Cluster;
use crate::scenario::Answer;
use crate::{millis, secs};

/// How long DNS is right, and how long it is empty, while it flaps; in nanoseconds.
const FLAP: u64 = 5_000_000_000;

/// How long a look-up takes, and after how long a resolver that nobody answers gives up (DESIGN, Seeds and DNS).
const LOOKUP_TIME: Duration = millis(5);
const GIVES_UP_AFTER: Duration = secs(5);

/// A DNS that lies to one machine.
#[derive(Clone, Debug)]
pub(crate) struct Lie {
    answer: Answer,
    /// The machines of its zone.
    peers: Vec<usize>,
    /// What was true when it began.
    before: Vec<SocketAddr>,
    /// How many answers were not the truth.
    told: u64,
    asked: usize,
}

impl Cluster {
    /// How long it takes until a machine has an answer, or none.
    pub(crate) fn lookup_time(&self, index: usize) -> Duration {
        match &self.hosts[index].lie {
            Some(Lie { answer: Answer::Timeout, .. }) => GIVES_UP_AFTER,
            _ => LOOKUP_TIME,
        }
    }

    /// From now on DNS says something else to a machine.
    pub(crate) fn dns_says(&mut self, index: usize, answer: &Answer, peers: Vec<usize>) {
        let before = self.true_addresses(index).into_iter().map(|(_, addr)| addr).collect();
        let lie = Lie { answer: answer.clone(), peers, before, told: 0, asked: 0 };
        self.hosts[index].lie = Some(lie);
    }

    /// DNS says the truth again; how many answers were none.
    pub(crate) fn dns_is_right(&mut self, index: usize) -> u64 {
        self.hosts[index].lie.take().map_or(0, |lie| lie.told)
    }

    /// What a look-up of a machine's seeds leads to. A failing one keeps the last good answer, as
    /// the sources of production do.
    pub(crate) fn resolve_seeds(&mut self, index: usize) -> Vec<Contact> {
        let truth = self.true_addresses(index);
        let right: Vec<SocketAddr> = truth.iter().map(|&(_, addr)| addr).collect();
        let now = self.now;
        let host = &mut self.hosts[index];
        let said = match &mut host.lie {
            None => right,
            Some(lie) => {
                lie.asked += 1;
                let said = match &lie.answer {
                    Answer::Empty | Answer::NoSuchName | Answer::Timeout => Vec::new(),
                    Answer::Stale => lie.before.clone(),
                    Answer::Partial(some) => {
                        let from = lie.asked * some;
                        let turn = right.iter().cycle().skip(from % right.len().max(1));
                        turn.take((*some).min(right.len())).copied().collect()
                    }
                    Answer::Disjoint => truth
                        .iter()
                        .filter(|(machine, _)| lie.peers.contains(machine))
                        .map(|&(_, addr)| addr)
                        .collect(),
                    Answer::Flapping if (now.as_nanos() / FLAP).is_multiple_of(2) => Vec::new(),
                    Answer::Flapping => right.clone(),
                };
                lie.told += u64::from(said != right);
                said
            }
        };
        if !said.is_empty() {
            host.good_seeds = said;
        }
        let good = host.good_seeds.iter();
        good.map(|&addr| Contact { addr, expect: None }).collect()
    }

    /// The machines that the seeds of one stand for, and their addresses.
    fn true_addresses(&self, index: usize) -> Vec<(usize, SocketAddr)> {
        let labels = self.hosts[index].setup.seeds.as_ref().unwrap_or(&self.seeds);
        let machines = labels.iter().filter_map(|label| self.labels.get(label).copied());
        machines
            .flat_map(|machine| {
                self.hosts[machine].setup.addresses.iter().map(move |&addr| (machine, addr))
            })
            .collect()
    }
}
