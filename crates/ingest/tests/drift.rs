//! What bodies look like, and what has changed.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, export_logs, made, record, text};
use gatelens_ingest::Limits;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const DAY: u64 = 86_400 * SECOND;

/// A service that looks at routes all the time.
fn attentive() -> Service {
    Service::with(Limits { drift_interval: Duration::from_millis(50), ..Limits::default() })
}

/// Responses with these bodies, a second apart, from a release of the service.
pub(crate) fn responses(time: u64, release: &str, bodies: &[Value]) -> ExportLogsServiceRequest {
    let records = bodies.iter().zip(0..).map(|(body, number)| {
        let mut record = record(time + number * SECOND, &made("/orders/{id}", 200, 0.1));
        record.attributes.push(text("gatelens.response.body.content", &body.to_string()));
        record
    });
    let mut export = export_logs(records.collect());
    let resource = export.resource_logs[0].resource.as_mut().unwrap();
    resource.attributes.retain(|attribute| attribute.key != "service.version");
    resource.attributes.push(text("service.version", release));
    export
}

/// Rows of an answer, as soon as they are what is wanted.
pub(crate) fn rows(service: &Service, question: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let rows = service.json(question)["rows"].as_array().unwrap().clone();
        if wanted(&rows) {
            return rows;
        }
        assert!(begun.elapsed() < PATIENCE, "{question}: {rows:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn kinds(rows: &[Value]) -> Vec<String> {
    let of = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let mut kinds: Vec<_> = rows
        .iter()
        .map(|row| {
            format!("{} {} {} -> {}", of(row, "kind"), of(row, "field"), of(row, "before"), of(row, "after"))
        })
        .collect();
    kinds.sort();
    kinds
}

#[test]
fn changes_of_bodies_are_shown_with_release_and_request() {
    let service = Service::start();
    let old = json!({"id": 1, "at": "2026-06-20T12:00:00Z", "note": "x", "lines": [{"sku": "a"}]});
    let new = json!({"id": "1", "at": "noon", "lines": [{"sku": "a", "tax": 1.5}]});
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &responses(NOON, "1.0", &vec![old; 30])).accepted();
    let later = NOON + MINUTE;
    service.send("/v1/logs", Some(("edge-1", 1, 2)), &responses(later, "1.1", &vec![new; 40])).accepted();
    let found = rows(&service, "/api/v1/drift", |rows| rows.len() >= 4);
    assert_eq!(
        kinds(&found),
        [
            "field_new /lines/[]/tax  -> number",
            "field_vanished /note string -> ",
            "format_changed /at date-time -> plain",
            "type_changed /id integer -> string",
        ]
    );
    let first = found.iter().find(|row| row["kind"] == "type_changed").unwrap();
    let expected = json!({
        "time": "2026-06-20T12:01:00Z", "kind": "type_changed", "service": "orders", "environment": "prod",
        "direction": "inbound", "method": "GET", "route": "/orders/{id}", "message": "response", "status": "2xx",
        "field": "/id", "before": "integer", "after": "string", "version": "1.1", "request_id": format!("id-{later}"),
        "trace_id": "000102030405060708090a0b0c0d0e0f",
    });
    assert_eq!(*first, expected);
    // The latest first, and page by page the same.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.json(&format!("/api/v1/drift?limit=1&cursor={cursor}"));
        paged.extend(page["rows"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(paged, found);
    assert!(found.is_sorted_by(|one, next| one["time"].as_str() >= next["time"].as_str()));
    for (question, number) in [
        ("kind=field_new,field_vanished", 2),
        ("from=2026-06-20T12:01:00Z&to=2026-06-20T12:01:01Z", 3),
        ("to=2026-06-20T12:01:00Z&from=0", 0),
        ("version=1.1", 4),
        ("version=1.0", 0),
        ("route=/orders/%7Bid%7D&method=get", 4),
        ("route=/other", 0),
        ("environment=stage", 0),
        ("direction=outbound", 0),
    ] {
        let rows = service.json(&format!("/api/v1/drift?{question}"))["rows"].as_array().unwrap().len();
        assert_eq!(rows, number, "{question}");
    }
    let refused = service.get("/api/v1/drift?kind=route");
    assert_eq!((refused.status, refused.text().contains("route_new")), (400, true), "{}", refused.text());
}

#[test]
fn the_fields_of_a_route_are_shown_and_outlive_a_restart() {
    let mut service = Service::start();
    let bodies = [json!({"id": 1, "mail": "[CLIENT_REDACTED]"}), json!({"id": 2, "note": "x"})];
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &responses(NOON, "1.0", &bodies)).accepted();
    let question = "/api/v1/shapes?route=/orders/%7Bid%7D";
    for start in ["first", "second"] {
        let found = rows(&service, question, |rows| rows.len() == 1);
        assert_eq!((&found[0]["bodies"], &found[0]["status"]), (&json!(2), &json!("2xx")), "{start}");
        let fields: Vec<_> = found[0]["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| {
                let [name, types, formats, always] =
                    ["field", "types", "formats", "always"].map(|key| field[key].to_string());
                format!("{name} {types} {formats} {always} {}/{}", field["seen"], field["of"])
            })
            .collect();
        let expected = [
            r#""" ["object"] [] true 2/2"#,
            r#""/id" ["integer"] [] true 2/2"#,
            r#""/mail" [] ["masked"] false 1/2"#,
            r#""/note" ["string"] ["plain"] true 1/1"#,
        ];
        assert_eq!(fields, expected, "{start}");
        service.restart(|_| ());
    }
}

#[test]
fn routes_that_come_and_go_are_changes() {
    let service = attentive();
    let mut sequence = 0;
    let mut count = |time: u64, routes: &[&'static str]| {
        sequence += 1;
        let all: Vec<_> = routes.iter().map(|route| made(route, 200, 0.1)).collect();
        let temporality = AggregationTemporality::Delta;
        let frame = Frame { start: time - MINUTE, temporality, ..Frame::at(time) }.of(&all);
        service.send("/v1/metrics", Some(("edge-1", sequence, 1)), &frame).accepted();
    };
    let shown = |wanted: usize| {
        let found = rows(&service, "/api/v1/drift", |rows| rows.len() >= wanted);
        let of =
            |row: &Value| format!("{} {}", row["kind"].as_str().unwrap(), row["route"].as_str().unwrap());
        found.iter().map(of).collect::<Vec<_>>()
    };
    count(NOON, &["/a", "/b"]);
    // The routes of the first minutes are no news.
    rows(&service, "/api/v1/summary?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z", |rows| {
        rows.len() == 1
    });
    let known = || {
        let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
        file.query_row("SELECT count(*) FROM known_routes", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let begun = Instant::now();
    while known() < 2 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    for half_hour in 1..=30 {
        count(NOON + half_hour * 30 * MINUTE, &["/a", "/b"]);
    }
    count(NOON + 31 * 30 * MINUTE, &["/a", "/new"]);
    assert_eq!(shown(1), ["route_new /new"]);
    // /b had traffic in half an hour after the other and has none for a day; /new never had regular traffic.
    count(NOON + 32 * 30 * MINUTE + 2 * DAY, &["/a"]);
    assert_eq!(shown(2), ["route_vanished /b", "route_new /new"]);
    count(NOON + 33 * 30 * MINUTE + 2 * DAY, &["/b"]);
    assert_eq!(shown(3), ["route_new /b", "route_vanished /b", "route_new /new"]);
}

#[test]
fn odd_bodies_do_no_harm() {
    let service = Service::start();
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let wide = format!("{{{}}}", (0..5_000).map(|n| format!("\"k{n}x\":{n}")).collect::<Vec<_>>().join(","));
    for (body, number) in
        [&deep, &wide, "{", "{\"a\":1}{", "[1e999]", "{\"\":{\"\":{}}}", "\u{feff}{}", "{\"a\":\"\\ud800\"}"]
            .into_iter()
            .zip(1..)
    {
        let mut record = record(NOON, &made("/odd", 200, 0.1));
        record.attributes.push(text("gatelens.request.body.content", body));
        service.send("/v1/logs", Some(("edge-1", 1, number)), &export_logs(vec![record])).accepted();
    }
    let found = rows(&service, "/api/v1/shapes", |rows| rows.len() == 1 && rows[0]["bodies"] == 2);
    assert!(found[0]["fields"].as_array().unwrap().len() < 300, "{found:#?}");
}

#[test]
fn what_was_learned_of_an_environment_is_forgotten_with_it() {
    let mut service = Service::start();
    let bodies = vec![json!({"id": 1}); 3];
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &responses(NOON, "1.0", &bodies)).accepted();
    rows(&service, "/api/v1/shapes", |rows| rows.len() == 1);
    let selection = Selection { environment: Some("prod".to_owned()), ..Selection::default() };
    let forgotten = forget(service.data(), &selection, Deed::Remove).unwrap();
    assert_eq!(forgotten.shapes, 1);
    // The thread that has learned them does not bring them back, also when it stores what it has at the end.
    service.restart(|_| ());
    assert_eq!(service.json("/api/v1/shapes"), json!({"rows": []}));
}

/// Bodies of one message of a route, with a status.
fn bodies(made: &Made, attribute: &str, bodies: &[Value]) -> Vec<LogRecord> {
    let with = |body: &Value| {
        let mut record = record(NOON, made);
        record.attributes.push(text(attribute, &body.to_string()));
        record
    };
    bodies.iter().map(with).collect()
}

/// The page's tests read the same file with a validator of OpenAPI documents.
#[test]
fn what_was_seen_is_an_openapi_document() {
    let service = attentive();
    let (request, response) = ("gatelens.request.body.content", "gatelens.response.body.content");
    let post = |route, status| Made { method: "POST", ..made(route, status, 0.1) };
    let all = [
        made("/orders/{id}/lines/{id}", 200, 0.1),
        made("/orders/{number}/lines/{number}", 404, 0.1),
        made("/files/{rest}", 0, 0.1),
        made("/static/**", 304, 0.1),
        made("/", 200, 0.1),
        made("__unmatched__", 404, 0.1),
        Made { method: "_OTHER", ..made("/odd", 200, 0.1) },
        post("/orders", 201),
        post("/orders", 422),
    ];
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&all)).accepted();
    let order = json!({
        "id": "123e4567-e89b-12d3-a456-426614174000", "total": 12.5, "paid": true, "note": null, "email": "[CLIENT_REDACTED]",
        "lines": [{"sku": "a", "count": 1}, {"sku": "b", "at": "2026-06-20"}], "labels": {"42": "x", "43": "2026-06-20"},
        "a/b~c": 1,
    });
    let mut records = bodies(&post("/orders", 201), response, &[order.clone(), json!({"id": 1, "total": 2})]);
    records.extend(bodies(&post("/orders", 201), request, &[order]));
    records.extend(bodies(&post("/orders", 422), request, &[json!(["wrong"])]));
    records.extend(bodies(
        &post("/only/logged", 500),
        response,
        &[json!([]), json!({"type": "about:blank"})],
    ));
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(records)).accepted();
    let begun = Instant::now();
    let found = loop {
        let found = service.json("/api/v1/openapi?service=orders&environment=prod");
        let has = |path: &str| found["paths"].get(path).is_some();
        if has("/only/logged") && has("/files/{rest}") {
            break found;
        }
        assert!(begun.elapsed() < PATIENCE, "{found:#}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let expected: Value = serde_json::from_str(include_str!("fixtures/openapi-of-traffic.json")).unwrap();
    assert_eq!(found, expected, "{found:#}");
    let other = Frame { service: "carts", ..Frame::at(NOON) }.of(&[made("/a", 200, 0.1)]);
    service.send("/v1/metrics", Some(("edge-2", 1, 1)), &other).accepted();
    let begun = Instant::now();
    while service.get("/api/v1/openapi").status == 200 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = service.get("/api/v1/openapi");
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("service=carts environment=prod direction=inbound"),
        "{}",
        refused.text()
    );
}
