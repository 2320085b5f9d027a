//! What the guide promises, as it is written there, with the real binary.

use tempfile::TempDir;

use crate::harness::cli::chisme_json;
use crate::harness::loopback::default_port;
use crate::harness::spec::short_hostname;
use crate::harness::{Agent, Dns, Loopback, Spec, chisme, secs, until};

/// Two terminals, no ports given, the cookie of the guide on the command line.
#[test]
fn two_terminals_on_one_host() {
    let _port = default_port();
    let terminals = TempDir::new().expect("a runtime directory for both");
    let start = |name: &str| {
        let full = format!("{name}@{}", short_hostname());
        let line = ["--sname", name, "--cookie", "malla_secret"];
        Spec::plain(&full).runtime_dir(terminals.path()).args(&line).start_ready()
    };
    let (node1, node2) = (start("node1"), start("node2"));

    let peer = format!("node1@{}", short_hostname());
    let run = chisme(terminals.path(), &["connect", &peer, "--node", "node2"]);
    assert_eq!(run.stdout, "true\n", "{run}\n{node1:?}\n{node2:?}");
    assert_eq!(run.status, Some(0));

    expect_nodes(&terminals, "node2", &node1.name);
    expect_nodes(&terminals, "node1", &node2.name);
    node1.expect_log(&["16", "chisme cookie"], secs(1));
    for agent in [&node1, &node2] {
        assert!(!agent.log().contains("malla_secret"), "the cookie is in the log");
    }
    let nowhere = chisme(terminals.path(), &["connect", "127.0.0.1:1", "--node", "node2"]);
    assert_eq!((nowhere.stdout.as_str(), nowhere.status), ("false\n", Some(1)), "{nowhere}");
    assert!(!nowhere.stderr.is_empty(), "it says why");
}

#[track_caller]
fn expect_nodes(terminals: &TempDir, node: &str, other: &str) {
    until(&format!("chisme nodes on {node} lists {other}"), secs(5), || {
        let run = chisme(terminals.path(), &["nodes", "--node", node]);
        run.expect_success() == format!("{other}\n")
    });
}

#[test]
fn several_agents_want_a_choice() {
    let terminals = TempDir::new().expect("a runtime directory for both");
    let loopback = Loopback::new();
    let start = |name: &str, host| {
        let spec = Spec::short(name).runtime_dir(terminals.path()).no_seeds();
        spec.bind(&loopback.at(host)).start_ready()
    };
    let _agents = [start("node1", 1), start("node2", 2)];
    let run = chisme(terminals.path(), &["nodes"]);
    assert_ne!(run.status, Some(0), "{run}");
    assert!(run.stderr.contains("node1") && run.stderr.contains("--node"), "{run}");
    let run = chisme(terminals.path(), &["nodes", "--node", "nobody"]);
    assert_ne!(run.status, Some(0), "{run}");
    assert!(run.stderr.contains("nobody"), "{run}");
}

#[test]
fn short_and_long_names() {
    let loopback = Loopback::new();
    let short = Spec::short("node1").no_seeds().bind(&loopback.at(1)).start_ready();
    let name = status_name(&short);
    assert_eq!(name, format!("node1@{}", short_hostname()));

    let name = "node1@example.com";
    let long =
        Spec::plain(name).args(&["--name", name]).cookie("a cookie that only the tests know");
    let long = long.no_seeds().bind(&loopback.at(2)).start_ready();
    assert_eq!(status_name(&long), name);

    let run = long.run(&["connect", &loopback.at(1)]);
    assert_eq!((run.stdout.as_str(), run.status), ("false\n", Some(1)), "{run}");
    assert!(run.stderr.contains("short") && run.stderr.contains("long"), "{run}");
    until("both sides say so", secs(5), || {
        [&short, &long].iter().all(|agent| {
            let log = agent.log();
            log.contains("short") && log.contains("long")
        })
    });
    assert!(short.view().is_empty() && long.view().is_empty());
}

fn status_name(agent: &Agent) -> String {
    let status = agent.status();
    status["name"].as_str().unwrap_or_else(|| panic!("no name in {status}")).to_owned()
}

#[test]
fn different_cookies_never_connect() {
    let loopback = Loopback::new();
    let start = |name: &str, host, cookie: &str| {
        let spec = Spec::named(name).cookie(cookie).no_seeds();
        spec.bind(&loopback.at(host)).start_ready()
    };
    let one = start("n1", 1, "the first of two secrets");
    let other = start("n2", 2, "the second of two secrets");

    let run = other.run(&["connect", &loopback.at(1)]);
    assert_eq!((run.stdout.as_str(), run.status), ("false\n", Some(1)), "{run}");
    assert!(run.stderr.contains("cookie"), "the likely reason: {run}");
    let run = one.run(&["connect", &loopback.at(2)]);
    assert_eq!((run.stdout.as_str(), run.status), ("false\n", Some(1)), "{run}");

    for agent in [&one, &other] {
        agent.expect_log(
            &["cookie", &loopback.ip(if agent.name == one.name { 2 } else { 1 }).to_string()],
            secs(5),
        );
        let status = agent.run(&["status"]).expect_success();
        assert!(status.contains("unknown_key") && status.contains("cookie"), "{status}");
        assert!(agent.counter("rejected_unknown_key") > 0);
        for text in [agent.log(), status, agent.status().to_string()] {
            assert!(!text.contains("secrets"), "a cookie leaked: {text}");
        }
        assert!(agent.view().is_empty());
    }
}

#[test]
fn the_side_that_asks_with_another_cookie_says_why_nobody_may_answer() {
    let loopback = Loopback::new();
    let one = Spec::named("n1").cookie("the first of two secrets").no_seeds();
    let one = one.bind(&loopback.at(1)).start_ready();
    let other = Spec::named("n2").cookie("the second of two secrets").seeds(&[&loopback.at(1)]);
    let other = other.bind(&loopback.at(2)).start_ready();
    one.expect_log(&["failed authentication", "cookie"], secs(5));
    // Nobody has asked this one: all that it meets is silence.
    other.expect_log(&["has answered", "different cookie or cluster name?"], secs(15));
    let status = other.run(&["status"]).expect_success();
    assert!(status.contains("has answered") && !status.contains("secrets"), "{status}");
}

#[test]
fn cluster_dns_name_joins_through_a_records_even_those_that_come_later() {
    let loopback = Loopback::on_default_port();
    let Some(dns) = Dns::on_loopback(&loopback) else { return };
    let start = |host: u8| {
        let spec = Spec::named(&format!("n{host}")).dns(&dns).bind(&loopback.at(host));
        spec.env("CLUSTER_DNS_NAME", "svc.test").start_ready()
    };
    // Before its peers exist, and before the record does.
    let first = start(1);
    first.expect_log(&["svc.test"], secs(5));
    dns.publish(&[("svc.test", &[loopback.ip(1), loopback.ip(2)])]);
    let second = start(2);
    first.expect_view(&[&second.name], secs(20));
    second.expect_view(&[&first.name], secs(1));
}

#[test]
fn cluster_dns_name_joins_through_aaaa_records() {
    let loopback = Loopback::on_default_port();
    let Some(dns) = Dns::on_loopback(&loopback) else { return };
    dns.publish(&[("six.test", &[std::net::Ipv6Addr::LOCALHOST])]);
    let start = |name: &str| {
        let spec = Spec::named(name).cookie("for the test of AAAA records").dns(&dns);
        spec.env("CLUSTER_DNS_NAME", "six.test").start_ready()
    };
    let (first, second) = (start("n1"), start("n2"));
    first.expect_view(&[&second.name], secs(20));
    second.expect_view(&[&first.name], secs(5));
}

#[test]
fn connect_asks_for_a_records_and_for_srv_records() {
    let loopback = Loopback::on_default_port();
    let Some(mut dns) = Dns::on_loopback(&loopback) else { return };
    dns.publish(&[("svc.default.test", &[loopback.ip(1)]), ("host2.test", &[loopback.ip(2)])]);
    dns.publish_srv("_malla._tcp.default.test", "host2.test", 4999);
    let start = |host: u8, at: &str| {
        Spec::named(&format!("n{host}")).no_seeds().dns(&dns).bind(at).start_ready()
    };
    let by_a = start(1, &loopback.at(1));
    let by_srv = start(2, &format!("{}:4999", loopback.ip(2)));
    let third = start(3, &loopback.at(3));

    let run = third.run(&["connect", "svc.default.test"]);
    assert_eq!(run.stdout, "true\n", "{run}\n{by_a:?}");
    third.expect_view(&[&by_a.name], secs(2));
    let run = third.run(&["connect", "_malla._tcp.default.test"]);
    assert_eq!(run.stdout, "true\n", "{run}\n{by_srv:?}");
    by_a.expect_view(&[&by_srv.name, &third.name], secs(10));

    let run = third.run(&["connect", "nothing.default.test"]);
    assert_eq!((run.stdout.as_str(), run.status), ("false\n", Some(1)), "{run}");
    assert!(run.stderr.contains("nothing.default.test"), "{run}");

    // The flag of an agent takes both kinds.
    let seeded = Spec::named("n4").dns(&dns).seeds(&["dnssrv+_malla._tcp.default.test"]);
    let seeded = seeded.bind(&loopback.at(4)).start_ready();
    seeded.expect_view(&[&by_a.name, &by_srv.name, &third.name], secs(10));
}

#[test]
fn an_incompatible_protocol_version_is_refused_with_a_reason_on_both_sides() {
    let loopback = Loopback::new();
    let today = Spec::named("today").no_seeds().bind(&loopback.at(1)).start_ready();
    let tomorrow = Spec::named("tomorrow").no_seeds().bind(&loopback.at(2));
    let tomorrow = tomorrow.env("CHISME_TEST_PROTOCOL", "2").start_ready();
    let run = tomorrow.run(&["connect", &loopback.at(1)]);
    assert_eq!((run.stdout.as_str(), run.status), ("false\n", Some(1)), "{run}");
    assert!(run.stderr.contains("incompatible protocol version"), "{run}");
    today.expect_log(&["incompatible protocol version"], secs(5));
    tomorrow.expect_log(&["incompatible protocol version"], secs(5));
    assert!(today.view().is_empty() && tomorrow.view().is_empty());
}

#[test]
fn the_table_and_the_round_trip() {
    let loopback = Loopback::new();
    let one = Spec::named("n1").no_seeds().bind(&loopback.at(1)).start_ready();
    let two = Spec::named("n2").seeds(&[&loopback.at(1)]).bind(&loopback.at(2)).start_ready();
    one.expect_view(&[&two.name], secs(10));
    let table = one.run(&["members"]).expect_success();
    for text in [&one.name, &two.name, &loopback.at(1), &loopback.at(2)] {
        assert!(table.contains(text.as_str()), "{text} is missing in\n{table}");
    }
    let members = one.run(&["members", "--json"]).expect_success();
    let members: serde_json::Value = serde_json::from_str(&members).expect("JSON");
    assert_eq!(members.as_array().map(Vec::len), Some(2), "{members}");
    let pong = one.run(&["ping", &two.name]).expect_success();
    assert!(pong.contains("ms") || pong.contains("µs"), "{pong}");
    let run = one.run(&["ping", "nobody@chisme.test"]);
    assert_eq!(run.status, Some(1), "{run}");
}

#[test]
fn events_can_be_followed_from_outside() {
    let loopback = Loopback::new();
    let dir = TempDir::new().expect("a runtime directory");
    let one = Spec::named("n1").no_seeds().bind(&loopback.at(1)).runtime_dir(dir.path());
    let one = one.start_ready();
    assert_eq!(chisme_json(dir.path(), &["status", "--json"])["name"], one.name.as_str());
    let mut follower = crate::harness::cli::Follower::start(dir.path(), &["events", "--json"]);
    let mut two = Spec::named("n2").seeds(&[&loopback.at(1)]).bind(&loopback.at(2)).start_ready();
    follower.expect(&["\"up\"", &two.name], secs(10));
    two.leave();
    follower.expect(&["\"left\"", &two.name], secs(10));
}
