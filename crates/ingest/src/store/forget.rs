//! Removes what senders, environments or consumers have left in the files.
//!
//! Of an instance go the series that no other gateway has counted in. Those that it shares stay, and their number is in the
//! answer: of their counts go its own, as far back as counts are kept by gateway. The states of a gateway that still reports stay, so
//! that what was removed does not count again with its next report.

use super::instances::{UNKNOWN, known_since};
use super::metrics::Damaged;
use super::packed;
use super::rollups::{HALF_HOURS, MINUTES, take_out};
use super::{StoreError, chunk, minutes_since, releases, totals, uptime};
use crate::model::{Columns, RequestEvent, Scope};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, named_params};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Nanoseconds since its last report for which a gateway counts as at work.
pub(crate) const AT_WORK: i64 = 300_000_000_000;

/// The data to forget: all that has each of the given values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `service.instance.id` of a gateway.
    pub instance: Option<String>,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// ID of a consumer.
    pub consumer: Option<String>,
}

/// Whether data is removed, or only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Nothing changes.
    Count,
    /// The data goes.
    Remove,
}

/// Numbers of what goes, and of what stays although it was selected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Series that go.
    pub series: u64,
    /// Requests counted in them, and by the instance in series that stay.
    pub requests_counted: u64,
    /// Requests of the log.
    pub requests_logged: u64,
    /// Gateways, by epoch.
    pub gateways: u64,
    /// Consumers with name, group and times.
    pub consumers: u64,
    /// Scopes of learned routes.
    pub patterns: u64,
    /// Issues in which nobody else was seen.
    pub issues: u64,
    /// Shapes of bodies.
    #[serde(default)]
    pub shapes: u64,
    /// Spans of applications, of an environment as a whole.
    #[serde(default)]
    pub spans: u64,
    /// Series of the instance in which others have counted, too: they stay with the counts of the others, and with all
    /// counts from before counts were kept by gateway.
    pub shared_series: u64,
    /// Gateways that still report: they stay until they have been silent for five minutes.
    pub gateways_at_work: u64,
}

impl Selection {
    /// Whether nothing is given, which would be everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Only an environment as a whole has patterns to forget.
    pub(crate) fn whole_environment(&self) -> Option<&str> {
        self.environment.as_deref().filter(|_| self.instance.is_none() && self.consumer.is_none())
    }

    fn takes(&self, event: &RequestEvent) -> bool {
        self.consumer.as_ref().is_none_or(|consumer| *consumer == event.consumer)
    }
}

impl Forgotten {
    /// Adds what another file gave.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests_logged += other.requests_logged;
    }
}

/// Removes from the file of counters. `now` is in Unix nanoseconds. The scopes whose patterns went come with the numbers.
pub(super) fn counters(
    file: &mut Connection,
    selection: &Selection,
    deed: Deed,
    now: i64,
) -> Result<(Forgotten, Vec<Scope>), StoreError> {
    // What is removed is overwritten, and not only unlinked.
    file.pragma_update(None, "secure_delete", "ON")?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut done = Forgotten::default();
    select_gateways(&transaction, selection, now)?;
    let counted_by = match &selection.instance {
        Some(instance) => Some(CountedBy::find(&transaction, instance)?),
        None => None,
    };
    select_series(&transaction, selection, counted_by)?;
    let one = |question: &str| -> Result<u64, StoreError> {
        Ok(transaction.query_row(question, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    done.series = one("SELECT count(*) FROM temp.doomed_series")?;
    done.requests_counted = one(
        "SELECT coalesce(sum(requests), 0) FROM half_hours WHERE series_id IN (SELECT id FROM temp.doomed_series)",
    )?;
    done.shared_series = one("SELECT count(*) FROM temp.shared_series")?;
    let ids = |table: &str| -> Result<HashSet<i64>, StoreError> {
        let mut select = transaction.prepare(&format!("SELECT id FROM temp.{table}"))?;
        Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    packed::remove(&transaction, &ids("doomed_series")?)?;
    // Rows that are packed with others become rows of their own, of which each is changed. A damaged row that one of them is
    // added to begins anew.
    let mut damaged = Damaged::new();
    if let Some(CountedBy { row: Some(_), since, .. }) = counted_by {
        packed::release(&transaction, &ids("shared_series")?, (since, i64::MAX), &mut damaged)?;
    }
    for table in ["minutes", "half_hours", "gateway_minutes", "gateway_half_hours"] {
        transaction.execute_batch(&format!(
            "DELETE FROM {table} WHERE series_id IN (SELECT id FROM temp.doomed_series)"
        ))?;
    }
    if let Some(CountedBy { row: Some(row), since, .. }) = counted_by {
        let shared = "SELECT id FROM temp.shared_series";
        take_out(&transaction, &MINUTES, (row, since), shared)?;
        done.requests_counted += take_out(&transaction, &HALF_HOURS, (row, since), shared)?;
        // A series stays no longer than its counts.
        transaction.execute_batch(
            "UPDATE series SET last_counted = c.newest
             FROM (SELECT series_id, max(minute) AS newest FROM half_hours
                   WHERE series_id IN (SELECT id FROM temp.shared_series) GROUP BY series_id) AS c
             WHERE c.series_id = series.id",
        )?;
        let empty = "SELECT id FROM temp.shared_series
                     WHERE id NOT IN (SELECT series_id FROM half_hours) AND id NOT IN (SELECT series_id FROM minutes)";
        totals::end_all(&transaction, empty)?;
        transaction.execute_batch(&format!("DELETE FROM series WHERE id IN ({empty})"))?;
    }
    totals::forget(&transaction, selection)?;
    // SQLite may give an id again, and then no state may refer to it.
    transaction.execute_batch(
        "DELETE FROM series WHERE id IN (SELECT id FROM temp.doomed_series);
         UPDATE states SET series_id = 0 WHERE series_id NOT IN (SELECT id FROM series);",
    )?;
    if selection.consumer.is_none() {
        done.gateways = one("SELECT count(*) FROM temp.doomed_gateways WHERE NOT at_work")?;
        done.gateways_at_work = one("SELECT count(*) FROM temp.doomed_gateways WHERE at_work")?;
        remove_gateways(&transaction)?;
    }
    if selection.instance.is_none() {
        done.consumers = transaction.execute(
            "DELETE FROM consumers
             WHERE (:environment IS NULL OR environment = :environment) AND (:consumer IS NULL OR id = :consumer)",
            named_params! {":environment": selection.environment, ":consumer": selection.consumer},
        )? as u64;
    }
    if selection.consumer.is_none() {
        uptime::forget(&transaction, selection.instance.as_ref(), selection.environment.as_ref())?;
    }
    if selection.instance.is_none() && selection.environment.is_none() {
        // It is about all environments.
        transaction.execute("DELETE FROM directory WHERE id = ?", [&selection.consumer])?;
    }
    let mut scopes = Vec::new();
    if let Some(environment) = selection.whole_environment() {
        let mut removed = transaction.prepare(
            "DELETE FROM patterns WHERE environment = ? RETURNING service, environment, direction",
        )?;
        let rows = removed.query_map([environment], |row| {
            Ok(Scope { service: row.get(0)?, environment: row.get(1)?, direction: row.get(2)? })
        })?;
        scopes = rows.collect::<Result<_, _>>()?;
        drop(removed);
        transaction.execute("DELETE FROM pattern_places WHERE environment = ?", [environment])?;
        done.patterns = scopes.len() as u64;
        // The thread that learns them finds them gone.
        done.shapes = transaction.execute("DELETE FROM shapes WHERE environment = ?", [environment])? as u64;
        if super::has_elsewhere(&transaction)? {
            transaction.execute("DELETE FROM shapes_elsewhere WHERE environment = ?", [environment])?;
            // Others are not told of it, so that nothing names the environment any more.
            transaction
                .execute("DELETE FROM untold WHERE kind = 'shapes' AND key ->> 1 = ?", [environment])?;
        }
        for table in ["known_routes", "drift"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE environment = ?"), [environment])?;
        }
    }
    transaction.execute_batch(
        "DROP TABLE temp.doomed_series; DROP TABLE temp.shared_series; DROP TABLE temp.doomed_gateways;",
    )?;
    finish(transaction, deed)?;
    Ok((done, if deed == Deed::Remove { scopes } else { Vec::new() }))
}

/// Removes from a file of the request log. `now` is in Unix nanoseconds.
pub(super) fn requests(
    file: &mut Connection,
    selection: &Selection,
    deed: Deed,
    now: i64,
) -> Result<Forgotten, StoreError> {
    file.pragma_update(None, "secure_delete", "ON")?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut done = Forgotten::default();
    let mut select = transaction.prepare(
        "SELECT id, n FROM chunks
         WHERE (?1 IS NULL OR gateway = ?1) AND (?2 IS NULL OR environment = ?2)",
    )?;
    let chunks = select.query_map([&selection.instance, &selection.environment], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?))
    })?;
    let chunks = chunks.collect::<Result<Vec<(i64, i64)>, _>>()?;
    drop(select);
    for (id, records) in chunks {
        done.requests_logged += match selection.consumer {
            None => {
                transaction.prepare_cached("DELETE FROM chunks WHERE id = ?")?.execute([id])?;
                records.unsigned_abs()
            }
            Some(_) => thin_out(&transaction, id, selection)?,
        };
    }
    if selection.consumer.is_none() {
        select_gateways(&transaction, selection, now)?;
        // Its repeats must stay known as long as it may send them.
        for table in ["sequences", "batches", "accepted"] {
            transaction.execute_batch(&format!(
                "DELETE FROM {table} WHERE (instance, epoch, environment) IN
                   (SELECT instance, epoch, environment FROM temp.doomed_gateways WHERE NOT at_work)"
            ))?;
        }
        transaction.execute_batch(
            "DELETE FROM gateways WHERE id IN (SELECT id FROM temp.doomed_gateways WHERE NOT at_work);
             DROP TABLE temp.doomed_gateways;",
        )?;
    }
    finish(transaction, deed)?;
    Ok(done)
}

/// Takes the selected requests out of a chunk, and returns their number. A chunk that cannot be read stays.
fn thin_out(transaction: &Transaction<'_>, id: i64, selection: &Selection) -> Result<u64, StoreError> {
    let data: Vec<u8> = transaction
        .prepare_cached("SELECT data FROM chunks WHERE id = ?")?
        .query_row([id], |row| row.get(0))?;
    let Some(mut events) = chunk::decode(&data) else { return Ok(0) };
    let before = events.len();
    events.retain(|event| !selection.takes(event));
    let removed = before - events.len();
    if removed > 0 {
        super::requests::replace_chunk(transaction, id, &Columns::of(&events))?;
    }
    Ok(removed as u64)
}

fn finish(transaction: Transaction<'_>, deed: Deed) -> Result<(), StoreError> {
    match deed {
        Deed::Remove => transaction.commit()?,
        Deed::Count => transaction.rollback()?,
    }
    Ok(())
}

/// Fills `doomed_gateways`.
fn select_gateways(file: &Connection, selection: &Selection, now: i64) -> Result<(), StoreError> {
    file.execute(
        "CREATE TEMP TABLE doomed_gateways AS
         SELECT id, instance, epoch, environment, last_seen > :live AS at_work FROM gateways
         WHERE (:instance IS NULL OR instance = :instance) AND (:environment IS NULL OR environment = :environment)",
        named_params! {
            ":instance": selection.instance, ":environment": selection.environment, ":live": now.saturating_sub(AT_WORK)
        },
    )?;
    Ok(())
}

/// Where the rollups name an instance.
#[derive(Clone, Copy)]
struct CountedBy {
    /// Its row, if it has counted something since.
    row: Option<i64>,
    /// The first Unix minute of which counts are kept by gateway.
    since: i64,
    /// The first Unix minute of which counts without a gateway are those of senders that name none.
    known: i64,
}

impl CountedBy {
    fn find(file: &Connection, instance: &str) -> Result<Self, StoreError> {
        let since = minutes_since(file)?;
        let row = file
            .query_row("SELECT id FROM instances WHERE name = ?", [instance], |row| row.get(0))
            .optional()?;
        Ok(Self { row, since, known: known_since(file, since)? })
    }
}

/// Fills `doomed_series`, and `shared_series` with those of an instance that must stay: others have counts in them or
/// states of them, or had states that have expired and could be of them. Counts that are sent as differences have no state.
fn select_series(
    file: &Connection,
    selection: &Selection,
    counted_by: Option<CountedBy>,
) -> Result<(), StoreError> {
    file.execute_batch(
        "CREATE TEMP TABLE doomed_series (id INTEGER PRIMARY KEY);
         CREATE TEMP TABLE shared_series (id INTEGER PRIMARY KEY);",
    )?;
    let wanted = "(:environment IS NULL OR r.environment = :environment)
                  AND (:consumer IS NULL OR r.consumer = :consumer)";
    let values = named_params! {":environment": selection.environment, ":consumer": selection.consumer};
    let Some(CountedBy { row, since, known }) = counted_by else {
        file.execute(&format!("INSERT INTO doomed_series SELECT r.id FROM series r WHERE {wanted}"), values)?;
        return Ok(());
    };
    let of = "SELECT s.series_id FROM states s WHERE s.gateway_id";
    let own = "(SELECT id FROM temp.doomed_gateways)";
    let expired = format!(
        "SELECT 1 FROM expired_gateways e JOIN gateways g ON g.id = e.gateway_id
         WHERE g.service = r.service AND g.environment = r.environment AND g.id NOT IN {own}"
    );
    let counted = |whose: &str| {
        let of = |table| format!("SELECT series_id FROM {table} WHERE minute >= {since} AND {whose}");
        format!("r.id IN ({} UNION {})", of(HALF_HOURS.sums), of(HALF_HOURS.by_gateway))
    };
    // No row has this number.
    let row = row.unwrap_or(i64::MIN);
    let by_own = counted(&format!("instance = {row}"));
    let by_others = counted(&format!(
        "(instance > {UNKNOWN} AND instance <> {row} OR instance = {UNKNOWN} AND minute >= {known})"
    ));
    let is_own = format!("(r.id IN ({of} IN {own}) OR {by_own})");
    let is_shared = format!("(r.id IN ({of} NOT IN {own}) OR {by_others} OR EXISTS ({expired}))");
    for (table, condition) in
        [("doomed_series", format!("NOT {is_shared}")), ("shared_series", is_shared.clone())]
    {
        file.execute(
            &format!(
                "INSERT INTO {table} SELECT r.id FROM series r WHERE {wanted} AND {is_own} AND {condition}"
            ),
            values,
        )?;
    }
    Ok(())
}

fn remove_gateways(file: &Connection) -> Result<(), StoreError> {
    let gone = "SELECT id FROM temp.doomed_gateways WHERE NOT at_work";
    for table in ["states", "reports", "tags", "coarse_intervals", "redaction", "expired_gateways"] {
        file.execute_batch(&format!("DELETE FROM {table} WHERE gateway_id IN ({gone})"))?;
    }
    for table in ["sequences", "batches"] {
        file.execute_batch(&format!(
            "DELETE FROM {table} WHERE (instance, epoch, environment) IN
               (SELECT instance, epoch, environment FROM temp.doomed_gateways WHERE NOT at_work)"
        ))?;
    }
    // Only a replica has it.
    if file.table_exists(None, "accepted_elsewhere")? {
        file.execute_batch(
            "DELETE FROM accepted_elsewhere WHERE (instance, epoch, environment) IN
               (SELECT instance, epoch, environment FROM temp.doomed_gateways WHERE NOT at_work)",
        )?;
    }
    releases::remove_gateways(file, gone)?;
    file.execute_batch(&format!("DELETE FROM gateways WHERE id IN ({gone})"))?;
    // Rows that others have counted in, too, name the instance by its number only.
    file.execute_batch(
        "UPDATE instances SET name = '' || id || ' (forgotten)' WHERE name IN
           (SELECT instance FROM temp.doomed_gateways WHERE NOT at_work)
           AND name NOT IN (SELECT instance FROM gateways)",
    )?;
    Ok(())
}
