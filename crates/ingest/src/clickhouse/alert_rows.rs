//! What replicas share of `alerts.db`: a row for each of its rows, of which the highest version holds.

use super::{ClickHouse, in_time};
use crate::store::StoreError;
use clickhouse::Row;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds by which an insert may be found late, since its time is that at which it began.
const OVERLAP: i64 = 15_000;
/// Rows of one kind that a replica reads when it starts, the latest first.
const MAX_ROWS: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(15);

/// A row of `alerts.db`.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub(crate) struct AlertRow {
    /// Its table.
    pub(crate) kind: String,
    /// Its key, as a JSON array.
    pub(crate) name: String,
    /// A JSON object of the other columns; empty: it was removed.
    pub(crate) value: String,
    /// The highest holds. Unix milliseconds of the server at which it changed, or one more than the version before.
    pub(crate) version: u64,
}

impl ClickHouse {
    /// Inserts rows, all at once.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses: whether they are stored is not known then.
    pub(crate) async fn put_alert_rows(&self, rows: &[AlertRow]) -> Result<(), StoreError> {
        Ok(in_time(TIMEOUT, self.insert("alert_rows", rows)).await?)
    }

    /// The rows that were inserted since a time of the server, in Unix milliseconds, and some of before; without a time all that
    /// hold, of a kind the 10,000 latest.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn alert_rows(&self, since: Option<i64>) -> Result<Vec<AlertRow>, StoreError> {
        let statement = match since {
            Some(since) => format!(
                "SELECT kind, name, value, version FROM alert_rows
                 WHERE inserted_at >= fromUnixTimestamp64Milli(toInt64({})) ORDER BY version",
                since.saturating_sub(OVERLAP)
            ),
            None => format!(
                "SELECT kind, name, value, version FROM alert_rows FINAL
                 ORDER BY version DESC LIMIT {MAX_ROWS} BY kind"
            ),
        };
        Ok(in_time(TIMEOUT, self.client.query_raw(&statement).fetch_all::<AlertRow>()).await?)
    }
}
