//! The way of one request: host reads, decision, redaction.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gatelens_core::host::{PluginIdentity, Setup};
use gatelens_core::plan::Plan;
use gatelens_core::request::{Capturing, Context, Counting, Decision, FinishedRequest, Logging, decide};
use gatelens_model::NotLogged;
use gatelens_redact::Hits;
use gatelens_redact::capture::Bodies;
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream};
use gatelens_testkit::worker::Worker;

const SMALLEST: &str = r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}"#;

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

/// The system's allocator, which counts the allocations of a thread.
struct CountingAllocator;

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: see above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn request() -> FakeStream {
    FakeStream::new("GET", "/users/42?page=2", 200)
        .header("user-agent", "curl/8")
        .header("x-consumer-id", "acme")
        .header("x-request-id", "7f3c")
        .response_header(":status", "200")
        .response_header("content-type", "application/json")
        .int(Attribute::RequestDuration, 40_000_000)
        .int(Attribute::UpstreamLatency, 30_000_000)
        .int(Attribute::RequestSize, 0)
        .int(Attribute::ResponseSize, 2_000)
        .int(Attribute::Attempts, 1)
}

#[test]
fn a_decision_is_made_before_anything_is_redacted() {
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let host = gateway.worker(SMALLEST);
    let plan = Plan::read(SMALLEST, &PluginIdentity::default()).unwrap();
    host.finish(FakeStream::new("GET", "/users/42?token=s3cr3t", 200));
    let request = FinishedRequest::read(&host, &plan.request);
    let facts = request.facts(&host, &plan.request, None).unwrap();
    assert_eq!(decide(&plan.request.selection, &facts, || 0), Decision::EVERYTHING);
    let logged = Logging::Logged { capture: Capturing::NoBodies, weight: 1.0 };
    let skipped = Logging::Skipped(NotLogged::SampledOut);
    for (count, log, hit) in [
        (Counting::Counted, logged, true),
        (Counting::Excluded, logged, true),
        (Counting::Counted, skipped, false),
        (Counting::Excluded, skipped, false),
    ] {
        let (mut hits, mut written) = (Hits::default(), None);
        let decision = Decision { count, log };
        let context = Context { plan: &plan.request, hits: &mut hits, now_ns: 1, at_once: usize::MAX };
        request.record(&facts, decision, Bodies::default(), context, |series, event, _| {
            written = Some((series.is_some(), event.is_some()));
        });
        assert_eq!(written, Some((count == Counting::Counted, log != skipped)), "{decision:?}");
        assert_eq!(!hits.is_empty(), hit, "{decision:?}");
    }
}

#[test]
fn a_plain_request_takes_two_reads_and_others_what_they_need() {
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let check = |options: &str, request: FakeStream, reads: u32| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "gatelens_ingest"}}{options}}}"#);
        let worker = Worker::start(&gateway, &text);
        worker.host.take_reads();
        worker.finish(request);
        assert_eq!(worker.host.take_reads(), reads, "{options}");
    };
    // The headers of the request, and the attributes with the only header of the response that is kept.
    check("", request(), 2);
    let no_headers = r#", "capture": {"response_headers": []}"#;
    check(no_headers, request(), 2);
    let two_headers = r#", "capture": {"response_headers": ["content-type", "etag"]}"#;
    check(two_headers, request(), 3);
    check(r#", "capture": {"response_headers": ["*-type"]}"#, request(), 3);
    check(r#", "capture": {"response_headers": ["ETag"]}"#, request().response_header("etag", "a"), 2);
    // It can be absent or repeated.
    check(r#", "capture": {"response_headers": ["etag"]}"#, request(), 3);
    check("", request().response_header("content-type", "text/html"), 3);
    check(r#", "routes": {"use_route_name": true}"#, request(), 3);
    check("", request().header("content-type", "application/grpc"), 3);
    // Nothing is ever logged, so the status alone is read of the response.
    let counts_only = r#", "sample": {"rate": 0, "keep_errors": false, "keep_slower_than_ms": null}"#;
    check(counts_only, request(), 2);
    // The code details, which only a plain success does without.
    check("", request().int(Attribute::ResponseFlags, 4), 3);
}

#[test]
fn values_that_nothing_needs_are_not_read() {
    let needs = |options: &str| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "c"}}{options}}}"#);
        let plan = Plan::read(&text, &PluginIdentity::default()).unwrap().request;
        let needs = plan.info_needs();
        let header = needs.response_header.map(str::to_owned);
        ([needs.protocol, needs.client_address, needs.upstream_cluster], header)
    };
    let counters_only = r#", "sample": {"rate": 0, "keep_errors": false, "keep_slower_than_ms": null}"#;
    assert_eq!(needs(""), ([true; 3], Some("content-type".to_owned())));
    assert_eq!(needs(counters_only), ([false; 3], None));
    let with = |more: &str| needs(&format!("{counters_only}, {more}")).0;
    assert_eq!(with(r#""consumer": {"sources": [{"client_ip": true}]}"#), [false, true, false]);
    assert_eq!(with(r#""counters": {"upstream": true}"#), [false, false, true]);
    // Errors are logged.
    assert_eq!(needs(r#", "sample": {"rate": 0, "keep_errors": true}"#).0, [true; 3]);
}

#[test]
fn a_host_that_tests_presence_saves_the_reads_of_what_is_absent() {
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let check = |options: &str, request: FakeStream, reads: u32| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "gatelens_ingest"}}{options}}}"#);
        let worker = Worker::start(&gateway, &text);
        worker.host.test_presence();
        worker.host.take_reads();
        worker.finish(request);
        assert_eq!(worker.host.take_reads(), reads, "{options}");
    };
    check("", request(), 2);
    // The code details are among the values.
    check("", request().int(Attribute::ResponseFlags, 4), 2);
    check(r#", "capture": {"response_headers": ["etag"]}"#, request(), 2);
    // It can be repeated.
    check("", request().response_header("content-type", "text/html"), 3);
}

#[test]
fn a_response_header_is_logged_the_same_whether_it_is_read_alone_or_with_all() {
    let read = |names: &str, values: &[&str], tests_presence: bool| {
        let text = format!(
            r#"{{"version": 1, "ingest": {{"cluster": "c"}}, "capture": {{"response_headers": [{names}]}}}}"#
        );
        let host = FakeGateway::starting_at(1_700_000_000_000_000_000).worker(&text);
        let plan = Plan::read(&text, &PluginIdentity::default()).unwrap();
        host.prepare_info(plan.request.info_needs());
        if tests_presence {
            host.test_presence();
        }
        let response = FakeStream::new("GET", "/a", 200).response_header(":status", "200");
        host.finish(values.iter().fold(response, |stream, value| stream.response_header("x-a", value)));
        let request = FinishedRequest::read(&host, &plan.request);
        let facts = request.facts(&host, &plan.request, None).unwrap();
        let context =
            Context { plan: &plan.request, hits: &mut Hits::default(), now_ns: 1, at_once: usize::MAX };
        let mut headers = Vec::new();
        request.record(&facts, Decision::EVERYTHING, Bodies::default(), context, |_, event, _| {
            let kept = event.unwrap().response_headers.iter();
            headers = kept.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        });
        (headers, host.take_reads())
    };
    let logged = |names: &str, values: &[&str]| read(names, values, false);
    let values: [&[&str]; 7] =
        [&["a"], &[], &[""], &["", "a"], &["a", "b"], &["a,b"], &["https://ann:x@host/?token=s3cr3t"]];
    for values in values {
        let (alone, of_two) = (logged(r#""X-A""#, values), logged(r#""x-a", "x-b""#, values));
        assert_eq!(alone.0, of_two.0, "{values:?}");
        assert_eq!(alone.0.len(), values.len(), "{values:?}");
        assert_eq!(read(r#""X-A""#, values, true).0, alone.0, "{values:?}");
    }
    // With the code details, because nothing says that the upstream responded.
    assert_eq!((logged(r#""x-a""#, &["a"]).1, logged(r#""x-a""#, &[""]).1), (3, 4));
}

#[test]
fn a_plain_request_takes_few_allocations() {
    const REQUESTS: u32 = 200;
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let worker = Worker::start(&gateway, SMALLEST);
    worker.host.finish(request());
    let log = || (0..REQUESTS).for_each(|_| worker.plugin.log(&worker.host));
    log();
    let before = ALLOCATIONS.get();
    log();
    let each = f64::from(ALLOCATIONS.get() - before) / f64::from(REQUESTS);
    assert!(each <= 5.0, "{each} allocations for each request");
}

#[test]
fn a_request_that_is_not_logged_takes_fewer_allocations() {
    const REQUESTS: u32 = 200;
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let check = |options: &str, most: f64| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "c"}}, {options}}}"#);
        let worker = Worker::start(&gateway, &text);
        worker.host.finish(request());
        let log = || (0..REQUESTS).for_each(|_| worker.plugin.log(&worker.host));
        log();
        let before = ALLOCATIONS.get();
        log();
        let each = f64::from(ALLOCATIONS.get() - before) / f64::from(REQUESTS);
        assert!(each <= most, "{options}: {each} allocations for each request");
    };
    // The name of the consumer, and what finds the route.
    check(r#""sample": {"rate": 0}"#, 3.0);
    let template = r#""routes": {"templates": ["/users/{id}"]}"#;
    check(&format!(r#""sample": {{"rate": 0}}, {template}"#), 2.0);
    check(&format!(r#""exclude": {{"log": {{"paths": ["/users/*"]}}}}, {template}"#), 2.0);
}
