//! Reading requests of the log in the order of a question.

use super::log::{Logged, Reader, columns, moment};
use super::{ClickHouse, Condition};
use crate::error::QueryError;
use crate::query::Range;
use clickhouse::error::Error;
use std::time::{Duration, Instant};

/// What requests are sorted by; where that is the same, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogOrder {
    Time,
    /// In nanoseconds, or -1 where it is not known.
    Duration,
}

/// The place of a request in the order of all; the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPlace {
    /// Nanoseconds of the duration, or -1, where they are sorted by it.
    pub(crate) rank: i64,
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) batch: u64,
    pub(crate) place: u32,
}

/// Which requests are read.
pub(crate) struct LogQuestion<'a> {
    pub(crate) range: Range,
    pub(crate) condition: &'a Condition,
    pub(crate) order: LogOrder,
    /// Those behind this place; all without one.
    pub(crate) after: Option<LogPlace>,
    /// The most rows.
    pub(crate) rows: usize,
    /// Bytes after which no more rows are read.
    pub(crate) bytes: usize,
    pub(crate) timeout: Duration,
}

/// The order of the table.
const KEY: &str = "time DESC, batch DESC, place DESC";
// Versions differ in what `least` makes of null.
const RANK: &str =
    "if(duration_ns IS NULL, toInt64(-1), toInt64(least(assumeNotNull(duration_ns), 9223372036854775807)))";

/// Nanoseconds that the slowest requests have taken longer than, in the order in which they are tried: blocks without such a request
/// are passed over.
const SLOW: [i64; 7] = [
    64_000_000_000,
    32_000_000_000,
    16_000_000_000,
    8_000_000_000,
    4_000_000_000,
    2_000_000_000,
    1_000_000_000,
];
/// Time that such a look takes at most where another one is worth it.
const SHORT_LOOK: Duration = Duration::from_millis(100);

impl LogQuestion<'_> {
    /// The conditions on the time.
    fn times(&self) -> Vec<String> {
        let Range { from, to } = self.range;
        // The type of the column ends where 64 bits do.
        let from = (from > i64::MIN).then(|| format!("time >= {}", moment(from)));
        let to = (to < i64::MAX).then(|| format!("time < {}", moment(to)));
        from.into_iter().chain(to).collect()
    }

    /// Of requests that took longer than some nanoseconds, or of all.
    fn statement(&self, longer: Option<i64>) -> String {
        let mut all = vec![self.condition.sql().to_owned()];
        all.extend(longer.map(|nanos| format!("duration_ns > {nanos}")));
        let mut range = self.times();
        let columns = columns();
        let rows = self.rows;
        match self.order {
            LogOrder::Time => {
                if let Some(LogPlace { time, batch, place, .. }) = self.after {
                    let time = moment(time);
                    // The first part is the one by which the server passes over blocks.
                    range.push(format!("time <= {time}"));
                    all.push(format!(
                        "(time < {time} OR (batch, place) < (toUInt64({batch}), toUInt32({place})))"
                    ));
                }
                range.append(&mut all);
                let condition = range.join(" AND ");
                format!("SELECT {columns} FROM requests WHERE {condition} ORDER BY {KEY} LIMIT {rows}")
            }
            LogOrder::Duration => {
                if let Some(LogPlace { rank, time, batch, place }) = self.after {
                    let time = moment(time);
                    all.push(format!(
                        "({RANK}, time, batch, place) < (toInt64({rank}), {time}, toUInt64({batch}), toUInt32({place}))"
                    ));
                }
                let range = all_of(&range);
                let condition = all.join(" AND ");
                // The slowest are found by few columns; only theirs are read as a whole.
                format!(
                    "SELECT {columns} FROM requests
                     WHERE {range} AND (time, batch, place) IN (
                         SELECT time, batch, place FROM requests WHERE {range} AND {condition}
                         ORDER BY {RANK} DESC, {KEY} LIMIT {rows}
                     )
                     ORDER BY {RANK} DESC, {KEY}"
                )
            }
        }
    }
}

fn all_of(conditions: &[String]) -> String {
    if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") }
}

impl ClickHouse {
    /// The next requests of the log, and whether they are the last. One that was inserted twice may be there twice, side by
    /// side. Not for threads of a runtime.
    pub(crate) fn log(&self, question: &LogQuestion<'_>) -> Result<(Vec<Logged>, bool), QueryError> {
        self.wait(self.read_log(question))
    }

    async fn read_log(&self, question: &LogQuestion<'_>) -> Result<(Vec<Logged>, bool), Error> {
        let seconds = question.timeout.as_secs_f64().to_string();
        let settings = [("max_execution_time", seconds.as_str())];
        if question.order == LogOrder::Duration && self.is_long(question).await? {
            let after = question.after.map_or(i64::MAX, |place| place.rank);
            for longer in SLOW.into_iter().filter(|longer| *longer < after) {
                let begun = Instant::now();
                let statement = question.statement(Some(longer));
                let (rows, is_whole) = self.fetch_rows(&statement, &settings, question.bytes).await?;
                if !is_whole || rows.len() >= question.rows {
                    return Ok((rows, false));
                }
                if begun.elapsed() > SHORT_LOOK {
                    break;
                }
            }
        }
        let (rows, is_whole) = self.fetch_rows(&question.statement(None), &settings, question.bytes).await?;
        let is_last = is_whole && rows.len() < question.rows;
        Ok((rows, is_last))
    }

    /// Whether there are so many requests in the time that to look for slow ones first is faster than to read the durations of all.
    async fn is_long(&self, question: &LogQuestion<'_>) -> Result<bool, Error> {
        let count = format!("SELECT count() FROM requests WHERE {}", all_of(&question.times()));
        Ok(self.client.query_raw(&count).fetch_one::<u64>().await? >= self.long_log)
    }

    /// The rows of a statement, until they have so many bytes; and whether those are all.
    pub(super) async fn fetch_rows(
        &self,
        statement: &str,
        settings: &[(&str, &str)],
        max_bytes: usize,
    ) -> Result<(Vec<Logged>, bool), Error> {
        let mut statement = self.client.query_raw(statement);
        for (name, value) in settings {
            statement = statement.with_setting(*name, *value);
        }
        let mut cursor = statement.fetch_bytes("RowBinary")?;
        let (mut reader, mut rows, mut bytes) = (Reader::default(), Vec::new(), 0);
        while let Some(piece) = cursor.next().await? {
            reader.feed(&piece);
            while let Some((row, size)) = reader.next() {
                rows.push(row);
                bytes += size;
                if bytes >= max_bytes {
                    return Ok((rows, false));
                }
            }
        }
        if reader.is_within_row() {
            return Err(Error::NotEnoughData);
        }
        Ok((rows, true))
    }
}
