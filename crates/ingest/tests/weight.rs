//! The decoder states how much memory it takes before it takes it, and that is no more than a multiple of the body. An
//! allocator that counts is the judge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use gatelens_ingest::fuzzing;
use gatelens_testkit::export::{Frame, attribute, int, list, sum, text};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// No body may take more memory than this many times its bytes, and a fixed amount: SECURITY.md and
/// docs/operations.md state it.
const MULTIPLE: usize = 64;
const FIXED: usize = 16 << 20;

/// Counts the bytes of the thread, as glibc takes them: 8 bytes more, in steps of 16, at least 32.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn taken(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

fn take(size: usize) {
    let held = HELD.get() + taken(size);
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

fn give(size: usize) {
    HELD.set(HELD.get().saturating_sub(taken(size)));
}

// SAFETY: all of it is the system's allocator; what is counted beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // For a moment there may be both.
        take(size);
        give(layout.size());
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Asserts that a body takes no more than was stated, and that this is within the multiple. Returns the peak.
fn check(signal: &str, encoding: &str, body: &[u8]) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    let stated = fuzzing::stated(signal, encoding, body);
    let peak = PEAK.get() - before;
    let stated = stated.unwrap_or_else(|| panic!("{encoding} of {signal} is refused: {} bytes", body.len()));
    assert!(peak <= stated, "{signal} in {encoding}: {} bytes took {peak}, stated were {stated}", body.len());
    let most = MULTIPLE * body.len() + FIXED;
    assert!(stated <= most, "{signal} in {encoding}: for {} bytes, {stated} were stated", body.len());
    peak
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn resource(attributes: Vec<KeyValue>) -> Option<Resource> {
    Some(Resource { attributes, ..Default::default() })
}

fn metrics(attributes: Vec<KeyValue>, metrics: Vec<Metric>) -> ResourceMetrics {
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    ResourceMetrics { resource: resource(attributes), scope_metrics, ..Default::default() }
}

fn counts(attributes: Vec<KeyValue>, all: Vec<Metric>) -> Vec<u8> {
    ExportMetricsServiceRequest { resource_metrics: vec![metrics(attributes, all)] }.encode_to_vec()
}

fn records(attributes: Vec<KeyValue>, log_records: Vec<LogRecord>) -> ResourceLogs {
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    ResourceLogs { resource: resource(attributes), scope_logs, ..Default::default() }
}

fn logs(attributes: Vec<KeyValue>, all: Vec<LogRecord>) -> Vec<u8> {
    ExportLogsServiceRequest { resource_logs: vec![records(attributes, all)] }.encode_to_vec()
}

fn spans(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn long() -> Vec<KeyValue> {
    ["service.name", "deployment.environment.name", "service.version"]
        .map(|key| text(key, &"x".repeat(2_048)))
        .into()
}

const DURATION: &str = "http.server.request.duration";

#[test]
fn bodies_made_to_take_memory_take_what_was_stated() {
    let request = LogRecord { event_name: "gatelens.request".to_owned(), ..Default::default() };
    check("logs", "protobuf", &logs(long(), vec![LogRecord::default(); 100_000]));
    check("logs", "protobuf", &logs(long(), vec![request.clone(); 40_000]));
    let frame = Frame::default();
    let time = now();
    let point = |i: u64| HistogramDataPoint { time_unix_nano: time - i, ..Default::default() };
    check(
        "metrics",
        "protobuf",
        &counts(long(), vec![frame.explicit(DURATION, (0..60_000).map(point).collect())]),
    );
    let routes =
        |i: u64| HistogramDataPoint { attributes: vec![text("http.route", &format!("/{i}"))], ..point(0) };
    check(
        "metrics",
        "protobuf",
        &counts(long(), vec![frame.explicit(DURATION, (0..20_000).map(routes).collect())]),
    );
    let wide = |i: u64| ExponentialHistogramDataPoint {
        time_unix_nano: time - i,
        count: 2_500,
        scale: 5,
        positive: Some(Buckets { offset: -1_250, bucket_counts: vec![1; 2_500] }),
        ..Default::default()
    };
    check(
        "metrics",
        "protobuf",
        &counts(vec![], vec![frame.exponential(DURATION, (0..300).map(wide).collect())]),
    );
    let hit = |i: u32| (vec![text("gatelens.redaction.rule", &format!("keys:{i}"))], 1);
    check(
        "metrics",
        "protobuf",
        &counts(vec![], vec![sum("gatelens.redaction.hits", (0..12_000).map(hit).collect(), time)]),
    );
    let resources = vec![metrics(vec![], vec![]); 50_000];
    check(
        "metrics",
        "protobuf",
        &ExportMetricsServiceRequest { resource_metrics: resources }.encode_to_vec(),
    );
    let instance = |i: u32| records(vec![text("service.instance.id", &i.to_string())], vec![request.clone()]);
    check(
        "logs",
        "protobuf",
        &ExportLogsServiceRequest { resource_logs: (0..2_000).map(instance).collect() }.encode_to_vec(),
    );
    let headers = |name: &str| text(name, &"\u{1}".repeat(65_000));
    let captured = LogRecord {
        attributes: vec![
            headers("http.request.header.a"),
            headers("http.response.header.b"),
            headers("gatelens.request.body.content"),
        ],
        ..request.clone()
    };
    check("logs", "protobuf", &logs(vec![], vec![captured; 30]));
    let wide = LogRecord { attributes: vec![KeyValue::default(); 1_990], ..request };
    check("logs", "protobuf", &logs(vec![], vec![wide; 20]));
    let server = Span { kind: 2, attributes: vec![text("http.request.method", "GET")], ..Default::default() };
    check("traces", "protobuf", &spans(vec![server; 20_000]));
}

#[test]
fn bodies_in_json_take_what_was_stated() {
    let many = |open: &str, one: &str, count: usize, close: &str| {
        format!("{open}{}{close}", vec![one; count].join(",")).into_bytes()
    };
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":["#;
    check("logs", "json", &many(logs, r#"{"eventName":"gatelens.request"}"#, 20_000, "]}]}]}"));
    check("logs", "json", &many(logs, "{}", 60_000, "]}]}]}"));
    check(
        "logs",
        "json",
        &many(
            logs,
            r#"{"eventName":"gatelens.request","attributes":[{"key":"url.path","value":{"stringValue":"\u0041\n"}}]}"#,
            10_000,
            "]}]}]}",
        ),
    );
    let bounds = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"http.server.request.duration","histogram":{"aggregationTemporality":2,"dataPoints":[{"bucketCounts":["#;
    check("metrics", "json", &many(bounds, "0", 1_000_000, "]}]}}]}]}]}"));
    let points = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"http.server.request.duration","histogram":{"aggregationTemporality":2,"dataPoints":["#;
    check("metrics", "json", &many(points, "{}", 60_000, "]}}]}]}]}"));
}

#[test]
fn nothing_is_taken_without_being_stated() {
    // The judge itself: a decoder that states nothing is found out.
    let before = HELD.get();
    PEAK.set(before);
    let kept = vec![0u8; 1 << 20];
    assert!(PEAK.get() - before >= kept.len());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "\\PC{0,40}".prop_map(Value::StringValue),
        (0usize..3_000).prop_map(|len| Value::StringValue("\u{2}".repeat(len))),
        any::<i64>().prop_map(Value::IntValue),
        any::<bool>().prop_map(Value::BoolValue),
        prop::collection::vec(any::<u8>(), 0..50).prop_map(Value::BytesValue),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        let any = inner.clone().prop_map(|value| AnyValue { value: Some(value) });
        prop_oneof![
            prop::collection::vec(any.clone(), 0..5)
                .prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            prop::collection::vec(("[a-z.]{0,12}", any), 0..5).prop_map(|pairs| {
                let pair = |(key, value)| KeyValue { key, value: Some(value), ..Default::default() };
                Value::KvlistValue(KeyValueList { values: pairs.into_iter().map(pair).collect() })
            }),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![
        Just("http.request.method".to_owned()),
        Just("http.route".to_owned()),
        Just("gatelens.consumer.id".to_owned()),
        Just("enduser.id".to_owned()),
        Just("service.name".to_owned()),
        Just("gatelens.tag.team".to_owned()),
        Just("gatelens.request.body.content".to_owned()),
        "http\\.request\\.header\\.[a-c]{0,3}",
        "[a-z.]{0,20}",
    ];
    prop::collection::vec((key, value()), 0..12)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| attribute(&key, value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_logs(of in attributes(), all in prop::collection::vec(attributes(), 0..40)) {
        let record = |attributes| LogRecord { event_name: "gatelens.request".to_owned(), attributes, ..Default::default() };
        check("logs", "protobuf", &logs(of, all.into_iter().map(record).collect()));
    }

    #[test]
    fn arbitrary_counts(
        of in attributes(),
        all in prop::collection::vec((attributes(), 0i32..300, 0u64..3, any::<bool>()), 0..60),
    ) {
        let frame = Frame::default();
        let time = now();
        let mut exponential = Vec::new();
        let mut explicit = Vec::new();
        for (attributes, buckets, at, is_exponential) in all {
            let (count, time_unix_nano) = (buckets as u64, time - at);
            match is_exponential {
                true => exponential.push(ExponentialHistogramDataPoint {
                    attributes,
                    time_unix_nano,
                    count,
                    scale: 5,
                    positive: Some(Buckets { offset: -buckets, bucket_counts: vec![1; buckets as usize] }),
                    ..Default::default()
                }),
                false => explicit.push(HistogramDataPoint {
                    attributes,
                    time_unix_nano,
                    count: count + 1,
                    bucket_counts: vec![1; buckets as usize + 1],
                    explicit_bounds: (1..=buckets).map(|i| f64::from(i) / 100.0).collect(),
                    ..Default::default()
                }),
            }
        }
        let all = vec![frame.exponential(DURATION, exponential), frame.explicit("gatelens.upstream.duration", explicit)];
        check("metrics", "protobuf", &counts(of, all));
    }

    #[test]
    fn arbitrary_spans(all in prop::collection::vec(attributes(), 0..40)) {
        let span = |mut attributes: Vec<KeyValue>| {
            attributes.extend([text("http.request.method", "GET"), int("x", 1), list("y", &["a"])]);
            Span { kind: 2, attributes, ..Default::default() }
        };
        check("traces", "protobuf", &spans(all.into_iter().map(span).collect()));
    }
}
