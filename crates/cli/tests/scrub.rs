//! `gatelens scrub`: damage is found and set aside, with and without a service at work.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, NOON, log, made};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::{EDGE, Service, gatelens};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn scrub(data: &Path, arguments: &[&str], status: i32) -> String {
    let data = data.to_str().unwrap();
    let output = gatelens(&[&["scrub", "--data", data], arguments].concat()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    said
}

fn day_file(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let is_day = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("requests-") && name.ends_with(".db")
    };
    files.into_iter().find(is_day).unwrap()
}

fn logged(service: &Service) -> usize {
    service.json(&format!("/api/v1/requests?{DAY}"))["rows"].as_array().unwrap().len()
}

fn counted(service: &Service) -> Value {
    service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0]["requests"].clone()
}

#[test]
fn damage_is_set_aside_by_a_service_at_work_and_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let service = Service::start(&data);
    assert!(service.send("/v1/metrics", EDGE, 1, &Frame::at(NOON).of(&[made("/", 200, 0.1)])));
    for sequence in 1..=2 {
        let record = (NOON + sequence, made("/", 200, 0.1));
        assert!(service.send("/v1/logs", EDGE, sequence, &log(&[record])));
    }
    assert!(scrub(&data, &[], 0).contains("no damage"));
    // A service that stops adds up all changes.
    service.stop();
    let service = Service::start(&data);

    let harm = |statement: &str, path: &Path| {
        assert_eq!(rusqlite::Connection::open(path).unwrap().execute(statement, []).unwrap(), 1);
    };
    harm("UPDATE chunks SET data = x'0102' WHERE id = 1", &day_file(&data));
    // A count that no sender has sent. Only the checksum shows it.
    harm("UPDATE half_hours SET requests = 1000", &data.join("metrics.db"));
    assert_eq!(counted(&service), 1000);

    let said = scrub(&data, &["--dry-run"], 2);
    assert!(said.contains("damage: 2 pieces; repeat this without --dry-run"), "{said}");
    assert!(!data.join("quarantine").exists());
    let said = scrub(&data, &[], 2);
    assert!(said.contains("set aside: 2 pieces of damage; probably lost: 1 rows"), "{said}");
    assert!(said.contains("2026-06-20T12:00:00.000000001Z"), "{said}");
    assert_eq!((counted(&service), logged(&service)), (json!(1), 1));
    let storage = service.json("/api/v1/storage");
    assert_eq!((&storage["scrub"]["last"]["damaged"], &storage["scrub"]["damaged"]), (&json!(2), &json!(2)));
    assert_eq!(storage["scrub"]["latest"].as_array().unwrap().len(), 2, "{storage}");

    drop(service);
    assert!(scrub(&data, &[], 0).contains("no damage"));
    harm("UPDATE half_hours SET requests = 1000", &data.join("metrics.db"));
    // The warnings follow the report.
    let said = scrub(&data, &["--format", "json"], 2);
    let report: Value = serde_json::Deserializer::from_str(&said).into_iter().next().unwrap().unwrap();
    assert_eq!((&report["damaged"], &report["lost"]), (&json!(1), &json!(0)));
    let manifest = std::fs::read_to_string(data.join("quarantine/manifest.jsonl")).unwrap();
    assert_eq!(manifest.lines().count(), 3);
    scrub(Path::new("/nonexistent"), &[], 1);
}
