//! A cluster forms from nothing but a DNS name.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use crate::harness::cluster::NAME;
use crate::harness::{Cluster, Dns, Net, Spec, secs, whenever_until};

#[test]
fn three_nodes_find_each_other_through_a_records() {
    let Some(net) = Net::build(3) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::from_dns(&net, &dns, 3);
    cluster.expect_complete(secs(10));
    for agent in cluster.agents() {
        let nodes = agent.run(&["nodes"]).expect_success();
        for name in cluster.names_without(&agent.name) {
            assert!(nodes.lines().any(|line| line == name), "{name} is missing in:\n{nodes}");
        }
    }
}

#[test]
fn seven_nodes_find_each_other_through_aaaa_records() {
    let Some(net) = Net::build(7) else { return };
    let dns = Dns::start(&net);
    let addresses: Vec<_> = (1..=7).map(|number| net.host(number).ip6()).collect();
    dns.publish(&[(NAME, &addresses)]);
    let agents = (1..=7).map(|number| Cluster::spec(&net, &dns, number).start());
    let mut cluster = Cluster::of(agents.collect());
    cluster.expect_complete(secs(15));
}

#[test]
fn nodes_of_one_address_family_find_each_other() {
    let Some(net) = Net::build(4) else { return };
    let dns = Dns::start(&net);
    let six: Vec<_> = (1..=4).map(|number| net.host(number).ip6()).collect();
    dns.publish(&[(NAME, &six)]);
    let only_six = |number| Cluster::spec(&net, &dns, number).bind("[::]:4747");
    let only_four = |number| {
        Cluster::spec(&net, &dns, number).bind("0.0.0.0:4747").cookie("another one, for IPv4")
    };
    let mut sixes = Cluster::of(vec![only_six(1).start(), only_six(2).start()]);
    sixes.expect_complete(secs(10));
    Cluster::publish(&net, &dns, &[3, 4]);
    let mut fours = Cluster::of(vec![only_four(3).start(), only_four(4).start()]);
    fours.expect_complete(secs(10));
}

#[test]
fn srv_records_bring_their_own_ports() {
    let Some(net) = Net::build(3) else { return };
    let mut dns = Dns::start(&net);
    let hosts: Vec<_> = (1..=3).map(|number| [net.host(number).ip()]).collect();
    dns.publish(&[("a.test", &hosts[0]), ("b.test", &hosts[1]), ("c.test", &hosts[2])]);
    dns.publish_srv("_chisme._udp.cluster.test", "a.test", 5001);
    dns.publish_srv("_chisme._udp.cluster.test", "b.test", 5002);
    dns.publish_srv("_chisme._udp.cluster.test", "c.test", 5003);
    let agents = (1..=3).map(|number| {
        let host = net.host(number);
        let spec = Spec::named(&format!("n{number}")).on(host).dns(&dns);
        let at = format!("{}:{}", host.ip(), 5000 + u16::from(number));
        spec.bind(&at).seeds(&["_chisme._udp.cluster.test"]).start()
    });
    let mut cluster = Cluster::of(agents.collect());
    cluster.expect_complete(secs(15));
}

/// Thirty-two records do not fit into a DNS answer over UDP: this one comes over TCP.
#[test]
fn thirty_two_nodes_are_complete_in_5_s_and_know_of_a_crash_in_12_s() {
    let Some(net) = Net::build(8) else { return };
    let dns = Dns::start(&net);
    let homes: Vec<_> = (0..32_u8).map(|i| (net.host(i % 8 + 1), i / 8)).collect();
    let addresses: Vec<_> =
        homes.iter().map(|(host, shelf)| Ipv4Addr::new(10, 77, *shelf, host.number)).collect();
    for ((host, _), &address) in homes.iter().zip(&addresses).skip(8) {
        host.add_address(IpAddr::V4(address));
    }
    dns.publish(&[(NAME, &addresses)]);
    let agents = homes.iter().zip(&addresses).enumerate().map(|(i, ((host, _), address))| {
        let spec = Spec::named(&format!("n{}", i + 1)).on(host).dns(&dns).seeds(&[NAME]);
        spec.bind(&format!("{address}:4747")).start()
    });
    let mut cluster = Cluster::of(agents.collect());
    let last_start = cluster.agents().last().expect("there are 32").started;
    cluster.expect_complete(secs(5).saturating_sub(last_start.elapsed()));
    let complete = last_start.elapsed();

    let marks = cluster.marks();
    cluster[17].crash();
    let crashed = Instant::now();
    let gone = cluster[17].name.clone();
    let known = cluster.expect_all("down", &gone, &marks, crashed, secs(12));
    println!(
        "32 views complete {complete:.1?} after the last start; a crash known to all in {known:.1?}"
    );
    for (name, changes) in cluster.changes_since(&marks) {
        let expected = if name == gone { vec![] } else { vec![format!("down {gone}")] };
        assert_eq!(changes, expected, "what {name} saw of the crash");
    }

    cluster[5].leave();
    let leaver = cluster[5].name.clone();
    cluster.agents_mut().retain(|agent| agent.name != leaver && agent.name != gone);
    for agent in cluster.agents() {
        agent.expect("left", &leaver, secs(5));
    }
}

#[test]
fn two_clusters_on_one_network_do_not_mix() {
    let Some(net) = Net::build(4) else { return };
    let dns = Dns::start(&net);
    Cluster::publish(&net, &dns, &[1, 2, 3, 4]);
    let start = |number: u8, cluster| {
        Cluster::spec(&net, &dns, number).args(&["--cluster", cluster]).start()
    };
    let mut red = Cluster::of(vec![start(1, "red"), start(2, "red")]);
    let mut blue = Cluster::of(vec![start(3, "blue"), start(4, "blue")]);
    red.expect_complete(secs(10));
    blue.expect_complete(secs(10));
    whenever_until("red and blue stay apart", secs(3), || {
        red.agents().iter().chain(blue.agents()).all(|agent| agent.view().len() == 1)
    });
    assert!(red[1].counter("rejected_unknown_key") > 0, "{}", red[1].status());
}
