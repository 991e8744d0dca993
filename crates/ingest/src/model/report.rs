//! The state of a gateway itself, as it reports it.

use gatelens_model::NotLogged;
use gatelens_model::fate::{DropReason, Fate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a gateway dropped records of its log, by the names of `gatelens.event.fate`.
pub(crate) const DROP_REASONS: [DropReason; 4] =
    [DropReason::QueueFull, DropReason::Rejected, DropReason::Expired, DropReason::Lost];

/// The state of a gateway at one moment, all counts since the start of its epoch. What it did not report is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Report {
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) captured: Option<u64>,
    pub(crate) sent: Option<u64>,
    /// In the order of [`DROP_REASONS`].
    pub(crate) dropped: [Option<u64>; 4],
    pub(crate) queue_bytes: Option<u64>,
    pub(crate) export_failures: Option<u64>,
    pub(crate) workers: Option<u64>,
    pub(crate) workers_lost: Option<u64>,
    /// Requests that the filter could not count.
    pub(crate) uncounted: Option<u64>,
    /// Requests without an event, in the order of [`NotLogged::ALL`].
    pub(crate) not_logged: [Option<u64>; NotLogged::ALL.len()],
    /// Requests that the configuration leaves out of the counters.
    pub(crate) excluded_from_counters: Option<u64>,
    pub(crate) active_requests: Option<u64>,
    pub(crate) busy_seconds: Option<f64>,
    /// How much time before `time` the counts sent with this report cover, where that is more than a minute.
    pub(crate) interval_seconds: Option<f64>,
}

impl Report {
    /// The interval of which only the sum of the counts is known: from and to in Unix nanoseconds.
    pub(crate) fn coarse(&self) -> Option<(i64, i64)> {
        let seconds = self.interval_seconds?;
        Some((self.time.saturating_sub((seconds * 1e9) as i64), self.time))
    }
}

/// The name of a reason, in the API and on the wire.
pub(crate) fn drop_reason_name(reason: DropReason) -> &'static str {
    Fate::Dropped(reason).name()
}

/// The redaction report of one request of a gateway; counts are since the start of its epoch. `None` leaves what is
/// known as it is, a value replaces it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Redaction {
    /// Unix nanoseconds.
    pub(crate) time: i64,
    /// All rules in force, in the order in which they came.
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) bodies: Option<Bodies>,
}

/// A rule by its name, and its number of matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) rule: String,
    pub(crate) hits: u64,
}

/// Fates of bodies by message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bodies {
    pub(crate) request: Fates,
    pub(crate) response: Fates,
}

/// Bodies that were captured, and those that were omitted, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fates {
    pub(crate) captured: u64,
    pub(crate) omitted: BTreeMap<String, u64>,
}
