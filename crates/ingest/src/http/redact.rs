//! `POST /api/v1/redact`: previews what the filter would send of a body. Nothing is stored.

use super::State;
use super::question;
use crate::error::{QueryError, ReceiveError, json};
use crate::limits::Limits;
use crate::preview::{PreviewRequest, PreviewResponse, preview};
use crate::query::params::no_such;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gatelens_model::Message;
use gatelens_redact::Interrupt;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::Arc;

const KEYS: [&str; 5] = ["config", "direction", "content_type", "content_encoding", "body"];

/// Previews a body. The answer is the same as that of `gatelens redact --format json`.
pub(super) async fn redact(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let answered = answer(&state, query.as_deref(), &headers, body).await;
    answered.map_or_else(IntoResponse::into_response, |seen| json(StatusCode::OK, &seen))
}

async fn answer(
    state: &State,
    query: Option<&str>,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<PreviewResponse, QueryError> {
    let Limits { preview_bytes, preview_timeout, .. } = state.limits;
    let (held, packing) = question::receive(state, query, headers, body, preview_bytes).await?;
    let place = question::place(state, preview_timeout).await?;
    let interrupt = Interrupt::default();
    let given_up = GivenUp(interrupt.clone());
    let previewing = tokio::task::spawn_blocking(move || {
        // Held here, because the work ends a little later than the wait for it.
        let _place = place;
        let held = held.unpack(packing)?;
        interrupt.guard(|| Ok(preview(&Body::parse(&held.bytes)?.request()?)?))
    });
    let answer = tokio::time::timeout(preview_timeout, previewing).await;
    drop(given_up);
    match answer {
        Ok(seen) => seen.map_err(|_| QueryError::Stopped)?,
        Err(_) => {
            state.stats.refused_by("preview_timeout");
            Err(QueryError::SlowRules { seconds: preview_timeout.as_secs_f64() })
        }
    }
}

/// Ends the work when it is dropped: after the deadline, and when the client leaves.
struct GivenUp(Interrupt);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// The body as it is sent. A key that is absent is `None`, so that the answer can name it.
#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "string")]
    config: Option<String>,
    #[serde(default, deserialize_with = "string")]
    direction: Option<String>,
    #[serde(default, deserialize_with = "string")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "string")]
    content_encoding: Option<String>,
    #[serde(default, deserialize_with = "string")]
    body: Option<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl Body {
    fn parse(bytes: &[u8]) -> Result<Self, QueryError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let body: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let key = error.path().to_string();
            match error.into_inner() {
                wrong if wrong.is_data() && KEYS.contains(&key.as_str()) => {
                    QueryError::parameter(&key, format!("{key} must be a string"))
                }
                error => not_an_object(&error),
            }
        })?;
        json.end().map_err(|error| not_an_object(&error))?;
        match body.unknown.keys().next() {
            Some(unknown) => Err(no_such(unknown, &KEYS)),
            None => Ok(body),
        }
    }

    fn request(&self) -> Result<PreviewRequest<'_>, QueryError> {
        let message = self.direction.as_deref().unwrap_or(Message::Request.name());
        let message = Message::ALL.into_iter().find(|known| known.name() == message);
        let message = message
            .ok_or_else(|| QueryError::parameter("direction", "direction must be request or response"))?;
        Ok(PreviewRequest {
            config: required("config", self.config.as_deref())?,
            message,
            content_type: self.content_type.as_deref().unwrap_or("application/json"),
            content_encoding: self.content_encoding.as_deref().unwrap_or("identity"),
            body: required("body", self.body.as_deref())?.as_bytes(),
        })
    }
}

fn required<'a>(key: &str, value: Option<&'a str>) -> Result<&'a str, QueryError> {
    value.ok_or_else(|| QueryError::parameter(key, format!("{key} is missing")))
}

/// A string where the key is present: `null` is not one.
fn string<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

fn not_an_object(error: &serde_json::Error) -> QueryError {
    ReceiveError::Malformed(format!("the body is not a JSON object: {error}")).into()
}
