//! Capture and redaction on the real Envoy: every byte that leaves for the ingest is searched for planted secrets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::http2::{Http2, Then};
use gatelens_testkit::otlp::{inflated, points, records};
use gatelens_testkit::receiver::Captured;
use gatelens_testkit::{Envoy, Launch, Listeners, Receiver, Upstream};
use serde_json::{Value, json};

use super::report;
use super::stack::{Mode, Stack};

/// Every request contains it only as a secret. A number, so that it can be any JSON value.
const SECRET: &str = "8675309867";
/// Its base64 forms, at each of the three offsets in a group.
const IN_BASE64: [&str; 3] = ["ODY3NTMwOTg2N", "g2NzUzMDk4Nj", "4Njc1MzA5ODY3"];
const MASK: &str = "[CLIENT_REDACTED]";
const JSON: &str = "application/json";

/// Far more than the slowest host needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The examples of the documentation among the rules.
fn configuration() -> Value {
    json!({
        "version": 1,
        "ingest": {"cluster": "gatelens_ingest"},
        "capture": {"request_headers": ["*"], "response_headers": ["*"], "request_body": true, "response_body": true,
                    "max_body_bytes": 1_048_576},
        "redact": {
            "headers": ["X-Internal-*", "HOST"],
            "query": ["session_*"],
            "request_body": ["$.user.addresses[*].zip", "$.user.credit_card", "$.users[*].email", "$.never"],
            "response_body": ["$.user.addresses[*].zip", "$.user.credit_card", "$.users[*].email"],
            "keys": ["passport_no"],
            "detectors": ["card"],
        },
        // Every body is wanted, however slow the machine is.
        "limits": {"redaction_percent": 100},
    })
}

/// Attributes that a log record must have. It may have others.
type Expected = Vec<(&'static str, String)>;

/// The gateway with a receiver that keeps every byte.
struct Tapped {
    upstream: Upstream,
    receiver: Receiver,
    envoy: Envoy,
    expected: BTreeMap<String, Expected>,
}

impl Tapped {
    fn start(mode: Mode) -> Self {
        let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
        let config = mode.config().upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
        let config = super::streams::streaming(config).plugin(&configuration());
        let envoy = Envoy::launch(&config, &Launch::default()).unwrap();
        Self { upstream, receiver, envoy, expected: BTreeMap::new() }
    }

    fn address(&self) -> SocketAddr {
        self.envoy.address()
    }

    /// Adds the attributes that the record of the request with this path must have.
    fn expect(&mut self, path: &str, expected: &[(&'static str, &str)]) {
        let attributes = expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        assert!(self.expected.insert(path.to_owned(), attributes).is_none(), "{path} twice");
    }

    /// Sends a request and checks that the client gets its own body back.
    fn echo(&mut self, request: Request, body: &[u8], expected: &[(&'static str, &str)]) {
        let head = String::from_utf8_lossy(&request.to_bytes()).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = Connection::open(self.address()).unwrap().request(&request.body(body)).unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, body), "{target}");
        self.expect(target.split('?').next().unwrap(), expected);
    }

    /// Waits for the record of every request, and returns every export.
    fn all_that_left(&self) -> Vec<Captured> {
        let start = Instant::now();
        loop {
            let left = self.receiver.captured();
            if records(&left).len() >= self.expected.len() || start.elapsed() > PATIENCE {
                // One more tick, for the counters that belong to the last records.
                sleep(Duration::from_secs(2));
                return self.receiver.captured();
            }
            sleep(Duration::from_millis(200));
        }
    }
}

/// The bytes of an export that anyone could read: target, headers and the inflated body.
fn readable(export: &Captured) -> String {
    let headers =
        export.headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value)));
    let head: String = headers.collect();
    format!("{}\n{head}\n{}", export.path, String::from_utf8_lossy(&inflated(export)))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(body).unwrap();
    out.finish().unwrap()
}

const REQUEST: &str = "gatelens.request.body.content";
const RESPONSE: &str = "gatelens.response.body.content";
const NO_REQUEST: &str = "gatelens.request.body.omitted";
const NO_RESPONSE: &str = "gatelens.response.body.omitted";

#[test]
fn nothing_planted_leaves_and_everything_else_does() {
    nothing_planted_leaves(Mode::Filter);
}

#[test]
fn nothing_planted_leaves_a_module() {
    nothing_planted_leaves(Mode::ModuleFilter);
}

fn nothing_planted_leaves(mode: Mode) {
    let mut gateway = Tapped::start(mode);
    bodies(&mut gateway);
    bodies_that_are_left_out(&mut gateway);
    streams(&mut gateway);
    heads(&mut gateway);

    let left = gateway.all_that_left();
    let records = records(&left);
    assert_eq!(records.len(), gateway.expected.len(), "{}", gateway.envoy.log());
    for (path, expected) in &gateway.expected {
        let found: Vec<_> = records.iter().filter(|record| record["url.path"] == *path).collect();
        let [record] = found[..] else { panic!("{} records of {path}", found.len()) };
        for (key, value) in expected {
            assert_eq!(record.get(*key), Some(value), "{path} {key}: {record:#?}");
        }
        for (content, omitted) in [(REQUEST, NO_REQUEST), (RESPONSE, NO_RESPONSE)] {
            assert!(!(record.contains_key(content) && record.contains_key(omitted)), "{path}: {record:#?}");
        }
    }
    for text in left.iter().map(readable) {
        for form in IN_BASE64.iter().chain([&SECRET]) {
            assert!(!text.contains(form), "{form} left: {text}");
        }
    }

    let hits = points(&left, "gatelens.redaction.hits");
    for rule in [
        "request_body:$.user.addresses[*].zip",
        "request_body:$.user.credit_card",
        "response_body:$.users[*].email",
        "headers:X-Internal-*",
        "headers:HOST",
        "query:session_*",
        "keys:passport_no",
        "detectors:card",
        "default:token",
    ] {
        assert!(hits.get(rule).is_some_and(|count| *count > 0), "{rule}: {hits:?}");
    }
    assert_eq!(hits.get("request_body:$.never"), Some(&0), "{hits:?}");
    let bodies = points(&left, "gatelens.bodies");
    assert_eq!(bodies.values().sum::<i64>(), 2 * records.len() as i64, "each body has one fate: {bodies:?}");
    let log = gateway.envoy.log();
    assert!(!log.contains("panicked") && !log.contains("Wasm VM failed"), "{log}");
    assert!(gateway.upstream.requests() > 20);
}

/// Captured bodies, in every way in which a body can be sent.
fn bodies(gateway: &mut Tapped) {
    let post = |target: &str| Request::new("POST", target).header("content-type", JSON);
    let example = format!(
        r#"{{"user": {{"addresses": [{{"zip": "{SECRET}", "city": "Bonn"}}, {{"zip": {SECRET}}}], "credit_card": {{"no": [{SECRET}]}}, "n": 12345678901234567890.10}}, "users": [{{"email": "a{SECRET}@x"}}]}}"#
    );
    let redacted = format!(
        r#"{{"user": {{"addresses": [{{"zip": "{MASK}", "city": "Bonn"}}, {{"zip": "{MASK}"}}], "credit_card": "{MASK}", "n": 12345678901234567890.10}}, "users": [{{"email": "{MASK}"}}]}}"#
    );
    let both = [(REQUEST, redacted.as_str()), (RESPONSE, redacted.as_str())];
    gateway.echo(post("/echo/9/whole"), example.as_bytes(), &both);
    gateway.echo(post("/echo/1"), example.as_bytes(), &both);
    gateway.echo(post("/echo/gzip").header("content-encoding", "gzip"), &gzip(example.as_bytes()), &both);
    // One byte a chunk, with time between some of them.
    let mut connection = Connection::open(gateway.address()).unwrap();
    let head = format!(
        "POST /echo/slowly HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.send_bytes(head.as_bytes()).unwrap();
    for (index, byte) in example.bytes().enumerate() {
        connection.send_bytes(&[b"1\r\n", &[byte][..], b"\r\n"].concat()).unwrap();
        if index % 40 == 0 {
            sleep(Duration::from_millis(2));
        }
    }
    connection.send_bytes(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.read_response("POST").unwrap().text(), example);
    gateway.expect("/echo/slowly", &both);

    let named = format!(
        r#"{{"userPassword": "{SECRET}", "API-KEY": {{"a": {SECRET}}}, "x": {{"passportNo": "{SECRET}"}}, "card": "4111 1111 1111 1111", "\u0074oken": "{SECRET}"}}"#
    );
    let masked = format!(
        r#"{{"userPassword": "{MASK}", "API-KEY": "{MASK}", "x": {{"passportNo": "{MASK}"}}, "card": "{MASK}", "\u0074oken": "{MASK}"}}"#
    );
    gateway.echo(post("/echo/names"), named.as_bytes(), &[(REQUEST, &masked), (RESPONSE, &masked)]);
    let form = format!("a=1&pass%77ord={SECRET}&b=%20&client_secret={SECRET}");
    let masked = format!("a=1&pass%77ord={MASK}&b=%20&client_secret={MASK}");
    let request =
        Request::new("POST", "/echo/form").header("content-type", "application/x-www-form-urlencoded");
    gateway.echo(request, form.as_bytes(), &[(REQUEST, &masked), (RESPONSE, &masked)]);
    let lines = format!("{{\"token\": \"{SECRET}\"}}\n{{\"a\": 1}}\n");
    let masked = format!("{{\"token\": \"{MASK}\"}}\n{{\"a\": 1}}\n");
    let request =
        Request::new("POST", "/echo/lines").header("content-type", "application/x-ndjson; charset=utf-8");
    gateway.echo(request, lines.as_bytes(), &[(REQUEST, &masked), (RESPONSE, &masked)]);
    let events = format!("event: a\ndata: {{\"token\": \"{SECRET}\"}}\n\ndata: [DONE]\n\n");
    let masked = format!("event: a\ndata: {{\"token\": \"{MASK}\"}}\n\ndata: [DONE]\n\n");
    let request = Request::new("POST", "/echo/events").header("content-type", "text/event-stream");
    gateway.echo(request, events.as_bytes(), &[(REQUEST, &masked), (RESPONSE, &masked)]);

    // HTTP/2: data in frames, the end in the trailers.
    let mut http2 = Http2::open(gateway.address()).unwrap();
    let stream = http2.request("POST", "/echo/http2", &[("content-type", JSON)], Then::More).unwrap();
    for part in example.as_bytes().chunks(50) {
        http2.data(stream, part, Then::More).unwrap();
    }
    http2.trailers(stream, &[("x-checksum", "1")]).unwrap();
    assert_eq!(http2.answer(stream).unwrap().body_bytes, example.len());
    gateway.expect("/echo/http2", &both);
}

/// Bodies that cannot be redacted with certainty, and empty ones.
fn bodies_that_are_left_out(gateway: &mut Tapped) {
    let post = |target: &str| Request::new("POST", target).header("content-type", JSON);
    let mut both = |request: Request, body: &[u8], reason: &str| {
        gateway.echo(request, body, &[(NO_REQUEST, reason), (NO_RESPONSE, reason)]);
    };
    let secret = format!(r#"{{"token": "{SECRET}"}}"#);
    both(post("/echo/malformed"), secret.replace(':', ";").as_bytes(), "malformed");
    both(post("/echo/open"), &secret.as_bytes()[..secret.len() - 1], "truncated");
    both(post("/echo/latin"), &[secret.as_bytes(), b"\xe9"].concat(), "invalid_utf8");
    both(post("/echo/coding").header("content-encoding", "br"), secret.as_bytes(), "unknown_encoding");
    both(post("/echo/no-gzip").header("content-encoding", "gzip"), secret.as_bytes(), "malformed");
    let cut = gzip(secret.as_bytes());
    both(post("/echo/cut-gzip").header("content-encoding", "gzip"), &cut[..cut.len() - 9], "truncated");
    both(
        Request::new("POST", "/echo/charset").header("content-type", "application/json; charset=utf-16"),
        secret.as_bytes(),
        "unsupported_charset",
    );
    both(
        Request::new("POST", "/echo/png").header("content-type", "image/png"),
        secret.as_bytes(),
        "unsupported_media_type",
    );
    both(
        Request::new("POST", "/echo/grpc").header("content-type", "application/grpc"),
        secret.as_bytes(),
        "grpc",
    );
    both(
        post("/echo/2/twice").header("content-type", "text/plain"),
        secret.as_bytes(),
        "unsupported_media_type",
    );
    let large = format!(r#"{{"a": "{}", "token": "{SECRET}"}}"#, "x".repeat(1_048_576));
    both(post("/echo/large"), large.as_bytes(), "too_large");
    // Ten million levels, and as many as fit.
    both(post("/echo/deep"), "[".repeat(1_048_576).as_bytes(), "too_deep");
    both(post("/echo/deepest"), "[".repeat(10_000_000).as_bytes(), "too_large");
    let wide = format!("[{}{secret}]", "[[[[[[[[]]]]]]]],".repeat(60_000));
    let masked = wide.replace(SECRET, MASK);
    gateway.echo(post("/echo/wide"), wide.as_bytes(), &[(REQUEST, &masked), (RESPONSE, &masked)]);
    // Bombs: one that exceeds the bound, and one within it that inflates far too much.
    for (path, size, reason) in
        [("/echo/bomb", 50_000_000, "too_large"), ("/echo/small-bomb", 500_000, "inflate_bound")]
    {
        let bomb = gzip(&vec![b' '; size]);
        let request = post(path).header("content-encoding", "gzip");
        gateway.echo(request, &bomb, &[(NO_REQUEST, reason), (NO_RESPONSE, reason)]);
    }

    // The client goes away in the middle of its body.
    let mut connection = Connection::open(gateway.address()).unwrap();
    let head =
        format!("POST /echo/gone HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: 500\r\n\r\n");
    connection.send_bytes(&[head.as_bytes(), secret.as_bytes()].concat()).unwrap();
    sleep(Duration::from_millis(300));
    connection.abort();
    gateway.expect("/echo/gone", &[(NO_REQUEST, "truncated")]);
    // The upstream closes in the middle of its response.
    let answer = Connection::open(gateway.address()).unwrap().request(&Request::get("/truncate/5000"));
    assert!(answer.is_err());
    gateway.expect("/truncate/5000", &[(NO_RESPONSE, "truncated")]);
}

/// Streams without a body, and streams of another protocol.
fn streams(gateway: &mut Tapped) {
    let mut connection = Connection::open(gateway.address()).unwrap();
    for (method, path, status) in
        [("HEAD", "/bytes/9", 200), ("GET", "/status/204", 204), ("GET", "/status/304", 304)]
    {
        assert_eq!(connection.request(&Request::new(method, path)).unwrap().status, status);
        gateway.expect(path, &[]);
    }
    let mut socket = TcpStream::connect(gateway.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
        .write_all(b"GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .unwrap();
    let mut seen = Vec::new();
    let mut until = |socket: &mut TcpStream, end: &[u8]| {
        while !seen.ends_with(end) {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    };
    until(&mut socket, b"\r\n\r\n");
    socket.write_all(SECRET.as_bytes()).unwrap();
    until(&mut socket, SECRET.as_bytes());
    drop(socket);
    gateway.expect("/socket", &[(NO_REQUEST, "upgrade"), (NO_RESPONSE, "upgrade")]);
}

/// Headers, queries and paths.
fn heads(gateway: &mut Tapped) {
    let target = format!(
        "/echo/heads;session={SECRET}?a=1&Access%54oken={SECRET}&session_x={SECRET};sig={SECRET}&b=%20+&next=https%3A%2F%2Fu:{SECRET}@x%2F%3Fcode%3D{SECRET}"
    );
    let link = format!("https://ann:{SECRET}@shop.test/?token={SECRET}&a=1");
    let mut request = Request::new("POST", &target).header("content-type", "text/plain");
    for (name, value) in [
        ("AUTHORIZATION", format!("Bearer {SECRET}")),
        ("Cookie", format!("a={SECRET}")),
        ("cookie", format!("b={SECRET}")),
        ("x-Internal-Id", SECRET.to_owned()),
        ("my-ApiKey", SECRET.to_owned()),
        ("x-author", "ann".to_owned()),
        ("x-tag", "a".to_owned()),
        ("x-tag", "b".to_owned()),
        // Envoy itself removes one with userinfo.
        ("Referer", link.replace(&format!("ann:{SECRET}@"), "")),
        ("user-agent", format!("probe/1 (+https://x/?api_key={SECRET})")),
        ("answer-set-cookie", format!("a={SECRET}; Path=/")),
        ("answer-location", link.clone()),
        ("answer-x-request-cost", "7".to_owned()),
    ] {
        request = request.header(name, value);
    }
    let request = request.header("x-odd", b"caf\xe9");
    let body = "plain words";
    let answer = Connection::open(gateway.address()).unwrap().request(&request.body(body)).unwrap();
    assert_eq!((answer.status, answer.header("location")), (200, Some(link.as_str())), "the client sees all");
    let masked_link = format!("https://{MASK}@shop.test/?token={MASK}&a=1");
    let path = format!("/echo/heads;session={MASK}");
    gateway.expect(
        &path,
        &[
            (REQUEST, body),
            ("http.request.header.host", MASK),
            ("http.request.header.authorization", MASK),
            ("http.request.header.cookie", &[MASK; 2].join(" | ")),
            ("http.request.header.x-internal-id", MASK),
            ("http.request.header.my-apikey", MASK),
            ("http.request.header.x-author", "ann"),
            ("http.request.header.x-tag", "a | b"),
            ("http.request.header.x-odd", "caf\u{fffd}"),
            ("http.request.header.referer", &masked_link.replace(&format!("{MASK}@"), "")),
            ("http.response.header.set-cookie", MASK),
            ("http.response.header.location", &masked_link),
            ("http.response.header.x-request-cost", "7"),
            ("http.route", &path),
        ],
    );
}

#[test]
fn the_read_api_shows_what_was_captured() {
    for mode in [Mode::Both, Mode::ModuleBoth] {
        shows_what_was_captured(mode);
    }
}

fn shows_what_was_captured(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&configuration()));
    let body = format!(r#"{{"users": [{{"email": "a@x"}}], "n": 1e400, "token": "{SECRET}"}}"#);
    let request = Request::post("/echo/7?a=1&token=x", body.as_bytes()).header("content-type", JSON);
    let answer =
        Connection::open(stack.envoy.address()).unwrap().request(&request.header("x-tag", "a")).unwrap();
    assert_eq!(answer.text(), body);
    let [row] = &stack.wait_for_requests(1)[..] else { panic!("one request") };
    let redacted = format!(r#"{{"users": [{{"email": "{MASK}"}}], "n": 1e400, "token": "{MASK}"}}"#);
    let wanted = [
        ("query", json!(format!("a=1&token={MASK}"))),
        ("request_body", json!(redacted)),
        ("request_body_omitted", json!(null)),
        ("response_body", json!(redacted)),
        ("request_bytes", json!(body.len())),
    ];
    for (key, value) in wanted {
        assert_eq!(row[key], value, "{key}: {row}");
    }
    assert_eq!(row["request_headers"]["x-tag"], json!(["a"]), "{row}");
    assert_eq!(row["response_headers"]["content-type"], json!([JSON]), "{row}");

    stack.wait_for_count(1);
    let gateways = report::gateways(&stack.ingest);
    let redaction = &gateways[0]["redaction"];
    let hits = |rule: &str| {
        let rules = redaction["rules"].as_array().unwrap();
        rules.iter().find(|known| known["rule"] == rule).map(|known| known["hits"].clone())
    };
    assert_eq!(hits("response_body:$.users[*].email"), Some(json!(1)), "{redaction}");
    assert_eq!(hits("request_body:$.never"), Some(json!(0)), "{redaction}");
    assert_eq!(redaction["bodies"]["request"], json!({"captured": 1, "omitted": {}}), "{redaction}");
}

#[test]
fn an_access_logger_sees_no_bodies_and_reports_the_reason() {
    for mode in [Mode::Logger, Mode::ModuleLogger] {
        sees_no_bodies(mode);
    }
}

fn sees_no_bodies(mode: Mode) {
    let mut gateway = Tapped::start(mode);
    let body = format!(r#"{{"token": "{SECRET}"}}"#);
    let request = Request::new("POST", format!("/echo/seen?token={SECRET}")).header("content-type", JSON);
    gateway.echo(
        request,
        body.as_bytes(),
        &[
            (NO_REQUEST, "not_seen"),
            (NO_RESPONSE, "not_seen"),
            ("url.query", &format!("token={MASK}")),
            ("http.response.header.content-type", JSON),
        ],
    );
    let left = gateway.all_that_left();
    let [record] = &records(&left)[..] else { panic!("one record") };
    for (key, value) in &gateway.expected["/echo/seen"] {
        assert_eq!(record.get(*key), Some(value), "{key}: {record:#?}");
    }
    assert!(left.iter().all(|export| !readable(export).contains(SECRET)));
}
