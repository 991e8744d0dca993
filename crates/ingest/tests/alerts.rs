//! Alerts over HTTP: rules in, messages out, and what the API shows of both.

use crate::receiver::{HttpReceiver, Received};
use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, SECOND, made};
use gatelens_ingest::Limits;
use hmac::{Hmac, KeyInit, Mac};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality::Delta;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SECRET: &str = "a secret of the test";

pub(crate) fn service(alerts: &Value) -> Service {
    Service::alerting(serde_json::from_value(alerts.clone()).unwrap())
}

/// The start of the present minute, in Unix nanoseconds.
fn this_minute() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    now / MINUTE * MINUTE
}

/// Counts this in each of the minutes before the present one.
pub(crate) fn count(service: &Service, minutes: u64, all: &[Made]) {
    for ago in 1..=minutes {
        let time = this_minute() - ago * MINUTE + SECOND;
        let frame = Frame { temporality: Delta, ..Frame::at(time) };
        service.send("/v1/metrics", None, &frame.of(all)).accepted();
    }
}

/// Makes the service believe at its next start that it last evaluated this number of minutes ago.
pub(crate) fn rewind(minutes: u64) -> impl FnOnce(&Path) {
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
pub(crate) fn wait(service: &Service, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
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

pub(crate) fn post(service: &Service, path: &str, body: &Value) -> (u16, Value) {
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
    let incident = &history["rows"][0];
    assert_eq!((&incident["resolved_at"], &incident["unit"]), (&Value::Null, &json!("%")));
    assert_eq!((&incident["since"], &incident["worst"]), (&message["since"], &json!(100.0)));
    assert!(incident["duration_seconds"].as_u64().unwrap() >= 5 * 60, "{incident:#}");
    let from = view.trim_start_matches("https://gatelens.example").split("&to=").next().unwrap();
    assert!(incident["view"].as_str().unwrap().starts_with(&format!("{from}&to=")), "{incident:#}");
    let since = incident["since"].as_str().unwrap();
    let found = |query: &str| {
        let found = service.json(&format!("/api/v1/alerts/history?{query}"));
        found["rows"].as_array().unwrap().len()
    };
    assert_eq!(found(&format!("to={since}")), 0, "it had not begun");
    assert_eq!(found(&format!("from={since}&limit=1")), 1);
    let wrong = service.get(&format!("/api/v1/alerts/history?from={since}&to={since}"));
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    wait(&service, "/api/v1/alerts/deliveries", |found| found["rows"][0]["outcome"] == "delivered");
    let metrics = service.get("/metrics").text();
    let line = "gatelens_ingest_alert_deliveries_total{outcome=\"delivered\",receiver=\"webhook\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[test]
fn a_receiver_that_never_answers_holds_up_no_other_one() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ops = HttpReceiver::start();
    let url = |address: SocketAddr| format!("http://{address}/hook");
    let service = service(&json!({"receivers": [
        {"name": "silent", "webhook": {"url": url(silent.local_addr().unwrap())}},
        {"name": "ops", "webhook": {"url": url(ops.address)}},
    ]}));
    let test = |name: &str| {
        let (status, queued) = post(&service, &format!("/api/v1/alerts/receivers/{name}/test"), &json!({}));
        assert_eq!(status, 200, "{queued}");
        queued["delivery"].clone()
    };
    let held_up = test("silent");
    let attempts = || {
        let found = service.json("/api/v1/alerts/deliveries");
        let row = found["rows"].as_array().unwrap().iter().find(|row| row["id"] == held_up).cloned();
        row.unwrap()["attempts"].as_u64().unwrap()
    };
    // An attempt ends after ten seconds. A machine that is so slow that the message of the other one takes longer sees it at
    // a later attempt.
    let passed = (0..3).any(|ended| {
        let _connection = silent.accept().unwrap();
        let before = attempts();
        assert!(before >= ended, "{before} attempts have ended");
        test("ops");
        test("ops");
        assert_eq!([ops.next().json()["kind"].clone(), ops.next().json()["kind"].clone()], ["test", "test"]);
        attempts() == before
    });
    assert!(passed, "each message to the other receiver waited until an attempt to the silent one had ended");
}

#[test]
fn each_kind_of_receiver_gets_the_form_it_takes() {
    let [webhook, slack, pagerduty, alertmanager] = std::array::from_fn(|_| HttpReceiver::start());
    let url = |receiver: &HttpReceiver| format!("http://{}", receiver.address);
    let mut service = service(&json!({
        "page_url": "https://gatelens.example",
        "receivers": [
            {"name": "a", "webhook": {"url": url(&webhook)}},
            {"name": "b", "slack": {"url": format!("{}/services/T0/B0", url(&slack))}},
            {"name": "c", "pagerduty": {"routing_key": "key", "url": url(&pagerduty)}},
            {"name": "d", "alertmanager": {"url": format!("{}/", url(&alertmanager))}},
        ],
    }));
    count(&service, 12, &failing(40));
    service.restart(rewind(12));
    let message = webhook.next();
    assert_eq!(message.header("x-gatelens-signature"), "", "there is no secret");
    let message = message.json();
    let got = slack.next();
    assert_eq!(got.line, "POST /services/T0/B0");
    let got = got.json();
    assert_eq!(got["text"], message["title"]);
    let text = got["attachments"][0]["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.starts_with("*<https://gatelens.example/?environment=prod&amp;service=orders"), "{text}");
    let got = pagerduty.next().json();
    assert_eq!((&got["routing_key"], &got["event_action"]), (&json!("key"), &json!("trigger")));
    assert_eq!(got["dedup_key"], format!("gatelens:{}", message["alert"].as_str().unwrap()));
    assert_eq!(got["payload"]["severity"], "warning");
    let got = alertmanager.next();
    assert_eq!(got.line, "POST /api/v2/alerts");
    let alert = &got.json()[0];
    let labels =
        json!({"alertname": "errors", "severity": "warning", "service": "orders", "environment": "prod"});
    assert_eq!((&alert["labels"], &alert["startsAt"]), (&labels, &message["since"]));
    assert!(alert["endsAt"].as_str() > alert["startsAt"].as_str(), "{alert:#}");
    // The rule is switched off, and everybody who knows of the alert learns of its end.
    let off = json!({"name": "errors", "enabled": false, "measure": "error_percent", "above": 1});
    let answer = service.put("/api/v1/alerts/rules/errors", &off.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    service.restart(rewind(2));
    let end = webhook.next().json();
    assert_eq!((&end["kind"], &end["alert"]), (&json!("resolved"), &message["alert"]));
    assert_eq!(end["reason"], "the rule was switched off");
    let got = pagerduty.next().json();
    assert_eq!(got["event_action"], "resolve");
    let alert = &alertmanager.next().json()[0];
    assert_eq!((&alert["labels"], &alert["endsAt"]), (&labels, &end["resolved_at"]));
    assert!(slack.next().json()["text"].as_str().unwrap().starts_with("Resolved: errors"));
}

#[test]
fn a_rule_is_tried_on_the_past() {
    is_tried_on_the_past(&Service::start());
}

#[test]
fn a_rule_is_tried_on_the_past_in_pieces_with_the_same_outcome() {
    // Each piece is a minute.
    // A day is 1,440 questions then, which a fast machine asks in a few seconds.
    let limits =
        Limits { trial_piece: Duration::ZERO, reader_requests_per_second: 100_000, ..Limits::default() };
    let service = Service::with(limits);
    is_tried_on_the_past(&service);
    let question = json!({"rule": {"measure": "p95_ms", "above": 200}, "days": 1});
    let (_, first) = post(&service, "/api/v1/alerts/try", &question);
    let minutes =
        |key: &str| first[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() / 60;
    assert_eq!(minutes("tried_to") - minutes("from"), 1, "{first:#}");
    // Another question does not go on with it, and it cannot be gone on with twice.
    let mut other = question.clone();
    (other["resume"], other["days"]) = (first["resume"].clone(), json!(2));
    let mut same = question;
    same["resume"] = first["resume"].clone();
    let status = |question: &Value| {
        let (status, answer) = post(&service, "/api/v1/alerts/try", question);
        (status, answer["error"]["field"].clone())
    };
    assert_eq!(status(&other), (422, json!("resume")));
    assert_eq!(status(&same), (200, Value::Null));
    assert_eq!(status(&same), (422, json!("resume")));
}

fn is_tried_on_the_past(service: &Service) {
    let base = this_minute();
    for ago in 1..=40 {
        let status = if ago > 25 { 500 } else { 200 };
        let frame = Frame { temporality: Delta, ..Frame::at(base - ago * MINUTE + SECOND) };
        service.send("/v1/metrics", None, &frame.of(&vec![made("/a", status, 0.01); 40])).accepted();
    }
    let trial = |rule: Value, days: u64| {
        let mut question = json!({"rule": rule, "days": days});
        loop {
            let (status, answer) = post(service, "/api/v1/alerts/try", &question);
            match answer.get("resume") {
                None => return (status, answer),
                Some(resume) => question["resume"] = resume.clone(),
            }
        }
    };
    let rule = json!({"measure": "error_percent", "above": 1, "each": ["route"], "enabled": false});
    let (status, tried) = trial(rule.clone(), 1);
    assert_eq!(status, 200, "{tried}");
    let minute = |ago: u64| {
        let at = jiff::Timestamp::from_nanosecond(i128::from(base - ago * MINUTE)).unwrap();
        format!("{at}")
    };
    // It has 100 requests after 3 minutes and waits 5; the last errors leave the window 5 minutes after the 25th, and it
    // waits 10.
    let firing = json!({"labels": {"route": "/a"}, "since": minute(37), "fired_at": minute(32),
        "resolved_at": minute(10), "worst": 100.0});
    assert_eq!(tried["firings"], json!([firing]), "{tried:#}");
    assert_eq!((&tried["messages"], &tried["worst"]), (&json!(2), &json!(100.0)));
    assert_eq!(tried["known_from"], minute(39));
    let quiet = trial(json!({"measure": "p95_ms", "above": 200}), 1).1;
    assert_eq!((&quiet["firings"], &quiet["messages"]), (&json!([]), &json!(0)), "{quiet:#}");
    assert!((9.0..12.0).contains(&quiet["worst"].as_f64().unwrap()), "{quiet:#}");
    // Nothing of it is kept.
    assert_eq!(service.json("/api/v1/alerts/history")["rows"], json!([]));
    for (rule, days, field, words) in [
        (rule.clone(), 0, "days", "1..=14"),
        (rule, 15, "days", "1..=14"),
        (json!({"measure": "disk_percent", "above": 1}), 1, "rule.measure", "cannot be tried on the past"),
        (json!({"measure": "p95_ms"}), 1, "rule.above", "the threshold is missing"),
    ] {
        let (status, refused) = trial(rule, days);
        assert_eq!((status, &refused["error"]["field"]), (422, &json!(field)), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[test]
fn rules_and_receivers_are_made_changed_muted_and_removed() {
    let service = Service::start();
    let check = |(status, answer): (u16, Value), expected: u16, words: &str| {
        assert_eq!(status, expected, "{answer}");
        assert!(answer.to_string().contains(words), "{answer} should contain {words:?}");
    };
    let rule = json!({"name": "mine", "measure": "p99_ms", "above": 500, "each": ["route"]});
    let rules = "/api/v1/alerts/rules";
    check(post(&service, rules, &rule), 200, "{}");
    check(post(&service, rules, &rule), 409, "there is a rule");
    check(post(&service, rules, &json!({"name": "errors", "above": 1})), 409, "built-in rule");
    check(post(&service, rules, &json!({"name": "x", "abvoe": 1})), 422, "did you mean `above`?");
    check(post(&service, rules, &json!({"name": "x", "above": -1})), 422, "\"field\":\"above\"");
    let receivers = json!({"name": "x", "above": 1, "receivers": ["nobody"]});
    check(post(&service, rules, &receivers), 422, "there is no receiver");
    check(
        post(&service, &format!("{rules}/mine/mute"), &json!({"until": "2000-01-01T00:00:00Z"})),
        422,
        "future",
    );
    check(
        post(&service, &format!("{rules}/mine/mute"), &json!({"until": "2199-01-01T00:00:00Z"})),
        200,
        "{}",
    );
    check(
        post(&service, &format!("{rules}/min/mute"), &json!({"until": "2199-01-01T00:00:00Z"})),
        404,
        "`mine`",
    );
    let of = |name: &str| -> Value {
        let alerts = service.json("/api/v1/alerts");
        let rules = alerts["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(
        (&of("mine")["origin"], &of("mine")["muted_until"]),
        (&json!("page"), &json!("2199-01-01T00:00:00Z"))
    );
    check(post(&service, &format!("{rules}/mine/unmute"), &json!({})), 200, "{}");
    assert_eq!(of("mine")["muted_until"], Value::Null);
    assert_eq!(of("errors")["origin"], "built_in");
    let own = json!({"name": "errors", "measure": "error_percent", "above": 5});
    assert_eq!(service.put(&format!("{rules}/errors"), &own.to_string()).status, 200);
    assert_eq!((&of("errors")["origin"], &of("errors")["above"]), (&json!("page"), &json!(5.0)));
    assert_eq!(service.send_any("delete", &format!("{rules}/errors"), &[]).status, 200);
    assert_eq!((&of("errors")["origin"], &of("errors")["above"]), (&json!("built_in"), &json!(1.0)));
    assert_eq!(service.send_any("delete", &format!("{rules}/errors"), &[]).status, 409);
    let receivers = "/api/v1/alerts/receivers";
    let file = json!({"name": "ops", "webhook": {"url_file": "/etc/passwd"}});
    check(post(&service, receivers, &file), 422, "files are for receivers in the configuration file");
    let two = json!({"name": "ops", "webhook": {"url": "http://a"}, "slack": {"url": "http://b"}});
    check(post(&service, receivers, &two), 422, "one of webhook, slack");
    // Whoever made it on the page does not reach the credentials of a cloud.
    let cloud = json!({"name": "ops", "webhook": {"url": "http://169.254.169.254/latest", "secret": SECRET}});
    check(post(&service, receivers, &cloud), 200, "{}");
    check(post(&service, &format!("{receivers}/ops/test"), &json!({})), 200, "delivery");
    let found = wait(&service, "/api/v1/alerts/deliveries", |found| found["rows"][0]["attempts"] == 1);
    assert!(found.to_string().contains("link-local"), "{found}");
    let shown = service.json("/api/v1/alerts").to_string();
    assert!(!shown.contains(SECRET) && !shown.contains("latest"), "{shown}");
    assert_eq!(service.send_any("delete", &format!("{receivers}/ops"), &[]).status, 200);
    assert_eq!(service.send_any("delete", &format!("{receivers}/ops"), &[]).status, 404);
}

#[test]
fn a_receiver_of_the_page_is_changed_and_keeps_its_secrets() {
    let [first, second] = std::array::from_fn(|_| HttpReceiver::start());
    let hook = |receiver: &HttpReceiver| format!("http://{}/hook?token=hidden", receiver.address);
    let service =
        service(&json!({"receivers": [{"name": "file", "webhook": {"url": "http://127.0.0.1:9/"}}]}));
    let receivers = "/api/v1/alerts/receivers";
    let check = |answer: crate::support::Answer, expected: u16, words: &str| {
        assert_eq!(answer.status, expected, "{}", answer.text());
        assert!(answer.text().contains(words), "{} should contain {words:?}", answer.text());
    };
    let put = |name: &str, body: Value| service.put(&format!("{receivers}/{name}"), &body.to_string());
    let made = json!({"name": "ops", "webhook": {"url": hook(&first), "secret": SECRET}});
    assert_eq!(post(&service, receivers, &made).0, 200);

    // All but the secrets can be read, and changed without them.
    let path = format!("{receivers}/ops");
    let expected = json!({
        "name": "ops", "kind": "webhook", "send_resolved": true, "settings": {}, "secrets": ["url", "secret"],
    });
    assert_eq!(service.json(&path), expected);
    check(put("ops", json!({"name": "ops", "send_resolved": false, "webhook": {}})), 200, "{}");
    assert_eq!(service.json(&path)["send_resolved"], false);
    let sent_to = |receiver: &HttpReceiver| {
        assert_eq!(post(&service, &format!("{path}/test"), &json!({})).0, 200);
        receiver.next()
    };
    let message = sent_to(&first);
    assert_eq!(message.line, "POST /hook?token=hidden");
    verify(&message);
    // The address is another one, and the signature is that of before.
    check(put("ops", json!({"name": "ops", "webhook": {"url": hook(&second)}})), 200, "{}");
    verify(&sent_to(&second));
    check(put("ops", json!({"name": "ops", "webhook": {"secret": null}})), 200, "{}");
    assert_eq!(sent_to(&second).header("x-gatelens-signature"), "");
    assert_eq!(service.json(&path)["secrets"], json!(["url"]));

    check(put("ops", json!({"name": "other", "webhook": {}})), 422, "is not that of the address");
    check(put("ops", json!({"name": "ops", "slack": {}})), 422, "the address is missing");
    check(put("ops", json!({"name": "ops", "webhook": {"url": "ftp://a"}})), 422, "http://");
    check(put("ops", json!({"name": "ops", "webhook": {"secret": "short"}})), 422, "fewer than 16 bytes");
    check(put("opps", json!({"name": "opps", "webhook": {}})), 404, "`ops`");
    check(put("file", json!({"name": "file", "webhook": {}})), 409, "configuration file");
    check(service.get(&format!("{receivers}/file")), 409, "configuration file");
    assert!(!service.get(&path).text().contains("hidden"));

    // A password goes to no other server than the one that it was written for.
    let mail = json!({"name": "mail", "smtp": {"host": "127.0.0.1", "port": 2525, "tls": "none", "username": "u",
        "password": "hidden", "from": "a@example.com", "to": ["b@example.com"]}});
    assert_eq!(post(&service, receivers, &mail).0, 200);
    let mut changed = mail.clone();
    changed["smtp"]["to"] = json!(["c@example.com"]);
    changed["smtp"].as_object_mut().unwrap().remove("password");
    check(put("mail", changed.clone()), 200, "{}");
    let shown = service.json(&format!("{receivers}/mail"));
    assert_eq!(
        (&shown["settings"]["to"], &shown["settings"]["password"], &shown["secrets"]),
        (&json!(["c@example.com"]), &Value::Null, &json!(["password"]))
    );
    changed["smtp"]["port"] = json!(2526);
    check(put("mail", changed.clone()), 422, "another `port`");
    changed["smtp"]["password"] = json!("new");
    check(put("mail", changed), 200, "{}");
}
