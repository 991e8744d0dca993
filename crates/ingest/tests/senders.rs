//! Other senders of OTLP: the SDK for Python as it was recorded (`fixtures/record.py`), and JSON.

use crate::support::otlp::NOON;
use crate::support::{Answer, Service};
use serde_json::{Value, json};

const JSON: &str = "application/json";
/// All that the recordings may hold, whenever they were made.
const EVER: &str = "from=2026-01-01T00:00:00Z&to=2040-01-01T00:00:00Z";

const TRACES: &[u8] = include_bytes!("fixtures/python-traces.bin.gz");
const METRICS: &[u8] = include_bytes!("fixtures/python-metrics.bin.gz");
const LOGS: &[u8] = include_bytes!("fixtures/python-logs.bin.gz");

fn replay(service: &Service, path: &str, body: &[u8]) -> Answer {
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    service.post(path, &headers, body)
}

fn send_json(service: &Service, path: &str, body: &Value) -> (u16, Value) {
    let answer = service.post(
        path,
        &[("content-type", "application/json; charset=utf-8")],
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.header("content-type"), JSON);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn spans_of_the_python_sdk_are_requests() {
    let service = Service::start();
    replay(&service, "/v1/traces", TRACES).accepted();
    let rows = service.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().clone();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            json!([
                row["consumer"],
                row["method"],
                row["route"],
                row["path"],
                row["status"],
                row["duration_ms"]
            ])
        })
        .collect();
    let expected = [
        json!(["mia", "POST", "/orders", "/orders", 503, 900.0]),
        json!(["anonymous", "GET", "/carts/{id}", "/carts/7", 200, 40.0]),
        json!(["mia", "GET", "/carts/{id}", "/carts/7", 200, 20.0]),
    ];
    assert_eq!(found, expected);
    let row = &rows[0];
    assert_eq!(row["time"], "2026-06-20T12:00:02Z");
    assert_eq!((&row["service"], &row["environment"]), (&json!("shop"), &json!("staging")));
    assert_eq!((&row["error_type"], &row["client_address"]), (&json!("503"), &json!("192.0.2.9")));
    assert_eq!((&row["response_bytes"], &row["user_agent"]), (&json!(512), &json!("python-requests/2")));
    assert_eq!(row["trace_id"].as_str().unwrap().len(), 32);
    let spans = |row: &Value| {
        let answer = service.json(&format!("/api/v1/spans?trace_id={}", row["trace_id"].as_str().unwrap()));
        answer["rows"].as_array().unwrap().len()
    };
    let kept: usize = rows.iter().map(spans).sum();
    assert_eq!(kept, rows.len(), "each request is a span of its trace, too");
}

#[test]
fn metrics_of_the_python_sdk_are_counts() {
    let service = Service::start();
    // The SDK has no identity: a repeat of a cumulative frame adds nothing all the same.
    for _ in 0..2 {
        replay(&service, "/v1/metrics", METRICS).accepted();
    }
    let answer =
        service.json(&format!("/api/v1/summary?{EVER}&group_by=service,consumer,method,route,status"));
    let found: Vec<_> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["consumer"],
                row["method"],
                row["route"],
                row["status"],
                row["requests"],
                row["errors"],
                row["response_bytes"]
            ])
        })
        .collect();
    let expected = [
        json!(["anonymous", "GET", "/carts/{id}", 200, 2, 0, 1024]),
        json!(["anonymous", "POST", "/orders", 503, 1, 1, 512]),
    ];
    assert_eq!(found, expected);
    // 40 ms are somewhere in the bucket of (25, 50], which the row states.
    assert_eq!(answer["rows"][0]["estimated"], true);
    let p99 = answer["rows"][0]["p99_ms"].as_f64().unwrap();
    assert!((25.0..=50.0).contains(&p99), "{p99}");
    let gateway = &service.json("/api/v1/gateways")["rows"][0];
    assert_eq!((&gateway["service"], &gateway["active_requests"]), (&json!("shop"), &json!(2)));
}

#[test]
fn log_records_of_the_python_sdk_are_requests() {
    let service = Service::start();
    replay(&service, "/v1/logs", LOGS).accepted();
    let row = service.json(&format!("/api/v1/requests?{EVER}"))["rows"][0].clone();
    assert_eq!(
        (&row["method"], &row["route"], &row["status"]),
        (&json!("GET"), &json!("/carts/{id}"), &json!(200))
    );
}

#[test]
fn json_is_taken_and_answered() {
    let service = Service::start();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let attributes = json!([
        text("http.request.method", "GET"), text("http.route", "/a"), text("enduser.id", "mia"),
        {"key": "http.response.status_code", "value": {"intValue": "200"}}]);
    let resource = json!({"attributes": [text("service.name", "shop"), text("service.instance.id", "one")]});
    let (start, end) = (NOON.to_string(), (NOON + 50_000_000).to_string());

    let record = json!({"timeUnixNano": start, "traceId": "5b8efff798038103d269b633813fc60c", "attributes": attributes});
    let logs = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]});
    assert_eq!(send_json(&service, "/v1/logs", &logs), (200, json!({})));

    let span =
        json!({"kind": 2, "startTimeUnixNano": start, "endTimeUnixNano": end, "attributes": attributes});
    let within = json!({"kind": "SPAN_KIND_INTERNAL", "startTimeUnixNano": start});
    let spans = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span, within]}]}]});
    let (status, answer) = send_json(&service, "/v1/traces", &spans);
    assert_eq!((status, &answer["partialSuccess"]["rejectedSpans"]), (200, &json!("1")), "{answer}");

    let point = json!({"timeUnixNano": start, "count": "2", "sum": 0.1, "scale": 0,
        "positive": {"offset": -5, "bucketCounts": ["2"]}, "attributes": attributes});
    let histogram = json!({"aggregationTemporality": 2, "dataPoints": [point]});
    let metric = json!({"name": "http.server.request.duration", "exponentialHistogram": histogram});
    let metrics =
        json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]});
    assert_eq!(send_json(&service, "/v1/metrics", &metrics), (200, json!({})));

    let rows = service.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(
            (&row["consumer"], &row["route"], &row["gateway"]),
            (&json!("mia"), &json!("/a"), &json!("one"))
        );
    }
    let row = service.json(&format!("/api/v1/summary?{EVER}&group_by=consumer"))["rows"][0].clone();
    assert_eq!((&row["consumer"], &row["requests"]), (&json!("mia"), &json!(2)));

    let wrong = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "noon"}]}]}]});
    let (status, answer) = send_json(&service, "/v1/logs", &wrong);
    assert_eq!((status, &answer["code"]), (400, &json!(3)));
    assert!(
        answer["message"].as_str().unwrap().contains("an integer for timeUnixNano is expected"),
        "{answer}"
    );
}
