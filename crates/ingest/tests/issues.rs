//! Error issues over HTTP: failed requests in, groups with states out.

use crate::support::otlp::{MINUTE, NOON, SECOND, export_logs, made, record, text};
use crate::support::{Answer, Service};
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_ingest::{AccessConfig, Limits, NewToken, Role, TokenOwner};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

pub(crate) const HOUR: u64 = 60 * MINUTE;

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A failed request with the body of its response.
pub(crate) fn failed(time: u64, route: &'static str, status: u16, body: &str) -> LogRecord {
    let mut record = record(time, &made(route, status, 0.1));
    record.attributes.push(text("gatelens.response.body.content", body));
    record
}

pub(crate) fn by(consumer: &str, mut record: LogRecord) -> LogRecord {
    record.attributes.retain(|attribute| attribute.key != "gatelens.consumer.id");
    record.attributes.push(text("gatelens.consumer.id", consumer));
    record
}

/// Sends requests of a version of the service under an identity.
fn send(service: &Service, sequence: u64, version: &str, records: Vec<LogRecord>) {
    let mut export = export_logs(records);
    let resource = export.resource_logs[0].resource.as_mut().unwrap();
    resource.attributes.push(text("service.version", version));
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export).accepted();
}

pub(crate) fn rows(service: &Service, query: &str) -> Vec<Value> {
    service.json(&format!("/api/v1/issues?{query}"))["rows"].as_array().unwrap().clone()
}

pub(crate) fn decide(service: &Service, id: &str, body: &Value) -> Answer {
    service.put(&format!("/api/v1/issues/{id}"), &body.to_string())
}

pub(crate) fn state(service: &Service, id: &str) -> Value {
    service.json(&format!("/api/v1/issues/{id}"))["issue"]["state"].clone()
}

#[test]
fn failed_requests_are_grouped_and_counted_once() {
    let service = Service::start();
    let records = |time: u64| {
        vec![
            failed(time, "/a", 500, "{\"error\": \"row 17 is locked\"}"),
            by("globex", failed(time + SECOND, "/a", 500, "{\"error\": \"row 18 is locked\"}")),
            failed(time, "/a", 500, "{\"exception\": \"KeyError\", \"message\": \"no 'x'\"}"),
            failed(time, "/b", 503, ""),
            failed(time, "/b", 404, "{\"error\": \"no such thing\"}"),
            record(time, &made("/a", 200, 0.1)),
        ]
    };
    send(&service, 1, "1.0", records(NOON));
    // A repeat adds nothing.
    send(&service, 1, "1.0", records(NOON));
    send(&service, 2, "1.1", records(NOON + HOUR));
    let answer = service.json(&format!("/api/v1/issues?{DAY}&sort=requests"));
    assert_eq!(
        answer["states"],
        json!({"new": 0, "ongoing": 3, "regressed": 0, "resolved": 0, "ignored": 0})
    );
    let found: Vec<_> = answer["rows"].as_array().unwrap().iter().collect();
    let short = |row: &Value| {
        json!([row["route"], row["status"], row["class"], row["message"], row["requests"], row["consumers"]])
    };
    let mut shown: Vec<Value> = found.iter().map(|row| short(row)).collect();
    shown[1..].sort_by_key(|row| row[0].to_string());
    assert_eq!(
        shown,
        [
            json!(["/a", 500, null, "row {number} is locked", 4, 2]),
            json!(["/a", 500, "KeyError", "no {quoted}", 2, 1]),
            json!(["/b", 503, null, null, 2, 1]),
        ]
    );
    let first = found[0];
    assert_eq!(
        [&first["first_seen"], &first["last_seen"], &first["first_version"], &first["last_version"]],
        ["2026-06-20T12:00:00Z", "2026-06-20T13:00:01Z", "1.0", "1.1"]
    );
    let spark = first["spark"].as_array().unwrap();
    assert_eq!((spark.len(), &spark[12], &spark[13], &spark[14]), (24, &json!(2), &json!(2), &json!(0)));
    let detail = service.json(&format!("/api/v1/issues/{}", first["id"].as_str().unwrap()));
    let names = |key: &str| {
        let parts = detail[key].as_array().unwrap().iter();
        parts.map(|part| json!([part["value"], part["requests"]])).collect::<Vec<_>>()
    };
    assert_eq!(names("consumers"), [json!(["acme", 2]), json!(["globex", 2])]);
    assert_eq!(names("versions"), [json!(["1.0", 2]), json!(["1.1", 2])]);
    assert_eq!(
        detail["hours"],
        json!([{"time": "2026-06-20T12:00:00Z", "requests": 2}, {"time": "2026-06-20T13:00:00Z", "requests": 2}])
    );
    // Each example opens in the log.
    let examples = detail["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let id = example["request_id"].as_str().unwrap();
        let found = service.json(&format!("/api/v1/requests?{DAY}&request_id={id}&status=500"));
        assert!(!found["rows"].as_array().unwrap().is_empty(), "{example}");
    }
}

#[test]
fn a_filter_takes_issues_of_which_a_request_matches() {
    let service = Service::start();
    send(
        &service,
        1,
        "1.0",
        vec![
            failed(NOON, "/a", 500, "{\"error\": \"one\"}"),
            by("globex", failed(NOON, "/a", 500, "{\"error\": \"one\"}")),
            by("globex", failed(NOON, "/b", 503, "")),
            failed(NOON, "/c", 422, "[]"),
        ],
    );
    for (query, expected) in [
        ("", 3),
        ("route=/a", 1),
        ("route=!/a", 2),
        ("status=5xx", 2),
        ("status=503,422", 2),
        ("errors=true", 2),
        ("consumer=acme", 2),
        ("consumer=globex", 2),
        ("consumer=!acme", 2),
        ("consumer=nobody", 0),
        ("version=1.0", 3),
        ("gateway=edge-2", 0),
        ("service=orders&environment=other", 0),
        ("direction=outbound", 0),
        ("kind=validation", 1),
        ("state=new", 0),
        ("state=new,ongoing&kind=error", 2),
        ("group=gold", 0),
    ] {
        assert_eq!(rows(&service, &format!("{DAY}&{query}")).len(), expected, "{query}");
    }
    assert_eq!(rows(&service, "from=2026-06-21T00:00:00Z&to=2026-06-22T00:00:00Z").len(), 0);
    // Pages.
    let page = service.json(&format!("/api/v1/issues?{DAY}&limit=2"));
    assert_eq!((page["rows"].as_array().unwrap().len(), &page["more"]), (2, &json!(true)));
    let next = page["next"].as_str().unwrap();
    let rest = service.json(&format!("/api/v1/issues?{DAY}&limit=2&cursor={next}"));
    assert_eq!(
        (rest["rows"].as_array().unwrap().len(), &rest["more"], &rest["next"]),
        (1, &json!(false), &Value::Null)
    );
    for wrong in ["state=open", "sort=time", "kind=x", "cursor=x"] {
        assert_eq!(service.get(&format!("/api/v1/issues?{DAY}&{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn people_decide_and_an_issue_that_is_seen_again_regresses() {
    let service = Service::start();
    let fail = |sequence: u64, version: &str| {
        send(&service, sequence, version, vec![failed(now(), "/a", 500, "{\"error\": \"x\"}")]);
    };
    fail(1, "1.0");
    let id = rows(&service, "")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(state(&service, &id), "new");
    let set = |body: Value| {
        let answer = decide(&service, &id, &body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    };
    set(json!({"state": "ongoing"}));
    assert_eq!(state(&service, &id), "ongoing");
    set(json!({"state": "resolved"}));
    assert_eq!(state(&service, &id), "resolved");
    // A request from before that comes late.
    send(&service, 2, "1.0", vec![failed(now() - 60 * SECOND, "/a", 500, "{\"error\": \"x\"}")]);
    assert_eq!(state(&service, &id), "resolved");
    fail(3, "1.0");
    assert_eq!(state(&service, &id), "regressed");
    set(json!({"state": "ignored"}));
    fail(4, "1.0");
    assert_eq!(state(&service, &id), "ignored");
    set(json!({"state": "resolved", "in_next_release": true}));
    fail(5, "1.0");
    assert_eq!(state(&service, &id), "resolved");
    fail(6, "1.1");
    let detail = service.json(&format!("/api/v1/issues/{id}"));
    assert_eq!((&detail["issue"]["state"], &detail["issue"]["total"]), (&json!("regressed"), &json!(6)));
    assert!(detail["issue"]["regressed_at"].is_string());
    for (body, status) in [
        (json!({"state": "new"}), 422),
        (json!({"state": "ignored", "in_next_release": true}), 400),
        (json!({"state": "resolved", "until": 1}), 422),
    ] {
        assert_eq!(decide(&service, &id, &body).status, status, "{body}");
    }
    assert_eq!(decide(&service, "0000000000000000", &json!({"state": "resolved"})).status, 404);
}

#[test]
fn fields_that_were_refused_are_counted_without_their_values() {
    let service = Service::start();
    let body = |input: &str| {
        json!({"detail": [{"type": "missing", "loc": ["body", "items", 3, "name"], "msg": "Field 7 required", "input": input}]})
            .to_string()
    };
    send(
        &service,
        1,
        "",
        vec![
            failed(NOON, "/a", 422, &body("secret-1")),
            failed(NOON, "/a", 422, &body("secret-2")),
            failed(NOON, "/a", 400, &body("secret-3")),
            failed(NOON, "/a", 400, "{\"error\": \"bad\"}"),
        ],
    );
    let found = rows(&service, &format!("{DAY}&kind=validation&status=422"));
    assert_eq!((found.len(), &found[0]["requests"]), (1, &json!(2)));
    let detail = service.json(&format!("/api/v1/issues/{}", found[0]["id"].as_str().unwrap()));
    assert_eq!(
        detail["fields"],
        json!([{"field": "body.items[].name", "type": "missing", "message": "Field {number} required", "requests": 2,
                "last_seen": "2026-06-20T12:00:00Z"}])
    );
    assert_eq!(rows(&service, DAY).len(), 2, "a 400 whose body names no field is no issue");
    assert!(!detail.to_string().contains("secret"), "{detail}");
    // Without a version, no release can be told from another.
    let answer = decide(
        &service,
        found[0]["id"].as_str().unwrap(),
        &json!({"state": "resolved", "in_next_release": true}),
    );
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("service.version"), "{}", answer.text());
}

#[test]
fn issues_and_decisions_outlive_a_restart_and_a_damaged_file() {
    let mut service = Service::start();
    send(&service, 1, "1.0", vec![failed(NOON, "/a", 500, "{\"error\": \"x\"}")]);
    let id = rows(&service, DAY)[0]["id"].as_str().unwrap().to_owned();
    decide(&service, &id, &json!({"state": "ignored"}));
    service.restart(|_| ());
    assert_eq!(state(&service, &id), "ignored");
    // The sender repeats what was acknowledged before the restart.
    send(&service, 1, "1.0", vec![failed(NOON, "/a", 500, "{\"error\": \"x\"}")]);
    assert_eq!(rows(&service, DAY)[0]["total"], 1);
    service.restart(|data: &Path| std::fs::write(data.join("issues.db"), [0x5a; 8192]).unwrap());
    assert_eq!(rows(&service, DAY).len(), 0);
    send(&service, 2, "1.0", vec![failed(NOON, "/a", 500, "{\"error\": \"x\"}")]);
    assert_eq!(rows(&service, DAY)[0]["id"], id);
}

#[test]
fn a_service_has_a_bounded_number_of_issues() {
    let service = Service::with(Limits::default());
    let letters =
        |n: u64| n.to_string().bytes().map(|digit| (digit - b'0' + b'a') as char).collect::<String>();
    // Reasons of one failure: beyond 50, they belong to the issue without a reason.
    let reasons =
        (0..60).map(|n| failed(NOON + n, "/a", 500, &format!("{{\"error\": \"{}\"}}", letters(n)))).collect();
    send(&service, 1, "", reasons);
    let found = rows(&service, &format!("{DAY}&limit=1000"));
    let without = found.iter().find(|row| row["message"].is_null()).unwrap();
    assert_eq!((found.len(), &without["requests"]), (51, &json!(10)));
    // Routes: those that were not seen for the longest time make room.
    for batch in 0..6 {
        let routes = (0..100).map(|n| {
            let route: &'static str = Box::leak(format!("/r/{batch}-{n}").into_boxed_str());
            failed(NOON + (batch + 1) * SECOND, route, 500, "")
        });
        send(&service, 2 + batch, "", routes.collect());
    }
    let found = rows(&service, &format!("{DAY}&limit=1000"));
    assert_eq!(found.len(), 500);
    assert!(!found.iter().any(|row| row["route"] == "/a"));
}

#[test]
fn what_is_forgotten_leaves_no_name_in_an_issue() {
    let service = Service::start();
    send(
        &service,
        1,
        "1.0",
        vec![
            failed(NOON, "/a", 500, "{\"error\": \"x\"}"),
            by("globex", failed(NOON + SECOND, "/a", 500, "{\"error\": \"x\"}")),
            by("globex", failed(NOON, "/b", 503, "")),
        ],
    );
    let consumer = Selection { consumer: Some("globex".to_owned()), ..Selection::default() };
    let counted = forget(service.data(), &consumer, Deed::Count).unwrap();
    assert_eq!((counted.issues, rows(&service, DAY).len()), (1, 2));
    assert_eq!(forget(service.data(), &consumer, Deed::Remove).unwrap().issues, 1);
    let found = rows(&service, DAY);
    assert_eq!((found.len(), &found[0]["route"], &found[0]["consumers"]), (1, &json!("/a"), &json!(1)));
    let detail = service.json(&format!("/api/v1/issues/{}", found[0]["id"].as_str().unwrap()));
    assert!(!detail.to_string().contains("globex"), "{detail}");
    let environment = Selection { environment: Some("prod".to_owned()), ..Selection::default() };
    forget(service.data(), &environment, Deed::Remove).unwrap();
    assert_eq!(rows(&service, DAY).len(), 0);
    for name in ["issues.db", "issues.db-wal"] {
        let bytes = std::fs::read(service.data().join(name)).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"globex"), "{name}: what is removed is overwritten");
    }
}

#[test]
fn old_issues_go_and_those_that_somebody_decided_about_stay_longer() {
    let mut service = Service::start();
    let day = 24 * HOUR;
    send(&service, 1, "1.0", vec![failed(NOON, "/old", 500, ""), failed(NOON, "/ignored", 500, "")]);
    let ever = "from=2026-06-01T00:00:00Z&to=2026-09-01T00:00:00Z";
    let id = rows(&service, &format!("{ever}&route=/ignored"))[0]["id"].as_str().unwrap().to_owned();
    decide(&service, &id, &json!({"state": "ignored"}));
    // The young ones come after the decision: the first start prunes too, at a moment of its own.
    let young = [(20, "/middle"), (40, "/young")];
    let young = young.map(|(days, route)| failed(NOON + days * day, route, 500, ""));
    send(&service, 2, "1.0", young.into());
    service.restart(|_| ());
    // The first look of the job that prunes comes with the start.
    let left = crate::alerts::wait(&service, &format!("/api/v1/issues?{ever}"), |answer| {
        answer["rows"].as_array().unwrap().len() == 3
    });
    let routes: Vec<_> = left["rows"].as_array().unwrap().iter().map(|row| &row["route"]).collect();
    assert_eq!(routes, ["/young", "/middle", "/ignored"]);
    // The log of its requests is gone, and with it whom they were of.
    let detail = service.json(&format!("/api/v1/issues/{id}"));
    assert_eq!(
        (&detail["examples"], &detail["consumers"], &detail["issue"]["total"]),
        (&json!([]), &json!([]), &json!(1))
    );
}

#[test]
fn a_viewer_sees_issues_without_the_texts_of_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let [viewer, analyst] = [Role::Viewer, Role::Analyst]
        .map(|role| NewToken::new(&format!("ci-{role}"), TokenOwner::Person { role }).unwrap());
    let sender = NewToken::new("edge", TokenOwner::Sender { environment: "*" }).unwrap();
    let (users, senders) = (dir.path().join("users.yaml"), dir.path().join("tokens.yaml"));
    std::fs::write(&users, format!("{}\n{}\n", viewer.line, analyst.line)).unwrap();
    std::fs::write(&senders, &sender.line).unwrap();
    let access = AccessConfig { sender_tokens: Some(senders), users: Some(users), ..AccessConfig::default() };
    let service = Service::guarded(Limits::default(), access);
    let body = prost::Message::encode_to_vec(&export_logs(vec![failed(
        NOON,
        "/a",
        422,
        "{\"detail\": \"a secret\"}",
    )]));
    let bearer = |token: &str| format!("Bearer {token}");
    let headers = [("content-type", crate::support::PROTOBUF), ("authorization", &*bearer(&sender.token))];
    assert_eq!(service.post("/v1/logs", &headers, &body).status, 200);
    let get = |path: &str, token: &str| -> Value {
        let answer = service.get_with(path, &[("authorization", &bearer(token))]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    let seen = get(&format!("/api/v1/issues?{DAY}"), &viewer.token);
    assert!(!seen.to_string().contains("secret"), "{seen}");
    assert_eq!(seen["rows"][0]["withheld"], json!(["message"]));
    let seen = get(&format!("/api/v1/issues?{DAY}"), &analyst.token);
    assert_eq!(
        (&seen["rows"][0]["message"], &seen["rows"][0]["withheld"]),
        (&json!("a secret"), &Value::Null)
    );
}
