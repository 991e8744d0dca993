//! All of gatelens' analytics, independent of the host that runs it.
//!
//! The filter (package `gatelens`) is a thin edge around this crate: it implements [`host::Host`] with Envoy's host
//! calls and hands every life-cycle callback to [`lifecycle::Plugin`]. Nothing here knows proxy-wasm, so everything runs
//! natively in tests.
//!
//! The way of one request: [`filter::StreamFilter`] copies bodies while they pass, [`exchange::Exchange`] reads what the
//! host knows at the end of the stream and redacts what is kept ([`redact`]), [`lifecycle::Worker`] counts it
//! ([`counters`]) and writes its log record ([`event`]); on the next tick the counts are merged into shared data
//! ([`shared`]) and both leave as OTLP ([`otlp`]) in batches ([`export`]).
//!
//! Code in this crate never panics, whatever the input: a trap would take a worker's virtual machine down.

#![deny(clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod config;
pub mod consumer;
pub mod counters;
pub mod event;
pub mod exchange;
pub mod export;
pub mod filter;
mod hash;
pub mod host;
pub mod lifecycle;
pub mod otlp;
pub mod outcome;
pub mod overhead;
pub mod pairs;
pub mod plan;
pub mod route;
pub mod shared;
pub mod stats;
pub mod trace;

/// The version of the filter, as it is reported in `gatelens.version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
