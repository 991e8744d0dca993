//! The counters of the traffic in the formats that Prometheus reads: its text format 0.0.4, OpenMetrics 1.0, and its
//! protobuf, which has native histograms.
//!
//! A bound has the same text in all of them (`1.0`, as OpenMetrics has it), so that a scraper that changes the format
//! goes on with the same series.

mod flat;

pub(crate) use flat::{Flat, flat};

use crate::query::{Exemplar, Exemplars, Traffic, TrafficRow};
use gatelens_model::sketch::SCALE;
use gatelens_model::{metric, prometheus};
use prost::Message;
use std::fmt::Write as _;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily`, one after the other, each behind its length.
    Protobuf,
}

/// The label of exemplars by which Grafana finds a trace.
const TRACE_ID: &str = "trace_id";
const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// Prometheus' own default for the width of the bucket of zeros: 2^-128.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

impl Format {
    /// The format that an `Accept` header prefers (RFC 9110, 12.5.1): of equal ones the first. Whoever takes none of ours
    /// gets the text.
    pub(crate) fn of(accept: &str) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<(String, &str)> = parts
                .filter_map(|parameter| parameter.split_once('='))
                .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
                .collect();
            let parameter =
                |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            let has = |name, values: &[&str]| parameter(name).is_none_or(|value| values.contains(&value));
            let format = match kind.as_str() {
                "application/vnd.google.protobuf"
                    if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                        && parameter("encoding") == Some("delimited") =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" if has("version", &["1.0.0", "0.0.1"]) => Self::OpenMetrics,
                "text/plain" if has("version", &["0.0.4"]) => Self::Text,
                _ => continue,
            };
            let weight = parameter("q").map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// Whether it has exemplars.
    pub(crate) fn exemplars(self) -> Exemplars {
        match self {
            Self::Text => Exemplars::None,
            Self::OpenMetrics | Self::Protobuf => Exemplars::Latest,
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// Writes all counters in a format.
pub(crate) fn render(traffic: &Traffic, format: Format) -> Vec<u8> {
    let mut out = Out { format, text: String::new(), bytes: Vec::new(), labels: names(traffic) };
    for (prefix, is_outbound) in [(metric::SERVER, false), (metric::CLIENT, true)] {
        let rows: Vec<&TrafficRow> =
            traffic.rows.iter().filter(|row| row.is_outbound == is_outbound).collect();
        if !rows.is_empty() {
            out.durations(&Family::new(prefix, metric::REQUEST_DURATION, "s"), &rows);
            let sizes = [metric::REQUEST_BODY_SIZE, metric::RESPONSE_BODY_SIZE];
            for (place, name) in sizes.into_iter().enumerate() {
                out.sizes(&Family::new(prefix, name, "By"), &rows, place);
            }
        }
        let active: Vec<_> = traffic.active.iter().filter(|row| row.is_outbound == is_outbound).collect();
        if !active.is_empty() {
            let family = Family::new(prefix, metric::ACTIVE_REQUESTS, "");
            out.gauges(&family, active.iter().map(|row| (row.values.as_slice(), row.requests)));
        }
    }
    out.end()
}

fn names(traffic: &Traffic) -> Vec<&'static str> {
    traffic.labels.iter().map(|label| label.name()).collect()
}

/// A family of metrics.
struct Family {
    name: String,
    help: &'static str,
    /// As OpenTelemetry names it.
    unit: &'static str,
}

impl Family {
    /// The family of a metric of OpenTelemetry, with its unit there.
    fn new(prefix: &str, name: &str, unit: &'static str) -> Self {
        let name = format!("{prefix}{name}");
        Self { name: prometheus::metric(&name, unit), help: metric::description(&name), unit }
    }

    /// The unit as Prometheus names it.
    fn unit(&self) -> Option<&str> {
        match self.unit {
            "s" => Some("seconds"),
            "By" => Some("bytes"),
            _ => None,
        }
    }
}

struct Out {
    format: Format,
    text: String,
    bytes: Vec<u8>,
    /// Names of the labels of all rows.
    labels: Vec<&'static str>,
}

impl Out {
    fn durations(&mut self, family: &Family, rows: &[&TrafficRow]) {
        if self.format == Format::Protobuf {
            let metrics = rows.iter().map(|row| self.metric(row, native(row))).collect();
            return self.family(family, HISTOGRAM, metrics);
        }
        self.head(family, "histogram");
        for row in rows {
            let labels = labels(&self.labels, &row.values);
            let count = row.count();
            let mut below = None;
            for (bound, up_to) in row.buckets() {
                let text = prometheus::bound(bound as f64 / 1e9);
                // A bucket cannot count more than all.
                let value = up_to.min(count).to_string() + &self.exemplar(row, below, Some(bound));
                self.sample(family, "_bucket", &labels, Some(&text), &value);
                below = Some(bound);
            }
            let value = count.to_string() + &self.exemplar(row, below, None);
            self.sample(family, "_bucket", &labels, Some("+Inf"), &value);
            self.sample(family, "_sum", &labels, None, &seconds(row.sum_ns()));
            self.sample(family, "_count", &labels, None, &count.to_string());
            self.created(family, &labels, row.since);
        }
    }

    /// The exemplar of a bucket as it stands behind its value, where the format has exemplars.
    fn exemplar(&self, row: &TrafficRow, above: Option<u64>, up_to: Option<u64>) -> String {
        let found = row.exemplar(above, up_to).filter(|_| self.format == Format::OpenMetrics);
        found.map_or_else(String::new, |exemplar| {
            let Exemplar { trace_id, duration_ns, time } = exemplar;
            let (duration, time) = (u128::from(*duration_ns), u128::try_from(*time).unwrap_or_default());
            format!(" # {{{TRACE_ID}=\"{trace_id}\"}} {} {}", seconds(duration), seconds(time))
        })
    }

    fn sizes(&mut self, family: &Family, rows: &[&TrafficRow], place: usize) {
        let size = |row: &TrafficRow| row.sizes().get(place).copied().unwrap_or_default();
        if self.format == Format::Protobuf {
            let histogram = |row: &TrafficRow| {
                let (count, sum) = size(row);
                proto::Histogram {
                    sample_count: Some(count),
                    sample_sum: Some(sum as f64),
                    ..proto::Histogram::default()
                }
            };
            let metrics = rows.iter().map(|row| self.metric(row, histogram(row))).collect();
            return self.family(family, HISTOGRAM, metrics);
        }
        self.head(family, "histogram");
        for row in rows {
            let labels = labels(&self.labels, &row.values);
            let (count, sum) = size(row);
            self.sample(family, "_bucket", &labels, Some("+Inf"), &count.to_string());
            self.sample(family, "_sum", &labels, None, &sum.to_string());
            self.sample(family, "_count", &labels, None, &count.to_string());
            self.created(family, &labels, row.since);
        }
    }

    fn gauges<'a>(&mut self, family: &Family, rows: impl Iterator<Item = (&'a [String], u64)>) {
        if self.format == Format::Protobuf {
            let metric = |(values, value): (&[String], u64)| proto::Metric {
                label: self.pairs(values),
                gauge: Some(proto::Gauge { value: Some(value as f64) }),
                histogram: None,
            };
            let metrics = rows.map(metric).collect();
            return self.family(family, GAUGE, metrics);
        }
        self.head(family, "gauge");
        for (values, value) in rows {
            let labels = labels(&self.labels, values);
            self.sample(family, "", &labels, None, &value.to_string());
        }
    }

    fn head(&mut self, family: &Family, kind: &str) {
        let Family { name, help, .. } = family;
        // Nothing can go wrong in memory.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        if let Some(unit) = family.unit().filter(|_| self.format == Format::OpenMetrics) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    fn sample(&mut self, family: &Family, suffix: &str, labels: &str, bound: Option<&str>, value: &str) {
        let name = &family.name;
        let comma = if labels.is_empty() || bound.is_none() { "" } else { "," };
        let _ = match bound {
            Some(bound) => {
                writeln!(self.text, "{name}{suffix}{{{labels}{comma}le=\"{bound}\"}} {value}")
            }
            None if labels.is_empty() => writeln!(self.text, "{name}{suffix} {value}"),
            None => writeln!(self.text, "{name}{suffix}{{{labels}}} {value}"),
        };
    }

    /// The time at which the counters were 0, which the text format does not have.
    fn created(&mut self, family: &Family, labels: &str, since: i64) {
        if self.format == Format::OpenMetrics {
            let nanos = u128::try_from(since).unwrap_or_default();
            self.sample(family, "_created", labels, None, &seconds(nanos));
        }
    }

    fn metric(&self, row: &TrafficRow, mut histogram: proto::Histogram) -> proto::Metric {
        histogram.created_timestamp = Some(timestamp(row.since));
        proto::Metric { label: self.pairs(&row.values), gauge: None, histogram: Some(histogram) }
    }

    fn pairs(&self, values: &[String]) -> Vec<proto::LabelPair> {
        let present = self.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
        let pair = |(name, value): (&&'static str, &String)| proto::LabelPair {
            name: Some((*name).to_owned()),
            value: Some(value.clone()),
        };
        present.map(pair).collect()
    }

    fn family(&mut self, family: &Family, kind: i32, metric: Vec<proto::Metric>) {
        let family = proto::MetricFamily {
            name: Some(family.name.clone()),
            help: Some(family.help.to_owned()),
            kind: Some(kind),
            metric,
            unit: family.unit().map(str::to_owned),
        };
        self.bytes.extend(family.encode_length_delimited_to_vec());
    }

    fn end(mut self) -> Vec<u8> {
        match self.format {
            Format::Text => self.text.into_bytes(),
            Format::OpenMetrics => {
                self.text.push_str("# EOF\n");
                self.text.into_bytes()
            }
            Format::Protobuf => self.bytes,
        }
    }
}

/// The labels with a value, without braces.
fn labels(names: &[&str], values: &[String]) -> String {
    let mut out = String::new();
    for (name, value) in names.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
        prometheus::put_label(&mut out, name, value);
    }
    out
}

/// Seconds with all nanoseconds.
fn seconds(nanos: u128) -> String {
    let (whole, rest) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
    let text = format!("{whole}.{rest:09}");
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

/// A histogram with the buckets that are counted at bounds, and with those of the distribution as a native one.
fn native(row: &TrafficRow) -> proto::Histogram {
    let (count, sketch) = (row.count(), row.sketch());
    let mut buckets = Vec::new();
    let mut below = None;
    for (bound, up_to) in row.buckets() {
        buckets.push(proto::Bucket {
            cumulative_count: Some(up_to.min(count)),
            upper_bound: Some(bound as f64 / 1e9),
            exemplar: row.exemplar(below, Some(bound)).map(exemplar),
        });
        below = Some(bound);
    }
    let (upper_bound, slowest) = (Some(f64::INFINITY), row.exemplar(below, None).map(exemplar));
    buckets.push(proto::Bucket { cumulative_count: Some(count), upper_bound, exemplar: slowest });
    let mut spans: Vec<proto::BucketSpan> = Vec::new();
    let mut deltas = Vec::with_capacity(sketch.buckets().len());
    let (mut next, mut before) = (0i32, 0i64);
    for &(index, count) in sketch.buckets() {
        // Prometheus names a bucket by its upper bound, OpenTelemetry by its lower one.
        let index = i32::from(index) + 1;
        match spans.last_mut() {
            Some(span) if index == next => span.length = span.length.map(|length| length + 1),
            _ => spans.push(proto::BucketSpan { offset: Some(index - next), length: Some(1) }),
        }
        next = index + 1;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        deltas.push(count.wrapping_sub(before));
        before = count;
    }
    proto::Histogram {
        // Prometheus takes a native histogram only if its buckets add up to its count.
        sample_count: Some(sketch.count),
        sample_sum: Some(row.sum_ns() as f64 / 1e9),
        bucket: buckets,
        schema: Some(SCALE),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(sketch.zeros),
        positive_span: spans,
        positive_delta: deltas,
        created_timestamp: None,
    }
}

fn exemplar(exemplar: &Exemplar) -> proto::Exemplar {
    let trace = proto::LabelPair { name: Some(TRACE_ID.to_owned()), value: Some(exemplar.trace_id.clone()) };
    proto::Exemplar {
        label: vec![trace],
        value: Some(exemplar.duration_ns as f64 / 1e9),
        timestamp: Some(timestamp(exemplar.time)),
    }
}

fn timestamp(nanos: i64) -> proto::Timestamp {
    proto::Timestamp {
        seconds: nanos.div_euclid(1_000_000_000),
        nanos: nanos.rem_euclid(1_000_000_000) as i32,
    }
}

const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 4;

/// `io.prometheus.client`, as far as it is written, from `metrics.proto` of prometheus/client_model.
mod proto {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct MetricFamily {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) help: Option<String>,
        #[prost(int32, optional, tag = "3")]
        pub(super) kind: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        pub(super) metric: Vec<Metric>,
        #[prost(string, optional, tag = "5")]
        pub(super) unit: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(super) gauge: Option<Gauge>,
        #[prost(message, optional, tag = "7")]
        pub(super) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct LabelPair {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) value: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Gauge {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub(super) sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) sample_sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub(super) bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub(super) schema: Option<i32>,
        #[prost(double, optional, tag = "6")]
        pub(super) zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = "7")]
        pub(super) zero_count: Option<u64>,
        #[prost(message, repeated, tag = "12")]
        pub(super) positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "13")]
        pub(super) positive_delta: Vec<i64>,
        #[prost(message, optional, tag = "15")]
        pub(super) created_timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Bucket {
        #[prost(uint64, optional, tag = "1")]
        pub(super) cumulative_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) upper_bound: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) exemplar: Option<Exemplar>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(double, optional, tag = "2")]
        pub(super) value: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct BucketSpan {
        #[prost(sint32, optional, tag = "1")]
        pub(super) offset: Option<i32>,
        #[prost(uint32, optional, tag = "2")]
        pub(super) length: Option<u32>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_scraper_prefers() {
        let check = |accept: &str, expected: Format| assert_eq!(Format::of(accept), expected, "{accept}");
        check("", Format::Text);
        check("*/*", Format::Text);
        check("text/html", Format::Text);
        check("application/openmetrics-text", Format::OpenMetrics);
        check("application/openmetrics-text;version=2.0.0", Format::Text);
        // Prometheus 2.42, without and with native histograms.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        );
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::Protobuf,
        );
        check("application/vnd.google.protobuf", Format::Text);
        check(
            "text/plain;version=0.0.4;q=0.9, application/openmetrics-text; version=1.0.0; q=0.2",
            Format::Text,
        );
    }

    #[test]
    fn numbers_and_labels_are_written_as_prometheus_reads_them() {
        assert_eq!(
            [0, 1, 1_500_000_000, u128::from(u64::MAX) * 10].map(seconds),
            ["0.0", "0.000000001", "1.5", "184467440737.09551615"].map(str::to_owned)
        );
        let values = ["a\"b\\c\nd".to_owned(), String::new(), "é".to_owned()];
        assert_eq!(labels(&["x", "y", "z"], &values), "x=\"a\\\"b\\\\c\\nd\",z=\"é\"");
    }
}
