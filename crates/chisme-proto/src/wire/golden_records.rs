//! Golden vectors of what is said about records, in `golden_records.txt`.

use super::golden::{check, hex, hold_in, sender};
use super::{
    Body, Kind, List, RecordAsk, RecordBody, RecordKey, RecordNews, RecordPage, RecordPart,
    RecordRow, attach_record_digest, parse, record_from_bytes, record_to_bytes,
};
use crate::names::Names;
use crate::record::digest::Summary;
use crate::{Record, Service, ServiceStatus, Session};

const FIXTURE: &str = include_str!("golden_records.txt");

fn row(first: u8, version: u64, len: u16) -> RecordRow {
    let mut hash = [0x77; 16];
    hash[0] = first;
    let session = Session::from_u64(0x5152_5354_5556_5758);
    RecordRow { key: RecordKey { hash, session, version }, len }
}

fn hold(name: &str, body: RecordBody) {
    hold_in(FIXTURE, name, &sender(), &Body::Record(body));
}

#[test]
fn the_content_of_a_record() {
    let tags = [("zone".to_owned(), "eu-1".to_owned())].into();
    let billing = Service::new("billing", 8080)
        .version("2.3")
        .status(ServiceStatus::Draining)
        .weight(7)
        .metadata("proto", "grpc");
    let record = Record::default().with_tags(tags).with_service(billing);
    let bytes = record_to_bytes(&record);
    check(FIXTURE, "content", &hex(&bytes));
    assert_eq!(record_from_bytes(&bytes), Ok(record.clone()));
    // A later version may append to it, and have a status that is not routed to here.
    let mut longer = bytes.clone();
    longer.push(9);
    assert_eq!(record_from_bytes(&longer), Ok(record));
    let status = bytes.iter().rposition(|&byte| byte == 2).expect("draining");
    longer[status] = 200;
    let read = record_from_bytes(&longer).expect("a record");
    assert_eq!(read.services["billing"].status, ServiceStatus::Paused);
}

#[test]
fn parts() {
    let parts = List(vec![RecordPart { row: row(1, 300, 3), index: 0, bytes: vec![1, 2, 3] }]);
    hold("record: parts", RecordBody { parts, ..RecordBody::default() });
}

#[test]
fn news_and_asks() {
    let news = Some(RecordNews { spread: true, rows: List(vec![row(1, 2, 16_000)]) });
    let asks = List(vec![RecordAsk { key: row(2, 1, 0).key, missing: 0x1f_ffff }]);
    hold("record: news and asks", RecordBody { news, asks, ..RecordBody::default() });
}

#[test]
fn buckets() {
    let mut sums = [0; 16];
    (sums[0], sums[15]) = (1, u64::MAX);
    hold("record: buckets", RecordBody { buckets: Some(Summary(sums)), ..RecordBody::default() });
}

#[test]
fn a_page() {
    let rows = List(vec![row(0x10, 2, 40), row(0x12, 5, 900)]);
    let page = RecordPage { buckets: 2, above: Some([0x0f; 16]), up_to: [0x12; 16], rows };
    hold("record: page", RecordBody { page: Some(page), ..RecordBody::default() });
}

#[test]
fn a_digest_rides_on_a_swim_datagram_and_nowhere_else() {
    let mut datagram = crate::envelope::start();
    Body::Swim(&[5, 0, 0, 9]).append_to(&sender(), &mut datagram);
    assert!(attach_record_digest(0x0102_0304_0506_0708, &mut datagram));
    let parsed = parse(Kind::Swim, &datagram[30..], &Names::default()).expect("well formed");
    assert_eq!((parsed.record_digest, parsed.unknown_sections), (Some(0x0102_0304_0506_0708), 0));
    check(FIXTURE, "digest", &hex(&datagram[datagram.len() - 11..]));
    datagram.resize(1_232 - 16 - 10, 0);
    assert!(!attach_record_digest(1, &mut datagram), "there is no room for it");

    let mut datagram = crate::envelope::start();
    Body::Leaving.append_to(&sender(), &mut datagram);
    assert!(attach_record_digest(1, &mut datagram));
    let parsed = parse(Kind::Leaving, &datagram[30..], &Names::default()).expect("well formed");
    assert_eq!((parsed.record_digest, parsed.unknown_sections), (None, 1));
}

#[test]
fn numbers_that_do_not_fit_each_other_are_malformed() {
    let bad = [
        RecordBody::default(),
        RecordBody {
            parts: List(vec![RecordPart { row: row(1, 1, 16_385), index: 0, bytes: vec![] }]),
            ..RecordBody::default()
        },
        RecordBody {
            parts: List(vec![RecordPart { row: row(1, 1, 768), index: 1, bytes: vec![] }]),
            ..RecordBody::default()
        },
        RecordBody {
            news: Some(RecordNews { spread: true, rows: List(vec![row(1, 1, u16::MAX)]) }),
            ..RecordBody::default()
        },
    ];
    for body in bad {
        let mut datagram = crate::envelope::start();
        Body::Record(body).append_to(&sender(), &mut datagram);
        assert!(parse(Kind::Record, &datagram[30..], &Names::default()).is_err());
    }
}

/// What a datagram holds on the wire is read, however much room it takes in memory.
#[test]
fn a_datagram_full_of_small_parts_is_read() {
    let part = |n| RecordPart { row: row(n, 1, 1), index: 0, bytes: vec![n] };
    let parts = List((0..38).map(part).collect());
    let mut datagram = crate::envelope::start();
    let body = Body::Record(RecordBody { parts, ..RecordBody::default() });
    body.append_to(&sender(), &mut datagram);
    assert!((1_100..=1_216).contains(&datagram.len()), "{}", datagram.len());
    assert_eq!(
        parse(Kind::Record, &datagram[30..], &Names::default()).expect("well formed").body,
        body
    );
}

#[test]
fn a_record_of_many_small_tags_is_read() {
    let tags = (0..2_500).map(|n| (format!("{n:x}"), String::new())).collect();
    let record = Record::default().with_tags(tags);
    assert_eq!(record.check(), Ok(()));
    assert!(record_from_bytes(&record_to_bytes(&record)) == Ok(record), "it is another");
}
