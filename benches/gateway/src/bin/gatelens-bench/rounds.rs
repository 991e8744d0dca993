//! Interleaved rounds: each load goes to each gateway in turn, and each round begins with another gateway.
//!
//! After the least number of rounds, a round measures one load, and of its gateways only the base line, the yardstick and those
//! whose ratio is still uncertain. Figures that are compared with an aim come first, then the most uncertain load.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gatelens_testkit::Result;

use crate::cpus::Cpus;
use crate::gateway::Gateway;
use crate::load::Load;
use crate::pace::Pace;
use crate::table::Comparison;
use crate::targets;

/// After the load: long enough for what was gathered to be merged and sent, which belongs to the price.
const SETTLE: Duration = Duration::from_millis(1500);

/// The gateways that every round needs: the one without a filter, and the no-op filter.
const YARDSTICKS: usize = 2;

/// What all tables share.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    /// Measured rounds at the least; one more warms up.
    pub(crate) rounds: usize,
    /// Measured rounds at the most.
    pub(crate) most_rounds: usize,
    /// Rounds go on until no ratio is more uncertain than this share of it.
    pub(crate) precision: f64,
    /// No round begins that would end after this.
    pub(crate) end: Option<Instant>,
    pub(crate) connections: usize,
    pub(crate) upstream: SocketAddr,
    /// Another module of gatelens to compare with.
    pub(crate) baseline: Option<&'a Path>,
    pub(crate) cpus: &'a Cpus,
}

/// What one load cost one gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// CPU time per request, µs, one figure per round; NaN for a round that left this gateway out.
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

/// What a round measures: a load, by its index, and gateways.
#[derive(Debug, PartialEq)]
struct Part {
    load: usize,
    gateways: Vec<usize>,
}

/// The costs by load and gateway.
///
/// # Errors
/// The first request that fails, or figure that cannot be read.
pub(crate) fn measure(bench: &Bench<'_>, gateways: &mut [Gateway], loads: &[Load]) -> Result<Vec<Vec<Cost>>> {
    let mut costs = vec![vec![Cost::default(); gateways.len()]; loads.len()];
    let all: Vec<usize> = (0..gateways.len()).collect();
    eprintln!("warming up …");
    for load in loads {
        pass(bench, gateways, &all, load, 0)?;
    }
    let names: Vec<String> = gateways.iter().map(|gateway| gateway.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let comparisons = |costs: &[Vec<Cost>]| -> Vec<Comparison> {
        loads.iter().zip(costs).map(|(load, costs)| Comparison::new(&load.name, &names, costs)).collect()
    };
    let mut pace = Pace::start(bench);
    let mut round = 0;
    // What a round at will measures is decided with whether there is one.
    let mut wanted = None;
    while pace.another(|| {
        wanted = most_wanted(&comparisons(&costs), bench.precision);
        wanted.is_some()
    }) {
        round += 1;
        let parts = match wanted.take().filter(|_| pace.is_at_will()) {
            Some(part) => vec![part],
            None => (0..loads.len()).map(|load| Part { load, gateways: all.clone() }).collect(),
        };
        for part in parts {
            let (Some(load), Some(costs)) = (loads.get(part.load), costs.get_mut(part.load)) else {
                continue;
            };
            let figures = pass(bench, gateways, &part.gateways, load, round)?;
            for (cost, figures) in costs.iter_mut().zip(figures) {
                cost.micros.push(figures.map_or(f64::NAN, |figures| figures.micros));
                cost.bodies += figures.map_or(0.0, |figures| figures.bodies);
            }
        }
    }
    for cost in costs.iter_mut().flatten() {
        cost.bodies /= cost.micros.iter().filter(|micros| micros.is_finite()).count().max(1) as f64;
    }
    Ok(costs)
}

/// The load and the gateways that need another round most. `None` when all ratios are known well enough.
fn most_wanted(comparisons: &[Comparison], precision: f64) -> Option<Part> {
    let mut wanted: Vec<(bool, f64, usize, usize)> = Vec::new();
    for (load, comparison) in comparisons.iter().enumerate() {
        for (gateway, (name, row)) in comparison.named_rows().enumerate().skip(YARDSTICKS) {
            let uncertainty = row.ratio.map_or(0.0, |ratio| ratio.uncertainty());
            // Not a number: too few rounds to know.
            if uncertainty.is_nan() || uncertainty > precision {
                wanted.push((targets::is_aimed_at(&comparison.load, &name), uncertainty, load, gateway));
            }
        }
    }
    let aimed_at = wanted.iter().any(|(aimed_at, ..)| *aimed_at);
    wanted.retain(|(aim, ..)| *aim == aimed_at);
    let (.., load, _) = wanted.iter().copied().max_by(|(_, one, ..), (_, other, ..)| one.total_cmp(other))?;
    let uncertain = wanted.iter().filter(|(.., of, _)| *of == load).map(|(.., gateway)| *gateway);
    Some(Part { load, gateways: (0..YARDSTICKS).chain(uncertain).collect() })
}

#[derive(Clone, Copy, Default)]
struct Figures {
    micros: f64,
    bodies: f64,
}

/// One load on some gateways. While one settles, the next is at work: the CPU time is each one's own.
fn pass(
    bench: &Bench<'_>,
    gateways: &mut [Gateway],
    chosen: &[usize],
    load: &Load,
    round: usize,
) -> Result<Vec<Option<Figures>>> {
    let mut figures = vec![None; gateways.len()];
    let mut settling: Vec<Settling> = Vec::new();
    for turn in 0..chosen.len() {
        let gateway = chosen[(round + turn) % chosen.len()];
        let before = gateways[gateway].cpu_time()?;
        load.run(gateways[gateway].envoy.address(), bench.connections)?;
        settling.push(Settling { gateway, before, due: Instant::now() + SETTLE });
        for settled in settling.extract_if(.., |each| each.due <= Instant::now()) {
            figures[settled.gateway] = Some(read(&mut gateways[settled.gateway], settled.before, load)?);
        }
    }
    for last in settling {
        thread::sleep(last.due.saturating_duration_since(Instant::now()));
        figures[last.gateway] = Some(read(&mut gateways[last.gateway], last.before, load)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] =
        ["no filter", "SDK no-op filter", "gatelens, access logger", "… counters only", "Envoy's Lua filter"];

    /// A load whose variants scatter by these shares of what they add.
    fn comparison(load: &str, scatter: [f64; 3]) -> Comparison {
        let series = |added: f64, scatter: f64| Cost {
            micros: (0..12).map(|round| 50.0 + added * (1.0 + scatter * f64::from(round % 3 - 1))).collect(),
            bodies: 0.0,
        };
        let [logger, counters, lua] = scatter;
        let costs = [
            series(0.0, 0.0),
            series(10.0, 0.0),
            series(20.0, logger),
            series(15.0, counters),
            series(9.0, lua),
        ];
        Comparison::new(load, &NAMES, &costs)
    }

    #[test]
    fn figures_with_an_aim_get_their_rounds_first() {
        let loads = [comparison("HTTP/2, proxied", [0.9; 3]), comparison(targets::PROXIED, [0.0, 0.5, 0.9])];
        assert_eq!(most_wanted(&loads, 0.1), Some(Part { load: 1, gateways: vec![0, 1, 3] }));
    }

    #[test]
    fn then_the_most_uncertain_load_gets_them() {
        let loads = [
            comparison("HTTP/2, proxied", [0.3, 0.0, 0.3]),
            comparison(targets::PROXIED, [0.0, 0.0, 0.3]),
            comparison("HTTP/2, direct response", [0.0, 0.9, 0.0]),
        ];
        assert_eq!(most_wanted(&loads, 0.1), Some(Part { load: 2, gateways: vec![0, 1, 3] }));
        assert_eq!(most_wanted(&loads[..1], 0.1), Some(Part { load: 0, gateways: vec![0, 1, 2, 4] }));
        assert_eq!(most_wanted(&[comparison(targets::PROXIED, [0.0; 3])], 0.1), None);
    }
}
