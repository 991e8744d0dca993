//! Exclusions and the sample, from the configuration to the exports: every request has its fate, and sums of weights
//! estimate counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gatelens_core::filter::EndStream;
use gatelens_core::host::{LogLevel, PluginIdentity};
use gatelens_core::plan::Plan;
use gatelens_core::request::access_log::{KEYS, MAX_LINE_BYTES};
use gatelens_core::request::{Counting, FinishedRequest, Logging, decide};
use gatelens_model::{Message, NotLogged};
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{counts, numbers, points, records};
use gatelens_testkit::worker::{Body, Worker};
use serde_json::{Value, json};

const START: u64 = 1_700_000_000_000_000_000;
const MS: i64 = 1_000_000;

fn configuration(sections: Value) -> String {
    let mut all = json!({"version": 1, "ingest": {"cluster": "c"}});
    all.as_object_mut().unwrap().extend(sections.as_object().unwrap().clone());
    all.to_string()
}

fn start(sections: Value) -> Worker {
    Worker::start(&FakeGateway::starting_at(START), &configuration(sections))
}

/// All exports within half a minute.
fn sent(worker: &Worker) -> Vec<Sent> {
    [(); 2].into_iter().flat_map(|()| worker.deliver_after(Duration::from_secs(15))).collect()
}

/// The trace that has this randomness, from 0 to 1.
fn traced(stream: FakeStream, randomness: f64) -> FakeStream {
    let low = (randomness * 72_057_594_037_927_936.0) as u64;
    stream.header("traceparent", format!("00-0af7651916cd43dd84{low:014x}-b7ad6b7169203331-01"))
}

fn get(path: &str) -> FakeStream {
    FakeStream::new("GET", path, 200).int(Attribute::RequestDuration, 5 * MS)
}

const LOGGED: Result<f64, NotLogged> = Ok(1.0);
const EXCLUDED: Result<f64, NotLogged> = Err(NotLogged::Excluded);
const SAMPLED_OUT: Result<f64, NotLogged> = Err(NotLogged::SampledOut);

#[test]
fn what_is_counted_and_logged() {
    let check = |sections: Value, stream: FakeStream, count: Counting, log: Result<f64, NotLogged>| {
        let text = configuration(sections);
        let plan = Plan::read(&text, &PluginIdentity::default()).unwrap();
        let host = FakeGateway::starting_at(START).worker(&text);
        host.finish(stream.clone());
        let request = FinishedRequest::read(&host, &plan.request);
        let facts = request.facts(&host, &plan.request, None).unwrap();
        let decision = decide(&plan.request.selection, &facts, || 0);
        let logged = match decision.log {
            Logging::Logged { weight, .. } => Ok(weight),
            Logging::Skipped(reason) => Err(reason),
        };
        assert_eq!((decision.count, logged), (count, log), "{text} {stream:?}");
    };
    let counted = |sections: Value, stream: FakeStream, log| check(sections, stream, Counting::Counted, log);
    let nothing = || json!({});
    counted(nothing(), get("/orders/7"), LOGGED);
    counted(nothing(), get("/healthz?full=1"), EXCLUDED);
    counted(nothing(), FakeStream::new("OPTIONS", "/orders/7", 204), EXCLUDED);
    counted(nothing(), get("/").header("user-agent", "kube-probe/1.31"), EXCLUDED);
    // A route that rewrites the path leaves the one that the client asked for in a header.
    counted(nothing(), get("/v2/a").header("x-envoy-original-path", "/healthz"), EXCLUDED);
    // An exclusion is unconditional.
    counted(nothing(), FakeStream::new("GET", "/healthz", 503), EXCLUDED);
    counted(json!({"exclude": {"log": {"defaults": false}}}), get("/healthz"), LOGGED);
    // Not parseable, so without a path or an agent.
    counted(nothing(), FakeStream::default().int(Attribute::ResponseCode, 400), LOGGED);

    let counters = json!({"exclude": {"counters": {"paths": ["/internal/*"], "methods": ["TRACE"], "user_agents": ["*bot*"]}}});
    check(counters.clone(), get("/internal/a"), Counting::Excluded, LOGGED);
    check(counters.clone(), FakeStream::new("TRACE", "/", 200), Counting::Excluded, LOGGED);
    check(counters.clone(), get("/").header("user-agent", "GoogleBot"), Counting::Excluded, LOGGED);
    check(counters.clone(), get("/external"), Counting::Counted, LOGGED);
    let both =
        json!({"exclude": {"counters": {"paths": ["/internal/*"]}, "log": {"paths": ["/internal/*"]}}});
    check(both, get("/internal/a"), Counting::Excluded, EXCLUDED);

    let tenth = json!({"sample": {"rate": 0.1, "keep_consumers": ["acme"]}});
    counted(tenth.clone(), traced(get("/a"), 0.95), Ok(10.0));
    counted(tenth.clone(), traced(get("/a"), 0.85), SAMPLED_OUT);
    counted(tenth.clone(), traced(get("/healthz"), 0.95), EXCLUDED);
    // Without any ID, chance decides; here it is 0.
    counted(tenth.clone(), get("/a"), SAMPLED_OUT);
    // Certain to be kept: it stands for itself, whatever its trace.
    for randomness in [0.1, 0.95] {
        let kept = |stream| counted(tenth.clone(), traced(stream, randomness), LOGGED);
        kept(FakeStream::new("GET", "/a", 500));
        kept(FakeStream::new("GET", "/a", 200).int(Attribute::ResponseCode, -1));
        kept(
            FakeStream::new("POST", "/a", 200)
                .header("content-type", "application/grpc")
                .int(Attribute::GrpcStatus, 14),
        );
        kept(get("/a").int(Attribute::RequestDuration, 1_001 * MS));
        kept(get("/a").header("x-consumer-id", "acme"));
    }
    counted(tenth.clone(), traced(get("/a").int(Attribute::RequestDuration, 1_000 * MS), 0.1), SAMPLED_OUT);
    counted(tenth.clone(), traced(get("/a").header("x-consumer-id", "acme2"), 0.1), SAMPLED_OUT);
    counted(tenth, traced(FakeStream::new("GET", "/a", 404), 0.1), SAMPLED_OUT);
    let bare = json!({"sample": {"rate": 0, "keep_errors": false, "keep_slower_than_ms": null}});
    counted(
        bare.clone(),
        FakeStream::new("GET", "/a", 500).int(Attribute::RequestDuration, 90_000 * MS),
        SAMPLED_OUT,
    );
    counted(bare, traced(get("/a"), 0.999_999), SAMPLED_OUT);
}

#[test]
fn every_request_has_its_fate() {
    let worker = start(json!({
        "exclude": {"counters": {"paths": ["/internal/*"]}},
        "sample": {"rate": 0.5, "keep_slower_than_ms": null},
    }));
    let mut requests = 0;
    let mut finish = |times: u64, stream: &dyn Fn(u64) -> FakeStream| {
        (0..times).for_each(|n| worker.finish(stream(n)));
        requests += times;
    };
    finish(10, &|n| traced(get("/orders/7"), n as f64 / 10.0));
    finish(3, &|_| FakeStream::new("GET", "/orders/7", 503));
    finish(4, &|_| get("/healthz"));
    finish(6, &|_| traced(get("/internal/a"), 0.9));
    finish(2, &|_| FakeStream::new("OPTIONS", "/internal/b", 204));
    let sent = sent(&worker);
    let counted: u64 = counts(&sent).values().sum();
    let not_logged = points(&sent, "gatelens.requests.not_logged");
    let numbers = numbers(&sent);
    assert_eq!(not_logged, BTreeMap::from([("excluded".into(), 6), ("sampled_out".into(), 5)]));
    assert_eq!(numbers["gatelens.requests.excluded_from_counters"], 8.0);
    assert_eq!(counted, 17);
    assert_eq!(numbers["gatelens.events.captured"], 14.0);
    assert_eq!(records(&sent).len(), 14);
    let with_fate = 14 + not_logged.values().sum::<i64>();
    assert_eq!(requests, with_fate as u64);
    assert_eq!(requests, counted + 8);
    // Five with the weight 2, three errors and six internal ones: those of the log without exclusions.
    let weight = |record: &BTreeMap<String, String>| {
        record.get("gatelens.sample.weight").map_or(1.0, |weight| weight.parse::<f64>().unwrap())
    };
    assert_eq!(records(&sent).iter().map(weight).sum::<f64>(), 10.0 + 3.0 + 12.0);
}

/// Requests of which some are certain to be kept: the sum of weights estimates the count of every group without bias.
#[test]
fn sums_of_weights_over_the_log_estimate_the_counts_of_every_status_and_route() {
    const REQUESTS: u64 = 20_000;
    const RATE: f64 = 0.1;
    let worker = start(json!({
        "sample": {"rate": RATE, "keep_consumers": ["acme"]},
        "limits": {"queue_bytes": 67_108_864, "batch_bytes": 4_194_304, "batch_events": 10_000},
    }));
    let mut exports = Vec::new();
    // SplitMix64, from a fixed seed.
    let mut seed = 10u64;
    let mut next = || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for _ in 0..REQUESTS {
        let status = match next() % 100 {
            0..=4 => 500,
            5..=14 => 404,
            _ => 200,
        };
        let path = if next() % 10 < 3 { "/orders" } else { "/users" };
        let slow = next() % 50 == 0;
        let mut stream = FakeStream::new("GET", path, status)
            .int(Attribute::RequestDuration, if slow { 2_000 * MS } else { 5 * MS })
            .header("traceparent", format!("00-{:016x}{:016x}-b7ad6b7169203331-01", next(), next()));
        if next() % 20 == 0 {
            stream = stream.header("x-consumer-id", "acme");
        }
        worker.finish(stream);
    }
    exports.extend(sent(&worker));
    let group = |attributes: &BTreeMap<String, String>| {
        ["http.route", "http.response.status_code", "gatelens.consumer.id"]
            .map(|key| attributes.get(key).cloned().unwrap_or_default())
    };
    let mut exact: BTreeMap<[String; 3], f64> = BTreeMap::new();
    for (attributes, count) in counts(&exports) {
        *exact.entry(group(&attributes)).or_default() += count as f64;
    }
    let mut estimated: BTreeMap<[String; 3], f64> = BTreeMap::new();
    for record in records(&exports) {
        let weight = record.get("gatelens.sample.weight").map_or(1.0, |weight| weight.parse().unwrap());
        *estimated.entry(group(&record)).or_default() += weight;
    }
    assert_eq!(exact.values().sum::<f64>(), REQUESTS as f64);
    assert_eq!(exact.len(), 10, "{exact:?}");
    for (group, count) in exact {
        let estimate = estimated.get(&group).copied().unwrap_or_default();
        let certain = group[1] == "500" || group[2] == "acme";
        // Five standard deviations; zero if every request is kept.
        let tolerance = if certain { 0.0 } else { 5.0 * (count * (1.0 - RATE) / RATE).sqrt() };
        assert!((estimate - count).abs() <= tolerance, "{group:?}: {estimate} of {count}, ± {tolerance}");
    }
    // With a weight of 10 for those that are certain to be kept, the sum of the errors would be ten times too high.
    let fates = points(&exports, "gatelens.requests.not_logged");
    assert_eq!(records(&exports).len() as u64 + fates["sampled_out"] as u64, REQUESTS);
}

#[test]
fn bodies_of_requests_without_an_event_are_not_copied() {
    let check = |sections: Value, stream: FakeStream, held: bool, reads: u32| {
        let worker = start(sections.clone());
        let stream = stream
            .header("content-type", "application/json")
            .response_header(":status", "200")
            .response_header("content-type", "application/json");
        let mut filter = worker.begin(&stream);
        worker.host.take_reads();
        let open = Body(vec![b"{\"a\":1}".to_vec()], EndStream::No);
        worker.pass(&mut filter, Message::Request, &open);
        worker.pass(&mut filter, Message::Response, &open);
        assert_eq!(worker.host.take_reads(), reads, "{sections} {stream:?}");
        assert_eq!(filter.held_bytes() > 0, held, "{sections} {stream:?}");
        filter.log(&worker.host);
    };
    let both = || json!({"request_body": true, "response_body": true});
    let response = || json!({"response_body": true});
    let none = || json!({"rate": 0, "keep_errors": false, "keep_slower_than_ms": null});
    check(json!({"capture": both()}), get("/a"), true, 2);
    check(json!({"capture": both()}), get("/healthz"), false, 1);
    check(json!({"capture": both(), "exclude": {"log": {"defaults": false}}}), get("/healthz"), true, 2);
    check(json!({"capture": both(), "sample": none()}), get("/a"), false, 0);
    // An error may still follow.
    check(json!({"capture": both(), "sample": {"rate": 0}}), get("/a"), true, 2);
    // The built-in exclusions alone are no reason to read headers that the capture does not need.
    check(json!({"capture": response()}), get("/healthz"), true, 1);
    let excluded = || json!({"log": {"paths": ["/internal/*"]}});
    check(json!({"capture": response(), "exclude": excluded()}), get("/internal/a"), false, 1);
    check(json!({"capture": response(), "exclude": excluded()}), get("/a"), true, 2);
    let half = || json!({"rate": 0.5, "keep_errors": false, "keep_slower_than_ms": null});
    check(json!({"capture": both(), "sample": half()}), traced(get("/a"), 0.2), false, 1);
    check(json!({"capture": both(), "sample": half()}), traced(get("/a"), 0.7), true, 2);
    // Chance decides at the end.
    check(json!({"capture": both(), "sample": half()}), get("/a"), true, 2);
    // The router adds the trace that the gateway begins later: then the ID of the request does not decide.
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        check(json!({"capture": both(), "sample": half()}), get("/a").header("x-request-id", id), true, 2);
    }
}

/// The lines of the access log.
fn lines(worker: &Worker) -> Vec<String> {
    let lines = worker.host.log_lines().into_iter();
    lines.filter(|(level, _)| *level == LogLevel::Info).map(|(_, line)| line).collect()
}

#[test]
fn a_logged_request_is_a_line_of_the_access_log() {
    let worker = start(json!({
        "access_log": true,
        "sample": {"rate": 0.5},
        "capture": {"request_headers": ["x-*"]},
    }));
    worker.finish(traced(get("/healthz"), 0.9));
    worker.finish(traced(get("/a"), 0.2));
    let stream = traced(get("/orders/7?a=1&token=s3cr3t"), 0.75)
        .header("x-tag", "one")
        .header("x-tag", "t\"wo\n\u{1b}[2J")
        .header("x-auth-token", "s3cr3t")
        .header("user-agent", "caf\u{e9} \u{202e}")
        .header("x-request-id", "7f3c")
        .int(Attribute::ResponseSize, 12)
        .int(Attribute::UpstreamLatency, 1_500_000);
    worker.finish(stream);
    let [line] = &lines(&worker)[..] else { panic!("{:?}", lines(&worker)) };
    assert!(
        !line.contains("s3cr3t") && !line.contains(char::is_control) && !line.contains('\u{202e}'),
        "{line}"
    );
    let expected = json!({
        "time": "2023-11-14T22:13:19.995000000Z", "consumer": "anonymous", "consumer_trusted": false,
        "method": "GET", "route": "/orders/{number}", "scheme": "http", "attempts": 0, "path": "/orders/7", "query": "a=1&token=[CLIENT_REDACTED]",
        "status": 200, "duration_ms": 5, "upstream_ms": 1.5, "request_bytes": 0, "response_bytes": 12,
        "client_address": "192.0.2.7", "client_port": 51324, "user_agent": "caf\u{e9} \u{202e}",
        "request_id": "7f3c", "trace_id": "0af7651916cd43dd84c0000000000000", "span_id": "b7ad6b7169203331",
        "code_details": "via_upstream", "weight": 2,
        "request_headers": {
            "x-auth-token": ["[CLIENT_REDACTED]"], "x-request-id": ["7f3c"], "x-tag": ["one", "t\"wo\n\u{1b}[2J"],
        },
    });
    let mut found: Value = serde_json::from_str(line).unwrap();
    // Numbers of JSON have no type.
    found["duration_ms"] = json!(found["duration_ms"].as_f64().unwrap() as u64);
    assert_eq!(found, expected);

    let off = start(json!({}));
    off.finish(get("/a"));
    assert_eq!(lines(&off), Vec::<String>::new());
}

#[test]
fn the_keys_of_a_line_are_those_of_the_documentation_in_their_order() {
    let worker = start(json!({
        "access_log": true,
        "routes": {"templates": ["/users/{id}"]},
        "report": {"error": "x-error", "tags": "x-tags"},
        "capture": {"request_headers": ["*"], "response_headers": ["*"]},
    }));
    let full = FakeStream::new("FETCH", "/users/1?a=1", 200)
        .header("x-big", "a")
        .header(":authority", "shop.example:8443")
        .header("content-type", "application/grpc")
        .header("user-agent", "test")
        .header("x-request-id", "7f3c")
        .response_header("content-type", "application/grpc")
        .response_header("x-error", "Broken")
        .response_header("x-tags", "plan=gold")
        .int(Attribute::GrpcStatus, 14)
        .int(Attribute::Attempts, 2)
        .int(Attribute::UpstreamLatency, MS)
        .int(Attribute::ResponseFlags, 0x20)
        .text(Attribute::UpstreamCluster, "shop")
        .text(Attribute::Protocol, "HTTP/2");
    worker.finish(traced(full.clone(), 0.5));
    let long = (0..40).fold(full, |stream, n| stream.header(&format!("x-{n}"), "\u{202e}".repeat(1_000)));
    worker.finish(long);
    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    let mut seen = BTreeSet::new();
    for line in lines(&worker) {
        // A value may hold anything, but no quoted key behind a comma or brace: the values here do not.
        let values: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
        let mut keys: Vec<(usize, &String)> =
            values.keys().map(|key| (line.find(&format!("\"{key}\":")).unwrap(), key)).collect();
        keys.sort();
        let places: Vec<_> =
            keys.iter().map(|(_, key)| known.iter().position(|known| known == key)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{keys:?}");
        seen.extend(values.into_iter().map(|(key, _)| key));
    }
    assert_eq!(seen, known.iter().map(|key| key.to_string()).collect());
}

#[test]
fn a_line_of_the_access_log_is_bounded() {
    let worker = start(json!({"access_log": true, "capture": {"request_headers": ["*"]}}));
    let mut stream = get(&format!("/{}?{}", "\u{202e}".repeat(4_000), "\u{202e}".repeat(4_000)))
        .header("x-consumer-id", "\u{202e}".repeat(500))
        .header("user-agent", "\u{202e}".repeat(4_000));
    for n in 0..40 {
        stream = stream.header(&format!("x-{n}"), "a".repeat(4_000));
    }
    worker.finish(stream);
    let [line] = &lines(&worker)[..] else { panic!() };
    assert!(line.len() <= MAX_LINE_BYTES, "{}", line.len());
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["headers_omitted"], line.get("request_headers")), (&json!(true), None));
}
