//! Clocks that are wrong: membership does not depend on what time it is.

use crate::harness::{Agent, Loopback, Spec, needs, secs, whenever_until};

/// An agent that lives at another time.
fn displaced(spec: Spec, by: &str) -> Option<Spec> {
    let library = needs::faketime()?;
    let spec = spec.env("LD_PRELOAD", library.to_str().expect("a plain path"));
    Some(spec.env("FAKETIME", by).env("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
}

#[test]
fn a_clock_that_was_set_back_before_a_restart_does_not_keep_a_node_out() {
    let loopback = Loopback::new();
    let one = Spec::named("n1").no_seeds().bind(&loopback.at(1)).start_ready();
    let two = Spec::named("n2").seeds(&[&loopback.at(1)]).bind(&loopback.at(2));
    let Some(back) = displaced(two.clone(), "-1d") else { return };

    let mut before = two.start_ready();
    one.expect_view(&[&before.name], secs(10));
    before.crash();
    let after = back.start_ready();
    after.expect_view(&[&one.name], secs(10));
    expect_lives_in(&after, "a day ago");
    one.expect_view(&[&after.name], secs(10));
    whenever_until("the new one is the one that stays", secs(12), || {
        one.view().contains(&after.name) && after.view().contains(&one.name)
    });
}

#[test]
fn a_year_more_or_less_has_no_effect() {
    let loopback = Loopback::new();
    let now = Spec::named("now").no_seeds().bind(&loopback.at(1)).start_ready();
    let spec = |name, host| Spec::named(name).seeds(&[&loopback.at(1)]).bind(&loopback.at(host));
    let Some(past) = displaced(spec("past", 2), "-365d") else { return };
    let Some(future) = displaced(spec("future", 3), "+365d") else { return };
    let (past, future) = (past.start_ready(), future.start_ready());
    now.expect_view(&[&past.name, &future.name], secs(10));
    past.expect_view(&[&now.name, &future.name], secs(10));
    future.expect_view(&[&now.name, &past.name], secs(10));
    whenever_until("nobody is ever down", secs(10), || {
        [&now, &past, &future].iter().all(|agent| agent.view().len() == 2)
    });
    expect_lives_in(&past, "last year");
    let mut future = future;
    future.leave();
    now.expect("left", &future.name, secs(5));
    past.expect("left", &future.name, secs(5));
}

/// The lie works: without this the test would show nothing.
#[track_caller]
fn expect_lives_in(agent: &Agent, when: &str) {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let line = agent.changes().into_iter().next().expect("it is ready");
    assert!(u128::from(line.t) + 3_600_000_000_000 < now.as_nanos(), "{agent:?} is not in {when}");
}
