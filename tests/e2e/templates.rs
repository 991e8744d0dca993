//! Configured route templates.

use std::collections::BTreeMap;

use gatelens_testkit::client::{self, Connection, Request};
use gatelens_testkit::{Envoy, Error, Listeners};
use serde_json::json;

use super::stack::{Mode, Stack, plugin};

#[test]
fn each_notation_is_a_route_of_the_api_as_it_is_written() {
    let templates = [
        "GET /users/{id}",
        "/users/me",
        "/teams/:team/members/*",
        "/repos/{owner}/{repo}/compare/{base}...{head}",
        "/v1/{name=shelves/*/books/*}:publish",
        "POST /v1/{id}:cancel",
        "/reports/{id}.json",
        "/files/**",
        "/static/{path...}",
        "/assets/{*rest}",
        "/caf\u{e9}/{table}",
    ];
    let requests = [
        ("GET", "/users/42", "/users/{id}"),
        ("GET", "/users/me", "/users/me"),
        ("POST", "/users/me", "/users/me"),
        ("PUT", "/users/42", "/users/{number}"),
        ("GET", "/teams/red/members/ann", "/teams/:team/members/*"),
        ("GET", "/repos/a/b/compare/main...next", "/repos/{owner}/{repo}/compare/{base}...{head}"),
        ("POST", "/v1/shelves/1/books/2:publish", "/v1/{name=shelves/*/books/*}:publish"),
        ("POST", "/v1/job:cancel", "/v1/{id}:cancel"),
        ("POST", "/v1/job%3Acancel", "/v1/{id}:cancel"),
        ("GET", "/reports/monthly.json", "/reports/{id}.json"),
        ("GET", "/files", "/files/**"),
        ("GET", "/files/a/b/c", "/files/**"),
        ("GET", "/static/", "/static/{path...}"),
        ("GET", "/static/a/b", "/static/{path...}"),
        ("GET", "/static", "/static"),
        ("GET", "/assets/a/b", "/assets/{*rest}"),
        ("GET", "/assets/", "/assets/"),
        ("GET", "/caf%C3%A9/7", "/caf\u{e9}/{table}"),
    ];
    for mode in Mode::each() {
        let mut config = plugin();
        config["routes"] = json!({"templates": templates});
        let stack = Stack::launch(mode, Listeners::Static, |envoy| envoy.plugin(&config));
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (method, path, route) in requests {
            let request = Request::new(method, format!("{path}?status=200"));
            assert_eq!(client::send(stack.envoy.address(), &request).unwrap().status, 200, "{path}");
            *expected.entry(route.to_owned()).or_default() += 1;
        }
        stack.wait_for_count(requests.len() as u64);
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for ((_, _, route, _), counts) in stack.summary() {
            *counted.entry(route).or_default() += counts.requests;
        }
        assert_eq!(counted, expected, "{mode:?}");
        let mut logged: BTreeMap<String, u64> = BTreeMap::new();
        for row in stack.wait_for_requests(requests.len()) {
            *logged.entry(row["route"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(logged, expected, "{mode:?}");
    }
}

#[test]
fn templates_that_cannot_be_told_apart_and_too_few_slots_are_refused() {
    let check = |section: serde_json::Value, says: &str| {
        let mut config = plugin();
        for (key, value) in section.as_object().unwrap() {
            config[key] = value.clone();
        }
        match Envoy::start(&Mode::Filter.config().plugin(&config)) {
            Err(Error::Exited { log, .. }) => assert!(log.contains(says), "{log}\nshould say: {says}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{config}: a refused configuration started"),
        }
    };
    check(
        json!({"routes": {"templates": ["/ok", "/{group}/{version}", "/{kind}/{name}"]}}),
        "routes.templates[2]: `/{kind}/{name}` matches requests that `/{group}/{version}` (routes.templates[1]) matches too",
    );
    check(
        json!({"routes": {"templates": ["/users/*.json"]}}),
        "routes.templates[0]: `*.json` has more than one meaning",
    );
    check(
        json!({"routes": {"templates": ["/a", "/b", "/c"]}, "counters": {"max_routes": 2}}),
        "counters.max_routes: the templates have 3 routes, and the bound is 2; set `counters.max_routes` to 3 or more",
    );
}

#[test]
fn templates_keep_their_rows_after_a_flood_of_other_paths() {
    const TEMPLATES: usize = 60;
    let mut config = plugin();
    let templates: Vec<String> = (0..TEMPLATES).map(|n| format!("GET /api/resource-{n}/{{id}}")).collect();
    config["routes"] = json!({"templates": templates});
    config["counters"] = json!({"max_routes": TEMPLATES + 5, "max_series": 8 * TEMPLATES});
    let stack = Stack::launch(Mode::Filter, Listeners::Static, |envoy| envoy.plugin(&config));
    let mut connection = Connection::open(stack.envoy.address()).unwrap();
    let mut get = |path: &str| {
        let request = Request::get(format!("{path}?status=200"));
        assert_eq!(connection.request(&request).unwrap().status, 200, "{path}");
    };
    // Words of letters, each of them twice, so that no shape takes them together.
    let word =
        |n: usize| (0..3).map(|at| char::from(b'a' + (n / 26_usize.pow(at) % 26) as u8)).collect::<String>();
    for n in 0..600 {
        let path = format!("/{0}/{0}", word(n));
        get(&path);
        get(&path);
    }
    for n in 0..TEMPLATES {
        (0..3).for_each(|id| get(&format!("/api/resource-{n}/{id}")));
    }
    stack.wait_for_count(1_200 + 3 * TEMPLATES as u64);
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for ((_, _, route, _), counts) in stack.summary() {
        *counted.entry(route).or_default() += counts.requests;
    }
    for n in 0..TEMPLATES {
        assert_eq!(counted.remove(&format!("/api/resource-{n}/{{id}}")), Some(3), "{n}: {counted:?}");
    }
    assert_eq!(counted.values().sum::<u64>(), 1_200, "{counted:?}");
    assert!(counted.contains_key("__overflow__"), "there was no flood: {counted:?}");
}
