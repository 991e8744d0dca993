//! Learned routes. Once learned, a place stays: merging only adds.

use crate::model::Scope;
use crate::patterns::Learned;
use crate::store::load_patterns_of;
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use gatelens_routes::Patterns;
use rusqlite::{Connection, params};

pub(crate) const PATTERNS: Kind = Kind {
    name: "patterns",
    key: &[Column::text("service"), Column::text("environment"), Column::text("direction")],
    values: &[Column::text("content"), Column::time("learned_at"), Column::integer("requests")],
    watches: &[Watch { event: "INSERT", ..IN_PATTERNS }, Watch { event: "UPDATE", ..IN_PATTERNS }],
    read: "SELECT service, environment, direction, content, learned_at, requests FROM patterns
           WHERE service = ?1 ->> 0 AND environment = ?1 ->> 1 AND direction = ?1 ->> 2",
    merge: Merge::With(merge_patterns),
    of_gateway: false,
    tables: "",
};

const IN_PATTERNS: Watch = Watch {
    table: "patterns",
    event: "",
    when: "1",
    key: "json_array(own.service, own.environment, own.direction)",
    pace: Pace::Soon,
};

/// The traffic that a row is about.
pub(crate) fn scope(fields: &Fields) -> Scope {
    let [service, environment, direction] =
        ["service", "environment", "direction"].map(|name| fields.text(name).to_owned());
    Scope { service, environment, direction }
}

fn merge_patterns(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    let told = Patterns::read(fields.text("content")).map_err(|error| Unmerged::Unfit(error.to_string()))?;
    let told = Learned::new(told, fields.integer("requests").unsigned_abs());
    let scope = scope(fields);
    let known = load_patterns_of(file, &scope)?;
    let merged = match &known {
        Some(known) => {
            let mut patterns = known.patterns.clone();
            patterns.merge(&told.patterns);
            Learned::new(patterns, known.requests.max(told.requests))
        }
        None => Learned::new(told.patterns.clone(), told.requests),
    };
    let is_known = |other: &Learned| other.text == merged.text && other.requests >= merged.requests;
    if known.as_ref().is_some_and(is_known) {
        return Ok(());
    }
    // Places come as rows of their own, with the times at which they were learned.
    file.prepare_cached(
        "INSERT INTO patterns (service, environment, direction, content, learned_at, requests) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET content = excluded.content, requests = excluded.requests,
           learned_at = max(learned_at, excluded.learned_at)",
    )?
    .execute(params![
        scope.service,
        scope.environment,
        scope.direction,
        merged.text,
        fields.integer("learned_at"),
        merged.requests as i64
    ])?;
    // What three replicas have learned depends on the order in which it is put together. So a sum that nobody has told is told
    // itself, until all have the same.
    if merged.text != told.text && known.is_none_or(|known| known.text != merged.text) {
        file.prepare_cached(
            "INSERT OR IGNORE INTO untold (kind, key, pace) VALUES ('patterns', json_array(?, ?, ?), ?)",
        )?
        .execute(params![scope.service, scope.environment, scope.direction, Pace::Soon as i64])?;
    }
    Ok(())
}

/// When each place was learned.
pub(crate) const PATTERN_PLACES: Kind = Kind {
    name: "pattern_places",
    key: &[
        Column::text("service"),
        Column::text("environment"),
        Column::text("direction"),
        Column::text("place"),
    ],
    values: &[Column::time("learned_at"), Column::integer("requests")],
    watches: &[Watch {
        table: "pattern_places",
        event: "INSERT",
        when: "1",
        key: "json_array(own.service, own.environment, own.direction, own.place)",
        pace: Pace::Soon,
    }],
    read: "SELECT service, environment, direction, place, learned_at, requests FROM pattern_places
           WHERE service = ?1 ->> 0 AND environment = ?1 ->> 1 AND direction = ?1 ->> 2 AND place = ?1 ->> 3",
    merge: Merge::Sql(
        "INSERT INTO pattern_places (service, environment, direction, place, learned_at, requests)
         VALUES (:service, :environment, :direction, :place, :learned_at, :requests)
         ON CONFLICT DO UPDATE SET learned_at = excluded.learned_at, requests = excluded.requests
         WHERE (excluded.learned_at, excluded.requests) < (learned_at, requests)",
    ),
    of_gateway: false,
    tables: "",
};
