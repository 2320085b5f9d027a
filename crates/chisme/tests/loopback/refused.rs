//! A process that is gone while its host lives on: the kernel says so (Linux).
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::time::Duration;

use chisme::{Cluster, Detector, Member, MemberState};

use super::{SOON, cookie, join};

/// With the settings of production, where a suspicion alone lasts longer than a test should take.
async fn started(name: &str, addr: &str) -> Cluster {
    let mut detector = Detector::default();
    detector.suspicion_timeout = Duration::from_secs(300);
    let addr = addr.parse().expect("an address");
    let builder = Cluster::builder(name).cookie(cookie()).bind(addr).detector(detector);
    builder.start().await.expect("it starts")
}

async fn counter(cluster: &Cluster, wanted: &str) -> u64 {
    let counters = cluster.status().await.expect("it runs").node.counters;
    counters.iter().find(|(name, _)| name == wanted).expect("a counter").1
}

/// Waits until `name` is not up any more in the view of `cluster`, and says how it is then.
async fn gone(cluster: &Cluster, name: &str) -> MemberState {
    let mut events = cluster.events();
    let gone = async {
        loop {
            let snapshot = cluster.snapshot();
            if let Some(one) = snapshot.departed.iter().find(|one| one.name.as_str() == name) {
                return one.state;
            }
            events.next().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the kernel said so")
}

async fn a_closed_socket_is_noticed(on: [&str; 2]) {
    let (a, b) = (started("a@h", on[0]).await, started("b@h", on[1]).await);
    join(&b, &a).await;
    drop(b);
    assert_eq!(gone(&a, "b@h").await, MemberState::Down);
    assert_eq!(counter(&a, "refusals_concluded").await, 1);
    // And the socket goes on: somebody else can come.
    let c = started("c@h", on[1]).await;
    join(&c, &a).await;
}

#[tokio::test]
async fn over_ipv4() {
    a_closed_socket_is_noticed(["127.0.0.1:0", "127.0.0.1:0"]).await;
}

#[tokio::test]
async fn over_ipv6() {
    a_closed_socket_is_noticed(["[::1]:0", "[::1]:0"]).await;
}

/// What an error says is about a peer; whoever does not answer is not in the way of who does.
#[tokio::test]
async fn errors_of_strangers_disturb_nobody() {
    let (a, b) = (started("a@h", "127.0.0.1:0").await, started("b@h", "127.0.0.1:0").await);
    join(&b, &a).await;
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let closed = closed.expect("a port that was free a moment ago");
    let elsewhere = a.connect("127.0.0.1:1");
    let at_closed = closed.to_string();
    let more = a.connect(&at_closed);
    let pings = async {
        for _ in 0..50 {
            a.ping("b@h").await.expect("it answers all the while");
        }
    };
    let (_, _, ()) = tokio::join!(elsewhere, more, pings);
    assert_eq!(a.snapshot().live(), 2);
    assert_eq!(counter(&a, "refusals_concluded").await, 0);
    let rtt = a.snapshot().member(b.name()).and_then(Member::rtt);
    assert!(rtt.is_some_and(|rtt| rtt < Duration::from_secs(1)), "{rtt:?}");
}
