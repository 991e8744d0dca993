//! Counters as requests of remote write 1.0: protobuf, packed with snappy.

use super::queue::Waiting;
use super::settings::Destination;
use crate::exposition::{Native, Sample, ZERO_THRESHOLD, samples};
use crate::query::{Table, Traffic, TrafficRow, What};
use gatelens_model::sketch::SCALE;
use prost::Message;
use std::collections::BTreeMap;

/// Samples of a request, as Prometheus sends.
const SAMPLES: usize = 2_000;
const NAME: &str = "__name__";
/// The label of buckets.
const BOUND: &str = "le";

/// The requests of a round at a time in Unix milliseconds.
pub(super) fn requests(traffic: &Traffic, destination: &Destination, time: i64) -> Vec<Waiting> {
    let mut requests = Requests { done: Vec::new(), open: WriteRequest::default() };
    let external = &destination.external_labels;
    for (metric, table) in traffic.metrics() {
        for (values, samples) in samples(metric, table) {
            let labels = labels_of_row(external, table, values);
            for Sample { suffix, bound, number, .. } in
                samples.into_iter().filter(|sample| !sample.is_created())
            {
                let name = [metric.family(), suffix].concat();
                let bound = bound.as_deref().map(|bound| (BOUND, bound));
                requests.put(TimeSeries {
                    labels: labels_of(&labels, [Some((NAME, name.as_str())), bound]),
                    samples: vec![Sent { value: number.value(), timestamp: time }],
                    histograms: Vec::new(),
                });
            }
        }
        let has_native = destination.native_histograms && metric.what == What::Durations;
        for row in table.rows.iter().filter(|_| has_native) {
            let labels = labels_of_row(external, table, &row.values);
            requests.put(TimeSeries {
                labels: labels_of(&labels, [Some((NAME, metric.family())), None]),
                samples: Vec::new(),
                histograms: vec![histogram(row, time)],
            });
        }
    }
    requests.end()
}

/// Requests while they are made.
struct Requests {
    done: Vec<Waiting>,
    open: WriteRequest,
}

impl Requests {
    fn put(&mut self, series: TimeSeries) {
        self.open.timeseries.push(series);
        if self.open.timeseries.len() >= SAMPLES {
            self.done.extend(packed(std::mem::take(&mut self.open)));
        }
    }

    fn end(mut self) -> Vec<Waiting> {
        self.done.extend(packed(self.open));
        self.done
    }
}

fn histogram(row: &TrafficRow, timestamp: i64) -> Histogram {
    let Native { count, zeros, spans, deltas } = Native::of(&row.sketch());
    Histogram {
        count,
        sum: row.sum_ns() as f64 / 1e9,
        schema: SCALE,
        zero_threshold: ZERO_THRESHOLD,
        zero_count: zeros,
        positive_spans: spans.into_iter().map(|(offset, length)| BucketSpan { offset, length }).collect(),
        positive_deltas: deltas,
        timestamp,
    }
}

/// The labels of a row, which win over those of the destination.
fn labels_of_row<'a>(
    external: &'a BTreeMap<String, String>,
    table: &'a Table,
    values: &'a [String],
) -> BTreeMap<&'a str, &'a str> {
    let external = external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = table.labels.iter().copied().zip(values.iter().map(String::as_str));
    external.chain(own.filter(|(_, value)| !value.is_empty())).collect()
}

/// Labels with further ones, by name, as the specification asks for.
fn labels_of(labels: &BTreeMap<&str, &str>, further: [Option<(&str, &str)>; 2]) -> Vec<Label> {
    let mut all = labels.clone();
    all.extend(further.into_iter().flatten());
    all.into_iter().map(|(name, value)| Label { name: name.into(), value: value.into() }).collect()
}

fn packed(request: WriteRequest) -> Option<Waiting> {
    let samples = request.timeseries.len() as u64;
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).ok()?;
    (samples > 0).then_some(Waiting { body, samples })
}

/// `prometheus.WriteRequest`, as far as it is written, from `remote.proto` and `types.proto` of prometheus/prometheus.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sent>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sent {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    zero_count: u64,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}
