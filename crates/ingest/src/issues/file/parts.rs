//! What each replica has counted itself, where replicas share issues.
//!
//! The tables of `schema` have the totals, which questions read. Those here have the parts of them by replica: a replica tells its
//! own, and takes those of others in the place of what they told before. Only a file that has known a server has them.

use super::super::fingerprint::Id;
use super::super::observe::{Occurrences, Value};
use super::put::{insert_told, make_room, remove_oldest_versions, trim_examples};
use crate::store::StoreError;
use crate::told::{Fields, Pace, Unmerged};
use rusqlite::{Connection, OptionalExtension, Transaction, named_params, params};

/// Hours that one row of a replica has.
pub(crate) const DAY: i64 = 24;

/// The tables of parts. What goes from the totals goes from the parts.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS main.issue_parts (
    issue TEXT NOT NULL,
    replica TEXT NOT NULL,
    changed INTEGER NOT NULL,       -- Unix nanoseconds by the clock of the replica: the later one holds
    requests REAL NOT NULL,
    logged INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    first_version TEXT NOT NULL,
    last_version TEXT NOT NULL,
    more_consumers INTEGER NOT NULL,
    PRIMARY KEY (issue, replica)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.hour_parts (
    issue TEXT NOT NULL,
    hour INTEGER NOT NULL,
    replica TEXT NOT NULL,
    requests REAL NOT NULL,
    PRIMARY KEY (issue, hour, replica)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.value_parts (
    issue TEXT NOT NULL,
    dimension TEXT NOT NULL,
    value TEXT NOT NULL,
    replica TEXT NOT NULL,
    changed INTEGER NOT NULL,
    requests REAL NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (issue, dimension, value, replica)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.field_parts (
    issue TEXT NOT NULL,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    replica TEXT NOT NULL,
    changed INTEGER NOT NULL,
    message TEXT NOT NULL,
    requests REAL NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (issue, field, kind, replica)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.own_examples (   -- among the examples, those of the replica that keeps the file
    issue TEXT NOT NULL,
    time INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    PRIMARY KEY (issue, time, request_id)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS main.parts_of_issue_gone AFTER DELETE ON issues BEGIN
    DELETE FROM issue_parts WHERE issue = old.id;
END;
CREATE TRIGGER IF NOT EXISTS main.parts_of_hour_gone AFTER DELETE ON hours BEGIN
    DELETE FROM hour_parts WHERE issue = old.issue AND hour = old.hour;
END;
CREATE TRIGGER IF NOT EXISTS main.parts_of_value_gone AFTER DELETE ON issue_values BEGIN
    DELETE FROM value_parts WHERE issue = old.issue AND dimension = old.dimension AND value = old.value;
END;
CREATE TRIGGER IF NOT EXISTS main.parts_of_field_gone AFTER DELETE ON fields BEGIN
    DELETE FROM field_parts WHERE issue = old.issue AND field = old.field AND kind = old.kind;
END;
CREATE TRIGGER IF NOT EXISTS main.own_example_gone AFTER DELETE ON examples BEGIN
    DELETE FROM own_examples WHERE issue = old.issue AND time = old.time AND request_id = old.request_id;
END;
";

/// Names the replica that keeps the file, for the statements that tell its own parts.
pub(super) fn name(file: &Connection, replica: &str) -> Result<(), StoreError> {
    file.execute_batch("CREATE TEMP TABLE IF NOT EXISTS me (replica TEXT NOT NULL); DELETE FROM temp.me")?;
    file.execute("INSERT INTO temp.me VALUES (?)", [replica])?;
    Ok(())
}

/// Makes the replica's own parts of what nobody has: what was counted before the file had a server, or without it meanwhile.
pub(super) fn complete(file: &Transaction<'_>, replica: &str, now: i64) -> Result<(), StoreError> {
    file.execute_batch(
        "DELETE FROM issue_parts WHERE issue NOT IN (SELECT id FROM issues);
         DELETE FROM hour_parts WHERE (issue, hour) NOT IN (SELECT issue, hour FROM hours);
         DELETE FROM value_parts WHERE (issue, dimension, value) NOT IN (SELECT issue, dimension, value FROM issue_values);
         DELETE FROM field_parts WHERE (issue, field, kind) NOT IN (SELECT issue, field, kind FROM fields);
         DELETE FROM own_examples WHERE (issue, time, request_id) NOT IN (SELECT issue, time, request_id FROM examples)",
    )?;
    let all = named_params! { ":replica": replica, ":now": now };
    // Sums of weights may differ by their last digits.
    file.execute(
        "INSERT INTO issue_parts
         SELECT id, :replica, :now, t.requests - p.requests, t.logged - p.logged, t.first_seen, t.last_seen, t.first_version,
             t.last_version, t.more_consumers
         FROM issues t JOIN (SELECT id AS of, (SELECT total(requests) FROM issue_parts WHERE issue = id) AS requests,
             (SELECT coalesce(sum(logged), 0) FROM issue_parts WHERE issue = id) AS logged FROM issues) p ON p.of = t.id
         WHERE t.requests - p.requests > 0.001
         ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), requests = requests + excluded.requests,
             logged = logged + excluded.logged, first_seen = excluded.first_seen, last_seen = excluded.last_seen,
             first_version = excluded.first_version, last_version = excluded.last_version",
        all,
    )?;
    file.execute(
        "INSERT INTO hour_parts
         SELECT issue, hour, :replica, requests - known FROM
             (SELECT *, (SELECT total(requests) FROM hour_parts p WHERE p.issue = t.issue AND p.hour = t.hour) AS known
              FROM hours t)
         WHERE requests - known > 0.001
         ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
        named_params! { ":replica": replica },
    )?;
    file.execute(
        "INSERT INTO value_parts
         SELECT issue, dimension, value, :replica, :now, requests - known, last_seen FROM
             (SELECT *, (SELECT total(requests) FROM value_parts p
                         WHERE p.issue = t.issue AND p.dimension = t.dimension AND p.value = t.value) AS known
              FROM issue_values t)
         WHERE requests - known > 0.001
         ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), requests = requests + excluded.requests,
             last_seen = excluded.last_seen",
        all,
    )?;
    file.execute(
        "INSERT INTO field_parts
         SELECT issue, field, kind, :replica, :now, message, requests - known, last_seen FROM
             (SELECT *, (SELECT total(requests) FROM field_parts p
                         WHERE p.issue = t.issue AND p.field = t.field AND p.kind = t.kind) AS known
              FROM fields t)
         WHERE requests - known > 0.001
         ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), requests = requests + excluded.requests,
             last_seen = excluded.last_seen",
        all,
    )?;
    file.execute(
        "INSERT OR IGNORE INTO own_examples SELECT issue, time, request_id FROM examples
         WHERE issue IN (SELECT issue FROM issue_parts WHERE replica = :replica AND changed >= :now)",
        all,
    )?;
    Ok(())
}

/// Adds the requests of a batch to the replica's own parts, as far as the totals have taken them.
pub(super) fn put(
    file: &Transaction<'_>,
    replica: &str,
    Id(id): &Id,
    seen: &Occurrences,
    now: i64,
) -> Result<(), StoreError> {
    file.prepare_cached(
        "INSERT INTO issue_parts
         SELECT id, :replica, :now, :requests, :logged, :first, :last, :first_version, :last_version, more_consumers
         FROM issues WHERE id = :id
         ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), requests = requests + excluded.requests,
             logged = logged + excluded.logged, more_consumers = excluded.more_consumers,
             first_version = iif(excluded.first_seen < first_seen, excluded.first_version, first_version),
             last_version = iif(excluded.last_seen >= last_seen, excluded.last_version, last_version),
             first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)",
    )?
    .execute(named_params! {
        ":replica": replica,
        ":now": now,
        ":requests": seen.requests,
        ":logged": i64::try_from(seen.logged).unwrap_or(i64::MAX),
        ":first": seen.first.0,
        ":last": seen.last.0,
        ":first_version": seen.first.1,
        ":last_version": seen.last.1,
        ":id": id,
    })?;
    add_up(file, id)?;
    let mut hours = file.prepare_cached(
        "INSERT INTO hour_parts SELECT issue, hour, ?3, ?4 FROM hours WHERE issue = ?1 AND hour = ?2
         ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
    )?;
    for (hour, requests) in &seen.by_hour {
        hours.execute(params![id, hour, replica, requests])?;
    }
    let mut values = file.prepare_cached(
        "INSERT INTO value_parts SELECT issue, dimension, value, ?4, ?5, ?6, ?7 FROM issue_values
         WHERE issue = ?1 AND dimension = ?2 AND value = ?3
         ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), requests = requests + excluded.requests,
             last_seen = max(last_seen, excluded.last_seen)",
    )?;
    for ((dimension, value), share) in &seen.values {
        values.execute(params![id, dimension.name(), value, replica, now, share.requests, share.last])?;
    }
    let mut fields = file.prepare_cached(
        "INSERT INTO field_parts SELECT issue, field, kind, ?4, ?5, ?6, ?7, ?8 FROM fields
         WHERE issue = ?1 AND field = ?2 AND kind = ?3
         ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), requests = requests + excluded.requests,
             last_seen = max(last_seen, excluded.last_seen)",
    )?;
    for ((field, kind), (message, share)) in &seen.fields {
        fields.execute(params![id, field, kind, replica, now, message, share.requests, share.last])?;
    }
    let mut examples = file.prepare_cached(
        "INSERT OR IGNORE INTO own_examples SELECT issue, time, request_id FROM examples
         WHERE issue = ? AND time = ? AND request_id = ?",
    )?;
    for example in &seen.examples {
        examples.execute(params![id, example.time, example.request_id])?;
    }
    Ok(())
}

/// Numbers and times of an issue, out of its parts.
fn add_up(file: &Connection, id: &str) -> Result<(), StoreError> {
    file.prepare_cached(
        "UPDATE issues SET
             (requests, logged, first_seen, last_seen, more_consumers) =
                 (SELECT sum(requests), sum(logged), min(first_seen), max(last_seen), max(more_consumers)
                  FROM issue_parts WHERE issue = id),
             first_version = (SELECT first_version FROM issue_parts WHERE issue = id ORDER BY first_seen, first_version DESC LIMIT 1),
             last_version = (SELECT last_version FROM issue_parts WHERE issue = id ORDER BY last_seen DESC, last_version DESC LIMIT 1)
         WHERE id = ?1 AND EXISTS (SELECT 1 FROM issue_parts WHERE issue = ?1)",
    )?
    .execute([id])?;
    Ok(())
}

/// Takes the numbers and times that another replica has of an issue. An issue for which there is no room is left out.
pub(crate) fn merge_issue(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    let id = told.text("issue");
    if !is_known(file, id)? {
        let scope = (told.text("service"), told.text("environment"));
        if !make_room(file, scope, Some(told.integer("last_seen")))? {
            return Ok(());
        }
        insert_told(file, told)?;
    }
    let mut put = file.prepare_cached(
        "INSERT INTO issue_parts VALUES (:issue, :replica, :changed, :requests, :logged, :first_seen, :last_seen, :first_version,
             :last_version, :more_consumers)
         ON CONFLICT DO UPDATE SET changed = excluded.changed, requests = excluded.requests, logged = excluded.logged,
             first_seen = excluded.first_seen, last_seen = excluded.last_seen, first_version = excluded.first_version,
             last_version = excluded.last_version, more_consumers = excluded.more_consumers
         WHERE (excluded.changed, excluded.requests, excluded.logged, excluded.first_seen, excluded.last_seen,
                excluded.first_version, excluded.last_version, excluded.more_consumers)
             > (changed, requests, logged, first_seen, last_seen, first_version, last_version, more_consumers)",
    )?;
    told.bind(&mut put)?;
    put.raw_execute()?;
    Ok(add_up(file, id)?)
}

/// Takes the requests that another replica has counted in the hours of a day.
pub(crate) fn merge_hours(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    expect_issue(file, told)?;
    let mut put = file.prepare_cached(
        "INSERT INTO hour_parts
         SELECT :issue, CAST(key AS INTEGER), :replica, value FROM json_each(:hours)
         WHERE type IN ('integer', 'real') AND value > 0 AND CAST(key AS INTEGER) BETWEEN :day * 24 AND :day * 24 + 23
         ON CONFLICT DO UPDATE SET requests = max(requests, excluded.requests)",
    )?;
    told.bind(&mut put)?;
    put.raw_execute()?;
    let day = told.integer("day").saturating_mul(DAY);
    file.prepare_cached(
        "INSERT INTO hours SELECT issue, hour, sum(requests) FROM hour_parts
         WHERE issue = ? AND hour >= ? AND hour < ? GROUP BY issue, hour
         ON CONFLICT DO UPDATE SET requests = excluded.requests",
    )?
    .execute(params![told.text("issue"), day, day.saturating_add(DAY)])?;
    Ok(super::put::trim_hours(file, told.text("issue"))?)
}

/// Takes the requests that another replica has counted with a value.
pub(crate) fn merge_value(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    expect_issue(file, told)?;
    let (id, dimension) = (told.text("issue"), told.text("dimension"));
    let Some(dimension) = Value::ALL.into_iter().find(|known| known.name() == dimension) else {
        return Err(Unmerged::Unfit("its dimension is not known".to_owned()));
    };
    let mut put = file.prepare_cached(
        "INSERT INTO value_parts VALUES (:issue, :dimension, :value, :replica, :changed, :requests, :last_seen)
         ON CONFLICT DO UPDATE SET changed = excluded.changed, requests = excluded.requests, last_seen = excluded.last_seen
         WHERE (excluded.changed, excluded.requests, excluded.last_seen) > (changed, requests, last_seen)",
    )?;
    told.bind(&mut put)?;
    put.raw_execute()?;
    let mut add_up = file.prepare_cached(
        "INSERT INTO issue_values SELECT issue, dimension, value, sum(requests), max(last_seen) FROM value_parts
         WHERE issue = :issue AND dimension = :dimension AND value = :value GROUP BY issue, dimension, value
         ON CONFLICT DO UPDATE SET requests = excluded.requests, last_seen = excluded.last_seen",
    )?;
    told.bind(&mut add_up)?;
    add_up.raw_execute()?;
    match dimension {
        Value::Version => remove_oldest_versions(file, id)?,
        Value::Consumer => {
            file.prepare_cached(
                "UPDATE issues SET consumers =
                     (SELECT count(*) FROM issue_values WHERE issue = id AND dimension = 'consumer') WHERE id = ?",
            )?
            .execute([id])?;
        }
        _ => {}
    }
    Ok(())
}

/// Takes the requests that another replica has counted with a refused field.
pub(crate) fn merge_field(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    expect_issue(file, told)?;
    let mut put = file.prepare_cached(
        "INSERT INTO field_parts VALUES (:issue, :field, :kind, :replica, :changed, :message, :requests, :last_seen)
         ON CONFLICT DO UPDATE SET changed = excluded.changed, message = excluded.message, requests = excluded.requests,
             last_seen = excluded.last_seen
         WHERE (excluded.changed, excluded.requests, excluded.last_seen, excluded.message)
             > (changed, requests, last_seen, message)",
    )?;
    told.bind(&mut put)?;
    put.raw_execute()?;
    let mut add_up = file.prepare_cached(
        "INSERT INTO fields SELECT issue, field, kind, max(message), sum(requests), max(last_seen) FROM field_parts
         WHERE issue = :issue AND field = :field AND kind = :kind GROUP BY issue, field, kind
         ON CONFLICT DO UPDATE SET message = excluded.message, requests = excluded.requests, last_seen = excluded.last_seen",
    )?;
    told.bind(&mut add_up)?;
    add_up.raw_execute()?;
    Ok(())
}

/// Takes the examples of another replica. The latest stay.
pub(crate) fn merge_examples(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    expect_issue(file, told)?;
    let mut put = file.prepare_cached(
        "INSERT INTO examples
         SELECT :issue, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(:examples)
         WHERE typeof(value ->> 0) = 'integer' AND typeof(value ->> 1) = 'text' AND typeof(value ->> 2) = 'text'
           AND typeof(value ->> 3) = 'text' AND typeof(value ->> 4) = 'text'
         ON CONFLICT DO UPDATE SET trace_id = excluded.trace_id, consumer = excluded.consumer, gateway = excluded.gateway
         WHERE (excluded.trace_id, excluded.consumer, excluded.gateway) > (trace_id, consumer, gateway)",
    )?;
    told.bind(&mut put)?;
    put.raw_execute()?;
    Ok(trim_examples(file, told.text("issue"))?)
}

/// A decision about an issue, in the order in which a later one takes the place of an earlier one.
type Decided = (i64, String, String, Option<String>);

/// Takes what another replica knows of the decision about an issue. The later decision holds. Whether it has regressed each
/// replica judges by its own requests: the earliest time that one of them has found holds.
pub(crate) fn merge_decision(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    expect_issue(file, told)?;
    let id = told.text("issue");
    let told_of: Decided = (
        told.integer("changed_at"),
        told.text("changed_by").to_owned(),
        told.text("standing").to_owned(),
        told.maybe_text("known_versions").map(str::to_owned),
    );
    let mut find = file.prepare_cached(
        "SELECT changed_at, coalesce(changed_by, ''), iif(regressed_at IS NULL, standing, 'resolved'), known_versions, regressed_at
         FROM issues WHERE id = ? AND changed_at IS NOT NULL",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?), row.get::<_, Option<i64>>(4)?))
    };
    let known: Option<(Decided, Option<i64>)> = find.query_row([id], read).optional()?;
    let known_regression = match &known {
        Some((known, _)) if *known > told_of => return Ok(()),
        Some((known, regressed_at)) if *known == told_of => *regressed_at,
        _ => None,
    };
    let is_resolved = told_of.2 == super::super::state::Standing::Resolved.name();
    let own = match told.maybe_integer("resolved_at").filter(|_| is_resolved) {
        Some(at) => own_regression(file, id, at, told_of.3.as_deref())?,
        None => None,
    };
    let others = [told.maybe_integer("regressed_at").filter(|_| is_resolved), known_regression];
    let others = others.into_iter().flatten().min();
    let regressed_at = own.into_iter().chain(others).min();
    let mut put = file.prepare_cached(
        "UPDATE issues SET standing = iif(:regression IS NULL, :standing, 'open'), acknowledged = :regression IS NULL,
             regressed_at = :regression,
             resolved_at = :resolved_at, known_versions = :known_versions, changed_at = :changed_at, changed_by = :changed_by
         WHERE id = :issue",
    )?;
    told.bind(&mut put)?;
    if let Some(index) = put.parameter_index(":regression")? {
        put.raw_bind_parameter(index, regressed_at)?;
    }
    put.raw_execute()?;
    // The others do not know what this replica alone has found.
    if own.is_some_and(|own| others.is_none_or(|others| own < others)) {
        file.prepare_cached(
            "INSERT OR IGNORE INTO untold (kind, key, pace) VALUES ('issue_decisions', json_array(?), ?)",
        )?
        .execute(params![id, Pace::Soon as i64])?;
    }
    Ok(())
}

/// The time of a request after an issue was resolved that this replica has counted itself; where only another version regresses,
/// of one with such a version.
fn own_regression(
    file: &Connection,
    id: &str,
    at: i64,
    known_versions: Option<&str>,
) -> Result<Option<i64>, StoreError> {
    let seen = match known_versions {
        None => file
            .prepare_cached(
                "SELECT max(last_seen) FROM issue_parts
                 WHERE issue = ? AND replica = (SELECT replica FROM temp.me) AND last_seen > ?",
            )?
            .query_row(params![id, at], |row| row.get(0))?,
        Some(known) => file
            .prepare_cached(
                "SELECT max(last_seen) FROM value_parts
                 WHERE issue = ? AND dimension = 'version' AND replica = (SELECT replica FROM temp.me) AND last_seen > ?
                   AND value NOT IN (SELECT value FROM json_each(iif(json_valid(?3), ?3, '[]')))",
            )?
            .query_row(params![id, at, known], |row| row.get(0))?,
    };
    Ok(seen)
}

fn is_known(file: &Connection, id: &str) -> Result<bool, StoreError> {
    Ok(file.prepare_cached("SELECT 1 FROM issues WHERE id = ?")?.exists([id])?)
}

fn expect_issue(file: &Connection, told: &Fields) -> Result<(), Unmerged> {
    is_known(file, told.text("issue"))?.then_some(()).ok_or(Unmerged::Early)
}
