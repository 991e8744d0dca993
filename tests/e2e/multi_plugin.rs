//! Several listeners and several plugins in one process: each counts its own requests, once.

use std::collections::BTreeMap;
use std::thread;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Upstream, artefacts};
use serde_json::{Value, json};

use super::report;

/// Listeners with their plugins: two plugins that differ in name, service and consumer header.
const LISTENERS: [(&str, &[&str], usize); 4] = [
    ("first", &["one"], 60),
    ("second", &["two"], 70),
    ("third", &["one", "two"], 80),
    ("fourth", &["one"], 90),
];

#[test]
fn plugins_of_one_process_do_not_mix() {
    artefacts::or_skip();
    // Istio leaves the id empty.
    for vm_id in ["gatelens", ""] {
        check(vm_id);
    }
}

fn check(vm_id: &str) {
    let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
    let config = EnvoyConfig::http_filter().unwrap().vm_id(vm_id);
    let config = config.upstream(upstream.address()).unwrap().ingest(ingest.address()).unwrap();
    let envoy = Envoy::start(&config.edit(multiply)).unwrap();
    let addresses = envoy.listeners().unwrap();

    let mut expected = BTreeMap::<String, u64>::new();
    thread::scope(|scope| {
        for (listener, plugins, requests) in LISTENERS {
            for plugin in plugins {
                *expected.entry((*plugin).to_owned()).or_default() += requests as u64;
            }
            let address = addresses[listener];
            scope.spawn(move || {
                let mut connections = [(); 4].map(|()| Connection::open(address).unwrap());
                for n in 0..requests {
                    let request = Request::get("/status/200").header("x-one", "one").header("x-two", "two");
                    assert_eq!(connections[n % 4].request(&request).unwrap().status, 200);
                }
            });
        }
    });

    let total: u64 = expected.values().sum();
    let fates = report::settled(&ingest, total);
    assert_eq!((fates.captured, fates.sent, fates.held), (total, total, 0), "{vm_id:?}");
    let summary = ingest.get_json("/api/v1/summary?group_by=consumer").unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let counted: BTreeMap<String, u64> = summary["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "consumer"), row["requests"].as_u64().unwrap()))
        .collect();
    assert_eq!(counted, expected, "{vm_id:?}");
    let captured: BTreeMap<String, u64> = report::gateways(&ingest)
        .iter()
        .map(|gateway| (text(gateway, "service"), gateway["captured"].as_u64().unwrap()))
        .collect();
    assert_eq!(captured, expected, "{vm_id:?}");
}

/// Makes the one listener of a bootstrap all of [`LISTENERS`].
fn multiply(bootstrap: &mut Value) {
    let template = bootstrap["static_resources"]["listeners"][0].clone();
    let listeners = LISTENERS.map(|(name, plugins, _)| {
        let mut listener = template.clone();
        listener["name"] = json!(name);
        let filters = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
        let all = filters.as_array().unwrap().clone();
        let [gatelens, router] = &all[..] else { panic!("{all:?}") };
        let mut chain: Vec<Value> = plugins.iter().map(|plugin| named(gatelens.clone(), plugin)).collect();
        chain.push(router.clone());
        *filters = json!(chain);
        listener
    });
    bootstrap["static_resources"]["listeners"] = json!(listeners);
}

fn named(mut filter: Value, name: &str) -> Value {
    let configuration = json!({
        "version": 1,
        "service": {"name": name},
        "ingest": {"cluster": "gatelens_ingest"},
        "consumer": {"sources": [{"header": format!("x-{name}")}]},
    });
    filter["name"] = json!(name);
    let plugin = &mut filter["typed_config"]["config"];
    plugin["name"] = json!(name);
    plugin["configuration"]["value"] = json!(configuration.to_string());
    filter
}
