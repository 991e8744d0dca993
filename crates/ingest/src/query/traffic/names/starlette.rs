//! The names of `starlette_exporter`, as version 0.24 writes them.

use super::super::metrics::{Body, Metric, Traffic, What};
use super::{Source, Truth, bounds, owned, part_of_name, patterns, truth, values};
use crate::error::QueryError;
use crate::query::glob::Glob;
use crate::query::params::Params;
use gatelens_model::value;
use std::sync::Arc;

const GROUP_PATHS: &str = "group_paths";
const APP_NAME: &str = "app_name";
const OPTIONAL_METRICS: &str = "optional_metrics";
/// Its options that are read. A middleware has them as arguments.
pub(super) const OPTIONS: [&str; 9] = [
    APP_NAME,
    "prefix",
    GROUP_PATHS,
    "filter_unhandled_paths",
    "group_unhandled_paths",
    "buckets",
    "skip_paths",
    "skip_methods",
    OPTIONAL_METRICS,
];
const DEFAULT_PREFIX: &str = "starlette";
/// The default of the Python client of Prometheus.
const DEFAULT_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// The path of requests that nothing handles, where these are grouped.
const UNKNOWN: &str = "__unknown__";
/// The metrics that are there on request, in the order in which they are written.
const OPTIONAL: [(&str, Body); 2] =
    [("request_body_size", Body::Request), ("response_body_size", Body::Response)];

/// The options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Starlette {
    prefix: String,
    /// Without one, the service's.
    app_name: Option<String>,
    /// Of a request that no route takes; `None`: it is not counted.
    unhandled: Option<&'static str>,
    buckets: Arc<[u64]>,
    skip_paths: Vec<Glob>,
    skip_methods: Vec<String>,
    optional: Vec<Body>,
}

impl Starlette {
    pub(super) fn read(params: &Params) -> Result<Self, QueryError> {
        if truth(params, GROUP_PATHS, Truth::Yes)? == Truth::No {
            let message = "there are no counters by path, only by route: leave group_paths out";
            return Err(QueryError::parameter(GROUP_PATHS, message.to_owned()));
        }
        let is_grouped = truth(params, "group_unhandled_paths", Truth::No)? == Truth::Yes;
        let is_left_out = truth(params, "filter_unhandled_paths", Truth::Yes)? == Truth::Yes;
        let optional = |name: &str| OPTIONAL.iter().find(|(known, _)| *known == name).map(|(_, body)| *body);
        let optional: Option<Vec<Body>> = values(params, OPTIONAL_METRICS).map(optional).collect();
        let Some(optional) = optional else {
            let known = OPTIONAL.map(|(name, _)| name).join(", ");
            let message = format!("{OPTIONAL_METRICS} must be some of {known}");
            return Err(QueryError::parameter(OPTIONAL_METRICS, message));
        };
        Ok(Self {
            prefix: part_of_name(params, "prefix", DEFAULT_PREFIX)?,
            app_name: params.one(APP_NAME)?.map(str::to_owned),
            unhandled: match (is_grouped, is_left_out) {
                (true, _) => Some(UNKNOWN),
                (false, true) => None,
                (false, false) => Some(value::UNMATCHED),
            },
            buckets: bounds(params, "buckets", &DEFAULT_BUCKETS)?,
            skip_paths: patterns(params, "skip_paths")?,
            skip_methods: values(params, "skip_methods").map(str::to_ascii_uppercase).collect(),
            optional,
        })
    }

    pub(super) fn metrics(&self, source: &Source<'_>) -> Traffic {
        let app_name = |service: &str| self.app_name.as_deref().unwrap_or(service).to_owned();
        let by_request = source.table(&["method", "path", "status_code", "app_name"], |seen| {
            let path = if seen.route == value::UNMATCHED { self.unhandled? } else { seen.route };
            let is_skipped = self.skip_paths.iter().any(|skipped| skipped.takes(seen.route))
                || self.skip_methods.iter().any(|skipped| skipped == seen.method);
            let values = owned([seen.method, path, seen.status, &app_name(seen.service)]);
            (!is_skipped).then_some(values)
        });
        let active = source.active(&["app_name"], |service| vec![app_name(service)]);
        let name = |suffix: &str| format!("{}_{suffix}", self.prefix);
        let mut traffic = Traffic::new(vec![by_request, active])
            .with(0, Metric::new(name("requests_total"), "Total HTTP requests", What::Requests))
            .with(
                0,
                Metric::new(
                    name("request_duration_seconds"),
                    "HTTP request duration, in seconds",
                    What::DurationsAt(Arc::clone(&self.buckets)),
                ),
            );
        for (_, body) in OPTIONAL.into_iter().filter(|(_, body)| self.optional.contains(body)) {
            let (suffix, help) = match body {
                Body::Request => ("request_body_bytes_total", "Total HTTP request body bytes"),
                Body::Response => ("response_body_bytes_total", "Total HTTP response body bytes"),
            };
            traffic = traffic.with(0, Metric::new(name(suffix), help, What::Bytes(body)));
        }
        let in_progress = "Total HTTP requests currently in progress";
        traffic.with(1, Metric::new(name("requests_in_progress"), in_progress, What::Active))
    }
}
