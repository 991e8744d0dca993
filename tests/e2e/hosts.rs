//! The host that a client asked for, the cluster that served it, and the version of HTTP, as Envoy knows them.

use gatelens_testkit::client::Connection;
use gatelens_testkit::http2::{Http2, Then};
use gatelens_testkit::{Listeners, wait};
use serde_json::{Value, json};

use super::report;
use super::stack::{Mode, Stack, in_both_modes, plugin};

in_both_modes!(check);

fn check(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin()));
    let address = stack.envoy.address();
    for (target, host) in [
        ("/status/200?a", "API.Example.com."),
        ("/status/200?b", "api.example.com:8443"),
        ("/direct", "[::1]:80"),
        ("/dead", "user:secret@api.example.com"),
    ] {
        let mut connection = Connection::open(address).unwrap();
        connection.send_bytes(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
        connection.read_response("GET").unwrap();
    }
    let mut http2 = Http2::open(address).unwrap();
    let id = http2.request("GET", "/bytes/9", &[], Then::End).unwrap();
    assert_eq!(http2.answer(id).unwrap().status, Some(200));

    let rows = stack.wait_for_requests(5);
    let row = |path: &str, port: Value| {
        let found = rows.iter().find(|row| row["path"] == path && row["port"] == port);
        found.unwrap_or_else(|| panic!("{path} {port}: {rows:#?}")).clone()
    };
    let shown = |row: &Value| {
        json!([row["scheme"], row["host"], row["upstream_cluster"], row["protocol"], row["attempts"]])
    };
    let check = |row: Value, expected: Value| assert_eq!(shown(&row), expected, "{mode:?} {row:#}");
    check(row("/status/200", Value::Null), json!(["http", "api.example.com", "upstream", "1.1", 1]));
    check(row("/status/200", json!(8443)), json!(["http", "api.example.com", "upstream", "1.1", 1]));
    check(row("/direct", Value::Null), json!(["http", "::1", null, "1.1", 0]));
    let dead = row("/dead", Value::Null);
    assert!(!dead.to_string().contains("secret"), "{dead:#}");
    check(dead, json!(["http", "_OTHER", "dead", "1.1", 1]));
    assert_eq!(row("/bytes/9", Value::Null)["protocol"], "2");

    let of_host = "/api/v1/requests?host=api.example.com&upstream_cluster=upstream";
    let found = wait::eventually("the rows of a host", || {
        let rows = stack.ingest.get_json(of_host)?["rows"].as_array().map_or(0, Vec::len);
        Ok((rows == 2).then_some(rows))
    });
    assert_eq!(found.unwrap(), 2);
    let of_path = "/api/v1/requests?path=/status/*,/dead&host=!_OTHER&sort=duration";
    let slowest = stack.ingest.get_json(of_path).unwrap()["rows"].as_array().unwrap().clone();
    assert_eq!(slowest.len(), 2, "{slowest:#?}");
    assert!(slowest[0]["duration_ms"].as_f64() >= slowest[1]["duration_ms"].as_f64(), "{slowest:#?}");

    // Counts know the gateway that made them.
    let gateway = rows[0]["gateway"].as_str().unwrap().to_owned();
    let counted = wait::eventually("the counts of the gateway", || {
        let summary = stack.ingest.get_json("/api/v1/summary?group_by=gateway")?;
        Ok((summary["rows"][0]["requests"] == 5).then(|| summary["rows"].clone()))
    });
    let counted = counted.unwrap();
    assert_eq!(
        (&counted[0]["gateway"], counted.as_array().unwrap().len()),
        (&json!(gateway), 1),
        "{counted:#}"
    );
    let others = stack.ingest.get_json(&format!("/api/v1/summary?gateway=!{gateway}")).unwrap();
    assert_eq!(others["rows"][0]["requests"], 0, "{others:#}");
    assert_eq!(report::request_log(&stack.ingest).len(), 5);
}
