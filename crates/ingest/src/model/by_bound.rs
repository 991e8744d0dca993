//! Requests by duration, counted apart at the bounds that the sender names.

use std::sync::{Arc, LazyLock};

/// Most bounds of a list. A longer list, or one that does not rise, counts as none.
pub(crate) const MAX_BOUNDS: usize = 64;

/// The default of `counters.bounds_seconds`, in nanoseconds. Stored forms refer to it, so it never changes here.
pub(crate) static DEFAULT_BOUNDS: LazyLock<Arc<[u64]>> = LazyLock::new(|| {
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000].map(|ms: u64| ms * 1_000_000).into()
});

/// Counts between bounds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ByBound {
    /// Upper bounds in nanoseconds, rising; none where nothing is counted.
    bounds: Arc<[u64]>,
    /// Durations up to each bound and above the one before; one more for the rest.
    counts: Vec<u64>,
}

impl ByBound {
    /// Counts at bounds in nanoseconds. Nothing where the bounds do not rise or the numbers do not fit.
    pub(crate) fn new(bounds: Arc<[u64]>, counts: Vec<u64>) -> Self {
        let rises = bounds.first().is_some_and(|first| *first > 0) && bounds.is_sorted_by(|a, b| a < b);
        if rises && bounds.len() <= MAX_BOUNDS && counts.len() == bounds.len() + 1 {
            Self { bounds, counts }
        } else {
            Self::default()
        }
    }

    /// The same at bounds in seconds.
    pub(crate) fn at_seconds(seconds: &[f64], counts: Vec<u64>) -> Self {
        if seconds.len() > MAX_BOUNDS {
            return Self::default();
        }
        // A cast saturates, and NaN becomes 0, which is not a bound.
        let nanos = || seconds.iter().map(|bound| (bound * 1e9).round() as u64);
        let bounds = if nanos().eq(DEFAULT_BOUNDS.iter().copied()) {
            DEFAULT_BOUNDS.clone()
        } else {
            nanos().collect()
        };
        Self::new(bounds, counts)
    }

    /// Upper bounds in nanoseconds.
    pub(crate) fn bounds(&self) -> &Arc<[u64]> {
        &self.bounds
    }

    /// Durations up to each bound and above the one before, and the rest.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Requests in all.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The change since `earlier`; nothing where the count did not rise. Without earlier counts at these bounds all is
    /// new.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        if self.bounds != earlier.bounds {
            return self.clone();
        }
        if self.total() <= earlier.total() {
            return Self::default();
        }
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, before)| now.saturating_sub(*before));
        Self { bounds: Arc::clone(&self.bounds), counts: counts.collect() }
    }

    /// Adds what the other holds. Counts at other bounds take the place of these.
    pub(crate) fn add(&mut self, other: &Self) {
        if other.bounds.is_empty() {
            return;
        }
        if self.bounds != other.bounds {
            self.clone_from(other);
            return;
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_none_counts_nothing() {
        let check = |seconds: &[f64], counts: &[u64], expected: usize| {
            let found = ByBound::at_seconds(seconds, counts.to_vec());
            assert_eq!(found.bounds().len(), expected, "{seconds:?}");
        };
        check(&[0.1, 1.0], &[1, 2, 3], 2);
        check(&[0.1, 1.0], &[1, 2], 0);
        check(&[1.0, 0.1], &[1, 2, 3], 0);
        check(&[0.0, 0.1], &[1, 2, 3], 0);
        check(&[f64::NAN], &[1, 2], 0);
        check(&[], &[1], 0);
        check(&[1.0; MAX_BOUNDS + 1], &[0; MAX_BOUNDS + 2], 0);
    }

    #[test]
    fn a_change_is_the_inverse_of_adding() {
        let at = |counts: [u64; 3]| ByBound::at_seconds(&[0.1, 1.0], counts.to_vec());
        let mut sum = at([1, 0, 2]);
        sum.add(&at([0, 5, 1]));
        assert_eq!(sum, at([1, 5, 3]));
        assert_eq!(sum.since(&at([1, 0, 2])), at([0, 5, 1]));
        assert_eq!(at([1, 0, 2]).since(&sum), ByBound::default());
        assert_eq!(sum.since(&ByBound::default()), sum);
    }
}
