//! Adds the requests of a batch to an issue, within the bounds of the file.

use super::super::fingerprint::Id;
use super::super::observe::{MAX_EXAMPLES, Occurrences, Value};
use super::super::reason::Reason;
use super::super::state::Standing;
use super::parts;
use crate::store::StoreError;
use crate::told::Fields;
use rusqlite::{Connection, OptionalExtension, Transaction, named_params, params};

/// Issues in the file; a further one takes the place of another.
const MAX_ISSUES: i64 = 2_000;
/// Issues of one service in one environment.
const MAX_ISSUES_OF_SCOPE: i64 = 500;
/// Reasons of one failure; further ones belong to the issue without a reason.
const MAX_REASONS: i64 = 50;
/// Hours that are kept of an issue: the latest. A month.
const MAX_HOURS: i64 = 744;
/// Fields that are kept of an issue: the first ones.
const MAX_FIELDS: i64 = 200;

/// What decides whether an issue regresses.
struct Resolved {
    at: i64,
    /// `None`: any version regresses.
    known_versions: Option<Vec<String>>,
}

/// Adds the requests of a batch to their issue, or to the one of their failure without a reason when that has too many. `sharing` is
/// the replica where others learn of it, and the time in Unix nanoseconds.
pub(super) fn put(
    transaction: &Transaction<'_>,
    id: &Id,
    seen: &Occurrences,
    sharing: Option<(&str, i64)>,
) -> Result<(), StoreError> {
    let failure = seen.failure.id();
    let none = Reason::default();
    let (id, reason) = match is_known(transaction, id)? || *id == failure {
        true => (id, &seen.reason),
        false => match reasons_of(transaction, &failure)? < MAX_REASONS {
            true => (id, &seen.reason),
            false => (&failure, &none),
        },
    };
    if !is_known(transaction, id)? {
        make_room(transaction, (&seen.failure.service, &seen.failure.environment), None)?;
        insert(transaction, (id, &failure), reason, seen)?;
    }
    let regressed_at = resolved(transaction, id)?.and_then(|resolved| regressed(&resolved, seen));
    update(transaction, id, seen, regressed_at)?;
    put_hours(transaction, id, seen)?;
    put_values(transaction, id, seen)?;
    put_fields(transaction, id, seen)?;
    put_examples(transaction, id, seen)?;
    match sharing {
        Some((replica, now)) => parts::put(transaction, replica, id, seen, now),
        None => Ok(()),
    }
}

fn is_known(transaction: &Transaction<'_>, Id(id): &Id) -> Result<bool, StoreError> {
    Ok(transaction.prepare_cached("SELECT 1 FROM issues WHERE id = ?")?.exists([id])?)
}

fn reasons_of(transaction: &Transaction<'_>, Id(failure): &Id) -> Result<i64, StoreError> {
    let mut count = transaction.prepare_cached("SELECT count(*) FROM issues WHERE failure = ?")?;
    Ok(count.query_row([failure], |row| row.get(0))?)
}

/// Removes an issue where there are too many: of the same service, else of the one with most. A resolved one goes first, then the
/// one that was not seen for the longest time. False when that is a new one, which was seen at `last_seen` (Unix nanoseconds).
pub(super) fn make_room(
    file: &Connection,
    (service, environment): (&str, &str),
    last_seen: Option<i64>,
) -> Result<bool, StoreError> {
    let count = |sql: &str, of: &[&str]| -> Result<i64, StoreError> {
        Ok(file.prepare_cached(sql)?.query_row(rusqlite::params_from_iter(of), |row| row.get(0))?)
    };
    let scope: &[&str] = &[service, environment];
    let full = if count("SELECT count(*) FROM issues WHERE service = ? AND environment = ?", scope)?
        >= MAX_ISSUES_OF_SCOPE
    {
        (service.to_owned(), environment.to_owned())
    } else if count("SELECT count(*) FROM issues", &[])? >= MAX_ISSUES {
        let mut most = file.prepare_cached(
            "SELECT service, environment FROM issues GROUP BY service, environment ORDER BY count(*) DESC LIMIT 1",
        )?;
        most.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?
    } else {
        return Ok(true);
    };
    let removed = file
        .prepare_cached(
            "DELETE FROM issues WHERE id = (SELECT id FROM issues WHERE service = ?1 AND environment = ?2
                 ORDER BY standing = 'resolved' DESC, last_seen LIMIT 1)
             AND (?3 IS NULL OR standing = 'resolved' OR last_seen < ?3)",
        )?
        .execute(params![full.0, full.1, last_seen])?;
    Ok(removed > 0)
}

/// Inserts an issue that another replica has told, without any requests yet.
pub(super) fn insert_told(file: &Connection, told: &Fields) -> Result<(), StoreError> {
    let mut insert = file.prepare_cached(
        "INSERT INTO issues (id, failure, kind, service, environment, direction, method, route, status, grpc_status,
             error_type, class, message, first_seen, last_seen, first_version, last_version, requests, logged,
             consumers, more_consumers, standing, acknowledged)
         VALUES (:issue, :failure, :kind, :service, :environment, :direction, :method, :route, :status, :grpc_status,
             :error_type, :class, :message, :first_seen, :last_seen, :first_version, :last_version, 0, 0, 0, 0, 'open', 0)",
    )?;
    told.bind(&mut insert)?;
    insert.raw_execute()?;
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    (Id(id), Id(failure)): (&Id, &Id),
    reason: &Reason,
    seen: &Occurrences,
) -> Result<(), StoreError> {
    let of = &seen.failure;
    transaction
        .prepare_cached(
            "INSERT INTO issues (id, failure, kind, service, environment, direction, method, route, status, grpc_status,
                 error_type, class, message, first_seen, last_seen, first_version, last_version, requests, logged,
                 consumers, more_consumers, standing, acknowledged)
             VALUES (:id, :failure, :kind, :service, :environment, :direction, :method, :route, :status, :grpc_status,
                 :error_type, :class, :message, :first_seen, :last_seen, :first_version, :last_version, 0, 0, 0, 0, :open, 0)",
        )?
        .execute(named_params! {
            ":id": id,
            ":failure": failure,
            ":kind": of.kind.name(),
            ":service": of.service,
            ":environment": of.environment,
            ":direction": of.direction,
            ":method": of.method,
            ":route": of.route,
            ":status": of.status,
            ":grpc_status": of.grpc_status.and_then(|status| i64::try_from(status).ok()),
            ":error_type": of.error_type,
            ":class": reason.class,
            ":message": reason.message,
            ":first_seen": seen.first.0,
            ":last_seen": seen.last.0,
            ":first_version": seen.first.1,
            ":last_version": seen.last.1,
            ":open": Standing::Open.name(),
        })?;
    Ok(())
}

fn resolved(transaction: &Transaction<'_>, Id(id): &Id) -> Result<Option<Resolved>, StoreError> {
    let mut select = transaction.prepare_cached(
        "SELECT resolved_at, known_versions FROM issues WHERE id = ? AND standing = 'resolved'",
    )?;
    let found = select.query_row([id], |row| {
        let known: Option<String> = row.get(1)?;
        Ok(Resolved {
            at: row.get::<_, Option<i64>>(0)?.unwrap_or_default(),
            known_versions: known.and_then(|text| serde_json::from_str(&text).ok()),
        })
    });
    Ok(found.optional()?)
}

/// The time at which a resolved issue regressed: that of a request after it was resolved, where only another version counts,
/// with such a version.
fn regressed(resolved: &Resolved, seen: &Occurrences) -> Option<i64> {
    let Some(known) = &resolved.known_versions else {
        return (seen.last.0 > resolved.at).then_some(seen.last.0);
    };
    let versions = seen.values.iter().filter(|((dimension, version), share)| {
        *dimension == Value::Version
            && share.last > resolved.at
            && !known.iter().any(|known| **known == **version)
    });
    versions.map(|(_, share)| share.last).max()
}

fn update(
    transaction: &Transaction<'_>,
    Id(id): &Id,
    seen: &Occurrences,
    regressed_at: Option<i64>,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE issues SET requests = requests + :requests, logged = logged + :logged,
                 first_version = CASE WHEN :first < first_seen THEN :first_version ELSE first_version END,
                 last_version = CASE WHEN :last >= last_seen THEN :last_version ELSE last_version END,
                 first_seen = min(first_seen, :first), last_seen = max(last_seen, :last)
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":requests": seen.requests,
            ":logged": i64::try_from(seen.logged).unwrap_or(i64::MAX),
            ":first": seen.first.0,
            ":first_version": seen.first.1,
            ":last": seen.last.0,
            ":last_version": seen.last.1,
            ":id": id,
        })?;
    if let Some(at) = regressed_at {
        transaction
            .prepare_cached(
                "UPDATE issues SET standing = 'open', acknowledged = 0, regressed_at = ? WHERE id = ?",
            )?
            .execute(params![at, id])?;
    }
    Ok(())
}

fn put_hours(transaction: &Transaction<'_>, Id(id): &Id, seen: &Occurrences) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO hours VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
    )?;
    for (hour, requests) in &seen.by_hour {
        put.execute(params![id, hour, requests])?;
    }
    trim_hours(transaction, id)
}

/// Keeps the latest hours of an issue.
pub(super) fn trim_hours(file: &Connection, id: &str) -> Result<(), StoreError> {
    file.prepare_cached(
        "DELETE FROM hours WHERE issue = ?1 AND hour <=
                 (SELECT hour FROM hours WHERE issue = ?1 ORDER BY hour DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![id, MAX_HOURS])?;
    Ok(())
}

fn put_values(transaction: &Transaction<'_>, Id(id): &Id, seen: &Occurrences) -> Result<(), StoreError> {
    let mut add = transaction.prepare_cached(
        "UPDATE issue_values SET requests = requests + ?, last_seen = max(last_seen, ?)
         WHERE issue = ? AND dimension = ? AND value = ?",
    )?;
    let mut insert = transaction.prepare_cached("INSERT INTO issue_values VALUES (?, ?, ?, ?, ?)")?;
    let mut count =
        transaction.prepare_cached("SELECT count(*) FROM issue_values WHERE issue = ? AND dimension = ?")?;
    for dimension in Value::ALL {
        let name = dimension.name();
        let mut kept = None;
        let before = |kept: &mut Option<i64>, count: &mut rusqlite::CachedStatement<'_>| match kept {
            Some(kept) => Ok(*kept),
            None => count.query_row([id, name], |row| row.get::<_, i64>(0)),
        };
        for ((_, value), share) in seen.values.iter().filter(|((of, _), _)| *of == dimension) {
            if add.execute(params![share.requests, share.last, id, name, value])? > 0 {
                continue;
            }
            let mut known = before(&mut kept, &mut count)?;
            if known >= dimension.kept() && dimension == Value::Version {
                // A release that is over makes room for the one that begins.
                known -= remove_oldest_version(transaction, id)?;
            }
            if known < dimension.kept() {
                insert.execute(params![id, name, value, share.requests, share.last])?;
                kept = Some(known + 1);
            } else {
                kept = Some(known);
                if dimension == Value::Consumer {
                    transaction
                        .prepare_cached("UPDATE issues SET more_consumers = 1 WHERE id = ?")?
                        .execute([id])?;
                }
            }
        }
        if let Some(kept) = kept.filter(|_| dimension == Value::Consumer) {
            let mut note = transaction.prepare_cached("UPDATE issues SET consumers = ? WHERE id = ?")?;
            note.execute(params![kept, id])?;
        }
    }
    Ok(())
}

fn remove_oldest_version(transaction: &Transaction<'_>, id: &str) -> Result<i64, StoreError> {
    let mut remove = transaction.prepare_cached(
        "DELETE FROM issue_values WHERE issue = ?1 AND dimension = 'version' AND value =
             (SELECT value FROM issue_values WHERE issue = ?1 AND dimension = 'version' ORDER BY last_seen, value LIMIT 1)",
    )?;
    Ok(i64::try_from(remove.execute([id])?).unwrap_or(i64::MAX))
}

/// Keeps the versions that were seen last, where another replica has told one.
pub(super) fn remove_oldest_versions(file: &Connection, id: &str) -> Result<(), StoreError> {
    let kept = Value::Version.kept();
    file.prepare_cached(
        "DELETE FROM issue_values WHERE issue = ?1 AND dimension = 'version' AND value IN
             (SELECT value FROM issue_values WHERE issue = ?1 AND dimension = 'version'
              ORDER BY last_seen DESC, value DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![id, kept])?;
    Ok(())
}

fn put_fields(transaction: &Transaction<'_>, Id(id): &Id, seen: &Occurrences) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO fields SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT count(*) FROM fields WHERE issue = ?1) < ?7
            OR EXISTS (SELECT 1 FROM fields WHERE issue = ?1 AND field = ?2 AND kind = ?3)
         ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, last_seen = max(last_seen, excluded.last_seen)",
    )?;
    for ((field, kind), (message, share)) in &seen.fields {
        put.execute(params![id, field, kind, message, share.requests, share.last, MAX_FIELDS])?;
    }
    Ok(())
}

fn put_examples(transaction: &Transaction<'_>, Id(id): &Id, seen: &Occurrences) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached("INSERT OR IGNORE INTO examples VALUES (?, ?, ?, ?, ?, ?)")?;
    for example in &seen.examples {
        put.execute(params![
            id,
            example.time,
            example.request_id,
            example.trace_id,
            example.consumer,
            example.gateway
        ])?;
    }
    trim_examples(transaction, id)
}

/// Keeps the latest examples of an issue.
pub(super) fn trim_examples(file: &Connection, id: &str) -> Result<(), StoreError> {
    file.prepare_cached(
            "DELETE FROM examples WHERE issue = ?1 AND (time, request_id) NOT IN
                 (SELECT time, request_id FROM examples WHERE issue = ?1 ORDER BY time DESC, request_id LIMIT ?2)",
        )?
        .execute(params![id, MAX_EXAMPLES as i64])?;
    Ok(())
}
