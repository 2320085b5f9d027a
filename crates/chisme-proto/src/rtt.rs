//! How long an answer takes, from what was measured (RFC 6298, in integers).

use std::time::Duration;

use crate::Session;
use crate::swim::Id;

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

/// So many neighbouring places of the member table are made room for at once: 128 bytes.
const CHUNK: usize = 16;

/// The round trip to each member that was measured, smoothed as [`RoundTrips`] are: 8 bytes for each
/// place of the member table, made in chunks when one of theirs is measured, and found without a search.
#[derive(Debug, Default)]
pub(crate) struct PerMember {
    chunks: Vec<Option<Box<[Measured; CHUNK]>>>,
    /// Who was measured last, until somebody asks.
    last: Option<Id>,
}

/// Whose it is, as the last 32 bits of its session, and microseconds; 0 is nobody.
type Measured = (u32, u32);

impl PerMember {
    pub(crate) fn measured(&mut self, member: &Id, round_trip: Duration) {
        let sample = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
        let place = member.index.place();
        self.last = Some(*member);
        let (chunk, place) = (place / CHUNK, place % CHUNK);
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let (whose, smoothed) = &mut self.chunks[chunk].get_or_insert_default()[place];
        if (*whose, *smoothed > 0) == (tail(member.session), true) {
            // No part of it is lost while it is short.
            let sum = u64::from(*smoothed) * 7 + u64::from(sample) + 4;
            *smoothed = u32::try_from(sum / 8).unwrap_or(u32::MAX);
        } else {
            (*whose, *smoothed) = (tail(member.session), sample);
        }
    }

    /// Whoever was measured since this was asked last.
    pub(crate) fn take_last(&mut self) -> Option<(Session, Duration)> {
        let member = self.last.take()?;
        Some((member.session, self.of(&member)?))
    }

    pub(crate) fn of(&self, member: &Id) -> Option<Duration> {
        let place = member.index.place();
        let (whose, micros) = self.chunks.get(place / CHUNK)?.as_ref()?[place % CHUNK];
        let is_known = micros > 0 && whose == tail(member.session);
        is_known.then(|| Duration::from_micros(micros.into()))
    }
}

/// The part of a session that differs between any two runs of one name.
const fn tail(session: Session) -> u32 {
    session.to_u64() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Life;
    use crate::swim::Index;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn members_are_told_apart_and_so_are_the_runs_of_one() {
        let mut members = PerMember::default();
        let id =
            |place, session| Id::new((Session::from_u64(session), Life(0)), Index::first(place));
        for place in 1..2_000 {
            members.measured(&id(place, 7), ms(10 + u64::from(place)));
        }
        assert_eq!(members.of(&id(1_999, 7)), Some(ms(2_009)));
        assert_eq!(members.of(&id(2_000, 7)), None, "never measured");
        assert_eq!(members.of(&id(2, 8)), None, "another process by now");
        for _ in 0..100 {
            members.measured(&id(2, 7), ms(40));
        }
        assert!(members.of(&id(2, 7)).is_some_and(|rtt| ms(39) < rtt && rtt <= ms(40)));
        members.measured(&id(2, 8), ms(3));
        assert_eq!((members.of(&id(2, 8)), members.of(&id(2, 7))), (Some(ms(3)), None));
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
