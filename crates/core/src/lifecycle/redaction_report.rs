//! Matches of rules and fates of bodies: those of this worker, and the report about all workers.

use crate::host::Host;
use crate::shared::redaction;
use crate::shared::{SharedStore, UpdateError};
use crate::stats::{MAX_DESTINATIONS, RedactionStats};

/// The report is repeated this often even if nothing has changed, nanoseconds.
const REPORT_NS: u64 = 60_000_000_000;

/// Counts of this worker that are not merged yet, and the last reports.
#[derive(Debug, Default)]
pub(super) struct RedactionReport {
    pub(super) pending: RedactionStats,
    /// The last report to each destination, encoded, and its time.
    last: [Option<(Vec<u8>, u64)>; MAX_DESTINATIONS],
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

    /// Makes the next report to every destination due.
    pub(super) fn repeat(&mut self) {
        self.last = Default::default();
    }

    /// Makes the next report to a destination due.
    pub(super) fn repeat_to(&mut self, destination: usize) {
        if let Some(last) = self.last.get_mut(destination) {
            *last = None;
        }
    }

    /// The destinations for which the shared counts have changed since their last report. Another worker may merge its counts
    /// after a report about the requests that they belong to.
    pub(super) fn news(&self, host: &impl Host, store: &SharedStore) -> [bool; MAX_DESTINATIONS] {
        // Nothing is read before the first report.
        let present = self.last.iter().any(Option::is_some).then(|| redaction::read(host, store));
        self.last.each_ref().map(|last| {
            last.as_ref().zip(present.as_ref()).is_some_and(|((last, _), present)| last != present)
        })
    }

    /// The counts of all workers for a destination, if they have changed or its last report is old. They are not in every export, because
    /// a long list of rules can be larger than a few series. `rules` are listed even if they never matched.
    pub(super) fn take_if_due(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        (destination, rules): (usize, &[String]),
        now_ns: u64,
    ) -> Option<RedactionStats> {
        let last = self.last.get_mut(destination)?;
        let encoded = redaction::read(host, store);
        let is_old = |time_ns: u64| now_ns.saturating_sub(time_ns) >= REPORT_NS;
        if last.as_ref().is_some_and(|(last, time_ns)| *last == encoded && !is_old(*time_ns)) {
            return None;
        }
        let mut stats = redaction::decode(&encoded);
        stats.list_rules(rules);
        *last = Some((encoded, now_ns));
        (!stats.is_empty()).then_some(stats)
    }
}
