//! Rate limits: token buckets in integer arithmetic, for all askers together and for each address.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::{Fill, Instant};

/// One token, in the unit that buckets count in: what a rate of 1/s brings in a microsecond is one.
const TOKEN: u64 = 1_000_000;

/// Lets `burst` through at once and `per_second` in the long run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    per_second: u32,
    burst: u32,
    level: u64,
    last: Instant,
}

impl TokenBucket {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self { per_second, burst, level: u64::from(burst) * TOKEN, last: now }
    }

    /// Whether one more may pass.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let may = self.level >= TOKEN;
        if may {
            self.level -= TOKEN;
        }
        may
    }

    /// Whether nothing was taken for so long that it makes no difference.
    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level == u64::from(self.burst) * TOKEN
    }

    fn fill(&mut self, now: Instant) {
        let micros = u64::try_from((now - self.last).as_micros()).unwrap_or(u64::MAX);
        let gained = micros.saturating_mul(self.per_second.into());
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(u64::from(self.burst) * TOKEN);
            self.last = now;
        }
    }
}

/// A bucket for each address, for as many addresses as there is room for.
#[derive(Debug)]
pub(crate) struct SourceLimits {
    per_second: u32,
    burst: u32,
    max_sources: usize,
    sources: BTreeMap<SocketAddr, TokenBucket>,
}

impl SourceLimits {
    pub(crate) const fn new(per_second: u32, burst: u32, max_sources: usize) -> Self {
        Self { per_second, burst, max_sources, sources: BTreeMap::new() }
    }

    /// How many addresses have a bucket, called `what`.
    pub(crate) fn fill(&self, what: &'static str) -> Fill {
        Fill::new(what, self.sources.len(), self.max_sources)
    }

    /// Whether one more to `addr` may pass. A new address is refused while there is no room.
    pub(crate) fn take(&mut self, addr: SocketAddr, now: Instant) -> bool {
        if let Some(bucket) = self.sources.get_mut(&addr) {
            return bucket.take(now);
        }
        if self.sources.len() >= self.max_sources {
            self.sources.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.sources.len() >= self.max_sources {
            return false;
        }
        let mut bucket = TokenBucket::new(self.per_second, self.burst, now);
        let may = bucket.take(now);
        self.sources.insert(addr, bucket);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn source(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], n))
    }

    #[test]
    fn a_bucket_passes_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, 20, at(0));
        let at_once = (0..100).filter(|_| bucket.take(at(0))).count();
        let in_ten_seconds = (1..=10_000).filter(|&ms| bucket.take(at(ms))).count();
        assert_eq!((at_once, in_ten_seconds), (20, 100));
    }

    #[test]
    fn addresses_are_bounded_and_idle_ones_make_room() {
        let mut limits = SourceLimits::new(1, 1, 3);
        assert!((1..=3).all(|n| limits.take(source(n), at(0))));
        assert!(!limits.take(source(4), at(999)), "no room, and none has rested");
        assert!(limits.take(source(4), at(1_000)));
        assert_eq!(limits.sources.len(), 1);
    }
}
