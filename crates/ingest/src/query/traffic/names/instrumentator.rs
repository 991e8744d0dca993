//! The names of `prometheus-fastapi-instrumentator`, as the default metrics of version 8.1 are written.

use super::super::metrics::{Body, Metric, Traffic, What};
use super::{Source, Truth, bounds, owned, part_of_name, patterns, truth};
use crate::error::QueryError;
use crate::query::glob::Glob;
use crate::query::params::Params;
use gatelens_model::value;
use std::sync::Arc;

const GROUP_UNTEMPLATED: &str = "should_group_untemplated";
/// Its options that are read. An instrumentator and its default metrics have them as arguments.
pub(super) const OPTIONS: [&str; 11] = [
    "should_group_status_codes",
    "should_ignore_untemplated",
    GROUP_UNTEMPLATED,
    "should_instrument_requests_inprogress",
    "should_only_respect_2xx_for_highr",
    "excluded_handlers",
    "inprogress_name",
    "metric_namespace",
    "metric_subsystem",
    "latency_highr_buckets",
    "latency_lowr_buckets",
];
const HIGHR_BUCKETS: [f64; 21] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0,
    30.0, 60.0,
];
const LOWR_BUCKETS: [f64; 3] = [0.1, 0.5, 1.0];
/// The handler of requests that no route takes.
const NONE: &str = "none";

/// The options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Instrumentator {
    groups_statuses: Truth,
    /// Of a request that no route takes; `None`: it is not counted.
    untemplated: Option<&'static str>,
    has_active: Truth,
    highr_of_2xx: Truth,
    excluded: Vec<Glob>,
    active_name: String,
    /// Before the names of the other metrics.
    prefix: String,
    highr: Arc<[u64]>,
    lowr: Arc<[u64]>,
}

impl Instrumentator {
    pub(super) fn read(params: &Params) -> Result<Self, QueryError> {
        let is_left_out = truth(params, "should_ignore_untemplated", Truth::No)? == Truth::Yes;
        let is_grouped = truth(params, GROUP_UNTEMPLATED, Truth::Yes)? == Truth::Yes;
        let mut prefix = String::new();
        for part in ["metric_namespace", "metric_subsystem"] {
            let part = part_of_name(params, part, "")?;
            if !part.is_empty() {
                prefix = format!("{prefix}{part}_");
            }
        }
        Ok(Self {
            groups_statuses: truth(params, "should_group_status_codes", Truth::Yes)?,
            untemplated: match (is_left_out, is_grouped) {
                (true, _) => None,
                (false, true) => Some(NONE),
                (false, false) => Some(value::UNMATCHED),
            },
            has_active: truth(params, "should_instrument_requests_inprogress", Truth::No)?,
            highr_of_2xx: truth(params, "should_only_respect_2xx_for_highr", Truth::No)?,
            excluded: patterns(params, "excluded_handlers")?,
            active_name: part_of_name(params, "inprogress_name", "http_requests_inprogress")?,
            prefix,
            highr: bounds(params, "latency_highr_buckets", &HIGHR_BUCKETS)?,
            lowr: bounds(params, "latency_lowr_buckets", &LOWR_BUCKETS)?,
        })
    }

    pub(super) fn metrics(&self, source: &Source<'_>) -> Traffic {
        let handler = |route: &str| {
            let is_excluded = self.excluded.iter().any(|excluded| excluded.takes(route));
            let handler = if route == value::UNMATCHED { self.untemplated? } else { route };
            (!is_excluded).then(|| handler.to_owned())
        };
        let status = |status: &str| match (self.groups_statuses, status.get(..1)) {
            (Truth::Yes, Some(class)) => format!("{class}xx"),
            _ => status.to_owned(),
        };
        let is_in_highr = |status: &str| self.highr_of_2xx == Truth::No || status.starts_with('2');
        let tables = vec![
            source.table(&["handler", "method", "status"], |seen| {
                Some(owned([&handler(seen.route)?, seen.method, &status(seen.status)]))
            }),
            source.table(&["handler"], |seen| Some(vec![handler(seen.route)?])),
            source.table(&[], |seen| {
                handler(seen.route)?;
                is_in_highr(seen.status).then(Vec::new)
            }),
            source.table(&["handler", "method"], |seen| Some(owned([&handler(seen.route)?, seen.method]))),
            match self.has_active {
                Truth::Yes => source.active(&[], |_| Vec::new()),
                Truth::No => Default::default(),
            },
        ];
        let metric = |name: &str, help, what| Metric::new(format!("{}{name}", self.prefix), help, what);
        let [highr, lowr] = [&self.highr, &self.lowr].map(|bounds| What::DurationsAt(Arc::clone(bounds)));
        Traffic::new(tables)
            .with(
                0,
                metric(
                    "http_requests_total",
                    "Total number of requests by method, status and handler.",
                    What::Requests,
                ),
            )
            .with(
                1,
                metric(
                    "http_request_size_bytes",
                    "Bytes of request bodies by handler.",
                    What::SizeSummary(Body::Request),
                ),
            )
            .with(
                1,
                metric(
                    "http_response_size_bytes",
                    "Bytes of response bodies by handler.",
                    What::SizeSummary(Body::Response),
                ),
            )
            .with(2, metric("http_request_duration_highr_seconds", "Latency with many buckets.", highr))
            .with(3, metric("http_request_duration_seconds", "Latency with few buckets by handler.", lowr))
            .with(
                4,
                Metric::new(self.active_name.clone(), "Number of HTTP requests in progress.", What::Active),
            )
    }
}
