//! `summary` and `timeseries`: sums over rollups, with their percentiles.

use super::cursor::{Cursor, Reader};
use super::dimension::{Dimension, Group};
use super::filter::{self, Filter};
use super::kept::{Keeper, Kept};
use super::params::Params;
use super::quantiles::Quantiles;
use super::range::{Range, rfc3339};
use super::rollup::{Groups, MINUTE_NANOS, Part, Rollup, Sums, add_up, add_up_step};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::ConsumerLabel;
use crate::store::changes::{Moment, Seen};
use crate::store::instances::known_since;
use crate::store::{DataDir, minutes_since};
use rusqlite::Connection;
use serde::Serialize;

const MINUTE_SECONDS: u64 = 60;
const HALF_HOUR_SECONDS: i64 = 1800;
const DAY_SECONDS: u64 = 24 * 3600;
const MAX_STEP_SECONDS: u64 = 31 * 24 * 3600;

const DEFAULT_ROWS: u64 = 1_000;

/// A question for counts by group.
pub(crate) struct SummaryQuery {
    range: Range,
    group_by: Vec<Dimension>,
    filter: Filter,
    /// Rows of a page.
    limit: usize,
    /// Rows of the pages before.
    skip: usize,
}

/// A question for counts by group and time.
pub(crate) struct TimeseriesQuery {
    summary: SummaryQuery,
    /// Seconds; a multiple of 60.
    step: i64,
}

/// The answer to `summary`.
#[derive(Serialize)]
pub(crate) struct Summary {
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways_since: Option<String>,
    rows: Vec<Row>,
    /// The cursor of the next page, where there are more rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The answer to `timeseries`.
#[derive(Serialize)]
pub(crate) struct Timeseries {
    from: String,
    to: String,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways_since: Option<String>,
    points: Vec<Row>,
    /// Intervals of which only the sum is known for some gateway: its counts are all in the last minute.
    coarse: Vec<Span>,
}

/// A stretch of time.
#[derive(Serialize)]
struct Span {
    from: String,
    to: String,
}

#[derive(Serialize, Clone, Default)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(flatten)]
    group: Group,
    /// Of the consumer, where counts are grouped by consumer and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_group: Option<String>,
    requests: u64,
    errors: u64,
    request_bytes: u64,
    response_bytes: u64,
    /// Times that requests were sent to an upstream.
    attempts: u64,
    p50_ms: Option<f64>,
    p75_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Requests that reached an upstream and of which its time is known: those of the upstream's percentiles.
    upstream_requests: u64,
    upstream_p50_ms: Option<f64>,
    upstream_p95_ms: Option<f64>,
    /// Requests of which the gateway's own time is known: those of the gateway's percentiles.
    gateway_requests: u64,
    gateway_p50_ms: Option<f64>,
    gateway_p95_ms: Option<f64>,
}

impl SummaryQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &names(&["limit", "cursor"]))?;
        let mut read = Self::read(&params, now)?;
        read.limit = params.number("limit", 1..=limits.groups as u64, DEFAULT_ROWS)? as usize;
        if let Some(cursor) = params.one("cursor")? {
            // The pages of an answer are about one range, whatever the time is by now.
            let place = |rest: &mut Reader<'_>| Some((rest.number()?, rest.number()?, rest.number()?));
            let (from, to, skip) = Cursor::parse(cursor, place)?;
            (read.range, read.skip) = (Range { from, to }, usize::try_from(skip).unwrap_or_default());
        }
        Ok(read)
    }

    fn read(params: &Params, now: i64) -> Result<Self, QueryError> {
        Ok(Self {
            range: Range::read(params, now)?.widened(MINUTE_SECONDS as i64),
            group_by: group_by(params)?,
            filter: Filter::read(params)?,
            limit: usize::MAX,
            skip: 0,
        })
    }

    /// The answer out of the store. Where there are more groups than are added up at a time, their requests are counted
    /// first, and then only those of the page are added up.
    pub(crate) fn answer(
        &self,
        directory: &DataDir,
        limits: &Limits,
        kept: &Kept,
    ) -> Result<Summary, QueryError> {
        let moment = directory.changes().moment();
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let snapshot = file.transaction()?;
        let mut groups = Groups::find_up_to(&snapshot, &self.filter, &self.group_by, limits.ranked_groups)?;
        let since = minutes_since(&snapshot)?.saturating_mul(MINUTE_NANOS);
        let range = self.range.widened_before(since, HALF_HOUR_SECONDS);
        let known = Known::of(&snapshot, range, &groups)?;
        let minutes = known.range.minutes();
        let mut keeper = self.keeper(kept, (moment, directory.changes().seen()), &groups, limits);
        let mut skip = self.skip;
        let mut is_more = false;
        if groups.all.len() > limits.groups || groups.may_grow() {
            let mut requests = Vec::new();
            for part in Part::cover(known.range) {
                Rollup::new(&snapshot, part.table).count((part.from, part.to), &mut groups, &mut requests)?;
            }
            let ranked = ranked(requests.into_iter());
            let page: Vec<usize> = ranked.iter().copied().skip(skip).take(self.limit).collect();
            is_more = ranked.len() - skip.min(ranked.len()) > page.len();
            groups.keep(&page);
            skip = 0;
        }
        let mut sums = vec![None; groups.all.len()];
        add_up(&snapshot, minutes, &mut groups, keeper.as_mut(), &mut sums)?;
        let ranked = ranked(sums.iter().map(|sums: &Option<Sums>| sums.as_ref().map(|sums| sums.requests)));
        let page: Vec<usize> = ranked.iter().copied().skip(skip).take(self.limit).collect();
        is_more |= ranked.len() - skip.min(ranked.len()) > page.len();
        let row = |place: &usize| {
            let (group, label) = (groups.all.get(*place)?, groups.labels.get(*place)?);
            Some(Row::of(None, (group, label), sums.get(*place)?.as_ref()?))
        };
        let mut rows: Vec<Row> = page.iter().filter_map(row).collect();
        if self.group_by.is_empty() && rows.is_empty() {
            rows.push(Row::default());
        }
        let next = is_more.then(|| {
            let after = i64::try_from(self.skip + rows.len()).unwrap_or(i64::MAX);
            Cursor::default().number(self.range.from).number(self.range.to).number(after).to_text()
        });
        let Known { range, gateways_since } = known;
        Ok(Summary { from: rfc3339(range.from), to: rfc3339(range.to), gateways_since, rows, next })
    }
}

impl SummaryQuery {
    /// For sums that may be kept: not those of single gateways, nor of more groups than are added up at a time.
    fn keeper<'a>(
        &self,
        kept: &'a Kept,
        between: (Moment, Seen),
        groups: &Groups,
        limits: &Limits,
    ) -> Option<Keeper<'a>> {
        let are_kept = !groups.need_gateways() && groups.all.len() <= limits.groups;
        let question = || format!("{:?} {:?}", self.group_by, self.filter);
        are_kept.then(|| kept.keeper(question(), between, groups))
    }
}

/// The places of groups with counts, those with the most requests first.
fn ranked(requests: impl Iterator<Item = Option<u64>>) -> Vec<usize> {
    let mut counted: Vec<(u64, usize)> =
        requests.zip(0..).filter_map(|(requests, place)| Some((requests?, place))).collect();
    counted.sort_by_key(|(requests, _)| std::cmp::Reverse(*requests));
    counted.into_iter().map(|(_, place)| place).collect()
}

/// The part of a range that an answer can be about.
struct Known {
    range: Range,
    /// Where the range was cut, because the gateways of earlier counts are not known.
    gateways_since: Option<String>,
}

impl Known {
    fn of(file: &Connection, range: Range, groups: &Groups) -> Result<Self, QueryError> {
        if groups.need_gateways() {
            let since = known_since(file, minutes_since(file)?)?.saturating_mul(MINUTE_NANOS);
            if range.from < since {
                let range = Range { from: since.min(range.to), to: range.to };
                return Ok(Self { range, gateways_since: Some(rfc3339(since)) });
            }
        }
        Ok(Self { range, gateways_since: None })
    }
}

impl TimeseriesQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &names(&["step"]))?;
        let seconds = SummaryQuery::read(&params, now)?.range.seconds();
        let step = params.number("step", MINUTE_SECONDS..=MAX_STEP_SECONDS, default_step(seconds, limits))?;
        if !step.is_multiple_of(MINUTE_SECONDS) {
            return Err(QueryError::parameter("step", "step must be a multiple of 60 seconds"));
        }
        let step = step as i64;
        let mut summary = SummaryQuery::read(&params, now)?;
        summary.range = summary.range.widened(step);
        if summary.range.seconds() / step > limits.points as i64 {
            return Err(too_many_points(limits));
        }
        Ok(Self { summary, step })
    }

    /// The answer out of the store. Without groups every step has a point; with groups those that have data.
    pub(crate) fn answer(
        &self,
        directory: &DataDir,
        limits: &Limits,
        kept: &Kept,
    ) -> Result<Timeseries, QueryError> {
        let Self { summary: SummaryQuery { range, group_by, filter, .. }, step } = self;
        let moment = directory.changes().moment();
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let snapshot = file.transaction()?;
        let mut groups = Groups::find(&snapshot, filter, group_by, limits)?;
        let mut keeper = self.summary.keeper(kept, (moment, directory.changes().seen()), &groups, limits);
        let since = minutes_since(&snapshot)?.saturating_mul(MINUTE_NANOS);
        let (mut range, mut step) = (*range, *step);
        let known = Known::of(&snapshot, range, &groups)?;
        if known.range.from < since && step % HALF_HOUR_SECONDS != 0 {
            // Minutes of before have expired: half hours answer.
            step = (step / HALF_HOUR_SECONDS + 1) * HALF_HOUR_SECONDS;
            range = range.widened(step);
        }
        let Known { range: known, gateways_since } = Known::of(&snapshot, range, &groups)?;
        // Whole steps of which the gateways are known.
        let range = if gateways_since.is_some() { known.shrunk_from(step) } else { known };
        let minutes = step / MINUTE_SECONDS as i64;
        let mut points = Vec::new();
        // Step by step, so that no more than the sketches of one step are in memory.
        let mut sums = vec![None; groups.all.len()];
        let mut start = range.from / MINUTE_NANOS;
        while start < range.to / MINUTE_NANOS {
            add_up_step(&snapshot, (start, start + minutes), &mut groups, keeper.as_mut(), &mut sums)?;
            let time = rfc3339(start * MINUTE_NANOS);
            let before = points.len();
            for (group, sums) in groups.all.iter().zip(&groups.labels).zip(&mut sums) {
                if let Some(sums) = sums.take() {
                    points.push(Row::of(Some(time.clone()), group, &sums));
                }
            }
            if group_by.is_empty() && points.len() == before {
                points.push(Row { time: Some(time), ..Row::default() });
            }
            if points.len() > limits.points {
                return Err(too_many_points(limits));
            }
            start += minutes;
        }
        let coarse = coarse(&snapshot, range, filter)?;
        let (from, to) = (rfc3339(range.from), rfc3339(range.to));
        Ok(Timeseries { from, to, step, gateways_since, points, coarse })
    }
}

impl Row {
    fn of(time: Option<String>, (group, label): (&Group, &ConsumerLabel), sums: &Sums) -> Self {
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let ms = |quantiles: &Quantiles, q| quantiles.quantile(q).map(|seconds| round(seconds * 1e3));
        Self {
            time,
            group: group.clone(),
            consumer_name: known(&label.name),
            consumer_group: known(&label.group),
            requests: sums.requests,
            errors: sums.errors,
            request_bytes: sums.request_bytes,
            response_bytes: sums.response_bytes,
            attempts: sums.attempts,
            p50_ms: ms(&sums.duration, 0.5),
            p75_ms: ms(&sums.duration, 0.75),
            p95_ms: ms(&sums.duration, 0.95),
            p99_ms: ms(&sums.duration, 0.99),
            upstream_requests: sums.upstream.count(),
            upstream_p50_ms: ms(&sums.upstream, 0.5),
            upstream_p95_ms: ms(&sums.upstream, 0.95),
            gateway_requests: sums.gateway.count(),
            gateway_p50_ms: ms(&sums.gateway, 0.5),
            gateway_p95_ms: ms(&sums.gateway, 0.95),
        }
    }
}

/// The coarse stretches that reach into a range, merged where they meet.
fn coarse(file: &Connection, range: Range, filter: &Filter) -> Result<Vec<Span>, QueryError> {
    let spans = coarse_spans(file, range, filter)?;
    Ok(spans.into_iter().map(|(from, to)| Span { from: rfc3339(from), to: rfc3339(to) }).collect())
}

/// The same in Unix nanoseconds.
pub(super) fn coarse_spans(
    file: &Connection,
    range: Range,
    filter: &Filter,
) -> Result<Vec<(i64, i64)>, QueryError> {
    let mut select = file.prepare(
        "SELECT c.since, c.until, g.service, g.environment, g.instance FROM coarse_intervals c JOIN gateways g ON g.id = c.gateway_id
         WHERE c.until > ? AND c.since < ? ORDER BY c.since",
    )?;
    let mut rows = select.query([range.from, range.to])?;
    let mut merged: Vec<(i64, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (since, until): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (service, environment, instance): (String, String, String) =
            (row.get(2)?, row.get(3)?, row.get(4)?);
        if !filter.takes_sender(&service, &environment, &instance) {
            continue;
        }
        match merged.last_mut().filter(|last| since <= last.1) {
            Some(last) => last.1 = last.1.max(until),
            None => merged.push((since, until)),
        }
    }
    Ok(merged)
}

/// Six significant decimals of a millisecond are nanoseconds: more would be noise.
fn round(ms: f64) -> f64 {
    (ms * 1e6).round() / 1e6
}

/// The dimensions in the order in which they are named first: a row has each key once.
fn group_by(params: &Params) -> Result<Vec<Dimension>, QueryError> {
    let names = params.all("group_by").flat_map(|text| text.split(',')).map(str::trim);
    let mut dimensions = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        let dimension = Dimension::parse(name)?;
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    Ok(dimensions)
}

/// The parameters of both queries, and those of one.
fn names(own: &[&'static str]) -> Vec<&'static str> {
    ["from", "to", "group_by"].into_iter().chain(filter::names()).chain(own.iter().copied()).collect()
}

/// The shortest of some usual steps by which a range of this length has no more points than an answer may have. In seconds.
fn default_step(seconds: i64, limits: &Limits) -> u64 {
    let steps = [MINUTE_SECONDS, 5 * MINUTE_SECONDS, HALF_HOUR_SECONDS as u64, 3_600];
    // Widening the range to whole steps may add one at each end.
    let fits = |step: &u64| seconds / (*step as i64) + 2 <= limits.points as i64;
    steps.into_iter().find(fits).unwrap_or(DAY_SECONDS)
}

fn too_many_points(limits: &Limits) -> QueryError {
    let message = format!(
        "the answer would have more than {} points: ask for a longer step or a shorter range",
        limits.points
    );
    QueryError::TooMuch { field: "step", message }
}
