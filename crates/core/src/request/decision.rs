//! The decision about a request: count, log, capture.

use super::Facts;
use super::RequestPlan;

/// The decision about a request, made before any of its parts is redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it adds to its series.
    pub count: Counting,
    /// Whether an event is written.
    pub log: Logging,
}

/// Whether a request adds to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It does.
    Counted,
    /// It is excluded.
    Excluded,
}

/// Whether a request has an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logging {
    /// It has.
    Logged(Capturing),
    /// It is excluded, or not in the sample.
    Skipped,
}

/// Whether an event has the bodies that the configuration captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capturing {
    /// It has.
    Bodies,
    /// Neither body is redacted or logged.
    NoBodies,
}

impl Decision {
    /// Counted, and logged with bodies.
    pub const EVERYTHING: Decision =
        Decision { count: Counting::Counted, log: Logging::Logged(Capturing::Bodies) };
}

/// Decides about a request. No option excludes requests or samples them yet, so each is counted and logged.
pub fn decide(_plan: &RequestPlan, _facts: &Facts<'_>) -> Decision {
    Decision::EVERYTHING
}
