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

/// Ticks without requests: 50 s, in which the counters are exported five times, although nothing has changed.
const IDLE_TICKS: u64 = 100;

/// Requests served before those that count. They allocate everything that every later one uses again.
const WARM: u64 = PER_TICK * 2;

fn main() {
    let requests = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let configuration = std::env::var("CONFIGURATION").unwrap_or_else(|_| CONFIGURATION.to_owned());
    let host = RecordedHost::new(&configuration);
    let Some(plugin) = warm(&host) else { std::process::exit(1) };

    let (sent, buffers) = (host.sent_bytes(), host.buffers());
    let mut next = WARM;
    let mut log_allocations = 0;
    while next < WARM + requests {
        host.prepare(next..next + PER_TICK);
        let before = allocations::count();
        serve_between_ticks(&plugin, &host);
        log_allocations += allocations::count() - before;
        tick_and_deliver(&plugin, &host);
        next += PER_TICK;
    }
    let served = (next - WARM) as f64;
    let per_request = |count: u64| count as f64 / served;
    println!(
        "{served} requests, per request: {:.2} allocations in the callback ({:.2} of them buffers of the host), {:.1} bytes of log sent, {:.2} host calls",
        per_request(log_allocations),
        per_request(host.buffers() - buffers),
        per_request(host.sent_bytes() - sent),
        host.calls_per_request(),
    );

    let before = host.shared_uses();
    for _ in 0..IDLE_TICKS {
        tick_and_deliver(&plugin, &host);
    }
    let after = host.shared_uses();
    let per_tick = |before: u64, after: u64| (after - before) as f64 / IDLE_TICKS as f64;
    println!(
        "a tick of the leading worker without requests: {:.1} reads and {:.1} writes of shared data",
        per_tick(before.0, after.0),
        per_tick(before.1, after.1),
    );
}

/// A plugin that has served the first requests; `None` if it refuses the configuration.
fn warm(host: &RecordedHost) -> Option<Plugin> {
    let mut plugin = Plugin::new(Rc::<Registry>::default());
    if !plugin.configure(host) {
        return None;
    }
    for begin in (0..WARM).step_by(PER_TICK as usize) {
        host.prepare(begin..begin + PER_TICK);
        serve_between_ticks(&plugin, host);
        tick_and_deliver(&plugin, host);
    }
    Some(plugin)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Most requests in a hundred that end a portion or a batch, or after which the log's codes are made anew. The bytes
    /// that are sent are allocated then.
    const MOST_ENDS: u64 = 2;

    #[test]
    fn requests_in_the_steady_state_allocate_nothing_beside_the_buffers_of_the_host() {
        let host = RecordedHost::new(CONFIGURATION);
        let plugin = warm(&host).unwrap();
        let mut with_allocations = 0;
        for number in WARM..WARM + PER_TICK {
            host.prepare(number..number + 1);
            assert!(host.finish());
            let (before, buffers) = (allocations::count(), host.buffers());
            plugin.log(&host);
            let own = allocations::count() - before - (host.buffers() - buffers);
            with_allocations += u64::from(own > 0);
        }
        assert!(with_allocations <= PER_TICK * MOST_ENDS / 100, "{with_allocations} of {PER_TICK} requests");
    }
}
