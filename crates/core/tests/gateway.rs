//! The core on a gateway without Envoy. Exports are read back with the official OTLP messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::filter::StreamFilter;
use gatelens_core::host::{CalloutAnswer, DispatchError, LogLevel};
use gatelens_core::lifecycle::{Ending, Plugin};
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{self, Attributes, attributes, counts, log_records, numbers, sketches};
use gatelens_testkit::worker::Worker;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;

const SMALLEST: &str = r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}"#;
const COUNTERS_ONLY: &str = r#"{
    "version": 1,
    "ingest": {"cluster": "gatelens_ingest"},
    "sample": {"rate": 0, "keep_errors": false, "keep_slower_than_ms": null}
}"#;
const START: u64 = 1_700_000_000_000_000_000;

/// Events by fate in the worker's next export.
fn fates(worker: &Worker) -> BTreeMap<String, u64> {
    worker.gateway.wait(Duration::from_secs(20));
    let sent = worker.tick_answering(Some(200));
    numbers(&sent).into_iter().map(|(name, value)| (name, value as u64)).collect()
}

fn expect(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn one_request_is_counted_and_logged_with_all_its_fields() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(
        &gateway,
        r#"{"version": 1, "service": {"name": "orders", "environment": "prod", "version": "1.4.2", "tags": {"team": "a"}},
            "ingest": {"cluster": "c", "authority": "i.internal", "path_prefix": "/otlp", "headers": {"Authorization": "Bearer x"}},
            "consumer": {"sources": [{"header": "x-consumer-id", "trusted": true}]}, "routes": {"templates": ["/users/{id}"]}}"#,
    );
    worker.finish(
        FakeStream::new("GET", "/users/ann?token=secret", 503)
            .header("x-consumer-id", "acme")
            .header("user-agent", "curl/8")
            .header("x-request-id", "r-1")
            .header(":authority", "API.Example.com:8443")
            .text(Attribute::UpstreamCluster, "users")
            .text(Attribute::Protocol, "HTTP/2")
            .int(Attribute::Attempts, 1)
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .int(Attribute::RequestDuration, 40_000_000)
            .int(Attribute::UpstreamLatency, 30_000_000)
            .int(Attribute::RequestSize, 10)
            .int(Attribute::ResponseSize, 2_000)
            .int(Attribute::ResponseFlags, 0x8000),
    );
    gateway.wait(Duration::from_secs(1));
    let sent = worker.tick_answering(Some(200));

    let logs = sent.iter().find(|request| request.header(":path") == "/otlp/v1/logs").unwrap();
    assert_eq!(
        (logs.cluster.as_str(), logs.header(":authority"), logs.header("authorization")),
        ("c", "i.internal", "Bearer x")
    );
    assert_eq!(
        (logs.header("content-type"), logs.header("x-gatelens-sequence")),
        ("application/x-protobuf", "1")
    );
    assert_eq!(logs.header("x-gatelens-epoch").len(), 16);
    let request = otlp::logs(logs);
    let resource = attributes(&request.resource_logs[0].resource.as_ref().unwrap().attributes);
    let named = |key: &str| resource.get(key).map(String::as_str);
    assert_eq!(named("service.name"), Some("orders"));
    assert_eq!(named("service.version"), Some("1.4.2"));
    assert_eq!(named("deployment.environment.name"), Some("prod"));
    assert_eq!(named("gatelens.tags.team"), Some("a"));
    assert_eq!(named("service.instance.id"), Some(logs.header("x-gatelens-instance")));
    assert_eq!(named("gatelens.config_hash").map(str::len), Some(16));

    let [record] = &log_records(&sent)[..] else { panic!("one record") };
    assert_eq!(
        attributes(&record.attributes),
        expect(&[
            ("client.address", "192.0.2.7"),
            ("client.port", "51324"),
            ("error.type", "503"),
            ("gatelens.consumer.id", "acme"),
            ("gatelens.consumer.trusted", "true"),
            ("gatelens.duration_ns", "40000000"),
            ("gatelens.request_id", "r-1"),
            ("gatelens.response_code_details", "via_upstream"),
            ("gatelens.response_flags", "URX"),
            ("gatelens.route.source", "template"),
            ("gatelens.upstream.cluster", "users"),
            ("gatelens.upstream.duration_ns", "30000000"),
            ("http.request.body.size", "10"),
            ("http.request.method", "GET"),
            ("http.response.body.size", "2000"),
            ("http.response.status_code", "503"),
            ("http.route", "/users/{id}"),
            ("network.protocol.version", "2"),
            ("server.address", "api.example.com"),
            ("server.port", "8443"),
            ("url.path", "/users/ann"),
            ("url.query", "token=[CLIENT_REDACTED]"),
            ("url.scheme", "http"),
            ("user_agent.original", "curl/8"),
        ])
    );
    assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (START - 40_000_000, START));
    assert_eq!(
        (record.severity_number, record.event_name.as_str(), record.flags),
        (17, "gatelens.request", 1)
    );
    assert_eq!(record.trace_id, 0x0af7651916cd43dd8448eb211c80319cu128.to_be_bytes());
    assert_eq!(record.span_id, 0xb7ad6b7169203331u64.to_be_bytes());

    let series = expect(&[
        ("error.type", "503"),
        ("gatelens.consumer.id", "acme"),
        ("gatelens.route.source", "template"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "503"),
        ("http.route", "/users/{id}"),
        ("url.scheme", "http"),
    ]);
    for (metric, seconds) in [
        ("http.server.request.duration", 0.04),
        ("gatelens.upstream.duration", 0.03),
        ("gatelens.gateway.duration", 0.01),
    ] {
        let point = sketches(&sent, metric).remove(&series).expect(metric);
        assert_eq!(
            (point.count, point.sum, point.scale, point.zero_count),
            (1, Some(seconds), 5, 0),
            "{metric}"
        );
        let buckets = point.positive.unwrap();
        assert_eq!(buckets.bucket_counts, [1], "{metric}");
        let upper = (f64::from(buckets.offset + 1) / 32.0).exp2();
        assert!(upper >= seconds && upper / seconds < 1.022, "{metric}: {upper}");
    }
    let request = sent.iter().find(|r| r.header(":path") == "/otlp/v1/metrics").unwrap();
    let request = otlp::metrics(request);
    for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
        let Some(Data::Histogram(data)) = &metric.data else { continue };
        let point = &data.data_points[0];
        assert_eq!(
            (attributes(&point.attributes), point.count, point.start_time_unix_nano),
            (series.clone(), 1, START)
        );
        let (sum, buckets): (f64, &[u64]) = match metric.name.as_str() {
            "gatelens.request.duration" => (0.04, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "http.server.request.body.size" => (10.0, &[]),
            "http.server.response.body.size" => (2000.0, &[]),
            other => panic!("{other}"),
        };
        assert_eq!((point.sum, &point.bucket_counts[..]), (Some(sum), buckets), "{}", metric.name);
        assert_eq!(point.explicit_bounds.len(), buckets.len().saturating_sub(1), "{}", metric.name);
    }
}

#[test]
fn the_gateways_own_time_is_known_or_absent() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    let request = |path: &str, milliseconds: i64, attempts: i64| {
        FakeStream::new("GET", path, 200)
            .int(Attribute::RequestDuration, milliseconds * 1_000_000)
            .int(Attribute::Attempts, attempts)
    };
    let upstream = |stream: FakeStream, milliseconds: i64| {
        stream.int(Attribute::UpstreamLatency, milliseconds * 1_000_000)
    };
    worker.finish(upstream(request("/upload", 2_062, 1).int(Attribute::RequestSize, 9_000), 2_061));
    worker.finish(request("/direct", 3, 0));
    worker.finish(request("/websocket", 1_135, 1));
    worker.finish(upstream(request("/retried", 223, 2), 100));
    let original = ("x-envoy-original-url", "http://gateway.test/redirect");
    worker.finish(upstream(request("/redirected", 302, 1).header(original.0, original.1), 1));
    worker.finish(upstream(request("/download", 955, 1).int(Attribute::ResponseSize, 500_000), 2));
    worker.finish(upstream(request("/reset", 203, 1).int(Attribute::ResponseFlags, 1 << 28), 1));
    gateway.wait(Duration::from_secs(1));
    let sent = worker.tick_answering(Some(200));
    let known: BTreeMap<_, _> = sketches(&sent, "gatelens.gateway.duration")
        .into_iter()
        .map(|(series, point)| (series["http.route"].clone(), (point.count, point.sum.unwrap())))
        .collect();
    assert_eq!(known, BTreeMap::from([("/upload".into(), (1, 0.001)), ("/direct".into(), (1, 0.003))]));
    assert_eq!(counts(&sent).values().sum::<u64>(), 7, "every request is counted");
}

#[test]
fn requests_that_envoy_itself_ended_are_counted_too() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    let unparsed =
        FakeStream::default().int(Attribute::ResponseCode, 400).int(Attribute::ResponseFlags, 0x40000);
    let aborted = FakeStream::default()
        .header(":method", "GET")
        .header(":path", "/a")
        .int(Attribute::ResponseFlags, 0x4000);
    let lost = FakeStream::default()
        .header(":method", "get")
        .header(":path", "/a")
        .int(Attribute::ResponseFlags, 0x40);
    let missing = FakeStream::new("GET", "/wp-admin/42", 404);
    for stream in [unparsed, aborted, lost, missing, FakeStream::default()] {
        worker.finish(stream);
    }
    gateway.wait(Duration::from_secs(1));
    let sent = worker.tick_answering(Some(200));
    let series = |method: &str, route: &str, status: &str, error: &str| {
        let all = [
            ("http.request.method", method),
            ("http.route", route),
            ("http.response.status_code", status),
            ("error.type", error),
            // The only one of these requests that has a scheme.
            ("url.scheme", if status == "404" { "http" } else { "" }),
        ];
        let mut series = expect(&[("gatelens.consumer.id", "anonymous")]);
        series.extend(expect(&all).into_iter().filter(|(_, value)| !value.is_empty()));
        (series, 1)
    };
    assert_eq!(
        counts(&sent),
        BTreeMap::from([
            series("_OTHER", "__unmatched__", "400", "downstream_protocol_error"),
            series("GET", "/a", "499", ""),
            series("_OTHER", "/a", "", "upstream_connection_termination"),
            series("GET", "__unmatched__", "404", ""),
            series("_OTHER", "__unmatched__", "", "no_response"),
        ])
    );
    assert_eq!(log_records(&sent).len(), 5);
    assert_eq!(attributes(&log_records(&sent)[2].attributes)["http.request.method_original"], "get");
}

#[test]
fn a_request_that_filter_and_logger_see_counts_once() {
    // Without a log fewer values are read.
    for (of_filter, of_logger) in
        [(SMALLEST, SMALLEST), (COUNTERS_ONLY, COUNTERS_ONLY), (SMALLEST, COUNTERS_ONLY)]
    {
        let gateway = FakeGateway::starting_at(START);
        let worker = Worker::start(&gateway, of_filter);
        let (host, mut logger) = (gateway.worker(of_logger), Plugin::new(Rc::clone(&worker.registry)));
        assert!(logger.configure(&host));
        let stream = |n: i64| {
            FakeStream::new("GET", "/", 200)
                .text(Attribute::SourceAddress, "192.0.2.7:51324")
                .int(Attribute::RequestDuration, n)
                .int(Attribute::ResponseSize, 0)
        };
        let filter = || StreamFilter::new(worker.plugin.active());
        for n in 0..10 {
            worker.host.finish(stream(n));
            filter().log(&worker.host);
            host.finish(stream(n));
            logger.log(&host);
        }
        // On another listener the same root is a filter only, and then a logger only.
        worker.host.finish(stream(100));
        filter().log(&worker.host);
        host.finish(stream(101));
        logger.log(&host);
        gateway.wait(Duration::from_secs(1));
        assert_eq!(
            counts(&worker.tick_answering(Some(200))).values().sum::<u64>(),
            12,
            "{of_filter} {of_logger}"
        );
    }
}

#[test]
fn beyond_the_cap_requests_are_counted_by_status_and_memory_stays() {
    let gateway = FakeGateway::starting_at(START);
    let text = r#"{"version": 1, "ingest": {"cluster": "c"}, "counters": {"max_series": 10}, "limits": {"queue_bytes": 65536, "batch_bytes": 4096}}"#;
    let workers = [Worker::start(&gateway, text), Worker::start(&gateway, text)];
    let mut sent = Vec::new();
    let mut settled = (0, 0);
    for round in 0..200 {
        for n in 0..50 {
            let status = if n % 10 == 0 { 500 } else { 200 };
            let stream =
                FakeStream::new("GET", "/a", status).header("x-consumer-id", format!("c{round}-{n}"));
            workers[n % 2].finish(stream);
        }
        gateway.wait(Duration::from_secs(1));
        sent = [sent, workers.iter().flat_map(|worker| worker.tick_answering(Some(200))).collect()].concat();
        if round == 5 {
            settled = (gateway.shared_keys(), gateway.shared_bytes());
        }
    }
    // The last counts that the second worker merged are exported in the leader's next tick.
    sent.extend(workers[0].deliver_after(Duration::from_secs(1)));
    let counts = counts(&sent);
    assert_eq!(counts.values().sum::<u64>(), 200 * 50);
    let exact = counts.keys().filter(|key| key.contains_key("gatelens.consumer.id")).count();
    assert_eq!(exact, 10);
    let overflow = |status: &str| {
        counts[&expect(&[("otel.metric.overflow", "true"), ("http.response.status_code", status)])]
    };
    assert_eq!(
        overflow("500"),
        200 * 5
            - counts
                .iter()
                .filter(|(k, _)| k.len() > 2 && k["http.response.status_code"] == "500")
                .map(|(_, n)| n)
                .sum::<u64>()
    );
    assert!(overflow("200") > 0);
    assert_eq!(gateway.shared_keys(), settled.0);
    assert!(gateway.shared_bytes() < settled.1 + 512, "{} after {}", gateway.shared_bytes(), settled.1);
}

#[test]
fn an_outage_loses_no_count_and_a_repeat_keeps_its_bytes_and_identity() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    let identity = |request: &Sent| {
        (request.header(":path").to_owned(), request.header("x-gatelens-sequence").to_owned())
    };
    let mut bodies = BTreeMap::new();
    let mut total = 0;
    let failures = [Some(503), Some(429), None, Some(504), Some(502)];
    for second in 0..600u64 {
        worker.finish(FakeStream::new("GET", "/a", 200));
        total += 1;
        gateway.wait(Duration::from_secs(1));
        if second % 7 == 0 {
            worker.host.refuse(Some(DispatchError::Unavailable));
        }
        let status = failures[second as usize % failures.len()];
        for request in worker.tick_answering(status) {
            let known = bodies.entry(identity(&request)).or_insert_with(|| request.body.clone());
            assert_eq!(*known, request.body, "a repeat has the same bytes");
        }
        worker.host.refuse(None);
    }
    assert!(bodies.len() > 1 && bodies.len() < 200, "backs off: {} requests", bodies.len());
    let mut sent = Vec::new();
    for _ in 0..120 {
        gateway.wait(Duration::from_secs(1));
        sent.extend(worker.tick_answering(Some(200)));
    }
    assert_eq!(counts(&sent).values().sum::<u64>(), total);
    // Log records have an age cap; the newest five minutes arrive, each once.
    let records = log_records(&sent).len();
    assert!((250..=302).contains(&records), "{records}");
    let warnings = worker.host.log_lines().iter().filter(|(level, _)| *level == LogLevel::Warn).count();
    assert!(warnings <= 4, "an outage is logged once: {:?}", worker.host.log_lines());
}

#[test]
fn a_refused_batch_is_dropped_and_the_next_one_goes() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    for (status, expected) in [(Some(400), 1), (Some(200), 1)] {
        worker.finish(FakeStream::new("GET", "/a", 200));
        gateway.wait(Duration::from_secs(2));
        let sent = worker.tick_answering(status);
        assert_eq!(log_records(&sent).len(), expected);
        // The counters of the refused export request are sent again, in another one.
        assert_eq!(counts(&sent).values().sum::<u64>(), if status == Some(200) { 2 } else { 1 });
    }
    gateway.wait(Duration::from_secs(2));
    assert_eq!(log_records(&worker.tick_answering(Some(200))).len(), 0);
    let tally = fates(&worker);
    assert_eq!((tally["sent"], tally["rejected"]), (1, 1));
}

#[test]
fn refusals_in_a_row_do_not_delay_later_batches() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    for _ in 0..20 {
        worker.finish(FakeStream::new("GET", "/a", 200));
        gateway.wait(Duration::from_secs(2));
        assert_eq!(log_records(&worker.tick_answering(Some(500))).len(), 1);
    }
}

#[test]
fn a_refused_configuration_logs_the_reason_and_starts_nothing() {
    let host = FakeGateway::starting_at(START).worker("{\"version\": 1,\n \"ingest\": {\"clutser\": \"a\"}}");
    let mut plugin = Plugin::new(Rc::default());
    assert!(!plugin.configure(&host));
    assert!(plugin.active().is_none());
    assert_eq!(host.tick_period(), Duration::ZERO);
    let [(LogLevel::Error, line)] = &host.log_lines()[..] else { panic!("{:?}", host.log_lines()) };
    assert_eq!(
        line,
        "configuration refused: ingest.clutser: unknown key `clutser`; did you mean `cluster`? (line 2, column 13)"
    );
    host.set_configuration(b"\xff\xfe".to_vec());
    assert!(!plugin.configure(&host));
}

#[test]
fn a_configuration_update_loses_nothing() {
    let gateway = FakeGateway::starting_at(START);
    let renamed = r#"{"version": 1, "service": {"name": "other"}, "ingest": {"cluster": "gatelens_ingest"}}"#;
    let same_counters =
        r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}, "routes": {"infer": false}}"#;
    for (update, epochs) in [(same_counters, 1), (renamed, 2)] {
        let mut old = Worker::start(&gateway, SMALLEST);
        old.finish(FakeStream::new("GET", "/a", 200));
        let mut new = Plugin::new(Rc::clone(&old.registry));
        old.host.set_configuration(update);
        assert!(new.configure(&old.host));
        let ending = old.plugin.done(&old.host);
        let mut sent = old.answer_all(Some(200));
        assert_eq!(ending, if epochs == 1 { Ending::Now } else { Ending::WhenAnswered });
        assert_eq!(old.plugin.answered(&old.host, gatelens_core::host::CalloutId(0)), Ending::Now);
        old.plugin.gone(&old.host);
        old.plugin = new;
        old.finish(FakeStream::new("GET", "/a", 200));
        for _ in 0..6 {
            gateway.wait(Duration::from_secs(1));
            sent.extend(old.tick_answering(Some(200)));
        }
        assert_eq!(log_records(&sent).len(), 2);
        let epoch = |request: &Sent| request.header("x-gatelens-epoch").to_owned();
        let by_epoch: BTreeMap<String, Vec<Sent>> = sent.iter().fold(BTreeMap::new(), |mut map, request| {
            map.entry(epoch(request)).or_insert_with(Vec::new).push(request.clone());
            map
        });
        assert_eq!(by_epoch.len(), epochs);
    }
}

#[test]
fn beyond_a_dimensions_cap_the_other_dimensions_stay_separate() {
    let gateway = FakeGateway::starting_at(START);
    let text =
        r#"{"version": 1, "ingest": {"cluster": "c"}, "counters": {"max_consumers": 2, "max_routes": 3}}"#;
    let workers = [Worker::start(&gateway, text), Worker::start(&gateway, text)];
    for n in 0..40 {
        let path = format!("/{}", ["a", "b", "c", "d", "e"][n % 5]);
        let stream = FakeStream::new("GET", &path, 200).header("x-consumer-id", format!("c{}", n % 8));
        workers[n % 2].finish(stream);
    }
    let mut sent = Vec::new();
    for _ in 0..3 {
        gateway.wait(Duration::from_secs(1));
        sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
    }
    let counts = counts(&sent);
    assert_eq!(counts.values().sum::<u64>(), 40);
    let values =
        |key: &str| counts.keys().filter_map(|a| a.get(key)).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((values("gatelens.consumer.id"), values("http.route")), (2, 3));
    let overflow: u64 =
        counts.iter().filter(|(a, _)| !a.contains_key("gatelens.consumer.id")).map(|(_, n)| n).sum();
    assert_eq!(overflow, 30, "six of eight consumers: {counts:?}");
    for series in counts.keys() {
        let exact = series.contains_key("gatelens.consumer.id") && series.contains_key("http.route");
        assert_eq!(series.contains_key("otel.metric.overflow"), !exact, "{series:?}");
        assert_eq!(series["http.request.method"], "GET");
    }
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_and_a_partial_success_is_final() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    let answer = |status: u16, retry_after: &str, body: &[u8]| CalloutAnswer {
        status: Some(status),
        retry_after: retry_after.into(),
        body: body.into(),
        ..CalloutAnswer::default()
    };
    let send = |seconds: u64| {
        gateway.wait(Duration::from_secs(seconds));
        worker.plugin.tick(&worker.host);
        worker.host.take_sent()
    };
    let reply = |sent: &[Sent], answer: CalloutAnswer| {
        worker.host.answer_with(answer);
        for request in sent {
            let _ = worker.plugin.answered(&worker.host, request.id);
        }
        worker.host.take_sent()
    };
    (0..5).for_each(|_| worker.finish(FakeStream::new("GET", "/a", 200)));
    let first = send(1);
    assert_eq!(first.len(), 2);
    assert_eq!(reply(&first, answer(429, "60", b"")), []);
    assert_eq!(send(55), []);
    let again = send(10);
    assert_eq!(log_records(&again).len(), 5);
    reply(&again, answer(200, "", b"\x0a\x02\x08\x02"));
    let tally = fates(&worker);
    assert_eq!((tally["gatelens.events.captured"], tally["sent"], tally["rejected"]), (5, 3, 2));
    assert_eq!(tally["gatelens.export.failures"], 2);
}

#[test]
fn each_minute_of_an_outage_has_its_own_counts_afterwards() {
    let gateway = FakeGateway::starting_at(START - START % 60_000_000_000);
    let worker = Worker::start(&gateway, SMALLEST);
    let mut expected = BTreeMap::<u64, u64>::new();
    let start = START / 60_000_000_000;
    for second in 0..1_800u64 {
        // A request in the middle of the minute, so that the second between end and tick does not matter.
        if second % 60 == 30 {
            for _ in 0..=second / 60 % 7 {
                worker.finish(FakeStream::new("GET", "/a", 200));
                *expected.entry(start + second / 60).or_default() += 1;
            }
        }
        gateway.wait(Duration::from_secs(1));
        worker.tick_answering(Some(503));
    }
    let mut sent = Vec::new();
    for _ in 0..40 {
        gateway.wait(Duration::from_secs(1));
        sent.extend(worker.tick_answering(Some(200)));
    }
    let mut by_minute = BTreeMap::new();
    let mut before = 0;
    for request in &sent {
        if let Some(point) =
            sketches(std::slice::from_ref(request), "http.server.request.duration").into_values().next()
        {
            *by_minute.entry((point.time_unix_nano - 1) / 60_000_000_000).or_default() +=
                point.count - before;
            before = point.count;
        }
        assert!(!numbers(std::slice::from_ref(request)).contains_key("gatelens.interval"));
    }
    by_minute.retain(|_, count| *count > 0);
    assert_eq!(by_minute, expected);
}

#[test]
fn a_lost_worker_is_an_incident_and_its_held_events_are_counted() {
    let gateway = FakeGateway::starting_at(START);
    let [survivor, victim] = [Worker::start(&gateway, SMALLEST), Worker::start(&gateway, SMALLEST)];
    survivor.tick_answering(Some(200));
    (0..3).for_each(|_| victim.finish(FakeStream::new("GET", "/a", 200)));
    gateway.wait(Duration::from_secs(1));
    victim.tick_answering(Some(503));
    drop(victim);
    let mut sent = Vec::new();
    for _ in 0..40 {
        survivor.finish(FakeStream::new("GET", "/b", 200));
        gateway.wait(Duration::from_secs(1));
        sent.extend(survivor.tick_answering(Some(200)));
    }
    assert_eq!(counts(&sent).values().sum::<u64>(), 43, "merged counts are not lost");
    let tally = fates(&survivor);
    assert_eq!((tally["gatelens.workers"], tally["gatelens.workers.lost"]), (1, 1));
    assert_eq!((tally["gatelens.events.captured"], tally["sent"], tally["lost"]), (43, 40, 3));
}

#[test]
fn requests_in_flight_are_seen_by_filters_and_end_however_they_end() {
    let gateway = FakeGateway::starting_at(START);
    let worker = Worker::start(&gateway, SMALLEST);
    let in_flight = |worker: &Worker| {
        gateway.wait(Duration::from_secs(20));
        numbers(&worker.tick_answering(Some(200)))["http.server.active_requests"]
    };
    let streams: Vec<_> = (0..3).map(|_| StreamFilter::new(worker.plugin.active())).collect();
    assert_eq!(in_flight(&worker), 3.0);
    drop(streams);
    assert_eq!(in_flight(&worker), 0.0);
}

#[derive(Clone, Debug)]
enum Step {
    Request { worker: usize, consumer: u8, status: u16, duration: u32 },
    Tick { worker: usize, status: u16 },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, 0u8..12, prop_oneof![Just(200u16), Just(404), Just(500)], any::<u32>())
            .prop_map(|(worker, consumer, status, duration)| Step::Request { worker, consumer, status, duration }),
        2 => (0usize..3, prop_oneof![Just(200u16), Just(503)]).prop_map(|(worker, status)| Step::Tick { worker, status }),
        1 => (0u64..5_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No count is lost and none is doubled, whatever the order of requests, ticks and failures, when every n-th write
    /// to shared data meets another worker's.
    #[test]
    fn merging_under_conflicts_is_exact(steps in prop::collection::vec(step(), 1..150), conflicts in 2u32..7, cap in 4u32..60) {
        let gateway = FakeGateway::starting_at(START);
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "c"}}, "counters": {{"max_series": {cap}}}}}"#);
        let workers: Vec<_> = (0..3).map(|_| Worker::start(&gateway, &text)).collect();
        workers.iter().for_each(|worker| worker.host.conflict_every(conflicts));
        let mut model: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        let mut sent = Vec::new();
        for step in steps {
            match step {
                Step::Request { worker, consumer, status, duration } => {
                    let stream = FakeStream::new("GET", "/a", status)
                        .header("x-consumer-id", format!("c{consumer}"))
                        .int(Attribute::RequestDuration, i64::from(duration));
                    workers[worker].finish(stream);
                    let entry = model.entry((format!("c{consumer}"), status.to_string())).or_default();
                    entry.0 += 1;
                    entry.1 += u64::from(duration);
                }
                Step::Tick { worker, status } => {
                    let requests = workers[worker].tick_answering(Some(status));
                    if status == 200 { sent.extend(requests) }
                }
                Step::Wait(milliseconds) => gateway.wait(Duration::from_millis(milliseconds)),
            }
        }
        for _ in 0..80 {
            gateway.wait(Duration::from_secs(1));
            sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
        }
        let counted = counts(&sent);
        for status in ["200", "404", "500"] {
            let of_status = |key: &Attributes| key.get("http.response.status_code").is_some_and(|code| code == status);
            let total: u64 = counted.iter().filter(|(key, _)| of_status(key)).map(|(_, count)| count).sum();
            let expected: u64 = model.iter().filter(|((_, code), _)| code == status).map(|(_, (count, _))| count).sum();
            prop_assert_eq!(total, expected);
        }
        let durations = sketches(&sent, "http.server.request.duration");
        let exact = counted.keys().filter(|key| key.contains_key("http.route")).count();
        prop_assert_eq!(exact, model.len().min(cap as usize));
        for ((consumer, status), (count, sum)) in &model {
            let of_series = |key: &&Attributes| key.get("gatelens.consumer.id") == Some(consumer) && key["http.response.status_code"] == *status;
            let Some(key) = counted.keys().find(of_series) else { continue };
            if model.len() <= cap as usize {
                prop_assert_eq!(counted[key], *count);
                prop_assert!((durations[key].sum.unwrap() - *sum as f64 / 1e9).abs() < 1e-6);
            }
            let point = &durations[key];
            let in_buckets: u64 = point.positive.iter().flat_map(|buckets| &buckets.bucket_counts).sum();
            prop_assert_eq!(in_buckets + point.zero_count, point.count);
        }
        let total = model.values().map(|(count, _)| count).sum::<u64>();
        prop_assert_eq!(log_records(&sent).len() as u64, total);
        let last = numbers(&sent);
        prop_assert_eq!((last["gatelens.events.captured"], last["sent"], last["gatelens.queue.size"]), (total as f64, total as f64, 0.0));
    }
}
