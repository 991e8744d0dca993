//! `alerts.db`: rules and receivers made on the page, the state of alerts, incidents, and the queue of deliveries.
//!
//! A file of its own, because rules are made by people: a damaged file of counters must not take them with it, and an
//! evaluation must not wait for a batch.

mod change;
mod rows;
mod schema;
mod shared;

pub(crate) use change::Change;
pub(crate) use rows::{Delivery, EpochKey, Incident, Outcome, Recent, Stored};
pub(crate) use shared::{Look, Untold};

use super::deliver::Attempt;
use crate::store::{APPLICATION_ID, StoreError, create_file, marks_of};
use rows::{DELIVERY, INCIDENT, read_delivery, read_incident};
use rusqlite::{Connection, OptionalExtension, params};
use schema::MIGRATIONS;
use shared::Numbering;
use std::path::Path;
use std::time::Duration;

/// Name of the file in the data directory.
pub(crate) const ALERTS_FILE: &str = "alerts.db";

const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The file, open to write. Only the process that holds the lock of the directory opens it.
pub(crate) struct AlertsFile {
    connection: Connection,
    numbering: Numbering,
}

/// A text under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) content: String,
}

/// A question for incidents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'a> {
    pub(crate) rule: Option<&'a str>,
    /// Those that had not ended by this time, in Unix nanoseconds.
    pub(crate) from: i64,
    /// Those that had begun before this time.
    pub(crate) to: i64,
    /// Those with a lower number.
    pub(crate) before: i64,
    /// At most this number.
    pub(crate) limit: u32,
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
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let known = MIGRATIONS.len() as i64;
        let (version, _) = marks_of(&connection, path, known)?;
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
        Ok(Self { connection, numbering: Numbering::Sequence })
    }

    /// Begins a change of several tables.
    pub(crate) fn begin(&mut self) -> Result<Change<'_>, StoreError> {
        Ok(Change { transaction: self.connection.transaction()?, numbering: self.numbering })
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

    /// The notes of the latest evaluation, by rule, as JSON.
    pub(crate) fn notes(&self) -> Result<Vec<Named>, StoreError> {
        let mut select = self.connection.prepare_cached("SELECT rule, note FROM notes")?;
        let rows = select.query_map([], |row| Ok(Named { name: row.get(0)?, content: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the notes of an evaluation for other replicas.
    pub(crate) fn put_notes(&mut self, notes: &[Named]) -> Result<(), StoreError> {
        let known = self.notes()?;
        let transaction = self.connection.transaction()?;
        for old in known.iter().filter(|old| notes.iter().all(|new| new.name != old.name)) {
            transaction.execute("DELETE FROM notes WHERE rule = ?", [&old.name])?;
        }
        let is_new =
            |new: &&Named| known.iter().all(|old| (&old.name, &old.content) != (&new.name, &new.content));
        for new in notes.iter().filter(is_new) {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO notes VALUES (?, ?)")?
                .execute([&new.name, &new.content])?;
        }
        Ok(transaction.commit()?)
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

    /// The incidents that a question is about, the latest first.
    pub(crate) fn incidents(&self, past: &Past<'_>) -> Result<Vec<Incident>, StoreError> {
        let Past { rule, from, to, before, limit } = *past;
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {INCIDENT} FROM incidents
             WHERE (?1 IS NULL OR rule = ?1) AND since < ?2 AND (resolved_at IS NULL OR resolved_at > ?3) AND id < ?4
             ORDER BY id DESC LIMIT ?5"
        ))?;
        let rows = select.query_map(params![rule, to, from, before, limit], read_incident)?;
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
    /// one that waits holds back those behind it. Where there are other replicas they must know of a message before it is sent, so
    /// that they do not send it once more.
    pub(crate) fn due(&self, now: i64) -> Result<Vec<Delivery>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {DELIVERY}, min(id) FROM deliveries d
             WHERE outcome = 'waiting' AND next_at <= ?
               AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.outcome = 'waiting' AND e.receiver = d.receiver
                               AND e.fingerprint = d.fingerprint AND e.id < d.id)
               AND NOT EXISTS (SELECT 1 FROM untold u WHERE u.kind = 'delivery' AND u.name =
                               json_array(d.receiver, d.rule, d.fingerprint, d.kind, d.created_at))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::state::Kind;

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

    fn incident(since: i64, resolved_at: Option<i64>) -> Incident {
        Incident {
            id: 0,
            rule: "r".to_owned(),
            fingerprint: "f".to_owned(),
            labels: Vec::new(),
            severity: "info".to_owned(),
            measure: "p95_ms".to_owned(),
            side: "above".to_owned(),
            threshold: 1.0,
            since,
            fired_at: since,
            resolved_at,
            reason: None,
            worst: None,
            view: None,
        }
    }

    #[test]
    fn incidents_are_found_by_their_time_in_pages() {
        let (_directory, mut file) = open();
        for (since, resolved_at) in [(10, Some(20)), (30, Some(40)), (50, None)] {
            let change = file.begin().unwrap();
            let id = change.begin_incident(&incident(since, None)).unwrap();
            if let Some(at) = resolved_at {
                change.end_incident(id, at, None).unwrap();
            }
            change.commit().unwrap();
        }
        let all = Past { rule: None, from: i64::MIN, to: i64::MAX, before: i64::MAX, limit: 10 };
        let check = |past: Past<'_>, expected: &[i64]| {
            let found: Vec<i64> = file.incidents(&past).unwrap().iter().map(|found| found.since).collect();
            assert_eq!(found, expected, "{past:?}");
        };
        check(all, &[50, 30, 10]);
        check(Past { from: 20, ..all }, &[50, 30]);
        check(Past { from: 39, to: 50, ..all }, &[30]);
        check(Past { from: 60, ..all }, &[50]);
        check(Past { to: 30, ..all }, &[10]);
        check(Past { limit: 2, ..all }, &[50, 30]);
        check(Past { before: 2, ..all }, &[10]);
        check(Past { rule: Some("other"), ..all }, &[]);
    }

    #[test]
    fn the_oldest_ended_incidents_go_and_those_that_go_on_stay() {
        let (_directory, mut file) = open();
        let change = file.begin().unwrap();
        for since in 1..=10_100 {
            let id = change.begin_incident(&incident(since, None)).unwrap();
            if since != 5 {
                change.end_incident(id, since + 1, None).unwrap();
            }
        }
        change.prune(0, 0).unwrap();
        change.commit().unwrap();
        let all = Past { rule: None, from: i64::MIN, to: i64::MAX, before: i64::MAX, limit: 20_000 };
        let kept = file.incidents(&all).unwrap();
        assert_eq!(kept.len(), 10_001);
        assert_eq!(kept.iter().rev().take(2).map(|found| found.since).collect::<Vec<_>>(), [5, 101]);
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
