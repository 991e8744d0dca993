//! Every bound of the service in one place.

use std::time::Duration;

/// The bounds of the service. Beyond a bound it refuses with a status that the sender understands.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Time for a request's head to arrive, and for an idle connection to be used again.
    pub head_timeout: Duration,
    /// Time for a request's body to arrive; a slower one is answered 408.
    pub body_timeout: Duration,
    /// Bytes of one body, as sent and after decompression; a larger one is answered 413.
    pub body_bytes: usize,
    /// Bytes of all bodies being received, decoded or stored; beyond, 429.
    pub memory_bytes: usize,
    /// Protobuf messages (records, points, attributes) in one body; beyond, 413. This bounds the memory that a small
    /// body can take when it is decoded.
    pub messages: usize,
    /// Bodies decoded at a time; further ones wait.
    pub decoders: usize,
    /// Batches that wait for each of the two writers; beyond, 429.
    pub writer_queue: usize,
    /// Series that the store keeps apart; points of further ones are rejected in the answer's partial success.
    pub series: usize,
    /// Queries answered at a time; further ones wait.
    pub readers: usize,
    /// Bytes of one question to `redact`, as sent and after decompression; beyond, 413.
    pub preview_bytes: usize,
    /// Questions to `redact` answered at a time; further ones wait.
    pub previews: usize,
    /// Passwords hashed at a time, each of which takes 19 MiB and tens of milliseconds of a core; further ones wait.
    pub sign_ins: usize,
    /// Time for one query to read the store; beyond, 503.
    pub query_timeout: Duration,
    /// Points in one answer of `timeseries`.
    pub points: usize,
    /// Groups whose percentiles are added up at a time: the most in one answer of `summary`, or of `timeseries` in all.
    pub groups: usize,
    /// Groups of which `summary` makes pages; beyond, it refuses.
    pub ranked_groups: usize,
    /// Rows in one answer of `requests`.
    pub rows: usize,
    /// Bytes of the rows in one answer of `requests`: the page ends before the row that would exceed them, if it is not
    /// the first.
    pub page_bytes: usize,
    /// Requests of the log that one query reads before it answers with what it found and a cursor.
    pub scanned: usize,
    /// Time for requests under way to finish after a stop was asked for.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            body_bytes: 16 << 20,
            memory_bytes: 256 << 20,
            messages: 1_000_000,
            decoders: 2,
            writer_queue: 64,
            series: 500_000,
            readers: 4,
            preview_bytes: 2 << 20,
            previews: 2,
            sign_ins: 1,
            query_timeout: Duration::from_secs(15),
            points: 11_000,
            groups: 10_000,
            ranked_groups: 200_000,
            rows: 1_000,
            page_bytes: 16 << 20,
            scanned: 500_000,
            stop_timeout: Duration::from_secs(10),
        }
    }
}
