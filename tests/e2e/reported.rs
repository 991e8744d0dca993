//! Errors and tags that an application reports in headers of its response: read, removed before the client, redacted, and grouped
//! into issues.

use std::thread::sleep;
use std::time::{Duration, Instant};

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::otlp::records;
use gatelens_testkit::{Envoy, Launch, Listeners, Receiver, Upstream};
use serde_json::{Value, json};

use super::stack::{Mode, Stack, in_both_modes};

/// Far more than the slowest host needs.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "hunter2-8675309";

fn plugin() -> Value {
    json!({
        "version": 1,
        "service": {"name": "shop", "version": "1.4.2"},
        "ingest": {"cluster": "gatelens_ingest"},
        "capture": {"response_headers": ["*"]},
        "report": {"error": "X-Gatelens-Error", "tags": "x-gatelens-tags"},
    })
}

fn failing(path: &str, error: &str) -> Request {
    Request::post(path, "x").header("answer-x-gatelens-error", error).header("answer-x-seen", "1")
}

/// What the client sees of the reported headers.
fn reaches_the_client(mode: Mode) -> bool {
    // An access logger cannot change the response.
    matches!(mode, Mode::Logger | Mode::ModuleLogger)
}

fn reports_become_issues(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin()));
    let mut client = Connection::open(stack.envoy.address()).unwrap();
    let mut send = |request: Request, status: u16| {
        let answer = client.request(&request).unwrap();
        assert_eq!((answer.status, answer.header("x-seen")), (status, Some("1")));
        for name in ["x-gatelens-error", "x-gatelens-tags"] {
            assert!(answer.header(name).is_none() || reaches_the_client(mode), "{name} reached the client");
        }
        assert_eq!(answer.header("x-gatelens-error").is_some(), reaches_the_client(mode));
    };
    for order in [17, 18] {
        let error = format!("OutOfStock: order {order} wants 3 pieces, password={SECRET}");
        let tags = format!("plan=gold, order={order}, api-key={SECRET}");
        send(failing("/echo/1?status=503", &error).header("answer-x-gatelens-tags", tags), 503);
    }
    send(failing("/echo/1?status=503", "Timeout"), 503);
    send(failing("/echo/1", "a warning of a request that succeeded"), 200);
    let log = stack.wait_for_requests(4);
    let text = serde_json::to_string(&log).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains("\"x-gatelens-error\""), "a reported header is not a captured one: {text}");
    assert!(text.contains("plan=gold,order=17,api-key=[CLIENT_REDACTED]"), "{text}");

    let start = Instant::now();
    let found = loop {
        let answer = stack.ingest.get_json("/api/v1/issues?sort=requests").unwrap();
        let rows = answer["rows"].as_array().unwrap().clone();
        if rows.len() >= 3 || start.elapsed() > PATIENCE {
            break rows;
        }
        sleep(Duration::from_millis(200));
    };
    let mut shown: Vec<Value> = found
        .iter()
        .map(|row| json!([row["kind"], row["status"], row["class"], row["requests"], row["last_version"]]))
        .collect();
    shown.sort_by_key(Value::to_string);
    assert_eq!(
        shown,
        [
            json!(["error", 503, "OutOfStock", 2, "1.4.2"]),
            json!(["error", 503, "Timeout", 1, "1.4.2"]),
            json!(["reported", 200, null, 1, "1.4.2"]),
        ],
        "{found:#?}"
    );
    assert!(!json!(found).to_string().contains(SECRET), "{found:#?}");
}

in_both_modes!(reports_become_issues);

#[test]
fn without_the_section_the_headers_are_the_clients() {
    let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
    let config =
        Mode::Filter.config().upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
    let envoy = Envoy::launch(&config, &Launch::default()).unwrap();
    let mut client = Connection::open(envoy.address()).unwrap();
    let answer = client.request(&failing("/echo/1", "Timeout")).unwrap();
    assert_eq!(answer.header("x-gatelens-error"), Some("Timeout"));
    let start = Instant::now();
    while records(&receiver.captured()).is_empty() && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(200));
    }
    let records = format!("{:?}", records(&receiver.captured()));
    assert!(records.contains("/echo/1") && !records.contains("gatelens.reported"), "{records}");
}
