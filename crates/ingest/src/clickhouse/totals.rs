//! All that each series ever counted ([ADR 39](../../../../docs/adr/0039-counts-belong-to-the-server.md#totals)).
//!
//! A total is the sum over the streams of a series of their largest values, from the states of the last closed block and what was
//! reported since. A state that is not carried on goes into `ended`, and its day into `totals` later, as the day of changes does. Each
//! row of `totals` is computed from the day before and merged by the largest value, so that it may be computed twice.
//!
//! What must not count of a stream is in `bases`: what was forgotten of it, and what a copied directory has in totals of its own.

use super::ClickHouse;
use super::close::{BLOCKS_OF_A_DAY, Border, DAY};
use super::report::{Bounded, Buckets};
use super::series::{Series, SeriesRow};
use super::snapshot::{list, rows_of as numbers_of};
use crate::clock;
use crate::error::QueryError;
use crate::model::accumulate::minute_of;
use crate::model::{ByBound, SeriesKey, Tally};
use crate::store::StoreError;
use crate::store::totals::{MAX_LISTS, Total};
use crate::sync::lock;
use clickhouse::Row;
use clickhouse::error::Error;
use gatelens_model::sketch::Sketch;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Days beyond those of late reports after which nothing comes to a day any more.
const MARGIN_DAYS: u32 = 2;
/// Time for which an answer is given again: two scrapers ask once, and one that changes the replica sees no fall.
const FRESH: Duration = Duration::from_secs(2);
/// Pause while something is being forgotten, and the time after which a replica that began to forget was killed.
const FORGETTING_PAUSE: Duration = Duration::from_millis(250);
const FORGETTING_SECONDS: u32 = 900;

/// The columns that totals are made of.
const NUMBERS: [&str; 6] =
    ["requests", "duration_zeros", "request_bytes", "response_bytes", "request_sizes", "response_sizes"];
const NANOS: &str = "duration_ns";
const MAPS: [(&str, &str); 2] = [("duration", "Int16"), ("by_bound", "UInt64")];

/// The totals of all series, as of a moment.
#[derive(Default)]
pub(crate) struct ServerTotals {
    pub(crate) all: Vec<SeriesTotals>,
}

/// The totals of a series, one for each list of bounds.
pub(crate) struct SeriesTotals {
    /// As its senders name it, and under the route that it is shown with.
    pub(crate) key: SeriesKey,
    pub(crate) shown: SeriesKey,
    /// Only totals are left of it.
    pub(crate) has_ended: bool,
    pub(crate) totals: Vec<Total>,
}

/// The latest answer, and when its question began.
pub(super) type Latest = Mutex<Option<(Instant, Arc<ServerTotals>)>>;

/// What is noted in `forgotten`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// Counts and series begin to be removed.
    Begins,
    /// They are, or older ones were added.
    Counts,
    /// Series have gone that had no counts.
    Series,
}

/// What must not change while a question is answered.
#[derive(Clone, Copy, PartialEq, Eq, Row, Deserialize)]
struct Marks {
    /// The last day that is in `totals`; 0 if there is none.
    folded: u32,
    /// How often something was forgotten, or was begun to be.
    forgotten: u64,
    is_forgetting: u8,
}

#[derive(Row, Deserialize)]
struct Found {
    series: u64,
    bounds: Vec<u64>,
    since: i64,
    requests: u64,
    duration_zeros: u64,
    request_bytes: u64,
    response_bytes: u64,
    request_sizes: u64,
    response_sizes: u64,
    duration_ns: u128,
    duration: Buckets,
    by_bound: Bounded,
}

#[derive(Row, Deserialize)]
struct Added {
    id: u64,
    since: i64,
}

fn columns(number: impl Fn(&str) -> String, map: impl Fn(&str, &str) -> String) -> String {
    let numbers = NUMBERS.iter().chain([&NANOS]).map(|name| number(name));
    numbers.chain(MAPS.iter().map(|(name, key)| map(name, key))).collect::<Vec<_>>().join(", ")
}

/// All columns.
pub(super) fn plain() -> String {
    columns(str::to_owned, |name, _| name.to_owned())
}

/// A statement for the last values of streams, out of rows with `stream`, `series`, `instance` and the columns.
fn largest(rows: &str) -> String {
    let largest =
        columns(|name| format!("max({name}) AS {name}"), |name, _| format!("maxMap({name}) AS {name}"));
    format!(
        "SELECT stream, max(series) AS series, any(instance) AS instance, {largest} FROM ({rows}) GROUP BY stream"
    )
}

/// A statement for the rows of a table about streams.
fn rows_of(table: &str, condition: &str) -> String {
    let names = plain();
    let names = names.replace(NANOS, "toUInt128(duration_ns) AS duration_ns");
    format!("SELECT stream, {table}.series AS series, instance, {names} FROM {table} WHERE {condition}")
}

/// A statement for what the series of streams have of these rows, without their bases.
fn of_streams(rows: &str, bases: &str) -> String {
    let names = plain();
    let both = columns(
        // A base is a value that its stream once had.
        |name| format!("max({name}) AS s_{name}, maxIf({name}, is_base) AS p_{name}"),
        |name, _| format!("maxMap({name}) AS s_{name}, maxMapIf({name}, is_base) AS p_{name}"),
    );
    let difference = columns(
        |name| format!("s_{name} - p_{name} AS {name}"),
        |name, key| format!("CAST(mapSubtract(s_{name}, p_{name}), 'Map({key}, UInt64)') AS d_{name}"),
    );
    let unsigned = columns(
        |name| {
            if name == NANOS {
                format!("toUInt128({name}) AS {name}")
            } else {
                format!("toUInt64({name}) AS {name}")
            }
        },
        |name, _| match name {
            // Counts of a sender that has changed its bounds do not fit together.
            "by_bound" => {
                "if(empty(bounds), CAST(map(), 'Map(UInt64, UInt64)'), d_by_bound) AS by_bound".to_owned()
            }
            _ => format!("d_{name} AS {name}"),
        },
    );
    format!(
        "SELECT series, bounds, toInt64(9223372036854775807) AS since, {unsigned} FROM (
             SELECT of_series AS series, {difference},
                    if(arraySum(mapValues(s_by_bound)) <= s_requests, {}, []) AS bounds
             FROM (
                 SELECT stream, max(series) AS of_series, {both} FROM (
                     SELECT stream, series, false AS is_base, {names} FROM ({rows})
                     UNION ALL SELECT stream, series, true AS is_base, {names} FROM ({bases})
                 ) GROUP BY stream
             )
         )",
        bounds_of("s_by_bound")
    )
}

/// The bounds that are keys of a map.
fn bounds_of(map: &str) -> String {
    format!("arraySort(arrayFilter(bound -> bound > 0, mapKeys({map})))")
}

/// A statement for what series have of changes; those of a directory are in the totals that it brought.
fn of_changes(condition: &str) -> String {
    let names = plain().replace(NANOS, "toUInt128(duration_ns) AS duration_ns");
    format!(
        "SELECT series, {} AS bounds, toInt64(9223372036854775807) AS since, {names} FROM changes FINAL
         WHERE {condition} AND change NOT IN (SELECT source FROM totals WHERE day = 0)",
        bounds_of("by_bound")
    )
}

/// A statement for what `totals` has up to a day.
fn of_totals(condition: &str) -> String {
    let names = plain();
    format!("SELECT series, bounds, since, {names} FROM totals FINAL WHERE {condition}")
}

/// A statement for the sums of such rows by series and bounds.
fn added_up(parts: &[String]) -> String {
    let sums = columns(
        |name| format!("sum({name}) AS sum_{name}"),
        |name, _| format!("sumMap({name}) AS sum_{name}"),
    );
    let shown = columns(|name| format!("sum_{name} AS {name}"), |name, _| format!("sum_{name} AS {name}"));
    let parts = parts.join(" UNION ALL ");
    format!(
        "SELECT series, bounds, min_since AS since, {shown} FROM (
             SELECT series, bounds, min(since) AS min_since, {sums} FROM ({parts}) WHERE series != 0 GROUP BY series, bounds
         )"
    )
}

/// A statement for the numbers of streams that have not ended.
fn alive(Border { open, closed }: &Border) -> String {
    format!(
        "SELECT stream FROM states WHERE block = {closed} UNION ALL SELECT stream FROM reported WHERE block >= {open}"
    )
}

impl ClickHouse {
    /// The totals of all series, as of now or of two seconds ago. Not for threads of a runtime.
    pub(crate) fn totals(&self) -> Result<Arc<ServerTotals>, QueryError> {
        let asked = Instant::now();
        let mut latest = lock(&self.latest_totals);
        if let Some((begun, totals)) = &*latest
            && asked.saturating_duration_since(*begun) < FRESH
        {
            return Ok(Arc::clone(totals));
        }
        // Whoever was before may have waited in vain.
        if asked.elapsed() > self.query_timeout {
            return Err(QueryError::TooSlow);
        }
        let begun = Instant::now();
        let totals = Arc::new(self.wait::<_, QueryError>(async {
            loop {
                let before = self.marks().await?;
                if before.is_forgetting == 0 {
                    let totals = self.read_totals(before.folded).await?;
                    if self.marks().await? == before {
                        return Ok(totals);
                    }
                }
                tokio::time::sleep(FORGETTING_PAUSE).await;
            }
        })?);
        *latest = Some((begun, Arc::clone(&totals)));
        Ok(totals)
    }

    async fn marks(&self) -> Result<Marks, Error> {
        let marks = format!(
            "SELECT assumeNotNull((SELECT max(day) FROM totals WHERE series = 0 AND source = 0)) AS folded,
                    count() AS forgotten,
                    toUInt8(max(at) = maxIf(at, NOT is_over) AND max(at) > now64(3) - INTERVAL {FORGETTING_SECONDS} SECOND) AS is_forgetting
             FROM forgotten"
        );
        self.client.query_raw(&marks).fetch_one().await
    }

    /// A statement for the totals of all series, of which `folded` is the last day that `totals` has.
    async fn statement(&self, folded: u32) -> Result<String, Error> {
        let Border { open, closed } = self.border().await?;
        let rows = [
            rows_of("reported", &format!("block >= {open}")),
            rows_of("states", &format!("block = {closed}")),
            rows_of("ended", &format!("day > {folded}")),
        ];
        Ok(added_up(&[
            of_totals(&format!("day = 0 OR day = {folded}")),
            of_streams(&rows.join(" UNION ALL "), &rows_of("bases", "1")),
            of_changes(&format!("minute >= {}", (folded + 1) * DAY)),
        ]))
    }

    async fn read_totals(&self, folded: u32) -> Result<ServerTotals, Error> {
        let statement = self.statement(folded).await?;
        let seconds = self.query_timeout.as_secs_f64().to_string();
        let statement = self.client.query_raw(&format!("{statement} ORDER BY series, bounds"));
        let mut found = statement.with_setting("max_execution_time", seconds).fetch::<Found>()?;
        let mut of_series: HashMap<u64, Vec<Total>> = HashMap::new();
        while let Some(found) = found.next().await? {
            let (series, total) = found.split();
            if !total.is_empty() {
                add(of_series.entry(series).or_default(), total);
            }
        }
        // After the counts: whoever finds counts finds their series.
        let (known, _) = self.refresh_series().await?;
        let added = "SELECT id, toUnixTimestamp64Nano(toDateTime64(min(added_at), 9)) AS since FROM (
            SELECT id, added_at FROM series UNION ALL SELECT id, added_at FROM ended_series) GROUP BY id";
        let added = self.client.query_raw(added).fetch_all::<Added>().await?;
        let added: HashMap<u64, i64> = added.into_iter().map(|added| (added.id, added.since)).collect();
        let ended = self.ended_series().await?;
        let known =
            known.iter().map(|series| (series, false)).chain(ended.iter().map(|series| (series, true)));
        let mut all = Vec::with_capacity(of_series.len());
        for (series, has_ended) in known {
            let Some(mut totals) = of_series.remove(&series.id) else { continue };
            if let Some(since) = added.get(&series.id) {
                totals.iter_mut().for_each(|total| total.since = total.since.min(*since));
            }
            let (key, shown) = (series.key.clone(), self.shown(&series.key));
            all.push(SeriesTotals { key, shown, has_ended, totals });
        }
        Ok(ServerTotals { all })
    }

    /// Series of which only totals are left.
    pub(super) async fn ended_series(&self) -> Result<Vec<Series>, Error> {
        let rows = self.client.query("SELECT ?fields FROM ended_series FINAL ORDER BY id");
        let rows = rows.fetch_all::<SeriesRow>().await?;
        Ok(rows.into_iter().map(SeriesRow::into_series).collect())
    }

    /// Keeps the last values of streams that are not carried on from one block to the next.
    pub(super) async fn end_streams(&self, block: u32, before: u32, silent: u32) -> Result<(), Error> {
        let silent = format!(
            "SELECT sender FROM (
                 SELECT sender, last_minute FROM states WHERE block = {before}
                 UNION ALL SELECT sender, minute AS last_minute FROM reported WHERE block = {block}
             ) GROUP BY sender HAVING max(last_minute) < {silent}"
        );
        let rows = largest(&rows_of("states", &format!("block = {before} AND sender IN ({silent})")));
        let (names, day) = (plain(), block / BLOCKS_OF_A_DAY);
        let insert = format!(
            "INSERT INTO ended (day, stream, series, instance, {names}) SELECT {day}, stream, series, instance, {names} FROM ({rows})"
        );
        self.client.query_raw(&insert).execute().await
    }

    /// Adds to the totals what ended and what came as changes on days to which nothing comes any more, and removes what is in
    /// them then.
    pub(super) async fn fold_totals(&self) -> Result<(), StoreError> {
        let last = self.closed_before(u32::MAX).await?;
        let newest = (last / BLOCKS_OF_A_DAY).saturating_sub(self.late_minutes / DAY + MARGIN_DAYS);
        let mut folded = self.marks().await?.folded;
        let due = format!(
            "SELECT DISTINCT day FROM (
                 SELECT toUInt32(intDiv(minute, {DAY})) AS day FROM changes WHERE minute >= {}
                 UNION ALL SELECT day FROM ended
                 UNION ALL SELECT toUInt32({newest}) AS day
             ) WHERE day > {folded} AND day <= {newest} ORDER BY day",
            (folded + 1) * DAY
        );
        let before = folded;
        for day in self.client.query_raw(&due).fetch_all::<u32>().await? {
            self.fold(folded, day).await?;
            folded = day;
        }
        if folded > 0 {
            self.carry_bases(folded).await?;
            self.drop_partitions("ended", &format!("day <= {folded}")).await?;
            self.drop_partitions("totals", &format!("day > 0 AND day < {folded}")).await?;
        }
        self.return_series().await?;
        if folded > before {
            self.expire_series().await?;
        }
        Ok(())
    }

    async fn fold(&self, before: u32, day: u32) -> Result<(), Error> {
        // A stream that is back counts with its state.
        let is_over = format!("stream NOT IN ({})", alive(&self.border().await?));
        let ended = rows_of("ended", &format!("day = {day} AND {is_over}"));
        let bases = rows_of(
            "bases",
            &format!("stream IN (SELECT stream FROM ended WHERE day = {day}) AND {is_over}"),
        );
        let changes = of_changes(&format!("minute >= {} AND minute < {}", day * DAY, (day + 1) * DAY));
        let earlier = format!("day = {before} AND source = 0");
        let rows = added_up(&[of_totals(&earlier), of_streams(&ended, &bases), changes]);
        let names = plain();
        let insert = format!(
            "INSERT INTO totals (day, series, source, bounds, since, {names})
             SELECT {day}, series, 0, bounds, since, {names} FROM ({rows})"
        );
        self.client.query_raw(&insert).execute().await?;
        self.client
            .query_raw(&format!("INSERT INTO totals (day, series, source) VALUES ({day}, 0, 0)"))
            .execute()
            .await
    }

    /// Keeps the bases of streams that continue, where they are older than the last day in the totals.
    async fn carry_bases(&self, folded: u32) -> Result<(), StoreError> {
        let old = format!("day <= {folded}");
        let alive = alive(&self.border().await?);
        let rows = rows_of(
            "bases",
            &format!("{old} AND stream IN ({alive} UNION ALL SELECT stream FROM ended WHERE day > {folded})"),
        );
        let names = plain();
        let carry = format!(
            "INSERT INTO bases (day, stream, series, instance, {names})
             SELECT {}, stream, series, instance, {names} FROM ({})",
            folded + 1,
            largest(&rows)
        );
        self.client.query_raw(&carry).execute().await?;
        self.drop_partitions("bases", &old).await
    }

    /// What the streams of some rows have reported so far is in no total of their series from now on.
    pub(super) async fn rebase(&self, condition: &str) -> Result<(), Error> {
        let closed = self.closed_before(u32::MAX).await?;
        let rows = [
            rows_of("reported", condition),
            rows_of("states", &format!("block = {closed} AND {condition}")),
            rows_of("ended", condition),
        ]
        .join(" UNION ALL ");
        let (names, day) = (plain(), today());
        let rebase = format!(
            "INSERT INTO bases (day, stream, series, instance, {names}) SELECT {day}, stream, series, instance, {names} FROM ({})",
            largest(&rows)
        );
        self.client.query_raw(&rebase).execute().await
    }

    /// Adds the totals of series to those of others, as a source of its own. The places of both lists belong together.
    pub(super) async fn move_totals(&self, from: &[u64], to: &[u64], source: u64) -> Result<(), Error> {
        let (from, to) = (list(from), list(to));
        let folded = self.marks().await?.folded;
        let wanted = numbers_of(&from);
        let added = format!(
            "SELECT toUnixTimestamp64Nano(toDateTime64(min(added_at), 9)) AS since FROM series WHERE id IN ({wanted})"
        );
        let added: i64 = self.client.query_raw(&added).fetch_one().await?;
        let rows = self.statement(folded).await?;
        let names = plain();
        let moved = format!(
            "SELECT transform(series, CAST('{from}', 'Array(UInt64)'), CAST('{to}', 'Array(UInt64)'), toUInt64(0)) AS series, bounds,
                    least(since, toInt64({added})) AS since, {names}
             FROM (SELECT * FROM ({rows}) WHERE series IN ({wanted}))"
        );
        let insert = format!(
            "INSERT INTO totals (day, series, source, bounds, since, {names})
             SELECT 0, series, {source}, bounds, since, {names} FROM ({})",
            added_up(&[moved])
        );
        self.client.query_raw(&insert).execute().await
    }

    /// Notes that something goes, so that nobody adds up what is half gone, and that replicas read series anew.
    pub(super) async fn note_forgotten(&self, what: Gone) -> Result<(), Error> {
        let (is_over, of_counts) = match what {
            Gone::Begins => (false, true),
            Gone::Counts => (true, true),
            Gone::Series => (true, false),
        };
        let note =
            format!("INSERT INTO forgotten (at, is_over, of_counts) SELECT now64(3), {is_over}, {of_counts}");
        self.client.query_raw(&note).execute().await
    }

    /// The first Unix minute whose changes are in no total yet.
    pub(super) async fn unfolded(&self) -> Result<u32, Error> {
        Ok((self.marks().await?.folded + 1) * DAY)
    }
}

/// The present Unix day.
pub(super) fn today() -> u32 {
    u32::try_from(minute_of(clock::now())).unwrap_or_default() / DAY
}

/// Adds to the totals of a series, which keeps some lists of bounds. What comes at further ones counts as without bounds.
fn add(totals: &mut Vec<Total>, mut total: Total) {
    let is_other = |found: &Total| found.by_bound.bounds() != total.by_bound.bounds();
    let lists = totals.iter().filter(|found| !found.by_bound.bounds().is_empty()).count();
    if lists >= MAX_LISTS as usize && totals.iter().all(is_other) {
        total.by_bound = ByBound::default();
    }
    match totals.iter_mut().find(|found| found.by_bound.bounds() == total.by_bound.bounds()) {
        Some(found) => found.add(&total),
        None => totals.push(total),
    }
}

impl Found {
    fn split(self) -> (u64, Total) {
        let mut sketch = Sketch::with_sum(u64::try_from(self.duration_ns).unwrap_or(u64::MAX));
        sketch.insert_zeros(self.duration_zeros);
        self.duration.iter().for_each(|(bucket, count)| sketch.insert_bucket(*bucket, *count));
        let counts: HashMap<u64, u64> = self.by_bound.into_iter().collect();
        let of = |bound: &u64| counts.get(bound).copied().unwrap_or_default();
        let by_bound = match self.bounds.is_empty() {
            true => ByBound::default(),
            false => {
                let counts = self.bounds.iter().chain([&0]).map(of).collect();
                ByBound::new(self.bounds.into(), counts)
            }
        };
        let total = Total {
            since: self.since,
            count: self.requests,
            sketch,
            sum_ns: self.duration_ns,
            by_bound,
            request_bytes: Tally { count: self.request_sizes, sum: self.request_bytes },
            response_bytes: Tally { count: self.response_sizes, sum: self.response_bytes },
        };
        (self.series, total)
    }
}
