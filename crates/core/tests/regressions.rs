//! Faults that the chaos suite on the real Envoy found, each as a small test on the fake gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use gatelens_testkit::fake::{FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{counts, log_records, numbers};
use gatelens_testkit::worker::Worker;

const START: u64 = 1_700_000_000_000_000_000;
const SMALLEST: &str = r#"{"version": 1, "ingest": {"cluster": "c"}}"#;

fn request(worker: &Worker) {
    worker.finish(FakeStream::new("GET", "/a", 200));
}

fn is_gzip(request: &Sent) -> bool {
    request.body.starts_with(b"\x1f\x8b")
}

fn says_gzip(request: &Sent) -> bool {
    request.headers.iter().any(|(name, value)| name == "content-encoding" && value == "gzip")
}

#[test]
fn a_batch_keeps_its_content_encoding_when_the_configuration_changes() {
    let plain_text = r#"{"version": 1, "ingest": {"cluster": "c", "compression": "none"}}"#;
    let gateway = FakeGateway::starting_at(START);
    let mut worker = Worker::start(&gateway, SMALLEST);
    let mut sent = Vec::new();
    for configuration in [plain_text, SMALLEST, plain_text] {
        request(&worker);
        gateway.wait(Duration::from_secs(1));
        sent.extend(worker.tick_answering(Some(503)));
        worker.replace(configuration, Some(503));
        request(&worker);
    }
    for _ in 0..60 {
        gateway.wait(Duration::from_secs(1));
        sent.extend(worker.tick_answering(Some(200)));
    }
    assert!(sent.iter().any(is_gzip) && !sent.iter().all(is_gzip));
    for request in &sent {
        assert_eq!(says_gzip(request), is_gzip(request), "{} {:?}", request.header(":path"), request.body);
    }
    assert!(log_records(&sent).len() >= 6, "each batch can be read, repeats included");
}

#[test]
fn a_changed_compression_reaches_the_counters_and_the_request_log() {
    let plain_text = r#"{"version": 1, "ingest": {"cluster": "c", "compression": "none"}}"#;
    let gateway = FakeGateway::starting_at(START);
    let mut worker = Worker::start(&gateway, SMALLEST);
    for (configuration, expected) in [(plain_text, false), (SMALLEST, true)] {
        worker.replace(configuration, Some(200));
        request(&worker);
        let sent: Vec<Sent> = (0..3).flat_map(|_| worker.deliver_after(Duration::from_secs(1))).collect();
        for path in ["/v1/metrics", "/v1/logs"] {
            let of_path: Vec<bool> =
                sent.iter().filter(|sent| sent.header(":path") == path).map(is_gzip).collect();
            assert!(!of_path.is_empty() && of_path.iter().all(|is| *is == expected), "{path} {of_path:?}");
        }
    }
}

#[test]
fn counters_that_are_no_longer_used_still_report_the_fates_of_their_events() {
    let gateway = FakeGateway::starting_at(START);
    let mut workers = [(); 3].map(|()| Worker::start(&gateway, SMALLEST));
    let mut sent = Vec::new();
    for _ in 0..3 {
        workers.iter().for_each(request);
        gateway.wait(Duration::from_secs(1));
        sent.extend(workers.iter().flat_map(|worker| worker.tick_answering(Some(200))));
    }
    workers.iter().for_each(request);
    let old = sent.first().unwrap().header("x-gatelens-epoch").to_owned();
    for worker in &mut workers {
        let other = r#"{"version": 1, "service": {"name": "other"}, "ingest": {"cluster": "c"}}"#;
        worker.replace(other, Some(503));
    }
    for second in 0..60 {
        gateway.wait(Duration::from_secs(1));
        // The workers notice at different times that the ingest is back.
        let status = |n| if second < 10 * n { 503 } else { 200 };
        let answered =
            workers.iter().enumerate().flat_map(|(n, worker)| worker.tick_answering(Some(status(n))));
        sent.extend(answered);
    }
    sent.retain(|request| request.header("x-gatelens-epoch") == old);
    assert_eq!(counts(&sent).values().copied().collect::<Vec<_>>(), [12]);
    let numbers = numbers(&sent);
    assert_eq!((numbers["gatelens.events.captured"], numbers["sent"]), (12.0, 12.0));
    assert_eq!((numbers["gatelens.queue.size"], numbers["gatelens.workers"]), (0.0, 0.0));
    assert_eq!(numbers["gatelens.workers.lost"], 0.0);

    // After that they send nothing.
    gateway.wait(Duration::from_secs(30));
    let later = workers.iter().flat_map(|worker| worker.tick_answering(Some(200)));
    assert_eq!(later.filter(|request| request.header("x-gatelens-epoch") == old).count(), 0);
}
