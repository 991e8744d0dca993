use std::io::Write;

use super::*;
use crate::{MASK, RedactConfig};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

fn capture(max_body_bytes: u32) -> Capture {
    let config =
        CaptureConfig { request_body: true, response_body: true, max_body_bytes, ..CaptureConfig::default() };
    Capture::new(&config).unwrap()
}

fn redactor() -> Redactor {
    Redactor::new(&RedactConfig::default()).unwrap()
}

/// Headers as a host hands them over.
fn bytes<'a>(headers: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

/// Captures a response in chunks of this size.
fn take(headers: &[(&str, &str)], body: &[u8], chunk: usize, max: u32, end: BodyEnd) -> CapturedBody {
    let mut pairs = vec![(":status", "200")];
    pairs.extend_from_slice(headers);
    let mut taken = capture(max).body(Message::Response, &Head::response(bytes(&pairs), b"GET")).unwrap();
    for chunk in body.chunks(chunk) {
        taken.push(chunk);
        assert!(taken.held_bytes() <= 4 * max as usize + 64, "{} bytes held", taken.held_bytes());
    }
    taken.push(b"");
    taken.finish(end, &redactor(), &mut Hits::default())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_body_that_is_masked_as_a_whole_does_not_pass() {
    // As JSON and as a form, different parts of this are masked.
    let body = br#""pwd-newPas\u0073word=https://e.com/?a=sk_live_01234567\u00389abcdefgh" "#;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let captured = take(&[form], body, 9, 1_000, BodyEnd::Complete);
    assert_eq!(captured.content.as_deref(), Ok(MASK));
    let plain = b"\"https://example.com/?page=1\"";
    assert_eq!(take(&[JSON], plain, 9, 1_000, BodyEnd::Complete).content.unwrap().as_bytes(), plain);
}

const BODY: &[u8] = br#"{"name":"ann","password":"s3cret"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

fn masked() -> String {
    format!(r#"{{"name":"ann","password":"{MASK}"}}"#)
}

#[test]
fn bodies_are_decoded_and_redacted() {
    let check = |headers: &[(&str, &str)], body: &[u8]| {
        for chunk in [1, 7, 100_000] {
            let taken = take(headers, body, chunk, 50_000, BodyEnd::Complete);
            let wanted = CapturedBody { size: body.len() as u64, content: Ok(masked()) };
            assert_eq!(taken, wanted, "{headers:?} by {chunk}");
        }
    };
    check(&[JSON], BODY);
    check(&[("Content-Type", "Application/Problem+JSON; charset=\"UTF-8\"")], BODY);
    check(&[JSON, ("content-encoding", "gzip")], &gzip(BODY));
    check(&[JSON, ("content-encoding", "identity, X-GZIP")], &gzip(BODY));
    check(&[JSON, ("content-encoding", "deflate")], &zlib(BODY));
    check(&[JSON, ("content-encoding", "deflate")], &raw_deflate(BODY));
    check(&[JSON, ("content-encoding", "gzip")], &[gzip(&BODY[..9]), gzip(&BODY[9..])].concat());
    let latin =
        take(&[("content-type", "text/plain; charset=ISO-8859-1")], b"caf\xe9", 1, 100, BodyEnd::Complete);
    assert_eq!(latin.content.as_deref(), Ok("café"));
    assert_eq!(take(&[JSON], b"", 1, 100, BodyEnd::Complete).content, Err(OmissionReason::NoBody));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let check = |headers: &[(&str, &str)], body: &[u8], max: u32, end: BodyEnd, reason: OmissionReason| {
        for chunk in [1, 1_000_000] {
            let taken = take(headers, body, chunk, max, end);
            assert_eq!(taken, CapturedBody { size: body.len() as u64, content: Err(reason) }, "{headers:?}");
        }
    };
    let gz = &[JSON, ("content-encoding", "gzip")];
    let done = BodyEnd::Complete;
    check(&[JSON], BODY, 50_000, BodyEnd::Incomplete, OmissionReason::Truncated);
    check(&[JSON], &BODY[..20], 50_000, done, OmissionReason::Truncated);
    check(&[JSON], BODY, 10, done, OmissionReason::TooLarge);
    check(&[JSON], b"{\"a\":\"\xff\"}", 100, done, OmissionReason::InvalidUtf8);
    check(
        &[("content-type", "text/plain; charset=us-ascii")],
        b"\xe9",
        100,
        done,
        OmissionReason::InvalidUtf8,
    );
    check(
        &[("content-type", "text/plain; charset=utf-16")],
        b"a",
        100,
        done,
        OmissionReason::UnsupportedCharset,
    );
    check(
        &[("content-type", "text/plain; charset=utf-8; charset=utf-7")],
        b"a",
        100,
        done,
        OmissionReason::UnsupportedCharset,
    );
    check(&[("content-type", "image/png")], b"a", 100, done, OmissionReason::UnsupportedMediaType);
    check(&[], b"a", 100, done, OmissionReason::UnsupportedMediaType);
    check(&[("content-type", "application/grpc")], b"a", 100, done, OmissionReason::Grpc);
    check(&[JSON, ("content-encoding", "br")], b"a", 100, done, OmissionReason::UnknownEncoding);
    check(
        &[JSON, ("content-encoding", "gzip"), ("content-encoding", "gzip")],
        b"a",
        100,
        done,
        OmissionReason::UnknownEncoding,
    );
    check(gz, BODY, 100, done, OmissionReason::Malformed);
    check(gz, &gzip(BODY)[..30], 100, done, OmissionReason::Truncated);
    check(gz, &[gzip(BODY), b"x".to_vec()].concat(), 1_000, done, OmissionReason::Truncated);
    check(gz, &gzip(&[b' '; 5_000]), 1_000, done, OmissionReason::TooLarge);
    check(gz, &gzip(&vec![b' '; 10_000_000]), 1_048_576, done, OmissionReason::InflateBound);
    check(
        &[JSON, ("content-encoding", "deflate")],
        &[zlib(BODY), b"x".to_vec()].concat(),
        1_000,
        done,
        OmissionReason::Malformed,
    );
    check(&[JSON, ("content-encoding", "deflate")], b"\xff\xff\xff", 1_000, done, OmissionReason::Malformed);
}

#[test]
fn exchanges_without_a_body_say_so() {
    let check = |message: Message, headers: &[(&str, &str)], method: &str, reason: OmissionReason| {
        let head = match message {
            Message::Request => Head::request(bytes(headers)),
            Message::Response => Head::response(bytes(headers), method.as_bytes()),
        };
        let mut taken = capture(100).body(message, &head).unwrap();
        taken.push(b"bytes");
        assert_eq!(taken.held_bytes(), 0);
        let taken = taken.finish(BodyEnd::Complete, &redactor(), &mut Hits::default());
        assert_eq!(taken, CapturedBody { size: 5, content: Err(reason) }, "{headers:?}");
    };
    let response = Message::Response;
    check(response, &[(":status", "200"), JSON], "HEAD", OmissionReason::NoBody);
    check(response, &[(":status", "204"), JSON], "GET", OmissionReason::NoBody);
    check(response, &[(":status", "304"), JSON], "GET", OmissionReason::NoBody);
    check(response, &[(":status", "103"), JSON], "GET", OmissionReason::NoBody);
    check(response, &[(":status", "101"), JSON], "GET", OmissionReason::Upgrade);
    check(response, &[(":status", "200"), JSON], "CONNECT", OmissionReason::Upgrade);
    check(
        Message::Request,
        &[(":method", "GET"), ("upgrade", "WebSocket"), JSON],
        "",
        OmissionReason::Upgrade,
    );
    check(Message::Request, &[(":method", "CONNECT"), JSON], "", OmissionReason::Upgrade);
}

#[test]
fn long_event_streams_keep_head_and_tail() {
    let events = |range: std::ops::Range<u32>| {
        range.map(|n| format!("data: {{\"n\":{n},\"token\":\"s3cret\"}}\n\n")).collect::<String>()
    };
    let sse = ("content-type", "text/event-stream");
    let redacted = |text: &str| text.replace("s3cret", MASK);
    for chunk in [1, 13, 100_000] {
        let short = events(0..5);
        assert_eq!(
            take(&[sse], short.as_bytes(), chunk, 1_000, BodyEnd::Complete).content,
            Ok(redacted(&short))
        );
        let cut = take(&[sse], &short.as_bytes()[..short.len() - 3], chunk, 1_000, BodyEnd::Incomplete);
        assert_eq!(cut.content, Ok(redacted(&events(0..4))));

        let long = events(100..200);
        let taken = take(&[sse], long.as_bytes(), chunk, 330, BodyEnd::Complete);
        assert_eq!(taken.size, long.len() as u64);
        let lost = long.len() - events(100..108).len();
        let wanted = format!("{}: left out: {lost} bytes\n\n{}", events(100..104), events(196..200));
        assert_eq!(taken.content, Ok(redacted(&wanted)), "by {chunk}");
    }
    let zipped = take(
        &[sse, ("content-encoding", "gzip")],
        &gzip(events(0..5).as_bytes()),
        1,
        1_000,
        BodyEnd::Complete,
    );
    assert_eq!(zipped.content, Ok(redacted(&events(0..5))));
    let zipped = take(
        &[sse, ("content-encoding", "gzip")],
        &gzip(events(0..5).as_bytes()),
        1,
        1_000,
        BodyEnd::Incomplete,
    );
    assert_eq!(zipped.content, Err(OmissionReason::Truncated));
}

#[test]
fn what_is_kept_is_what_is_configured() {
    let config = CaptureConfig {
        request_headers: vec!["User-Agent".into(), "x-*".into()],
        ..CaptureConfig::default()
    };
    let capture = Capture::new(&config).unwrap();
    let check = |message, name: &str, kept: bool| {
        assert_eq!(capture.header_name(message, name.as_bytes()).is_some(), kept, "{name}");
    };
    check(Message::Request, "user-agent", true);
    check(Message::Request, "X-Foo", true);
    check(Message::Request, "accept", false);
    check(Message::Response, "Content-Type", true);
    check(Message::Response, "x-foo", false);
    assert!(capture.body(Message::Request, &Head::request(bytes(&[JSON]))).is_none());
    assert!(capture.query);
    for max_body_bytes in [0, MAX_BODY_BYTES + 1] {
        let config = CaptureConfig { max_body_bytes, ..CaptureConfig::default() };
        assert!(Capture::new(&config).unwrap_err().message.contains("not between 1 and 1048576"));
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_survived(
        body in any::<Vec<u8>>(),
        media_type in prop::sample::select(vec!["application/json", "application/x-ndjson", "text/plain", "text/event-stream", "application/x-www-form-urlencoded"]),
        encoding in prop::sample::select(vec!["identity", "gzip", "deflate"]),
        chunk in 1usize..20,
        cut: bool,
    ) {
        let end = if cut { BodyEnd::Incomplete } else { BodyEnd::Complete };
        let headers = [("content-type", media_type), ("content-encoding", encoding)];
        let taken = take(&headers, &body, chunk, 100, end);
        prop_assert_eq!(taken.size, body.len() as u64);
    }

    #[test]
    fn any_media_type_is_survived(value in any::<Vec<u8>>(), text in "[a-z/;= \"\\\\+]{0,20}") {
        let _ = MediaType::parse(&value);
        let _ = MediaType::parse(text.as_bytes());
    }
}
