//! One name, one live node.

use crate::harness::{Loopback, Spec, secs, until, whenever_until};

fn named(loopback: &Loopback, name: &str, host: u8) -> Spec {
    Spec::named(name).no_seeds().bind(&loopback.at(host))
}

#[test]
fn a_newcomer_with_a_name_that_is_taken_is_refused() {
    let loopback = Loopback::new();
    let holder = named(&loopback, "wanted", 1).start_ready();
    let witness = Spec::named("witness").seeds(&[&loopback.at(1)]).bind(&loopback.at(2));
    let witness = witness.start_ready();
    holder.expect_view(&[&witness.name], secs(10));

    let claimant = Spec::named("wanted").seeds(&[&loopback.at(2)]).bind(&loopback.at(3));
    let claimant = claimant.start_ready();
    claimant.expect_log(&["wanted@chisme.test", "taken"], secs(10));
    whenever_until("the holder and the witness keep each other", secs(5), || {
        holder.view().contains(&witness.name) && witness.view().contains(&holder.name)
    });
    assert!(claimant.view().is_empty(), "{claimant:?}");
    for agent in [&holder, &witness] {
        assert_eq!(agent.changes().iter().filter(|change| change.event == "down").count(), 0);
    }
    until("somebody in the cluster says so too", secs(5), || {
        [&holder, &witness].iter().any(|agent| agent.log().contains("name"))
    });
}

#[test]
fn when_islands_merge_the_older_holder_of_a_name_stops() {
    let loopback = Loopback::new();
    let a = named(&loopback, "a", 1).start_ready();
    let mut older =
        Spec::named("twin").seeds(&[&loopback.at(1)]).bind(&loopback.at(2)).start_ready();
    let b = named(&loopback, "b", 3).start_ready();
    let mut newer =
        Spec::named("twin").seeds(&[&loopback.at(3)]).bind(&loopback.at(4)).start_ready();
    a.expect_view(&[&older.name], secs(10));
    b.expect_view(&[&newer.name], secs(10));

    a.run(&["connect", &loopback.at(3)]).expect_success();
    let status = older.expect_end(secs(20));
    assert!(matches!(status, Some(code) if code != 0), "an error: {status:?}");
    older.expect_log(&["twin@chisme.test"], secs(1));
    a.expect_view(&[&b.name, &newer.name], secs(20));
    b.expect_view(&[&a.name, &newer.name], secs(5));
    newer.expect_view(&[&a.name, &b.name], secs(5));
    assert!(newer.is_running());
}
