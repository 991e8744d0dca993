//! Series under numbers that follow from what they are, so that replicas need not agree on them.

use super::ClickHouse;
use super::close::first_minute;
use super::snapshot::{list, rows_of};
use super::totals::Gone;
use crate::error::QueryError;
use crate::model::{Scope, SeriesKey};
use crate::patterns::folded;
use crate::store::StoreError;
use crate::store::narrow::Without;
use clickhouse::Row;
use clickhouse::error::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Seconds by which the clocks of servers may differ, and an insert may take: what was added since is asked for again.
const MARGIN_SECONDS: i64 = 600;

/// The numbers of series that are not known any more although they have a row, because they had no counts left. One that is counted
/// again gets another row.
pub(super) const EXPIRED: &str = "SELECT id FROM (
        SELECT id, added_at, toDateTime64(0, 3) AS expired FROM series
        WHERE id IN (SELECT id FROM ended_series WHERE expired_at > toDateTime64(0, 3))
        UNION ALL
        SELECT id, toDateTime64(0, 3) AS added_at, expired_at AS expired FROM ended_series WHERE expired_at > toDateTime64(0, 3)
    ) GROUP BY id HAVING max(added_at) <= max(expired)";
/// Blocks in which a series that has just expired may be counted: two hours.
const BLOCKS_LOOKED_AT: u32 = 12;
/// The columns of a row that say which series it is.
pub(super) const COLUMNS: &str = "id, service, environment, version, direction, consumer, method, route, route_source, host, upstream_cluster,
    status, grpc_status, error_type, overflow, place, without_both, without_consumer, without_route";

/// Stands for "no gRPC status", as in the embedded store.
const NO_GRPC_STATUS: i16 = -1;

/// What a replica knows of the table of series, which only grows.
#[derive(Default)]
pub(super) struct Known {
    /// In the order in which they became known: their places are those of a question's groups.
    pub(super) all: Arc<Vec<Series>>,
    ids: HashSet<u64>,
    instances: HashSet<String>,
    /// The latest `added_at`, in milliseconds.
    latest: i64,
    /// How often something was forgotten, so that series may be gone.
    pub(super) forgotten: u64,
    /// Some have expired. That is noted as something forgotten, so it does not change in between.
    has_expired: bool,
}

/// A series and its number.
#[derive(Clone)]
pub(super) struct Series {
    pub(super) id: u64,
    /// The numbers of its classes: without consumer and route, without consumer, without route.
    classes: [u64; 3],
    pub(super) key: SeriesKey,
}

/// A row of `series`.
#[derive(Row, Serialize, Deserialize)]
pub(super) struct SeriesRow {
    id: u64,
    service: String,
    environment: String,
    version: String,
    direction: String,
    consumer: String,
    method: String,
    route: String,
    route_source: String,
    host: String,
    upstream_cluster: String,
    status: u16,
    grpc_status: i16,
    error_type: String,
    overflow: bool,
    place: u32,
    without_both: u64,
    without_consumer: u64,
    without_route: u64,
}

#[derive(Row, Serialize, Deserialize)]
struct Instance {
    name: String,
}

impl Known {
    /// Whether the table has it.
    pub(super) fn has(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn has_instance(&self, name: &str) -> bool {
        self.instances.contains(name)
    }

    /// Adds those of some series that are new, of which the latest was added at a time in milliseconds.
    fn add(&mut self, found: Vec<Series>, latest: i64) {
        let mut taken: HashSet<u64> = self.all.iter().map(|series| series.id).collect();
        let fresh: Vec<Series> = found.into_iter().filter(|series| taken.insert(series.id)).collect();
        self.ids.extend(fresh.iter().map(|series| series.id));
        if !fresh.is_empty() {
            Arc::make_mut(&mut self.all).extend(fresh);
        }
        self.latest = self.latest.max(latest);
    }
}

impl SeriesRow {
    pub(super) fn of(id: u64, key: &SeriesKey, place: usize) -> Self {
        Self {
            id,
            place: u32::try_from(place).unwrap_or(u32::MAX),
            without_both: id_of(&Without::ConsumerAndRoute.class(key)),
            without_consumer: id_of(&Without::Consumer.class(key)),
            without_route: id_of(&Without::Route.class(key)),
            service: key.service.to_string(),
            environment: key.environment.to_string(),
            version: key.version.to_string(),
            direction: key.direction.to_string(),
            consumer: key.consumer.to_string(),
            method: key.method.to_string(),
            route: key.route.to_string(),
            route_source: key.route_source.to_string(),
            host: key.host.to_string(),
            upstream_cluster: key.upstream_cluster.to_string(),
            status: key.status,
            grpc_status: key.grpc_status.map_or(NO_GRPC_STATUS, i16::from),
            error_type: key.error_type.to_string(),
            overflow: key.overflow,
        }
    }

    pub(super) fn into_series(self) -> Series {
        let key = SeriesKey {
            service: self.service.into(),
            environment: self.environment.into(),
            version: self.version.into(),
            direction: self.direction.into(),
            consumer: self.consumer.into(),
            method: self.method.into(),
            route: self.route.into(),
            route_source: self.route_source.into(),
            host: self.host.into(),
            upstream_cluster: self.upstream_cluster.into(),
            status: self.status,
            grpc_status: u8::try_from(self.grpc_status).ok(),
            error_type: self.error_type.into(),
            overflow: self.overflow,
        };
        let classes = [self.without_both, self.without_consumer, self.without_route];
        Series { id: self.id, classes, key }
    }
}

impl Series {
    /// The numbers of its classes.
    pub(super) fn classes(&self) -> [u64; 3] {
        self.classes
    }

    /// The number of its class, or of itself.
    pub(super) fn class(&self, without: Option<Without>) -> u64 {
        let [both, consumer, route] = self.classes;
        match without {
            None => self.id,
            Some(Without::ConsumerAndRoute) => both,
            Some(Without::Consumer) => consumer,
            Some(Without::Route) => route,
        }
    }
}

/// The number of what rows of sums are about.
pub(super) fn kind_of(without: Option<Without>) -> u8 {
    match without {
        None => 0,
        Some(Without::ConsumerAndRoute) => 1,
        Some(Without::Consumer) => 2,
        Some(Without::Route) => 3,
    }
}

/// The number of a series.
pub(super) fn id_of(key: &SeriesKey) -> u64 {
    let mut parts = Parts::default();
    let mut key = key.clone();
    key.texts().into_iter().for_each(|text| parts.text(text));
    parts.number(key.status.into());
    parts.number(key.grpc_status.map_or(u64::MAX, u64::from));
    parts.number(key.overflow.into());
    parts.hash()
}

/// A hash of 64 bits over several parts, the same on all machines and in all versions.
#[derive(Default)]
pub(super) struct Parts(Sha256);

impl Parts {
    /// Adds a text, apart from its neighbours.
    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn hash(self) -> u64 {
        let digest = self.0.finalize();
        digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }
}

impl ClickHouse {
    /// Inserts series and instances that this replica has not seen before. Others may have.
    pub(super) async fn add_series(
        &self,
        rows: &[SeriesRow],
        instances: &HashSet<String>,
    ) -> Result<(), StoreError> {
        self.insert("series", rows).await?;
        let names: Vec<_> = instances.iter().map(|name| Instance { name: name.clone() }).collect();
        self.insert("instances", &names).await?;
        let mut known = self.series();
        known.instances.extend(instances.iter().cloned());
        // Their places follow when they are read.
        known.ids.extend(rows.iter().map(|row| row.id));
        Ok(())
    }

    /// Reads the series that were added since the last look; all, after some were forgotten. Returns all, and how often something
    /// was forgotten before.
    pub(super) async fn refresh_series(&self) -> Result<(Arc<Vec<Series>>, u64), Error> {
        loop {
            // Before the rows: those that are added meanwhile are found again by the next look.
            let state = "SELECT assumeNotNull((SELECT count() FROM forgotten)) AS times, toUnixTimestamp64Milli(max(added_at)) AS latest FROM series";
            let (times, latest) = self.client.query_raw(state).fetch_one::<(u64, i64)>().await?;
            let known = {
                let known = self.series();
                (known.forgotten == times).then_some((known.latest, known.has_expired))
            };
            let is_whole = known.is_none();
            let (since, has_expired) = match known {
                Some((latest, has_expired)) => (latest.saturating_sub(MARGIN_SECONDS * 1000), has_expired),
                None => (0, self.has_rows("ended_series WHERE expired_at > toDateTime64(0, 3)").await?),
            };
            let only = match has_expired {
                true => format!("AND id NOT IN ({EXPIRED})"),
                false => String::new(),
            };
            let mut cursor = self
                .client
                .query(&format!(
                    "SELECT ?fields FROM series WHERE toUnixTimestamp64Milli(added_at) >= ? {only} ORDER BY added_at, place, id"
                ))
                .bind(since)
                .fetch::<SeriesRow>()?;
            let mut found = Vec::new();
            while let Some(row) = cursor.next().await? {
                found.push(row.into_series());
            }
            let mut known = self.series();
            if known.forgotten != times && is_whole {
                *known = Known { forgotten: times, has_expired, ..Known::default() };
            }
            // Whoever has read all anew meanwhile knows more than these rows.
            if known.forgotten == times {
                known.add(found, latest);
                return Ok((Arc::clone(&known.all), times));
            }
        }
    }

    /// Lets all replicas give up series that have no counts left, of which nothing was heard for at least two days. Their rows stay.
    pub(super) async fn expire_series(&self) -> Result<(), Error> {
        let closed = self.closed_before(u32::MAX).await?;
        let expired = format!(
            "SELECT id FROM series WHERE id NOT IN ({EXPIRED}) AND id NOT IN (
                 SELECT series FROM half_hours WHERE kind = 0
                 UNION ALL SELECT series FROM minutes WHERE kind = 0
                 UNION ALL SELECT series FROM changes
                 UNION ALL SELECT series FROM states WHERE block = {closed}
                 UNION ALL SELECT series FROM reported
             ) GROUP BY id HAVING max(added_at) < now64(3) - INTERVAL 2 DAY"
        );
        let expired = self.client.query_raw(&expired).fetch_all::<u64>().await?;
        if expired.is_empty() {
            return Ok(());
        }
        tracing::info!(series = expired.len(), "series without counts are not known any more");
        let wanted = rows_of(&list(expired));
        let expire = format!(
            "INSERT INTO ended_series ({COLUMNS}, added_at, expired_at)
             SELECT {COLUMNS}, added_at, now64(3) FROM series WHERE id IN ({wanted}) ORDER BY added_at LIMIT 1 BY id"
        );
        self.client.query_raw(&expire).execute().await?;
        // Replicas read their series anew.
        self.note_forgotten(Gone::Series).await
    }

    /// Gives series that have expired a row again that were counted meanwhile by a replica which still knew them.
    pub(super) async fn return_series(&self) -> Result<(), Error> {
        let expired = self.client.query_raw(EXPIRED).fetch_all::<u64>().await?;
        if expired.is_empty() {
            return Ok(());
        }
        let expired = rows_of(&list(expired));
        let since = self.closed_before(u32::MAX).await?.saturating_sub(BLOCKS_LOOKED_AT);
        let minute = first_minute(since);
        let back = format!(
            "INSERT INTO series ({COLUMNS}) SELECT {COLUMNS} FROM ended_series WHERE id IN ({expired}) AND id IN (
                 SELECT series FROM reported WHERE block >= {since} UNION ALL SELECT series FROM changes WHERE minute >= {minute}
             ) LIMIT 1 BY id"
        );
        self.client.query_raw(&back).execute().await
    }

    /// A series under the route that it is shown with.
    pub(super) fn shown(&self, key: &SeriesKey) -> SeriesKey {
        let learned = self.patterns.get(&Scope::of_series(key));
        let route = learned.and_then(|learned| folded(key, &learned.patterns));
        match route {
            Some(route) => SeriesKey { route: route.into(), ..key.clone() },
            None => key.clone(),
        }
    }

    /// The names of all instances, under numbers for a question.
    pub(super) fn instance_names(&self) -> Result<HashMap<i64, String>, QueryError> {
        let names =
            self.client.query_raw("SELECT name FROM instances GROUP BY name ORDER BY min(added_at), name");
        let names = self.wait(names.fetch_all::<Instance>())?;
        Ok((1..).zip(names).map(|(id, instance)| (id, instance.name)).collect())
    }
}
