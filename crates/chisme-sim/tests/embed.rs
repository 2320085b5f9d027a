//! As a library: an embedder tests its own logic on a cluster, and failures say what to do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chisme_proto::Event;
use chisme_sim::{Cluster, check, millis, secs};

/// What a service might do with its view: the lowest name leads.
fn leader(cluster: &Cluster, of: &str) -> String {
    cluster.view_of(of).into_iter().next().expect("it sees itself")
}

#[test]
fn there_is_one_leader_on_each_side_and_one_again_after_it() {
    Cluster::builder().nodes(5).check(0..10, |cluster| {
        cluster.partition(&["n0", "n1"]);
        cluster.expect_view_within(secs(20), "n4", &["n2", "n3", "n4"]);
        for one in ["n0", "n1"] {
            cluster.expect_view_within(secs(20), one, &["n0", "n1"]);
        }
        assert_eq!((leader(cluster, "n1"), leader(cluster, "n4")), ("n0".into(), "n2".into()));
        cluster.heal();
        cluster.expect_complete_within(secs(60));
        assert!((0..5).all(|n| leader(cluster, &format!("n{n}")) == "n0"));
        // Only those who were really cut off were ever called Down.
        let downs = |of: &str| {
            let events = cluster.events_of(of).iter().map(|(_, event)| event);
            events.filter(|event| matches!(event, Event::Down(_))).count()
        };
        assert_eq!((downs("n4"), downs("n0")), (2, 3));
    });
}

#[test]
fn a_builder_does_what_it_is_told() {
    let cluster = Cluster::builder()
        .nodes(4)
        .seed(9)
        .seeds(&["n2", "n3"])
        .latency(millis(50), millis(60))
        .duplicate(0.5)
        .configure(|n, setup| setup.clock_offset = n as i64 * 3_600)
        .formed();
    assert!(cluster.elapsed() > millis(4 * 50), "{:?}", cluster.elapsed());
    let sessions = ["n0", "n1"].map(|label| cluster.session(label).unix_millis());
    assert_eq!(sessions[1] - sessions[0], 3_600_000);
    let again = Cluster::builder().nodes(4).seed(9).build();
    assert_eq!(again.view_of("n1").len(), 1, "nobody has said anything yet");
}

/// What a test says that fails.
fn failure(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("it must fail");
    payload.downcast_ref::<String>().cloned().expect("a text")
}

#[test]
fn a_view_that_is_wrong_is_shown_with_what_led_to_it() {
    let mut cluster = Cluster::builder().formed();
    cluster.crash("n2");
    cluster.expect_view_within(secs(15), "n0", &["n0", "n1"]);
    let told = failure(|| cluster.assert_view("n0", &["n0", "n2"]));
    for part in ["n0 does not see n2", "n0 sees n1 besides", "it sees n0, n1", "down n2 at "] {
        assert!(told.contains(part), "{part:?} is not in {told:?}");
    }
    cluster.assert_never_down(&["n0", "n1"]);
    let told = failure(|| cluster.assert_never_down(&["n1", "n2"]));
    assert!(told.contains("called n2 Down at "), "{told}");
    let told = failure(|| _ = cluster.expect_view_within(secs(1), "n0", &["n0"]));
    assert!(told.contains("not within 1s: n0 sees n1 besides"), "{told}");
}

#[test]
fn a_label_that_is_nobodys_is_told_with_those_that_there_are() {
    let mut cluster = Cluster::builder().formed();
    let told = "there is no machine \"n9\"; there are n0, n1, n2";
    assert_eq!(failure(|| cluster.assert_never_down(&["n0", "n9"])), told);
    assert_eq!(failure(|| cluster.assert_quiet(cluster.now(), &["n9"])), told);
    assert_eq!(failure(|| _ = cluster.is_running("n9")), told);
    assert_eq!(failure(|| cluster.partition(&["n0", "n9"])), told);
    assert_eq!(failure(|| cluster.partition_oneway(&["n0"], &["n9"])), told);
    assert_eq!(failure(|| cluster.isolate("n9")), told);
    assert_eq!(failure(|| cluster.hold(&["n9"])), told);
    assert_eq!(cluster.running().len(), 3);
    let none = failure(|| _ = Cluster::new(1).address("n0"));
    assert_eq!(none, "there is no machine \"n0\"; there are none");
    let many = failure(|| _ = Cluster::of(20, 1).address("n20"));
    assert!(many.ends_with(" n10, n11 and 8 more"), "{many}");
}

#[test]
fn a_cluster_that_does_not_form_tells_of_seeds_that_are_no_machines() {
    let told = failure(|| _ = Cluster::builder().seeds(&["m0", "n7"]).formed());
    assert!(told.ends_with("; these seeds are no machines: m0, n7"), "{told}");
    let told = failure(|| Cluster::builder().build().assert_complete());
    assert!(!told.contains("seeds"), "{told}");
}

#[test]
fn a_down_is_held_against_the_cluster_though_the_observer_has_restarted_since() {
    let mut cluster = Cluster::builder().formed();
    cluster.crash("n2");
    cluster.expect_view_within(secs(15), "n0", &["n0", "n1"]);
    cluster.expect_view_within(secs(15), "n1", &["n0", "n1"]);
    cluster.start("n2");
    cluster.restart("n0");
    cluster.restart("n1");
    cluster.expect_complete_within(secs(15));
    cluster.assert_never_down(&["n0", "n1"]);
    let told = failure(|| cluster.assert_never_down(&["n2"]));
    assert!(told.contains(" called n2 Down at "), "{told}");
}

#[test]
fn numbers_of_the_network_that_cannot_be_are_told_with_their_range() {
    let builder = Cluster::builder;
    for (wrong, told) in [(f64::NAN, "NaN"), (-1.0, "-1"), (7.0, "7")] {
        let of = |what| format!("{what} is {told}; it is a part of all, from 0.0 to 1.0");
        assert_eq!(failure(|| _ = builder().loss(wrong)), of("loss"));
        assert_eq!(failure(|| _ = builder().duplicate(wrong)), of("duplicate"));
        let mut cluster = builder().build();
        assert_eq!(failure(|| cluster.loss(wrong)), of("loss"));
        cluster.network().duplicate = wrong;
        assert_eq!(failure(|| cluster.run_for(secs(1))), of("duplicate"));
    }
    let told = "latency is at least 40ms; it is at most 10ms, which is shorter";
    assert_eq!(failure(|| _ = builder().latency(millis(40), millis(10))), told);
    let mut cluster = builder().build();
    cluster.network().latency_min = millis(40);
    cluster.network().latency_max = millis(10);
    assert_eq!(failure(|| cluster.run_for(secs(1))), told);
}

#[test]
fn what_cannot_be_done_to_a_machine_is_told_with_what_can() {
    let mut cluster = Cluster::builder().formed();
    cluster.setup("n3");
    assert_eq!(failure(|| _ = cluster.status("n3")), "n3 has never run: start it first");
    let told = failure(|| cluster.move_to("n1", "10.0.0.9"));
    assert_eq!(told, "\"10.0.0.9\" is not an address and a port, such as \"10.0.0.9:4747\"");
    let address = cluster.address("n1").to_string();
    cluster.move_to("n3", &address);
    let told = failure(|| cluster.start("n3"));
    assert_eq!(told, format!("n3 cannot start at {address}: n1 runs there"));
    cluster.crash("n1");
    cluster.start("n3");
    cluster.expect_view_within(secs(30), "n0", &["n0", "n2", "n3"]);
    let told = failure(|| cluster.start("n1"));
    assert_eq!(told, format!("n1 cannot start at {address}: n3 runs there"));
}

#[test]
fn a_check_runs_every_seed_until_one_fails() {
    let mut runs = Vec::new();
    let tried = std::cell::RefCell::new(&mut runs);
    let test = || {
        check(3..9, |cluster| {
            tried.borrow_mut().push(cluster.seed());
            cluster.start("n0");
            assert!(cluster.seed() < 5, "{}", format!("seed {} fails", cluster.seed()));
        });
    };
    assert_eq!(failure(test), "seed 5 fails");
    assert_eq!(runs, [3, 4, 5]);
}
