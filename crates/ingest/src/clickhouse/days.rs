//! Days that are over, added up: of a month a question reads some thirty rows of a series, and not 1,440 half hours.
//!
//! Any replica may add up a day, and again. A mark says when the half hours were read that are in it, by the server's clock. It holds
//! as long as no block of the day was closed since, and nothing was forgotten. A question reads only rows that have the time of
//! the mark.

use super::ClickHouse;
use super::close::{BLOCKS_OF_A_DAY, DAY, block_of, first_minute, plain, sums};
use crate::store::StoreError;
use clickhouse::Row;
use clickhouse::error::Error;
use serde::Deserialize;
use std::collections::HashSet;

/// The `kind` of a mark.
const MARK: u8 = 255;
/// Milliseconds by which the clocks of servers may differ.
const MARGIN: i64 = 10_000;
/// Days that are added up at one look, the latest first.
const DAYS_AT_ONCE: usize = 100;

/// A day that is added up.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
pub(super) struct Day {
    /// Its first Unix minute.
    pub(super) minute: u32,
    /// When its half hours were read, in Unix milliseconds: the version of its rows.
    pub(super) version: u64,
}

impl Day {
    /// The Unix minute at which it ends.
    pub(super) fn end(self) -> u32 {
        self.minute.saturating_add(DAY)
    }
}

impl ClickHouse {
    /// The days within some Unix minutes that are added up, in order.
    pub(super) async fn days_within(&self, (from, to): (u32, u32)) -> Result<Vec<Day>, Error> {
        let changed = changed((from, to));
        let days = format!(
            "SELECT minute, version FROM (
                 SELECT minute, max(d.version) AS version FROM days AS d
                 WHERE kind = {MARK} AND minute >= {from} AND minute + {DAY} <= {to} GROUP BY minute
             ) AS marks
             LEFT JOIN ({changed}) AS changed ON changed.day = marks.minute
             WHERE toInt64(version) > closed + {MARGIN} AND toInt64(version) > ({FORGOTTEN}) + {MARGIN}
             ORDER BY minute"
        );
        self.client.query_raw(&days).fetch_all().await
    }

    /// Adds up the days that are over and have changed since, or never were.
    pub(super) async fn add_up_days(&self) -> Result<(), StoreError> {
        let open = first_minute(self.open_block().await?) / DAY * DAY;
        let known = self.days_within((0, open)).await?;
        let known: HashSet<u32> = known.iter().map(|day| day.minute).collect();
        let now = self.now().await?;
        let changed = changed((0, open));
        // What has changed just now would have to be added up again.
        let all = format!(
            "SELECT day FROM (
                 SELECT DISTINCT toUInt32(intDiv(minute, {DAY}) * {DAY}) AS day FROM half_hours
                 WHERE kind = 1 AND minute < {open}
             ) AS counted
             LEFT JOIN ({changed}) AS changed ON changed.day = counted.day
             WHERE {now} > closed + {MARGIN} AND {now} > ({FORGOTTEN}) + {MARGIN}
             ORDER BY day DESC"
        );
        let all = self.client.query_raw(&all).fetch_all::<u32>().await?;
        for day in all.into_iter().filter(|day| !known.contains(day)).take(DAYS_AT_ONCE) {
            self.add_up_day(day).await?;
        }
        Ok(())
    }

    async fn add_up_day(&self, day: u32) -> Result<(), Error> {
        let version = self.now().await?;
        let (names, sums) = (plain(), sums());
        let rows = format!(
            "INSERT INTO days (kind, minute, series, instance, version, {names})
             SELECT kind, {day}, series, instance, {version}, {sums} FROM half_hours AS m FINAL
             WHERE m.minute >= {day} AND m.minute < {day} + {DAY} GROUP BY kind, series, instance"
        );
        self.client.query_raw(&rows).execute().await?;
        let mark =
            format!("INSERT INTO days (kind, minute, series, version) VALUES ({MARK}, {day}, 0, {version})");
        self.client.query_raw(&mark).execute().await
    }
}

/// When counts were forgotten last, or was begun to be, in Unix milliseconds.
const FORGOTTEN: &str = "SELECT toUnixTimestamp64Milli(max(at)) FROM forgotten WHERE of_counts";

/// A statement for the time at which a block of each day within some Unix minutes was closed last, or was opened again, in Unix
/// milliseconds.
fn changed((from, to): (u32, u32)) -> String {
    let (first, last) = (block_of(from), block_of(to));
    format!(
        "SELECT toUInt32(intDiv(block, {BLOCKS_OF_A_DAY}) * {DAY}) AS day, max(toUnixTimestamp64Milli(closed_at)) AS closed
         FROM blocks AS b WHERE b.block >= {first} AND b.block <= {last} GROUP BY day"
    )
}
