//! The fates of the log of each epoch add up, also where an epoch ended before its last report.

use crate::support::Service;
use crate::support::otlp::{Frame, NOON, export_logs, log, made, record, sum, text};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use std::time::Duration;

/// An event in the life of epoch 1 of the gateway `edge-1`.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A batch of the log: its sequence and its number of records.
    Batch(u64, usize),
    /// The same, with one more record that is not a request.
    Partial(u64, usize),
    /// A report of the gateway: captured, sent, and dropped because the queue was full.
    Report(i64, i64, i64),
    /// The epoch 2 of the same gateway reports.
    SecondEpoch,
    /// The same, and nothing comes for two minutes.
    NewerEpoch,
    /// Nothing comes for an hour.
    Silence,
    /// The ingest stops and starts.
    Restart,
    /// The file with the log of all days up to now is as old as retention allows, and newer requests arrive.
    LogExpires,
}
use Step::{Batch, LogExpires, NewerEpoch, Partial, Report, Restart, SecondEpoch, Silence};

fn requests(count: usize) -> Vec<LogRecord> {
    (0..count).map(|i| record(NOON + i as u64, &made("/", 200, 0.1))).collect()
}

fn report(captured: i64, sent: i64, queue_full: i64) -> Vec<opentelemetry_proto::tonic::metrics::v1::Metric> {
    let fate = |name, count| (vec![text("gatelens.event.fate", name)], count);
    vec![
        sum("gatelens.events.captured", vec![(vec![], captured)], NOON),
        sum("gatelens.events", vec![fate("sent", sent), fate("queue_full", queue_full)], NOON),
    ]
}

fn take(service: &mut Service, step: Step, report_sequence: &mut u64) {
    let mut metrics = |service: &Service, epoch, metrics| {
        *report_sequence += 1;
        let export = Frame::at(NOON).export(metrics);
        service.send("/v1/metrics", Some(("edge-1", epoch, *report_sequence)), &export).accepted();
    };
    match step {
        Batch(sequence, count) => {
            let export = export_logs(requests(count));
            service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export).accepted();
        }
        Partial(sequence, count) => {
            let mut records = requests(count);
            records.push(LogRecord { time_unix_nano: NOON, ..LogRecord::default() });
            let answer = service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(records));
            assert_eq!(answer.status, 200);
            assert!(answer.text().contains("only records of HTTP requests"), "{}", answer.text());
        }
        Report(captured, sent, queue_full) => metrics(service, 1, report(captured, sent, queue_full)),
        SecondEpoch => metrics(service, 2, report(0, 0, 0)),
        NewerEpoch => {
            metrics(service, 2, report(0, 0, 0));
            pass(service, 2);
        }
        Silence => pass(service, 60),
        Restart => service.restart(|_| ()),
        LogExpires => {
            let old = jiff::Zoned::now().saturating_sub(jiff::Span::new().days(20));
            let old = format!("requests-{}.db", old.with_time_zone(jiff::tz::TimeZone::UTC).date());
            service.restart(|data| {
                for path in files(data).filter(|path| !path.ends_with("metrics.db")) {
                    std::fs::rename(path, data.join(&old)).unwrap();
                }
            });
            let now = jiff::Timestamp::now().as_nanosecond() as u64;
            let newer = log(&[(now, made("/", 200, 0.1))]);
            service.send("/v1/logs", Some(("edge-2", 1, 1)), &newer).accepted();
            let path = service.data().join(&old);
            service.restart(|_| ());
            while path.exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Lets the gateways have been seen earlier by minutes.
fn pass(service: &mut Service, minutes: i64) {
    service.restart(|data| {
        for path in files(data) {
            let earlier = "UPDATE gateways SET first_seen = first_seen - ?1, last_seen = last_seen - ?1";
            rusqlite::Connection::open(path).unwrap().execute(earlier, [minutes * 60_000_000_000]).unwrap();
        }
    });
}

fn files(data: &std::path::Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let is_of_senders = |path: &std::path::PathBuf| {
        !["alerts.db", "issues.db", "spans.db"].iter().any(|name| path.ends_with(name))
    };
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "db")).filter(is_of_senders)
}

fn epoch(service: &Service, epoch: u64) -> Value {
    let answer = service.json("/api/v1/gateways");
    let rows = answer["rows"].as_array().unwrap();
    let epoch = format!("{epoch:016x}");
    rows.iter().find(|row| row["instance"] == "edge-1" && row["epoch"] == epoch).unwrap().clone()
}

/// Asserts what the answer shows of epoch 1: captured, stored, dropped since the queue was full, lost, and held.
fn check(steps: &[Step], expected: [u64; 5]) {
    let mut service = Service::start();
    let mut sequence = 0;
    steps.iter().for_each(|step| take(&mut service, *step, &mut sequence));
    let row = epoch(&service, 1);
    let number = |pointer: &str| row.pointer(pointer).and_then(Value::as_u64).unwrap();
    let dropped: u64 = row["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let found = ["/captured", "/stored", "/dropped/queue_full", "/dropped/lost", "/held"].map(number);
    assert_eq!(found, expected, "{steps:?}: {row}");
    assert_eq!(found[0], found[1] + dropped + found[4], "{steps:?}: {row}");
}

#[test]
fn an_epoch_that_ended_holds_nothing() {
    // All is in the log, though the last report came before the gateway learned so.
    check(&[Batch(1, 2), Batch(2, 1), Report(3, 0, 0), NewerEpoch], [3, 3, 0, 0, 0]);
    check(&[Report(3, 0, 0), Batch(1, 3), Silence], [3, 3, 0, 0, 0]);
    // Nothing came.
    check(&[Report(3, 0, 0), NewerEpoch], [3, 0, 0, 3, 0]);
    check(&[Report(3, 0, 0), Silence], [3, 0, 0, 3, 0]);
    // Some came, some were dropped, the others are lost.
    check(&[Batch(1, 4), Report(9, 2, 3), NewerEpoch], [9, 4, 3, 2, 0]);
}

#[test]
fn a_running_epoch_holds_the_rest() {
    check(&[Report(3, 0, 0)], [3, 0, 0, 0, 3]);
    check(&[Report(9, 2, 3), Batch(1, 4)], [9, 4, 3, 0, 2]);
    // The report knows of deliveries of which the ingest kept no record.
    check(&[Report(9, 5, 3)], [9, 5, 3, 0, 1]);
    // The last report of a gateway that was killed is older than its last batches.
    check(&[Report(3, 3, 0), Batch(1, 5)], [5, 5, 0, 0, 0]);
}

#[test]
fn repeats_count_once() {
    check(&[Batch(1, 2), Batch(1, 2), Report(3, 0, 0), Batch(1, 2), NewerEpoch], [3, 2, 0, 1, 0]);
}

#[test]
fn records_that_the_ingest_refused_are_not_stored() {
    check(&[Partial(1, 2), Report(3, 0, 0), NewerEpoch], [3, 2, 0, 1, 0]);
}

#[test]
fn batches_that_are_missing_are_lost() {
    check(&[Batch(1, 2), Batch(4, 2), Report(9, 2, 0), NewerEpoch], [9, 4, 0, 5, 0]);
    // A batch that was late after all is stored after all.
    check(&[Batch(1, 2), Batch(4, 2), Report(9, 2, 0), NewerEpoch, Batch(2, 3)], [9, 7, 0, 0, 2]);
}

#[test]
fn a_restart_of_the_ingest_changes_nothing() {
    check(
        &[Batch(1, 2), Restart, Batch(1, 2), Batch(2, 1), Report(3, 0, 0), NewerEpoch, Restart],
        [3, 3, 0, 0, 0],
    );
}

#[test]
fn the_log_may_expire_and_its_numbers_stay() {
    check(&[Batch(1, 2), Batch(2, 1), Report(3, 0, 0), NewerEpoch, LogExpires], [3, 3, 0, 0, 0]);
    check(&[Batch(1, 2), Report(4, 0, 0), LogExpires, Batch(2, 1), Silence, Restart], [4, 3, 0, 1, 0]);
    // Twice, so that what was kept of an expired file expires with the next.
    check(&[Batch(1, 2), LogExpires, Batch(2, 1), LogExpires, Report(4, 0, 0), NewerEpoch], [4, 3, 0, 1, 0]);
}

#[test]
fn two_epochs_at_work_side_by_side_have_both_not_ended() {
    // As after a hot restart: before the next report of the first epoch is due, and after it came.
    for steps in [&[Report(3, 0, 0), SecondEpoch][..], &[Report(3, 0, 0), NewerEpoch, Report(4, 0, 0)]] {
        let mut service = Service::start();
        let mut sequence = 0;
        steps.iter().for_each(|step| take(&mut service, *step, &mut sequence));
        let rows = [1, 2].map(|number| epoch(&service, number));
        assert_eq!(rows.each_ref().map(|row| &row["ended"]), [&json!(false), &json!(false)], "{steps:?}");
        assert_eq!(rows[0]["dropped"]["lost"], 0, "{steps:?}");
    }
}
