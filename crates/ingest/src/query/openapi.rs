//! `openapi`: an OpenAPI document of what was seen: routes, statuses, and the fields of bodies.
//!
//! [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html)

use super::filter::Filter;
use super::params::Params;
use super::range::rfc3339;
use super::rollup::MINUTE_NANOS;
use crate::drift::{Field, ITEMS, KnownRoute, RouteKey, ShapeRow, Traffic, VALUES, ValueKind, routes_alive};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::{Scope, is_path};
use crate::store::{DataDir, known_routes, load_whole_shapes};
use gatelens_documents::compare::Gone;
use gatelens_model::Message;
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Parameters that choose an API.
pub(super) const SCOPE: [&str; 3] = ["service", "environment", "direction"];
const NAMES: [&str; 5] = [SCOPE[0], SCOPE[1], SCOPE[2], "method", "route"];
/// Methods that a path item may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const JSON: &str = "application/json";
/// Scopes that a refusal names.
const MAX_NAMED: usize = 10;

/// A question for an OpenAPI document.
#[derive(Debug)]
pub(crate) struct OpenApiQuery {
    filter: Filter,
}

/// What was seen of an API.
pub(crate) struct SeenApi {
    pub(crate) scope: Scope,
    /// An OpenAPI document of it.
    pub(crate) document: Value,
    /// The routes of its operations, by method in upper case and path.
    pub(crate) routes: HashMap<(String, String), String>,
    /// Operations that are not in it, because they have vanished.
    pub(crate) gone: Vec<Gone>,
}

/// The paths of a document, by their form without the names of parameters: two that differ in those only are one.
type Paths = BTreeMap<String, (String, Map<String, Value>)>;

impl OpenApiQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, QueryError> {
        Ok(Self::of(Filter::read(&Params::parse(query, &NAMES)?)?))
    }

    /// The question for what a filter takes.
    pub(super) fn of(filter: Filter) -> Self {
        Self { filter }
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<SeenApi, QueryError> {
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let snapshot = file.transaction()?;
        let mut keys: BTreeSet<RouteKey> = routes_alive(&snapshot)?.into_iter().collect();
        keys.retain(|key| self.filter.takes_route(key, None));
        let mut shapes = load_whole_shapes(&snapshot)?;
        shapes.retain(|shape| {
            self.filter.takes_route(&shape.key.route, None) && is_path(&shape.key.route.route)
        });
        keys.extend(shapes.iter().map(|shape| shape.key.route.clone()));
        let scopes: BTreeSet<&Scope> = keys.iter().map(|key| &key.scope).collect();
        if scopes.len() > 1 {
            return Err(several(&scopes));
        }
        let scope = scopes.first().map(|scope| (*scope).clone()).unwrap_or_default();
        let mut by_route: BTreeMap<RouteKey, Vec<ShapeRow>> = BTreeMap::new();
        for shape in shapes {
            by_route.entry(shape.key.route.clone()).or_default().push(shape);
        }
        let (mut paths, mut routes) = (Paths::new(), HashMap::new());
        for key in keys {
            let method = key.method.to_ascii_lowercase();
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            let (form, path, parameters) = path_of(&key.route);
            let statuses = statuses(&snapshot, &key)?;
            let shapes = by_route.get(&key).map(Vec::as_slice).unwrap_or_default();
            let (first, item) = paths.entry(form).or_insert_with(|| (path, Map::new()));
            // The parameters have the names of the first path of this form.
            let names = path_of(first).2.into_iter().map(|(name, _)| name);
            let parameters: Vec<_> =
                names.zip(parameters).map(|(name, (_, kind))| parameter(&name, kind)).collect();
            routes.entry((key.method.to_ascii_uppercase(), first.clone())).or_insert(key.route);
            item.entry(method).or_insert_with(|| operation(&parameters, &statuses, shapes));
        }
        let paths: Map<String, Value> =
            paths.into_values().map(|(path, item)| (path, Value::Object(item))).collect();
        let title = if scope.service.is_empty() { "API" } else { &scope.service };
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": title,
                "version": newest_version(&snapshot, &scope)?,
                "description": format!(
                    "Made from {} traffic of the environment {:?} by gatelens: what was not seen is not here.",
                    scope.direction, scope.environment
                ),
            },
            "paths": paths,
        });
        let gone = gone(&snapshot, &scope, &self.filter)?;
        Ok(SeenApi { scope, document, routes, gone })
    }
}

/// The operations of an API that have vanished.
fn gone(file: &Connection, scope: &Scope, filter: &Filter) -> Result<Vec<Gone>, QueryError> {
    let known = known_routes(file)?.into_iter().filter(|known| {
        known.traffic == Traffic::Vanished
            && known.key.scope == *scope
            && filter.takes_route(&known.key, None)
    });
    Ok(known
        .map(|KnownRoute { key, last_counted, .. }| Gone {
            method: key.method.to_ascii_uppercase(),
            route: key.route,
            last_seen: rfc3339(last_counted.saturating_mul(MINUTE_NANOS)),
        })
        .collect())
}

fn several(scopes: &BTreeSet<&Scope>) -> QueryError {
    let name = |scope: &&Scope| {
        format!("service={} environment={} direction={}", scope.service, scope.environment, scope.direction)
    };
    let named: Vec<_> = scopes.iter().take(MAX_NAMED).map(name).collect();
    let message = format!(
        "a document is of one service in one environment and direction, and these match: {}; choose one of them",
        named.join(", ")
    );
    QueryError::parameter("service", message)
}

/// The version of the service that was counted first in the latest series.
fn newest_version(file: &Connection, scope: &Scope) -> Result<String, QueryError> {
    let Scope { service, environment, direction } = scope;
    let mut select = file.prepare(
        "SELECT version FROM series WHERE service = ? AND environment = ? AND direction = ? AND version <> ''
         ORDER BY id DESC LIMIT 1",
    )?;
    let mut rows = select.query_map([service, environment, direction], |row| row.get(0))?;
    Ok(rows.next().transpose()?.unwrap_or_else(|| "unknown".to_owned()))
}

/// The statuses that a route was counted with.
fn statuses(file: &Connection, key: &RouteKey) -> Result<BTreeSet<u16>, QueryError> {
    let RouteKey { scope: Scope { service, environment, direction }, method, route } = key;
    let mut select = file.prepare_cached(
        "SELECT DISTINCT status FROM series
         WHERE service = ? AND environment = ? AND direction = ? AND method = ? AND coalesce(folded, route) = ?
           AND status BETWEEN 100 AND 599",
    )?;
    let rows = select.query_map(params![service, environment, direction, method, route], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a path's parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Integer,
    Uuid,
    Text,
}

/// A route's form without the names of its parameters, its path as OpenAPI wants it, and its parameters: each has a name
/// of its own, and `*` and `**` have one, too.
fn path_of(route: &str) -> (String, String, Vec<(String, Parameter)>) {
    let (mut form, mut path) = (String::new(), String::new());
    let mut parameters: Vec<(String, Parameter)> = Vec::new();
    let mut add = |name: &str, path: &mut String| {
        let mut is_of_name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name: String = name.chars().filter(&mut is_of_name).collect();
        let name = if name.is_empty() { "wildcard".to_owned() } else { name };
        let kind = match name.as_str() {
            "number" => Parameter::Integer,
            "uuid" => Parameter::Uuid,
            _ => Parameter::Text,
        };
        let mut unique = name.clone();
        let mut number = 2;
        while parameters.iter().any(|(known, _)| *known == unique) {
            unique = format!("{name}{number}");
            number += 1;
        }
        path.push_str(&format!("{{{unique}}}"));
        parameters.push((unique, kind));
    };
    let mut rest = route;
    while let Some(at) = rest.find(['{', '*']) {
        let (before, from) = rest.split_at(at);
        form.push_str(before);
        path.push_str(before);
        let (name, after) = match from.strip_prefix('{') {
            Some(inner) => inner.split_once('}').unwrap_or((inner, "")),
            None => ("", from.trim_start_matches('*')),
        };
        add(name, &mut path);
        form.push_str("{}");
        rest = after;
    }
    form.push_str(rest);
    path.push_str(rest);
    (form, path, parameters)
}

fn parameter(name: &str, kind: Parameter) -> Value {
    let schema = match kind {
        Parameter::Integer => json!({"type": "integer"}),
        Parameter::Uuid => json!({"type": "string", "format": "uuid"}),
        Parameter::Text => json!({"type": "string"}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn operation(parameters: &[Value], statuses: &BTreeSet<u16>, shapes: &[ShapeRow]) -> Value {
    let of = |message: Message| shapes.iter().filter(move |shape| shape.key.message == message);
    let mut responses = Map::new();
    for status in statuses {
        let shape = of(Message::Response).find(|shape| u16::from(shape.key.class) == status / 100);
        responses.insert(status.to_string(), response(&status.to_string(), shape));
    }
    // Bodies are logged for a sample of requests, and counts may be reported apart.
    for shape in of(Message::Response).filter(|shape| (1..=5).contains(&shape.key.class)) {
        let is_named = statuses.iter().any(|status| status / 100 == u16::from(shape.key.class));
        if !is_named {
            let class = format!("{}XX", shape.key.class);
            responses.insert(class.clone(), response(&class, Some(shape)));
        }
    }
    if responses.is_empty() {
        responses.insert("default".to_owned(), json!({"description": "No answer was seen."}));
    }
    let mut operation = json!({"responses": responses});
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    // What was refused may be wrong, so the body of a request that succeeded is the one that counts.
    let body = of(Message::Request).min_by_key(|shape| (shape.key.class != 2, shape.key.class));
    if let Some(shape) = body {
        operation["requestBody"] = json!({"content": {JSON: {"schema": schema(&shape.root)}}});
    }
    operation
}

fn response(status: &str, shape: Option<&ShapeRow>) -> Value {
    match shape {
        None => json!({"description": format!("Seen: {status}")}),
        Some(shape) => json!({
            "description": format!("Seen: {status}, with {} bodies read", shape.bodies),
            "content": {JSON: {"schema": schema(&shape.root)}},
        }),
    }
}

/// The schema of a field's values. Where all were masked, anything fits.
fn schema(field: &Field) -> Value {
    let mut types: Vec<ValueKind> = field.types().collect();
    if types.contains(&ValueKind::Number) {
        types.retain(|kind| *kind != ValueKind::Integer);
    }
    let is_masked = field.formats().any(|format| format == ValueKind::Masked);
    let mut schema = Map::new();
    match types.as_slice() {
        [] => {}
        // A mask stands where a value of any type was.
        _ if is_masked => {}
        [only] => drop(schema.insert("type".to_owned(), only.name().into())),
        all => {
            let names: Vec<_> = all.iter().map(|kind| kind.name()).collect();
            schema.insert("type".to_owned(), names.into());
        }
    }
    if is_masked {
        schema.insert("description".to_owned(), "Masked by redaction".into());
    } else if let Some(format) = field.format() {
        schema.insert("format".to_owned(), format.name().into());
    } else if field.formats().count() > 1 {
        let names: Vec<_> = field.formats().map(ValueKind::name).collect();
        schema.insert("x-gatelens-formats".to_owned(), names.into());
    }
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, child) in field.children.iter().filter(|(_, child)| !child.gone) {
        match &**name {
            ITEMS => drop(schema.insert("items".to_owned(), self::schema(child))),
            VALUES => drop(schema.insert("additionalProperties".to_owned(), self::schema(child))),
            name => {
                if child.is_always() {
                    required.push(name.to_owned());
                }
                properties.insert(name.to_owned(), self::schema(child));
            }
        }
    }
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), properties.into());
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_path_have_names_of_their_own() {
        let check = |route: &str, form: &str, path: &str| {
            let (found_form, found_path, _) = path_of(route);
            assert_eq!((&*found_form, &*found_path), (form, path), "{route}");
        };
        check("/", "/", "/");
        check("/users/{id}", "/users/{}", "/users/{id}");
        check("/a/{number}/b/{number}", "/a/{}/b/{}", "/a/{number}/b/{number2}");
        check("/a/{n}/{n}/{n2}/{n}", "/a/{}/{}/{}/{}", "/a/{n}/{n2}/{n22}/{n3}");
        check("/static/**", "/static/{}", "/static/{wildcard}");
        check("/{number}.json", "/{}.json", "/{number}.json");
        check("/{a", "/{}", "/{a}");
    }
}
