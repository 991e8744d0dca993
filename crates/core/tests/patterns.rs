//! The hand-back of learned routes: fetched once by the leader, in force in all workers, and never at the cost of
//! anything else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use gatelens_core::host::{CalloutAnswer, LogLevel};
use gatelens_model::route_patterns::{MAX_BYTES, version};
use gatelens_testkit::fake::{FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::{counts, log_records};
use gatelens_testkit::worker::Worker;

const CONFIGURATION: &str = r#"{"version": 1, "service": {"name": "o r/1", "environment": "prod"},
    "ingest": {"cluster": "c", "authority": "i.internal", "path_prefix": "/otlp", "headers": {"authorization": "Bearer x"}}}"#;
const START: u64 = 1_700_000_000_000_000_000;
const PATTERNS: &str = r#"{"places":{"/repos":["search"]}}"#;

/// Workers of one gateway, and the ingest that answers them.
struct Fleet {
    gateway: FakeGateway,
    workers: Vec<Worker>,
    /// Version that the answers to exports name; empty for none.
    named: String,
    /// The answer to a request for patterns.
    patterns: CalloutAnswer,
    sent: Vec<Sent>,
}

fn patterns(text: &str) -> CalloutAnswer {
    CalloutAnswer {
        status: Some(200),
        route_patterns: version(text).into(),
        body: text.into(),
        ..CalloutAnswer::default()
    }
}

fn is_fetch(sent: &Sent) -> bool {
    sent.header(":method") == "GET"
}

impl Fleet {
    fn of(workers: usize, configuration: &str) -> Self {
        let gateway = FakeGateway::starting_at(START);
        let workers = (0..workers).map(|_| Worker::start(&gateway, configuration)).collect();
        let named = version(PATTERNS);
        Self { gateway, workers, named, patterns: patterns(PATTERNS), sent: Vec::new() }
    }

    /// A request for each of these paths on each worker, and then one second.
    fn second(&mut self, paths: &[&str]) {
        for worker in &self.workers {
            paths.iter().for_each(|path| worker.finish(FakeStream::new("GET", path, 200)));
        }
        self.gateway.wait(Duration::from_secs(1));
        for worker in &self.workers {
            worker.plugin.tick(&worker.host);
            loop {
                let sent = worker.host.take_sent();
                if sent.is_empty() {
                    break;
                }
                for request in &sent {
                    let export = CalloutAnswer {
                        status: Some(200),
                        route_patterns: self.named.clone().into(),
                        ..CalloutAnswer::default()
                    };
                    worker.host.answer_with(if is_fetch(request) { self.patterns.clone() } else { export });
                    let _ = worker.plugin.answered(&worker.host, request.id);
                }
                self.sent.extend(sent);
            }
        }
    }

    fn seconds(&mut self, seconds: usize) {
        (0..seconds).for_each(|_| self.second(&[]));
    }

    fn fetches(&self) -> usize {
        self.sent.iter().filter(|sent| is_fetch(sent)).count()
    }

    /// Exported requests by route.
    fn routes(&self) -> BTreeMap<String, u64> {
        let exports: Vec<_> = self.sent.iter().filter(|sent| !is_fetch(sent)).cloned().collect();
        let mut routes = BTreeMap::new();
        for (attributes, count) in counts(&exports) {
            *routes.entry(attributes["http.route"].clone()).or_default() += count;
        }
        assert_eq!(log_records(&exports).len() as u64, routes.values().sum::<u64>());
        routes
    }

    fn warnings(&self) -> usize {
        let lines = self.workers.iter().flat_map(|worker| worker.host.log_lines());
        lines.filter(|(level, line)| *level == LogLevel::Warn && line.contains("route patterns")).count()
    }
}

fn expect(routes: &[(&str, u64)]) -> BTreeMap<String, u64> {
    routes.iter().map(|(route, count)| ((*route).to_owned(), *count)).collect()
}

#[test]
fn the_leader_fetches_what_the_ingest_learned_and_all_workers_count_by_it() {
    let mut fleet = Fleet::of(3, CONFIGURATION);
    let paths = ["/repos/a", "/repos/b", "/repos/search"];
    fleet.second(&paths);
    fleet.seconds(2);
    let fetches: Vec<_> = fleet.sent.iter().filter(|sent| is_fetch(sent)).collect();
    let [fetch] = &fetches[..] else { panic!("{fetches:?}") };
    let header = |name| fetch.header(name);
    assert_eq!(
        header(":path"),
        "/otlp/v1/gatelens/route-patterns?service=o%20r%2F1&environment=prod&direction=inbound"
    );
    assert_eq!((header(":authority"), header("authorization")), ("i.internal", "Bearer x"));
    assert_eq!((fetch.cluster.as_str(), fetch.body.len()), ("c", 0));
    assert_eq!(fleet.routes(), expect(&[("/repos/a", 3), ("/repos/b", 3), ("/repos/search", 3)]));
    fleet.second(&paths);
    fleet.seconds(30);
    assert_eq!(
        fleet.routes(),
        expect(&[("/repos/a", 3), ("/repos/b", 3), ("/repos/search", 6), ("/repos/{param}", 6)])
    );
    assert_eq!((fleet.fetches(), fleet.warnings()), (1, 0));
    // A later version adds to what is in force.
    let later = r#"{"places":{"/repos/{}":[]}}"#;
    (fleet.named, fleet.patterns) = (version(later), patterns(later));
    fleet.seconds(12);
    fleet.second(&["/repos/a/x"]);
    fleet.seconds(2);
    assert_eq!((fleet.routes()["/repos/{param}/{param}"], fleet.fetches()), (3, 2));
}

#[test]
fn a_template_keeps_the_path_that_patterns_would_fold() {
    let with_template =
        CONFIGURATION.replace("\"ingest\"", r#""routes": {"templates": ["/repos/a"]}, "ingest""#);
    let mut fleet = Fleet::of(1, &with_template);
    fleet.second(&["/repos/a"]);
    fleet.seconds(2);
    fleet.second(&["/repos/a", "/repos/b"]);
    fleet.seconds(2);
    assert_eq!(fleet.routes(), expect(&[("/repos/a", 2), ("/repos/{param}", 1)]));
}

#[test]
fn a_receiver_that_names_no_version_is_never_asked() {
    for (configuration, named) in [
        (CONFIGURATION.to_owned(), String::new()),
        (CONFIGURATION.to_owned(), "x".repeat(65)),
        (CONFIGURATION.replace("\"ingest\"", r#""routes": {"infer": false}, "ingest""#), version(PATTERNS)),
    ] {
        let mut fleet = Fleet::of(2, &configuration);
        fleet.named = named;
        fleet.second(&["/repos/a"]);
        fleet.seconds(70);
        assert_eq!(fleet.fetches(), 0, "{}", fleet.named);
    }
}

#[test]
fn an_answer_without_patterns_changes_nothing() {
    let garbage = |status: u16, body: &str, named: &str| CalloutAnswer {
        status: Some(status),
        body: body.into(),
        route_patterns: named.into(),
        ..CalloutAnswer::default()
    };
    let huge = format!(r#"{{"places":{{"/{}":[]}}}}"#, "a".repeat(MAX_BYTES));
    for answer in [
        garbage(302, PATTERNS, &version(PATTERNS)),
        garbage(404, "", ""),
        garbage(500, PATTERNS, &version(PATTERNS)),
        garbage(200, PATTERNS, ""),
        garbage(200, PATTERNS, &version("")),
        patterns(""),
        patterns("<html>"),
        patterns("{}"),
        patterns("[1]"),
        patterns(&huge),
        CalloutAnswer { body: vec![0xff, 0xfe], ..patterns(PATTERNS) },
        CalloutAnswer::default(),
    ] {
        let mut fleet = Fleet::of(2, CONFIGURATION);
        fleet.patterns = answer;
        for _ in 0..30 {
            fleet.second(&["/repos/a"]);
        }
        fleet.seconds(45);
        let shown =
            String::from_utf8_lossy(&fleet.patterns.body[..fleet.patterns.body.len().min(40)]).into_owned();
        // The first after a second, the next after a minute; one line in the gateway's log.
        assert_eq!((fleet.fetches(), fleet.warnings()), (2, 1), "{:?} {shown}", fleet.patterns.status);
        assert_eq!(fleet.routes(), expect(&[("/repos/a", 60)]), "{shown}");
        // The ingest comes to itself.
        fleet.patterns = patterns(PATTERNS);
        fleet.seconds(60);
        fleet.second(&["/repos/a"]);
        fleet.seconds(2);
        assert_eq!(fleet.routes(), expect(&[("/repos/a", 60), ("/repos/{param}", 2)]), "{shown}");
    }
}

#[test]
fn patterns_survive_an_update_the_loss_of_a_worker_and_an_ingest_that_is_away() {
    let mut fleet = Fleet::of(2, CONFIGURATION);
    fleet.second(&["/repos/a"]);
    fleet.seconds(2);
    // The ingest forgets, or another receiver takes its place.
    fleet.named.clear();
    let updated = CONFIGURATION.replace("\"ingest\"", r#""debug": true, "ingest""#);
    let sent = fleet.workers[0].replace(&updated, Some(200));
    fleet.sent.extend(sent);
    fleet.second(&["/repos/b"]);
    // A worker is lost without a word, and a new one takes its place.
    let lost = fleet.workers.remove(1);
    std::mem::forget(lost);
    fleet.workers.push(Worker::start(&fleet.gateway, &updated));
    fleet.seconds(1);
    fleet.second(&["/repos/c"]);
    fleet.seconds(20);
    let routes = fleet.routes();
    assert_eq!(routes, expect(&[("/repos/a", 2), ("/repos/{param}", 4)]));
    assert_eq!(fleet.fetches(), 1);
}

#[test]
fn the_leader_asks_once_at_a_time() {
    let fleet = Fleet::of(1, CONFIGURATION);
    let worker = &fleet.workers[0];
    let asked = Cell::new(0);
    for _ in 0..30 {
        worker.finish(FakeStream::new("GET", "/repos/a", 200));
        fleet.gateway.wait(Duration::from_secs(1));
        worker.plugin.tick(&worker.host);
        // Exports are answered; the request for patterns is not.
        loop {
            let sent = worker.host.take_sent();
            asked.set(asked.get() + sent.iter().filter(|sent| is_fetch(sent)).count());
            if sent.iter().all(is_fetch) {
                break;
            }
            for request in sent.iter().filter(|sent| !is_fetch(sent)) {
                let route_patterns = fleet.named.clone().into();
                let answer = CalloutAnswer { status: Some(200), route_patterns, ..CalloutAnswer::default() };
                worker.host.answer_with(answer);
                let _ = worker.plugin.answered(&worker.host, request.id);
            }
        }
    }
    assert_eq!(asked.get(), 1);
}
