//! What a gateway says of itself: metrics without the attributes of a series.

use super::{attributes, names};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, metric::Data, number_data_point::Value,
};

/// Why a gateway dropped records of its log, as `gatelens.event.fate` has it.
pub(crate) const DROP_REASONS: [&str; 4] = ["queue_full", "rejected", "expired", "lost"];

/// An interval up to this is the ordinary one.
const MINUTE_SECONDS: f64 = 60.0;

/// The state of a gateway at one moment, all counts since the start of its epoch. What it did not say is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Report {
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) captured: Option<u64>,
    pub(crate) sent: Option<u64>,
    /// In the order of [`DROP_REASONS`].
    pub(crate) dropped: [Option<u64>; 4],
    pub(crate) queue_bytes: Option<u64>,
    pub(crate) export_failures: Option<u64>,
    pub(crate) workers: Option<u64>,
    pub(crate) workers_lost: Option<u64>,
    /// Requests that the filter could not count.
    pub(crate) uncounted: Option<u64>,
    pub(crate) active_requests: Option<u64>,
    pub(crate) busy_seconds: Option<f64>,
    /// How much time before `time` the counts sent with this report cover, where that is more than a minute.
    pub(crate) interval_seconds: Option<f64>,
}

impl Report {
    /// Takes what a metric says into the report; `false` when the metric is none of these.
    pub(super) fn read(&mut self, metric: &Metric) -> bool {
        let points = points(metric);
        let whole = || points.iter().map(whole).fold(None, add);
        let seconds = || points.last().map(seconds);
        match metric.name.as_str() {
            names::EVENTS => points.iter().for_each(|point| self.read_fate(point)),
            names::CAPTURED => self.captured = whole(),
            names::QUEUE => self.queue_bytes = whole(),
            names::EXPORT_FAILURES => self.export_failures = whole(),
            names::WORKERS => self.workers = whole(),
            names::WORKERS_LOST => self.workers_lost = whole(),
            names::UNCOUNTED => self.uncounted = whole(),
            names::BUSY_TIME => self.busy_seconds = seconds().filter(|seconds| seconds.is_finite()),
            names::INTERVAL => self.interval_seconds = seconds().filter(|seconds| *seconds > MINUTE_SECONDS),
            names::SERVER_ACTIVE | names::CLIENT_ACTIVE => self.active_requests = whole(),
            _ => return false,
        }
        self.time = self.time.max(latest(points));
        true
    }

    /// The same at `now` (Unix nanoseconds), where it does not say when it was made.
    pub(super) fn timed(self, now: i64) -> Self {
        Self { time: if self.time == 0 { now } else { self.time }, ..self }
    }

    /// Where the minutes of the counts sent with this report cannot be told apart: from and to in Unix nanoseconds.
    pub(crate) fn coarse(&self) -> Option<(i64, i64)> {
        let seconds = self.interval_seconds?;
        Some((self.time.saturating_sub((seconds * 1e9) as i64), self.time))
    }

    fn read_fate(&mut self, point: &NumberDataPoint) {
        let fate = attributes::text(&point.attributes, names::FATE).unwrap_or_default();
        let slot = match DROP_REASONS.iter().position(|reason| *reason == fate) {
            Some(reason) => self.dropped.get_mut(reason),
            None => (fate == names::SENT).then_some(&mut self.sent),
        };
        if let Some(slot) = slot {
            *slot = add(*slot, whole(point));
        }
    }
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
