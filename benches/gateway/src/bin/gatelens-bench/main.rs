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
mod memory;
mod neighbours;
mod pace;
mod profile;
mod report;
mod rounds;
mod stats;
mod table;
mod tables;
mod targets;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

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
    /// Measured rounds at the most; 40 without a limit of time, 1,000 with one
    #[arg(long, env = "MOST_ROUNDS")]
    most_rounds: Option<usize>,
    /// Minutes for all tables together: each gets a share, and ends with what it has
    #[arg(long, env = "MINUTES")]
    minutes: Option<f64>,
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
    /// The access logger by the number of records in a batch
    Batches,
    /// The dynamic module beside the Wasm filter, without bodies and with them
    Edges,
    /// Redaction by the size of the body and the number of rules
    Sizes,
    /// This module against the one given as baseline, and nothing else: many rounds tell a small difference from zero
    Modules,
    /// Requests per second at saturation, and durations at half of that; needs h2load
    Latency,
    /// Small requests beside uploads of 1 MB that are captured and redacted
    Neighbours,
    /// A request and a tick outside of Envoy as series, templates, headers, consumers, rules and workers grow
    Growth,
    /// Start and memory of a worker's virtual machine, and its memory after 250 times the requests; needs h2load
    Memory,
    /// Where the CPU time of a request goes: Envoy, Wasm, kernel, libc; needs perf
    Profile,
}

impl Table {
    fn title(self) -> &'static str {
        match self {
            Self::Alternatives => "Beside what Envoy offers",
            Self::Requests => "Requests without bodies",
            Self::Bodies => "Bodies",
            Self::Batches => "Batches by size",
            Self::Edges => "Wasm and dynamic module",
            Self::Sizes => "Bodies by size",
            Self::Modules => "Two modules",
            Self::Latency => "Throughput and latency",
            Self::Neighbours => "Small requests beside large bodies",
            Self::Growth => "Growth, outside of Envoy",
            Self::Memory => "Start and memory",
            Self::Profile => "Where the time goes",
        }
    }

    /// The name in `TABLES`.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The share of the time that it gets beside others.
    fn weight(self) -> f64 {
        match self {
            Self::Alternatives => 8.0,
            Self::Bodies | Self::Edges | Self::Sizes => 4.0,
            Self::Requests | Self::Latency | Self::Memory => 3.0,
            Self::Batches | Self::Neighbours | Self::Profile | Self::Modules => 2.0,
            Self::Growth => 1.0,
        }
    }
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
    let begun = Instant::now();
    let end = options.minutes.map(|minutes| begun + Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    let most_rounds = options.most_rounds.unwrap_or(if end.is_some() { 1_000 } else { 40 });
    let bench = Bench {
        rounds: options.rounds,
        most_rounds: most_rounds.max(options.rounds),
        precision: options.precision / 100.0,
        end,
        connections: options.connections,
        upstream: upstream.address(),
        baseline: options.baseline.as_deref(),
        cpus: &cpus,
    };
    println!("CPU time of the Envoy process per request, medians (95 % intervals). {cpus}.");
    let mut report = Report::new(bench.precision);
    for (index, table) in options.tables.iter().enumerate() {
        let weights: Vec<f64> = options.tables.iter().skip(index).map(|table| table.weight()).collect();
        let bench = Bench { end: end.map(|end| pace::end_of_first(&weights, end)), ..bench };
        if let Err(error) = measure(*table, &bench, options.requests, &mut report) {
            eprintln!("gatelens-bench: {}: {error}", table.name());
            report.miss(*table, &error);
        }
        // After each table, so that an interrupted run leaves what it has.
        if let Some(directory) = &options.report {
            let setting = format!("{cpus}. Measured in {} minutes.", (begun.elapsed().as_secs() + 30) / 60);
            report.write(directory, &setting)?;
        }
    }
    report.complete()
}

fn measure(table: Table, bench: &Bench<'_>, requests: usize, report: &mut Report) -> Result<()> {
    match table {
        Table::Alternatives => report.compare(table, tables::alternatives(bench, requests)?),
        Table::Requests => report.compare(table, tables::requests(bench, requests)?),
        Table::Bodies => report.compare(table, tables::bodies(bench, requests / 2)?),
        Table::Batches => report.compare(table, tables::batches(bench, requests)?),
        Table::Edges => {
            report.compare(table, tables::edges(bench, requests)?);
            report.compare(table, tables::edges_with_bodies(bench, requests / 2)?);
        }
        Table::Sizes => report.add(table, &tables::sizes(bench, requests / 2)?),
        Table::Modules => report.add(table, &tables::modules(bench, requests)?),
        Table::Latency => report.add(table, &tables::latency(bench)?),
        Table::Neighbours => report.add(table, &tables::neighbours(bench)?),
        Table::Growth => report.add(table, &tables::growth()?),
        Table::Memory => report.add(table, &memory::measure(bench, requests * 250)?),
        Table::Profile => report.add(table, &tables::profile(bench, requests * 4)?),
    }
    Ok(())
}
