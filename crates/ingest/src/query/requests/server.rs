//! A page of the request log on a server. It passes over what it can decide itself; what it gives is looked at as the requests of
//! a file are, under the routes and names of now.

use super::place::Place;
use super::row::Row;
use super::{Page, RequestsPage, RequestsQuery};
use crate::clickhouse::{ClickHouse, Condition, LogQuestion};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::query::labels::Labels;
use crate::query::requests::fold::Folding;
use rusqlite::Connection;
use std::time::Instant;

/// The most rows that are asked for at a time.
const MAX_ROWS: usize = 10_000;
/// Times as many rows as before, where those before were too few.
const GROWTH: usize = 4;

impl RequestsQuery {
    pub(super) fn read_server(
        &self,
        server: &ClickHouse,
        counts: Option<&Connection>,
        limits: &Limits,
    ) -> Result<RequestsPage, QueryError> {
        let mut cursor = self.cursor;
        let condition =
            Condition::all([self.filter.condition(), self.criteria.condition(), self.search.condition()]);
        let (mut folding, mut labels) = (Folding::of(counts), Labels::of(counts));
        let mut page = Page::default();
        let (mut rows, mut scanned) = (self.limit.saturating_add(1), 0);
        let deadline = Instant::now() + limits.query_timeout;
        loop {
            let of_server = |place: Place| place.of_server().ok_or_else(of_another_store);
            let (found, is_last) = server.log(&LogQuestion {
                range: self.range,
                condition: &condition,
                order: self.order.of_server(),
                after: cursor.map(of_server).transpose()?,
                rows,
                bytes: limits.page_bytes,
                timeout: limits.query_timeout,
            })?;
            for logged in found {
                let (sender, mut event) = (logged.sender, logged.event);
                let place = Place::on_server(self.order, &event, (logged.batch, logged.place));
                // Repeats lie side by side.
                if cursor.is_some_and(|cursor| place >= cursor) {
                    continue;
                }
                cursor = Some(place);
                scanned += 1;
                folding.apply(&sender, std::slice::from_mut(&mut event));
                labels.apply(&sender, &mut event)?;
                if !self.takes(&event, &sender) {
                    continue;
                }
                let row = Row::of(event, sender).seen_with(self.disclosure);
                if page.rows.len() == self.limit || !page.take(place, row, limits.page_bytes) {
                    return Ok(self.answer_after(page));
                }
            }
            if is_last {
                return Ok(self.answer_of(page.rows, None));
            }
            if scanned >= limits.scanned {
                return Ok(self.answer_of(page.rows, cursor));
            }
            if Instant::now() > deadline {
                return Err(QueryError::TooSlow);
            }
            rows = rows.saturating_mul(GROWTH).min(MAX_ROWS.max(self.limit.saturating_add(1)));
        }
    }
}

fn of_another_store() -> QueryError {
    QueryError::parameter("cursor", "cursor must be the `next` of an answer of the same store")
}
