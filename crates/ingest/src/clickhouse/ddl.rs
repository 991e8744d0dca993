//! The statements for tables on a cluster, out of the same steps as those of a single server.

use super::log;
use super::quoted;
use super::schema::{STEPS, STEPS_TAKEN};

/// By which column rows are divided among shards: all rows of a key are on one shard, where they replace each other.
const DIVIDED_BY: [(&str, &str); 22] = [
    ("migrations", "version"),
    ("series", "id"),
    ("instances", "cityHash64(name)"),
    ("reported", "stream"),
    ("states", "stream"),
    ("minutes", "series"),
    ("half_hours", "series"),
    ("days", "series"),
    ("changes", "series"),
    ("ended", "stream"),
    ("bases", "stream"),
    ("totals", "series"),
    ("ended_series", "id"),
    ("blocks", "block"),
    ("requests", "batch"),
    ("told", "cityHash64(name)"),
    ("forgotten", "toUnixTimestamp64Milli(at)"),
    ("replicas", "cityHash64(replica)"),
    ("alert_rows", "cityHash64(name)"),
    ("sessions", "cityHash64(id)"),
    ("sign_in_keys", "toUnixTimestamp64Milli(made_at)"),
    ("spans", "cityHash64(trace)"),
];

const CREATE: &str = "CREATE TABLE IF NOT EXISTS ";
const ENGINE: &str = "ENGINE = ";
/// What stands behind the name of a table that has the rows of one shard.
const LOCAL: &str = "_local";

/// Where tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// On one server.
    Single,
    /// On all nodes of a cluster of this name, each with all rows.
    Replicated(String),
    /// Divided among the shards of a cluster of this name, and replicated within each.
    Sharded(String),
}

/// The statements that make a database and its tables, or add what an older version of them does not have. Each can be
/// repeated.
#[must_use]
pub fn statements(database: &str, layout: &Layout) -> Vec<String> {
    let on_cluster = match layout {
        Layout::Single => String::new(),
        Layout::Replicated(cluster) | Layout::Sharded(cluster) => format!(" ON CLUSTER {}", quoted(cluster)),
    };
    let mut all = vec![format!("CREATE DATABASE IF NOT EXISTS {database}{on_cluster}")];
    let steps = STEPS.iter().flat_map(|step| step.iter().copied());
    for statement in std::iter::once(STEPS_TAKEN).chain(steps) {
        let Some((name, rest)) = statement.trim().strip_prefix(CREATE).and_then(|rest| rest.split_once(' '))
        else {
            all.push(statement.trim().to_owned());
            continue;
        };
        let own = match layout {
            Layout::Sharded(_) => format!("{name}{LOCAL}"),
            Layout::Single | Layout::Replicated(_) => name.to_owned(),
        };
        let rest = match layout {
            Layout::Single => rest.to_owned(),
            Layout::Replicated(_) | Layout::Sharded(_) => replicated(rest),
        };
        all.push(format!("{CREATE}{database}.{own}{on_cluster} {rest}"));
        let changes = (name == log::TABLE).then(|| log::additions().join(",\n    "));
        all.extend(changes.map(|changes| format!("ALTER TABLE {database}.{own}{on_cluster}\n    {changes}")));
        if let Layout::Sharded(cluster) = layout {
            let cluster = quoted(cluster);
            let by = DIVIDED_BY.iter().find(|(table, _)| *table == name).map_or("rand()", |(_, by)| *by);
            all.push(format!(
                "{CREATE}{database}.{name}{on_cluster} AS {database}.{own}\nENGINE = Distributed({cluster}, '{database}', '{own}', {by})"
            ));
            let columns = (name == log::TABLE).then(|| log::added_columns().join(",\n    "));
            all.extend(
                columns.map(|columns| format!("ALTER TABLE {database}.{name}{on_cluster}\n    {columns}")),
            );
        }
    }
    all
}

/// The table that a statement creates.
pub(super) fn table_of(statement: &str) -> Option<&str> {
    statement.trim().strip_prefix(CREATE)?.split(' ').next()
}

/// A definition with the replicated form of its engine, under a path that the macros of each node make its own.
fn replicated(definition: &str) -> String {
    let Some((columns, engine)) = definition.split_once(ENGINE) else { return definition.to_owned() };
    let end = engine.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(engine.len());
    let (name, rest) = engine.split_at(end);
    let place = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'";
    let rest = match rest.strip_prefix('(') {
        Some(arguments) => format!("({place}, {arguments}"),
        None => format!("({place}){rest}"),
    };
    let rest = rest.replace("non_replicated_deduplication_window", "replicated_deduplication_window");
    format!("{columns}{ENGINE}Replicated{name}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(layout: &Layout) -> Vec<String> {
        statements("gatelens", layout)
    }

    #[test]
    fn every_table_has_a_column_by_which_it_is_divided() {
        let created = STEPS.iter().flat_map(|step| step.iter()).chain([&STEPS_TAKEN]);
        for statement in created {
            let rest = statement.trim().strip_prefix(CREATE).unwrap();
            let name = rest.split(' ').next().unwrap();
            let (_, by) = DIVIDED_BY.iter().find(|(table, _)| *table == name).unwrap();
            // A row that replaces another one must be on the same shard.
            let column = by.rsplit('(').next().unwrap().trim_end_matches(')');
            let (_, key) = rest.split_once("ORDER BY").unwrap();
            assert!(key.contains(column), "{name}: {key}");
        }
    }

    #[test]
    fn engines_are_replicated_under_the_macros_of_a_node() {
        let cluster = all(&Layout::Replicated("it's".to_owned()));
        let minutes = cluster.iter().find(|statement| statement.contains("gatelens.minutes ")).unwrap();
        assert!(
            minutes.starts_with(r"CREATE TABLE IF NOT EXISTS gatelens.minutes ON CLUSTER 'it\'s' ("),
            "{minutes}"
        );
        let engine = "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)";
        assert!(minutes.contains(engine), "{minutes}");
        assert!(cluster.iter().all(|statement| !statement.contains("non_replicated")));
        assert!(cluster.iter().all(|statement| !statement.contains("Distributed")));
    }

    #[test]
    fn a_single_server_gets_the_statements_of_the_steps() {
        let single = all(&Layout::Single);
        assert!(
            single
                .iter()
                .all(|statement| !statement.contains("CLUSTER") && !statement.contains("Replicated"))
        );
        assert_eq!(single.len(), 2 + STEPS.iter().map(|step| step.len()).sum::<usize>() + 1);
    }

    #[test]
    fn each_table_of_a_shard_has_one_of_all_shards() {
        let sharded = all(&Layout::Sharded("c".to_owned()));
        let distributed =
            sharded.iter().filter(|statement| statement.contains("ENGINE = Distributed")).count();
        let local = sharded.iter().filter(|statement| statement.contains("ENGINE = Replicated")).count();
        assert_eq!(distributed, local);
        assert!(
            sharded.iter().any(|statement| statement.contains("'requests_local', batch)")),
            "{sharded:?}"
        );
    }
}
