//! What replicas share of `alerts.db`: each row of its tables by its key. The later change holds.
//!
//! Triggers note the rows that change here, in the transaction that changes them, so that a change is told to the others even when
//! the service is killed right after it. Numbers of rows differ between files, so rows are named by what they are about.

use super::AlertsFile;
use crate::clickhouse::AlertRow;
use crate::store::StoreError;
use rusqlite::types::Value as Column;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Bytes of rows that are told at once.
const MAX_BYTES: usize = 4 << 20;
/// Milliseconds for which versions of what has a time of its own are remembered: longer than an insert is looked for.
const VERSIONS_KEPT: i64 = 24 * 3_600_000;
/// Bits of a number of a row beside its second: numbers stay below 2^53, which JavaScript has.
const NUMBER_BITS: u32 = 20;

/// A table of which rows are shared.
struct Kind {
    name: &'static str,
    table: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
    removal: Removal,
    number: Number,
}

/// Whether others learn of a removal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    Shared,
    /// Each replica removes what is old.
    Own,
}

/// Whether a row has a number, and which key it is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    None,
    /// Of this column, a time.
    Of(&'static str),
}

/// In the order in which rows are merged: alerts refer to incidents.
const KINDS: [Kind; 9] = [
    Kind {
        name: "rule",
        table: "rules",
        key: &["name"],
        columns: &["content", "changed_at"],
        removal: Removal::Shared,
        number: Number::None,
    },
    Kind {
        name: "receiver",
        table: "receivers",
        key: &["name"],
        columns: &["content", "changed_at"],
        removal: Removal::Shared,
        number: Number::None,
    },
    Kind {
        name: "mute",
        table: "mutes",
        key: &["rule"],
        columns: &["until"],
        removal: Removal::Shared,
        number: Number::None,
    },
    Kind {
        name: "gap",
        table: "gaps",
        key: &["since"],
        columns: &["until"],
        removal: Removal::Own,
        number: Number::None,
    },
    Kind {
        name: "incident",
        table: "incidents",
        key: &["rule", "fingerprint", "fired_at"],
        columns: &[
            "labels",
            "severity",
            "measure",
            "side",
            "threshold",
            "since",
            "resolved_at",
            "reason",
            "worst",
            "view",
        ],
        removal: Removal::Own,
        number: Number::Of("fired_at"),
    },
    Kind {
        name: "delivery",
        table: "deliveries",
        key: &["receiver", "rule", "fingerprint", "kind", "created_at"],
        columns: &["content", "outcome", "attempts", "next_at", "last_at", "status", "error", "reached"],
        removal: Removal::Own,
        number: Number::Of("created_at"),
    },
    Kind {
        name: "alert",
        table: "alerts",
        key: &["rule", "fingerprint"],
        columns: &["definition", "labels", "state", "announced_at", "value", "recent"],
        removal: Removal::Shared,
        number: Number::None,
    },
    Kind {
        name: "note",
        table: "notes",
        key: &["rule"],
        columns: &["note"],
        removal: Removal::Shared,
        number: Number::None,
    },
    // The last: up to when everything is evaluated.
    Kind {
        name: "mark",
        table: "marks",
        key: &["name"],
        columns: &["at"],
        removal: Removal::Own,
        number: Number::None,
    },
];

/// How rows of incidents and deliveries are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbering {
    /// One after the other.
    Sequence,
    /// By what they are about, so that all replicas give the same number. A row that is there is not made again.
    Shared,
}

/// Which look at what others have told it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The first since the start: damage may have taken rows of this file that it knew.
    First,
    Later,
}

/// A change that others do not know yet.
pub(crate) struct Untold {
    change: i64,
    pub(crate) row: AlertRow,
}

impl AlertsFile {
    /// Notes changes from now on, for other replicas.
    pub(crate) fn share(&mut self) -> Result<(), StoreError> {
        for Kind { name, table, key, removal, .. } in &KINDS {
            let operations: &[_] = match removal {
                Removal::Shared => &[("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")],
                Removal::Own => &[("INSERT", "NEW"), ("UPDATE", "NEW")],
            };
            for (operation, row) in operations {
                let key = key.iter().map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ");
                self.connection.execute_batch(&format!(
                    "CREATE TEMP TRIGGER share_{name}_{operation} AFTER {operation} ON main.{table} BEGIN
                       INSERT OR REPLACE INTO untold (kind, name, changed_at)
                       VALUES ('{name}', json_array({key}), CAST(unixepoch('subsec') * 1000 AS INTEGER));
                     END"
                ))?;
            }
        }
        self.numbering = Numbering::Shared;
        Ok(())
    }

    /// Forgets what other replicas should have been told: there are none.
    pub(crate) fn keep_apart(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("DELETE FROM untold; DELETE FROM versions")?)
    }

    /// The changes that others do not know yet, the earliest first, up to some megabytes. The server's clock is ahead of that of
    /// this machine by so many milliseconds.
    pub(crate) fn untold(&self, ahead: i64) -> Result<Vec<Untold>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT change, kind, name, changed_at,
                    (SELECT version FROM versions v WHERE v.kind = untold.kind AND v.name = untold.name)
             FROM untold ORDER BY change",
        )?;
        let mut rows = select.query([])?;
        let (mut untold, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(1)?, row.get(2)?);
            let (changed_at, known): (i64, Option<i64>) = (row.get(3)?, row.get(4)?);
            let version = (changed_at + ahead).max(known.map_or(0, |known| known + 1));
            let value = match KINDS.iter().find(|other| other.name == kind) {
                Some(kind) => read(&self.connection, kind, &name)?.unwrap_or_default(),
                None => continue,
            };
            bytes += name.len() + value.len();
            if bytes > MAX_BYTES && !untold.is_empty() {
                break;
            }
            let version = u64::try_from(version).unwrap_or_default();
            untold.push(Untold { change: row.get(0)?, row: AlertRow { kind, name, value, version } });
        }
        Ok(untold)
    }

    /// Notes that others can know changes. One that has changed again meanwhile is told again.
    pub(crate) fn told(&mut self, changes: &[Untold]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for Untold { change, row } in changes {
            transaction.prepare_cached("DELETE FROM untold WHERE change = ?")?.execute([change])?;
            put_version(&transaction, row)?;
        }
        Ok(transaction.commit()?)
    }

    /// Takes over what others have changed, where no later change is known. Returns whether anything is new. The server's clock is
    /// ahead of that of this machine by so many milliseconds.
    pub(crate) fn merge(&mut self, rows: &[AlertRow], ahead: i64, look: Look) -> Result<bool, StoreError> {
        let mut is_new = false;
        let transaction = self.connection.transaction()?;
        for kind in &KINDS {
            for row in rows.iter().filter(|row| row.kind == kind.name) {
                is_new |= merge(&transaction, kind, row, ahead, look)?;
            }
        }
        transaction.commit()?;
        Ok(is_new)
    }

    /// Notes which rows of this file the server does not have: it may be another server, or the file may come from a service that
    /// was alone. Times are of this machine, in Unix milliseconds.
    pub(crate) fn tell_missing(&mut self, known: &[AlertRow], now: i64) -> Result<(), StoreError> {
        let known: HashSet<(&str, &str)> = known.iter().map(|row| (&*row.kind, &*row.name)).collect();
        let transaction = self.connection.transaction()?;
        for Kind { name: kind, table, key, .. } in &KINDS {
            let key = key.join(", ");
            let mut select = transaction.prepare(&format!("SELECT json_array({key}) FROM {table}"))?;
            let names = select.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            for name in names.iter().filter(|name| !known.contains(&(*kind, name))) {
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO untold (kind, name, changed_at) VALUES (?, ?, ?)")?
                    .execute(params![kind, name, now])?;
            }
        }
        transaction
            .execute(
                "DELETE FROM versions WHERE version < ? AND kind IN ('gap', 'incident', 'delivery', 'alert')",
                [now - VERSIONS_KEPT],
            )
            .map(drop)?;
        Ok(transaction.commit()?)
    }
}

/// The columns of a row, as JSON.
fn read(connection: &Connection, kind: &Kind, name: &str) -> Result<Option<String>, StoreError> {
    let Some(key) = key_of(kind, name) else { return Ok(None) };
    let wanted = kind.key.iter().map(|column| format!("{column} = :{column}")).collect::<Vec<_>>();
    let statement =
        format!("SELECT {} FROM {} WHERE {}", kind.columns.join(", "), kind.table, wanted.join(" AND "));
    let mut select = connection.prepare_cached(&statement)?;
    let read = |row: &rusqlite::Row<'_>| {
        let mut object = Map::new();
        for (place, column) in kind.columns.iter().enumerate() {
            let value = match row.get(place)? {
                Column::Null | Column::Blob(_) => Value::Null,
                Column::Integer(number) => number.into(),
                Column::Real(number) => number.into(),
                Column::Text(text) => text.into(),
            };
            object.insert((*column).to_owned(), value);
        }
        Ok(Value::Object(object).to_string())
    };
    Ok(select.query_row(&*named(&key), read).optional()?)
}

/// Takes over one row, unless a later change is known. Returns whether it is new.
fn merge(
    connection: &Connection,
    kind: &Kind,
    row: &AlertRow,
    ahead: i64,
    look: Look,
) -> Result<bool, StoreError> {
    let Some(key) = key_of(kind, &row.name) else { return Ok(false) };
    let mut find = connection.prepare_cached("SELECT version FROM versions WHERE kind = ? AND name = ?")?;
    let known: Option<i64> = find.query_row([&row.kind, &row.name], |row| row.get(0)).optional()?;
    let version = i64::try_from(row.version).unwrap_or(i64::MAX);
    let is_lost = || {
        let may_be = look == Look::First && known == Some(version) && !row.value.is_empty();
        Ok::<_, StoreError>(may_be && read(connection, kind, &row.name)?.is_none())
    };
    if known.is_some_and(|known| known >= version) && !is_lost()? {
        return Ok(false);
    }
    put_version(connection, row)?;
    let mut find = connection.prepare_cached("SELECT changed_at FROM untold WHERE kind = ? AND name = ?")?;
    let own: Option<i64> = find.query_row([&row.kind, &row.name], |row| row.get(0)).optional()?;
    if own.is_some_and(|own| own + ahead > version) {
        // What was changed here since then will be told.
        return Ok(false);
    }
    put(connection, kind, key, &row.value)?;
    connection
        .prepare_cached("DELETE FROM untold WHERE kind = ? AND name = ?")?
        .execute([&row.kind, &row.name])?;
    Ok(true)
}

/// Stores a row, or removes it where the value is empty.
fn put(
    connection: &Connection,
    kind: &Kind,
    key: Vec<(String, Column)>,
    value: &str,
) -> Result<(), StoreError> {
    let equal = |columns: &[&str], joint: &str| {
        columns.iter().map(|column| format!("{column} = :{column}")).collect::<Vec<_>>().join(joint)
    };
    let (table, at_key) = (kind.table, equal(kind.key, " AND "));
    if value.is_empty() {
        let mut remove = connection.prepare_cached(&format!("DELETE FROM {table} WHERE {at_key}"))?;
        remove.execute(&*named(&key))?;
        return Ok(());
    }
    let Ok(Value::Object(object)) = serde_json::from_str(value) else { return Ok(()) };
    let mut all = key;
    all.extend(
        kind.columns.iter().map(|column| {
            (format!(":{column}"), column_of(object.get(*column).cloned().unwrap_or_default()))
        }),
    );
    // The number of an incident is that of this file.
    let incident = match kind.name {
        "alert" => {
            "incident = (SELECT id FROM incidents i WHERE i.rule = :rule AND i.fingerprint = :fingerprint
                         AND i.fired_at = json_extract(:state, '$.fired_at')), "
        }
        _ => "",
    };
    let columns = equal(kind.columns, ", ");
    let mut update =
        connection.prepare_cached(&format!("UPDATE {table} SET {incident}{columns} WHERE {at_key}"))?;
    if update.execute(&*named(&all))? > 0 {
        return Ok(());
    }
    let mut names = kind.key.to_vec();
    names.extend(kind.columns);
    let mut values: Vec<String> = names.iter().map(|name| format!(":{name}")).collect();
    match kind.number {
        Number::Of(time) => {
            let time = format!(":{time}");
            let time = all.iter().find_map(|(name, value)| match value {
                Column::Integer(at) if *name == time => Some(*at),
                _ => None,
            });
            let parts = parts_of(&all, kind);
            let id = number(connection, table, time.unwrap_or_default(), &parts)?;
            all.push((":id".to_owned(), Column::Integer(id)));
            names.push("id");
            values.push(":id".to_owned());
        }
        Number::None if kind.name == "alert" => {
            names.push("incident");
            values.push(
                "(SELECT id FROM incidents i WHERE i.rule = :rule AND i.fingerprint = :fingerprint
                  AND i.fired_at = json_extract(:state, '$.fired_at'))"
                    .to_owned(),
            );
        }
        Number::None => {}
    }
    let statement = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    connection.prepare_cached(&statement)?.execute(&*named(&all))?;
    Ok(())
}

/// The texts of a key, of which a number is made.
fn parts_of(all: &[(String, Column)], kind: &Kind) -> Vec<String> {
    let text = |value: &Column| match value {
        Column::Text(text) => Some(text.clone()),
        _ => None,
    };
    all.iter().take(kind.key.len()).filter_map(|(_, value)| text(value)).collect()
}

/// The number of a row of this time (Unix nanoseconds) and these texts of its key: the same in all files, except where another row
/// has it.
pub(super) fn number(
    connection: &Connection,
    table: &str,
    time: i64,
    parts: &[impl AsRef<str>],
) -> Result<i64, StoreError> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.as_ref().len() as u64).to_le_bytes());
        hash.update(part.as_ref());
    }
    let hash = hash.finalize().iter().take(8).fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
    let low = i64::try_from(hash >> (64 - NUMBER_BITS)).unwrap_or_default();
    let mut number = time.div_euclid(1_000_000_000).saturating_mul(1 << NUMBER_BITS).saturating_add(low);
    let mut find = connection.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ?"))?;
    while find.exists([number])? {
        number = number.saturating_add(1);
    }
    Ok(number)
}

fn put_version(connection: &Connection, row: &AlertRow) -> Result<(), StoreError> {
    let version = i64::try_from(row.version).unwrap_or(i64::MAX);
    connection
        .prepare_cached("INSERT OR REPLACE INTO versions VALUES (?, ?, ?)")?
        .execute(params![row.kind, row.name, version])?;
    Ok(())
}

/// The columns of a key, by the names of their parameters; `None` for a name that is none of this kind.
fn key_of(kind: &Kind, name: &str) -> Option<Vec<(String, Column)>> {
    let values: Vec<Value> = serde_json::from_str(name).ok()?;
    let is_whole =
        values.len() == kind.key.len() && values.iter().all(|value| value.is_string() || value.is_i64());
    let key = kind.key.iter().zip(values);
    is_whole.then(|| key.map(|(column, value)| (format!(":{column}"), column_of(value))).collect())
}

fn column_of(value: Value) -> Column {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => Column::Null,
        Value::Bool(value) => Column::Integer(value.into()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Column::Integer(number),
            None => number.as_f64().map_or(Column::Null, Column::Real),
        },
        Value::String(text) => Column::Text(text),
    }
}

fn named(all: &[(String, Column)]) -> Vec<(&str, &dyn ToSql)> {
    all.iter().map(|(name, value)| (name.as_str(), value as &dyn ToSql)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::deliver::Attempt;
    use crate::alerts::file::{ALERTS_FILE, Incident, Outcome, Past, Recent, Stored, Texts};
    use crate::alerts::state::{Kind, State};
    use tempfile::TempDir;

    fn open() -> (TempDir, AlertsFile) {
        let directory = tempfile::tempdir().unwrap();
        let mut file = AlertsFile::open(&directory.path().join(ALERTS_FILE)).unwrap();
        file.share().unwrap();
        (directory, file)
    }

    /// What a file tells.
    fn tell(file: &mut AlertsFile) -> Vec<AlertRow> {
        let untold = file.untold(0).unwrap();
        file.told(&untold).unwrap();
        assert!(file.untold(0).unwrap().is_empty());
        untold.into_iter().map(|untold| untold.row).collect()
    }

    fn rules(file: &AlertsFile) -> Vec<(String, String)> {
        let texts = file.texts(Texts::Rules).unwrap();
        texts.into_iter().map(|text| (text.name, text.content)).collect()
    }

    const FIRED: i64 = 1_781_481_600_000_000_000;

    fn incident() -> Incident {
        Incident {
            id: 0,
            rule: "r".to_owned(),
            fingerprint: "f".to_owned(),
            labels: vec![("route".to_owned(), "/a".to_owned())],
            severity: "info".to_owned(),
            measure: "p95_ms".to_owned(),
            side: "above".to_owned(),
            threshold: 0.1,
            since: FIRED,
            fired_at: FIRED,
            resolved_at: None,
            reason: None,
            worst: Some(1.0 / 3.0),
            view: None,
        }
    }

    /// An alert fires, as an evaluation keeps it.
    fn fire(file: &mut AlertsFile) {
        let change = file.begin().unwrap();
        let incident = change.begin_incident(&incident()).unwrap();
        change.queue("ops", ("r", "f"), Kind::Firing, "{}", FIRED).unwrap();
        let alert = Stored {
            rule: "r".to_owned(),
            fingerprint: "f".to_owned(),
            definition: "d".to_owned(),
            labels: Vec::new(),
            state: State::Firing { since: FIRED, fired_at: FIRED },
            announced_at: Some(FIRED),
            incident: Some(incident),
            value: Some(1.0 / 3.0),
            recent: Recent::new(),
        };
        change.put_alert(&alert).unwrap();
        change.put_mark("evaluated_to", FIRED).unwrap();
        change.commit().unwrap();
    }

    #[test]
    fn what_one_file_tells_another_one_has() {
        let [(_a, mut a), (_b, mut b)] = [open(), open()];
        fire(&mut a);
        a.put_text(Texts::Rules, "r", "{}", 1).unwrap();
        a.mute("r", Some(FIRED)).unwrap();
        // Nothing is sent of which others do not know.
        assert!(a.due(FIRED).unwrap().is_empty());
        let rows = tell(&mut a);
        assert_eq!(a.due(FIRED).unwrap().len(), 1);
        assert!(b.merge(&rows, 0, Look::Later).unwrap());
        assert!(!b.merge(&rows, 0, Look::Later).unwrap(), "a repeat is nothing new");
        assert!(b.untold(0).unwrap().is_empty(), "what others told is not told again");
        let all = Past { rule: None, from: i64::MIN, to: i64::MAX, before: i64::MAX, limit: 10 };
        assert_eq!(b.incidents(&all).unwrap(), a.incidents(&all).unwrap());
        assert_eq!(b.deliveries(i64::MAX, 10).unwrap(), a.deliveries(i64::MAX, 10).unwrap());
        assert_eq!(b.alerts().unwrap(), a.alerts().unwrap());
        assert_eq!((b.mutes().unwrap(), rules(&b)), (a.mutes().unwrap(), rules(&a)));
        assert_eq!(b.mark("evaluated_to").unwrap(), Some(FIRED));
        let id = b.deliveries(i64::MAX, 10).unwrap()[0].id;
        assert!(id < 1 << 53 && id > FIRED / 1_000_000_000 * (1 << 20) - 1, "{id}");
        // The other one evaluates the same minute again, and sends.
        fire(&mut b);
        assert_eq!((b.incidents(&all).unwrap().len(), b.deliveries(i64::MAX, 10).unwrap().len()), (1, 1));
        tell(&mut b);
        let delivery = &b.due(FIRED).unwrap()[0];
        let sent =
            Attempt { outcome: Outcome::Delivered, status: Some(200), error: None, reached: Vec::new() };
        b.attempted(delivery.id, &sent, FIRED + 1).unwrap();
        a.merge(&tell(&mut b), 0, Look::Later).unwrap();
        assert!(a.due(i64::MAX).unwrap().is_empty());
        assert_eq!(a.deliveries(i64::MAX, 10).unwrap()[0].status, Some(200));
    }

    #[test]
    fn the_later_change_holds_and_removals_are_told() {
        let [(_a, mut a), (_b, mut b)] = [open(), open()];
        a.put_text(Texts::Rules, "r", "first", 1).unwrap();
        b.merge(&tell(&mut a), 0, Look::Later).unwrap();
        // Both change it; the clock of the second is an hour behind that of the server.
        a.put_text(Texts::Rules, "r", "of a", 2).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        b.put_text(Texts::Rules, "r", "of b", 3).unwrap();
        let of_a = tell(&mut a);
        b.merge(&of_a, 0, Look::Later).unwrap();
        assert_eq!(rules(&b), [("r".to_owned(), "of b".to_owned())]);
        let of_b = tell(&mut b);
        a.merge(&of_b, 0, Look::Later).unwrap();
        assert_eq!(rules(&a), rules(&b));
        // A clock that is behind does not undo a removal of what it knows.
        a.remove_text(Texts::Rules, "r").unwrap();
        let untold = a.untold(-3_600_000).unwrap();
        assert_eq!((untold[0].row.value.as_str(), untold[0].row.version), ("", of_b[0].version + 1));
        b.merge(&[untold[0].row.clone()], 0, Look::Later).unwrap();
        assert!(rules(&b).is_empty());
        b.merge(&of_a, 0, Look::Later).unwrap();
        assert!(rules(&b).is_empty(), "an old row comes late");
    }

    #[test]
    fn rows_that_damage_took_come_back_from_the_server() {
        let [(_a, mut a), (b_directory, mut b)] = [open(), open()];
        fire(&mut a);
        a.put_text(Texts::Rules, "r", "{}", 1).unwrap();
        let rows = tell(&mut a);
        b.merge(&rows, 0, Look::First).unwrap();
        // Not by a change of its own: what salvage could not read.
        let damage = Connection::open(b_directory.path().join(ALERTS_FILE)).unwrap();
        damage.execute_batch("DELETE FROM rules; DELETE FROM incidents").unwrap();
        assert!(!b.merge(&rows, 0, Look::Later).unwrap());
        assert!(b.merge(&rows, 0, Look::First).unwrap());
        let all = Past { rule: None, from: i64::MIN, to: i64::MAX, before: i64::MAX, limit: 10 };
        assert_eq!((rules(&b), b.incidents(&all).unwrap()), (rules(&a), a.incidents(&all).unwrap()));
        assert!(b.untold(0).unwrap().is_empty());
    }

    #[test]
    fn a_file_from_before_tells_what_the_server_does_not_have() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(ALERTS_FILE);
        let mut alone = AlertsFile::open(&path).unwrap();
        fire(&mut alone);
        alone.put_text(Texts::Rules, "r", "{}", 1).unwrap();
        alone.put_text(Texts::Rules, "known", "{}", 1).unwrap();
        assert!(alone.untold(0).unwrap().is_empty());
        drop(alone);
        let mut file = AlertsFile::open(&path).unwrap();
        file.share().unwrap();
        let known =
            AlertRow { kind: "rule".into(), name: "[\"known\"]".into(), value: "{}".into(), version: 1 };
        file.tell_missing(&[known], 5).unwrap();
        let mut told: Vec<_> =
            tell(&mut file).into_iter().map(|row| format!("{} {}", row.kind, row.name)).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "alert [\"r\",\"f\"]",
                &format!("delivery [\"ops\",\"r\",\"f\",\"firing\",{FIRED}]"),
                &format!("incident [\"r\",\"f\",{FIRED}]"),
                "mark [\"evaluated_to\"]",
                "rule [\"r\"]",
            ]
        );
    }
}
