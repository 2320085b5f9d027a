//! Name servers that are down, lie, or change their mind. DNS adds and never removes.

use std::net::{IpAddr, Ipv4Addr};

use crate::harness::cluster::NAME;
use crate::harness::{Cluster, Dns, Net, secs, until, whenever_until};

#[test]
fn a_name_server_that_is_down_at_the_start_only_delays() {
    let Some(net) = Net::build(3) else { return };
    let mut dns = Dns::start(&net);
    dns.stop();
    let mut cluster = Cluster::from_dns(&net, &dns, 3);
    for agent in cluster.agents_mut() {
        agent.expect_ready();
    }
    whenever_until("they are alone", secs(6), || {
        cluster.agents().iter().all(|agent| agent.view().is_empty())
    });
    dns.resume();
    cluster.expect_complete(secs(30));
}

#[test]
fn a_name_that_appears_later_is_found_without_help() {
    let Some(net) = Net::build(2) else { return };
    let dns = Dns::start(&net);
    let mut agents: Vec<_> =
        (1..=2).map(|number| Cluster::spec(&net, &dns, number).start()).collect();
    for agent in &mut agents {
        agent.expect_ready();
        until("the status says that the name does not exist", secs(10), || {
            agent.status()["seeds"].to_string().contains("no_such_name")
        });
    }
    let warnings =
        |log: &str| log.lines().filter(|line| line.contains(NAME) && line.contains("WARN")).count();
    whenever_until("it is a warning, once", secs(5), || warnings(&agents[0].log()) == 1);
    Cluster::publish(&net, &dns, &[1, 2]);
    Cluster::of(agents).expect_complete(secs(30));
}

#[test]
fn a_lying_name_server_does_no_harm() {
    let Some(net) = Net::build(4) else { return };
    let dns = Dns::start(&net);
    // A stranger of another cluster, nobody, this network's name server, multicast, and the node itself.
    let stranger = Cluster::spec(&net, &dns, 4).args(&["--cluster", "elsewhere"]).start_ready();
    let lies = [
        net.host(4).ip(),
        Ipv4Addr::new(10, 77, 9, 9),
        net.dns_host().ip(),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::LOCALHOST,
        net.host(1).ip(),
    ];
    dns.publish(&[(NAME, &lies)]);
    let mut cluster =
        Cluster::of((1..=3).map(|number| Cluster::spec(&net, &dns, number).start()).collect());
    cluster.expect_complete(secs(15));
    let marks = cluster.marks();
    whenever_until("lies change nothing", secs(6), || {
        cluster.changes_since(&marks).iter().all(|(_, changes)| changes.is_empty())
    });
    assert!(stranger.view().is_empty(), "the stranger joined nobody: {stranger:?}");
}

#[test]
fn an_answer_without_addresses_removes_nobody() {
    let Some(net) = Net::build(3) else { return };
    let mut dns = Dns::start(&net);
    let cluster = Cluster::complete_from_dns(&net, &dns, 3);
    let marks = cluster.marks();
    dns.publish::<IpAddr>(&[]);
    dns.publish_without_address(NAME);
    for agent in cluster.agents() {
        agent.signal(rustix::process::Signal::HUP);
    }
    until("the status shows what DNS said", secs(10), || {
        cluster.agents().iter().all(|agent| agent.status()["seeds"].to_string().contains("no_data"))
    });
    whenever_until("nobody is removed", secs(5), || {
        cluster.changes_since(&marks).iter().all(|(_, changes)| changes.is_empty())
    });
}

#[test]
fn a_name_server_that_comes_and_goes_does_no_harm() {
    let Some(net) = Net::build(3) else { return };
    let mut dns = Dns::start(&net);
    let mut cluster = Cluster::from_dns(&net, &dns, 3);
    for _ in 0..5 {
        dns.stop();
        whenever_until("all run on", secs(1), || {
            cluster.agents_mut().iter_mut().all(|agent| agent.is_running())
        });
        dns.resume();
        Cluster::publish(&net, &dns, &[1]);
        Cluster::publish(&net, &dns, &[2, 3]);
        Cluster::publish(&net, &dns, &[1, 2, 3]);
    }
    cluster.expect_complete(secs(30));
    for agent in cluster.agents() {
        assert!(!agent.changes().iter().any(|change| change.event == "down"), "{agent:?}");
    }
}
