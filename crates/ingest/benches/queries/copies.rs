//! The days before the last one, as copies of its counts in the file.
//!
//! A month through the write path would take an hour. A copy has its own times and is otherwise as the service has written it.

use crate::fill::{BEGIN, DAY};
use crate::support::otlp::MINUTE;
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::{Duration, SystemTime};

const FIRST: i64 = (BEGIN / MINUTE) as i64;
const DAY_MINUTES: i64 = (DAY / MINUTE) as i64;
const HOURS: i64 = 24;

/// Waits until the service has packed the minutes that are over.
pub(crate) fn wait_for_packs(data: &Path) {
    let file = open(data);
    let left = || {
        let count = "SELECT count(*) FROM minutes WHERE minute < (SELECT max(minute) - 60 FROM minutes)";
        file.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    while left() > 0 {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the service has packed all days that are over.
pub(crate) fn wait_for_days(data: &Path) {
    let file = open(data);
    let left = || {
        let count = "SELECT count(DISTINCT minute / 1440) FROM half_hours
                     WHERE minute / 1440 * 1440 NOT IN (SELECT start FROM summed WHERE width = 1440 AND is_whole)
                       AND minute / 1440 < (SELECT max(minute) / 1440 FROM half_hours)";
        file.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    while left() > 0 {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Copies the counts of the day to as many days before it, and notes traffic in each minute of as many days before now, because
/// uptime is kept by the clock. No service may be at work.
pub(crate) fn copy_day(data: &Path, days: u64) {
    let mut file = open(data);
    for day in 1..=days as i64 {
        let distance = day * DAY_MINUTES;
        let transaction = file.transaction().unwrap();
        // A row of a half hour may be without a checksum, as one of an earlier version.
        let half_hours = "INSERT INTO half_hours
             SELECT minute - ?1, series_id, requests, request_bytes, response_bytes, duration, upstream, gateway, attempts, instance, NULL
             FROM half_hours WHERE minute >= ?2 AND minute < ?2 + ?3";
        transaction.execute(half_hours, params![distance, FIRST, DAY_MINUTES]).unwrap();
        copy_packs(&transaction, distance);
        transaction.commit().unwrap();
    }
    let uptime = "WITH RECURSIVE hours (hour) AS (SELECT ?1 UNION ALL SELECT hour + 1 FROM hours WHERE hour + 1 < ?2)
         INSERT OR IGNORE INTO uptime
         SELECT DISTINCT 'service', hour, service, environment, '', (1 << 60) - 1, 0 FROM series, hours
         UNION SELECT DISTINCT 'route', hour, service, environment, method || ' ' || route, (1 << 60) - 1, 1 FROM series, hours";
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let hour = i64::try_from(now.as_secs() / 3_600).unwrap();
    file.execute(uptime, [hour - (days as i64 + 1) * HOURS, hour]).unwrap();
}

fn copy_packs(file: &Connection, distance: i64) {
    let mut select = file
        .prepare_cached(
            "SELECT half_hour, by_gateway, since, until, entries, data FROM packed_minutes
             WHERE half_hour >= ?1 AND half_hour < ?1 + ?2 ORDER BY half_hour, since",
        )
        .unwrap();
    let mut put = file
        .prepare_cached(
            "INSERT INTO packed_minutes (half_hour, by_gateway, since, until, entries, data, checksum)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .unwrap();
    let mut rows = select.query([FIRST, DAY_MINUTES]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let one = |column| row.get::<_, i64>(column).unwrap();
        let (half_hour, since, until) = (one(0) - distance, one(2) - distance, one(3) - distance);
        let (by_gateway, entries) = (one(1), one(4));
        let data = row.get_ref(5).unwrap().as_blob().unwrap();
        // The checksum of a pack: its numbers and its data.
        let mut sum = crc32fast::Hasher::new();
        for number in [half_hour, by_gateway, since, until, entries, data.len() as i64] {
            sum.update(&number.to_le_bytes());
        }
        sum.update(data);
        let sum = i64::from(sum.finalize());
        put.execute(params![half_hour, by_gateway, since, until, entries, data, sum]).unwrap();
    }
}

fn open(data: &Path) -> Connection {
    let file = Connection::open(data.join("metrics.db")).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    file
}
