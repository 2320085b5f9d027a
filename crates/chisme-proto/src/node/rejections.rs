//! Who sends what must be rejected: counted by source, told at a bounded rate.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{Fill, Instant, MAX_REJECTION_SOURCES, Rejection};

/// Counts rejected datagrams by source, so that an operator hears of them at a bounded rate.
#[derive(Debug)]
pub(super) struct Rejections {
    /// Made at its full size: what strangers send allocates nothing.
    sources: Vec<(IpAddr, Instant, u64)>,
}

impl Rejections {
    const PERIOD: Duration = Duration::from_secs(10);

    pub(super) fn new(max: usize) -> Self {
        Self { sources: Vec::with_capacity(max) }
    }

    pub(super) fn fill(&self) -> Fill {
        Fill::new("addresses_rejected", self.sources.len(), MAX_REJECTION_SOURCES)
    }

    /// How many to report now, if it is time to.
    pub(super) fn note(
        &mut self,
        from: SocketAddr,
        reason: Rejection,
        now: Instant,
    ) -> Option<u64> {
        use Rejection::{NotForUs, OverLimit, Replayed};
        // These are ordinary: restarts, duplicates, crowds.
        if matches!(reason, NotForUs | OverLimit | Replayed) {
            return None;
        }
        if let Some((_, last, count)) = self.sources.iter_mut().find(|row| row.0 == from.ip()) {
            *count += 1;
            if now - *last < Self::PERIOD {
                return None;
            }
            *last = now;
            return Some(std::mem::take(count));
        }
        if self.sources.len() == self.sources.capacity() {
            self.sources.retain(|&(_, last, _)| now - last < Self::PERIOD);
        }
        if self.sources.len() == self.sources.capacity() {
            return None;
        }
        self.sources.push((from.ip(), now, 0));
        Some(1)
    }
}
