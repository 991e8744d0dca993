//! Spans of applications beside the gateways.

use crate::people::Guarded;
use crate::support::Service;
use crate::support::otlp::{NOON, export_logs, made, record, text};
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_ingest::{Limits, Role};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::{Value, json};

const MILLI: u64 = 1_000_000;
pub(crate) const TRACE: &str = "000102030405060708090a0b0c0d0e0f";
const EVER: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// A span of `TRACE`, so many milliseconds after noon.
pub(crate) fn span(id: u8, parent: u8, name: &str, kind: i32, (start, end): (u64, u64)) -> Span {
    Span {
        trace_id: (0..16).collect(),
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: NOON + start * MILLI,
        end_time_unix_nano: NOON + end * MILLI,
        ..Span::default()
    }
}

fn export_of(service: &str, scope: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let attributes: Vec<KeyValue> =
        vec![text("service.name", service), text("deployment.environment.name", "prod")];
    let scope = InstrumentationScope { name: scope.to_owned(), ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
            ..Default::default()
        }],
    }
}

pub(crate) fn export(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    export_of(service, "io.opentelemetry.flask", spans)
}

pub(crate) fn send(service: &Service, export: &ExportTraceServiceRequest) {
    service.send("/v1/traces", None, export).accepted();
}

pub(crate) fn spans_of(service: &Service, trace: &str) -> Value {
    service.json(&format!("/api/v1/spans?trace_id={trace}"))
}

pub(crate) fn names(answer: &Value) -> Vec<&str> {
    answer["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn spans_of_an_application_are_shown_with_their_trace() {
    let mut service = Service::start();
    let mut query = span(2, 1, "SELECT\u{202e} orders\n", 3, (12, 40));
    query.attributes = vec![
        text("db.system.name", "postgresql"),
        text("db.query.text", "SELECT * FROM orders WHERE card = '4111'"),
        text("db.operation.name", "SELECT"),
    ];
    query.status = Some(Status { code: 2, message: "relation of ada@example.com".to_owned() });
    send(&service, &export("orders-api", vec![span(1, 9, "GET /orders/{id}", 2, (10, 60)), query]));
    send(&service, &export("stock", vec![span(3, 2, "stock", 1, (20, 30))]));
    for start in ["first", "second"] {
        let answer = spans_of(&service, TRACE);
        let expected = json!({"left_out": 0, "rows": [
            {
                "span_id": "0101010101010101", "parent_span_id": "0909090909090909", "service": "orders-api", "environment": "prod",
                "name": "GET /orders/{id}", "kind": "server", "start": "2026-06-20T12:00:00.01Z", "duration_ms": 50.0,
                "status": "unset", "status_message": null, "attributes": {},
            },
            {
                "span_id": "0202020202020202", "parent_span_id": "0101010101010101", "service": "orders-api", "environment": "prod",
                "name": "SELECT orders", "kind": "client", "start": "2026-06-20T12:00:00.012Z", "duration_ms": 28.0, "status": "error",
                "status_message": "relation of ada@example.com",
                "attributes": {"db.system.name": "postgresql", "db.operation.name": "SELECT"},
            },
            {
                "span_id": "0303030303030303", "parent_span_id": "0202020202020202", "service": "stock", "environment": "prod",
                "name": "stock", "kind": "internal", "start": "2026-06-20T12:00:00.02Z", "duration_ms": 10.0,
                "status": "unset", "status_message": null, "attributes": {},
            },
        ]});
        assert_eq!(answer, expected, "{start}: {answer:#}");
        service.restart(|_| ());
    }
    // They are no requests, and nothing else is of this trace.
    assert_eq!(service.json(&format!("/api/v1/requests?{EVER}"))["rows"], json!([]));
    assert_eq!(names(&spans_of(&service, &TRACE.replace("0f", "10"))), [""; 0]);
    assert_eq!(names(&spans_of(&service, &TRACE.to_uppercase())).len(), 3);
    for wrong in ["", "?trace_id=12", "?trace_id=00010203040506070809zz0b0c0d0e0f", "?trace=1"] {
        assert_eq!(service.get(&format!("/api/v1/spans{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn a_server_span_of_a_request_is_both_and_a_gateway_has_no_spans() {
    let service = Service::start();
    let mut request = span(1, 0, "GET /orders", 2, (0, 50));
    request.attributes = vec![text("http.request.method", "GET"), text("http.route", "/orders")];
    send(&service, &export("orders-api", vec![request.clone()]));
    assert_eq!(service.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().len(), 1);
    assert_eq!(names(&spans_of(&service, TRACE)), ["GET /orders"]);
    // A repeat that the sender sent because it got no answer shows once.
    send(&service, &export("orders-api", vec![request.clone()]));
    assert_eq!(names(&spans_of(&service, TRACE)), ["GET /orders"]);
    let own = Service::start();
    send(&own, &export_of("gateway", "gatelens", vec![request, span(2, 1, "call", 3, (10, 40))]));
    assert_eq!(own.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().len(), 1);
    assert_eq!(names(&spans_of(&own, TRACE)), [""; 0]);
}

#[test]
fn spans_without_identifiers_or_times_are_counted_and_not_kept() {
    let service = Service::start();
    let odd = [
        Span { trace_id: vec![0; 16], ..span(1, 0, "no trace", 1, (0, 1)) },
        Span { trace_id: vec![1; 8], ..span(1, 0, "short trace", 1, (0, 1)) },
        Span { span_id: Vec::new(), ..span(1, 0, "no span", 1, (0, 1)) },
        span(1, 0, "backwards", 1, (2, 1)),
        Span { start_time_unix_nano: 0, ..span(1, 0, "no start", 1, (0, 1)) },
        Span { start_time_unix_nano: 1, ..span(1, 0, "long ago", 1, (0, 1)) },
        Span {
            kind: 77,
            status: Some(Status { code: 9, ..Status::default() }),
            ..span(7, 0, "odd", 1, (0, 1))
        },
    ];
    let answer = service.send("/v1/traces", None, &export("a", odd.to_vec()));
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("server spans of HTTP requests"), "{}", answer.text());
    let answer = spans_of(&service, TRACE);
    assert_eq!(names(&answer), ["odd"]);
    assert_eq!(
        (&answer["rows"][0]["kind"], &answer["rows"][0]["status"]),
        (&json!("unspecified"), &json!("unset"))
    );
    let metrics = service.get("/metrics").text();
    assert!(metrics.contains("reason=\"other_span\",signal=\"traces\"} 6"), "{metrics}");
}

#[test]
fn a_trace_and_a_sender_have_their_bounds_and_the_log_keeps_its_own() {
    let service = Service::with(Limits { spans_bytes: 64 << 10, ..Limits::default() });
    let order = made("/orders", 200, 0.1);
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(vec![record(NOON, &order)])).accepted();
    let quiet = Span { trace_id: vec![7; 16], ..span(1, 0, "quiet", 2, (0, 1)) };
    send(&service, &export("quiet", vec![quiet]));
    // A flood of one sender, in traces of ten spans.
    for trace in 1..=200_u8 {
        let spans = (1..=10).map(|id| Span {
            trace_id: [vec![9; 15], vec![trace]].concat(),
            ..span(id, 0, &"flood".repeat(10), 1, (0, 1))
        });
        send(&service, &export("loud", spans.collect()));
    }
    let of = |trace: u8| spans_of(&service, &format!("{}{trace:02x}", "09".repeat(15)));
    assert_eq!(names(&of(200)).len(), 10, "the latest are kept");
    assert_eq!(names(&of(1)).len(), 0, "the oldest of the same sender have given way");
    assert_eq!(names(&spans_of(&service, &"07".repeat(16))), ["quiet"]);
    assert_eq!(service.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().len(), 1);
    let kept: usize = (1..=200).map(|trace| names(&of(trace)).len()).sum();
    assert!((20..200).contains(&kept), "a quarter of the room, not {kept} spans");
    // A trace with too many.
    let service = Service::start();
    for batch in 0..3_u16 {
        let spans = (0..600_u16).map(|n| {
            let id = [vec![1; 6], (batch * 600 + n + 1).to_be_bytes().to_vec()].concat();
            Span { span_id: id, ..span(1, 0, "many", 1, (0, 1)) }
        });
        send(&service, &export("many", spans.collect()));
    }
    let answer = spans_of(&service, TRACE);
    assert_eq!((names(&answer).len(), &answer["left_out"]), (1_000, &json!(800)));
    // Without room there are none, and no request is refused for it.
    let service = Service::with(Limits { spans_bytes: 0, ..Limits::default() });
    send(&service, &export("a", vec![span(1, 0, "a", 1, (0, 1))]));
    assert_eq!(names(&spans_of(&service, TRACE)), [""; 0]);
}

#[test]
fn a_viewer_does_not_see_messages_of_applications() {
    let guarded = Guarded::start();
    let mut failed = span(1, 0, "failed", 2, (0, 1));
    failed.status = Some(Status { code: 2, message: "secret of ada".to_owned() });
    guarded.send_spans(&export("a", vec![failed]));
    let path = format!("/api/v1/spans?trace_id={TRACE}");
    let seen = guarded.get(&path, Role::Viewer);
    assert!(!seen.text().contains("secret"), "{}", seen.text());
    let seen: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        (&seen["rows"][0]["status_message"], &seen["rows"][0]["withheld"]),
        (&Value::Null, &json!(["status_message"]))
    );
    assert!(guarded.get(&path, Role::Analyst).text().contains("secret of ada"));
}

#[test]
fn spans_of_an_environment_are_forgotten_with_it_and_a_damaged_file_costs_nothing_else() {
    let mut service = Service::start();
    send(&service, &export("a", vec![span(1, 0, "a", 1, (0, 1))]));
    let selection = Selection { environment: Some("prod".to_owned()), ..Selection::default() };
    assert_eq!(forget(service.data(), &selection, Deed::Count).unwrap().spans, 1);
    assert_eq!(names(&spans_of(&service, TRACE)), ["a"]);
    assert_eq!(forget(service.data(), &selection, Deed::Remove).unwrap().spans, 1);
    assert_eq!(names(&spans_of(&service, TRACE)), [""; 0]);
    send(&service, &export("a", vec![span(1, 0, "b", 1, (0, 1))]));
    assert_eq!(names(&spans_of(&service, TRACE)), ["b"]);
    service.restart(|data: &std::path::Path| std::fs::write(data.join("spans.db"), [0x5a; 8192]).unwrap());
    assert_eq!(names(&spans_of(&service, TRACE)), [""; 0]);
    send(&service, &export("a", vec![span(1, 0, "c", 1, (0, 1))]));
    assert_eq!(names(&spans_of(&service, TRACE)), ["c"]);
}
