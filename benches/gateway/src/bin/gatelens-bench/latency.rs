//! Throughput at saturation, and how long requests take at half of it.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use gatelens_testkit::Result;

use crate::gateway::Gateway;
use crate::h2load::{self, Fixed, Protocol};
use crate::rounds::Bench;
use crate::stats::{Estimate, median, quantile, ratio, typical};
use crate::table::around;

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

/// Saturation and latency over both protocols, with the first gateway as the base line. All gateways are sent the same rate: half
/// of what the slowest manages.
///
/// # Errors
/// Where a request fails.
pub(crate) fn measure(bench: &Bench<'_>, gateways: &[Gateway]) -> Result<String> {
    let tables = [Protocol::Http1, Protocol::Http2].map(|protocol| over(bench, gateways, protocol));
    Ok(tables.into_iter().collect::<Result<Vec<_>>>()?.join("\n"))
}

fn over(bench: &Bench<'_>, gateways: &[Gateway], protocol: Protocol) -> Result<String> {
    let saturate = |gateway: &Gateway| {
        thread::sleep(PAUSE);
        h2load::saturate(gateway.envoy.address(), protocol, PATH, SECONDS, bench.connections)
    };
    eprintln!("{}: warming up …", protocol.name());
    let first = gateways.iter().map(saturate).collect::<Result<Vec<_>>>()?;
    let half = first.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
    let log = std::env::temp_dir().join(format!("gatelens-bench-{}.log", std::process::id()));
    let load = Fixed { rate: half, seconds: SECONDS, connections: bench.connections, log: &log };
    let mut figures: Vec<Figures> = gateways.iter().map(|_| Figures::default()).collect();
    for round in 0..bench.rounds {
        eprintln!("{}: round {} of {} …", protocol.name(), round + 1, bench.rounds);
        for turn in 0..gateways.len() {
            let index = (round + turn) % gateways.len();
            let (gateway, figures) = (&gateways[index], &mut figures[index]);
            figures.rate.push(saturate(gateway)?);
            thread::sleep(PAUSE);
            let durations = h2load::durations(gateway.envoy.address(), protocol, PATH, &load)?;
            figures.p50.push(quantile(&durations, 0.5));
            figures.p99.push(quantile(&durations, 0.99));
            gateway.drain_bodies()?;
        }
    }
    Ok(render(protocol, half, gateways, &figures))
}

fn render(protocol: Protocol, half: f64, gateways: &[Gateway], figures: &[Figures]) -> String {
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
        let share = share.map(|Estimate { value, low, high }| format!("{value:.2} ({low:.2} … {high:.2})"));
        let _ = writeln!(
            text,
            "{:<28}{:>12.0}{:>22}{:>26}{:>28}",
            gateway.name,
            median(&row.rate),
            share.unwrap_or_default(),
            around(typical(&row.p50)),
            around(typical(&row.p99)),
        );
    }
    let _ = writeln!(text, "Half: {half:.0} requests per second for every row.");
    text
}
