//! A sender that ends: it writes its last batch and closes before the answer.

use crate::support::Service;
use crate::support::otlp::{NOON, log, made};
use prost::Message;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&limit=1000";
const SENDERS: usize = 50;

#[test]
fn a_batch_that_came_whole_is_stored_though_its_sender_has_closed() {
    let service = Service::start();
    for sender in 0..SENDERS {
        let body = log(&[(NOON, made("/", 200, 0.1))]).encode_to_vec();
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: ingest\r\ncontent-type: application/x-protobuf\r\n\
             x-gatelens-instance: edge-{sender}\r\nx-gatelens-epoch: 0000000000000001\r\n\
             x-gatelens-sequence: 1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    }
    let stored = || service.json(&format!("/api/v1/requests?{DAY}"))["rows"].as_array().unwrap().len();
    let start = Instant::now();
    while stored() < SENDERS && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(stored(), SENDERS);
}
