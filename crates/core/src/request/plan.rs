//! The part of a compiled configuration that decides about requests.

use gatelens_redact::Redactor;
use gatelens_redact::capture::Capture;

use super::consumer::ConsumerPlan;
use super::report::{ReportPlan, ResponseHeaders};
use super::route::Templates;
use super::{Foresight, Selection};
use crate::config::Direction;
use crate::host::InfoNeeds;

/// The way of each request, compiled. Using it cannot fail.
#[derive(Debug)]
pub struct RequestPlan {
    /// Direction of the traffic.
    pub direction: Direction,
    /// The way to the consumer.
    pub consumer: ConsumerPlan,
    /// Configured templates.
    pub templates: Templates,
    /// Whether Envoy's route name is used.
    pub use_route_name: bool,
    /// Whether routes are inferred.
    pub infer_routes: bool,
    /// Whether series tell consumers apart.
    pub count_consumers: bool,
    /// Whether series tell hosts apart.
    pub count_hosts: bool,
    /// Whether series tell upstream clusters apart.
    pub count_upstreams: bool,
    /// The requests that are counted and logged.
    pub selection: Selection,
    /// The parts of a request that the log keeps.
    pub capture: Capture,
    /// The response header that the log keeps, in lower case, if it can only be this one.
    pub only_response_header: Option<String>,
    /// The response headers that the filter removes.
    pub response_headers: ResponseHeaders,
    /// The headers of these in which the application reports about the request.
    pub report: ReportPlan,
    /// Masks secrets.
    pub redactor: Redactor,
}

impl RequestPlan {
    /// Whether a response header must not be logged, because it is read for another purpose.
    pub fn is_read_header(&self, name: &[u8]) -> bool {
        self.response_headers.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }

    /// The values that its requests need beside those that every request needs.
    pub fn info_needs(&self) -> InfoNeeds<'_> {
        let is_logged = self.selection.foresight() != Foresight::Always;
        InfoNeeds {
            client_address: is_logged || self.consumer.reads_client_address(),
            upstream_cluster: is_logged || self.count_upstreams,
            protocol: is_logged,
            response_header: self.only_response_header.as_deref(),
        }
    }
}
