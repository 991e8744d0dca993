//! `gatelens openapi` and `gatelens query drift` as a user runs them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, NOON, export_logs, made, record, text};
use gatelens_testkit::wait::PATIENCE;
use serde_json::Value;
use std::time::{Duration, Instant};
use support::{EDGE, Service, gatelens};

const AS_SEEN: &str = "openapi: 3.0.3
paths:
  /users/{userId}:
    get:
      responses:
        '200':
          content:
            application/json:
              schema: {type: object, properties: {id: {type: integer}, name: {type: string}}}
";

/// Exit status, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = gatelens(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A service that has seen one route, and bodies that lost a field.
fn with_data(dir: &std::path::Path) -> Service {
    let service = Service::start(dir);
    let user = made("/users/{id}", 200, 0.1);
    assert!(service.send("/v1/metrics", EDGE, 1, &Frame::at(NOON).of(std::slice::from_ref(&user))));
    let bodies = [r#"{"id": 1, "name": "a"}"#; 30].into_iter().chain([r#"{"id": 1}"#; 30]);
    let records = bodies.map(|body| {
        let mut record = record(NOON, &user);
        record.attributes.push(text("gatelens.response.body.content", body));
        record
    });
    assert!(service.send("/v1/logs", EDGE, 1, &export_logs(records.collect())));
    let begun = Instant::now();
    while service.json("/api/v1/drift")["rows"].as_array().unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    service
}

#[test]
fn what_was_seen_is_printed_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let service = with_data(dir.path());
    let data = dir.path().to_str().unwrap();
    for source in [["--url", service.url.as_str()], ["--data", data]] {
        let (status, out, err) = run(&[&["openapi"], &source[..]].concat());
        assert_eq!((status, err.as_str()), (0, ""));
        let document: Value = serde_json::from_str(&out).unwrap();
        let schema =
            &document["paths"]["/users/{id}"]["get"]["responses"]["200"]["content"]["application/json"];
        assert_eq!(schema["schema"]["properties"]["id"]["type"], "integer", "{out}");

        let compare = |document: &str, more: &[&str]| {
            let file = dir.path().join("api.yaml");
            std::fs::write(&file, document).unwrap();
            let file = file.to_str().unwrap();
            let (status, out, err) = run(&[&["openapi", "--compare", file], &source[..], more].concat());
            (status, out.replace(file, "FILE"), err.replace(file, "FILE"))
        };
        let (status, out, err) = compare(AS_SEEN, &["--strict"]);
        assert_eq!(
            (status, out.as_str(), err.as_str()),
            (0, "", "gatelens: what was seen is as FILE describes it\n")
        );
        // The document that it makes itself fits, too.
        assert_eq!(compare(&document.to_string(), &["--strict"]).0, 0);
        let more = format!("{AS_SEEN}  /never: {{get: {{responses: {{}}}}}}\n");
        let never = "FILE:10:12: warning: GET /never: no request was seen; remove it if nobody needs it\n";
        assert_eq!(compare(&more, &[]), (0, never.to_owned(), String::new()));
        assert_eq!(compare(&more, &["--strict"]).0, 1);
        let (status, out, _) = compare(&AS_SEEN.replace("integer", "string"), &["--format", "json"]);
        let found: Value = serde_json::from_str(&out).unwrap();
        let finding = &found["findings"][0];
        assert_eq!((status, &finding["kind"], &finding["line"]), (1, &"type".into(), &9.into()), "{out}");
        assert_eq!(compare("openapi: 4.0.0", &[]).0, 1);
        assert_eq!(compare(AS_SEEN, &["--base-path", "/v2"]).0, 1);
        assert_eq!(run(&[&["openapi", "--compare", "/no/such/file"], &source[..]].concat()).0, 2);
    }
    let (status, out, _) =
        run(&["query", "drift", "--url", &service.url, "--kind", "field_vanished", "--format", "csv"]);
    let line = out.lines().nth(1).unwrap_or_default();
    assert!(status == 0 && line.contains(",GET,/users/{id},response,2xx,/name,string,,"), "{out}");
    assert_eq!(run(&["query", "drift", "--url", &service.url, "--kind", "none"]).0, 2);
    service.stop();
}
