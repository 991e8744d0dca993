//! Names and groups of consumers, from the log to the answers.

use crate::support::Service;
use crate::support::otlp::{Frame, Made, NOON, export_logs, made, record, text};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const MINUTE: u64 = 60_000_000_000;

fn by(consumer: &'static str) -> Made {
    Made { consumer, ..made("/a", 200, 0.1) }
}

/// Sends a log record of a consumer, with its name and group where they are not empty.
fn log(service: &Service, sequence: u64, at: u64, consumer: &'static str, label: [&str; 2]) {
    let mut record = record(at, &by(consumer));
    let names = ["gatelens.consumer.name", "gatelens.consumer.group"].into_iter().zip(label);
    record
        .attributes
        .extend(names.filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)));
    service.send("/v1/logs", Some(("edge-1", 1, sequence)), &export_logs(vec![record])).accepted();
}

fn counted(service: &Service, sequence: u64, at: u64, consumers: &[&'static str]) {
    let points: Vec<Made> = consumers.iter().map(|consumer| by(consumer)).collect();
    service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &Frame::at(at).of(&points)).accepted();
}

fn column(answer: &Value, rows: &str, keys: &[&str]) -> Vec<Value> {
    let rows = answer[rows].as_array().unwrap();
    rows.iter().map(|row| keys.iter().map(|key| row[key].clone()).collect()).collect()
}

fn served() -> Service {
    let service = Service::start();
    counted(&service, 1, NOON, &["acme", "globex", "initech", "anonymous"]);
    log(&service, 1, NOON, "acme", ["Acme Inc.", "gold"]);
    log(&service, 2, NOON, "globex", ["", "gold"]);
    log(&service, 3, NOON, "initech", ["", ""]);
    service
}

#[test]
fn counts_have_names_and_groups() {
    let mut service = served();
    let check = |service: &Service, query: &str, keys: &[&str], expected: Value| {
        let answer = service.json(&format!("/api/v1/summary?{DAY}&{query}"));
        let mut found = column(&answer, "rows", keys);
        found.sort_by_key(Value::to_string);
        assert_eq!(Value::from(found), expected, "{query}");
    };
    let named = json!([
        ["acme", "Acme Inc.", "gold"],
        ["anonymous", null, null],
        ["globex", null, "gold"],
        ["initech", null, null]
    ]);
    let keys = ["consumer", "consumer_name", "consumer_group"];
    check(&service, "group_by=consumer", &keys, named.clone());
    check(
        &service,
        "group_by=group",
        &["group", "requests", "consumer_name"],
        json!([["", 2, null], ["gold", 2, null]]),
    );
    check(&service, "group=gold", &["requests"], json!([[2]]));
    check(&service, "group=!gold", &["requests"], json!([[2]]));
    check(&service, "group=gold&consumer=!acme&group_by=consumer", &["consumer"], json!([["globex"]]));
    let answer =
        service.json(&format!("/api/v1/timeseries?{DAY}&group_by=consumer,group&group=gold&consumer=acme"));
    assert_eq!(column(&answer, "points", &["consumer_name", "group"]), [json!(["Acme Inc.", "gold"])]);
    service.restart(|_| ());
    check(&service, "group_by=consumer", &keys, named);
}

#[test]
fn the_log_has_the_names_of_now() {
    let service = served();
    log(&service, 4, NOON + MINUTE, "acme", ["Acme Ltd.", ""]);
    // It came late, and must not replace what is newer.
    log(&service, 5, NOON - MINUTE, "acme", ["Acme", "silver"]);
    let requests = |query: &str| {
        let answer = service.json(&format!("/api/v1/requests?{DAY}&{query}"));
        let mut found = column(&answer, "rows", &["consumer", "consumer_name", "consumer_group"]);
        found.dedup();
        Value::from(found)
    };
    assert_eq!(requests("consumer=acme"), json!([["acme", "Acme Ltd.", "gold"]]));
    assert_eq!(requests("group=silver"), json!([]));
    assert_eq!(requests("group=!gold"), json!([["initech", null, null]]));
}

#[test]
fn consumers_are_listed_with_their_first_and_last_minute() {
    let service = served();
    counted(&service, 2, NOON + 5 * MINUTE, &["acme", "acme"]);
    counted(&service, 3, NOON + 9 * MINUTE, &["anonymous", "anonymous"]);
    let keys = ["id", "name", "group", "first_seen", "last_seen"];
    let list = |query: &str| {
        Value::from(column(&service.json(&format!("/api/v1/consumers?{query}")), "rows", &keys))
    };
    let (first, last) = ("2026-06-20T11:59:00Z", "2026-06-20T12:04:00Z");
    let acme = json!(["acme", "Acme Inc.", "gold", first, last]);
    let globex = json!(["globex", null, "gold", first, first]);
    let initech = json!(["initech", null, null, first, first]);
    assert_eq!(list(""), json!([acme, globex, initech]));
    assert_eq!(list("group=gold"), json!([acme, globex]));
    assert_eq!(list("consumer=initech&environment=prod"), json!([initech]));
    assert_eq!(list("service=other"), json!([]));
    let answer = service.json("/api/v1/consumers?limit=1");
    assert_eq!((&answer["rows"].as_array().unwrap().len(), &answer["more"]), (&1, &json!(true)));
}

#[test]
fn labels_of_strangers_are_bounded() {
    let service = Service::start();
    let long = "é".repeat(1_000);
    log(&service, 1, NOON, "acme", [&long, "<b>&\"'"]);
    // A clock that runs ahead must not keep later names out.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    log(&service, 2, (now + Duration::from_secs(23 * 3600)).as_nanos() as u64, "globex", ["Globex", ""]);
    log(&service, 3, NOON, "anonymous", ["Nobody", ""]);
    let rows = service.json("/api/v1/consumers");
    let found = column(&rows, "rows", &["id", "name", "group"]);
    assert_eq!(found.len(), 2, "{rows}");
    assert!(found.contains(&json!(["acme", "é".repeat(64), "<b>&\"'"])), "{rows}");
}

fn import(service: &Service, csv: &str, apply: bool) -> (u16, Value) {
    let body = json!({"csv": csv, "apply": apply}).to_string();
    let answer =
        service.post("/api/v1/consumers/import", &[("content-type", "application/json")], body.as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn the_directory_wins_over_gateways_and_both_are_kept() {
    let mut service = served();
    let put = |service: &Service, id: &str, body: Value| {
        service.put(&format!("/api/v1/consumers/{id}"), &body.to_string()).status
    };
    assert_eq!(put(&service, "acme", json!({"group": "platinum", "note": "renews in May"})), 200);
    assert_eq!(put(&service, "initech", json!({"name": "Initech"})), 200);
    // Nobody has counted it yet, and a path may hold any ID.
    assert_eq!(put(&service, "a%2Fb%20c", json!({"name": "Later"})), 200);
    assert_eq!(put(&service, "import", json!({"name": "Importers"})), 200);
    service.restart(|_| ());
    let keys = ["id", "name", "group", "reported_name", "reported_group", "note", "in_directory"];
    let listed = |service: &Service| Value::from(column(&service.json("/api/v1/consumers"), "rows", &keys));
    assert_eq!(
        listed(&service),
        json!([
            ["acme", "Acme Inc.", "platinum", "Acme Inc.", "gold", "renews in May", true],
            ["globex", null, "gold", null, "gold", null, false],
            ["initech", "Initech", null, null, null, null, true],
        ])
    );
    let by_group = service.json(&format!("/api/v1/summary?{DAY}&group_by=group"));
    let mut groups = column(&by_group, "rows", &["group", "requests"]);
    groups.sort_by_key(Value::to_string);
    assert_eq!(groups, [json!(["", 2]), json!(["gold", 1]), json!(["platinum", 1])]);
    let of = |query: &str| {
        column(&service.json(&format!("/api/v1/{query}")), "rows", &["consumer", "consumer_name"])
    };
    assert_eq!(
        of(&format!("summary?{DAY}&group=platinum&group_by=consumer")),
        [json!(["acme", "Acme Inc."])]
    );
    assert_eq!(of(&format!("requests?{DAY}&consumer=initech")), [json!(["initech", "Initech"])]);
    assert_eq!(of(&format!("requests?{DAY}&group=platinum")), [json!(["acme", "Acme Inc."])]);
    let ids = column(&service.json("/api/v1/directory"), "rows", &["id"]);
    assert_eq!(ids, [json!(["a/b c"]), json!(["acme"]), json!(["import"]), json!(["initech"])]);
    let first = service.json("/api/v1/directory?limit=3");
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        column(&service.json(&format!("/api/v1/directory?cursor={next}")), "rows", &["id"]),
        [json!(["initech"])]
    );

    let remove = |id: &str| service.send_any("delete", &format!("/api/v1/consumers/{id}"), &[]).status;
    assert_eq!(["acme", "acme", "import", "a%2Fb%20c"].map(remove), [200, 404, 200, 200]);
    assert_eq!(listed(&service)[0], json!(["acme", "Acme Inc.", "gold", "Acme Inc.", "gold", null, false]));
}

#[test]
fn wrong_entries_are_refused_with_their_field() {
    let service = Service::start();
    for (id, body, status, field) in [
        ("acme", json!({"name": "x".repeat(65)}), 422, "name"),
        ("acme", json!({"note": "a\nb"}), 422, "note"),
        ("acme", json!({}), 422, "name"),
        ("anonymous", json!({"name": "A"}), 422, "id"),
    ] {
        let answer = service.put(&format!("/api/v1/consumers/{id}"), &body.to_string());
        let found: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &found["error"]["field"]), (status, &json!(field)), "{body}");
    }
    assert_eq!(service.put("/api/v1/consumers/acme", r#"{"nmae": "A"}"#).status, 422);
    assert_eq!(service.json("/api/v1/directory")["rows"], json!([]));
}

#[test]
fn a_table_is_shown_before_it_changes_anything() {
    let service = Service::start();
    assert_eq!(service.put("/api/v1/consumers/acme", r#"{"name": "Acme", "group": "gold"}"#).status, 200);
    assert_eq!(service.put("/api/v1/consumers/globex", r#"{"name": "Globex"}"#).status, 200);
    let csv = "id,name,group\nacme,Acme Inc.,gold\nglobex,Globex,\n'=new,New,'-silver\n";
    let (status, preview) = import(&service, csv, false);
    let counts = |found: &Value| {
        ["applied", "added", "changed", "unchanged", "errors_total"].map(|key| found[key].clone())
    };
    assert_eq!((status, counts(&preview)), (200, [json!(false), json!(1), json!(1), json!(1), json!(0)]));
    let details = |name: &str, group: &str| json!({"name": name, "group": group, "note": ""});
    assert_eq!(
        preview["changes"],
        json!([
            {"line": 2, "id": "acme", "before": details("Acme", "gold"), "after": details("Acme Inc.", "gold")},
            {"line": 4, "id": "=new", "before": null, "after": details("New", "-silver")},
        ])
    );
    let names = || column(&service.json("/api/v1/directory"), "rows", &["id", "name"]);
    assert_eq!(names(), [json!(["acme", "Acme"]), json!(["globex", "Globex"])]);

    let wrong = format!("{csv},Nobody,\nacme,Twice,\n");
    let (status, preview) = import(&service, &wrong, false);
    let lines: Vec<_> = preview["errors"].as_array().unwrap().iter().map(|error| &error["line"]).collect();
    assert_eq!((status, lines), (200, vec![&json!(5), &json!(6)]));
    let (status, refused) = import(&service, &wrong, true);
    assert_eq!(
        (status, &refused["error"]["line"], &refused["error"]["field"]),
        (422, &json!(5), &json!("csv"))
    );
    assert_eq!(names().len(), 2);

    let (status, done) = import(&service, csv, true);
    assert_eq!((status, counts(&done)), (200, [json!(true), json!(1), json!(1), json!(1), json!(0)]));
    assert_eq!(names(), [json!(["=new", "New"]), json!(["acme", "Acme Inc."]), json!(["globex", "Globex"])]);
    let (_, again) = import(&service, csv, false);
    assert_eq!(counts(&again), [json!(false), json!(0), json!(0), json!(3), json!(0)]);
}
