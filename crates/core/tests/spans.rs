//! Requests as spans: from the end of a request to what a tracing back end reads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::time::Duration;

use gatelens_core::filter::EndStream;
use gatelens_core::host::{CalloutAnswer, DispatchError};
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{Exported, attributes, log_records, points, spans};
use gatelens_testkit::worker::{Body, Worker};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

const START: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

fn start(sections: &str) -> Worker {
    start_as("spans", sections)
}

fn start_as(requests_as: &str, sections: &str) -> Worker {
    let ingest =
        format!(r#""ingest": {{"cluster": "c", "path_prefix": "/otlp", "requests_as": "{requests_as}"}}"#);
    Worker::start(&FakeGateway::starting_at(START), &format!(r#"{{"version": 1, {ingest}{sections}}}"#))
}

fn request(status: u16) -> FakeStream {
    FakeStream::new("GET", "/users/42?a=b", status)
        .text(Attribute::UpstreamCluster, "users")
        .int(Attribute::Attempts, 2)
        .int(Attribute::RequestDuration, 40 * MS as i64)
        .int(Attribute::UpstreamLatency, 30 * MS as i64)
}

fn delivered(worker: &Worker) -> Vec<Sent> {
    let mut sent = worker.deliver_after(Duration::from_secs(15));
    sent.extend(worker.deliver_after(Duration::from_secs(15)));
    sent
}

/// The gateway's span and that of the upstream call.
fn pair(spans: &[Span]) -> [&Span; 2] {
    let of_kind = |kind: SpanKind| {
        let mut all = spans.iter().filter(|span| span.kind == kind as i32);
        let found = all.next().unwrap();
        assert!(all.next().is_none(), "{spans:?}");
        found
    };
    [of_kind(SpanKind::Server), of_kind(SpanKind::Client)]
}

#[test]
fn a_request_is_a_span_below_its_caller_and_its_upstream_call_one_below_it() {
    let worker = start("");
    worker.finish(request(503).header("traceparent", format!("{TRACEPARENT}01")));
    let sent = delivered(&worker);
    assert!(log_records(&sent).is_empty());
    let traces: Vec<_> = sent.iter().filter(|request| request.header(":path") == "/otlp/v1/traces").collect();
    assert_eq!((traces.len(), traces[0].header("x-gatelens-sequence")), (1, "1"));
    let spans = spans(&sent);
    let [gateway, upstream] = pair(&spans);
    let trace = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128).to_be_bytes();
    assert_eq!((&gateway.trace_id[..], &upstream.trace_id[..]), (&trace[..], &trace[..]));
    assert_eq!(gateway.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!(upstream.parent_span_id, gateway.span_id);
    assert_ne!(upstream.span_id, gateway.span_id);
    assert_eq!([gateway.flags, upstream.flags], [1, 1]);
    assert_eq!((gateway.name.as_str(), upstream.name.as_str()), ("GET /users/{number}", "GET"));
    let end = gateway.end_time_unix_nano;
    assert_eq!(end - gateway.start_time_unix_nano, 40 * MS);
    assert_eq!((upstream.end_time_unix_nano, end - upstream.start_time_unix_nano), (end, 30 * MS));
    for span in [gateway, upstream] {
        assert_eq!(span.status.as_ref().unwrap().code, StatusCode::Error as i32);
    }
    let named = attributes(&gateway.attributes);
    let get = |key: &str| named.get(key).map(String::as_str);
    assert_eq!(
        (get("http.route"), get("url.query"), get("error.type"), get("gatelens.consumer.id")),
        (Some("/users/{number}"), Some("a=b"), Some("503"), Some("anonymous"))
    );
    let named = attributes(&upstream.attributes);
    assert_eq!(
        named.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(),
        [
            ("gatelens.upstream.cluster", "users"),
            ("http.request.method", "GET"),
            ("http.request.resend_count", "1"),
            ("http.response.status_code", "503"),
        ]
    );
    assert_eq!(points(&sent, "gatelens.events")["sent"], 1);
}

#[test]
fn a_request_without_a_trace_begins_one_and_one_without_an_upstream_has_no_call() {
    let worker = start("");
    worker.finish(FakeStream::new("GET", "/a", 200).int(Attribute::RequestDuration, 5 * MS as i64));
    worker.finish(FakeStream::new("GET", "/b", 404).header("traceparent", "garbage"));
    let spans = spans(&delivered(&worker));
    let [one, other] = &spans[..] else { panic!("{spans:?}") };
    for span in [one, other] {
        assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 0));
        assert!(span.trace_id.iter().any(|byte| *byte != 0) && span.status.is_none(), "{span:?}");
    }
    assert!(one.trace_id != other.trace_id && one.span_id != other.span_id);
}

#[test]
fn a_trace_that_is_not_sampled_has_no_span_and_its_request_counts() {
    let worker = start("");
    worker.finish(request(200).header("traceparent", format!("{TRACEPARENT}00")));
    worker.finish(request(500).header("traceparent", format!("{TRACEPARENT}00")));
    worker.finish(request(200).header("traceparent", format!("{TRACEPARENT}01")));
    let sent = delivered(&worker);
    assert_eq!(spans(&sent).len(), 2);
    assert_eq!(points(&sent, "gatelens.requests.not_logged")["sampled_out"], 2);
    let log = Worker::start(
        &FakeGateway::starting_at(START),
        r#"{"version": 1, "ingest": {"cluster": "c", "requests_as": "logs"}}"#,
    );
    log.finish(request(200).header("traceparent", format!("{TRACEPARENT}00")));
    assert_eq!(log_records(&delivered(&log)).len(), 1, "the log has them all");
}

#[test]
fn bodies_of_any_size_are_attributes_of_the_gateways_span() {
    let worker = start(r#", "capture": {"request_body": true, "response_body": true}"#);
    let large = format!("[{}]", vec![r#"{"name": "x", "password": "hidden-1"}"#; 3_000].join(","));
    worker.stream(
        request(200).header("content-type", "application/json").header("x-response", "1"),
        &Body(vec![large.into_bytes()], EndStream::Yes),
        &Body::whole(r#"{"password": "hidden-2"}"#),
    );
    let mut sent = Vec::new();
    for _ in 0..400 {
        sent.extend(worker.deliver_after(Duration::from_millis(100)));
    }
    let spans = spans(&sent);
    let [gateway, _] = pair(&spans);
    let text = format!("{:?}", attributes(&gateway.attributes));
    assert!(!text.contains("hidden"), "{text:.300}");
    assert!(
        text.contains("gatelens.request.body.") && text.contains("gatelens.response.body."),
        "{text:.300}"
    );
}

#[test]
fn bodies_of_spans_that_find_no_room_are_omitted_with_their_reason() {
    let worker = start(
        r#", "capture": {"request_body": true}, "limits": {"queue_bytes": 65536, "batch_bytes": 16384}"#,
    );
    worker.host.refuse(Some(DispatchError::Unavailable));
    // Nothing that compresses well.
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    for _ in 0..60 {
        let noise: String = std::iter::repeat_with(&mut next).take(500).collect();
        let body = Body::whole(&format!(r#"{{"a": "{noise}"}}"#));
        worker.stream(request(200).header("content-type", "application/json"), &body, &Body::none());
        worker.gateway.wait(Duration::from_secs(1));
        worker.plugin.tick(&worker.host);
    }
    worker.host.refuse(None);
    worker.gateway.wait(Duration::from_secs(45));
    let sent = delivered(&worker);
    let spans = spans(&sent);
    assert_eq!(spans.len(), 120, "no span is lost");
    let reasons = spans
        .iter()
        .filter_map(|span| attributes(&span.attributes).get("gatelens.request.body.omitted").cloned());
    let taken = reasons.filter(|reason| reason == "queue_full").count();
    assert_eq!(points(&sent, "gatelens.bodies")["queue_full request"], taken as i64);
    assert!(taken > 20, "{taken}");
}

#[test]
fn of_both_the_record_names_the_span_and_has_the_bodies() {
    let worker = start_as("both", r#", "capture": {"request_body": true, "response_body": true}"#);
    worker.stream(
        request(200)
            .header("traceparent", format!("{TRACEPARENT}01"))
            .header("content-type", "application/json")
            .header("x-response", "1"),
        &Body::whole(r#"{"a": "small"}"#),
        &Body::none(),
    );
    let large = format!("[{}]", vec![r#"{"name": "x"}"#; 9_000].join(","));
    worker.stream(
        request(200).header("content-type", "application/json"),
        &Body(vec![large.into_bytes()], EndStream::Yes),
        &Body::none(),
    );
    let mut sent = Vec::new();
    for _ in 0..400 {
        sent.extend(worker.deliver_after(Duration::from_millis(100)));
    }
    let (spans, records) = (spans(&sent), log_records(&sent));
    let gateways: Vec<&Span> = spans.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
    assert_eq!((gateways.len(), spans.len(), records.len()), (2, 4, 2));
    for (span, record) in gateways.iter().zip(&records) {
        assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
        let (of_span, of_record) = (attributes(&span.attributes), attributes(&record.attributes));
        assert_eq!(of_span.get("gatelens.in_log").map(String::as_str), Some("true"));
        assert!(!of_record.contains_key("gatelens.in_log"));
        assert!(of_record.keys().any(|key| key.starts_with("gatelens.request.body.")), "{of_record:?}");
        assert!(!of_span.keys().any(|key| key.contains(".body.content") || key.contains(".body.omitted")));
        let of_both = ["http.route", "http.response.status_code", "gatelens.duration_ns"];
        of_both.iter().for_each(|key| assert_eq!(of_span[*key], of_record[*key]));
    }
    let first = attributes(&records[0].attributes);
    assert_eq!(first["gatelens.request.body.content"], r#"{"a": "small"}"#);
    // Each signal has sequence numbers and fates of its own.
    let of_path = |path: &str| {
        let all = sent.iter().filter(|request| request.header(":path") == path);
        all.map(|request| request.header("x-gatelens-sequence").parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    for path in ["/otlp/v1/logs", "/otlp/v1/traces"] {
        let numbers = of_path(path);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{path}");
    }
    assert_eq!(points(&sent, "gatelens.events")["sent"], 2);
    let deliveries = points(&sent, "gatelens.delivery.events");
    assert_eq!((deliveries["c/otlp sent logs"], deliveries["c/otlp sent traces"]), (2, 2));
}

#[test]
fn of_both_a_trace_that_is_not_sampled_has_a_record_alone() {
    let worker = start_as("both", "");
    worker.finish(request(200).header("traceparent", format!("{TRACEPARENT}00")));
    worker.finish(request(200).header("traceparent", format!("{TRACEPARENT}01")));
    let sent = delivered(&worker);
    let records = log_records(&sent);
    assert_eq!((records.len(), spans(&sent).len()), (2, 2));
    // Without a span of its own, a request's record names that of its caller.
    assert_eq!(records[0].span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_ne!(records[1].span_id, records[0].span_id);
    assert!(
        !points(&sent, "gatelens.requests.not_logged").contains_key("sampled_out")
            || points(&sent, "gatelens.requests.not_logged")["sampled_out"] == 0
    );
    let captured = points(&sent, "gatelens.delivery.events.captured");
    assert_eq!((captured["c/otlp logs"], captured["c/otlp traces"]), (2, 1));
}

#[test]
fn of_both_one_signal_that_fails_holds_up_neither_the_other_nor_the_counters() {
    let worker = start_as("both", "");
    let mut accepted = Vec::new();
    for _ in 0..40 {
        worker.finish(request(200));
        worker.gateway.wait(Duration::from_secs(1));
        worker.plugin.tick(&worker.host);
        loop {
            let sent = worker.host.take_sent();
            if sent.is_empty() {
                break;
            }
            for request in sent {
                let is_down = request.path().ends_with("/v1/traces");
                let status = Some(if is_down { 503 } else { 200 });
                worker.host.answer_with(CalloutAnswer { status, ..CalloutAnswer::default() });
                let _ = worker.plugin.answered(&worker.host, request.id);
                if !is_down {
                    accepted.push(request);
                }
            }
        }
    }
    let records = log_records(&accepted).len();
    assert!(records >= 38, "{records}");
    let deliveries = points(&accepted, "gatelens.delivery.events");
    assert!(deliveries["c/otlp sent logs"] >= 37, "{deliveries:?}");
    assert_eq!(deliveries["c/otlp sent traces"], 0);
    let sent = delivered(&worker);
    assert_eq!(spans(&sent).len(), 80, "none was lost");
}
