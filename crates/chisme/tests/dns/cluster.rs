//! Nodes that find each other by DNS alone.

use std::net::SocketAddr;
use std::time::Duration;

use chisme::seed::{ResolverSettings, SeedError, SeedOutcome};
use chisme::{Cluster, Cookie};

use crate::name_server::{NameServer, ip, srv};

/// A node asks its seeds every second to every 15 s while it is alone.
const CADENCE: Duration = Duration::from_secs(20);

async fn node(name: &str, bind: &str, seed: &str, server: &NameServer) -> Cluster {
    Cluster::builder(name)
        .cookie(Cookie::new("a cookie for these tests").expect("long enough"))
        .bind(bind.parse().expect("an address"))
        .seed(seed)
        .resolver(ResolverSettings::with_nameservers(vec![server.addr()]))
        .start()
        .await
        .expect("started")
}

fn port(node: &Cluster) -> u16 {
    node.local_addrs().first().map(SocketAddr::port).expect("bound")
}

async fn all_see(nodes: &[&Cluster]) {
    for node in nodes {
        node.wait_for_members(nodes.len(), CADENCE).await.expect("a whole view");
    }
}

#[tokio::test]
async fn nodes_that_start_before_their_record_exists_join_when_it_appears() {
    let server = NameServer::start().await;
    let seed = "_chisme._udp.late.test";
    let a = node("a@h", "127.0.0.1:0", seed, &server).await;
    let b = node("b@h", "127.0.0.1:0", seed, &server).await;
    let said = async |node: &Cluster| {
        let status = node.status().await.expect("runs");
        status.seeds[0].last.clone()
    };
    let not_there = SeedOutcome::Failed(SeedError::NoSuchName);
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    let seen = async {
        while said(&a).await != not_there || said(&b).await != not_there {
            polls.tick().await;
        }
    };
    tokio::time::timeout(CADENCE, seen).await.expect("the answer is shown");

    server.set("here.late.test.", [ip("127.0.0.1")]).await;
    let targets = [&a, &b].map(|node| srv(0, 0, port(node), "here.late.test."));
    server.set("_chisme._udp.late.test.", targets).await;
    all_see(&[&a, &b]).await;
    assert!([said(&a).await, said(&b).await].contains(&SeedOutcome::Found(2)));
}

#[tokio::test]
async fn a_and_aaaa_records_lead_into_one_cluster() {
    let server = NameServer::start().await;
    let a = node("a@h", "127.0.0.1:0", "127.0.0.1:1", &server).await;
    server.set("four.test.", [ip("127.0.0.1")]).await;
    let b = node("b@h", "127.0.0.1:0", &format!("four.test:{}", port(&a)), &server).await;
    all_see(&[&a, &b]).await;
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED the half about AAAA: this host has no IPv6");
        return;
    }
    let c = node("c@h", "[::1]:0", "127.0.0.1:1", &server).await;
    server.set("six.test.", [ip("::1")]).await;
    let d = node("d@h", "[::1]:0", &format!("six.test:{}", port(&c)), &server).await;
    all_see(&[&c, &d]).await;
}

#[tokio::test]
async fn a_failing_lookup_does_not_fail_the_start() {
    let mut server = NameServer::start().await;
    server.set("x.test.", [ip("127.0.0.1")]).await;
    server.stop().await;
    let a = node("a@h", "127.0.0.1:0", "127.0.0.1:1", &server).await;
    let b = node("b@h", "127.0.0.1:0", &format!("x.test:{}", port(&a)), &server).await;
    server.serve().await;
    all_see(&[&a, &b]).await;
}

#[tokio::test]
async fn connect_takes_every_kind_of_seed() {
    let server = NameServer::start().await;
    let a = node("a@127.0.0.1", "127.0.0.1:0", "127.0.0.1:1", &server).await;
    server.set("x.test.", [ip("127.0.0.1")]).await;
    server.set("_x._udp.test.", [srv(0, 0, port(&a), "x.test.")]).await;
    let at = port(&a);
    for (n, seed) in [
        format!("127.0.0.1:{at}"),
        format!("x.test:{at}"),
        format!("dns+x.test:{at}"),
        "_x._udp.test".to_owned(),
        "dnssrv+_x._udp.test".to_owned(),
        format!("a@127.0.0.1:{at}"),
    ]
    .iter()
    .enumerate()
    {
        let b = node(&format!("b{n}@127.0.0.1"), "127.0.0.1:0", "127.0.0.1:1", &server).await;
        let report = b.connect(seed).await.expect("looked up");
        assert!(report.joined(), "{seed}: {report:?}");
        b.leave().await;
    }
}
