//! How full the maps and queues of a node are. Each says of itself what it holds and what it may hold.

use std::fmt;

/// What one map or queue of a node holds, and the most that it may hold: see
/// [`Node::fills`](crate::Node::fills).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fill {
    /// What is in it, by a stable name, as in metrics: `disputes`.
    pub what: &'static str,
    /// How many it holds now.
    pub held: usize,
    /// The most that it may hold. Some grow with the cluster: then it is counted by the members that are
    /// known now, or by the most that ever were at one time.
    pub most: usize,
}

impl Fill {
    pub(crate) const fn new(what: &'static str, held: usize, most: usize) -> Self {
        Self { what, held, most }
    }

    /// Whether it holds more than it may: never, or there is a bug in this crate.
    pub const fn is_over(&self) -> bool {
        self.held > self.most
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, held, most } = self;
        write!(f, "{held} {what}, where {most} are the most")
    }
}
