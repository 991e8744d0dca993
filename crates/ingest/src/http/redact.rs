//! `POST /api/v1/redact`: what the filter would send of a body. Nothing is stored.

use super::State;
use super::body::{self, Packing};
use super::otlp::{JSON, media_type};
use crate::error::{QueryError, ReceiveError, json};
use crate::limits::Limits;
use crate::preview::{Asked, Seen, preview};
use crate::query::params::{no_such, none};
use axum::body::Body;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gatelens_model::Message;
use serde_json::{Map, Value};
use std::sync::Arc;

const KEYS: [&str; 5] = ["config", "direction", "content_type", "content_encoding", "body"];

/// Takes in what is asked, and answers as `gatelens redact --format json` prints.
pub(super) async fn redact(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answered = answer(&state, query.as_deref(), &headers, body).await;
    answered.map_or_else(IntoResponse::into_response, |seen| json(StatusCode::OK, &seen))
}

async fn answer(
    state: &State,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Seen, QueryError> {
    let Limits { preview_bytes, body_timeout, .. } = state.limits;
    let packing = match none(query).and_then(|()| packing(headers)) {
        Ok(packing) => packing,
        Err(refusal) => {
            // How it ends matters to nobody.
            let _ = tokio::time::timeout(body_timeout, body::discard(body, preview_bytes)).await;
            return Err(refusal);
        }
    };
    let held = body::receive(body, &state.memory, preview_bytes, body_timeout).await?;
    let place = Arc::clone(&state.previews).acquire_owned().await.map_err(|_| QueryError::Stopped)?;
    let previewing = tokio::task::spawn_blocking(move || {
        // Held here, since the work goes on when the one who asked has gone.
        let _place = place;
        let held = held.unpack(packing)?;
        let question = serde_json::from_slice(&held.bytes);
        let question = question
            .map_err(|error| ReceiveError::Malformed(format!("the body is no JSON object: {error}")))?;
        Ok(preview(&asked(&question)?)?)
    });
    previewing.await.map_err(|_| QueryError::Stopped)?
}

/// How the question is packed. That it has to be called JSON keeps the pages of other sites from asking: a browser
/// would ask here first whether they may.
fn packing(headers: &HeaderMap) -> Result<Packing, QueryError> {
    if media_type(headers).as_deref() != Some(JSON) {
        return Err(ReceiveError::Unsupported(format!("the body is to be {JSON}")).into());
    }
    Ok(Packing::of(headers)?)
}

fn asked(question: &Map<String, Value>) -> Result<Asked<'_>, QueryError> {
    if let Some(unknown) = question.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(no_such(unknown, &KEYS));
    }
    let message = match text(question, "direction", Some("request"))? {
        "request" => Message::Request,
        "response" => Message::Response,
        _ => return Err(QueryError::parameter("direction", "direction is to be request or response")),
    };
    Ok(Asked {
        config: text(question, "config", None)?,
        message,
        content_type: text(question, "content_type", Some("application/json"))?,
        content_encoding: text(question, "content_encoding", Some("identity"))?,
        body: text(question, "body", None)?.as_bytes(),
    })
}

fn text<'a>(
    question: &'a Map<String, Value>,
    key: &str,
    absent: Option<&'a str>,
) -> Result<&'a str, QueryError> {
    match (question.get(key), absent) {
        (Some(Value::String(text)), _) => Ok(text),
        (None, Some(absent)) => Ok(absent),
        (None, None) => Err(QueryError::parameter(key, format!("{key} is missing"))),
        (Some(_), _) => Err(QueryError::parameter(key, format!("{key} is to be a text"))),
    }
}
