//! The tables of `issues.db`.

/// The tables, and their changes in later versions. The version of the file is the number of those it has.
pub(super) const MIGRATIONS: [&str; 1] = ["
CREATE TABLE issues (
    id TEXT PRIMARY KEY,            -- 16 hex digits: both levels of the fingerprint
    failure TEXT NOT NULL,          -- the ID of the issue of the same failure without a reason
    kind TEXT NOT NULL,             -- 'error', 'validation' or 'reported'
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status INTEGER NOT NULL,        -- 0: no answer
    grpc_status INTEGER,
    error_type TEXT NOT NULL,       -- '': no cause
    class TEXT NOT NULL,            -- '': none is named
    message TEXT NOT NULL,          -- normalised; '': none
    first_seen INTEGER NOT NULL,    -- Unix nanoseconds, as all times here; by the clocks of gateways
    last_seen INTEGER NOT NULL,
    first_version TEXT NOT NULL,    -- of the service; '': not named
    last_version TEXT NOT NULL,
    requests REAL NOT NULL,         -- each row of the log stands for its weight
    logged INTEGER NOT NULL,        -- rows of the log
    consumers INTEGER NOT NULL,     -- those among the values
    more_consumers INTEGER NOT NULL,-- there are others, which are not kept
    standing TEXT NOT NULL,         -- 'open', 'resolved' or 'ignored'
    acknowledged INTEGER NOT NULL,
    regressed_at INTEGER,
    resolved_at INTEGER,
    known_versions TEXT,            -- JSON, where only another version can regress
    changed_at INTEGER,             -- by a person
    changed_by TEXT
) WITHOUT ROWID;
CREATE INDEX issues_of_failure ON issues (failure);
CREATE INDEX issues_of_scope ON issues (service, environment);
CREATE TABLE hours (
    issue TEXT NOT NULL,
    hour INTEGER NOT NULL,          -- Unix hours
    requests REAL NOT NULL,
    PRIMARY KEY (issue, hour)
) WITHOUT ROWID;
CREATE TABLE issue_values (
    issue TEXT NOT NULL,
    dimension TEXT NOT NULL,        -- 'consumer', 'version', 'host', 'gateway', 'upstream_cluster' or 'tag'
    value TEXT NOT NULL,
    requests REAL NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (issue, dimension, value)
) WITHOUT ROWID;
CREATE TABLE fields (               -- refused by validation
    issue TEXT NOT NULL,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    requests REAL NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (issue, field, kind)
) WITHOUT ROWID;
CREATE TABLE examples (
    issue TEXT NOT NULL,
    time INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    gateway TEXT NOT NULL,
    PRIMARY KEY (issue, time, request_id)
) WITHOUT ROWID;
CREATE TABLE batches (              -- whose failed requests are counted
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    environment TEXT NOT NULL,
    signal INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, environment, signal, sequence)
) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (received_at);
CREATE TRIGGER parts_of_removed_issue AFTER DELETE ON issues BEGIN
    DELETE FROM hours WHERE issue = old.id;
    DELETE FROM issue_values WHERE issue = old.id;
    DELETE FROM fields WHERE issue = old.id;
    DELETE FROM examples WHERE issue = old.id;
END;
"];
