//! What foca stores per member, and where it finds the rest.

use crate::roster::Run;
use crate::{Life, Session};

/// A member as foca sees it: 16 bytes, `Copy`. The place in our table stands for the name, so that
/// comparing names is comparing numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) session: Session,
    pub(crate) index: Index,
    pub(crate) life: Life,
}

/// The place of a member in our table, and how often it was given to another: a name keeps it until
/// it is forgotten, and what still speaks of a forgotten name does not mean its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Index(u32);

/// The index of this node itself.
pub(crate) const OWN_INDEX: Index = Index(0);

/// The bits of an index that are its place.
const PLACE_BITS: u32 = 24;

const _: () =
    assert!(size_of::<foca::Member<Id>>() <= 20, "foca copies and scans its members all the time");

impl Index {
    /// A place that nobody had before.
    pub(crate) const fn first(place: u32) -> Self {
        assert!(place < 1 << PLACE_BITS, "members are bounded far below that");
        Self(place)
    }

    /// The same place for the next name.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1 << PLACE_BITS))
    }

    pub(crate) const fn place(self) -> usize {
        (self.0 & ((1 << PLACE_BITS) - 1)) as usize
    }
}

impl Id {
    pub(crate) const fn new((session, life): (Session, Life), index: Index) -> Self {
        Self { session, index, life }
    }

    /// What newer is measured by: the session, then the life.
    pub(crate) const fn age(&self) -> (Session, Life) {
        (self.session, self.life)
    }
}

impl foca::Identity for Id {
    type Addr = Index;

    /// Never: this node raises its life itself, by a rebuilt foca.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> Index {
        self.index
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.age() > adversary.age()
    }
}

/// Who stands at which index: lent to the codec while foca works.
pub(crate) trait Directory: Default {
    /// The member at `index`, unless the place went to another.
    fn run(&self, index: Index) -> Option<&Run>;
}

#[cfg(any(test, feature = "internals"))]
impl Directory for std::collections::BTreeMap<Index, Run> {
    fn run(&self, index: Index) -> Option<&Run> {
        self.get(&index)
    }
}
