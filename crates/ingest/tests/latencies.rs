//! The distribution of durations over time.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, NOON, log, made};
use serde_json::{Value, json};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn sum(column: &Value) -> f64 {
    numbers(&column["counts"]).iter().sum()
}

/// Requests of many durations over three hours, counted and logged.
fn served() -> Service {
    let service = Service::start();
    let requests: Vec<_> = (0..180u64)
        .map(|minute| {
            let seconds = 0.001 * 1.07f64.powi((minute % 120) as i32);
            let status = if minute % 9 == 0 { 503 } else { 200 };
            (NOON - MINUTE * (180 - minute), made(if minute % 2 == 0 { "/a" } else { "/b" }, status, seconds))
        })
        .collect();
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &log(&requests)).accepted();
    let mut so_far = Vec::new();
    for (sequence, (time, request)) in requests.into_iter().enumerate() {
        so_far.push(request);
        // The report of a minute comes at its end.
        let frame = Frame::at(time + MINUTE).of(&so_far);
        service.send("/v1/metrics", Some(("edge-1", 1, sequence as u64 + 1)), &frame).accepted();
    }
    service
}

/// A click on a cell opens exactly the requests that it counts.
#[test]
fn each_cell_counts_the_requests_between_its_bounds() {
    let service = served();
    let range = "from=2026-06-20T09:00:00Z&to=2026-06-20T12:00:00Z";
    for filter in ["", "&route=/a", "&errors=true", "&gateway=edge-1"] {
        let answer = service.json(&format!("/api/v1/latencies?{range}&step=3600{filter}"));
        let bounds = numbers(&answer["bounds_ms"]);
        assert!(bounds.len() > 20 && bounds.len() <= 61 && bounds.is_sorted(), "{bounds:?}");
        let columns = answer["columns"].as_array().unwrap();
        assert_eq!((columns.len(), &answer["step"]), (3, &json!(3600)));
        let mut found = 0;
        for (number, column) in columns.iter().enumerate() {
            for (row, count) in numbers(&column["counts"]).into_iter().enumerate() {
                if (row + number) % 5 != 0 {
                    continue;
                }
                let (min, max) = (bounds[row] + 1e-6, bounds[row + 1]);
                let hour = 9 + number;
                let cell = format!(
                    "from=2026-06-20T{hour:02}:00:00Z&to=2026-06-20T{:02}:00:00Z&min_duration_ms={min:.6}&max_duration_ms={max:.6}",
                    hour + 1
                );
                let rows = service.json(&format!("/api/v1/requests?{cell}{filter}"));
                assert_eq!(rows["rows"].as_array().unwrap().len() as f64, count, "{cell}{filter}");
                found += count as u64;
            }
        }
        assert!(found > 0, "{filter}");
        let total = service.json(&format!("/api/v1/summary?{range}{filter}"));
        let all: f64 = columns.iter().map(sum).sum();
        assert_eq!(Some(all), total["rows"][0]["requests"].as_f64(), "{filter}");
    }
}

#[test]
fn columns_have_the_sums_of_time() {
    let service = served();
    let answer = service.json("/api/v1/latencies?from=2026-06-20T09:00:00Z&to=2026-06-20T12:00:00Z");
    assert_eq!((&answer["step"], answer["columns"].as_array().unwrap().len()), (&json!(60), 180));
    let column = &answer["columns"][10];
    let expected = 1.07f64.powi(10);
    let duration = column["duration_ms"].as_f64().unwrap();
    assert!((duration / expected - 1.0).abs() < 1e-5, "{column}");
    assert_eq!(
        (&column["requests"], sum(column), &column["time"]),
        (&json!(1), 1.0, &json!("2026-06-20T09:10:00Z"))
    );
    let part = column["upstream_ms"].as_f64().unwrap() + column["gateway_ms"].as_f64().unwrap();
    assert!(part > 0.0 && part <= duration * 1.000_001, "{column}");
    // Without requests every step has a column as well.
    let empty = service.json("/api/v1/latencies?from=2026-06-19T09:00:00Z&to=2026-06-19T09:05:00Z");
    assert_eq!((&empty["bounds_ms"], empty["columns"].as_array().unwrap().len()), (&json!([]), 5));
}

#[test]
fn a_long_range_has_few_columns_and_a_step_that_is_too_short_is_refused() {
    let service = served();
    let answer = service.json("/api/v1/latencies?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z");
    assert_eq!((&answer["step"], answer["columns"].as_array().unwrap().len()), (&json!(1800), 48));
    assert_eq!(answer["columns"].as_array().unwrap().iter().map(sum).sum::<f64>(), 180.0);
    for (query, words) in [
        ("from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&step=60", "more than 300 columns"),
        ("step=90", "multiple of 60"),
        ("group_by=route", "there is no parameter"),
    ] {
        let refused = service.get(&format!("/api/v1/latencies?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text().contains(words), "{}", refused.text());
    }
}
