//! Questions and changes with a body of JSON and no parameters.

use super::State;
use super::body::{self, Held, Packing};
use super::memory::Account;
use super::otlp::{JSON, media_type};
use crate::error::{QueryError, ReceiveError};
use crate::query::params::none;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of a rule, a receiver or another short question.
const SHORT_BYTES: usize = 64 << 10;

/// A short body, read by the names of its keys. Handlers take it as an argument.
pub(super) struct Question<T> {
    pub(super) content: T,
    /// The body as it was sent.
    pub(super) text: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<State>> for Question<T> {
    type Rejection = QueryError;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, QueryError> {
        let (parts, body) = request.into_parts();
        let (held, packing) = receive(state, parts.uri.query(), &parts.headers, body, SHORT_BYTES).await?;
        let held = held.unpack(packing)?;
        let text = std::str::from_utf8(&held.bytes)
            .map_err(|_| ReceiveError::Malformed("the body is not UTF-8".to_owned()))?;
        Ok(Self { content: gatelens_core::config::read(text)?, text: text.to_owned() })
    }
}

/// Receives a body of at most `limit` bytes, which may still be packed.
pub(super) async fn receive(
    state: &State,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Held, Packing), QueryError> {
    let packing = none(query).and_then(|()| {
        require_json(headers)?;
        Ok(Packing::of(headers)?)
    });
    receive_after(state, packing, body, limit).await
}

/// Receives a body of at most `limit` bytes, unless its head is refused already.
pub(super) async fn receive_after<T>(
    state: &State,
    head: Result<T, QueryError>,
    body: Body,
    limit: usize,
) -> Result<(Held, T), QueryError> {
    let timeout = state.limits.body_timeout;
    match head {
        Ok(head) => {
            Ok((body::receive(body, state.memory.share(Account::default()), limit, timeout).await?, head))
        }
        Err(refusal) => {
            // The outcome does not change the answer.
            let _ = tokio::time::timeout(timeout, body::discard(body, limit)).await;
            Err(refusal)
        }
    }
}

/// Waits for a place among the questions that take long, and for so long at most.
pub(super) async fn place(state: &State, timeout: Duration) -> Result<OwnedSemaphorePermit, QueryError> {
    let place = tokio::time::timeout(timeout, Arc::clone(&state.previews).acquire_owned()).await;
    place.map_err(|_| ReceiveError::Busy)?.map_err(|_| QueryError::Stopped)
}

/// Refuses a body that is not called JSON. A browser sends JSON to another site only after it has asked that site, so
/// that the pages of other sites cannot ask.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), ReceiveError> {
    if media_type(headers).as_deref() == Some(JSON) {
        return Ok(());
    }
    Err(ReceiveError::Unsupported(format!("the body must be {JSON}: set content-type")))
}
