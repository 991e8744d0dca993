//! `releases`: when services began to run other versions and gateways other configurations, the latest first.

use super::cursor::{Cursor, Reader};
use super::filter::Filter;
use super::params::Params;
use super::range::{Range, rfc3339};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::DataDir;
use rusqlite::{Connection, params};
use serde::Serialize;

const NAMES: [&str; 7] = ["from", "to", "service", "environment", "kind", "limit", "cursor"];
const KINDS: [&str; 2] = ["version", "configuration"];
const DEFAULT_ROWS: u64 = 100;
/// Gateways that a row names; it has the number of all.
const MAX_GATEWAYS: usize = 20;

/// A question for releases.
pub(crate) struct ReleasesQuery {
    range: Range,
    filter: Filter,
    kind: Option<String>,
    limit: usize,
    /// The last release of the page before.
    after: Option<Place>,
}

/// A place in the order of releases: when it was first seen, its kind and its number.
type Place = (i64, String, i64);

/// The answer to [`ReleasesQuery`].
#[derive(Serialize)]
pub(crate) struct Releases {
    /// The latest first.
    rows: Vec<Row>,
    /// The cursor of the next page, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    kind: String,
    service: String,
    environment: String,
    value: String,
    /// The value of the release before; `None` for the first that was seen.
    previous: Option<String>,
    first_seen: String,
    /// The instances that ran it, the first ones first.
    gateways: Vec<Gateway>,
    gateways_total: usize,
}

#[derive(Serialize)]
struct Gateway {
    instance: String,
    since: String,
    last_seen: String,
}

impl ReleasesQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let kind = params.one("kind")?.map(|kind| match KINDS.contains(&kind) {
            true => Ok(kind.to_owned()),
            false => {
                let message = format!("kind must be {}, not {kind:?}", KINDS.join(" or "));
                Err(QueryError::parameter("kind", message))
            }
        });
        let place = |rest: &mut Reader<'_>| Some((rest.number()?, rest.text()?, rest.number()?));
        Ok(Self {
            range: Range::read_any(&params, now)?,
            filter: Filter::read(&params)?,
            kind: kind.transpose()?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(|text| Cursor::parse(text, place)).transpose()?,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Releases, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        // Not by number: releases that other replicas have noted come later than they were seen.
        let mut select = file.prepare(
            "SELECT id, kind, service, environment, value, previous, first_seen FROM releases
             WHERE first_seen >= ?1 AND first_seen < ?2 AND (?3 IS NULL OR kind = ?3)
               AND (?4 IS NULL OR first_seen < ?4 OR first_seen = ?4 AND (kind > ?5 OR kind = ?5 AND id < ?6))
             ORDER BY first_seen DESC, kind, id DESC",
        )?;
        let (time, kind, id) = match &self.after {
            Some((time, kind, id)) => (Some(time), Some(kind), Some(id)),
            None => (None, None, None),
        };
        let mut found = select.query(params![self.range.from, self.range.to, self.kind, time, kind, id])?;
        let mut rows: Vec<Row> = Vec::new();
        let mut last_seen = 0;
        while let Some(row) = found.next()? {
            let (service, environment): (String, String) = (row.get(2)?, row.get(3)?);
            // A release is none of one instance, which is therefore no parameter.
            if !self.filter.takes_sender(&service, &environment, "") {
                continue;
            }
            if rows.len() == self.limit {
                let next = rows.last().map(|last| {
                    Cursor::default().number(last_seen).text(&last.kind).number(last.id).to_text()
                });
                return Ok(Releases { rows, next });
            }
            let id = row.get(0)?;
            last_seen = row.get(6)?;
            let mut gateways = gateways(&file, id)?;
            let gateways_total = gateways.len();
            gateways.truncate(MAX_GATEWAYS);
            rows.push(Row {
                id,
                kind: row.get(1)?,
                service,
                environment,
                value: row.get(4)?,
                previous: row.get(5)?,
                first_seen: rfc3339(last_seen),
                gateways,
                gateways_total,
            });
        }
        Ok(Releases { rows, next: None })
    }
}

/// The instances that ran a release, with the times of their epochs together.
fn gateways(file: &Connection, release: i64) -> Result<Vec<Gateway>, QueryError> {
    let mut select = file.prepare_cached(
        "SELECT g.instance, min(m.since) AS since, max(g.last_seen)
         FROM release_gateways m JOIN gateways g ON g.id = m.gateway_id
         WHERE m.release_id = ? GROUP BY g.instance ORDER BY since, g.instance",
    )?;
    let rows = select.query_map([release], |row| {
        Ok(Gateway { instance: row.get(0)?, since: rfc3339(row.get(1)?), last_seen: rfc3339(row.get(2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
