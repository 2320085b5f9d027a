//! Several agents that should agree: how they are started together, and what all of them must see.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

use super::wait::{secs, until};
use super::{Agent, Dns, Net, Spec};

/// The name under which the members of a test's cluster are published.
pub(crate) const NAME: &str = "cluster.test";

/// A crash is known to all within this time (LAN defaults, up to 32 nodes).
pub(crate) const DETECTION: Duration = secs(12);

/// Agents `n1`, `n2`, ... that belong to one cluster.
pub(crate) struct Cluster {
    agents: Vec<Agent>,
}

impl Cluster {
    /// One agent on each host from 1 to `n`, seeded only by [`NAME`], for which all addresses are published.
    pub(crate) fn from_dns(net: &Net, dns: &Dns, n: u8) -> Self {
        Self::publish(net, dns, &(1..=n).collect::<Vec<_>>());
        Self { agents: (1..=n).map(|number| Self::spec(net, dns, number).start()).collect() }
    }

    /// The same, and waits until all see each other.
    #[track_caller]
    pub(crate) fn complete_from_dns(net: &Net, dns: &Dns, n: u8) -> Self {
        let mut cluster = Self::from_dns(net, dns, n);
        cluster.expect_complete(secs(20));
        cluster
    }

    /// How the agent of this host is started.
    pub(crate) fn spec(net: &Net, dns: &Dns, number: u8) -> Spec {
        let host = net.host(number);
        Spec::named(&format!("n{number}")).on(host).dns(dns).seeds(&[NAME])
    }

    /// Publishes the addresses of these hosts under [`NAME`].
    pub(crate) fn publish(net: &Net, dns: &Dns, numbers: &[u8]) {
        let addresses: Vec<_> = numbers.iter().map(|&number| net.host(number).ip()).collect();
        dns.publish(&[(NAME, &addresses)]);
    }

    /// A cluster of agents that were started already.
    pub(crate) const fn of(agents: Vec<Agent>) -> Self {
        Self { agents }
    }

    /// Waits until every agent sees exactly all others.
    #[track_caller]
    pub(crate) fn expect_complete(&mut self, deadline: Duration) {
        for agent in &mut self.agents {
            agent.expect_ready();
        }
        let names = self.names();
        self.expect_views(&names, deadline);
    }

    /// Waits until every agent that is one of `names` sees exactly the other ones of `names`.
    #[track_caller]
    pub(crate) fn expect_views(&self, names: &BTreeSet<String>, deadline: Duration) {
        let end = Instant::now() + deadline;
        for agent in self.agents.iter().filter(|agent| names.contains(&agent.name)) {
            let others: Vec<_> = names.iter().filter(|&name| *name != agent.name).collect();
            let others: Vec<_> = others.into_iter().map(String::as_str).collect();
            agent.expect_view(&others, end.saturating_duration_since(Instant::now()));
        }
    }

    /// Waits until every other agent has printed `event` about `peer` after its mark; gives the
    /// time of the last, counted from `from`.
    #[track_caller]
    pub(crate) fn expect_all(
        &self,
        event: &str,
        peer: &str,
        marks: &Marks,
        from: Instant,
        deadline: Duration,
    ) -> Duration {
        let mut last = from;
        for (agent, &mark) in self.agents.iter().zip(&marks.0) {
            if agent.name == peer {
                continue;
            }
            let what = format!("{} prints {event} {peer}", agent.name);
            let left = deadline.saturating_sub(from.elapsed());
            until(&what, left, || agent.when(event, peer, mark).is_some());
            last = last.max(agent.when(event, peer, mark).expect("just seen"));
        }
        last.duration_since(from)
    }

    /// Where each agent's lines end now.
    pub(crate) fn marks(&self) -> Marks {
        Marks(self.agents.iter().map(Agent::mark).collect())
    }

    /// What each agent printed after the marks, suspicions aside.
    pub(crate) fn changes_since(&self, marks: &Marks) -> Vec<(String, Vec<String>)> {
        let agents = self.agents.iter().zip(&marks.0);
        agents
            .map(|(agent, &mark)| {
                let mut lines = agent.since(mark);
                lines.retain(|line| {
                    !line.starts_with("suspect ") && !line.starts_with("recovered ")
                });
                (agent.name.clone(), lines)
            })
            .collect()
    }

    /// The names of all its agents.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.agents.iter().map(|agent| agent.name.clone()).collect()
    }

    /// The names of all but one.
    pub(crate) fn names_without(&self, name: &str) -> BTreeSet<String> {
        let mut names = self.names();
        names.remove(name);
        names
    }

    /// Its agents.
    pub(crate) fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Its agents.
    pub(crate) const fn agents_mut(&mut self) -> &mut Vec<Agent> {
        &mut self.agents
    }

    /// Starts agent `number` again after it has ended, as `spec` says.
    pub(crate) fn replace(&mut self, number: usize, spec: &Spec) {
        self[number] = spec.start();
    }
}

impl Index<usize> for Cluster {
    type Output = Agent;

    /// Agent `n{number}`.
    fn index(&self, number: usize) -> &Agent {
        &self.agents[number - 1]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, number: usize) -> &mut Agent {
        &mut self.agents[number - 1]
    }
}

/// A line of each agent, to ask what came after.
pub(crate) struct Marks(Vec<usize>);
