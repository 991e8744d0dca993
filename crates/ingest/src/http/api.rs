//! The paths of the API, and the health check.

use super::State;
use super::access::Client;
use super::{session, stream};
use crate::auth::audit::{Action, Entry};
use crate::auth::{Principal, Role};
use crate::clock;
use crate::error::{QueryError, json};
use crate::query::params::none;
use crate::query::{Disclosure, Kind, Question};
use crate::store::scrub::Report;
use axum::extract::{self, RawQuery};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time for which a state of health is believed: asking often must not mean writing often.
const HEALTH_AGE: Duration = Duration::from_secs(1);
const OPENAPI: &str = include_str!("openapi.json");
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of the last look at the store, and its time.
#[derive(Clone)]
pub(super) struct Health {
    at: Instant,
    trouble: Option<String>,
}

type Shared = extract::State<Arc<State>>;
type From = extract::Extension<Client>;
type Who = extract::Extension<Principal>;

/// The paths of the API.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Arc<State>>)> {
    let mut routes = vec![
        ("/api/v1/summary", read(Kind::Summary)),
        ("/api/v1/timeseries", read(Kind::Timeseries)),
        ("/api/v1/latencies", read(Kind::Latencies)),
        ("/api/v1/requests", read(Kind::Requests)),
        ("/api/v1/requests/stream", get(stream::follow)),
        ("/api/v1/requests/export", get(stream::export)),
        ("/api/v1/spans", read(Kind::Spans)),
        ("/api/v1/gateways", read(Kind::Gateways)),
        ("/api/v1/consumers", read(Kind::Consumers)),
        ("/api/v1/directory", read(Kind::Directory)),
        ("/api/v1/releases", read(Kind::Releases)),
        ("/api/v1/uptime", read(Kind::Uptime)),
        ("/api/v1/patterns", read(Kind::Patterns)),
        ("/api/v1/drift", read(Kind::Drift)),
        ("/api/v1/shapes", read(Kind::Shapes)),
        ("/api/v1/openapi", read(Kind::OpenApi)),
        ("/api/v1/openapi/compare", post(super::comparison::compare)),
        ("/api/v1/storage", get(super::storage::storage)),
        ("/api/v1/links", get(super::links::links)),
        ("/api/v1/audit", read(Kind::Audit)),
        ("/api/v1/issues", read(Kind::Issues)),
        ("/api/v1/issues/{id}", get(super::issues::issue).put(super::issues::decide)),
        ("/api/v1/redact", post(super::redact::redact)),
        ("/api/v1/session", get(session::show).post(session::sign_in).delete(session::sign_out)),
        ("/api/v1/openapi.json", get(openapi)),
    ];
    routes.extend(super::alerts::reads());
    routes.extend(super::alerts::changes());
    routes.extend(super::directory::changes());
    routes
}

/// Whether the store can be written.
pub(super) async fn health(extract::State(state): Shared, who: Who) -> Response {
    #[derive(Serialize)]
    struct Body {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Faults of files without which the service still works.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        troubles: Vec<String>,
        /// Points, records and spans that were rejected since the start, by reason.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        rejected: BTreeMap<&'static str, u64>,
    }
    // A stranger learns whether it works, and nothing about its files.
    let is_known = who.role().is_some();
    let mut troubles = if is_known { state.data.troubles() } else { Vec::new() };
    troubles.extend(state.tls.as_ref().and_then(|tls| tls.trouble()).filter(|_| is_known));
    troubles.extend(scrubbed(&state).filter(|_| is_known));
    let rejected: BTreeMap<_, _> = state.stats.rejections().into_iter().filter(|_| is_known).collect();
    match examine(&state).await.trouble {
        None => json(StatusCode::OK, &Body { status: "ok", message: None, troubles, rejected }),
        message => {
            let message = message.filter(|_| is_known);
            json(StatusCode::SERVICE_UNAVAILABLE, &Body { status: "failing", message, troubles, rejected })
        }
    }
}

/// The damage of the last scrub, if it found any.
fn scrubbed(state: &State) -> Option<String> {
    let last = state.data.scrub().last().filter(|last| last.damaged > 0)?;
    let Report { ended_at, damaged, lost, .. } = last;
    Some(format!(
        "the scrub of {ended_at} has set aside {damaged} pieces of damage, {lost} rows are probably lost: see /api/v1/storage"
    ))
}

/// A question of the read API.
fn read(kind: Kind) -> MethodRouter<Arc<State>> {
    get(move |extract::State(state): Shared, who: Who, client: From, RawQuery(query): RawQuery| async move {
        let disclosure = disclosure_of(&who);
        let question = Question::parse(kind, query.as_deref(), &state.limits, clock::now())
            .and_then(|question| question.restrict(disclosure, query.as_deref()));
        let from = question.as_ref().map_or(i64::MIN, Question::from);
        match answer(Arc::clone(&state), question).await {
            Ok((response, captured)) => {
                if captured > 0 {
                    let asked = (query.as_deref().unwrap_or_default(), from);
                    note_captured(&state, &who, *client, asked, captured).await;
                }
                response
            }
            Err(error) => error.into_response(),
        }
    })
}

/// How much of the request log somebody sees.
pub(super) fn disclosure_of(who: &Principal) -> Disclosure {
    match who.role() {
        Some(Role::Analyst | Role::Admin) => Disclosure::Full,
        Some(Role::Viewer) | None => Disclosure::Reduced,
    }
}

/// Notes who is about to see bodies or headers.
pub(super) async fn note_captured(
    state: &State,
    who: &Principal,
    client: Client,
    (query, from): (&str, i64),
    rows: usize,
) {
    let Principal::Person(person) = who else { return };
    if state.access.must_note(person, query, from, Instant::now()) {
        let detail = format!("rows: {rows}, query: {query}");
        state.writers.audit(Entry::of(person, client.address, Action::CapturedRead, detail)).await;
    }
}

/// The description of the API.
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

/// Asks the store on a thread that may block; the answer, and how many of its rows show bodies or headers.
async fn answer(
    state: Arc<State>,
    question: Result<Question, QueryError>,
) -> Result<(Response, usize), QueryError> {
    let question = question?;
    reading(&state, move |state| {
        let answer = question.answer(&*state.store)?;
        Ok((json(StatusCode::OK, &answer), answer.captured_rows()))
    })
    .await
}

/// Reads the store on a thread that may block, after others when there are many. Where it finds damage, the scrub comes soon.
pub(super) async fn reading<T: Send + 'static>(
    state: &Arc<State>,
    read: impl FnOnce(&State) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let place = Arc::clone(&state.readers).acquire_owned().await.map_err(|_| QueryError::Stopped)?;
    let state = Arc::clone(state);
    let reading = tokio::task::spawn_blocking(move || {
        // Held here, because the work continues after the client has gone.
        let _place = place;
        read(&state).inspect_err(|error| {
            if matches!(error, QueryError::Store(error) if error.is_damage()) {
                state.data.scrub().suspect();
            }
        })
    });
    reading.await.map_err(|_| QueryError::Stopped)?
}

async fn examine(state: &State) -> Health {
    let mut last = state.health.lock().await;
    if let Some(health) = last.as_ref().filter(|health| health.at.elapsed() < HEALTH_AGE) {
        return health.clone();
    }
    let trouble = match tokio::time::timeout(HEALTH_TIMEOUT, state.writers.probe()).await {
        Ok(Ok(())) => state.writers.recent_failure(),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the store did not answer in time".to_owned()),
    };
    last.insert(Health { at: Instant::now(), trouble }).clone()
}
