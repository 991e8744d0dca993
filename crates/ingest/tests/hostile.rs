//! Bodies that are random, cut or flipped in a bit are read or refused, and never the end of the decoder.

use crate::support::otlp::{Frame, NOON, int, list, log, made, sum, text};
use crate::support::{PROTOBUF, Service};
use gatelens_ingest::fuzzing;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

const LOG_JSON: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
    "scopeLogs":[{"logRecords":[{"timeUnixNano":"1781956800000000000","traceId":"5b8efff798038103d269b633813fc60c",
    "attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"x","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}]}]}]}"#;
const METRIC_JSON: &str = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"http.server.request.duration",
    "exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1","count":"3","scale":-3,"sum":0.5,
    "zeroCount":"1","positive":{"offset":2,"bucketCounts":["1","1"]}}]}}]}]}]}"#;

/// Whole exports of each kind.
fn exports() -> Vec<Vec<u8>> {
    let requests = [made("/a", 200, 0.1), made("/b", 0, 2.0), made("/c", 404, 0.0)];
    let rule = |name| (vec![text("gatelens.redaction.rule", name)], 3);
    let fate =
        |message, fate| (vec![text("gatelens.body.message", message), text("gatelens.body.fate", fate)], 5);
    let own = vec![
        sum("gatelens.redaction.hits", vec![rule("keys:a"), rule("request_body:$.a")], NOON),
        sum("gatelens.bodies", vec![fate("request", "captured"), fate("response", "too_large")], NOON),
    ];
    let mut captured = log(&requests.clone().map(|request| (NOON, request)));
    for record in &mut captured.resource_logs[0].scope_logs[0].log_records {
        record.attributes.extend([
            list("http.request.header.x-tag", &["a", "b"]),
            list("http.response.header.content-type", &["application/json"]),
            text("gatelens.request.body.content", r#"{"a": "[CLIENT_REDACTED]"}"#),
            text("gatelens.response.body.omitted", "too_large"),
            int("rpc.grpc.status_code", 5),
        ]);
    }
    vec![
        Frame::at(NOON).of(&requests).encode_to_vec(),
        Frame::at(NOON).export(own).encode_to_vec(),
        captured.encode_to_vec(),
        LOG_JSON.as_bytes().to_vec(),
        METRIC_JSON.as_bytes().to_vec(),
    ]
}

fn read(body: &[u8]) {
    fuzzing::metrics(body);
    fuzzing::logs(body);
    fuzzing::traces(body);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(body in prop::collection::vec(any::<u8>(), 0..2000)) {
        read(&body);
    }

    #[test]
    fn cut_and_flipped_exports(which: Index, cut: Index, flips in prop::collection::vec((any::<Index>(), 0u8..8), 0..8)) {
        let exports = exports();
        let mut body = exports[which.index(exports.len())].clone();
        for (at, bit) in flips {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        }
        read(&body);
        read(&body[..cut.index(body.len() + 1)]);
    }
}

#[test]
fn the_service_outlives_them() {
    let service = Service::start();
    let mut state = 7u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let exports = exports();
    for round in 0..300 {
        let mut body = exports[round % exports.len()].clone();
        let at = next(body.len());
        body[at] ^= 1 << next(8);
        body.truncate(next(body.len()) + 1);
        let path = ["/v1/metrics", "/v1/logs", "/v1/traces"][next(3)];
        let kind = [PROTOBUF, "application/json"][next(2)];
        let status = service.post(path, &[("content-type", kind)], &body).status;
        assert!(matches!(status, 200 | 400 | 413), "{status} for {body:?}");
    }
    assert_eq!(service.get("/healthz").status, 200);
    for path in ["gateways", "requests?from=0&to=4102444800", "summary?from=0&to=4102444800"] {
        service.json(&format!("/api/v1/{path}"));
    }
}
