//! Releases: other versions of services and other configurations of gateways, from reports to the answer.

use crate::support::Service;
use crate::support::otlp::{Frame, NOON, text};
use serde_json::{Value, json};

/// An empty report of an instance with a version of its service and a configuration hash.
fn report(service: &Service, instance: &str, sequence: u64, version: &str, hash: &str) {
    let resource = vec![text("service.version", version), text("gatelens.config_hash", hash)];
    let mut export = Frame { resource, ..Frame::at(NOON) }.of(&[]);
    // It has a hash of its own, before ours.
    let attributes = &mut export.resource_metrics[0].resource.as_mut().unwrap().attributes;
    let first = attributes.iter().position(|attribute| attribute.key == "gatelens.config_hash").unwrap();
    attributes.remove(first);
    service.send("/v1/metrics", Some((instance, 1, sequence)), &export).accepted();
}

/// Of the rows: kind, value, value before, and instances; the latest first.
fn listed(service: &Service, query: &str) -> Value {
    let answer = service.json(&format!("/api/v1/releases?{query}"));
    let rows = answer["rows"].as_array().unwrap().iter().map(|row| {
        let gateways: Vec<_> =
            row["gateways"].as_array().unwrap().iter().map(|one| &one["instance"]).collect();
        json!([row["kind"], row["value"], row["previous"], gateways])
    });
    rows.collect()
}

#[test]
fn versions_and_configurations_are_listed_with_their_gateways() {
    let mut service = Service::start();
    report(&service, "edge-1", 1, "1.0", "aa");
    report(&service, "edge-2", 1, "1.0", "aa");
    report(&service, "edge-1", 2, "1.1", "bb");
    // Both versions run for a while, and the service starts again meanwhile.
    report(&service, "edge-2", 2, "1.0", "aa");
    service.restart(|_| ());
    report(&service, "edge-2", 3, "1.0", "aa");
    report(&service, "edge-2", 4, "1.1", "bb");
    let versions = json!([
        ["version", "1.1", "1.0", ["edge-1", "edge-2"]],
        ["version", "1.0", null, ["edge-1", "edge-2"]]
    ]);
    assert_eq!(listed(&service, "kind=version"), versions);
    let hashes = json!([
        ["configuration", "bb", "aa", ["edge-1", "edge-2"]],
        ["configuration", "aa", null, ["edge-1", "edge-2"]]
    ]);
    assert_eq!(listed(&service, "kind=configuration"), hashes);
    // A roll-back is a release of its own.
    report(&service, "edge-1", 3, "1.0", "bb");
    let latest = json!(["version", "1.0", "1.1", ["edge-1"]]);
    assert_eq!(listed(&service, "kind=version&limit=1"), json!([latest]));
    assert_eq!(listed(&service, "service=orders&environment=prod").as_array().unwrap().len(), 5);
    assert_eq!(listed(&service, "service=!orders"), json!([]));
    assert_eq!(listed(&service, "to=2026-01-01T00:00:00Z"), json!([]));
    assert_eq!(listed(&service, "from=-9999d").as_array().unwrap().len(), 5);
}

#[test]
fn pages_follow_each_other_and_wrong_questions_are_refused() {
    let service = Service::start();
    for sequence in 1..=5 {
        report(&service, "edge-1", sequence, &format!("1.{sequence}"), "aa");
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = service.json(&format!("/api/v1/releases?kind=version&limit=2{cursor}"));
        found.extend(
            answer["rows"].as_array().unwrap().iter().map(|row| row["value"].as_str().unwrap().to_owned()),
        );
        let Some(next) = answer["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, ["1.5", "1.4", "1.3", "1.2", "1.1"]);
    for (query, field) in [("kind=other", "kind"), ("cursor=x", "cursor"), ("gateway=edge-1", "gateway")] {
        let answer = service.get(&format!("/api/v1/releases?{query}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &json!(field)), "{query}");
    }
}
