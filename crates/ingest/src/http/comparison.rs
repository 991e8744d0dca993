//! `POST /api/v1/openapi/compare`: compares an OpenAPI document with what was seen. The document is not stored.

use super::State;
use super::api::reading;
use super::body::Packing;
use super::otlp::{JSON, media_type};
use super::question;
use crate::error::{QueryError, ReceiveError, json};
use crate::limits::Limits;
use crate::query::{Comparison, ComparisonQuery};
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;

/// Media types of YAML: that of RFC 9512, and those from before. As JSON, none is sent by a page of another site without
/// asking this one.
const YAML: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
/// Memory is set aside in pieces of so many bytes.
const PIECE: usize = 64 << 10;

/// Compares a document.
pub(super) async fn compare(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let answered = answer(&state, query.as_deref(), &headers, body).await;
    answered.map_or_else(IntoResponse::into_response, |found| json(StatusCode::OK, &found))
}

async fn answer(
    state: &Arc<State>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<Comparison, QueryError> {
    let Limits { document_bytes, document_timeout, decoded_bytes, .. } = state.limits;
    let head = ComparisonQuery::parse(query).and_then(|query| {
        require_document(headers)?;
        Ok((query, Packing::of(headers)?))
    });
    let (held, (query, packing)) = question::receive_after(state, head, body, document_bytes).await?;
    let place = question::place(state, document_timeout).await?;
    let until = Instant::now() + document_timeout;
    let most = decoded_bytes.min(state.memory.for_one());
    let found = reading(state, move |state| {
        // Held here, because the work continues after the client has gone.
        let _place = place;
        let held = held.unpack(packing)?;
        let text = std::str::from_utf8(&held.bytes)
            .map_err(|_| ReceiveError::Malformed("the document is not UTF-8".to_owned()))?;
        let mut share = held.share();
        let (mut taken, mut set_aside, mut is_busy) = (0, 0, false);
        let mut hold = |bytes: usize| {
            taken += bytes;
            if taken > set_aside && taken <= most {
                let more = (taken - set_aside).max(PIECE);
                is_busy = share.grow(more).is_err();
                set_aside += more;
            }
            taken <= most && !is_busy
        };
        let found = query.answer(&*state.store, text, &mut hold, &|| Instant::now() >= until);
        if is_busy { Err(ReceiveError::Busy.into()) } else { found }
    })
    .await?;
    if Instant::now() >= until {
        return Err(QueryError::SlowDocument { seconds: document_timeout.as_secs_f64() });
    }
    Ok(found)
}

fn require_document(headers: &HeaderMap) -> Result<(), ReceiveError> {
    let found = media_type(headers);
    if found.as_deref().is_some_and(|found| found == JSON || YAML.contains(&found)) {
        return Ok(());
    }
    Err(ReceiveError::Unsupported(format!("the document must be {JSON} or {}: set content-type", YAML[0])))
}
