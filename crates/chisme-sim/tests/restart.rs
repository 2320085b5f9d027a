//! Names outlive processes: a restart takes over at once, wherever it comes up.

use chisme_proto::Instant;
use chisme_sim::{Cluster, millis, secs, seeds};

fn formed(nodes: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(nodes, seed);
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(10) + millis(seed * 83 % 1_000));
    cluster
}

/// Everybody else has reported the end of the old process and the start of the new one.
fn assert_taken_over(cluster: &Cluster, who: &str, since: Instant) {
    let session = cluster.session(who);
    for label in cluster.running().iter().filter(|label| *label != who) {
        let seen = cluster.comings_and_goings(label, since);
        assert_eq!(seen, [format!("down {who}"), format!("up {who}")], "{label}");
        let member = cluster.member(label, who).expect("it is a member");
        assert_eq!(member.session, session, "{label} knows the new session");
        assert!(member.endpoints.contains(cluster.address(who)), "{label}: {member:?}");
    }
}

/// Everybody else sees the present process of `who`.
fn is_known(cluster: &Cluster, who: &str) -> bool {
    let session = cluster.session(who);
    cluster.is_complete()
        && cluster
            .running()
            .iter()
            .filter(|label| *label != who)
            .all(|label| cluster.member(label, who).is_some_and(|member| member.session == session))
}

#[test]
fn a_restart_at_the_same_address_takes_over_at_once() {
    for seed in seeds(30) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.restart("n5");
        cluster.expect_within(secs(3), "the new process is known", |c| is_known(c, "n5"));
        cluster.run_for(secs(60));
        assert_taken_over(&cluster, "n5", since);
    }
}

#[test]
fn a_restart_at_a_new_address_takes_over_at_once() {
    for seed in seeds(30) {
        let mut cluster = formed(16, seed);
        let since = cluster.now();
        cluster.crash("n5");
        cluster.move_to("n5", "10.7.7.7:4747");
        cluster.start("n5");
        cluster.expect_within(secs(3), "the new process is known", |c| is_known(c, "n5"));
        cluster.run_for(secs(60));
        assert_taken_over(&cluster, "n5", since);
    }
}

#[test]
fn the_seed_itself_may_restart() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        cluster.seed_with(&["n0", "n1", "n2"]);
        let since = cluster.now();
        cluster.restart("n0");
        cluster.expect_within(secs(4), "the new process is known", |c| is_known(c, "n0"));
        cluster.run_for(secs(60));
        assert_taken_over(&cluster, "n0", since);
    }
}

#[test]
fn the_only_seed_restarts_and_is_found_again_by_those_who_miss_it() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        cluster.restart("n0");
        cluster.expect_within(secs(90), "the new process is known", |c| is_known(c, "n0"));
    }
}

#[test]
fn a_start_after_the_old_process_is_known_to_be_down_is_just_an_up() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        cluster.crash("n5");
        cluster.run_for(secs(20));
        let since = cluster.now();
        cluster.start("n5");
        cluster.expect_within(secs(3), "the new process is known", |c| is_known(c, "n5"));
        cluster.run_for(secs(30));
        for label in cluster.running().iter().filter(|label| *label != "n5") {
            assert_eq!(cluster.comings_and_goings(label, since), ["up n5"], "{label}");
        }
    }
}

#[test]
fn an_address_taken_over_by_another_name_is_an_ordinary_event() {
    for seed in seeds(20) {
        let mut cluster = formed(12, seed);
        let since = cluster.now();
        let address = cluster.address("n5").to_string();
        cluster.crash("n5");
        cluster.move_to("stranger", &address);
        cluster.start("stranger");
        cluster.expect_within(secs(3), "the stranger is known", |c| {
            c.running().iter().all(|l| l == "stranger" || c.up_view(l).contains("stranger"))
        });
        cluster.expect_complete_within(secs(14));
        cluster.run_for(secs(60));
        cluster.assert_complete();
        for label in cluster.running().iter().filter(|label| *label != "stranger") {
            let mut seen = cluster.comings_and_goings(label, since);
            seen.sort();
            assert_eq!(seen, ["down n5", "up stranger"], "{label}");
        }
    }
}

#[test]
fn two_nodes_that_swap_their_addresses_are_found_again() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        let (five, six) = (cluster.address("n5").to_string(), cluster.address("n6").to_string());
        cluster.crash("n5");
        cluster.crash("n6");
        cluster.move_to("n5", &six);
        cluster.move_to("n6", &five);
        cluster.start("n5");
        cluster.start("n6");
        cluster.expect_within(secs(5), "both new processes are known", |c| {
            is_known(c, "n5") && is_known(c, "n6")
        });
        cluster.run_for(secs(60));
        assert!(is_known(&cluster, "n5") && is_known(&cluster, "n6"));
    }
}

#[test]
fn a_process_that_restarts_again_and_again_is_known_in_the_end() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        for i in 0..10 {
            cluster.restart("n5");
            cluster.run_for(millis(150 + i * 250));
        }
        cluster.expect_within(secs(10), "the last process is known", |c| is_known(c, "n5"));
        let since = cluster.now();
        cluster.run_for(secs(60));
        cluster.assert_quiet(since, &[]);
    }
}

#[test]
fn a_restart_behind_a_partition_is_sorted_out_when_it_heals() {
    for seed in seeds(20) {
        let mut cluster = formed(8, seed);
        cluster.isolate("n5");
        cluster.run_for(secs(1));
        cluster.restart("n5");
        cluster.run_for(secs(30));
        cluster.heal();
        cluster.expect_within(secs(45), "the new process is known", |c| is_known(c, "n5"));
        cluster.run_for(secs(60));
        assert!(is_known(&cluster, "n5"));
    }
}

#[test]
fn all_restart_at_the_same_moment() {
    for seed in seeds(10) {
        let mut cluster = formed(8, seed);
        (0..8).for_each(|i| cluster.restart(&format!("n{i}")));
        cluster.expect_complete_within(secs(20));
        cluster.run_for(secs(60));
        cluster.assert_complete();
    }
}
