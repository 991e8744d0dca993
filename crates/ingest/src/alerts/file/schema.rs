//! The tables of `alerts.db`.

/// The tables, and their changes in later versions. The version of the file is the number of those it has.
pub(super) const MIGRATIONS: [&str; 4] = ["
CREATE TABLE marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rules (name TEXT PRIMARY KEY, content TEXT NOT NULL, changed_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE receivers (name TEXT PRIMARY KEY, content TEXT NOT NULL, changed_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE mutes (rule TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE alerts (               -- those that are not inactive, or whose end was not announced
    rule TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    definition TEXT NOT NULL,       -- of the rule, when the alert began
    labels TEXT NOT NULL,           -- JSON
    state TEXT NOT NULL,            -- JSON
    announced_at INTEGER,           -- Unix nanoseconds, as all times here
    incident INTEGER,
    value REAL,
    recent TEXT NOT NULL,           -- JSON: the latest times and values
    PRIMARY KEY (rule, fingerprint)
) WITHOUT ROWID;
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    labels TEXT NOT NULL,
    severity TEXT NOT NULL,
    measure TEXT NOT NULL,
    side TEXT NOT NULL,
    threshold REAL NOT NULL,
    since INTEGER NOT NULL,
    fired_at INTEGER NOT NULL,
    resolved_at INTEGER,
    reason TEXT,                    -- why it ended, where its value did not come back
    worst REAL
);
CREATE INDEX incidents_by_time ON incidents (fired_at);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    rule TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,          -- JSON: the message
    created_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,          -- 'waiting', 'delivered' or 'failed'
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL,
    last_at INTEGER,
    status INTEGER,                 -- of the last response
    error TEXT                      -- of the last attempt
);
CREATE INDEX deliveries_waiting ON deliveries (outcome, next_at);
CREATE INDEX deliveries_of_alert ON deliveries (rule, fingerprint);
CREATE TABLE drops (                -- records that each gateway had dropped, by the minute of the evaluation
    minute INTEGER NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    dropped INTEGER NOT NULL,
    PRIMARY KEY (minute, service, environment, instance, epoch)
) WITHOUT ROWID;
CREATE TABLE gaps (since INTEGER PRIMARY KEY, until INTEGER NOT NULL);
", "
ALTER TABLE deliveries ADD COLUMN reached TEXT; -- JSON: recipients of an e-mail that have it, where not all have
", "
ALTER TABLE incidents ADD COLUMN view TEXT; -- path of the page, without its end; of an incident before this version: NULL
", "
CREATE TABLE untold (               -- rows that changed here and that other replicas do not know yet; empty where there are none
    change INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,             -- JSON: the key of the row
    changed_at INTEGER NOT NULL,    -- Unix milliseconds
    UNIQUE (kind, name)
);
CREATE TABLE versions (             -- of rows that other replicas know
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE notes (                -- of the latest evaluation of each rule, for replicas that do not evaluate
    rule TEXT PRIMARY KEY,
    note TEXT NOT NULL              -- JSON
) WITHOUT ROWID;
"];
