//! Orders to forget for all replicas, in the table of rows that they tell. No replica merges these rows.

use super::super::{ClickHouse, quoted};
use crate::store::{Selection, StoreError};
use crate::told::Row as ToldRow;
use clickhouse::Row;
use clickhouse::error::Error;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;

/// Kinds of rows: an order; that a replica has carried it out; that there is a replica.
const ORDER: &str = "forget_order";
const DONE: &str = "forget_done";
const REPLICA: &str = "replica";
/// Time for which an order waits for replicas that are away, and for which a replica that is away is waited for.
const WAITS: &str = "INTERVAL 1 DAY";
const WAITS_MILLIS: i64 = 86_400_000;
/// Time since it was last noted after which a replica does not run.
const RUNS: &str = "INTERVAL 3 MINUTE";

/// What replicas must forget.
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) selection: Selection,
}

#[derive(Row, Deserialize)]
struct Found {
    name: String,
    value: String,
}

impl ClickHouse {
    /// Orders all replicas to forget something.
    pub(crate) async fn order(&self, selection: &Selection) -> Result<(), Error> {
        let mut bytes = [0; 8];
        let random =
            SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers".into());
        random.map_err(Error::Other)?;
        let value = serde_json::to_string(selection).map_err(|error| Error::Other(error.into()))?;
        self.tell("", &[row(ORDER, &data_encoding::HEXLOWER.encode(&bytes), value)]).await
    }

    /// All orders that wait for some replica. One of a later version is left to those that can read it.
    pub(crate) async fn orders(&self) -> Result<Vec<Order>, Error> {
        let orders = format!("SELECT name, value FROM told FINAL WHERE kind = '{ORDER}' ORDER BY name");
        let found = self.client.query(&orders).fetch_all::<Found>().await?;
        let orders = found.into_iter().filter_map(|Found { name, value }| {
            let selection = serde_json::from_str(&value).ok()?;
            Some(Order { id: serde_json::from_str::<[String; 1]>(&name).ok()?.concat(), selection })
        });
        Ok(orders.collect())
    }

    /// Notes that there is a replica, for which orders wait.
    pub(crate) async fn note_replica(&self, replica: &str) -> Result<(), Error> {
        self.tell(replica, &[row(REPLICA, replica, "{}".to_owned())]).await
    }

    /// Notes that a replica has carried out an order.
    pub(crate) async fn carried_out(&self, order: &str, replica: &str) -> Result<(), Error> {
        self.tell(replica, &[row(DONE, order, "{}".to_owned())]).await
    }

    /// Whether a replica has carried out an order.
    pub(crate) async fn has_carried_out(&self, order: &str, replica: &str) -> Result<bool, Error> {
        let any = format!("SELECT 1 FROM told WHERE kind = '{DONE}' AND name = ? AND replica = ? LIMIT 1");
        let any = self.client.query(&any).bind(name(order)).bind(replica);
        Ok(any.fetch_optional::<u8>().await?.is_some())
    }

    /// Whether all replicas have carried out an order that ran within the last day.
    pub(crate) async fn is_carried_out(&self, order: &str) -> Result<bool, Error> {
        self.is_done(order, WAITS).await
    }

    /// Whether all replicas have that run.
    pub(crate) async fn is_carried_out_by_running(&self, order: &str) -> Result<bool, Error> {
        self.is_done(order, RUNS).await
    }

    async fn is_done(&self, order: &str, by: &str) -> Result<bool, Error> {
        let missing = format!(
            "SELECT count() FROM told WHERE kind = '{REPLICA}' AND told.at > now64(3) - {by}
             AND replica NOT IN (SELECT replica FROM told WHERE kind = '{DONE}' AND name = ?)"
        );
        Ok(self.client.query(&missing).bind(name(order)).fetch_one::<u64>().await? == 0)
    }

    /// Removes an order with what replicas have noted about it.
    pub(crate) async fn remove_order(&self, order: &str) -> Result<(), StoreError> {
        let name = quoted(&name(order));
        self.remove_told(&format!("kind IN ('{ORDER}', '{DONE}') AND name = {name}")).await
    }

    /// Removes what not all replicas have carried out within a day.
    pub(crate) async fn remove_old_orders(&self) -> Result<(), StoreError> {
        let until = self.now().await?.saturating_sub(WAITS_MILLIS);
        let old = format!("at < fromUnixTimestamp64Milli(toInt64({until}))");
        self.remove_told(&format!("kind IN ('{ORDER}', '{DONE}') AND {old}")).await
    }
}

fn name(id: &str) -> String {
    serde_json::Value::from(vec![id]).to_string()
}

fn row(kind: &str, id: &str, value: String) -> ToldRow {
    ToldRow { kind: kind.to_owned(), name: name(id), value, replica: String::new() }
}
