//! `spans.db`: the spans of a trace by sender, as they came.
//!
//! A file of its own: a flood of spans takes no room of the log, and what a damage of it costs is a waterfall.

use super::room::Room;
use crate::model::{AppSpan, SpanPart};
use crate::store::reduce::{self, Reduced};
use crate::store::{APPLICATION_ID, Deed, Selection, StoreError, create_file, marks_of, open_other};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Name of the file in the data directory.
pub(crate) const SPANS_FILE: &str = "spans.db";

const VERSION: i64 = 1;
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Spans of one trace.
pub(crate) const MAX_OF_TRACE: usize = 1_000;
/// Services and environments whose spans are kept. Those of further ones are left out.
const MAX_SENDERS: i64 = 10_000;
/// Rows have some kilobytes; smaller pages would be half empty.
const PAGE: u32 = 16_384;
/// Bytes that a row takes beside its spans, with its entries in the indexes.
const ROW_BYTES: u64 = 120;
/// Parts that one transaction removes because of their age.
const STEP_PARTS: u64 = 1_000;
/// The part of the spans that a step towards smaller files removes.
const STEP_SHARE: u64 = 8;

const TABLES: &str = "
CREATE TABLE senders (
    id INTEGER PRIMARY KEY,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    UNIQUE (environment, service)
);
CREATE TABLE parts (                -- spans of one trace that one sender sent at once
    id INTEGER PRIMARY KEY,         -- in the order of receipt
    trace BLOB NOT NULL,
    sender INTEGER NOT NULL,
    received INTEGER NOT NULL,      -- Unix nanoseconds, by the clock of the ingest
    spans INTEGER NOT NULL,
    left_out INTEGER NOT NULL,      -- spans of the trace beyond its bound
    bytes INTEGER NOT NULL,         -- of the row
    data BLOB NOT NULL              -- a list in JSON
);
CREATE INDEX parts_of_trace ON parts (trace);
CREATE INDEX parts_of_sender ON parts (sender, id, bytes);
";

/// The file, open to write. Only the process that holds the lock of the directory opens it.
pub(crate) struct SpansFile {
    connection: Connection,
    room: Room,
    senders: HashMap<(String, String), i64>,
}

/// Spans as they are stored.
pub(crate) struct StoredPart {
    pub(crate) environment: String,
    pub(crate) service: String,
    /// Spans of the trace that are not kept, because it has too many.
    pub(crate) left_out: u64,
    pub(crate) spans: Vec<AppSpan>,
}

impl SpansFile {
    /// Opens the file, or creates it when it is not there.
    pub(crate) fn open(path: &Path, room: u64) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        create_file(path)?;
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let is_new = marks_of(&connection, path, VERSION)?.1 == 0;
        if is_new {
            // Before the first table: pages that take several rows, and a file that what is removed can leave.
            connection.pragma_update(None, "page_size", PAGE).map_err(failed)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
        }
        let _: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
        // A crash of the process loses nothing; one of the machine may lose the last spans, and no file.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        let mut file = Self { connection, room: Room::new(room), senders: HashMap::new() };
        if is_new {
            file.create().map_err(failed)?;
        }
        file.load().map_err(failed)?;
        Ok(file)
    }

    fn create(&mut self) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    }

    /// Reads who has how much.
    fn load(&mut self) -> Result<(), rusqlite::Error> {
        self.room.clear();
        self.senders.clear();
        let mut select = self.connection.prepare(
            "SELECT id, environment, service, coalesce((SELECT sum(bytes) FROM parts WHERE sender = senders.id), 0) FROM senders",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, environment, service): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            self.room.add(id, &environment.as_str().into(), row.get::<_, i64>(3)?.unsigned_abs());
            self.senders.insert((environment, service), id);
        }
        Ok(())
    }

    /// Keeps spans, in place of the oldest where the room is full.
    pub(crate) fn add(&mut self, parts: &[SpanPart], now: i64) -> Result<(), StoreError> {
        let added = self.try_add(parts, now);
        self.or_as_before(added)
    }

    /// Hands an outcome on. After an error the file is as it was before the change, and so is who has how much.
    fn or_as_before<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if outcome.is_err() {
            self.load()?;
        }
        outcome
    }

    fn try_add(&mut self, parts: &[SpanPart], now: i64) -> Result<(), StoreError> {
        if !self.room.is_open() || parts.is_empty() {
            return Ok(());
        }
        let Self { connection, room, senders } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for part in parts {
            let Some(sender) = sender_of(&transaction, senders, part)? else { continue };
            let known: i64 = transaction
                .prepare_cached("SELECT coalesce(sum(spans), 0) FROM parts WHERE trace = ?")?
                .query_row([&part.trace_id], |row| row.get(0))?;
            let places = MAX_OF_TRACE.saturating_sub(usize::try_from(known).unwrap_or_default());
            let kept = part.spans.get(..places.min(part.spans.len())).unwrap_or_default();
            let left_out = (part.spans.len() - kept.len()) as i64;
            if kept.is_empty() {
                transaction
                    .prepare_cached(
                        "UPDATE parts SET left_out = left_out + ?2 WHERE id = (SELECT max(id) FROM parts WHERE trace = ?1)",
                    )?
                    .execute(params![part.trace_id, left_out])?;
                continue;
            }
            let data = serde_json::to_vec(kept).unwrap_or_default();
            let bytes = data.len() as u64 + ROW_BYTES;
            transaction
                .prepare_cached(
                    "INSERT INTO parts (trace, sender, received, spans, left_out, bytes, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![part.trace_id, sender, now, kept.len() as i64, left_out, bytes as i64, data])?;
            room.add(sender, &part.environment, bytes);
            while let Some(greedy) = room.over(sender) {
                if remove_oldest(&transaction, room, &Oldest::of(greedy))?.is_none() {
                    // The file has nothing of it.
                    room.remove(greedy, u64::MAX);
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Removes those that were received before a time, and senders that have none.
    pub(crate) fn prune(&mut self, before: i64) -> Result<(), StoreError> {
        let oldest = Oldest { sender: None, before };
        while self.remove(&oldest, |removed| removed.parts < STEP_PARTS)?.parts == STEP_PARTS {}
        self.connection.execute("DELETE FROM senders WHERE id NOT IN (SELECT sender FROM parts)", [])?;
        Ok(self.load()?)
    }

    /// Removes a part of the oldest, and gives their space back; `None` where the file has none.
    pub(crate) fn reduce(&mut self) -> Result<Option<Reduced>, StoreError> {
        let target = self.room.taken() / STEP_SHARE;
        let Self { connection, room, .. } = self;
        let reduced = reduce::reduce(connection, |file| {
            let Removed { parts, spans, until, .. } =
                remove(file, room, &Oldest::ANY, |removed| removed.bytes <= target)?;
            Ok((parts > 0).then_some(Reduced { removed: spans, until, freed: 0 }))
        });
        self.or_as_before(reduced)
    }

    /// Removes those of a selected environment, or counts them.
    pub(crate) fn forget(&mut self, selection: &Selection, deed: Deed) -> Result<u64, StoreError> {
        let Some(environment) = selection.whole_environment() else { return Ok(0) };
        let of_environment = "sender IN (SELECT id FROM senders WHERE environment = ?)";
        let spans: i64 = self.connection.query_row(
            &format!("SELECT coalesce(sum(spans), 0) FROM parts WHERE {of_environment}"),
            [environment],
            |row| row.get(0),
        )?;
        if deed == Deed::Remove {
            // What is removed is overwritten, and not only unlinked.
            self.connection.pragma_update(None, "secure_delete", "ON")?;
            self.connection.execute(&format!("DELETE FROM parts WHERE {of_environment}"), [environment])?;
            self.connection.pragma_update(None, "secure_delete", "OFF")?;
            self.prune(i64::MIN)?;
            // A reader may be in the way, and the next checkpoint does it then.
            reduce::checkpoint(&self.connection)?;
        }
        Ok(spans.unsigned_abs())
    }

    /// Removes parts, as [`remove`] does.
    fn remove(&mut self, oldest: &Oldest, goes_on: impl Fn(&Removed) -> bool) -> Result<Removed, StoreError> {
        let Self { connection, room, .. } = self;
        let removed = remove(connection, room, oldest, goes_on);
        self.or_as_before(removed)
    }
}

/// The spans of a trace in the file of a data directory, in the order of receipt. A directory without the file has none.
pub(crate) fn of_trace(dir: &Path, trace_id: &[u8]) -> Result<Vec<StoredPart>, StoreError> {
    let path = dir.join(SPANS_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = open_other(&path)?;
    file.busy_timeout(BUSY_TIMEOUT)?;
    if marks_of(&file, &path, VERSION)?.1 == 0 {
        return Ok(Vec::new());
    }
    let mut select = file.prepare(
        "SELECT s.environment, s.service, p.left_out, p.data FROM parts p JOIN senders s ON s.id = p.sender
         WHERE p.trace = ? ORDER BY p.id",
    )?;
    let mut rows = select.query([trace_id])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let data: Vec<u8> = row.get(3)?;
        parts.push(StoredPart {
            environment: row.get(0)?,
            service: row.get(1)?,
            left_out: row.get::<_, i64>(2)?.unsigned_abs(),
            // A part that cannot be read shows nothing.
            spans: serde_json::from_slice(&data).unwrap_or_default(),
        });
    }
    Ok(parts)
}

/// The sender of a part; `None` for one beyond [`MAX_SENDERS`].
fn sender_of(
    file: &Connection,
    senders: &mut HashMap<(String, String), i64>,
    part: &SpanPart,
) -> Result<Option<i64>, StoreError> {
    let key = (part.environment.to_string(), part.service.to_string());
    if let Some(id) = senders.get(&key) {
        return Ok(Some(*id));
    }
    if senders.len() as i64 >= MAX_SENDERS {
        return Ok(None);
    }
    let id = file
        .prepare_cached(
            "INSERT INTO senders (environment, service) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET service = ?2 RETURNING id",
        )?
        .query_row([&key.0, &key.1], |row| row.get(0))?;
    senders.insert(key, id);
    Ok(Some(id))
}

/// Which part is the oldest that may go.
struct Oldest {
    /// Of this one, or of any.
    sender: Option<i64>,
    /// Received before this, in Unix nanoseconds.
    before: i64,
}

impl Oldest {
    const ANY: Self = Self { sender: None, before: i64::MAX };

    fn of(sender: i64) -> Self {
        Self { sender: Some(sender), ..Self::ANY }
    }
}

/// Parts that went.
#[derive(Default)]
struct Removed {
    parts: u64,
    spans: u64,
    /// When the last of them was received.
    until: i64,
    /// Of their rows.
    bytes: u64,
}

/// Removes parts from the oldest on in one transaction, until `goes_on` refuses what went, or none is left that may go.
fn remove(
    file: &mut Connection,
    room: &mut Room,
    oldest: &Oldest,
    goes_on: impl Fn(&Removed) -> bool,
) -> Result<Removed, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut all = Removed::default();
    while goes_on(&all) {
        let Some(one) = remove_oldest(&transaction, room, oldest)? else { break };
        all = Removed {
            parts: all.parts + one.parts,
            spans: all.spans + one.spans,
            until: one.until,
            bytes: all.bytes + one.bytes,
        };
    }
    transaction.commit()?;
    Ok(all)
}

/// Removes the oldest part; `None` where none may go.
fn remove_oldest(
    file: &Connection,
    room: &mut Room,
    Oldest { sender, before }: &Oldest,
) -> Result<Option<Removed>, StoreError> {
    let oldest = match sender {
        Some(_) => "SELECT id FROM parts WHERE sender = ?1 ORDER BY id LIMIT 1",
        None => "SELECT id FROM parts WHERE ?1 IS NULL ORDER BY id LIMIT 1",
    };
    let removed = file
        .prepare_cached(&format!(
            "DELETE FROM parts WHERE id = ({oldest}) AND received < ?2 RETURNING sender, spans, received, bytes"
        ))?
        .query_row(params![sender, before], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get::<_, i64>(3)?))
        })
        .optional()?;
    let Some((sender, spans, until, bytes)) = removed else { return Ok(None) };
    let (spans, bytes) = (spans.unsigned_abs(), bytes.unsigned_abs());
    room.remove(sender, bytes);
    Ok(Some(Removed { parts: 1, spans, until, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A part of one trace of a service, with one span whose message has so many bytes.
    fn part(trace: u8, service: &str, bytes: usize) -> SpanPart {
        let span = AppSpan {
            id: "0102030405060708".to_owned(),
            parent: None,
            name: "GET /a".to_owned(),
            kind: 2,
            start: 1,
            end: 2,
            status: 0,
            message: Some("x".repeat(bytes)),
            attributes: Vec::new(),
        };
        SpanPart {
            trace_id: vec![trace; 16],
            environment: Arc::from("prod"),
            service: Arc::from(service),
            spans: vec![span],
        }
    }

    fn traces(file: &SpansFile) -> Vec<u8> {
        let mut select = file.connection.prepare("SELECT trace FROM parts ORDER BY id").unwrap();
        let traces = select.query_map([], |row| Ok(row.get::<_, Vec<u8>>(0)?[0])).unwrap();
        traces.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_step_gives_back_the_space_of_what_it_removes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SPANS_FILE);
        let mut file = SpansFile::open(&path, 1 << 30).unwrap();
        for trace in 0..64 {
            file.add(&[part(trace, "shop", 100_000)], i64::from(trace)).unwrap();
        }
        assert!(reduce::checkpoint(&file.connection).unwrap());
        let bytes = || std::fs::metadata(&path).unwrap().len();
        let before = bytes();
        let reduced = file.reduce().unwrap().unwrap();
        // An eighth, and the part that goes beyond it.
        assert_eq!((reduced.removed, reduced.until), (9, 8));
        assert_eq!((traces(&file)[0], traces(&file).len()), (9, 55));
        assert_eq!(reduced.freed, before - bytes());
        assert!((800_000..1_000_000).contains(&reduced.freed), "{reduced:?}");
        while file.reduce().unwrap().is_some() {}
        assert_eq!((traces(&file).len(), file.room.taken()), (0, 0));
        assert!(bytes() < 200_000, "{}", bytes());
    }

    #[test]
    fn the_oldest_go_by_their_age_and_for_the_room_of_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SPANS_FILE);
        let mut file = SpansFile::open(&path, 40_000).unwrap();
        for trace in 0..12 {
            let service = if trace < 6 { "shop" } else { "stock" };
            file.add(&[part(trace, service, 2_000)], i64::from(trace)).unwrap();
        }
        // A service has a quarter of the room, which takes four of these.
        assert_eq!(traces(&file), [2, 3, 4, 5, 8, 9, 10, 11]);
        file.prune(9).unwrap();
        assert_eq!(traces(&file), [9, 10, 11]);
        assert_eq!(file.senders.len(), 1);
        let taken = file.room.taken();
        drop(file);
        assert_eq!(SpansFile::open(&path, 40_000).unwrap().room.taken(), taken);
    }
}
