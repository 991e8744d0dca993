//! Who sent to the request log. Requests themselves are on the server.

use super::senders::{GATEWAYS, SEQUENCES};
use crate::told::{Column, Fields, Kind, Merge, Pace, Unmerged, Watch};
use rusqlite::Connection;

pub(crate) const LOG_GATEWAYS: Kind = Kind { name: "log_gateways", ..GATEWAYS };

pub(crate) const LOG_SEQUENCES: Kind = Kind { name: "log_sequences", ..SEQUENCES };

const ACCEPTED_KEY: [Column; 4] =
    [Column::text("instance"), Column::text("epoch"), Column::text("environment"), Column::integer("day")];

/// Numbers of records, which are summed over replicas: each tells those that it has accepted itself.
pub(crate) const ACCEPTED: Kind = Kind {
    name: "accepted",
    key: &ACCEPTED_KEY,
    values: &[Column::integer("records")],
    watches: &[
        Watch { event: "INSERT", pace: Pace::Soon, ..IN_ACCEPTED },
        Watch { event: "UPDATE", pace: Pace::Later, ..IN_ACCEPTED },
    ],
    read: "SELECT instance, epoch, environment, day, records FROM accepted
           WHERE instance = ?1 ->> 0 AND epoch = ?1 ->> 1 AND environment = ?1 ->> 2 AND day = ?1 ->> 3",
    merge: Merge::With(nothing),
    of_gateway: false,
    tables: "",
};

const IN_ACCEPTED: Watch = Watch {
    table: "accepted",
    event: "",
    when: "1",
    key: "json_array(own.instance, own.epoch, own.environment, own.day)",
    pace: Pace::Soon,
};

fn nothing(_: &Connection, _: &Fields) -> Result<(), Unmerged> {
    Ok(())
}

/// The numbers of others, in the file of counters, which outlives those of days.
pub(crate) const ACCEPTED_ELSEWHERE: Kind = Kind {
    watches: &[],
    read: "",
    merge: Merge::Sql(
        "INSERT INTO accepted_elsewhere (instance, epoch, environment, day, replica, records)
         VALUES (:instance, :epoch, :environment, :day, :replica, :records)
         ON CONFLICT DO UPDATE SET records = excluded.records WHERE excluded.records > records",
    ),
    tables: "
CREATE TABLE IF NOT EXISTS main.accepted_elsewhere (
    instance TEXT NOT NULL,
    epoch TEXT NOT NULL,
    environment TEXT NOT NULL,
    day INTEGER NOT NULL,           -- days since 1970
    replica TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (instance, epoch, environment, day, replica)
) WITHOUT ROWID;
DELETE FROM main.accepted_elsewhere WHERE day < unixepoch() / 86400 - 400;
",
    ..ACCEPTED
};
