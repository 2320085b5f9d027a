//! Whatever bytes come in by which views are compared: nothing panics, and what was written reads back.

use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop, proptest};
use proptest::sample::Index;

use super::golden::{addr, sender};
use super::{Body, Kind, List, SyncBody, SyncNext, SyncPage, Update, parse};
use crate::names::Names;
use crate::sync::digest::{BUCKETS, Sums};
use crate::{Endpoints, Life, NodeName, Session};

fn a_row() -> impl Strategy<Value = Update> {
    ("[a-z0-9]{1,20}@[a-z0-9]{1,20}", any::<(u64, u16, u16)>(), 0..3_u8, 1..u16::MAX).prop_map(
        |(name, (session, life, incarnation), state, port)| {
            let mut at = addr("10.0.0.2:1");
            at.set_port(port);
            Update {
                name: NodeName::parse(&name).expect("valid"),
                endpoints: Endpoints::one(at),
                session: Session::from_u64(session),
                life: Life(life),
                incarnation,
                state,
            }
        },
    )
}

fn a_page() -> impl Strategy<Value = SyncPage> {
    let range = (any::<u64>(), option::of(uniform16(any::<u8>())), uniform16(any::<u8>()));
    (any::<(u16, bool, bool)>(), range, vec(a_row(), 0..6)).prop_map(
        |((life, complete, more), (buckets, above, up_to), rows)| {
            let (life, rows) = (Life(life), List(rows));
            SyncPage { life, buckets, above, up_to, complete, more, rows }
        },
    )
}

fn a_body() -> impl Strategy<Value = SyncBody> {
    let sums = option::of(vec(any::<u64>(), BUCKETS));
    let next = option::of((any::<u64>(), uniform16(any::<u8>())));
    (any::<u64>(), sums, option::of(a_page()), next).prop_map(|(digest, sums, page, next)| {
        SyncBody {
            digest: Some(digest),
            sums: sums.map(|sums: Vec<u64>| {
                let buckets: [u64; BUCKETS] = sums.try_into().expect("as many");
                Box::new(Sums::from(buckets))
            }),
            page,
            next: next.map(|(buckets, above)| SyncNext { buckets, above }),
        }
    })
}

fn written(body: &SyncBody) -> Vec<u8> {
    let mut datagram = Vec::new();
    Body::Sync(body.clone()).append_to(&sender(), &mut datagram);
    datagram
}

proptest! {
    #[test]
    fn what_was_written_reads_back(body in a_body()) {
        let datagram = written(&body);
        let parsed = parse(Kind::Sync, &datagram, &Names::default()).expect("well formed");
        assert_eq!(parsed.body, Body::Sync(body));
        assert_eq!(parsed.unknown_sections, 0);
    }

    #[test]
    fn what_was_damaged_is_read_as_anything(
        body in a_body(),
        damage in vec((any::<Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut datagram = written(&body);
        for (at, byte) in damage {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        if let Some(cut) = cut {
            datagram.truncate(cut.index(datagram.len()));
        }
        if let Ok(parsed) = parse(Kind::Sync, &datagram, &Names::default())
            && let Body::Sync(SyncBody { page: Some(page), .. }) = parsed.body
        {
            // A claimed length that is not there costs no memory.
            assert!(page.rows.0.len() * 22 <= datagram.len());
            assert!(page.rows.0.iter().all(Update::is_sound));
        }
    }
}
