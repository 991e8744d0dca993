//! Distributions as native histograms, whose schema is the scale of the distributions.

use gatelens_model::sketch::Sketch;

/// Prometheus' own default for the width of the bucket of zeros: 2^-128.
pub(crate) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// The buckets of a native histogram.
pub(crate) struct Native {
    /// Of all buckets: Prometheus takes a native histogram only if its buckets add up to its count.
    pub(crate) count: u64,
    pub(crate) zeros: u64,
    /// Distance to the span before, and number of buckets.
    pub(crate) spans: Vec<(i32, u32)>,
    /// Of the counts, each to the one before.
    pub(crate) deltas: Vec<i64>,
}

impl Native {
    /// The buckets of a distribution.
    pub(crate) fn of(sketch: &Sketch) -> Self {
        let mut spans: Vec<(i32, u32)> = Vec::new();
        let mut deltas = Vec::with_capacity(sketch.buckets().len());
        let (mut next, mut before) = (0i32, 0i64);
        for &(index, count) in sketch.buckets() {
            // Prometheus names a bucket by its upper bound, OpenTelemetry by its lower one.
            let index = i32::from(index) + 1;
            match spans.last_mut() {
                Some((_, length)) if index == next => *length += 1,
                _ => spans.push((index - next, 1)),
            }
            next = index + 1;
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            deltas.push(count.wrapping_sub(before));
            before = count;
        }
        Self { count: sketch.count, zeros: sketch.zeros, spans, deltas }
    }
}
