//! What the ingest takes for a request of the log: `make bench-ingest`. It prints tables in Markdown.
//!
//! The exports are those of the filter's own code for the traffic of a shop. They are sent over HTTP in the names of many
//! gateways to `gatelens serve`, a process of its own whose processor time and files are read, and to another collector that drops
//! them after decoding.

mod batches;
mod replay;
mod rows;

use batches::Batch;
use clap::Parser;
use gatelens_testkit::process::{Group, Process};
use gatelens_testkit::{Error, Ingest, Result};
use replay::Seen;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[derive(Parser)]
struct Options {
    /// Gateways in whose names the exports are sent.
    #[arg(long, env, default_value_t = 100)]
    gateways: usize,
    /// Requests a second of each gateway.
    #[arg(long, env, default_value_t = 1_000)]
    rate: u64,
    /// Seconds of traffic that arrive in time.
    #[arg(long, env, default_value_t = 20)]
    seconds: u64,
    /// Connections that send at full speed.
    #[arg(long, env, default_value_t = 4)]
    senders: usize,
    /// The program of the collector `rotel`.
    #[arg(long, env)]
    rotel: Option<PathBuf>,
    /// The Python that has the module `chdb`.
    #[arg(long, env)]
    chdb: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let seconds = Duration::from_secs(options.seconds);
    let all = batches::of_a_gateway(options.rate, seconds);
    let logs: Vec<&Batch> = all.iter().filter(|batch| batch.is_log()).collect();
    let requests: u64 = logs.iter().map(|batch| batch.requests).sum();
    let bytes: usize = logs.iter().map(|batch| batch.body.len()).sum();
    println!(
        "{} batches of {} requests on average, {} bytes a request on the wire\n",
        logs.len(),
        requests / logs.len().max(1) as u64,
        bytes as u64 / requests.max(1)
    );
    println!(
        "| receiver | requests a second | CPU a request | log on disk, a request | counters on disk, in all | acknowledged p50 | p99 | repeated | refused |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    // A tenth of the gateways is enough, because all wait for the writer alike.
    let gateways = (options.gateways / 10).max(1);
    let (seen, cpu, disk) =
        with_ingest(|address| replay::at_full_speed(address, &logs, gateways, options.senders))?;
    print("gatelens, log", &seen, cpu, Some(disk));
    if let Some(rotel) = &options.rotel {
        let (seen, cpu) =
            with_rotel(rotel, |address| replay::at_full_speed(address, &logs, gateways, options.senders))?;
        print("rotel, log, dropped after decoding", &seen, cpu, None);
    }
    if let Some(python) = &options.chdb {
        insert_into_chdb(python, &logs, gateways)?;
    }
    let every: Vec<&Batch> = all.iter().collect();
    let senders = options.gateways.clamp(1, 64);
    let (seen, cpu, disk) =
        with_ingest(|address| replay::in_time(address, &every, options.gateways, senders))?;
    let name =
        format!("gatelens, log and counters of {} gateways × {} a second", options.gateways, options.rate);
    print(&name, &seen, cpu, Some(disk));
    Ok(())
}

/// Bytes of the files of a service.
struct Disk {
    log: u64,
    counters: u64,
}

fn print(receiver: &str, seen: &Seen, cpu: Duration, disk: Option<Disk>) {
    let requests = seen.requests.max(1) as f64;
    let none = || "–".to_owned();
    let log = disk.as_ref().map_or_else(none, |disk| format!("{:.1} B", disk.log as f64 / requests));
    let counters = disk.as_ref().map_or_else(none, |disk| format!("{:.1} MB", disk.counters as f64 / 1e6));
    let milliseconds = |share| format!("{:.1} ms", seen.within(share).as_secs_f64() * 1e3);
    println!(
        "| {receiver} | {:.0} | {:.2} µs | {log} | {counters} | {} | {} | {} | {} of {} |",
        seen.rate(),
        cpu.as_secs_f64() * 1e6 / requests,
        milliseconds(0.5),
        milliseconds(0.99),
        seen.repeated,
        seen.refused,
        seen.batches
    );
}

/// Replays against a new service; its processor time, and the bytes of its files.
fn with_ingest(replay: impl FnOnce(SocketAddr) -> Seen) -> Result<(Seen, Duration, Disk)> {
    let mut ingest = Ingest::start()?;
    let before = ingest.process().cpu_time()?;
    let seen = replay(ingest.address());
    let cpu = ingest.process().cpu_time()?.saturating_sub(before);
    ingest.stop()?;
    let disk =
        Disk { log: bytes(ingest.data(), "requests-")?, counters: bytes(ingest.data(), "metrics.db")? };
    Ok((seen, cpu, disk))
}

/// Bytes of the files with this beginning of their names.
fn bytes(data: &Path, name: &str) -> Result<u64> {
    let files = std::fs::read_dir(data).map_err(Error::file(data))?;
    let files = files.filter_map(|file| file.ok());
    let ours = files.filter(|file| file.file_name().to_string_lossy().starts_with(name));
    Ok(ours.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum())
}

/// Inserts the requests as rows into ClickHouse's engine in a process of its own, which prints its line of the table.
fn insert_into_chdb(python: &Path, logs: &[&Batch], gateways: usize) -> Result<()> {
    let file = std::env::temp_dir().join(format!("gatelens-rows-{}.tsv", std::process::id()));
    rows::write(&file, logs)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/chdb_insert.py");
    let ran = Command::new(python).arg(script).arg(&file).arg(gateways.to_string()).status();
    let ran = ran.map_err(Error::file(python));
    // It is of no use any more.
    let _ = std::fs::remove_file(&file);
    match ran?.success() {
        true => Ok(()),
        false => Err(Error::Unexpected("the insert into chdb failed".to_owned())),
    }
}

/// Replays against the collector; its processor time.
fn with_rotel(program: &Path, replay: impl FnOnce(SocketAddr) -> Seen) -> Result<(Seen, Duration)> {
    let (http, grpc) = (free_address()?, free_address()?);
    let directory = std::env::temp_dir();
    let log = directory.join(format!("rotel-{}.log", std::process::id()));
    let mut command = Command::new(program);
    command
        .arg("start")
        .args(["--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()])
        .args(["--exporter", "blackhole"]);
    let mut rotel = Process::spawn("rotel", command, &log, Group::Shared)?;
    rotel.wait_until("rotel to listen", |_| Ok(TcpStream::connect(http).ok().map(drop)))?;
    let before = rotel.cpu_time()?;
    let seen = replay(http);
    let cpu = rotel.cpu_time()?.saturating_sub(before);
    rotel.kill()?;
    // What it printed is of no use any more.
    let _ = std::fs::remove_file(&log);
    Ok((seen, cpu))
}

fn free_address() -> Result<SocketAddr> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map_err(|error| Error::Unexpected(format!("no port is free: {error}")))
}
