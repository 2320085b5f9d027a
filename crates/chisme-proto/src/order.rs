//! Places in the order of name hashes: 8 bytes for each, and found in a step or two.
//!
//! It knows no members: whoever owns the places says which hash belongs to one.

use crate::identity::NameHash;

/// A head is nearly always found within so many of where it would stand if all were spread exactly: of
/// 1,000 that are spread at random within 13, in the standard deviation.
const NEAR: usize = 32;

/// Places, sorted by the hashes of what stands there.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The first 32 bits of each hash, beside each other: a search seldom looks at anything else.
    heads: Vec<u32>,
    places: Vec<u32>,
}

impl Order {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// All places, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.places.iter().copied()
    }

    /// The places above `hash`, in order. `of` gives the hash of a place that is in here.
    pub(crate) fn above(
        &self,
        hash: NameHash,
        of: impl Fn(u32) -> NameHash,
    ) -> impl Iterator<Item = u32> {
        let at = self.position(hash, &of);
        let is_there = self.places.get(at).is_some_and(|&place| of(place) == hash);
        self.places[at + usize::from(is_there)..].iter().copied()
    }

    /// The place of `hash`. `of` gives the hash of a place that is in here.
    pub(crate) fn find(&self, hash: NameHash, of: impl Fn(u32) -> NameHash) -> Option<u32> {
        let at = self.position(hash, &of);
        let place = *self.places.get(at)?;
        (self.heads[at] == hash.head() && of(place) == hash).then_some(place)
    }

    /// Takes in a place whose hash is not in here yet.
    pub(crate) fn insert(&mut self, hash: NameHash, place: u32, of: impl Fn(u32) -> NameHash) {
        let at = self.position(hash, &of);
        make_room(&mut self.heads);
        make_room(&mut self.places);
        self.heads.insert(at, hash.head());
        self.places.insert(at, place);
    }

    /// Removes the place of `hash`.
    pub(crate) fn remove(&mut self, hash: NameHash, of: impl Fn(u32) -> NameHash) -> Option<u32> {
        let at = self.position(hash, &of);
        let place = *self.places.get(at)?;
        if self.heads[at] != hash.head() || of(place) != hash {
            return None;
        }
        self.heads.remove(at);
        Some(self.places.remove(at))
    }

    /// The first position whose hash is not below `hash`.
    fn position(&self, hash: NameHash, of: &impl Fn(u32) -> NameHash) -> usize {
        let mut at = self.position_of_head(hash.head());
        while self.heads.get(at) == Some(&hash.head()) && of(self.places[at]) < hash {
            at += 1;
        }
        at
    }

    /// The first position whose head is not below `head`. Hashes are spread evenly, so it is near
    /// where the head says, and is counted there without a branch; and if somebody chose names for
    /// their hashes, it is still found by halving.
    fn position_of_head(&self, head: u32) -> usize {
        let len = self.heads.len();
        let guess = ((u64::from(head) * len as u64) >> 32) as usize;
        let low = guess.saturating_sub(NEAR);
        let high = (guess + NEAR).min(len);
        let near = &self.heads[low..high];
        let below = near.iter().map(|&other| u32::from(other < head)).sum::<u32>() as usize;
        match below {
            0 if low > 0 => self.heads[..low].partition_point(|&other| other < head),
            all if all == near.len() && high < len => {
                high + self.heads[high..].partition_point(|&other| other < head)
            }
            some => low + some,
        }
    }
}

/// Room for one more, without doubling what is large already.
pub(crate) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 16).max(8));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, proptest};

    use super::*;

    const HEADS: [u64; 6] = [0, 1, 2, 3, 0x7fff_ffff, 0xffff_ffff];

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            // Few heads, so that many are equal, and none where they would stand if all were spread evenly; the
            // rest of the hash tells them apart.
            steps in prop::collection::vec((0_usize..6, 0_u64..60, prop::bool::weighted(0.8)), 0..400)
        ) {
            let (mut order, mut model) = (Order::default(), BTreeMap::new());
            let mut hashes = Vec::new();
            for (head, tail, insert) in steps {
                let hash = NameHash::from_words([HEADS[head] << 32, tail]);
                if insert && !model.contains_key(&hash) {
                    let place = u32::try_from(hashes.len()).expect("few");
                    hashes.push(hash);
                    model.insert(hash, place);
                    order.insert(hash, place, |place| hashes[place as usize]);
                } else if !insert {
                    let removed = order.remove(hash, |place| hashes[place as usize]);
                    assert_eq!(removed, model.remove(&hash));
                }
                assert!(order.iter().eq(model.values().copied()));
                for (&hash, &place) in &model {
                    assert_eq!(order.find(hash, |place| hashes[place as usize]), Some(place));
                }
                for head in HEADS {
                    let hash = NameHash::from_words([head << 32, 3]);
                    let above = order.above(hash, |place| hashes[place as usize]);
                    let of_model = model.range(hash..).filter(|(other, _)| **other > hash);
                    assert!(above.eq(of_model.map(|(_, place)| *place)));
                }
                let stranger = NameHash::from_words([HEADS[head] << 32, 99]);
                assert_eq!(order.find(stranger, |place| hashes[place as usize]), None);
            }
        }
    }
}
