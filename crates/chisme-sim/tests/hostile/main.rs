//! A member that has the key and has gone mad: whatever it sends, nobody falls over, and when it is
//! silent again the views of the others become whole.

mod accusations;
mod madman;

use chisme_proto::Rejection;
use chisme_sim::{Cluster, Datagram, millis, secs, seeds};
use madman::{Madman, section, sections, with_madman};
use rand::seq::IndexedRandom;
use sha2::{Digest as _, Sha256};

#[test]
fn what_is_forged_by_the_book_is_accepted() {
    let (mut cluster, mut madman, tape) = with_madman(1);
    let target = cluster.address("n0");
    let session = cluster.session("n0").to_u64().to_be_bytes();
    let model = tape.iter().rev().find(|d| d.to == target && d.bytes[14..22] == session);
    let sender = madman.sender.clone();
    let kind_leaving_ack = 10;
    let before = cluster.counters("n0");
    let forged = madman.seal(kind_leaving_ack, &model.expect("one").bytes[14..22], &sender);
    cluster.inject(madman.from, "n0", &forged);
    cluster.run_for(millis(3));
    let after = cluster.counters("n0");
    let rejected = |c: &chisme_proto::Counters| c.rejections().map(|(_, n)| n).sum::<u64>();
    assert_eq!(rejected(&before), rejected(&after), "{after:?}");
    assert!(after.datagrams_accepted > before.datagrams_accepted);
}

#[test]
fn what_cannot_be_read_is_counted_once() {
    let (mut cluster, mut madman, tape) = with_madman(1);
    let target = cluster.address("n0");
    let model = tape.iter().rev().find(|d| d.to == target && d.bytes[1] == 6).expect("one");
    let mut body = madman.sender.clone();
    body.extend_from_slice(&[7, 0, 1, 255]);
    let forged = madman.seal(6, &model.bytes[14..22], &body);
    let counted = |cluster: &Cluster| {
        let c = cluster.counters("n0");
        let rejected = c.rejections().map(|(_, n)| n).sum::<u64>();
        (c.rejected(Rejection::Malformed), c.datagrams_received - c.datagrams_accepted - rejected)
    };
    let (malformed, uncounted) = counted(&cluster);
    cluster.inject(madman.from, "n0", &forged);
    cluster.run_for(millis(3));
    assert_eq!(counted(&cluster), (malformed + 1, uncounted));
}

#[test]
fn nobody_falls_over_and_the_views_become_whole_again() {
    for seed in seeds(100) {
        let (mut cluster, mut madman, tape) = with_madman(seed);
        cluster.crash("mad");
        for round in 0..3_000 {
            // A member that claims the name of another may stop it: whoever has the key is trusted.
            let running = cluster.running();
            let Some(label) = running.choose(&mut madman.rng).cloned() else { break };
            let (to, session) = (cluster.address(&label), cluster.session(&label));
            let wanted = session.to_u64().to_be_bytes();
            let models: Vec<&Datagram> =
                tape.iter().filter(|d| d.to == to && d.bytes[14..22] == wanted).collect();
            let Some(&model) = models.choose(&mut madman.rng) else { continue };
            let forged = madman.forge(model);
            cluster.inject(madman.from, &label, &forged);
            if round % 4 == 0 {
                cluster.run_for(millis(25));
            }
        }
        // What it sent last is still on its way, and may bring somebody up who never was.
        cluster.run_for(millis(100));
        let alive = cluster.running();
        cluster.expect_complete_within(secs(300));
        let since = cluster.now();
        cluster.run_for(secs(60));
        cluster.assert_complete();
        cluster.assert_quiet(since, &[]);
        assert_eq!(cluster.running(), alive);
    }
}

/// How many datagrams of kind Record `n0` has sent to the madman since `from`.
fn records_drawn(cluster: &Cluster, from: usize, madman: &Madman) -> usize {
    let of_n0 = cluster.address("n0");
    let drawn = cluster.recorded()[from..].iter();
    drawn.filter(|d| d.from == of_n0 && d.to == madman.from && d.bytes[1] == RECORD).count()
}

/// A question for five of the six fragments that the record of n4 has.
fn ask_for_n4(cluster: &Cluster) -> Vec<u8> {
    let mut ask = vec![1];
    ask.extend_from_slice(&Sha256::digest("n4@sim")[..16]);
    ask.extend_from_slice(&cluster.session("n4").to_u64().to_be_bytes());
    ask.extend_from_slice(&[1, 0x1f]);
    ask
}

const SWIM: u8 = 6;
const RECORD: u8 = 0x60;
const DIGEST: u8 = 0x60;
const BUCKETS: u8 = 0x61;
const PAGE: u8 = 0x62;
const NEWS: u8 = 0x63;
const ASKS: u8 = 0x65;

#[test]
fn who_asks_too_much_about_records_is_slowed() {
    let (mut cluster, mut madman, _) = with_madman(1);
    cluster.freeze("mad");
    let receiver = cluster.session("n0").to_u64().to_be_bytes();
    // Fragments of the large record of n4: once, and then a hundred times at one moment.
    let ask = ask_for_n4(&cluster);
    let mut flood = |cluster: &mut Cluster, section: &[u8], times: usize| {
        let from = cluster.recorded().len();
        for _ in 0..times {
            let body = [madman.sender.clone(), section.to_vec()].concat();
            let forged = madman.seal(RECORD, &receiver, &body);
            cluster.inject(madman.from, "n0", &forged);
        }
        cluster.run_for(millis(10));
        records_drawn(cluster, from, &madman)
    };
    assert_eq!(flood(&mut cluster, &section(ASKS, &ask), 1), 5, "five of its six fragments");
    let drawn = flood(&mut cluster, &section(ASKS, &ask), 100);
    assert!((1..=140).contains(&drawn), "{drawn} fragments");
    let limited = cluster.counters("n0").record_fragments_limited;
    assert!(limited > 300, "{limited} kept back, {drawn} sent");

    let drawn = flood(&mut cluster, &section(BUCKETS, &[7; 128]), 200);
    assert!((1..=45).contains(&drawn), "{drawn} pages");
}

#[test]
fn who_lists_nothing_is_told_what_there_is() {
    let (mut cluster, mut madman, _) = with_madman(1);
    cluster.freeze("mad");
    let receiver = cluster.session("n0").to_u64().to_be_bytes();
    let told = |cluster: &mut Cluster, madman: &mut Madman, buckets: &[u8]| {
        let from = cluster.recorded().len();
        // In these buckets, up to the highest name hash, it has nothing.
        let page = [buckets, &[0], &[0xff; 16], &[0]].concat();
        let body = [madman.sender.clone(), section(PAGE, &page)].concat();
        let forged = madman.seal(RECORD, &receiver, &body);
        cluster.inject(madman.from, "n0", &forged);
        cluster.run_for(millis(5));
        let mut drawn = cluster.recorded()[from..].iter().filter(|d| d.to == madman.from);
        drawn.any(|d| sections(d)[1][0] == NEWS)
    };
    assert!(told(&mut cluster, &mut madman, &[251, 0xff, 0xff]));
    assert!(!told(&mut cluster, &mut madman, &[0]), "it speaks of no bucket");
}

/// How often n0 compares in two seconds, in which another shows it a digest that differs eight
/// times; and asks it for something each time, or does not.
fn comparisons(asks: bool) -> u64 {
    let (mut cluster, mut madman, _) = with_madman(1);
    cluster.run_for(secs(15));
    let receiver = cluster.session("n0").to_u64().to_be_bytes();
    let ask = ask_for_n4(&cluster);
    let before = cluster.counters("n0").record_comparisons;
    for _ in 0..8 {
        let gossip = [section(7, &[0, 0, 8]), section(DIGEST, &[7; 8])].concat();
        let forged = madman.seal(SWIM, &receiver, &[madman.sender.clone(), gossip].concat());
        cluster.inject(madman.from, "n0", &forged);
        if asks {
            let body = [madman.sender.clone(), section(ASKS, &ask)].concat();
            let forged = madman.seal(RECORD, &receiver, &body);
            cluster.inject(madman.from, "n0", &forged);
        }
        cluster.run_for(millis(260));
    }
    cluster.counters("n0").record_comparisons - before
}

#[test]
fn comparisons_that_bring_nothing_become_rare_and_those_that_help_do_not() {
    let (in_vain, of_use) = (comparisons(false), comparisons(true));
    assert!((1..=5).contains(&in_vain), "{in_vain} in vain");
    assert!((7..=9).contains(&of_use), "{of_use} of use");
}
