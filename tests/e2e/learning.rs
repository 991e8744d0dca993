//! Routes are learned from traffic: the ingest learns, folds the past and hands the patterns back, and the gateway counts
//! by them from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use gatelens_model::route_patterns::VERSION_HEADER;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, Launch, Listeners, Receiver, Reply, Update, Upstream, artefacts, otlp};
use serde_json::{Value, json};

use super::report;
use super::stack::{Mode, Stack};

/// Far more than the slowest host needs; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;

/// What the gateway logs when it follows new patterns.
const IN_FORCE: &str = "of the ingest `gatelens_ingest` are in force";

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

fn learned(stack: &Stack) -> BTreeSet<String> {
    let answer = stack.ingest.get_json("/api/v1/patterns").unwrap();
    let rows = answer["rows"].as_array().unwrap().iter();
    let templates = rows.flat_map(|row| row["templates"].as_array().unwrap().clone());
    templates.map(|template| template["route"].as_str().unwrap().to_owned()).collect()
}

/// Requests by route, in the counts and in the log.
fn check(stack: &Stack, expected: &Expected) {
    let requests = expected.values().sum();
    stack.wait_for_count(requests);
    let mut counted = Expected::new();
    for ((_, _, route, _), counts) in stack.summary() {
        *counted.entry(route).or_default() += counts.requests;
    }
    assert_eq!(&counted, expected, "{}", stack.envoy.log());
    let mut logged = Expected::new();
    for row in stack.wait_for_requests(requests as usize) {
        *logged.entry(row["route"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(&logged, expected);
    // A filter by a folded route finds what was logged before it was learned.
    let route = "/users/{param}";
    let found = stack.ingest.get_json("/api/v1/requests?limit=1000&route=/users/%7Bparam%7D").unwrap();
    assert_eq!(found["rows"].as_array().unwrap().len() as u64, expected[route]);
}

/// Series of the gateway's latest epoch.
fn series(stack: &Stack) -> u64 {
    report::gateways(&stack.ingest)[0]["series"].as_u64().unwrap()
}

fn adoptions(envoy: &Envoy) -> usize {
    envoy.log().matches(IN_FORCE).count()
}

#[test]
fn learned_routes_fold_the_past_and_survive_every_restart() {
    let mut stack = Stack::launch(Mode::Logger, Listeners::Discovered, |config| config.plugin(&plugin()));
    let mut expected = Expected::new();
    let address = stack.envoy.address();
    for round in 0..8 {
        wave(address, 800, 0, &mut expected);
        // The rest of what is learned follows when the next batches arrive.
        sleep(Duration::from_millis(1_200));
        eprintln!("after {} requests: {:?}", (round + 1) * 800, learned(&stack));
    }
    check(&stack, &expected);
    assert!(adoptions(&stack.envoy) > 0, "{}", stack.envoy.log());

    // The second wave has names that nobody has seen: the gateway itself counts it under the patterns.
    let before = series(&stack);
    wave(address, 1_600, 2_000, &mut expected);
    check(&stack, &expected);
    assert!(series(&stack) <= before, "{before} {}", series(&stack));

    let known = learned(&stack);
    assert!(known.contains("/repos/{param}/{param}/issues/{number}"), "{known:?}");
    stack.ingest.kill().unwrap();
    wave(address, 400, 2_500, &mut expected);
    stack.ingest.restart().unwrap();
    check(&stack, &expected);
    assert_eq!(learned(&stack), known);

    // A configuration update keeps the patterns.
    let mut changed = plugin();
    changed["debug"] = json!(true);
    let update = stack.envoy.update(&stack.config.clone().plugin(&changed)).unwrap();
    assert_eq!(update, Update::Accepted);
    let before = series(&stack);
    wave(address, 800, 3_000, &mut expected);
    check(&stack, &expected);
    assert!(series(&stack) <= before, "{before} {}", series(&stack));

    // A new process gets them back with its first answers.
    let launch = Launch { listeners: Listeners::Discovered, ..Launch::default() };
    stack.envoy = Envoy::launch(&stack.config, &launch).unwrap();
    let address = stack.envoy.address();
    wave(address, 16, 3_500, &mut expected);
    wait("the patterns to come back", || adoptions(&stack.envoy) == 1);
    // Each worker follows on its next tick.
    sleep(Duration::from_secs(2));
    let before = series(&stack);
    wave(address, 800, 4_000, &mut expected);
    check(&stack, &expected);
    assert!(series(&stack) <= before + 9, "{before} {}", series(&stack));
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
