//! `gatelens-bench`: CPU time per request that gatelens adds to Envoy, beside no filter and the SDK's no-op.
//!
//! One Envoy per variant with one worker; rounds are interleaved, so that a machine that gets slower does so for
//! all. CPU time is that of the whole process, ticks and exports included. Compare ratios, not microseconds: those
//! are this machine's.

mod alternatives;
mod chart;
mod cpus;
mod gateway;
mod h2load;
mod latency;
mod load;
mod profile;
mod report;
mod rounds;
mod stats;
mod table;
mod tables;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use gatelens_demo::shop;
use gatelens_testkit::{Result, Upstream};

use crate::cpus::Cpus;
use crate::report::Report;
use crate::rounds::Bench;

#[derive(Parser)]
#[command(
    about = "CPU time per request that gatelens adds to Envoy, beside no filter and the SDK's no-op filter"
)]
struct Options {
    /// What is measured, separated by commas
    #[arg(long, env = "TABLES", value_delimiter = ',', default_value = "requests,bodies,sizes")]
    tables: Vec<Table>,
    /// Measured rounds at the least; one more warms up
    #[arg(long, env = "ROUNDS", default_value_t = 5)]
    rounds: usize,
    /// Rounds go on until no ratio is more uncertain than this, percent of the ratio
    #[arg(long, env = "PRECISION", default_value_t = 10.0)]
    precision: f64,
    /// Measured rounds at the most
    #[arg(long, env = "MOST_ROUNDS", default_value_t = 40)]
    most_rounds: usize,
    /// Requests per variant, kind and round; half as many, or fewer, where there are bodies
    #[arg(long, env = "REQUESTS", default_value_t = 4_000)]
    requests: usize,
    /// Another module of gatelens, measured beside this one in the same rounds
    #[arg(long, env = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Directory to write benchmarks.md and img/benchmarks.svg to
    #[arg(long, env = "REPORT")]
    report: Option<PathBuf>,
    /// Keep-alive connections
    #[arg(long, env = "CONNECTIONS", default_value_t = 4)]
    connections: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// What gatelens costs by what it does, over HTTP/1.1 and HTTP/2, beside Envoy's own access logs and Lua; needs h2load
    Alternatives,
    /// Requests without bodies, answered by Envoy itself and by an upstream
    Requests,
    /// Requests and answers with bodies of some kilobytes
    Bodies,
    /// Redaction by the size of the body and the number of rules
    Sizes,
    /// This module against the one given as baseline, and nothing else: many rounds tell a small difference from zero
    Modules,
    /// Requests per second at saturation, and durations at half of that; needs h2load
    Latency,
    /// Where the CPU time of a request goes: Envoy, Wasm, kernel, libc; needs perf
    Profile,
}

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
    let cpus = Cpus::divide()?;
    eprintln!("{cpus}");
    // Threads started from here on inherit it.
    cpus.keep_off()?;
    // The shop, because some loads measure its answers' bodies.
    let upstream = Upstream::start_with((Ipv4Addr::LOCALHOST, 0).into(), shop::answer)?;
    let bench = Bench {
        rounds: options.rounds,
        most_rounds: options.most_rounds.max(options.rounds),
        precision: options.precision / 100.0,
        connections: options.connections,
        upstream: upstream.address(),
        baseline: options.baseline.as_deref(),
        cpus: &cpus,
    };
    let (mut report, requests) = (Report::default(), options.requests);
    for table in &options.tables {
        match table {
            Table::Alternatives => {
                report.compare("Beside what Envoy offers", tables::alternatives(&bench, requests)?);
            }
            Table::Requests => report.compare("Requests without bodies", tables::requests(&bench, requests)?),
            Table::Bodies => report.compare("Bodies", tables::bodies(&bench, requests / 2)?),
            Table::Sizes => report.add("Bodies by size", &tables::sizes(&bench, requests / 2)?),
            Table::Modules => report.add("Two modules", &tables::modules(&bench, requests)?),
            Table::Latency => report.add("Throughput and latency", &tables::latency(&bench)?),
            Table::Profile => report.add("Where the time goes", &tables::profile(&bench, requests * 4)?),
        }
    }
    let setting = format!("{cpus}. {} rounds or more.", options.rounds);
    println!("CPU time of the Envoy process per request, medians (95 % intervals). {setting}");
    match &options.report {
        Some(directory) => report.write(directory, &setting),
        None => Ok(()),
    }
}
