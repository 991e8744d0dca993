//! Minutes that are over, packed.
//!
//! A row of a minute takes twice the bytes of what it says: its key, its lengths, its checksum, and the free part of its page. When a
//! half hour has been over for half an hour, its rows go from `minutes` and `gateway_minutes` into `packed_minutes`, some
//! thousand in one. Counts that arrive later make new rows, which are packed in their turn: questions add up all that there is of a
//! series and minute.

mod added_up;
mod form;

pub(super) use added_up::AddedUp;
pub(crate) use form::{Buckets, Row, Rows};
pub(super) use form::{Loose, decode, encode};

use super::metrics::Damaged;
use super::narrow::{self, Without};
use super::rollups::{self, HALF_HOURS, RollupTable};
use super::{StoreError, checksum};
use form::MAX_ROWS;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;

/// The name of the table.
pub(super) const TABLE: &str = "packed_minutes";

const HALF_HOUR: i64 = HALF_HOURS.width;
/// Unix minutes after the end of a half hour in which most of its late counts arrive.
const LATE: i64 = 30;
/// Packs of each table that stay unpacked: a question may compare two times, of which a step may begin in one pack and end in
/// the next.
const KEPT: usize = 4;

/// Packed minutes of a snapshot of the file. The rows that were read last stay unpacked, because the next step of a question
/// probably needs them.
#[derive(Default)]
pub(crate) struct Packed {
    /// The Unix minute after the last that is packed.
    end: OnceCell<i64>,
    /// By table, with the ids of their packs, and what they have without.
    last: [RefCell<Vec<(PackKey, Rows)>>; 2],
}

type PackKey = (i64, Option<Without>);

impl Packed {
    /// Calls `each` with the packed rows of a table in these Unix minutes, the end exclusive. Rows of sums may be those of series
    /// together that differ only in what a question can do without.
    pub(crate) fn each<E: From<StoreError>>(
        &self,
        file: &Connection,
        (table, without): (PackedTable, Option<Without>),
        (from, to): (i64, i64),
        mut each: impl FnMut(&Row, [Buckets<'_>; 3]) -> Result<(), E>,
    ) -> Result<(), E> {
        if from >= to || from >= self.end(file)? {
            return Ok(());
        }
        let Some(last) = self.last.get(table as usize) else { return Ok(()) };
        let mut last = last.borrow_mut();
        for id in ids(file, table, (from, to))? {
            let key = (id, without);
            let place = match last.iter().position(|(known, _)| *known == key) {
                Some(place) => place,
                None => {
                    if last.len() >= KEPT {
                        last.remove(0);
                    }
                    let narrow = match without {
                        Some(without) => narrow::unpack_of_pack(file, id, without)?,
                        None => None,
                    };
                    let rows = match narrow {
                        None => unpack(file, id)?,
                        narrow => narrow,
                    };
                    last.push((key, rows.unwrap_or_default()));
                    last.len() - 1
                }
            };
            let Some((_, rows)) = last.get(place) else { continue };
            for row in rows.between((from, to)) {
                each(row, rows.sketches(row))?;
            }
        }
        Ok(())
    }

    fn end(&self, file: &Connection) -> Result<i64, StoreError> {
        if let Some(end) = self.end.get() {
            return Ok(*end);
        }
        let last: Option<i64> =
            file.query_row("SELECT max(half_hour) FROM packed_minutes", [], |row| row.get(0))?;
        Ok(*self.end.get_or_init(|| last.map_or(i64::MIN, |half_hour| half_hour + HALF_HOUR)))
    }
}

/// A table whose rows are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackedTable {
    /// `minutes`.
    Sums = 0,
    /// `gateway_minutes`.
    ByGateway = 1,
}

impl PackedTable {
    const ALL: [Self; 2] = [Self::Sums, Self::ByGateway];

    fn name(self) -> &'static str {
        let RollupTable { sums, by_gateway, .. } = rollups::MINUTES;
        match self {
            Self::Sums => sums,
            Self::ByGateway => by_gateway,
        }
    }
}

/// The first Unix minute with counts by minute, and the last. Packed ones reach to the ends of their half hours.
pub(super) fn bounds(file: &Connection) -> Result<Option<(i64, i64)>, StoreError> {
    let one = |question| file.query_row(question, [], |row| row.get::<_, Option<i64>>(0));
    let first = [one("SELECT min(minute) FROM minutes")?, one("SELECT min(half_hour) FROM packed_minutes")?];
    let last_packed = one("SELECT max(half_hour) FROM packed_minutes")?.map(|first| first + HALF_HOUR - 1);
    let last = [one("SELECT max(minute) FROM minutes")?, last_packed];
    Ok(first.into_iter().flatten().min().zip(last.into_iter().flatten().max()))
}

/// The Unix minute before which half hours are over, and most of their late counts have come.
pub(super) fn over(file: &Connection) -> Result<Option<i64>, StoreError> {
    let newest = bounds(file)?.map(|(_, newest)| newest);
    Ok(newest.map(|newest| newest.saturating_sub(LATE).div_euclid(HALF_HOUR) * HALF_HOUR))
}

/// Whether there are packed minutes.
pub(super) fn any(file: &Connection) -> Result<bool, StoreError> {
    Ok(file.prepare_cached("SELECT 1 FROM packed_minutes LIMIT 1")?.exists([])?)
}

/// Packs some of the rows of half hours that are [`over`] at a Unix minute. False if there was nothing to do.
pub(super) fn pack(
    transaction: &Transaction<'_>,
    end: i64,
    damaged: &mut Damaged,
) -> Result<bool, StoreError> {
    for table in PackedTable::ALL {
        if pack_of(transaction, table, end, damaged)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pack_of(
    transaction: &Transaction<'_>,
    table: PackedTable,
    end: i64,
    damaged: &mut Damaged,
) -> Result<bool, StoreError> {
    let name = table.name();
    let oldest: Option<i64> =
        transaction.query_row(&format!("SELECT min(minute) FROM {name}"), [], |row| row.get(0))?;
    let Some(half_hour) =
        oldest.map(|minute| minute.div_euclid(HALF_HOUR) * HALF_HOUR).filter(|first| *first < end)
    else {
        return Ok(false);
    };
    let mut rows = Vec::new();
    let mut last = [i64::MIN; 3];
    let condition = "minute < ?1 ORDER BY minute, series_id LIMIT ?2";
    let parameters = [half_hour + HALF_HOUR, MAX_ROWS as i64];
    let found = rollups::read_rows(transaction, &rollups::MINUTES, name, condition, &parameters)?;
    for row in found {
        match row {
            Ok(row) => {
                last = [row.minute, row.series, row.instance];
                rows.push(row);
            }
            Err(key) => {
                last = key;
                let key = if table == PackedTable::Sums { key[..2].to_vec() } else { key.to_vec() };
                damaged.push((name, key));
            }
        }
    }
    put(transaction, table, half_hour, &rows)?;
    let [minute, series, instance] = last;
    let key = if table == PackedTable::Sums {
        "(minute, series_id) <= (?1, ?2)"
    } else {
        "(minute, series_id, instance) <= (?1, ?2, ?3)"
    };
    let mut remove = transaction.prepare_cached(&format!("DELETE FROM {name} WHERE {key}"))?;
    match table {
        PackedTable::Sums => remove.execute([minute, series])?,
        PackedTable::ByGateway => remove.execute([minute, series, instance])?,
    };
    Ok(true)
}

/// Takes the rows of some series out of the packs of some Unix minutes, the end exclusive, and makes them rows of their tables
/// again.
pub(super) fn release(
    transaction: &Transaction<'_>,
    series: &HashSet<i64>,
    minutes: (i64, i64),
    damaged: &mut Damaged,
) -> Result<(), StoreError> {
    // The parts of gateways come before the sums, which may have to be added to them.
    for table in [PackedTable::ByGateway, PackedTable::Sums] {
        take_out(transaction, table, series, minutes, |rows| {
            rollups::put_back(transaction, table, rows, damaged)
        })?;
    }
    Ok(())
}

/// Removes all that is packed of some series.
pub(super) fn remove(transaction: &Transaction<'_>, series: &HashSet<i64>) -> Result<(), StoreError> {
    for table in PackedTable::ALL {
        take_out(transaction, table, series, (i64::MIN, i64::MAX), |_| Ok(()))?;
    }
    Ok(())
}

/// Takes the rows of some series out of the packs of a table, and gives those of each pack to `each`.
fn take_out(
    transaction: &Transaction<'_>,
    table: PackedTable,
    series: &HashSet<i64>,
    minutes: (i64, i64),
    mut each: impl FnMut(&mut dyn Iterator<Item = Loose>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for id in ids(transaction, table, minutes)? {
        let rows = unpack(transaction, id)?.unwrap_or_default();
        let (taken, left): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| series.contains(&row.series));
        if taken.is_empty() {
            continue;
        }
        let half_hour = transaction.query_row(
            "DELETE FROM packed_minutes WHERE id = ? RETURNING half_hour",
            [id],
            |row| row.get(0),
        )?;
        narrow::remove_of_pack(transaction, id)?;
        let left: Vec<Loose> = left.into_iter().map(|row| rows.loose(row)).collect();
        put(transaction, table, half_hour, &left)?;
        each(&mut taken.into_iter().map(|row| rows.loose(row)))?;
    }
    Ok(())
}

/// Removes what is packed of before a Unix minute, which begins a half hour, and returns how many rows that were. At most
/// `most` packs go.
pub(super) fn remove_before(
    transaction: &Transaction<'_>,
    minute: i64,
    most: i64,
) -> Result<u64, StoreError> {
    let mut remove = transaction.prepare_cached(
        "DELETE FROM packed_minutes WHERE id IN (SELECT id FROM packed_minutes WHERE half_hour < ? LIMIT ?)
         RETURNING id, entries",
    )?;
    let packs = remove.query_map([minute, most], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let mut removed = 0;
    for (id, entries) in packs.collect::<Result<Vec<_>, _>>()? {
        narrow::remove_of_pack(transaction, id)?;
        removed += entries.unsigned_abs();
    }
    Ok(removed)
}

fn put(
    transaction: &Transaction<'_>,
    table: PackedTable,
    half_hour: i64,
    rows: &[Loose],
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    let data = form::encode(half_hour, rows)?;
    let numbers = [half_hour, table as i64, first.minute, last.minute, rows.len() as i64];
    let sum = checksum::of_packed(&numbers, &data);
    let [half_hour, table, since, until, entries] = numbers;
    transaction
        .prepare_cached(
            "INSERT INTO packed_minutes (half_hour, by_gateway, since, until, entries, data, checksum)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![half_hour, table, since, until, entries, data, sum])?;
    if table == PackedTable::Sums as i64 {
        narrow::add_of_pack(transaction, transaction.last_insert_rowid(), rows)?;
    }
    Ok(())
}

/// The packs with rows of these Unix minutes, the end exclusive, in the order of their beginnings.
fn ids(file: &Connection, table: PackedTable, (from, to): (i64, i64)) -> Result<Vec<i64>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT id FROM packed_minutes
         WHERE half_hour > ?1 AND half_hour < ?3 AND by_gateway = ?4 AND until >= ?2 AND since < ?3
         ORDER BY half_hour, since",
    )?;
    let rows =
        select.query_map([from.saturating_sub(HALF_HOUR), from, to, table as i64], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rows of a pack. A damaged one has none: the scrub sets it aside.
fn unpack(file: &Connection, id: i64) -> Result<Option<Rows>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT half_hour, by_gateway, since, until, entries, data, checksum FROM packed_minutes WHERE id = ?",
    )?;
    let found = select.query_row([id], |row| {
        let numbers @ [half_hour, ..] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        let data = row.get_ref(5)?.as_blob()?;
        let is_sound = checksum::of_packed(&numbers, data) == row.get::<_, i64>(6)?;
        Ok(if is_sound { form::decode(half_hour, data).ok() } else { None })
    });
    Ok(found.optional()?.flatten())
}
