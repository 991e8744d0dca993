//! What replicas compute of the counts, each for itself and with the same result: how minutes were, and which series were counted
//! when.

use super::close::{HALF_HOUR, first_minute};
use super::report::sender_number;
use super::snapshot::{Columns, Count, Snapshot, list, rows_of};
use super::{ClickHouse, STATEMENT_TIMEOUT, in_time};
use crate::drift::RouteKey;
use crate::error::QueryError;
use crate::model::{Scope, SeriesKey};
use crate::store::narrow::Without;
use crate::store::{Due, Judged, StoreError, Traffic};
use clickhouse::Row;
use clickhouse::error::Error;
use gatelens_model::value;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const MINUTE_NANOS: i64 = 60_000_000_000;
/// Minutes that are judged by one statement.
const JUDGED_MINUTES: i64 = 60;
/// Minutes within which a report may come: later ones count in the present.
const LATE_MARGIN: u32 = 60;

/// The first and the last minute of all counts; 0 without any.
#[derive(Row, Deserialize)]
struct Bounds {
    first: u32,
    last: u32,
}

/// The latest half hour of a series.
#[derive(Row, Deserialize)]
struct Last {
    series: u64,
    half_hour: u32,
}

/// The requests of a sender.
#[derive(Row, Deserialize)]
struct OfSender {
    of_sender: u64,
    requests: u64,
}

/// What was followed so far.
#[derive(Default)]
pub(crate) struct Progress {
    /// The latest half hour of each series.
    last: HashMap<u64, u32>,
    /// How often something was forgotten, at the last look.
    forgotten: u64,
}

/// What is new since the last look.
pub(crate) struct News {
    /// All series, where some were forgotten.
    pub(crate) left: Option<Vec<SeriesKey>>,
    /// Series that were counted, each with the first Unix minute of its latest half hour.
    pub(crate) counted: Vec<(SeriesKey, i64)>,
}

impl ClickHouse {
    /// The last Unix minute of the closed blocks; one before 1970 if there is none.
    pub(crate) async fn counted_until(&self) -> Result<i64, StoreError> {
        Ok(i64::from(first_minute(self.open_block().await?)) - 1)
    }

    /// The traffic of the next minutes behind those that are judged, at `now` (Unix nanoseconds).
    pub(crate) async fn judge(&self, judged: Option<i64>, now: i64) -> Result<Judged, StoreError> {
        let asked = async {
            let due = match Due::next(judged, now) {
                Ok(due) => due,
                Err(begin) => begin.at(self.counted_minutes().await?),
            };
            let due = due.of(JUDGED_MINUTES);
            let minutes =
                if due.first < due.last { self.traffic((due.first, due.last)).await? } else { Vec::new() };
            Ok(Judged { due, minutes })
        };
        Ok(in_time(STATEMENT_TIMEOUT, asked).await?)
    }

    async fn counted_minutes(&self) -> Result<Option<(i64, i64)>, Error> {
        let bounds = "SELECT min(minute) AS first, max(minute) AS last FROM (
            SELECT minute FROM minutes WHERE kind = 0 UNION ALL SELECT minute FROM reported UNION ALL SELECT minute FROM changes)";
        let Bounds { first, last } = self.client.query_raw(bounds).fetch_one().await?;
        Ok(Some((first.into(), last.into())).filter(|_| last > 0))
    }

    /// The inbound traffic of those Unix minutes that have some.
    async fn traffic(&self, minutes: (i64, i64)) -> Result<Vec<(i64, Traffic)>, Error> {
        let snapshot = Snapshot::of(self).await?;
        // Series that differ in their consumer, their status or the cause of an error are one, apart from errors.
        let mut places: HashMap<[Arc<str>; 4], usize> = HashMap::new();
        let mut all = Vec::new();
        let coded: Vec<Option<usize>> = (snapshot.series.iter())
            .map(|series| {
                let shown = self.shown(&series.key);
                if *shown.direction != *value::INBOUND {
                    return None;
                }
                let is_error = usize::from(shown.is_error());
                let SeriesKey { service, environment, method, route, .. } = shown;
                let place = *places.entry([service, environment, method, route]).or_insert_with_key(|key| {
                    all.push(key.clone());
                    all.len() - 1
                });
                Some(place * 2 + is_error)
            })
            .collect();
        let Some(coded) = snapshot.coded(coded, Some(Without::Consumer)) else { return Ok(Vec::new()) };
        let (closed, open) = snapshot.sums(&coded, minutes, 1, Columns::Requests, false, &[]);
        let mut found = Vec::new();
        for statement in closed.iter().chain(&open) {
            found.extend(self.client.query_raw(statement).fetch_all::<Count>().await?);
        }
        let mut traffic: BTreeMap<i64, Traffic> = BTreeMap::new();
        for Count { step, code, requests, .. } in found {
            let code = usize::try_from(code).unwrap_or(usize::MAX);
            let Some([service, environment, method, route]) = all.get(code / 2) else { continue };
            let requests = i64::try_from(requests).unwrap_or(i64::MAX);
            let errors = if code % 2 == 1 { requests } else { 0 };
            let of_minute = traffic.entry(minutes.0 + i64::from(step)).or_default();
            of_minute.add(
                (service.to_string(), environment.to_string()),
                (method, route),
                (requests, errors),
            );
        }
        Ok(traffic.into_iter().collect())
    }

    /// What was counted since the last look, at `now` (Unix nanoseconds). Not for threads of a runtime.
    pub(crate) fn follow(&self, progress: &mut Progress, now: i64) -> Result<News, QueryError> {
        let snapshot = self.wait(Snapshot::of(self))?;
        let is_other = std::mem::replace(&mut progress.forgotten, snapshot.forgotten) != snapshot.forgotten;
        let left = is_other.then(|| {
            progress.last.clear();
            snapshot.series.iter().map(|series| series.key.clone()).collect()
        });
        // What is reported within a day belongs into its own minute.
        let newest = progress.last.values().max().copied().unwrap_or_default();
        // A sender's clock may be ahead.
        let newest = newest.min(u32::try_from(now.div_euclid(MINUTE_NANOS)).unwrap_or_default());
        let since = newest.saturating_sub(self.late_minutes.saturating_add(LATE_MARGIN));
        let half_hour = format!("intDiv(minute, {HALF_HOUR}) * {HALF_HOUR}");
        let recent = snapshot.recent("");
        let statement = format!(
            "SELECT series, toUInt32(max(start)) AS half_hour FROM (
                 SELECT series, minute AS start FROM half_hours WHERE kind = 0 AND minute >= {since} AND requests > 0
                 UNION ALL
                 SELECT series, {half_hour} AS start FROM changes WHERE minute >= {since} AND requests > 0
                 UNION ALL
                 SELECT series, {half_hour} AS start FROM ({recent}) WHERE requests > 0
             ) GROUP BY series"
        );
        let found = self.wait(self.client.query_raw(&statement).fetch_all::<Last>())?;
        let keys: HashMap<u64, &SeriesKey> =
            snapshot.series.iter().map(|series| (series.id, &series.key)).collect();
        let mut counted = Vec::new();
        for Last { series, half_hour } in found {
            let Some(key) = keys.get(&series) else { continue };
            let last = progress.last.entry(series).or_default();
            if *last < half_hour {
                *last = half_hour;
                counted.push(((*key).clone(), half_hour.into()));
            }
        }
        Ok(News { left, counted })
    }

    /// The requests of senders in series beyond a cap, by instance, epoch and environment. Not for threads of a runtime.
    pub(crate) fn overflow(&self, senders: &[[&str; 3]]) -> Result<Vec<u64>, QueryError> {
        let snapshot = self.wait(Snapshot::of(self))?;
        let series: Vec<u64> =
            snapshot.series.iter().filter(|series| series.key.overflow).map(|series| series.id).collect();
        if series.is_empty() || senders.is_empty() {
            return Ok(vec![0; senders.len()]);
        }
        let numbers: Vec<u64> = senders.iter().map(|sender| sender_number(*sender)).collect();
        let wanted =
            format!("series IN ({}) AND sender IN ({})", rows_of(&list(&series)), rows_of(&list(&numbers)));
        let Snapshot { open, closed, .. } = snapshot;
        let statement = format!(
            "SELECT of_sender, sum(counted) AS requests FROM (
                 SELECT stream, any(sender) AS of_sender, max(requests) AS counted FROM (
                     SELECT stream, sender, requests FROM reported WHERE block >= {open} AND {wanted}
                     UNION ALL SELECT stream, sender, requests FROM states WHERE block = {closed} AND {wanted}
                 ) GROUP BY stream
             ) GROUP BY of_sender"
        );
        let found = self.wait(self.client.query_raw(&statement).fetch_all::<OfSender>())?;
        let found: HashMap<u64, u64> = found.into_iter().map(|of| (of.of_sender, of.requests)).collect();
        Ok(numbers.iter().map(|number| found.get(number).copied().unwrap_or_default()).collect())
    }

    /// In how many half hours a route was counted, from after a Unix minute up to another one. Not for threads of a runtime.
    pub(crate) fn half_hours(&self, key: &RouteKey, (after, until): (i64, i64)) -> Result<usize, QueryError> {
        let RouteKey { scope, method, route } = key;
        let snapshot = self.wait(Snapshot::of(self))?;
        let own = snapshot.series.iter().filter(|series| {
            let shown = self.shown(&series.key);
            *shown.route == **route && *shown.method == **method && Scope::of_series(&shown) == *scope
        });
        let own = rows_of(&list(own.map(|series| series.id)));
        let minute = |minute: i64| minute.clamp(0, u32::MAX.into());
        let (after, until) = (minute(after), minute(until));
        let counted = format!(
            "minute > {after} AND minute < {until} + {HALF_HOUR} AND requests > 0 AND series IN ({own})"
        );
        let half_hour = format!("intDiv(minute, {HALF_HOUR}) * {HALF_HOUR} AS start");
        let recent = snapshot.recent(&own);
        let statement = format!(
            "SELECT uniqExact(start) AS number FROM (
                 SELECT minute AS start FROM half_hours WHERE kind = 0 AND {counted}
                 UNION ALL SELECT {half_hour} FROM changes WHERE {counted}
                 UNION ALL SELECT {half_hour} FROM ({recent}) WHERE {counted}
             ) WHERE start > {after} AND start <= {until}"
        );
        let number: u64 = self.wait(self.client.query_raw(&statement).fetch_one())?;
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }
}
