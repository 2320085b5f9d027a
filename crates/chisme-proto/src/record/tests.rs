//! Whatever comes, in whatever order: what is put together is what was published.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::digest::{BUCKETS, Summary, bucket};
use super::fetch::{ASK_AGAIN, Begin, Fetches, MAX_FETCHES, MAX_LARGE_FETCHES, Put};
use super::rumours::{MAX_RUMOURS, Rumours};
use super::{FRAGMENT_BYTES, Published, Stamp, fragments};
use crate::identity::NameHash;
use crate::swim::{Id, Index};
use crate::wire::{record_from_bytes, record_to_bytes};
use crate::{
    Instant, Life, MAX_KEY_BYTES, MAX_RECORD_BYTES, MAX_VALUE_BYTES, Record, RecordEdit,
    RecordError, Service, ServiceStatus, Session,
};

fn hash(n: u128) -> NameHash {
    NameHash::from_bytes(n.to_be_bytes())
}

fn member(n: u32) -> Id {
    Id::new((Session::from_u64(1), Life(0)), Index::first(n))
}

const fn stamp(session: u64, version: u64) -> Stamp {
    Stamp { session: Session::from_u64(session), version }
}

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn published(len: usize) -> Published {
    let encoded = (0..len).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    Published { stamp: stamp(7, 3), record: Record::nothing(), encoded }
}

fn tag(key: &str, value: &str) -> BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

fn a_map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-z0-9_.-]{1,20}", ".{0,40}", 0..6)
}

fn a_record() -> impl Strategy<Value = Record> {
    let status = prop_oneof![
        Just(ServiceStatus::Starting),
        Just(ServiceStatus::Running),
        Just(ServiceStatus::Draining),
        Just(ServiceStatus::Paused),
    ];
    let service = ("[a-z]{1,9}", ".{0,9}", any::<(u16, u16)>(), status, a_map()).prop_map(
        |(name, version, (port, weight), status, metadata)| {
            let service = Service::new(&name, port).version(&version).status(status).weight(weight);
            Service { metadata, ..service }
        },
    );
    (a_map(), vec(service, 0..4)).prop_map(|(tags, services)| {
        services.into_iter().fold(Record::default().with_tags(tags), Record::with_service)
    })
}

proptest! {
    #[test]
    fn what_was_encoded_reads_back(record in a_record()) {
        assert_eq!(record.check(), Ok(()));
        let bytes = record_to_bytes(&record);
        assert_eq!(bytes.len(), record.encoded_len());
        assert_eq!(record_from_bytes(&bytes), Ok(record));
    }

    #[test]
    fn random_bytes_are_a_record_within_its_limits_or_none(bytes in vec(any::<u8>(), 0..600)) {
        if let Ok(record) = record_from_bytes(&bytes) {
            assert_eq!(record.check(), Ok(()));
            assert!(record.encoded_len() <= bytes.len());
        }
    }

    /// A damaged record is another record or none.
    #[test]
    fn a_damaged_record_keeps_the_limits_or_is_none(
        record in a_record(),
        damage in vec((any::<usize>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = record_to_bytes(&record);
        for (at, mask) in damage {
            let at = at % bytes.len();
            bytes[at] ^= mask;
        }
        if let Ok(record) = record_from_bytes(&bytes) {
            assert_eq!(record.check(), Ok(()));
        }
    }

    /// Any order of fragments, any of them lost or twice: after each round what is missing is asked for,
    /// and what comes out is what was published.
    #[test]
    fn any_order_and_loss_of_fragments_ends_in_the_same_record(
        len in 1..=MAX_RECORD_BYTES,
        fates in vec((any::<u32>(), 0_u8..3), 400),
    ) {
        let published = published(len);
        let (whose, len) = (hash(9), published.len());
        let mut fetches = Fetches::default();
        let Begin::Ask(mut wanted) =
            fetches.begin((whose, published.stamp, len), member(1), true, at(0))
        else {
            panic!("there is room");
        };
        let mut fates = fates.into_iter().cycle();
        let mut whole = None;
        for round in 1.. {
            assert!(round < 100, "it never ends");
            let asked = (0..fragments(len)).filter(|n| wanted.missing >> n & 1 == 1);
            let mut coming: Vec<(u32, u8)> = Vec::new();
            for index in asked {
                let (order, copies) = fates.next().expect("a cycle");
                coming.extend((0..copies).map(|copy| (order.wrapping_mul(copy.into()), index)));
            }
            coming.sort_unstable();
            for (_, index) in coming {
                let bytes = published.fragment(index).expect("it was asked for");
                // One that is too short, or of another version, changes nothing.
                let wrong = &bytes[..bytes.len() - 1];
                let now = at(1_000 * round);
                assert_eq!(fetches.put(whose, published.stamp, len, index, wrong, now), Put::Useless);
                assert_eq!(fetches.put(whose, stamp(7, 2), len, index, bytes, now), Put::Useless);
                match fetches.put(whose, published.stamp, len, index, bytes, now) {
                    Put::Whole { bytes, spread } => {
                        assert!(spread);
                        whole = Some(bytes);
                    }
                    Put::Taken | Put::Useless => {}
                }
            }
            if whole.is_some() {
                break;
            }
            let (again, given_up) = fetches.overdue(at(1_000 * round) + ASK_AGAIN);
            if given_up > 0 {
                // By chance nothing came eight times in a row.
                return Ok(());
            }
            wanted = again[0];
        }
        assert_eq!(whole.as_deref(), Some(&*published.encoded));
        assert!(fetches.is_empty());
    }

    #[test]
    fn the_order_of_records_does_not_change_a_digest_but_every_version_does(
        records in btree_map(any::<u128>(), (1..u64::MAX, 1..u64::MAX), 1..20),
        which in any::<usize>(),
    ) {
        let all: Vec<(NameHash, Stamp)> =
            records.iter().map(|(&h, &(session, version))| (hash(h), stamp(session, version))).collect();
        let sum = |list: &mut dyn Iterator<Item = (NameHash, Stamp)>| {
            let mut summary = Summary::default();
            list.for_each(|(hash, stamp)| summary.add(hash, stamp));
            summary
        };
        let (forth, back) = (sum(&mut all.iter().copied()), sum(&mut all.iter().rev().copied()));
        assert_eq!(forth, back);
        let n = which % all.len();
        let mut changed = all.clone();
        changed[n].1.version += 1;
        let other = sum(&mut changed.into_iter());
        assert_eq!(forth.differences(&other), 1 << bucket(all[n].0));
        assert_ne!(forth.total(), other.total());
        assert!(all.iter().all(|(hash, _)| bucket(*hash) < BUCKETS));
    }
}

#[test]
fn fragments_are_all_of_a_record_and_nothing_else() {
    for len in [0, 1, FRAGMENT_BYTES, FRAGMENT_BYTES + 1, MAX_RECORD_BYTES] {
        let published = published(len);
        let pieces = fragments(published.len());
        let whole: Vec<u8> =
            (0..pieces).flat_map(|n| published.fragment(n).expect("within").to_vec()).collect();
        assert_eq!(*whole, *published.encoded);
        assert_eq!(published.fragment(pieces), None);
    }
    // The bits of a question are 32.
    assert_eq!(fragments(u16::try_from(MAX_RECORD_BYTES).expect("fits")), 22);
}

#[test]
fn those_who_have_a_record_are_asked_in_turn_and_not_for_ever() {
    let mut fetches = Fetches::default();
    let begin = |fetches: &mut Fetches, from| {
        fetches.begin((hash(9), stamp(1, 1), 900), member(from), false, at(0))
    };
    assert!(matches!(begin(&mut fetches, 1), Begin::Ask(wanted) if wanted.missing == 0b11));
    assert_eq!(begin(&mut fetches, 2), Begin::UnderWay);
    assert_eq!(fetches.overdue(at(199)), (vec![], 0), "not yet");
    let mut asked = Vec::new();
    for round in 1.. {
        let (again, given_up) = fetches.overdue(at(200 * round));
        if given_up == 1 {
            break;
        }
        asked.push(again[0].of.index.place());
    }
    assert_eq!(asked, [2, 1, 2, 1, 2, 1, 2]);
    assert!(fetches.is_empty());
}

#[test]
fn a_newer_version_takes_the_place_of_the_one_that_is_fetched() {
    let mut fetches = Fetches::default();
    let (old, new) = (published(900), published(900).encoded);
    fetches.begin((hash(9), stamp(1, 1), 900), member(1), false, at(0));
    assert!(matches!(
        fetches.begin((hash(9), stamp(1, 2), 900), member(1), false, at(0)),
        Begin::Ask(_)
    ));
    assert_eq!(
        fetches.begin((hash(9), stamp(1, 1), 900), member(1), false, at(0)),
        Begin::UnderWay,
        "an older one is no news"
    );
    let first = old.fragment(0).expect("there");
    assert_eq!(fetches.put(hash(9), stamp(1, 1), 900, 0, first, at(0)), Put::Useless);
    assert_eq!(
        fetches.put(hash(9), stamp(1, 2), 900, 0, &new[..FRAGMENT_BYTES], at(0)),
        Put::Taken
    );
}

#[test]
fn what_is_fetched_at_one_time_is_bounded() {
    let mut fetches = Fetches::default();
    let mut asked = |n: usize, len| {
        let begun = fetches.begin((hash(n as u128), stamp(1, 1), len), member(1), false, at(0));
        matches!(begun, Begin::Ask(_))
    };
    assert_eq!((0..100).filter(|&n| asked(n, 16_000)).count(), MAX_LARGE_FETCHES);
    assert_eq!((100..500).filter(|&n| asked(n, 10)).count(), MAX_FETCHES - MAX_LARGE_FETCHES);
}

#[test]
fn what_was_told_least_is_told_first_and_nothing_more_often_than_asked_for() {
    let mut rumours = Rumours::default();
    assert!(rumours.start(hash(1), 2) && rumours.start(hash(2), 3));
    assert_eq!(rumours.due(), [hash(2), hash(1)]);
    rumours.told(hash(2));
    rumours.told(hash(2));
    assert_eq!(rumours.due(), [hash(1), hash(2)]);
    for _ in 0..2 {
        rumours.told(hash(1));
    }
    rumours.told(hash(2));
    assert!(rumours.is_empty());
    assert_eq!((0..2_000).filter(|&n| rumours.start(hash(n), 1)).count(), MAX_RUMOURS);
    assert!(rumours.start(hash(5), 1), "what is told already needs no room");
}

#[test]
fn limits_are_told_with_what_broke_them() {
    let check = |record: Record| record.check().expect_err("too much").to_string();
    let tags = |map| Record::default().with_tags(map);
    let service = |service: Service| Record::default().with_service(service);
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    assert!(check(tags(tag("", "x"))).contains("a tag may not be empty"));
    assert!(check(tags(tag(&long, "x"))).contains("128 bytes, this one has 129"));
    assert!(check(tags(tag("a=b", "x"))).contains("\"a=b\" is no tag: '='"));
    let value = "v".repeat(MAX_VALUE_BYTES + 1);
    assert!(check(tags(tag("a", &value))).contains("a value may have 4096 bytes"));
    assert!(
        check(service(Service::new("b c", 1))).contains("\"b c\" is no name of a service: ' '")
    );
    let version = Service::new("b", 1).version(&"1".repeat(129));
    assert!(check(service(version)).contains("version of a service"));
    assert!(check(service(Service::new("b", 1).metadata("x\n", ""))).contains("metadata key"));

    let many = (0..5).map(|n| (n.to_string(), "v".repeat(4_000))).collect();
    let error = Record::default().edited(RecordEdit::SetTags(many)).expect_err("too long");
    assert!(matches!(error, RecordError::TooLarge { bytes } if bytes > 20_000), "{error}");
    assert!(error.to_string().contains(&MAX_RECORD_BYTES.to_string()));
}

#[test]
fn edits_change_what_they_name_and_nothing_else() {
    let record = Record::default().with_tags(tag("a", "1"));
    let edited = |edit| record.edited(edit);
    assert_eq!(edited(RecordEdit::MergeTags(tag("b", "2"))).expect("fine").tags.len(), 2);
    assert_eq!(edited(RecordEdit::SetTags(tag("b", "2"))).expect("fine").tags, tag("b", "2"));
    let gone = edited(RecordEdit::RemoveTags(vec!["a".to_owned(), "z".to_owned()]));
    assert!(gone.expect("fine").is_empty());
    let with = edited(RecordEdit::Register(Service::new("b", 1))).expect("fine");
    let again = RecordEdit::Register(Service::new("b", 2));
    assert_eq!(with.edited(again), Err(RecordError::AlreadyRegistered("b".to_owned())));
    let put = with.edited(RecordEdit::Put(Service::new("b", 2))).expect("fine");
    assert_eq!((put.services["b"].port, put.tags.len()), (2, 1));
    let status = RecordEdit::SetStatus { name: "b".to_owned(), status: ServiceStatus::Paused };
    assert_eq!(
        put.edited(status.clone()).expect("fine").services["b"].status,
        ServiceStatus::Paused
    );
    assert_eq!(record.edited(status), Err(RecordError::NotRegistered("b".to_owned())));
    assert_eq!(put.edited(RecordEdit::Deregister("b".to_owned())), Ok(record.clone()));
    assert!("up".parse::<ServiceStatus>().is_err());
}
