//! A page of a stranger that has its name point to 127.0.0.1 reads nothing and changes nothing.

use crate::support::Service;
use gatelens_ingest::{Limits, Network};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Writes a request as it is, and reads status and body of the answer.
fn raw(service: &Service, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn a_request_with_a_foreign_host_is_refused() {
    let network = Network { hosts: vec!["gatelens.example.com".parse().unwrap()], ..Network::default() };
    let service = Service::on(network, Limits::default());
    let check = |head: &str, status: u16| {
        let (answered, body) = raw(&service, &format!("{head}connection: close\r\n\r\n"));
        assert_eq!(answered, status, "{head}: {body}");
        body
    };
    let summary = "GET /api/v1/summary HTTP/1.1\r\n";
    for host in ["127.0.0.1:4318", "[::1]:4318", "LOCALHOST", "localhost.:1", "Gatelens.example.com.:443"] {
        check(&format!("{summary}Host: {host}\r\n"), 200);
    }
    for path in ["/api/v1/summary", "/", "/healthz", "/metrics", "/v1/gatelens/route-patterns", "/nothing"] {
        check(&format!("GET {path} HTTP/1.1\r\nHost: evil.example:4318\r\n"), 421);
    }
    check("POST /v1/logs HTTP/1.1\r\nHost: evil.example\r\ncontent-length: 0\r\n", 421);
    let body = check(&format!("{summary}Host: evil.example\r\n"), 421);
    let error = &serde_json::from_str::<Value>(&body).unwrap()["error"];
    assert_eq!((&error["code"], &error["field"]), (&"unknown_host".into(), &"host".into()));
    assert!(error["message"].as_str().unwrap().contains("--host evil.example"), "{error}");

    // A target in absolute form has precedence over the header (RFC 9112, section 3.2.2); both must be right.
    check("GET http://localhost/api/v1/summary HTTP/1.1\r\nHost: localhost\r\n", 200);
    check("GET http://evil.example/api/v1/summary HTTP/1.1\r\nHost: localhost\r\n", 421);
    check("GET http://localhost/api/v1/summary HTTP/1.1\r\nHost: evil.example\r\n", 421);
    // The image's health check is HTTP/1.0 without a host.
    check("GET /healthz HTTP/1.0\r\n", 200);
    check("GET /healthz HTTP/1.0\r\nHost: evil.example\r\n", 421);
    check(summary, 400);
    check(&format!("{summary}Host: localhost\r\nHost: evil.example\r\n"), 400);

    let metrics = service.get("/metrics").text();
    assert!(metrics.contains("gatelens_ingest_refusals_total{reason=\"unknown_host\"} 11"), "{metrics}");
    assert!(metrics.contains("gatelens_ingest_refusals_total{reason=\"malformed\"} 2"), "{metrics}");
}

#[test]
fn senders_may_use_the_name_of_their_cluster() {
    let service = Service::start();
    let check = |path: &str, host: &str, status: u16| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nconnection: close\r\n\r\n");
        assert_eq!(raw(&service, &head).0, status, "{path} at {host}");
    };
    let scope = "/v1/gatelens/route-patterns?service=a&environment=b&direction=inbound";
    for host in ["gatelens_ingest", "outbound|4318||gatelens.gatelens.svc.cluster.local", "ingest:4318"] {
        check(scope, host, 404);
        check("/api/v1/summary", host, 421);
        check("/", host, 421);
    }
    check(scope, "a_b.evil.example", 421);
}

#[test]
fn a_page_of_another_origin_changes_nothing() {
    let service = Service::start();
    let own = service.url.trim_start_matches("http://").to_owned();
    let body = r#"{"config": "{\"version\": 1, \"ingest\": {\"cluster\": \"a\"}}", "body": "{}"}"#;
    let check = |origin: &str, status: u16| {
        let head = format!(
            "POST /api/v1/redact HTTP/1.1\r\nhost: {own}\r\norigin: {origin}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (answered, text) = raw(&service, &head);
        assert_eq!(answered, status, "{origin}: {text}");
    };
    check(&service.url, 200);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        check(origin, 403);
    }
    // Reading is the browser's own business: it keeps answers without CORS headers from foreign pages.
    let head = format!(
        "GET /api/v1/summary HTTP/1.1\r\nhost: {own}\r\norigin: https://evil.example\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(raw(&service, &head).0, 200);
}
