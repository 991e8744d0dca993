//! Changes of counters that are not yet in the rows of their minutes.
//!
//! A batch changes a few counts of many series, and the states of as many streams. To change their rows is to write
//! almost every page that has one. So a batch appends its changes to the table `changes`, in the transaction that has its
//! identity. Questions add them to the rows of the minutes. When a gateway has sent some thousand changes, or after a minute,
//! its changes are added up, and the sums go into the rows of minutes, half hours and states, in the transaction that
//! removes the changes.
//!
//! The states in memory are those of the file, moved by the changes that wait there.

mod entry;
mod recent;
mod state;

pub(crate) use recent::{Change, Recent};

use super::metrics::Damaged;
use super::rollups::{self, Added};
use super::totals::{self, Totals};
use super::{StoreError, checksum};
use crate::model::accumulate::{Known, State as Moved, Step};
use crate::model::{Point, Values};
use entry::{Entry, Move, Writer};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use state::{Found, State};
use std::collections::{BTreeMap, HashMap};

/// The name of the table.
pub(super) const TABLE: &str = "changes";

/// Changes of a gateway that are worth adding up.
const MANY: usize = 8_192;
/// Most changes that wait: a question about the present reads them all.
const MAX_ENTRIES: usize = 131_072;
/// Most bytes of them.
const MAX_BYTES: usize = 8 << 20;
/// Nanoseconds after which changes are added up, however few they are.
const MAX_AGE: u64 = 60_000_000_000;
/// Most bytes of states in memory.
const MAX_STATE_BYTES: usize = 48 << 20;
/// Changes of a row.
const ROW_ENTRIES: usize = 1_000;
/// Sums in memory while changes are added up.
const MAX_SUMS: usize = 8_192;

/// The changes that wait in the file, and the states of streams. Only ever ahead of the file within a transaction.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// By the row of the gateway's epoch.
    gateways: BTreeMap<i64, Gateway>,
    entries: usize,
    bytes: usize,
    state_bytes: usize,
    /// The most changes of a gateway.
    largest: usize,
    /// When the oldest change was received, Unix nanoseconds.
    oldest: Option<i64>,
}

#[derive(Debug, Default)]
struct Gateway {
    rows: Vec<i64>,
    entries: usize,
    bytes: usize,
    /// When the oldest of its changes was received, Unix nanoseconds.
    since: i64,
    /// By start and stream.
    states: HashMap<(i64, i64), State>,
}

/// The changes of one gateway in a batch.
pub(super) struct Part {
    gateway: i64,
    /// Unix nanoseconds.
    received_at: i64,
    writer: Writer,
    /// Whether they cannot wait.
    is_urgent: bool,
    /// Additions that were left out so far, see [`rollups::add`].
    left_out: u64,
}

/// The state of a stream, as a reader of all of them finds it.
#[allow(clippy::large_enum_variant, reason = "one at a time, and almost always a state")]
pub(super) enum StreamState {
    Known {
        values: Values,
        series: i64,
        /// Unix nanoseconds.
        time: i64,
    },
    /// There was one.
    Unreadable,
}

/// Calls `each` with the start, the stream and the state of each stream of a gateway. No changes may wait.
pub(super) fn states_of(
    file: &Connection,
    gateway: i64,
    mut each: impl FnMut((i64, i64), StreamState),
) -> Result<(), StoreError> {
    let mut select = file.prepare_cached("SELECT start, stream FROM states WHERE gateway_id = ?")?;
    let mut keys = select.query([gateway])?;
    while let Some(row) = keys.next()? {
        let key = (row.get(0)?, row.get(1)?);
        match state::stored(file, gateway, key, None)? {
            Some(Found::State { values, series, time, .. }) => {
                each(key, StreamState::Known { values, series, time });
            }
            Some(Found::Forgotten | Found::Damaged) => each(key, StreamState::Unreadable),
            None => {}
        }
    }
    Ok(())
}

/// Where a change counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Unix minute.
    pub(super) minute: i64,
    pub(super) series: i64,
    pub(super) instance: i64,
}

impl Part {
    /// `received_at` is in Unix nanoseconds.
    pub(super) fn new(gateway: i64, received_at: i64) -> Self {
        Self { gateway, received_at, writer: Writer::default(), is_urgent: false, left_out: 0 }
    }
}

impl Changes {
    /// Reads what waits in a file.
    pub(super) fn load(file: &Connection) -> Result<Self, StoreError> {
        let mut all = Self::default();
        let mut select = file.prepare(
            "SELECT id, gateway_id, received_at, entries, data, checksum FROM changes ORDER BY id",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let gateway = row.get(1)?;
            let data = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
            let entries = usize::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
            all.note(gateway, row.get(0)?, (entries, data.len()), row.get(2)?);
            // The states do not have the counts of a damaged row, so that they come again with the next points.
            if checksum::of_changes(gateway, data) != row.get::<_, i64>(5)? {
                continue;
            }
            for entry in entry::read(data) {
                if let Some(moved) = entry.moved {
                    all.replay(file, gateway, moved, &entry)?;
                }
            }
        }
        Ok(all)
    }

    /// The latest state of a point's stream, if there is one. Of a damaged one nothing holds except that there was one.
    pub(super) fn state(
        &self,
        transaction: &Transaction<'_>,
        gateway: i64,
        point: &Point,
        damaged: &mut Damaged,
    ) -> Result<Option<Known>, StoreError> {
        let key = (point.start, point.stream);
        match self.gateways.get(&gateway).and_then(|known| known.states.get(&key)) {
            Some(state) => Ok(Some(Known::State(state.values()))),
            None => state::of_point(transaction, gateway, point, damaged),
        }
    }

    /// Adds what a point changes to the changes of its batch.
    pub(super) fn add(
        &mut self,
        transaction: &Transaction<'_>,
        part: &mut Part,
        (place, point): (Place, &Point),
        (added, state): (&Values, Option<Moved>),
        damaged: &mut Damaged,
    ) -> Result<(), StoreError> {
        let key = (point.start, point.stream);
        let mut moved = None;
        if let Some(Moved { values, step }) = state {
            let mut state = State::new(place.series, point.time, &values);
            match step {
                // A question for the requests of such series reads the row of the state.
                _ if point.series.overflow => state.put(transaction, part.gateway, key)?,
                Step::First => state.put(transaction, part.gateway, key)?,
                Step::Sum => {
                    moved = Some(Move { start: point.start, stream: point.stream, time: point.time })
                }
                // The change does not lead from the state of the file to this one.
                Step::Other => part.is_urgent = true,
            }
            self.keep(part.gateway, key, state);
        }
        // Whether a sum comes near the end of its numbers is found when it is added up.
        part.is_urgent |= added.is_large();
        if !added.is_empty() {
            part.writer.add(place, moved, added);
        }
        if part.writer.entries() >= ROW_ENTRIES {
            self.append(transaction, part)?;
        }
        // A batch may have a million streams.
        if self.state_bytes > MAX_STATE_BYTES {
            self.append(transaction, part)?;
            part.left_out += self.add_up_all(transaction, damaged)?;
            self.drop_states();
        }
        Ok(())
    }

    /// Ends a gateway's part of a batch. Returns how many additions were left out, see [`rollups::add`].
    pub(super) fn end(
        &mut self,
        transaction: &Transaction<'_>,
        mut part: Part,
        damaged: &mut Damaged,
    ) -> Result<u64, StoreError> {
        self.append(transaction, &mut part)?;
        if part.is_urgent {
            part.left_out += self.add_up(transaction, &[part.gateway], damaged)?;
            self.added_up(&[part.gateway]);
        }
        Ok(part.left_out)
    }

    /// Gateways whose changes must be added up now; none if there is time. `now` is in Unix nanoseconds.
    pub(super) fn due(&self, now: i64) -> Vec<i64> {
        let is_old = |since: i64| now.abs_diff(since) >= MAX_AGE;
        let is_full = self.entries > MAX_ENTRIES || self.bytes > MAX_BYTES;
        if !is_full && self.largest < MANY && !self.oldest.is_some_and(is_old) {
            return Vec::new();
        }
        let waiting = self.gateways.iter().filter(|(_, gateway)| !gateway.rows.is_empty());
        let due = |gateway: &Gateway| gateway.entries >= MANY || is_old(gateway.since);
        let mut found: Vec<(i64, usize)> = waiting
            .filter(|(_, gateway)| is_full || due(gateway))
            .map(|(id, gateway)| (*id, gateway.entries))
            .collect();
        found.sort_unstable_by_key(|(_, entries)| std::cmp::Reverse(*entries));
        first_step(found)
    }

    /// Some gateways with changes; none if there are none.
    pub(super) fn some(&self) -> Vec<i64> {
        let waiting = self.gateways.iter().filter(|(_, gateway)| !gateway.rows.is_empty());
        first_step(waiting.map(|(id, gateway)| (*id, gateway.entries)).collect())
    }

    /// Adds up the changes of gateways. Returns how many additions were left out, see [`rollups::add`].
    /// [`Self::added_up`] must follow the commit.
    pub(super) fn add_up(
        &self,
        transaction: &Transaction<'_>,
        gateways: &[i64],
        damaged: &mut Damaged,
    ) -> Result<u64, StoreError> {
        let mut sums = Added::new();
        let mut totals = Totals::new();
        let mut left_out = 0;
        let mut find =
            transaction.prepare_cached("SELECT data, checksum, received_at FROM changes WHERE id = ?")?;
        let mut remove = transaction.prepare_cached("DELETE FROM changes WHERE id = ?")?;
        for (id, gateway) in gateways.iter().filter_map(|id| Some((*id, self.gateways.get(id)?))) {
            for row in &gateway.rows {
                let read = |row: &rusqlite::Row<'_>| {
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                };
                let Some((data, sum, received_at)) = find.query_row([row], read).optional()? else {
                    continue;
                };
                remove.execute([row])?;
                if checksum::of_changes(id, &data) != sum {
                    damaged.push((TABLE, vec![*row]));
                    continue;
                }
                for Entry { place, values, .. } in entry::read(&data) {
                    let values = values.read();
                    totals::add_change(&mut totals, (place.series, received_at), &values);
                    if totals.len() >= MAX_SUMS {
                        totals::add(transaction, std::mem::take(&mut totals), damaged)?;
                    }
                    let sum: &mut Values =
                        sums.entry((place.minute, place.series, place.instance)).or_default();
                    if sum.has_room_for(&values) {
                        sum.add(&values);
                    } else {
                        left_out += 1;
                    }
                    if sums.len() >= MAX_SUMS {
                        left_out += rollups::add(transaction, &sums, damaged)?;
                        sums.clear();
                    }
                }
            }
        }
        left_out += rollups::add(transaction, &sums, damaged)?;
        totals::add(transaction, totals, damaged)?;
        for (id, gateway) in gateways.iter().filter_map(|id| Some((*id, self.gateways.get(id)?))) {
            let mut waiting: Vec<_> = gateway.states.iter().filter(|(_, state)| state.is_ahead).collect();
            waiting.sort_unstable_by_key(|(key, _)| **key);
            for (key, state) in waiting {
                state.write(transaction, id, *key)?;
            }
        }
        Ok(left_out)
    }

    /// Forgets the changes of gateways that were added up.
    pub(super) fn added_up(&mut self, gateways: &[i64]) {
        for id in gateways {
            let Some(gateway) = self.gateways.get_mut(id) else { continue };
            self.entries -= std::mem::take(&mut gateway.entries);
            self.bytes -= std::mem::take(&mut gateway.bytes);
            gateway.rows.clear();
            gateway.states.values_mut().for_each(|state| state.is_ahead = false);
        }
        self.largest = self.gateways.values().map(|gateway| gateway.entries).max().unwrap_or_default();
        let waiting = self.gateways.values().filter(|gateway| !gateway.rows.is_empty());
        self.oldest = waiting.map(|gateway| gateway.since).min();
    }

    fn add_up_all(
        &mut self,
        transaction: &Transaction<'_>,
        damaged: &mut Damaged,
    ) -> Result<u64, StoreError> {
        let mut left_out = 0;
        loop {
            let some = self.some();
            if some.is_empty() {
                return Ok(left_out);
            }
            left_out += self.add_up(transaction, &some, damaged)?;
            self.added_up(&some);
        }
    }

    /// Drops the states that the file has.
    pub(super) fn drop_states(&mut self) {
        self.state_bytes = 0;
        self.gateways.retain(|_, gateway| {
            gateway.states.retain(|_, state| state.is_ahead);
            gateway.states.shrink_to_fit();
            self.state_bytes += gateway.states.values().map(State::size).sum::<usize>();
            !gateway.states.is_empty() || !gateway.rows.is_empty()
        });
    }

    /// Stores the changes that a part has so far.
    fn append(&mut self, transaction: &Transaction<'_>, part: &mut Part) -> Result<(), StoreError> {
        let Part { gateway, received_at, .. } = *part;
        let Some(row) = part.writer.end() else { return Ok(()) };
        let mut insert = transaction.prepare_cached(
            "INSERT INTO changes (gateway_id, received_at, since, until, entries, requests, data, checksum)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let sum = checksum::of_changes(gateway, &row.data);
        let requests = super::metrics::integer(row.requests);
        let entries = row.entries as i64;
        insert.execute(params![
            gateway,
            received_at,
            row.since,
            row.until,
            entries,
            requests,
            row.data,
            sum
        ])?;
        self.note(gateway, transaction.last_insert_rowid(), (row.entries, row.data.len()), received_at);
        Ok(())
    }

    fn note(&mut self, gateway: i64, row: i64, (entries, bytes): (usize, usize), received_at: i64) {
        let known = self.gateways.entry(gateway).or_default();
        if known.rows.is_empty() {
            known.since = received_at;
        }
        known.rows.push(row);
        known.entries += entries;
        known.bytes += bytes;
        self.entries += entries;
        self.bytes += bytes;
        self.largest = self.largest.max(known.entries);
        self.oldest.get_or_insert(received_at);
    }

    fn keep(&mut self, gateway: i64, key: (i64, i64), state: State) {
        self.state_bytes += state.size();
        if let Some(before) = self.gateways.entry(gateway).or_default().states.insert(key, state) {
            self.state_bytes -= before.size();
        }
    }

    /// Moves the state of a stream by a change. A stream without a readable state keeps none.
    fn replay(
        &mut self,
        file: &Connection,
        gateway: i64,
        moved: Move,
        entry: &Entry<'_>,
    ) -> Result<(), StoreError> {
        let key = (moved.start, moved.stream);
        let known = match self.gateways.get(&gateway).and_then(|known| known.states.get(&key)) {
            Some(state) => Some(state.values()),
            None => match state::stored(file, gateway, key, None)? {
                Some(Found::State { values, .. }) => Some(values),
                _ => None,
            },
        };
        let Some(mut values) = known else { return Ok(()) };
        values.add(&entry.values.read());
        self.keep(gateway, key, State::new(entry.place.series, moved.time, &values));
        Ok(())
    }
}

/// As many as one transaction adds up, but at least one.
fn first_step(found: Vec<(i64, usize)>) -> Vec<i64> {
    let mut entries = 0;
    let within = found.into_iter().take_while(|(_, of_gateway)| {
        let is_within = entries == 0 || entries + of_gateway <= MANY;
        entries += of_gateway;
        is_within
    });
    within.map(|(id, _)| id).collect()
}
