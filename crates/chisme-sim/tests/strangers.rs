//! Those who cannot belong: silence for a wrong key, a reason for everything else.

use chisme_proto::{ClusterName, ContactResult, Cookie, Event, Refusal, Rejection, VersionRange};
use chisme_sim::{Cluster, Setup, secs, seeds};

fn with_stranger(seed: u64, change: impl Fn(&mut Setup)) -> Cluster {
    let mut cluster = Cluster::of(3, seed);
    cluster.expect_complete_within(secs(5));
    cluster.record_datagrams();
    change(cluster.setup("stranger"));
    cluster.start("stranger");
    cluster
}

fn assert_silence(seed: u64, change: impl Fn(&mut Setup)) {
    let mut cluster = with_stranger(seed, change);
    let since = cluster.now();
    let request = cluster.connect("stranger", &["n0", "n1"]);
    cluster.run_for(secs(60));
    cluster.assert_quiet(since, &[]);
    assert!(cluster.up_view("stranger").is_empty());
    let report = cluster.report("stranger", request).expect("an answer");
    assert!(report.iter().all(|contact| contact.result == ContactResult::NoAnswer), "{report:?}");

    let stranger = cluster.address("stranger");
    let answers = cluster.recorded().iter().filter(|d| d.to == stranger).count();
    assert_eq!(answers, 0, "nobody says a word to the stranger");
    let counted = cluster.counters("n0").rejected(Rejection::UnknownKey);
    let sent = cluster.recorded().iter().filter(|d| d.from == stranger);
    let to_n0 = sent.filter(|d| d.to == cluster.address("n0")).count() as u64;
    assert!(to_n0 > 0);
    assert_eq!(counted, to_n0, "each of its datagrams is counted");
    let told = cluster.record("n0").events.iter().any(|(_, event)| {
        matches!(event, Event::Rejected { from, reason: Rejection::UnknownKey, .. }
            if *from == stranger)
    });
    assert!(told, "an operator of n0 can see where they come from");
    assert!(told_at_most_every_ten_seconds(&cluster), "and is not flooded");
}

fn told_at_most_every_ten_seconds(cluster: &Cluster) -> bool {
    let times: Vec<_> = cluster
        .record("n0")
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Rejected { .. }))
        .map(|(at, _)| *at)
        .collect();
    times.windows(2).all(|pair| pair[1] - pair[0] >= secs(10))
}

#[test]
fn another_cookie_meets_silence() {
    for seed in seeds(10) {
        assert_silence(seed, |setup| {
            setup.cookie = Cookie::new(&"0d".repeat(32)).expect("a cookie");
        });
    }
}

#[test]
fn another_cluster_meets_silence() {
    for seed in seeds(10) {
        assert_silence(seed, |setup| {
            setup.cluster_name = ClusterName::parse("other").expect("a name");
        });
    }
}

#[test]
fn two_clusters_on_one_network_form_side_by_side() {
    for seed in seeds(10) {
        let mut cluster = Cluster::new(seed);
        for i in 0..10 {
            let label = format!("n{i}");
            if i % 2 == 1 {
                cluster.setup(&label).cluster_name = ClusterName::parse("odd").expect("a name");
            }
            cluster.start(&label);
        }
        cluster.seed_with(&["n0", "n1"]);
        cluster.run_for(secs(10));
        for i in 0..10 {
            let seen = cluster.up_view(&format!("n{i}"));
            let own = |label: &String| label[1..].parse::<usize>().expect("a number") % 2 == i % 2;
            assert!(seen.len() == 4 && seen.iter().all(own), "n{i} sees {seen:?}");
        }
    }
}

/// Both sides say why they do not come together, and so does the answer to `connect`.
fn assert_refused(seed: u64, change: impl Fn(&mut Setup), is_reason: impl Fn(&Refusal) -> bool) {
    let mut cluster = with_stranger(seed, change);
    let since = cluster.now();
    let request = cluster.connect("stranger", &["n0"]);
    cluster.run_for(secs(30));
    cluster.assert_quiet(since, &[]);
    assert!(cluster.up_view("stranger").is_empty());
    let report = cluster.report("stranger", request).expect("an answer");
    let ContactResult::Refused(reason) = &report[0].result else {
        cluster.fail(&format!("not refused: {report:?}"))
    };
    assert!(is_reason(reason), "{reason}");
    for label in ["stranger", "n0"] {
        let events = &cluster.record(label).events;
        let told = events
            .iter()
            .any(|(_, event)| matches!(event, Event::Refused { reason, .. } if is_reason(reason)));
        assert!(told, "seed {seed}: {label} is not told why: {events:?}");
    }
    assert!(cluster.counters("n0").refusals > 0);
}

#[test]
fn a_newer_protocol_is_refused_with_a_reason_on_both_sides() {
    for seed in seeds(20) {
        assert_refused(
            seed,
            |setup| setup.versions = VersionRange { min: 2, max: 3 },
            |reason| match reason {
                Refusal::Version { theirs, ours, .. } => theirs.common(*ours).is_none(),
                _ => false,
            },
        );
    }
}

#[test]
fn a_protocol_range_that_overlaps_is_welcome() {
    for seed in seeds(10) {
        let mut cluster =
            with_stranger(seed, |setup| setup.versions = VersionRange { min: 1, max: 3 });
        cluster.expect_complete_within(secs(5));
    }
}

#[test]
fn a_long_name_among_short_ones_is_refused_with_a_reason_on_both_sides() {
    for seed in seeds(20) {
        assert_refused(
            seed,
            |setup| setup.name = "stranger@host.example.com".parse().expect("a name"),
            |reason| matches!(reason, Refusal::NameKind { .. }),
        );
    }
}

#[test]
fn a_short_name_among_long_ones_is_refused_too() {
    for seed in seeds(10) {
        let mut cluster = Cluster::new(seed);
        for label in ["n0@a.example", "n1@b.example"] {
            cluster.setup(label);
        }
        cluster.seed_with(&["n0@a.example"]);
        cluster.start("n0@a.example");
        cluster.start("n1@b.example");
        cluster.expect_complete_within(secs(5));
        cluster.start("short");
        let request = cluster.connect("short", &["n1@b.example"]);
        cluster.run_for(secs(10));
        let report = cluster.report("short", request).expect("an answer");
        let refused = matches!(report[0].result, ContactResult::Refused(Refusal::NameKind { .. }));
        assert!(refused, "{report:?}");
        assert!(cluster.up_view("short").is_empty());
    }
}

#[test]
fn an_advertised_address_that_nobody_answers_at_is_refused_with_a_reason() {
    for seed in seeds(10) {
        assert_refused(
            seed,
            |setup| setup.advertised = Some(vec!["10.9.9.9:4747".parse().expect("an address")]),
            |reason| matches!(reason, Refusal::AdvertisedUnreachable { .. }),
        );
    }
}

#[test]
fn an_advertised_victim_gets_no_more_bytes_than_the_liar_spent() {
    for seed in seeds(10) {
        let victim = "10.9.9.9:4747".parse().expect("an address");
        let mut cluster = with_stranger(seed, |setup| setup.advertised = Some(vec![victim]));
        cluster.run_for(secs(120));
        let bytes = |to_victim: bool| -> usize {
            let liar = cluster.address("stranger");
            let counted = |d: &&chisme_sim::Datagram| {
                if to_victim { d.to == victim } else { d.from == liar }
            };
            cluster.recorded().iter().filter(counted).map(|d| d.bytes.len()).sum()
        };
        assert!(bytes(true) <= bytes(false), "{} for {}", bytes(true), bytes(false));
    }
}
