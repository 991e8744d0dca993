//! `openapi/compare`: what differs between an OpenAPI document and what was seen.

use super::filter::Filter;
use super::openapi::{OpenApiQuery, SCOPE};
use super::params::Params;
use super::{SeenApi, Store};
use crate::error::QueryError;
use gatelens_documents::compare::{Finding, Kind, Seen, compare};
use gatelens_documents::openapi;
use gatelens_documents::problem::Problem;
use gatelens_documents::yaml::{self, Place};
use serde::Serialize;
use std::collections::BTreeMap;

/// Findings of one kind of change in an answer.
const MAX_OF_A_CHANGE: usize = 500;
const MAX_BASE_PATH_BYTES: usize = 1_000;

/// A question for the comparison of a document.
#[derive(Debug)]
pub(crate) struct ComparisonQuery {
    seen: OpenApiQuery,
    /// In place of those of the document.
    base_path: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    service: String,
    environment: String,
    direction: String,
    /// Operations of the document.
    documented: usize,
    /// Operations that were seen.
    seen: usize,
    /// All findings, by what they mean.
    counts: BTreeMap<Change, usize>,
    /// The first of each change.
    findings: Vec<Row>,
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    /// It was seen, and the document does not have it.
    New,
    /// It was seen otherwise than the document has it.
    Changed,
    /// The document has it; it was seen once, and not any more.
    Vanished,
    /// The document has it, and it was never seen.
    NeverCalled,
    /// The document has a defect.
    Document,
}

#[derive(Debug, Serialize)]
struct Row {
    change: Change,
    kind: &'static str,
    severity: String,
    /// Of the operation.
    method: Option<String>,
    /// Of the operation: the route of its requests, or the path of the document where nothing was seen of it.
    route: Option<String>,
    /// The operation in the document, and where in its bodies; for a defect, where in the document.
    path: String,
    line: usize,
    column: usize,
    message: String,
}

/// Why a document cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DocumentError {
    pub(crate) message: String,
    pub(crate) place: Place,
}

impl Change {
    const ALL: [Self; 5] = [Self::New, Self::Changed, Self::Vanished, Self::NeverCalled, Self::Document];

    fn of(kind: Kind) -> Self {
        match kind {
            Kind::UndocumentedRoute | Kind::UndocumentedStatus | Kind::UndocumentedField => Self::New,
            Kind::Type | Kind::Format | Kind::Presence => Self::Changed,
            Kind::Vanished => Self::Vanished,
            Kind::NeverCalled => Self::NeverCalled,
            Kind::Document => Self::Document,
        }
    }
}

impl ComparisonQuery {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, QueryError> {
        let names = [&SCOPE[..], &["base_path"]].concat();
        let params = Params::parse(query, &names)?;
        let base_path = params.one("base_path")?;
        if base_path.is_some_and(|path| path.len() > MAX_BASE_PATH_BYTES) {
            let message = format!(
                "base_path has more than {MAX_BASE_PATH_BYTES} bytes: write what all paths begin with"
            );
            return Err(QueryError::parameter("base_path", message));
        }
        let base_path = base_path.map(str::to_owned);
        Ok(Self { seen: OpenApiQuery::of(Filter::read(&params)?), base_path })
    }

    /// Compares a document with what the store has seen. `hold` is asked for the memory that the document takes. Where
    /// `given_up` becomes true, it ends, and its answer is of no use.
    pub(crate) fn answer(
        &self,
        store: &dyn Store,
        text: &str,
        hold: &mut dyn FnMut(usize) -> bool,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Comparison, QueryError> {
        let documents = yaml::documents_within(text, hold)
            .map_err(|error| DocumentError { place: error.place(), message: error.to_string() })?;
        let Some(document) = documents.first() else {
            let place = Place { line: 1, column: 1 };
            return Err(DocumentError { place, message: "the document is empty".to_owned() }.into());
        };
        let description = openapi::read(document, self.base_path.as_deref());
        if let ([], Some(problem)) = (&*description.operations, description.problems.first()) {
            let Problem { path, place, message, .. } = problem;
            let separator = if path.is_empty() { "" } else { ": " };
            return Err(
                DocumentError { place: *place, message: format!("{path}{separator}{message}") }.into()
            );
        }
        let SeenApi { scope, document: seen, routes, gone } = store.openapi(&self.seen)?;
        let mut findings =
            compare(document, &description.operations, Seen { document: &seen, gone: &gone }, given_up);
        findings.extend(description.problems.into_iter().map(Finding::unreadable));
        let mut by_change: BTreeMap<Change, Vec<Row>> = BTreeMap::new();
        let mut counts: BTreeMap<Change, usize> = Change::ALL.map(|change| (change, 0)).into();
        for Finding { kind, problem, operation } in findings {
            let change = Change::of(kind);
            *counts.entry(change).or_default() += 1;
            let rows = by_change.entry(change).or_default();
            if rows.len() == MAX_OF_A_CHANGE {
                continue;
            }
            let (method, route) = match operation {
                Some(key) => {
                    let route = routes.get(&key).cloned();
                    (Some(key.0), Some(route.unwrap_or(key.1)))
                }
                None => (None, None),
            };
            let Problem { severity, path, place: Place { line, column }, message } = problem;
            let severity = severity.to_string();
            rows.push(Row {
                change,
                kind: kind.name(),
                severity,
                method,
                route,
                path,
                line,
                column,
                message,
            });
        }
        Ok(Comparison {
            service: scope.service,
            environment: scope.environment,
            direction: scope.direction,
            documented: description.operations.len(),
            seen: routes.len(),
            counts,
            findings: by_change.into_values().flatten().collect(),
        })
    }
}
