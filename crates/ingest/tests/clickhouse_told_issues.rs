//! Error issues of several replicas: all show what one file shows, whichever took a batch in.

use crate::clickhouse_told::{LOOK, PATIENCE, agree, replica};
use crate::issues::{DAY, HOUR, by, decide, failed, now, rows, state};
use crate::support::clickhouse::run;
use crate::support::otlp::{NOON, SECOND, export_logs, text};
use crate::support::{Service, database_at};
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_testkit::ClickHouse;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use std::time::Instant;

fn send(service: &Service, (instance, sequence): (&str, u64), version: &str, records: Vec<LogRecord>) {
    let mut export = export_logs(records);
    let resource = export.resource_logs[0].resource.as_mut().unwrap();
    resource.attributes.push(text("service.version", version));
    service.send("/v1/logs", Some((instance, 1, sequence)), &export).accepted();
}

/// Failures of three gateways in batches, of several routes, reasons, consumers and versions.
fn failures(services: &[&Service]) {
    for sequence in 1..=12 {
        for (place, instance) in ["edge-1", "edge-2", "edge-3"].into_iter().enumerate() {
            let service = services[(sequence as usize + place) % services.len()];
            let consumer = ["acme", "globex", "initech"][(sequence as usize + 2 * place) % 3];
            let version = if sequence > 6 { "1.1" } else { "1.0" };
            let at = NOON + sequence * HOUR / 4 + place as u64 * SECOND;
            let refused =
                json!({"detail": [{"type": "missing", "loc": ["body", consumer], "msg": "Field required"}]});
            let mut records = vec![
                by(consumer, failed(at, "/a", 500, "{\"error\": \"row 17 is locked\"}")),
                failed(at + 1, "/a", 500, "{\"exception\": \"KeyError\", \"message\": \"no 'x'\"}"),
                by(consumer, failed(at + 2, "/b", 422, &refused.to_string())),
            ];
            if sequence == 5 {
                records.push(failed(at + 3, ["/c", "/d", "/e"][place], 503, ""));
            }
            for (number, record) in records.iter_mut().enumerate() {
                record.attributes.retain(|attribute| attribute.key != "gatelens.request.id");
                record
                    .attributes
                    .push(text("gatelens.request.id", &format!("{instance}-{sequence}-{number}")));
            }
            send(service, (instance, sequence), version, records);
        }
    }
}

/// Questions about all issues, and about each.
fn questions(service: &Service) -> Vec<String> {
    let queries = [
        "",
        "&sort=requests",
        "&consumer=acme",
        "&version=1.1",
        "&gateway=edge-2",
        "&kind=validation",
        "&limit=2",
    ];
    let lists = queries.map(|query| format!("issues?{DAY}{query}"));
    let ids = rows(service, DAY).into_iter().map(|row| format!("issues/{}", row["id"].as_str().unwrap()));
    lists.into_iter().chain(ids).collect()
}

fn agree_on_issues(one: &Service, other: &Service) {
    let questions = questions(one);
    agree(one, other, &questions.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Waits until an issue has a state at a replica.
fn wait_for(service: &Service, id: &str, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    while service.get(&format!("/api/v1/issues/{id}")).status != 200 || state(service, id) != expected {
        assert!(Instant::now() < deadline, "{expected}");
        std::thread::sleep(LOOK);
    }
}

#[test]
fn replicas_show_the_issues_of_one_file() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let file = Service::on_files();
    failures(&[&file]);
    assert_eq!(rows(&file, DAY).len(), 6);
    let store = database_at(server.url());
    let [mut one, other] = [replica(&store), replica(&store)];
    failures(&[&one, &other]);
    agree_on_issues(&file, &one);
    agree_on_issues(&file, &other);
    // A replica without a past, and one that has lost its file.
    agree_on_issues(&file, &replica(&store));
    one.restart(|data| {
        for name in ["issues.db", "issues.db-wal", "issues.db-shm"] {
            let _ = std::fs::remove_file(data.join(name));
        }
    });
    agree_on_issues(&file, &one);
    agree_on_issues(&file, &other);
    // A batch that is repeated to the other replica counts once, when it is known there.
    failures(&[&other, &one]);
    std::thread::sleep(40 * LOOK);
    agree_on_issues(&file, &other);
}

#[test]
fn what_is_old_is_removed_from_the_server() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut one = replica(&store);
    send(&one, ("edge-1", 1), "1.0", vec![failed(now(), "/a", 500, "")]);
    let old = [
        ("issue_values", 31),
        ("issue_examples", 31),
        ("issue", 31),
        ("issue_decisions", 399),
        ("directory", 399),
    ];
    let old = old
        .map(|(kind, days)| format!("('{kind}', '[\"old\"]', 'x', '{{}}', now64(3) - INTERVAL {days} DAY)"));
    let insert = format!("INSERT INTO told (kind, name, replica, value, at) VALUES {}", old.join(", "));
    run(&store, &insert);
    one.restart(|_| ());
    let left = || run(&store, "SELECT kind FROM told WHERE replica = 'x' ORDER BY kind");
    let deadline = Instant::now() + PATIENCE;
    while left() != "directory\nissue" {
        assert!(Instant::now() < deadline, "{}", left());
        std::thread::sleep(LOOK);
    }
}

#[test]
fn a_decision_at_one_replica_holds_at_all() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let [one, other] = [replica(&store), replica(&store)];
    let fail = |service: &Service, sequence: u64, version: &str| {
        send(service, ("edge-1", sequence), version, vec![failed(now(), "/a", 500, "{\"error\": \"x\"}")]);
    };
    fail(&one, 1, "1.0");
    let id = rows(&one, "")[0]["id"].as_str().unwrap().to_owned();
    wait_for(&other, &id, "new");
    // Of an issue that only the other one has seen.
    assert_eq!(decide(&other, &id, &json!({"state": "resolved"})).status, 200);
    wait_for(&one, &id, "resolved");
    fail(&one, 2, "1.0");
    wait_for(&other, &id, "regressed");
    assert_eq!(decide(&one, &id, &json!({"state": "resolved", "in_next_release": true})).status, 200);
    wait_for(&other, &id, "resolved");
    fail(&other, 3, "1.0");
    fail(&other, 4, "1.1");
    wait_for(&one, &id, "regressed");
    assert_eq!(decide(&one, &id, &json!({"state": "ignored"})).status, 200);
    wait_for(&other, &id, "ignored");
    fail(&other, 5, "1.2");
    let question = format!("issues/{id}");
    agree(&one, &other, &[&question]);
    let total = |service: &Service| service.json(&format!("/api/v1/{question}"))["issue"]["total"].clone();
    let deadline = Instant::now() + PATIENCE;
    while total(&one) != 5 {
        assert!(Instant::now() < deadline, "{}", total(&one));
        std::thread::sleep(LOOK);
    }
    let new = replica(&store);
    assert_eq!(state(&new, &id), "ignored");
    agree(&one, &new, &[&question]);
}

#[test]
fn an_issue_that_every_replica_has_forgotten_names_nobody_any_more() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let replicas = [replica(&store), replica(&store)];
    let [one, other] = &replicas;
    for (service, sequence) in [(one, 1), (other, 2)] {
        let at = NOON + sequence * SECOND;
        let records = vec![
            failed(at, "/a", 500, ""),
            by("globex", failed(at + 1, "/a", 500, "")),
            by("globex", failed(at, "/b", 503, "")),
        ];
        send(service, ("edge-1", sequence), "1.0", records);
    }
    agree_on_issues(one, other);
    let total = |service: &Service| {
        let all: Vec<Value> = rows(service, DAY);
        all.iter().map(|row| row["total"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    while total(one) != [4, 2] && total(one) != [2, 4] {
        assert!(Instant::now() < deadline);
        std::thread::sleep(LOOK);
    }
    agree_on_issues(one, other);
    let selection = Selection { consumer: Some("globex".to_owned()), ..Selection::default() };
    let issues = |replica: &Service, deed| forget(replica.data(), &selection, deed).unwrap().issues;
    assert_eq!(replicas.each_ref().map(|replica| issues(replica, Deed::Count)), [1, 1]);
    // The other one has the order, too, or gets it from the server before it is given.
    assert_eq!(issues(one, Deed::Remove), 1);
    issues(other, Deed::Remove);
    // It is seen again, by others.
    send(one, ("edge-1", 3), "1.0", vec![failed(NOON + 3 * SECOND, "/a", 500, "")]);
    agree_on_issues(one, other);
    std::thread::sleep(40 * LOOK);
    let new = replica(&store);
    for service in [one, other, &new] {
        assert_eq!(total(service), [5]);
        for question in questions(service) {
            let answer = service.json(&format!("/api/v1/{question}")).to_string();
            assert!(!answer.contains("globex"), "{answer}");
        }
    }
    agree_on_issues(one, &new);
}
