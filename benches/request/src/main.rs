//! `gatelens-bench-request`: requests without bodies through the filter's own code, natively and without Envoy.
//!
//! Under callgrind it counts instructions, which a busy machine does not change (`make bench-request`). By itself it counts
//! allocations, host calls and bytes. The host returns its buffers as Envoy does: one allocation and one copy each.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use gatelens_bench_request::allocations;
use gatelens_bench_request::host::RecordedHost;
use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Plugin, Registry};

/// The sections that the shipped configurations have.
const CONFIGURATION: &str = r#"{
    "version": 1,
    "service": {"name": "shop", "version": "1.0.0", "environment": "demo"},
    "ingest": {"cluster": "gatelens_ingest"},
    "consumer": {"sources": [{"header": "x-consumer-id"}]},
    "routes": {"templates": ["/users/{id}", "GET /v1/items/{item}"]}
}"#;

/// Requests between two ticks: 500 ms at 4,000 requests a second.
const PER_TICK: u64 = 2_000;

fn main() {
    let requests = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let configuration = std::env::var("CONFIGURATION").unwrap_or_else(|_| CONFIGURATION.to_owned());
    let host = RecordedHost::new(&configuration);
    let mut plugin = Plugin::new(Rc::<Registry>::default());
    if !plugin.configure(&host) {
        std::process::exit(1);
    }
    // Everything that the first requests allocate and every later one uses again.
    for begin in [0, PER_TICK] {
        host.prepare(begin..begin + PER_TICK);
        serve_between_ticks(&plugin, &host);
        tick_and_deliver(&plugin, &host);
    }

    let sent = host.sent_bytes();
    let mut next = PER_TICK * 2;
    let mut log_allocations = 0;
    while next < PER_TICK * 2 + requests {
        host.prepare(next..next + PER_TICK);
        let before = allocations::count();
        serve_between_ticks(&plugin, &host);
        log_allocations += allocations::count() - before;
        tick_and_deliver(&plugin, &host);
        next += PER_TICK;
    }
    let served = (next - PER_TICK * 2) as f64;
    let per_request = |count: u64| count as f64 / served;
    println!(
        "{served} requests, per request: {:.2} allocations in the callback ({:.2} of them buffers of the host), {:.1} bytes of log sent, {:.2} host calls",
        per_request(log_allocations),
        host.buffers_per_request(),
        per_request(host.sent_bytes() - sent),
        host.calls_per_request(),
    );
}

/// Callgrind collects here.
#[inline(never)]
#[unsafe(no_mangle)]
fn serve_between_ticks(plugin: &Plugin, host: &RecordedHost) {
    while host.finish() {
        plugin.log(black_box(host));
    }
}

/// And here: the rest of what requests cost.
#[inline(never)]
#[unsafe(no_mangle)]
fn tick_and_deliver(plugin: &Plugin, host: &RecordedHost) {
    host.pass(Duration::from_millis(500));
    plugin.tick(host);
    while let Some(id) = host.take_dispatched() {
        host.answer(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
        let _ = plugin.answered(host, id);
    }
}
