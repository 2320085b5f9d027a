//! Golden vectors of what is said to compare views, in `golden_sync.txt`.

use super::golden::{addr, check, hex, hold_in, sender};
use super::{Body, Kind, List, SyncBody, SyncNext, SyncPage, Update, attach_view_digest, parse};
use crate::envelope::HEADER_LEN;
use crate::identity::NameHash;
use crate::names::Names;
use crate::sync::digest::{BUCKETS, Sums};
use crate::{Endpoints, Life, NodeName, Session};

const FIXTURE: &str = include_str!("golden_sync.txt");

fn hold(name: &str, body: SyncBody) {
    hold_in(FIXTURE, name, &sender(), &Body::Sync(body));
}

fn row(name: &str, incarnation: u16, state: u8) -> Update {
    Update {
        name: NodeName::parse(name).expect("valid"),
        endpoints: Endpoints::one(addr("10.0.0.2:4747")),
        session: Session::from_u64(0x5152_5354_5556_5758),
        life: Life(1),
        incarnation,
        state,
    }
}

#[test]
fn digest() {
    let digest = Some(0x0102_0304_0506_0708);
    hold("sync: digest", SyncBody { digest, ..SyncBody::default() });
}

#[test]
fn a_view_digest_rides_on_a_swim_datagram_and_nowhere_else() {
    let riding = |body: Body<'_>, kind| {
        let mut datagram = crate::envelope::start();
        body.append_to(&sender(), &mut datagram);
        assert!(attach_view_digest(0x0102_0304_0506_0708, &mut datagram));
        let parsed = parse(kind, &datagram[HEADER_LEN..], &Names::default()).expect("well formed");
        (parsed.view_digest, parsed.record_digest, parsed.unknown_sections, datagram)
    };
    let (view, record, unknown, datagram) = riding(Body::Swim(&[5, 0, 0, 9]), Kind::Swim);
    assert_eq!((view, record, unknown), (Some(0x0102_0304_0506_0708), None, 0));
    check(FIXTURE, "digest on a swim datagram", &hex(&datagram[datagram.len() - 11..]));
    let (view, _, unknown, _) = riding(Body::Leaving, Kind::Leaving);
    assert_eq!((view, unknown), (None, 1));
}

#[test]
fn sums_and_next() {
    let mut buckets = [0; BUCKETS];
    (buckets[0], buckets[63]) = (1, u64::MAX);
    let sums = Sums::from(buckets);
    let next = Some(SyncNext { buckets: 1 << 63 | 1, above: [0xab; 16] });
    hold(
        "sync: sums and next",
        SyncBody { sums: Some(Box::new(sums)), next, ..SyncBody::default() },
    );
}

#[test]
fn page() {
    let page = Some(SyncPage {
        life: Life(2),
        buckets: 1 << 63 | 1,
        above: Some([1; 16]),
        up_to: [0xff; 16],
        complete: true,
        more: false,
        rows: List(vec![row("n2@host", 3, 0), row("n3@host", u16::MAX, 2)]),
    });
    hold("sync: page", SyncBody { page, ..SyncBody::default() });
}

/// The marks of which sums are made, and the total, are part of the protocol.
#[test]
fn marks() {
    let mut sums = Sums::default();
    let hash = NameHash::of(&NodeName::parse("n2@host").expect("valid"));
    sums.add(hash, (Session::from_u64(0x5152_5354_5556_5758), Life(1)));
    let at = sums.buckets().iter().position(|&sum| sum != 0).expect("one is not zero");
    check(FIXTURE, "marks", &format!("{at} {:016x} {:016x}", sums.buckets()[at], sums.total()));
}

#[test]
fn a_page_with_a_row_that_no_member_can_have_is_malformed() {
    for bad in
        [row("n2@host", 0, 3), Update { endpoints: Endpoints::default(), ..row("n2@host", 0, 0) }]
    {
        let page = SyncPage {
            life: Life(0),
            buckets: 0,
            above: None,
            up_to: [0; 16],
            complete: false,
            more: false,
            rows: List(vec![bad]),
        };
        let body = Body::Sync(SyncBody { page: Some(page), ..SyncBody::default() });
        let mut datagram = Vec::new();
        body.append_to(&sender(), &mut datagram);
        assert!(parse(Kind::Sync, &datagram, &Names::default()).is_err());
    }
}
