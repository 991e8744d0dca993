//! Releases, each with the epochs of gateways that ran it.
//!
//! Replicas number them for themselves, and each may note a release before it is told that another one has. So a release is
//! that of the same value after the same one at about the same time, and begins when the first replica saw it.

use crate::store::{SAME_RELEASE, StoreError};
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use rusqlite::{Connection, OptionalExtension, params};

pub(crate) const RELEASES: Kind = Kind {
    name: "releases",
    key: &[
        Column::text("instance"),
        Column::text("epoch"),
        Column::text("environment"),
        Column::text("service"),
        Column::text("kind"),
        Column::text("value"),
        Column::text("previous").or_null(),
        Column::time("first_seen"),
    ],
    values: &[Column::time("since")],
    watches: &[Watch {
        table: "release_gateways",
        event: "INSERT",
        when: "1",
        // Not by the number, which a merge may change.
        key: "(SELECT json_array(r.service, r.environment, r.kind, r.value, r.previous, r.first_seen, own.gateway_id)
               FROM releases r WHERE r.id = own.release_id)",
        pace: Pace::Soon,
    }],
    read: "SELECT g.instance, g.epoch, g.environment, r.service, r.kind, r.value, r.previous, r.first_seen, m.since
           FROM releases r JOIN release_gateways m ON m.release_id = r.id JOIN gateways g ON g.id = m.gateway_id
           WHERE r.service = ?1 ->> 0 AND r.environment = ?1 ->> 1 AND r.kind = ?1 ->> 2 AND r.value = ?1 ->> 3
             AND r.previous IS ?1 ->> 4 AND m.gateway_id = ?1 ->> 6
           ORDER BY abs(r.first_seen - (?1 ->> 5)) LIMIT 1",
    merge: Merge::With(merge_release),
    of_gateway: true,
    tables: "",
};

fn merge_release(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    let [service, environment, kind, value] =
        ["service", "environment", "kind", "value"].map(|name| fields.text(name));
    let (previous, first_seen) = (fields.maybe_text("previous"), fields.integer("first_seen"));
    let mut find = file.prepare_cached(
        "SELECT id, first_seen FROM releases
         WHERE service = ? AND environment = ? AND kind = ? AND value = ? AND previous IS ? AND abs(first_seen - ?) < ?
         ORDER BY first_seen LIMIT 1",
    )?;
    let of = params![service, environment, kind, value, previous, first_seen, SAME_RELEASE];
    let known: Option<(i64, i64)> = find.query_row(of, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let release = match known {
        Some((id, known)) => {
            if first_seen < known {
                file.prepare_cached("UPDATE releases SET first_seen = ? WHERE id = ?")?
                    .execute([first_seen, id])?;
            }
            id
        }
        None => file
            .prepare_cached(
                "INSERT INTO releases (service, environment, kind, value, previous, first_seen) VALUES (?, ?, ?, ?, ?, ?)
                 RETURNING id",
            )?
            .query_row(params![service, environment, kind, value, previous, first_seen], |row| row.get(0))?,
    };
    file.prepare_cached(
        "INSERT INTO release_gateways (release_id, gateway_id, since)
         SELECT ?1, id, ?2 FROM gateways WHERE instance = ?3 AND epoch = ?4 AND environment = ?5
         ON CONFLICT DO UPDATE SET since = min(since, excluded.since)",
    )?
    .execute(params![
        release,
        fields.integer("since"),
        fields.text("instance"),
        fields.text("epoch"),
        fields.text("environment")
    ])?;
    if known.is_none_or(|(_, known)| first_seen < known) {
        in_order_of_time(file, (service, environment, kind))?;
    }
    Ok(())
}

/// Gives the releases of a scope their numbers anew where a later one has a lower number.
fn in_order_of_time(
    file: &Connection,
    (service, environment, kind): (&str, &str, &str),
) -> Result<(), StoreError> {
    let mut select = file.prepare_cached(
        "SELECT id FROM releases WHERE service = ? AND environment = ? AND kind = ?
         ORDER BY first_seen, value, coalesce(previous, ''), id",
    )?;
    let rows = select.query_map([service, environment, kind], |row| row.get(0))?;
    let by_time: Vec<i64> = rows.collect::<Result<_, _>>()?;
    let mut numbers = by_time.clone();
    numbers.sort_unstable();
    let moved: Vec<(i64, i64)> = by_time.into_iter().zip(numbers).filter(|(old, new)| old != new).collect();
    // In two steps, because numbers are taken until all have moved. No release has a number below 0.
    let moves = moved.iter().map(|(old, new)| (*old, -new)).chain(moved.iter().map(|(_, new)| (-new, *new)));
    for (from, to) in moves {
        file.prepare_cached("UPDATE releases SET id = ?2 WHERE id = ?1")?.execute([from, to])?;
        file.prepare_cached("UPDATE release_gateways SET release_id = ?2 WHERE release_id = ?1")?
            .execute([from, to])?;
    }
    Ok(())
}
