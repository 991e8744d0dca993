//! Several destinations: each gets what it asks for, exactly, however the others do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::time::Duration;

use gatelens_core::counters::Series;
use gatelens_core::host::CalloutAnswer;
use gatelens_testkit::fake::{FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{Exported, counts, log_records, numbers, points, records, spans};
use gatelens_testkit::worker::{Body, Worker};

const START: u64 = 1_700_000_000_000_000_000;

const TWO: &str = r#"{"version": 1, "ingest": {"cluster": "a"}, "destinations": [{"cluster": "b"}]}"#;

/// Answers all that is sent, until nothing more comes, and returns the requests that were accepted, by cluster.
fn settle(worker: &Worker, accepted: &mut Accepted, status: impl Fn(&Sent) -> Option<u16>) {
    loop {
        let sent = worker.host.take_sent();
        if sent.is_empty() {
            return;
        }
        for request in sent {
            let status = status(&request);
            worker.host.answer_with(CalloutAnswer { status, ..CalloutAnswer::default() });
            let _ = worker.plugin.answered(&worker.host, request.id);
            if status == Some(200) {
                accepted.0.push(request);
            }
        }
    }
}

#[derive(Default)]
struct Accepted(Vec<Sent>);

impl Accepted {
    fn by(&self, cluster: &str) -> Vec<Sent> {
        self.0.iter().filter(|sent| sent.cluster == cluster).cloned().collect()
    }

    fn requests_counted_by(&self, cluster: &str) -> u64 {
        counts(&self.by(cluster)).values().sum()
    }
}

/// One second, a tick, and answers.
fn second(worker: &Worker, accepted: &mut Accepted, status: impl Fn(&Sent) -> Option<u16>) {
    worker.gateway.wait(Duration::from_secs(1));
    worker.plugin.tick(&worker.host);
    settle(worker, accepted, status);
}

fn only(down: &'static str) -> impl Fn(&Sent) -> Option<u16> + Copy {
    move |sent| Some(if sent.cluster == down { 503 } else { 200 })
}

const ALL_UP: fn(&Sent) -> Option<u16> = |_| Some(200);

#[test]
fn each_destination_gets_the_signals_that_it_asks_for() {
    let worker = Worker::start(
        &FakeGateway::starting_at(START),
        r#"{"version": 1, "ingest": {"cluster": "a", "requests_as": "none"},
            "destinations": [
                {"cluster": "b", "metrics": false, "path_prefix": "/otlp", "headers": {"api-key": "of b"}},
                {"cluster": "c", "metrics": false, "requests_as": "spans", "authority": "tempo"},
                {"cluster": "d", "compression": "none", "requests_as": "both"}]}"#,
    );
    let mut accepted = Accepted::default();
    for _ in 0..30 {
        worker.finish(FakeStream::new("GET", "/users/7", 200));
        second(&worker, &mut accepted, ALL_UP);
    }
    let paths = |cluster: &str| {
        let mut paths: Vec<_> =
            accepted.by(cluster).iter().map(|sent| sent.header(":path").to_owned()).collect();
        paths.sort();
        paths.dedup();
        paths
    };
    assert_eq!(paths("a"), ["/v1/metrics"]);
    assert_eq!(paths("b"), ["/otlp/v1/logs"]);
    assert_eq!(paths("c"), ["/v1/traces"]);
    assert_eq!(paths("d"), ["/v1/logs", "/v1/metrics", "/v1/traces"]);
    for cluster in ["a", "b", "c", "d"] {
        for path in paths(cluster) {
            let of_path: Vec<Sent> =
                accepted.by(cluster).into_iter().filter(|sent| sent.header(":path") == path).collect();
            let numbers =
                of_path.iter().map(|sent| sent.header("x-gatelens-sequence").parse::<u64>().unwrap());
            assert!(numbers.eq(1..=of_path.len() as u64), "{cluster}{path}");
        }
    }
    let headers = |cluster: &str, name: &str| accepted.by(cluster)[0].header(name).to_owned();
    assert_eq!((headers("b", "api-key"), headers("c", "api-key")), ("of b".into(), String::new()));
    assert_eq!((headers("b", ":authority"), headers("c", ":authority")), ("b".into(), "tempo".into()));
    assert_eq!((accepted.requests_counted_by("a"), accepted.requests_counted_by("d")), (30, 30));
    let logged = |cluster: &str| log_records(&accepted.by(cluster)).len();
    let traced = |cluster: &str| spans(&accepted.by(cluster)).len();
    assert!(logged("b") >= 28 && logged("b") == logged("d"), "{} {}", logged("b"), logged("d"));
    assert!(traced("c") >= 28 && traced("c") == traced("d"), "{} {}", traced("c"), traced("d"));
    // The span that stands alone is a request; the one beside a record is known as such.
    let in_log = |cluster: &str| {
        let spans = spans(&accepted.by(cluster));
        spans.iter().filter(|span| span.attributes.iter().any(|own| own.key == "gatelens.in_log")).count()
    };
    assert_eq!((in_log("c"), in_log("d")), (0, traced("d")));
    // Each destination's own events, and in addition those of all.
    assert_eq!(numbers(&accepted.by("a"))["gatelens.events.captured"], 0.0);
    assert_eq!(numbers(&accepted.by("d"))["gatelens.events.captured"], 30.0);
    let captured = points(&accepted.by("a"), "gatelens.delivery.events.captured");
    let names: Vec<&str> = captured.keys().map(String::as_str).collect();
    assert_eq!(names, ["b/otlp logs", "c traces", "d logs", "d traces"]);
}

#[test]
fn a_dead_destination_holds_up_no_other_and_has_exact_counts_when_it_is_back() {
    let worker = Worker::start(&FakeGateway::starting_at(START), TWO);
    let mut accepted = Accepted::default();
    for second_of in 0..900u64 {
        worker.finish(FakeStream::new("GET", "/users/7", 200));
        let before = accepted.0.len();
        second(&worker, &mut accepted, only("b"));
        // What was counted up to the tick before is there.
        let newest: u64 = counts(&accepted.0[before..]).values().sum();
        assert!(newest >= second_of, "second {second_of}: {newest}");
    }
    assert_eq!(accepted.by("b").len(), 0);
    let logged = log_records(&accepted.by("a")).len();
    assert!(logged >= 898, "{logged}");
    let fates = points(&accepted.by("a"), "gatelens.delivery.events");
    assert!(fates["a sent logs"] >= 897 && fates["b sent logs"] == 0, "{fates:?}");
    // Batches are dropped after five minutes, so about ten minutes of events are.
    assert!((500..=620).contains(&fates["b expired logs"]), "{fates:?}");
    assert_eq!(points(&accepted.by("a"), "gatelens.events")["expired"], 0, "its own events");
    let failures = points(&accepted.by("a"), "gatelens.delivery.failures");
    assert!(failures["a"] == 0 && failures["b"] > 40, "{failures:?}");
    for _ in 0..90 {
        second(&worker, &mut accepted, ALL_UP);
    }
    assert_eq!((accepted.requests_counted_by("a"), accepted.requests_counted_by("b")), (900, 900));
    // The minutes of the outage arrive one by one: fifteen, and the rest.
    let metrics = accepted.by("b").iter().filter(|sent| sent.path().ends_with("/v1/metrics")).count();
    assert!(metrics >= 16, "{metrics}");
    let fates = points(&accepted.by("b"), "gatelens.delivery.events");
    let all: i64 = fates.iter().filter(|(name, _)| name.starts_with("b ")).map(|(_, events)| events).sum();
    assert_eq!((all, numbers(&accepted.by("b"))["gatelens.events.captured"]), (900, 900.0));
}

#[test]
fn a_destination_that_never_answers_holds_up_no_other() {
    let worker = Worker::start(&FakeGateway::starting_at(START), TWO);
    let mut accepted = Accepted::default();
    for _ in 0..60 {
        worker.finish(FakeStream::new("GET", "/users/7", 200));
        worker.gateway.wait(Duration::from_secs(1));
        worker.plugin.tick(&worker.host);
        let (silent, others): (Vec<Sent>, Vec<Sent>) =
            worker.host.take_sent().into_iter().partition(|sent| sent.cluster == "b");
        drop(silent);
        for request in others {
            worker.host.answer_with(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
            let _ = worker.plugin.answered(&worker.host, request.id);
            accepted.0.push(request);
        }
    }
    assert!(accepted.requests_counted_by("a") >= 58, "{}", accepted.requests_counted_by("a"));
    assert!(log_records(&accepted.by("a")).len() >= 57);
}

#[test]
fn the_queue_of_each_destination_is_bounded_and_bodies_leave_that_queue_alone() {
    let worker = Worker::start(
        &FakeGateway::starting_at(START),
        r#"{"version": 1, "ingest": {"cluster": "a"}, "destinations": [{"cluster": "b"}],
            "capture": {"request_body": true}, "limits": {"queue_bytes": 65536, "batch_bytes": 16384}}"#,
    );
    let mut accepted = Accepted::default();
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    for _ in 0..60 {
        let noise: String = std::iter::repeat_with(&mut next).take(500).collect();
        let body = Body::whole(&format!(r#"{{"a": "{noise}"}}"#));
        let request = FakeStream::new("POST", "/a", 200).header("content-type", "application/json");
        worker.stream(request, &body, &Body::none());
        second(&worker, &mut accepted, only("b"));
        let held = gauges(&accepted.by("a"));
        assert!(held.iter().all(|bytes| *bytes <= 65_536), "{held:?}");
    }
    for _ in 0..60 {
        second(&worker, &mut accepted, ALL_UP);
    }
    let bodies = |cluster: &str| {
        let records = records(&accepted.by(cluster));
        let of = |key: &str| records.iter().filter(|record| record.contains_key(key)).count();
        (records.len(), of("gatelens.request.body.content"), of("gatelens.request.body.omitted"))
    };
    assert_eq!(bodies("a"), (60, 60, 0));
    let (all, with, without) = bodies("b");
    assert_eq!((all, with + without), (60, 60));
    assert!(without > 20, "{without}");
}

/// `gatelens.delivery.queue.size` of all destinations in the last request that has it.
fn gauges(requests: &[Sent]) -> Vec<i64> {
    use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
    let exports = requests.iter().filter(|sent| sent.path().ends_with("/v1/metrics"));
    let all = exports.map(gatelens_testkit::otlp::metrics).flat_map(|export| export.resource_metrics);
    let mut metrics = all.flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics);
    let last = metrics.rfind(|metric| metric.name == "gatelens.delivery.queue.size");
    let Some(Data::Gauge(gauge)) = last.and_then(|metric| metric.data) else { return Vec::new() };
    let values = gauge.data_points.into_iter().map(|point| match point.value {
        Some(Value::AsInt(bytes)) => bytes,
        other => panic!("{other:?}"),
    });
    values.collect()
}

#[test]
fn a_slot_is_free_when_every_destination_has_the_final_values() {
    let worker = Worker::start(
        &FakeGateway::starting_at(START),
        r#"{"version": 1, "ingest": {"cluster": "a"}, "destinations": [{"cluster": "b"}], "counters": {"max_series": 2}}"#,
    );
    let mut accepted = Accepted::default();
    let request = |route: &str, times: u32| {
        (0..times).for_each(|_| worker.finish(FakeStream::new("GET", route, 200)));
    };
    let routes = |accepted: &Accepted, cluster: &str| {
        let mut routes = std::collections::BTreeMap::new();
        for (series, requests) in counts(&accepted.by(cluster)) {
            let route = series.get("http.route").cloned().unwrap_or_default();
            *routes.entry(route).or_insert(0) += requests;
        }
        routes
    };
    request("/one", 3);
    request("/two", 2);
    second(&worker, &mut accepted, only("b"));
    request("/one", 5);
    second(&worker, &mut accepted, only("b"));
    worker.plugin.retire(
        &worker.host,
        |series| matches!(series, Series::Exact(of) if format!("{:?}", of.route).contains("/one")),
    );
    for _ in 0..20 {
        second(&worker, &mut accepted, only("b"));
    }
    // Destination b has no final value yet, so a third series finds no slot.
    request("/three", 4);
    for _ in 0..20 {
        second(&worker, &mut accepted, only("b"));
    }
    assert!(!routes(&accepted, "a").contains_key("/three"), "{:?}", routes(&accepted, "a"));
    for _ in 0..60 {
        second(&worker, &mut accepted, ALL_UP);
    }
    request("/four", 6);
    for _ in 0..30 {
        second(&worker, &mut accepted, ALL_UP);
    }
    for cluster in ["a", "b"] {
        let routes = routes(&accepted, cluster);
        assert_eq!(
            (routes["/one"], routes["/two"], routes.get("/four")),
            (8, 2, Some(&6)),
            "{cluster} {routes:?}"
        );
        assert_eq!(routes.values().sum::<u64>(), 20, "{cluster} {routes:?}");
    }
}

#[test]
fn a_new_leader_serves_every_destination() {
    let gateway = FakeGateway::starting_at(START);
    let (first, second_worker) = (Worker::start(&gateway, TWO), Worker::start(&gateway, TWO));
    let mut accepted = Accepted::default();
    for _ in 0..20 {
        first.finish(FakeStream::new("GET", "/users/7", 200));
        second_worker.finish(FakeStream::new("GET", "/users/8", 503));
        second(&first, &mut accepted, only("b"));
        second_worker.plugin.tick(&second_worker.host);
        settle(&second_worker, &mut accepted, only("b"));
    }
    accepted.0.extend(first.stop(Some(503)).into_iter().filter(|_| false));
    for _ in 0..60 {
        second(&second_worker, &mut accepted, ALL_UP);
    }
    assert_eq!((accepted.requests_counted_by("a"), accepted.requests_counted_by("b")), (40, 40));
}

#[test]
fn counters_that_go_nowhere_stay_in_shared_data_and_requests_leave() {
    let worker = Worker::start(
        &FakeGateway::starting_at(START),
        r#"{"version": 1, "ingest": {"cluster": "a", "metrics": false}}"#,
    );
    let mut accepted = Accepted::default();
    for _ in 0..10 {
        worker.finish(FakeStream::new("GET", "/users/7", 200));
        second(&worker, &mut accepted, ALL_UP);
    }
    assert!(accepted.0.iter().all(|sent| sent.path() == "/v1/logs"));
    assert!(log_records(&accepted.0).len() >= 8);
    assert!(worker.gateway.shared_keys() > 3);
    accepted.0.extend(worker.stop(Some(200)));
    assert_eq!(log_records(&accepted.0).len(), 10);
}
