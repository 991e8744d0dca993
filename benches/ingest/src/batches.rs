//! The exports of one gateway, made by the filter's own code.

use gatelens_testkit::fake::{Attribute, FakeGateway, FakeStream, Sent};
use gatelens_testkit::otlp;
use gatelens_testkit::worker::Worker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Workers of a gateway, each with a log of its own.
const WORKERS: usize = 2;
/// Time between two ticks of a worker.
const TICK: Duration = Duration::from_millis(500);

const CONFIGURATION: &str = r#"{"version": 1,
    "service": {"name": "shop", "environment": "prod", "version": "1.4.2"},
    "ingest": {"cluster": "gatelens", "authority": "ingest.internal"},
    "consumer": {"sources": [{"header": "x-consumer-id"}]},
    "routes": {"templates": ["/users/{id}", "/orders/{id}", "/orders/{id}/items", "/carts/{id}", "/products/{id}"]}}"#;

/// Routes, each as what comes before and after an identifier.
const ROUTES: [(&str, &str); 10] = [
    ("/users/", ""),
    ("/users", ""),
    ("/orders/", ""),
    ("/orders/", "/items"),
    ("/orders", ""),
    ("/carts/", ""),
    ("/search", ""),
    ("/login", ""),
    ("/products/", ""),
    ("/products", ""),
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
    "curl/8.14.1",
];

/// A body as the gateway sends it.
pub(crate) struct Batch {
    pub(crate) path: String,
    /// Headers except the sender's name.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Requests in it; 0 for counters.
    pub(crate) requests: u64,
    /// Time since the gateway's start at which it is sent.
    pub(crate) due: Duration,
}

impl Batch {
    /// Whether it is one of the request log.
    pub(crate) fn is_log(&self) -> bool {
        self.path.ends_with("/v1/logs")
    }
}

/// The exports of a gateway that serves so many requests a second for this time, in their order.
pub(crate) fn of_a_gateway(requests_per_second: u64, time: Duration) -> Vec<Batch> {
    // Bounds are those of times that the ingest takes; a moment of the past is as good as now.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(time);
    let gateway = FakeGateway::starting_at(start.as_nanos() as u64);
    let workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(&gateway, CONFIGURATION)).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut batches = Vec::new();
    let ticks = time.as_millis() / TICK.as_millis();
    let each = requests_per_second as f64 * TICK.as_secs_f64();
    let mut made = 0;
    for tick in 1..=ticks as u32 {
        let until = (f64::from(tick) * each) as u64;
        let pause = TICK.checked_div((until - made) as u32).unwrap_or_default();
        for _ in made..until {
            // Not all in the same distance.
            let share = random.f64() * 2.0;
            gateway.wait(pause.mul_f64(share.min(1.9)));
            workers[random.usize(..WORKERS)].finish(stream(&mut random));
        }
        made = until;
        for worker in &workers {
            let due = TICK * tick;
            batches.extend(worker.tick_answering(Some(200)).into_iter().map(|sent| batch(&sent, due)));
        }
    }
    batches
}

fn batch(sent: &Sent, due: Duration) -> Batch {
    let headers =
        sent.headers.iter().filter(|(name, _)| !name.starts_with(':') && name != "x-gatelens-instance");
    let path = sent.header(":path").to_owned();
    let records = |sent: &Sent| {
        let resources = otlp::logs(sent).resource_logs;
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_logs);
        scopes.map(|scope| scope.log_records.len() as u64).sum()
    };
    let requests = if path.ends_with("/v1/logs") { records(sent) } else { 0 };
    Batch { path, headers: headers.cloned().collect(), body: sent.body.clone(), requests, due }
}

/// A request as clients of a shop make them.
fn stream(random: &mut fastrand::Rng) -> FakeStream {
    let (before, after) = ROUTES[random.usize(..ROUTES.len())];
    let id = if before.ends_with('/') { random.u32(1..1_000_000).to_string() } else { String::new() };
    let status = match random.u32(..100) {
        0 => 503,
        1..=2 => 404,
        3..=9 => 201,
        _ => 200,
    };
    // Most take some milliseconds, few take seconds.
    let duration = (2e6 / (random.f64() + 0.002)) as i64;
    let gateway = random.i64(60_000..160_000);
    let uuid = |random: &mut fastrand::Rng| {
        let (high, low) = (random.u64(..), random.u64(..));
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    };
    FakeStream::new("GET", &format!("{before}{id}{after}"), status)
        .header(":authority", "api.example.com")
        .header("x-consumer-id", format!("consumer-{}", random.u32(..20)))
        .header("user-agent", AGENTS[random.usize(..AGENTS.len())])
        .header("x-request-id", uuid(random))
        .header("traceparent", format!("00-{:032x}-{:016x}-01", random.u128(1..), random.u64(1..)))
        .text(Attribute::UpstreamCluster, "shop")
        .text(Attribute::Protocol, "HTTP/1.1")
        .text(
            Attribute::SourceAddress,
            &format!("10.1.{}.{}:{}", random.u8(..8), random.u8(..), random.u16(32_768..61_000)),
        )
        .int(Attribute::Attempts, 1)
        .int(Attribute::RequestDuration, duration + gateway)
        .int(Attribute::UpstreamLatency, duration)
        .int(Attribute::RequestSize, 0)
        .int(Attribute::ResponseSize, random.i64(200..20_000))
}
