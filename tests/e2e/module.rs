//! The dynamic module with its bootstrap extension and without it, and its work on Envoy's main thread.

use gatelens_testkit::client::{self, Connection, Request};
use gatelens_testkit::{
    Envoy, EnvoyConfig, Error, Ingest, Launch, Listeners, Update, Upstream, artefacts, paths, wait,
};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use tempfile::TempDir;

use super::report;
use super::stack::{Mode, Stack, plugin};

fn without_extension(config: EnvoyConfig) -> EnvoyConfig {
    config.edit(|bootstrap| {
        bootstrap.as_object_mut().and_then(|bootstrap| bootstrap.remove("bootstrap_extensions")).unwrap();
    })
}

#[test]
fn an_access_logger_without_the_extension_is_refused_with_the_reason() {
    match Envoy::start(&without_extension(Mode::ModuleLogger.config())) {
        Err(Error::Exited { log, .. }) => assert!(log.contains("needs the bootstrap extension"), "{log}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started"),
    }
}

#[test]
fn an_unknown_option_of_the_extension_is_refused() {
    let config = Mode::ModuleLogger.config().edit(|bootstrap| {
        let config = &mut bootstrap["bootstrap_extensions"][0]["typed_config"]["extension_config"];
        config["value"] = json!(r#"{"instnce": "edge-1"}"#);
    });
    match Envoy::start(&config) {
        Err(Error::Exited { log, .. }) => assert!(log.contains("unknown field `instnce`"), "{log}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started"),
    }
}

/// Each update destroys the configuration that the requests of the module go through.
#[test]
fn a_filter_without_the_extension_counts_over_updates() {
    let stack = Stack::launch(Mode::ModuleFilter, Listeners::Discovered, |config| {
        without_extension(config.plugin(&plugin()))
    });
    let mut sent = 0;
    for round in 0..4 {
        for _ in 0..25 {
            assert_eq!(client::get(stack.envoy.address(), "/users/1").unwrap().status, 200);
            sent += 1;
        }
        let mut changed = plugin();
        changed["routes"] = json!({"templates": [format!("GET /users/{{id{round}}}")]});
        assert_eq!(stack.envoy.update(&stack.config.clone().plugin(&changed)).unwrap(), Update::Accepted);
    }
    stack.wait_for_count(sent);
    let rows = stack.wait_for_requests(sent as usize);
    assert!(rows.iter().all(|row| row["path"] == "/users/1"));
    assert!(!stack.envoy.log().contains("panicked"), "{}", stack.envoy.log());
}

#[test]
fn the_gateway_has_the_name_of_the_extension_and_a_counter_of_panics() {
    let stack = Stack::launch(Mode::ModuleBoth, Listeners::Static, |config| {
        config.plugin(&plugin()).edit(|bootstrap| {
            let config = &mut bootstrap["bootstrap_extensions"][0]["typed_config"]["extension_config"];
            config["value"] = json!(r#"{"instance": "edge-7"}"#);
        })
    });
    let mut connection = Connection::open(stack.envoy.address()).unwrap();
    for _ in 0..10 {
        connection.request(&Request::get("/users/1")).unwrap();
    }
    stack.wait_for_count(10);
    let gateways = report::gateways(&stack.ingest);
    let names: Vec<&Value> = gateways.iter().map(|gateway| &gateway["instance"]).collect();
    assert_eq!(names, [&json!("edge-7")]);
    let panics = stack.envoy.stats("gatelens_panics").unwrap();
    assert_eq!(panics.values().copied().collect::<Vec<_>>(), [0], "{panics:?}");
}

#[test]
fn a_filter_answers_prometheus_with_the_counters_of_the_others() {
    let mut scraping = plugin();
    scraping["scrape"] = json!({"labels": ["http_route"]});
    let stack = Stack::launch(Mode::ModuleFilter, Listeners::Static, |config| {
        let listener = "/static_resources/listeners/0";
        let mut endpoint = config.clone().plugin(&scraping).bootstrap().pointer(listener).unwrap().clone();
        endpoint["name"] = json!("scrape");
        config.plugin(&plugin()).edit(|bootstrap| {
            bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(endpoint);
        })
    });
    let listeners = stack.envoy.listeners().unwrap();
    for _ in 0..7 {
        client::get(listeners["gateway"], "/users/1").unwrap();
    }
    let wanted = "http_server_request_duration_seconds_count{http_route=\"/users/{id}\"} 7";
    wait::eventually("the counters on the page", || {
        let page = client::get(listeners["scrape"], "/metrics")?;
        assert_eq!(page.status, 200);
        Ok(page.text().contains(wanted).then_some(()))
    })
    .unwrap();
    assert_eq!(client::get(listeners["scrape"], "/users/1").unwrap().status, 404);
    stack.wait_for_count(7);
}

/// A body that is too large to be redacted at once waits for the ticks of the main thread.
#[test]
fn a_large_body_is_redacted_in_slices() {
    let stack = Stack::launch(Mode::ModuleFilter, Listeners::Static, |config| {
        let mut capturing = plugin();
        capturing["capture"] = json!({"request_body": true, "max_body_bytes": 1_048_576});
        config.plugin(&capturing)
    });
    let body = format!(r#"{{"token": "8675309", "items": [{}]}}"#, vec!["{\"a\": 1}"; 30_000].join(", "));
    let request = Request::post("/echo/7", body.as_bytes()).header("content-type", "application/json");
    let answer = Connection::open(stack.envoy.address()).unwrap().request(&request).unwrap();
    assert_eq!(answer.text(), body);
    let [row] = &stack.wait_for_requests(1)[..] else { panic!("one request") };
    assert_eq!(row["request_body"], json!(body.replace("8675309", "[CLIENT_REDACTED]")), "{row}");
}

/// The name of a second copy of the library.
const NEXT: &str = "gatelens_next";

/// Names another library wherever there is one.
fn rename(value: &mut Value, library: &str) {
    if let Some(name) = value.pointer_mut("/dynamic_module_config/name") {
        *name = json!(library);
    }
    let parts: Vec<&mut Value> = match value {
        Value::Object(object) => object.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => return,
    };
    parts.into_iter().for_each(|part| rename(part, library));
}

/// Two versions in one process have nothing in common: each counts the requests of its listeners and delivers by an extension of
/// its own, so a change from one to the other counts each request once.
#[test]
fn a_change_to_another_library_and_back_under_traffic_counts_each_request_once() {
    for mode in [Mode::ModuleFilter, Mode::ModuleLogger] {
        artefacts::or_skip();
        let directory = TempDir::new().unwrap();
        fs::copy(paths::native().unwrap(), directory.path().join(format!("lib{NEXT}.so"))).unwrap();
        let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
        let config = mode.config().upstream(upstream.address()).unwrap().ingest(ingest.address()).unwrap();
        let released = config.plugin(&plugin()).edit(|bootstrap| {
            let extensions = bootstrap["bootstrap_extensions"].as_array_mut().unwrap();
            let mut second = extensions[0].clone();
            second["name"] = json!("second");
            rename(&mut second, NEXT);
            extensions.push(second);
        });
        let next = released.clone().edit(|bootstrap| rename(&mut bootstrap["static_resources"], NEXT));
        let launch = Launch {
            listeners: Listeners::Discovered,
            directory: Some(directory.path().to_owned()),
            ..Launch::default()
        };
        let envoy = Envoy::launch(&released, &launch).unwrap();
        let address = envoy.address();
        let mut sent = 0;
        for config in [&next, &released, &next] {
            thread::scope(|scope| {
                let traffic = scope.spawn(move || {
                    for _ in 0..100 {
                        // A connection of an old listener is drained, so each request has its own.
                        let answer = Connection::open(address).unwrap().request(&Request::get("/sleep/2"));
                        assert_eq!(answer.unwrap().status, 200);
                    }
                });
                assert_eq!(envoy.update(config).unwrap(), Update::Accepted, "{}", envoy.log());
                traffic.join().unwrap();
            });
            sent += 100;
        }
        let fates = report::settled(&ingest, sent);
        assert_eq!(report::counted(&ingest), sent, "{mode:?} {}", envoy.log());
        assert_eq!((fates.captured, fates.sent, fates.held), (sent, sent, 0), "{mode:?}");
        // Each library is a gateway of its own.
        assert_eq!(report::gateways(&ingest).len(), 2, "{mode:?}");
    }
}
