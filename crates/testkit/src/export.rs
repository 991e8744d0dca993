//! Writes exports as the filter does, for tests of the ingest.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::collections::BTreeMap;

/// Noon of a day in the past, in Unix nanoseconds: a whole minute, half hour and hour.
pub const NOON: u64 = 1_781_956_800 * SECOND;
/// In nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// In nanoseconds.
pub const MINUTE: u64 = 60 * SECOND;

/// One request that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// `gatelens.consumer.id`.
    pub consumer: &'static str,
    /// `http.request.method`.
    pub method: &'static str,
    /// `http.route`.
    pub route: &'static str,
    /// `http.response.status_code`; 0 for none.
    pub status: u16,
    /// Its duration.
    pub seconds: f64,
}

/// A request of `acme` that took `seconds`.
pub fn made(route: &'static str, status: u16, seconds: f64) -> Made {
    Made { consumer: "acme", method: "GET", route, status, seconds }
}

/// How a frame of counters differs from an ordinary one.
pub struct Frame {
    /// Of the points, in Unix nanoseconds.
    pub time: u64,
    /// Of the counters, in Unix nanoseconds.
    pub start: u64,
    /// Of all metrics.
    pub temporality: AggregationTemporality,
    /// `service.name`.
    pub service: &'static str,
    /// `deployment.environment.name`.
    pub environment: &'static str,
    /// Attributes of each point beside those of the series.
    pub extra: Vec<KeyValue>,
    /// Of the exponential histograms.
    pub scale: i32,
    /// Attributes of the resource beside the usual ones.
    pub resource: Vec<KeyValue>,
    /// `counters.bounds_seconds`; without any, durations are not counted at bounds.
    pub bounds_seconds: &'static [f64],
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            time: NOON,
            start: NOON - 3600 * SECOND,
            temporality: AggregationTemporality::Cumulative,
            service: "orders",
            environment: "prod",
            extra: Vec::new(),
            scale: 5,
            resource: Vec::new(),
            bounds_seconds: &[],
        }
    }
}

impl Frame {
    /// An ordinary frame of another time.
    pub fn at(time: u64) -> Self {
        Self { time, ..Self::default() }
    }

    /// The export of all that was made: durations, half of each spent upstream, 100 bytes in and 1,000 out.
    pub fn of(&self, all: &[Made]) -> ExportMetricsServiceRequest {
        let mut series: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for made in all {
            let key = (made.consumer, made.method, made.route, made.status);
            series.entry(key).or_default().push(made.seconds);
        }
        let mut durations = Vec::new();
        let mut upstream = Vec::new();
        let mut by_bound = Vec::new();
        let (mut request_sizes, mut response_sizes) = (Vec::new(), Vec::new());
        for ((consumer, method, route, status), seconds) in series {
            let mut attributes = vec![
                text("gatelens.consumer.id", consumer),
                text("http.request.method", method),
                text("http.route", route),
            ];
            if status > 0 {
                attributes.push(int("http.response.status_code", i64::from(status)));
            }
            attributes.extend(self.extra.iter().cloned());
            let halves: Vec<f64> = seconds.iter().map(|seconds| seconds / 2.0).collect();
            durations.push(self.histogram(attributes.clone(), &seconds));
            upstream.push(self.histogram(attributes.clone(), &halves));
            by_bound.push(self.at_bounds(attributes.clone(), &seconds));
            request_sizes.push(self.sizes(attributes.clone(), seconds.len(), 100));
            response_sizes.push(self.sizes(attributes, seconds.len(), 1000));
        }
        let count = durations.len() as i64;
        let mut metrics = vec![
            self.exponential("http.server.request.duration", durations),
            self.exponential("gatelens.upstream.duration", upstream),
            self.explicit("http.server.request.body.size", request_sizes),
            self.explicit("http.server.response.body.size", response_sizes),
            gauge("gatelens.series", count, self.time),
            gauge("somebody.elses", 1, self.time),
        ];
        if !self.bounds_seconds.is_empty() {
            metrics.push(self.explicit("gatelens.request.duration", by_bound));
        }
        self.export(metrics)
    }

    /// The export of these metrics.
    pub fn export(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let mut resource = resource(self.service, self.environment);
        resource.attributes.extend(self.resource.iter().cloned());
        let resource = Some(resource);
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }];
        ExportMetricsServiceRequest { resource_metrics }
    }

    /// A metric of exponential histograms.
    pub fn exponential(&self, name: &str, data_points: Vec<ExponentialHistogramDataPoint>) -> Metric {
        let aggregation_temporality = self.temporality.into();
        metric(
            name,
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }),
        )
    }

    /// A metric of histograms with explicit bounds.
    pub fn explicit(&self, name: &str, data_points: Vec<HistogramDataPoint>) -> Metric {
        let aggregation_temporality = self.temporality.into();
        metric(name, Data::Histogram(Histogram { data_points, aggregation_temporality }))
    }

    /// A point of an exponential histogram of durations.
    pub fn histogram(&self, attributes: Vec<KeyValue>, seconds: &[f64]) -> ExponentialHistogramDataPoint {
        let mut buckets: BTreeMap<i32, u64> = BTreeMap::new();
        let factor = f64::from(self.scale).exp2();
        for value in seconds.iter().filter(|value| **value > 0.0) {
            *buckets.entry((value.log2() * factor).ceil() as i32 - 1).or_default() += 1;
        }
        let offset = buckets.keys().next().copied().unwrap_or_default();
        let last = buckets.keys().last().copied().unwrap_or(offset - 1);
        let bucket_counts = (offset..=last).map(|index| buckets.get(&index).copied().unwrap_or(0)).collect();
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            count: seconds.len() as u64,
            sum: Some(seconds.iter().sum()),
            scale: self.scale,
            zero_count: seconds.iter().filter(|value| **value <= 0.0).count() as u64,
            positive: Some(Buckets { offset, bucket_counts }),
            ..Default::default()
        }
    }

    fn at_bounds(&self, attributes: Vec<KeyValue>, seconds: &[f64]) -> HistogramDataPoint {
        let mut bucket_counts = vec![0; self.bounds_seconds.len() + 1];
        for value in seconds {
            bucket_counts[self.bounds_seconds.partition_point(|bound| bound < value)] += 1;
        }
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            count: seconds.len() as u64,
            sum: Some(seconds.iter().sum()),
            bucket_counts,
            explicit_bounds: self.bounds_seconds.to_vec(),
            ..Default::default()
        }
    }

    fn sizes(&self, attributes: Vec<KeyValue>, count: usize, each: u64) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            count: count as u64,
            sum: Some((count as u64 * each) as f64),
            ..Default::default()
        }
    }
}

/// A batch of the request log: the start of each request, and what it was.
pub fn log(requests: &[(u64, Made)]) -> ExportLogsServiceRequest {
    let log_records = requests.iter().map(|(time, made)| record(*time, made)).collect();
    export_logs(log_records)
}

/// A batch of these log records.
pub fn export_logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource_logs =
        vec![ResourceLogs { resource: Some(resource("orders", "prod")), scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }
}

/// The log record of a request that started at `time`.
pub fn record(time: u64, made: &Made) -> LogRecord {
    let nanos = (made.seconds * 1e9) as i64;
    let mut attributes = vec![
        text("gatelens.consumer.id", made.consumer),
        text("http.request.method", made.method),
        text("http.route", made.route),
        text("url.path", made.route),
        text("client.address", "192.0.2.7"),
        int("client.port", 4711),
        text("user_agent.original", "curl/8"),
        text("gatelens.request_id", &format!("id-{time}")),
        text("gatelens.response_flags", "UF"),
        int("http.request.body.size", 100),
        int("http.response.body.size", 1000),
        int("http.request.resend_count", 2),
        int("gatelens.duration_ns", nanos),
        int("gatelens.upstream.duration_ns", nanos / 2),
    ];
    if made.status > 0 {
        attributes.push(int("http.response.status_code", i64::from(made.status)));
    }
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time + nanos as u64,
        event_name: "gatelens.request".to_owned(),
        trace_id: (0..16).collect(),
        span_id: (0..8).collect(),
        attributes,
        ..Default::default()
    }
}

fn resource(service: &str, environment: &str) -> Resource {
    let attributes = vec![
        text("service.name", service),
        text("deployment.environment.name", environment),
        text("service.instance.id", "edge-1"),
        text("gatelens.version", "0.1.0"),
        text("gatelens.config_hash", "0123456789abcdef"),
        text("gatelens.direction", "inbound"),
    ];
    Resource { attributes, ..Default::default() }
}

/// A gauge with one whole number.
pub fn gauge(name: &str, value: i64, time: u64) -> Metric {
    let value = Some(number_data_point::Value::AsInt(value));
    let data_points = vec![NumberDataPoint { time_unix_nano: time, value, ..Default::default() }];
    metric(name, Data::Gauge(Gauge { data_points }))
}

/// A gauge of seconds.
pub fn seconds(name: &str, value: f64, time: u64) -> Metric {
    let value = Some(number_data_point::Value::AsDouble(value));
    let data_points = vec![NumberDataPoint { time_unix_nano: time, value, ..Default::default() }];
    metric(name, Data::Gauge(Gauge { data_points }))
}

/// A cumulative sum: attributes and value of each point.
pub fn sum(name: &str, points: Vec<(Vec<KeyValue>, i64)>, time: u64) -> Metric {
    let point = |(attributes, value)| NumberDataPoint {
        attributes,
        time_unix_nano: time,
        value: Some(number_data_point::Value::AsInt(value)),
        ..Default::default()
    };
    let data_points = points.into_iter().map(point).collect();
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    metric(name, Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Default::default() }
}

/// An attribute that is a text.
pub fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// An attribute that is a whole number.
pub fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

/// A list of texts.
pub fn list(key: &str, values: &[&str]) -> KeyValue {
    let value = |text: &&str| AnyValue { value: Some(Value::StringValue((*text).to_owned())) };
    attribute(key, Value::ArrayValue(ArrayValue { values: values.iter().map(value).collect() }))
}

/// An attribute that is `true`.
pub fn flag(key: &str) -> KeyValue {
    attribute(key, Value::BoolValue(true))
}

/// Any attribute.
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
