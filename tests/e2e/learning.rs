//! Routes are learned from traffic: the ingest learns, folds the past and hands the patterns back, and the gateway counts
//! by them from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use gatelens_model::route_patterns::VERSION_HEADER;
use gatelens_routes::Patterns;
use gatelens_testkit::client::{self, Connection, Request};
use gatelens_testkit::{Envoy, Launch, Listeners, Receiver, Reply, Update, Upstream, artefacts, otlp};
use serde_json::{Value, json};

use super::report;
use super::stack::{Mode, Stack};

/// Far more than the slowest host needs; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;

/// Series that a wave with new names may add: it has this many operations.
const NEW_ROUTES: u64 = 10;

/// What the gateway logs when it follows new patterns.
const IN_FORCE: &str = "of the ingest `gatelens_ingest` are in force";

fn plugin() -> Value {
    json!({
        "version": 1,
        "service": {"name": "forge", "environment": "test"},
        "ingest": {"cluster": "gatelens_ingest"},
        // Room for all that is counted before anything is learned.
        "counters": {"max_routes": 4_000, "max_series": 8_000},
        "routes": {"templates": ["GET /repos/{owner}/starred-template"]},
    })
}

/// A name that nothing tells from a word, another one for each number.
fn word(mut number: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ra", "mi", "lo", "ten", "va", "sol", "ki", "dor", "pe", "lum", "fa", "gor", "ni", "bel", "tu", "sha",
    ];
    let mut word = String::new();
    for _ in 0..4 {
        word.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
    }
    word
}

/// Requests to an API of owners and repositories, whose names begin at this number; others each time.
fn wave(address: SocketAddr, requests: usize, first: usize, paths: &mut Vec<String>) {
    let mut state = (first + paths.len()) as u64 + 7;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut path = |n: usize| {
        let number = next(150);
        let (owner, name) = (word(first + number), word(first + 1_000 + number * 4 + next(4)));
        match next(16) {
            0 => "/search/repositories".to_owned(),
            1 => "/emojis".to_owned(),
            2..=5 => format!("/repos/{owner}/{name}"),
            6..=8 => format!("/repos/{owner}/{name}/issues"),
            9..=10 => format!("/repos/{owner}/{name}/issues/{n}"),
            11 => format!("/repos/{owner}/{name}/pulls"),
            12 => format!("/users/{owner}/events"),
            13 => format!("/users/{owner}/orgs"),
            14 => format!("/users/{owner}"),
            _ => format!("/repos/{owner}/starred-template"),
        }
    };
    let targets: Vec<String> = (0..requests).map(&mut path).collect();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let own = targets.iter().skip(client).step_by(CLIENTS);
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for path in own {
                    let response = connection.request(&Request::get(format!("{path}?status=200"))).unwrap();
                    assert_eq!(response.status, 200, "{path}");
                }
            });
        }
    });
    paths.extend(targets);
}

/// Waits until something holds.
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(200));
    }
}

/// The patterns in force at the ingest.
fn learned(stack: &Stack) -> Patterns {
    let path = "/v1/gatelens/route-patterns?service=forge&environment=test&direction=inbound";
    // It answers only to a name of its own.
    let address = stack.ingest.address();
    let response = client::send(address, &Request::get(path).host(address.to_string())).unwrap();
    if response.status == 404 { Patterns::default() } else { Patterns::read(&response.text()).unwrap() }
}

/// The same places without the words that stay there: a word that is promoted later keeps its own route from then on, and
/// earlier requests stay in the parameter.
fn without_words(patterns: &Patterns) -> Patterns {
    let places: serde_json::Map<String, Value> =
        patterns.places().map(|(before, _)| (before.to_owned(), json!([]))).collect();
    Patterns::read(&json!({ "places": places }).to_string()).unwrap()
}

/// Requests by route: those of the template, and those by these patterns.
fn expected(patterns: &Patterns, paths: &[String]) -> BTreeMap<String, u64> {
    let mut routes = BTreeMap::new();
    let mut route = String::new();
    for path in paths {
        match path.ends_with("/starred-template") {
            true => route.replace_range(.., "/repos/{owner}/starred-template"),
            false => patterns.route(path.as_bytes(), &mut route),
        }
        *routes.entry(route.clone()).or_default() += 1;
    }
    routes
}

/// Requests by the route that patterns give them. A word that is promoted has its own route in the log at once, and in the
/// counts from then on.
fn by_place(patterns: &Patterns, requests: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::<String, u64>::new();
    for (route, requests) in requests {
        let is_template = route.ends_with("/starred-template");
        let folded = patterns.fold(route).filter(|_| !is_template);
        *found.entry(folded.unwrap_or_else(|| route.clone())).or_default() += requests;
    }
    found
}

/// All requests are in counts and log, under the routes that the patterns in force give them, whenever they were made.
fn check(stack: &Stack, paths: &[String]) {
    stack.wait_for_count(paths.len() as u64);
    let rows = stack.wait_for_requests(paths.len());
    let mut counted = BTreeMap::<String, u64>::new();
    for ((_, _, route, _), counts) in stack.summary() {
        *counted.entry(route).or_default() += counts.requests;
    }
    let mut logged = BTreeMap::<String, u64>::new();
    for row in rows {
        *logged.entry(row["route"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let patterns = without_words(&learned(stack));
    let found = by_place(&patterns, &counted);
    assert_eq!(by_place(&patterns, &logged), found);
    let expected = expected(&patterns, paths);
    assert_eq!(found, expected);
    // A filter by a folded route finds what was logged before it was learned.
    let found = stack.ingest.get_json("/api/v1/requests?limit=1000&route=/users/%7Bparam%7D").unwrap();
    // As many as one page has.
    assert_eq!(found["rows"].as_array().unwrap().len() as u64, logged["/users/{param}"].min(1_000));
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
    fold_and_survive(Mode::Logger);
}

#[test]
fn in_a_module_learned_routes_fold_the_past_and_survive_every_restart() {
    fold_and_survive(Mode::ModuleLogger);
}

fn fold_and_survive(mode: Mode) {
    let mut stack = Stack::launch(mode, Listeners::Discovered, |config| config.plugin(&plugin()));
    let mut paths = Vec::new();
    let address = stack.envoy.address();
    for _ in 0..4 {
        wave(address, 1_000, 0, &mut paths);
    }
    check(&stack, &paths);
    wait("the gateway to follow", || adoptions(&stack.envoy) > 0);
    let places: Vec<String> = learned(&stack).places().map(|(before, _)| before.to_owned()).collect();
    assert!(["/repos", "/users"].iter().all(|place| places.contains(&(*place).to_owned())), "{places:?}");
    // Each worker follows on its next tick.
    sleep(Duration::from_secs(2));

    // The second wave has names that nobody has seen: the gateway itself counts it under the patterns.
    let before = series(&stack);
    wave(address, 1_600, 2_000, &mut paths);
    check(&stack, &paths);
    assert!(series(&stack) <= before + NEW_ROUTES, "{before} {}", series(&stack));

    let known = learned(&stack).write();
    stack.ingest.kill().unwrap();
    wave(address, 400, 2_500, &mut paths);
    stack.ingest.restart().unwrap();
    check(&stack, &paths);
    assert_eq!(learned(&stack).write(), known);

    // A configuration update keeps the patterns.
    let mut changed = plugin();
    changed["debug"] = json!(true);
    let update = stack.envoy.update(&stack.config.clone().plugin(&changed)).unwrap();
    assert_eq!(update, Update::Accepted);
    let before = series(&stack);
    wave(address, 800, 3_000, &mut paths);
    check(&stack, &paths);
    assert!(series(&stack) <= before + NEW_ROUTES, "{before} {}", series(&stack));

    // A new process gets them back with its first answers.
    let launch = Launch { listeners: Listeners::Discovered, ..Launch::default() };
    stack.envoy = Envoy::launch(&stack.config, &launch).unwrap();
    let address = stack.envoy.address();
    wave(address, 16, 3_500, &mut paths);
    wait("the patterns to come back", || adoptions(&stack.envoy) == 1);
    // Each worker follows on its next tick.
    sleep(Duration::from_secs(2));
    let before = series(&stack);
    wave(address, 800, 4_000, &mut paths);
    check(&stack, &paths);
    assert!(series(&stack) <= before + NEW_ROUTES, "{before} {}", series(&stack));
}

/// Times at which the ingest is killed; requests, reviews and folds go on meanwhile.
const KILLS: u64 = 8;

#[test]
fn an_ingest_that_is_killed_while_it_learns_and_folds_changes_no_sum() {
    let Stack { envoy, mut ingest, upstream, config } =
        Stack::launch(Mode::Logger, Listeners::Static, |config| {
            let mut plugin = plugin();
            // Each kill delays learning: until then each path has a route of its own.
            plugin["counters"] = json!({"max_routes": 20_000, "max_series": 20_000});
            config.plugin(&plugin)
        });
    let address = envoy.address();
    let mut paths = Vec::new();
    let ingest = thread::scope(|scope| {
        let killing = scope.spawn(move || {
            for kill in 0..KILLS {
                sleep(Duration::from_millis(600 + kill * 130));
                ingest.kill().unwrap();
                ingest.restart().unwrap();
            }
            ingest
        });
        while !killing.is_finished() {
            wave(address, 400, 0, &mut paths);
        }
        killing.join().unwrap()
    });
    let stack = Stack { envoy, ingest, upstream, config };
    // Each start of the service begins with new evidence.
    let is_learned = || {
        ["/repos", "/users"].iter().all(|place| learned(&stack).places().any(|(before, _)| before == *place))
    };
    let start = Instant::now();
    while !is_learned() {
        assert!(start.elapsed() < PATIENCE, "{}", learned(&stack).write());
        wave(address, 400, 0, &mut paths);
    }
    check(&stack, &paths);
}

#[test]
fn without_a_log_routes_are_learned_from_the_counters() {
    let mut stack = Stack::launch(Mode::Logger, Listeners::Static, |config| {
        let mut plugin = plugin();
        plugin["sample"] = json!({"rate": 0});
        config.plugin(&plugin)
    });
    let mut paths = Vec::new();
    let address = stack.envoy.address();
    for _ in 0..4 {
        wave(address, 1_000, 0, &mut paths);
        stack.wait_for_count(paths.len() as u64);
    }
    wait("the gateway to follow", || adoptions(&stack.envoy) > 0);
    // Each worker follows on its next tick.
    sleep(Duration::from_secs(2));

    let before = series(&stack);
    wave(address, 1_600, 2_000, &mut paths);
    check_counts(&stack, &paths);
    assert!(series(&stack) <= before + NEW_ROUTES, "{before} {}", series(&stack));
    let rows = stack.ingest.get_json("/api/v1/requests?limit=1000").unwrap();
    assert_eq!(rows["rows"], json!([]), "the log is not switched off");

    // Neither an ingest that is away for a while nor a new process of the gateway loses or doubles a count.
    let known = learned(&stack);
    stack.ingest.kill().unwrap();
    wave(address, 400, 2_500, &mut paths);
    stack.ingest.restart().unwrap();
    check_counts(&stack, &paths);
    assert!(known.places().all(|(place, _)| learned(&stack).places().any(|(kept, _)| kept == place)));
    stack.envoy = Envoy::launch(&stack.config, &Launch::default()).unwrap();
    wave(stack.envoy.address(), 400, 3_000, &mut paths);
    check_counts(&stack, &paths);
}

/// All requests are in the counts, under the routes that the patterns in force give them; owners and users are
/// parameters.
fn check_counts(stack: &Stack, paths: &[String]) {
    stack.wait_for_count(paths.len() as u64);
    let mut counted = BTreeMap::<String, u64>::new();
    for ((_, _, route, _), counts) in stack.summary() {
        *counted.entry(route).or_default() += counts.requests;
    }
    let patterns = without_words(&learned(stack));
    let places: Vec<&str> = patterns.places().map(|(before, _)| before).collect();
    assert!(["/repos", "/repos/{}", "/users"].iter().all(|place| places.contains(place)), "{places:?}");
    assert_eq!(by_place(&patterns, &counted), expected(&patterns, paths));
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
    let mut paths = Vec::new();
    wave(envoy.address(), 160, 0, &mut paths);
    let warning = "the route patterns of the ingest `gatelens_ingest` are ignored";
    wait("the warning", || envoy.log().contains(warning));
    wave(envoy.address(), 160, 0, &mut paths);
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
