//! Percentiles out of many stored sketches.

use crate::store::packed::Buckets;
use crate::store::sketch::{self, Unreadable};
use gatelens_model::varint;

/// Many sketches added up for their quantiles: dense, so that adding one costs no search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantiles {
    zeros: u64,
    count: u64,
    /// Nanoseconds.
    sum_ns: u64,
    first: i32,
    counts: Vec<u64>,
}

impl Quantiles {
    /// Adds an encoded sketch.
    ///
    /// # Errors
    /// [`Unreadable`] for bytes that are not a sketch; the buckets before the fault have been added.
    pub(crate) fn add(&mut self, encoded: &[u8]) -> Result<(), Unreadable> {
        let mut added = 0u64;
        let head = sketch::read(encoded, |index, count| {
            added = added.saturating_add(count);
            self.add_bucket(index.into(), count);
        })?;
        self.zeros = self.zeros.saturating_add(head.zeros);
        self.count = self.count.saturating_add(added).saturating_add(head.zeros);
        self.sum_ns = self.sum_ns.saturating_add(head.sum_ns);
        Ok(())
    }

    /// Adds an unpacked sketch.
    pub(crate) fn add_unpacked(&mut self, Buckets { zeros, sum_ns, buckets }: Buckets<'_>) {
        self.sum_ns = self.sum_ns.saturating_add(sum_ns);
        self.zeros = self.zeros.saturating_add(zeros);
        self.count = self.count.saturating_add(zeros);
        for &(index, count) in buckets {
            self.count = self.count.saturating_add(count);
            self.add_bucket(index.into(), count);
        }
    }

    /// Adds zeros, a sum in nanoseconds, and counts by bucket.
    pub(crate) fn add_buckets(&mut self, (zeros, sum_ns): (u64, u64), buckets: &[(i16, u64)]) {
        self.add_unpacked(Buckets { zeros, sum_ns, buckets });
    }

    /// How many values were added.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values, in nanoseconds.
    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// Values of exactly zero.
    pub(crate) fn zeros(&self) -> u64 {
        self.zeros
    }

    /// The buckets with values, by rising index.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i32, u64)> {
        (self.first..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// The value in seconds that the share `q` (0 to 1) of the values does not exceed; `None` without values.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = self.zeros;
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

    /// Appends a form for memory: the zeros, the sum, the first index, and the count of each bucket from there on.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        let used = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        varint::put(out, self.zeros);
        varint::put(out, self.sum_ns);
        varint::put_signed(out, self.first.into());
        varint::put(out, used as u64);
        self.counts.iter().take(used).for_each(|count| varint::put(out, *count));
    }

    /// Adds what [`pack`](Self::pack) has appended, and takes it off the front.
    pub(super) fn add_packed(&mut self, packed: &mut &[u8]) {
        let zeros = varint::take(packed).unwrap_or_default();
        self.zeros = self.zeros.saturating_add(zeros);
        self.count = self.count.saturating_add(zeros);
        self.sum_ns = self.sum_ns.saturating_add(varint::take(packed).unwrap_or_default());
        let first =
            varint::take_signed(packed).and_then(|first| i32::try_from(first).ok()).unwrap_or_default();
        let used = varint::take(packed).unwrap_or_default();
        for place in 0..i32::try_from(used).unwrap_or_default() {
            let count = varint::take(packed).unwrap_or_default();
            if count > 0 {
                self.count = self.count.saturating_add(count);
                self.add_bucket(first.saturating_add(place), count);
            }
        }
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

fn midpoint(index: i32) -> f64 {
    ((f64::from(index) + 0.5) / 32.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatelens_model::sketch::Sketch;
    use proptest::prelude::*;

    fn quantiles_of(parts: &[&[u64]]) -> Quantiles {
        let mut all = Quantiles::default();
        for part in parts {
            let mut one = Sketch::default();
            part.iter().for_each(|ns| one.insert(*ns));
            all.add(&sketch::encode(&one)).unwrap();
        }
        all
    }

    #[test]
    fn without_values_there_is_no_quantile() {
        assert_eq!(Quantiles::default().quantile(0.5), None);
        assert_eq!(quantiles_of(&[&[0]]).quantile(0.5), Some(0.0));
    }

    proptest! {
        #[test]
        fn every_quantile_is_within_1_1_percent(mut values in prop::collection::vec(1u64..1 << 47, 1..300), q in 0.0f64..=1.0) {
            let half = values.len() / 2;
            let all = quantiles_of(&[&values[..half], &values[half..]]);
            let got = all.quantile(q).unwrap();
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1] as f64 / 1e9;
            prop_assert!((got / exact - 1.0).abs() <= 0.011, "{} for {}", got, exact);
            prop_assert_eq!(all.count(), values.len() as u64);
        }

        #[test]
        fn packed_quantiles_come_back(values in prop::collection::vec(0u64..1 << 47, 0..300), q in 0.0f64..=1.0) {
            let (half, mut packed) = (values.len() / 2, Vec::new());
            for part in [&values[..half], &values[half..]] {
                quantiles_of(&[part]).pack(&mut packed);
            }
            let (mut all, mut rest) = (Quantiles::default(), packed.as_slice());
            all.add_packed(&mut rest);
            all.add_packed(&mut rest);
            let expected = quantiles_of(&[&values]);
            prop_assert_eq!((all.count(), all.quantile(q)), (expected.count(), expected.quantile(q)));
            prop_assert!(rest.is_empty());
        }

        /// A part of each value is spent somewhere: no quantile of the parts exceeds that of the wholes.
        #[test]
        fn of_the_same_population_a_part_is_never_above_the_whole(
            pairs in prop::collection::vec((0u64..1 << 40, 0.0f64..=1.0), 1..300),
            q in 0.0f64..=1.0,
        ) {
            let wholes: Vec<u64> = pairs.iter().map(|(whole, _)| *whole).collect();
            let parts: Vec<u64> = pairs.iter().map(|(whole, share)| (*whole as f64 * share) as u64).collect();
            let [wholes, parts] = [wholes, parts].map(|values| quantiles_of(&[&values]).quantile(q));
            prop_assert!(parts <= wholes, "{:?} above {:?}", parts, wholes);
        }
    }
}
