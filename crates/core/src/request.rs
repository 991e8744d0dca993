//! The way of one request: read, facts, decision, record.
//!
//! [`FinishedRequest`] reads what the host knows at the end of a stream. [`Facts`] are what follows from it, unredacted.
//! [`decide`] chooses what is counted, logged and captured. [`record`](FinishedRequest::record) redacts only what was
//! chosen and hands over a series and an event.

pub mod consumer;
mod decision;
pub mod event;
mod facts;
pub mod overhead;
mod plan;
mod record;
pub mod route;
pub mod scheme;
pub mod trace;

pub use decision::{Capturing, Counting, Decision, Logging, decide};
pub use facts::{Facts, Fingerprint, FinishedRequest};
pub use plan::RequestPlan;
pub use record::Context;
