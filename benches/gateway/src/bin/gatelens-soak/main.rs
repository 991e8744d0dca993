//! `gatelens-soak`: traffic for as long as asked, with the memory of Envoy and of the service at intervals.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Error, FaultProxy, Ingest, Result, Upstream};
use serde_json::Value;

#[derive(Parser)]
#[command(about = "Traffic with memory readings of Envoy and of the service")]
struct Arguments {
    /// How long: a number with s, m or h
    #[arg(long, env = "DURATION", default_value = "10m", value_parser = duration)]
    duration: Duration,
    /// Time between two readings
    #[arg(long, env = "EVERY", default_value = "30s", value_parser = duration)]
    every: Duration,
    /// Requests per second; 0 is as fast as possible
    #[arg(long, env = "RATE", default_value_t = 0.0)]
    rate: f64,
    /// Share of the requests to the ingest that fail, in percent
    #[arg(long, env = "FAULTS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    faults: u8,
}

/// Connections, each with a thread of its own.
const CLIENTS: usize = 8;

fn main() -> ExitCode {
    match soak(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens-soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments) -> Result<()> {
    let (upstream, mut ingest) = (Upstream::start()?, Ingest::start()?);
    let proxy = FaultProxy::start(ingest.address())?;
    if let Some(passes) = 100usize.checked_div(arguments.faults.into()) {
        proxy.disturb(1, passes.saturating_sub(1));
    }
    let config = EnvoyConfig::http_filter()?.upstream(upstream.address())?.ingest(proxy.address())?;
    let mut envoy = Envoy::start(&config)?;
    let address = envoy.address();

    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (stop, sent) = (&stop, &sent);
                scope.spawn(move || send(address, client, arguments.rate / CLIENTS as f64, stop, sent))
            })
            .collect();
        let watched = watch(arguments, &mut envoy, &mut ingest, &sent);
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap_or_else(|_| Err(Error::Unexpected("a client panicked".to_owned())))?;
        }
        watched
    })
}

/// One line for each interval.
fn watch(arguments: &Arguments, envoy: &mut Envoy, ingest: &mut Ingest, sent: &AtomicU64) -> Result<()> {
    println!(
        "{:>8} {:>12} {:>8} {:>10} {:>11} {:>10} {:>10}",
        "time", "requests", "per s", "Envoy MB", "ingest MB", "log held", "dropped"
    );
    let start = Instant::now();
    let mut before = 0;
    while start.elapsed() < arguments.duration {
        thread::sleep(arguments.every.min(arguments.duration.saturating_sub(start.elapsed())));
        let now = sent.load(Ordering::Relaxed);
        let gateways = ingest.get_json("/api/v1/gateways")?;
        let held = gateways["rows"][0]["held"].as_u64().unwrap_or_default();
        let dropped = gateways["rows"][0]["dropped"].as_object();
        let dropped: u64 =
            dropped.into_iter().flat_map(|reasons| reasons.values()).filter_map(Value::as_u64).sum();
        println!(
            "{:>7}s {:>12} {:>8.0} {:>10.1} {:>11.1} {:>10} {:>10}",
            start.elapsed().as_secs(),
            now,
            (now - before) as f64 / arguments.every.as_secs_f64(),
            megabytes(envoy.process().resident_bytes()?),
            megabytes(ingest.process().resident_bytes()?),
            held,
            dropped,
        );
        before = now;
    }
    Ok(())
}

fn send(address: SocketAddr, client: usize, rate: f64, stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let pause = if rate > 0.0 { Duration::from_secs_f64(1.0 / rate) } else { Duration::ZERO };
    for number in 0u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let target = match number % 5 {
            0 => "/direct".to_owned(),
            1 => format!("/users/{number}?bytes=512&sleep=0&status=200"),
            2 => "/bytes/2000".to_owned(),
            3 => format!("/orders/{number}?bytes=100&sleep=0&status=201"),
            _ => "/status/404".to_owned(),
        };
        let consumer = format!("consumer-{}", (number + client as u64) % 40);
        connection.request(&Request::get(target).header("x-consumer-id", consumer))?;
        sent.fetch_add(1, Ordering::Relaxed);
        thread::sleep(pause);
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a duration: write 90s, 10m or 2h");
    let (number, seconds) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "s")) => (number, 1),
        Some((number, "m")) => (number, 60),
        Some((number, "h")) => (number, 3_600),
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = Duration::from_secs(number.saturating_mul(seconds));
    if duration.is_zero() { Err(wrong()) } else { Ok(duration) }
}
