//! The table of the audit log. It only grows at its end; retention alone removes from its beginning.

use super::StoreError;
use crate::auth::audit::Entry;
use rusqlite::Connection;

/// The table, as a migration makes it.
pub(super) const TABLE: &str = "
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,          -- Unix nanoseconds, by the clock of the ingest
    actor TEXT NOT NULL,
    role TEXT NOT NULL,             -- '': none
    peer TEXT NOT NULL,             -- '': on the machine itself
    action TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (time);
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";
/// Entries that are kept at most, so that failed attempts of strangers cannot fill the disk. About 200 bytes each.
pub(super) const MAX_ENTRIES: i64 = 1_000_000;

/// Adds an entry. `now` is in Unix nanoseconds.
pub(super) fn append(file: &Connection, entry: &Entry, now: i64) -> Result<(), StoreError> {
    let Entry { actor, role, peer, action, detail } = entry;
    file.prepare_cached(
        "INSERT INTO audit (time, actor, role, peer, action, detail) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute((now, actor, role, peer, action.name(), detail))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::audit::Action;

    #[test]
    fn entries_do_not_change() {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(TABLE).unwrap();
        let entry = Entry {
            actor: "ada".to_owned(),
            role: "admin",
            peer: "192.0.2.1".to_owned(),
            action: Action::Change,
            detail: "x".to_owned(),
        };
        append(&file, &entry, 1).unwrap();
        let error = file.execute("UPDATE audit SET actor = 'bob'", []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}
