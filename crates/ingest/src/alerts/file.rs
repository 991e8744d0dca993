//! `alerts.db`: rules and receivers made on the page, the state of alerts, incidents, and the queue of deliveries.
//!
//! A file of its own, because rules are made by people: a damaged file of counters must not take them with it, and an
//! evaluation must not wait for a batch.

use super::deliver::Attempt;
use super::observe::Labels;
use super::state::{Kind, State};
use crate::store::{StoreError, create_file};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::path::Path;
use std::time::Duration;

/// Name of the file in the data directory.
pub(crate) const ALERTS_FILE: &str = "alerts.db";

/// "gtln": marks the file as ours, as the other files of the directory.
const APPLICATION_ID: i64 = 0x6774_6c6e;
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Deliveries and incidents that are kept; the oldest ended ones go first.
const KEPT_ROWS: i64 = 10_000;

/// The tables, and their changes in later versions. The version of the file is the number of those it has.
const MIGRATIONS: [&str; 2] = ["
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
"];

/// The file, open to write. Only the process that holds the lock of the directory opens it.
pub(crate) struct AlertsFile {
    connection: Connection,
}

/// The state of an alert between two evaluations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) rule: String,
    pub(crate) fingerprint: String,
    pub(crate) definition: String,
    pub(crate) labels: Labels,
    pub(crate) state: State,
    /// When receivers were last told that it fires, in Unix nanoseconds.
    pub(crate) announced_at: Option<i64>,
    /// The row of its incident.
    pub(crate) incident: Option<i64>,
    /// The latest value.
    pub(crate) value: Option<f64>,
    /// The latest times and values, in their order.
    pub(crate) recent: Recent,
}

/// Times in Unix nanoseconds and the values at them.
pub(crate) type Recent = std::collections::VecDeque<(i64, Option<f64>)>;

/// A time for which an alert fired.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incident {
    pub(crate) id: i64,
    pub(crate) rule: String,
    pub(crate) fingerprint: String,
    pub(crate) labels: Labels,
    pub(crate) severity: String,
    pub(crate) measure: String,
    pub(crate) side: String,
    pub(crate) threshold: f64,
    pub(crate) since: i64,
    pub(crate) fired_at: i64,
    pub(crate) resolved_at: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) worst: Option<f64>,
}

/// A message on its way to a receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) receiver: String,
    pub(crate) rule: String,
    pub(crate) fingerprint: String,
    pub(crate) kind: String,
    /// JSON.
    pub(crate) content: String,
    pub(crate) created_at: i64,
    pub(crate) outcome: String,
    pub(crate) attempts: u32,
    pub(crate) next_at: i64,
    pub(crate) last_at: Option<i64>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    /// The recipients of an e-mail that have it, where not all have.
    pub(crate) reached: Vec<String>,
}

/// The end of an attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    /// Another attempt follows at this time, in Unix nanoseconds.
    Waiting(i64),
    Failed,
}

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Waiting(_) => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// A text that a person stored under a name.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) content: String,
}

/// Which table of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    Rules,
    Receivers,
}

impl Texts {
    fn table(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Receivers => "receivers",
        }
    }
}

impl AlertsFile {
    /// Opens the file, creates it when it is not there, and brings it up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        // Secrets of receivers may be in it.
        create_file(path)?;
        let mut connection = Connection::open(path).map_err(failed)?;
        let mark = |connection: &Connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            let ask = |question| connection.query_row(question, [], |row| row.get::<_, i64>(0));
            Ok((
                ask("PRAGMA user_version")?,
                ask("PRAGMA application_id")?,
                ask("SELECT count(*) FROM sqlite_schema")?,
            ))
        };
        let (version, application, tables) = mark(&connection).map_err(failed)?;
        if tables > 0 && application != APPLICATION_ID {
            return Err(StoreError::Foreign { path: path.to_owned() });
        }
        let known = MIGRATIONS.len() as i64;
        if version > known {
            return Err(StoreError::Newer { path: path.to_owned(), found: version, known });
        }
        let mut prepare = || {
            let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            let transaction = connection.transaction()?;
            for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", known)?;
            transaction.commit()
        };
        prepare().map_err(failed)?;
        Ok(Self { connection })
    }

    /// Begins a change of several tables.
    pub(crate) fn begin(&mut self) -> Result<Change<'_>, StoreError> {
        Ok(Change { transaction: self.connection.transaction()? })
    }

    /// A time by its name, in Unix nanoseconds.
    pub(crate) fn mark(&self, name: &str) -> Result<Option<i64>, StoreError> {
        let mut find = self.connection.prepare_cached("SELECT at FROM marks WHERE name = ?")?;
        Ok(find.query_row([name], |row| row.get(0)).optional()?)
    }

    /// All texts of a table, by name.
    pub(crate) fn texts(&self, texts: Texts) -> Result<Vec<Named>, StoreError> {
        let table = texts.table();
        let mut select =
            self.connection.prepare(&format!("SELECT name, content FROM {table} ORDER BY name"))?;
        let rows = select.query_map([], |row| Ok(Named { name: row.get(0)?, content: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Stores a text under a name, in the place of the one that has it.
    pub(crate) fn put_text(
        &self,
        texts: Texts,
        name: &str,
        content: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let table = texts.table();
        self.connection.execute(
            &format!("INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)"),
            params![name, content, now],
        )?;
        Ok(())
    }

    /// Removes a text, and the mute of a rule with it. False if there is none.
    pub(crate) fn remove_text(&self, texts: Texts, name: &str) -> Result<bool, StoreError> {
        let table = texts.table();
        Ok(self.connection.execute(&format!("DELETE FROM {table} WHERE name = ?"), [name])? > 0)
    }

    /// Until when rules are muted, in Unix nanoseconds.
    pub(crate) fn mutes(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut select = self.connection.prepare_cached("SELECT rule, until FROM mutes")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Mutes a rule until a time, or ends its mute.
    pub(crate) fn mute(&self, rule: &str, until: Option<i64>) -> Result<(), StoreError> {
        match until {
            Some(until) => {
                self.connection.execute("INSERT OR REPLACE INTO mutes VALUES (?, ?)", params![rule, until])?
            }
            None => self.connection.execute("DELETE FROM mutes WHERE rule = ?", [rule])?,
        };
        Ok(())
    }

    /// All alerts that are not inactive.
    pub(crate) fn alerts(&self) -> Result<Vec<Stored>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT rule, fingerprint, definition, labels, state, announced_at, incident, value, recent
             FROM alerts",
        )?;
        let rows = select.query_map([], |row| {
            let (labels, state, recent): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(8)?);
            Ok(Stored {
                rule: row.get(0)?,
                fingerprint: row.get(1)?,
                definition: row.get(2)?,
                // Damaged text makes an alert begin anew.
                labels: serde_json::from_str(&labels).unwrap_or_default(),
                state: serde_json::from_str(&state).unwrap_or_default(),
                announced_at: row.get(5)?,
                incident: row.get(6)?,
                value: row.get(7)?,
                recent: serde_json::from_str(&recent).unwrap_or_default(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The latest incidents, those that go on first; at most `limit`, of one rule if it is given.
    pub(crate) fn incidents(&self, rule: Option<&str>, limit: u32) -> Result<Vec<Incident>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {INCIDENT} FROM incidents
             WHERE ?1 IS NULL OR rule = ?1 ORDER BY resolved_at IS NOT NULL, id DESC LIMIT ?2"
        ))?;
        let rows = select.query_map(params![rule, limit], read_incident)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The latest deliveries before this one; at most `limit`.
    pub(crate) fn deliveries(&self, before: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {DELIVERY} FROM deliveries WHERE id < ? ORDER BY id DESC LIMIT ?"
        ))?;
        let rows = select.query_map(params![before, limit], read_delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The latest delivery to each receiver that ended, or is tried again.
    pub(crate) fn last_deliveries(&self) -> Result<Vec<Delivery>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {DELIVERY} FROM deliveries
             WHERE id IN (SELECT max(id) FROM deliveries WHERE attempts > 0 GROUP BY receiver)"
        ))?;
        let rows = select.query_map([], read_delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The next delivery that is due for each receiver at `now`. Messages about one alert go to a receiver in their order:
    /// one that waits holds back those behind it.
    pub(crate) fn due(&self, now: i64) -> Result<Vec<Delivery>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {DELIVERY}, min(id) FROM deliveries d
             WHERE outcome = 'waiting' AND next_at <= ?
               AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.outcome = 'waiting' AND e.receiver = d.receiver
                               AND e.fingerprint = d.fingerprint AND e.id < d.id)
             GROUP BY receiver"
        ))?;
        let rows = select.query_map([now], read_delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next delivery is due, in Unix nanoseconds.
    pub(crate) fn next_due(&self) -> Result<Option<i64>, StoreError> {
        let mut find = self
            .connection
            .prepare_cached("SELECT min(next_at) FROM deliveries WHERE outcome = 'waiting'")?;
        Ok(find.query_row([], |row| row.get(0))?)
    }

    /// Notes the end of an attempt at `now` (Unix nanoseconds).
    pub(crate) fn attempted(&self, id: i64, attempt: &Attempt, now: i64) -> Result<(), StoreError> {
        let Attempt { outcome, status, error, reached } = attempt;
        let reached = (!reached.is_empty()).then(|| serde_json::to_string(reached).unwrap_or_default());
        let next_at = match outcome {
            Outcome::Waiting(at) => *at,
            Outcome::Delivered | Outcome::Failed => 0,
        };
        self.connection
            .prepare_cached(
                "UPDATE deliveries SET outcome = ?, attempts = attempts + 1, next_at = ?, last_at = ?, status = ?,
                        error = ?, reached = ? WHERE id = ?",
            )?
            .execute(params![outcome.name(), next_at, now, status, error, reached, id])?;
        Ok(())
    }

    /// Times in which the service did not run and which ended after `since`: Unix nanoseconds.
    pub(crate) fn gaps(&self, since: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        let mut select = self.connection.prepare_cached("SELECT since, until FROM gaps WHERE until > ?")?;
        let rows = select.query_map([since], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The records that each epoch had dropped at the first look at or after a minute (Unix nanoseconds).
    pub(crate) fn drops_since(&self, minute: i64) -> Result<Vec<(EpochKey, u64)>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT service, environment, instance, epoch, dropped, min(minute) FROM drops WHERE minute >= ?
             GROUP BY service, environment, instance, epoch",
        )?;
        let rows = select.query_map([minute], |row| {
            let key = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((key, u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Service, environment, instance and epoch.
pub(crate) type EpochKey = [String; 4];

/// A change of several tables, made as one by [`Change::commit`].
pub(crate) struct Change<'a> {
    transaction: Transaction<'a>,
}

impl Change<'_> {
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit()?)
    }

    pub(crate) fn put_mark(&self, name: &str, at: i64) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO marks VALUES (?, ?)")?
            .execute(params![name, at])?;
        Ok(())
    }

    /// Keeps the state of an alert, or forgets an alert about which nothing is left to say.
    pub(crate) fn put_alert(&self, alert: &Stored) -> Result<(), StoreError> {
        if alert.state == State::Inactive && alert.announced_at.is_none() {
            self.transaction
                .prepare_cached("DELETE FROM alerts WHERE rule = ? AND fingerprint = ?")?
                .execute([&alert.rule, &alert.fingerprint])?;
            return Ok(());
        }
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                alert.rule,
                alert.fingerprint,
                alert.definition,
                json(serde_json::to_string(&alert.labels)),
                json(serde_json::to_string(&alert.state)),
                alert.announced_at,
                alert.incident,
                alert.value,
                json(serde_json::to_string(&alert.recent))
            ])?;
        Ok(())
    }

    /// An incident by its row.
    pub(crate) fn incident(&self, id: i64) -> Result<Option<Incident>, StoreError> {
        let mut find =
            self.transaction.prepare_cached(&format!("SELECT {INCIDENT} FROM incidents WHERE id = ?"))?;
        Ok(find.query_row([id], read_incident).optional()?)
    }

    /// The receivers that were sent the beginning of an alert, or a repetition, at or after `since`.
    pub(crate) fn told(&self, rule: &str, fingerprint: &str, since: i64) -> Result<Vec<String>, StoreError> {
        let mut select = self.transaction.prepare_cached(
            "SELECT DISTINCT receiver FROM deliveries
             WHERE rule = ? AND fingerprint = ? AND created_at >= ? AND kind IN ('firing', 'repeat')",
        )?;
        let rows = select.query_map(params![rule, fingerprint, since], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Begins an incident, and returns its row.
    pub(crate) fn begin_incident(&self, incident: &Incident) -> Result<i64, StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO incidents (rule, fingerprint, labels, severity, measure, side, threshold, since, fired_at, worst)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                incident.rule,
                incident.fingerprint,
                serde_json::to_string(&incident.labels).unwrap_or_default(),
                incident.severity,
                incident.measure,
                incident.side,
                incident.threshold,
                incident.since,
                incident.fired_at,
                incident.worst
            ])?;
        Ok(self.transaction.last_insert_rowid())
    }

    /// Notes a value of an incident that is worse than those before.
    pub(crate) fn worsen(&self, incident: i64, value: f64) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE incidents SET worst = iif(worst IS NULL, ?1, iif(side = 'above', max(worst, ?1), min(worst, ?1)))
                 WHERE id = ?2",
            )?
            .execute(params![value, incident])?;
        Ok(())
    }

    /// Ends an incident.
    pub(crate) fn end_incident(&self, id: i64, at: i64, reason: Option<&str>) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("UPDATE incidents SET resolved_at = ?, reason = ? WHERE id = ?")?
            .execute(params![at, reason, id])?;
        Ok(())
    }

    /// Puts a message into the queue of a receiver, and returns its row.
    pub(crate) fn queue(
        &self,
        receiver: &str,
        (rule, fingerprint): (&str, &str),
        kind: Kind,
        content: &str,
        now: i64,
    ) -> Result<i64, StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO deliveries (receiver, rule, fingerprint, kind, content, created_at, outcome, next_at)
                 VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
            )?
            .execute(params![receiver, rule, fingerprint, kind.name(), content, now, now])?;
        Ok(self.transaction.last_insert_rowid())
    }

    pub(crate) fn put_gap(&self, since: i64, until: i64) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO gaps VALUES (?, ?)")?
            .execute([since, until])?;
        Ok(())
    }

    pub(crate) fn put_drops(&self, minute: i64, epoch: &EpochKey, dropped: u64) -> Result<(), StoreError> {
        let [service, environment, instance, epoch] = epoch;
        self.transaction.prepare_cached("INSERT OR REPLACE INTO drops VALUES (?, ?, ?, ?, ?, ?)")?.execute(
            params![
                minute,
                service,
                environment,
                instance,
                epoch,
                i64::try_from(dropped).unwrap_or(i64::MAX)
            ],
        )?;
        Ok(())
    }

    /// Removes what nobody asks for any more. Times are Unix nanoseconds.
    pub(crate) fn prune(&self, drops_before: i64, gaps_before: i64) -> Result<(), StoreError> {
        let run = |what: &str, bound: i64| self.transaction.prepare_cached(what)?.execute([bound]);
        run("DELETE FROM drops WHERE minute < ?", drops_before)?;
        run("DELETE FROM gaps WHERE until < ?", gaps_before)?;
        run(
            "DELETE FROM deliveries WHERE outcome <> 'waiting' AND id <= (SELECT max(id) FROM deliveries) - ?",
            KEPT_ROWS,
        )?;
        run(
            "DELETE FROM incidents WHERE resolved_at IS NOT NULL AND id <= (SELECT max(id) FROM incidents) - ?",
            KEPT_ROWS,
        )?;
        Ok(())
    }
}

const DELIVERY: &str = "id, receiver, rule, fingerprint, kind, content, created_at, outcome, attempts, next_at, last_at, \
                        status, error, reached";

const INCIDENT: &str = "id, rule, fingerprint, labels, severity, measure, side, threshold, since, fired_at, resolved_at, \
                        reason, worst";

fn read_delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let reached: Option<String> = row.get(13)?;
    Ok(Delivery {
        id: row.get(0)?,
        receiver: row.get(1)?,
        rule: row.get(2)?,
        fingerprint: row.get(3)?,
        kind: row.get(4)?,
        content: row.get(5)?,
        created_at: row.get(6)?,
        outcome: row.get(7)?,
        attempts: row.get(8)?,
        next_at: row.get(9)?,
        last_at: row.get(10)?,
        status: row.get(11)?,
        error: row.get(12)?,
        reached: reached.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    })
}

fn read_incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let labels: String = row.get(3)?;
    Ok(Incident {
        id: row.get(0)?,
        rule: row.get(1)?,
        fingerprint: row.get(2)?,
        labels: serde_json::from_str(&labels).unwrap_or_default(),
        severity: row.get(4)?,
        measure: row.get(5)?,
        side: row.get(6)?,
        threshold: row.get(7)?,
        since: row.get(8)?,
        fired_at: row.get(9)?,
        resolved_at: row.get(10)?,
        reason: row.get(11)?,
        worst: row.get(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (tempfile::TempDir, AlertsFile) {
        let directory = tempfile::tempdir().unwrap();
        let file = AlertsFile::open(&directory.path().join(ALERTS_FILE)).unwrap();
        (directory, file)
    }

    fn queue(file: &mut AlertsFile, receiver: &str, fingerprint: &str) -> i64 {
        let change = file.begin().unwrap();
        let id = change.queue(receiver, ("r", fingerprint), Kind::Firing, "{}", 1).unwrap();
        change.commit().unwrap();
        id
    }

    fn attempt(outcome: Outcome, status: Option<u16>, error: Option<&str>) -> Attempt {
        Attempt { outcome, status, error: error.map(str::to_owned), reached: Vec::new() }
    }

    #[test]
    fn messages_about_one_alert_stay_in_order_and_others_pass() {
        let (_directory, mut file) = open();
        let first = queue(&mut file, "ops", "a");
        let second = queue(&mut file, "ops", "a");
        let other = queue(&mut file, "ops", "b");
        let elsewhere = queue(&mut file, "chat", "a");
        let due = |file: &AlertsFile, now| {
            let mut ids: Vec<i64> = file.due(now).unwrap().iter().map(|delivery| delivery.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(due(&file, 1), [first, elsewhere]);
        file.attempted(first, &attempt(Outcome::Waiting(10), Some(503), Some("busy")), 2).unwrap();
        assert_eq!(due(&file, 2), [other, elsewhere]);
        file.attempted(other, &attempt(Outcome::Delivered, Some(200), None), 2).unwrap();
        file.attempted(elsewhere, &attempt(Outcome::Failed, Some(404), None), 2).unwrap();
        assert_eq!(due(&file, 2), [] as [i64; 0]);
        assert_eq!(file.next_due().unwrap(), Some(1));
        assert_eq!(due(&file, 10), [first]);
        file.attempted(first, &attempt(Outcome::Delivered, Some(200), None), 10).unwrap();
        assert_eq!(due(&file, 10), [second]);
        let shown = &file.deliveries(i64::MAX, 10).unwrap()[3];
        assert_eq!(
            (shown.id, shown.attempts, &*shown.outcome, shown.status),
            (first, 2, "delivered", Some(200))
        );
    }

    #[test]
    fn a_file_of_something_else_and_of_a_newer_version_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(ALERTS_FILE);
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
        assert!(matches!(AlertsFile::open(&path), Err(StoreError::Foreign { .. })));
        let path = directory.path().join("newer.db");
        AlertsFile::open(&path).unwrap().connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(AlertsFile::open(&path), Err(StoreError::Newer { found: 99, .. })));
    }
}
