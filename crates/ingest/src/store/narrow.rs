//! Packed counts without consumers, or without routes: most questions ask for one of them or for neither, and would add up the
//! rows of all.
//!
//! Beside the parts of a half hour or a day ([`sums`](super::sums)) there are up to three narrow ones. In each, series that are equal
//! in all other dimensions are one row, under the id of one that has counts there. That series has a row in `half_hours`, so that
//! it stays as long as the narrow part does. A narrow part that would have more than half as many rows as there are series is not
//! kept: a question then reads the others. Packed minutes have the same beside each pack.

use super::packed::{AddedUp, Loose, Rows, decode, encode};
use super::{StoreError, checksum, metrics};
use crate::model::SeriesKey;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::borrow::Cow;
use std::collections::HashMap;

/// Rows of a narrow part.
const MAX_ROWS: usize = 2_000;

/// What a narrow part leaves out. The numbers stand for it in place of that of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    ConsumerAndRoute = -1,
    Consumer = -2,
    Route = -3,
}

/// Where parts are: the width and the start of their half hour or day; or [`OF_PACK`] and the id of a pack of minutes.
pub(super) type Place = (i64, i64);

/// Stands in place of a width for the narrow parts of a pack of minutes.
const OF_PACK: i64 = 0;

impl Without {
    const ALL: [Self; 3] = [Self::ConsumerAndRoute, Self::Consumer, Self::Route];

    /// What series that are one row have in common.
    pub(crate) fn class(self, series: &SeriesKey) -> SeriesKey {
        let mut class = series.clone();
        if self != Self::Route {
            class.consumer = "".into();
        }
        if self != Self::Consumer {
            // The source is that of the route.
            (class.route, class.route_source) = ("".into(), "".into());
        }
        class
    }
}

/// Adds the rows of a part to the narrow ones. There are at most `before` series in the parts before it.
pub(super) fn add(
    transaction: &Transaction<'_>,
    place: Place,
    rows: &[Loose],
    before: usize,
    end: End,
) -> Result<(), StoreError> {
    let mut keys = Keys { file: transaction, known: HashMap::new() };
    for without in Without::ALL {
        let known = match before {
            0 => Vec::new(),
            // It is not kept.
            _ => match unpack(transaction, place, without)? {
                None => continue,
                Some(known) => known.iter().map(|row| known.loose(row)).collect(),
            },
        };
        let all = added_up(without, known.iter().chain(rows), &mut keys)?;
        transaction
            .prepare_cached("DELETE FROM packed_sums WHERE width = ? AND start = ? AND part = ?")?
            .execute(params![place.0, place.1, without as i64])?;
        let is_worth_it = end == End::Open || all.len() * 2 <= before + rows.len();
        if all.len() <= MAX_ROWS && is_worth_it {
            put(transaction, place, without, &all)?;
        }
    }
    Ok(())
}

/// Makes the narrow parts of a pack of minutes.
pub(super) fn add_of_pack(
    transaction: &Transaction<'_>,
    pack: i64,
    rows: &[Loose],
) -> Result<(), StoreError> {
    // SQLite may have given the id before.
    remove_of_pack(transaction, pack)?;
    add(transaction, (OF_PACK, pack), rows, 0, End::Last)
}

/// Removes the narrow parts of a pack of minutes.
pub(super) fn remove_of_pack(file: &Connection, pack: i64) -> Result<(), StoreError> {
    file.prepare_cached("DELETE FROM packed_sums WHERE width = ? AND start = ?")?.execute([OF_PACK, pack])?;
    Ok(())
}

/// A narrow part of a pack of minutes, if there is one that can be read.
pub(super) fn unpack_of_pack(
    file: &Connection,
    pack: i64,
    without: Without,
) -> Result<Option<Rows>, StoreError> {
    unpack(file, (OF_PACK, pack), without)
}

/// Whether further parts follow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Last,
}

/// One row for each class and minute, in the order of minutes and series.
fn added_up<'a>(
    without: Without,
    rows: impl Iterator<Item = &'a Loose>,
    keys: &mut Keys<'_>,
) -> Result<Vec<Loose>, StoreError> {
    let mut leaders = Leaders { without, of_class: HashMap::new(), of_series: HashMap::new() };
    let mut sums = AddedUp::new();
    for row in rows {
        if let Some(leader) = leaders.of(row.series, keys)? {
            sums.add((row.minute, leader), Cow::Borrowed(row));
        }
    }
    Ok(sums.into_rows().map(|((_, leader), row)| Loose { series: leader, ..row }).collect())
}

/// The series that stand for others: of a class, the one that came first.
struct Leaders {
    without: Without,
    of_class: HashMap<SeriesKey, i64>,
    /// `None`: the store does not have the series.
    of_series: HashMap<i64, Option<i64>>,
}

impl Leaders {
    fn of(&mut self, series: i64, keys: &mut Keys<'_>) -> Result<Option<i64>, StoreError> {
        if let Some(known) = self.of_series.get(&series) {
            return Ok(*known);
        }
        let class = keys.get(series)?.map(|key| self.without.class(key));
        let leader = class.map(|class| *self.of_class.entry(class).or_insert(series));
        self.of_series.insert(series, leader);
        Ok(leader)
    }
}

/// The dimensions of series, read when they are asked for first.
struct Keys<'a> {
    file: &'a Connection,
    known: HashMap<i64, Option<SeriesKey>>,
}

impl Keys<'_> {
    fn get(&mut self, id: i64) -> Result<Option<&SeriesKey>, StoreError> {
        if !self.known.contains_key(&id) {
            let question = format!("SELECT {} FROM series WHERE id = ?", metrics::SERIES_COLUMNS);
            let found =
                self.file.prepare_cached(&question)?.query_row([id], metrics::read_series).optional()?;
            self.known.insert(id, found);
        }
        Ok(self.known.get(&id).and_then(Option::as_ref))
    }
}

fn put(file: &Connection, (width, start): Place, without: Without, rows: &[Loose]) -> Result<(), StoreError> {
    let data = encode(start, rows)?;
    let part = without as i64;
    file.prepare_cached(
        "INSERT INTO packed_sums (width, start, part, data, checksum) VALUES (?, ?, ?, ?, ?)",
    )?
    .execute(params![width, start, part, data, checksum::of_packed(&[width, start, part], &data)])?;
    Ok(())
}

/// The rows of a narrow part, if there is one that can be read.
pub(super) fn unpack(
    file: &Connection,
    (width, start): Place,
    without: Without,
) -> Result<Option<Rows>, StoreError> {
    let part = without as i64;
    let found = file
        .prepare_cached("SELECT data, checksum FROM packed_sums WHERE width = ? AND start = ? AND part = ?")?
        .query_row([width, start, part], |row| {
            let data = row.get_ref(0)?.as_blob()?;
            let is_sound = checksum::of_packed(&[width, start, part], data) == row.get::<_, i64>(1)?;
            Ok(if is_sound { decode(start, data).ok() } else { None })
        });
    Ok(found.optional()?.flatten())
}
