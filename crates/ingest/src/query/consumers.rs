//! `consumers`: the consumers of all services, with their names and groups.

use super::cursor::Cursor;
use super::filter::Filter;
use super::params::Params;
use super::range::rfc3339;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::ConsumerKey;
use crate::store::DataDir;
use rusqlite::params;
use serde::Serialize;

const NAMES: [&str; 7] = ["service", "environment", "direction", "consumer", "group", "limit", "cursor"];
const DEFAULT_ROWS: u64 = 100;

/// A question for consumers.
pub(crate) struct ConsumersQuery {
    filter: Filter,
    limit: usize,
    after: Option<Place>,
}

/// A place in the order of all consumers: when it was last counted, and who it is.
struct Place {
    last_seen: i64,
    key: ConsumerKey,
}

/// The answer to [`ConsumersQuery`].
#[derive(Serialize)]
pub(crate) struct Consumers {
    /// The last seen first.
    rows: Vec<Row>,
    /// Whether there are more.
    more: bool,
    /// The cursor of the next page, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    service: String,
    environment: String,
    direction: String,
    id: String,
    /// That of the directory, or else the one reported.
    name: Option<String>,
    group: Option<String>,
    reported_name: Option<String>,
    reported_group: Option<String>,
    note: Option<String>,
    in_directory: bool,
    first_seen: String,
    last_seen: String,
}

impl ConsumersQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        Ok(Self {
            filter: Filter::read(&params)?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(Place::parse).transpose()?,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Consumers, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        let mut select = file.prepare(
            "SELECT c.last_seen, c.id, c.service, c.environment, c.direction, c.name, c.grp, c.first_seen, d.name, d.grp, d.note
             FROM consumers c LEFT JOIN directory d ON d.id = c.id
             WHERE c.last_seen < ?1
                OR (c.last_seen = ?1 AND (c.id, c.service, c.environment, c.direction) > (?2, ?3, ?4, ?5))
             ORDER BY c.last_seen DESC, c.id, c.service, c.environment, c.direction",
        )?;
        let mut found = match &self.after {
            Some(Place { last_seen, key }) => {
                select.query(params![last_seen, key.id, key.service, key.environment, key.direction])?
            }
            None => select.query(params![i64::MAX, "", "", "", ""])?,
        };
        let mut rows = Vec::new();
        let mut last = None;
        while let Some(row) = found.next()? {
            let key = ConsumerKey {
                id: row.get(1)?,
                service: row.get(2)?,
                environment: row.get(3)?,
                direction: row.get(4)?,
            };
            let known = |text: Option<String>| text.filter(|text| !text.is_empty());
            let (reported_name, reported_group) = (known(row.get(5)?), known(row.get(6)?));
            let (name, group): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
            let in_directory = name.is_some();
            let name = known(name).or_else(|| reported_name.clone());
            let group = known(group).or_else(|| reported_group.clone());
            if !self.filter.takes_consumer(&key, group.as_deref().unwrap_or_default()) {
                continue;
            }
            if rows.len() == self.limit {
                return Ok(Consumers { rows, more: true, next: last.as_ref().map(Place::to_text) });
            }
            let last_seen = row.get(0)?;
            rows.push(Row {
                service: key.service.to_string(),
                environment: key.environment.to_string(),
                direction: key.direction.to_string(),
                id: key.id.to_string(),
                name,
                group,
                reported_name,
                reported_group,
                note: known(row.get(10)?),
                in_directory,
                first_seen: rfc3339(row.get(7)?),
                last_seen: rfc3339(last_seen),
            });
            last = Some(Place { last_seen, key });
        }
        Ok(Consumers { rows, more: false, next: None })
    }
}

impl Place {
    fn to_text(&self) -> String {
        let ConsumerKey { service, environment, direction, id } = &self.key;
        let cursor = Cursor::default().number(self.last_seen).text(service).text(environment);
        cursor.text(direction).text(id).to_text()
    }

    fn parse(text: &str) -> Result<Self, QueryError> {
        Cursor::parse(text, |rest| {
            let last_seen = rest.number()?;
            let (service, environment, direction, id) =
                (rest.text()?.into(), rest.text()?.into(), rest.text()?.into(), rest.text()?.into());
            Some(Self { last_seen, key: ConsumerKey { service, environment, direction, id } })
        })
    }
}
