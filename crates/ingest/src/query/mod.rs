//! Questions to the store. Each opens connections of its own and reads one snapshot.

mod account;
pub(crate) mod counts;
pub(crate) mod filter;
pub(crate) mod gateways;
pub(crate) mod params;
mod quantiles;
pub(crate) mod range;
pub(crate) mod requests;
mod rollup;

use crate::error::QueryError;
use crate::store::{Directory, METRICS_FILE, StoreError, day_files, open_read};
use jiff::civil::Date;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Virtual-machine instructions of SQLite between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// Opens the file of counters for one query, which is interrupted at its deadline.
pub(crate) fn open_counts(directory: &Directory, timeout: Duration) -> Result<Connection, QueryError> {
    let found = open(&directory.path().join(METRICS_FILE), timeout)?;
    found.ok_or(QueryError::Store(StoreError::Unreadable { what: "file of counters" }))
}

/// Opens the files of the request log for one query, the latest day first. One that cannot be read is noted and
/// passed over: the others are still good.
pub(crate) fn open_days(
    directory: &Directory,
    timeout: Duration,
) -> Result<Vec<(PathBuf, Date, Connection)>, QueryError> {
    let mut open_files = Vec::new();
    for (path, day) in day_files(directory.path())? {
        match open(&path, timeout) {
            Ok(file) => open_files.extend(file.map(|file| (path, day, file))),
            Err(error) => pass_over(directory, &path, error)?,
        }
    }
    Ok(open_files)
}

/// Notes that a file cannot be read to its end.
///
/// # Errors
/// When that is not the fault of the file.
pub(crate) fn pass_over(directory: &Directory, path: &Path, error: QueryError) -> Result<(), QueryError> {
    match error {
        // Retention may have been faster.
        QueryError::Store(_) if !path.exists() => Ok(()),
        QueryError::Store(error) => {
            directory.note(path, format!("cannot be read: {error}"));
            Ok(())
        }
        other => Err(other),
    }
}

/// The same for a file of the request log, which is `None` when nothing has come to it yet.
fn open(path: &Path, timeout: Duration) -> Result<Option<Connection>, QueryError> {
    let Some(connection) = open_read(path)? else { return Ok(None) };
    let deadline = Instant::now() + timeout;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
    Ok(Some(connection))
}
