//! Requests that were read and are not given out yet, the latest first, no more of them than one page can hold.

use super::place::Place;
use super::row::{Row, Sender};
use crate::wire::RequestEvent;
use std::collections::BinaryHeap;

/// What a request takes in memory beside its longer texts, about: bytes.
const BASE_BYTES: usize = 512;

/// A request that waits for its turn.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) event: RequestEvent,
    pub(super) sender: Sender,
}

/// The requests that wait.
pub(super) struct Waiting {
    heap: BinaryHeap<Found>,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
    /// The latest of those that were let go of: neither it nor what comes after it is on this page.
    horizon: Option<Place>,
}

impl Waiting {
    /// For a page of so many rows and bytes.
    pub(super) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { heap: BinaryHeap::new(), bytes: 0, max_rows, max_bytes, horizon: None }
    }

    pub(super) fn push(&mut self, found: Found) {
        if self.horizon.is_none_or(|horizon| found.place > horizon) {
            self.bytes += found.bytes();
            self.heap.push(found);
        }
    }

    /// Takes the latest out, if it is later than `time` (Unix nanoseconds).
    pub(super) fn pop_after(&mut self, time: Option<i64>) -> Option<(Place, Row)> {
        let next = self.heap.peek()?;
        if time.is_some_and(|time| next.place.time <= time) {
            return None;
        }
        let found = self.heap.pop()?;
        self.bytes = self.bytes.saturating_sub(found.bytes());
        Some((found.place, Row::of(found.event, found.sender)))
    }

    /// Lets go of what a page cannot hold; a later page finds it again.
    pub(super) fn trim(&mut self) {
        if self.heap.len() <= 2 * self.max_rows && self.bytes <= self.max_bytes {
            return;
        }
        let sorted = std::mem::take(&mut self.heap).into_sorted_vec();
        self.bytes = 0;
        for found in sorted.into_iter().rev() {
            // The first is kept however large it is, so that each page gets on.
            if self.heap.len() < self.max_rows && (self.heap.is_empty() || self.bytes <= self.max_bytes) {
                self.bytes += found.bytes();
                self.heap.push(found);
            } else {
                self.horizon = Some(found.place);
                break;
            }
        }
    }

    /// Whether anything comes next, here or on a later page.
    pub(super) fn has_more(&self) -> bool {
        !self.heap.is_empty() || self.horizon.is_some()
    }

    /// Whether the page cannot go on, since what comes next was let go of.
    pub(super) fn is_used_up(&self) -> bool {
        self.heap.is_empty() && self.horizon.is_some()
    }
}

impl Found {
    fn bytes(&self) -> usize {
        let RequestEvent {
            path, query, request_headers, response_headers, request_body, response_body, ..
        } = &self.event;
        let texts = [path, query, request_headers, response_headers, request_body, response_body];
        texts.into_iter().flatten().map(String::len).sum::<usize>() + BASE_BYTES
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
