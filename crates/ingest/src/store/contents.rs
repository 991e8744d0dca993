//! All that a directory holds of counts and of the request log, for a copy to another store. The directory is locked
//! meanwhile, and no change waits to be added up.

use super::METRICS_FILE;
use super::changes::{self, StreamState};
use super::data_dir::DataDir;
use super::metrics::{Metrics, SERIES_COLUMN_COUNT, SERIES_COLUMNS, read_series};
use super::packed::{AddedUp, Loose, Packed, PackedTable};
use super::rollups::{self, HALF_HOURS, MINUTES, RollupTable};
use super::totals::{self, Total};
use super::{
    Admission, StoreError, chunk, day_files, instances, lock, minutes_since, open_read, patterns, salvage,
};
use crate::limits::Limits;
use crate::model::{Columns, Gateway, RequestPart, Scope, SeriesKey, Values};
use crate::patterns::Learned;
use rusqlite::{Connection, OptionalExtension, params};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HALF_HOUR: i64 = HALF_HOURS.width;
/// Bytes of chunks that are read at a time.
const CHUNK_BYTES: usize = 8 << 20;

/// The contents of a directory that no service uses.
pub(crate) struct Contents {
    data: Arc<DataDir>,
    file: Connection,
    packed: Packed,
    id: u64,
    minutes_since: i64,
    damaged: u64,
    _lock: std::fs::File,
}

/// A series of the directory.
pub(crate) struct StoredSeries {
    /// Under the route that it is shown with.
    pub(crate) shown: SeriesKey,
    /// Under the route that its sender reports; `None` where learned patterns may have replaced that.
    pub(crate) reported: Option<SeriesKey>,
}

/// All that a series ever counted, one total for each list of bounds.
pub(crate) struct StoredTotals {
    /// Under the route that it is shown with.
    pub(crate) series: SeriesKey,
    /// Only totals are left of it.
    pub(crate) has_ended: bool,
    pub(crate) totals: Vec<Total>,
}

/// Totals by the bounds at which their durations are counted.
type ByBounds = BTreeMap<Arc<[u64]>, Total>;

/// The counts of a series at an instance, in a minute or a half hour.
pub(crate) struct StoredCounts {
    /// The first Unix minute.
    pub(crate) minute: i64,
    pub(crate) series: i64,
    /// [`instances::UNKNOWN`], too, where the parts of several instances are not kept.
    pub(crate) instance: i64,
    pub(crate) values: Values,
}

/// An epoch of a gateway: its instance, its epoch and its environment.
pub(crate) struct StoredSender {
    id: i64,
    /// Unix nanoseconds.
    last_seen: i64,
    pub(crate) sender: Gateway,
}

/// The latest state of a cumulative stream.
pub(crate) struct StoredState {
    pub(crate) start: i64,
    pub(crate) stream: i64,
    pub(crate) series: i64,
    /// When its counts changed, or when its gateway reported last, Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) values: Values,
}

/// A chunk of the request log.
pub(crate) struct StoredChunk {
    pub(crate) id: i64,
    /// The start of its latest request, Unix nanoseconds.
    pub(crate) latest: i64,
    pub(crate) part: RequestPart,
}

/// The tables of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Minutes,
    /// Of before the minutes that are kept.
    HalfHours,
}

impl Contents {
    /// Locks a directory, brings its counters up to date and adds up what waits.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let data = Arc::new(DataDir::new(path.to_owned()));
        let lock = lock(path)?;
        salvage::settle(path)?;
        let admission = Arc::new(Admission::new(&Limits::default()));
        let mut metrics = Metrics::open(Arc::clone(&data), admission, Arc::default())?;
        metrics.settle()?;
        let id = metrics.identify()?;
        drop(metrics);
        let counters = path.join(METRICS_FILE);
        let Some(file) = open_read(&counters)? else {
            return Err(StoreError::Damaged { path: counters, reason: "it has no tables".to_owned() });
        };
        let minutes_since = minutes_since(&file)?;
        Ok(Self { data, file, packed: Packed::default(), id, minutes_since, damaged: 0, _lock: lock })
    }

    /// The number of the directory, which also its backups have.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Rows and chunks that could not be read so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// All series by their numbers.
    pub(crate) fn series(&self) -> Result<HashMap<i64, StoredSeries>, StoreError> {
        let learned: HashMap<Scope, Learned> = patterns::load(&self.file)?.into_iter().collect();
        let mut select = self.file.prepare(&format!("SELECT {SERIES_COLUMNS}, id, folded FROM series"))?;
        let mut rows = select.query([])?;
        let mut all = HashMap::new();
        while let Some(row) = rows.next()? {
            let series = read_series(row)?;
            let folded: Option<String> = row.get(SERIES_COLUMN_COUNT + 1)?;
            // A stream that came after its pattern counts in the row of the pattern.
            let is_pattern = folded.is_none()
                && series.has_inferred_route()
                && learned.contains_key(&Scope::of_series(&series));
            let shown = match folded {
                Some(route) => SeriesKey { route: route.into(), ..series.clone() },
                None => series.clone(),
            };
            let reported = (!is_pattern).then_some(series);
            all.insert(row.get(SERIES_COLUMN_COUNT)?, StoredSeries { shown, reported });
        }
        Ok(all)
    }

    /// The totals of all series, and of those that have ended.
    pub(crate) fn totals(&self) -> Result<Vec<StoredTotals>, StoreError> {
        let mut keys: HashMap<i64, SeriesKey> =
            self.series()?.into_iter().map(|(id, series)| (id, series.shown)).collect();
        let mut select = self.file.prepare(&format!("SELECT {SERIES_COLUMNS}, id FROM ended_series"))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            keys.insert(-row.get::<_, i64>(SERIES_COLUMN_COUNT)?, read_series(row)?);
        }
        // Series that are shown under the same route are one, and so are several that ended one after the other.
        let mut all: HashMap<SeriesKey, (bool, ByBounds)> = HashMap::new();
        totals::each(&self.file, |series, total| {
            let Some(key) = keys.get(&series) else { return Ok(()) };
            let (is_live, totals) = all.entry(key.clone()).or_default();
            *is_live |= series >= 0;
            match totals.get_mut(total.by_bound.bounds()) {
                Some(sum) => {
                    sum.add(&total);
                    sum.since = sum.since.min(total.since);
                }
                None => drop(totals.insert(Arc::clone(total.by_bound.bounds()), total)),
            }
            Ok::<_, StoreError>(())
        })?;
        let stored = |(series, (is_live, totals)): (_, (bool, ByBounds))| StoredTotals {
            series,
            has_ended: !is_live,
            totals: totals.into_values().collect(),
        };
        Ok(all.into_iter().map(stored).collect())
    }

    /// The names of instances by their numbers.
    pub(crate) fn instances(&self) -> Result<HashMap<i64, String>, StoreError> {
        instances::names(&self.file)
    }

    /// The last Unix minute with counts; `None` without any.
    pub(crate) fn last_minute(&self) -> Result<Option<i64>, StoreError> {
        let one = |question: &str| self.file.query_row(question, [], |row| row.get::<_, Option<i64>>(0));
        // The last pack may have rows of its first minutes only.
        let last = ["SELECT max(minute) FROM minutes", "SELECT max(until) FROM packed_minutes"].map(one);
        let [rows, packs] = last;
        Ok(rows?.max(packs?))
    }

    /// The first half hour with counts that begins at a Unix minute or later.
    pub(crate) fn half_hour_from(&self, width: Width, minute: i64) -> Result<Option<i64>, StoreError> {
        let minute = match width {
            Width::Minutes => minute.max(self.minutes_since),
            Width::HalfHours => minute,
        };
        let one = |question: &str| {
            let mut select = self.file.prepare_cached(question)?;
            select.query_row([minute], |row| row.get::<_, Option<i64>>(0))
        };
        let found = match width {
            Width::HalfHours => one("SELECT min(minute) FROM half_hours WHERE minute >= ?")?
                .filter(|half_hour| *half_hour < self.minutes_since),
            Width::Minutes => {
                let all = [
                    one("SELECT min(minute) FROM minutes WHERE minute >= ?")?,
                    one("SELECT min(half_hour) FROM packed_minutes WHERE half_hour >= ?")?,
                ];
                all.into_iter().flatten().min()
            }
        };
        Ok(found.map(|minute| minute.div_euclid(HALF_HOUR) * HALF_HOUR))
    }

    /// The counts of a stretch of Unix minutes, the end exclusive, by minute, series and instance.
    pub(crate) fn counts(
        &mut self,
        width: Width,
        (from, to): (i64, i64),
    ) -> Result<Vec<StoredCounts>, StoreError> {
        let table = match width {
            Width::Minutes => &MINUTES,
            Width::HalfHours => &HALF_HOURS,
        };
        let mut found: BTreeMap<(i64, i64), Parts> = BTreeMap::new();
        if width == Width::Minutes {
            self.add_packed((from, to), &mut found)?;
        }
        self.add_rows(table, (from, to), &mut found)?;
        let mut sums = AddedUp::new();
        for row in found.into_values().flat_map(Parts::into_rows) {
            sums.add((row.minute, row.series, row.instance), Cow::Owned(row));
        }
        let sums = sums.into_rows().map(|((minute, series, instance), row)| {
            let values = row.values();
            StoredCounts { minute, series, instance, values }
        });
        Ok(sums.collect())
    }

    fn add_packed(
        &self,
        minutes: (i64, i64),
        found: &mut BTreeMap<(i64, i64), Parts>,
    ) -> Result<(), StoreError> {
        for table in [PackedTable::Sums, PackedTable::ByGateway] {
            self.packed.each(&self.file, (table, None), minutes, |row, sketches| {
                let sketches = sketches.map(|sketch| sketch.encode());
                let (minute, series, instance) = (row.minute, row.series, row.instance);
                let row = Loose { minute, series, instance, counts: row.counts, sketches };
                found.entry((minute, series)).or_default().add(row, table == PackedTable::ByGateway);
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(())
    }

    fn add_rows(
        &mut self,
        table: &RollupTable,
        (from, to): (i64, i64),
        found: &mut BTreeMap<(i64, i64), Parts>,
    ) -> Result<(), StoreError> {
        for (name, is_part) in [(table.sums, false), (table.by_gateway, true)] {
            let condition = "minute >= ?1 AND minute < ?2";
            for row in rollups::read_rows(&self.file, table, name, condition, &[from, to])? {
                match row {
                    Ok(row) => found.entry((row.minute, row.series)).or_default().add(row, is_part),
                    Err(_) => self.damaged += 1,
                }
            }
        }
        Ok(())
    }

    /// The epochs of gateways.
    pub(crate) fn senders(&self) -> Result<Vec<StoredSender>, StoreError> {
        let mut select = self
            .file
            .prepare("SELECT id, last_seen, instance, epoch, environment FROM gateways ORDER BY id")?;
        let rows = select.query_map([], |row| {
            let sender = Gateway {
                instance: row.get(2)?,
                epoch: row.get(3)?,
                environment: row.get(4)?,
                ..Gateway::default()
            };
            Ok(StoredSender { id: row.get(0)?, last_seen: row.get(1)?, sender })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The states of the streams of an epoch.
    pub(crate) fn states_of(&mut self, sender: &StoredSender) -> Result<Vec<StoredState>, StoreError> {
        let (mut all, mut damaged) = (Vec::new(), 0);
        changes::states_of(&self.file, sender.id, |(start, stream), state| match state {
            StreamState::Known { values, series, time } => {
                all.push(StoredState { start, stream, series, time: time.max(sender.last_seen), values });
            }
            StreamState::Unreadable => damaged += 1,
        })?;
        self.damaged += damaged;
        Ok(all)
    }

    /// The days of the request log, the earliest first.
    pub(crate) fn log_days(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut days = day_files(self.data.path())?;
        days.reverse();
        Ok(days.into_iter().map(|(path, _)| path).collect())
    }

    /// Opens a day of the request log; `None` where it has no tables.
    pub(crate) fn open_log(&self, path: &Path) -> Result<Option<Connection>, StoreError> {
        open_read(path)
    }

    /// The next chunks of a day after one, by their numbers; none after the last.
    pub(crate) fn chunks(&mut self, day: &Connection, after: i64) -> Result<Vec<StoredChunk>, StoreError> {
        let mut select = day.prepare_cached(
            "SELECT id, t1, gateway, service, environment, data FROM chunks WHERE id > ? ORDER BY id",
        )?;
        let mut rows = select.query(params![after])?;
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let data = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
            bytes += data.len();
            let events = chunk::decode(data);
            if events.is_none() {
                self.damaged += 1;
            }
            let gateway = Gateway {
                instance: row.get(2)?,
                service: row.get(3)?,
                environment: row.get(4)?,
                ..Gateway::default()
            };
            let part = RequestPart { gateway, events: Columns::of(&events.unwrap_or_default()) };
            chunks.push(StoredChunk { id: row.get(0)?, latest: row.get(1)?, part });
            if bytes >= CHUNK_BYTES {
                break;
            }
        }
        Ok(chunks)
    }

    /// Bytes of the files that a copy reads.
    pub(crate) fn bytes(&self) -> u64 {
        let copied = |kind: &str| ["counters", "requests"].contains(&kind);
        self.data.sizes().iter().filter(|(kind, _)| copied(kind)).map(|(_, bytes)| bytes).sum()
    }
}

/// The rows of a series in a minute or half hour.
#[derive(Default)]
struct Parts {
    /// Those that one instance counted alone.
    alone: Vec<Loose>,
    /// Sums of several instances.
    several: Vec<Loose>,
    /// The parts of these.
    by_gateway: Vec<Loose>,
}

impl Parts {
    fn add(&mut self, row: Loose, is_part: bool) {
        match () {
            () if is_part => self.by_gateway.push(row),
            () if row.instance < instances::UNKNOWN => self.several.push(row),
            () => self.alone.push(row),
        }
    }

    /// Rows by instance with the same sum: the sums themselves where the parts are not kept, or not all of them.
    fn into_rows(self) -> impl Iterator<Item = Loose> {
        let Self { alone, several, by_gateway } = self;
        let requests = |rows: &[Loose]| rows.iter().map(|row| u128::from(row.counts[0])).sum::<u128>();
        let rest = match requests(&several) == requests(&by_gateway) {
            true => by_gateway,
            false => several.into_iter().map(|row| Loose { instance: instances::UNKNOWN, ..row }).collect(),
        };
        alone.into_iter().chain(rest)
    }
}

/// Gives a directory a number of its own, or finds the one that it has.
pub(super) fn identify(file: &Connection) -> Result<u64, StoreError> {
    const NAME: &str = "copied_as";
    let find = || {
        let mut find = file.prepare("SELECT since FROM retention_marks WHERE name = ?")?;
        find.query_row([NAME], |row| row.get::<_, i64>(0)).optional()
    };
    if find()?.is_none() {
        // Each has keys of its own, of random numbers of the system.
        let number = RandomState::new().build_hasher().finish() as i64;
        file.execute("INSERT INTO retention_marks VALUES (?, ?)", params![NAME, number])?;
    }
    Ok(find()?.unwrap_or_default() as u64)
}
