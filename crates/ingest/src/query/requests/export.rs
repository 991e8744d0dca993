//! All requests that match, page by page, as the lines of a file.

use super::place::{Order, Place};
use super::row::Row;
use super::withheld::Disclosure;
use super::{RequestsPage, RequestsQuery, criteria};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::request::columns;
use crate::query::params::Params;
use crate::query::range::Range;
use crate::query::{Store, filter};
use crate::text::inert;
use serde_json::Value;

/// Rows read at a time: the memory that an export takes is that of a page.
const PAGE_ROWS: usize = 1_000;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// RFC 4180, with a heading.
    Csv,
    /// One JSON object in each line, as `requests` has it.
    Ndjson,
}

/// A question for all requests that match, the newest first.
#[derive(Clone)]
pub(crate) struct ExportQuery {
    query: RequestsQuery,
    format: ExportFormat,
    /// Rows that may still be written.
    left: usize,
    is_begun: bool,
}

/// A piece of the file.
#[derive(Default)]
pub(crate) struct ExportPiece {
    pub(crate) bytes: Vec<u8>,
    /// Rows that show bodies or headers.
    pub(crate) captured_rows: usize,
    pub(crate) is_last: bool,
}

impl ExportFormat {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// As the parameter has it, which is also the ending of the file's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    fn parse(text: &str) -> Result<Self, QueryError> {
        [Self::Csv, Self::Ndjson].into_iter().find(|format| format.name() == text).ok_or_else(|| {
            QueryError::parameter("format", format!("format must be csv or ndjson, not {text:?}"))
        })
    }
}

impl ExportQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let own = ["from", "to", "q", "format", "limit"];
        let names: Vec<&str> = own.into_iter().chain(criteria::NAMES).chain(filter::names()).collect();
        let params = Params::parse(query, &names)?;
        let range = Range::read(&params, now)?;
        let most = limits.export_rows as u64;
        Ok(Self {
            query: RequestsQuery::of(&params, range, PAGE_ROWS)?,
            format: params.one("format")?.map_or(Ok(ExportFormat::Csv), ExportFormat::parse)?,
            left: params.number("limit", 1..=most, most)? as usize,
            is_begun: false,
        })
    }

    /// The same question of a reader who may see less; `query` is its query string.
    ///
    /// # Errors
    /// When it searches for what the reader may not see.
    pub(crate) fn restrict(self, disclosure: Disclosure, query: Option<&str>) -> Result<Self, QueryError> {
        Ok(Self { query: self.query.restrict(disclosure, query)?, ..self })
    }

    /// The form of the file.
    pub(crate) fn format(&self) -> ExportFormat {
        self.format
    }

    /// The most rows that the file has.
    pub(crate) fn most(&self) -> usize {
        self.left
    }

    /// The earliest time that it is about, in Unix nanoseconds.
    pub(crate) fn from(&self) -> i64 {
        self.query.from()
    }

    /// The next piece of the file. The first has the heading.
    pub(crate) fn next(&mut self, store: &dyn Store) -> Result<ExportPiece, QueryError> {
        self.query.limit = self.left.min(PAGE_ROWS);
        let page = store.requests(&self.query)?;
        let columns = self.columns();
        let mut piece = ExportPiece { captured_rows: page.captured_rows(), ..ExportPiece::default() };
        if !self.is_begun && self.format == ExportFormat::Csv {
            put_line(&mut piece.bytes, columns.iter().map(|name| (*name).to_owned()));
        }
        let RequestsPage { rows, next, .. } = page;
        for row in &rows {
            self.put(&mut piece.bytes, row, &columns);
        }
        self.is_begun = true;
        self.left -= rows.len().min(self.left);
        self.query.cursor = next.map(|cursor| Place::parse(&cursor, Order::Time)).transpose()?;
        piece.is_last = self.query.cursor.is_none() || self.left == 0;
        Ok(piece)
    }

    /// Those that the reader sees.
    fn columns(&self) -> Vec<&'static str> {
        let disclosure = self.query.disclosure;
        let withheld = (disclosure == Disclosure::Reduced).then_some("withheld");
        columns().into_iter().filter(|name| disclosure.shows(name)).chain(withheld).collect()
    }

    fn put(&self, out: &mut Vec<u8>, row: &Row, columns: &[&'static str]) {
        match self.format {
            ExportFormat::Ndjson => {
                // A row that cannot be written would be missing in the page, too.
                if serde_json::to_writer(&mut *out, row).is_ok() {
                    out.push(b'\n');
                }
            }
            ExportFormat::Csv => {
                let values = serde_json::to_value(row).unwrap_or_default();
                put_line(out, columns.iter().map(|column| cell(&values[*column])));
            }
        }
    }
}

/// RFC 4180.
fn put_line(out: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            out.push(b'"');
            out.extend(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend(cell.as_bytes());
        }
    }
    out.extend(b"\r\n");
}

/// A value as the page and the command line write it, too.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => inert(text),
        Value::Array(_) | Value::Object(_) => inert(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_quoted_and_made_harmless() {
        let check = |value: Value, expected: &str| {
            let mut out = Vec::new();
            put_line(&mut out, [cell(&value)].into_iter());
            assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\r\n"), "{value}");
        };
        check(json!(null), "");
        check(json!(-1.5), "-1.5");
        check(json!(true), "true");
        check(json!("plain, \"quoted\""), "\"plain, \"\"quoted\"\"\"");
        check(json!("a\nb"), "\"a\nb\"");
        check(json!("\u{1b}[31m\u{202e}"), "\\u{1b}[31m\\u{202e}");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "'x"] {
            check(json!(formula), &format!("'{formula}"));
        }
        check(json!({"x-tag": ["a"]}), "\"{\"\"x-tag\"\":[\"\"a\"\"]}\"");
    }
}
