//! Closing blocks: what each minute of a stretch of ten added, from what its streams have reported.
//!
//! A block that is closed again, by this replica or another one, gets the same rows, or newer ones when more was reported. So
//! no replica needs to be the only one; a replica that is killed halfway leaves what the next look completes.

use super::ClickHouse;
use crate::clock;
use crate::store::StoreError;
use clickhouse::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Minutes of a block.
const MINUTES: u32 = 10;
/// Minutes of the longer stretches, which have whole blocks.
pub(super) const HALF_HOUR: u32 = 30;
/// Blocks of a day, which is a partition, and its minutes.
pub(super) const BLOCKS_OF_A_DAY: u32 = 144;
pub(super) const DAY: u32 = BLOCKS_OF_A_DAY * MINUTES;
/// Seconds after its end that a block is closed, for reports that are on their way.
const GRACE: i64 = 60;
/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(20);
/// Looks after which it looks for days that are over.
const LOOKS_AT_DAYS: u64 = 30;
/// Minutes after which the states of a sender that is silent are not carried on.
const SILENT_MINUTES: u32 = 30 * 24 * 60;

/// The series of a state that was copied, where the directory knew the stream under a learned route alone.
pub(super) const UNKNOWN_SERIES: u64 = 0;

/// Sums that only grow.
pub(super) const NUMBERS: [&str; 10] = [
    "requests",
    "request_bytes",
    "response_bytes",
    "attempts",
    "duration_zeros",
    "duration_ns",
    "upstream_zeros",
    "upstream_ns",
    "gateway_zeros",
    "gateway_ns",
];
/// Distributions, by bucket.
pub(super) const MAPS: [&str; 3] = ["duration", "upstream", "gateway"];
/// The columns of reports that totals need in addition: numbers of sizes, and counts at bounds.
const OF_TOTALS: [&str; 3] = ["request_sizes", "response_sizes", "by_bound"];

/// The block of a Unix minute.
pub(super) fn block_of(minute: u32) -> u32 {
    minute / MINUTES
}

/// The first Unix minute of a block.
pub(super) fn first_minute(block: u32) -> u32 {
    block.saturating_mul(MINUTES)
}

/// Columns with a form for each.
pub(super) fn forms(
    (numbers, maps): (&[&str], &[&str]),
    number: impl Fn(&str) -> String,
    map: impl Fn(&str) -> String,
) -> String {
    let numbers = numbers.iter().map(|name| number(name));
    numbers.chain(maps.iter().map(|name| map(name))).collect::<Vec<_>>().join(", ")
}

/// All columns of counts, with a form for each.
pub(super) fn columns(number: impl Fn(&str) -> String, map: impl Fn(&str) -> String) -> String {
    forms((&NUMBERS, &MAPS), number, map)
}

pub(super) fn plain() -> String {
    columns(str::to_owned, str::to_owned)
}

/// All columns of a report or of a state.
pub(super) fn all_plain() -> String {
    format!("{}, {}", plain(), OF_TOTALS.join(", "))
}

/// The same as [`largest`].
pub(super) fn all_largest() -> String {
    format!(
        "{}, max(request_sizes) AS request_sizes, max(response_sizes) AS response_sizes, maxMap(by_bound) AS by_bound",
        largest()
    )
}

pub(super) fn largest() -> String {
    columns(|name| format!("max({name}) AS {name}"), |name| format!("maxMap({name}) AS {name}"))
}

pub(super) fn sums() -> String {
    columns(|name| format!("sum(m.{name})"), |name| format!("sumMap(m.{name})"))
}

/// A statement that adds up rows of `minutes` or `half_hours` by classes of series. The conditions are on rows of series, on series,
/// and on `class`, a pair of kind and number.
pub(super) fn class_sums(table: &str, of_rows: &str, of_series: &str, of_classes: &str) -> String {
    let (names, sums) = (plain(), sums());
    let (stream, none) = if table == "minutes" { (", stream", ", 0") } else { ("", "") };
    format!(
        "INSERT INTO {table} (kind, minute, series, instance{stream}, version, {names})
         SELECT class.1, m.minute, class.2, m.instance{none}, sum(m.version), {sums}
         FROM (SELECT * FROM {table} FINAL WHERE kind = 0 AND {of_rows}) AS m
         INNER JOIN (
             SELECT id, [(1, any(without_both)), (2, any(without_consumer)), (3, any(without_route))] AS classes
             FROM series WHERE {of_series} GROUP BY id
         ) AS s ON s.id = m.series
         ARRAY JOIN s.classes AS class
         WHERE {of_classes}
         GROUP BY class, m.minute, m.instance"
    )
}

/// Conditions for reports and states of some series.
pub(super) fn of_series(wanted: &str) -> (String, String) {
    (
        format!(" AND reported.series IN ({wanted})"),
        // A state that was copied may be of a series that is not known before its stream reports.
        format!(" AND (states.series IN ({wanted}) OR states.series = {UNKNOWN_SERIES})"),
    )
}

/// A statement for what each minute of some blocks added: those that `blocks` takes, where `before` is the closed block of
/// which the states are known. `series` takes the numbers of series; empty for all.
pub(super) fn changes(blocks: &str, before: u32, series: &str) -> String {
    let both = |sum: &str| {
        let sum = sum.to_owned();
        move |name: &str| {
            format!("{sum}({name}) OVER until AS s_{name}, {sum}({name}) OVER earlier AS p_{name}")
        }
    };
    let running = columns(both("max"), both("maxMap"));
    let difference = columns(
        |name| format!("toUInt64(s_{name} - p_{name}) AS {name}"),
        |name| {
            format!(
                "CAST(mapFilter((k, v) -> v != 0, mapSubtract(s_{name}, p_{name})), 'Map(Int16, UInt64)') AS {name}"
            )
        },
    );
    let version = NUMBERS.map(|name| format!("s_{name} + p_{name}")).join(" + ");
    let largest = largest();
    let (of_reported, of_states) = if series.is_empty() { Default::default() } else { of_series(series) };
    format!(
        "SELECT minute, series, instance, stream, {version} AS version, {difference}
         FROM (
             SELECT minute, series, instance, stream, {running}
             FROM (
                 SELECT stream, minute, any(series) AS series, any(instance) AS instance, {largest}
                 FROM reported WHERE {blocks}{of_reported} GROUP BY stream, minute
                 UNION ALL
                 SELECT stream, toUInt32(0) AS minute, any(series) AS series, any(instance) AS instance, {largest}
                 FROM states WHERE block = {before}{of_states} GROUP BY stream
             )
             WINDOW until AS (PARTITION BY stream ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                    earlier AS (PARTITION BY stream ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
         )
         WHERE minute > 0"
    )
}

/// The first block of which a question reads what was reported, and the closed one before it, of which it reads the states.
pub(super) struct Border {
    pub(super) open: u32,
    pub(super) closed: u32,
}

impl ClickHouse {
    /// Closes blocks as they end, until the service does.
    pub(crate) async fn keep_closing(self: Arc<Self>) {
        let mut due = 0;
        for look in 0u64.. {
            if let Err(error) = self.close_due(clock::now()).await {
                tracing::warn!(%error, "minutes that are over could not be added up; trying again");
            }
            if look >= due {
                let added = async {
                    self.fold_totals().await?;
                    self.add_up_days().await
                };
                match added.await {
                    Ok(()) => due = look + LOOKS_AT_DAYS,
                    Err(error) => {
                        tracing::warn!(%error, "days that are over could not be added up; trying again");
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Closes the blocks that have ended and those of which something was reported since they were closed, the earliest
    /// first, and all after them. `now` is in Unix nanoseconds.
    pub(crate) async fn close_due(&self, now: i64) -> Result<(), StoreError> {
        let over = (now / 1_000_000_000 - GRACE).div_euclid(i64::from(MINUTES) * 60);
        let over = u32::try_from(over).unwrap_or_default();
        // A report that came while its block was closed may have been overlooked, so times are compared with a margin.
        let due = format!(
            "SELECT r.block AS block
             FROM (SELECT block, max(received_at) AS received FROM reported WHERE block < {over} GROUP BY block) AS r
             LEFT JOIN (SELECT block, maxIf(closed_at, is_closed) AS closed FROM blocks GROUP BY block) AS b ON b.block = r.block
             WHERE b.closed < r.received + INTERVAL 30 SECOND
             ORDER BY block LIMIT 1"
        );
        let due = self.client.query_raw(&due).fetch_optional::<u32>().await?;
        // One that a replica has begun to close again, or that stands behind such a one.
        let reopened = Some(self.reopened_and_last().await?.0).filter(|block| *block > 0);
        let Some(first) = due.into_iter().chain(reopened).min() else { return Ok(()) };
        if due == Some(first) {
            // Until all of them are closed again, their minutes do not fit together.
            let reopen = format!(
                "INSERT INTO blocks (block, is_closed) SELECT {first}, false FROM blocks AS b WHERE b.block >= {first} LIMIT 1"
            );
            self.client.query_raw(&reopen).execute().await?;
        }
        for block in self.blocks_from(first, over).await? {
            self.close(block).await?;
        }
        self.drop_before(over).await
    }

    async fn close(&self, block: u32) -> Result<(), StoreError> {
        let before = self.closed_before(block).await?;
        let names = plain();
        let changes = changes(&format!("block = {block}"), before, "");
        let insert = format!(
            "INSERT INTO minutes (kind, minute, series, instance, stream, version, {names})
             SELECT 0, minute, series, instance, stream, version, {names} FROM ({changes})"
        );
        self.client.query_raw(&insert).execute().await?;
        self.add_classes("minutes", (first_minute(block), first_minute(block.saturating_add(1)))).await?;
        self.add_half_hour(first_minute(block) / HALF_HOUR * HALF_HOUR).await?;
        let (names, largest) = (all_plain(), all_largest());
        let silent = first_minute(block).saturating_sub(SILENT_MINUTES);
        let carry = format!(
            "INSERT INTO states (block, stream, sender, series, instance, last_minute, {names})
             SELECT {block}, stream, sender, series, instance, last_minute, {names}
             FROM (
                 SELECT *, max(last_minute) OVER (PARTITION BY sender) AS heard
                 FROM (
                     SELECT stream, any(sender) AS sender, max(series) AS series, any(instance) AS instance,
                            max(last_minute) AS last_minute, {largest}
                     FROM (
                         SELECT stream, sender, series, instance, minute AS last_minute, {names} FROM reported WHERE block = {block}
                         UNION ALL
                         SELECT stream, sender, series, instance, last_minute, {names} FROM states WHERE block = {before}
                     )
                     GROUP BY stream
                 )
             )
             WHERE heard >= {silent}"
        );
        self.client.query_raw(&carry).execute().await?;
        self.end_streams(block, before, silent).await?;
        Ok(self.note_closed(block).await?)
    }

    /// Notes that a block is closed, from when on questions read its minutes.
    pub(super) async fn note_closed(&self, block: u32) -> Result<(), Error> {
        self.client.query_raw(&format!("INSERT INTO blocks (block) VALUES ({block})")).execute().await
    }

    /// The blocks from one on that are closed, or, before `over`, can be.
    pub(super) async fn blocks_from(&self, first: u32, over: u32) -> Result<Vec<u32>, Error> {
        let all = format!(
            "SELECT DISTINCT block FROM (
                 SELECT block FROM reported WHERE block >= {first} AND block < {over}
                 UNION ALL SELECT block FROM blocks WHERE block >= {first}
             ) ORDER BY block"
        );
        self.client.query_raw(&all).fetch_all().await
    }

    /// Adds up the minutes of a half hour, which begins at a Unix minute.
    pub(super) async fn add_half_hour(&self, half_hour: u32) -> Result<(), StoreError> {
        let (names, sums) = (plain(), sums());
        let insert = format!(
            "INSERT INTO half_hours (kind, minute, series, instance, version, {names})
             SELECT kind, {half_hour}, series, instance, sum(m.version), {sums} FROM minutes AS m FINAL
             WHERE m.minute >= {half_hour} AND m.minute < {half_hour} + {HALF_HOUR} GROUP BY kind, series, instance"
        );
        self.client.query_raw(&insert).execute().await?;
        Ok(())
    }

    /// Adds up some Unix minutes of `minutes` or `half_hours`, the end exclusive, by classes of series, for questions that ask
    /// for no consumer or no route: of fifty consumers one row remains.
    pub(super) async fn add_classes(&self, table: &str, (from, to): (u32, u32)) -> Result<(), StoreError> {
        let minutes = format!("minute >= {from} AND minute < {to}");
        Ok(self.client.query_raw(&class_sums(table, &minutes, "1", "1")).execute().await?)
    }

    /// The last closed block before another one; 0 if there is none.
    pub(super) async fn closed_before(&self, block: u32) -> Result<u32, Error> {
        let last = format!("SELECT max(b.block) AS block FROM blocks AS b WHERE b.block < {block}");
        self.client.query_raw(&last).fetch_one().await
    }

    /// The first block that is being closed again and the last one that was closed; 0 if there is none. The blocks behind one that
    /// was closed again are being closed again, too, until they are closed later than it.
    async fn reopened_and_last(&self) -> Result<(u32, u32), Error> {
        // A report that is later counts in the present.
        let late = self.late_minutes / MINUTES + 2 * BLOCKS_OF_A_DAY;
        let both = format!(
            "SELECT minIf(block, NOT is_whole OR last < earlier) AS reopened, max(block) AS last_block FROM (
                 SELECT block, is_whole, last, max(last) OVER (ORDER BY block ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
                 FROM (
                     SELECT block, argMax(is_closed, closed_at) AS is_whole, max(closed_at) AS last FROM blocks AS b
                     WHERE b.block + {late} > (SELECT max(block) FROM blocks) GROUP BY block
                 )
             )"
        );
        self.client.query_raw(&both).fetch_one().await
    }

    /// Where the minutes end that are added up: all before are in `minutes`.
    pub(super) async fn border(&self) -> Result<Border, Error> {
        Ok(match self.reopened_and_last().await? {
            (0, 0) => Border { open: 0, closed: 0 },
            (0, closed) => Border { open: closed + 1, closed },
            (open, _) => Border { open, closed: self.closed_before(open).await? },
        })
    }

    /// The first block that is not closed.
    pub(super) async fn open_block(&self) -> Result<u32, Error> {
        Ok(self.border().await?.open)
    }

    /// Removes reports and states that no closed block needs any more.
    async fn drop_before(&self, over: u32) -> Result<(), StoreError> {
        let last = self.closed_before(over).await?;
        // A report that is as late as may be needs the states of the block before its own.
        let kept_days = self.late_minutes / (MINUTES * BLOCKS_OF_A_DAY) + 1;
        let oldest = (last / BLOCKS_OF_A_DAY).saturating_sub(kept_days);
        let condition = format!("block < {}", oldest.saturating_mul(BLOCKS_OF_A_DAY));
        for table in ["reported", "states"] {
            self.drop_partitions(table, &condition).await?;
        }
        Ok(())
    }
}
