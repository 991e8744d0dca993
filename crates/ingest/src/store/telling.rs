//! The writers' side of the rows that replicas tell each other (`crate::told`).

use super::StoreError;
use super::metrics::Metrics;
use super::patterns as stored;
use super::requests::Requests;
use super::writer::Telling;
use crate::model::ConsumerKey;
use crate::told::journal::{self, Merged, Past, Untold};
use crate::told::{Fields, Pace, Row, kinds};
use std::collections::HashMap;
use std::sync::Arc;

impl Metrics {
    /// Does what is asked for at `now`, in Unix nanoseconds.
    pub(super) fn telling(&mut self, order: Telling, now: i64) {
        match order {
            Telling::Begin(past, reply) => drop(reply.send(self.begin_telling(past))),
            Telling::Untold(pace, reply) => {
                drop(reply.send(journal::untold(&self.connection, kinds::COUNTERS, pace)));
            }
            Telling::Settle(ids, reply) => drop(reply.send(journal::settle(&mut self.connection, &ids))),
            Telling::Take(rows, reply) => drop(reply.send(self.take_told(&rows, now))),
        }
    }

    pub(super) fn begin_telling(&mut self, past: Past) -> Result<(), StoreError> {
        journal::begin(&mut self.connection, kinds::COUNTERS, past)?;
        self.is_telling = true;
        Ok(())
    }

    fn take_told(&mut self, rows: &[Row], now: i64) -> Result<Merged, StoreError> {
        let Self { connection, consumers, patterns, series, releases, .. } = self;
        let (mut counted, mut learned) = (Vec::new(), HashMap::new());
        let done = journal::merge(connection, kinds::COUNTERS, rows, now, |transaction, merged| {
            for (kind, fields) in merged {
                if kind.name == kinds::CONSUMERS.name {
                    counted.push((consumer(&fields), fields.integer("last_seen")));
                } else if kind.name == kinds::PATTERNS.name {
                    let scope = kinds::scope(&fields);
                    if let Some(all) = stored::load_of(transaction, &scope)? {
                        let in_force = patterns.get(&scope);
                        if in_force.is_none_or(|known| known.text != all.text) {
                            stored::fold(transaction, &scope, &all, series)?;
                        }
                        learned.insert(scope, Arc::new(all));
                    }
                }
            }
            Ok(())
        })?;
        counted.into_iter().for_each(|(key, last_seen)| consumers.merged(key, last_seen));
        learned.into_iter().for_each(|(scope, all)| patterns.put(scope, all));
        if done.kinds.contains(kinds::RELEASES.name) {
            releases.forget();
        }
        Ok(done)
    }
}

/// Stands for the changes of other days.
const OF_OTHER_DAYS: i64 = 0;

impl Requests {
    /// Does what is asked for at `now`, in Unix nanoseconds.
    pub(super) fn telling(&mut self, order: Telling, now: i64) {
        match order {
            Telling::Begin(past, reply) => drop(reply.send(self.begin_telling(past))),
            Telling::Untold(pace, reply) => drop(reply.send(self.untold(pace))),
            Telling::Settle(ids, reply) => {
                if let Some(left) = self.left.as_mut().filter(|_| ids.contains(&OF_OTHER_DAYS)) {
                    left.clear();
                }
                drop(reply.send(journal::settle(&mut self.today, &ids)));
            }
            Telling::Take(rows, reply) => {
                let merged = journal::merge(&mut self.today, kinds::LOG, &rows, now, |_, _| Ok(()));
                drop(reply.send(merged));
            }
        }
    }

    fn begin_telling(&mut self, past: Past) -> Result<(), StoreError> {
        journal::begin(&mut self.today, kinds::LOG, past)?;
        // A file that cannot be read tells nothing; its faults are noted where its records are read.
        let others = self.others.values().filter_map(|file| journal::rows_of(file, kinds::LOG, past).ok());
        self.left = Some(others.flatten().collect());
        Ok(())
    }

    fn untold(&self, pace: Pace) -> Result<Untold, StoreError> {
        let mut untold = journal::untold(&self.today, kinds::LOG, pace)?;
        if let Some(left) = self.left.as_ref().filter(|left| !left.is_empty()) {
            untold.rows.extend(left.iter().cloned());
            untold.ids.push(OF_OTHER_DAYS);
        }
        Ok(untold)
    }

    /// What is left to tell when a day is over; `None` without a server.
    pub(super) fn untold_of_day(&mut self) -> Result<Option<Vec<Row>>, StoreError> {
        let Some(mut left) = self.left.take() else { return Ok(None) };
        left.extend(journal::rows_of(&self.today, kinds::LOG, Past::Told)?);
        Ok(Some(left))
    }

    /// Notes the changes of a file that was opened in the place of another one.
    pub(super) fn go_on_telling(&mut self, left: Option<Vec<Row>>) -> Result<(), StoreError> {
        if left.is_some() {
            journal::begin(&mut self.today, kinds::LOG, Past::Told)?;
        }
        self.left = left;
        Ok(())
    }
}

fn consumer(fields: &Fields) -> ConsumerKey {
    let text = |name: &str| fields.text(name).into();
    ConsumerKey {
        service: text("service"),
        environment: text("environment"),
        direction: text("direction"),
        id: text("id"),
    }
}
