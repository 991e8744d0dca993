//! Redaction over bodies of 1 KB to 1 MB, by the number and kind of rules, beside what copying and parsing them costs.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::io::Write;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;
use gatelens_bench_redact::{Defaults, by_identifier, orders, orders_indented, paths, rules};
use gatelens_model::Message;
use gatelens_redact::capture::{BodyEnd, Capture, CaptureConfig, Head};
use gatelens_redact::{BodyKind, DetectorKind, Hits, RedactConfig, Redactor};

const SIZES: [(&str, usize); 6] = [
    ("1KB", 1_000),
    ("4KB", 4_000),
    ("16KB", 16_000),
    ("64KB", 64_000),
    ("256KB", 256_000),
    ("1MB", 1_000_000),
];

fn bodies(c: &mut Criterion) {
    let filter = "$.orders[?@.status == 'returned'].note".to_owned();
    let variants = [
        ("names_off/paths_0", rules(vec![], Defaults::Off)),
        ("names_on/paths_0", rules(vec![], Defaults::On)),
        ("names_on/paths_5", rules(paths(5), Defaults::On)),
        ("names_on/paths_50", rules(paths(50), Defaults::On)),
        ("names_off/paths_50", rules(paths(50), Defaults::Off)),
        ("names_on/paths_5_and_filter", rules([paths(5), vec![filter]].concat(), Defaults::On)),
        (
            "names_on/detectors",
            RedactConfig { detectors: DetectorKind::ALL.to_vec(), ..rules(vec![], Defaults::On) },
        ),
    ]
    .map(|(name, config)| (name, Redactor::new(&config).unwrap()));
    for (size, bytes) in SIZES {
        let body = orders(bytes);
        let mut group = c.benchmark_group(format!("body/{size}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("copy", |b| b.iter(|| black_box(body.as_str()).to_owned()));
        group.bench_function("serde_json_value", |b| {
            b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(&body)).unwrap());
        });
        for (name, redactor) in &variants {
            group.bench_function(*name, |b| b.iter(|| redact(redactor, black_box(&body))));
        }
    }
}

fn shapes(c: &mut Criterion) {
    let redactor = Redactor::new(&rules(paths(5), Defaults::On)).unwrap();
    let mut group = c.benchmark_group("shape/64KB");
    for (name, body) in [
        ("indented", orders_indented(64_000)),
        ("by_identifier", by_identifier(64_000)),
        ("numbers", format!("[{}0]", "12.5,".repeat(12_800))),
        ("long_string", format!("[\"{}\"]", "lorem ipsum dolor sit amet ".repeat(2_370))),
        (
            "log_lines",
            format!("[{}0]", "\"level=info at=12:30:07 msg=\\\"done\\\" took=3ms\",".repeat(1_185)),
        ),
        ("escapes", format!("[\"{}\"]", "\\u0041".repeat(10_666))),
        ("secrets", format!("[{}0]", "{\"token\":1},".repeat(5_333))),
    ] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| redact(&redactor, black_box(&body))));
    }
}

fn heads(c: &mut Criterion) {
    let redactor = Redactor::new(&rules(vec![], Defaults::On)).unwrap();
    let hits = &mut Hits::default();
    let mut group = c.benchmark_group("head");
    for (name, value) in [
        ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("referer", "https://shop.example.com/orders?page=2&session=0123456789abcdef&q=caf%C3%A9"),
        ("x-request-id", "2f1e8f9c-8a67-4c55-9d3a-0a1b2c3d4e5f"),
    ] {
        group.bench_function(BenchmarkId::new("header", name), |b| {
            b.iter(|| {
                redactor.header(black_box(name).as_bytes(), black_box(value).as_bytes(), hits).into_owned()
            });
        });
    }
    for (name, query) in [
        ("short", "page=2&limit=50"),
        (
            "long",
            "utm_source=newsletter&filter%5Bstatus%5D=paid&sort=-created_at&access_token=0123456789&next=https%3A%2F%2Fx%2F%3Fpage%3D3",
        ),
    ] {
        group.bench_function(BenchmarkId::new("query", name), |b| {
            b.iter(|| redactor.query(black_box(query).as_bytes(), hits).into_owned());
        });
    }
    for (name, path) in
        [("plain", "/v1/orders/4711/items/12"), ("matrix", "/v1/orders;session=0123/items;v=2")]
    {
        group.bench_function(BenchmarkId::new("path", name), |b| {
            b.iter(|| redactor.path(black_box(path).as_bytes(), hits).into_owned());
        });
    }
}

fn captures(c: &mut Criterion) {
    let redactor = Redactor::new(&rules(paths(5), Defaults::On)).unwrap();
    let config = CaptureConfig { request_body: true, ..CaptureConfig::default() };
    let capture = Capture::new(&config).unwrap();
    let body = orders(48_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let mut group = c.benchmark_group("capture/48KB");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (coding, bytes) in [("identity", body.as_bytes()), ("gzip", &zipped)] {
        let headers =
            [(&b"content-type"[..], &b"application/json"[..]), (b"content-encoding", coding.as_bytes())];
        group.bench_function(coding, |b| {
            b.iter(|| {
                let mut taken = capture.body(Message::Request, &Head::request(headers)).unwrap();
                black_box(bytes).chunks(16_384).for_each(|chunk| taken.push(chunk));
                taken.finish(BodyEnd::Complete, &redactor, &mut Hits::default()).content.unwrap()
            });
        });
    }
}

fn redact(redactor: &Redactor, body: &str) -> String {
    redactor.body(Message::Request, BodyKind::Json, body, &mut Hits::default()).unwrap()
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = bodies, shapes, heads, captures
}
criterion_main!(all);
