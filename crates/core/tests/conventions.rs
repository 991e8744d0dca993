//! The wire against OpenTelemetry's semantic conventions for HTTP and RPC, version 1.39.
//!
//! The tables below are written from the text of the conventions: attribute, type and requirement level. "Recommended"
//! ones that are left out, and why: `network.protocol.name` (always `http`, which the conventions leave out, too);
//! `network.protocol.version` on metrics, because it would double the series; `network.peer.address`, because the
//! client's address is in the log already.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::time::Duration;

use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp;
use gatelens_testkit::worker::Worker;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};

const START: u64 = 1_700_000_000_000_000_000;
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.39.0";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Text,
    Int,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Level {
    /// On every point and record.
    Required,
    /// Where the request has it: on those of these tests whose name is given.
    Conditional(&'static [&'static str]),
    /// Or opt-in: may be absent.
    Optional,
}

use Level::{Conditional, Optional, Required};
use Type::{Int, Text};

type Table = &'static [(&'static str, Type, Level)];

const SERVER_METRICS: Table = &[
    ("http.request.method", Text, Required),
    ("url.scheme", Text, Required),
    ("error.type", Text, Conditional(&["refused", "failed"])),
    ("http.response.status_code", Int, Conditional(&["plain", "missing", "refused", "failed"])),
    ("http.route", Text, Required),
    ("rpc.response.status_code", Text, Optional),
    ("server.address", Text, Optional),
    ("server.port", Int, Optional),
];

const CLIENT_METRICS: Table = &[
    ("http.request.method", Text, Required),
    ("server.address", Text, Required),
    ("server.port", Int, Required),
    ("error.type", Text, Conditional(&["missing", "failed", "refused"])),
    ("http.response.status_code", Int, Conditional(&["plain", "missing", "failed", "refused"])),
    ("url.template", Text, Optional),
    ("url.scheme", Text, Optional),
    ("rpc.response.status_code", Text, Optional),
];

const SERVER_RECORDS: Table = &[
    ("http.request.method", Text, Required),
    ("url.path", Text, Required),
    ("url.scheme", Text, Required),
    ("error.type", Text, Conditional(&["refused", "failed"])),
    ("http.request.method_original", Text, Conditional(&[])),
    ("http.response.status_code", Int, Conditional(&["plain", "missing", "refused", "failed"])),
    ("http.route", Text, Required),
    ("url.query", Text, Conditional(&["plain"])),
    ("client.address", Text, Required),
    ("client.port", Int, Optional),
    ("network.protocol.version", Text, Required),
    ("server.address", Text, Required),
    ("server.port", Int, Conditional(&[])),
    ("user_agent.original", Text, Optional),
    ("http.request.body.size", Int, Optional),
    ("http.response.body.size", Int, Optional),
    ("http.request.resend_count", Int, Optional),
    ("rpc.response.status_code", Text, Optional),
];

const CLIENT_RECORDS: Table = &[
    ("http.request.method", Text, Required),
    ("server.address", Text, Required),
    ("server.port", Int, Required),
    ("error.type", Text, Conditional(&["missing", "failed", "refused"])),
    ("http.response.status_code", Int, Conditional(&["plain", "missing", "failed", "refused"])),
    ("http.request.resend_count", Int, Conditional(&["failed"])),
    ("network.protocol.version", Text, Required),
    ("url.template", Text, Optional),
    ("url.scheme", Text, Optional),
    ("url.path", Text, Optional),
    ("url.query", Text, Optional),
    ("client.address", Text, Optional),
    ("client.port", Int, Optional),
    ("user_agent.original", Text, Optional),
    ("http.request.body.size", Int, Optional),
    ("http.response.body.size", Int, Optional),
    ("rpc.response.status_code", Text, Optional),
];

/// Requests by a name of their own, which their consumer repeats.
fn requests() -> Vec<FakeStream> {
    let named = |name: &str, target: &str, status: u16| {
        FakeStream::new("GET", target, status)
            .header("x-consumer-id", name)
            .header(":authority", "api.example.com")
            .text(Attribute::Protocol, "HTTP/2")
            .text(Attribute::UpstreamCluster, "users")
            .int(Attribute::RequestDuration, 1_000_000)
            .int(Attribute::UpstreamLatency, 900_000)
            .int(Attribute::Attempts, 1)
    };
    vec![
        named("plain", "/a?b=c", 200),
        named("missing", "/a", 404),
        named("failed", "/a", 503).int(Attribute::Attempts, 3),
        named("refused", "/a", 429)
            .int(Attribute::ResponseFlags, 0x800)
            .text(Attribute::ResponseCodeDetails, "local_rate_limited"),
    ]
}

/// The exports of a gateway of this direction.
fn exported(direction: &str) -> Vec<Sent> {
    let gateway = FakeGateway::starting_at(START);
    let configuration = format!(
        r#"{{"version": 1, "service": {{"direction": "{direction}"}}, "ingest": {{"cluster": "c"}}}}"#
    );
    let worker = Worker::start(&gateway, &configuration);
    requests().into_iter().for_each(|request| worker.finish(request));
    gateway.wait(Duration::from_secs(1));
    worker.tick_answering(Some(200))
}

fn metrics(sent: &[Sent]) -> Vec<Metric> {
    let exports = sent.iter().filter(|request| request.header(":path").ends_with("/v1/metrics"));
    let resources = exports.flat_map(|request| otlp::metrics(request).resource_metrics);
    let scopes = resources.flat_map(|resource| {
        assert_eq!(resource.schema_url, SCHEMA);
        resource.scope_metrics
    });
    scopes.flat_map(|scope| scope.metrics).collect()
}

/// The attributes of all points of a metric; empty for a metric without points.
fn points(metric: &Metric) -> Vec<Vec<KeyValue>> {
    match metric.data.clone().unwrap() {
        Data::Gauge(data) => data.data_points.into_iter().map(|point| point.attributes).collect(),
        Data::Sum(data) => data.data_points.into_iter().map(|point| point.attributes).collect(),
        Data::Histogram(data) => data.data_points.into_iter().map(|point| point.attributes).collect(),
        Data::ExponentialHistogram(data) => {
            data.data_points.into_iter().map(|point| point.attributes).collect()
        }
        Data::Summary(_) => panic!("a summary"),
    }
}

fn check(table: Table, attributes: &[KeyValue], place: &str) {
    let value = |key: &str| {
        let found = attributes.iter().find(|attribute| attribute.key == key);
        found.map(|attribute| attribute.value.clone().unwrap().value.unwrap())
    };
    let Some(Value::StringValue(request)) = value("gatelens.consumer.id") else { panic!("{place}") };
    for (key, kind, level) in table {
        let found = value(key);
        let is_expected = match level {
            Required => true,
            Conditional(of) => of.contains(&request.as_str()),
            Optional => found.is_some(),
        };
        assert_eq!(found.is_some(), is_expected, "{place}: {key} of {request}");
        let is_typed = match found {
            None => true,
            Some(Value::StringValue(text)) => *kind == Text && !text.is_empty(),
            Some(Value::IntValue(_)) => *kind == Int,
            Some(_) => false,
        };
        assert!(is_typed, "{place}: type of {key} of {request}");
    }
    for attribute in attributes {
        let is_ours =
            attribute.key.starts_with("gatelens.") || attribute.key.starts_with("http.response.header.");
        let is_known = table.iter().any(|(key, ..)| *key == attribute.key);
        assert!(is_ours || is_known, "{place}: {} is not in the conventions", attribute.key);
    }
}

fn check_direction(direction: &str, prefix: &str, of_metrics: Table, of_records: Table) {
    let sent = exported(direction);
    let metrics = metrics(&sent);
    let by_name: BTreeMap<&str, &Metric> =
        metrics.iter().map(|metric| (metric.name.as_str(), metric)).collect();
    for (name, unit) in [("request.duration", "s"), ("request.body.size", "By"), ("response.body.size", "By")]
    {
        let name = format!("{prefix}{name}");
        let metric = by_name.get(name.as_str()).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(metric.unit, unit, "{name}");
        assert_eq!(points(metric).len(), requests().len(), "{name}");
        points(metric).iter().for_each(|attributes| check(of_metrics, attributes, &name));
    }
    let other = if prefix == "http.server." { "http.client." } else { "http.server." };
    for metric in &metrics {
        assert!(!metric.name.starts_with(other), "{}", metric.name);
        assert!(!metric.description.is_empty() && !metric.unit.is_empty(), "{}", metric.name);
        assert!(!points(metric).is_empty(), "{} has no data point", metric.name);
    }
    let exports = sent.iter().filter(|request| request.header(":path").ends_with("/v1/logs"));
    for resource in exports.flat_map(|request| otlp::logs(request).resource_logs) {
        assert_eq!(resource.schema_url, SCHEMA);
    }
    let records = otlp::log_records(
        &sent
            .iter()
            .filter(|request| request.header(":path").ends_with("/v1/logs"))
            .cloned()
            .collect::<Vec<_>>(),
    );
    assert_eq!(records.len(), requests().len());
    records.iter().for_each(|record| check(of_records, &record.attributes, "a record"));
}

#[test]
fn inbound_traffic_is_that_of_a_server() {
    check_direction("inbound", "http.server.", SERVER_METRICS, SERVER_RECORDS);
}

#[test]
fn outbound_traffic_is_that_of_a_client() {
    check_direction("outbound", "http.client.", CLIENT_METRICS, CLIENT_RECORDS);
}

#[test]
fn hosts_and_clusters_are_dimensions_where_an_option_asks_for_them() {
    let gateway = FakeGateway::starting_at(START);
    let configuration = r#"{"version": 1, "ingest": {"cluster": "c"},
        "counters": {"host": true, "upstream": true, "max_hosts": 2, "max_upstreams": 1}}"#;
    let worker = Worker::start(&gateway, configuration);
    for (authority, cluster) in [
        ("A.example", "users"),
        ("a.example:80", "users"),
        ("a.example:81", "users"),
        ("b.example", "orders"),
    ] {
        let stream = FakeStream::new("GET", "/a", 200).header(":authority", authority);
        worker.finish(stream.text(Attribute::UpstreamCluster, cluster));
    }
    gateway.wait(Duration::from_secs(1));
    let found: BTreeMap<String, u64> = otlp::counts(&worker.tick_answering(Some(200)))
        .into_iter()
        .map(|(series, count)| {
            let of = |key: &str| series.get(key).cloned().unwrap_or_default();
            let keys = ["server.address", "server.port", "gatelens.upstream.cluster", "otel.metric.overflow"];
            (keys.map(of).join(" "), count)
        })
        .collect();
    let expected =
        [("a.example  users ", 2), ("a.example 81 users ", 1), ("__overflow__  __overflow__ true", 1)];
    assert_eq!(found, expected.map(|(series, count)| (series.to_owned(), count)).into());
}

/// The advice of the conventions for `http.server.request.duration`.
#[test]
fn the_default_bounds_are_those_of_the_conventions() {
    let metrics = metrics(&exported("inbound"));
    let metric = metrics.iter().find(|metric| metric.name == "gatelens.request.duration").unwrap();
    let Some(Data::Histogram(data)) = &metric.data else { panic!("a histogram") };
    let advised = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    assert!(!data.data_points.is_empty());
    for point in &data.data_points {
        assert_eq!(point.explicit_bounds, advised);
        assert_eq!(point.bucket_counts.len(), advised.len() + 1);
    }
}
