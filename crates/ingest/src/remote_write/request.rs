//! Counters as requests of remote write 1.0: protobuf, packed with snappy.

use super::queue::Waiting;
use crate::exposition::{Sample, samples};
use crate::query::Traffic;
use prost::Message;
use std::collections::BTreeMap;

/// Samples of a request, as Prometheus sends.
const SAMPLES: usize = 2_000;
const NAME: &str = "__name__";
/// The label of buckets.
const BOUND: &str = "le";

/// The requests of a round at a time in Unix milliseconds.
pub(super) fn requests(traffic: &Traffic, external: &BTreeMap<String, String>, time: i64) -> Vec<Waiting> {
    let mut requests = Vec::new();
    let mut open = WriteRequest::default();
    for (metric, table) in traffic.metrics() {
        for (values, samples) in samples(metric, table) {
            let own = table.labels.iter().copied().zip(values.iter().map(String::as_str));
            let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
            labels.extend(external.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            labels.extend(own.filter(|(_, value)| !value.is_empty()));
            for Sample { suffix, bound, number, .. } in
                samples.into_iter().filter(|sample| !sample.is_created())
            {
                let name = [metric.family(), suffix].concat();
                let labels = labels_of(
                    &labels,
                    [Some((NAME, name.as_str())), bound.as_deref().map(|bound| (BOUND, bound))],
                );
                let samples = vec![Sent { value: number.value(), timestamp: time }];
                open.timeseries.push(TimeSeries { labels, samples });
                if open.timeseries.len() >= SAMPLES {
                    requests.extend(packed(std::mem::take(&mut open)));
                }
            }
        }
    }
    requests.extend(packed(open));
    requests
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
