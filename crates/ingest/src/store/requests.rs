//! The request log: one file for each UTC day of receipt, so that retention is an unlink.

use super::gateways::{is_repeat, note_batch, note_gateway, received};
use super::{StoreError, Stored, chunk, schema};
use crate::sequence::Received;
use crate::wire::{Identity, RequestBatch, RequestPart, Signal, is_error};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rusqlite::{Connection, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PREFIX: &str = "requests-";
const SUFFIX: &str = ".db";

/// The writer's side of the request log.
pub(super) struct Requests {
    dir: PathBuf,
    /// The file being written and its neighbours, where they exist.
    open: BTreeMap<Date, Connection>,
}

impl Requests {
    /// Opens the file of the day of `now` (Unix nanoseconds).
    pub(super) fn open(dir: &Path, now: i64) -> Result<Self, StoreError> {
        let mut requests = Self { dir: dir.to_owned(), open: BTreeMap::new() };
        requests.turn_to(day_of(now))?;
        Ok(requests)
    }

    /// Stores a batch, or nothing of it. `now` is in Unix nanoseconds.
    pub(super) fn store(&mut self, batch: &RequestBatch, now: i64) -> Result<Stored, StoreError> {
        let today = day_of(now);
        self.turn_to(today)?;
        if let Some(identity) = &batch.identity {
            for file in self.open.values() {
                if is_repeat(file, Signal::Logs, identity)? {
                    return Ok(Stored::Repeat);
                }
            }
        }
        let Self { dir, open } = self;
        let Some(file) = open.get_mut(&today) else { return Err(StoreError::Unreadable { what: "day" }) };
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(identity) = &batch.identity {
            note_batch(&transaction, Signal::Logs, identity, now, || earlier(dir, today, identity))?;
        }
        for part in &batch.parts {
            note_gateway(&transaction, &part.gateway, now)?;
            put_chunk(&transaction, part)?;
        }
        transaction.commit()?;
        Ok(Stored::New { rejected: 0 })
    }

    /// Has the file of `day` open, and the neighbours in which a repeat may have been stored: the day before, and the
    /// day after for a clock that was set back.
    fn turn_to(&mut self, day: Date) -> Result<(), StoreError> {
        if self.open.contains_key(&day) && self.open.keys().all(|open| is_neighbour(*open, day)) {
            return Ok(());
        }
        self.open.retain(|open, _| is_neighbour(*open, day));
        for (path, found) in day_files(&self.dir)? {
            if is_neighbour(found, day) && !self.open.contains_key(&found) {
                self.open.insert(found, schema::open_requests(&path)?);
            }
        }
        if !self.open.contains_key(&day) {
            let path = self.dir.join(format!("{PREFIX}{day}{SUFFIX}"));
            self.open.insert(day, schema::open_requests(&path)?);
        }
        Ok(())
    }
}

/// The files of the request log, the latest day first.
pub(crate) fn day_files(dir: &Path) -> Result<Vec<(PathBuf, Date)>, StoreError> {
    let failed = |error| StoreError::file(dir, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let day = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        if let Some(day) = day.and_then(|day| day.parse().ok()) {
            files.push((entry.path(), day));
        }
    }
    files.sort_by_key(|(_, day)| std::cmp::Reverse(*day));
    Ok(files)
}

fn put_chunk(file: &Connection, part: &RequestPart) -> Result<(), StoreError> {
    let times = || part.events.iter().map(|event| event.time);
    let (Some(t0), Some(t1)) = (times().min(), times().max()) else { return Ok(()) };
    let errors = part.events.iter().filter(|event| is_error(event.status)).count();
    let classes = part.events.iter().fold(0i64, |mask, event| mask | 1 << (event.status / 100));
    let data = chunk::encode(&part.events).map_err(|error| StoreError::file(Path::new("chunk"), error))?;
    file.prepare_cached(
        "INSERT INTO chunks (t0, t1, n, errors, classes, gateway, service, environment, data)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        t0,
        t1,
        part.events.len() as i64,
        errors as i64,
        classes,
        part.gateway.instance,
        part.gateway.service,
        part.gateway.environment,
        data
    ])?;
    Ok(())
}

/// What the latest older file knows of a sender, so that its gaps are counted across midnight. A file that cannot
/// be read costs the count of gaps, not the batch.
fn earlier(dir: &Path, today: Date, identity: &Identity) -> Option<Received> {
    let files = day_files(dir).ok()?;
    files.into_iter().filter(|(_, day)| *day < today).find_map(|(path, _)| {
        let file = schema::open_read(&path).ok()??;
        received(&file, Signal::Logs, identity).ok()?
    })
}

fn is_neighbour(day: Date, of: Date) -> bool {
    [-1, 0, 1].into_iter().any(|days| of.saturating_add(days.days()) == day)
}

/// The UTC day of a time in Unix nanoseconds.
pub(crate) fn day_of(time: i64) -> Date {
    let time = Timestamp::from_nanosecond(i128::from(time)).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).date()
}
