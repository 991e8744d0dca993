//! `/metrics/traffic`: all that was ever counted, for Prometheus, by the labels that the reader chooses.

use super::dimension::Dimension;
use super::exemplars::{self, Exemplar};
use super::filter::{Filter, names};
use super::params::Params;
use super::requests::Sender;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::{DEFAULT_BOUNDS, RequestEvent, Scope, SeriesKey, Tally};
use crate::store::DataDir;
use crate::store::changes::{Change, Recent};
use crate::store::metrics::{SERIES_COLUMN_COUNT, SERIES_COLUMNS, read_series};
use crate::store::totals::{self, Total, Totals};
use gatelens_model::sketch::{SCALE, Sketch};
use gatelens_model::{grpc, value};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const LABELS_PARAMETER: &str = "labels";
/// Bounds of all senders together in one histogram. Further lists of bounds are left out.
const MAX_BOUNDS: usize = 128;
/// Nanoseconds since its last report for which a gateway counts as at work.
const AT_WORK: i64 = 300_000_000_000;
/// Nanoseconds since its last count after which a row is left out.
const STALE: i64 = 30 * 24 * 3600 * 1_000_000_000;
const MINUTE_NANOS: i64 = 60_000_000_000;

/// A label: a dimension under the name that Prometheus gives its attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TrafficLabel(Dimension);

/// Names of labels, and whether they are there when the operator chooses none.
const LABELS: [(&str, Dimension, Usual); 11] = [
    ("http_request_method", Dimension::Method, Usual::Yes),
    ("http_route", Dimension::Route, Usual::Yes),
    ("http_response_status_code", Dimension::Status, Usual::Yes),
    ("error_type", Dimension::ErrorType, Usual::Yes),
    ("gatelens_consumer_id", Dimension::Consumer, Usual::No),
    ("service_name", Dimension::Service, Usual::Yes),
    ("deployment_environment_name", Dimension::Environment, Usual::Yes),
    ("service_version", Dimension::Version, Usual::No),
    ("server_address", Dimension::Host, Usual::No),
    ("gatelens_upstream_cluster", Dimension::UpstreamCluster, Usual::No),
    ("rpc_response_status_code", Dimension::GrpcStatus, Usual::No),
];

/// Whether a label is there without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usual {
    Yes,
    No,
}

/// There is no such label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no label {found:?}: expected one of {}", LABELS.map(|(name, ..)| name).join(", "))]
pub struct NotALabel {
    found: String,
}

impl std::str::FromStr for TrafficLabel {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let found = LABELS.iter().find(|(name, ..)| *name == text);
        found.map(|(_, dimension, _)| Self(*dimension)).ok_or_else(|| NotALabel { found: text.to_owned() })
    }
}

impl TryFrom<String> for TrafficLabel {
    type Error = NotALabel;

    fn try_from(text: String) -> Result<Self, NotALabel> {
        text.parse()
    }
}

impl TrafficLabel {
    /// Those that are there when nobody chooses.
    pub fn usual() -> Vec<Self> {
        let usual = LABELS.iter().filter(|(.., usual)| *usual == Usual::Yes);
        usual.map(|(_, dimension, _)| Self(*dimension)).collect()
    }

    /// The name.
    pub fn name(self) -> &'static str {
        LABELS.iter().find(|(_, dimension, _)| *dimension == self.0).map_or("", |(name, ..)| name)
    }

    pub(super) fn of_event(self, event: &RequestEvent, sender: &Sender) -> String {
        match self.0 {
            Dimension::Status if event.status > 0 => event.status.to_string(),
            Dimension::GrpcStatus => {
                rpc_status(event.grpc_status.and_then(|status| usize::try_from(status).ok()))
            }
            text => text.text_of_event(event, sender).unwrap_or_default().to_owned(),
        }
    }

    fn of(self, series: &SeriesKey) -> String {
        match self.0 {
            Dimension::Status if series.status > 0 => series.status.to_string(),
            Dimension::GrpcStatus => rpc_status(series.grpc_status.map(usize::from)),
            text => text.text_of_series(series, "").unwrap_or_default().to_owned(),
        }
    }
}

/// The name of a gRPC status; empty without one.
fn rpc_status(status: Option<usize>) -> String {
    status.and_then(|status| grpc::NAMES.get(status)).copied().unwrap_or_default().to_owned()
}

/// A question for the counters.
pub(crate) struct TrafficQuery {
    labels: Vec<TrafficLabel>,
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

/// The answer to [`TrafficQuery`].
pub(crate) struct Traffic {
    /// Of all rows.
    pub(crate) labels: Vec<TrafficLabel>,
    pub(crate) rows: Vec<TrafficRow>,
    /// Requests in progress.
    pub(crate) active: Vec<ActiveRow>,
}

/// The counters of one set of values of the labels.
pub(crate) struct TrafficRow {
    pub(crate) is_outbound: bool,
    /// In the order of the labels; an empty one is absent.
    pub(crate) values: Vec<String>,
    /// Unix nanoseconds.
    pub(crate) since: i64,
    /// By the bounds at which durations are counted.
    parts: BTreeMap<Arc<[u64]>, Total>,
    /// The last Unix minute that may have counts.
    last_minute: i64,
    /// The latest first.
    pub(super) exemplars: Vec<Exemplar>,
}

/// Requests in progress at the gateways of a service.
pub(crate) struct ActiveRow {
    pub(crate) is_outbound: bool,
    /// In the order of the labels; those that do not describe a gateway are empty.
    pub(crate) values: Vec<String>,
    pub(crate) requests: u64,
}

impl TrafficQuery {
    /// All traffic by these labels; `now` is in Unix nanoseconds.
    pub(crate) fn of(labels: Vec<TrafficLabel>, now: i64) -> Self {
        Self { labels, filter: Filter::default(), now, exemplars: Exemplars::None }
    }

    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        // Neither the group nor the gateway is a part of a series.
        let of_series = names().filter(|name| !["group", "gateway"].contains(name));
        let params = Params::parse(query, &of_series.chain([LABELS_PARAMETER]).collect::<Vec<_>>())?;
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
            labels: if is_chosen { labels } else { limits.traffic_labels.clone() },
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
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Traffic, QueryError> {
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let snapshot = file.transaction()?;
        let mut rows =
            Rows { query: self, max: limits.traffic_series, all: Vec::new(), places: HashMap::new() };
        let of_series = rows.of_series(&snapshot)?;
        totals::each(&snapshot, |series, total| {
            if let Some(place) = of_series.get(&series) {
                rows.add(*place, total);
            }
            Ok::<_, QueryError>(())
        })?;
        let mut waiting = Totals::new();
        Recent::default().each(&snapshot, (i64::MIN, i64::MAX), |change| {
            let Change { minute, series, received_at, values, .. } = change;
            if let Some(place) = of_series.get(&series) {
                rows.counted(*place, minute);
                totals::add_change(&mut waiting, (series, received_at), &values.read());
            }
            Ok::<_, QueryError>(())
        })?;
        for ((series, _), total) in waiting {
            if let Some(place) = of_series.get(&series) {
                rows.add(*place, total);
            }
        }
        let stale = self.now.saturating_sub(STALE).div_euclid(MINUTE_NANOS);
        let rows = rows.all.into_iter().filter(|row| !row.parts.is_empty() && row.last_minute >= stale);
        let mut rows: Vec<TrafficRow> = rows.collect();
        if self.exemplars == Exemplars::Latest {
            exemplars::put(&mut rows, (&self.labels, &self.filter), (directory, limits), self.now);
        }
        Ok(Traffic { labels: self.labels.clone(), rows, active: self.active(&snapshot)? })
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
            let value = |label: &TrafficLabel| match label.0 {
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
                let is_nameless = sign < 0 && series.consumer.is_empty();
                let by_consumer = self.query.labels.contains(&TrafficLabel(Dimension::Consumer));
                if !self.query.filter.takes_series(&series, "") || (is_nameless && by_consumer) {
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
        let (is_outbound, values) = key.clone();
        let row = TrafficRow {
            is_outbound,
            values,
            since: i64::MAX,
            parts: BTreeMap::new(),
            last_minute: i64::MIN,
            exemplars: Vec::new(),
        };
        self.all.push(row);
        self.places.insert(key, self.all.len() - 1);
        Ok(self.all.len() - 1)
    }

    fn add(&mut self, place: usize, total: Total) {
        let Some(row) = self.all.get_mut(place) else { return };
        row.since = row.since.min(total.since);
        match row.parts.get_mut(total.by_bound.bounds()) {
            Some(sum) => sum.add(&total),
            None => {
                row.parts.insert(Arc::clone(total.by_bound.bounds()), total);
            }
        }
    }

    fn counted(&mut self, place: usize, minute: i64) {
        if let Some(row) = self.all.get_mut(place) {
            row.last_minute = row.last_minute.max(minute);
        }
    }
}

impl TrafficRow {
    /// Requests.
    pub(crate) fn count(&self) -> u64 {
        self.parts.values().fold(0, |sum, part| sum.saturating_add(part.count))
    }

    /// Sum of durations in nanoseconds.
    pub(crate) fn sum_ns(&self) -> u128 {
        self.parts.values().fold(0, |sum, part| sum.saturating_add(part.sum_ns))
    }

    /// Count and sum of the body bytes of requests, and of responses.
    pub(crate) fn sizes(&self) -> [(u64, u64); 2] {
        let mut sizes = [Tally::default(); 2];
        for part in self.parts.values() {
            sizes[0].add(part.request_bytes);
            sizes[1].add(part.response_bytes);
        }
        sizes.map(|size| (size.count, size.sum))
    }

    /// The distribution of all durations.
    pub(crate) fn sketch(&self) -> Sketch {
        let mut all = Sketch::default();
        self.parts.values().for_each(|part| all.merge(&part.sketch));
        all
    }

    /// The latest request above a bound and up to another, in nanoseconds.
    pub(crate) fn exemplar(&self, above: Option<u64>, up_to: Option<u64>) -> Option<&Exemplar> {
        self.exemplars.iter().find(|exemplar| {
            let duration = exemplar.duration_ns;
            above.is_none_or(|bound| duration > bound) && up_to.is_none_or(|bound| duration <= bound)
        })
    }

    /// Requests up to each bound, which is in nanoseconds. They are exact where all senders count at the bound; where one
    /// does not, its part comes from its distribution, as if the bound were up to 2.2 % lower.
    pub(crate) fn buckets(&self) -> Vec<(u64, u64)> {
        let mut bounds = BTreeSet::new();
        for list in self.parts.keys() {
            let new = list.iter().filter(|bound| !bounds.contains(*bound)).count();
            if bounds.len() + new <= MAX_BOUNDS {
                bounds.extend(list.iter().copied());
            }
        }
        if bounds.is_empty() {
            bounds.extend(DEFAULT_BOUNDS.iter().copied());
        }
        let up_to =
            |bound: u64| self.parts.values().fold(0u64, |sum, part| sum.saturating_add(up_to(part, bound)));
        bounds.into_iter().map(|bound| (bound, up_to(bound))).collect()
    }
}

/// Requests of a part up to a bound in nanoseconds.
fn up_to(part: &Total, bound: u64) -> u64 {
    let bounds = part.by_bound.bounds();
    let counts = part.by_bound.counts();
    let exactly =
        |places: usize| counts.iter().take(places).fold(0u64, |sum, count| sum.saturating_add(*count));
    match bounds.binary_search(&bound) {
        Ok(place) => exactly(place + 1),
        Err(place) => {
            let estimate = below(&part.sketch, bound);
            let (least, most) = match bounds.is_empty() {
                true => (0, part.count),
                false => (exactly(place), exactly(place + 1)),
            };
            estimate.clamp(least, most.max(least))
        }
    }
}

/// Requests in those buckets of a distribution that end at a bound or below.
fn below(sketch: &Sketch, bound: u64) -> u64 {
    let last = ((bound as f64 / 1e9).log2() * f64::from(SCALE).exp2()).floor() - 1.0;
    let within = sketch.buckets().iter().take_while(|(index, _)| f64::from(*index) <= last);
    within.fold(sketch.zeros, |sum, (_, count)| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ByBound;

    fn part(durations_ms: &[u64], bounds: &[f64]) -> Total {
        let mut sketch = Sketch::default();
        let mut counts = vec![0; bounds.len() + 1];
        for ms in durations_ms {
            sketch.insert(ms * 1_000_000);
            counts[bounds.partition_point(|bound| bound * 1e3 < *ms as f64)] += 1;
        }
        let by_bound = ByBound::at_seconds(bounds, counts);
        Total { count: sketch.count, sketch, by_bound, ..Total::default() }
    }

    fn buckets(parts: Vec<Total>) -> Vec<(u64, u64)> {
        let parts = parts.into_iter().map(|part| (Arc::clone(part.by_bound.bounds()), part)).collect();
        let row = TrafficRow {
            is_outbound: false,
            values: Vec::new(),
            since: 0,
            parts,
            last_minute: 0,
            exemplars: Vec::new(),
        };
        row.buckets().into_iter().map(|(bound, count)| (bound / 1_000_000, count)).collect()
    }

    #[test]
    fn buckets_are_exact_where_they_are_counted_and_rise_everywhere() {
        let one = part(&[100, 101, 900, 5_000], &[0.1, 1.0]);
        assert_eq!(buckets(vec![one.clone()]), [(100, 1), (1_000, 3)]);
        // The bucket of the distribution that has 200 ms ends above it, and all of these are between two exact counts.
        let other = part(&[150, 195, 300], &[0.2]);
        assert_eq!(buckets(vec![one, other.clone()]), [(100, 1), (200, 4), (1_000, 6)]);
        let neither = part(&[4, 90, 20_000], &[]);
        assert_eq!(buckets(vec![neither.clone()]).len(), DEFAULT_BOUNDS.len());
        assert_eq!(buckets(vec![other, neither]), [(200, 4)]);
    }

    #[test]
    fn labels_have_the_names_that_prometheus_gives_their_attributes() {
        use gatelens_model::attribute;
        for (name, attribute) in [
            ("http_request_method", attribute::METHOD),
            ("http_route", attribute::ROUTE),
            ("http_response_status_code", attribute::STATUS_CODE),
            ("error_type", attribute::ERROR_TYPE),
            ("gatelens_consumer_id", attribute::CONSUMER_ID),
            ("service_name", attribute::SERVICE_NAME),
            ("deployment_environment_name", attribute::ENVIRONMENT),
            ("service_version", attribute::SERVICE_VERSION),
            ("server_address", attribute::SERVER_ADDRESS),
            ("gatelens_upstream_cluster", attribute::UPSTREAM_CLUSTER),
            ("rpc_response_status_code", attribute::RPC_STATUS_CODE),
        ] {
            assert_eq!(attribute.replace('.', "_"), name);
            assert_eq!(name.parse::<TrafficLabel>().unwrap().name(), name);
        }
        let error = "route".parse::<TrafficLabel>().unwrap_err().to_string();
        assert!(error.contains("expected one of http_request_method, http_route"), "{error}");
    }
}
