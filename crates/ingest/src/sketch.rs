//! A mergeable sketch of durations: a base-2 exponential histogram of fixed scale 5.
//!
//! Bucket `i` counts the values in `(2^(i/32), 2^((i+1)/32)]` seconds. The bucket's geometric midpoint is at most
//! 1.09 % from any value in it, and so is every quantile. Addition is exact and has no order, which is what makes
//! rollups of rollups right.
//!
//! Encoded, version 1: a version byte, then as varints the zero count, the sum in nanoseconds, the number of
//! buckets, the first index (zigzag) and its count, and for each further bucket its distance from the one before
//! and its count.

use crate::varint;

/// The lowest index: 2^-40 s, below a picosecond. Lower values count here.
const MIN_INDEX: i64 = -40 * 32;
/// The highest index: 2^40 s. Higher values count here.
const MAX_INDEX: i64 = 40 * 32 - 1;
const SCALE: i32 = 5;
const VERSION: u8 = 1;

/// A sparse sketch, as it is received, stored and added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sketch {
    zero: u64,
    sum_nanos: u64,
    /// Ascending by index, without zero counts.
    buckets: Vec<(i32, u64)>,
}

/// The bytes are no sketch that this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored sketch cannot be read")]
pub(crate) struct Unreadable;

impl Sketch {
    /// Reads an OTLP exponential histogram of any scale; `sum` is in seconds.
    ///
    /// Finer scales are folded exactly; of coarser ones each bucket counts at its geometric midpoint. Counts of
    /// negative values belong in `zero`.
    pub(crate) fn from_exponential(scale: i32, zero: u64, offset: i32, counts: &[u64], sum: f64) -> Self {
        let mut buckets: Vec<(i32, u64)> = Vec::new();
        for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let index = rescale(scale, i64::from(offset).saturating_add(position as i64));
            match buckets.last_mut() {
                Some(last) if last.0 == index => last.1 = last.1.saturating_add(count),
                _ => buckets.push((index, count)),
            }
        }
        Self { zero, sum_nanos: nanos(sum), buckets }
    }

    /// Reads an OTLP histogram with explicit bounds in seconds: each bucket counts at its middle, the last one at
    /// its lower bound, since more is not known.
    pub(crate) fn from_explicit(bounds: &[f64], counts: &[u64], sum: f64) -> Self {
        let mut sketch = Self { sum_nanos: nanos(sum), ..Self::default() };
        for (position, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let lower = position.checked_sub(1).and_then(|i| bounds.get(i)).copied().unwrap_or(0.0);
            let upper = bounds.get(position).copied().unwrap_or(lower);
            let middle = if lower > 0.0 { (lower * upper).sqrt() } else { upper / 2.0 };
            let mut one = Self::default();
            one.add_seconds(middle, count);
            sketch.merge(&one);
        }
        sketch
    }

    /// How many values it holds.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().fold(self.zero, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Adds what the other holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.zero = self.zero.saturating_add(other.zero);
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        self.buckets = combine(&self.buckets, &other.buckets, |ours, theirs| ours.saturating_add(theirs));
    }

    /// What came since `earlier`, an older state of the same cumulative stream.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            zero: self.zero.saturating_sub(earlier.zero),
            sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos),
            buckets: combine(&self.buckets, &earlier.buckets, |now, before| now.saturating_sub(before)),
        }
    }

    /// The stored form, see the module.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 3 * self.buckets.len());
        out.push(VERSION);
        varint::put(&mut out, self.zero);
        varint::put(&mut out, self.sum_nanos);
        varint::put(&mut out, self.buckets.len() as u64);
        let mut last = None;
        for &(index, count) in &self.buckets {
            match last {
                None => varint::put(&mut out, varint::zigzag(i64::from(index))),
                Some(last) => varint::put(&mut out, (index - last) as u64),
            }
            varint::put(&mut out, count);
            last = Some(index);
        }
        out
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Unreadable`] for bytes that [`encode`](Self::encode) cannot have written.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut sketch = Self::default();
        let head = read(bytes, |index, count| sketch.buckets.push((index, count)))?;
        sketch.zero = head.zero;
        sketch.sum_nanos = head.sum_nanos;
        Ok(sketch)
    }

    fn add_seconds(&mut self, seconds: f64, count: u64) {
        let mut one = Self::default();
        if seconds > 0.0 {
            let index = ((seconds.log2() * 32.0).ceil() as i64 - 1).clamp(MIN_INDEX, MAX_INDEX);
            one.buckets.push((index as i32, count));
        } else {
            one.zero = count;
        }
        self.merge(&one);
    }
}

/// Many sketches added up for their quantiles: dense, so that adding one costs no search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantiles {
    zero: u64,
    count: u64,
    sum_nanos: u64,
    first: i32,
    counts: Vec<u64>,
}

impl Quantiles {
    /// Adds an encoded sketch.
    ///
    /// # Errors
    /// [`Unreadable`] for bytes that are no sketch; what was read up to there has been added.
    pub(crate) fn add(&mut self, encoded: &[u8]) -> Result<(), Unreadable> {
        let mut added = 0u64;
        let head = read(encoded, |index, count| {
            added = added.saturating_add(count);
            self.add_bucket(index, count);
        })?;
        self.zero = self.zero.saturating_add(head.zero);
        self.sum_nanos = self.sum_nanos.saturating_add(head.sum_nanos);
        self.count = self.count.saturating_add(added).saturating_add(head.zero);
        Ok(())
    }

    /// How many values were added.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The value in seconds that the share `q` (0 to 1) of the values does not exceed; `None` without values.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = self.zero;
        if seen >= rank {
            return Some(0.0);
        }
        for (position, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(midpoint(self.first + position as i32));
            }
        }
        None
    }

    fn add_bucket(&mut self, index: i32, count: u64) {
        if self.counts.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let missing = (self.first - index) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = index;
        }
        let position = (index - self.first) as usize;
        if position >= self.counts.len() {
            self.counts.resize(position + 1, 0);
        }
        if let Some(slot) = self.counts.get_mut(position) {
            *slot = slot.saturating_add(count);
        }
    }
}

struct Head {
    zero: u64,
    sum_nanos: u64,
}

fn read(bytes: &[u8], mut bucket: impl FnMut(i32, u64)) -> Result<Head, Unreadable> {
    let (&version, mut rest) = bytes.split_first().ok_or(Unreadable)?;
    if version != VERSION {
        return Err(Unreadable);
    }
    let mut next = || varint::take(&mut rest).ok_or(Unreadable);
    let (zero, sum_nanos, len) = (next()?, next()?, next()?);
    let mut index = None;
    for _ in 0..len {
        let step = next()?;
        let at = match index {
            None => varint::unzigzag(step),
            Some(last) if step > 0 && step <= (MAX_INDEX - MIN_INDEX) as u64 => last + step as i64,
            Some(_) => return Err(Unreadable),
        };
        if !(MIN_INDEX..=MAX_INDEX).contains(&at) {
            return Err(Unreadable);
        }
        bucket(at as i32, next()?);
        index = Some(at);
    }
    if rest.is_empty() { Ok(Head { zero, sum_nanos }) } else { Err(Unreadable) }
}

/// The index at our scale for a bucket of another. Buckets include their upper bound, so that two neighbours of a
/// finer scale fall into one by halving the index, rounded down.
fn rescale(scale: i32, index: i64) -> i32 {
    let index = if scale >= SCALE {
        index >> (scale - SCALE).min(63)
    } else {
        // The midpoint 2^((i + 1/2) / 2^scale) is the upper bound of this bucket, and belongs to it.
        let doubled = i128::from(index) * 2 + 1;
        let scaled = doubled << (SCALE - 1).saturating_sub(scale).min(60);
        (scaled - 1).clamp(i128::from(MIN_INDEX), i128::from(MAX_INDEX)) as i64
    };
    index.clamp(MIN_INDEX, MAX_INDEX) as i32
}

fn midpoint(index: i32) -> f64 {
    ((f64::from(index) + 0.5) / 32.0).exp2()
}

fn nanos(seconds: f64) -> u64 {
    // A cast saturates, and NaN becomes 0.
    (seconds * 1e9).round() as u64
}

/// Merges two ascending lists by index; an absent count is 0, and a resulting 0 is left out.
fn combine(a: &[(i32, u64)], b: &[(i32, u64)], op: impl Fn(u64, u64) -> u64) -> Vec<(i32, u64)> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let (index, x, y) = match (a.peek().copied(), b.peek().copied()) {
            (None, None) => return out,
            (Some((i, x)), None) => (i, x, 0),
            (None, Some((j, y))) => (j, 0, y),
            (Some((i, x)), Some((j, y))) => {
                (i.min(j), if i <= j { x } else { 0 }, if j <= i { y } else { 0 })
            }
        };
        a.next_if(|(i, _)| *i == index);
        b.next_if(|(j, _)| *j == index);
        let count = op(x, y);
        if count > 0 {
            out.push((index, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch_of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|v| sketch.add_seconds(*v, 1));
        sketch
    }

    fn quantiles_of(sketches: &[&Sketch]) -> Quantiles {
        let mut all = Quantiles::default();
        sketches.iter().for_each(|s| all.add(&s.encode()).unwrap());
        all
    }

    #[test]
    fn buckets_include_their_upper_bound() {
        let indices =
            |values: &[f64]| values.iter().map(|v| sketch_of(&[*v]).buckets[0].0).collect::<Vec<_>>();
        assert_eq!(indices(&[0.5, 1.0, 1.0001, 2.0, 1e-30, 1e30]), [-33, -1, 0, 31, -1280, 1279]);
    }

    #[test]
    fn other_scales_fold_into_ours() {
        let of =
            |scale, offset, counts: &[u64]| Sketch::from_exponential(scale, 0, offset, counts, 0.0).buckets;
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
        let sketch = Sketch::from_explicit(&[0.1, 0.4], &[1, 2, 3], 1.5);
        let all = quantiles_of(&[&sketch]);
        assert_eq!(sketch.count(), 6);
        for (q, expected) in [(0.1, 0.05), (0.5, 0.2), (1.0, 0.4)] {
            let got = all.quantile(q).unwrap();
            assert!((got / expected - 1.0).abs() < 0.011, "{q}: {got} for {expected}");
        }
    }

    #[test]
    fn without_values_there_is_no_quantile() {
        assert_eq!(Quantiles::default().quantile(0.5), None);
        assert_eq!(quantiles_of(&[&sketch_of(&[0.0])]).quantile(0.5), Some(0.0));
    }

    proptest! {
        #[test]
        fn every_quantile_is_within_1_1_percent(mut values in prop::collection::vec(1e-9f64..1e5, 1..300), q in 0.0f64..=1.0) {
            let got = quantiles_of(&[&sketch_of(&values)]).quantile(q).unwrap();
            values.sort_by(f64::total_cmp);
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            prop_assert!((got / exact - 1.0).abs() <= 0.011, "{} for {}", got, exact);
        }

        #[test]
        fn merging_has_no_order_and_undoes(a in prop::collection::vec(0.0f64..10.0, 0..50), b in prop::collection::vec(0.0f64..10.0, 0..50)) {
            let (x, y) = (sketch_of(&a), sketch_of(&b));
            let (mut xy, mut yx) = (x.clone(), y.clone());
            xy.merge(&y);
            yx.merge(&x);
            prop_assert_eq!(&xy, &yx);
            prop_assert_eq!(xy.since(&x), y);
            prop_assert_eq!(xy.count(), (a.len() + b.len()) as u64);
        }

        #[test]
        fn stored_sketches_come_back(zero: u64, sum in 0.0f64..1e6, offset in -2000i32..2000, counts in prop::collection::vec(0u64..1000, 0..60), scale in -10i32..=20) {
            let sketch = Sketch::from_exponential(scale, zero, offset, &counts, sum);
            prop_assert_eq!(Sketch::decode(&sketch.encode()), Ok(sketch));
        }

        #[test]
        fn garbage_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sketch::decode(&bytes);
        }
    }
}
