//! Changes that wait in the file, for questions.

use super::Place;
use super::entry::{self, Stored, ValuesAt};
use crate::store::{StoreError, checksum};
use rusqlite::Connection;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// The changes that wait in the file of one snapshot, read when a question first needs them.
#[derive(Default)]
pub(crate) struct Recent {
    since: OnceCell<i64>,
    all: OnceCell<All>,
}

#[derive(Default)]
struct All {
    /// With the time of receipt in Unix nanoseconds.
    rows: Vec<(i64, Vec<u8>)>,
    /// By Unix minute.
    minutes: BTreeMap<i64, Vec<At>>,
}

/// A change of a series in a minute.
pub(crate) struct Change<'a> {
    pub(crate) minute: i64,
    pub(crate) series: i64,
    pub(crate) instance: i64,
    /// Unix nanoseconds.
    pub(crate) received_at: i64,
    pub(crate) values: Stored<'a>,
}

/// Where a change is.
struct At {
    series: i64,
    instance: i64,
    row: usize,
    values: ValuesAt,
}

impl Recent {
    /// Calls `each` with the changes in these Unix minutes, the end exclusive.
    pub(crate) fn each<E: From<StoreError>>(
        &self,
        file: &Connection,
        (from, to): (i64, i64),
        mut each: impl FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if from >= to || to <= self.since(file)? {
            return Ok(());
        }
        let All { rows, minutes } = self.all(file)?;
        for (minute, changes) in minutes.range(from..to) {
            for At { series, instance, row, values } in changes {
                let Some((received_at, data)) = rows.get(*row) else { continue };
                let Some(values) = values.read(data) else { continue };
                let (minute, received_at) = (*minute, *received_at);
                each(Change { minute, series: *series, instance: *instance, received_at, values })?;
            }
        }
        Ok(())
    }

    /// The first Unix minute with a change; after all times if there is none.
    fn since(&self, file: &Connection) -> Result<i64, StoreError> {
        if let Some(since) = self.since.get() {
            return Ok(*since);
        }
        let since: Option<i64> = file.query_row("SELECT min(since) FROM changes", [], |row| row.get(0))?;
        Ok(*self.since.get_or_init(|| since.unwrap_or(i64::MAX)))
    }

    fn all(&self, file: &Connection) -> Result<&All, StoreError> {
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        let mut all = All::default();
        let mut select = file.prepare("SELECT gateway_id, data, checksum, received_at FROM changes")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let data: Vec<u8> = row.get(1)?;
            // The next points of the gateway bring its counts again.
            if checksum::of_changes(row.get(0)?, &data) != row.get::<_, i64>(2)? {
                continue;
            }
            for entry in entry::read(&data) {
                let Place { minute, series, instance } = entry.place;
                let at = At { series, instance, row: all.rows.len(), values: entry.at };
                all.minutes.entry(minute).or_default().push(at);
            }
            all.rows.push((row.get(3)?, data));
        }
        Ok(self.all.get_or_init(|| all))
    }
}
