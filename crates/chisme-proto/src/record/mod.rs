//! What a member says of itself: tags and services, and the limits that hold for them.
//!
//! `content` is the record and how it is changed. `digest`, `rumours` and `fetch` are the parts from
//! which `node::records` spreads it: which versions are known, what is still told to others, and what
//! is put together from fragments. Nothing here knows a datagram, a member table or a clock's rate.

mod content;
pub(crate) mod digest;
pub(crate) mod fetch;
pub(crate) mod rumours;
#[cfg(test)]
mod tests;

pub use content::{
    MAX_KEY_BYTES, MAX_RECORD_BYTES, MAX_SERVICE_NAME_BYTES, MAX_SERVICE_VERSION_BYTES,
    MAX_VALUE_BYTES, Record, RecordEdit, RecordError, Service, ServiceStatus,
};

use std::sync::Arc;

use crate::Session;

/// The longest record, or fragment of one, that travels in one piece: with it, the longest sender
/// and the envelope fill a datagram.
pub(crate) const FRAGMENT_BYTES: usize = 768;

/// What newer is measured by: the session, then the version, which grows within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) session: Session,
    pub(crate) version: u64,
}

/// A record as its owner published it, and the bytes that are handed on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) stamp: Stamp,
    pub(crate) record: Arc<Record>,
    pub(crate) encoded: Box<[u8]>,
}

impl Published {
    /// How long its encoding is, as it travels.
    pub(crate) fn len(&self) -> u16 {
        u16::try_from(self.encoded.len()).expect("a record has at most 16 KiB")
    }

    /// Fragment `index` of its encoding; none behind its end.
    pub(crate) fn fragment(&self, index: u8) -> Option<&[u8]> {
        if usize::from(index) >= fragments(self.len()).into() {
            return None;
        }
        let start = usize::from(index) * FRAGMENT_BYTES;
        Some(&self.encoded[start..self.encoded.len().min(start + FRAGMENT_BYTES)])
    }
}

/// In how many fragments a record of `len` bytes travels: one at least.
pub(crate) fn fragments(len: u16) -> u8 {
    u8::try_from(usize::from(len).div_ceil(FRAGMENT_BYTES).max(1)).expect("64 KiB are 86 fragments")
}
