//! Records that others have and this node wants: who has them, and the fragments that came.
//!
//! It knows neither datagrams nor the table; whoever calls it checks that a record is wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{FRAGMENT_BYTES, Stamp, fragments};
use crate::identity::NameHash;
use crate::swim::Id;
use crate::{Fill, Instant};

/// The most records that are fetched at one time, and how many of them may be of several fragments:
/// those take memory before they are whole, 512 KiB at most.
pub(crate) const MAX_FETCHES: usize = 256;
pub(crate) const MAX_LARGE_FETCHES: usize = 32;

/// The most members that are remembered to have a record.
const MAX_TELLERS: usize = 4;

/// Nothing has come for so long: it is asked for again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(200);

/// So often in a row with nothing to show for it; then it is given up, until somebody speaks of it again.
const MAX_TRIES: u8 = 8;

/// One record that is wanted.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) stamp: Stamp,
    len: u16,
    /// One bit for each fragment that has not come, the lowest for the first.
    missing: u32,
    bytes: Vec<u8>,
    tellers: Vec<Id>,
    /// Whether it was news: then it is told on when it is whole.
    pub(crate) spread: bool,
    asked: Instant,
    tries: u8,
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Not wanted, there already, or not as long as it should be.
    Useless,
    /// More are missing.
    Taken,
    /// The record is whole, and no longer wanted.
    Whole { bytes: Vec<u8>, spread: bool },
}

/// What to ask for, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) hash: NameHash,
    pub(crate) stamp: Stamp,
    pub(crate) missing: u32,
    pub(crate) of: Id,
}

/// All records that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    wanted: BTreeMap<NameHash, Fetch>,
    large: usize,
}

/// Whether a record can be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Ask for it now.
    Ask(Wanted),
    /// It is on its way, or a newer one.
    UnderWay,
    /// No room.
    Full,
}

impl Fetches {
    pub(crate) fn fills(&self) -> [Fill; 2] {
        [
            Fill::new("record_fetches", self.wanted.len(), MAX_FETCHES),
            Fill::new("large_record_fetches", self.large, MAX_LARGE_FETCHES),
        ]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Wants a record of which `teller` has spoken.
    pub(crate) fn begin(
        &mut self,
        (hash, stamp, len): (NameHash, Stamp, u16),
        teller: Id,
        spread: bool,
        now: Instant,
    ) -> Begin {
        if let Some(fetch) = self.wanted.get_mut(&hash).filter(|fetch| fetch.stamp >= stamp) {
            if fetch.stamp == stamp && !fetch.tellers.contains(&teller) {
                fetch.spread |= spread;
                if fetch.tellers.len() < MAX_TELLERS {
                    fetch.tellers.push(teller);
                }
            }
            return Begin::UnderWay;
        }
        // What is replaced makes room.
        self.end(hash);
        let pieces = fragments(len);
        let large = pieces > 1;
        if self.wanted.len() >= MAX_FETCHES || (large && self.large >= MAX_LARGE_FETCHES) {
            return Begin::Full;
        }
        let missing = u32::MAX >> (u32::BITS - u32::from(pieces));
        let fetch = Fetch {
            stamp,
            len,
            missing,
            bytes: Vec::new(),
            tellers: vec![teller],
            spread,
            asked: now,
            tries: 1,
        };
        self.wanted.insert(hash, fetch);
        self.large += usize::from(large);
        Begin::Ask(Wanted { hash, stamp, missing, of: teller })
    }

    /// Takes a fragment in.
    pub(crate) fn put(
        &mut self,
        hash: NameHash,
        stamp: Stamp,
        len: u16,
        index: u8,
        bytes: &[u8],
        now: Instant,
    ) -> Put {
        let Some(fetch) = self.wanted.get_mut(&hash) else { return Put::Useless };
        let start = usize::from(index) * FRAGMENT_BYTES;
        let end = usize::from(len).min(start + FRAGMENT_BYTES);
        let bit = 1_u32.checked_shl(index.into()).unwrap_or(0);
        let fits = start <= end && bytes.len() == end - start;
        if (fetch.stamp, fetch.len) != (stamp, len) || fetch.missing & bit == 0 || !fits {
            return Put::Useless;
        }
        fetch.bytes.resize(len.into(), 0);
        fetch.bytes[start..end].copy_from_slice(bytes);
        fetch.missing &= !bit;
        (fetch.asked, fetch.tries) = (now, 0);
        if fetch.missing != 0 {
            return Put::Taken;
        }
        let fetch = self.end(hash).expect("it was there a line above");
        Put::Whole { bytes: fetch.bytes, spread: fetch.spread }
    }

    /// No longer wanted.
    pub(crate) fn end(&mut self, hash: NameHash) -> Option<Fetch> {
        let fetch = self.wanted.remove(&hash)?;
        self.large -= usize::from(fragments(fetch.len) > 1);
        Some(fetch)
    }

    /// What has to be asked for again, each time of another who has it. Gives up what was asked for
    /// in vain too often, and says how many that were.
    pub(crate) fn overdue(&mut self, now: Instant) -> (Vec<Wanted>, u64) {
        let mut again = Vec::new();
        let mut given_up = Vec::new();
        for (&hash, fetch) in &mut self.wanted {
            if now - fetch.asked < ASK_AGAIN {
                continue;
            }
            if fetch.tries >= MAX_TRIES {
                given_up.push(hash);
                continue;
            }
            fetch.asked = now;
            let of = fetch.tellers[usize::from(fetch.tries) % fetch.tellers.len()];
            fetch.tries += 1;
            again.push(Wanted { hash, stamp: fetch.stamp, missing: fetch.missing, of });
        }
        for &hash in &given_up {
            self.end(hash);
        }
        (again, given_up.len() as u64)
    }
}
