//! The domain of the ingest: `wire` reads it, `store` keeps it, `query` answers with it.
//!
//! Nothing here knows OTLP, SQL or HTTP.

pub(crate) mod accumulate;
pub(crate) mod by_bound;
mod columns;
mod consumer;
mod counts;
mod identity;
mod rejections;
pub(crate) mod report;
pub(crate) mod request;
mod scope;
mod span;

pub(crate) use by_bound::{ByBound, DEFAULT_BOUNDS};
pub(crate) use columns::{Column, Columns};
pub(crate) use consumer::{ConsumerKey, ConsumerLabel, Labelled, labelled};
pub(crate) use counts::{MetricBatch, MetricPart, Point, SeriesKey, Tally, Temporality, Timing, Values};
pub(crate) use identity::{Gateway, Identity, Signal, Standing};
pub(crate) use rejections::{Rejection, Rejections};
pub(crate) use report::{Bodies, DROP_REASONS, Redaction, Report, Rule};
pub(crate) use request::{RequestBatch, RequestEvent, RequestPart, is_error, is_of_path_word, path_words};
pub(crate) use scope::{SENDER, Scope, is_path};
pub(crate) use span::{AppSpan, SpanPart};
