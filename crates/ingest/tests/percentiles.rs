//! Percentiles: of which requests they are, and that a part of a duration is never above the whole.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, NOON, int, text};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use serde_json::{Value, json};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const ROUTES: [&str; 3] = ["/a", "/b", "/c"];

/// A request: its route, its duration, and the parts of it that were spent upstream and in the gateway, in seconds.
#[derive(Clone, Copy)]
struct Request {
    route: usize,
    total: f64,
    upstream: Option<f64>,
    gateway: Option<f64>,
}

/// Requests of all orders of magnitude, the same for the same seed. `upstream` decides which of them reach one.
fn requests(count: usize, seed: u64, upstream: impl Fn(u64) -> bool) -> Vec<Request> {
    let mut state = seed;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut request = |number| {
        let total = (next(1_000_000) + 1) as f64 / 1e6 * 10f64.powi(next(5) as i32 - 3);
        let share = next(1_001) as f64 / 1e3;
        let part = upstream(number).then_some(total * share);
        Request {
            route: next(3) as usize,
            total,
            upstream: part,
            gateway: part.map(|part| total - part).filter(|_| next(2) == 0),
        }
    };
    (0..count as u64).map(&mut request).collect()
}

fn frame(time: u64, requests: &[Request]) -> ExportMetricsServiceRequest {
    let frame = Frame::at(time);
    let metric = |name: &str, value: fn(&Request) -> Option<f64>| {
        let points = ROUTES.iter().enumerate().map(|(route, name)| {
            let seconds: Vec<f64> =
                requests.iter().filter(|request| request.route == route).filter_map(value).collect();
            let attributes = vec![
                text("http.request.method", "GET"),
                text("http.route", name),
                int("http.response.status_code", 200),
            ];
            frame.histogram(attributes, &seconds)
        });
        frame.exponential(name, points.collect())
    };
    frame.export(vec![
        metric("http.server.request.duration", |request| Some(request.total)),
        metric("gatelens.upstream.duration", |request| request.upstream),
        metric("gatelens.gateway.duration", |request| request.gateway),
    ])
}

/// Sends cumulative frames of two gateways, some of them overtaken and one lost, and hands back all rows of all answers.
fn rows(first: &[Request], second: &[Request]) -> Vec<Value> {
    let service = Service::start();
    for (instance, requests) in [("edge-1", first), ("edge-2", second)] {
        let fifth = requests.len() / 5;
        for sequence in [1, 3, 2, 5, 4] {
            let until = fifth * sequence;
            let export = frame(NOON + sequence as u64 * 20 * MINUTE, &requests[..until]);
            service.send("/v1/metrics", Some((instance, 1, sequence as u64)), &export).accepted();
        }
    }
    let questions = ["summary?", "summary?group_by=route", "timeseries?step=60", "timeseries?step=3600"];
    let all = questions.iter().flat_map(|question| {
        let answer = service.json(&format!("/api/v1/{question}&{DAY}"));
        ["rows", "points"].iter().find_map(|key| answer[key].as_array()).unwrap().clone()
    });
    all.filter(|row| row["requests"] != 0).collect()
}

fn of(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"))
}

#[test]
fn of_the_same_requests_a_part_is_never_above_the_whole() {
    for seed in 1..=5 {
        let rows = rows(&requests(1000, seed, |_| true), &requests(500, seed + 100, |_| true));
        assert_eq!(rows.len(), 9, "one, one for each route, three minutes, two hours: {rows:?}");
        for row in &rows {
            assert_eq!(row["upstream_requests"], row["requests"], "{row}");
            for (part, whole) in [("upstream_p50_ms", "p50_ms"), ("upstream_p95_ms", "p95_ms")] {
                assert!(of(row, part) <= of(row, whole), "{part}, seed {seed}: {row}");
            }
        }
    }
}

#[test]
fn upstream_percentiles_are_of_the_requests_that_reached_an_upstream() {
    // Nine of ten are answered by the gateway itself, in a millisecond.
    let all: Vec<_> = (0..1000)
        .map(|number| match number % 10 {
            0 => Request { route: 0, total: 0.2, upstream: Some(0.1), gateway: None },
            _ => Request { route: 0, total: 0.001, upstream: None, gateway: Some(0.001) },
        })
        .collect();
    let service = Service::start();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame(NOON, &all)).accepted();
    let row = &service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0];
    let counts = ["requests", "upstream_requests", "gateway_requests"].map(|key| row[key].clone());
    assert_eq!(counts, [json!(1000), json!(100), json!(900)]);
    // The upstream's median is a hundred times the total's, and both are right.
    for (key, expected) in
        [("p50_ms", 1.0), ("p95_ms", 200.0), ("upstream_p50_ms", 100.0), ("gateway_p95_ms", 1.0)]
    {
        assert!((of(row, key) / expected - 1.0).abs() <= 0.011, "{key}: {row}");
    }
    let empty = &service.json("/api/v1/summary?from=0&to=60")["rows"][0];
    assert_eq!((&empty["upstream_requests"], &empty["upstream_p95_ms"]), (&json!(0), &Value::Null));
}

#[test]
fn every_row_counts_the_requests_of_its_percentiles() {
    let first = requests(1000, 7, |number| number % 3 == 0);
    let rows = rows(&first, &[]);
    let upstream = first.iter().filter(|request| request.upstream.is_some()).count();
    let gateway = first.iter().filter(|request| request.gateway.is_some()).count();
    assert_eq!(rows[0]["upstream_requests"], upstream);
    assert_eq!(rows[0]["gateway_requests"], gateway);
    for row in &rows {
        assert!(of(row, "upstream_requests") <= of(row, "requests"), "{row}");
        assert_eq!(row["upstream_requests"] == 0, row["upstream_p95_ms"].is_null(), "{row}");
    }
}
