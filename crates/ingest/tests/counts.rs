//! Counts are exact, whatever happens on the way to the ingest.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, flag, gauge, int, made, seconds, sum, text};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, metric::Data,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const METRICS: &str = "/v1/metrics";
const EPOCH: u64 = 0x5be2_c9a1_d034_7f16;
/// All of the day.
const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// Traffic of some variety: the same for the same seed.
fn traffic(count: usize, seed: u64) -> Vec<Made> {
    let mut state = seed;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let one = |next: &mut dyn FnMut(u64) -> u64| Made {
        consumer: ["acme", "globex", "anonymous"][next(3) as usize],
        method: ["GET", "POST"][next(2) as usize],
        route: ["/users/{id}", "/orders", "__unmatched__"][next(3) as usize],
        status: [200, 201, 404, 499, 503, 0][next(6) as usize],
        seconds: (next(4_000_000) + 1) as f64 / 1e6,
    };
    (0..count).map(|_| one(&mut next)).collect()
}

fn identity(sequence: u64) -> Option<(&'static str, u64, u64)> {
    Some(("edge-1", EPOCH, sequence))
}

/// Asserts that the summary of the day is exactly what was made.
fn check(service: &Service, all: &[Made]) {
    let mut expected: BTreeMap<_, (u64, Vec<f64>)> = BTreeMap::new();
    for made in all {
        let key =
            (made.consumer.to_owned(), made.method.to_owned(), made.route.to_owned(), u64::from(made.status));
        let entry = expected.entry(key).or_default();
        entry.0 += 1;
        entry.1.push(made.seconds * 1e3);
    }
    let answer = service.json(&format!("/api/v1/summary?{DAY}&group_by=consumer,method,route,status"));
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), expected.len(), "{answer:#}");
    for row in rows {
        let word = |key: &str| row[key].as_str().unwrap().to_owned();
        let status = row["status"].as_u64().unwrap();
        let (count, mut times) =
            expected.remove(&(word("consumer"), word("method"), word("route"), status)).unwrap();
        assert_eq!(row["requests"], count, "{row}");
        assert_eq!(row["errors"], if status >= 500 || status == 0 { count } else { 0 }, "{row}");
        assert_eq!(row["request_bytes"], count * 100, "{row}");
        assert_eq!(row["response_bytes"], count * 1000, "{row}");
        times.sort_by(f64::total_cmp);
        for (key, q, share) in [
            ("p50_ms", 0.5, 1.0),
            ("p75_ms", 0.75, 1.0),
            ("p95_ms", 0.95, 1.0),
            ("p99_ms", 0.99, 1.0),
            ("upstream_p95_ms", 0.95, 0.5),
        ] {
            let exact = times[(q * times.len() as f64).ceil() as usize - 1] * share;
            let got = row[key].as_f64().unwrap();
            assert!((got / exact - 1.0).abs() <= 0.011, "{key}: {got} for {exact} in {row}");
        }
    }
}

#[test]
fn cumulative_frames_count_every_request_once() {
    let service = Service::start();
    let all = traffic(3000, 1);
    for (sequence, until) in [(1, 1), (2, 700), (3, 700), (4, 2000), (5, 3000)] {
        let frame = Frame::at(NOON + sequence * 20 * SECOND).of(&all[..until]);
        service.send(METRICS, identity(sequence), &frame).accepted();
        check(&service, &all[..until]);
    }
}

#[test]
fn repeated_late_and_lost_frames_change_nothing() {
    let mut service = Service::start();
    let all = traffic(500, 2);
    let frame = |sequence: u64| Frame::at(NOON + sequence * MINUTE).of(&all[..sequence as usize * 100]);
    // The third never arrives, the second after the fourth, and some twice.
    for (sequence, seen) in [(1, 100), (1, 100), (4, 400), (2, 400), (4, 400), (2, 400), (5, 500), (1, 500)] {
        service.send(METRICS, identity(sequence), &frame(sequence)).accepted();
        check(&service, &all[..seen]);
    }
    service.restart(|_| ());
    check(&service, &all);
    for sequence in [5, 4, 3] {
        service.send(METRICS, identity(sequence), &frame(sequence)).accepted();
        check(&service, &all);
    }
}

#[test]
fn an_identity_once_stored_holds_for_any_bytes() {
    let service = Service::start();
    let all = traffic(20, 3);
    service.send(METRICS, identity(1), &Frame::default().of(&all[..10])).accepted();
    service.send(METRICS, identity(1), &Frame::default().of(&all)).accepted();
    check(&service, &all[..10]);
}

#[test]
fn a_new_life_of_the_gateway_adds_up() {
    let mut service = Service::start();
    let all = traffic(90, 4);
    for (life, part) in all.chunks(30).enumerate() {
        let frame = Frame::at(NOON + life as u64 * MINUTE).of(part);
        service.send(METRICS, Some(("edge-1", life as u64 + 1, 1)), &frame).accepted();
        service.restart(|_| ());
    }
    check(&service, &all);
    assert_eq!(service.json("/api/v1/gateways")["rows"].as_array().unwrap().len(), 3);
}

#[test]
fn a_minute_holds_the_counts_up_to_its_end() {
    let service = Service::start();
    let all = vec![made("/", 200, 0.1); 6];
    let frames = [(NOON, 1), (NOON + 1, 3), (NOON + MINUTE, 6)];
    for ((time, until), sequence) in frames.into_iter().zip(1..) {
        service.send(METRICS, identity(sequence), &Frame::at(time).of(&all[..until])).accepted();
    }
    let answer = service.json("/api/v1/timeseries?from=2026-06-20T11:58:30Z&to=2026-06-20T12:01:10Z");
    assert_eq!(
        (&answer["from"], &answer["to"]),
        (&json!("2026-06-20T11:58:00Z"), &json!("2026-06-20T12:02:00Z"))
    );
    let points = answer["points"].as_array().unwrap();
    let found: Vec<_> =
        points.iter().map(|p| (p["time"].as_str().unwrap(), p["requests"].as_u64().unwrap())).collect();
    let expected = [
        ("2026-06-20T11:58:00Z", 0),
        ("2026-06-20T11:59:00Z", 1),
        ("2026-06-20T12:00:00Z", 5),
        ("2026-06-20T12:01:00Z", 0),
    ];
    assert_eq!(found, expected);
    assert_eq!(points[0]["p95_ms"], Value::Null);
}

#[test]
fn long_and_short_steps_agree() {
    let service = Service::start();
    let all = traffic(600, 5);
    for minute in 0..60usize {
        let frame = Frame::at(NOON + (minute as u64 + 1) * MINUTE).of(&all[..(minute + 1) * 10]);
        service.send(METRICS, identity(minute as u64 + 1), &frame).accepted();
    }
    check(&service, &all);
    for (step, from, to, expected) in [
        (60, "11:59:00", "13:00:00", vec![0].into_iter().chain(vec![10; 60]).collect::<Vec<_>>()),
        (600, "12:00:00", "13:00:00", vec![100; 6]),
        (1800, "12:00:00", "13:00:00", vec![300; 2]),
        (3600, "12:00:00", "13:00:00", vec![600]),
    ] {
        let range = format!("from=2026-06-20T{from}Z&to=2026-06-20T{to}Z");
        let answer = service.json(&format!("/api/v1/timeseries?{range}&step={step}"));
        let points = answer["points"].as_array().unwrap();
        let found: Vec<_> = points.iter().map(|point| point["requests"].as_u64().unwrap()).collect();
        assert_eq!(found, expected, "step {step}");
    }
    let ranges =
        [("12:00", "12:30", 300), ("12:29", "12:31", 20), ("12:10", "12:50", 400), ("11:50", "13:10", 600)];
    for (from, to, expected) in ranges {
        let answer =
            service.json(&format!("/api/v1/summary?from=2026-06-20T{from}:00Z&to=2026-06-20T{to}:00Z"));
        assert_eq!(answer["rows"][0]["requests"], expected, "{from} to {to}");
    }
}

#[test]
fn other_senders_count_too() {
    let service = Service::start();
    let all = traffic(40, 6);
    let two_hosts = |until: usize, start| {
        ["a", "b"].map(|host| {
            let extra = vec![text("server.address", host)];
            Frame { extra, start, ..Frame::default() }.of(&all[..until])
        })
    };
    // Two streams that differ by an attribute of no interest to us add up.
    for until in [10, 20, 20] {
        for frame in two_hosts(until, NOON - MINUTE) {
            service.send(METRICS, None, &frame).accepted();
        }
    }
    // A start of its own is a stream of its own.
    for frame in two_hosts(10, NOON) {
        service.send(METRICS, None, &frame).accepted();
    }
    let twice = |until: usize| [&all[..until], &all[..until]].concat();
    check(&service, &[twice(20), twice(10)].concat());
}

#[test]
fn deltas_are_added() {
    let service = Service::start();
    let all = traffic(60, 7);
    for part in all.chunks(20) {
        let frame = Frame { temporality: AggregationTemporality::Delta, scale: 7, ..Frame::default() };
        service.send(METRICS, None, &frame.of(part)).accepted();
    }
    check(&service, &all);
}

#[test]
fn histograms_with_explicit_bounds_are_read() {
    let service = Service::start();
    let frame = Frame::default();
    let point = HistogramDataPoint {
        attributes: vec![int("http.response.status_code", 200)],
        time_unix_nano: NOON,
        count: 10,
        sum: Some(2.0),
        bucket_counts: vec![0, 9, 1],
        explicit_bounds: vec![0.1, 0.4],
        ..Default::default()
    };
    let export = frame.export(vec![frame.explicit("http.server.request.duration", vec![point])]);
    service.send(METRICS, None, &export).accepted();
    let row = &service.json(&format!("/api/v1/summary?{DAY}&group_by=consumer,method,route"))["rows"][0];
    let labels = ["consumer", "method", "route"].map(|key| row[key].as_str().unwrap());
    assert_eq!(labels, ["anonymous", "_OTHER", "__unmatched__"]);
    assert_eq!(row["requests"], 10);
    let p50 = row["p50_ms"].as_f64().unwrap();
    assert!((p50 / 200.0 - 1.0).abs() < 0.011, "{p50}");
}

#[test]
fn requests_beyond_the_senders_cap_are_shown() {
    let service = Service::start();
    let frame = Frame::default();
    let point =
        frame.histogram(vec![flag("otel.metric.overflow"), int("http.response.status_code", 200)], &[0.1; 7]);
    let export = frame.export(vec![frame.exponential("http.server.request.duration", vec![point])]);
    service.send(METRICS, identity(1), &export).accepted();
    let answer = service.json(&format!("/api/v1/summary?{DAY}&group_by=consumer,method,route,status"));
    let row = &answer["rows"][0];
    let labels = ["consumer", "method", "route"].map(|key| row[key].as_str().unwrap());
    assert_eq!(labels, ["__overflow__"; 3]);
    assert_eq!((&row["requests"], &row["errors"]), (&json!(7), &json!(0)));
    assert_eq!(service.json("/api/v1/gateways")["rows"][0]["overflow"], 7);
}

#[test]
fn series_beyond_the_stores_bound_are_rejected_in_the_answer() {
    let service = Service::with(gatelens_ingest::Limits { series: 2, ..Default::default() });
    let all = [made("/a", 200, 0.1), made("/b", 200, 0.1), made("/c", 200, 0.1)];
    let answer = service.send(METRICS, identity(1), &Frame::default().of(&all));
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("its maximum of series"), "{}", answer.text());
    check(&service, &all[..2]);
}

#[test]
fn gateways_are_listed_with_their_gaps() {
    let mut service = Service::start();
    for sequence in [1, 2, 6, 4] {
        service.send(METRICS, identity(sequence), &Frame::default().of(&[made("/", 200, 0.1)])).accepted();
    }
    service.restart(|_| ());
    let answer = service.json("/api/v1/gateways");
    let row = &answer["rows"][0];
    let expected = json!({
        "instance": "edge-1", "epoch": "5be2c9a1d0347f16", "service": "orders", "environment": "prod",
        "version": "0.1.0", "config_hash": "0123456789abcdef", "series": 1, "overflow": 0,
        "gaps": {"metrics": 2, "logs": 0},
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&row[key], value, "{key}");
    }
    assert!(row["first_seen"].as_str().unwrap() <= row["last_seen"].as_str().unwrap());
}

#[test]
fn the_fates_of_a_gateways_log_are_shown() {
    let service = Service::start();
    let reason = |name| text("gatelens.not_logged.reason", name);
    let frame = |time: u64, captured: i64, more: Vec<Metric>| {
        let frame = Frame { resource: vec![text("gatelens.tags.team", "checkout")], ..Frame::at(time) };
        let fates = ["sent", "queue_full", "rejected", "expired", "lost", "unheard_of"];
        let fates = fates.iter().zip(1..).map(|(fate, n)| (vec![text("gatelens.event.fate", fate)], n));
        let metrics = vec![
            sum("gatelens.events.captured", vec![(vec![], captured)], time),
            sum("gatelens.events", fates.collect(), time),
            gauge("gatelens.queue.size", 4096, time),
            sum("gatelens.export.failures", vec![(vec![], 7)], time),
            gauge("gatelens.workers", 3, time),
            sum("gatelens.workers.lost", vec![(vec![], 1)], time),
            sum("gatelens.requests.uncounted", vec![(vec![], 2)], time),
            sum(
                "gatelens.requests.not_logged",
                vec![
                    (vec![reason("excluded")], 8),
                    (vec![reason("sampled_out")], 9),
                    (vec![reason("other")], 99),
                ],
                time,
            ),
            sum("gatelens.requests.excluded_from_counters", vec![(vec![], 6)], time),
            sum("http.server.active_requests", vec![(vec![], 5)], time),
            seconds("gatelens.busy_time", 1.25, time),
        ];
        frame.export(metrics.into_iter().chain(more).collect())
    };
    service.send(METRICS, identity(1), &frame(NOON, 20, vec![])).accepted();
    // Late: a newer report is known.
    service.send(METRICS, identity(2), &frame(NOON - SECOND, 1, vec![])).accepted();
    let row = &service.json("/api/v1/gateways")["rows"][0];
    for (key, value) in [
        ("captured", json!(20)),
        ("sent", json!(1)),
        ("dropped", json!({"queue_full": 2, "rejected": 3, "expired": 4, "lost": 5})),
        ("held", json!(5)),
        ("queue_bytes", json!(4096)),
        ("export_failures", json!(7)),
        ("workers", json!(3)),
        ("workers_lost", json!(1)),
        ("uncounted", json!(2)),
        ("not_logged", json!({"excluded": 8, "sampled_out": 9})),
        ("excluded_from_counters", json!(6)),
        ("active_requests", json!(5)),
        ("busy_seconds", json!(1.25)),
        ("tags", json!({"team": "checkout"})),
    ] {
        assert_eq!(row[key], value, "{key} in {row}");
    }
    // A gateway without such a report still has every reason.
    service.send(METRICS, Some(("edge-2", 1, 1)), &Frame::at(NOON).of(&[made("/", 200, 0.1)])).accepted();
    let answer = service.json("/api/v1/gateways");
    let silent = answer["rows"].as_array().unwrap().iter().find(|row| row["instance"] == "edge-2").unwrap();
    assert_eq!((&silent["captured"], &silent["held"]), (&Value::Null, &Value::Null));
    assert_eq!(silent["uncounted"], 0);
    assert_eq!(silent["not_logged"], json!({"excluded": 0, "sampled_out": 0}));
    assert_eq!(silent["excluded_from_counters"], 0);
    assert_eq!(silent["dropped"], json!({"queue_full": 0, "rejected": 0, "expired": 0, "lost": 0}));
}

#[test]
fn coarse_intervals_are_marked() {
    let service = Service::start();
    let send = |instance, time, interval| {
        let mut export = Frame::at(time).of(&[made("/", 200, 0.1)]);
        let metrics = &mut export.resource_metrics[0].scope_metrics[0].metrics;
        metrics.push(seconds("gatelens.interval", interval, time));
        service.send(METRICS, Some((instance, EPOCH, 1)), &export).accepted();
    };
    send("edge-1", NOON, 600.0);
    send("edge-2", NOON - 5 * MINUTE, 600.0);
    send("edge-3", NOON + 60 * MINUTE, 120.0);
    send("edge-4", NOON + 90 * MINUTE, 60.0);
    let check = |from: &str, to: &str, expected: &[(&str, &str)]| {
        let range = format!("from=2026-06-20T{from}:00Z&to=2026-06-20T{to}:00Z&step=300");
        let expected: Vec<Value> = expected
            .iter()
            .map(|(from, to)| json!({"from": format!("2026-06-20T{from}:00Z"), "to": format!("2026-06-20T{to}:00Z")}))
            .collect();
        let answer = service.json(&format!("/api/v1/timeseries?{range}"));
        assert_eq!(answer["coarse"], Value::from(expected), "{range}");
    };
    check("11:00", "14:00", &[("11:45", "12:00"), ("12:58", "13:00")]);
    check("11:50", "11:55", &[("11:45", "12:00")]);
    check("12:00", "12:55", &[]);
    check("13:00", "14:00", &[]);
    let range = "from=2026-06-20T11:00:00Z&to=2026-06-20T14:00:00Z";
    assert_eq!(service.json(&format!("/api/v1/timeseries?{range}&service=other"))["coarse"], json!([]));
    assert_eq!(service.json(&format!("/api/v1/summary?{range}"))["rows"][0]["requests"], 4);
}

#[test]
fn a_series_beyond_one_cap_keeps_its_other_labels() {
    let service = Service::start();
    let frame = Frame::default();
    let point = |more: &[(&str, &str)], count| {
        let mut attributes = vec![flag("otel.metric.overflow"), int("http.response.status_code", 200)];
        attributes.extend(more.iter().map(|(key, value)| text(key, value)));
        frame.histogram(attributes, &vec![0.1; count])
    };
    let (consumer, method, route) =
        (("gatelens.consumer.id", "acme"), ("http.request.method", "GET"), ("http.route", "/a"));
    let points = vec![point(&[method, route], 1), point(&[consumer, method], 2), point(&[], 4)];
    let export = frame.export(vec![frame.exponential("http.server.request.duration", points)]);
    service.send(METRICS, identity(1), &export).accepted();
    let answer = service.json(&format!("/api/v1/summary?{DAY}&group_by=consumer,method,route"));
    let found: Vec<_> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                ["consumer", "method", "route"].map(|key| row[key].as_str().unwrap()),
                row["requests"].as_u64().unwrap(),
            )
        })
        .collect();
    let over = "__overflow__";
    assert_eq!(found, [([over, over, over], 4), (["acme", "GET", over], 2), ([over, "GET", "/a"], 1)]);
    assert_eq!(service.json("/api/v1/gateways")["rows"][0]["overflow"], 7);
}

/// A sum that began with the histograms of a [`Frame`], as all metrics of a stream do.
fn begun(mut metric: Metric) -> Metric {
    if let Some(Data::Sum(sum)) = &mut metric.data {
        sum.data_points.iter_mut().for_each(|point| point.start_time_unix_nano = Frame::default().start);
    }
    metric
}

/// The rows of a summary by the values of the dimensions, with requests, errors and attempts.
fn rows(service: &Service, by: &str, filter: &str) -> Vec<Value> {
    let answer = service.json(&format!("/api/v1/summary?{DAY}&group_by={by}{filter}"));
    let mut rows: Vec<Value> = answer["rows"].as_array().unwrap().clone();
    for row in &mut rows {
        let kept =
            |key: &String| by.split(',').chain(["requests", "errors", "attempts"]).any(|name| name == key);
        row.as_object_mut().unwrap().retain(|key, _| kept(key));
    }
    rows
}

#[test]
fn hosts_clusters_versions_calls_and_attempts_are_counted() {
    let service = Service::start();
    let frame = |host: &str,
                 grpc: &str,
                 count: usize,
                 resource: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>| {
        let extra = vec![
            text("server.address", host),
            text("gatelens.upstream.cluster", "users"),
            text("rpc.response.status_code", grpc),
        ];
        let frame = Frame { extra: extra.clone(), resource, ..Frame::at(NOON) };
        let mut export = frame.of(&vec![made("/a", 200, 0.1); count]);
        let mut attributes = vec![
            text("gatelens.consumer.id", "acme"),
            text("http.request.method", "GET"),
            text("http.route", "/a"),
            int("http.response.status_code", 200),
        ];
        attributes.extend(extra);
        let attempts = begun(sum("gatelens.upstream.attempts", vec![(attributes, 3 * count as i64)], NOON));
        export.resource_metrics[0].scope_metrics[0].metrics.push(attempts);
        export
    };
    let version = |version: &str| vec![text("service.version", version)];
    service.send(METRICS, identity(1), &frame("a.example", "OK", 4, version("1.0"))).accepted();
    service.send(METRICS, identity(2), &frame("a.example", "UNAVAILABLE", 2, version("1.1"))).accepted();
    let mut calls = frame("b.example", "OK", 1, version("1.1"));
    let resource = &mut calls.resource_metrics[0].resource.as_mut().unwrap().attributes;
    resource.retain(|attribute| attribute.key != "gatelens.direction");
    resource.push(text("gatelens.direction", "outbound"));
    service.send(METRICS, Some(("edge-2", EPOCH, 1)), &calls).accepted();

    assert_eq!(
        rows(&service, "host,upstream_cluster,version,grpc_status", ""),
        [
            json!({"host": "a.example", "upstream_cluster": "users", "version": "1.0", "grpc_status": 0,
                   "requests": 4, "errors": 0, "attempts": 12}),
            json!({"host": "a.example", "upstream_cluster": "users", "version": "1.1", "grpc_status": 14,
                   "requests": 2, "errors": 2, "attempts": 6}),
        ]
    );
    let total = |filter: &str| rows(&service, "direction", filter);
    let of = |direction: &str, requests: u64, errors: u64| json!({"direction": direction, "requests": requests, "errors": errors, "attempts": 3 * requests});
    assert_eq!(total(""), [of("inbound", 6, 2)], "inbound unless another direction is asked for");
    assert_eq!(total("&direction=outbound"), [of("outbound", 1, 0)]);
    assert_eq!(total("&direction=inbound,outbound"), [of("inbound", 6, 2), of("outbound", 1, 0)]);
    assert_eq!(total("&version=1.1"), [of("inbound", 2, 2)]);
    assert_eq!(total("&grpc_status=!UNAVAILABLE"), [of("inbound", 4, 0)]);
    assert_eq!(total("&errors=true"), [of("inbound", 2, 2)]);
    assert_eq!(total("&host=b.example"), [] as [Value; 0]);
    assert_eq!(total("&host=!b.example&direction=outbound"), [] as [Value; 0]);
}

/// A gateway that keeps running across an update of the ingest: only counts after the update are new.
#[test]
fn attempts_of_a_state_that_did_not_know_them_are_not_counted_again() {
    let mut service = Service::start();
    let send = |service: &Service, sequence: u64, count: usize| {
        let frame = Frame::at(NOON + sequence * MINUTE);
        let mut export = frame.of(&vec![made("/a", 200, 0.1); count]);
        let attributes = vec![
            text("gatelens.consumer.id", "acme"),
            text("http.request.method", "GET"),
            text("http.route", "/a"),
            int("http.response.status_code", 200),
        ];
        let attempts = begun(sum("gatelens.upstream.attempts", vec![(attributes, count as i64)], frame.time));
        export.resource_metrics[0].scope_metrics[0].metrics.push(attempts);
        service.send(METRICS, identity(sequence), &export).accepted();
    };
    send(&service, 1, 10);
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        file.execute_batch("UPDATE states SET attempts = NULL, checksum = NULL;
             UPDATE minutes SET attempts = 0, checksum = NULL; UPDATE half_hours SET attempts = 0, checksum = NULL")
            .unwrap();
    });
    send(&service, 2, 11);
    send(&service, 3, 15);
    assert_eq!(
        rows(&service, "route", ""),
        [json!({"route": "/a", "requests": 15, "errors": 0, "attempts": 4})]
    );
}
