//! Series in shared data: the directory that gives each a slot, their values, and the slots that changed.
//!
//! | key | value |
//! |---|---|
//! | `page/<n>` | keys of series as sections, in the order of their slots, [`PAGE`] to a page |
//! | `slot/<n>` | sections: the key; durations, upstream and gateway durations as sketches; rows: request bytes, response bytes, attempts; counts by bound |
//! | `dirty` | a bit for each slot |

use gatelens_model::sketch::Sketch;

use super::epoch::{self, Epoch};
use super::row::{add_numbers, put_numbers, put_section, take_numbers, take_section};
use super::store::{ATTEMPTS, CounterSetId, SharedStore, Unreadable, UpdateError};
use crate::counters::{Cardinality, Pending, SeriesKey, Values};
use crate::host::{Host, Version};

/// Series to a page of the directory: a worker reads this many again when another one has added a series.
const PAGE: usize = 128;

/// A worker's access to the shared series.
#[derive(Debug)]
pub struct SharedSeries {
    store: SharedStore,
    epoch: Epoch,
    directory: DirectoryPosition,
}

/// How far this worker has read the directory.
#[derive(Debug, Default)]
struct DirectoryPosition {
    page: u32,
    entries: usize,
}

impl SharedSeries {
    /// Opens the counters, and begins an epoch if there is none.
    pub fn open(host: &impl Host, id: CounterSetId) -> Self {
        let store = SharedStore::new(id);
        let epoch = epoch::open(host, &store);
        Self { store, epoch, directory: DirectoryPosition::default() }
    }

    /// The values of these counters.
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The epoch in progress.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Number of series in use, without the overflow series. Reads what other workers have added since the last call.
    pub fn len(&mut self, host: &impl Host, pending: &mut Pending) -> u32 {
        self.sync(host, pending);
        pending.placed().series()
    }

    /// Adds all pending counts to the shared ones. Counts that cannot be merged now stay pending.
    ///
    /// # Errors
    /// [`Unreadable`] if a value of a series is damaged; its counts stay pending, all others are merged.
    pub fn merge(&mut self, host: &impl Host, pending: &mut Pending) -> Result<(), Unreadable> {
        let mut merged = Vec::new();
        let mut outcome = Ok(());
        // A series for which the directory has no room is counted by a coarser one, which also needs a place:
        // six times at most, see `Cardinality::room_for`.
        for _ in 0..7 {
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
                let Some(slot) = entry.slot else {
                    pending.put_back(position);
                    continue;
                };
                match self.add(host, slot, &entry.key, &entry.values) {
                    Ok(()) => {
                        entry.values.clear();
                        merged.push(slot);
                    }
                    Err(error) => {
                        pending.put_back(position);
                        if let UpdateError::Unreadable(unreadable) = error {
                            outcome = Err(unreadable);
                        }
                    }
                }
            }
        }
        self.mark_dirty(host, &merged);
        outcome
    }

    /// Marks slots as changed, for the leader.
    pub fn mark_dirty(&self, host: &impl Host, slots: &[u32]) {
        if slots.is_empty() {
            return;
        }
        // If a bit cannot be set, the next change or the next complete export includes the slot.
        let _ = self.store.update(host, format_args!("dirty"), |present| {
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
            Ok(bits)
        });
    }

    /// Takes the slots that changed since any worker called this last. The caller must export them.
    pub fn take_dirty(&self, host: &impl Host) -> Vec<u32> {
        let mut taken = Vec::new();
        let swapped = self.store.update(host, format_args!("dirty"), |present| {
            taken.clear();
            for (byte, bits) in (0u32..).zip(present.unwrap_or_default()) {
                let set = (0..8u32).filter(|bit| *bits >> *bit & 1 == 1);
                taken.extend(set.map(|bit| byte.saturating_mul(8).saturating_add(bit)));
            }
            Ok(Vec::new())
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
        host.shared_get(&self.slot_key(slot)).map(|(value, _)| value)
    }

    /// Assigns slots to the changed series that have none, or lets coarser series count for them.
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
            let Some((page, version)) = host.shared_get(&self.page_key()) else {
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
        let mut cardinality = Cardinality::default();
        let mut complete = true;
        for position in wanted {
            if self.directory.entries.saturating_add(added.len()) >= PAGE {
                complete = false;
                break;
            }
            let Some(key) = pending.place_or_redirect(*position, &mut cardinality) else { continue };
            put_section(&mut page, key.as_bytes());
            added.push(key);
        }
        if added.is_empty() {
            return complete;
        }
        if host.shared_set(&self.page_key(), &page, version).is_err() {
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

    fn add(&self, host: &impl Host, slot: u32, key: &SeriesKey, values: &Values) -> Result<(), UpdateError> {
        let add_values = |present: Option<&[u8]>| {
            let mut sum = present.map_or(Ok(Slot::empty(key)), Slot::decode)?;
            sum.values.merge(values);
            Ok(sum.encode())
        };
        self.store.update(host, format_args!("slot/{slot}"), add_values).map(drop)
    }

    fn page_key(&self) -> Vec<u8> {
        self.store.key(format_args!("page/{}", self.directory.page))
    }

    fn slot_key(&self, slot: u32) -> Vec<u8> {
        self.store.key(format_args!("slot/{slot}"))
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

/// Reads a value of [`SharedSeries::read`]; `None` if it is unreadable or its key is that of a newer version.
pub fn decode_slot(value: &[u8]) -> Option<(SeriesKey, Values)> {
    let slot = Slot::decode(value).ok()?;
    slot.key.series()?;
    Some((slot.key, slot.values))
}

/// The value of a slot.
#[derive(Debug, PartialEq)]
struct Slot {
    key: SeriesKey,
    values: Values,
    /// Numbers and sections that a newer version has appended.
    more_numbers: Vec<u64>,
    rest: Vec<u8>,
}

impl Slot {
    fn empty(key: &SeriesKey) -> Self {
        Self { key: key.clone(), values: Values::default(), more_numbers: Vec::new(), rest: Vec::new() }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        put_section(&mut out, self.key.as_bytes());
        let values = &self.values;
        let mut encoded = Vec::new();
        for sketch in [&values.duration, &values.upstream, &values.gateway] {
            encoded.clear();
            sketch.encode(&mut encoded);
            put_section(&mut out, &encoded);
        }
        let mut numbers = vec![values.request_bytes, values.response_bytes, values.attempts];
        numbers.extend_from_slice(&self.more_numbers);
        put_numbers(&mut out, &numbers);
        put_numbers(&mut out, &values.by_bound);
        // After everything else, like any later addition.
        put_future(&mut out, &self.rest);
        out
    }

    fn decode(mut value: &[u8]) -> Result<Self, Unreadable> {
        let input = &mut value;
        let key = SeriesKey::from_bytes(take_section(input)?);
        let mut sketch = || Sketch::decode(&mut take_section(input)?).ok_or(Unreadable);
        let (duration, upstream, gateway) = (sketch()?, sketch()?, sketch()?);
        let mut numbers = take_numbers(input)?;
        add_numbers(&mut numbers, &[0; 3]);
        let more_numbers = numbers.split_off(3);
        let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let values = Values {
            duration,
            upstream,
            gateway,
            request_bytes: number(0),
            response_bytes: number(1),
            attempts: number(2),
            by_bound: take_numbers(input)?,
        };
        Ok(Self { key, values, more_numbers, rest: input.to_vec() })
    }
}

fn put_future(out: &mut Vec<u8>, rest: &[u8]) {
    // The module of the upgrade test acts as a newer version: it appends its own section.
    #[cfg(feature = "next-version")]
    if rest.is_empty() {
        put_section(out, b"of the next version");
        return;
    }
    out.extend_from_slice(rest);
}

fn keys_of(mut page: &[u8]) -> impl Iterator<Item = SeriesKey> {
    std::iter::from_fn(move || take_section(&mut page).ok().map(SeriesKey::from_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{Dimension, Dimensions, Measurement, Series};
    use crate::outcome::{GrpcStatus, Method, Status};
    use crate::request::route::RouteSource;
    use crate::request::scheme::Scheme;

    fn slot() -> Slot {
        let mut key = SeriesKey::default();
        key.set(Series::Exact(Dimensions {
            consumer: Dimension::Value("acme"),
            method: Method::new(b"GET"),
            scheme: Scheme::Https,
            route: Dimension::Value("/a"),
            route_source: RouteSource::Template,
            status: Status(200),
            grpc_status: Some(GrpcStatus::OK),
            error: None,
            host: Some(Dimension::Value("a.example")),
            upstream_cluster: Some(Dimension::Overflow),
        }));
        let mut slot = Slot::empty(&key);
        let measurement = Measurement {
            duration_ns: 40_000_000,
            upstream_ns: Some(30_000_000),
            gateway_ns: Some(10_000_000),
            request_bytes: 10,
            response_bytes: 300,
            attempts: 1,
        };
        slot.values.add(&measurement, &[50_000_000]);
        slot
    }

    /// A change of these bytes breaks gateways that are upgraded: it needs a new [`super::super::FORMAT`].
    #[test]
    #[cfg(not(feature = "next-version"))]
    fn the_bytes_of_a_slot() {
        let hex: String = slot().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "1e0098c800010001040061636d6502002f610900612e6578616d706c650000",
                "0a0180b489130001a90201",
                "0a018087a70e0001c30201",
                "0a0180ade2040001a90301",
                "030aac0201",
                "020100"
            )
        );
    }

    #[test]
    fn the_additions_of_a_newer_version_stay() {
        let mut newer = slot();
        newer.more_numbers = vec![7, 8];
        newer.rest = b"\x03abc".to_vec();
        let mut older = Slot::decode(&newer.encode()).unwrap();
        older.values.merge(&slot().values);
        let merged = Slot::decode(&older.encode()).unwrap();
        assert_eq!((merged.more_numbers, &merged.rest[..]), (vec![7, 8], &b"\x03abc"[..]));
        assert_eq!((merged.values.duration.count, merged.values.attempts), (2, 2));
    }

    #[test]
    fn a_damaged_slot_is_unreadable_and_not_zero() {
        let encoded = slot().encode();
        for length in 1..encoded.len().min(40) {
            assert_eq!(Slot::decode(&encoded[..length]), Err(Unreadable), "{length} bytes");
        }
    }
}
