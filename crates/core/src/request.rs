//! The way of one request: read, facts, decision, record.
//!
//! [`FinishedRequest`] reads what the host knows at the end of a stream. [`Facts`] are what follows from it, unredacted.
//! [`decide`] chooses what is counted, logged and captured. [`record`](FinishedRequest::record) redacts only what was
//! chosen and hands over a series and an event.

pub mod access_log;
pub mod authority;
pub mod consumer;
mod decision;
pub mod event;
mod exclusion;
mod facts;
mod few;
pub mod overhead;
mod pattern;
mod plan;
pub mod protocol;
mod record;
pub mod report;
pub mod route;
mod sampling;
pub mod scheme;
pub mod trace;

pub use decision::{Capturing, Counting, Decision, Foresight, Logging, Selection, TraceSampling, decide};
pub use facts::{Facts, Fingerprint, FinishedRequest};
pub use plan::RequestPlan;
pub use record::Context;
