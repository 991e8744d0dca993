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
/// One more than the migrations of [`METRICS_MIGRATIONS`] and [`REQUESTS_MIGRATIONS`].
const VERSION: i64 = 5;
/// Rollup rows carry sketches of a few hundred bytes; larger pages keep them off overflow pages.
const PAGE_SIZE: u32 = 8192;
const CACHE_KIB: u32 = 64 << 10;
/// No other process writes; a tool that looks at the files may hold one for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Who sent, and which sequence numbers came. `signal` is 0 for metrics, 1 for logs, 2 for traces.
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

/// The changes of each version to the tables of the first.
const METRICS_MIGRATIONS: [&str; VERSION as usize - 1] = [
    "
CREATE TABLE reports (              -- the latest that each gateway said of itself
    gateway_id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    captured INTEGER,
    sent INTEGER,
    queue_full INTEGER,
    rejected INTEGER,
    expired INTEGER,
    lost INTEGER,
    queue_bytes INTEGER,
    export_failures INTEGER,
    machines INTEGER,
    machines_lost INTEGER,
    active_requests INTEGER,
    busy_seconds REAL
);
CREATE TABLE tags (
    gateway_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (gateway_id, name)
) WITHOUT ROWID;
CREATE TABLE coarse (               -- where the minutes of a gateway's counts cannot be told apart
    gateway_id INTEGER NOT NULL,
    since INTEGER NOT NULL,         -- Unix nanoseconds
    until INTEGER NOT NULL,
    PRIMARY KEY (gateway_id, until)
) WITHOUT ROWID;
",
    "
CREATE TABLE kept (                 -- the first Unix minute of what is removed when it is old
    name TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE retired (              -- gateways that were silent for so long that their states were removed
    gateway_id INTEGER PRIMARY KEY,
    last_seen INTEGER NOT NULL      -- before the silence
);
",
    // Read and replaced as a whole only, so that each is one text.
    "
CREATE TABLE redaction (            -- the latest that each gateway said of its redaction
    gateway_id INTEGER NOT NULL,
    what TEXT NOT NULL,             -- 'rules' or 'bodies'
    time INTEGER NOT NULL,          -- Unix nanoseconds
    content TEXT NOT NULL,          -- JSON, as the read API gives it out
    PRIMARY KEY (gateway_id, what)
) WITHOUT ROWID;
",
    "
ALTER TABLE kept RENAME TO retention_marks;
ALTER TABLE coarse RENAME TO coarse_intervals;
ALTER TABLE retired RENAME TO expired_gateways;
ALTER TABLE reports RENAME COLUMN machines TO workers;
ALTER TABLE reports RENAME COLUMN machines_lost TO workers_lost;
ALTER TABLE reports ADD COLUMN uncounted INTEGER;
",
];
const REQUESTS_MIGRATIONS: [&str; VERSION as usize - 1] = [
    "",
    "",
    "",
    // The count of a day is copied to a later file before its own file is removed. Earlier records are counted
    // where the count is certain: where a gateway has a single epoch in the file.
    "
CREATE TABLE accepted (             -- log records stored, by the UTC day of their receipt
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    day INTEGER NOT NULL,           -- days since 1970
    records INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, day)
) WITHOUT ROWID;
INSERT INTO accepted
SELECT s.instance, s.epoch,
       (SELECT min(received_at) / 86400000000000 FROM batches b
        WHERE b.instance = s.instance AND b.epoch = s.epoch AND b.signal > 0) AS day,
       (SELECT sum(n) FROM chunks c WHERE c.gateway = s.instance) AS records
FROM (SELECT DISTINCT instance, epoch FROM sequences WHERE signal > 0) s
WHERE day IS NOT NULL AND records IS NOT NULL
GROUP BY s.instance HAVING count(*) = 1;
",
];

/// Opens the file of counters to write, and creates it when it is not there.
pub(crate) fn open_metrics(dir: &Path) -> Result<Connection, StoreError> {
    open_write(&dir.join(METRICS_FILE), METRICS, &METRICS_MIGRATIONS)
}

/// Opens a file of the request log to write, and creates it when it is not there.
pub(crate) fn open_requests(path: &Path) -> Result<Connection, StoreError> {
    open_write(path, REQUESTS, &REQUESTS_MIGRATIONS)
}

/// Opens either kind of file to read; `None` when its tables are only about to be made. Each transaction sees one
/// snapshot.
pub(crate) fn open_read(path: &Path) -> Result<Option<Connection>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok((Version::of(&connection)?, connection))
    };
    let (version, connection) = open().map_err(|source| failed(path, source))?;
    version.check(path)?;
    // The request log of an older version lacks only the table of accepted records, which its reader checks for.
    if version.schema < VERSION && !version.is_new() && path.ends_with(METRICS_FILE) {
        return Err(StoreError::Older { path: path.to_owned(), found: version.schema, known: VERSION });
    }
    Ok((!version.is_new()).then_some(connection))
}

fn open_write(path: &Path, tables: &str, migrations: &[&str]) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok((Version::of(&connection)?, connection))
    };
    let (version, mut connection) = open().map_err(|source| failed(path, source))?;
    version.check(path)?;
    let mut prepare = || {
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
        let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        // FULL makes a commit durable, NORMAL would make it merely consistent.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        let transaction = connection.transaction()?;
        if version.is_new() {
            transaction.execute_batch(SENDERS)?;
            transaction.execute_batch(tables)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        if version.schema < VERSION {
            for migration in migrations.iter().skip(version.migrations()) {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        transaction.commit()?;
        Ok(())
    };
    prepare().map_err(|source| failed(path, source))?;
    Ok(connection)
}

/// The marks of a file.
#[derive(Clone, Copy)]
struct Version {
    schema: i64,
    application: i64,
    tables: i64,
}

impl Version {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let ask = |question| connection.query_row(question, [], |row| row.get(0));
        Ok(Self {
            schema: ask("PRAGMA user_version")?,
            application: ask("PRAGMA application_id")?,
            tables: ask("SELECT count(*) FROM sqlite_schema")?,
        })
    }

    fn is_new(self) -> bool {
        self.tables == 0
    }

    /// How many migrations the file has behind it.
    fn migrations(self) -> usize {
        usize::try_from(self.schema - 1).unwrap_or_default()
    }

    fn check(self, path: &Path) -> Result<(), StoreError> {
        if self.is_new() {
            return Ok(());
        }
        if self.application != APPLICATION_ID {
            return Err(StoreError::Foreign { path: path.to_owned() });
        }
        if self.schema > VERSION {
            return Err(StoreError::Newer { path: path.to_owned(), found: self.schema, known: VERSION });
        }
        Ok(())
    }
}

fn failed(path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Open { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_brings_files_of_an_older_version_up_to_date() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(METRICS_FILE);
        let tables = "CREATE TABLE first (id INTEGER PRIMARY KEY)";
        open_write(&path, tables, &["", "", "", ""]).unwrap().pragma_update(None, "user_version", 1).unwrap();
        let refused = open_read(&path).unwrap_err().to_string();
        assert!(refused.contains("has schema version 1, this gatelens reads 5"), "{refused}");
        open_write(&path, tables, &["", "", "", "CREATE TABLE last (id INTEGER PRIMARY KEY)"]).unwrap();
        let connection = open_read(&path).unwrap().unwrap();
        assert_eq!(connection.query_row("SELECT count(*) FROM last", [], |row| row.get(0)), Ok(0));
    }
}
