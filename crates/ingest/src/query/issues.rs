//! `issues`: the error issues of a period, with their states and counts; and one of them with all that is known of it.

use super::cursor::Cursor;
use super::dimension::Dimension;
use super::filter::{Filter, names};
use super::labels::Labels;
use super::params::Params;
use super::range::{Range, rfc3339};
use super::requests::Disclosure;
use crate::error::QueryError;
use crate::issues::{self, Kind, Standing, State};
use crate::limits::Limits;
use crate::store::DataDir;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

const DEFAULT_ROWS: u64 = 100;
const HOUR_SECONDS: i64 = 3600;
/// Nanoseconds.
const HOUR: i64 = HOUR_SECONDS * 1_000_000_000;
/// Hours before the end of the period that a row shows.
const SPARK_HOURS: i64 = 24;
/// Values of a dimension in the answer about one issue.
const MAX_VALUES: u32 = 50;
/// The text that is withheld from those who may not see bodies, because it is made of them.
const WITHHELD: [&str; 1] = ["message"];

/// A question for issues.
pub(crate) struct IssuesQuery {
    filter: Filter,
    range: Range,
    states: Vec<State>,
    kinds: Vec<Kind>,
    sort: Sort,
    limit: usize,
    after: Option<Place>,
    disclosure: Disclosure,
    now: i64,
}

/// A question for one issue.
pub(crate) struct IssueQuery {
    pub(crate) id: String,
    pub(crate) disclosure: Disclosure,
    /// Unix nanoseconds.
    pub(crate) now: i64,
}

/// The order, always the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    LastSeen,
    FirstSeen,
    Requests,
    Consumers,
}

/// A place in the order.
struct Place {
    value: i64,
    id: String,
}

/// The answer to [`IssuesQuery`].
#[derive(Serialize)]
pub(crate) struct Issues {
    from: String,
    to: String,
    /// Number of issues by state, whatever states were asked for.
    states: BTreeMap<&'static str, u64>,
    rows: Vec<Issue>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The answer to [`IssueQuery`].
#[derive(Serialize)]
pub(crate) struct IssueDetail {
    issue: Issue,
    consumers: Vec<Part>,
    versions: Vec<Part>,
    hosts: Vec<Part>,
    gateways: Vec<Part>,
    upstream_clusters: Vec<Part>,
    /// That the application reported; none for a reader who may see less.
    tags: Vec<Part>,
    fields: Vec<Field>,
    examples: Vec<Example>,
    hours: Vec<Hour>,
}

#[derive(Serialize)]
struct Issue {
    id: String,
    kind: String,
    state: &'static str,
    service: String,
    environment: String,
    direction: String,
    method: String,
    route: String,
    status: u16,
    grpc_status: Option<u64>,
    error_type: Option<String>,
    class: Option<String>,
    message: Option<String>,
    /// Names of what the reader may not see although there is some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withheld: Vec<&'static str>,
    first_seen: String,
    last_seen: String,
    first_version: Option<String>,
    last_version: Option<String>,
    /// In the period; of one issue, as far back as the log is kept.
    requests: u64,
    /// Since it was first seen.
    total: u64,
    logged: u64,
    consumers: u64,
    more_consumers: bool,
    /// Requests in each of the last hours of the period, the earliest first.
    spark: Vec<u64>,
    regressed_at: Option<String>,
    resolved_at: Option<String>,
    in_next_release: bool,
    changed_at: Option<String>,
    changed_by: Option<String>,
}

/// The requests of an issue with one value.
#[derive(Serialize)]
struct Part {
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    requests: u64,
    last_seen: String,
}

/// A field that was refused.
#[derive(Serialize)]
struct Field {
    field: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    requests: u64,
    last_seen: String,
}

#[derive(Serialize)]
struct Example {
    time: String,
    request_id: Option<String>,
    trace_id: Option<String>,
    consumer: String,
    gateway: String,
}

#[derive(Serialize)]
struct Hour {
    time: String,
    requests: u64,
}

/// A row of the file.
struct Stored {
    id: String,
    kind: String,
    service: String,
    environment: String,
    direction: String,
    method: String,
    route: String,
    status: u16,
    grpc_status: Option<u64>,
    error_type: String,
    class: String,
    message: String,
    first_seen: i64,
    last_seen: i64,
    first_version: String,
    last_version: String,
    requests: f64,
    logged: u64,
    consumers: u64,
    more_consumers: bool,
    standing: Standing,
    acknowledged: bool,
    regressed_at: Option<i64>,
    resolved_at: Option<i64>,
    in_next_release: bool,
    changed_at: Option<i64>,
    changed_by: Option<String>,
}

const COLUMNS: &str = "id, kind, service, environment, direction, method, route, status, grpc_status, error_type, class,
    message, first_seen, last_seen, first_version, last_version, requests, logged, consumers, more_consumers, standing,
    acknowledged, regressed_at, resolved_at, known_versions IS NOT NULL, changed_at, changed_by";

impl IssueDetail {
    /// Whether a version of the service was named with any of its requests.
    pub(crate) fn names_a_version(&self) -> bool {
        !self.versions.is_empty()
    }
}

impl Sort {
    const ALL: [(&str, Self); 4] = [
        ("last_seen", Self::LastSeen),
        ("first_seen", Self::FirstSeen),
        ("requests", Self::Requests),
        ("consumers", Self::Consumers),
    ];
}

impl IssuesQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let own = ["from", "to", "state", "kind", "sort", "limit", "cursor"];
        let names: Vec<&str> = names().chain(own).collect();
        let params = Params::parse(query, &names)?;
        let sort = match params.one("sort")? {
            None => Sort::LastSeen,
            Some(text) => named("sort", text, &Sort::ALL)?,
        };
        let many = |name: &'static str| {
            params.all(name).flat_map(|text| text.split(',')).filter(|text| !text.is_empty())
        };
        let states = State::ALL.map(|state| (state.name(), state));
        let kinds = Kind::ALL.map(|kind| (kind.name(), kind));
        Ok(Self {
            filter: Filter::read(&params)?,
            range: Range::read(&params, now)?.widened(HOUR_SECONDS),
            states: many("state").map(|text| named("state", text, &states)).collect::<Result<_, _>>()?,
            kinds: many("kind").map(|text| named("kind", text, &kinds)).collect::<Result<_, _>>()?,
            sort,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(Place::parse).transpose()?,
            disclosure: Disclosure::default(),
            now,
        })
    }

    /// The same question of a reader who may see less.
    pub(crate) fn restrict(self, disclosure: Disclosure) -> Self {
        Self { disclosure, ..self }
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Issues, QueryError> {
        let mut answer = Issues {
            from: rfc3339(self.range.from),
            to: rfc3339(self.range.to),
            states: State::ALL.into_iter().map(|state| (state.name(), 0)).collect(),
            rows: Vec::new(),
            more: false,
            next: None,
        };
        let Some(file) = open(directory.path(), limits)? else { return Ok(answer) };
        let mut found = self.found(&file, directory, limits, &mut answer.states)?;
        found.sort_by(|(one, _, of_one), (other, _, of_other)| {
            of_other.cmp(of_one).then_with(|| one.id.cmp(&other.id))
        });
        let is_after = |place: &Place, value: i64, id: &str| {
            value < place.value || (value == place.value && id > &*place.id)
        };
        let after = |(issue, _, value): &&(Stored, f64, i64)| {
            self.after.as_ref().is_none_or(|place| is_after(place, *value, &issue.id))
        };
        let page: Vec<_> = found.iter().filter(after).take(self.limit + 1).collect();
        answer.more = page.len() > self.limit;
        for (issue, requests, value) in page.into_iter().take(self.limit) {
            let spark = spark(&file, &issue.id, self.range.to)?;
            answer.rows.push(issue.shown(*requests, spark, self.disclosure, self.now));
            answer.next = answer.more.then(|| Place { value: *value, id: issue.id.clone() }.to_text());
        }
        Ok(answer)
    }

    /// The issues that match, with their requests in the period and the value to sort by; counts them by state.
    fn found(
        &self,
        file: &Connection,
        directory: &DataDir,
        limits: &Limits,
        states: &mut BTreeMap<&'static str, u64>,
    ) -> Result<Vec<(Stored, f64, i64)>, QueryError> {
        let counts = match self.filter.asks_for(Dimension::ConsumerGroup) {
            true => Some(super::open_counts(directory, limits.query_timeout)?),
            false => None,
        };
        let mut labels = Labels::of(counts.as_ref());
        let in_period = requests_of(file, self.range)?;
        let mut select = file.prepare(&format!("SELECT {COLUMNS} FROM issues"))?;
        let mut rows = select.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let issue = Stored::read(row)?;
            // Its hours may be gone with the log.
            let was_seen = (self.range.from..self.range.to).contains(&issue.last_seen)
                || (self.range.from..self.range.to).contains(&issue.first_seen);
            let requests = in_period.get(&issue.id).copied();
            if requests.is_none() && !was_seen {
                continue;
            }
            if !self.kinds.is_empty() && !self.kinds.iter().any(|kind| kind.name() == issue.kind) {
                continue;
            }
            let outcome = (issue.status, issue.grpc_status);
            let mut texts = |dimension| issue.texts(file, dimension, &mut labels);
            if !self.filter.takes_issue(&mut texts, outcome)? {
                continue;
            }
            let state = issue.state(self.now);
            *states.entry(state.name()).or_default() += 1;
            if !self.states.is_empty() && !self.states.contains(&state) {
                continue;
            }
            let requests = requests.unwrap_or_default();
            let value = match self.sort {
                Sort::LastSeen => issue.last_seen,
                Sort::FirstSeen => issue.first_seen,
                Sort::Requests => requests.round() as i64,
                Sort::Consumers => i64::try_from(issue.consumers).unwrap_or(i64::MAX),
            };
            found.push((issue, requests, value));
        }
        Ok(found)
    }
}

impl IssueQuery {
    /// The answer out of the store.
    ///
    /// # Errors
    /// [`QueryError::NoIssue`] where there is no such issue.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<IssueDetail, QueryError> {
        let unknown = || QueryError::NoIssue { id: self.id.clone() };
        let file = open(directory.path(), limits)?.ok_or_else(unknown)?;
        let mut select = file.prepare(&format!("SELECT {COLUMNS} FROM issues WHERE id = ?"))?;
        let stored = select.query_row([&self.id], Stored::read).optional()?.ok_or_else(unknown)?;
        let hours = self.hours(&file)?;
        let requests = hours.iter().map(|hour| hour.requests).sum::<u64>() as f64;
        let spark = spark(&file, &self.id, self.now)?;
        // Names are an addition: without the file of counters, consumers have none.
        let counts = super::open_counts(directory, limits.query_timeout).ok();
        let mut labels = Labels::of(counts.as_ref());
        let mut consumers = self.parts(&file, "consumer")?;
        for consumer in &mut consumers {
            let label =
                labels.get(&stored.service, &stored.environment, &stored.direction, &consumer.value)?;
            consumer.name = known(&label.name);
        }
        Ok(IssueDetail {
            issue: stored.shown(requests, spark, self.disclosure, self.now),
            consumers,
            versions: self.parts(&file, "version")?,
            hosts: self.parts(&file, "host")?,
            gateways: self.parts(&file, "gateway")?,
            upstream_clusters: self.parts(&file, "upstream_cluster")?,
            tags: match self.disclosure {
                Disclosure::Full => self.parts(&file, "tag")?,
                Disclosure::Reduced => Vec::new(),
            },
            fields: self.fields(&file)?,
            examples: self.examples(&file)?,
            hours,
        })
    }

    fn parts(&self, file: &Connection, dimension: &str) -> Result<Vec<Part>, QueryError> {
        let mut select = file.prepare(
            "SELECT value, requests, last_seen FROM issue_values WHERE issue = ? AND dimension = ?
             ORDER BY requests DESC, value LIMIT ?",
        )?;
        let rows = select.query_map(params![self.id, dimension, MAX_VALUES], |row| {
            Ok(Part {
                value: row.get(0)?,
                name: None,
                requests: whole(row.get(1)?),
                last_seen: rfc3339(row.get(2)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn fields(&self, file: &Connection) -> Result<Vec<Field>, QueryError> {
        let mut select = file.prepare(
            "SELECT field, kind, message, requests, last_seen FROM fields WHERE issue = ?
             ORDER BY requests DESC, field, kind LIMIT ?",
        )?;
        let rows = select.query_map(params![self.id, MAX_VALUES], |row| {
            let message: String = row.get(2)?;
            Ok(Field {
                field: row.get(0)?,
                kind: known(&row.get::<_, String>(1)?),
                message: known(&message).filter(|_| self.disclosure == Disclosure::Full),
                requests: whole(row.get(3)?),
                last_seen: rfc3339(row.get(4)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn examples(&self, file: &Connection) -> Result<Vec<Example>, QueryError> {
        let mut select = file.prepare(
            "SELECT time, request_id, trace_id, consumer, gateway FROM examples WHERE issue = ? ORDER BY time DESC",
        )?;
        let rows = select.query_map([&self.id], |row| {
            Ok(Example {
                time: rfc3339(row.get(0)?),
                request_id: known(&row.get::<_, String>(1)?),
                trace_id: known(&row.get::<_, String>(2)?),
                consumer: row.get(3)?,
                gateway: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn hours(&self, file: &Connection) -> Result<Vec<Hour>, QueryError> {
        let mut select = file.prepare("SELECT hour, requests FROM hours WHERE issue = ? ORDER BY hour")?;
        let rows = select.query_map([&self.id], |row| {
            let hour: i64 = row.get(0)?;
            Ok(Hour { time: rfc3339(hour.saturating_mul(HOUR)), requests: whole(row.get(1)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            kind: row.get(1)?,
            service: row.get(2)?,
            environment: row.get(3)?,
            direction: row.get(4)?,
            method: row.get(5)?,
            route: row.get(6)?,
            status: row.get(7)?,
            grpc_status: row.get::<_, Option<i64>>(8)?.and_then(|status| u64::try_from(status).ok()),
            error_type: row.get(9)?,
            class: row.get(10)?,
            message: row.get(11)?,
            first_seen: row.get(12)?,
            last_seen: row.get(13)?,
            first_version: row.get(14)?,
            last_version: row.get(15)?,
            requests: row.get(16)?,
            logged: row.get::<_, i64>(17)?.unsigned_abs(),
            consumers: row.get::<_, i64>(18)?.unsigned_abs(),
            more_consumers: row.get(19)?,
            standing: Standing::named(&row.get::<_, String>(20)?),
            acknowledged: row.get(21)?,
            regressed_at: row.get(22)?,
            resolved_at: row.get(23)?,
            in_next_release: row.get(24)?,
            changed_at: row.get(25)?,
            changed_by: row.get(26)?,
        })
    }

    fn state(&self, now: i64) -> State {
        State::of(self.standing, self.regressed_at, self.acknowledged, (self.first_seen, now))
    }

    /// The values of a dimension; an empty text where there is none.
    fn texts(
        &self,
        file: &Connection,
        dimension: Dimension,
        labels: &mut Labels<'_>,
    ) -> Result<Vec<String>, QueryError> {
        let own = match dimension {
            Dimension::Service => &self.service,
            Dimension::Environment => &self.environment,
            Dimension::Direction => &self.direction,
            Dimension::Method => &self.method,
            Dimension::Route => &self.route,
            Dimension::ErrorType => &self.error_type,
            Dimension::ConsumerGroup => {
                let consumers = values(file, &self.id, Dimension::Consumer.name())?;
                let mut group = |id: &String| -> Result<String, QueryError> {
                    Ok(labels.get(&self.service, &self.environment, &self.direction, id)?.group.clone())
                };
                return consumers.iter().map(&mut group).collect();
            }
            stored => return values(file, &self.id, stored.name()),
        };
        Ok(vec![own.clone()])
    }

    fn shown(&self, requests: f64, spark: Vec<u64>, disclosure: Disclosure, now: i64) -> Issue {
        let hides = disclosure == Disclosure::Reduced && !self.message.is_empty();
        Issue {
            id: self.id.clone(),
            kind: self.kind.clone(),
            state: self.state(now).name(),
            service: self.service.clone(),
            environment: self.environment.clone(),
            direction: self.direction.clone(),
            method: self.method.clone(),
            route: self.route.clone(),
            status: self.status,
            grpc_status: self.grpc_status,
            error_type: known(&self.error_type),
            class: known(&self.class),
            message: known(&self.message).filter(|_| !hides),
            withheld: if hides { WITHHELD.to_vec() } else { Vec::new() },
            first_seen: rfc3339(self.first_seen),
            last_seen: rfc3339(self.last_seen),
            first_version: known(&self.first_version),
            last_version: known(&self.last_version),
            requests: whole(requests),
            total: whole(self.requests),
            logged: self.logged,
            consumers: self.consumers,
            more_consumers: self.more_consumers,
            spark,
            regressed_at: self.regressed_at.map(rfc3339),
            resolved_at: self.resolved_at.filter(|_| self.standing == Standing::Resolved).map(rfc3339),
            in_next_release: self.in_next_release && self.standing == Standing::Resolved,
            changed_at: self.changed_at.map(rfc3339),
            changed_by: self.changed_by.as_deref().and_then(known),
        }
    }
}

impl Place {
    fn to_text(&self) -> String {
        Cursor::default().number(self.value).text(&self.id).to_text()
    }

    fn parse(text: &str) -> Result<Self, QueryError> {
        Cursor::parse(text, |rest| Some(Self { value: rest.number()?, id: rest.text()? }))
    }
}

/// Opens the file for one query, which is interrupted at its deadline and sees one snapshot.
fn open(directory: &Path, limits: &Limits) -> Result<Option<Connection>, QueryError> {
    let Some(file) = issues::open_read(directory)? else { return Ok(None) };
    let deadline = Instant::now() + limits.query_timeout;
    file.progress_handler(super::STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
    file.execute_batch("BEGIN")?;
    Ok(Some(file))
}

/// The requests of each issue in a period of whole hours.
fn requests_of(file: &Connection, range: Range) -> Result<HashMap<String, f64>, QueryError> {
    let mut select =
        file.prepare("SELECT issue, sum(requests) FROM hours WHERE hour >= ? AND hour < ? GROUP BY issue")?;
    let rows = select.query_map([range.from.div_euclid(HOUR), range.to.div_euclid(HOUR)], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The values of a dimension of an issue; an empty text where there is none.
fn values(file: &Connection, id: &str, dimension: &str) -> Result<Vec<String>, QueryError> {
    let mut select =
        file.prepare_cached("SELECT value FROM issue_values WHERE issue = ? AND dimension = ?")?;
    let rows = select.query_map([id, dimension], |row| row.get(0))?;
    let found: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(if found.is_empty() { vec![String::new()] } else { found })
}

/// Requests in each of the hours before `to` (Unix nanoseconds), the earliest first.
fn spark(file: &Connection, id: &str, to: i64) -> Result<Vec<u64>, QueryError> {
    let end = to.saturating_add(HOUR - 1).div_euclid(HOUR);
    let begin = end.saturating_sub(SPARK_HOURS);
    let mut select = file.prepare_cached(
        "SELECT hour - ?2, requests FROM hours WHERE issue = ?1 AND hour >= ?2 AND hour < ?3",
    )?;
    let mut rows = select.query(params![id, begin, end])?;
    let mut spark = vec![0; SPARK_HOURS as usize];
    while let Some(row) = rows.next()? {
        let place = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
        if let Some(place) = spark.get_mut(place) {
            *place = whole(row.get(1)?);
        }
    }
    Ok(spark)
}

/// The value with a name.
fn named<T: Copy>(parameter: &str, text: &str, all: &[(&str, T)]) -> Result<T, QueryError> {
    all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        QueryError::parameter(
            parameter,
            format!("{parameter} must be one of {}, not {text:?}", names.join(", ")),
        )
    })
}

fn known(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn whole(requests: f64) -> u64 {
    requests.round() as u64
}
