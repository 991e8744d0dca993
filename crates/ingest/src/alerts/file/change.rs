//! Changes of several tables of `alerts.db`, each made as one.

use super::rows::{EpochKey, INCIDENT, Incident, Stored, read_incident};
use super::shared::{Numbering, number};
use crate::alerts::state::{Kind, State};
use crate::store::StoreError;
use rusqlite::{OptionalExtension, Transaction, params};

/// Deliveries and incidents that are kept; the oldest ended ones go first.
const KEPT_ROWS: i64 = 10_000;

/// A change of several tables, made as one by [`Change::commit`].
pub(crate) struct Change<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) numbering: Numbering,
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
        let id = match self.numbering {
            Numbering::Sequence => None,
            Numbering::Shared => {
                let mut find = self.transaction.prepare_cached(
                    "SELECT id FROM incidents WHERE fired_at = ? AND rule = ? AND fingerprint = ?",
                )?;
                let key = params![incident.fired_at, incident.rule, incident.fingerprint];
                if let Some(id) = find.query_row(key, |row| row.get(0)).optional()? {
                    return Ok(id);
                }
                let parts = [&incident.rule, &incident.fingerprint];
                Some(number(&self.transaction, "incidents", incident.fired_at, &parts)?)
            }
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO incidents (id, rule, fingerprint, labels, severity, measure, side, threshold, since, fired_at,
                                        worst, view)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id,
                incident.rule,
                incident.fingerprint,
                serde_json::to_string(&incident.labels).unwrap_or_default(),
                incident.severity,
                incident.measure,
                incident.side,
                incident.threshold,
                incident.since,
                incident.fired_at,
                incident.worst,
                incident.view
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
        let id = match self.numbering {
            Numbering::Sequence => None,
            Numbering::Shared => {
                let mut find = self.transaction.prepare_cached(
                    "SELECT id FROM deliveries
                     WHERE rule = ? AND fingerprint = ? AND receiver = ? AND kind = ? AND created_at = ?",
                )?;
                let key = params![rule, fingerprint, receiver, kind.name(), now];
                if let Some(id) = find.query_row(key, |row| row.get(0)).optional()? {
                    return Ok(id);
                }
                let parts = [receiver, rule, fingerprint, kind.name()];
                Some(number(&self.transaction, "deliveries", now, &parts)?)
            }
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO deliveries (id, receiver, rule, fingerprint, kind, content, created_at, outcome, next_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', ?)",
            )?
            .execute(params![id, receiver, rule, fingerprint, kind.name(), content, now, now])?;
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
            "DELETE FROM deliveries WHERE outcome <> 'waiting'
             AND id <= (SELECT id FROM deliveries ORDER BY id DESC LIMIT 1 OFFSET ?)",
            KEPT_ROWS,
        )?;
        run(
            "DELETE FROM incidents WHERE resolved_at IS NOT NULL
             AND id <= (SELECT id FROM incidents ORDER BY id DESC LIMIT 1 OFFSET ?)",
            KEPT_ROWS,
        )?;
        Ok(())
    }
}
