//! OpenAPI documents that are sent, compared with what was seen.

use crate::support::otlp::{Frame, MINUTE, Made, NOON, export_logs, made, record, text};
use crate::support::{Answer, Service};
use gatelens_ingest::Limits;
use gatelens_testkit::wait::PATIENCE;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DAY: u64 = 24 * 60 * MINUTE;
const COMPARE: &str = "/api/v1/openapi/compare";
const AS_YAML: (&str, &str) = ("content-type", "application/yaml");
const AS_JSON: (&str, &str) = ("content-type", "application/json");

const DOCUMENT: &str = "openapi: 3.0.3
servers: [{url: https://example.com/api}]
paths:
  /orders/{orderId}:
    get:
      responses:
        '200':
          content:
            application/json:
              schema: {type: object, properties: {id: {type: string}, note: {type: string}}}
  /never:
    get: {responses: {}}
";

/// A service that has seen two routes, and bodies of one of them.
fn with_data() -> Service {
    let service = Service::start();
    let (order, other) = (made("/api/orders/{number}", 200, 0.1), made("/api/other", 200, 0.1));
    let counts = Frame::at(NOON).of(&[order.clone(), other]);
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &counts).accepted();
    let records = (0..3).map(|second| {
        let mut record = record(NOON + second, &order);
        record.attributes.push(text("gatelens.response.body.content", r#"{"id": 7, "new": true}"#));
        record
    });
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(records.collect())).accepted();
    let begun = Instant::now();
    while service.json("/api/v1/shapes")["rows"].as_array().unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    service
}

fn compared(service: &Service, question: &str, kind: (&str, &str), document: &str) -> Answer {
    service.post(&format!("{COMPARE}{question}"), &[kind], document.as_bytes())
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Change, kind, method, route and path of the findings.
fn lines(found: &Value) -> Vec<String> {
    let of = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        ["change", "kind", "method", "route", "path"].map(text).join(" ")
    };
    found["findings"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn what_is_new_changed_and_never_called_is_found() {
    let service = with_data();
    let as_json = json!({
        "openapi": "3.0.3", "servers": [{"url": "https://example.com/api"}],
        "paths": {
            "/orders/{orderId}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {
                "type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}},
            }}}}}}},
            "/never": {"get": {"responses": {}}},
        },
    });
    for (kind, document) in [(AS_YAML, DOCUMENT.to_owned()), (AS_JSON, format!("{as_json:#}"))] {
        let answer = compared(&service, "?service=orders", kind, &document);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = body(&answer);
        let expected = [
            "new undocumented_field GET /api/orders/{number} GET /api/orders/{orderId} response 200 /new",
            "new undocumented_route GET /api/other GET /api/other",
            "changed type GET /api/orders/{number} GET /api/orders/{orderId} response 200 /id",
            "never_called never_called GET /api/never GET /api/never",
        ];
        assert_eq!(lines(&found), expected);
        let counts = json!({"new": 2, "changed": 1, "vanished": 0, "never_called": 1, "document": 0});
        assert_eq!((&found["counts"], &found["documented"], &found["seen"]), (&counts, &json!(2), &json!(2)));
        assert_eq!((&found["service"], &found["direction"]), (&json!("orders"), &json!("inbound")));
    }
    let found = body(&compared(&service, "", AS_YAML, DOCUMENT));
    let changed = found["findings"].as_array().unwrap().iter().find(|row| row["kind"] == "type").unwrap();
    assert_eq!((&changed["line"], &changed["severity"]), (&json!(10), &json!("error")));
    assert_eq!(changed["message"], "values are integer, and the document has string");
    // Another base path: nothing of the document was seen.
    let found = body(&compared(&service, "?base_path=/v2", AS_YAML, DOCUMENT));
    assert_eq!((&found["counts"]["new"], &found["counts"]["never_called"]), (&json!(2), &json!(2)));
    let found = body(&compared(&service, "?environment=nowhere", AS_YAML, DOCUMENT));
    assert_eq!((&found["seen"], &found["counts"]["never_called"]), (&json!(0), &json!(2)));
}

#[test]
fn a_route_that_has_vanished_is_not_one_that_was_never_called() {
    let service = Service::with(Limits { drift_interval: Duration::from_millis(50), ..Limits::default() });
    let (order, other) = (made("/api/orders/{number}", 200, 0.1), made("/api/other", 200, 0.1));
    let mut epoch = 0;
    let mut count = |time: u64, requests: &[Made]| {
        epoch += 1;
        let temporality = AggregationTemporality::Delta;
        let frame = Frame { start: time - MINUTE, temporality, ..Frame::at(time) }.of(requests);
        service.send("/v1/metrics", Some(("edge-1", epoch, 1)), &frame).accepted();
    };
    let until = |wanted: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let found = body(&compared(&service, "", AS_YAML, DOCUMENT));
            if wanted(&found) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{found:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // Regular requests of both routes for half a day, and then of one alone.
    for half_hour in 0..=30 {
        count(NOON + half_hour * 30 * MINUTE, &[order.clone(), other.clone()]);
    }
    let found = until(&|found| found["seen"] == 2);
    assert_eq!((&found["counts"]["vanished"], &found["counts"]["never_called"]), (&json!(0), &json!(1)));
    // The service has looked at the routes at least once before one of them is silent.
    let known = || {
        let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
        file.query_row("SELECT count(*) FROM known_routes", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let begun = Instant::now();
    while known() < 2 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    count(NOON + 31 * 30 * MINUTE + 2 * DAY, std::slice::from_ref(&other));
    let found = until(&|found| found["counts"]["vanished"] == 1);
    let row = found["findings"].as_array().unwrap().iter().find(|row| row["change"] == "vanished").unwrap();
    let path = json!("GET /api/orders/{orderId}");
    assert_eq!((&row["route"], &row["path"]), (&json!("/api/orders/{orderId}"), &path));
    assert!(row["message"].as_str().unwrap().contains("2026-06-21T02:30:00Z"), "{row}");
    assert_eq!((&found["seen"], &found["counts"]["never_called"]), (&json!(1), &json!(1)));
}

#[test]
fn a_document_that_cannot_be_compared_is_refused_with_its_place() {
    let service = with_data();
    let deep = format!("openapi: 3.0.0\npaths: {}{}", "[".repeat(210), "]".repeat(210));
    for (document, place, words) in [
        ("a: 1\nb: c: d\n", json!([2, 5]), "this is not YAML"),
        ("", json!([1, 1]), "the document is empty"),
        ("{\"a\": 1}", json!([1, 1]), "`openapi`"),
        ("openapi: 3.0.0\n", json!([1, 1]), "there are no `paths`"),
        ("info: {}\nopenapi: 4.1.0\n", json!([2, 10]), "version `4.1.0` is not known"),
        ("openapi: 3.0.0\npaths:\n  users: {}\n", json!([3, 3]), "write `/users`"),
        (&deep, json!([2, 207]), "within one another"),
    ] {
        let answer = compared(&service, "", AS_YAML, document);
        let error = &body(&answer)["error"];
        assert_eq!((answer.status, &error["code"]), (422, &json!("invalid_document")), "{error}");
        assert_eq!(json!([error["line"], error["column"]]), place, "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    // A defect of a part is a finding beside the others.
    let found = body(&compared(&service, "", AS_YAML, &format!("{DOCUMENT}  wrong: {{}}\n")));
    assert_eq!((&found["counts"]["document"], &found["counts"]["new"]), (&json!(1), &json!(2)));
    for (question, kind, document, status) in [
        ("", ("content-type", "text/plain"), DOCUMENT, 415),
        ("", ("content-encoding", "gzip"), DOCUMENT, 415),
        ("?route=/a", AS_YAML, DOCUMENT, 400),
        ("?base_path=/a&base_path=/b", AS_YAML, DOCUMENT, 400),
    ] {
        assert_eq!(compared(&service, question, kind, document).status, status, "{question} {kind:?}");
    }
    assert_eq!(service.post(COMPARE, &[AS_YAML], b"\xff\xfe").status, 400);
}

#[test]
fn several_services_are_not_compared_at_once() {
    let service = with_data();
    let other = Frame { service: "payments", ..Frame::at(NOON) }.of(&[made("/a", 200, 0.1)]);
    service.send("/v1/metrics", Some(("edge-2", 1, 1)), &other).accepted();
    let answer = compared(&service, "", AS_YAML, DOCUMENT);
    let error = &body(&answer)["error"];
    assert_eq!((answer.status, &error["field"]), (400, &json!("service")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("service=payments"), "{error}");
    assert_eq!(body(&compared(&service, "?service=payments", AS_YAML, DOCUMENT))["counts"]["new"], 1);
}

#[test]
fn size_memory_and_time_are_bounded() {
    let check = |limits: Limits, document: &str, status: u16, code: &str| {
        let service = Service::with(limits);
        let answer = compared(&service, "", AS_YAML, document);
        assert_eq!(
            (answer.status, &body(&answer)["error"]["code"]),
            (status, &json!(code)),
            "{}",
            answer.text()
        );
    };
    let values = format!("openapi: 3.0.0\npaths: {{}}\nx: [{}]", "1,".repeat(20_000));
    check(Limits { document_bytes: 1_000, ..Limits::default() }, &values, 413, "too_large");
    check(Limits { decoded_bytes: 1 << 20, ..Limits::default() }, &values, 422, "invalid_document");
    check(Limits { document_timeout: Duration::ZERO, ..Limits::default() }, DOCUMENT, 422, "too_slow");
    let none = Limits { previews: 0, document_timeout: Duration::from_millis(50), ..Limits::default() };
    check(none, DOCUMENT, 429, "busy");
}
