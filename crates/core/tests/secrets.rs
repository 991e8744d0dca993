//! The values of `ingest.headers` are credentials: they leave the filter in requests to the ingest and nowhere else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use std::rc::Rc;
use std::time::Duration;

use gatelens_core::config::Config;
use gatelens_core::host::PluginIdentity;
use gatelens_core::lifecycle::{Plugin, Registry};
use gatelens_core::plan::Plan;
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::worker::Worker;

const SECRET: &str = "Bearer s3cr3t-0451";

fn configuration(secret: &str) -> String {
    format!(
        r#"{{"version": 1, "ingest": {{"cluster": "gatelens_ingest", "headers": {{"Authorization": "{secret}"}}}}}}"#
    )
}

fn plan(configuration: &str) -> Plan {
    Plan::read(configuration, &PluginIdentity::default()).unwrap()
}

fn config_hash(configuration: &str) -> String {
    plan(configuration).export.resource.config_hash.clone()
}

#[test]
fn two_secrets_have_one_hash_and_one_set_of_counters() {
    let (one, other) = (plan(&configuration(SECRET)), plan(&configuration("Bearer another")));
    assert_eq!(one.export.resource.config_hash, other.export.resource.config_hash);
    assert_eq!(one.export.counters, other.export.counters);
}

#[test]
fn the_hash_is_that_of_the_options_and_not_of_their_spelling() {
    let smallest = r#"{"version": 1, "ingest": {"cluster": "a"}}"#;
    let same = |spelling: &str| assert_eq!(config_hash(spelling), config_hash(smallest), "{spelling}");
    same("{\"version\":1,\n\t\"ingest\":{\"cluster\":\"a\"}}");
    same(r#"{"ingest": {"cluster": "\u0061"}, "version": 1}"#);
    same(r#"{"version": 1, "ingest": {"timeout_ms": 5000, "cluster": "a"}, "debug": false}"#);
    same(
        r#"{"version": 1, "ingest": {"cluster": "a"}, "counters": {"bounds_seconds": [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.50, 5, 7.5, 1e1]}}"#,
    );

    let differs = |options: &str| {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "a"}}, {options}}}"#);
        assert_ne!(config_hash(&text), config_hash(smallest), "{options}");
    };
    differs(r#""debug": true"#);
    differs(r#""redact": {"keys": ["passport"]}"#);
    differs(r#""routes": {"templates": ["/a/{b}"]}"#);
    differs(r#""service": {"tags": {"team": "a"}}"#);
    assert_ne!(
        config_hash(&configuration(SECRET)),
        config_hash(&configuration(SECRET).replace("Auth", "X-Auth"))
    );
}

#[test]
fn no_debug_output_shows_a_secret() {
    let text = configuration(SECRET);
    let config = Config::parse(&text).unwrap();
    let gateway = FakeGateway::starting_at(1);
    let (host, registry) = (gateway.worker(&text), Rc::<Registry>::default());
    let mut plugin = Plugin::new(Rc::clone(&registry));
    assert!(plugin.configure(&host));
    let shown =
        [format!("{config:?}"), format!("{:?}", plan(&text)), format!("{plugin:?}"), format!("{registry:?}")];
    for output in shown {
        assert!(output.contains("authorization") || output.contains("Authorization"), "{output}");
        assert!(!output.contains("s3cr3t"), "{output}");
        assert!(output.contains("[secret]"), "{output}");
    }
}

#[test]
fn a_refused_secret_is_not_in_the_message() {
    for headers in
        [r#""s3cr3t""#, r#"{"a": 70451}"#, r#"{"a": ["s3cr3t"]}"#, r#"{"a": "s3cr3t\n"}"#, r#"["s3cr3t"]"#]
    {
        let text = format!(r#"{{"version": 1, "ingest": {{"cluster": "a", "headers": {headers}}}}}"#);
        let error = Plan::read(&text, &PluginIdentity::default()).unwrap_err();
        assert!(error.path.starts_with("ingest.headers"), "{error}");
        assert!(!error.to_string().contains("s3cr3t") && !error.to_string().contains("70451"), "{error}");
    }
}

#[test]
fn a_rotated_secret_is_used_for_the_next_request_and_nothing_is_counted_anew() {
    let gateway = FakeGateway::starting_at(1_700_000_000_000_000_000);
    let mut worker = Worker::start(&gateway, &configuration(SECRET));
    let request = || FakeStream::new("GET", "/a", 200).int(Attribute::RequestDuration, 1_000_000);
    worker.finish(request());
    gateway.wait(Duration::from_secs(1));
    let first = worker.tick_answering(Some(503));
    assert!(first.iter().all(|sent| sent.header("authorization") == SECRET), "{first:?}");

    worker.replace(&configuration("Bearer rotated"), Some(503));
    worker.finish(request());
    let deliver = |_| worker.deliver_after(Duration::from_secs(1));
    let all: Vec<Sent> = (0..100).flat_map(deliver).collect();
    assert!(all.iter().any(|sent| sent.header(":path").ends_with("/v1/logs")), "{all:?}");
    assert!(all.iter().all(|sent| sent.header("authorization") == "Bearer rotated"), "{all:?}");
    let epochs = |sent: &[Sent]| sent[0].header("x-gatelens-epoch").to_owned();
    assert_eq!(epochs(&all), epochs(&first), "the counters continue");
    let logs = all.iter().find(|sent| sent.header(":path").ends_with("/v1/logs")).unwrap();
    assert!(
        first.iter().any(|sent| sent.body == logs.body),
        "what the old secret could not deliver is sent again"
    );
}
