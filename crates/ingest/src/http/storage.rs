//! `GET /api/v1/storage`: the size of the data, its limit, and what was removed to stay within it.

use super::State;
use crate::error::json;
use crate::query::params::none;
use crate::store::reduce::Kind;
use axum::extract::{self, RawQuery};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Serialize)]
struct Storage {
    /// On disk, by kind of file.
    bytes: BTreeMap<&'static str, u64>,
    limit_bytes: Option<u64>,
    /// Since the start of the service.
    removed: Vec<Removed>,
}

#[derive(Serialize)]
struct Removed {
    kind: Kind,
    count: u64,
    /// All older data of the kind is gone.
    until: Timestamp,
    at: Timestamp,
}

/// The size of the data and what was removed.
pub(super) async fn storage(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(error) = none(query.as_deref()) {
        return error.into_response();
    }
    let time = |nanos: i64| Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    let removed = state.data.removals().into_iter();
    let removed = removed.map(|(kind, removal)| Removed {
        kind,
        count: removal.count,
        until: time(removal.until),
        at: time(removal.at),
    });
    let storage = Storage {
        bytes: state.data.sizes().into_iter().collect(),
        limit_bytes: state.max_disk,
        removed: removed.collect(),
    };
    json(StatusCode::OK, &storage)
}
