//! A row as it is told: kind, key and values as JSON, with columns of known types.

use super::Kind;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row as StoredRow, Statement};
use serde_json::{Map, Value as Json};

/// Bytes of a key, and of the values of a row. Longer ones are not merged.
pub(crate) const MAX_NAME: usize = 16 << 10;
pub(crate) const MAX_VALUE: usize = 1 << 20;
/// Nanoseconds by which the clock of another replica may be ahead: a later time would win against all that follows.
const MAX_AHEAD: i64 = 86_400_000_000_000;

/// A row that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: String,
    /// The key, as a JSON array.
    pub(crate) name: String,
    /// The values, as a JSON object.
    pub(crate) value: String,
    /// Who told it; empty where that is this replica.
    pub(crate) replica: String,
}

/// A column of a row.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    is: Type,
    may_be_null: bool,
}

#[derive(Clone, Copy)]
enum Type {
    Text,
    Integer,
    /// Unix nanoseconds.
    Time,
    Real,
    /// In JSON as hexadecimal digits.
    Blob,
}

impl Column {
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, is: Type::Text, may_be_null: false }
    }

    pub(crate) const fn integer(name: &'static str) -> Self {
        Self { name, is: Type::Integer, may_be_null: false }
    }

    pub(crate) const fn time(name: &'static str) -> Self {
        Self { name, is: Type::Time, may_be_null: false }
    }

    pub(crate) const fn real(name: &'static str) -> Self {
        Self { name, is: Type::Real, may_be_null: false }
    }

    pub(crate) const fn blob(name: &'static str) -> Self {
        Self { name, is: Type::Blob, may_be_null: false }
    }

    pub(crate) const fn or_null(self) -> Self {
        Self { may_be_null: true, ..self }
    }

    fn read(&self, json: Option<&Json>, now: i64) -> Result<Value, String> {
        let unfit = || format!("its {} is of another type", self.name);
        let json = match json {
            None | Some(Json::Null) if self.may_be_null => return Ok(Value::Null),
            json => json.ok_or_else(unfit)?,
        };
        let value = match self.is {
            Type::Text => json.as_str().map(|text| Value::Text(text.to_owned())),
            Type::Integer => json.as_i64().map(Value::Integer),
            Type::Time => {
                let time = json.as_i64().ok_or_else(unfit)?;
                if time < 0 || time > now.saturating_add(MAX_AHEAD) {
                    return Err(format!("its {} is before 1970 or in the future", self.name));
                }
                Some(Value::Integer(time))
            }
            Type::Real => json.as_f64().map(Value::Real),
            Type::Blob => json
                .as_str()
                .and_then(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).ok())
                .map(Value::Blob),
        };
        value.ok_or_else(unfit)
    }
}

/// The columns of a row that was told, each of its type, and `replica`.
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Reads what another replica has told at some time before `now` (Unix nanoseconds).
    pub(crate) fn read(kind: &Kind, row: &Row, now: i64) -> Result<Self, String> {
        if row.name.len() > MAX_NAME || row.value.len() > MAX_VALUE {
            return Err("it is too long".to_owned());
        }
        let name: Vec<Json> = serde_json::from_str(&row.name).map_err(|error| error.to_string())?;
        let value: Map<String, Json> = serde_json::from_str(&row.value).map_err(|error| error.to_string())?;
        let keys = kind.key.iter().zip(0..).map(|(column, place)| (column, name.get::<usize>(place)));
        let values = kind.values.iter().map(|column| (column, value.get(column.name)));
        let read = keys.chain(values).map(|(column, json)| Ok((column.name, column.read(json, now)?)));
        let replica = ("replica", Value::Text(row.replica.clone()));
        Ok(Self(read.chain([Ok(replica)]).collect::<Result<_, String>>()?))
    }

    fn get(&self, name: &str) -> &Value {
        self.0.iter().find(|(known, _)| *known == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// A column that is a text; empty if it is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// A column that is a text or absent.
    pub(crate) fn maybe_text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A column that is a whole number or a time; 0 if it is none.
    pub(crate) fn integer(&self, name: &str) -> i64 {
        self.maybe_integer(name).unwrap_or_default()
    }

    /// A column that is a whole number, a time or absent.
    pub(crate) fn maybe_integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        match self.get(name) {
            Value::Blob(bytes) => bytes,
            _ => &[],
        }
    }

    /// Gives a statement the columns that it has as parameters.
    pub(crate) fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        for (name, value) in &self.0 {
            if let Some(index) = statement.parameter_index(&format!(":{name}"))? {
                statement.raw_bind_parameter(index, value)?;
            }
        }
        Ok(())
    }
}

/// A stored row, as it is told.
pub(super) fn row_of(kind: &Kind, stored: &StoredRow<'_>) -> rusqlite::Result<Row> {
    let mut name = Vec::with_capacity(kind.key.len());
    let mut value = Map::new();
    for (index, column) in kind.key.iter().chain(kind.values).enumerate() {
        let json = json_of(stored.get_ref(index)?);
        match index < kind.key.len() {
            true => name.push(json),
            false => drop(value.insert(column.name.to_owned(), json)),
        }
    }
    let (name, value) = (Json::Array(name).to_string(), Json::Object(value).to_string());
    Ok(Row { kind: kind.name.to_owned(), name, value, replica: String::new() })
}

fn json_of(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => data_encoding::HEXLOWER.encode(bytes).into(),
    }
}
