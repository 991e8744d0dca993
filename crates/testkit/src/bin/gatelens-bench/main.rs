//! `gatelens-bench`: what gatelens costs Envoy, as CPU time per request beside no filter and the SDK's no-op.
//!
//! One Envoy per variant with one worker; rounds are interleaved, so that a machine that gets slower does so for
//! all. CPU time is that of the whole process, ticks and exports included. Compare ratios, not microseconds: those
//! are this machine's.

mod load;
mod table;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use gatelens_testkit::{Envoy, EnvoyConfig, Error, Launch, Receiver, Result, Upstream};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::table::Series;

/// After the load: long enough for what was gathered to be merged and sent, which belongs to the price.
const SETTLE: Duration = Duration::from_millis(1500);

#[derive(Parser)]
#[command(
    about = "CPU time per request that gatelens adds to Envoy, beside no filter and the SDK's no-op filter"
)]
struct Options {
    /// Measured rounds; one more warms up
    #[arg(long, env = "ROUNDS", default_value_t = 5)]
    rounds: usize,
    /// Requests per variant, kind and round
    #[arg(long, env = "REQUESTS", default_value_t = 10_000)]
    requests: usize,
    /// Keep-alive connections
    #[arg(long, env = "CONNECTIONS", default_value_t = 4)]
    connections: usize,
}

/// What is measured: answers of Envoy's own, and answers of an upstream.
const KINDS: [(&str, &str); 2] = [("direct response", "/direct/items/"), ("proxied", "/v1/items/")];

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let upstream = Upstream::start()?;
    let receiver = Receiver::start()?;
    let variants: [(&str, EnvoyConfig); 4] = [
        ("no filter", EnvoyConfig::plain()?),
        ("SDK no-op filter", EnvoyConfig::noop()?),
        ("gatelens, HTTP filter", EnvoyConfig::http_filter()?),
        ("gatelens, access logger", EnvoyConfig::access_logger()?),
    ];
    let launch = Launch { concurrency: 1, ..Launch::default() };
    let mut gateways = Vec::new();
    for (name, config) in variants {
        let config = config.upstream(upstream.address())?.ingest(receiver.address())?;
        gateways.push((name, Envoy::launch(&config, &launch)?));
    }
    eprintln!("{}", pin(&mut gateways)?);

    let mut series = vec![vec![Series::default(); gateways.len()]; KINDS.len()];
    for round in 0..=options.rounds {
        match round {
            0 => eprintln!("warming up …"),
            _ => eprintln!("round {round} of {} …", options.rounds),
        }
        let count = gateways.len();
        for turn in 0..count {
            // Each round begins with another one.
            let index = (round + turn) % count;
            for (kind, (_, path)) in KINDS.iter().enumerate() {
                let micros = measure(&mut gateways[index].1, path, options)?;
                if round > 0 {
                    series[kind][index].push(micros);
                }
            }
            // Kept for tests; here it would only grow.
            drop(receiver.take());
        }
    }
    let names: Vec<&str> = gateways.iter().map(|(name, _)| *name).collect();
    for ((kind, _), columns) in KINDS.iter().zip(&series) {
        println!("{}", table::render(kind, &names, columns));
    }
    println!(
        "CPU time of the Envoy process per request, medians of {} rounds of {} requests (least … most).",
        options.rounds, options.requests
    );
    Ok(())
}

/// CPU time in µs per request.
fn measure(envoy: &mut Envoy, path: &str, options: &Options) -> Result<f64> {
    let before = envoy.process().cpu_time()?;
    load::run(envoy.address(), path, options.requests, options.connections)?;
    thread::sleep(SETTLE);
    let spent = envoy.process().cpu_time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / options.requests as f64)
}

/// Envoy on the last CPU, everything else here on the others, where there are at least two.
fn pin(gateways: &mut [(&str, Envoy)]) -> Result<String> {
    let failed = |errno: nix::Error| Error::Unexpected(format!("pinning to a CPU: {errno}"));
    let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(failed)?;
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let [others @ .., last] = cpus.as_slice() else { return Ok("no CPU to pin to".to_owned()) };
    if others.is_empty() {
        return Ok("one CPU only: Envoy and the load share it".to_owned());
    }
    let set = |cpus: &[usize]| -> Result<CpuSet> {
        let mut set = CpuSet::new();
        cpus.iter().try_for_each(|cpu| set.set(*cpu)).map_err(failed)?;
        Ok(set)
    };
    let (theirs, ours) = (set(&[*last])?, set(others)?);
    for (_, envoy) in gateways {
        for thread in envoy.process().threads()? {
            sched_setaffinity(Pid::from_raw(thread), &theirs).map_err(failed)?;
        }
    }
    // Threads started from here on inherit it; the few that run already only accept connections.
    sched_setaffinity(Pid::from_raw(0), &ours).map_err(failed)?;
    Ok(format!("Envoy is pinned to CPU {last}, load and upstream to {others:?}"))
}
