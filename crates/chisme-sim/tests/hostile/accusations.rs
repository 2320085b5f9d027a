//! What is said against a member by somebody else: whom to believe, and when.

use chisme_proto::MemberState;
use chisme_sim::{Cluster, millis, secs, seeds};

use super::madman::{Madman, section, with_madman};

const SWIM: u8 = 6;
const SWIM_SECTION: u8 = 7;
const TELL: u8 = 9;
const SUSPECT: u8 = 1;
const DOWN: u8 = 2;

/// The madman tells n0 that n4 is in `state`, in its first life and incarnation.
fn accuse(cluster: &mut Cluster, madman: &mut Madman, state: u8) {
    accuse_in(cluster, madman, 0, state);
}

fn accuse_in(cluster: &mut Cluster, madman: &mut Madman, incarnation: u8, state: u8) {
    let receiver = cluster.session("n0").to_u64().to_be_bytes();
    let mut packet = vec![0, 0, TELL, 0, 1];
    packet.extend_from_slice(&[6]);
    packet.extend_from_slice(b"n4@sim");
    // 10.0.0.5, port 4747, and no IPv6 address.
    packet.extend_from_slice(&[1, 10, 0, 0, 5, 251, 139, 18, 0]);
    packet.extend_from_slice(&cluster.session("n4").to_u64().to_be_bytes());
    packet.extend_from_slice(&[0, incarnation, state]);
    let body = [madman.sender.clone(), section(SWIM_SECTION, &packet)].concat();
    let forged = madman.seal(SWIM, &receiver, &body);
    cluster.inject(madman.from, "n0", &forged);
}

fn state_of_n4(cluster: &Cluster) -> MemberState {
    cluster.member("n0", "n4").expect("it is a member").state
}

#[test]
fn a_death_without_a_suspicion_before_it_is_looked_into() {
    for seed in seeds(10) {
        let (mut cluster, mut madman, _) = with_madman(seed);
        let since = cluster.now();
        accuse(&mut cluster, &mut madman, DOWN);
        cluster.run_for(millis(3));
        assert!(cluster.when("n0", "suspect n4", since).is_some(), "{:?}", state_of_n4(&cluster));
        cluster.run_for(secs(30));
        assert_eq!(cluster.count_kind("down", since), 0);
        assert_eq!(cluster.counters("n4").lives_raised, 0);
        // After a suspicion it is believed: the accuser is trusted to have waited for an answer.
        accuse(&mut cluster, &mut madman, SUSPECT);
        accuse(&mut cluster, &mut madman, DOWN);
        cluster.run_for(millis(0));
        assert_eq!(cluster.count_kind("down", since), 0, "n4 has refuted that incarnation");
    }
}

#[test]
fn whom_one_member_alone_holds_down_is_asked_as_soon_as_views_are_compared() {
    for seed in seeds(10) {
        let mut cluster = Cluster::new(seed);
        cluster.record_datagrams();
        (0..64).for_each(|n| cluster.start(&format!("n{n}")));
        cluster.start("mad");
        cluster.expect_complete_within(secs(10));
        cluster.run_for(secs(10));
        let address = cluster.address("mad");
        let own = cluster.recorded().iter().rev().find(|sent| sent.from == address);
        let mut madman = Madman::after(own.expect("it has said something"), seed);
        accuse_in(&mut cluster, &mut madman, 9, SUSPECT);
        cluster.run_for(millis(3));
        accuse_in(&mut cluster, &mut madman, 9, DOWN);
        cluster.run_for(millis(3));
        assert_eq!(state_of_n4(&cluster), MemberState::Down, "it could not refute that in between");
        // By chance n0 asks it, or hears of it, once in 21 s.
        cluster.expect_complete_within(secs(6));
    }
}

#[test]
fn whom_nobody_can_ask_any_more_is_down_after_a_suspicion_all_the_same() {
    for seed in seeds(10) {
        let (mut cluster, mut madman, _) = with_madman(seed);
        cluster.freeze("n4");
        let since = cluster.now();
        accuse(&mut cluster, &mut madman, DOWN);
        cluster.run_for(millis(2_600));
        assert_eq!(state_of_n4(&cluster), MemberState::Down);
        assert!(cluster.when("n0", "suspect n4", since).is_some());
    }
}

#[test]
fn what_a_suspect_says_against_others_does_not_count() {
    for seed in seeds(10) {
        let (mut cluster, mut madman, _) = with_madman(seed);
        cluster.crash("mad");
        let since = cluster.now();
        cluster.expect_within(secs(20), "it is suspected", |c| {
            c.when("n0", "suspect mad", since).is_some()
        });
        let withheld = cluster.counters("n0").updates_withheld;
        accuse(&mut cluster, &mut madman, SUSPECT);
        cluster.run_for(millis(3));
        assert_eq!(cluster.counters("n0").updates_withheld, withheld + 1);
        assert_eq!(state_of_n4(&cluster), MemberState::Alive);
    }
}

#[test]
fn what_may_have_waited_while_nobody_was_heard_does_not_count() {
    let mut counted = 0;
    for seed in seeds(10) {
        let (mut cluster, mut madman, _) = with_madman(seed);
        let accused = |cluster: &mut Cluster, madman: &mut Madman| {
            let since = cluster.now();
            accuse(cluster, madman, SUSPECT);
            cluster.run_for(millis(3));
            cluster.when("n0", "suspect n4", since).is_some()
        };
        // Too short for a Down, so that all stay in their first life.
        cluster.isolate("n0");
        cluster.run_for(millis(2_600));
        cluster.heal();
        assert!(!accused(&mut cluster, &mut madman), "the first that is heard");
        cluster.run_for(millis(500));
        assert!(!accused(&mut cluster, &mut madman), "half a second later");
        cluster.run_for(secs(1));
        counted += usize::from(accused(&mut cluster, &mut madman));
        cluster.run_for(secs(20));
        assert!(cluster.is_complete());
    }
    // In some runs n4 was suspected meanwhile, and has refuted that incarnation.
    assert!(counted >= 5, "{counted}");
}
