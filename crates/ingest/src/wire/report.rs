//! Reads the state of a gateway itself: metrics without the attributes of a series.

use super::attributes;
use crate::model::{DROP_REASONS, Report};
use gatelens_model::NotLogged;
use gatelens_model::fate::Fate;
use gatelens_model::{attribute, metric};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, metric::Data, number_data_point::Value,
};

/// An interval up to this is the ordinary one.
const MINUTE_SECONDS: f64 = 60.0;

impl Report {
    /// Whether a metric of this name is part of one.
    pub(super) fn knows(name: &str) -> bool {
        const NAMES: [&str; 11] = [
            metric::EVENTS,
            metric::EVENTS_CAPTURED,
            metric::QUEUE_SIZE,
            metric::EXPORT_FAILURES,
            metric::WORKERS,
            metric::WORKERS_LOST,
            metric::UNCOUNTED,
            metric::NOT_LOGGED,
            metric::EXCLUDED_FROM_COUNTERS,
            metric::BUSY_TIME,
            metric::INTERVAL,
        ];
        NAMES.contains(&name) || is_active_requests(name)
    }

    /// Reads a metric into the report; `false` when it is not part of one.
    pub(super) fn read(&mut self, metric: &Metric) -> bool {
        let points = points(metric);
        let whole = || points.iter().map(whole).fold(None, add);
        let seconds = || points.last().map(seconds);
        match metric.name.as_str() {
            metric::EVENTS => points.iter().for_each(|point| self.read_fate(point)),
            metric::EVENTS_CAPTURED => self.captured = whole(),
            metric::QUEUE_SIZE => self.queue_bytes = whole(),
            metric::EXPORT_FAILURES => self.export_failures = whole(),
            metric::WORKERS => self.workers = whole(),
            metric::WORKERS_LOST => self.workers_lost = whole(),
            metric::UNCOUNTED => self.uncounted = whole(),
            metric::NOT_LOGGED => points.iter().for_each(|point| self.read_not_logged(point)),
            metric::EXCLUDED_FROM_COUNTERS => self.excluded_from_counters = whole(),
            metric::BUSY_TIME => self.busy_seconds = seconds().filter(|seconds| seconds.is_finite()),
            metric::INTERVAL => self.interval_seconds = seconds().filter(|seconds| *seconds > MINUTE_SECONDS),
            name if is_active_requests(name) => self.active_requests = whole(),
            _ => return false,
        }
        self.time = self.time.max(latest(points));
        true
    }

    /// The same at `now` (Unix nanoseconds), where it has no time of its own.
    pub(super) fn timed(self, now: i64) -> Self {
        Self { time: if self.time == 0 { now } else { self.time }, ..self }
    }

    fn read_fate(&mut self, point: &NumberDataPoint) {
        let fate = attributes::text(&point.attributes, attribute::EVENT_FATE).unwrap_or_default();
        let slot = match DROP_REASONS.iter().position(|reason| Fate::Dropped(*reason).name() == fate) {
            Some(reason) => self.dropped.get_mut(reason),
            None => (fate == Fate::Sent.name()).then_some(&mut self.sent),
        };
        if let Some(slot) = slot {
            *slot = add(*slot, whole(point));
        }
    }

    fn read_not_logged(&mut self, point: &NumberDataPoint) {
        let name = attributes::text(&point.attributes, attribute::NOT_LOGGED_REASON).unwrap_or_default();
        let reasons = NotLogged::ALL.iter().zip(&mut self.not_logged);
        if let Some((_, slot)) = reasons.into_iter().find(|(reason, _)| reason.name() == name) {
            *slot = add(*slot, whole(point));
        }
    }
}

/// `http.server.active_requests` or `http.client.active_requests`.
fn is_active_requests(name: &str) -> bool {
    let rest = name.strip_prefix(metric::SERVER).or_else(|| name.strip_prefix(metric::CLIENT));
    rest == Some(metric::ACTIVE_REQUESTS)
}

/// The points of a metric that is one number each.
pub(super) fn points(metric: &Metric) -> &[NumberDataPoint] {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.as_slice(),
        Some(Data::Sum(sum)) => sum.data_points.as_slice(),
        _ => &[],
    }
}

/// The latest time of points, Unix nanoseconds; 0 when none has one.
pub(super) fn latest(points: &[NumberDataPoint]) -> i64 {
    let latest = points.iter().map(|point| point.time_unix_nano).max().unwrap_or_default();
    i64::try_from(latest).unwrap_or(i64::MAX)
}

fn add(sum: Option<u64>, value: Option<u64>) -> Option<u64> {
    value.map(|value| value.saturating_add(sum.unwrap_or_default())).or(sum)
}

/// A point's value, rounded; absent when it is negative.
pub(super) fn whole(point: &NumberDataPoint) -> Option<u64> {
    match point.value? {
        Value::AsInt(value) => u64::try_from(value).ok(),
        // A cast saturates, and NaN becomes 0.
        Value::AsDouble(value) => Some(value.round() as u64),
    }
}

fn seconds(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Value::AsInt(value)) => value as f64,
        Some(Value::AsDouble(value)) => value,
        None => f64::NAN,
    }
}
