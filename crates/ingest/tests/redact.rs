//! `POST /api/v1/redact`: the filter's own redaction, asked by a person.

use crate::support::{Answer, Service};
use flate2::Compression;
use flate2::write::GzEncoder;
use gatelens_ingest::Limits;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"{"version": 1, "ingest": {"cluster": "c"},
  "redact": {"request_body": ["$.user.email", "$.never"], "response_body": ["$.total"], "keys": ["passport_no"],
    "query": ["voucher_*"]}}"#;

fn ask(service: &Service, question: &Value) -> (u16, Value) {
    let answer = post(service, question.to_string().as_bytes());
    assert_eq!(
        (answer.header("content-type"), answer.header("cache-control")),
        ("application/json", "no-store")
    );
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn post(service: &Service, body: &[u8]) -> Answer {
    service.post("/api/v1/redact", &[("content-type", "application/json; charset=utf-8")], body)
}

#[test]
fn a_preview_shows_the_body_that_would_be_sent() {
    let service = Service::start();
    let check = |question: Value, expected: Value| {
        let mut question = question;
        question["config"] = CONFIG.into();
        assert_eq!(ask(&service, &question), (200, expected), "{question}");
    };
    check(
        json!({"body": r#"{"user": {"email": "a"}, "total": 1.50, "apiKey": 7}"#}),
        json!({"size": 52, "body": r#"{"user": {"email": "[CLIENT_REDACTED]"}, "total": 1.50, "apiKey": "[CLIENT_REDACTED]"}"#,
            "left_out": null, "hits": {"default:api_key": 1, "request_body:$.user.email": 1},
            "never": ["keys:passport_no", "request_body:$.never"]}),
    );
    check(
        json!({"body": r#"{"total": 1}"#, "direction": "response"}),
        json!({"size": 12, "body": r#"{"total": "[CLIENT_REDACTED]"}"#, "left_out": null,
            "hits": {"response_body:$.total": 1}, "never": ["keys:passport_no"]}),
    );
    let none = json!(["keys:passport_no", "request_body:$.user.email", "request_body:$.never"]);
    let left_out = |size: u64, why: &str| json!({"size": size, "body": null, "left_out": why, "hits": {}, "never": none});
    check(json!({"body": r#"{"a""#}), left_out(4, "truncated"));
    check(json!({"body": "{}", "content_type": "image/png"}), left_out(2, "unsupported_media_type"));
    check(json!({"body": "{}", "content_encoding": "br"}), left_out(2, "unknown_encoding"));
    check(json!({"body": "{\"a\": [1, 2, 3]}", "content_encoding": "gzip"}), left_out(16, "malformed"));
    check(json!({"body": "x".repeat(50_001)}), left_out(50_001, "too_large"));
    check(json!({"body": "[".repeat(1000)}), left_out(1000, "too_deep"));
    check(json!({"body": "{}", "content_type": "a/b\r\nx: y\u{0}"}), left_out(2, "unsupported_media_type"));
    check(
        json!({"body": "voucher_id=1&b=2", "content_type": "application/x-www-form-urlencoded"}),
        json!({"size": 16, "body": "voucher_id=[CLIENT_REDACTED]&b=2", "left_out": null,
            "hits": {"query:voucher_*": 1}, "never": none}),
    );
}

#[test]
fn a_refused_configuration_is_answered_with_its_place() {
    let service = Service::start();
    let check = |config: &str, message: &str, line: u64, column: u64| {
        let (status, answer) = ask(&service, &json!({"config": config, "body": "{}"}));
        let error = &answer["error"];
        let found = (status, &error["code"], &error["field"]);
        assert_eq!(found, (422, &json!("invalid_configuration"), &json!("config")), "{answer}");
        assert_eq!((&error["line"], &error["column"]), (&json!(line), &json!(column)), "{answer}");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{answer}");
    };
    let with =
        |section: &str| format!("{{\"version\": 1, \"ingest\": {{\"cluster\": \"c\"}},\n  {section}}}");
    check("", "the plugin configuration is empty", 1, 1);
    check("{", "EOF while parsing", 1, 1);
    check(r#"{"version": 1}"#, "the key `ingest` is missing", 1, 14);
    check(&with(r#""redact": {"heders": []}"#), "redact.heders: unknown key `heders`; did you mean", 2, 14);
    check(
        &with(r#""redact": {"request_body": ["$.a", "user.email"]}"#),
        "redact.request_body[1]: a path begins with `$`: `$.user.email`",
        2,
        38,
    );
    check(&with(r#""capture": {"max_body_bytes": 0}"#), "capture.max_body_bytes: 0 is not between", 2, 15);
    check(&"[".repeat(100_000), "", 1, 2);
}

#[test]
fn wrong_questions_are_answered_with_what_was_meant() {
    let service = Service::start();
    let check = |question: &str, field: Value, words: &str| {
        let answer = post(&service, question.as_bytes());
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &field), "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(words), "{body}");
        assert!(body["error"].get("line").is_none(), "{body}");
    };
    check("", Value::Null, "not a JSON object");
    check("[]", Value::Null, "not a JSON object");
    check("{\"config\": \"\u{0}", Value::Null, "not a JSON object");
    check(&"[".repeat(1 << 20), Value::Null, "not a JSON object");
    check("{}", json!("config"), "config is missing");
    check(r#"{"config": {}}"#, json!("config"), "must be a string");
    check(r#"{"config": ""}"#, json!("body"), "body is missing");
    check(r#"{"config": "", "body": null}"#, json!("body"), "must be a string");
    check(r#"{"config": "", "body": "", "direction": "in"}"#, json!("direction"), "request or response");
    check(r#"{"config": "", "body": "", "direction": 1}"#, json!("direction"), "must be a string");
    check(r#"{"config": "", "body": "", "directon": ""}"#, json!("directon"), "did you mean direction?");
    check(r#"{"config": "", "body": "", "x": ""}"#, json!("x"), "expected one of config, direction");
    let mut bytes = br#"{"config": "", "body": "@"}"#.to_vec();
    let at = bytes.iter().position(|byte| *byte == b'@').unwrap();
    bytes[at] = 0xff;
    let answer = post(&service, &bytes);
    assert_eq!(answer.status, 400, "{}", answer.text());
}

/// Headers and body of a question; status and code of the answer.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[test]
fn other_bodies_and_methods_are_refused() {
    let service = Service::with(Limits { preview_bytes: 10_000, ..Limits::default() });
    let good = json!({"config": CONFIG, "body": "{}"}).to_string();
    let zip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let typed = ("content-type", "application/json");
    let zipped = ("content-encoding", "gzip");
    let large = json!({"config": CONFIG, "body": "x".repeat(10_000)}).to_string();
    let cases: [Case<'_>; 9] = [
        (&[typed], good.as_bytes(), 200, ""),
        (&[typed, zipped], &zip(good.as_bytes()), 200, ""),
        (&[], good.as_bytes(), 415, "unsupported_media_type"),
        (&[("content-type", "text/plain")], good.as_bytes(), 415, "unsupported_media_type"),
        (
            &[("content-type", "application/x-www-form-urlencoded")],
            good.as_bytes(),
            415,
            "unsupported_media_type",
        ),
        (&[typed, ("content-encoding", "br")], good.as_bytes(), 415, "unsupported_media_type"),
        (&[typed], large.as_bytes(), 413, "too_large"),
        (&[typed, zipped], &zip(large.as_bytes()), 413, "too_large"),
        (&[typed, zipped], good.as_bytes(), 400, "malformed"),
    ];
    for (headers, body, status, code) in cases {
        let answer = service.post("/api/v1/redact", headers, body);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status, value["error"]["code"].as_str()),
            (status, (!code.is_empty()).then_some(code))
        );
    }
    assert_eq!(service.post("/api/v1/redact?x=1", &[typed], good.as_bytes()).status, 400);
    let get = service.get("/api/v1/redact");
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    for name in ["access-control-allow-origin", "access-control-allow-headers"] {
        assert_eq!(get.header(name), "", "no other site's page may ask");
    }
}

#[test]
fn more_than_fits_in_memory_is_put_off() {
    let service = Service::with(Limits { memory_bytes: 1000, ..Limits::default() });
    let answer = post(&service, json!({"config": CONFIG, "body": "x".repeat(1000)}).to_string().as_bytes());
    assert_eq!((answer.status, answer.header("retry-after")), (429, "1"), "{}", answer.text());
    let (status, _) = ask(&service, &json!({"config": CONFIG, "body": "{}"}));
    assert_eq!(status, 200);
}

#[test]
fn many_at_a_time_are_all_answered() {
    let service = Service::with(Limits { previews: 1, ..Limits::default() });
    let body = format!("[{}]", vec![r#"{"user": {"email": "a"}, "pwd": [1, 2]}"#; 1000].join(","));
    let question = json!({"config": CONFIG, "body": body});
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&service, &question))).collect();
        for asked in asking {
            let (status, seen) = asked.join().unwrap();
            assert_eq!((status, &seen["hits"]["default:password"]), (200, &json!(1000)));
        }
    });
    // Nothing of it was kept.
    assert_eq!(service.json("/api/v1/gateways"), json!({"rows": []}));
}

#[test]
fn the_worst_rules_end_at_a_deadline_and_leave_their_place() {
    let limits = Limits { previews: 1, preview_timeout: Duration::from_millis(300), ..Limits::default() };
    let service = Service::with(limits);
    // Each rule stays within its own bound of work; together they take minutes.
    let rules: Vec<String> = (0..256)
        .map(|rule| {
            let values: Vec<String> = (0..8).map(|n| format!("@=={}", 1000 * rule + n)).collect();
            format!("$[?{}]", values.join("||"))
        })
        .collect();
    let config = json!({
        "version": 1, "ingest": {"cluster": "a"}, "capture": {"max_body_bytes": 1_048_576},
        "redact": {"request_body": rules},
    });
    let body = format!("[{}1]", "1,".repeat(500_000));
    let ask = |config: &Value, body: &str| {
        let question = json!({"config": config.to_string(), "body": body}).to_string();
        service.post("/api/v1/redact", &[("content-type", "application/json")], question.as_bytes())
    };
    let answer = ask(&config, &body);
    let error = serde_json::from_slice::<Value>(&answer.body).unwrap();
    assert_eq!((answer.status, &error["error"]["code"]), (422, &json!("too_slow")), "{}", answer.text());
    let small = json!({"version": 1, "ingest": {"cluster": "a"}});
    let start = Instant::now();
    // 429 while the place is not free yet.
    while ask(&small, "{}").status == 429 {
        assert!(start.elapsed() < Duration::from_secs(30), "the rules are still evaluated");
    }
    assert_eq!(ask(&small, "{}").status, 200);
}
