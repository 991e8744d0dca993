//! Checksums of rows: SQLite has none, and a flipped bit in a count would be a count.
//!
//! A checksum is the CRC-32 of the values of a row; it finds every change of up to 32 neighbouring bits. A row that an
//! earlier version has written has none. Chunks of the log need none: their compressed frame has its own.

/// Stands in place of the checksum of a state that was damaged: there was one, and nothing else of it is known.
pub(super) const FORGOTTEN: i64 = -1;

/// The numbers of a state in the order of its checksum.
pub(super) const STATE_NUMBERS: [&str; 9] = [
    "time",
    "duration_count",
    "upstream_count",
    "gateway_count",
    "request_count",
    "request_bytes",
    "response_count",
    "response_bytes",
    "attempts",
];

/// The checksum of a row of a rollup: the width of its table in minutes, its key (minute, series and instance), its counts
/// (requests, request bytes, response bytes and attempts), and its sketches (duration, upstream and gateway).
///
/// A row of a gateway has the same as the row of the sum that it is made of.
pub(super) fn of_rollup(width: i64, key: [i64; 3], counts: [i64; 4], sketches: [&[u8]; 3]) -> i64 {
    let mut sum = Sum::default();
    sum.integer(width);
    key.into_iter().chain(counts).for_each(|value| sum.integer(value));
    sketches.into_iter().for_each(|sketch| sum.blob(sketch));
    sum.end()
}

/// The checksum of the state of a stream: its gateway, its stream, its [`STATE_NUMBERS`], its sketches and, in a row that has
/// them, its counts by bound. Its start and its series may change without a point.
pub(super) fn of_state(key: [i64; 2], numbers: &[i64], sketches: [&[u8]; 3], by_bound: Option<&[u8]>) -> i64 {
    let mut sum = Sum::default();
    key.iter().chain(numbers).for_each(|value| sum.integer(*value));
    sketches.into_iter().chain(by_bound).for_each(|blob| sum.blob(blob));
    sum.end()
}

/// The checksum of a row of changes: its gateway, and its data.
pub(super) fn of_changes(gateway: i64, data: &[u8]) -> i64 {
    let mut sum = Sum::default();
    sum.integer(gateway);
    sum.blob(data);
    sum.end()
}

/// The checksum of packed rows: the numbers that describe them, and their data. Those of minutes are their half hour, their
/// table, their first and last minute, and their number; those of sums are their width, their start and their part.
pub(super) fn of_packed(numbers: &[i64], data: &[u8]) -> i64 {
    let mut sum = Sum::default();
    numbers.iter().for_each(|value| sum.integer(*value));
    sum.blob(data);
    sum.end()
}

/// The checksum of a row of totals: its bounds, its start, and its data. Its series may change its number.
pub(super) fn of_totals(bounds: &str, since: i64, data: &[u8]) -> i64 {
    let mut sum = Sum::default();
    sum.blob(bounds.as_bytes());
    sum.integer(since);
    sum.blob(data);
    sum.end()
}

/// Whether a value has another type than its column: damage that SQLite does not see.
pub(super) fn is_other_type(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    matches!(error, InvalidColumnType(..) | FromSqlConversionFailure(..) | IntegralValueOutOfRange(..))
}

#[derive(Default)]
struct Sum(crc32fast::Hasher);

impl Sum {
    fn integer(&mut self, value: i64) {
        self.0.update(&value.to_le_bytes());
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as i64);
        self.0.update(bytes);
    }

    fn end(self) -> i64 {
        i64::from(self.0.finalize())
    }
}
