//! `shapes`: the fields of bodies, by route, message and class of status.

use super::cursor::{Cursor, Reader};
use super::drift::status;
use super::filter::Filter;
use super::params::Params;
use super::range::rfc3339;
use crate::drift::{Field, RouteKey, ShapeKey, ShapeRow, ValueKind};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::Scope;
use crate::store::{DataDir, SHAPE_COLUMNS, SHAPE_ORDER, next_shape, shapes_of_all};
use rusqlite::params;
use serde::Serialize;

const NAMES: [&str; 7] = ["service", "environment", "direction", "method", "route", "limit", "cursor"];
const DEFAULT_ROWS: u64 = 100;
/// Bytes of a field in the answer beside its name, roughly.
const FIELD_BYTES: usize = 160;

/// A question for shapes.
pub(crate) struct ShapesQuery {
    filter: Filter,
    limit: usize,
    /// The texts and the class of the last shape of the page before.
    after: Option<([String; 6], i64)>,
}

/// The answer to [`ShapesQuery`].
#[derive(Serialize)]
pub(crate) struct Shapes {
    rows: Vec<Row>,
    /// The cursor of the next page, where there are more rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    service: String,
    environment: String,
    direction: String,
    method: String,
    route: String,
    /// `request` or `response`.
    message: &'static str,
    /// The class of the status: `2xx`.
    status: String,
    /// Bodies that were read.
    bodies: u64,
    first_seen: String,
    last_seen: String,
    fields: Vec<FieldRow>,
}

#[derive(Serialize)]
struct FieldRow {
    /// A JSON pointer with `[]` for items of arrays and `{*}` for values of maps; empty for the body as a whole.
    field: String,
    types: Vec<&'static str>,
    /// Formats of strings, `plain` among them where some have none.
    formats: Vec<&'static str>,
    /// Whether each object had it.
    always: bool,
    /// Objects that had it lately.
    seen: u32,
    /// Out of so many.
    of: u32,
    first_seen: String,
    last_seen: String,
    /// It has vanished.
    vanished: bool,
}

impl ShapesQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let after = |rest: &mut Reader<'_>| {
            let mut texts = [const { String::new() }; 6];
            for text in &mut texts {
                *text = rest.text()?;
            }
            Some((texts, rest.number()?))
        };
        Ok(Self {
            filter: Filter::read(&params)?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(|text| Cursor::parse(text, after)).transpose()?,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Shapes, QueryError> {
        let file = super::open_counts(directory, limits.query_timeout)?;
        let all = shapes_of_all(&file)?;
        let mut select = file.prepare(&format!(
            "SELECT {SHAPE_COLUMNS} FROM {all} WHERE ?8 OR ({SHAPE_ORDER}) > (?1, ?2, ?3, ?4, ?5, ?6, ?7) ORDER BY {SHAPE_ORDER}",
        ))?;
        let is_first = self.after.is_none();
        let (texts, class) = self.after.clone().unwrap_or_default();
        let [service, environment, direction, method, route, message] = &texts;
        let values = params![service, environment, direction, method, route, message, class, is_first];
        let mut found = select.query(values)?;
        let mut rows: Vec<Row> = Vec::new();
        let (mut bytes, mut last, mut held) = (0, None, None);
        // A shape that cannot be read is learned anew.
        while let Some(shape) = next_shape(&mut found, &mut held)? {
            if !self.filter.takes_route(&shape.key.route, None) {
                continue;
            }
            if rows.len() == self.limit || bytes > limits.page_bytes {
                return Ok(Shapes { rows, next: last });
            }
            last = Some(cursor(&shape.key));
            let row = Row::of(shape);
            bytes += row.fields.iter().map(|field| field.field.len() + FIELD_BYTES).sum::<usize>();
            rows.push(row);
        }
        Ok(Shapes { rows, next: None })
    }
}

fn cursor(key: &ShapeKey) -> String {
    let ShapeKey { route: RouteKey { scope, method, route }, message, class } = key;
    let cursor = Cursor::default().text(&scope.service).text(&scope.environment).text(&scope.direction);
    cursor.text(method).text(route).text(message.name()).number(i64::from(*class)).to_text()
}

impl Row {
    fn of(shape: ShapeRow) -> Self {
        let ShapeRow { key, bodies, first_seen, last_seen, root, .. } = shape;
        let ShapeKey { route: RouteKey { scope, method, route }, message, class } = key;
        let Scope { service, environment, direction } = scope;
        let mut fields = Vec::new();
        add(&mut fields, String::new(), &root);
        Self {
            service,
            environment,
            direction,
            method,
            route,
            message: message.name(),
            status: status(i64::from(class)),
            bodies,
            first_seen: rfc3339(first_seen),
            last_seen: rfc3339(last_seen),
            fields,
        }
    }
}

/// Adds a field and all below it.
fn add(rows: &mut Vec<FieldRow>, path: String, field: &Field) {
    let time = |seconds: i64| rfc3339(seconds.saturating_mul(1_000_000_000));
    let children = field.children.iter().map(|(name, child)| {
        let name = name.replace('~', "~0").replace('/', "~1");
        (format!("{path}/{name}"), child)
    });
    let children: Vec<_> = children.collect();
    rows.push(FieldRow {
        types: field.types().map(ValueKind::name).collect(),
        formats: field.formats().map(ValueKind::name).collect(),
        always: field.is_always(),
        seen: field.seen,
        of: field.of,
        first_seen: time(field.first_seen),
        last_seen: time(field.last_seen),
        vanished: field.gone,
        field: path,
    });
    children.into_iter().for_each(|(path, child)| add(rows, path, child));
}
