//! Everything a sender can do to the service through `/v1/*`: `make attack`. It starts the real service in a process of
//! its own, sends each attack, and prints figures: resident memory, time, and the experience of an innocent sender.
//!
//! `make attack ATTACK=bounds` runs those attacks whose names contain the word.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a benchmark may fail")]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::support::otlp::{Frame, Made, SECOND, attribute, int, log, made, text};
use flate2::Compression;
use flate2::write::GzEncoder;
use gatelens_ingest::{Limits, Server};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DURATION: &str = "http.server.request.duration";
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Points, records or whatever an attack repeats.
const MANY: usize = 240_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let (Some("serve"), Some(data)) = (arguments.next().as_deref(), arguments.next()) {
        return serve(Path::new(&data));
    }
    let wanted = std::env::var("ATTACK").unwrap_or_default();
    let attacks: [(&str, fn()); 11] = [
        ("ordinary", ordinary),
        ("points", points),
        ("points at once", points_at_once),
        ("records", records),
        ("records in JSON", records_in_json),
        ("attributes", attributes),
        ("bounds", bounds),
        ("series", series),
        ("poison", poison),
        ("resources", resources),
        ("instances", instances),
    ];
    for (name, attack) in attacks.iter().filter(|(name, _)| name.contains(&wanted)) {
        println!("== {name}");
        attack();
    }
}

/// The service, until it is killed.
fn serve(data: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::bind(support::config(data.to_owned(), Limits::default())).await.unwrap();
        println!("{}", server.local_addr());
        std::io::stdout().flush().unwrap();
        server.run(std::future::pending()).await;
    });
}

/// An ordinary batch of counters and one of the log, decoded without the service.
fn ordinary() {
    const ROUTES: [&str; 10] = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j"];
    const CONSUMERS: [&str; 20] = [
        "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15",
        "c16", "c17", "c18", "c19",
    ];
    let of = |i: usize| Made {
        consumer: CONSUMERS[i % 20],
        ..made(ROUTES[i / 20 % 10], [200, 201, 404, 500, 503][i / 200 % 5], 0.001 * (i % 97 + 1) as f64)
    };
    let counts: Vec<_> = (0..8_000).map(of).collect();
    let counts = Frame { start: now() - 60 * SECOND, ..Frame::at(now()) }.of(&counts).encode_to_vec();
    let records: Vec<_> = (0..500).map(|i| (now(), of(i))).collect();
    let records = log(&records).encode_to_vec();
    for (name, body, decode) in [
        ("counters of 1,000 series", &counts, gatelens_ingest::fuzzing::metrics as fn(&[u8])),
        ("500 log records", &records, gatelens_ingest::fuzzing::logs as fn(&[u8])),
    ] {
        let mut best = Duration::MAX;
        for _ in 0..40 {
            let begun = Instant::now();
            decode(body);
            best = best.min(begun.elapsed());
        }
        println!("{name}, {} bytes: {best:?}, the best of 40", body.len());
    }
}

/// One request with 240,000 histogram points of a resource with three attributes of 2 KB.
fn points() {
    let body = heavy_points();
    let service = Service::start(None);
    service.suffer(|| vec![service.post("/v1/metrics", PROTOBUF, &body)]);
}

/// The same from 24 senders at once, to a service that may take 8 GiB of addresses, and 1 GiB.
fn points_at_once() {
    let body = heavy_points();
    for limit in [8 << 20, 1 << 20] {
        println!("ulimit -v {limit} KiB");
        let service = Service::start(Some(limit));
        service.suffer(|| at_once(24, || service.post("/v1/metrics", PROTOBUF, &body)));
    }
}

/// 240,000 log records that are empty, and as many that are requests of which nothing else is known.
fn records() {
    let request = LogRecord { event_name: "gatelens.request".to_owned(), ..LogRecord::default() };
    for record in [LogRecord::default(), request] {
        let body = gzip(&one_resource(vec![record; MANY]).encode_to_vec());
        println!("{} bytes as sent", body.len());
        let service = Service::start(None);
        service.suffer(|| vec![service.post("/v1/logs", PROTOBUF, &body)]);
    }
}

/// The same in JSON.
fn records_in_json() {
    let records = vec![r#"{"eventName":"gatelens.request"}"#; MANY].join(",");
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#);
    let service = Service::start(None);
    service.suffer(|| vec![service.post("/v1/logs", JSON, &gzip(body.as_bytes()))]);
}

/// One log record with 240,000 attributes, and one with 45 lists within one another.
fn attributes() {
    let mut record = request("GET");
    record.attributes.extend(vec![KeyValue::default(); MANY]);
    let wide = one_resource(vec![record]).encode_to_vec();
    let mut deep = Value::BoolValue(true);
    for _ in 0..45 {
        let values = vec![opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(deep) }];
        deep = Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue { values });
    }
    let mut record = request("GET");
    record.attributes.push(attribute("deep", deep));
    let deep = one_resource(vec![record]).encode_to_vec();
    let service = Service::start(None);
    service.suffer(|| vec![service.post("/v1/logs", PROTOBUF, &gzip(&wide))]);
    service.suffer(|| vec![service.post("/v1/logs", PROTOBUF, &gzip(&deep))]);
}

/// One point with 1,000,000 explicit bounds and buckets, eight of them at once.
fn bounds() {
    // From the highest down, so that each finds its place before all others.
    let explicit_bounds: Vec<f64> = (0..1_000_000).rev().map(|i| 0.001 * 1.00002f64.powi(i)).collect();
    let bucket_counts = vec![1; explicit_bounds.len() + 1];
    let point = HistogramDataPoint {
        count: bucket_counts.len() as u64,
        sum: Some(1.0),
        explicit_bounds,
        bucket_counts,
        ..point(0)
    };
    let body = gzip(&export("edge-1", Vec::new(), vec![point]).encode_to_vec());
    let service = Service::start(None);
    service.suffer(|| vec![service.post("/v1/metrics", PROTOBUF, &body)]);
    println!("eight at once:");
    service.suffer(|| at_once(8, || service.post("/v1/metrics", PROTOBUF, &body)));
}

/// 500,000 invented series in five requests, under the name of a service whose gateway has been there for two days; that
/// gateway has a new route afterwards.
fn series() {
    let mut service = Service::start(None);
    let now = now();
    let known = |routes: &[&'static str]| {
        let all: Vec<_> = routes.iter().map(|route| made(route, 200, 0.1)).collect();
        Frame { start: now - 60 * SECOND, ..Frame::at(now) }.of(&all).encode_to_vec()
    };
    let first = service.post("/v1/metrics", PROTOBUF, &gzip(&known(&["/before"])));
    println!("a known gateway: {first:?}");
    service.age();
    let bodies: Vec<_> = (0..5)
        .map(|part| {
            let of = |i: usize| HistogramDataPoint {
                attributes: vec![text("http.route", &format!("/{}", part * 100_000 + i))],
                ..point(0)
            };
            gzip(&export("stranger", Vec::new(), (0..100_000).map(of).collect()).encode_to_vec())
        })
        .collect();
    println!("{} bytes in all", bodies.iter().map(Vec::len).sum::<usize>());
    service.suffer(|| bodies.iter().map(|body| service.post("/v1/metrics", PROTOBUF, body)).collect());
    println!(
        "the known gateway with a new route: {:?}",
        service.post("/v1/metrics", PROTOBUF, &gzip(&known(&["/before", "/after"])))
    );
    service.ask("/api/v1/summary?service=orders");
    service.ask("/api/v1/summary?group_by=route&service=orders");
}

/// Points whose counts and sums no gateway has.
fn poison() {
    let service = Service::start(None);
    let attributes = || vec![text("http.route", "/a"), int("http.response.status_code", 200)];
    let now = now();
    let honest = HistogramDataPoint { attributes: attributes(), count: 10, sum: Some(1.0), ..point(0) };
    println!(
        "honest: {:?}",
        service.post("/v1/metrics", PROTOBUF, &export("edge-1", vec![], vec![honest]).encode_to_vec())
    );
    let wrong = [
        HistogramDataPoint { count: u64::MAX, sum: Some(1.0), ..point(0) },
        HistogramDataPoint { count: 10, sum: Some(1e300), ..point(1) },
        HistogramDataPoint { count: 10, sum: Some(-5.0), ..point(2) },
        HistogramDataPoint { count: 10, sum: Some(f64::NAN), ..point(3) },
        HistogramDataPoint {
            count: 10,
            sum: Some(1.0),
            bucket_counts: vec![u64::MAX, 1],
            explicit_bounds: vec![1.0],
            ..point(4)
        },
        HistogramDataPoint { count: 10, sum: Some(1.0), time_unix_nano: u64::MAX, ..point(5) },
        HistogramDataPoint {
            count: 10,
            sum: Some(1.0),
            time_unix_nano: now + 366 * 24 * 3600 * SECOND,
            ..point(6)
        },
    ];
    for point in wrong {
        let point = HistogramDataPoint { attributes: attributes(), ..point };
        let shown = (point.count, point.sum, point.time_unix_nano);
        let answer =
            service.post("/v1/metrics", PROTOBUF, &export("stranger", vec![], vec![point]).encode_to_vec());
        println!("{shown:?}: {answer:?}");
    }
    service.ask("/api/v1/summary?from=0&to=4102444800");
}

/// 60,000 resources of one log record each, and a page of the log afterwards.
fn resources() {
    let service = Service::start(None);
    let of = |i: usize| {
        let attributes = vec![text("service.name", "orders"), text("service.instance.id", &format!("i-{i}"))];
        let scope_logs = vec![ScopeLogs { log_records: vec![request("GET")], ..Default::default() }];
        ResourceLogs {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_logs,
            ..Default::default()
        }
    };
    let body =
        gzip(&ExportLogsServiceRequest { resource_logs: (0..60_000).map(of).collect() }.encode_to_vec());
    service.suffer(|| vec![service.post("/v1/logs", PROTOBUF, &body)]);
    service.ask("/api/v1/requests?limit=100");
    println!("and the same records of one sender in 2,000 requests:");
    let body = gzip(&one_resource(vec![request("GET")]).encode_to_vec());
    service.suffer(|| (0..2_000).map(|_| service.post("/v1/logs", PROTOBUF, &body)).collect());
    service.ask("/api/v1/requests?limit=100");
}

/// 85,000 invented instances, and the list of gateways afterwards.
fn instances() {
    let service = Service::start(None);
    for part in 0..5 {
        let of = |i: usize| {
            let mut export = export(&format!("i-{}", part * 17_000 + i), vec![], vec![point(0)]);
            export.resource_metrics.remove(0)
        };
        let body = ExportMetricsServiceRequest { resource_metrics: (0..17_000).map(of).collect() };
        println!("{:?}", service.post("/v1/metrics", PROTOBUF, &gzip(&body.encode_to_vec())));
    }
    service.ask("/api/v1/gateways");
}

fn heavy_points() -> Vec<u8> {
    let long = |c: &str| c.repeat(2_048);
    let resource = vec![
        text("service.name", &long("s")),
        text("deployment.environment.name", &long("e")),
        text("service.version", &long("v")),
    ];
    let points = (0..MANY as u64).map(|i| HistogramDataPoint { time_unix_nano: now() - i, ..point(0) });
    let body = gzip(&export("edge-1", resource, points.collect()).encode_to_vec());
    println!("{} bytes as sent", body.len());
    body
}

/// A point of a moment ago: so many seconds before now.
fn point(seconds: u64) -> HistogramDataPoint {
    let time = now() - seconds * SECOND;
    HistogramDataPoint {
        start_time_unix_nano: time - 3600 * SECOND,
        time_unix_nano: time,
        count: 1,
        sum: Some(0.1),
        ..Default::default()
    }
}

fn export(
    instance: &str,
    resource: Vec<KeyValue>,
    points: Vec<HistogramDataPoint>,
) -> ExportMetricsServiceRequest {
    let frame = Frame::default();
    let metric: Metric = frame.explicit(DURATION, points);
    let mut export = frame.export(vec![metric]);
    let attributes = &mut export.resource_metrics[0].resource.as_mut().unwrap().attributes;
    for own in resource.into_iter().chain([text("service.instance.id", instance)]) {
        attributes.retain(|attribute| attribute.key != own.key);
        attributes.push(own);
    }
    export
}

fn request(method: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: now(),
        attributes: vec![text("http.request.method", method)],
        ..Default::default()
    }
}

fn one_resource(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let mut export = log(&[(now(), made("/x", 200, 0.1))]);
    export.resource_logs[0].scope_logs[0].log_records = log_records;
    export
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn at_once(count: usize, send: impl Fn() -> Outcome + Sync) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let sending: Vec<_> = (0..count).map(|_| scope.spawn(&send)).collect();
        sending.into_iter().map(|sending| sending.join().unwrap()).collect()
    })
}

/// A service in a process of its own.
struct Service {
    child: Child,
    url: String,
    agent: ureq::Agent,
    dir: tempfile::TempDir,
}

/// Status, partial success or message, and time of an answer; or the end of the connection.
type Outcome = String;

impl Service {
    /// `address_space` is a limit in KiB.
    fn start(address_space: Option<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, url) = Self::run(dir.path(), address_space);
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self { child, url, agent: config.build().new_agent(), dir }
    }

    /// Starts again, and all that was seen before was seen two days earlier.
    fn age(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let file = rusqlite::Connection::open(self.dir.path().join("data/metrics.db")).unwrap();
        let two_days = 2 * 24 * 3600 * SECOND as i64;
        let aged = file.execute("UPDATE gateways SET first_seen = first_seen - ?", [two_days]).unwrap();
        assert_eq!(aged, 1, "there must be one gateway");
        drop(file);
        (self.child, self.url) = Self::run(self.dir.path(), None);
    }

    /// A process of the service, and its URL.
    fn run(dir: &Path, address_space: Option<u64>) -> (Child, String) {
        let mut command = match address_space {
            None => Command::new(std::env::current_exe().unwrap()),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -v {limit}; exec \"$0\" \"$@\"")]);
                shell.arg(std::env::current_exe().unwrap());
                shell
            }
        };
        let mut child = command.arg("serve").arg(dir.join("data")).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        (child, format!("http://{}", address.trim()))
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> Outcome {
        let begun = Instant::now();
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("content-type", kind);
        if body.starts_with(&[0x1f, 0x8b]) {
            request = request.header("content-encoding", "gzip");
        }
        match request.send(body) {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let retry = answer.headers().get("retry-after").is_some();
                let text = answer.body_mut().read_to_vec().unwrap_or_default();
                let shown: String =
                    String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(160).collect();
                let retry = if retry { " Retry-After" } else { "" };
                format!("{status}{retry} after {:.2} s {shown}", begun.elapsed().as_secs_f64())
            }
            Err(error) => format!("no answer: {error}"),
        }
    }

    fn ask(&self, path: &str) {
        let begun = Instant::now();
        match self.agent.get(format!("{}{path}", self.url)).call() {
            Ok(mut answer) => {
                let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
                let shown: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                println!(
                    "{path}: {} bytes after {:.3} s: {shown}",
                    body.len(),
                    begun.elapsed().as_secs_f64()
                );
            }
            Err(error) => println!("{path}: no answer: {error}"),
        }
    }

    /// Resident memory in MB: now, or at its peak.
    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap_or_default() / 1024
    }

    /// Prints the effect of an attack on memory, and on a sender of one log record every 20 ms.
    fn suffer(&self, attack: impl FnOnce() -> Vec<Outcome>) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
        let before = self.memory("VmRSS:");
        let over = AtomicBool::new(false);
        let innocent = one_resource(vec![request("GET")]).encode_to_vec();
        let (outcomes, took, waits) = std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let mut waits = Vec::new();
                loop {
                    let begun = Instant::now();
                    let outcome = self.post("/v1/logs", PROTOBUF, &innocent);
                    waits.push((begun.elapsed(), outcome.starts_with("200")));
                    if over.load(Relaxed) {
                        return waits;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let begun = Instant::now();
            let outcomes = attack();
            let took = begun.elapsed();
            over.store(true, Relaxed);
            (outcomes, took, waits.join().unwrap())
        });
        let longest = waits.iter().map(|(wait, _)| *wait).max().unwrap_or_default();
        let refused = waits.iter().filter(|(_, accepted)| !accepted).count();
        let mut kinds = std::collections::BTreeMap::<String, usize>::new();
        for outcome in &outcomes {
            let kind = outcome.split(" after ").next().unwrap_or_default();
            let message = outcome.split(" s ").nth(1).unwrap_or_default();
            *kinds.entry(format!("{kind}: {message}")).or_default() += 1;
        }
        println!(
            "memory before, peak, after: {before}, {}, {} MB; {:.2} s; innocent sender: longest wait {:.2} s, {refused} of {} refused; answers {kinds:?}",
            self.memory("VmHWM:"),
            self.memory("VmRSS:"),
            took.as_secs_f64(),
            longest.as_secs_f64(),
            waits.len(),
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            println!("THE SERVICE ENDED: {status}");
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
