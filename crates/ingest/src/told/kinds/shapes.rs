//! Shapes of bodies, of which each replica tells what it has seen itself, and changes.

use crate::drift::{ChangeKind, Field};
use crate::store::{Noted, merge_change};
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use gatelens_model::Message;
use rusqlite::Connection;

/// Fields of a shape of another replica.
const MAX_FIELDS: usize = 2_000;

/// A shape. One without bodies was removed: its time is that of the removal.
pub(crate) const SHAPES: Kind = Kind {
    name: "shapes",
    key: &[
        Column::text("service"),
        Column::text("environment"),
        Column::text("direction"),
        Column::text("method"),
        Column::text("route"),
        Column::text("message"),
        Column::integer("class"),
    ],
    values: &[
        // Each change of the row at its replica has a higher one.
        Column::integer("version"),
        Column::integer("inferred"),
        Column::integer("bodies"),
        Column::time("first_seen"),
        Column::time("last_seen"),
        Column::text("fields"),
    ],
    watches: &[
        Watch { event: "INSERT", ..IN_SHAPES },
        Watch { event: "UPDATE", ..IN_SHAPES },
        Watch { event: "DELETE", ..IN_SHAPES },
    ],
    read: "
SELECT ?1 ->> 0, ?1 ->> 1, ?1 ->> 2, ?1 ->> 3, ?1 ->> 4, ?1 ->> 5, ?1 ->> 6,
       coalesce((SELECT max(id) FROM untold WHERE kind = 'shapes' AND key = ?1), 0),
       coalesce(inferred, 0), coalesce(bodies, 0), coalesce(first_seen, unixepoch() * 1000000000),
       coalesce(last_seen, unixepoch() * 1000000000), coalesce(fields, '')
FROM (SELECT 1) LEFT JOIN shapes
ON (service, environment, direction, method, route, message, class)
   = (?1 ->> 0, ?1 ->> 1, ?1 ->> 2, ?1 ->> 3, ?1 ->> 4, ?1 ->> 5, ?1 ->> 6)",
    merge: Merge::With(merge_shape),
    of_gateway: false,
    tables: "
CREATE TABLE IF NOT EXISTS main.shapes_elsewhere ( -- those of other replicas
    id INTEGER PRIMARY KEY AUTOINCREMENT,       -- another one with each change
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    direction TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    message TEXT NOT NULL,
    class INTEGER NOT NULL,
    replica TEXT NOT NULL,
    shown TEXT NOT NULL,                        -- the route under which it is shown
    version INTEGER NOT NULL,
    inferred INTEGER NOT NULL,
    bodies INTEGER NOT NULL,                    -- 0: it was removed
    first_seen INTEGER NOT NULL,                -- Unix nanoseconds
    last_seen INTEGER NOT NULL,
    fields TEXT NOT NULL,                       -- JSON
    UNIQUE (service, environment, direction, method, route, message, class, replica)
);
CREATE INDEX IF NOT EXISTS main.shapes_elsewhere_shown
ON shapes_elsewhere (service, environment, direction, method, shown, message, class);
",
};

const IN_SHAPES: Watch = Watch {
    table: "shapes",
    event: "",
    when: "1",
    key: "json_array(own.service, own.environment, own.direction, own.method, own.route, own.message, own.class)",
    pace: Pace::Soon,
};

fn merge_shape(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    check_message(fields, Message::ALL.map(Message::name).as_slice())?;
    if fields.integer("bodies") > 0 {
        let root: Field = serde_json::from_str(fields.text("fields"))
            .map_err(|error| Unmerged::Unfit(format!("its fields cannot be read: {error}")))?;
        if root.size() > MAX_FIELDS {
            return Err(Unmerged::Unfit("it has too many fields".to_owned()));
        }
    }
    let mut put = file.prepare_cached(
        "INSERT OR REPLACE INTO shapes_elsewhere
             (service, environment, direction, method, route, message, class, replica, shown, version, inferred,
              bodies, first_seen, last_seen, fields)
         SELECT :service, :environment, :direction, :method, :route, :message, :class, :replica,
                coalesce((SELECT shown FROM shapes_elsewhere
                    WHERE (service, environment, direction, method, route, message, class, replica)
                        = (:service, :environment, :direction, :method, :route, :message, :class, :replica)
                      AND inferred AND :inferred), :route),
                :version, :inferred, max(:bodies, 0), :first_seen, :last_seen, :fields
         WHERE NOT EXISTS (SELECT 1 FROM shapes_elsewhere
             WHERE (service, environment, direction, method, route, message, class, replica)
                 = (:service, :environment, :direction, :method, :route, :message, :class, :replica)
               AND version >= :version)",
    )?;
    fields.bind(&mut put)?;
    put.raw_execute()?;
    Ok(())
}

/// Changes, also those of routes, which every replica finds by itself: the earliest one is the same at all.
pub(crate) const CHANGES: Kind = Kind {
    name: "drift",
    key: &[
        Column::text("service"),
        Column::text("environment"),
        Column::text("direction"),
        Column::text("method"),
        Column::text("route"),
        Column::text("message"),
        Column::integer("class"),
        Column::text("kind"),
        Column::text("field"),
        Column::time("time"),
    ],
    values: &[
        Column::text("before"),
        Column::text("after"),
        Column::text("release"),
        Column::text("request_id"),
        Column::text("trace_id"),
    ],
    watches: &[Watch {
        table: "drift",
        event: "INSERT",
        when: "1",
        key: "json_array(own.id)",
        pace: Pace::Soon,
    }],
    read: "SELECT service, environment, direction, method, route, message, class, kind, field, time, before, after,
                  release, request_id, trace_id FROM drift WHERE id = ?1 ->> 0",
    merge: Merge::With(merge),
    of_gateway: false,
    tables: "",
};

fn merge(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    check_message(fields, &["", Message::Request.name(), Message::Response.name()])?;
    if !ChangeKind::ALL.iter().any(|kind| kind.name() == fields.text("kind")) {
        return Err(Unmerged::Unfit("its kind is not known".to_owned()));
    }
    let place = ["kind", "service", "environment", "direction", "method", "route", "message", "field"];
    let shown_by = ["before", "after", "release", "request_id", "trace_id"];
    let change = Noted {
        time: fields.integer("time"),
        class: fields.integer("class"),
        place: place.map(|name| fields.text(name).to_owned()),
        shown_by: shown_by.map(|name| fields.text(name).to_owned()),
    };
    Ok(merge_change(file, &change)?)
}

fn check_message(fields: &Fields, known: &[&str]) -> Result<(), Unmerged> {
    if !known.contains(&fields.text("message")) || !(0..=9).contains(&fields.integer("class")) {
        return Err(Unmerged::Unfit("its message or class is not known".to_owned()));
    }
    Ok(())
}
