//! What a store takes: `make sizing`. Prints bytes, processor time and memory for each part of the data.
//!
//! The sender is in the same process, so that processor time and memory include its share; its messages are encoded before
//! the clock starts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement may fail")]

mod random;
#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::random::Random;
use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, export_logs, made, record, text};
use prost::Message;
use std::fmt::Write;

const ROUTES: [&str; 20] = [
    "/users/{id}",
    "/users",
    "/orders/{id}",
    "/orders",
    "/orders/{id}/items",
    "/carts/{id}",
    "/carts",
    "/search",
    "/login",
    "/logout",
    "/products/{id}",
    "/products",
    "/prices/{id}",
    "/stock/{id}",
    "/invoices/{id}",
    "/invoices",
    "/payments/{id}",
    "/payments",
    "/reports/{id}",
    "/status",
];
const CONSUMERS: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
const STATUSES: [u16; 5] = [200, 201, 404, 422, 500];

/// Requests in a batch: a worker at 500 requests a second sends about two of them a second.
const BATCH: u64 = 250;
const REQUESTS_PER_SECOND: u64 = 500;

fn main() {
    let plain = log("without bodies", 200_000, 0, Text::Words);
    for (size, requests) in [(1_000, 50_000), (4_000, 20_000), (32_000, 4_000)] {
        for (kind, name) in [(Text::Words, "JSON of few words"), (Text::Noise, "hexadecimal numbers")] {
            let with = log(&format!("with a body of {size} bytes, {name}"), requests, size, kind);
            println!("  the body adds {} bytes", with.saturating_sub(plain));
        }
    }
    let day = REQUESTS_PER_SECOND * 86_400;
    println!(
        "a day of {REQUESTS_PER_SECOND} requests a second without bodies: {:.1} GB",
        (plain * day) as f64 / 1e9
    );
    counts();
    println!("memory of the process at most: {} MB", status("VmHWM") / 1024);
}

#[derive(Clone, Copy)]
enum Text {
    Words,
    Noise,
}

impl Random {
    fn body(&mut self, bytes: usize, kind: Text) -> String {
        let mut body = String::from("{\"items\":[");
        while body.len() < bytes {
            let _ = match kind {
                Text::Words => write!(
                    body,
                    "{{\"id\":{},\"name\":\"item {}\",\"price\":{}.{:02},\"in_stock\":true}},",
                    self.next() % 100_000,
                    self.next() % 500,
                    self.next() % 200,
                    self.next() % 100
                ),
                Text::Noise => write!(body, "\"{:016x}{:016x}\",", self.next(), self.next()),
            };
        }
        body.truncate(bytes);
        body
    }
}

/// Fills a log, and returns the bytes that a request takes.
fn log(name: &str, requests: u64, body: usize, kind: Text) -> u64 {
    let mut service = Service::with(support::of_benchmarks());
    let mut random = Random(1);
    let mut spent = 0;
    for batch in 0..requests / BATCH {
        let records = (0..BATCH).map(|index| {
            let at = batch * BATCH + index;
            let route = ROUTES[(random.next() % 20) as usize];
            let status =
                STATUSES[if random.next().is_multiple_of(20) { (random.next() % 5) as usize } else { 0 }];
            let seconds = 0.005 / ((random.next() % 1_000) as f64 / 1_000.0 + 0.01);
            let consumer = CONSUMERS[(random.next() % 10) as usize];
            let time = NOON + at * SECOND / REQUESTS_PER_SECOND;
            let mut record = record(time, &Made { consumer, ..made(route, status, seconds) });
            record.trace_id = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
            record.span_id = random.next().to_be_bytes().to_vec();
            let path = route.replace("{id}", &(random.next() % 1_000_000).to_string());
            let client = format!("10.0.{}.{}", random.next() % 8, random.next() % 256);
            let id = format!("{:08x}-{:016x}", random.next() as u32, random.next());
            let own = [("url.path", path), ("client.address", client), ("gatelens.request_id", id)];
            record.attributes.retain(|known| own.iter().all(|(key, _)| known.key != *key));
            record.attributes.extend(own.iter().map(|(key, value)| text(key, value)));
            if body > 0 {
                record.attributes.push(text("gatelens.response.body.content", &random.body(body, kind)));
            }
            record
        });
        let message = export_logs(records.collect()).encode_to_vec();
        let before = processor_seconds();
        service.send_bytes("/v1/logs", ("edge-1", 1, batch + 1), &message).accepted();
        spent += processor_seconds() - before;
    }
    let mut bytes = 0;
    service.restart(|data| bytes = size(data, "requests-"));
    let each = bytes / requests;
    println!(
        "log {name}: {each} bytes a request, {:.1} ms of a core for 1,000 requests",
        spent as f64 * 1_000.0 / TICKS / (requests as f64 / 1_000.0)
    );
    each
}

/// Fills counts: series that all change in each minute, in one report of each minute.
fn counts() {
    for (consumers, minutes) in [(2, 720u64), (10, 720)] {
        let mut service = Service::with(support::of_benchmarks());
        let mut random = Random(2);
        let mut all: Vec<Made> = Vec::new();
        let series = 20 * consumers as u64 * 2;
        let mut spent = 0;
        for minute in 0..minutes {
            all.clear();
            for consumer in &CONSUMERS[..consumers] {
                for route in ROUTES {
                    for status in [200, 404] {
                        for _ in 0..30 {
                            let seconds = 0.005 / ((random.next() % 1_000) as f64 / 1_000.0 + 0.01);
                            all.push(Made { consumer, ..made(route, status, seconds) });
                        }
                    }
                }
            }
            let delta = opentelemetry_proto::tonic::metrics::v1::AggregationTemporality::Delta;
            let frame = Frame { temporality: delta, ..Frame::at(NOON + (minute + 1) * MINUTE) }.of(&all);
            let before = processor_seconds();
            service.send("/v1/metrics", Some(("edge-1", 1, minute + 1)), &frame).accepted();
            spent += processor_seconds() - before;
        }
        let mut bytes = [0; 2];
        service.restart(|data| bytes[0] = used(data));
        pack(&service);
        service.restart(|data| bytes[1] = used(data));
        let [before, packed] = bytes.map(|bytes| bytes / (series * minutes));
        println!(
            "counts of {series} series, 30 requests of each a minute: {before} bytes of a series and minute, {packed} when all but the last hour are packed, {:.0} µs of a core",
            spent as f64 * 1e6 / TICKS / (series * minutes) as f64
        );
    }
}

/// Waits until the service has packed the minutes that are over.
fn pack(service: &Service) {
    let file = counters(service.data());
    let left = "SELECT count(*) FROM minutes WHERE minute < (SELECT max(minute) - 60 FROM minutes)";
    while file.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Bytes of the file of counters that are in use.
fn used(data: &std::path::Path) -> u64 {
    let file = counters(data);
    let one = |what: &str| {
        file.query_row(&format!("PRAGMA {what}"), [], |row| row.get::<_, i64>(0)).unwrap() as u64
    };
    (one("page_count") - one("freelist_count")) * one("page_size")
}

fn counters(data: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("metrics.db")).unwrap()
}

/// Of a second, in which the kernel counts processor time.
const TICKS: f64 = 100.0;

/// Processor time of this process, in [`TICKS`].
fn processor_seconds() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// A line of the status of this process, in KiB.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Bytes of the files with this beginning of their names.
fn size(data: &std::path::Path, name: &str) -> u64 {
    let files = std::fs::read_dir(data).unwrap().map(Result::unwrap);
    let ours = files.filter(|file| file.file_name().to_string_lossy().starts_with(name));
    ours.map(|file| file.metadata().unwrap().len()).sum()
}
