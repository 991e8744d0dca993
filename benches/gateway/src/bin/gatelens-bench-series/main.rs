//! `gatelens-bench-series`: what a number of series costs in the module under Envoy: memory, and the time of a tick.
//!
//! Each row fills the series with requests of 200 consumers × 300 routes (`NAMES`) × 5 statuses under Zipf laws. Then bursts of
//! requests alternate with silence, so that what the workers spend in between is the time of their ticks alone: the first tick
//! after a burst merges its counts and exports them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Error, Launch, Receiver, Result, Upstream};
use serde_json::json;

#[derive(Parser)]
#[command(about = "Memory and ticks of the module under Envoy, by number of series")]
struct Arguments {
    /// Series and routes of each row, for example 10000:2000
    #[arg(env = "CAPS", value_delimiter = ',', value_parser = caps, default_value = "2000:2000,10000:1000,10000:2000,20000:2000")]
    caps: Vec<(u64, u64)>,
    /// Bursts of each row
    #[arg(long, env = "BURSTS", default_value_t = 12)]
    bursts: usize,
    /// Distinct routes that are asked for
    #[arg(long, env = "NAMES", default_value_t = 300)]
    names: usize,
}

/// Series against which memory is compared.
const BASELINE: (u64, u64) = (100, 100);
/// Connections, each with a thread of its own.
const CLIENTS: usize = 8;
const BURST: usize = 2_500;
/// Requests for each series, so that both workers know all of them.
const FILL: u64 = 6;
/// More than two ticks.
const SILENCE: Duration = Duration::from_millis(2_300);
const CONSUMERS: usize = 200;
const STATUSES: [u16; 5] = [200, 201, 404, 429, 503];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens-bench-series: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What one row measured.
struct Measured {
    resident_bytes: u64,
    /// Microseconds of the longest tick after each burst, ascending.
    ticks: Vec<u64>,
    exported_bytes: usize,
    exports: usize,
}

fn run(arguments: &Arguments) -> Result<()> {
    println!("2 workers; bursts of {BURST} requests; memory above that with {} series", BASELINE.0);
    println!(
        "| series | routes | Envoy's memory | longest tick after a burst, median | the longest of all | exported after a burst, compressed |"
    );
    println!("|---|---|---|---|---|---|");
    let baseline = measure(BASELINE, arguments, 60_000)?;
    for caps in &arguments.caps {
        let measured = measure(*caps, arguments, (caps.0 * FILL).max(60_000))?;
        let more = measured.resident_bytes.saturating_sub(baseline.resident_bytes);
        let tick = |at: usize| measured.ticks.get(at).map_or(0.0, |tick| *tick as f64 / 1_000.0);
        println!(
            "| {} | {} | {:.1} MB | {:.1} ms | {:.1} ms | {:.0} KB in {:.1} requests |",
            caps.0,
            caps.1,
            more as f64 / f64::from(1 << 20),
            tick(measured.ticks.len() / 2),
            tick(measured.ticks.len().saturating_sub(1)),
            measured.exported_bytes as f64 / 1_000.0 / arguments.bursts as f64,
            measured.exports as f64 / arguments.bursts as f64,
        );
    }
    Ok(())
}

fn measure((series, routes): (u64, u64), arguments: &Arguments, fill: u64) -> Result<Measured> {
    let (upstream, receiver) = (Upstream::start()?, Receiver::start()?);
    let plugin = json!({
        "version": 1,
        "ingest": {"cluster": "gatelens_ingest"},
        "sample": {"rate": 0},
        "counters": {"max_series": series, "max_routes": routes},
        // The statistics of a worker are a line on each tick.
        "debug": true,
    });
    let config = EnvoyConfig::access_logger()?.upstream(upstream.address())?.ingest(receiver.address())?;
    let log_level = vec!["--component-log-level".to_owned(), "wasm:debug".to_owned()];
    let mut envoy =
        Envoy::launch(&config.plugin(&plugin), &Launch { arguments: log_level, ..Launch::default() })?;
    let mut traffic = Traffic { state: series, routes: arguments.names };
    traffic.send(&envoy, fill as usize)?;
    thread::sleep(SILENCE);
    drop(receiver.take());

    let mut ticks = Vec::new();
    let (mut exported_bytes, mut exports) = (0, 0);
    for _ in 0..arguments.bursts {
        let before = busy(&envoy.log()).len();
        traffic.send(&envoy, BURST)?;
        let begun = busy(&envoy.log()).len().max(before);
        thread::sleep(SILENCE);
        ticks.push(longest(&busy(&envoy.log()), begun));
        let captured = receiver.take();
        exported_bytes += captured.iter().map(|request| request.body.len()).sum::<usize>();
        exports += captured.len();
    }
    ticks.sort_unstable();
    Ok(Measured { resident_bytes: envoy.process().resident_bytes()?, ticks, exported_bytes, exports })
}

/// By line of Envoy's log about the statistics of a worker: its thread, and the nanoseconds that it was busy so far.
fn busy(log: &str) -> Vec<(&str, u64)> {
    let read = |line| {
        let (head, rest) = str::split_once(line, "busy_ns: ")?;
        let thread = head.split(['[', ']']).nth(3)?;
        Some((thread, rest.split(',').next()?.parse().ok()?))
    };
    log.lines().filter_map(read).collect()
}

/// The longest time in microseconds between two lines of one worker, of those from `begun` on. A line is written before the
/// tick that writes it has ended, so that the next one has its time.
fn longest(lines: &[(&str, u64)], begun: usize) -> u64 {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut longest = 0;
    for (thread, busy_ns) in lines.iter().skip(begun) {
        if let Some(before) = last.insert(thread, *busy_ns) {
            longest = longest.max(busy_ns.saturating_sub(before) / 1_000);
        }
    }
    longest
}

/// Requests under Zipf laws.
struct Traffic {
    state: u64,
    routes: usize,
}

impl Traffic {
    fn unit(&mut self) -> f64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn rank(&mut self, names: usize) -> usize {
        ((names as f64 + 1.0).powf(self.unit()) - 1.0) as usize % names
    }

    fn request(&mut self) -> Request {
        let (consumer, route) = (self.rank(CONSUMERS), self.rank(self.routes));
        let status = STATUSES[self.rank(STATUSES.len())];
        let letter = |number: usize| char::from(b'a' + (number % 26) as u8);
        let name: String = [route / 676, route / 26, route].into_iter().map(letter).collect();
        // A route that has answered with 404 alone would be unknown.
        let status = if status == 404 { 400 } else { status };
        Request::get(format!("/catalogue/of-{name}?status={status}"))
            .header("x-consumer-id", format!("consumer-{consumer}"))
    }

    /// Sends so many over all connections.
    fn send(&mut self, envoy: &Envoy, requests: usize) -> Result<()> {
        let requests: Vec<Request> = (0..requests).map(|_| self.request()).collect();
        let address = envoy.address();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let mut own = requests.iter().skip(client).step_by(CLIENTS);
                    scope.spawn(move || {
                        let mut connection = Connection::open(address)?;
                        own.try_for_each(|request| connection.request(request).map(drop))
                    })
                })
                .collect();
            for client in clients {
                client.join().unwrap_or_else(|_| Err(Error::Unexpected("a client panicked".to_owned())))?;
            }
            Ok(())
        })
    }
}

fn caps(text: &str) -> std::result::Result<(u64, u64), String> {
    let (series, routes) = text.split_once(':').ok_or("write series:routes, for example 10000:2000")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    Ok((number(series)?, number(routes)?))
}
