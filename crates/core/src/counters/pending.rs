//! Counts of one worker that are not merged into shared data yet.

use hashbrown::HashMap;

use super::cardinality::{Caps, Cardinality, NameKind};
use super::series::{Series, SeriesKey};
use super::turnover::Bid;
use super::values::{Measurement, Values};
use super::waiting::{Admission, FEWEST_REQUESTS, Waiting};
use gatelens_model::order;

/// A worker's own counts since its last merge into shared data.
///
/// It holds every series that has a place in shared data, so that a request in the steady state allocates nothing; the
/// number is bounded by the caps.
#[derive(Debug)]
pub struct Pending {
    caps: Caps,
    known: HashMap<SeriesKey, usize>,
    entries: Vec<Entry>,
    /// Positions of entries that may be used again.
    unused: Vec<usize>,
    /// Of all that is known here.
    seen: Cardinality,
    /// Of the series that have a place in shared data.
    placed: Cardinality,
    /// Names without a slot, by [`NameKind::ALL`].
    waiting: [Waiting; 4],
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
    pub place: Option<Place>,
}

/// A place in shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the slot.
    pub slot: u32,
    /// Start of the series in it, nanoseconds since the Unix epoch; 0 for the start of the counters' epoch. A slot that
    /// is used again gets a later one.
    pub start_ns: u64,
}

impl Pending {
    /// Nothing counted yet.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            known: HashMap::new(),
            entries: Vec::new(),
            unused: Vec::new(),
            seen: Cardinality::default(),
            placed: Cardinality::default(),
            waiting: Default::default(),
            changed: Vec::new(),
            scratch: SeriesKey::default(),
        }
    }

    /// Follows changed caps. Series that exist stay.
    pub fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
    }

    /// The caps in force.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Counts one request; in an overflow series beyond a cap, or while a name in it waits for a slot.
    pub fn add(&mut self, series: Series<'_>, measurement: &Measurement, bounds_ns: &[u64]) {
        let position = self.position(series, Self::admit);
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

    /// The series that have a place in shared data.
    pub fn series(&self) -> impl Iterator<Item = (Series<'_>, Place)> {
        self.entries.iter().filter_map(|entry| Some((entry.key.series()?, entry.place?)))
    }

    /// The names that wait on this worker although no slot of their dimension is free: those with the most requests, at
    /// most `most` of each dimension.
    pub fn bids(&self, most: usize) -> Vec<Bid> {
        let mut all = Vec::new();
        for (kind, waiting) in NameKind::ALL.into_iter().zip(&self.waiting) {
            if self.placed.names(kind) < self.caps.names(kind) as usize {
                continue;
            }
            let bid =
                |(name, requests): (&str, u32)| Bid { kind, name: name.into(), requests: requests.into() };
            let mut bids: Vec<Bid> = waiting.with_at_least(FEWEST_REQUESTS).map(bid).collect();
            order::sort_by_key(&mut bids, |bid| std::cmp::Reverse(bid.requests));
            bids.truncate(most);
            all.extend(bids);
        }
        all
    }

    /// Those of the series that are still to find a place.
    pub fn without_place(&self, positions: &[usize]) -> Vec<usize> {
        let homeless = |position: &usize| {
            let entry = self.entries.get(*position);
            entry.is_some_and(|entry| entry.place.is_none() && entry.values.duration.count > 0)
        };
        positions.iter().copied().filter(homeless).collect()
    }

    /// Whether shared data has room for a series beside what `added` holds; if not, another one counts these requests.
    pub fn place_or_redirect(&mut self, position: usize, added: &mut Cardinality) -> Option<SeriesKey> {
        let entry = self.entries.get(position)?;
        let (key, requests) = (entry.key.clone(), entry.values.duration.count);
        let series = key.series()?;
        match self.place(series, requests, added) {
            Ok(()) => {
                added.add(series);
                Some(key)
            }
            Err(instead) => {
                let values = std::mem::take(&mut self.entries.get_mut(position)?.values);
                self.forget(position);
                let target = self.position(instead, Self::room_for);
                self.change(target, |present| present.merge(&values));
                None
            }
        }
    }

    /// Learns the place of a series that this or another worker has made, and returns its position. `None` if it has
    /// another place already.
    pub fn learn(&mut self, key: SeriesKey, place: Place) -> Option<usize> {
        let position = match self.known.get(&key) {
            Some(position) => *position,
            None => self.insert(key),
        };
        let entry = self.entries.get_mut(position).filter(|entry| entry.place.is_none())?;
        entry.place = Some(place);
        if let Some(series) = entry.key.series() {
            self.placed.add(series);
            if let Series::Exact(dimensions) = series {
                for (kind, waiting) in NameKind::ALL.into_iter().zip(&mut self.waiting) {
                    kind.of(&dimensions).into_iter().for_each(|name| waiting.has(name));
                }
            }
        }
        Some(position)
    }

    /// Shared data has given up the place of a series. Counts that are not merged yet find another one.
    pub fn lose(&mut self, position: usize, place: Place) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        if entry.place != Some(place) {
            return;
        }
        entry.place = None;
        if let Some(series) = entry.key.series() {
            self.placed.remove(series);
        }
        if entry.values.duration.count == 0 {
            self.forget(position);
        }
    }

    /// A slot is taken by a series that is given up and not yet acknowledged.
    pub fn slot_is_closed(&mut self) {
        self.placed.add_given_up();
    }

    /// Such a slot is free.
    pub fn slot_is_free(&mut self) {
        self.placed.remove_given_up();
    }

    /// Where a series is counted: its own entry, a new one, or that of a coarser series.
    fn position<'a>(
        &mut self,
        series: Series<'a>,
        mut room_for: impl FnMut(&mut Self, Series<'a>) -> Result<(), Series<'a>>,
    ) -> usize {
        let mut series = series;
        loop {
            self.scratch.set(series);
            if let Some(position) = self.known.get(self.scratch.as_bytes()) {
                return *position;
            }
            match room_for(self, series) {
                Ok(()) => {
                    self.scratch.set(series);
                    return self.insert(self.scratch.clone());
                }
                Err(instead) => series = instead,
            }
        }
    }

    fn room_for<'a>(&mut self, series: Series<'a>) -> Result<(), Series<'a>> {
        self.seen.room_for(&Cardinality::default(), &self.caps, series)
    }

    /// The same for a request, whose names may have to wait.
    fn admit<'a>(&mut self, series: Series<'a>) -> Result<(), Series<'a>> {
        let Self { seen, waiting, caps, .. } = self;
        wait_for_names(waiting, caps, series, 1, |kind, name| match seen.knows(kind, name) {
            true => None,
            false => Some(seen.names(kind)),
        })?;
        self.room_for(series)
    }

    /// The same in shared data, where other workers may have taken slots meanwhile.
    fn place<'a>(
        &mut self,
        series: Series<'a>,
        requests: u64,
        added: &Cardinality,
    ) -> Result<(), Series<'a>> {
        let Self { placed, waiting, caps, .. } = self;
        wait_for_names(waiting, caps, series, requests, |kind, name| {
            match placed.knows(kind, name) || added.knows(kind, name) {
                true => None,
                false => Some(placed.names(kind).saturating_add(added.names(kind))),
            }
        })?;
        placed.room_for(added, caps, series)
    }

    fn insert(&mut self, key: SeriesKey) -> usize {
        if let Some(series) = key.series() {
            self.seen.add(series);
        }
        let entry = Entry { key: key.clone(), ..Entry::default() };
        let position = match self.unused.pop() {
            Some(position) => {
                if let Some(unused) = self.entries.get_mut(position) {
                    *unused = entry;
                }
                position
            }
            None => {
                self.entries.push(entry);
                self.entries.len().saturating_sub(1)
            }
        };
        self.known.insert(key, position);
        position
    }

    /// Forgets a series without a place and without counts.
    fn forget(&mut self, position: usize) {
        let Some(entry) = self.entries.get_mut(position).map(std::mem::take) else { return };
        self.known.remove(&entry.key);
        if let Some(series) = entry.key.series() {
            self.seen.remove(series);
        }
        self.unused.push(position);
    }

    fn change(&mut self, position: usize, change: impl FnOnce(&mut Values)) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        if entry.values.duration.count == 0 {
            self.changed.push(position);
        }
        change(&mut entry.values);
    }
}

/// Counts the requests of a series for those of its names that have no slot. `taken` is the number of slots that are
/// taken; `None` for a name that has one.
///
/// # Errors
/// The series that counts for it while a name waits.
fn wait_for_names<'a>(
    waiting: &mut [Waiting; 4],
    caps: &Caps,
    series: Series<'a>,
    requests: u64,
    taken: impl Fn(NameKind, &str) -> Option<usize>,
) -> Result<(), Series<'a>> {
    let Series::Exact(dimensions) = series else { return Ok(()) };
    for (kind, waiting) in NameKind::ALL.into_iter().zip(waiting) {
        let Some(name) = kind.of(&dimensions) else { continue };
        let Some(taken) = taken(kind, name) else { continue };
        if waiting.request(name, requests, taken, caps.names(kind)) == Admission::Waits {
            return Err(kind.given_up(dimensions));
        }
    }
    Ok(())
}
