//! Questions for counts: the server adds up what belongs to the same group, and the groups are found here, by the same code as
//! for the embedded store.

use super::ClickHouse;
use super::report::Buckets;
use super::snapshot::{Columns, Count, Snapshot};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::SeriesKey;
use crate::query::{Counted, Groups, Keeper, Sums};
use crate::store::{instances, minutes_since};
use clickhouse::{Row, RowOwned, RowRead};
use rusqlite::Connection;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::HashMap;

/// Counts of the server, for one question.
pub(crate) struct ServerCounts<'a> {
    server: &'a ClickHouse,
    /// Of this replica, with what is known beside counts.
    file: &'a Connection,
    snapshot: Snapshot,
    /// Instances by number, and back.
    names: HashMap<i64, String>,
    numbers: HashMap<String, i64>,
    max_rows: usize,
    /// What was asked for in advance: the rows of each step, by its first minute and its length.
    expected: RefCell<HashMap<(i64, i64), Vec<Sum>>>,
}

/// The counts of a group of series, in a step of time.
#[derive(Row, Deserialize)]
struct Sum {
    step: u32,
    /// Twice the place of the group; one more for requests that are errors.
    code: i32,
    instance: String,
    /// The first minute of its counts.
    first: u32,
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    attempts: u64,
    duration_zeros: u64,
    duration_ns: u64,
    upstream_zeros: u64,
    upstream_ns: u64,
    gateway_zeros: u64,
    gateway_ns: u64,
    duration: Buckets,
    upstream: Buckets,
    gateway: Buckets,
}

impl<'a> ServerCounts<'a> {
    pub(crate) fn of(
        server: &'a ClickHouse,
        file: &'a Connection,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        let snapshot = server.wait(Snapshot::of(server))?;
        let names = server.instance_names()?;
        let numbers = names.iter().map(|(number, name)| (name.clone(), *number)).collect();
        let max_rows = limits.points.max(limits.ranked_groups).saturating_mul(2);
        Ok(Self { server, file, snapshot, names, numbers, max_rows, expected: RefCell::default() })
    }

    /// The sums of some minutes, in steps from the first.
    fn ask<T: RowOwned + RowRead>(
        &self,
        (from, to): (i64, i64),
        step: i64,
        groups: &Groups,
        columns: Columns,
    ) -> Result<Vec<T>, QueryError> {
        // All series of a class are in one group.
        let code = |placed: &Option<(usize, bool)>| {
            placed.map(|(place, is_error)| place * 2 + usize::from(is_error))
        };
        let coded = self.snapshot.coded(groups.of_series().iter().map(code), groups.without());
        let Some(coded) = coded else { return Ok(Vec::new()) };
        let by_instance = groups.need_gateways();
        let (closed, open) = self.snapshot.sums(&coded, (from, to), step, columns, by_instance);
        // The server works on both at the same time.
        let both = async { tokio::try_join!(self.fetch(closed), self.fetch(open)) };
        let (mut sums, open) = self.server.wait::<_, QueryError>(both)?;
        sums.extend(open);
        Ok(sums)
    }

    /// The number of an instance.
    fn number(&self, instance: &str) -> i64 {
        self.numbers.get(instance).copied().unwrap_or(instances::UNKNOWN)
    }

    async fn fetch<T: RowOwned + RowRead>(&self, statement: Option<String>) -> Result<Vec<T>, QueryError> {
        let Some(statement) = statement else { return Ok(Vec::new()) };
        let seconds = self.server.query_timeout.as_secs_f64().to_string();
        let statement = self.server.client.query_raw(&statement);
        let mut cursor = statement.with_setting("max_execution_time", seconds).fetch::<T>()?;
        let mut rows = Vec::new();
        while let Some(row) = cursor.next().await? {
            if rows.len() >= self.max_rows {
                let message =
                    "the answer would have too many groups and steps: add a filter, or ask for a longer step";
                return Err(QueryError::TooMuch { field: "group_by", message: message.to_owned() });
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// The group of a row, and whether its requests are errors.
    fn place(
        &self,
        code: i32,
        instance: &str,
        groups: &mut Groups,
    ) -> Result<Option<(usize, bool)>, QueryError> {
        let Ok(code) = usize::try_from(code) else { return Ok(None) };
        Ok(groups.place_at(code / 2, self.number(instance))?.map(|place| (place, code % 2 == 1)))
    }
}

impl ServerCounts<'_> {
    fn sums(&self, minutes: (i64, i64), step: i64, groups: &Groups) -> Result<Vec<Sum>, QueryError> {
        let mut sums: Vec<Sum> = self.ask(minutes, step, groups, Columns::All)?;
        // In the order of the embedded store, which groups are numbered by.
        sums.sort_by_key(|sum| (sum.step, sum.first, sum.code, self.number(&sum.instance)));
        Ok(sums)
    }

    fn add(
        &self,
        found: &[Sum],
        groups: &mut Groups,
        sums: &mut Vec<Option<Sums>>,
    ) -> Result<(), QueryError> {
        for sum in found {
            let Some((place, is_error)) = self.place(sum.code, &sum.instance, groups)? else { continue };
            let target = Sums::at(sums, place);
            target.count([sum.requests, sum.request_bytes, sum.response_bytes, sum.attempts], is_error);
            target.duration.add_buckets((sum.duration_zeros, sum.duration_ns), &sum.duration);
            target.upstream.add_buckets((sum.upstream_zeros, sum.upstream_ns), &sum.upstream);
            target.gateway.add_buckets((sum.gateway_zeros, sum.gateway_ns), &sum.gateway);
        }
        Ok(())
    }
}

impl Counted for ServerCounts<'_> {
    fn each_series(
        &self,
        each: &mut dyn FnMut(usize, SeriesKey) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.snapshot
            .series
            .iter()
            .enumerate()
            .try_for_each(|(place, series)| each(place, self.server.shown(&series.key)))
    }

    fn file(&self) -> &Connection {
        self.file
    }

    fn instances(&self) -> Result<HashMap<i64, String>, QueryError> {
        Ok(self.names.clone())
    }

    fn since(&self) -> Result<i64, QueryError> {
        Ok(minutes_since(self.file)?)
    }

    fn instances_since(&self) -> Result<i64, QueryError> {
        self.since()
    }

    fn expect(&self, (from, to): (i64, i64), step: i64, groups: &Groups) -> Result<(), QueryError> {
        let mut steps: HashMap<(i64, i64), Vec<Sum>> = HashMap::new();
        let mut first = from;
        while first < to {
            steps.entry((first, first + step)).or_default();
            first += step;
        }
        for sum in self.sums((from, to), step, groups)? {
            let first = from + i64::from(sum.step) * step;
            steps.entry((first, first + step)).or_default().push(sum);
        }
        // Two stretches that are compared may have steps in common.
        self.expected.borrow_mut().extend(steps);
        Ok(())
    }

    fn add_up(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        _: Option<&mut Keeper<'_>>,
        sums: &mut Vec<Option<Sums>>,
    ) -> Result<(), QueryError> {
        if let Some(found) = self.expected.borrow().get(&minutes) {
            return self.add(found, groups, sums);
        }
        let found = self.sums(minutes, minutes.1.saturating_sub(minutes.0).max(1), groups)?;
        self.add(&found, groups, sums)
    }

    fn count(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        requests: &mut Vec<Option<u64>>,
    ) -> Result<(), QueryError> {
        let step = minutes.1.saturating_sub(minutes.0).max(1);
        let mut counts: Vec<Count> = self.ask(minutes, step, groups, Columns::Requests)?;
        counts.sort_by_key(|count| (count.first, count.code, self.number(&count.instance)));
        for found in counts {
            let Some((place, _)) = self.place(found.code, &found.instance, groups)? else { continue };
            if requests.len() <= place {
                requests.resize(place + 1, None);
            }
            if let Some(sum) = requests.get_mut(place) {
                *sum = Some(sum.unwrap_or_default().saturating_add(found.requests));
            }
        }
        Ok(())
    }
}
