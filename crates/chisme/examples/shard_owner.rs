//! Which node owns which shard: rendezvous hashing over the members that are up.
//!
//! Every node computes the same owners from the same members, without asking anybody, and a member
//! that comes or goes moves only its own shards (Thaler, Ravishankar 1998). While two views differ,
//! two nodes may both think that they own a shard: membership is no lock.
//!
//! ```text
//! CHISME_COOKIE=a-long-shared-secret cargo run -p chisme --example shard_owner -- a@127.0.0.1
//! CHISME_COOKIE=a-long-shared-secret cargo run -p chisme --example shard_owner -- b@127.0.0.1 127.0.0.1:4747
//! ```

use std::collections::BTreeSet;

use anyhow::Context;
use chisme::{Cluster, Cookie, Event, NodeName};

const SHARDS: u64 = 64;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("usage: shard_owner NAME@HOST [SEED...]")?;
    let cookie = Cookie::new(&std::env::var("CHISME_COOKIE").context("set CHISME_COOKIE")?)?;
    let mut builder = Cluster::builder(&name).cookie(cookie);
    for seed in args {
        builder = builder.seed(&seed);
    }
    let cluster = builder.start().await?;

    let mut owned = BTreeSet::new();
    let mut events = cluster.events();
    loop {
        tokio::select! {
            event = events.next() => match event {
                // Suspected members still count as up: they keep their shards until they are Down.
                Some(Event::Suspect(_) | Event::Recovered(_)) => {}
                Some(Event::Stopped(_)) | None => return Ok(()),
                Some(_) => owned = rebalance(&cluster, owned),
            },
            _ = tokio::signal::ctrl_c() => cluster.leave().await,
        }
    }
}

/// Works out our shards anew, and prints what moved.
fn rebalance(cluster: &Cluster, before: BTreeSet<u64>) -> BTreeSet<u64> {
    let members: Vec<NodeName> = cluster.members().into_iter().map(|member| member.name).collect();
    let ours = |&shard: &u64| owner(shard, &members) == Some(cluster.name());
    let now: BTreeSet<u64> = (0..SHARDS).filter(ours).collect();
    if now != before {
        let gained: Vec<_> = now.difference(&before).collect();
        let lost: Vec<_> = before.difference(&now).collect();
        println!("{} members: {} shards, +{gained:?} -{lost:?}", members.len(), now.len());
    }
    now
}

/// The member with the highest weight for this shard.
fn owner(shard: u64, members: &[NodeName]) -> Option<&NodeName> {
    members.iter().max_by_key(|name| weight(shard, name))
}

/// FNV-1a over name and shard, mixed once more: equal on all machines, unlike `std`'s hasher.
fn weight(shard: u64, name: &NodeName) -> u64 {
    let bytes = name.as_str().bytes().chain(shard.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}
