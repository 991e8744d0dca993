//! `requests`: the request log, newest first.
//!
//! Requests are in one order: by their time, and where that is the same by the place they are stored at. A cursor is
//! a place in it, so that pages neither repeat nor miss what was there when the first was read. Chunks overlap in
//! time, since each worker sends its own; a request is given out once no unread chunk can hold a later one.

use super::filter::{self, Filter};
use super::params::Params;
use super::range::{Range, rfc3339};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::{Directory, StoreError, chunk};
use crate::varint;
use crate::wire::RequestEvent;
use jiff::civil::Date;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::{BinaryHeap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const DEFAULT_ROWS: u64 = 100;
/// Descriptions of chunks read from a file at a time.
const CHUNKS_AHEAD: i64 = 256;
const NANOS_PER_MS: f64 = 1e6;

/// What `requests` asks.
pub(crate) struct Query {
    range: Range,
    filter: Filter,
    limit: usize,
    cursor: Option<Place>,
}

/// The answer to `requests`.
#[derive(Serialize)]
pub(crate) struct Answer {
    from: String,
    to: String,
    rows: Vec<Row>,
    /// Where to go on; `null` when there is nothing more.
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    time: String,
    consumer: String,
    consumer_trusted: bool,
    method: String,
    method_original: Option<String>,
    route: String,
    path: Option<String>,
    query: Option<String>,
    status: u16,
    duration_ms: Option<f64>,
    upstream_ms: Option<f64>,
    resend_count: Option<u64>,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
    client_address: Option<String>,
    client_port: Option<u64>,
    user_agent: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    response_flags: Option<String>,
    code_details: Option<String>,
    error_type: Option<String>,
    /// Not recorded so far, as are the next three.
    request_headers: Option<()>,
    response_headers: Option<()>,
    request_body: Option<()>,
    response_body: Option<()>,
    gateway: Arc<str>,
    service: Arc<str>,
    environment: Arc<str>,
}

/// A place in the order of all requests; the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    time: i64,
    /// Days since 1970 of the file.
    day: i64,
    chunk: i64,
    row: u64,
}

impl Query {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let names: Vec<&str> =
            ["from", "to", "limit", "cursor"].iter().chain(&filter::NAMES).copied().collect();
        let params = Params::parse(query, &names)?;
        Ok(Self {
            range: Range::read(&params, now)?,
            filter: Filter::read(&params)?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            cursor: params.one("cursor")?.map(Place::parse).transpose()?,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &Directory, limits: &Limits) -> Result<Answer, QueryError> {
        let before = self.cursor.map_or(i64::MAX, |cursor| cursor.time);
        // Every day is looked at, for the clocks of senders and of ours may have differed by any time.
        let mut files: Vec<File> = super::open_days(directory, limits.query_timeout)?
            .into_iter()
            .map(|(path, day, connection)| File::new(path, day, connection, self.range, before))
            .collect();
        let mut waiting: BinaryHeap<Found> = BinaryHeap::new();
        let mut rows = Vec::new();
        let mut scanned = 0;
        let deadline = Instant::now() + limits.query_timeout;
        let mut dropped = false;
        loop {
            // The latest time that an unread chunk can hold.
            let mut latest: Option<(i64, usize)> = None;
            for (index, file) in files.iter_mut().enumerate() {
                if let Some(t1) = file.latest(directory, &self.filter)?
                    && latest.is_none_or(|(known, _)| t1 > known)
                {
                    latest = Some((t1, index));
                }
            }
            while let Some(found) = waiting.peek()
                && latest.is_none_or(|(t1, _)| found.place.time > t1)
            {
                let place = found.place;
                if let Some(found) = waiting.pop() {
                    rows.push(found.row());
                }
                if rows.len() == self.limit {
                    let more = dropped || !waiting.is_empty() || latest.is_some();
                    return Ok(self.answer_of(rows, more.then_some(place)));
                }
            }
            let Some((t1, index)) = latest else { return Ok(self.answer_of(rows, None)) };
            // All that is later than the next chunk has been given out. The next page begins there, unless this one
            // began there, in which case it has to go on to get anywhere.
            let place = Place { time: t1, day: i64::MAX, chunk: i64::MAX, row: u64::MAX };
            if scanned >= limits.scanned && self.cursor.is_none_or(|cursor| t1 < cursor.time) {
                return Ok(self.answer_of(rows, Some(place)));
            }
            if Instant::now() > deadline {
                return Err(QueryError::TooSlow);
            }
            scanned += files[index].read_next(directory, self, &mut waiting)?;
            if waiting.len() > 2 * self.limit {
                // No more than a page of them is given out; a later page finds the others again.
                let sorted = waiting.into_sorted_vec();
                let beyond = sorted.len() - self.limit;
                waiting = sorted.into_iter().skip(beyond).collect();
                dropped = true;
            }
        }
    }

    fn answer_of(&self, rows: Vec<Row>, next: Option<Place>) -> Answer {
        let next = next.map(|place| place.to_text());
        Answer { from: rfc3339(self.range.from), to: rfc3339(self.range.to), rows, next }
    }
}

impl Place {
    fn to_text(self) -> String {
        let mut bytes = Vec::new();
        for number in
            [varint::zigzag(self.time), varint::zigzag(self.day), varint::zigzag(self.chunk), self.row]
        {
            varint::put(&mut bytes, number);
        }
        hex(&bytes)
    }

    fn parse(text: &str) -> Result<Self, QueryError> {
        let wrong = || QueryError::parameter("cursor", "cursor is to be the `next` of an answer");
        let bytes = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or_else(wrong)?;
        let mut rest = bytes.as_slice();
        let mut next = || varint::take(&mut rest).ok_or_else(wrong);
        let place = Self {
            time: varint::unzigzag(next()?),
            day: varint::unzigzag(next()?),
            chunk: varint::unzigzag(next()?),
            row: next()?,
        };
        if rest.is_empty() { Ok(place) } else { Err(wrong()) }
    }
}

/// One day's file, read from its latest chunk on.
struct File {
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

struct Description {
    id: i64,
    t1: i64,
}

impl File {
    fn new(path: PathBuf, day: Date, connection: Connection, range: Range, before: i64) -> Self {
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
    fn latest(&mut self, directory: &Directory, filter: &Filter) -> Result<Option<i64>, QueryError> {
        while self.ahead.is_empty() && !self.ended {
            if let Err(error) = self.describe(filter) {
                self.ended = true;
                super::pass_over(directory, &self.path, error)?;
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

    /// Reads the next chunk, and says how many requests were looked at: none, where it is damaged.
    fn read_next(
        &mut self,
        directory: &Directory,
        query: &Query,
        waiting: &mut BinaryHeap<Found>,
    ) -> Result<usize, QueryError> {
        self.read(query, waiting).or_else(|error| super::pass_over(directory, &self.path, error).map(|()| 0))
    }

    fn read(&mut self, query: &Query, waiting: &mut BinaryHeap<Found>) -> Result<usize, QueryError> {
        let Some(Description { id, .. }) = self.ahead.pop_front() else { return Ok(0) };
        let mut select = self
            .connection
            .prepare_cached("SELECT data, gateway, service, environment FROM chunks WHERE id = ?")?;
        let (data, gateway, service, environment) = select.query_row([id], |row| {
            let text = |column| row.get::<_, String>(column).map(Arc::<str>::from);
            Ok((row.get::<_, Vec<u8>>(0)?, text(1)?, text(2)?, text(3)?))
        })?;
        let events =
            chunk::decode(&data).ok_or(StoreError::Unreadable { what: "chunk of the request log" })?;
        let scanned = events.len();
        for (row, event) in (0..).zip(events) {
            let place = Place { time: event.time, day: self.day, chunk: id, row };
            let in_range = (query.range.from..query.range.to).contains(&event.time);
            if in_range
                && query.cursor.is_none_or(|cursor| place < cursor)
                && query.filter.takes_event(&event)
            {
                let [gateway, service, environment] = [&gateway, &service, &environment].map(Arc::clone);
                waiting.push(Found { place, event, gateway, service, environment });
            }
        }
        Ok(scanned)
    }
}

/// A request that waits for its turn.
struct Found {
    place: Place,
    event: RequestEvent,
    gateway: Arc<str>,
    service: Arc<str>,
    environment: Arc<str>,
}

impl Found {
    fn row(self) -> Row {
        let Self { event, gateway, service, environment, .. } = self;
        let ms = |nanos: Option<u64>| nanos.map(|nanos| nanos as f64 / NANOS_PER_MS);
        let id = |bytes: &[u8]| (!bytes.is_empty()).then(|| hex(bytes));
        Row {
            time: rfc3339(event.time),
            trace_id: id(&event.trace_id),
            span_id: id(&event.span_id),
            consumer: event.consumer,
            consumer_trusted: event.consumer_trusted,
            method: event.method,
            method_original: event.method_original,
            route: event.route,
            path: event.path,
            query: event.query,
            status: event.status,
            duration_ms: ms(event.duration_ns),
            upstream_ms: ms(event.upstream_ns),
            resend_count: event.resend_count,
            request_bytes: event.request_bytes,
            response_bytes: event.response_bytes,
            client_address: event.client_address,
            client_port: event.client_port,
            user_agent: event.user_agent,
            request_id: event.request_id,
            response_flags: event.response_flags,
            code_details: event.code_details,
            error_type: event.error_type,
            request_headers: None,
            response_headers: None,
            request_body: None,
            response_body: None,
            gateway,
            service,
            environment,
        }
    }
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Found {}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
