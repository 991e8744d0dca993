//! `gatelens routes` as a user runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod support;

use gatelens_testkit::export::{Frame, NOON, made};
use std::fs;
use std::process::Command;
use support::{EDGE, Service, gatelens};

const OPENAPI: &str = r#"openapi: 3.1.0
info: {title: shop, version: "1"}
servers:
- url: https://{region}.example.com/{base}/
  variables:
    region: {default: eu}
    base: {default: v2}
paths:
  /users:
    get: {responses: {}}
    post: {responses: {}}
  /users/{id}:
    parameters: []
    get: {responses: {}}
  /health:
    servers: [{url: /}, {url: https://ops.example.com/ops}]
    get: {responses: {}}
    head: {servers: [{url: "https://heads.example.com"}]}
"#;

const SWAGGER: &str = r#"{"swagger": "2.0", "basePath": "/api/", "paths": {"/pets/{pet}": {"get": {}, "delete": {}}, "x-note": 1}}"#;

/// Exit status, standard output, standard error; `FILE` stands for the file of the document.
fn routes(document: &str, arguments: &[&str]) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("api");
    fs::write(&file, document).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatelens"));
    let output = command.arg("routes").args(arguments).arg(&file).output().unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(file.to_str().unwrap(), "FILE");
    (output.status.code().unwrap(), said(output.stdout), said(output.stderr))
}

fn templates(document: &str, arguments: &[&str]) -> Vec<String> {
    let (status, output, problems) = routes(document, arguments);
    assert_eq!((status, problems.as_str()), (0, ""), "{output}");
    serde_json::from_str(&output).unwrap()
}

#[test]
fn each_operation_has_a_template_with_its_base_path() {
    assert_eq!(
        templates(OPENAPI, &[]),
        [
            "GET /v2/users",
            "POST /v2/users",
            "GET /v2/users/{id}",
            "GET /health",
            "GET /ops/health",
            "HEAD /health"
        ]
    );
    assert_eq!(templates(SWAGGER, &[]), ["GET /api/pets/{pet}", "DELETE /api/pets/{pet}"]);
    assert_eq!(
        templates(OPENAPI, &["--any-method"]),
        ["/v2/users", "/v2/users/{id}", "/health", "/ops/health"]
    );
    assert_eq!(
        templates(SWAGGER, &["--base-path", "pets-api/"]),
        ["GET /pets-api/pets/{pet}", "DELETE /pets-api/pets/{pet}"]
    );
    assert_eq!(
        templates(OPENAPI, &["--base-path", "/", "--any-method"]),
        ["/users", "/users/{id}", "/health"]
    );
}

#[test]
fn learned_routes_are_printed_as_templates() {
    let dir = tempfile::tempdir().unwrap();
    let counts = ["/repos/a", "/repos/b", "/repos/search", "/users"].map(|route| made(route, 200, 0.1));
    {
        let service = Service::start(dir.path());
        assert!(service.send("/v1/metrics", EDGE, 1, &Frame::at(NOON).of(&counts[..1])));
    }
    // As an earlier run of the service stored them.
    let file = rusqlite::Connection::open(dir.path().join("metrics.db")).unwrap();
    let row = ("orders", "prod", "inbound", r#"{"places":{"/repos":["search"]}}"#, 1, 500);
    file.execute("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?)", row).unwrap();
    file.execute("UPDATE series SET folded = '/repos/{param}'", []).unwrap();
    drop(file);
    let service = Service::start(dir.path());
    assert!(service.send("/v1/metrics", EDGE, 2, &Frame::at(NOON).of(&counts)));
    let ask = |arguments: &[&str]| {
        let output =
            gatelens(&["routes", "--learned", "--server", &service.url]).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (status, printed, problems) = ask(&[]);
    assert_eq!((status, problems.as_str()), (0, ""));
    let templates: Vec<String> = serde_json::from_str(&printed).unwrap();
    assert_eq!(templates, ["GET /repos/search", "GET /repos/{param}"]);
    assert_eq!(
        ask(&["--service", "orders", "--any-method"]).1.replace([' ', '\n'], ""),
        r#"["/repos/search","/repos/{param}"]"#
    );
    let (status, printed, problems) = ask(&["--service", "carts"]);
    assert_eq!((status, printed.as_str()), (1, ""));
    assert!(problems.contains("has learned no routes yet"), "{problems}");
    let output = gatelens(&["routes", "--learned", "FILE"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
