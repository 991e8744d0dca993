//! The endpoint that Prometheus scrapes, and gateways without an ingest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::time::Duration;

use gatelens_core::host::LogLevel;
use gatelens_core::lifecycle::Ending;
use gatelens_core::scrape::Reply;
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream};
use gatelens_testkit::otlp::counts;
use gatelens_testkit::worker::{Body, Worker};
use serde_json::{Value, json};

const START: u64 = 1_700_000_000_000_000_000;
const TICK: Duration = Duration::from_millis(500);
const MS: i64 = 1_000_000;

/// A configuration without an ingest, with these sections in addition.
fn configuration(sections: Value) -> String {
    let mut all = json!({
        "version": 1,
        "service": {"name": "shop"},
        "ingest": {"enabled": false},
        "counters": {"bounds_seconds": [0.005, 0.1, 1]},
    });
    all.as_object_mut().unwrap().extend(sections.as_object().unwrap().clone());
    all.to_string()
}

fn get(path: &str, status: u16, milliseconds: i64) -> FakeStream {
    FakeStream::new("GET", path, status).int(Attribute::RequestDuration, milliseconds * MS)
}

fn ask(endpoint: &Worker, method: &str, path: &str) -> Reply {
    endpoint.host.finish(FakeStream::default().header(":method", method).header(":path", path));
    endpoint.plugin.scraper().unwrap().reply(&endpoint.host)
}

/// The samples of a page: name and labels, and the value.
fn scrape(endpoint: &Worker) -> BTreeMap<String, f64> {
    let reply = ask(endpoint, "GET", "/metrics?x=1");
    assert_eq!((reply.status, reply.content_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let lines = reply.body.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| line.rsplit_once(' ').unwrap());
    let page: BTreeMap<String, f64> =
        samples.clone().map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
    assert_eq!(page.len(), samples.count(), "a sample stands twice");
    page
}

const DURATION: &str = "http_server_request_duration_seconds";

#[test]
fn a_page_has_the_exact_sums_of_all_workers_and_scrapes_change_nothing() {
    let gateway = FakeGateway::starting_at(START);
    let workers = [(); 2].map(|()| Worker::start(&gateway, &configuration(json!({}))));
    let endpoint = Worker::start(&gateway, &configuration(json!({"scrape": {}})));
    for (n, worker) in (1..).zip(&workers) {
        for _ in 0..n * 10 {
            let ok = get("/users/17", 200, 5).int(Attribute::RequestSize, 3).int(Attribute::ResponseSize, 7);
            worker.finish(ok.header("x-consumer-id", format!("c{n}")));
        }
        worker.finish(get("/users/17", 503, 2_000));
        assert_eq!(worker.deliver_after(TICK), []);
    }
    let common = r#"http_request_method="GET",http_route="/users/{number}",http_response_status_code"#;
    let service = r#"service_name="shop",deployment_environment_name="default""#;
    let ok = format!(r#"{common}="200",{service}"#);
    let failed = format!(r#"{common}="503",error_type="503",{service}"#);
    let expected = [
        (format!(r#"{DURATION}_bucket{{{ok},le="0.005"}}"#), 30.0),
        (format!(r#"{DURATION}_bucket{{{ok},le="0.1"}}"#), 30.0),
        (format!(r#"{DURATION}_bucket{{{ok},le="1.0"}}"#), 30.0),
        (format!(r#"{DURATION}_bucket{{{ok},le="+Inf"}}"#), 30.0),
        (format!("{DURATION}_sum{{{ok}}}"), 0.15),
        (format!("{DURATION}_count{{{ok}}}"), 30.0),
        (format!(r#"{DURATION}_bucket{{{failed},le="1.0"}}"#), 0.0),
        (format!(r#"{DURATION}_bucket{{{failed},le="+Inf"}}"#), 2.0),
        (format!("{DURATION}_sum{{{failed}}}"), 4.0),
        (format!("http_server_request_body_size_bytes_sum{{{ok}}}"), 90.0),
        (format!(r#"http_server_request_body_size_bytes_bucket{{{ok},le="+Inf"}}"#), 30.0),
        (format!("http_server_response_body_size_bytes_sum{{{ok}}}"), 210.0),
        (format!("http_server_response_body_size_bytes_count{{{ok}}}"), 30.0),
        (format!("http_server_active_requests{{{service}}}"), 0.0),
    ];
    let page = scrape(&endpoint);
    for (name, value) in &expected {
        assert_eq!(page.get(name), Some(value), "{name} in {page:#?}");
    }
    // Buckets, sum and count of two series of durations, and +Inf, sum and count of two sizes of each.
    assert_eq!(page.len(), 2 * 6 + 2 * 2 * 3 + 1);
    for _ in 0..5 {
        assert_eq!(scrape(&endpoint), page);
        assert!(endpoint.deliver_after(TICK).is_empty());
    }
    // Streams in progress on all workers.
    let mut streams: Vec<_> = workers.iter().map(|worker| worker.begin(&get("/a", 200, 1))).collect();
    workers.iter().for_each(|worker| drop(worker.deliver_after(TICK)));
    assert_eq!(scrape(&endpoint)[&format!("http_server_active_requests{{{service}}}")], 2.0);
    streams.clear();
}

#[test]
fn the_operator_chooses_the_labels_and_the_size_of_the_page() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, &configuration(json!({"counters": {"max_consumers": 2}})));
    for consumer in ["a\"b\\c", "acme", "third"] {
        for path in ["/a", "/b", "/c"] {
            worker.finish(get(path, 200, 1).header("x-consumer-id", consumer));
        }
    }
    worker.deliver_after(TICK);
    let check = |scrape_section: Value, expected: &[(&str, f64)]| {
        let sections = json!({"counters": {"max_consumers": 2}, "scrape": scrape_section});
        let page = scrape(&Worker::start(&gateway, &configuration(sections)));
        let found: Vec<(&str, f64)> = page
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("http_server_request_duration_seconds_count")?, *value))
            })
            .collect();
        let mut expected = expected.to_vec();
        expected.sort_by_key(|(name, _)| *name);
        assert_eq!(found, expected, "{scrape_section}");
    };
    check(json!({"labels": []}), &[("", 9.0)]);
    check(json!({"labels": ["service_name"]}), &[("{service_name=\"shop\"}", 9.0)]);
    check(
        json!({"labels": ["gatelens_consumer_id"]}),
        &[
            ("{gatelens_consumer_id=\"a\\\"b\\\\c\"}", 3.0),
            ("{gatelens_consumer_id=\"acme\"}", 3.0),
            ("{gatelens_consumer_id=\"__overflow__\"}", 3.0),
        ],
    );
    // The first ones keep their labels.
    check(
        json!({"labels": ["http_route", "http_response_status_code"], "max_series": 1}),
        &[
            ("{http_route=\"/a\",http_response_status_code=\"200\"}", 3.0),
            ("{http_route=\"__overflow__\"}", 6.0),
        ],
    );
}

#[test]
fn other_requests_get_an_answer_that_helps() {
    let gateway = FakeGateway::starting_at(START);
    let endpoint = Worker::start(&gateway, &configuration(json!({"scrape": {"path": "/internal/metrics"}})));
    assert!(endpoint.plugin.active().is_none());
    let before = gateway.shared_keys();
    let reply = ask(&endpoint, "GET", "/internal/metrics");
    assert_eq!((reply.status, reply.body.contains("vm_id")), (503, true), "{reply:?}");
    assert_eq!(gateway.shared_keys(), before);
    let worker = Worker::start(&gateway, &configuration(json!({})));
    for (method, path, status) in [
        ("GET", "/internal/metrics", 200),
        ("HEAD", "/internal/metrics?a", 200),
        ("POST", "/internal/metrics", 405),
        ("GET", "/metrics", 404),
        ("GET", "/internal/metrics/", 404),
        ("GET", "", 404),
    ] {
        assert_eq!(ask(&endpoint, method, path).status, status, "{method} {path}");
    }
    // A request that could not be parsed has no headers.
    endpoint.host.finish(FakeStream::default());
    assert_eq!(endpoint.plugin.scraper().unwrap().reply(&endpoint.host).status, 404);
    drop(worker);
}

#[test]
fn the_counters_of_an_ingest_are_scraped_too() {
    let gateway = FakeGateway::starting_at(START);
    let with_ingest = |sections: Value| {
        let mut all: Value = serde_json::from_str(&configuration(sections)).unwrap();
        all["ingest"] = json!({"cluster": "c"});
        all.to_string()
    };
    let worker = Worker::start(&gateway, &with_ingest(json!({})));
    let endpoint = Worker::start(&gateway, &with_ingest(json!({"scrape": {"labels": ["http_route"]}})));
    (0..7).for_each(|_| worker.finish(get("/a", 200, 1)));
    let mut sent = worker.deliver_after(TICK);
    sent.extend(worker.deliver_after(Duration::from_secs(15)));
    assert_eq!(counts(&sent).values().sum::<u64>(), 7);
    assert_eq!(scrape(&endpoint)[&format!("{DURATION}_count{{http_route=\"/a\"}}")], 7.0);
    // Another configuration has other counters.
    let other = Worker::start(&gateway, &configuration(json!({"scrape": {}})));
    assert_eq!(ask(&other, "GET", "/metrics").status, 503);
}

#[test]
fn without_an_ingest_nothing_is_sent_or_kept_and_the_log_line_remains() {
    let gateway = FakeGateway::starting_at(START);
    let mut worker = Worker::start(&gateway, &configuration(json!({"access_log": true})));
    let quiet = Worker::start(&gateway, &configuration(json!({})));
    for _ in 0..100 {
        worker.finish(get("/a", 500, 1));
        quiet.finish(get("/a", 500, 1));
        assert_eq!((worker.deliver_after(TICK), quiet.deliver_after(TICK)), (vec![], vec![]));
    }
    let lines = |worker: &Worker| {
        worker
            .host
            .log_lines()
            .into_iter()
            .filter(|(level, line)| *level == LogLevel::Info && line.starts_with('{'))
            .count()
    };
    assert_eq!((lines(&worker), lines(&quiet)), (100, 0));
    // An update keeps the counters, and the end of the process waits for no answer.
    assert_eq!(worker.replace(&configuration(json!({"access_log": false})), None), []);
    worker.stream(get("/a", 200, 1), &Body::none(), &Body::none());
    let endpoint = Worker::start(&gateway, &configuration(json!({"scrape": {"labels": []}})));
    assert_eq!(worker.plugin.done(&worker.host), Ending::Now);
    worker.plugin.gone(&worker.host);
    assert_eq!(scrape(&endpoint)[&format!("{DURATION}_count")], 201.0);
    assert_eq!(worker.host.take_sent(), []);
}

#[test]
fn an_endpoint_serves_workers_whose_root_context_has_ended() {
    let gateway = FakeGateway::starting_at(START);
    let with = |sections: Value| {
        let mut all: Value = serde_json::from_str(&configuration(sections)).unwrap();
        all["ingest"] = json!({"cluster": "c"});
        all.to_string()
    };
    let mut worker = Worker::start(&gateway, &with(json!({})));
    let stream = worker.begin(&get("/a", 200, 1));
    worker.replace(&with(json!({"scrape": {"labels": []}})), Some(200));
    // The stream ends under the configuration with which it began.
    let mut stream = stream;
    stream.log(&worker.host);
    drop(stream);
    let sent: Vec<_> = (0..4).flat_map(|_| worker.deliver_after(Duration::from_secs(15))).collect();
    assert_eq!(counts(&sent).values().sum::<u64>(), 1);
    assert_eq!(scrape(&worker)[&format!("{DURATION}_count")], 1.0);
}
