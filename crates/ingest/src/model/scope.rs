//! The traffic that shares route patterns.

use super::SeriesKey;
use gatelens_model::value;

/// The traffic that shares route patterns: of one service in one environment and direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) service: String,
    pub(crate) environment: String,
    pub(crate) direction: String,
}

impl Scope {
    pub(crate) fn of_series(series: &SeriesKey) -> Self {
        Self {
            service: series.service.to_string(),
            environment: series.environment.to_string(),
            direction: series.direction.to_string(),
        }
    }

    pub(crate) fn holds(&self, series: &SeriesKey) -> bool {
        (&*self.service, &*self.environment, &*self.direction)
            == (&*series.service, &*series.environment, &*series.direction)
    }
}

/// Source of a route that a sender other than a gateway of ours gave: a template of its framework.
pub(crate) const SENDER: &str = "sender";

/// Whether learned patterns may replace a route: sentinels such as `__unmatched__` are no paths.
pub(crate) fn is_path(route: &str) -> bool {
    route.starts_with('/')
}

impl Default for Scope {
    fn default() -> Self {
        Self { service: String::new(), environment: String::new(), direction: value::INBOUND.to_owned() }
    }
}
