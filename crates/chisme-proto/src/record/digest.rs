//! Which records are known, in 128 bytes: the same for two nodes that hold the same versions.
//!
//! It is order-free: sixteen sums, one for each value of the first four bits of a name hash, kept at every
//! change by one subtraction and one addition. It knows nothing of who is up; its caller adds what counts.

use super::Stamp;
use crate::identity::NameHash;

/// How many sums.
pub(crate) const BUCKETS: usize = 16;

/// Sums over the records that a node knows, by bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary(pub(crate) [u64; BUCKETS]);

impl Summary {
    /// Adds a record.
    pub(crate) fn add(&mut self, hash: NameHash, stamp: Stamp) {
        let sum = &mut self.0[bucket(hash)];
        *sum = sum.wrapping_add(mark(hash, stamp));
    }

    /// Takes a record out that was added.
    pub(crate) fn subtract(&mut self, hash: NameHash, stamp: Stamp) {
        let sum = &mut self.0[bucket(hash)];
        *sum = sum.wrapping_sub(mark(hash, stamp));
    }

    /// All in one number; 0 if nothing was added.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().fold(0, |all, sum| all ^ sum)
    }

    /// Where two differ: one bit for each bucket, the lowest for bucket 0.
    pub(crate) fn differences(&self, other: &Self) -> u16 {
        let differ = |n: &usize| self.0[*n] != other.0[*n];
        (0..BUCKETS).filter(differ).fold(0, |mask, n| mask | 1 << n)
    }
}

/// The bucket of a name: ordered as names are, so that a page of neighbours is one of few buckets.
pub(crate) fn bucket(hash: NameHash) -> usize {
    usize::from(hash.to_bytes()[0] >> 4)
}

/// A number for a record in one version. Whoever can send one is trusted, so that it need not hold
/// against design, only against chance.
fn mark(hash: NameHash, stamp: Stamp) -> u64 {
    let words = [hash.high(), stamp.session.to_u64(), stamp.version];
    // Never 0: a record that is known is never as if it were not.
    words.into_iter().fold(0, |state, word| mix(state ^ word)) | 1
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014, figure 16).
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
