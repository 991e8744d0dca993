//! `summary` and `timeseries`: sums over rollups, with their percentiles.

use super::compare::{self, Compare};
use super::cursor::{Cursor, Reader};
use super::dimension::{Dimension, Group};
use super::filter::{self, Filter};
use super::kept::{Keeper, Memory};
use super::params::Params;
use super::quantiles::Quantiles;
use super::range::{Range, rfc3339};
use super::rollup::{About, Counted, Groups, MINUTE_NANOS, Sums, add_up_step};
use super::sorted::Sort;
use crate::error::QueryError;
use crate::limits::Limits;
use rusqlite::Connection;
use serde::Serialize;

const MINUTE_SECONDS: u64 = 60;
const HALF_HOUR_SECONDS: i64 = 1800;
const DAY_SECONDS: i64 = 24 * 3600;
const MAX_STEP_SECONDS: u64 = 31 * 24 * 3600;

const DEFAULT_ROWS: u64 = 1_000;

/// A question for counts by group.
pub(crate) struct SummaryQuery {
    range: Range,
    group_by: Vec<Dimension>,
    filter: Filter,
    compare: Option<Compare>,
    sort: Sort,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_with: Option<Span>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_with: Option<Span>,
    points: Vec<Row>,
    /// Intervals of which only the sum is known for some gateway: its counts are all in the last minute.
    coarse: Vec<Span>,
}

/// A stretch of time.
#[derive(Serialize)]
pub(super) struct Span {
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
    /// The percentiles are within buckets that another sender has chosen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
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
    /// The same of the stretch before, where the question compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Box<Row>>,
}

impl SummaryQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &names(&["limit", "cursor", "sort"]))?;
        let mut read = Self::read(&params, now)?;
        read.sort = Sort::read(&params, read.compare)?;
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
            compare: Compare::read(params, now)?,
            sort: Sort::Requests,
            limit: usize::MAX,
            skip: 0,
        })
    }

    /// The answer out of the store. Where there are more groups than are added up at a time, their requests are counted
    /// first, and then only those of the page are added up.
    pub(crate) fn answer(
        &self,
        counted: &dyn Counted,
        limits: &Limits,
        memory: Option<Memory<'_>>,
    ) -> Result<Summary, QueryError> {
        let mut groups = Groups::find_up_to(counted, &self.filter, &self.group_by, limits.ranked_groups)?;
        let since = counted.since()?.saturating_mul(MINUTE_NANOS);
        let (range, before) = match self.compare {
            None => (self.range.widened_before(since, HALF_HOUR_SECONDS), None),
            Some(compare) => {
                let (range, before) = compare.sides(self.range, since);
                (range, Some(before))
            }
        };
        let known = Known::of(counted, range, &groups)?;
        known.check(before)?;
        let mut keeper = keeper(memory, (&self.group_by, &self.filter), &groups, limits);
        let sides = [Some(known.range), before];
        let mut skip = self.skip;
        let mut is_more = false;
        if groups.all.len() > limits.groups || groups.may_grow() {
            let mut requests = [Vec::new(), Vec::new()];
            for (range, requests) in sides.into_iter().zip(&mut requests) {
                if let Some(range) = range {
                    counted.count(range.minutes(), &mut groups, requests)?;
                }
            }
            let ranked =
                ranked(groups.all.len(), requests.each_ref().map(Vec::as_slice), |requests| *requests);
            if self.sort == Sort::Requests {
                let page: Vec<usize> = ranked.iter().copied().skip(skip).take(self.limit).collect();
                is_more = ranked.len() - skip.min(ranked.len()) > page.len();
                groups.keep(&page);
                skip = 0;
            } else if ranked.len() > limits.groups {
                return Err(too_many_to_sort(limits));
            } else {
                groups.keep(&ranked);
            }
        }
        let mut sums = [Vec::new(), Vec::new()];
        for (range, sums) in sides.into_iter().zip(&mut sums) {
            let Some(range) = range else { continue };
            counted.add_up(range.minutes(), &mut groups, keeper.as_mut(), sums)?;
        }
        let sides = sums.each_ref().map(Vec::as_slice);
        let mut ranked = ranked(groups.all.len(), sides, |sums| sums.requests);
        self.sort.apply(&mut ranked, sides);
        let page: Vec<usize> = ranked.iter().copied().skip(skip).take(self.limit).collect();
        is_more |= ranked.len() - skip.min(ranked.len()) > page.len();
        let [now, earlier] = &sums;
        let row = |place: &usize| {
            let group = (groups.all.get(*place)?, groups.about.get(*place)?);
            let row = Row::of(None, group, at(now, *place));
            Some(match before {
                None => row,
                Some(_) => row.compared(Row::of(None, group, at(earlier, *place))),
            })
        };
        let mut rows: Vec<Row> = page.iter().filter_map(row).collect();
        if self.group_by.is_empty() && rows.is_empty() {
            let row = Row::default();
            rows.push(if before.is_some() { row.compared(Row::default()) } else { row });
        }
        let next = is_more.then(|| {
            let after = i64::try_from(self.skip + rows.len()).unwrap_or(i64::MAX);
            Cursor::default().number(self.range.from).number(self.range.to).number(after).to_text()
        });
        let Known { range, gateways_since, .. } = known;
        let (from, to) = (rfc3339(range.from), rfc3339(range.to));
        Ok(Summary { from, to, gateways_since, compared_with: before.map(Span::of), rows, next })
    }
}

/// For sums of groups by some dimensions that may be kept: not those of single gateways, nor of more groups than are added up
/// at a time.
pub(super) fn keeper<'a>(
    memory: Option<Memory<'a>>,
    (group_by, filter): (&[Dimension], &Filter),
    groups: &Groups,
    limits: &Limits,
) -> Option<Keeper<'a>> {
    let are_kept = !groups.need_gateways() && groups.all.len() <= limits.groups;
    memory.filter(|_| are_kept).map(|memory| memory.keeper(format!("{group_by:?} {filter:?}"), groups))
}

/// What is known of a group.
fn at<T>(all: &[Option<T>], place: usize) -> Option<&T> {
    all.get(place).and_then(Option::as_ref)
}

/// The places of groups with counts in a range or in the stretch before: those with the most requests in the range first,
/// then those with the most before.
fn ranked<T>(groups: usize, sides: [&[Option<T>]; 2], requests: impl Fn(&T) -> u64) -> Vec<usize> {
    let requests = |place| sides.map(|side| at(side, place).map(&requests));
    let mut counted: Vec<([Option<u64>; 2], usize)> = (0..groups)
        .map(|place| (requests(place), place))
        .filter(|(counts, _)| *counts != [None; 2])
        .collect();
    counted.sort_by_key(|(counts, _)| std::cmp::Reverse(counts.map(Option::unwrap_or_default)));
    counted.into_iter().map(|(_, place)| place).collect()
}

/// The part of a range that an answer can be about.
pub(super) struct Known {
    pub(super) range: Range,
    /// Where the range was cut, because the gateways of earlier counts are not known.
    pub(super) gateways_since: Option<String>,
    /// Since when the gateways are known, where they matter, in Unix nanoseconds.
    since: Option<i64>,
}

impl Known {
    pub(super) fn of(counted: &dyn Counted, range: Range, groups: &Groups) -> Result<Self, QueryError> {
        if groups.need_gateways() {
            let since = counted.instances_since()?.saturating_mul(MINUTE_NANOS);
            if range.from < since {
                let range = Range { from: since.min(range.to), to: range.to };
                return Ok(Self { range, gateways_since: Some(rfc3339(since)), since: Some(since) });
            }
            return Ok(Self { range, gateways_since: None, since: Some(since) });
        }
        Ok(Self { range, gateways_since: None, since: None })
    }

    /// Refuses to compare where less is known than was asked for: the difference would be none of the traffic.
    fn check(&self, before: Option<Range>) -> Result<(), QueryError> {
        match (before, self.since) {
            (Some(before), Some(since)) if before.from < since || self.gateways_since.is_some() => {
                Err(compare::unknown_gateways(since))
            }
            _ => Ok(()),
        }
    }
}

fn too_many_to_sort(limits: &Limits) -> QueryError {
    let message = format!(
        "more than {} groups can be in the order of their requests only: add a filter, or leave sort out",
        limits.groups
    );
    QueryError::TooMuch { field: "sort", message }
}

impl TimeseriesQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &names(&["step"]))?;
        let mut summary = SummaryQuery::read(&params, now)?;
        let step = match params.one("step")? {
            Some(_) => step_of(&params)?,
            None => default_step(summary.range.seconds(), limits),
        };
        summary.range = summary.range.widened(step);
        if summary.range.seconds() / step > limits.points as i64 {
            return Err(too_many_points(limits));
        }
        Ok(Self { summary, step })
    }

    /// The answer out of the store. Without groups every step has a point; with groups those that have data.
    pub(crate) fn answer(
        &self,
        counted: &dyn Counted,
        limits: &Limits,
        memory: Option<Memory<'_>>,
    ) -> Result<Timeseries, QueryError> {
        let Self { summary: SummaryQuery { range, group_by, filter, compare, .. }, step } = self;
        let mut groups = Groups::find(counted, filter, group_by, limits)?;
        let mut keeper = keeper(memory, (group_by, filter), &groups, limits);
        let since = counted.since()?.saturating_mul(MINUTE_NANOS);
        let (mut range, mut step) = (*range, *step);
        let mut before = compare.map(|compare| compare.before_in_steps(range, step));
        let mut known = Known::of(counted, range, &groups)?;
        let earliest = before.map_or(known.range.from, |before| before.from.min(known.range.from));
        if earliest < since && step != in_half_hours(step) {
            step = in_half_hours(step);
            range = range.widened(step);
            before = compare.map(|compare| compare.before_in_steps(range, step));
            known = Known::of(counted, range, &groups)?;
        }
        known.check(before)?;
        let Known { range, gateways_since, .. } = known;
        // Whole steps of which the gateways are known.
        let range = if gateways_since.is_some() { range.shrunk_from(step) } else { range };
        let minutes = step / MINUTE_SECONDS as i64;
        let mut points = Vec::new();
        // Step by step, so that no more than the sketches of one step are in memory.
        let (mut sums, mut earlier) = (Vec::new(), Vec::new());
        let mut start = range.from / MINUTE_NANOS;
        let distance = before.map(|before| (range.from - before.from) / MINUTE_NANOS);
        for range in [Some(range), before].into_iter().flatten() {
            counted.expect(range.minutes(), minutes, &groups)?;
        }
        while start < range.to / MINUTE_NANOS {
            sums.clear();
            let now = (start, start + minutes);
            add_up_step(counted, now, &mut groups, keeper.as_mut(), &mut sums)?;
            let time = |minute: i64| Some(rfc3339(minute * MINUTE_NANOS));
            if let Some(distance) = distance {
                earlier.clear();
                let then = (start - distance, start - distance + minutes);
                add_up_step(counted, then, &mut groups, keeper.as_mut(), &mut earlier)?;
            }
            let pair = |row: Row, before: Row| match distance {
                None => row,
                Some(distance) => row.compared(Row { time: time(start - distance), ..before }),
            };
            let found = points.len();
            for (place, group) in groups.all.iter().zip(&groups.about).enumerate() {
                let (now, earlier) = (at(&sums, place), at(&earlier, place));
                if now.is_some() || earlier.is_some() {
                    points.push(pair(Row::of(time(start), group, now), Row::of(None, group, earlier)));
                }
            }
            if group_by.is_empty() && points.len() == found {
                points.push(pair(Row { time: time(start), ..Row::default() }, Row::default()));
            }
            if points.len() > limits.points {
                return Err(too_many_points(limits));
            }
            start += minutes;
        }
        let coarse = coarse(counted.file(), range, filter)?;
        let (from, to) = (rfc3339(range.from), rfc3339(range.to));
        let compared_with = before.map(Span::of);
        Ok(Timeseries { from, to, step, gateways_since, compared_with, points, coarse })
    }
}

impl Row {
    /// A row of a group; one without sums was not counted.
    fn of(time: Option<String>, (group, about): (&Group, &About), sums: Option<&Sums>) -> Self {
        let About { label, has_other_senders } = about;
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let ms = |quantiles: &Quantiles, q| quantiles.quantile(q).map(|seconds| round(seconds * 1e3));
        let row = Self {
            time,
            group: group.clone(),
            consumer_name: known(&label.name),
            consumer_group: known(&label.group),
            ..Self::default()
        };
        let Some(sums) = sums else { return row };
        Self {
            requests: sums.requests,
            errors: sums.errors,
            request_bytes: sums.request_bytes,
            response_bytes: sums.response_bytes,
            estimated: *has_other_senders && sums.duration.count() > 0,
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
            ..row
        }
    }

    /// The row with that of the stretch before.
    fn compared(self, before: Self) -> Self {
        Self { before: Some(Box::new(before)), ..self }
    }
}

impl Span {
    fn of(range: Range) -> Self {
        Self { from: rfc3339(range.from), to: rfc3339(range.to) }
    }
}

/// The coarse stretches that reach into a range, merged where they meet.
pub(super) fn coarse(file: &Connection, range: Range, filter: &Filter) -> Result<Vec<Span>, QueryError> {
    let spans = coarse_spans(file, range, filter)?;
    Ok(spans.into_iter().map(|(from, to)| Span::of(Range { from, to })).collect())
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

/// The seconds of a step; a minute unless said.
pub(super) fn step_of(params: &Params) -> Result<i64, QueryError> {
    let step = params.number("step", MINUTE_SECONDS..=MAX_STEP_SECONDS, MINUTE_SECONDS)?;
    if !step.is_multiple_of(MINUTE_SECONDS) {
        return Err(QueryError::parameter("step", "step must be a multiple of 60 seconds"));
    }
    Ok(step as i64)
}

/// A step as long as this one, or the next longer one of whole half hours, for a range of which minutes have expired. In
/// seconds.
pub(super) fn in_half_hours(step: i64) -> i64 {
    (step + HALF_HOUR_SECONDS - 1) / HALF_HOUR_SECONDS * HALF_HOUR_SECONDS
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
    ["from", "to", "group_by", compare::NAME]
        .into_iter()
        .chain(filter::names())
        .chain(own.iter().copied())
        .collect()
}

/// The shortest of some usual steps by which a range of this length has no more points than an answer may have. In seconds.
fn default_step(seconds: i64, limits: &Limits) -> i64 {
    let steps = [MINUTE_SECONDS as i64, 5 * MINUTE_SECONDS as i64, HALF_HOUR_SECONDS, 3_600];
    // Widening the range to whole steps may add one at each end.
    let fits = |step: &i64| seconds / step + 2 <= limits.points as i64;
    steps.into_iter().find(fits).unwrap_or(DAY_SECONDS)
}

fn too_many_points(limits: &Limits) -> QueryError {
    let message = format!(
        "the answer would have more than {} points: ask for a longer step or a shorter range",
        limits.points
    );
    QueryError::TooMuch { field: "step", message }
}
