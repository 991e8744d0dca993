//! A server of one's own on a free port, and a client for it.

pub(crate) mod clickhouse;

use gatelens_ingest::alerts::AlertsConfig;
use gatelens_ingest::{
    AccessConfig, ClickHouseConfig, Config, Limits, Network, ProbeConfig, RemoteWriteConfig, Retention,
    Server,
};
pub(crate) use gatelens_testkit::export as otlp;
use prost::Message;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// The HTTP interface of a ClickHouse on which all services of the tests keep their counters, in a database each.
const TEST_STORE: &str = "GATELENS_TEST_STORE";

/// Most tests send reports of days that are long over.
const LATE_REPORT: Duration = Duration::from_secs(100 * 366 * 86_400);

pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// A running service; it stops when dropped.
pub(crate) struct Service {
    pub(crate) url: String,
    data: PathBuf,
    limits: Limits,
    alerts: AlertsConfig,
    probes: Vec<ProbeConfig>,
    remote_write: Option<RemoteWriteConfig>,
    access: AccessConfig,
    network: Network,
    retention: Retention,
    store: Option<ClickHouseConfig>,
    /// Kept for as long as a service may use it.
    dir: Option<TempDir>,
    running: Option<Running>,
    agent: ureq::Agent,
}

struct Running {
    stop: oneshot::Sender<()>,
    kill: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// An ordinary service on a free port.
pub(crate) fn config(data: PathBuf, limits: Limits) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data,
        limits,
        retention: gatelens_ingest::Retention::default(),
        access: AccessConfig::default(),
        trace_links: Vec::new(),
        remote_write: None,
        network: Network::default(),
        alerts: AlertsConfig::default(),
        probes: Vec::new(),
        store: None,
    }
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::configured(limits, Network::default(), AccessConfig::default())
    }

    pub(crate) fn on(network: Network, limits: Limits) -> Self {
        Self::configured(limits, network, AccessConfig::default())
    }

    /// With senders or people who have to prove who they are.
    pub(crate) fn guarded(limits: Limits, access: AccessConfig) -> Self {
        Self::configured(limits, Network::default(), access)
    }

    /// On a directory that outlives it.
    #[allow(dead_code, reason = "a benchmark uses it")]
    pub(crate) fn at(data: PathBuf, limits: Limits) -> Self {
        let mut service = Self::with(limits);
        service.stop();
        service.data = data;
        service.run();
        service
    }

    fn configured(mut limits: Limits, network: Network, access: AccessConfig) -> Self {
        limits.late_report = LATE_REPORT;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let mut service = Self {
            url: String::new(),
            data,
            limits,
            alerts: AlertsConfig::default(),
            probes: Vec::new(),
            remote_write: None,
            access,
            network,
            retention: Retention::default(),
            store: std::env::var(TEST_STORE).ok().map(|url| database_at(&url)),
            dir: Some(dir),
            running: None,
            agent: config.build().new_agent(),
        };
        service.run();
        service
    }

    /// A replica that keeps its counters in a database of its own, or in that of another one.
    pub(crate) fn on_store(store: ClickHouseConfig) -> Self {
        // The log of a test is short.
        Self::kept_in(Some(store), Limits { long_log: 0, ..Limits::default() })
    }

    /// The same with limits of its own.
    pub(crate) fn on_store_with(store: ClickHouseConfig, limits: Limits) -> Self {
        Self::kept_in(Some(store), limits)
    }

    /// A replica at which people have to prove who they are.
    #[allow(dead_code, reason = "a benchmark does not use it")]
    pub(crate) fn guarded_on_store(store: ClickHouseConfig, access: AccessConfig) -> Self {
        let mut service = Self::guarded(Limits::default(), access);
        service.stop();
        service.store = Some(store);
        service.run();
        service
    }

    /// A service that keeps its counters in files, wherever others do.
    pub(crate) fn on_files() -> Self {
        Self::on_files_with(Limits::default())
    }

    /// The same with limits of its own.
    pub(crate) fn on_files_with(limits: Limits) -> Self {
        Self::kept_in(None, limits)
    }

    fn kept_in(store: Option<ClickHouseConfig>, limits: Limits) -> Self {
        let mut service = Self::with(limits);
        service.stop();
        service.store = store;
        service.run();
        service
    }

    /// Starts again, and counts what is reported later than that in the present.
    #[allow(dead_code, reason = "a benchmark does not use it")]
    pub(crate) fn take_late(&mut self, late_report: Duration) {
        self.limits.late_report = late_report;
        self.restart(|_| ());
    }

    /// Where it keeps its counters, if not in files.
    pub(crate) fn store(&self) -> Option<ClickHouseConfig> {
        self.store.clone()
    }

    /// With the section `alerts` of a configuration file.
    pub(crate) fn alerting(alerts: AlertsConfig) -> Self {
        let mut service = Self::start();
        service.stop();
        service.alerts = alerts;
        service.run();
        service
    }

    /// Starts again with these probes.
    #[allow(dead_code, reason = "a benchmark does not use it")]
    pub(crate) fn probe(&mut self, probes: Vec<ProbeConfig>) {
        self.probes = probes;
        self.restart(|_| ());
    }

    /// Starts again, and sends its counters to a store.
    #[allow(dead_code, reason = "a benchmark does not use it")]
    pub(crate) fn write_to(&mut self, remote_write: RemoteWriteConfig) {
        self.remote_write = Some(remote_write);
        self.restart(|_| ());
    }

    /// Stops and starts again on the same data, after `between` had its way with the directory.
    pub(crate) fn restart(&mut self, between: impl FnOnce(&Path)) {
        self.stop();
        between(&self.data);
        self.run();
    }

    /// Starts again, and keeps data for other times or within another size.
    pub(crate) fn keep(&mut self, retention: Retention) {
        self.retention = retention;
        self.restart(|_| ());
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::of(self.agent.get(format!("{}{path}", self.url)).call())
    }

    pub(crate) fn get_as(&self, path: &str, accept: &str) -> Answer {
        Answer::of(self.agent.get(format!("{}{path}", self.url)).header("accept", accept).call())
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.call())
    }

    /// An empty request with any method.
    pub(crate) fn send_any(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = ureq::http::Request::builder().method(&*method.to_uppercase());
        // A service may close the connection of a request whose body it refuses, just when the next one begins on it.
        let mut request = request.uri(format!("{}{path}", self.url)).header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent = self.agent.configure_request(request.body(()).unwrap()).allow_non_standard_methods(true);
        Answer::of(self.agent.run(agent.build()))
    }

    /// A JSON answer of 200.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send(body))
    }

    pub(crate) fn put(&self, path: &str, body: &str) -> Answer {
        let request =
            self.agent.put(format!("{}{path}", self.url)).header("content-type", "application/json");
        Answer::of(request.send(body))
    }

    /// Sends an export, with its identity when it has one.
    pub(crate) fn send(
        &self,
        path: &str,
        identity: Option<(&str, u64, u64)>,
        message: &impl Message,
    ) -> Answer {
        let body = message.encode_to_vec();
        match identity {
            Some(identity) => self.send_bytes(path, identity, &body),
            None => self.post(path, &[("content-type", PROTOBUF)], &body),
        }
    }

    /// Sends a message that is encoded.
    pub(crate) fn send_bytes(
        &self,
        path: &str,
        (instance, epoch, sequence): (&str, u64, u64),
        body: &[u8],
    ) -> Answer {
        let (epoch, sequence) = (format!("{epoch:016x}"), sequence.to_string());
        let headers = [
            ("content-type", PROTOBUF),
            ("x-gatelens-instance", instance),
            ("x-gatelens-epoch", &epoch),
            ("x-gatelens-sequence", &sequence),
        ];
        self.post(path, &headers, body)
    }

    fn run(&mut self) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (kill, killed) = oneshot::channel::<()>();
        let (address, bound) = std::sync::mpsc::channel();
        let config = Config {
            retention: self.retention.clone(),
            alerts: self.alerts.clone(),
            probes: self.probes.clone(),
            remote_write: self.remote_write.clone(),
            access: self.access.clone(),
            network: self.network.clone(),
            store: self.store.clone(),
            ..config(self.data.clone(), self.limits.clone())
        };
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = Server::bind(config).await.unwrap();
                address.send(server.url()).unwrap();
                tokio::select! {
                    () = server.run(async { drop(stopped.await) }) => {}
                    Ok(()) = killed => {}
                }
            });
        });
        self.url = bound.recv().unwrap();
        self.running = Some(Running { stop, kill, thread });
    }

    pub(crate) fn stop(&mut self) {
        if let Some(Running { stop, thread, .. }) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }

    /// Ends it between two steps of its work, which it neither finishes nor takes leave of.
    #[allow(dead_code, reason = "a benchmark does not use it")]
    pub(crate) fn kill(&mut self) {
        if let Some(Running { kill, thread, .. }) = self.running.take() {
            kill.send(()).unwrap();
            thread.join().unwrap();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
        drop(self.dir.take());
    }
}

impl Answer {
    fn of(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let mut response = response.unwrap();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        // A stream has no end: its reader reads it in a way of its own.
        let body = match kind {
            Some("text/event-stream") => Vec::new(),
            _ => response.body_mut().read_to_vec().unwrap(),
        };
        Self { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts 200 and a whole success.
    pub(crate) fn accepted(self) {
        assert_eq!((self.status, self.header("content-type")), (200, PROTOBUF), "{}", self.text());
        assert!(self.body.is_empty(), "a partial success: {:?}", self.text());
    }
}

/// The limits of benchmarks: one sender and one reader, as fast as they can.
#[allow(dead_code, reason = "benchmarks use it")]
pub(crate) fn of_benchmarks() -> Limits {
    Limits {
        reader_requests_per_second: 100_000,
        sender_requests_per_second: 100_000,
        sender_bytes_per_second: 16 << 30,
        ..Default::default()
    }
}

/// A database of its own on a ClickHouse with this HTTP interface.
pub(crate) fn database_at(url: &str) -> ClickHouseConfig {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let number = DATABASES.fetch_add(1, Relaxed);
    let address = format!("clickhouse+{url}/test_{}_{number}", std::process::id());
    ClickHouseConfig { address: address.parse().unwrap(), password: None, ca: None }
}

/// Text that does not compress, of the characters of an alphabet.
pub(crate) fn noise(seed: u64, bytes: usize, alphabet: RangeInclusive<u8>) -> String {
    let (first, count) = (*alphabet.start(), u64::from(alphabet.end() - alphabet.start()) + 1);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(first + (state % count) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}
