//! The replicas that are there, by the clock of the server alone: clocks of replicas may differ.

use super::{ClickHouse, in_time};
use crate::store::StoreError;
use clickhouse::Row;
use serde::Serialize;
use std::time::Duration;

/// Time after which a replica that has not shown itself is gone.
pub(crate) const PRESENT: Duration = Duration::from_secs(15);
/// Time for one exchange with the server, of which a replica has one after the other.
const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Row, Serialize)]
struct Shown {
    replica: String,
    leaves: bool,
}

impl ClickHouse {
    /// The time of the server, in Unix milliseconds.
    ///
    /// # Errors
    /// When it does not answer within 4 s.
    pub(crate) async fn server_time(&self) -> Result<i64, StoreError> {
        Ok(in_time(TIMEOUT, self.now()).await?)
    }

    /// Shows the others that a replica is there. Returns the names of all that are, in their order.
    ///
    /// # Errors
    /// When the server does not answer within 8 s.
    pub(crate) async fn show_replica(&self, replica: &str) -> Result<Vec<String>, StoreError> {
        let shown = [Shown { replica: replica.to_owned(), leaves: false }];
        in_time(TIMEOUT, self.insert("replicas", &shown)).await?;
        let present = format!(
            "SELECT replica FROM replicas GROUP BY replica
             HAVING max(seen) >= now64(3) - INTERVAL {} SECOND AND NOT max(leaves) ORDER BY replica",
            PRESENT.as_secs()
        );
        Ok(in_time(TIMEOUT, self.client.query_raw(&present).fetch_all()).await?)
    }

    /// Shows the others that a replica leaves for good: its name does not come back.
    ///
    /// # Errors
    /// When the server does not answer within 4 s.
    pub(crate) async fn leave(&self, replica: &str) -> Result<(), StoreError> {
        let left = [Shown { replica: replica.to_owned(), leaves: true }];
        Ok(in_time(TIMEOUT, self.insert("replicas", &left)).await?)
    }
}
