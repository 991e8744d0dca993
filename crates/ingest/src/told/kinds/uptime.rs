//! Minutes in which gateways reported and probes were made, and the latest results of probes.

use crate::store::trim_probe_results;
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use rusqlite::Connection;

/// Minutes of services and routes are not told: every replica finds them out of the counts of all.
pub(crate) const UPTIME: Kind = Kind {
    name: "uptime",
    key: &[
        Column::text("kind"),
        Column::integer("hour"),
        Column::text("service"),
        Column::text("environment"),
        Column::text("name"),
    ],
    values: &[Column::integer("seen"), Column::integer("bad")],
    watches: &[
        Watch { event: "INSERT", pace: Pace::Soon, ..IN_UPTIME },
        Watch { event: "UPDATE", pace: Pace::Later, ..IN_UPTIME },
    ],
    read: "SELECT kind, hour, service, environment, name, seen, bad FROM uptime
           WHERE kind = ?1 ->> 0 AND hour = ?1 ->> 1 AND service = ?1 ->> 2 AND environment = ?1 ->> 3 AND name = ?1 ->> 4",
    merge: Merge::Sql(
        "INSERT INTO uptime (kind, hour, service, environment, name, seen, bad)
         SELECT :kind, :hour, :service, :environment, :name, :seen, :bad WHERE :kind IN ('gateway', 'probe')
         ON CONFLICT DO UPDATE SET seen = seen | excluded.seen, bad = bad | excluded.bad",
    ),
    of_gateway: false,
    tables: "",
};

const IN_UPTIME: Watch = Watch {
    table: "uptime",
    event: "",
    when: "own.kind IN ('gateway', 'probe')",
    key: "json_array(own.kind, own.hour, own.service, own.environment, own.name)",
    pace: Pace::Soon,
};

pub(crate) const PROBE_RESULTS: Kind = Kind {
    name: "probe_results",
    key: &[Column::text("name"), Column::time("time")],
    values: &[Column::integer("status"), Column::real("duration_ms"), Column::text("error")],
    watches: &[Watch {
        table: "probe_results",
        event: "INSERT",
        when: "1",
        key: "json_array(own.name, own.time)",
        pace: Pace::Soon,
    }],
    read: "SELECT name, time, status, duration_ms, error FROM probe_results WHERE name = ?1 ->> 0 AND time = ?1 ->> 1",
    merge: Merge::With(merge_result),
    of_gateway: false,
    tables: "",
};

fn merge_result(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    let mut put = file.prepare_cached(
        "INSERT INTO probe_results (name, time, status, duration_ms, error)
         VALUES (:name, :time, :status, :duration_ms, :error)
         ON CONFLICT DO UPDATE SET status = excluded.status, duration_ms = excluded.duration_ms, error = excluded.error
         WHERE (excluded.status, excluded.duration_ms, excluded.error) > (status, duration_ms, error)",
    )?;
    fields.bind(&mut put)?;
    put.raw_execute()?;
    Ok(trim_probe_results(file, fields.text("name"))?)
}
