//! `gatelens-demo`: a shop with live traffic behind a real Envoy, to see gatelens at work.

mod plugin;
mod run;
mod scenarios;
mod traffic;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use gatelens_demo::shop;
use gatelens_testkit::{Error, Result, Upstream};

#[derive(Parser)]
#[command(about = "A shop with live traffic behind a real Envoy, to see gatelens at work")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything: ingest, upstream, Envoy and traffic, until Ctrl-C (`make run`)
    Run(run::Options),
    /// The shop's API alone
    Upstream {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:9080")]
        listen: SocketAddr,
    },
    /// Varied traffic alone, against a gateway that is running
    Traffic {
        /// The gateway
        #[arg(long, default_value = "127.0.0.1:10000")]
        target: SocketAddr,
        /// Requests per second on average; they come in waves
        #[arg(long, default_value_t = 40.0)]
        rate: f64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stopping = Stop::on_signals();
    let done = stopping.and_then(|stop| match arguments.command {
        Command::Run(options) => run::run(&options, &stop),
        Command::Upstream { listen } => upstream(listen, &stop),
        Command::Traffic { target, rate } => traffic(target, rate, &stop),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Set once Ctrl-C or SIGTERM came.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let handle = stop.clone();
        ctrlc::set_handler(move || handle.0.store(true, Ordering::SeqCst))
            .map_err(|error| Error::Unexpected(format!("cannot listen for signals: {error}")))?;
        Ok(stop)
    }

    fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn upstream(listen: SocketAddr, stop: &Stop) -> Result<()> {
    let upstream = Upstream::start_with(listen, shop::answer)?;
    println!("upstream on http://{}", upstream.address());
    while !stop.requested() {
        thread::sleep(Duration::from_millis(100));
    }
    println!("{} requests answered", upstream.requests());
    Ok(())
}

fn traffic(target: SocketAddr, rate: f64, stop: &Stop) -> Result<()> {
    let traffic = traffic::Traffic::start(target, rate);
    println!("about {rate} requests per second to http://{target}");
    let mut reported = Instant::now();
    while !stop.requested() {
        thread::sleep(Duration::from_millis(100));
        if reported.elapsed() >= Duration::from_secs(10) {
            println!("{}", traffic.tally());
            reported = Instant::now();
        }
    }
    println!("{}", traffic.stop());
    Ok(())
}
