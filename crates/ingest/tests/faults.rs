//! Files that are damaged, newer or foreign: the service reports them and continues with the others.

use crate::support::Service;
use crate::support::otlp::{Frame, NOON, log, made};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// A day before the one on which the test runs.
fn day_file(data: &Path, days: i64) -> PathBuf {
    let day = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    data.join(format!("requests-{}.db", day.saturating_sub(jiff::Span::new().days(days))))
}

/// A service that knows one request counted and logged.
fn with_one_request() -> Service {
    let service = Service::start();
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &log(&[(NOON, made("/", 200, 0.1))])).accepted();
    service
        .send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&[made("/", 200, 0.1)]))
        .accepted();
    service
}

fn logged(service: &Service) -> usize {
    service.json(&format!("/api/v1/requests?{DAY}"))["rows"].as_array().unwrap().len()
}

fn counted(service: &Service) -> Value {
    service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0]["requests"].clone()
}

/// Asserts that the service is healthy except for one file, whose fault contains these words.
fn troubled(service: &Service, file: &Path, words: &str) {
    let health = service.json("/healthz");
    let troubles = health["troubles"].as_array().unwrap();
    assert_eq!((&health["status"], troubles.len()), (&json!("ok"), 1), "{health}");
    let said = troubles[0].as_str().unwrap();
    assert!(said.starts_with(file.to_str().unwrap()) && said.contains(words), "{said}");
}

fn names(data: &Path) -> Vec<String> {
    std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn other_database(path: &Path) {
    rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE birds (name TEXT)").unwrap();
}

fn of_version_99(path: &Path) {
    let marks = "CREATE TABLE chunks (id); PRAGMA application_id = 0x67746c6e; PRAGMA user_version = 99";
    rusqlite::Connection::open(path).unwrap().execute_batch(marks).unwrap();
}

fn text(path: &Path) {
    std::fs::write(
        path,
        "no database at all, but a text that is long enough to be taken for one".repeat(100),
    )
    .unwrap();
}

type Damage = fn(&Path);

#[test]
fn a_bad_file_of_one_day_does_not_hide_the_others() {
    let cases: [(i64, Damage, &str, bool); 4] = [
        (3, text, "not a database", true),
        (3, other_database, "not a file of gatelens", true),
        (3, of_version_99, "schema version 99", false),
        (400, text, "not a database", true),
    ];
    for (days, damage, words, set_aside) in cases {
        let mut service = with_one_request();
        let path = day_file(service.data(), days);
        // While it runs, and when it starts.
        damage(&path);
        assert_eq!(logged(&service), 1);
        assert_eq!(service.json("/api/v1/gateways")["rows"].as_array().unwrap().len(), 1);
        troubled(&service, &path, words);
        service.restart(|_| ());
        troubled(&service, &path, words);
        assert_eq!(path.exists(), !set_aside, "{words}");
        assert_eq!(
            names(service.data()).iter().any(|name| name.contains(".db.corrupt-")),
            set_aside,
            "{words}"
        );
        assert_eq!((logged(&service), counted(&service)), (1, json!(1)));
        service.send("/v1/logs", Some(("edge-1", 1, 1)), &log(&[(NOON, made("/", 200, 0.1))])).accepted();
        service.send("/v1/logs", Some(("edge-1", 1, 2)), &log(&[(NOON, made("/", 200, 0.1))])).accepted();
        assert_eq!(logged(&service), 2);
    }
}

#[test]
fn a_bad_file_of_today_is_replaced() {
    for damage in [text as Damage, other_database] {
        let mut service = with_one_request();
        let path = day_file(service.data(), 0);
        service.restart(|_| {
            std::fs::remove_file(&path).unwrap();
            damage(&path);
        });
        troubled(&service, &path, "is set aside as");
        service.send("/v1/logs", Some(("edge-1", 1, 2)), &log(&[(NOON, made("/", 200, 0.1))])).accepted();
        assert_eq!((logged(&service), counted(&service)), (1, json!(1)));
    }
}

#[test]
fn damaged_counters_are_set_aside_and_begin_anew() {
    let mut service = with_one_request();
    let path = service.data().join("metrics.db");
    service.restart(|_| text(&path));
    troubled(&service, &path, "is set aside as");
    assert_eq!((logged(&service), counted(&service)), (1, json!(0)));
    // The gateway still knows all that it counted.
    let frame = Frame::at(NOON).of(&[made("/", 200, 0.1), made("/", 200, 0.1)]);
    service.send("/v1/metrics", Some(("edge-1", 1, 2)), &frame).accepted();
    assert_eq!(counted(&service), 2);
    service.restart(|_| ());
    assert_eq!(counted(&service), 2);
}

#[test]
fn a_damaged_file_of_alerts_is_set_aside_and_alerts_begin_anew() {
    let mut service = with_one_request();
    let path = service.data().join("alerts.db");
    let json_type = [("content-type", "application/json")];
    let mine = br#"{"name": "mine", "measure": "p95_ms", "above": 5}"#;
    let names = |service: &Service| -> Vec<Value> {
        let alerts = service.json("/api/v1/alerts");
        alerts["rules"].as_array().unwrap().iter().map(|rule| rule["name"].clone()).collect()
    };
    assert_eq!(service.post("/api/v1/alerts/rules", &json_type, mine).status, 200);
    assert!(names(&service).contains(&json!("mine")));
    service.restart(|_| text(&path));
    troubled(&service, &path, "is set aside as");
    // The rules of the page are in the file that was set aside; the built-in ones hold.
    assert_eq!(names(&service), ["errors", "gateway-lost", "latency"]);
    assert_eq!((logged(&service), counted(&service)), (1, json!(1)));
    assert_eq!(service.post("/api/v1/alerts/rules", &json_type, mine).status, 200);
    service.restart(|_| ());
    assert!(names(&service).contains(&json!("mine")));
}

#[test]
fn a_damaged_chunk_costs_its_requests_only() {
    let service = with_one_request();
    service.send("/v1/logs", Some(("edge-1", 1, 2)), &log(&[(NOON + 1, made("/", 200, 0.1))])).accepted();
    let path = day_file(service.data(), 0);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("UPDATE chunks SET data = x'0102' WHERE id = 1", []).unwrap();
    assert_eq!(logged(&service), 1);
    troubled(&service, &path, "cannot be read");
}
