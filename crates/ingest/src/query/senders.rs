//! The gateways as the file of counters knows them, for alerts.

use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::DataDir;

/// More epochs than this are not looked at: the latest come first.
const MAX_SENDERS: i64 = 10_000;

/// One epoch of a gateway of ours: it reports at least once a minute, whether it has traffic or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) instance: String,
    pub(crate) epoch: String,
    pub(crate) service: String,
    pub(crate) environment: String,
    /// By the clock of the ingest, in Unix nanoseconds.
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    /// Log records that it reports as dropped, for whichever reason, since the start of the epoch.
    pub(crate) dropped: u64,
}

/// The epochs that reported after `since`, in Unix nanoseconds.
pub(super) fn senders(data: &DataDir, limits: &Limits, since: i64) -> Result<Vec<Sender>, QueryError> {
    let file = super::open_counts(data, limits.query_timeout)?;
    let mut select = file.prepare(
        "SELECT g.instance, g.epoch, g.service, g.environment, g.first_seen, g.last_seen,
                coalesce(r.queue_full, 0) + coalesce(r.rejected, 0) + coalesce(r.expired, 0) + coalesce(r.lost, 0)
         FROM gateways g LEFT JOIN reports r ON r.gateway_id = g.id
         WHERE g.last_seen > ? AND g.version IS NOT NULL ORDER BY g.last_seen DESC LIMIT ?",
    )?;
    let rows = select.query_map([since, MAX_SENDERS], |row| {
        Ok(Sender {
            instance: row.get(0)?,
            epoch: row.get(1)?,
            service: row.get(2)?,
            environment: row.get(3)?,
            first_seen: row.get(4)?,
            last_seen: row.get(5)?,
            // A sum beyond the range of an integer is a real number to SQLite.
            dropped: row.get::<_, f64>(6)?.max(0.0) as u64,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
