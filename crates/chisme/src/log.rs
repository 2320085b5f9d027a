//! What an operator reads: one tracing event per change, with stable names and fields, inside the
//! span of the node that it happened to.

use chisme_proto::{NodeName, Rejection};
use tracing::Span;

use crate::Event;

/// What a node does happens in this span: with several nodes in a process every line says whose it is.
pub(crate) fn span(name: &NodeName) -> Span {
    tracing::error_span!("node", %name)
}

/// A look-up of all seeds happens in this one.
pub(crate) fn lookup_span() -> Span {
    tracing::error_span!("seeds")
}

/// Logs an event at the level that it deserves.
pub(crate) fn event(event: &Event) {
    match event {
        Event::Up(m) => tracing::info!(peer = %m.name, addr = %m.endpoints, "member up"),
        Event::Suspect(m) => tracing::info!(peer = %m.name, "member suspected"),
        Event::Recovered(m) => tracing::info!(peer = %m.name, "member recovered"),
        Event::Down(m) => tracing::warn!(peer = %m.name, addr = %m.endpoints, "member down"),
        Event::Left(m) => tracing::info!(peer = %m.name, "member left"),
        Event::Updated(m) => tracing::info!(
            peer = %m.name, addr = %m.endpoints, tags = m.record.tags.len(),
            services = m.record.services.len(), "member changed its address, tags or services"
        ),
        Event::NameConflict { name, holder, claimant, ours } => {
            let whose = if *ours { "this node's name" } else { "a name" };
            tracing::error!(%name, %holder, %claimant, "two live nodes hold {whose}");
        }
        Event::Refused { peer, by_peer: true, reason } => {
            tracing::error!(%peer, "refused by {peer}: {reason}");
        }
        Event::Refused { peer, by_peer: false, reason } => {
            tracing::warn!(%peer, "refused {peer}: {reason}");
        }
        Event::AddressMismatch { name, advertised, observed } => tracing::info!(
            peer = %name, %advertised, %observed,
            "{name} advertises {advertised} and is seen at {observed}; checking the former"
        ),
        Event::Rejected { from, reason, count } => rejected(*from, *reason, *count),
        Event::Stopped(reason) => tracing::info!(?reason, "stopped"),
        Event::Snapshot(_) | Event::Lagged(_) => {}
    }
}

fn rejected(from: std::net::SocketAddr, reason: Rejection, count: u64) {
    let noun = if count == 1 { "datagram" } else { "datagrams" };
    let ip = from.ip();
    match reason {
        Rejection::UnknownKey | Rejection::BadTag => tracing::warn!(
            %from, %reason, count,
            "{count} {noun} from {ip} failed authentication: different cookie or cluster name?"
        ),
        Rejection::WrongVersion => tracing::warn!(
            %from, %reason, count,
            "{count} {noun} from {ip} of another protocol version: upgrade the older node"
        ),
        _ => tracing::warn!(
            %from, %reason, count,
            "{count} {noun} from {ip} are not of this protocol or damaged"
        ),
    }
}
