//! The two kinds of files, their versions, and how they are opened.

use super::{StoreError, modes};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Name of the file of counters in the data directory.
pub(crate) const METRICS_FILE: &str = "metrics.db";

/// Held locked by the process that writes.
pub(crate) const LOCK_FILE: &str = "lock";

/// "gtln": marks the files as ours.
pub(crate) const APPLICATION_ID: i64 = 0x6774_6c6e;
/// One more than the migrations of [`METRICS_MIGRATIONS`] and [`REQUESTS_MIGRATIONS`].
const VERSION: i64 = 26;
/// Rollup rows carry sketches of a few hundred bytes; larger pages keep them off overflow pages.
pub(super) const METRICS_PAGE: u32 = 8192;
/// A chunk of the log has pages of its own, of which the last is half empty. Files of before version 18 have the pages of
/// the counters.
pub(super) const REQUESTS_PAGE: u32 = 2048;
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

/// The migration that makes the environment a part of what names a sender; in both kinds of files.
macro_rules! senders_by_environment {
    () => {
        "
CREATE TABLE new_gateways (
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
    UNIQUE (instance, epoch, environment)
);
INSERT INTO new_gateways
SELECT id, instance, epoch, service, environment, version, config_hash, series, first_seen, last_seen FROM gateways;
CREATE TABLE new_sequences (
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    environment TEXT NOT NULL,
    signal INTEGER NOT NULL,
    received BLOB NOT NULL,         -- intervals of sequence numbers
    PRIMARY KEY (instance, epoch, environment, signal)
) WITHOUT ROWID;
INSERT INTO new_sequences
SELECT s.instance, s.epoch, coalesce(g.environment, ''), s.signal, s.received
FROM sequences s LEFT JOIN gateways g ON g.instance = s.instance AND g.epoch = s.epoch;
CREATE TABLE new_batches (
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    environment TEXT NOT NULL,
    signal INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, environment, signal, sequence)
) WITHOUT ROWID;
INSERT INTO new_batches
SELECT b.instance, b.epoch, coalesce(g.environment, ''), b.signal, b.sequence, b.received_at
FROM batches b LEFT JOIN gateways g ON g.instance = b.instance AND g.epoch = b.epoch;
DROP TABLE sequences;
DROP TABLE batches;
DROP TABLE gateways;
ALTER TABLE new_gateways RENAME TO gateways;
ALTER TABLE new_sequences RENAME TO sequences;
ALTER TABLE new_batches RENAME TO batches;
"
    };
}

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
    "
CREATE TABLE new_series (
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    consumer TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status INTEGER NOT NULL,
    error_type TEXT NOT NULL,
    overflow INTEGER NOT NULL,
    route_source TEXT NOT NULL,     -- '': inferred
    folded TEXT,                    -- the route under which learned patterns show the series, where it is another
    UNIQUE (service, environment, direction, consumer, method, route, status, error_type, overflow, route_source)
);
INSERT INTO new_series
SELECT id, service, environment, direction, consumer, method, route, status, error_type, overflow, '', NULL
FROM series;
DROP TABLE series;
ALTER TABLE new_series RENAME TO series;
CREATE TABLE patterns (             -- learned routes; a scope is a service, an environment and a direction
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    content TEXT NOT NULL,          -- JSON, as gateways take it
    learned_at INTEGER NOT NULL,    -- the last change, Unix nanoseconds
    requests INTEGER NOT NULL,      -- of the scope that were learned from
    UNIQUE (service, environment, direction)
);
CREATE TABLE pattern_places (       -- when each place was learned
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    place TEXT NOT NULL,            -- the route before it
    learned_at INTEGER NOT NULL,
    requests INTEGER NOT NULL,      -- of the scope, at that time
    PRIMARY KEY (service, environment, direction, place)
) WITHOUT ROWID;
",
    "
ALTER TABLE reports ADD COLUMN excluded INTEGER;
ALTER TABLE reports ADD COLUMN sampled_out INTEGER;
ALTER TABLE reports ADD COLUMN excluded_from_counters INTEGER;
",
    // The counts of before are those of no version, host or cluster. A state without attempts has none to compare with.
    "
CREATE TABLE new_series (
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,          -- of the service; '': not named
    direction TEXT NOT NULL,
    consumer TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    route_source TEXT NOT NULL,     -- '': inferred
    host TEXT NOT NULL,             -- '': not told apart
    upstream_cluster TEXT NOT NULL, -- '': not told apart
    status INTEGER NOT NULL,        -- 0: no answer
    grpc_status INTEGER NOT NULL,   -- -1: not gRPC
    error_type TEXT NOT NULL,       -- '': no cause
    overflow INTEGER NOT NULL,
    folded TEXT,                    -- the route under which learned patterns show the series, where it is another
    UNIQUE (service, environment, version, direction, consumer, method, route, route_source, host, upstream_cluster,
            status, grpc_status, error_type, overflow)
);
INSERT INTO new_series
SELECT id, service, environment, '', direction, consumer, method, route, route_source, '', '', status, -1, error_type,
       overflow, folded
FROM series;
DROP TABLE series;
ALTER TABLE new_series RENAME TO series;
ALTER TABLE states ADD COLUMN attempts INTEGER;
ALTER TABLE minutes ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE half_hours ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE consumers (
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,             -- '': not known
    grp TEXT NOT NULL,              -- likewise
    labelled_at INTEGER NOT NULL,   -- time of the request that brought name and group, Unix nanoseconds; 0 without
    first_seen INTEGER NOT NULL,    -- Unix nanoseconds
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (service, environment, id)
) WITHOUT ROWID;
",
    "",
    // The newest half hour is one look-up, the newest of each series a reading of the whole file.
    "
ALTER TABLE series ADD COLUMN last_counted INTEGER NOT NULL DEFAULT 0; -- Unix minute of its latest half hour
UPDATE series SET last_counted = (SELECT coalesce(max(minute), 0) FROM half_hours);
",
    // The counts of before are those of no instance. A consumer of before is one in each direction in which it has series.
    "
CREATE TABLE instances (            -- of gateways
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last_minute INTEGER NOT NULL    -- the last Unix minute with counts of it
);
ALTER TABLE minutes ADD COLUMN instance INTEGER NOT NULL DEFAULT 0;
                                    -- the only one that counted; 0: not known, -1: several, see gateway_minutes
ALTER TABLE half_hours ADD COLUMN instance INTEGER NOT NULL DEFAULT 0;
CREATE TABLE gateway_minutes (      -- the parts of a minute that several instances counted
    minute INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration BLOB NOT NULL,
    upstream BLOB NOT NULL,
    gateway BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (minute, series_id, instance)
) WITHOUT ROWID;
CREATE TABLE gateway_half_hours (   -- the same of half hours, kept as long as minutes
    minute INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration BLOB NOT NULL,
    upstream BLOB NOT NULL,
    gateway BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (minute, series_id, instance)
) WITHOUT ROWID;
INSERT INTO retention_marks
SELECT 'instances', (max(minute) / 30 + 1) * 30 FROM half_hours HAVING count(*) > 0;
CREATE TABLE new_consumers (
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,             -- '': not known
    grp TEXT NOT NULL,              -- likewise
    labelled_at INTEGER NOT NULL,   -- time of the request that brought name and group, Unix nanoseconds; 0 without
    first_seen INTEGER NOT NULL,    -- Unix nanoseconds
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (service, environment, direction, id)
) WITHOUT ROWID;
INSERT INTO new_consumers
SELECT c.service, c.environment, coalesce(s.direction, 'inbound'), c.id, c.name, c.grp, c.labelled_at, c.first_seen, c.last_seen
FROM consumers c LEFT JOIN (SELECT DISTINCT service, environment, direction, consumer FROM series) s
  ON s.service = c.service AND s.environment = c.environment AND s.consumer = c.id;
DROP TABLE consumers;
ALTER TABLE new_consumers RENAME TO consumers;
",
    "",
    super::audit::TABLE,
    // A sequence number of before is one of the environment that its gateway named last.
    senders_by_environment!(),
    // Rows of before have none.
    "
ALTER TABLE minutes ADD COLUMN checksum INTEGER;    -- of the row, see checksum.rs
ALTER TABLE half_hours ADD COLUMN checksum INTEGER;
ALTER TABLE gateway_minutes ADD COLUMN checksum INTEGER;
ALTER TABLE gateway_half_hours ADD COLUMN checksum INTEGER;
ALTER TABLE states ADD COLUMN checksum INTEGER;
",
    "",
    "",
    super::releases::TABLES,
    super::directory::TABLE,
    "
CREATE TABLE changes (              -- of counters, which are not in the rows of their minutes yet, see changes.rs
    id INTEGER PRIMARY KEY,
    gateway_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL,   -- Unix nanoseconds
    since INTEGER NOT NULL,         -- the first Unix minute
    until INTEGER NOT NULL,         -- the last
    entries INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
",
    super::drift::TABLES,
    super::uptime::TABLES,
    super::totals::TABLES,
    // Minutes of before are packed step by step.
    "
CREATE TABLE packed_minutes (       -- rows of minutes and gateway_minutes that are over, see packed.rs
    id INTEGER PRIMARY KEY,
    half_hour INTEGER NOT NULL,     -- its first Unix minute
    by_gateway INTEGER NOT NULL,    -- 0: of minutes, 1: of gateway_minutes
    since INTEGER NOT NULL,         -- the first Unix minute of the rows
    until INTEGER NOT NULL,         -- the last
    entries INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX packed_minutes_by_time ON packed_minutes (half_hour, by_gateway, since, until);
",
    super::sums::TABLES,
];
const REQUESTS_MIGRATIONS: [&str; VERSION as usize - 1] = [
    "",
    "",
    "",
    // The count of a day is copied to a later file before its own file is removed. Earlier records are counted
    // where the count is certain: where a gateway has a single epoch in the file. The chunks are read once, because a
    // file may have many and the service answers nobody until they are counted.
    "
CREATE TABLE accepted (             -- log records stored, by the UTC day of their receipt
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    day INTEGER NOT NULL,           -- days since 1970
    records INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, day)
) WITHOUT ROWID;
INSERT INTO accepted
WITH stored AS MATERIALIZED (SELECT gateway, sum(n) AS records FROM chunks GROUP BY gateway),
single AS (SELECT instance, min(epoch) AS epoch
           FROM (SELECT DISTINCT instance, epoch FROM sequences WHERE signal > 0)
           GROUP BY instance HAVING count(*) = 1)
SELECT s.instance, s.epoch,
       (SELECT min(received_at) / 86400000000000 FROM batches b
        WHERE b.instance = s.instance AND b.epoch = s.epoch AND b.signal > 0) AS day,
       stored.records
FROM single s JOIN stored ON stored.gateway = s.instance
WHERE day IS NOT NULL;
",
    "",
    "",
    "",
    "",
    // Chunks of before must be looked into: their requests may have taken any time.
    "
ALTER TABLE chunks ADD COLUMN longest INTEGER NOT NULL DEFAULT 9223372036854775807;
                                    -- nanoseconds: no request of it took longer, in all or upstream
DROP INDEX chunks_by_time;
CREATE INDEX chunks_by_time ON chunks (t1, id, t0, n, errors, classes, service, environment, gateway, longest);
CREATE INDEX chunks_by_duration ON chunks (longest, id, t0, t1, errors, classes, service, environment, gateway);
",
    "",
    "",
    // Chunks of before may have bodies.
    "
ALTER TABLE chunks ADD COLUMN bodies INTEGER NOT NULL DEFAULT 1;    -- whether a request of it has a body
CREATE INDEX chunks_with_bodies ON chunks (t1, id) WHERE bodies;
",
    "",
    concat!(senders_by_environment!(), "
CREATE TABLE new_accepted (         -- log records stored, by the UTC day of their receipt
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    environment TEXT NOT NULL,
    day INTEGER NOT NULL,           -- days since 1970
    records INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, environment, day)
) WITHOUT ROWID;
INSERT INTO new_accepted
SELECT a.instance, a.epoch, coalesce(g.environment, ''), a.day, a.records
FROM accepted a LEFT JOIN gateways g ON g.instance = a.instance AND g.epoch = a.epoch;
DROP TABLE accepted;
ALTER TABLE new_accepted RENAME TO accepted;
"),
    "",
    // Chunks of before have no filter, and are read.
    "
CREATE TABLE chunk_blooms (         -- which values a chunk may hold, see bloom.rs
    chunk_id INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,             -- requests of the chunk when the filter was made
    filter BLOB NOT NULL
);
CREATE TRIGGER bloom_of_removed_chunk AFTER DELETE ON chunks BEGIN
    DELETE FROM chunk_blooms WHERE chunk_id = old.id;
END;
DROP INDEX chunks_by_duration;
CREATE INDEX chunks_by_duration ON chunks (longest, id, t0, t1, errors, classes, service, environment, gateway, n);
",
    // The tables stay; chunks of version 2 are for readers that know them.
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
];

/// Opens the file of counters to write, and creates it when it is not there.
pub(crate) fn open_metrics(dir: &Path) -> Result<Connection, StoreError> {
    open_write(&dir.join(METRICS_FILE), METRICS_PAGE, METRICS, &METRICS_MIGRATIONS)
}

/// Opens a file of the request log to write, and creates it when it is not there.
pub(crate) fn open_requests(path: &Path) -> Result<Connection, StoreError> {
    open_write(path, REQUESTS_PAGE, REQUESTS, &REQUESTS_MIGRATIONS)
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
    // The request log of an older version lacks only the table of accepted records and what chunks say of durations,
    // which their readers check for.
    if version.schema < VERSION && !version.is_new() && path.ends_with(METRICS_FILE) {
        return Err(StoreError::Older { path: path.to_owned(), found: version.schema, known: VERSION });
    }
    Ok((!version.is_new()).then_some(connection))
}

/// Opens a database of another kind to read.
pub(crate) fn open_other(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|source| failed(path, source))
}

/// The version of such a file and the number of its tables, if it is one of ours and of a version up to `known`.
pub(crate) fn marks_of(file: &Connection, path: &Path, known: i64) -> Result<(i64, i64), StoreError> {
    let version = Version::of(file).map_err(|source| failed(path, source))?;
    version.check_against(path, known)?;
    Ok((version.schema, version.tables))
}

fn open_write(path: &Path, page: u32, tables: &str, migrations: &[&str]) -> Result<Connection, StoreError> {
    modes::create(path)?;
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok((Version::of(&connection)?, connection))
    };
    let (version, mut connection) = open().map_err(|source| failed(path, source))?;
    version.check(path)?;
    let mut prepare = || {
        connection.pragma_update(None, "page_size", page)?;
        // Only a new file takes both. Space that was freed goes back when it is asked for.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
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

/// The kinds of files that this module knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// [`METRICS_FILE`].
    Counters,
    /// A day of the request log.
    Requests,
}

impl FileKind {
    /// The kind of a file by its name; `None` for other files.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.file_name()?.to_str()? {
            METRICS_FILE => Some(Self::Counters),
            name => super::day_of_file(name).map(|_| Self::Requests),
        }
    }
}

/// The schema version that the marks of a file stand for, if they are marks of ours.
pub(super) fn version_of(application: u32, version: u32) -> Option<i64> {
    let known = i64::from(application) == APPLICATION_ID && (1..=VERSION).contains(&i64::from(version));
    known.then_some(i64::from(version))
}

/// Makes an empty file with the tables of a version, by default of this one. It is not durable until it is synced.
pub(super) fn create(path: &Path, kind: FileKind, version: Option<i64>) -> Result<Connection, StoreError> {
    modes::create(path)?;
    let version = version.unwrap_or(VERSION);
    let (page, tables, migrations) = match kind {
        FileKind::Counters => (METRICS_PAGE, METRICS, &METRICS_MIGRATIONS),
        FileKind::Requests => (REQUESTS_PAGE, REQUESTS, &REQUESTS_MIGRATIONS),
    };
    let make = || {
        let file = Connection::open(path)?;
        file.pragma_update(None, "page_size", page)?;
        file.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        file.pragma_update(None, "synchronous", "OFF")?;
        file.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        file.execute_batch(SENDERS)?;
        file.execute_batch(tables)?;
        for migration in migrations.iter().take(usize::try_from(version - 1).unwrap_or_default()) {
            file.execute_batch(migration)?;
        }
        file.pragma_update(None, "application_id", APPLICATION_ID)?;
        file.pragma_update(None, "user_version", version)?;
        Ok(file)
    };
    make().map_err(|source| failed(path, source))
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
        if self.is_new() { Ok(()) } else { self.check_against(path, VERSION) }
    }

    fn check_against(self, path: &Path, known: i64) -> Result<(), StoreError> {
        if !self.is_new() && self.application != APPLICATION_ID {
            return Err(StoreError::Foreign { path: path.to_owned() });
        }
        if self.schema > known {
            return Err(StoreError::Newer { path: path.to_owned(), found: self.schema, known });
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn a_writer_brings_files_of_an_older_version_up_to_date() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(METRICS_FILE);
        let tables = "CREATE TABLE first (id INTEGER PRIMARY KEY)";
        open_write(&path, METRICS_PAGE, tables, &[""; VERSION as usize - 1])
            .unwrap()
            .pragma_update(None, "user_version", 1)
            .unwrap();
        let refused = open_read(&path).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("has schema version 1, this gatelens reads {VERSION}")),
            "{refused}"
        );
        let mut migrations = [""; VERSION as usize - 1];
        migrations[VERSION as usize - 2] = "CREATE TABLE last (id INTEGER PRIMARY KEY)";
        open_write(&path, METRICS_PAGE, tables, &migrations).unwrap();
        let connection = open_read(&path).unwrap().unwrap();
        assert_eq!(connection.query_row("SELECT count(*) FROM last", [], |row| row.get(0)), Ok(0));
    }

    /// A file of the request log of version 4, with chunks of gateways that have one epoch each.
    fn version_4(gateways: u32, chunks: u32) -> Connection {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(SENDERS).unwrap();
        file.execute_batch(REQUESTS).unwrap();
        let numbers = |count| {
            format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})")
        };
        file.execute_batch(&format!(
            "{chunk} INSERT INTO chunks SELECT i, i, i, 1, 0, 4, 'edge-' || (i % {gateways}), 's', 'e', x'00' FROM n;
             {chunk} INSERT INTO batches SELECT 'edge-' || (i % {gateways}), '1', 1, i, i FROM n;
             {gateway} INSERT INTO sequences SELECT 'edge-' || i, '1', 1, x'00' FROM n;",
            chunk = numbers(chunks),
            gateway = numbers(gateways),
        ))
        .unwrap();
        file
    }

    /// The accepted records after the last migration.
    fn migrated(file: &Connection) -> Vec<(String, String, i64, i64)> {
        REQUESTS_MIGRATIONS[3..].iter().for_each(|migration| file.execute_batch(migration).unwrap());
        let mut select = file
            .prepare("SELECT instance, epoch, day, records FROM accepted ORDER BY instance, epoch, day")
            .unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_work_of_the_migration_does_not_grow_with_the_number_of_gateways() {
        let steps = |gateways| {
            let file = version_4(gateways, 4_000);
            let steps = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&steps);
            let count = move || {
                counter.fetch_add(1, Relaxed);
                false
            };
            file.progress_handler(100, Some(count)).unwrap();
            let rows = migrated(&file);
            assert_eq!(rows.len(), gateways as usize);
            assert!(rows.iter().all(|row| row.3 == i64::from(4_000 / gateways)), "{rows:?}");
            steps.load(Relaxed)
        };
        let (one, hundred) = (steps(1), steps(100));
        assert!(hundred < 2 * one, "{one} and {hundred} hundred steps");
    }

    /// A gateway that repeats a batch across the upgrade must not count twice, and its row keeps the number that its states
    /// name.
    #[test]
    fn what_is_known_of_senders_before_they_had_environments_stays_known() {
        use crate::model::{Identity, Signal};
        use crate::store::accepted::Accepted;
        use crate::store::gateways::{EpochKey, is_repeat, received};

        const BEFORE: usize = 13;
        let count = |file: &Connection, table: &str| -> i64 {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        for (tables, migrations) in [(METRICS, &METRICS_MIGRATIONS), (REQUESTS, &REQUESTS_MIGRATIONS)] {
            let file = Connection::open_in_memory().unwrap();
            file.execute_batch(SENDERS).unwrap();
            file.execute_batch(tables).unwrap();
            migrations[..BEFORE].iter().for_each(|migration| file.execute_batch(migration).unwrap());
            file.execute_batch(
                "INSERT INTO gateways VALUES (7, 'edge-1', 'e1', 's', 'prod', NULL, NULL, 3, 1, 2),
                                             (9, 'edge-1', 'e2', 's', 'stage', NULL, NULL, 3, 1, 2);
                 INSERT INTO sequences VALUES ('edge-1', 'e1', 1, x'01000100'), ('lost', 'e', 1, x'01000100');
                 INSERT INTO batches VALUES ('edge-1', 'e1', 1, 1, 5), ('lost', 'e', 1, 1, 5);",
            )
            .unwrap();
            let is_log = file.table_exists(None, "accepted").unwrap();
            if is_log {
                file.execute_batch("INSERT INTO accepted VALUES ('edge-1', 'e1', 20000, 4)").unwrap();
            }
            let accepted = |file: &Connection| {
                let [instance, epoch, environment] = ["edge-1", "e1", "prod"].map(str::to_owned);
                let key = EpochKey { instance, epoch, environment };
                let mut accepted = Accepted::default();
                accepted.read(file, [&key]).unwrap();
                accepted.of(&key)
            };
            // Files that nobody writes any more are read as they are.
            assert_eq!(accepted(&file), if is_log { 4 } else { 0 });
            migrations[BEFORE..].iter().for_each(|migration| file.execute_batch(migration).unwrap());
            assert_eq!(accepted(&file), if is_log { 4 } else { 0 });
            let identity = |environment: &str, sequence| Identity {
                instance: "edge-1".to_owned(),
                epoch: "e1".to_owned(),
                environment: environment.into(),
                sequence,
            };
            let repeat = |environment, sequence| {
                is_repeat(&file, Signal::Logs, &identity(environment, sequence)).unwrap()
            };
            assert_eq!([repeat("prod", 1), repeat("prod", 2), repeat("stage", 1)], [true, false, false]);
            assert!(received(&file, Signal::Logs, &identity("prod", 2)).unwrap().is_some());
            let id = file.query_row("SELECT id FROM gateways WHERE epoch = 'e1'", [], |row| row.get(0));
            assert_eq!(id, Ok(7));
            assert_eq!(["gateways", "sequences", "batches"].map(|table| count(&file, table)), [2, 2, 2]);
        }
    }

    #[test]
    fn the_migration_counts_where_a_gateway_has_a_single_epoch() {
        let row =
            |instance: &str, epoch: &str, day, records| (instance.to_owned(), epoch.to_owned(), day, records);
        let fixture = Connection::open_in_memory().unwrap();
        fixture.execute_batch(include_str!("../../tests/fixtures/schema/requests-v04.sql")).unwrap();
        assert_eq!(migrated(&fixture), [row("edge-1", "0000000000000001", 20_777, 2)]);

        let file = version_4(4, 8);
        file.execute_batch(
            "UPDATE batches SET received_at = 3 * 86400000000000 + sequence;
             -- Two epochs, of which either may have sent the chunks.
             INSERT INTO sequences VALUES ('edge-1', '2', 1, x'00');
             INSERT INTO batches VALUES ('edge-1', '2', 1, 9, 9);
             -- The other epoch sent counters only; the same epoch sent both signals.
             INSERT INTO sequences VALUES ('edge-2', '2', 0, x'00'), ('edge-2', '1', 2, x'00');
             -- Nothing is stored of this one, and this one has no identity.
             DELETE FROM chunks WHERE gateway = 'edge-3';
             INSERT INTO chunks VALUES (99, 1, 1, 1, 0, 4, 'other', 's', 'e', x'00');",
        )
        .unwrap();
        assert_eq!(migrated(&file), [row("edge-0", "1", 3, 2), row("edge-2", "1", 3, 2)]);
    }
}
