//! Senders and their sequence numbers: the tables that both kinds of files have.

use super::StoreError;
use crate::sequence::Received;
use crate::wire::{Gateway, Identity, Signal};
use rusqlite::{Connection, OptionalExtension, params};

/// Whether this very request was stored in this file before.
pub(crate) fn is_repeat(file: &Connection, signal: Signal, identity: &Identity) -> Result<bool, StoreError> {
    let mut find = file.prepare_cached(
        "SELECT 1 FROM batches WHERE instance = ? AND epoch = ? AND signal = ? AND sequence = ?",
    )?;
    Ok(find.exists(params![identity.instance, identity.epoch, code(signal), identity.sequence as i64])?)
}

/// Notes the identity of a request. `earlier` finds what an older file knows of the sender when this one knows
/// nothing yet.
pub(crate) fn note_batch(
    file: &Connection,
    signal: Signal,
    identity: &Identity,
    now: i64,
    earlier: impl FnOnce() -> Option<Received>,
) -> Result<(), StoreError> {
    let key = params![identity.instance, identity.epoch, code(signal)];
    let mut received = match received(file, signal, identity)? {
        Some(received) => received,
        None => earlier().unwrap_or_default(),
    };
    received.insert(identity.sequence);
    file.prepare_cached("INSERT INTO batches VALUES (?, ?, ?, ?, ?)")?.execute(params![
        identity.instance,
        identity.epoch,
        code(signal),
        identity.sequence as i64,
        now
    ])?;
    file.prepare_cached(
        "INSERT INTO sequences (instance, epoch, signal, received) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET received = excluded.received",
    )?
    .execute(params![key[0], key[1], key[2], received.encode()])?;
    Ok(())
}

/// The sequence numbers that this file knows of a sender.
pub(crate) fn received(
    file: &Connection,
    signal: Signal,
    identity: &Identity,
) -> Result<Option<Received>, StoreError> {
    let stored: Option<Vec<u8>> = file
        .prepare_cached("SELECT received FROM sequences WHERE instance = ? AND epoch = ? AND signal = ?")?
        .query_row(params![identity.instance, identity.epoch, code(signal)], |row| row.get(0))
        .optional()?;
    stored
        .map(|bytes| Received::decode(&bytes).ok_or(StoreError::Unreadable { what: "list of sequences" }))
        .transpose()
}

/// Notes that a sender was heard of at `now` (Unix nanoseconds), and says its row.
pub(crate) fn note_gateway(file: &Connection, gateway: &Gateway, now: i64) -> Result<i64, StoreError> {
    let mut upsert = file.prepare_cached(
        "INSERT INTO gateways
           (instance, epoch, service, environment, version, config_hash, series, first_seen, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (instance, epoch) DO UPDATE SET
           service = excluded.service, environment = excluded.environment, version = excluded.version,
           config_hash = excluded.config_hash, series = coalesce(excluded.series, series),
           last_seen = max(last_seen, excluded.last_seen)
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

/// How the files write a signal.
pub(crate) fn code(signal: Signal) -> i64 {
    match signal {
        Signal::Metrics => 0,
        Signal::Logs => 1,
    }
}
