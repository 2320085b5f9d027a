//! How long an answer takes, from what was measured (RFC 6298, in integers).

use std::time::Duration;

/// No retransmission comes sooner than this: schedulers are not more exact.
const SHORTEST: Duration = Duration::from_millis(30);

/// The smoothed round trip to the members that were probed, and how much it varies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrips {
    /// Nanoseconds; none before the first measurement.
    smoothed: Option<u64>,
    variation: u64,
    longest: Duration,
}

impl RoundTrips {
    /// Nothing is known yet; no timeout will be longer than `longest`.
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { smoothed: None, variation: 0, longest }
    }

    pub(crate) fn measured(&mut self, round_trip: Duration) {
        let sample = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX / 8);
        let Some(smoothed) = self.smoothed else {
            (self.smoothed, self.variation) = (Some(sample), sample / 2);
            return;
        };
        // §2.3: alpha is 1/8, beta 1/4.
        self.variation = self.variation - self.variation / 4 + smoothed.abs_diff(sample) / 4;
        self.smoothed = Some(smoothed - smoothed / 8 + sample / 8);
    }

    /// After so long without an answer a probe is sent again: four variations above the mean.
    pub(crate) fn timeout(&self) -> Duration {
        let Some(smoothed) = self.smoothed else { return self.longest / 4 };
        let timeout = Duration::from_nanos(smoothed.saturating_add(self.variation * 4));
        timeout.max(SHORTEST).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_timeout_follows_what_is_measured_within_its_bounds() {
        let mut round_trips = RoundTrips::new(ms(500));
        assert_eq!(round_trips.timeout(), ms(125));
        for _ in 0..50 {
            round_trips.measured(ms(1));
        }
        assert_eq!(round_trips.timeout(), SHORTEST);
        for _ in 0..50 {
            round_trips.measured(ms(100));
        }
        let timeout = round_trips.timeout();
        assert!((ms(99)..ms(120)).contains(&timeout), "{timeout:?}");
        for n in 0..50 {
            round_trips.measured(ms(40 + 160 * (n % 2)));
        }
        let timeout = round_trips.timeout();
        assert!((ms(300)..ms(500)).contains(&timeout), "{timeout:?}");
        for _ in 0..50 {
            round_trips.measured(ms(3_000));
        }
        assert_eq!(round_trips.timeout(), ms(500));
    }
}
