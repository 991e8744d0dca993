//! Rows that replicas tell each other: all of them show what one file shows.

use crate::support::otlp::{Frame, MINUTE, Made, NOON, export_logs, made, record, text};
use crate::support::{Service, database_at};
use gatelens_ingest::{ClickHouseConfig, Limits};
use gatelens_testkit::ClickHouse;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Changes that come with every batch are told at every fifth look, and some at every thirtieth.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

fn replica(store: &ClickHouseConfig) -> Service {
    Service::on_store_with(store.clone(), Limits { tell_interval: LOOK, ..Limits::default() })
}

fn ask(service: &Service, paths: &[&str]) -> Vec<Value> {
    paths.iter().map(|path| service.json(&format!("/api/v1/{path}"))).collect()
}

/// Waits until a replica answers as another one does.
fn agree(one: &Service, other: &Service, paths: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (found, expected) = (ask(other, paths), ask(one, paths));
        if found == expected {
            return;
        }
        if Instant::now() > deadline {
            assert_eq!(found, expected);
        }
        std::thread::sleep(LOOK);
    }
}

fn counted(service: &Service, (instance, sequence): (&str, u64), at: u64, consumer: &'static str) {
    let points = [Made { consumer, ..made("/a", 200, 0.1) }];
    service.send("/v1/metrics", Some((instance, 1, sequence)), &Frame::at(at).of(&points)).accepted();
}

/// Sends a log record of a consumer with a name.
fn named(service: &Service, sequence: u64, at: u64, consumer: &'static str, name: &str) {
    let mut record = record(at, &Made { consumer, ..made("/a", 200, 0.1) });
    record.attributes.push(text("gatelens.consumer.name", name));
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(vec![record])).accepted();
}

#[test]
fn replicas_know_the_same_gateways_and_consumers() {
    const PATHS: [&str; 2] = ["gateways", "consumers"];
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, other] = [replica(&store), replica(&store)];
    for (minute, consumer) in (0..).zip(["acme", "globex", "acme", "initech"]) {
        let service = if minute % 2 == 0 { &one } else { &other };
        named(service, minute + 1, NOON + minute * MINUTE, consumer, &format!("Name {minute}"));
        counted(service, ("edge-1", minute + 1), NOON + minute * MINUTE, consumer);
    }
    agree(&one, &other, &PATHS);
    let consumers = one.json("/api/v1/consumers");
    assert_eq!(consumers["rows"].as_array().unwrap().len(), 3);
    agree(&one, &replica(&store), &PATHS);
}
