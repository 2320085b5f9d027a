//! What the demo plays on: the agents, their views as their event lines add up, the screen.
//!
//! It waits for what should happen, with a limit, and never takes anything for granted.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::agents::{Agent, Home, Said};
use super::dns::{Entry, NameServer};
use super::table::{Row, Screen, Seen, seen_after};
use crate::control::wire::{ViewLine, unix_nanos};

/// How many agents there are.
pub(super) const AGENTS: usize = 5;

/// Above this index an address is one that an agent moves to.
pub(super) const MOVED: usize = 30;

/// The zone, and the service in it.
pub(super) const ZONE: &str = "demo.test";
pub(super) const SERVICE: &str = "_chisme._udp.demo.test";

/// Event lines that wait to be shown.
const MAX_WAITING: usize = 1024;

/// Which agents, by index.
pub(super) type Group = [usize];

/// Everything that is on stage.
pub(super) struct Stage {
    pub(super) agents: Vec<Agent>,
    pub(super) dns: NameServer,
    screen: Screen,
    sees: [[Seen; AGENTS]; AGENTS],
    gone: [Option<&'static str>; AGENTS],
    /// All event lines so far.
    told: Vec<ViewLine>,
    said: mpsc::Receiver<Said>,
    mouth: mpsc::Sender<Said>,
    net: Net,
    // Last, so that the agents end before their directories go.
    home: Home,
}

/// Which addresses the agents may use.
struct Net {
    port: u16,
    /// Every agent has an IPv4 address of its own: all of 127.0.0.0/8 is loopback on Linux.
    many_v4: bool,
    v6: bool,
}

impl Stage {
    /// Sets everything up; no agent runs yet.
    pub(super) async fn set_up() -> anyhow::Result<Self> {
        let net = Net::look()?;
        let dns = NameServer::start(ZONE).await?;
        let dir = tempfile::TempDir::with_prefix("chisme-demo-")
            .context("cannot make a directory for the agents")?;
        let cookie: String =
            (0..2).map(|_| format!("{:016x}", rand::rng().random::<u64>())).collect();
        let home = Home { dir, cookie, dns: dns.addr() };
        let (mouth, said) = mpsc::channel(MAX_WAITING);
        let seed = |index| match index {
            0..3 => SERVICE.to_owned(),
            _ => format!("{ZONE}:{}", net.port),
        };
        let agent = |n| Agent::new(&home, n, format!("node{}@demo", n + 1), seed(n));
        Ok(Self {
            agents: (0..AGENTS).map(agent).collect(),
            dns,
            screen: Screen::new(),
            sees: Default::default(),
            gone: [Some("off"); AGENTS],
            told: Vec::new(),
            said,
            mouth,
            net,
            home,
        })
    }

    /// Whether this host has IPv6.
    pub(super) const fn has_v6(&self) -> bool {
        self.net.v6
    }

    /// Starts an agent at `place`: its index, or another one if it has moved.
    pub(super) fn start(&mut self, index: usize, place: usize) -> anyhow::Result<()> {
        // With IPv6 the last one has nothing else: it can only find others by AAAA records.
        let v4 = index + 1 < AGENTS || !self.net.v6;
        let bind =
            self.net.v4(place).filter(|_| v4).into_iter().chain(self.net.v6(place)).collect();
        self.sees[index] = Default::default();
        self.gone[index] = None;
        self.agents[index].start(&self.home, bind, &self.mouth)
    }

    /// Kills an agent, and says when.
    pub(super) async fn kill(&mut self, index: usize) -> anyhow::Result<SystemTime> {
        let at = SystemTime::now();
        self.agents[index].kill().await?;
        self.gone[index] = Some("killed");
        Ok(at)
    }

    /// An agent has been asked to leave: waits for its end.
    pub(super) async fn wait_for_end(&mut self, index: usize) -> anyhow::Result<()> {
        self.gone[index] = Some("left");
        self.agents[index].wait().await
    }

    /// Which agents have ended unasked, with their last words: why other things went wrong.
    pub(super) async fn fallen(&mut self) -> Vec<String> {
        let mut fallen = Vec::new();
        for agent in &mut self.agents {
            fallen.extend(agent.fallen().await);
        }
        fallen
    }

    /// Ends all agents, side by side.
    pub(super) async fn clear(&mut self) {
        let (closed, _) = mpsc::channel(1);
        self.mouth = closed;
        let mut ends = Vec::new();
        for mut agent in self.agents.drain(..) {
            ends.push(tokio::spawn(async move { agent.stop().await }));
        }
        // Nobody reads any more, and an agent must not wait for that.
        self.said.close();
        for end in ends {
            _ = end.await;
        }
    }

    /// The records that lead to the agents that run: a service with all of them, and their
    /// addresses under the name of the zone.
    pub(super) async fn publish(&mut self) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut hosts = Vec::new();
        for agent in self.agents.iter().filter(|agent| agent.runs()) {
            let host = format!("{}.{ZONE}", agent.name().split('@').next().unwrap_or_default());
            let addrs = agent.addrs();
            // One port for both families of a target: a service has one port on its target.
            let Some(first) = addrs.first() else { continue };
            entries.push(Entry::service(SERVICE, first.port(), &host)?);
            for addr in addrs.iter().filter(|addr| addr.port() == first.port()) {
                hosts.push(Entry::address(&host, addr.ip())?);
            }
        }
        let everybody = self.agents.iter().filter(|agent| agent.runs());
        let mut plain: Vec<_> = everybody
            .flat_map(|agent| agent.addrs())
            .filter(|addr| addr.port() == self.net.port)
            .map(SocketAddr::ip)
            .collect();
        plain.sort_unstable();
        plain.dedup();
        for ip in plain {
            entries.push(Entry::address(ZONE, ip)?);
        }
        entries.extend(hosts);
        self.dns.publish(&entries).await;
        Ok(entries)
    }

    /// Starts a part of the story.
    pub(super) fn title(&mut self, text: &str) -> io::Result<()> {
        let rows = self.rows();
        self.screen.title(text, &rows)
    }

    /// Says something.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        let rows = self.rows();
        self.screen.say(text, &rows)
    }

    /// Says something that belongs to no moment.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        let rows = self.rows();
        self.screen.note(text, &rows)
    }

    /// Shows the table.
    pub(super) fn table(&mut self) -> io::Result<()> {
        let rows = self.rows();
        self.screen.table(&rows)
    }

    /// How many event lines there are so far: a mark for [`after`](Self::after).
    pub(super) fn mark(&self) -> usize {
        self.told.len()
    }

    /// The event lines after a mark.
    pub(super) fn after(&self, mark: usize) -> &[ViewLine] {
        &self.told[mark..]
    }

    /// Waits until everybody in `group` sees exactly that group.
    pub(super) async fn until_view(
        &mut self,
        group: &Group,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let what = format!("these {} see each other and nobody else", group.len());
        self.until(&what, limit, |stage| stage.sees_exactly(group)).await
    }

    /// Whether everybody in `group` sees all others of it alive, and nobody else up.
    pub(super) fn sees_exactly(&self, group: &Group) -> bool {
        let right = |observer: usize, peer: usize| match self.sees[observer][peer] {
            Some("alive") => group.contains(&peer),
            Some("suspect") => false,
            _ => !group.contains(&peer),
        };
        let others = |observer| (0..AGENTS).filter(move |&peer| peer != observer);
        group.iter().all(|&observer| others(observer).all(|peer| right(observer, peer)))
    }

    /// Waits until `done`, which is asked after every event line.
    ///
    /// # Errors
    /// If it takes longer than `limit`, or an agent ends unasked.
    pub(super) async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        while !done(self) {
            match tokio::time::timeout_at(end, self.said.recv()).await {
                Ok(Some(Said::Line(line))) => self.take(line)?,
                Ok(Some(Said::Ended { agent, run })) => self.check_end(agent, run)?,
                Ok(None) => bail!("nobody can say anything any more"),
                Err(_) => {
                    self.table()?;
                    bail!("after {} s still waiting until {what}", limit.as_secs());
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, line: ViewLine) -> anyhow::Result<()> {
        let index = |name: &str| self.agents.iter().position(|agent| agent.name() == name);
        let (Some(observer), Some(peer)) = (index(&line.node), index(&line.peer)) else {
            bail!("a line about somebody unknown: {} {} {}", line.node, line.event, line.peer);
        };
        if let Some(seen) = seen_after(&line.event) {
            self.sees[observer][peer] = Some(seen);
        }
        let rows = self.rows();
        self.screen.event(&line, &rows)?;
        self.told.push(line);
        Ok(())
    }

    fn check_end(&self, agent: usize, run: u32) -> anyhow::Result<()> {
        let agent = &self.agents[agent];
        let unasked = agent.runs() && agent.run() == run;
        ensure!(!unasked, "{} says nothing any more", agent.name());
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let row = |(n, agent): (usize, &Agent)| Row {
            name: agent.name().to_owned(),
            gone: self.gone[n],
            sees: self.sees[n].to_vec(),
        };
        self.agents.iter().enumerate().map(row).collect()
    }
}

impl Net {
    /// Finds ports that are free for everybody, outside the range from which systems take the ports
    /// of outgoing traffic.
    fn look() -> anyhow::Result<Self> {
        const PORTS: std::ops::Range<u16> = 20_000..30_000;
        const TRIES: usize = 100;
        let many_v4 = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).is_ok();
        let v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        for _ in 0..TRIES {
            let net = Self { port: rand::rng().random_range(PORTS), many_v4, v6 };
            let mut places = (0..AGENTS).chain([MOVED]);
            let free = |addr: Option<SocketAddr>| addr.is_none_or(|a| UdpSocket::bind(a).is_ok());
            if places.all(|place| free(net.v4(place)) && free(net.v6(place))) {
                return Ok(net);
            }
        }
        bail!("found no free UDP ports on loopback")
    }

    /// The IPv4 address of a place.
    fn v4(&self, place: usize) -> Option<SocketAddr> {
        let number = u8::try_from(place).ok()?;
        Some(if self.many_v4 {
            (Ipv4Addr::new(127, 0, 0, number + 1), self.port).into()
        } else {
            (Ipv4Addr::LOCALHOST, self.port + u16::from(number)).into()
        })
    }

    /// The IPv6 address of a place, if there is IPv6. Loopback has only one.
    fn v6(&self, place: usize) -> Option<SocketAddr> {
        let number = u16::try_from(place).ok()?;
        self.v6.then(|| (Ipv6Addr::LOCALHOST, self.port + number).into())
    }
}

/// Seconds from `start` to the moment of an event line.
pub(super) fn seconds(start: SystemTime, line: &ViewLine) -> f64 {
    let nanos = i128::from(line.t) - i128::from(unix_nanos(start));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()).as_secs_f64()
}
