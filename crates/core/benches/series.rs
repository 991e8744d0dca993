//! What a number of series costs: `cargo bench -p gatelens-core`. It prints figures: memory, ticks and exports for several
//! values of `counters.max_series`, on 200 consumers × 300 routes × 5 statuses under Zipf laws, and the price of counting
//! a request of a known series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gatelens_core::counters::{Caps, Dimension, Dimensions, Measurement, Pending, Series};
use gatelens_core::outcome::{Method, Status};
use gatelens_core::request::route::RouteSource;
use gatelens_core::request::scheme::Scheme;
use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp::numbers;
use gatelens_testkit::worker::Worker;

/// Counts the bytes in use and the allocations.
struct Counted;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const CONSUMERS: usize = 200;
const ROUTES: usize = 300;
const STATUSES: [u16; 5] = [200, 201, 404, 429, 503];
const START: u64 = 1_700_000_000_000_000_000;

fn main() {
    a_request_of_a_known_series();
    for max_series in [2_000, 5_000, 10_000, 20_000] {
        series(max_series);
    }
}

/// Random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank under a Zipf law with exponent 1.
    fn rank(&mut self, names: usize) -> usize {
        ((names as f64 + 1.0).powf(self.unit()) - 1.0) as usize % names
    }
}

fn a_request_of_a_known_series() {
    let caps = Caps {
        series: 20_000,
        consumers: 20_000,
        routes: 20_000,
        hosts: 1,
        upstream_clusters: 1,
        templates: 0,
    };
    let mut pending = Pending::new(caps);
    let names: Vec<(String, String)> = (0..2_000)
        .map(|n| (format!("consumer-{}", n % 200), format!("/api/v1/things-{}/{{id}}", n % 300)))
        .collect();
    let bounds = [5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 1_000_000_000];
    let mut count = |requests: usize| {
        let (begun, allocations) = (Instant::now(), ALLOCATIONS.load(Ordering::Relaxed));
        for n in 0..requests {
            let (consumer, route) = &names[n % names.len()];
            let series = Series::Exact(Dimensions {
                consumer: Dimension::Value(consumer),
                method: Method::new(b"GET"),
                scheme: Scheme::Http,
                route: Dimension::Value(route),
                route_source: RouteSource::Inferred,
                status: Status(200),
                grpc_status: None,
                error: None,
                host: None,
                upstream_cluster: None,
            });
            let measurement = Measurement { duration_ns: 20_000_000, ..Measurement::default() };
            pending.add(series, &measurement, &bounds);
        }
        (begun.elapsed() / requests as u32, ALLOCATIONS.load(Ordering::Relaxed) - allocations)
    };
    count(10_000);
    let rounds: Vec<_> = (0..7).map(|_| count(1_000_000)).collect();
    println!(
        "a request of a known series: {:?} and {} allocations in a million",
        rounds.iter().map(|r| r.0).min().unwrap(),
        rounds[0].1
    );
}

fn series(max_series: u32) {
    let text = format!(
        r#"{{"version": 1, "ingest": {{"cluster": "c"}}, "counters": {{"max_series": {max_series}, "max_routes": 1000, "max_consumers": 1000}}, "sample": {{"rate": 0, "keep_errors": false}}}}"#
    );
    let gateway = FakeGateway::starting_at(START);
    let before = BYTES.load(Ordering::Relaxed);
    let workers = [Worker::start(&gateway, &text), Worker::start(&gateway, &text)];
    let mut random = Random(7);
    let mut longest = [Duration::ZERO; 2];
    let mut last = Vec::new();
    let mut ticks = |random: &mut Random, requests: usize, seconds: usize| {
        let mut all: Vec<Duration> = Vec::new();
        let (mut bytes, mut sent_requests) = (0, 0);
        for _ in 0..seconds * 2 {
            for n in 0..requests / 2 {
                workers[n % 2].finish(request(random));
            }
            gateway.wait(Duration::from_millis(500));
            for (worker, longest) in workers.iter().zip(&mut longest) {
                let begun = Instant::now();
                worker.plugin.tick(&worker.host);
                let took = begun.elapsed();
                *longest = took.max(*longest);
                all.push(took);
                let sent: Vec<Sent> = worker.answer_all(Some(200));
                bytes += sent.iter().map(|sent| sent.body.len()).sum::<usize>();
                sent_requests += sent.len();
                if !sent.is_empty() {
                    last = sent;
                }
            }
        }
        all.sort();
        (all[all.len() / 2], all[all.len() - 1], bytes / seconds, sent_requests)
    };
    // Until the slots are full: 2,000,000 requests have more than 20,000 series.
    let (_, fill, ..) = ticks(&mut random, 50_000, 40);
    let filled = BYTES.load(Ordering::Relaxed) - before;
    let shared = gateway.shared_bytes();
    let (median, most, bytes, requests) = ticks(&mut random, 5_000, 30);
    println!(
        "max_series {max_series}: {} in use; shared data {} KB, each worker {} KB; 5,000 requests a second: tick {median:?}, longest {most:?} \
         (while the slots filled {fill:?}), {} KB a second in {requests} requests of 30 s",
        numbers(&last)["gatelens.series"],
        shared >> 10,
        ((filled - shared) / 2) >> 10,
        bytes >> 10,
    );
    // All series change between two ticks, and the leader is lost: the other one exports everything.
    (0..400_000).for_each(|n| workers[n % 2].finish(request(&mut random)));
    let [leader, other] = workers;
    other.plugin.tick(&other.host);
    drop(leader);
    gateway.wait(Duration::from_secs(6));
    let (mut longest, mut bytes, mut requests, mut seconds) = (Duration::ZERO, 0, 0, 0);
    loop {
        let begun = Instant::now();
        other.plugin.tick(&other.host);
        longest = longest.max(begun.elapsed());
        let sent = other.answer_all(Some(200));
        if sent.is_empty() {
            break;
        }
        bytes += sent.iter().map(|sent| sent.body.len()).sum::<usize>();
        requests += sent.len();
        seconds += 1;
        gateway.wait(Duration::from_millis(500));
    }
    println!(
        "  all of them at once: {} KB in {requests} requests on {seconds} ticks, longest tick {longest:?}",
        bytes >> 10
    );
}

fn request(random: &mut Random) -> FakeStream {
    let (consumer, route) = (random.rank(CONSUMERS), random.rank(ROUTES));
    let status = STATUSES[random.rank(5)];
    // Durations spread over two orders of magnitude.
    let duration = 1e6 * 100f64.powf(random.unit());
    FakeStream::new("GET", &format!("/api/v1/things-{}/items", word(route)), status)
        .header("x-consumer-id", format!("consumer-{consumer}"))
        .int(Attribute::RequestDuration, duration as i64)
        .int(Attribute::UpstreamLatency, (duration * 0.9) as i64)
        .int(Attribute::RequestSize, 100)
        .int(Attribute::ResponseSize, 2_000)
        .int(Attribute::Attempts, 1)
}

/// Different words for different numbers, which no shape of an identifier matches.
fn word(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 20) as u8);
    format!("x{}{}{}", letter(n), letter(n / 20), letter(n / 400))
}
