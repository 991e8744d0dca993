//! The rollups: what each series added in each minute and each half hour, and by which gateway.
//!
//! A row of `minutes` or `half_hours` is the sum over all gateways, and names the gateway where one alone counted it.
//! Where several did, each has a row of its own beside the sum, in `gateway_minutes` or `gateway_half_hours`. So a
//! question for sums reads as many rows as there are series, whatever the number of gateways, and gateways that count
//! series of their own need no further rows.

use super::checksum;
use super::metrics::{Damaged, integer, number};
use super::packed::{self, Loose, PackedTable};
use super::series;
use super::sketch::{self, Unreadable};
use super::{StoreError, minutes_since};
use crate::model::{Tally, Timing, Values};
use gatelens_model::sketch::Sketch;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};
use std::collections::{BTreeMap, HashSet};

/// The column `instance` of a row that several gateways counted.
const SEVERAL: i64 = -1;

/// What [`read`] reads, before the instance and the checksum.
const COLUMNS: &str = "requests, request_bytes, response_bytes, duration, upstream, gateway, attempts";

/// A table of sums.
pub(crate) struct RollupTable {
    pub(crate) sums: &'static str,
    /// The rows of each gateway, where there are several.
    pub(crate) by_gateway: &'static str,
    /// Minutes that a row covers.
    pub(super) width: i64,
}

pub(crate) const MINUTES: RollupTable =
    RollupTable { sums: "minutes", by_gateway: "gateway_minutes", width: 1 };
pub(crate) const HALF_HOURS: RollupTable =
    RollupTable { sums: "half_hours", by_gateway: "gateway_half_hours", width: 30 };

/// What a batch added, by Unix minute, series and instance.
pub(super) type Added = BTreeMap<(i64, i64, i64), Values>;

/// Adds to all rollups, and returns how many additions were left out because a sum would come near the end of its
/// numbers. A damaged row begins anew; `damaged` gets its table and its key.
pub(super) fn add(
    transaction: &Transaction<'_>,
    added: &Added,
    damaged: &mut Damaged,
) -> Result<u64, StoreError> {
    let left_out = add_to(transaction, &MINUTES, added, damaged)?;
    Ok(left_out.max(add_to(transaction, &HALF_HOURS, added, damaged)?))
}

fn add_to(
    transaction: &Transaction<'_>,
    table: &'static RollupTable,
    added: &Added,
    damaged: &mut Damaged,
) -> Result<u64, StoreError> {
    let mut left_out = 0;
    let mut statements = Statements::new(transaction, table)?;
    for (key, values) in added {
        left_out += u64::from(!statements.add(<[i64; 3]>::from(*key), values, damaged)?);
    }
    Ok(left_out)
}

/// What adds to a rollup.
struct Statements<'a> {
    transaction: &'a Transaction<'a>,
    table: &'static RollupTable,
    find: CachedStatement<'a>,
    put: CachedStatement<'a>,
    find_part: CachedStatement<'a>,
    put_part: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn new(transaction: &'a Transaction<'a>, table: &'static RollupTable) -> Result<Self, StoreError> {
        let RollupTable { sums, by_gateway, .. } = table;
        let find = |table: &str, key: &str| {
            transaction
                .prepare_cached(&format!("SELECT {COLUMNS}, instance, checksum FROM {table} WHERE {key}"))
        };
        Ok(Self {
            transaction,
            table,
            find: find(sums, "minute = ? AND series_id = ?")?,
            put: prepare_put(transaction, sums)?,
            find_part: find(by_gateway, "minute = ? AND series_id = ? AND instance = ?")?,
            put_part: prepare_put(transaction, by_gateway)?,
        })
    }

    /// Adds to the row of a minute and a series what an instance counted, or what several did. False if it was left out, because a
    /// sum would come near the end of its numbers.
    fn add(
        &mut self,
        [minute, series, instance]: [i64; 3],
        values: &Values,
        damaged: &mut Damaged,
    ) -> Result<bool, StoreError> {
        let RollupTable { sums, width, .. } = *self.table;
        let minute = minute.div_euclid(width) * width;
        let stored = match stored(&mut self.find, width, &[minute, series])? {
            Found::Damaged => {
                damaged.push((sums, vec![minute, series]));
                None
            }
            Found::Row(values, instance) => Some((values, instance)),
            Found::Nothing => None,
        };
        if stored.as_ref().is_some_and(|(sum, _)| !sum.has_room_for(values)) {
            return Ok(false);
        }
        if stored.is_none() && width == HALF_HOURS.width {
            series::note_counted(self.transaction, series, minute)?;
        }
        let counted_by = stored.as_ref().map_or(instance, |(_, instance)| *instance);
        if counted_by != instance {
            // Of a packed minute there may be parts already.
            if let Some((alone, _)) = stored.as_ref().filter(|_| counted_by != SEVERAL) {
                self.add_part([minute, series, counted_by], alone, damaged)?;
            }
            // Those of several are rows of their own.
            if instance != SEVERAL {
                self.add_part([minute, series, instance], values, damaged)?;
            }
        }
        let all = stored.map(|(values, _)| values).unwrap_or_default();
        let counted_by = if counted_by == instance { instance } else { SEVERAL };
        put_row(&mut self.put, width, [minute, series, counted_by], all, values)?;
        Ok(true)
    }

    /// Adds to the part of an instance: minute, series and instance.
    fn add_part(&mut self, key: [i64; 3], values: &Values, damaged: &mut Damaged) -> Result<(), StoreError> {
        let RollupTable { by_gateway, width, .. } = *self.table;
        let own = match stored(&mut self.find_part, width, &key)? {
            Found::Damaged => {
                damaged.push((by_gateway, key.to_vec()));
                Values::default()
            }
            Found::Row(values, _) => values,
            Found::Nothing => Values::default(),
        };
        put_row(&mut self.put_part, width, key, own, values)
    }
}

/// The statement for [`put_row`].
fn prepare_put<'a>(transaction: &'a Transaction<'_>, table: &str) -> Result<CachedStatement<'a>, StoreError> {
    Ok(transaction.prepare_cached(&format!(
        "INSERT OR REPLACE INTO {table} (minute, series_id, {COLUMNS}, instance, checksum)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?)
}

/// Takes the part of an instance out of the rows of some series, beginning at a Unix minute before which parts are not
/// kept, and returns its requests. `series` is a question for the ids.
pub(super) fn take_out(
    transaction: &Transaction<'_>,
    table: &RollupTable,
    (instance, since): (i64, i64),
    series: &str,
) -> Result<u64, StoreError> {
    let RollupTable { sums, by_gateway, width } = table;
    let own = format!("instance = ?1 AND minute >= ?2 AND series_id IN ({series})");
    let mut removed = 0;
    let mut remove = |table: &str| -> Result<Vec<[i64; 2]>, StoreError> {
        let remove = format!("DELETE FROM {table} WHERE {own} RETURNING minute, series_id, requests");
        let mut remove = transaction.prepare(&remove)?;
        let rows = remove.query_map([instance, since], |row| {
            removed += number(row, 2)?;
            Ok([row.get(0)?, row.get(1)?])
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    remove(sums)?;
    let shared = remove(by_gateway)?;
    let mut find = transaction.prepare(&format!(
        "SELECT {COLUMNS}, instance FROM {by_gateway} WHERE minute = ? AND series_id = ?"
    ))?;
    let mut put = prepare_put(transaction, sums)?;
    let mut join =
        transaction.prepare(&format!("DELETE FROM {by_gateway} WHERE minute = ? AND series_id = ?"))?;
    for [minute, series] in shared {
        let parts = find.query_map([minute, series], read)?.collect::<Result<Vec<_>, _>>()?;
        let mut all = Values::default();
        parts.iter().for_each(|(part, _)| all.add(part));
        let counted_by = match parts.as_slice() {
            [(_, only)] => {
                join.execute([minute, series])?;
                *only
            }
            _ => SEVERAL,
        };
        put_row(&mut put, *width, [minute, series, counted_by], all, &Values::default())?;
    }
    Ok(removed)
}

/// Rows that a condition takes of one of the tables of a rollup, each with its values, or only with its key (minute, series and
/// instance) where it is damaged.
pub(super) fn read_rows(
    file: &Connection,
    rollup: &RollupTable,
    table: &str,
    condition: &str,
    parameters: &[i64],
) -> Result<Vec<Result<Loose, [i64; 3]>>, StoreError> {
    let mut select = file.prepare_cached(&format!(
        "SELECT minute, series_id, instance, {COLUMNS}, checksum FROM {table} WHERE {condition}"
    ))?;
    let rows = select.query_map(rusqlite::params_from_iter(parameters), |row| {
        let key = [row.get(0)?, row.get(1)?, row.get(2)?];
        match loose(row, rollup.width, key) {
            Err(error) if checksum::is_other_type(&error) => Ok(Err(key)),
            found => Ok(found?.ok_or(key)),
        }
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A row, if it has the checksum that it was written with.
fn loose(row: &Row<'_>, width: i64, key: [i64; 3]) -> rusqlite::Result<Option<Loose>> {
    let counts = [row.get::<_, i64>(3)?, row.get(4)?, row.get(5)?, row.get(9)?];
    let sketch = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_blob()?.to_vec());
    let sketches = [sketch(6)?, sketch(7)?, sketch(8)?];
    let [duration, upstream, gateway] = sketches.each_ref().map(Vec::as_slice);
    let is_sound = row.get::<_, Option<i64>>(10)?.is_none_or(|expected| {
        checksum::of_rollup(width, key, counts, [duration, upstream, gateway]) == expected
    }) && [duration, upstream, gateway].iter().all(|sketch| sketch::decode(sketch).is_ok());
    let [minute, series, instance] = key;
    let counts = counts.map(|count| u64::try_from(count).unwrap_or_default());
    Ok(is_sound.then_some(Loose { minute, series, instance, counts, sketches }))
}

/// Adds rows that were packed to the rows of their table.
pub(super) fn put_back(
    transaction: &Transaction<'_>,
    table: PackedTable,
    rows: &mut dyn Iterator<Item = Loose>,
    damaged: &mut Damaged,
) -> Result<(), StoreError> {
    let mut statements = Statements::new(transaction, &MINUTES)?;
    for row in rows {
        let key = [row.minute, row.series, row.instance];
        match table {
            PackedTable::ByGateway => statements.add_part(key, &row.values(), damaged)?,
            PackedTable::Sums => {
                statements.add(key, &row.values(), damaged)?;
            }
        }
    }
    Ok(())
}

/// Makes the row of a half hour anew from its minutes. False if they are no longer kept, or it has none.
pub(super) fn rebuild(
    transaction: &Transaction<'_>,
    minute: i64,
    series_id: i64,
    damaged: &mut Damaged,
) -> Result<bool, StoreError> {
    let width = HALF_HOURS.width;
    if minute < minutes_since(transaction)? {
        return Ok(false);
    }
    packed::release(transaction, &HashSet::from([series_id]), (minute, minute + width), damaged)?;
    let mut find = transaction.prepare(&format!(
        "SELECT {COLUMNS}, instance FROM minutes WHERE minute >= ?1 AND minute < ?1 + {width} AND series_id = ?2"
    ))?;
    let rows = find.query_map([minute, series_id], read)?.collect::<Result<Vec<_>, _>>()?;
    let Some((_, first)) = rows.first() else { return Ok(false) };
    let counted_by = if rows.iter().all(|(_, instance)| instance == first) { *first } else { SEVERAL };
    let mut all = Values::default();
    rows.iter().for_each(|(values, _)| all.add(values));
    let mut put = prepare_put(transaction, HALF_HOURS.sums)?;
    put_row(&mut put, width, [minute, series_id, counted_by], all, &Values::default())?;
    Ok(true)
}

/// Stores a row of before with what is new. `width` is that of the table.
fn put_row(
    put: &mut CachedStatement<'_>,
    width: i64,
    [minute, series, instance]: [i64; 3],
    mut row: Values,
    values: &Values,
) -> Result<(), StoreError> {
    row.add(values);
    let sketches = [&row.duration, &row.upstream, &row.gateway].map(|timing| sketch::encode(&timing.sketch));
    let [duration, upstream, gateway] = &sketches;
    let counts =
        [row.duration.count, row.request_bytes.sum, row.response_bytes.sum, row.attempts.sum].map(integer);
    let [requests, request_bytes, response_bytes, attempts] = counts;
    let sum = checksum::of_rollup(width, [minute, series, instance], counts, [duration, upstream, gateway]);
    put.execute(params![
        minute,
        series,
        requests,
        request_bytes,
        response_bytes,
        duration,
        upstream,
        gateway,
        attempts,
        instance,
        sum
    ])?;
    Ok(())
}

/// A look for a rollup's row.
#[allow(clippy::large_enum_variant, reason = "one at a time, and almost always a row")]
enum Found {
    Nothing,
    /// With the instance that counted it; the counts that a row does not keep are 0.
    Row(Values, i64),
    /// It has another checksum.
    Damaged,
}

fn stored(find: &mut CachedStatement<'_>, width: i64, key: &[i64]) -> Result<Found, StoreError> {
    let row = find.query_row(rusqlite::params_from_iter(key), |row| {
        let (values, instance) = read(row)?;
        let Some(expected) = row.get::<_, Option<i64>>(8)? else { return Ok(Found::Row(values, instance)) };
        let one = |column| row.get::<_, i64>(column);
        let blob = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_blob()?);
        let sum = checksum::of_rollup(
            width,
            [key.first().copied().unwrap_or_default(), key.get(1).copied().unwrap_or_default(), instance],
            [one(0)?, one(1)?, one(2)?, one(6)?],
            [blob(3)?, blob(4)?, blob(5)?],
        );
        Ok(if sum == expected { Found::Row(values, instance) } else { Found::Damaged })
    });
    match row.optional() {
        // A value of another type.
        Err(error) if checksum::is_other_type(&error) => Ok(Found::Damaged),
        row => Ok(row?.unwrap_or(Found::Nothing)),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Values, i64)> {
    // A distribution that was damaged begins anew; the counts stay.
    let timing =
        |count, sketch: Result<Sketch, Unreadable>| Timing { count, sketch: sketch.unwrap_or_default() };
    {
        let sketch = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_blob().map(sketch::decode)?);
        let tally = |column| Ok::<_, rusqlite::Error>(Tally { count: 0, sum: number(row, column)? });
        let values = Values {
            duration: timing(number(row, 0)?, sketch(3)?),
            upstream: timing(0, sketch(4)?),
            gateway: timing(0, sketch(5)?),
            request_bytes: tally(1)?,
            response_bytes: tally(2)?,
            attempts: tally(6)?,
            ..Values::default()
        };
        Ok((values, row.get(7)?))
    }
}
