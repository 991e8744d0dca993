//! Streams that are more than one request and one response: each counts once, with the right values.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use gatelens_model::grpc;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::http2::{Http2, Then};
use gatelens_testkit::{EnvoyConfig, Listeners, Receiver, Upstream, otlp};
use serde_json::{Value, json};

use super::stack::{Mode, Stack, in_both_modes, plugin};

/// A finished stream and its expected row in the log, by its path.
struct Had {
    method: &'static str,
    path: &'static str,
    status: u64,
    request_bytes: u64,
    response_bytes: u64,
    /// It cannot have been shorter.
    at_least_ms: f64,
}

const fn had(
    method: &'static str,
    path: &'static str,
    status: u64,
    bytes: [u64; 2],
    at_least_ms: f64,
) -> Had {
    let [request_bytes, response_bytes] = bytes;
    Had { method, path, status, request_bytes, response_bytes, at_least_ms }
}

in_both_modes!(check);

fn check(mode: Mode) {
    let stack = Stack::launch(mode, Listeners::Static, |config| streaming(config).plugin(&plugin()));
    let mut all = over_http1(&stack);
    all.extend(over_http2(&stack));

    stack.wait_for_count(all.len() as u64);
    let rows = stack.wait_for_requests(all.len());
    for had in &all {
        let same: Vec<&Value> =
            rows.iter().filter(|row| row["path"].as_str().unwrap_or_default() == had.path).collect();
        let [row] = &same[..] else { panic!("{mode:?}: once, not {} times: {}", same.len(), had.path) };
        assert_eq!(
            (&row["method"], &row["status"]),
            (&json!(had.method), &json!(had.status)),
            "{mode:?} {row}"
        );
        let bytes = (&row["request_bytes"], &row["response_bytes"]);
        assert_eq!(bytes, (&json!(had.request_bytes), &json!(had.response_bytes)), "{mode:?} {row}");
        assert!(row["duration_ms"].as_f64().unwrap() >= had.at_least_ms, "{mode:?} {row}");
    }
    assert!(!stack.envoy.log().contains("panicked"), "{}", stack.envoy.log());
}

fn over_http1(stack: &Stack) -> Vec<Had> {
    let address = stack.envoy.address();
    let mut connection = Connection::open(address).unwrap();
    let mut ask = |request: Request, status: u16| {
        let response = connection.request(&request).unwrap();
        assert_eq!(response.status, status, "{request:?}");
        response
    };

    // A response without a body has no bytes, whatever its headers announce.
    assert_eq!(ask(Request::new("HEAD", "/bytes/700"), 200).header("content-length"), Some("700"));
    ask(Request::get("/status/204"), 204);
    ask(Request::get("/status/304"), 304);
    // Interim responses do not count: one request, one response.
    ask(Request::get("/interim/2"), 200);
    ask(Request::post("/echo", "expected").header("expect", "100-continue"), 200);
    ask(Request::get("/trailers").header("te", "trailers"), 200);
    // It ends when its last event has come, and not before.
    let events = ask(Request::get("/events/8"), 200);
    assert_eq!(events.body.len(), 8 * 9);

    // Retries, redirects and hedged attempts of the gateway belong to one request of the client.
    ask(Request::get("/flaky/3"), 200);
    ask(Request::get("/redirect/bytes/40"), 200);
    ask(Request::get("/lagging/900"), 200);

    // A tunnel ends when it is closed, and its bytes are those of both directions.
    let tunnel = |request: &[u8], answer: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(answer.as_bytes()), "{}", head.escape_ascii());
        for message in ["hello", "you there"] {
            stream.write_all(message.as_bytes()).unwrap();
            let mut echo = vec![0; message.len()];
            stream.read_exact(&mut echo).unwrap();
            assert_eq!(echo, message.as_bytes());
        }
        thread::sleep(Duration::from_millis(300));
    };
    let upgrade =
        b"GET /socket HTTP/1.1\r\nhost: gateway.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    tunnel(upgrade, "HTTP/1.1 101");
    tunnel(b"CONNECT gateway.test:443 HTTP/1.1\r\nhost: gateway.test:443\r\n\r\n", "HTTP/1.1 200");

    vec![
        had("HEAD", "/bytes/700", 200, [0, 0], 0.0),
        had("GET", "/status/204", 204, [0, 0], 0.0),
        had("GET", "/status/304", 304, [0, 0], 0.0),
        had("GET", "/interim/2", 200, [0, 5], 0.0),
        had("POST", "/echo", 200, [8, 8], 0.0),
        had("GET", "/trailers", 200, [0, 5], 0.0),
        had("GET", "/events/8", 200, [0, 72], 400.0),
        had("GET", "/flaky/3", 200, [0, 3], 0.0),
        had("GET", "/bytes/40", 200, [0, 40], 0.0),
        had("GET", "/lagging/900", 200, [0, 5], 0.0),
        had("GET", "/socket", 101, [14, 14], 300.0),
        had("CONNECT", "", 200, [14, 14], 300.0),
    ]
}

fn over_http2(stack: &Stack) -> Vec<Had> {
    let mut connection = Http2::open(stack.envoy.address()).unwrap();
    let first = connection.request("GET", "/bytes/30", &[], Then::End).unwrap();
    let second = connection.request("POST", "/echo/2", &[], Then::More).unwrap();
    connection.data(second, b"a half", Then::More).unwrap();
    connection.data(second, b" and one", Then::More).unwrap();
    connection.trailers(second, &[("x-checksum", "1")]).unwrap();
    let answers = [first, second].map(|id| connection.answer(id).unwrap().body_bytes);
    assert_eq!(answers, [30, 14]);

    let trailing = connection.request("GET", "/trailers/2", &[("te", "trailers")], Then::End).unwrap();
    let answer = connection.answer(trailing).unwrap();
    assert_eq!((answer.status, answer.body_bytes, answer.trailers), (Some(200), 5, 1));

    let abandoned = connection.request("GET", "/sleep/60000", &[], Then::End).unwrap();
    stack.envoy.wait_for_stat("cluster.upstream.upstream_rq_active", 1).unwrap();
    connection.reset(abandoned).unwrap();
    // The connection stays open.
    let after = connection.request("GET", "/bytes/31", &[], Then::End).unwrap();
    assert_eq!(connection.answer(after).unwrap().body_bytes, 31);

    vec![
        had("GET", "/bytes/30", 200, [0, 30], 0.0),
        had("POST", "/echo/2", 200, [14, 14], 0.0),
        had("GET", "/trailers/2", 200, [0, 5], 0.0),
        had("GET", "/sleep/60000", 499, [0, 0], 0.0),
        had("GET", "/bytes/31", 200, [0, 31], 0.0),
    ]
}

#[test]
fn calls_of_grpc_and_attempts_are_in_the_log() {
    for mode in Mode::each() {
        let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
        let config = mode.config().upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
        let mut configuration = plugin();
        configuration["ingest"]["compression"] = json!("none");
        let config = streaming(config).plugin(&configuration);
        let envoy = gatelens_testkit::Envoy::start(&config).unwrap();

        let mut http1 = Connection::open(envoy.address()).unwrap();
        let mut http2 = Http2::open(envoy.address()).unwrap();
        let mut call = |target: &str| {
            let kind = ("content-type", "application/grpc+proto");
            let request = Request::post(target, "\0\0\0\0\0").header(kind.0, kind.1).header("te", "trailers");
            let status = http1.request(&request).unwrap().status;
            let id = http2.request("POST", target, &[kind, ("te", "trailers")], Then::More).unwrap();
            http2.data(id, b"\0\0\0\0\0", Then::End).unwrap();
            assert_eq!(http2.answer(id).unwrap().status, Some(status), "{target}");
            assert_eq!(status, 200, "{target}");
        };
        // In the trailers, in the headers, and made by Envoy, which responds to every gRPC call with 200.
        for target in ["/grpc/0", "/grpc/5", "/grpc-headers/7", "/dead/call"] {
            call(target);
        }
        for (target, status) in [("/flaky/3", 200), ("/status/404", 404), ("/flaky/9", 503)] {
            assert_eq!(http1.request(&Request::get(target)).unwrap().status, status);
        }

        let expected = [
            ("/grpc/0", 200, Some(0), None, 2),
            ("/grpc/5", 200, Some(5), None, 2),
            ("/grpc-headers/7", 200, Some(7), None, 2),
            ("/dead/call", 200, Some(14), None, 2),
            ("/flaky/3", 200, None, Some(2), 1),
            // This is not a gRPC call, so the gRPC status that Envoy infers from the 404 is ignored.
            ("/status/404", 404, None, None, 1),
            ("/flaky/9", 503, None, Some(3), 1),
        ];
        let total: usize = expected.iter().map(|(.., times)| times).sum();
        let records = gatelens_testkit::wait::eventually("the log", || {
            let records = otlp::records(&receiver.captured());
            Ok((records.len() >= total).then_some(records))
        });
        let records = records.unwrap();
        assert_eq!(records.len(), total, "{mode:?}");
        for (path, status, grpc, resent, times) in expected {
            let same: Vec<_> = records.iter().filter(|record| record["url.path"] == path).collect();
            assert_eq!(same.len(), times, "{mode:?} {path}");
            let number = |number: i64| number.to_string();
            let expected = [
                ("http.response.status_code", Some(number(status))),
                ("rpc.response.status_code", grpc.map(|code: usize| grpc::NAMES[code].to_owned())),
                ("http.request.resend_count", resent.map(number)),
            ];
            for record in same {
                for (key, value) in &expected {
                    assert_eq!(record.get(*key), value.as_ref(), "{mode:?} {path} {key}");
                }
            }
        }
    }
}

/// A gateway that allows tunnels and trailers, and that retries, follows redirects and hedges.
pub(crate) fn streaming(config: EnvoyConfig) -> EnvoyConfig {
    config.edit(|bootstrap| {
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        let manager = bootstrap.pointer_mut(manager).unwrap();
        manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]);
        manager["http_protocol_options"] = json!({"enable_trailers": true});
        manager["proxy_100_continue"] = json!(true);
        let host = &mut manager["route_config"]["virtual_hosts"][0];
        host["include_request_attempt_count"] = json!(true);
        let routes = host["routes"].as_array_mut().unwrap();
        let route = |matches: Value, action: Value| {
            let mut action = action;
            action["cluster"] = json!("upstream");
            json!({"match": matches, "route": action})
        };
        let retry =
            json!({"retry_on": "5xx", "num_retries": 3, "retry_back_off": {"base_interval": "0.01s"}});
        // A tunnel may be idle and long, so these routes have no timeout.
        routes.insert(0, route(json!({"connect_matcher": {}}), json!({"timeout": "0s"})));
        routes.insert(1, route(json!({"prefix": "/flaky"}), json!({"retry_policy": retry})));
        routes.insert(2, route(json!({"prefix": "/redirect"}), json!({"internal_redirect_policy": {}})));
        let hedged = json!({
            "timeout": "20s",
            "retry_policy": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.2s"},
            "hedge_policy": {"hedge_on_per_try_timeout": true},
        });
        routes.insert(3, route(json!({"prefix": "/lagging"}), hedged));
        let options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
        let upstream = clusters.iter_mut().find(|cluster| cluster["name"] == "upstream").unwrap();
        upstream["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
            }
        });
    })
}
