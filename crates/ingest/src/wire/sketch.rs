//! OTLP histograms as sketches.

use gatelens_model::sketch::{SCALE, Sketch};

/// The lowest index: 2^-40 s, below a picosecond. Lower values count here.
const MIN_INDEX: i64 = -40 * 32;
/// The highest index: 2^40 s. Higher values count here.
const MAX_INDEX: i64 = 40 * 32 - 1;

/// Reads an exponential histogram of any scale; `sum` is in seconds.
///
/// Finer scales are folded exactly; of coarser ones each bucket counts at its geometric midpoint. Counts of negative
/// values belong in `zeros`.
pub(super) fn from_exponential(scale: i32, zeros: u64, offset: i32, counts: &[u64], sum: f64) -> Sketch {
    let mut sketch = with_sum(sum);
    sketch.insert_zeros(zeros);
    for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        sketch.insert_bucket(rescale(scale, i64::from(offset).saturating_add(position as i64)), count);
    }
    sketch
}

/// Reads a histogram with explicit bounds in seconds: each bucket counts at its middle, the last one at its lower bound,
/// since no more is known.
pub(super) fn from_explicit(bounds: &[f64], counts: &[u64], sum: f64) -> Sketch {
    let mut sketch = with_sum(sum);
    for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let lower = position.checked_sub(1).and_then(|i| bounds.get(i)).copied().unwrap_or(0.0);
        let upper = bounds.get(position).copied().unwrap_or(lower);
        let middle = if lower > 0.0 { (lower * upper).sqrt() } else { upper / 2.0 };
        insert_seconds(&mut sketch, middle, count);
    }
    sketch
}

fn insert_seconds(sketch: &mut Sketch, seconds: f64, count: u64) {
    if seconds > 0.0 {
        let index = ((seconds.log2() * 32.0).ceil() as i64 - 1).clamp(MIN_INDEX, MAX_INDEX);
        sketch.insert_bucket(index as i16, count);
    } else {
        sketch.insert_zeros(count);
    }
}

fn with_sum(seconds: f64) -> Sketch {
    // A cast saturates, and NaN becomes 0.
    Sketch::with_sum((seconds * 1e9).round() as u64)
}

/// The index at our scale for a bucket of another. Buckets include their upper bound, so that two neighbours of a
/// finer scale fall into one by halving the index, rounded down.
fn rescale(scale: i32, index: i64) -> i16 {
    let index = if scale >= SCALE {
        index >> (scale - SCALE).min(63)
    } else {
        // The midpoint 2^((i + 1/2) / 2^scale) is the upper bound of this bucket, and belongs to it.
        let doubled = i128::from(index) * 2 + 1;
        let scaled = doubled << (SCALE - 1).saturating_sub(scale).min(60);
        (scaled - 1).clamp(i128::from(MIN_INDEX), i128::from(MAX_INDEX)) as i64
    };
    index.clamp(MIN_INDEX, MAX_INDEX) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(values: &[f64]) -> Vec<i16> {
        let index = |value: &f64| {
            let mut sketch = Sketch::default();
            insert_seconds(&mut sketch, *value, 1);
            sketch.buckets()[0].0
        };
        values.iter().map(index).collect()
    }

    #[test]
    fn buckets_include_their_upper_bound() {
        assert_eq!(buckets(&[0.5, 1.0, 1.0001, 2.0, 1e-30, 1e30]), [-33, -1, 0, 31, -1280, 1279]);
    }

    #[test]
    fn other_scales_fold_into_ours() {
        let of = |scale, offset, counts: &[u64]| {
            from_exponential(scale, 0, offset, counts, 0.0).buckets().to_vec()
        };
        assert_eq!(of(5, -2, &[1, 0, 3]), [(-2, 1), (0, 3)]);
        assert_eq!(of(6, -3, &[1, 1, 1, 1]), [(-2, 1), (-1, 2), (0, 1)]);
        assert_eq!(of(20, i32::MAX, &[1, 1]), [(1279, 2)]);
        assert_eq!(of(4, 0, &[1, 1]), [(0, 1), (2, 1)]);
        assert_eq!(of(0, -1, &[2]), [(-17, 2)]);
        assert_eq!(of(-10, 0, &[2]), [(1279, 2)]);
        assert_eq!(of(-10, -1, &[2]), [(-1280, 2)]);
        assert_eq!(of(i32::MIN, i32::MIN, &[2]), [(-1280, 2)]);
        assert_eq!(of(i32::MAX, 7, &[2]), [(0, 2)]);
    }

    #[test]
    fn explicit_bounds_count_at_the_middle() {
        let sketch = from_explicit(&[0.1, 0.4], &[1, 2, 3], 1.5);
        assert_eq!((sketch.count, sketch.sum_ns), (6, 1_500_000_000));
        let expected: Vec<_> = buckets(&[0.05, 0.2, 0.4]).into_iter().zip([1, 2, 3]).collect();
        assert_eq!(sketch.buckets(), expected);
    }

    #[test]
    fn the_filters_own_buckets_arrive_as_they_are() {
        let mut sent = Sketch::default();
        [0, 1, 999, 1_000_000, 123_456_789, 1_000_000_000, u64::MAX / 4]
            .iter()
            .for_each(|ns| sent.insert(*ns));
        let [(first, _), .., (last, _)] = sent.buckets() else { panic!("{sent:?}") };
        let mut counts = vec![0; (last - first + 1) as usize];
        sent.buckets().iter().for_each(|(index, count)| counts[(index - first) as usize] = *count);
        let read = from_exponential(SCALE, sent.zeros, i32::from(*first), &counts, 0.0);
        assert_eq!((read.buckets(), read.count, read.zeros), (sent.buckets(), sent.count, sent.zeros));
    }
}
