//! The table of rows that replicas tell each other.

use super::ClickHouse;
use crate::told::{MAX_NAME, MAX_VALUE, Row as ToldRow};
use clickhouse::Row;
use clickhouse::error::Error;
use serde::{Deserialize, Serialize};

/// Rows of an answer.
pub(crate) const PAGE: usize = 1_000;

#[derive(Row, Serialize)]
struct Inserted {
    kind: String,
    name: String,
    replica: String,
    value: String,
}

/// A row of another replica.
#[derive(Row, Deserialize)]
struct Found {
    kind: String,
    name: String,
    replica: String,
    value: String,
    /// Unix milliseconds, by the clock of the server.
    at: i64,
}

/// A place in the order of what was told: the time in Unix milliseconds, kind, key and replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) at: i64,
    kind: String,
    name: String,
    replica: String,
}

#[derive(Row, Deserialize)]
struct Number {
    number: i64,
}

impl Place {
    /// The first place at a time.
    pub(crate) fn at(at: i64) -> Self {
        Self { at, ..Self::default() }
    }
}

impl ClickHouse {
    /// The time of the server, in Unix milliseconds.
    pub(crate) async fn now(&self) -> Result<i64, Error> {
        let now = "SELECT toUnixTimestamp64Milli(now64(3)) AS number";
        Ok(self.client.query_raw(now).fetch_one::<Number>().await?.number)
    }

    /// Whether a replica has told anything.
    pub(crate) async fn knows(&self, replica: &str) -> Result<bool, Error> {
        let any = "SELECT toInt64(count()) AS number FROM told WHERE replica = ?";
        Ok(self.client.query(any).bind(replica).fetch_one::<Number>().await?.number > 0)
    }

    /// Inserts rows that a replica tells. Each takes the place of the one that it has told before under the same key.
    pub(crate) async fn tell(&self, replica: &str, rows: &[ToldRow]) -> Result<(), Error> {
        let inserted = |ToldRow { kind, name, value, .. }: ToldRow| {
            let replica = replica.to_owned();
            Inserted { kind, name, replica, value }
        };
        let rows: Vec<_> = rows.iter().cloned().map(inserted).collect();
        self.insert("told", &rows).await
    }

    /// A page of what all other replicas have told of a kind, by key.
    pub(crate) async fn told_of(
        &self,
        replica: &str,
        kind: &str,
        after: &Place,
    ) -> Result<Vec<(Place, ToldRow)>, Error> {
        let page = format!(
            "SELECT {COLUMNS} FROM told FINAL WHERE {FITTING} AND kind = ? AND replica != ? AND (name, replica) > (?, ?)
             ORDER BY name, replica LIMIT {PAGE}"
        );
        let page = self.client.query(&page).bind(kind).bind(replica).bind(&after.name).bind(&after.replica);
        Ok(page.fetch_all::<Found>().await?.into_iter().map(Found::split).collect())
    }

    /// A page of what other replicas have told after a place, by time.
    pub(crate) async fn told_after(
        &self,
        replica: &str,
        after: &Place,
    ) -> Result<Vec<(Place, ToldRow)>, Error> {
        let at = after.at;
        let page = format!(
            "SELECT {COLUMNS} FROM told
             WHERE {FITTING} AND told.at >= fromUnixTimestamp64Milli(toInt64({at})) AND replica != ?
               AND (toUnixTimestamp64Milli(told.at), kind, name, replica) > (toInt64({at}), ?, ?, ?)
             ORDER BY told.at, kind, name, replica LIMIT {PAGE}"
        );
        let page = self.client.query(&page).bind(replica);
        let page = page.bind(&after.kind).bind(&after.name).bind(&after.replica);
        Ok(page.fetch_all::<Found>().await?.into_iter().map(Found::split).collect())
    }
}

/// Values that are too long for any replica of ours are not fetched, and the row is refused when it is merged.
const COLUMNS: &str = "kind, name, replica, if(length(told.value) > 1048576, '', told.value) AS value,
    toUnixTimestamp64Milli(told.at) AS at";
const FITTING: &str = "length(name) <= 16384 AND length(replica) <= 64";
const _: () = assert!(MAX_NAME == 16_384 && MAX_VALUE == 1_048_576);

impl Found {
    fn split(self) -> (Place, ToldRow) {
        let Self { kind, name, replica, value, at } = self;
        let row = ToldRow { kind: kind.clone(), name: name.clone(), value, replica: replica.clone() };
        (Place { at, kind, name, replica }, row)
    }
}
