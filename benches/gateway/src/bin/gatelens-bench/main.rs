//! `gatelens-bench`: CPU time per request that gatelens adds to Envoy, beside no filter and the SDK's no-op.
//!
//! One Envoy per variant with one worker; rounds are interleaved, so that a machine that gets slower does so for
//! all. CPU time is that of the whole process, ticks and exports included. Compare ratios, not microseconds: those
//! are this machine's.

mod cpus;
mod gateway;
mod load;
mod rounds;
mod table;
mod tables;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use gatelens_demo::shop;
use gatelens_testkit::{Result, Upstream};

use crate::cpus::Cpus;
use crate::rounds::Bench;

#[derive(Parser)]
#[command(
    about = "CPU time per request that gatelens adds to Envoy, beside no filter and the SDK's no-op filter"
)]
struct Options {
    /// What is measured, separated by commas
    #[arg(long, env = "TABLES", value_delimiter = ',', default_value = "requests,bodies,sizes")]
    tables: Vec<Table>,
    /// Measured rounds; one more warms up
    #[arg(long, env = "ROUNDS", default_value_t = 5)]
    rounds: usize,
    /// Requests per variant, kind and round; half as many, or fewer, where there are bodies
    #[arg(long, env = "REQUESTS", default_value_t = 4_000)]
    requests: usize,
    /// Another module of gatelens, measured beside this one in the same rounds
    #[arg(long, env = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Keep-alive connections
    #[arg(long, env = "CONNECTIONS", default_value_t = 4)]
    connections: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// Requests without bodies, answered by Envoy itself and by an upstream
    Requests,
    /// Requests and answers with bodies of some kilobytes
    Bodies,
    /// Redaction by the size of the body and the number of rules
    Sizes,
    /// This module against the one given as baseline, and nothing else: many rounds tell a small difference from zero
    Modules,
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
        connections: options.connections,
        upstream: upstream.address(),
        baseline: options.baseline.as_deref(),
        cpus: &cpus,
    };
    for table in &options.tables {
        let text = match table {
            Table::Requests => tables::requests(&bench, options.requests)?,
            Table::Bodies => tables::bodies(&bench, options.requests / 2)?,
            Table::Sizes => tables::sizes(&bench, options.requests / 2)?,
            Table::Modules => tables::modules(&bench, options.requests)?,
        };
        println!("{text}");
    }
    println!(
        "CPU time of the Envoy process per request, medians of {} rounds (least … most).",
        options.rounds
    );
    Ok(())
}
