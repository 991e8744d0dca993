//! `audit`: who signed in, who saw captured content and who changed something, the latest first.

use super::cursor::Cursor;
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
    /// Only entries before this time and number.
    cursor: (i64, i64),
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
        let cursor = |text: &str| Cursor::parse(text, |rest| Some((rest.number()?, rest.number()?)));
        Ok(Self {
            range: is_bounded.then(|| Range::read(&params, now)).transpose()?,
            actor: params.one("actor")?.map(str::to_owned),
            action: params.one("action")?.map(action).transpose()?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            cursor: params.one("cursor")?.map(cursor).transpose()?.unwrap_or((i64::MAX, i64::MAX)),
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Audit, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        // Not by number: entries of other replicas come later than they were made.
        let (time, id) = self.cursor;
        let mut conditions = vec!["(time, id) < (?, ?)"];
        let mut values = vec![Value::from(time), Value::from(id)];
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
            "SELECT id, time, actor, role, peer, action, detail FROM audit WHERE {} ORDER BY time DESC, id DESC LIMIT ?",
            conditions.join(" AND ")
        ))?;
        let known = |text: String| Some(text).filter(|text| !text.is_empty());
        let found = select.query_map(rusqlite::params_from_iter(values), |row| {
            let time = row.get(1)?;
            let entry = Row {
                time: rfc3339(time),
                actor: row.get(2)?,
                role: known(row.get(3)?),
                peer: known(row.get(4)?),
                action: row.get(5)?,
                detail: row.get(6)?,
            };
            Ok(((time, row.get(0)?), entry))
        })?;
        let mut found: Vec<((i64, i64), Row)> = found.collect::<Result<_, _>>()?;
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| has_more);
        let next = next.map(|((time, id), _)| Cursor::default().number(*time).number(*id).to_text());
        Ok(Audit { rows: found.into_iter().map(|(_, row)| row).collect(), next })
    }
}
