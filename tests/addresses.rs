//! A node is its name: it may change its address, and its address may go to somebody else.

use crate::harness::cluster::{DETECTION, NAME};
use crate::harness::{Cluster, Dns, Net, Spec, secs, until};

#[test]
fn a_node_that_restarts_with_a_new_address_is_the_same_member() {
    let Some(net) = Net::build(5) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 4);
    let moved = cluster[2].name.clone();

    cluster[2].crash();
    Cluster::publish(&net, &dns, &[1, 3, 4, 5]);
    cluster.replace(2, &Spec::named("n2").on(net.host(5)).dns(&dns).seeds(&[NAME]));
    cluster.expect_complete(secs(15));
    for number in [1, 3, 4] {
        expect_address(&cluster, number, &moved, &net.host(5).ip().to_string());
    }
}

#[test]
fn an_address_that_is_reused_by_another_name_is_another_member() {
    let Some(net) = Net::build(4) else { return };
    let dns = Dns::start(&net);
    let mut cluster = Cluster::complete_from_dns(&net, &dns, 4);
    let old = cluster[3].name.clone();

    cluster[3].crash();
    let heir = Spec::named("heir").on(net.host(3)).dns(&dns).seeds(&[NAME]);
    cluster.replace(3, &heir);
    let heir = heir.name;
    for number in [1, 2, 4] {
        cluster[number].expect("up", &heir, secs(10));
        cluster[number].expect("down", &old, DETECTION);
    }
    cluster.expect_complete(secs(10));
    for number in [1, 2, 4] {
        expect_address(&cluster, number, &heir, &net.host(3).ip().to_string());
        assert_eq!(cluster[number].count("down", &heir), 0, "the heir is healthy");
    }
}

#[test]
fn a_node_of_both_families_is_reached_by_those_of_one() {
    let Some(net) = Net::build(3) else { return };
    let dns = Dns::start(&net);
    let four = net.host(1).ip().to_string();
    let both = Cluster::spec(&net, &dns, 1);
    let only_four = Cluster::spec(&net, &dns, 2).bind("0.0.0.0:4747").seeds(&[&four]);
    let mut cluster = Cluster::of(vec![both.start(), only_four.start()]);
    cluster.expect_complete(secs(10));
    until("the table names the address family", secs(2), || {
        let members = cluster[1].run(&["members"]).expect_success();
        members.contains(&net.host(2).ip().to_string())
    });
}

#[track_caller]
fn expect_address(cluster: &Cluster, number: usize, peer: &str, address: &str) {
    until(&format!("{} has {peer} at {address}", cluster[number].name), secs(10), || {
        let members = cluster[number].run(&["members"]).expect_success();
        members.lines().any(|line| line.contains(peer) && line.contains(address))
    });
}
