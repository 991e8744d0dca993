//! Per-worker heartbeats and statistics.
//!
//! Each worker keeps a record (`worker/<n>`): a row with a number that changes at each tick, then its [`WorkerStats`].
//! The leader adds the records up. If the number stops changing, the worker was lost to a trap: the events that it held
//! are counted as lost, and the loss is an incident. A worker that ends in good order adds its record to `totals`
//! itself: a row with the number of workers lost, then the statistics of all that ended.

use hashbrown::HashMap;

use super::row::{add_numbers, put_numbers, set_numbers, take_numbers};
use super::store::SharedStore;
use crate::host::{Host, Version};
use crate::stats::{FleetStats, WorkerStats};

/// Maximum number of workers of a process; more than any Envoy has.
const MAX_WORKERS: u32 = 1_024;

/// Ticks of the leader, and a time, after which an unchanged record belongs to no worker any more. Both must pass,
/// because a clock can jump, and because all workers pause when the process is stopped and continued.
const LOST_AFTER_TICKS: u32 = 15;
const LOST_AFTER_NS: u64 = 10_000_000_000;

/// The beat of a record that no worker uses.
const UNUSED: u64 = 0;

/// One worker's record, and its view of the others.
#[derive(Debug, Default)]
pub struct Heartbeats {
    /// Of this worker's record.
    number: Option<u32>,
    beat: u64,
    /// Statistics that this worker reported last, under all its records.
    last: WorkerStats,
    /// Sums that were reported under records that are closed.
    closed: WorkerStats,
    watched: HashMap<u32, Watched>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    beat: u64,
    ticks: u32,
    since_ns: u64,
}

/// A record in shared data.
#[derive(Clone, Debug, Default)]
struct Record {
    /// [`UNUSED`], or a number that changes at each tick.
    beat: u64,
    /// [`WorkerStats::numbers`], with those that a newer version has appended.
    stats: Vec<u64>,
}

impl Heartbeats {
    /// Writes this worker's record.
    #[inline(never)]
    pub fn report(&mut self, host: &impl Host, store: &SharedStore, stats: &WorkerStats) {
        if let Some(number) = self.number {
            let written = self.beat;
            self.beat = self.beat.saturating_add(1);
            if self.replace(host, store, number, written, stats) {
                self.last = *stats;
                return;
            }
            // The leader has closed the record as that of a lost worker, and counted the events that it held as lost.
            self.on_closed();
        }
        self.beat = host.random() | 1;
        let is_free = |number: &u32| self.replace(host, store, *number, UNUSED, stats);
        self.number = (0..MAX_WORKERS).find(is_free);
        if self.number.is_some() {
            self.last = *stats;
        }
    }

    /// Closes this worker's record; the events that it still holds are lost with it.
    pub fn deregister(&mut self, host: &impl Host, store: &SharedStore, stats: &WorkerStats) {
        self.report(host, store, stats);
        let Some(number) = self.number else { return };
        let key = key(store, number);
        if let Some((value, version)) = host.shared_get(&key)
            && let record = Record::decode(&value)
            && record.beat == self.beat
            && host.shared_set(&key, &Record::default().encode(), version).is_ok()
        {
            add_to_totals(host, store, record.stats, 0);
        }
        self.on_closed();
    }

    /// Adds all workers up, and closes the records of those that were lost.
    #[inline(never)]
    pub fn survey(&mut self, host: &impl Host, store: &SharedStore, now_ns: u64) -> FleetStats {
        let mut workers = 0u32;
        let mut sum = Vec::new();
        for number in 0..MAX_WORKERS {
            let key = key(store, number);
            let Some((value, version)) = host.shared_get(&key) else { break };
            let record = Record::decode(&value);
            if record.beat == UNUSED {
                continue;
            }
            if self.stands_still(number, record.beat, now_ns)
                && host.shared_set(&key, &Record::default().encode(), version).is_ok()
            {
                self.watched.remove(&number);
                add_to_totals(host, store, record.stats, 1);
                continue;
            }
            add_numbers(&mut sum, &record.stats);
            workers = workers.saturating_add(1);
        }
        let totals = totals(host, store);
        let (lost, ended) = totals.split_first().unwrap_or((&0, &[]));
        add_numbers(&mut sum, ended);
        FleetStats { stats: WorkerStats::from_numbers(&sum), workers, workers_lost: *lost }
    }

    /// Writes this worker's record over the one with that beat; false if another is there.
    fn replace(
        &self,
        host: &impl Host,
        store: &SharedStore,
        number: u32,
        beat: u64,
        stats: &WorkerStats,
    ) -> bool {
        let key = key(store, number);
        let stats = stats.since(&self.closed);
        let record = Record { beat: self.beat, stats: stats.numbers() };
        for _ in 0..3 {
            let (present, version) = match host.shared_get(&key) {
                None => (UNUSED, Version::ABSENT),
                Some((value, version)) => (Record::decode(&value).beat, version),
            };
            if present != beat {
                return false;
            }
            if host.shared_set(&key, &record.encode(), version).is_ok() {
                return true;
            }
        }
        false
    }

    fn stands_still(&mut self, number: u32, beat: u64, now_ns: u64) -> bool {
        let fresh = Watched { beat, ticks: 0, since_ns: now_ns };
        let watched = self.watched.entry(number).or_insert(fresh);
        if watched.beat != beat {
            *watched = fresh;
        }
        watched.ticks = watched.ticks.saturating_add(1);
        watched.ticks > LOST_AFTER_TICKS && now_ns.saturating_sub(watched.since_ns) > LOST_AFTER_NS
    }

    /// This worker's record is closed. The events held at its last report count as lost, so they count as captured
    /// again if the worker continues.
    fn on_closed(&mut self) {
        self.number = None;
        self.closed = self.last.without_held();
    }
}

/// Requests in progress on all workers, as they reported them last.
pub fn active_requests(host: &impl Host, store: &SharedStore) -> u64 {
    let records = (0..MAX_WORKERS).map_while(|number| host.shared_get(&key(store, number)));
    let used = records.map(|(value, _)| Record::decode(&value)).filter(|record| record.beat != UNUSED);
    let active = used.map(|record| WorkerStats::from_numbers(&record.stats).active_requests);
    active.fold(0, u64::saturating_add)
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut row = vec![self.beat];
        row.extend_from_slice(&self.stats);
        let mut out = Vec::new();
        put_numbers(&mut out, &row);
        out
    }

    /// A damaged record belongs to no worker.
    fn decode(mut value: &[u8]) -> Self {
        let row = take_numbers(&mut value).unwrap_or_default();
        let (beat, stats) = row.split_first().unwrap_or((&UNUSED, &[]));
        Self { beat: *beat, stats: stats.to_vec() }
    }
}

fn key(store: &SharedStore, number: u32) -> Vec<u8> {
    store.key(format_args!("worker/{number}"))
}

fn add_to_totals(host: &impl Host, store: &SharedStore, mut closed: Vec<u64>, lost: u64) {
    let mut stats = WorkerStats::from_numbers(&closed);
    // The events that a closed record held get no other fate.
    stats.end();
    let mut known = stats.numbers();
    known.resize(known.len().max(closed.len()).min(WorkerStats::NUMBERS), 0);
    set_numbers(&mut closed, &known);
    closed.insert(0, lost);
    let _ = store.update(host, format_args!("totals"), |present| {
        let mut sum = present.map_or(Ok(Vec::new()), |mut value| take_numbers(&mut value))?;
        add_numbers(&mut sum, &closed);
        let mut out = Vec::new();
        put_numbers(&mut out, &sum);
        Ok(out)
    });
}

fn totals(host: &impl Host, store: &SharedStore) -> Vec<u64> {
    let value = host.shared_get(&store.key(format_args!("totals"))).map(|(value, _)| value);
    value.and_then(|value| take_numbers(&mut &value[..]).ok()).unwrap_or_default()
}
