//! The exporter's part of a worker: the counters on their way to the ingest. Idle on all workers but the elected one.
//!
//! What is sent is cumulative, so a lost request costs no count. It would cost time, though: one value after an hour
//! without ingest cannot tell the minutes apart. So while nothing is taken, the changes of each minute are kept as a
//! [`Snapshot`] and sent in order later; when they exceed [`HISTORY_BYTES`], neighbours are joined, shortest first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::delivery::{Answer, Backoff, InFlight, Parcel};

/// Most series in one request: about half a megabyte before compression.
pub const FRAME_SERIES: usize = 500;

/// With no traffic, metrics are sent this often all the same, so that a silent gateway and a dead one differ.
const HEARTBEAT_NS: u64 = 10_000_000_000;

/// Bytes of snapshots kept: an hour of some hundred busy series.
pub const HISTORY_BYTES: usize = 4 * 1024 * 1024;

const MINUTE_NS: u64 = 60_000_000_000;

/// Values of the series that changed in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// End of the span.
    pub time_ns: u64,
    /// Its length.
    pub span_ns: u64,
    /// By slot, as shared data holds them.
    pub series: BTreeMap<u32, Vec<u8>>,
}

impl Snapshot {
    fn bytes(&self) -> usize {
        // A map's entry takes about as much again as a short value.
        self.series.values().map(|value| value.len().saturating_add(64)).sum()
    }

    /// Takes a later one in: of a series in both, the later value contains the earlier.
    fn join(&mut self, later: Snapshot) {
        self.time_ns = later.time_ns;
        self.span_ns = self.span_ns.saturating_add(later.span_ns);
        self.series.extend(later.series);
    }

    /// The span, if it is so long that its minutes cannot be told apart.
    pub fn coarse_span_ns(&self) -> Option<u64> {
        (self.span_ns > MINUTE_NS).then_some(self.span_ns)
    }
}

/// The state of the exporter.
#[derive(Debug, Default)]
pub struct Export {
    /// Whether this worker holds the office.
    pub leading: bool,
    /// Slots that changed since they were last put into a snapshot.
    pub changed: BTreeSet<u32>,
    /// A request that is to be sent, or sent again.
    pub waiting: Option<Parcel>,
    /// A request without an answer yet.
    pub in_flight: Option<InFlight>,
    /// When to try again.
    pub backoff: Backoff,
    history: VecDeque<Snapshot>,
    /// Slots in the request that waits or is under way.
    current: Vec<u32>,
    last_sent_ns: u64,
    /// Up to when all changes are in a snapshot.
    covered_ns: u64,
    ticked_ns: u64,
}

impl Export {
    /// Whether there is nothing to send.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none()
            && self.waiting.is_none()
            && self.changed.is_empty()
            && self.history.is_empty()
    }

    /// Another worker leads now, and begins with all series. A request that was begun is still finished, for its
    /// sequence number is given out.
    pub fn give_up(&mut self) {
        if std::mem::take(&mut self.leading) {
            self.changed.clear();
            self.history.clear();
        }
    }

    /// Adds what changed since the last tick.
    pub fn tick(&mut self, changed: impl IntoIterator<Item = u32>, now_ns: u64) {
        if self.changed.is_empty() {
            self.covered_ns = self.ticked_ns;
        }
        self.ticked_ns = now_ns;
        self.changed.extend(changed);
    }

    /// While nothing is taken: puts the changes of a minute that is over into the history.
    pub fn keep_minute(&mut self, now_ns: u64, read: impl Fn(u32) -> Option<Vec<u8>>) {
        let minute_ns = now_ns.saturating_sub(now_ns.checked_rem(MINUTE_NS).unwrap_or(0));
        let stuck = self.waiting.is_some() || self.in_flight.is_some();
        if stuck && minute_ns > self.covered_ns && !self.changed.is_empty() {
            let snapshot = self.snapshot(minute_ns, usize::MAX, read);
            self.history.push_back(snapshot);
            self.bound_history();
        }
    }

    /// The next snapshot to send: the oldest that is kept, else what changed, else nothing unless it is time for a sign
    /// of life.
    pub fn next(&mut self, now_ns: u64, read: impl Fn(u32) -> Option<Vec<u8>>) -> Option<Snapshot> {
        let mut next = match self.history.pop_front() {
            Some(kept) => kept,
            None if !self.changed.is_empty() || now_ns.saturating_sub(self.last_sent_ns) >= HEARTBEAT_NS => {
                self.snapshot(now_ns, FRAME_SERIES, read)
            }
            None => return None,
        };
        if next.series.len() > FRAME_SERIES
            && let Some((first_of_rest, _)) = next.series.iter().nth(FRAME_SERIES)
        {
            let series = next.series.split_off(&first_of_rest.clone());
            self.history.push_front(Snapshot { series, ..next });
        }
        self.current = next.series.keys().copied().collect();
        Some(next)
    }

    /// Has the next request go out even if no count has changed.
    pub fn speak(&mut self) {
        self.last_sent_ns = 0;
    }

    /// A request went out.
    pub fn sent(&mut self, sent: InFlight, now_ns: u64) {
        self.in_flight = Some(sent);
        self.last_sent_ns = now_ns;
    }

    /// The request under way was answered.
    pub fn answered(&mut self, parcel: Parcel, answer: Answer) {
        match answer {
            Answer::Taken { .. } => self.current.clear(),
            Answer::Later { .. } => self.waiting = Some(parcel),
            // These bytes will never be taken; newer values of the same series, in another request, may.
            Answer::Refused => self.changed.extend(self.current.drain(..)),
        }
    }

    fn snapshot(&mut self, time_ns: u64, most: usize, read: impl Fn(u32) -> Option<Vec<u8>>) -> Snapshot {
        let span_ns = time_ns.saturating_sub(self.covered_ns);
        let mut snapshot = Snapshot {
            time_ns,
            span_ns: if self.covered_ns == 0 { 0 } else { span_ns },
            ..Snapshot::default()
        };
        while snapshot.series.len() < most {
            let Some(slot) = self.changed.pop_first() else { break };
            snapshot.series.extend(read(slot).map(|value| (slot, value)));
        }
        if self.changed.is_empty() {
            self.covered_ns = time_ns;
        }
        snapshot
    }

    fn bound_history(&mut self) {
        while self.history.iter().map(Snapshot::bytes).sum::<usize>() > HISTORY_BYTES {
            let spans = self.history.iter().zip(self.history.iter().skip(1));
            let together = spans.map(|(a, b)| a.span_ns.saturating_add(b.span_ns)).enumerate();
            let Some((shortest, _)) = together.min_by_key(|(_, span_ns)| *span_ns) else { break };
            if let Some(later) = self.history.remove(shortest.saturating_add(1))
                && let Some(earlier) = self.history.get_mut(shortest)
            {
                earlier.join(later);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Compression;

    fn parcel() -> Parcel {
        Parcel {
            body: Vec::new(),
            compression: Compression::None,
            events: 0,
            bodies: 0,
            was_sent: false,
            sequence: Some(1),
            closed_ns: 0,
        }
    }

    fn value(slot: u32) -> Option<Vec<u8>> {
        Some(vec![slot as u8; 1_000])
    }

    fn stuck_since(start_ns: u64) -> Export {
        Export { waiting: Some(parcel()), covered_ns: start_ns, ticked_ns: start_ns, ..Export::default() }
    }

    #[test]
    fn each_minute_of_an_outage_is_kept_and_sent_in_order() {
        let mut export = stuck_since(30_000_000_000);
        for second in 31..200u64 {
            export.tick([(second / 60) as u32], second * 1_000_000_000);
            export.keep_minute(second * 1_000_000_000, value);
        }
        export.waiting = None;
        let mut kept = Vec::new();
        while let Some(snapshot) =
            export.next(200_000_000_000, value).filter(|snapshot| !snapshot.series.is_empty())
        {
            assert_eq!(snapshot.coarse_span_ns(), None);
            kept.push((snapshot.time_ns / 1_000_000_000, snapshot.series.into_keys().collect::<Vec<_>>()));
        }
        // The first second of a minute is read with the minute before: the tick comes after its end.
        assert_eq!(kept, [(60, vec![0, 1]), (120, vec![1, 2]), (180, vec![2, 3]), (200, vec![3])]);
    }

    #[test]
    fn a_history_beyond_its_bound_becomes_coarser_and_loses_no_series() {
        let mut export = stuck_since(MINUTE_NS);
        for minute in 2..700u64 {
            export.tick((0..30).map(|n| n + (minute as u32 % 2) * 30), minute * MINUTE_NS);
            export.keep_minute(minute * MINUTE_NS, value);
            assert!(export.history.iter().map(Snapshot::bytes).sum::<usize>() <= HISTORY_BYTES);
        }
        let spans: Vec<u64> = export.history.iter().map(|snapshot| snapshot.span_ns / MINUTE_NS).collect();
        assert_eq!(spans.iter().sum::<u64>(), 698);
        assert!(spans.iter().all(|minutes| *minutes <= 16), "evenly: {spans:?}");
        assert!(export.history.iter().any(|snapshot| snapshot.coarse_span_ns().is_some()));
        assert_eq!(export.history.iter().flat_map(|s| s.series.keys()).collect::<BTreeSet<_>>().len(), 60);
    }

    #[test]
    fn a_large_snapshot_goes_in_several_requests() {
        let mut export = stuck_since(MINUTE_NS);
        export.changed.extend(0..1_200);
        export.keep_minute(2 * MINUTE_NS, value);
        export.waiting = None;
        let sizes: Vec<usize> =
            (0..3).map(|_| export.next(3 * MINUTE_NS, value).unwrap().series.len()).collect();
        assert_eq!(sizes, [500, 500, 200]);
    }

    #[test]
    fn what_is_refused_is_sent_anew_with_what_comes_later() {
        let mut export = Export::default();
        export.changed.extend([3, 5]);
        export.next(MINUTE_NS, value).unwrap();
        assert!(export.changed.is_empty());
        export.answered(parcel(), Answer::Refused);
        assert_eq!(export.changed, BTreeSet::from([3, 5]));
    }
}
