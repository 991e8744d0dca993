//! The counters of one set of values of the labels.

use super::super::exemplars::Exemplar;
use super::metrics::Body;
use crate::model::{DEFAULT_BOUNDS, Tally};
use crate::store::totals::Total;
use gatelens_model::sketch::{SCALE, Sketch};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bounds of all senders together in one histogram. Further lists of bounds are left out.
const MAX_BOUNDS: usize = 128;

/// The counters of one set of values of the labels.
pub(crate) struct TrafficRow {
    pub(in crate::query) is_outbound: bool,
    /// In the order of the labels; an empty one is absent.
    pub(crate) values: Vec<String>,
    /// Unix nanoseconds.
    pub(crate) since: i64,
    /// By the bounds at which durations are counted.
    parts: BTreeMap<Arc<[u64]>, Total>,
    /// The last Unix minute that may have counts.
    last_minute: i64,
    /// The latest first.
    pub(in crate::query) exemplars: Vec<Exemplar>,
}

/// A bucket of a histogram.
pub(crate) struct Bucket<'a> {
    /// Nanoseconds; `None`: the last one has no bound.
    pub(crate) bound: Option<u64>,
    /// Requests up to the bound, which includes those of the buckets before.
    pub(crate) up_to: u64,
    /// The latest request that is in this bucket and in none before.
    pub(crate) exemplar: Option<&'a Exemplar>,
}

/// Requests in progress at the gateways of a service.
pub(crate) struct ActiveRow {
    pub(super) is_outbound: bool,
    /// In the order of the labels; those that do not describe a gateway are empty.
    pub(crate) values: Vec<String>,
    pub(crate) requests: u64,
}

impl TrafficRow {
    /// A row without counts.
    pub(super) fn new(is_outbound: bool, values: Vec<String>) -> Self {
        let (parts, exemplars) = (BTreeMap::new(), Vec::new());
        Self { is_outbound, values, since: i64::MAX, parts, last_minute: i64::MIN, exemplars }
    }

    /// The sums of rows with the same values, which are given anew; all are of one direction.
    pub(super) fn added_up<'a>(rows: impl Iterator<Item = (Vec<String>, &'a Self)>) -> Vec<Self> {
        let mut sums: BTreeMap<Vec<String>, Self> = BTreeMap::new();
        for (values, row) in rows {
            let new = |values: &Vec<String>| Self::new(row.is_outbound, values.clone());
            let sum = sums.entry(values).or_insert_with_key(new);
            row.parts.values().for_each(|part| sum.add(Cow::Borrowed(part)));
            sum.counted(row.last_minute);
            sum.exemplars.extend(row.exemplars.iter().cloned());
        }
        let mut sums: Vec<Self> = sums.into_values().collect();
        sums.iter_mut()
            .for_each(|sum| sum.exemplars.sort_by_key(|exemplar| std::cmp::Reverse(exemplar.time)));
        sums
    }

    /// Adds the total of a series.
    pub(super) fn add(&mut self, total: Cow<'_, Total>) {
        self.since = self.since.min(total.since);
        match self.parts.get_mut(total.by_bound.bounds()) {
            Some(sum) => sum.add(&total),
            None => drop(self.parts.insert(Arc::clone(total.by_bound.bounds()), total.into_owned())),
        }
    }

    /// Notes a Unix minute that may have counts.
    pub(super) fn counted(&mut self, minute: i64) {
        self.last_minute = self.last_minute.max(minute);
    }

    /// Whether nothing was counted since a Unix minute, or ever.
    pub(super) fn is_stale(&self, minute: i64) -> bool {
        self.parts.is_empty() || self.last_minute < minute
    }

    /// Requests.
    pub(crate) fn count(&self) -> u64 {
        self.parts.values().fold(0, |sum, part| sum.saturating_add(part.count))
    }

    /// Sum of durations in nanoseconds.
    pub(crate) fn sum_ns(&self) -> u128 {
        self.parts.values().fold(0, |sum, part| sum.saturating_add(part.sum_ns))
    }

    /// Count and sum of the bytes of bodies.
    pub(crate) fn sizes(&self, body: Body) -> (u64, u64) {
        let mut sizes = Tally::default();
        for part in self.parts.values() {
            sizes.add(match body {
                Body::Request => part.request_bytes,
                Body::Response => part.response_bytes,
            });
        }
        (sizes.count, sizes.sum)
    }

    /// The distribution of all durations.
    pub(crate) fn sketch(&self) -> Sketch {
        let mut all = Sketch::default();
        self.parts.values().for_each(|part| all.merge(&part.sketch));
        all
    }

    /// The buckets of a histogram with these rising bounds, in nanoseconds, and one without a bound.
    pub(crate) fn buckets<'a>(&'a self, bounds: &[u64]) -> impl Iterator<Item = Bucket<'a>> {
        let count = self.count();
        let above = std::iter::once(None).chain(bounds.iter().copied().map(Some));
        let bounds = bounds.iter().copied().map(Some).chain([None]);
        above.zip(bounds).map(move |(above, bound)| Bucket {
            bound,
            // A bucket cannot count more than all.
            up_to: bound.map_or(count, |bound| self.up_to(bound).min(count)),
            exemplar: self.exemplar(above, bound),
        })
    }

    /// The latest request above a bound and up to another, in nanoseconds.
    fn exemplar(&self, above: Option<u64>, up_to: Option<u64>) -> Option<&Exemplar> {
        self.exemplars.iter().find(|exemplar| {
            let duration = exemplar.duration_ns;
            above.is_none_or(|bound| duration > bound) && up_to.is_none_or(|bound| duration <= bound)
        })
    }

    /// The bounds at which durations are counted, in nanoseconds; the default ones where there are none.
    pub(crate) fn bounds(&self) -> Vec<u64> {
        let mut bounds = BTreeSet::new();
        for list in self.parts.keys() {
            let new = list.iter().filter(|bound| !bounds.contains(*bound)).count();
            if bounds.len() + new <= MAX_BOUNDS {
                bounds.extend(list.iter().copied());
            }
        }
        if bounds.is_empty() {
            bounds.extend(DEFAULT_BOUNDS.iter().copied());
        }
        bounds.into_iter().collect()
    }

    /// Requests up to a bound in nanoseconds. They are exact where all senders count at the bound; where one does not, its part
    /// comes from its distribution, as if the bound were up to 2.2 % lower.
    fn up_to(&self, bound: u64) -> u64 {
        self.parts.values().fold(0, |sum, part| sum.saturating_add(up_to(part, bound)))
    }
}

/// Requests of a part up to a bound in nanoseconds.
fn up_to(part: &Total, bound: u64) -> u64 {
    let bounds = part.by_bound.bounds();
    let counts = part.by_bound.counts();
    let exactly =
        |places: usize| counts.iter().take(places).fold(0u64, |sum, count| sum.saturating_add(*count));
    match bounds.binary_search(&bound) {
        Ok(place) => exactly(place + 1),
        Err(place) => {
            let estimate = below(&part.sketch, bound);
            let (least, most) = match bounds.is_empty() {
                true => (0, part.count),
                false => (exactly(place), exactly(place + 1)),
            };
            estimate.clamp(least, most.max(least))
        }
    }
}

/// Requests in those buckets of a distribution that end at a bound or below.
fn below(sketch: &Sketch, bound: u64) -> u64 {
    let last = ((bound as f64 / 1e9).log2() * f64::from(SCALE).exp2()).floor() - 1.0;
    let within = sketch.buckets().iter().take_while(|(index, _)| f64::from(*index) <= last);
    within.fold(sketch.zeros, |sum, (_, count)| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ByBound;

    fn part(durations_ms: &[u64], bounds: &[f64]) -> Total {
        let mut sketch = Sketch::default();
        let mut counts = vec![0; bounds.len() + 1];
        for ms in durations_ms {
            sketch.insert(ms * 1_000_000);
            counts[bounds.partition_point(|bound| bound * 1e3 < *ms as f64)] += 1;
        }
        let by_bound = ByBound::at_seconds(bounds, counts);
        Total { count: sketch.count, sketch, by_bound, ..Total::default() }
    }

    /// Bounds in milliseconds, with the requests up to them. The last bucket has all.
    fn buckets(parts: Vec<Total>) -> Vec<(u64, u64)> {
        let mut row = TrafficRow::new(false, Vec::new());
        parts.into_iter().for_each(|part| row.add(Cow::Owned(part)));
        let bounds = row.bounds();
        let mut buckets: Vec<_> = row.buckets(&bounds).map(|bucket| (bucket.bound, bucket.up_to)).collect();
        assert_eq!(buckets.pop(), Some((None, row.count())));
        buckets.into_iter().map(|(bound, up_to)| (bound.unwrap() / 1_000_000, up_to)).collect()
    }

    #[test]
    fn buckets_are_exact_where_they_are_counted_and_rise_everywhere() {
        let one = part(&[100, 101, 900, 5_000], &[0.1, 1.0]);
        assert_eq!(buckets(vec![one.clone()]), [(100, 1), (1_000, 3)]);
        // The bucket of the distribution that has 200 ms ends above it, and all of these are between two exact counts.
        let other = part(&[150, 195, 300], &[0.2]);
        assert_eq!(buckets(vec![one, other.clone()]), [(100, 1), (200, 4), (1_000, 6)]);
        let neither = part(&[4, 90, 20_000], &[]);
        assert_eq!(buckets(vec![neither.clone()]).len(), DEFAULT_BOUNDS.len());
        assert_eq!(buckets(vec![other, neither]), [(200, 4)]);
    }
}
