//! Requests with changes, for destinations with delta temporality: see [`crate::shared::delta`].

use std::rc::Rc;
use std::time::Duration;

use super::Worker;
use crate::counters::Place;
use crate::export::{ExportRequest, Snapshot};
use crate::host::Host;
use crate::shared::delta::{self, Verdict};
use crate::shared::slot::{Slot, Stage};

/// Beyond the time that a request waits for its answer, the time after which none can come any more.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

impl Worker {
    /// Whether a request with the next counters for a destination may be made. Before a request with changes the last one must have
    /// its answer, whichever worker began it: this one takes it over when that one can have no answer any more.
    pub(super) fn may_begin(&mut self, host: &impl Host, destination: usize, now_ns: u64) -> bool {
        if self.counters.to(destination).is_none_or(|counters| !counters.is_delta()) {
            return true;
        }
        let store = self.shared.store();
        let unanswered = delta::unanswered(host, store, destination);
        let Some(counters) = self.counters.to(destination).filter(|counters| counters.takes()) else {
            return false;
        };
        let Some(unanswered) = unanswered else {
            // Another worker has the answer for which this one would ask again.
            counters.drop_waiting();
            return true;
        };
        if !counters.has_no_request() {
            if counters.sequence().is_some_and(|own| own != unanswered.sequence) {
                counters.drop_waiting();
            }
            return false;
        }
        let Some(to) = self.config.destinations.get(destination) else { return false };
        let timeout_ns = to.timeout.saturating_add(ANSWER_MARGIN).as_nanos() as u64;
        // A time that is ahead was before the clock was set back.
        let waited = now_ns.checked_sub(unanswered.sent_ns).is_none_or(|waited_ns| waited_ns > timeout_ns);
        if waited {
            match delta::batch(host, store, destination, unanswered.sequence) {
                Some(batch) => {
                    let request = ExportRequest {
                        body: Rc::new(batch.body),
                        compression: batch.compression,
                        events: 0,
                        bodies: 0,
                        was_sent: true,
                        sequence: Some(batch.sequence),
                        closed_ns: now_ns,
                    };
                    let slots = batch.series.iter().map(|(slot, _)| *slot).collect();
                    let finished =
                        batch.series.iter().filter_map(|(slot, value)| finished_place(*slot, value));
                    counters.adopt(request, slots, finished.collect());
                }
                // It was never written to its end, so it was never sent.
                None => delta::settle(host, store, destination, unanswered.sequence, Verdict::Refused),
            }
        }
        false
    }

    /// Writes a request with changes into shared data, from where any leader can repeat it: see [`delta::begin`]. False if that cannot
    /// be done now.
    pub(super) fn begin(
        &mut self,
        host: &impl Host,
        destination: usize,
        (request, snapshot, settled): (&ExportRequest, &Snapshot, u64),
        now_ns: u64,
    ) -> bool {
        let is_delta = self.counters.to(destination).is_some_and(|counters| counters.is_delta());
        if !is_delta || snapshot.series.is_empty() {
            return true;
        }
        let Some(sequence) = request.sequence else { return false };
        let batch = delta::Batch {
            sequence,
            time_ns: snapshot.time_ns,
            compression: request.compression,
            body: request.body.to_vec(),
            series: snapshot.series.iter().map(|(slot, value)| (*slot, value.clone())).collect(),
        };
        delta::begin(host, self.shared.store(), destination, (&batch, settled), now_ns)
    }
}

/// The place of a series whose values are final.
fn finished_place(slot: u32, value: &[u8]) -> Option<Place> {
    let Slot { start_ns, stage, .. } = Slot::read(value)?;
    (stage == Stage::Closed).then_some(Place { slot, start_ns })
}
