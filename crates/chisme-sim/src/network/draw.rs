//! Chance on a link: numbers for its n-th datagram, the same whatever anybody else sends.
//!
//! A generator of its own for each pair of a thousand nodes would be a million generators, and a block of
//! ChaCha8 for each datagram, at its place in a stream for its link, takes 72 ns where this takes 10
//! [measured], 3 % of an event. Here the number is a function of the seed, the link, the
//! place of the datagram on it and the purpose, so that only a counter is kept for a link, and that another
//! purpose (some loss, say) does not shift the numbers of the others: two runs that differ in one setting
//! have the rest in common.

use std::time::Duration;

/// The odd number nearest to 2^64 divided by the golden ratio: multiples of it are spread evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes all bits into all bits, one to one (the finalizer of SplitMix64: Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", 2014).
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The chance of one datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Of the `n`-th datagram from one machine to another.
    pub(crate) const fn of(seed: u64, from: u32, to: u32, n: u32) -> Self {
        let link = mix(seed ^ mix(((from as u64) << 32) | to as u64));
        Self(mix(link.wrapping_add((n as u64).wrapping_mul(GOLDEN))))
    }

    /// Numbers for one purpose.
    pub(crate) const fn stream(self, purpose: u64) -> Stream {
        Stream(self.0 ^ mix(purpose.wrapping_add(GOLDEN)))
    }
}

/// Numbers, one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// True for this part of all draws, 0.0 to 1.0.
    pub(crate) const fn chance(&mut self, part: f64) -> bool {
        // A product with a power of two is exact, and the same on every machine.
        const ALL: f64 = 18_446_744_073_709_551_616.0;
        part > 0.0 && (part >= 1.0 || self.next() < (part * ALL) as u64)
    }

    /// A number below `bound`, which is above zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// Evenly spread from `least` to `most`.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + Duration::from_nanos(self.below(nanos(most.saturating_sub(least)) + 1))
    }

    /// Spread as times are between things that happen at random, with this mean.
    ///
    /// By comparisons alone (von Neumann, 1951): logarithms differ between machines.
    pub(crate) fn exponential(&mut self, mean: Duration) -> Duration {
        let mut whole: u64 = 0;
        loop {
            let first = self.next();
            let (mut last, mut falling) = (first, 1_u32);
            loop {
                let next = self.next();
                if next > last {
                    break;
                }
                last = next;
                falling += 1;
            }
            if falling % 2 == 1 {
                let mean = u128::from(nanos(mean));
                let part = (mean * u128::from(first)) >> 64;
                return Duration::from_nanos(
                    u64::try_from(mean * u128::from(whole) + part).unwrap_or(u64::MAX),
                );
            }
            whole += 1;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::millis;

    fn streams() -> impl Iterator<Item = Stream> {
        (0..20_000).map(|n| Draw::of(7, 3, 4, n).stream(1))
    }

    #[test]
    fn a_draw_depends_on_seed_link_place_and_purpose_and_on_nothing_else() {
        let first = |draw: Draw, purpose| draw.stream(purpose).next();
        let all = [
            first(Draw::of(1, 2, 3, 4), 5),
            first(Draw::of(2, 2, 3, 4), 5),
            first(Draw::of(1, 3, 2, 4), 5),
            first(Draw::of(1, 2, 3, 5), 5),
            first(Draw::of(1, 2, 3, 4), 6),
        ];
        let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(first(Draw::of(1, 2, 3, 4), 5), all[0]);
    }

    #[test]
    fn chances_are_as_asked() {
        for (part, least, most) in [(0.0, 0, 0), (0.2, 3_800, 4_200), (1.0, 20_000, 20_000)] {
            let hits = streams().filter(|stream| stream.clone().chance(part)).count();
            assert!((least..=most).contains(&hits), "{part}: {hits}");
        }
    }

    #[test]
    fn exponential_times_have_their_mean_and_their_median() {
        let mut times: Vec<Duration> =
            streams().map(|mut stream| stream.exponential(millis(10))).collect();
        times.sort_unstable();
        let mean = times.iter().sum::<Duration>() / 20_000;
        assert!((micros(9_700)..micros(10_300)).contains(&mean), "{mean:?}");
        // ln 2 of the mean.
        assert!((micros(6_700)..micros(7_160)).contains(&times[10_000]), "{:?}", times[10_000]);
    }

    const fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }
}
