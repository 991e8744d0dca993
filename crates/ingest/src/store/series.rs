//! Series whose counts have all expired.
//!
//! The place of a series in the table is scarce, and names of consumers and routes come and go. The states of streams stay
//! as long as their gateway reports: a gateway that repeats the counts of a removed series adds nothing, and one that counts
//! on makes the series anew with what is new.

use super::metrics::{SERIES_COLUMN_COUNT, SERIES_COLUMNS, insert_series, pattern_of, read_series};
use super::prune::STEP_ROWS;
use super::{Pruned, StoreError, totals};
use crate::model::SeriesKey;
use crate::patterns::KnownPatterns;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::{HashMap, HashSet};

/// What a server has counted. A file without counts of its own has the same series: routes, releases and statuses are found there.
pub(crate) enum Followed {
    /// Series with the first Unix minute of their latest half hour.
    Counted(Vec<(SeriesKey, i64)>),
    /// All series of the server, after some were forgotten.
    Left(Vec<SeriesKey>),
}

/// Notes which series a server has counted. `known` is ahead of the file when this fails.
pub(super) fn follow(
    file: &mut Connection,
    known: &mut HashMap<SeriesKey, i64>,
    patterns: &KnownPatterns,
    followed: &Followed,
) -> Result<(), StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match followed {
        Followed::Counted(counted) => {
            for (key, half_hour) in counted {
                let pattern = if known.contains_key(key) { None } else { pattern_of(key, patterns) };
                let key = pattern.as_ref().unwrap_or(key);
                let id = match known.get(key) {
                    Some(id) => *id,
                    None => {
                        let id = insert_series(&transaction, key)?;
                        known.insert(key.clone(), id);
                        id
                    }
                };
                note_counted(&transaction, id, *half_hour)?;
            }
        }
        Followed::Left(left) => {
            let patterns = left.iter().filter_map(|key| pattern_of(key, patterns)).collect::<Vec<_>>();
            let left: HashSet<&SeriesKey> = left.iter().chain(&patterns).collect();
            let mut remove = transaction.prepare("DELETE FROM series WHERE id = ?")?;
            for (_, id) in known.iter().filter(|(key, _)| !left.contains(key)) {
                remove.execute([id])?;
            }
            drop(remove);
            known.retain(|key, _| left.contains(key));
        }
    }
    transaction.commit()?;
    Ok(())
}

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
