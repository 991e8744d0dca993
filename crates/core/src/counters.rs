//! Counting: series, their caps and their values.
//!
//! A request adds a [`Measurement`] to the [`Values`] of one [`Series`]. A worker keeps its counts in [`Pending`] until
//! the next tick merges them into shared data ([`crate::shared`]).

mod cardinality;
mod pending;
mod series;
mod turnover;
mod values;
mod waiting;

pub use cardinality::{Caps, Cardinality, NameKind, OVERFLOW_SERIES};
pub use pending::{Entry, Pending, Place};
pub use series::{Dimension, Dimensions, Series, SeriesKey};
pub use turnover::{Bid, GivenUp, LOOK_NS, Turnover};
pub use values::{Measurement, Values};
pub use waiting::{Admission, FEWEST_REQUESTS, MAX_WAITING, Waiting};
