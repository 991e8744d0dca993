//! `gatelens backup` and `gatelens restore`: nothing is lost or doubled, whenever the copy was made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, NOON, log, made};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use support::{EDGE, Sender, Service, gatelens};

const LOGS: &str = "/v1/logs";
const METRICS: &str = "/v1/metrics";
const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const OTHER: Sender = Sender { instance: "edge-2", epoch: 0xbb };

fn run(arguments: &[&str], status: i32, words: &[&str]) -> String {
    let output = gatelens(arguments).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}"));
    said
}

fn counted(service: &Service) -> u64 {
    service.json(&format!("/api/v1/summary?{DAY}"))["rows"][0]["requests"].as_u64().unwrap()
}

/// A batch of the log with one request, and the counters that have counted it.
fn send(service: &Service, sender: Sender, sequence: u64) {
    let one = made("/a", 200, 0.1);
    assert!(service.send(LOGS, sender, sequence, &log(&[(NOON + sequence, one)])));
    let all = vec![made("/a", 200, 0.1); sequence as usize];
    assert!(service.send(METRICS, sender, sequence, &Frame::at(NOON).of(&all)));
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_backup_under_load_is_whole_and_continues_without_loss_or_double() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup, restored) = (path(dir.path(), "data"), path(dir.path(), "b"), path(dir.path(), "r"));
    let service = Service::start(Path::new(&data));
    let acknowledged = AtomicU64::new(0);
    let senders = [EDGE, OTHER];
    const BATCHES: u64 = 150;
    let made = std::thread::scope(|scope| {
        for sender in senders {
            let (service, acknowledged) = (&service, &acknowledged);
            scope.spawn(move || {
                for sequence in 1..=BATCHES {
                    send(service, sender, sequence);
                    acknowledged.fetch_add(1, SeqCst);
                }
            });
        }
        gatelens_testkit::wait::eventually("some batches", || {
            Ok((acknowledged.load(SeqCst) > 40).then_some(()))
        })
        .unwrap();
        let before = acknowledged.load(SeqCst);
        run(&["backup", "--data", &data, &backup], 0, &["requests counted"]);
        (before, acknowledged.load(SeqCst))
    });
    assert!(made.1 < 2 * BATCHES, "the load ended before the backup: {made:?}");
    assert_eq!(counted(&service), 2 * BATCHES);
    run(&["restore", "--data", &restored, &backup], 0, &[&restored]);
    // The copy has all that was acknowledged before it began, and is a service's data: what came after comes again, as
    // gateways repeat what was not acknowledged, and counts once.
    let copy = Service::start(Path::new(&restored));
    let (counts, ids) = (counted(&copy), copy.request_ids(DAY).len() as u64);
    assert!((made.0..=made.1 + 2).contains(&counts), "{counts} counted, {made:?} acknowledged");
    assert!((made.0..=made.1 + 2).contains(&ids), "{ids} logged, {made:?} acknowledged");
    for sender in senders {
        (1..=BATCHES).for_each(|sequence| send(&copy, sender, sequence));
    }
    assert_eq!((counted(&copy), copy.request_ids(DAY).len() as u64), (2 * BATCHES, 2 * BATCHES));
    copy.stop();
    service.stop();
}

#[test]
fn nothing_is_overwritten_or_put_back_that_is_not_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup, other) = (path(dir.path(), "data"), path(dir.path(), "b"), path(dir.path(), "o"));
    run(&["backup", "--data", &data, &backup], 1, &["has no data of gatelens"]);
    let service = Service::start(Path::new(&data));
    send(&service, EDGE, 1);
    run(&["backup", "--data", &data, &backup], 0, &["4 files, 1 requests counted, 1 logged"]);
    run(&["backup", "--data", &data, &backup], 1, &["exists: choose a directory that does not"]);
    send(&service, EDGE, 2);
    run(&["restore", "--data", &data, "--force", &backup], 1, &["in use by another gatelens"]);
    service.stop();
    run(&["restore", "--data", &data, &backup], 1, &["has data of gatelens", "--force"]);
    run(&["restore", "--data", &data, "--force", &backup], 0, &["1 requests counted"]);
    let service = Service::start(Path::new(&data));
    assert_eq!((counted(&service), service.request_ids(DAY).len()), (1, 1));
    service.stop();

    // Damage in the backup shows before anything is replaced.
    let copy = Path::new(&backup).join("metrics.db");
    let whole = std::fs::read(&copy).unwrap();
    let mut bytes = whole.clone();
    // Pages of 8 KiB, after the first.
    bytes[8_192..40_960].fill(0xa5);
    std::fs::write(&copy, &bytes).unwrap();
    run(&["restore", "--data", &data, "--force", &backup], 1, &["metrics.db is damaged"]);
    std::fs::write(&copy, &whole).unwrap();
    let counts = "DELETE FROM half_hours; DELETE FROM changes";
    rusqlite::Connection::open(&copy).unwrap().execute_batch(counts).unwrap();
    run(&["restore", "--data", &other, &backup], 1, &["metrics.db is damaged", "in place of"]);
    std::fs::write(Path::new(&backup).join("backup.json"), r#"{"format": 1, "gatelens": "", "made_at": "", "files": {"../x": {"schema": 1, "requests": 0, "rows": {}}}}"#).unwrap();
    run(&["restore", "--data", &other, &backup], 1, &["is not a backup of gatelens", "../x"]);
    let service = Service::start(Path::new(&data));
    assert_eq!(counted(&service), 1);
    service.stop();
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
}
