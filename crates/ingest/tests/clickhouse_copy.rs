//! A directory that is copied to ClickHouse: the server answers what the files answered, and senders go on where they were.

use crate::clickhouse::{Chance, in_order};
use crate::clickhouse_log as requests;
use crate::support::clickhouse::{count, wait_until};
use crate::support::otlp::{Frame, MINUTE, Made, NOON, made};
use crate::support::{Service, database_at};
use gatelens_ingest::upkeep::copy::{Copied, CopyError, copy};
use gatelens_ingest::{ClickHouseConfig, Limits, Retention};
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use prost::Message;
use rusqlite::Connection;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * MINUTE;
const ROUTES: [&str; 4] = ["/a", "/b", "/orders/{id}", "/health"];

/// A sender that goes on with its counters whoever takes its reports.
struct Sender {
    instance: &'static str,
    temporality: AggregationTemporality,
    epoch: u64,
    sequence: u64,
    all: Vec<Made>,
}

impl Sender {
    fn new(instance: &'static str, temporality: AggregationTemporality) -> Self {
        Self { instance, temporality, epoch: 1, sequence: 0, all: Vec::new() }
    }

    /// Makes some requests and reports them.
    fn report(&mut self, chance: &mut Chance, time: u64, to: &[&Service]) {
        self.all.extend((0..chance.below(6) + 1).map(|_| Made {
            consumer: ["acme", "globex", "initech"][chance.below(3) as usize],
            ..made(
                ROUTES[chance.below(4) as usize],
                [200, 200, 404, 503][chance.below(4) as usize],
                (chance.below(4000) + 1) as f64 / 1e4,
            )
        }));
        self.sequence += 1;
        let frame = Frame { temporality: self.temporality, ..Frame::at(time) };
        let body = frame.of(&self.all).encode_to_vec();
        for service in to {
            let answer = service.send_bytes("/v1/metrics", (self.instance, self.epoch, self.sequence), &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        if self.temporality == AggregationTemporality::Delta {
            self.all.clear();
        }
    }
}

fn senders() -> Vec<Sender> {
    let mut all: Vec<Sender> = ["edge-1", "edge-2", "edge-3", "edge-late"]
        .into_iter()
        .map(|instance| Sender::new(instance, AggregationTemporality::Cumulative))
        .collect();
    all.push(Sender::new("changes", AggregationTemporality::Delta));
    all
}

/// Fills a service with reports of the days before a time.
fn fill(service: &Service, chance: &mut Chance, now: u64) -> Vec<Sender> {
    let mut senders = senders();
    for (place, before) in
        [4 * DAY, 3 * DAY, 2 * DAY, DAY, 6 * 60 * MINUTE, 45 * MINUTE].into_iter().enumerate()
    {
        if place == 3 {
            (senders[1].epoch, senders[1].sequence, senders[1].all) = (2, 0, Vec::new());
        }
        for minute in 0..44 {
            let some = |sender: &&mut Sender| match sender.instance {
                "edge-3" => minute % 3 == 0,
                "edge-late" => place < 5,
                _ => true,
            };
            senders
                .iter_mut()
                .filter(some)
                .for_each(|sender| sender.report(chance, now - before + minute * MINUTE, &[service]));
        }
    }
    senders
}

fn rfc3339(time: u64) -> String {
    jiff::Timestamp::from_nanosecond(time.into()).unwrap().to_string()
}

/// The answers to many questions for counts; `now` is a whole half hour.
fn answers(service: &Service, now: u64) -> Vec<(String, Value)> {
    let range = |from: u64, to: u64| format!("from={}&to={}", rfc3339(from), rfc3339(to));
    let all = range(now - 5 * DAY, now + DAY);
    let mut asked = Vec::new();
    for group in ["", "route", "consumer", "status", "route,status", "consumer,route", "service,environment"]
    {
        asked.push(format!("summary?{all}&group_by={group}"));
        asked.push(format!("timeseries?{all}&group_by={group}&step=3600"));
    }
    for filter in ["route=/a", "consumer=acme", "errors=true", "status=503", "consumer=nobody"] {
        asked.push(format!("summary?{all}&{filter}"));
        asked.push(format!("timeseries?{all}&{filter}&step=1800"));
    }
    let last_hours = range(now - 60 * MINUTE, now + 60 * MINUTE);
    for step in [60, 600, 1800] {
        asked.push(format!("timeseries?{last_hours}&group_by=gateway&step={step}"));
        asked.push(format!("timeseries?{last_hours}&group_by=route&gateway=edge-2&step={step}"));
    }
    asked.push(format!("summary?{last_hours}&group_by=gateway,route"));
    asked.push(format!("latencies?{all}&step=3600"));
    asked.push(format!("latencies?{last_hours}&step=600&route=/b"));
    asked.into_iter().map(|path| (path.clone(), in_order(service.json(&format!("/api/v1/{path}"))))).collect()
}

/// Waits for the answers: while ten minutes are closed again, a sum over them may lack a late report or have it twice.
fn assert_same(service: &Service, now: u64, expected: &[(String, Value)], who: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let found = answers(service, now);
        match found.iter().zip(expected).find(|(found, expected)| found != expected) {
            None => return,
            Some(((path, found), (_, expected))) if Instant::now() > deadline => {
                assert_eq!(found, expected, "{who}: {path}");
            }
            Some(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

fn copied(data: &Path, store: &ClickHouseConfig, limits: &Limits) -> Result<Copied, CopyError> {
    copy(data, store, limits, |_| ())
}

/// The limits of the services of these tests, which take reports of long ago.
fn of_long_ago() -> Limits {
    Limits { late_report: Duration::from_secs(100 * 366 * 86_400), ..Limits::default() }
}

#[test]
fn replicas_answer_what_a_copied_directory_answered_and_its_senders_go_on() {
    let Some(mut server) = ClickHouse::start().unwrap() else { return };
    let mut chance = Chance(5);
    let mut file = Service::on_files();
    let mut senders = fill(&file, &mut chance, NOON);
    for batch in requests::traffic(&mut requests::Chance(11)) {
        assert_eq!(batch.send(&file), 200);
    }
    // Older minutes go, and those that are over are packed.
    file.keep(Retention { minutes: Duration::from_secs(86_400), ..Retention::default() });
    let rows = |file: &Service, table: &str| -> i64 {
        let file = Connection::open(file.data().join("metrics.db")).unwrap();
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    wait_until("minutes are packed", || rows(&file, "packed_minutes") > 1);
    let expected = answers(&file, NOON);
    let questions = requests::questions();
    let logged: Vec<_> = questions.iter().map(|question| requests::rows(&file, question, 1000)).collect();
    let in_log = requests::rows(&file, "direction=inbound,outbound", 1000).len() as u64;
    let store = database_at(server.url());
    let limits = of_long_ago();
    let data = file.data().to_owned();
    let refused = copied(&data, &store, &limits).unwrap_err().to_string();
    assert!(
        refused.contains(&format!("in use by another gatelens (process {})", std::process::id())),
        "{refused}"
    );

    file.restart(|data| {
        let target = |table: &str| ClickHouseTarget::containing(&format!("INSERT INTO {table}"), 1);
        let mut broken = 0;
        for (fault, table) in [
            (ClickHouseFault::DieAfter, "states"),
            (ClickHouseFault::DieBefore, "blocks"),
            (ClickHouseFault::DieAfter, "changes"),
            (ClickHouseFault::Halve, "minutes"),
            (ClickHouseFault::DieBefore, "half_hours"),
            (ClickHouseFault::DieAfter, "requests"),
        ] {
            server.fault(fault, &target(table)).unwrap();
            if copied(data, &store, &limits).is_err() {
                broken += 1;
                server.restart().unwrap();
            }
            server.clear_faults().unwrap();
        }
        assert!(broken >= 5, "{broken}");
        let whole = copied(data, &store, &limits).unwrap();
        assert_eq!((whole.damaged, whole.requests), (0, in_log));
        assert!(whole.minutes > 500 && whole.half_hours > 50 && whole.streams > 30, "{whole:?}");
        let replica = Service::on_store(store.clone());
        assert_same(&replica, NOON, &expected, "copied");
        for (question, expected) in questions.iter().zip(&logged) {
            requests::assert_same(&requests::rows(&replica, question, 1000), expected, question);
        }
    });
    // The directory goes on for a while, and is copied again.
    for minute in [3, 2, 1] {
        for sender in senders.iter_mut().filter(|sender| sender.instance != "edge-late") {
            sender.report(&mut chance, NOON - minute * MINUTE, &[&file]);
        }
    }
    let expected = answers(&file, NOON);
    file.restart(|data| {
        copied(data, &store, &limits).unwrap();
    });
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store.clone())];
    for replica in &replicas {
        assert_same(replica, NOON, &expected, "copied again");
    }
    assert_eq!(requests::rows(&replicas[0], "direction=inbound,outbound", 1000).len() as u64, in_log);

    // Some reports are of the minutes in which the directory ended.
    for minute in [0, 1, 4, 9, 25, 31] {
        for sender in senders.iter_mut().filter(|sender| sender.instance != "edge-late") {
            let replica = &replicas[chance.below(2) as usize];
            sender.report(&mut chance, NOON - MINUTE / 2 + minute * MINUTE, &[&file, replica]);
        }
    }
    assert_same(&replicas[1], NOON, &answers(&file, NOON), "going on");
    // One is late: its block is closed, and is closed again.
    senders[3].report(&mut chance, NOON - 35 * MINUTE, &[&file, &replicas[0]]);
    let last = "blocks WHERE block >= toUnixTimestamp('2026-06-20 12:30:00', 'UTC') / 600";
    replicas[0].restart(|_| ());
    wait_until("blocks are closed", || count(&store, last) > 0);
    assert_same(&replicas[0], NOON, &answers(&file, NOON), "after closing");
}

#[test]
fn a_directory_is_copied_to_a_store_that_is_in_use() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let mut chance = Chance(9);
    let half_hour = 30 * MINUTE;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 / half_hour * half_hour;
    // Has all that the two others have together.
    let all = Service::on_files();
    let mut file = Service::on_files();
    let store = database_at(server.url());
    let mut replica = Service::on_store(store.clone());
    let mut other = Sender::new("edge-9", AggregationTemporality::Cumulative);
    for before in [3 * DAY, DAY / 2, 50 * MINUTE, 3 * MINUTE] {
        other.report(&mut chance, now - before, &[&all, &replica]);
    }
    let mut copied_senders = senders();
    for before in [4 * DAY, DAY / 2, 90 * MINUTE, 3 * MINUTE] {
        for sender in &mut copied_senders {
            sender.report(&mut chance, now - before, &[&all, &file]);
        }
    }
    replica.restart(|_| ());
    wait_until("blocks are closed", || count(&store, "blocks") >= 3);
    file.restart(|data| {
        copied(data, &store, &Limits::default()).unwrap();
    });
    assert_same(&replica, now, &answers(&all, now), "copied");
    for minute in [0, 2, 8] {
        for sender in copied_senders.iter_mut().chain([&mut other]) {
            sender.report(&mut chance, now - MINUTE / 2 + minute * MINUTE, &[&all, &replica]);
        }
    }
    // Their blocks may be closed meanwhile, and are closed again then.
    assert_same(&replica, now, &answers(&all, now), "going on");
}
