//! Adding up rollups by group, from the coarsest table that fits.

use super::dimension::{Dimension, Group};
use super::filter::Filter;
use super::labels::Labels;
use super::quantiles::Quantiles;
use super::range::Range;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::ConsumerLabel;
use crate::store::metrics::{SERIES_COLUMN_COUNT, SERIES_COLUMNS, read_series};
use rusqlite::{Connection, Statement};
use std::collections::HashMap;

/// Nanoseconds of the finest rollup.
pub(crate) const MINUTE_NANOS: i64 = 60_000_000_000;
const HALF_HOUR_MINUTES: i64 = 30;

/// The sums of one group.
#[derive(Default, Clone)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) attempts: u64,
    pub(crate) duration: Quantiles,
    pub(crate) upstream: Quantiles,
    pub(crate) gateway: Quantiles,
}

/// The groups of a query, and which series belongs to which.
pub(crate) struct Groups {
    pub(crate) all: Vec<Group>,
    /// The name and the group of the consumer of each, where counts are grouped by consumer.
    pub(crate) labels: Vec<ConsumerLabel>,
    /// By the series' row, which are handed out one by one: the group and whether its requests are errors.
    of_series: Vec<Option<(usize, bool)>>,
}

impl Groups {
    /// Sorts the series that a filter takes into groups.
    pub(crate) fn find(
        file: &Connection,
        filter: &Filter,
        by: &[Dimension],
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        let mut found = Self { all: Vec::new(), labels: Vec::new(), of_series: Vec::new() };
        let by_consumer = by.contains(&Dimension::Consumer);
        let by_group = by.contains(&Dimension::ConsumerGroup) || filter.asks_for_group();
        let mut labels = Labels::of(Some(file).filter(|_| by_consumer || by_group));
        let mut places: HashMap<Group, usize> = HashMap::new();
        let mut select = file.prepare(&format!("SELECT {SERIES_COLUMNS}, id, folded FROM series"))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let mut series = read_series(row)?;
            if let Some(folded) = row.get(SERIES_COLUMN_COUNT + 1)? {
                series.route = folded;
            }
            let label = labels.get(&series.service, &series.environment, &series.consumer)?;
            if !filter.takes_series(&series, &label.group) {
                continue;
            }
            let id = usize::try_from(row.get::<_, i64>(SERIES_COLUMN_COUNT)?).unwrap_or_default();
            let group = Group::of(&series, &label.group, by);
            let place = *places.entry(group).or_insert_with_key(|group| {
                found.all.push(group.clone());
                found.labels.push(ConsumerLabel::default());
                found.all.len() - 1
            });
            if by_consumer && let Some(known) = found.labels.get_mut(place) {
                known.complete(label);
            }
            if found.of_series.len() <= id {
                found.of_series.resize(id + 1, None);
            }
            found.of_series[id] = Some((place, series.is_error()));
        }
        if found.all.len() > limits.groups {
            let message = format!(
                "the answer would have more than {} groups: add a filter, or group by fewer dimensions",
                limits.groups
            );
            return Err(QueryError::TooMuch { field: "group_by", message });
        }
        Ok(found)
    }
}

/// The tables of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Minutes,
    HalfHours,
}

impl Table {
    /// The coarsest table that has rows for steps of this number of minutes.
    pub(crate) fn for_step(minutes: i64) -> Self {
        if minutes % HALF_HOUR_MINUTES == 0 { Self::HalfHours } else { Self::Minutes }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::HalfHours => "half_hours",
        }
    }
}

/// A stretch of Unix minutes, the end exclusive, and the table to read it from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) table: Table,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Part {
    /// Covers a range of whole minutes: half hours where they fit, minutes at the edges. An edge before the first
    /// minute that is kept must be that of a half hour.
    pub(crate) fn cover(range: Range) -> Vec<Self> {
        let (from, to) = (range.from.div_euclid(MINUTE_NANOS), range.to.div_euclid(MINUTE_NANOS));
        let first = (from + HALF_HOUR_MINUTES - 1).div_euclid(HALF_HOUR_MINUTES) * HALF_HOUR_MINUTES;
        let last = to.div_euclid(HALF_HOUR_MINUTES) * HALF_HOUR_MINUTES;
        if first >= last {
            return vec![Self { table: Table::Minutes, from, to }];
        }
        let parts = [
            Self { table: Table::Minutes, from, to: first },
            Self { table: Table::HalfHours, from: first, to: last },
            Self { table: Table::Minutes, from: last, to },
        ];
        parts.into_iter().filter(|part| part.from < part.to).collect()
    }
}

/// A table ready to be read.
pub(crate) struct Rollup<'a> {
    select: Statement<'a>,
}

impl<'a> Rollup<'a> {
    pub(crate) fn prepare(file: &'a Connection, table: Table) -> Result<Self, QueryError> {
        let select = file.prepare(&format!(
            "SELECT series_id, requests, request_bytes, response_bytes, duration, upstream, gateway, attempts
             FROM {} WHERE minute >= ? AND minute < ?",
            table.name()
        ))?;
        Ok(Self { select })
    }

    /// Adds the rows of these Unix minutes to the sums of their groups.
    pub(crate) fn add(
        &mut self,
        from: i64,
        to: i64,
        groups: &Groups,
        sums: &mut [Option<Sums>],
    ) -> Result<(), QueryError> {
        let mut rows = self.select.query([from, to])?;
        while let Some(row) = rows.next()? {
            let id = usize::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
            let Some(&Some((group, error))) = groups.of_series.get(id) else { continue };
            let number = |column| row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or_default());
            let sums = sums[group].get_or_insert_default();
            let requests = number(1)?;
            sums.requests = sums.requests.saturating_add(requests);
            sums.errors = sums.errors.saturating_add(if error { requests } else { 0 });
            sums.request_bytes = sums.request_bytes.saturating_add(number(2)?);
            sums.response_bytes = sums.response_bytes.saturating_add(number(3)?);
            sums.attempts = sums.attempts.saturating_add(number(7)?);
            let targets = [&mut sums.duration, &mut sums.upstream, &mut sums.gateway];
            for (column, quantiles) in (4..).zip(targets) {
                quantiles.add(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_covered_once() {
        let check = |from: i64, to: i64, expected: &[(Table, i64, i64)]| {
            let parts = Part::cover(Range { from: from * MINUTE_NANOS, to: to * MINUTE_NANOS });
            let found: Vec<_> = parts.iter().map(|part| (part.table, part.from, part.to)).collect();
            assert_eq!(found, expected, "{from} to {to}");
        };
        check(0, 30, &[(Table::HalfHours, 0, 30)]);
        check(1, 30, &[(Table::Minutes, 1, 30)]);
        check(1, 59, &[(Table::Minutes, 1, 59)]);
        check(1, 61, &[(Table::Minutes, 1, 30), (Table::HalfHours, 30, 60), (Table::Minutes, 60, 61)]);
        check(30, 95, &[(Table::HalfHours, 30, 90), (Table::Minutes, 90, 95)]);
        check(29, 31, &[(Table::Minutes, 29, 31)]);
    }
}
