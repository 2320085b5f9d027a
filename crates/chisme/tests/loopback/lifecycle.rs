//! Starting, joining, leaving, and being dropped.

use std::net::UdpSocket;
use std::time::Duration;

use chisme::{Cluster, ContactResult, Cookie, MemberState, PingError, StartError, WaitError};

use super::{SOON, cookie, join, node, started};

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_starts() {
    let no_name = Cluster::builder("nobody").cookie(cookie()).start().await;
    assert!(matches!(no_name, Err(StartError::Name(_))));
    let no_cookie = Cluster::builder("a@h").start().await;
    assert!(matches!(no_cookie, Err(StartError::NoCookie)));
    let no_seed = Cluster::builder("a@h").cookie(cookie()).seed("not a seed").start().await;
    let error = no_seed.expect_err("it is none").to_string();
    assert!(error.contains("\"not a seed\""), "{error}");
}

#[tokio::test]
async fn a_connect_reports_what_became_of_each_contact() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    let to_a = a.local_addrs()[0].to_string();
    let first = b.connect(&to_a).await.expect("an address");
    assert_eq!(first.contacts[0].result, ContactResult::Joined(a.name().clone()));
    let again = b.connect(&to_a).await.expect("an address");
    assert_eq!(again.contacts[0].result, ContactResult::AlreadyKnown(a.name().clone()));
    let itself = a.connect(&to_a).await.expect("an address");
    assert_eq!(itself.contacts[0].result, ContactResult::Ourselves);
    assert!(!itself.joined());
    let unknown = a.connect("no such seed").await.expect_err("it is none");
    assert!(unknown.to_string().contains("no such seed"), "{unknown}");
}

#[tokio::test]
async fn another_cookie_meets_silence() {
    let a = started("a@h").await;
    let other = Cookie::new("another cookie than theirs").expect("valid");
    let b = node("b@h", "127.0.0.1:0").cookie(other).start().await.expect("it starts");
    let report = b.connect(&a.local_addrs()[0].to_string()).await.expect("an address");
    assert_eq!(report.contacts[0].result, ContactResult::NoAnswer);
    let counters = a.status().await.expect("it runs").node.counters;
    assert!(counters.rejected(chisme::Rejection::UnknownKey) > 0);
    assert_eq!(counters.datagrams_sent, 0);
}

#[tokio::test]
async fn a_wait_that_is_in_vain_says_how_far_it_came() {
    let a = started("a@h").await;
    let waited = Duration::from_millis(50);
    match a.wait_for_members(2, waited).await {
        Err(WaitError::Timeout { wanted: 2, live: 1, waited: w }) => assert_eq!(w, waited),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_leaves_is_left_and_who_is_dropped_is_down() {
    let (a, b, c) = (started("a@h").await, started("b@h").await, started("c@h").await);
    join(&b, &a).await;
    join(&c, &a).await;
    a.wait_for_members(3, SOON).await.expect("all came");
    b.leave().await;
    let port = c.local_addrs()[0];
    drop(c);
    let mut events = a.events();
    let gone = tokio::time::timeout(SOON, async {
        while a.snapshot().departed.len() < 2 {
            events.next().await;
        }
        a.snapshot()
    });
    let departed = &gone.await.expect("in time").departed;
    let state = |name: &str| departed.iter().find(|m| m.name.as_str() == name).map(|m| m.state);
    assert_eq!((state("b@h"), state("c@h")), (Some(MemberState::Left), Some(MemberState::Down)));
    // Nothing of the dropped node is left: its port can be had again.
    UdpSocket::bind(port).expect("the socket was closed");
}

#[test]
fn a_dropped_handle_leaks_neither_task_nor_socket() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let a = started("a@h").await;
        let events = a.events();
        let (addr, clone) = (a.local_addrs()[0], a.clone());
        assert_eq!(tasks(), 1);
        drop(a);
        tokio::task::yield_now().await;
        assert_eq!(tasks(), 1, "a clone still holds it");
        drop((clone, events));
        let ended = async {
            while tasks() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, ended).await.expect("the task ends");
        UdpSocket::bind(addr).expect("the socket was closed");
    });
}

#[tokio::test]
async fn a_ping_measures_and_a_stranger_does_not_answer() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    join(&b, &a).await;
    let rtt = a.ping("b@h").await.expect("it answers");
    assert!(rtt > Duration::ZERO && rtt < Duration::from_secs(1), "{rtt:?}");
    assert!(matches!(a.ping("x@h").await, Err(PingError::NoAnswer(_))));
    assert!(matches!(a.ping("x").await, Err(PingError::Name(_))));
}

#[tokio::test]
async fn blocked_peers_fail_and_come_back_when_they_are_let_through() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    join(&b, &a).await;
    a.block(b.local_addrs().to_vec()).await.expect("it runs");
    let alone = async |cluster: &Cluster| {
        let mut events = cluster.events();
        while cluster.snapshot().live() > 1 {
            events.next().await;
        }
    };
    tokio::time::timeout(SOON, async { (alone(&a).await, alone(&b).await) })
        .await
        .expect("in time");
    a.block(Vec::new()).await.expect("it runs");
    a.wait_for_members(2, SOON).await.expect("it comes back");
    b.wait_for_members(2, SOON).await.expect("it comes back");
    assert!(a.status().await.expect("it runs").blocked > 0);
}

#[tokio::test]
async fn a_new_cookie_is_taken_up_without_losing_a_member() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    join(&b, &a).await;
    let new = Cookie::new("the cookie of next month").expect("valid");
    for (node, cookies) in
        [(&a, (cookie(), vec![new.clone()])), (&b, (new.clone(), vec![cookie()]))]
    {
        node.set_cookie(cookies.0, cookies.1).await.expect("it runs");
    }
    a.set_cookie(new, vec![cookie()]).await.expect("it runs");
    assert!(a.ping("b@h").await.is_ok() && b.ping("a@h").await.is_ok());
}
