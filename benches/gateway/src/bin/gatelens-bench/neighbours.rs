//! How long small requests take while others of the same worker upload large bodies.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use gatelens_bench_redact::orders;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Error, Result};

use crate::gateway::Gateway;
use crate::pace::Pace;
use crate::rounds::Bench;
use crate::stats::{pooled, typical};
use crate::table::around;

/// Uploads at a time: each client sends the next one when the last one is answered.
const UPLOADERS: usize = 4;

/// Of an upload. A little below the largest `capture.max_body_bytes`.
const UPLOAD_BYTES: usize = 970_000;

/// Small requests are sent at fixed times, whatever the last one took, over so many connections.
const CLIENTS: u32 = 8;

/// Between two small requests.
const INTERVAL: Duration = Duration::from_millis(4);

/// How long one gateway is measured in a round.
const SPAN: Duration = Duration::from_secs(4);

/// After a gateway's turn: long enough for what was gathered to be sent.
const SETTLE: Duration = Duration::from_millis(1500);

/// What one gateway did, one figure per round.
#[derive(Default)]
struct Figures {
    /// Durations of small requests from the time at which they were due, ms.
    small: Vec<Vec<f64>>,
    /// Uploads per second.
    uploads: Vec<f64>,
    /// Share of the uploads whose body is in the log.
    logged: Vec<f64>,
}

/// Small requests beside uploads, with the first gateway as the base line.
///
/// # Errors
/// The first request that fails.
pub(crate) fn measure(bench: &Bench<'_>, gateways: &[Gateway]) -> Result<String> {
    let upload = Request::post("/status/200", orders(UPLOAD_BYTES))
        .header("content-type", "application/json")
        .header("x-consumer-id", "uploader");
    eprintln!("warming up …");
    for gateway in gateways {
        Connection::open(gateway.envoy.address())?.request(&upload)?;
        gateway.drain_bodies()?;
    }
    let mut figures: Vec<Figures> = gateways.iter().map(|_| Figures::default()).collect();
    let mut pace = Pace::start(bench);
    let mut round = 0;
    while pace.another(|| bench.end.is_some()) {
        for turn in 0..gateways.len() {
            let index = (round + turn) % gateways.len();
            let (gateway, figures) = (&gateways[index], &mut figures[index]);
            let (small, uploads) = beside(gateway.envoy.address(), &upload)?;
            thread::sleep(SETTLE);
            figures.small.push(small);
            figures.uploads.push(uploads as f64 / SPAN.as_secs_f64());
            figures.logged.push(gateway.drain_bodies()? as f64 / uploads.max(1) as f64);
        }
        round += 1;
    }
    Ok(render(gateways, &figures, round))
}

/// The durations of small requests in milliseconds, and the number of uploads that were answered meanwhile.
fn beside(address: SocketAddr, upload: &Request) -> Result<(Vec<f64>, usize)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let uploaders: Vec<_> =
            (0..UPLOADERS).map(|_| scope.spawn(|| uploads_until(&over, address, upload))).collect();
        let begun = Instant::now();
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || small_requests(address, begun, client))).collect();
        let small: Result<Vec<Vec<f64>>> = clients.into_iter().map(joined).collect();
        over.store(true, Ordering::Relaxed);
        let uploads: Result<Vec<usize>> = uploaders.into_iter().map(joined).collect();
        Ok((small?.concat(), uploads?.into_iter().sum()))
    })
}

fn uploads_until(over: &AtomicBool, address: SocketAddr, upload: &Request) -> Result<usize> {
    let mut connection = Connection::open(address)?;
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        succeeded(connection.request(upload)?.status)?;
        answered += 1;
    }
    Ok(answered)
}

/// Every eighth of the small requests.
fn small_requests(address: SocketAddr, begun: Instant, client: u32) -> Result<Vec<f64>> {
    let mut connection = Connection::open(address)?;
    let request = Request::get("/direct/items/1").header("x-consumer-id", "neighbour");
    let mut durations = Vec::new();
    let mut due = begun + INTERVAL * client;
    while due < begun + SPAN {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        succeeded(connection.request(&request)?.status)?;
        durations.push(due.elapsed().as_secs_f64() * 1e3);
        due += INTERVAL * CLIENTS;
    }
    Ok(durations)
}

fn succeeded(status: u16) -> Result<()> {
    match status {
        200..300 => Ok(()),
        _ => Err(Error::Unexpected(format!("a request beside uploads was answered with {status}"))),
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::Unexpected("a load thread panicked".to_owned())))
}

fn render(gateways: &[Gateway], figures: &[Figures], rounds: usize) -> String {
    let mut text = format!(
        "{:<28}{:>24}{:>24}{:>24}{:>24}{:>8}\n",
        "small requests", "p50, ms", "p99, ms", "p99.9, ms", "uploads/s", "logged"
    );
    for (gateway, row) in gateways.iter().zip(figures) {
        let _ = writeln!(
            text,
            "{:<28}{:>24}{:>24}{:>24}{:>24}{:>6.0} %",
            gateway.name,
            around(pooled(&row.small, 0.5)),
            around(pooled(&row.small, 0.99)),
            around(pooled(&row.small, 0.999)),
            around(typical(&row.uploads)),
            typical(&row.logged).value * 100.0,
        );
    }
    let small: usize = figures.iter().flat_map(|row| &row.small).map(Vec::len).sum();
    let _ = write!(
        text,
        "{UPLOADERS} clients upload {} KB of JSON each without a pause to one worker. Small requests are Envoy's own answers,\n\
         one every {} ms, and their time begins when they are due. {rounds} rounds of {} s, {} small requests for each row.\n\
         Last: the share of the uploads whose redacted body is in the log; the others are left out as `overload`.\n",
        UPLOAD_BYTES / 1_000,
        INTERVAL.as_millis(),
        SPAN.as_secs(),
        small / figures.len().max(1),
    );
    text
}
