//! Whoever hears of a suspicion has a timer of its own: the death of the accuser does not begin the
//! detection anew.

use std::time::Duration;

use chisme_sim::{Cluster, Setup, secs, seeds};

/// From the first suspicion of a crash until all survivors know of it, where whoever suspects it first
/// crashes half a second later.
fn detection(nodes: usize, seed: u64, overhear: bool) -> Duration {
    let setup = |_: usize, setup: &mut Setup| setup.detector.overhear = overhear;
    let mut cluster = Cluster::builder().nodes(nodes).seed(seed).configure(setup).build();
    cluster.expect_complete_within(secs(10));
    cluster.run_for(secs(5));
    let since = cluster.now();
    cluster.crash("n1");
    let accuser = |c: &Cluster| {
        let mut running = c.running().into_iter();
        running.find(|label| c.when(label, "suspect n1", since).is_some())
    };
    assert!(cluster.run_until(secs(60), |c| accuser(c).is_some()), "somebody suspects it");
    let begun = cluster.now();
    let accuser = accuser(&cluster).expect("just seen");
    cluster.run_for(Duration::from_millis(500));
    cluster.crash(&accuser);
    let known = |c: &Cluster| {
        c.running().into_iter().all(|label| c.when(&label, "down n1", since).is_some())
    };
    assert!(cluster.run_until(secs(60), known), "all know of it");
    cluster.now() - begun
}

// Usually somebody else's probe fails meanwhile; it is the worst that is better.
#[test]
fn the_death_of_the_accuser_does_not_begin_the_detection_anew() {
    let worst = |overhear| seeds(40).map(|seed| detection(16, seed, overhear)).max();
    let (with, without) = (worst(true), worst(false));
    // Three halves of the shortest suspicion, once more its whole, and a second for the rumours.
    assert!(with < Some(Duration::from_millis(6_700)), "{with:?}");
    assert!(with < without, "{with:?} with timers of their own, {without:?} without");
}
