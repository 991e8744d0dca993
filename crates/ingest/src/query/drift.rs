//! `drift`: changes of routes and of the fields of bodies, the latest first.

use super::cursor::{Cursor, Reader};
use super::filter::Filter;
use super::params::Params;
use super::range::{Range, rfc3339};
use crate::drift::{ChangeKind, RouteKey};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::Scope;
use crate::store::DataDir;
use rusqlite::params;
use serde::Serialize;

const NAMES: [&str; 11] = [
    "from",
    "to",
    "service",
    "environment",
    "direction",
    "version",
    "method",
    "route",
    "kind",
    "limit",
    "cursor",
];
const DEFAULT_ROWS: u64 = 100;

/// A question for changes.
pub(crate) struct DriftQuery {
    /// Of all times where none is given.
    range: Range,
    filter: Filter,
    /// All kinds where it is empty.
    kinds: Vec<&'static str>,
    limit: usize,
    /// Only changes up to this time, without the first ones of it.
    before: (i64, i64),
}

/// The answer to [`DriftQuery`].
#[derive(Serialize)]
pub(crate) struct Drift {
    rows: Vec<Row>,
    /// The cursor of the next page, where there are more rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    time: String,
    kind: String,
    service: String,
    environment: String,
    direction: String,
    method: String,
    route: String,
    /// `request` or `response`; `null` where the route itself has changed.
    message: Option<String>,
    /// The class of the status: `2xx`.
    status: Option<String>,
    /// A JSON pointer with `[]` for items of arrays and `{*}` for values of maps; empty for the body as a whole.
    field: Option<String>,
    before: Option<String>,
    after: Option<String>,
    /// Version of the service that sent it.
    version: Option<String>,
    /// The request that showed it.
    request_id: Option<String>,
    trace_id: Option<String>,
}

impl DriftQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let kind = |name: &str| {
            let known = ChangeKind::ALL.map(ChangeKind::name);
            let message = format!("kind {name:?} does not exist: expected one of {}", known.join(", "));
            known
                .into_iter()
                .find(|known| *known == name)
                .ok_or_else(|| QueryError::parameter("kind", message))
        };
        let kinds = params.all("kind").flat_map(|text| text.split(',')).filter(|name| !name.is_empty());
        let cursor = |rest: &mut Reader<'_>| Some((rest.number()?, rest.number()?));
        Ok(Self {
            range: Range::read_any(&params, now)?,
            filter: Filter::read(&params)?,
            kinds: kinds.map(kind).collect::<Result<_, _>>()?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            before: params
                .one("cursor")?
                .map(|text| Cursor::parse(text, cursor))
                .transpose()?
                .unwrap_or((i64::MAX, 0)),
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Drift, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        let mut select = file.prepare(
            "SELECT service, environment, direction, method, route, time, kind, message, class, field, before, after,
                    release, request_id, trace_id
             FROM drift WHERE time >= ?1 AND time < ?2 AND time <= ?3
             ORDER BY time DESC, service, environment, direction, method, route, message, class, field, kind",
        )?;
        let Range { from, to } = self.range;
        // Replicas number changes each for itself, so that a place in the list is a time and a number within it.
        let (until, passed) = self.before;
        let mut found = select.query(params![from, to, until])?;
        let mut rows = Vec::new();
        let (mut last, mut place) = (None, (i64::MAX, 0));
        while let Some(row) = found.next()? {
            let time: i64 = row.get(5)?;
            place = (time, if place.0 == time { place.1 + 1 } else { 1 });
            if time == until && place.1 <= passed {
                continue;
            }
            let scope = Scope { service: row.get(0)?, environment: row.get(1)?, direction: row.get(2)? };
            let key = RouteKey { scope, method: row.get(3)?, route: row.get(4)? };
            let (kind, version): (String, String) = (row.get(6)?, row.get(12)?);
            let is_wanted = self.kinds.is_empty() || self.kinds.contains(&kind.as_str());
            if !is_wanted || !self.filter.takes_route(&key, Some(&version)) {
                continue;
            }
            if rows.len() == self.limit {
                return Ok(Drift { rows, next: last });
            }
            let known = |text: String| Some(text).filter(|text| !text.is_empty());
            let message = known(row.get(7)?);
            let class: i64 = row.get(8)?;
            let field: String = row.get(9)?;
            last = Some(Cursor::default().number(place.0).number(place.1).to_text());
            let RouteKey { scope: Scope { service, environment, direction }, method, route } = key;
            rows.push(Row {
                time: rfc3339(time),
                kind,
                service,
                environment,
                direction,
                method,
                route,
                status: message.as_ref().map(|_| status(class)),
                field: message.as_ref().map(|_| field),
                message,
                before: known(row.get(10)?),
                after: known(row.get(11)?),
                version: known(version),
                request_id: known(row.get(13)?),
                trace_id: known(row.get(14)?),
            });
        }
        Ok(Drift { rows, next: None })
    }
}

/// The name of a class of statuses; `0` for requests without an answer.
pub(super) fn status(class: i64) -> String {
    if class == 0 { "0".to_owned() } else { format!("{class}xx") }
}
