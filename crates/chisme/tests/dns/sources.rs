//! Sources of other kinds, alone and beside sources that misbehave.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chisme::seed::{
    ChannelSeeds, Contact, FileSeeds, Resolver, ResolverSettings, SeedError, SeedFuture,
    SeedOutcome, SeedSource, Seeds, StaticSeeds,
};
use tokio::sync::watch;

use crate::name_server::{NameServer, ip};

/// Never answers.
struct Endless;

impl SeedSource for Endless {
    fn name(&self) -> String {
        "endless".to_owned()
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(std::future::pending())
    }
}

/// Says more than anybody needs.
struct Boundless;

impl SeedSource for Boundless {
    fn name(&self) -> String {
        "boundless".to_owned()
    }

    fn contacts(&self) -> SeedFuture<'_> {
        let ports = 1..=u16::MAX;
        Box::pin(async { Ok(ports.map(|port| contact(([10, 0, 0, 1], port).into())).collect()) })
    }
}

/// Has a bug.
struct Broken;

impl SeedSource for Broken {
    fn name(&self) -> String {
        "broken".to_owned()
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(async { panic!("the bug of a seed source: this test wants it") })
    }
}

fn contact(addr: SocketAddr) -> Contact {
    Contact { addr, expect: None }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[tokio::test]
async fn a_source_that_never_ends_or_panics_costs_five_seconds_and_nobody_else() {
    let good = StaticSeeds(vec![contact(addr("10.0.0.1:1"))]);
    let seeds = Seeds::new(vec![Box::new(Endless), Box::new(Broken), Box::new(good)]);
    let start = Instant::now();
    let found = seeds.resolve_all().await;
    assert!(start.elapsed() < Duration::from_millis(5_500), "{:?}", start.elapsed());
    assert_eq!(found, [contact(addr("10.0.0.1:1"))]);
    let status = seeds.status();
    assert_eq!(status[0].last, SeedOutcome::Failed(SeedError::Timeout));
    assert!(matches!(status[1].last, SeedOutcome::Failed(SeedError::Other(_))));
    assert_eq!(status[2].last, SeedOutcome::Found(1));
}

#[tokio::test]
async fn no_source_gives_more_contacts_than_are_used() {
    let seeds = Seeds::new(vec![Box::new(Boundless)]);
    assert_eq!(seeds.resolve_all().await.len(), chisme::proto::MAX_SEEDS);
    assert_eq!(seeds.status()[0].contacts.len(), chisme::proto::MAX_SEEDS);
}

#[tokio::test]
async fn a_channel_gives_what_was_sent_last() {
    let (sender, receiver) = watch::channel(Vec::new());
    let seeds = Seeds::new(vec![Box::new(ChannelSeeds(receiver))]);
    assert_eq!(seeds.resolve_all().await, []);
    sender.send_replace(vec![contact(addr("10.0.0.1:1"))]);
    assert_eq!(seeds.resolve_all().await, [contact(addr("10.0.0.1:1"))]);
}

#[tokio::test]
async fn a_file_is_read_anew_and_a_bad_line_spoils_only_itself() {
    let server = NameServer::start().await;
    server.set("x.test.", [ip("10.0.0.2")]).await;
    let resolver = Resolver::new(ResolverSettings::with_nameservers(vec![server.addr()]));
    let file = std::env::temp_dir().join(format!("chisme-seeds-{}", std::process::id()));
    let seeds = Seeds::new(vec![Box::new(FileSeeds::new(file.clone(), resolver))]);
    assert_eq!(seeds.resolve_all().await, []);
    assert!(matches!(seeds.status()[0].last, SeedOutcome::Failed(SeedError::Other(_))));
    std::fs::write(&file, "# ours\n\n10.0.0.1:1\nno seed\nmissing.test\nx.test:2\n")
        .expect("written");
    let mut found: Vec<SocketAddr> = seeds.resolve_all().await.iter().map(|c| c.addr).collect();
    found.sort_unstable();
    assert_eq!(found, [addr("10.0.0.1:1"), addr("10.0.0.2:2")]);
    std::fs::write(&file, "10.0.0.3:3\n").expect("written");
    assert_eq!(seeds.resolve_all().await, [contact(addr("10.0.0.3:3"))]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(seeds.resolve_all().await, [contact(addr("10.0.0.3:3"))], "kept");
}

#[tokio::test]
async fn a_seed_file_that_is_none_is_named_and_waits_for_nobody() {
    let dir = std::env::temp_dir();
    let resolver = Resolver::new(ResolverSettings::default());
    let long = dir.join(format!("chisme-long-{}", std::process::id()));
    std::fs::write(&long, "10.0.0.7\n".repeat(10_000)).expect("written");
    for (path, says) in [(long.clone(), "longer than"), (dir, "not a regular file")] {
        let source = FileSeeds::new(path.clone(), resolver.clone());
        let error = source.contacts().await.expect_err(says).to_string();
        assert!(error.contains(says) && error.contains(&path.display().to_string()), "{error}");
    }
    std::fs::remove_file(&long).expect("removed");
}
