//! Counts of one worker that are not merged into shared data yet.

use hashbrown::HashMap;

use super::cardinality::{Caps, Cardinality};
use super::series::{Series, SeriesKey};
use super::values::{Measurement, Values};

/// A worker's own counts since its last merge into shared data.
///
/// It holds every series that this worker has seen, so that a request in the steady state allocates nothing; the number
/// is bounded by the caps.
#[derive(Debug)]
pub struct Pending {
    caps: Caps,
    known: HashMap<SeriesKey, usize>,
    entries: Vec<Entry>,
    /// Of all that is known here.
    seen: Cardinality,
    /// Of what has a place in shared data.
    placed: Cardinality,
    changed: Vec<usize>,
    scratch: SeriesKey,
}

/// A series known to this worker.
#[derive(Debug, Default)]
pub struct Entry {
    /// Its identity.
    pub key: SeriesKey,
    /// Counts since the last merge.
    pub values: Values,
    /// Its place in shared data, once it has one.
    pub slot: Option<u32>,
    /// The position of the series that counts for it, when shared data had no room.
    redirect: Option<usize>,
}

impl Pending {
    /// Nothing counted yet.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            known: HashMap::new(),
            entries: Vec::new(),
            seen: Cardinality::default(),
            placed: Cardinality::default(),
            changed: Vec::new(),
            scratch: SeriesKey::default(),
        }
    }

    /// Follows changed caps. Series that exist stay.
    pub fn set_caps(&mut self, caps: Caps) {
        if caps != self.caps {
            // Another series may find room now; a redirected one holds no values.
            self.entries.iter_mut().for_each(|entry| entry.redirect = None);
        }
        self.caps = caps;
    }

    /// Counts one request; beyond a cap in an overflow series.
    pub fn add(&mut self, series: Series<'_>, measurement: &Measurement, bounds_ns: &[u64]) {
        let position = self.position(series);
        self.change(position, |values| values.add(measurement, bounds_ns));
    }

    /// The series that changed since the last merge, taken for one.
    pub fn take_changed(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.changed)
    }

    /// A series by its position.
    pub fn entry(&mut self, position: usize) -> Option<&mut Entry> {
        self.entries.get_mut(position)
    }

    /// Puts a series back whose merge did not succeed.
    pub fn put_back(&mut self, position: usize) {
        self.changed.push(position);
    }

    /// Of the series that have a place in shared data.
    pub fn placed(&self) -> &Cardinality {
        &self.placed
    }

    /// Those of the series that are still to find a place.
    pub fn without_place(&self, positions: &[usize]) -> Vec<usize> {
        let homeless = |position: &usize| {
            self.entries.get(*position).is_some_and(|entry| entry.slot.is_none() && entry.redirect.is_none())
        };
        positions.iter().copied().filter(homeless).collect()
    }

    /// Whether shared data has room for a series beside what `added` holds; if not, another counts for it from now on.
    pub fn place_or_redirect(&mut self, position: usize, added: &mut Cardinality) -> Option<SeriesKey> {
        let key = self.entries.get(position)?.key.clone();
        let series = key.series()?;
        match self.placed.room_for(added, &self.caps, series) {
            Ok(()) => {
                added.add(series);
                Some(key)
            }
            Err(instead) => {
                let target = self.position(instead);
                let entry = self.entries.get_mut(position)?;
                let values = std::mem::take(&mut entry.values);
                entry.redirect = Some(target);
                self.change(target, |present| present.merge(&values));
                None
            }
        }
    }

    /// Learns the place of a series that this or another worker has made.
    pub fn learn(&mut self, key: SeriesKey, slot: u32) {
        if let Some(series) = key.series() {
            self.placed.add(series);
        }
        let position = match self.known.get(&key) {
            Some(position) => *position,
            None => self.insert(key),
        };
        if let Some(entry) = self.entries.get_mut(position) {
            (entry.slot, entry.redirect) = (Some(slot), None);
        }
    }

    /// Where a series is counted: its own entry, that of the series which counts for it, or a new one.
    fn position(&mut self, series: Series<'_>) -> usize {
        let mut series = series;
        loop {
            self.scratch.set(series);
            if let Some(position) = self.known.get(self.scratch.as_bytes()) {
                return self.follow(*position);
            }
            match self.seen.room_for(&Cardinality::default(), &self.caps, series) {
                Ok(()) => return self.insert(self.scratch.clone()),
                Err(instead) => series = instead,
            }
        }
    }

    /// A redirect leads to a coarser series each time, so there are at most six in a row.
    fn follow(&self, mut position: usize) -> usize {
        while let Some(target) = self.entries.get(position).and_then(|entry| entry.redirect) {
            position = target;
        }
        position
    }

    fn insert(&mut self, key: SeriesKey) -> usize {
        let position = self.entries.len();
        if let Some(series) = key.series() {
            self.seen.add(series);
        }
        self.known.insert(key.clone(), position);
        self.entries.push(Entry { key, ..Entry::default() });
        position
    }

    fn change(&mut self, position: usize, change: impl FnOnce(&mut Values)) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        if entry.values.duration.count == 0 {
            self.changed.push(position);
        }
        change(&mut entry.values);
    }
}
