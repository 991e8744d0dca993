//! Alerts of several replicas on ClickHouse: one evaluates and sends, all know, and another one goes on when it is gone.

use crate::alerts::{count, post, rewind, wait};
use crate::receiver::HttpReceiver;
use crate::support::otlp::{Made, made};
use crate::support::{Service, database_at};
use gatelens_ingest::ClickHouseConfig;
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ALERTS: &str = "/api/v1/alerts";
const RECEIVERS: &str = "/api/v1/alerts/receivers";
const RULES: &str = "/api/v1/alerts/rules";
const DELIVERIES: &str = "/api/v1/alerts/deliveries";

fn failing() -> Vec<Made> {
    vec![made("/a", 500, 0.01); 40]
}

/// A receiver as the page makes it.
fn hook(receiver: &HttpReceiver) -> Value {
    json!({"name": "ops", "webhook": {"url": format!("http://{}/", receiver.address)}})
}

fn evaluates(service: &Service) -> bool {
    let metrics = service.get("/metrics").text();
    metrics.lines().any(|line| line == "gatelens_ingest_alerts_evaluating 1")
}

/// Waits until exactly one of them evaluates, and returns its place.
fn evaluating(replicas: &[&Service]) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found: Vec<usize> = (0..replicas.len()).filter(|place| evaluates(replicas[*place])).collect();
        match found[..] {
            [one] => return one,
            [] => {}
            _ => panic!("{found:?} evaluate at once"),
        }
        assert!(Instant::now() < deadline, "none evaluates");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn replica(store: &ClickHouseConfig) -> Service {
    Service::on_store(store.clone())
}

/// Two replicas, of which the first evaluates, and a receiver that was made on the other.
fn start(server: &ClickHouse) -> (Service, Service, HttpReceiver) {
    let store = database_at(server.url());
    let first = replica(&store);
    assert_eq!(evaluating(&[&first]), 0);
    let second = replica(&store);
    let receiver = HttpReceiver::start();
    assert_eq!(post(&second, RECEIVERS, &hook(&receiver)).0, 200);
    wait(&first, ALERTS, |answer| !answer["receivers"].as_array().unwrap().is_empty());
    (first, second, receiver)
}

fn rule_of<'a>(alerts: &'a Value, name: &str) -> &'a Value {
    alerts["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn another_replica_goes_on_when_the_one_that_evaluates_is_killed() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut first = replica(&store);
    let receiver = HttpReceiver::start();
    assert_eq!(post(&first, RECEIVERS, &hook(&receiver)).0, 200);
    count(&first, 12, &failing());
    first.restart(rewind(12));
    let fired = receiver.next_within(Duration::from_secs(180));
    let second = replica(&store);
    let fired = fired.json();
    assert_eq!((&fired["kind"], &fired["rule"]), (&json!("firing"), &json!("errors")));
    let known = |service: &Service| {
        let alerts = wait(service, ALERTS, |answer| {
            answer["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
        });
        let history = service.json("/api/v1/alerts/history");
        let sent = wait(service, DELIVERIES, |found| found["rows"][0]["outcome"] == "delivered");
        let alert = &alerts["alerts"][0];
        (
            [alert["id"].clone(), alert["fired_at"].clone(), alert["announced_at"].clone()],
            history["rows"][0]["id"].clone(),
            sent["rows"].clone(),
        )
    };
    assert_eq!(known(&second), known(&first), "both show the same, under the same numbers");
    // The bell of the other one shows its measurements, too.
    wait(&second, ALERTS, |answer| rule_of(answer, "errors")["instances"] == 1);

    first.kill();
    assert_eq!(evaluating(&[&second]), 0);
    // Nothing is announced again; the end is.
    let off = json!({"name": "errors", "enabled": false, "measure": "error_percent", "above": 1});
    let answer = second.put(&format!("{RULES}/errors"), &off.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The next minute may have just begun.
    let end = receiver.next_within(Duration::from_secs(180)).json();
    assert_eq!((&end["kind"], &end["alert"]), (&json!("resolved"), &fired["alert"]), "{end:#}");
    assert!(receiver.is_empty());
    let history = second.json("/api/v1/alerts/history");
    assert_eq!(history["rows"].as_array().unwrap().len(), 1, "{history:#}");

    // The one that comes back learns of it, and does not evaluate.
    first.restart(|_| ());
    wait(&first, ALERTS, |answer| {
        answer["alerts"].as_array().is_some_and(Vec::is_empty)
            && rule_of(answer, "errors")["enabled"] == false
    });
    assert!(!evaluates(&first));
}

#[test]
fn changes_at_any_replica_hold_at_all() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (first, second, receiver) = start(&server);
    let rule = json!({"name": "mine", "measure": "p99_ms", "above": 500, "each": ["route"]});
    assert_eq!(post(&second, RULES, &rule).0, 200);
    assert_eq!(rule_of(&second.json(ALERTS), "mine")["above"], 500.0, "at once where it was made");
    wait(&first, ALERTS, |answer| rule_of(answer, "mine")["above"] == 500.0);
    let mute = json!({"until": "2199-01-01T00:00:00Z"});
    assert_eq!(post(&second, &format!("{RULES}/mine/mute"), &mute).0, 200);
    wait(&first, ALERTS, |answer| rule_of(answer, "mine")["muted_until"] == "2199-01-01T00:00:00Z");
    assert_eq!(post(&first, &format!("{RULES}/mine/unmute"), &json!({})).0, 200);
    wait(&second, ALERTS, |answer| rule_of(answer, "mine")["muted_until"] == Value::Null);
    // The one that evaluates sends, whoever was asked.
    let (status, queued) = post(&second, &format!("{RECEIVERS}/ops/test"), &json!({}));
    assert_eq!(status, 200, "{queued}");
    assert_eq!(receiver.next().json()["kind"], "test");
    let done = |found: &Value| {
        found["rows"][0]["id"] == queued["delivery"] && found["rows"][0]["outcome"] == "delivered"
    };
    wait(&first, DELIVERIES, done);
    wait(&second, DELIVERIES, done);
    assert_eq!(first.send_any("delete", &format!("{RULES}/mine"), &[]).status, 200);
    wait(&second, ALERTS, |answer| rule_of(answer, "mine").is_null());
    // A replica with an empty directory knows all of it.
    let third = replica(&first.store().unwrap());
    wait(&third, ALERTS, |answer| answer["receivers"][0]["name"] == "ops");
    assert!(rule_of(&third.json(ALERTS), "mine").is_null());
    assert!(receiver.is_empty());
}

#[test]
fn nobody_evaluates_while_the_store_is_away_and_changes_are_made_up_for() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (first, second, receiver) = start(&server);
    server.shut().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while evaluates(&first) || evaluates(&second) {
        assert!(Instant::now() < deadline, "one evaluates without the store");
        std::thread::sleep(Duration::from_millis(100));
    }
    let rule = json!({"name": "mine", "measure": "p99_ms", "above": 500});
    assert_eq!(post(&second, RULES, &rule).0, 200, "people can still change what they see");
    assert_eq!(rule_of(&second.json(ALERTS), "mine")["above"], 500.0);
    assert_eq!(post(&second, &format!("{RECEIVERS}/ops/test"), &json!({})).0, 200);
    server.open().unwrap();
    evaluating(&[&first, &second]);
    assert_eq!(receiver.next().json()["kind"], "test");
    wait(&first, ALERTS, |answer| rule_of(answer, "mine")["above"] == 500.0);
    assert!(receiver.is_empty());
}

#[test]
fn a_message_is_not_sent_before_the_others_know_of_it() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (first, _second, receiver) = start(&server);
    // What is told is refused for a while; the lease is not.
    let refuses = ClickHouseFault::Refuse(252, "TOO_MANY_PARTS");
    server.fault(refuses, &ClickHouseTarget::containing("alert_rows", 3)).unwrap();
    let begun = Instant::now();
    assert_eq!(post(&first, &format!("{RECEIVERS}/ops/test"), &json!({})).0, 200);
    assert_eq!(receiver.next().json()["kind"], "test");
    assert!(begun.elapsed() > Duration::from_secs(2), "it was sent after {:?}", begun.elapsed());
    assert!(evaluates(&first));
    // An answer that is lost is no second message.
    server.fault(ClickHouseFault::LoseAnswer, &ClickHouseTarget::containing("INTO `alert_rows`", 1)).unwrap();
    assert_eq!(post(&first, &format!("{RECEIVERS}/ops/test"), &json!({})).0, 200);
    assert_eq!(receiver.next().json()["kind"], "test");
    wait(&first, DELIVERIES, |found| found["rows"][0]["outcome"] == "delivered");
    assert!(receiver.is_empty());
}
