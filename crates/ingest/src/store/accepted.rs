//! How many records of each epoch's log were stored: a count that outlives the records.
//!
//! Each file of the request log counts what it took, in the transaction that stores it. Counts are kept apart by the
//! day of receipt, so that a copy in a later file is told from a count of its own: of one day the highest count holds,
//! and the days add up. Copying twice therefore changes nothing, whenever a process stops in between.

use super::StoreError;
use super::gateways::{ENVIRONMENT_OF_EPOCH, EpochKey};
use crate::model::Identity;
use jiff::civil::Date;
use rusqlite::{Connection, Statement, params};
use std::collections::{HashMap, HashSet};

/// Adds `records` to what the file of `day` has stored of an epoch.
pub(super) fn count(
    file: &Connection,
    identity: &Identity,
    day: Date,
    records: usize,
) -> Result<(), StoreError> {
    file.prepare_cached(
        "INSERT INTO accepted (instance, epoch, environment, day, records) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET records = records + excluded.records",
    )?
    .execute(params![
        identity.instance,
        identity.epoch,
        identity.environment,
        number(day),
        records as i64
    ])?;
    Ok(())
}

/// Copies the counts of a file that is about to be removed to `today`'s. Those of epochs that are not recent are left to
/// go.
pub(super) fn carry_over(
    old: &Connection,
    today: &mut Connection,
    recent: &mut RecentEpochs,
) -> Result<(), StoreError> {
    recent.read(old)?;
    let transaction = today.transaction()?;
    {
        let mut put = transaction.prepare_cached(
            "INSERT INTO accepted (instance, epoch, environment, day, records) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET records = max(records, excluded.records)",
        )?;
        for_each(old, |row| {
            let Row { epoch, day, records } = row;
            if recent.epochs.contains(&epoch) {
                let EpochKey { instance, epoch, environment } = epoch;
                put.execute(params![instance, epoch, environment, day, records])?;
            }
            Ok(())
        })?;
    }
    transaction.commit()?;
    Ok(())
}

/// Epochs that stored records since a day, by instance and epoch, over all files that were read. An epoch that is at
/// work stores something in some file, and not on every day.
pub(super) struct RecentEpochs {
    since: i64,
    epochs: HashSet<EpochKey>,
}

impl RecentEpochs {
    pub(super) fn since(day: Date) -> Self {
        Self { since: number(day), epochs: HashSet::new() }
    }

    /// Takes in what a file knows.
    pub(super) fn read(&mut self, file: &Connection) -> Result<(), StoreError> {
        let Self { since, epochs } = self;
        for_each(file, |row| {
            if row.day >= *since {
                epochs.insert(row.epoch);
            }
            Ok(())
        })
    }
}

/// Records stored of each epoch, over all files that were read.
#[derive(Default)]
pub(crate) struct Accepted {
    /// By day, of this directory.
    here: HashMap<EpochKey, HashMap<i64, i64>>,
    /// Of other replicas.
    elsewhere: HashMap<EpochKey, u64>,
}

impl Accepted {
    /// Takes in what a file knows of these epochs.
    pub(crate) fn read<'e>(
        &mut self,
        file: &Connection,
        epochs: impl IntoIterator<Item = &'e EpochKey>,
    ) -> Result<(), StoreError> {
        let Some(mut select) = select(file, "WHERE own.instance = ? AND own.epoch = ?")? else {
            return Ok(());
        };
        for epoch in epochs {
            let mut rows = select.query([&epoch.instance, &epoch.epoch])?;
            while let Some(row) = rows.next()? {
                let row = Row::read(row)?;
                if row.epoch == *epoch {
                    let count = self.here.entry(row.epoch).or_default().entry(row.day).or_default();
                    *count = row.records.max(*count);
                }
            }
        }
        Ok(())
    }

    /// Takes in what the file of counters knows of the records that other replicas have stored.
    pub(crate) fn read_elsewhere<'e>(
        &mut self,
        counts: &Connection,
        epochs: impl IntoIterator<Item = &'e EpochKey>,
    ) -> Result<(), StoreError> {
        if !counts.table_exists(None, "accepted_elsewhere")? {
            return Ok(());
        }
        let mut sum = counts.prepare_cached(
            "SELECT coalesce(sum(records), 0) FROM accepted_elsewhere
             WHERE instance = ? AND epoch = ? AND environment = ?",
        )?;
        for epoch in epochs {
            let records: i64 =
                sum.query_row([&epoch.instance, &epoch.epoch, &epoch.environment], |row| row.get(0))?;
            self.elsewhere.insert(epoch.clone(), u64::try_from(records).unwrap_or_default());
        }
        Ok(())
    }

    /// Records stored of an epoch.
    pub(crate) fn of(&self, epoch: &EpochKey) -> u64 {
        let days = self.here.get(epoch).into_iter().flat_map(HashMap::values);
        let elsewhere = self.elsewhere.get(epoch).copied().unwrap_or_default();
        days.fold(elsewhere, |sum, records| sum.saturating_add(u64::try_from(*records).unwrap_or_default()))
    }
}

struct Row {
    epoch: EpochKey,
    day: i64,
    records: i64,
}

impl Row {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { epoch: EpochKey::read(row, 0)?, day: row.get(3)?, records: row.get(4)? })
    }
}

/// Hands on the rows of a file.
fn for_each(file: &Connection, mut take: impl FnMut(Row) -> rusqlite::Result<()>) -> Result<(), StoreError> {
    let Some(mut select) = select(file, "")? else { return Ok(()) };
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        take(Row::read(row)?)?;
    }
    Ok(())
}

/// The question for rows under a condition; a file of an older version has none, or has no environments in them.
fn select<'f>(file: &'f Connection, condition: &str) -> Result<Option<Statement<'f>>, StoreError> {
    if !file.table_exists(None, "accepted")? {
        return Ok(None);
    }
    let environment = match file.column_exists(None, "accepted", "environment")? {
        true => "environment",
        false => ENVIRONMENT_OF_EPOCH,
    };
    let sql = format!("SELECT instance, epoch, {environment}, day, records FROM accepted AS own {condition}");
    Ok(Some(file.prepare(&sql)?))
}

/// Days since 1970.
fn number(day: Date) -> i64 {
    Date::constant(1970, 1, 1).until(day).map_or(0, |span| i64::from(span.get_days()))
}
