//! Shapes of bodies at several replicas: each tells what it has seen, and all show the sum.

use crate::clickhouse_told::{LOOK, PATIENCE, agree, remove, replica};
use crate::drift::{DAY, SECOND, kinds, responses, rows};
use crate::support::clickhouse::count;
use crate::support::otlp::{Frame, NOON, export_logs, made, record, text};
use crate::support::{Service, database_at};
use gatelens_ingest::Limits;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_testkit::ClickHouse;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SHAPES: &str = "/api/v1/shapes";
const DRIFT: &str = "/api/v1/drift";
/// A replica looks each second at what others have told of shapes.
const NOTICED: Duration = Duration::from_secs(3);

fn old() -> Value {
    json!({"id": 1, "at": "2026-06-20T12:00:00Z", "note": "x", "lines": [{"sku": "a"}]})
}

fn new() -> Value {
    json!({"id": "1", "at": "noon", "lines": [{"sku": "a", "tax": 1.5}]})
}

/// Sends bodies ten at a time, a second apart, to one service after the other.
fn send(services: &[&Service], (first, time): (u64, u64), release: &str, (body, times): (&Value, u64)) {
    for batch in 0..times / 10 {
        let service = services[batch as usize % services.len()];
        let export = responses(time + batch * 10 * SECOND, release, &vec![body.clone(); 10]);
        service.send("/v1/logs", Some(("edge-1", 1, first + batch)), &export).accepted();
    }
}

/// What bodies look like, without what depends on how they were divided: a field that has vanished is counted until it is missed
/// thirty times in a row at a replica.
fn comparable(service: &Service) -> Value {
    let mut answer = service.json(SHAPES);
    for row in answer["rows"].as_array_mut().unwrap() {
        for field in row["fields"].as_array_mut().unwrap() {
            if field["vanished"] == true {
                remove(field, &["seen", "of", "always"]);
            }
        }
    }
    answer
}

#[test]
fn replicas_show_the_shapes_and_changes_of_one_file() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut file = Service::on_files();
    let [mut one, mut other] = [replica(&store), replica(&store)];
    send(&[&file], (1, NOON), "1.0", (&old(), 40));
    send(&[&one, &other], (1, NOON), "1.0", (&old(), 40));
    let later = NOON + 3_600 * SECOND;
    send(&[&file], (11, later), "1.1", (&new(), 80));
    send(&[&one, &other], (11, later), "1.1", (&new(), 80));
    let expected = rows(&file, DRIFT, |rows| rows.len() == 4);
    for service in [&one, &other] {
        let found = rows(service, DRIFT, |rows| rows.len() == 4);
        assert_eq!(kinds(&found), kinds(&expected));
    }
    agree(&one, &other, &["drift", "drift?limit=1", "drift?kind=field_new"]);
    // The first body that shows a change is that of the file. That a field is missing shows later.
    let first = |rows: &[Value]| {
        rows.iter().filter(|row| row["kind"] != "field_vanished").cloned().collect::<Vec<_>>()
    };
    assert_eq!(first(&rows(&other, DRIFT, |rows| rows.len() == 4)), first(&expected));
    let mut paged = Vec::new();
    let mut cursor = String::new();
    // Pages may come from one replica after the other.
    for service in [&one, &other].into_iter().cycle() {
        let page = service.json(&format!("{DRIFT}?limit=1&cursor={cursor}"));
        paged.extend(page["rows"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(Value::from(paged), one.json(DRIFT)["rows"]);
    // Numbers are stored at the end, or after some minutes.
    [&mut file, &mut one, &mut other].into_iter().for_each(|service| service.restart(|_| ()));
    agree(&one, &other, &["shapes", "drift"]);
    rows(&one, SHAPES, |rows| rows.len() == 1 && rows[0]["bodies"] == 120);
    assert_eq!(comparable(&one), comparable(&file));
    agree(&one, &other, &["shapes", "shapes?limit=1", "openapi?service=orders"]);
    // A replica without a past shows the same.
    let mut third = replica(&store);
    agree(&one, &third, &["shapes", "drift"]);
    // One that goes for good leaves what it has read.
    send(&[&third], (21, later + 3_600 * SECOND), "1.1", (&new(), 20));
    third.stop();
    rows(&one, SHAPES, |rows| rows[0]["bodies"] == 140);
}

#[test]
fn what_one_replica_knows_is_no_change_at_another() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, other] = [replica(&store), replica(&store)];
    send(&[&one], (1, NOON), "1.0", (&old(), 20));
    send(&[&one], (11, NOON + 60 * SECOND), "1.1", (&json!({"id": 1, "more": 1}), 10));
    let found = rows(&one, DRIFT, |rows| rows.len() == 1);
    assert_eq!(kinds(&found), ["field_new /more  -> integer"]);
    agree(&one, &other, &["drift", "shapes"]);
    std::thread::sleep(NOTICED);
    // Two days later, when the same change would be noted again.
    let later = NOON + 2 * DAY;
    send(&[&other], (21, later), "1.0", (&old(), 20));
    send(&[&other], (31, later + 60 * SECOND), "1.1", (&json!({"id": 1, "more": 1}), 10));
    // A replica without a past knows what is new to all, at the first body.
    let third = replica(&store);
    agree(&one, &third, &["drift"]);
    std::thread::sleep(NOTICED);
    send(&[&third], (41, later + 120 * SECOND), "1.2", (&json!({"id": true, "more": 1}), 10));
    for service in [&one, &other, &third] {
        let found = rows(service, DRIFT, |rows| rows.len() >= 2);
        assert_eq!(kinds(&found), ["field_new /more  -> integer", "type_changed /id integer -> boolean"]);
    }
}

#[test]
fn shapes_go_with_their_environment_at_all_replicas() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [mut one, mut other] = [replica(&store), replica(&store)];
    send(&[&one, &other], (1, NOON), "1.0", (&old(), 20));
    send(&[&one, &other], (11, NOON + 60 * SECOND), "1.1", (&new(), 20));
    for service in [&one, &other] {
        // What waits to be stored would come after the order.
        let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
        let own = "SELECT count(*) FROM shapes WHERE fields LIKE '%tax%'";
        let begun = Instant::now();
        while file.query_row(own, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    agree(&one, &other, &["shapes", "drift"]);
    let selection = Selection { environment: Some("prod".to_owned()), ..Selection::default() };
    let forgotten = |service: &Service| forget(service.data(), &selection, Deed::Remove).unwrap().shapes;
    assert_eq!(forgotten(&one), 1);
    // The other one gets the order from the server.
    let deadline = Instant::now() + PATIENCE;
    while other.json(SHAPES)["rows"] != json!([]) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(LOOK);
    }
    // What the other one told before may have come since, and goes once more.
    std::thread::sleep(NOTICED);
    [&mut one, &mut other].into_iter().for_each(|service| service.restart(|_| ()));
    let new = replica(&store);
    for service in [&one, &other, &new] {
        for path in [SHAPES, DRIFT] {
            assert_eq!(service.json(path)["rows"], json!([]), "{path}");
        }
    }
    assert_eq!(count(&store, "told WHERE kind IN ('shapes', 'drift')"), 0);
}

#[test]
fn shapes_of_routes_that_fold_are_the_sum_at_all_replicas() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let attentive = || {
        let limits = Limits {
            tell_interval: Duration::from_millis(100),
            drift_interval: Duration::from_millis(100),
            ..Limits::default()
        };
        Service::on_store_with(store.clone(), limits)
    };
    let [mut one, mut other] = [(); 2].map(|()| attentive());
    let word = |number: u32| {
        number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>()
    };
    let route = |number| -> &'static str { format!("/repos/{}/x", word(number)).leak() };
    // A body of each of some routes at both replicas.
    for (service, first) in [(&one, 1), (&other, 11)] {
        for (number, sequence) in (0..10).zip(first..) {
            let mut record = record(NOON, &made(route(number), 200, 0.1));
            record.attributes.push(text("gatelens.response.body.content", r#"{"a":1}"#));
            service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(vec![record])).accepted();
        }
    }
    for service in [&one, &other] {
        rows(service, SHAPES, |rows| rows.len() == 10 && rows.iter().all(|row| row["bodies"] == 2));
    }
    let all: Vec<_> = (0..500).map(|number| made(route(number), 200, 0.1)).collect();
    for number in 1..=2 {
        let frame = Frame { start: NOON - SECOND * number, ..Frame::at(NOON) };
        one.send("/v1/metrics", Some(("edge-2", 1, number)), &frame.of(&all)).accepted();
    }
    let is_folded = |rows: &[Value]| {
        rows.len() == 1 && rows[0]["bodies"] == 20 && rows[0]["route"].as_str().unwrap().contains('{')
    };
    for service in [&one, &other] {
        rows(service, SHAPES, is_folded);
    }
    rows(&attentive(), SHAPES, is_folded);
    [&mut one, &mut other].into_iter().for_each(|service| service.restart(|_| ()));
    for service in [&one, &other] {
        rows(service, SHAPES, is_folded);
    }
}
