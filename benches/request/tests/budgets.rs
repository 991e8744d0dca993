//! Budgets of a request in the filter's own code that hold on every machine, because nothing here measures time.
//!
//! A change that needs more must raise the budget here and name the reason.

use std::rc::Rc;
use std::time::Duration;

use gatelens_bench_request::allocations;
use gatelens_bench_request::host::RecordedHost;
use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Plugin, Registry};

const CONFIGURATION: &str = r#"{
    "version": 1,
    "service": {"name": "shop"},
    "ingest": {"cluster": "gatelens_ingest"},
    "consumer": {"sources": [{"header": "x-consumer-id"}]},
    "routes": {"templates": ["GET /v1/items/{item}"]}
}"#;

const PER_TICK: u64 = 2_000;

/// Host calls of a request: the header map, the values, and the clock. One request in sixty-four reads the clock twice, and each
/// tick reads it.
const HOST_CALLS: f64 = 3.05;

/// Allocations of a request, those of the host's buffers included.
const ALLOCATIONS: f64 = 2.2;

/// Compressed bytes of a record.
const RECORD_BYTES: f64 = 103.0;

/// Memory that is held after the start, and that ten times as many requests may add.
const START_BYTES: i64 = 250_000;
const GROWTH_BYTES: i64 = 20_000;

#[test]
fn a_request_stays_within_its_budgets() {
    let before = allocations::held_bytes();
    let host = RecordedHost::new(CONFIGURATION);
    let mut plugin = Plugin::new(Rc::<Registry>::default());
    assert!(plugin.configure(&host));
    let start = allocations::held_bytes() - before;
    assert!(start <= START_BYTES, "{start} bytes at the start");

    let turns = |from: u64, count: u64| {
        (from..from + count).map(|turn| turn_of(&plugin, &host, turn)).sum::<u64>() as f64
            / (count * PER_TICK) as f64
    };
    turns(0, 2);
    let (calls, sent, held) = (host.calls(), host.sent_bytes(), allocations::held_bytes());
    let allocated = turns(2, 20);
    let requests = (20 * PER_TICK) as f64;
    let (calls, sent) =
        ((host.calls() - calls) as f64 / requests, (host.sent_bytes() - sent) as f64 / requests);
    assert!(calls <= HOST_CALLS, "{calls} host calls a request");
    assert!(allocated <= ALLOCATIONS, "{allocated} allocations a request");
    assert!(sent <= RECORD_BYTES, "{sent} bytes of log a request");
    eprintln!("{start} bytes at the start, {calls} host calls, {allocated} allocations, {sent} bytes of log");
    let grown = allocations::held_bytes() - held;
    eprintln!("{grown} bytes more after {requests} requests");
    assert!(grown <= GROWTH_BYTES, "{grown} bytes more after {requests} requests");
}

/// Requests up to the next tick, and that tick. Returns the allocations of the requests.
fn turn_of(plugin: &Plugin, host: &RecordedHost, turn: u64) -> u64 {
    host.prepare(turn * PER_TICK..(turn + 1) * PER_TICK);
    let before = allocations::count();
    while host.finish() {
        plugin.log(host);
    }
    let allocated = allocations::count() - before;
    host.pass(Duration::from_millis(500));
    plugin.tick(host);
    while let Some(id) = host.take_dispatched() {
        host.answer(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
        let _ = plugin.answered(host, id);
    }
    allocated
}
