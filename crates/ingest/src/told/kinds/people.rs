//! Consumers, and what people wrote and did.

use crate::directory::MAX_ENTRIES;
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use rusqlite::{Connection, OptionalExtension};

pub(crate) const CONSUMERS: Kind = Kind {
    name: "consumers",
    key: &[
        Column::text("service"),
        Column::text("environment"),
        Column::text("direction"),
        Column::text("id"),
    ],
    values: &[
        Column::text("name"),
        Column::text("grp"),
        Column::time("labelled_at"),
        Column::time("first_seen"),
        Column::time("last_seen"),
    ],
    watches: &[
        Watch {
            table: "consumers",
            event: "INSERT",
            when: "1",
            key: "json_array(own.service, own.environment, own.direction, own.id)",
            pace: Pace::Soon,
        },
        Watch {
            table: "consumers",
            event: "UPDATE OF name, grp, labelled_at",
            when: "(OLD.name, OLD.grp) <> (NEW.name, NEW.grp)",
            key: "json_array(own.service, own.environment, own.direction, own.id)",
            pace: Pace::Soon,
        },
        Watch {
            table: "consumers",
            event: "UPDATE",
            when: "1",
            key: "json_array(own.service, own.environment, own.direction, own.id)",
            pace: Pace::Slowly,
        },
    ],
    read: "SELECT service, environment, direction, id, name, grp, labelled_at, first_seen, last_seen FROM consumers
           WHERE service = ?1 ->> 0 AND environment = ?1 ->> 1 AND direction = ?1 ->> 2 AND id = ?1 ->> 3",
    merge: Merge::Sql(MERGE_CONSUMER),
    of_gateway: false,
    tables: "",
};

/// A name that is empty says nothing.
const MERGE_CONSUMER: &str = "
INSERT INTO consumers (service, environment, direction, id, name, grp, labelled_at, first_seen, last_seen)
VALUES (:service, :environment, :direction, :id, :name, :grp, :labelled_at, :first_seen, :last_seen)
ON CONFLICT DO UPDATE SET
    name = iif(name = '' OR excluded.name <> '' AND (excluded.labelled_at, excluded.name) > (labelled_at, name),
               excluded.name, name),
    grp = iif(grp = '' OR excluded.grp <> '' AND (excluded.labelled_at, excluded.grp) > (labelled_at, grp),
              excluded.grp, grp),
    labelled_at = max(labelled_at, excluded.labelled_at),
    first_seen = min(first_seen, excluded.first_seen),
    last_seen = max(last_seen, excluded.last_seen)";

/// An entry, or that it was removed.
pub(crate) const DIRECTORY: Kind = Kind {
    name: "directory",
    key: &[Column::text("id")],
    values: &[
        Column::time("changed_at"),
        Column::integer("is_removed"),
        Column::text("name"),
        Column::text("grp"),
        Column::text("note"),
        Column::text("changed_by"),
    ],
    watches: &[
        Watch { event: "INSERT", ..IN_DIRECTORY },
        Watch { event: "UPDATE", ..IN_DIRECTORY },
        Watch { event: "DELETE", ..IN_DIRECTORY },
    ],
    read: "SELECT id, changed_at, 0, name, grp, note, changed_by FROM directory WHERE id = ?1 ->> 0
           UNION ALL SELECT id, at, 1, '', '', '', '' FROM directory_removed WHERE id = ?1 ->> 0 LIMIT 1",
    merge: Merge::With(merge_directory),
    of_gateway: false,
    // A change here is later than what it changes, whatever the clocks of the replicas show.
    tables: "
CREATE TABLE IF NOT EXISTS main.directory_removed (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL             -- Unix nanoseconds
) WITHOUT ROWID;
CREATE TEMP TRIGGER IF NOT EXISTS note_entry_gone AFTER DELETE ON main.directory
WHEN NOT EXISTS (SELECT 1 FROM taking) BEGIN
    DELETE FROM directory_removed WHERE id = OLD.id;
    INSERT INTO directory_removed
    VALUES (OLD.id, max(OLD.changed_at + 1, CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER) * 1000000));
END;
CREATE TEMP TRIGGER IF NOT EXISTS note_entry_made AFTER INSERT ON main.directory
WHEN NOT EXISTS (SELECT 1 FROM taking) BEGIN
    UPDATE directory SET changed_at = max(changed_at, (SELECT at + 1 FROM directory_removed WHERE id = NEW.id))
    WHERE id = NEW.id AND id IN (SELECT id FROM directory_removed);
    DELETE FROM directory_removed WHERE id = NEW.id;
END;
CREATE TEMP TRIGGER IF NOT EXISTS note_entry_changed AFTER UPDATE OF changed_at ON main.directory
WHEN NEW.changed_at <= OLD.changed_at AND NOT EXISTS (SELECT 1 FROM taking) BEGIN
    UPDATE directory SET changed_at = OLD.changed_at + 1 WHERE id = NEW.id;
END;
",
};

const IN_DIRECTORY: Watch =
    Watch { table: "directory", event: "", when: "1", key: "json_array(own.id)", pace: Pace::Soon };

fn merge_directory(file: &Connection, fields: &Fields) -> Result<(), Unmerged> {
    type Entry = (i64, i64, [String; 4]);
    let id = fields.text("id");
    let told = (
        fields.integer("changed_at"),
        fields.integer("is_removed"),
        ["name", "grp", "note", "changed_by"].map(|name| fields.text(name).to_owned()),
    );
    let mut find = file.prepare_cached(
        "SELECT changed_at, 0, name, grp, note, changed_by FROM directory WHERE id = ?1
         UNION ALL SELECT at, 1, '', '', '', '' FROM directory_removed WHERE id = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, row.get(1)?, [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]))
    };
    let known: Option<Entry> = find.query_row([id], read).optional()?;
    if known.as_ref().is_some_and(|known| *known >= told) {
        return Ok(());
    }
    let is_entry = known.is_some_and(|(_, is_removed, _)| is_removed == 0);
    if told.1 != 0 {
        file.prepare_cached("DELETE FROM directory WHERE id = ?")?.execute([id])?;
        file.prepare_cached("INSERT OR REPLACE INTO directory_removed VALUES (?, ?)")?
            .execute((id, told.0))?;
        return Ok(());
    }
    let count = || file.query_row("SELECT count(*) FROM directory", [], |row| row.get::<_, i64>(0));
    if !is_entry && usize::try_from(count()?).is_ok_and(|all| all >= MAX_ENTRIES) {
        return Err(Unmerged::Unfit("the directory is full".to_owned()));
    }
    file.prepare_cached("DELETE FROM directory_removed WHERE id = ?")?.execute([id])?;
    let mut put = file.prepare_cached(
        "INSERT OR REPLACE INTO directory (id, name, grp, note, changed_at, changed_by)
         VALUES (:id, :name, :grp, :note, :changed_at, :changed_by)",
    )?;
    fields.bind(&mut put)?;
    put.raw_execute()?;
    Ok(())
}

/// Entries of others come once, because an entry never changes.
pub(crate) const AUDIT: Kind = Kind {
    name: "audit",
    key: &[Column::time("time"), Column::integer("id")],
    values: &[
        Column::text("actor"),
        Column::text("role"),
        Column::text("peer"),
        Column::text("action"),
        Column::text("detail"),
    ],
    watches: &[Watch {
        table: "audit",
        event: "INSERT",
        when: "1",
        key: "json_array(own.id)",
        pace: Pace::Soon,
    }],
    read: "SELECT time, id, actor, role, peer, action, detail FROM audit WHERE id = ?1 ->> 0",
    merge: Merge::Sql(
        "INSERT INTO audit (time, actor, role, peer, action, detail)
         SELECT :time, :actor, :role, :peer, :action, :detail
         WHERE NOT EXISTS (SELECT 1 FROM audit WHERE time = :time AND (actor, role, peer, action, detail)
                                                                   = (:actor, :role, :peer, :action, :detail))",
    ),
    of_gateway: false,
    tables: "",
};
