//! Memory does not grow with names that come and go.

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
