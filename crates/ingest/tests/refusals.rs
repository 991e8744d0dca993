//! Wrong requests are refused with the status that OTLP defines, in bounded memory, and change nothing.

use crate::support::otlp::{Frame, NOON, log, made};
use crate::support::{Answer, PROTOBUF, Service};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use gatelens_ingest::Limits;
use prost::Message;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, PROTOBUF), "{}", answer.text());
    let message = Status::decode(answer.body.as_slice()).unwrap().message;
    assert!(message.contains(words), "{message:?} should say {words:?}");
    assert_eq!(answer.header("retry-after").is_empty(), !matches!(status, 429 | 503));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn requests(service: &Service) -> serde_json::Value {
    let day = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
    service.json(&format!("/api/v1/summary?{day}"))["rows"][0]["requests"].clone()
}

#[test]
fn bodies_are_unpacked() {
    let service = Service::start();
    let body = Frame::default().of(&[made("/", 200, 0.1)]).encode_to_vec();
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(&body).unwrap();
    for (encoding, bytes) in
        [("gzip", gzip(&body)), ("deflate", deflate.finish().unwrap()), ("identity", body)]
    {
        let headers = [("content-type", PROTOBUF), ("content-encoding", encoding)];
        service.post("/v1/metrics", &headers, &bytes).accepted();
    }
    assert_eq!(requests(&service), 1);
}

/// Headers and body of a request; status and words of the refusal.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[test]
fn wrong_bodies_are_refused() {
    let service = Service::with(Limits { body_bytes: 1 << 20, decoded_bytes: 9 << 20, ..Limits::default() });
    let good = log(&[(NOON, made("/", 200, 0.1))]).encode_to_vec();
    let zeroes = vec![0u8; 2 << 20];
    // A request of which nothing is known takes 20 bytes here and a kilobyte in memory.
    let request = [&[0x12, 18, 0x62, 16], b"gatelens.request".as_slice()].concat();
    let many: Vec<u8> = nested(&[0x0a, 0x12], &request.repeat(10_000));
    let deep = (0..200).fold(Vec::new(), |inner, _| nested(&[0x2a, 0x0a], &inner));
    let deep = nested(&[0x0a, 0x12, 0x12, 0x32, 0x12], &deep);
    let truncated = &good[..good.len() - 3];
    let typed = [("content-type", PROTOBUF)];
    let zipped = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let cases: &[Case<'_>] = &[
        (&typed, truncated, 400, "not an OTLP export"),
        (&typed, b"hello", 400, "not an OTLP export"),
        (&typed, &[0xff; 100], 400, "not an OTLP export"),
        (&typed, &zeroes, 413, "larger than"),
        (&zipped, &gzip(&zeroes), 413, "larger than"),
        (&zipped, &gzip(&vec![0u8; 64 << 20]), 413, "larger than"),
        (&zipped, &good, 400, "not valid gzip"),
        (&zipped, &gzip(&good)[..20], 400, "not valid gzip"),
        (&[("content-type", "text/plain")], &good, 415, "is not OTLP"),
        (&[], &good, 415, "send application/x-protobuf"),
        (&[("content-type", PROTOBUF), ("content-encoding", "br")], &good, 415, "gzip, deflate or identity"),
        (&[("content-type", PROTOBUF), ("x-gatelens-instance", "a")], &good, 400, "must be sent together"),
    ];
    for path in ["/v1/logs", "/v1/metrics"] {
        for (headers, body, status, words) in cases {
            refused(&service.post(path, headers, body), *status, words);
        }
    }
    refused(&service.post("/v1/logs", &typed, &deep), 400, "not an OTLP export");
    refused(&service.post("/v1/logs", &typed, &many), 413, "too many");
    assert_eq!(service.get("/v1/logs").status, 405);
    assert_eq!(service.json("/api/v1/gateways"), json!({"rows": []}));
}

#[test]
fn a_wrong_identity_is_refused() {
    let service = Service::start();
    for (instance, epoch, sequence, words) in [
        ("edge-1", "5be2c9a1d0347f16", "0", "a decimal number from 1"),
        ("edge-1", "5be2c9a1d0347f16", "-1", "a decimal number from 1"),
        ("edge-1", "5be2c9a1d0347f16", "9223372036854775808", "a decimal number from 1"),
        ("edge-1", "5be2c9a1d0347f1", "1", "16 hex digits"),
        ("edge-1", "5be2c9a1d0347f1x", "1", "16 hex digits"),
        ("", "5be2c9a1d0347f16", "1", "1 to 256 bytes"),
        (&"x".repeat(257), "5be2c9a1d0347f16", "1", "1 to 256 bytes"),
    ] {
        let headers = [
            ("content-type", PROTOBUF),
            ("x-gatelens-instance", instance),
            ("x-gatelens-epoch", epoch),
            ("x-gatelens-sequence", sequence),
        ];
        refused(&service.post("/v1/metrics", &headers, &[]), 400, words);
    }
}

#[test]
fn a_slow_sender_is_answered_408() {
    let service = Service::with(Limits { body_timeout: Duration::from_millis(200), ..Limits::default() });
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    let head = "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(service.get("/healthz").status, 200);
}

#[test]
fn more_than_fits_in_memory_is_put_off() {
    let service = Service::with(Limits { memory_bytes: 200_000, ..Limits::default() });
    let body = Frame::default().of(&[made("/", 200, 0.1)]).encode_to_vec();
    let typed = [("content-type", PROTOBUF)];
    refused(&service.post("/v1/metrics", &typed, &[0u8; 200_001]), 429, "too much");
    let zipped = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    refused(&service.post("/v1/metrics", &zipped, &gzip(&[0u8; 400_000])), 429, "too much");
    service.post("/v1/metrics", &typed, &body).accepted();
    assert_eq!(requests(&service), 1);
}

#[test]
fn a_store_that_fails_puts_off_and_recovers() {
    let service = Service::start();
    let frame = Frame::default().of(&[made("/", 200, 0.1)]);
    let send = || service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame);
    assert_eq!(service.get("/healthz").status, 200);
    let intruder = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    refused(&send(), 503, "cannot be written");
    let health = loop {
        // A state of health is believed for a moment.
        let health = service.get("/healthz");
        if health.status != 200 {
            break health;
        }
    };
    assert_eq!(health.status, 503, "{}", health.text());
    assert_eq!(requests(&service), 0);
    intruder.execute_batch("ROLLBACK").unwrap();
    send().accepted();
    assert_eq!(requests(&service), 1);
}

/// Wraps bytes in length-delimited fields, the last tag innermost.
fn nested(tags: &[u8], inner: &[u8]) -> Vec<u8> {
    tags.iter().rev().fold(inner.to_vec(), |inner, tag| {
        let mut out = vec![*tag];
        let mut len = inner.len();
        while len >= 0x80 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend(inner);
        out
    })
}
