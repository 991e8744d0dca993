//! Throughput at saturation, and how long requests take at half of it.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use gatelens_testkit::Result;

use crate::gateway::Gateway;
use crate::h2load::{self, Fixed, Protocol};
use crate::pace::Pace;
use crate::rounds::Bench;
use crate::stats::{median, quantile, ratio, typical};
use crate::table::{around, around_ratio};

/// Envoy's own answers: with an upstream, load and upstream together would need more than Envoy.
const PATH: &str = "/direct/items/1?bytes=512";

/// Each measurement lasts this long.
const SECONDS: usize = 2;

/// The exports of one measurement end before the next.
const PAUSE: Duration = Duration::from_millis(500);

/// What one gateway did, one figure per round.
#[derive(Default)]
struct Figures {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// One protocol.
struct Run {
    protocol: Protocol,
    /// Requests per second in the measurement of latency.
    half: f64,
    figures: Vec<Figures>,
}

/// Saturation and latency over both protocols, with the first gateway as the base line. All gateways are sent the same rate: half
/// of what the slowest manages.
///
/// # Errors
/// Where a request fails.
pub(crate) fn measure(bench: &Bench<'_>, gateways: &[Gateway]) -> Result<String> {
    let log = std::env::temp_dir().join(format!("gatelens-bench-{}.log", std::process::id()));
    let mut runs = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        eprintln!("{}: warming up …", protocol.name());
        let rates = gateways.iter().map(|gateway| saturate(bench, gateway, protocol));
        let slowest = rates.collect::<Result<Vec<_>>>()?.into_iter().fold(f64::INFINITY, f64::min);
        let figures = gateways.iter().map(|_| Figures::default()).collect();
        runs.push(Run { protocol, half: slowest / 2.0, figures });
    }
    let mut pace = Pace::start(bench);
    let mut round = 0;
    while pace.another(|| bench.end.is_some()) {
        for run in &mut runs {
            let load = Fixed { rate: run.half, seconds: SECONDS, connections: bench.connections, log: &log };
            for turn in 0..gateways.len() {
                let index = (round + turn) % gateways.len();
                let (gateway, figures) = (&gateways[index], &mut run.figures[index]);
                figures.rate.push(saturate(bench, gateway, run.protocol)?);
                thread::sleep(PAUSE);
                let durations = h2load::durations(gateway.envoy.address(), run.protocol, PATH, &load)?;
                figures.p50.push(quantile(&durations, 0.5));
                figures.p99.push(quantile(&durations, 0.99));
                gateway.drain_bodies()?;
            }
        }
        round += 1;
    }
    let tables: Vec<String> = runs.iter().map(|run| render(run, gateways)).collect();
    Ok(tables.join("\n") + &format!("{round} rounds of {SECONDS} s each.\n"))
}

fn saturate(bench: &Bench<'_>, gateway: &Gateway, protocol: Protocol) -> Result<f64> {
    thread::sleep(PAUSE);
    h2load::saturate(gateway.envoy.address(), protocol, PATH, SECONDS, bench.connections)
}

fn render(Run { protocol, half, figures }: &Run, gateways: &[Gateway]) -> String {
    let mut text = format!(
        "{:<28}{:>12}{:>22}{:>26}{:>28}\n",
        protocol.name(),
        "requests/s",
        "÷ no filter",
        "p50 at half, µs",
        "p99 at half, µs"
    );
    for (gateway, row) in gateways.iter().zip(figures) {
        let share = figures.first().map(|base| ratio(&row.rate, &base.rate));
        let _ = writeln!(
            text,
            "{:<28}{:>12.0}{:>22}{:>26}{:>28}",
            gateway.name,
            median(&row.rate),
            share.map(around_ratio).unwrap_or_default(),
            around(typical(&row.p50)),
            around(typical(&row.p99)),
        );
    }
    let _ = writeln!(text, "Half: {half:.0} requests per second for every row.");
    text
}
