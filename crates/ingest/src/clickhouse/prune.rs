//! Removing what is older than it is kept, by whole partitions.

use super::close::{self, first_minute};
use super::schema::altered;
use super::{ClickHouse, code};
use crate::retention::{Retention, before};
use crate::store::StoreError;
use clickhouse::Client;
use clickhouse::error::Error;

const MINUTE_NANOS: i64 = 60_000_000_000;
/// Minutes of a partition of `minutes` and `changes`, and of one of `half_hours` and `days`.
const DAY: i64 = close::DAY as i64;
const MONTH: i64 = 30 * DAY;
/// A partition is not there.
const NO_SUCH_PARTITION: [u32; 2] = [234, 248];

impl ClickHouse {
    /// Removes old minutes and half hours. Ages count from the last closed block, or from `now` (Unix nanoseconds) where that is
    /// earlier.
    pub(crate) async fn prune_counts(&self, retention: &Retention, now: i64) -> Result<(), StoreError> {
        let closed = i64::from(first_minute(self.open_block().await?)).saturating_mul(MINUTE_NANOS);
        let newest = closed.min(now);
        let older = |age, partition: i64| {
            let minute = before(newest, age).div_euclid(MINUTE_NANOS);
            format!("minute < {}", minute.div_euclid(partition).saturating_mul(partition).max(0))
        };
        self.drop_partitions("minutes", &older(retention.minutes, DAY)).await?;
        // Changes are in no half hour, and count in totals.
        let unfolded = self.unfolded().await?;
        let old = format!("{} AND minute < {unfolded}", older(retention.half_hours, DAY));
        self.drop_partitions("changes", &old).await?;
        for table in ["half_hours", "days"] {
            self.drop_partitions(table, &older(retention.half_hours, MONTH)).await?;
        }
        Ok(())
    }

    /// Removes the partitions in which something meets a condition, which must be one on whole partitions.
    pub(super) async fn drop_partitions(&self, table: &str, condition: &str) -> Result<(), StoreError> {
        let old = format!("SELECT DISTINCT _partition_id AS name FROM {table} WHERE {condition}");
        let old = self.client.query_raw(&old).fetch_all::<String>().await?;
        for name in old {
            drop_partition(&self.client, table, &name).await?;
        }
        Ok(())
    }
}

/// Removes a partition on all replicas of a table.
pub(super) async fn drop_partition(client: &Client, table: &str, name: &str) -> Result<(), Error> {
    let table = altered(client, table).await?;
    let dropping = format!("ALTER TABLE {table} DROP PARTITION ID '{name}'");
    match client.query_raw(&dropping).execute().await {
        // Another replica was faster.
        Err(error) if code(&error).is_some_and(|code| NO_SUCH_PARTITION.contains(&code)) => Ok(()),
        outcome => outcome,
    }
}
