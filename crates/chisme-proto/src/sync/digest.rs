//! Which members are up, in 64 numbers: the same for two nodes whose views are the same.
//!
//! A bucket holds the members whose name hash begins with the same six bits, so that buckets are
//! neighbours in the order of name hashes. Its sum is order-free, and kept at every change by one
//! subtraction and one addition. What differs between healthy nodes at any moment (suspicions,
//! incarnations, tombstones) is not in it.

use crate::identity::NameHash;
use crate::{Life, Session};

/// How many sums.
pub(crate) const BUCKETS: usize = 64;

/// Some of the buckets: one bit for each, the lowest for bucket 0.
pub(crate) type BucketSet = u64;

/// Sums over the members that are up, by bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    total: u64,
    buckets: [u64; BUCKETS],
}

impl Default for Sums {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], total: 0 }
    }
}

impl From<[u64; BUCKETS]> for Sums {
    fn from(buckets: [u64; BUCKETS]) -> Self {
        let total = buckets.iter().enumerate().fold(0, |all, (n, &sum)| all ^ turned(n, sum));
        Self { buckets, total }
    }
}

impl Sums {
    /// A member came up.
    pub(crate) fn add(&mut self, hash: NameHash, age: (Session, Life)) {
        let n = bucket(hash);
        self.set(n, self.buckets[n].wrapping_add(mark(hash, age)));
    }

    /// It is not up any more, in that life.
    pub(crate) fn subtract(&mut self, hash: NameHash, age: (Session, Life)) {
        let n = bucket(hash);
        self.set(n, self.buckets[n].wrapping_sub(mark(hash, age)));
    }

    fn set(&mut self, n: usize, sum: u64) {
        self.total ^= turned(n, self.buckets[n]) ^ turned(n, sum);
        self.buckets[n] = sum;
    }

    /// Each of them.
    pub(crate) const fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// All in one number.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The same with one member more.
    pub(crate) fn total_with(&self, hash: NameHash, age: (Session, Life)) -> u64 {
        let (n, sum) = (bucket(hash), self.buckets[bucket(hash)]);
        self.total ^ turned(n, sum) ^ turned(n, sum.wrapping_add(mark(hash, age)))
    }

    /// Where two differ.
    pub(crate) fn differences(&self, other: &Self) -> BucketSet {
        let differ = |n: &usize| self.buckets[*n] != other.buckets[*n];
        (0..BUCKETS).filter(differ).fold(0, |set, n| set | 1 << n)
    }
}

/// A sum as its place turns it, so that two buckets do not make up for each other.
const fn turned(n: usize, sum: u64) -> u64 {
    sum.rotate_left(n as u32)
}

/// The bucket of a name.
pub(crate) fn bucket(hash: NameHash) -> usize {
    usize::from(hash.to_bytes()[0] >> 2)
}

/// Whether a name falls into one of `set`.
pub(crate) fn is_in(set: BucketSet, hash: NameHash) -> bool {
    set >> bucket(hash) & 1 == 1
}

/// A number for a member in one life. Whoever can send one is trusted, so that it need not hold
/// against design, only against chance.
fn mark(hash: NameHash, (session, life): (Session, Life)) -> u64 {
    let words = [hash.high(), session.to_u64(), u64::from(life.to_u16())];
    words.into_iter().fold(0, |state, word| mix(state ^ word))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014, figure 16).
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn name(n: u8) -> NameHash {
        NameHash::from_bytes([n; 16])
    }

    proptest! {
        #[test]
        fn the_order_of_changes_does_not_matter(
            members in prop::collection::btree_set((any::<u8>(), any::<u64>(), any::<u16>()), 1..40),
            gone in 0_usize..40,
        ) {
            let members: Vec<_> = members.into_iter().collect();
            let age = |m: &(u8, u64, u16)| (Session::from_u64(m.1), Life(m.2));
            let (mut once, mut other) = (Sums::default(), Sums::default());
            members.iter().for_each(|m| once.add(name(m.0), age(m)));
            members.iter().rev().for_each(|m| other.add(name(m.0), age(m)));
            assert_eq!(once, other);
            let gone = &members[gone % members.len()];
            other.subtract(name(gone.0), age(gone));
            assert_eq!(once.differences(&other), 1 << (gone.0 >> 2));
            assert_ne!(once.total(), other.total());
            assert_eq!(once.total(), other.total_with(name(gone.0), age(gone)));
            assert_eq!(Sums::from(*once.buckets()), once, "its total among the rest");
        }
    }

    #[test]
    fn every_part_of_an_identity_counts() {
        let sums = |n: u8, session: u64, life: u16| {
            let mut sums = Sums::default();
            sums.add(name(n), (Session::from_u64(session), Life(life)));
            sums.total()
        };
        let all = [sums(1, 1, 1), sums(2, 1, 1), sums(1, 2, 1), sums(1, 1, 2), 0];
        for (n, one) in all.iter().enumerate() {
            assert!(!all[n + 1..].contains(one), "{all:x?}");
        }
    }
}
