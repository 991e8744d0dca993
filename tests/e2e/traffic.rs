//! Traffic of many kinds from several clients, each request with a number of its own and an expected series.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatelens_testkit::EnvoyConfig;
use gatelens_testkit::client::{Connection, Request, Response};
use serde_json::json;

use super::stack::{Counts, Key};

/// A kind of request and its expected series.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) consumer: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) body: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
}

const CONSUMERS: [Option<&str>; 4] = [Some("acme"), Some("globex"), Some("initech"), None];

/// Method, target, body, route, status.
const SHAPES: &[(&str, &str, &str, &str, u16)] = &[
    ("GET", "/users/7?status=200&sleep=0&bytes=120", "", "/users/{id}", 200),
    ("GET", "/users/ann?status=404&sleep=0", "", "/users/{id}", 404),
    ("PUT", "/users/9?status=200&sleep=0&bytes=2", "{\"name\":\"x\"}", "/users/{number}", 200),
    ("GET", "/bytes/1234", "", "/bytes/{number}", 200),
    ("HEAD", "/bytes/1234", "", "/bytes/{number}", 200),
    ("GET", "/chunked/3000", "", "/chunked/{number}", 200),
    ("POST", "/echo", "{\"items\":[1,2,3]}", "/echo", 200),
    ("DELETE", "/status/204", "", "/status/{number}", 204),
    ("GET", "/status/503", "", "/status/{number}", 503),
    ("GET", "/status/404", "", "__unmatched__", 404),
    ("PATCH", "/status/418", "", "/status/{number}", 418),
    ("PROPFIND", "/status/207", "", "/status/{number}", 207),
    (
        "GET",
        "/orders/3f2504e0-4f89-41d3-9a0c-0305e82c3301?status=200&sleep=0&bytes=40",
        "",
        "/orders/{uuid}",
        200,
    ),
    ("GET", "/direct", "", "/direct", 200),
    ("GET", "/dead/end", "", "/dead/end", 503),
];

impl Kind {
    /// Every consumer with every shape.
    pub(crate) fn all() -> Vec<Self> {
        let shapes = SHAPES.iter();
        shapes
            .flat_map(|(method, target, body, route, status)| {
                CONSUMERS.map(|consumer| Self {
                    consumer,
                    method,
                    target: (*target).to_owned(),
                    body,
                    route,
                    status: *status,
                })
            })
            .collect()
    }

    /// As it is counted.
    pub(crate) fn key(&self) -> Key {
        let method = if self.method == "PROPFIND" { "_OTHER" } else { self.method };
        (self.consumer.unwrap_or("anonymous").into(), method.into(), self.route.into(), self.status)
    }

    pub(crate) fn request(&self) -> Request {
        let mut request = Request::new(self.method, &self.target);
        if let Some(consumer) = self.consumer {
            request = request.header("x-consumer-id", consumer);
        }
        if !self.body.is_empty() {
            request = request.header("content-type", "application/json").body(self.body);
        }
        request
    }
}

/// Makes Envoy keep the `x-request-id` that the client sends, so that each record in the log names its request.
pub(crate) fn keep_request_ids(config: EnvoyConfig) -> EnvoyConfig {
    config.edit(|bootstrap| {
        let listeners = bootstrap["static_resources"]["listeners"].as_array_mut().unwrap();
        for listener in listeners {
            let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
            manager["preserve_external_request_id"] = json!(true);
        }
    })
}

/// How much traffic, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) requests: usize,
    /// The requests are spread over this time, or more on a slow host.
    pub(crate) duration: Duration,
    pub(crate) clients: usize,
    pub(crate) connections_per_client: usize,
}

/// The part of a response that clients check.
pub(crate) type Answer = (u16, Vec<u8>);

/// The requests that were sent, and differences in their responses.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) counts: BTreeMap<Key, Counts>,
    /// By client, the kinds of its requests in their order: request `<client>-<number>` in the log.
    pub(crate) kinds: Vec<Vec<u16>>,
    /// Responses that differ from those of a gateway without the filter, or that are missing; the first few.
    pub(crate) differences: Vec<String>,
}

impl Sent {
    pub(crate) fn requests(&self) -> u64 {
        self.counts.values().map(|counts| counts.requests).sum()
    }

    /// Adds a request whose response has a body of this many bytes.
    pub(crate) fn count(&mut self, kind: &Kind, response_bytes: usize) {
        let counts = Counts {
            requests: 1,
            errors: u64::from(kind.status >= 500),
            request_bytes: kind.body.len() as u64,
            response_bytes: response_bytes as u64,
        };
        add(self.counts.entry(kind.key()).or_default(), counts);
    }

    /// The kind of the request of that name; `None` for a name that was never sent.
    pub(crate) fn kind_of(&self, request_id: &str) -> Option<u16> {
        let (client, number) = request_id.split_once('-')?;
        self.kinds.get(client.parse::<usize>().ok()?)?.get(number.parse::<usize>().ok()?).copied()
    }
}

/// Progress of the clients; shared with the thread that injects faults.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) sent: AtomicU64,
}

/// The response to each kind, from a trusted gateway.
pub(crate) fn answers(gateway: SocketAddr, kinds: &[Kind]) -> Vec<Answer> {
    let mut connection = Connection::open(gateway).unwrap();
    kinds
        .iter()
        .map(|kind| {
            let response = connection.request(&kind.request().header("x-request-id", "0-0")).unwrap();
            assert_eq!(response.status, kind.status, "{kind:?}");
            (response.status, response.body)
        })
        .collect()
}

/// Sends the load from several threads and compares each response with the expected one.
pub(crate) fn send(
    gateway: SocketAddr,
    kinds: &[Kind],
    answers: &[Answer],
    load: Load,
    progress: &Progress,
) -> Sent {
    let shares: Vec<Sent> = thread::scope(|scope| {
        let clients: Vec<_> = (0..load.clients)
            .map(|client| scope.spawn(move || Client { gateway, kinds, answers, client }.run(load, progress)))
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let mut all = Sent::default();
    for mut share in shares {
        for (key, counts) in share.counts {
            add(all.counts.entry(key).or_default(), counts);
        }
        all.kinds.append(&mut share.kinds);
        all.differences.append(&mut share.differences);
    }
    all
}

struct Client<'a> {
    gateway: SocketAddr,
    kinds: &'a [Kind],
    answers: &'a [Answer],
    client: usize,
}

impl Client<'_> {
    fn run(&self, load: Load, progress: &Progress) -> Sent {
        let mut rng = Rng::with_seed(load.seed.wrapping_add(self.client as u64));
        let share = load.requests / load.clients;
        let start = Instant::now();
        let mut connections: Vec<Option<Connection>> =
            (0..load.connections_per_client).map(|_| None).collect();
        let mut sent = Sent { kinds: vec![Vec::with_capacity(share)], ..Sent::default() };
        for number in 0..share {
            let due = load.duration.mul_f64(number as f64 / share as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
            let kind = rng.usize(..self.kinds.len());
            let slot = rng.usize(..connections.len());
            sent.kinds[0].push(kind as u16);
            match self.request(&mut connections[slot], kind, number) {
                Ok(response) => self.count(&mut sent, kind, &response),
                Err(error) => sent.differ(format!("request {}-{number}: {error}", self.client)),
            }
            progress.sent.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    fn request(
        &self,
        connection: &mut Option<Connection>,
        kind: usize,
        number: usize,
    ) -> gatelens_testkit::Result<Response> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(self.gateway)?,
        };
        let id = format!("{}-{number}", self.client);
        let response = open.request(&self.kinds[kind].request().header("x-request-id", id))?;
        // A listener that is being replaced closes its connections; the client connects again.
        if response.header("connection") != Some("close") {
            *connection = Some(open);
        }
        Ok(response)
    }

    fn count(&self, sent: &mut Sent, kind: usize, response: &Response) {
        let (expected, kind) = (&self.answers[kind], &self.kinds[kind]);
        if (response.status, &response.body) != (expected.0, &expected.1) {
            sent.differ(format!("{} {}: {} {}", kind.method, kind.target, response.status, response.text()));
        }
        sent.count(kind, response.body.len());
    }
}

impl Sent {
    fn differ(&mut self, what: String) {
        // One difference already fails the test; a few are enough to find the cause.
        if self.differences.len() < 5 {
            self.differences.push(what);
        }
    }
}

pub(crate) fn add(sum: &mut Counts, more: Counts) {
    sum.requests += more.requests;
    sum.errors += more.errors;
    sum.request_bytes += more.request_bytes;
    sum.response_bytes += more.response_bytes;
}
