//! Routes are learned from traffic: the ingest learns, folds the past and hands the patterns back, and the gateway counts
//! by them from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use gatelens_model::route_patterns::VERSION_HEADER;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, Launch, Receiver, Reply, Upstream, artefacts, otlp};
use serde_json::{Value, json};

use super::stack::Mode;

/// Far more than the slowest host needs; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;

fn plugin() -> Value {
    json!({
        "version": 1,
        "service": {"name": "forge", "environment": "test"},
        "ingest": {"cluster": "gatelens_ingest"},
        "routes": {"templates": ["GET /repos/{owner}/starred-template"]},
    })
}

/// A name that nothing tells from a word, another one for each number.
fn word(mut number: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ra", "mi", "lo", "ten", "va", "sol", "ki", "dor", "pe", "lum", "fa", "gor", "ni", "bel", "tu", "sha",
    ];
    let mut word = String::new();
    for _ in 0..3 {
        word.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
    }
    word
}

/// Requests by the route that they should have in the end.
type Expected = BTreeMap<String, u64>;

/// Requests to an API of owners and repositories, whose names begin at these numbers; no more than 60 owners.
fn wave(address: SocketAddr, requests: usize, first: usize, expected: &mut Expected) {
    let targets: Vec<(String, &str)> = (0..requests)
        .map(|n| {
            let (owner, name) = (word(first + n % 60), word(first + 1_000 + n % 120));
            match n % 16 {
                0 => ("/search/repositories".to_owned(), "/search/repositories"),
                1 => ("/health".to_owned(), "/health"),
                2..=5 => (format!("/repos/{owner}/{name}"), "/repos/{param}/{param}"),
                6..=9 => (format!("/repos/{owner}/{name}/issues"), "/repos/{param}/{param}/issues"),
                10..=11 => {
                    (format!("/repos/{owner}/{name}/issues/{n}"), "/repos/{param}/{param}/issues/{number}")
                }
                12 => (format!("/repos/{owner}/{name}/pulls"), "/repos/{param}/{param}/pulls"),
                13 => (format!("/users/{owner}/events"), "/users/{param}/events"),
                14 => (format!("/users/{owner}"), "/users/{param}"),
                _ => (format!("/repos/{owner}/starred-template"), "/repos/{owner}/starred-template"),
            }
        })
        .collect();
    for (_, route) in &targets {
        *expected.entry((*route).to_owned()).or_default() += 1;
    }
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let own = targets.iter().skip(client).step_by(CLIENTS);
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for (path, _) in own {
                    let response = connection.request(&Request::get(format!("{path}?status=200"))).unwrap();
                    assert_eq!(response.status, 200, "{path}");
                }
            });
        }
    });
}

/// Waits until something holds.
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_ingest_that_answers_garbage_for_the_patterns_changes_nothing() {
    artefacts::or_skip();
    let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
    let body = b"<html>not what was asked for</html>".to_vec();
    let garbage = Reply::Status { status: 200, headers: Vec::new(), body };
    receiver.reply_always(garbage.header(VERSION_HEADER, "0123456789abcdef"));
    let config = Mode::Filter.config().upstream(upstream.address()).unwrap();
    let config = config.ingest(receiver.address()).unwrap().plugin(&plugin());
    let envoy = Envoy::launch(&config, &Launch::default()).unwrap();
    let mut expected = Expected::new();
    wave(envoy.address(), 160, 0, &mut expected);
    let warning = "the route patterns of the ingest `gatelens_ingest` are ignored";
    wait("the warning", || envoy.log().contains(warning));
    wave(envoy.address(), 160, 0, &mut expected);
    let exports =
        || -> Vec<_> { receiver.captured().into_iter().filter(|request| request.method == "POST").collect() };
    wait("all counts", || otlp::counts(&exports()).values().sum::<u64>() == 320);
    let fetches: Vec<_> = receiver.captured().into_iter().filter(|request| request.method == "GET").collect();
    let [fetch] = &fetches[..] else { panic!("{} requests for patterns", fetches.len()) };
    let path = "/v1/gatelens/route-patterns?service=forge&environment=test&direction=inbound";
    assert_eq!((fetch.path.as_str(), fetch.body.len()), (path, 0));
    assert_eq!(envoy.log().matches(warning).count(), 1, "{}", envoy.log());
    let routes: BTreeSet<String> =
        otlp::counts(&exports()).into_keys().map(|attributes| attributes["http.route"].clone()).collect();
    assert!(!routes.iter().any(|route| route.contains("{param}")), "{routes:?}");
}
