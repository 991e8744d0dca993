//! The chunks and the compression of a body do not change its captured form. Memory
//! stays within its bound, and a stream may break off at any point.
//!
//! The first byte selects the media type, or the first line of the body. The second byte selects the
//! bound, the third the size of the chunks and the coding.

#![no_main]

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use gatelens_model::Message;
use gatelens_redact::capture::{
    BodyCapture, BodyEnd, Capture, CaptureConfig, CapturedBody, Head, MAX_BODY_BYTES,
};
use gatelens_redact::{DetectorKind, Hits, RedactConfig, Redactor};
use libfuzzer_sys::fuzz_target;

const TYPES: [&str; 8] = [
    "application/json",
    "application/problem+json; charset=utf-8",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "text/plain; charset=iso-8859-1",
    "text/markdown; charset=us-ascii",
    "text/event-stream",
    "text/event-stream; charset=latin1",
];

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    Redactor::new(&RedactConfig {
        request_body: ["$.a.b", "$..c[0]", "$[?@.a == 1].b"].map(str::to_owned).to_vec(),
        keys: vec!["e mail".into()],
        detectors: vec![DetectorKind::Card, DetectorKind::Email],
        ..RedactConfig::default()
    })
    .expect("the rules are right")
});

fuzz_target!(|data: &[u8]| {
    let [choice, bound, size, body @ ..] = data else { return };
    let (media_type, body) = match TYPES.get(usize::from(*choice)) {
        Some(known) => (known.as_bytes(), body),
        None => {
            let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
            (&body[..end], body.get(end + 1..).unwrap_or_default())
        }
    };
    let bound = u32::from(*bound) * 8 + 1;
    let sizes = [usize::from(*size).max(1), 1];
    for end in [BodyEnd::Complete, BodyEnd::Incomplete] {
        let whole = capture(media_type, b"identity", bound, &[body], end);
        assert_eq!(whole.0.size, body.len() as u64);
        for size in sizes {
            let chunks: Vec<_> = body.chunks(size).collect();
            assert_eq!(capture(media_type, b"identity", bound, &chunks, end), whole);
        }
    }
    if body.is_empty() {
        return;
    }
    let (plain, hits) = capture(media_type, b"identity", MAX_BODY_BYTES, &[body], BodyEnd::Complete);
    let (coding, packed) = pack(body, *size);
    let (unpacked, same) = capture(media_type, coding, MAX_BODY_BYTES, &[&packed], BodyEnd::Complete);
    assert_eq!((&unpacked.content, &same), (&plain.content, &hits));
    // Cut short by a byte it is never taken for whole.
    let cut = &packed[..packed.len() - 1];
    let (cut, _) = capture(media_type, coding, MAX_BODY_BYTES, &[cut], BodyEnd::Complete);
    assert!(cut.content.is_err(), "{cut:?}");
});

fn capture(
    media_type: &[u8],
    coding: &[u8],
    max_body_bytes: u32,
    chunks: &[&[u8]],
    end: BodyEnd,
) -> (CapturedBody, Hits) {
    let headers = [(&b"content-type"[..], media_type), (b"content-encoding", coding)];
    let config = CaptureConfig { request_body: true, max_body_bytes, ..CaptureConfig::default() };
    let capture = Capture::new(&config).expect("the section is right");
    let mut taken: BodyCapture =
        capture.body(Message::Request, &Head::request(headers)).expect("bodies are captured");
    for chunk in chunks {
        taken.push(chunk);
        // A buffer grows to at most twice the size of its content.
        assert!(taken.held_bytes() <= 2 * (max_body_bytes as usize) + 16, "{}", taken.held_bytes());
    }
    let mut hits = Hits::default();
    (taken.finish(end, &REDACTOR, &mut hits), hits)
}

/// In one of the codings that are read.
fn pack(body: &[u8], choice: u8) -> (&'static [u8], Vec<u8>) {
    fn written<W: Write>(mut encoder: W, body: &[u8]) -> W {
        encoder.write_all(body).expect("memory suffices");
        encoder
    }
    let level = Compression::fast();
    let (coding, packed) = match choice % 3 {
        0 => (&b"gzip"[..], written(GzEncoder::new(Vec::new(), level), body).finish()),
        1 => (&b"deflate"[..], written(ZlibEncoder::new(Vec::new(), level), body).finish()),
        _ => (&b"deflate"[..], written(DeflateEncoder::new(Vec::new(), level), body).finish()),
    };
    (coding, packed.expect("memory suffices"))
}
