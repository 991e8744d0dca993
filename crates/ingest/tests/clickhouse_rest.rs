//! Counters on ClickHouse beside the questions for sums: what replicas compute of them, what they keep, and forgetting.

use crate::support::clickhouse::{database_of, run, wait_until};
use crate::support::otlp::{Frame, MINUTE, Made, NOON, made};
use crate::support::{Service, database_at};
use gatelens_ingest::upkeep::forget::{Deed, Forgotten, Selection, forget};
use gatelens_ingest::{Limits, query_offline};
use gatelens_testkit::wait::eventually;
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use prost::Message;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * MINUTE;
const RANGE: &str = "from=2026-06-20T11:00:00Z&to=2026-06-20T14:00:00Z";

/// Services that look at routes all the time: one on files, and two replicas.
fn services(server: &ClickHouse) -> (Service, [Service; 2]) {
    let limits = || Limits { drift_interval: Duration::from_millis(50), ..Limits::default() };
    let store = database_at(server.url());
    let replica = || Service::on_store_with(store.clone(), limits());
    (Service::on_files_with(limits()), [replica(), replica()])
}

/// A gateway whose reports go to the file, and to the replicas in turn.
struct Gateway {
    instance: &'static str,
    /// All since its start.
    all: Vec<Made>,
    start: u64,
    sequence: u64,
}

impl Gateway {
    fn new(instance: &'static str, start: u64) -> Self {
        Self { instance, all: Vec::new(), start, sequence: 0 }
    }

    fn report(&mut self, time: u64, news: &[Made], file: &Service, replicas: &[Service]) {
        self.all.extend(news.iter().cloned());
        self.sequence += 1;
        let export = Frame { start: self.start, ..Frame::at(time) }.of(&self.all);
        let sender = Some((self.instance, 1, self.sequence));
        file.send("/v1/metrics", sender, &export).accepted();
        let replica = &replicas[self.sequence as usize % replicas.len()];
        replica.send("/v1/metrics", sender, &export).accepted();
    }
}

fn rows(service: &Service, path: &str) -> Vec<Value> {
    service.json(path)["rows"].as_array().unwrap().clone()
}

/// Waits until both replicas answer as the file does.
fn same(what: &str, file: &Service, replicas: &[Service], ask: impl Fn(&Service) -> Value) {
    let expected = ask(file);
    let begun = Instant::now();
    for replica in replicas {
        while ask(replica) != expected {
            // A look at the server may be followed by ten times as long without one.
            let is_over = begun.elapsed() > Duration::from_secs(240);
            assert!(!is_over, "{what}: {:#} instead of {expected:#}", ask(replica));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Has the traffic of the past judged anew, as at the first start.
fn judge(service: &mut Service) {
    service.restart(|data| {
        let file = rusqlite::Connection::open(data.join("metrics.db")).unwrap();
        file.execute("DELETE FROM retention_marks WHERE name = 'uptime'", []).unwrap();
    });
}

#[test]
fn uptime_is_that_of_one_file() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (mut file, mut replicas) = services(&server);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let begin = now - 100 * MINUTE;
    let mut gateways = ["edge-1", "edge-2"].map(|instance| Gateway::new(instance, begin - MINUTE));
    for minute in 0..90 {
        for (number, gateway) in (0..).zip(&mut gateways) {
            let failed = if (minute + number) % 7 == 0 { 500 } else { 200 };
            let mut news = vec![made("/a", 200, 0.1), made("/b", failed, 0.2)];
            news.truncate(2 - usize::from(minute % 5 == 0));
            if minute % 11 != 0 {
                gateway.report(begin + minute * MINUTE, &news, &file, &replicas);
            }
        }
    }
    judge(&mut file);
    let ask = |service: &Service| {
        let of = |by: &str| {
            let mut found = rows(service, &format!("/api/v1/uptime?group_by={by}&step=3600&from=-3h"));
            // Where the last minutes are not judged yet, a state may be another one.
            found.iter_mut().for_each(|row| row["state"] = Value::Null);
            found
        };
        json!([of("service"), of("route")])
    };
    let whole = || Ok(Some(()).filter(|()| ask(&file)[1][0]["minutes"].as_u64() > Some(80)));
    eventually("all minutes of the file", whole).unwrap();
    assert!(ask(&file)[0][0]["bad"].as_u64() > Some(5), "{:#}", ask(&file));
    replicas.iter_mut().for_each(judge);
    same("the uptime of a file", &file, &replicas, ask);
}

#[test]
fn routes_that_come_and_go_are_those_of_one_file() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (file, replicas) = services(&server);
    let mut gateway = Gateway::new("edge-1", NOON - MINUTE);
    let mut count = |time: u64, routes: &[&'static str]| {
        let news: Vec<_> = routes.iter().map(|route| made(route, 200, 0.1)).collect();
        gateway.report(time, &news, &file, &replicas);
    };
    let known = |service: &Service, wanted: i64| {
        let file = rusqlite::Connection::open(service.data().join("metrics.db")).unwrap();
        let routes = || {
            let select = "SELECT count(*) FROM known_routes WHERE last_counted > 0";
            Ok(Some(())
                .filter(|()| file.query_row(select, [], |row| row.get::<_, i64>(0)).unwrap() == wanted))
        };
        eventually("known routes", routes).unwrap();
    };
    let drift = |service: &Service| {
        let found = rows(service, "/api/v1/drift").into_iter();
        found.map(|row| json!([row["kind"], row["route"], row["time"]])).collect::<Value>()
    };
    let shown = |wanted: usize| {
        let of_file = || Ok(Some(()).filter(|()| drift(&file).as_array().unwrap().len() == wanted));
        eventually("changes of routes", of_file).unwrap();
        same("the changes of a file", &file, &replicas, drift);
    };
    count(NOON, &["/a", "/b"]);
    [&file, &replicas[0], &replicas[1]].into_iter().for_each(|service| known(service, 2));
    for half_hour in 1..=30 {
        count(NOON + half_hour * 30 * MINUTE, &["/a", "/b"]);
    }
    count(NOON + 31 * 30 * MINUTE, &["/a", "/new"]);
    shown(1);
    count(NOON + 32 * 30 * MINUTE + 2 * DAY, &["/a"]);
    shown(2);
    count(NOON + 33 * 30 * MINUTE + 2 * DAY, &["/b"]);
    shown(3);
    let document = |service: &Service| service.json("/api/v1/openapi")["paths"].clone();
    assert_eq!(document(&file).as_object().unwrap().len(), 3);
    same("the paths of a file", &file, &replicas, document);
}

#[test]
fn a_replica_keeps_no_counts_and_knows_its_senders() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (file, replicas) = services(&server);
    let mut gateway = Gateway::new("edge-1", NOON - MINUTE);
    for minute in 0..4 {
        gateway.report(NOON + minute * MINUTE, &[made("/a", 200, 0.1)], &file, &replicas);
    }
    for replica in &replicas {
        let metrics = rusqlite::Connection::open(replica.data().join("metrics.db")).unwrap();
        for table in ["minutes", "half_hours", "states", "changes", "totals", "packed_minutes"] {
            let select = format!("SELECT count(*) FROM {table}");
            let rows: i64 = metrics.query_row(&select, [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 0, "{table}");
        }
        let consumers = rows(replica, "/api/v1/consumers");
        assert_eq!((consumers.len(), &consumers[0]["id"]), (1, &json!("acme")), "{consumers:?}");
        for (of, expected) in [(replica, 501), (&file, 200)] {
            let (status, answer) =
                query_offline(of.data(), "summary?from=2026-06-20T11:00:00Z&to=2026-06-20T14:00:00Z");
            assert_eq!(status, expected, "{}", String::from_utf8_lossy(&answer));
        }
        let gateways = replica.json("/api/v1/gateways");
        assert!(gateways.to_string().contains("edge-1"), "{gateways}");
    }
}

#[test]
fn health_is_that_of_the_store() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let service = Service::on_store(database_at(server.url()));
    assert_eq!(service.get("/healthz").status, 200);
    server.shut().unwrap();
    let ill = || Ok(Some(service.get("/healthz")).filter(|answer| answer.status == 503));
    let answer = eventually("ill health", ill).unwrap();
    assert!(answer.text().contains("ClickHouse"), "{}", answer.text());
    server.open().unwrap();
    eventually("good health", || Ok(Some(()).filter(|()| service.get("/healthz").status == 200))).unwrap();
}

#[test]
fn the_size_is_that_of_the_database() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let service = Service::on_store(store.clone());
    let database = || service.json("/api/v1/storage")["database"].clone();
    assert_eq!(database()["name"], database_of(&store));
    assert_eq!((&database()["bytes"]["requests"], &database()["bytes"]["spans"]), (&json!(0), &json!(0)));
    let body = Frame::at(NOON).of(&[made("/a", 200, 0.1)]).encode_to_vec();
    assert_eq!(service.send_bytes("/v1/metrics", ("edge-1", 1, 1), &body).status, 200);
    let of_tables = |condition: &str| -> u64 {
        let sum = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()";
        run(&store, &format!("{sum} AND {condition}")).parse().unwrap()
    };
    assert!(of_tables("table = 'reported'") > 0);
    let is_all = || database()["bytes"]["counters"] == of_tables("table NOT IN ('requests', 'spans')");
    wait_until("tables that change meanwhile have the size that is given", is_all);
    let refused = ClickHouseTarget { kind: "SELECT", containing: "system.parts".to_owned(), times: 1 };
    server.fault(ClickHouseFault::Refuse(497, "ACCESS_DENIED"), &refused).unwrap();
    assert_eq!(database(), json!({"name": database_of(&store)}));
    assert!(Service::on_files().json("/api/v1/storage").get("database").is_none());
}

/// The answers to questions of all kinds, so that sums of classes of series are asked for, too.
fn answers(service: &Service) -> Value {
    let groups =
        ["", "route", "consumer", "status", "gateway", "environment", "consumer,route", "gateway,status"];
    let of = |group: &str| {
        let mut answers = Vec::new();
        for question in ["summary", "timeseries"] {
            let step = if question == "summary" { "" } else { "&step=600" };
            let mut answer = service.json(&format!("/api/v1/{question}?{RANGE}&group_by={group}{step}"));
            for key in ["rows", "points"] {
                if let Some(rows) = answer.get_mut(key).and_then(Value::as_array_mut) {
                    rows.sort_by_key(Value::to_string);
                }
            }
            answers.push(answer);
        }
        answers
    };
    groups.into_iter().map(of).collect()
}

#[test]
fn what_is_forgotten_is_gone_for_all_replicas_and_does_not_count_again() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let (_, mut replicas) = services(&server);
    let expected = Service::on_files();
    let by = |consumer, route, status| Made { consumer, ..made(route, status, 0.1) };
    let all = |consumer| vec![by(consumer, "/a", 200), by(consumer, "/a", 500), by(consumer, "/b", 200)];
    let send = |to: &Service, (instance, environment, sequence), time, temporality, made: &[Made]| {
        let frame = Frame { environment, temporality, start: NOON - MINUTE, ..Frame::at(time) };
        to.send("/v1/metrics", Some((instance, 1, sequence)), &frame.of(made)).accepted();
    };
    let cumulative = AggregationTemporality::Cumulative;
    let delta = AggregationTemporality::Delta;
    // Three gateways: one reports changes, one is of another environment.
    let mut counted = 0;
    for minute in [0, 12, 31] {
        counted += 1;
        let repeat = |made: Vec<Made>| (0..counted).flat_map(|_| made.clone()).collect::<Vec<_>>();
        let at = NOON + minute * MINUTE;
        let both = [all("acme"), all("globex")].concat();
        for (number, replica) in (0..).zip(&replicas) {
            let instance = ["edge-1", "edge-2"][number];
            send(replica, (instance, "prod", counted), at, cumulative, &repeat(both.clone()));
        }
        send(&replicas[0], ("changes", "prod", counted), at, delta, &both);
        send(&replicas[1], ("edge-4", "test", counted), at, cumulative, &repeat(all("globex")));
        // What stays is all of globex at two gateways.
        let kept = all("globex");
        send(&expected, ("edge-2", "prod", counted), at, cumulative, &repeat(kept.clone()));
        send(&expected, ("changes", "prod", counted), at, delta, &kept);
    }
    // What is over is closed when a replica starts.
    replicas.iter_mut().for_each(|replica| replica.restart(|_| ()));
    let remove = |selection: Selection, deed| forget(replicas[0].data(), &selection, deed).unwrap();
    let consumer = Selection { consumer: Some("acme".to_owned()), ..Selection::default() };
    let before = answers(&replicas[1]);
    let found = remove(consumer.clone(), Deed::Count);
    assert_eq!((found.series, found.requests_counted), (3, 27));
    assert_eq!(answers(&replicas[1]), before);
    assert_eq!(remove(consumer.clone(), Deed::Remove), found);
    let environment = Selection { environment: Some("test".to_owned()), ..Selection::default() };
    let found = remove(environment, Deed::Remove);
    assert_eq!((found.series, found.requests_counted), (3, 9));
    let instance = Selection { instance: Some("edge-1".to_owned()), ..Selection::default() };
    let Forgotten { requests_counted, .. } = remove(instance.clone(), Deed::Remove);
    assert_eq!(requests_counted, 9);
    assert_eq!(remove(consumer, Deed::Count).requests_counted, 0);
    let check = |when: &str, replicas: &[Service]| {
        for replica in replicas {
            let (found, expected) = (answers(replica), answers(&expected));
            for (found, expected) in found.as_array().unwrap().iter().zip(expected.as_array().unwrap()) {
                assert_eq!(found[0]["rows"], expected[0]["rows"], "{when}");
                assert_eq!(found[1]["points"], expected[1]["points"], "{when}");
            }
        }
    };
    check("after forgetting", &replicas);
    let gone = || {
        let file = rusqlite::Connection::open(replicas[1].data().join("metrics.db")).unwrap();
        let select = "SELECT count(*) FROM series WHERE consumer = 'acme'";
        Ok(Some(()).filter(|()| file.query_row(select, [], |row| row.get::<_, i64>(0)).unwrap() == 0))
    };
    eventually("series that are gone at the other replica", gone).unwrap();
    // One more request of each: what was removed does not come back with it.
    counted += 1;
    let repeat = |made: Vec<Made>| (0..counted).flat_map(|_| made.clone()).collect::<Vec<_>>();
    let at = NOON + 50 * MINUTE;
    let both = [all("acme"), all("globex")].concat();
    send(&replicas[0], ("edge-1", "prod", counted), at, cumulative, &repeat(both.clone()));
    send(&replicas[1], ("edge-2", "prod", counted), at, cumulative, &repeat(both.clone()));
    send(&expected, ("edge-1", "prod", 1), at, cumulative, &both);
    send(
        &expected,
        ("edge-2", "prod", counted),
        at,
        cumulative,
        &[repeat(all("globex")), all("acme")].concat(),
    );
    check("after the next reports", &replicas);
    replicas.iter_mut().for_each(|replica| replica.restart(|_| ()));
    check("after closing", &replicas);
}
