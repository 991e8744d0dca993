//! The socket: routes, connections, and the end of both.

mod access;
mod activity;
mod alerts;
mod api;
mod assets;
mod body;
mod bounds;
mod comparison;
mod connections;
mod decoders;
mod directory;
mod hand_back;
mod host;
mod issues;
mod links;
mod memory;
mod oidc;
mod otlp;
mod peers;
mod places;
mod question;
mod redact;
mod refusal;
mod session;
mod socket;
mod storage;
mod stream;
mod tls;
mod traffic;

use crate::alerts::{self as alerting, AlertStats, Alerts, AlertsConfig};
pub(crate) use host::is_own_name;
pub use host::{HostName, NotAHostName};
pub use links::{NotATraceLink, TraceLink};
pub use peers::{Cidr, NotACidr};
pub use tls::{TlsError, TlsFiles};

use crate::auth::oidc::CALLBACK;
use crate::auth::{Access, AccessConfig, AccessError};
use crate::clickhouse::{ClickHouse, ClickHouseConfig};
use crate::clock;
use crate::drift::Watch;
use crate::jobs;
use crate::learning::Learning;
use crate::limits::Limits;
use crate::model::Signal;
use crate::patterns::KnownPatterns;
use crate::probes::{self, ProbeConfig};
use crate::query::{Files, Store};
use crate::remote_write::{RemoteWrite, RemoteWriteConfig, RemoteWriteStats};
use crate::retention::Retention;
use crate::stats::{Gauges, Stats};
use crate::store::{DataDir, Refused, StoreError, Writers};
use crate::told::{Books, Sharing};
use axum::Router;
use axum::extract::{self, MatchedPath, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use decoders::Decoders;
use gatelens_model::prometheus::TEXT_CONTENT_TYPE;
use gatelens_model::route_patterns;
use hyper_util::server::graceful::GracefulShutdown;
use memory::Memory;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Where to listen, where to keep, and how much to take.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What keeps the counters instead of the directory, for several replicas.
    pub store: Option<ClickHouseConfig>,
    /// DataDir of the store; made when it is not there.
    pub data: PathBuf,
    /// Bounds of the service.
    pub limits: Limits,
    /// How long things are kept.
    pub retention: Retention,
    /// Rules of alerts, and who is sent them.
    pub alerts: AlertsConfig,
    /// Who may reach it, and how.
    pub network: Network,
    /// Who may send and who may read.
    pub access: AccessConfig,
    /// Addresses that are asked at intervals.
    pub probes: Vec<ProbeConfig>,
    /// Where other systems show a trace.
    pub trace_links: Vec<TraceLink>,
    /// A store that the counters are sent to.
    pub remote_write: Option<RemoteWriteConfig>,
}

/// The service as the network sees it.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Names that a request may have in `Host` besides IP literals and `localhost`. A request with another name gets
    /// 421, except that senders may use the name of Envoy's cluster.
    pub hosts: Vec<HostName>,
    /// Proxies in front of the service whose `x-forwarded-for` names the client.
    pub trusted_proxies: Vec<Cidr>,
    /// Serves TLS when given, and plain HTTP otherwise.
    pub tls: Option<TlsFiles>,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The files of tokens or people cannot be used, or are missing where they are needed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The metrics of the service cannot be registered, which is a defect.
    #[error("cannot register the metrics of the service: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}", path.display())]
    Store {
        /// The directory.
        path: PathBuf,
        /// The fault.
        source: StoreError,
    },
    /// The server that keeps the counters cannot be used.
    #[error("cannot use the store {address}: {source}")]
    Server {
        /// Where it is.
        address: String,
        /// The fault.
        source: StoreError,
    },
}

impl StartError {
    /// Of a server or a directory that refuses to share rows.
    fn of_server(address: String, path: &std::path::Path, refused: Refused) -> Self {
        match refused {
            Refused::Failed(source @ StoreError::ClickHouse(_)) => Self::Server { address, source },
            Refused::Failed(source) => Self::Store { path: path.to_owned(), source },
            Refused::Busy | Refused::Stopped => {
                let source = StoreError::file(path, std::io::Error::other(refused.to_string()));
                Self::Store { path: path.to_owned(), source }
            }
        }
    }
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => ": stop what listens there, or choose another address with --listen",
        std::io::ErrorKind::PermissionDenied => ": choose a port above 1023 with --listen",
        _ => "",
    }
}

/// The service, listening but not yet answering.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
    retention: Retention,
    probes: Vec<ProbeConfig>,
    remote_write: Option<Arc<RemoteWrite>>,
    sharing: Option<Sharing>,
}

pub(crate) struct State {
    limits: Limits,
    access: Access,
    hosts: host::Hosts,
    proxies: peers::Proxies,
    peers: Arc<peers::Peers>,
    tls: Option<Arc<tls::Tls>>,
    /// Requests of readers that may still begin.
    visitors: Arc<Semaphore>,
    /// Bytes of answers that may still be made.
    answers: Arc<Semaphore>,
    data: Arc<DataDir>,
    /// What keeps the counters for all replicas, where there are several.
    server: Option<Arc<ClickHouse>>,
    writers: Arc<Writers>,
    patterns: Arc<KnownPatterns>,
    learning: Learning,
    drift: Watch,
    alerts: Arc<Alerts>,
    store: Box<dyn Store>,
    /// Bytes of bodies that may still be taken in.
    memory: Arc<Memory>,
    decoders: Decoders,
    readers: Arc<Semaphore>,
    previews: Arc<Semaphore>,
    /// Readers who may still follow.
    streams: Arc<Semaphore>,
    /// Exports that may still begin.
    exports: Arc<Semaphore>,
    /// Whether the service stops, at which answers without an end must end.
    stopping: tokio::sync::watch::Sender<bool>,
    /// Passwords that may be hashed at a time.
    sign_ins: Arc<Semaphore>,
    /// Sign-ins that may wait for the provider of OpenID Connect.
    oidc_sign_ins: Arc<Semaphore>,
    /// Address of the page, from the configuration and not from any request.
    page_url: String,
    trace_links: Vec<TraceLink>,
    health: tokio::sync::Mutex<Option<api::Health>>,
    stats: Arc<Stats>,
    /// Bytes that the files may take.
    max_disk: Option<u64>,
    /// Unix seconds.
    started_at: f64,
}

impl State {
    /// Who may do what.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Whether readers come over TLS, so that cookies may ask for it.
    fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

impl Server {
    /// Opens the store and the socket.
    ///
    /// # Errors
    /// When the directory cannot be written, is in use by another process or holds files of a newer version; when
    /// the address is taken.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let Config { listen, data, limits, retention, network, access, alerts, .. } = config;
        let Config { trace_links, probes, remote_write, store, .. } = config;
        let page_url = access.oidc.as_ref().and_then(|oidc| oidc.page_url.clone());
        let access = Access::open(&access, listen)?;
        let tls = network.tls.map(tls::Tls::new).transpose()?.map(Arc::new);
        let refused = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let page_url = page_url.unwrap_or_else(|| url_of(address, tls.as_deref()));
        let data = Arc::new(DataDir::new(data));
        let patterns = Arc::new(KnownPatterns::default());
        let failed = |source| StartError::Store { path: data.path().to_owned(), source };
        let server = match &store {
            Some(config) => {
                let opened = ClickHouse::open(config, Arc::clone(&patterns), &limits).await;
                let failed = |source| StartError::Server { address: config.address.to_string(), source };
                Some(Arc::new(opened.map_err(failed)?))
            }
            None => None,
        };
        let access = access.beside(server.as_ref()).await.map_err(|source| StartError::Server {
            address: store.as_ref().map(|config| config.address.to_string()).unwrap_or_default(),
            source,
        })?;
        let writers = Writers::start(&data, &limits, &patterns).map_err(failed)?;
        let writers = Arc::new(writers.beside(server.clone()));
        let sharing = match (&server, &store) {
            (Some(server), Some(config)) => {
                let books = Books { writers: Arc::clone(&writers) };
                let started = Sharing::start(Arc::clone(server), books, &data, limits.tell_interval).await;
                let address = config.address.to_string();
                Some(started.map_err(|refused| StartError::of_server(address, data.path(), refused))?)
            }
            _ => None,
        };
        let stats = Stats::new()?;
        let alerts = AlertStats::new(stats.registry()).map(|stats| {
            Alerts::start(&alerts, (&data, server.clone()), &limits, retention.max_disk, stats)
        })?;
        let alerts = Arc::new(alerts.map_err(failed)?);
        let learning = Learning::start(Arc::clone(&writers), &patterns)
            .map_err(|error| failed(StoreError::file(data.path(), error)))?;
        let drift = Watch::start(
            Arc::clone(&data),
            (Arc::clone(&writers), server.clone()),
            Arc::clone(&patterns),
            (&retention, limits.drift_interval),
        );
        let drift = drift.map_err(|error| failed(StoreError::file(data.path(), error)))?;
        let remote_write = match &remote_write {
            Some(config) => {
                let started = RemoteWrite::start(config, RemoteWriteStats::new(stats.registry())?, &alerts);
                Some(Arc::new(started.map_err(|error| failed(StoreError::file(data.path(), error)))?))
            }
            None => None,
        };
        let state = Arc::new(State {
            memory: Memory::new(memory::fitting(limits.memory_bytes)),
            decoders: Decoders::new(limits.decoders),
            readers: Arc::new(Semaphore::new(limits.readers)),
            previews: Arc::new(Semaphore::new(limits.previews)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            exports: Arc::new(Semaphore::new(limits.exports)),
            stopping: tokio::sync::watch::Sender::new(false),
            sign_ins: Arc::new(Semaphore::new(limits.sign_ins)),
            oidc_sign_ins: Arc::new(Semaphore::new(limits.oidc_sign_ins)),
            page_url,
            trace_links,
            health: tokio::sync::Mutex::new(None),
            stats: Arc::new(stats),
            max_disk: retention.max_disk,
            started_at: clock::now() as f64 / 1e9,
            store: Box::new(Files::new(Arc::clone(&data), limits.clone()).beside(server.clone())),
            server,
            hosts: host::Hosts::new(network.hosts),
            proxies: peers::Proxies(network.trusted_proxies),
            peers: Arc::new(peers::Peers::new(&limits)),
            tls,
            visitors: Arc::new(Semaphore::new(limits.visitors)),
            answers: Arc::new(Semaphore::new(limits.answer_bytes)),
            limits,
            access,
            data,
            writers,
            patterns,
            learning,
            drift,
            alerts,
        });
        Ok(Self { listener, address, state, retention, probes, remote_write, sharing })
    }

    /// The URL of the page.
    pub fn url(&self) -> String {
        url_of(self.address, self.state.tls.as_deref())
    }

    /// The address it listens on, with the port that port 0 became.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` resolves, then lets the requests under way finish within
    /// [`Limits::stop_timeout`] and the writers store what they hold.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, state, retention, probes, remote_write, sharing, .. } = self;
        let router = router(Arc::clone(&state));
        let graceful = GracefulShutdown::new();
        let alerting = [
            tokio::spawn(alerting::evaluate(Arc::clone(&state.alerts))),
            tokio::spawn(alerting::deliver(Arc::clone(&state.alerts))),
            tokio::spawn(alerting::keep_lease(Arc::clone(&state.alerts))),
            tokio::spawn(alerting::exchange(Arc::clone(&state.alerts))),
        ];
        let upkeep =
            tokio::spawn(jobs::upkeep(Arc::clone(&state.writers), Arc::clone(&state.data), retention));
        let closing = state.server.clone().map(|server| tokio::spawn(server.keep_closing()));
        let announcing =
            state.server.clone().map(|server| tokio::spawn(server.keep_announcing(Arc::clone(&state.data))));
        let sharing = sharing.map(|sharing| tokio::spawn(sharing.keep(state.stopping.subscribe())));
        let probing = tokio::spawn(probes::keep(probes, Arc::clone(&state.writers)));
        // It reads the files by itself, so that the end of the service does not wait for it.
        let writing = remote_write.map(|remote_write| {
            let store =
                Files::new(Arc::clone(&state.data), state.limits.clone()).beside(state.server.clone());
            tokio::spawn(remote_write.collect(Arc::new(store), state.limits.clone()))
        });
        let watching = tokio::spawn(jobs::watch_access(Arc::clone(&state)));
        let signing = tokio::spawn({
            let state = Arc::clone(&state);
            async move { state.access.keep_sessions().await }
        });
        let following = state.tls.clone().map(|tls| tokio::spawn(tls::follow(tls, Arc::clone(&state.stats))));
        tokio::select! {
            () = stop => {}
            () = connections::accept(&listener, &state, &router, &graceful) => {}
        }
        drop(listener);
        state.stopping.send_replace(true);
        following.into_iter().chain(writing).chain(closing).chain(announcing).for_each(|task| task.abort());
        watching.abort();
        signing.abort();
        probing.abort();
        alerting.iter().for_each(tokio::task::JoinHandle::abort);
        upkeep.abort();
        // They are done when they have let go of the writers and the state.
        let _ = tokio::join!(upkeep, watching, signing, probing);
        let _ = tokio::time::timeout(state.limits.stop_timeout, graceful.shutdown()).await;
        alerting::leave(&state.alerts).await;
        if let Some(sharing) = sharing
            && let Ok(sharing) = sharing.await
        {
            // It stores the numbers of bodies that it has read, before the task tells the rest.
            let watching = Arc::clone(&state);
            let _ = tokio::task::spawn_blocking(move || watching.drift.finish()).await;
            sharing.tell_rest().await;
        }
        drop(router);
        // The last owner of the state joins the writers; a runtime's thread should not wait for them.
        let _ = tokio::task::spawn_blocking(move || drop(state)).await;
    }
}

fn url_of(address: SocketAddr, tls: Option<&tls::Tls>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn router(state: Arc<State>) -> Router {
    let receive = |signal| {
        post(move |state, who, client, headers, body| {
            otlp::receive(signal, state, who, client, headers, body)
        })
    };
    let api =
        api::routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    api.route("/v1/metrics", receive(Signal::Metrics))
        .route("/v1/logs", receive(Signal::Logs))
        .route("/v1/traces", receive(Signal::Traces))
        .route("/metrics", get(stats))
        .route(traffic::PATH, get(traffic::traffic))
        .route(route_patterns::PATH, get(hand_back::patterns))
        .route("/healthz", get(api::health))
        .route("/auth/start", get(oidc::start))
        .route(CALLBACK, get(oidc::callback))
        .route("/api/{*path}", any(api::no_path))
        .route("/v1/{*path}", any(api::no_path))
        .fallback(assets::serve)
        // A request passes these from the last to the first.
        .layer(from_fn_with_state(Arc::clone(&state), access::guard))
        .layer(from_fn_with_state(Arc::clone(&state), bounds::keep))
        .layer(from_fn_with_state(Arc::clone(&state), host::check))
        .layer(from_fn_with_state(Arc::clone(&state), harden))
        .layer(from_fn_with_state(Arc::clone(&state), measure))
        .with_state(state)
}

/// Counts an answer and the time it took.
async fn measure(
    extract::State(state): extract::State<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    // The page's files and unknown paths would be names without end.
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    state.stats.answered(path.as_deref().unwrap_or("page"), response.status().as_u16(), begun.elapsed());
    response
}

/// The service's own metrics, for Prometheus.
async fn stats(extract::State(state): extract::State<Arc<State>>) -> Response {
    let gauges = Gauges {
        memory_bytes: state.memory.taken(),
        queues: state.writers.queues(),
        store_bytes: state.data.sizes(),
        troubles: state.data.troubles().len(),
        store_limit: state.max_disk,
        removals: state.data.removals(),
        free_bytes: state.data.free_bytes(),
        damaged: state.data.quarantine().known().pieces,
        scrubbed: state.data.scrub().last(),
        scrubbing: state.data.scrub().progress(),
        answer_bytes: state.limits.answer_bytes.saturating_sub(state.answers.available_permits()),
        tls_outdated: state.tls.as_ref().is_some_and(|tls| tls.trouble().is_some()),
        started_at: state.started_at,
    };
    match state.stats.render(&gauges) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Headers that hold for every answer.
async fn harden(extract::State(state): extract::State<Arc<State>>, request: Request, next: Next) -> Response {
    // A browser would hold all of localhost to TLS, and other services with it.
    let strict = state.tls.is_some() && state.hosts.names(request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // The page has a policy of its own; nothing else is for a window or a frame.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if strict {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}
