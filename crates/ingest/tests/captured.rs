//! Headers and bodies in the request log, and what gateways say of their redaction.

use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, NOON, attribute, export_logs, int, list, made, record, sum, text};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prost::Message;
use serde_json::{Value, json};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

/// A log of one request with these attributes beside the usual ones.
fn with(attributes: Vec<KeyValue>) -> ExportLogsServiceRequest {
    let mut record = record(NOON, &made("/", 200, 0.1));
    record.attributes.extend(attributes);
    export_logs(vec![record])
}

/// The row of the one request that was sent.
fn shown(service: &Service) -> Value {
    let rows = service.json(&format!("/api/v1/requests?{DAY}"))["rows"].clone();
    let all = [
        "query",
        "grpc_status",
        "request_headers",
        "response_headers",
        "request_body",
        "request_body_omitted",
        "response_body",
        "response_body_omitted",
    ];
    assert_eq!(rows.as_array().unwrap().len(), 1);
    all.iter().filter(|key| !rows[0][key].is_null()).map(|key| (*key, rows[0][key].clone())).collect()
}

#[test]
fn captured_headers_and_bodies_are_shown() {
    let check = |attributes: Vec<KeyValue>, expected: Value| {
        let mut service = Service::start();
        service.send("/v1/logs", Some(("edge-1", 1, 1)), &with(attributes)).accepted();
        assert_eq!(shown(&service), expected);
        service.restart(|_| ());
        assert_eq!(shown(&service), expected, "after a restart");
    };
    check(vec![], json!({}));
    let body = "{\"pwd\": \"[CLIENT_REDACTED]\", \"é\u{0}\u{1f600}\": \"\\n\"}";
    check(
        vec![
            text("url.query", "a=1&token=[CLIENT_REDACTED]"),
            text("rpc.response.status_code", "OK"),
            list("http.request.header.x-tag", &["a", "b", ""]),
            list("http.request.header.host", &["example.com"]),
            list("http.response.header.content-type", &["application/json"]),
            text("gatelens.request.body.content", body),
            text("gatelens.response.body.omitted", "too_large"),
        ],
        json!({
            "query": "a=1&token=[CLIENT_REDACTED]", "grpc_status": 0,
            "request_headers": {"x-tag": ["a", "b", ""], "host": ["example.com"]},
            "response_headers": {"content-type": ["application/json"]},
            "request_body": body, "response_body_omitted": "too_large",
        }),
    );
    let long = "x".repeat(2 << 20);
    check(
        vec![
            text("url.query", &long),
            text("http.request.header.a", "one value"),
            text("gatelens.response.body.content", &long),
            text("gatelens.request.body.content", ""),
        ],
        json!({"query": &long[..4096], "request_headers": {"a": ["one value"]}, "response_body": long, "request_body": ""}),
    );
}

#[test]
fn odd_attributes_do_no_harm() {
    let nested = |depth: usize| {
        (0..depth).fold(any_value::Value::BoolValue(true), |inner, _| {
            any_value::Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(inner) }] })
        })
    };
    let map = any_value::Value::KvlistValue(KeyValueList { values: vec![text("a", "b")] });
    let twice = KeyValue { value: None, ..text("http.request.header.none", "") };
    let check = |attributes: Vec<KeyValue>, expected: Value| {
        let service = Service::start();
        service.send("/v1/logs", None, &with(attributes)).accepted();
        assert_eq!(shown(&service), expected);
    };
    check(
        vec![
            int("http.request.header.number", 7),
            attribute("http.request.header.map", map.clone()),
            attribute("http.request.header.deep", nested(40)),
            attribute("http.request.header.bytes", any_value::Value::BytesValue(vec![0xff, 0])),
            list("http.request.header.empty", &[]),
            twice,
            text("http.request.header.", "no name"),
            text("http.request.header", "no header"),
            attribute("gatelens.request.body.content", map),
            int("gatelens.request.body.omitted", 1),
            list("gatelens.response.body.content", &["{}"]),
            text("gatelens.response.body.omitted", ""),
            int("rpc.grpc.status_code", -1),
            list("url.query", &["a=1"]),
        ],
        json!({}),
    );
    check(
        vec![
            list("http.request.header.x-tag", &["a"]),
            text("http.request.header.X-Tag", "b"),
            list("http.request.header.x-tag", &["c"]),
            text("gatelens.request.body.content", "{}"),
            text("gatelens.request.body.content", "[]"),
            text("gatelens.request.body.omitted", "grpc"),
            text("rpc.grpc.status_code", "14"),
        ],
        json!({"request_headers": {"x-tag": ["a", "b", "c"]}, "request_body": "{}", "grpc_status": 14}),
    );
    let many = vec!["v"; 1_900];
    check(vec![list("http.response.header.x", &many)], json!({"response_headers": {"x": vec!["v"; 200]}}));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let service = Service::start();
    for key in
        ["http.request.header.x-odd", "gatelens.request.body.content", "gatelens.response.body.omitted"]
    {
        let mut body = with(vec![text(key, "@@@@")]).encode_to_vec();
        let at = body.windows(4).position(|bytes| bytes == b"@@@@").unwrap();
        body[at..at + 4].copy_from_slice(&[0xc3, 0x28, 0xff, 0xfe]);
        let answer = service.post("/v1/logs", &[("content-type", "application/x-protobuf")], &body);
        assert_eq!(answer.status, 400, "{key}");
    }
    assert_eq!(service.json(&format!("/api/v1/requests?{DAY}"))["rows"], json!([]));
}

fn hits(rules: &[(&str, i64)], time: u64) -> Metric {
    let points = rules.iter().map(|(rule, hits)| (vec![text("gatelens.redaction.rule", rule)], *hits));
    sum("gatelens.redaction.hits", points.collect(), time)
}

fn bodies(fates: &[(&str, &str, i64)], time: u64) -> Metric {
    let points = fates.iter().map(|(message, fate, bodies)| {
        (vec![text("gatelens.body.message", message), text("gatelens.body.fate", fate)], *bodies)
    });
    sum("gatelens.bodies", points.collect(), time)
}

#[test]
fn the_latest_redaction_report_is_shown() {
    let mut service = Service::start();
    let mut sequence = 0;
    let mut check = |metrics: Vec<Metric>, expected: Value| {
        sequence += 1;
        service
            .send("/v1/metrics", Some(("edge-1", 1, sequence)), &Frame::default().export(metrics))
            .accepted();
        assert_eq!(service.json("/api/v1/gateways")["rows"][0]["redaction"], expected);
        service.restart(|_| ());
        assert_eq!(service.json("/api/v1/gateways")["rows"][0]["redaction"], expected, "after a restart");
    };
    let none = json!({"captured": 0, "omitted": {}});
    let neither = json!({"request": none, "response": none});
    check(vec![], Value::Null);
    check(
        vec![hits(&[("request_body:$.b", 0), ("default:token", 3)], NOON)],
        json!({"rules": [{"rule": "request_body:$.b", "hits": 0}, {"rule": "default:token", "hits": 3}], "bodies": neither}),
    );
    let rules = json!([{"rule": "keys:a", "hits": 9}]);
    let counted = json!({"request": {"captured": 10, "omitted": {"too_large": 1}}, "response": none});
    check(
        vec![
            hits(&[("keys:a", 9)], NOON + MINUTE),
            bodies(&[("request", "captured", 10), ("request", "too_large", 1)], NOON + MINUTE),
        ],
        json!({"rules": rules, "bodies": counted}),
    );
    check(vec![], json!({"rules": rules, "bodies": counted}));
    // One that was overtaken on its way.
    check(
        vec![hits(&[("keys:z", 1)], NOON), bodies(&[("request", "captured", 1)], NOON)],
        json!({"rules": rules, "bodies": counted}),
    );
    let later = json!({"request": none, "response": {"captured": 0, "omitted": {"grpc": 2}}});
    check(
        vec![bodies(&[("response", "grpc", 2)], NOON + 2 * MINUTE)],
        json!({"rules": rules, "bodies": later}),
    );
    check(vec![hits(&[], 0)], json!({"rules": [], "bodies": later}));
}

#[test]
fn redaction_is_kept_by_gateway_and_epoch() {
    let service = Service::start();
    for (instance, epoch, number) in [("edge-1", 1, 1), ("edge-1", 2, 2), ("edge-2", 1, 3)] {
        let frame = Frame::default().export(vec![hits(&[("keys:a", number)], NOON)]);
        service.send("/v1/metrics", Some((instance, epoch, 1)), &frame).accepted();
    }
    let rows = service.json("/api/v1/gateways")["rows"].clone();
    let mut found: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["instance"].as_str(), row["redaction"]["rules"][0]["hits"].as_u64()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(Some("edge-1"), Some(1)), (Some("edge-1"), Some(2)), (Some("edge-2"), Some(3))]);
}

#[test]
fn a_record_with_attributes_without_end_is_rejected_and_the_others_are_stored() {
    let service = Service::start();
    let many = vec!["v"; 300_000];
    let mut batch = with(vec![list("http.response.header.x", &many)]);
    let other = with(vec![text("url.path", "/other")]).resource_logs.remove(0);
    batch.resource_logs.push(other);
    let answer = service.send("/v1/logs", None, &batch);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("a record or point may have 2,000 attributes"), "{:?}", answer.text());
    let rows = service.json("/api/v1/requests?from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z");
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1, "{rows}");
}
