//! `gatelens serve`: the ingest until SIGTERM or SIGINT.

use gatelens_ingest::alerts::AlertsConfig;
use gatelens_ingest::{Config, Limits, Retention, Server};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4318")]
    listen: SocketAddr,
    /// Directory for the data; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Days that counts by minute are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = days())]
    keep_minutes: u32,
    /// Days that counts by half hour are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 396, value_parser = days())]
    keep_half_hours: u32,
    /// Days that the request log is kept.
    #[arg(long, value_name = "DAYS", default_value_t = 15, value_parser = days())]
    keep_requests: u32,
}

/// Up to ten years.
fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=3650)
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { listen, data, keep_minutes, keep_half_hours, keep_requests } = arguments;
    let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3600);
    let retention = Retention {
        minutes: days(keep_minutes),
        half_hours: days(keep_half_hours.max(keep_minutes)),
        requests: days(keep_requests),
        ..Retention::default()
    };
    let shown = data.display().to_string();
    // Before the port is open, so that a signal right after is not missed.
    let stop = stop_signals()?;
    let server = Server::bind(Config { listen, data, limits: Limits::default(), retention, alerts: AlertsConfig::default() }).await?;
    eprintln!("gatelens ingest listening on http://{}, data in {shown}", server.local_addr());
    server.run(first_of(stop)).await;
    Ok(())
}

fn stop_signals() -> io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

async fn first_of([mut terminate, mut interrupt]: [Signal; 2]) {
    std::future::poll_fn(|context| {
        let ready = terminate.poll_recv(context).is_ready() | interrupt.poll_recv(context).is_ready();
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
