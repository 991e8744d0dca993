//! The sections `exclude` and `sample`: the requests that the counters and the log leave out.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use super::bounds;

/// Requests that are left out by name. Every list adds to the others: a request that one entry matches is left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Exclude {
    /// Requests that add to no series. `gatelens.requests.excluded_from_counters` has their number.
    pub counters: Exclusions,
    /// Requests that have no event, whatever their status. They are counted unless `exclude.counters` excludes them, too.
    pub log: LogExclusions,
}

/// Requests, by name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Exclusions {
    /// Paths without query, as the client sent them; `*` stands for any characters, slashes included. Without `*` the
    /// whole path must match; one slash at its end makes no difference. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::EXCLUSIONS)))]
    pub paths: Vec<String>,
    /// Methods in upper case; `_OTHER` stands for all unknown ones. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::EXCLUSIONS)))]
    pub methods: Vec<String>,
    /// User agents, in any case; `*` stands for any characters. Without `*` the whole agent must match. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::EXCLUSIONS)))]
    pub user_agents: Vec<String>,
}

/// Requests that the log leaves out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LogExclusions {
    /// Paths, as in `exclude.counters.paths`. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::EXCLUSIONS)))]
    pub paths: Vec<String>,
    /// Methods, as in `exclude.counters.methods`. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::EXCLUSIONS)))]
    pub methods: Vec<String>,
    /// User agents, as in `exclude.counters.user_agents`. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::EXCLUSIONS)))]
    pub user_agents: Vec<String>,
    /// Whether the built-in exclusions apply, too: health and readiness checks, `/favicon.ico`, `/robots.txt`,
    /// `/.well-known/`, the agents of probes and load balancers, and OPTIONS. Default true.
    pub defaults: bool,
}

impl Default for LogExclusions {
    fn default() -> Self {
        Self { paths: Vec::new(), methods: Vec::new(), user_agents: Vec::new(), defaults: true }
    }
}

/// The share of requests that have an event. Counters are exact, whatever the share.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Share of the requests that are logged, 0 to 1. All gateways make the same choice for one trace. Default 1.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::SAMPLE_RATE.start(), max = *bounds::SAMPLE_RATE.end())))]
    pub rate: f64,
    /// Log every error, whatever the rate: a status of 500 or more, no response, or a gRPC status other than 0. Default
    /// true.
    pub keep_errors: bool,
    /// Log every request that takes longer, whatever the rate, milliseconds; `null` keeps none for its duration. Default
    /// 1,000.
    #[cfg_attr(feature = "schema", schemars(range(min = *bounds::KEEP_SLOWER_THAN_MS.start(), max = *bounds::KEEP_SLOWER_THAN_MS.end())))]
    pub keep_slower_than_ms: Option<u32>,
    /// Consumers whose requests are all logged, whatever the rate, by their exact names. Default none.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEEP_CONSUMERS)))]
    pub keep_consumers: Vec<String>,
}

impl Default for Sample {
    fn default() -> Self {
        Self { rate: 1.0, keep_errors: true, keep_slower_than_ms: Some(1_000), keep_consumers: Vec::new() }
    }
}
