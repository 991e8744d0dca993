//! The service's own metrics.

use crate::support::otlp::{Frame, NOON, log, made};
use crate::support::{PROTOBUF, Service};
use std::collections::HashSet;
use std::process::{Command, Stdio};

#[test]
fn everything_that_came_is_counted() {
    let service = Service::start();
    let frame = Frame::default().of(&[made("/a", 200, 0.1), made("/b", 200, 0.1)]);
    for _ in 0..2 {
        service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame).accepted();
    }
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &log(&[(NOON, made("/", 200, 0.1))])).accepted();
    assert_eq!(service.post("/v1/logs", &[("content-type", PROTOBUF)], b"hello").status, 400);
    assert_eq!(service.get("/wp-login.php").status, 404);
    let page = service.get("/metrics");
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = page.text();
    for expected in [
        "gatelens_ingest_batches_total{outcome=\"stored\",signal=\"metrics\"} 1",
        "gatelens_ingest_batches_total{outcome=\"repeated\",signal=\"metrics\"} 1",
        "gatelens_ingest_batches_total{outcome=\"refused\",signal=\"logs\"} 1",
        "gatelens_ingest_records_total{outcome=\"stored\",signal=\"metrics\"} 2",
        "gatelens_ingest_records_total{outcome=\"stored\",signal=\"logs\"} 1",
        "gatelens_ingest_http_requests_total{path=\"/v1/metrics\",status=\"200\"} 2",
        "gatelens_ingest_http_requests_total{path=\"/v1/logs\",status=\"400\"} 1",
        "gatelens_ingest_http_requests_total{path=\"page\",status=\"404\"} 1",
        "gatelens_ingest_http_request_duration_seconds_bucket{path=\"/v1/metrics\",le=\"+Inf\"} 2",
        "gatelens_ingest_queue_batches{writer=\"counters\"} 0",
        // Both stored batches show routes; the repeated one teaches nothing again.
        "gatelens_ingest_learning_batches_total{outcome=\"taken\"} 2",
        "gatelens_ingest_learning_batches_total{outcome=\"passed_over\"} 0",
        "gatelens_ingest_memory_bytes 0",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected} is not in\n{text}");
    }
    well_formed(&text);
}

/// Each family is described once before its samples, and no sample comes twice.
pub(crate) fn well_formed(text: &str) {
    let mut seen = HashSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
        }
        let key = if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 };
        assert!(seen.insert(key), "{line} comes twice");
        assert!(line.starts_with('#') || line.starts_with(family), "{line} is not of {family}");
    }
    // Where Prometheus' own tool is at hand, it has the last word.
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    if let Ok(mut tool) = tool {
        std::io::Write::write_all(&mut tool.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = tool.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
