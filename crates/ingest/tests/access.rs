//! Who may send and who may read.

use crate::support::otlp::{Frame, NOON, log, made, text};
use crate::support::{Answer, PROTOBUF, Service};
use gatelens_ingest::{AccessConfig, Limits, NewToken, TokenOwner};
use gatelens_testkit::wait;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const ENVIRONMENT: &str = "deployment.environment.name";
const EVER: &str = "from=2026-06-01T00:00:00Z&to=2026-07-01T00:00:00Z";

/// A service that asks senders for tokens, and the file of tokens.
struct Guarded {
    service: Service,
    tokens: PathBuf,
    _dir: TempDir,
}

impl Guarded {
    fn start(lines: &str) -> Self {
        Self::with(lines, Limits::default())
    }

    fn with(lines: &str, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens.yaml");
        fs::write(&tokens, lines).unwrap();
        let access = AccessConfig { sender_tokens: Some(tokens.clone()), ..AccessConfig::default() };
        Self { service: Service::guarded(limits, access), tokens, _dir: dir }
    }

    fn send(&self, authorization: Option<&str>, sequence: u64, message: &impl Message) -> Answer {
        self.send_to("/v1/logs", authorization, sequence, message)
    }

    fn send_to(
        &self,
        path: &str,
        authorization: Option<&str>,
        sequence: u64,
        message: &impl Message,
    ) -> Answer {
        let sequence = sequence.to_string();
        let mut headers = vec![
            ("content-type", PROTOBUF),
            ("x-gatelens-instance", "edge-1"),
            ("x-gatelens-epoch", "00000000000000aa"),
            ("x-gatelens-sequence", &sequence),
        ];
        headers.extend(authorization.map(|value| ("authorization", value)));
        self.service.post(path, &headers, &message.encode_to_vec())
    }

    fn rows(&self) -> usize {
        self.service.json(&format!("/api/v1/requests?{EVER}"))["rows"].as_array().unwrap().len()
    }
}

fn token(name: &str, environment: &str) -> NewToken {
    NewToken::new(name, TokenOwner::Sender { environment }).unwrap()
}

#[test]
fn a_sender_without_a_valid_token_stores_nothing() {
    let valid = token("edge", "*");
    let guarded = Guarded::start(&valid.line);
    let batch = log(&[(NOON, made("/a", 200, 0.1))]);
    let wrong = format!("Bearer {}", token("edge", "*").token);
    let (basic, twice) = (format!("Basic {}", valid.token), format!("Bearer {0} {0}", valid.token));
    for authorization in [None, Some("Bearer"), Some("Bearer "), Some(&*wrong), Some(&*basic), Some(&*twice)]
    {
        let answer = guarded.send(authorization, 1, &batch);
        assert_eq!(answer.status, 401, "{authorization:?}: {}", answer.text());
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"gatelens\"");
        assert!(answer.text().contains("ingest.headers"), "{}", answer.text());
    }
    // Nor may such a sender learn what the paths are called, or what others sent.
    for path in ["/v1/gatelens/route-patterns?service=a&environment=default&direction=inbound", "/v1/nothing"]
    {
        assert_eq!(guarded.service.get(path).status, 401, "{path}");
    }
    assert_eq!(guarded.rows(), 0);
    let metrics = guarded.service.get("/metrics").text();
    assert!(metrics.contains("gatelens_ingest_refusals_total{reason=\"no_sender_token\"} 8"), "{metrics}");
    // The refused sequence number is not used up.
    guarded.send(Some(&format!("bearer {}", valid.token)), 1, &batch).accepted();
    assert_eq!(guarded.rows(), 1);
}

#[test]
fn a_token_reports_for_its_environment_only() {
    let (own, other) = (token("edge", "prod"), token("stage", "stage"));
    let guarded = Guarded::start(&format!("{}\n{}\n", own.line, other.line));
    let (own, other) = (format!("Bearer {}", own.token), format!("Bearer {}", other.token));
    let logs = log(&[(NOON, made("/a", 200, 0.1))]);
    let answer = guarded.send(Some(&other), 1, &logs);
    assert_eq!(answer.status, 403);
    for word in ["\"stage\"", "\"prod\"", "service.environment"] {
        assert!(answer.text().contains(word), "{word}: {}", answer.text());
    }
    let counts = Frame::at(NOON).of(&[made("/a", 200, 0.1)]).encode_to_vec();
    let headers = [("content-type", PROTOBUF), ("authorization", &*other)];
    assert_eq!(guarded.service.post("/v1/metrics", &headers, &counts).status, 403);
    let patterns = "/v1/gatelens/route-patterns?service=a&direction=inbound&environment";
    let ask = |environment: &str| {
        guarded.service.get_with(&format!("{patterns}={environment}"), &[("authorization", &*other)]).status
    };
    assert_eq!((ask("prod"), ask("stage")), (403, 404));
    assert_eq!(guarded.rows(), 0);
    guarded.send(Some(&own), 1, &logs).accepted();
    assert_eq!(guarded.rows(), 1);
    // The operator reads whose token it is.
    let line = r#"gatelens_ingest_sender_refused_total{environment="stage",reason="other_environment",token="stage"} 2"#;
    let metrics = guarded.service.get("/metrics").text();
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    let refused = json!({"other_environment": 2});
    let senders = &guarded.service.json("/api/v1/storage")["senders"];
    let expected = json!([{"token": "stage", "environment": "stage", "rejected": {}, "refused": refused}]);
    assert_eq!(*senders, expected);
}

/// The sequence numbers and the states of counters belong to an instance, an epoch and an environment. The first two can be
/// read by whoever may look at the page; the third is proven by the token.
#[test]
fn a_sender_of_another_environment_cannot_use_up_the_numbers_of_a_gateway() {
    let (prod, stage) = (token("edge", "prod"), token("stage", "stage"));
    let mut guarded = Guarded::start(&format!("{}\n{}\n", prod.line, stage.line));
    let (prod, stage) = (format!("Bearer {}", prod.token), format!("Bearer {}", stage.token));
    let logs = |environment| in_environment(log(&[(NOON, made("/a", 200, 0.1))]), environment);
    let counts = |environment, requests: u64| {
        let all = vec![made("/a", 200, 0.1); requests as usize];
        let mut frame = Frame::at(NOON + requests).of(&all);
        let resource = frame.resource_metrics[0].resource.as_mut().unwrap();
        set_environment(&mut resource.attributes, environment);
        frame
    };
    guarded.send(Some(&prod), 1, &logs("prod")).accepted();
    guarded.send_to("/v1/metrics", Some(&prod), 1, &counts("prod", 2)).accepted();
    for sequence in 1..=5 {
        guarded.send(Some(&stage), sequence, &logs("stage")).accepted();
        // The state of prod's stream must not move with it, either.
        guarded.send_to("/v1/metrics", Some(&stage), sequence, &counts("stage", 50 * sequence)).accepted();
    }
    // Nor by a batch whose first resource is of the other environment, and empty.
    let mut hidden = logs("prod");
    hidden.resource_logs[0].scope_logs.clear();
    hidden.resource_logs.extend(logs("stage").resource_logs);
    assert_eq!(guarded.send(Some(&stage), 2, &hidden).status, 403);
    guarded.send(Some(&prod), 2, &logs("prod")).accepted();
    guarded.send_to("/v1/metrics", Some(&prod), 2, &counts("prod", 7)).accepted();
    // A repeat is known as before, also after a restart.
    guarded.send(Some(&prod), 2, &logs("prod")).accepted();
    guarded.service.restart(|_| ());
    guarded.send(Some(&prod), 2, &logs("prod")).accepted();
    guarded.send_to("/v1/metrics", Some(&prod), 3, &counts("prod", 8)).accepted();
    let rows = |environment: &str| {
        let path = format!("/api/v1/requests?{EVER}&environment={environment}");
        guarded.service.json(&path)["rows"].as_array().unwrap().len()
    };
    assert_eq!((rows("prod"), rows("stage")), (2, 5));
    let requests = |environment: &str| {
        let path = format!("/api/v1/summary?{EVER}&environment={environment}");
        guarded.service.json(&path)["rows"][0]["requests"].as_u64().unwrap()
    };
    assert_eq!((requests("prod"), requests("stage")), (8, 250));
    let gateways = guarded.service.json("/api/v1/gateways?environment=prod");
    let rows = gateways["rows"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["gaps"]),
        (1, &serde_json::json!({"metrics": 0, "logs": 0})),
        "{gateways}"
    );
    // Pages of the list pass over neither of two that have the same instance and epoch.
    let page = guarded.service.json("/api/v1/gateways?limit=1");
    let next = page["next"].as_str().unwrap();
    let other = guarded.service.json(&format!("/api/v1/gateways?limit=1&cursor={next}"));
    let environments = [&page, &other].map(|page| page["rows"][0]["environment"].as_str().unwrap());
    assert!(environments.contains(&"prod") && environments.contains(&"stage"), "{environments:?}");
    assert!(other.get("next").is_none());
}

/// The gateways behind one address have tokens of their own.
#[test]
fn the_holder_of_a_token_makes_only_itself_wait() {
    let tokens = [("loud", "stage"), ("quiet", "prod")].map(|(name, environment)| token(name, environment));
    let lines = tokens.each_ref().map(|token| token.line.clone()).join("\n");
    let limits = Limits { sender_requests_per_second: 1, token_requests_per_second: 1, ..Limits::default() };
    let guarded = Guarded::with(&lines, limits);
    let [loud, quiet] = tokens.each_ref().map(|token| format!("Bearer {}", token.token));
    let refused = (1..=1_000).find_map(|sequence| {
        let batch = in_environment(log(&[(NOON, made("/a", 200, 0.1))]), "stage");
        Some(guarded.send(Some(&loud), sequence, &batch)).filter(|answer| answer.status != 200)
    });
    let refused = refused.unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("the senders with this token"), "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    for sequence in 1..=5 {
        let batch = in_environment(log(&[(NOON, made("/a", 200, 0.1))]), "prod");
        guarded.send(Some(&quiet), sequence, &batch).accepted();
    }
    // Strangers share the bound of their address, and have not used it.
    assert_eq!(guarded.send(None, 1, &log(&[])).status, 401);
}

fn in_environment(mut export: ExportLogsServiceRequest, environment: &str) -> ExportLogsServiceRequest {
    let resource = export.resource_logs[0].resource.as_mut().unwrap();
    set_environment(&mut resource.attributes, environment);
    export
}

fn set_environment(attributes: &mut Vec<KeyValue>, environment: &str) {
    attributes.retain(|attribute| attribute.key != ENVIRONMENT);
    attributes.push(text(ENVIRONMENT, environment));
}

#[test]
fn tokens_change_without_a_restart() {
    let (old, new) = (token("edge", "prod"), token("edge", "prod"));
    let guarded = Guarded::start(&old.line);
    let mut sequence = 0;
    let mut status = |token: &NewToken| {
        sequence += 1;
        let batch = log(&[(NOON + sequence, made("/a", 200, 0.1))]);
        guarded.send(Some(&format!("Bearer {}", token.token)), sequence, &batch).status
    };
    assert_eq!((status(&old), status(&new)), (200, 401));
    let mut change = |content: &str, expected: (u16, u16)| {
        fs::write(&guarded.tokens, content).unwrap();
        let probe = || Ok(((status(&old), status(&new)) == expected).then_some(()));
        wait::eventually(&format!("{expected:?} with {content}"), probe).unwrap();
    };
    change(&format!("{}\n{}\n", old.line, new.line), (200, 200));
    change(&new.line, (401, 200));
    change("", (401, 401));
}
