//! Prometheus' protobuf, which has native histograms.

use super::TRACE_ID;
use super::native::{Native, ZERO_THRESHOLD};
use crate::query::{ActiveRow, Bucket, Exemplar, Metric, Table, Traffic, TrafficRow, What};
use gatelens_model::sketch::SCALE;
use prost::Message;

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const SUMMARY: i32 = 2;
const HISTOGRAM: i32 = 4;

/// Writes all counters.
pub(super) fn render(traffic: &Traffic) -> Vec<u8> {
    let mut out = Vec::new();
    for (metric, table) in traffic.metrics() {
        let family = proto::MetricFamily {
            name: Some(metric.name.clone()),
            help: Some(metric.help.to_owned()),
            kind: Some(kind(&metric.what)),
            metric: rows(metric, table),
            unit: metric.unit.map(str::to_owned),
        };
        out.extend(family.encode_length_delimited_to_vec());
    }
    out
}

fn kind(what: &What) -> i32 {
    match what {
        What::Requests | What::Bytes(_) => COUNTER,
        What::Durations | What::DurationsAt(_) | What::Sizes(_) => HISTOGRAM,
        What::SizeSummary(_) => SUMMARY,
        What::Active => GAUGE,
    }
}

fn rows(metric: &Metric, table: &Table) -> Vec<proto::Metric> {
    if metric.what == What::Active {
        let active = |row: &ActiveRow| proto::Metric {
            label: pairs(&table.labels, &row.values),
            gauge: Some(proto::Gauge { value: Some(row.requests as f64) }),
            ..proto::Metric::default()
        };
        return table.active.iter().map(active).collect();
    }
    let row = |row: &TrafficRow| proto::Metric {
        label: pairs(&table.labels, &row.values),
        ..of_row(&metric.what, row)
    };
    table.rows.iter().map(row).collect()
}

fn of_row(what: &What, row: &TrafficRow) -> proto::Metric {
    let created_timestamp = Some(timestamp(row.since));
    let mut metric = proto::Metric::default();
    let counter = |value: u64| proto::Counter { value: Some(value as f64), created_timestamp };
    let histogram = |histogram| proto::Histogram { created_timestamp, ..histogram };
    match what {
        What::Requests => metric.counter = Some(counter(row.count())),
        What::Bytes(body) => metric.counter = Some(counter(row.sizes(*body).1)),
        What::Durations => metric.histogram = Some(histogram(with_native(row))),
        What::DurationsAt(bounds) => metric.histogram = Some(histogram(classic(row, bounds))),
        What::Sizes(body) => {
            let (count, sum) = row.sizes(*body);
            let (sample_count, sample_sum) = (Some(count), Some(sum as f64));
            let sizes = proto::Histogram { sample_count, sample_sum, ..proto::Histogram::default() };
            metric.histogram = Some(histogram(sizes));
        }
        What::SizeSummary(body) => {
            let (count, sum) = row.sizes(*body);
            let (sample_count, sample_sum) = (Some(count), Some(sum as f64));
            metric.summary = Some(proto::Summary { sample_count, sample_sum, created_timestamp });
        }
        What::Active => {}
    }
    metric
}

fn pairs(names: &[&str], values: &[String]) -> Vec<proto::LabelPair> {
    let present = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let pair = |(name, value): (&&str, &String)| proto::LabelPair {
        name: Some((*name).to_owned()),
        value: Some(value.clone()),
    };
    present.map(pair).collect()
}

/// A histogram with these bounds.
fn classic(row: &TrafficRow, bounds: &[u64]) -> proto::Histogram {
    let bucket = |Bucket { bound, up_to, exemplar: request }: Bucket<'_>| proto::Bucket {
        cumulative_count: Some(up_to),
        upper_bound: Some(bound.map_or(f64::INFINITY, |bound| bound as f64 / 1e9)),
        exemplar: request.map(exemplar),
    };
    proto::Histogram {
        sample_count: Some(row.count()),
        sample_sum: Some(row.sum_ns() as f64 / 1e9),
        bucket: row.buckets(bounds).map(bucket).collect(),
        ..proto::Histogram::default()
    }
}

/// A histogram with the bounds of the gateways, and with the buckets of the distribution as a native one.
fn with_native(row: &TrafficRow) -> proto::Histogram {
    let Native { count, zeros, spans, deltas } = Native::of(&row.sketch());
    proto::Histogram {
        sample_count: Some(count),
        schema: Some(SCALE),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(zeros),
        positive_span: spans
            .into_iter()
            .map(|(offset, length)| proto::BucketSpan { offset: Some(offset), length: Some(length) })
            .collect(),
        positive_delta: deltas,
        ..classic(row, &row.bounds())
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
        #[prost(message, optional, tag = "3")]
        pub(super) counter: Option<Counter>,
        #[prost(message, optional, tag = "4")]
        pub(super) summary: Option<Summary>,
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
    pub(super) struct Counter {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) created_timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Summary {
        #[prost(uint64, optional, tag = "1")]
        pub(super) sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) sample_sum: Option<f64>,
        #[prost(message, optional, tag = "4")]
        pub(super) created_timestamp: Option<Timestamp>,
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

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }
}
