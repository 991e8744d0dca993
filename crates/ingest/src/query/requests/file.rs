//! A day's file of the request log, read from its latest chunk on.

use super::RequestsQuery;
use super::fold::Folding;
use super::place::Place;
use super::row::Sender;
use super::waiting::{Found, Waiting};
use crate::error::QueryError;
use crate::query::filter::Filter;
use crate::query::labels::Labels;
use crate::query::pass_over;
use crate::query::range::Range;
use crate::store::{DataDir, StoreError, chunk};
use jiff::civil::Date;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// Descriptions of chunks read from a file at a time.
const CHUNKS_AHEAD: i64 = 256;

/// One day's file, read from its latest chunk on.
pub(super) struct File {
    path: PathBuf,
    connection: Connection,
    day: i64,
    /// Chunks described but not read, the latest first.
    ahead: VecDeque<Description>,
    /// The next description has a t1 and id below these.
    t1: i64,
    id: i64,
    from: i64,
    to: i64,
    ended: bool,
}

/// What requests are shown under now: routes, and the names of consumers.
type Lookups<'a, 'b> = (&'a mut Folding<'b>, &'a mut Labels<'b>);

struct Description {
    id: i64,
    t1: i64,
}

impl File {
    pub(super) fn new(path: PathBuf, day: Date, connection: Connection, range: Range, before: i64) -> Self {
        let day = i64::from(Date::constant(1970, 1, 1).until(day).map_or(0, |span| span.get_days()));
        // Chunks that begin after the cursor's time cannot hold what comes next.
        let to = range.to.min(before.saturating_add(1));
        Self {
            path,
            connection,
            day,
            ahead: VecDeque::new(),
            t1: i64::MAX,
            id: i64::MAX,
            from: range.from,
            to,
            ended: false,
        }
    }

    /// The time of the latest request that an unread chunk can hold, as far as the query is concerned.
    pub(super) fn latest(&mut self, directory: &DataDir, filter: &Filter) -> Result<Option<i64>, QueryError> {
        while self.ahead.is_empty() && !self.ended {
            if let Err(error) = self.describe(filter) {
                self.ended = true;
                pass_over(directory, &self.path, error)?;
            }
        }
        Ok(self.ahead.front().map(|next| next.t1.min(self.to - 1)))
    }

    fn describe(&mut self, filter: &Filter) -> Result<(), QueryError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id, t1, errors, classes, service, environment FROM chunks
             WHERE (t1, id) < (?1, ?2) AND t1 >= ?3 AND t0 < ?4 ORDER BY t1 DESC, id DESC LIMIT ?5",
        )?;
        let mut rows = select.query([self.t1, self.id, self.from, self.to, CHUNKS_AHEAD])?;
        let mut described = 0;
        while let Some(row) = rows.next()? {
            described += 1;
            (self.id, self.t1) = (row.get(0)?, row.get(1)?);
            let (service, environment): (String, String) = (row.get(4)?, row.get(5)?);
            if filter.takes_sender(&service, &environment) && filter.may_take_chunk(row.get(2)?, row.get(3)?)
            {
                self.ahead.push_back(Description { id: self.id, t1: self.t1 });
            }
        }
        self.ended = described < CHUNKS_AHEAD;
        Ok(())
    }

    /// Reads the next chunk, and returns the number of requests that it holds: 0 where it is damaged.
    pub(super) fn read_next(
        &mut self,
        directory: &DataDir,
        query: &RequestsQuery,
        (folding, labels): Lookups<'_, '_>,
        waiting: &mut Waiting,
    ) -> Result<usize, QueryError> {
        self.read(query, (folding, labels), waiting)
            .or_else(|error| pass_over(directory, &self.path, error).map(|()| 0))
    }

    fn read(
        &mut self,
        query: &RequestsQuery,
        (folding, labels): Lookups<'_, '_>,
        waiting: &mut Waiting,
    ) -> Result<usize, QueryError> {
        let Some(Description { id, .. }) = self.ahead.pop_front() else { return Ok(0) };
        let mut select = self
            .connection
            .prepare_cached("SELECT data, gateway, service, environment FROM chunks WHERE id = ?")?;
        let (data, sender) = select.query_row([id], |row| {
            let text = |column| row.get::<_, String>(column).map(Arc::<str>::from);
            let sender = Sender { gateway: text(1)?, service: text(2)?, environment: text(3)? };
            Ok((row.get::<_, Vec<u8>>(0)?, sender))
        })?;
        let mut events =
            chunk::decode(&data).ok_or(StoreError::Unreadable { what: "chunk of the request log" })?;
        folding.apply(&sender, &mut events);
        let scanned = events.len();
        for (row, mut event) in (0..).zip(events) {
            let place = Place { time: event.time, day: self.day, chunk: id, row };
            let in_range = (query.range.from..query.range.to).contains(&event.time);
            if !in_range || query.cursor.is_some_and(|cursor| place >= cursor) {
                continue;
            }
            let by_group = query.filter.asks_for_group();
            if by_group {
                labels.apply(&sender, &mut event)?;
            }
            if query.takes(&event, &sender) {
                if !by_group {
                    labels.apply(&sender, &mut event)?;
                }
                waiting.push(Found { place, event, sender: sender.clone() });
            }
        }
        Ok(scanned)
    }
}
