//! Questions to the store. Each opens connections of its own and reads one snapshot.

pub(crate) mod counts;
pub(crate) mod filter;
pub(crate) mod gateways;
pub(crate) mod params;
pub(crate) mod range;
pub(crate) mod requests;
mod rollup;

use crate::error::QueryError;
use crate::store::open_read;
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

/// Virtual-machine instructions of SQLite between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// Opens a file for one query, which is interrupted at its deadline.
pub(crate) fn open(path: &Path, timeout: Duration) -> Result<Connection, QueryError> {
    let connection = open_read(path)?;
    let deadline = Instant::now() + timeout;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
    Ok(connection)
}
