//! Requests as spans, through the real Envoy to the ingest: the same requests, each once, and none for the second span.

use std::collections::BTreeSet;

use gatelens_testkit::Listeners;
use gatelens_testkit::client::{Connection, Request};
use serde_json::{Value, json};

use super::stack::{Mode, Stack, in_both_modes};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn plugin() -> Value {
    json!({
        "version": 1,
        "service": {"name": "shop"},
        "ingest": {"cluster": "gatelens_ingest", "requests_as": "spans"},
        "sample": {"rate": 1.0},
    })
}

fn requests_arrive_as_spans(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin()));
    let mut client = Connection::open(stack.envoy.address()).unwrap();
    let mut send = |path: &str, flags: &str| {
        let traced = Request::get(path).header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-{flags}"));
        client.request(&traced).unwrap().status
    };
    let statuses: Vec<u16> = (0..20).map(|order| send(&format!("/echo/{order}"), "01")).collect();
    assert_eq!(statuses, [200; 20]);
    assert_eq!(send("/echo/1?status=503", "01"), 503);
    // Its caller does not record its trace.
    assert_eq!(send("/echo/77", "00"), 200);
    let rows = stack.wait_for_requests(21);
    assert_eq!(rows.len(), 21, "{rows:#?}");
    let spans: BTreeSet<&str> = rows.iter().map(|row| row["span_id"].as_str().unwrap()).collect();
    assert_eq!(spans.len(), 21, "each has a span of its own");
    for row in &rows {
        assert_eq!(row["trace_id"], TRACE);
        assert_ne!(row["path"], "/echo/77");
        assert!(row["upstream_ms"].as_f64().unwrap() <= row["duration_ms"].as_f64().unwrap(), "{row}");
    }
    // All requests count, also the one that has no span, and the gateway lost none.
    stack.wait_for_count(22);
    let health = stack.ingest.get_json("/healthz").unwrap();
    assert_eq!(health["rejected"], Value::Null, "{health}");
}

in_both_modes!(requests_arrive_as_spans);
