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
fn operations_that_no_template_can_tell_apart_are_left_out() {
    let document = r#"openapi: "3.0.3"
paths:
  /apis/{group}/{version}:
    get: {}
  /apis/{kind}/{name}:
    get: {}
    put: {}
  /users#all:
    get: {}
  /users?active=true:
    get: {}
  /a/{b}{c}:
    get: {}
  /a/../b:
    get: {}
  /repos/{owner}/compare/{base}...{head}:
    get: {}
"#;
    let (status, output, problems) = routes(document, &[]);
    assert_eq!(status, 0);
    let kept: Vec<String> = serde_json::from_str(&output).unwrap();
    assert_eq!(
        kept,
        [
            "GET /apis/{group}/{version}",
            "PUT /apis/{kind}/{name}",
            "GET /users",
            "GET /a/../b",
            "GET /repos/{owner}/compare/{base}...{head}"
        ]
    );
    let problems: Vec<&str> = problems.lines().collect();
    assert_eq!(
        problems,
        [
            "FILE:6:5: warning: paths./apis/{kind}/{name}.get: left out: `GET /apis/{kind}/{name}` matches requests that `GET /apis/{group}/{version}` (from FILE:4:5) matches too, and neither is more literal",
            "FILE:11:5: warning: paths./users?active=true.get: `GET /users` is there already, from FILE:9:5",
            "FILE:13:5: warning: paths./a/{b}{c}.get: left out: `{b}{c}`: nothing shows where the first of these parameters ends; write `{b_c}`",
            "FILE:15:5: warning: paths./a/../b.get: `GET /a/../b` matches no request: clients and gateways resolve `.` and `..` before they send a path",
        ]
    );
}

/// The filter accepts what is printed.
#[test]
fn the_templates_are_a_configuration() {
    let paths: String =
        (0..600).map(|n| format!("  /resources-{n}/{{id}}:\n    get: {{}}\n    put: {{}}\n")).collect();
    let document = format!("openapi: 3.0.0\npaths:\n{paths}");
    let (status, output, problems) = routes(&document, &[]);
    assert_eq!(status, 0, "{problems}");
    let default = gatelens_core::config::Counters::default();
    let mut needs = String::new();
    if default.max_routes < 600 {
        needs += "gatelens: the templates have 600 routes: set `counters.max_routes` to 600 or more\n";
    }
    if default.max_series < 4_800 {
        needs +=
            "gatelens: so that none of 600 routes overflows, set `counters.max_series` to 4800 or more\n";
    }
    assert_eq!(problems, needs);
    let check = |max_routes: u32| {
        let config = format!(
            r#"{{"version": 1, "ingest": {{"cluster": "c"}}, "counters": {{"max_routes": {max_routes}}}, "routes": {{"templates": {output}}}}}"#
        );
        gatelens_core::plan::Plan::read(&config, &gatelens_core::host::PluginIdentity::default())
    };
    assert!(check(600).is_ok());
    let error = check(599).unwrap_err();
    assert!(error.message.contains("set `counters.max_routes` to 600 or more"), "{error}");

    let (status, output, problems) = routes(&document, &["--format", "json"]);
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((status, problems.as_str()), (0, ""));
    assert_eq!(output["templates"].as_array().unwrap().len(), 1200);
    assert_eq!((output["routes"].as_u64(), output["problems"].as_array().unwrap().len()), (Some(600), 0));
}

#[test]
fn a_defect_of_a_document_is_shown_where_it_is() {
    let check = |document: &str, says: &str| {
        let (status, output, problems) = routes(document, &[]);
        assert_eq!(status, 1, "{document}\n{output}{problems}");
        assert!(problems.contains(says), "{document}\n{problems}\nshould say: {says}");
    };
    check("", "FILE:1:1: error: the file is empty");
    check("a: [", "FILE:");
    check("a: 1", "FILE:1:1: error: this is not an API description");
    check("[1, 2]", "FILE:1:1: error: this is not an API description");
    check("asyncapi: 3.0.0", "FILE:1:1: error: this is not an API description");
    check("openapi: 4.0.0", "FILE:1:10: error: openapi: version `4.0.0` is not known");
    check("swagger: '1.2'", "FILE:1:10: error: swagger: version `1.2` is not known");
    check("openapi: 3.1.0\nwebhooks: {}", "FILE:1:1: error: there are no `paths`");
    check("openapi: 3.1.0\npaths: [1]", "FILE:2:1: error: paths: the paths are not a mapping");
    check("openapi: 3.1.0\npaths: {}", "gatelens: the document has no operations");
    check(
        "openapi: 3.1.0\npaths:\n  users: {get: {}}",
        "FILE:3:3: error: paths.users: a path begins with a slash; write `/users`",
    );
    check(
        "openapi: 3.1.0\npaths:\n  [a]: {get: {}}",
        "FILE:3:3: error: paths: a key of `paths` is not a text",
    );
    check("openapi: 3.1.0\npaths:\n  /a: 7", "FILE:3:7: error: paths./a: this is not a path item");
    check(
        "openapi: 3.1.0\npaths:\n  /a: {get: 7}",
        "FILE:3:8: error: paths./a.get: this is not an operation",
    );
    check(
        "openapi: 3.1.0\nservers: [{}]\npaths:\n  /a: {get: {}}",
        "FILE:2:11: error: servers[0]: the server has no `url`",
    );
    let cycle = "openapi: 3.1.0\npaths:\n  /a: {$ref: '#/paths/~1b'}\n  /b: {$ref: '#/paths/~1a'}\n";
    check(cycle, "FILE:3:3: error: paths./a: the references of this path lead back to themselves");
    check(
        "openapi: 3.1.0\npaths:\n  /a: {$ref: other.yaml#/a}",
        "FILE:3:14: error: paths./a: `other.yaml#/a` is not in this document",
    );
    check(
        "openapi: 3.1.0\npaths:\n  /a: {$ref: '#/x'}",
        "FILE:3:14: error: paths./a: `#/x` leads to nothing",
    );
    let laughs = (1..40)
        .fold("a0: &a0 [1, 1]\n".to_owned(), |text, n| format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
    check(&laughs, "FILE:");
    check(&format!("openapi: 3.1.0\npaths: {}", "[".repeat(100_000)), "FILE:2:");
    // The rest of the document is of use.
    let (status, output, _) = routes("openapi: 3.1.0\npaths:\n  users: {get: {}}\n  /b: {get: {}}", &[]);
    assert_eq!((status, output.as_str()), (1, "[\n  \"GET /b\"\n]\n"));

    let missing =
        Command::new(env!("CARGO_BIN_EXE_gatelens")).args(["routes", "/no/such/file"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    let nothing = Command::new(env!("CARGO_BIN_EXE_gatelens")).args(["routes"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn references_within_the_document_are_followed() {
    let document = r##"{"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/components/pathItems/one%20item", "get": {}}},
        "components": {"pathItems": {"one item": {"get": {}, "patch": {}, "$ref": "#/components/pathItems/two~1items"},
                                     "two/items": {"delete": {}}}}}"##;
    assert_eq!(templates(document, &[]), ["GET /a", "PATCH /a", "DELETE /a"]);
}

#[test]
fn a_variable_without_a_default_stays_a_parameter() {
    let document = "openapi: 3.1.0\nservers: [{url: 'https://{host}/{tenant}/v1'}]\npaths: {/a: {get: {}}}";
    let (status, output, problems) = routes(document, &[]);
    assert_eq!((status, output.as_str()), (0, "[\n  \"GET /{tenant}/v1/a\"\n]\n"));
    assert_eq!(
        problems,
        "FILE:2:11: warning: servers[0]: the server variable `tenant` has no default, so it stays a parameter of the templates\n"
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
    for direction in ["inbound", "outbound"] {
        let row = ("orders", "prod", direction, r#"{"places":{"/repos":["search"]}}"#, 1, 500);
        file.execute("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?)", row).unwrap();
    }
    file.execute("UPDATE series SET folded = '/repos/{param}'", []).unwrap();
    file.execute(
        "INSERT INTO series SELECT 99, service, environment, version, 'outbound', consumer, method, '/users/ann',
             route_source, host, upstream_cluster, status, grpc_status, error_type, overflow, '/users/{param}', last_counted
         FROM series LIMIT 1",
        [],
    )
    .unwrap();
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
    // Calls that the service makes have other templates, which belong in the configuration of another listener.
    let outbound = ask(&["--direction", "outbound"]).1;
    assert_eq!(outbound.replace([' ', '\n'], ""), r#"["GET/users/{param}"]"#);
    let (status, printed, problems) = ask(&["--service", "carts"]);
    assert_eq!((status, printed.as_str()), (1, ""));
    assert!(problems.contains("has learned no routes yet"), "{problems}");
    for wrong in [
        &["--learned"][..],
        &["--service", "orders"],
        &["--direction", "outbound"],
        &["--server", "http://a"],
    ] {
        let output = gatelens(&["routes", "FILE"]).args(wrong).output().unwrap();
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(problem.contains("cannot be used with"), "{wrong:?}: {problem}");
    }
}
