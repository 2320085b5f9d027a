//! How long a suspicion lasts: long at first, and shorter as others confirm it.

use std::time::Duration;

/// 65,536 · ln(n), for n = 1..=9, rounded.
const LN: [u64; 9] = [0, 45_426, 71_999, 90_852, 105_476, 117_425, 127_527, 136_278, 143_997];

/// Lifeguard's dynamic suspicion (§IV-B): `max − (max − min) · ln(c + 1) / ln(k + 1)`, where `max` is
/// `stretch` times `min`, `c` counts the independent confirmations, and `k` those that there can be,
/// eight at most. Where nobody can confirm, it is `min`.
pub(crate) fn lasts(min: Duration, stretch: u32, c: usize, k: usize) -> Duration {
    let k = k.min(LN.len() - 1);
    let c = c.min(k);
    if c == k {
        return min;
    }
    let max = u64::try_from(min.saturating_mul(stretch).as_micros()).unwrap_or(u64::MAX >> 20);
    let min_micros = u64::try_from(min.as_micros()).unwrap_or(u64::MAX >> 20);
    let shortened =
        u128::from(max.saturating_sub(min_micros)) * u128::from(LN[c]) / u128::from(LN[k]);
    Duration::from_micros(max - u64::try_from(shortened).expect("a part of max")).max(min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn confirmations_shorten_it_from_max_to_min() {
        let lasts: Vec<_> = (0..=4).map(|c| lasts(ms(1_000), 5, c, 3)).collect();
        assert_eq!((lasts[0], lasts[3], lasts[4]), (ms(5_000), ms(1_000), ms(1_000)));
        // ln 2 / ln 4 is a half, ln 3 / ln 4 is 0.7925.
        assert!(lasts[1].abs_diff(ms(3_000)) < ms(1), "{lasts:?}");
        assert!(lasts[2].abs_diff(ms(1_830)) < ms(1), "{lasts:?}");
    }

    #[test]
    fn it_is_the_shortest_where_nobody_can_confirm_or_it_is_switched_off() {
        assert_eq!(lasts(ms(1_000), 5, 0, 0), ms(1_000));
        assert_eq!(lasts(ms(1_000), 1, 0, 3), ms(1_000));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it checks integers against the logarithm")]
    fn the_table_is_that_of_the_logarithm() {
        for (n, &ln) in (1_u32..).zip(&LN) {
            let exact = f64::from(n).ln() * 65_536.0;
            assert!((ln as f64 - exact).abs() <= 0.5, "{n}: {ln} for {exact}");
        }
    }
}
