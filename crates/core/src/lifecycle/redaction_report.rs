//! Matches of rules and fates of bodies: those of this worker, and the report about all workers.

use crate::host::Host;
use crate::shared::redaction;
use crate::shared::{SharedStore, UpdateError};
use crate::stats::RedactionStats;

/// The report is repeated this often even if nothing has changed, nanoseconds.
const REPORT_NS: u64 = 60_000_000_000;

/// Counts of this worker that are not merged yet, and the last report.
#[derive(Debug, Default)]
pub(super) struct RedactionReport {
    pub(super) pending: RedactionStats,
    /// The last report, encoded, and its time.
    last: Option<(Vec<u8>, u64)>,
}

impl RedactionReport {
    /// Adds the counts of this worker to the shared ones. Counts that cannot be merged now stay pending.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub(super) fn merge(&mut self, host: &impl Host, store: &SharedStore) -> Result<(), UpdateError> {
        if !self.pending.is_empty() {
            redaction::merge(host, store, &self.pending)?;
            self.pending = RedactionStats::default();
        }
        Ok(())
    }

    /// Makes the next report due.
    pub(super) fn repeat(&mut self) {
        self.last = None;
    }

    /// Whether the shared counts have changed since the last report. Another worker may merge its counts after a report
    /// about the requests that they belong to.
    pub(super) fn has_news(&self, host: &impl Host, store: &SharedStore) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| *last != redaction::read(host, store))
    }

    /// The counts of all workers, if they have changed or the last report is old. They are not in every export, because
    /// a long list of rules can be larger than a few series. `rules` are listed even if they never matched.
    pub(super) fn take_if_due(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        rules: &[String],
        now_ns: u64,
    ) -> Option<RedactionStats> {
        let encoded = redaction::read(host, store);
        let is_old = |time_ns: u64| now_ns.saturating_sub(time_ns) >= REPORT_NS;
        if self.last.as_ref().is_some_and(|(last, time_ns)| *last == encoded && !is_old(*time_ns)) {
            return None;
        }
        let mut stats = redaction::decode(&encoded);
        stats.list_rules(rules);
        self.last = Some((encoded, now_ns));
        (!stats.is_empty()).then_some(stats)
    }
}
