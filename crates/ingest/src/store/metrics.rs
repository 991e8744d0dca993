//! The file of counters: one transaction per batch turns cumulative points into what each minute added.

use super::admission::Admission;
use super::changes::{Changes, Part, Place};
use super::consumers::{Consumers, Counted, note_counted};
use super::contents;
use super::data_dir::DataDir;
use super::drift;
use super::forget::{self, Deed, Forgotten, Selection};
use super::gateways::{is_repeat, note_batch, note_gateway, note_redaction, note_report, note_tags};
use super::heard::Heard;
use super::instances::{self, Instances};
use super::moments::{Touched, half_hour_of};
use super::packed;
use super::patterns;
use super::reduce::{self, Kind, Reduced};
use super::releases::Releases;
use super::series::Followed;
use super::sums;
use super::uptime::{self, Heartbeats, Judged, Probed};
use super::verify::{self, Bad};
use super::{Lesson, METRICS_FILE, Pruned, StoreError, Stored, audit, prune, salvage, schema, series};
use crate::auth::audit::Entry;
use crate::clock;
use crate::directory;
use crate::drift::{ShapeKey, Update};
use crate::learning;
use crate::model::accumulate::{self, Advance, Known, minute_of};
use crate::model::{
    Labelled, MetricBatch, Rejection, Rejections, Scope, SeriesKey, Signal, Standing, Temporality,
};
use crate::patterns::{KnownPatterns, Learned, folded};
use crate::retention::Retention;
use crate::told::journal::Past;
use gatelens_routes::Patterns;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Damaged rows that a batch replaces, by table and key.
pub(super) type Damaged = Vec<(&'static str, Vec<i64>)>;

/// What is kept of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Counts,
    /// What gateways say of themselves, and which consumers were counted; the counts are on a server.
    Senders,
}

/// The writer's side of `metrics.db`.
pub(super) struct Metrics {
    directory: Arc<DataDir>,
    pub(super) connection: Connection,
    /// All series by what they are; only ever ahead of the file within a transaction.
    pub(super) series: HashMap<SeriesKey, i64>,
    admission: Arc<Admission>,
    pub(super) consumers: Consumers,
    instances: Instances,
    /// `None` where they must be read from the file.
    changes: Option<Changes>,
    pub(super) releases: Releases,
    heartbeats: Heartbeats,
    sums: sums::Progress,
    /// Written here only, after the commit.
    pub(super) patterns: Arc<KnownPatterns>,
    /// Requests of the batch that was stored last, for the learning of routes.
    taught: learning::Counted,
    /// Where counts are on a server.
    heard: Heard,
    /// What the mark in the file says, once it is known.
    marked: Option<Keeping>,
    /// Whether rows that change are told to other replicas.
    pub(super) is_telling: bool,
}

impl Metrics {
    pub(super) fn open(
        directory: Arc<DataDir>,
        admission: Arc<Admission>,
        patterns: Arc<KnownPatterns>,
    ) -> Result<Self, StoreError> {
        // A database of something else means the wrong directory, and is left alone.
        let path = directory.path().join(METRICS_FILE);
        let (mut connection, series, consumers, instances, changes, stored) =
            directory.open_or_replace(&path, StoreError::is_damage, || {
                let connection = schema::open_metrics(directory.path())?;
                let series = load_series(&connection)?;
                let consumers = Consumers::load(&connection)?;
                let instances = Instances::load(&connection)?;
                let changes = Some(Changes::load(&connection)?);
                let stored = patterns::load(&connection)?;
                admission.load(&connection, clock::now())?;
                Ok((connection, series, consumers, instances, changes, stored))
            })?;
        let mut missing = patterns.all();
        for (scope, learned) in stored {
            missing.remove(&scope);
            patterns.put(scope, Arc::new(learned));
        }
        // The file that knew them was damaged; a place once learned stays.
        let transaction = connection.transaction()?;
        for (scope, learned) in &missing {
            patterns::put(&transaction, scope, learned, clock::now())?;
        }
        transaction.commit()?;
        let taught = learning::Counted::default();
        admission.recount(&series);
        directory.moments().begin();
        Ok(Self {
            directory,
            connection,
            series,
            admission,
            consumers,
            instances,
            changes,
            releases: Releases::default(),
            heartbeats: Heartbeats::default(),
            sums: sums::Progress::default(),
            patterns,
            taught,
            heard: Heard::default(),
            marked: None,
            is_telling: false,
        })
    }

    /// Stores a batch, or nothing of it. `now` is in Unix nanoseconds.
    #[cfg(test)]
    pub(super) fn store(&mut self, batch: &MetricBatch, now: i64) -> Result<Stored, StoreError> {
        self.store_for(Keeping::Counts, batch, now)
    }

    /// Stores of a batch what is kept here, or nothing of it. `now` is in Unix nanoseconds.
    pub(super) fn store_for(
        &mut self,
        keeping: Keeping,
        batch: &MetricBatch,
        now: i64,
    ) -> Result<Stored, StoreError> {
        match self.store_or_undo(keeping, batch, now) {
            Err(error) if error.is_damage() => {
                self.replace(&error)?;
                self.store_or_undo(keeping, batch, now)
            }
            outcome => outcome,
        }
    }

    fn store_or_undo(
        &mut self,
        keeping: Keeping,
        batch: &MetricBatch,
        now: i64,
    ) -> Result<Stored, StoreError> {
        let mut fresh = HashSet::new();
        self.taught = learning::Counted::default();
        let outcome = self.store_in_one((keeping, batch), now, &mut fresh);
        if outcome.is_err() {
            self.heard.forget();
            self.marked = None;
            // Their rows were rolled back.
            self.changes = None;
            self.series.retain(|_, id| !fresh.contains(id));
            self.admission.recount(&self.series);
            // An empty list is filled again by and by, and finds the rows that there are.
            self.instances = Instances::load(&self.connection).unwrap_or_default();
            self.releases.forget();
            self.heartbeats.forget();
        }
        outcome
    }

    /// Adds up the changes of some gateways, if they are many or have waited for long. `now` is in Unix nanoseconds.
    pub(super) fn add_up_due(&mut self, now: i64) -> Result<(), StoreError> {
        let due = self.changes.as_ref().map(|changes| changes.due(now)).unwrap_or_default();
        match self.add_up(&due) {
            Err(error) if error.is_damage() => self.replace(&error),
            outcome => outcome,
        }
    }

    /// Packs some minutes or half hours that are over. False if there are none.
    pub(super) fn pack(&mut self) -> Result<bool, StoreError> {
        let mut pack = |connection: &mut Connection| -> Result<bool, StoreError> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut damaged = Damaged::new();
            let Some(over) = packed::over(&transaction)? else { return Ok(false) };
            let has_more = packed::pack(&transaction, over, &mut damaged)?
                || sums::step(&transaction, over, &mut self.sums, &mut damaged)?;
            self.directory.quarantine().rows(METRICS_FILE, &damaged);
            transaction.commit()?;
            Ok(has_more)
        };
        match pack(&mut self.connection) {
            Err(error) if error.is_damage() => self.replace(&error).map(|()| false),
            outcome => outcome,
        }
    }

    /// Adds up all changes, so that the rows of minutes, half hours and states have all counts.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.changes.is_none() {
            self.changes = Some(Changes::load(&self.connection)?);
        }
        loop {
            let some = self.changes.as_ref().map(Changes::some).unwrap_or_default();
            if some.is_empty() {
                return Ok(());
            }
            self.add_up(&some)?;
        }
    }

    /// The number of the directory, by which a copy of it knows what it has copied before.
    pub(super) fn identify(&self) -> Result<u64, StoreError> {
        contents::identify(&self.connection)
    }

    /// The same before the rows of states change by other means.
    fn settle_alone(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        if let Some(changes) = &mut self.changes {
            changes.drop_states();
        }
        Ok(())
    }

    fn add_up(&mut self, gateways: &[i64]) -> Result<(), StoreError> {
        let Some(changes) = self.changes.as_mut().filter(|_| !gateways.is_empty()) else { return Ok(()) };
        let add_up = |connection: &mut Connection| -> Result<u64, StoreError> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut damaged = Damaged::new();
            let left_out = changes.add_up(&transaction, gateways, &mut damaged)?;
            self.directory.quarantine().rows(METRICS_FILE, &damaged);
            // Otherwise the sums are as before, only in other rows.
            let is_other = left_out > 0 || !damaged.is_empty();
            let _noted = is_other.then(|| self.directory.moments().during(Touched::Anything));
            transaction.commit()?;
            Ok(left_out)
        };
        let left_out = add_up(&mut self.connection).inspect_err(|_| self.changes = None)?;
        if left_out > 0 {
            tracing::warn!(left_out, "changes were left out, because their sums would be too large");
        }
        if let Some(changes) = &mut self.changes {
            changes.added_up(gateways);
        }
        Ok(())
    }

    /// The requests that the batch stored last has added, for the learning of routes.
    pub(super) fn take_observed(&mut self) -> Vec<learning::Observed> {
        std::mem::take(&mut self.taught).into_observed()
    }

    /// Stores learned patterns and folds the past under them. They are in force when this returns. `now` is in Unix
    /// nanoseconds.
    pub(super) fn learn(&mut self, lesson: Lesson, now: i64) -> Result<(), StoreError> {
        let Lesson { scope, patterns, requests } = lesson;
        let learned = self.with_known(&scope, patterns, requests);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        patterns::put(&transaction, &scope, &learned, now)?;
        patterns::fold(&transaction, &scope, &learned, &self.series)?;
        transaction.commit()?;
        self.patterns.put(scope, Arc::new(learned));
        Ok(())
    }

    /// What was learned, with what other replicas have learned.
    fn with_known(&self, scope: &Scope, mut patterns: Patterns, requests: u64) -> Learned {
        match self.patterns.get(scope).filter(|_| self.is_telling) {
            Some(known) => {
                patterns.merge(&known.patterns);
                Learned::new(patterns, known.requests.max(requests))
            }
            None => Learned::new(patterns, requests),
        }
    }

    /// Stores shapes, routes and their changes. Returns the keys of shapes that were stored before and are not there any
    /// more.
    pub(super) fn drift(&mut self, update: &Update) -> Result<Vec<ShapeKey>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let lost = drift::put(&transaction, update)?;
        transaction.commit()?;
        Ok(lost)
    }

    /// Stores names and groups of consumers. `now` is in Unix nanoseconds.
    pub(super) fn label(&mut self, labelled: &Labelled, now: i64) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.consumers.put_labels(&transaction, labelled, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// Stores the outcome of a probe.
    pub(super) fn probed(&mut self, probed: &Probed) -> Result<(), StoreError> {
        uptime::put_probe(&mut self.connection, probed)
    }

    /// Judges some minutes of traffic. True if there are more. `now` is in Unix nanoseconds.
    pub(super) fn judge(&mut self, now: i64) -> Result<bool, StoreError> {
        uptime::judge(&mut self.connection, now)
    }

    /// The first Unix minute that is not judged yet.
    pub(super) fn judged(&self) -> Result<Option<i64>, StoreError> {
        uptime::judged(&self.connection)
    }

    /// Notes how minutes were of which a server has the counts.
    pub(super) fn put_judged(&mut self, judged: &Judged) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        uptime::put_judged(&transaction, judged)?;
        transaction.commit()?;
        Ok(())
    }

    /// Notes which series a server has counted.
    pub(super) fn follow(&mut self, followed: &Followed) -> Result<(), StoreError> {
        let Self { connection, series, patterns, admission, .. } = self;
        let outcome = series::follow(connection, series, patterns, followed);
        if outcome.is_err() {
            // Their rows were rolled back.
            *series = load_series(connection)?;
        }
        admission.recount(series);
        outcome
    }

    /// Changes the directory of consumers. `now` is in Unix nanoseconds.
    pub(super) fn change_directory(
        &mut self,
        change: &directory::Change,
        now: i64,
    ) -> Result<directory::Outcome, StoreError> {
        super::directory::change(&mut self.connection, change, now)
    }

    /// Adds an entry to the audit log. `now` is in Unix nanoseconds.
    pub(super) fn audit(&mut self, entry: &Entry, now: i64) -> Result<(), StoreError> {
        audit::append(&self.connection, entry, now)
    }

    /// Removes some expired data. `elsewhere` is the last Unix minute of the counts, where these are on a server. `now` is in Unix
    /// nanoseconds.
    pub(super) fn prune(
        &mut self,
        retention: &Retention,
        elsewhere: Option<i64>,
        now: i64,
    ) -> Result<Pruned, StoreError> {
        let directory = Arc::clone(&self.directory);
        let _noted = directory.moments().during(Touched::Anything);
        self.settle_alone()?;
        let (pruned, oldest) = prune::prune(&mut self.connection, retention, elsewhere, now)?;
        self.instances = Instances::load(&self.connection)?;
        match (pruned, oldest) {
            (Pruned::Done, Some(oldest)) => {
                let pruned = series::remove_before(&mut self.connection, &mut self.series, oldest)?;
                self.admission.recount(&self.series);
                Ok(pruned)
            }
            (pruned, _) => Ok(pruned),
        }
    }

    /// Takes a step towards a smaller file, beginning with the oldest counts. `None` when nothing of the kind is left.
    pub(super) fn reduce(&mut self, kind: Kind) -> Result<Option<Reduced>, StoreError> {
        let directory = Arc::clone(&self.directory);
        let _noted = directory.moments().during(Touched::Anything);
        self.settle()?;
        let Self { connection, series, admission, .. } = self;
        reduce::reduce(connection, |file| {
            let reduced = reduce::remove_counts(file, kind)?;
            if let Some(Reduced { until, .. }) = reduced.filter(|_| kind == Kind::HalfHours) {
                while series::remove_before(file, series, until.div_euclid(60_000_000_000))? == Pruned::More {
                }
                admission.recount(series);
            }
            Ok(reduced)
        })
    }

    /// Takes damaged rows out of the file.
    pub(super) fn set_aside(&mut self, rows: &[Bad]) -> Result<(), StoreError> {
        let directory = Arc::clone(&self.directory);
        let _noted = directory.moments().during(Touched::Anything);
        let path = self.directory.path().join(METRICS_FILE);
        let settled = self.settle_alone();
        match settled.and_then(|()| verify::set_aside(&mut self.connection, &path, rows)) {
            // The pages around them are damaged, too.
            Err(error) if error.is_damage() => self.replace(&error),
            damages => {
                damages?.into_iter().for_each(|damage| self.directory.quarantine().add(damage));
                Ok(())
            }
        }
    }

    /// Replaces the damaged file by one with what can be read of it.
    pub(super) fn replace(&mut self, why: &StoreError) -> Result<(), StoreError> {
        let directory = Arc::clone(&self.directory);
        let _noted = directory.moments().during(Touched::Anything);
        self.connection = Connection::open_in_memory()?;
        let replaced = salvage::replace(&self.directory, &self.directory.path().join(METRICS_FILE), why);
        let patterns = Arc::clone(&self.patterns);
        let is_telling = self.is_telling;
        *self = Self::open(Arc::clone(&self.directory), Arc::clone(&self.admission), patterns)?;
        if is_telling {
            // The changes that were not told yet may be lost.
            self.begin_telling(Past::Untold)?;
        }
        replaced
    }

    /// Moves the journal into the file. False if a reader is in the way.
    pub(super) fn checkpoint(&self) -> Result<bool, StoreError> {
        reduce::checkpoint(&self.connection)
    }

    /// Removes the counts that a selection takes, and their senders. `now` is in Unix nanoseconds.
    pub(super) fn forget(
        &mut self,
        selection: &Selection,
        deed: Deed,
        now: i64,
    ) -> Result<Forgotten, StoreError> {
        let directory = Arc::clone(&self.directory);
        let _noted = directory.moments().during(Touched::Anything);
        self.settle_alone()?;
        let (forgotten, scopes) = forget::counters(&mut self.connection, selection, deed, now)?;
        if deed == Deed::Remove {
            self.series = load_series(&self.connection)?;
            self.consumers = Consumers::load(&self.connection)?;
            self.instances = Instances::load(&self.connection)?;
            self.releases.forget();
            self.heartbeats.forget();
            self.admission.recount(&self.series);
            scopes.iter().for_each(|scope| self.patterns.remove(scope));
        }
        Ok(forgotten)
    }

    /// Commits something small, to find out whether a commit is possible.
    pub(super) fn probe(&mut self, now: i64) -> Result<(), StoreError> {
        let mut write = self.connection.prepare_cached("INSERT OR REPLACE INTO probe VALUES (1, ?)")?;
        write.execute([now])?;
        Ok(())
    }

    fn store_in_one(
        &mut self,
        (keeping, batch): (Keeping, &MetricBatch),
        now: i64,
        fresh: &mut HashSet<i64>,
    ) -> Result<Stored, StoreError> {
        let changes = match &mut self.changes {
            Some(changes) => changes,
            none => none.insert(Changes::load(&self.connection)?),
        };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(identity) = &batch.identity {
            if is_repeat(&transaction, Signal::Metrics, identity)? {
                return Ok(Stored::Repeat);
            }
            note_batch(&transaction, Signal::Metrics, identity, now, || None)?;
        }
        if self.marked != Some(keeping) {
            mark(&transaction, keeping, now)?;
            self.marked = Some(keeping);
        }
        let mut rejected = Rejections::default();
        let mut touched = BTreeSet::new();
        let mut counted = Counted::new();
        let mut taught = learning::Counted::default();
        let mut damaged = Damaged::new();
        for part in &batch.parts {
            if let Err(reason) = self.admission.instance(&part.gateway, batch.standing, now) {
                rejected.add(reason, part.points.len() as u64);
                continue;
            }
            let gateway = note_gateway(&transaction, &part.gateway, now)?;
            self.releases.note(&transaction, gateway, &part.gateway, now)?;
            self.heartbeats.note(&transaction, gateway, &part.gateway, now)?;
            note_tags(&transaction, gateway, &part.gateway.tags)?;
            if let Some(report) = &part.report {
                note_report(&transaction, (gateway, &part.gateway.direction), report)?;
            }
            note_redaction(&transaction, gateway, &part.redaction)?;
            if keeping == Keeping::Senders {
                for point in &part.points {
                    let news = self.heard.news(gateway, point);
                    if news > 0 {
                        self.consumers.add(&mut counted, &point.series, minute_of(point.time));
                    }
                    if part.gateway.infers_routes() {
                        taught.add(&point.series, news);
                    }
                }
                continue;
            }
            let unknown = match is_expired(&transaction, gateway)? {
                true => Known::Forgotten,
                false => Known::Nothing,
            };
            let mut changed = Part::new(gateway, now);
            for point in &part.points {
                let Advance { added: news, state } = match point.temporality {
                    Temporality::Delta => Advance { added: point.values.clone(), state: None },
                    Temporality::Cumulative => {
                        let known = changes.state(&transaction, gateway, point, &mut damaged)?;
                        accumulate::advance(known.unwrap_or_else(|| unknown.clone()), &point.values)
                    }
                };
                // A point without news makes no series: its series may have been removed with the counts in it.
                if news.is_empty() && state.is_none() {
                    continue;
                }
                let table = SeriesTable {
                    known: &mut self.series,
                    admission: &self.admission,
                    instance: &part.gateway.instance,
                    standing: batch.standing,
                    now,
                    patterns: &self.patterns,
                    fresh,
                };
                let series = match series_id(&transaction, table, &point.series)? {
                    Ok(series) => series,
                    Err(reason) => {
                        rejected.add(reason, 1);
                        continue;
                    }
                };
                let minute = minute_of(point.time);
                let mut instance = instances::UNKNOWN;
                if !news.is_empty() {
                    touched.insert(half_hour_of(minute));
                    self.consumers.add(&mut counted, &point.series, minute);
                    if part.gateway.infers_routes() {
                        taught.add(&point.series, news.duration.count);
                    }
                    instance = self.instances.row(&transaction, &part.gateway.instance, minute)?;
                }
                let place = Place { minute, series, instance };
                changes.add(&transaction, &mut changed, (place, point), (&news, state), &mut damaged)?;
            }
            let left_out = changes.end(&transaction, changed, &mut damaged)?;
            rejected.add(Rejection::Overflow, left_out);
        }
        // Noted first: a row that begins anew must not do so unseen.
        self.directory.quarantine().rows(METRICS_FILE, &damaged);
        note_counted(&transaction, &counted)?;
        let noted = self.directory.moments().during(Touched::HalfHours(touched));
        transaction.commit()?;
        drop(noted);
        self.consumers.committed(counted);
        self.taught = taught;
        Ok(Stored::New { rejected, is_elsewhere: false })
    }
}

/// The columns that [`read_series`] reads, and that make a series what it is.
pub(crate) const SERIES_COLUMNS: &str = "service, environment, version, direction, consumer, method, route, \
    route_source, host, upstream_cluster, status, grpc_status, error_type, overflow";

/// Number of [`SERIES_COLUMNS`], behind which a statement may ask for more.
pub(crate) const SERIES_COLUMN_COUNT: usize = 14;

/// Stands for "no gRPC status", because SQLite takes rows with NULL for different ones.
const NO_GRPC_STATUS: i64 = -1;

fn load_series(connection: &Connection) -> Result<HashMap<SeriesKey, i64>, StoreError> {
    let mut all = connection.prepare(&format!("SELECT {SERIES_COLUMNS}, id FROM series"))?;
    // Most texts occur in many series, and all of these stay in memory.
    let mut texts = HashSet::<Arc<str>>::new();
    let mut share = |text: &mut Arc<str>| match texts.get(text) {
        Some(known) => *text = Arc::clone(known),
        None => drop(texts.insert(Arc::clone(text))),
    };
    let rows = all.query_map([], |row| {
        let mut series = read_series(row)?;
        series.texts().into_iter().for_each(&mut share);
        Ok((series, row.get(SERIES_COLUMN_COUNT)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A series out of the columns of [`SERIES_COLUMNS`], which come first in a row.
pub(crate) fn read_series(row: &Row<'_>) -> rusqlite::Result<SeriesKey> {
    Ok(SeriesKey {
        service: row.get(0)?,
        environment: row.get(1)?,
        version: row.get(2)?,
        direction: row.get(3)?,
        consumer: row.get(4)?,
        method: row.get(5)?,
        route: row.get(6)?,
        route_source: row.get(7)?,
        host: row.get(8)?,
        upstream_cluster: row.get(9)?,
        status: row.get(10)?,
        grpc_status: u8::try_from(row.get::<_, i64>(11)?).ok(),
        error_type: row.get(12)?,
        overflow: row.get(13)?,
    })
}

/// All series, while a batch is stored.
struct SeriesTable<'a> {
    known: &'a mut HashMap<SeriesKey, i64>,
    admission: &'a Admission,
    /// That sends the batch.
    instance: &'a str,
    standing: Standing,
    /// Unix nanoseconds.
    now: i64,
    patterns: &'a KnownPatterns,
    /// Those that the batch brought.
    fresh: &'a mut HashSet<i64>,
}

/// The row of a series, made when it is new; the reason when there are too many. A series that patterns fold has its own row
/// only if it was counted before they were learned; later points count in the row of the pattern. The state of their
/// stream does not depend on the row, so each request still counts once.
fn series_id(
    transaction: &Transaction<'_>,
    table: SeriesTable<'_>,
    key: &SeriesKey,
) -> Result<Result<i64, Rejection>, StoreError> {
    let SeriesTable { known, admission, instance, standing, now, patterns, fresh } = table;
    if let Some(id) = known.get(key) {
        return Ok(Ok(*id));
    }
    let pattern = pattern_of(key, patterns);
    let key = pattern.as_ref().unwrap_or(key);
    if let Some(id) = known.get(key) {
        return Ok(Ok(*id));
    }
    if let Err(reason) = admission.series(key, (instance, standing), now) {
        return Ok(Err(reason));
    }
    let id = insert_series(transaction, key)?;
    known.insert(key.clone(), id);
    fresh.insert(id);
    Ok(Ok(id))
}

/// The series that stands for another one that patterns fold.
pub(super) fn pattern_of(key: &SeriesKey, patterns: &KnownPatterns) -> Option<SeriesKey> {
    let learned = patterns.get(&Scope::of_series(key));
    let route = learned.and_then(|learned| folded(key, &learned.patterns));
    route.map(|route| SeriesKey { route: route.into(), ..key.clone() })
}

/// Makes the row of a series, and returns its id.
pub(super) fn insert_series(transaction: &Transaction<'_>, key: &SeriesKey) -> Result<i64, StoreError> {
    transaction
        .prepare_cached(&format!(
            "INSERT INTO series ({SERIES_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?
        .execute(params![
            key.service,
            key.environment,
            key.version,
            key.direction,
            key.consumer,
            key.method,
            key.route,
            key.route_source,
            key.host,
            key.upstream_cluster,
            key.status,
            key.grpc_status.map_or(NO_GRPC_STATUS, i64::from),
            key.error_type,
            key.overflow,
        ])?;
    Ok(transaction.last_insert_rowid())
}

/// The mark of files whose counts are on a server.
const ELSEWHERE: &str = "elsewhere";

/// Notes where the counts of a file are.
fn mark(transaction: &Transaction<'_>, keeping: Keeping, now: i64) -> Result<(), StoreError> {
    match keeping {
        Keeping::Counts => {
            transaction.execute("DELETE FROM retention_marks WHERE name = ?", [ELSEWHERE])?;
        }
        Keeping::Senders => {
            transaction
                .execute("INSERT OR IGNORE INTO retention_marks VALUES (?, ?)", params![ELSEWHERE, now])?;
        }
    }
    Ok(())
}

/// Whether the counts of a file are on a server.
pub(crate) fn is_elsewhere(file: &Connection) -> Result<bool, StoreError> {
    Ok(file.prepare("SELECT 1 FROM retention_marks WHERE name = ?")?.exists([ELSEWHERE])?)
}

fn is_expired(transaction: &Transaction<'_>, gateway: i64) -> Result<bool, StoreError> {
    let mut find = transaction.prepare_cached("SELECT 1 FROM expired_gateways WHERE gateway_id = ?")?;
    Ok(find.exists([gateway])?)
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// SQLite's integers are signed; what does not fit stays at the highest.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
