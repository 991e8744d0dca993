//! Makes the files smaller, oldest data first, and gives the space back to the file system.

use super::StoreError;
use super::chunk;
use super::packed;
use super::prune::STEP_ROWS;
use super::requests::replace_chunk;
use crate::model::Columns;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use serde::Serialize;

/// Chunks that one step works on, so that batches need not wait long.
const STEP_CHUNKS: i64 = 64;
/// Stands in a row of the log for why its body is absent.
const REASON: &str = "max_disk";
const MINUTE_NANOS: i64 = 60_000_000_000;
const HALF_HOUR: i64 = 30;
/// Unix minutes of counts that stay whatever the limit is.
const KEPT_MINUTES: i64 = 60;

/// What is removed, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Spans of applications.
    Spans,
    /// Bodies in the request log.
    Bodies,
    /// Rows of the request log.
    Requests,
    /// Counts by minute, which stay by half hour.
    Minutes,
    /// Counts by half hour.
    HalfHours,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Spans, Self::Bodies, Self::Requests, Self::Minutes, Self::HalfHours];

    /// The name in metrics and in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Bodies => "bodies",
            Self::Requests => "requests",
            Self::Minutes => "minutes",
            Self::HalfHours => "half_hours",
        }
    }
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reduced {
    /// Bodies, requests or rows of counts that went.
    pub(crate) removed: u64,
    /// All older ones are gone, too. Unix nanoseconds.
    pub(crate) until: i64,
    /// Bytes by which the file became smaller. The journal may still have them.
    pub(crate) freed: u64,
}

/// Takes the bodies out of some of the oldest chunks of a file that have any. `None` where none has.
pub(super) fn strip_bodies(file: &mut Connection) -> Result<Option<Reduced>, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let chunks: Vec<(i64, i64, Vec<u8>)> = {
        let mut select = transaction
            .prepare_cached("SELECT id, t1, data FROM chunks WHERE bodies ORDER BY t1, id LIMIT ?")?;
        let rows = select.query_map([STEP_CHUNKS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let Some(until) = chunks.last().map(|(_, t1, _)| *t1) else { return Ok(None) };
    let mut removed = 0;
    for (id, _, data) in chunks {
        // A chunk that cannot be read has no body for anyone.
        let mut events = chunk::decode(&data).unwrap_or_default();
        let mut found = 0;
        for event in &mut events {
            for (body, omitted) in [
                (&mut event.request_body, &mut event.request_body_omitted),
                (&mut event.response_body, &mut event.response_body_omitted),
            ] {
                if body.take().is_some() {
                    *omitted = Some(REASON.to_owned());
                    found += 1;
                }
            }
        }
        if found > 0 {
            replace_chunk(&transaction, id, &Columns::of(&events))?;
        }
        transaction.prepare_cached("UPDATE chunks SET bodies = 0 WHERE id = ?")?.execute([id])?;
        removed += found;
    }
    transaction.commit()?;
    Ok(Some(Reduced { removed, until, freed: 0 }))
}

/// Removes some of the oldest chunks of a file. `None` where it has none.
pub(super) fn remove_chunks(file: &mut Connection) -> Result<Option<Reduced>, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let chunks: Vec<(i64, i64, i64)> = {
        let mut select =
            transaction.prepare_cached("SELECT id, t1, n FROM chunks ORDER BY t1, id LIMIT ?")?;
        let rows = select.query_map([STEP_CHUNKS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let Some(until) = chunks.last().map(|(_, t1, _)| *t1) else { return Ok(None) };
    for (id, _, _) in &chunks {
        transaction.prepare_cached("DELETE FROM chunks WHERE id = ?")?.execute([id])?;
    }
    transaction.commit()?;
    let removed = chunks.iter().map(|(_, _, n)| n.unsigned_abs()).sum();
    Ok(Some(Reduced { removed, until, freed: 0 }))
}

/// Removes some of the oldest counts, except those of the last hour. `None` where there are no others.
pub(super) fn remove_counts(file: &mut Connection, kind: Kind) -> Result<Option<Reduced>, StoreError> {
    let table = if kind == Kind::Minutes { "minutes" } else { "half_hours" };
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let minute = |what: &str| {
        transaction
            .query_row(&format!("SELECT {what}(minute) FROM {table}"), [], |row| row.get::<_, Option<i64>>(0))
    };
    let bounds = match kind {
        Kind::Minutes => packed::bounds(&transaction)?,
        _ => minute("min")?.zip(minute("max")?),
    };
    let Some((oldest, newest)) = bounds else { return Ok(None) };
    // A step is whole half hours, as many as have a step's rows, but at least one.
    let begin = oldest.div_euclid(HALF_HOUR) * HALF_HOUR;
    let row: Option<i64> = transaction
        .query_row(
            &format!("SELECT minute FROM {table} ORDER BY minute LIMIT 1 OFFSET ?"),
            [STEP_ROWS],
            |row| row.get(0),
        )
        .optional()?;
    let limit = (newest - KEPT_MINUTES).div_euclid(HALF_HOUR) * HALF_HOUR;
    let is_packed = kind == Kind::Minutes && packed::any(&transaction)?;
    let end = match is_packed {
        true => begin,
        false => row.unwrap_or(limit).div_euclid(HALF_HOUR) * HALF_HOUR,
    };
    let end = end.max(begin + HALF_HOUR).min(limit);
    if end <= oldest {
        return Ok(None);
    }
    let mut removed = transaction.execute(&format!("DELETE FROM {table} WHERE minute < ?"), [end])? as u64;
    for apart in ["gateway_minutes", "gateway_half_hours"] {
        transaction.execute(&format!("DELETE FROM {apart} WHERE minute < ?"), [end])?;
    }
    if kind == Kind::Minutes {
        removed += packed::remove_before(&transaction, end, i64::MAX)?;
        transaction.execute(
            "INSERT INTO retention_marks VALUES ('minutes', ?)
             ON CONFLICT DO UPDATE SET since = max(since, excluded.since)",
            [end],
        )?;
    }
    transaction.commit()?;
    Ok(Some(Reduced { removed, until: end.saturating_mul(MINUTE_NANOS), freed: 0 }))
}

/// Takes a step, and gives the space that it freed back to the file system. `None` where the step has nothing to do.
pub(crate) fn reduce(
    file: &mut Connection,
    step: impl FnOnce(&mut Connection) -> Result<Option<Reduced>, StoreError>,
) -> Result<Option<Reduced>, StoreError> {
    let before = bytes(file)?;
    let Some(reduced) = step(file)? else { return Ok(None) };
    give_back(file)?;
    Ok(Some(Reduced { freed: before.saturating_sub(bytes(file)?), ..reduced }))
}

/// Moves the journal into the file and empties it. False if a reader is in the way.
pub(crate) fn checkpoint(file: &Connection) -> Result<bool, StoreError> {
    Ok(file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))? == 0)
}

/// Gives the free space of a file back. A file of an earlier version is rewritten once, because it cannot give back parts.
fn give_back(file: &Connection) -> Result<(), StoreError> {
    let mode: i64 = file.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    let free: i64 = file.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if mode == 0 && free > 0 {
        file.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")?;
    } else {
        let mut vacuum = file.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
    }
    checkpoint(file)?;
    Ok(())
}

/// Bytes of the file when its journal is moved into it.
fn bytes(file: &Connection) -> Result<u64, StoreError> {
    let one = |question| file.query_row(question, [], |row| row.get::<_, i64>(0));
    Ok(one("PRAGMA page_count")?.saturating_mul(one("PRAGMA page_size")?).unsigned_abs())
}
