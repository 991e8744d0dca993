//! The sequence numbers of one sender that have arrived, as a list of intervals. A missing number below the highest is a
//! gap, and a gap that stays is a proven loss.

use gatelens_model::varint;

/// More intervals than this are not kept: the lowest gap is then closed and counted as lost for good.
const MAX_RANGES: usize = 1024;
const VERSION: u8 = 1;

/// The numbers received, from 1 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Missing numbers whose place is no longer kept.
    closed: u64,
    /// Inclusive intervals, ascending, at least one number apart.
    ranges: Vec<(u64, u64)>,
}

impl Received {
    /// Notes a number; one that was there already changes nothing.
    pub(crate) fn insert(&mut self, number: u64) {
        // The first interval that ends at or after the number before this one: it may hold or touch it.
        let at = self.ranges.partition_point(|(_, last)| *last < number.saturating_sub(1));
        match self.ranges.get_mut(at) {
            Some((first, last)) if *first <= number.saturating_add(1) => {
                *first = (*first).min(number);
                *last = (*last).max(number);
                let last = *last;
                if let Some(&(next_first, next_last)) = self.ranges.get(at + 1)
                    && next_first <= last.saturating_add(1)
                {
                    self.ranges.remove(at + 1);
                    if let Some((_, last)) = self.ranges.get_mut(at) {
                        *last = next_last;
                    }
                }
            }
            _ => self.ranges.insert(at, (number, number)),
        }
        self.close_lowest();
    }

    /// Whether a number has arrived, or is not kept any more.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < number);
        self.ranges.get(at).is_some_and(|(first, _)| *first <= number)
    }

    /// Notes all that another list has.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.closed = self.closed.max(other.closed);
        self.ranges.extend(&other.ranges);
        self.ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.ranges.len());
        for &(first, last) in &self.ranges {
            match merged.last_mut().filter(|before| first <= before.1.saturating_add(1)) {
                Some(before) => before.1 = before.1.max(last),
                None => merged.push((first, last)),
            }
        }
        self.ranges = merged;
        self.close_lowest();
    }

    /// Closes the lowest gaps where there are too many.
    fn close_lowest(&mut self) {
        let Some(last) = self.ranges.len().checked_sub(MAX_RANGES).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut expected = 1u64;
        for (first, end) in self.ranges.drain(..last) {
            self.closed = self.closed.saturating_add(first.saturating_sub(expected));
            expected = end.saturating_add(1);
        }
        if let Some((first, _)) = self.ranges.first_mut() {
            self.closed = self.closed.saturating_add(first.saturating_sub(expected));
            *first = 1;
        }
    }

    /// How many numbers below the highest are missing.
    pub(crate) fn gaps(&self) -> u64 {
        let mut missing = self.closed;
        let mut expected = 1u64;
        for (first, last) in &self.ranges {
            missing = missing.saturating_add(first.saturating_sub(expected));
            expected = last.saturating_add(1);
        }
        missing
    }

    /// The stored form: a version byte, then as varints the closed gaps and each interval's distance and length.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        varint::put(&mut out, self.closed);
        let mut end = 0u64;
        for (first, last) in &self.ranges {
            varint::put(&mut out, first - end);
            varint::put(&mut out, last - first);
            end = *last;
        }
        out
    }

    /// Reads the stored form; `None` for bytes that are none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, mut rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let mut received = Self { closed: varint::take(&mut rest)?, ranges: Vec::new() };
        let mut end = 0u64;
        while !rest.is_empty() {
            let first = end.checked_add(varint::take(&mut rest)?)?;
            let last = first.checked_add(varint::take(&mut rest)?)?;
            received.ranges.push((first, last));
            end = last;
        }
        Some(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn gaps_are_those_of_a_set(numbers in prop::collection::vec(1u64..60, 0..80)) {
            let mut received = Received::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                received.insert(number);
                set.insert(number);
                let highest = set.last().copied().unwrap_or(0);
                prop_assert_eq!(received.gaps(), highest - set.len() as u64);
                prop_assert_eq!(Received::decode(&received.encode()), Some(received.clone()));
            }
        }

        #[test]
        fn merging_is_inserting_all(a in prop::collection::vec(1u64..60, 0..40), b in prop::collection::vec(1u64..60, 0..40)) {
            let of = |numbers: &[u64]| {
                let mut received = Received::default();
                numbers.iter().for_each(|number| received.insert(*number));
                received
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn garbage_is_refused_or_read(bytes: Vec<u8>) {
            let _ = Received::decode(&bytes);
        }
    }

    #[test]
    fn many_gaps_are_counted_though_not_kept() {
        let mut received = Received::default();
        for number in 1..=5_000u64 {
            received.insert(number * 3);
        }
        assert!(received.ranges.len() <= MAX_RANGES);
        assert_eq!(received.gaps(), 10_000);
    }
}
