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
