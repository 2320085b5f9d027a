//! Sets of machines, by number.

/// A set of machines: those named, or all but those named, machines made later included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeSet {
    words: Vec<u64>,
    inverted: bool,
}

impl NodeSet {
    /// Everybody.
    pub(crate) const fn all() -> Self {
        Self { words: Vec::new(), inverted: true }
    }

    /// These machines.
    pub(crate) fn of(nodes: &[usize]) -> Self {
        let mut set = Self::default();
        for &node in nodes {
            set.set(node, true);
        }
        set
    }

    /// All but these machines.
    pub(crate) fn but(nodes: &[usize]) -> Self {
        Self { inverted: true, ..Self::of(nodes) }
    }

    pub(crate) fn set(&mut self, node: usize, is_in: bool) {
        let word = node / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (node % 64);
        if is_in == self.inverted {
            self.words[word] &= !bit;
        } else {
            self.words[word] |= bit;
        }
    }

    pub(crate) fn has(&self, node: usize) -> bool {
        let word = self.words.get(node / 64).copied().unwrap_or(0);
        (word >> (node % 64) & 1 == 1) != self.inverted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_and_its_opposite() {
        let (of, but) = (NodeSet::of(&[1, 70]), NodeSet::but(&[1, 70]));
        for node in [0, 1, 2, 69, 70, 71, 5_000] {
            assert_eq!(of.has(node), node == 1 || node == 70, "{node}");
            assert_ne!(of.has(node), but.has(node), "{node}");
            assert!(NodeSet::all().has(node));
        }
    }

    #[test]
    fn members_come_and_go() {
        let mut set = NodeSet::default();
        set.set(3, true);
        assert!(set.has(3));
        set.set(3, false);
        assert!(!set.has(3));
    }
}
