//! Responses of the read API about any number of gateways.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use gatelens_testkit::Ingest;
use serde_json::Value;

use super::stack::{Counts, Key};

/// How long a gateway may take to deliver all after the faults have stopped: the longest back-off, 45 s, more than
/// once.
const PATIENCE: Duration = Duration::from_secs(180);

/// Log records by fate, of all gateways together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) captured: u64,
    pub(crate) sent: u64,
    pub(crate) stored: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) held: u64,
    pub(crate) workers_lost: u64,
}

/// The counts by consumer, method, route and status.
pub(crate) fn summary(ingest: &Ingest) -> BTreeMap<Key, Counts> {
    let summary = ingest.get_json("/api/v1/summary?group_by=consumer,method,route,status").unwrap();
    let rows = summary["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let number = |key: &str| row[key].as_u64().unwrap();
        let key = (text("consumer"), text("method"), text("route"), number("status") as u16);
        let counts = Counts {
            requests: number("requests"),
            errors: number("errors"),
            request_bytes: number("request_bytes"),
            response_bytes: number("response_bytes"),
        };
        (key, counts)
    })
    .collect()
}

/// Requests counted so far.
pub(crate) fn counted(ingest: &Ingest) -> u64 {
    let summary = ingest.get_json("/api/v1/summary").unwrap();
    summary["rows"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap()).sum()
}

/// The whole request log, newest first.
pub(crate) fn request_log(ingest: &Ingest) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut page = ingest.get_json(&format!("/api/v1/requests?limit=1000{cursor}")).unwrap();
        if let Some(rows) = page["rows"].as_array_mut() {
            all.append(rows);
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// The gateways, one row for each epoch.
pub(crate) fn gateways(ingest: &Ingest) -> Vec<Value> {
    ingest.get_json("/api/v1/gateways").unwrap()["rows"].as_array().unwrap().clone()
}

/// The fates of all log records.
pub(crate) fn fates(ingest: &Ingest) -> Fates {
    let mut sum = Fates::default();
    for gateway in gateways(ingest) {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        sum.captured += number(&gateway["captured"]);
        sum.sent += number(&gateway["sent"]);
        sum.stored += number(&gateway["stored"]);
        sum.held += number(&gateway["held"]);
        sum.workers_lost += number(&gateway["workers_lost"]);
        for (reason, records) in gateway["dropped"].as_object().unwrap() {
            *sum.dropped.entry(reason.clone()).or_default() += number(records);
        }
    }
    let dropped: u64 = sum.dropped.values().sum();
    assert_eq!(sum.captured, sum.stored + dropped + sum.held, "every response adds up: {sum:?}");
    sum
}

/// Waits until this many requests are counted and each of their log records has its fate, and a moment longer in case
/// one is counted twice. The caller checks the result.
pub(crate) fn settled(ingest: &Ingest, requests: u64) -> Fates {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let fates = fates(ingest);
        // The gateway itself must know, not only the ingest.
        let fated = fates.sent + fates.dropped.values().sum::<u64>();
        if fates.captured >= requests && fated >= fates.captured && counted(ingest) >= requests {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    sleep(Duration::from_millis(2_500));
    fates(ingest)
}
