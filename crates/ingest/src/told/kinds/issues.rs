//! Error issues. Each replica tells what it has counted itself; sums are made of the parts of all.

use crate::issues::parts;
use crate::told::{Column, Kind, Merge, Pace, Watch};

/// The environment is in the keys so that what is forgotten of it is found.
const ISSUE: Column = Column::text("issue");
const ENVIRONMENT: Column = Column::text("environment");

/// Own parts only: each replica tells its own.
const OWN: &str = "own.replica = (SELECT replica FROM me)";

pub(crate) const ISSUES: Kind = Kind {
    name: "issue",
    key: &[ISSUE, ENVIRONMENT],
    values: &[
        Column::text("failure"),
        Column::text("kind"),
        Column::text("service"),
        Column::text("direction"),
        Column::text("method"),
        Column::text("route"),
        Column::integer("status"),
        Column::integer("grpc_status").or_null(),
        Column::text("error_type"),
        Column::text("class"),
        Column::text("message"),
        Column::time("changed"),
        Column::real("requests"),
        Column::integer("logged"),
        Column::integer("first_seen"),
        Column::integer("last_seen"),
        Column::text("first_version"),
        Column::text("last_version"),
        Column::integer("more_consumers"),
    ],
    watches: &[
        Watch { event: "INSERT", pace: Pace::Soon, ..IN_PARTS },
        Watch { event: "UPDATE", pace: Pace::Later, ..IN_PARTS },
    ],
    read: "SELECT i.id, i.environment, i.failure, i.kind, i.service, i.direction, i.method, i.route, i.status, i.grpc_status,
                  i.error_type, i.class, i.message, p.changed, p.requests, p.logged, p.first_seen, p.last_seen,
                  p.first_version, p.last_version, p.more_consumers
           FROM issue_parts p JOIN issues i ON i.id = p.issue
           WHERE p.issue = ?1 ->> 0 AND p.replica = (SELECT replica FROM me)",
    merge: Merge::With(parts::merge_issue),
    of_gateway: false,
    tables: parts::TABLES,
};

const IN_PARTS: Watch =
    Watch { table: "issue_parts", event: "", when: OWN, key: "json_array(own.issue)", pace: Pace::Soon };

/// What a person has decided last, and since when it does not hold any more, because the issue has regressed.
pub(crate) const DECISIONS: Kind = Kind {
    name: "issue_decisions",
    key: &[ISSUE, ENVIRONMENT],
    values: &[
        Column::time("changed_at"),
        Column::text("changed_by"),
        Column::text("standing"),
        Column::text("known_versions").or_null(),
        Column::time("resolved_at").or_null(),
        Column::integer("regressed_at").or_null(),
    ],
    watches: &[Watch {
        table: "issues",
        event: "UPDATE OF standing, changed_at, regressed_at",
        when: "own.changed_at IS NOT NULL",
        key: "json_array(own.id)",
        pace: Pace::Soon,
    }],
    read: "SELECT id, environment, changed_at, coalesce(changed_by, ''), iif(regressed_at IS NULL, standing, 'resolved'),
                  known_versions, resolved_at, regressed_at
           FROM issues WHERE id = ?1 ->> 0 AND changed_at IS NOT NULL",
    merge: Merge::With(parts::merge_decision),
    of_gateway: false,
    // A decision here is later than what it changes, whatever the clocks of the replicas show.
    tables: "
CREATE TEMP TRIGGER IF NOT EXISTS note_decision AFTER UPDATE OF changed_at ON main.issues
WHEN NEW.changed_at <= OLD.changed_at AND NOT EXISTS (SELECT 1 FROM taking) BEGIN
    UPDATE issues SET changed_at = OLD.changed_at + 1 WHERE id = NEW.id;
END;
",
};

/// The hours of a day are one row.
pub(crate) const HOURS: Kind = Kind {
    name: "issue_hours",
    key: &[ISSUE, ENVIRONMENT, Column::integer("day")],
    values: &[Column::text("hours")],
    watches: &[Watch { event: "INSERT", ..IN_HOURS }, Watch { event: "UPDATE", ..IN_HOURS }],
    read: "SELECT i.id, i.environment, ?1 ->> 1, json_group_object(p.hour, p.requests)
           FROM hour_parts p JOIN issues i ON i.id = p.issue
           WHERE p.issue = ?1 ->> 0 AND p.hour BETWEEN (?1 ->> 1) * 24 AND (?1 ->> 1) * 24 + 23
             AND p.replica = (SELECT replica FROM me)
           GROUP BY i.id",
    merge: Merge::With(parts::merge_hours),
    of_gateway: false,
    tables: "",
};

const IN_HOURS: Watch = Watch {
    table: "hour_parts",
    event: "",
    when: OWN,
    key: "json_array(own.issue, own.hour / 24)",
    pace: Pace::Later,
};

pub(crate) const VALUES: Kind = Kind {
    name: "issue_values",
    key: &[ISSUE, ENVIRONMENT, Column::text("dimension"), Column::text("value")],
    values: &[Column::time("changed"), Column::real("requests"), Column::integer("last_seen")],
    watches: &[Watch { event: "INSERT", ..IN_VALUES }, Watch { event: "UPDATE", ..IN_VALUES }],
    read: "SELECT i.id, i.environment, p.dimension, p.value, p.changed, p.requests, p.last_seen
           FROM value_parts p JOIN issues i ON i.id = p.issue
           WHERE p.issue = ?1 ->> 0 AND p.dimension = ?1 ->> 1 AND p.value = ?1 ->> 2
             AND p.replica = (SELECT replica FROM me)",
    merge: Merge::With(parts::merge_value),
    of_gateway: false,
    tables: "",
};

const IN_VALUES: Watch = Watch {
    table: "value_parts",
    event: "",
    when: OWN,
    key: "json_array(own.issue, own.dimension, own.value)",
    pace: Pace::Later,
};

pub(crate) const FIELDS: Kind = Kind {
    name: "issue_fields",
    key: &[ISSUE, ENVIRONMENT, Column::text("field"), Column::text("kind")],
    values: &[
        Column::time("changed"),
        Column::text("message"),
        Column::real("requests"),
        Column::integer("last_seen"),
    ],
    watches: &[
        Watch { event: "INSERT", ..IN_FIELDS },
        Watch { event: "UPDATE", ..IN_FIELDS },
    ],
    read: "SELECT i.id, i.environment, p.field, p.kind, p.changed, p.message, p.requests, p.last_seen
           FROM field_parts p JOIN issues i ON i.id = p.issue
           WHERE p.issue = ?1 ->> 0 AND p.field = ?1 ->> 1 AND p.kind = ?1 ->> 2 AND p.replica = (SELECT replica FROM me)",
    merge: Merge::With(parts::merge_field),
    of_gateway: false,
    tables: "",
};

const IN_FIELDS: Watch = Watch {
    table: "field_parts",
    event: "",
    when: OWN,
    key: "json_array(own.issue, own.field, own.kind)",
    pace: Pace::Later,
};

/// All examples of a replica are one row, because the latest take the place of others. One that was forgotten is told, too.
pub(crate) const EXAMPLES: Kind = Kind {
    name: "issue_examples",
    key: &[ISSUE, ENVIRONMENT],
    values: &[Column::text("examples")],
    watches: &[
        Watch { event: "INSERT", ..IN_EXAMPLES },
        Watch { event: "DELETE", ..IN_EXAMPLES },
    ],
    read: "SELECT i.id, i.environment, json_group_array(json_array(e.time, e.request_id, e.trace_id, e.consumer, e.gateway))
           FROM own_examples o JOIN examples e USING (issue, time, request_id) JOIN issues i ON i.id = o.issue
           WHERE o.issue = ?1 ->> 0 GROUP BY i.id",
    merge: Merge::With(parts::merge_examples),
    of_gateway: false,
    tables: "",
};

const IN_EXAMPLES: Watch =
    Watch { table: "own_examples", event: "", when: "1", key: "json_array(own.issue)", pace: Pace::Later };
