//! The counters as single samples, as the text formats and remote write have them.

use crate::query::{Body, Bucket, Exemplar, Metric, Table, TrafficRow, What};
use gatelens_model::prometheus;
use std::fmt::{self, Display};

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const CREATED: &str = "_created";

/// A sample.
pub(crate) struct Sample<'a> {
    /// Behind the name of the family.
    pub(crate) suffix: &'static str,
    /// Of a bucket.
    pub(crate) bound: Option<String>,
    pub(crate) number: Number,
    /// A request in the bucket.
    pub(super) exemplar: Option<&'a Exemplar>,
}

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Count(u64),
    /// Nanoseconds, which are written as seconds.
    Nanos(u128),
}

impl Sample<'_> {
    /// Whether it is the time at which the counter was 0, which not all protocols have.
    pub(crate) fn is_created(&self) -> bool {
        self.suffix == CREATED
    }
}

impl Number {
    /// The nearest value.
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Nanos(nanos) => nanos as f64 / 1e9,
        }
    }
}

impl Display for Number {
    /// Writes a time with all of its nanoseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Nanos(nanos) => {
                let text = format!("{}.{:09}", nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
                let short = text.trim_end_matches('0');
                write!(f, "{short}{}", if short.ends_with('.') { "0" } else { "" })
            }
        }
    }
}

/// The samples of a metric by the rows of its table, each with the values of its labels.
pub(crate) fn samples<'a>(
    metric: &'a Metric,
    table: &'a Table,
) -> impl Iterator<Item = (&'a [String], Vec<Sample<'a>>)> {
    let is_gauge = metric.what == What::Active;
    let rows = table.rows.iter().filter(move |_| !is_gauge);
    let active = table.active.iter().filter(move |_| is_gauge);
    rows.map(|row| (row.values.as_slice(), of_row(&metric.what, row)))
        .chain(active.map(|row| (row.values.as_slice(), vec![sample("", Number::Count(row.requests))])))
}

fn of_row<'a>(what: &What, row: &'a TrafficRow) -> Vec<Sample<'a>> {
    let created = sample(CREATED, Number::Nanos(u128::try_from(row.since).unwrap_or_default()));
    let end = |(count, sum): (u64, Number)| [sample("_sum", sum), sample("_count", Number::Count(count))];
    let sizes = |body: Body| {
        let (count, sum) = row.sizes(body);
        (count, Number::Count(sum))
    };
    let mut all = match what {
        What::Requests => vec![sample("_total", Number::Count(row.count()))],
        What::Bytes(body) => vec![sample("_total", Number::Count(row.sizes(*body).1))],
        What::Durations => buckets(row, &row.bounds()),
        What::DurationsAt(bounds) => buckets(row, bounds),
        What::Sizes(body) => vec![bucket(Bucket { bound: None, up_to: row.sizes(*body).0, exemplar: None })],
        What::SizeSummary(_) | What::Active => Vec::new(),
    };
    match what {
        What::Durations | What::DurationsAt(_) => all.extend(end((row.count(), Number::Nanos(row.sum_ns())))),
        What::Sizes(body) | What::SizeSummary(body) => all.extend(end(sizes(*body))),
        What::Requests | What::Bytes(_) | What::Active => {}
    }
    all.push(created);
    all
}

fn buckets<'a>(row: &'a TrafficRow, bounds: &[u64]) -> Vec<Sample<'a>> {
    row.buckets(bounds).map(bucket).collect()
}

fn bucket(Bucket { bound, up_to, exemplar }: Bucket<'_>) -> Sample<'_> {
    let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| prometheus::bound(bound as f64 / 1e9));
    Sample { suffix: "_bucket", bound: Some(bound), number: Number::Count(up_to), exemplar }
}

fn sample<'a>(suffix: &'static str, number: Number) -> Sample<'a> {
    Sample { suffix, bound: None, number, exemplar: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_all_nanoseconds() {
        assert_eq!(
            [0, 1, 1_500_000_000, u128::from(u64::MAX) * 10].map(|nanos| Number::Nanos(nanos).to_string()),
            ["0.0", "0.000000001", "1.5", "184467440737.09551615"].map(str::to_owned)
        );
    }
}
