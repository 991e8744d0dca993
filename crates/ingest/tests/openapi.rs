//! The description of the API and the service itself, each held against the other.

use crate::support::otlp::{
    Frame, NOON, export_logs, gauge, int, list, log, made, record, seconds, sum, text,
};
use crate::support::{Answer, Service};
use gatelens_ingest::{AccessConfig, Limits, NewToken, Role, TokenOwner};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn document(service: &Service) -> Value {
    service.json("/api/v1/openapi.json")
}

/// The names that a message lists.
fn known(message: &Value) -> BTreeSet<String> {
    let message = message["error"]["message"].as_str().unwrap();
    let Some((_, list)) = message.split_once("expected one of ") else {
        assert!(message.contains("takes none"), "{message}");
        return BTreeSet::new();
    };
    list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn body(service: &Service, path: &str) -> Value {
    serde_json::from_slice(&service.get(path).body).unwrap()
}

/// Attributes of a point that counts bodies.
fn fate(message: &str, fate: &str) -> Vec<KeyValue> {
    vec![text("gatelens.body.message", message), text("gatelens.body.fate", fate)]
}

#[test]
fn paths_and_parameters_are_those_of_the_service() {
    let service = Service::start();
    let document = document(&service);
    let paths = document["paths"].as_object().unwrap();
    let under_api: BTreeSet<String> =
        paths.keys().filter(|path| path.starts_with("/api/")).cloned().collect();
    assert_eq!(under_api, known(&body(&service, "/api/v1/nothing")));
    for (path, operations) in paths {
        if operations["post"].is_object() {
            assert_eq!(service.post(path, &[], b"").status, 415, "{path}");
            continue;
        }
        if !operations["get"].is_object() {
            assert_eq!(service.get(path).status, 405, "{path}");
            continue;
        }
        let parameters = || {
            let all = operations["get"]["parameters"].as_array().unwrap().iter();
            all.map(|parameter| resolve(&document, parameter)).filter(|parameter| parameter["in"] == "query")
        };
        let needs_parameters = parameters().any(|parameter| parameter["required"] == true);
        // Nobody signs in at a provider of this service, and nothing has the name that stands in the address.
        let without = if path.starts_with("/auth/") || path.contains('{') { 404 } else { 200 };
        assert_eq!(service.get(path).status, if needs_parameters { 400 } else { without }, "{path}");
        if !under_api.contains(path) {
            continue;
        }
        let described: BTreeSet<String> =
            parameters().map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(described, known(&body(&service, &format!("{path}?no-such-parameter=1"))), "{path}");
    }
}

#[test]
fn bounds_of_parameters_are_those_of_the_service() {
    let service = Service::start();
    let document = document(&service);
    for (path, name, component) in [
        ("/api/v1/timeseries", "step", "step"),
        ("/api/v1/latencies", "step", "latency_step"),
        ("/api/v1/requests", "limit", "limit"),
        ("/api/v1/consumers", "limit", "limit"),
        ("/api/v1/patterns", "limit", "limit"),
        ("/api/v1/releases", "limit", "limit"),
        ("/api/v1/directory", "limit", "limit"),
        ("/api/v1/uptime", "limit", "limit"),
        ("/api/v1/drift", "limit", "limit"),
        ("/api/v1/shapes", "limit", "limit"),
        ("/api/v1/gateways", "limit", "gateways_limit"),
        ("/api/v1/summary", "limit", "summary_limit"),
    ] {
        let schema = &document["components"]["parameters"][component]["schema"];
        let (least, most) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
        let unit = schema["multipleOf"].as_i64().unwrap_or(1);
        let ask = |value: i64| service.get(&format!("{path}?{name}={value}")).status;
        assert_eq!([least - unit, least, most, most + unit].map(ask), [400, 200, 200, 400], "{name}");
    }
}

#[test]
fn answers_are_as_described() {
    let service = Service::start();
    let mut frame = Frame::at(NOON).of(&[made("/a", 200, 0.1), made("/b", 0, 2.0)]);
    let metrics = &mut frame.resource_metrics[0].scope_metrics[0].metrics;
    metrics.extend([gauge("gatelens.queue.size", 5, NOON), seconds("gatelens.interval", 600.0, NOON)]);
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &frame).accepted();
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &log(&[(NOON, made("/a", 200, 0.1))])).accepted();
    let own = vec![
        sum("gatelens.redaction.hits", vec![(vec![text("gatelens.redaction.rule", "keys:a")], 0)], NOON),
        sum("gatelens.bodies", vec![(fate("request", "captured"), 1), (fate("response", "grpc"), 2)], NOON),
    ];
    service.send("/v1/metrics", Some(("edge-1", 1, 2)), &Frame::at(NOON).export(own)).accepted();
    let mut full = record(NOON + 1, &made("/a", 200, 0.1));
    full.attributes.extend([
        list("http.request.header.x-tag", &["a", "b"]),
        list("http.response.header.content-type", &["application/json"]),
        text("gatelens.request.body.content", "{}"),
        text("gatelens.response.body.omitted", "too_large"),
        int("rpc.grpc.status_code", 5),
    ]);
    service.send("/v1/logs", Some(("edge-1", 1, 2)), &export_logs(vec![full])).accepted();
    // The least that a record can say.
    let bare =
        LogRecord { event_name: "gatelens.request".to_owned(), time_unix_nano: NOON, ..Default::default() };
    service.send("/v1/logs", Some(("edge-2", 1, 1)), &export_logs(vec![bare])).accepted();
    assert_eq!(service.put("/api/v1/consumers/acme", r#"{"name": "Acme"}"#).status, 200);
    let document = document(&service);
    let all = "service,environment,version,direction,consumer,method,route,host,upstream_cluster,status,grpc_status,\
         error_type,gateway";
    for (path, query, rows) in [
        ("/api/v1/summary", format!("{DAY}&group_by={all}"), 2),
        ("/api/v1/summary", DAY.to_owned(), 1),
        ("/api/v1/timeseries", format!("{DAY}&group_by={all}"), 2),
        ("/api/v1/timeseries", format!("{DAY}&step=3600"), 24),
        ("/api/v1/summary", format!("{DAY}&group_by={all}&compare=day"), 2),
        ("/api/v1/timeseries", format!("{DAY}&step=3600&compare=previous"), 24),
        ("/api/v1/latencies", DAY.to_owned(), 48),
        ("/api/v1/requests", format!("{DAY}&limit=1"), 1),
        ("/api/v1/requests", DAY.to_owned(), 3),
        ("/api/v1/gateways", String::new(), 2),
        ("/api/v1/consumers", String::new(), 1),
        ("/api/v1/patterns", String::new(), 0),
        ("/api/v1/directory", String::new(), 1),
        ("/api/v1/uptime", "group_by=gateway&step=3600&from=-2h".to_owned(), 1),
        ("/api/v1/releases", "kind=configuration".to_owned(), 1),
        ("/api/v1/drift", String::new(), 0),
        ("/api/v1/shapes", "method=post".to_owned(), 0),
        ("/api/v1/alerts", String::new(), 0),
        ("/api/v1/alerts/deliveries", "limit=5".to_owned(), 0),
        ("/api/v1/alerts/history", format!("rule=errors&limit=5&{DAY}"), 0),
        ("/healthz", String::new(), 0),
        ("/api/v1/summary", "form=1".to_owned(), 0),
        ("/api/v1/requests", "cursor=x".to_owned(), 0),
    ] {
        let answer = service.get(&format!("{path}?{query}"));
        let status = answer.status.to_string();
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let content = &document["paths"][path]["get"]["responses"][&status]["content"];
        let found =
            ["rows", "points", "columns"].iter().find_map(|key| value[key].as_array()).map_or(0, Vec::len);
        assert_eq!(found, rows, "{path}?{query}");
        validate(&document, &content["application/json"]["schema"], &value, path);
    }
}

/// Each path with a method that it has, and a value for its parameter.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            all.push((path.replace("{name}", "errors"), method.clone(), operation));
        }
    }
    all
}

/// Asserts that an operation describes this answer. Those to senders are messages of OTLP.
fn is_described(document: &Value, (path, method, operation): &(String, String, &Value), answer: &Answer) {
    let status = answer.status.to_string();
    let at = format!("{method} {path}: {status}");
    let described = resolve(document, &operation["responses"][&status]);
    assert!(described["description"].is_string(), "{at} is not described");
    if answer.header("content-type").starts_with("text/html") {
        assert!(described["content"]["text/html"].is_object(), "{at} is not described as a page");
    } else if !path.starts_with("/v1/") {
        let value = serde_json::from_slice(&answer.body).unwrap();
        validate(document, &described["content"]["application/json"]["schema"], &value, &at);
    }
}

/// The layers before the handlers refuse in the same way on every path.
#[test]
fn refusals_of_every_path_are_described() {
    let service = Service::start();
    let document = document(&service);
    let all = operations(&document);
    assert!(all.len() >= 30, "{}", all.len());
    for operation in &all {
        let (path, method, _) = operation;
        let answer = service.send_any(method, path, &[("host", "rebound.example.com")]);
        assert_eq!(answer.status, 421, "{method} {path}");
        is_described(&document, operation, &answer);
    }
    // A bucket holds ten requests and gets one a second, so that some request is refused.
    let hasty = Limits { sender_requests_per_second: 1, reader_requests_per_second: 1, ..Limits::default() };
    let crowded = Limits { visitors: 0, ..Limits::default() };
    let busy = Service::with(hasty);
    let crowded = Service::with(crowded);
    for operation in all.iter().filter(|(path, ..)| path != "/healthz") {
        let (path, method, _) = operation;
        let refused = (0..1_000)
            .find_map(|_| Some(busy.send_any(method, path, &[])).filter(|answer| answer.status == 429));
        is_described(&document, operation, &refused.unwrap());
        if !path.starts_with("/v1/") {
            let answer = crowded.send_any(method, path, &[]);
            assert_eq!(answer.status, 503, "{method} {path}");
            is_described(&document, operation, &answer);
        }
    }
}

/// Without a name, with a role that is too low, and without the header that no other site can send.
#[test]
fn refusals_of_people_are_described() {
    let dir = tempfile::tempdir().unwrap();
    let viewer = NewToken::new("ci", TokenOwner::Person { role: Role::Viewer }).unwrap();
    let [users, tokens] = ["users.yaml", "tokens.yaml"].map(|name| dir.path().join(name));
    std::fs::write(&users, format!("{}\n", viewer.line)).unwrap();
    std::fs::write(&tokens, "").unwrap();
    let access = AccessConfig { users: Some(users), sender_tokens: Some(tokens), ..AccessConfig::default() };
    let service = Service::guarded(Limits::default(), access);
    let document = document(&service);
    let bearer = format!("Bearer {}", viewer.token);
    let mut found = BTreeSet::new();
    for operation in &operations(&document) {
        let (path, method, _) = operation;
        for headers in [&[][..], &[("authorization", &*bearer)]] {
            let answer = service.send_any(method, path, headers);
            if answer.status >= 300 {
                is_described(&document, operation, &answer);
                found.insert(answer.status);
            }
        }
    }
    assert!(found.contains(&401) && found.contains(&403), "{found:?}");
}

/// A status that nobody described is found here, whichever question it answers.
#[test]
fn answers_to_wrong_questions_are_described() {
    let service = Service::start();
    let document = document(&service);
    for operation in &operations(&document) {
        let (path, method, _) = operation;
        let mut answers = vec![service.send_any(method, &format!("{path}?no-such-parameter=1"), &[])];
        if method == "post" || method == "put" {
            let json = ("content-type", "application/json");
            for body in ["", "{", "{}", "[1]"] {
                answers.push(match method.as_str() {
                    "post" => service.post(path, &[json], body.as_bytes()),
                    _ => service.put(path, body),
                });
            }
            answers.push(service.send_any(method, path, &[("origin", "https://other.example.com")]));
        }
        for answer in answers.into_iter().filter(|answer| answer.status >= 300) {
            is_described(&document, operation, &answer);
        }
    }
}

#[test]
fn a_preview_is_as_described() {
    let service = Service::start();
    let document = document(&service);
    let operation = &document["paths"]["/api/v1/redact"]["post"];
    let schema = |content: &Value| content["content"]["application/json"]["schema"].clone();
    let config = r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"request_body": ["$.a", "$.b"]}}"#;
    for (question, status) in [
        (json!({"config": config, "body": r#"{"a": 1}"#}), 200),
        (json!({"config": config, "body": "x", "direction": "response", "content_type": "text/plain"}), 200),
        (json!({"config": config, "body": "{", "content_encoding": "gzip"}), 200),
        (json!({"config": "{", "body": ""}), 422),
        (json!({"body": ""}), 400),
    ] {
        let sent = question.to_string();
        let answer = service.post("/api/v1/redact", &[("content-type", "application/json")], sent.as_bytes());
        assert_eq!(answer.status, status, "{question}: {}", answer.text());
        if status != 400 {
            validate(&document, &schema(&operation["requestBody"]), &question, "question");
        }
        let value = serde_json::from_slice(&answer.body).unwrap();
        validate(&document, &schema(&operation["responses"][status.to_string()]), &value, "answer");
    }
}

#[test]
fn a_trial_of_a_rule_is_as_described() {
    let service = Service::start();
    let document = document(&service);
    let operation = &document["paths"]["/api/v1/alerts/try"]["post"];
    let schema = |content: &Value| content["content"]["application/json"]["schema"].clone();
    for (question, status) in [
        (json!({"rule": {"name": "mine", "measure": "p95_ms", "above": 200}, "days": 2}), 200),
        (json!({"rule": {"name": "mine", "measure": "disk_percent", "above": 90}, "days": 2}), 422),
    ] {
        let sent = question.to_string();
        let answer =
            service.post("/api/v1/alerts/try", &[("content-type", "application/json")], sent.as_bytes());
        assert_eq!(answer.status, status, "{question}: {}", answer.text());
        validate(&document, &schema(&operation["requestBody"]), &question, "question");
        let value = serde_json::from_slice(&answer.body).unwrap();
        validate(&document, &schema(&operation["responses"][status.to_string()]), &value, "answer");
    }
}

#[test]
fn the_validator_itself_refuses_wrong_values() {
    let schema = json!({"type": "object", "properties": {"a": {"type": ["integer", "null"], "minimum": 0}},
        "required": ["a"], "additionalProperties": false});
    let holds =
        |value: Value| std::panic::catch_unwind(|| validate(&Value::Null, &schema, &value, "")).is_ok();
    let values = [
        json!({"a": 1}),
        json!({"a": null}),
        json!({}),
        json!({"a": "1"}),
        json!({"a": -1}),
        json!({"a": 1, "b": 2}),
    ];
    assert_eq!(values.map(holds), [true, true, false, false, false, false]);
}

/// Asserts that a value is as a schema has it. A keyword that is not known here fails, so that none is passed over.
fn validate(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(document, schema);
    assert!(schema.is_object(), "{at} has no schema");
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "type" => {
                let types = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                assert!(types.iter().any(|wanted| is_a(value, wanted)), "{at}: {value} is no {wanted}");
            }
            "enum" => {
                assert!(wanted.as_array().unwrap().contains(value), "{at}: {value} is none of {wanted}")
            }
            "minimum" => {
                assert!(value.as_f64().is_none_or(|n| n >= wanted.as_f64().unwrap()), "{at}: {value}")
            }
            "maximum" => {
                assert!(value.as_f64().is_none_or(|n| n <= wanted.as_f64().unwrap()), "{at}: {value}")
            }
            "format" => {
                assert_eq!(wanted, "date-time");
                // The keyword is about texts only.
                assert!(
                    value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok()),
                    "{at}: {value}"
                );
            }
            "pattern" => {
                let len = match wanted.as_str().unwrap() {
                    "^[0-9a-f]{32}$" => 32,
                    "^[0-9a-f]{16}$" => 16,
                    other => panic!("{other} is not known here"),
                };
                assert!(
                    value
                        .as_str()
                        .is_none_or(|id| id.len() == len && id.bytes().all(|b| b.is_ascii_hexdigit()))
                );
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(document, wanted, item, &format!("{at}[{index}]"));
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        validate(document, schema, value, &format!("{at}.{name}"));
                    }
                }
            }
            "required" => {
                for name in wanted.as_array().into_iter().flatten().filter(|_| value.is_object()) {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at} lacks {name}");
                }
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let known = schema["properties"].get(name).is_some();
                    assert!(known || wanted != &json!(false), "{at}.{name} is not described");
                    if !known && wanted.is_object() {
                        validate(document, wanted, value, &format!("{at}.{name}"));
                    }
                }
            }
            "description" | "default" => {}
            other => panic!("{at}: the keyword {other} is not known here"),
        }
    }
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is not a type"),
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}
