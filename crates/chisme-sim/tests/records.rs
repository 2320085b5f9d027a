//! Tags and services: what one node says of itself is known to all, soon, whatever is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use chisme_proto::{Event, Record, RecordEdit, RecordError, Service, ServiceStatus};
use chisme_sim::{Cluster, millis, secs, seeds};

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn merge(key: &str, value: &str) -> RecordEdit {
    RecordEdit::MergeTags(tags(&[(key, value)]))
}

/// A record of nearly 16 KiB that differs by `n`.
fn large(n: usize) -> RecordEdit {
    let value = |i: usize| format!("{n}-{i}-").repeat(1_000)[..4_000].to_owned();
    RecordEdit::SetTags((0..4).map(|i| (format!("k{i}"), value(i))).collect())
}

/// After how long all running nodes know what `of` says of itself, each of them.
fn known_after(cluster: &mut Cluster, of: &str, limit: Duration) -> Vec<Duration> {
    let since = cluster.now();
    let wanted = cluster.known_of(of, of);
    let mut waiting = cluster.running();
    let mut times = Vec::new();
    while !waiting.is_empty() {
        let knows = |cluster: &Cluster, label: &String| cluster.known_of(label, of) == wanted;
        let before = waiting.len();
        waiting.retain(|label| !knows(cluster, label));
        times.resize(times.len() + before - waiting.len(), cluster.now() - since);
        assert!(
            cluster.now() - since <= limit,
            "seed {}: {waiting:?} do not know the record of {of} after {limit:?}",
            cluster.seed()
        );
        cluster.run_for(millis(5));
    }
    times
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent).div_ceil(100) - 1]
}

#[test]
fn a_tag_set_on_one_node_is_seen_by_all_five() {
    for seed in seeds(5) {
        let mut cluster = Cluster::builder().nodes(5).seed(seed).formed();
        cluster.edit_record("n0", merge("zone", "eu-1"));
        known_after(&mut cluster, "n0", secs(2));
        for label in cluster.running() {
            assert_eq!(cluster.known_of(&label, "n0").tags, tags(&[("zone", "eu-1")]), "{label}");
        }
    }
}

/// The slowest of a hundred, over changes by members of a cluster of 128.
fn tag_p99(seed: u64, loss: f64) -> Duration {
    let mut cluster = Cluster::builder().nodes(128).seed(seed).formed();
    cluster.loss(loss);
    let mut times = Vec::new();
    for n in 0..8 {
        let of = format!("n{}", 16 * n);
        cluster.edit_record(&of, merge("zone", &format!("eu-{n}")));
        times.extend(known_after(&mut cluster, &of, secs(20)));
        cluster.run_for(secs(2));
    }
    percentile(&mut times, 99)
}

#[test]
fn a_tag_change_is_seen_by_128_within_a_second() {
    for seed in seeds(3) {
        let p99 = tag_p99(seed, 0.0);
        println!("128 nodes, no loss, seed {seed}: a tag change is seen after {p99:?} (p99)");
        assert!(p99 <= secs(1), "seed {seed}: {p99:?}");
    }
}

#[test]
fn a_tag_change_is_seen_by_128_within_a_second_at_ten_percent_loss() {
    for seed in seeds(3) {
        let p99 = tag_p99(seed, 0.1);
        println!("128 nodes, 10 % loss, seed {seed}: a tag change is seen after {p99:?} (p99)");
        assert!(p99 <= secs(1), "seed {seed}: {p99:?}");
    }
}

#[test]
fn sixteen_kibibytes_reach_128_within_five_seconds_also_at_ten_percent_loss() {
    for (seed, loss) in seeds(2).flat_map(|seed| [(seed, 0.0), (seed, 0.1)]) {
        let mut cluster = Cluster::builder().nodes(128).seed(seed).formed();
        cluster.loss(loss);
        cluster.edit_record("n5", large(0));
        let mut times = known_after(&mut cluster, "n5", secs(5));
        let len = cluster.known_of("n77", "n5").encoded_len();
        let (p50, worst) = (percentile(&mut times, 50), percentile(&mut times, 100));
        println!(
            "128 nodes, {loss} lost, seed {seed}: {len} bytes known after {p50:?}, at worst {worst:?}"
        );
        assert!(len > 16_000);
    }
}

#[test]
fn a_member_that_missed_a_change_hears_of_it_by_digests() {
    for seed in seeds(3) {
        let mut cluster = Cluster::builder().nodes(8).seed(seed).formed();
        cluster.edit_record("n0", merge("zone", "eu-1"));
        known_after(&mut cluster, "n0", secs(2));
        cluster.run_for(secs(20));
        // All that is told of the change passes by n3, but not by so long that it looks dead.
        cluster.isolate("n3");
        cluster.edit_record("n0", merge("zone", "eu-2"));
        cluster.edit_record("n1", large(1));
        cluster.run_for(millis(2_500));
        assert_eq!(cluster.known_of("n3", "n0").tags["zone"], "eu-1");
        cluster.heal();
        let mut times = known_after(&mut cluster, "n0", secs(15));
        times.extend(known_after(&mut cluster, "n1", secs(15)));
        println!("seed {seed}: repaired after {:?}", percentile(&mut times, 100));
    }
}

#[test]
fn a_record_dies_with_its_member_and_returns_with_it() {
    for seed in seeds(3) {
        let mut cluster = Cluster::builder().nodes(5).seed(seed).formed();
        cluster.edit_record("n2", RecordEdit::Register(Service::new("billing", 80)));
        known_after(&mut cluster, "n2", secs(2));
        let since = cluster.now();
        cluster.isolate("n2");
        cluster.run_for(secs(40));
        for label in ["n0", "n1", "n3", "n4"] {
            assert!(cluster.known_of(label, "n2").is_empty(), "{label}");
            for (at, event) in cluster.events_of(label) {
                if let Event::Down(member) | Event::Left(member) = event
                    && *at > since
                {
                    assert!(member.record.is_empty(), "{label}: {member:?}");
                }
            }
        }
        // It changes meanwhile, unheard.
        cluster.edit_record("n2", merge("while", "away"));
        cluster.heal();
        cluster.expect_complete_within(secs(60));
        known_after(&mut cluster, "n2", secs(15));
        assert_eq!(cluster.known_of("n0", "n2").tags["while"], "away");
    }
}

#[test]
fn a_restart_replaces_what_the_session_before_said() {
    for seed in seeds(3) {
        let mut cluster = Cluster::builder().nodes(5).seed(seed).formed();
        for n in 0..5 {
            cluster.edit_record("n2", merge("run", &n.to_string()));
            cluster.run_for(secs(1));
        }
        known_after(&mut cluster, "n2", secs(2));
        // Five versions of the session before are older than the first of the next.
        cluster.setup("n2").record = Record::default().with_tags(tags(&[("zone", "eu-1")]));
        cluster.restart("n2");
        cluster.expect_complete_within(secs(60));
        known_after(&mut cluster, "n2", secs(10));
        assert_eq!(cluster.known_of("n0", "n2").tags, tags(&[("zone", "eu-1")]));

        // A process that says nothing is not taken for the one before it.
        cluster.setup("n2").record = Record::default();
        cluster.restart("n2");
        cluster.expect_complete_within(secs(60));
        known_after(&mut cluster, "n2", secs(10));
        assert!(cluster.known_of("n0", "n2").is_empty());
    }
}

#[test]
fn all_that_start_together_with_records_know_all_of_them() {
    for seed in seeds(2) {
        let mut cluster = Cluster::new(seed);
        for n in 0..64 {
            let label = format!("n{n}");
            cluster.setup(&label).record =
                Record::default().with_tags(tags(&[("number", &n.to_string())]));
            cluster.start(&label);
        }
        cluster.expect_complete_within(secs(60));
        let since = cluster.now();
        for n in 0..64 {
            known_after(&mut cluster, &format!("n{n}"), secs(5));
        }
        assert!(cluster.now() - since <= secs(5));
        println!("seed {seed}: all records are known {:?} after the views", cluster.now() - since);

        // Who comes later has them soon.
        cluster.run_for(secs(20));
        cluster.start("late");
        cluster.expect_complete_within(secs(60));
        let since = cluster.now();
        for n in 0..64 {
            known_after(&mut cluster, &format!("n{n}"), secs(5));
        }
        assert!(cluster.now() - since <= secs(5));
        println!("seed {seed}: a newcomer has them {:?} after its view", cluster.now() - since);
    }
}

#[test]
fn a_session_that_has_to_go_above_another_takes_its_record_along() {
    for seed in seeds(5) {
        let mut cluster = Cluster::builder().nodes(5).seed(seed).formed();
        cluster.edit_record("n2", merge("run", "1"));
        known_after(&mut cluster, "n2", secs(2));
        let old = cluster.session("n2");
        cluster.setup("n2").record = Record::default().with_tags(tags(&[("run", "2")]));
        cluster.setup("n2").clock_offset = -3_600;
        cluster.restart("n2");
        cluster.expect_complete_within(secs(20));
        known_after(&mut cluster, "n2", secs(10));
        assert!(cluster.session("n2") > old);
        assert_eq!(cluster.known_of("n0", "n2").tags["run"], "2");
    }
}

#[test]
fn the_longest_name_leaves_room_for_a_fragment() {
    let mut cluster = Cluster::new(1);
    for n in 0..3 {
        let name = format!("n{n}@{}", "h".repeat(252));
        cluster.setup(&format!("n{n}")).name = name.parse().expect("255 bytes");
        cluster.start(&format!("n{n}"));
    }
    cluster.expect_complete_within(secs(10));
    for n in 0..3 {
        let label = format!("n{n}");
        cluster.edit_record(&label, large(n));
        known_after(&mut cluster, &label, secs(5));
    }
}

#[test]
fn a_partition_that_heals_brings_what_changed_on_either_side() {
    for seed in seeds(3) {
        let mut cluster = Cluster::builder().nodes(10).seed(seed).formed();
        for label in cluster.running() {
            cluster.edit_record(&label, merge("side", "none"));
        }
        cluster.run_for(secs(5));
        cluster.partition(&["n0", "n1", "n2", "n3"]);
        cluster.run_for(secs(60));
        for label in cluster.running() {
            let side = if ["n0", "n1", "n2", "n3"].contains(&&*label) { "few" } else { "many" };
            cluster.edit_record(&label, merge("side", side));
        }
        cluster.run_for(secs(5));
        assert!(cluster.known_of("n9", "n0").is_empty(), "it is down");
        assert_eq!(cluster.known_of("n1", "n0").tags["side"], "few");
        cluster.heal();
        cluster.expect_complete_within(secs(120));
        let since = cluster.now();
        for label in cluster.running() {
            known_after(&mut cluster, &label, secs(15));
        }
        println!("seed {seed}: all records {:?} after all views", cluster.now() - since);
    }
}

#[test]
fn a_quick_fire_of_changes_costs_few_broadcasts() {
    let mut cluster = Cluster::builder().nodes(5).seed(1).formed();
    for n in 0..500 {
        cluster.edit_record("n0", merge("n", &n.to_string()));
        cluster.run_for(millis(2));
    }
    known_after(&mut cluster, "n0", secs(2));
    assert_eq!(cluster.known_of("n4", "n0").tags["n"], "499");
    let published = cluster.counters("n0").records_published;
    assert!((4..=7).contains(&published), "{published} in a second");

    for n in 0..500 {
        cluster.edit_record("n0", merge("n", &format!("again {n}")));
    }
    known_after(&mut cluster, "n0", secs(2));
    assert_eq!(cluster.counters("n0").records_published, published + 1, "all at one moment");
}

#[test]
fn what_is_refused_is_answered_with_the_reason_and_nobody_hears_of_it() {
    let mut cluster = Cluster::builder().nodes(3).seed(1).formed();
    let value = |_| "x".repeat(4_000);
    let tags = (0..5).map(|n| (n.to_string(), value(n))).collect();
    let request = cluster.edit_record("n0", RecordEdit::SetTags(tags));
    let paused = RecordEdit::SetStatus { name: "b".to_owned(), status: ServiceStatus::Paused };
    let other = cluster.edit_record("n0", paused);
    let answers = &cluster.record("n0").edited;
    let large =
        |error: &RecordError| matches!(error, RecordError::TooLarge { bytes } if *bytes > 20_000);
    assert!(
        matches!(&answers[0], (id, Err(error)) if *id == request && large(error)),
        "{answers:?}"
    );
    assert_eq!(answers[1], (other, Err(RecordError::NotRegistered("b".to_owned()))));
    cluster.run_for(secs(2));
    assert_eq!(cluster.counters("n0").records_published, 0);
}

#[test]
fn at_rest_records_cost_a_digest_a_second() {
    let sent = |cluster: &Cluster| -> u64 {
        let of = |label| cluster.counters(label).bytes_sent;
        cluster.running().iter().map(|label| of(label)).sum()
    };
    let mut rate = [0; 2];
    for (n, rate) in rate.iter_mut().enumerate() {
        let mut cluster = Cluster::builder().nodes(32).seed(3).formed();
        if n == 1 {
            for label in cluster.running() {
                cluster.edit_record(&label, merge("zone", "eu-1"));
            }
        }
        cluster.run_for(secs(60));
        let before = sent(&cluster);
        cluster.run_for(secs(100));
        *rate = (sent(&cluster) - before) / 32 / 100;
        for label in cluster.running() {
            let counters = cluster.counters(&label);
            assert_eq!((counters.records_refused, counters.record_fetches_dropped), (0, 0));
        }
    }
    let [without, with] = rate;
    println!("at rest: {without} bytes a second without records, {with} with");
    assert!((1..=12).contains(&(with - without)), "{without} and {with}");
}
