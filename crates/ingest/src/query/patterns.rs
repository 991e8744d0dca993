//! `patterns`: the routes that were learned, by scope.

use super::cursor::{Cursor, Reader};
use super::filter::Filter;
use super::params::Params;
use super::range::rfc3339;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::Scope;
use crate::patterns::Learned;
use crate::store::{DataDir, load_patterns};
use gatelens_routes::Inferred;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const NAMES: [&str; 5] = ["service", "environment", "direction", "limit", "cursor"];
const DEFAULT_ROWS: u64 = 100;

/// A question for the learned routes.
pub(crate) struct PatternsQuery {
    filter: Filter,
    limit: usize,
    /// The last scope of the page before.
    after: Option<Scope>,
}

/// The answer to [`PatternsQuery`].
#[derive(Serialize)]
pub(crate) struct Answer {
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
    /// As the answers to gateways name it.
    version: String,
    /// The last change.
    learned_at: String,
    /// Requests of the scope that were learned from when the patterns changed last.
    requests: u64,
    places: Vec<Place>,
    /// Routes with a learned parameter that carried traffic, and those beside them that would be one of them otherwise.
    templates: Vec<Template>,
}

#[derive(Serialize)]
struct Place {
    /// The route before the parameter.
    before: String,
    /// Segments that stay as they are.
    words: BTreeSet<String>,
    learned_at: Option<String>,
    /// Requests of the scope that were learned from before this place was known.
    requests: u64,
}

#[derive(Serialize)]
struct Template {
    method: String,
    route: String,
    /// Routes with a value in place of the parameter that were counted before it was learned.
    examples: u64,
}

type Places = BTreeMap<(Scope, String), (i64, u64)>;

impl PatternsQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let scope = |rest: &mut Reader<'_>| {
            Some(Scope { service: rest.text()?, environment: rest.text()?, direction: rest.text()? })
        };
        Ok(Self {
            filter: Filter::read(&params)?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(|text| Cursor::parse(text, scope)).transpose()?,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Answer, QueryError> {
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let snapshot = file.transaction()?;
        let mut stored = load_patterns(&snapshot)?;
        stored.retain(|(scope, learned)| {
            self.filter.takes_scope(scope)
                && !learned.patterns.is_empty()
                && self.after.as_ref().is_none_or(|after| scope > after)
        });
        stored.sort_by(|a, b| a.0.cmp(&b.0));
        let places = places(&snapshot)?;
        let mut rows = Vec::new();
        let mut bytes = 0;
        let scopes = stored.len();
        for (scope, learned) in stored {
            let row = row(&snapshot, scope, learned, &places, limits)?;
            bytes += row.bytes();
            rows.push(row);
            if rows.len() == self.limit || bytes > limits.page_bytes {
                break;
            }
        }
        let next = rows.last().filter(|_| rows.len() < scopes).map(Row::cursor);
        Ok(Answer { rows, next })
    }
}

impl Row {
    /// Bytes that it takes in the answer, roughly.
    fn bytes(&self) -> usize {
        let words = |place: &Place| place.words.iter().map(|word| word.len() + 4).sum::<usize>();
        let places = self.places.iter().map(|place| place.before.len() + words(place) + 100);
        places.chain(self.templates.iter().map(|template| template.route.len() + 100)).sum()
    }

    fn cursor(&self) -> String {
        Cursor::default().text(&self.service).text(&self.environment).text(&self.direction).to_text()
    }
}

fn row(
    file: &Connection,
    scope: Scope,
    learned: Learned,
    known: &Places,
    limits: &Limits,
) -> Result<Row, QueryError> {
    let place = |(before, words): (&str, &BTreeSet<String>)| {
        let noted = known.get(&(scope.clone(), before.to_owned()));
        Place {
            before: before.to_owned(),
            words: words.clone(),
            learned_at: noted.map(|(at, _)| rfc3339(*at)),
            requests: noted.map_or(0, |(_, requests)| *requests),
        }
    };
    let places: Vec<Place> = learned.patterns.places().map(place).collect();
    let learned_at = known.iter().filter(|((of, _), _)| *of == scope).map(|(_, (at, _))| *at).max();
    let templates = templates(file, &scope, limits)?;
    let Scope { service, environment, direction } = scope;
    Ok(Row {
        service,
        environment,
        direction,
        version: learned.version,
        learned_at: rfc3339(learned_at.unwrap_or_default()),
        requests: learned.requests,
        places,
        templates,
    })
}

fn places(file: &Connection) -> Result<Places, QueryError> {
    let mut select = file
        .prepare("SELECT service, environment, direction, place, learned_at, requests FROM pattern_places")?;
    let rows = select.query_map([], |row| {
        let scope = Scope { service: row.get(0)?, environment: row.get(1)?, direction: row.get(2)? };
        Ok(((scope, row.get(3)?), (row.get(4)?, row.get::<_, i64>(5)? as u64)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The routes of a scope to paste into a configuration: those that have a learned parameter, and the words beside it,
/// which the template would take in if they had none of their own.
fn templates(file: &Connection, scope: &Scope, limits: &Limits) -> Result<Vec<Template>, QueryError> {
    let mut select = file.prepare(
        "SELECT method, coalesce(folded, route) AS shown,
                count(DISTINCT CASE WHEN folded IS NULL THEN NULL ELSE route END)
         FROM series
         WHERE service = ? AND environment = ? AND direction = ? AND route_source = '' AND shown LIKE '/%'
         GROUP BY method, shown ORDER BY shown, method LIMIT ?",
    )?;
    let most = limits.groups as i64;
    let Scope { service, environment, direction } = scope;
    let rows = select.query_map(rusqlite::params![service, environment, direction, most], |row| {
        Ok(Template { method: row.get(0)?, route: row.get(1)?, examples: row.get::<_, i64>(2)? as u64 })
    })?;
    let mut all = rows.collect::<Result<Vec<Template>, _>>()?;
    let mut learned: HashMap<(String, usize), Vec<String>> = HashMap::new();
    for template in all.iter().filter(|template| template.is_learned()) {
        learned.entry(template.kind()).or_default().push(template.route.clone());
    }
    all.retain(|template| {
        let beside = learned.get(&template.kind()).into_iter().flatten();
        template.is_learned() || beside.into_iter().any(|pattern| takes(pattern, &template.route))
    });
    Ok(all)
}

impl Template {
    fn is_learned(&self) -> bool {
        self.route.contains(Inferred::Param.placeholder())
    }

    /// Only templates of the same method and number of segments can take the same request.
    fn kind(&self) -> (String, usize) {
        (self.method.clone(), self.route.split('/').count())
    }
}

/// Whether a template would match a path.
fn takes(template: &str, path: &str) -> bool {
    template
        .split('/')
        .zip(path.split('/'))
        .all(|(pattern, segment)| pattern.starts_with('{') || pattern == segment)
}
