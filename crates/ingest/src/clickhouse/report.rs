//! Storing what gateways report of their counters.

use super::close::block_of;
use super::series::{Parts, SeriesRow, id_of};
use super::{ClickHouse, END_TIMEOUT, SEND_TIMEOUT, in_time};
use crate::model::accumulate::minute_of;
use crate::model::{
    ByBound, Gateway, Identity, MetricBatch, MetricPart, Point, Rejection, Rejections, SeriesKey,
    Temporality, Timing, Values,
};
use crate::store::StoreError;
use clickhouse::error::Error;
use clickhouse::{Row, RowOwned, RowWrite};
use serde::Serialize;
use std::collections::HashSet;

/// Values by bucket, as a row has them.
pub(super) type Buckets = Vec<(i16, u64)>;
/// Counts by bound in nanoseconds, as a row has them. Those above all bounds are at 0.
pub(super) type Bounded = Vec<(u64, u64)>;

/// A row of `reported`.
#[derive(Row, Serialize)]
struct Reported {
    block: u32,
    stream: u64,
    minute: u32,
    sender: u64,
    series: u64,
    instance: String,
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    attempts: u64,
    duration_zeros: u64,
    duration_ns: u64,
    duration: Buckets,
    upstream_zeros: u64,
    upstream_ns: u64,
    upstream: Buckets,
    gateway_zeros: u64,
    gateway_ns: u64,
    gateway: Buckets,
    request_sizes: u64,
    response_sizes: u64,
    by_bound: Bounded,
}

/// A row of `changes`.
#[derive(Row, Serialize)]
struct Change {
    minute: u32,
    series: u64,
    instance: String,
    change: u64,
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    attempts: u64,
    duration_zeros: u64,
    duration_ns: u64,
    duration: Buckets,
    upstream_zeros: u64,
    upstream_ns: u64,
    upstream: Buckets,
    gateway_zeros: u64,
    gateway_ns: u64,
    gateway: Buckets,
    request_sizes: u64,
    response_sizes: u64,
    by_bound: Bounded,
}

/// Who may bring what.
pub(crate) trait Admits {
    /// Whether the sender of a part may send.
    fn part(&self, part: &MetricPart) -> bool;
    /// Whether it may make a new series.
    fn series(&self, part: &MetricPart, key: &SeriesKey) -> Result<(), Rejection>;
}

/// The rows of a batch.
#[derive(Default)]
struct Rows {
    reported: Vec<Reported>,
    changes: Vec<Change>,
    series: Vec<SeriesRow>,
    new: HashSet<u64>,
    instances: HashSet<String>,
    rejected: Rejections,
}

impl ClickHouse {
    /// Stores the counters of those parts of a batch that are admitted, except new series that are not. They are inserted when this
    /// returns; a batch that is stored again changes nothing. The points of series that are not admitted are returned. `now` is in
    /// Unix nanoseconds.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses. A part may be stored then, and counts once when the batch is repeated.
    pub(crate) async fn store_counts(
        &self,
        batch: &MetricBatch,
        now: i64,
        admits: &impl Admits,
    ) -> Result<Rejections, StoreError> {
        let rows = self.rows(batch, now, admits);
        // Whoever finds counts must find their series.
        self.add_series(&rows.series, &rows.instances).await?;
        self.insert("reported", &rows.reported).await?;
        self.insert("changes", &rows.changes).await?;
        Ok(rows.rejected)
    }

    /// Inserts rows. The server may take its time, but not for ever.
    pub(super) async fn insert<T: RowOwned + RowWrite>(&self, table: &str, rows: &[T]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let insert = in_time(END_TIMEOUT, self.client.insert::<T>(table)).await?;
        let mut insert = insert.with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT));
        for row in rows {
            insert.write(row).await?;
        }
        insert.end().await
    }

    fn rows(&self, batch: &MetricBatch, now: i64, admits: &impl Admits) -> Rows {
        let mut rows = Rows::default();
        // Blocks from before may not be there any more.
        let present = minute_of(now);
        let oldest = present.saturating_sub(self.late_minutes.into());
        let known = self.series();
        let mut place = 0u64;
        for part in &batch.parts {
            let sender = sender_of(&part.gateway);
            let instance = &part.gateway.instance;
            if !instance.is_empty() && !known.has_instance(instance) {
                rows.instances.insert(instance.clone());
            }
            let is_taken = admits.part(part);
            for point in &part.points {
                place += 1;
                if !is_taken || point.values.is_empty() {
                    continue;
                }
                let series = id_of(&point.series);
                if !known.has(series) && !rows.new.contains(&series) {
                    if known.len() + rows.series.len() >= self.max_series {
                        rows.rejected.add(Rejection::TooManySeries, 1);
                        continue;
                    }
                    if let Err(reason) = admits.series(part, &point.series) {
                        rows.rejected.add(reason, 1);
                        continue;
                    }
                    rows.new.insert(series);
                    rows.series.push(SeriesRow::of(series, &point.series, rows.series.len()));
                }
                let minute = minute_of(point.time);
                let minute = if minute < oldest { present } else { minute };
                let minute = minute.clamp(1, u32::MAX.into()) as u32;
                match point.temporality {
                    Temporality::Cumulative => {
                        rows.reported.push(Reported::of(minute, (sender, point), series, instance));
                    }
                    Temporality::Delta => {
                        let change = change_of(batch.identity.as_ref(), (sender, now), place);
                        rows.changes.push(Change::of(minute, (change, point), series, instance));
                    }
                }
            }
        }
        rows
    }
}

/// The number of a sender in one life of its counters.
pub(super) fn sender_of(gateway: &Gateway) -> u64 {
    sender_number([&gateway.instance, &gateway.epoch, &gateway.environment])
}

/// The same of its instance, its epoch and its environment.
pub(super) fn sender_number(of: [&str; 3]) -> u64 {
    let mut parts = Parts::default();
    of.into_iter().for_each(|text| parts.text(text));
    parts.hash()
}

/// The number of a cumulative stream of a sender.
pub(super) fn stream_of(sender: u64, start: i64, stream: i64) -> u64 {
    let mut parts = Parts::default();
    [sender, start as u64, stream as u64].into_iter().for_each(|number| parts.number(number));
    parts.hash()
}

/// The number of a change: by the identity of its batch, and where the sender gives none by the time at which it came.
fn change_of(identity: Option<&Identity>, (sender, now): (u64, i64), place: u64) -> u64 {
    let mut parts = Parts::default();
    match identity {
        Some(Identity { instance, epoch, environment, sequence }) => {
            [instance.as_str(), epoch, environment].into_iter().for_each(|text| parts.text(text));
            parts.number(*sequence);
        }
        None => [sender, now as u64].into_iter().for_each(|number| parts.number(number)),
    }
    parts.number(place);
    parts.hash()
}

/// Zeros, the sum in nanoseconds and the buckets.
pub(super) fn split(timing: &Timing) -> (u64, u64, Buckets) {
    (timing.sketch.zeros, timing.sketch.sum_ns, timing.sketch.buckets().to_vec())
}

/// Counts at bounds, by bound.
pub(super) fn bounded(by_bound: &ByBound) -> Bounded {
    let bounds = by_bound.bounds().iter().copied().chain([0]);
    bounds.zip(by_bound.counts().iter().copied()).collect()
}

impl Reported {
    fn of(minute: u32, (sender, point): (u64, &Point), series: u64, instance: &str) -> Self {
        let Values { duration, upstream, gateway, request_bytes, response_bytes, attempts, by_bound } =
            &point.values;
        let (duration_zeros, duration_ns, duration_buckets) = split(duration);
        let (upstream_zeros, upstream_ns, upstream) = split(upstream);
        let (gateway_zeros, gateway_ns, gateway) = split(gateway);
        Self {
            block: block_of(minute),
            stream: stream_of(sender, point.start, point.stream),
            minute,
            sender,
            series,
            instance: instance.to_owned(),
            requests: duration.count,
            request_bytes: request_bytes.sum,
            response_bytes: response_bytes.sum,
            attempts: attempts.sum,
            duration_zeros,
            duration_ns,
            duration: duration_buckets,
            upstream_zeros,
            upstream_ns,
            upstream,
            gateway_zeros,
            gateway_ns,
            gateway,
            request_sizes: request_bytes.count,
            response_sizes: response_bytes.count,
            by_bound: bounded(by_bound),
        }
    }
}

impl Change {
    fn of(minute: u32, (change, point): (u64, &Point), series: u64, instance: &str) -> Self {
        let of_state = Reported::of(minute, (0, point), series, instance);
        let is_exact = point.values.by_bound.total() == of_state.requests;
        Self {
            minute,
            series,
            instance: of_state.instance,
            change,
            requests: of_state.requests,
            request_bytes: of_state.request_bytes,
            response_bytes: of_state.response_bytes,
            attempts: of_state.attempts,
            duration_zeros: of_state.duration_zeros,
            duration_ns: of_state.duration_ns,
            duration: of_state.duration,
            upstream_zeros: of_state.upstream_zeros,
            upstream_ns: of_state.upstream_ns,
            upstream: of_state.upstream,
            gateway_zeros: of_state.gateway_zeros,
            gateway_ns: of_state.gateway_ns,
            gateway: of_state.gateway,
            request_sizes: of_state.request_sizes,
            response_sizes: of_state.response_sizes,
            // Counts at bounds that lack some of the requests are of no use.
            by_bound: if is_exact { of_state.by_bound } else { Vec::new() },
        }
    }
}
