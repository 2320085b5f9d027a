//! Tags and services between real nodes.

use std::time::Duration;

use chisme::{ChangeError, Cluster, Event, RecordError, Service, ServiceStatus};
use tokio::time::timeout;

use super::{SOON, join, node, started};

/// Waits until `cluster` sees what `holds` says.
async fn until(cluster: &Cluster, holds: impl Fn(&Cluster) -> bool) {
    let mut events = cluster.events();
    let seen = async {
        while !holds(cluster) {
            events.next().await.expect("the node runs");
        }
    };
    timeout(SOON, seen).await.expect("in time");
}

fn nodes(cluster: &Cluster, service: &str) -> Vec<String> {
    cluster.instances(service).iter().map(|instance| instance.node.to_string()).collect()
}

#[tokio::test]
async fn tags_are_seen_by_the_other_node_and_by_ones_own_snapshot_at_once() {
    let a = node("a@h", "127.0.0.1:0").tag("zone", "eu-1").start().await.expect("it starts");
    let b = started("b@h").await;
    join(&b, &a).await;
    let tag_of_a = |cluster: &Cluster, key: &str| {
        let name = "a@h".parse().expect("a name");
        let member = cluster.snapshot().member(&name).cloned();
        member.and_then(|member| member.record.tags.get(key).cloned())
    };
    until(&b, |b| tag_of_a(b, "zone").as_deref() == Some("eu-1")).await;

    let mut events = b.events();
    assert!(matches!(events.next().await, Some(Event::Snapshot(_))));
    a.merge_tags([("rack", "b7")]).await.expect("a tag");
    assert_eq!(a.record().tags.get("rack").map(String::as_str), Some("b7"));
    until(&b, |b| tag_of_a(b, "rack").is_some()).await;
    let updated = async {
        while !matches!(events.next().await, Some(Event::Updated(m)) if m.record.tags.len() == 2) {}
    };
    timeout(SOON, updated).await.expect("an Updated");
    a.remove_tags(["zone"]).await.expect("a tag");
    until(&b, |b| tag_of_a(b, "zone").is_none()).await;
    assert_eq!(tag_of_a(&b, "rack").as_deref(), Some("b7"));
}

#[tokio::test]
async fn a_service_is_found_while_it_runs_and_its_guard_is_kept() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    join(&b, &a).await;
    let billing = Service::new("billing", 8080).version("2.3").status(ServiceStatus::Starting);
    let registration = a.register(billing).await.expect("a service");
    until(&b, |b| b.services().contains_key("billing")).await;
    assert_eq!(nodes(&b, "billing"), [""; 0], "it is starting");

    let mut watch = b.watch("billing");
    assert_eq!(watch.next().await, Some(Vec::new()));
    registration.set_status(ServiceStatus::Running).await.expect("it is registered");
    let found = timeout(SOON, watch.next()).await.expect("in time").expect("the node runs");
    assert_eq!(found[0].addr(), Some("127.0.0.1:8080".parse().expect("an address")));
    b.wait_for_services(&["billing"], SOON).await.expect("it runs");

    let second = b.register(Service::new("billing", 9090)).await.expect("another node");
    assert_eq!(nodes(&b, "billing"), ["b@h", "a@h"], "the local one first");
    drop(second);
    until(&b, |b| nodes(b, "billing") == ["a@h"]).await;
    drop(registration);
    until(&b, |b| b.services().is_empty()).await;
}

#[tokio::test]
async fn an_old_guard_does_not_end_what_has_its_name_since() {
    let a = started("a@h").await;
    let old = a.register(Service::new("billing", 8080)).await.expect("a service");
    a.deregister("billing").await.expect("it is registered");
    let new = a.register(Service::new("billing", 9090)).await.expect("a service");
    let error = old.drain().await.expect_err("not its own any more");
    assert_eq!(error, ChangeError::Record(RecordError::NotRegistered("billing".to_owned())));
    drop(old);
    // Requests are taken in their order, so the guard's was before this one.
    a.merge_tags([("x", "y")]).await.expect("a tag");
    assert_eq!(a.record().services["billing"].port, 9090);
    assert_eq!(a.record().services["billing"].status, ServiceStatus::Running);
    drop(new);
    until(&a, |a| a.record().services.is_empty()).await;
}

#[tokio::test]
async fn a_registration_that_nobody_waits_for_leaves_nothing_behind() {
    let a = started("a@h").await;
    for n in 0..100 {
        // Asked for, and given up after the first step.
        let register = a.register(Service::new("billing", 8080 + n));
        let _ = timeout(Duration::ZERO, register).await;
    }
    a.merge_tags([("x", "y")]).await.expect("a tag");
    assert!(a.record().services.is_empty(), "{:?}", a.record().services);
}

#[tokio::test]
async fn a_member_that_goes_takes_its_instances_with_it() {
    let service = Service::new("billing", 8080);
    let a = node("a@h", "127.0.0.1:0").service(service).start().await.expect("it starts");
    let b = started("b@h").await;
    join(&b, &a).await;
    b.wait_for_services(&["billing"], SOON).await.expect("it runs");
    a.leave().await;
    until(&b, |b| b.snapshot().members.is_empty()).await;
    assert_eq!(nodes(&b, "billing"), [""; 0]);
    let error = b.wait_for_services(&["billing", "mail"], Duration::ZERO).await;
    let error = error.expect_err("gone").to_string();
    assert_eq!(error, "no running instance of billing, mail after 0ns");
}

#[tokio::test]
async fn what_breaks_a_limit_is_quoted_and_changes_nothing() {
    let a = started("a@h").await;
    let _kept = a.register(Service::new("billing", 8080)).await.expect("a service");
    let again = a.register(Service::new("billing", 8081)).await.expect_err("twice");
    assert_eq!(again, ChangeError::Record(RecordError::AlreadyRegistered("billing".to_owned())));
    let long: Vec<(String, String)> = (0..5).map(|n| (n.to_string(), "x".repeat(4_000))).collect();
    let error = a.set_tags(long).await.expect_err("too long").to_string();
    assert!(error.contains("would have 20") && error.contains("16384"), "{error}");
    let error = a.drain("mail").await.expect_err("not there").to_string();
    assert!(error.contains("\"mail\""), "{error}");
    assert_eq!((a.record().tags.len(), a.record().services.len()), (0, 1));
}
