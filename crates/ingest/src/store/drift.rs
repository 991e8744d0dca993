//! Shapes, routes and their changes in the file of counters.

use super::StoreError;
use crate::drift::{Change, KnownRoute, RouteKey, ShapeKey, ShapeRow, Traffic, Update};
use crate::model::Scope;
use gatelens_model::Message;
use rusqlite::{Connection, Row, params};

pub(super) const TABLES: &str = "
CREATE TABLE shapes (               -- the fields of bodies, see drift/book.rs
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,            -- as it is shown
    message TEXT NOT NULL,          -- request or response
    class INTEGER NOT NULL,         -- the hundreds of the status
    inferred INTEGER NOT NULL,      -- whether learned patterns may give it another route
    bodies INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,    -- Unix nanoseconds
    last_seen INTEGER NOT NULL,
    fields TEXT NOT NULL,           -- JSON
    PRIMARY KEY (service, environment, direction, method, route, message, class)
) WITHOUT ROWID;
CREATE TABLE known_routes (         -- routes that were counted, as they are shown
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    first_seen INTEGER NOT NULL,    -- Unix nanoseconds
    last_counted INTEGER NOT NULL,  -- Unix minute of its latest half hour
    traffic INTEGER NOT NULL,       -- 0: some, 1: it has vanished, 2: none, and it was never regular
    PRIMARY KEY (service, environment, direction, method, route)
) WITHOUT ROWID;
CREATE TABLE drift (                -- changes
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,          -- Unix nanoseconds
    kind TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    message TEXT NOT NULL,          -- '': of the route itself
    class INTEGER NOT NULL,
    field TEXT NOT NULL,            -- a JSON pointer with [] for items and {*} for values of maps
    before TEXT NOT NULL,           -- '': nothing
    after TEXT NOT NULL,
    release TEXT NOT NULL,          -- of the service; '': not known
    request_id TEXT NOT NULL,       -- of the request that showed it; '': not known
    trace_id TEXT NOT NULL
);
CREATE INDEX drift_by_time ON drift (time, id);
";

/// The same change of the same field is noted once in this time. Unix nanoseconds.
const ONCE_IN: i64 = 86_400_000_000_000;
/// Changes of one service in one environment that are noted in this time.
const MAX_CHANGES: i64 = 500;
/// Changes that are kept.
pub(super) const MAX_ROWS: i64 = 100_000;

/// The columns of a shape.
pub(crate) const COLUMNS: &str =
    "service, environment, direction, method, route, message, class, inferred, bodies,
    first_seen, last_seen, fields";
const KEY: &str = "service = ?1 AND environment = ?2 AND direction = ?3 AND method = ?4 AND route = ?5";

/// Takes in what was found. Returns the keys of shapes that were stored before and are not there any more.
pub(super) fn put(file: &Connection, update: &Update) -> Result<Vec<ShapeKey>, StoreError> {
    for (key, shown) in &update.folded {
        fold(file, key, shown)?;
    }
    for ShapeKey { route, message, class } in &update.gone_shapes {
        let [service, environment, direction, method, route] = texts(route);
        file.prepare_cached(&format!("DELETE FROM shapes WHERE {KEY} AND message = ?6 AND class = ?7"))?
            .execute(params![service, environment, direction, method, route, message.name(), class])?;
    }
    for key in &update.gone_routes {
        file.prepare_cached(&format!("DELETE FROM known_routes WHERE {KEY}"))?.execute(texts(key))?;
    }
    for KnownRoute { key, first_seen, last_counted, traffic } in &update.routes {
        let [service, environment, direction, method, route] = texts(key);
        file.prepare_cached("INSERT OR REPLACE INTO known_routes VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?.execute(
            params![
                service,
                environment,
                direction,
                method,
                route,
                first_seen,
                last_counted,
                traffic.number()
            ],
        )?;
    }
    let mut lost = Vec::new();
    for row in &update.shapes {
        if !put_shape(file, row)? {
            lost.push(row.key.clone());
        }
    }
    for change in &update.changes {
        note(file, change)?;
    }
    Ok(lost)
}

/// What is known of a route is of another one. It is not new there.
fn fold(file: &Connection, key: &RouteKey, shown: &str) -> Result<(), StoreError> {
    let [service, environment, direction, method, route] = texts(key);
    file.prepare_cached(&format!("DELETE FROM known_routes WHERE {KEY}"))?.execute(texts(key))?;
    file.prepare_cached(&format!("DELETE FROM drift WHERE {KEY} AND message = ''"))?.execute(texts(key))?;
    file.prepare_cached(&format!("UPDATE drift SET route = ?6 WHERE {KEY}"))?.execute(params![
        service,
        environment,
        direction,
        method,
        route,
        shown
    ])?;
    Ok(())
}

/// Stores a shape. False where it was stored and is no more.
fn put_shape(file: &Connection, row: &ShapeRow) -> Result<bool, StoreError> {
    let ShapeKey { route, message, class } = &row.key;
    let [service, environment, direction, method, route] = texts(route);
    let fields = serde_json::to_string(&row.root).unwrap_or_default();
    let bodies = i64::try_from(row.bodies).unwrap_or(i64::MAX);
    if row.is_stored {
        let changed = file
            .prepare_cached(&format!(
                "UPDATE shapes SET bodies = ?8, first_seen = ?9, last_seen = ?10, fields = ?11
                 WHERE {KEY} AND message = ?6 AND class = ?7"
            ))?
            .execute(params![
                service,
                environment,
                direction,
                method,
                route,
                message.name(),
                class,
                bodies,
                row.first_seen,
                row.last_seen,
                fields
            ])?;
        return Ok(changed > 0);
    }
    file.prepare_cached("INSERT OR REPLACE INTO shapes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            service,
            environment,
            direction,
            method,
            route,
            message.name(),
            class,
            row.has_inferred_route,
            bodies,
            row.first_seen,
            row.last_seen,
            fields
        ])?;
    Ok(true)
}

/// Notes a change, unless it is noted already or there are too many.
fn note(file: &Connection, change: &Change) -> Result<(), StoreError> {
    let Change { time, kind, route, body, field, before, after, example } = change;
    let [service, environment, direction, method, route] = texts(route);
    let (message, class) = body.map_or(("", 0), |(message, class)| (message.name(), class));
    file.prepare_cached(
        "INSERT INTO drift
         SELECT NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
         WHERE (SELECT count(*) FROM drift WHERE time > ?1 - ?16 AND service = ?3 AND environment = ?4) < ?17
           AND NOT EXISTS (
             SELECT 1 FROM drift
             WHERE time > ?1 - ?16 AND time < ?1 + ?16 AND kind = ?2 AND service = ?3 AND environment = ?4
               AND direction = ?5 AND method = ?6 AND route = ?7 AND message = ?8 AND class = ?9 AND field = ?10)",
    )?
    .execute(params![
        time,
        kind.name(),
        service,
        environment,
        direction,
        method,
        route,
        message,
        class,
        field,
        before,
        after,
        example.release,
        example.request_id,
        example.trace_id,
        ONCE_IN,
        MAX_CHANGES,
    ])?;
    Ok(())
}

/// All shapes. Those that cannot be read are learned anew.
pub(crate) fn load(file: &Connection) -> Result<Vec<ShapeRow>, StoreError> {
    let mut select = file.prepare(&format!("SELECT {COLUMNS} FROM shapes"))?;
    let rows = select.query_map([], shape)?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// A shape out of a row with [`COLUMNS`]; `None` where it cannot be read.
pub(crate) fn shape(row: &Row<'_>) -> rusqlite::Result<Option<ShapeRow>> {
    let (message, fields): (String, String) = (row.get(5)?, row.get(11)?);
    let message = Message::ALL.into_iter().find(|known| known.name() == message);
    let (Some(message), Ok(root)) = (message, serde_json::from_str(&fields)) else { return Ok(None) };
    Ok(Some(ShapeRow {
        key: ShapeKey { route: route(row)?, message, class: row.get(6)? },
        has_inferred_route: row.get(7)?,
        bodies: row.get::<_, i64>(8)?.unsigned_abs(),
        first_seen: row.get(9)?,
        last_seen: row.get(10)?,
        root,
        is_stored: true,
    }))
}

/// All routes that are known.
pub(crate) fn routes(file: &Connection) -> Result<Vec<KnownRoute>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT service, environment, direction, method, route, first_seen, last_counted, traffic FROM known_routes
         ORDER BY service, environment, direction, route, method",
    )?;
    let rows = select.query_map([], |row| {
        let traffic = Traffic::of_number(row.get(7)?);
        Ok(KnownRoute { key: route(row)?, first_seen: row.get(5)?, last_counted: row.get(6)?, traffic })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The route in the first five columns.
fn route(row: &Row<'_>) -> rusqlite::Result<RouteKey> {
    let scope = Scope { service: row.get(0)?, environment: row.get(1)?, direction: row.get(2)? };
    Ok(RouteKey { scope, method: row.get(3)?, route: row.get(4)? })
}

fn texts(key: &RouteKey) -> [&str; 5] {
    let RouteKey { scope: Scope { service, environment, direction }, method, route } = key;
    [service, environment, direction, method, route]
}
