//! What a reader of events sees, and when.

use chisme::{Event, Events, MemberState};
use tokio::time::timeout;

use super::{SOON, join, started};

async fn next(events: &mut Events) -> Event {
    timeout(SOON, events.next()).await.expect("in time").expect("the node runs")
}

#[tokio::test]
async fn a_stream_starts_with_the_snapshot_and_goes_on_with_changes() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    let mut early = a.events();
    assert!(matches!(next(&mut early).await, Event::Snapshot(s) if s.members.is_empty()));
    join(&b, &a).await;
    let Event::Up(up) = next(&mut early).await else { panic!("not an Up") };
    assert_eq!((up.name.as_str(), up.state, up.is_local), ("b@h", MemberState::Alive, false));

    // Who comes later finds the member in the snapshot, and is not told of it again.
    let mut late = a.events();
    assert!(matches!(next(&mut late).await, Event::Snapshot(s) if s.members.len() == 1));
    b.leave().await;
    assert!(matches!(next(&mut late).await, Event::Left(m) if m.name.as_str() == "b@h"));
    assert!(matches!(next(&mut early).await, Event::Left(_)));
}

#[tokio::test]
async fn an_up_comes_after_the_snapshot_has_it_and_a_left_after_it_has_gone() {
    let a = started("a@h").await;
    let mut events = a.events();
    next(&mut events).await;
    for round in 0..10 {
        let b = started("b@h").await;
        join(&b, &a).await;
        loop {
            match next(&mut events).await {
                Event::Up(m) => {
                    assert!(a.snapshot().member(&m.name).is_some(), "round {round}");
                    break;
                }
                other => assert!(matches!(other, Event::Suspect(_)), "{other:?}"),
            }
        }
        b.leave().await;
        let Event::Left(m) = next(&mut events).await else { panic!("not a Left") };
        let snapshot = a.snapshot();
        assert!(snapshot.member(&m.name).is_none());
        assert!(snapshot.departed.iter().any(|d| d.name == m.name && d.state == MemberState::Left));
    }
}

#[tokio::test]
async fn a_reader_that_lags_is_told_how_much_it_lost_and_reads_again() {
    let a = started("a@h").await;
    let mut slow = a.events();
    next(&mut slow).await;
    // Each refused name is an event; nobody reads them meanwhile.
    let b = started("b@h").await;
    join(&b, &a).await;
    for _ in 0..600 {
        let again = started("a@h").await;
        let report = again.connect(&a.local_addrs()[0].to_string()).await.expect("an address");
        assert!(!report.joined());
    }
    assert!(matches!(next(&mut slow).await, Event::Lagged(lost) if lost > 0));
    assert!(matches!(next(&mut slow).await, Event::Snapshot(s) if s.members.len() == 1));
}

#[tokio::test]
async fn the_stream_ends_with_the_node() {
    let a = started("a@h").await;
    let mut events = a.events();
    next(&mut events).await;
    a.leave().await;
    assert!(matches!(next(&mut events).await, Event::Stopped(chisme::StopReason::Left)));
    drop(a);
    assert!(timeout(SOON, events.next()).await.expect("in time").is_none());
}

#[tokio::test]
async fn who_begins_to_read_late_still_hears_of_the_end() {
    let (a, b) = (started("a@h").await, started("b@h").await);
    join(&b, &a).await;
    let mut late = a.events();
    assert!(matches!(next(&mut late).await, Event::Snapshot(s) if s.members.len() == 1));
    a.leave().await;
    assert!(matches!(next(&mut late).await, Event::Stopped(chisme::StopReason::Left)));
}
