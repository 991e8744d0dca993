//! Releases: when a service began to run another version, and when gateways began to run another configuration.
//!
//! Every report of a gateway names its version and its configuration hash. A report that names what the gateway's epoch
//! has named before costs one look-up in memory. Another value either joins a release that is there or begins a new one:
//!
//! - A value that no release of the scope has begins a release.
//! - A gateway that moves on to a later release joins it: a rolling update is one release, however long it takes.
//! - A gateway that goes back to an earlier release begins a new one with the old value: a roll-back.
//! - A restart without change, and a further instance of what others still run, join the release that is there.

use super::StoreError;
use crate::model::Gateway;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::Arc;

/// The tables, and the configurations of before. Rows of gateways do not have the version of their service.
pub(super) const TABLES: &str = "
CREATE TABLE releases (
    id INTEGER PRIMARY KEY,         -- a later release has a higher one
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,             -- 'version' or 'configuration'
    value TEXT NOT NULL,            -- service.version, or the configuration hash
    previous TEXT,                  -- the value of the release before; NULL for the first that was seen
    first_seen INTEGER NOT NULL     -- Unix nanoseconds, by the clock of the ingest
);
CREATE INDEX releases_by_scope ON releases (service, environment, kind, id);
CREATE TABLE release_gateways (     -- the epochs of gateways that ran a release
    release_id INTEGER NOT NULL,
    gateway_id INTEGER NOT NULL,
    since INTEGER NOT NULL,         -- Unix nanoseconds
    PRIMARY KEY (release_id, gateway_id)
) WITHOUT ROWID;
CREATE INDEX releases_of_gateway ON release_gateways (gateway_id, release_id);
INSERT INTO releases (service, environment, kind, value, previous, first_seen)
SELECT service, environment, 'configuration', config_hash,
       lag(config_hash) OVER (PARTITION BY service, environment ORDER BY min(first_seen)), min(first_seen) AS seen
FROM gateways WHERE config_hash <> '' GROUP BY service, environment, config_hash ORDER BY seen;
INSERT INTO release_gateways
SELECT r.id, g.id, g.first_seen FROM gateways g JOIN releases r
  ON r.service = g.service AND r.environment = g.environment AND r.value = g.config_hash;
";

/// Releases of one kind that a service in an environment keeps; the oldest go. A sender that changes its version with
/// every report must not fill the disk.
const MAX_OF_SCOPE: i64 = 500;
/// Releases of all services.
const MAX_RELEASES: i64 = 10_000;
/// Epochs that are remembered in memory. Beyond, all are looked up anew.
const MAX_KNOWN: usize = 20_000;
/// The latest releases of a scope among which a gateway without a past finds its own.
const LATEST: i64 = 20;
/// Two epochs belong to the same time if their last reports are not further apart, in nanoseconds.
pub(crate) const SAME_TIME: i64 = 180_000_000_000;

/// What the epochs of gateways last named, by their rows.
#[derive(Debug, Default)]
pub(super) struct Releases(HashMap<i64, Named>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    version: Option<Arc<str>>,
    config_hash: Option<String>,
}

/// What changes with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Version,
    Configuration,
}

/// An epoch of the scope that runs one of its latest releases.
struct Running {
    release: i64,
    instance: String,
    first_seen: i64,
    last_seen: i64,
}

impl Releases {
    /// Notes what the gateway in a row runs, at `now` (Unix nanoseconds).
    pub(super) fn note(
        &mut self,
        file: &Connection,
        row: i64,
        gateway: &Gateway,
        now: i64,
    ) -> Result<(), StoreError> {
        let known = self.0.get(&row);
        if known.is_some_and(|known| {
            known.version == gateway.service_version && known.config_hash == gateway.config_hash
        }) {
            return Ok(());
        }
        let values = [
            (Kind::Version, gateway.service_version.as_deref()),
            (Kind::Configuration, gateway.config_hash.as_deref()),
        ];
        for (kind, value) in values {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                note_value(file, row, gateway, (kind, value), now)?;
            }
        }
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        let (version, config_hash) = (gateway.service_version.clone(), gateway.config_hash.clone());
        self.0.insert(row, Named { version, config_hash });
        Ok(())
    }

    /// Looks everything up anew, after a transaction that was undone or rows that were removed.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Configuration => "configuration",
        }
    }
}

fn note_value(
    file: &Connection,
    row: i64,
    gateway: &Gateway,
    (kind, value): (Kind, &str),
    now: i64,
) -> Result<(), StoreError> {
    let Gateway { service, environment, instance, .. } = gateway;
    let current: Option<(i64, String)> = file
        .prepare_cached(
            "SELECT r.id, r.value FROM release_gateways m JOIN releases r ON r.id = m.release_id
             WHERE m.gateway_id = ? AND r.service = ? AND r.environment = ? AND r.kind = ?
             ORDER BY m.release_id DESC LIMIT 1",
        )?
        .query_row(params![row, service, environment, kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if current.as_ref().is_some_and(|(_, known)| known == value) {
        return Ok(());
    }
    let newest: Option<i64> = file
        .prepare_cached(
            "SELECT id FROM releases WHERE service = ? AND environment = ? AND kind = ? AND value = ?
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![service, environment, kind.name(), value], |row| row.get(0))
        .optional()?;
    let is_new_epoch = current.is_none();
    let joined = match (newest, current) {
        (None, _) => None,
        // A configuration that was replaced within an epoch shows the direction.
        (Some(newest), Some((current, _))) => Some(newest).filter(|newest| *newest > current),
        (Some(newest), None) => {
            let all = running(file, row, gateway, kind)?;
            Some(newest).filter(|newest| is_joined(*newest, instance, kind, &all))
        }
    };
    let release = match joined {
        Some(release) => release,
        None => {
            // A service may begin with several configurations, of which none replaces another.
            let is_first = kind == Kind::Configuration && is_new_epoch && is_young(file, gateway, now)?;
            let previous = if is_first { None } else { latest(file, gateway, kind)? };
            begin(file, gateway, (kind, value), previous, now)?
        }
    };
    file.prepare_cached("INSERT OR IGNORE INTO release_gateways VALUES (?, ?, ?)")?
        .execute([release, row, now])?;
    Ok(())
}

/// Whether a new epoch of an instance joins a release that is there.
fn is_joined(release: i64, instance: &str, kind: Kind, all: &[Running]) -> bool {
    // Those of this instance that nothing has replaced. Two configurations of one instance report side by side, and after a
    // restart one of them comes first; a service has one version.
    let own = all.iter().filter(|each| each.instance == instance);
    let replaced = |each: &Running| {
        all.iter().any(|other| {
            let settled = kind == Kind::Version || other.last_seen - other.first_seen >= SAME_TIME;
            let follows = !std::ptr::eq(other, each) && other.first_seen >= each.last_seen;
            other.instance == instance && settled && follows
        })
    };
    let own: Vec<i64> = own.filter(|each| !replaced(each)).map(|each| each.release).collect();
    if own.contains(&release) || own.iter().max().is_some_and(|latest| release > *latest) {
        return true;
    }
    // The time is that of the last report of others, so that a pause of all of them changes nothing.
    let latest = all.iter().map(|each| each.last_seen).max().unwrap_or(i64::MIN);
    let is_alive = |each: &Running| each.release == release && latest - each.last_seen < SAME_TIME;
    match kind {
        // An instance that is known and names an earlier version goes back, whatever others do.
        Kind::Version if !own.is_empty() => false,
        _ => all.iter().any(is_alive) || all.iter().all(|each| each.release <= release),
    }
}

/// The other epochs of a gateway's scope, each with the latest release that it runs.
fn running(file: &Connection, row: i64, gateway: &Gateway, kind: Kind) -> Result<Vec<Running>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT max(m.release_id), g.instance, g.first_seen, g.last_seen
         FROM release_gateways m JOIN gateways g ON g.id = m.gateway_id
         WHERE m.release_id IN (SELECT id FROM releases WHERE service = ?1 AND environment = ?2 AND kind = ?3
                                ORDER BY id DESC LIMIT ?4)
           AND m.gateway_id <> ?5
         GROUP BY m.gateway_id",
    )?;
    let of = params![gateway.service, gateway.environment, kind.name(), LATEST, row];
    let rows = select.query_map(of, |row| {
        Ok(Running {
            release: row.get(0)?,
            instance: row.get(1)?,
            first_seen: row.get(2)?,
            last_seen: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether the first configuration of a scope was seen not long ago.
fn is_young(file: &Connection, gateway: &Gateway, now: i64) -> Result<bool, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT first_seen FROM releases WHERE service = ? AND environment = ? AND kind = ? ORDER BY id LIMIT 1",
    )?;
    let of = params![gateway.service, gateway.environment, Kind::Configuration.name()];
    let first: Option<i64> = select.query_row(of, |row| row.get(0)).optional()?;
    Ok(first.is_some_and(|first| now.saturating_sub(first) < SAME_TIME))
}

/// The value of the latest release of a scope.
fn latest(file: &Connection, gateway: &Gateway, kind: Kind) -> Result<Option<String>, StoreError> {
    let mut select = file.prepare_cached(
        "SELECT value FROM releases WHERE service = ? AND environment = ? AND kind = ? ORDER BY id DESC LIMIT 1",
    )?;
    let of = params![gateway.service, gateway.environment, kind.name()];
    Ok(select.query_row(of, |row| row.get(0)).optional()?)
}

fn begin(
    file: &Connection,
    Gateway { service, environment, .. }: &Gateway,
    (kind, value): (Kind, &str),
    previous: Option<String>,
    now: i64,
) -> Result<i64, StoreError> {
    let release = file
        .prepare_cached(
            "INSERT INTO releases (service, environment, kind, value, previous, first_seen) VALUES (?, ?, ?, ?, ?, ?)
             RETURNING id",
        )?
        .query_row(params![service, environment, kind.name(), value, previous, now], |row| row.get(0))?;
    file.prepare_cached(
        "DELETE FROM releases WHERE id IN
           (SELECT id FROM releases WHERE service = ? AND environment = ? AND kind = ? ORDER BY id DESC LIMIT -1 OFFSET ?)",
    )?
    .execute(params![service, environment, kind.name(), MAX_OF_SCOPE])?;
    file.prepare_cached(
        "DELETE FROM releases WHERE id <= (SELECT id FROM releases ORDER BY id DESC LIMIT 1 OFFSET ?)",
    )?
    .execute([MAX_RELEASES])?;
    file.prepare_cached("DELETE FROM release_gateways WHERE release_id NOT IN (SELECT id FROM releases)")?
        .execute([])?;
    Ok(release)
}

/// Removes the gateways that are gone from all releases, and the releases that nothing ran but them. `gone` is a question
/// for the rows of gateways.
pub(super) fn remove_gateways(file: &Connection, gone: &str) -> Result<(), StoreError> {
    file.execute_batch(&format!(
        "DELETE FROM release_gateways WHERE gateway_id IN ({gone});
         DELETE FROM releases WHERE id NOT IN (SELECT release_id FROM release_gateways);"
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::gateways::note_gateway;
    use crate::store::schema::METRICS_FILE;

    const SECOND: i64 = 1_000_000_000;

    /// Reports, each with a time in seconds, `instance/epoch`, and the value; a value that begins with `#` is a
    /// configuration hash. Before each, the releases as they were noted are looked up anew if its time ends in 5.
    fn check(reports: &[(i64, &str, &str)], expected: &[(i64, &str, u32)]) {
        let directory = tempfile::tempdir().unwrap();
        let file = crate::store::schema::open_metrics(directory.path()).unwrap();
        assert!(directory.path().join(METRICS_FILE).exists());
        file.execute_batch("BEGIN").unwrap();
        let mut releases = Releases::default();
        for (seconds, who, value) in reports {
            if seconds % 10 == 5 {
                releases.forget();
            }
            let (instance, epoch) = who.split_once('/').unwrap();
            let is_hash = value.starts_with('#');
            let gateway = Gateway {
                service: "shop".into(),
                environment: "prod".into(),
                instance: instance.to_owned(),
                epoch: epoch.to_owned(),
                service_version: Some((*value).into()).filter(|_| !is_hash),
                config_hash: Some((*value).to_owned()).filter(|_| is_hash),
                ..Gateway::default()
            };
            let now = seconds * SECOND;
            let row = note_gateway(&file, &gateway, now).unwrap();
            releases.note(&file, row, &gateway, now).unwrap();
        }
        let mut select = file
            .prepare(
                "SELECT r.first_seen, r.value, count(*) FROM releases r
                 JOIN release_gateways m ON m.release_id = r.id GROUP BY r.id ORDER BY r.id",
            )
            .unwrap();
        let found =
            select.query_map([], |row| Ok((row.get::<_, i64>(0)? / SECOND, row.get(1)?, row.get(2)?)));
        let found: Vec<(i64, String, u32)> = found.unwrap().collect::<Result<_, _>>().unwrap();
        let found: Vec<_> = found.iter().map(|(at, value, gateways)| (*at, &**value, *gateways)).collect();
        assert_eq!(found, expected, "{reports:?}");
    }

    #[test]
    fn a_change_of_version_is_a_release_and_a_rolling_update_is_one() {
        check(&[(1, "a/1", "1.0"), (2, "a/1", "1.0"), (15, "a/2", "1.0")], &[(1, "1.0", 2)]);
        let rolling = [
            (1, "a/1", "1.0"),
            (2, "b/1", "1.0"),
            (10, "a/2", "1.1"),
            (11, "b/1", "1.0"),
            // A third instance of the old version starts while both run.
            (12, "c/1", "1.0"),
            (15, "b/2", "1.1"),
            (900, "c/2", "1.1"),
        ];
        check(&rolling, &[(1, "1.0", 3), (10, "1.1", 3)]);
    }

    #[test]
    fn going_back_is_a_release_of_the_old_value() {
        let back = [
            (1, "a/1", "1.0"),
            (2, "b/1", "1.0"),
            (10, "a/2", "1.1"),
            (20, "a/3", "1.0"),
            (25, "b/1", "1.0"),
        ];
        check(&back, &[(1, "1.0", 2), (10, "1.1", 1), (20, "1.0", 1)]);
        // The instances of the old version are gone, and others bring it back.
        let others = [(1, "a/1", "1.0"), (10, "b/1", "1.1"), (1000, "b/1", "1.1"), (1005, "c/1", "1.0")];
        check(&others, &[(1, "1.0", 1), (10, "1.1", 1), (1005, "1.0", 1)]);
        let in_place =
            [(1, "a/1", "#1"), (2, "b/1", "#1"), (3, "a/1", "#2"), (4, "a/1", "#1"), (5, "b/1", "#2")];
        // The second instance moves on to what the first has left.
        check(&in_place, &[(1, "#1", 2), (3, "#2", 2), (4, "#1", 1)]);
    }

    #[test]
    fn a_restart_and_two_configurations_side_by_side_are_no_release() {
        let restart = [(1, "a/1", "1.0"), (10, "a/2", "1.1"), (9000, "a/3", "1.1"), (20_000, "z/1", "1.1")];
        check(&restart, &[(1, "1.0", 1), (10, "1.1", 3)]);
        let both = [
            (1, "a/1", "#in"),
            (2, "a/2", "#out"),
            (300, "a/1", "#in"),
            (301, "a/2", "#out"),
            // All start again an hour later, in another order.
            (4000, "a/3", "#out"),
            (4001, "a/4", "#in"),
            (4002, "a/3", "#out"),
            (4005, "b/1", "#in"),
        ];
        check(&both, &[(1, "#in", 3), (2, "#out", 2)]);
    }

    #[test]
    fn a_sender_that_changes_with_each_report_fills_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = crate::store::schema::open_metrics(directory.path()).unwrap();
        file.execute_batch("BEGIN").unwrap();
        let mut releases = Releases::default();
        for version in 0..MAX_OF_SCOPE + 20 {
            let gateway = Gateway { service_version: Some(version.to_string().into()), ..Gateway::default() };
            let row = note_gateway(&file, &gateway, version).unwrap();
            releases.note(&file, row, &gateway, version).unwrap();
        }
        let count = |table: &str| -> i64 {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!([count("releases"), count("release_gateways")], [MAX_OF_SCOPE; 2]);
    }
}
