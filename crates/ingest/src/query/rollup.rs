//! Adding up rollups by group, from the coarsest table that fits.

mod parts;

use super::dimension::{Dimension, Group};
use super::filter::Filter;
use super::kept::Keeper;
use super::labels::Labels;
use super::quantiles::Quantiles;
use super::range::Range;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::{ConsumerLabel, SENDER, SeriesKey};
use crate::store::changes::{Change, Recent};
use crate::store::instances;
use crate::store::metrics::{SERIES_COLUMN_COUNT, SERIES_COLUMNS, read_series};
use crate::store::narrow::Without;
use crate::store::packed::{Buckets, Packed, PackedTable, Row as PackedRow};
use crate::store::rollups::{self, RollupTable};
use crate::store::{minutes_since, sums};
pub(crate) use parts::Part;
use parts::Piece;
use rusqlite::{CachedStatement, Connection};
use std::collections::HashMap;

/// Nanoseconds of the finest rollup.
pub(crate) const MINUTE_NANOS: i64 = 60_000_000_000;
const HALF_HOUR_MINUTES: i64 = 30;

/// The sums of one group.
#[derive(Default, Clone)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) attempts: u64,
    pub(crate) duration: Quantiles,
    pub(crate) upstream: Quantiles,
    pub(crate) gateway: Quantiles,
}

impl Sums {
    /// The sums at a place, made when there are none.
    pub(crate) fn at(all: &mut Vec<Option<Self>>, place: usize) -> &mut Self {
        at(all, place)
    }

    /// Adds requests, bytes of requests and of responses, and attempts.
    pub(crate) fn count(
        &mut self,
        [requests, request_bytes, response_bytes, attempts]: [u64; 4],
        is_error: bool,
    ) {
        let add = |sum: &mut u64, value| *sum = sum.saturating_add(value);
        add(&mut self.requests, requests);
        add(&mut self.errors, if is_error { requests } else { 0 });
        add(&mut self.request_bytes, request_bytes);
        add(&mut self.response_bytes, response_bytes);
        add(&mut self.attempts, attempts);
    }
}

/// The sum of a group, made when there is none.
fn at<T: Clone + Default>(sums: &mut Vec<Option<T>>, group: usize) -> &mut T {
    if sums.len() <= group {
        sums.resize(group + 1, None);
    }
    sums[group].get_or_insert_default()
}

/// What is known of a group beside its counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// The name and the group of the consumer, where counts are grouped by consumer.
    pub(crate) label: ConsumerLabel,
    /// Whether a sender that is not a gateway of ours has counted in it: with buckets of its own choice, which may be wide.
    pub(crate) has_other_senders: bool,
}

/// The groups of a query, and which series belongs to which.
pub(crate) struct Groups {
    pub(crate) all: Vec<Group>,
    /// What is known of each beside its counts.
    pub(crate) about: Vec<About>,
    /// By the row of each series, as rows are handed out one by one: the group, and whether its requests are errors. It is
    /// as long as there are series, whether the filter takes them or not.
    of_series: Vec<Option<(usize, bool)>>,
    /// Where gateways matter.
    gateways: Option<Gateways>,
    /// What neither the filter nor the grouping asks for.
    without: Option<Without>,
}

/// The gateways that a query is about.
struct Gateways {
    /// The names of those that the filter takes, by row.
    names: HashMap<i64, String>,
    places: Places,
}

/// Where the counts of a series at a gateway go.
enum Places {
    /// Into the group of the series.
    OfSeries,
    /// Into groups by gateway: by the group of the series, and the row of the gateway. They are found in the rollups.
    ByGateway { known: HashMap<(usize, i64), usize>, max: usize },
    /// The same, when no further groups are wanted.
    Closed(HashMap<(usize, i64), usize>),
}

impl Groups {
    /// Sorts the series that a filter takes into groups, as many as one answer may have.
    pub(crate) fn find(
        counted: &dyn Counted,
        filter: &Filter,
        by: &[Dimension],
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        Self::find_up_to(counted, filter, by, limits.groups)
    }

    /// The same for at most `max` groups.
    pub(crate) fn find_up_to(
        counted: &dyn Counted,
        filter: &Filter,
        by: &[Dimension],
        max: usize,
    ) -> Result<Self, QueryError> {
        let gateways = gateways(counted, filter, by, max)?;
        let without = without(filter, by);
        let mut found = Self { all: Vec::new(), about: Vec::new(), of_series: Vec::new(), gateways, without };
        let by_consumer = by.contains(&Dimension::Consumer);
        let by_group = by.contains(&Dimension::ConsumerGroup) || filter.asks_for(Dimension::ConsumerGroup);
        let mut labels = Labels::of(Some(counted.file()).filter(|_| by_consumer || by_group));
        let mut places: HashMap<Group, usize> = HashMap::new();
        counted.each_series(&mut |id, series| {
            if found.of_series.len() <= id {
                found.of_series.resize(id + 1, None);
            }
            let label =
                labels.get(&series.service, &series.environment, &series.direction, &series.consumer)?;
            if !filter.takes_series(&series, &label.group) {
                return Ok(());
            }
            let group = Group::of(&series, &label.group, by);
            let place = *places.entry(group).or_insert_with_key(|group| {
                found.all.push(group.clone());
                found.about.push(About::default());
                found.all.len() - 1
            });
            if let Some(known) = found.about.get_mut(place) {
                known.has_other_senders |= &*series.route_source == SENDER;
                if by_consumer {
                    known.label.complete(label);
                }
            }
            found.of_series[id] = Some((place, series.is_error()));
            Ok(())
        })?;
        if found.all.len() > max {
            return Err(too_many(max));
        }
        Ok(found)
    }

    /// The group of each series by its row, and whether its requests are errors.
    pub(crate) fn of_series(&self) -> &[Option<(usize, bool)>] {
        &self.of_series
    }

    /// What neither the filter nor the grouping asks for: series that differ in it alone are in the same group.
    pub(crate) fn without(&self) -> Option<Without> {
        self.without
    }

    /// Whether counts must be told apart by gateway.
    pub(crate) fn need_gateways(&self) -> bool {
        self.gateways.is_some()
    }

    /// Whether reading rollups finds further groups.
    pub(crate) fn may_grow(&self) -> bool {
        matches!(&self.gateways, Some(Gateways { places: Places::ByGateway { .. }, .. }))
    }

    /// Leaves these groups alone, which get the places 0, 1, 2 … in the order given.
    pub(crate) fn keep(&mut self, kept: &[usize]) {
        let new: HashMap<usize, usize> = kept.iter().copied().zip(0..).collect();
        self.all = kept.iter().filter_map(|place| self.all.get(*place).cloned()).collect();
        self.about = kept.iter().filter_map(|place| self.about.get(*place).cloned()).collect();
        if let Some(Gateways { places, .. }) = &mut self.gateways
            && let Places::ByGateway { known, .. } = places
        {
            let moved = known.drain().filter_map(|(key, place)| Some((key, *new.get(&place)?)));
            *places = Places::Closed(moved.collect());
            return;
        }
        for series in &mut self.of_series {
            *series = series.and_then(|(place, is_error)| Some((*new.get(&place)?, is_error)));
        }
    }

    /// The group of a series at a gateway, and whether its requests are errors.
    fn place(&mut self, series: i64, instance: i64) -> Result<Option<(usize, bool)>, QueryError> {
        let series = usize::try_from(series).unwrap_or_default();
        let Some(&Some((place, is_error))) = self.of_series.get(series) else { return Ok(None) };
        Ok(self.place_at(place, instance)?.map(|place| (place, is_error)))
    }

    /// The group of counts of a group of series at a gateway.
    pub(crate) fn place_at(&mut self, place: usize, instance: i64) -> Result<Option<usize>, QueryError> {
        let Some(Gateways { names, places }) = &mut self.gateways else { return Ok(Some(place)) };
        let Some(name) = names.get(&instance) else { return Ok(None) };
        let place = match places {
            Places::OfSeries => place,
            Places::Closed(known) => match known.get(&(place, instance)) {
                Some(place) => *place,
                None => return Ok(None),
            },
            Places::ByGateway { known, max } => match known.get(&(place, instance)) {
                Some(place) => *place,
                None if known.len() >= *max => return Err(too_many(*max)),
                None => {
                    let (group, about) = (self.all[place].at_gateway(name), self.about[place].clone());
                    self.all.push(group);
                    self.about.push(about);
                    known.insert((place, instance), self.all.len() - 1);
                    self.all.len() - 1
                }
            },
        };
        Ok(Some(place))
    }
}

/// What a question does not ask for, so that series that differ only in it are in the same group.
fn without(filter: &Filter, by: &[Dimension]) -> Option<Without> {
    let asks = |dimension: &Dimension| by.contains(dimension) || filter.asks_for(*dimension);
    let by_consumer = [Dimension::Consumer, Dimension::ConsumerGroup].iter().any(asks);
    match (by_consumer, asks(&Dimension::Route)) {
        (false, false) => Some(Without::ConsumerAndRoute),
        (false, true) => Some(Without::Consumer),
        (true, false) => Some(Without::Route),
        (true, true) => None,
    }
}

/// The gateways of a query, where they matter. The one without a name stands for all that name none.
fn gateways(
    counted: &dyn Counted,
    filter: &Filter,
    by: &[Dimension],
    max: usize,
) -> Result<Option<Gateways>, QueryError> {
    let by_gateway = by.contains(&Dimension::Gateway);
    if !by_gateway && !filter.asks_for(Dimension::Gateway) {
        return Ok(None);
    }
    let mut names = counted.instances()?;
    names.insert(instances::UNKNOWN, String::new());
    names.retain(|_, name| filter.takes_gateway(name));
    let places = if by_gateway { Places::ByGateway { known: HashMap::new(), max } } else { Places::OfSeries };
    Ok(Some(Gateways { names, places }))
}

fn too_many(max: usize) -> QueryError {
    let message =
        format!("the answer would have more than {max} groups: add a filter, or group by fewer dimensions");
    QueryError::TooMuch { field: "group_by", message }
}

/// The tables of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Minutes,
    HalfHours,
}

impl Table {
    fn stored(self) -> &'static RollupTable {
        match self {
            Self::Minutes => &rollups::MINUTES,
            Self::HalfHours => &rollups::HALF_HOURS,
        }
    }
}

/// Counts that questions add up: those of the file, or those of a server.
pub(crate) trait Counted {
    /// Calls `each` with every series, under the route that it is shown with. Their numbers are those of [`Groups`].
    fn each_series(
        &self,
        each: &mut dyn FnMut(usize, SeriesKey) -> Result<(), QueryError>,
    ) -> Result<(), QueryError>;

    /// The file with what is known beside counts: the names of consumers, and senders with their coarse intervals.
    fn file(&self) -> &Connection;

    /// The names of instances by the number that stands for them.
    fn instances(&self) -> Result<HashMap<i64, String>, QueryError>;

    /// The first Unix minute of which minutes are kept.
    fn since(&self) -> Result<i64, QueryError>;

    /// The first Unix minute of which the counts know their instances.
    fn instances_since(&self) -> Result<i64, QueryError>;

    /// Announces that these Unix minutes are asked for in steps of so many minutes.
    fn expect(&self, minutes: (i64, i64), step: i64, groups: &Groups) -> Result<(), QueryError>;

    /// Adds the counts of these Unix minutes to the sums of their groups, of which there may be more then. Sums that are kept
    /// are not read again.
    fn add_up(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        keeper: Option<&mut Keeper<'_>>,
        sums: &mut Vec<Option<Sums>>,
    ) -> Result<(), QueryError>;

    /// Adds the requests of these Unix minutes alone, by group; a group without any has `None`.
    fn count(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        requests: &mut Vec<Option<u64>>,
    ) -> Result<(), QueryError>;
}

/// [`Counted::add_up`] for a stretch of which the sums are kept as a whole.
pub(super) fn add_up_step(
    counted: &dyn Counted,
    minutes: (i64, i64),
    groups: &mut Groups,
    keeper: Option<&mut Keeper<'_>>,
    sums: &mut Vec<Option<Sums>>,
) -> Result<(), QueryError> {
    match keeper {
        None => counted.add_up(minutes, groups, None, sums),
        Some(keeper) => {
            keeper.add(minutes, sums, |keeper, own| counted.add_up(minutes, groups, Some(keeper), own))
        }
    }
}

/// The counts of a snapshot of the file.
pub(crate) struct FileCounts<'a> {
    file: &'a Connection,
    beside: Beside,
}

impl<'a> FileCounts<'a> {
    pub(crate) fn of(file: &'a Connection) -> Self {
        Self { file, beside: Beside::default() }
    }
}

impl Counted for FileCounts<'_> {
    fn each_series(
        &self,
        each: &mut dyn FnMut(usize, SeriesKey) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let statement = format!("SELECT {SERIES_COLUMNS}, id, folded FROM series ORDER BY id");
        let mut select = self.file.prepare(&statement)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let mut series = read_series(row)?;
            if let Some(folded) = row.get(SERIES_COLUMN_COUNT + 1)? {
                series.route = folded;
            }
            let id = usize::try_from(row.get::<_, i64>(SERIES_COLUMN_COUNT)?).unwrap_or_default();
            each(id, series)?;
        }
        Ok(())
    }

    fn file(&self) -> &Connection {
        self.file
    }

    fn instances(&self) -> Result<HashMap<i64, String>, QueryError> {
        Ok(instances::names(self.file)?)
    }

    fn since(&self) -> Result<i64, QueryError> {
        Ok(minutes_since(self.file)?)
    }

    fn instances_since(&self) -> Result<i64, QueryError> {
        Ok(instances::known_since(self.file, minutes_since(self.file)?)?)
    }

    fn expect(&self, _: (i64, i64), _: i64, _: &Groups) -> Result<(), QueryError> {
        // A step is read when it is asked for, so that no more than the sketches of one are in memory.
        Ok(())
    }

    /// From the coarsest tables that fit.
    fn add_up(
        &self,
        (from, to): (i64, i64),
        groups: &mut Groups,
        mut keeper: Option<&mut Keeper<'_>>,
        sums: &mut Vec<Option<Sums>>,
    ) -> Result<(), QueryError> {
        for part in Part::cover(range_of((from, to))) {
            let rollup = Rollup::new(self.file, part.table, &self.beside);
            let Some(keeper) = keeper.as_deref_mut() else {
                rollup.add((part.from, part.to), groups, sums)?;
                continue;
            };
            for piece in part.pieces() {
                match piece {
                    Piece::Rest(from, to) => rollup.add((from, to), groups, sums)?,
                    Piece::Unit(from, to) => {
                        keeper.add((from, to), sums, |_, own| rollup.add((from, to), groups, own))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn count(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        requests: &mut Vec<Option<u64>>,
    ) -> Result<(), QueryError> {
        for part in Part::cover(range_of(minutes)) {
            let rollup = Rollup::new(self.file, part.table, &self.beside);
            rollup.count((part.from, part.to), groups, requests)?;
        }
        Ok(())
    }
}

fn range_of((from, to): (i64, i64)) -> Range {
    let nanos = |minute: i64| minute.saturating_mul(MINUTE_NANOS);
    Range { from: nanos(from), to: nanos(to) }
}

/// What a snapshot of the file has beside the rows of its tables, read when it is needed first.
#[derive(Default)]
pub(crate) struct Beside {
    recent: Recent,
    packed: Packed,
}

/// A table to read, with the counts that are not in its rows.
pub(crate) struct Rollup<'a> {
    file: &'a Connection,
    table: Table,
    beside: &'a Beside,
}

impl<'a> Rollup<'a> {
    /// `beside` must be used with this snapshot of the file only.
    pub(crate) fn new(file: &'a Connection, table: Table, beside: &'a Beside) -> Self {
        Self { file, table, beside }
    }

    /// Adds the rows of these Unix minutes to the sums of their groups, of which there may be more then.
    pub(crate) fn add(
        &self,
        (from, to): (i64, i64),
        groups: &mut Groups,
        sums: &mut Vec<Option<Sums>>,
    ) -> Result<(), QueryError> {
        let columns = "requests, request_bytes, response_bytes, duration, upstream, gateway, attempts";
        let left = self.packed((from, to), groups, |groups, row, sketches| {
            let Some((group, error)) = groups.place(row.series, row.instance)? else { return Ok(()) };
            let sums = at(sums, group);
            sums.count(row.counts, error);
            let targets = [&mut sums.duration, &mut sums.upstream, &mut sums.gateway];
            sketches.into_iter().zip(targets).for_each(|(sketch, sum)| sum.add_unpacked(sketch));
            Ok(())
        })?;
        let mut select = self.select(columns, groups)?;
        for (from, to) in left {
            let mut rows = select.query([from, to])?;
            while let Some(row) = rows.next()? {
                let Some((group, error)) = groups.place(row.get(0)?, row.get(1)?)? else { continue };
                let number = |column| row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or_default());
                let sums = at(sums, group);
                sums.count([number(2)?, number(3)?, number(4)?, number(8)?], error);
                let targets = [&mut sums.duration, &mut sums.upstream, &mut sums.gateway];
                for (column, quantiles) in (5..).zip(targets) {
                    quantiles.add(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)?;
                }
            }
        }
        self.beside.recent.each(self.file, (from, to), |Change { series, instance, values, .. }| {
            let Some((group, error)) = groups.place(series, instance)? else { return Ok(()) };
            let sums = at(sums, group);
            let ([(requests, _), ..], [request_bytes, response_bytes]) = (values.timings, values.bytes);
            sums.count([requests, request_bytes.sum, response_bytes.sum, values.attempts.sum], error);
            let targets = [&mut sums.duration, &mut sums.upstream, &mut sums.gateway];
            for ((_, sketch), quantiles) in values.timings.into_iter().zip(targets) {
                if !sketch.is_empty() {
                    quantiles.add(sketch)?;
                }
            }
            Ok(())
        })
    }

    /// Adds the requests of these Unix minutes alone, by group; a group without any rows has `None`.
    pub(crate) fn count(
        &self,
        (from, to): (i64, i64),
        groups: &mut Groups,
        requests: &mut Vec<Option<u64>>,
    ) -> Result<(), QueryError> {
        let left = self.packed((from, to), groups, |groups, row, _| {
            let Some((group, _)) = groups.place(row.series, row.instance)? else { return Ok(()) };
            let ([added, ..], count) = (row.counts, at(requests, group));
            *count = count.saturating_add(added);
            Ok(())
        })?;
        let mut select = self.select("requests", groups)?;
        for (from, to) in left {
            let mut rows = select.query([from, to])?;
            while let Some(row) = rows.next()? {
                let Some((group, _)) = groups.place(row.get(0)?, row.get(1)?)? else { continue };
                let count = at(requests, group);
                *count = count.saturating_add(u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default());
            }
        }
        self.beside.recent.each(self.file, (from, to), |Change { series, instance, values, .. }| {
            let Some((group, _)) = groups.place(series, instance)? else { return Ok(()) };
            let ([(added, _), ..], count) = (values.timings, at(requests, group));
            *count = count.saturating_add(added);
            Ok(())
        })
    }

    /// Calls `each` with packed rows, and returns the stretches in which the rows of the table must be read, too.
    fn packed(
        &self,
        minutes: (i64, i64),
        groups: &mut Groups,
        mut each: impl FnMut(&mut Groups, &PackedRow, [Buckets<'_>; 3]) -> Result<(), QueryError>,
    ) -> Result<Vec<(i64, i64)>, QueryError> {
        let (by_gateway, without) = (groups.need_gateways(), groups.without);
        let mut each = |row: &PackedRow, sketches: [Buckets<'_>; 3]| each(groups, row, sketches);
        match self.table {
            Table::HalfHours if by_gateway => return Ok(vec![minutes]),
            Table::HalfHours => return sums::each(self.file, minutes, without, each),
            Table::Minutes => {}
        }
        let packed = &self.beside.packed;
        let sums = (PackedTable::Sums, without.filter(|_| !by_gateway));
        packed.each(self.file, sums, minutes, |row, sketches| match by_gateway {
            // Its parts are rows of their own.
            true if row.instance < 0 => Ok(()),
            _ => each(row, sketches),
        })?;
        if by_gateway {
            packed.each(self.file, (PackedTable::ByGateway, None), minutes, each)?;
        }
        Ok(vec![minutes])
    }

    /// Rows of series, instance and these columns. Where gateways do not matter, a row is the sum of all.
    fn select(&self, columns: &str, groups: &Groups) -> Result<CachedStatement<'a>, QueryError> {
        let RollupTable { sums, by_gateway, .. } = self.table.stored();
        let rows = |table: &str| {
            format!("SELECT series_id, instance, {columns} FROM {table} WHERE minute >= ?1 AND minute < ?2")
        };
        let all = rows(sums);
        Ok(self.file.prepare_cached(&match groups.need_gateways() {
            false => all,
            true => format!("{all} AND instance >= 0 UNION ALL {}", rows(by_gateway)),
        })?)
    }
}
