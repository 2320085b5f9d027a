//! A number for each ordered pair of machines.

use std::collections::BTreeMap;

/// Machines below this number have a place for each pair among them; of the others only pairs that
/// ever met do, because in a large cluster few of them meet.
const NEAR: usize = 1_024;

/// Numbers of pairs, each zero at first.
#[derive(Debug)]
pub(super) struct Counts {
    near: Vec<Vec<u32>>,
    far: BTreeMap<(usize, usize), u32>,
}

impl Counts {
    pub(super) const fn new() -> Self {
        Self { near: Vec::new(), far: BTreeMap::new() }
    }

    pub(super) fn of(&mut self, from: usize, to: usize) -> &mut u32 {
        if from.max(to) >= NEAR {
            return self.far.entry((from, to)).or_default();
        }
        if self.near.len() <= from {
            self.near.resize(from + 1, Vec::new());
        }
        let counts = &mut self.near[from];
        if counts.len() <= to {
            counts.resize(to + 1, 0);
        }
        &mut counts[to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_pairs_have_a_number_each() {
        let mut counts = Counts::new();
        let pairs = [(0, 1), (1, 0), (NEAR - 1, 3), (NEAR, 3), (3, NEAR), (NEAR + 5, NEAR)];
        for (n, &(from, to)) in (1..).zip(&pairs) {
            *counts.of(from, to) += n;
        }
        let all = pairs.map(|(from, to)| *counts.of(from, to));
        assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    }
}
