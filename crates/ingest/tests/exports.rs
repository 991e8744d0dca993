//! All requests that match, as a file.

use crate::support::Service;
use crate::support::otlp::{Made, NOON, export_logs, log, made, record, text};
use gatelens_ingest::Limits;
use serde_json::{Value, json};

const DAY: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";

fn with_requests(limits: Limits, count: u64) -> Service {
    let service = Service::with(limits);
    for (sequence, first) in (1..).zip((0..count).step_by(500)) {
        let all: Vec<(u64, Made)> = (first..count.min(first + 500))
            .map(|at| (NOON + at, made(if at % 10 == 0 { "/tenth" } else { "/a" }, 200, 0.1)))
            .collect();
        service.send("/v1/logs", Some(("edge-1", 1, sequence)), &log(&all)).accepted();
    }
    service
}

#[test]
fn an_export_has_every_request_that_matches_once_and_the_newest_first() {
    let service = with_requests(Limits::default(), 2_300);
    let answer = service.get(&format!("/api/v1/requests/export?{DAY}&format=ndjson"));
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.header("x-gatelens-max-rows")),
        (200, "application/x-ndjson", "1000000")
    );
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"requests.ndjson\"");
    let rows: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2_300);
    let time = |row: &Value| row["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(rows.windows(2).all(|pair| time(&pair[0]) > time(&pair[1])));
    let page = service.json(&format!("/api/v1/requests?{DAY}&limit=1"));
    assert_eq!(rows[0], page["rows"][0]);

    let answer = service.get(&format!("/api/v1/requests/export?{DAY}&q=route:/tenth"));
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    let text = answer.text();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines[0].split(',').collect::<Vec<_>>(), gatelens_ingest::request_columns());
    assert_eq!(lines.len(), 231);
    assert!(lines[1..].iter().all(|line| line.contains(",/tenth,")));
}

#[test]
fn an_export_ends_at_its_bound_and_states_it() {
    let service = with_requests(Limits { export_rows: 1_500, ..Limits::default() }, 2_300);
    for (query, rows) in [("", 1_500), ("&limit=7", 7), ("&limit=1000", 1_000), ("&q=route:/nothing", 0)] {
        let answer = service.get(&format!("/api/v1/requests/export?{DAY}&format=ndjson{query}"));
        assert_eq!(answer.text().lines().count(), rows, "{query}");
        let stated = if query.starts_with("&limit") { rows } else { 1_500 };
        assert_eq!(answer.header("x-gatelens-max-rows"), stated.to_string(), "{query}");
    }
}

#[test]
fn a_spreadsheet_runs_no_text_of_a_client() {
    let service = Service::start();
    let mut formula = record(NOON, &made("/a", 200, 0.1));
    formula.attributes.retain(|known| known.key != "user_agent.original");
    formula.attributes.push(text("user_agent.original", "=HYPERLINK(\"http://x\")"));
    service.send("/v1/logs", Some(("edge-1", 1, 1)), &export_logs(vec![formula])).accepted();
    let csv = service.get(&format!("/api/v1/requests/export?{DAY}")).text();
    assert!(csv.contains(",\"'=HYPERLINK(\"\"http://x\"\")\","), "{csv}");
}

#[test]
fn wrong_questions_are_refused_before_the_file_begins() {
    let service = Service::with(Limits { exports: 0, ..Limits::default() });
    for (query, field) in [
        ("format=xlsx", "format"),
        ("limit=0", "limit"),
        ("cursor=1", "cursor"),
        ("q=statsu:5xx", "q"),
        ("sort=time", "sort"),
    ] {
        let answer = service.get(&format!("/api/v1/requests/export?{query}"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (400, &json!(field)), "{query}");
    }
    let answer = service.get("/api/v1/requests/export");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &body["error"]["code"]), (503, &json!("exports")));
}
