//! Counters on ClickHouse: several replicas answer what one file answers, whatever happens on the way.

use crate::support::clickhouse::{count, run, wait_until};
use crate::support::otlp::{Frame, MINUTE, Made, NOON, made};
use crate::support::{self, Service, database_at};
use crate::tls::{authority, certify};
use gatelens_ingest::{ClickHouseConfig, Config, Limits, Retention, Server};
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseOptions, ClickHouseTarget};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use prost::Message;
use serde_json::Value;
use std::time::{Duration, Instant};

const RANGE: &str = "from=2026-06-20T11:00:00Z&to=2026-06-20T14:00:00Z";

/// Numbers that are the same for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A request of a sender, under its identity.
#[derive(Clone)]
pub(crate) struct Batch {
    instance: &'static str,
    epoch: u64,
    sequence: u64,
    body: Vec<u8>,
}

impl Batch {
    pub(crate) fn send(&self, to: &Service) -> u16 {
        to.send_bytes("/v1/metrics", (self.instance, self.epoch, self.sequence), &self.body).status
    }
}

/// What senders report in three quarters of an hour: three of them cumulative values, one begins anew in the middle, and a fourth
/// changes.
pub(crate) fn traffic(chance: &mut Chance, requests: u64) -> Vec<Batch> {
    traffic_since(NOON, &[], chance, requests)
}

/// The same from another time on, counted at bounds.
pub(crate) fn traffic_since(
    begin: u64,
    bounds_seconds: &'static [f64],
    chance: &mut Chance,
    requests: u64,
) -> Vec<Batch> {
    const ROUTES: [&str; 4] = ["/a", "/b", "/orders/{id}", "/health"];
    const MINUTES: u64 = 45;
    let mut batches = Vec::new();
    for instance in ["edge-1", "edge-2", "edge-3", "changes"] {
        let is_delta = instance == "changes";
        let (mut all, mut epoch, mut sequence) = (Vec::new(), 1, 0);
        for minute in 0..MINUTES {
            if instance == "edge-2" && minute == 20 {
                (all, epoch, sequence) = (Vec::new(), 2, 0);
            }
            let news = chance.below(2 * requests / (4 * MINUTES) + 1);
            all.extend((0..news).map(|_| {
                let status = [200, 200, 200, 404, 503][chance.below(5) as usize];
                let seconds = (chance.below(4000) + 1) as f64 / 1e4;
                Made {
                    consumer: ["acme", "globex"][chance.below(2) as usize],
                    ..made(ROUTES[chance.below(4) as usize], status, seconds)
                }
            }));
            if news == 0 || chance.one_in(4) {
                continue;
            }
            sequence += 1;
            let temporality =
                if is_delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
            let frame = Frame { temporality, bounds_seconds, ..Frame::at(begin + minute * MINUTE) };
            batches.push(Batch { instance, epoch, sequence, body: frame.of(&all).encode_to_vec() });
            if is_delta {
                all.clear();
            }
        }
    }
    batches
}

/// The answers to many questions for counts, each with what was asked.
pub(crate) fn answers(service: &Service) -> Vec<(String, Value)> {
    let mut asked = Vec::new();
    let groups = [
        "",
        "route",
        "consumer",
        "status",
        "gateway",
        "method",
        "service,environment",
        "route,status",
        "gateway,route",
    ];
    let filters = [
        "",
        "&route=/a",
        "&status=503",
        "&gateway=edge-2",
        "&gateway=!edge-1&consumer=acme",
        "&errors=true",
        "&consumer=nobody",
    ];
    let steps = [60, 300, 600, 1800, 3600];
    for (place, group) in groups.into_iter().enumerate() {
        let (filter, step) = (filters[place % filters.len()], steps[place % steps.len()]);
        asked.push(format!("summary?{RANGE}&group_by={group}"));
        asked.push(format!("summary?{RANGE}&group_by={group}{filter}&compare=2026-06-20T10:30:00Z"));
        asked.push(format!("timeseries?{RANGE}&group_by={group}&step={step}"));
    }
    asked.push(format!("timeseries?{RANGE}&group_by=route&step=600&compare=2026-06-20T10:30:00Z"));
    asked.push(format!("summary?{RANGE}&group_by=gateway,route&sort=errors&limit=3"));
    for (place, filter) in filters.into_iter().enumerate() {
        asked.push(format!("timeseries?{RANGE}{filter}&step={}", steps[place % steps.len()]));
    }
    asked.extend(["", "&gateway=edge-2"].map(|filter| format!("latencies?{RANGE}&step=600{filter}")));
    asked.push("summary?from=2026-06-20T12:07:00Z&to=2026-06-20T12:13:00Z&group_by=route".to_owned());
    asked.into_iter().map(|path| (path.clone(), in_order(service.json(&format!("/api/v1/{path}"))))).collect()
}

/// Groups with the same counts are in the order in which the store came to know them, which repeats and delays change.
pub(crate) fn in_order(mut answer: Value) -> Value {
    for key in ["rows", "points"] {
        if let Some(rows) = answer.get_mut(key).and_then(Value::as_array_mut) {
            rows.sort_by_key(Value::to_string);
        }
    }
    answer
}

/// Waits for the answers: while ten minutes are closed again for a late report, a sum over them may lack it or have it twice.
pub(crate) fn assert_same(service: &Service, expected: &[(String, Value)], who: &str) {
    let begun = Instant::now();
    loop {
        let found = answers(service);
        let is_over = begun.elapsed() > Duration::from_secs(120);
        match found.iter().zip(expected).find(|(found, expected)| found != expected) {
            None => return,
            Some(((path, found), (_, expected))) if is_over => assert_eq!(found, expected, "{who}: {path}"),
            Some(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

/// Sends a batch until it is acknowledged, as a gateway does, to whichever replica the balancer chooses.
pub(crate) fn deliver(batch: &Batch, replicas: &[Service], chance: &mut Chance, server: &mut ClickHouse) {
    for _ in 0..20 {
        match batch.send(&replicas[chance.below(replicas.len() as u64) as usize]) {
            200 => return,
            // Killed: somebody starts it again.
            503 if server.process().check().is_err() => server.restart().unwrap(),
            503 => {}
            status => panic!("{status} for batch {} of {}", batch.sequence, batch.instance),
        }
    }
    panic!("never acknowledged");
}

/// Some batches come late, some twice, some long after.
pub(crate) fn in_disorder<'a>(batches: &'a [Batch], chance: &mut Chance) -> Vec<&'a Batch> {
    let mut queue: Vec<(u64, &Batch)> = Vec::new();
    for (place, batch) in (0u64..).zip(batches) {
        queue.push((place + chance.below(30), batch));
        if chance.one_in(3) {
            queue.push((place + chance.below(200), batch));
        }
    }
    queue.sort_by_key(|(place, _)| *place);
    queue.into_iter().map(|(_, batch)| batch).collect()
}

pub(crate) fn disturb(server: &ClickHouse, chance: &mut Chance) {
    let fault = match chance.below(6) {
        0 => ClickHouseFault::Refuse(252, "TOO_MANY_PARTS"),
        1 => ClickHouseFault::Delay(Duration::from_millis(50)),
        2 => ClickHouseFault::DieBefore,
        3 => ClickHouseFault::DieAfter,
        _ => ClickHouseFault::LoseAnswer,
    };
    server.fault(fault, &ClickHouseTarget::inserts(1)).unwrap();
}

#[test]
fn two_replicas_count_what_one_file_counts_whatever_happens() {
    let Some(mut server) = ClickHouse::start().unwrap() else { return };
    let mut chance = Chance(std::env::var("CLICKHOUSE_SEED").map_or(7, |seed| seed.parse().unwrap()));
    let requests = std::env::var("CLICKHOUSE_REQUESTS").map_or(2_000, |count| count.parse().unwrap());
    let batches = traffic(&mut chance, requests);
    let file = Service::on_files();
    for batch in &batches {
        assert_eq!(batch.send(&file), 200);
    }
    let expected = answers(&file);
    let total = &expected[0].1["rows"][0]["requests"];
    assert!(total.as_u64().unwrap() > requests * 3 / 4, "{total}");

    let store = database_at(server.url());
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let queue = in_disorder(&batches, &mut chance);
    let sent = queue.len();
    for (number, batch) in queue.into_iter().enumerate() {
        if chance.one_in(12) {
            disturb(&server, &mut chance);
        }
        deliver(batch, &replicas, &mut chance, &mut server);
        // What is over is closed when a replica starts.
        if number == sent / 3 || number == sent * 2 / 3 {
            server.clear_faults().unwrap();
            replicas[number % 2].restart(|_| ());
        }
    }
    server.clear_faults().unwrap();
    for (number, replica) in replicas.iter().enumerate() {
        assert_same(replica, &expected, &format!("replica {number}"));
    }
    replicas[0].restart(|_| ());
    assert_same(&replicas[0], &expected, "after closing");
    // A replica without a past answers the same.
    let new = Service::on_store(replicas[0].store().unwrap());
    assert_same(&new, &expected, "a new replica");
}

#[test]
fn a_store_that_is_away_refuses_and_loses_nothing() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let service = Service::on_store(database_at(server.url()));
    let batch = Batch {
        instance: "edge-1",
        epoch: 1,
        sequence: 1,
        body: Frame::at(NOON).of(&[made("/a", 200, 0.1)]).encode_to_vec(),
    };
    server.shut().unwrap();
    assert_eq!(batch.send(&service), 503);
    let answer = service.get(&format!("/api/v1/summary?{RANGE}"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("ClickHouse"), "{}", answer.text());
    server.open().unwrap();
    assert_eq!(batch.send(&service), 200);
    assert_eq!(service.json(&format!("/api/v1/summary?{RANGE}"))["rows"][0]["requests"], 1);
}

#[test]
fn a_store_that_hangs_is_not_waited_for() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let limits = Limits { query_timeout: Duration::from_secs(1), ..Limits::default() };
    let service = Service::on_store_with(database_at(server.url()), limits);
    let body = Frame::at(NOON).of(&[made("/a", 200, 0.1)]).encode_to_vec();
    assert_eq!(service.send_bytes("/v1/metrics", ("edge-1", 1, 1), &body).status, 200);
    let hangs = ClickHouseFault::Delay(Duration::from_secs(3600));
    server.fault(hangs, &ClickHouseTarget::containing("AS by_instance", 1)).unwrap();
    let answer = service.get(&format!("/api/v1/summary?{RANGE}"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("the query took too long"), "{}", answer.text());
    assert_eq!(service.json(&format!("/api/v1/summary?{RANGE}"))["rows"][0]["requests"], 1);
}

#[test]
fn user_password_and_authority_are_those_of_files() {
    let files = tempfile::tempdir().unwrap();
    let authority = authority();
    let write = |name: &str, text: &str| {
        std::fs::write(files.path().join(name), text).unwrap();
        files.path().join(name)
    };
    let (certificate, key) = certify(&authority, "127.0.0.1");
    let tls = (write("tls.crt", &certificate), write("tls.key", &key));
    let user = ("gatelens".to_owned(), "a secret".to_owned());
    let options = ClickHouseOptions { user: Some(user), tls: Some(tls), ..ClickHouseOptions::default() };
    let Some(server) = ClickHouse::start_with(options).unwrap() else { return };
    let host = server.url().strip_prefix("https://").unwrap();
    let mut config = ClickHouseConfig {
        address: format!("clickhouse+https://gatelens@{host}/guarded").parse().unwrap(),
        password: Some(write("password", "a secret\n")),
        ca: Some(write("ca.crt", &authority.pem())),
    };
    let service = Service::on_store(config.clone());
    let body = Frame::at(NOON).of(&[made("/a", 200, 0.1)]).encode_to_vec();
    assert_eq!(service.send_bytes("/v1/metrics", ("edge-1", 1, 1), &body).status, 200);
    assert_eq!(service.json(&format!("/api/v1/summary?{RANGE}"))["rows"][0]["requests"], 1);

    let refused = |config: &ClickHouseConfig| {
        let store = Some(config.clone());
        let config = Config { store, ..support::config(files.path().join("data"), Limits::default()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(Server::bind(config)).err().unwrap().to_string();
        assert!(error.starts_with("cannot use the store clickhouse+https://gatelens@"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        error
    };
    config.password = Some(write("password", "another secret"));
    assert!(refused(&config).contains("AUTHENTICATION_FAILED"), "{}", refused(&config));
    config.password = Some(files.path().join("missing"));
    assert!(refused(&config).contains("missing"), "{}", refused(&config));
    config.password = None;
    config.ca = Some(write("other.crt", &crate::tls::authority().pem()));
    assert!(refused(&config).contains("ClickHouse: network error"), "{}", refused(&config));
    config.ca = Some(write("empty.crt", ""));
    assert!(refused(&config).contains("the file has none"), "{}", refused(&config));
}

#[test]
fn old_minutes_go_and_their_half_hours_stay() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut service = Service::on_store(store.clone());
    let old = [made("/a", 200, 0.1), made("/a", 200, 0.1)];
    let all = [&old[..], &[made("/a", 200, 0.1)]].concat();
    for (sequence, (time, made)) in [(1, (NOON, &old[..])), (2, (NOON + 5 * 1_440 * MINUTE, &all))] {
        let body = Frame::at(time).of(made).encode_to_vec();
        assert_eq!(service.send_bytes("/v1/metrics", ("edge-1", 1, sequence), &body).status, 200);
    }
    let rows = |table: &str| count(&store, &format!("{table} FINAL WHERE kind = 0"));
    // Each start closes what is over, and removes what is old.
    service.restart(|_| ());
    wait_until("half hours are added up", || rows("half_hours") == 2);
    assert_eq!(rows("minutes"), 2);
    let day = Duration::from_secs(86_400);
    service.keep(Retention { minutes: day, ..Retention::default() });
    // What came half a minute ago is closed again, which makes the minutes anew until they are removed again.
    wait_until("old minutes are removed", || {
        service.restart(|_| ());
        std::thread::sleep(Duration::from_secs(3));
        rows("minutes") == 1
    });
    assert_eq!(rows("half_hours"), 2);
    let requests =
        |query: &str| service.json(&format!("/api/v1/summary?{query}"))["rows"][0]["requests"].clone();
    assert_eq!(requests("from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z"), 2);
    assert_eq!(requests("from=2026-06-25T00:00:00Z&to=2026-06-26T00:00:00Z"), 1);
}

/// A late report makes what its block added larger, and what the next block added smaller: while the one is closed again and the other
/// is not, their minutes do not fit together.
#[test]
fn a_late_report_counts_once_while_blocks_are_closed_again() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut service = Service::on_store(store.clone());
    let send = |service: &Service, sequence: u64, minute: u64, requests: usize| {
        let body =
            Frame::at(NOON + minute * MINUTE).of(&vec![made("/a", 200, 0.1); requests]).encode_to_vec();
        assert_eq!(service.send_bytes("/v1/metrics", ("edge-1", 1, sequence), &body).status, 200);
    };
    let requests = |service: &Service| {
        service.json(&format!("/api/v1/summary?{RANGE}"))["rows"][0]["requests"].as_u64().unwrap()
    };
    let closed =
        |since: &str| count(&store, &format!("blocks FINAL WHERE is_closed AND closed_at > {since}"));
    for (sequence, minute, requests) in [(1, 0, 10), (2, 22, 30), (3, 33, 40)] {
        send(&service, sequence, minute, requests);
    }
    // Each start closes what is over.
    service.restart(|_| ());
    wait_until("three blocks are closed", || closed("0") == 3);
    assert_eq!(requests(&service), 40);

    send(&service, 4, 11, 20);
    let third = format!("reported WHERE block = {}", (NOON / MINUTE + 22) / 10);
    let refused = ClickHouseTarget { kind: "INSERT", containing: third, times: 1_000 };
    server.fault(ClickHouseFault::Refuse(252, "TOO_MANY_PARTS"), &refused).unwrap();
    service.restart(|_| ());
    wait_until("the block of the late report is closed, too", || closed("0") == 4);
    assert_eq!(requests(&service), 40);
    let by_minute = service.json(&format!("/api/v1/timeseries?{RANGE}&step=60"));

    server.clear_faults().unwrap();
    let before = format!("'{}'", run(&store, "SELECT now64(3)"));
    service.restart(|_| ());
    wait_until("those behind it are closed again", || {
        assert_eq!(requests(&service), 40);
        closed(&before) >= 2
    });
    assert_eq!(requests(&service), 40);
    assert_eq!(service.json(&format!("/api/v1/timeseries?{RANGE}&step=60"))["series"], by_minute["series"]);
}
