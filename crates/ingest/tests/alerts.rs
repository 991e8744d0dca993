//! Alerts over HTTP: rules in, messages out, and what the API shows of both.

use crate::receiver::{HttpReceiver, Received};
use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, SECOND, made};
use hmac::{Hmac, KeyInit, Mac};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality::Delta;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SECRET: &str = "a secret of the test";

fn service(alerts: &Value) -> Service {
    Service::alerting(serde_json::from_value(alerts.clone()).unwrap())
}

/// The start of the present minute, in Unix nanoseconds.
fn this_minute() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    now / MINUTE * MINUTE
}

/// Counts this in each of the minutes before the present one.
fn count(service: &Service, minutes: u64, all: &[Made]) {
    for ago in 1..=minutes {
        let time = this_minute() - ago * MINUTE + SECOND;
        let frame = Frame { temporality: Delta, ..Frame::at(time) };
        service.send("/v1/metrics", None, &frame.of(all)).accepted();
    }
}

/// Makes the service believe at its next start that it last evaluated this number of minutes ago.
fn rewind(minutes: u64) -> impl FnOnce(&Path) {
    move |data| {
        let file = Connection::open(data.join("alerts.db")).unwrap();
        let at = (this_minute() - minutes * MINUTE) as i64;
        file.execute("INSERT OR REPLACE INTO marks VALUES ('evaluated_to', ?)", [at]).unwrap();
    }
}

fn failing(count: usize) -> Vec<Made> {
    vec![made("/a", 500, 0.01); count]
}

/// Verifies the signature as the documentation describes it.
fn verify(message: &Received) {
    let header = message.header("x-gatelens-signature");
    let (time, signature) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let sent: u64 = time.parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(sent) < 300, "{header} at {now}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(&message.body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, expected);
}

/// Asks until the answer is as it should be.
fn wait(service: &Service, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = service.json(path);
        if holds(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{path}: {answer:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn post(service: &Service, path: &str, body: &Value) -> (u16, Value) {
    let answer = service.post(path, &[("content-type", "application/json")], body.to_string().as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn an_incident_is_sent_once_signed_and_survives_restarts() {
    let receiver = HttpReceiver::start();
    receiver.answer(&[503]);
    let mut service = service(&json!({
        "page_url": "https://gatelens.example/",
        "receivers": [{"name": "ops", "webhook": {
            "url": format!("http://{}/hook?token=hidden", receiver.address), "secret": SECRET,
        }}],
    }));
    count(&service, 12, &failing(40));
    service.restart(rewind(12));
    let first = receiver.next();
    verify(&first);
    assert_eq!(first.line, "POST /hook?token=hidden");
    let message = first.json();
    assert_eq!(
        (&message["kind"], &message["rule"], &message["severity"]),
        (&json!("firing"), &json!("errors"), &json!("warning"))
    );
    assert_eq!(message["labels"], json!({"service": "orders", "environment": "prod"}));
    assert_eq!((&message["value"], &message["threshold"]), (&json!(100.0), &json!(1.0)));
    let view = message["view"].as_str().unwrap();
    assert!(view.starts_with("https://gatelens.example/?environment=prod&service=orders&from="), "{view}");
    let alerts = service.json("/api/v1/alerts");
    let alert = &alerts["alerts"][0];
    assert_eq!((&alert["rule"], &alert["state"]), (&json!("errors"), &json!("firing")), "{alerts:#}");
    assert_eq!(alert["labels"], message["labels"]);
    assert!(alert["recent"].as_array().unwrap().len() > 5, "{alert:#}");
    assert!(!alerts.to_string().contains("hidden"), "{alerts:#}");
    // The first attempt was refused; it waits, over a restart, and is not made twice.
    let waiting = wait(&service, "/api/v1/alerts/deliveries", |found| found["rows"][0]["attempts"] == 1);
    let row = &waiting["rows"][0];
    assert_eq!((&row["outcome"], &row["status"]), (&json!("waiting"), &json!(503)), "{row:#}");
    assert_eq!(row["error"], "it responded with 503: note");
    service.restart(|data| {
        let file = Connection::open(data.join("alerts.db")).unwrap();
        file.execute("UPDATE deliveries SET next_at = 1", []).unwrap();
    });
    let again = receiver.next();
    verify(&again);
    assert_eq!(again.header("x-gatelens-delivery"), first.header("x-gatelens-delivery"));
    assert_eq!(again.body, first.body);
    wait(&service, "/api/v1/alerts/deliveries", |found| found["rows"][0]["outcome"] == "delivered");
    // What is not sent again is shown by the next message.
    service.restart(|_| ());
    let (status, queued) = post(&service, "/api/v1/alerts/receivers/ops/test", &json!({}));
    assert_eq!(status, 200, "{queued}");
    let test = receiver.next();
    verify(&test);
    assert_eq!(test.json()["kind"], "test");
    assert!(receiver.is_empty());
    let history = service.json("/api/v1/alerts/history?rule=errors");
    assert_eq!(history["rows"].as_array().unwrap().len(), 1);
    assert_eq!(history["rows"][0]["resolved_at"], Value::Null);
    wait(&service, "/api/v1/alerts/deliveries", |found| found["rows"][0]["outcome"] == "delivered");
    let metrics = service.get("/metrics").text();
    let line = "gatelens_ingest_alert_deliveries_total{outcome=\"delivered\",receiver=\"webhook\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}
