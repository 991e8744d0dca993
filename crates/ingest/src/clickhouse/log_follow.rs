//! Requests that any replica has inserted, announced to those who follow them at this one.
//!
//! The server is asked for batches with a time of insertion since the last look, and a while before it: an insert has the time at
//! which it began, and clocks of servers differ. Batches that were announced are remembered for that while.

use super::ClickHouse;
use super::log::{Logged, columns};
use crate::clock;
use crate::model::{Columns, Gateway, RequestPart};
use crate::store::DataDir;
use clickhouse::Row;
use clickhouse::error::Error;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks while somebody follows.
const INTERVAL: Duration = Duration::from_millis(500);
/// Milliseconds by which an insert may be found late.
const OVERLAP: i64 = 15_000;
/// Requests that are announced after a look; others are passed over, and counted.
const MAX_REQUESTS: u64 = 5_000;
/// Bytes of rows after which no more are read.
const MAX_BYTES: usize = 32 << 20;

/// The part of a batch on one day, which is inserted as a whole.
#[derive(Row, Deserialize, Clone, Copy)]
struct Inserted {
    batch: u64,
    day: u32,
    requests: u64,
    /// Unix milliseconds.
    received_at: i64,
}

/// What is no news any more: by batch and day, the time of insertion.
type Known = HashMap<(u64, u32), i64>;

impl ClickHouse {
    /// Announces requests while somebody follows them, until the service ends.
    pub(crate) async fn keep_announcing(self: Arc<Self>, data: Arc<DataDir>) {
        let mut known = None;
        loop {
            tokio::time::sleep(INTERVAL).await;
            match data.news().followed_since() {
                None => known = None,
                Some(since) => {
                    if let Err(error) = self.announce(&data, since / 1_000_000, &mut known).await {
                        tracing::debug!(%error, "new requests are not known; asking again");
                    }
                }
            }
        }
    }

    /// Announces what was inserted since the last look; at the first one, since the time in Unix milliseconds at which somebody
    /// began to follow.
    async fn announce(&self, data: &DataDir, begun: i64, known: &mut Option<Known>) -> Result<(), Error> {
        let now = self.now().await?;
        // By the clock of the server, and rather too early than too late by the time of the answer.
        let begun = begun + now - clock::now() / 1_000_000;
        let is_first = known.is_none();
        let since = now - OVERLAP;
        // A look that fails leaves what the last one knew.
        let mut looked = known.clone().unwrap_or_default();
        looked.retain(|_, received_at| *received_at >= since - OVERLAP);
        let inserted = format!(
            "SELECT batch, day, requests, toUnixTimestamp64Milli(received) AS received_at
             FROM (
                 SELECT batch, toYYYYMMDD(time) AS day, count() AS requests, min(requests.received_at) AS received
                 FROM requests WHERE requests.received_at >= fromUnixTimestamp64Milli(toInt64({}))
                 GROUP BY batch, day
             )
             ORDER BY received, batch, day",
            since
        );
        let inserted = self.client.query_raw(&inserted).fetch_all::<Inserted>().await?;
        let is_old = |one: &Inserted| is_first && one.received_at < begun;
        let unknown = |one: &Inserted| !looked.contains_key(&(one.batch, one.day));
        let (mut shown, mut requests, mut passed_over) = (Vec::new(), 0, 0);
        // The latest are shown where there are too many.
        for one in inserted.iter().rev().filter(|one| unknown(one) && !is_old(one)) {
            requests += one.requests;
            match requests <= MAX_REQUESTS {
                true => shown.push(*one),
                false => passed_over += one.requests,
            }
        }
        shown.reverse();
        let parts = if shown.is_empty() { Vec::new() } else { self.parts(&shown).await? };
        looked.extend(inserted.iter().map(|one| ((one.batch, one.day), one.received_at)));
        *known = Some(looked);
        data.news().pass_over(passed_over);
        parts.iter().for_each(|part| data.news().announce(part));
        Ok(())
    }

    /// The requests of some batches, by batch and sender.
    async fn parts(&self, new: &[Inserted]) -> Result<Vec<RequestPart>, Error> {
        let keys: Vec<String> = new.iter().map(|one| format!("({},{})", one.batch, one.day)).collect();
        let earliest = new.iter().map(|one| one.received_at).min().unwrap_or_default();
        let statement = format!(
            "SELECT {} FROM requests
             WHERE received_at >= fromUnixTimestamp64Milli(toInt64({earliest})) AND (batch, toYYYYMMDD(time)) IN ({})
             ORDER BY batch, place",
            columns(),
            keys.join(",")
        );
        let (rows, _) = self.fetch_rows(&statement, &[], MAX_BYTES).await?;
        let places: HashMap<u64, usize> = new.iter().map(|one| one.batch).zip(0..).collect();
        let (mut parts, mut seen) = (Vec::<(usize, RequestPart)>::new(), HashSet::new());
        for Logged { batch, place, event, sender } in rows {
            if !seen.insert((batch, place)) {
                continue;
            }
            let order = places.get(&batch).copied().unwrap_or_default();
            let is_same = |gateway: &Gateway| {
                *gateway.instance == *sender.gateway
                    && gateway.service == sender.service
                    && gateway.environment == sender.environment
            };
            match parts.last_mut() {
                Some((last, part)) if *last == order && is_same(&part.gateway) => {
                    part.events.push_event(&event)
                }
                _ => {
                    let gateway = Gateway {
                        instance: sender.gateway.to_string(),
                        service: sender.service,
                        environment: sender.environment,
                        ..Gateway::default()
                    };
                    parts.push((order, RequestPart { gateway, events: Columns::of(&[event]) }));
                }
            }
        }
        parts.sort_by_key(|(order, _)| *order);
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }
}
