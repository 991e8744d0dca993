//! From a path to a route of low cardinality.
//!
//! | module | content |
//! |---|---|
//! | [`shape`] | identifiers that are told by their shape alone |
//! | [`patterns`] | places at which traffic has shown a parameter, and the route of a path under them |
//! | [`learner`] | learns such places from the paths of finished requests |

#![deny(clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod learner;
pub mod patterns;
pub mod shape;

pub use learner::Learner;
pub use patterns::{Patterns, PatternsError};
pub use shape::{Inferred, infer};

/// Longest route in bytes; a longer inferred one is [`gatelens_model::value::UNMATCHED`].
pub const MAX_ROUTE_BYTES: usize = 256;
