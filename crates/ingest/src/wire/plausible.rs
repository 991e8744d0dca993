//! Whether a point or a record can be true. One that cannot would spoil every sum that it enters.

use crate::model::Rejection;

/// Requests a second of one series, more than any gateway serves.
const MAX_RATE: f64 = 1e6;
/// A clock may run ahead by this: nanoseconds.
const MAX_AHEAD: i64 = 24 * 3600 * 1_000_000_000;
/// Older times than this are not times: nanoseconds.
const MAX_AGE: i64 = 3653 * 24 * 3600 * 1_000_000_000;
/// The longest request: seconds.
const MAX_DURATION: f64 = 366.0 * 24.0 * 3600.0;
/// The largest body: bytes.
const MAX_SIZE: f64 = (1u64 << 50) as f64;
/// Sums of durations are kept in nanoseconds, and must not come near the end of 64 bits: seconds.
const MAX_DURATIONS: f64 = u64::MAX as f64 * 0.99 / 1e9;
/// Sums of bytes are kept in 63 bits.
const MAX_SIZES: f64 = (1u64 << 62) as f64;
/// A sum and its bounds are rounded apart.
const TOLERANCE: f64 = 1.01;

/// What a point counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Durations in seconds.
    Durations,
    /// Sizes in bytes.
    Sizes,
}

/// Times in Unix nanoseconds; `start` is 0 where the sender names none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) start: i64,
    pub(super) time: i64,
}

/// Checks a time against the clock of the service, both in Unix nanoseconds.
pub(super) fn time(time: i64, now: i64) -> Result<(), Rejection> {
    let oldest = now.saturating_sub(MAX_AGE);
    if (oldest..=now.saturating_add(MAX_AHEAD)).contains(&time) { Ok(()) } else { Err(Rejection::Time) }
}

/// Checks a number of requests, of which `interval` is the time that they took.
pub(super) fn count(count: u64, Interval { start, time }: Interval) -> Result<(), Rejection> {
    let nanos = if start <= 0 { MAX_AGE } else { time.saturating_sub(start).min(MAX_AGE) };
    let seconds = (nanos as f64 / 1e9).max(1.0);
    if count as f64 <= MAX_RATE * seconds { Ok(()) } else { Err(Rejection::Count) }
}

/// Checks a sum of so many values, of which `largest` is an upper bound where the point names one.
pub(super) fn sum(
    sum: Option<f64>,
    count: u64,
    measure: Measure,
    largest: Option<f64>,
) -> Result<(), Rejection> {
    let Some(sum) = sum else { return Ok(()) };
    let (each, all) = match measure {
        Measure::Durations => (MAX_DURATION, MAX_DURATIONS),
        Measure::Sizes => (MAX_SIZE, MAX_SIZES),
    };
    let each = largest.map_or(each, |largest| each.min(largest.max(0.0) * TOLERANCE));
    let most = (count as f64 * each + 1e-6).min(all);
    if sum.is_finite() && (0.0..=most).contains(&sum) { Ok(()) } else { Err(Rejection::Sum) }
}

/// Checks explicit buckets: they add up to the count, and their bounds rise. Returns the upper bound of all values, where
/// there is one.
pub(super) fn explicit(count: u64, bounds: &[f64], counts: &[u64]) -> Result<Option<f64>, Rejection> {
    if counts.is_empty() {
        return Ok(None);
    }
    let rising = bounds.is_sorted_by(|a, b| a < b) && bounds.iter().all(|bound| !bound.is_nan());
    if counts.len() != bounds.len() + 1 || !rising || added(counts.iter()) != Some(count) {
        return Err(Rejection::Buckets);
    }
    // The last bucket has no upper bound.
    let highest = counts.iter().rposition(|count| *count > 0);
    Ok(highest.and_then(|highest| bounds.get(highest)).copied())
}

/// Checks exponential buckets: zeros, negative and positive ones add up to the count. Returns the upper bound of all
/// values.
pub(super) fn exponential(
    count: u64,
    zeros: (u64, f64),
    negative: &[u64],
    (scale, offset, positive): (i32, i32, &[u64]),
) -> Result<Option<f64>, Rejection> {
    let (zero_count, zero_threshold) = zeros;
    if added(negative.iter().chain(positive).chain([&zero_count])) != Some(count) {
        return Err(Rejection::Buckets);
    }
    let highest = positive.iter().rposition(|count| *count > 0);
    let upper = highest.map_or(0.0, |highest| {
        let index = i64::from(offset).saturating_add(highest as i64).saturating_add(1);
        (index as f64 * (-f64::from(scale)).exp2()).exp2()
    });
    // Zeros may stand for values up to the threshold.
    let zeros = if zero_count > 0 { zero_threshold } else { 0.0 };
    Ok(Some(upper.max(zeros)))
}

/// The sum, unless it is beyond 64 bits.
fn added<'a>(mut counts: impl Iterator<Item = &'a u64>) -> Option<u64> {
    counts.try_fold(0u64, |sum, count| sum.checked_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_781_956_800 * SECOND;

    #[test]
    fn times_lie_near_the_clock_of_the_service() {
        let check = |offset: i64, expected: bool| {
            assert_eq!(time(NOW.saturating_add(offset), NOW).is_ok(), expected, "{offset}");
        };
        check(0, true);
        check(MAX_AHEAD, true);
        check(MAX_AHEAD + 1, false);
        check(-MAX_AGE, true);
        check(-MAX_AGE - 1, false);
        check(i64::MAX, false);
        check(i64::MIN, false);
    }

    #[test]
    fn a_count_fits_the_time_that_it_took() {
        let check = |requests: u64, seconds: i64, expected: bool| {
            let interval = Interval { start: NOW - seconds * SECOND, time: NOW };
            assert_eq!(count(requests, interval).is_ok(), expected, "{requests} in {seconds} s");
        };
        check(1_000_000, 0, true);
        check(1_000_001, 0, false);
        check(60_000_000, 60, true);
        check(60_000_001, 60, false);
        // A start after the time is a start at the time.
        check(1_000_000, -60, true);
        assert!(count(u64::MAX, Interval { start: 0, time: NOW }).is_err());
        assert!(count(1 << 40, Interval { start: 0, time: NOW }).is_ok());
    }

    #[test]
    fn a_sum_fits_its_count() {
        let check = |value: f64, requests: u64, measure: Measure, largest: Option<f64>, expected: bool| {
            let found = sum(Some(value), requests, measure, largest);
            assert_eq!(found.is_ok(), expected, "{value} of {requests} {measure:?} up to {largest:?}");
        };
        use Measure::{Durations, Sizes};
        check(1.5, 3, Durations, None, true);
        check(0.0, 0, Durations, None, true);
        check(1.5, 0, Durations, None, false);
        check(f64::NAN, 3, Durations, None, false);
        check(f64::INFINITY, 3, Durations, None, false);
        check(-0.1, 3, Durations, None, false);
        check(1e300, 3, Sizes, None, false);
        check(1e10, 3, Durations, None, false);
        check(1e10, 3, Sizes, None, true);
        check(1e12, 1 << 40, Durations, None, false);
        check(3.0, 3, Durations, Some(1.0), true);
        check(4.0, 3, Durations, Some(1.0), false);
        check(4.0, 3, Durations, Some(f64::INFINITY), true);
        assert!(sum(None, 3, Durations, None).is_ok());
    }

    #[test]
    fn explicit_buckets_add_up() {
        let check = |count: u64, bounds: &[f64], counts: &[u64], expected: Result<Option<f64>, Rejection>| {
            assert_eq!(explicit(count, bounds, counts), expected, "{count} in {counts:?} up to {bounds:?}");
        };
        check(3, &[], &[], Ok(None));
        check(3, &[1.0, 2.0], &[1, 2, 0], Ok(Some(2.0)));
        check(3, &[1.0, 2.0], &[3, 0, 0], Ok(Some(1.0)));
        check(3, &[1.0, 2.0], &[1, 1, 1], Ok(None));
        check(3, &[], &[3], Ok(None));
        check(4, &[1.0, 2.0], &[1, 2, 0], Err(Rejection::Buckets));
        check(3, &[1.0, 2.0], &[1, 2], Err(Rejection::Buckets));
        check(3, &[2.0, 1.0], &[1, 2, 0], Err(Rejection::Buckets));
        check(3, &[1.0, 1.0], &[1, 2, 0], Err(Rejection::Buckets));
        check(3, &[f64::NAN], &[1, 2], Err(Rejection::Buckets));
        check(1, &[1.0], &[u64::MAX, 2], Err(Rejection::Buckets));
        check(u64::MAX, &[1.0], &[u64::MAX, 0], Ok(Some(1.0)));
    }

    #[test]
    fn exponential_buckets_add_up() {
        let check = |count, zeros, negative: &[u64], positive, expected| {
            assert_eq!(exponential(count, zeros, negative, positive), expected);
        };
        check(0, (0, 0.0), &[], (5, 0, &[]), Ok(Some(0.0)));
        check(6, (1, 0.0), &[2], (0, 1, &[3, 0]), Ok(Some(4.0)));
        check(5, (1, 0.0), &[2], (0, 1, &[3, 0]), Err(Rejection::Buckets));
        check(1, (1, 0.25), &[], (5, 0, &[]), Ok(Some(0.25)));
        check(1, (0, 0.0), &[], (-10, i32::MAX, &[1]), Ok(Some(f64::INFINITY)));
        check(1, (0, 0.0), &[], (i32::MIN, i32::MIN, &[1]), Ok(Some(0.0)));
        check(1, (0, 0.0), &[u64::MAX], (5, 0, &[2]), Err(Rejection::Buckets));
    }
}
