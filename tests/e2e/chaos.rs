//! Counts and log stay exact while everything around the gateway fails: the ingest is killed, its responses are wrong,
//! late or lost, and the configuration changes under load.
//!
//! `cargo test` runs a short form, `make chaos` the long one. `CHAOS_REQUESTS`, `CHAOS_SECONDS` and `CHAOS_SEED` change
//! either. A seed decides the requests and the order of the faults. Which request meets which fault depends on the
//! timing.

mod director;
mod verdict;

use std::env;
use std::time::Duration;

use gatelens_testkit::{Envoy, EnvoyConfig, FaultProxy, Ingest, Launch, Listeners, Upstream, artefacts};
use tempfile::TempDir;

use super::ecds::Discovery;
use super::stack::{Mode, plugin};
use super::traffic::{self, Kind, Load, Progress};
use director::{Director, Plan};
use verdict::Verdict;

/// Memory that Envoy may grow by under any faults: the queues of two workers ([`QUEUE_BYTES`] each), the history of an
/// outage (4 MiB each), Envoy's buffers, and memory that its allocator keeps.
const ENVOY_GROWTH_BYTES: u64 = 200 << 20;

struct World {
    ingest: Ingest,
    proxy: FaultProxy,
    envoy: Envoy,
    config: EnvoyConfig,
    discovery: Discovery,
    // Dropped after the others.
    _upstream: Upstream,
    _directory: TempDir,
}

#[test]
fn counts_and_log_are_exact_whatever_fails() {
    check(Mode::Filter, Form { requests: 10_000, seconds: 25, kills: 3, passes_per_fault: 2 });
}

#[test]
#[ignore = "takes a minute: make chaos"]
fn counts_and_log_of_a_module_are_exact_whatever_fails() {
    check(Mode::ModuleFilter, Form { requests: 10_000, seconds: 25, kills: 3, passes_per_fault: 2 });
}

/// Ten kills, 200,000 requests.
#[test]
#[ignore = "takes minutes: make chaos"]
fn counts_and_log_are_exact_whatever_fails_for_long() {
    check(Mode::Filter, Form { requests: 200_000, seconds: 240, kills: 10, passes_per_fault: 2 });
}

struct Form {
    requests: u64,
    seconds: u64,
    kills: usize,
    passes_per_fault: usize,
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn counts_and_log_of_a_module_are_exact_whatever_fails_for_long() {
    check(Mode::ModuleFilter, Form { requests: 200_000, seconds: 240, kills: 10, passes_per_fault: 2 });
}

fn check(mode: Mode, form: Form) {
    artefacts::or_skip();
    let seed = number("CHAOS_SEED").unwrap_or(20_261_120);
    let load = Load {
        seed,
        requests: number("CHAOS_REQUESTS").unwrap_or(form.requests) as usize,
        duration: Duration::from_secs(number("CHAOS_SECONDS").unwrap_or(form.seconds)),
        clients: 8,
        connections_per_client: 4,
    };
    let kinds = Kind::all();
    let mut world = World::start(mode);
    let answers = world.answers_without_the_filter(&kinds);
    let progress = Progress::default();

    let address = world.envoy.address();
    world.proxy.disturb(seed, form.passes_per_fault);
    let (sent, record) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| traffic::send(address, &kinds, &answers, load, &progress));
        let plan =
            Plan::new(seed, form.kills, load.requests as u64 / load.clients as u64 * load.clients as u64);
        let record = Director::new(&mut world).direct(&plan, &progress);
        (clients.join().unwrap(), record)
    });
    world.proxy.calm();

    let verdict = Verdict::reach(&mut world, &sent);
    eprintln!("{}", verdict.table(&world, &sent, &record, seed));
    verdict.check(&world, &sent, &record, &kinds);
}

impl World {
    fn start(mode: Mode) -> Self {
        let directory = TempDir::new().unwrap();
        let (upstream, ingest) = (Upstream::start().unwrap(), Ingest::start().unwrap());
        let proxy = FaultProxy::start(ingest.address()).unwrap();
        let config = mode.config().upstream(upstream.address()).unwrap();
        let config = traffic::keep_request_ids(config.ingest(proxy.address()).unwrap()).plugin(&impatient());
        // Envoy closes the connections of a replaced listener with their next response and removes it soon after, so
        // that root contexts end while the test runs.
        let drain = ["--drain-time-s", "5", "--drain-strategy", "immediate"];
        let launch = Launch {
            listeners: Listeners::Discovered,
            arguments: drain.map(str::to_owned).to_vec(),
            ..Launch::default()
        };
        let envoy = Envoy::launch(&config, &launch).unwrap();
        let discovery = Discovery::new(directory.path());
        Self { ingest, proxy, envoy, config, discovery, _upstream: upstream, _directory: directory }
    }

    fn answers_without_the_filter(&self, kinds: &[Kind]) -> Vec<traffic::Answer> {
        let config = traffic::keep_request_ids(EnvoyConfig::plain().unwrap());
        let plain = Envoy::start(&config.upstream(self._upstream.address()).unwrap()).unwrap();
        traffic::answers(plain.address(), kinds)
    }
}

/// Bytes that the queue of a worker may hold. Every third request to the ingest fails and is followed by a pause, so that
/// a backlog builds up while the batches are small and uncompressed: 9 MB over both workers. With the default bound one
/// worker sometimes drops its oldest batch, as it must.
const QUEUE_BYTES: u64 = 32 << 20;

/// The tests' configuration with a short timeout, so that a request that hangs costs little time, and with a queue that
/// holds all that the faults delay.
fn impatient() -> serde_json::Value {
    let mut plugin = plugin();
    plugin["ingest"]["timeout_ms"] = 1_500.into();
    plugin["limits"]["queue_bytes"] = QUEUE_BYTES.into();
    plugin
}

/// The number in an environment variable; `None` without it.
pub(super) fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: no number")))
}
