//! `gatelens.gateway.duration` is the gateway's own time: it excludes slow clients and slow upstreams.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::http2::{Http2, Then};
use gatelens_testkit::{Envoy, Receiver, Upstream, otlp, wait};

use super::stack::{Mode, in_both_modes, plugin};
use super::streams::streaming;

/// How long slow clients and upstreams pause.
const PAUSE: Duration = Duration::from_secs(1);

in_both_modes!(check);

fn check(mode: Mode) {
    let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
    let config = mode.config().upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
    let envoy = Envoy::start(&streaming(config).plugin(&plugin())).unwrap();

    let mut connection = Connection::open(envoy.address()).unwrap();
    for target in ["/bytes/40", "/direct", "/sleep/1000", "/events/20"] {
        assert_eq!(connection.request(&Request::get(target)).unwrap().status, 200, "{target}");
    }
    let measured = ["/bytes/{number}", "/direct", "/sleep/{number}", "/events/{number}", "/echo"];
    slowly(
        &envoy,
        "POST /echo HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 200",
    );

    // Earlier attempts, an earlier redirected request and a long body cannot be separated from the gateway's time.
    for target in ["/flaky/3", "/lagging/900", "/redirect/status/200"] {
        assert_eq!(connection.request(&Request::get(target)).unwrap().status, 200, "{target}");
    }
    slowly(
        &envoy,
        "GET /socket HTTP/1.1\r\nhost: gateway.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 101",
    );
    let mut http2 = Http2::open(envoy.address()).unwrap();
    let abandoned = http2.request("GET", "/chunked/2?sleep=60000", &[], Then::End).unwrap();
    envoy.wait_for_stat("cluster.upstream.upstream_rq_active", 1).unwrap();
    http2.reset(abandoned).unwrap();
    let not_measured =
        ["/flaky/{number}", "/lagging/{number}", "/status/{number}", "/socket", "/chunked/{number}"];

    let counted = measured.len() + not_measured.len();
    let durations = wait::eventually("the counters", || {
        let durations = times(&receiver, "http.server.request.duration");
        Ok((durations.len() >= counted).then_some(durations))
    });
    let (durations, gateway) = (durations.unwrap(), times(&receiver, "gatelens.gateway.duration"));
    for route in measured {
        let ((total_count, total), (count, own)) = (durations[route], gateway[route]);
        assert_eq!((total_count, count), (1, 1), "{mode:?} {route}");
        // The time of others is excluded, however slow the host is.
        let others =
            if route.starts_with("/bytes") || route == "/direct" { 0.0 } else { PAUSE.as_secs_f64() };
        assert!(total >= others, "{mode:?} {route}: {total}");
        assert!(own <= total - others / 2.0, "{mode:?} {route}: {own} of {total}");
    }
    for route in not_measured {
        assert_eq!(durations[route].0, 1, "{mode:?} {route}");
        assert_eq!(gateway.get(route), None, "{mode:?} {route}");
    }
}

/// Sends a request and its bytes with a pause in between.
fn slowly(envoy: &Envoy, head: &str, answer: &str) {
    let mut stream = TcpStream::connect(envoy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"hello").unwrap();
    // The pause begins when the request is on its way, so that all of it is in the stream's duration.
    envoy.wait_for_stat("cluster.upstream.upstream_rq_active", 1).unwrap();
    sleep(PAUSE);
    stream.write_all(b"world").unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"helloworld") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    assert!(read.starts_with(answer.as_bytes()), "{}", read.escape_ascii());
}

/// Count and sum in seconds of a histogram by route.
fn times(receiver: &Receiver, name: &str) -> BTreeMap<String, (u64, f64)> {
    let times = otlp::sketches(&receiver.captured(), name).into_iter();
    times
        .map(|(mut series, point)| {
            let route = series.remove("http.route").unwrap_or_else(|| panic!("{name}: no route"));
            (route, (point.count, point.sum.unwrap_or_default()))
        })
        .collect()
}
