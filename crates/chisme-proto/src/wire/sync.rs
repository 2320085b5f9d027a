//! The payloads of the sections by which two nodes compare their views.

use bincode::{BorrowDecode, Decode, Encode};

use super::codec::{List, Malformed};
use super::sections::Update;
use crate::Life;
use crate::sync::digest::{BUCKETS, BucketSet, Sums};

/// Part of what the sender knows of some buckets, above one name hash and up to another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "crate::names::Names")]
pub(crate) struct SyncPage {
    /// The life of the receiver that it is meant for.
    pub(crate) life: Life,
    pub(crate) buckets: BucketSet,
    pub(crate) above: Option<[u8; 16]>,
    pub(crate) up_to: [u8; 16],
    /// Whether that is all that the sender knows there, so that it lacks what is missing here.
    pub(crate) complete: bool,
    /// Whether the sender waits to be asked for what comes after it.
    pub(crate) more: bool,
    pub(crate) rows: List<Update>,
}

/// "Go on above this one."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SyncNext {
    pub(crate) buckets: BucketSet,
    pub(crate) above: [u8; 16],
}

/// What a datagram of kind Sync says; at least one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncBody {
    pub(crate) digest: Option<u64>,
    pub(crate) sums: Option<Box<Sums>>,
    pub(crate) page: Option<SyncPage>,
    pub(crate) next: Option<SyncNext>,
}

impl SyncBody {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether every row is one that a rumour could be.
    pub(crate) fn is_sound(&self) -> bool {
        let mut rows = self.page.iter().flat_map(|page| &page.rows.0);
        rows.all(Update::is_sound)
    }
}

pub(super) fn sums_to_bytes(sums: &Sums) -> Vec<u8> {
    sums.buckets().iter().flat_map(|sum| sum.to_be_bytes()).collect()
}

pub(super) fn sums_from_bytes(bytes: &[u8]) -> Result<Sums, Malformed> {
    if bytes.len() != BUCKETS * size_of::<u64>() {
        return Err(Malformed);
    }
    let mut buckets = [0; BUCKETS];
    for (sum, bytes) in buckets.iter_mut().zip(bytes.chunks_exact(size_of::<u64>())) {
        *sum = u64::from_be_bytes(bytes.try_into().expect("chunks of eight"));
    }
    Ok(buckets.into())
}
