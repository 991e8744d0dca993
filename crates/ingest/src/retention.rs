//! How long data is kept.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ages beyond which data is removed, once an hour and at the start.
///
/// Ages count from the latest time that senders reported, or from now, whichever is earlier: a clock of the ingest that
/// jumps ahead removes nothing.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Counts by minute. Older ones are kept by half hour.
    pub minutes: Duration,
    /// Counts by half hour.
    pub half_hours: Duration,
    /// The request log, by whole days of receipt.
    pub requests: Duration,
    /// Identities of batches of counters: no sender repeats one after this time.
    pub batches: Duration,
    /// The state of a gateway that no longer reports.
    pub gateways: Duration,
    /// Bytes that the files may take. Beyond, the oldest bodies go, then the oldest requests of the log, then the oldest
    /// counts, whatever the ages are. `None`: no limit.
    pub max_disk: Option<u64>,
    /// Entries of the audit log.
    pub audit: Duration,
    /// Between two scrubs: no file is older unread.
    pub scrub: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            minutes: 30 * DAY,
            half_hours: 396 * DAY,
            requests: 15 * DAY,
            batches: DAY,
            gateways: 30 * DAY,
            max_disk: None,
            audit: 396 * DAY,
            scrub: 7 * DAY,
        }
    }
}

/// The time that lies `age` before another, both in Unix nanoseconds.
pub(crate) fn before(time: i64, age: Duration) -> i64 {
    time.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}
