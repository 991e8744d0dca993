//! Shapes, routes and their changes in the file of counters.

use super::StoreError;
use crate::drift::{Change, KnownRoute, RouteKey, ShapeKey, ShapeRow, Traffic, Update};
use crate::model::Scope;
use gatelens_model::Message;
use rusqlite::{Connection, Row, Rows, params};

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
/// The order of shapes.
pub(crate) const ORDER: &str = "service, environment, direction, method, route, message, class";
const KEY: &str = "service = ?1 AND environment = ?2 AND direction = ?3 AND method = ?4 AND route = ?5";

/// Takes in what was found. Returns the keys of shapes that were stored before and are not there any more.
pub(super) fn put(file: &Connection, update: &Update) -> Result<Vec<ShapeKey>, StoreError> {
    if let Some(before) = update.expired_elsewhere {
        file.prepare_cached("DELETE FROM shapes_elsewhere WHERE last_seen < ?")?.execute([before])?;
    }
    for (key, shown) in &update.folded_elsewhere {
        let [service, environment, direction, method, route] = texts(key);
        file.prepare_cached(
            "UPDATE shapes_elsewhere SET shown = ?6
             WHERE service = ?1 AND environment = ?2 AND direction = ?3 AND method = ?4 AND shown = ?5 AND inferred",
        )?
        .execute(params![service, environment, direction, method, route, shown])?;
    }
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
    let has_others = has_elsewhere(file)?;
    for change in &update.changes {
        match has_others {
            true => note_beside_others(file, change)?,
            false => note(file, change)?,
        }
    }
    Ok(lost)
}

/// What is known of a route is of another one. It is not new there.
fn fold(file: &Connection, key: &RouteKey, shown: &str) -> Result<(), StoreError> {
    file.prepare_cached(&format!("DELETE FROM known_routes WHERE {KEY}"))?.execute(texts(key))?;
    file.prepare_cached(&format!("DELETE FROM drift WHERE {KEY} AND message = ''"))?.execute(texts(key))?;
    let moved = file
        .prepare_cached(&format!("DELETE FROM drift WHERE {KEY} RETURNING {NOTED}"))?
        .query_map(texts(key), Noted::read)?
        .collect::<Result<Vec<_>, _>>()?;
    for change in moved {
        let mut place = change.place.clone();
        shown.clone_into(&mut place[ROUTE]);
        merge_change(file, &Noted { place, ..change })?;
    }
    Ok(())
}

/// Notes a change that another replica may have found at another body, unless there are too many.
fn note_beside_others(file: &Connection, change: &Change) -> Result<(), StoreError> {
    let Change { time, kind, route, body, field, before, after, example } = change;
    let [service, environment, direction, method, route] = texts(route);
    let count = "SELECT count(*) FROM drift WHERE time > ?1 - ?2 AND service = ?3 AND environment = ?4";
    let noted: i64 = file
        .prepare_cached(count)?
        .query_row(params![time, ONCE_IN, service, environment], |row| row.get(0))?;
    if noted >= MAX_CHANGES {
        return Ok(());
    }
    let (message, class) = body.map_or(("", 0), |(message, class)| (message.name(), i64::from(class)));
    let place = [kind.name(), service, environment, direction, method, route, message, field];
    let shown_by = [before, after, &example.release, &example.request_id, &example.trace_id];
    let change =
        Noted { time: *time, class, place: place.map(str::to_owned), shown_by: shown_by.map(String::clone) };
    merge_change(file, &change)
}

/// A change as it is stored, without its number.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) class: i64,
    /// Kind, service, environment, direction, method, route, message and field.
    pub(crate) place: [String; 8],
    /// Before, after, release, request and trace.
    pub(crate) shown_by: [String; 5],
}

/// The columns of [`Noted`], and the place of the route among its texts.
const NOTED: &str = "time, class, kind, service, environment, direction, method, route, message, field, before, after, release, request_id, trace_id";
const ROUTE: usize = 5;

impl Noted {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut change = Self {
            time: row.get(0)?,
            class: row.get(1)?,
            place: Default::default(),
            shown_by: Default::default(),
        };
        for (text, column) in change.place.iter_mut().chain(&mut change.shown_by).zip(2..) {
            *text = row.get::<usize, _>(column)?;
        }
        Ok(change)
    }
}

/// Notes a change that was found elsewhere. Of the same changes of a day the earliest one stays.
pub(crate) fn merge_change(file: &Connection, change: &Noted) -> Result<(), StoreError> {
    let Noted {
        time,
        class,
        place: [kind, service, environment, direction, method, route, message, field],
        shown_by,
    } = change;
    let same = file
        .prepare_cached(&format!(
            "SELECT {NOTED}, id FROM drift
             WHERE time > ?1 - {ONCE_IN} AND time < ?1 + {ONCE_IN} AND class = ?2 AND kind = ?3 AND service = ?4
               AND environment = ?5 AND direction = ?6 AND method = ?7 AND route = ?8 AND message = ?9 AND field = ?10"
        ))?
        .query_map(
            params![time, class, kind, service, environment, direction, method, route, message, field],
            |row| Ok((Noted::read(row)?, row.get::<_, i64>(15)?)),
        )?
        .collect::<Result<Vec<_>, _>>()?;
    if same.iter().any(|(known, _)| (known.time, &known.shown_by) <= (*time, shown_by)) {
        return Ok(());
    }
    for (_, id) in same {
        file.prepare_cached("DELETE FROM drift WHERE id = ?")?.execute([id])?;
    }
    let [before, after, release, request_id, trace_id] = shown_by;
    file.prepare_cached(&format!(
        "INSERT INTO drift ({NOTED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?
    .execute(params![
        time,
        class,
        kind,
        service,
        environment,
        direction,
        method,
        route,
        message,
        field,
        before,
        after,
        release,
        request_id,
        trace_id
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

/// Whether the file has shapes of other replicas.
pub(crate) fn has_elsewhere(file: &Connection) -> Result<bool, StoreError> {
    Ok(file.table_exists(None, "shapes_elsewhere")?)
}

/// What has the shapes of all replicas, a row for each replica, in SQL.
pub(crate) fn shapes_of_all(file: &Connection) -> Result<String, StoreError> {
    Ok(match has_elsewhere(file)? {
        false => "shapes".to_owned(),
        true => format!(
            "(SELECT {COLUMNS} FROM shapes UNION ALL
              SELECT {} FROM shapes_elsewhere WHERE bodies > 0)",
            COLUMNS.replace("route", "shown AS route")
        ),
    })
}

/// The next shape out of rows with [`COLUMNS`] in the order of their keys. Rows of one shape are added up; those that cannot be read
/// are passed over. `held` is the row that comes next.
pub(crate) fn next_shape(
    rows: &mut Rows<'_>,
    held: &mut Option<ShapeRow>,
) -> Result<Option<ShapeRow>, StoreError> {
    while let Some(row) = rows.next()? {
        let Some(next) = shape(row)? else { continue };
        match held {
            Some(whole) if whole.key == next.key => whole.add_part(next),
            Some(_) => return Ok(held.replace(next)),
            None => *held = Some(next),
        }
    }
    Ok(held.take())
}

/// The shapes of all replicas.
pub(crate) fn load_whole(file: &Connection) -> Result<Vec<ShapeRow>, StoreError> {
    let mut select =
        file.prepare(&format!("SELECT {COLUMNS} FROM {} ORDER BY {ORDER}", shapes_of_all(file)?))?;
    let (mut rows, mut held, mut all) = (select.query([])?, None, Vec::new());
    while let Some(shape) = next_shape(&mut rows, &mut held)? {
        all.push(shape);
    }
    Ok(all)
}

/// How many rows there are of other replicas, and the number of the latest.
pub(crate) fn elsewhere(file: &Connection) -> Result<(i64, i64), StoreError> {
    let newest = "SELECT count(*), coalesce(max(id), 0) FROM shapes_elsewhere";
    Ok(file.prepare_cached(newest)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// The shapes of which other replicas have told something behind a number, with all that they know of each.
pub(crate) fn told_elsewhere(
    file: &Connection,
    after: i64,
    mut each: impl FnMut(ShapeKey, Option<ShapeRow>),
) -> Result<(), StoreError> {
    let mut select = file.prepare_cached(
        "SELECT DISTINCT service, environment, direction, method, shown, message, class FROM shapes_elsewhere WHERE id > ?",
    )?;
    let key = |row: &Row<'_>| Ok((route(row)?, row.get::<_, String>(5)?, row.get::<_, u8>(6)?));
    let keys = select.query_map([after], key)?.collect::<Result<Vec<_>, _>>()?;
    let mut select = file.prepare_cached(&format!(
        "SELECT {} FROM shapes_elsewhere
         WHERE service = ?1 AND environment = ?2 AND direction = ?3 AND method = ?4 AND shown = ?5 AND message = ?6 AND class = ?7
           AND bodies > 0 ORDER BY replica",
        COLUMNS.replace("route", "shown")
    ))?;
    for (route, message, class) in keys {
        let [service, environment, direction, method, shown] = texts(&route);
        let mut rows =
            select.query(params![service, environment, direction, method, shown, message, class])?;
        let whole = next_shape(&mut rows, &mut None)?;
        let message = Message::ALL.into_iter().find(|known| known.name() == message);
        if let Some(message) = message {
            each(ShapeKey { route, message, class }, whole);
        }
    }
    Ok(())
}

/// The routes that were inferred, of shapes of others, as they are shown.
pub(crate) fn inferred_elsewhere(file: &Connection) -> Result<Vec<RouteKey>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT DISTINCT service, environment, direction, method, shown FROM shapes_elsewhere WHERE inferred AND bodies > 0",
    )?;
    Ok(select.query_map([], route)?.collect::<Result<_, _>>()?)
}

/// The routes of which changes are noted, except those that a gateway has named.
pub(crate) fn changed_routes(file: &Connection) -> Result<Vec<RouteKey>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT service, environment, direction, method, route FROM drift
         EXCEPT SELECT service, environment, direction, method, route FROM shapes WHERE NOT inferred
         EXCEPT SELECT service, environment, direction, method, route FROM shapes_elsewhere
         WHERE NOT inferred AND bodies > 0",
    )?;
    Ok(select.query_map([], route)?.collect::<Result<_, _>>()?)
}

/// When the latest body of any replica came, in Unix nanoseconds.
pub(crate) fn newest_body(file: &Connection) -> Result<Option<i64>, StoreError> {
    let newest = "SELECT max(newest) FROM (SELECT max(last_seen) AS newest FROM shapes
                  UNION ALL SELECT max(last_seen) FROM shapes_elsewhere WHERE bodies > 0)";
    Ok(file.query_row(newest, [], |row| row.get(0))?)
}

/// All shapes of this replica. Those that cannot be read are learned anew.
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
