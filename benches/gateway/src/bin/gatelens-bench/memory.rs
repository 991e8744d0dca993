//! What a worker's virtual machine takes to start, and its memory at start and after many requests.

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use gatelens_testkit::{Envoy, EnvoyConfig, Launch, Receiver, Result};

use crate::h2load::{self, Protocol};
use crate::pace::{Pace, end_of_first};
use crate::rounds::Bench;
use crate::stats::typical;
use crate::table::around;

/// Workers of the larger Envoy; the smaller one has one worker.
const MANY: u32 = 5;

/// The variants whose memory after many requests is of no interest: without a filter, and the no-op filter.
const YARDSTICKS: usize = 2;

/// The requests are sent in so many portions.
const PORTIONS: usize = 20;

/// Time for the first exports.
const SETTLE: Duration = Duration::from_secs(1);

/// Envoy's own answers.
const PATH: &str = "/direct/items/1?bytes=512";

/// An Envoy that has just started.
struct Started {
    envoy: Envoy,
    _receiver: Receiver,
    served_after: Duration,
    cpu_time: Duration,
    resident_bytes: u64,
}

/// What a variant took, one figure per round.
#[derive(Default)]
struct Figures {
    served_ms: Vec<f64>,
    worker_ms: Vec<f64>,
    worker_kb: Vec<f64>,
    linear_kb: Vec<f64>,
}

/// Start-up and memory, and memory after `requests` requests to one worker.
///
/// # Errors
/// Where an Envoy does not start, or a request fails.
pub(crate) fn measure(bench: &Bench<'_>, requests: usize) -> Result<String> {
    let variants = [
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, access logger", EnvoyConfig::access_logger()?),
        ("gatelens, HTTP filter", EnvoyConfig::http_filter()?),
    ];
    let mut later = String::new();
    for (index, (name, config)) in variants.iter().enumerate().skip(YARDSTICKS) {
        // Half of the time is for the requests, the rest for the rounds.
        let weights = [1.0, (variants.len() + 1 - index) as f64];
        let end = bench.end.map(|end| end_of_first(&weights, end));
        let _ = writeln!(later, "{name}: {}.", grown_by(bench, config, requests, end)?);
    }
    let mut figures: Vec<Figures> = variants.iter().map(|_| Figures::default()).collect();
    let mut pace = Pace::start(bench);
    let mut rounds = 0;
    while pace.another(|| bench.end.is_some()) {
        for ((_, config), figures) in variants.iter().zip(&mut figures) {
            let mut one = start(bench, config, 1)?;
            let linear = one.envoy.process().linear_memories()?;
            let (served, cpu_time, resident) = (one.served_after, one.cpu_time, one.resident_bytes);
            drop(one);
            let many = start(bench, config, MANY)?;
            let each = |more: f64| more / f64::from(MANY - 1);
            figures.served_ms.push(served.as_secs_f64() * 1e3);
            figures.worker_ms.push(each((many.cpu_time.as_secs_f64() - cpu_time.as_secs_f64()) * 1e3));
            figures.worker_kb.push(each((many.resident_bytes as f64 - resident as f64) / 1024.0));
            figures.linear_kb.push(linear.into_iter().max().unwrap_or(0) as f64 / 1024.0);
        }
        rounds += 1;
    }
    let mut text = format!(
        "{:<26}{:>26}{:>24}{:>28}{:>14}\n",
        "", "until Envoy serves, ms", "a worker more, CPU ms", "a worker more, KB resident", "linear KB"
    );
    for ((name, _), row) in variants.iter().zip(&figures) {
        let _ = writeln!(
            text,
            "{name:<26}{:>26}{:>24}{:>28}{:>14.0}",
            around(typical(&row.served_ms)),
            around(typical(&row.worker_ms)),
            around(typical(&row.worker_kb)),
            typical(&row.linear_kb).value,
        );
    }
    let _ = write!(
        text,
        "{rounds} rounds. A worker more: the difference between {MANY} workers and one, for each. Linear: the largest linear memory\n\
         of a virtual machine.\n{later}",
    );
    Ok(text)
}

/// What an Envoy of one worker grows by in so many requests, or in as many as are answered before the end.
fn grown_by(
    bench: &Bench<'_>,
    config: &EnvoyConfig,
    requests: usize,
    end: Option<Instant>,
) -> Result<String> {
    let mut started = start(bench, config, 1)?;
    let portion = (requests / PORTIONS).max(1);
    let mut sent = 0;
    while sent < requests && (sent == 0 || end.is_none_or(|end| Instant::now() < end)) {
        h2load::requests(started.envoy.address(), Protocol::Http2, PATH, portion, bench.connections)?;
        sent += portion;
    }
    let process = started.envoy.process();
    let grown = process.resident_bytes()?.saturating_sub(started.resident_bytes) / 1024;
    let linear = process.linear_memories()?.into_iter().max().unwrap_or(0) / 1024;
    Ok(format!(
        "{grown} KB more resident after {sent} requests to one worker, and {linear} KB of linear memory then"
    ))
}

fn start(bench: &Bench<'_>, config: &EnvoyConfig, workers: u32) -> Result<Started> {
    let receiver = Receiver::start()?;
    let config = config.clone().upstream(bench.upstream)?.ingest(receiver.address())?;
    let begun = Instant::now();
    let mut envoy = Envoy::launch(&config, &Launch { concurrency: workers, ..Launch::default() })?;
    let served_after = begun.elapsed();
    bench.cpus.give(&mut envoy)?;
    thread::sleep(SETTLE);
    let (cpu_time, resident_bytes) = (envoy.process().cpu_time()?, envoy.process().resident_bytes()?);
    Ok(Started { envoy, _receiver: receiver, served_after, cpu_time, resident_bytes })
}
