//! Where the counters and the log go, compiled.

use std::time::Duration;

use crate::config::{Compression, Direction, Limits, RequestsAs, Secret};
use crate::counters::Caps;
use crate::otlp::Resource;
use crate::shared::CounterSetId;
use crate::shared::sequence::Signal;

/// Everything that a worker needs to deliver its counters and log, whichever root context does it.
#[derive(Debug)]
pub struct ExportConfig {
    /// Identity of the counters.
    pub counters: CounterSetId,
    /// Caps of the series.
    pub caps: Caps,
    /// Bounds at which durations are counted exactly, nanoseconds.
    pub bounds_ns: Vec<u64>,
    /// The same in seconds, as configured.
    pub bounds_seconds: Vec<f64>,
    /// Bounds of memory and time.
    pub limits: Limits,
    /// Direction of the traffic.
    pub direction: Direction,
    /// The OTLP resource without `service.instance.id`, which belongs to the epoch.
    pub resource: Resource,
    /// `service.instance.id`, if the gateway has a name.
    pub instance: Option<String>,
    /// Whether there is an ingest. Without one nothing is exported.
    pub has_ingest: bool,
    /// Cluster of the ingest.
    pub cluster: String,
    /// `:authority`.
    pub authority: String,
    /// Path of the metrics.
    pub metrics_path: String,
    /// The signal in which requests are sent.
    pub requests_as: RequestsAs,
    /// Its path.
    pub requests_path: String,
    /// Path and query of the learned route patterns; `None` where routes are not inferred.
    pub patterns_path: Option<String>,
    /// Headers of the operator's own, names in lower case.
    pub headers: Vec<(String, Secret<String>)>,
    /// Compression of bodies.
    pub compression: Compression,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Names of the configured redaction rules: they are reported even if they never match.
    pub rules: Vec<String>,
}

/// `user-agent` of every request.
const USER_AGENT: &str = concat!("gatelens/", env!("CARGO_PKG_VERSION"));

impl ExportConfig {
    /// The signal in which requests are sent.
    pub fn signal_of_requests(&self) -> Signal {
        match self.requests_as {
            RequestsAs::Logs => Signal::Logs,
            RequestsAs::Spans => Signal::Traces,
        }
    }

    /// The headers that all requests to the receiver have: its name, the filter's, and the configured ones.
    pub fn common_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let configured = self.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_str()));
        [(":authority", self.authority.as_str()), ("user-agent", USER_AGENT)].into_iter().chain(configured)
    }
}
