use super::*;
use crate::scenario::Link;
use crate::secs;

const START: Instant = Instant::from_nanos(0);

fn at(elapsed: Duration) -> Instant {
    START + elapsed
}

fn with(link: Link) -> (Network, RuleId) {
    let mut network = Network::new(1);
    let everywhere = Scope::Between(NodeSet::all(), NodeSet::all());
    let id = network.push(everywhere, Effect::Impair(Box::new(link)), None, START);
    (network, id)
}

fn fates(network: &mut Network, count: u64, every: Duration) -> Vec<Fate> {
    let moment = |n: u64| Instant::from_nanos(n * every.as_nanos() as u64);
    (0..count).map(|n| network.fate(0, 1, 100, moment(n))).collect()
}

fn journeys(network: &mut Network, count: u64) -> Vec<Journey> {
    let arrived = |fate| match fate {
        Fate::Arrives(journey) => Some(journey),
        _ => None,
    };
    fates(network, count, secs(1)).into_iter().filter_map(arrived).collect()
}

fn arrives(network: &mut Network, from: usize, to: usize) -> bool {
    matches!(network.fate(from, to, 100, START), Fate::Arrives(_))
}

#[test]
fn a_rule_holds_until_it_is_removed_and_says_what_it_did() {
    let mut network = Network::new(1);
    let cut = network.push(Scope::Across(NodeSet::of(&[0, 1])), Effect::Lose, None, START);
    assert!(arrives(&mut network, 0, 1) && arrives(&mut network, 2, 3));
    assert!(!arrives(&mut network, 0, 2) && !arrives(&mut network, 2, 0));
    assert_eq!(network.remove(cut).map(|deeds| deeds.lost), Some(2));
    assert!(arrives(&mut network, 0, 2));
    assert_eq!(network.remove(cut), None);
}

#[test]
fn a_link_draws_the_same_whatever_others_send_and_whatever_else_is_asked() {
    let (mut alone, _) = with(Link { loss: Some(0.3), ..Link::default() });
    let expected: Vec<bool> = (0..200).map(|_| arrives(&mut alone, 0, 1)).collect();
    let (mut busy, _) =
        with(Link { loss: Some(0.3), duplicate: Some(0.5), corrupt: Some(0.5), ..Link::default() });
    let seen: Vec<bool> = (0..200)
        .map(|_| {
            for other in 0..3 {
                busy.fate(other, 5, 100, START);
            }
            arrives(&mut busy, 0, 1)
        })
        .collect();
    assert_eq!(seen, expected);
    assert!(expected.iter().any(|&yes| yes) && expected.iter().any(|&yes| !yes));
}

#[test]
fn losses_of_several_rules_add_up() {
    let (mut network, _) = with(Link { loss: Some(0.5), ..Link::default() });
    network.push(
        Scope::Between(NodeSet::all(), NodeSet::of(&[1])),
        Effect::Impair(Box::new(Link { loss: Some(0.5), ..Link::default() })),
        None,
        START,
    );
    let passed = journeys(&mut network, 10_000).len();
    assert!((2_300..2_700).contains(&passed), "{passed}");
}

#[test]
fn latencies_are_as_asked_and_the_newest_rule_decides() {
    let (mut network, _) =
        with(Link { latency: Some(Latency::Constant(secs(1))), ..Link::default() });
    let uniform = Latency::Uniform(millis(10), millis(20));
    let everywhere = || Scope::Between(NodeSet::all(), NodeSet::all());
    let link = Link { latency: Some(uniform), ..Link::default() };
    let id = network.push(everywhere(), Effect::Impair(Box::new(link)), None, START);
    let times: Vec<Duration> = journeys(&mut network, 5_000).iter().map(|j| j.after).collect();
    assert!(times.iter().all(|time| (millis(10)..=millis(20)).contains(time)));
    assert!(times.iter().any(|&time| time < millis(11)) && times.iter().any(|&t| t > millis(19)));
    network.remove(id);
    assert!(journeys(&mut network, 10).iter().all(|journey| journey.after == secs(1)));

    let bimodal = Latency::Bimodal(millis(1), millis(100), 10);
    let (mut network, _) = with(Link { latency: Some(bimodal), ..Link::default() });
    let slow = journeys(&mut network, 10_000).iter().filter(|j| j.after == millis(100)).count();
    assert!((900..1_100).contains(&slow), "{slow}");

    let exponential = Latency::Exponential(millis(5), millis(10));
    let (mut network, _) = with(Link { latency: Some(exponential), ..Link::default() });
    let times: Vec<Duration> = journeys(&mut network, 10_000).iter().map(|j| j.after).collect();
    let mean = times.iter().sum::<Duration>() / 10_000;
    assert!(times.iter().all(|&time| time >= millis(5)));
    assert!((micros(14_600)..micros(15_400)).contains(&mean), "{mean:?}");
}

#[test]
fn bursts_lose_as_much_as_asked_and_in_bursts() {
    let burst = Burst { good: secs(9), bad: secs(1), loss: 1.0 };
    let (mut network, _) = with(Link { burst: Some(burst), ..Link::default() });
    let lost: Vec<bool> =
        fates(&mut network, 200_000, millis(100)).iter().map(|f| *f == Fate::Lost).collect();
    let all = lost.iter().filter(|&&lost| lost).count();
    assert!((18_000..22_000).contains(&all), "a tenth: {all}");
    let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    // About two thousand of ten each; independent losses would begin eighteen thousand times.
    assert!((1_600..2_300).contains(&bursts), "{bursts}");
}

#[test]
fn the_weather_of_a_link_begins_with_its_rule_whoever_sends_first() {
    let burst = Burst { good: millis(300), bad: millis(200), loss: 1.0 };
    let storm = || with(Link { burst: Some(burst), ..Link::default() }).0;
    let arrived = |network: &mut Network, every: u64| -> Vec<(u64, bool)> {
        let times = (0..10_000).step_by(every as usize);
        times.map(|ms| (ms, network.fate(0, 1, 100, at(millis(ms))) != Fate::Lost)).collect()
    };
    let often = arrived(&mut storm(), 1);
    // Somebody who sends later and seldom meets the same storms.
    let seldom: Vec<(u64, bool)> = arrived(&mut storm(), 70).split_off(3);
    let same: Vec<(u64, bool)> =
        often.iter().copied().filter(|(ms, _)| ms % 70 == 0).skip(3).collect();
    assert_eq!(seldom, same);
    let mut late = storm();
    let late: Vec<bool> =
        (5_000..10_000).map(|ms| late.fate(0, 1, 100, at(millis(ms))) != Fate::Lost).collect();
    assert_eq!(late, often[5_000..].iter().map(|(_, passed)| *passed).collect::<Vec<_>>());
}

#[test]
fn an_attacker_shifts_nobody_elses_chances() {
    let look_up = |network: &mut Network| network.latency(3);
    let (mut calm, mut flooded) = (Network::new(1), Network::new(1));
    flooded.fate(NOBODY, 5, 100, START);
    assert_eq!(look_up(&mut calm), look_up(&mut flooded));
}

#[test]
fn duplicates_damage_and_replays_come_about_as_often_as_asked() {
    let link = Link {
        duplicate: Some(0.5),
        corrupt: Some(0.2),
        truncate: Some(0.1),
        reorder: Some(0.3),
        late_replay: Some((0.1, secs(30))),
        ..Link::default()
    };
    let (mut network, id) = with(link);
    let journeys = journeys(&mut network, 10_000);
    let about = |what: &str, wanted: usize, got: usize| {
        assert!(wanted.abs_diff(got) < 250, "{what}: {got}, not {wanted}");
    };
    about("twice", 5_000, journeys.iter().filter(|j| j.again.is_some()).count());
    about("flipped", 2_000, journeys.iter().filter(|j| j.damage.flip.is_some()).count());
    about("cut", 1_000, journeys.iter().filter(|j| j.damage.cut.is_some()).count());
    about("replayed", 1_000, journeys.iter().filter(|j| j.replayed.is_some()).count());
    assert!(journeys.iter().filter_map(|j| j.replayed).all(|time| time >= secs(30)));
    let deeds = network.deeds(id).expect("in force");
    about("held up", 3_000, deeds.reordered as usize);
    assert!(journeys.iter().any(|journey| journey.after > millis(4)), "beyond one latency");
}

#[test]
fn damage_flips_one_bit_or_cuts_something_off() {
    let whole = vec![0_u8; 50];
    let mut flipped = whole.clone();
    Damage { flip: Some(12_345), cut: None }.inflict(&mut flipped);
    let ones: u32 = flipped.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!((flipped.len(), ones), (50, 1));
    let mut cut = whole;
    Damage { flip: None, cut: Some(12_345) }.inflict(&mut cut);
    assert!(cut.len() < 50);
}

#[test]
fn a_narrow_link_takes_its_time_and_loses_what_its_queue_does_not_hold() {
    let link = Link { bandwidth: Some(1_000), queue: Some(300), ..Link::default() };
    let (mut network, id) = with(link);
    network.latency_max = network.latency_min;
    let base = network.latency_min;
    let times: Vec<Option<Duration>> = (0..6)
        .map(|_| match network.fate(0, 1, 100, START) {
            Fate::Arrives(journey) => Some(journey.after - base),
            _ => None,
        })
        .collect();
    let after = |ms| Some(millis(ms));
    assert_eq!(times, [after(100), after(200), after(300), None, None, None]);
    assert_eq!(network.deeds(id).map(|deeds| (deeds.queued, deeds.overflowed)), Some((2, 3)));
    assert!(matches!(network.fate(0, 2, 100, START), Fate::Arrives(_)), "each link has its own");
    assert!(matches!(network.fate(0, 1, 100, at(secs(1))), Fate::Arrives(_)), "it drains");
}

#[test]
fn what_is_longer_than_the_mtu_is_dropped() {
    let (mut network, _) = with(Link { mtu: Some(500), ..Link::default() });
    assert!(matches!(network.fate(0, 1, 500, START), Fate::Arrives(_)));
    assert_eq!(network.fate(0, 1, 501, START), Fate::Lost);
}

#[test]
fn a_clogged_link_keeps_back_and_a_cut_goes_first() {
    let (mut network, clog) = with(Link { clog: true, ..Link::default() });
    assert!(matches!(network.fate(0, 1, 100, START), Fate::Held(_)));
    assert!(network.is_clogged(0, 1, START));
    let cut = network.push(Scope::Across(NodeSet::of(&[0])), Effect::Lose, None, START);
    assert_eq!(network.fate(0, 1, 100, START), Fate::Lost);
    network.remove(cut);
    network.remove(clog);
    assert!(!network.is_clogged(0, 1, START));
    assert!(arrives(&mut network, 0, 1));
}
