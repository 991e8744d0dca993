//! The request log: one file for each UTC day of receipt, so that retention is an unlink.

use super::accepted::RecentEpochs;
use super::data_dir::DataDir;
use super::forget::{self, Deed, Forgotten, Selection};
use super::gateways::{is_repeat, note_batch, note_gateway, received};
use super::reduce::{self, Kind, Reduced};
use super::tails::Tails;
use super::verify::{self, Bad};
use super::{Admission, Pruned, StoreError, Stored, accepted, bloom, chunk, salvage, schema};
use crate::model::{Column, Columns, Gateway, Identity, Rejections, RequestBatch, Signal, is_error};
use crate::retention::{Retention, before};
use crate::sequence::Received;
use crate::told::Row;
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{Connection, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PREFIX: &str = "requests-";
const SUFFIX: &str = ".db";
/// Files of other days in which a repeat is looked for.
const MAX_OTHERS: usize = 40;

/// What is kept of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Requests,
    /// Its identity, and who sent how many requests, which are on a server.
    Senders,
}

/// The writer's side of the request log.
pub(super) struct Requests {
    directory: Arc<DataDir>,
    day: Date,
    pub(super) today: Connection,
    /// The files of all other days, to read: a clock that jumps must not make a repeat look new.
    pub(super) others: BTreeMap<Date, Connection>,
    admission: Arc<Admission>,
    tails: Tails,
    /// Where there is a server, rows of other days that are to be told.
    pub(super) left: Option<Vec<Row>>,
}

impl Requests {
    /// Opens the file of the day of `now` (Unix nanoseconds), where no sender asks to be admitted.
    pub(super) fn open(directory: Arc<DataDir>, now: i64) -> Result<Self, StoreError> {
        let limits = crate::limits::Limits::default();
        Self::open_with(directory, Arc::new(Admission::new(&limits)), now)
    }

    /// Opens the file of the day of `now` (Unix nanoseconds), for senders that are admitted.
    pub(super) fn open_with(
        directory: Arc<DataDir>,
        admission: Arc<Admission>,
        now: i64,
    ) -> Result<Self, StoreError> {
        let day = day_of(now);
        let others = open_others(&directory, day)?;
        let today = open_day(&directory, day)?;
        for file in others.values().chain([&today]) {
            // A file that cannot be read knows nobody; its faults are noted where its records are read.
            let _ = admission.load(file, now);
        }
        Ok(Self { directory, day, today, others, admission, tails: Tails::default(), left: None })
    }

    /// Stores a batch, or nothing of it. `now` is in Unix nanoseconds.
    pub(super) fn store(
        &mut self,
        batch: &RequestBatch,
        (signal, keeping): (Signal, Keeping),
        now: i64,
    ) -> Result<Stored, StoreError> {
        if day_of(now) != self.day {
            let left = self.untold_of_day()?;
            *self = Self::open_with(Arc::clone(&self.directory), Arc::clone(&self.admission), now)?;
            self.go_on_telling(left)?;
        }
        let outcome = self.store_today(batch, (signal, keeping), now);
        if outcome.is_err() {
            // Their chunks may not be there.
            self.tails.clear();
        }
        match outcome {
            Err(error) if error.is_damage() => {
                self.replace(&day_path(self.directory.path(), self.day), &error)?;
                self.store_today(batch, (signal, keeping), now)
            }
            outcome => outcome,
        }
    }

    /// Removes the files of days that are old. `now` is in Unix nanoseconds.
    pub(super) fn prune(&mut self, retention: &Retention, now: i64) -> Result<Pruned, StoreError> {
        let files = std::iter::once(&self.today).chain(self.others.values());
        // Files whose newest timestamp is unreadable are ignored.
        let latest = |of: fn(&Connection) -> rusqlite::Result<Option<i64>>| {
            files.clone().filter_map(|file| of(file).ok()?).max()
        };
        // Where a server has the requests, there are senders alone.
        let Some(newest) = latest(newest).or_else(|| latest(last_sender)) else { return Ok(Pruned::Done) };
        let now = newest.min(now);
        let oldest = day_of(before(now, retention.requests));
        // The newest count in a file that is removed is already as old as the log that is kept.
        let silent = day_of(before(now, retention.requests.saturating_add(retention.gateways)));
        let mut files = day_files(self.directory.path())?;
        files.retain(|(_, day)| *day < oldest && *day != self.day);
        self.remove_days(files, silent)?;
        Ok(Pruned::Done)
    }

    /// Takes a step towards a smaller log, beginning with the oldest day. `None` when nothing of the kind is left.
    pub(super) fn reduce(&mut self, kind: Kind) -> Result<Option<Reduced>, StoreError> {
        // A chunk that is removed may give its number to another sender's.
        self.tails.clear();
        for (path, day) in day_files(self.directory.path())?.into_iter().rev() {
            let reduced = if day == self.day {
                match kind {
                    Kind::Bodies => reduce::reduce(&mut self.today, reduce::strip_bodies)?,
                    _ => reduce::reduce(&mut self.today, reduce::remove_chunks)?,
                }
            } else if kind == Kind::Bodies {
                reduce::reduce(&mut schema::open_requests(&path)?, reduce::strip_bodies)?
            } else {
                Some(self.remove_day(path, day)?)
            };
            if reduced.is_some() {
                return Ok(reduced);
            }
        }
        Ok(None)
    }

    /// Takes damaged rows out of a file.
    pub(super) fn set_aside(&mut self, path: &Path, rows: &[Bad]) -> Result<(), StoreError> {
        self.tails.clear();
        let damages = if *path == day_path(self.directory.path(), self.day) {
            verify::set_aside(&mut self.today, path, rows)
        } else {
            schema::open_requests(path).and_then(|mut file| verify::set_aside(&mut file, path, rows))
        };
        match damages {
            // The pages around them are damaged, too.
            Err(error) if error.is_damage() => self.replace(path, &error),
            damages => {
                damages?.into_iter().for_each(|damage| self.directory.quarantine().add(damage));
                Ok(())
            }
        }
    }

    /// Replaces a damaged file by one with what can be read of it.
    pub(super) fn replace(&mut self, path: &Path, why: &StoreError) -> Result<(), StoreError> {
        self.tails.clear();
        let day = path.file_name().and_then(|name| day_of_file(name.to_str()?));
        if day == Some(self.day) {
            self.today = Connection::open_in_memory()?;
            let replaced = salvage::replace(&self.directory, path, why);
            self.today = open_day(&self.directory, self.day)?;
            let left = self.left.take();
            self.go_on_telling(left)?;
            return replaced;
        }
        let Some(day) = day else { return Ok(()) };
        self.others.remove(&day);
        salvage::replace(&self.directory, path, why)?;
        // Where nothing of it can be read, there is no file any more.
        if path.exists() {
            drop(schema::open_requests(path)?);
            self.others.extend(schema::open_read(path)?.map(|file| (day, file)));
        }
        Ok(())
    }

    /// Moves the journal of today's file into the file. False if a reader is in the way.
    pub(super) fn checkpoint(&self) -> Result<bool, StoreError> {
        reduce::checkpoint(&self.today)
    }

    fn remove_day(&mut self, path: PathBuf, day: Date) -> Result<Reduced, StoreError> {
        let sum = "SELECT coalesce(sum(n), 0), coalesce(max(t1), 0) FROM chunks";
        let file = schema::open_read(&path).ok().flatten();
        let found = file.and_then(|file| file.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?))).ok());
        let (records, until): (i64, i64) = found.unwrap_or_default();
        let freed = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        // Epochs of the last month are still accounted for.
        let silent = day.saturating_sub(jiff::Span::new().days(30));
        self.remove_days(vec![(path, day)], silent)?;
        Ok(Reduced { removed: records.unsigned_abs(), until, freed })
    }

    /// Removes files of days; the counts of accepted records of epochs that stored some since `silent` stay.
    fn remove_days(&mut self, files: Vec<(PathBuf, Date)>, silent: Date) -> Result<(), StoreError> {
        if files.is_empty() {
            return Ok(());
        }
        let mut recent = RecentEpochs::since(silent);
        for file in std::iter::once(&self.today).chain(self.others.values()) {
            // An unreadable file knows no epochs; its faults are noted where its records are read.
            let _ = recent.read(file);
        }
        for (path, day) in files {
            let old = self.others.remove(&day);
            if let Some(old) = old.or_else(|| schema::open_read(&path).ok()?)
                && let Err(error) = accepted::carry_over(&old, &mut self.today, &mut recent)
            {
                // Its counts are lost with the file, which cannot be kept because of them.
                self.directory.note(&path, format!("cannot be read: {error}"));
            }
            self.directory.remove(&path)?;
        }
        Ok(())
    }

    /// Removes from all days what a selection takes; `now` is in Unix nanoseconds.
    pub(super) fn forget(
        &mut self,
        selection: &Selection,
        deed: Deed,
        now: i64,
    ) -> Result<Forgotten, StoreError> {
        self.tails.clear();
        let mut all = forget::requests(&mut self.today, selection, deed, now)?;
        for (path, day) in day_files(self.directory.path())? {
            if day != self.day {
                let mut file = schema::open_requests(&path)?;
                all.add(&forget::requests(&mut file, selection, deed, now)?);
            }
        }
        Ok(all)
    }

    fn store_today(
        &mut self,
        batch: &RequestBatch,
        (signal, keeping): (Signal, Keeping),
        now: i64,
    ) -> Result<Stored, StoreError> {
        if let Some(identity) = &batch.identity
            && (is_repeat(&self.today, signal, identity)? || self.is_known_elsewhere(signal, identity))
        {
            return Ok(Stored::Repeat);
        }
        let Self { directory, today, others, day, admission, tails, .. } = self;
        let mut rejected = Rejections::default();
        let mut admitted = Vec::with_capacity(batch.parts.len());
        for part in &batch.parts {
            match admission.instance(&part.gateway, batch.standing, now) {
                Ok(()) => admitted.push(part),
                Err(reason) => rejected.add(reason, part.events.len() as u64),
            }
        }
        let transaction = today.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut is_elsewhere = false;
        if let Some(identity) = &batch.identity {
            let is_known =
                note_batch(&transaction, signal, identity, now, || earlier(others, signal, identity))?;
            is_elsewhere = is_known && keeping == Keeping::Senders;
            let records = admitted.iter().map(|part| part.events.len()).sum();
            accepted::count(&transaction, identity, *day, records)?;
        }
        for part in &admitted {
            note_gateway(&transaction, &part.gateway, now)?;
            if keeping == Keeping::Requests {
                tails.put(&transaction, part)?;
            }
        }
        transaction.commit()?;
        if keeping == Keeping::Requests {
            admitted.into_iter().for_each(|part| directory.news().announce(part));
        }
        Ok(Stored::New { rejected, is_elsewhere })
    }

    /// A file that cannot be read is not asked again; the repeats that it knew are lost with it.
    fn is_known_elsewhere(&mut self, signal: Signal, identity: &Identity) -> bool {
        let Self { directory, others, .. } = self;
        let mut known = false;
        others.retain(|day, file| match is_repeat(file, signal, identity) {
            Ok(found) => {
                known |= found;
                true
            }
            Err(error) => {
                directory.note(&day_path(directory.path(), *day), format!("cannot be read: {error}"));
                false
            }
        });
        known
    }
}

/// The files of the request log, the latest day first.
pub(crate) fn day_files(dir: &Path) -> Result<Vec<(PathBuf, Date)>, StoreError> {
    let failed = |error| StoreError::file(dir, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if let Some(day) = name.to_str().and_then(day_of_file) {
            files.push((entry.path(), day));
        }
    }
    files.sort_by_key(|(_, day)| std::cmp::Reverse(*day));
    Ok(files)
}

/// The day of a file of the request log, by its name; `None` for the name of another file.
pub(crate) fn day_of_file(name: &str) -> Option<Date> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn open_day(directory: &DataDir, day: Date) -> Result<Connection, StoreError> {
    let path = day_path(directory.path(), day);
    directory.open_or_replace(&path, may_go, || schema::open_requests(&path))
}

fn open_others(directory: &DataDir, today: Date) -> Result<BTreeMap<Date, Connection>, StoreError> {
    let mut others = BTreeMap::new();
    let files = day_files(directory.path())?;
    for (path, day) in files.into_iter().filter(|(_, day)| *day != today).take(MAX_OTHERS) {
        // Files of an older version are brought up to date, so that their records count.
        match schema::open_requests(&path).and_then(|_| schema::open_read(&path)) {
            Ok(file) => others.extend(file.map(|file| (day, file))),
            Err(error) if error.is_damage() => {
                salvage::replace(directory, &path, &error)?;
                // The file goes where nothing of it can be read.
                if path.exists() {
                    schema::open_requests(&path)?;
                    others.extend(schema::open_read(&path)?.map(|file| (day, file)));
                }
            }
            Err(error) if may_go(&error) => drop(directory.set_aside(&path, &error, 0)?),
            Err(error) => directory.note(&path, format!("cannot be read: {error}")),
        }
    }
    Ok(others)
}

/// The start of the latest request in a file.
fn newest(file: &Connection) -> rusqlite::Result<Option<i64>> {
    file.query_row("SELECT max(t1) FROM chunks", [], |row| row.get(0))
}

/// When a sender was seen last.
fn last_sender(file: &Connection) -> rusqlite::Result<Option<i64>> {
    file.query_row("SELECT max(last_seen) FROM gateways", [], |row| row.get(0))
}

/// Whether a file may be set aside: under this name, a database of another program is as useless as a damaged one.
fn may_go(error: &StoreError) -> bool {
    error.is_damage() || matches!(error, StoreError::Foreign { .. })
}

fn day_path(dir: &Path, day: Date) -> PathBuf {
    dir.join(format!("{PREFIX}{day}{SUFFIX}"))
}

/// Stores events of one sender, of which there is one at least, as a chunk, and returns its id.
pub(super) fn insert_chunk(
    file: &Connection,
    gateway: &Gateway,
    events: &Columns,
) -> Result<i64, StoreError> {
    let Some(Packed { t0, t1, n, errors, classes, longest, bodies, data }) = Packed::of(events)? else {
        return Ok(0);
    };
    file.prepare_cached(
        "INSERT INTO chunks (t0, t1, n, errors, classes, gateway, service, environment, data, longest, bodies)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        t0,
        t1,
        n,
        errors,
        classes,
        gateway.instance,
        gateway.service,
        gateway.environment,
        data,
        longest,
        bodies
    ])?;
    let id = file.last_insert_rowid();
    bloom::put(file, id, events)?;
    Ok(id)
}

/// Gives a chunk other events of the same sender; without events it is removed.
pub(super) fn replace_chunk(file: &Connection, id: i64, events: &Columns) -> Result<(), StoreError> {
    match Packed::of(events)? {
        None => {
            file.prepare_cached("DELETE FROM chunks WHERE id = ?")?.execute([id])?;
            Ok(())
        }
        Some(Packed { t0, t1, n, errors, classes, longest, bodies, data }) => {
            file.prepare_cached(
                "UPDATE chunks SET t0 = ?, t1 = ?, n = ?, errors = ?, classes = ?, longest = ?, bodies = ?, data = ?
                 WHERE id = ?",
            )?
            .execute(params![t0, t1, n, errors, classes, longest, bodies, data, id])?;
            bloom::put(file, id, events)
        }
    }
}

/// Events as a chunk, with the columns by which a question finds it.
pub(super) struct Packed {
    pub(super) t0: i64,
    pub(super) t1: i64,
    pub(super) n: i64,
    pub(super) errors: i64,
    pub(super) classes: i64,
    pub(super) longest: i64,
    /// Whether there is a body.
    pub(super) bodies: bool,
    data: Vec<u8>,
}

impl Packed {
    /// `None` without events.
    pub(super) fn of(events: &Columns) -> Result<Option<Self>, StoreError> {
        let times = events.times();
        let (Some(t0), Some(t1)) = (times.iter().min(), times.iter().max()) else { return Ok(None) };
        let [status, grpc_status, duration, upstream, request_body, response_body] =
            ["status", "grpc_status", "duration_ms", "upstream_ms", "request_body", "response_body"]
                .map(|name| events.named(name));
        let number = |column: Option<&Column>, row| column.and_then(|column| column.number(row));
        let (mut errors, mut classes, mut longest) = (0, 0, 0);
        for row in 0..times.len() {
            let status =
                number(status, row).and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
            errors += i64::from(is_error(status, number(grpc_status, row)));
            classes |= 1 << (status / 100);
            longest = longest.max(number(duration, row).max(number(upstream, row)).unwrap_or_default());
        }
        Ok(Some(Self {
            t0: *t0,
            t1: *t1,
            n: times.len() as i64,
            errors,
            classes,
            longest: i64::try_from(longest).unwrap_or(i64::MAX),
            bodies: request_body.or(response_body).is_some(),
            data: chunk::encode(events).map_err(|error| StoreError::file(Path::new("chunk"), error))?,
        }))
    }
}

/// The sequence numbers that other files know of a sender, so that its gaps are counted across midnight. A file that
/// cannot be read costs the count of gaps, not the batch.
fn earlier(others: &BTreeMap<Date, Connection>, signal: Signal, identity: &Identity) -> Option<Received> {
    let known = others.values().filter_map(|file| received(file, signal, identity).ok()?);
    known.reduce(merged)
}

fn merged(mut one: Received, other: Received) -> Received {
    one.merge(&other);
    one
}

/// The UTC day of a time in Unix nanoseconds.
pub(crate) fn day_of(time: i64) -> Date {
    let time = Timestamp::from_nanosecond(i128::from(time)).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gateway, RequestEvent, RequestPart, Standing};
    use crate::store::gateways::EpochKey;
    use std::time::Duration;

    const DAY: i64 = 86_400_000_000_000;
    const NOON: i64 = 20_624 * DAY + DAY / 2;

    fn batch(sequence: u64) -> RequestBatch {
        let gateway = Gateway { instance: "edge-1".to_owned(), ..Gateway::default() };
        RequestBatch {
            spans: Vec::new(),
            identity: Some(Identity {
                instance: "edge-1".to_owned(),
                epoch: "e".to_owned(),
                environment: "".into(),
                sequence,
            }),
            standing: Standing::default(),
            parts: vec![RequestPart { gateway, events: at(NOON) }],
            rejected: Rejections::default(),
        }
    }

    /// A request at a time.
    fn at(time: i64) -> Columns {
        Columns::of(&[RequestEvent { time, ..RequestEvent::default() }])
    }

    /// Stores batches at days after noon of the first, and asserts what was news and which gaps are known.
    fn check(steps: &[(i64, u64, bool)], gaps: u64) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Arc::new(DataDir::new(dir.path().to_owned()));
        let mut store = Requests::open(Arc::clone(&directory), NOON).unwrap();
        for (day, sequence, news) in steps {
            let stored =
                store.store(&batch(*sequence), (Signal::Logs, Keeping::Requests), NOON + day * DAY).unwrap();
            let new = Stored::New { rejected: Rejections::default(), is_elsewhere: false };
            let expected = if *news { new } else { Stored::Repeat };
            assert_eq!(stored, expected, "batch {sequence} on day {day} of {steps:?}");
        }
        let identity = batch(1).identity.unwrap();
        let today = received(&store.today, Signal::Logs, &identity).unwrap();
        let known = today.into_iter().chain(earlier(&store.others, Signal::Logs, &identity));
        assert_eq!(known.reduce(merged).unwrap().gaps(), gaps, "{steps:?}");
        assert_eq!(directory.troubles(), Vec::<String>::new());
    }

    #[test]
    fn a_repeat_is_known_whatever_the_clock_did() {
        check(&[(0, 1, true), (1, 1, false), (1, 2, true), (2, 2, false), (2, 4, true)], 1);
        check(
            &[(0, 1, true), (10, 1, false), (10, 2, true), (0, 2, false), (0, 3, true), (-20, 3, false)],
            0,
        );
        check(&[(0, 1, true), (0, 5, true), (-3, 6, true), (30, 6, false), (30, 7, true)], 3);
    }

    #[test]
    fn old_days_are_removed_by_the_time_of_their_requests() {
        let check = |steps: &[i64], now: i64, left: &[i64]| {
            let dir = tempfile::tempdir().unwrap();
            let mut store = Requests::open(Arc::new(DataDir::new(dir.path().to_owned())), NOON).unwrap();
            for (day, sequence) in steps.iter().zip(1..) {
                let mut batch = batch(sequence);
                batch.parts[0].events = at(NOON + day * DAY);
                store.store(&batch, (Signal::Logs, Keeping::Requests), NOON + day * DAY).unwrap();
            }
            store.prune(&Retention::default(), NOON + now * DAY).unwrap();
            let days = day_files(dir.path()).unwrap().into_iter().map(|(_, day)| day);
            let expected = left.iter().rev().map(|day| day_of(NOON + day * DAY));
            assert_eq!(days.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{steps:?} at {now}");
        };
        check(&[0, 1, 16, 17], 17, &[16, 17]);
        check(&[0, 1, 15], 15, &[0, 1, 15]);
        // The clock ran a year ahead; the senders' did not.
        check(&[0, 1, 2], 365, &[0, 1, 2]);
    }

    /// Records accepted of each of some epochs after days of pruning at their end, when each epoch stored one record on
    /// each of its days. An epoch `daily` stores one on every day.
    fn accepted_after<const N: usize>(days: i64, retention: &Retention, epochs: [&[i64]; N]) -> [u64; N] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Requests::open(Arc::new(DataDir::new(dir.path().to_owned())), NOON).unwrap();
        let names: Vec<String> = (0..N).map(|epoch| epoch.to_string()).collect();
        for day in 0..=days {
            let now = NOON + day * DAY;
            let at_work = names.iter().zip(epochs).filter(|(_, days)| days.contains(&day));
            for epoch in at_work.map(|(name, _)| name.as_str()).chain(["daily"]) {
                let mut batch = batch(day as u64);
                batch.identity.as_mut().unwrap().epoch = epoch.to_owned();
                batch.parts[0].events = at(now);
                store.store(&batch, (Signal::Logs, Keeping::Requests), now).unwrap();
            }
            store.prune(retention, now).unwrap();
        }
        let of = |epoch: &str| {
            let (instance, epoch) = ("edge-1".to_owned(), epoch.to_owned());
            let key = EpochKey { instance, epoch, environment: String::new() };
            let mut accepted = accepted::Accepted::default();
            for (path, _) in day_files(dir.path()).unwrap() {
                accepted.read(&schema::open_read(&path).unwrap().unwrap(), [&key]).unwrap();
            }
            accepted.of(&key)
        };
        assert_eq!(of("daily"), days as u64 + 1);
        std::array::from_fn(|epoch| of(&names[epoch]))
    }

    #[test]
    fn the_count_of_an_epoch_outlives_its_records() {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        let sixty = Retention { requests: days(60), ..Retention::default() };
        assert_eq!(accepted_after(62, &sixty, [&[0, 62], &[0]]), [2, 1]);
        // An epoch that works seldom, and not on days on which a file is removed; and one that ended.
        let short = Retention { requests: days(3), gateways: days(6), ..Retention::default() };
        assert_eq!(accepted_after(14, &short, [&[0, 5, 10], &[0]]), [3, 0]);
    }

    #[test]
    fn a_file_that_is_damaged_while_it_is_written_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Arc::new(DataDir::new(dir.path().to_owned()));
        let mut store = Requests::open(Arc::clone(&directory), NOON).unwrap();
        store.store(&batch(1), (Signal::Logs, Keeping::Requests), NOON).unwrap();
        store.today.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let path = day_path(dir.path(), store.day);
        let mut bytes = std::fs::read(&path).unwrap();
        // All but the header and the schema.
        bytes.iter_mut().skip(8192).for_each(|byte| *byte = 0xa5);
        std::fs::write(&path, bytes).unwrap();
        store.today.execute_batch("PRAGMA shrink_memory").unwrap();
        assert_eq!(
            store.store(&batch(2), (Signal::Logs, Keeping::Requests), NOON).unwrap(),
            Stored::New { rejected: Rejections::default(), is_elsewhere: false }
        );
        assert_eq!(directory.troubles().len(), 1);
        let names =
            || std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(names().any(|name| name.contains(".db.corrupt-")));
        assert_eq!(store.store(&batch(2), (Signal::Logs, Keeping::Requests), NOON).unwrap(), Stored::Repeat);
    }
}
