//! `gatelens serve`: the ingest until SIGTERM or SIGINT.

use crate::{input, log, serve_config};
use gatelens_ingest::Server;
use gatelens_ingest::config::Options;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// File with options, in YAML or JSON, under the names of the flags with `_` for `-`; a flag wins over the file.
    /// `gatelens check FILE` checks it; docs/serve.md lists all keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Serves until a signal. 0 after a signal, 1 when the service cannot start, 2 when an option is missing.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { config, options } = arguments;
    let file = match config.as_deref().map(read).transpose() {
        Ok(file) => file.unwrap_or_default(),
        Err(message) => return fail(&message),
    };
    let options = options.over(file);
    match log::levels(options.log_level()) {
        Ok(levels) => log::start(options.log_format(), levels),
        Err(error) => return fail(&error.to_string()),
    }
    let config = match options.settle() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("gatelens: {error}");
            return ExitCode::from(2);
        }
    };
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("gatelens: {message}");
    ExitCode::FAILURE
}

/// The options of a file; the message about it if it cannot be read or understood.
fn read(file: &Path) -> Result<Options, String> {
    let text = input::text(file).map_err(|error| error.to_string())?;
    serve_config::read(&text).map_err(|problem| problem.line(&input::name(file)))
}

fn start(config: gatelens_ingest::Config) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(config));
    // The writers have ended. A probe that waits for an answer holds nothing that must be stored.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: gatelens_ingest::Config) -> Result<(), Box<dyn Error>> {
    let data = config.data.display().to_string();
    // Before the port is open, so that a signal right after is not missed.
    let stop = stop_signals()?;
    let server = Server::bind(config).await?;
    let url = server.url();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "gatelens ingest listening on {url}, data in {data}");
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
