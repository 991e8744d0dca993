//! The two kinds of files, their versions, and how they are opened.

use super::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Name of the file of counters in the data directory.
pub(crate) const METRICS_FILE: &str = "metrics.db";

/// Held locked by the process that writes.
pub(crate) const LOCK_FILE: &str = "lock";

/// "gtln": marks the files as ours.
const APPLICATION_ID: i64 = 0x6774_6c6e;
const VERSION: i64 = 1;
/// Rollup rows carry sketches of a few hundred bytes; larger pages keep them off overflow pages.
const PAGE_SIZE: u32 = 8192;
const CACHE_KIB: u32 = 64 << 10;
/// No other process writes; a tool that looks at the files may hold one for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Who sent, and which sequence numbers came. `signal` is 0 for metrics, 1 for logs.
const SENDERS: &str = "
CREATE TABLE gateways (
    id INTEGER PRIMARY KEY,
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT,
    config_hash TEXT,
    series INTEGER,
    first_seen INTEGER NOT NULL,    -- Unix nanoseconds, by the clock of the ingest
    last_seen INTEGER NOT NULL,
    UNIQUE (instance, epoch)
);
CREATE TABLE sequences (
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    signal INTEGER NOT NULL,
    received BLOB NOT NULL,         -- intervals of sequence numbers
    PRIMARY KEY (instance, epoch, signal)
) WITHOUT ROWID;
CREATE TABLE batches (
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    signal INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, signal, sequence)
) WITHOUT ROWID;
";

const METRICS: &str = "
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    consumer TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status INTEGER NOT NULL,        -- 0: no answer
    error_type TEXT NOT NULL,       -- '': no error
    overflow INTEGER NOT NULL,
    UNIQUE (service, environment, direction, consumer, method, route, status, error_type, overflow)
);
CREATE TABLE states (               -- the last point of each cumulative stream
    gateway_id INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    time INTEGER NOT NULL,
    duration_count INTEGER NOT NULL,
    duration BLOB NOT NULL,
    upstream_count INTEGER NOT NULL,
    upstream BLOB NOT NULL,
    gateway_count INTEGER NOT NULL,
    gateway BLOB NOT NULL,
    request_count INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_count INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    PRIMARY KEY (gateway_id, start, stream)
) WITHOUT ROWID;
CREATE TABLE minutes (
    minute INTEGER NOT NULL,        -- Unix minutes
    series_id INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration BLOB NOT NULL,
    upstream BLOB NOT NULL,
    gateway BLOB NOT NULL,
    PRIMARY KEY (minute, series_id)
) WITHOUT ROWID;
CREATE TABLE half_hours (           -- the same, added up for long ranges
    minute INTEGER NOT NULL,        -- the first Unix minute of the half hour
    series_id INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration BLOB NOT NULL,
    upstream BLOB NOT NULL,
    gateway BLOB NOT NULL,
    PRIMARY KEY (minute, series_id)
) WITHOUT ROWID;
CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
";

const REQUESTS: &str = "
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    t0 INTEGER NOT NULL,            -- start of the earliest request, Unix nanoseconds
    t1 INTEGER NOT NULL,            -- start of the latest
    n INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    classes INTEGER NOT NULL,       -- bit c: there is a status of class c (0: no answer)
    gateway TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX chunks_by_time ON chunks (t1, id, t0, n, errors, classes, service, environment);
";

/// Opens the file of counters to write, and creates it when it is not there.
pub(crate) fn open_metrics(dir: &Path) -> Result<Connection, StoreError> {
    open_write(&dir.join(METRICS_FILE), METRICS)
}

/// Opens a file of the request log to write, and creates it when it is not there.
pub(crate) fn open_requests(path: &Path) -> Result<Connection, StoreError> {
    open_write(path, REQUESTS)
}

/// Opens either kind of file to read. Each transaction sees one snapshot.
pub(crate) fn open_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    check_version(&connection, path)?;
    Ok(connection)
}

fn open_write(path: &Path, tables: &str) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    debug_assert_eq!(mode, "wal");
    // FULL makes a commit durable, NORMAL would make it merely consistent.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    if check_version(&connection, path)? == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(SENDERS)?;
        transaction.execute_batch(tables)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// The schema version of a file, 0 for an empty one.
fn check_version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    Ok(found)
}
