//! A mergeable histogram of durations: base-2 exponential, of fixed scale 5, in seconds.
//!
//! Bucket `i` covers `(2^(i/32), 2^((i+1)/32)]` seconds, as an OpenTelemetry exponential histogram of scale 5 does, so a
//! quantile read from it is off by at most 1.1 %. Merging adds counts; the order does not matter.

use crate::varint;

/// The scale, as OTLP names it: thirty-two buckets for each doubling.
pub const SCALE: i32 = 5;

/// Mantissas of 2^(k/32), rounded down; all powers except the first are irrational, so "greater" decides exactly.
const BOUNDS: [u64; 32] = [
    0x0000000000000,
    0x059b0d3158574,
    0x0b5586cf9890f,
    0x11301d0125b50,
    0x172b83c7d517a,
    0x1d4873168b9aa,
    0x2387a6e756238,
    0x29e9df51fdee1,
    0x306fe0a31b715,
    0x371a7373aa9ca,
    0x3dea64c123422,
    0x44e086061892d,
    0x4bfdad5362a27,
    0x5342b569d4f81,
    0x5ab07dd485429,
    0x6247eb03a5584,
    0x6a09e667f3bcc,
    0x71f75e8ec5f73,
    0x7a11473eb0186,
    0x82589994cce12,
    0x8ace5422aa0db,
    0x93737b0cdc5e4,
    0x9c49182a3f090,
    0xa5503b23e255c,
    0xae89f995ad3ad,
    0xb7f76f2fb5e46,
    0xc199bdd85529c,
    0xcb720dcef9069,
    0xd5818dcfba487,
    0xdfc97337b9b5e,
    0xea4afa2a490d9,
    0xf50765b6e4540,
];

/// Counts by bucket, with their exact sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Values in all, zeros included.
    pub count: u64,
    /// Sum of all values in nanoseconds; it saturates after 584 years.
    pub sum_ns: u64,
    /// Values of exactly zero.
    pub zeros: u64,
    /// Bucket index and count, by rising index; no count is zero.
    buckets: Vec<(i16, u64)>,
}

impl Sketch {
    /// Adds one duration in nanoseconds.
    pub fn insert(&mut self, duration_ns: u64) {
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
        if duration_ns == 0 {
            self.zeros = self.zeros.saturating_add(1);
        } else {
            self.add(bucket_index(duration_ns), 1);
        }
    }

    /// Adds all that another sketch holds.
    #[inline(never)]
    pub fn merge(&mut self, other: &Sketch) {
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (index, count) in &other.buckets {
            self.add(*index, *count);
        }
    }

    /// A sketch without values whose sum is given: its buckets are inserted one by one.
    pub fn with_sum(sum_ns: u64) -> Self {
        Self { sum_ns, ..Self::default() }
    }

    /// Counts values of exactly zero. They add nothing to [`Sketch::sum_ns`].
    pub fn insert_zeros(&mut self, count: u64) {
        self.count = self.count.saturating_add(count);
        self.zeros = self.zeros.saturating_add(count);
    }

    /// Counts values of a bucket. [`Sketch::sum_ns`] stays as it is.
    pub fn insert_bucket(&mut self, index: i16, count: u64) {
        if count > 0 {
            self.count = self.count.saturating_add(count);
            self.add(index, count);
        }
    }

    /// The change since `earlier`, an older state of the same cumulative stream. A count that fell has changed by 0.
    #[inline(never)]
    pub fn since(&self, earlier: &Sketch) -> Sketch {
        let mut change = Sketch { sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns), ..Sketch::default() };
        change.insert_zeros(self.zeros.saturating_sub(earlier.zeros));
        let mut before = earlier.buckets.iter().peekable();
        for &(index, count) in &self.buckets {
            while before.next_if(|(other, _)| *other < index).is_some() {}
            let known = before.next_if(|(other, _)| *other == index).map_or(0, |(_, count)| *count);
            change.insert_bucket(index, count.saturating_sub(known));
        }
        change
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum_ns, self.zeros) = (0, 0, 0);
    }

    /// Occupied buckets by rising index.
    pub fn buckets(&self) -> &[(i16, u64)] {
        &self.buckets
    }

    fn add(&mut self, index: i16, count: u64) {
        // Buckets come by rising index, except those of single values.
        if self.buckets.last().is_none_or(|(last, _)| *last < index) {
            self.buckets.push((index, count));
            return;
        }
        match self.buckets.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(position) => {
                if let Some((_, present)) = self.buckets.get_mut(position) {
                    *present = present.saturating_add(count);
                }
            }
            Err(position) => self.buckets.insert(position, (index, count)),
        }
    }

    /// Appends the encoding for shared data: count, sum, zeros, number of buckets; per bucket the signed distance from
    /// the previous index and the count; all LEB128.
    #[inline(never)]
    pub fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.count);
        varint::put(out, self.sum_ns);
        varint::put(out, self.zeros);
        varint::put(out, self.buckets.len() as u64);
        let mut before = 0i64;
        for (index, count) in &self.buckets {
            varint::put_signed(out, i64::from(*index).wrapping_sub(before));
            varint::put(out, *count);
            before = i64::from(*index);
        }
    }

    /// Number and sum, in nanoseconds, of the values in what [`Sketch::encode`] wrote; `None` if it is malformed.
    pub fn totals(mut encoded: &[u8]) -> Option<(u64, u64)> {
        Some((varint::take(&mut encoded)?, varint::take(&mut encoded)?))
    }

    /// Reads what [`Sketch::encode`] wrote, from the front of `input`; `None` if it is malformed.
    #[inline(never)]
    pub fn decode(input: &mut &[u8]) -> Option<Self> {
        let mut sketch = Self {
            count: varint::take(input)?,
            sum_ns: varint::take(input)?,
            zeros: varint::take(input)?,
            buckets: Vec::new(),
        };
        let buckets = varint::take(input)?;
        let mut index = 0i64;
        for _ in 0..buckets {
            index = index.checked_add(varint::take_signed(input)?)?;
            let count = varint::take(input)?;
            let rising = sketch.buckets.last().is_none_or(|(last, _)| i64::from(*last) < index);
            sketch.buckets.push((i16::try_from(index).ok().filter(|_| rising)?, count));
        }
        Some(sketch)
    }
}

/// The bucket of a duration above zero.
fn bucket_index(duration_ns: u64) -> i16 {
    let bits = (duration_ns as f64 / 1e9).to_bits();
    let exponent = ((bits >> 52) as i32).wrapping_sub(1023);
    let mantissa = bits & ((1 << 52) - 1);
    // log2(1 + x) lies between x and x + 0.09: the linear guess is at most three bounds too low.
    let guess = (mantissa >> 47) as usize;
    let above = BOUNDS.iter().skip(guess).take_while(|bound| mantissa > **bound).count();
    // Exponents of nanoseconds in a u64 lie within -30 and 35: all indices fit.
    exponent.wrapping_mul(32).wrapping_add(guess as i32).wrapping_add(above as i32).wrapping_sub(1) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch_of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|v| sketch.insert(*v));
        sketch
    }

    #[test]
    fn powers_of_two_belong_to_the_bucket_below() {
        let check = |ns: u64, index: i16| assert_eq!(bucket_index(ns), index, "{ns} ns");
        check(1_000_000_000, -1);
        check(1_000_000_001, 0);
        check(2_000_000_000, 31);
        check(2_000_000_001, 32);
        check(500_000_000, -33);
        check(500_000_001, -32);
    }

    proptest! {
        #[test]
        fn a_value_lies_within_its_bucket(ns in 1u64..=u64::MAX / 2) {
            let index = f64::from(bucket_index(ns));
            let seconds = ns as f64 / 1e9;
            let slack = 1.0 + 1e-12;
            prop_assert!(seconds * slack > (index / 32.0).exp2());
            prop_assert!(seconds <= ((index + 1.0) / 32.0).exp2() * slack);
        }

        #[test]
        fn merging_equals_inserting_all(a in prop::collection::vec(any::<u32>(), 0..50), b in prop::collection::vec(any::<u32>(), 0..50)) {
            let widen = |v: &[u32]| v.iter().map(|x| u64::from(*x)).collect::<Vec<_>>();
            let (a, b) = (widen(&a), widen(&b));
            let mut one_way = sketch_of(&a);
            one_way.merge(&sketch_of(&b));
            let mut other_way = sketch_of(&b);
            other_way.merge(&sketch_of(&a));
            let all = sketch_of(&[a, b].concat());
            prop_assert_eq!(&one_way, &all);
            prop_assert_eq!(&other_way, &all);
            let mut encoded = Vec::new();
            all.encode(&mut encoded);
            let mut input = &encoded[..];
            prop_assert_eq!(Sketch::decode(&mut input), Some(all));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn a_change_is_the_inverse_of_merging(a in prop::collection::vec(any::<u32>(), 0..50), b in prop::collection::vec(any::<u32>(), 0..50)) {
            let [a, b] = [a, b].map(|values| values.iter().map(|v| u64::from(*v)).collect::<Vec<_>>());
            let mut later = sketch_of(&a);
            later.merge(&sketch_of(&b));
            prop_assert_eq!(later.since(&sketch_of(&a)), sketch_of(&b));
            // A state that was overtaken adds nothing.
            prop_assert_eq!(sketch_of(&a).since(&later), Sketch::default());
        }

        #[test]
        fn garbage_is_survived(bytes in any::<Vec<u8>>()) {
            let _ = Sketch::decode(&mut &bytes[..]);
        }
    }
}
