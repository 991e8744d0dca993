//! `latencies`: how many requests took how long, over time; and where their time was spent.
//!
//! A column is a step of time, a row a range of durations: some neighbouring buckets of the stored sketches, so that the
//! counts are exact. A range of more than a few hours is read from half hours, because a day of minutes would be thirty times
//! as many sketches. The sums of a step are kept in memory, and are the same as those of a `timeseries` with this step.

use super::counts::{Known, Span, coarse, in_half_hours, keeper, step_of};
use super::filter::{self, Filter};
use super::kept::Memory;
use super::params::Params;
use super::quantiles::Quantiles;
use super::range::{Range, rfc3339};
use super::rollup::{Counted, Groups, MINUTE_NANOS, Sums, add_up_step};
use crate::error::QueryError;
use crate::limits::Limits;
use serde::Serialize;

const MAX_COLUMNS: i64 = 300;
const MAX_ROWS: i32 = 60;
const MINUTE_SECONDS: i64 = 60;
const HALF_HOUR_SECONDS: i64 = 1800;
/// The longest range that is read from minutes unless a step asks for it.
const MINUTES_FOR_SECONDS: i64 = 6 * 3600;
/// Seconds, for questions without a step. The last one fits the longest range that the store can hold.
const STEPS: [i64; 14] =
    [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 7 * 86_400, 31 * 86_400];

/// A question for the distribution of durations over time.
pub(crate) struct LatenciesQuery {
    range: Range,
    filter: Filter,
    /// Seconds; a multiple of 60. Without one, it follows from the range.
    step: Option<i64>,
}

/// The answer to [`LatenciesQuery`].
#[derive(Serialize)]
pub(crate) struct Latencies {
    from: String,
    to: String,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways_since: Option<String>,
    /// The bounds of the rows in milliseconds, one more than there are rows: a row is above the first of its two, up to and
    /// including the second. The first bound is 0 where durations of 0 were counted, which belong to the first row.
    bounds_ms: Vec<f64>,
    columns: Vec<Column>,
    /// As in `timeseries`.
    coarse: Vec<Span>,
}

#[derive(Serialize)]
struct Column {
    time: String,
    requests: u64,
    /// The sum of all durations.
    duration_ms: f64,
    /// The part of it that upstreams took, of requests of which it is known.
    upstream_ms: f64,
    /// The part that the gateway itself added, likewise.
    gateway_ms: f64,
    /// Requests by row.
    counts: Vec<u64>,
}

impl LatenciesQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64) -> Result<Self, QueryError> {
        let names: Vec<_> = ["from", "to", "step"].into_iter().chain(filter::names()).collect();
        let params = Params::parse(query, &names)?;
        let range = Range::read(&params, now)?.widened(MINUTE_SECONDS);
        let step = params.one("step")?.map(|_| step_of(&params)).transpose()?;
        if step.is_some_and(|step| range.widened(step).seconds() / step > MAX_COLUMNS) {
            let message = format!(
                "the answer would have more than {MAX_COLUMNS} columns: ask for a longer step or a shorter range"
            );
            return Err(QueryError::TooMuch { field: "step", message });
        }
        Ok(Self { range, filter: Filter::read(&params)?, step })
    }

    /// The answer out of the store.
    pub(crate) fn answer(
        &self,
        counted: &dyn Counted,
        limits: &Limits,
        memory: Option<Memory<'_>>,
    ) -> Result<Latencies, QueryError> {
        let mut groups = Groups::find(counted, &self.filter, &[], limits)?;
        let since = counted.since()?.saturating_mul(MINUTE_NANOS);
        let mut step = self.step.unwrap_or_else(|| step_for(self.range, since));
        let mut known = Known::of(counted, self.range.widened(step), &groups)?;
        if known.range.from < since {
            step = in_half_hours(step);
            known = Known::of(counted, self.range.widened(step), &groups)?;
        }
        let Known { range, gateways_since, .. } = known;
        let range = if gateways_since.is_some() { range.shrunk_from(step) } else { range };
        let minutes = step / MINUTE_SECONDS;
        let mut keeper = keeper(memory, (&[], &self.filter), &groups, limits);
        counted.expect(range.minutes(), minutes, &groups)?;
        let mut steps = Vec::new();
        let mut start = range.from / MINUTE_NANOS;
        while start < range.to / MINUTE_NANOS {
            let mut sums = Vec::new();
            let step = (start, start + minutes);
            add_up_step(counted, step, &mut groups, keeper.as_mut(), &mut sums)?;
            let sums = sums.into_iter().flatten().next().unwrap_or_default();
            steps.push((start * MINUTE_NANOS, sums));
            start += minutes;
        }
        let rows = Rows::of(steps.iter().map(|(_, step)| &step.duration));
        let columns = steps.iter().map(|(time, step)| column(*time, step, &rows)).collect();
        let coarse = coarse(counted.file(), range, &self.filter)?;
        let (from, to) = (rfc3339(range.from), rfc3339(range.to));
        Ok(Latencies { from, to, step, gateways_since, bounds_ms: rows.bounds_ms(), columns, coarse })
    }
}

/// The shortest step that gives a range few enough columns, and reads few enough sketches.
fn step_for(range: Range, since: i64) -> i64 {
    let coarse = range.from < since || range.seconds() > MINUTES_FOR_SECONDS;
    let least = if coarse { HALF_HOUR_SECONDS } else { MINUTE_SECONDS };
    let fits = |step: &i64| *step >= least && range.widened(*step).seconds() / step <= MAX_COLUMNS;
    STEPS.into_iter().find(fits).unwrap_or(STEPS[STEPS.len() - 1])
}

fn column(time: i64, sums: &Sums, rows: &Rows) -> Column {
    let ms = |quantiles: &Quantiles| quantiles.sum_ns() as f64 / 1e6;
    Column {
        time: rfc3339(time),
        requests: sums.duration.count(),
        duration_ms: ms(&sums.duration),
        upstream_ms: ms(&sums.upstream),
        gateway_ms: ms(&sums.gateway),
        counts: rows.counts(&sums.duration),
    }
}

/// How the buckets of sketches become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rows {
    /// Buckets in a row: a power of 2.
    width: i32,
    /// The first row, counted from the bucket 0.
    first: i32,
    len: usize,
    /// Whether the first row has durations of 0.
    has_zeros: bool,
}

impl Rows {
    /// As few buckets in a row as the bound on rows allows.
    fn of<'a>(all: impl Iterator<Item = &'a Quantiles>) -> Self {
        let (mut edges, mut has_zeros) = (None, false);
        for one in all {
            has_zeros |= one.zeros() > 0;
            for (index, _) in one.buckets() {
                let (least, most) = edges.unwrap_or((index, index));
                edges = Some((least.min(index), most.max(index)));
            }
        }
        let Some((least, most)) = edges else {
            // Durations of 0 alone have a row up to a nanosecond.
            return Self { width: 32, first: -30, len: usize::from(has_zeros), has_zeros };
        };
        let mut width = 1;
        while most.div_euclid(width) - least.div_euclid(width) >= MAX_ROWS {
            width *= 2;
        }
        let first = least.div_euclid(width);
        Self { width, first, len: (most.div_euclid(width) - first + 1) as usize, has_zeros }
    }

    fn counts(&self, one: &Quantiles) -> Vec<u64> {
        let mut counts = vec![0; self.len];
        if let Some(first) = counts.first_mut() {
            *first = one.zeros();
        }
        for (index, count) in one.buckets() {
            let row = usize::try_from(index.div_euclid(self.width) - self.first).ok();
            if let Some(slot) = row.and_then(|row| counts.get_mut(row)) {
                *slot = slot.saturating_add(count);
            }
        }
        counts
    }

    /// Whole nanoseconds, as durations are: a duration is above a bound exactly if it is above the bound rounded down.
    fn bounds_ms(&self) -> Vec<f64> {
        if self.len == 0 {
            return Vec::new();
        }
        let bound = |row: usize| {
            if row == 0 && self.has_zeros {
                return 0.0;
            }
            let bucket = (self.first + row as i32) * self.width;
            ((f64::from(bucket) / 32.0).exp2() * 1e9).floor() / 1e6
        };
        (0..=self.len).map(bound).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sketch;
    use gatelens_model::sketch::Sketch;
    use proptest::prelude::*;

    fn quantiles_of(values: &[u64]) -> Quantiles {
        let mut sketch = Sketch::default();
        values.iter().for_each(|ns| sketch.insert(*ns));
        let mut all = Quantiles::default();
        all.add(&sketch::encode(&sketch)).unwrap();
        all
    }

    #[test]
    fn the_step_follows_from_the_range() {
        let check = |hours: i64, since: i64, expected: i64| {
            let range = Range { from: 0, to: hours * 60 * MINUTE_NANOS };
            assert_eq!(step_for(range, since), expected, "{hours} hours");
        };
        check(1, 0, 60);
        check(5, 0, 60);
        check(6, 0, 120);
        check(7, 0, 1800);
        check(24, 0, 1800);
        check(7 * 24, 0, 3600);
        check(30 * 24, 0, 3 * 3600);
        check(400 * 24, 0, 7 * 86_400);
        // Minutes have expired.
        check(1, 1, 1800);
    }

    #[test]
    fn without_requests_there_are_no_rows() {
        let rows = Rows::of([Quantiles::default()].iter());
        assert_eq!((rows.bounds_ms(), rows.counts(&Quantiles::default())), (vec![], vec![]));
        let zeros = quantiles_of(&[0, 0]);
        let rows = Rows::of([&zeros].into_iter());
        assert_eq!((rows.bounds_ms(), rows.counts(&zeros)), (vec![0.0, 1e-6], vec![2]));
    }

    proptest! {
        /// Each row counts exactly the durations between its bounds.
        #[test]
        fn rows_count_what_is_between_their_bounds(values in prop::collection::vec(0u64..1 << 42, 1..200)) {
            let all = quantiles_of(&values);
            let rows = Rows::of([&all].into_iter());
            let (bounds, counts) = (rows.bounds_ms(), rows.counts(&all));
            prop_assert!(counts.len() <= MAX_ROWS as usize);
            prop_assert_eq!(bounds.len(), counts.len() + 1);
            for ((row, count), edges) in counts.iter().enumerate().zip(bounds.windows(2)) {
                let [low, high] = [edges[0], edges[1]].map(|ms| (ms * 1e6).round() as u64);
                let within = |ns: &&u64| **ns > low && **ns <= high || row == 0 && low == 0 && **ns == 0;
                prop_assert_eq!(*count, values.iter().filter(within).count() as u64, "row {} of {:?}", row, bounds);
            }
        }
    }
}
