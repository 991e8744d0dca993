//! Days that are added up on ClickHouse: the same answers as from half hours and from one file, whatever comes later.

use crate::clickhouse::in_order;
use crate::support::clickhouse::{count, run, wait_until};
use crate::support::otlp::{Frame, MINUTE, Made, NOON, made};
use crate::support::{Service, database_at};
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_testkit::ClickHouse;
use serde_json::Value;
use std::time::{Duration, Instant};

const DAY: u64 = 1_440 * MINUTE;

/// Starts again until days are added up, which waits until no block was closed for ten seconds; one that was closed soon after a
/// report is closed again.
fn add_up(replica: &mut Service, what: &str, is_done: &dyn Fn() -> bool) {
    for _ in 0..12 {
        replica.restart(|_| ());
        let soon = Instant::now() + Duration::from_secs(12);
        while Instant::now() < soon {
            if is_done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    panic!("{what}");
}

fn answers(service: &Service) -> Vec<(String, Value)> {
    let ranges = [
        "from=2026-06-20T00:00:00Z&to=2026-06-25T00:00:00Z",
        "from=2026-06-20T11:40:00Z&to=2026-06-24T09:17:00Z",
        "from=2026-06-21T00:00:00Z&to=2026-06-22T00:00:00Z",
        "from=2026-06-20T21:30:00Z&to=2026-06-22T00:10:00Z",
    ];
    let questions = [
        "summary?group_by=",
        "summary?group_by=consumer",
        "summary?group_by=route,status&consumer=acme",
        "summary?group_by=gateway&compare=previous",
        "timeseries?step=86400",
        "timeseries?step=86400&group_by=consumer",
        "timeseries?step=21600",
        "latencies?step=86400",
    ];
    let mut answers = Vec::new();
    for range in ranges {
        for question in questions {
            let path = format!("/api/v1/{question}&{range}");
            answers.push((path.clone(), in_order(service.json(&path))));
        }
    }
    answers
}

#[test]
fn days_that_are_over_are_added_up_and_answer_as_before() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut replica = Service::on_store(store.clone());
    let file = Service::on_files();
    let send = |replica: &Service, (instance, sequence), at: u64, all: &[Made]| {
        let frame = Frame { start: NOON - DAY, ..Frame::at(at) }.of(all);
        for service in [replica, &file] {
            service.send("/v1/metrics", Some((instance, 1, sequence)), &frame).accepted();
        }
    };
    let mut all = Vec::new();
    for report in 0..22u64 {
        for number in 0..=report % 3 {
            let (consumer, route) =
                (["acme", "globex"][(report % 2) as usize], ["/a", "/b"][(number % 2) as usize]);
            let status = if (report + number) % 5 == 0 { 503 } else { 200 };
            all.push(Made { consumer, ..made(route, status, 0.01 * (report + 1) as f64) });
        }
        // Every five hours and some minutes, from two gateways, of which one ends on the second day.
        let at = NOON - DAY / 2 + report * 311 * MINUTE;
        send(&replica, ("edge-1", report + 1), at, &all);
        if report < 6 {
            send(&replica, ("edge-2", report + 1), at + 3 * MINUTE, &all[..all.len().div_ceil(2)]);
        }
    }
    let check = |when: &str, replica: &Service| {
        for ((path, found), (_, expected)) in answers(replica).into_iter().zip(answers(&file)) {
            let of =
                |answer: &Value| [answer["rows"].clone(), answer["points"].clone(), answer["steps"].clone()];
            assert_eq!(of(&found), of(&expected), "{when}: {path}");
        }
    };
    check("before", &replica);
    // Each start closes what is over, and adds up the days that have not changed just before.
    let marks = || {
        let marks = "SELECT minute, max(version) FROM days WHERE kind = 255 GROUP BY minute ORDER BY minute";
        run(&store, marks)
    };
    let is_whole = || {
        let open = "reported WHERE block NOT IN (SELECT block FROM blocks WHERE is_closed)";
        count(&store, open) == 0
    };
    replica.restart(|_| ());
    wait_until("all blocks are closed", is_whole);
    check("from half hours", &replica);
    add_up(&mut replica, "five days are added up", &|| marks().lines().count() == 5);
    check("from days", &replica);
    let before = marks();

    // A late report: its day is not read until it is added up again.
    let late = [all.clone(), vec![Made { consumer: "globex", ..made("/a", 500, 7.0) }]].concat();
    let late = &late[all.len().div_ceil(4)..];
    let at = NOON + DAY / 2 + 77 * MINUTE;
    send(&replica, ("edge-3", 1), at, late);
    replica.restart(|_| ());
    let block = at / MINUTE / 10;
    let again =
        format!("blocks WHERE block >= {block} AND closed_at > (SELECT max(received_at) FROM reported)");
    wait_until("the blocks from the late report on are closed again", || {
        count(&store, &again) > 0 && is_whole()
    });
    let open =
        "(SELECT argMax(is_closed, closed_at) AS is_whole FROM blocks GROUP BY block) WHERE NOT is_whole";
    wait_until("none of them is open", || count(&store, open) == 0);
    check("after a late report", &replica);
    // Before the day of the late report all may have stayed as it was.
    let is_again = || marks().lines().zip(before.lines()).skip(2).all(|(now, before)| now != before);
    add_up(&mut replica, "days are added up again", &is_again);
    check("from days that are added up again", &replica);

    let acme = Selection { consumer: Some("acme".to_owned()), ..Selection::default() };
    for service in [&replica, &file] {
        forget(service.data(), &acme, Deed::Remove).unwrap();
    }
    check("after forgetting", &replica);
    // The first day had none but those of the consumer.
    add_up(&mut replica, "days are added up after forgetting", &|| marks().lines().count() == 4);
    check("from days without what is forgotten", &replica);

    // They are read: without the half hours of the second day there are the same counts.
    let second = (NOON + DAY / 2) / MINUTE;
    let day = format!("minute >= {second} AND minute < {second} + 1440");
    run(&store, &format!("ALTER TABLE half_hours DELETE WHERE {day} SETTINGS mutations_sync = 2"));
    let range = "from=2026-06-20T00:00:00Z&to=2026-06-25T00:00:00Z";
    let path = format!("/api/v1/summary?group_by=&{range}");
    assert_eq!(replica.json(&path)["rows"], file.json(&path)["rows"]);
    let by_hours = format!("/api/v1/timeseries?step=3600&{range}");
    assert_ne!(replica.json(&by_hours)["points"], file.json(&by_hours)["points"]);
}
