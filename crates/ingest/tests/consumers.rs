//! Names and groups of consumers, from the log to the answers.

use crate::support::Service;
use crate::support::otlp::{Frame, Made, NOON, export_logs, made, record, text};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const MINUTE: u64 = 60_000_000_000;

fn by(consumer: &'static str) -> Made {
    Made { consumer, ..made("/a", 200, 0.1) }
}

/// Sends a log record of a consumer, with its name and group where they are not empty.
fn log(service: &Service, sequence: u64, at: u64, consumer: &'static str, label: [&str; 2]) {
    let mut record = record(at, &by(consumer));
    let names = ["gatelens.consumer.name", "gatelens.consumer.group"].into_iter().zip(label);
    record
        .attributes
        .extend(names.filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)));
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(vec![record])).accepted();
}

fn counted(service: &Service, sequence: u64, at: u64, consumers: &[&'static str]) {
    let points: Vec<Made> = consumers.iter().map(|consumer| by(consumer)).collect();
    service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &Frame::at(at).of(&points)).accepted();
}

fn column(answer: &Value, rows: &str, keys: &[&str]) -> Vec<Value> {
    let rows = answer[rows].as_array().unwrap();
    rows.iter().map(|row| keys.iter().map(|key| row[key].clone()).collect()).collect()
}

fn served() -> Service {
    let service = Service::start();
    counted(&service, 1, NOON, &["acme", "globex", "initech", "anonymous"]);
    log(&service, 1, NOON, "acme", ["Acme Inc.", "gold"]);
    log(&service, 2, NOON, "globex", ["", "gold"]);
    log(&service, 3, NOON, "initech", ["", ""]);
    service
}

#[test]
fn counts_have_names_and_groups() {
    let mut service = served();
    let check = |service: &Service, query: &str, keys: &[&str], expected: Value| {
        let answer = service.json(&format!("/api/v1/summary?{DAY}&{query}"));
        let mut found = column(&answer, "rows", keys);
        found.sort_by_key(Value::to_string);
        assert_eq!(Value::from(found), expected, "{query}");
    };
    let named = json!([
        ["acme", "Acme Inc.", "gold"],
        ["anonymous", null, null],
        ["globex", null, "gold"],
        ["initech", null, null]
    ]);
    let keys = ["consumer", "consumer_name", "consumer_group"];
    check(&service, "group_by=consumer", &keys, named.clone());
    check(
        &service,
        "group_by=group",
        &["group", "requests", "consumer_name"],
        json!([["", 2, null], ["gold", 2, null]]),
    );
    check(&service, "group=gold", &["requests"], json!([[2]]));
    check(&service, "group=!gold", &["requests"], json!([[2]]));
    check(&service, "group=gold&consumer=!acme&group_by=consumer", &["consumer"], json!([["globex"]]));
    let answer =
        service.json(&format!("/api/v1/timeseries?{DAY}&group_by=consumer,group&group=gold&consumer=acme"));
    assert_eq!(column(&answer, "points", &["consumer_name", "group"]), [json!(["Acme Inc.", "gold"])]);
    service.restart(|_| ());
    check(&service, "group_by=consumer", &keys, named);
}

#[test]
fn the_log_has_the_names_of_now() {
    let service = served();
    log(&service, 4, NOON + MINUTE, "acme", ["Acme Ltd.", ""]);
    // It came late, and must not replace what is newer.
    log(&service, 5, NOON - MINUTE, "acme", ["Acme", "silver"]);
    let requests = |query: &str| {
        let answer = service.json(&format!("/api/v1/requests?{DAY}&{query}"));
        let mut found = column(&answer, "rows", &["consumer", "consumer_name", "consumer_group"]);
        found.dedup();
        Value::from(found)
    };
    assert_eq!(requests("consumer=acme"), json!([["acme", "Acme Ltd.", "gold"]]));
    assert_eq!(requests("group=silver"), json!([]));
    assert_eq!(requests("group=!gold"), json!([["initech", null, null]]));
}

#[test]
fn consumers_are_listed_with_their_first_and_last_minute() {
    let service = served();
    counted(&service, 2, NOON + 5 * MINUTE, &["acme", "acme"]);
    counted(&service, 3, NOON + 9 * MINUTE, &["anonymous", "anonymous"]);
    let keys = ["id", "name", "group", "first_seen", "last_seen"];
    let list = |query: &str| {
        Value::from(column(&service.json(&format!("/api/v1/consumers?{query}")), "rows", &keys))
    };
    let (first, last) = ("2026-06-20T11:59:00Z", "2026-06-20T12:04:00Z");
    let acme = json!(["acme", "Acme Inc.", "gold", first, last]);
    let globex = json!(["globex", null, "gold", first, first]);
    let initech = json!(["initech", null, null, first, first]);
    assert_eq!(list(""), json!([acme, globex, initech]));
    assert_eq!(list("group=gold"), json!([acme, globex]));
    assert_eq!(list("consumer=initech&environment=prod"), json!([initech]));
    assert_eq!(list("service=other"), json!([]));
    let answer = service.json("/api/v1/consumers?limit=1");
    assert_eq!((&answer["rows"].as_array().unwrap().len(), &answer["more"]), (&1, &json!(true)));
}

#[test]
fn labels_of_strangers_are_bounded() {
    let service = Service::start();
    let long = "é".repeat(1_000);
    log(&service, 1, NOON, "acme", [&long, "<b>&\"'"]);
    // A clock that runs ahead must not keep later names out.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    log(&service, 2, (now + Duration::from_secs(23 * 3600)).as_nanos() as u64, "globex", ["Globex", ""]);
    log(&service, 3, NOON, "anonymous", ["Nobody", ""]);
    let rows = service.json("/api/v1/consumers");
    let found = column(&rows, "rows", &["id", "name", "group"]);
    assert_eq!(found.len(), 2, "{rows}");
    assert!(found.contains(&json!(["acme", "é".repeat(64), "<b>&\"'"])), "{rows}");
}
