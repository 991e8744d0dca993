//! The counters in the data that all workers share.
//!
//! Keys, each behind `gatelens/1/<ledger id>/` (the format's version, then what tells this plugin's counters from those
//! of others in the same namespace):
//!
//! | key | value |
//! |---|---|
//! | `epoch` | epoch and start: made once, by whoever comes first |
//! | `page/<n>` | the directory: keys of series in the order of their slots, [`PAGE`] to a page |
//! | `slot/<n>` | a series' key and its values since the start of the epoch |
//! | `dirty` | a bit for each slot that changed since an exporter last took the bits |
//! | `lease` | who exports, and until when |
//! | `sequence/<signal>` | the last sequence number given out |
//! | `machine/<n>`, `totals` | what the virtual machines say of themselves, see [`crate::roster`] |
//! | `findings` | hits of rules and fates of bodies, see [`crate::findings`] |
//!
//! Every change is a compare-and-swap, so nothing is lost when all workers merge at once. A worker first merges a slot
//! and then sets its bit; the exporter first takes the bits and then reads the slots: a change is never missed. The cost
//! of a merge and of an export is that of the series that changed.

use std::fmt;
use std::time::Duration;

use crate::counters::{Census, Pending, SeriesKey, Values};
use crate::host::{Conflict, Host, Version};
use gatelens_model::varint;

/// Series to a page of the directory: what a worker reads again when another has added one.
const PAGE: usize = 128;

/// Attempts at a compare-and-swap before the work is left for the next tick. Each failure means that another worker
/// succeeded, so only a crowd far larger than the number of workers gets there.
const ATTEMPTS: usize = 64;

/// How long an exporter stays in office without renewing.
const LEASE: Duration = Duration::from_secs(4);

/// What tells this plugin's counters from all others in the same shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LedgerId(pub u64);

/// One life of the counters: from the first start of the plugin in a process to the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Random.
    pub id: u64,
    /// When it began, nanoseconds since the Unix epoch.
    pub start: u64,
}

/// What a sequence number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `/v1/metrics`.
    Metrics,
    /// `/v1/logs`.
    Logs,
}

/// Whether one is the exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Office {
    /// Another one is.
    None,
    /// One has been since the last time one asked, and nobody else in between.
    Kept,
    /// One is now; before, somebody else was, or nobody.
    Taken,
}

/// A worker's access to the shared counters.
#[derive(Debug)]
pub struct Ledger {
    prefix: String,
    epoch: Epoch,
    directory: DirectoryPosition,
}

/// How far this worker has read the directory.
#[derive(Debug, Default)]
struct DirectoryPosition {
    page: u32,
    entries: usize,
}

impl Ledger {
    /// Opens the counters, and begins an epoch if there is none.
    pub fn open(host: &impl Host, id: LedgerId) -> Self {
        let prefix = format!("gatelens/1/{:016x}/", id.0);
        let fresh = Epoch { id: host.random(), start: host.now() };
        let encoded = [fresh.id.to_le_bytes(), fresh.start.to_le_bytes()].concat();
        let key = format!("{prefix}epoch");
        let epoch = match host.shared_set(key.as_bytes(), &encoded, Version::ABSENT) {
            Ok(()) => Some(fresh),
            Err(Conflict) => host.shared_get(key.as_bytes()).and_then(|(value, _)| decode_epoch(&value)),
        };
        Self { prefix, epoch: epoch.unwrap_or(fresh), directory: DirectoryPosition::default() }
    }

    /// The epoch in progress.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Series in use, without the overflow series. Reads what other workers have added since the last call.
    pub fn series(&mut self, host: &impl Host, pending: &mut Pending) -> u32 {
        self.sync(host, pending);
        pending.placed().series()
    }

    /// Adds all pending counts to the shared ones. What cannot be merged now stays pending.
    pub fn merge(&mut self, host: &impl Host, pending: &mut Pending) {
        let mut merged = Vec::new();
        // A series for which the directory has no room is counted by a coarser one, which needs a place in its turn:
        // four times at most, see `Census::room_for`.
        for _ in 0..5 {
            let changed = pending.take_changed();
            if changed.is_empty() {
                break;
            }
            self.find_places(host, pending, &changed);
            for position in changed {
                let Some(entry) = pending.entry(position).filter(|entry| entry.values.duration.count > 0)
                else {
                    continue;
                };
                match entry.slot {
                    Some(slot) if self.add(host, slot, &entry.key, &entry.values).is_ok() => {
                        entry.values.clear();
                        merged.push(slot);
                    }
                    _ => pending.put_back(position),
                }
            }
        }
        self.mark_dirty(host, &merged);
    }

    /// Gives the changed series that have no slot one, or has others count for them.
    fn find_places(&mut self, host: &impl Host, pending: &mut Pending, changed: &[usize]) {
        if pending.without_place(changed).is_empty() {
            return;
        }
        for _ in 0..ATTEMPTS {
            let (page, version) = self.sync(host, pending);
            let wanted = pending.without_place(changed);
            if wanted.is_empty() || self.append(host, pending, &wanted, page, version) {
                return;
            }
        }
    }

    /// Reads what others have added to the directory; returns the last page and its version.
    fn sync(&mut self, host: &impl Host, pending: &mut Pending) -> (Vec<u8>, Version) {
        loop {
            let Some((page, version)) = host.shared_get(self.page_key().as_bytes()) else {
                return (Vec::new(), Version::ABSENT);
            };
            for key in keys_of(&page).skip(self.directory.entries) {
                pending.learn(key, self.directory.slot());
                self.directory.entries = self.directory.entries.saturating_add(1);
            }
            if self.directory.entries < PAGE {
                return (page, version);
            }
            self.directory.next_page();
        }
    }

    /// Writes new keys behind the last page's. True when every wanted series has a slot or is counted by another.
    fn append(
        &mut self,
        host: &impl Host,
        pending: &mut Pending,
        wanted: &[usize],
        mut page: Vec<u8>,
        version: Version,
    ) -> bool {
        let mut added: Vec<SeriesKey> = Vec::new();
        let mut census = Census::default();
        let mut complete = true;
        for position in wanted {
            if self.directory.entries.saturating_add(added.len()) >= PAGE {
                complete = false;
                break;
            }
            let Some(key) = pending.place_or_redirect(*position, &mut census) else { continue };
            varint::put(&mut page, key.as_bytes().len() as u64);
            page.extend(key.as_bytes());
            added.push(key);
        }
        if added.is_empty() {
            return complete;
        }
        if host.shared_set(self.page_key().as_bytes(), &page, version).is_err() {
            return false;
        }
        for key in added {
            pending.learn(key, self.directory.slot());
            self.directory.entries = self.directory.entries.saturating_add(1);
        }
        if self.directory.entries >= PAGE {
            self.directory.next_page();
        }
        complete
    }

    fn add(&self, host: &impl Host, slot: u32, key: &SeriesKey, values: &Values) -> Result<(), Conflict> {
        let shared_key = self.slot_key(slot);
        self.update(host, &shared_key, |present| {
            let mut sum = present.and_then(decode_slot).map(|(_, values)| values).unwrap_or_default();
            sum.merge(values);
            let mut encoded = Vec::with_capacity(present.map_or(256, |bytes| bytes.len().saturating_add(64)));
            varint::put(&mut encoded, key.as_bytes().len() as u64);
            encoded.extend(key.as_bytes());
            sum.encode(&mut encoded);
            encoded
        })
        .map(drop)
    }

    fn mark_dirty(&self, host: &impl Host, slots: &[u32]) {
        if slots.is_empty() {
            return;
        }
        let key = self.key(format_args!("dirty"));
        // A bit that could not be set is made up for by the next change or the next complete export.
        let _ = self.update(host, &key, |present| {
            let mut bits = present.unwrap_or_default().to_vec();
            for slot in slots {
                let byte = (*slot / 8) as usize;
                if bits.len() <= byte {
                    bits.resize(byte.saturating_add(1), 0);
                }
                if let Some(byte) = bits.get_mut(byte) {
                    *byte |= 1 << (*slot % 8);
                }
            }
            bits
        });
    }

    /// Takes the slots that changed since the last call, by whichever exporter. Its caller answers for them.
    pub fn take_dirty(&self, host: &impl Host) -> Vec<u32> {
        let key = self.key(format_args!("dirty"));
        let mut taken = Vec::new();
        let swapped = self.update(host, &key, |present| {
            taken.clear();
            for (byte, bits) in (0u32..).zip(present.unwrap_or_default()) {
                let set = (0..8u32).filter(|bit| *bits >> *bit & 1 == 1);
                taken.extend(set.map(|bit| byte.saturating_mul(8).saturating_add(bit)));
            }
            Vec::new()
        });
        if swapped.is_ok() { taken } else { Vec::new() }
    }

    /// All slots in use, for a complete export.
    pub fn all_slots(&mut self, host: &impl Host, pending: &mut Pending) -> Vec<u32> {
        self.sync(host, pending);
        (0..self.directory.slot()).collect()
    }

    /// A series and its values since the start of the epoch, encoded for [`decode_slot`]; `None` for a slot that was
    /// given out and not yet filled.
    pub fn read(&self, host: &impl Host, slot: u32) -> Option<Vec<u8>> {
        host.shared_get(self.slot_key(slot).as_bytes()).map(|(value, _)| value)
    }

    /// Becomes, or stays, the one that exports. `me` is any number that no other root context has.
    pub fn lead(&self, host: &impl Host, me: u64, now: u64) -> Office {
        let key = self.key(format_args!("lease"));
        let until = now.saturating_add(LEASE.as_nanos() as u64);
        for _ in 0..ATTEMPTS {
            let (version, office) = match host.shared_get(key.as_bytes()) {
                None => (Version::ABSENT, Office::Taken),
                Some((value, version)) => {
                    let mut input = &value[..];
                    let holder = varint::take(&mut input);
                    let ends = varint::take(&mut input).unwrap_or(0);
                    // An end further ahead than a lease was written before the clock was set back.
                    let is_over = now >= ends || ends > until;
                    let office = if holder == Some(me) {
                        Office::Kept
                    } else if is_over {
                        Office::Taken
                    } else {
                        Office::None
                    };
                    (version, office)
                }
            };
            if office == Office::None {
                return Office::None;
            }
            let mut value = Vec::new();
            varint::put(&mut value, me);
            varint::put(&mut value, until);
            if host.shared_set(key.as_bytes(), &value, version).is_ok() {
                return office;
            }
        }
        Office::None
    }

    /// Lets another one export at once.
    pub fn resign(&self, host: &impl Host, me: u64) {
        let key = self.key(format_args!("lease"));
        if let Some((value, version)) = host.shared_get(key.as_bytes())
            && varint::take(&mut &value[..]) == Some(me)
        {
            let _ = host.shared_set(key.as_bytes(), &[], version);
        }
    }

    /// Gives out the next sequence number, from 1; `None` under contention that would not end.
    pub fn next_sequence(&self, host: &impl Host, signal: Signal) -> Option<u64> {
        let signal = match signal {
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        };
        let key = self.key(format_args!("sequence/{signal}"));
        let value = self.update(host, &key, |present| {
            let last = present.and_then(|mut bytes| varint::take(&mut bytes)).unwrap_or(0);
            let mut encoded = Vec::new();
            varint::put(&mut encoded, last.saturating_add(1));
            encoded
        });
        varint::take(&mut &value.ok()?[..])
    }

    /// Replaces a value by what `change` makes of it; returns the new value.
    pub(crate) fn update(
        &self,
        host: &impl Host,
        key: &str,
        mut change: impl FnMut(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<Vec<u8>, Conflict> {
        for _ in 0..ATTEMPTS {
            let present = host.shared_get(key.as_bytes());
            let version = present.as_ref().map_or(Version::ABSENT, |(_, version)| *version);
            let value = change(present.as_ref().map(|(value, _)| &value[..]));
            if host.shared_set(key.as_bytes(), &value, version).is_ok() {
                return Ok(value);
            }
        }
        Err(Conflict)
    }

    /// The full name of a key of this ledger.
    pub(crate) fn key(&self, name: fmt::Arguments<'_>) -> String {
        format!("{}{name}", self.prefix)
    }

    fn page_key(&self) -> String {
        self.key(format_args!("page/{}", self.directory.page))
    }

    fn slot_key(&self, slot: u32) -> String {
        self.key(format_args!("slot/{slot}"))
    }
}

impl DirectoryPosition {
    /// The slot of the next entry.
    fn slot(&self) -> u32 {
        self.page.saturating_mul(PAGE as u32).saturating_add(self.entries as u32)
    }

    fn next_page(&mut self) {
        self.page = self.page.saturating_add(1);
        self.entries = 0;
    }
}

fn keys_of(mut page: &[u8]) -> impl Iterator<Item = SeriesKey> {
    std::iter::from_fn(move || take_key(&mut page))
}

fn take_key(input: &mut &[u8]) -> Option<SeriesKey> {
    let length = usize::try_from(varint::take(input)?).ok()?;
    let (key, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(SeriesKey::from_bytes(key))
}

/// Reads what [`Ledger::read`] returned; `None` if it is malformed.
pub fn decode_slot(mut value: &[u8]) -> Option<(SeriesKey, Values)> {
    let key = take_key(&mut value)?;
    Some((key, Values::decode(value)?))
}

fn decode_epoch(value: &[u8]) -> Option<Epoch> {
    let (id, start) = value.split_first_chunk::<8>()?;
    Some(Epoch { id: u64::from_le_bytes(*id), start: u64::from_le_bytes(start.try_into().ok()?) })
}
