//! Requests as they come: the same filters as the log, over batches that were just stored.

use super::fold::Folding;
use super::row::{Row, Sender};
use super::withheld::Disclosure;
use super::{RequestsQuery, criteria};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::query::labels::Labels;
use crate::query::params::Params;
use crate::query::range::Range;
use crate::query::{filter, open_counts};
use crate::store::news::Announced;
use crate::store::{DataDir, StoreError, chunk};
use serde::Serialize;
use std::collections::VecDeque;

/// A question for requests as they come.
#[derive(Clone)]
pub(crate) struct StreamQuery(RequestsQuery);

/// A part of the stream.
#[derive(Serialize)]
pub(crate) struct StreamPart {
    /// In the order in which they came.
    rows: VecDeque<Row>,
    /// Requests that are not shown, because there were too many: those that match, and those that were not looked at.
    pub(crate) skipped: u64,
}

impl StreamPart {
    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.skipped == 0
    }

    /// Rows that show bodies or headers.
    pub(crate) fn captured_rows(&self) -> usize {
        self.rows.iter().filter(|row| row.shows_captured()).count()
    }
}

impl StreamQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<Self, QueryError> {
        let names: Vec<&str> = std::iter::once("q").chain(criteria::NAMES).chain(filter::names()).collect();
        let params = Params::parse(query, &names)?;
        let ever = Range { from: i64::MIN, to: i64::MAX };
        Ok(Self(RequestsQuery::of(&params, ever, limits.rows)?))
    }

    /// The same question of a reader who may see less; `query` is its query string.
    ///
    /// # Errors
    /// When it searches for what the reader may not see.
    pub(crate) fn restrict(self, disclosure: Disclosure, query: Option<&str>) -> Result<Self, QueryError> {
        Ok(Self(self.0.restrict(disclosure, query)?))
    }

    /// The requests of some batches that match, at most as many as a part of the stream holds, the latest of them.
    /// `skipped` have been skipped already.
    pub(crate) fn part(
        &self,
        directory: &DataDir,
        limits: &Limits,
        batches: &[std::sync::Arc<Announced>],
        skipped: u64,
    ) -> Result<StreamPart, QueryError> {
        let counts = open_counts(directory, limits.query_timeout).ok();
        let mut query = self.0.clone();
        query.search = query.search.with_routes(counts.as_ref());
        let (mut folding, mut labels) = (Folding::of(counts.as_ref()), Labels::of(counts.as_ref()));
        let mut part = StreamPart { rows: VecDeque::new(), skipped };
        let mut sizes = VecDeque::new();
        let mut bytes = 0;
        for batch in batches {
            let sender = Sender {
                gateway: batch.gateway.clone(),
                service: batch.service.clone(),
                environment: batch.environment.clone(),
            };
            if !query.filter.takes_sender(&sender.service, &sender.environment, &sender.gateway) {
                continue;
            }
            let damaged = || StoreError::Unreadable { what: "batch of requests" };
            let mut events = chunk::decode(&batch.chunk).ok_or_else(damaged)?;
            folding.apply(&sender, &mut events);
            for mut event in events {
                labels.apply(&sender, &mut event)?;
                if !query.takes(&event, &sender) {
                    continue;
                }
                let row = Row::of(event, sender.clone()).seen_with(query.disclosure);
                let size = row.json_bytes();
                part.rows.push_back(row);
                sizes.push_back(size);
                bytes += size;
                while part.rows.len() > limits.stream_rows
                    || (bytes > limits.stream_bytes && part.rows.len() > 1)
                {
                    part.rows.pop_front();
                    bytes -= sizes.pop_front().unwrap_or_default();
                    part.skipped += 1;
                }
            }
        }
        Ok(part)
    }
}
