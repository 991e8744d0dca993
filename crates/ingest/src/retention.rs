//! How long things are kept.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ages beyond which things are removed, once an hour and at the start.
///
/// Age is counted back from the latest time that senders told, or from now, whichever is earlier: a clock of the
/// ingest that jumps ahead removes nothing.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Counts by minute. Older ones are kept by half hour.
    pub minutes: Duration,
    /// Counts by half hour.
    pub half_hours: Duration,
    /// The request log, by whole days of receipt.
    pub requests: Duration,
    /// Identities of batches of counters: no sender repeats one for so long.
    pub batches: Duration,
    /// What is known of a gateway that reports no more.
    pub gateways: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            minutes: 30 * DAY,
            half_hours: 396 * DAY,
            requests: 15 * DAY,
            batches: DAY,
            gateways: 30 * DAY,
        }
    }
}

/// The time so long before another, both in Unix nanoseconds.
pub(crate) fn before(time: i64, age: Duration) -> i64 {
    time.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}
