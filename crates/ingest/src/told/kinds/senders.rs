//! Gateways, and what they report of themselves.

use crate::sequence::Received;
use crate::store::StoreError;
use crate::store::gateways::note_tags;
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// What names a gateway at all replicas.
const GATEWAY: [Column; 3] = [Column::text("instance"), Column::text("epoch"), Column::text("environment")];

pub(crate) const GATEWAYS: Kind = Kind {
    name: "gateways",
    key: &GATEWAY,
    values: &[
        Column::text("service"),
        Column::text("version").or_null(),
        Column::text("config_hash").or_null(),
        Column::integer("series").or_null(),
        Column::time("first_seen"),
        Column::time("last_seen"),
    ],
    watches: &[
        Watch {
            table: "gateways",
            event: "INSERT",
            when: "1",
            key: "json_array(own.instance, own.epoch, own.environment)",
            pace: Pace::Soon,
        },
        Watch {
            table: "gateways",
            event: "UPDATE",
            when: "1",
            key: "json_array(own.instance, own.epoch, own.environment)",
            pace: Pace::Later,
        },
    ],
    read: "SELECT instance, epoch, environment, service, version, config_hash, series, first_seen, last_seen FROM gateways
           WHERE instance = ?1 ->> 0 AND epoch = ?1 ->> 1 AND environment = ?1 ->> 2",
    merge: Merge::Sql(MERGE_GATEWAY),
    of_gateway: false,
    tables: "",
};

const MERGE_GATEWAY: &str = "
INSERT INTO gateways (instance, epoch, service, environment, version, config_hash, series, first_seen, last_seen)
VALUES (:instance, :epoch, :service, :environment, :version, :config_hash, :series, :first_seen, :last_seen)
ON CONFLICT (instance, epoch, environment) DO UPDATE SET
    (service, version, config_hash, series) =
        (SELECT iif(is_later, excluded.service, service), iif(is_later, excluded.version, version),
                iif(is_later, excluded.config_hash, config_hash),
                iif(is_later, coalesce(excluded.series, series), coalesce(series, excluded.series))
         FROM (SELECT (excluded.last_seen, excluded.service, coalesce(excluded.version, ''),
                       coalesce(excluded.config_hash, ''), coalesce(excluded.series, -1))
                    > (last_seen, service, coalesce(version, ''), coalesce(config_hash, ''), coalesce(series, -1))
                      AS is_later)),
    first_seen = min(first_seen, excluded.first_seen),
    last_seen = max(last_seen, excluded.last_seen)";

pub(crate) const REPORTS: Kind = Kind {
    name: "reports",
    key: &GATEWAY,
    values: &[
        Column::time("time"),
        Column::integer("captured").or_null(),
        Column::integer("sent").or_null(),
        Column::integer("queue_full").or_null(),
        Column::integer("rejected").or_null(),
        Column::integer("expired").or_null(),
        Column::integer("lost").or_null(),
        Column::integer("queue_bytes").or_null(),
        Column::integer("export_failures").or_null(),
        Column::integer("workers").or_null(),
        Column::integer("workers_lost").or_null(),
        Column::integer("active_requests").or_null(),
        Column::real("busy_seconds").or_null(),
        Column::integer("uncounted").or_null(),
        Column::integer("excluded").or_null(),
        Column::integer("sampled_out").or_null(),
        Column::integer("excluded_from_counters").or_null(),
        Column::text("direction").or_null(),
    ],
    watches: &[
        Watch { event: "INSERT", pace: Pace::Soon, ..ROW_OF_GATEWAY_IN_REPORTS },
        Watch { event: "UPDATE", pace: Pace::Later, ..ROW_OF_GATEWAY_IN_REPORTS },
    ],
    read: "SELECT g.instance, g.epoch, g.environment, r.time, r.captured, r.sent, r.queue_full, r.rejected, r.expired, r.lost,
                  r.queue_bytes, r.export_failures, r.workers, r.workers_lost, r.active_requests, r.busy_seconds,
                  r.uncounted, r.excluded, r.sampled_out, r.excluded_from_counters, r.direction
           FROM reports r JOIN gateways g ON g.id = r.gateway_id WHERE r.gateway_id = ?1 ->> 0",
    merge: Merge::Sql(
        "INSERT INTO reports (gateway_id, time, captured, sent, queue_full, rejected, expired, lost, queue_bytes,
             export_failures, workers, workers_lost, active_requests, busy_seconds, uncounted, excluded, sampled_out,
             excluded_from_counters, direction)
         SELECT id, :time, :captured, :sent, :queue_full, :rejected, :expired, :lost, :queue_bytes,
             :export_failures, :workers, :workers_lost, :active_requests, :busy_seconds, :uncounted, :excluded, :sampled_out,
             :excluded_from_counters, :direction
         FROM gateways WHERE instance = :instance AND epoch = :epoch AND environment = :environment
         ON CONFLICT DO UPDATE SET
             time = excluded.time, captured = excluded.captured, sent = excluded.sent, queue_full = excluded.queue_full,
             rejected = excluded.rejected, expired = excluded.expired, lost = excluded.lost,
             queue_bytes = excluded.queue_bytes, export_failures = excluded.export_failures,
             workers = excluded.workers, workers_lost = excluded.workers_lost,
             active_requests = excluded.active_requests, busy_seconds = excluded.busy_seconds,
             uncounted = excluded.uncounted, excluded = excluded.excluded, sampled_out = excluded.sampled_out,
             excluded_from_counters = excluded.excluded_from_counters, direction = excluded.direction
         WHERE (excluded.time, coalesce(excluded.captured, -1), coalesce(excluded.sent, -1))
             > (time, coalesce(captured, -1), coalesce(sent, -1))",
    ),
    of_gateway: true,
    tables: "",
};

const ROW_OF_GATEWAY_IN_REPORTS: Watch =
    Watch { table: "reports", event: "", when: "1", key: "json_array(own.gateway_id)", pace: Pace::Soon };

pub(crate) const REDACTION: Kind = Kind {
    name: "redaction",
    key: &[
        Column::text("instance"),
        Column::text("epoch"),
        Column::text("environment"),
        Column::text("what"),
    ],
    values: &[Column::time("time"), Column::text("content")],
    watches: &[
        Watch { event: "INSERT", pace: Pace::Soon, ..IN_REDACTION },
        Watch { event: "UPDATE", pace: Pace::Later, ..IN_REDACTION },
    ],
    read: "SELECT g.instance, g.epoch, g.environment, r.what, r.time, r.content
           FROM redaction r JOIN gateways g ON g.id = r.gateway_id WHERE r.gateway_id = ?1 ->> 0 AND r.what = ?1 ->> 1",
    merge: Merge::Sql(
        "INSERT INTO redaction (gateway_id, what, time, content)
         SELECT id, :what, :time, :content
         FROM gateways WHERE instance = :instance AND epoch = :epoch AND environment = :environment
         ON CONFLICT DO UPDATE SET time = excluded.time, content = excluded.content
         WHERE (excluded.time, excluded.content) > (time, content)",
    ),
    of_gateway: true,
    tables: "",
};

const IN_REDACTION: Watch = Watch {
    table: "redaction",
    event: "",
    when: "1",
    key: "json_array(own.gateway_id, own.what)",
    pace: Pace::Soon,
};

pub(crate) const COARSE_INTERVALS: Kind = Kind {
    name: "coarse_intervals",
    key: &[
        Column::text("instance"),
        Column::text("epoch"),
        Column::text("environment"),
        Column::time("until"),
    ],
    values: &[Column::time("since")],
    watches: &[Watch {
        table: "coarse_intervals",
        event: "INSERT",
        when: "1",
        key: "json_array(own.gateway_id, own.until)",
        pace: Pace::Soon,
    }],
    read: "SELECT g.instance, g.epoch, g.environment, c.until, c.since
           FROM coarse_intervals c JOIN gateways g ON g.id = c.gateway_id
           WHERE c.gateway_id = ?1 ->> 0 AND c.until = ?1 ->> 1",
    merge: Merge::Sql(
        "INSERT INTO coarse_intervals (gateway_id, since, until)
         SELECT id, :since, :until
         FROM gateways WHERE instance = :instance AND epoch = :epoch AND environment = :environment
         ON CONFLICT DO UPDATE SET since = excluded.since WHERE excluded.since < since",
    ),
    of_gateway: true,
    tables: "",
};

/// All tags of a gateway are one row, because they change together. The time of the change is told with them.
pub(crate) const TAGS: Kind = Kind {
    name: "tags",
    key: &GATEWAY,
    values: &[Column::time("changed_at"), Column::text("tags")],
    watches: &[
        Watch {
            table: "tags",
            event: "INSERT",
            when: "1",
            key: "json_array(own.gateway_id)",
            pace: Pace::Soon,
        },
        Watch {
            table: "tags",
            event: "DELETE",
            when: "1",
            key: "json_array(own.gateway_id)",
            pace: Pace::Soon,
        },
    ],
    read: "SELECT g.instance, g.epoch, g.environment, coalesce(c.at, g.first_seen),
                  (SELECT json_group_object(name, value)
                   FROM (SELECT name, value FROM tags WHERE gateway_id = g.id ORDER BY name))
           FROM gateways g LEFT JOIN tags_changed c ON c.gateway_id = g.id WHERE g.id = ?1 ->> 0",
    merge: Merge::With(merge_tags),
    of_gateway: true,
    tables: "
CREATE TABLE IF NOT EXISTS main.tags_changed (
    gateway_id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL             -- Unix nanoseconds
);
CREATE TEMP TRIGGER IF NOT EXISTS note_tags_made AFTER INSERT ON main.tags
WHEN NOT EXISTS (SELECT 1 FROM taking) BEGIN
    DELETE FROM tags_changed WHERE gateway_id = NEW.gateway_id;
    INSERT INTO tags_changed SELECT id, last_seen FROM gateways WHERE id = NEW.gateway_id;
END;
CREATE TEMP TRIGGER IF NOT EXISTS note_tags_gone AFTER DELETE ON main.tags
WHEN NOT EXISTS (SELECT 1 FROM taking) BEGIN
    DELETE FROM tags_changed WHERE gateway_id = OLD.gateway_id;
    INSERT INTO tags_changed SELECT id, last_seen FROM gateways WHERE id = OLD.gateway_id;
END;
",
};

fn merge_tags(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    let unfit = |error: serde_json::Error| Unmerged::Unfit(error.to_string());
    let tags: BTreeMap<String, String> = serde_json::from_str(fields.text("tags")).map_err(unfit)?;
    let mut find = file.prepare_cached(
        "SELECT g.id, coalesce(c.at, iif(t.n > 0, g.first_seen, 0)), t.tags
         FROM gateways g LEFT JOIN tags_changed c ON c.gateway_id = g.id,
              (SELECT count(*) AS n, json_group_object(name, value) AS tags FROM
                  (SELECT name, value FROM tags WHERE gateway_id =
                      (SELECT id FROM gateways WHERE instance = ?1 AND epoch = ?2 AND environment = ?3) ORDER BY name)) t
         WHERE g.instance = ?1 AND g.epoch = ?2 AND g.environment = ?3",
    )?;
    let of = params![fields.text("instance"), fields.text("epoch"), fields.text("environment")];
    let (gateway, at, known): (i64, i64, String) =
        find.query_row(of, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let changed_at = fields.integer("changed_at");
    if (changed_at, fields.text("tags")) <= (at, known.as_str()) {
        return Ok(());
    }
    note_tags(file, gateway, &tags)?;
    file.prepare_cached("INSERT OR REPLACE INTO tags_changed VALUES (?, ?)")?
        .execute([gateway, changed_at])?;
    Ok(())
}

pub(crate) const SEQUENCES: Kind = Kind {
    name: "sequences",
    key: &[
        Column::text("instance"),
        Column::text("epoch"),
        Column::text("environment"),
        Column::integer("signal"),
    ],
    values: &[Column::blob("received")],
    watches: &[
        Watch { event: "INSERT", ..IN_SEQUENCES },
        // Soon, because a number that another replica has is a gap here until then.
        Watch { event: "UPDATE", ..IN_SEQUENCES },
    ],
    read: "SELECT instance, epoch, environment, signal, received FROM sequences
           WHERE instance = ?1 ->> 0 AND epoch = ?1 ->> 1 AND environment = ?1 ->> 2 AND signal = ?1 ->> 3",
    merge: Merge::With(merge_sequences),
    of_gateway: false,
    tables: "",
};

const IN_SEQUENCES: Watch = Watch {
    table: "sequences",
    event: "",
    when: "1",
    key: "json_array(own.instance, own.epoch, own.environment, own.signal)",
    pace: Pace::Soon,
};

fn merge_sequences(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    let told = Received::decode(fields.bytes("received"));
    let told = told.ok_or_else(|| Unmerged::Unfit("its sequences cannot be read".to_owned()))?;
    let key = params![
        fields.text("instance"),
        fields.text("epoch"),
        fields.text("environment"),
        fields.integer("signal")
    ];
    let mut find = file.prepare_cached(
        "SELECT received FROM sequences WHERE instance = ? AND epoch = ? AND environment = ? AND signal = ?",
    )?;
    let known: Option<Vec<u8>> = find.query_row(key, |row| row.get(0)).optional()?;
    let mut all = match &known {
        Some(bytes) => Received::decode(bytes).ok_or(StoreError::Unreadable { what: "list of sequences" })?,
        None => Received::default(),
    };
    all.merge(&told);
    let received = all.encode();
    if known.as_ref() != Some(&received) {
        let mut put = file.prepare_cached(
            "INSERT INTO sequences (instance, epoch, environment, signal, received)
             VALUES (:instance, :epoch, :environment, :signal, :all)
             ON CONFLICT DO UPDATE SET received = excluded.received",
        )?;
        fields.bind(&mut put)?;
        if let Some(index) = put.parameter_index(":all")? {
            put.raw_bind_parameter(index, received)?;
        }
        put.raw_execute()?;
    }
    Ok(())
}
