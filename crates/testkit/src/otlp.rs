//! Reads what a gateway exported, with the official OTLP messages.
//!
//! The functions take the requests in the order in which they were sent, whoever recorded them: the fake gateway or the
//! receiver. What cannot be read is a failure of the test and panics.

#![allow(clippy::panic, reason = "this is the assertion of a test")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, Metric, NumberDataPoint, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use crate::fake::Sent;
use crate::receiver::Captured;

/// More than any export inflates to.
const MAX_EXPORT_BYTES: u64 = 64 << 20;

/// `AGGREGATION_TEMPORALITY_DELTA`.
const DELTA: i32 = 1;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;

/// A recorded request of a gateway.
pub trait Exported {
    /// The path of its target.
    fn path(&self) -> &str;

    /// Its `content-encoding`; empty without one.
    fn coding(&self) -> &str;

    /// Its body as sent.
    fn body(&self) -> &[u8];
}

impl Exported for Sent {
    fn path(&self) -> &str {
        self.header(":path")
    }

    fn coding(&self) -> &str {
        self.header("content-encoding")
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Exported for Captured {
    fn path(&self) -> &str {
        &self.path
    }

    fn coding(&self) -> &str {
        self.header("content-encoding").unwrap_or_default()
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Attributes by name, their values as text: the elements of a list are separated by ` | `.
pub type Attributes = BTreeMap<String, String>;

/// The body before compression.
pub fn inflated(request: &impl Exported) -> Cow<'_, [u8]> {
    match request.coding() {
        "" => Cow::Borrowed(request.body()),
        "gzip" => {
            let mut body = Vec::new();
            read(GzDecoder::new(request.body()).take(MAX_EXPORT_BYTES).read_to_end(&mut body), "gzip");
            Cow::Owned(body)
        }
        other => panic!("content-encoding {other}"),
    }
}

/// The attributes of a resource, a point or a record; none occurs twice.
pub fn attributes(list: &[KeyValue]) -> Attributes {
    let map: Attributes =
        list.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect();
    assert_eq!(map.len(), list.len(), "an attribute twice: {list:?}");
    map
}

/// A request to `/v1/logs` as a message.
pub fn logs(request: &impl Exported) -> ExportLogsServiceRequest {
    read(ExportLogsServiceRequest::decode(&inflated(request)[..]), "logs")
}

/// A request to `/v1/metrics` as a message.
pub fn metrics(request: &impl Exported) -> ExportMetricsServiceRequest {
    read(ExportMetricsServiceRequest::decode(&inflated(request)[..]), "metrics")
}

/// All log records.
pub fn log_records(requests: &[impl Exported]) -> Vec<LogRecord> {
    let logs = requests.iter().filter(|request| request.path().ends_with("/v1/logs")).map(logs);
    logs.flat_map(|r| r.resource_logs).flat_map(|r| r.scope_logs).flat_map(|s| s.log_records).collect()
}

/// All spans.
pub fn spans(requests: &[impl Exported]) -> Vec<Span> {
    let traces = requests.iter().filter(|request| request.path().ends_with("/v1/traces"));
    let traces =
        traces.map(|request| read(ExportTraceServiceRequest::decode(&inflated(request)[..]), "traces"));
    traces.flat_map(|r| r.resource_spans).flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
}

/// The spans of gateways by their identifiers: the name of each attribute with its value.
pub fn server_spans(requests: &[impl Exported]) -> Vec<(Vec<u8>, Attributes)> {
    let of_gateway = spans(requests).into_iter().filter(|span| span.kind == SpanKind::Server as i32);
    of_gateway.map(|span| (span.span_id, attributes(&span.attributes))).collect()
}

/// The attributes of all log records.
pub fn records(requests: &[impl Exported]) -> Vec<Attributes> {
    log_records(requests).iter().map(|record| attributes(&record.attributes)).collect()
}

/// The exponential histograms of a metric by their attributes and their start, each with its highest count: cumulative
/// counts never fall, and a repeat that was held up is older than what has replaced it.
pub fn streams(
    requests: &[impl Exported],
    name: &str,
) -> BTreeMap<(Attributes, u64), ExponentialHistogramDataPoint> {
    let mut newest: BTreeMap<(Attributes, u64), ExponentialHistogramDataPoint> = BTreeMap::new();
    for metric in all_metrics(requests).filter(|metric| metric.name == name) {
        let Some(Data::ExponentialHistogram(data)) = metric.data else { continue };
        assert_eq!(data.aggregation_temporality, CUMULATIVE, "{name}");
        for point in data.data_points {
            let stream = (attributes(&point.attributes), point.start_time_unix_nano);
            if newest.get(&stream).is_none_or(|known| known.count <= point.count) {
                newest.insert(stream, point);
            }
        }
    }
    newest
}

/// The same by attributes alone: of a series that began anew, the last stream.
pub fn sketches(
    requests: &[impl Exported],
    name: &str,
) -> BTreeMap<Attributes, ExponentialHistogramDataPoint> {
    streams(requests, name).into_iter().map(|((series, _), point)| (series, point)).collect()
}

/// Requests by series, in all its streams.
pub fn counts(requests: &[impl Exported]) -> BTreeMap<Attributes, u64> {
    let mut counts = BTreeMap::new();
    for ((series, _), point) in streams(requests, "http.server.request.duration") {
        *counts.entry(series).or_default() += point.count;
    }
    counts
}

/// Requests by series, from exports of changes. Nothing is recognised as a repeat: an export that is there twice counts twice.
pub fn changes(requests: &[impl Exported]) -> BTreeMap<Attributes, u64> {
    let mut sums = BTreeMap::new();
    for metric in all_metrics(requests).filter(|metric| metric.name == "http.server.request.duration") {
        let Some(Data::ExponentialHistogram(data)) = metric.data else { continue };
        assert_eq!(data.aggregation_temporality, DELTA);
        for point in data.data_points {
            *sums.entry(attributes(&point.attributes)).or_default() += point.count;
        }
    }
    sums
}

/// The newest value of each metric that is a single number, by its name; `gatelens.events` by fate.
pub fn numbers(requests: &[impl Exported]) -> BTreeMap<String, f64> {
    let mut newest: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for metric in all_metrics(requests) {
        for point in number_points(metric.data) {
            let fate = attributes(&point.attributes).remove("gatelens.event.fate");
            let name = fate.unwrap_or_else(|| metric.name.clone());
            let value = match point.value {
                Some(number_data_point::Value::AsInt(value)) => value as f64,
                Some(number_data_point::Value::AsDouble(value)) => value,
                None => panic!("{name}: no value"),
            };
            if newest.get(&name).is_none_or(|(time, _)| *time <= point.time_unix_nano) {
                newest.insert(name, (point.time_unix_nano, value));
            }
        }
    }
    newest.into_iter().map(|(name, (_, value))| (name, value)).collect()
}

/// The points of a metric in the last request that has it, by the values of their attributes: a cumulative sum of
/// whole numbers.
pub fn points(requests: &[impl Exported], name: &str) -> BTreeMap<String, i64> {
    let Some(metric) = all_metrics(requests).filter(|metric| metric.name == name).last() else {
        return BTreeMap::new();
    };
    let Some(Data::Sum(sum)) = metric.data else { panic!("{name} is not a sum") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE, "{name}");
    let point = |point: NumberDataPoint| match point.value {
        Some(number_data_point::Value::AsInt(value)) => {
            (attributes(&point.attributes).into_values().collect::<Vec<_>>().join(" "), value)
        }
        other => panic!("{name}: {other:?}"),
    };
    sum.data_points.into_iter().map(point).collect()
}

/// The data of a metric in each request that has it, in the order of sending.
pub fn exports_of(requests: &[impl Exported], name: &str) -> Vec<Data> {
    all_metrics(requests).filter(|metric| metric.name == name).filter_map(|metric| metric.data).collect()
}

fn all_metrics(requests: &[impl Exported]) -> impl Iterator<Item = Metric> {
    let metrics = requests.iter().filter(|request| request.path().ends_with("/v1/metrics")).map(metrics);
    metrics.flat_map(|r| r.resource_metrics).flat_map(|r| r.scope_metrics).flat_map(|s| s.metrics)
}

fn number_points(data: Option<Data>) -> Vec<NumberDataPoint> {
    match data {
        Some(Data::Sum(sum)) => sum.data_points,
        Some(Data::Gauge(gauge)) => gauge.data_points,
        _ => Vec::new(),
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(" | ")
        }
        other => panic!("{other:?}"),
    }
}

fn read<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}
