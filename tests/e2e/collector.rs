//! Through a collector of another maker: what the filter exports is OTLP for everybody, and arrives whole behind it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::process::{Group, Process};
use gatelens_testkit::{Envoy, Ingest, Launch, Upstream, artefacts, paths};
use serde_json::json;

use super::report;
use super::stack::{Mode, wait_for_rows};

const REQUESTS: usize = 400;

/// Rotel, which hands everything on to an ingest.
pub(crate) fn collector(ingest: SocketAddr, log: &std::path::Path) -> (Process, SocketAddr) {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (http, grpc) = (free(), free());
    let mut command = Command::new(paths::rotel().unwrap());
    command
        .arg("start")
        .args(["--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()])
        .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
        .args(["--otlp-exporter-endpoint", &format!("http://{ingest}")]);
    let mut rotel = Process::spawn("rotel", command, log, Group::Shared).unwrap();
    rotel.wait_until("rotel to listen", |_| Ok(TcpStream::connect(http).ok().map(drop))).unwrap();
    (rotel, http)
}

fn everything_arrives_behind_a_collector(requests_as: &str) {
    artefacts::or_skip();
    let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (_rotel, address) = collector(ingest.address(), &directory.path().join("rotel.log"));
    let config = Mode::Filter.config().upstream(upstream.address()).unwrap().ingest(address).unwrap();
    let config = config.plugin(&json!({
        "version": 1,
        "service": {"name": "shop", "version": "1.4.2"},
        "ingest": {"cluster": "gatelens_ingest", "requests_as": requests_as},
        "capture": {"response_body": true},
    }));
    let envoy = Envoy::launch(&config, &Launch::default()).unwrap();
    let mut client = Connection::open(envoy.address()).unwrap();
    let mut expected = BTreeMap::new();
    for number in 0..REQUESTS {
        let (consumer, status) = (format!("c{}", number % 5), [200, 404, 503][number % 3]);
        let request = Request::post(format!("/echo/{number}?status={status}"), "{\"password\": \"hunter2\"}")
            .header("content-type", "application/json")
            .header("x-consumer-id", &consumer);
        assert_eq!(client.request(&request).unwrap().status, status);
        *expected.entry((consumer, status)).or_insert(0) += 1;
    }
    let rows = wait_for_rows(&ingest, REQUESTS);
    let mut logged = BTreeMap::new();
    for row in &rows {
        let status = row["status"].as_u64().unwrap() as u16;
        *logged.entry((row["consumer"].as_str().unwrap().to_owned(), status)).or_insert(0) += 1;
        assert_eq!((&row["version"], &row["method"]), (&json!("1.4.2"), &json!("POST")));
        let body = row["response_body"].as_str().unwrap_or_default();
        assert!(!body.contains("hunter2") && body.contains("password"), "{row:#}");
    }
    assert_eq!(logged, expected, "{requests_as}");
    super::stack::wait_for_count(&ingest, REQUESTS as u64, || envoy.log());
    let counted = report::summary(&ingest)
        .into_iter()
        .map(|((consumer, _, _, status), counts)| ((consumer, status), counts.requests));
    let mut by_status = BTreeMap::new();
    counted.for_each(|(key, requests)| *by_status.entry(key).or_insert(0) += requests);
    assert_eq!(by_status, expected, "{requests_as}");
}

#[test]
fn the_log_arrives() {
    everything_arrives_behind_a_collector("logs");
}

#[test]
fn both_arrive_and_each_request_is_there_once() {
    everything_arrives_behind_a_collector("both");
}

#[test]
fn spans_arrive() {
    everything_arrives_behind_a_collector("spans");
}
