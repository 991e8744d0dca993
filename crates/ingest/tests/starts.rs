//! A series that a gateway gives up and begins anew within an epoch counts from its new start, whatever arrives late,
//! twice, or around a restart of the ingest.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, made};

const METRICS: &str = "/v1/metrics";
const EPOCH_START: u64 = NOON - 3_600 * SECOND;
const SECOND_START: u64 = NOON + 90 * SECOND;
const THIRD_START: u64 = NOON + 91 * SECOND;

/// An event at the ingest.
enum Step {
    /// An export with the next sequence number: the start of the series, and the requests since then.
    Export(u64, u64),
    /// The last export comes again.
    Repeat,
    /// The ingest stops and starts.
    Restart,
    /// The ingest stops, and an earlier version of it kept the states: it took no notice of starts.
    Upgrade,
}
use Step::{Export, Repeat, Restart, Upgrade};

fn requests(count: u64) -> Vec<Made> {
    (0..count).map(|_| made("/a", 200, 0.1)).collect()
}

/// Asserts the number of requests after these steps.
fn check(steps: &[Step], expected: u64) {
    let mut service = Service::start();
    let mut sequence = 0;
    let mut last = None;
    for step in steps {
        match step {
            Export(start, count) => {
                sequence += 1;
                let frame = Frame { start: *start, ..Frame::at(NOON + 2 * MINUTE) };
                let export = frame.of(&requests(*count));
                service.send(METRICS, Some(("edge-1", 7, sequence)), &export).accepted();
                last = Some(export);
            }
            Repeat => {
                let export = last.as_ref().unwrap();
                service.send(METRICS, Some(("edge-1", 7, sequence)), export).accepted();
            }
            Restart => service.restart(|_| ()),
            Upgrade => service.restart(|data| {
                let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
                file.execute("UPDATE states SET start = 0", []).unwrap();
            }),
        }
    }
    let answer = service.json("/api/v1/summary?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z");
    let row = &answer["rows"][0];
    assert_eq!((&row["requests"], &row["request_bytes"]), (&expected.into(), &(expected * 100).into()));
}

#[test]
fn a_new_start_counts_from_zero() {
    check(&[Export(EPOCH_START, 5), Export(SECOND_START, 2)], 7);
    check(&[Export(EPOCH_START, 2), Export(SECOND_START, 5)], 7);
    check(&[Export(EPOCH_START, 2), Export(SECOND_START, 2), Export(THIRD_START, 2)], 6);
    check(&[Export(EPOCH_START, 2), Export(SECOND_START, 2), Export(SECOND_START, 3)], 5);
}

#[test]
fn values_of_an_earlier_start_that_arrive_late_or_twice_count_once() {
    check(&[Export(EPOCH_START, 5), Repeat, Export(SECOND_START, 2), Repeat], 7);
    check(&[Export(EPOCH_START, 5), Export(SECOND_START, 2), Export(EPOCH_START, 5)], 7);
    check(&[Export(EPOCH_START, 4), Export(SECOND_START, 2), Export(EPOCH_START, 5)], 7);
    check(&[Export(SECOND_START, 2), Export(EPOCH_START, 5), Export(SECOND_START, 1)], 7);
}

#[test]
fn a_restart_of_the_ingest_between_two_starts_changes_nothing() {
    check(&[Export(EPOCH_START, 5), Restart, Export(SECOND_START, 2), Restart, Repeat], 7);
    check(&[Export(EPOCH_START, 5), Export(SECOND_START, 2), Restart, Export(EPOCH_START, 5)], 7);
}

#[test]
fn the_states_of_an_earlier_version_of_the_ingest_stay() {
    check(&[Export(EPOCH_START, 5), Upgrade, Export(EPOCH_START, 6)], 6);
    check(&[Export(EPOCH_START, 5), Upgrade, Export(EPOCH_START, 6), Export(SECOND_START, 2)], 8);
}
