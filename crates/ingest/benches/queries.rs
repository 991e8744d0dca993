//! How long the questions of the page take on a large store: `make bench-queries`.
//!
//! It fills a store through the service's own write path, as gateways do, and prints a table of times. The environment names
//! the size: `REQUESTS` logged requests over a day, `SERIES` × `MINUTES` of counts, `ROUNDS` of each question. With `DATA=DIR`
//! the store is kept there, and used again if it exists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

mod random;
#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::random::Random;
use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, export_logs, int, made, record, text};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use prost::Message;
use std::time::{Duration, Instant};

/// The routes, the most frequent first.
const ROUTES: [&str; 20] = [
    "/products/{id}",
    "/search",
    "/carts/{id}",
    "/products",
    "/users/{id}",
    "/orders",
    "/orders/{id}",
    "/prices/{id}",
    "/stock/{id}",
    "/login",
    "/orders/{id}/items",
    "/users",
    "/payments/{id}",
    "/invoices/{id}",
    "/logout",
    "/payments",
    "/carts",
    "/reports/{id}",
    "/invoices",
    "/status",
];
const CONSUMERS: [&str; 20] = [
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "stark",
    "wayne",
    "wonka",
    "tyrell",
    "cyberdyne",
    "soylent",
    "oscorp",
    "aperture",
    "nakatomi",
    "gringotts",
    "dunder",
    "sterling",
    "vandelay",
    "prestige",
    "bluth",
];
const STATUSES: [u16; 6] = [200, 201, 404, 429, 500, 503];
const GATEWAYS: [&str; 4] = ["edge-1", "edge-2", "edge-3", "edge-4"];
/// Requests in a batch: a worker at 500 requests a second sends about two of them a second.
const BATCH: u64 = 250;
const DAY: u64 = 24 * 60 * MINUTE;
const BEGIN: u64 = NOON - DAY / 2;
const RANGE: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
/// The same day as a page asks about it, which is not at whole half hours.
const MOVED: &str = "from=2026-06-20T00:15:00Z&to=2026-06-20T23:53:00Z";
/// The rare request: its own values occur once.
const RARE_ID: &str = "5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b11";
const RARE_TRACE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn main() {
    let requests = number("REQUESTS", 1_000_000);
    let (series, minutes) = (number("SERIES", 2_000), number("MINUTES", 1_440));
    let rounds = number("ROUNDS", 10);
    let limits = gatelens_ingest::Limits { reader_requests_per_second: 100_000, ..Default::default() };
    let service = match std::env::var_os("DATA").filter(|data| !data.is_empty()) {
        Some(data) => Service::at(data.into(), limits),
        None => Service::with(limits),
    };
    if count(&service, "limit=1").1 == 0 {
        let begun = Instant::now();
        fill_log(&service, requests);
        eprintln!("{requests} requests stored in {:.0?}", begun.elapsed());
        let begun = Instant::now();
        fill_counts(&service, series, minutes);
        eprintln!("{series} series × {minutes} minutes stored in {:.0?}", begun.elapsed());
    }
    let bytes: u64 = std::fs::read_dir(service.data())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!("{requests} requests, {series} series × {minutes} minutes, {} MB on disk\n", bytes >> 20);
    println!("| question | rows | pages | first | p50 | p95 |\n|---|---|---|---|---|---|");
    // What the views of the page ask, over a day that begins and ends anywhere.
    for question in [
        "summary?",
        "summary?group_by=method,route",
        "summary?group_by=consumer",
        "summary?group_by=consumer,route",
        "summary?group_by=status",
        "summary?group_by=host",
        "summary?group_by=upstream_cluster",
        "summary?group_by=gateway",
        "summary?group_by=method,route&status=4xx",
        "summary?group_by=method,route&compare=previous",
        "summary?group_by=consumer,method,route,status",
        "timeseries?step=60",
        "timeseries?step=300",
        "timeseries?step=900",
        "timeseries?step=900&group_by=status",
        "timeseries?step=900&compare=previous",
        "timeseries?step=1800&group_by=status",
        "timeseries?step=3600&group_by=method,route",
        "timeseries?step=60&consumer=acme",
        "timeseries?step=900&route=/payments/{id}",
        "latencies?",
        "latencies?route=/payments/{id}",
        "releases?",
    ] {
        let query = question.replace('{', "%7B").replace('}', "%7D");
        measure(rounds, question, || {
            (service.json(&format!("/api/v1/{query}&{MOVED}").replace("?&", "?")), 0, 0)
        });
    }
    for question in ["gateways", "consumers", "patterns", "storage", "alerts"] {
        measure(rounds, question, || (service.json(&format!("/api/v1/{question}")), 0, 0));
    }
    let rare_minute = BEGIN + DAY / 3;
    let id_prefix = &RARE_ID[..13];
    for question in [
        "limit=100",
        "errors=true",
        "status=503",
        "consumer=acme&route=/payments/{id}&status=503",
        "consumer=nobody",
        &format!("request_id={RARE_ID}"),
        &format!("trace_id={RARE_TRACE}"),
        "q=consumer:rare",
        "q=client_address:203.0.113.9",
        "q=path=/orders/rare-7",
        "q=path:/orders/rare-7*",
        "q=status:418",
        &format!("q={RARE_ID}"),
        &format!("q={id_prefix}"),
        "q=duration>30s",
        "q=route:/status upstream>1s",
        "q=user_agent:curl/7",
        "sort=duration",
        "sort=duration&consumer=bluth&status=503",
        "sort=duration&q=consumer:rare",
        "sort=duration&route=/status",
    ] {
        let query = question.replace('>', "%3E").replace('{', "%7B").replace('}', "%7D").replace(' ', "%20");
        measure(rounds, &format!("requests?{question}"), || {
            let (pages, rows) = count(&service, &query);
            (serde_json::Value::Null, pages, rows)
        });
    }
    assert_eq!(count(&service, &format!("request_id={RARE_ID}")).1, 1, "the rare request at {rare_minute}");
}

/// Prints a line of the table; `ask` gives the answer, or the numbers of pages and rows.
fn measure(rounds: u64, question: &str, mut ask: impl FnMut() -> (serde_json::Value, usize, usize)) {
    let mut times = Vec::new();
    let (mut rows, mut pages) = (0, 0);
    for _ in 0..rounds.max(1) {
        let begun = Instant::now();
        let (answer, asked, found) = ask();
        times.push(begun.elapsed());
        let listed = ["rows", "points"].into_iter().find_map(|key| answer[key].as_array().map(Vec::len));
        (rows, pages) = (listed.unwrap_or(found), asked.max(1));
    }
    // Sums are kept in memory from then on.
    let first = times.first().copied().unwrap_or_default();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1];
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    println!("| `{question}` | {rows} | {pages} | {} | {} | {} |", ms(first), ms(at(50)), ms(at(95)));
}

/// The pages and rows of a question for requests, until there are 100 rows or no more pages.
fn count(service: &Service, query: &str) -> (usize, usize) {
    let (mut pages, mut rows, mut next) = (0, 0, String::new());
    loop {
        let answer = service.json(&format!("/api/v1/requests?{RANGE}&{query}{next}"));
        pages += 1;
        rows += answer["rows"].as_array().unwrap().len();
        match answer["next"].as_str() {
            Some(cursor) if rows < 100 && !query.contains("limit=") => next = format!("&cursor={cursor}"),
            _ => return (pages, rows),
        }
    }
}

fn fill_log(service: &Service, requests: u64) {
    let mut random = Random(1);
    let mut sequences = [0u64; GATEWAYS.len()];
    let batches = (requests / BATCH).max(1);
    for batch in 0..batches {
        let gateway = (batch % GATEWAYS.len() as u64) as usize;
        let mut records: Vec<_> = (0..BATCH)
            .map(|index| {
                let at = batch * BATCH + index;
                let time = BEGIN + (DAY / requests.max(BATCH)).saturating_mul(at);
                logged(&mut random, time, at, at == requests / 3)
            })
            .collect();
        // Requests are logged when they end, so that those of a batch are not in order.
        records.swap(0, BATCH as usize / 2);
        let mut message = export_logs(records);
        name_gateway(&mut message, GATEWAYS[gateway]);
        sequences[gateway] += 1;
        let identity = (GATEWAYS[gateway], 1, sequences[gateway]);
        service.send_bytes("/v1/logs", identity, &message.encode_to_vec()).accepted();
    }
}

fn logged(
    random: &mut Random,
    time: u64,
    at: u64,
    is_rare: bool,
) -> opentelemetry_proto::tonic::logs::v1::LogRecord {
    let route = ROUTES[random.skewed(ROUTES.len())];
    let consumer = if is_rare { "rare" } else { CONSUMERS[random.skewed(CONSUMERS.len())] };
    let status = if is_rare {
        418
    } else {
        STATUSES[if random.next().is_multiple_of(20) { random.skewed(6) } else { 0 }]
    };
    // A heavy tail: one in a thousand takes a hundred times the usual.
    let seconds = 0.005 / ((random.next() % 10_000) as f64 / 10_000.0 + 0.001);
    let mut record = record(time, &Made { consumer, ..made(route, status, seconds) });
    record.trace_id = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
    record.span_id = random.next().to_be_bytes().to_vec();
    // IDs of objects grow with time, as those of databases do.
    let object = if is_rare { "rare-7".to_owned() } else { (at / 10 + random.next() % 5_000).to_string() };
    let path = if is_rare { "/orders/{id}" } else { route }.replace("{id}", &object);
    let client = match is_rare {
        true => "203.0.113.9".to_owned(),
        false => format!("10.0.{}.{}", random.skewed(8), random.next() % 256),
    };
    let words = [random.next(), random.next()];
    let mut id = format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        words[0] >> 32,
        words[0] >> 16 & 0xffff,
        words[0] & 0xfff,
        words[1] >> 52,
        words[1] & 0xffff_ffff_ffff
    );
    if is_rare {
        RARE_ID.clone_into(&mut id);
        record.trace_id = u128::from_str_radix(RARE_TRACE, 16).unwrap().to_be_bytes().to_vec();
    }
    let own = [("url.path", path), ("client.address", client), ("gatelens.request_id", id)];
    record.attributes.retain(|known| own.iter().all(|(key, _)| known.key != *key));
    record.attributes.extend(own.iter().map(|(key, value)| text(key, value)));
    record.attributes.push(int("server.port", 443));
    record
}

fn name_gateway(message: &mut ExportLogsServiceRequest, instance: &str) {
    for resource in message.resource_logs.iter_mut().filter_map(|logs| logs.resource.as_mut()) {
        resource.attributes.retain(|attribute| attribute.key != "service.instance.id");
        resource.attributes.push(text("service.instance.id", instance));
    }
}

fn fill_counts(service: &Service, series: u64, minutes: u64) {
    let mut random = Random(2);
    for minute in 0..minutes {
        let each = |number: u64| {
            let number = number as usize;
            Made {
                consumer: CONSUMERS[number % 20],
                seconds: 0.005 / ((random.next() % 10_000) as f64 / 10_000.0 + 0.001),
                ..made(ROUTES[number / 20 % 20], STATUSES[number / 400 % 6], 0.0)
            }
        };
        let all: Vec<Made> = (0..series).map(each).collect();
        let time = BEGIN + (minute + 1) * MINUTE;
        let frame = Frame { temporality: AggregationTemporality::Delta, ..Frame::at(time) }.of(&all);
        service.send("/v1/metrics", Some(("edge-1", 1, minute + 1)), &frame).accepted();
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().unwrap())
}

impl Random {
    /// A place below `count`, of which the first are the most frequent: the last of 20 has one in 40.
    fn skewed(&mut self, count: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (unit * unit * count as f64) as usize
    }
}
