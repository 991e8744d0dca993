//! The way of one request: host reads, decision, redaction.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gatelens_core::host::PluginIdentity;
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
        let context = Context { plan: &plan.request, hits: &mut hits, now_ns: 1 };
        request.record(&facts, decision, Bodies::default(), context, |series, event| {
            written = Some((series.is_some(), event.is_some()));
        });
        assert_eq!(written, Some((count == Counting::Counted, log != skipped)), "{decision:?}");
        assert_eq!(!hits.is_empty(), hit, "{decision:?}");
    }
}

#[test]
fn a_plain_request_takes_three_reads_and_others_what_they_need() {
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let check = |options: &str, request: FakeStream, reads: u32| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "gatelens_ingest"}}{options}}}"#);
        let worker = Worker::start(&gateway, &text);
        worker.host.take_reads();
        worker.finish(request);
        assert_eq!(worker.host.take_reads(), reads, "{options}");
    };
    // The headers of both messages and the attributes.
    check("", request(), 3);
    let no_headers = r#", "capture": {"response_headers": []}"#;
    check(no_headers, request(), 3);
    check(r#", "routes": {"use_route_name": true}"#, request(), 4);
    check("", request().header("content-type", "application/grpc"), 4);
    // Nothing is ever logged, so the status alone is read of the response.
    let counts_only = r#", "sample": {"rate": 0, "keep_errors": false, "keep_slower_than_ms": null}"#;
    check(counts_only, request(), 3);
    // The code details, which only a plain success does without.
    check("", request().int(Attribute::ResponseFlags, 4), 4);
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
