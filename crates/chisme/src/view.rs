//! What a node shows of its cluster: members and snapshots.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chisme_proto::{
    Endpoints, Event as NodeEvent, Instant, MemberState, MemberView, Node, NodeName, Record,
    Session,
};

use crate::Event;
use crate::rtt::RoundTrips;

/// One member, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// How it is.
    pub state: MemberState,
    /// Which run of its process.
    pub session: Session,
    /// Where it can be reached.
    pub endpoints: Endpoints,
    /// Since when it is up, or gone, by this node's clock. A suspicion does not restart it.
    pub since: SystemTime,
    /// Whether it is this node itself.
    pub is_local: bool,
    /// Its tags and services; nothing if it is not up.
    pub record: Arc<Record>,
    rtts: RoundTrips,
}

impl Member {
    /// The round trip to this member as it is known now, however old this value is: from its answers to
    /// this node's own probes and pings, smoothed (RFC 6298, alpha 1/8), in microseconds. None for
    /// this node itself, for whoever is gone, and until it was probed once, which takes about as many
    /// probe periods as there are members. [`Cluster::ping`](crate::Cluster::ping) measures it once, now.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtts.of(self.session)
    }
}

/// A view of the cluster at one moment. It never changes; ask for a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// This node.
    pub local: Member,
    /// The other members that are up (Alive or Suspect), by name.
    pub members: Vec<Member>,
    /// Members that were up and are Down or Left, as far as they are remembered, by name.
    pub departed: Vec<Member>,
    /// Grows with every change: events that it already contains are not told again.
    pub(crate) version: u64,
}

impl Snapshot {
    /// Members up, this node included.
    pub fn live(&self) -> usize {
        self.members.len() + 1
    }

    /// Another member that is up.
    pub fn member(&self, name: &NodeName) -> Option<&Member> {
        let at = self.members.binary_search_by(|member| member.name.cmp(name)).ok()?;
        self.members.get(at)
    }
}

/// Translates the state machine's time, which starts with the driver, into the time of day.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
    start_of_day: SystemTime,
    /// What every member that is shown can be asked for.
    pub(crate) rtts: RoundTrips,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
            start_of_day: SystemTime::now(),
            rtts: RoundTrips::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Instant::from_nanos(nanos)
    }

    /// The moment that tokio's timers know `at` by.
    pub(crate) fn to_tokio(&self, at: Instant) -> tokio::time::Instant {
        (self.start + Duration::from_nanos(at.as_nanos())).into()
    }

    fn time_of_day(&self, at: Instant) -> SystemTime {
        self.start_of_day + Duration::from_nanos(at.as_nanos())
    }

    pub(crate) fn member(&self, view: MemberView) -> Member {
        Member {
            since: self.time_of_day(view.since),
            name: view.name,
            state: view.state,
            session: view.session,
            endpoints: view.endpoints,
            is_local: false,
            record: view.record,
            rtts: self.rtts.clone(),
        }
    }

    /// The event as embedders see it; none for a kind that this version of the crate has no name for.
    pub(crate) fn event(&self, event: NodeEvent) -> Option<Event> {
        Some(match event {
            NodeEvent::Up(view) => Event::Up(self.member(view)),
            NodeEvent::Suspect(view) => Event::Suspect(self.member(view)),
            NodeEvent::Recovered(view) => Event::Recovered(self.member(view)),
            NodeEvent::Down(view) => Event::Down(self.member(view)),
            NodeEvent::Left(view) => Event::Left(self.member(view)),
            NodeEvent::Updated(view) => Event::Updated(self.member(view)),
            NodeEvent::OwnRecord(view) => {
                Event::Updated(Member { is_local: true, ..self.member(view) })
            }
            NodeEvent::NameConflict { name, holder, claimant, ours } => {
                Event::NameConflict { name, holder, claimant, ours }
            }
            NodeEvent::Refused { peer, by_peer, reason } => {
                Event::Refused { peer, by_peer, reason }
            }
            NodeEvent::AddressMismatch { name, advertised, observed } => {
                Event::AddressMismatch { name, advertised, observed }
            }
            NodeEvent::Rejected { from, reason, count } => Event::Rejected { from, reason, count },
            _ => return None,
        })
    }

    pub(crate) fn snapshot(&self, node: &Node, version: u64) -> Snapshot {
        let local = Member { is_local: true, ..self.member(node.local()) };
        let mut all: Vec<Member> =
            node.members().into_iter().map(|view| self.member(view)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let (members, departed) = all.into_iter().partition(|member| member.state.is_up());
        Snapshot { local, members, departed, version }
    }
}
