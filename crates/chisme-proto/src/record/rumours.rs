//! What is still told to others without being asked, and how often.
//!
//! A record is told a bounded number of times, as SWIM's rumours are (SWIM paper, §4.1): what was told
//! least goes first. It does not know what is told, nor to whom.

use std::collections::BTreeMap;

use crate::Fill;
use crate::identity::NameHash;

/// The most records that are told at one time. What is beyond is left to the comparison of digests.
pub(crate) const MAX_RUMOURS: usize = 1_024;

/// How often each record is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Rumours {
    left: BTreeMap<NameHash, u8>,
}

impl Rumours {
    pub(crate) fn fill(&self) -> Fill {
        Fill::new("record_rumours", self.left.len(), MAX_RUMOURS)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Tells the record of a member `times` times from now on; false if there is no room.
    pub(crate) fn start(&mut self, hash: NameHash, times: u8) -> bool {
        let room = self.left.len() < MAX_RUMOURS || self.left.contains_key(&hash);
        if room {
            self.left.insert(hash, times);
        }
        room
    }

    /// What to tell, what was told least first.
    pub(crate) fn due(&self) -> Vec<NameHash> {
        let mut due: Vec<(u8, NameHash)> = self.left.iter().map(|(&h, &left)| (left, h)).collect();
        due.sort_by_key(|&(left, hash)| (u8::MAX - left, hash));
        due.into_iter().map(|(_, hash)| hash).collect()
    }

    /// It was told once.
    pub(crate) fn told(&mut self, hash: NameHash) {
        if let Some(left) = self.left.get_mut(&hash) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.left.remove(&hash);
            }
        }
    }

    /// There is nothing left to tell.
    pub(crate) fn stop(&mut self, hash: NameHash) {
        self.left.remove(&hash);
    }
}
