//! All of gatelens' analytics, independent of the host that runs it.
//!
//! The filter (package `gatelens`) is a thin edge around this crate: it implements the traits of [`host`] with Envoy's
//! host calls and hands every life-cycle callback to [`lifecycle::Plugin`]. Nothing here knows proxy-wasm, so
//! everything runs natively in tests.
//!
//! The way of one request: [`filter::StreamFilter`] copies bodies as they stream through. [`request`] reads what the
//! host knows at the end of the stream, decides what is counted and logged, and redacts that. [`lifecycle::Worker`]
//! counts the request ([`counters`]) and writes its event. The next tick merges the counts into shared data
//! ([`shared`]). Both leave as OTLP ([`otlp`]) in batches ([`export`]). A scraper reads the shared counters instead ([`scrape`]).
//!
//! Code in this crate never panics, whatever the input: a trap would end a worker's Wasm VM.

#![deny(clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod counters;
pub mod export;
pub mod filter;
mod hash;
pub mod host;
pub mod lifecycle;
pub mod otlp;
pub mod outcome;
pub mod plan;
pub mod request;
pub mod scrape;
pub mod shared;
pub mod stats;

pub use gatelens_config as config;

/// The version of the filter, as it is reported in `gatelens.version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
