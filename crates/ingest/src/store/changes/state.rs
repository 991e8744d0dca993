//! The latest state of each cumulative stream: in its row, and in memory.

use super::entry;
use crate::model::accumulate::Known;
use crate::model::{Point, Tally, Timing, Values};
use crate::store::metrics::{Damaged, integer, number};
use crate::store::{StoreError, by_bound, checksum, sketch};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// Bytes that a state takes in memory beside its values.
const OVERHEAD: usize = 96;

/// A state in memory. Its values are packed, because there may be as many as series and gateways.
#[derive(Debug)]
pub(super) struct State {
    series: i64,
    /// Unix nanoseconds.
    time: i64,
    /// Whether the row is older.
    pub(super) is_ahead: bool,
    flags: u8,
    packed: Box<[u8]>,
}

impl State {
    /// A state of which the row does not know.
    pub(super) fn new(series: i64, time: i64, values: &Values) -> Self {
        let mut packed = Vec::with_capacity(256);
        let flags = entry::put_values(&mut packed, values);
        Self { series, time, is_ahead: true, flags, packed: packed.into() }
    }

    /// Bytes in memory.
    pub(super) fn size(&self) -> usize {
        self.packed.len() + OVERHEAD
    }

    pub(super) fn values(&self) -> Values {
        entry::take_values(&mut &*self.packed, self.flags).unwrap_or_default().read()
    }

    /// Writes the row at once.
    pub(super) fn put(
        &mut self,
        transaction: &Transaction<'_>,
        gateway: i64,
        key: (i64, i64),
    ) -> Result<(), StoreError> {
        self.write(transaction, gateway, key)?;
        self.is_ahead = false;
        Ok(())
    }

    /// Writes the row.
    pub(super) fn write(
        &self,
        transaction: &Transaction<'_>,
        gateway: i64,
        (start, stream): (i64, i64),
    ) -> Result<(), StoreError> {
        let packed = entry::take_values(&mut &*self.packed, self.flags).unwrap_or_default();
        let none = sketch::encode(&Default::default());
        let [duration, upstream, gateway_time] = packed.timings.map(|(count, sketch)| {
            (integer(count), if sketch.is_empty() { none.as_slice() } else { sketch })
        });
        let [request, response] = packed.bytes.map(|tally| [integer(tally.count), integer(tally.sum)]);
        let attempts = integer(packed.attempts.sum);
        let numbers = [
            self.time,
            duration.0,
            upstream.0,
            gateway_time.0,
            request[0],
            request[1],
            response[0],
            response[1],
            attempts,
        ];
        let sum = checksum::of_state(
            [gateway, stream],
            &numbers,
            [duration.1, upstream.1, gateway_time.1],
            Some(packed.by_bound),
        );
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                gateway,
                start,
                stream,
                self.series,
                self.time,
                duration.0,
                duration.1,
                upstream.0,
                upstream.1,
                gateway_time.0,
                gateway_time.1,
                request[0],
                request[1],
                response[0],
                response[1],
                attempts,
                sum,
                packed.by_bound,
            ])?;
        Ok(())
    }
}

/// The state that the file has of a point's stream.
pub(super) fn of_point(
    transaction: &Transaction<'_>,
    gateway: i64,
    point: &Point,
    damaged: &mut Damaged,
) -> Result<Option<Known>, StoreError> {
    let key = (point.start, point.stream);
    let find = || stored(transaction, gateway, key, Some(&point.values));
    let found = match find()? {
        None if adopt(transaction, gateway, point)? => find()?,
        found => found,
    };
    Ok(match found {
        None => None,
        Some(Found::State { values, series, time, is_whole }) => {
            // Changes move the state of the row, which must therefore be the one that they are changes to.
            if !is_whole {
                State::new(series, time, &values).write(transaction, gateway, key)?;
            }
            Some(Known::State(values))
        }
        Some(Found::Forgotten) => Some(Known::Forgotten),
        Some(Found::Damaged) => {
            damaged.push(("states", vec![gateway, point.start, point.stream]));
            Some(Known::Forgotten)
        }
    })
}

/// What the file has of a stream.
#[allow(clippy::large_enum_variant, reason = "one at a time, and almost always a state")]
pub(super) enum Found {
    State {
        values: Values,
        series: i64,
        time: i64,
        /// Whether all of the values are those of the row.
        is_whole: bool,
    },
    /// A mark that there was a state.
    Forgotten,
    Damaged,
}

/// Gives a stream the state that an earlier version of the ingest kept of it: that version took no notice of starts
/// where the sender named its epoch. False if there is none.
fn adopt(transaction: &Transaction<'_>, gateway: i64, point: &Point) -> Result<bool, StoreError> {
    let mut adopt = transaction
        .prepare_cached("UPDATE states SET start = ? WHERE gateway_id = ? AND start = 0 AND stream = ?")?;
    Ok(point.start != 0 && adopt.execute([point.start, gateway, point.stream])? > 0)
}

/// The row of a stream. `now` has what an unreadable or absent value of an older version is taken for.
pub(super) fn stored(
    file: &Connection,
    gateway: i64,
    (start, stream): (i64, i64),
    now: Option<&Values>,
) -> Result<Option<Found>, StoreError> {
    let mut find = file.prepare_cached(
        "SELECT duration_count, duration, upstream_count, upstream, gateway_count, gateway,
                request_count, request_bytes, response_count, response_bytes, attempts, checksum, time, series_id, by_bound
         FROM states WHERE gateway_id = ? AND start = ? AND stream = ?",
    )?;
    let found = find.query_row([gateway, start, stream], |row| {
        if let Some(expected) = row.get::<_, Option<i64>>(11)? {
            let numbers = [12, 0, 2, 4, 6, 7, 8, 9, 10].map(|column| row.get::<_, i64>(column));
            let [a, b, c, d, e, f, g, h, i] = numbers;
            let numbers = [a?, b?, c?, d?, e?, f?, g?, h?, i?];
            let blob = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_blob()?);
            let sketches = [blob(1)?, blob(3)?, blob(5)?];
            if expected == checksum::FORGOTTEN {
                return Ok(Found::Forgotten);
            }
            let by_bound = row.get_ref(14)?.as_blob_or_null()?;
            if checksum::of_state([gateway, stream], &numbers, sketches, by_bound) != expected {
                return Ok(Found::Damaged);
            }
        }
        // Where the distribution was damaged, the change still follows from the counts.
        let mut is_whole = true;
        let mut timing = |count, sketch, now: Option<&Timing>| {
            let stored = sketch::decode(row.get_ref(sketch)?.as_blob()?);
            is_whole &= stored.is_ok();
            let sketch = stored.unwrap_or_else(|_| now.map(|now| now.sketch.clone()).unwrap_or_default());
            Ok::<_, rusqlite::Error>(Timing { count: number(row, count)?, sketch })
        };
        let tally = |count, sum| {
            Ok::<_, rusqlite::Error>(Tally { count: number(row, count)?, sum: number(row, sum)? })
        };
        let attempts: Option<i64> = row.get(10)?;
        let by_bound = row.get_ref(14)?.as_blob_or_null()?.and_then(by_bound::decode);
        let has_all = attempts.is_some() && by_bound.is_some();
        let values = Values {
            duration: timing(0, 1, now.map(|now| &now.duration))?,
            upstream: timing(2, 3, now.map(|now| &now.upstream))?,
            gateway: timing(4, 5, now.map(|now| &now.gateway))?,
            request_bytes: tally(6, 7)?,
            response_bytes: tally(8, 9)?,
            // A state of an older version of the service does not have it: only what follows is news.
            attempts: match attempts {
                Some(_) => tally(10, 10)?,
                None => now.map(|now| now.attempts).unwrap_or_default(),
            },
            by_bound: by_bound.unwrap_or_else(|| now.map(|now| now.by_bound.clone()).unwrap_or_default()),
        };
        is_whole &= has_all;
        Ok(Found::State { values, series: row.get(13)?, time: row.get(12)?, is_whole })
    });
    match found.optional() {
        Err(error) if checksum::is_other_type(&error) => Ok(Some(Found::Damaged)),
        found => Ok(found?),
    }
}
