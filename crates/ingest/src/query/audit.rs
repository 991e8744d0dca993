//! `audit`: who signed in, who saw captured content and who changed something, the latest first.

use super::params::Params;
use super::range::{Range, rfc3339};
use crate::auth::audit::Action;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::DataDir;
use rusqlite::types::Value;
use serde::Serialize;

const NAMES: [&str; 6] = ["from", "to", "actor", "action", "limit", "cursor"];
const DEFAULT_ROWS: u64 = 100;

/// A question for entries of the audit log.
pub(crate) struct AuditQuery {
    /// Of all times where none is given.
    range: Option<Range>,
    actor: Option<String>,
    action: Option<Action>,
    limit: usize,
    /// Only entries before this number.
    cursor: i64,
}

/// The answer to [`AuditQuery`].
#[derive(Serialize)]
pub(crate) struct Audit {
    rows: Vec<Row>,
    /// The cursor of the next page; `null` at the end.
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    time: String,
    actor: String,
    role: Option<String>,
    peer: Option<String>,
    action: String,
    detail: String,
}

impl AuditQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let is_bounded = params.one("from")?.is_some() || params.one("to")?.is_some();
        let action = |name: &str| {
            let known = Action::ALL.map(Action::name).join(", ");
            let action = Action::ALL.into_iter().find(|action| action.name() == name);
            let message = format!("action {name:?} does not exist: expected one of {known}");
            action.ok_or_else(|| QueryError::parameter("action", message))
        };
        let cursor = |text: &str| {
            let message = "cursor must be the `next` of an answer";
            text.parse().map_err(|_| QueryError::parameter("cursor", message))
        };
        Ok(Self {
            range: is_bounded.then(|| Range::read(&params, now)).transpose()?,
            actor: params.one("actor")?.map(str::to_owned),
            action: params.one("action")?.map(action).transpose()?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            cursor: params.one("cursor")?.map(cursor).transpose()?.unwrap_or(i64::MAX),
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Audit, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        let mut conditions = vec!["id < ?"];
        let mut values = vec![Value::from(self.cursor)];
        if let Some(Range { from, to }) = self.range {
            conditions.push("time >= ? AND time < ?");
            values.extend([Value::from(from), Value::from(to)]);
        }
        if let Some(actor) = &self.actor {
            conditions.push("actor = ?");
            values.push(actor.clone().into());
        }
        if let Some(action) = self.action {
            conditions.push("action = ?");
            values.push(action.name().to_owned().into());
        }
        // One more than asked for shows whether there is a next page.
        values.push(Value::from(i64::try_from(self.limit + 1).unwrap_or(i64::MAX)));
        let mut select = file.prepare(&format!(
            "SELECT id, time, actor, role, peer, action, detail FROM audit WHERE {} ORDER BY id DESC LIMIT ?",
            conditions.join(" AND ")
        ))?;
        let known = |text: String| Some(text).filter(|text| !text.is_empty());
        let found = select.query_map(rusqlite::params_from_iter(values), |row| {
            let entry = Row {
                time: rfc3339(row.get(1)?),
                actor: row.get(2)?,
                role: known(row.get(3)?),
                peer: known(row.get(4)?),
                action: row.get(5)?,
                detail: row.get(6)?,
            };
            Ok((row.get::<_, i64>(0)?, entry))
        })?;
        let mut found: Vec<(i64, Row)> = found.collect::<Result<_, _>>()?;
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| has_more).map(|(id, _)| id.to_string());
        Ok(Audit { rows: found.into_iter().map(|(_, row)| row).collect(), next })
    }
}
