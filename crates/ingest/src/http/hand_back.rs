//! Learned route patterns on their way back to the gateways: the version in the answer to an export, and the patterns
//! for a gateway that has another version.

use super::State;
use crate::auth::Principal;
use crate::error::QueryError;
use crate::model::Scope;
use crate::patterns::Learned;
use crate::query::params::Params;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatelens_model::route_patterns::{DIRECTION, ENVIRONMENT, MAX_BYTES, SERVICE, VERSION_HEADER};
use std::sync::Arc;

/// Names the version of the patterns in an answer. Patterns that no gateway would take have none.
pub(super) fn name_version(mut answer: Response, learned: Option<Arc<Learned>>) -> Response {
    let learned = learned.filter(|learned| learned.text.len() <= MAX_BYTES && !learned.patterns.is_empty());
    if let Some(version) = learned.and_then(|learned| HeaderValue::from_str(&learned.version).ok()) {
        answer.headers_mut().insert(VERSION_HEADER, version);
    }
    answer
}

/// `GET /v1/gatelens/route-patterns`: the patterns of a scope; 404 while nothing is learned there.
pub(super) async fn patterns(
    extract::State(state): extract::State<Arc<State>>,
    extract::Extension(principal): extract::Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Response {
    let found = scope(query.as_deref()).and_then(|scope| {
        principal.check_environment(&scope.environment)?;
        Ok(state.patterns.get(&scope))
    });
    match found {
        Ok(Some(learned)) => {
            let body = [(header::CONTENT_TYPE, super::otlp::JSON)];
            name_version((body, learned.text.clone()).into_response(), Some(learned))
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => error.into_response(),
    }
}

fn scope(query: Option<&str>) -> Result<Scope, QueryError> {
    let params = Params::parse(query, &[SERVICE, ENVIRONMENT, DIRECTION])?;
    let required = |name| {
        let value = params.one(name)?.map(str::to_owned);
        value.ok_or_else(|| QueryError::parameter(name, format!("{name} is missing")))
    };
    Ok(Scope {
        service: required(SERVICE)?,
        environment: required(ENVIRONMENT)?,
        direction: required(DIRECTION)?,
    })
}
