//! Rate limits, in integer arithmetic.
use crate::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
pub(crate) struct TokenBucket {
    per_second: u64,
    burst: u64,
    micro: u64,
    last: Instant,
}
impl TokenBucket {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: per_second.into(),
            burst: u64::from(burst) * 1_000_000,
            micro: u64::from(burst) * 1_000_000,
            last: now,
        }
    }
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let us = u64::try_from((now - self.last).as_micros()).unwrap_or(u64::MAX);
        self.last = now;
        self.micro = self.micro.saturating_add(us.saturating_mul(self.per_second)).min(self.burst);
        if self.micro < 1_000_000 {
            return false;
        }
        self.micro -= 1_000_000;
        true
    }
}
pub(crate) struct SourceLimits {
    per_second: u32,
    burst: u32,
    max: usize,
    sources: BTreeMap<SocketAddr, TokenBucket>,
}
impl SourceLimits {
    pub(crate) fn new(per_second: u32, burst: u32, max: usize) -> Self {
        Self { per_second, burst, max, sources: BTreeMap::new() }
    }
    pub(crate) fn take(&mut self, from: SocketAddr, now: Instant) -> bool {
        let (p, b) = (self.per_second, self.burst);
        if !self.sources.contains_key(&from) && self.sources.len() >= self.max {
            self.sources.clear();
        }
        self.sources.entry(from).or_insert_with(|| TokenBucket::new(p, b, now)).take(now)
    }
}
