//! Statistics of the filter itself: plain data, without shared data and without the wire.

mod redaction;

use crate::config::bounds;
use gatelens_model::NotLogged;
use gatelens_model::fate::{DropReason, Fate};

pub use redaction::RedactionStats;

/// Most destinations: the section `ingest` and those of the list.
pub const MAX_DESTINATIONS: usize = 1 + bounds::DESTINATIONS;

/// Events by fate. An event that was captured and has no fate yet is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Events written into a batch.
    pub captured: u64,
    by_fate: [u64; Fate::ALL.len()],
}

/// Statistics of the delivery to one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStats {
    /// Events by fate, in the form in which it gets them; of two forms, the log records.
    pub events: EventCounts,
    /// Of a destination that gets log records and spans, the events that are spans, too.
    pub spans: EventCounts,
    /// Bytes of events held.
    pub queue_bytes: u64,
    /// Attempts to deliver that failed.
    pub export_failures: u64,
}

/// Statistics of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// By destination.
    pub deliveries: [DeliveryStats; MAX_DESTINATIONS],
    /// Requests in progress; seen by filters only.
    pub active_requests: u64,
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

    /// In the order of a row.
    fn places(&mut self) -> impl Iterator<Item = &mut u64> {
        std::iter::once(&mut self.captured).chain(&mut self.by_fate)
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

impl DeliveryStats {
    /// Events that wait or are in flight count as lost: nobody holds them any more.
    fn lose_held(&mut self) {
        for events in [&mut self.events, &mut self.spans] {
            events.count(Fate::Dropped(DropReason::Lost), events.held());
        }
        self.queue_bytes = 0;
    }

    /// Events that are held were not captured.
    fn forget_held(&mut self) {
        for events in [&mut self.events, &mut self.spans] {
            events.captured = events.captured.saturating_sub(events.held());
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            events: self.events.since(&earlier.events),
            spans: self.spans.since(&earlier.spans),
            queue_bytes: self.queue_bytes,
            export_failures: self.export_failures.saturating_sub(earlier.export_failures),
        }
    }
}

impl WorkerStats {
    /// Most numbers of a row.
    pub const NUMBERS: usize = 6 + 8 + 6 + 14 * bounds::DESTINATIONS;

    /// The sums less those of an earlier time; gauges stay.
    #[inline(never)]
    pub fn since(&self, earlier: &WorkerStats) -> WorkerStats {
        let mut rest = *self;
        for (rest, earlier) in rest.deliveries.iter_mut().zip(&earlier.deliveries) {
            *rest = rest.since(earlier);
        }
        rest.busy_ns = rest.busy_ns.saturating_sub(earlier.busy_ns);
        rest.uncounted = rest.uncounted.saturating_sub(earlier.uncounted);
        rest.not_logged = rest.not_logged.since(&earlier.not_logged);
        rest.excluded_from_counters =
            rest.excluded_from_counters.saturating_sub(earlier.excluded_from_counters);
        rest
    }

    /// The worker is gone: it has no requests in progress, and events that it held are lost.
    pub fn end(&mut self) {
        self.active_requests = 0;
        self.deliveries.iter_mut().for_each(DeliveryStats::lose_held);
    }

    /// Without the events that are held, as if they were not captured.
    pub fn without_held(mut self) -> WorkerStats {
        self.deliveries.iter_mut().for_each(DeliveryStats::forget_held);
        self
    }

    /// All numbers, for a row in shared data: append only. Those at the end that are 0 are left out.
    #[inline(never)]
    pub fn numbers(&self) -> Vec<u64> {
        let mut all = *self;
        let mut row = vec![0; Self::NUMBERS];
        for (number, place) in row.iter_mut().zip(all.places()) {
            *number = *place;
        }
        while row.last() == Some(&0) {
            row.pop();
        }
        row
    }

    /// From a row in shared data. Numbers that an older version did not write are 0; those of a newer one are skipped.
    #[inline(never)]
    pub fn from_numbers(numbers: &[u64]) -> Self {
        let mut stats = Self::default();
        for (place, number) in stats.places().zip(numbers) {
            *place = *number;
        }
        stats
    }

    /// The places of all numbers in the order of a row: those of a gateway with one destination and one form of requests first.
    fn places(&mut self) -> impl Iterator<Item = &mut u64> {
        let [first, rest @ ..] = &mut self.deliveries;
        let [excluded, sampled_out] = &mut self.not_logged.by_reason;
        let others = [
            &mut first.queue_bytes,
            &mut self.active_requests,
            &mut first.export_failures,
            &mut self.busy_ns,
            &mut self.uncounted,
            excluded,
            sampled_out,
            &mut self.excluded_from_counters,
        ];
        let of_rest = rest.iter_mut().flat_map(|delivery| {
            let own = [&mut delivery.queue_bytes, &mut delivery.export_failures];
            delivery.events.places().chain(delivery.spans.places()).chain(own)
        });
        first.events.places().chain(others).chain(first.spans.places()).chain(of_rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers: Vec<u64> = (1..=WorkerStats::NUMBERS as u64).collect();
        let stats = WorkerStats::from_numbers(&numbers);
        assert_eq!(stats.numbers(), numbers);
        assert_eq!(WorkerStats::from_numbers(&numbers[..10]).uncounted, 0);
        assert_eq!(WorkerStats::default().numbers(), [0u64; 0]);
    }

    /// A change of these places breaks gateways that are upgraded.
    #[test]
    fn the_places_of_numbers_stay() {
        let stats = WorkerStats::from_numbers(&(1..=WorkerStats::NUMBERS as u64).collect::<Vec<_>>());
        let first = stats.deliveries[0];
        assert_eq!((first.events.captured, first.events.of(Fate::Sent)), (1, 2));
        assert_eq!((first.queue_bytes, stats.active_requests, first.export_failures), (7, 8, 9));
        assert_eq!((stats.busy_ns, stats.uncounted, stats.excluded_from_counters), (10, 11, 14));
        assert_eq!((first.spans.captured, stats.deliveries[1].events.captured), (15, 21));
        assert_eq!((stats.deliveries[1].queue_bytes, stats.deliveries[2].events.captured), (33, 35));
    }
}
