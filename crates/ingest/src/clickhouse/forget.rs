//! Forgetting counts: of an instance, an environment or a consumer, for all replicas.
//!
//! Rows of series go as they are. Rows of classes of series, which leave the consumer or the route out, are made anew of the series
//! that are left. What a stream has reported goes into its state, so that it does not count again with its next report.

use super::close::{all_largest, all_plain, class_sums};
use super::schema::altered;
use super::series::{COLUMNS, Parts, Series, SeriesRow, id_of};
use super::snapshot::Snapshot;
use super::totals::Gone;
use super::{ClickHouse, quoted};
use crate::clock;
use crate::model::SeriesKey;
use crate::store::{Deed, Forgotten, Selection, StoreError};
use clickhouse::error::Error;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Time for the server to remove rows: it writes whole parts anew.
const REMOVAL_SECONDS: &str = "600";

/// Blocks before the last closed one for which late reports are expected: an hour.
const LATE_BLOCKS: u32 = 6;

/// What goes.
struct Doomed {
    /// The numbers of series.
    series: Vec<u64>,
    /// A condition on their rows, in SQL.
    rows: String,
    /// One on the rows of their classes.
    classes: String,
    /// The numbers of classes that lose rows, and of series in them that stay.
    reduced: Vec<u64>,
    mates: Vec<u64>,
    /// A further condition on all rows, in SQL.
    instance: String,
}

/// A condition on numbers. A mutation of a replicated table may have no question within.
fn one_of(column: &str, numbers: &[u64]) -> String {
    match numbers {
        [] => "0".to_owned(),
        some => {
            let texts: Vec<String> = some.iter().map(u64::to_string).collect();
            format!("{column} IN ({})", texts.join(","))
        }
    }
}

impl Doomed {
    fn of(all: &[Series], Selection { instance, environment, consumer }: &Selection) -> Self {
        let instance = match instance {
            Some(instance) => format!(" AND instance = {}", quoted(instance)),
            None => String::new(),
        };
        let is_doomed = |series: &&Series| {
            environment.as_ref().is_none_or(|environment| **environment == *series.key.environment)
                && consumer.as_ref().is_none_or(|consumer| **consumer == *series.key.consumer)
        };
        let doomed: Vec<&Series> = all.iter().filter(is_doomed).collect();
        let series: Vec<u64> = doomed.iter().map(|series| series.id).collect();
        if environment.is_none() && consumer.is_none() {
            let rows = format!("1{instance}");
            return Self {
                series,
                classes: rows.clone(),
                rows,
                reduced: Vec::new(),
                mates: Vec::new(),
                instance,
            };
        }
        let classes = |series: &Series| (0u8..).zip(series.classes());
        let reduced: HashSet<(u8, u64)> = doomed.iter().flat_map(|series| classes(series)).collect();
        let mates = all.iter().filter(|series| !is_doomed(series));
        let mates = mates.filter(|series| classes(series).any(|class| reduced.contains(&class)));
        let mates = mates.map(|series| series.id).collect();
        let reduced: Vec<u64> =
            reduced.iter().map(|(_, id)| *id).collect::<BTreeSet<_>>().into_iter().collect();
        Self {
            rows: format!("{}{instance}", one_of("series", &series)),
            classes: format!("{}{instance}", one_of("series", &reduced)),
            series,
            reduced,
            mates,
            instance,
        }
    }
}

impl ClickHouse {
    /// Removes the counts that a selection takes, or counts them. Returns the series and the requests that go; they are gone when this
    /// returns. What is reported meanwhile may stay.
    pub(crate) async fn forget_counts(
        &self,
        selection: &Selection,
        deed: Deed,
    ) -> Result<Forgotten, StoreError> {
        let snapshot = Snapshot::of(self).await?;
        let doomed = Doomed::of(&snapshot.series, selection);
        let rows = &doomed.rows;
        let recent = snapshot.recent("");
        let counted = format!(
            "SELECT uniqExact(series) AS of_series, sum(requests) AS of_requests FROM (
                 SELECT series, requests FROM half_hours FINAL WHERE kind = 0 AND {rows}
                 UNION ALL SELECT series, requests FROM changes FINAL WHERE {rows}
                 UNION ALL SELECT series, requests FROM ({recent}) WHERE {rows}
             ) WHERE requests > 0"
        );
        let (of_series, of_requests) = self.client.query_raw(&counted).fetch_one::<(u64, u64)>().await?;
        let forgotten =
            Forgotten { series: of_series, requests_counted: of_requests, ..Forgotten::default() };
        let is_nothing = doomed.series.is_empty() && self.ended_series().await?.is_empty();
        if deed == Deed::Count || is_nothing {
            return Ok(forgotten);
        }
        self.note_forgotten(Gone::Begins).await?;
        self.forget_totals(selection, &doomed).await?;
        self.settle(&doomed).await?;
        for table in ["reported", "changes", "ended"] {
            self.remove(table, rows).await?;
        }
        for table in ["minutes", "half_hours"] {
            let condition = format!("kind = 0 AND {rows} OR kind > 0 AND {}", doomed.classes);
            self.remove(table, &condition).await?;
            self.restore_classes(table, &doomed).await?;
        }
        // They are added up again.
        self.remove("days", "1").await?;
        self.remove_series(selection, &doomed).await?;
        self.note_forgotten(Gone::Counts).await?;
        self.refresh_series().await?;
        Ok(forgotten)
    }

    /// Takes what streams have reported out of the totals, and the totals of a consumer or an environment. The counts of a consumer stay
    /// without its name, as they are in sums that must not fall. Changes that are in totals do not know who counted them.
    async fn forget_totals(&self, selection: &Selection, doomed: &Doomed) -> Result<(), StoreError> {
        let Selection { instance, environment, consumer } = selection;
        if instance.is_some() || (environment.is_none() && consumer.is_none()) {
            return Ok(self.rebase(&doomed.rows).await?);
        }
        let all = Arc::clone(&self.series().all);
        let ended = self.ended_series().await?;
        let gone = Doomed::of(&ended, selection).series;
        let totals: Vec<u64> = doomed.series.iter().chain(&gone).copied().collect();
        if consumer.is_some() {
            let named = all.iter().chain(&ended).filter(|series| totals.contains(&series.id));
            let nameless =
                named.map(|series| (series.id, SeriesKey { consumer: Arc::default(), ..series.key.clone() }));
            let nameless: Vec<(u64, SeriesKey)> = nameless.collect();
            let (from, to): (Vec<u64>, Vec<u64>) = nameless.iter().map(|(id, key)| (*id, id_of(key))).unzip();
            let rows: Vec<_> = nameless.iter().map(|(_, key)| SeriesRow::of(id_of(key), key, 0)).collect();
            self.insert("ended_series", &rows).await?;
            let mut source = Parts::default();
            source.text("forgotten");
            from.iter().for_each(|id| source.number(*id));
            source.number(clock::now() as u64);
            self.move_totals(&from, &to, source.hash()).await?;
        }
        self.rebase(&one_of("series", &doomed.series)).await?;
        self.remove("totals", &one_of("series", &totals)).await?;
        // Those that have expired still have a row.
        self.remove("series", &one_of("id", &gone)).await?;
        self.remove("ended_series", &one_of("id", &gone)).await
    }

    /// Takes what streams have reported into their states, from which the next report counts on.
    async fn settle(&self, Doomed { rows, .. }: &Doomed) -> Result<(), StoreError> {
        loop {
            let closed = self.closed_before(u32::MAX).await?;
            // The block that is closed next carries its states on from this one, and may be under way; one that is closed again for
            // a late report takes those of the block before.
            let first = closed.saturating_sub(LATE_BLOCKS);
            let (names, largest) = (all_plain(), all_largest());
            // The first block, when it is closed again, takes those of block 0.
            let next = first.max(1)..=closed.saturating_add(u32::from(closed > 0));
            for block in std::iter::once(0).chain(next) {
                let settle = format!(
                    "INSERT INTO states (block, stream, sender, series, instance, last_minute, {names})
                     SELECT {block}, stream, any(sender), any(series), any(instance), max(last_minute), {largest}
                     FROM (
                         SELECT stream, sender, series, instance, minute AS last_minute, {names} FROM reported WHERE {rows}
                         UNION ALL
                         SELECT stream, sender, series, instance, last_minute, {names} FROM states
                         WHERE block = {closed} AND {rows}
                     )
                     GROUP BY stream"
                );
                self.removing(&settle).await?;
            }
            if self.closed_before(u32::MAX).await? == closed {
                return Ok(());
            }
        }
    }

    /// Adds up the classes that have lost rows from the series that are left.
    async fn restore_classes(&self, table: &str, doomed: &Doomed) -> Result<(), StoreError> {
        let Doomed { mates, reduced, instance, .. } = doomed;
        if mates.is_empty() {
            return Ok(());
        }
        let rows = format!("{}{instance}", one_of("series", mates));
        let restore = class_sums(table, &rows, &one_of("id", mates), &one_of("class.2", reduced));
        Ok(self.removing(&restore).await?)
    }

    /// Removes the rows of series that have no counts any more, and the names of instances.
    async fn remove_series(
        &self,
        selection: &Selection,
        Doomed { series, .. }: &Doomed,
    ) -> Result<(), StoreError> {
        let mut gone = series.clone();
        if let Some(instance) = &selection.instance {
            self.remove("instances", &format!("name = {}", quoted(instance))).await?;
            let left = "SELECT DISTINCT series AS number FROM (
                SELECT series FROM half_hours WHERE kind = 0 UNION ALL SELECT series FROM minutes WHERE kind = 0
                UNION ALL SELECT series FROM changes UNION ALL SELECT series FROM reported)";
            let left: HashSet<u64> = self.client.query_raw(left).fetch_all().await?.into_iter().collect();
            gone.retain(|series| !left.contains(series));
            // What others have counted long ago stays in totals.
            let end = format!(
                "INSERT INTO ended_series ({COLUMNS}, added_at) SELECT {COLUMNS}, added_at FROM series WHERE {}",
                one_of("id", &gone)
            );
            self.removing(&end).await?;
        }
        self.remove("series", &one_of("id", &gone)).await
    }

    /// Removes rows of a table, on all replicas of it.
    pub(super) async fn remove(&self, table: &str, condition: &str) -> Result<(), StoreError> {
        if condition == "0" {
            return Ok(());
        }
        let table = altered(&self.client, table).await?;
        Ok(self.removing(&format!("ALTER TABLE {table} DELETE WHERE {condition}")).await?)
    }

    async fn removing(&self, statement: &str) -> Result<(), Error> {
        let statement = self.client.query_raw(statement).with_setting("mutations_sync", "2");
        statement.with_setting("max_execution_time", REMOVAL_SECONDS).execute().await
    }
}
