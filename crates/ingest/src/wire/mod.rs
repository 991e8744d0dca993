//! From OTLP messages to rows of our own: the only place that knows both.

mod attributes;
mod captured;
mod json;
mod logs;
mod metrics;
mod names;
mod redaction;
mod report;
mod scan;
mod spans;

pub(crate) use redaction::{Bodies, Redaction, Rule};
pub(crate) use report::{DROP_REASONS, Report};
pub(crate) use scan::Signal;

use crate::sketch::Sketch;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::BTreeMap;

/// How a body is written, and how its sender wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// What came in one request of a sender.
#[derive(Debug)]
pub(crate) enum Batch {
    Counts(MetricBatch),
    /// The request log, and how many of the records or spans are no requests.
    Requests(RequestBatch, u64),
}

/// Why a body is no batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the body holds too many records, points or attributes: send it in smaller batches")]
    TooMany,
    #[error("the body is no OTLP export in {}: {detail}", match encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
    Malformed { encoding: Encoding, detail: String },
}

/// How far a body may unfold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of protobuf that JSON may become.
    pub(crate) bytes: usize,
    /// Messages within, in units of some 64 bytes of memory.
    pub(crate) messages: usize,
}

/// Reads a body. `now` (Unix nanoseconds) stands in for missing times.
pub(crate) fn read(
    (signal, encoding): (Signal, Encoding),
    body: &[u8],
    bounds: Bounds,
    identity: Option<Identity>,
    now: i64,
) -> Result<Batch, Unreadable> {
    let malformed = |detail| Unreadable::Malformed { encoding, detail };
    let transcoded;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            transcoded = json::to_protobuf(signal, body, bounds.bytes).map_err(malformed)?;
            &transcoded
        }
    };
    scan::weigh(signal, body, bounds.messages).map_err(|unfit| match unfit {
        scan::Unfit::TooHeavy => Unreadable::TooMany,
        scan::Unfit::Malformed => malformed("its fields do not add up".to_owned()),
    })?;
    let undecoded = |error: prost::DecodeError| malformed(error.to_string());
    Ok(match signal {
        Signal::Metrics => {
            let export = ExportMetricsServiceRequest::decode(body).map_err(undecoded)?;
            Batch::Counts(metrics::read_metrics(export, identity, now))
        }
        Signal::Logs => {
            let export = ExportLogsServiceRequest::decode(body).map_err(undecoded)?;
            let (batch, others) = logs::read_logs(&export, identity, now);
            Batch::Requests(batch, others)
        }
        Signal::Traces => {
            let export = ExportTraceServiceRequest::decode(body).map_err(undecoded)?;
            let (batch, others) = spans::read_spans(&export, identity, now);
            Batch::Requests(batch, others)
        }
    })
}

/// What names a request of a sender for all time: a repeat carries the same bytes under the same identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `service.instance.id` of the sender.
    pub(crate) instance: String,
    /// 16 hex digits, new with each life of the sender's counters.
    pub(crate) epoch: String,
    /// From 1, without gaps per instance, epoch and path.
    pub(crate) sequence: u64,
}

/// Who sent it, as its resource says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) instance: String,
    pub(crate) epoch: String,
    pub(crate) service: String,
    pub(crate) environment: String,
    pub(crate) version: Option<String>,
    pub(crate) config_hash: Option<String>,
    /// Series in use there, where the sender says so.
    pub(crate) series: Option<u64>,
    /// The configuration's tags, as far as they are kept.
    pub(crate) tags: BTreeMap<String, String>,
}

/// One request to `/v1/metrics`.
#[derive(Debug)]
pub(crate) struct MetricBatch {
    pub(crate) identity: Option<Identity>,
    pub(crate) parts: Vec<MetricPart>,
}

/// The points of one resource.
#[derive(Debug)]
pub(crate) struct MetricPart {
    pub(crate) gateway: Gateway,
    /// What it says of itself, where it does.
    pub(crate) report: Option<Report>,
    pub(crate) redaction: Redaction,
    pub(crate) points: Vec<Point>,
}

/// What we keep requests apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SeriesKey {
    pub(crate) service: String,
    pub(crate) environment: String,
    pub(crate) direction: String,
    pub(crate) consumer: String,
    pub(crate) method: String,
    pub(crate) route: String,
    /// 0 when there was no answer.
    pub(crate) status: u16,
    /// Empty when there was no error.
    pub(crate) error_type: String,
    pub(crate) overflow: bool,
}

/// One stream of the sender at one moment, over all instruments that we read.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) series: SeriesKey,
    /// Hash of all attributes: a foreign sender may have more of them than our series, so that several of its
    /// streams add up to one series.
    pub(crate) stream: i64,
    /// Start of a cumulative stream in Unix nanoseconds, where no identity names its epoch; else 0.
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
    /// What came since the last point.
    Delta,
}

/// What is measured of a series. Also the state that is kept of a cumulative stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) duration: Timing,
    pub(crate) upstream: Timing,
    pub(crate) gateway: Timing,
    pub(crate) request_bytes: Tally,
    pub(crate) response_bytes: Tally,
}

/// A histogram of seconds, and its count as the sender says it.
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
    /// What came since `earlier`. An instrument whose count is lower than before is a frame that was overtaken on
    /// its way: it adds nothing, since the later one has counted it.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            duration: self.duration.since(&earlier.duration),
            upstream: self.upstream.since(&earlier.upstream),
            gateway: self.gateway.since(&earlier.gateway),
            request_bytes: self.request_bytes.since(earlier.request_bytes),
            response_bytes: self.response_bytes.since(earlier.response_bytes),
        }
    }

    /// The later of two states, by instrument.
    pub(crate) fn latest(self, other: Self) -> Self {
        let timing = |a: Timing, b: Timing| if b.count > a.count { b } else { a };
        let tally = |a: Tally, b: Tally| if b.count > a.count { b } else { a };
        Self {
            duration: timing(self.duration, other.duration),
            upstream: timing(self.upstream, other.upstream),
            gateway: timing(self.gateway, other.gateway),
            request_bytes: tally(self.request_bytes, other.request_bytes),
            response_bytes: tally(self.response_bytes, other.response_bytes),
        }
    }

    /// Adds what the other holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.duration.add(&other.duration);
        self.upstream.add(&other.upstream);
        self.gateway.add(&other.gateway);
        self.request_bytes.add(other.request_bytes);
        self.response_bytes.add(other.response_bytes);
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        let timings = [&self.duration, &self.upstream, &self.gateway];
        let tallies = [self.request_bytes, self.response_bytes];
        timings.iter().all(|timing| timing.count == 0) && tallies.iter().all(|tally| tally.count == 0)
    }
}

impl Timing {
    fn since(&self, earlier: &Self) -> Self {
        if self.count <= earlier.count {
            return Self::default();
        }
        Self { count: self.count - earlier.count, sketch: self.sketch.since(&earlier.sketch) }
    }

    fn add(&mut self, other: &Self) {
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

    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// One request to `/v1/logs`.
#[derive(Debug)]
pub(crate) struct RequestBatch {
    pub(crate) identity: Option<Identity>,
    pub(crate) parts: Vec<RequestPart>,
}

/// The requests of one resource.
#[derive(Debug)]
pub(crate) struct RequestPart {
    pub(crate) gateway: Gateway,
    pub(crate) events: Vec<RequestEvent>,
}

/// One request of the log. What the sender did not say is `None`, or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestEvent {
    /// Start of the request, Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) consumer: String,
    pub(crate) consumer_trusted: bool,
    pub(crate) method: String,
    pub(crate) method_original: Option<String>,
    pub(crate) route: String,
    /// 0 when there was no answer.
    pub(crate) status: u16,
    pub(crate) error_type: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) client_address: Option<String>,
    pub(crate) client_port: Option<u64>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_bytes: Option<u64>,
    pub(crate) response_bytes: Option<u64>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) upstream_ns: Option<u64>,
    /// How often the gateway sent it to an upstream again.
    pub(crate) resend_count: Option<u64>,
    pub(crate) response_flags: Option<String>,
    pub(crate) code_details: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) grpc_status: Option<u64>,
    /// JSON: an object of lists of values by the header's name, sorted by name.
    pub(crate) request_headers: Option<String>,
    pub(crate) response_headers: Option<String>,
    pub(crate) request_body: Option<String>,
    /// Why a body is not there that could be.
    pub(crate) request_body_omitted: Option<String>,
    pub(crate) response_body: Option<String>,
    pub(crate) response_body_omitted: Option<String>,
    /// Empty or 16 bytes.
    pub(crate) trace_id: Vec<u8>,
    /// Empty or 8 bytes.
    pub(crate) span_id: Vec<u8>,
}

/// What an answer calls an error: a status of 500 or more, or none at all.
pub(crate) fn is_error(status: u16) -> bool {
    status == 0 || status >= 500
}
