//! `requests`: the request log, newest first.
//!
//! Requests are in one order: by their time, and where that is the same by the place they are stored at. A cursor is
//! a place in it, so that pages neither repeat nor miss what was there when the first was read. Chunks overlap in
//! time, since each worker sends its own; a request is given out once no unread chunk can hold a later one.
//!
//! A page ends with the rows that were asked for, or before the row that would make it larger than an answer may be:
//! captured bodies are as large as they are.

mod file;
mod fold;
mod place;
mod row;
mod waiting;

use super::filter::{self, Filter, Wanted};
use super::labels::Labels;
use super::params::Params;
use super::range::{Range, rfc3339};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::RequestEvent;
use crate::store::DataDir;
use data_encoding::HEXLOWER_PERMISSIVE;
use file::File;
use fold::Folding;
use place::Place;
use row::Row;

pub(crate) use row::Sender;
use serde::Serialize;
use std::time::Instant;
use waiting::Waiting;

const DEFAULT_ROWS: u64 = 100;

/// A question for a page of the request log.
pub(crate) struct RequestsQuery {
    range: Range,
    filter: Filter,
    /// Instances of gateways.
    gateway: Wanted<String>,
    /// Requests of this trace only: 16 bytes.
    trace_id: Option<Vec<u8>>,
    /// The request with this id only.
    request_id: Option<String>,
    limit: usize,
    cursor: Option<Place>,
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

impl RequestsQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let names: Vec<&str> = ["from", "to", "gateway", "trace_id", "request_id", "limit", "cursor"]
            .into_iter()
            .chain(filter::names())
            .collect();
        let params = Params::parse(query, &names)?;
        Ok(Self {
            range: Range::read(&params, now)?,
            filter: Filter::read(&params)?,
            gateway: Wanted::read(&params, "gateway", |text| Ok(text.to_owned()))?,
            trace_id: params.one("trace_id")?.map(trace_id).transpose()?,
            request_id: params.one("request_id")?.map(str::to_owned),
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            cursor: params.one("cursor")?.map(Place::parse).transpose()?,
        })
    }

    fn takes(&self, event: &RequestEvent, sender: &Sender) -> bool {
        self.trace_id.as_ref().is_none_or(|wanted| *wanted == event.trace_id)
            && self.request_id.as_ref().is_none_or(|wanted| event.request_id.as_ref() == Some(wanted))
            && self.gateway.takes(|wanted| **wanted == *sender.gateway)
            && self.filter.takes_event(event, sender)
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<RequestsPage, QueryError> {
        let before = self.cursor.map_or(i64::MAX, |cursor| cursor.time);
        // Every day is looked at, for the clocks of senders and of ours may have differed by any time.
        let mut files: Vec<File> = super::open_days(directory, limits.query_timeout)?
            .into_iter()
            .map(|(path, day, connection)| File::new(path, day, connection, self.range, before))
            .collect();
        let mut waiting = Waiting::new(self.limit, limits.page_bytes);
        let counts = super::open_counts(directory, limits.query_timeout).ok();
        let mut folding = Folding::of(counts.as_ref());
        let mut labels = Labels::of(counts.as_ref());
        let mut page = Page::default();
        let mut scanned = 0;
        let deadline = Instant::now() + limits.query_timeout;
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
            while let Some((place, row)) = waiting.pop_after(latest.map(|(t1, _)| t1)) {
                if !page.take(place, row, limits.page_bytes) {
                    return Ok(self.answer_after(page));
                }
                if page.rows.len() == self.limit && (waiting.has_more() || latest.is_some()) {
                    return Ok(self.answer_after(page));
                }
            }
            if waiting.is_used_up() {
                return Ok(self.answer_after(page));
            }
            let Some((t1, index)) = latest else { return Ok(self.answer_of(page.rows, None)) };
            // All that is later than the next chunk has been given out. The next page begins there, unless this one
            // began there, in which case it must continue to make progress.
            let place = Place { time: t1, day: i64::MAX, chunk: i64::MAX, row: u64::MAX };
            if scanned >= limits.scanned && self.cursor.is_none_or(|cursor| t1 < cursor.time) {
                return Ok(self.answer_of(page.rows, Some(place)));
            }
            if Instant::now() > deadline {
                return Err(QueryError::TooSlow);
            }
            scanned += files[index].read_next(directory, self, (&mut folding, &mut labels), &mut waiting)?;
            waiting.trim();
        }
    }

    /// A page that ends before everything was given out.
    fn answer_after(&self, page: Page) -> RequestsPage {
        self.answer_of(page.rows, page.last)
    }

    fn answer_of(&self, rows: Vec<Row>, next: Option<Place>) -> RequestsPage {
        let next = next.map(|place| place.to_text());
        RequestsPage { from: rfc3339(self.range.from), to: rfc3339(self.range.to), rows, next }
    }
}

fn trace_id(text: &str) -> Result<Vec<u8>, QueryError> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == 16);
    bytes.ok_or_else(|| {
        QueryError::parameter("trace_id", format!("trace_id must be 32 hexadecimal digits, not {text:?}"))
    })
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
