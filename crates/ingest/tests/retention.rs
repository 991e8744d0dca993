//! Expired data is removed, and the rest stays right.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, NOON, made, sum, text};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: u64 = 24 * 60 * MINUTE;

/// The only number that a question to the file of counters answers.
fn stored(service: &Service, question: &str) -> i64 {
    let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
    file.query_row(question, [], |row| row.get(0)).unwrap()
}

/// Starts again, which prunes, and waits until a question is answered so.
fn prune(service: &mut Service, question: &str, expected: i64) {
    service.restart(|_| ());
    while stored(service, question) != expected {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(service: &Service, sequence: u64, time: u64, requests: usize) {
    let frame = Frame::at(time).of(&vec![made("/", 200, 0.1); requests]);
    service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &frame).accepted();
}

#[test]
fn expired_minutes_are_replaced_by_half_hours() {
    let mut service = Service::start();
    for (sequence, minutes) in [(1, 1), (2, 2), (3, 45)] {
        send(&service, sequence, NOON + minutes * MINUTE, sequence as usize);
    }
    send(&service, 4, NOON + 40 * DAY, 10);
    send(&service, 5, NOON + 40 * DAY + MINUTE, 11);
    let minutes = "SELECT (SELECT count(*) FROM minutes) + (SELECT count(*) FROM packed_minutes)";
    prune(&mut service, minutes, 2);
    assert_eq!(stored(&service, "SELECT count(*) FROM half_hours"), 4);
    assert_eq!(stored(&service, "SELECT count(*) FROM batches"), 5, "by when they came, which is now");

    let summary = service.json("/api/v1/summary?from=2026-06-20T12:01:00Z&to=2026-06-20T12:20:00Z");
    assert_eq!(
        (&summary["from"], &summary["to"]),
        (&json!("2026-06-20T12:00:00Z"), &json!("2026-06-20T12:30:00Z"))
    );
    assert_eq!(summary["rows"][0]["requests"], 2);
    let all = service.json("/api/v1/summary?from=2026-06-20T00:00:00Z&to=2026-07-31T00:00:00Z");
    assert_eq!(all["rows"][0]["requests"], 11);

    let day = "from=2026-06-20T12:00:00Z&to=2026-06-20T13:00:00Z";
    for step in ["", "&step=300", "&step=1800"] {
        let points = service.json(&format!("/api/v1/timeseries?{day}{step}"));
        let found: Vec<_> =
            points["points"].as_array().unwrap().iter().map(|p| p["requests"].clone()).collect();
        assert_eq!((found, &points["step"]), (vec![json!(2), json!(1)], &json!(1800)), "{step}");
    }
}

#[test]
fn periods_before_the_minutes_are_answered_by_half_hours_with_what_was_used() {
    let mut service = Service::start();
    send(&service, 1, NOON - 390 * DAY + MINUTE, 1);
    send(&service, 2, NOON - 190 * DAY, 10);
    send(&service, 3, NOON, 30);
    prune(&mut service, "SELECT count(*) FROM minutes", 1);
    let check = |from: &str, to: &str, step: &str, used: [&str; 2], used_step: u32, requests: u32| {
        let range = format!("from={from}&to={to}");
        let points = service.json(&format!("/api/v1/timeseries?{range}{step}"));
        let sum: u64 =
            points["points"].as_array().unwrap().iter().filter_map(|p| p["requests"].as_u64()).sum();
        assert_eq!(
            (&points["from"], &points["to"], &points["step"], sum),
            (&json!(used[0]), &json!(used[1]), &json!(used_step), u64::from(requests)),
            "{range}{step}"
        );
        for by in ["route", "consumer", "status"] {
            let summary = service.json(&format!("/api/v1/summary?{range}&group_by={by}"));
            assert_eq!(summary["rows"][0]["requests"], requests, "{range} by {by}: {summary}");
        }
    };
    // The first range ends with minutes that are kept.
    check(
        "2025-05-26T12:07:00Z",
        "2026-06-20T12:01:00Z",
        "",
        ["2025-05-26T12:00:00Z", "2026-06-20T13:00:00Z"],
        3_600,
        30,
    );
    check(
        "2025-05-26T12:07:00Z",
        "2025-05-26T12:17:00Z",
        "&step=60",
        ["2025-05-26T12:00:00Z", "2025-05-26T12:30:00Z"],
        1_800,
        1,
    );
    // A step is rounded up, never down: 45 minutes become an hour.
    check(
        "2025-05-26T12:07:00Z",
        "2025-05-26T12:17:00Z",
        "&step=2700",
        ["2025-05-26T12:00:00Z", "2025-05-26T13:00:00Z"],
        3_600,
        1,
    );
    check(
        "2025-12-12T00:00:00Z",
        "2025-12-13T00:00:00Z",
        "&step=86400",
        ["2025-12-12T00:00:00Z", "2025-12-13T00:00:00Z"],
        86_400,
        9,
    );
}

#[test]
fn a_gateway_that_comes_back_after_all_is_not_counted_twice() {
    let mut service = Service::start();
    let rule = (vec![text("gatelens.redaction.rule", "keys:a")], 7);
    let mut frame = Frame::at(NOON).of(&vec![made("/", 200, 0.1); 5]);
    frame.resource_metrics[0].scope_metrics[0].metrics.push(sum("gatelens.redaction.hits", vec![rule], NOON));
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame).accepted();
    assert_eq!(stored(&service, "SELECT count(*) FROM redaction"), 1);
    let forget = "UPDATE gateways SET last_seen = 1000";
    rusqlite::Connection::open(service.data().join("metrics.db")).unwrap().execute_batch(forget).unwrap();
    prune(&mut service, "SELECT count(*) FROM states", 0);
    assert_eq!(stored(&service, "SELECT count(*) FROM redaction"), 0);
    assert_eq!(service.json("/api/v1/gateways")["rows"], json!([]));
    // Its counts in the meantime cannot be distinguished from earlier ones.
    send(&service, 2, NOON + MINUTE, 7);
    send(&service, 3, NOON + 2 * MINUTE, 8);
    let summary = service.json("/api/v1/summary?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z");
    assert_eq!(summary["rows"][0]["requests"], 6);
    let gateway = &service.json("/api/v1/gateways")["rows"][0];
    assert_eq!((&gateway["instance"], &gateway["redaction"]), (&json!("edge-1"), &Value::Null));
}
