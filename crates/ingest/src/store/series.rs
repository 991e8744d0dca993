//! Series whose counts have all expired.
//!
//! The place of a series in the table is scarce, and names of consumers and routes come and go. The states of streams stay
//! as long as their gateway reports: a gateway that repeats the counts of a removed series adds nothing, and one that counts
//! on makes the series anew with what is new.

use super::metrics::{SERIES_COLUMN_COUNT, SERIES_COLUMNS, read_series};
use super::prune::STEP_ROWS;
use super::{Pruned, StoreError, totals};
use crate::model::SeriesKey;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::HashMap;

/// Notes that a series has counts in the half hour that begins at a Unix minute.
pub(super) fn note_counted(
    transaction: &Transaction<'_>,
    series: i64,
    minute: i64,
) -> Result<(), StoreError> {
    let mut note = transaction
        .prepare_cached("UPDATE series SET last_counted = ?2 WHERE id = ?1 AND last_counted < ?2")?;
    note.execute([series, minute])?;
    Ok(())
}

/// Removes some of the series without counts since a Unix minute, before which no counts are left.
pub(super) fn remove_before(
    file: &mut Connection,
    known: &mut HashMap<SeriesKey, i64>,
    oldest: i64,
) -> Result<Pruned, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // SQLite gives the id after the highest one to the next series. The highest stays, so that no id is given twice while
    // a state refers to it.
    let gone: Vec<(SeriesKey, i64)> = {
        let mut select = transaction.prepare_cached(&format!(
            "SELECT {SERIES_COLUMNS}, id FROM series
             WHERE last_counted < ? AND id < (SELECT max(id) FROM series) LIMIT ?"
        ))?;
        let rows = select
            .query_map([oldest, STEP_ROWS], |row| Ok((read_series(row)?, row.get(SERIES_COLUMN_COUNT)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    {
        let mut remove = transaction.prepare_cached("DELETE FROM series WHERE id = ?")?;
        for (_, id) in &gone {
            totals::end(&transaction, *id)?;
            remove.execute([id])?;
        }
    }
    totals::remove_oldest(&transaction)?;
    transaction.commit()?;
    for (key, _) in &gone {
        known.remove(key);
    }
    if !gone.is_empty() {
        tracing::debug!(series = gone.len(), "series without counts were removed");
    }
    Ok(if (gone.len() as i64) < STEP_ROWS { Pruned::Done } else { Pruned::More })
}

#[cfg(test)]
mod tests;
