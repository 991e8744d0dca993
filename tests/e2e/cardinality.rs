//! A client that sends a new consumer with each request needs no more memory than the caps allow, and costs no count.

use std::env;
use std::net::SocketAddr;
use std::thread;

use gatelens_testkit::Listeners;
use gatelens_testkit::client::{Connection, Request};
use serde_json::json;

use super::report;
use super::stack::{Mode, Stack, plugin};

const CLIENTS: usize = 8;

/// Bytes by which Envoy may grow: two queues of 8 MiB, the series, and memory that the allocators of Envoy and of three
/// Wasm VMs keep.
const GROWTH_BYTES: u64 = 128 << 20;

#[test]
fn a_new_consumer_with_each_request() {
    check(Mode::Logger, 100_000);
}

#[test]
fn a_new_consumer_with_each_request_to_a_module() {
    check(Mode::ModuleLogger, 100_000);
}

/// One million requests.
#[test]
#[ignore = "takes a minute: make chaos"]
fn a_new_consumer_with_each_of_a_million_requests() {
    check(Mode::Logger, 1_000_000);
}

/// One million requests.
#[test]
#[ignore = "takes a minute: make chaos"]
fn a_new_consumer_with_each_of_a_million_requests_to_a_module() {
    check(Mode::ModuleLogger, 1_000_000);
}

fn check(mode: Mode, requests: usize) {
    let requests = env::var("CARDINALITY_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(requests);
    let mut stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin()));
    let address = stack.envoy.address();
    // Both workers have handled requests and allocated their buffers.
    attack(address, "warm", 4_000);
    let before = stack.envoy.process().resident_bytes().unwrap();
    attack(address, "mallory", requests);
    let after = stack.envoy.process().resident_bytes().unwrap();

    let sent = (requests + 4_000) as u64;
    stack.wait_for_count(sent);
    let fates = report::settled(&stack.ingest, sent);
    assert_eq!(fates.captured, fates.sent + fates.dropped.values().sum::<u64>(), "{fates:?}");
    assert_eq!(fates.captured, sent);
    let [gateway] = &report::gateways(&stack.ingest)[..] else { panic!("one gateway") };
    let (series, overflow) = (gateway["series"].as_u64().unwrap(), gateway["overflow"].as_u64().unwrap());
    let settled = stack.envoy.process().resident_bytes().unwrap();
    eprintln!(
        "{sent} requests, each with a consumer of its own: {series} series, {overflow} requests in overflow; \
         Envoy {} MB before, {} MB right after, {} MB when all is delivered; log records {fates:?}",
        before >> 20,
        after >> 20,
        settled >> 20
    );
    assert!(series <= 10_000, "{series}");
    assert!(overflow >= sent - 10_000, "{overflow}");
    let summary = stack.ingest.get_json("/api/v1/summary?consumer=__overflow__").unwrap();
    assert_eq!(summary["rows"][0]["requests"], json!(overflow));
    for bytes in [after, settled] {
        assert!(bytes.saturating_sub(before) < GROWTH_BYTES, "{before} {bytes}");
    }
}

/// Over several connections, so that both workers get requests.
fn attack(address: SocketAddr, name: &str, requests: usize) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for n in 0..requests / CLIENTS {
                    let request =
                        Request::get("/direct").header("x-consumer-id", format!("{name}-{client}-{n}"));
                    assert_eq!(connection.request(&request).unwrap().status, 200);
                }
            });
        }
    });
}
