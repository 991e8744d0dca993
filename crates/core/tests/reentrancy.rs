//! A host that calls the filter while the filter calls the host: no known gateway does. Such a request is missing from
//! the counters, and `gatelens.requests.uncounted` counts it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Plugin, Registry};
use gatelens_testkit::fake::{FakeGateway, FakeStream};
use gatelens_testkit::otlp::{counts, numbers};

const START: u64 = 1_700_000_000_000_000_000;

#[test]
fn a_request_within_a_host_call_is_reported_as_uncounted() {
    let gateway = FakeGateway::starting_at(START);
    let host = Rc::new(gateway.worker(r#"{"version": 1, "ingest": {"cluster": "c"}}"#));
    let mut plugin = Plugin::new(Rc::<Registry>::default());
    assert!(plugin.configure(&*host));
    let plugin = Rc::new(plugin);
    host.finish(FakeStream::new("GET", "/a", 200));
    plugin.log(&*host);

    // While the worker merges, the host reports another finished request.
    let (inner_host, inner_plugin) = (Rc::clone(&host), Rc::clone(&plugin));
    host.on_next_shared_read(move || inner_plugin.log(&*inner_host));
    gateway.wait(Duration::from_secs(1));
    let mut sent = Vec::new();
    for _ in 0..3 {
        plugin.tick(&*host);
        for request in host.take_sent() {
            host.answer_with(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
            let _ = plugin.answered(&*host, request.id);
            sent.push(request);
        }
        gateway.wait(Duration::from_secs(20));
    }
    assert_eq!(numbers(&sent)["gatelens.requests.uncounted"], 1.0);
    assert_eq!(counts(&sent).values().sum::<u64>(), 1, "the first request is counted");
}
