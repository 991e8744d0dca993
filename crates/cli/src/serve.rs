//! `gatelens serve`: the ingest until SIGTERM or SIGINT.

use gatelens_ingest::{Config, Limits, Server};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4318")]
    listen: SocketAddr,
    /// Directory to keep the data in; made when it is not there.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(Arguments { listen, data }: Arguments) -> Result<(), Box<dyn Error>> {
    let shown = data.display().to_string();
    // Before the port is open, so that a signal right after finds someone who listens to it.
    let stop = stop_signals()?;
    let server = Server::bind(Config { listen, data, limits: Limits::default() }).await?;
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
