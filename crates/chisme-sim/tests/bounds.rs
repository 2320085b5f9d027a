//! Memory does not grow with names that come and go.

use chisme_proto::Rejection;
use chisme_sim::{Cluster, millis, secs, seeds};

/// The tombstones that a small cluster may keep (DESIGN §12).
const TOMBSTONES: usize = 256;

/// Replay windows that a cluster of a few members may keep.
const WINDOWS: usize = 2_048;

#[test]
fn thousands_of_names_that_come_and_go_leave_a_bounded_trace() {
    for seed in seeds(1) {
        let mut cluster = Cluster::of(4, seed);
        cluster.expect_complete_within(secs(5));
        for wave in 0..60 {
            let labels: Vec<String> = (0..40).map(|i| format!("pod-{wave}-{i}")).collect();
            labels.iter().for_each(|label| cluster.start(label));
            cluster.run_for(millis(1_500));
            for (i, label) in labels.iter().enumerate() {
                if i % 20 == 0 {
                    cluster.crash(label);
                } else {
                    cluster.leave(label);
                }
                cluster.run_for(millis(30));
            }
            cluster.run_for(secs(3));
            for label in ["n0", "n1", "n2", "n3"] {
                let status = cluster.status(label);
                let allowed = TOMBSTONES.max(status.live);
                assert!(status.tombstones <= allowed, "wave {wave}, {label}: {status:?}");
                assert!(status.windows <= WINDOWS, "wave {wave}, {label}: {status:?}");
            }
        }
        cluster.expect_complete_within(secs(60));
        assert!(cluster.counters("n0").tombstones_forgotten > 0);
        let since = cluster.now();
        cluster.run_for(secs(60));
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn a_full_member_table_turns_newcomers_away_and_keeps_working() {
    for seed in seeds(5) {
        let mut cluster = Cluster::new(seed);
        cluster.setup("n0").max_members = Some(4);
        for i in 0..8 {
            cluster.start(&format!("n{i}"));
            cluster.run_for(millis(500));
        }
        cluster.run_for(secs(10));
        assert!(cluster.members("n0").len() <= 4, "{:?}", cluster.members("n0"));
        assert!(cluster.counters("n0").members_turned_away > 0);
    }
}

#[test]
fn who_comes_back_to_a_full_member_table_finds_no_more_room_than_others() {
    for seed in seeds(5) {
        let mut cluster = Cluster::of(4, seed);
        cluster.setup("n0").max_members = Some(4);
        cluster.crash("n0");
        cluster.start("n0");
        cluster.start("n4");
        cluster.expect_complete_within(secs(10));
        cluster.crash("n4");
        cluster.run_for(secs(20));
        cluster.start("late");
        cluster.run_for(secs(10));
        assert!(cluster.up_view("n0").contains("late"));
        cluster.start("n4");
        cluster.run_for(secs(10));
        assert_eq!(cluster.up_view("n0").len(), 4, "{:?}", cluster.up_view("n0"));
    }
}

#[test]
fn those_who_left_take_no_room_from_newcomers() {
    for seed in seeds(5) {
        let mut cluster = Cluster::new(seed);
        for i in 0..3 {
            cluster.setup(&format!("n{i}")).max_members = Some(4);
            cluster.start(&format!("n{i}"));
        }
        cluster.expect_complete_within(secs(5));
        for i in 0..10 {
            let label = format!("pod-{i}");
            cluster.start(&label);
            cluster.expect_complete_within(secs(10));
            cluster.leave(&label);
            cluster.run_for(secs(2));
        }
    }
}

#[test]
fn nodes_that_were_refused_do_not_keep_newcomers_out() {
    for seed in seeds(1) {
        let mut cluster = Cluster::of(3, seed);
        cluster.expect_complete_within(secs(5));
        for i in 0..WINDOWS / 2 + 10 {
            let label = format!("stranger-{i}");
            let name = format!("stranger-{i}@host.example.com");
            cluster.setup(&label).name = name.parse().expect("a long name");
            cluster.start(&label);
            cluster.run_for(millis(30));
            cluster.crash(&label);
        }
        assert!(cluster.counters("n0").refusals > 1_024);
        cluster.start("late");
        cluster.expect_complete_within(secs(10));
    }
}

#[test]
fn what_is_remembered_from_before_a_yield_is_bounded_too() {
    for seed in seeds(1) {
        let mut cluster = Cluster::of(8, seed);
        cluster.expect_complete_within(secs(5));
        for round in 0..3 {
            come_and_go(&mut cluster, round, |cluster, label| cluster.leave(label));
            cluster.isolate("n3");
            cluster.run_for(secs(30));
            cluster.heal();
            cluster.expect_complete_within(secs(60));
            let remembered = cluster.members("n3").len() - cluster.up_view("n3").len();
            // Others told it of some that it has never seen up.
            let tombstones = cluster.status("n3").tombstones;
            assert!(remembered <= tombstones, "round {round}: {remembered} of {tombstones}");
            assert!(tombstones <= TOMBSTONES, "round {round}: {tombstones}");
            assert_eq!(cluster.counters("n3").yields, round + 1);

            // Who left is not looked for, not even by who has yielded since.
            let tried = cluster.counters("n3").heal_attempts;
            cluster.run_for(secs(60));
            assert_eq!(cluster.counters("n3").heal_attempts, tried);
        }
    }
}

#[test]
fn a_member_that_was_forgotten_is_heard_again() {
    for seed in seeds(1) {
        let mut cluster = Cluster::new(seed);
        for label in ["n0", "n1", "n2", "n3", "n4", "n5"] {
            let detector = &mut cluster.setup(label).detector;
            (detector.probe_period, detector.probe_timeout) = (millis(100), millis(50));
            cluster.start(label);
        }
        cluster.expect_complete_within(secs(5));
        cluster.isolate("n5");
        cluster.run_for(secs(10));
        for round in 0..2 {
            come_and_go(&mut cluster, round, Cluster::crash);
        }
        assert_eq!(cluster.member("n1", "n5"), None, "forgotten");
        cluster.heal();
        cluster.expect_complete_within(secs(60));
        cluster.run_for(secs(10));
        let replayed = |cluster: &Cluster| {
            let by = |label| cluster.counters(label).rejected(Rejection::Replayed);
            ["n0", "n1", "n2", "n3", "n4"].map(by)
        };
        let before = replayed(&cluster);
        cluster.run_for(secs(60));
        assert_eq!(replayed(&cluster), before, "what it sends is taken");
    }
}

/// Lets 240 nodes join and go again.
fn come_and_go(cluster: &mut Cluster, round: u64, go: impl Fn(&mut Cluster, &str)) {
    for wave in 0..6 {
        let labels: Vec<String> = (0..40).map(|i| format!("pod-{round}-{wave}-{i}")).collect();
        labels.iter().for_each(|label| cluster.start(label));
        cluster.run_for(millis(1_500));
        for label in &labels {
            go(cluster, label);
            cluster.run_for(millis(30));
        }
        cluster.run_for(secs(10));
    }
}
