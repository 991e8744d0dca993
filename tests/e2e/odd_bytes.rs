//! With bytes that no client should send, responses stay the same and the plugin stays alive.

use std::env;
use std::thread;

use fastrand::Rng;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Upstream, artefacts};

use super::stack::{Mode, Stack};

/// Number of requests, each from its own seed; `GATELENS_ODD_REQUESTS` overrides it.
const REQUESTS: u64 = 2_000;

/// Envoy's limit for all headers of a request.
const MAX_HEADERS_BYTES: usize = 60 * 1024;

/// Envoy's limit for their number.
const MAX_HEADERS: usize = 100;

#[test]
fn answers_are_those_of_the_same_envoy_without_the_filter() {
    artefacts::or_skip();
    let number = env::var("GATELENS_ODD_REQUESTS").map_or(REQUESTS, |text| text.parse().unwrap());
    let requests: Vec<Vec<u8>> = (0..number).map(|seed| odd_request(&mut Rng::with_seed(seed))).collect();
    let upstream = Upstream::start().unwrap();
    let plain = Envoy::start(&EnvoyConfig::plain().unwrap().upstream(upstream.address()).unwrap()).unwrap();
    let expected = answers(&plain, &requests);
    let share =
        |status: u16| expected.iter().filter(|got| **got == Some(status)).count() * 100 / requests.len();
    let shares = [share(200), share(400), share(431)];
    assert!(shares.iter().all(|share| *share >= 5), "odd, but not all hopeless: {shares:?} of 100");

    for mode in Mode::each() {
        let stack = Stack::start(mode);
        let got = answers(&stack.envoy, &requests);
        for ((bytes, expected), got) in requests.iter().zip(&expected).zip(got) {
            let shown = bytes.get(..2_000).unwrap_or(bytes);
            assert_eq!(got, *expected, "{mode:?}: {} bytes: {}", bytes.len(), shown.escape_ascii());
        }
        let streams = stack.envoy.stat("http.gateway.downstream_rq_total").unwrap();
        assert!(streams >= number * 9 / 10, "{streams}");
        stack.wait_for_count(streams);
        assert_eq!(answer(&stack.envoy, &Request::get("/direct").to_bytes()), Some(200));
        stack.wait_for_count(streams + 1);
        assert!(!stack.envoy.log().contains("panicked"), "{}", stack.envoy.log());
    }
}

/// In the order of the requests, from four clients at a time.
fn answers(envoy: &Envoy, requests: &[Vec<u8>]) -> Vec<Option<u16>> {
    thread::scope(|scope| {
        let clients: Vec<_> = requests
            .chunks(requests.len().div_ceil(4))
            .map(|share| scope.spawn(|| share.iter().map(|bytes| answer(envoy, bytes)).collect::<Vec<_>>()))
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// The status, or `None` if the connection was closed without a response.
fn answer(envoy: &Envoy, request: &[u8]) -> Option<u16> {
    let mut connection = Connection::open(envoy.address()).unwrap();
    // A request that is refused halfway still gets a response.
    let _ = connection.send_bytes(request);
    connection.read_response("GET").ok().map(|response| response.status)
}

fn odd_request(rng: &mut Rng) -> Vec<u8> {
    let mut head = match rng.u8(0..12) {
        0 => [b"G\xe9T /direct".to_vec(), odd_bytes(rng, 3)].concat(),
        1 => [b"GET /direct/".to_vec(), odd_bytes(rng, 12)].concat(),
        2 => b"GET /direct/%00%ff%E9%zz?a=%".to_vec(),
        3 => [b"GET /direct/".to_vec(), vec![b'a'; rng.usize(1_000..8_192)]].concat(),
        4 => b"GET http://else.where/direct?x".to_vec(),
        5 => b"OPTIONS *".to_vec(),
        _ => b"GET /direct/42".to_vec(),
    };
    head.extend(b" HTTP/1.1\r\nhost: gateway.test\r\n");
    for _ in 0..rng.usize(0..4) {
        let name: &[u8] = match rng.u8(0..10) {
            0 => &odd_bytes(rng, 6),
            1 => b"X-CONSUMER-ID",
            2 => b"user-agent",
            3 => b"traceparent",
            4 => b"x-request-id",
            5 => b"x-envoy-original-path",
            6 => b"cookie",
            _ => b"x-consumer-id",
        };
        let value = match rng.u8(0..5) {
            0 => odd_bytes(rng, 20),
            1 => vec![rng.u8(0x80..=0xff); rng.usize(1..300)],
            2 => "\u{202e}\u{0}ünï\u{feff}".replace('\0', "").into_bytes(),
            3 => vec![b'x'; rng.usize(0..9_000)],
            _ => b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec(),
        };
        head.extend([name, b": ", &value, b"\r\n"].concat());
    }
    // In addition to `host`, `connection` and those that Envoy adds, up to and over its limits.
    match rng.u8(0..12) {
        0 | 1 => {
            for index in 0..rng.usize(MAX_HEADERS - 20..MAX_HEADERS + 10) {
                head.extend(format!("x-{index}: {}\r\n", rng.u64(..)).bytes());
            }
        }
        2 | 3 => {
            let bytes = rng.usize(MAX_HEADERS_BYTES - 4_096..MAX_HEADERS_BYTES + 2_048);
            head.extend([b"x-long: ".to_vec(), vec![rng.u8(b'a'..=0xff); bytes], b"\r\n".to_vec()].concat());
        }
        _ => {}
    }
    head.extend(b"connection: close\r\n\r\n");
    head
}

/// Any bytes except those that would end a line or the word.
fn odd_bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    let allowed = |rng: &mut Rng| match rng.u8(..) {
        b'\r' | b'\n' | b' ' | b':' => 0xe9,
        byte => byte,
    };
    (0..rng.usize(1..=most)).map(|_| allowed(rng)).collect()
}
