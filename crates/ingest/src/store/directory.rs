//! The table of the directory of consumers.

use super::StoreError;
use crate::directory::{Change, Details, MAX_ENTRIES, Outcome};
use rusqlite::{Connection, TransactionBehavior, params};

/// The table, as a migration makes it.
pub(super) const TABLE: &str = "
CREATE TABLE directory (            -- what people wrote about consumers
    id TEXT PRIMARY KEY,            -- of the consumer, in all services and environments
    name TEXT NOT NULL,             -- '': as gateways report it
    grp TEXT NOT NULL,              -- likewise
    note TEXT NOT NULL,
    changed_at INTEGER NOT NULL,    -- Unix nanoseconds, by the clock of the ingest
    changed_by TEXT NOT NULL        -- '': where nobody signs in
) WITHOUT ROWID;
";

/// Makes a change, or nothing of it. `now` is in Unix nanoseconds.
pub(super) fn change(file: &mut Connection, change: &Change, now: i64) -> Result<Outcome, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match change {
        Change::Put { entries, by } => {
            let mut put = transaction.prepare_cached(
                "INSERT INTO directory VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET name = excluded.name, grp = excluded.grp, note = excluded.note,
                   changed_at = excluded.changed_at, changed_by = excluded.changed_by
                 WHERE name <> excluded.name OR grp <> excluded.grp OR note <> excluded.note",
            )?;
            for (id, Details { name, group, note }) in entries {
                put.execute(params![id, name, group, note, now, by])?;
            }
            drop(put);
            let all: i64 = transaction.query_row("SELECT count(*) FROM directory", [], |row| row.get(0))?;
            if usize::try_from(all).is_ok_and(|all| all > MAX_ENTRIES) {
                transaction.rollback()?;
                return Ok(Outcome::Full);
            }
        }
        Change::Remove { id } => {
            if transaction.execute("DELETE FROM directory WHERE id = ?", [id])? == 0 {
                return Ok(Outcome::Unknown);
            }
        }
    }
    transaction.commit()?;
    Ok(Outcome::Done)
}
