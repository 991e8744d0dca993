//! Statistics of the filter itself: plain data, without shared data and without the wire.

mod redaction;

use gatelens_model::NotLogged;
use gatelens_model::fate::Fate;

pub use redaction::RedactionStats;

/// Events by fate. An event that was captured and has no fate yet is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Events written into a batch.
    pub captured: u64,
    by_fate: [u64; Fate::ALL.len()],
}

/// Statistics of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Events by fate.
    pub events: EventCounts,
    /// Bytes of events held.
    pub queue_bytes: u64,
    /// Requests in progress; seen by filters only.
    pub active_requests: u64,
    /// Attempts to deliver that failed.
    pub export_failures: u64,
    /// Time spent in the filter's own code, nanoseconds; most requests are measured by samples.
    pub busy_ns: u64,
    /// Requests that were not counted because the host called the filter while the filter was calling the host.
    pub uncounted: u64,
    /// Requests without an event, by reason.
    pub not_logged: NotLoggedCounts,
    /// Requests that `exclude.counters` left out.
    pub excluded_from_counters: u64,
}

/// Requests without an event, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotLoggedCounts {
    by_reason: [u64; NotLogged::ALL.len()],
}

/// Statistics of all workers of a process together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetStats {
    /// The sum over all workers, those that ended included.
    pub stats: WorkerStats,
    /// Workers that count.
    pub workers: u32,
    /// Workers lost to a trap since the start of the epoch.
    pub workers_lost: u64,
}

impl EventCounts {
    /// Adds events with this fate.
    pub fn count(&mut self, fate: Fate, events: u64) {
        if let Some(count) = self.by_fate.get_mut(place(fate)) {
            *count = count.saturating_add(events);
        }
    }

    /// Events with this fate.
    pub fn of(&self, fate: Fate) -> u64 {
        self.by_fate.get(place(fate)).copied().unwrap_or(0)
    }

    /// All fates with their events.
    pub fn fates(&self) -> impl Iterator<Item = (Fate, u64)> {
        Fate::ALL.into_iter().zip(self.by_fate)
    }

    /// Events that wait or are in flight.
    pub fn held(&self) -> u64 {
        self.by_fate.iter().fold(self.captured, |held, events| held.saturating_sub(*events))
    }

    /// The counts less those of an earlier time.
    pub fn since(&self, earlier: &EventCounts) -> EventCounts {
        let mut rest = *self;
        rest.captured = rest.captured.saturating_sub(earlier.captured);
        for (rest, earlier) in rest.by_fate.iter_mut().zip(&earlier.by_fate) {
            *rest = rest.saturating_sub(*earlier);
        }
        rest
    }
}

impl NotLoggedCounts {
    /// Adds one request.
    pub fn count(&mut self, reason: NotLogged) {
        if let Some(count) = self.by_reason.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// All reasons with their requests.
    pub fn reasons(&self) -> impl Iterator<Item = (NotLogged, u64)> {
        NotLogged::ALL.into_iter().zip(self.by_reason)
    }

    fn since(&self, earlier: &NotLoggedCounts) -> NotLoggedCounts {
        let mut rest = *self;
        for (rest, earlier) in rest.by_reason.iter_mut().zip(&earlier.by_reason) {
            *rest = rest.saturating_sub(*earlier);
        }
        rest
    }
}

fn place(fate: Fate) -> usize {
    Fate::ALL.iter().position(|known| *known == fate).unwrap_or(Fate::ALL.len())
}

impl WorkerStats {
    /// The sums less those of an earlier time; gauges stay.
    pub fn since(&self, earlier: &WorkerStats) -> WorkerStats {
        WorkerStats {
            events: self.events.since(&earlier.events),
            export_failures: self.export_failures.saturating_sub(earlier.export_failures),
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            uncounted: self.uncounted.saturating_sub(earlier.uncounted),
            not_logged: self.not_logged.since(&earlier.not_logged),
            excluded_from_counters: self
                .excluded_from_counters
                .saturating_sub(earlier.excluded_from_counters),
            ..*self
        }
    }

    /// All numbers, for a row in shared data: append only.
    pub fn numbers(&self) -> [u64; 14] {
        let [excluded, sampled_out] = self.not_logged.by_reason;
        let [sent, queue_full, rejected, expired, lost] = self.events.by_fate;
        [
            self.events.captured,
            sent,
            queue_full,
            rejected,
            expired,
            lost,
            self.queue_bytes,
            self.active_requests,
            self.export_failures,
            self.busy_ns,
            self.uncounted,
            excluded,
            sampled_out,
            self.excluded_from_counters,
        ]
    }

    /// From a row in shared data. Numbers that an older version did not write are 0; those of a newer one are skipped.
    pub fn from_numbers(numbers: &[u64]) -> Self {
        let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
        Self {
            events: EventCounts {
                captured: number(0),
                by_fate: [number(1), number(2), number(3), number(4), number(5)],
            },
            queue_bytes: number(6),
            active_requests: number(7),
            export_failures: number(8),
            busy_ns: number(9),
            uncounted: number(10),
            not_logged: NotLoggedCounts { by_reason: [number(11), number(12)] },
            excluded_from_counters: number(13),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers: [u64; 14] = std::array::from_fn(|index| index as u64 + 1);
        assert_eq!(WorkerStats::from_numbers(&numbers).numbers(), numbers);
        assert_eq!(WorkerStats::from_numbers(&numbers[..10]).uncounted, 0);
    }
}
