//! Calls that applications make, on an egress listener, beside the requests that caused them.

use gatelens_testkit::client::{Request, send};
use gatelens_testkit::{Listeners, wait};
use serde_json::{Value, json};

use super::stack::{Mode, Stack, in_both_modes, plugin};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

in_both_modes!(check);

fn check(mode: Mode) {
    let mut outbound = plugin();
    outbound["service"]["direction"] = json!("outbound");
    outbound["routes"] = json!({"templates": ["/status/{code}"]});
    let stack = Stack::launch(mode, Listeners::Static, |config| {
        let config = config.plugin(&plugin());
        let egress = config.clone().plugin(&outbound);
        config.edit(|bootstrap| {
            let mut listener = egress.bootstrap()["static_resources"]["listeners"][0].clone();
            listener["name"] = json!("egress");
            bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(listener);
        })
    });
    let listeners = stack.envoy.listeners().unwrap();
    let traced = |target: &str, span: &str| {
        Request::get(target).header("traceparent", format!("00-{TRACE}-{span}-01"))
    };
    let inbound = listeners["gateway"];
    assert_eq!(send(inbound, &traced("/users/7", "00000000000000a1")).unwrap().status, 200);
    for target in ["/status/200", "/status/404"] {
        send(listeners["egress"], &traced(target, "00000000000000b2")).unwrap();
    }

    let ask = |query: &str| stack.ingest.get_json(&format!("/api/v1/{query}"));
    let rows = |query: &str, wanted: usize| {
        let found = wait::eventually(query, || {
            let rows = ask(query)?["rows"].as_array().cloned().unwrap_or_default();
            Ok((rows.len() == wanted).then_some(rows))
        });
        found.unwrap()
    };
    // The calls of the request, by its trace, and never mixed with inbound requests.
    let calls = rows(&format!("requests?trace_id={TRACE}&direction=outbound"), 2);
    let shown = |row: &Value| json!([row["direction"], row["route"], row["status"], row["error_type"]]);
    let mut found: Vec<Value> = calls.iter().map(shown).collect();
    found.sort_by_key(Value::to_string);
    let template = "/status/{code}";
    assert_eq!(
        found,
        [json!(["outbound", template, 200, null]), json!(["outbound", template, 404, "404"])],
        "{mode:?}"
    );
    let caused = rows(&format!("requests?trace_id={TRACE}"), 1);
    assert_eq!(shown(&caused[0]), json!(["inbound", "/users/{id}", 200, null]));
    assert_eq!(rows(&format!("requests?trace_id={TRACE}&direction=inbound,outbound"), 3).len(), 3);

    let counted = |query: &str, requests: u64| {
        let found = wait::eventually(query, || {
            let row = ask(query)?["rows"][0].clone();
            Ok((row["requests"] == requests).then_some(row))
        });
        found.unwrap()
    };
    counted("summary", 1);
    let calls = counted("summary?direction=outbound&group_by=direction,host", 2);
    // The conventions require the host of a client's metrics.
    assert_eq!((&calls["direction"], &calls["errors"]), (&json!("outbound"), &json!(0)), "{mode:?} {calls}");
    assert_ne!(calls["host"], "", "{mode:?} {calls}");
    counted("summary?direction=inbound,outbound", 3);
}
