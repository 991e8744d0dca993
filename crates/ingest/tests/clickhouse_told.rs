//! Rows that replicas tell each other: all of them show what one file shows.

mod orders;

use crate::support::clickhouse::run;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, export_logs, gauge, made, record, sum, text};
use crate::support::{Service, database_at};
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_ingest::{ClickHouseConfig, Limits};
use gatelens_testkit::ClickHouse;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Changes that come with every batch are told at every fifth look, and some at every thirtieth.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// All that replicas share by telling.
const PATHS: [&str; 9] = [
    "gateways",
    "consumers",
    "directory",
    "releases",
    "uptime?group_by=gateway",
    "uptime?group_by=probe",
    "audit",
    "patterns",
    "patterns?direction=outbound",
];

pub(crate) fn replica(store: &ClickHouseConfig) -> Service {
    Service::on_store_with(store.clone(), Limits { tell_interval: LOOK, ..Limits::default() })
}

/// The answers to some questions. Numbers of rows are of one replica alone.
fn ask(service: &Service, paths: &[&str]) -> Vec<Value> {
    let answer = |path: &&str| {
        let mut answer = service.json(&format!("/api/v1/{path}"));
        if path.starts_with("releases") {
            remove(&mut answer, &["id"]);
        }
        answer
    };
    paths.iter().map(answer).collect()
}

pub(crate) fn remove(value: &mut Value, names: &[&str]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| remove(value, names)),
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| remove(value, names));
        }
        _ => {}
    }
}

/// Waits until a replica answers as another one does.
pub(crate) fn agree(one: &Service, other: &Service, paths: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    for path in paths {
        loop {
            let (found, expected) = (ask(other, &[path]), ask(one, &[path]));
            if found == expected {
                break;
            }
            if Instant::now() > deadline {
                assert_eq!(found, expected, "{path}");
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// A report of a gateway: a further request of each consumer, how many records it has made, its version and a tag.
fn report(service: &Service, (instance, sequence): (&str, u64), consumers: &[&'static str], version: &str) {
    let time = NOON + sequence * MINUTE;
    let resource = vec![text("service.version", version), text("gatelens.tags.zone", "a")];
    let frame = Frame { resource, ..Frame::at(time) };
    let all = (0..sequence).flat_map(|_| consumers).map(|consumer| Made { consumer, ..made("/a", 200, 0.1) });
    let mut export = frame.of(&all.collect::<Vec<_>>());
    let metrics = &mut export.resource_metrics[0].scope_metrics[0].metrics;
    metrics.push(sum("gatelens.events.captured", vec![(vec![], sequence as i64)], time));
    metrics.push(gauge("gatelens.workers", 2, time));
    service.send("/v1/metrics", Some((instance, 1, sequence)), &export).accepted();
}

/// Sends a log record of a consumer with a name.
fn named(service: &Service, (instance, sequence): (&str, u64), consumer: &'static str, name: &str) {
    let at = NOON + sequence * MINUTE;
    let mut record = record(at, &Made { consumer, ..made("/a", 200, 0.1) });
    record.attributes.push(text("gatelens.consumer.name", name));
    service.send("/v1/logs", Some((instance, 1, sequence)), &export_logs(vec![record])).accepted();
}

/// The batches of three gateways, of which one begins to run another version in the middle.
fn traffic(services: &[&Service]) {
    for sequence in 1..=12 {
        for (place, instance) in ["edge-1", "edge-2", "edge-3"].into_iter().enumerate() {
            let service = services[(sequence as usize + place) % services.len()];
            let consumer = ["acme", "globex", "initech"][(sequence as usize + place) % 3];
            let version = if sequence > 6 && place == 0 { "1.1" } else { "1.0" };
            named(service, (instance, sequence), consumer, &format!("{consumer} {sequence}"));
            report(service, (instance, sequence), &["acme", "globex"], version);
        }
    }
}

fn put(service: &Service, id: &str, body: &Value) {
    let answer = service.put(&format!("/api/v1/consumers/{id}"), &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn replicas_answer_what_one_file_answers() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let file = Service::on_files();
    traffic(&[&file]);
    let store = database_at(server.url());
    let [one, other] = [replica(&store), replica(&store)];
    traffic(&[&one, &other]);
    agree(&one, &other, &PATHS);
    let all = |service: &Service| {
        let mut answers = ask(service, &["gateways", "consumers", "releases"]);
        // By the clock at which they came.
        for answer in [0, 2] {
            remove(&mut answers[answer], &["first_seen", "last_seen", "since"]);
        }
        // A file does not take an earlier count over the time of a name that came first; two replicas merge both.
        remove(&mut answers[1], &["first_seen"]);
        let gateways = answers[0]["rows"].as_array_mut().unwrap();
        gateways.sort_by_key(|row| row["instance"].to_string());
        answers
    };
    assert_eq!(all(&other), all(&file));
    let stored = &one.json("/api/v1/gateways")["rows"][0]["stored"];
    assert_eq!(stored, 12);
    // A replica without a past.
    agree(&one, &replica(&store), &PATHS);
}

#[test]
fn a_directory_is_written_at_any_replica() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, mut other] = [replica(&store), replica(&store)];
    let paths = ["directory", "audit"];
    put(&one, "acme", &json!({"name": "Acme", "group": "gold"}));
    put(&other, "globex", &json!({"name": "Globex"}));
    agree(&one, &other, &paths);
    assert_eq!(one.json("/api/v1/directory")["rows"].as_array().unwrap().len(), 2);
    assert_eq!(other.send_any("delete", "/api/v1/consumers/acme", &[]).status, 200);
    put(&one, "globex", &json!({"name": "Globex Inc."}));
    agree(&other, &one, &paths);
    let rows = one.json("/api/v1/directory")["rows"].clone();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["name"]), (1, &json!("Globex Inc.")));
    put(&one, "acme", &json!({"name": "Acme again"}));
    agree(&one, &other, &paths);
    // What was told again at a start changes nothing, and neither does a replica that stood still meanwhile.
    other.restart(|_| ());
    put(&one, "acme", &json!({"name": "Acme at last"}));
    agree(&one, &other, &paths);
    agree(&one, &replica(&store), &paths);
}

#[test]
fn what_a_replica_has_learned_is_in_force_at_all() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, other] = [replica(&store), replica(&store)];
    let word = |number: u32| {
        number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect::<String>()
    };
    let route = |before: &str, number| -> &'static str { format!("{before}/{}/x", word(number)).leak() };
    for (service, before) in [(&one, "/repos"), (&other, "/teams")] {
        let all: Vec<_> = (0..500).map(|number| made(route(before, number), 200, 0.1)).collect();
        for number in 1..=2 {
            let frame = Frame { start: NOON - SECOND * number, ..Frame::at(NOON) };
            let sent = service.send("/v1/metrics", Some((before, 1, number)), &frame.of(&all));
            sent.accepted();
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let is_learned = |service: &Service| {
        let text = service.json("/api/v1/patterns").to_string();
        text.contains(r#""before":"/repos""#) && text.contains(r#""before":"/teams""#)
    };
    while !(is_learned(&one) && is_learned(&other)) {
        assert!(
            Instant::now() < deadline,
            "{} and {}",
            one.json("/api/v1/patterns"),
            other.json("/api/v1/patterns")
        );
        std::thread::sleep(LOOK);
    }
    let path = "/v1/gatelens/route-patterns?service=orders&environment=prod&direction=inbound";
    assert_eq!(one.get(path).text(), other.get(path).text());
    let new = replica(&store);
    assert_eq!(one.get(path).text(), new.get(path).text());
}

#[test]
fn what_was_not_told_while_the_server_was_away_is_told_when_it_is_back() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [mut one, other] = [replica(&store), replica(&store)];
    report(&one, ("edge-1", 1), &["acme"], "1.0");
    agree(&one, &other, &PATHS);
    server.shut().unwrap();
    // People still write, here and there.
    put(&one, "acme", &json!({"name": "Acme"}));
    put(&other, "globex", &json!({"name": "Globex"}));
    std::thread::sleep(3 * LOOK);
    assert_eq!(other.json("/api/v1/directory")["rows"].as_array().unwrap().len(), 1);
    server.open().unwrap();
    agree(&one, &other, &PATHS);
    assert_eq!(other.json("/api/v1/directory")["rows"].as_array().unwrap().len(), 2);
    // The same across a restart of the replica.
    put(&one, "initech", &json!({"name": "Initech"}));
    one.restart(|_| ());
    agree(&one, &other, &PATHS);
    assert_eq!(other.json("/api/v1/directory")["rows"].as_array().unwrap().len(), 3);
    let before = ask(&one, &PATHS);
    std::thread::sleep(40 * LOOK);
    assert_eq!(ask(&one, &PATHS), before);
    assert_eq!(ask(&other, &PATHS), before);
}

#[test]
fn rows_that_do_not_fit_are_left_out() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let one = replica(&store);
    let insert =
        |rows: &str| run(&store, &format!("INSERT INTO told (kind, name, replica, value) VALUES {rows}"));
    insert(
        r#"('directory', '["a"]', 'x', '{'), ('directory', 'no JSON', 'x', '{}'), ('directory', '["a"]', 'y', '{"name": 7}'),
           ('consumers', '[1, 2]', 'x', '{}'), ('of a later version', '["a"]', 'x', '{}'),
           ('tags', '["edge-9", "1", "prod"]', 'x', '{"changed_at": 1, "tags": "{}"}'),
           ('directory', '["a"]', 'z', repeat('xxx', 1000000)), ('directory', repeat('x', 30000), 'z', ''),
           ('directory', '["future"]', 'z', '{"changed_at": 9223372036854775807, "is_removed": 0, "name": "n", "grp": "", "note": "", "changed_by": ""}'),
           ('directory', '["b"]', 'z', '{"changed_at": 1, "is_removed": 0, "name": "B", "grp": "", "note": "", "changed_by": "", "new": 1}')"#,
    );
    let deadline = Instant::now() + PATIENCE;
    let ids = || {
        let rows = one.json("/api/v1/directory")["rows"].clone();
        rows.as_array().unwrap().iter().map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    while ids().is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(LOOK);
    }
    assert_eq!(ids(), [json!("b")]);
    report(&one, ("edge-1", 1), &["acme"], "1.0");
    agree(&one, &replica(&store), &PATHS);
}

#[test]
fn what_every_replica_has_forgotten_is_not_told_again() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let replicas = [replica(&store), replica(&store)];
    let [one, other] = &replicas;
    report(one, ("edge-1", 1), &["acme", "globex"], "1.0");
    report(other, ("edge-1", 2), &["acme", "globex"], "1.0");
    agree(one, other, &PATHS);
    let selection = Selection { consumer: Some("acme".to_owned()), ..Selection::default() };
    let consumers = |replica: &Service, deed| forget(replica.data(), &selection, deed).unwrap().consumers;
    assert_eq!(replicas.each_ref().map(|replica| consumers(replica, Deed::Count)), [1, 1]);
    // The other one has the order, too, or gets it from the server before it is given.
    assert_eq!(consumers(one, Deed::Remove), 1);
    consumers(other, Deed::Remove);
    let new = replica(&store);
    for replica in [one, other, &new] {
        let ids: Vec<_> = replica.json("/api/v1/consumers")["rows"].as_array().unwrap().clone();
        assert_eq!(ids.iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&json!("globex")]);
    }
}
