//! The same requests through every door: the ingest, a real Prometheus by way of the ingest and of the filter, and a real OTLP
//! receiver as cumulative values, as changes and as spans count them alike, while the ingest is killed and one destination is slow.
//!
//! `make test` sends 3,000 requests, `make doors` 50,000; `DOORS_REQUESTS` changes either.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::otlp::{Attributes, changes, counts, points, server_spans};
use gatelens_testkit::process::Process;
use gatelens_testkit::prometheus::Prometheus;
use gatelens_testkit::receiver::{Receiver, Reply};
use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Upstream, artefacts, wait};
use serde_json::{Value, json};

use super::chaos::number;
use super::{collector, report};

const REQUESTS: usize = 3_000;

/// The traffic takes at least this long, so that the ingest dies and comes back meanwhile.
const DURATION: Duration = Duration::from_secs(8);

const CONNECTIONS: usize = 6;

/// Each answer of the slow destination.
const PAUSE: Duration = Duration::from_secs(2);

/// Requests by method, route and status.
type Counted = BTreeMap<[String; 3], u64>;

fn key(method: &str, route: &str, status: &str) -> [String; 3] {
    [method, route, status].map(str::to_owned)
}

/// A request of the traffic, and its series.
fn nth(number: usize) -> (Request, [String; 3]) {
    match number % 7 {
        0..=2 => (Request::get(format!("/users/{number}")), key("GET", "/users/{id}", "200")),
        3 => (Request::get(format!("/users/{number}?status=503")), key("GET", "/users/{id}", "503")),
        4 => (Request::post("/echo", "12345"), key("POST", "/echo", "200")),
        5 => (Request::get("/bytes/1000"), key("GET", "/bytes/{number}", "200")),
        _ => (Request::get(format!("/users/{number}?status=404")), key("GET", "/users/{id}", "404")),
    }
}

struct World {
    envoy: Envoy,
    ingest: Ingest,
    prometheus: Option<Prometheus>,
    /// Behind a collector, with cumulative values.
    cumulative: Receiver,
    /// Behind another one, with changes and spans.
    changes: Receiver,
    slow: Receiver,
    // Dropped after the others.
    _collectors: [Process; 2],
    _upstream: Upstream,
    _directory: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        artefacts::or_skip();
        let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
        let [cumulative, changes, slow] = [(); 3].map(|()| Receiver::start().unwrap());
        slow.reply_always(Reply::status(200).after(PAUSE));
        let directory = tempfile::tempdir().unwrap();
        let collector = |receiver: &Receiver, log: &str| {
            collector::collector(receiver.address(), &directory.path().join(log))
        };
        let (first, of_cumulative) = collector(&cumulative, "cumulative.log");
        let (second, of_changes) = collector(&changes, "changes.log");
        let config = EnvoyConfig::scrape().unwrap().upstream(upstream.address()).unwrap();
        let clusters = [
            ("gatelens_ingest", ingest.address()),
            ("cumulative", of_cumulative),
            ("changes", of_changes),
            ("slow", slow.address()),
        ];
        let add = |config: EnvoyConfig, (name, address)| config.cluster(name, address).unwrap();
        let config = clusters.into_iter().fold(config, add).each_configuration(|configuration| {
            configuration["ingest"] = json!({"cluster": "gatelens_ingest"});
            configuration["destinations"] = json!([
                {"cluster": "cumulative", "requests_as": "none"},
                {"cluster": "changes", "temporality": "delta", "requests_as": "spans"},
                {"cluster": "slow", "requests_as": "both"},
            ]);
        });
        let envoy = Envoy::start(&config.unwrap()).unwrap();
        let scrape = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
             - {{job_name: filter, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: ingest, metrics_path: /metrics/traffic, static_configs: [{{targets: ['{}']}}]}}\n",
            envoy.listeners().unwrap()["scrape"],
            ingest.address()
        );
        let prometheus = Prometheus::start(&scrape, &[]).unwrap();
        Self {
            envoy,
            ingest,
            prometheus,
            cumulative,
            changes,
            slow,
            _collectors: [first, second],
            _upstream: upstream,
            _directory: directory,
        }
    }

    /// Sends the traffic, and kills the ingest for three seconds in the middle of it.
    fn send(&mut self, requests: usize) -> Counted {
        let (gateway, sent) = (self.envoy.listeners().unwrap()["gateway"], AtomicUsize::new(0));
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|client| {
                    scope.spawn({
                        let sent = &sent;
                        move || send_share(gateway, client, requests, sent)
                    })
                })
                .collect();
            while sent.load(Ordering::Relaxed) < requests / 3 {
                thread::sleep(Duration::from_millis(20));
            }
            self.ingest.kill().unwrap();
            thread::sleep(Duration::from_secs(3));
            self.ingest.restart().unwrap();
            let mut all = Counted::new();
            for client in clients {
                client
                    .join()
                    .unwrap()
                    .into_iter()
                    .for_each(|(key, more)| *all.entry(key).or_default() += more);
            }
            all
        })
    }

    /// Requests as the ingest counts them.
    fn in_ingest(&self) -> Counted {
        let mut all = Counted::new();
        for ((_, method, route, status), counts) in report::summary(&self.ingest) {
            *all.entry(key(&method, &route, &status.to_string())).or_default() += counts.requests;
        }
        all
    }

    fn in_prometheus(&self, prometheus: &Prometheus, job: &str) -> Counted {
        let labels = ["http_request_method", "http_route", "http_response_status_code"];
        let query = format!(
            "sum by ({}) (http_server_request_duration_seconds_count{{job='{job}'}})",
            labels.join(", ")
        );
        let samples = prometheus.query(&query).unwrap();
        let of = |sample: &Value, label: &str| sample[label].as_str().unwrap_or_default().to_owned();
        samples.iter().map(|(sample, value)| (labels.map(|label| of(sample, label)), *value as u64)).collect()
    }
}

fn send_share(gateway: SocketAddr, client: usize, requests: usize, sent: &AtomicUsize) -> Counted {
    let mut connection = Connection::open(gateway).unwrap();
    let (start, mut counted) = (Instant::now(), Counted::new());
    for number in (client..requests).step_by(CONNECTIONS) {
        let due = DURATION.mul_f64(number as f64 / requests as f64);
        thread::sleep(due.saturating_sub(start.elapsed()));
        let (request, key) = nth(number);
        assert_eq!(connection.request(&request).unwrap().status.to_string(), key[2]);
        *counted.entry(key).or_default() += 1;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    counted
}

fn of_attributes(attributes: &Attributes) -> [String; 3] {
    ["http.request.method", "http.route", "http.response.status_code"]
        .map(|name| attributes.get(name).cloned().unwrap_or_default())
}

fn by_key(series: BTreeMap<Attributes, u64>) -> Counted {
    let mut all = Counted::new();
    for (series, requests) in series {
        *all.entry(of_attributes(&series)).or_default() += requests;
    }
    all
}

/// The spans of the gateway; each is there once.
fn by_span(spans: Vec<(Vec<u8>, Attributes)>) -> Counted {
    let (mut all, mut known) = (Counted::new(), BTreeSet::new());
    for (span, attributes) in spans {
        assert!(known.insert(span), "a span twice");
        *all.entry(of_attributes(&attributes)).or_default() += 1;
    }
    all
}

/// Waits until a door has counted these requests.
fn until(door: &str, expected: &Counted, counted: impl Fn() -> Counted) {
    let begin = Instant::now();
    let mut last = Counted::new();
    let waited = wait::eventually(door, || {
        last = counted();
        Ok((last == *expected).then_some(()))
    });
    waited.unwrap_or_else(|error| panic!("{error}\nexpected {expected:#?}\nfound {last:#?}"));
    eprintln!(
        "{door}: {} requests, {:.1} s after the last one",
        last.values().sum::<u64>(),
        begin.elapsed().as_secs_f64()
    );
}

#[test]
fn every_door_counts_the_same_requests() {
    let requests = number("DOORS_REQUESTS").map_or(REQUESTS, |requests| requests as usize);
    let mut world = World::start();
    let expected = world.send(requests);
    assert_eq!(expected.values().sum::<u64>(), requests as u64);
    let check = |world: &World| {
        until("the collector, cumulative", &expected, || by_key(counts(&world.cumulative.captured())));
        until("the collector, changes", &expected, || by_key(changes(&world.changes.captured())));
        until("the collector, spans", &expected, || by_span(server_spans(&world.changes.captured())));
        until("the ingest", &expected, || world.in_ingest());
        if let Some(prometheus) = &world.prometheus {
            until("Prometheus, by way of the filter", &expected, || {
                world.in_prometheus(prometheus, "filter")
            });
            until("Prometheus, by way of the ingest", &expected, || {
                world.in_prometheus(prometheus, "ingest")
            });
        }
        until("the slow destination", &expected, || by_key(counts(&world.slow.captured())));
    };
    check(&world);
    // The log lost nothing while the ingest was away, and has nothing twice.
    super::stack::wait_for_rows(&world.ingest, requests);
    thread::sleep(Duration::from_secs(3));
    check(&world);
    // Statistics of the delivery follow with the next exports, ten seconds later at most.
    let mut deliveries = BTreeMap::new();
    let all = [requests as i64; 2];
    let waited = wait::eventually("the fates of all events", || {
        deliveries = points(&world.cumulative.captured(), "gatelens.delivery.events");
        let sent = ["gatelens_ingest sent logs", "changes sent traces"].map(|name| deliveries[name]);
        Ok((sent == all).then_some(()))
    });
    waited.unwrap_or_else(|error| panic!("{error}: {deliveries:#?}"));
    let log = world.envoy.log();
    assert!(!log.contains("[critical]"), "{log}");
}
