//! `gatelens query` against a running service and against its files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::export::{Frame, NOON, SECOND, log, made};
use gatelens_testkit::wait::PATIENCE;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};
use support::{EDGE, Service, gatelens};

const RANGE: [&str; 4] = ["--from", "2026-06-20T00:00:00Z", "--to", "2026-06-21T00:00:00Z"];

/// Exit status, stdout and stderr.
fn query(arguments: &[&str]) -> (i32, String, String) {
    let output = gatelens(&["query"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn with_data(dir: &std::path::Path) -> Service {
    let service = Service::start(dir);
    let all = [made("/a", 200, 0.1), made("/a", 200, 0.1), made("/b, c", 503, 0.2)];
    assert!(service.send("/v1/metrics", EDGE, 1, &Frame::at(NOON).of(&all)));
    let requests: Vec<_> = (0..1500).map(|i| (NOON + i * SECOND / 100, made("/a", 200, 0.1))).collect();
    assert!(service.send("/v1/logs", EDGE, 1, &log(&requests)));
    service
}

#[test]
fn answers_are_printed_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let service = with_data(dir.path());
    let data = dir.path().to_str().unwrap();
    for source in [["--url", service.url.as_str()], ["--data", data]] {
        let ask = |arguments: &[&str]| {
            let (status, out, err) = query(&[arguments, &source, &RANGE].concat());
            assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
            out
        };
        let table = ask(&["summary", "--group-by", "route,status"]);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(&lines[0][..4], ["route", "status", "requests", "errors"], "{table}");
        assert_eq!(&lines[1][..4], ["/a", "200", "2", "0"], "{table}");

        let csv = ask(&["summary", "--group-by", "route,status", "--status", "5xx", "--format", "csv"]);
        assert!(csv.lines().nth(1).unwrap().starts_with("\"/b, c\",503,1,1,100,1000,"), "{csv}");

        let json: Value =
            serde_json::from_str(&ask(&["summary", "--route", "/a", "--format", "json"])).unwrap();
        assert_eq!(json["rows"][0]["requests"], 2);

        let series = ask(&["timeseries", "--step", "43200", "--format", "csv"]);
        assert_eq!(series.lines().count(), 3, "{series}");

        // More than the service gives at a time.
        let rows = ask(&["requests", "--limit", "1200", "--format", "csv"]);
        assert_eq!(rows.lines().count(), 1201);
        assert_eq!(ask(&["requests"]).lines().count(), 101);
    }
    let (status, out, _) = query(&["gateways", "--url", &service.url]);
    assert!(status == 0 && out.contains("edge-1"), "{out}");
    service.stop();
}

#[test]
fn csv_has_every_field_of_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let service = with_data(dir.path());
    let day = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
    let all = "service,environment,version,direction,consumer,method,route,host,upstream_cluster,status,grpc_status,\
         error_type,gateway";
    for (question, path, rows, more) in [
        ("summary", format!("summary?{day}&group_by={all}"), "rows", vec!["--group-by", all]),
        ("timeseries", format!("timeseries?{day}"), "points", vec![]),
        ("timeseries", format!("timeseries?{day}&compare=day"), "points", vec!["--compare", "day"]),
        ("requests", format!("requests?{day}"), "rows", vec![]),
        ("gateways", "gateways".to_owned(), "rows", vec![]),
        ("consumers", "consumers".to_owned(), "rows", vec![]),
        ("releases", "releases".to_owned(), "rows", vec![]),
    ] {
        let answer = service.json(&format!("/api/v1/{path}"));
        let mut expected = BTreeSet::new();
        for (name, value) in answer[rows][0].as_object().unwrap() {
            match value.as_object().filter(|_| name != "tags") {
                Some(inner) => expected.extend(inner.keys().map(|key| format!("{name}.{key}"))),
                None => drop(expected.insert(name.clone())),
            }
        }
        let range =
            if ["gateways", "consumers", "releases"].contains(&question) { &[][..] } else { &RANGE[..] };
        let (_, csv, _) =
            query(&[&[question, "--url", &service.url, "--format", "csv"], range, &more].concat());
        let found: BTreeSet<String> = csv.lines().next().unwrap().split(',').map(str::to_owned).collect();
        assert_eq!(found, expected, "{question}");
    }
    service.stop();
}

#[test]
fn questions_have_the_criteria_and_the_pages_of_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let service = with_data(dir.path());
    let ask = |arguments: &[&str]| {
        let (status, out, err) =
            query(&[arguments, &RANGE, &["--url", &service.url, "--format", "csv"]].concat());
        assert_eq!(status, 0, "{arguments:?}: {err}");
        out.lines().count() - 1
    };
    assert_eq!(ask(&["requests", "--path", "/a*", "--min-duration-ms", "50", "--sort", "duration"]), 100);
    assert_eq!(ask(&["requests", "--path", "!/a"]), 0);
    assert_eq!(ask(&["requests", "--max-duration-ms", "50"]), 0);
    assert_eq!(ask(&["requests", "--gateway", "!edge-1"]), 0);
    assert_eq!(ask(&["requests", "--sort", "duration", "--limit", "1100"]), 1100);
    assert_eq!(ask(&["summary", "--group-by", "gateway", "--gateway", "edge-1"]), 1);
    assert_eq!(ask(&["requests", "--q", "status:2xx duration>=50ms", "--limit", "1100"]), 1100);
    assert_eq!(ask(&["requests", "--q", "-status:200"]), 0);
    service.stop();
}

#[test]
fn rows_have_the_order_and_the_columns_that_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let service = with_data(dir.path());
    let ask = |arguments: &[&str]| query(&[arguments, &RANGE, &["--url", &service.url]].concat());
    let columns = ["summary", "--group-by", "route", "--columns", "route,errors,p95_ms"];
    let (_, table, _) = ask(&[&columns[..], &["--sort", "errors"]].concat());
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["route", "errors", "p95_ms"], "{table}");
    assert_eq!(lines[1][..3], ["/b,", "c", "1"], "{table}");
    // The first by the order, and not the first of the service.
    let (_, csv, _) = ask(&[&columns[..], &["--sort", "errors", "--limit", "1", "--format", "csv"]].concat());
    assert_eq!(csv.lines().count(), 2, "{csv}");
    assert!(csv.lines().nth(1).unwrap().starts_with("\"/b, c\",1,"), "{csv}");
    for (wrong, words) in [
        (&["summary", "--sort", "eror"][..], "`eror` (--sort)"),
        (&["summary", "--columns", "eror"], "no column `eror`"),
        (&["summary", "--columns", "errors", "--format", "json"], "JSON has all columns"),
        (&["timeseries", "--sort", "errors"], "leave --sort out"),
        (&["requests", "--sort", "path"], "(--sort)"),
    ] {
        let (status, out, err) = ask(wrong);
        assert_eq!((status, out.as_str()), (2, ""), "{wrong:?}");
        assert!(err.contains(words), "{wrong:?}: {err}");
    }
    service.stop();
}

#[test]
fn requests_are_followed_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(service.send("/v1/logs", EDGE, 1, &log(&[(now(), made("/first", 200, 0.1))])));
    let mut child = gatelens(&["query", "requests", "--follow", "--format", "csv", "--q", "-path:/other"])
        .args(["--url", &service.url])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("time,consumer,"));
    assert!(lines.next().unwrap().contains(",/first,"));
    let more = [(now(), made("/second", 200, 0.1)), (now(), made("/other", 200, 0.1))];
    assert!(service.send("/v1/logs", EDGE, 2, &log(&more)));
    assert!(lines.next().unwrap().contains(",/second,"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lines.next(), None);
    service.stop();
}

#[test]
fn all_requests_are_exported_with_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let service = with_data(dir.path());
    let ask = |arguments: &[&str]| {
        let (status, out, err) = query(&[&["requests", "--all"], arguments, &RANGE].concat());
        assert_eq!(status, 0, "{arguments:?}: {err}");
        (out, err)
    };
    let data = dir.path().to_str().unwrap();
    for from in [["--url", &service.url], ["--data", data]] {
        let (out, err) = ask(&[&["--format", "json"], &from[..]].concat());
        let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((rows.len(), err.as_str()), (1500, "gatelens: 1500 requests\n"), "{from:?}");
        let first = rows[0]["time"].as_str().unwrap();
        assert!(first.starts_with("2026-06-20T12:00:14.99"), "the newest first, not {first}");
        let (out, err) = ask(&[&["--format", "csv", "--limit", "1050"], &from[..]].concat());
        assert_eq!((out.lines().count(), err.as_str()), (1051, "gatelens: 1050 requests\n"), "{from:?}");
        assert!(out.starts_with("time,consumer,") && !out.contains('\r'), "{from:?}");
        let (out, err) = ask(&[&["--format", "csv", "--path", "!/a"], &from[..]].concat());
        assert_eq!((out.lines().count(), err.as_str()), (1, "gatelens: 0 requests\n"), "{from:?}");
    }
    service.stop();
}

#[test]
fn alerts_are_printed_with_their_beginning_value_and_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.yaml");
    // Every disk is fuller than this.
    let rule = "{name: disk, measure: disk_percent, above: 0.001, sustain_minutes: 0, severity: critical}";
    std::fs::write(&config, format!("alerts:\n  rules: [{rule}]\n")).unwrap();
    let mut command = gatelens(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(dir.path().join("data")).arg("--config").arg(&config);
    let service = Service::start_with(command).unwrap();
    let begun = Instant::now();
    let api = loop {
        let answer = service.json("/api/v1/alerts");
        if answer["alerts"][0]["state"] == "firing" {
            break answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer:#}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let ask = |format: &str| {
        let (status, out, err) = query(&["alerts", "--url", &service.url, "--format", format]);
        assert_eq!((status, err.as_str()), (0, ""));
        out
    };
    let table = ask("table");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let columns = ["rule", "severity", "state", "labels", "since", "value", "side", "threshold", "unit"];
    assert_eq!(lines[0], columns, "{table}");
    assert_eq!(lines[1][..4], ["disk", "critical", "firing", "{}"], "{table}");
    assert_eq!(lines[1][4], api["alerts"][0]["since"], "{table}");
    assert!((0.001..=100.0).contains(&lines[1][5].parse::<f64>().unwrap()), "{table}");
    assert_eq!(lines[1][6..], ["above", "0.001", "%"], "{table}");
    let json: Value = serde_json::from_str(&ask("json")).unwrap();
    assert_eq!(json["alerts"][0]["threshold"], 0.001);
    let mut expected: BTreeSet<&str> =
        api["alerts"][0].as_object().unwrap().keys().map(String::as_str).collect();
    // A list of the last hour's values.
    assert!(expected.remove("recent"));
    let csv = ask("csv");
    assert_eq!(csv.lines().next().unwrap().split(',').collect::<BTreeSet<_>>(), expected);
    service.stop();
}

#[test]
fn what_is_wrong_is_said_with_the_right_status() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path());
    let url = service.url.clone();
    let check = |arguments: &[&str], expected: i32, words: &[&str]| {
        let (status, out, err) = query(arguments);
        assert_eq!((status, out.as_str()), (expected, ""), "{arguments:?}: {err}");
        words.iter().for_each(|word| assert!(err.contains(word), "{arguments:?} should say {word:?}: {err}"));
    };
    check(&["summary", "--url", &url, "--from", "yesterday"], 2, &["2026-01-31T12:00:00Z", "--from"]);
    check(
        &["summary", "--url", &url, "--group-by", "colour"],
        2,
        &["expected one of consumer", "--group-by"],
    );
    check(&["summary", "--url", &url, "--step", "60"], 2, &["--step"]);
    check(
        &["requests", "--url", &url, "--q", "acme statsu:5xx"],
        2,
        &["at character 6 of the search", "did you mean status?", "--q"],
    );
    check(&["summary", "--url", &url, "--from", "-10x"], 2, &["-10m", "--from"]);
    check(&["summary", "--url", &url, "--follow"], 2, &["only requests can be followed"]);
    check(&["summary", "--url", &url, "--all"], 2, &["only requests can be exported"]);
    check(&["requests", "--url", &url, "--all"], 2, &["--format csv or json"]);
    check(&["gateways", "--url", &url, "--from", "0"], 2, &["--from"]);
    check(&["alerts", "--url", &url, "--limit", "5"], 2, &["--limit"]);
    check(&["alerts", "--data", "/nowhere/at/all"], 2, &["--url"]);
    check(&["everything"], 2, &["summary"]);
    check(&["summary", "--url", &url, "--data", "x"], 2, &["cannot be used with"]);
    check(&["summary", "--data", "/nowhere/at/all"], 1, &["/nowhere/at/all"]);
    check(&["requests", "--data", "/nowhere/at/all"], 1, &["/nowhere/at/all"]);
    service.stop();
    check(&["summary", "--url", &url], 1, &["no ingest answers", &url, "gatelens serve"]);
}
