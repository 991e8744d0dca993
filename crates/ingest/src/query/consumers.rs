//! `consumers`: the consumers of all services, with their names and groups.

use super::filter::Filter;
use super::params::Params;
use super::range::rfc3339;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::DataDir;
use serde::Serialize;

const NAMES: [&str; 5] = ["service", "environment", "consumer", "group", "limit"];
const DEFAULT_ROWS: u64 = 100;

/// A question for consumers.
pub(crate) struct ConsumersQuery {
    filter: Filter,
    limit: usize,
}

/// The answer to [`ConsumersQuery`].
#[derive(Serialize)]
pub(crate) struct Consumers {
    /// The last seen first.
    rows: Vec<Row>,
    /// Whether there are more.
    more: bool,
}

#[derive(Serialize)]
struct Row {
    service: String,
    environment: String,
    id: String,
    name: Option<String>,
    group: Option<String>,
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
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Consumers, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        let mut select = file.prepare(
            "SELECT service, environment, id, name, grp, first_seen, last_seen FROM consumers
             ORDER BY last_seen DESC, id",
        )?;
        let mut found = select.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let text = |column| row.get::<_, String>(column);
            let (service, environment, id, name, group) = (text(0)?, text(1)?, text(2)?, text(3)?, text(4)?);
            if !self.filter.takes_consumer(&service, &environment, &id, &group) {
                continue;
            }
            if rows.len() == self.limit {
                return Ok(Consumers { rows, more: true });
            }
            let known = |text: String| Some(text).filter(|text| !text.is_empty());
            rows.push(Row {
                service,
                environment,
                id,
                name: known(name),
                group: known(group),
                first_seen: rfc3339(row.get(5)?),
                last_seen: rfc3339(row.get(6)?),
            });
        }
        Ok(Consumers { rows, more: false })
    }
}
