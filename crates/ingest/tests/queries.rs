//! The read API refuses wrong questions, and its errors name the fix.

use crate::support::Service;
use crate::support::otlp::{Frame, Made, NOON, log, made, text};
use gatelens_ingest::Limits;
use serde_json::{Value, json};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

#[test]
fn wrong_questions_are_answered_with_what_was_meant() {
    let service = Service::with(Limits { points: 100, ..Limits::default() });
    for (path, status, field, words) in [
        ("summary?form=1", 400, json!("form"), "did you mean from?"),
        ("summary?step=60", 400, json!("step"), "there is no parameter"),
        ("summary?from=yesterday", 400, json!("from"), "2026-01-31T12:00:00Z"),
        ("summary?from=20&to=10", 400, json!("from"), "before to"),
        ("summary?from=1&from=2", 400, json!("from"), "more than once"),
        ("gateways?version=1", 400, json!("version"), "there is no parameter"),
        ("summary?group_by=colour", 400, json!("group_by"), "expected one of consumer, group, method"),
        ("summary?status=ok", 400, json!("status"), "404"),
        ("summary?status=7xx", 400, json!("status"), "5xx"),
        ("timeseries?step=90", 400, json!("step"), "multiple of 60"),
        ("timeseries?step=0", 400, json!("step"), "from 60"),
        ("timeseries?from=0&to=1000000&step=60", 400, json!("step"), "more than 100 points"),
        ("requests?limit=1001", 400, json!("limit"), "from 1 to 1000"),
        ("requests?limit=many", 400, json!("limit"), "from 1 to 1000"),
        ("requests?cursor=xyz", 400, json!("cursor"), "`next`"),
        ("requests?cursor=00", 400, json!("cursor"), "`next`"),
        ("requests?errors=yes", 400, json!("errors"), "true or false"),
        ("requests?sort=size", 400, json!("sort"), "time or duration"),
        ("requests?min_duration_ms=-1", 400, json!("min_duration_ms"), "such as 250"),
        ("requests?max_duration_ms=NaN", 400, json!("max_duration_ms"), "such as 250"),
        ("requests?min_duration_ms=2&max_duration_ms=1", 400, json!("min_duration_ms"), "not be greater"),
        ("requests?trace_id=12", 400, json!("trace_id"), "32 hexadecimal digits"),
        ("gateways?x=1", 400, json!("x"), "there is no parameter"),
        ("nothing", 404, Value::Null, "there is no path"),
    ] {
        let answer = service.get(&format!("/api/v1/{path}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (status, &field), "{path}: {body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{path}: {message}");
    }
}

#[test]
fn counts_are_grouped_and_filtered() {
    let service = Service::start();
    let by = |consumer, route, status| Made { consumer, ..made(route, status, 0.1) };
    let all = [by("acme", "/a", 200), by("acme", "/a", 503), by("acme", "/b", 200), by("globex", "/a", 404)];
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&all)).accepted();
    let other = Frame { service: "billing", ..Frame::at(NOON) };
    service.send("/v1/metrics", Some(("edge-2", 1, 1)), &other.of(&all[..1])).accepted();
    let check = |query: &str, key: &str, expected: Value| {
        let answer = service.json(&format!("/api/v1/summary?{DAY}&{query}"));
        let rows = answer["rows"].as_array().unwrap();
        let found: Vec<Value> =
            rows.iter()
                .map(|row| {
                    if key.is_empty() { row["requests"].clone() } else { json!([row[key], row["requests"]]) }
                })
                .collect();
        assert_eq!(Value::from(found), expected, "{query}");
    };
    check("", "", json!([5]));
    check("service=orders", "", json!([4]));
    check("group_by=service", "service", json!([["orders", 4], ["billing", 1]]));
    check("service=orders&group_by=consumer", "consumer", json!([["acme", 3], ["globex", 1]]));
    check("service=orders&group_by=route&consumer=acme", "route", json!([["/a", 2], ["/b", 1]]));
    check("status=5xx&group_by=status", "status", json!([[503, 1]]));
    check("errors=true", "", json!([1]));
    check("status=404&status=503", "", json!([2]));
    check("consumer=nobody", "", json!([0]));
    check("consumer=nobody&group_by=route", "route", json!([]));
    // A repeated dimension is one key of the row.
    let twice = "service=orders&group_by=route,route&group_by=consumer&group_by=route&consumer=globex";
    let text = service.get(&format!("/api/v1/summary?{DAY}&{twice}")).text();
    assert!(text.contains(r#""rows":[{"route":"/a","consumer":"globex","requests":1,"#), "{text}");
    let points = service.json(&format!("/api/v1/timeseries?{DAY}&group_by=consumer&service=orders"));
    let first = &points["points"][0];
    assert_eq!((&first["time"], &first["consumer"]), (&json!("2026-06-20T11:59:00Z"), &json!("acme")));
    assert_eq!(points["points"].as_array().unwrap().len(), 2);
}

#[test]
fn without_a_range_the_last_hour_is_meant() {
    let service = Service::start();
    let answer = service.json("/api/v1/summary");
    let seconds = |key: &str| answer[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert!((3600..=3720).contains(&(seconds("to") - seconds("from"))), "{answer}");
    let row = &answer["rows"][0];
    assert_eq!((&row["requests"], &row["p50_ms"]), (&json!(0), &Value::Null));
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let mut service = Service::start();
    let path = service.data().join("metrics.db");
    let version = |version: i64| {
        rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap()
    };
    version(99);
    let answer = service.get("/api/v1/summary");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("schema version 99"), "{}", answer.text());
    // A file of the first version is brought up to date.
    let columns = "ALTER TABLE states DROP COLUMN by_bound; ALTER TABLE minutes DROP COLUMN instance; ALTER TABLE half_hours DROP COLUMN instance; ALTER TABLE states DROP COLUMN attempts; ALTER TABLE states DROP COLUMN checksum; ALTER TABLE minutes DROP COLUMN checksum; ALTER TABLE half_hours DROP COLUMN checksum; ALTER TABLE minutes DROP COLUMN attempts; ALTER TABLE half_hours DROP COLUMN attempts; PRAGMA user_version = 1";
    service.restart(|_| {
        let file = rusqlite::Connection::open(&path).unwrap();
        let later = "SELECT group_concat('DROP ' || type || ' ' || name, '; ') FROM (SELECT type, name FROM sqlite_schema
                     WHERE type = 'trigger' OR type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN
                       ('gateways', 'sequences', 'batches', 'series', 'states', 'minutes', 'half_hours', 'probe')
                     ORDER BY type DESC)";
        let drop: String = file.query_row(later, [], |row| row.get(0)).unwrap();
        file.execute_batch(&format!("{drop}; {columns}")).unwrap();
    });
    assert_eq!(service.json("/api/v1/gateways")["rows"], json!([]));
    service.restart(|_| ());
    assert_eq!(service.get("/api/v1/summary").status, 200);
}

#[test]
fn requests_of_an_unknown_direction_are_shown_as_inbound() {
    let service = Service::start();
    let mut counts = Frame::at(NOON).of(&[made("/a", 200, 0.1)]);
    let mut events = log(&[(NOON, made("/a", 200, 0.1))]);
    let direction = text("gatelens.direction", "egress");
    for resource in [&mut counts.resource_metrics[0].resource, &mut events.resource_logs[0].resource] {
        let attributes = &mut resource.as_mut().unwrap().attributes;
        attributes.retain(|attribute| attribute.key != direction.key);
        attributes.push(direction.clone());
    }
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &counts).accepted();
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &events).accepted();
    let summary = service.json(&format!("/api/v1/summary?{DAY}&group_by=direction"));
    assert_eq!(
        (&summary["rows"][0]["direction"], &summary["rows"][0]["requests"]),
        (&json!("inbound"), &json!(1))
    );
    let rows = service.json(&format!("/api/v1/requests?{DAY}"))["rows"].as_array().unwrap().len();
    assert_eq!(rows, 1);
}
