//! Counts beside those of the stretch before.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, NOON, made};
use serde_json::{Value, json};

/// A cumulative counter's three reports: `/a` at 10:00, 11:00 and 12:00, `/old` only at 11:00, `/new` only at 12:00.
fn served() -> Service {
    let service = Service::start();
    let mut all = Vec::new();
    for (sequence, (time, routes)) in [
        (NOON - 120 * MINUTE, &["/a"][..]),
        (NOON - 60 * MINUTE, &["/a", "/a", "/old"]),
        (NOON, &["/a", "/new"]),
    ]
    .into_iter()
    .enumerate()
    {
        all.extend(routes.iter().map(|route| made(route, if *route == "/new" { 503 } else { 200 }, 0.1)));
        service
            .send("/v1/metrics", Some(("edge-1", 1, sequence as u64 + 1)), &Frame::at(time).of(&all))
            .accepted();
    }
    service
}

/// Requests, errors and the median of a row, and of its `before`.
fn pair(row: &Value) -> Value {
    let figures = |row: &Value| json!([row["requests"], row["errors"], row["p50_ms"].is_number()]);
    json!([figures(row), figures(&row["before"])])
}

const HOUR: &str = "from=2026-06-20T11:30:00Z&to=2026-06-20T12:30:00Z";

#[test]
fn rows_of_either_side_stand_beside_each_other() {
    let service = served();
    let check = |query: &str, columns: &[&str], expected: Value| {
        let answer = service.json(&format!("/api/v1/summary?{HOUR}&{query}"));
        let of = |row: &Value| {
            let keys: Vec<Value> = columns.iter().map(|column| row[column].clone()).collect();
            json!([keys, pair(row)])
        };
        let rows: Vec<Value> = answer["rows"].as_array().unwrap().iter().map(of).collect();
        assert_eq!(Value::from(rows), expected, "{query}");
        answer
    };
    let all = json!([[[], [[2, 1, true], [3, 0, true]]]]);
    let answer = check("compare=previous", &[], all.clone());
    let stretch = json!({"from": "2026-06-20T10:30:00Z", "to": "2026-06-20T11:30:00Z"});
    assert_eq!(answer["compared_with"], stretch);
    check("compare=2026-06-20T10:30:00Z", &[], all);
    check("compare=day", &[], json!([[[], [[2, 1, true], [0, 0, false]]]]));
    check("compare=week&route=/none", &[], json!([[[], [[0, 0, false], [0, 0, false]]]]));
    let by_route = json!([
        [["/a"], [[1, 0, true], [2, 0, true]]],
        [["/new"], [[1, 1, true], [0, 0, false]]],
        [["/old"], [[0, 0, false], [1, 0, true]]],
    ]);
    let answer = check("compare=previous&group_by=route", &["route"], by_route.clone());
    assert_eq!(answer["rows"][2]["before"]["route"], "/old");
    check("compare=previous&group_by=route&gateway=edge-1", &["route"], by_route);
    // Pages have the rows of the whole.
    let page = format!("/api/v1/summary?{HOUR}&compare=previous&group_by=route,gateway&limit=2");
    let first = service.json(&page);
    let next = service.json(&format!("{page}&cursor={}", first["next"].as_str().unwrap()));
    assert_eq!(first["rows"][1]["route"], "/new");
    assert_eq!(
        (&next["rows"][0]["route"], pair(&next["rows"][0])),
        (&json!("/old"), json!([[0, 0, false], [1, 0, true]]))
    );
    assert_eq!(next["next"], Value::Null);
    let plain = service.json(&format!("/api/v1/summary?{HOUR}&group_by=route"));
    assert_eq!(plain["rows"].as_array().unwrap().len(), 2);
    assert!(plain["rows"][0].get("before").is_none() && plain.get("compared_with").is_none(), "{plain}");
}

#[test]
fn points_stand_beside_those_at_the_same_distance_from_the_start() {
    let service = served();
    let check = |query: &str, expected: Value| {
        let answer = service.json(&format!("/api/v1/timeseries?{query}"));
        let points = answer["points"].as_array().unwrap().iter();
        let found: Vec<Value> = points
            .map(|row| json!([row["time"], row["before"]["time"], row["route"], pair(row)]))
            .filter(|row| row[3] != json!([[0, 0, false], [0, 0, false]]))
            .collect();
        assert_eq!(Value::from(found), expected, "{query}");
    };
    let (now, before) = ("2026-06-20T11:59:00Z", "2026-06-20T10:59:00Z");
    check(&format!("{HOUR}&compare=previous"), json!([[now, before, null, [[2, 1, true], [3, 0, true]]]]));
    let by_route = json!([
        [now, before, "/a", [[1, 0, true], [2, 0, true]]],
        [now, before, "/old", [[0, 0, false], [1, 0, true]]],
        [now, before, "/new", [[1, 1, true], [0, 0, false]]],
    ]);
    check(&format!("{HOUR}&compare=previous&group_by=route"), by_route);
    // Half hours begin at half hours, also those of a stretch that does not.
    let hours = "from=2026-06-20T11:00:00Z&to=2026-06-20T13:00:00Z&step=3600&compare=2026-06-20T10:10:00Z";
    check(
        hours,
        json!([
            ["2026-06-20T11:00:00Z", "2026-06-20T10:00:00Z", null, [[2, 1, true], [3, 0, true]]],
            ["2026-06-20T12:00:00Z", "2026-06-20T11:00:00Z", null, [[0, 0, false], [2, 1, true]]]
        ]),
    );
}

#[test]
fn wrong_comparisons_are_refused() {
    let service = served();
    for (path, field, words) in [
        ("summary?compare=yesterday", "compare", "previous, day, week"),
        ("timeseries?compare=yesterday", "compare", "previous, day, week"),
        ("summary?group_by=route&compare=month", "compare", "previous, day, week"),
        ("summary?compare=day&compare=week", "compare", "more than once"),
        ("requests?compare=day", "compare", "there is no parameter"),
    ] {
        let answer = service.get(&format!("/api/v1/{path}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &json!(field)), "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(words), "{path}: {body}");
    }
}

#[test]
fn rows_come_in_the_order_that_is_asked_for() {
    let service = served();
    let routes = |query: &str| -> Vec<String> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = service
                .json(&format!("/api/v1/summary?{HOUR}&group_by=route&limit=1&{query}&cursor={cursor}"));
            let rows = answer["rows"].as_array().unwrap();
            found.extend(rows.iter().map(|row| row["route"].as_str().unwrap().to_owned()));
            assert!(
                rows.iter().all(|row| row.get("estimated").is_none()),
                "our gateways count exactly: {answer}"
            );
            let Some(next) = answer["next"].as_str() else { return found };
            cursor = next.to_owned();
        }
    };
    assert_eq!(routes("compare=previous"), ["/a", "/new", "/old"]);
    assert_eq!(routes("compare=previous&sort=requests"), ["/a", "/new", "/old"]);
    assert_eq!(routes("compare=previous&sort=change"), ["/new", "/a", "/old"]);
    assert_eq!(routes("sort=errors"), ["/new", "/a"]);
    for (query, message) in
        [("sort=change", "add compare"), ("sort=route", "expected one of requests, errors")]
    {
        let answer = service.get(&format!("/api/v1/summary?{HOUR}&group_by=route&{query}"));
        assert!(answer.status == 400 && answer.text().contains(message), "{query}: {}", answer.text());
    }
    assert_eq!(service.get(&format!("/api/v1/timeseries?{HOUR}&sort=errors")).status, 400);
}

#[test]
fn what_got_slower_comes_before_what_did_not() {
    let service = Service::start();
    let mut all = Vec::new();
    for (sequence, slow, time) in [(1, 0.1, NOON - 60 * MINUTE), (2, 0.9, NOON)] {
        all.extend(std::iter::repeat_n(made("/same", 200, 0.5), 60));
        all.extend(std::iter::repeat_n(made("/slower", 200, slow), 30));
        // Too few to be sure.
        all.extend(std::iter::repeat_n(made("/few", 200, slow), 5));
        let frame = Frame::at(time).of(&all);
        service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &frame).accepted();
    }
    let routes = |query: &str| -> Vec<Value> {
        let answer = service.json(&format!("/api/v1/summary?{HOUR}&group_by=route&compare=previous&{query}"));
        answer["rows"].as_array().unwrap().iter().map(|row| row["route"].clone()).collect()
    };
    assert_eq!(routes("sort=change"), ["/slower", "/same", "/few"]);
    assert_eq!(routes("sort=p95"), ["/slower", "/few", "/same"]);
}
