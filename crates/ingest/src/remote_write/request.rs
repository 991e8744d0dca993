//! Counters as requests of remote write 1.0: protobuf, packed with snappy.

use super::queue::Waiting;
use crate::exposition::{Flat, flat};
use crate::query::Traffic;
use prost::Message;
use std::collections::BTreeMap;

/// Samples of a request, as Prometheus sends.
const SAMPLES: usize = 2_000;
const NAME: &str = "__name__";

/// The requests of a round at a time in Unix milliseconds.
pub(super) fn requests(traffic: &Traffic, external: &BTreeMap<String, String>, time: i64) -> Vec<Waiting> {
    let mut requests = Vec::new();
    let mut open = WriteRequest::default();
    let names: Vec<&str> = traffic.labels.iter().map(|label| label.name()).collect();
    flat(traffic, |Flat { name, values, bound, value }| {
        let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
        labels.extend(external.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let own = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
        labels.extend(own.map(|(name, value)| (*name, value.as_str())));
        labels.extend(bound.map(|bound| ("le", bound)));
        labels.insert(NAME, name);
        // By name, as the specification asks for.
        let labels = labels.into_iter().map(|(name, value)| Label { name: name.into(), value: value.into() });
        let samples = vec![Sample { value, timestamp: time }];
        open.timeseries.push(TimeSeries { labels: labels.collect(), samples });
        if open.timeseries.len() >= SAMPLES {
            requests.extend(packed(std::mem::take(&mut open)));
        }
    });
    requests.extend(packed(open));
    requests
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
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}
