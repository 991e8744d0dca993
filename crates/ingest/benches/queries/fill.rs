//! The traffic of a day, sent to the service as gateways send it.

use crate::random::Random;
use crate::support::Service;
use crate::support::otlp::{Frame, MINUTE, Made, NOON, export_logs, int, made, record, text};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use prost::Message;

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
pub(crate) const DAY: u64 = 24 * 60 * MINUTE;
pub(crate) const BEGIN: u64 = NOON - DAY / 2;
/// The rare request: its own values occur once.
pub(crate) const RARE_ID: &str = "5f0c6fb1-7a80-4a1c-9a50-0f2f3f3e7b11";
pub(crate) const RARE_TRACE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Logs requests over a day from a time on, in Unix nanoseconds.
pub(crate) fn fill_log(service: &Service, requests: u64, begin: u64) {
    let mut random = Random(1);
    let mut sequences = [0u64; GATEWAYS.len()];
    let batches = (requests / BATCH).max(1);
    for batch in 0..batches {
        let gateway = (batch % GATEWAYS.len() as u64) as usize;
        let mut records: Vec<_> = (0..BATCH)
            .map(|index| {
                let at = batch * BATCH + index;
                let time = begin + (DAY / requests.max(BATCH)).saturating_mul(at);
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

/// Counts a request of each series in each minute of the day, and in some after it.
pub(crate) fn fill_counts(service: &Service, series: u64, minutes: u64) {
    let mut random = Random(2);
    for minute in 0..minutes {
        let all: Vec<Made> = (0..series).map(|number| one(&mut random, number)).collect();
        let time = BEGIN + (minute + 1) * MINUTE;
        let frame = Frame { temporality: AggregationTemporality::Delta, ..Frame::at(time) }.of(&all);
        service.send("/v1/metrics", Some(("edge-1", 1, minute + 1)), &frame).accepted();
    }
}

/// A request of a series.
pub(crate) fn one(random: &mut Random, series: u64) -> Made {
    let series = series as usize;
    Made {
        consumer: CONSUMERS[series % 20],
        seconds: 0.005 / ((random.next() % 10_000) as f64 / 10_000.0 + 0.001),
        ..made(ROUTES[series / 20 % 20], STATUSES[series / 400 % 6], 0.0)
    }
}

impl Random {
    /// A place below `count`, of which the first are the most frequent: the last of 20 has one in 40.
    fn skewed(&mut self, count: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (unit * unit * count as f64) as usize
    }
}
