//! The queue of what happens next: by time, and in the order of scheduling where times are equal.
//!
//! It knows nothing of what it holds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chisme_proto::Instant;

/// Things that are due at some time.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Time, serial number and place: small, so that keeping order moves little.
    order: BinaryHeap<Reverse<(u64, u64, u32)>>,
    places: Vec<Option<T>>,
    free: Vec<u32>,
    serial: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), serial: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, at: Instant, thing: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("memory ends before four billion places")
        });
        self.places[place as usize] = Some(thing);
        self.serial += 1;
        self.order.push(Reverse((at.as_nanos(), self.serial, place)));
    }

    /// What is due first, if it is due at `end` or before.
    pub(crate) fn pop_until(&mut self, end: Instant) -> Option<(Instant, T)> {
        let &Reverse((at, _, place)) = self.order.peek()?;
        if at > end.as_nanos() {
            return None;
        }
        self.order.pop();
        self.free.push(place);
        let thing = self.places[place as usize].take().expect("each place has one key");
        Some((Instant::from_nanos(at), thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_order() {
        let at = Instant::from_nanos;
        let mut queue = Queue::default();
        for (moment, name) in [(5, "c"), (1, "a"), (5, "d"), (9, "e"), (1, "b")] {
            queue.push(at(moment), name);
        }
        let mut due = |end| queue.pop_until(at(end)).map(|(at, name)| (at.as_nanos(), name));
        assert_eq!(due(0), None);
        let all: Vec<_> = std::iter::from_fn(|| due(8)).collect();
        assert_eq!(all, [(1, "a"), (1, "b"), (5, "c"), (5, "d")]);
        assert_eq!(due(9), Some((9, "e")));
    }
}
