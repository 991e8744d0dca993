//! From a path to a route of low cardinality: templates, Envoy's route name, inference.

mod template;

pub use template::{Template, TemplateError, Templates};

pub use gatelens_model::value::UNMATCHED;
pub use gatelens_routes::{Inferred, MAX_ROUTE_BYTES, infer};
