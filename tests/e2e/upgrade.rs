//! Two versions of the module in one Envoy lose none of each other's counts.
//!
//! The module for tests (`make wasm-trap`) acts as the next version: it appends to the values in shared data (feature
//! `next-version` of the core), as a newer filter may.

use std::path::PathBuf;
use std::thread;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Listeners, Update, Upstream, artefacts, paths};
use serde_json::{Value, json};

use super::report;
use super::stack::{Mode, Stack, plugin};

/// Both modules, the released one first.
fn modules() -> [PathBuf; 2] {
    artefacts::or_skip();
    [paths::wasm().unwrap(), paths::trap_wasm().unwrap()]
}

/// Requests per connection.
const REQUESTS: u64 = 300;

/// One listener with the released module and one with the next, for the same counters.
fn side_by_side(bootstrap: &mut Value) {
    let template = bootstrap["static_resources"]["listeners"][0].clone();
    let listeners = modules().into_iter().enumerate().map(|(index, module)| {
        let mut listener = template.clone();
        listener["name"] = json!(format!("listener-{index}"));
        let filter =
            &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]["typed_config"];
        filter["config"]["vm_config"]["code"] = json!({"local": {"filename": module}});
        listener
    });
    bootstrap["static_resources"]["listeners"] = listeners.collect();
}

#[test]
fn two_versions_side_by_side_count_every_request_once() {
    let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
    let config = EnvoyConfig::http_filter().unwrap().plugin(&plugin());
    let config = config.upstream(upstream.address()).unwrap().ingest(ingest.address()).unwrap();
    let envoy = Envoy::start(&config.edit(side_by_side)).unwrap();

    // The same series from both, so that each worker writes over values that another version wrote.
    let addresses: Vec<_> = envoy.listeners().unwrap().into_values().collect();
    assert_eq!(addresses.len(), 2);
    thread::scope(|scope| {
        for address in addresses.iter().chain(&addresses) {
            scope.spawn(move || {
                let mut connection = Connection::open(*address).unwrap();
                for n in 0..REQUESTS {
                    // Slowly enough that many ticks of both versions pass.
                    let request = Request::get(format!("/sleep/{}", 5 + n % 3)).header("x-consumer-id", "a");
                    assert_eq!(connection.request(&request).unwrap().status, 200);
                }
            });
        }
    });

    let sent = 4 * REQUESTS;
    let fates = report::settled(&ingest, sent);
    assert_eq!(report::counted(&ingest), sent, "{}", envoy.log());
    assert_eq!((fates.captured, fates.sent, fates.held, fates.workers_lost), (sent, sent, 0, 0));
    // One set of counters for both, or they did not share anything.
    assert_eq!(report::gateways(&ingest).len(), 1);
}

#[test]
fn an_upgrade_and_its_way_back_under_traffic_lose_nothing() {
    let [released, next] = modules();
    let stack =
        Stack::launch(Mode::Filter, Listeners::Discovered, |config| config.plugin(&plugin()).wasm(&released));
    let address = stack.envoy.address();
    let mut sent = 0;
    for module in [&next, &released, &next] {
        thread::scope(|scope| {
            let traffic = scope.spawn(move || {
                for _ in 0..40 {
                    // A connection of an old listener is drained, so each request has its own.
                    let response = Connection::open(address).unwrap().request(&Request::get("/users/1"));
                    assert_eq!(response.unwrap().status, 200);
                }
            });
            let config = stack.config.clone().wasm(module);
            assert_eq!(stack.envoy.update(&config).unwrap(), Update::Accepted, "{}", stack.envoy.log());
            traffic.join().unwrap();
        });
        sent += 40;
    }
    stack.wait_for_count(sent);
    let fates = report::settled(&stack.ingest, sent);
    assert_eq!((fates.captured, fates.sent, fates.held, fates.workers_lost), (sent, sent, 0, 0), "{fates:?}");
    assert_eq!(report::gateways(&stack.ingest).len(), 1, "the counters continue");
}
