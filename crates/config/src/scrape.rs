//! The section `scrape`.

use gatelens_model::{attribute, prometheus};
use serde::{Deserialize, Serialize};

/// Makes this plugin the endpoint that Prometheus scrapes, in place of one that counts: it answers from the counters of the plugin
/// with the same name, `root_id`, `vm_id` and configuration, this section aside. It needs a listener of its own. Default: absent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Scrape {
    /// The path that is answered; every other one is 404. Default `/metrics`.
    pub path: String,
    /// The labels of the series, of `http_request_method`, `http_route`, `http_response_status_code`, `error_type`,
    /// `gatelens_consumer_id`, `service_name` and `deployment_environment_name`. Series that differ in none of them are added up.
    pub labels: Vec<String>,
    /// Most series on the page. Further ones are added up in one, whose method, route and consumer are `__overflow__`. Default 1,000.
    #[cfg_attr(feature = "schema", schemars(range(min = *crate::bounds::SCRAPED_SERIES.start(), max = *crate::bounds::SCRAPED_SERIES.end())))]
    pub max_series: u32,
}

impl Default for Scrape {
    fn default() -> Self {
        let labels = prometheus::LABELS.iter().filter(|name| **name != attribute::CONSUMER_ID);
        Self {
            path: "/metrics".to_owned(),
            labels: labels.map(|name| prometheus::label(name)).collect(),
            max_series: 1_000,
        }
    }
}
