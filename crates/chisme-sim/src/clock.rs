//! The clocks of one machine, as a function of the true time.
//!
//! The one that a node measures by never goes back; the wall clock, from which a session is made,
//! goes wherever somebody sets it.

use std::ops::RangeInclusive;
use std::time::Duration;

use chisme_proto::Instant;

const MILLION: i128 = 1_000_000;

/// The least and the most that it gains on true time, in parts per million: half as fast, twice as fast.
pub(crate) const DRIFT: RangeInclusive<i64> = -500_000..=1_000_000;

/// Two clocks that drift together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// When the rate last changed, by true time and by this clock.
    since: Instant,
    shown: Instant,
    /// Parts per million that it gains on true time.
    drift_ppm: i64,
    /// How far the wall clock is ahead of the other, in nanoseconds.
    wall_ahead: i64,
}

impl Clock {
    /// What it shows at a true time.
    pub(crate) fn local(&self, now: Instant) -> Instant {
        if self.drift_ppm == 0 && self.since == self.shown {
            return now;
        }
        let passed = now.saturating_since(self.since);
        if self.drift_ppm == 0 {
            return self.shown + passed;
        }
        let gained = passed.as_nanos() as i128 * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        self.shown + nanos(gained)
    }

    /// The first true time at which it shows `local` or more.
    pub(crate) fn when(&self, local: Instant) -> Instant {
        if self.drift_ppm == 0 && self.since == self.shown {
            return local;
        }
        let wait = local.saturating_since(self.shown);
        if self.drift_ppm == 0 {
            return self.since + wait;
        }
        let rate = MILLION + i128::from(self.drift_ppm);
        let needed = (wait.as_nanos() as i128 * MILLION + rate - 1) / rate;
        self.since + nanos(needed)
    }

    /// The unix time in milliseconds, if the wall clock was right at `epoch` in the beginning.
    pub(crate) fn unix_millis(&self, now: Instant, epoch: i64) -> i64 {
        let local = i64::try_from(self.local(now).as_nanos()).unwrap_or(i64::MAX);
        epoch.saturating_add(local.saturating_add(self.wall_ahead) / 1_000_000)
    }

    /// Changes its rate from now on. At most half as fast or twice as fast.
    pub(crate) fn drift(&mut self, now: Instant, ppm: i64) {
        self.shown = self.local(now);
        self.since = now;
        self.drift_ppm = ppm.clamp(*DRIFT.start(), *DRIFT.end());
    }

    /// Moves the wall clock.
    pub(crate) const fn step(&mut self, seconds: i64) {
        self.wall_ahead = self.wall_ahead.saturating_add(seconds.saturating_mul(1_000_000_000));
    }
}

fn nanos(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secs;

    const fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    #[test]
    fn a_drifting_clock_gains_and_the_way_back_is_exact() {
        let mut clock = Clock::default();
        assert_eq!(clock.local(at(100)), at(100));
        clock.drift(at(100), 100_000);
        assert_eq!(clock.local(at(110)), at(111));
        clock.drift(at(110), -100_000);
        assert_eq!(clock.local(at(120)), at(120));
        for wait in [1, 7, 1_000_000_007_u64] {
            let local = clock.local(at(130)) + Duration::from_nanos(wait);
            let when = clock.when(local);
            assert!(clock.local(when) >= local);
            assert!(clock.local(Instant::from_nanos(when.as_nanos() - 1)) < local);
        }
    }

    #[test]
    fn a_step_moves_only_the_wall_clock() {
        let mut clock = Clock::default();
        clock.step(-3_600);
        assert_eq!(clock.local(at(5)), at(5));
        assert_eq!(clock.unix_millis(at(5), 10_000_000), 10_000_000 + 5_000 - 3_600_000);
        assert_eq!(clock.local(at(5)) - at(0), secs(5));
    }
}
