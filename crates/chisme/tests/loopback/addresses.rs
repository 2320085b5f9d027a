//! Which addresses a node binds, advertises and reaches.

use std::net::{SocketAddr, UdpSocket};

use chisme::{ContactResult, StartError};

use super::{SOON, join, node, port, started};

#[tokio::test]
async fn nodes_of_ipv4_find_each_other() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    join(&b, &a).await;
    let seen = a.snapshot();
    assert_eq!(seen.members[0].endpoints.v4.map(SocketAddr::V4), Some(b.local_addrs()[0]));
    assert_eq!(seen.members[0].endpoints.v6, None);
}

#[tokio::test]
async fn nodes_of_ipv6_find_each_other() {
    let a = node("a@h", "[::1]:0").start().await.expect("it starts");
    let b = node("b@h", "[::1]:0").start().await.expect("it starts");
    join(&b, &a).await;
    assert_eq!(a.snapshot().members[0].endpoints.v4, None);
    assert!(b.ping("a@h").await.expect("it answers") < SOON);
}

#[tokio::test]
async fn one_dual_stack_socket_serves_both_families() {
    let both = node("both@h", "[::]:0")
        .advertise("127.0.0.1:0".parse().expect("an address"))
        .advertise("[::1]:0".parse().expect("an address"))
        .start()
        .await
        .expect("it starts");
    let v4 = started("v4@h").await;
    let v6 = node("v6@h", "[::1]:0").start().await.expect("it starts");
    let at = |ip: &str| format!("{ip}:{}", port(&both));
    assert!(v4.connect(&at("127.0.0.1")).await.expect("an address").joined());
    assert!(v6.connect(&at("[::1]")).await.expect("an address").joined());
    let seen = both.wait_for_members(3, SOON).await.expect("both came");
    assert_eq!(seen.live(), 3);
    assert!(v4.ping("both@h").await.is_ok() && v6.ping("both@h").await.is_ok());
}

#[tokio::test]
async fn two_sockets_one_of_each_family_serve_both() {
    let both = node("both@h", "127.0.0.1:0")
        .bind("[::1]:0".parse().expect("an address"))
        .start()
        .await
        .expect("it starts");
    let v6 = node("v6@h", "[::1]:0").start().await.expect("it starts");
    let v4 = started("v4@h").await;
    assert!(v4.connect(&both.local_addrs()[0].to_string()).await.expect("an address").joined());
    assert!(v6.connect(&both.local_addrs()[1].to_string()).await.expect("an address").joined());
    both.wait_for_members(3, SOON).await.expect("both came");
}

#[tokio::test]
async fn an_unspecified_address_is_advertised_as_asked() {
    let a = node("a@h", "0.0.0.0:0")
        .advertise("127.0.0.1:0".parse().expect("an address"))
        .start()
        .await
        .expect("it starts");
    let b = started("b@h").await;
    let report = b.connect(&format!("127.0.0.1:{}", port(&a))).await.expect("an address");
    assert!(report.joined());
    let seen = b.wait_for_members(2, SOON).await.expect("it sees the other");
    assert_eq!(seen.members[0].endpoints.to_string(), format!("127.0.0.1:{}", port(&a)));
}

#[tokio::test]
async fn an_advertised_address_where_nobody_answers_is_refused() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let liar = node("liar@h", "127.0.0.1:0")
        .advertise(silent.local_addr().expect("it is bound"))
        .start()
        .await
        .expect("it starts");
    let a = started("a@h").await;
    let report = liar.connect(&a.local_addrs()[0].to_string()).await.expect("an address");
    let ContactResult::Refused(reason) = &report.contacts[0].result else {
        panic!("{report:?}");
    };
    assert!(reason.to_string().contains("--advertise"), "{reason}");
    assert_eq!(a.snapshot().live(), 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_who_asked_for_it() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("it is bound");
    let error = node("a@h", &addr.to_string()).start().await.expect_err("it is taken");
    assert!(matches!(&error, StartError::Bind { addr: at, .. } if *at == addr), "{error:?}");
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}

#[tokio::test]
async fn a_second_address_of_one_family_is_refused() {
    let builder = node("a@h", "127.0.0.1:0").bind("127.0.0.2:0".parse().expect("an address"));
    let error = builder.start().await.expect_err("two of one family");
    assert!(matches!(error, StartError::TooManyAddresses(_)), "{error:?}");
}

#[tokio::test]
async fn a_closed_port_does_not_stop_the_node() {
    let a = started("a@h").await;
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a port");
    let report = a.connect(&closed.to_string()).await.expect("an address");
    assert_eq!(report.contacts[0].result, ContactResult::NoAnswer);
    let b = started("b@h").await;
    join(&b, &a).await;
}
