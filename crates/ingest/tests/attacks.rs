//! A sender that lies or floods: its own data is rejected with a reason, and others do not notice.

use crate::support::otlp::{Frame, NOON, SECOND, export_logs, log, made, record, text};
use crate::support::{PROTOBUF, Service};
use gatelens_ingest::Limits;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint;
use prost::Message;
use serde_json::json;
use std::time::Duration;

const DURATION: &str = "http.server.request.duration";
const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn point(route: usize) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: vec![text("http.route", &format!("/{route}"))],
        start_time_unix_nano: NOON - 3600 * SECOND,
        time_unix_nano: NOON,
        count: 2,
        sum: Some(0.5),
        ..Default::default()
    }
}

/// An export of points of one service and instance.
fn points(
    service: &'static str,
    instance: &str,
    points: Vec<HistogramDataPoint>,
) -> ExportMetricsServiceRequest {
    let frame = Frame { service, ..Frame::at(NOON) };
    let mut export = frame.export(vec![frame.explicit(DURATION, points)]);
    name(&mut export.resource_metrics[0].resource.as_mut().unwrap().attributes, instance);
    export
}

fn name(attributes: &mut Vec<KeyValue>, instance: &str) {
    attributes.retain(|attribute| attribute.key != "service.instance.id");
    attributes.push(text("service.instance.id", instance));
}

fn records(instance: &str, count: usize) -> ExportLogsServiceRequest {
    records_with(instance, 200, count)
}

fn records_with(instance: &str, status: u16, count: usize) -> ExportLogsServiceRequest {
    let mut export = export_logs(vec![record(NOON, &made("/", status, 0.1)); count]);
    name(&mut export.resource_logs[0].resource.as_mut().unwrap().attributes, instance);
    export
}

/// Asserts that the answer is 200 and says how many were rejected and why.
fn rejected(service: &Service, path: &str, message: &impl Message, count: u64, words: &str) {
    #[derive(Clone, PartialEq, Message)]
    struct Answer {
        #[prost(message, optional, tag = "1")]
        partial_success: Option<Partial>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Partial {
        #[prost(int64, tag = "1")]
        rejected: i64,
        #[prost(string, tag = "2")]
        message: String,
    }
    let answer = service.post(path, &[("content-type", PROTOBUF)], &message.encode_to_vec());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let partial = Answer::decode(answer.body.as_slice()).unwrap().partial_success.unwrap_or_default();
    assert_eq!(partial.rejected, count as i64, "{}", partial.message);
    assert!(partial.message.contains(words), "{:?}", partial.message);
}

fn requests(service: &Service, filter: &str) -> u64 {
    let answer = service.json(&format!("/api/v1/summary?{DAY}{filter}"));
    answer["rows"][0]["requests"].as_u64().unwrap_or_default()
}

#[test]
fn points_that_cannot_be_true_are_rejected_and_the_others_count() {
    let service = Service::start();
    let check = |wrong: HistogramDataPoint, words: &str| {
        rejected(&service, "/v1/metrics", &points("orders", "edge-1", vec![wrong, point(1)]), 1, words);
        assert_eq!(requests(&service, ""), 2, "{words}");
    };
    check(HistogramDataPoint { count: u64::MAX, ..point(0) }, "more than a million requests a second");
    check(HistogramDataPoint { sum: Some(1e300), ..point(0) }, "a sum must be finite");
    check(HistogramDataPoint { sum: Some(-1.0), ..point(0) }, "a sum must be finite");
    check(HistogramDataPoint { sum: Some(f64::NAN), ..point(0) }, "a sum must be finite");
    let buckets = |counts: [u64; 2], bound: f64| HistogramDataPoint {
        bucket_counts: counts.into(),
        explicit_bounds: vec![bound],
        ..point(0)
    };
    check(buckets([u64::MAX, 1], 1.0), "buckets must add up");
    check(buckets([1, 2], 1.0), "buckets must add up");
    check(buckets([2, 0], 0.01), "a sum must be finite");
    check(HistogramDataPoint { time_unix_nano: u64::MAX, ..point(0) }, "the time is more than a day ahead");
    check(HistogramDataPoint { time_unix_nano: 1, ..point(0) }, "the time is more than a day ahead");
    let many = HistogramDataPoint {
        bucket_counts: vec![0; 10_001],
        explicit_bounds: (0..10_000).map(f64::from).collect(),
        ..point(0)
    };
    check(many, "4,096 buckets");
    let health = service.json("/healthz");
    let expected = json!({"count": 1, "sum": 4, "buckets": 2, "time": 2, "too_many_buckets": 1});
    assert_eq!(health["rejected"], expected);
    let metrics = service.get("/metrics").text();
    for line in [
        r#"gatelens_ingest_rejected_total{reason="sum",signal="metrics"} 4"#,
        r#"gatelens_ingest_sender_rejected_total{environment="prod",reason="sum",token=""} 4"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    let senders = &service.json("/api/v1/storage")["senders"];
    assert_eq!(*senders, json!([{"environment": "prod", "rejected": expected, "refused": {}}]));
}

#[test]
fn a_stranger_does_not_take_the_room_of_a_known_gateway() {
    let known_after = Duration::from_millis(300);
    let service =
        Service::with(Limits { series: 20, series_of_strangers: 8, known_after, ..Limits::default() });
    service.send("/v1/metrics", None, &points("orders", "edge-1", vec![point(0)])).accepted();
    std::thread::sleep(2 * known_after);
    let flood = points("invented", "i", (0..100).map(point).collect());
    rejected(&service, "/v1/metrics", &flood, 93, "maximum of series");
    // Under the name of the known service, too.
    let flood = points("orders", "i", (100..200).map(point).collect());
    rejected(&service, "/v1/metrics", &flood, 100, "maximum of series");
    service.send("/v1/metrics", None, &points("orders", "edge-1", (0..12).map(point).collect())).accepted();
    assert_eq!((requests(&service, "&service=orders"), requests(&service, "&service=invented")), (24, 14));
}

#[test]
fn one_sender_does_not_take_all_series() {
    let service = Service::with(Limits { series: 20, series_per_sender: 8, ..Limits::default() });
    rejected(
        &service,
        "/v1/metrics",
        &points("orders", "edge-1", (0..10).map(point).collect()),
        2,
        "of this sender",
    );
    service.send("/v1/metrics", None, &points("shop", "edge-2", (0..8).map(point).collect())).accepted();
}

#[test]
fn invented_instances_are_bounded_and_those_that_are_known_pass() {
    let mut service = Service::with(Limits { new_instances_of_strangers: 3, ..Limits::default() });
    for instance in ["a", "b", "c"] {
        service.send("/v1/metrics", None, &points("orders", instance, vec![point(0)])).accepted();
    }
    let words = "as many new instances today";
    rejected(&service, "/v1/metrics", &points("orders", "d", vec![point(0), point(1)]), 2, words);
    rejected(&service, "/v1/logs", &records_with("e", 500, 3), 3, words);
    let issues = || service.json(&format!("/api/v1/issues?{DAY}"))["rows"].as_array().unwrap().len();
    assert_eq!(issues(), 0, "what is rejected is no issue");
    service.send("/v1/logs", None, &records_with("a", 500, 1)).accepted();
    assert_eq!(issues(), 1);
    assert_eq!(service.json("/api/v1/gateways")["rows"].as_array().unwrap().len(), 3);
    service.restart(|_| ());
    service.send("/v1/logs", None, &records("b", 1)).accepted();
    rejected(&service, "/v1/logs", &records("d", 1), 1, words);
}

#[test]
fn a_request_names_a_thousand_resources_at_most() {
    let service = Service::start();
    let resource_logs = (0..1_100).map(|i| records(&format!("i-{i}"), 1).resource_logs.remove(0)).collect();
    rejected(&service, "/v1/logs", &ExportLogsServiceRequest { resource_logs }, 100, "1,000 resources");
}

#[test]
fn small_batches_of_a_sender_share_a_chunk() {
    let service = Service::start();
    for second in 0..120 {
        let time = NOON + second * SECOND;
        service
            .send("/v1/logs", Some(("edge-1", 1, second + 1)), &log(&[(time, made("/", 200, 0.1))]))
            .accepted();
    }
    let day = std::fs::read_dir(service.data()).unwrap().map(|entry| entry.unwrap().path());
    let file = day
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(".db") && path.to_string_lossy().contains("requests-"));
    let file = rusqlite::Connection::open(file.unwrap()).unwrap();
    let chunks: i64 = file.query_row("SELECT count(*) FROM chunks", [], |row| row.get(0)).unwrap();
    assert!(chunks <= 8, "{chunks} chunks");
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.json(&format!("/api/v1/requests?{DAY}&limit=50{cursor}"));
        seen.extend(
            page["rows"].as_array().unwrap().iter().map(|row| row["request_id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (0..120).rev().map(|second| format!("id-{}", NOON + second * SECOND)).collect();
    assert_eq!(seen, expected);
}
