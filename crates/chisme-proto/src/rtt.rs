//! How long an answer takes, from what was measured (RFC 6298, in integers).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Session;

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

/// How long answers take to come to us at worst and to be read, by the last three probes that were
/// answered at all, in time or not: the second of them, so that one late member says nothing of us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    last: [Duration; 3],
}

impl Lateness {
    /// From the first copy of a probe to its first answer.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.last = [self.last[1], self.last[2], round_trip];
    }

    pub(crate) fn usual(&self) -> Duration {
        let mut last = self.last;
        last.sort_unstable();
        last[1]
    }
}

/// The most members whose round trips are remembered; of those that were measured longest ago the
/// first is forgotten.
pub(crate) const MAX_REMEMBERED: usize = 1_024;

/// The round trip to each of the members that were measured last, smoothed as [`RoundTrips`] are.
#[derive(Debug, Default)]
pub(crate) struct PerMember {
    /// Nanoseconds, and the number of the last measurement.
    known: BTreeMap<Session, (u64, u64)>,
    measurements: u64,
}

impl PerMember {
    pub(crate) fn measured(&mut self, member: Session, round_trip: Duration) {
        self.measurements += 1;
        let sample = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX / 8);
        let full = self.known.len() >= MAX_REMEMBERED && !self.known.contains_key(&member);
        let oldest = self.known.iter().min_by_key(|(_, (_, number))| *number);
        if let Some((&oldest, _)) = oldest.filter(|_| full) {
            self.known.remove(&oldest);
        }
        let (smoothed, number) = self.known.entry(member).or_insert((sample, 0));
        *smoothed = *smoothed - *smoothed / 8 + sample / 8;
        *number = self.measurements;
    }

    pub(crate) fn of(&self, member: Session) -> Option<Duration> {
        self.known.get(&member).map(|(nanos, _)| Duration::from_nanos(*nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn members_are_told_apart_and_the_one_measured_longest_ago_makes_room() {
        let mut members = PerMember::default();
        let session = |n: usize| Session::from_u64(n as u64);
        for n in 0..MAX_REMEMBERED {
            members.measured(session(n), ms(10 + n as u64));
        }
        members.measured(session(0), ms(10));
        members.measured(session(MAX_REMEMBERED), ms(7));
        assert_eq!(members.known.len(), MAX_REMEMBERED);
        assert_eq!(members.of(session(1)), None);
        assert_eq!(members.of(session(0)), Some(ms(10)));
        assert_eq!(members.of(session(2)), Some(ms(12)));
        for _ in 0..100 {
            members.measured(session(2), ms(40));
        }
        assert!(members.of(session(2)).is_some_and(|rtt| ms(39) < rtt && rtt <= ms(40)));
    }

    #[test]
    fn one_late_answer_says_nothing_of_us_and_two_of_three_do() {
        let mut lateness = Lateness::default();
        for (round_trip, usual) in [(1, 0), (900, 1), (2, 2), (700, 700), (800, 700), (1, 700)] {
            lateness.measured(ms(round_trip));
            assert_eq!(lateness.usual(), ms(usual), "after {round_trip}");
        }
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
