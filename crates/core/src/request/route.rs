//! From a path to a route of low cardinality: templates, Envoy's route name, inference.

mod infer;
mod template;

pub use infer::{Inferred, infer};
pub use template::{Template, TemplateError, Templates};

pub use gatelens_model::value::UNMATCHED;

/// Longest route in bytes; a longer inferred one is [`UNMATCHED`].
pub const MAX_ROUTE_BYTES: usize = 256;
