//! `directory`: what people wrote about consumers, by ID.

use super::cursor::Cursor;
use super::params::Params;
use super::range::rfc3339;
use crate::directory::Details;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::DataDir;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use std::collections::HashMap;

const NAMES: [&str; 2] = ["limit", "cursor"];
const DEFAULT_ROWS: u64 = 100;

/// A question for entries of the directory.
pub(crate) struct DirectoryQuery {
    limit: usize,
    /// Only entries behind this ID.
    after: Option<String>,
}

/// The answer to [`DirectoryQuery`].
#[derive(Serialize)]
pub(crate) struct Directory {
    rows: Vec<Row>,
    /// The cursor of the next page, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    #[serde(flatten)]
    details: Details,
    changed_at: String,
    changed_by: Option<String>,
}

impl DirectoryQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        Ok(Self {
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(|text| Cursor::parse(text, |rest| rest.text())).transpose()?,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Directory, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        let mut select = file.prepare(
            "SELECT id, name, grp, note, changed_at, changed_by FROM directory
             WHERE id > ?1 OR ?1 IS NULL ORDER BY id LIMIT ?2",
        )?;
        // One more than asked for shows whether there is a next page.
        let most = i64::try_from(self.limit + 1).unwrap_or(i64::MAX);
        let found = select.query_map(params![self.after, most], |row| {
            Ok(Row {
                id: row.get(0)?,
                details: Details { name: row.get(1)?, group: row.get(2)?, note: row.get(3)? },
                changed_at: rfc3339(row.get(4)?),
                changed_by: Some(row.get(5)?).filter(|by: &String| !by.is_empty()),
            })
        })?;
        let mut rows: Vec<Row> = found.collect::<Result<_, _>>()?;
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| has_more).map(|row| Cursor::default().text(&row.id).to_text());
        Ok(Directory { rows, next })
    }
}

/// What is written about these IDs.
pub(super) fn details_of(
    directory: &DataDir,
    limits: &Limits,
    ids: &[String],
) -> Result<HashMap<String, Details>, QueryError> {
    let file = super::open_counts(directory, limits.query_timeout)?;
    let mut select = file.prepare("SELECT name, grp, note FROM directory WHERE id = ?")?;
    let mut found = HashMap::new();
    for id in ids {
        let details = select
            .query_row([id], |row| Ok(Details { name: row.get(0)?, group: row.get(1)?, note: row.get(2)? }));
        found.extend(details.optional()?.map(|details| (id.clone(), details)));
    }
    Ok(found)
}
