//! The directory: the series in each slot. It is a guide; the slots themselves decide.
//!
//! Pages hold [`PAGE`] entries in the order of their slots. An entry is empty where the slot is free, else a byte for its
//! stage, its start and its key. A series takes the lowest free slot, or one more at the end. Every change of a page
//! raises the page's number in `directory`, so that a worker reads again only the pages that changed.
//!
//! Values are cumulative, so a series that is given up keeps its slot until the receiver has acknowledged its final
//! values; see [`super::slot::Stage`]. The series that takes the slot next, and the same series if it comes back, begins
//! at zero with a start of its own. Starts within an epoch only rise, so that a worker which missed all of this cannot
//! add to the wrong series: it finds another start in the slot, and looks for a place again.

use std::collections::BTreeSet;

use gatelens_model::varint;

use super::epoch::Epoch;
use super::row::{put_numbers, put_section, set_numbers, take_numbers, take_section};
use super::slot::Stage;
use super::store::{ATTEMPTS, SharedStore};
use crate::counters::{Cardinality, Pending, Place, SeriesKey};
use crate::host::{Conflict, Host, Version};

/// Series to a page.
pub(super) const PAGE: usize = 128;

/// A worker's view of the directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Number of each page when it was read last.
    generations: Vec<u64>,
    /// By slot.
    listings: Vec<Listing>,
    free: BTreeSet<u32>,
}

/// What the directory has for a slot.
#[derive(Clone, Copy, Debug)]
struct Listing {
    stage: Stage,
    start_ns: u64,
    /// Of the series in [`Pending`], if this is its place.
    position: Option<usize>,
}

/// An entry of a page.
#[derive(Debug)]
enum Entry {
    Listed { stage: Stage, start_ns: u64, key: SeriesKey },
    Free,
}

/// The result of one attempt to change a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Written,
    Unchanged,
}

impl Directory {
    /// Number of slots.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.listings.len()).unwrap_or(u32::MAX)
    }

    /// Places that are closed and not free yet.
    pub(super) fn closed(&self) -> Vec<Place> {
        let listed = (0u32..).zip(&self.listings);
        let closed = listed.filter(|(_, listing)| listing.stage == Stage::Closed);
        closed.map(|(slot, listing)| Place { slot, start_ns: listing.start_ns }).collect()
    }

    /// Reads the pages that changed since the last call.
    pub(super) fn sync(&mut self, host: &impl Host, store: &SharedStore, pending: &mut Pending) {
        let row = read_row(host, store).unwrap_or_default();
        let mut changed = Vec::new();
        for (page, generation) in row.iter().skip(1).enumerate() {
            if self.generations.get(page) != Some(generation) {
                let bytes = host.shared_get(&page_key(store, page)).map(|(bytes, _)| bytes);
                changed.push((page, entries_of(&bytes.unwrap_or_default()).0));
                self.set_generation(page, *generation);
            }
        }
        self.follow(pending, &changed);
    }

    /// The place is not as this worker knows it: its page is read again by the next [`Self::sync`].
    pub(super) fn doubt(&mut self, place: Place) {
        if let Some(generation) = self.generations.get_mut(page_of(place.slot)) {
            *generation = 0;
        }
    }

    /// Assigns places to the changed series that have none, or lets coarser series count for them.
    pub(super) fn find_places(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        pending: &mut Pending,
        changed: &[usize],
    ) {
        // One start serves all series of this call, because they differ. That of the epoch is asked for again each time:
        // another worker may have given a series up meanwhile.
        let mut own_start = None;
        for _ in 0..ATTEMPTS {
            if pending.without_place(changed).is_empty() {
                return;
            }
            self.sync(host, store, pending);
            let page = self.page_with_room();
            let _ = self.edit(host, store, pending, page, |pending, entries| {
                let mut added = Cardinality::default();
                let Some(start_ns) = own_start.or_else(|| next_start(host, store)) else {
                    return Edit::Unchanged;
                };
                own_start = Some(start_ns).filter(|start_ns| *start_ns > 0);
                let mut edit = Edit::Unchanged;
                for position in pending.without_place(changed) {
                    let free = entries.iter().position(|entry| matches!(entry, Entry::Free));
                    if free.is_none() && entries.len() >= PAGE {
                        break;
                    }
                    let Some(key) = pending.place_or_redirect(position, &mut added) else { continue };
                    let entry = Entry::Listed { stage: Stage::Open, start_ns, key };
                    match free.and_then(|index| entries.get_mut(index)) {
                        Some(free) => *free = entry,
                        None => entries.push(entry),
                    }
                    edit = Edit::Written;
                }
                edit
            });
        }
    }

    /// Lists these places as closed: no worker may look for them any more.
    pub(super) fn close(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        pending: &mut Pending,
        places: &[Place],
        epoch: Epoch,
    ) {
        // A new series may have been here before, so it must not begin at the start of the epoch again.
        if places.is_empty() || !begin_starts(host, store, epoch) {
            return;
        }
        self.replace(host, store, pending, places, |entry, place| match entry {
            Entry::Listed { stage: stage @ Stage::Open, start_ns, .. } if *start_ns == place.start_ns => {
                *stage = Stage::Closed;
                Edit::Written
            }
            _ => Edit::Unchanged,
        });
    }

    /// Lists these places as free, if they are closed.
    pub(super) fn free(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        pending: &mut Pending,
        places: &[Place],
    ) {
        self.replace(host, store, pending, places, |entry, place| match entry {
            Entry::Listed { stage: Stage::Closed, start_ns, .. } if *start_ns == place.start_ns => {
                *entry = Entry::Free;
                Edit::Written
            }
            _ => Edit::Unchanged,
        });
    }

    /// Changes the entries of these places, page by page.
    fn replace(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        pending: &mut Pending,
        places: &[Place],
        change: impl Fn(&mut Entry, Place) -> Edit,
    ) {
        let mut pages = BTreeSet::new();
        pages.extend(places.iter().map(|place| page_of(place.slot)));
        for page in pages {
            for _ in 0..ATTEMPTS {
                let edited = self.edit(host, store, pending, page, |_, entries| {
                    let mut edit = Edit::Unchanged;
                    for place in places.iter().filter(|place| page_of(place.slot) == page) {
                        let entry = entries.get_mut(place.slot as usize % PAGE);
                        if entry.map(|entry| change(entry, *place)) == Some(Edit::Written) {
                            edit = Edit::Written;
                        }
                    }
                    edit
                });
                if edited.is_ok() {
                    break;
                }
            }
        }
    }

    /// Changes a page, if nobody else changes it meanwhile.
    fn edit(
        &mut self,
        host: &impl Host,
        store: &SharedStore,
        pending: &mut Pending,
        page: usize,
        change: impl FnOnce(&mut Pending, &mut Vec<Entry>) -> Edit,
    ) -> Result<(), Conflict> {
        let key = page_key(store, page);
        let (bytes, version) = host.shared_get(&key).unwrap_or((Vec::new(), Version::ABSENT));
        let (entries, rest) = entries_of(&bytes);
        let mut pages = [(page, entries)];
        self.follow(pending, &pages);
        let [(_, entries)] = &mut pages;
        // A page that this version cannot read to its end is left as it is.
        if !rest.is_empty() || change(pending, entries) == Edit::Unchanged {
            return Ok(());
        }
        host.shared_set(&key, &encode(entries), version)?;
        self.follow(pending, &pages);
        self.raise_generation(host, store, page);
        Ok(())
    }

    /// Follows the entries of pages. A series may have left one slot for another, so all that is gone goes first.
    fn follow(&mut self, pending: &mut Pending, pages: &[(usize, Vec<Entry>)]) {
        for step in [Self::forget, Self::learn] {
            for (page, entries) in pages {
                let first = page.saturating_mul(PAGE);
                if self.listings.len() < first.saturating_add(entries.len()) {
                    self.listings.resize(first.saturating_add(entries.len()), Listing::UNKNOWN);
                }
                (first as u32..).zip(entries).for_each(|(slot, entry)| step(self, pending, slot, entry));
            }
        }
    }

    /// Forgets what was in a slot, unless it still is.
    fn forget(&mut self, pending: &mut Pending, slot: u32, entry: &Entry) {
        let Some(listing) = self.listings.get_mut(slot as usize).filter(|listing| !listing.is_of(entry))
        else {
            return;
        };
        let Listing { stage, start_ns, position } = std::mem::replace(listing, Listing::UNKNOWN);
        match stage {
            Stage::Open => {
                let before = Place { slot, start_ns };
                position.into_iter().for_each(|position| pending.lose(position, before));
            }
            Stage::Closed => pending.slot_is_free(),
            Stage::Free => {
                self.free.remove(&slot);
            }
        }
    }

    /// Learns what is in a slot about which nothing is known.
    fn learn(&mut self, pending: &mut Pending, slot: u32, entry: &Entry) {
        let Some(listing) = self.listings.get_mut(slot as usize) else { return };
        match entry {
            Entry::Free => {
                self.free.insert(slot);
            }
            _ if listing.is_of(entry) => {}
            Entry::Listed { stage, start_ns, key } => {
                *listing = Listing { stage: *stage, start_ns: *start_ns, position: None };
                match stage {
                    Stage::Open => {
                        let place = Place { slot, start_ns: *start_ns };
                        listing.position = pending.learn(key.clone(), place);
                    }
                    _ => pending.slot_is_closed(),
                }
            }
        }
    }

    /// The page of the lowest free slot, else the one that grows.
    fn page_with_room(&self) -> usize {
        self.free.first().map_or(self.listings.len() / PAGE, |slot| page_of(*slot))
    }

    fn set_generation(&mut self, page: usize, generation: u64) {
        if self.generations.len() <= page {
            self.generations.resize(page.saturating_add(1), 0);
        }
        if let Some(present) = self.generations.get_mut(page) {
            *present = generation;
        }
    }

    /// Shows others that a page changed. If it cannot, they find out when they meet the slots.
    fn raise_generation(&mut self, host: &impl Host, store: &SharedStore, page: usize) {
        let mut before = 0;
        let raised = update_row(host, store, |row| {
            let index = page.saturating_add(1);
            if row.len() <= index {
                row.resize(index.saturating_add(1), 0);
            }
            if let Some(generation) = row.get_mut(index) {
                before = *generation;
                *generation = generation.saturating_add(1);
            }
        });
        // Where another worker has changed the page in between, it must be read again.
        if raised && self.generations.get(page).copied().unwrap_or(0) == before {
            self.set_generation(page, before.saturating_add(1));
        }
    }
}

impl Listing {
    /// Nothing is known: neither free nor taken by a series that this worker knows.
    const UNKNOWN: Self = Self { stage: Stage::Free, start_ns: u64::MAX, position: None };

    fn is_of(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Free => self.stage == Stage::Free,
            Entry::Listed { stage, start_ns, .. } => (self.stage, self.start_ns) == (*stage, *start_ns),
        }
    }
}

fn page_of(slot: u32) -> usize {
    slot as usize / PAGE
}

fn page_key(store: &SharedStore, page: usize) -> Vec<u8> {
    store.key(format_args!("page/{page}"))
}

/// The start of a new series: 0, for that of the epoch, as long as no series was ever given up; else one that no other
/// series has. `None` while shared data is contended or damaged.
fn next_start(host: &impl Host, store: &SharedStore) -> Option<u64> {
    if read_row(host, store)?.first().copied().unwrap_or(0) == 0 {
        return Some(0);
    }
    let now_ns = host.now();
    let mut start_ns = now_ns;
    let is_unique = update_row(host, store, |row| {
        let last_ns = row.first().copied().unwrap_or(0);
        start_ns = now_ns.max(last_ns.saturating_add(1));
        set_numbers(row, &[start_ns]);
    });
    is_unique.then_some(start_ns)
}

/// From now on each new series gets a start of its own. False while shared data is contended or damaged.
fn begin_starts(host: &impl Host, store: &SharedStore, epoch: Epoch) -> bool {
    let first_ns = host.now().max(epoch.start_ns.saturating_add(1));
    let has_begun = |row: &[u64]| row.first().is_some_and(|last_ns| *last_ns > 0);
    read_row(host, store).is_some_and(|row| has_begun(&row))
        || update_row(host, store, |row| {
            if !has_begun(row) {
                set_numbers(row, &[first_ns]);
            }
        })
}

/// Slots on the pages that exist, whether or not they are filled.
pub(super) fn slots(host: &impl Host, store: &SharedStore) -> u32 {
    let pages = read_row(host, store).unwrap_or_default().len().saturating_sub(1);
    u32::try_from(pages.saturating_mul(PAGE)).unwrap_or(u32::MAX)
}

/// The start that was given out last, and the number of each page; `None` if it is damaged.
fn read_row(host: &impl Host, store: &SharedStore) -> Option<Vec<u64>> {
    match host.shared_get(&store.key(format_args!("directory"))) {
        Some((value, _)) => take_numbers(&mut &value[..]).ok(),
        None => Some(Vec::new()),
    }
}

fn update_row(host: &impl Host, store: &SharedStore, mut change: impl FnMut(&mut Vec<u64>)) -> bool {
    let updated = store.update(host, format_args!("directory"), |present| {
        let mut row = present.map_or(Ok(Vec::new()), |mut value| take_numbers(&mut value))?;
        change(&mut row);
        let mut encoded = Vec::new();
        put_numbers(&mut encoded, &row);
        Ok(encoded)
    });
    updated.is_ok()
}

/// The entries of a page, and the bytes that this version cannot read.
fn entries_of(mut page: &[u8]) -> (Vec<Entry>, &[u8]) {
    let mut entries = Vec::with_capacity(PAGE);
    let mut rest = page;
    while let Ok(section) = take_section(&mut page) {
        let Some(entry) = Entry::decode(section) else { break };
        entries.push(entry);
        rest = page;
    }
    (entries, rest)
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    for entry in entries {
        section.clear();
        entry.encode(&mut section);
        put_section(&mut out, &section);
    }
    out
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Entry::Listed { stage, start_ns, key } = self {
            out.push(u8::from(*stage == Stage::Closed));
            varint::put(out, *start_ns);
            out.extend_from_slice(key.as_bytes());
        }
    }

    fn decode(section: &[u8]) -> Option<Self> {
        let Some((stage, mut rest)) = section.split_first() else { return Some(Entry::Free) };
        let stage = match stage {
            0 => Stage::Open,
            1 => Stage::Closed,
            _ => return None,
        };
        let start_ns = varint::take(&mut rest)?;
        Some(Entry::Listed { stage, start_ns, key: SeriesKey::from_bytes(rest) })
    }
}
