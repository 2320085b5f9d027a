//! What an operator reads: one tracing event per change, with stable names and fields.

use chisme_proto::{NodeName, Rejection};

use crate::Event;

/// Logs one event of `node`, at the level that it deserves.
pub(crate) fn event(node: &NodeName, event: &Event) {
    match event {
        Event::Up(m) => tracing::info!(%node, peer = %m.name, addr = %m.endpoints, "member up"),
        Event::Suspect(m) => tracing::info!(%node, peer = %m.name, "member suspected"),
        Event::Recovered(m) => tracing::info!(%node, peer = %m.name, "member recovered"),
        Event::Down(m) => tracing::warn!(%node, peer = %m.name, addr = %m.endpoints, "member down"),
        Event::Left(m) => tracing::info!(%node, peer = %m.name, "member left"),
        Event::Updated(m) => {
            tracing::info!(%node, peer = %m.name, addr = %m.endpoints, "member changed its address");
        }
        Event::NameConflict { name, holder, claimant, ours } => {
            let whose = if *ours { "this node's name" } else { "a name" };
            tracing::error!(%node, %name, %holder, %claimant, "two live nodes hold {whose}");
        }
        Event::Refused { peer, by_peer: true, reason } => {
            tracing::error!(%node, %peer, "refused by {peer}: {reason}");
        }
        Event::Refused { peer, by_peer: false, reason } => {
            tracing::warn!(%node, %peer, "refused {peer}: {reason}");
        }
        Event::AddressMismatch { name, advertised, observed } => tracing::info!(
            %node, peer = %name, %advertised, %observed,
            "{name} advertises {advertised} and is seen at {observed}; checking the former"
        ),
        Event::Rejected { from, reason, count } => rejected(node, *from, *reason, *count),
        Event::Stopped(reason) => tracing::info!(%node, ?reason, "stopped"),
        Event::Snapshot(_) | Event::Lagged(_) => {}
    }
}

fn rejected(node: &NodeName, from: std::net::SocketAddr, reason: Rejection, count: u64) {
    let noun = if count == 1 { "datagram" } else { "datagrams" };
    let ip = from.ip();
    match reason {
        Rejection::UnknownKey | Rejection::BadTag => tracing::warn!(
            %node, %from, %reason, count,
            "{count} {noun} from {ip} failed authentication: different cookie or cluster name?"
        ),
        Rejection::WrongVersion => tracing::warn!(
            %node, %from, %reason, count,
            "{count} {noun} from {ip} of another protocol version: upgrade the older node"
        ),
        _ => tracing::warn!(
            %node, %from, %reason, count,
            "{count} {noun} from {ip} are not of this protocol or damaged"
        ),
    }
}
