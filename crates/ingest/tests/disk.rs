//! The data stays within `--max-disk`: bodies go first, then the log, and counts last.

use crate::support::otlp::{Frame, MINUTE, NOON, SECOND, export_logs, made, record, text};
use crate::support::{Service, noise};
use gatelens_ingest::Retention;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIMIT: u64 = 8 << 20;
const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// Bytes of all files of the data directory.
fn bytes(service: &Service) -> u64 {
    let files = std::fs::read_dir(service.data()).unwrap();
    files.map(|file| file.unwrap().metadata().map_or(0, |metadata| metadata.len())).sum()
}

/// Sends a batch of the log with these attributes in each record, the first a second after that of the batch before.
fn log(service: &Service, sequence: u64, records: u64, attribute: &str, size: usize) {
    let records = (0..records).map(|index| {
        let mut record = record(NOON + sequence * SECOND + index, &made("/a", 200, 0.1));
        record.attributes.retain(|known| known.key != attribute);
        record.attributes.push(text(attribute, &noise(sequence * 1000 + index, size, b'!'..=b'z')));
        record
    });
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(records.collect())).accepted();
}

fn metric(service: &Service, name: &str) -> i64 {
    let text = service.get("/metrics").text();
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name}: {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

fn removed(service: &Service, kind: &str) -> i64 {
    metric(service, &format!("gatelens_ingest_store_removed{{kind=\"{kind}\"}}"))
}

fn rows(service: &Service, query: &str) -> Vec<Value> {
    service.json(&format!("/api/v1/requests?{DAY}&{query}"))["rows"].as_array().unwrap().clone()
}

fn counted(service: &Service) -> Value {
    service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0]["requests"].clone()
}

/// Waits until something of a kind was removed, which is noted after the files have become smaller.
fn has_removed(service: &Service, kind: &str) -> i64 {
    let begun = Instant::now();
    loop {
        let count = removed(service, kind);
        if count > 0 {
            return count;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no {kind} went");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the files fit.
fn fits(service: &Service) {
    let begun = Instant::now();
    while bytes(service) > LIMIT {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} bytes", bytes(service));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn bodies_go_before_requests_and_requests_before_counts() {
    let mut service = Service::start();
    service.keep(Retention { max_disk: Some(LIMIT), ..Retention::default() });
    for sequence in 1..=3 {
        let all = vec![made("/a", 200, 0.1); sequence as usize];
        let frame = Frame::at(NOON + sequence * MINUTE).of(&all);
        service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &frame).accepted();
    }
    // 16 MB of bodies, of which each batch has 160 KB.
    for sequence in 1..=100 {
        log(&service, sequence, 8, "gatelens.request.body.content", 20_000);
    }
    fits(&service);
    let bodies = has_removed(&service, "bodies");
    assert!((100..800).contains(&bodies), "{bodies}");
    let newest = rows(&service, "limit=1000");
    assert_eq!(newest.len(), 800, "no request went");
    let first_without = newest.iter().position(|row| row["request_body"].is_null()).unwrap();
    assert_eq!(800 - first_without as i64, bodies, "the oldest went, and no others");
    for row in &newest[first_without..] {
        assert_eq!((&row["request_body"], &row["request_body_omitted"]), (&Value::Null, &json!("max_disk")));
    }
    assert_eq!(metric(&service, "gatelens_ingest_store_limit_bytes"), LIMIT as i64);
    let until = metric(&service, "gatelens_ingest_store_removed_until_seconds{kind=\"bodies\"}");
    assert!((NOON / SECOND..NOON / SECOND + 101).contains(&(until as u64)), "{until}");
    assert!(metric(&service, "gatelens_ingest_store_removed_at_seconds{kind=\"bodies\"}") > 1_790_000_000);
    assert_eq!(removed(&service, "requests"), 0);

    // 20 MB of paths: no body is left, and the oldest requests go.
    for sequence in 101..=200 {
        log(&service, sequence, 100, "url.path", 2_000);
    }
    fits(&service);
    let requests = has_removed(&service, "requests");
    assert_eq!(removed(&service, "bodies"), 800);
    assert!((800..10_800).contains(&requests), "{requests}");
    let newest = rows(&service, "limit=1");
    assert_eq!(newest[0]["request_id"], json!(format!("id-{}", NOON + 200 * SECOND + 99)));
    assert_eq!(
        (removed(&service, "minutes"), removed(&service, "half_hours"), counted(&service)),
        (0, 0, json!(3))
    );
    let answer = service.json("/api/v1/storage");
    assert_eq!(answer["limit_bytes"], LIMIT);
    assert!(answer["bytes"]["requests"].as_u64().unwrap() <= LIMIT, "{answer}");
    let kinds: Vec<_> = answer["removed"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, [json!("bodies"), json!("requests")]);
    assert_eq!(service.json("/healthz")["status"], "ok");
}
