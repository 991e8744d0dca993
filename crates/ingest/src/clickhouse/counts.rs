//! Questions for counts: the server adds up what belongs to the same group, and the groups are found here, by the same code as
//! for the embedded store.

use super::ClickHouse;
use super::close::{Border, HALF_HOUR, NUMBERS, changes, columns, first_minute, plain};
use super::report::Buckets;
use super::series::{Series, kind_of};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::SeriesKey;
use crate::query::{Counted, Groups, Keeper, Sums};
use crate::store::narrow::Without;
use crate::store::{instances, minutes_since};
use clickhouse::Row;
use clickhouse::error::Error;
use rusqlite::Connection;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What the tables hold when a question comes.
pub(super) struct Snapshot {
    pub(super) series: Arc<Vec<Series>>,
    /// The first block that is not closed, and the last one before it that is.
    pub(super) open: u32,
    pub(super) closed: u32,
}

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

/// The requests of a group of series.
#[derive(Row, Deserialize)]
struct Count {
    code: i32,
    instance: String,
    first: u32,
    requests: u64,
}

/// Numbers as an array.
pub(super) fn list(numbers: impl IntoIterator<Item = impl ToString>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// A statement for the numbers of an array.
pub(super) fn rows_of(list: &str) -> String {
    format!("SELECT arrayJoin(CAST({list}, 'Array(UInt64)'))")
}

/// The part of a stretch of minutes that whole half hours cover, where no step of these minutes ends within one.
fn half_hours((from, to): (u32, u32), step: i64) -> (u32, u32) {
    let is_whole = |minutes: i64| minutes % i64::from(HALF_HOUR) == 0;
    let (first, last) = (from.div_ceil(HALF_HOUR) * HALF_HOUR, to / HALF_HOUR * HALF_HOUR);
    let is_one_step = i64::from(to - from) <= step;
    if first < last && (is_one_step || (is_whole(step) && is_whole(from.into()))) {
        (first, last)
    } else {
        (from, from)
    }
}

impl Snapshot {
    pub(super) async fn of(server: &ClickHouse) -> Result<Self, Error> {
        server.refresh_series().await?;
        let series = Arc::clone(&server.series().all);
        let Border { open, closed } = server.border().await?;
        Ok(Self { series, open, closed })
    }

    /// A statement for rows of some minutes with the code of their series; `None` where no series has one. Series that differ only in
    /// what is left out must have the same code.
    pub(super) fn rows(
        &self,
        (from, to): (i64, i64),
        step: i64,
        coded: impl IntoIterator<Item = Option<usize>>,
        without: Option<Without>,
    ) -> Option<String> {
        let minute = |minute: i64| minute.clamp(0, u32::MAX.into());
        let (from, to) = (minute(from), minute(to));
        let (mut codes, mut series, mut classes) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for (one, code) in self.series.iter().zip(coded) {
            let Some(code) = code else { continue };
            let class = one.class(without);
            codes.extend([(one.id, code), (class, code)]);
            series.push(one.id);
            classes.insert(class);
        }
        if codes.is_empty() {
            return None;
        }
        let all = series.len() == self.series.len();
        let (of_series, of_classes) = (list(&series), list(&classes));
        let only = |list: &str| match all {
            true => String::new(),
            false => format!(" AND series IN ({})", rows_of(list)),
        };
        let (only_series, only_classes) = (only(&of_series), only(&of_classes));
        let wanted = if all { String::new() } else { rows_of(&of_series) };
        let (ids, codes) = (list(codes.keys()), list(codes.values()));
        let kind = kind_of(without);
        let names = plain();
        let recent = self.recent(&wanted);
        let closed = first_minute(self.open).min(to as u32).max(from as u32);
        let (first, last) = half_hours((from as u32, closed), step);
        let added = NUMBERS.join(" + ");
        Some(format!(
            "SELECT minute, instance, {names},
                    transform(series, CAST({ids}, 'Array(UInt64)'), CAST({codes}, 'Array(Int32)'), toInt32(-1)) AS code
             FROM (
                 SELECT minute, series, instance, {names} FROM half_hours FINAL
                 WHERE kind = {kind} AND minute >= {first} AND minute < {last}{only_classes}
                 UNION ALL
                 SELECT minute, series, instance, {names} FROM minutes FINAL
                 WHERE kind = {kind} AND ((minute >= {from} AND minute < {first}) OR (minute >= {last} AND minute < {closed})){only_classes}
                 UNION ALL
                 SELECT minute, series, instance, {names} FROM changes FINAL
                 WHERE minute >= {from} AND minute < {to}{only_series}
                 UNION ALL
                 SELECT minute, series, instance, {names} FROM ({recent}) WHERE minute >= {from} AND minute < {to}
             )
             WHERE code >= 0 AND {added} > 0"
        ))
    }

    /// A statement for what is reported and in no closed block. `series` takes the numbers of series; empty for all.
    pub(super) fn recent(&self, series: &str) -> String {
        changes(&format!("block >= {}", self.open), self.closed, series)
    }
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

    /// A statement for rows of some minutes with the code of their group; `None` where no series belongs to one.
    fn rows(&self, minutes: (i64, i64), step: i64, groups: &Groups) -> Option<String> {
        // All series of a class are in one group.
        let code = |placed: &Option<(usize, bool)>| {
            placed.map(|(place, is_error)| place * 2 + usize::from(is_error))
        };
        self.snapshot.rows(minutes, step, groups.of_series().iter().map(code), groups.without())
    }

    /// The sums of some minutes, in steps from the first.
    fn ask(&self, (from, to): (i64, i64), step: i64, groups: &Groups) -> Result<Vec<Sum>, QueryError> {
        let Some(rows) = self.rows((from, to), step, groups) else { return Ok(Vec::new()) };
        let instance = self.instance_of(groups);
        let sums = columns(
            |name| format!("sum({name}) AS sum_{name}"),
            |name| format!("sumMap({name}) AS sum_{name}"),
        );
        let shown = columns(|name| format!("sum_{name} AS {name}"), |name| format!("sum_{name} AS {name}"));
        let statement = format!(
            "SELECT step, code, by_instance AS instance, first, {shown} FROM (
                 SELECT toUInt32(intDiv(minute - {first}, {step})) AS step, code, {instance} AS by_instance, min(minute) AS first, {sums}
                 FROM ({rows}) GROUP BY step, code, by_instance
             )
",
            first = from.clamp(0, u32::MAX.into()),
        );
        let mut sums = self.fetch::<Sum>(&statement)?;
        // In the order of the embedded store, which groups are numbered by.
        sums.sort_by_key(|sum| (sum.step, sum.first, sum.code, self.number(&sum.instance)));
        Ok(sums)
    }

    /// The number of an instance.
    fn number(&self, instance: &str) -> i64 {
        self.numbers.get(instance).copied().unwrap_or(instances::UNKNOWN)
    }

    fn fetch<T: clickhouse::RowOwned + clickhouse::RowRead>(
        &self,
        statement: &str,
    ) -> Result<Vec<T>, QueryError> {
        let max_rows = self.max_rows;
        let seconds = self.server.query_timeout.as_secs_f64().to_string();
        self.server.wait::<_, QueryError>(async {
            let statement = self.server.client.query_raw(statement);
            let mut cursor = statement.with_setting("max_execution_time", seconds).fetch::<T>()?;
            let mut rows = Vec::new();
            while let Some(row) = cursor.next().await? {
                if rows.len() >= max_rows {
                    let message =
                        "the answer would have too many groups and steps: add a filter, or ask for a longer step";
                    return Err(QueryError::TooMuch { field: "group_by", message: message.to_owned() });
                }
                rows.push(row);
            }
            Ok(rows)
        })
    }

    /// What tells instances apart, where that is asked for.
    fn instance_of(&self, groups: &Groups) -> &'static str {
        if groups.need_gateways() { "toString(instance)" } else { "''" }
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
        for sum in self.ask((from, to), step, groups)? {
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
        let found = self.ask(minutes, minutes.1.saturating_sub(minutes.0).max(1), groups)?;
        self.add(&found, groups, sums)
    }

    fn count(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        requests: &mut Vec<Option<u64>>,
    ) -> Result<(), QueryError> {
        let Some(rows) = self.rows(minutes, minutes.1.saturating_sub(minutes.0), groups) else {
            return Ok(());
        };
        let instance = self.instance_of(groups);
        let statement = format!(
            "SELECT code, by_instance AS instance, first, sum_requests AS requests FROM (
                 SELECT code, {instance} AS by_instance, min(minute) AS first, sum(requests) AS sum_requests FROM ({rows}) GROUP BY code, by_instance
             )
"
        );
        let mut counts = self.fetch::<Count>(&statement)?;
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
