//! The parts of a request that a filter captures, and that no export contains a secret.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::time::Duration;

use gatelens_core::filter::{EndStream, StreamFilter};
use gatelens_core::host::DispatchError;
use gatelens_model::Message;
use gatelens_redact::MASK;
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{inflated, points, records};
use gatelens_testkit::worker::{Body, Worker};
use proptest::prelude::*;

const START: u64 = 1_700_000_000_000_000_000;

/// Captures everything that can be captured.
const EVERYTHING: &str = r#"{"version": 1, "ingest": {"cluster": "c"},
    "capture": {"request_headers": ["*"], "response_headers": ["*"], "request_body": true, "response_body": true},
    "redact": {"headers": ["HOST", "x-internal-*"], "query": ["voucher"], "request_body": ["$.user.email", "$.never"],
               "response_body": ["$.users[*].email"], "detectors": ["card"]},
    "limits": {"queue_bytes": 65536, "batch_bytes": 65536}}"#;

/// A worker of its own gateway.
fn start(configuration: &str) -> Worker {
    Worker::start(&FakeGateway::starting_at(START), configuration)
}

/// All exports within half a minute.
fn sent(worker: &Worker) -> Vec<Sent> {
    [(); 2].into_iter().flat_map(|()| worker.deliver_after(Duration::from_secs(15))).collect()
}

fn request() -> FakeStream {
    FakeStream::new("POST", "/a", 200)
        .header("content-type", "application/json")
        .response_header(":status", "200")
        .response_header("content-type", "application/json; charset=utf-8")
}

#[test]
fn headers_query_and_bodies_are_kept_redacted_and_the_rules_counted() {
    let worker = start(EVERYTHING);
    let stream = FakeStream::new("POST", "/pay;session=1/4111111111111111/c?a=1&token=x&Voucher=y&b", 201)
        .header(":authority", "shop.test")
        .header("content-type", "application/json")
        .header("x-tag", "a")
        .header("Authorization", "Bearer x")
        .header("x-internal-id", "7")
        .header("x-author", "ann")
        .header("x-tag", "b")
        .header("user-agent", "curl/8 4111111111111111")
        .response_header(":status", "201")
        .response_header("content-type", "application/json")
        .response_header("location", "https://u:p@shop.test/orders/7?sig=x&c=1");
    worker.stream(
        stream,
        &Body::whole(r#"{"user": {"email": "ann@example.com"}, "n": 12345678901234567890}"#),
        &Body(
            vec![br#"{"users": [{"ema"#.into(), br#"il": 1}, {"a": "4111 1111 1111 1111"}]}"#.into()],
            EndStream::Yes,
        ),
    );
    let sent = sent(&worker);
    let [record] = &records(&sent)[..] else { panic!("one record") };
    let wanted = [
        ("url.path", format!("/pay;session={MASK}/{MASK}/c")),
        ("http.route", format!("/pay;session={MASK}/{{number}}/c")),
        ("url.query", format!("a=1&token={MASK}&Voucher={MASK}&b")),
        ("user_agent.original", format!("curl/8 {MASK}")),
        ("http.request.header.host", MASK.into()),
        ("http.request.header.authorization", MASK.into()),
        ("http.request.header.x-internal-id", MASK.into()),
        ("http.request.header.x-author", "ann".into()),
        ("http.request.header.x-tag", "a | b".into()),
        ("http.request.header.user-agent", format!("curl/8 {MASK}")),
        ("http.response.header.content-type", "application/json".into()),
        ("http.response.header.location", format!("https://{MASK}@shop.test/orders/7?sig={MASK}&c=1")),
        (
            "gatelens.request.body.content",
            format!(r#"{{"user": {{"email": "{MASK}"}}, "n": 12345678901234567890}}"#),
        ),
        (
            "gatelens.response.body.content",
            format!(r#"{{"users": [{{"email": "{MASK}"}}, {{"a": "{MASK}"}}]}}"#),
        ),
    ];
    for (key, value) in wanted {
        assert_eq!(record.get(key), Some(&value), "{key}");
    }
    assert!(!record.keys().any(|key| key.contains("header.:") || key.ends_with("omitted")), "{record:?}");

    let hits = points(&sent, "gatelens.redaction.hits");
    for (rule, count) in [
        ("request_body:$.user.email", 1),
        ("request_body:$.never", 0),
        ("response_body:$.users[*].email", 1),
        ("headers:HOST", 1),
        ("headers:x-internal-*", 1),
        ("query:voucher", 1),
        ("default:token", 1),
        ("default:authorization", 1),
    ] {
        assert_eq!(hits.get(rule), Some(&count), "{rule} of {hits:?}");
    }
    assert!(
        !hits.contains_key("default:password"),
        "built-in names are named where they were found: {hits:?}"
    );
    let bodies = BTreeMap::from([("captured request".to_owned(), 1), ("captured response".to_owned(), 1)]);
    assert_eq!(points(&sent, "gatelens.bodies"), bodies);
}

#[test]
fn an_omitted_body_has_a_reason() {
    let check = |stream: FakeStream, request: Body, response: Body, reasons: [&str; 2]| {
        let worker = start(EVERYTHING);
        worker.stream(stream, &request, &response);
        let sent = sent(&worker);
        let record = records(&sent).remove(0);
        let bodies = points(&sent, "gatelens.bodies");
        for (message, reason) in ["request", "response"].into_iter().zip(reasons) {
            let omitted = record.get(&format!("gatelens.{message}.body.omitted")).map(String::as_str);
            let content = record.get(&format!("gatelens.{message}.body.content"));
            let told = Some(reason).filter(|reason| !["captured", "no_body"].contains(reason));
            assert_eq!((omitted, content.is_some()), (told, reason == "captured"), "{message} {record:?}");
            assert_eq!(bodies.get(&format!("{reason} {message}")), Some(&1), "{bodies:?}");
        }
    };
    let json = || Body::whole("{}");
    check(request(), json(), json(), ["captured", "captured"]);
    check(request(), Body::none(), Body::none(), ["no_body", "no_body"]);
    check(request(), Body(vec![b"{}".into()], EndStream::No), json(), ["truncated", "captured"]);
    check(
        request(),
        Body(vec![vec![b' '; 40_000], vec![b' '; 40_000]], EndStream::Yes),
        json(),
        ["too_large", "captured"],
    );
    check(request(), Body::whole("{"), Body::whole("{\"a\": 01}"), ["truncated", "malformed"]);
    let get = || FakeStream::new("GET", "/a", 200).response_header(":status", "200");
    check(get(), Body::none(), Body::whole("x"), ["no_body", "unsupported_media_type"]);
    let websocket = FakeStream::new("GET", "/ws", 101).response_header(":status", "101");
    check(websocket, Body::whole("frame"), Body::whole("frame"), ["upgrade", "upgrade"]);
    let tunnel = FakeStream::new("CONNECT", "", 200)
        .response_header(":status", "200")
        .response_header("content-type", "application/json");
    check(tunnel, Body::whole("{}"), Body::whole("{}"), ["upgrade", "upgrade"]);
    let grpc = FakeStream::new("POST", "/a.B/C", 200)
        .header("content-type", "application/grpc")
        .response_header(":status", "200")
        .response_header("content-type", "application/grpc+proto");
    check(grpc, Body::whole("x"), Body::whole("x"), ["grpc", "grpc"]);
}

#[test]
fn bodies_that_no_filter_saw_are_reported_as_not_seen() {
    let worker = start(EVERYTHING);
    // An access logger sees no bodies.
    worker.host.finish(request().int(Attribute::RequestSize, 2).int(Attribute::ResponseSize, 0));
    worker.plugin.log(&worker.host);
    // Without the callbacks for bodies a filter sees none either.
    let stream = request().int(Attribute::RequestSize, 2).int(Attribute::ResponseSize, 2);
    let mut filter = worker.begin(&stream);
    filter.headers(&worker.host, Message::Request, EndStream::No);
    filter.headers(&worker.host, Message::Response, EndStream::No);
    filter.log(&worker.host);
    let bodies = points(&sent(&worker), "gatelens.bodies");
    let wanted = [("no_body response", 1), ("not_seen request", 2), ("not_seen response", 1)];
    assert_eq!(bodies, BTreeMap::from(wanted.map(|(key, count)| (key.to_owned(), count))));
}

#[test]
fn trailers_end_a_body() {
    let worker = start(EVERYTHING);
    let stream = request().int(Attribute::RequestSize, 2).int(Attribute::ResponseSize, 2);
    let mut filter = worker.begin(&stream);
    for message in [Message::Request, Message::Response] {
        worker.pass(&mut filter, message, &Body(vec![b"{".into(), b"}".into()], EndStream::No));
        filter.trailers(message);
    }
    filter.log(&worker.host);
    let bodies = points(&sent(&worker), "gatelens.bodies");
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["captured request", "captured response"]);
}

#[test]
fn the_memory_for_bodies_is_bounded_and_given_back() {
    let worker = start(EVERYTHING);
    let stream = request().int(Attribute::RequestSize, 30_000);
    let open = || {
        let mut filter = worker.begin(&stream);
        worker.pass(&mut filter, Message::Request, &Body(vec![vec![b' '; 30_000]], EndStream::No));
        filter
    };
    let end = |mut filter: StreamFilter| {
        filter.trailers(Message::Request);
        filter.log(&worker.host);
    };
    // Two bodies fit into 65,536 bytes, and each stream that ends makes room for another.
    for _ in 0..3 {
        let streams: Vec<_> = (0..3).map(|_| open()).collect();
        streams.into_iter().for_each(end);
    }
    // A stream that is dropped without an end also makes room.
    (0..5).for_each(|_| drop(open()));
    let bodies = points(&sent(&worker), "gatelens.bodies");
    assert_eq!((bodies["truncated request"], bodies["memory_limit request"]), (6, 3), "{bodies:?}");
}

#[test]
fn while_nothing_can_be_delivered_bodies_go_before_records() {
    let worker = start(EVERYTHING);
    worker.host.refuse(Some(DispatchError::Unavailable));
    // Nothing that compresses well.
    let mut state = 1u64;
    let mut noise = || {
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:016x}", state)
        };
        Body::whole(&format!("{{\"a\": \"{}\"}}", std::iter::repeat_with(next).take(500).collect::<String>()))
    };
    for n in 0..60 {
        worker.stream(request(), &noise(), &if n % 2 == 0 { noise() } else { Body::none() });
        worker.gateway.wait(Duration::from_secs(1));
        worker.plugin.tick(&worker.host);
    }
    worker.host.refuse(None);
    // The longest pause between attempts.
    worker.gateway.wait(Duration::from_secs(45));
    let sent = sent(&worker);
    let records = records(&sent);
    assert_eq!(records.len(), 60, "no record is lost");
    let with = |key: &str, value: &str| {
        records.iter().filter(|record| record.get(key).is_some_and(|v| v.contains(value))).count() as i64
    };
    let (kept, taken) =
        (with("gatelens.request.body.content", ""), with("gatelens.request.body.omitted", "queue_full"));
    assert_eq!(kept + taken, 60);
    assert!(kept > 0 && taken > 20, "{kept} {taken}");
    let bodies = points(&sent, "gatelens.bodies");
    assert_eq!((bodies["captured request"], bodies["queue_full request"]), (60, taken), "{bodies:?}");
    assert_eq!(bodies["queue_full response"], with("gatelens.response.body.omitted", "queue_full"));
    assert_eq!(with("http.response.header.content-type", "application/json"), 60, "all else stays");
}

#[test]
fn redaction_leaves_most_of_the_worker_s_time_to_other_streams() {
    let worker = start(
        r#"{"version": 1, "ingest": {"cluster": "c"}, "capture": {"request_body": true, "response_body": true}}"#,
    );
    let body = Body::whole(&format!("{{\"password\": \"hunter2\", \"a\": \"{}\"}}", "x".repeat(20_000)));
    let stream = || {
        // The clock is read when the stream ends, before its facts are read and after the redaction.
        worker.host.pass_with_each_reading(Duration::from_millis(2));
        worker.stream(request(), &body, &Body::none());
        worker.host.pass_with_each_reading(Duration::ZERO);
    };
    // Each takes 2 ms of the 5 ms for a turn and of the 1.2 ms that each earns; those that are left out earn 0.8 ms.
    (0..40).for_each(|_| stream());
    // 2 ms a stream are a fifth of 10 ms.
    for _ in 0..20 {
        worker.gateway.wait(Duration::from_millis(10));
        stream();
    }
    let sent = sent(&worker);
    let bodies = points(&sent, "gatelens.bodies");
    let (captured, left_out) = (bodies["captured request"], bodies["overload request"]);
    assert_eq!(captured + left_out, 60, "{bodies:?}");
    assert!((30..50).contains(&captured), "{bodies:?}");
    assert_eq!(bodies["no_body response"], 60);
    let records = records(&sent);
    assert_eq!(records.len(), 60);
    let contents: Vec<_> =
        records.iter().filter_map(|record| record.get("gatelens.request.body.content")).collect();
    assert_eq!(contents.len() as i64, captured);
    assert!(contents.iter().all(|content| content.contains(MASK) && !content.contains("hunter2")));
    let omitted = records.iter().filter_map(|record| record.get("gatelens.request.body.omitted"));
    assert_eq!(omitted.filter(|reason| *reason == "overload").count() as i64, left_out);
}

#[test]
fn by_default_bodies_and_request_headers_stay_and_the_query_is_redacted() {
    let worker = start(r#"{"version": 1, "ingest": {"cluster": "c"}}"#);
    let stream = request().header("x-tag", "a").header(":path", "/a?b=1&password=x");
    let stream = FakeStream { headers: stream.headers[2..].to_vec(), ..stream };
    worker.stream(stream.header(":method", "POST"), &Body::whole("{}"), &Body::whole("{}"));
    let sent = sent(&worker);
    let record = records(&sent).remove(0);
    assert_eq!(record["url.query"], format!("b=1&password={MASK}"));
    let kept: Vec<_> =
        record.keys().filter(|key| key.contains(".header.") || key.contains(".body.")).collect();
    assert_eq!(
        kept,
        ["http.request.body.size", "http.response.body.size", "http.response.header.content-type"],
        "{record:?}"
    );
    assert_eq!(points(&sent, "gatelens.bodies"), BTreeMap::new());
}

#[test]
fn hits_of_a_replaced_configuration_are_counted_under_their_own_names() {
    let mut worker = start(EVERYTHING);
    let stream = request().int(Attribute::RequestSize, 12);
    let mut late = worker.begin(&stream);
    worker.pass(&mut late, Message::Request, &Body::whole(r#"{"never": 1}"#));
    worker.host.set_configuration(r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"keys": ["a"]}}"#);
    assert!(worker.plugin.configure(&worker.host));
    late.log(&worker.host);
    drop(late);
    let hits = points(&sent(&worker), "gatelens.redaction.hits");
    assert_eq!(hits, BTreeMap::from([("keys:a".to_owned(), 0), ("request_body:$.never".to_owned(), 1)]));
}

/// No other part of an export contains it.
const SECRET: &str = "8675309867";

/// A name that makes a value secret, and the place of the value.
fn plant(place: usize, name: &str) -> (FakeStream, Body, Body) {
    let in_query = format!("a=1&{name}={SECRET}");
    let json = format!(r#"{{"a": [{{"{name}": {{"b": [{SECRET}]}}}}], "u": "https://x/?{in_query}"}}"#);
    let path = match place {
        0 => format!("/a?{in_query}"),
        1 => format!("/a;{name}={SECRET}/b"),
        2 => format!("/a?next=%2Fb%3F{name}%3D{SECRET}"),
        _ => "/a".to_owned(),
    };
    let stream = FakeStream::new("POST", &path, 200).response_header(":status", "200");
    let stream = match place {
        3 => stream.header(&format!("x-{name}"), SECRET),
        4 => stream.header("cookie", format!("a={SECRET}")),
        5 => stream.header("referer", format!("https://ann:{SECRET}@x/?{in_query}")),
        6 => stream.header("user-agent", format!("x https://y/?{in_query}")),
        7 => stream.response_header("set-cookie", format!("a={SECRET}")),
        8 => stream.response_header("location", format!("/b?{in_query}")),
        9 => stream.header("x-envoy-original-path", format!("/b?{in_query}")),
        10 => stream.header("x-request-id", format!("/?{in_query}")),
        _ => stream,
    };
    let typed =
        |kind: &str| stream.clone().header("content-type", kind).response_header("content-type", kind);
    match place {
        11 => (typed("application/json"), Body::whole(&json), Body::whole(&json)),
        12 => (typed("application/x-www-form-urlencoded"), Body::whole(&in_query), Body::whole(&in_query)),
        13 => (typed("text/event-stream"), Body::none(), Body::whole(&format!("data: {json}\n\n"))),
        // The body does not match its media type.
        14 => (typed("application/json"), Body::whole(&json[1..]), Body::whole(&json[..json.len() - 1])),
        _ => (typed("image/png"), Body::whole(&json), Body::whole(&json)),
    }
}

proptest! {
    #[test]
    fn nothing_planted_is_in_anything_that_leaves(
        place in 0usize..16,
        name in prop::sample::select(vec!["password", "api-key", "token", "user_secret", "accessToken"]),
        chunk in 1usize..50,
    ) {
        let worker = start(EVERYTHING);
        let (stream, request, response) = plant(place, name);
        let pieces = |Body(chunks, end): Body| Body(chunks.concat().chunks(chunk).map(<[u8]>::to_vec).collect(), end);
        worker.stream(stream, &pieces(request), &pieces(response));
        let sent = sent(&worker);
        prop_assert!(records(&sent).len() == 1);
        for request in &sent {
            let left = inflated(request);
            let text = String::from_utf8_lossy(&left);
            prop_assert!(!text.contains(SECRET), "place {place}: {text}");
            prop_assert!(!request.headers.iter().any(|(_, value)| value.contains(SECRET)));
        }
    }
}
