//! Where the counters and the log go, compiled.

use std::time::Duration;

use crate::config::{Compression, Direction, Limits, Secret, Temporality};
use crate::counters::Caps;
use crate::otlp::Resource;
use crate::otlp::requests::RecordForm;
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
    /// Whoever gets something, the section `ingest` first: at most [`MAX_DESTINATIONS`](crate::stats::MAX_DESTINATIONS). None where
    /// nothing leaves the gateway. Those of a worker never change, except for headers, compression and times.
    pub destinations: Vec<Destination>,
    /// Names of the configured redaction rules: they are reported even if they never match.
    pub rules: Vec<String>,
}

/// A receiver of counters, of requests or of both.
#[derive(Debug)]
pub struct Destination {
    /// Its name in metrics: the cluster and the prefix of the paths, and the authority where another one has the same.
    pub name: String,
    /// Its name in the gateway's log.
    pub title: String,
    /// The cluster.
    pub cluster: String,
    /// `:authority`.
    pub authority: String,
    /// Path of the metrics; `None` where it gets none.
    pub metrics_path: Option<String>,
    /// Temporality of the counters.
    pub temporality: Temporality,
    /// The forms in which it gets requests, each with its path.
    pub requests: Vec<(RecordForm, String)>,
    /// Path and query of the learned route patterns; `None` where it is not asked for any.
    pub patterns_path: Option<String>,
    /// Headers of the operator's own, names in lower case.
    pub headers: Vec<(String, Secret<String>)>,
    /// Compression of bodies.
    pub compression: Compression,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// `user-agent` of every request.
const USER_AGENT: &str = concat!("gatelens/", env!("CARGO_PKG_VERSION"));

impl ExportConfig {
    /// Whether any destination gets requests as spans.
    pub fn has_spans(&self) -> bool {
        let mut forms = self.destinations.iter().flat_map(|to| &to.requests);
        forms.any(|(form, _)| form.is_span())
    }
}

impl Destination {
    /// The path of a signal; `None` where it is not sent here.
    pub fn path(&self, signal: Signal) -> Option<&str> {
        if signal == Signal::Metrics {
            return self.metrics_path.as_deref();
        }
        let path = self.requests.iter().find(|(form, _)| form.signal() == signal);
        path.map(|(_, path)| path.as_str())
    }

    /// The headers that all requests to the receiver have: its name, the filter's, and the configured ones.
    pub fn common_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let configured = self.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_str()));
        [(":authority", self.authority.as_str()), ("user-agent", USER_AGENT)].into_iter().chain(configured)
    }
}
