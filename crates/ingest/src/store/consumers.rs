//! Consumers in the file of counters: when they were first and last counted, their names and groups.

use super::StoreError;
use crate::model::{ConsumerKey, ConsumerLabel, Labelled, SeriesKey};
use rusqlite::{Connection, Transaction, params};
use std::collections::{BTreeMap, HashMap};

const MINUTE_NANOS: i64 = 60_000_000_000;

/// Most consumers of all services. Further ones are counted, and have neither a name nor a row here.
const MAX_CONSUMERS: usize = 100_000;

/// All consumers, each with the last Unix minute that its row has; only ever ahead of the file within a transaction.
#[derive(Debug, Default)]
pub(super) struct Consumers(HashMap<ConsumerKey, i64>);

/// The consumers that a batch counts, each with its last Unix minute.
pub(super) type Counted = BTreeMap<ConsumerKey, i64>;

impl Consumers {
    pub(super) fn load(file: &Connection) -> Result<Self, StoreError> {
        let mut select =
            file.prepare("SELECT service, environment, direction, id, last_seen FROM consumers")?;
        let rows = select.query_map([], |row| {
            let key = ConsumerKey {
                service: row.get(0)?,
                environment: row.get(1)?,
                direction: row.get(2)?,
                id: row.get(3)?,
            };
            Ok((key, row.get::<_, i64>(4)? / MINUTE_NANOS))
        })?;
        Ok(Self(rows.collect::<Result<_, _>>()?))
    }

    /// Adds the consumer of a series to those that a batch counts, if its row does not show that minute yet.
    pub(super) fn add(&self, counted: &mut Counted, series: &SeriesKey, minute: i64) {
        let Some(key) = ConsumerKey::of_series(series) else { return };
        match self.0.get(&key) {
            Some(known) if *known >= minute => {}
            None if self.0.len() + counted.len() >= MAX_CONSUMERS => {}
            _ => {
                let last = counted.entry(key).or_insert(minute);
                *last = minute.max(*last);
            }
        }
    }

    /// Stores the names and groups that are newer than those that are known. A sender's clock that runs ahead of `now`
    /// (Unix nanoseconds) must not keep later ones out.
    pub(super) fn put_labels(
        &mut self,
        file: &Connection,
        labelled: &Labelled,
        now: i64,
    ) -> Result<(), StoreError> {
        let mut put = file.prepare_cached(
            "INSERT INTO consumers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?7)
             ON CONFLICT DO UPDATE SET
               name = iif(excluded.name = '', name, excluded.name),
               grp = iif(excluded.grp = '', grp, excluded.grp),
               labelled_at = excluded.labelled_at
             WHERE excluded.labelled_at >= labelled_at",
        )?;
        for (key, (time, ConsumerLabel { name, group })) in labelled {
            let time = *time.min(&now);
            if self.0.contains_key(key) || self.0.len() < MAX_CONSUMERS {
                put.execute(params![key.service, key.environment, key.direction, key.id, name, group, time])?;
                self.0.entry(key.clone()).or_insert(time / MINUTE_NANOS);
            }
        }
        Ok(())
    }

    /// Takes over a row that was merged.
    pub(super) fn merged(&mut self, key: ConsumerKey, last_seen: i64) {
        let minute = last_seen.div_euclid(MINUTE_NANOS);
        let last = self.0.entry(key).or_insert(minute);
        *last = minute.max(*last);
    }

    /// Takes over what a transaction has committed.
    pub(super) fn committed(&mut self, counted: Counted) {
        self.0.extend(counted);
    }
}

/// Notes when consumers were counted.
pub(super) fn note_counted(transaction: &Transaction<'_>, counted: &Counted) -> Result<(), StoreError> {
    let mut note = transaction.prepare_cached(
        "INSERT INTO consumers VALUES (?1, ?2, ?3, ?4, '', '', 0, ?5, ?5)
         ON CONFLICT DO UPDATE SET
           first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)",
    )?;
    for (ConsumerKey { service, environment, direction, id }, minute) in counted {
        note.execute(params![service, environment, direction, id, minute.saturating_mul(MINUTE_NANOS)])?;
    }
    Ok(())
}
