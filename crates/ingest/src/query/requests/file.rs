//! A day's file of the request log, read chunk by chunk in the order of the query.

use super::RequestsQuery;
use super::fold::Folding;
use super::place::{Order, Place};
use super::row::Sender;
use super::waiting::{Found, Waiting};
use crate::error::QueryError;
use crate::model::RequestEvent;
use crate::query::labels::Labels;
use crate::query::pass_over;
use crate::store::chunk::{FieldTest, Opened};
use crate::store::{DataDir, StoreError, bloom, chunk};
use jiff::civil::Date;
use rusqlite::{Connection, Row};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// Descriptions of chunks read from a file at a time.
const CHUNKS_AHEAD: i64 = 256;

/// One day's file, read from the chunk on that can hold the first request in the order of the query.
pub(super) struct File {
    path: PathBuf,
    connection: Connection,
    day: i64,
    /// Chunks described but not read, the first in order first.
    ahead: VecDeque<Description>,
    /// The next description has a sort key and an id below these.
    key: i64,
    id: i64,
    from: i64,
    to: i64,
    select: String,
    ended: bool,
}

/// What requests are shown under now: routes, and the names of consumers.
type Lookups<'a, 'b> = (&'a mut Folding<'b>, &'a mut Labels<'b>);

struct Description {
    id: i64,
    /// No request of the chunk comes before it in the order of the query.
    bound: Place,
}

impl File {
    pub(super) fn new(path: PathBuf, day: Date, connection: Connection, query: &RequestsQuery) -> Self {
        let day = i64::from(Date::constant(1970, 1, 1).until(day).map_or(0, |span| span.get_days()));
        // In order of time, chunks that begin after the cursor's time cannot hold what comes next.
        let before =
            query.cursor.filter(|_| query.order == Order::Time).map_or(i64::MAX, |cursor| cursor.time);
        let to = query.range.to.min(before.saturating_add(1));
        let select = describing(&connection, query);
        Self {
            path,
            connection,
            day,
            ahead: VecDeque::new(),
            key: i64::MAX,
            id: i64::MAX,
            from: query.range.from,
            to,
            select,
            ended: false,
        }
    }

    /// The first place that a request of an unread chunk can have, as far as the query is concerned.
    pub(super) fn first(
        &mut self,
        directory: &DataDir,
        query: &RequestsQuery,
    ) -> Result<Option<Place>, QueryError> {
        while self.ahead.is_empty() && !self.ended {
            if let Err(error) = self.describe(query) {
                self.ended = true;
                pass_over(directory, &self.path, error)?;
            }
        }
        Ok(self.ahead.front().map(|next| next.bound))
    }

    fn describe(&mut self, query: &RequestsQuery) -> Result<(), QueryError> {
        let mut select = self.connection.prepare_cached(&self.select)?;
        let mut rows = select.query([self.key, self.id, self.from, self.to, CHUNKS_AHEAD])?;
        let mut described = 0;
        while let Some(row) = rows.next()? {
            described += 1;
            (self.key, self.id) = (row.get(0)?, row.get(1)?);
            let (t0, t1): (i64, i64) = (row.get(2)?, row.get(3)?);
            let (errors, classes, longest) = (row.get(4)?, row.get(5)?, row.get(6)?);
            let text =
                |column| Ok::<_, QueryError>(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?);
            let (service, environment, gateway) = (text(7)?, text(8)?, text(9)?);
            let is_wanted = query.filter.takes_sender(service, environment, gateway)
                && query.search.takes_sender(service, environment, gateway)
                && query.filter.may_take_chunk(errors, classes)
                && query.criteria.may_take_chunk(longest)
                && query.search.may_take_chunk(errors, classes, longest)
                && filter_of(row)?.is_none_or(|filter| bloom::may_hold(filter, &query.keys));
            let (day, chunk) = (self.day, self.id);
            let bound = match query.order {
                Order::Time if t1 < self.to => Place { rank: 0, time: t1, day, chunk, row: u64::MAX },
                Order::Time => Place { rank: 0, time: self.to - 1, day, chunk: i64::MAX, row: u64::MAX },
                Order::Duration => Place { rank: longest, time: 0, day, chunk, row: u64::MAX },
            };
            // Whatever it holds came on an earlier page.
            let is_behind = query.order == Order::Time
                && query
                    .cursor
                    .is_some_and(|cursor| Place { rank: 0, time: t0, day, chunk, row: 0 } >= cursor);
            if is_wanted && !is_behind {
                self.ahead.push_back(Description { id: self.id, bound });
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
        let damaged = || StoreError::Unreadable { what: "chunk of the request log" };
        let opened = chunk::open(&data).ok_or_else(damaged)?;
        let may_match = may_match(query, &opened, &sender, folding).ok_or_else(damaged)?;
        let scanned = may_match.len();
        if !may_match.contains(&true) {
            return Ok(scanned);
        }
        let is_deciding = |field: &str| query.deciding.is_empty() || query.deciding.contains(field);
        let mut events = opened.events(is_deciding).ok_or_else(damaged)?;
        folding.apply(&sender, &mut events);
        let mut taken = Vec::new();
        for ((row, event), may_match) in (0..).zip(&mut events).zip(may_match) {
            if !may_match {
                continue;
            }
            let (rank, time) = query.order.key(event);
            let place = Place { rank, time, day: self.day, chunk: id, row };
            let in_range = (query.range.from..query.range.to).contains(&event.time);
            if !in_range || query.cursor.is_some_and(|cursor| place >= cursor) || !waiting.wants(place) {
                continue;
            }
            if query.asks_for_group() {
                labels.apply(&sender, event)?;
            }
            if query.takes(event, &sender) {
                taken.push(place);
            }
        }
        if taken.is_empty() {
            return Ok(scanned);
        }
        if !query.deciding.is_empty() {
            events = opened.events(|_| true).ok_or_else(damaged)?;
            folding.apply(&sender, &mut events);
        }
        for place in taken {
            let event =
                usize::try_from(place.row).ok().and_then(|row| events.get_mut(row)).map(std::mem::take);
            let mut event = event.ok_or_else(damaged)?;
            labels.apply(&sender, &mut event)?;
            waiting.push(Found { place, event, sender: sender.clone() });
        }
        Ok(scanned)
    }
}

/// By request of a chunk, whether it may match as far as its single fields decide it; `None` when the chunk is damaged.
fn may_match(
    query: &RequestsQuery,
    chunk: &Opened<'_>,
    sender: &Sender,
    folding: &mut Folding<'_>,
) -> Option<Vec<bool>> {
    let folding = RefCell::new(folding);
    let tests = query.filter.field_tests().chain(query.search.field_tests());
    let mut tests: Vec<FieldTest<'_>> = tests.map(|test| test.folded(sender, &folding)).collect();
    chunk.rows_that(&mut tests)
}

impl<'a> FieldTest<'a> {
    /// The same test; a route may also be taken under the route that it has now.
    fn folded<'b>(self, sender: &'b Sender, folding: &'b RefCell<&mut Folding<'_>>) -> FieldTest<'b>
    where
        'a: 'b,
    {
        let Self { fields, needs, mut takes } = self;
        if fields != ["route"] {
            return FieldTest { fields, needs, takes };
        }
        let takes = move |event: &mut RequestEvent| {
            takes(event) || {
                folding.borrow_mut().apply(sender, std::slice::from_mut(event));
                takes(event)
            }
        };
        FieldTest { fields, needs, takes: Box::new(takes) }
    }
}

/// The filter of a described chunk, if it has one.
fn filter_of<'a>(row: &'a Row<'_>) -> Result<Option<&'a [u8]>, QueryError> {
    Ok(row.get_ref(10)?.as_blob_or_null().map_err(rusqlite::Error::from)?)
}

/// The statement that describes the chunks of a file in the order of a query. Those of a file that no writer has brought up
/// to date do not know how long their requests took, and have no filters.
fn describing(file: &Connection, query: &RequestsQuery) -> String {
    let knows_longest = file.prepare("SELECT longest FROM chunks LIMIT 0").is_ok();
    let longest = if knows_longest { "longest" } else { "9223372036854775807" };
    let has_filters =
        !query.keys.is_empty() && file.prepare("SELECT filter FROM chunk_blooms LIMIT 0").is_ok();
    // A filter of another number of requests is not that of the chunk.
    let filter = match has_filters {
        true => "(SELECT filter FROM chunk_blooms b WHERE b.chunk_id = chunks.id AND b.n = chunks.n)",
        false => "NULL",
    };
    let key = match query.order {
        Order::Time => "t1",
        Order::Duration => longest,
    };
    format!(
        "SELECT {key}, id, t0, t1, errors, classes, {longest}, service, environment, gateway, {filter}
         FROM chunks
         WHERE ({key}, id) < (?1, ?2) AND t1 >= ?3 AND t0 < ?4 ORDER BY {key} DESC, id DESC LIMIT ?5"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::model::{Columns, RequestEvent};
    use rusqlite::params;

    /// Chunks of one request each, one per millisecond.
    const CHUNKS: i64 = CHUNKS_AHEAD + 50;
    const MILLISECOND: i64 = 1_000_000;

    fn events(times: &[i64]) -> Vec<u8> {
        let event = |time: &i64| RequestEvent { time: time * MILLISECOND, ..RequestEvent::default() };
        chunk::encode(&Columns::of(&times.iter().map(event).collect::<Vec<_>>())).unwrap()
    }

    /// The times of all requests that a file gives out, where `meanwhile` changes it after the first look.
    fn read_while(order: &str, meanwhile: impl FnOnce(&Connection)) -> (Vec<i64>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("requests-1970-01-01.db");
        drop(Connection::open(&path).unwrap());
        let directory = DataDir::new(dir.path().to_owned());
        let writer = crate::store::open_requests(&path).unwrap();
        for time in 1..=CHUNKS {
            let insert = "INSERT INTO chunks (t0, t1, n, errors, classes, gateway, service, environment, data, longest, bodies)
                          VALUES (?1, ?1, 1, 0, 4, 'edge-1', 'orders', 'prod', ?2, ?1, 0)";
            writer.execute(insert, params![time * MILLISECOND, events(&[time])]).unwrap();
        }
        let limits = Limits::default();
        let query = format!("from=1970-01-01T00:00:00Z&to=1970-01-02T00:00:00Z&sort={order}");
        let query = RequestsQuery::parse(Some(&query), 0, &limits).unwrap();
        let (path, day, connection) =
            crate::query::open_days(&directory, limits.query_timeout).unwrap().remove(0);
        let mut file = File::new(path, day, connection, &query);
        assert!(file.first(&directory, &query).unwrap().is_some());
        meanwhile(&writer);
        let mut waiting = Waiting::new(usize::MAX / 2, usize::MAX);
        while file.first(&directory, &query).unwrap().is_some() {
            let (mut folding, mut labels) = (Folding::of(None), Labels::of(None));
            file.read_next(&directory, &query, (&mut folding, &mut labels), &mut waiting).unwrap();
        }
        let mut times: Vec<i64> =
            std::iter::from_fn(|| waiting.pop_before(None)).map(|(place, _)| place.chunk).collect();
        times.sort_unstable();
        (times, directory.troubles())
    }

    /// The oldest chunk is described last: one that is added to meanwhile must not move away from under the reader, and
    /// one that is removed is not damage.
    #[test]
    fn a_file_is_read_as_it_was_whatever_is_written_meanwhile() {
        let all: Vec<i64> = (1..=CHUNKS).collect();
        for order in ["time", "duration"] {
            let extended = read_while(order, |writer| {
                let late = CHUNKS + 7;
                let extend = "UPDATE chunks SET t1 = ?1, n = 2, longest = ?1, data = ?2 WHERE id = 1";
                writer.execute(extend, params![late * MILLISECOND, events(&[1, late])]).unwrap();
            });
            assert_eq!(extended, (all.clone(), Vec::new()), "{order}");
            let removed = read_while(order, |writer| {
                writer.execute("DELETE FROM chunks WHERE id = ?", [CHUNKS]).unwrap();
            });
            assert_eq!(removed, (all.clone(), Vec::new()), "{order}");
        }
    }
}
