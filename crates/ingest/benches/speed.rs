//! How fast the ingest stores and answers: `cargo bench -p gatelens-ingest`. It prints figures and takes minutes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, log, made};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use std::time::Instant;

const ROUTES: [&str; 20] = [
    "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k", "/l", "/m", "/n", "/o", "/p", "/q",
    "/r", "/s", "/t",
];
const CONSUMERS: [&str; 20] = [
    "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15",
    "c16", "c17", "c18", "c19",
];
const STATUSES: [u16; 5] = [200, 201, 404, 500, 503];

fn main() {
    a_day_of_two_thousand_series();
    cumulative_frames_of_two_thousand_series();
    a_million_requests_in_the_log();
}

fn a_day_of_two_thousand_series() {
    let service = Service::with(support::of_benchmarks());
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let frames = 24 * 60;
    let begun = Instant::now();
    for minute in 0..frames {
        let mut all = Vec::new();
        for i in 0..2000usize {
            for _ in 0..4 {
                all.push(Made {
                    consumer: CONSUMERS[i % 20],
                    seconds: 0.005 / (random() + 0.001),
                    ..made(ROUTES[i / 20 % 20], STATUSES[i / 400], 0.0)
                });
            }
        }
        let time = NOON - 12 * 60 * MINUTE + (minute + 1) * MINUTE;
        let frame = Frame { temporality: AggregationTemporality::Delta, ..Frame::at(time) }.of(&all);
        service.send("/v1/metrics", Some(("edge-1", 1, minute + 1)), &frame).accepted();
    }
    println!("stored {frames} frames of 2,000 series: {:?} a frame", begun.elapsed() / frames as u32);
    let total = frames * 8000;
    for range in [
        "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z",
        "from=2026-06-20T00:07:00Z&to=2026-06-20T23:53:00Z",
        "from=2026-06-20T12:07:00Z&to=2026-06-20T13:07:00Z",
    ] {
        for query in [
            "summary?",
            "summary?group_by=route",
            "summary?group_by=consumer,method,route,status",
            "timeseries?step=60",
            "timeseries?step=1800",
            "timeseries?step=3600&group_by=status",
        ] {
            let begun = Instant::now();
            let answer = service.json(&format!("/api/v1/{query}&{range}").replace("?&", "?"));
            println!("{query} {range}: {:?}", begun.elapsed());
            if query == "summary?" && range.contains("06-21") {
                assert_eq!(answer["rows"][0]["requests"], total);
            }
        }
    }
    let size: u64 =
        std::fs::read_dir(service.data()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    println!("on disk: {} MB", size >> 20);
}

fn cumulative_frames_of_two_thousand_series() {
    let service = Service::with(support::of_benchmarks());
    let mut all = Vec::new();
    let frames = 60u64;
    let mut spent = std::time::Duration::ZERO;
    for second in 0..frames {
        for i in 0..2000usize {
            all.push(Made {
                consumer: CONSUMERS[i % 20],
                ..made(ROUTES[i / 20 % 20], STATUSES[i / 400], 0.001 * (second + i as u64 % 7 + 1) as f64)
            });
        }
        let frame = Frame::at(NOON + second * SECOND).of(&all);
        let begun = Instant::now();
        service.send("/v1/metrics", Some(("edge-1", 1, second + 1)), &frame).accepted();
        spent += begun.elapsed();
    }
    println!("each of {frames} frames in which 2,000 series changed: {:?}", spent / frames as u32);
}

fn a_million_requests_in_the_log() {
    let service = Service::with(support::of_benchmarks());
    let batches = 1000u64;
    let mut spent = std::time::Duration::ZERO;
    for batch in 0..batches {
        let requests: Vec<_> = (0..1000u64)
            .map(|i| {
                let at = (batch * 1000 + i) as usize;
                let request = Made {
                    consumer: CONSUMERS[at % 20],
                    ..made(ROUTES[at / 3 % 20], STATUSES[at % 11 / 7], 0.001 * (at % 97 + 1) as f64)
                };
                (NOON + batch * 10 * SECOND + i * SECOND / 100, request)
            })
            .collect();
        let export = log(&requests);
        let begun = Instant::now();
        service.send("/v1/logs", Some(("edge-1", 1, batch + 1)), &export).accepted();
        spent += begun.elapsed();
    }
    println!("each of {batches} batches of 1,000: {:?}", spent / batches as u32);
    for query in ["limit=100", "limit=1000", "errors=true", "consumer=c7", "consumer=nobody", "status=503"] {
        let begun = Instant::now();
        let rows =
            service
                .json(&format!("/api/v1/requests?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&{query}"))
                ["rows"]
                .as_array()
                .unwrap()
                .len();
        println!("{query}: {rows} rows in {:?}", begun.elapsed());
    }
    let size: u64 =
        std::fs::read_dir(service.data()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    println!("on disk: {} bytes a request", size / (batches * 1000));
}
