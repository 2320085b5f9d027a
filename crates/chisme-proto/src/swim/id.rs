//! What foca stores per member, and the directory that knows the rest.

use std::sync::Arc;

use crate::identity::NameHash;
use crate::wire::encode;
use crate::{Endpoints, Life, NodeName, Session};

/// A member as foca sees it: 32 bytes, `Copy`. Equality leaves the index out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    pub(crate) hash: HashBytes,
    pub(crate) session: Session,
    pub(crate) life: Life,
    pub(crate) index: Index,
}

/// The place of a member in the directory and in our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Index(pub(crate) u32);

/// The index of this node itself.
pub(crate) const DIRECTORY_SELF: Index = Index(0);

/// The bytes of a name hash: a `u128` would align the whole identity to 16 bytes, and cost 48.
pub(crate) type HashBytes = [u64; 2];

const _: () = assert!(size_of::<Id>() <= 32, "foca copies and scans identities all the time");

impl Id {
    pub(crate) fn new(hash: NameHash, session: Session, life: Life, index: Index) -> Self {
        let bytes = hash.to_bytes();
        let (high, low) = bytes.split_at(8);
        let word = |half: &[u8]| u64::from_be_bytes(half.try_into().expect("half of 16 bytes"));
        Self { hash: [word(high), word(low)], session, life, index }
    }

    /// What newer is measured by: the session, then the life.
    pub(crate) const fn age(&self) -> (Session, Life) {
        (self.session, self.life)
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.age() == other.age()
    }
}

impl Eq for Id {}

impl foca::Identity for Id {
    type Addr = HashBytes;

    /// Never: this node raises its life itself, by a rebuilt foca.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> HashBytes {
        self.hash
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.age() > adversary.age()
    }
}

/// Names and endpoints by index, encoded once as they stand in an update.
#[derive(Debug, Default)]
pub(crate) struct Directory(Vec<Option<(HashBytes, Arc<[u8]>)>>);

impl Directory {
    /// Sets who stands at `id.index`.
    pub(crate) fn set(&mut self, id: Id, name: &NodeName, endpoints: &Endpoints) {
        let mut bytes = Vec::new();
        encode(name, &mut bytes);
        encode(endpoints, &mut bytes);
        let index = id.index.0 as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some((id.hash, bytes.into()));
    }

    /// Forgets who stands at `index`.
    pub(crate) fn clear(&mut self, index: Index) {
        if let Some(slot) = self.0.get_mut(index.0 as usize) {
            *slot = None;
        }
    }

    /// Name and endpoints of `id` as they stand in an update, unless the place went to another.
    pub(crate) fn encoded(&self, id: &Id) -> Option<&[u8]> {
        let (hash, bytes) = self.0.get(id.index.0 as usize)?.as_ref()?;
        (*hash == id.hash).then_some(bytes)
    }
}
