//! The part of a compiled configuration that decides about requests.

use gatelens_redact::Redactor;
use gatelens_redact::capture::Capture;

use super::consumer::Source;
use super::route::Templates;
use crate::config::Direction;

/// The way of each request, compiled. Using it cannot fail.
#[derive(Debug)]
pub struct RequestPlan {
    /// Direction of the traffic.
    pub direction: Direction,
    /// Sources of the consumer, in order.
    pub sources: Vec<Source>,
    /// Configured templates.
    pub templates: Templates,
    /// Whether Envoy's route name is used.
    pub use_route_name: bool,
    /// Whether routes are inferred.
    pub infer_routes: bool,
    /// Whether series tell consumers apart.
    pub count_consumers: bool,
    /// The parts of a request that the log keeps.
    pub capture: Capture,
    /// Masks secrets.
    pub redactor: Redactor,
}
