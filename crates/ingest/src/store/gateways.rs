//! Senders and their sequence numbers: the tables that both kinds of files have.

use super::StoreError;
use crate::model::{Gateway, Identity, Redaction, Report, Signal};
use crate::sequence::Received;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use std::collections::BTreeMap;

/// Kind of a row of `redaction`: hits by rule.
pub(crate) const RULES: &str = "rules";
/// Kind of a row of `redaction`: fates of bodies.
pub(crate) const BODIES: &str = "bodies";

/// The environment of the row `own`, in a file of an older version that has it with the gateway only.
pub(crate) const ENVIRONMENT_OF_EPOCH: &str = "(SELECT coalesce(max(g.environment), '') FROM gateways g
    WHERE g.instance = own.instance AND g.epoch = own.epoch)";

/// An epoch of a gateway. The environment is part of it, because a sender may name any instance and any epoch, and only
/// the environment is proven by its token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EpochKey {
    pub(crate) instance: String,
    pub(crate) epoch: String,
    pub(crate) environment: String,
}

impl EpochKey {
    /// The columns of a row from `first` on: instance, epoch and environment.
    pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { instance: row.get(first)?, epoch: row.get(first + 1)?, environment: row.get(first + 2)? })
    }
}

/// Whether this very request was stored in this file before.
pub(crate) fn is_repeat(file: &Connection, signal: Signal, identity: &Identity) -> Result<bool, StoreError> {
    let mut find = file.prepare_cached(
        "SELECT 1 FROM batches WHERE instance = ? AND epoch = ? AND environment = ? AND signal = ? AND sequence = ?",
    )?;
    let Identity { instance, epoch, environment, sequence } = identity;
    Ok(find.exists(params![instance, epoch, environment, code(signal), *sequence as i64])?)
}

/// Notes the identity of a request. `earlier` finds what an older file knows of the sender when this one knows
/// nothing yet. True where another replica is known to have taken it in.
pub(crate) fn note_batch(
    file: &Connection,
    signal: Signal,
    identity: &Identity,
    now: i64,
    earlier: impl FnOnce() -> Option<Received>,
) -> Result<bool, StoreError> {
    let Identity { instance, epoch, environment, sequence } = identity;
    let mut received = match received(file, signal, identity)? {
        Some(received) => received,
        None => earlier().unwrap_or_default(),
    };
    let is_known = received.contains(*sequence);
    received.insert(*sequence);
    file.prepare_cached(
        "INSERT INTO batches (instance, epoch, environment, signal, sequence, received_at) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![instance, epoch, environment, code(signal), *sequence as i64, now])?;
    file.prepare_cached(
        "INSERT INTO sequences (instance, epoch, environment, signal, received) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET received = excluded.received",
    )?
    .execute(params![instance, epoch, environment, code(signal), received.encode()])?;
    Ok(is_known)
}

/// The sequence numbers that this file knows of a sender.
pub(crate) fn received(
    file: &Connection,
    signal: Signal,
    identity: &Identity,
) -> Result<Option<Received>, StoreError> {
    let Identity { instance, epoch, environment, .. } = identity;
    let stored: Option<Vec<u8>> = file
        .prepare_cached(
            "SELECT received FROM sequences WHERE instance = ? AND epoch = ? AND environment = ? AND signal = ?",
        )?
        .query_row(params![instance, epoch, environment, code(signal)], |row| row.get(0))
        .optional()?;
    stored
        .map(|bytes| Received::decode(&bytes).ok_or(StoreError::Unreadable { what: "list of sequences" }))
        .transpose()
}

/// Notes that a sender was seen at `now` (Unix nanoseconds), and returns its row.
pub(crate) fn note_gateway(file: &Connection, gateway: &Gateway, now: i64) -> Result<i64, StoreError> {
    let mut upsert = file.prepare_cached(
        "INSERT INTO gateways
           (instance, epoch, service, environment, version, config_hash, series, first_seen, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (instance, epoch, environment) DO UPDATE SET
           service = excluded.service, version = excluded.version,
           config_hash = excluded.config_hash, series = coalesce(excluded.series, series),
           last_seen = excluded.last_seen
         RETURNING id",
    )?;
    Ok(upsert.query_row(
        params![
            gateway.instance,
            gateway.epoch,
            gateway.service,
            gateway.environment,
            gateway.version,
            gateway.config_hash,
            gateway.series.map(|series| i64::try_from(series).unwrap_or(i64::MAX)),
            now
        ],
        |row| row.get(0),
    )?)
}

/// Keeps the report of the gateway in this row, with the direction of its traffic, unless a later one is known.
pub(crate) fn note_report(
    file: &Connection,
    (gateway, direction): (i64, &str),
    report: &Report,
) -> Result<(), StoreError> {
    let whole = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    let [queue_full, rejected, expired, lost] = report.dropped.map(whole);
    let [excluded, sampled_out] = report.not_logged.map(whole);
    file.prepare_cached(
        "INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET
           time = excluded.time, captured = excluded.captured, sent = excluded.sent,
           queue_full = excluded.queue_full, rejected = excluded.rejected, expired = excluded.expired,
           lost = excluded.lost, queue_bytes = excluded.queue_bytes,
           export_failures = excluded.export_failures, workers = excluded.workers,
           workers_lost = excluded.workers_lost, active_requests = excluded.active_requests,
           busy_seconds = excluded.busy_seconds, uncounted = excluded.uncounted,
           excluded = excluded.excluded, sampled_out = excluded.sampled_out,
           excluded_from_counters = excluded.excluded_from_counters, direction = excluded.direction
         WHERE excluded.time >= time",
    )?
    .execute(params![
        gateway,
        report.time,
        whole(report.captured),
        whole(report.sent),
        queue_full,
        rejected,
        expired,
        lost,
        whole(report.queue_bytes),
        whole(report.export_failures),
        whole(report.workers),
        whole(report.workers_lost),
        whole(report.active_requests),
        report.busy_seconds,
        whole(report.uncounted),
        excluded,
        sampled_out,
        whole(report.excluded_from_counters),
        direction
    ])?;
    if let Some((since, until)) = report.coarse() {
        file.prepare_cached("INSERT OR REPLACE INTO coarse_intervals VALUES (?, ?, ?)")?
            .execute([gateway, since, until])?;
    }
    Ok(())
}

/// Keeps the redaction report of the gateway in this row. Its rules, and its bodies, replace what was known, unless that
/// was later.
pub(crate) fn note_redaction(
    file: &Connection,
    gateway: i64,
    redaction: &Redaction,
) -> Result<(), StoreError> {
    let Redaction { time, rules, bodies } = redaction;
    let texts = [(RULES, rules.as_ref().and_then(text)), (BODIES, bodies.as_ref().and_then(text))];
    let mut upsert = file.prepare_cached(
        "INSERT INTO redaction VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET time = excluded.time, content = excluded.content WHERE excluded.time >= time",
    )?;
    for (what, text) in texts {
        if let Some(text) = text {
            upsert.execute(params![gateway, what, time, text])?;
        }
    }
    Ok(())
}

fn text(content: &impl Serialize) -> Option<String> {
    serde_json::to_string(content).ok()
}

/// Makes a gateway's tags those of `tags`.
pub(crate) fn note_tags(
    file: &Connection,
    gateway: i64,
    tags: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let mut select = file.prepare_cached("SELECT name, value FROM tags WHERE gateway_id = ?")?;
    let known: BTreeMap<String, String> =
        select.query_map([gateway], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    if known == *tags {
        return Ok(());
    }
    file.prepare_cached("DELETE FROM tags WHERE gateway_id = ?")?.execute([gateway])?;
    let mut insert = file.prepare_cached("INSERT INTO tags VALUES (?, ?, ?)")?;
    for (name, value) in tags {
        insert.execute(params![gateway, name, value])?;
    }
    Ok(())
}

/// How the files write a signal.
pub(crate) fn code(signal: Signal) -> i64 {
    match signal {
        Signal::Metrics => 0,
        Signal::Logs => 1,
        Signal::Traces => 2,
    }
}
