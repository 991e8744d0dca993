//! The search of the request log, from the query string to the rows.

use crate::support::Service;
use crate::support::otlp::{Frame, NOON, export_logs, log, made, record, text};
use serde_json::Value;

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn ask(service: &Service, search: &str, more: &str) -> (u16, Value) {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("q", search).finish();
    let answer = service.get(&format!("/api/v1/requests?{DAY}&{query}{more}"));
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// The paths of the rows that a search finds, the earliest first.
fn paths(service: &Service, search: &str, more: &str) -> Vec<String> {
    let (status, answer) = ask(service, search, more);
    assert_eq!(status, 200, "{search}: {answer}");
    let rows = answer["rows"].as_array().unwrap().iter().rev();
    rows.map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

fn with_requests() -> Service {
    let service = Service::start();
    let made = [
        made("/users/{number}", 200, 0.05),
        made("/users/search", 429, 0.2),
        made("/orders/{number}", 503, 1.5),
    ];
    let paths = ["/users/42", "/users/search", "/orders/7"];
    let records = (0u64..).zip(made.iter().zip(paths)).map(|(number, (made, path))| {
        let mut record = record(NOON + number, made);
        record.attributes.retain(|attribute| attribute.key != "url.path");
        record.attributes.push(text("url.path", path));
        if number == 2 {
            record.attributes.push(text("gatelens.response.body.content", r#"{"error":"out of stock"}"#));
        }
        record
    });
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(records.collect())).accepted();
    service.send("/v1/metrics", Some(("edge-1", 1, 1)), &Frame::at(NOON).of(&made)).accepted();
    service
}

#[test]
fn a_search_finds_the_requests_that_match_all_of_its_terms() {
    let service = with_requests();
    let all = ["/users/42", "/users/search", "/orders/7"];
    for (search, expected) in [
        ("", &all[..]),
        ("status:4xx,503", &all[1..]),
        ("status:4xx,503 -status:429", &all[2..]),
        ("duration>100ms path:/users/*", &all[1..2]),
        ("users", &all[..2]),
        ("get acme", &[]),
        ("GET acme", &all[..]),
        ("body:\"out of stock\"", &all[2..]),
        // The route of a path, unless the path is a route.
        ("route:/users/99", &all[..1]),
        ("route:/users/search", &all[1..2]),
        ("route:/orders/8,/users/5", &[all[0], all[2]]),
        ("direction:outbound", &[]),
        ("errors:true gateway:edge-*", &all[2..]),
    ] {
        assert_eq!(paths(&service, search, ""), expected, "{search}");
    }
    let id = format!("request_id:id-{}", NOON + 1);
    assert_eq!(paths(&service, &id, ""), &all[1..2]);
    // Single parameters and the search must both hold.
    assert_eq!(paths(&service, "status:4xx,503", "&consumer=acme&status=!429"), &all[2..]);
    assert_eq!(paths(&service, "duration>100ms", "&sort=duration"), [all[1], all[2]]);
}

#[test]
fn a_search_for_outbound_calls_needs_no_parameter_beside_it() {
    let service = Service::start();
    let mut batch = log(&[(NOON, made("/", 200, 0.1))]);
    let resource = batch.resource_logs[0].resource.as_mut().unwrap();
    resource.attributes.retain(|attribute| attribute.key != "gatelens.direction");
    resource.attributes.push(text("gatelens.direction", "outbound"));
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &batch).accepted();
    assert_eq!(paths(&service, "", "").len(), 0);
    assert_eq!(paths(&service, "direction:outbound", "").len(), 1);
    assert_eq!(paths(&service, "direction:outbound", "&direction=inbound").len(), 0);
}

#[test]
fn a_mistake_is_answered_with_its_place() {
    let service = Service::start();
    let (status, answer) = ask(&service, "acme statsu:5xx", "");
    assert_eq!(status, 400);
    let error = &answer["error"];
    assert_eq!(
        (&error["code"], &error["field"], &error["column"]),
        (&"invalid_parameter".into(), &"q".into(), &6.into())
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("at character 6 of the search: there is no key \"statsu\": did you mean status?"),
        "{message}"
    );
    let twice = service.get(&format!("/api/v1/requests?{DAY}&q=a&q=b"));
    assert_eq!(twice.status, 400);
}

#[test]
fn an_age_is_a_time() {
    let service = Service::start();
    let answer = service.json("/api/v1/requests?from=-10m");
    let time = |key: &str| answer[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("to").duration_since(time("from")).as_secs(), 600);
}
