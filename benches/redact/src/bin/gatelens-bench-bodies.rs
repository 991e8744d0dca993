//! `gatelens-bench-bodies KIND RULES BYTES ROUNDS`: captures and redacts one body again and again, as the filter does.
//!
//! Under callgrind it counts instructions, which a busy machine does not change (`make bench-bodies`). By itself it prints
//! the time for each body.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::time::Instant;

use gatelens_bench_redact::{Defaults, events, form, lines, orders, paths, prose, rules};
use gatelens_model::Message;
use gatelens_redact::capture::{BodyEnd, Capture, CaptureConfig, Head};
use gatelens_redact::{Hits, Redactor};

/// Length of a chunk, as HTTP/2 hands them over.
const CHUNK: usize = 16_384;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, rule_set, bytes, rounds] = &arguments[..] else { usage() };
    let (bytes, rounds) = (bytes.parse().expect("BYTES"), rounds.parse::<u32>().expect("ROUNDS"));
    let (content_type, body) = match &kind[..] {
        "json" => ("application/json", orders(bytes)),
        "lines" => ("application/x-ndjson", lines(bytes)),
        "form" => ("application/x-www-form-urlencoded", form(bytes)),
        "text" => ("text/plain", prose(bytes)),
        "events" => ("text/event-stream", events(bytes)),
        _ => usage(),
    };
    let paths = match &rule_set[..] {
        "defaults" => Vec::new(),
        "5-paths" => paths(5),
        _ => usage(),
    };
    let redactor = Redactor::new(&rules(paths, Defaults::On)).unwrap();
    let config = CaptureConfig { request_body: true, max_body_bytes: 1_048_576, ..CaptureConfig::default() };
    let capture = Capture::new(&config).unwrap();
    let begin = Instant::now();
    for _ in 0..rounds {
        // The host allocates the chunks, and hands them over.
        let chunks = body.as_bytes().chunks(CHUNK).map(<[u8]>::to_vec).collect();
        capture_and_redact(&capture, &redactor, content_type, chunks);
    }
    let spent = begin.elapsed() / rounds;
    println!("{kind} {rule_set}: {} bytes, {} ns", body.len(), spent.as_nanos());
}

fn usage() -> ! {
    eprintln!("usage: gatelens-bench-bodies json|lines|form|text|events defaults|5-paths BYTES ROUNDS");
    std::process::exit(2)
}

/// Callgrind collects here.
#[inline(never)]
#[unsafe(no_mangle)]
fn capture_and_redact(capture: &Capture, redactor: &Redactor, content_type: &str, chunks: Vec<Vec<u8>>) {
    let head = Head::request([(&b"content-type"[..], content_type.as_bytes())]);
    let mut taken = capture.body(Message::Request, &head).unwrap();
    for mut chunk in chunks {
        taken.take(chunk.len(), |_| std::mem::take(&mut chunk));
    }
    let captured = taken.finish(BodyEnd::Complete, redactor, &mut Hits::default());
    black_box(captured.content.unwrap());
}
