//! The counts that streams reported last, where their states are on a server.
//!
//! Only what counts rise by is news of a consumer or of a route. The server knows by how much they rose; asking it for every batch
//! would cost more than the batch. So the writer remembers the number of requests of each stream that reported to this replica.
//! Where gateways report to several replicas in turn, each of them sees each rise, so that the sum over replicas is no
//! number of requests.

use crate::model::{Point, Temporality};
use std::collections::HashMap;

/// Most streams that are remembered: some 64 MB. Beyond, all are forgotten, and the next report of each is news once more.
const MAX_STREAMS: usize = 1_000_000;

/// The requests of each stream, by the row of its gateway, its start and its attributes.
#[derive(Debug, Default)]
pub(super) struct Heard(HashMap<(i64, i64, i64), u64>);

impl Heard {
    /// The requests that a point adds to what this replica has heard of its stream.
    pub(super) fn news(&mut self, gateway: i64, point: &Point) -> u64 {
        let requests = point.values.duration.count;
        if point.temporality == Temporality::Delta || requests == 0 {
            return requests;
        }
        if self.0.len() >= MAX_STREAMS {
            self.0.clear();
        }
        let last = self.0.entry((gateway, point.start, point.stream)).or_default();
        let news = requests.saturating_sub(*last);
        *last = requests.max(*last);
        news
    }

    /// Takes everything for news again, after a transaction that was undone.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}
