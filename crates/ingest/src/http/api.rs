//! The paths of the API, and the answer to whether all is well.

use super::State;
use crate::clock;
use crate::error::{QueryError, json};
use crate::query::params::none;
use crate::query::{counts, gateways as senders, requests as log};
use axum::extract::{self, RawQuery};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time for which a state of health is believed: asking often must not mean writing often.
const HEALTH_AGE: Duration = Duration::from_secs(1);
const OPENAPI: &str = include_str!("openapi.json");
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// What the last look at the store found, and when it was.
#[derive(Clone)]
pub(super) struct Health {
    at: Instant,
    trouble: Option<String>,
}

type Shared = extract::State<Arc<State>>;

/// The paths of the API.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Arc<State>>)> {
    vec![
        ("/api/v1/summary", get(summary)),
        ("/api/v1/timeseries", get(timeseries)),
        ("/api/v1/requests", get(requests)),
        ("/api/v1/gateways", get(gateways)),
        ("/api/v1/redact", post(super::redact::redact)),
        ("/api/v1/openapi.json", get(openapi)),
    ]
}

/// Whether the store can be written.
pub(super) async fn health(extract::State(state): Shared) -> Response {
    #[derive(Serialize)]
    struct Body {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// What is wrong with files that the service can do without.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        troubles: Vec<String>,
    }
    let troubles = state.directory.troubles();
    match examine(&state).await.trouble {
        None => json(StatusCode::OK, &Body { status: "ok", message: None, troubles }),
        message => json(StatusCode::SERVICE_UNAVAILABLE, &Body { status: "failing", message, troubles }),
    }
}

/// Counts by group.
async fn summary(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    let parsed = counts::Summary::parse(query.as_deref(), clock::now());
    answer(state, parsed, |query, state| query.answer(&state.directory, &state.limits)).await
}

/// Counts by group and time.
async fn timeseries(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    let parsed = counts::Timeseries::parse(query.as_deref(), clock::now(), &state.limits);
    answer(state, parsed, |query, state| query.answer(&state.directory, &state.limits)).await
}

/// The request log.
async fn requests(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    let parsed = log::Query::parse(query.as_deref(), clock::now(), &state.limits);
    answer(state, parsed, |query, state| query.answer(&state.directory, &state.limits)).await
}

/// Who reports here.
async fn gateways(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    let parsed = none(query.as_deref());
    answer(state, parsed, |(), state| senders::answer(&state.directory, &state.limits, clock::now())).await
}

/// All of this, described.
async fn openapi(RawQuery(query): RawQuery) -> Response {
    match none(query.as_deref()) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Any other path that a program may ask for.
pub(super) async fn no_path(uri: Uri) -> QueryError {
    let known: Vec<&str> = routes().into_iter().map(|(path, _)| path).collect();
    QueryError::NoPath { path: uri.path().to_owned(), known: known.join(", ") }
}

/// Runs a query on a thread that may block.
async fn answer<Q, A>(
    state: Arc<State>,
    query: Result<Q, QueryError>,
    run: impl FnOnce(Q, &State) -> Result<A, QueryError> + Send + 'static,
) -> Response
where
    Q: Send + 'static,
    A: Serialize,
{
    let answered = async {
        let query = query?;
        let place = Arc::clone(&state.readers).acquire_owned().await.map_err(|_| QueryError::Stopped)?;
        let answering = tokio::task::spawn_blocking(move || {
            // Held here, since the work goes on when the one who asked has gone.
            let _place = place;
            run(query, &state).map(|answer| json(StatusCode::OK, &answer))
        });
        answering.await.map_err(|_| QueryError::Stopped)?
    };
    answered.await.unwrap_or_else(IntoResponse::into_response)
}

async fn examine(state: &State) -> Health {
    let mut last = state.health.lock().await;
    if let Some(health) = last.as_ref().filter(|health| health.at.elapsed() < HEALTH_AGE) {
        return health.clone();
    }
    let trouble = match tokio::time::timeout(HEALTH_TIMEOUT, state.writers.probe()).await {
        Ok(Ok(())) => state.writers.recent_failure(),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the store does not answer".to_owned()),
    };
    last.insert(Health { at: Instant::now(), trouble }).clone()
}
