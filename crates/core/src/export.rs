//! Export: counters and request log on their way to the destinations, as OTLP over HTTP callouts.
//!
//! [`Pipeline`] sends the requests of one signal to one destination: at most one or two in flight, in order, with back-off. Its
//! requests come from [`LogExport`], which every worker has, and from [`CounterExport`], which works in the leader alone.

mod answer;
mod backoff;
mod batch;
mod config;
mod counters;
mod counters_of_all;
mod deflate;
mod gzip;
mod log;
pub mod patterns;
mod pipeline;
mod queue;
mod request;

pub use answer::Answer;
pub use backoff::Backoff;
pub use batch::LogBatch;
pub use config::{Destination, ExportConfig};
pub use counters::{Answered, CounterExport, MAX_HISTORY_BYTES, MAX_REQUEST_SERIES, Snapshot};
pub use counters_of_all::{CounterExports, Settlement};
pub use gzip::compress;
pub use log::{Closing, Drafts, LogExport};
pub use patterns::PatternFetch;
pub use pipeline::{Pipeline, Sender, Settled};
pub use request::{ExportRequest, RootId};

use std::time::Duration;

/// A request older than this is dropped. Receivers remember sequence numbers for at least as long.
pub const MAX_AGE: Duration = Duration::from_secs(300);
