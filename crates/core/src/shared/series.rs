//! Series in shared data: their values, and the slots that changed. [`super::directory`] gives each series a slot.
//!
//! | key | value |
//! |---|---|
//! | `directory` | a row: the start that was given out last, then a number for each page that rises with its changes |
//! | `page/<n>` | entries of the directory as sections, in the order of their slots |
//! | `slot/<n>` | sections: the key; durations, upstream and gateway durations as sketches; rows: request bytes, response bytes, attempts, start, stage; counts by bound |
//! | `dirty` | a bit for each slot |

use super::directory::{self, Directory};
use super::epoch::{self, Epoch};
use super::slot::{Slot, Stage};
use super::store::{ATTEMPTS, CounterSetId, SharedStore, Unreadable, UpdateError};
use crate::counters::{Pending, Place, Series, SeriesKey, Values};
use crate::host::{Host, Version};

/// A worker's access to the shared series.
#[derive(Debug)]
pub struct SharedSeries {
    store: SharedStore,
    epoch: Epoch,
    directory: Directory,
}

/// Calls `take` with the values of all slots, encoded for [`Slot::sums`], in the order of the slots. For readers that count
/// nothing themselves.
pub fn each_slot(host: &impl Host, store: &SharedStore, mut take: impl FnMut(&[u8])) {
    for slot in 0..directory::slots(host, store) {
        if let Some((value, _)) = host.shared_get(&slot_key(store, slot)) {
            take(&value);
        }
    }
}

/// Why counts were not added to a slot.
enum AddError {
    /// The series is no longer in it.
    Moved,
    /// See [`UpdateError`].
    Update(UpdateError),
}

impl SharedSeries {
    /// Opens the counters, and begins an epoch if there is none.
    pub fn open(host: &impl Host, id: CounterSetId) -> Self {
        let store = SharedStore::new(id);
        let epoch = epoch::open(host, &store);
        Self { store, epoch, directory: Directory::default() }
    }

    /// The values of these counters.
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The epoch in progress.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Number of series in use, without the overflow series and those that are given up. Reads what other workers have
    /// added since the last call.
    pub fn len(&mut self, host: &impl Host, pending: &mut Pending) -> u32 {
        self.directory.sync(host, &self.store, pending);
        pending.placed().series()
    }

    /// Adds all pending counts to the shared ones. Counts that cannot be merged now stay pending.
    ///
    /// # Errors
    /// [`Unreadable`] if a value of a series is damaged; its counts stay pending, all others are merged.
    pub fn merge(&mut self, host: &impl Host, pending: &mut Pending) -> Result<(), Unreadable> {
        let mut merged = Vec::new();
        let mut outcome = Ok(());
        self.directory.sync(host, &self.store, pending);
        // A series for which the directory has no room is counted by a coarser one, which also needs a place:
        // six times at most, see `Cardinality::room_for`. A series whose place was given up looks for another one.
        for _ in 0..8 {
            let changed = pending.take_changed();
            if changed.is_empty() {
                break;
            }
            self.directory.find_places(host, &self.store, pending, &changed);
            let mut put_back = Vec::new();
            for position in changed {
                let Some(entry) = pending.entry(position).filter(|entry| entry.values.duration.count > 0)
                else {
                    continue;
                };
                let Some(place) = entry.place else {
                    put_back.push(position);
                    continue;
                };
                match self.add(host, place, &entry.key, &entry.values) {
                    Ok(()) => {
                        entry.values.clear();
                        merged.push(place.slot);
                        continue;
                    }
                    Err(AddError::Moved) => {
                        pending.lose(position, place);
                        self.directory.doubt(place);
                    }
                    Err(AddError::Update(UpdateError::Unreadable(unreadable))) => outcome = Err(unreadable),
                    Err(AddError::Update(UpdateError::Contended)) => {}
                }
                put_back.push(position);
            }
            put_back.into_iter().for_each(|position| pending.put_back(position));
        }
        self.mark_dirty(host, &merged);
        outcome
    }

    /// Gives up the series that match: their values become final, further requests of them need a new place, and their
    /// slots become free once the receiver has acknowledged the values. Any worker may call this at any time; returns
    /// the number of series that this call gave up.
    pub fn retire(
        &mut self,
        host: &impl Host,
        pending: &mut Pending,
        is_retired: impl Fn(Series<'_>, Place) -> bool,
    ) -> usize {
        self.directory.sync(host, &self.store, pending);
        let retired = pending.series().filter(|(series, place)| is_retired(*series, *place));
        let places: Vec<Place> = retired.map(|(_, place)| place).collect();
        self.directory.close(host, &self.store, pending, &places, self.epoch);
        self.close_slots(host, &places);
        places.len()
    }

    /// The receiver has acknowledged the final values of series in these places: their slots are free.
    pub fn release(&mut self, host: &impl Host, pending: &mut Pending, places: &[Place]) {
        for place in places {
            self.change_slot(host, *place, |slot| {
                let is_final = slot.is_some_and(|slot| slot.is(Stage::Closed, *place));
                is_final.then(|| Slot::free(place.start_ns))
            });
        }
        self.directory.free(host, &self.store, pending, places);
    }

    /// Completes changes of slots that a worker may have begun before it was lost. For an elected leader.
    pub fn repair(&mut self, host: &impl Host, pending: &mut Pending) {
        self.directory.sync(host, &self.store, pending);
        let closed = self.directory.closed();
        self.close_slots(host, &closed);
        let is_free = |place: &&Place| {
            let slot = self.read(host, place.slot).and_then(|value| Slot::decode(&value).ok());
            slot.is_some_and(|slot| slot.is(Stage::Free, **place))
        };
        let free: Vec<Place> = closed.iter().filter(is_free).copied().collect();
        self.directory.free(host, &self.store, pending, &free);
    }

    /// Makes the values of these series final. Nobody has to acknowledge a series that never got a value.
    fn close_slots(&self, host: &impl Host, places: &[Place]) {
        for place in places {
            self.change_slot(host, *place, |slot| match slot {
                Some(mut slot) if slot.is(Stage::Open, *place) => {
                    slot.stage = Stage::Closed;
                    Some(slot)
                }
                Some(slot) if slot.is_free_for(*place) => Some(Slot::free(place.start_ns)),
                None => Some(Slot::free(place.start_ns)),
                Some(_) => None,
            });
        }
        let slots: Vec<u32> = places.iter().map(|place| place.slot).collect();
        self.mark_dirty(host, &slots);
    }

    fn change_slot(&self, host: &impl Host, place: Place, change: impl Fn(Option<Slot>) -> Option<Slot>) {
        let key = self.slot_key(place.slot);
        for _ in 0..ATTEMPTS {
            let (slot, version) = match host.shared_get(&key) {
                None => (None, Version::ABSENT),
                // A damaged slot is left as it is, and never used again.
                Some((value, version)) => match Slot::decode(&value) {
                    Ok(slot) => (Some(slot), version),
                    Err(Unreadable) => return,
                },
            };
            let Some(changed) = change(slot) else { return };
            if host.shared_set(&key, &changed.encode(), version).is_ok() {
                return;
            }
        }
    }

    /// Marks slots as changed, for the leader.
    #[inline(never)]
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
    #[inline(never)]
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

    /// All slots, for a complete export.
    pub fn all_slots(&mut self, host: &impl Host, pending: &mut Pending) -> Vec<u32> {
        self.directory.sync(host, &self.store, pending);
        (0..self.directory.slots()).collect()
    }

    /// A series and its values since its start, encoded for [`Slot::read`]; `None` for a slot that was given out and not
    /// yet filled.
    pub fn read(&self, host: &impl Host, slot: u32) -> Option<Vec<u8>> {
        host.shared_get(&self.slot_key(slot)).map(|(value, _)| value)
    }

    fn add(&self, host: &impl Host, place: Place, key: &SeriesKey, values: &Values) -> Result<(), AddError> {
        let mut has_moved = false;
        let add_values = |present: Option<&[u8]>| {
            let mut slot = match present.map(Slot::decode).transpose()? {
                Some(slot) if slot.is(Stage::Open, place) && slot.key == *key => slot,
                Some(slot) if !slot.is_free_for(place) => {
                    has_moved = true;
                    return Err(Unreadable);
                }
                Some(_) | None => Slot::open(key, place.start_ns),
            };
            slot.values.merge(values);
            Ok(slot.encode())
        };
        match self.store.update(host, format_args!("slot/{}", place.slot), add_values) {
            Ok(_) => Ok(()),
            Err(_) if has_moved => Err(AddError::Moved),
            Err(error) => Err(AddError::Update(error)),
        }
    }

    fn slot_key(&self, slot: u32) -> Vec<u8> {
        slot_key(&self.store, slot)
    }
}

fn slot_key(store: &SharedStore, slot: u32) -> Vec<u8> {
    store.key(format_args!("slot/{slot}"))
}
