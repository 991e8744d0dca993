//! `gatelens-demo run`: the whole product on one machine, started, watched and stopped together.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gatelens_demo::shop;
use gatelens_testkit::process::Group;
use gatelens_testkit::{Envoy, EnvoyConfig, Error, Ingest, Launch, Result, Upstream, paths};

use crate::traffic::Traffic;
use crate::{Stop, plugin};

/// Time between two lines of progress.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// How long the end waits for the last counts, which leave Envoy once a second.
const SETTLE: Duration = Duration::from_secs(4);

/// Options of `run`; each can be given as an environment variable, and so as `make run INGEST_PORT=…`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Port of the dashboard and of the ingest
    #[arg(long, env = "INGEST_PORT", default_value_t = 4318)]
    ingest_port: u16,
    /// Port of the gateway
    #[arg(long, env = "GATEWAY_PORT", default_value_t = 10000)]
    gateway_port: u16,
    /// Port of Envoy's admin interface
    #[arg(long, env = "ADMIN_PORT", default_value_t = 9901)]
    admin_port: u16,
    /// Port of the shop behind the gateway
    #[arg(long, env = "UPSTREAM_PORT", default_value_t = 9080)]
    upstream_port: u16,
    /// Requests per second on average; 0 sends none
    #[arg(long, env = "RATE", default_value_t = 40.0)]
    rate: f64,
    /// Stops after this many seconds; 0 runs until Ctrl-C
    #[arg(long, env = "DURATION", default_value_t = 0)]
    duration: u64,
    /// ClickHouse for the counters and the log, as clickhouse+http://user@host:8123/database; without it, files
    #[arg(long, env = "STORE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    store: Option<String>,
    /// Directory for data and logs
    #[arg(long, env = "RUN_DIR", default_value = ".run")]
    directory: PathBuf,
}

/// Runs until a signal, the end of the duration, or the end of one of the parts.
pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let home = paths::workspace_root().join(&options.directory);
    let [ingest_address, gateway, admin, upstream_address] = addresses(options)?;
    let config = plugin::capturing(EnvoyConfig::http_filter()?)?
        .listen(gateway)?
        .admin(admin)?
        .upstream(upstream_address)?
        .ingest(ingest_address)?;
    paths::envoy()?;
    paths::gatelens()?;

    println!("starting the ingest …");
    std::fs::create_dir_all(&home).map_err(|source| Error::File { path: home.clone(), source })?;
    let store = options.store.iter().flat_map(|store| ["--store".to_owned(), store.clone()]);
    let mut ingest = Ingest::start_with(
        (ingest_address, &home.join("data"), &home.join("ingest.log")),
        Group::Own,
        &store.collect::<Vec<_>>(),
    )?;
    println!("starting the demo upstream …");
    let upstream = Upstream::start_with(upstream_address, shop::answer)?;
    println!("starting Envoy …");
    let launch = Launch { directory: Some(home.join("envoy")), group: Group::Own, ..Launch::default() };
    let mut envoy = Envoy::launch(&config, &launch)?;
    let progress = Progress::start(&ingest);
    let traffic = (options.rate > 0.0).then(|| Traffic::start(gateway, options.rate));
    announce(options, &home, [ingest.address(), envoy.address(), envoy.admin_address()]);

    let watched =
        watch(options, stop, &mut ingest, &mut envoy, traffic.as_ref().map(|traffic| (traffic, &progress)));
    println!("\nstopping …");
    let sent = traffic.map(Traffic::stop);
    let counted = sent.as_ref().and_then(|tally| settle(&ingest, &progress, tally.sent()));
    // In the direction of the data, so that what is on its way still arrives.
    let stopped = [envoy.stop().map(drop), ingest.stop().map(drop)];
    drop(upstream);
    watched?;
    stopped.into_iter().collect::<Result<()>>()?;
    match sent {
        Some(tally) => println!("stopped; {tally}{}", shown(counted)),
        None => println!("stopped"),
    }
    Ok(())
}

/// The four addresses, after making sure that nobody else has them.
fn addresses(options: &Options) -> Result<[SocketAddr; 4]> {
    let ports = [
        (options.ingest_port, "INGEST_PORT", "the ingest"),
        (options.gateway_port, "GATEWAY_PORT", "the gateway"),
        (options.admin_port, "ADMIN_PORT", "Envoy's admin interface"),
        (options.upstream_port, "UPSTREAM_PORT", "the demo upstream"),
    ];
    // All are held until all are tried: two of our own parts cannot share one either.
    let mut held = Vec::new();
    let mut taken = Vec::new();
    for (port, variable, part) in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => held.push(listener),
            Err(error) => taken.push(format!(
                "port {port} for {part} cannot be used ({error}): choose another with `make run {variable}=…`"
            )),
        }
    }
    if taken.is_empty() {
        return Ok(ports.map(|(port, ..)| (Ipv4Addr::LOCALHOST, port).into()));
    }
    Err(Error::Unexpected(taken.join("\n               ")))
}

fn announce(options: &Options, home: &Path, [ingest, gateway, admin]: [SocketAddr; 3]) {
    let traffic = match options.rate {
        rate if rate > 0.0 => format!("about {rate} requests a second from 12 consumers pass through it"),
        _ => "no traffic: send your own".to_owned(),
    };
    println!(
        "
  gatelens is running: {traffic}

    dashboard    http://{ingest}/
    gateway      http://{gateway}/   (Envoy, 2 workers, admin at http://{admin}/)
    try          curl -H 'x-consumer-id: me' http://{gateway}/users/7
    data, logs   {home}

  Ctrl-C stops everything.
",
        home = home.display()
    );
}

fn watch(
    options: &Options,
    stop: &Stop,
    ingest: &mut Ingest,
    envoy: &mut Envoy,
    traffic: Option<(&Traffic, &Progress)>,
) -> Result<()> {
    let start = Instant::now();
    let mut reported = start;
    while !stop.requested() && (options.duration == 0 || start.elapsed().as_secs() < options.duration) {
        thread::sleep(Duration::from_millis(100));
        envoy.process().check()?;
        ingest.process().check()?;
        if let Some((traffic, progress)) = traffic.filter(|_| reported.elapsed() >= REPORT_EVERY) {
            reported = Instant::now();
            let counted = shown(progress.counted(ingest));
            println!("  {:>4} s  {}{counted}", start.elapsed().as_secs(), traffic.tally());
        }
    }
    Ok(())
}

/// Waits a few seconds until every request is counted, and returns how many are.
fn settle(ingest: &Ingest, progress: &Progress, sent: u64) -> Option<u64> {
    let start = Instant::now();
    loop {
        let counted = progress.counted(ingest)?;
        if counted >= sent || start.elapsed() > SETTLE {
            return Some(counted);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn shown(counted: Option<u64>) -> String {
    counted.map_or(String::new(), |count| format!(", {count} counted"))
}

/// Requests that the ingest has counted since the start, from its read API. Requests sent by hand are among them.
struct Progress {
    since: u64,
    before: u64,
}

impl Progress {
    fn start(ingest: &Ingest) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // The period is widened to whole minutes, which an earlier run may share.
        Self { since, before: total(ingest, since).unwrap_or(0) }
    }

    fn counted(&self, ingest: &Ingest) -> Option<u64> {
        Some(total(ingest, self.since)?.saturating_sub(self.before))
    }
}

fn total(ingest: &Ingest, since: u64) -> Option<u64> {
    let until = since + 366 * 24 * 3600;
    let summary = ingest.get_json(&format!("/api/v1/summary?from={since}&to={until}")).ok()?;
    // Without a row there was nothing to count.
    Some(summary["rows"][0]["requests"].as_u64().unwrap_or(0))
}
