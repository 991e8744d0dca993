//! `issues.db`: the issues, and what people decided about them.
//!
//! A file of its own, because decisions are made by people: a damaged file of counters or of the log must not take them with
//! it, and retention removes the log by whole files.

pub(crate) mod parts;
mod put;
mod schema;
#[cfg(test)]
mod tests;

use super::observe::{HOUR, Seen};
use super::state::Standing;
use crate::model::{Identity, Signal};
use crate::retention::{Retention, before};
use crate::store::{APPLICATION_ID, Deed, Selection, StoreError, create_file, marks_of, open_other};
use crate::told::journal::{self, Merged, Past, Untold};
use crate::told::{Pace, Row, kinds};
use rusqlite::{Connection, Transaction, TransactionBehavior, named_params, params};
use schema::MIGRATIONS;
use std::path::Path;
use std::time::Duration;

/// Name of the file in the data directory.
pub(crate) const ISSUES_FILE: &str = "issues.db";

const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Time after which no sender repeats a batch.
const BATCH_AGE: Duration = Duration::from_secs(24 * 3600);
/// Batches that are remembered: the latest.
const MAX_BATCHES: i64 = 100_000;

/// The file, open to write. Only the process that holds the lock of the directory opens it.
pub(crate) struct IssuesFile {
    connection: Connection,
    /// Where replicas share issues, the one that keeps the file.
    replica: Option<String>,
}

/// What a person decided about an issue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'a> {
    pub(crate) standing: Standing,
    /// Of a resolved issue: it regresses only with a version of the service in which it was not seen yet.
    pub(crate) regresses: Regresses,
    /// Unix nanoseconds.
    pub(crate) at: i64,
    /// The name of the person; empty where nobody signs in.
    pub(crate) by: &'a str,
}

/// The issues of which something is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Those that go as a whole.
    pub(crate) whole: Vec<String>,
    pub(crate) in_part: Vec<String>,
}

/// When a resolved issue regresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regresses {
    WhenSeen,
    /// When it is seen with a version that it has not had yet.
    InAnotherVersion,
}

impl IssuesFile {
    /// Opens the file, creates it when it is not there, and brings it up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        create_file(path)?;
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let (version, tables) = marks_of(&connection, path, MIGRATIONS.len() as i64)?;
        let mut prepare = || {
            let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            // A crash of the process loses nothing; one of the machine may lose the last counts, and no file.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // What is removed is overwritten: the texts are those of responses.
            connection.pragma_update(None, "secure_delete", "ON")?;
            connection.set_prepared_statement_cache_capacity(64);
            let transaction = connection.transaction()?;
            for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
                transaction.execute_batch(migration)?;
            }
            if tables == 0 {
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            }
            transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
            transaction.commit()
        };
        prepare().map_err(failed)?;
        Ok(Self { connection, replica: None })
    }

    /// Adds what a batch showed, once for each identity. `now` is in Unix nanoseconds.
    pub(crate) fn add(
        &mut self,
        seen: &Seen,
        batch: Option<(&Identity, Signal)>,
        now: i64,
    ) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some((identity, signal)) = batch
            && !note_batch(&transaction, identity, signal, now)?
        {
            return Ok(());
        }
        let sharing = self.replica.as_deref().map(|replica| (replica, now));
        for (id, occurrences) in &seen.issues {
            put::put(&transaction, id, occurrences, sharing)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Begins to note what the replica that keeps the file tells others. True for a file that has never known a server: it may have
    /// taken the place of one that was lost.
    pub(crate) fn begin_telling(&mut self, replica: &str, past: Past, now: i64) -> Result<bool, StoreError> {
        let is_new = !self.connection.table_exists(Some("main"), "issue_parts")?;
        let past = if is_new { Past::Untold } else { past };
        parts::name(&self.connection, replica)?;
        journal::begin(&mut self.connection, kinds::ISSUES, past)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        parts::complete(&transaction, replica, now)?;
        transaction.commit()?;
        self.replica = Some(replica.to_owned());
        Ok(is_new)
    }

    /// Some of the rows to tell.
    pub(crate) fn untold(&self, pace: Pace) -> Result<Untold, StoreError> {
        journal::untold(&self.connection, kinds::ISSUES, pace)
    }

    /// Notes that changes were told.
    pub(crate) fn settle_told(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        journal::settle(&mut self.connection, ids)
    }

    /// Merges what other replicas have told.
    pub(crate) fn take_told(&mut self, rows: &[Row], now: i64) -> Result<Merged, StoreError> {
        journal::merge(&mut self.connection, kinds::ISSUES, rows, now, |_, _| Ok(()))
    }

    /// Changes the state of an issue. False when there is no such issue.
    pub(crate) fn decide(&mut self, id: &str, decision: &Decision<'_>) -> Result<bool, StoreError> {
        let Decision { standing, regresses, at, by } = *decision;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = match (standing, regresses) {
            (Standing::Resolved, Regresses::InAnotherVersion) => Some(versions(&transaction, id)?),
            _ => None,
        };
        let known = known.and_then(|versions| serde_json::to_string(&versions).ok());
        let changed = transaction
            .prepare_cached(
                "UPDATE issues SET standing = :standing, acknowledged = 1, regressed_at = NULL, resolved_at = :resolved_at,
                     known_versions = :known, changed_at = :at, changed_by = :by
                 WHERE id = :id",
            )?
            .execute(named_params! {
                ":standing": standing.name(),
                ":resolved_at": (standing == Standing::Resolved).then_some(at),
                ":known": known,
                ":at": at,
                ":by": by,
                ":id": id,
            })?;
        transaction.commit()?;
        Ok(changed > 0)
    }

    /// Removes what is old. The age of open issues is that of counts by minute; those that a person has decided about stay as long as
    /// counts by half hour. What belongs to single requests goes with the log. `now` is in Unix nanoseconds. Returns the time from which
    /// ages count: that of the latest request.
    pub(crate) fn prune(&mut self, retention: &Retention, now: i64) -> Result<i64, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let newest: Option<i64> =
            transaction.query_row("SELECT max(last_seen) FROM issues", [], |row| row.get(0))?;
        let today = newest.map_or(now, |newest| newest.min(now));
        transaction.execute(
            "DELETE FROM issues WHERE last_seen < CASE standing WHEN 'open' THEN ? ELSE ? END",
            [before(today, retention.minutes), before(today, retention.half_hours)],
        )?;
        let of_log = before(today, retention.requests);
        transaction.execute("DELETE FROM hours WHERE hour < ?", [of_log.div_euclid(HOUR)])?;
        transaction.execute("DELETE FROM examples WHERE time < ?", [of_log])?;
        transaction
            .execute("DELETE FROM issue_values WHERE dimension <> 'version' AND last_seen < ?", [of_log])?;
        transaction.execute("DELETE FROM fields WHERE last_seen < ?", [of_log])?;
        transaction.execute_batch(
            "UPDATE issues SET consumers = (SELECT count(*) FROM issue_values WHERE issue = id AND dimension = 'consumer')",
        )?;
        transaction.execute("DELETE FROM batches WHERE received_at < ?", [before(now, BATCH_AGE)])?;
        transaction.execute(
            "DELETE FROM batches WHERE received_at < (SELECT received_at FROM batches ORDER BY received_at DESC LIMIT 1 OFFSET ?)",
            [MAX_BATCHES],
        )?;
        transaction.commit()?;
        Ok(today)
    }

    /// Removes what a selection takes, and returns the issues of which something goes. Those in which nobody else was seen go as a
    /// whole. Of others go the consumer, the gateway and the example requests; their counts stay, which name nobody.
    pub(crate) fn forget(&mut self, selection: &Selection, deed: Deed) -> Result<Taken, StoreError> {
        let Selection { instance, environment, consumer } = selection;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Each issue in which all that is given was seen.
        transaction.execute_batch(
            "DROP TABLE IF EXISTS temp.taken; CREATE TEMP TABLE taken (id TEXT PRIMARY KEY, alone INTEGER)",
        )?;
        transaction.execute(
            "INSERT INTO temp.taken
             SELECT id, (:consumer IS NULL OR (consumers = 1 AND more_consumers = 0))
                 AND (:instance IS NULL OR 1 = (SELECT count(*) FROM issue_values WHERE issue = id AND dimension = 'gateway'))
             FROM issues
             WHERE (:environment IS NULL OR environment = :environment)
               AND (:consumer IS NULL OR EXISTS (SELECT 1 FROM issue_values
                    WHERE issue = id AND dimension = 'consumer' AND value = :consumer))
               AND (:instance IS NULL OR EXISTS (SELECT 1 FROM issue_values
                    WHERE issue = id AND dimension = 'gateway' AND value = :instance))",
            named_params! { ":environment": environment, ":consumer": consumer, ":instance": instance },
        )?;
        let ids = |alone: bool| -> Result<Vec<String>, StoreError> {
            let mut select = transaction.prepare("SELECT id FROM temp.taken WHERE alone = ?")?;
            Ok(select.query_map([alone], |row| row.get(0))?.collect::<Result<_, _>>()?)
        };
        let taken = Taken { whole: ids(true)?, in_part: ids(false)? };
        if deed == Deed::Remove {
            transaction
                .execute("DELETE FROM issues WHERE id IN (SELECT id FROM temp.taken WHERE alone)", [])?;
            for (dimension, value) in [("consumer", consumer), ("gateway", instance)] {
                let Some(value) = value else { continue };
                transaction.execute(
                    "DELETE FROM issue_values WHERE issue IN (SELECT id FROM temp.taken) AND dimension = ? AND value = ?",
                    params![dimension, value],
                )?;
                if transaction.table_exists(None, "untold")? {
                    transaction.execute(
                        "DELETE FROM untold WHERE kind = 'issue_values' AND key ->> 1 = ? AND key ->> 2 = ?",
                        params![dimension, value],
                    )?;
                }
            }
            transaction.execute(
                "DELETE FROM examples WHERE issue IN (SELECT id FROM temp.taken)
                     AND (:consumer IS NULL OR consumer = :consumer) AND (:instance IS NULL OR gateway = :instance)",
                named_params! { ":consumer": consumer, ":instance": instance },
            )?;
            transaction.execute(
                "UPDATE issues SET consumers = (SELECT count(*) FROM issue_values WHERE issue = id AND dimension = 'consumer')
                 WHERE id IN (SELECT id FROM temp.taken)",
                [],
            )?;
        }
        transaction.commit()?;
        if deed == Deed::Remove {
            // The journal has the pages of before. A reader may be in the way, and the next checkpoint does it then.
            let _: i64 =
                self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        }
        Ok(taken)
    }
}

/// Opens the file in a data directory to read; `None` where there is none yet.
pub(crate) fn open_read(dir: &Path) -> Result<Option<Connection>, StoreError> {
    let path = dir.join(ISSUES_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let file = open_other(&path)?;
    file.busy_timeout(BUSY_TIMEOUT)?;
    let (version, tables) = marks_of(&file, &path, MIGRATIONS.len() as i64)?;
    if tables > 0 && version < MIGRATIONS.len() as i64 {
        return Err(StoreError::Older { path, found: version, known: MIGRATIONS.len() as i64 });
    }
    Ok((tables > 0).then_some(file))
}

/// Remembers a batch. False when it is known.
fn note_batch(
    transaction: &Transaction<'_>,
    identity: &Identity,
    signal: Signal,
    now: i64,
) -> Result<bool, StoreError> {
    let Identity { instance, epoch, environment, sequence } = identity;
    let number = i64::try_from(*sequence).unwrap_or(i64::MAX);
    let noted = transaction
        .prepare_cached("INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![instance, epoch, environment, signal as i64, number, now])?;
    Ok(noted > 0)
}

/// The versions of the service with which an issue was seen.
fn versions(transaction: &Transaction<'_>, id: &str) -> Result<Vec<String>, StoreError> {
    let mut select = transaction.prepare_cached(
        "SELECT value FROM issue_values WHERE issue = ?1 AND dimension = 'version'
         UNION SELECT last_version FROM issues WHERE id = ?1",
    )?;
    let versions = select.query_map([id], |row| row.get(0))?;
    Ok(versions.collect::<Result<_, _>>()?)
}
