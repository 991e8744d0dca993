//! Removes expired data in small steps, so that batches need not wait.

use super::audit::MAX_ENTRIES;
use super::{StoreError, drift, packed};
use crate::retention::{Retention, before};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

const MINUTE_NANOS: i64 = 60_000_000_000;
const HALF_HOUR_MINUTES: i64 = 30;
/// Rows removed in one transaction.
pub(super) const STEP_ROWS: i64 = 5_000;
/// Packs of minutes removed in one transaction.
const STEP_PACKS: i64 = 16;

/// Whether a step of the work left more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pruned {
    Done,
    More,
}

/// Removes some expired rows from the file of counters. `elsewhere` is the last Unix minute of the counts, where these are on a
/// server. `now` is in Unix nanoseconds. When this was all, no counts of before the Unix minute are left.
pub(super) fn prune(
    file: &mut Connection,
    retention: &Retention,
    elsewhere: Option<i64>,
    now: i64,
) -> Result<(Pruned, Option<i64>), StoreError> {
    let newest = match elsewhere {
        Some(newest) => Some(newest),
        None => packed::bounds(file)?.map(|(_, newest)| newest),
    };
    // Without counts there is nothing old either.
    let Some(newest) = newest else { return Ok((Pruned::Done, None)) };
    let now = now.min(newest.saturating_add(1).saturating_mul(MINUTE_NANOS));
    let minute = |age| before(now, age).div_euclid(MINUTE_NANOS);
    // Whole half hours, so that the minutes of a half hour are either all kept or all removed.
    let minutes = minute(retention.minutes).div_euclid(HALF_HOUR_MINUTES) * HALF_HOUR_MINUTES;
    let half_hours = minute(retention.half_hours).div_euclid(HALF_HOUR_MINUTES) * HALF_HOUR_MINUTES;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut removed = 0;
    let mut remove = |what: &str, bound: i64| {
        let left = STEP_ROWS - removed;
        removed += transaction.prepare_cached(what)?.execute([bound, left])? as i64;
        Ok::<_, StoreError>(())
    };
    transaction
        .prepare_cached("INSERT INTO retention_marks VALUES ('minutes', ?) ON CONFLICT DO UPDATE SET since = max(since, excluded.since)")?
        .execute([minutes])?;
    remove(
        "DELETE FROM minutes WHERE (minute, series_id) IN
           (SELECT minute, series_id FROM minutes WHERE minute < ? LIMIT ?)",
        minutes,
    )?;
    // Some packs, which are large: the rows of a month may go in one hour, after a change of the retention.
    let removed_packed = packed::remove_before(&transaction, minutes, STEP_PACKS)?;
    // Sums are kept by half hour for long, gateways apart only as long as minutes: a fleet that replaces its instances
    // would fill the disk otherwise.
    remove(
        "DELETE FROM gateway_minutes WHERE (minute, series_id, instance) IN
           (SELECT minute, series_id, instance FROM gateway_minutes WHERE minute < ? LIMIT ?)",
        minutes,
    )?;
    remove(
        "DELETE FROM gateway_half_hours WHERE (minute, series_id, instance) IN
           (SELECT minute, series_id, instance FROM gateway_half_hours WHERE minute < ? LIMIT ?)",
        minutes,
    )?;
    remove(
        "DELETE FROM instances WHERE id IN (SELECT id FROM instances WHERE last_minute < ? LIMIT ?)",
        minutes,
    )?;
    remove(
        "DELETE FROM half_hours WHERE (minute, series_id) IN
           (SELECT minute, series_id FROM half_hours WHERE minute < ? LIMIT ?)",
        half_hours,
    )?;
    remove(
        "DELETE FROM batches WHERE (instance, epoch, environment, signal, sequence) IN
           (SELECT instance, epoch, environment, signal, sequence FROM batches WHERE received_at < ? LIMIT ?)",
        before(now, retention.batches),
    )?;
    remove(
        "DELETE FROM coarse_intervals WHERE (gateway_id, until) IN
           (SELECT gateway_id, until FROM coarse_intervals WHERE until < ? LIMIT ?)",
        half_hours.saturating_mul(MINUTE_NANOS),
    )?;
    // The writer knows them until its next start, and gives a consumer that comes back a new row.
    remove(
        "DELETE FROM consumers WHERE (service, environment, direction, id) IN
           (SELECT service, environment, direction, id FROM consumers WHERE last_seen < ? LIMIT ?)",
        half_hours.saturating_mul(MINUTE_NANOS),
    )?;
    remove(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE time < ? ORDER BY id LIMIT ?)",
        before(now, retention.audit),
    )?;
    let newest_entry: i64 =
        transaction.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    remove(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id <= ? ORDER BY id LIMIT ?)",
        newest_entry.saturating_sub(MAX_ENTRIES),
    )?;
    remove(
        "DELETE FROM drift WHERE id IN (SELECT id FROM drift WHERE time < ? LIMIT ?)",
        half_hours.saturating_mul(MINUTE_NANOS),
    )?;
    let newest_change: i64 =
        transaction.query_row("SELECT coalesce(max(id), 0) FROM drift", [], |row| row.get(0))?;
    remove(
        "DELETE FROM drift WHERE id IN (SELECT id FROM drift WHERE id <= ? ORDER BY id LIMIT ?)",
        newest_change.saturating_sub(drift::MAX_ROWS),
    )?;
    let silent = before(now, retention.gateways);
    transaction
        .prepare_cached(
            "INSERT INTO expired_gateways SELECT id, last_seen FROM gateways WHERE last_seen < ?
             ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen",
        )?
        .execute([silent])?;
    remove(
        "DELETE FROM states WHERE (gateway_id, start, stream) IN
           (SELECT s.gateway_id, s.start, s.stream FROM states s JOIN gateways g ON g.id = s.gateway_id
            WHERE g.last_seen < ? LIMIT ?)",
        silent,
    )?;
    remove(
        "DELETE FROM redaction WHERE (gateway_id, what) IN
           (SELECT r.gateway_id, r.what FROM redaction r JOIN gateways g ON g.id = r.gateway_id
            WHERE g.last_seen < ? LIMIT ?)",
        silent,
    )?;
    transaction.commit()?;
    let pruned = if removed < STEP_ROWS && removed_packed == 0 { Pruned::Done } else { Pruned::More };
    Ok((pruned, Some(minutes.min(half_hours))))
}

/// The first Unix minute of which the minutes are kept.
pub(crate) fn minutes_since(file: &Connection) -> rusqlite::Result<i64> {
    let since =
        file.query_row("SELECT since FROM retention_marks WHERE name = 'minutes'", [], |row| row.get(0));
    Ok(since.optional()?.unwrap_or(i64::MIN))
}
