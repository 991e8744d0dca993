//! Half hours and days that are over, packed for questions.
//!
//! A question for a month would read a row of each series for each half hour. So the rows of a half hour are packed beside the
//! table, in the form of [`packed`](super::packed), which is read in a fifth of the time; and their sums over a day are packed
//! likewise. Nothing is taken out of `half_hours`: what is packed here can be made anew at any time. Triggers remove it when a row
//! of its half hours changes, whoever changes it.

use super::metrics::Damaged;
use super::narrow::{self, End, Without};
use super::packed::{AddedUp, Buckets, Loose, Row, Rows, decode, encode};
use super::rollups::{self, HALF_HOURS};
use super::{StoreError, checksum};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::borrow::Cow;

/// The name of the table.
pub(super) const TABLE: &str = "packed_sums";

pub(super) const TABLES: &str = "
CREATE TABLE summed (               -- half hours and days that are packed, see sums.rs
    width INTEGER NOT NULL,         -- minutes
    start INTEGER NOT NULL,         -- Unix minute
    parts INTEGER NOT NULL,         -- rows of packed_sums
    last INTEGER NOT NULL,          -- the last series that they have
    is_whole INTEGER NOT NULL,      -- 1: they have all series
    PRIMARY KEY (width, start)
) WITHOUT ROWID;
CREATE TABLE packed_sums (
    id INTEGER PRIMARY KEY,
    width INTEGER NOT NULL,
    start INTEGER NOT NULL,
    part INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE UNIQUE INDEX packed_sums_by_time ON packed_sums (width, start, part);
CREATE TRIGGER sums_of_new_half_hour AFTER INSERT ON half_hours
WHEN EXISTS (SELECT 1 FROM summed WHERE (width = 30 AND start = new.minute) OR (width = 1440 AND start = new.minute - new.minute % 1440))
BEGIN
    DELETE FROM packed_sums WHERE (width = 30 AND start = new.minute) OR (width = 1440 AND start = new.minute - new.minute % 1440);
    DELETE FROM summed WHERE (width = 30 AND start = new.minute) OR (width = 1440 AND start = new.minute - new.minute % 1440);
END;
CREATE TRIGGER sums_of_changed_half_hour AFTER UPDATE ON half_hours
WHEN EXISTS (SELECT 1 FROM summed WHERE (width = 30 AND start = new.minute) OR (width = 1440 AND start = new.minute - new.minute % 1440))
BEGIN
    DELETE FROM packed_sums WHERE (width = 30 AND start = new.minute) OR (width = 1440 AND start = new.minute - new.minute % 1440);
    DELETE FROM summed WHERE (width = 30 AND start = new.minute) OR (width = 1440 AND start = new.minute - new.minute % 1440);
END;
CREATE TRIGGER sums_of_removed_half_hour AFTER DELETE ON half_hours
WHEN EXISTS (SELECT 1 FROM summed WHERE (width = 30 AND start = old.minute) OR (width = 1440 AND start = old.minute - old.minute % 1440))
BEGIN
    DELETE FROM packed_sums WHERE (width = 30 AND start = old.minute) OR (width = 1440 AND start = old.minute - old.minute % 1440);
    DELETE FROM summed WHERE (width = 30 AND start = old.minute) OR (width = 1440 AND start = old.minute - old.minute % 1440);
END;
";

const HALF_HOUR: i64 = HALF_HOURS.width;
const DAY: i64 = 24 * 60;
/// The longest first.
const WIDTHS: [i64; 2] = [DAY, HALF_HOUR];
/// Series in a part of a half hour, and in one of a day, for which 48 times as many rows are read.
const HALF_HOUR_SERIES: i64 = 2_000;
const DAY_SERIES: i64 = 250;
/// Stretches that are looked at in one step.
const MAX_LOOKS: usize = 500;
/// The sum of instances: a question for gateways does not read packed sums.
const ANY_INSTANCE: i64 = 0;

/// Until where stretches were looked at, by the places of [`WIDTHS`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    next: [i64; 2],
    /// The day in which the look began: a new one looks at all, because late counts may have removed what was packed.
    day: i64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { next: [i64::MIN; 2], day: i64::MIN }
    }
}

/// A part of a half hour or a day.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    width: i64,
    start: i64,
}

/// Packs a part of a half hour or of a day that is [`over`](super::packed::over) at a Unix minute. False if there was nothing to
/// do.
pub(super) fn step(
    transaction: &Transaction<'_>,
    over: i64,
    progress: &mut Progress,
    damaged: &mut Damaged,
) -> Result<bool, StoreError> {
    if progress.day != over.div_euclid(DAY) {
        *progress = Progress { day: over.div_euclid(DAY), ..Progress::default() };
    }
    for (next, width) in progress.next.iter_mut().zip(WIDTHS).rev() {
        for _ in 0..MAX_LOOKS {
            let found: Option<i64> = transaction
                .prepare_cached("SELECT min(minute) FROM half_hours WHERE minute >= ?")?
                .query_row([*next], |row| row.get(0))?;
            let Some(start) = found.map(|minute| minute.div_euclid(width) * width) else { break };
            if start + width > over {
                break;
            }
            if pack_part(transaction, Stretch { width, start }, damaged)? {
                return Ok(true);
            }
            *next = start + width;
        }
    }
    Ok(false)
}

/// Packs the next part of a stretch. False if all of it is packed, or cannot be.
fn pack_part(
    transaction: &Transaction<'_>,
    Stretch { width, start }: Stretch,
    damaged: &mut Damaged,
) -> Result<bool, StoreError> {
    let known: Option<(i64, i64, i64)> = transaction
        .prepare_cached("SELECT parts, last, is_whole FROM summed WHERE width = ? AND start = ?")?
        .query_row([width, start], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (part, after, is_whole) = known.unwrap_or((0, i64::MIN, 0));
    if is_whole == 1 {
        return Ok(false);
    }
    let series = if width == DAY { DAY_SERIES } else { HALF_HOUR_SERIES };
    let last: Option<i64> = transaction
        .prepare_cached("SELECT id FROM series WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?")?
        .query_row([after, series - 1], |row| row.get(0))
        .optional()?;
    let until = last.unwrap_or(i64::MAX);
    let Some(rows) = read(transaction, Stretch { width, start }, (after, until), damaged)? else {
        return Ok(false);
    };
    let data = encode(start, &rows)?;
    transaction
        .prepare_cached(
            "INSERT INTO packed_sums (width, start, part, data, checksum) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![width, start, part, data, checksum::of_packed(&[width, start, part], &data)])?;
    transaction.prepare_cached("INSERT OR REPLACE INTO summed VALUES (?, ?, ?, ?, ?)")?.execute([
        width,
        start,
        part + 1,
        until,
        i64::from(last.is_none()),
    ])?;
    let end = if last.is_none() { End::Last } else { End::Open };
    narrow::add(transaction, (width, start), &rows, (part * series).unsigned_abs() as usize, end)?;
    Ok(true)
}

/// The sums of the series after one, up to another; `None` when a row of them is damaged.
fn read(
    transaction: &Transaction<'_>,
    Stretch { width, start }: Stretch,
    (after, until): (i64, i64),
    damaged: &mut Damaged,
) -> Result<Option<Vec<Loose>>, StoreError> {
    let mut sums = AddedUp::new();
    for minute in (start..start + width).step_by(HALF_HOUR as usize) {
        let condition = "minute = ?1 AND series_id > ?2 AND series_id <= ?3";
        for row in
            rollups::read_rows(transaction, &HALF_HOURS, HALF_HOURS.sums, condition, &[minute, after, until])?
        {
            let row = match row {
                Ok(row) => row,
                Err([minute, series, _]) => {
                    damaged.push((HALF_HOURS.sums, vec![minute, series]));
                    return Ok(None);
                }
            };
            let row = Loose { minute: start, instance: ANY_INSTANCE, ..row };
            sums.add(row.series, Cow::Owned(row));
        }
    }
    Ok(Some(sums.into_rows().map(|(_, row)| row).collect()))
}

/// Calls `each` with the packed sums in these Unix minutes, the end exclusive, and returns the stretches that are not packed. The
/// sums may be those of series together that differ only in what a question can do without.
pub(crate) fn each<E: From<StoreError>>(
    file: &Connection,
    minutes: (i64, i64),
    without: Option<Without>,
    mut each: impl FnMut(&Row, [Buckets<'_>; 3]) -> Result<(), E>,
) -> Result<Vec<(i64, i64)>, E> {
    let mut left = vec![minutes];
    for width in WIDTHS {
        let mut gaps = Vec::new();
        for (from, to) in left {
            let mut end = from;
            for (start, parts) in whole(file, width, (from, to))? {
                let narrow = match without {
                    Some(without) => narrow::unpack(file, (width, start), without)?,
                    None => None,
                };
                let parts = match narrow {
                    Some(narrow) => Some(vec![narrow]),
                    None => unpack(file, Stretch { width, start }, parts)?,
                };
                // A damaged one is left to the rows.
                let Some(parts) = parts else { continue };
                for rows in &parts {
                    for row in rows.iter() {
                        each(row, rows.sketches(row))?;
                    }
                }
                gaps.push((end, start));
                end = start + width;
            }
            gaps.push((end, to));
        }
        left = gaps.into_iter().filter(|(from, to)| from < to).collect();
    }
    Ok(left)
}

/// The starts of what is packed as a whole, each with the number of its parts.
fn whole(file: &Connection, width: i64, (from, to): (i64, i64)) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT start, parts FROM summed
         WHERE width = ?1 AND start >= ?2 AND start <= ?3 - ?1 AND is_whole ORDER BY start",
    )?;
    let starts = select.query_map([width, from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(starts.collect::<Result<_, _>>()?)
}

/// The rows of all parts; `None` where one is damaged or not there.
fn unpack(
    file: &Connection,
    Stretch { width, start }: Stretch,
    expected: i64,
) -> Result<Option<Vec<Rows>>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT part, data, checksum FROM packed_sums WHERE width = ? AND start = ? AND part >= 0 ORDER BY part",
    )?;
    let mut found = select.query([width, start])?;
    let mut parts = Vec::new();
    while let Some(row) = found.next()? {
        let part: i64 = row.get(0)?;
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let is_sound = checksum::of_packed(&[width, start, part], data) == row.get::<_, i64>(2)?;
        match decode(start, data).ok().filter(|_| is_sound) {
            Some(rows) => parts.push(rows),
            None => return Ok(None),
        }
    }
    Ok(Some(parts).filter(|parts| parts.len() as i64 == expected))
}

/// Removes what is packed of half hours or days of which a part is damaged.
pub(super) fn remove_damaged(file: &Connection, id: i64) -> Result<(), StoreError> {
    file.execute(
        "DELETE FROM summed WHERE (width, start) IN (SELECT width, start FROM packed_sums WHERE id = ?)",
        [id],
    )?;
    file.execute(
        "DELETE FROM packed_sums WHERE width > 0 AND NOT EXISTS
           (SELECT 1 FROM summed s WHERE s.width = packed_sums.width AND s.start = packed_sums.start)",
        [],
    )?;
    // A narrow part of minutes stands for itself.
    file.execute("DELETE FROM packed_sums WHERE id = ?", [id])?;
    Ok(())
}
