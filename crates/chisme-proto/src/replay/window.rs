//! The window of one session: which of its latest sequence numbers have been seen.

use super::Verdict;
use crate::envelope::Sequence;

/// A datagram may be overtaken by this many others of its sender and still be taken.
pub(super) const WINDOW_BITS: u64 = 1_024;

/// So many numbers are kept one by one. A member of a large cluster hears from another only now and
/// then, and that one's numbers have gone on by hundreds in between.
const FEW: usize = 10;

/// The sequence numbers seen of one session.
#[derive(Debug, Default)]
pub(super) struct Window {
    highest: u64,
    seen: Seen,
}

/// The numbers from the highest down to the end of the window that have been seen.
#[derive(Debug)]
enum Seen {
    /// The low bits of each, which tell numbers of one window apart.
    Few { count: u8, numbers: [u16; FEW] },
    /// The bit of a number is at its remainder.
    Many(Box<[u64; (WINDOW_BITS / 64) as usize]>),
}

const _: () = assert!(size_of::<Window>() <= 32, "one for each pair of nodes that ever met");

impl Default for Seen {
    fn default() -> Self {
        Self::Few { count: 0, numbers: [0; FEW] }
    }
}

impl Window {
    /// Notes a number.
    pub(super) fn accept(&mut self, Sequence(number): Sequence) -> Verdict {
        if number == 0 || self.highest.saturating_sub(number) >= WINDOW_BITS {
            return Verdict::Replayed;
        }
        if number > self.highest {
            self.advance(number);
        }
        if self.seen.insert(number) { Verdict::Fresh } else { Verdict::Replayed }
    }

    /// Forgets the numbers that leave the window.
    fn advance(&mut self, number: u64) {
        match &mut self.seen {
            Seen::Few { count, numbers } => {
                let mut kept = 0;
                for at in 0..usize::from(*count) {
                    // All lie within the window below the highest, so their low bits tell them.
                    let behind = (self.highest as u16).wrapping_sub(numbers[at]);
                    let seen = self.highest - u64::from(behind);
                    if number - seen < WINDOW_BITS {
                        numbers[kept] = numbers[at];
                        kept += 1;
                    }
                }
                *count = kept as u8;
            }
            Seen::Many(bits) if number - self.highest >= WINDOW_BITS => {
                bits.fill(0);
            }
            Seen::Many(bits) => {
                for passed in self.highest + 1..=number {
                    let (word, bit) = place(passed);
                    bits[word] &= !bit;
                }
            }
        }
        self.highest = number;
    }
}

impl Seen {
    /// Notes a number of the window; false if it is known.
    fn insert(&mut self, number: u64) -> bool {
        match self {
            Self::Few { count, numbers } => {
                let all = &mut numbers[..];
                let (seen, room) = all.split_at_mut(usize::from(*count));
                if seen.contains(&(number as u16)) {
                    return false;
                }
                if let Some(next) = room.first_mut() {
                    *next = number as u16;
                    *count += 1;
                    return true;
                }
                let mut bits = Box::new([0; (WINDOW_BITS / 64) as usize]);
                for &seen in &*seen {
                    // The remainder of a number is that of its low bits.
                    let (word, bit) = place(u64::from(seen));
                    bits[word] |= bit;
                }
                *self = Self::Many(bits);
                self.insert(number)
            }
            Self::Many(bits) => {
                let (word, bit) = place(number);
                let fresh = bits[word] & bit == 0;
                bits[word] |= bit;
                fresh
            }
        }
    }
}

const fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW_BITS;
    ((at / 64) as usize, 1 << (at % 64))
}
