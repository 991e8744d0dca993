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

/// Bounds in seconds, in the order in which a sort by duration tries them: it asks for requests that took longer, and the server skips
/// blocks without one.
const SLOW_SECONDS: [i64; 7] = [64, 32, 16, 8, 4, 2, 1];
/// If a try takes longer than this, the next one would not pay off.
const SHORT_TRY: Duration = Duration::from_millis(100);

impl LogQuestion<'_> {
    /// The condition on the time.
    fn times(&self) -> Condition {
        let Range { from, to } = self.range;
        // The type of the column ends where 64 bits do.
        let from = (from > i64::MIN).then(|| format!("time >= {}", moment(from)));
        let to = (to < i64::MAX).then(|| format!("time < {}", moment(to)));
        Condition::all(from.into_iter().chain(to).map(Condition::exact))
    }

    /// Of requests that took longer than some nanoseconds, or of all.
    fn statement(&self, longer: Option<i64>) -> String {
        let mut all = vec![self.condition.sql().to_owned()];
        all.extend(longer.map(|nanos| format!("duration_ns > {nanos}")));
        let times = self.times();
        let range = times.sql();
        let columns = columns();
        let rows = self.rows;
        match self.order {
            LogOrder::Time => {
                if let Some(LogPlace { time, batch, place, .. }) = self.after {
                    let time = moment(time);
                    // The first part is the one by which the server passes over blocks.
                    all.push(format!(
                        "time <= {time} AND (time < {time} OR (batch, place) < (toUInt64({batch}), toUInt32({place})))"
                    ));
                }
                let condition = all.join(" AND ");
                format!(
                    "SELECT {columns} FROM requests WHERE {range} AND {condition} ORDER BY {KEY} LIMIT {rows}"
                )
            }
            LogOrder::Duration => {
                if let Some(LogPlace { rank, time, batch, place }) = self.after {
                    let time = moment(time);
                    all.push(format!(
                        "({RANK}, time, batch, place) < (toInt64({rank}), {time}, toUInt64({batch}), toUInt32({place}))"
                    ));
                }
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
            let bounds = SLOW_SECONDS.map(|seconds| seconds * 1_000_000_000);
            for longer in bounds.into_iter().filter(|longer| *longer < after) {
                let begun = Instant::now();
                let statement = question.statement(Some(longer));
                let (rows, is_whole) = self.fetch_rows(&statement, &settings, question.bytes).await?;
                if !is_whole || rows.len() >= question.rows {
                    return Ok((rows, false));
                }
                if begun.elapsed() > SHORT_TRY {
                    break;
                }
            }
        }
        let (rows, is_whole) = self.fetch_rows(&question.statement(None), &settings, question.bytes).await?;
        let is_last = is_whole && rows.len() < question.rows;
        Ok((rows, is_last))
    }

    /// Whether the time range has so many requests that tries are faster than reading all durations.
    async fn is_long(&self, question: &LogQuestion<'_>) -> Result<bool, Error> {
        let count = format!("SELECT count() FROM requests WHERE {}", question.times().sql());
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
