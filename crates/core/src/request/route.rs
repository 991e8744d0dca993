//! From a path to a route of low cardinality: templates, Envoy's route name, inference.

mod notation;
mod segment;
mod template;
mod tree;

pub use template::{MAX_TEMPLATE_BYTES, Template, TemplateError};
pub use tree::{Conflict, Templates};

pub use gatelens_model::value::UNMATCHED;
pub use gatelens_routes::{Inferred, MAX_ROUTE_BYTES, infer};

/// The origin of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RouteSource {
    /// Inferred from the path, or `__unmatched__`.
    #[default]
    Inferred,
    /// A configured template.
    Template,
    /// The name of Envoy's route.
    RouteName,
}

impl RouteSource {
    /// The value of `gatelens.route.source`; `None` for an inferred route, which has no such attribute.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Inferred => None,
            Self::Template => Some("template"),
            Self::RouteName => Some("route_name"),
        }
    }

    /// Whether the operator configured the route, so that it is one of few and nothing may be folded into it.
    pub fn is_configured(self) -> bool {
        self != Self::Inferred
    }

    /// Two bits for a series key.
    pub(crate) fn to_bits(self) -> u8 {
        self as u8
    }

    /// `None` for bits that only a newer version of the filter can read.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Inferred),
            1 => Some(Self::Template),
            2 => Some(Self::RouteName),
            _ => None,
        }
    }
}
