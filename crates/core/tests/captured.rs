//! What a filter captures of an exchange, and that nothing secret is in anything that leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::filter::{Flow, StreamFilter};
use gatelens_core::host::{Attribute, CalloutAnswer, DispatchError};
use gatelens_core::lifecycle::{Plugin, Registry};
use gatelens_core::redact::{MASK, Message};
use gatelens_testkit::fake::{FakeExchange, FakeGateway, FakeHost, Sent};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use proptest::prelude::*;
use prost::Message as _;

const START: u64 = 1_700_000_000_000_000_000;

/// All that can be captured.
const EVERYTHING: &str = r#"{"version": 1, "ingest": {"cluster": "c"},
    "capture": {"request_headers": ["*"], "response_headers": ["*"], "request_body": true, "response_body": true},
    "redact": {"headers": ["HOST", "x-internal-*"], "query": ["voucher"], "request_body": ["$.user.email", "$.never"],
               "response_body": ["$.users[*].email"], "detectors": ["card"]},
    "limits": {"queue_bytes": 65536, "batch_bytes": 65536}}"#;

struct Machine {
    gateway: FakeGateway,
    host: FakeHost,
    plugin: Plugin,
}

/// A body as it passes: its chunks, and whether its end is seen.
#[derive(Clone, Debug)]
struct Body(Vec<Vec<u8>>, Flow);

impl Body {
    fn none() -> Self {
        Self(Vec::new(), Flow::Ends)
    }

    fn whole(text: &str) -> Self {
        Self(vec![text.into()], Flow::Ends)
    }

    fn len(&self) -> i64 {
        self.0.iter().map(|chunk| chunk.len() as i64).sum()
    }
}

impl Machine {
    fn start(configuration: &str) -> Self {
        let gateway = FakeGateway::starting_at(START);
        let host = gateway.worker(configuration);
        let mut plugin = Plugin::new(Rc::<Registry>::default());
        assert!(plugin.configure(&host), "{:?}", host.log_lines());
        Self { gateway, host, plugin }
    }

    fn begin(&self, exchange: &FakeExchange) -> StreamFilter {
        self.host.finish(exchange.clone());
        StreamFilter::new(self.plugin.active())
    }

    fn pass(&self, filter: &mut StreamFilter, message: Message, body: &Body) {
        let Body(chunks, end) = body;
        let ended = if chunks.is_empty() { *end } else { Flow::GoesOn };
        filter.headers(&self.host, message, ended);
        for (index, chunk) in chunks.iter().enumerate() {
            let last = index + 1 == chunks.len();
            self.host.pass(chunk.clone());
            filter.body(&self.host, message, chunk.len(), if last { *end } else { Flow::GoesOn });
        }
    }

    fn exchange(&self, exchange: FakeExchange, request: &Body, response: &Body) {
        let exchange =
            exchange.int(Attribute::RequestSize, request.len()).int(Attribute::ResponseSize, response.len());
        let mut filter = self.begin(&exchange);
        self.pass(&mut filter, Message::Request, request);
        self.pass(&mut filter, Message::Response, response);
        filter.log(&self.host);
    }

    /// All that leaves within half a minute.
    fn sent(&self) -> Vec<Sent> {
        let mut all = Vec::new();
        for _ in 0..2 {
            self.gateway.wait(Duration::from_secs(15));
            self.plugin.tick(&self.host);
            loop {
                let sent = self.host.take_sent();
                if sent.is_empty() {
                    break;
                }
                for request in &sent {
                    self.host.answer_with(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
                    let _ = self.plugin.answered(&self.host, request.id);
                }
                all.extend(sent);
            }
        }
        all
    }
}

fn plain(request: &Sent) -> Vec<u8> {
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut body).unwrap();
    body
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(array)) => {
            array.values.into_iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(" | ")
        }
        other => panic!("{other:?}"),
    }
}

type Attributes = BTreeMap<String, String>;

fn attributes(list: Vec<KeyValue>) -> Attributes {
    let count = list.len();
    let map: Attributes = list.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect();
    assert_eq!(map.len(), count, "no attribute twice");
    map
}

/// The attributes of all log records.
fn records(sent: &[Sent]) -> Vec<Attributes> {
    let logs = sent.iter().filter(|request| request.header(":path").ends_with("/v1/logs"));
    logs.flat_map(|request| ExportLogsServiceRequest::decode(&plain(request)[..]).unwrap().resource_logs)
        .flat_map(|resource| resource.scope_logs)
        .flat_map(|scope| scope.log_records)
        .map(|record| attributes(record.attributes))
        .collect()
}

/// The last points of a metric, by their attributes' values.
fn points(sent: &[Sent], name: &str) -> BTreeMap<String, i64> {
    let metrics = sent.iter().filter(|request| request.header(":path").ends_with("/v1/metrics"));
    let mut found = BTreeMap::new();
    for metric in metrics
        .flat_map(|r| ExportMetricsServiceRequest::decode(&plain(r)[..]).unwrap().resource_metrics)
        .flat_map(|r| r.scope_metrics)
        .flat_map(|s| s.metrics)
        .filter(|metric| metric.name == name)
    {
        let Some(Data::Sum(sum)) = metric.data else { panic!("{name}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        found.clear();
        for point in sum.data_points {
            let Some(number_data_point::Value::AsInt(value)) = point.value else { panic!("{name}") };
            let key = attributes(point.attributes).into_values().collect::<Vec<_>>().join(" ");
            found.insert(key, value);
        }
    }
    found
}

fn request() -> FakeExchange {
    FakeExchange::new("POST", "/a", 200)
        .header("content-type", "application/json")
        .response_header(":status", "200")
        .response_header("content-type", "application/json; charset=utf-8")
}

#[test]
fn headers_query_and_bodies_are_kept_redacted_and_the_rules_counted() {
    let machine = Machine::start(EVERYTHING);
    let exchange =
        FakeExchange::new("POST", "/pay;session=1/4111111111111111/c?a=1&token=x&Voucher=y&b", 201)
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
    machine.exchange(
        exchange,
        &Body::whole(r#"{"user": {"email": "ann@example.com"}, "n": 12345678901234567890}"#),
        &Body(
            vec![br#"{"users": [{"ema"#.into(), br#"il": 1}, {"a": "4111 1111 1111 1111"}]}"#.into()],
            Flow::Ends,
        ),
    );
    let sent = machine.sent();
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
fn a_body_that_is_left_out_says_why() {
    let check = |exchange: FakeExchange, request: Body, response: Body, reasons: [&str; 2]| {
        let machine = Machine::start(EVERYTHING);
        machine.exchange(exchange, &request, &response);
        let sent = machine.sent();
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
    check(request(), Body(vec![b"{}".into()], Flow::GoesOn), json(), ["truncated", "captured"]);
    check(
        request(),
        Body(vec![vec![b' '; 40_000], vec![b' '; 40_000]], Flow::Ends),
        json(),
        ["too_large", "captured"],
    );
    check(request(), Body::whole("{"), Body::whole("{\"a\": 01}"), ["truncated", "malformed"]);
    let get = || FakeExchange::new("GET", "/a", 200).response_header(":status", "200");
    check(get(), Body::none(), Body::whole("x"), ["no_body", "unsupported_media_type"]);
    let websocket = FakeExchange::new("GET", "/ws", 101).response_header(":status", "101");
    check(websocket, Body::whole("frame"), Body::whole("frame"), ["upgrade", "upgrade"]);
    let tunnel = FakeExchange::new("CONNECT", "", 200)
        .response_header(":status", "200")
        .response_header("content-type", "application/json");
    check(tunnel, Body::whole("{}"), Body::whole("{}"), ["upgrade", "upgrade"]);
    let grpc = FakeExchange::new("POST", "/a.B/C", 200)
        .header("content-type", "application/grpc")
        .response_header(":status", "200")
        .response_header("content-type", "application/grpc+proto");
    check(grpc, Body::whole("x"), Body::whole("x"), ["grpc", "grpc"]);
}

#[test]
fn what_no_filter_saw_is_said_to_be_unseen() {
    let machine = Machine::start(EVERYTHING);
    // An access logger sees no bodies.
    machine.host.finish(request().int(Attribute::RequestSize, 2).int(Attribute::ResponseSize, 0));
    machine.plugin.log(&machine.host);
    // Without the callbacks for bodies a filter sees none either.
    let exchange = request().int(Attribute::RequestSize, 2).int(Attribute::ResponseSize, 2);
    let mut filter = machine.begin(&exchange);
    filter.headers(&machine.host, Message::Request, Flow::GoesOn);
    filter.headers(&machine.host, Message::Response, Flow::GoesOn);
    filter.log(&machine.host);
    let bodies = points(&machine.sent(), "gatelens.bodies");
    let wanted = [("no_body response", 1), ("not_seen request", 2), ("not_seen response", 1)];
    assert_eq!(bodies, BTreeMap::from(wanted.map(|(key, count)| (key.to_owned(), count))));
}

#[test]
fn trailers_end_a_body() {
    let machine = Machine::start(EVERYTHING);
    let exchange = request().int(Attribute::RequestSize, 2).int(Attribute::ResponseSize, 2);
    let mut filter = machine.begin(&exchange);
    for message in [Message::Request, Message::Response] {
        machine.pass(&mut filter, message, &Body(vec![b"{".into(), b"}".into()], Flow::GoesOn));
        filter.trailers(message);
    }
    filter.log(&machine.host);
    let bodies = points(&machine.sent(), "gatelens.bodies");
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["captured request", "captured response"]);
}

#[test]
fn the_memory_for_bodies_is_bounded_and_given_back() {
    let machine = Machine::start(EVERYTHING);
    let exchange = request().int(Attribute::RequestSize, 30_000);
    let open = || {
        let mut filter = machine.begin(&exchange);
        machine.pass(&mut filter, Message::Request, &Body(vec![vec![b' '; 30_000]], Flow::GoesOn));
        filter
    };
    let end = |mut filter: StreamFilter| {
        filter.trailers(Message::Request);
        filter.log(&machine.host);
    };
    // Two fit into 65,536 bytes, and whichever stream ends makes room for another.
    for _ in 0..3 {
        let streams: Vec<_> = (0..3).map(|_| open()).collect();
        streams.into_iter().for_each(end);
    }
    // One that is dropped without an end does so, too.
    (0..5).for_each(|_| drop(open()));
    let bodies = points(&machine.sent(), "gatelens.bodies");
    assert_eq!((bodies["truncated request"], bodies["memory_limit request"]), (6, 3), "{bodies:?}");
}

#[test]
fn while_nothing_can_be_delivered_bodies_go_before_records() {
    let machine = Machine::start(EVERYTHING);
    machine.host.refuse(Some(DispatchError::Unavailable));
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
        machine.exchange(request(), &noise(), &if n % 2 == 0 { noise() } else { Body::none() });
        machine.gateway.wait(Duration::from_secs(1));
        machine.plugin.tick(&machine.host);
    }
    machine.host.refuse(None);
    let sent = machine.sent();
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
fn redaction_leaves_the_worker_half_of_its_time() {
    let machine = Machine::start(EVERYTHING);
    let exchanges = |number: usize| {
        machine.host.pass_with_each_reading(Duration::from_millis(60));
        (0..number).for_each(|_| machine.exchange(request(), &Body::whole("{}"), &Body::none()));
        machine.host.pass_with_each_reading(Duration::ZERO);
        machine.plugin.tick(&machine.host);
    };
    // Each takes 60 ms, and 250 ms are had with the fifth.
    exchanges(7);
    exchanges(2);
    let sent = machine.sent();
    let bodies = points(&sent, "gatelens.bodies");
    assert_eq!((bodies["captured request"], bodies["overload request"]), (7, 2), "{bodies:?}");
    assert_eq!(bodies["no_body response"], 9);
    assert_eq!(records(&sent).len(), 9);
}

#[test]
fn by_default_bodies_and_request_headers_stay_and_the_query_is_redacted() {
    let machine = Machine::start(r#"{"version": 1, "ingest": {"cluster": "c"}}"#);
    let exchange = request().header("x-tag", "a").header(":path", "/a?b=1&password=x");
    let exchange = FakeExchange { headers: exchange.headers[2..].to_vec(), ..exchange };
    machine.exchange(exchange.header(":method", "POST"), &Body::whole("{}"), &Body::whole("{}"));
    let sent = machine.sent();
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
    let mut machine = Machine::start(EVERYTHING);
    let exchange = request().int(Attribute::RequestSize, 12);
    let mut late = machine.begin(&exchange);
    machine.pass(&mut late, Message::Request, &Body::whole(r#"{"never": 1}"#));
    machine
        .host
        .set_configuration(r#"{"version": 1, "ingest": {"cluster": "c"}, "redact": {"keys": ["a"]}}"#);
    assert!(machine.plugin.configure(&machine.host));
    late.log(&machine.host);
    drop(late);
    let hits = points(&machine.sent(), "gatelens.redaction.hits");
    assert_eq!(hits, BTreeMap::from([("keys:a".to_owned(), 0), ("request_body:$.never".to_owned(), 1)]));
}

/// Not a part of anything else that leaves.
const SECRET: &str = "8675309867";

/// A name under which a value is secret, and where it stands.
fn plant(place: usize, name: &str) -> (FakeExchange, Body, Body) {
    let in_query = format!("a=1&{name}={SECRET}");
    let json = format!(r#"{{"a": [{{"{name}": {{"b": [{SECRET}]}}}}], "u": "https://x/?{in_query}"}}"#);
    let path = match place {
        0 => format!("/a?{in_query}"),
        1 => format!("/a;{name}={SECRET}/b"),
        2 => format!("/a?next=%2Fb%3F{name}%3D{SECRET}"),
        _ => "/a".to_owned(),
    };
    let exchange = FakeExchange::new("POST", &path, 200).response_header(":status", "200");
    let exchange = match place {
        3 => exchange.header(&format!("x-{name}"), SECRET),
        4 => exchange.header("cookie", format!("a={SECRET}")),
        5 => exchange.header("referer", format!("https://ann:{SECRET}@x/?{in_query}")),
        6 => exchange.header("user-agent", format!("x https://y/?{in_query}")),
        7 => exchange.response_header("set-cookie", format!("a={SECRET}")),
        8 => exchange.response_header("location", format!("/b?{in_query}")),
        9 => exchange.header("x-envoy-original-path", format!("/b?{in_query}")),
        10 => exchange.header("x-request-id", format!("/?{in_query}")),
        _ => exchange,
    };
    let typed =
        |kind: &str| exchange.clone().header("content-type", kind).response_header("content-type", kind);
    match place {
        11 => (typed("application/json"), Body::whole(&json), Body::whole(&json)),
        12 => (typed("application/x-www-form-urlencoded"), Body::whole(&in_query), Body::whole(&in_query)),
        13 => (typed("text/event-stream"), Body::none(), Body::whole(&format!("data: {json}\n\n"))),
        // Not what its type says.
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
        let machine = Machine::start(EVERYTHING);
        let (exchange, request, response) = plant(place, name);
        let pieces = |Body(chunks, end): Body| Body(chunks.concat().chunks(chunk).map(<[u8]>::to_vec).collect(), end);
        machine.exchange(exchange, &pieces(request), &pieces(response));
        let sent = machine.sent();
        prop_assert!(records(&sent).len() == 1);
        for request in &sent {
            let left = plain(request);
            let text = String::from_utf8_lossy(&left);
            prop_assert!(!text.contains(SECRET), "place {place}: {text}");
            prop_assert!(!request.headers.iter().any(|(_, value)| value.contains(SECRET)));
        }
    }
}
