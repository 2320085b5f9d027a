//! What one look-up gives, and what goes wrong with it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chisme::seed::{DnsSeeds, Resolver, ResolverSettings, SeedError, SeedOutcome, Seeds};
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::RecordType;
use tokio::net::UdpSocket;

use crate::name_server::{Fault, NameServer, ip, srv};

/// A look-up ends by then, whatever the server does.
const LIMIT: Duration = Duration::from_millis(5_500);

fn asking(server: SocketAddr) -> Resolver {
    Resolver::new(ResolverSettings::with_nameservers(vec![server]))
}

async fn look_up(resolver: &Resolver, seed: &str) -> Result<Vec<String>, SeedError> {
    let seed = seed.parse().expect("a seed");
    let found = tokio::time::timeout(LIMIT, resolver.contacts(&seed)).await.expect("in time")?;
    assert!(found.iter().all(|contact| contact.expect.is_none()));
    Ok(found.iter().map(|contact| contact.addr.to_string()).collect())
}

#[tokio::test]
async fn a_host_has_all_its_addresses_of_both_families() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    server.set("both.test.", ["10.0.0.1", "10.0.0.2", "fd00::1"].map(ip)).await;
    server.set("six.test.", ["fd00::1"].map(ip)).await;
    let all = ["10.0.0.1:4747", "10.0.0.2:4747", "[fd00::1]:4747"];
    assert_eq!(look_up(&resolver, "both.test").await.expect("found"), all);
    assert_eq!(look_up(&resolver, "dns+BOTH.test.:4747").await.expect("found"), all);
    assert_eq!(look_up(&resolver, "six.test:80").await.expect("found"), ["[fd00::1]:80"]);
}

#[tokio::test]
async fn a_service_has_all_its_targets_with_their_own_ports_in_order() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    server.set("a.test.", ["10.0.0.1", "fd00::1"].map(ip)).await;
    server.set("b.test.", [ip("10.0.0.2")]).await;
    server.set("mute.test.", []).await;
    let records = [
        srv(20, 0, 7003, "b.test."),
        srv(10, 1, 7002, "b.test."),
        srv(10, 9, 7001, "a.test."),
        srv(5, 0, 0, "b.test."),
        srv(1, 0, 7000, "missing.test."),
    ];
    server.set("_chisme._udp.test.", records.clone()).await;
    server.set("plain.test.", records).await;
    let all =
        ["10.0.0.2:4747", "10.0.0.1:7001", "[fd00::1]:7001", "10.0.0.2:7002", "10.0.0.2:7003"];
    assert_eq!(look_up(&resolver, "_chisme._udp.test").await.expect("found"), all);
    assert_eq!(look_up(&resolver, "dnssrv+plain.test").await.expect("found"), all);
}

#[tokio::test]
async fn a_target_that_cannot_be_resolved_spoils_only_itself() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    server.set("good.test.", [ip("10.0.0.1")]).await;
    let targets = ["mute.test.", "sick.test.", "good.test.", "missing.test."];
    server.set("_x._udp.test.", targets.map(|target| srv(0, 0, 7000, target))).await;
    for kind in [RecordType::A, RecordType::AAAA] {
        server.fail("mute.test.", kind, Some(Fault::Silence));
        server.fail("sick.test.", kind, Some(Fault::Code(ResponseCode::ServFail)));
    }
    assert_eq!(look_up(&resolver, "_x._udp.test").await.expect("found"), ["10.0.0.1:7000"]);
    // However late the name itself is answered.
    server.fail("_x._udp.test.", RecordType::SRV, Some(Fault::SilenceOnce));
    assert_eq!(look_up(&resolver, "_x._udp.test").await.expect("found"), ["10.0.0.1:7000"]);
}

#[tokio::test]
async fn silence_of_one_family_does_not_delay_the_other() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    server.set("x.test.", ["10.0.0.1", "fd00::1"].map(ip)).await;
    for (silent, found) in [(RecordType::AAAA, "10.0.0.1:4747"), (RecordType::A, "[fd00::1]:4747")]
    {
        server.fail("x.test.", silent, Some(Fault::Silence));
        let start = Instant::now();
        assert_eq!(look_up(&resolver, "x.test").await.expect("found"), [found]);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        server.fail("x.test.", silent, None);
    }
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    let many = (0..300).map(|n| ip(&format!("10.0.{}.{}", n / 200, n % 200)));
    server.set("many.test.", many).await;
    let found = look_up(&resolver, "many.test").await.expect("found");
    assert_eq!(found.len(), chisme::proto::MAX_SEEDS);
    assert!(server.over_tcp() > 0);
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let mut server = NameServer::start().await;
    let resolver = asking(server.addr());
    server.set("mail.test.", [srv(0, 0, 1, "mail.test.")]).await;
    server.set("sick.test.", [ip("10.0.0.1")]).await;
    server.set("mute.test.", [ip("10.0.0.1")]).await;
    for kind in [RecordType::A, RecordType::AAAA] {
        server.fail("sick.test.", kind, Some(Fault::Code(ResponseCode::ServFail)));
        server.fail("mute.test.", kind, Some(Fault::Silence));
    }
    let error = async |seed| look_up(&resolver, seed).await.expect_err(seed);
    assert_eq!(error("missing.test").await, SeedError::NoSuchName);
    assert_eq!(error("_missing._udp.test").await, SeedError::NoSuchName);
    assert_eq!(error("mail.test").await, SeedError::NoData);
    assert_eq!(error("dnssrv+sick.test").await, SeedError::NoData);
    assert!(matches!(error("sick.test").await, SeedError::ServerFailure(_)));
    assert!(matches!(error("not-in-the-zone.example").await, SeedError::ServerFailure(_)));
    assert_eq!(error("mute.test").await, SeedError::Timeout);
    server.stop().await;
    let gone = error("sick.test").await;
    assert!(!matches!(gone, SeedError::NoSuchName | SeedError::NoData), "{gone}");
}

#[tokio::test]
async fn a_lookup_sees_a_change_at_once_whatever_the_ttl_says() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    assert_eq!(look_up(&resolver, "x.test").await, Err(SeedError::NoSuchName));
    server.set("x.test.", [ip("10.0.0.1")]).await;
    assert_eq!(look_up(&resolver, "x.test").await.expect("found"), ["10.0.0.1:4747"]);
    server.set("x.test.", [ip("10.0.0.2")]).await;
    assert_eq!(look_up(&resolver, "x.test").await.expect("found"), ["10.0.0.2:4747"]);
}

#[tokio::test]
async fn what_was_found_stays_in_use_whatever_happens_then() {
    let mut server = NameServer::start().await;
    let seed = DnsSeeds::new("x.test".parse().expect("a seed"), asking(server.addr()));
    let seeds = Seeds::new(vec![Box::new(seed)]);
    let resolve = async || {
        let found = tokio::time::timeout(LIMIT, seeds.resolve_all()).await.expect("in time");
        let addrs: Vec<String> = found.iter().map(|contact| contact.addr.to_string()).collect();
        let status = seeds.status().remove(0);
        let in_use: Vec<String> = status.contacts.iter().map(ToString::to_string).collect();
        assert_eq!(in_use, addrs);
        (addrs, status.last)
    };
    let first = ["10.0.0.1:4747"].map(str::to_owned).to_vec();
    server.set("x.test.", [ip("10.0.0.1")]).await;
    assert_eq!(resolve().await, (first.clone(), SeedOutcome::Found(1)));
    server.set("x.test.", []).await;
    assert_eq!(resolve().await, (first.clone(), SeedOutcome::Failed(SeedError::NoSuchName)));
    server.stop().await;
    let (addrs, last) = resolve().await;
    assert_eq!(addrs, first);
    assert!(matches!(last, SeedOutcome::Failed(_)), "{last:?}");
    server.serve().await;
    server.set("x.test.", [ip("10.0.0.9")]).await;
    assert_eq!(resolve().await, (vec!["10.0.0.9:4747".to_owned()], SeedOutcome::Found(1)));
}

/// Answers every query with bytes that are no answer: noise, the query itself, half a header.
async fn liar() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let addr = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut query = [0; 1500];
        for n in 0_u8.. {
            let (len, from) = socket.recv_from(&mut query).await.expect("a query");
            let mut noise = [n.wrapping_mul(31); 600];
            noise[..2].copy_from_slice(&query[..2]);
            noise[2] |= 0x80;
            for lie in [&noise[..], &query[..len], &noise[..7], &[]] {
                socket.send_to(lie, from).await.expect("sent");
            }
        }
    });
    addr
}

#[tokio::test]
async fn a_lying_server_gives_no_contacts_and_costs_its_time() {
    let resolver = asking(liar().await);
    for seed in ["x.test", "_x._udp.test"] {
        let error = look_up(&resolver, seed).await.expect_err("a lie");
        assert!(!matches!(error, SeedError::NoSuchName), "{error}");
    }
}

#[tokio::test]
async fn a_second_server_answers_for_a_silent_one() {
    let server = NameServer::start().await;
    server.set("x.test.", [ip("10.0.0.1")]).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let servers = vec![silent.local_addr().expect("bound"), server.addr()];
    let resolver = Resolver::new(ResolverSettings::with_nameservers(servers));
    assert_eq!(look_up(&resolver, "x.test").await.expect("found"), ["10.0.0.1:4747"]);
}

#[tokio::test]
async fn a_node_name_stands_for_every_port_that_it_may_have_on_its_host() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    server.set("host.test.", [ip("10.0.0.1")]).await;
    for (seed, host) in [("n1@host.test", "10.0.0.1"), ("n1@127.0.0.1", "127.0.0.1")] {
        let found = resolver.contacts(&seed.parse().expect("a seed")).await.expect("found");
        let all: Vec<String> = (4747..=4762).map(|port| format!("{host}:{port}")).collect();
        let addrs: Vec<String> = found.iter().map(|contact| contact.addr.to_string()).collect();
        assert_eq!(addrs, all);
        let asked = |name: &chisme::NodeName| name.as_str() == seed;
        assert!(found.iter().all(|contact| contact.expect.as_ref().is_some_and(asked)));
    }
    let one = resolver.contacts(&"n1@host.test:80".parse().expect("a seed")).await.expect("found");
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].addr.to_string(), "10.0.0.1:80");
}

#[tokio::test]
async fn this_host_is_found_even_if_no_server_knows_it() {
    let server = NameServer::start().await;
    let resolver = asking(server.addr());
    let uname = rustix::system::uname();
    let host = uname.nodename().to_str().expect("text");
    let found = resolver.contacts(&format!("n1@{host}").parse().expect("a seed")).await;
    assert!(found.expect("found").len() >= 16);
    let missing = resolver.contacts(&"n1@missing.test".parse().expect("a seed")).await;
    assert_eq!(missing, Err(SeedError::NoSuchName));
}
