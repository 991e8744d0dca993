//! Requests as spans, through the real Envoy to the ingest: the same requests, each once, and none for the second span.

use std::collections::BTreeSet;

use gatelens_testkit::client::{Connection, Request, send};
use gatelens_testkit::{Listeners, wait};
use serde_json::{Value, json};

use super::scrape::samples;
use super::stack::{Mode, Stack, in_both_modes};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn plugin(requests_as: &str) -> Value {
    json!({
        "version": 1,
        "service": {"name": "shop"},
        "ingest": {"cluster": "gatelens_ingest", "requests_as": requests_as},
        "sample": {"rate": 1.0},
    })
}

fn requests_arrive_as_spans(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin("spans")));
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

#[test]
fn requests_that_arrive_as_records_and_spans_are_there_once() {
    let stack = Stack::launch(Mode::Filter, Listeners::Static, |config| config.plugin(&plugin("both")));
    let mut client = Connection::open(stack.envoy.address()).unwrap();
    for order in 0..60 {
        let flags = ["00", "01"][order % 2];
        let request = Request::get(format!("/echo/{order}"));
        let request = match order % 3 {
            0 => request,
            _ => request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-{flags}")),
        };
        assert_eq!(client.request(&request).unwrap().status, 200);
    }
    let rows = stack.wait_for_requests(60);
    stack.wait_for_count(60);
    // Both signals are acknowledged, and nothing of the spans is refused.
    let address = stack.ingest.address();
    let ask = || send(address, &Request::get("/metrics").host(address.to_string())).map(|page| page.text());
    let metrics = wait::eventually("acknowledged spans", || {
        Ok(Some(ask()?).filter(|text| acknowledged(text, "traces") > 0.0))
    });
    let metrics = metrics.unwrap_or_else(|error| panic!("{error}: {:?}", ask()));
    assert!(acknowledged(&metrics, "logs") > 0.0, "{metrics}");
    assert_eq!(stack.ingest.get_json("/healthz").unwrap()["rejected"], Value::Null);
    assert_eq!(stack.wait_for_requests(60).len(), 60);
    // A sampled trace, and one that begins here, has a span of the gateway's own; the record names it.
    let spans: BTreeSet<&str> = rows.iter().filter_map(|row| row["span_id"].as_str()).collect();
    let unsampled = rows.iter().filter(|row| row["span_id"] == "b7ad6b7169203331").count();
    assert_eq!((spans.len(), unsampled), (60 - unsampled + 1, 20));
}

/// Batches of a signal that the service has acknowledged.
fn acknowledged(metrics: &str, signal: &str) -> f64 {
    let labels = [format!("signal=\"{signal}\""), "outcome=\"stored\"".to_owned()];
    let is_meant = |name: &str| {
        name.starts_with("gatelens_ingest_batches_total{") && labels.iter().all(|label| name.contains(label))
    };
    samples(metrics).into_iter().filter(|(name, _)| is_meant(name)).map(|(_, value)| value).sum()
}
