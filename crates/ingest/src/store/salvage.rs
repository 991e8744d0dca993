//! A damaged file is replaced by a new one with all that can still be read.
//!
//! The rows are read page by page, see [`super::pages`]. Each is checked: by the types of its columns, by its checksum, by
//! the compressed frame of its chunk. Rows whose table is lost but that have their index are made anew from it. The new
//! file takes the place of the damaged one only when it is complete and on disk.

use super::pages::{Image, Item};
use super::quarantine::{Damage, Kind};
use super::requests::Packed;
use super::schema::{self, FileKind};
use super::{DataDir, StoreError, bloom, changes, checksum, chunk, packed, sums, totals};
use crate::model::Columns;
use data_encoding::BASE64;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Suffix of a new file until it takes its place.
pub(super) const SUFFIX: &str = ".salvage";
const MINUTE_NANOS: i64 = 60_000_000_000;
/// Tables whose rows can be made from their index, because the other columns have a value that holds.
const FROM_INDEX: [&str; 3] = ["gateways", "series", "instances"];

/// Replaces a damaged file by one with what can be read of it, and sets the damaged one aside. Where nothing can be read,
/// there is no file then. No connection to the file may be open that can write.
pub(super) fn replace(directory: &DataDir, path: &Path, why: &StoreError) -> Result<(), StoreError> {
    let Some(kind) = FileKind::of(path) else { return directory.set_aside(path, why, 0).map(drop) };
    let rebuilt = rebuild(path, kind)?;
    let place = directory.set_aside(path, why, rebuilt.rows)?;
    if rebuilt.rows == 0 {
        super::remove_file(&rebuilt.path)?;
    } else {
        std::fs::rename(&rebuilt.path, path).map_err(|error| StoreError::file(path, error))?;
    }
    sync(directory.path())?;
    let kept_as = place.file_name().map(|name| name.to_string_lossy().into_owned());
    for damage in rebuilt.damages {
        directory.quarantine().add(Damage { kept_as: kept_as.clone(), ..damage });
    }
    Ok(())
}

/// Ends what a stop has interrupted: a new file without the damaged one was complete.
pub(super) fn settle(dir: &Path) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
        let place = dir.join(name);
        if place.exists() {
            super::remove_file(&path)?;
        } else {
            std::fs::rename(&path, &place).map_err(|error| StoreError::file(&place, error))?;
        }
    }
    Ok(())
}

struct Rebuilt {
    path: PathBuf,
    /// Rows that were read.
    rows: u64,
    damages: Vec<Damage>,
}

/// A table, as the schema of a file describes it.
pub(super) struct Table {
    name: String,
    columns: Vec<Column>,
    /// By place in a record: the column.
    order: Vec<usize>,
    /// The column that is the rowid.
    rowid: Option<usize>,
    has_rowid: bool,
    /// Number of columns of the primary key.
    key_columns: usize,
    insert: String,
    loss: Loss,
    read: u64,
}

struct Column {
    name: String,
    kind: String,
    not_null: bool,
    default: Value,
}

/// What a walk over a table could not read.
#[derive(Default)]
struct Loss {
    places: u64,
    /// The first value of the row before a loss.
    last: Option<i64>,
    /// Whether the loss has no end yet.
    open: bool,
    /// The first values of the rows around all losses.
    from: Option<i64>,
    to: Option<i64>,
    from_start: bool,
    to_end: bool,
}

impl Loss {
    fn lost(&mut self) {
        self.places += 1;
        self.open = true;
        match self.last {
            Some(last) => self.from = Some(self.from.map_or(last, |from| from.min(last))),
            None => self.from_start = true,
        }
    }

    fn read(&mut self, first: Option<i64>) {
        if std::mem::take(&mut self.open) {
            self.to = self.to.max(first);
        }
        self.last = first;
    }

    fn end(&mut self) {
        self.to_end |= std::mem::take(&mut self.open);
    }

    fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (self.from.filter(|_| !self.from_start), self.to.filter(|_| !self.to_end))
    }
}

fn rebuild(path: &Path, kind: FileKind) -> Result<Rebuilt, StoreError> {
    // What is committed is in the file then, unless the damage is in its header.
    if let Ok(file) = Connection::open(path) {
        let _ = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
    let mut image =
        Image::open(path, schema::APPLICATION_ID as u32).map_err(|error| StoreError::file(path, error))?;
    let version =
        image.header().and_then(|header| schema::version_of(header.application_id, header.user_version));
    let mut roots = HashMap::new();
    if image.header().is_some() {
        image.walk(1, &mut |item| {
            if let Item::Record(_, values) = item
                && let [Value::Text(_), Value::Text(name), _, Value::Integer(root), ..] = values.as_slice()
                && let Ok(root) = u32::try_from(*root)
            {
                roots.insert(name.clone(), root);
            }
            Ok::<_, StoreError>(())
        })?;
    }
    let new = with_suffix(path);
    super::remove_file(&new)?;
    let mut file = schema::create(&new, kind, version)?;
    // The filters of chunks are made anew.
    let mut tables = tables(&file)?;
    tables.retain(|table| table.name != bloom::TABLE);
    let mut salvage = Salvage { path, damages: Vec::new(), tables, strays: Vec::new() };
    let transaction = file.transaction()?;
    for index in 0..salvage.tables.len() {
        let Some(root) = salvage.tables.get(index).and_then(|table| roots.get(&table.name)) else { continue };
        image.walk(*root, &mut |item| salvage.take(&transaction, index, item))?;
        if let Some(table) = salvage.tables.get_mut(index) {
            table.loss.end();
        }
    }
    let mut lost_chunks = LostChunks::default();
    for (name, table, columns) in indexes(&transaction)? {
        let Some(root) = roots.get(&name) else { continue };
        image.walk(*root, &mut |item| match item {
            Item::Record(_, values) => {
                lost_chunks.note(&transaction, &name, &values)?;
                salvage.restore(&transaction, &table, &columns, values)
            }
            Item::Lost => Ok(()),
        })?;
    }
    // Where the free list is damaged, a leaf that no tree leads to may be an old copy of rows that were changed since.
    // Without any tree, no row is lost, and the latest of several copies is the one that holds.
    if roots.is_empty() || image.walk_free() {
        image.orphans(&mut |item| match item {
            Item::Record(rowid, values) => salvage.place(&transaction, rowid, values),
            Item::Lost => Ok(()),
        })?;
    }
    for (rowid, values) in std::mem::take(&mut salvage.strays) {
        salvage.place(&transaction, rowid, values)?;
    }
    lost_chunks.look_again(&transaction)?;
    bloom::complete(&transaction)?;
    totals::settle(&transaction)?;
    salvage.expire_gateways(&transaction);
    transaction.commit()?;
    let rows = salvage.tables.iter().map(|table| table.read).sum();
    let damages = salvage.damages(kind, &lost_chunks, rows);
    file.close().map_err(|(_, error)| error)?;
    sync(&new)?;
    Ok(Rebuilt { path: new, rows, damages })
}

struct Salvage<'a> {
    path: &'a Path,
    damages: Vec<Damage>,
    tables: Vec<Table>,
    /// Records that are not of the table in whose tree they are.
    strays: Vec<(Option<i64>, Vec<Value>)>,
}

/// More than this are not looked at twice.
const MAX_STRAYS: usize = 10_000;

impl Salvage<'_> {
    fn take(&mut self, file: &Connection, index: usize, item: Item) -> Result<(), StoreError> {
        let Some(table) = self.tables.get_mut(index) else { return Ok(()) };
        match item {
            Item::Lost => table.loss.lost(),
            Item::Record(rowid, record) => match table.row(rowid, &record) {
                Some(row) if table.is_sound(&row) => {
                    table.loss.read(first(&row));
                    table.put(file, row)?;
                }
                row => {
                    table.loss.lost();
                    if let Some(row) = row.filter(|_| table.name == "chunks") {
                        self.damages.push(damaged_chunk(self.path, &row));
                    } else if self.strays.len() < MAX_STRAYS {
                        self.strays.push((rowid, record));
                    }
                }
            },
        }
        Ok(())
    }

    /// Gives a record of which the table is not known to the only table that it can be of. It replaces an earlier one.
    fn place(&mut self, file: &Connection, rowid: Option<i64>, record: Vec<Value>) -> Result<(), StoreError> {
        let fits = |table: &&mut Table| {
            let row = table.row(rowid, &record);
            row.is_some_and(|row| table.is_sound(&row) && table.is_certain(&row, record.len()))
        };
        let mut fitting = self.tables.iter_mut().filter(fits);
        let (Some(table), None) = (fitting.next(), fitting.next()) else { return Ok(()) };
        let Some(row) = table.row(rowid, &record) else { return Ok(()) };
        if let Some(measure) = table.measure() {
            let key = table.key();
            let find = format!(
                "{} AND {measure} < ?",
                key.iter().map(|name| format!("{name} = ?")).collect::<Vec<_>>().join(" AND ")
            );
            let values = key.iter().map(|name| match *name {
                "rowid" => rowid.map_or(Value::Null, Value::Integer),
                name => table.get(&row, name).cloned().unwrap_or(Value::Null),
            });
            let values = values.chain(table.get(&row, measure).cloned());
            let remove = format!("DELETE FROM {} WHERE {find}", table.name);
            table.read -= file.prepare_cached(&remove)?.execute(params_from_iter(values))? as u64;
        }
        table.put(file, row)
    }

    /// Makes a row from a record of its unique index: the other columns get values that hold until the next report.
    fn restore(
        &mut self,
        file: &Connection,
        name: &str,
        columns: &[String],
        record: Vec<Value>,
    ) -> Result<(), StoreError> {
        let Some(table) = self.tables.iter_mut().find(|table| table.name == name) else { return Ok(()) };
        // All columns of the index, and the rowid.
        if !FROM_INDEX.contains(&name) || record.len() != columns.len() + 1 {
            return Ok(());
        }
        let mut row: Vec<Value> = table.columns.iter().map(Column::filled).collect();
        for (at, value) in record.into_iter().enumerate() {
            let column = match columns.get(at) {
                Some(name) => table.columns.iter().position(|column| column.name == *name),
                None => table.rowid,
            };
            if let Some(place) = column.and_then(|column| row.get_mut(column)) {
                *place = value;
            }
        }
        if table.is_sound(&row) { table.put(file, row) } else { Ok(()) }
    }

    /// A gateway whose states are lost must not count again all that it counted before: its next points only make new
    /// states.
    fn expire_gateways(&self, file: &Connection) {
        let states = self.tables.iter().find(|table| table.name == "states");
        let Some(states) = states.filter(|table| table.loss.places > 0) else { return };
        let (from, to) = states.loss.bounds();
        let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        // Versions 3 and 4 name the table otherwise; earlier ones have none.
        for table in ["expired_gateways", "retired"] {
            let _ = file.execute(
                &format!("INSERT OR IGNORE INTO {table} SELECT id, last_seen FROM gateways WHERE id BETWEEN ? AND ?"),
                [from, to],
            );
        }
    }

    fn damages(mut self, kind: FileKind, chunks: &LostChunks, rows: u64) -> Vec<Damage> {
        if rows == 0 {
            return vec![Damage::new(self.path, Kind::File, "nothing in it can be read")];
        }
        let whole = match kind {
            FileKind::Counters => "pages of the file are damaged",
            FileKind::Requests => "pages of the log are damaged",
        };
        for table in &self.tables {
            let Loss { places, .. } = table.loss;
            if table.name == "chunks" && !chunks.lost.is_empty() {
                self.damages.push(Damage {
                    lost: chunks.lost.values().map(|lost| lost.requests).sum(),
                    ..Damage::new(self.path, Kind::Pages, whole).of("chunks").between(
                        chunks.lost.values().map(|lost| lost.from).min(),
                        chunks.lost.values().map(|lost| lost.to).max(),
                    )
                });
            } else if places > 0 && table.name != "chunks" {
                let (from, to) = table.loss.bounds();
                let minutes = |minute: i64| Some(minute.saturating_mul(MINUTE_NANOS));
                let is_rollup = width(&table.name).is_some();
                let damage = Damage::new(self.path, Kind::Pages, whole).of(&table.name);
                self.damages.push(Damage {
                    lost: places,
                    ..match is_rollup {
                        true => damage.between(from.and_then(minutes), to.and_then(minutes)),
                        false => damage,
                    }
                });
            }
        }
        if self.damages.is_empty() {
            self.damages.push(Damage::new(self.path, Kind::Pages, "pages are damaged that hold no rows"));
        }
        self.damages
    }
}

impl Table {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The columns of its primary key, or its rowid.
    pub(super) fn key(&self) -> Vec<&str> {
        if self.has_rowid {
            return vec!["rowid"];
        }
        let columns = self.order.iter().take(self.key_columns).filter_map(|column| self.columns.get(*column));
        columns.map(|column| column.name.as_str()).collect()
    }

    /// Whether one of its rows can be taken out without harm to others.
    pub(super) fn may_lose_rows(&self) -> bool {
        ["chunks", "states", bloom::TABLE, changes::TABLE, packed::TABLE, sums::TABLE, totals::TABLE]
            .contains(&self.name.as_str())
            || width(&self.name).is_some()
    }

    /// Whether the columns by which a chunk is found are those of its requests. True for other tables.
    pub(super) fn describes_its_chunk(&self, row: &[Value]) -> bool {
        if self.name != "chunks" {
            return true;
        }
        let Some(events) = events(self, row) else { return false };
        let times = || events.iter().map(|event| event.time);
        let expected = [times().min(), times().max(), Some(events.len() as i64)];
        ["t0", "t1", "n"]
            .into_iter()
            .zip(expected)
            .all(|(name, expected)| self.get(row, name).and_then(integer) == expected)
    }

    /// A record as a row in the order of the columns.
    fn row(&self, rowid: Option<i64>, record: &[Value]) -> Option<Vec<Value>> {
        if rowid.is_some() != self.has_rowid || record.len() > self.order.len() {
            return None;
        }
        let mut row: Vec<Value> = self.columns.iter().map(|column| column.default.clone()).collect();
        for (value, column) in record.iter().zip(&self.order) {
            *row.get_mut(*column)? = value.clone();
        }
        if let (Some(column), Some(rowid)) = (self.rowid, rowid) {
            *row.get_mut(column)? = Value::Integer(rowid);
        }
        Some(row)
    }

    /// Whether the values are of the types of the columns and, where the row has a checksum, are those that were written.
    pub(super) fn is_sound(&self, row: &[Value]) -> bool {
        let typed = self.columns.iter().zip(row).all(|(column, value)| match (value, column.kind.as_str()) {
            (Value::Null, _) => !column.not_null,
            (Value::Integer(_), "INTEGER" | "REAL") | (Value::Real(_), "REAL") => true,
            (Value::Text(_), "TEXT") | (Value::Blob(_), "BLOB") => true,
            _ => false,
        });
        let is_read = match self.name.as_str() {
            "chunks" => events(self, row).is_some(),
            bloom::TABLE => {
                matches!(self.get(row, "filter"), Some(Value::Blob(filter)) if bloom::is_sound(filter))
            }
            _ => true,
        };
        typed && self.checksum(row).unwrap_or(true) && is_read
    }

    /// Whether a row that is of one of the tables can be of this one. Records of an index look like those of some tables.
    fn is_certain(&self, row: &[Value], length: usize) -> bool {
        let has_all = length == self.columns.len();
        self.checksum(row).unwrap_or(has_all && self.name != "retention_marks")
    }

    /// A column that only grows.
    fn measure(&self) -> Option<&'static str> {
        match self.name.as_str() {
            "chunks" => Some("n"),
            "states" => Some("time"),
            "gateways" | "consumers" => Some("last_seen"),
            name => width(name).map(|_| "requests"),
        }
    }

    /// Whether a row has the checksum that it was written with; `None` without one.
    fn checksum(&self, row: &[Value]) -> Option<bool> {
        let Value::Integer(expected) = self.get(row, "checksum")? else { return None };
        if self.name == "states" && *expected == checksum::FORGOTTEN {
            return Some(true);
        }
        let integers = |names: &[&str]| -> Option<Vec<i64>> {
            names.iter().map(|name| integer(self.get(row, name)?)).collect()
        };
        let blob = |name| match self.get(row, name) {
            Some(Value::Blob(bytes)) => Some(bytes.as_slice()),
            _ => None,
        };
        if self.name == changes::TABLE {
            let gateway = integer(self.get(row, "gateway_id")?)?;
            return Some(checksum::of_changes(gateway, blob("data")?) == *expected);
        }
        if self.name == packed::TABLE {
            let numbers = integers(&["half_hour", "by_gateway", "since", "until", "entries"])?;
            return Some(checksum::of_packed(&numbers, blob("data")?) == *expected);
        }
        if self.name == sums::TABLE {
            let numbers = integers(&["width", "start", "part"])?;
            return Some(checksum::of_packed(&numbers, blob("data")?) == *expected);
        }
        if self.name == totals::TABLE {
            let Value::Text(bounds) = self.get(row, "bounds")? else { return None };
            let since = integer(self.get(row, "since")?)?;
            return Some(checksum::of_totals(bounds, since, blob("data")?) == *expected);
        }
        let sketches = [blob("duration")?, blob("upstream")?, blob("gateway")?];
        let sum = match width(&self.name) {
            Some(width) => checksum::of_rollup(
                width,
                integers(&["minute", "series_id", "instance"])?.try_into().ok()?,
                integers(&["requests", "request_bytes", "response_bytes", "attempts"])?.try_into().ok()?,
                sketches,
            ),
            None => checksum::of_state(
                integers(&["gateway_id", "stream"])?.try_into().ok()?,
                &integers(&checksum::STATE_NUMBERS)?,
                sketches,
                blob("by_bound"),
            ),
        };
        Some(sum == *expected)
    }

    pub(super) fn get<'a>(&self, row: &'a [Value], name: &str) -> Option<&'a Value> {
        row.get(self.columns.iter().position(|column| column.name == name)?)
    }

    /// Stores a row, unless there is one with its key.
    fn put(&mut self, file: &Connection, mut row: Vec<Value>) -> Result<(), StoreError> {
        if self.name == "chunks" {
            self.describe_anew(&mut row)?;
        }
        self.read += file.prepare_cached(&self.insert)?.execute(params_from_iter(row))? as u64;
        Ok(())
    }

    /// The columns by which a chunk is found follow from its requests.
    fn describe_anew(&self, row: &mut [Value]) -> Result<(), StoreError> {
        let Some(packed) =
            events(self, row).and_then(|events| Packed::of(&Columns::of(&events)).transpose()).transpose()?
        else {
            return Ok(());
        };
        for (name, value) in [
            ("t0", packed.t0),
            ("t1", packed.t1),
            ("n", packed.n),
            ("errors", packed.errors),
            ("classes", packed.classes),
            ("longest", packed.longest),
            ("bodies", i64::from(packed.bodies)),
        ] {
            if let Some(place) = self.columns.iter().position(|column| column.name == name) {
                row[place] = Value::Integer(value);
            }
        }
        Ok(())
    }
}

impl Column {
    /// A value where the real one is lost.
    fn filled(&self) -> Value {
        match (self.not_null, &self.default, self.kind.as_str()) {
            (_, Value::Integer(default), _) => Value::Integer(*default),
            (true, _, "TEXT") => Value::Text(String::new()),
            // Of a time: the row is not old.
            (true, _, "INTEGER") if self.name.ends_with("_seen") => Value::Integer(crate::clock::now()),
            (true, _, "INTEGER") => Value::Integer(crate::clock::now() / MINUTE_NANOS),
            _ => Value::Null,
        }
    }
}

/// Chunks that an index knows and the table has not.
#[derive(Default)]
struct LostChunks {
    lost: HashMap<i64, LostChunk>,
}

struct LostChunk {
    from: i64,
    to: i64,
    requests: u64,
}

impl LostChunks {
    fn note(&mut self, file: &Connection, index: &str, record: &[Value]) -> Result<(), StoreError> {
        let values: Option<Vec<i64>> = record.iter().take(4).map(integer).collect();
        if let (true, Some([to, id, from, requests])) = (index == "chunks_by_time", values.as_deref())
            && !file.prepare_cached("SELECT 1 FROM chunks WHERE id = ?")?.exists([id])?
        {
            self.lost.insert(*id, LostChunk { from: *from, to: *to, requests: requests.unsigned_abs() });
        }
        Ok(())
    }

    /// Some may have been found on leaves without a tree.
    fn look_again(&mut self, file: &Connection) -> Result<(), StoreError> {
        if self.lost.is_empty() {
            return Ok(());
        }
        let mut find = file.prepare_cached("SELECT 1 FROM chunks WHERE id = ?")?;
        let ids: Vec<i64> = self.lost.keys().copied().collect();
        for id in ids {
            if find.exists([id])? {
                self.lost.remove(&id);
            }
        }
        Ok(())
    }
}

fn events(table: &Table, row: &[Value]) -> Option<Vec<crate::model::RequestEvent>> {
    match table.get(row, "data") {
        Some(Value::Blob(data)) => chunk::decode(data),
        _ => None,
    }
}

pub(super) fn damaged_chunk(path: &Path, row: &[Value]) -> Damage {
    let numbers: Vec<i64> = row.iter().take(4).filter_map(integer).collect();
    let (from, to) = (numbers.get(1).copied(), numbers.get(2).copied());
    Damage {
        lost: numbers.get(3).copied().unwrap_or_default().unsigned_abs(),
        content: Some(row.iter().map(shown).collect()),
        ..Damage::new(path, Kind::Chunk, "a chunk cannot be unpacked").of("chunks").between(from, to)
    }
}

/// A value in the manifest.
pub(super) fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(value) => serde_json::json!(value),
        Value::Real(value) => serde_json::json!(value),
        Value::Text(value) => serde_json::json!(value),
        Value::Blob(value) => serde_json::json!(BASE64.encode(value)),
    }
}

/// Minutes that a row of a rollup covers.
pub(super) fn width(table: &str) -> Option<i64> {
    match table {
        "minutes" | "gateway_minutes" => Some(1),
        "half_hours" | "gateway_half_hours" => Some(30),
        _ => None,
    }
}

fn first(row: &[Value]) -> Option<i64> {
    row.first().and_then(integer)
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(*value),
        _ => None,
    }
}

/// The tables of a file, as its own schema describes them.
pub(super) fn tables(file: &Connection) -> Result<Vec<Table>, StoreError> {
    let mut list = file.prepare("SELECT name, wr FROM pragma_table_list WHERE type = 'table' AND schema = 'main' AND name NOT LIKE 'sqlite_%' ORDER BY name")?;
    let names: Vec<(String, bool)> =
        list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    names.into_iter().map(|(name, without_rowid)| table(file, name, !without_rowid)).collect()
}

fn table(file: &Connection, name: String, has_rowid: bool) -> Result<Table, StoreError> {
    let mut info =
        file.prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)")?;
    let mut columns = Vec::new();
    let mut key = Vec::new();
    let mut rows = info.query([&name])?;
    while let Some(row) = rows.next()? {
        let place: i64 = row.get(4)?;
        if place > 0 {
            key.push((place, columns.len()));
        }
        let default: Option<String> = row.get(3)?;
        let default = default.and_then(|text| text.parse().ok()).map_or(Value::Null, Value::Integer);
        columns.push(Column { name: row.get(0)?, kind: row.get(1)?, not_null: row.get(2)?, default });
    }
    key.sort_unstable();
    let is_key = |column: &usize| key.iter().any(|(_, of_key)| of_key == column);
    let all = 0..columns.len();
    let order = match has_rowid {
        true => all.collect(),
        false => key.iter().map(|(_, column)| *column).chain(all.filter(|column| !is_key(column))).collect(),
    };
    let rowid = key.first().map(|(_, column)| *column).filter(|_| has_rowid && key.len() == 1);
    let places = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT OR IGNORE INTO \"{name}\" VALUES ({places})");
    let key_columns = key.len();
    Ok(Table { name, columns, order, rowid, has_rowid, key_columns, insert, loss: Loss::default(), read: 0 })
}

/// The indexes with a tree of their own: name, table and columns.
fn indexes(file: &Connection) -> Result<Vec<(String, String, Vec<String>)>, StoreError> {
    let mut list = file.prepare("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'")?;
    let names: Vec<(String, String)> =
        list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut columns = file.prepare("SELECT name FROM pragma_index_info(?) ORDER BY seqno")?;
    let mut all = Vec::new();
    for (name, table) in names {
        let of = columns.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        all.push((name, table, of));
    }
    Ok(all)
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| StoreError::file(path, error))
}
