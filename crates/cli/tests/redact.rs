//! `gatelens redact` as a user runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const CONFIG: &str = r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"},
  "redact": {"request_body": ["$.user.email", "$.never"], "response_body": ["$.total"]}}"#;

/// Exit status, standard output, standard error; `CONFIG` stands for the configuration's file.
fn redact(config: &str, body: &[u8], arguments: &[&str]) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    fs::write(&file, config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatelens"))
        .args(["redact", "--config", file.to_str().unwrap()])
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A wrong command line ends before it reads.
    let _ = child.stdin.take().unwrap().write_all(body);
    let output = child.wait_with_output().unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(file.to_str().unwrap(), "CONFIG");
    (output.status.code().unwrap(), said(output.stdout), said(output.stderr))
}

#[test]
fn text_shows_the_body_and_the_rules() {
    let (status, said, _) = redact(CONFIG, br#"{"user": {"email": "a"}, "total": 1.50, "apiKey": 7}"#, &[]);
    assert_eq!(
        said,
        "{\"user\": {\"email\": \"[CLIENT_REDACTED]\"}, \"total\": 1.50, \"apiKey\": \"[CLIENT_REDACTED]\"}\n\n\
         rules hit:\n      1  default:api_key\n      1  request_body:$.user.email\n\n\
         rules not hit:\n         request_body:$.never\n"
    );
    assert_eq!(status, 0);
}

#[test]
fn the_former_name_of_message_is_still_taken_and_not_shown() {
    let body = br#"{"total": 1}"#;
    let (old, new) = (
        redact(CONFIG, body, &["--direction", "response"]),
        redact(CONFIG, body, &["--message", "response"]),
    );
    assert_eq!((old.0, &old.1), (0, &new.1));
    let (status, help, _) = redact(CONFIG, b"", &["--help"]);
    assert!(status == 0 && help.contains("--message") && !help.contains("--direction"), "{help}");
}

#[test]
fn json_says_the_same() {
    let (status, said, _) =
        redact(CONFIG, br#"{"total": 1}"#, &["--message", "response", "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        said,
        json!({"size": 12, "body": "{\"total\": \"[CLIENT_REDACTED]\"}", "left_out": null,
               "hits": {"response_body:$.total": 1}, "never": []})
    );
    assert_eq!(status, 0);
}

#[test]
fn the_exit_status_tells_what_went_wrong() {
    let check = |config: &str, body: &[u8], arguments: &[&str], status: i32, says: &str| {
        let (got, out, err) = redact(config, body, arguments);
        assert!(out.contains(says) || err.contains(says), "{out}{err}\nshould say: {says}");
        assert_eq!(got, status, "{out}{err}");
    };
    check(CONFIG, b"{\"a\"", &[], 1, "left out: truncated (4 bytes)");
    check(CONFIG, b"{}", &["--content-type", "image/png"], 1, "left out: unsupported_media_type");
    check(CONFIG, b"{}", &["--content-encoding", "br"], 1, "left out: unknown_encoding");
    check(
        CONFIG,
        b"password=x",
        &["--content-type", "application/x-www-form-urlencoded"],
        0,
        "password=[CLIENT_REDACTED]",
    );
    check("{", b"{}", &[], 1, "CONFIG:1:1: error: EOF while parsing an object");
    check("", b"{}", &[], 1, "CONFIG:1:1: error: no configuration of gatelens in this file");
    check(r#"{"redact": {}}"#, b"{}", &[], 1, "the key `version` is missing");
    let with = |section: &str| CONFIG.replacen("\"redact\": {", section, 1);
    check(
        &with(r#""redact": {"headers": ["a b"], "#),
        b"{}",
        &[],
        1,
        "CONFIG:2:26: error: redact.headers[0]: not a header name; use letters, digits and `-`, and `*` for any characters",
    );
    check(
        &with(r#""redact": {"heders": [], "#),
        b"{}",
        &[],
        1,
        "CONFIG:2:14: error: redact.heders: unknown key `heders`; did you mean `headers`?",
    );
    check(
        &with(r#""capture": {"max_body_bytes": 0}, "redact": {"#),
        b"{}",
        &[],
        1,
        "capture.max_body_bytes: 0 is not between",
    );
    check(&with(r#""routes": {"templates": [7]}, "redact": {"#), b"{}", &[], 1, "routes.templates[0]");
    check(CONFIG, b"", &["--message", "sideways"], 2, "sideways");
    check(CONFIG, b"", &["no-such-file"], 2, "");
}

#[test]
fn the_configuration_may_be_in_the_yaml_of_a_gateway() {
    let plugin = |rule: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: gatelens}}\nspec:\n  pluginConfig:\n    version: 1\n    ingest: {{cluster: c}}\n    redact: {{request_body: [{rule}]}}\n"
        )
    };
    let body = br#"{"user": {"mail": "a"}, "total": 1}"#;
    let (status, out, err) = redact(&plugin("$.total"), body, &[]);
    assert!(status == 0 && out.contains(r#""total": "[CLIENT_REDACTED]""#), "{out}{err}");
    let (status, _, err) = redact(&plugin("total"), body, &[]);
    assert!(
        status == 1 && err.starts_with("gatelens: CONFIG:8:29: error: redact.request_body[0]: "),
        "{err}"
    );
    let two = format!("{}---\n{}", plugin("$.total"), plugin("$.user"));
    let (status, _, err) = redact(&two, body, &[]);
    assert!(
        status == 1 && err.contains("CONFIG:15:5: error: this configuration differs from the one at 6:5"),
        "{err}"
    );
    // A filter and a logger usually have the same one.
    let twice = format!("{0}---\n{0}", plugin("$.total"));
    assert_eq!(redact(&twice, body, &[]).0, 0);
}
