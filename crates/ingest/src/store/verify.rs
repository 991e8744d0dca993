//! Reads every row of a file in small steps and checks it; then SQLite checks the pages.

use super::metrics::Damaged;
use super::quarantine::{Damage, Kind};
use super::requests::replace_chunk;
use super::rollups;
use super::salvage::{self, Table};
use super::schema::FileKind;
use super::sums;
use super::totals;
use super::{StoreError, bloom, checksum, chunk, narrow, open_read, packed};
use crate::model::Columns;
use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params_from_iter};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows read at a time.
const STEP_ROWS: usize = 1_000;
/// Chunks of the log read at a time.
const STEP_CHUNKS: usize = 32;
/// Steps of SQLite's check between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;
/// Of SQLite's check, before it pauses.
const SLICE: Duration = Duration::from_millis(20);

/// Called after each step with the time that it took. False ends the check.
pub(crate) type Pause = Arc<dyn Fn(Duration) -> bool + Send + Sync>;

/// A row whose values are not those that were written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bad {
    pub(crate) table: String,
    /// Its primary key, or its rowid.
    pub(crate) key: Vec<Value>,
}

/// Reads a file. `found` gets damaged rows that can be set aside. Returns the number of rows.
///
/// # Errors
/// Damage ([`StoreError::is_damage`]) for which the whole file must be replaced.
pub(crate) fn file(
    path: &Path,
    pause: Pause,
    found: &mut dyn FnMut(Vec<Bad>) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let kind = FileKind::of(path);
    let file = match kind {
        Some(_) => open_read(path)?,
        None => Some(super::open_other(path)?),
    };
    let Some(file) = file else { return Ok(0) };
    let mut rows = 0;
    if kind.is_some() {
        for table in salvage::tables(&file)? {
            match walk(&file, path, &table, &pause, found)? {
                Some(read) => rows += read,
                None => return Ok(rows),
            }
        }
    }
    check_pages(file, path, pause)?;
    Ok(rows)
}

/// Reads a table. `None` where it must end.
fn walk(
    file: &Connection,
    path: &Path,
    table: &Table,
    pause: &Pause,
    found: &mut dyn FnMut(Vec<Bad>) -> Result<(), StoreError>,
) -> Result<Option<u64>, StoreError> {
    let key = table.key();
    let width = key.len();
    let step = if table.name() == "chunks" { STEP_CHUNKS } else { STEP_ROWS };
    let (names, places) = (key.join(", "), vec!["?"; width].join(", "));
    let select = |after: &str| {
        format!("SELECT {names}, * FROM {} {after} ORDER BY {names} LIMIT {step}", table.name())
    };
    let next = select(&format!("WHERE ({names}) > ({places})"));
    let mut after: Option<Vec<Value>> = None;
    let mut read = 0;
    loop {
        let begun = Instant::now();
        let mut bad = Vec::new();
        let mut in_step = 0;
        {
            let mut select = match &after {
                Some(_) => file.prepare_cached(&next)?,
                None => file.prepare_cached(&select(""))?,
            };
            let mut rows = select.query(params_from_iter(after.clone().unwrap_or_default()))?;
            while let Some(row) = rows.next()? {
                in_step += 1;
                let all = (0..row.as_ref().column_count())
                    .map(|column| row.get::<_, Value>(column))
                    .collect::<Result<Vec<_>, _>>();
                // A text that is no text.
                let Ok(all) = all else {
                    return Err(damaged(path, "a value has another type than its column"));
                };
                let (key, values) = all.split_at(width);
                if after.as_deref().is_some_and(|after| !is_after(key, after)) {
                    return Err(damaged(path, "rows are not in the order of their keys"));
                }
                if !table.is_sound(values) || !table.describes_its_chunk(values) {
                    if !table.may_lose_rows() {
                        return Err(damaged(path, "a value has another type than its column"));
                    }
                    bad.push(Bad { table: table.name().to_owned(), key: key.to_vec() });
                }
                after = Some(key.to_vec());
            }
        }
        read += in_step as u64;
        if !bad.is_empty() {
            found(bad)?;
        }
        if !pause(begun.elapsed()) {
            return Ok(None);
        }
        if in_step < step {
            return Ok(Some(read));
        }
    }
}

/// SQLite's own check of all pages, trees and indexes.
fn check_pages(file: Connection, path: &Path, pause: Pause) -> Result<(), StoreError> {
    let mut begun = Instant::now();
    let look = move || {
        if begun.elapsed() < SLICE {
            return false;
        }
        let goes_on = pause(begun.elapsed());
        begun = Instant::now();
        !goes_on
    };
    file.progress_handler(STEPS_BETWEEN_LOOKS, Some(look))?;
    let verdict = file.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(damaged(path, &verdict)),
        // It was ended.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes damaged rows out of a file, or makes them anew where other rows have their counts. A damaged state stays, marked
/// as one that nobody knows. Rows that are sound by now stay as they are. Returns the damage.
pub(super) fn set_aside(file: &mut Connection, path: &Path, rows: &[Bad]) -> Result<Vec<Damage>, StoreError> {
    let tables = salvage::tables(file)?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut damages = Vec::new();
    // Rows that are found damaged meanwhile are among the rows that the next pass sets aside.
    let mut again = Damaged::new();
    for Bad { table, key } in rows {
        let Some(table) = tables.iter().find(|known| known.name() == table) else { continue };
        let names = table.key().join(", ");
        let places = vec!["?"; key.len()].join(", ");
        let this = format!("FROM {} WHERE ({names}) = ({places})", table.name());
        let mut select = transaction.prepare(&format!("SELECT * {this}"))?;
        let mut found = select.query(params_from_iter(key))?;
        let Some(row) = found.next()? else { continue };
        let values = (0..row.as_ref().column_count())
            .map(|column| row.get::<_, Value>(column))
            .collect::<Result<Vec<_>, _>>()?;
        drop(found);
        let is_sound = table.is_sound(&values);
        if is_sound && table.describes_its_chunk(&values) {
            continue;
        }
        let content = Some(values.iter().map(salvage::shown).collect());
        if table.name() == "chunks" {
            let damage = salvage::damaged_chunk(path, &values);
            match (is_sound, table.get(&values, "data"), key.first()) {
                (true, Some(Value::Blob(data)), Some(Value::Integer(id))) => {
                    let events = chunk::decode(data).unwrap_or_default();
                    replace_chunk(&transaction, *id, &Columns::of(&events))?;
                    let reason = "the description of a chunk was damaged; it is made anew".to_owned();
                    damages.push(Damage { lost: 0, reason, kind: Kind::Row, ..damage });
                }
                _ => {
                    transaction.execute(&format!("DELETE {this}"), params_from_iter(key))?;
                    damages.push(damage);
                }
            }
            continue;
        }
        if table.name() == bloom::TABLE {
            transaction.execute(&format!("DELETE {this}"), params_from_iter(key))?;
            bloom::complete(&transaction)?;
            let reason = "the filter of a chunk was damaged; it is made anew";
            damages.push(Damage { lost: 0, ..Damage::new(path, Kind::Row, reason).of(bloom::TABLE) });
            continue;
        }
        if let (sums::TABLE, [Value::Integer(id)]) = (table.name(), key.as_slice()) {
            sums::remove_damaged(&transaction, *id)?;
            let reason = "packed sums were damaged; questions read what they were made of";
            damages.push(Damage { lost: 0, ..Damage::new(path, Kind::Row, reason).of(sums::TABLE) });
            continue;
        }
        if let (packed::TABLE, [Value::Integer(id)]) = (table.name(), key.as_slice()) {
            narrow::remove_of_pack(&transaction, *id)?;
        }
        let lost = match (table.name(), key.as_slice()) {
            // Without a state the stream would count again from its beginning.
            ("states", _) => {
                transaction.execute(
                    &format!(
                        "UPDATE states SET checksum = {} WHERE ({names}) = ({places})",
                        checksum::FORGOTTEN
                    ),
                    params_from_iter(key),
                )?;
                1
            }
            (name, _) => {
                transaction.execute(&format!("DELETE {this}"), params_from_iter(key))?;
                match key.as_slice() {
                    [Value::Integer(minute), Value::Integer(series)] if name == "half_hours" => {
                        u64::from(!rollups::rebuild(&transaction, *minute, *series, &mut again)?)
                    }
                    _ => match table.get(&values, "entries") {
                        Some(Value::Integer(entries)) => entries.unsigned_abs(),
                        _ => 1,
                    },
                }
            }
        };
        let [from, to] = match salvage::width(table.name()) {
            Some(_) => [key.first(), key.first()],
            // The times of totals are not minutes, and reach to today.
            None if table.name() == totals::TABLE => [None, None],
            None => ["since", "until"].map(|name| table.get(&values, name)),
        };
        let time = |minute: Option<&Value>| match minute {
            Some(Value::Integer(minute)) => Some(minute.saturating_mul(60_000_000_000)),
            _ => None,
        };
        let reason = match lost {
            0 => "the checksum of a row was another; it is made anew from its minutes",
            _ => "the checksum of a row is another",
        };
        damages.push(Damage {
            lost,
            content,
            ..Damage::new(path, Kind::Row, reason).of(table.name()).between(time(from), time(to))
        });
    }
    transaction.commit()?;
    Ok(damages)
}

fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: reason.to_owned() }
}

/// Whether a key comes after another.
fn is_after(key: &[Value], other: &[Value]) -> bool {
    for pair in key.iter().zip(other) {
        let order = match pair {
            (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            _ => return false,
        };
        if order.is_ne() {
            return order.is_gt();
        }
    }
    false
}
