//! Learned routes: handed back to gateways, and applied to what was counted and logged before.

use crate::support::Service;
use crate::support::otlp::{Frame, NOON, log, made, record, text};
use gatelens_model::route_patterns::version;
use serde_json::Value;

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
const HEADER: &str = "x-gatelens-route-patterns";
const PATTERNS: &str = r#"{"places":{"/repos":["search"]}}"#;
const SCOPE: &str = "/v1/gatelens/route-patterns?service=orders&environment=prod&direction=inbound";

/// Patterns as an earlier run of the service stored them.
fn learned(service: &mut Service) {
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        let row = ("orders", "prod", "inbound", PATTERNS, 1, 500);
        file.execute("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?)", row).unwrap();
    });
}

/// Requests or rows by route.
fn by_route(rows: &Value) -> Vec<(String, u64)> {
    let rows = rows["rows"].as_array().unwrap().iter();
    let mut routes: Vec<_> = rows
        .map(|row| (row["route"].as_str().unwrap().to_owned(), row["requests"].as_u64().unwrap_or(1)))
        .collect();
    routes.sort();
    routes
}

#[test]
fn answers_to_gateways_name_the_version_of_what_was_learned() {
    let mut service = Service::start();
    let frame = Frame::at(NOON).of(&[made("/repos/a", 200, 0.1)]);
    let send = |service: &Service, sequence| {
        let counters = service.send("/v1/metrics", Some(("edge-1", 1, sequence)), &frame);
        let events = log(&[(NOON, made("/repos/a", 200, 0.1))]);
        let events = service.send("/v1/logs", Some(("edge-1", 1, sequence)), &events);
        [counters, events].map(|answer| answer.header(HEADER).to_owned())
    };
    assert_eq!(send(&service, 1), ["", ""]);
    assert_eq!(service.get(SCOPE).status, 404);
    learned(&mut service);
    let named = version(PATTERNS);
    assert_eq!(send(&service, 2), [named.as_str(), &named]);
    // A repeat, too: its first answer may be lost.
    assert_eq!(send(&service, 2), [named.as_str(), &named]);
    let answer = service.get(SCOPE);
    assert_eq!((answer.status, answer.header(HEADER), answer.text()), (200, &*named, PATTERNS.to_owned()));
    assert_eq!(service.get(&SCOPE.replace("inbound", "outbound")).status, 404);
    assert_eq!(service.get("/v1/gatelens/route-patterns?service=orders").status, 400);
    // Another service has learned nothing, and another sender is no gateway.
    let other = Frame { service: "carts", ..Frame::at(NOON) }.of(&[made("/a", 200, 0.1)]);
    assert_eq!(service.send("/v1/metrics", Some(("edge-1", 2, 1)), &other).header(HEADER), "");
    assert_eq!(service.send("/v1/metrics", None, &frame).header(HEADER), "");
}

#[test]
fn rows_of_the_log_are_shown_and_found_under_the_learned_route() {
    let mut service = Service::start();
    let mut template = record(NOON + 2, &made("/repos/b", 200, 0.1));
    template.attributes.push(text("gatelens.route.source", "template"));
    let mut records = log(&[
        (NOON, made("/repos/a", 200, 0.1)),
        (NOON + 1, made("/repos/b", 200, 0.1)),
        (NOON + 3, made("/repos/search", 200, 0.1)),
    ]);
    records.resource_logs[0].scope_logs[0].log_records.push(template);
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &records).accepted();
    let ask =
        |service: &Service, filter: &str| by_route(&service.json(&format!("/api/v1/requests?{DAY}{filter}")));
    let rows = |routes: &[&str]| routes.iter().map(|route| ((*route).to_owned(), 1)).collect::<Vec<_>>();
    assert_eq!(ask(&service, ""), rows(&["/repos/a", "/repos/b", "/repos/b", "/repos/search"]));
    learned(&mut service);
    let folded = "/repos/{param}";
    assert_eq!(ask(&service, ""), rows(&["/repos/b", "/repos/search", folded, folded]));
    assert_eq!(ask(&service, "&route=/repos/%7Bparam%7D"), rows(&[folded, folded]));
    assert_eq!(ask(&service, "&route=/repos/b"), rows(&["/repos/b"]));
    assert_eq!(ask(&service, "&route=/repos/a"), []);
}

#[test]
fn late_counts_of_a_gateway_with_older_patterns_are_folded() {
    let mut service = Service::start();
    learned(&mut service);
    let all = [made("/repos/a", 200, 0.1), made("/repos/b", 200, 0.1), made("/repos/search", 200, 0.1)];
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&all)).accepted();
    // Another sender's route is a template of its framework.
    let mut foreign = Frame::at(NOON).of(&[made("/repos/c", 200, 0.1)]);
    let attributes = &mut foreign.resource_metrics[0].resource.as_mut().unwrap().attributes;
    attributes.retain(|attribute| attribute.key != "gatelens.version");
    service.send("/v1/metrics", None, &foreign).accepted();
    let counts = by_route(&service.json(&format!("/api/v1/summary?{DAY}&group_by=route")));
    let expected = [("/repos/c", 1), ("/repos/search", 1), ("/repos/{param}", 2)];
    assert_eq!(counts, expected.map(|(route, requests)| (route.to_owned(), requests)));
}

#[test]
fn learned_routes_are_filtered_like_requests() {
    let mut service = Service::start();
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        for (name, direction) in
            [("orders", "inbound"), ("carts", "inbound"), ("a,b", "inbound"), ("orders", "outbound")]
        {
            let row = (name, "prod", direction, PATTERNS, 1, 500);
            file.execute("INSERT INTO patterns VALUES (?, ?, ?, ?, ?, ?)", row).unwrap();
        }
    });
    let check = |question: &str, expected: &[&str]| {
        let answer = service.json(&format!("/api/v1/patterns?{question}"));
        let rows = answer["rows"].as_array().unwrap().iter();
        let found: Vec<_> = rows
            .map(|row| format!("{} {}", row["service"].as_str().unwrap(), row["direction"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{question}");
    };
    check("", &["a,b inbound", "carts inbound", "orders inbound"]);
    check("service=orders,carts", &["carts inbound", "orders inbound"]);
    check("service=!orders,!carts", &["a,b inbound"]);
    check(r"service=a\,b", &["a,b inbound"]);
    check("direction=outbound", &["orders outbound"]);
    check("direction=inbound,outbound&service=orders", &["orders inbound", "orders outbound"]);
    assert_eq!(service.get("/api/v1/patterns?direction=sideways").status, 400);
}
