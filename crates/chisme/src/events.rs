//! The stream of changes that a reader follows at its own pace.

use std::net::SocketAddr;
use std::sync::Arc;

use chisme_proto::{NodeName, Refusal, Rejection, StopReason};
use tokio::sync::{broadcast, watch};

use crate::{Member, Snapshot};

/// How many events wait for the slowest reader; then it is told how many it lost.
pub(crate) const EVENT_CAPACITY: usize = 1_024;

/// A change of the view, or something that an operator should see.
///
/// For one member, `Up` alternates with `Down` or `Left`; `Suspect` and `Recovered` come between.
/// An `Up` comes after the member is in the snapshot, a `Down` or `Left` after it has gone from it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The view as it is: first of all, and again after events were lost.
    Snapshot(Arc<Snapshot>),
    /// A member is up.
    Up(Member),
    /// A member is suspected; it counts as up.
    Suspect(Member),
    /// A suspected member answered.
    Recovered(Member),
    /// A member has failed.
    Down(Member),
    /// A member said goodbye.
    Left(Member),
    /// A member's endpoints, tags or services changed while it was up; or those of this node itself
    /// (`is_local`).
    Updated(Member),
    /// Two live nodes hold one name. If it is that of this node, `ours` is true.
    NameConflict {
        /// The name.
        name: NodeName,
        /// One holder.
        holder: SocketAddr,
        /// The other.
        claimant: SocketAddr,
        /// Whether it is the name of this node.
        ours: bool,
    },
    /// This node refused a peer, or was refused by one.
    Refused {
        /// The peer.
        peer: SocketAddr,
        /// Whether it was the peer who refused.
        by_peer: bool,
        /// Why.
        reason: Refusal,
    },
    /// A node is seen at another address than the one that it advertises.
    AddressMismatch {
        /// The node.
        name: NodeName,
        /// What it says.
        advertised: SocketAddr,
        /// Where its datagrams come from.
        observed: SocketAddr,
    },
    /// Datagrams were dropped; at most one such event per source and ten seconds.
    Rejected {
        /// Where they came from.
        from: SocketAddr,
        /// Why the last one was dropped.
        reason: Rejection,
        /// How many since the last such event of this source.
        count: u64,
    },
    /// This reader was too slow and lost so many events. A `Snapshot` follows.
    Lagged(u64),
    /// The node has stopped; this is the last event.
    Stopped(StopReason),
}

/// An event and the version of the snapshot that first contains it.
#[derive(Clone, Debug)]
pub(crate) struct Versioned {
    pub(crate) version: u64,
    pub(crate) event: Event,
}

/// The changes since a snapshot, which comes first. The protocol never waits for a reader.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Versioned>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What the last snapshot that was handed out contains; none when one is due.
    seen: Option<u64>,
}

impl Events {
    pub(crate) fn new(
        receiver: broadcast::Receiver<Versioned>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) -> Self {
        Self { receiver, snapshots, seen: None }
    }

    /// The next event; none after the node has stopped or its last handle was dropped.
    ///
    /// Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        let Some(seen) = self.seen else {
            let snapshot = Arc::clone(&self.snapshots.borrow());
            self.seen = Some(snapshot.version);
            return Some(Event::Snapshot(snapshot));
        };
        loop {
            match self.receiver.recv().await {
                Ok(Versioned { version, event }) if version > seen => return Some(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    self.seen = None;
                    return Some(Event::Lagged(lost));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
