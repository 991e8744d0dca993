//! The counts equal the requests sent, exactly.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use gatelens_testkit::Listeners;
use gatelens_testkit::client::{Connection, Request};

use super::stack::{Counts, Key, Mode, Stack, in_both_modes, plugin};

/// A kind of request and its expected series.
struct Kind {
    consumer: Option<&'static str>,
    method: &'static str,
    target: &'static str,
    body: &'static str,
    route: &'static str,
    status: u16,
    times: usize,
}

const fn kind(
    consumer: Option<&'static str>,
    method: &'static str,
    target: &'static str,
    route: &'static str,
    status: u16,
    times: usize,
) -> Kind {
    Kind { consumer, method, target, body: "", route, status, times }
}

const KINDS: &[Kind] = &[
    kind(Some("acme"), "GET", "/users/42?token=secret", "/users/{id}", 200, 40),
    kind(Some("acme"), "GET", "/users/ann?status=200", "/users/{id}", 200, 21),
    kind(Some("globex"), "GET", "/users/7?status=404", "/users/{id}", 404, 13),
    kind(None, "GET", "/bytes/1234", "/bytes/{number}", 200, 30),
    kind(None, "HEAD", "/bytes/1234", "/bytes/{number}", 200, 9),
    kind(Some("globex"), "GET", "/chunked/5000", "/chunked/{number}", 200, 11),
    kind(Some("initech"), "GET", "/status/404", "__unmatched__", 404, 17),
    kind(Some("initech"), "GET", "/status/503", "/status/{number}", 503, 8),
    kind(Some("initech"), "DELETE", "/status/204", "/status/{number}", 204, 6),
    kind(Some("initech"), "PROPFIND", "/status/418", "/status/{number}", 418, 5),
    kind(Some("acme"), "GET", "/dead/end", "/dead/end", 503, 7),
    kind(None, "GET", "/direct", "/direct", 200, 19),
    kind(Some("acme"), "GET", "/abort", "/abort", 503, 4),
    kind(
        Some("acme"),
        "GET",
        "/orders/3f2504e0-4f89-41d3-9a0c-0305e82c3301?status=200",
        "/orders/{uuid}",
        200,
        12,
    ),
    Kind {
        consumer: Some("globex"),
        method: "POST",
        target: "/echo",
        body: "{\"card\": \"4111 1111 1111 1111\"}",
        route: "/echo",
        status: 200,
        times: 25,
    },
];

/// Milliseconds that the upstream sleeps; each value once, so that its record can be found by its path.
const SLEEPS: std::ops::Range<u32> = 20..40;

const ABORTS: u64 = 5;
const UNPARSEABLE: u64 = 6;

in_both_modes!(check);

#[test]
fn filter_and_access_logger_at_once() {
    check(Mode::Both);
}

#[test]
fn module_filter_and_access_logger_at_once() {
    check(Mode::ModuleBoth);
}

fn check(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin()));
    let mut expected = BTreeMap::new();

    // Over connections to both workers, in an order that mixes the kinds.
    let mut plan: Vec<&Kind> = KINDS.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.times)).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut plan);
    let counted = Mutex::new(BTreeMap::<Key, Counts>::new());
    thread::scope(|scope| {
        for share in plan.chunks(plan.len().div_ceil(6)) {
            let (stack, counted) = (&stack, &counted);
            scope.spawn(move || {
                let mut connection = Connection::open(stack.envoy.address()).unwrap();
                for kind in share {
                    let response_bytes = send(&mut connection, kind);
                    let key = (
                        kind.consumer.unwrap_or("anonymous").into(),
                        method(kind).into(),
                        kind.route.into(),
                        kind.status,
                    );
                    add(&mut counted.lock().unwrap(), key, kind.body.len() as u64, response_bytes);
                }
            });
        }
    });
    expected.extend(counted.into_inner().unwrap());

    let mut elapsed = BTreeMap::new();
    thread::scope(|scope| {
        let clients: Vec<_> = SLEEPS
            .map(|ms| {
                let stack = &stack;
                scope.spawn(move || {
                    let mut connection = Connection::open(stack.envoy.address()).unwrap();
                    let response = connection.request(&Request::get(format!("/sleep/{ms}"))).unwrap();
                    assert_eq!(response.status, 200);
                    (ms, response)
                })
            })
            .collect();
        for client in clients {
            let (ms, response) = client.join().unwrap();
            let key = ("anonymous".into(), "GET".into(), "/sleep/{number}".into(), 200);
            add(&mut expected, key, 0, response.body.len() as u64);
            elapsed.insert(ms, response.elapsed);
        }
    });

    for _ in 0..ABORTS {
        let mut connection = Connection::open(stack.envoy.address()).unwrap();
        connection
            .send_bytes(&Request::get("/sleep/2000").header("x-consumer-id", "acme").to_bytes())
            .unwrap();
        thread::sleep(Duration::from_millis(200));
        connection.abort();
        add(&mut expected, ("acme".into(), "GET".into(), "/sleep/{number}".into(), 499), 0, 0);
    }

    for _ in 0..UNPARSEABLE {
        let mut connection = Connection::open(stack.envoy.address()).unwrap();
        connection
            .send_bytes(b"GET /a HTTP/1.1\r\nhost: a\r\nx-b\xe9d: 1\r\nx-consumer-id: acme\r\n\r\n")
            .unwrap();
        let response = connection.read_response("GET").unwrap();
        assert_eq!(response.status, 400);
        let key = ("anonymous".into(), "_OTHER".into(), "__unmatched__".into(), 400);
        add(&mut expected, key, 0, response.body.len() as u64);
    }

    let total: u64 = expected.values().map(|counts| counts.requests).sum();
    stack.wait_for_count(total);
    let got = stack.summary();
    for (key, counts) in &expected {
        assert_eq!(got.get(key), Some(counts), "{mode:?} {key:?}");
    }
    assert_eq!(got, expected, "{mode:?}");

    let rows = stack.wait_for_requests(total as usize);
    let log = rows.iter().map(|row| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        (text("consumer"), text("method"), text("route"), row["status"].as_u64().unwrap() as u16)
    });
    let mut logged = BTreeMap::<Key, u64>::new();
    log.for_each(|key| *logged.entry(key).or_default() += 1);
    assert_eq!(
        logged,
        expected.iter().map(|(key, counts)| (key.clone(), counts.requests)).collect(),
        "{mode:?}"
    );

    for (ms, elapsed) in elapsed {
        let path = format!("/sleep/{ms}");
        let row = rows.iter().find(|row| row["path"] == path.as_str()).expect(&path);
        let (duration, upstream) =
            (row["duration_ms"].as_f64().unwrap(), row["upstream_ms"].as_f64().unwrap());
        assert!(duration >= f64::from(ms) && upstream >= f64::from(ms), "{mode:?} slept {ms} ms: {row}");
        assert!(duration <= elapsed.as_secs_f64() * 1e3, "{mode:?} the client measured {elapsed:?}: {row}");
        assert!(upstream <= duration, "{row}");
    }
    let causes: BTreeMap<&str, usize> = rows.iter().filter_map(|row| row["error_type"].as_str()).fold(
        BTreeMap::new(),
        |mut causes, cause| {
            *causes.entry(cause).or_default() += 1;
            causes
        },
    );
    // Envoy's own 400 has a cause, too, although it is not an error in the counts.
    let expected_causes = [
        ("503", 8),
        ("downstream_protocol_error", 6),
        ("upstream_connection_failure", 7),
        ("upstream_connection_termination", 4),
    ];
    assert_eq!(causes, BTreeMap::from(expected_causes), "{mode:?}");
    let redacted = rows.iter().filter(|row| row["query"] == "token=[CLIENT_REDACTED]").count();
    assert_eq!(redacted, 40, "{mode:?}");
    // No secret of a query and no body has left the proxy.
    for secret in ["token=secret", "4111 1111"] {
        assert!(!rows.iter().any(|row| row.to_string().contains(secret)), "{secret}");
    }

    let gateways = stack.ingest.get_json("/api/v1/gateways").unwrap();
    let [gateway] = &gateways["rows"].as_array().unwrap()[..] else { panic!("one gateway: {gateways}") };
    assert_eq!(
        (&gateway["instance"], &gateway["version"]),
        (&"edge-1".into(), &env!("CARGO_PKG_VERSION").into())
    );
    assert_eq!(gateway["config_hash"].as_str().map(str::len), Some(16));
    assert_eq!(gateway["series"].as_u64(), Some(expected.len() as u64));
    assert_eq!(gateway["overflow"].as_u64(), Some(0));
    assert_eq!(gateway["gaps"], serde_json::json!({"metrics": 0, "logs": 0}));
}

fn method(kind: &Kind) -> &'static str {
    if kind.method == "PROPFIND" { "_OTHER" } else { kind.method }
}

/// Sends a request and returns the length of the response body.
fn send(connection: &mut Connection, kind: &Kind) -> u64 {
    let mut request = Request::new(kind.method, kind.target);
    if let Some(consumer) = kind.consumer {
        request = request.header("x-consumer-id", consumer);
    }
    if !kind.body.is_empty() {
        request = request.header("content-type", "application/json").body(kind.body);
    }
    let response = connection.request(&request).unwrap();
    assert_eq!(response.status, kind.status, "{} {}", kind.method, kind.target);
    response.body.len() as u64
}

fn add(counts: &mut BTreeMap<Key, Counts>, key: Key, request_bytes: u64, response_bytes: u64) {
    let is_error = key.3 >= 500 || key.3 == 0;
    let entry = counts.entry(key).or_default();
    entry.requests += 1;
    entry.errors += u64::from(is_error);
    entry.request_bytes += request_bytes;
    entry.response_bytes += response_bytes;
}
