//! Exclusions, the sample and the access log on the real Envoy: every request has its fate, and every sum is exact.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gatelens_testkit::Listeners;
use gatelens_testkit::client::{Connection, Request};
use serde_json::{Value, json};

use super::report;
use super::stack::{Mode, Stack, in_both_modes, plugin};

/// Far more than the slowest host needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// 2^56: the number of values of a trace's randomness.
const ALL: u64 = 1 << 56;

/// Starts with these sections beside those of [`plugin`].
fn start(mode: Mode, sections: &Value) -> Stack {
    let mut configuration = plugin();
    configuration.as_object_mut().unwrap().extend(sections.as_object().unwrap().clone());
    Stack::launch(mode, Listeners::Static, |config| config.plugin(&configuration))
}

/// What a gateway reports of the requests that it left out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reported {
    captured: u64,
    excluded: u64,
    sampled_out: u64,
    excluded_from_counters: u64,
    held: u64,
}

impl Reported {
    fn of(stack: &Stack) -> Self {
        let mut sum = Self::default();
        for gateway in report::gateways(&stack.ingest) {
            let number = |value: &Value| value.as_u64().unwrap_or_default();
            sum.captured += number(&gateway["captured"]);
            sum.excluded += number(&gateway["not_logged"]["excluded"]);
            sum.sampled_out += number(&gateway["not_logged"]["sampled_out"]);
            sum.excluded_from_counters += number(&gateway["excluded_from_counters"]);
            sum.held += number(&gateway["held"]);
        }
        sum
    }
}

/// Waits until every one of these requests has its fate, and a moment longer in case one has two.
fn settled(stack: &Stack, requests: u64) -> Reported {
    let start = Instant::now();
    let all_known = || {
        let reported = Reported::of(stack);
        let fated = reported.captured + reported.excluded + reported.sampled_out;
        fated >= requests
            && reported.held == 0
            && stack.counted() + reported.excluded_from_counters >= requests
    };
    while !all_known() && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(200));
    }
    sleep(Duration::from_millis(2_500));
    let reported = Reported::of(stack);
    let fated = reported.captured + reported.excluded + reported.sampled_out;
    assert_eq!(fated, requests, "{reported:?} {}", stack.envoy.log());
    assert_eq!(stack.counted() + reported.excluded_from_counters, requests, "{reported:?}");
    reported
}

/// Requests by route and status.
fn counts(stack: &Stack) -> BTreeMap<(String, u16), u64> {
    let mut counts = BTreeMap::new();
    for ((_, _, route, status), each) in stack.summary() {
        *counts.entry((route, status)).or_default() += each.requests;
    }
    counts
}

/// A trace with this randomness.
fn traceparent(number: u64, randomness: u64) -> String {
    format!("00-0af7651916cd43dd{:016x}-{:016x}-01", randomness, number + 1)
}

in_both_modes!(exclusions);

fn exclusions(mode: Mode) {
    let stack = start(
        mode,
        &json!({"exclude": {
            "counters": {"paths": ["/internal/*"], "user_agents": ["*bot*"]},
            "log": {"paths": ["/quiet/*"], "methods": ["DELETE"]},
        }}),
    );
    let mut connection = Connection::open(stack.envoy.address()).unwrap();
    let mut requests = 0;
    let mut send = |times: u64, request: Request| {
        (0..times).for_each(|_| drop(connection.request(&request).unwrap()));
        requests += times;
    };
    send(20, Request::get("/users/1"));
    // Left out of the log by default, and counted.
    send(5, Request::get("/healthz?status=200"));
    send(2, Request::get("/healthz?status=503"));
    send(3, Request::new("OPTIONS", "/users/1"));
    send(4, Request::get("/users/2").header("user-agent", "kube-probe/1.31"));
    // Left out of the log by configuration, and counted.
    send(6, Request::get("/quiet/7?status=200"));
    send(7, Request::new("DELETE", "/users/3"));
    // Left out of the counters, and logged.
    send(8, Request::get("/internal/x?status=200"));
    send(9, Request::get("/users/4").header("user-agent", "Crawlbot/2"));
    // Left out of both.
    send(10, Request::new("DELETE", "/internal/y?status=200"));

    let reported = settled(&stack, requests);
    let expected = Reported {
        captured: 20 + 8 + 9,
        excluded: 5 + 2 + 3 + 4 + 6 + 7 + 10,
        sampled_out: 0,
        excluded_from_counters: 8 + 9 + 10,
        held: 0,
    };
    assert_eq!(reported, expected);
    let counts = counts(&stack);
    let count = |route: &str, status: u16| counts.get(&(route.to_owned(), status)).copied().unwrap_or(0);
    assert_eq!(count("/users/{id}", 200), 20 + 4, "{counts:?}");
    assert_eq!((count("/healthz", 200), count("/healthz", 503)), (5, 2), "{counts:?}");
    assert!(!counts.keys().any(|(route, _)| route.starts_with("/internal")), "{counts:?}");
    let paths: BTreeMap<String, usize> =
        stack.wait_for_requests(37).iter().fold(BTreeMap::new(), |mut paths, row| {
            *paths.entry(row["path"].as_str().unwrap().to_owned()).or_default() += 1;
            paths
        });
    let expected = [("/internal/x", 8), ("/users/1", 20), ("/users/4", 9)];
    assert_eq!(paths, expected.map(|(path, times)| (path.to_owned(), times)).into());
}

#[test]
fn a_sample_keeps_what_its_traces_decide_and_every_error() {
    const TRACES: u64 = 400;
    let stack = start(Mode::Filter, &json!({"sample": {"rate": 0.1, "keep_consumers": ["acme"]}}));
    let mut connection = Connection::open(stack.envoy.address()).unwrap();
    let mut sampled = BTreeSet::new();
    // Evenly spread, in an order without a pattern: 7,919 is prime.
    for number in 0..TRACES {
        let randomness = ALL / TRACES * (number * 7_919 % TRACES) + ALL / TRACES / 2;
        if randomness >= ALL - ALL / 10 {
            sampled.insert(format!("/users/{number}"));
        }
        let request = Request::get(format!("/users/{number}"));
        connection.request(&request.header("traceparent", traceparent(number, randomness))).unwrap();
    }
    assert_eq!(sampled.len() as u64, TRACES / 10);
    // None of these traces is in the sample.
    let mut kept = |times: u64, request: Request| {
        for number in 0..times {
            let traced = request.clone().header("traceparent", traceparent(number, ALL / 2));
            connection.request(&traced).unwrap();
        }
    };
    kept(25, Request::get("/status/503"));
    kept(15, Request::get("/orders/1").header("x-consumer-id", "acme"));
    kept(1, Request::get("/sleep/1100"));
    kept(30, Request::get("/status/404"));

    let reported = settled(&stack, TRACES + 71);
    assert_eq!((reported.captured, reported.sampled_out), (40 + 41, 360 + 30), "{reported:?}");
    let rows = stack.wait_for_requests(81);
    let weight = |row: &Value| row["weight"].as_f64().unwrap();
    let (by_rate, certain): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| weight(row) > 1.0);
    assert!(by_rate.iter().all(|row| weight(row) == 10.0), "{by_rate:?}");
    let paths: BTreeSet<String> =
        by_rate.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, sampled);
    assert_eq!(certain.len(), 41);
    // The traces of the routes are spread evenly, so that the estimate of each is exact.
    let estimate = |route: &str| rows.iter().filter(|row| row["route"] == route).map(weight).sum::<f64>();
    let counts = counts(&stack);
    for (route, status) in [("/users/{id}", 200), ("/status/{number}", 503), ("/orders/{number}", 200)] {
        assert_eq!(estimate(route), counts[&(route.to_owned(), status)] as f64, "{route}: {counts:?}");
    }
}

#[test]
fn a_rate_of_zero_keeps_the_counters_exact_and_logs_nothing_but_exceptions() {
    let capture = json!({"request_body": true, "response_body": true});
    let none = json!({"rate": 0, "keep_errors": false, "keep_slower_than_ms": null});
    // Without exceptions fewer values are read, and filter and logger still recognise a request that both see.
    for (mode, sample, captured) in
        [(Mode::Filter, json!({"rate": 0}), 12), (Mode::Filter, none.clone(), 0), (Mode::Both, none, 0)]
    {
        let stack =
            start(mode, &json!({"sample": sample, "capture": capture, "limits": {"redaction_percent": 100}}));
        let mut connection = Connection::open(stack.envoy.address()).unwrap();
        for _ in 0..60 {
            let echoed = Request::post("/echo", "{\"a\": 1}").header("content-type", "application/json");
            assert_eq!(connection.request(&echoed).unwrap().text(), "{\"a\": 1}");
        }
        for _ in 0..12 {
            connection.request(&Request::get("/status/500")).unwrap();
        }
        let reported = settled(&stack, 72);
        let expected = Reported { captured, sampled_out: 72 - captured, ..Reported::default() };
        assert_eq!(reported, expected, "{mode:?} {sample}");
        assert_eq!(stack.wait_for_requests(captured as usize).len(), captured as usize);
        let counts = counts(&stack);
        let expected = [(("/echo".to_owned(), 200), 60), (("/status/{number}".to_owned(), 500), 12)];
        assert_eq!(counts, expected.into());
    }
}

#[test]
fn the_access_log_has_a_line_for_each_row_of_the_log() {
    for mode in [Mode::Filter, Mode::Both] {
        let stack = start(
            mode,
            &json!({
                "access_log": true,
                "sample": {"rate": 0.5},
                "capture": {"request_headers": ["x-*"], "response_headers": ["*"], "request_body": true},
            }),
        );
        let mut connection = Connection::open(stack.envoy.address()).unwrap();
        for number in 0..10u64 {
            let randomness = ALL / 10 * number + ALL / 20;
            let request =
                Request::post(format!("/echo?n={number}&token=s3cr3t"), "{\"password\": \"s3cr3t\"}")
                    .header("content-type", "application/json")
                    .header("traceparent", traceparent(number, randomness))
                    .header("x-auth-token", "s3cr3t")
                    .header("x-odd", "a\"b\\c\tcaf\u{e9} \u{202e}")
                    .header("x-consumer-id", "acme\u{202e}")
                    .header("user-agent", "odd \"agent\"");
            connection.request(&request).unwrap();
        }
        // By a template.
        connection.request(&Request::get("/users/7?status=503&session=s3cr3t")).unwrap();
        connection.request(&Request::get("/healthz?status=200")).unwrap();
        let reported = settled(&stack, 12);
        assert_eq!((reported.captured, reported.excluded, reported.sampled_out), (6, 1, 5), "{mode:?}");
        let rows = stack.wait_for_requests(6);

        // As the documentation reads them.
        let log = stack.envoy.log();
        let lines: Vec<&str> = log
            .lines()
            .filter_map(|line| line.split_once("gatelens: {").map(|(before, _)| &line[before.len() + 10..]))
            .collect();
        assert_eq!(lines.len(), 6, "{mode:?} {log}");
        assert!(!lines.iter().any(|line| line.contains("s3cr3t") || line.contains('\u{202e}')), "{lines:?}");
        let parsed: Vec<serde_json::Map<String, Value>> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for row in &rows {
            let line = parsed.iter().find(|line| line.get("span_id").is_some_and(|id| *id == row["span_id"]));
            let line = line.or_else(|| parsed.iter().find(|line| line["status"] == row["status"])).unwrap();
            for (key, value) in line {
                match key.as_str() {
                    "time" => assert_eq!(instant(value), instant(&row["time"])),
                    _ if value.is_number() => assert_eq!(value.as_f64(), row[key].as_f64(), "{key}"),
                    _ => assert_eq!(*value, row[key], "{key} {row}"),
                }
            }
            let absent = row.as_object().unwrap().iter().filter(|(key, _)| !line.contains_key(*key));
            let absent: Vec<&String> =
                absent.filter(|(_, value)| !value.is_null()).map(|(key, _)| key).collect();
            let only_in_rows = [
                "gateway",
                "service",
                "environment",
                "direction",
                "version",
                "request_body",
                "response_body",
            ];
            assert!(
                absent.iter().all(|key| only_in_rows.contains(&key.as_str())),
                "the line lacks {absent:?}: {line:?}"
            );
        }
    }
}

/// A time without the zeros at its end, which the API leaves out.
fn instant(time: &Value) -> String {
    time.as_str().unwrap().trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.').to_owned()
}
