//! `/metrics/traffic`: all that was ever counted, for Prometheus, by the labels and under the names that the reader chooses.

mod label;
mod metrics;
mod names;
mod row;

pub use label::{NotALabel, TrafficLabel};
pub(crate) use metrics::{Body, Metric, Table, Traffic, What};
pub(crate) use row::{ActiveRow, Bucket, TrafficRow};

use super::dimension::Dimension;
use super::exemplars;
use super::filter::{self, Filter};
use super::params::Params;
use super::rollup::MINUTE_NANOS;
use crate::clickhouse::{ClickHouse, SeriesTotals, ServerTotals};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::{Scope, SeriesKey};
use crate::store::changes::{Change, Recent};
use crate::store::metrics::{SERIES_COLUMN_COUNT, SERIES_COLUMNS, read_series};
use crate::store::totals::{self, Total, Totals};
use crate::store::{AT_WORK, DataDir};
use gatelens_model::value;
use names::Names;
use rusqlite::Connection;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

const LABELS_PARAMETER: &str = "labels";
/// Nanoseconds since its last count after which a row is left out.
const STALE: i64 = 30 * 24 * 3600 * 1_000_000_000;

/// A question for the counters.
pub(crate) struct TrafficQuery {
    labels: Vec<TrafficLabel>,
    names: Names,
    filter: Filter,
    /// Unix nanoseconds.
    now: i64,
    exemplars: Exemplars,
}

/// Whether requests of the log are given with the buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exemplars {
    None,
    Latest,
}

impl TrafficQuery {
    /// All traffic by these labels; `now` is in Unix nanoseconds.
    pub(crate) fn of(labels: Vec<TrafficLabel>, now: i64) -> Self {
        let filter = Filter::default();
        Self { labels, names: Names::Conventions, filter, now, exemplars: Exemplars::None }
    }

    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        // Neither the group nor the gateway is a part of a series.
        let of_series = filter::names().filter(|name| !["group", "gateway"].contains(name));
        let known: Vec<_> = of_series.chain([LABELS_PARAMETER]).chain(Names::parameters()).collect();
        let params = Params::parse(query, &known)?;
        let names = Names::read(&params)?;
        let mut labels = Vec::new();
        let mut chosen = params.all(LABELS_PARAMETER).peekable();
        let is_chosen = chosen.peek().is_some();
        for name in chosen.flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
            let label = name
                .parse::<TrafficLabel>()
                .map_err(|error| QueryError::parameter(LABELS_PARAMETER, error.to_string()))?;
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let filter = Filter::read(&params)?;
        let is_of_a_direction = params.all("direction").any(|direction| !direction.is_empty());
        Ok(Self {
            labels: names.labels(is_chosen.then_some(labels), &limits.traffic_labels),
            names,
            filter: if is_of_a_direction { filter } else { filter.of_any_direction() },
            now,
            exemplars: Exemplars::None,
        })
    }

    /// The same question with or without exemplars.
    pub(crate) fn with(self, exemplars: Exemplars) -> Self {
        Self { exemplars, ..self }
    }

    /// The answer out of the store.
    pub(crate) fn answer(
        &self,
        (directory, server): (&DataDir, Option<&ClickHouse>),
        limits: &Limits,
    ) -> Result<Traffic, QueryError> {
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let snapshot = file.transaction()?;
        let mut rows =
            Rows { query: self, max: limits.traffic_series, all: Vec::new(), places: HashMap::new() };
        match server {
            Some(server) => rows.read_server(&snapshot, &*server.totals()?)?,
            None => rows.read_file(&snapshot)?,
        }
        let mut rows = rows.all;
        if self.exemplars == Exemplars::Latest {
            let store = (directory, server);
            exemplars::put(&mut rows, (&self.labels, &self.filter), (store, limits), self.now);
        }
        let stale = self.now.saturating_sub(STALE).div_euclid(MINUTE_NANOS);
        Ok(self.names.metrics(&self.labels, (rows, self.active(&snapshot)?), stale))
    }

    /// Requests in progress at gateways that report, by those labels that describe a gateway.
    fn active(&self, file: &Connection) -> Result<Vec<ActiveRow>, QueryError> {
        // An epoch ends with the next one of the same instance.
        let mut select = file.prepare(
            "SELECT g.service, g.environment, coalesce(r.direction, 'inbound'), r.active_requests
             FROM reports r JOIN gateways g ON g.id = r.gateway_id
             WHERE r.active_requests IS NOT NULL AND g.last_seen > ?1
               AND NOT EXISTS (SELECT 1 FROM gateways later
                               WHERE later.instance = g.instance AND later.environment = g.environment
                                 AND later.first_seen > g.first_seen)",
        )?;
        let mut sums: BTreeMap<(bool, Vec<String>), u64> = BTreeMap::new();
        let mut rows = select.query([self.now.saturating_sub(AT_WORK)])?;
        while let Some(row) = rows.next()? {
            let scope = Scope { service: row.get(0)?, environment: row.get(1)?, direction: row.get(2)? };
            if !self.filter.takes_scope(&scope) {
                continue;
            }
            let value = |label: &TrafficLabel| match label.dimension() {
                Dimension::Service => scope.service.to_string(),
                Dimension::Environment => scope.environment.to_string(),
                _ => String::new(),
            };
            let key = (*scope.direction == *value::OUTBOUND, self.labels.iter().map(value).collect());
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default());
        }
        let row = |((is_outbound, values), requests)| ActiveRow { is_outbound, values, requests };
        Ok(sums.into_iter().map(row).collect())
    }
}

/// The rows of an answer while they are made.
struct Rows<'a> {
    query: &'a TrafficQuery,
    max: usize,
    all: Vec<TrafficRow>,
    places: HashMap<(bool, Vec<String>), usize>,
}

impl Rows<'_> {
    fn read_file(&mut self, snapshot: &Connection) -> Result<(), QueryError> {
        let of_series = self.of_series(snapshot)?;
        totals::each(snapshot, |series, total| {
            if let Some(place) = of_series.get(&series) {
                self.add(*place, Cow::Owned(total));
            }
            Ok::<_, QueryError>(())
        })?;
        let mut waiting = Totals::new();
        Recent::default().each(snapshot, (i64::MIN, i64::MAX), |change| {
            let Change { minute, series, received_at, values, .. } = change;
            if let Some(place) = of_series.get(&series) {
                self.counted(*place, minute);
                totals::add_change(&mut waiting, (series, received_at), &values.read());
            }
            Ok::<_, QueryError>(())
        })?;
        for ((series, _), total) in waiting {
            if let Some(place) = of_series.get(&series) {
                self.add(*place, Cow::Owned(total));
            }
        }
        Ok(())
    }

    /// The file follows the series of the server, and has when each was counted.
    fn read_server(&mut self, file: &Connection, totals: &ServerTotals) -> Result<(), QueryError> {
        let mut select = file.prepare(&format!("SELECT {SERIES_COLUMNS}, last_counted FROM series"))?;
        let counted = select.query_map([], |row| Ok((read_series(row)?, row.get(SERIES_COLUMN_COUNT)?)))?;
        let counted: HashMap<SeriesKey, i64> = counted.collect::<Result<_, _>>()?;
        for SeriesTotals { key, shown, has_ended, totals } in &totals.all {
            if !self.takes(shown, *has_ended) {
                continue;
            }
            let place = self.place(shown)?;
            let minute = match counted.get(key).or_else(|| counted.get(shown)) {
                _ if *has_ended => 0,
                Some(half_hour) => half_hour + 29,
                // One that is new is followed within a minute.
                None => self.query.now.div_euclid(MINUTE_NANOS),
            };
            self.counted(place, minute);
            totals.iter().for_each(|total| self.add(place, Cow::Borrowed(total)));
        }
        Ok(())
    }

    fn takes(&self, series: &SeriesKey, has_ended: bool) -> bool {
        let is_nameless = has_ended && series.consumer.is_empty();
        let by_consumer = self.query.labels.contains(&TrafficLabel::new(Dimension::Consumer));
        self.query.filter.takes_series(series, "") && !(is_nameless && by_consumer)
    }

    /// Makes a row for each set of values of the labels. Returns the places of the rows by series; those of ended series
    /// are below 0.
    fn of_series(&mut self, file: &Connection) -> Result<HashMap<i64, usize>, QueryError> {
        let mut of_series = HashMap::new();
        let tables = [("series", 1, "last_counted"), ("ended_series", -1, "0")];
        for (table, sign, last_counted) in tables {
            let mut select = file
                .prepare(&format!("SELECT {SERIES_COLUMNS}, id, {last_counted} FROM {table} ORDER BY id"))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let series = read_series(row)?;
                if !self.takes(&series, sign < 0) {
                    continue;
                }
                let id: i64 = row.get(SERIES_COLUMN_COUNT)?;
                let place = self.place(&series)?;
                // A half hour is named by its first minute.
                self.counted(place, row.get::<_, i64>(SERIES_COLUMN_COUNT + 1)? + 29);
                of_series.insert(sign * id, place);
            }
        }
        Ok(of_series)
    }

    fn place(&mut self, series: &SeriesKey) -> Result<usize, QueryError> {
        let values: Vec<String> = self.query.labels.iter().map(|label| label.of(series)).collect();
        let key = (*series.direction == *value::OUTBOUND, values);
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        if self.all.len() >= self.max {
            let message = format!(
                "there are more than {} sets of labels: leave labels out with `labels`, ask for one service, or raise \
                 `--traffic-series`",
                self.max
            );
            return Err(QueryError::TooMuch { field: LABELS_PARAMETER, message });
        }
        let row = TrafficRow::new(key.0, key.1.clone());
        self.all.push(row);
        self.places.insert(key, self.all.len() - 1);
        Ok(self.all.len() - 1)
    }

    fn add(&mut self, place: usize, total: Cow<'_, Total>) {
        if let Some(row) = self.all.get_mut(place) {
            row.add(total);
        }
    }

    fn counted(&mut self, place: usize, minute: i64) {
        if let Some(row) = self.all.get_mut(place) {
            row.counted(minute);
        }
    }
}
