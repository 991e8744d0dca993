//! The rows of a file that its own writer has changed and that are not told yet, and merging those of others.
//!
//! What is not told yet is a table of the file, so that it is told after a restart, too. The triggers that fill it live with
//! the connection: a file that no server knows has none.

use super::row::{Fields, MAX_NAME, MAX_VALUE, Row, row_of};
use super::{Kind, Merge, Pace, Unmerged, Watch};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use std::collections::BTreeSet;

/// Changes that are read at a time.
const PAGE: i64 = 1_000;
/// Bytes of rows after which no more are read.
const PAGE_BYTES: usize = 4 << 20;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS main.untold (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- another one with each change
    kind TEXT NOT NULL,
    key TEXT NOT NULL,              -- JSON array, see told/kinds.rs
    pace INTEGER NOT NULL,
    UNIQUE (kind, key, pace)
);
CREATE TEMP TABLE IF NOT EXISTS taking (is_under_way INTEGER);
";

/// Whether all rows are new to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    Told,
    Untold,
}

/// Rows to tell.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    pub(crate) rows: Vec<Row>,
    /// Of the changes that they show.
    pub(crate) ids: Vec<i64>,
    pub(crate) is_more: bool,
}

/// What became of rows of others.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) kinds: BTreeSet<&'static str>,
    /// Rows that must come again, because what they refer to is not there yet.
    pub(crate) early: usize,
}

/// Begins to note the changes of a writer's connection, and all rows where the server knows none.
pub(crate) fn begin(file: &mut Connection, kinds: &[&Kind], past: Past) -> Result<(), StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    for kind in kinds {
        transaction.execute_batch(kind.tables)?;
        for (number, watch) in kind.watches.iter().enumerate() {
            let (name, table, event, pace) = (kind.name, watch.table, watch.event, watch.pace as i64);
            let own = if event == "DELETE" { "OLD." } else { "NEW." };
            let (key, when) = (watch.key.replace("own.", own), watch.when.replace("own.", own));
            // Not OR REPLACE, because a statement's own OR clause would take its place within the trigger.
            transaction.execute_batch(&format!(
                "CREATE TEMP TRIGGER IF NOT EXISTS {name}_{number} AFTER {event} ON main.{table}
                 WHEN NOT EXISTS (SELECT 1 FROM taking) AND ({when})
                 BEGIN
                     DELETE FROM untold WHERE kind = '{name}' AND pace = {pace} AND key = {key};
                     INSERT INTO untold (kind, key, pace)
                     SELECT '{name}', key, {pace} FROM (SELECT {key} AS key) WHERE key IS NOT NULL;
                 END"
            ))?;
        }
        if past == Past::Untold
            && let Some(watch) = kind.watches.first()
        {
            let (name, key, table, pace) = (kind.name, watch.key, watch.table, Pace::Soon as i64);
            let when = if watch.when.contains("OLD.") { "1" } else { watch.when };
            transaction.execute_batch(&format!(
                "INSERT OR IGNORE INTO untold (kind, key, pace)
                 SELECT '{name}', key, {pace} FROM (SELECT {key} AS key FROM main.{table} AS own WHERE {when})
                 WHERE key IS NOT NULL"
            ))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Some rows to tell, the earliest change first, of which a pace of at most `pace` is due.
pub(crate) fn untold(file: &Connection, kinds: &[&Kind], pace: Pace) -> Result<Untold, StoreError> {
    let mut changes =
        file.prepare_cached("SELECT id, kind, key FROM main.untold WHERE pace <= ? ORDER BY id LIMIT ?")?;
    let mut changes = changes.query((pace as i64, PAGE))?;
    let mut found = Untold::default();
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    while let Some(change) = changes.next()? {
        if bytes > PAGE_BYTES {
            found.is_more = true;
            break;
        }
        found.ids.push(change.get(0)?);
        let (name, key): (String, String) = (change.get(1)?, change.get(2)?);
        let kind = kinds.iter().find(|kind| kind.name == name);
        if let Some(kind) = kind.filter(|_| seen.insert((name, key.clone()))) {
            let row = file.prepare_cached(kind.read)?.query_row([key], |row| row_of(kind, row)).optional()?;
            // Others would not take what is longer. What is gone is not told.
            let row = row.filter(|row| row.name.len() <= MAX_NAME && row.value.len() <= MAX_VALUE);
            bytes += row.as_ref().map_or(0, |row| row.name.len() + row.value.len());
            found.rows.extend(row);
        }
    }
    found.is_more |= found.ids.len() as i64 >= PAGE;
    Ok(found)
}

/// All rows of a file that nobody writes any more, or those that were not told yet.
pub(crate) fn rows_of(file: &Connection, kinds: &[&Kind], past: Past) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for kind in kinds {
        let keys = match (past, kind.watches.first()) {
            (Past::Untold, Some(Watch { key, table, .. })) => {
                format!(
                    "SELECT key FROM (SELECT {key} AS key FROM main.{table} AS own) WHERE key IS NOT NULL"
                )
            }
            (Past::Told, Some(_)) if file.table_exists(None, "untold")? => {
                format!("SELECT DISTINCT key FROM main.untold WHERE kind = '{}'", kind.name)
            }
            _ => continue,
        };
        let mut keys = file.prepare(&keys)?;
        let mut keys = keys.query([])?;
        while let Some(key) = keys.next()? {
            let key: String = key.get(0)?;
            let row = file.prepare_cached(kind.read)?.query_row([key], |row| row_of(kind, row)).optional()?;
            rows.extend(row.filter(|row| row.name.len() <= MAX_NAME && row.value.len() <= MAX_VALUE));
        }
    }
    Ok(rows)
}

/// Notes that changes were told. One that was made again since stays.
pub(crate) fn settle(file: &mut Connection, ids: &[i64]) -> Result<(), StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut settle = transaction.prepare_cached("DELETE FROM main.untold WHERE id = ?")?;
        for id in ids {
            settle.execute([id])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Merges rows of other replicas at `now` (Unix nanoseconds), all in one transaction. A row that does not fit is left out.
/// `also` completes the transaction with the rows that were merged.
pub(crate) fn merge(
    file: &mut Connection,
    kinds: &[&'static Kind],
    rows: &[Row],
    now: i64,
    also: impl FnOnce(&Transaction<'_>, Vec<(&'static Kind, Fields)>) -> Result<(), StoreError>,
) -> Result<Merged, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("INSERT INTO taking VALUES (1)")?;
    let mut done = Merged::default();
    let (mut merged, mut unfit) = (Vec::new(), Vec::new());
    for row in rows {
        let Some(kind) = kinds.iter().find(|kind| kind.name == row.kind) else { continue };
        let fields = Fields::read(kind, row, now).map_err(Unmerged::Unfit);
        match fields.and_then(|fields| merge_one(&transaction, kind, &fields).map(|()| fields)) {
            Ok(fields) => {
                done.kinds.insert(kind.name);
                merged.push((*kind, fields));
            }
            Err(Unmerged::Early) => done.early += 1,
            Err(Unmerged::Unfit(why)) => unfit.push((row, why)),
            Err(Unmerged::Failed(error)) => return Err(error),
        }
    }
    if let Some((row, why)) = unfit.first() {
        let name: String = row.name.chars().take(200).collect();
        let (kind, rows) = (&row.kind, unfit.len());
        tracing::warn!(
            rows,
            kind,
            name,
            why,
            "rows that other replicas have told do not fit and are left out"
        );
    }
    also(&transaction, merged)?;
    transaction.execute_batch("DELETE FROM taking")?;
    transaction.commit()?;
    Ok(done)
}

fn merge_one(file: &Connection, kind: &Kind, fields: &Fields) -> Result<(), Unmerged> {
    if kind.of_gateway {
        let mut find = file.prepare_cached(
            "SELECT 1 FROM gateways WHERE instance = :instance AND epoch = :epoch AND environment = :environment",
        )?;
        fields.bind(&mut find)?;
        if find.raw_query().next()?.is_none() {
            return Err(Unmerged::Early);
        }
    }
    match kind.merge {
        Merge::Sql(statement) => {
            let mut statement = file.prepare_cached(statement)?;
            fields.bind(&mut statement)?;
            statement.raw_execute()?;
            Ok(())
        }
        Merge::With(merge) => merge(file, fields),
    }
}
