//! Who counts: the virtual machines of a process that share a ledger, and what each says of itself.
//!
//! Each machine keeps a record in shared data (`machine/<n>`): a number that changes with each tick, and its
//! [`Stats`]. The exporter adds them up. A record whose number stands still belonged to a machine that was lost to a
//! trap: what it held is counted as lost, and the loss as an incident. A machine that ends in good order adds its
//! record to `totals` itself.

use hashbrown::HashMap;

use crate::delivery::Tally;
use crate::host::{Host, Version};
use crate::ledger::Ledger;
use gatelens_model::varint;

/// Most machines of a process; more than any Envoy has workers.
const MOST_MACHINES: u32 = 1_024;

/// A record that stands still for so many ticks of the exporter, and so long, belongs to no machine any more. Both,
/// because a clock can jump, and because all machines stand still when the process is stopped and continued.
const LOST_AFTER_TICKS: u32 = 15;
const LOST_AFTER_NS: u64 = 10_000_000_000;

/// What a machine says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Log events by fate.
    pub tally: Tally,
    /// Bytes of log events held.
    pub queue_bytes: u64,
    /// Requests that have begun and not ended; seen by filters only.
    pub active_requests: u64,
    /// Attempts to deliver that failed.
    pub export_failures: u64,
    /// Time spent in the filter's own code, nanoseconds; exchanges are measured by samples.
    pub busy_ns: u64,
}

/// All machines together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The sum of what they say, those that ended included.
    pub stats: Stats,
    /// Machines at work.
    pub machines: u32,
    /// Machines lost to a trap since the start of the epoch.
    pub machines_lost: u64,
}

/// One machine's place among the others.
#[derive(Debug, Default)]
pub struct Roster {
    /// Of this machine's record.
    number: Option<u32>,
    beat: u64,
    /// What was reported under records that are closed.
    reported: Tally,
    watched: HashMap<u32, Watched>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    beat: u64,
    ticks: u32,
    since_ns: u64,
}

/// The beat of a record that no machine uses.
const NOBODY: u64 = 0;

/// A record in shared data.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// [`NOBODY`], or a number that changes with each tick.
    beat: u64,
    stats: Stats,
}

impl Roster {
    /// Says that this machine lives, and how it is.
    pub fn report(&mut self, host: &impl Host, ledger: &Ledger, stats: &Stats) {
        if let Some(number) = self.number {
            let written = self.beat;
            self.beat = self.beat.saturating_add(1);
            if self.replace(host, ledger, number, written, stats) {
                return;
            }
            // Another machine thought this one lost, and has counted what it held as lost.
            self.closed(&stats.tally);
        }
        self.beat = host.random() | 1;
        let is_free = |number: &u32| self.replace(host, ledger, *number, NOBODY, stats);
        self.number = (0..MOST_MACHINES).find(is_free);
    }

    /// Writes this machine's record over the one with that beat; false if another is there.
    fn replace(&self, host: &impl Host, ledger: &Ledger, number: u32, beat: u64, stats: &Stats) -> bool {
        let key = machine_key(ledger, number);
        let record =
            Record { beat: self.beat, stats: Stats { tally: stats.tally.since(&self.reported), ..*stats } };
        for _ in 0..3 {
            let (present, version) = match host.shared_get(key.as_bytes()) {
                None => (NOBODY, Version::ABSENT),
                Some((value, version)) => (Record::decode(&value).unwrap_or_default().beat, version),
            };
            if present != beat {
                return false;
            }
            if host.shared_set(key.as_bytes(), &record.encode(), version).is_ok() {
                return true;
            }
        }
        false
    }

    /// Closes this machine's record; what it still holds is lost with it.
    pub fn leave(&mut self, host: &impl Host, ledger: &Ledger, stats: &Stats) {
        self.report(host, ledger, stats);
        let Some(number) = self.number else { return };
        let key = machine_key(ledger, number);
        if let Some((value, version)) = host.shared_get(key.as_bytes())
            && let Some(record) = Record::decode(&value).filter(|record| record.beat == self.beat)
            && host.shared_set(key.as_bytes(), &Record::default().encode(), version).is_ok()
        {
            add_to_totals(host, ledger, &record.stats, 0);
        }
        self.closed(&stats.tally);
    }

    /// Adds all machines up, and closes the records of those that were lost.
    pub fn survey(&mut self, host: &impl Host, ledger: &Ledger, now_ns: u64) -> Survey {
        let mut survey = Survey::default();
        for number in 0..MOST_MACHINES {
            let key = machine_key(ledger, number);
            let Some((value, version)) = host.shared_get(key.as_bytes()) else { break };
            let Some(record) = Record::decode(&value).filter(|record| record.beat != NOBODY) else {
                continue;
            };
            if self.stands_still(number, record.beat, now_ns)
                && host.shared_set(key.as_bytes(), &Record::default().encode(), version).is_ok()
            {
                self.watched.remove(&number);
                add_to_totals(host, ledger, &record.stats, 1);
                continue;
            }
            survey.stats.add(&record.stats);
            survey.machines = survey.machines.saturating_add(1);
        }
        let (closed, machines_lost) = read_totals(host, ledger);
        survey.stats.add(&closed);
        survey.machines_lost = machines_lost;
        survey
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

    /// A record is closed that said this: what was held then counts as lost, so it is captured anew if it goes on.
    fn closed(&mut self, tally: &Tally) {
        self.number = None;
        self.reported = Tally { captured: tally.captured.saturating_sub(tally.held()), ..*tally };
    }
}

impl Stats {
    fn add(&mut self, other: &Stats) {
        self.tally.add(&other.tally);
        let pairs = [
            (&mut self.queue_bytes, other.queue_bytes),
            (&mut self.active_requests, other.active_requests),
            (&mut self.export_failures, other.export_failures),
            (&mut self.busy_ns, other.busy_ns),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let tally = self.tally.as_array();
        let rest = [self.queue_bytes, self.active_requests, self.export_failures, self.busy_ns];
        tally.into_iter().chain(rest).for_each(|number| varint::put(out, number));
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        let mut tally = [0; Tally::NUMBERS];
        for number in &mut tally {
            *number = varint::take(input)?;
        }
        Some(Self {
            tally: Tally::from_array(tally),
            queue_bytes: varint::take(input)?,
            active_requests: varint::take(input)?,
            export_failures: varint::take(input)?,
            busy_ns: varint::take(input)?,
        })
    }
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, self.beat);
        self.stats.encode(&mut out);
        out
    }

    fn decode(mut value: &[u8]) -> Option<Self> {
        Some(Self { beat: varint::take(&mut value)?, stats: Stats::decode(&mut value)? })
    }
}

fn machine_key(ledger: &Ledger, number: u32) -> String {
    ledger.key(format_args!("machine/{number}"))
}

fn add_to_totals(host: &impl Host, ledger: &Ledger, closed: &Stats, lost: u64) {
    let key = ledger.key(format_args!("totals"));
    let _ = ledger.update(host, &key, |present| {
        let (mut sum, machines_lost) = decode_totals(present.unwrap_or_default());
        sum.add(closed);
        // What a closed record held will have no other fate.
        sum.tally.lost = sum.tally.lost.saturating_add(closed.tally.held());
        (sum.queue_bytes, sum.active_requests) = (0, 0);
        let mut out = Vec::new();
        varint::put(&mut out, machines_lost.saturating_add(lost));
        sum.encode(&mut out);
        out
    });
}

fn read_totals(host: &impl Host, ledger: &Ledger) -> (Stats, u64) {
    let key = ledger.key(format_args!("totals"));
    host.shared_get(key.as_bytes()).map(|(value, _)| decode_totals(&value)).unwrap_or_default()
}

fn decode_totals(mut value: &[u8]) -> (Stats, u64) {
    let machines_lost = varint::take(&mut value).unwrap_or(0);
    (Stats::decode(&mut value).unwrap_or_default(), machines_lost)
}
