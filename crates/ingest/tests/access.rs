//! Who may send and who may read.

use crate::support::otlp::{Frame, NOON, log, made};
use crate::support::{Answer, PROTOBUF, Service};
use gatelens_ingest::{AccessConfig, Limits, NewToken, TokenOwner};
use gatelens_testkit::wait;
use prost::Message;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const EVER: &str = "from=2026-06-01T00:00:00Z&to=2026-07-01T00:00:00Z";

/// A service that asks senders for tokens, and the file of tokens.
struct Guarded {
    service: Service,
    tokens: PathBuf,
    _dir: TempDir,
}

impl Guarded {
    fn start(lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens.yaml");
        fs::write(&tokens, lines).unwrap();
        let access = AccessConfig { sender_tokens: Some(tokens.clone()), ..AccessConfig::default() };
        Self { service: Service::guarded(Limits::default(), access), tokens, _dir: dir }
    }

    fn send(&self, authorization: Option<&str>, sequence: u64, message: &impl Message) -> Answer {
        let sequence = sequence.to_string();
        let mut headers = vec![
            ("content-type", PROTOBUF),
            ("x-gatelens-instance", "edge-1"),
            ("x-gatelens-epoch", "00000000000000aa"),
            ("x-gatelens-sequence", &sequence),
        ];
        headers.extend(authorization.map(|value| ("authorization", value)));
        self.service.post("/v1/logs", &headers, &message.encode_to_vec())
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
