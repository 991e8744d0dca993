//! Requests that were read and are not given out yet, the first in order first, no more of them than one page can hold.

use super::place::Place;
use super::row::{Row, Sender};
use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS};
use std::collections::BinaryHeap;

/// Bytes of memory that a request takes beside its texts, roughly.
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
    /// The first of those that were let go of: neither it nor what comes after it is on this page.
    horizon: Option<Place>,
}

impl Waiting {
    /// For a page of at most these rows and bytes.
    pub(super) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { heap: BinaryHeap::new(), bytes: 0, max_rows, max_bytes, horizon: None }
    }

    /// Whether a request with this place can be on the page.
    pub(super) fn wants(&self, place: Place) -> bool {
        self.horizon.is_none_or(|horizon| place > horizon)
    }

    pub(super) fn push(&mut self, found: Found) {
        if self.wants(found.place) {
            self.bytes += found.bytes();
            self.heap.push(found);
        }
    }

    /// Takes the first out, if it comes before what has this place.
    pub(super) fn pop_before(&mut self, place: Option<Place>) -> Option<(Place, Row)> {
        let next = self.heap.peek()?;
        if place.is_some_and(|place| next.place <= place) {
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

    /// Whether the page must end, because the next request was let go of.
    pub(super) fn is_used_up(&self) -> bool {
        self.heap.is_empty() && self.horizon.is_some()
    }
}

impl Found {
    fn bytes(&self) -> usize {
        let bytes = FIELDS.iter().map(|field| match field.access {
            Access::Text(get, _) => get(&self.event).map_or(0, <[u8]>::len),
            Access::Number(..) => 0,
        });
        bytes.sum::<usize>() + BASE_BYTES
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64) -> Place {
        Place { rank: 0, time, day: 0, chunk: 0, row: 0 }
    }

    fn found(time: i64, body_bytes: usize) -> Found {
        let event = RequestEvent { request_body: Some("x".repeat(body_bytes)), ..RequestEvent::default() };
        let [gateway, service, environment] = ["edge-1", "orders", "prod"].map(Into::into);
        Found { place: at(time), event, sender: Sender { gateway, service, environment } }
    }

    /// Reads chunks of requests, by time and size of the body, into a page of 3 rows and 10,000 bytes, and asserts which
    /// of them are given out and whether the page ends before the last of all.
    fn check(chunks: &[&[(i64, usize)]], given: &[i64], used_up: bool) {
        let mut waiting = Waiting::new(3, 10_000);
        for chunk in chunks {
            chunk.iter().for_each(|(time, bytes)| waiting.push(found(*time, *bytes)));
            waiting.trim();
        }
        let all: Vec<_> = std::iter::from_fn(|| Some(waiting.pop_before(None)?.0.time)).collect();
        assert_eq!((all.as_slice(), waiting.is_used_up()), (given, used_up), "{chunks:?}");
    }

    #[test]
    fn a_page_holds_its_bounds_of_rows_and_bytes() {
        check(&[], &[], false);
        check(&[&[(1, 0), (3, 0), (2, 0)]], &[3, 2, 1], false);
        check(&[&[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)]], &[6, 5, 4, 3, 2, 1], false);
        check(&[&[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0)]], &[7, 6, 5], true);
        check(&[&[(1, 0), (2, 9_000), (3, 9_000)]], &[3, 2], true);
        check(&[&[(1, 0), (2, 0), (3, 90_000)]], &[3], true);
    }

    #[test]
    fn requests_after_the_horizon_are_let_go_of() {
        check(&[&[(5, 90_000), (4, 0)], &[(3, 0)]], &[5], true);
        check(&[&[(5, 90_000), (4, 0)], &[(6, 0)]], &[6, 5], true);
        check(&[&[(5, 0), (4, 90_000), (3, 0)], &[(2, 0), (7, 0), (8, 0)]], &[8, 7, 5], true);
    }

    #[test]
    fn a_request_waits_for_unread_chunks() {
        let mut waiting = Waiting::new(3, 10_000);
        waiting.push(found(5, 0));
        assert!(waiting.pop_before(Some(at(5))).is_none());
        assert!(waiting.pop_before(Some(at(4))).is_some());
        assert!(!waiting.has_more());
    }
}
