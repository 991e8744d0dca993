//! Counts: the measurements of each series, and how states and changes add up.

use super::request::is_error;
use super::scope::is_path;
use super::{ByBound, Gateway, Identity, Redaction, Rejections, Report, Standing};
use gatelens_model::sketch::Sketch;
use std::sync::Arc;

/// One request to `/v1/metrics`.
#[derive(Debug)]
pub(crate) struct MetricBatch {
    pub(crate) identity: Option<Identity>,
    pub(crate) standing: Standing,
    pub(crate) parts: Vec<MetricPart>,
    /// Points that are not among the parts.
    pub(crate) rejected: Rejections,
}

/// The points of one resource.
#[derive(Debug)]
pub(crate) struct MetricPart {
    pub(crate) gateway: Gateway,
    /// Its report on itself, where there is one.
    pub(crate) report: Option<Report>,
    pub(crate) redaction: Redaction,
    pub(crate) points: Vec<Point>,
}

/// The dimensions of a series. Series of one batch share the texts that they have in common, because a resource names
/// some of them for all of its points.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SeriesKey {
    pub(crate) service: Arc<str>,
    pub(crate) environment: Arc<str>,
    /// Version of the service; empty where the sender names none.
    pub(crate) version: Arc<str>,
    pub(crate) direction: Arc<str>,
    pub(crate) consumer: Arc<str>,
    pub(crate) method: Arc<str>,
    pub(crate) route: Arc<str>,
    /// Who configured the route: `template`, `route_name` or [`SENDER`](super::SENDER); empty for an inferred one.
    pub(crate) route_source: Arc<str>,
    /// The host that clients asked for; empty where the sender does not tell hosts apart.
    pub(crate) host: Arc<str>,
    /// Empty where the sender does not tell clusters apart.
    pub(crate) upstream_cluster: Arc<str>,
    /// 0 without a response.
    pub(crate) status: u16,
    /// Of a gRPC call.
    pub(crate) grpc_status: Option<u8>,
    /// Empty without an error.
    pub(crate) error_type: Arc<str>,
    pub(crate) overflow: bool,
}

impl SeriesKey {
    /// All of its texts, so that they can be shared.
    pub(crate) fn texts(&mut self) -> [&mut Arc<str>; 11] {
        [
            &mut self.service,
            &mut self.environment,
            &mut self.version,
            &mut self.direction,
            &mut self.consumer,
            &mut self.method,
            &mut self.route,
            &mut self.route_source,
            &mut self.host,
            &mut self.upstream_cluster,
            &mut self.error_type,
        ]
    }

    /// Whether its requests are errors.
    pub(crate) fn is_error(&self) -> bool {
        is_error(self.status, self.grpc_status.map(u64::from))
    }

    /// Whether its route was inferred from paths, so that learned patterns may replace it.
    pub(crate) fn has_inferred_route(&self) -> bool {
        self.route_source.is_empty() && is_path(&self.route)
    }
}

/// One stream of the sender at one moment, over all instruments that we read.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) series: SeriesKey,
    /// Hash of all attributes: a foreign sender may have more of them than our series, so that several of its
    /// streams add up to one series.
    pub(crate) stream: i64,
    /// Start of a cumulative stream in Unix nanoseconds; else 0. A gateway that gives a series up and begins it anew has
    /// two streams of it, which differ in their starts.
    pub(crate) start: i64,
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) temporality: Temporality,
    pub(crate) values: Values,
}

/// How a point relates to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Temporality {
    /// All since the start of the stream.
    Cumulative,
    /// The change since the last point.
    Delta,
}

/// The measurements of a series. Also the state that is kept of a cumulative stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) duration: Timing,
    pub(crate) upstream: Timing,
    pub(crate) gateway: Timing,
    pub(crate) request_bytes: Tally,
    pub(crate) response_bytes: Tally,
    /// Attempts to send the requests to an upstream: count and sum are the same.
    pub(crate) attempts: Tally,
    /// The duration again, at the sender's bounds.
    pub(crate) by_bound: ByBound,
}

/// A histogram of seconds, and the count that the sender gives with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) count: u64,
    pub(crate) sketch: Sketch,
}

/// A count and a sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl Values {
    /// The change since `earlier`. An instrument whose count is lower than before belongs to a point that was
    /// overtaken: it adds nothing, because the later point has counted it.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            duration: self.duration.since(&earlier.duration),
            upstream: self.upstream.since(&earlier.upstream),
            gateway: self.gateway.since(&earlier.gateway),
            request_bytes: self.request_bytes.since(earlier.request_bytes),
            response_bytes: self.response_bytes.since(earlier.response_bytes),
            attempts: self.attempts.since(earlier.attempts),
            by_bound: self.by_bound.since(&earlier.by_bound),
        }
    }

    /// Takes over the instruments of a later state whose counts have risen by `change`. Returns whether one of them was
    /// another before.
    pub(crate) fn replace_risen(&mut self, later: &Self, change: &Self) -> bool {
        fn replace<T: Clone + PartialEq>(value: &mut T, later: &T, rise: u64) -> bool {
            let is_other = rise > 0 && value != later;
            if is_other {
                value.clone_from(later);
            }
            is_other
        }
        replace(&mut self.duration, &later.duration, change.duration.count)
            | replace(&mut self.upstream, &later.upstream, change.upstream.count)
            | replace(&mut self.gateway, &later.gateway, change.gateway.count)
            | replace(&mut self.request_bytes, &later.request_bytes, change.request_bytes.count)
            | replace(&mut self.response_bytes, &later.response_bytes, change.response_bytes.count)
            | replace(&mut self.attempts, &later.attempts, change.attempts.count)
            | replace(&mut self.by_bound, &later.by_bound, change.by_bound.total())
    }

    /// Adds what the other holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.duration.add(&other.duration);
        self.upstream.add(&other.upstream);
        self.gateway.add(&other.gateway);
        self.request_bytes.add(other.request_bytes);
        self.response_bytes.add(other.response_bytes);
        self.attempts.add(other.attempts);
        self.by_bound.add(&other.by_bound);
    }

    /// Whether no sum comes near the end of its numbers when these are added: SQLite's have 63 bits, and a sum of
    /// nanoseconds has 64.
    pub(crate) fn has_room_for(&self, other: &Self) -> bool {
        const MOST: u64 = 1 << 62;
        let fits = |a: u64, b: u64| a.checked_add(b).is_some_and(|sum| sum <= MOST);
        let timing = |a: &Timing, b: &Timing| {
            fits(a.count, b.count) && a.sketch.sum_ns.checked_add(b.sketch.sum_ns).is_some()
        };
        let tally = |a: Tally, b: Tally| fits(a.count, b.count) && fits(a.sum, b.sum);
        timing(&self.duration, &other.duration)
            && timing(&self.upstream, &other.upstream)
            && timing(&self.gateway, &other.gateway)
            && tally(self.request_bytes, other.request_bytes)
            && tally(self.response_bytes, other.response_bytes)
            && tally(self.attempts, other.attempts)
    }

    /// Whether some thousands of such values could come near the end of their numbers: a terabyte, or ten hours.
    pub(crate) fn is_large(&self) -> bool {
        let timings = [&self.duration, &self.upstream, &self.gateway];
        let tallies = [self.request_bytes, self.response_bytes, self.attempts];
        timings
            .iter()
            .any(|timing| timing.count.max(timing.sketch.count) >> 40 > 0 || timing.sketch.sum_ns >> 45 > 0)
            || tallies.iter().any(|tally| tally.count.max(tally.sum) >> 40 > 0)
            || self.by_bound.total() >> 40 > 0
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        let timings = [&self.duration, &self.upstream, &self.gateway];
        let tallies = [self.request_bytes, self.response_bytes, self.attempts];
        timings.iter().all(|timing| timing.count == 0)
            && tallies.iter().all(|tally| tally.count == 0)
            && self.by_bound.total() == 0
    }
}

impl Timing {
    fn since(&self, earlier: &Self) -> Self {
        if self.count <= earlier.count {
            return Self::default();
        }
        Self { count: self.count - earlier.count, sketch: self.sketch.since(&earlier.sketch) }
    }

    /// Adds what the other holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sketch.merge(&other.sketch);
    }
}

impl Tally {
    fn since(self, earlier: Self) -> Self {
        if self.count <= earlier.count {
            return Self::default();
        }
        Self { count: self.count - earlier.count, sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// Adds what the other holds.
    pub(crate) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
    }
}
