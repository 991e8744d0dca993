//! Sums that are kept in memory give the same answers as the files.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, made};
use gatelens_ingest::Limits;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use serde_json::Value;

const DAY: u64 = 24 * 60 * MINUTE;
/// They reach from minutes to weeks, with edges anywhere.
const QUESTIONS: [&str; 9] = [
    "timeseries?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&step=300",
    "timeseries?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&step=900&group_by=status",
    "timeseries?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z&step=900&consumer=acme",
    "timeseries?from=2026-06-14T00:00:00Z&to=2026-06-22T00:00:00Z&step=7200&group_by=route",
    "timeseries?from=2026-05-01T00:00:00Z&to=2026-06-22T00:00:00Z&step=604800",
    "summary?from=2026-06-20T00:17:00Z&to=2026-06-21T00:11:00Z&group_by=consumer,route",
    "summary?from=2026-06-12T03:30:00Z&to=2026-06-21T01:00:00Z&group_by=status",
    "summary?from=2026-04-12T03:31:00Z&to=2026-06-21T01:00:00Z",
    "summary?from=2026-06-12T03:30:00Z&to=2026-06-21T01:00:00Z&group_by=gateway",
];

/// The answer of the service must be that of its files, which a program without a memory reads.
fn check(service: &Service, after: &str) {
    for question in QUESTIONS {
        let (status, body) = gatelens_ingest::query_offline(service.data(), question);
        let expected: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 200, "{question}: {expected}");
        for time in ["first", "second"] {
            let answer = service.json(&format!("/api/v1/{question}"));
            assert_eq!(answer, expected, "{question}, {after}, asked for the {time} time");
        }
    }
}

fn send(service: &Service, sequence: u64, time: u64, consumer: &'static str, seconds: f64) {
    let all = [(200, "/a"), (503, "/a"), (200, "/b")]
        .map(|(status, route)| Made { consumer, ..made(route, status, seconds) });
    let frame = Frame { temporality: AggregationTemporality::Delta, ..Frame::at(time) }.of(&all);
    let instance = ["edge-1", "edge-2"][sequence as usize % 2];
    service.send("/v1/metrics", Some((instance, 1, sequence)), &frame).accepted();
}

fn answers_are_those_of_the_files(limits: Limits) {
    let mut service = Service::with(limits);
    check(&service, "without counts");
    // Late batches come to stretches that were asked about, and new series to old ones.
    let batches = [
        (NOON, "acme"),
        (NOON + MINUTE, "acme"),
        (NOON - 9 * DAY, "globex"),
        (NOON - 30 * MINUTE, "acme"),
        (NOON - 40 * DAY, "initech"),
        (NOON, "globex"),
        (NOON - 9 * DAY, "umbrella"),
        (NOON + 6 * 60 * MINUTE, "acme"),
        (NOON + 6 * 60 * MINUTE, "acme"),
    ];
    for ((time, consumer), sequence) in batches.into_iter().zip(1..) {
        send(&service, sequence, time, consumer, 0.01 * sequence as f64);
        check(&service, &format!("batch {sequence}"));
    }
    service.restart(|_| ());
    check(&service, "after a start");
}

#[test]
fn an_answer_out_of_memory_is_that_of_the_files_after_each_batch() {
    answers_are_those_of_the_files(Limits::default());
}

#[test]
fn a_memory_that_is_too_small_changes_no_answer() {
    answers_are_those_of_the_files(Limits { kept_bytes: 20_000, ..Limits::default() });
    answers_are_those_of_the_files(Limits { kept_bytes: 0, ..Limits::default() });
}
