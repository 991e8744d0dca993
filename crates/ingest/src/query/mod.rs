//! Questions to the store. Each opens connections of its own and reads one snapshot.

pub(crate) mod counts;
pub(crate) mod filter;
pub(crate) mod gateways;
pub(crate) mod params;
pub(crate) mod range;
pub(crate) mod requests;
mod rollup;

use crate::error::QueryError;
use crate::store::{METRICS_FILE, StoreError, open_read};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

/// Virtual-machine instructions of SQLite between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// Opens the file of counters for one query, which is interrupted at its deadline.
pub(crate) fn open_counts(dir: &Path, timeout: Duration) -> Result<Connection, QueryError> {
    let found = open(&dir.join(METRICS_FILE), timeout)?;
    found.ok_or(QueryError::Store(StoreError::Unreadable { what: "file of counters" }))
}

/// The same for a file of the request log, which is `None` when nothing has come to it yet.
pub(crate) fn open(path: &Path, timeout: Duration) -> Result<Option<Connection>, QueryError> {
    let Some(connection) = open_read(path)? else { return Ok(None) };
    let deadline = Instant::now() + timeout;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
    Ok(Some(connection))
}
