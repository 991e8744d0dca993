//! The plugin configuration as the operator writes it.
//!
//! [`Config`] mirrors the text and nothing else; the plan of `gatelens-core` is its compiled form. Unknown keys are refused, and
//! so are the keys of planned features: a rule that is silently skipped would leak a value that the operator meant to
//! mask.

#![deny(clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod bounds;
mod consumer;
pub mod defects;
mod error;
mod exclude;
mod locate;
mod report;
mod scrape;
mod secret;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use consumer::{Consumer, ConsumerLabel, ConsumerSource, DirectoryEntry};
pub use error::{ConfigError, Problem};
pub use exclude::{Exclude, Exclusions, LogExclusions, Sample};
pub use gatelens_redact::capture::CaptureConfig;
pub use gatelens_redact::{DetectorKind, RedactConfig};
pub use locate::Step;
pub use report::Report;
pub use scrape::Scrape;
pub use secret::Secret;

/// The whole configuration. The smallest one is `{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of the configuration's format.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::VERSION.start(), max = *bounds::VERSION.end())))]
    pub version: u32,
    /// The service that the traffic belongs to.
    #[serde(default)]
    pub service: Service,
    /// The receiver of counters and request log.
    pub ingest: Ingest,
    /// Further receivers, with the options of `ingest`: each has a queue, a back-off and fates of its own, and gets what it gets
    /// however the others do. Route patterns come from `ingest` alone. Other destinations begin new counters. Default empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::DESTINATIONS)))]
    pub destinations: Vec<Ingest>,
    /// The consumer, that is the caller, of a request.
    #[serde(default)]
    pub consumer: Consumer,
    /// Rules that turn paths into routes.
    #[serde(default)]
    pub routes: Routes,
    /// Response headers in which the application reports an error or tags.
    #[serde(default, skip_serializing_if = "Report::is_empty")]
    pub report: Report,
    /// Requests that the counters or the log leave out.
    #[serde(default)]
    pub exclude: Exclude,
    /// The share of requests that the log keeps.
    #[serde(default)]
    pub sample: Sample,
    /// The parts of each request that the log keeps.
    #[serde(default)]
    pub capture: CaptureConfig,
    /// The values that never leave the gateway.
    #[serde(default)]
    pub redact: RedactConfig,
    /// The counters and their bounds.
    #[serde(default)]
    pub counters: Counters,
    /// Bounds of memory and time.
    #[serde(default)]
    pub limits: Limits,
    /// Also writes each logged request as a line of JSON to the gateway's own log, at the level `info`.
    #[serde(default)]
    pub access_log: bool,
    /// Makes this plugin the endpoint that Prometheus scrapes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape: Option<Scrape>,
    /// Writes debug messages about the filter's work to the gateway's log.
    #[serde(default)]
    pub debug: bool,
}

/// The service that the traffic belongs to. It becomes the OTLP resource.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// `service.name`. Default `gateway`.
    #[cfg_attr(feature = "schema", schemars(length(min = *bounds::SERVICE_NAME.start(), max = *bounds::SERVICE_NAME.end())))]
    pub name: String,
    /// `service.version`. Default empty: not sent.
    #[cfg_attr(feature = "schema", schemars(length(max = *bounds::SERVICE_VERSION.end())))]
    pub version: String,
    /// `deployment.environment.name`. Default `default`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = bounds::ENVIRONMENT_PATTERN)))]
    pub environment: String,
    /// Additional labels, chosen by the operator.
    #[cfg_attr(feature = "schema", schemars(extend(
            "maxProperties" = bounds::TAGS,
            "propertyNames" = {"pattern": bounds::TAG_PATTERN},
            "additionalProperties" = {"type": "string", "maxLength": bounds::TAG_VALUE.end()},
        )))]
    pub tags: BTreeMap<String, String>,
    /// Whether the listener receives calls to the applications or calls that they make.
    pub direction: Direction,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            name: "gateway".into(),
            version: String::new(),
            environment: "default".into(),
            tags: BTreeMap::new(),
            direction: Direction::Inbound,
        }
    }
}

/// Direction of the traffic.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Calls to the applications: `http.server.*`.
    #[default]
    Inbound,
    /// Calls that the applications make, on an egress listener: `http.client.*`.
    Outbound,
}

impl Direction {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => gatelens_model::value::INBOUND,
            Self::Outbound => gatelens_model::value::OUTBOUND,
        }
    }
}

/// A receiver of counters and request log.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// If false, nothing leaves the gateway: the counters are only scraped, see `scrape`, and requests are only logged with
    /// `access_log`. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub enabled: bool,
    /// Name of the cluster in the gateway's configuration. Required unless `enabled` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = *bounds::CLUSTER.start(), max = *bounds::CLUSTER.end())))]
    pub cluster: Option<String>,
    /// `:authority` of the export requests. Default: the cluster's name.
    #[serde(default)]
    pub authority: Option<String>,
    /// Prefix of `/v1/metrics`, `/v1/logs` and `/v1/traces`; empty, or `/…` without a slash at the end. Default empty.
    #[serde(default)]
    pub path_prefix: String,
    /// Headers of every export request, for example `authorization`. The values are secrets: no hash and no log contains
    /// them.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret<String>>,
    /// Compression of export requests. Default `gzip`.
    #[serde(default)]
    pub compression: Compression,
    /// Time to wait for a response, milliseconds. Default 5,000.
    #[serde(default = "default_timeout_ms")]
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::TIMEOUT_MS.start(), max = *bounds::TIMEOUT_MS.end())))]
    pub timeout_ms: u32,
    /// Temporality of the traffic's metrics: `cumulative`, the default, or `delta` ([wire.md](wire.md)). Another value begins new
    /// counters.
    #[serde(default)]
    pub temporality: Temporality,
    /// OTLP signal in which requests are sent: `logs`, the default, `spans`, `both` or `none` ([wire.md](wire.md)). Another value
    /// begins new counters.
    #[serde(default)]
    pub requests_as: RequestsAs,
    /// Whether the counters are sent, as OTLP metrics. Another value begins new counters. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub metrics: bool,
}

fn yes() -> bool {
    true
}

/// The default is not written, so that it changes no hash.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(option: &bool) -> bool {
    *option
}

fn default_timeout_ms() -> u32 {
    5_000
}

/// Compression of export requests.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Six times smaller, for about as much CPU time as the rest of the filter takes.
    #[default]
    Gzip,
    /// Uncompressed, for an ingest that is near and a network that is cheap.
    None,
}

/// Temporality of the metrics.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Temporality {
    /// Since the start of the epoch. A lost export costs no count, and a repeated one counts once.
    #[default]
    Cumulative,
    /// Since the last acknowledged export, for receivers that take no cumulative values. An export without an answer is repeated
    /// as it was: a receiver that does not recognise repeats may count it twice.
    Delta,
}

/// OTLP signal in which requests are sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestsAs {
    /// OTLP log records, to `/v1/logs`.
    #[default]
    Logs,
    /// OTLP spans, to `/v1/traces`: of each request one of the gateway, and one of its upstream call. Requests whose
    /// `traceparent` is not sampled are left out.
    Spans,
    /// Log records of all requests, and spans of those whose trace is sampled. The record names the span; captured bodies are in
    /// the record alone. The gatelens ingest stores each request once.
    Both,
    /// Not at all: only the counters are sent.
    None,
}

/// Rules that turn paths into routes. The first that applies is used: a template, Envoy's route name, inference.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Routes {
    /// `[METHOD ]/path/{parameter}`; the most literal one wins. [templates.md](templates.md) has the notations. Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::TEMPLATES)))]
    pub templates: Vec<String>,
    /// Use the name of Envoy's route where no template matches. Default false.
    pub use_route_name: bool,
    /// Infer routes by replacing identifiers in the path: `/users/42` becomes `/users/{number}`. Default true.
    pub infer: bool,
}

impl Default for Routes {
    fn default() -> Self {
        Self { templates: Vec::new(), use_route_name: false, infer: true }
    }
}

/// The counters and their bounds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Counters {
    /// Maximum number of series. Requests of further series are counted in overflow series; those of a configured template
    /// give up their consumer first. Default 10,000.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::SERIES.start(), max = *bounds::SERIES.end())))]
    pub max_series: u32,
    /// Maximum number of consumers. Further consumers are counted together; their routes and statuses stay separate. Those
    /// with the most requests keep their names. Default 1,000.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::CONSUMERS.start(), max = *bounds::CONSUMERS.end())))]
    pub max_consumers: u32,
    /// Maximum number of routes, configured templates included, which are never counted together. Further routes are; their
    /// consumers and statuses stay separate. Those with the most requests keep their names. Default 2,000.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::ROUTES.start(), max = *bounds::ROUTES.end())))]
    pub max_routes: u32,
    /// Maximum number of hosts. Further hosts are counted together. Default 100.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::HOSTS.start(), max = *bounds::HOSTS.end())))]
    pub max_hosts: u32,
    /// Maximum number of upstream clusters. Further clusters are counted together. Default 100.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::UPSTREAMS.start(), max = *bounds::UPSTREAMS.end())))]
    pub max_upstreams: u32,
    /// Count per consumer. If false, the request log still contains the consumers. Default true.
    pub consumer: bool,
    /// Count per host that clients asked for (`server.address`). The request log contains the hosts in any case.
    /// Where it is not given, outbound traffic is counted per host, because OpenTelemetry's conventions require the host of
    /// a client's metrics, and inbound traffic is not.
    pub host: Option<bool>,
    /// Count per upstream cluster (`gatelens.upstream.cluster`). The request log contains the clusters in any case.
    /// Default false.
    pub upstream: bool,
    /// Upper bounds in seconds at which durations are also counted exactly, each larger than the one before. The default is
    /// that of OpenTelemetry's conventions.
    #[cfg_attr(feature = "schema", schemars(
        length(max = bounds::DURATION_BOUNDS),
        inner(range(min = *bounds::DURATION_BOUND.start(), max = *bounds::DURATION_BOUND.end())),
    ))]
    pub bounds_seconds: Vec<f64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            max_series: 10_000,
            max_consumers: 1_000,
            max_routes: 2_000,
            max_hosts: 100,
            max_upstreams: 100,
            consumer: true,
            host: None,
            upstream: false,
            bounds_seconds: vec![
                0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
            ],
        }
    }
}

/// Bounds of memory and time.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum number of bytes of events that wait to be sent, per worker. The bodies that are being captured have a bound
    /// of the same size. Default 8,388,608.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::QUEUE_BYTES.start(), max = *bounds::QUEUE_BYTES.end())))]
    pub queue_bytes: u32,
    /// A batch is closed at this number of events. Default 500.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::BATCH_EVENTS.start(), max = *bounds::BATCH_EVENTS.end())))]
    pub batch_events: u32,
    /// A batch is closed at this number of bytes. At most `queue_bytes`. Default 262,144.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::BATCH_BYTES.start(), max = *bounds::BATCH_BYTES.end())))]
    pub batch_bytes: u32,
    /// A batch is closed at this age, milliseconds. Default 1,000.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::FLUSH_MS.start(), max = *bounds::FLUSH_MS.end())))]
    pub flush_ms: u32,
    /// Largest part of a worker's time that the redaction of bodies may take, per cent, because every other request of the
    /// worker waits for it. Beyond it, bodies are omitted as `overload`. Bodies of more than 64 KiB are redacted in slices after their
    /// request has ended, and omitted where they cannot be; with 100 all of a body is redacted when its request ends. A compressed
    /// body counts with the most bytes that it can decode to: a hundred times its own, at most `capture.max_body_bytes`. Default 20.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::REDACTION_PERCENT.start(), max = *bounds::REDACTION_PERCENT.end())))]
    pub redaction_percent: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_bytes: 8_388_608,
            batch_events: 500,
            batch_bytes: 262_144,
            flush_ms: 1_000,
            redaction_percent: 20,
        }
    }
}

impl Config {
    /// Reads the text: its keys and their types. Compiling the plan also checks the values.
    ///
    /// # Errors
    /// The first defect, with its JSON path, line and column, and what to do.
    // Within a caller of another crate it would not be optimised for size.
    #[inline(never)]
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.trim().is_empty() {
            return Err(ConfigError::empty());
        }
        // As in `read`, but without its second deserializer, which takes 124 KB of the module (ADR 17). No type of this
        // configuration refuses a value.
        complete(text, |deserializer| {
            Self::deserialize(deserializer).map_err(|error| ConfigError::from_serde(text, &error))
        })
    }

    /// The configuration with its defaults as JSON, with keys in a fixed order and without secrets. Two texts with the same
    /// meaning have the same canonical form.
    #[inline(never)]
    pub fn canonical(&self) -> Vec<u8> {
        // All keys are text and nothing is read from outside, which are the two ways in which this could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Ingest {
    /// As [`Config::canonical`].
    #[inline(never)]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `:authority` of the export requests: the cluster's name where none is configured.
    pub fn authority(&self) -> &str {
        self.authority.as_ref().or(self.cluster.as_ref()).map_or("", String::as_str)
    }
}

/// Reads any strict configuration out of JSON.
///
/// # Errors
/// As [`Config::parse`].
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    complete(text, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| ConfigError::from_path(text, &error))
    })
}

type Json<'a> = serde_json::Deserializer<serde_json::de::StrRead<'a>>;

/// Reads the whole text as one value.
fn complete<'a, T>(
    text: &'a str,
    value: impl FnOnce(&mut Json<'a>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let config = value(&mut deserializer)?;
    deserializer.end().map_err(|error| ConfigError::from_json(&error))?;
    Ok(config)
}
