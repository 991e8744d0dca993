//! How long the questions of the page take with counters and log on a ClickHouse, and what its rows take: `make bench-clickhouse`.
//!
//! Gateways report and log through the service's own write path: the counts of the last hundred minutes, of which the newest are in
//! no closed block, and a day of requests, 200,000 at most. What is more is copied within the server: a closed half hour to all
//! half hours before, and requests to other days, with times, IDs and objects of their own. The environment names the size:
//! `REQUESTS` of the log over `DAYS`, `SERIES` that count in each minute of these days, `ROUNDS` of each question. With
//! `DATABASE=NAME` the database has that name, and what is filled in is used again: only the last 25 minutes are reported anew.
//!
//! `cold` is the first answer after a start of the service; the caches of the server are warm. `engine` is the processor time of
//! the server, of which several cores may have worked at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

#[path = "../asked/mod.rs"]
mod asked;
#[path = "../queries/fill.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod fill;
#[path = "../random/mod.rs"]
mod random;
#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::asked::{OF_ANY_TIME, OF_DAY, OF_MONTH, count, encoded, in_ms, number, of_log, within};
use crate::fill::{DAY, RARE_ID};
use crate::random::Random;
use crate::support::Service;
use crate::support::clickhouse::{run, unsettled};
use crate::support::otlp::{Frame, MINUTE, Made};
use gatelens_ingest::ClickHouseConfig;
use std::time::{Duration, Instant, SystemTime};

/// Requests that are sent. Others are copies of them.
const SENT: u64 = 200_000;
/// Minutes whose counts are sent, so that a whole half hour of them gets into closed blocks.
const REPORTED: u64 = 100;
/// Minutes whose counts are sent to a database that is used again.
const REPORTED_AGAIN: u64 = 25;
const HALF_HOUR: u64 = 30;
const MINUTES_OF_DAY: u64 = DAY / MINUTE;

/// The server, and the database.
struct Engine(ClickHouseConfig);

fn main() {
    let url = std::env::var("GATELENS_TEST_STORE").unwrap();
    let (requests, days) = (number("REQUESTS", SENT), number("DAYS", 7).clamp(1, 14));
    let (series, rounds) = (number("SERIES", 2_000), number("ROUNDS", 10));
    let name = std::env::var("DATABASE").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("bench_{}", std::process::id()));
    let address = format!("clickhouse+{url}/{name}").parse().unwrap();
    let store = ClickHouseConfig { address, password: None, ca: None };
    let mut service = Service::on_store_with(store.clone(), support::of_benchmarks());
    let engine = Engine(store);
    let now = minute_of(SystemTime::now());
    let is_new = engine.number("SELECT count() FROM requests") == 0;
    if is_new {
        fill_log(&service, &engine, (requests, days), now);
    }
    let begun = Instant::now();
    let minutes = if is_new { REPORTED } else { REPORTED_AGAIN };
    report(&service, series, minutes, now);
    eprintln!("{series} series × {minutes} minutes reported in {:.0?}", begun.elapsed());
    if is_new {
        let begun = Instant::now();
        engine.copy_counts(now, days);
        eprintln!("{series} series × {days} days copied in {:.0?}", begun.elapsed());
    }
    engine.wait_for_blocks(now);
    engine.wait_for_merges();

    println!("{requests} requests, {series} series × {days} days\n");
    println!("| table | rows | MB | bytes a row | the largest columns |\n|---|---|---|---|---|");
    println!("{}", engine.ask(SIZES));
    println!("\n| question | rows | pages | cold | p50 | p95 | engine, p50 |\n|---|---|---|---|---|---|---|");
    // A page asks about times that are at no whole half hour, until now.
    let range = |days: u64| format!("from={}&to={}", instant(now - days * MINUTES_OF_DAY), instant(now));
    for (span, questions, range) in
        [("day", &OF_DAY[..], range(1)), (&*format!("{days} days"), &OF_MONTH, range(days))]
    {
        for question in questions {
            let path = format!("/api/v1/{}&{range}", encoded(question)).replace("?&", "?");
            measure(&mut service, &engine, rounds, &format!("{question}` ({span})"), |service| {
                let answer = service.json(&path);
                let listed =
                    ["rows", "points"].into_iter().find_map(|key| answer[key].as_array().map(Vec::len));
                (0, listed.unwrap_or_default())
            });
        }
    }
    for question in OF_ANY_TIME {
        measure(&mut service, &engine, rounds, &format!("{question}`"), |service| {
            service.json(&format!("/api/v1/{question}"));
            (0, 0)
        });
    }
    let all = range(days);
    for question in of_log() {
        let query = encoded(&question);
        measure(&mut service, &engine, rounds, &format!("requests?{question}`"), |service| {
            count(service, &all, &query)
        });
    }
    assert_eq!(count(&service, &all, &format!("request_id={RARE_ID}")).1, 1, "the rare request");
}

/// Requests of the log: some that are sent, and copies of them.
fn fill_log(service: &Service, engine: &Engine, (requests, days): (u64, u64), now: u64) {
    let sent = requests.min(SENT);
    let begun = Instant::now();
    fill::fill_log(service, sent, now * MINUTE - DAY);
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    eprintln!("{sent} requests sent, {rate:.0} a second");
    engine.ask("CREATE TABLE sent ENGINE = Memory AS SELECT DISTINCT batch FROM requests");
    let begun = Instant::now();
    (1..requests.div_ceil(sent)).for_each(|copy| engine.copy_log(copy, copy % days));
    eprintln!("{} requests copied in {:.0?}", requests - sent, begun.elapsed());
}

/// What tables and their columns take.
const SIZES: &str = "
SELECT concat('| ', table, ' | ', toString(rows), ' | ', toString(intDiv(bytes, 1000000)), ' | ', toString(round(bytes / rows, 1)), ' | ', columns, ' |')
FROM (
    SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts
    WHERE database = currentDatabase() AND active GROUP BY table
) AS sizes
LEFT JOIN (
    SELECT table, arrayStringConcat(arraySlice(groupArray(concat(name, ' ', toString(of_row))), 1, 12), ', ') AS columns
    FROM (
        SELECT c.table AS table, name, round(data_compressed_bytes / t.total_rows, 1) AS of_row
        FROM system.columns AS c INNER JOIN system.tables AS t ON t.database = c.database AND t.name = c.table
        WHERE c.database = currentDatabase() AND t.total_rows > 0 ORDER BY of_row DESC
    ) GROUP BY table
) AS of_columns USING (table)
WHERE rows > 1000 ORDER BY bytes DESC
FORMAT TSVRaw";

/// Reports the counts of the last minutes, one to six requests of each series in each minute.
fn report(service: &Service, series: u64, minutes: u64, now: u64) {
    let mut random = Random(2);
    let mut all: Vec<Made> = Vec::new();
    for minute in 0..minutes {
        for one in 0..series {
            let requests = 1 + random.next() % 6;
            all.extend((0..requests).map(|_| fill::one(&mut random, one)));
        }
        let time = (now - minutes + minute) * MINUTE;
        let start = (now - minutes) * MINUTE - 1;
        let frame = Frame { start, ..Frame::at(time) }.of(&all);
        service.send("/v1/metrics", Some(("edge-1", now, minute + 1)), &frame).accepted();
    }
}

/// Prints a line of the table; `ask` gives the numbers of pages and rows.
fn measure(
    service: &mut Service,
    engine: &Engine,
    rounds: u64,
    question: &str,
    ask: impl Fn(&Service) -> (usize, usize),
) {
    service.restart(|_| ());
    let (mut times, mut busy) = (Vec::new(), Vec::new());
    let (mut rows, mut pages) = (0, 0);
    for _ in 0..=rounds.max(1) {
        let (used, begun) = (engine.processor_time(), Instant::now());
        (pages, rows) = ask(service);
        times.push(begun.elapsed());
        busy.push(engine.processor_time().saturating_sub(used));
    }
    let cold = times.remove(0);
    busy.remove(0);
    times.sort_unstable();
    busy.sort_unstable();
    println!(
        "| `{question} | {rows} | {} | {} | {} | {} | {} |",
        pages.max(1),
        in_ms(cold),
        within(&times, 50),
        within(&times, 95),
        within(&busy, 50)
    );
}

impl Engine {
    fn ask(&self, statement: &str) -> String {
        run(&self.0, statement)
    }

    fn number(&self, statement: &str) -> u64 {
        self.ask(statement).parse().unwrap()
    }

    /// The processor time of all statements so far.
    fn processor_time(&self) -> Duration {
        let event = "SELECT value FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'";
        Duration::from_micros(self.number(event))
    }

    /// Waits until the service has closed what is over.
    fn wait_for_blocks(&self, now: u64) {
        while unsettled(&self.0, now) > 0 {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn wait_for_merges(&self) {
        while self.number("SELECT count() FROM system.merges") > 0 {
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Copies all requests that were sent, apart from the rare one, to some days before.
    fn copy_log(&self, copy: u64, days: u64) {
        let columns = self.ask("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'requests' ORDER BY position");
        let names: Vec<&str> = columns.lines().collect();
        let values = names.iter().map(|name| match *name {
            // Not at the same nanosecond.
            "time" => format!("time - INTERVAL {days} DAY - INTERVAL {copy} MICROSECOND"),
            "batch" => format!("cityHash64(batch, {copy})"),
            "request_id" => "toString(generateUUIDv4())".to_owned(),
            "trace_id" => "lower(hex(randomString(16)))".to_owned(),
            "span_id" => "lower(hex(randomString(8, 1)))".to_owned(),
            "path" => {
                format!("replaceRegexpOne(path, '[0-9]+', toString({copy} * 100000 + rand() % 100000))")
            }
            name => name.to_owned(),
        });
        let (values, names) = (values.collect::<Vec<_>>().join(", "), names.join(", "));
        self.ask(&format!(
            "INSERT INTO requests ({names}) SELECT {values} FROM requests
             WHERE batch IN (SELECT batch FROM sent) AND status != 418"
        ));
    }

    /// Copies a closed half hour to those before it, down to the first of some days.
    fn copy_counts(&self, now: u64, days: u64) {
        let last = (now - 11) / HALF_HOUR * HALF_HOUR - HALF_HOUR;
        let is_closed = format!(
            "SELECT count() FROM (SELECT DISTINCT block FROM blocks WHERE is_closed AND block >= {last} / 10 AND block < {last} / 10 + 3)"
        );
        while self.number(&is_closed) < HALF_HOUR / 10 {
            std::thread::sleep(Duration::from_secs(1));
        }
        let copies = days * MINUTES_OF_DAY / HALF_HOUR;
        for table in ["minutes", "half_hours"] {
            // Those that were reported are there.
            for first in (4..=copies).step_by(48) {
                let until = (first + 48).min(copies + 1);
                self.ask(&format!(
                    "INSERT INTO {table} SELECT * EXCEPT (copy) REPLACE (toUInt32(minute - {HALF_HOUR} * copy) AS minute)
                     FROM (SELECT * FROM {table} FINAL WHERE minute >= {last} AND minute < {last} + {HALF_HOUR}) AS sent
                     CROSS JOIN (SELECT arrayJoin(range({first}, {until})) AS copy) AS copies"
                ));
            }
        }
    }
}

fn minute_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 60
}

/// A Unix minute as questions name it.
fn instant(minute: u64) -> String {
    (minute * 60).to_string()
}
