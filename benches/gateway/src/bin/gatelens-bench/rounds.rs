//! Interleaved rounds: each load goes to each gateway in turn, and each round begins with another gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gatelens_testkit::Result;

use crate::cpus::Cpus;
use crate::gateway::Gateway;
use crate::load::Load;
use crate::table::Comparison;

/// After the load: long enough for what was gathered to be merged and sent, which belongs to the price.
const SETTLE: Duration = Duration::from_millis(1500);

/// What all tables share.
pub(crate) struct Bench<'a> {
    /// Measured rounds at the least; one more warms up.
    pub(crate) rounds: usize,
    /// Measured rounds at the most.
    pub(crate) most_rounds: usize,
    /// Rounds go on until no ratio is more uncertain than this share of it.
    pub(crate) precision: f64,
    pub(crate) connections: usize,
    pub(crate) upstream: SocketAddr,
    /// Another module of gatelens to compare with.
    pub(crate) baseline: Option<&'a Path>,
    pub(crate) cpus: &'a Cpus,
}

/// What one load cost one gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// CPU time per request, µs, one figure per round.
    pub(crate) micros: Vec<f64>,
    /// Bodies that reached the receiver, per request over all rounds.
    pub(crate) bodies: f64,
}

/// A load whose effects are waited for.
struct Settling {
    gateway: usize,
    before: Duration,
    due: Instant,
}

/// The costs by load and gateway.
///
/// # Errors
/// The first request that fails, or figure that cannot be read.
pub(crate) fn measure(bench: &Bench<'_>, gateways: &mut [Gateway], loads: &[Load]) -> Result<Vec<Vec<Cost>>> {
    let mut costs = vec![vec![Cost::default(); gateways.len()]; loads.len()];
    eprintln!("warming up …");
    for load in loads {
        pass(bench, gateways, load, 0)?;
    }
    let mut measured = 0;
    while measured < bench.rounds || (measured < bench.most_rounds && uncertainty(&costs) > bench.precision) {
        measured += 1;
        eprintln!("round {measured}, {} at the least …", bench.rounds);
        for (load, costs) in loads.iter().zip(&mut costs) {
            for (cost, figures) in costs.iter_mut().zip(pass(bench, gateways, load, measured)?) {
                cost.micros.push(figures.micros);
                cost.bodies += figures.bodies;
            }
        }
    }
    costs.iter_mut().flatten().for_each(|cost| cost.bodies /= measured.max(1) as f64);
    Ok(costs)
}

/// How uncertain the most uncertain ratio of all loads is.
fn uncertainty(costs: &[Vec<Cost>]) -> f64 {
    let comparisons = costs.iter().map(|costs| Comparison::new("", &vec![""; costs.len()], costs));
    comparisons.map(|comparison| comparison.uncertainty()).fold(0.0, f64::max)
}

#[derive(Clone, Copy, Default)]
struct Figures {
    micros: f64,
    bodies: f64,
}

/// One load on each gateway. While one settles, the next is at work: the CPU time is each one's own.
fn pass(bench: &Bench<'_>, gateways: &mut [Gateway], load: &Load, round: usize) -> Result<Vec<Figures>> {
    let count = gateways.len();
    let mut figures = vec![Figures::default(); count];
    let mut settling: Vec<Settling> = Vec::new();
    for turn in 0..count {
        let gateway = (round + turn) % count;
        let before = gateways[gateway].cpu_time()?;
        load.run(gateways[gateway].envoy.address(), bench.connections)?;
        settling.push(Settling { gateway, before, due: Instant::now() + SETTLE });
        for settled in settling.extract_if(.., |each| each.due <= Instant::now()) {
            figures[settled.gateway] = read(&mut gateways[settled.gateway], settled.before, load)?;
        }
    }
    for last in settling {
        thread::sleep(last.due.saturating_duration_since(Instant::now()));
        figures[last.gateway] = read(&mut gateways[last.gateway], last.before, load)?;
    }
    Ok(figures)
}

fn read(gateway: &mut Gateway, before: Duration, load: &Load) -> Result<Figures> {
    let spent = gateway.cpu_time()?.saturating_sub(before);
    let requests = load.requests as f64;
    Ok(Figures {
        micros: spent.as_secs_f64() * 1e6 / requests,
        bodies: gateway.drain_bodies()? as f64 / requests,
    })
}
