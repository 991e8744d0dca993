//! Counting: series, their caps and their values.
//!
//! A request adds a [`Measurement`] to the [`Values`] of one [`Series`]. A worker keeps its counts in [`Pending`] until
//! the next tick merges them into shared data ([`crate::shared`]).

mod cardinality;
mod pending;
mod series;
mod values;

pub use cardinality::{Caps, Cardinality, OVERFLOW_SERIES};
pub use pending::{Entry, Pending};
pub use series::{Dimension, Dimensions, Series, SeriesKey};
pub use values::{Measurement, Values};
