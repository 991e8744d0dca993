//! The instances of gateways by which counts are kept apart.

use super::StoreError;
use gatelens_model::value;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashMap;

/// Most instances at a time; counts of further ones belong to `__overflow__`. One is forgotten when its last minute
/// expires, so a fleet may replace all of its instances ten times a day.
const MAX_INSTANCES: usize = 10_000;

/// The instance of senders that name none, and of counts from before instances were kept.
pub(crate) const UNKNOWN: i64 = 0;

/// All instances: the row, and the last Unix minute that the row has. Only ever ahead of the file within a transaction.
#[derive(Debug, Default)]
pub(super) struct Instances(HashMap<String, (i64, i64)>);

impl Instances {
    pub(super) fn load(file: &Connection) -> Result<Self, StoreError> {
        let mut select = file.prepare("SELECT name, id, last_minute FROM instances")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok(Self(rows.collect::<Result<_, _>>()?))
    }

    /// The row of an instance that counted something in a Unix minute.
    pub(super) fn row(
        &mut self,
        transaction: &Transaction<'_>,
        name: &str,
        minute: i64,
    ) -> Result<i64, StoreError> {
        if name.is_empty() {
            return Ok(UNKNOWN);
        }
        let has_place = self.0.contains_key(name) || self.0.len() < MAX_INSTANCES;
        let name = if has_place { name } else { value::OVERFLOW };
        match self.0.get(name) {
            Some((id, last)) if *last >= minute => Ok(*id),
            _ => {
                let mut put = transaction.prepare_cached(
                    "INSERT INTO instances (name, last_minute) VALUES (?, ?)
                     ON CONFLICT DO UPDATE SET last_minute = max(last_minute, excluded.last_minute) RETURNING id",
                )?;
                let id = put.query_row(params![name, minute], |row| row.get(0))?;
                self.0.insert(name.to_owned(), (id, minute));
                Ok(id)
            }
        }
    }
}

/// The names of all instances.
pub(crate) fn names(file: &Connection) -> Result<HashMap<i64, String>, StoreError> {
    let mut select = file.prepare("SELECT id, name FROM instances")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first Unix minute of which the counts know their instances. `minutes_since` is the first of which minutes are
/// kept.
pub(crate) fn known_since(file: &Connection, minutes_since: i64) -> Result<i64, StoreError> {
    let since: Option<i64> = file
        .query_row("SELECT since FROM retention_marks WHERE name = 'instances'", [], |row| row.get(0))
        .optional()?;
    Ok(since.unwrap_or(i64::MIN).max(minutes_since))
}
