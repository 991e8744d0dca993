//! `requests`: the request log, newest or slowest first.
//!
//! Requests are in one order: by their time, or by their duration, and where that is the same by the place they are
//! stored at. A cursor is a place in it, so that pages neither repeat nor miss what was there when the first was read.
//! Chunks overlap, since each worker sends its own; a request is given out once no unread chunk can hold one that comes
//! before it.
//!
//! A page ends with the rows that were asked for, or before the row that would make it larger than an answer may be:
//! captured bodies are as large as they are.

mod criteria;
mod export;
mod file;
mod fold;
mod place;
mod row;
mod server;
mod stream;
mod waiting;
mod withheld;

use super::dimension::Dimension;
use super::filter::{self, Filter};
use super::labels::Labels;
use super::params::Params;
use super::range::{Range, rfc3339};
use super::search::Search;
use crate::clickhouse::ClickHouse;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::RequestEvent;
use crate::store::DataDir;
use crate::store::bloom::{self, AnyOf};
use criteria::Criteria;
use file::File;
use fold::Folding;
use place::{Order, Place};
use row::Row;

pub(crate) use export::ExportQuery;
pub(crate) use row::Sender;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;
pub(crate) use stream::StreamQuery;
use waiting::Waiting;
pub(crate) use withheld::Disclosure;

const DEFAULT_ROWS: u64 = 100;

/// Requests that could be read in the time that reading a chunk takes beside its requests. A sender may put each of its
/// requests into a chunk of its own.
const CHUNK_COST: usize = 20;

/// A question for a page of the request log.
#[derive(Clone)]
pub(crate) struct RequestsQuery {
    range: Range,
    filter: Filter,
    criteria: Criteria,
    search: Search,
    /// The values of which a chunk must hold some, for a question that is being answered.
    keys: Vec<AnyOf>,
    /// The fields that are read of all requests, before those that match are read as a whole; empty where all are read as a
    /// whole.
    deciding: BTreeSet<&'static str>,
    order: Order,
    limit: usize,
    cursor: Option<Place>,
    disclosure: Disclosure,
}

/// The answer to `requests`.
#[derive(Serialize)]
pub(crate) struct RequestsPage {
    from: String,
    to: String,
    rows: Vec<Row>,
    /// The cursor of the next page; `null` at the end.
    next: Option<String>,
}

impl RequestsPage {
    /// The requests, with who reported them.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&RequestEvent, &Sender)> {
        self.rows.iter().map(Row::request)
    }

    /// Rows that show bodies or headers.
    pub(crate) fn captured_rows(&self) -> usize {
        self.rows.iter().filter(|row| row.shows_captured()).count()
    }
}

impl RequestsQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let own = ["from", "to", "q", "sort", "limit", "cursor"];
        let names: Vec<&str> = own.into_iter().chain(criteria::NAMES).chain(filter::names()).collect();
        let params = Params::parse(query, &names)?;
        let order = params.one("sort")?.map_or(Ok(Order::Time), Order::parse)?;
        let limit = params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize;
        let cursor = params.one("cursor")?.map(|text| Place::parse(text, order)).transpose()?;
        Ok(Self { order, cursor, ..Self::of(&params, Range::read(&params, now)?, limit)? })
    }

    /// Reads the parameters that say which requests are meant: the first of them by time.
    fn of(params: &Params, range: Range, limit: usize) -> Result<Self, QueryError> {
        let search = Search::parse(params.one("q")?.unwrap_or_default())?;
        let mut filter = Filter::read(params)?;
        if search.asks_for(Dimension::Direction) && params.one("direction")?.is_none() {
            filter = filter.of_any_direction();
        }
        Ok(Self { criteria: Criteria::read(params)?, search, ..Self::latest(filter, range, limit) })
    }

    /// The latest requests that a filter takes, of any direction that it takes.
    pub(super) fn latest(filter: Filter, range: Range, limit: usize) -> Self {
        Self {
            range,
            filter,
            criteria: Criteria::default(),
            search: Search::default(),
            keys: Vec::new(),
            deciding: BTreeSet::new(),
            order: Order::Time,
            limit,
            cursor: None,
            disclosure: Disclosure::Full,
        }
    }

    /// The same question of a reader who may see less; `query` is its query string.
    ///
    /// # Errors
    /// When it searches for what the reader may not see.
    pub(crate) fn restrict(self, disclosure: Disclosure, query: Option<&str>) -> Result<Self, QueryError> {
        disclosure.check(query)?;
        disclosure.check_fields(self.search.fields())?;
        Ok(Self { disclosure, ..self })
    }

    /// The earliest time that it is about, in Unix nanoseconds.
    pub(crate) fn from(&self) -> i64 {
        self.range.from
    }

    fn takes(&self, event: &RequestEvent, sender: &Sender) -> bool {
        self.criteria.take(event)
            && self.filter.takes_event(event, sender)
            && self.search.takes(event, sender)
    }

    /// Whether groups of consumers matter.
    fn asks_for_group(&self) -> bool {
        self.filter.asks_for(Dimension::ConsumerGroup) || self.search.asks_for(Dimension::ConsumerGroup)
    }

    /// The answer out of the store; the log may be on a server.
    pub(crate) fn answer(
        &self,
        (directory, server): (&DataDir, Option<&ClickHouse>),
        limits: &Limits,
    ) -> Result<RequestsPage, QueryError> {
        let counts = super::open_counts(directory, limits.query_timeout).ok();
        let mut query = self.clone();
        query.search = self.search.with_routes(counts.as_ref());
        if let Some(server) = server {
            return query.read_server(server, counts.as_ref(), limits);
        }
        let keys = [query.filter.keys(), query.criteria.keys(), query.search.keys()].concat();
        query.keys = bloom::with_pairs(keys);
        query.deciding = query.deciding_fields();
        query.read(directory, counts.as_ref(), limits)
    }

    fn deciding_fields(&self) -> BTreeSet<&'static str> {
        let asked =
            self.filter.fields().into_iter().chain(self.criteria.fields()).chain(self.search.fields());
        let mut fields: BTreeSet<&str> = asked.collect();
        for of_sender in ["service", "environment", "gateway"] {
            fields.remove(of_sender);
        }
        if self.order == Order::Duration {
            fields.insert("duration_ms");
        }
        if fields.iter().all(|field| *field == "direction") {
            return BTreeSet::new();
        }
        // Folding of routes and labels of consumers need more than the field itself.
        fields.extend(["direction", "route", "route_source", "consumer"]);
        fields
    }

    fn read(
        &self,
        directory: &DataDir,
        counts: Option<&Connection>,
        limits: &Limits,
    ) -> Result<RequestsPage, QueryError> {
        // Every day is looked at, for the clocks of senders and of ours may have differed by any time.
        let mut files: Vec<File> = super::open_days(directory, limits.query_timeout)?
            .into_iter()
            .map(|(path, day, connection)| File::new(path, day, connection, self))
            .collect();
        let mut waiting = Waiting::new(self.limit, limits.page_bytes);
        let mut folding = Folding::of(counts);
        let mut labels = Labels::of(counts);
        let mut page = Page::default();
        let mut scanned = 0;
        let deadline = Instant::now() + limits.query_timeout;
        loop {
            // The first place that a request of an unread chunk can have.
            let mut first: Option<(Place, usize)> = None;
            for (index, file) in files.iter_mut().enumerate() {
                if let Some(place) = file.first(directory, self)?
                    && first.is_none_or(|(known, _)| place > known)
                {
                    first = Some((place, index));
                }
            }
            while let Some((place, row)) = waiting.pop_before(first.map(|(place, _)| place)) {
                if !page.take(place, row.seen_with(self.disclosure), limits.page_bytes) {
                    return Ok(self.answer_after(page));
                }
                if page.rows.len() == self.limit && (waiting.has_more() || first.is_some()) {
                    return Ok(self.answer_after(page));
                }
            }
            if waiting.is_used_up() {
                return Ok(self.answer_after(page));
            }
            let Some((place, index)) = first else { return Ok(self.answer_of(page.rows, None)) };
            // All that comes before the next chunk has been given out. The next page begins there, unless this one
            // began there, in which case it must continue to make progress. In order of duration, a page must read the
            // chunks before it anew, and can only be late.
            let may_end = self.order == Order::Time && self.cursor.is_none_or(|cursor| place < cursor);
            if scanned >= limits.scanned && may_end {
                return Ok(self.answer_of(page.rows, Some(place)));
            }
            if Instant::now() > deadline {
                return Err(QueryError::TooSlow);
            }
            scanned += CHUNK_COST;
            scanned += files[index].read_next(directory, self, (&mut folding, &mut labels), &mut waiting)?;
            waiting.trim();
        }
    }

    /// A page that ends before everything was given out.
    fn answer_after(&self, page: Page) -> RequestsPage {
        self.answer_of(page.rows, page.last)
    }

    fn answer_of(&self, rows: Vec<Row>, next: Option<Place>) -> RequestsPage {
        let next = next.map(|place| place.to_text(self.order));
        RequestsPage { from: rfc3339(self.range.from), to: rfc3339(self.range.to), rows, next }
    }
}

/// The rows so far.
#[derive(Default)]
struct Page {
    rows: Vec<Row>,
    /// Of all rows, as JSON.
    bytes: usize,
    /// Of the last row.
    last: Option<Place>,
}

impl Page {
    /// Adds a row; `false` when the page would grow beyond `max_bytes`. The first row is added however large it is.
    fn take(&mut self, place: Place, row: Row, max_bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(row.json_bytes());
        if bytes > max_bytes && !self.rows.is_empty() {
            return false;
        }
        self.rows.push(row);
        (self.bytes, self.last) = (bytes, Some(place));
        true
    }
}
