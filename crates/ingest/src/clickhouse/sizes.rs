//! What the tables take on the disks of the server.

use super::{ClickHouse, PROBE_TIMEOUT, in_time};
use clickhouse::error::Error;
use serde::Serialize;
use std::collections::BTreeMap;

/// The database, with bytes on disk by what they are for.
#[derive(Debug, Serialize)]
pub(crate) struct Database {
    name: String,
    /// Of the server that answered; with shards, others have more. Absent where it does not answer in time, or refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<BTreeMap<&'static str, u64>>,
}

/// The tables that have a kind of their own. All others count as [`COUNTERS`].
const KINDS: [&str; 2] = ["requests", "spans"];
const COUNTERS: &str = "counters";

impl ClickHouse {
    /// What is stored takes this much.
    pub(crate) async fn sizes(&self) -> Database {
        let bytes = in_time(PROBE_TIMEOUT, self.bytes_by_kind()).await;
        let bytes = bytes
            .inspect_err(|error| tracing::debug!(%error, "the server does not say how large its tables are"));
        Database { name: self.database.clone(), bytes: bytes.ok() }
    }

    async fn bytes_by_kind(&self) -> Result<BTreeMap<&'static str, u64>, Error> {
        // A table of a shard has another name.
        let sizes = "SELECT replaceRegexpOne(table, '_local$', '') AS name, sum(bytes_on_disk) AS bytes FROM system.parts
                     WHERE active AND database = currentDatabase() GROUP BY name";
        let sizes = self.client.query_raw(sizes).fetch_all::<(String, u64)>().await?;
        let mut kinds: BTreeMap<_, _> = KINDS.into_iter().chain([COUNTERS]).map(|kind| (kind, 0)).collect();
        for (table, bytes) in sizes {
            let kind = KINDS.into_iter().find(|kind| *kind == table).unwrap_or(COUNTERS);
            *kinds.entry(kind).or_default() += bytes;
        }
        Ok(kinds)
    }
}
