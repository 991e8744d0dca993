//! Totals on ClickHouse: what `/metrics/traffic` gives and remote write sends, whatever ends, is closed again or is removed.

use crate::clickhouse::{Chance, deliver, disturb, in_disorder, traffic_since};
use crate::clickhouse_layouts::{CLUSTER, make_shards};
use crate::remote_write::{fate, store as receiver, to};
use crate::support::clickhouse::{count, run, unsettled, wait_until};
use crate::support::otlp::{Frame, MINUTE, Made, made};
use crate::support::{Service, database_at};
use crate::traffic::{now, samples, text};
use gatelens_ingest::upkeep::copy::copy;
use gatelens_ingest::upkeep::forget::{Deed, Selection, forget};
use gatelens_ingest::{ClickHouseConfig, Limits};
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseOptions, ClickHouseTarget};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PATH: &str = "/metrics/traffic";
const DAY: u64 = 24 * 60 * MINUTE;
const BOUNDS: &[f64] = &[0.005, 0.1, 0.3];
const QUESTIONS: [&str; 5] = [
    "",
    "?labels=",
    "?labels=gatelens_consumer_id,http_response_status_code",
    "?labels=http_route&consumer=globex",
    "?names=starlette_exporter",
];

type Samples = BTreeMap<String, f64>;

fn totals(service: &Service) -> Vec<Samples> {
    QUESTIONS.map(|question| samples(&text(&service.get(&format!("{PATH}{question}"))))).into()
}

/// Waits until a replica gives what the file gives: an answer may be two seconds old.
fn same(what: &str, file: &Service, replicas: &[Service]) {
    let expected = totals(file);
    assert!(expected.iter().all(|samples| samples.len() > 5), "{expected:?}");
    for replica in replicas {
        let begun = Instant::now();
        loop {
            let found = totals(replica);
            if found == expected {
                break;
            }
            if begun.elapsed() > Duration::from_secs(100) {
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found, expected, "{what}");
                }
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Counters that fell since the scrape before.
fn fallen(before: &Samples, now: &Samples) -> Vec<String> {
    let counters = before.iter().filter(|(name, _)| !name.contains("active"));
    let fell = counters.filter(|(name, value)| now.get(*name).is_none_or(|now| now < *value));
    fell.map(|(name, value)| format!("{name}: {value} -> {:?}", now.get(name))).collect()
}

#[test]
fn two_replicas_have_the_totals_of_one_file_and_they_never_fall() {
    let Some(mut server) = ClickHouse::start().unwrap() else { return };
    let mut chance = Chance(std::env::var("CLICKHOUSE_SEED").map_or(3, |seed| seed.parse().unwrap()));
    let batches = traffic_since(now() - 90 * MINUTE, BOUNDS, &mut chance, 1_000);
    let file = Service::on_files();
    for batch in &batches {
        assert_eq!(batch.send(&file), 200);
    }
    let store = database_at(server.url());
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let queue = in_disorder(&batches, &mut chance);
    let sent = queue.len();
    let (mut last, mut scrapes): ([Samples; 2], _) = (Default::default(), 0);
    for (number, batch) in queue.into_iter().enumerate() {
        if chance.one_in(12) {
            disturb(&server, &mut chance);
        }
        deliver(batch, &replicas, &mut chance, &mut server);
        if number == sent / 3 || number == sent * 2 / 3 {
            server.clear_faults().unwrap();
            replicas[number % 2].restart(|_| ());
        }
        let (replica, last) = (&replicas[number % 2], &mut last[number % 2]);
        let answer = replica.get(&format!("{PATH}?labels=http_route,gatelens_consumer_id"));
        if answer.status == 200 {
            let found = samples(&answer.text());
            assert_eq!(fallen(last, &found), Vec::<String>::new(), "at {number}");
            (*last, scrapes) = (found, scrapes + 1);
        }
    }
    assert!(scrapes > sent / 2, "{scrapes} of {sent}");
    server.clear_faults().unwrap();
    same("before closing", &file, &replicas);
    replicas.iter_mut().for_each(|replica| replica.restart(|_| ()));
    same("after closing", &file, &replicas);
    let new = Service::on_store(replicas[0].store().unwrap());
    same("a new replica", &file, &[new]);
}

/// A sender whose reports go to the file and to one of the replicas.
struct Sender {
    instance: &'static str,
    temporality: AggregationTemporality,
    sequence: u64,
    all: Vec<Made>,
}

impl Sender {
    fn new(instance: &'static str, temporality: AggregationTemporality) -> Self {
        Self { instance, temporality, sequence: 0, all: Vec::new() }
    }

    fn report(&mut self, time: u64, news: &[Made], to: &[&Service]) {
        self.all.extend(news.iter().cloned());
        self.sequence += 1;
        let frame = Frame { temporality: self.temporality, bounds_seconds: BOUNDS, ..Frame::at(time) };
        let export = frame.of(&self.all);
        to.iter().for_each(|service| {
            service.send("/v1/metrics", Some((self.instance, 1, self.sequence)), &export).accepted();
        });
        if self.temporality == AggregationTemporality::Delta {
            self.all.clear();
        }
    }
}

fn some(consumer: &'static str) -> Vec<Made> {
    let made = |route, status, seconds| Made { consumer, ..made(route, status, seconds) };
    vec![made("/a", 200, 0.1), made("/a", 200, 0.2), made("/b", 503, 0.004), made("/b", 200, 7.0)]
}

#[test]
fn what_ended_and_changes_of_long_ago_stay_in_totals() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let file = Service::on_files();
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store.clone())];
    let (cumulative, delta) = (AggregationTemporality::Cumulative, AggregationTemporality::Delta);
    let [mut gone, mut edge] = ["gone", "edge-1"].map(|instance| Sender::new(instance, cumulative));
    let mut changes = Sender::new("changes", delta);
    let now = now();
    for before in [40 * DAY, 5 * DAY, DAY, 60 * MINUTE] {
        let to = [&file, &replicas[usize::from(before > DAY)]];
        if before > 30 * DAY {
            gone.report(now - before, &some("gone"), &to);
        }
        edge.report(now - before, &some("acme"), &to);
        changes.report(now - before, &some("globex"), &to);
    }
    same("before closing", &file, &replicas);
    let watcher = Service::on_store(store.clone());
    // A new replica shows old series until it knows when they were counted last.
    same("a new replica", &file, std::slice::from_ref(&watcher));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| never_falls(&watcher, &is_over));
        let ran = catch_unwind(AssertUnwindSafe(|| {
            end_and_fold(&server, &store, &file, &mut replicas, (&mut edge, &mut changes), now)
        }));
        is_over.store(true, Ordering::Relaxed);
        assert!(watching.join().unwrap() > 10);
        ran.unwrap();
    });
}

#[test]
fn a_stream_that_comes_back_counts_on() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut replica = Service::on_store(store.clone());
    let [mut back, mut edge] =
        ["back", "edge-1"].map(|instance| Sender::new(instance, AggregationTemporality::Cumulative));
    let now = now();
    back.report(now - 40 * DAY, &some("acme"), &[&replica]);
    for before in [40 * DAY, 5 * DAY, DAY] {
        edge.report(now - before, &some("acme"), &[&replica]);
    }
    replica.restart(|_| ());
    wait_until("a stream has ended", || count(&store, "ended FINAL") > 0);
    back.report(now - 30 * MINUTE, &some("acme"), &[&replica]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(requests(&replica, "?labels="), 20.0);
    replica.take_late(Duration::from_secs(3600));
    wait_until("its day is added", || count(&store, "ended") == 0);
    assert_eq!(requests(&replica, "?labels="), 20.0);
    let last = format!("blocks FINAL WHERE is_closed AND block >= {}", (now - 30 * MINUTE) / MINUTE / 10 - 1);
    wait_until("its block is closed", || count(&store, &last) > 0);
    replica.restart(|_| ());
    assert_eq!(requests(&replica, "?labels="), 20.0);
}

#[test]
fn totals_of_tables_that_are_divided_are_those_of_one_file() {
    let options = ClickHouseOptions { config: Some(CLUSTER.to_owned()), ..ClickHouseOptions::default() };
    let Some(server) = ClickHouse::start_with(options).unwrap() else { return };
    make_shards(&server, "sharded");
    let address = format!("clickhouse+{}/sharded", server.url()).parse().unwrap();
    let store = ClickHouseConfig { address, password: None, ca: None };
    let file = Service::on_files();
    let mut replica = Service::on_store(store.clone());
    let (cumulative, delta) = (AggregationTemporality::Cumulative, AggregationTemporality::Delta);
    let [mut gone, mut edge] = ["gone", "edge-1"].map(|instance| Sender::new(instance, cumulative));
    let mut changes = Sender::new("changes", delta);
    let now = now();
    gone.report(now - 40 * DAY, &some("gone"), &[&file, &replica]);
    for before in [40 * DAY, 5 * DAY, DAY, 60 * MINUTE] {
        edge.report(now - before, &some("acme"), &[&file, &replica]);
        changes.report(now - before, &some("globex"), &[&file, &replica]);
    }
    same("before closing", &file, std::slice::from_ref(&replica));
    replica.restart(|_| ());
    wait_until("a stream has ended", || count(&store, "ended FINAL") > 0);
    same("after closing", &file, std::slice::from_ref(&replica));
    replica.take_late(Duration::from_secs(3600));
    wait_until("days are whole", || count(&store, "totals WHERE series = 0 AND source = 0") > 0);
    same("after adding up", &file, std::slice::from_ref(&replica));
}

/// Scrapes until it is over, and returns how often.
fn never_falls(service: &Service, is_over: &AtomicBool) -> u64 {
    let (mut last, mut scrapes) = (Samples::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let answer = service.get(&format!("{PATH}?labels=http_route,gatelens_consumer_id"));
        if answer.status == 200 {
            let found = samples(&answer.text());
            assert_eq!(fallen(&last, &found), Vec::<String>::new());
            (last, scrapes) = (found, scrapes + 1);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    scrapes
}

fn end_and_fold(
    server: &ClickHouse,
    store: &ClickHouseConfig,
    file: &Service,
    replicas: &mut [Service; 2],
    (edge, changes): (&mut Sender, &mut Sender),
    now: u64,
) {
    replicas[0].restart(|_| ());
    wait_until("blocks are closed", || count(store, "blocks FINAL WHERE is_closed") == 4);
    assert!(count(store, "ended FINAL") > 0, "no stream has ended");
    same("after closing", file, replicas);
    // A late report: blocks are closed again.
    edge.report(now - 5 * DAY + 30 * MINUTE, &some("acme"), &[file, &replicas[1]]);
    replicas[1].restart(|_| ());
    same("after a late report", file, replicas);
    // A replica with another bound for late reports must not start while blocks are being closed again.
    wait_until("no block will be closed again", || unsettled(store, now / MINUTE) == 0);

    // Of what is inserted some is inserted again, or too late.
    for (fault, table) in [
        (ClickHouseFault::LoseAnswer, "totals"),
        (ClickHouseFault::DelayAnswer(Duration::from_secs(2)), "totals"),
        (ClickHouseFault::Refuse(252, "TOO_MANY_PARTS"), "bases"),
    ] {
        let target = ClickHouseTarget { kind: "INSERT", containing: format!("INTO {table}"), times: 1 };
        server.fault(fault, &target).unwrap();
    }
    for replica in replicas.iter_mut() {
        replica.take_late(Duration::from_secs(3600));
    }
    wait_until("old days are in totals", || {
        count(store, "totals WHERE series = 0 AND source = 0") > 0 && count(store, "ended") == 0
    });
    same("after adding up", file, replicas);
    for minute in [0, 1] {
        let to = [file, &replicas[minute as usize]];
        edge.report(now + minute * MINUTE / 60, &some("acme"), &to);
        changes.report(now + minute * MINUTE / 60, &some("globex"), &to);
    }
    same("going on", file, replicas);
    replicas.iter_mut().for_each(|replica| replica.restart(|_| ()));
    same("after a restart", file, replicas);
}

/// The sum of a counter over all labels.
fn requests(service: &Service, question: &str) -> f64 {
    let found = samples(&text(&service.get(&format!("{PATH}{question}"))));
    let counts =
        found.iter().filter(|(name, _)| name.starts_with("http_server_request_duration_seconds_count"));
    counts.map(|(_, count)| count).sum()
}

#[test]
fn counts_of_a_forgotten_consumer_stay_without_its_name_and_others_go() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let file = Service::on_files();
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    let (cumulative, delta) = (AggregationTemporality::Cumulative, AggregationTemporality::Delta);
    let mut senders = [("edge-1", cumulative), ("edge-2", cumulative), ("changes", delta)]
        .map(|(instance, temporality)| Sender::new(instance, temporality));
    let now = now();
    let report = |senders: &mut [Sender], time: u64, to: &[&Service]| {
        let all = [some("acme"), some("globex")].concat();
        senders.iter_mut().for_each(|sender| sender.report(time, &all, to));
    };
    report(&mut senders, now - 60 * MINUTE, &[&file, &replicas[0]]);
    report(&mut senders, now - 20 * MINUTE, &[&file, &replicas[1]]);
    replicas[0].restart(|_| ());
    same("before", &file, &replicas);
    let consumer = Selection { consumer: Some("acme".to_owned()), ..Selection::default() };
    for service in [&file, &replicas[0]] {
        assert_eq!(forget(service.data(), &consumer, Deed::Remove).unwrap().series, 3);
    }
    assert_eq!(requests(&file, "?labels="), 48.0);
    same("forgotten", &file, &replicas);
    report(&mut senders, now - MINUTE, &[&file, &replicas[1]]);
    same("going on", &file, &replicas);
    assert_eq!(requests(&replicas[1], "?labels=gatelens_consumer_id"), 48.0);

    let requests = |service: &Service| requests(service, "?labels=");
    let all = requests(&replicas[1]);
    let instance = Selection { instance: Some("edge-2".to_owned()), ..Selection::default() };
    forget(replicas[0].data(), &instance, Deed::Remove).unwrap();
    // Of what it has counted, all that has a name goes.
    wait_until("the instance is gone", || requests(&replicas[1]) == all - 16.0);
    report(&mut senders, now, &[&replicas[1]]);
    wait_until("it counts on from there", || requests(&replicas[0]) == all - 16.0 + 24.0);
    let environment = Selection { environment: Some("prod".to_owned()), ..Selection::default() };
    forget(replicas[0].data(), &environment, Deed::Remove).unwrap();
    wait_until("nothing is left", || requests(&replicas[1]) == 0.0);
    report(&mut senders, now, &[&replicas[0]]);
    wait_until("it begins anew", || requests(&replicas[1]) == 24.0);
    replicas.iter_mut().for_each(|replica| replica.restart(|_| ()));
    assert_eq!(requests(&replicas[0]), 24.0);
}

#[test]
fn a_copied_directory_keeps_its_totals() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut file = Service::on_files();
    let (cumulative, delta) = (AggregationTemporality::Cumulative, AggregationTemporality::Delta);
    let mut senders = [("edge-1", cumulative), ("edge-2", cumulative), ("changes", delta)]
        .map(|(instance, temporality)| Sender::new(instance, temporality));
    let now = now();
    let all = [some("acme"), some("globex"), some("initech")].concat();
    for before in [40 * DAY, 3 * DAY, 30 * MINUTE] {
        senders.iter_mut().for_each(|sender| sender.report(now - before, &all, &[&file]));
    }
    let consumer = Selection { consumer: Some("initech".to_owned()), ..Selection::default() };
    forget(file.data(), &consumer, Deed::Remove).unwrap();
    let copied = |data: &std::path::Path| {
        copy(data, &store, &Limits::default(), |_| ()).unwrap();
    };
    file.restart(copied);
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store.clone())];
    same("copied", &file, &replicas);
    // The directory goes on, and is copied again.
    senders.iter_mut().for_each(|sender| sender.report(now - 20 * MINUTE, &all, &[&file]));
    file.restart(copied);
    same("copied again", &file, &replicas);
    for (place, before) in [10 * MINUTE, MINUTE].into_iter().enumerate() {
        senders.iter_mut().for_each(|sender| sender.report(now - before, &all, &[&file, &replicas[place]]));
    }
    same("going on", &file, &replicas);
    for replica in &mut replicas {
        replica.take_late(Duration::from_secs(3600));
    }
    same("after closing", &file, &replicas);
}

#[test]
fn one_of_two_replicas_writes_and_the_other_takes_over() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store)];
    Sender::new("edge-1", AggregationTemporality::Cumulative).report(now(), &some("acme"), &[&replicas[0]]);
    let (url, _requests) = receiver(&[]);
    replicas.iter_mut().for_each(|replica| replica.write_to(to(url.clone())));
    let sent = |replica: &Service| fate(replica, "gatelens_ingest_remote_write_samples_total{fate=\"sent\"}");
    wait_until("one of them sends", || replicas.iter().any(|replica| sent(replica) > 0));
    let sender = usize::from(sent(&replicas[1]) > 0);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sent(&replicas[1 - sender]), 0);
    assert_eq!(fate(&replicas[sender], "gatelens_ingest_alerts_evaluating"), 1);
    // It comes back behind the other one.
    replicas[sender].restart(|_| ());
    wait_until("the other one sends", || sent(&replicas[1 - sender]) > 0);
    let before = sent(&replicas[sender]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sent(&replicas[sender]), before);
}

#[test]
fn series_without_counts_are_given_up_and_come_back() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let store = database_at(server.url());
    let mut replicas = [Service::on_store(store.clone()), Service::on_store(store.clone())];
    let delta = AggregationTemporality::Delta;
    let [mut old, mut new] = ["old", "new"].map(|instance| Sender::new(instance, delta));
    let now = now();
    old.report(now - 100 * DAY, &some("gone"), &[&replicas[0]]);
    new.report(now - DAY, &some("gone")[..1], &[&replicas[1]]);
    let cumulative = AggregationTemporality::Cumulative;
    // Its block is closed.
    Sender::new("edge", cumulative).report(now - DAY, &some("gone")[..1], &[&replicas[1]]);
    assert_eq!(requests(&replicas[0], "?labels="), 6.0);
    run(
        &store,
        "ALTER TABLE series UPDATE added_at = added_at - INTERVAL 3 DAY WHERE 1 SETTINGS mutations_sync = 2",
    );
    wait_until("the block is closed", || {
        replicas[0].restart(|_| ());
        std::thread::sleep(Duration::from_secs(1));
        count(&store, "blocks") > 0
    });
    let before = (now - 50 * DAY) / MINUTE;
    run(&store, &format!("ALTER TABLE changes DELETE WHERE minute < {before} SETTINGS mutations_sync = 2"));
    // Two series have no counts now.
    replicas.iter_mut().for_each(|replica| replica.take_late(Duration::from_secs(3600)));
    wait_until("series expire", || count(&store, "ended_series") == 2);
    // An answer is given for two seconds, and a question reads what is known.
    std::thread::sleep(Duration::from_secs(3));
    for replica in &replicas {
        requests(replica, "?labels=");
    }
    let new_rows = || count(&store, "series FINAL WHERE added_at > now() - INTERVAL 1 DAY");
    assert_eq!(new_rows(), 0);
    old.report(now, &some("gone"), &[&replicas[0]]);
    assert_eq!(new_rows(), 2);
    wait_until("they are back", || requests(&replicas[1], "?labels=http_route&route=/b") == 2.0);
}

/// `CLICKHOUSE_STREAMS=40000` measures what a scrape of 2,000 series at 20 gateways costs: `--nocapture` shows it.
#[test]
fn scrapers_that_come_together_ask_once() {
    let Some(mut server) = ClickHouse::start().unwrap() else { return };
    let streams: u64 = std::env::var("CLICKHOUSE_STREAMS").map_or(200, |count| count.parse().unwrap());
    let store = database_at(server.url());
    let service = Service::on_store(store.clone());
    Sender::new("edge-1", AggregationTemporality::Cumulative).report(now(), &some("acme"), &[&service]);
    // Each stream has forty buckets, and has reported in five of the last minutes.
    let maps = "CAST((range(40), arrayMap(x -> toUInt64(x + minute), range(40))), 'Map(Int16, UInt64)') AS duration,
                duration AS upstream, duration AS gateway,
                CAST(([5000000, 100000000, 300000000, 0], [10, 20, 30, 40]), 'Map(UInt64, UInt64)') AS by_bound";
    for (table, columns, minutes) in [("states", "last_minute", "0, 1"), ("reported", "minute", "1, 6")] {
        let insert = format!(
            "INSERT INTO {table} (block, stream, sender, series, instance, {columns}, requests, duration, upstream, gateway, by_bound)
             SELECT {}, number, number % 20, cityHash64(intDiv(number, 20)), toString(number % 20), minute + {}, 1000 + minute,
                    {maps}
             FROM numbers({streams}) ARRAY JOIN range({minutes}) AS minute",
            if table == "states" { 0 } else { now() / MINUTE / 10 },
            now() / MINUTE - 10,
        );
        run(&store, &insert);
    }
    let series = format!(
        "INSERT INTO series (id, service, environment, direction, consumer, method, route, status, grpc_status)
         SELECT cityHash64(number), 'orders', 'prod', 'inbound', 'c', 'GET', concat('/', toString(number)), 200, -1
         FROM numbers({})",
        streams / 20
    );
    run(&store, &series);
    let asked = || -> usize {
        let statements = server.statements().unwrap();
        statements.iter().filter(|statement| statement.to_string().contains("min_since")).count()
    };
    std::thread::sleep(Duration::from_secs(3));
    let before = asked();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(requests(&service, "?labels="), 4.0 + (streams * 1005) as f64));
        }
    });
    assert_eq!(asked(), before + 1);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(3));
        let (cpu, begun) = (server.process().cpu_time().unwrap(), Instant::now());
        requests(&service, "");
        println!(
            "{streams} streams: {:?} of the engine in {:?}",
            server.process().cpu_time().unwrap() - cpu,
            begun.elapsed()
        );
    }
}
